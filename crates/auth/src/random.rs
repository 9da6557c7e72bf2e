//! Unguessable texts: session tokens, API tokens, recovery codes, set-up links.
//!
//! Invariant: what is kept is [`hash`] of a text, never the text. The texts carry at least 128 random bits, so a plain
//! hash cannot be searched.

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The system gave no random bytes; nothing secret can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandomness;

/// Random bytes from the system.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// `len` random characters of base 62: 5.95 bits each.
pub fn base62(len: usize) -> Result<String, NoRandomness> {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        // 62·4 = 248: bytes above are thrown away, so that every character is equally likely.
        let fair = bytes::<64>()?.into_iter().filter(|byte| *byte < 248);
        text.extend(fair.take(len - text.len()).map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    Ok(text)
}

/// The SHA-256 of an unguessable text: what is kept in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Compares in a time that does not depend on where they differ.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The SHA-256 of a token, as it is kept.
#[must_use]
pub fn hash(token: &str) -> TokenHash {
    TokenHash(sha256(token.as_bytes()))
}

/// SHA-256, for whoever keeps or chains something by it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a hexadecimal text; `None` where it is none.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::try_from(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_length_asked_for_and_use_the_whole_alphabet() {
        let text = base62(20_000).expect("the system has randomness");
        assert_eq!(text.len(), 20_000);
        let mut counts = [0u32; 128];
        for byte in text.bytes() {
            counts[usize::from(byte)] += 1;
        }
        // 322 each on average; five standard deviations are 90.
        assert!(BASE62.iter().all(|c| (200..450).contains(&counts[usize::from(*c)])));
        assert_ne!(base62(43), base62(43));
    }

    #[test]
    fn hashes_are_compared_whole() {
        let (a, mut b) = (hash("abc"), hash("abc"));
        assert!(a.is_same_as(&b));
        for at in 0..32 {
            b.0[at] ^= 1;
            assert!(!a.is_same_as(&b), "byte {at}");
            b.0[at] ^= 1;
        }
    }

    #[test]
    fn hexadecimal_reads_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        assert_eq!(unhex("aAfF"), Some(vec![0xaa, 0xff]));
        assert_eq!(unhex(""), Some(Vec::new()));
        for text in ["a", "abc", "0g", "+1", "é", " 1"] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }

    #[test]
    fn the_hash_is_sha_256() {
        assert_eq!(hex(&hash("abc").0), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
