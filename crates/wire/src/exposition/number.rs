//! Numbers as the formats write them: read as Go reads floats, written as Go's `%g` and as OpenMetrics.
//!
//! Promise: what is written reads back as the same number.

use std::fmt::Write as _;

/// The NaN that every NaN of an exposition becomes, so that no payload (least of all the staleness marker's) comes
/// in from outside.
pub const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// `%g` of the shortest form writes an exponent below and from here on.
const PLAIN_EXPONENT_MIN: i32 = -4;
const PLAIN_EXPONENT_END: i32 = 6;

/// Powers of ten that a float holds exactly, as far as the short way needs them.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A value or timestamp: decimal, `NaN` and `Inf` in any case; not hexadecimal, without `_`, within a float's range.
#[inline]
#[must_use]
pub fn parse_float(text: &[u8]) -> Option<f64> {
    short_decimal(text).or_else(|| long_float(text))
}

/// At most 15 digits with at most one point: both halves are exact floats, so one division rounds correctly.
#[inline]
fn short_decimal(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    // A point and 15 digits.
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut mantissa = 0u64;
    let mut point = None;
    for (index, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(index),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |index| digits.len() - 1 - index);
    if digits.len() - usize::from(point.is_some()) > 15 || digits == b"." {
        return None;
    }
    let value = mantissa as f64 / POWERS[decimals];
    Some(if negative { -value } else { value })
}

fn long_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value: f64 = text.parse().ok()?;
    if value.is_nan() {
        // A sign before NaN is refused.
        return (unsigned.len() == text.len()).then_some(NORMAL_NAN);
    }
    // Too big a number is an error, infinity said in words is not.
    let said = unsigned.as_bytes().first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'i'));
    (value.is_finite() || said).then_some(value)
}

/// Appends a number like Go's `strconv.FormatFloat(f, 'g', -1, 64)`: the text formats' form.
pub fn write_float(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    if value == 0.0 {
        return out.push_str(if value.is_sign_negative() { "-0" } else { "0" });
    }
    // `{:e}` has the shortest digits that read back: `d.ddde±x`.
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (PLAIN_EXPONENT_MIN..PLAIN_EXPONENT_END).contains(&exponent) {
        let _ = write!(out, "{value}");
        return;
    }
    out.push_str(mantissa);
    out.push_str(if exponent < 0 { "e-" } else { "e+" });
    let digits = exponent.unsigned_abs();
    if digits < 10 {
        out.push('0');
    }
    out.push_str(&digits.to_string());
}

/// Appends a number as OpenMetrics writes the values of `le` and `quantile`: always with a point or an exponent.
pub fn write_openmetrics(out: &mut String, value: f64) {
    let start = out.len();
    write_float(out, value);
    if value.is_finite() && !out[start..].contains(['.', 'e']) {
        out.push_str(".0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let cases: &[(&str, Option<f64>)] = &[
            ("0", Some(0.0)),
            ("-0", Some(-0.0)),
            ("1.", Some(1.0)),
            (".5", Some(0.5)),
            ("+5", Some(5.0)),
            ("0.1", Some(0.1)),
            ("123456789012345", Some(123_456_789_012_345.0)),
            ("12345678901234.5", Some(12_345_678_901_234.5)),
            ("0.00000000000001", Some(1e-14)),
            ("9223372036854775808", Some(9_223_372_036_854_775_808.0)),
            ("4.9351e-05", Some(4.9351e-05)),
            ("1e308", Some(1e308)),
            ("inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("1e400", None),
            ("", None),
            ("-", None),
            (".", None),
            ("1..2", None),
            ("1e", None),
            ("1_2", None),
            ("0x1p-3", None),
            ("+NaN", None),
            (" 1", None),
            ("true", None),
        ];
        for (text, expected) in cases {
            let read = parse_float(text.as_bytes());
            assert_eq!(read.map(f64::to_bits), expected.map(f64::to_bits), "{text:?}");
        }
        assert_eq!(parse_float(b"nan").map(f64::to_bits), Some(NORMAL_NAN.to_bits()));
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let cases = [
            (0.0, "0", "0.0"),
            (-0.0, "-0", "-0.0"),
            (1.0, "1", "1.0"),
            (0.25, "0.25", "0.25"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "1e-05"),
            (100_000.0, "100000", "100000.0"),
            (1e6, "1e+06", "1e+06"),
            (123_456_789.0, "1.23456789e+08", "1.23456789e+08"),
            (1e100, "1e+100", "1e+100"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN"),
        ];
        for (value, text, openmetrics) in cases {
            let mut out = String::new();
            write_float(&mut out, value);
            assert_eq!(out, text);
            assert!(value.is_nan() || parse_float(out.as_bytes()).map(f64::to_bits) == Some(value.to_bits()));
            out.clear();
            write_openmetrics(&mut out, value);
            assert_eq!(out, openmetrics);
        }
    }
}
