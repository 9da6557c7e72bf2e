//! Sending what is committed to another engine: remote write 1.0 and 2.0, fed from the storage's log.
//!
//! Promises: nothing is kept twice, the log is the queue: what was not acknowledged is read again after a kill (at
//! least once, so some of it arrives twice); samples of one series leave in their order; memory is bounded by
//! `capacity × max_shards` rows and one read; a receiver that is down stops reading, not the storage.
//! A queue is one task: its requests run side by side within it.
//! Not here: the log and how long it waits for us (`model::storage::Tailable`), connections ([`transport`]).

mod batch;
pub mod http;
mod metrics;
pub mod position;
mod queue;
#[cfg(test)]
mod tests;
pub mod transport;
mod verdict;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::matcher::BadRegex;
use model::names::NameScheme;
use model::relabel::Rules;
use model::storage::{Queryable, StorageError, Tailable};
use model::time::Clock;
use tokio_util::sync::CancellationToken;
use wire::remote_write::Version;

use crate::config::{MetadataConfig, QueueConfig, RemoteWriteConfig};

pub use self::metrics::SendMetrics;
use self::position::PositionFile;
use self::queue::Queue;
use self::transport::Transport;

/// Why a queue ended; it may be started again.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("remote write {queue}: {source}")]
    Storage { queue: String, source: StorageError },
    #[error("remote write {queue}: a task of it failed: {reason}")]
    Task { queue: String, reason: String },
}

/// What one queue does, checked and ready.
#[derive(Clone, Debug)]
pub struct SenderSpec {
    /// In metrics, in the name of its folder and to the storage.
    pub name: String,
    /// As it is shown: without a password.
    pub url: String,
    pub version: Version,
    pub timeout: Duration,
    pub external_labels: Labels,
    pub rules: Rules,
    pub send_exemplars: bool,
    pub send_native_histograms: bool,
    pub queue: QueueLimits,
    pub metadata: MetadataConfig,
}

/// `queue_config`, in the types that are worked with.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    pub capacity: usize,
    pub shards_min: usize,
    pub shards_max: usize,
    pub max_samples_per_send: usize,
    pub batch_send_deadline: Duration,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    pub retry_on_429: bool,
    /// Zero: whatever their age.
    pub sample_age_limit: Duration,
}

/// Shards one queue may be told to have; each holds a buffer.
const SHARDS_MAX: usize = 1_000;
/// Without a pause a receiver that is down would be asked without end.
const BACKOFF_LEAST: Duration = Duration::from_millis(1);

impl From<&QueueConfig> for QueueLimits {
    fn from(config: &QueueConfig) -> Self {
        // The configuration was checked to be positive.
        let count = |number: i64| usize::try_from(number).unwrap_or(1).max(1);
        let shards_max = count(config.max_shards).min(SHARDS_MAX);
        Self {
            capacity: count(config.capacity),
            shards_min: count(config.min_shards).min(shards_max),
            shards_max,
            max_samples_per_send: count(config.max_samples_per_send),
            batch_send_deadline: config.batch_send_deadline,
            backoff_min: config.min_backoff.max(BACKOFF_LEAST),
            backoff_max: config.max_backoff.max(BACKOFF_LEAST),
            retry_on_429: config.retry_on_http_429,
            sample_age_limit: config.sample_age_limit,
        }
    }
}

impl SenderSpec {
    /// Prepares a block that was read and found good.
    pub fn new(config: &RemoteWriteConfig, external: &Labels, scheme: NameScheme) -> Result<Self, BadRegex> {
        let version = config.protobuf_message.0;
        Ok(Self {
            name: config.queue_name(),
            url: config.url.as_ref().map_or_else(String::new, |url| url.value.to_string()),
            version,
            timeout: config.remote_timeout,
            external_labels: external.clone(),
            rules: Rules::prepare(config.rules(), scheme)?,
            send_exemplars: config.send_exemplars,
            send_native_histograms: config.send_native_histograms || version == Version::V2,
            queue: QueueLimits::from(&config.queue_config),
            metadata: config.metadata_config.clone(),
        })
    }
}

/// What a queue works with.
#[derive(Clone)]
pub struct SenderParts {
    pub tailable: Arc<dyn Tailable>,
    /// Where metadata is read; without it none is sent but what the log brings (in version 2.0).
    pub metadata: Option<Arc<dyn Queryable>>,
    pub transport: Arc<dyn Transport>,
    pub clock: Arc<dyn Clock>,
    pub metrics: SendMetrics,
}

/// One `remote_write` block at work.
pub struct RemoteSender {
    spec: SenderSpec,
    parts: SenderParts,
    file: PositionFile,
}

impl RemoteSender {
    /// `queues` is the folder of all queues; each has one of its own in it.
    #[must_use]
    pub fn new(spec: SenderSpec, parts: SenderParts, queues: &Path) -> Self {
        let file = PositionFile::new(queues, &spec.name);
        Self { spec, parts, file }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Sends until told to stop; then waits a moment for answers and notes how far it came. What is still unsent is
    /// read again by the next run.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), SendError> {
        let queue = Queue::open(&self.spec, &self.parts, &self.file).await?;
        let end = queue.run(stop).await;
        self.parts.metrics.forget(&self.spec.name, &self.spec.url);
        end
    }
}
