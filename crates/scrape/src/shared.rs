//! What all loops share: the storage, the clock, room to work in, and what is counted about scrapes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::meter::instrument::{Counter, Histogram};
use model::meter::{Desc, Family, MeterError, Registry};
use model::storage::Appendable;
use model::time::{Clock, format_duration};

use crate::fetch::Body;
use crate::ingest::{IngestError, Room};
use crate::report::Refused;

/// Rooms and bodies that are kept for the next scrape; beyond it memory is given back.
const KEPT_MAX: usize = 8;
/// A kept body or room may hold so much.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;
const KEPT_SERIES_MAX: usize = 128 * 1024;

/// Shared by every loop.
pub struct Shared {
    pub(crate) storage: Arc<dyn Appendable>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Differs between servers that scrape the same targets.
    pub(crate) seed: u64,
    pub(crate) metrics: ScrapeMetrics,
    pub(crate) rooms: Kept<Room>,
    pub(crate) bodies: Kept<Body>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Shared {
    /// # Errors
    /// A metric of ours has the name of another one.
    pub fn new(
        storage: Arc<dyn Appendable>,
        clock: Arc<dyn Clock>,
        seed: u64,
        registry: &Registry,
    ) -> Result<Arc<Self>, MeterError> {
        let metrics = ScrapeMetrics::new(registry)?;
        Ok(Arc::new(Self { storage, clock, seed, metrics, rooms: Kept::default(), bodies: Kept::default() }))
    }
}

/// Gives memory back that is more than usual.
pub(crate) trait Shrink: Default {
    fn shrink(&mut self);
}

impl Shrink for Room {
    fn shrink(&mut self) {
        self.shrink(KEPT_SERIES_MAX);
    }
}

impl Shrink for Body {
    fn shrink(&mut self) {
        self.shrink(KEPT_BYTES_MAX);
    }
}

/// Things that are used by one scrape at a time and then by the next.
#[derive(Debug, Default)]
pub(crate) struct Kept<T>(Mutex<Vec<T>>);

impl<T: Shrink> Kept<T> {
    pub(crate) fn take(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, mut thing: T) {
        thing.shrink();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(thing);
        }
    }
}

/// What is counted, under the names Prometheus's users know.
#[derive(Clone)]
pub(crate) struct ScrapeMetrics {
    out_of_order: Counter,
    duplicate: Counter,
    out_of_bounds: Counter,
    sample_limit: Counter,
    bucket_limit: Counter,
    label_limit: Counter,
    pub(crate) target_limit: Counter,
    pub(crate) panics: Counter,
    intervals: Family<Histogram, 1>,
}

impl ScrapeMetrics {
    fn new(registry: &Registry) -> Result<Self, MeterError> {
        let counter = |name, help| registry.counter(Desc::new(name, help));
        let intervals = Desc::new("prometheus_target_interval_length_seconds", "Actual intervals between scrapes.");
        Ok(Self {
            out_of_order: counter(
                "prometheus_target_scrapes_sample_out_of_order_total",
                "Samples rejected because they were not newer than the last of their series.",
            )?,
            duplicate: counter(
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                "Samples rejected because another value has the same timestamp.",
            )?,
            out_of_bounds: counter(
                "prometheus_target_scrapes_sample_out_of_bounds_total",
                "Samples rejected because their timestamp is outside of the time bounds.",
            )?,
            sample_limit: counter(
                "prometheus_target_scrapes_exceeded_sample_limit_total",
                "Scrapes that hit the sample limit and were rejected.",
            )?,
            bucket_limit: counter(
                "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
                "Scrapes that hit the native histogram bucket limit and were rejected.",
            )?,
            label_limit: counter(
                "prometheus_target_scrape_pool_exceeded_label_limits_total",
                "Scrapes that hit a label limit and were rejected.",
            )?,
            target_limit: counter(
                "prometheus_target_scrape_pool_exceeded_target_limit_total",
                "Times a pool had more targets than its limit.",
            )?,
            panics: counter("watchpost_scrape_panics_total", "Scrape loops that panicked and were started again.")?,
            intervals: registry.histogram_family(
                intervals,
                ["interval"],
                &[0.1, 0.5, 1.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0],
            )?,
        })
    }

    pub(crate) fn interval(&self, configured: Duration, actual: Duration) {
        self.intervals.with([&format_duration(configured)]).observe(actual.as_secs_f64());
    }

    pub(crate) fn failed(&self, error: &IngestError) {
        match error.limit() {
            Some("sample") => self.sample_limit.inc(),
            Some("label") => self.label_limit.inc(),
            Some(_) => self.bucket_limit.inc(),
            None => {}
        }
    }

    pub(crate) fn refused(&self, refused: &Refused) {
        for (counter, count) in [
            (&self.out_of_order, refused.out_of_order),
            (&self.duplicate, refused.duplicate),
            (&self.out_of_bounds, refused.out_of_bounds),
        ] {
            if count > 0 {
                counter.add(count);
            }
        }
    }
}
