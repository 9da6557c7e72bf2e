//! Samples written as text or OpenMetrics: `/federate`, and whatever else is to be scraped.
//!
//! Promise: what is written is read back by [`super::Parser`] as the same samples.
//! Not here: protobuf (nobody is answered in it), native histograms, which neither text can hold.

use std::borrow::Cow;
use std::fmt::Write as _;

use model::labels::{Labels, METRIC_NAME, is_classic_label_name};

use super::MetricKind;
use super::negotiate::{Escaping, Format, Protocol};
use super::number::{write_float, write_openmetrics};
use super::series::{is_classic_metric_name, push_escaped};

/// Writes families one after the other. The text grows in [`Encoder::out`], which may be taken out at any time.
#[derive(Debug)]
pub struct Encoder {
    /// What is written so far.
    pub out: String,
    openmetrics: bool,
    escaping: Escaping,
    /// The older formats cannot hold other names than classic ones.
    classic_only: bool,
}

impl Encoder {
    /// A writer of one format; `None` for protobuf, which is not written.
    #[must_use]
    pub fn new(protocol: Protocol, escaping: Escaping) -> Option<Self> {
        let openmetrics = match protocol.format() {
            Format::Protobuf => return None,
            Format::OpenMetrics => true,
            Format::Text => false,
        };
        let classic_only = matches!(protocol, Protocol::PrometheusText0_0_4 | Protocol::OpenMetricsText0_0_1);
        // Somebody who cannot read other names gets them escaped, whatever was asked for.
        let escaping = if classic_only && escaping == Escaping::AllowUtf8 { Escaping::Underscores } else { escaping };
        Some(Self { out: String::new(), openmetrics, escaping, classic_only })
    }

    /// Begins a family. All its samples must follow before the next one begins.
    pub fn family(&mut self, name: &str, kind: MetricKind, help: &str) {
        let name = escape_name(name, self.escaping);
        if !help.is_empty() {
            self.head("HELP", &name);
            // The older format leaves quotes alone.
            for c in help.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '\n' => self.out.push_str("\\n"),
                    '"' if self.openmetrics => self.out.push_str("\\\""),
                    c => self.out.push(c),
                }
            }
            self.out.push('\n');
        }
        self.head("TYPE", &name);
        self.out.push_str(match (kind, self.openmetrics) {
            (MetricKind::Unknown | MetricKind::Info | MetricKind::StateSet, false) => "untyped",
            (MetricKind::GaugeHistogram, false) => "histogram",
            (kind, _) => kind.name(),
        });
        self.out.push('\n');
    }

    fn head(&mut self, word: &str, name: &str) {
        let _ = write!(self.out, "# {word} ");
        if is_classic_metric_name(name) {
            self.out.push_str(name);
        } else {
            self.out.push('"');
            push_escaped(&mut self.out, name);
            self.out.push('"');
        }
        self.out.push(' ');
    }

    /// One sample; a series without a name is left out, since no text can hold it.
    pub fn sample(&mut self, labels: &Labels, value: f64, time_ms: Option<i64>) {
        let name = escape_name(labels.metric_name(), self.escaping);
        if name.is_empty() {
            return;
        }
        let classic = self.classic_only || is_classic_metric_name(&name);
        if classic {
            self.out.push_str(&name);
        } else {
            self.out.push_str("{\"");
            push_escaped(&mut self.out, &name);
            self.out.push('"');
        }
        let mut first = classic;
        for (label, text) in labels.iter().filter(|(label, _)| *label != METRIC_NAME) {
            self.out.push(if first { '{' } else { ',' });
            first = false;
            let label = escape_name(label, self.escaping);
            if is_classic_label_name(&label) {
                self.out.push_str(&label);
            } else {
                self.out.push('"');
                push_escaped(&mut self.out, &label);
                self.out.push('"');
            }
            self.out.push_str("=\"");
            push_escaped(&mut self.out, text);
            self.out.push('"');
        }
        if !first || !classic {
            self.out.push('}');
        }
        self.out.push(' ');
        if self.openmetrics {
            write_openmetrics(&mut self.out, value)
        } else {
            write_float(&mut self.out, value)
        }
        if let Some(time) = time_ms {
            self.time(time);
        }
        self.out.push('\n');
    }

    fn time(&mut self, time_ms: i64) {
        if !self.openmetrics {
            let _ = write!(self.out, " {time_ms}");
            return;
        }
        let sign = if time_ms < 0 { "-" } else { "" };
        let time = time_ms.unsigned_abs();
        let _ = write!(self.out, " {sign}{}.{:03}", time / 1000, time % 1000);
    }

    /// Ends the exposition.
    pub fn end(&mut self) {
        if self.openmetrics {
            self.out.push_str("# EOF\n");
        }
    }
}

/// A metric or label name as somebody can read it who knows letters, digits and `_` only.
#[must_use]
pub fn escape_name(name: &str, scheme: Escaping) -> Cow<'_, str> {
    let classic = is_classic_metric_name(name);
    // Dots says what an underscore was, so it touches classic names too.
    if name.is_empty() || scheme == Escaping::AllowUtf8 || (classic && scheme != Escaping::Dots) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    if scheme == Escaping::Values {
        out.push_str("U__");
    }
    for (index, c) in name.chars().enumerate() {
        let legal = c.is_ascii_alphabetic() || c == ':' || (c.is_ascii_digit() && index > 0);
        match scheme {
            _ if legal => out.push(c),
            Escaping::Underscores | Escaping::AllowUtf8 => out.push('_'),
            Escaping::Dots if c == '.' => out.push_str("_dot_"),
            Escaping::Dots => out.push_str("__"),
            Escaping::Values if c == '_' => out.push_str("__"),
            Escaping::Values => {
                let _ = write!(out, "_{:x}_", u32::from(c));
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_the_schemes_say() {
        for (name, underscores, dots, values) in [
            ("plain_name", "plain_name", "plain__name", "plain_name"),
            ("a.b_c", "a_b_c", "a_dot_b__c", "U__a_2e_b__c"),
            ("9é", "__", "____", "U___39__e9_"),
        ] {
            assert_eq!(escape_name(name, Escaping::AllowUtf8), name);
            assert_eq!(escape_name(name, Escaping::Underscores), underscores);
            assert_eq!(escape_name(name, Escaping::Dots), dots);
            assert_eq!(escape_name(name, Escaping::Values), values);
        }
    }
}
