//! Following what was committed.

use model::labels::Labels;
use model::storage::{Durability, Position, SampleValue, Tail, TailRows, Tailable};
use model::time::Timestamp;
use tsdb::io::FaultyDisk;
use tsdb::options::Options;

use crate::world::{START, clock, open_with, options, scrape, sender, series};

/// Everything that is new: labels, time, value.
fn read_all(tail: &mut dyn Tail) -> (Vec<(Labels, i64, f64)>, Vec<String>) {
    let (mut rows, mut found, mut lost) = (TailRows::default(), Vec::new(), Vec::new());
    loop {
        let before = tail.position();
        tail.read(50, &mut rows).expect("the disk is good");
        for sample in &rows.samples {
            let SampleValue::Float(value) = sample.value else { unreachable!("only floats were written") };
            found.push((rows.labels[sample.series as usize].clone(), sample.time.millis(), value));
        }
        lost.append(&mut rows.lost);
        if tail.position() == before {
            return (found, lost);
        }
    }
}

#[test]
fn batches_come_once_and_in_order_across_segments_and_starts() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let settings = Options { segment_bytes: 2_000, ..options() };
    let db = open_with(&disk, settings.clone(), &clock);
    let (mut appender, refs) = sender(&db, "a", 10);
    scrape(&mut *appender, &refs, START - 1, |_| 0.5);
    let mut tail = db.tail("remote", None).expect("it is open");
    assert!(read_all(&mut *tail).0.is_empty(), "only what comes from now on");
    let mut expected = Vec::new();
    for at in 0..100 {
        scrape(&mut *appender, &refs, START + at, |n| (at + n as i64) as f64);
        expected.extend((0..10).map(|n| (series("a", n), START + at, (at + n as i64) as f64)));
    }
    let mut found = read_all(&mut *tail).0;
    appender.append(refs[3], Timestamp(START + 500), 7.0);
    appender.commit(Durability::Written).expect("the disk is good");
    expected.push((series("a", 3), START + 500, 7.0));
    found.extend(read_all(&mut *tail).0);
    assert_eq!(found, expected);

    // From a position in the middle, in a new process.
    let middle = tail.position();
    tail.release(middle);
    scrape(&mut *appender, &refs, START + 600, |_| 9.0);
    db.checkpoint().expect("the disk is good");
    db.checkpoint().expect("the disk is good");
    drop((appender, tail, db));
    let db = open_with(&disk, settings, &clock);
    let mut tail = db.tail("remote", None).expect("it is open");
    assert_eq!(tail.position(), middle);
    let (found, lost) = read_all(&mut *tail);
    assert_eq!((found.len(), lost.len()), (10, 0));
    assert_eq!(found[4], (series("a", 4), START + 600, 9.0));
}

#[test]
fn segments_wait_for_a_reader_up_to_the_bound_and_then_it_is_told() {
    let clock = clock();
    for (bound, kept) in [(1 << 20, true), (3_000, false)] {
        let disk = FaultyDisk::new(1);
        let settings = Options { segment_bytes: 1_000, tail_bytes_max: bound, ..options() };
        let db = open_with(&disk, settings, &clock);
        let mut tail = db.tail("slow", Some(Position::default())).expect("it is open");
        let (mut appender, refs) = sender(&db, "a", 10);
        for at in 0..300 {
            scrape(&mut *appender, &refs, START + at, |n| (at * 31 + n as i64) as f64);
            if at % 50 == 49 {
                db.checkpoint().expect("the disk is good");
            }
        }
        // Something of the first segment was read before, so a gap is one.
        let (found, lost) = read_all(&mut *tail);
        assert_eq!(found.len() == 3000, kept, "{} samples, {lost:?}", found.len());
        let newest = found.last().map(|(_, time, _)| *time);
        assert_eq!(newest, Some(START + 299));
        // Nobody follows any more: only what the two checkpoints need is kept.
        assert!(db.forget_reader("slow") && !db.forget_reader("slow"));
        db.checkpoint().expect("the disk is good");
        db.checkpoint().expect("the disk is good");
        let segments = disk.files().iter().filter(|file| file.starts_with("tsdb/log")).count();
        assert!(segments <= 2, "{:?}", disk.files());
    }
}
