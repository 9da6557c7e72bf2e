//! `remote_write` and `remote_read` of a `prometheus.yml`: their schema, and what Prometheus refuses in them.
//!
//! Promises: what Prometheus refuses is refused in its words, with a place; what we read and cannot do is named by
//! `warnings`, never silently ignored.
//! Not here: the file as a whole (the external labels, the scheme of names), HTTP settings (`net::http_config`).

#[cfg(test)]
mod tests;

use std::time::Duration;

use model::names::NameScheme;
use model::relabel::config::RuleConfig;
use net::http_config::{HttpConfig, Url};
use wire::remote_write::Version;
use yaml::{At, Context, Decode, Encode, Map, Node, Place, Schema, Shape, Spanned};

yaml::record! {
    /// Where samples are sent.
    #[yaml(check = RemoteWriteConfig::check)]
    pub struct RemoteWriteConfig {
        /// The address of the receiver, such as `https://host/api/v1/write`.
        pub url: Option<Spanned<Url>>,
        /// How long one request may take.
        pub remote_timeout: Duration = Duration::from_secs(30),
        /// Headers sent with every request.
        pub headers: Map<String>,
        /// What is sent, and under which labels.
        pub write_relabel_configs: Vec<Spanned<Option<RuleConfig>>>,
        /// The name in metrics; made from the address where it is empty.
        pub name: Spanned<String>,
        pub send_exemplars: bool = false,
        /// Version 2.0 always sends them.
        pub send_native_histograms: bool = false,
        /// Known, not supported: addresses are taken as they come.
        pub round_robin_dns: Spanned<bool>,
        /// `prometheus.WriteRequest` (1.0) or `io.prometheus.write.v2.Request` (2.0).
        pub protobuf_message: Message,
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub queue_config: QueueConfig,
        pub metadata_config: MetadataConfig,
        /// Known, not supported: the block is not sent to.
        pub sigv4: Option<Spanned<Node>>,
        /// Known, not supported: the block is not sent to.
        pub azuread: Option<Spanned<Node>>,
        /// Known, not supported: the block is not sent to.
        pub google_iam: Option<Spanned<Node>>,
    }
}

yaml::record! {
    /// How samples wait and are sent.
    #[yaml(check = QueueConfig::check)]
    pub struct QueueConfig {
        /// Samples that wait in one shard at most.
        pub capacity: i64 = 10_000,
        /// Requests under way at once at most.
        pub max_shards: i64 = 50,
        pub min_shards: i64 = 1,
        /// Samples of one request at most.
        pub max_samples_per_send: i64 = 2_000,
        /// How long samples wait for a request to fill.
        pub batch_send_deadline: Duration = Duration::from_secs(5),
        /// The first wait after a failure that may pass; doubled with each further one.
        pub min_backoff: Duration = Duration::from_millis(30),
        pub max_backoff: Duration = Duration::from_secs(5),
        /// Whether "too many requests" is tried again.
        pub retry_on_http_429: bool = false,
        /// Older samples are not sent; 0: whatever their age.
        pub sample_age_limit: Duration = Duration::ZERO,
    }
}

yaml::record! {
    /// Whether and how often is said what metrics are.
    pub struct MetadataConfig {
        pub send: bool = true,
        pub send_interval: Duration = Duration::from_secs(60),
        /// Families of one request at most.
        #[yaml(range = 1..)]
        pub max_samples_per_send: u32 = 2_000,
    }
}

yaml::record! {
    /// Where samples of others are read; known, not supported.
    #[yaml(check = RemoteReadConfig::check)]
    pub struct RemoteReadConfig {
        pub url: Option<Spanned<Url>>,
        pub remote_timeout: Duration = Duration::from_secs(60),
        /// Bytes of one frame at most.
        pub chunked_read_limit: u64 = 50_000_000,
        pub headers: Map<String>,
        pub read_recent: bool = false,
        pub name: Spanned<String>,
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub required_matchers: Map<String>,
        pub filter_external_labels: bool = true,
    }
}

/// What `protobuf_message` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message(pub Version);

impl Default for Message {
    fn default() -> Self {
        Self(Version::V1)
    }
}

impl Decode for Message {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node, "the name of a message")?;
        let version = Version::from_message(&text);
        if version.is_none() {
            let sentence = format!(
                "invalid protobuf_message value: unknown type for remote write protobuf message {text}, \
                 supported: {}, {}",
                Version::V1.message(),
                Version::V2.message()
            );
            cx.problem(&node.place, sentence);
        }
        version.map(Self)
    }
}

impl Encode for Message {
    fn encode(&self) -> Node {
        Node::text(self.0.message())
    }
}

impl Schema for Message {
    fn shape() -> Shape {
        Shape::one(format!("{} or {}", Version::V1.message(), Version::V2.message()))
    }
}

/// Headers that belong to the protocol; in the words of Prometheus they "must not be changed".
const RESERVED_HEADERS: [&str; 16] = [
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

fn check_headers(headers: &Map<String>, at: &At<'_>, cx: &mut Context) {
    for (name, _) in headers.iter() {
        let lower = name.to_lowercase();
        if lower == "authorization" {
            let sentence = "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, \
                            azuread or google_iam parameter";
            cx.problem(at.value("headers"), sentence);
        } else if RESERVED_HEADERS.contains(&lower.as_str()) {
            cx.problem(at.value("headers"), format!("{name} is a reserved header. It must not be changed"));
        } else if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            cx.problem(at.value("headers"), format!("{name:?} is not a valid header name"));
        }
    }
}

impl RemoteWriteConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.url.is_none() {
            cx.problem(at.key("url"), "url for remote_write is empty");
        }
        for rule in self.write_relabel_configs.iter().filter(|rule| rule.value.is_none()) {
            cx.problem(&rule.place, "empty or null relabeling rule in remote write config");
        }
        check_headers(&self.headers, at, cx);
        let configured: Vec<&str> = [
            ("basic_auth", self.http.basic_auth.is_some()),
            ("authorization", self.http.authorization.is_some()),
            ("oauth2", self.http.oauth2.is_some()),
            ("sigv4", self.sigv4.is_some()),
            ("azuread", self.azuread.is_some()),
            ("google_iam", self.google_iam.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect();
        if configured.len() > 1 {
            let sentence = "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be \
                            configured. Currently configured:";
            cx.problem(at.map(), format!("{sentence} [{}]", configured.join(" ")));
        }
    }

    /// What is wrong with the relabelling rules, which depends on the file's scheme of names.
    pub fn faults(&self, scheme: NameScheme) -> impl Iterator<Item = (&Place, String)> {
        self.write_relabel_configs
            .iter()
            .filter_map(move |rule| Some((&rule.place, rule.value.as_ref()?.fault(scheme)?)))
    }

    /// What is read and not acted on, with its place. Where [`Self::skipped`] names a key the block is not sent to.
    #[must_use]
    pub fn warnings(&self) -> Vec<(Place, String)> {
        let mut warnings = self.http.warnings();
        if let Some((place, key)) = self.skipped() {
            warnings.push((place.clone(), format!("{key} is not supported: nothing is sent to this remote_write")));
        }
        if let Some(url) = self.url.as_ref().filter(|url| !["http", "https"].contains(&url.scheme().as_str())) {
            let sentence = "url has no scheme http or https: nothing is sent to this remote_write";
            warnings.push((url.place.clone(), sentence.to_owned()));
        }
        if self.round_robin_dns.value {
            let sentence = "round_robin_dns is not supported: addresses are taken as the resolver gives them";
            warnings.push((self.round_robin_dns.place.clone(), sentence.to_owned()));
        }
        warnings
    }

    /// The key that makes this block one we cannot send to.
    #[must_use]
    pub fn skipped(&self) -> Option<(&Place, &'static str)> {
        [("sigv4", &self.sigv4), ("azuread", &self.azuread), ("google_iam", &self.google_iam)]
            .into_iter()
            .find_map(|(key, node)| node.as_ref().map(|node| (&node.place, key)))
    }

    /// The name in metrics and of the files: the given one, or one made from the address.
    #[must_use]
    pub fn queue_name(&self) -> String {
        if !self.name.value.is_empty() {
            return self.name.value.clone();
        }
        let url = self.url.as_ref().map_or("", |url| url.expose());
        // Six digits, as Prometheus makes them (of its own hash).
        format!("{:06x}", model::labels::Labels::from_pairs([("url", url)]).stable_hash() & 0xff_ffff)
    }

    /// The relabelling rules without their places.
    pub fn rules(&self) -> impl Iterator<Item = &RuleConfig> {
        self.write_relabel_configs.iter().filter_map(|rule| rule.value.as_ref())
    }
}

impl QueueConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        for (key, value) in [
            ("capacity", self.capacity),
            ("max_shards", self.max_shards),
            ("min_shards", self.min_shards),
            ("max_samples_per_send", self.max_samples_per_send),
        ] {
            if value <= 0 {
                cx.problem(at.value(key), format!("remote write queue {key} must be positive"));
            }
        }
        if self.min_shards > self.max_shards {
            let sentence = "remote write queue min_shards must not be greater than max_shards";
            cx.problem(at.value("min_shards"), sentence);
        }
        if self.max_backoff < self.min_backoff {
            cx.problem(at.value("max_backoff"), "remote write queue max_backoff must not be less than min_backoff");
        }
    }
}

impl RemoteReadConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.url.is_none() {
            cx.problem(at.key("url"), "url for remote_read is empty");
        }
        check_headers(&self.headers, at, cx);
    }

    /// The block as a whole is not acted on.
    #[must_use]
    pub fn warnings(&self) -> Vec<(Place, String)> {
        let place = self.url.as_ref().map_or_else(Place::default, |url| url.place.clone());
        vec![(place, "remote_read is not supported: nothing is read from this address".to_owned())]
    }
}

/// Two blocks of one name: the place of the second and the sentence.
#[must_use]
pub fn name_clashes<'c>(what: &str, names: impl IntoIterator<Item = &'c Spanned<String>>) -> Vec<(Place, String)> {
    let mut seen = std::collections::HashSet::new();
    let mut clashes = Vec::new();
    for name in names {
        if !name.value.is_empty() && !seen.insert(name.value.as_str()) {
            let sentence = format!("found multiple remote {what} configs with job name {:?}", name.value);
            clashes.push((name.place.clone(), sentence));
        }
    }
    clashes
}
