//! Prometheus text, 0.0.4 and 1.0.0: as lenient as Prometheus reads it.
//!
//! Blanks may stand anywhere, commas between labels may be missing, the last line need not end. 1.0.0 differs only by
//! names in quotes, which are read always.

use std::borrow::Cow;

use super::cursor::{Cursor, TEXT};
use super::number::parse_float;
use super::series::unescape_help;
use super::{Entry, MetricKind, ParseError, Series};

pub(super) struct TextParser<'a> {
    cursor: Cursor<'a>,
    kind: MetricKind,
}

/// What a comment begins with that says something about a family.
#[derive(Clone, Copy)]
enum Word {
    Help,
    Type,
}

impl<'a> TextParser<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes), kind: MetricKind::Unknown }
    }

    pub(super) const fn kind(&self) -> MetricKind {
        self.kind
    }

    /// Skips what means nothing, then shows the rest if a series begins there.
    #[inline]
    pub(super) fn upcoming(&mut self) -> Option<&'a [u8]> {
        while matches!(self.cursor.peek(), Some(b' ' | b'\t' | b'\n')) {
            self.cursor.at += 1;
        }
        let rest = &self.cursor.bytes[self.cursor.at..];
        rest.first().filter(|first| **first != b'#').map(|_| rest)
    }

    pub(super) fn next(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        let Some(rest) = self.upcoming() else {
            return if self.cursor.peek().is_none() { Ok(None) } else { self.comment().map(Some) };
        };
        self.series(rest).map(|series| Some(Entry::Series(series)))
    }

    /// See [`super::Parser::accept`].
    #[inline]
    pub(super) fn accept(&mut self, key_len: usize) -> Result<Option<Series<'a>>, ParseError> {
        let rest = &self.cursor.bytes[self.cursor.at..];
        let (Some(key), Some(next)) = (rest.get(..key_len), rest.get(key_len)) else { return Ok(None) };
        // A name without labels could go on, or have labels this time.
        if key.last() != Some(&b'}') {
            let after = rest[key_len..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
            if !matches!(next, b' ' | b'\t') || after == Some(&b'{') {
                return Ok(None);
            }
        }
        self.cursor.at += key_len;
        self.after_key(key).map(Some)
    }

    fn series(&mut self, rest: &'a [u8]) -> Result<Series<'a>, ParseError> {
        let start = self.cursor.at;
        let mut key_len = 0;
        let named = self.cursor.metric_name().is_some();
        if named {
            key_len = self.cursor.at - start;
            self.cursor.blanks();
        }
        if self.cursor.eat(b'{') {
            if !self.cursor.labels(TEXT, named, |_| {})? {
                return Err(self.cursor.invalid(start, "metric name not set".to_owned()));
            }
            key_len = self.cursor.at - start;
        } else if !named {
            return Err(self.cursor.expected("a metric name, `{` or `#` at the start of a line"));
        }
        let key = &rest[..key_len];
        if std::str::from_utf8(key).is_err() {
            return Err(self.cursor.invalid(start, "invalid UTF-8 in a name or label value".to_owned()));
        }
        self.after_key(key)
    }

    /// Value, perhaps a time, end of the line.
    #[inline]
    fn after_key(&mut self, key: &'a [u8]) -> Result<Series<'a>, ParseError> {
        self.cursor.blanks();
        let text = self.word();
        let Some(value) = parse_float(text) else {
            self.cursor.at -= text.len();
            return Err(self.cursor.expected("a number as the value"));
        };
        self.cursor.blanks();
        let mut time = None;
        if !matches!(self.cursor.peek(), None | Some(b'\n')) {
            time = Some(self.time()?);
        }
        // The line's end itself, so that the next line begins here.
        let _ = self.cursor.eat(b'\n');
        Ok(Series { key, value, time, start_time: 0, exemplar: None })
    }

    /// To the next blank, brace or end of the line.
    #[inline]
    fn word(&mut self) -> &'a [u8] {
        let rest = &self.cursor.bytes[self.cursor.at..];
        let len = rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'{')).unwrap_or(rest.len());
        self.cursor.at += len;
        &rest[..len]
    }

    fn time(&mut self) -> Result<i64, ParseError> {
        let text = self.word();
        let time = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+')).and_then(|t| t.parse().ok());
        let Some(time) = time else {
            self.cursor.at -= text.len();
            return Err(self.cursor.expected("a timestamp in whole milliseconds or the end of the line"));
        };
        self.cursor.blanks();
        if !matches!(self.cursor.peek(), None | Some(b'\n')) {
            return Err(self.cursor.expected("the end of the line after the timestamp"));
        }
        Ok(time)
    }

    /// From `#` on: what is not HELP or TYPE is a comment.
    fn comment(&mut self) -> Result<Entry<'a>, ParseError> {
        let start = self.cursor.at;
        self.cursor.at += 1;
        self.cursor.blanks();
        let word = if self.cursor.at == start + 1 {
            None
        } else if self.cursor.eat_all(b"HELP") {
            Some(Word::Help)
        } else if self.cursor.eat_all(b"TYPE") {
            Some(Word::Type)
        } else {
            None
        };
        let Some(word) = word.filter(|_| matches!(self.cursor.peek(), Some(b' ' | b'\t'))) else {
            self.cursor.at = start;
            return Ok(Entry::Comment(self.cursor.line()));
        };
        self.cursor.blanks();
        let Some(family) = self.cursor.quoted(true).or_else(|| self.cursor.metric_name()) else {
            return Err(self.cursor.expected("a metric name after HELP or TYPE"));
        };
        let text_at = self.cursor.at;
        let line = self.cursor.line();
        // One character separates.
        let text = line.get(1..).unwrap_or_default();
        let Ok(family) = std::str::from_utf8(family) else {
            return Err(self.cursor.invalid(text_at, "the metric name is not valid UTF-8".to_owned()));
        };
        let family = super::series::unescape(family);
        match word {
            Word::Help => match std::str::from_utf8(text) {
                Ok(text) => Ok(Entry::Help { family, text: unescape_help(text) }),
                Err(_) => Err(self.cursor.invalid(text_at, "the help text is not valid UTF-8".to_owned())),
            },
            Word::Type => self.type_of(family, text, text_at),
        }
    }

    fn type_of(&mut self, family: Cow<'a, str>, text: &[u8], at: usize) -> Result<Entry<'a>, ParseError> {
        self.kind = match text {
            b"counter" => MetricKind::Counter,
            b"gauge" => MetricKind::Gauge,
            b"histogram" => MetricKind::Histogram,
            b"summary" => MetricKind::Summary,
            b"untyped" => MetricKind::Unknown,
            _ => {
                let text = String::from_utf8_lossy(text);
                let what = format!(
                    "invalid metric type {text:?}, expected one of counter, gauge, histogram, summary, untyped"
                );
                return Err(self.cursor.invalid(at, what));
            }
        };
        Ok(Entry::Type { family, kind: self.kind })
    }
}
