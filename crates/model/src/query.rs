//! The contract between whoever asks in PromQL and whoever answers: the engine here, or somebody else's.
//!
//! Rules, dashboards, pages and the API speak to an [`Evaluator`] and do not know which one it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::storage::{Limited, TimeRange};
use crate::time::Timestamp;

/// A value at a time.
#[derive(Clone, Debug)]
pub enum PointValue {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// One series of an instant vector.
#[derive(Clone, Debug)]
pub struct VectorSample {
    pub labels: Labels,
    pub time: Timestamp,
    pub value: PointValue,
    /// Whether the metric name is to be dropped when the result leaves the engine.
    pub drop_name: bool,
}

/// One series of a range vector: floats and histograms apart, each oldest first.
#[derive(Clone, Debug, Default)]
pub struct Series {
    pub labels: Labels,
    pub floats: Vec<(Timestamp, f64)>,
    pub histograms: Vec<(Timestamp, Arc<Histogram>)>,
}

/// What a query evaluates to.
#[derive(Clone, Debug)]
pub enum Value {
    Scalar(Timestamp, f64),
    String(Timestamp, String),
    Vector(Vec<VectorSample>),
    Matrix(Vec<Series>),
}

/// Warnings and infos as they are shown: with their position, at most ten of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    pub warnings: Vec<String>,
    pub infos: Vec<String>,
}

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    pub samples_total: u64,
    pub samples_peak: u64,
    pub bytes_peak: u64,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub value: Value,
    pub notes: Notes,
    pub stats: QueryStats,
}

/// Why there is no answer; each maps to one `errorType` of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// `bad_data`: the text does not parse or a parameter is wrong. The message carries `line:col`.
    #[error("{0}")]
    BadData(String),
    /// `execution`: it parsed, but cannot be evaluated.
    #[error("{0}")]
    Execution(String),
    /// `timeout`
    #[error("{0}")]
    Timeout(String),
    /// `canceled`
    #[error("{0}")]
    Cancelled(String),
    /// `internal`: the storage failed.
    #[error("{0}")]
    Internal(String),
    /// `unavailable`: the server is starting or stopping.
    #[error("{0}")]
    Unavailable(String),
}

/// Set once by whoever no longer wants the answer; looked at by whoever computes it.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What goes with every query.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// Lookback; the evaluator's own where `None`.
    pub lookback: Option<Duration>,
    /// Time limit; never longer than the evaluator's own.
    pub timeout: Option<Duration>,
    /// At most so many series in the answer; 0 = all.
    pub limit: usize,
    /// Leave the result cache out.
    pub nocache: bool,
    /// Bytes this query may hold; the evaluator's own limit where `None`.
    pub bytes_max: Option<u64>,
    pub cancel: CancelFlag,
}

/// From `start` to `end` (both included) every `step_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Steps {
    pub start: Timestamp,
    pub end: Timestamp,
    pub step_ms: i64,
}

impl Steps {
    /// How many evaluations there are.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.end < self.start || self.step_ms <= 0 {
            return usize::from(self.end == self.start);
        }
        usize::try_from((self.end.0 - self.start.0) / self.step_ms + 1).unwrap_or(usize::MAX)
    }
}

/// Answers PromQL. Synchronous: callers enter through the bounded pool.
pub trait Evaluator: Send + Sync {
    fn instant(&self, query: &str, at: Timestamp, options: &QueryOptions) -> Result<Answer, QueryError>;

    fn range(&self, query: &str, steps: Steps, options: &QueryOptions) -> Result<Answer, QueryError>;

    /// The label sets that pass any of the selectors, sorted.
    fn series(
        &self,
        selectors: &[String],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<Limited<Labels>, QueryError>;

    /// Label names, or the values of `label` where one is given, sorted. No selector means every series.
    fn labels(
        &self,
        label: Option<&str>,
        selectors: &[String],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<Limited<String>, QueryError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_count_both_ends() {
        let steps = |start, end, step_ms| Steps { start: Timestamp(start), end: Timestamp(end), step_ms }.count();
        assert_eq!(steps(0, 60, 15), 5);
        assert_eq!(steps(0, 59, 15), 4);
        assert_eq!(steps(7, 7, 0), 1);
        assert_eq!(steps(7, 6, 1), 0);
    }
}
