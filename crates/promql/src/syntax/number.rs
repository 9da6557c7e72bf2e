//! Number and duration literals: their values, and how they are printed.
//!
//! Promise: values are those Go's `strconv` and Prometheus's duration parser give, refusals carry their texts.

use std::time::Duration;

/// A duration is kept in nanoseconds by Prometheus; what does not fit there is out of range.
const DURATION_MILLIS_MAX: u64 = i64::MAX as u64 / 1_000_000;
/// The same bound in seconds, for durations written as plain numbers.
const DURATION_SECONDS_MAX: f64 = 9_223_372_036.854_776;

/// The value of a number token: integers in any base, then decimal floats, `Inf`, `NaN`.
pub fn parse_number(text: &str) -> Result<f64, String> {
    if let Some(integer) = parse_integer(text) {
        return Ok(integer as f64);
    }
    let refused = |why: &str| Err(format!("strconv.ParseFloat: parsing {}: {why}", super::quote::quoted(text)));
    let prefixed = matches!(text.as_bytes(), [b'0', b'x' | b'X', ..]);
    if !underscores_fit(text) || prefixed {
        return refused("invalid syntax");
    }
    match text.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => {
            refused("value out of range")
        }
        Ok(value) => Ok(value),
        Err(_) => refused("invalid syntax"),
    }
}

/// An integer as Go reads one with base 0: `0x`, `0o`, `0b` and a leading zero choose the base.
fn parse_integer(text: &str) -> Option<i64> {
    if !underscores_fit(text) {
        return None;
    }
    let plain = text.replace('_', "");
    let (digits, radix) = match plain.as_bytes() {
        [b'0', b'x' | b'X', ..] => (plain.get(2..)?, 16),
        [b'0', b'o' | b'O', ..] => (plain.get(2..)?, 8),
        [b'0', b'b' | b'B', ..] => (plain.get(2..)?, 2),
        [b'0', _, ..] => (plain.get(1..)?, 8),
        _ => (plain.as_str(), 10),
    };
    // A sign is never part of the token.
    if digits.starts_with(['+', '-']) { None } else { i64::from_str_radix(digits, radix).ok() }
}

/// Underscores must stand between digits, or between the prefix of the base and a digit.
fn underscores_fit(text: &str) -> bool {
    let hex = text.len() > 1 && text.as_bytes()[0] == b'0' && matches!(text.as_bytes()[1], b'x' | b'X');
    let (mut before_is_digit, mut before_is_underscore) = (false, false);
    for (index, byte) in text.bytes().enumerate() {
        let prefix = hex && index == 1;
        let digit = prefix || byte.is_ascii_digit() || (hex && byte.is_ascii_hexdigit());
        if (byte == b'_' && !before_is_digit) || (byte != b'_' && before_is_underscore && !digit) {
            return false;
        }
        (before_is_digit, before_is_underscore) = (digit, byte == b'_');
    }
    !before_is_underscore
}

/// The milliseconds of a duration token such as `1h30m`.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    match model::time::parse_duration(text) {
        Ok(duration) => Ok(u64::try_from(duration.as_millis()).unwrap_or(DURATION_MILLIS_MAX)),
        Err(_) if units_fit(text) => Err("duration out of range".to_owned()),
        Err(_) => Err(format!("not a valid duration string: {}", super::quote::quoted(text))),
    }
}

/// Whether only the size of the numbers is wrong: with every number replaced by 1 it would be a duration.
fn units_fit(text: &str) -> bool {
    let mut ones = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' if ones.ends_with('1') => {}
            '0'..='9' => ones.push('1'),
            _ => ones.push(c),
        }
    }
    model::time::parse_duration(&ones).is_ok()
}

/// Whole milliseconds as seconds, with Prometheus's rounding (whole seconds and the rest apart).
#[must_use]
pub fn seconds_of(millis: u64) -> f64 {
    (millis / 1000) as f64 + ((millis % 1000) * 1_000_000) as f64 / 1e9
}

/// Whether so many seconds are more than a duration can hold. NaN is, too.
#[must_use]
pub fn is_out_of_range(seconds: f64) -> bool {
    !(-DURATION_SECONDS_MAX..=DURATION_SECONDS_MAX).contains(&seconds)
}

/// Seconds as milliseconds: rounded to nanoseconds, what is below a millisecond cut off.
#[must_use]
pub fn millis_of(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64 / 1_000_000
}

/// A float without exponent, in the shortest form that reads back.
#[must_use]
pub fn format_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{value}")
    }
}

/// A float with six decimals, however large it is.
#[must_use]
pub fn format_fixed(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { format_float(value) }
}

/// Milliseconds as a duration, with a sign where it is negative.
#[must_use]
pub fn format_millis(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    format!("{sign}{}", model::time::format_duration(Duration::from_millis(millis.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_form_have_the_value_go_gives_them() {
        for (text, value) in [
            ("1", 1.0),
            ("0755", 493.0),
            ("08", 8.0),
            ("0x1F", 31.0),
            ("0x_53", 83.0),
            ("1_000_000", 1e6),
            (".123_456", 0.123_456),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("Inf", f64::INFINITY),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ] {
            assert_eq!(parse_number(text), Ok(value), "{text}");
        }
        assert!(parse_number("nAn").is_ok_and(f64::is_nan));
    }

    #[test]
    fn refused_numbers_say_why() {
        for (text, why) in [
            ("0x", "invalid syntax"),
            ("1e999", "value out of range"),
            ("0xFFFFFFFFFFFFFFFFFF", "invalid syntax"),
            ("1_.5", "invalid syntax"),
        ] {
            assert_eq!(parse_number(text), Err(format!("strconv.ParseFloat: parsing \"{text}\": {why}")));
        }
    }

    #[test]
    fn durations_out_of_order_and_out_of_range_are_told_apart() {
        assert_eq!(parse_duration("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration("5m1h"), Err("not a valid duration string: \"5m1h\"".to_owned()));
        assert_eq!(parse_duration("400y"), Err("duration out of range".to_owned()));
        assert_eq!(parse_duration("99999999999999999999s"), Err("duration out of range".to_owned()));
        assert!(is_out_of_range(9.5e10) && is_out_of_range(f64::NAN) && !is_out_of_range(9.2e9));
    }

    #[test]
    fn seconds_become_milliseconds_by_way_of_nanoseconds() {
        assert_eq!(millis_of(4.18), 4180);
        assert_eq!(millis_of(0.0019), 1);
        assert_eq!(millis_of(-1.5), -1500);
        assert_eq!(seconds_of(1001), 1.001);
        assert_eq!(format_millis(-90_000), "-1m30s");
        assert_eq!(format_float(1e21), "1000000000000000000000");
        assert_eq!(format_float(-f64::INFINITY), "-Inf");
    }
}
