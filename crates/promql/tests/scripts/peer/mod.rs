//! The engine beside a real Prometheus: the same samples, the same queries, the same answers.
//!
//! `WATCHPOST_PROMETHEUS` names the program (3.5 or newer); without it the test says that it skips. What may differ
//! stands in [`explained`], with the reason.

mod http;
mod queries;
mod server;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use model::labels::Labels;
use model::query::{PointValue, QueryError, QueryOptions, Steps, Value};
use model::time::{SystemClock, Timestamp};
use promql::engine::{Engine, Features, Outcome, Settings, When};
use serde_json::Value as Json;

use server::Server;
use world::START;

/// How far two floats may lie apart, relative to the larger.
const TOLERANCE: f64 = 1e-9;

/// When queries are evaluated, in milliseconds behind the first sample: within the data, and where part of it ended.
const INSTANTS: [i64; 3] = [1_200_000, 2_405_000, 3_570_000];

const RANGE: Steps = Steps { start: Timestamp(START + 600_000), end: Timestamp(START + 3_540_000), step_ms: 47_000 };

/// A value of an answer, reduced to numbers: a float is one, a histogram its count, sum and populated buckets.
type Numbers = Vec<f64>;

/// An answer: for each label set the numbers at each time; a scalar has no labels.
type Flat = BTreeMap<BTreeMap<String, String>, BTreeMap<i64, Numbers>>;

/// Why the answers to a query may differ.
fn explained(query: &str) -> Option<&'static str> {
    queries::EXPLAINED.iter().find(|(part, _)| query.contains(part)).map(|(_, why)| *why)
}

#[test]
fn the_engine_answers_as_prometheus_does() {
    let Some(program) = std::env::var_os("WATCHPOST_PROMETHEUS").map(PathBuf::from) else {
        println!("skipped: WATCHPOST_PROMETHEUS does not name a Prometheus to compare with");
        return;
    };
    let queries = queries::all();
    let world = world::world(&queries);
    let server = Server::start(&program);
    server.write(&world.clone().into_iter().collect::<Vec<_>>());
    let settings =
        Settings { features: Features { experimental_functions: true, ..Features::default() }, ..Settings::default() };
    let engine = Engine::new(world::storage(&world), settings, Arc::new(SystemClock::new()));

    let (mut equal, mut empty, mut failing) = (0, 0, 0);
    let mut different = Vec::new();
    let mut excused: BTreeMap<&str, usize> = BTreeMap::new();
    for query in &queries {
        match compare(&server, &engine, query) {
            Ok(Agreement::Values) => equal += 1,
            Ok(Agreement::Nothing) => empty += 1,
            Ok(Agreement::Errors) => failing += 1,
            Err(difference) => match explained(query) {
                Some(why) => *excused.entry(why).or_default() += 1,
                None => different.push(format!("DIFFERENT {query}\n  {difference}")),
            },
        }
    }
    println!("{} queries: {equal} equal, {empty} empty in both, {failing} refused by both", queries.len());
    for (why, count) in &excused {
        println!("{count} differ: {why}");
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    assert!(equal >= 300, "only {equal} queries compared values");
}

/// How two answers agree.
enum Agreement {
    Values,
    Nothing,
    Errors,
}

/// Compares the answers at some times and over a range.
fn compare(server: &Server, engine: &Engine, query: &str) -> Result<Agreement, String> {
    let mut all = Vec::new();
    for behind in INSTANTS {
        let at = START + behind;
        let theirs = server.query("/api/v1/query", &[("query", query), ("time", &*seconds(at))]);
        let ours = evaluate(engine, query, When::At(Timestamp(at)));
        all.push(same(theirs, ours).map_err(|text| format!("at {at}: {text}"))?);
    }
    // Range vectors and strings have no range.
    let start = seconds(RANGE.start.0);
    let (end, step) = (seconds(RANGE.end.0), seconds(RANGE.step_ms));
    let parameters = [("query", query), ("start", &*start), ("end", &*end), ("step", &*step)];
    let theirs = server.query("/api/v1/query_range", &parameters);
    let ours = evaluate(engine, query, When::Over(RANGE));
    all.push(same(theirs, ours).map_err(|text| format!("over a range: {text}"))?);
    Ok(if all.iter().any(|one| matches!(one, Agreement::Values)) {
        Agreement::Values
    } else if all.iter().any(|one| matches!(one, Agreement::Errors)) {
        Agreement::Errors
    } else {
        Agreement::Nothing
    })
}

fn evaluate(engine: &Engine, query: &str, when: When) -> Result<Outcome, QueryError> {
    let options = QueryOptions { nocache: true, ..QueryOptions::default() };
    engine.prepare(query).and_then(|prepared| engine.evaluate(&prepared, when, &options))
}

fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

fn same(theirs: Result<Json, String>, ours: Result<Outcome, QueryError>) -> Result<Agreement, String> {
    let (theirs, ours) = match (theirs, ours) {
        (Err(_), Err(_)) => return Ok(Agreement::Errors),
        (Err(theirs), Ok(ours)) => return Err(format!("theirs fails: {theirs}\n  ours {:?}", flat(&ours.value))),
        (Ok(_), Err(ours)) => return Err(format!("ours fails: {ours}")),
        (Ok(theirs), Ok(ours)) => (flat_json(&theirs), flat(&ours.value)),
    };
    let labels: Vec<_> = theirs.keys().collect();
    if labels != ours.keys().collect::<Vec<_>>() {
        return Err(format!("\n  theirs {labels:?}\n  ours   {:?}", ours.keys().collect::<Vec<_>>()));
    }
    for (labels, points) in &theirs {
        let mine = &ours[labels];
        let agree = points.len() == mine.len()
            && points.iter().all(|(time, value)| mine.get(time).is_some_and(|other| all_close(value, other)));
        if !agree {
            let apart =
                points.iter().find(|(time, value)| !mine.get(time).is_some_and(|other| all_close(value, other)));
            let other = apart.and_then(|(time, _)| mine.get(time));
            return Err(format!(
                "{labels:?}: {} and {} points; theirs {apart:?}, ours {other:?}",
                points.len(),
                mine.len()
            ));
        }
    }
    Ok(if theirs.is_empty() { Agreement::Nothing } else { Agreement::Values })
}

fn all_close(a: &Numbers, b: &Numbers) -> bool {
    let close =
        |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(*a, *b))
}

// Their answers.

fn float(json: &Json) -> f64 {
    json.as_str().and_then(promql::engine::number::parse).unwrap_or(f64::NAN)
}

fn histogram_numbers(json: &Json) -> Numbers {
    let buckets = json["buckets"].as_array().into_iter().flatten().map(|bucket| float(&bucket[3]));
    [float(&json["count"]), float(&json["sum"])].into_iter().chain(buckets).collect()
}

fn flat_json(data: &Json) -> Flat {
    let time = |json: &Json| (json.as_f64().unwrap_or(0.0) * 1_000.0).round() as i64;
    let mut flat = Flat::new();
    let result = &data["result"];
    if data["resultType"] == "scalar" {
        flat.entry(BTreeMap::new()).or_default().insert(time(&result[0]), vec![float(&result[1])]);
        return flat;
    }
    for series in result.as_array().into_iter().flatten() {
        let labels = series["metric"].as_object().into_iter().flatten();
        let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned())).collect();
        let points = flat.entry(labels).or_default();
        let floats = series["values"].as_array().into_iter().flatten().chain(series.get("value"));
        points.extend(floats.map(|point| (time(&point[0]), vec![float(&point[1])])));
        let histograms = series["histograms"].as_array().into_iter().flatten().chain(series.get("histogram"));
        points.extend(histograms.map(|point| (time(&point[0]), histogram_numbers(&point[1]))));
    }
    flat
}

// Ours.

fn numbers(value: &PointValue) -> Numbers {
    match value {
        PointValue::Float(value) => vec![*value],
        PointValue::Histogram(histogram) => {
            // A zero bucket below nothing is not shown there.
            let zero = [histogram.zero_count.max(0.0)];
            let negative = histogram.negative_buckets.iter().rev();
            let buckets = negative.chain(&zero).chain(&histogram.positive_buckets).filter(|count| **count != 0.0);
            [histogram.count, histogram.sum].into_iter().chain(buckets.copied()).collect()
        }
    }
}

fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn flat(value: &Value) -> Flat {
    let mut flat = Flat::new();
    match value {
        Value::Scalar(time, value) => {
            flat.entry(BTreeMap::new()).or_default().insert(time.0, vec![*value]);
        }
        Value::String(..) => {}
        Value::Vector(samples) => {
            for sample in samples {
                flat.entry(pairs(&sample.labels)).or_default().insert(sample.time.0, numbers(&sample.value));
            }
        }
        Value::Matrix(all) => {
            for series in all {
                let points = flat.entry(pairs(&series.labels)).or_default();
                points.extend(series.floats.iter().map(|(time, value)| (time.0, vec![*value])));
                let histograms = series.histograms.iter();
                points.extend(histograms.map(|(time, h)| (time.0, numbers(&PointValue::Histogram(Arc::clone(h))))));
            }
        }
    }
    flat
}
