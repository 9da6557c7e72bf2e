//! The contract between whoever keeps samples and whoever reads or writes them.
//!
//! Reading is made for an engine that works series by series on columns: [`Queryable::snapshot`] pins what is
//! committed, [`Snapshot::select`] names the series, a [`Cursor`] (one for each worker) hands out one series at a
//! time as slices that stay valid until its next call.
//! Writing is made for senders that repeat themselves: an [`Appender`] is kept by whoever sends (a scrape loop, a
//! remote-write connection, a rule group), names a series once ([`Appender::resolve`]) and from then on hands over
//! references and numbers. What lies between two commits is one batch: readers see all of it or nothing.
//! [`Tail`] reads the committed batches again in the order in which they were committed.
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

    /// What is known about metric families, by family, then target; all families if `family` is empty.
    /// A storage that keeps none (somebody else's) answers with nothing.
    fn metadata(&self, family: &str, limit: usize) -> Result<Limited<Metadata>, StorageError> {
        let _ = (family, limit);
        Ok(Limited { items: Vec::new(), truncated: false })
    }
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

/// What a target says about one of its metric families.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metadata {
    pub family: String,
    /// The labels of the target that said so; empty where the sender does not say which one.
    pub target: Labels,
    /// `counter`, `gauge`, … as it is exposed; empty where unknown.
    pub kind: String,
    pub help: String,
    pub unit: String,
}

/// A series as one storage knows it. Only good for the storage that gave it out, until that storage answers
/// [`Refusal::UnknownSeries`] (it forgot a series that was idle for long, or was opened anew): then resolve again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u64);

/// What must have happened before a commit returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// The operating system has it: it survives a kill of the process, and within a bounded time a power loss too.
    Written,
    /// The disk has it: it survives a power loss.
    Synced,
}

/// Why a sample or series was not taken. The texts are the ones Prometheus's users know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("out of order sample")]
    OutOfOrder,
    #[error("duplicate sample for timestamp")]
    DuplicateTimestamp,
    /// Before the out-of-order window of its series, or before what retention keeps.
    #[error("too old sample")]
    TooOld,
    #[error("out of bounds: too far in the future")]
    TooFarAhead,
    /// The reference is not (or no longer) valid: resolve the labels again.
    #[error("unknown series reference")]
    UnknownSeries,
    #[error("{limit} exceeded: {found} of at most {max} ({offender})")]
    Limit { limit: &'static str, offender: String, max: u64, found: u64 },
    /// The sample contradicts itself (a histogram whose buckets do not fit its spans, a series without labels).
    #[error("{0}")]
    Invalid(String),
}

/// One sample that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub series: SeriesRef,
    pub time: Timestamp,
    pub reason: Refusal,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Samples that are stored now.
    pub appended: u64,
    /// Samples that were stored already, with the same value.
    pub duplicates: u64,
    /// Of the stored ones, those that came out of order.
    pub late: u64,
    /// Samples that were not taken; everything else of the batch was.
    pub refused: Vec<Refused>,
}

/// Who sends: names the clock that its series share and the log's memory of its last batch.
/// The same name again continues where the last appender of this name stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender<'a>(pub &'a str);

/// Where samples are written to.
pub trait Appendable: Send + Sync {
    /// An appender for one sender, to be kept as long as it sends.
    fn appender(&self, sender: Sender<'_>) -> Result<Box<dyn Appender>, StorageError>;
}

/// Collects one batch at a time. Nothing of it is visible, or able to fail another batch, before [`Self::commit`].
pub trait Appender: Send {
    /// The reference of a series; makes the series known if it is new. The only call that looks at labels.
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refusal>;

    /// Adds a float sample.
    fn append(&mut self, series: SeriesRef, time: Timestamp, value: f64);

    /// Adds one sample for each series, all of one time: an unchanged scrape. The slices are equally long.
    fn append_row(&mut self, series: &[SeriesRef], time: Timestamp, values: &[f64]) {
        for (series, value) in series.iter().zip(values) {
            self.append(*series, time, *value);
        }
    }

    /// Adds a sample of any kind; `start_time` in milliseconds says when counting began, 0 where unknown.
    fn append_value(&mut self, series: SeriesRef, time: Timestamp, value: &SampleValue, start_time: i64);

    /// Adds an exemplar. One that is not newer than the last of its series is left out.
    fn exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar);

    /// Says what a metric family is; kept until the same target says something else.
    fn metadata(&mut self, metadata: &Metadata);

    /// Stores the batch and makes it visible as a whole. After an error nothing of it is stored or visible
    /// (but see [`StorageError::NotSynced`]); the appender is empty again and can be used further.
    fn commit(&mut self, durability: Durability) -> Result<Committed, StorageError>;

    /// Forgets what was added since the last commit.
    fn rollback(&mut self);
}

/// A place between two committed batches; grows with time. Zero is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    pub segment: u64,
    pub offset: u64,
}

/// One committed sample as a [`Tail`] hands it out.
#[derive(Clone, Debug)]
pub struct TailSample {
    /// Index into [`TailRows::labels`].
    pub series: u32,
    pub time: Timestamp,
    pub value: SampleValue,
    /// When counting began; 0 where unknown.
    pub start_time: i64,
}

/// Committed rows, oldest batch first. The reader keeps and reuses it.
#[derive(Clone, Debug, Default)]
pub struct TailRows {
    /// The labels of each series that occurs, once.
    pub labels: Vec<Labels>,
    pub samples: Vec<TailSample>,
    /// Exemplars with an index into `labels`.
    pub exemplars: Vec<(u32, Exemplar)>,
    pub metadata: Vec<Metadata>,
    /// Batches that could not be read or were dropped before they were read, and why.
    pub lost: Vec<String>,
}

/// What is committed, from a position on. Each reader has its own; batches come whole.
pub trait Tail: Send {
    /// Replaces `into` with the next batches, at least one if there is one, at most about `samples_max` samples.
    /// Nothing new leaves it empty: ask again later.
    fn read(&mut self, samples_max: usize, into: &mut TailRows) -> Result<(), StorageError>;

    /// The position behind what was read last.
    fn position(&self) -> Position;

    /// Says that everything before the position is done with and need not be kept for this reader.
    fn release(&mut self, before: Position);
}

/// Where committed batches can be followed.
pub trait Tailable: Send + Sync {
    /// A tail for a named reader: from a position, from where the named reader released last, or (if it is not
    /// known) from now on. What is not released is kept for it up to a bound of the storage.
    fn tail(&self, reader: &str, from: Option<Position>) -> Result<Box<dyn Tail>, StorageError>;
}

/// What a reader or writer can do about a failure.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk (or the quota) is full; nothing was written, reading goes on. Try again later.
    #[error("no space left for {0}")]
    NoSpace(String),
    /// The batch is visible, but whether it survives a power loss is not known. Sending it again is safe.
    #[error("written, but not synced: {0}")]
    NotSynced(String),
    /// The batch as a whole is beyond a bound; nothing was written.
    #[error("{0}")]
    TooLarge(String),
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
