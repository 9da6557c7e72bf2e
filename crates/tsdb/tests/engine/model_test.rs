//! Random operations, compared with the in-memory twin after each start: whatever the engine acknowledged is there, bit
//! for bit, and nothing else is.
//!
//! Both are written through the same `Appender` contract. On a disk that fails now and then an operation may fail; a
//! failed batch must be there as a whole or not at all, and the twin follows whichever it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::histogram::{Histogram, IntHistogram, Span};
use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::memory::MemoryStorage;
use model::storage::{Appendable, Appender, Durability, SampleValue, Sender, StorageError, TimeRange, stale_nan};
use model::time::{Clock, ManualClock, Timestamp};
use tsdb::db::Db;
use tsdb::io::{Fault, FaultKind, FaultyDisk};
use tsdb::options::Options;
use tsdb::seeded::Seeded;

use crate::world::{self, START, contents};

const SERIES: u64 = 90;

fn settings(seed: u64) -> Options {
    Options {
        out_of_order_window: Duration::from_secs(if seed.is_multiple_of(2) { 0 } else { 900 }),
        segment_bytes: if seed.is_multiple_of(3) { 20_000 } else { 1 << 20 },
        checkpoint_samples: 3_000,
        late_samples_max: 500,
        idle: Duration::from_secs(120),
        ..world::options()
    }
}

fn labels(n: u64) -> Labels {
    world::series(if n < SERIES / 2 { "a" } else { "b" }, n as usize)
}

/// Within a batch a series has samples of one kind: floats and histograms of a batch are judged one after the other.
fn value(random: &mut Seeded, n: u64, histograms: bool) -> (SampleValue, i64) {
    let float = match random.below(8) {
        0 => stale_nan(),
        1 => f64::from_bits(random.bits()),
        2 => -0.0,
        3 | 4 => 5.0,
        5 => random.below(1000) as f64 / 8.0,
        _ => random.below(1 << 40) as f64,
    };
    let start = if n.is_multiple_of(11) { START - 77 } else { 0 };
    if !n.is_multiple_of(13) || !histograms {
        return (SampleValue::Float(float), start);
    }
    let spans = vec![Span { offset: random.below(9) as i32 - 4, length: 2 }];
    if random.one_in(2) {
        let deltas = vec![random.below(100) as i64, -(random.below(5) as i64)];
        let histogram = IntHistogram {
            count: random.below(1000),
            sum: float,
            positive_spans: spans,
            positive_deltas: deltas,
            ..IntHistogram::default()
        };
        return (SampleValue::IntHistogram(Arc::new(histogram)), start);
    }
    let histogram = Histogram {
        count: 2.5,
        sum: float,
        negative_spans: spans,
        negative_buckets: vec![0.5, 2.0],
        ..Histogram::default()
    };
    (SampleValue::Histogram(Arc::new(histogram)), start)
}

/// The engine, its twin, and what moves them.
struct World {
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    settings: Options,
    db: Db,
    twin: MemoryStorage,
    random: Seeded,
    seed: u64,
}

type BatchSamples = Vec<(u64, Timestamp, SampleValue, i64)>;

fn hand_over(appender: &mut dyn Appender, batch: &BatchSamples) {
    for (n, time, value, start) in batch {
        let series = appender.resolve(&labels(*n)).expect("there is room");
        appender.append_value(series, *time, value, *start);
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let (disk, clock, settings) = (FaultyDisk::new(seed), world::clock(), settings(seed));
        let db = world::open_with(&disk, settings.clone(), &clock);
        let twin = MemoryStorage::with_out_of_order_window(settings.out_of_order_window);
        Self { disk, clock, settings, db, twin, random: Seeded::new(seed), seed }
    }

    fn batch(&mut self) -> BatchSamples {
        let now = self.clock.now().millis();
        let random = &mut self.random;
        let whole = random.one_in(2);
        let count = if whole { SERIES } else { random.below(60) };
        let scrape_time = now + random.below(5) as i64;
        let histograms = random.one_in(2);
        (0..count)
            .map(|at| {
                let n = if whole { at } else { random.below(SERIES) };
                let time = match random.below(20) {
                    0 => now - random.below(1_500_000) as i64,
                    1 => now + random.below(500) as i64,
                    _ => scrape_time,
                };
                let (value, start) = value(random, n, histograms);
                (n, Timestamp(time), value, start)
            })
            .collect()
    }

    /// Writes a batch to both; a batch that failed in the engine is given to the twin only if the engine has it.
    fn append(&mut self) {
        let batch = self.batch();
        let mut appender = self.db.appender(Sender("model")).expect("it is open");
        hand_over(&mut *appender, &batch);
        let durability = if self.random.one_in(4) { Durability::Synced } else { Durability::Written };
        let outcome = appender.commit(durability);
        let mut twin = self.twin.appender(Sender("model")).expect("memory");
        hand_over(&mut *twin, &batch);
        match outcome {
            Ok(committed) => {
                let expected = twin.commit(durability).expect("memory");
                let found = (committed.appended, committed.duplicates, committed.refused.len());
                let reasons = |c: &model::storage::Committed| -> Vec<_> {
                    let mut reasons: Vec<_> = c.refused.iter().map(|r| (r.time, r.reason.clone())).collect();
                    reasons.sort_by_key(|(time, reason)| (*time, reason.to_string()));
                    reasons
                };
                // Of late samples that are there already the engine recognises only some.
                if committed.late == 0 && expected.late == 0 {
                    let wanted = (expected.appended, expected.duplicates, expected.refused.len());
                    assert_eq!(found, wanted, "seed {}", self.seed);
                    assert_eq!(reasons(&committed), reasons(&expected), "seed {}", self.seed);
                }
            }
            // It is visible and may be kept.
            Err(StorageError::NotSynced(_)) => drop(twin.commit(durability).expect("memory")),
            Err(_) => twin.rollback(),
        }
    }

    fn delete(&mut self) {
        let now = self.clock.now().millis();
        let from = now - self.random.below(3_000_000) as i64;
        let range = TimeRange::new(Timestamp(from), Timestamp(from + self.random.below(900_000) as i64));
        let pattern = format!("{}.*", self.random.below(9));
        let matchers = [Matcher::new("n", MatchOp::Regex, &pattern).expect("the pattern compiles")];
        if self.db.delete(&matchers, range).is_ok() {
            self.twin.delete(&matchers, range);
        } else {
            // Half a deletion is none for readers; on disk the manifest was replaced or not.
            self.reopen();
            let missing: BTreeMap<_, _> = contents(&self.db);
            if missing != contents(&self.twin) {
                self.twin.delete(&matchers, range);
            }
        }
    }

    fn reopen(&mut self) {
        self.disk = self.disk.kill();
        self.db = world::open_with(&self.disk, self.settings.clone(), &self.clock);
    }

    fn step(&mut self) {
        self.clock.advance(Duration::from_millis(5_000 + self.random.below(20_000)));
        match self.random.below(100) {
            0..75 => self.append(),
            75..80 => self.delete(),
            80..90 => drop(self.db.maintain()),
            90..92 => drop(self.db.checkpoint()),
            92..94 => drop(self.db.seal_all()),
            94 => drop(self.db.flush()),
            95 => drop(self.db.clean_tombstones()),
            96 => self.clock.advance(Duration::from_secs(700)),
            _ => self.reopen(),
        }
    }

    #[track_caller]
    fn compare(&self, step: usize) {
        let (found, expected) = (contents(&self.db), contents(&self.twin));
        for (labels, rows) in &expected {
            let found = found.get(labels).map(Vec::as_slice).unwrap_or_default();
            if found != rows.as_slice() {
                let missing: Vec<_> = rows.iter().filter(|row| !found.contains(row)).take(5).collect();
                let extra: Vec<_> = found.iter().filter(|row| !rows.contains(row)).take(5).collect();
                panic!("seed {} step {step} {labels}: missing {missing:?}, not asked for {extra:?}", self.seed);
            }
        }
        assert_eq!(found.len(), expected.len(), "seed {} step {step}", self.seed);
    }
}

#[test]
fn random_operations_agree_with_the_twin() {
    for seed in 0..tests::depth::pick(3, 200) {
        let mut world = World::new(seed);
        for step in 0..150 {
            world.step();
            if step % 30 == 29 {
                world.compare(step);
            }
        }
        world.reopen();
        world.compare(150);
    }
}

#[test]
fn random_operations_on_a_failing_disk_lose_nothing_acknowledged() {
    for seed in 100..tests::depth::pick(105, 300) {
        let mut world = World::new(seed);
        for step in 0..120 {
            if world.random.one_in(3) {
                let kind = [FaultKind::Io, FaultKind::NoSpace, FaultKind::ReadOnly][world.random.below(3) as usize];
                let at = world.disk.operations() + world.random.below(40);
                world.disk.fail_at(at, Fault { kind, short_write: world.random.one_in(2), sticky: false });
            }
            world.step();
            if step % 30 == 29 {
                // Reading must not meet the injected fault: this is about what was kept.
                world.disk.heal();
                world.compare(step);
            }
        }
        world.reopen();
        world.compare(120);
    }
}
