//! Exposition formats: what a target answers when it is scraped, read entry by entry.
//!
//! [`Parser`] is pulled: each call of [`Parser::next`] reads one line (or, in protobuf, one sample) and allocates
//! nothing for a sample. A sample is named by its key, the text as exposed from the name to the closing brace;
//! labels are read from a key only when somebody asks ([`crate::exposition::series::read_pairs`]). Protobuf has no
//! such text, so one is written into a buffer: whoever keeps keys needs to know one form only. Who scrapes the
//! same target again compares keys with those of last time ([`Parser::upcoming`], [`Parser::accept`]) and so skips
//! reading names and labels altogether.
//! Promise: whatever the bytes are, the answer is entries and then an end or an error with its place, never a panic.
//! Not here: what a sample means for a target (`scrape`), stricter rules than scraping has ([`check`]).

mod cursor;
mod custom_buckets;
mod native;
mod openmetrics;
mod protobuf_format;
mod text;

pub mod check;
pub mod encode;
pub mod negotiate;
pub mod number;
pub mod series;

use std::borrow::Cow;
use std::fmt;

use model::storage::{Exemplar, SampleValue};

use crate::protobuf::ProtobufError;

pub use negotiate::Format;

/// What kind of metric a family is, as exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
    #[default]
    Unknown,
}

impl MetricKind {
    /// The name the API and `model::storage::Metadata` use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing a target said.
#[derive(Clone, Debug)]
pub enum Entry<'a> {
    Type { family: Cow<'a, str>, kind: MetricKind },
    Help { family: Cow<'a, str>, text: Cow<'a, str> },
    Unit { family: Cow<'a, str>, unit: Cow<'a, str> },
    Comment(&'a [u8]),
    Series(Series<'a>),
    Histogram(HistogramEntry<'a>),
}

/// One float sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Series<'a> {
    /// The text that names it, valid UTF-8: `name`, `name{a="b"}` or `{"name",a="b"}`, blanks as exposed.
    pub key: &'a [u8],
    pub value: f64,
    /// In milliseconds, where the target gives one.
    pub time: Option<i64>,
    /// When counting began, in milliseconds; 0 where unknown. Text formats say it in another line (`…_created`).
    pub start_time: i64,
    pub exemplar: Option<ExemplarText<'a>>,
}

/// One native histogram.
#[derive(Clone, Debug)]
pub struct HistogramEntry<'a> {
    pub key: &'a [u8],
    pub value: SampleValue,
    pub time: Option<i64>,
    pub start_time: i64,
    /// Those that have a time; a native histogram's exemplars are of no use without.
    pub exemplars: &'a [Exemplar],
}

/// An exemplar as exposed; its labels are read on demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExemplarText<'a> {
    /// With both braces.
    pub labels: &'a [u8],
    pub value: f64,
    pub time: Option<i64>,
}

impl ExemplarText<'_> {
    /// The exemplar; one without a time of its own happened at `default_time_ms`.
    pub fn read(&self, default_time_ms: i64) -> Result<Exemplar, ParseError> {
        let pairs = series::read_label_pairs(self.labels)?;
        let time = model::time::Timestamp(self.time.unwrap_or(default_time_ms));
        Ok(Exemplar { labels: model::labels::Labels::from_pairs(pairs), value: self.value, time })
    }
}

/// What is done with histograms while reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Protobuf: native histograms are read (`scrape_native_histograms`); else only their classic buckets are.
    pub native_histograms: bool,
    /// Classic buckets are read also where there is a native histogram (`always_scrape_classic_histograms`).
    pub always_classic: bool,
    /// Classic buckets become a native histogram with custom bounds (`convert_classic_histograms_to_nhcb`).
    pub classic_to_custom: bool,
}

/// What is wrong with an exposition, where, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("line {}, column {}: expected {expected}, got {found}", place.line, place.column)]
    Expected { place: Place, expected: &'static str, found: String },
    #[error("line {}, column {}: {what}", place.line, place.column)]
    Invalid { place: Place, what: String },
    #[error("data does not end with # EOF: it was cut off, or it is not OpenMetrics")]
    NoEof,
    #[error("protobuf: {0}")]
    Protobuf(#[from] ProtobufError),
    #[error("protobuf: byte {at}: {what}")]
    Message { at: usize, what: String },
}

/// Where in a text something is. Lines and columns (in bytes) count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    pub offset: usize,
}

impl Place {
    /// Counted only when something is wrong.
    fn of(bytes: &[u8], offset: usize) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        Self { line: memchr::memchr_iter(b'\n', before).count() + 1, column: offset - line_start + 1, offset }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Reads one exposition, entry by entry.
pub struct Parser<'a> {
    source: Source<'a>,
    /// Only where classic histograms are converted: then every entry passes through it.
    converter: Option<Box<custom_buckets::Converter>>,
}

enum Source<'a> {
    Text(text::TextParser<'a>),
    OpenMetrics(openmetrics::OpenMetricsParser<'a>),
    Protobuf(Box<protobuf_format::ProtobufParser<'a>>),
}

impl<'a> Parser<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8], format: Format, options: Options) -> Self {
        let source = match format {
            Format::Text => Source::Text(text::TextParser::new(bytes)),
            Format::OpenMetrics => Source::OpenMetrics(openmetrics::OpenMetricsParser::new(bytes)),
            Format::Protobuf => Source::Protobuf(Box::new(protobuf_format::ProtobufParser::new(bytes, options))),
        };
        let converter =
            options.classic_to_custom.then(|| Box::new(custom_buckets::Converter::new(options.always_classic)));
        Self { source, converter }
    }

    /// The next entry; `None` at the end. After an error nothing more is to be had.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an entry borrows from the parser, which an Iterator cannot say")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, ParseError> {
        match &mut self.converter {
            None => self.source.next(),
            Some(converter) => converter.next(&mut self.source),
        }
    }

    /// The text that begins at the next line, if that line begins with a series: what a key of last time can be
    /// compared with. `None` where it is something else or the format is not a text.
    #[inline]
    #[must_use]
    pub fn upcoming(&mut self) -> Option<&'a [u8]> {
        if self.converter.is_some() {
            return None;
        }
        match &mut self.source {
            Source::Text(parser) => parser.upcoming(),
            Source::OpenMetrics(parser) => parser.upcoming(),
            Source::Protobuf(_) => None,
        }
    }

    /// Reads the line that [`Parser::upcoming`] showed, whose first `key_len` bytes the caller knows to be a key.
    /// `None` if the line goes on in a way in which it may be a longer key: then it is for [`Parser::next`].
    #[inline]
    pub fn accept(&mut self, key_len: usize) -> Result<Option<Series<'a>>, ParseError> {
        match &mut self.source {
            Source::Text(parser) => parser.accept(key_len),
            Source::OpenMetrics(parser) => parser.accept(key_len),
            Source::Protobuf(_) => Ok(None),
        }
    }

    /// The kind said last, which the entries that follow belong to: labels like `le` are written in one form then.
    #[must_use]
    pub fn kind(&self) -> MetricKind {
        match &self.source {
            Source::Text(parser) => parser.kind(),
            Source::OpenMetrics(parser) => parser.kind(),
            // Bounds and quantiles are numbers there and have been written in that form already.
            Source::Protobuf(_) => MetricKind::Unknown,
        }
    }
}

impl Source<'_> {
    #[inline]
    fn next(&mut self) -> Result<Option<Entry<'_>>, ParseError> {
        match self {
            Self::Text(parser) => parser.next(),
            Self::OpenMetrics(parser) => parser.next(),
            Self::Protobuf(parser) => parser.next(),
        }
    }
}
