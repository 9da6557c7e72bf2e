//! The contract between whoever keeps samples and whoever reads or writes them.
//!
//! Reading is made for an engine that works series by series on columns: [`Queryable::snapshot`] pins what is
//! committed, [`Snapshot::select`] names the series, a [`Cursor`] (one for each worker) hands out one series at a
//! time as slices that stay valid until its next call.
//! Not here: any storage. `tsdb` implements this, and [`crate::memory`] does for tests and small things.

use std::sync::Arc;

use crate::histogram::{Histogram, IntHistogram};
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::time::Timestamp;

/// The bits of the NaN that says "this series ended here".
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The marker that says "this series ended here".
#[must_use]
pub const fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether a value is the staleness marker (and not just any NaN).
#[must_use]
pub const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// From `start` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    #[must_use]
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at <= self.end
    }

    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// One sample's value, with its exact stored form.
#[derive(Clone, Debug)]
pub enum SampleValue {
    Float(f64),
    Histogram(Arc<Histogram>),
    IntHistogram(Arc<IntHistogram>),
}

/// What the reader will do with the series: a storage may use it to read less, never to answer differently.
#[derive(Clone, Debug, Default)]
pub struct SelectHints {
    /// The step of the query; zero for an instant query.
    pub step_ms: i64,
    /// The length of the range selector; zero for none.
    pub window_ms: i64,
    /// The function or aggregation applied directly to the selector; empty for none.
    pub function: String,
    /// Labels the reader will look at, where it will not look at all of them. Others may then be left out.
    pub projection: Option<Vec<String>>,
    /// Whether start timestamps will be looked at.
    pub start_times: bool,
    /// At most so many series are needed; zero for all.
    pub limit: usize,
}

/// A series within one [`Selection`]; meaningless anywhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SelectedId(pub u32);

/// The series a selector matched, sorted by labels.
pub struct Selection {
    /// The labels of series `SelectedId(i)` at index i.
    pub labels: Vec<Labels>,
    /// Upper bound of the samples a read of all series would decode, known from directories without decoding.
    pub samples_max: u64,
    /// Upper bound of the bytes a read of all series would decode.
    pub bytes_max: u64,
    /// What could not be read and is therefore missing, in words for the user.
    pub warnings: Vec<String>,
    /// Opens readers of the columns.
    pub reader: Arc<dyn ColumnReader>,
}

/// Opens cursors over the series of one [`Selection`]; shared by the workers of a query.
pub trait ColumnReader: Send + Sync {
    fn cursor(&self) -> Box<dyn Cursor + '_>;
}

/// Reads one series at a time. Each worker has its own.
pub trait Cursor {
    /// All samples of a series within the range given to [`Snapshot::select`], oldest first.
    /// The slices stay valid until the next call.
    fn read(&mut self, series: SelectedId) -> Result<Column<'_>, StorageError>;
}

/// The samples of one series. Row i is the same sample in every slice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Column<'a> {
    /// Strictly ascending, in milliseconds.
    pub times: &'a [i64],
    /// Values bit for bit, stale markers included; a histogram's row holds 0, or the stale marker if that is what it is.
    pub values: &'a [f64],
    /// When counting began for each sample, 0 where unknown; `None` where no sample of the range has one.
    pub start_times: Option<&'a [i64]>,
    /// The rows that are histograms, ascending by row; empty for a float series.
    pub histograms: &'a [(u32, Arc<Histogram>)],
    /// Two columns of one cursor with the same `Some(clock)` have the same `times`, so what was
    /// computed from the times alone may be kept.
    pub clock: Option<u64>,
}

/// A consistent view: what was committed when it was taken, whole batches only.
pub trait Snapshot: Send + Sync {
    /// The series that pass all matchers and may have samples in `range`, sorted by labels.
    fn select(&self, matchers: &[Matcher], range: TimeRange, hints: &SelectHints) -> Result<Selection, StorageError>;

    /// The label sets that pass, sorted. Several selectors are a union.
    fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<Labels>, StorageError>;

    /// The label names of passing series, sorted. No selector means every series.
    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<String>, StorageError>;

    /// The values of one label, sorted. No selector means every series.
    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<String>, StorageError>;

    /// Exemplars of passing series within the range, by series, oldest first.
    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError>;
}

/// Where samples are read from.
pub trait Queryable: Send + Sync {
    /// Pins what is committed now.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageError>;

    /// A number that changes whenever a series appeared or vanished: while it stands still, the result of a
    /// selection may be reused.
    fn series_generation(&self) -> u64;

    /// A number that changes whenever something was deleted, or a sample stored that is not the newest of its
    /// series: while it stands still, what was computed from samples that were old then may be reused. `None`:
    /// nobody keeps count.
    fn history_generation(&self) -> Option<u64> {
        None
    }
}

/// A result cut off at the limit asked for (0 = no limit).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limited<T> {
    pub items: Vec<T>,
    pub truncated: bool,
}

/// An example trace behind a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    pub labels: Labels,
    pub value: f64,
    pub time: Timestamp,
}

/// What a reader or writer can do about a failure.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The budget given with the query would be exceeded; nothing was decoded.
    #[error("{0}")]
    OverBudget(String),
    /// The caller gave up or its deadline passed.
    #[error("the query was cancelled")]
    Cancelled,
    /// The storage is starting or stopping; try again.
    #[error("the storage is not ready: {0}")]
    NotReady(String),
    /// Reading failed and nobody can say what is missing.
    #[error("reading failed: {0}")]
    Io(#[from] std::io::Error),
    /// Someone else's storage answered with an error.
    #[error("{0}")]
    Remote(String),
}
