//! OpenMetrics text, 0.0.1 and 1.0.0, as strictly as Prometheus reads it: one blank between parts, no empty line,
//! `# EOF` at the end and nothing behind it.
//!
//! `…_created` lines are samples like others, as in Prometheus without its feature flags.
//! Not here: what the specification forbids beyond that (`check`).

use std::borrow::Cow;

use super::cursor::{Cursor, EXEMPLAR, OPENMETRICS};
use super::number::parse_float;
use super::series::unescape;
use super::{Entry, ExemplarText, MetricKind, ParseError, Series};

pub(super) struct OpenMetricsParser<'a> {
    cursor: Cursor<'a>,
    kind: MetricKind,
    ended: bool,
}

impl<'a> OpenMetricsParser<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes), kind: MetricKind::Unknown, ended: false }
    }

    pub(super) const fn kind(&self) -> MetricKind {
        self.kind
    }

    /// Where the next entry begins.
    pub(super) const fn offset(&self) -> usize {
        self.cursor.at
    }

    /// Whether the end has been read, and nothing stands behind it.
    pub(super) const fn is_ended(&self) -> bool {
        self.ended && self.cursor.at >= self.cursor.bytes.len()
    }

    #[inline]
    pub(super) fn upcoming(&self) -> Option<&'a [u8]> {
        let rest = &self.cursor.bytes[self.cursor.at..];
        rest.first().filter(|first| **first != b'#' && !self.ended).map(|_| rest)
    }

    pub(super) fn next(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        match self.cursor.peek() {
            None if self.ended => Ok(None),
            Some(_) if self.ended => Err(self.cursor.invalid(self.cursor.at, "unexpected data after # EOF".to_owned())),
            None => Err(ParseError::NoEof),
            Some(b'#') => self.comment(),
            Some(_) => self.series().map(|series| Some(Entry::Series(series))),
        }
    }

    /// See [`super::Parser::accept`].
    #[inline]
    pub(super) fn accept(&mut self, key_len: usize) -> Result<Option<Series<'a>>, ParseError> {
        let rest = &self.cursor.bytes[self.cursor.at..];
        match (rest.get(..key_len), rest.get(key_len)) {
            // Without the one blank the key goes on.
            (Some(key), Some(b' ')) => {
                self.cursor.at += key_len;
                self.after_key(key).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn series(&mut self) -> Result<Series<'a>, ParseError> {
        let start = self.cursor.at;
        let named = self.cursor.metric_name().is_some();
        if self.cursor.eat(b'{') {
            if !self.cursor.labels(OPENMETRICS, named, |_| {})? {
                return Err(self.cursor.invalid(start, "metric name not set".to_owned()));
            }
        } else if !named {
            return Err(self.cursor.expected("a metric name, `{` or `# ` at the start of a line"));
        }
        let key = &self.cursor.bytes[start..self.cursor.at];
        if std::str::from_utf8(key).is_err() {
            return Err(self.cursor.invalid(start, "invalid UTF-8 in a name or label value".to_owned()));
        }
        self.after_key(key)
    }

    #[inline]
    fn after_key(&mut self, key: &'a [u8]) -> Result<Series<'a>, ParseError> {
        let value = self.number("one blank and a number as the value")?;
        let mut time = None;
        let mut exemplar = None;
        if self.cursor.peek() != Some(b'\n') {
            if !self.cursor.bytes[self.cursor.at..].starts_with(b" # {") {
                time = Some(self.time("one blank and a timestamp in seconds, ` # {` or the end of the line")?);
            }
            if self.cursor.eat_all(b" # {") {
                exemplar = Some(self.exemplar()?);
            }
        }
        if !self.cursor.eat(b'\n') {
            return Err(self.cursor.expected("the end of the line"));
        }
        Ok(Series { key, value, time, start_time: 0, exemplar })
    }

    /// What follows ` # {`.
    fn exemplar(&mut self) -> Result<ExemplarText<'a>, ParseError> {
        let start = self.cursor.at - 1;
        let _ = self.cursor.labels(EXEMPLAR, true, |_| {})?;
        let labels = &self.cursor.bytes[start..self.cursor.at];
        if std::str::from_utf8(labels).is_err() {
            return Err(self.cursor.invalid(start, "invalid UTF-8 in an exemplar".to_owned()));
        }
        let value = self.number("one blank and a number as the exemplar's value")?;
        let time = match self.cursor.peek() {
            Some(b' ') => Some(self.time("one blank and the exemplar's timestamp")?),
            _ => None,
        };
        Ok(ExemplarText { labels, value, time })
    }

    /// A blank and a word that is a number.
    #[inline]
    fn number(&mut self, expected: &'static str) -> Result<f64, ParseError> {
        let start = self.cursor.at;
        if !self.cursor.eat(b' ') {
            return Err(self.cursor.expected(expected));
        }
        let rest = &self.cursor.bytes[self.cursor.at..];
        let len = rest.iter().position(|byte| matches!(byte, b' ' | b'\n')).unwrap_or(rest.len());
        self.cursor.at += len;
        parse_float(&rest[..len]).ok_or_else(|| {
            self.cursor.at = start;
            self.cursor.expected(expected)
        })
    }

    /// Seconds to milliseconds; what no integer holds becomes the nearest one.
    fn time(&mut self, expected: &'static str) -> Result<i64, ParseError> {
        let start = self.cursor.at;
        let seconds = self.number(expected)?;
        if !seconds.is_finite() {
            return Err(self.cursor.invalid(start, format!("invalid timestamp {seconds}, expected a finite number")));
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn comment(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        if self.cursor.eat_all(b"# EOF") {
            let _ = self.cursor.eat(b'\n');
            self.ended = true;
            return self.next();
        }
        if self.cursor.eat_all(b"# HELP ") {
            let (family, text, _) = self.family("a metric name after HELP")?;
            return Ok(Some(Entry::Help { family, text: unescape(text) }));
        }
        if self.cursor.eat_all(b"# TYPE ") {
            let (family, text, at) = self.family("a metric name after TYPE")?;
            self.kind = self.kind_of(text, at)?;
            return Ok(Some(Entry::Type { family, kind: self.kind }));
        }
        if self.cursor.eat_all(b"# UNIT ") {
            let (family, unit, at) = self.family("a metric name after UNIT")?;
            let stem = family.strip_suffix(unit).and_then(|stem| stem.strip_suffix('_'));
            if !unit.is_empty() && stem.is_none() {
                return Err(self.cursor.invalid(at, format!("unit {unit:?} not a suffix of metric {family:?}")));
            }
            return Ok(Some(Entry::Unit { family, unit: Cow::Borrowed(unit) }));
        }
        Err(self.cursor.expected("`# HELP `, `# TYPE `, `# UNIT ` or `# EOF`"))
    }

    /// A family's name, one blank, and the rest of a line that must end. The place is the text's.
    fn family(&mut self, expected: &'static str) -> Result<(Cow<'a, str>, &'a str, usize), ParseError> {
        let Some(name) = self.cursor.quoted(false).or_else(|| self.cursor.metric_name()) else {
            return Err(self.cursor.expected(expected));
        };
        if !self.cursor.eat(b' ') {
            return Err(self.cursor.expected("one blank and a text"));
        }
        let at = self.cursor.at;
        let text = self.cursor.line();
        if !self.cursor.eat(b'\n') {
            return Err(self.cursor.expected("the end of the line"));
        }
        match (std::str::from_utf8(name), std::str::from_utf8(text)) {
            (Ok(name), Ok(text)) => Ok((unescape(name), text, at)),
            _ => Err(self.cursor.invalid(at, "a metric's name or text is not valid UTF-8".to_owned())),
        }
    }

    fn kind_of(&self, text: &str, at: usize) -> Result<MetricKind, ParseError> {
        Ok(match text {
            "counter" => MetricKind::Counter,
            "gauge" => MetricKind::Gauge,
            "histogram" => MetricKind::Histogram,
            "gaugehistogram" => MetricKind::GaugeHistogram,
            "summary" => MetricKind::Summary,
            "info" => MetricKind::Info,
            "stateset" => MetricKind::StateSet,
            "unknown" => MetricKind::Unknown,
            _ => {
                let what = format!(
                    "invalid metric type {text:?}, expected one of counter, gauge, histogram, gaugehistogram, \
                     summary, info, stateset, unknown"
                );
                return Err(self.cursor.invalid(at, what));
            }
        })
    }
}
