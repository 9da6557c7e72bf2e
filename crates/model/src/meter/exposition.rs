//! Metrics as text: the Prometheus format 0.0.4 and `OpenMetrics` 1.0.0.
//!
//! Promise: the same numbers give the same bytes: metrics by name, series by label values, labels by name.
//! Not here: reading these formats (`wire`), choosing one from an `Accept` header (`api`).

use std::fmt::Write as _;

use super::instrument::{Cell, HistogramReading};
use super::{Kind, Metric};

/// How a scrape is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A series' labels and its number.
type Series = (Vec<String>, Cell);

pub(super) struct Writer {
    format: Format,
    out: String,
}

impl Writer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, out: String::new() }
    }

    /// One metric with its series. Without series nothing is written: a head without lines says nothing.
    pub(super) fn metric(&mut self, metric: &Metric, series: &[Series]) {
        if series.is_empty() {
            return;
        }
        self.head(metric);
        for (values, cell) in series {
            let labels = label_pairs(&metric.shape.labels, values);
            match cell {
                Cell::Counter(counter) => self.line(&metric.name, &labels, &self.number(counter.get())),
                Cell::Gauge(gauge) => self.line(&metric.name, &labels, &self.number(gauge.get())),
                Cell::Read(value) => self.line(&metric.name, &labels, &self.number(*value)),
                Cell::Histogram(histogram) => self.histogram(&metric.name, &labels, &histogram.read()),
            }
        }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn head(&mut self, metric: &Metric) {
        let counter = metric.shape.kind == Kind::Counter;
        let name = match self.format {
            Format::OpenMetrics if counter => metric.family_name(),
            Format::OpenMetrics | Format::Text => &metric.name,
        };
        // Only OpenMetrics escapes the quote in a help text; in 0.0.4 a backslash before it would be shown.
        let help = escaped(&metric.help, self.format == Format::OpenMetrics);
        let kind = metric.shape.kind;
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, metric.unit) {
            self.put(format_args!("# UNIT {name} {unit}\n"));
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, reading: &HistogramReading) {
        let bounds = reading.bounds.iter().copied().chain([f64::INFINITY]);
        let comma = if labels.is_empty() { "" } else { "," };
        for (bound, count) in bounds.zip(&reading.cumulative) {
            let labels = format!("{labels}{comma}le=\"{}\"", self.number(bound));
            self.line(&format!("{name}_bucket"), &labels, &count.to_string());
        }
        self.line(&format!("{name}_sum"), labels, &self.number(reading.sum));
        self.line(&format!("{name}_count"), labels, &reading.count.to_string());
    }

    fn line(&mut self, name: &str, labels: &str, value: &str) {
        if labels.is_empty() {
            self.put(format_args!("{name} {value}\n"));
        } else {
            self.put(format_args!("{name}{{{labels}}} {value}\n"));
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let _infallible = self.out.write_fmt(text);
    }

    /// `OpenMetrics` writes whole floats as `1.0`, and bucket bounds must be spelled that way to be the same series
    /// for every reader; 0.0.4 writes `1`.
    fn number(&self, value: f64) -> String {
        let mut text = go_float(value);
        if self.format == Format::OpenMetrics && value.is_finite() && !text.contains(['.', 'e']) {
            text.push_str(".0");
        }
        text
    }
}

fn label_pairs(names: &[String], values: &[String]) -> String {
    let mut out = String::new();
    for (name, value) in names.iter().zip(values) {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        out.push_str(&escaped(value, true));
        out.push('"');
    }
    out
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            _ => out.push(c),
        }
    }
    out
}

/// The shortest digits that read back as the same number, laid out as Go's `%g` does (exponents from 1e+06 up and
/// 1e-05 down), *because* `le="1e+06"` and `le="1000000"` are two series to whoever stored the first.
fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("invariant: {:e} writes an exponent");
    let exponent: i32 = exponent.parse().expect("invariant: {:e} writes the exponent as digits");
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    } else {
        format!("{value}")
    }
}
