//! Which format is asked for, and which one an answer is in.
//!
//! The rules are those of Prometheus 3: an answer without a `Content-Type` that is known fails the scrape, unless a
//! fallback is configured for the target.

use std::fmt::Write as _;

/// How an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

/// What can be asked for, by the names `scrape_protocols` and `fallback_scrape_protocol` use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    PrometheusProto,
    PrometheusText0_0_4,
    PrometheusText1_0_0,
    OpenMetricsText0_0_1,
    OpenMetricsText1_0_0,
}

impl Protocol {
    pub const ALL: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// What is asked for where nothing is configured.
    pub const DEFAULT: [Self; 4] =
        [Self::OpenMetricsText1_0_0, Self::OpenMetricsText0_0_1, Self::PrometheusText1_0_0, Self::PrometheusText0_0_4];

    /// What is asked for where native histograms are wanted and nothing is configured.
    pub const DEFAULT_NATIVE: [Self; 5] = Self::ALL;

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::PrometheusProto => Format::Protobuf,
            Self::PrometheusText0_0_4 | Self::PrometheusText1_0_0 => Format::Text,
            Self::OpenMetricsText0_0_1 | Self::OpenMetricsText1_0_0 => Format::OpenMetrics,
        }
    }

    /// The media type, without charset and escaping.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        }
    }

    /// Whether names beyond letters, digits and `_` can be exposed, so that how to write them is negotiated.
    const fn has_escaping(self) -> bool {
        matches!(self, Self::PrometheusText1_0_0 | Self::OpenMetricsText1_0_0)
    }
}

/// How names beyond letters, digits and `_` are written for somebody who cannot read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    #[default]
    AllowUtf8,
    Underscores,
    Dots,
    Values,
}

impl Escaping {
    /// As in headers and in `metric_name_escaping_scheme`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values].into_iter().find(|e| e.name() == name)
    }
}

/// The `Accept` header that asks for these protocols, the first one most.
#[must_use]
pub fn accept(protocols: &[Protocol], escaping: Escaping) -> String {
    let mut out = String::new();
    // One more than there are protocols, so that the last, anything at all, still has a weight.
    let mut weight = Protocol::ALL.len() + 1;
    for protocol in protocols.iter().take(Protocol::ALL.len()) {
        out.push_str(protocol.media_type());
        if protocol.has_escaping() {
            let _ = write!(out, ";escaping={}", escaping.name());
        }
        let _ = write!(out, ";q=0.{weight},");
        weight -= 1;
    }
    let _ = write!(out, "*/*;q=0.{weight}");
    out
}

/// The format an answer is in, and a remark for the target's page if it is only the fallback's.
///
/// # Errors
/// In words, where the type says nothing that is known and there is no fallback.
pub fn format_of(content_type: &str, fallback: Option<Protocol>) -> Result<(Format, Option<String>), String> {
    let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let media = media.trim().to_ascii_lowercase();
    match media.as_str() {
        "application/openmetrics-text" => return Ok((Format::OpenMetrics, None)),
        "text/plain" => return Ok((Format::Text, None)),
        "application/vnd.google.protobuf" if is_metric_family(parameters) => return Ok((Format::Protobuf, None)),
        _ => {}
    }
    let problem = if content_type.is_empty() {
        "non-compliant scrape target sending blank Content-Type".to_owned()
    } else {
        format!("received unsupported Content-Type {content_type:?}")
    };
    match fallback {
        Some(protocol) => {
            let remark = format!("{problem}, using fallback_scrape_protocol {:?}", protocol.name());
            Ok((protocol.format(), Some(remark)))
        }
        None => Err(format!("{problem} and no fallback_scrape_protocol specified for target")),
    }
}

/// Of protobuf only this message in this framing is an exposition; who does not say is believed.
fn is_metric_family(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "proto" => value.eq_ignore_ascii_case("io.prometheus.client.MetricFamily"),
            "encoding" => value.eq_ignore_ascii_case("delimited"),
            _ => true,
        }
    })
}

/// What to answer somebody who sent this `Accept` header: the format with the highest weight of those we write, and
/// how names are to be escaped. Text 0.0.4 where nothing fits, as Prometheus's libraries do.
#[must_use]
pub fn choose(accept: &str) -> (Protocol, Escaping) {
    let mut best: Option<(f64, Protocol, Escaping)> = None;
    for part in accept.split(',') {
        let mut parameters = part.split(';').map(str::trim);
        let media = parameters.next().unwrap_or("").to_ascii_lowercase();
        let (mut version, mut weight, mut escaping) = ("", 1.0, Escaping::Underscores);
        for (name, value) in parameters.filter_map(|parameter| parameter.split_once('=')) {
            match name.trim() {
                "version" => version = value.trim(),
                "q" => weight = value.trim().parse().unwrap_or(0.0),
                "escaping" => escaping = Escaping::from_name(value.trim()).unwrap_or(Escaping::Underscores),
                _ => {}
            }
        }
        let protocol = match (media.as_str(), version) {
            ("application/openmetrics-text", "1.0.0") => Protocol::OpenMetricsText1_0_0,
            ("application/openmetrics-text", "0.0.1" | "") => Protocol::OpenMetricsText0_0_1,
            ("text/plain", "1.0.0") => Protocol::PrometheusText1_0_0,
            ("text/plain" | "*/*" | "text/*", _) => Protocol::PrometheusText0_0_4,
            _ => continue,
        };
        // The first of equal weight, as it stands first because it is liked more.
        if weight > 0.0 && best.is_none_or(|(highest, ..)| weight > highest) {
            best = Some((weight, protocol, escaping));
        }
    }
    best.map_or((Protocol::PrometheusText0_0_4, Escaping::Underscores), |(_, protocol, escaping)| (protocol, escaping))
}

/// The `Content-Type` of an answer in this format.
#[must_use]
pub fn content_type(protocol: Protocol, escaping: Escaping) -> String {
    let mut out = protocol.media_type().replace(';', "; ");
    if protocol != Protocol::PrometheusProto {
        out.push_str("; charset=utf-8");
    }
    if protocol.has_escaping() {
        let _ = write!(out, "; escaping={}", escaping.name());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_is_the_one_targets_know() {
        assert_eq!(
            accept(&Protocol::DEFAULT, Escaping::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept(&[Protocol::PrometheusProto], Escaping::Dots).rsplit_once(',').map(|p| p.1),
            Some("*/*;q=0.5")
        );
    }

    #[test]
    fn an_answer_without_a_known_type_needs_a_fallback() {
        let text = Some(Protocol::PrometheusText0_0_4);
        assert_eq!(format_of("text/plain; version=0.0.4; charset=utf-8", None), Ok((Format::Text, None)));
        assert_eq!(format_of("Application/OpenMetrics-Text;version=1.0.0", text), Ok((Format::OpenMetrics, None)));
        assert_eq!(
            format_of(&content_type(Protocol::PrometheusProto, Escaping::AllowUtf8), None),
            Ok((Format::Protobuf, None))
        );
        assert!(format_of("application/vnd.google.protobuf; proto=other.Message; encoding=delimited", None).is_err());
        assert_eq!(
            format_of("", None).unwrap_err(),
            "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
        );
        assert_eq!(
            format_of("application/json", None).unwrap_err(),
            "received unsupported Content-Type \"application/json\" and no fallback_scrape_protocol specified for target"
        );
        let (format, remark) = format_of("application/json", text).unwrap();
        assert_eq!(format, Format::Text);
        assert!(remark.unwrap().contains("using fallback_scrape_protocol \"PrometheusText0.0.4\""));
    }

    #[test]
    fn whoever_asks_gets_what_it_likes_most() {
        use Protocol::{OpenMetricsText1_0_0, PrometheusText0_0_4, PrometheusText1_0_0};
        let header = accept(&Protocol::DEFAULT, Escaping::AllowUtf8);
        assert_eq!(choose(&header), (OpenMetricsText1_0_0, Escaping::AllowUtf8));
        assert_eq!(choose(""), (PrometheusText0_0_4, Escaping::Underscores));
        assert_eq!(choose("text/html,*/*;q=0.8"), (PrometheusText0_0_4, Escaping::Underscores));
        let later = "text/plain;version=0.0.4;q=0.2, text/plain;version=1.0.0;escaping=values;q=0.5";
        assert_eq!(choose(later), (PrometheusText1_0_0, Escaping::Values));
        assert_eq!(
            choose("application/openmetrics-text;version=1.0.0;q=0"),
            (PrometheusText0_0_4, Escaping::Underscores)
        );
    }

    #[test]
    fn names_of_protocols_read_back() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::from_name(protocol.name()), Some(protocol));
        }
        assert_eq!(Protocol::from_name("prometheusproto"), None);
    }
}
