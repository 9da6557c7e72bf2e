//! What can be set about a database.

use std::time::Duration;

/// Bounds on what series may exist. 0 means no bound where a bound may be lifted.
/// At a bound only the new series is refused, and named; series that exist go on.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Labels of one series; always bounded.
    pub labels_max: usize,
    /// Bytes of a label name; always bounded.
    pub name_bytes_max: usize,
    /// Bytes of a label value; always bounded.
    pub value_bytes_max: usize,
    /// Series in the head.
    pub series_max: usize,
    /// Series in the head that one sender brought.
    pub series_per_sender_max: usize,
    /// Series in the head of one metric.
    pub series_per_metric_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // Generous for people, small against an exporter that puts a request body into a label.
        Self {
            labels_max: 128,
            name_bytes_max: 1 << 10,
            value_bytes_max: 16 << 10,
            series_max: 0,
            series_per_sender_max: 0,
            series_per_metric_max: 0,
        }
    }
}

/// Settings of a database. The defaults are those of the product.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a commit that only asks for "written" may stay unsynced; zero makes every commit wait for the disk.
    pub sync_window: Duration,
    /// Samples older than this are dropped and refused.
    pub retention: Duration,
    /// Bytes of parts, head and log above which the oldest parts go; 0 for no bound.
    pub retention_bytes: u64,
    /// How much older than the newest sample of its series a sample may be.
    pub out_of_order_window: Duration,
    /// How far ahead of the clock a sample may be.
    pub ahead_max: Duration,
    /// The length of a window of the head, sealed into one part. At most a day.
    pub window: Duration,
    /// A window is sealed so long after its end, when its last samples have come.
    pub seal_delay: Duration,
    /// A series that got nothing for so long gives its buffers back.
    pub idle: Duration,
    /// The log is kept so much longer for those who follow it and are behind.
    pub tail_bytes_max: u64,
    /// A log segment is closed at this size.
    pub segment_bytes: u64,
    /// A checkpoint is due after so many samples, or ten for each series: what replay at start may cost.
    pub checkpoint_samples: u64,
    /// Late samples in memory (24 bytes each) at which their windows are sealed; at four times this they are refused.
    pub late_samples_max: usize,
    /// Exemplars kept; the oldest make room.
    pub exemplars_max: usize,
    /// Memory for pages of parts.
    pub page_cache_bytes: usize,
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync_window: Duration::from_millis(200),
            retention: Duration::from_secs(15 * 86_400),
            retention_bytes: 0,
            out_of_order_window: Duration::ZERO,
            ahead_max: Duration::from_secs(600),
            window: Duration::from_secs(7_200),
            seal_delay: Duration::from_secs(300),
            idle: Duration::from_secs(600),
            tail_bytes_max: 1 << 30,
            segment_bytes: crate::log::writer::SEGMENT_BYTES_MAX,
            checkpoint_samples: 2_000_000,
            late_samples_max: (8 << 20) / 24,
            exemplars_max: 100_000,
            page_cache_bytes: 64 << 20,
            limits: Limits::default(),
        }
    }
}

/// A duration in the milliseconds of timestamps.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
