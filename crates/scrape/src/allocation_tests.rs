//! An unchanged scrape allocates nothing for a sample: however many lines there are, the count stays the same.

#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use model::labels::Labels;
use model::storage::{
    Appender, Committed, Durability, Exemplar, Metadata, Refusal, SampleValue, SeriesRef, StorageError,
};
use model::time::Timestamp;
use wire::exposition::{Format, Options};

use crate::histogram_limits::HistogramLimits;
use crate::ingest::{Ingest, Reading, Room};
use crate::sample_labels::LabelRules;
use crate::test_bench::job;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches a plain cell of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ending = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Takes everything, keeps nothing.
#[derive(Default)]
struct Sink {
    known: u64,
    rows: usize,
}

impl Appender for Sink {
    fn resolve(&mut self, _: &Labels) -> Result<SeriesRef, Refusal> {
        self.known += 1;
        Ok(SeriesRef(self.known))
    }
    fn append(&mut self, _: SeriesRef, _: Timestamp, _: f64) {}
    fn append_row(&mut self, series: &[SeriesRef], _: Timestamp, _: &[f64]) {
        self.rows += series.len();
    }
    fn append_value(&mut self, _: SeriesRef, _: Timestamp, _: &SampleValue, _: i64) {}
    fn exemplar(&mut self, _: SeriesRef, _: &Exemplar) {}
    fn metadata(&mut self, _: &Metadata) {}
    fn commit(&mut self, _: Durability) -> Result<Committed, StorageError> {
        Ok(Committed::default())
    }
    fn rollback(&mut self) {}
}

fn body(lines: usize, round: usize) -> String {
    let mut text = "# HELP requests_total Requests.\n# TYPE requests_total counter\n".to_owned();
    for line in 0..lines {
        text.push_str(&format!(
            "requests_total{{handler=\"/api/v1/things/{line}\",code=\"200\"}} {}\n",
            line * 7 + round
        ));
    }
    for line in 0..lines {
        text.push_str(&format!("dropped{{i=\"{line}\"}} 1.5e-05\n"));
    }
    text
}

/// Allocations of the third scrape of so many lines.
fn allocations(lines: usize) -> usize {
    let job = Arc::new(job("metric_relabel_configs: [{source_labels: [__name__], regex: dropped, action: drop}]"));
    let target = Labels::from_pairs([("instance", "x"), ("job", "j")]);
    let reading = Reading {
        labels: LabelRules::new(&job, &target),
        options: Options::default(),
        honor_timestamps: true,
        track_timestamps: false,
        samples_max: 0,
        histograms: HistogramLimits::new(0, 0.0),
    };
    let (mut ingest, mut sink, mut room) = (Ingest::default(), Sink::default(), Room::default());
    let mut counted = 0;
    for round in 0..3 {
        let text = body(lines, round);
        let before = ALLOCATIONS.get();
        let at = Timestamp(1_700_000_000_000 + round as i64);
        let (counts, read) = ingest.body((text.as_bytes(), Format::Text), &reading, at, (&mut sink, &mut room));
        let row = room.row();
        sink.append_row(&row.series, at, &row.values);
        counted = ALLOCATIONS.get() - before;
        assert!(read.is_ok());
        assert_eq!((counts.scraped, counts.kept), (2 * lines as u64, lines as u64));
        assert_eq!(room.row().series.len(), lines);
    }
    assert_eq!(sink.known, lines as u64, "labels are read once");
    assert!(ingest.heap_bytes() < lines * 48 + 200, "{} bytes for {lines} series", ingest.heap_bytes());
    counted
}

#[test]
fn an_unchanged_scrape_allocates_nothing_for_a_sample() {
    let (few, many) = (allocations(10), allocations(2_000));
    assert!(few <= 8, "{few} allocations");
    assert_eq!(few, many, "allocations do not grow with the lines");
}
