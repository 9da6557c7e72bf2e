//! What a key says: the metric's name and its labels, read when somebody needs them.
//!
//! A key is what [`super::Parser`] gave out, so it is well formed; anything else gives an error. Escapes are undone
//! here, and only where there is one does that allocate.

use std::borrow::Cow;

use model::labels::METRIC_NAME;

use super::cursor::{Cursor, EXEMPLAR_AGAIN, Part, TEXT};
use super::number::{parse_float, write_openmetrics};
use super::{MetricKind, ParseError, Place};

/// A label's name and value.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Appends the name (as the label `__name__`) and labels of a key, in the order in which they stand. Empty values
/// are kept, since to expose an empty label means something where labels are honoured, and so are names that stand
/// twice, which [`duplicate_name`] finds.
/// Of histograms `le` and of summaries `quantile` is written as OpenMetrics would, so that one bound has one name.
pub fn read_pairs<'a>(key: &'a [u8], kind: MetricKind, into: &mut Vec<Pair<'a>>) -> Result<(), ParseError> {
    let mut cursor = Cursor::new(key);
    let named = cursor.metric_name();
    if let Some(name) = named {
        into.push((Cow::Borrowed(METRIC_NAME), text(key, name)?));
    }
    cursor.blanks();
    if !cursor.eat(b'{') {
        return if named.is_some() && cursor.peek().is_none() { Ok(()) } else { Err(cursor.expected("a key")) };
    }
    let mut broken = false;
    let mut utf8 = |bytes: &'a [u8]| {
        std::str::from_utf8(bytes).map_or_else(
            |_| {
                broken = true;
                Cow::Borrowed("")
            },
            unescape,
        )
    };
    let has_name = cursor.labels(TEXT, named.is_some(), |part| {
        into.push(match part {
            Part::Metric(name) => (Cow::Borrowed(METRIC_NAME), utf8(name)),
            Part::Label(name, value) => {
                let (name, value) = (utf8(name), utf8(value));
                let value = normal_bound(kind, &name, value);
                (name, value)
            }
        });
    })?;
    if broken || !has_name || cursor.peek().is_some() {
        return Err(cursor.invalid(0, "this is no key of a series".to_owned()));
    }
    Ok(())
}

/// The labels of `{a="b"}`, as in an exemplar.
pub fn read_label_pairs(braces: &[u8]) -> Result<Vec<Pair<'_>>, ParseError> {
    let mut pairs = Vec::new();
    let mut cursor = Cursor::new(braces);
    if !cursor.eat(b'{') {
        return Err(cursor.expected("`{`"));
    }
    let utf8 = |bytes| std::str::from_utf8(bytes).map_or(Cow::Borrowed(""), unescape);
    cursor.labels(EXEMPLAR_AGAIN, true, |part| {
        if let Part::Label(name, value) = part {
            pairs.push((utf8(name), utf8(value)));
        }
    })?;
    Ok(pairs)
}

/// The first name that stands twice.
#[must_use]
pub fn duplicate_name<'p>(pairs: &'p [Pair<'_>]) -> Option<&'p str> {
    let twice = |(index, (name, _)): &(usize, &Pair<'_>)| pairs[..*index].iter().any(|(earlier, _)| earlier == name);
    pairs.iter().enumerate().find(twice).map(|(_, (name, _))| &**name)
}

/// The metric's name in a key, without reading its labels where it stands in front.
#[must_use]
pub fn metric_name(key: &[u8]) -> Cow<'_, str> {
    let mut cursor = Cursor::new(key);
    if let Some(name) = cursor.metric_name() {
        return String::from_utf8_lossy(name);
    }
    let mut pairs = Vec::new();
    let _ = read_pairs(key, MetricKind::Unknown, &mut pairs);
    pairs.into_iter().find(|(name, _)| name == METRIC_NAME).map_or(Cow::Borrowed(""), |(_, value)| value)
}

fn text<'a>(key: &[u8], bytes: &'a [u8]) -> Result<Cow<'a, str>, ParseError> {
    std::str::from_utf8(bytes)
        .map(Cow::Borrowed)
        .map_err(|_| ParseError::Invalid { place: Place::of(key, 0), what: "this is no key of a series".to_owned() })
}

/// `le="1"` and `le="1.0"` are one bound and must be one series.
fn normal_bound<'a>(kind: MetricKind, name: &str, value: Cow<'a, str>) -> Cow<'a, str> {
    let bound = match kind {
        MetricKind::Histogram => name == "le",
        MetricKind::Summary => name == "quantile",
        _ => false,
    };
    let Some(number) = bound.then(|| parse_float(value.as_bytes())).flatten() else { return value };
    let mut normal = String::new();
    write_openmetrics(&mut normal, number);
    if *value == normal { value } else { Cow::Owned(normal) }
}

/// Undoes `\\`, `\"` and `\n`; any other backslash stays what it is.
#[must_use]
pub fn unescape(text: &str) -> Cow<'_, str> {
    unescape_with(text, true)
}

/// Undoes `\\` and `\n`: a quote needs no escape in a help text of the older format.
pub(super) fn unescape_help(text: &str) -> Cow<'_, str> {
    unescape_with(text, false)
}

fn unescape_with(text: &str, quotes: bool) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let plain = match (c, chars.peek()) {
            ('\\', Some('\\')) => '\\',
            ('\\', Some('n')) => '\n',
            ('\\', Some('"')) if quotes => '"',
            _ => {
                out.push(c);
                continue;
            }
        };
        out.push(plain);
        chars.next();
    }
    Cow::Owned(out)
}

/// Appends a text with `\\`, `"` and line ends escaped.
pub fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// Whether a metric name needs no quotes.
#[must_use]
pub fn is_classic_metric_name(name: &str) -> bool {
    let mut cursor = Cursor::new(name.as_bytes());
    cursor.metric_name().is_some() && cursor.peek().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, kind: MetricKind, expected: &[(&str, &str)]) {
        let mut pairs = Vec::new();
        read_pairs(key.as_bytes(), kind, &mut pairs).unwrap();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_key_gives_its_name_and_labels_in_their_order() {
        use MetricKind::{Histogram, Summary, Unknown};
        check("up", Unknown, &[("__name__", "up")]);
        check("up{}", Unknown, &[("__name__", "up")]);
        check("a { b = \"c\" d=\"\", }", Unknown, &[("__name__", "a"), ("b", "c"), ("d", "")]);
        check("{b=\"c\",\"a.b\"}", Unknown, &[("b", "c"), ("__name__", "a.b")]);
        check("{\"a\",\"x y\"=\"\\\\ \\\" \\n \\z\"}", Unknown, &[("__name__", "a"), ("x y", "\\ \" \n \\z")]);
        check("a{le=\"1\"}", Histogram, &[("__name__", "a"), ("le", "1.0")]);
        check("a{le=\"1\"}", Summary, &[("__name__", "a"), ("le", "1")]);
        check("a{quantile=\".5\"}", Summary, &[("__name__", "a"), ("quantile", "0.5")]);
        check("a{le=\"x\"}", Histogram, &[("__name__", "a"), ("le", "x")]);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for key in ["", "a b", "a{", "{}", "a{b}", "{\"a\",\"b\"}", "9", "a{} "] {
            assert!(read_pairs(key.as_bytes(), MetricKind::Unknown, &mut Vec::new()).is_err(), "{key:?}");
        }
        assert!(read_pairs(b"a{b=\"\xff\"}", MetricKind::Unknown, &mut Vec::new()).is_err());
    }

    #[test]
    fn a_name_that_stands_twice_is_found() {
        let mut pairs = Vec::new();
        read_pairs(b"a{b=\"1\",c=\"\",b=\"2\"}", MetricKind::Unknown, &mut pairs).unwrap();
        assert_eq!(duplicate_name(&pairs), Some("b"));
    }
}
