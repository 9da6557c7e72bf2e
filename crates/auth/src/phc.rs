//! How a password hash is written: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`, the PHC string format.
//!
//! Promise: what [`Phc`] prints, [`Phc::parse`] reads; a string that would cost more than we are ready to spend is not
//! one. Only argon2id is spoken: nothing else was ever written here.
//! Not here: when and where it is worked out (`hasher`).

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq as _;

use crate::random::{self, NoRandomness};

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// A stored hash that asks for more memory than this was not written by us; it would be a way to take the server down.
const MEMORY_KIB_MAX: u32 = 262_144;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 4;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What one hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl Cost {
    /// The least that OWASP's password storage cheat sheet accepts for argon2id: 19 MiB, two passes, one lane.
    pub const DEFAULT: Self = Self { memory_kib: 19_456, passes: 2, lanes: 1 };
    /// The least there is, for tests that are about something else.
    pub const LEAST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// Whether a hash at this cost is weaker than one at `wanted`.
    #[must_use]
    pub const fn is_below(self, wanted: Self) -> bool {
        self.memory_kib < wanted.memory_kib || self.passes < wanted.passes
    }

    const fn is_bearable(self) -> bool {
        let least = self.memory_kib >= 8 * self.lanes && self.passes >= 1 && self.lanes >= 1;
        least && self.memory_kib <= MEMORY_KIB_MAX && self.passes <= PASSES_MAX && self.lanes <= LANES_MAX
    }
}

/// A password's hash with all that is needed to check it.
#[derive(Clone, PartialEq, Eq)]
pub struct Phc {
    pub cost: Cost,
    salt: [u8; SALT_BYTES],
    hash: [u8; HASH_BYTES],
}

impl Phc {
    /// Hashes. Takes tens of milliseconds and the cost's memory: never on a thread that serves requests.
    pub fn new(password: &[u8], cost: Cost) -> Result<Self, Unworkable> {
        let salt = random::bytes()?;
        Ok(Self { cost, salt, hash: derive(password, &salt, cost)? })
    }

    /// A hash that no password has, for names that nobody has: checking it takes as long as checking a real one.
    pub fn of_nothing(cost: Cost) -> Result<Self, NoRandomness> {
        Ok(Self { cost, salt: random::bytes()?, hash: random::bytes()? })
    }

    /// Whether this is the password. As expensive as [`Phc::new`].
    pub fn is_of(&self, password: &[u8]) -> Result<bool, Unworkable> {
        Ok(derive(password, &self.salt, self.cost)?.ct_eq(&self.hash).into())
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
        let (cost, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut numbers = cost.split(',');
        let mut number = |name: &str| numbers.next()?.strip_prefix(name)?.parse::<u32>().ok();
        let cost = Cost { memory_kib: number("m=")?, passes: number("t=")?, lanes: number("p=")? };
        let (salt, hash) = (from_base64(salt)?, from_base64(hash)?);
        let is_whole = numbers.next().is_none() && parts.next().is_none() && cost.is_bearable();
        Some(Self { cost, salt: salt.try_into().ok()?, hash: hash.try_into().ok()? }).filter(|_| is_whole)
    }
}

impl fmt::Display for Phc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let (salt, hash) = (to_base64(&self.salt), to_base64(&self.hash));
        write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
    }
}

/// A hash is not shown either: it can be searched.
impl fmt::Debug for Phc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phc").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// The hash could not be worked out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unworkable {
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("the password hash cannot be worked out: {0}")]
    Argon2(String),
}

fn derive(password: &[u8], salt: &[u8], cost: Cost) -> Result<[u8; HASH_BYTES], Unworkable> {
    let fault = |error: argon2::Error| Unworkable::Argon2(error.to_string());
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(HASH_BYTES)).map_err(fault)?;
    let mut hash = [0; HASH_BYTES];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password, salt, &mut hash).map_err(fault)?;
    Ok(hash)
}

/// The usual alphabet without padding, as PHC strings have it.
fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            text.push(char::from(BASE64[(word >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut buffer, mut bits) = (0u32, 0);
    for byte in text.bytes() {
        let digit = BASE64.iter().position(|known| *known == byte)?;
        buffer = buffer << 6 | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits & 0xff) as u8);
        }
    }
    // What is left over must be nothing: one text for one hash.
    (bits < 6 && buffer & ((1 << bits) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash() {
        let phc = Phc::new(b"correct horse battery", Cost::LEAST).expect("it hashes");
        assert_eq!(phc.is_of(b"correct horse battery"), Ok(true));
        assert_eq!(phc.is_of(b"correct horse batterz"), Ok(false));
        assert_eq!(phc.is_of(b""), Ok(false));
        let again = Phc::new(b"correct horse battery", Cost::LEAST).expect("it hashes");
        assert_ne!(again.to_string(), phc.to_string(), "each has its own salt");
    }

    #[test]
    fn every_byte_of_a_long_password_counts() {
        let mut password = vec![b'a'; 1024];
        let phc = Phc::new(&password, Cost::LEAST).expect("it hashes");
        password[1023] = b'b';
        assert_eq!(phc.is_of(&password), Ok(false));
        assert_eq!(phc.is_of(&password[..1023]), Ok(false));
    }

    #[test]
    fn the_text_reads_back() {
        let phc = Phc::new(b"x", Cost { memory_kib: 16, passes: 3, lanes: 2 }).expect("it hashes");
        let text = phc.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=16,t=3,p=2$"), "{text}");
        assert_eq!(Phc::parse(&text), Some(phc));
    }

    /// From the test list of the reference implementation: two passes, 256 KiB, one lane.
    #[test]
    fn the_hash_is_the_one_of_the_reference_implementation() {
        let cost = Cost { memory_kib: 256, passes: 2, lanes: 1 };
        let hash = derive(b"password", b"somesalt", cost).expect("it hashes");
        assert_eq!(random::hex(&hash), "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe");
    }

    #[test]
    fn the_default_is_what_owasp_asks_for() {
        let text = Phc::of_nothing(Cost::DEFAULT).expect("randomness").to_string();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    }

    #[test]
    fn what_is_not_ours_or_costs_too_much_is_no_hash() {
        let good = Phc::of_nothing(Cost::LEAST).expect("randomness").to_string();
        assert!(Phc::parse(&good).is_some());
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("v=19", "v=16"),
            ("m=8", "m=4294967295"),
            ("m=8", "m=7"),
            ("m=8", "m=-8"),
            ("t=1", "t=0"),
            ("t=1", "t=17"),
            ("p=1", "p=0"),
            ("p=1", "p=1,x=1"),
            ("m=8,t=1", "t=1,m=8"),
        ] {
            assert_eq!(Phc::parse(&good.replace(from, to)), None, "{to}");
        }
        for text in [
            "",
            "$",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}$x"),
            &format!("{good}="),
            &format!("{good}A"),
        ] {
            assert_eq!(Phc::parse(text), None, "{text}");
        }
    }

    #[test]
    fn base_64_has_one_text_for_each_value() {
        for (bytes, text) in [(&b""[..], ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xff\xff\xfe", "///+")]
        {
            assert_eq!(to_base64(bytes), text);
            assert_eq!(from_base64(text).as_deref(), Some(bytes));
        }
        for text in ["Z", "Zh", "Zm9", "Zg==", "Z g", "Zm9vZ"] {
            assert_eq!(from_base64(text), None, "{text}");
        }
    }

    #[test]
    fn costs_are_compared_by_what_makes_guessing_hard() {
        let wanted = Cost { memory_kib: 100, passes: 2, lanes: 1 };
        for (cost, below) in [
            (wanted, false),
            (Cost { memory_kib: 99, ..wanted }, true),
            (Cost { passes: 1, ..wanted }, true),
            (Cost { memory_kib: 200, ..wanted }, false),
        ] {
            assert_eq!(cost.is_below(wanted), below, "{cost:?}");
        }
    }

    #[test]
    fn debugging_does_not_show_the_hash() {
        let phc = Phc::new(b"x", Cost::LEAST).expect("it hashes");
        let hash = phc.to_string().rsplit('$').next().map(str::to_owned).unwrap_or_default();
        assert!(!format!("{phc:?}").contains(&hash));
    }
}
