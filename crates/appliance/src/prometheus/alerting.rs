//! `alerting`: which Alertmanagers alerts are sent to. One that does not answer costs its own notifications only.

use std::time::Duration;

use model::names::NameScheme;
use model::relabel::Rules;
use model::relabel::config::RuleList;
use net::http_config::HttpConfig;
use scrape::config::{Discovery, Mechanism};
use yaml::schema::Shape;
use yaml::{At, Context, Decode, Encode, Node, Place, Problem, Problems, Schema, Spanned};

use super::signing::SigV4;

yaml::record! {
    /// Where alerts go.
    #[yaml(check = AlertingFile::check)]
    pub struct AlertingFile {
        /// Rules for the labels of alerts.
        pub alert_relabel_configs: RuleList,
        pub alertmanagers: Vec<Spanned<Option<AlertmanagerConfig>>>,
    }
}

yaml::record! {
    /// Alertmanagers that are reached alike.
    #[yaml(check = AlertmanagerConfig::check)]
    pub struct AlertmanagerConfig {
        #[yaml(flatten)]
        pub http: HttpConfig,
        /// Known, not supported: nothing is signed.
        pub sigv4: Option<SigV4>,
        pub scheme: String = "http".to_owned(),
        pub path_prefix: Option<String>,
        pub timeout: Duration = Duration::from_secs(10),
        pub api_version: ApiVersion,
        /// Rules for the addresses.
        pub relabel_configs: RuleList,
        /// Rules for the labels of alerts that go to these.
        pub alert_relabel_configs: RuleList,
        #[yaml(flatten)]
        pub discovery: Discovery,
    }
}

/// `v2`; nothing else is spoken any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiVersion;

impl Decode for ApiVersion {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node, "v2")?;
        if text == "v2" {
            return Some(Self);
        }
        cx.problem(&node.place, format!("expected Alertmanager api version to be one of [v2] but got {text}"));
        None
    }
}

impl Encode for ApiVersion {
    fn encode(&self) -> Node {
        Node::text("v2")
    }
}

impl Schema for ApiVersion {
    fn shape() -> Shape {
        Shape::one("v2")
    }
}

impl AlertingFile {
    fn check(&self, _: &At<'_>, cx: &mut Context) {
        for rule in self.alert_relabel_configs.iter().filter(|rule| rule.value.is_none()) {
            cx.problem(&rule.place, "empty or null alert relabeling rule");
        }
        for block in self.alertmanagers.iter().filter(|block| block.value.is_none()) {
            cx.problem(&block.place, "empty or null Alertmanager config section");
        }
    }
}

impl AlertmanagerConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let http = &self.http;
        let authenticated = http.basic_auth.is_some() || http.authorization.is_some() || http.oauth2.is_some();
        let bearer = http.bearer_token.is_some() || http.bearer_token_file.is_some();
        if self.sigv4.is_some() && (authenticated || bearer) {
            let sentence = "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured";
            cx.problem(at.key("sigv4"), sentence);
        }
        if self.relabel_configs.is_empty() {
            self.discovery.refuse_urls(cx);
        }
        for rule in self.relabel_configs.iter().filter(|rule| rule.value.is_none()) {
            cx.problem(&rule.place, "empty or null Alertmanager target relabeling rule");
        }
        for rule in self.alert_relabel_configs.iter().filter(|rule| rule.value.is_none()) {
            cx.problem(&rule.place, "empty or null Alertmanager alert relabeling rule");
        }
    }

    fn warnings(&self) -> Vec<(Place, String)> {
        let skipped = |unsupported: scrape::config::sections::Unsupported| {
            let sentence = format!("{} is not supported: these Alertmanagers are not found", unsupported.key);
            (unsupported.place, sentence)
        };
        let mut warnings: Vec<_> = self.discovery.unsupported().into_iter().map(skipped).collect();
        warnings.extend(self.http.warnings());
        if let Some(sigv4) = &self.sigv4 {
            let place = sigv4.region.as_ref().map_or_else(Place::default, |region| region.place.clone());
            warnings.push((place, "sigv4 is not supported: nothing is sent to these Alertmanagers".to_owned()));
        }
        warnings
    }
}

/// Where alerts go, prepared.
#[derive(Clone, Debug, Default)]
pub struct Alerting {
    pub relabel: Rules,
    pub alertmanagers: Vec<Alertmanagers>,
}

/// Alertmanagers that are reached alike.
#[derive(Clone, Debug)]
pub struct Alertmanagers {
    pub http: HttpConfig,
    pub scheme: String,
    pub path_prefix: String,
    pub timeout: Duration,
    pub relabel: Rules,
    pub alert_relabel: Rules,
    pub mechanisms: Vec<Mechanism>,
    /// Cannot be sent to: its requests would have to be signed.
    pub skipped: bool,
}

impl Alerting {
    /// Prepares what was read; rules that are wrong under the scheme are noted.
    pub(super) fn new(file: &AlertingFile, scheme: NameScheme, problems: &mut Problems) -> Self {
        let relabel = Rules::from_list(&file.alert_relabel_configs, scheme, problems);
        let read = file.alertmanagers.iter().filter_map(|block| block.value.as_ref());
        let alertmanagers = read.map(|config| Alertmanagers {
            http: config.http.clone(),
            scheme: config.scheme.clone(),
            path_prefix: config.path_prefix.clone().unwrap_or_default(),
            timeout: config.timeout,
            relabel: Rules::from_list(&config.relabel_configs, scheme, problems),
            alert_relabel: Rules::from_list(&config.alert_relabel_configs, scheme, problems),
            mechanisms: config.discovery.mechanisms(),
            skipped: config.sigv4.is_some(),
        });
        Self { relabel, alertmanagers: alertmanagers.collect() }
    }
}

/// What is read and not acted on.
pub(super) fn warnings(file: &AlertingFile) -> Vec<Problem> {
    let read = file.alertmanagers.iter().enumerate().filter_map(|(index, block)| Some((index, block.value.as_ref()?)));
    let warnings = read.flat_map(|(index, config)| {
        let path = format!("alerting.alertmanagers[{index}]");
        config.warnings().into_iter().map(move |(place, text)| Problem::new(&place, path.clone(), text))
    });
    warnings.collect()
}
