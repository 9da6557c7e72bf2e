//! Series as tests write them: `up{job="x"} 1 2+3x4 _ stale {{schema:1 sum:3 buckets:[1 2]}}`.
//!
//! Used by the script language and by unit tests of rules. Promises: a line yields at most [`VALUES_MAX`] values;
//! only the first error of a line is reported.
//! Not here: arithmetic of histograms. Whoever reads progressions of them hands it in.

use std::str::FromStr as _;
use std::sync::Arc;

use model::histogram::{Histogram, ResetHint, Span as BucketSpan};
use model::labels::Labels;
use model::storage::stale_nan;

use super::ast::Span;
use super::error::{ParseError, ParseErrors};
use super::lexer::Lexer;
use super::number::parse_number;
use super::parser::parse_metric;
use super::quote::{quoted, quoted_char};
use super::token::TokenKind;

/// Repetitions beyond this are refused: nobody writes tests with a million steps, and `1x9999999999` must not
/// take the memory of the machine.
pub const VALUES_MAX: usize = 1_000_000;

/// One position of a series.
#[derive(Clone, Debug)]
pub enum SequenceValue {
    /// `_`: no sample.
    Omitted,
    Float(f64),
    Histogram {
        histogram: Arc<Histogram>,
        /// Whether `counter_reset_hint` was written; expectations compare it only then.
        hint_set: bool,
    },
}

/// A series and its values.
#[derive(Clone, Debug)]
pub struct SeriesDesc {
    pub labels: Labels,
    pub values: Vec<SequenceValue>,
}

/// Whether each histogram of a progression is the one before plus or minus the increment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progression {
    Plus,
    Minus,
}

/// Adds or subtracts histograms: `(current, increment)` gives the next.
pub type Combine<'a> = &'a dyn Fn(&Histogram, &Histogram, Progression) -> Result<Histogram, String>;

/// Reads a series and its values.
pub fn parse_series_desc(text: &str, combine: Combine<'_>) -> Result<SeriesDesc, ParseErrors> {
    let (metric, rest) = split_metric(text);
    let labels = parse_metric(metric)?;
    let mut reader = Reader { text, pos: text.len() - rest.len(), values: Vec::new(), combine };
    match reader.sequence() {
        Ok(()) => Ok(SeriesDesc { labels, values: reader.values }),
        Err(problem) => Err(ParseErrors(vec![ParseError::new(text, problem.span, problem.message)])),
    }
}

/// Divides a line behind the metric: `name`, `name{…}` or `{…}`.
#[must_use]
pub fn split_metric(text: &str) -> (&str, &str) {
    let mut lexer = Lexer::new(text);
    let first = lexer.next_token();
    let mut end = first.span.end as usize;
    let braces_follow = first.kind != TokenKind::LeftBrace && text[end..].starts_with('{');
    if first.kind == TokenKind::LeftBrace || braces_follow {
        loop {
            let token = lexer.next_token();
            end = token.span.end as usize;
            if matches!(token.kind, TokenKind::RightBrace | TokenKind::Eof | TokenKind::Error) {
                break;
            }
        }
    }
    text.split_at(end)
}

struct Problem {
    span: Span,
    message: String,
}

type Read<T> = Result<T, Problem>;

struct Reader<'a> {
    text: &'a str,
    pos: usize,
    values: Vec<SequenceValue>,
    combine: Combine<'a>,
}

impl<'a> Reader<'a> {
    fn sequence(&mut self) -> Read<()> {
        loop {
            let before = self.pos;
            self.skip_spaces();
            if self.rest().is_empty() {
                return Ok(());
            }
            if before == self.pos {
                return self.unexpected("series values", "");
            }
            self.item()?;
        }
    }

    fn item(&mut self) -> Read<()> {
        if self.accept("{{") {
            return self.histograms();
        }
        if self.peek_is(|c| c == '_') {
            self.pos += 1;
            let times = self.times()?.unwrap_or(1);
            return self.push_many(SequenceValue::Omitted, times);
        }
        let mut value = self.value()?;
        if let Some(times) = self.times()? {
            return self.push_many(SequenceValue::Float(value), times.saturating_add(1));
        }
        if !self.peek_is(|c| matches!(c, '+' | '-')) {
            return self.push_many(SequenceValue::Float(value), 1);
        }
        let increment = self.value()?;
        let Some(times) = self.times()? else { return self.unexpected("series values", "") };
        // Repeated addition, not multiplication: the sums must come out as in Prometheus, rounding included.
        for _ in 0..=times {
            self.push_many(SequenceValue::Float(value), 1)?;
            value += increment;
        }
        Ok(())
    }

    /// A number with or without a sign, `Inf`, `NaN`, or `stale`.
    fn value(&mut self) -> Read<f64> {
        let sign = if self.accept("-") { -1.0 } else { 1.0 };
        let signed = sign < 0.0 || self.accept("+");
        if self.peek_is(|c| c.is_ascii_digit() || c == '.') {
            return Ok(sign * self.number()?);
        }
        let word = self.word();
        match word.to_ascii_lowercase().as_str() {
            "inf" => Ok(sign * f64::INFINITY),
            "nan" => Ok(f64::NAN),
            _ if word == "stale" && !signed => Ok(stale_nan()),
            "" => self.unexpected("series values", ""),
            _ => {
                self.pos -= word.len();
                let message =
                    format!("unexpected identifier {} in series values, expected number or \"stale\"", quoted(word));
                Err(self.problem(word.len(), message))
            }
        }
    }

    /// A decimal number. Hexadecimal ones would be mistaken for repetitions.
    fn number(&mut self) -> Read<f64> {
        let start = self.pos;
        let mut before = ' ';
        while let Some(c) = self.peek() {
            let sign_of_exponent = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            if !(c.is_ascii_digit() || matches!(c, '.' | '_' | 'e' | 'E') || sign_of_exponent) {
                break;
            }
            before = c;
            self.pos += 1;
        }
        let text = &self.text[start..self.pos];
        parse_number(text).map_err(|error| {
            let span = Span::new(position(start), position(self.pos));
            Problem { span, message: format!("error parsing number: {error}") }
        })
    }

    /// `xN`
    fn times(&mut self) -> Read<Option<usize>> {
        if !self.accept("x") {
            return Ok(None);
        }
        let start = self.pos;
        while self.peek_is(|c| c.is_ascii_alphanumeric() || c == '.') {
            self.pos += 1;
        }
        let digits = &self.text[start..self.pos];
        usize::from_str(digits).map(Some).map_err(|_| {
            let span = Span::new(position(start), position(self.pos));
            let message = format!("invalid repetition in series values: {} is not a whole number", quoted(digits));
            Problem { span, message }
        })
    }

    fn histograms(&mut self) -> Read<()> {
        let (base, hint_set) = self.histogram()?;
        if let Some(times) = self.times()? {
            let histogram = Arc::new(base);
            return self.push_many(SequenceValue::Histogram { histogram, hint_set }, times.saturating_add(1));
        }
        let step = match self.peek() {
            Some('+') => Progression::Plus,
            Some('-') => Progression::Minus,
            _ => return self.push_many(SequenceValue::Histogram { histogram: Arc::new(base), hint_set }, 1),
        };
        let start = self.pos;
        self.pos += 1;
        if !self.accept("{{") {
            return self.unexpected("series values", "");
        }
        // As in Prometheus, the hint counts as written where the increment has one.
        let (increment, hint_set) = self.histogram()?;
        let Some(times) = self.times()? else { return self.unexpected("series values", "") };
        let mut current = Arc::new(base);
        self.push_many(SequenceValue::Histogram { histogram: Arc::clone(&current), hint_set }, 1)?;
        for _ in 0..times {
            let combined = if current.schema > increment.schema {
                let (from, to) = (increment.schema, current.schema);
                Err(format!("error combining histograms: cannot merge from schema {from} to {to}"))
            } else {
                (self.combine)(&current, &increment, step)
            };
            current = Arc::new(combined.map_err(|message| {
                let span = Span::new(position(start), position(self.pos));
                Problem { span, message }
            })?);
            self.push_many(SequenceValue::Histogram { histogram: Arc::clone(&current), hint_set }, 1)?;
        }
        Ok(())
    }

    /// A histogram behind its opening braces.
    fn histogram(&mut self) -> Read<(Histogram, bool)> {
        let mut parts = HistogramParts::default();
        loop {
            self.skip_spaces();
            if self.accept("}}") {
                return Ok(parts.build());
            }
            let key = self.word();
            if key.is_empty() {
                let shown = quoted_char(self.peek().unwrap_or('\u{fffd}'));
                return Err(self.problem(1, format!("histogram description incomplete unexpected: {shown}")));
            }
            let key_start = self.pos - key.len();
            if !self.accept(":") {
                return Err(self.problem(0, "missing `:` for histogram descriptor".to_owned()));
            }
            let key = key.to_ascii_lowercase();
            if parts.seen.contains(&key) {
                return Err(Problem {
                    span: Span::default(),
                    message: format!("duplicate key \"{key}\" in histogram"),
                });
            }
            self.histogram_part(&key, key_start, &mut parts)?;
            parts.seen.push(key);
        }
    }

    fn histogram_part(&mut self, key: &str, key_start: usize, parts: &mut HistogramParts) -> Read<()> {
        let histogram = &mut parts.histogram;
        match key {
            "schema" => histogram.schema = self.integer()?,
            "sum" => histogram.sum = self.value()?,
            "count" => histogram.count = self.value()?,
            "z_bucket" => histogram.zero_count = self.value()?,
            "z_bucket_w" => histogram.zero_threshold = self.value()?,
            "custom_values" => histogram.custom_values = Some(self.numbers()?.into()),
            "buckets" => histogram.positive_buckets = self.numbers()?,
            "n_buckets" => histogram.negative_buckets = self.numbers()?,
            "offset" => parts.offset = self.integer()?,
            "n_offset" => parts.negative_offset = self.integer()?,
            "counter_reset_hint" => {
                parts.hint_set = true;
                histogram.hint = self.hint()?;
            }
            _ => {
                let message = format!("bad histogram descriptor found: {}", quoted(key));
                let span = Span::new(position(key_start), position(self.text.len()));
                return Err(Problem { span, message });
            }
        }
        Ok(())
    }

    fn integer(&mut self) -> Read<i32> {
        let start = self.pos;
        self.accept("-");
        while self.peek_is(|c| c.is_ascii_digit()) {
            self.pos += 1;
        }
        let text = &self.text[start..self.pos];
        i32::from_str(text).map_err(|_| {
            let span = Span::new(position(start), position(self.pos));
            Problem { span, message: format!("{} is not a whole number", quoted(text)) }
        })
    }

    /// `[1 2 3]`
    fn numbers(&mut self) -> Read<Vec<f64>> {
        if !self.accept("[") {
            return self.unexpected("histogram description", "\"[\"");
        }
        let mut numbers = Vec::new();
        loop {
            self.skip_spaces();
            if self.accept("]") {
                return Ok(numbers);
            }
            numbers.push(self.value()?);
        }
    }

    fn hint(&mut self) -> Read<ResetHint> {
        let word = self.word();
        match word.to_ascii_lowercase().as_str() {
            "unknown" => Ok(ResetHint::Unknown),
            "reset" => Ok(ResetHint::Reset),
            "not_reset" => Ok(ResetHint::NotReset),
            "gauge" => Ok(ResetHint::Gauge),
            _ => {
                let message = format!("bad histogram descriptor found: {}", quoted(word));
                self.pos -= word.len();
                Err(self.problem(word.len(), message))
            }
        }
    }

    fn push_many(&mut self, value: SequenceValue, times: usize) -> Read<()> {
        if times > VALUES_MAX - self.values.len() {
            return Err(self.problem(0, format!("more than {VALUES_MAX} values in a series")));
        }
        self.values.extend(std::iter::repeat_n(value, times));
        Ok(())
    }

    /// Letters, digits and underscores from here.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        self.pos += length;
        &rest[..length]
    }

    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn peek_is(&self, wanted: impl Fn(char) -> bool) -> bool {
        self.peek().is_some_and(wanted)
    }

    fn accept(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.pos += wanted.len();
        }
        found
    }

    fn skip_spaces(&mut self) {
        self.pos = self.text.len() - self.rest().trim_start().len();
    }

    fn unexpected<T>(&self, context: &str, expected: &str) -> Read<T> {
        let found = self.peek().map_or_else(|| "end of input".to_owned(), |c| quoted(&c.to_string()));
        let expected = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        Err(self.problem(self.peek().map_or(0, char::len_utf8), format!("unexpected {found} in {context}{expected}")))
    }

    fn problem(&self, length: usize, message: String) -> Problem {
        Problem { span: Span::new(position(self.pos), position(self.pos + length)), message }
    }
}

/// A histogram while its keys are read.
#[derive(Default)]
struct HistogramParts {
    histogram: Histogram,
    offset: i32,
    negative_offset: i32,
    hint_set: bool,
    seen: Vec<String>,
}

impl HistogramParts {
    /// The buckets of each side are one run.
    fn build(mut self) -> (Histogram, bool) {
        let run = |offset: i32, buckets: &[f64]| match u32::try_from(buckets.len()) {
            Ok(0) | Err(_) => Vec::new(),
            Ok(length) => vec![BucketSpan { offset, length }],
        };
        self.histogram.positive_spans = run(self.offset, &self.histogram.positive_buckets);
        self.histogram.negative_spans = run(self.negative_offset, &self.histogram.negative_buckets);
        (self.histogram, self.hint_set)
    }
}

fn position(pos: usize) -> u32 {
    u32::try_from(pos).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::storage::is_stale;

    /// Adds sums only: enough to see that it is asked.
    fn sums(current: &Histogram, increment: &Histogram, step: Progression) -> Result<Histogram, String> {
        let sign = if step == Progression::Plus { 1.0 } else { -1.0 };
        Ok(Histogram { sum: current.sum + sign * increment.sum, ..current.clone() })
    }

    fn shown(text: &str) -> Result<String, String> {
        let series = parse_series_desc(text, &sums).map_err(|errors| errors.to_string())?;
        let values = series.values.iter().map(|value| match value {
            SequenceValue::Omitted => "_".to_owned(),
            SequenceValue::Float(value) if is_stale(*value) => "stale".to_owned(),
            SequenceValue::Float(value) => value.to_string(),
            SequenceValue::Histogram { histogram, hint_set } => {
                format!("h{}{}", histogram.sum, if *hint_set { "!" } else { "" })
            }
        });
        Ok(format!("{} [{}]", series.labels, values.collect::<Vec<_>>().join(" ")))
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn every_notation_of_values_is_read() {
        check("m 1 -2 3.5 1e3 1e-1", "{__name__=\"m\"} [1 -2 3.5 1000 0.1]");
        check("m{a=\"b\"} _ _x2 stale NaN -Inf", "{__name__=\"m\", a=\"b\"} [_ _ _ stale NaN -inf]");
        check("{\"a.b\", l='x'} 1x2 0+10x3 5-1x2", "{__name__=\"a.b\", l=\"x\"} [1 1 1 0 10 20 30 5 4 3]");
        check("m -1+0x1 -1-2x1", "{__name__=\"m\"} [-1 -1 -1 -3]");
        check("m", "{__name__=\"m\"} []");
        check("m    ", "{__name__=\"m\"} []");
    }

    #[test]
    fn histograms_are_read_with_all_their_keys() {
        let text = "m {{schema:-53 sum:-1.5 count:4 z_bucket:2 z_bucket_w:0.5 custom_values:[1 2.5 ] buckets:[1 0 3] \
                    offset:-2 n_buckets:[NaN] n_offset:1 counter_reset_hint:gauge}}";
        let series = parse_series_desc(text, &sums).expect("it reads");
        let SequenceValue::Histogram { histogram, hint_set } = &series.values[0] else { panic!("a histogram") };
        assert!(*hint_set);
        assert_eq!((histogram.schema, histogram.hint), (-53, ResetHint::Gauge));
        assert_eq!((histogram.sum, histogram.count, histogram.zero_count), (-1.5, 4.0, 2.0));
        assert_eq!((histogram.zero_threshold, histogram.bounds()), (0.5, &[1.0, 2.5][..]));
        assert_eq!(histogram.positive_spans, [BucketSpan { offset: -2, length: 3 }]);
        assert_eq!(histogram.negative_spans, [BucketSpan { offset: 1, length: 1 }]);
        assert_eq!(histogram.positive_buckets, [1.0, 0.0, 3.0]);
        check("m {{}} {{ sum:2 }}x1", "{__name__=\"m\"} [h0 h2 h2]");
        check(
            "m {{sum:1}}+{{sum:2 counter_reset_hint:gauge}}x2 {{sum:1}}-{{sum:2}}x1",
            "{__name__=\"m\"} [h1! h3! h5! h1 h-1]",
        );
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        for (text, message) in [
            ("m 1x", "1:5: parse error: invalid repetition in series values: \"\" is not a whole number"),
            ("m foo", "1:3: parse error: unexpected identifier \"foo\" in series values, expected number or \"stale\""),
            ("m 1;", "1:4: parse error: unexpected \";\" in series values"),
            ("m {{sum:1 sum:2}}", "1:1: parse error: duplicate key \"sum\" in histogram"),
            ("m {{foo:1}}", "1:5: parse error: bad histogram descriptor found: \"foo\""),
            ("m {{sum 1}}", "1:8: parse error: missing `:` for histogram descriptor"),
            (
                "m {{schema:1}}+{{schema:0}}x1",
                "1:15: parse error: error combining histograms: cannot merge from schema 0 to 1",
            ),
            ("m 1x99999999", "1:13: parse error: more than 1000000 values in a series"),
            ("m{a=} 1", "1:5: parse error: unexpected \"}\" in label set, expected string"),
        ] {
            assert_eq!(shown(text), Err(message.to_owned()), "{text}");
        }
    }
}
