//! One entry of `scrape_configs` as it stands in the file.

use std::path::PathBuf;
use std::time::Duration;

use model::names::NameScheme;
use model::relabel::config::RuleList;
use net::http_config::HttpConfig;
use yaml::{At, Bytes, Context, Map, Place, Problem, Problems, Spanned};

use super::global::Global;
use super::protocol::{Protocol, ProtocolName, formats};
use super::sections::Discovery;
use super::values::{SchemeChoice, inherit};

yaml::record! {
    /// A job: targets that are scraped alike.
    #[yaml(check = ScrapeConfig::check)]
    pub struct ScrapeConfig {
        /// The value of the label `job`.
        pub job_name: Spanned<String>,
        /// Whether labels of the target win over those of the server.
        pub honor_labels: bool = false,
        /// Whether timestamps of the target are believed.
        pub honor_timestamps: bool = true,
        pub track_timestamps_staleness: bool = false,
        /// Query parameters of the request.
        pub params: Map<Vec<String>>,
        pub scrape_interval: Option<Duration>,
        pub scrape_timeout: Option<Spanned<Duration>>,
        pub scrape_protocols: Option<Spanned<Vec<ProtocolName>>>,
        /// The format of an answer that does not say which it has.
        pub fallback_scrape_protocol: Option<Spanned<String>>,
        pub scrape_native_histograms: Option<bool>,
        pub always_scrape_classic_histograms: Option<bool>,
        pub convert_classic_histograms_to_nhcb: Option<bool>,
        pub scrape_failure_log_file: Option<Spanned<PathBuf>>,
        pub metrics_path: String = "/metrics".to_owned(),
        pub scheme: String = "http".to_owned(),
        /// Whether compressed answers are asked for.
        pub enable_compression: bool = true,
        pub body_size_limit: Option<Bytes>,
        pub sample_limit: Option<u64>,
        pub target_limit: Option<u64>,
        pub label_limit: Option<u64>,
        pub label_name_length_limit: Option<u64>,
        pub label_value_length_limit: Option<u64>,
        pub native_histogram_bucket_limit: Option<u64>,
        pub native_histogram_min_bucket_factor: Option<f64>,
        pub keep_dropped_targets: Option<u64>,
        pub metric_name_validation_scheme: SchemeChoice,
        pub metric_name_escaping_scheme: Option<Spanned<String>>,
        pub extra_scrape_metrics: Option<bool>,
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub relabel_configs: RuleList,
        pub metric_relabel_configs: RuleList,
        #[yaml(flatten)]
        pub discovery: Discovery,
    }
}

/// What `metric_name_escaping_scheme` may be.
const ESCAPING: [&str; 4] = ["allow-utf-8", "underscores", "dots", "values"];

fn unknown_escaping(owner: &str, found: &str) -> String {
    format!(
        "unknown {owner} name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or \
         'values', got {found:?}"
    )
}

impl ScrapeConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.job_name.value.is_empty() {
            cx.problem(at.key("job_name"), "job_name is empty");
        }
        if self.relabel_configs.is_empty() {
            self.discovery.refuse_urls(cx);
        }
        for rule in self.relabel_configs.iter().filter(|rule| rule.value.is_none()) {
            cx.problem(&rule.place, "empty or null target relabeling rule in scrape config");
        }
        for rule in self.metric_relabel_configs.iter().filter(|rule| rule.value.is_none()) {
            cx.problem(&rule.place, "empty or null metric relabeling rule in scrape config");
        }
    }

    /// Takes over what `global` says where the job says nothing, and refuses what does not fit together then.
    pub fn inherit(&mut self, global: &Global, problems: &mut Problems) {
        self.inherit_times(global, problems);
        self.inherit_limits(global);
        self.inherit_protocols(global, problems);
        self.inherit_names(global, problems);
        let scheme = self.name_scheme();
        for rule in self.relabel_configs.iter().chain(&self.metric_relabel_configs) {
            if let Some(fault) = rule.value.as_ref().and_then(|config| config.fault(scheme)) {
                problems.push(Problem::new(&rule.place, "", fault));
            }
        }
    }

    fn inherit_times(&mut self, global: &Global, problems: &mut Problems) {
        inherit(&mut self.scrape_interval, Some(&global.scrape_interval()));
        let interval = self.scrape_interval.unwrap_or_default();
        if let Some(timeout) = self.scrape_timeout.as_ref().filter(|timeout| timeout.value > interval) {
            let job = &self.job_name.value;
            let sentence = format!(
                "scrape timeout greater than scrape interval for scrape config with job name {job:?}: {} is more than {}",
                model::time::format_duration(timeout.value),
                model::time::format_duration(interval)
            );
            problems.push(Problem::new(&timeout.place, "", sentence));
        }
        inherit(&mut self.scrape_timeout, Some(&Spanned::from(global.scrape_timeout().min(interval))));
    }

    fn inherit_limits(&mut self, global: &Global) {
        inherit(&mut self.body_size_limit, global.body_size_limit.as_ref());
        inherit(&mut self.sample_limit, global.sample_limit.as_ref());
        inherit(&mut self.target_limit, global.target_limit.as_ref());
        inherit(&mut self.label_limit, global.label_limit.as_ref());
        inherit(&mut self.label_name_length_limit, global.label_name_length_limit.as_ref());
        inherit(&mut self.label_value_length_limit, global.label_value_length_limit.as_ref());
        inherit(&mut self.keep_dropped_targets, global.keep_dropped_targets.as_ref());
        if self.scrape_failure_log_file.as_ref().is_none_or(|path| path.value.as_os_str().is_empty()) {
            self.scrape_failure_log_file.clone_from(&global.scrape_failure_log_file);
        }
        let native = global.scrape_native_histograms.unwrap_or(false);
        self.scrape_native_histograms.get_or_insert(native);
        self.extra_scrape_metrics.get_or_insert(global.extra_scrape_metrics);
        self.convert_classic_histograms_to_nhcb.get_or_insert(global.convert_classic_histograms_to_nhcb);
        self.always_scrape_classic_histograms.get_or_insert(global.always_scrape_classic_histograms);
    }

    fn inherit_protocols(&mut self, global: &Global, problems: &mut Problems) {
        let job = &self.job_name.value;
        if self.scrape_protocols.is_none() {
            let names = |protocols: &[Protocol]| -> Vec<ProtocolName> {
                protocols.iter().map(|protocol| ProtocolName(protocol.as_str().to_owned())).collect()
            };
            let native = self.scrape_native_histograms == Some(true);
            let default = if native { names(&Protocol::NATIVE) } else { names(&Protocol::DEFAULT) };
            self.scrape_protocols = Some(global.scrape_protocols.clone().unwrap_or(default).into());
        } else if let Some(names) = &self.scrape_protocols
            && let Err(sentence) = formats(&names.value)
        {
            let sentence = format!("{sentence} for scrape config with job name {job:?}");
            problems.push(Problem::new(&names.place, "", sentence));
        }
        if let Some(fallback) = self.fallback_scrape_protocol.as_ref().filter(|name| !name.value.is_empty())
            && let Err(sentence) = Protocol::parse(&fallback.value)
        {
            let sentence =
                format!("invalid fallback_scrape_protocol for scrape config with job name {job:?}: {sentence}");
            problems.push(Problem::new(&fallback.place, "", sentence));
        }
    }

    /// The scheme of names, and how names beyond it are asked for: each follows the other where it is not said.
    fn inherit_names(&mut self, global: &Global, problems: &mut Problems) {
        let said = |scheme: &Option<Spanned<String>>| scheme.clone().filter(|scheme| !scheme.value.is_empty());
        let natural = |scheme: NameScheme| if scheme == NameScheme::Legacy { "underscores" } else { "allow-utf-8" };
        let own_scheme = self.metric_name_validation_scheme.0;
        let scheme = own_scheme.unwrap_or_else(|| global.name_scheme());
        let inherited = said(&global.metric_name_escaping_scheme)
            .unwrap_or_else(|| Spanned::from(natural(global.name_scheme()).to_owned()));
        if !ESCAPING.contains(&inherited.value.as_str()) {
            problems.push(Problem::new(&inherited.place, "", unknown_escaping("global", &inherited.value)));
            return;
        }
        let escaping = said(&self.metric_name_escaping_scheme).unwrap_or_else(|| match own_scheme {
            None => inherited,
            Some(own) => Spanned::from(natural(own).to_owned()),
        });
        if !ESCAPING.contains(&escaping.value.as_str()) {
            problems.push(Problem::new(&escaping.place, "", unknown_escaping("scrape config", &escaping.value)));
        } else if escaping.value == "allow-utf-8" && scheme != NameScheme::Utf8 {
            let place = if escaping.place.is_in_file() { &escaping.place } else { &self.job_name.place };
            let sentence = "utf8 metric names requested but validation scheme is not set to UTF8";
            problems.push(Problem::new(place, "", sentence));
        }
        self.metric_name_validation_scheme = SchemeChoice(Some(scheme));
        self.metric_name_escaping_scheme = Some(escaping);
    }

    /// Which names metrics and labels may have; meaningful once inherited.
    #[must_use]
    pub fn name_scheme(&self) -> NameScheme {
        self.metric_name_validation_scheme.0.unwrap_or_default()
    }

    /// What is read and not acted on, each with its place.
    #[must_use]
    pub fn warnings(&self) -> Vec<(Place, String)> {
        let job = &self.job_name.value;
        let skipped = |unsupported: super::sections::Unsupported| {
            let sentence = format!("{} is not supported: job {job:?} goes without these targets", unsupported.key);
            (unsupported.place, sentence)
        };
        let mut warnings: Vec<_> = self.discovery.unsupported().into_iter().map(skipped).collect();
        warnings.extend(self.http.warnings().into_iter().map(|(at, text)| (at, format!("job {job:?}: {text}"))));
        warnings
    }
}
