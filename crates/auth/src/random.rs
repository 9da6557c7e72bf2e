//! Unguessable texts: session tokens, API tokens, recovery codes, set-up links.
//!
//! Invariant: what is kept is [`hash`] of a text, never the text. The texts carry at least 128 random bits, so a plain
//! hash cannot be searched.

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

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

/// The SHA-256 of a token, as it is kept.
#[must_use]
pub fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn the_hash_is_sha_256() {
        assert_eq!(hex(&hash("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
