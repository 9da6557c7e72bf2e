//! What the appliance needs from a database: who we are, and when the calendar jobs ran; and from a storage of samples
//! besides reading and writing ([`MetricStore`]).
//!
//! Implemented by `memory` (tests, and servers that keep nothing) and by `store` (SQLite, PostgreSQL); `suite` is what
//! all of them must pass. Promise of every implementation: a call is visible entirely or not at all, and what was
//! answered with `Ok` outlives the process where the implementation outlives it.
//! Not here: when a job is due and what it does (`calendar`, `jobs`).

#[cfg(any(test, feature = "suite"))]
pub mod suite;

use std::path::Path;

use async_trait::async_trait;
use model::matcher::Matcher;
pub use model::port::PortError;
use model::storage::{Appendable, Queryable, StorageError, Tailable, TimeRange};
use model::time::Timestamp;

/// How many series there are, and whose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    pub series: u64,
    /// Each list with the most first.
    pub series_by_metric: Vec<(String, u64)>,
    pub series_by_label: Vec<(String, u64)>,
    pub values_by_label: Vec<(String, u64)>,
    /// `name=value`
    pub series_by_pair: Vec<(String, u64)>,
}

/// A figure a storage counts about itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The name others know it by.
    pub name: &'static str,
    pub help: &'static str,
    pub counts_up: bool,
    pub value: f64,
}

/// A sealed file of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub id: String,
    pub range: TimeRange,
    pub samples: u64,
    pub series: u64,
    pub bytes: u64,
}

/// What was damaged and put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    pub what: String,
    pub reason: String,
}

/// Where samples are kept, as those who run the server see it. Every call may block.
pub trait MetricStore: Queryable + Appendable + Tailable {
    /// Does what is due; to be called every few seconds.
    fn maintain(&self) -> Result<(), StorageError>;

    /// Seals what is in memory and brings files to their final form.
    fn flush(&self) -> Result<(), StorageError>;

    /// Deletes samples of the series that pass all matchers.
    fn delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<(), StorageError>;

    /// Frees the space of what was deleted.
    fn clean(&self) -> Result<(), StorageError>;

    /// A copy in a new folder that can be opened.
    fn snapshot_to(&self, folder: &Path) -> Result<(), StorageError>;

    fn cardinality(&self, limit: usize) -> Cardinality;

    fn figures(&self) -> Vec<Figure>;

    fn parts(&self) -> Vec<Part>;

    fn quarantined(&self) -> Vec<Quarantined>;

    /// Refuses what comes from now on, and puts everything on the disk.
    fn close(&self) -> Result<(), StorageError>;
}

/// One installation of the product, however often it restarts and however many replicas share its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// A random UUID.
    pub id: String,
    pub created: Timestamp,
}

/// Who we are.
#[async_trait]
pub trait InstancePort: Send + Sync {
    /// The instance. The first call ever stores `candidate`; every later call, whoever makes it, gets that one back.
    async fn instance(&self, candidate: Instance) -> Result<Instance, PortError>;
}

/// A calendar job as the database remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    pub name: String,
    /// The cron text that `next_due` was worked out with.
    pub schedule: String,
    pub next_due: Timestamp,
    /// The due time that the last run was for.
    pub last_due: Option<Timestamp>,
    pub last_started: Option<Timestamp>,
    pub last_finished: Option<Timestamp>,
    /// How the last finished run failed; `None` where it did not.
    pub last_error: Option<String>,
    /// The last run began long after it was due: the process was down, or its calendar stood still.
    pub last_late: bool,
    /// Runs that ended, well or not. A run cut off by the end of its process is counted when the next one is claimed.
    pub runs: u64,
    pub failures: u64,
    /// Who runs it now. One that lies in the past belongs to a run that was cut off.
    pub lease: Option<Lease>,
}

/// The right to run one job. It ends by itself, so that a killed process does not hold a job for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub runner: String,
    pub until: Timestamp,
}

/// Asks for the right to run a job for one due time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    pub name: &'a str,
    pub runner: &'a str,
    /// Must be the `next_due` that is stored, so that of several askers one gets it, and gets it once.
    pub due: Timestamp,
    pub next_due: Timestamp,
    pub now: Timestamp,
    pub lease_until: Timestamp,
    pub late: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish<'a> {
    pub name: &'a str,
    pub runner: &'a str,
    pub at: Timestamp,
    pub error: Option<&'a str>,
}

/// When the calendar jobs ran and are due. Names and texts hold no NUL character (PostgreSQL has none).
#[async_trait]
pub trait JobsPort: Send + Sync {
    /// Makes the job known. One that is known under the same `schedule` keeps its `next_due`, so that a due time which
    /// passed while nobody ran is still seen; under another schedule it gets the new one.
    async fn schedule(&self, name: &str, schedule: &str, next_due: Timestamp) -> Result<JobRecord, PortError>;
    /// Moves the next due time; false where it is no longer `from`.
    async fn reschedule(&self, name: &str, from: Timestamp, to: Timestamp) -> Result<bool, PortError>;
    /// Takes the lease and moves the due time on, in one step; false where the due time has moved or somebody's lease
    /// reaches beyond `now`. A lease that has run out is taken over, and the run it belonged to is counted as failed.
    async fn claim(&self, claim: &Claim<'_>) -> Result<bool, PortError>;
    /// Keeps the lease longer; false where it is not the runner's any more.
    async fn renew(&self, name: &str, runner: &str, until: Timestamp) -> Result<bool, PortError>;
    /// Records the end of a run and gives the lease back; false where it is not the runner's any more.
    async fn finish(&self, finish: &Finish<'_>) -> Result<bool, PortError>;
    /// Every job ever made known, by name.
    async fn jobs(&self) -> Result<Vec<JobRecord>, PortError>;
}
