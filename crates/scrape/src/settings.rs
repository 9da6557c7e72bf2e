//! Everything one target's loop needs to know, prepared once when the configuration or the target changed.

use std::sync::Arc;

use wire::exposition::Options;
use wire::exposition::negotiate::{self, Escaping, Protocol};

use crate::config;
use crate::fetch::{BODY_BYTES_MAX, Fetch};
use crate::histogram_limits::HistogramLimits;
use crate::pool::JobRun;
use crate::target::Target;

/// A job, a target, and what follows from them.
pub(crate) struct Settings {
    pub(crate) job: Arc<config::Job>,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) target: Arc<Target>,
    pub(crate) accept: String,
    pub(crate) fallback: Option<Protocol>,
    pub(crate) histograms: HistogramLimits,
    /// While this stays the same, so do the labels of every series.
    pub(crate) labels_key: Arc<str>,
    /// Why every scrape of the job is to fail.
    pub(crate) forced_error: Option<String>,
}

impl Settings {
    pub(crate) fn new(run: &JobRun, target: Arc<Target>, labels_key: &Arc<str>, forced: Option<&str>) -> Self {
        let job = &run.job;
        let escaping = Escaping::from_name(job.escaping.as_str()).unwrap_or_default();
        Self {
            accept: negotiate::accept(&asked(job, target.native_histograms), escaping),
            fallback: job.fallback_protocol.and_then(|protocol| Protocol::from_name(protocol.as_str())),
            histograms: HistogramLimits::new(
                job.limits.native_histogram_buckets,
                job.limits.native_histogram_min_factor,
            ),
            labels_key: Arc::clone(labels_key),
            forced_error: forced.map(str::to_owned),
            job: Arc::clone(job),
            fetch: Arc::clone(&run.fetch),
            target,
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            native_histograms: self.target.native_histograms,
            always_classic: self.target.always_classic,
            classic_to_custom: self.target.classic_to_custom,
        }
    }

    pub(crate) fn body_bytes_max(&self) -> usize {
        match usize::try_from(self.job.limits.body_bytes).unwrap_or(usize::MAX) {
            0 => BODY_BYTES_MAX,
            bytes => bytes,
        }
    }

    /// The name under which this target writes: the same after a restart.
    pub(crate) fn sender(&self) -> String {
        format!("scrape/{}/{:016x}", self.job.name, self.target.id.0)
    }
}

/// A target whose labels ask for native histograms is asked for protobuf first, whatever its job asks for.
fn asked(job: &config::Job, native: bool) -> Vec<Protocol> {
    let mut protocols: Vec<Protocol> =
        job.protocols.iter().filter_map(|protocol| Protocol::from_name(protocol.as_str())).collect();
    if native && !job.native_histograms && !protocols.contains(&Protocol::PrometheusProto) {
        protocols.insert(0, Protocol::PrometheusProto);
    }
    protocols
}

/// What decides about the labels of a job's series. Two jobs with the same text give the same labels.
pub(crate) fn labels_key(job: &config::Job) -> Arc<str> {
    Arc::from(format!("{:?} {:?} {:?} {:?}", job.honor_labels, job.metric_relabel, job.limits, job.scheme))
}
