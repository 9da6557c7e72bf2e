//! A job as the loops run by it: everything inherited, checked and prepared.

use std::path::PathBuf;
use std::time::Duration;

use model::names::NameScheme;
use model::relabel::Rules;
use net::http_config::HttpConfig;
use yaml::{Place, Problems};

use super::protocol::{Protocol, formats};
use super::scrape_config::ScrapeConfig;
use super::sections::Mechanism;

/// Targets that are scraped alike.
#[derive(Clone, Debug)]
pub struct Job {
    pub name: String,
    /// Where its name stands.
    pub place: Place,
    pub interval: Duration,
    /// At most `interval`.
    pub timeout: Duration,
    /// Most wanted first; never empty.
    pub protocols: Vec<Protocol>,
    pub fallback_protocol: Option<Protocol>,
    pub escaping: Escaping,
    pub scheme: NameScheme,
    pub honor_labels: bool,
    pub honor_timestamps: bool,
    pub track_timestamps_staleness: bool,
    pub native_histograms: bool,
    pub always_classic_histograms: bool,
    pub convert_classic_histograms: bool,
    pub extra_metrics: bool,
    pub compression: bool,
    pub params: Vec<(String, Vec<String>)>,
    pub metrics_path: String,
    /// `http` or `https`; anything else fails the scrape, as rules may still change it.
    pub url_scheme: String,
    pub limits: Limits,
    /// Dropped targets that are kept to be shown; 0: all.
    pub keep_dropped_targets: u64,
    pub failure_log: Option<PathBuf>,
    pub http: HttpConfig,
    pub relabel: Rules,
    pub metric_relabel: Rules,
    pub mechanisms: Vec<Mechanism>,
}

/// What an answer may have; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    pub body_bytes: u64,
    pub samples: u64,
    pub targets: u64,
    pub labels: u64,
    pub label_name_bytes: u64,
    pub label_value_bytes: u64,
    pub native_histogram_buckets: u64,
    /// Buckets are merged until they grow by at least this factor.
    pub native_histogram_min_factor: f64,
}

/// How names beyond letters, digits and `_` are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escaping {
    #[default]
    AllowUtf8,
    Underscores,
    Dots,
    Values,
}

impl Escaping {
    /// As it stands in the file and in the `Accept` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

impl Job {
    /// Prepares a job whose configuration has inherited and was found without a problem.
    #[must_use]
    pub fn new(config: &ScrapeConfig) -> Self {
        let scheme = config.name_scheme();
        let mut noted = Problems::default();
        let mut rules = |list| Rules::from_list(list, scheme, &mut noted);
        let (relabel, metric_relabel) = (rules(&config.relabel_configs), rules(&config.metric_relabel_configs));
        let names = config.scrape_protocols.as_ref().map_or(&[][..], |names| &names.value);
        let fallback = config.fallback_scrape_protocol.as_ref();
        let log = config.scrape_failure_log_file.as_ref().filter(|path| !path.value.as_os_str().is_empty());
        Self {
            name: config.job_name.value.clone(),
            place: config.job_name.place.clone(),
            interval: config.scrape_interval.unwrap_or_default(),
            timeout: config.scrape_timeout.as_ref().map_or(Duration::ZERO, |timeout| timeout.value),
            protocols: formats(names).unwrap_or_else(|_| Protocol::DEFAULT.to_vec()),
            fallback_protocol: fallback.and_then(|name| Protocol::parse(&name.value).ok()),
            escaping: escaping(config),
            scheme,
            honor_labels: config.honor_labels,
            honor_timestamps: config.honor_timestamps,
            track_timestamps_staleness: config.track_timestamps_staleness,
            native_histograms: config.scrape_native_histograms.unwrap_or_default(),
            always_classic_histograms: config.always_scrape_classic_histograms.unwrap_or_default(),
            convert_classic_histograms: config.convert_classic_histograms_to_nhcb.unwrap_or_default(),
            extra_metrics: config.extra_scrape_metrics.unwrap_or_default(),
            compression: config.enable_compression,
            params: config.params.iter().map(|(name, values)| (name.to_owned(), values.clone())).collect(),
            metrics_path: config.metrics_path.clone(),
            url_scheme: config.scheme.clone(),
            limits: Limits::of(config),
            keep_dropped_targets: config.keep_dropped_targets.unwrap_or_default(),
            failure_log: log.map(|path| path.place.resolve(&path.value)),
            http: config.http.clone(),
            relabel,
            metric_relabel,
            mechanisms: config.discovery.mechanisms(),
        }
    }
}

fn escaping(config: &ScrapeConfig) -> Escaping {
    let said = config.metric_name_escaping_scheme.as_ref().map_or("", |scheme| scheme.value.as_str());
    let all = [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values];
    all.into_iter().find(|escaping| escaping.as_str() == said).unwrap_or_default()
}

impl Limits {
    fn of(config: &ScrapeConfig) -> Self {
        Self {
            body_bytes: config.body_size_limit.map_or(0, yaml::Bytes::get),
            samples: config.sample_limit.unwrap_or_default(),
            targets: config.target_limit.unwrap_or_default(),
            labels: config.label_limit.unwrap_or_default(),
            label_name_bytes: config.label_name_length_limit.unwrap_or_default(),
            label_value_bytes: config.label_value_length_limit.unwrap_or_default(),
            native_histogram_buckets: config.native_histogram_bucket_limit.unwrap_or_default(),
            native_histogram_min_factor: config.native_histogram_min_bucket_factor.unwrap_or_default(),
        }
    }
}
