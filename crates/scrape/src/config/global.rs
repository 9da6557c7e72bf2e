//! `global`: what holds for every job that says nothing else, and for rules.

use std::path::PathBuf;
use std::time::Duration;

use model::names::NameScheme;
use yaml::{At, Bytes, Context, Spanned};

use super::protocol::{ProtocolName, formats};
use super::values::{ExternalLabels, SchemeChoice};

/// Where nothing is said.
const INTERVAL: Duration = Duration::from_secs(60);
/// Where nothing is said and the interval is not shorter.
const TIMEOUT: Duration = Duration::from_secs(10);

yaml::record! {
    /// What holds where a job says nothing else.
    #[yaml(check = Global::check)]
    pub struct Global {
        /// How often targets are scraped.
        pub scrape_interval: Option<Duration>,
        /// How long a scrape may take.
        pub scrape_timeout: Option<Duration>,
        /// Formats a target is asked for, most wanted first.
        pub scrape_protocols: Option<Vec<ProtocolName>>,
        /// How often rules are evaluated.
        pub evaluation_interval: Option<Duration>,
        /// How far in the past rules are evaluated.
        pub rule_query_offset: Option<Duration>,
        /// Known, not supported.
        pub query_log_file: Option<Spanned<PathBuf>>,
        pub scrape_failure_log_file: Option<Spanned<PathBuf>>,
        /// Labels of everything that leaves this server.
        pub external_labels: ExternalLabels,
        /// Uncompressed bytes of one answer at most.
        pub body_size_limit: Option<Bytes>,
        pub sample_limit: Option<u64>,
        pub target_limit: Option<u64>,
        pub label_limit: Option<u64>,
        pub label_name_length_limit: Option<u64>,
        pub label_value_length_limit: Option<u64>,
        /// Dropped targets that are kept to be shown.
        pub keep_dropped_targets: Option<u64>,
        /// Which names metrics and labels may have.
        pub metric_name_validation_scheme: SchemeChoice,
        /// `allow-utf-8`, `underscores`, `dots` or `values`.
        pub metric_name_escaping_scheme: Option<Spanned<String>>,
        pub scrape_native_histograms: Option<bool>,
        pub convert_classic_histograms_to_nhcb: bool = false,
        pub always_scrape_classic_histograms: bool = false,
        pub extra_scrape_metrics: bool = false,
    }
}

impl Global {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let said = |duration: Option<Duration>| duration.filter(|duration| !duration.is_zero());
        if said(self.scrape_timeout) > Some(said(self.scrape_interval).unwrap_or(INTERVAL)) {
            cx.problem(at.value("scrape_timeout"), "global scrape timeout greater than scrape interval");
        }
        if let Some(Err(sentence)) = self.scrape_protocols.as_deref().map(formats) {
            cx.problem(at.value("scrape_protocols"), format!("{sentence} for global config"));
        }
        for (name, _) in &self.external_labels.pairs {
            if !self.name_scheme().is_label_name(name) {
                cx.problem(at.value("external_labels"), format!("{name:?} is not a valid label name"));
            }
        }
    }

    /// Fills in what holds where nothing is said, as Prometheus does before it shows its configuration.
    pub fn fill(&mut self) {
        let said = |duration: Option<Duration>| duration.filter(|duration| !duration.is_zero());
        let interval = said(self.scrape_interval).unwrap_or(INTERVAL);
        self.scrape_interval = Some(interval);
        self.scrape_timeout = Some(said(self.scrape_timeout).unwrap_or_else(|| TIMEOUT.min(interval)));
        self.evaluation_interval = Some(said(self.evaluation_interval).unwrap_or(INTERVAL));
        self.scrape_native_histograms.get_or_insert(false);
        self.metric_name_validation_scheme.0.get_or_insert(NameScheme::Utf8);
    }

    #[must_use]
    pub fn scrape_interval(&self) -> Duration {
        self.scrape_interval.unwrap_or(INTERVAL)
    }

    #[must_use]
    pub fn scrape_timeout(&self) -> Duration {
        self.scrape_timeout.unwrap_or(TIMEOUT)
    }

    #[must_use]
    pub fn evaluation_interval(&self) -> Duration {
        self.evaluation_interval.unwrap_or(INTERVAL)
    }

    #[must_use]
    pub fn name_scheme(&self) -> NameScheme {
        self.metric_name_validation_scheme.0.unwrap_or_default()
    }
}
