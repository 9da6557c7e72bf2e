//! Sizes in bytes as Prometheus writes them: `512MB` and `512MiB` are the same, in powers of 1,024.
//!
//! Promise: what [`format()`] writes, [`parse`] reads back.

use std::fmt;
use std::str::FromStr;

/// The units, largest first. The `i` may be left out when reading.
const UNITS: [(&str, u32); 7] =
    [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid size: {0:?}, expected for example 512MB or 1GiB")]
pub struct BadSize(pub String);

/// Reads `64MB`, `1GiB`, `1.5GB`, `1GiB512MiB` or `0`: units from large to small, each at most once; at most 2^63 - 1.
pub fn parse(text: &str) -> Result<u64, BadSize> {
    let bad = || BadSize(text.to_owned());
    if text == "0" {
        return Ok(0);
    }
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let spelled = |name: &str| unit == name || (name.len() == 3 && unit == name.replace('i', ""));
        let (_, shift) = units.find(|(name, _)| spelled(name)).ok_or_else(bad)?;
        total = scaled(number, *shift).and_then(|part| total.checked_add(part)).ok_or_else(bad)?;
        rest = tail;
    }
    if text.is_empty() || total > i64::MAX as u64 {
        return Err(bad());
    }
    Ok(total)
}

/// A decimal number times a power of two; parts of a byte are dropped.
fn scaled(number: &str, shift: u32) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let (whole, fraction) = number.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let bytes = number.parse::<f64>().ok()? * (1u64 << shift) as f64;
    (bytes < i64::MAX as f64).then_some(bytes as u64)
}

/// Writes a size as Prometheus does: `1GiB512MiB`, `0B`.
#[must_use]
pub fn format(bytes: u64) -> String {
    use std::fmt::Write as _;
    if bytes == 0 {
        return "0B".to_owned();
    }
    let mut text = String::new();
    let mut rest = bytes;
    for (unit, shift) in UNITS {
        let count = rest >> shift;
        if count > 0 {
            let _infallible = write!(text, "{count}{unit}");
            rest -= count << shift;
        }
    }
    text
}

impl FromStr for Bytes {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        parse(text).map(Self)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format(self.0))
    }
}

crate::text_type!(Bytes, "a size such as 512MB or 1GiB");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_1024_with_or_without_the_i() {
        for (text, want, printed) in [
            ("0", 0, "0B"),
            ("0B", 0, "0B"),
            ("64MB", 64 << 20, "64MiB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("1.5GB", 3 << 29, "1GiB512MiB"),
            ("1GiB512MiB", 3 << 29, "1GiB512MiB"),
            ("1KB1B", 1025, "1KiB1B"),
            ("7EB", 7 << 60, "7EiB"),
        ] {
            assert_eq!(parse(text), Ok(want), "{text}");
            assert_eq!(format(want), printed, "{text}");
            assert_eq!(parse(printed), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "1", "MB", "-1MB", "1mb", "1 MB", "8EB", "1MB1GB", "1MB1MB", "1.MB", ".5MB", "1..5MB", "70%"] {
            assert_eq!(parse(text), Err(BadSize(text.to_owned())));
        }
    }
}
