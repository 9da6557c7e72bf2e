//! What a plain scalar means: the rules of Go's yaml.v2 and v3, by which users' files were written.
//!
//! The field decides: `yes` is true for a bool and the text `yes` for a text, `0x10` is sixteen for a number and stays
//! `0x10` for a text. So nothing here guesses a type; each function answers "is this a …?" for one text.
//! Not here: quoted scalars, which are always text (`node`).

/// Nothing: an empty value, `~` or `null`.
#[must_use]
pub fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// v2 knows the words of YAML 1.1; v3 still takes most of them where a bool is wanted. We take all of v2's.
#[must_use]
pub fn as_bool(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, `0x` hex, `0o` or leading-zero octal, `0b` binary, underscores anywhere, or a float without
/// a fraction (`1e3`): Go cuts the fraction off there, which hides mistakes, so `1.5` is no whole number here.
#[must_use]
pub fn as_int(text: &str) -> Option<i128> {
    let plain = number_text(text)?;
    if let Some(number) = int_text(&plain) {
        return Some(number);
    }
    let float = decimal_float(&plain)?;
    // Beyond 2^63 the digits of a float are no longer the ones that were written.
    (float.fract() == 0.0 && float.abs() < 9.2e18).then_some(float as i128)
}

/// A number, also one written as a whole number, `.inf` or `.nan`.
#[must_use]
pub fn as_float(text: &str) -> Option<f64> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let plain = number_text(text)?;
    int_text(&plain).map(|int| int as f64).or_else(|| decimal_float(&plain))
}

/// Whether a text written without quotes would be read as a text by every reader, Go's included.
#[must_use]
pub fn is_plain_text(text: &str) -> bool {
    !is_null(text) && as_bool(text).is_none() && as_float(text).is_none() && text != "<<" && text != "="
}

/// Only what starts like a number may be one; underscores are for the eye.
fn number_text(text: &str) -> Option<String> {
    let first = *text.as_bytes().first()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    Some(text.replace('_', ""))
}

fn int_text(plain: &str) -> Option<i128> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let radix_of = |prefix: &str| digits.get(..2).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    let (radix, digits) = if radix_of("0x") {
        (16, &digits[2..])
    } else if radix_of("0o") {
        (8, &digits[2..])
    } else if radix_of("0b") {
        (2, &digits[2..])
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    // from_str_radix takes a sign of its own; ours has been read.
    if digits.is_empty() || !digits.bytes().all(|b| (b as char).is_digit(radix)) {
        return None;
    }
    let number = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let number = if negative { -number } else { number };
    (number >= i128::from(i64::MIN)).then_some(number)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, within the range of an f64.
fn decimal_float(plain: &str) -> Option<f64> {
    let unsigned = plain.strip_prefix(['-', '+']).unwrap_or(plain);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_ok = digits(whole) && digits(fraction) && (!whole.is_empty() || !fraction.is_empty());
    let exponent_ok = exponent.is_none_or(|text| !text.is_empty() && digits(text));
    if !mantissa_ok || !exponent_ok {
        return None;
    }
    plain.parse::<f64>().ok().filter(|float| float.is_finite())
}

/// The bytes of a `!!binary` scalar: standard base64; line breaks and blanks do not count.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut padding, mut count) = (0u32, 0u32, 0usize, 0usize);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        count += 1;
        if byte == b'=' {
            padding += 1;
            continue;
        }
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    (count % 4 == 0 && padding <= 2).then_some(bytes)
}

/// Standard base64 with padding.
#[must_use]
pub fn to_base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_as_go_reads_them() {
        for (text, want) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("12", Some(12)),
            ("+12", Some(12)),
            ("-12", Some(-12)),
            ("0x1F", Some(31)),
            ("-0X1f", Some(-31)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("0b101", Some(5)),
            ("1_000", Some(1000)),
            // Not octal, so Go takes it for the float eight.
            ("08", Some(8)),
            ("1e3", Some(1000)),
            ("5.0", Some(5)),
            ("18446744073709551615", Some(u64::MAX.into())),
            ("-9223372036854775808", Some(i64::MIN.into())),
            ("-9223372036854775809", None),
            ("18446744073709551616", None),
            ("1.5", None),
            ("", None),
            ("-", None),
            ("0x", None),
            ("0x-1", None),
            ("--1", None),
            ("_1", None),
            ("1h", None),
            ("190:20:30", None),
            ("2001-12-14", None),
            ("1e", None),
            (".", None),
            ("NaN", None),
        ] {
            assert_eq!(as_int(text), want, "{text}");
        }
    }

    #[test]
    fn floats_are_read_as_go_reads_them() {
        for (text, want) in [
            ("0.1", Some(0.1)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("-1.5e-3", Some(-0.0015)),
            ("685_230.15", Some(685_230.15)),
            ("0x10", Some(16.0)),
            (".inf", Some(f64::INFINITY)),
            ("-.Inf", Some(f64::NEG_INFINITY)),
            ("1e999", None),
            ("inf", None),
            ("nan", None),
            ("1.2.3", None),
            ("1,5", None),
        ] {
            assert_eq!(as_float(text), want, "{text}");
        }
        assert!(as_float(".nan").is_some_and(f64::is_nan));
    }

    #[test]
    fn words_for_bools_and_nothing_are_those_of_go() {
        for text in ["yes", "Yes", "on", "y", "TRUE", "true"] {
            assert_eq!(as_bool(text), Some(true), "{text}");
        }
        for text in ["no", "off", "N", "False"] {
            assert_eq!(as_bool(text), Some(false), "{text}");
        }
        for text in ["tRue", "1", "0", "", "enabled"] {
            assert_eq!(as_bool(text), None, "{text}");
        }
        assert!(is_null("~") && is_null("") && is_null("null") && !is_null("nil") && !is_null("nUll"));
    }

    #[test]
    fn base64_is_decoded_and_its_errors_are_found() {
        assert_eq!(from_base64("aGVs\n bG8="), Some(b"hello".to_vec()));
        assert_eq!(from_base64("/w=="), Some(vec![0xff]));
        for bytes in [&b""[..], b"\xff", b"hi", b"abc", b"\0\x01\xfe\xff"] {
            assert_eq!(from_base64(&to_base64(bytes)).as_deref(), Some(bytes));
        }
        for text in ["a", "abc", "ab=c", "a===", "ab*c", "===="] {
            assert_eq!(from_base64(text), None, "{text}");
        }
    }
}
