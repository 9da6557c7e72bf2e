//! Recovery codes: ten texts on paper, each good for one login when the second factor is lost.
//!
//! Invariant: a code carries 120 random bits, so its plain hash can be kept; it works once.
//! Not here: the one statement that spends it (`ports`).

use crate::random::{self, NoRandomness, TokenHash};

/// Codes handed out at once.
pub const CODES: usize = 10;
/// Characters of a code, five bits each.
const CHARS: usize = 24;
const GROUP: usize = 6;
/// No letter that is taken for a digit or another letter when written by hand.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// New codes, as they are shown once.
pub fn new_codes() -> Result<Vec<String>, NoRandomness> {
    (0..CODES).map(|_| new_code()).collect()
}

fn new_code() -> Result<String, NoRandomness> {
    let bytes = random::bytes::<CHARS>()?;
    let mut code = String::with_capacity(CHARS + CHARS / GROUP);
    for (at, byte) in bytes.into_iter().enumerate() {
        if at > 0 && at % GROUP == 0 {
            code.push('-');
        }
        // 32 divides 256: every character is equally likely.
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Ok(code)
}

/// The hash of a code however it was typed; `None` where it cannot be one.
#[must_use]
pub fn hash(typed: &str) -> Option<TokenHash> {
    let mut code = String::with_capacity(CHARS);
    for c in typed.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let c = match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            c => c,
        };
        if !c.is_ascii() || !ALPHABET.contains(&(c as u8)) || code.len() == CHARS {
            return None;
        }
        code.push(c);
    }
    (code.len() == CHARS).then(|| random::hash(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_different_codes_of_120_bits() {
        let codes = new_codes().expect("the system has randomness");
        let mut hashes: Vec<TokenHash> = codes.iter().map(|code| hash(code).expect("it is one")).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!((codes.len(), hashes.len()), (10, 10));
        assert!(codes.iter().all(|code| code.len() == 27 && code.matches('-').count() == 3), "{codes:?}");
    }

    #[test]
    fn a_code_may_be_typed_as_people_do() {
        let code = "012345-6789ab-cdefgh-jkmnpq";
        let expected = hash(code);
        assert!(expected.is_some());
        for typed in ["0123456789abcdefghjkmnpq", " O12345 6789AB CDEFGH JKMNPQ\n", "oI2345-6789ab-cdefgh-jkmnpq"] {
            assert_eq!(hash(typed), expected, "{typed}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_none() {
        for typed in [
            "",
            "123456",
            "012345-6789ab-cdefgh-jkmnp",
            "012345-6789ab-cdefgh-jkmnpqr",
            "u12345-6789ab-cdefgh-jkmnpq",
            "é",
        ] {
            assert_eq!(hash(typed), None, "{typed}");
        }
    }
}
