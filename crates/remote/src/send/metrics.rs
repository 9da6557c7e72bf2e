//! What a queue counts about itself, under the names Prometheus gives them.

use std::sync::Arc;

use model::meter::instrument::{Counter, Gauge, Histogram, Instrument};
use model::meter::{Desc, Family, MeterError, Registry};

/// Bounds of request durations in seconds: Prometheus's defaults, and three for slow receivers.
const DURATION_BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0];

/// The metrics of all queues; register once.
#[derive(Clone, Debug)]
pub struct SendMetrics {
    families: Arc<Families>,
}

#[derive(Debug)]
struct Families {
    samples: Kinds,
    exemplars: Kinds,
    histograms: Kinds,
    metadata: Kinds,
    samples_dropped: Family<Counter, 3>,
    histograms_dropped: Family<Counter, 3>,
    bytes: Family<Counter, 2>,
    metadata_bytes: Family<Counter, 2>,
    lost: Family<Counter, 2>,
    enqueue_retries: Family<Counter, 2>,
    duration: Family<Histogram, 2>,
    highest_sent: Family<Gauge, 2>,
    highest_read: Family<Gauge, 2>,
    pending: Family<Gauge, 2>,
    shards: Family<Gauge, 2>,
    shards_min: Family<Gauge, 2>,
    shards_max: Family<Gauge, 2>,
    shards_desired: Family<Gauge, 2>,
    capacity: Family<Gauge, 2>,
    max_samples_per_send: Family<Gauge, 2>,
}

/// Counters that exist for each kind of thing that is sent.
#[derive(Debug)]
struct Kinds {
    total: Family<Counter, 2>,
    failed: Family<Counter, 2>,
    retried: Family<Counter, 2>,
}

impl Kinds {
    fn new(registry: &Registry, kind: &str) -> Result<Self, MeterError> {
        let family = |suffix: &str, help: String| {
            let desc = Desc::new(format!("prometheus_remote_storage_{kind}{suffix}_total"), help);
            registry.counter_family(desc, ["remote_name", "url"])
        };
        Ok(Self {
            total: family("", format!("Total number of {kind} sent to remote storage."))?,
            failed: family("_failed", format!("Total number of {kind} which failed on send, non-recoverable errors."))?,
            retried: family("_retried", format!("Total number of {kind} sent again after a recoverable error."))?,
        })
    }

    fn with(&self, labels: [&str; 2]) -> KindMetrics {
        KindMetrics {
            total: self.total.with(labels),
            failed: self.failed.with(labels),
            retried: self.retried.with(labels),
        }
    }
}

fn name(short: &str) -> String {
    format!("prometheus_remote_storage_{short}")
}

impl SendMetrics {
    pub fn new(registry: &Registry) -> Result<Self, MeterError> {
        let counter = |short: &str, help: &str| registry.counter_family(Desc::new(name(short), help), QUEUE);
        let dropped = |short: &str, help: &str| {
            registry.counter_family(Desc::new(name(short), help), ["remote_name", "url", "reason"])
        };
        let gauge = |short: &str, help: &str| registry.gauge_family(Desc::new(name(short), help), QUEUE);
        let duration = Desc::new(name("sent_batch_duration_seconds"), "Duration of send calls to the remote storage.");
        let families = Families {
            samples: Kinds::new(registry, "samples")?,
            exemplars: Kinds::new(registry, "exemplars")?,
            histograms: Kinds::new(registry, "histograms")?,
            metadata: Kinds::new(registry, "metadata")?,
            samples_dropped: dropped(
                "samples_dropped_total",
                "Total number of samples which were dropped after being read from the log before being sent.",
            )?,
            histograms_dropped: dropped(
                "histograms_dropped_total",
                "Total number of histograms which were dropped after being read from the log before being sent.",
            )?,
            bytes: counter("bytes_total", "The total number of bytes of data (not metadata) sent, after compression.")?,
            metadata_bytes: counter("metadata_bytes_total", "The total number of bytes of metadata sent.")?,
            lost: counter(
                "lost_batches_total",
                "Committed batches that could not be read or were gone before they were read.",
            )?,
            enqueue_retries: counter(
                "enqueue_retries_total",
                "Total number of times reading had to wait because a shard was full.",
            )?,
            duration: registry.histogram_family(duration.unit("seconds"), QUEUE, &DURATION_BOUNDS)?,
            highest_sent: gauge(
                "queue_highest_sent_timestamp_seconds",
                "Highest timestamp successfully sent by this queue, in seconds since epoch.",
            )?,
            highest_read: gauge(
                "queue_highest_timestamp_seconds",
                "Highest timestamp that was read for this queue, in seconds since epoch.",
            )?,
            pending: gauge("samples_pending", "The number of samples pending in the shards.")?,
            shards: gauge("shards", "The number of shards used for parallel sending.")?,
            shards_min: gauge("shards_min", "The minimum number of shards that the queue is allowed to run.")?,
            shards_max: gauge("shards_max", "The maximum number of shards that the queue is allowed to run.")?,
            shards_desired: gauge("shards_desired", "The number of shards that the queue wants to run.")?,
            capacity: gauge("shard_capacity", "The capacity of each shard of the queue.")?,
            max_samples_per_send: gauge("max_samples_per_send", "The maximum number of samples of one request.")?,
        };
        Ok(Self { families: Arc::new(families) })
    }

    /// The metrics of one queue.
    pub(super) fn queue(&self, queue: &str, url: &str) -> QueueMetrics {
        let (families, labels) = (&self.families, [queue, url]);
        let dropped = |family: &Family<Counter, 3>| Dropped {
            relabelled: family.with([queue, url, "dropped_series"]),
            too_old: family.with([queue, url, "too_old"]),
            unsupported: family.with([queue, url, "nhcb_not_supported"]),
            unwanted: family.with([queue, url, "not_enabled"]),
        };
        QueueMetrics {
            samples: families.samples.with(labels),
            exemplars: families.exemplars.with(labels),
            histograms: families.histograms.with(labels),
            metadata: families.metadata.with(labels),
            samples_dropped: dropped(&families.samples_dropped),
            histograms_dropped: dropped(&families.histograms_dropped),
            bytes: families.bytes.with(labels),
            metadata_bytes: families.metadata_bytes.with(labels),
            lost: families.lost.with(labels),
            enqueue_retries: families.enqueue_retries.with(labels),
            duration: families.duration.with(labels),
            highest_sent: families.highest_sent.with(labels),
            highest_read: families.highest_read.with(labels),
            pending: families.pending.with(labels),
            shards: families.shards.with(labels),
            shards_min: families.shards_min.with(labels),
            shards_max: families.shards_max.with(labels),
            shards_desired: families.shards_desired.with(labels),
            capacity: families.capacity.with(labels),
            max_samples_per_send: families.max_samples_per_send.with(labels),
        }
    }

    /// Forgets a queue that is gone.
    pub(super) fn forget(&self, queue: &str, url: &str) {
        let (families, labels) = (&self.families, [queue, url]);
        for kinds in [&families.samples, &families.exemplars, &families.histograms, &families.metadata] {
            forget(&[&kinds.total, &kinds.failed, &kinds.retried], labels);
        }
        forget(&[&families.bytes, &families.metadata_bytes, &families.lost, &families.enqueue_retries], labels);
        forget(
            &[
                &families.highest_sent,
                &families.highest_read,
                &families.pending,
                &families.shards,
                &families.shards_min,
                &families.shards_max,
                &families.shards_desired,
                &families.capacity,
                &families.max_samples_per_send,
            ],
            labels,
        );
        families.duration.remove(labels);
        for reason in ["dropped_series", "too_old", "nhcb_not_supported", "not_enabled"] {
            families.samples_dropped.remove([queue, url, reason]);
            families.histograms_dropped.remove([queue, url, reason]);
        }
    }
}

fn forget<I: Instrument>(families: &[&Family<I, 2>], labels: [&str; 2]) {
    families.iter().for_each(|family| family.remove(labels));
}

/// The labels of a queue.
const QUEUE: [&str; 2] = ["remote_name", "url"];

/// Counters of one kind.
#[derive(Clone, Debug)]
pub(super) struct KindMetrics {
    pub(super) total: Counter,
    pub(super) failed: Counter,
    pub(super) retried: Counter,
}

/// Why something was not sent.
#[derive(Clone, Debug)]
pub(super) struct Dropped {
    pub(super) relabelled: Counter,
    pub(super) too_old: Counter,
    pub(super) unsupported: Counter,
    pub(super) unwanted: Counter,
}

/// Handles of one queue.
#[derive(Clone, Debug)]
pub(super) struct QueueMetrics {
    pub(super) samples: KindMetrics,
    pub(super) exemplars: KindMetrics,
    pub(super) histograms: KindMetrics,
    pub(super) metadata: KindMetrics,
    pub(super) samples_dropped: Dropped,
    pub(super) histograms_dropped: Dropped,
    pub(super) bytes: Counter,
    pub(super) metadata_bytes: Counter,
    pub(super) lost: Counter,
    pub(super) enqueue_retries: Counter,
    pub(super) duration: Histogram,
    pub(super) highest_sent: Gauge,
    pub(super) highest_read: Gauge,
    pub(super) pending: Gauge,
    pub(super) shards: Gauge,
    pub(super) shards_min: Gauge,
    pub(super) shards_max: Gauge,
    pub(super) shards_desired: Gauge,
    pub(super) capacity: Gauge,
    pub(super) max_samples_per_send: Gauge,
}
