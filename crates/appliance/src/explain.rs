//! A query taken apart: what each of its parts returns by itself, what that costs, and why nothing came back.
//!
//! Promises: at most [`PARTS_MAX`] parts are evaluated and no longer than the time given, so that explaining a query
//! costs a bounded multiple of asking it; the query itself is asked elsewhere and never changed.
//! Not here: how it looks (`ui`), evaluation (`promql`).

pub mod empty;
mod words;

use std::time::Duration;

use model::query::{Answer, Evaluator, QueryError, QueryOptions, Value};
use model::time::{Clock, Timestamp};
pub use promql::engine::When;
use promql::syntax::Expr;
use promql::syntax::ast::ValueType;

/// More parts than this are named, but not evaluated.
pub const PARTS_MAX: usize = 40;

/// One part of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// How deep it stands: the whole query is 0.
    pub depth: usize,
    /// As it is written in one line.
    pub text: String,
    /// What it does, in words.
    pub does: String,
    pub outcome: Outcome,
}

/// What became of a part by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Returned {
        kind: ValueType,
        series: usize,
        /// Samples in the answer: one for each series of an instant vector.
        points: usize,
        samples_read: u64,
        bytes_peak: u64,
        took: Duration,
    },
    Failed(String),
    /// A constant, or beyond the bounds.
    NotAsked,
}

impl Outcome {
    /// Whether it was asked and brought nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Returned { series: 0, kind: ValueType::Vector | ValueType::Matrix, .. })
    }
}

/// The time a part is asked for where only one will do.
#[must_use]
pub const fn end(when: When) -> Timestamp {
    match when {
        When::At(at) => at,
        When::Over(steps) => steps.end,
    }
}

/// Evaluates the parts of a query, the whole first, each part before its own parts.
pub fn parts(
    evaluator: &dyn Evaluator,
    clock: &dyn Clock,
    expr: &Expr,
    when: When,
    options: &QueryOptions,
) -> Result<Vec<Part>, QueryError> {
    let begun = clock.monotonic();
    let mut parts = Vec::new();
    let mut waiting = vec![(0, expr)];
    let mut asked = 0;
    while let Some((depth, expr)) = waiting.pop() {
        let expr = expr.unwrapped();
        let constant = matches!(expr, Expr::Number(_) | Expr::String(_));
        let left = options.timeout.map(|all| all.saturating_sub(clock.monotonic().saturating_sub(begun)));
        let outcome = if constant || asked >= PARTS_MAX || left.is_some_and(|left| left.is_zero()) {
            Outcome::NotAsked
        } else {
            asked += 1;
            ask(evaluator, clock, expr, when, &QueryOptions { timeout: left, ..options.clone() })?
        };
        parts.push(Part { depth, text: expr.to_string(), does: words::does(expr), outcome });
        // The last one in is the first one out.
        waiting.extend(expr.children().into_iter().rev().map(|child| (depth + 1, child)));
        if parts.len() > PARTS_MAX * 4 {
            break;
        }
    }
    Ok(parts)
}

/// One part by itself. Only what ends the whole is an error; what is wrong with the part belongs to it.
fn ask(
    evaluator: &dyn Evaluator,
    clock: &dyn Clock,
    expr: &Expr,
    when: When,
    options: &QueryOptions,
) -> Result<Outcome, QueryError> {
    let begun = clock.monotonic();
    let text = expr.to_string();
    // A range of samples has no value at each step; at the end of the range it has.
    let answer = match when {
        When::Over(steps) if expr.value_type() != ValueType::Matrix => evaluator.range(&text, steps, options),
        _ => evaluator.instant(&text, end(when), options),
    };
    let took = clock.monotonic().saturating_sub(begun);
    match answer {
        Ok(answer) => Ok(returned(expr, &answer, took)),
        Err(error @ (QueryError::Cancelled(_) | QueryError::Unavailable(_))) => Err(error),
        Err(error) => Ok(Outcome::Failed(error.to_string())),
    }
}

fn returned(expr: &Expr, answer: &Answer, took: Duration) -> Outcome {
    let (series, points) = match &answer.value {
        Value::Scalar(..) | Value::String(..) => (1, 1),
        Value::Vector(samples) => (samples.len(), samples.len()),
        Value::Matrix(all) => (all.len(), all.iter().map(|series| series.floats.len() + series.histograms.len()).sum()),
    };
    let stats = answer.stats;
    Outcome::Returned {
        kind: expr.value_type(),
        series,
        points,
        samples_read: stats.samples_total,
        bytes_peak: stats.bytes_peak,
        took,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! Explained over a storage in memory by the real engine.

    use std::sync::Arc;

    use model::labels::Labels;
    use model::memory::MemoryStorage;
    use model::query::Steps;
    use model::time::ManualClock;
    use promql::engine::{Engine, Settings};
    use promql::syntax::{ParseOptions, parse};

    use super::*;

    /// Midnight of some day.
    pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

    /// A sample a minute from `from` to `to` minutes before [`NOW`].
    pub(crate) fn put(storage: &MemoryStorage, labels: &[(&str, &str)], from: i64, to: i64, value: f64) {
        let labels = Labels::from_pairs(labels.iter().copied());
        for minute in (to..=from).rev() {
            storage.put_float(&labels, Timestamp(NOW.0 - minute * 60_000), value);
        }
    }

    fn explained(query: &str, when: When, options: &QueryOptions) -> Vec<Part> {
        let storage = MemoryStorage::new();
        put(&storage, &[("__name__", "requests_total"), ("job", "api"), ("instance", "a")], 30, 0, 1.0);
        put(&storage, &[("__name__", "requests_total"), ("job", "api"), ("instance", "b")], 30, 0, 2.0);
        let clock = Arc::new(ManualClock::at(NOW));
        let engine = Engine::new(Arc::new(storage), Settings::default(), Arc::clone(&clock) as Arc<dyn Clock>);
        let expr = parse(query, ParseOptions::ALL).unwrap();
        parts(&engine, &*clock, &expr, when, options).unwrap()
    }

    fn shown(parts: &[Part]) -> Vec<(usize, String, Option<usize>)> {
        let series = |part: &Part| match &part.outcome {
            Outcome::Returned { series, .. } => Some(*series),
            Outcome::Failed(_) | Outcome::NotAsked => None,
        };
        parts.iter().map(|part| (part.depth, part.text.clone(), series(part))).collect()
    }

    #[test]
    fn every_part_says_what_it_returns_by_itself() {
        let parts =
            explained("(sum by (job) (rate(requests_total[5m]))) > 0.5", When::At(NOW), &QueryOptions::default());
        assert_eq!(
            shown(&parts),
            [
                (0, "(sum by (job) (rate(requests_total[5m]))) > 0.5".to_owned(), Some(0)),
                (1, "sum by (job) (rate(requests_total[5m]))".to_owned(), Some(1)),
                (2, "rate(requests_total[5m])".to_owned(), Some(2)),
                (3, "requests_total[5m]".to_owned(), Some(2)),
                (1, "0.5".to_owned(), None),
            ]
        );
        assert!(parts[0].outcome.is_empty() && !parts[1].outcome.is_empty());
    }

    #[test]
    fn over_time_points_are_counted_and_a_range_of_samples_is_taken_at_the_end() {
        let steps = Steps { start: Timestamp(NOW.0 - 600_000), end: NOW, step_ms: 60_000 };
        let parts = explained("rate(requests_total[5m])", When::Over(steps), &QueryOptions::default());
        let Outcome::Returned { points, .. } = parts[0].outcome else { panic!("{parts:?}") };
        assert_eq!(points, 2 * 11);
        let Outcome::Returned { points, .. } = parts[1].outcome else { panic!("{parts:?}") };
        assert_eq!(points, 2 * 5);
    }

    #[test]
    fn a_part_that_fails_fails_alone() {
        let query = "requests_total + on (job) requests_total";
        let parts = explained(query, When::At(NOW), &QueryOptions::default());
        assert!(matches!(&parts[0].outcome, Outcome::Failed(text) if text.contains("many-to-many")), "{parts:?}");
        assert!(matches!(parts[1].outcome, Outcome::Returned { series: 2, .. }));
    }

    #[test]
    fn many_parts_are_named_but_not_all_asked() {
        let query = vec!["requests_total"; 60].join(" or ");
        let parts = explained(&query, When::At(NOW), &QueryOptions::default());
        let asked = parts.iter().filter(|part| part.outcome != Outcome::NotAsked).count();
        assert_eq!((asked, parts.len()), (PARTS_MAX, 119));
        let none = QueryOptions { timeout: Some(Duration::ZERO), ..QueryOptions::default() };
        let parts = explained("requests_total", When::At(NOW), &none);
        assert_eq!(parts[0].outcome, Outcome::NotAsked);
    }
}
