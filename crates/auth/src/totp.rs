//! Time-based one-time codes (RFC 6238: SHA-1, 30 s, six digits) as every authenticator app makes them.
//!
//! Invariant: a code is accepted once. The caller keeps the step of the last accepted code; steps up to it are spent.
//! Not here: how the seed is kept (encrypted, `store`), the picture of the address (`ui`).

use model::time::Timestamp;
use ring::hmac;
use subtle::ConstantTimeEq as _;

/// Seconds for which one code stands.
pub const STEP_SECONDS: i64 = 30;
/// Steps before and after the current one that are accepted: clocks differ, people type slowly.
const DRIFT_STEPS: i64 = 1;
/// 160 bits, the length RFC 4226 recommends.
pub const SEED_BYTES: usize = 20;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The code of one step.
#[must_use]
pub fn code(seed: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed);
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let mac = mac.as_ref();
    let offset = usize::from(mac[mac.len() - 1] & 0x0f);
    let word = u32::from_be_bytes([mac[offset] & 0x7f, mac[offset + 1], mac[offset + 2], mac[offset + 3]]);
    format!("{:06}", word % 1_000_000)
}

/// Checks a code; on success returns its step, which the caller must keep as the new `last_used`.
#[must_use]
pub fn accept(seed: &[u8], given: &str, now: Timestamp, last_used: Option<u64>) -> Option<u64> {
    let given: String = given.chars().filter(|c| !c.is_whitespace()).collect();
    let current = now.millis().div_euclid(1000).div_euclid(STEP_SECONDS);
    let mut accepted = None;
    // All steps are compared, whichever matches, so that the time taken says nothing.
    for step in current - DRIFT_STEPS..=current + DRIFT_STEPS {
        let Ok(step) = u64::try_from(step) else { continue };
        let same: bool = code(seed, step).as_bytes().ct_eq(given.as_bytes()).into();
        if same && last_used.is_none_or(|last| step > last) {
            accepted = Some(step);
        }
    }
    accepted
}

/// The seed as authenticator apps want it typed.
#[must_use]
pub fn base32(seed: &[u8]) -> String {
    let mut text = String::with_capacity(seed.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0u32, 0);
    for byte in seed {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(BASE32[(buffer >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        text.push(char::from(BASE32[(buffer << (5 - bits)) as usize & 31]));
    }
    text
}

/// The address behind the QR code.
#[must_use]
pub fn otpauth_url(issuer: &str, account: &str, seed: &[u8]) -> String {
    let issuer = percent_encoded(issuer);
    let account = percent_encoded(account);
    format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period={STEP_SECONDS}",
        base32(seed)
    )
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, expected) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(code(SEED, seconds / 30), expected);
        }
    }

    #[test]
    fn a_code_is_accepted_once() {
        let step = accept(SEED, "287 082", at(59), None).expect("it is the current code");
        assert_eq!(accept(SEED, "287082", at(59), Some(step)), None);
        assert_eq!(accept(SEED, "287082", at(60), Some(step)), None);
    }

    #[test]
    fn a_clock_may_be_one_step_off_and_not_two() {
        assert!(accept(SEED, "287082", at(59 + 30), None).is_some());
        assert!(accept(SEED, "287082", at(59 - 30), None).is_some());
        assert!(accept(SEED, "287082", at(59 + 61), None).is_none());
        assert!(accept(SEED, "", at(59), None).is_none());
        assert!(accept(SEED, "287083", at(59), None).is_none());
    }

    #[test]
    fn the_seed_is_written_in_base_32() {
        assert_eq!(base32(SEED), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(base32(b"f"), "MY");
        let url = otpauth_url("Watchpost", "ann@x y", SEED);
        assert!(url.starts_with("otpauth://totp/Watchpost:ann%40x%20y?secret=GEZD"), "{url}");
    }
}
