//! A place in the text, and the pieces both text formats are made of: names, quoted texts, label lists.
//!
//! The two formats differ in where blanks may stand and whether commas may be missing; [`Rules`] says so, and
//! everything else is written once.

use super::{ParseError, Place};

/// How lenient a label list is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Blanks may stand between any two parts, and commas may be missing (text); else neither (OpenMetrics).
    pub(super) loose: bool,
    /// A quoted text may go over a line's end.
    pub(super) lines: bool,
    /// A quoted text alone is the metric's name; in an exemplar there is none.
    pub(super) metric: bool,
}

/// Text 0.0.4 and 1.0.0, and keys of any format once they have been read.
pub(super) const TEXT: Rules = Rules { loose: true, lines: true, metric: true };
pub(super) const OPENMETRICS: Rules = Rules { loose: false, lines: false, metric: true };
pub(super) const EXEMPLAR: Rules = Rules { loose: false, lines: false, metric: false };
/// The labels of an exemplar that were read once already, whoever wrote them.
pub(super) const EXEMPLAR_AGAIN: Rules = Rules { loose: true, lines: true, metric: false };

/// One part of a label list, texts still with their escapes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    Metric(&'a [u8]),
    Label(&'a [u8], &'a [u8]),
}

#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub(super) fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat_all(&mut self, text: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// The rest of the line, without its end.
    #[inline]
    pub(super) fn line(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        self.at += line.len();
        line
    }

    /// A metric name without quotes: letters, digits, `_` and `:`.
    #[inline]
    pub(super) fn metric_name(&mut self) -> Option<&'a [u8]> {
        self.name(|byte| byte == b':')
    }

    #[inline]
    fn name(&mut self, also: impl Fn(u8) -> bool) -> Option<&'a [u8]> {
        let start = self.at;
        if !self.peek().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || also(b)) {
            return None;
        }
        let rest = &self.bytes[start..];
        let len = rest.iter().position(|&b| !(b.is_ascii_alphanumeric() || b == b'_' || also(b)));
        self.at += len.unwrap_or(rest.len());
        Some(&self.bytes[start..self.at])
    }

    /// A text in double quotes, without them, escapes left as they are. Moves only if there is one.
    #[inline]
    pub(super) fn quoted(&mut self, lines: bool) -> Option<&'a [u8]> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let mut at = start;
        loop {
            let step = memchr::memchr2(b'"', b'\\', self.bytes.get(at..)?)?;
            at += step;
            if self.bytes[at] == b'"' {
                break;
            }
            // What follows a backslash cannot end the text; a line's end cannot be escaped.
            if matches!(self.bytes.get(at + 1), None | Some(b'\n')) {
                return None;
            }
            at += 2;
        }
        let text = &self.bytes[start..at];
        if !lines && memchr::memchr(b'\n', text).is_some() {
            return None;
        }
        self.at = at + 1;
        Some(text)
    }

    /// What follows an opening brace, to the closing one. `named`: the metric has a name already. Says whether it
    /// has one in the end.
    pub(super) fn labels(
        &mut self,
        rules: Rules,
        mut named: bool,
        mut each: impl FnMut(Part<'a>),
    ) -> Result<bool, ParseError> {
        loop {
            self.loose_blanks(rules);
            if self.eat(b'}') {
                return Ok(named);
            }
            let start = self.at;
            let quoted = self.quoted(rules.lines);
            let Some(name) = quoted.or_else(|| self.name(|_| false)) else {
                return Err(self.expected("a label name"));
            };
            self.loose_blanks(rules);
            if quoted.is_some() && rules.metric && matches!(self.peek(), Some(b',' | b'}')) {
                if named {
                    return Err(self.invalid(start, "the metric has a name already".to_owned()));
                }
                named = true;
                each(Part::Metric(name));
                let _ = self.eat(b',');
                continue;
            }
            if !self.eat(b'=') {
                return Err(self.expected("`=` after a label name"));
            }
            self.loose_blanks(rules);
            let Some(value) = self.quoted(rules.lines) else {
                return Err(self.expected("a label value in double quotes"));
            };
            each(Part::Label(name, value));
            self.loose_blanks(rules);
            if !self.eat(b',') && !rules.loose && self.peek() != Some(b'}') {
                return Err(self.expected("`,` or `}` after a label"));
            }
        }
    }

    fn loose_blanks(&mut self, rules: Rules) {
        if rules.loose {
            self.blanks();
        }
    }

    #[cold]
    pub(super) fn expected(&self, expected: &'static str) -> ParseError {
        ParseError::Expected { place: Place::of(self.bytes, self.at), expected, found: found(&self.bytes[self.at..]) }
    }

    #[cold]
    pub(super) fn invalid(&self, at: usize, what: String) -> ParseError {
        ParseError::Invalid { place: Place::of(self.bytes, at), what }
    }
}

/// A few characters of what stands where something else was expected.
fn found(rest: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 24;
    match rest.first() {
        None => "the end".to_owned(),
        Some(b'\n') => "the end of the line".to_owned(),
        Some(_) => {
            let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
            format!("{:?}", String::from_utf8_lossy(&line[..line.len().min(SHOWN_BYTES_MAX)]))
        }
    }
}
