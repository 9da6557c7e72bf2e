//! The figures of docs/performance.md, printed: `cargo run --release -p tsdb --example figures [series] [scrapes]`.
//!
//! One process, one sender thread, a folder below the system's temporary one on a real disk. Times are wall times of a
//! thread that does nothing else; heap bytes are what this program's own allocator has given out.
//! The data: targets of 1,000 series in the manner of a node exporter and a few web services (cumulative histograms,
//! counters that move often or seldom, page-sized gauges, decimals), clocks with a jitter of milliseconds.

#![allow(clippy::print_stdout, reason = "printing figures is what this is for")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures the machine's time")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::storage::{
    Appendable, Appender, Durability, Queryable, SelectHints, SelectedId, Sender, SeriesRef, TimeRange,
};
use model::time::{ManualClock, Timestamp};
use tsdb::db::Db;
use tsdb::io::RealDisk;
use tsdb::options::Options;
use tsdb::seeded::Seeded;

/// Counts what is on the heap.
struct Counting;

static HEAP: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator that counts has to be one; it hands everything to the system's")]
// SAFETY: every call goes to the system allocator with the layout it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HEAP.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const STEP_MS: i64 = 15_000;
const START: i64 = 1_700_006_400_000;

#[derive(Clone, Copy)]
enum Kind {
    Const,
    /// With busy/256 a step it grows by up to max.
    Counter {
        busy: u64,
        max: u64,
    },
    /// With busy/256 a step it moves by up to step in units of `unit`.
    Gauge {
        step: u64,
        busy: u64,
        unit: i64,
    },
    /// The first of 14: twelve cumulative buckets, sum (6 decimals), count; up to rate observations a step.
    Histogram {
        rate: u64,
        middle: u64,
    },
    Member,
}

struct Model {
    kinds: Vec<(Kind, u32)>,
    values: Vec<i64>,
    random: Seeded,
}

impl Model {
    fn new(series: usize, seed: u64) -> Self {
        let mut kinds: Vec<(Kind, u32)> = Vec::new();
        let mut random = Seeded::new(seed);
        let mut at = 0;
        while kinds.len() < series {
            let counter = |busy, max, decimals| (Kind::Counter { busy, max }, decimals);
            match at % 25 {
                0..=2 => kinds.push(counter(256, 500, 2)),
                3 => kinds.push(counter(230, 40, 2)),
                4 => kinds.push(counter(80, 10, 2)),
                5 | 6 => kinds.push(counter(0, 1, 0)),
                7 | 8 => kinds.push((Kind::Gauge { step: 2_000, busy: 240, unit: 4_096 }, 0)),
                9 | 10 => kinds.push((Kind::Const, 0)),
                11 => kinds.push(counter(256, 2_000_000, 0)),
                12 => kinds.push(counter(60, 900_000, 0)),
                13 => kinds.push((Kind::Gauge { step: 20, busy: 240, unit: 1 }, 2)),
                14 => kinds.push((Kind::Gauge { step: 10, busy: 120, unit: 1 }, 1)),
                15..=17 => kinds.push(counter(6 + 50 * (at % 4), 40, 0)),
                18 => kinds.push(counter(220, 500, 3)),
                19..=21 if kinds.len() + 14 <= series => {
                    let rate = if at % 3 == 0 { 2 } else { 24 };
                    kinds.push((Kind::Histogram { rate, middle: 3 + at % 3 }, 0));
                    kinds.extend((0..11).map(|_| (Kind::Member, 0)));
                    kinds.push((Kind::Member, 6));
                    kinds.push((Kind::Member, 0));
                }
                22 => kinds.push((Kind::Gauge { step: 3, busy: 100, unit: 1 }, 0)),
                _ => kinds.push(counter(3, 2, 0)),
            }
            at += 1;
        }
        let values = kinds
            .iter()
            .map(|(kind, _)| match kind {
                Kind::Gauge { unit, .. } => (1_000_000 + random.below(1_000_000) as i64) * unit,
                Kind::Counter { max, busy } if *busy > 0 => random.below(max * 100_000) as i64,
                Kind::Const => random.below(10_000) as i64,
                _ => 0,
            })
            .collect();
        Self { kinds, values, random }
    }

    fn step(&mut self, out: &mut [f64]) {
        let random = &mut self.random;
        for at in 0..self.kinds.len() {
            match self.kinds[at].0 {
                Kind::Const | Kind::Member => {}
                Kind::Counter { busy, max } => {
                    if random.below(256) < busy {
                        self.values[at] += 1 + random.below(max) as i64;
                    }
                }
                Kind::Gauge { step, busy, unit } => {
                    if random.below(256) < busy {
                        self.values[at] += (random.below(2 * step + 1) as i64 - step as i64) * unit;
                    }
                }
                Kind::Histogram { rate, middle } => {
                    for _ in 0..random.below(rate + 1) {
                        let tail = if random.one_in(128) { 3 } else { 0 };
                        let spread = random.below(4) + random.below(4) + tail;
                        let bucket = (middle + spread).saturating_sub(3).min(11) as usize;
                        for value in &mut self.values[at + bucket..at + 12] {
                            *value += 1;
                        }
                        self.values[at + 12] += 1_000 * (1 << bucket) + random.below(1_024) as i64;
                        self.values[at + 13] += 1;
                    }
                }
            }
        }
        for (out, (value, (_, decimals))) in out.iter_mut().zip(self.values.iter().zip(&self.kinds)) {
            *out = *value as f64 / 10f64.powi(*decimals as i32);
        }
    }
}

struct Target {
    model: Model,
    appender: Box<dyn Appender>,
    refs: Vec<SeriesRef>,
    values: Vec<f64>,
    offset: i64,
}

fn labels(target: usize, series: usize) -> Labels {
    let name = format!("metric_{}_total", series / 9);
    let (instance, mode, device) =
        (format!("host-{target:03}:9100"), format!("mode-{}", series % 9), format!("dev{}", series % 3));
    Labels::from_pairs([
        ("__name__", name.as_str()),
        ("instance", instance.as_str()),
        ("job", "fleet"),
        ("mode", mode.as_str()),
        ("device", device.as_str()),
        ("app", if series.is_multiple_of(4) { "svc-1" } else { "svc-2" }),
    ])
}

fn row(what: &str, figure: &str) {
    println!("| {what:<58} | {figure:>16} |");
}

/// Time this thread was on a processor, so that a busy machine changes the figures less.
fn cpu_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn open(folder: &std::path::Path, clock: &Arc<ManualClock>) -> Outcome<Db> {
    Ok(Db::open(folder, Options::default(), Arc::new(RealDisk), Arc::clone(clock) as _)?)
}

/// Opens, and says what that took: of the processor, and by the clock on the wall.
fn opened(folder: &std::path::Path, clock: &Arc<ManualClock>) -> Outcome<(Db, String)> {
    let (began, wall) = (cpu_ns(), Instant::now());
    let db = open(folder, clock)?;
    let (cpu, wall) = ((cpu_ns() - began) as f64 / 1e6, wall.elapsed().as_secs_f64() * 1e3);
    Ok((db, format!("{cpu:.0} ms, {wall:.0} by the clock")))
}

fn resolve(db: &Db, series: usize) -> Outcome<Vec<Target>> {
    let target = |target: usize| -> Outcome<Target> {
        let mut appender = db.appender(Sender(&format!("target-{target}")))?;
        let refs = (0..1_000).map(|n| appender.resolve(&labels(target, n))).collect::<Result<_, _>>()?;
        let model = Model::new(1_000, target as u64);
        Ok(Target { model, appender, refs, values: vec![0.0; 1_000], offset: target as i64 * 37 })
    };
    (0..series / 1_000).map(target).collect()
}

/// Appends scrapes; returns the CPU time of appending alone.
fn scrape_all(targets: &mut [Target], clock: &ManualClock, rounds: std::ops::Range<i64>) -> Outcome<u64> {
    let mut jitter = Seeded::new(rounds.start as u64);
    let mut spent = 0;
    for round in rounds {
        clock.set(Timestamp(START + round * STEP_MS + STEP_MS));
        for target in targets.iter_mut() {
            target.model.step(&mut target.values);
            let time = Timestamp(START + round * STEP_MS + target.offset + jitter.below(7) as i64);
            let began = cpu_ns();
            target.appender.append_row(&target.refs, time, &target.values);
            let committed = target.appender.commit(Durability::Written)?;
            spent += cpu_ns() - began;
            assert_eq!(committed.appended, 1_000);
        }
    }
    Ok(spent)
}

fn scan(db: &Db) -> Outcome<(u64, Duration)> {
    let snapshot = db.snapshot()?;
    let began = cpu_ns();
    let selection = snapshot.select(&[], TimeRange::ALL, &SelectHints::default())?;
    let selected = Duration::from_nanos(cpu_ns() - began);
    let mut cursor = selection.reader.cursor();
    let (mut samples, mut sum) = (0, 0.0);
    let began = cpu_ns();
    for id in 0..selection.labels.len() {
        let column = cursor.read(SelectedId(id as u32))?;
        samples += column.values.len() as u64;
        sum += column.values.iter().sum::<f64>();
    }
    let spent = Duration::from_nanos(cpu_ns() - began);
    row("select of all series", &format!("{:.1} ms", selected.as_secs_f64() * 1e3));
    assert!(!sum.is_nan());
    Ok((samples, spent))
}

/// Seals the head, merges the parts, and reads both.
fn sealed_and_final(db: &Db, samples: f64) -> Outcome<()> {
    let began = cpu_ns();
    db.seal_all()?;
    row("seal", &format!("{:.1} ns/sample", (cpu_ns() - began) as f64 / samples));
    let stats = db.stats();
    row("parts as sealed", &format!("{:.3} B/sample", stats.part_bytes as f64 / stats.part_samples as f64));
    let (read, spent) = scan(db)?;
    row("scan of sealed parts", &format!("{:.0} M samples/s", read as f64 / spent.as_secs_f64() / 1e6));
    let began = cpu_ns();
    db.flush()?;
    row("merge to the final form", &format!("{:.1} ns/sample", (cpu_ns() - began) as f64 / samples));
    let stats = db.stats();
    row(
        "parts in their final form, with index",
        &format!("{:.3} B/sample", stats.part_bytes as f64 / stats.part_samples as f64),
    );
    let (read, spent) = scan(db)?;
    row("scan of the final form", &format!("{:.0} M samples/s", read as f64 / spent.as_secs_f64() / 1e6));
    let snapshot = db.snapshot()?;
    let matcher = [Matcher::new("instance", MatchOp::Regex, "host-00[1-3].*")?];
    let began = cpu_ns();
    let found = snapshot.series(&[matcher.to_vec()], TimeRange::ALL, 0)?.items.len();
    row(&format!("series by regex ({found})"), &format!("{:.2} ms", (cpu_ns() - began) as f64 / 1e6));
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let series = arguments.next().transpose()?.unwrap_or(20_000);
    let scrapes = arguments.next().transpose()?.unwrap_or(480) as i64;
    let folder = std::env::temp_dir().join(format!("tsdb-figures-{}", std::process::id()));
    let clock = Arc::new(ManualClock::at(Timestamp(START)));
    println!("| {series} series, {scrapes} scrapes | |\n| --- | ---: |");

    let db = open(&folder, &clock)?;
    let began = cpu_ns();
    let mut targets = resolve(&db, series)?;
    row("resolve of a new series", &format!("{:.0} ns", (cpu_ns() - began) as f64 / series as f64));
    let outside: usize =
        targets.iter().map(|target| target.values.capacity() * 24 + target.model.kinds.len() * 48).sum();
    let before = HEAP.load(Ordering::Relaxed);
    let samples = series as f64 * scrapes as f64;

    let spent = scrape_all(&mut targets, &clock, 0..scrapes)?;
    row("append: log and head", &format!("{:.1} ns/sample", spent as f64 / samples));
    let heap = HEAP.load(Ordering::Relaxed) - outside;
    row("heap, all of the process but the generator", &format!("{:.0} B/series", heap as f64 / series as f64));
    row(
        "of that since the series were resolved",
        &format!("{:.0} B/series", (heap + outside - before) as f64 / series as f64),
    );
    let stats = db.stats();
    row("head by its own count", &format!("{:.0} B/series", stats.head_bytes as f64 / series as f64));
    row("log and spill", &format!("{:.3} B/sample", stats.log_and_head_bytes as f64 / samples));

    drop(db);
    drop(targets);
    let (db, figure) = opened(&folder, &clock)?;
    row(&format!("open without a checkpoint, {samples} samples in the log"), &figure);
    let began = cpu_ns();
    db.checkpoint()?;
    row("checkpoint", &format!("{:.0} ms", (cpu_ns() - began) as f64 / 1e6));
    let mut targets = resolve(&db, series)?;
    let more = (2_000_000 / series as i64).max(1);
    scrape_all(&mut targets, &clock, scrapes..scrapes + more)?;
    drop(targets);
    drop(db);
    let (db, figure) = opened(&folder, &clock)?;
    row(&format!("open after a kill, {} samples behind the checkpoint", more as usize * series), &figure);

    sealed_and_final(&db, samples + (more as usize * series) as f64)?;
    drop(db);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
