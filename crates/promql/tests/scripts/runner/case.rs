//! `eval`: one case and its variations.

use std::collections::BTreeMap;

use model::labels::Labels;
use model::query::{PointValue, QueryError, QueryOptions, Series, Steps, Value, VectorSample};
use model::time::Timestamp;
use promql::engine::notes::Level;
use promql::engine::{Outcome, Prepared, When as EngineWhen};
use promql::syntax::ast::{At, Expr};
use promql::syntax::functions::FunctionId;
use promql::syntax::series::SequenceValue;

use super::compare::Expected;
use super::script::{Case, Expect, Text, When};
use super::{Mode, World, compare, load};

/// Functions whose value depends on when they are evaluated: not to be pinned.
const TIME_DEPENDENT: [&str; 14] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "end",
    "start",
    "step",
    "range",
];

/// A minute: how far the range around an instant reaches.
const AROUND_MS: i64 = 60_000;

/// Runs a case with all its variations.
pub(crate) fn run(world: &World, case: &Case, mode: Mode) -> Result<(), String> {
    let prepared = match world.engine.prepare(&case.query) {
        Ok(prepared) => prepared,
        Err(error) => return failed(&case.expect, &error),
    };
    match case.when {
        When::Range { start, end, step } => {
            let steps = Steps { start: Timestamp(start), end: Timestamp(end), step_ms: step };
            let outcome = evaluate(world, &prepared, EngineWhen::Over(steps));
            check(&prepared, outcome, case, mode)
        }
        When::Instant(at) => {
            let at = case.expect.matrix.map_or(at, |(_, end, _)| end);
            let outcome = evaluate(world, &prepared, EngineWhen::At(Timestamp(at)));
            check(&prepared, outcome, case, mode)?;
            pinned(world, &prepared, at, case, mode)?;
            if case.expect.fail.is_none() {
                as_middle_of_a_range(world, &prepared, at, case)?;
            }
            Ok(())
        }
    }
}

fn evaluate(world: &World, prepared: &Prepared, when: EngineWhen) -> Result<Outcome, QueryError> {
    world.engine.evaluate(prepared, when, &QueryOptions::default())
}

/// An error: expected or not.
fn failed(expect: &Expect, error: &QueryError) -> Result<(), String> {
    match &expect.fail {
        None => Err(format!("failed: {error}")),
        Some(text) if text.fits(&error.to_string()) => Ok(()),
        Some(text) => Err(format!("failed with {error:?} where {text:?} was expected")),
    }
}

fn check(prepared: &Prepared, outcome: Result<Outcome, QueryError>, case: &Case, mode: Mode) -> Result<(), String> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return failed(&case.expect, &error),
    };
    if case.expect.fail.is_some() {
        return Err(format!("did not fail, gave {}", show(&outcome.value)));
    }
    annotations(prepared, &outcome, &case.expect, mode)?;
    value(&outcome.value, case)
}

fn annotations(prepared: &Prepared, outcome: &Outcome, expect: &Expect, mode: Mode) -> Result<(), String> {
    for (level, expected, none) in
        [(Level::Warning, &expect.warn, expect.no_warn), (Level::Info, &expect.info, expect.no_info)]
    {
        let got: Vec<String> = if mode.positions {
            outcome.notes.positioned(level, prepared.text())
        } else {
            outcome.notes.texts(level).map(str::to_owned).collect()
        };
        if none && !got.is_empty() {
            return Err(format!("unexpected {level:?}: {got:?}"));
        }
        if expected.is_empty() {
            continue;
        }
        if let Some(missing) = expected.iter().find(|text| !got.iter().any(|got| text.fits(got))) {
            return Err(format!("missing {level:?} {missing:?} among {got:?}"));
        }
        let fits = |got: &String| expected.iter().any(|text: &Text| text.fits(got));
        if let Some(more) = got.iter().find(|got| !fits(got)) {
            return Err(format!("unexpected {level:?} {more:?}"));
        }
    }
    Ok(())
}

fn value(value: &Value, case: &Case) -> Result<(), String> {
    let expect = &case.expect;
    match value {
        Value::String(_, text) => match &expect.string {
            Some(expected) if expected == text => Ok(()),
            expected => Err(format!("got the string {text:?}, expected {expected:?}")),
        },
        Value::Scalar(_, got) => match expect.scalar {
            Some(expected) if compare::almost_equal(expected, *got) => Ok(()),
            expected => Err(format!("got the scalar {got}, expected {expected:?}")),
        },
        Value::Vector(samples) => vector(samples, expect),
        Value::Matrix(series) => {
            let (start, step, count) = match (expect.matrix, case.when) {
                (Some((start, end, step)), _) => (start, step, (end - start) / step + 1),
                (None, When::Range { start, end, step }) => (start, step, (end - start) / step + 1),
                (None, When::Instant(_)) => return Err("got a range vector".to_owned()),
            };
            matrix(series, (start, step, count), expect)
        }
    }
}

fn vector(samples: &[VectorSample], expect: &Expect) -> Result<(), String> {
    if expect.scalar.is_some() || expect.string.is_some() {
        return Err("got a vector".to_owned());
    }
    let mut expected: Vec<(Labels, Expected)> = Vec::new();
    for line in &expect.lines {
        let described = load::describe(line)?;
        let [value] = described.values.as_slice() else { return Err(format!("not one value: {line}")) };
        let Some(value) = point(value) else { continue };
        expected.push((described.labels, value));
    }
    let got: BTreeMap<&Labels, &PointValue> = samples.iter().map(|s| (&s.labels, &s.value)).collect();
    if got.len() != samples.len() {
        return Err("two results have the same labels".to_owned());
    }
    if expect.ordered {
        let order = |labels: Vec<&Labels>| labels.into_iter().map(ToString::to_string).collect::<Vec<_>>();
        let (wanted, was) =
            (order(expected.iter().map(|(l, _)| l).collect()), order(samples.iter().map(|s| &s.labels).collect()));
        if wanted != was {
            return Err(format!("the order is {was:?}, expected {wanted:?}"));
        }
    }
    let expected: BTreeMap<Labels, Expected> = expected.into_iter().collect();
    for (labels, value) in &expected {
        let Some(got) = got.get(labels) else {
            return Err(format!("missing {labels} {}; got {}", compare::show(&value.value), show_vector(samples)));
        };
        if !compare::same_value(value, got) {
            return Err(format!("{labels}: got {}, expected {}", compare::show(got), compare::show(&value.value)));
        }
    }
    match samples.iter().find(|sample| !expected.contains_key(&sample.labels)) {
        None => Ok(()),
        Some(more) => Err(format!("unexpected {} {}", more.labels, compare::show(&more.value))),
    }
}

fn point(value: &SequenceValue) -> Option<Expected> {
    match value {
        SequenceValue::Omitted => None,
        SequenceValue::Float(value) => Some(Expected { value: PointValue::Float(*value), hint_matters: false }),
        SequenceValue::Histogram { histogram, hint_set } => {
            Some(Expected { value: PointValue::Histogram(histogram.clone()), hint_matters: *hint_set })
        }
    }
}

fn matrix(series: &[Series], (start, step, count): (i64, i64, i64), expect: &Expect) -> Result<(), String> {
    // A range query of a scalar expects its values without labels.
    let mut expected: BTreeMap<Labels, BTreeMap<i64, Expected>> = BTreeMap::new();
    for line in &expect.lines {
        let described = load::describe(line)?;
        if described.values.len() as i64 > count {
            return Err(format!("more values than steps: {line}"));
        }
        let points = described.values.iter().enumerate();
        let points = points.filter_map(|(i, value)| point(value).map(|value| (start + step * i as i64, value)));
        expected.insert(described.labels, points.collect());
    }
    if !series.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("the series are not sorted by labels".to_owned());
    }
    for got in series {
        let Some(points) = expected.remove(&got.labels) else {
            return Err(format!("unexpected {} {}", got.labels, show_series(got)));
        };
        let was = points_of(got);
        let same = was.len() == points.len()
            && points.iter().all(|(time, value)| was.get(time).is_some_and(|got| compare::same_value(value, got)));
        if !same {
            return Err(format!(
                "{}: got {}, expected {}",
                got.labels,
                show_points(&was),
                show_points(&values(&points))
            ));
        }
    }
    // A line of nothing but `_` expects nothing.
    match expected.iter().find(|(_, points)| !points.is_empty()) {
        None => Ok(()),
        Some((labels, points)) => Err(format!("missing {labels} {}", show_points(&values(points)))),
    }
}

fn values(points: &BTreeMap<i64, Expected>) -> BTreeMap<i64, PointValue> {
    points.iter().map(|(time, expected)| (*time, expected.value.clone())).collect()
}

fn points_of(series: &Series) -> BTreeMap<i64, PointValue> {
    let floats = series.floats.iter().map(|(time, value)| (time.0, PointValue::Float(*value)));
    let histograms = series.histograms.iter().map(|(time, histogram)| (time.0, compare::histogram(histogram)));
    floats.chain(histograms).collect()
}

fn show_points(points: &BTreeMap<i64, PointValue>) -> String {
    let shown: Vec<String> = points.iter().map(|(time, value)| format!("{time}:{}", compare::show(value))).collect();
    shown.join(" ")
}

fn show_series(series: &Series) -> String {
    show_points(&points_of(series))
}

fn show_vector(samples: &[VectorSample]) -> String {
    let shown: Vec<String> = samples.iter().map(|s| format!("{} {}", s.labels, compare::show(&s.value))).collect();
    format!("[{}]", shown.join(", "))
}

fn show(value: &Value) -> String {
    match value {
        Value::Vector(samples) => show_vector(samples),
        Value::Matrix(series) => series.iter().map(show_series).collect::<Vec<_>>().join("; "),
        other => format!("{other:?}"),
    }
}

/// The same query pinned by `@` gives the same at any time.
fn pinned(world: &World, prepared: &Prepared, at: i64, case: &Case, mode: Mode) -> Result<(), String> {
    let mut expr = prepared.expr().clone();
    if !pin(&mut expr, at) {
        return Ok(());
    }
    let pinned = Prepared::of(prepared.text(), expr);
    let times = if at == 0 { vec![-1_000, 0, 1_000] } else { vec![-10 * at, 0, at / 5, at, 10 * at] };
    for time in times {
        let outcome = evaluate(world, &pinned, EngineWhen::At(Timestamp(time)));
        check(&pinned, outcome, case, mode).map_err(|problem| format!("pinned by @ at {time}: {problem}"))?;
    }
    Ok(())
}

/// Sets `@` wherever there is none; within a pinned subquery nothing needs it. False: the query depends on time.
fn pin(expr: &mut Expr, at: i64) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(selector) => {
            selector.at.get_or_insert(At::Time(at));
            true
        }
        Expr::Matrix(matrix) => {
            matrix.selector.at.get_or_insert(At::Time(at));
            true
        }
        Expr::Subquery(subquery) => {
            subquery.at.get_or_insert(At::Time(at));
            !depends_on_time(&subquery.expr)
        }
        Expr::Call(call) => {
            !is_time_dependent(call.function.id, call.function.name) && call.args.iter_mut().all(|arg| pin(arg, at))
        }
        Expr::Aggregate(aggregate) => {
            pin(&mut aggregate.expr, at) && aggregate.param.as_mut().is_none_or(|param| pin(param, at))
        }
        Expr::Binary(binary) => pin(&mut binary.lhs, at) && pin(&mut binary.rhs, at),
        Expr::Unary(unary) => pin(&mut unary.expr, at),
        Expr::Paren(paren) => pin(&mut paren.expr, at),
    }
}

fn is_time_dependent(function: FunctionId, name: &str) -> bool {
    matches!(function, FunctionId::Timestamp | FunctionId::StartTimestamp) || TIME_DEPENDENT.contains(&name)
}

fn depends_on_time(expr: &Expr) -> bool {
    let own = matches!(expr, Expr::Call(call) if is_time_dependent(call.function.id, call.function.name));
    own || expr.children().into_iter().any(depends_on_time)
}

fn calls_query_times(expr: &Expr) -> bool {
    let own = matches!(expr, Expr::Call(call) if ["start", "end", "step", "range"].contains(&call.function.name));
    own || expr.children().into_iter().any(calls_query_times)
}

/// The same query over a range around the time gives the same in the middle.
fn as_middle_of_a_range(world: &World, prepared: &Prepared, at: i64, case: &Case) -> Result<(), String> {
    let expect = &case.expect;
    let text = prepared.text().to_ascii_lowercase();
    let in_durations = ["start()", "end()", "range()", "step()"].iter().any(|call| text.contains(call));
    if expect.ordered || expect.string.is_some() || expect.matrix.is_some() || in_durations {
        return Ok(());
    }
    if calls_query_times(prepared.expr()) {
        return Ok(());
    }
    let steps = Steps { start: Timestamp(at - AROUND_MS), end: Timestamp(at + AROUND_MS), step_ms: AROUND_MS };
    let outcome = evaluate(world, prepared, EngineWhen::Over(steps))
        .map_err(|error| format!("in the middle of a range: {error}"))?;
    let Value::Matrix(series) = outcome.value else { return Err("a range query gave no matrix".to_owned()) };
    let mut samples = Vec::new();
    for series in &series {
        if let Some(value) = points_of(series).remove(&at) {
            samples.push(VectorSample { labels: series.labels.clone(), time: Timestamp(at), value, drop_name: false });
        }
    }
    let result = match (expect.scalar, samples.as_slice()) {
        (Some(_), [sample]) => match sample.value {
            PointValue::Float(number) => value(&Value::Scalar(Timestamp(at), number), case),
            PointValue::Histogram(_) => Err("a histogram".to_owned()),
        },
        _ => vector(&samples, expect),
    };
    result.map_err(|problem| format!("in the middle of a range: {problem}"))
}
