//! The samples both engines see: what operators have on their machines, odd values, native histograms, and for every
//! query of a guide series that it selects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::histogram::{Histogram, Span};
use model::labels::Labels;
use model::matcher::MatchOp;
use model::memory::MemoryStorage;
use model::storage::{SampleValue, stale_nan};
use model::time::Timestamp;
use promql::syntax::ast::Expr;
use promql::syntax::{ParseOptions, parse};

use super::wire::Points;
use crate::properties::Dice;

/// When the samples begin. On a whole hour, so that steps and subqueries meet samples exactly.
pub(crate) const START: i64 = 1_700_002_800_000;

/// Samples of a regular series; a little less than the hour that an empty Prometheus takes in any order of series.
const SAMPLES: i64 = 238;

const DISTANCE_MS: i64 = 15_000;

const BOUNDS: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

/// All series, by labels.
pub(crate) type World = BTreeMap<Labels, Points>;

fn times() -> impl Iterator<Item = i64> {
    (0..SAMPLES).map(|at| START + at * DISTANCE_MS)
}

fn counter(dice: &mut Dice, grows_by: u64) -> Points {
    let mut value = dice.below(1_000) as f64;
    let next = |time| {
        value = if dice.once_in(150) { dice.below(5) as f64 } else { value + dice.below(grows_by + 1) as f64 };
        (time, value)
    };
    Points::Floats(times().map(next).collect())
}

fn gauge(dice: &mut Dice) -> Points {
    let values = times().map(|time| (time, dice.below(2_000_000) as f64 / 1_000.0 - 300.0));
    Points::Floats(values.collect())
}

/// Irregular, with gaps, markers, NaN and infinities.
fn odd(dice: &mut Dice, is_counter: bool) -> Points {
    let end = START + SAMPLES * DISTANCE_MS;
    let shifted = |time: i64| time + START;
    let samples = crate::properties::samples(dice, is_counter).into_iter().map(|(time, value)| (shifted(time), value));
    Points::Floats(samples.filter(|(time, _)| *time < end).collect())
}

/// The cumulative buckets of one histogram.
fn buckets(dice: &mut Dice, bounds: &[&str]) -> Vec<Points> {
    let mut counts = vec![0.0; bounds.len()];
    let mut columns: Vec<Vec<(i64, f64)>> = vec![Vec::new(); bounds.len()];
    for time in times() {
        if dice.once_in(120) {
            counts.fill(0.0);
        }
        for _ in 0..dice.below(20) {
            let lowest = dice.below(bounds.len() as u64) as usize;
            counts[lowest..].iter_mut().for_each(|count| *count += 1.0);
        }
        columns.iter_mut().zip(&counts).for_each(|(column, count)| column.push((time, *count)));
    }
    columns.into_iter().map(Points::Floats).collect()
}

fn native(dice: &mut Dice, schema: i32) -> Points {
    let mut populations = [0.0; 6];
    let mut zero = 0.0;
    let mut sum = 0.0;
    let next = |time| {
        if dice.once_in(100) {
            populations = [0.0; 6];
            (zero, sum) = (0.0, 0.0);
        }
        for _ in 0..dice.below(12) {
            populations[dice.below(6) as usize] += 1.0;
            sum += dice.below(1_000) as f64 / 250.0;
        }
        zero += dice.below(2) as f64;
        let histogram = Histogram {
            schema,
            zero_threshold: 0.001,
            zero_count: zero,
            count: zero + populations.iter().sum::<f64>(),
            sum,
            positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 2 }],
            positive_buckets: populations[..4].to_vec(),
            negative_spans: vec![Span { offset: 1, length: 2 }],
            negative_buckets: populations[4..].to_vec(),
            ..Histogram::default()
        };
        (time, Arc::new(histogram))
    };
    Points::Histograms(times().map(next).collect())
}

fn put(world: &mut World, name: &str, pairs: &[(&str, &str)], points: Points) {
    let all = pairs.iter().copied().chain([("__name__", name)]);
    world.insert(Labels::from_pairs(all), points);
}

/// What the written and the generated queries ask for.
fn usual(world: &mut World) {
    let mut dice = Dice::new(7);
    for instance in ["host-003:9100", "host-012:9100"] {
        let base = [("instance", instance), ("job", "fleet")];
        let with = |more: &[(&'static str, &'static str)]| [&base[..], more].concat();
        for endpoint in ["/a", "/b"] {
            for status in ["200", "404", "500", "503"] {
                let labels = with(&[("endpoint", endpoint), ("status", status)]);
                put(world, "http_requests_total", &labels, counter(&mut dice, 9));
            }
            for (bound, points) in BOUNDS.iter().zip(buckets(&mut dice, &BOUNDS)) {
                let labels = with(&[("endpoint", endpoint), ("le", *bound)]);
                put(world, "http_request_duration_seconds_bucket", &labels, points);
            }
            put(
                world,
                "latency",
                &with(&[("endpoint", endpoint)]),
                native(&mut dice, if endpoint == "/a" { 1 } else { 2 }),
            );
        }
        for mode in ["idle", "user", "system"] {
            put(world, "node_cpu_seconds_total", &with(&[("cpu", "0"), ("mode", mode)]), counter(&mut dice, 15));
        }
        for mountpoint in ["/", "/run", "/data"] {
            put(world, "node_filesystem_avail_bytes", &with(&[("mountpoint", mountpoint)]), gauge(&mut dice));
        }
        put(world, "node_load1", &base, gauge(&mut dice));
        put(world, "cache_hits_total", &base, counter(&mut dice, 30));
        put(world, "cache_misses_total", &base, counter(&mut dice, 3));
    }
    for job in ["api", "db"] {
        for instance in ["1", "2", "3"] {
            let labels = [("job", job), ("instance", instance)];
            for (name, is_counter) in
                [("requests_total", true), ("errors_total", true), ("load", false), ("temperature", false)]
            {
                put(world, name, &labels, odd(&mut dice, is_counter));
            }
        }
        put(
            world,
            "build_info",
            &[("job", job), ("instance", "1"), ("version", "1.2")],
            Points::Floats(times().map(|t| (t, 1.0)).collect()),
        );
    }
    put(
        world,
        "ends_early",
        &[],
        Points::Floats(
            times()
                .take(40)
                .chain([START + 40 * DISTANCE_MS])
                .map(|t| (t, if t == START + 40 * DISTANCE_MS { stale_nan() } else { 1.0 }))
                .collect(),
        ),
    );
}

/// Labels the selectors of a query ask for, by metric, and the labels it groups by.
#[derive(Default)]
struct Asked {
    metrics: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    grouping: BTreeSet<String>,
}

impl Asked {
    fn walk(&mut self, expr: &Expr) {
        let selector = match expr {
            Expr::Vector(selector) => Some(&**selector),
            Expr::Matrix(matrix) => Some(&matrix.selector),
            Expr::Aggregate(aggregate) if !aggregate.without => {
                self.grouping.extend(aggregate.grouping.iter().cloned());
                None
            }
            _ => None,
        };
        let name = selector.and_then(|s| s.matchers.iter().find(|m| &*m.name == "__name__" && m.op == MatchOp::Equal));
        if let (Some(selector), Some(name)) = (selector, name) {
            let labels = self.metrics.entry(name.value.to_string()).or_default();
            for matcher in selector.matchers.iter().filter(|m| &*m.name != "__name__") {
                let candidates = ["200", "404", "500", "503", "hit", "success", &*matcher.value];
                let fits = candidates.into_iter().filter(|value| matcher.matches(value));
                let values = labels.entry(matcher.name.to_string()).or_default();
                values.extend(fits.take(2).map(str::to_owned));
                values.insert("other".to_owned());
            }
        }
        for child in expr.children() {
            self.walk(child);
        }
    }
}

/// Series for the metrics nobody has put there yet.
fn asked_for(world: &mut World, queries: &[String]) {
    let mut asked = Asked::default();
    for query in queries {
        if let Ok(expr) = parse(query, ParseOptions::default()) {
            asked.walk(&expr);
        }
    }
    let known: BTreeSet<String> = world.keys().map(|labels| labels.metric_name().to_owned()).collect();
    let mut dice = Dice::new(11);
    for (name, labels) in asked.metrics.iter().filter(|(name, _)| !known.contains(*name)) {
        for variant in 0..4u64 {
            let mut pairs: Vec<(&str, &str)> =
                vec![("job", "app"), ("instance", if variant % 2 == 0 { "a" } else { "b" })];
            for grouping in asked.grouping.iter().filter(|label| *label != "le") {
                pairs.push((grouping.as_str(), if variant < 2 { "x" } else { "y" }));
            }
            for (label, values) in labels.iter().filter(|(label, _)| *label != "le") {
                let values: Vec<&String> = values.iter().collect();
                pairs.push((label.as_str(), values[(variant % values.len() as u64) as usize].as_str()));
            }
            if name.ends_with("_bucket") {
                let bounds: Vec<&str> = ["0.5", "0.7", "0.8", "1.0", "2.5", "+Inf"].to_vec();
                for (bound, points) in bounds.iter().zip(buckets(&mut dice, &bounds)) {
                    let with: Vec<(&str, &str)> = pairs.iter().copied().chain([("le", *bound)]).collect();
                    put(world, name, &with, points);
                }
            } else if ["_total", "_sum", "_count"].iter().any(|ending| name.ends_with(ending)) {
                put(world, name, &pairs, counter(&mut dice, 12));
            } else {
                put(world, name, &pairs, gauge(&mut dice));
            }
        }
    }
}

/// Everything the queries look at.
pub(crate) fn world(queries: &[String]) -> World {
    let mut world = World::new();
    usual(&mut world);
    asked_for(&mut world, queries);
    world
}

/// The same in our storage.
pub(crate) fn storage(world: &World) -> Arc<MemoryStorage> {
    let storage = MemoryStorage::new();
    for (labels, points) in world {
        match points {
            Points::Floats(samples) => {
                for (time, value) in samples {
                    storage.put_float(labels, Timestamp(*time), *value);
                }
            }
            Points::Histograms(samples) => {
                for (time, histogram) in samples {
                    storage.put(labels, Timestamp(*time), SampleValue::Histogram(Arc::clone(histogram)), 0);
                }
            }
        }
    }
    Arc::new(storage)
}
