//! The thirteen workloads (and one more) of the storage's figures: what senders do, from tidy scrapes to the worst.
//!
//! Each is a function that hands series and batches to a [`Sink`]: our storage, or a peer behind its HTTP interface.
//! The same plan gives the same samples, whoever gets them.

#![allow(clippy::needless_range_loop, reason = "the number of the target is also part of the data")]

use std::collections::BTreeMap;

use model::labels::Labels;
use model::storage::stale_nan;
use tsdb::seeded::Seeded;

use crate::Outcome;
use crate::fleet::{Target, value};

pub(crate) const STEP_MS: i64 = 15_000;
const SERIES_OF_TARGET: usize = 1_000;
/// Samples of one remote-write request: Prometheus's own default.
const REQUEST: usize = 2_000;

/// One sample: its series as [`Sink::series`] numbered it.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) series: u32,
    pub(crate) time: i64,
    pub(crate) value: f64,
}

/// Who takes the samples.
pub(crate) trait Sink {
    /// A new series; they are numbered as they come.
    fn series(&mut self, labels: &Labels) -> u32;
    /// What one sender hands over at once.
    fn batch(&mut self, sender: usize, rows: &[Row]) -> Outcome<()>;
    /// It is now so late; called once for each scrape interval.
    fn tick(&mut self, now: i64) -> Outcome<()>;
}

/// How much, and when.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) targets: usize,
    pub(crate) scrapes: i64,
    /// The beginning of a window.
    pub(crate) start: i64,
}

pub(crate) type Workload = fn(Plan, &mut dyn Sink) -> Outcome<()>;

/// Name, generator, and whether it has late samples.
pub(crate) const WORKLOADS: [(&str, Workload, bool); 14] = [
    ("scrape, jitter", |plan, sink| scrape(plan, sink, Scrape { jitter: true, ..Scrape::default() }), false),
    ("scrape, aligned", |plan, sink| scrape(plan, sink, Scrape::default()), false),
    ("churn 10 %/min", |plan, sink| scrape(plan, sink, Scrape { jitter: true, turned: (5, 2), order: false }), false),
    (
        "churn 100 %/h",
        |plan, sink| scrape(plan, sink, Scrape { jitter: true, turned: (100, 240), order: false }),
        false,
    ),
    ("order changes", |plan, sink| scrape(plan, sink, Scrape { jitter: true, turned: (0, 1), order: true }), false),
    ("shuffled, own ms", |plan, sink| shuffled(plan, sink, true), false),
    ("shuffled, target's time", |plan, sink| shuffled(plan, sink, false), false),
    ("backfill, 40 a request", backfill, false),
    ("honor_timestamps", honor, false),
    ("sparse pushes", sparse, false),
    ("1 s and 60 s", two_intervals, false),
    ("late 1 %", |plan, sink| late(plan, sink, 1), true),
    ("late 10 %", |plan, sink| late(plan, sink, 10), true),
    ("rule outputs", rules, false),
];

/// Exporters and the numbers of their series.
struct Fleet {
    targets: Vec<Target>,
    ids: Vec<Vec<u32>>,
    random: Seeded,
    start: i64,
}

impl Fleet {
    fn new(plan: Plan, sink: &mut dyn Sink) -> Self {
        let targets: Vec<Target> = (0..plan.targets).map(|id| Target::new(id, SERIES_OF_TARGET, 1)).collect();
        let ids_of = |target: &Target| (0..target.series.len()).map(|at| sink.series(&target.labels(at))).collect();
        let ids = targets.iter().map(ids_of).collect();
        Self { targets, ids, random: Seeded::new(7), start: plan.start }
    }

    /// Each target has its own moment within the interval.
    fn time(&self, target: usize, round: i64) -> i64 {
        self.start + round * STEP_MS + 100 + (target as i64 * 7_919) % 14_500
    }

    /// Milliseconds around zero, of about 3; once in a hundred times up to 200.
    fn jitter(&mut self) -> i64 {
        let around: u64 = (0..4).map(|_| self.random.below(6)).sum();
        around as i64 - 10 + if self.random.one_in(100) { self.random.below(200) as i64 } else { 0 }
    }

    fn rows(&self, target: usize, time: i64, into: &mut Vec<Row>) {
        let series = self.targets[target].series.iter().zip(&self.ids[target]);
        into.extend(series.map(|(series, id)| Row { series: *id, time, value: value(series) }));
    }
}

fn shuffle<T>(items: &mut [T], random: &mut Seeded) {
    for at in (1..items.len()).rev() {
        items.swap(at, random.below(at as u64 + 1) as usize);
    }
}

#[derive(Clone, Copy)]
struct Scrape {
    jitter: bool,
    /// Hundredths of the series that are replaced in each round, as a fraction.
    turned: (u64, u64),
    /// Whether the order of the lines changes.
    order: bool,
}

impl Default for Scrape {
    fn default() -> Self {
        Self { jitter: false, turned: (0, 1), order: false }
    }
}

fn scrape(plan: Plan, sink: &mut dyn Sink, how: Scrape) -> Outcome<()> {
    let mut fleet = Fleet::new(plan, sink);
    let mut rows = Vec::new();
    for round in 0..plan.scrapes {
        sink.tick(plan.start + (round + 1) * STEP_MS)?;
        for target in 0..plan.targets {
            rows.clear();
            let time = fleet.time(target, round) + if how.jitter { fleet.jitter() } else { 0 };
            for at in fleet.targets[target].churn_to(round as u64 * how.turned.0 / how.turned.1) {
                // What is gone gets its marker, as a scrape loop writes it.
                rows.push(Row { series: fleet.ids[target][at], time, value: stale_nan() });
                fleet.ids[target][at] = sink.series(&fleet.targets[target].labels(at));
            }
            fleet.targets[target].step();
            fleet.rows(target, time, &mut rows);
            if how.order {
                shuffle(&mut rows, &mut fleet.random);
            }
            sink.batch(target, &rows)?;
        }
    }
    Ok(())
}

/// Remote write whose requests mix all targets; each sample with a millisecond of its own, or with its target's.
fn shuffled(plan: Plan, sink: &mut dyn Sink, own: bool) -> Outcome<()> {
    let mut fleet = Fleet::new(plan, sink);
    let mut rows = Vec::new();
    for round in 0..plan.scrapes {
        sink.tick(plan.start + (round + 1) * STEP_MS)?;
        rows.clear();
        for target in 0..plan.targets {
            fleet.targets[target].step();
            let time = fleet.time(target, round) + fleet.jitter();
            let from = rows.len();
            fleet.rows(target, time, &mut rows);
            if own {
                rows[from..].iter_mut().for_each(|row| row.time += fleet.jitter());
            }
        }
        shuffle(&mut rows, &mut fleet.random);
        for request in rows.chunks(REQUEST) {
            sink.batch(0, request)?;
        }
    }
    Ok(())
}

/// Forty samples of a series, then forty of the next.
fn backfill(plan: Plan, sink: &mut dyn Sink) -> Outcome<()> {
    const RUN: i64 = 40;
    let mut fleet = Fleet::new(plan, sink);
    for first in (0..plan.scrapes).step_by(RUN as usize) {
        sink.tick(plan.start + (first + RUN) * STEP_MS)?;
        for target in 0..plan.targets {
            let mut rounds: Vec<Vec<Row>> = Vec::new();
            for round in first..(first + RUN).min(plan.scrapes) {
                fleet.targets[target].step();
                let (time, mut rows) = (fleet.time(target, round) + fleet.jitter(), Vec::new());
                fleet.rows(target, time, &mut rows);
                rounds.push(rows);
            }
            let mut request = Vec::new();
            for at in 0..fleet.ids[target].len() {
                request.extend(rounds.iter().map(|rows| rows[at]));
                if request.len() >= REQUEST || at + 1 == fleet.ids[target].len() {
                    sink.batch(0, &request)?;
                    request.clear();
                }
            }
        }
    }
    Ok(())
}

/// Groups of twenty series have a time of their own, which one scrape in ten sees again (with another value).
fn honor(plan: Plan, sink: &mut dyn Sink) -> Outcome<()> {
    const GROUP: usize = 20;
    let mut fleet = Fleet::new(plan, sink);
    let mut times = vec![vec![0; SERIES_OF_TARGET.div_ceil(GROUP)]; plan.targets];
    let mut rows = Vec::new();
    for round in 0..plan.scrapes {
        sink.tick(plan.start + (round + 1) * STEP_MS)?;
        for target in 0..plan.targets {
            fleet.targets[target].step();
            rows.clear();
            fleet.rows(target, 0, &mut rows);
            for (group, rows) in rows.chunks_mut(GROUP).enumerate() {
                let time = &mut times[target][group];
                if *time == 0 || !fleet.random.one_in(10) {
                    *time = plan.start + (round + 1) * STEP_MS - 1 - fleet.random.below(14_000) as i64;
                }
                rows.iter_mut().for_each(|row| row.time = *time);
            }
            sink.batch(target, &rows)?;
        }
    }
    Ok(())
}

/// Five series together, about every ten minutes, at any millisecond.
fn sparse(plan: Plan, sink: &mut dyn Sink) -> Outcome<()> {
    const GROUP: usize = 5;
    let mut fleet = Fleet::new(plan, sink);
    let mut rows = Vec::new();
    for round in 0..plan.scrapes {
        sink.tick(plan.start + (round + 1) * STEP_MS)?;
        fleet.targets.iter_mut().for_each(Target::step);
        let mut pushes = Vec::new();
        for target in 0..plan.targets {
            for group in 0..SERIES_OF_TARGET / GROUP {
                // One in forty intervals: ten minutes on average.
                if fleet.random.one_in(40) {
                    pushes.push((
                        plan.start + round * STEP_MS + fleet.random.below(STEP_MS as u64) as i64,
                        target,
                        group,
                    ));
                }
            }
        }
        pushes.sort_unstable();
        for (time, target, group) in pushes {
            rows.clear();
            fleet.rows(target, time, &mut rows);
            sink.batch(0, &rows[group * GROUP..(group + 1) * GROUP])?;
        }
    }
    Ok(())
}

/// One sender: the series of one target each second, those of the others each minute.
fn two_intervals(plan: Plan, sink: &mut dyn Sink) -> Outcome<()> {
    let mut fleet = Fleet::new(plan, sink);
    let mut rows = Vec::new();
    for second in 0..plan.scrapes * STEP_MS / 1_000 {
        let now = plan.start + second * 1_000;
        if second % 15 == 14 {
            sink.tick(now)?;
        }
        let every = if second % 60 == 7 { plan.targets } else { 1 };
        for target in 0..every {
            fleet.targets[target].step();
            rows.clear();
            fleet.rows(target, now + 20 + target as i64, &mut rows);
            sink.batch(0, &rows)?;
        }
    }
    Ok(())
}

/// Some samples come up to forty scrapes later than their neighbours.
fn late(plan: Plan, sink: &mut dyn Sink, per_cent: u64) -> Outcome<()> {
    let mut fleet = Fleet::new(plan, sink);
    let mut waiting: BTreeMap<(i64, usize), Vec<Row>> = BTreeMap::new();
    let mut rows = Vec::new();
    for round in 0..plan.scrapes {
        sink.tick(plan.start + (round + 1) * STEP_MS)?;
        for target in 0..plan.targets {
            fleet.targets[target].step();
            rows.clear();
            let time = fleet.time(target, round) + fleet.jitter();
            fleet.rows(target, time, &mut rows);
            rows.retain(|row| {
                let held = fleet.random.below(100) < per_cent && round + 41 < plan.scrapes;
                if held {
                    let until = round + 1 + fleet.random.below(40) as i64;
                    waiting.entry((until, target)).or_default().push(*row);
                }
                !held
            });
            rows.extend(waiting.remove(&(round, target)).unwrap_or_default());
            sink.batch(target, &rows)?;
        }
    }
    Ok(())
}

/// Results of recording rules every 30 seconds: half of them quotients with all digits, half counts.
fn rules(plan: Plan, sink: &mut dyn Sink) -> Outcome<()> {
    let mut fleet = Fleet::new(plan, sink);
    let mut walks = vec![vec![500_000_i64; SERIES_OF_TARGET]; plan.targets];
    let mut rows = Vec::new();
    for round in 0..plan.scrapes / 2 {
        let time = plan.start + round * 2 * STEP_MS + 100;
        sink.tick(time)?;
        for target in 0..plan.targets {
            fleet.targets[target].step();
            rows.clear();
            fleet.rows(target, time + target as i64 * 311, &mut rows);
            for (at, row) in rows.iter_mut().enumerate().filter(|(at, _)| at % 2 == 0) {
                let walk = &mut walks[target][at];
                *walk += fleet.random.below(20_001) as i64 - 10_000;
                row.value = *walk as f64 / 299.987;
            }
            sink.batch(target, &rows)?;
        }
    }
    Ok(())
}
