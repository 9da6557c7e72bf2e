//! `storage`, `tracing` and `otlp` of the file.

use std::time::Duration;

use model::names::NameScheme;
use net::http_config::TlsConfig;
use yaml::schema::Shape;
use yaml::{At, Bytes, Context, Decode, Encode, Map, Node, Place, Problem, Problems, Schema, Spanned};

yaml::record! {
    /// What is kept, and for how long.
    pub struct Storage {
        pub tsdb: Option<Tsdb>,
        pub exemplars: Option<Exemplars>,
    }
}

yaml::record! {
    /// Samples.
    pub struct Tsdb {
        /// How late a sample may come.
        pub out_of_order_time_window: Duration,
        /// Known, not supported: series without new samples are let go in their own time.
        pub stale_series_compaction_threshold: Option<f64>,
        pub retention: Option<Retention>,
        /// Known, not supported: the layout is our own.
        pub chunk_encoding: Option<ChunkEncoding>,
    }
}

yaml::record! {
    /// When samples are given up; whichever comes first.
    #[yaml(check = Retention::check)]
    pub struct Retention {
        pub time: Option<Duration>,
        pub size: Option<Bytes>,
        /// Of the disk; known, not supported.
        pub percentage: Option<f64>,
    }
}

yaml::record! {
    /// How samples are packed.
    #[yaml(check = ChunkEncoding::check)]
    pub struct ChunkEncoding {
        pub floats: Option<String>,
    }
}

yaml::record! {
    /// Examples kept with samples.
    pub struct Exemplars {
        pub max_exemplars: i64 = 100_000,
    }
}

impl Retention {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.percentage.is_some_and(|percentage| !(0.0..=100.0).contains(&percentage)) {
            cx.problem(at.value("percentage"), "'storage.tsdb.retention.percentage' must be in the range [0, 100]");
        }
    }
}

impl ChunkEncoding {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if let Some(floats) = self.floats.as_deref().filter(|floats| !["xor", "xor2"].contains(floats)) {
            let sentence = format!(
                "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted entirely, \
                 got {floats:?}"
            );
            cx.problem(at.value("floats"), sentence);
        }
    }
}

yaml::record! {
    /// Where traces of this server would go; known, not supported.
    #[yaml(check = Tracing::check)]
    pub struct Tracing {
        pub client_type: ClientType,
        pub endpoint: Spanned<String>,
        pub sampling_fraction: Option<f64>,
        pub insecure: bool = false,
        pub tls_config: TlsConfig,
        pub headers: Map<String>,
        pub compression: Option<String>,
        pub timeout: Option<Duration>,
    }
}

/// `grpc` or `http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientType(pub String);

impl Default for ClientType {
    fn default() -> Self {
        Self("grpc".to_owned())
    }
}

impl Decode for ClientType {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node, "http or grpc")?;
        if !["http", "grpc"].contains(&text.as_str()) {
            let sentence = format!("expected tracing client type to be to be http or grpc, but got {text}");
            cx.problem(&node.place, sentence);
            return None;
        }
        Some(Self(text))
    }
}

impl Encode for ClientType {
    fn encode(&self) -> Node {
        Node::text(self.0.as_str())
    }
}

impl Schema for ClientType {
    fn shape() -> Shape {
        Shape::one("http or grpc")
    }
}

/// Headers of requests that their sender is responsible for.
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

impl Tracing {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        for (name, _) in self.headers.iter() {
            let lower = name.to_lowercase();
            if lower == "authorization" {
                let sentence = "custom authorization header configuration is not yet supported";
                cx.problem(at.value("headers"), sentence);
            } else if RESERVED_HEADERS.contains(&lower.as_str()) {
                cx.problem(at.value("headers"), format!("{name} is a reserved header. It must not be changed"));
            }
        }
        if self.endpoint.value.is_empty() {
            cx.problem(at.key("endpoint"), "tracing endpoint must be set");
        }
        if let Some(compression) = self.compression.as_deref().filter(|text| !text.is_empty() && *text != "gzip") {
            let sentence = format!("invalid compression type {compression} provided, valid options: gzip");
            cx.problem(at.value("compression"), sentence);
        }
    }
}

/// The strategy where nothing is said.
const TRANSLATION: &str = "UnderscoreEscapingWithSuffixes";

yaml::record! {
    /// How metrics of OpenTelemetry become series.
    #[yaml(check = Otlp::check)]
    pub struct Otlp {
        pub promote_all_resource_attributes: bool = false,
        pub promote_resource_attributes: Vec<String>,
        pub ignore_resource_attributes: Vec<String>,
        pub translation_strategy: Spanned<String> = Spanned::from(TRANSLATION.to_owned()),
        pub keep_identifying_resource_attributes: bool = false,
        pub convert_histograms_to_nhcb: bool = false,
        pub promote_scope_metadata: bool = false,
        pub label_name_underscore_sanitization: bool = true,
        pub label_name_preserve_multiple_underscores: bool = true,
    }
}

impl Otlp {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.promote_all_resource_attributes {
            if !self.promote_resource_attributes.is_empty() {
                let sentence = "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be \
                                configured simultaneously";
                cx.problem(at.key("promote_resource_attributes"), sentence);
            }
            check_attributes("ignore", "ignored", &self.ignore_resource_attributes, at, cx);
        } else {
            if !self.ignore_resource_attributes.is_empty() {
                let sentence = "'ignore_resource_attributes' cannot be configured unless \
                                'promote_all_resource_attributes' is true";
                cx.problem(at.key("ignore_resource_attributes"), sentence);
            }
            check_attributes("promote", "promoted", &self.promote_resource_attributes, at, cx);
        }
    }

    /// What depends on the file's scheme of names.
    pub(super) fn check_scheme(&self, scheme: NameScheme, problems: &mut Problems) {
        let strategy = self.translation_strategy.value.as_str();
        let sentence = match strategy {
            "" | TRANSLATION | "UnderscoreEscapingWithoutSuffixes" => return,
            "NoTranslation" | "NoUTF8EscapingWithSuffixes" if scheme == NameScheme::Utf8 => return,
            "NoTranslation" | "NoUTF8EscapingWithSuffixes" => {
                format!("OTLP translation strategy {strategy:?} is not allowed when UTF8 is disabled")
            }
            _ => format!("unsupported OTLP translation strategy {strategy:?}"),
        };
        problems.push(Problem::new(&self.translation_strategy.place, "otlp.translation_strategy", sentence));
    }
}

fn check_attributes(verb: &str, participle: &str, attributes: &[String], at: &At<'_>, cx: &mut Context) {
    let key = format!("{verb}_resource_attributes");
    let mut complain = |what: String| cx.problem(at.value(&key), format!("invalid '{key}': {what}"));
    for (index, attribute) in attributes.iter().enumerate() {
        let attribute = attribute.trim();
        if attribute.is_empty() {
            complain(format!("empty {participle} OTel resource attribute"));
        } else if attributes[..index].iter().any(|earlier| earlier.trim() == attribute) {
            complain(format!("duplicated {participle} OTel resource attribute {attribute:?}"));
        }
    }
}

/// What is read and not acted on.
pub(super) fn warnings(storage: &Storage, tracing: Option<&Tracing>) -> Vec<Problem> {
    let mut warnings = Vec::new();
    let mut warn = |place: &Place, path: &str, text: &str| warnings.push(Problem::new(place, path, text));
    if let Some(tracing) = tracing {
        warn(&tracing.endpoint.place, "tracing", "tracing is not supported: no traces are sent");
    }
    let nowhere = Place::default();
    if let Some(tsdb) = &storage.tsdb {
        if tsdb.stale_series_compaction_threshold.is_some() {
            let text = "not supported: series without new samples are let go in their own time";
            warn(&nowhere, "storage.tsdb.stale_series_compaction_threshold", text);
        }
        if tsdb.chunk_encoding.is_some() {
            warn(&nowhere, "storage.tsdb.chunk_encoding", "not supported: the storage here has another layout");
        }
        if tsdb.retention.as_ref().is_some_and(|retention| retention.percentage.is_some()) {
            warn(&nowhere, "storage.tsdb.retention.percentage", "not supported, use size");
        }
    }
    warnings
}
