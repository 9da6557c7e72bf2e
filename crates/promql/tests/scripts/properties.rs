//! Generated queries over generated data: the engine against the reference, and against itself.
//!
//! Seeds are fixed, so a failure comes again; it prints the seed and the query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::memory::MemoryStorage;
use model::query::{PointValue, QueryError, QueryOptions, Steps, Value};
use model::storage::stale_nan;
use model::time::{SystemClock, Timestamp};
use promql::engine::{Engine, Features, Prepared, Settings, When};

use crate::reference::{self, Data, Reference};

/// How many queries each property tries. Enough to meet every production of the generator many times, few enough
/// for a second. `PROPERTY_QUERIES` asks for more.
const QUERIES: u64 = 40;

/// Numbers that look random and are always the same (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Counters with resets, gauges with odd values, gaps, markers, irregular distances, values on range borders.
fn data(seed: u64) -> Data {
    let mut dice = Dice::new(seed);
    let mut out = Vec::new();
    for (name, counter) in [("requests_total", true), ("errors_total", true), ("load", false), ("temperature", false)] {
        for job in ["api", "db"] {
            for instance in ["1", "2", "3"] {
                if dice.once_in(8) {
                    continue;
                }
                let labels = Labels::from_pairs([("__name__", name), ("job", job), ("instance", instance)]);
                out.push((labels, samples(&mut dice, counter)));
            }
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn samples(dice: &mut Dice, counter: bool) -> Vec<(i64, f64)> {
    let mut out = Vec::new();
    let mut time = dice.below(60_000) as i64;
    let mut value = 0.0;
    while time < 3_600_000 {
        value = match (counter, dice.below(40)) {
            (true, 0) => 0.0,
            (true, more) => value + more as f64,
            (false, 0) => f64::NAN,
            (false, 1) => f64::INFINITY,
            (false, number) => number as f64 - 20.5,
        };
        out.push((time, if dice.once_in(40) { stale_nan() } else { value }));
        time += match dice.below(20) {
            0 => 400_000,
            1..=4 => 15_000 + dice.below(3) as i64 - 1,
            _ => 15_000,
        };
    }
    out
}

fn storage(data: &Data) -> Arc<MemoryStorage> {
    let storage = MemoryStorage::new();
    for (labels, samples) in data {
        for (time, value) in samples {
            storage.put_float(labels, Timestamp(*time), *value);
        }
    }
    Arc::new(storage)
}

fn engine(data: &Data, change: impl FnOnce(&mut Settings)) -> Engine {
    let mut settings = Settings { timeout: Duration::from_secs(60), ..Settings::default() };
    settings.features = Features { experimental_functions: true, ..Features::default() };
    change(&mut settings);
    Engine::new(storage(data), settings, Arc::new(SystemClock::new()))
}

/// Makes queries the reference knows.
struct Generator {
    dice: Dice,
}

impl Generator {
    fn selector(&mut self) -> String {
        let name = self.dice.pick(&["requests_total", "errors_total", "load", "temperature"]);
        let matchers = match self.dice.below(6) {
            0 => self.dice.pick(&[r#"{job="api"}"#, r#"{instance!="2"}"#, r#"{instance=~"1|3"}"#]),
            1 => return r#"{__name__=~"requests_total|errors_total"}"#.to_owned(),
            _ => "",
        };
        format!("{name}{matchers}")
    }

    fn modifiers(&mut self) -> &'static str {
        match self.dice.below(8) {
            0 => {
                self.dice.pick(&[" offset 3m", " offset -1m", " @ 1800", " @ start()", " @ end()", " @ 900 offset 2m"])
            }
            _ => "",
        }
    }

    fn instant(&mut self, depth: u32) -> String {
        if depth == 0 {
            let selector = self.selector();
            return format!("{selector}{}", self.modifiers());
        }
        match self.dice.below(12) {
            0 | 1 => {
                let selector = self.selector();
                format!("{selector}{}", self.modifiers())
            }
            2..=4 => self.over_time(depth),
            5..=7 => self.aggregate(depth),
            8 | 9 => self.binary(depth),
            10 => {
                let function = self.dice.pick(&["abs", "ceil", "floor", "sqrt", "sgn", "-"]);
                format!("{function}({})", self.instant(depth - 1))
            }
            _ => format!("clamp_max({}, {})", self.instant(depth - 1), self.scalar(depth - 1)),
        }
    }

    fn over_time(&mut self, depth: u32) -> String {
        let function = self.dice.pick(&[
            "rate",
            "increase",
            "delta",
            "irate",
            "idelta",
            "changes",
            "resets",
            "sum_over_time",
            "avg_over_time",
            "count_over_time",
            "min_over_time",
            "max_over_time",
            "stddev_over_time",
            "stdvar_over_time",
            "last_over_time",
            "first_over_time",
            "present_over_time",
            "deriv",
        ]);
        let range = self.range(depth);
        match self.dice.below(10) {
            0 => format!("quantile_over_time({}, {range})", self.dice.pick(&["0.5", "0", "1", "0.93"])),
            1 => format!("predict_linear({range}, 600)"),
            _ => format!("{function}({range})"),
        }
    }

    fn range(&mut self, depth: u32) -> String {
        let length = self.dice.pick(&["15s", "1m", "5m", "61s", "20m"]);
        if depth > 1 && self.dice.once_in(4) {
            let step = self.dice.pick(&["30s", "", "47s"]);
            return format!("({})[{length}:{step}]{}", self.instant(depth - 1), self.modifiers());
        }
        format!("{}[{length}]{}", self.selector(), self.modifiers())
    }

    fn aggregate(&mut self, depth: u32) -> String {
        let grouping = self.dice.pick(&["", "by (job)", "by (job, instance)", "without (instance)", "by (nothing)"]);
        let inner = self.instant(depth - 1);
        match self.dice.below(6) {
            0 => format!("topk {grouping} ({}, {inner})", self.dice.pick(&["1", "2", "0", "100"])),
            1 => format!("bottomk {grouping} ({}, {inner})", self.dice.pick(&["1", "2"])),
            2 => format!("quantile {grouping} ({}, {inner})", self.dice.pick(&["0.5", "0.9", "2"])),
            _ => {
                let op = self.dice.pick(&["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"]);
                format!("{op} {grouping} ({inner})")
            }
        }
    }

    fn binary(&mut self, depth: u32) -> String {
        let op = self.dice.pick(&["+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "> bool", "== bool"]);
        match self.dice.below(5) {
            0 => format!("({}) {op} ({})", self.instant(depth - 1), self.scalar(depth - 1)),
            1 => format!("({}) {op} ({})", self.scalar(depth - 1), self.instant(depth - 1)),
            2 => {
                let set = self.dice.pick(&["and", "or", "unless", "and on (job)", "unless on (instance)"]);
                format!("({}) {set} ({})", self.instant(depth - 1), self.instant(depth - 1))
            }
            3 => {
                let one = self.instant(depth - 1);
                format!("({}) {op} on (job) group_left sum by (job) ({one})", self.instant(depth - 1))
            }
            _ => {
                let matching = self.dice.pick(&["", "on (job, instance)", "ignoring (nothing)"]);
                format!("({}) {op} {matching} ({})", self.instant(depth - 1), self.instant(depth - 1))
            }
        }
    }

    fn scalar(&mut self, depth: u32) -> String {
        match self.dice.below(6) {
            0 => "time()".to_owned(),
            1 if depth > 0 => format!("scalar({})", self.instant(depth - 1)),
            2 => "1 + 2 ^ 3".to_owned(),
            _ => self.dice.pick(&["0", "1", "5.5", "-3", "Inf", "NaN"]).to_owned(),
        }
    }
}

/// Runs `property` for generated queries.
fn for_queries(name: u64, mut property: impl FnMut(u64, &str)) {
    let queries = std::env::var("PROPERTY_QUERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(QUERIES);
    for seed in 0..queries {
        let mut generator = Generator { dice: Dice::new(name * 1_000_003 + seed) };
        let depth = 1 + generator.dice.below(3) as u32;
        property(seed, &generator.instant(depth));
    }
}

/// The result of a step: a value for each label set.
type Step = BTreeMap<Labels, f64>;

fn close(a: f64, b: f64) -> bool {
    // The reference sums plainly; differences of large sums may keep only part of their digits.
    a.to_bits() == b.to_bits()
        || (a.is_nan() && b.is_nan())
        || (a - b).abs() <= 1e-9 * (a.abs() + b.abs())
        || (a - b).abs() < 1e-7
}

fn instant(engine: &Engine, prepared: &Prepared, at: i64) -> Result<Step, QueryError> {
    let outcome = engine.evaluate(prepared, When::At(Timestamp(at)), &QueryOptions::default())?;
    Ok(match outcome.value {
        Value::Vector(samples) => samples.into_iter().map(|s| (s.labels, float(&s.value))).collect(),
        Value::Scalar(_, value) => BTreeMap::from([(Labels::empty(), value)]),
        other => panic!("unexpected {other:?}"),
    })
}

fn float(value: &PointValue) -> f64 {
    match value {
        PointValue::Float(value) => *value,
        PointValue::Histogram(_) => panic!("the data has no histograms"),
    }
}

fn range(engine: &Engine, prepared: &Prepared, steps: Steps) -> Result<BTreeMap<i64, Step>, QueryError> {
    let outcome = engine.evaluate(prepared, When::Over(steps), &QueryOptions::default())?;
    let Value::Matrix(series) = outcome.value else { panic!("a range query gives a matrix") };
    let mut out: BTreeMap<i64, Step> = BTreeMap::new();
    for series in series {
        for (time, value) in series.floats {
            out.entry(time.0).or_default().insert(series.labels.clone(), value);
        }
    }
    Ok(out)
}

fn same(a: &Step, b: &Step, equal: impl Fn(f64, f64) -> bool) -> bool {
    a.len() == b.len() && a.iter().all(|(labels, value)| b.get(labels).is_some_and(|other| equal(*value, *other)))
}

const STEPS: Steps = Steps { start: Timestamp(600_000), end: Timestamp(3_900_000), step_ms: 230_000 };

fn times() -> impl Iterator<Item = i64> {
    (STEPS.start.0..=STEPS.end.0).step_by(STEPS.step_ms as usize)
}

/// Values next to a discontinuity may differ by rounding alone.
fn is_touchy(query: &str) -> bool {
    // A remainder, a rounding, a comparison or a choice turns the last bit into the first.
    ["%", "==", "!=", "<", ">", "topk", "bottomk", "ceil", "floor", "sgn", "^", "stddev", "stdvar", "deriv"]
        .iter()
        .any(|part| query.contains(part))
}

#[test]
fn the_engine_agrees_with_the_reference() {
    let mut compared = 0;
    for_queries(1, |seed, query| {
        let data = data(seed % 16);
        let engine = engine(&data, |_| {});
        let prepared = engine.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        for at in times().step_by(4) {
            let asked = Reference { data: &data, lookback: 300_000, start: at, end: at, subquery_step: 60_000 };
            let expected = asked.at(prepared.expr(), at);
            let got = instant(&engine, &prepared, at);
            match (expected, got) {
                (Err(_), Err(_)) => {}
                (Ok(expected), Ok(got)) => {
                    let expected: Step = match expected {
                        reference::Value::Vector(vector) => vector.into_iter().collect(),
                        reference::Value::Scalar(value) => BTreeMap::from([(Labels::empty(), value)]),
                    };
                    let agree = same(&expected, &got, close);
                    assert!(agree || is_touchy(query), "seed {seed} at {at}: {query}\n{expected:?}\n{got:?}");
                    compared += usize::from(agree);
                }
                // Only a step with both partners present is an error; the reference looks at the same step.
                (expected, got) => panic!("seed {seed} at {at}: {query}\n{expected:?}\n{got:?}"),
            }
        }
    });
    assert!(compared > 60, "only {compared} comparisons were worth something");
}

#[test]
fn a_step_of_a_range_is_what_an_instant_query_gives_at_its_time() {
    for_queries(2, |seed, query| {
        if query.contains("start()") || query.contains("end()") {
            return;
        }
        let data = data(seed % 16);
        let engine = engine(&data, |_| {});
        let prepared = engine.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let Ok(over) = range(&engine, &prepared, STEPS) else {
            let fails = times().any(|at| instant(&engine, &prepared, at).is_err());
            assert!(fails, "seed {seed}: {query} fails only as a range");
            return;
        };
        for at in times() {
            let once = instant(&engine, &prepared, at).unwrap_or_else(|error| panic!("{query} at {at}: {error}"));
            let step = over.get(&at).cloned().unwrap_or_default();
            let equal = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            assert!(same(&once, &step, equal), "seed {seed} at {at}: {query}\n{once:?}\n{step:?}");
        }
    });
}

#[test]
fn results_do_not_depend_on_threads_or_batches() {
    for_queries(3, |seed, query| {
        let data = data(seed % 16);
        let alone = engine(&data, |_| {});
        let prepared = alone.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let expected = range(&alone, &prepared, STEPS);
        for (extra_threads, batch) in [(1, 1), (2, 7), (3, 64), (3, 1)] {
            let many = engine(&data, |settings| {
                settings.extra_threads = extra_threads;
                settings.batch = batch;
                settings.thread_samples = 1;
            });
            let got = range(&many, &prepared, STEPS);
            match (&expected, &got) {
                (Ok(expected), Ok(got)) => {
                    let equal = |a: f64, b: f64| a.to_bits() == b.to_bits();
                    let all = expected.len() == got.len()
                        && expected.iter().all(|(at, step)| got.get(at).is_some_and(|other| same(step, other, equal)));
                    assert!(all, "seed {seed}, {extra_threads} threads, batches of {batch}: {query}");
                }
                (expected, got) => assert_eq!(expected.is_err(), got.is_err(), "seed {seed}: {query}"),
            }
        }
    });
}

#[test]
fn dropping_names_late_changes_no_value() {
    for_queries(4, |seed, query| {
        // Where a series is chosen by its whole label set, the name matters.
        if query.contains("__name__") {
            return;
        }
        let data = data(seed % 16);
        let (at_once, late) = (engine(&data, |_| {}), engine(&data, |s| s.features.delayed_name_removal = true));
        let prepared = at_once.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let (a, b) = (range(&at_once, &prepared, STEPS), range(&late, &prepared, STEPS));
        match (a, b) {
            (Ok(a), Ok(b)) => {
                let equal = |a: f64, b: f64| a.to_bits() == b.to_bits();
                let all =
                    a.len() == b.len() && a.iter().all(|(at, step)| b.get(at).is_some_and(|o| same(step, o, equal)));
                assert!(all, "seed {seed}: {query}\n{a:?}\n{b:?}");
            }
            (a, b) => assert_eq!(a.is_err(), b.is_err(), "seed {seed}: {query}"),
        }
    });
}

#[test]
fn a_query_that_would_hold_too_much_fails_with_the_text_of_prometheus() {
    let data = data(1);
    let engine = engine(&data, |settings| settings.samples_max = 50);
    let prepared = engine.prepare("requests_total").expect("parses");
    let error = range(&engine, &prepared, STEPS).expect_err("more than 50 points");
    let text = "query processing would load too many samples into memory in query execution";
    assert_eq!(error, QueryError::Execution(text.to_owned()));
}

#[test]
fn a_result_from_the_cache_is_the_result() {
    for_queries(5, |seed, query| {
        let data = data(seed % 16);
        let engine = engine(&data, |_| {});
        let prepared = engine.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        // A dashboard that moves on, and back.
        for shift in [0, 1, 3, -2] {
            let by = shift * STEPS.step_ms;
            let steps = Steps { start: Timestamp(STEPS.start.0 + by), end: Timestamp(STEPS.end.0 + by), ..STEPS };
            let with = engine.evaluate(&prepared, When::Over(steps), &QueryOptions::default());
            let options = QueryOptions { nocache: true, ..QueryOptions::default() };
            let without = engine.evaluate(&prepared, When::Over(steps), &options);
            match (with, without) {
                (Ok(with), Ok(without)) => {
                    let show = |value: &Value| format!("{value:?}");
                    assert_eq!(show(&with.value), show(&without.value), "seed {seed}, shifted {shift}: {query}");
                }
                (with, without) => assert_eq!(with.is_err(), without.is_err(), "seed {seed}: {query}"),
            }
        }
    });
}

#[test]
fn a_late_sample_is_seen_through_the_cache() {
    let storage = Arc::new(MemoryStorage::new());
    let labels = Labels::from_pairs([("__name__", "late")]);
    for minute in 0..30 {
        storage.put_float(&labels, Timestamp(minute * 60_000), 1.0);
    }
    let engine = Engine::new(storage.clone(), Settings::default(), Arc::new(SystemClock::new()));
    let prepared = engine.prepare("sum(late)").expect("parses");
    let steps = Steps { start: Timestamp(0), end: Timestamp(1_740_000), step_ms: 60_000 };
    assert_eq!(range(&engine, &prepared, steps).expect("evaluates")[&600_000][&Labels::empty()], 1.0);
    storage.put_float(&labels, Timestamp(600_000), 7.0);
    assert_eq!(range(&engine, &prepared, steps).expect("evaluates")[&600_000][&Labels::empty()], 7.0);
}
