//! Numbers as text and text as numbers, the way Prometheus (that is, Go) writes them.
//!
//! Promises: every form reads back to the same float. Not here: JSON, tables, axis labels.

/// `FormatFloat(v, 'f', -1, 64)`: the shortest decimal that reads back, never with an exponent.
#[must_use]
pub fn decimal(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { special(value).to_owned() }
}

/// The shortest form that reads back, with an exponent outside the given powers of ten.
fn shortest(value: f64, exponent_below: i32, exponent_from: i32) -> String {
    if !value.is_finite() {
        return special(value).to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".to_owned() } else { "0".to_owned() };
    }
    // Rust writes the shortest digits with a bare exponent: 1.5e-7.
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent >= exponent_below && exponent < exponent_from {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// `%g` and `%v`: an exponent below 1e-4 and from a million on.
#[must_use]
pub fn general(value: f64) -> String {
    shortest(value, -4, 6)
}

/// A value as the HTTP API writes it: an exponent only below 1e-6 and from 1e21.
#[must_use]
pub fn api(value: f64) -> String {
    shortest(value, -6, 21)
}

/// As OpenMetrics wants it in a label: with a decimal point or an exponent, always.
#[must_use]
pub fn open_metrics(value: f64) -> String {
    let text = general(value);
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// `%.2g`: two significant digits.
#[must_use]
pub fn two_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    let exponent = if rounded == 0.0 { 0 } else { rounded.abs().log10().floor() as i32 };
    if (-4..2).contains(&exponent) { decimal(rounded) } else { shortest(rounded, 0, 0) }
}

fn special(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

/// `strconv.ParseFloat`: decimal, hexadecimal, `Inf` and `NaN` in any case; underscores are not taken.
#[must_use]
pub fn parse(text: &str) -> Option<f64> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = match body.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        lower if lower.starts_with("0x") => hexadecimal(&lower[2..])?,
        lower if lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') => lower.parse().ok()?,
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `1f`, `1.8p3`: digits with an optional point, and the exponent of two.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.split_once('p') {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = exponent - 4 * i32::try_from(fraction.len()).ok()?;
    Some(value * f64::from(shift).exp2())
}

/// `%q`: a text in double quotes with Go's escapes.
#[must_use]
pub fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_control() && u32::from(c) < 0x80 => {
                let _infallible = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_switches_to_an_exponent_where_go_does() {
        for (value, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (100.0, "100"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (1.1, "1.1"),
            (-1.5e-7, "-1.5e-07"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(general(value), text);
        }
    }

    #[test]
    fn the_api_writes_decimals_from_a_millionth_on() {
        assert_eq!(api(0.000001), "0.000001");
        assert_eq!(api(0.0000001), "1e-07");
        assert_eq!(api(1e20), "100000000000000000000");
        assert_eq!(decimal(1e22), "10000000000000000000000");
    }

    #[test]
    fn open_metrics_floats_are_never_mistaken_for_integers() {
        assert_eq!(open_metrics(1.0), "1.0");
        assert_eq!(open_metrics(0.5), "0.5");
        assert_eq!(open_metrics(f64::NAN), "NaN");
    }

    #[test]
    fn two_digits_round() {
        assert_eq!(two_digits(1.26), "1.3");
        assert_eq!(two_digits(126.0), "1.3e+02");
        assert_eq!(two_digits(0.0), "0");
    }

    #[test]
    fn parsing_takes_what_go_takes() {
        for (text, value) in [("1", 1.0), ("-0x1F", -31.0), ("0x1p4", 16.0), ("+iNf", f64::INFINITY), (".5", 0.5)] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        assert!(parse("nan").is_some_and(f64::is_nan));
        for text in ["", "abc", "1_0", "0x", "1 "] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn quotes_escape_as_go_does() {
        assert_eq!(quoted("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
    }
}
