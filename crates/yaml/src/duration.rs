//! Durations as Prometheus writes them: `1h30m`, `250ms`, `0s`.
//!
//! Promise: what [`format`] writes, [`parse`] reads back to the millisecond.

use std::time::Duration;

/// The units of a duration, largest first, in milliseconds. Each may occur once, in this order.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Not a duration as Prometheus writes them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid duration: {0:?}, expected for example 30s, 5m or 1h30m")]
pub struct BadDuration(pub String);

/// Reads a duration such as `1h30m`, `250ms` or `0`: whole numbers, units from large to small, each at most once.
pub fn parse(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.to_owned());
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let (_, millis) = units.find(|(name, _)| *name == unit).ok_or_else(bad)?;
        let number: u64 = number.parse().map_err(|_| bad())?;
        total = number.checked_mul(*millis).and_then(|part| total.checked_add(part)).ok_or_else(bad)?;
        rest = tail;
    }
    // Prometheus keeps nanoseconds in an i64; what does not fit there is out of range here too.
    if text.is_empty() || total > i64::MAX as u64 / 1_000_000 {
        return Err(bad());
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration as Prometheus does: `1h30m`, `0s`; years and weeks only where they come out whole.
#[must_use]
pub fn format(duration: Duration) -> String {
    use std::fmt::Write as _;
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, size) in UNITS {
        let exact_only = matches!(unit, "y" | "w");
        if millis < size || (exact_only && !millis.is_multiple_of(size)) {
            continue;
        }
        let _infallible = write!(text, "{}{unit}", millis / size);
        millis %= size;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_as_prometheus_does() {
        for (text, millis, printed) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("324ms", 324, "324ms"),
            ("3s", 3_000, "3s"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("4d1h", 349_200_000, "4d1h"),
            ("14d", 1_209_600_000, "2w"),
            ("8d", 691_200_000, "8d"),
            ("3w2d1h", 1_990_800_000, "23d1h"),
            ("10y", 315_360_000_000, "10y"),
        ] {
            let parsed = parse(text).expect(text);
            assert_eq!(parsed.as_millis(), millis, "{text}");
            assert_eq!(format(parsed), printed);
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "1", "s", "-1s", "1s1m", "1m1m", "1.5h", "5 m", "1x", "294y", "99999999999999999999s"] {
            assert_eq!(parse(text), Err(BadDuration(text.to_owned())));
        }
    }
}
