//! The formats a target is asked for, by the names they have in `scrape_protocols`.

use std::fmt;

use yaml::schema::Shape;
use yaml::{Context, Decode, Encode, Node, Schema};

/// A format, with its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    OpenMetricsText0_0_1,
    OpenMetricsText1_0_0,
    PrometheusProto,
    PrometheusText0_0_4,
    PrometheusText1_0_0,
}

impl Protocol {
    /// In the order of their names, as Prometheus lists them.
    pub const ALL: [Self; 5] = [
        Self::OpenMetricsText0_0_1,
        Self::OpenMetricsText1_0_0,
        Self::PrometheusProto,
        Self::PrometheusText0_0_4,
        Self::PrometheusText1_0_0,
    ];

    /// What is asked for where nothing is said, most wanted first.
    pub const DEFAULT: [Self; 4] =
        [Self::OpenMetricsText1_0_0, Self::OpenMetricsText0_0_1, Self::PrometheusText1_0_0, Self::PrometheusText0_0_4];

    /// The same where native histograms are wanted: only protobuf carries them.
    pub const NATIVE: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
        }
    }

    /// Its media type with parameters, without weight or escaping.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
        }
    }

    /// The format of a name, or Prometheus's sentence for another one.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|protocol| protocol.as_str() == name);
        let known = || Self::ALL.map(Self::as_str).join(" ");
        found.ok_or_else(|| format!("unknown scrape protocol {name}, supported: [{}]", known()))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name in `scrape_protocols`. Not checked as it is read: the sentence says whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtocolName(pub String);

impl Decode for ProtocolName {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if node.is_null() { Some(Self::default()) } else { cx.text(node, "the name of a format").map(Self) }
    }

    fn from_null() -> Option<Self> {
        Some(Self::default())
    }
}

impl Encode for ProtocolName {
    fn encode(&self) -> Node {
        Node::text(self.0.as_str())
    }
}

impl Schema for ProtocolName {
    fn shape() -> Shape {
        Shape::one("the name of a format")
    }
}

/// The formats of a list, or why it is none.
pub(crate) fn formats(names: &[ProtocolName]) -> Result<Vec<Protocol>, String> {
    if names.is_empty() {
        return Err("scrape_protocols cannot be empty".to_owned());
    }
    let mut formats = Vec::with_capacity(names.len());
    for (index, ProtocolName(name)) in names.iter().enumerate() {
        if names[..index].iter().any(|ProtocolName(earlier)| earlier.eq_ignore_ascii_case(name)) {
            let all: Vec<&str> = names.iter().map(|name| name.0.as_str()).collect();
            return Err(format!("duplicated protocol in scrape_protocols, got [{}]", all.join(" ")));
        }
        formats.push(Protocol::parse(name).map_err(|sentence| format!("scrape_protocols: {sentence}"))?);
    }
    Ok(formats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_formats_has_some_each_once_and_known() {
        let read =
            |names: &[&str]| formats(&names.iter().map(|name| ProtocolName((*name).to_owned())).collect::<Vec<_>>());
        assert_eq!(read(&["PrometheusProto", "PrometheusText0.0.4"]).map(|formats| formats.len()), Ok(2));
        for (names, sentence) in [
            (&[][..], "scrape_protocols cannot be empty"),
            (
                &["prometheusproto"],
                "scrape_protocols: unknown scrape protocol prometheusproto, supported: [OpenMetricsText0.0.1 \
                 OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 PrometheusText1.0.0]",
            ),
            (
                &["PrometheusProto", "PrometheusProto"],
                "duplicated protocol in scrape_protocols, got [PrometheusProto PrometheusProto]",
            ),
        ] {
            assert_eq!(read(names), Err(sentence.to_owned()));
        }
    }
}
