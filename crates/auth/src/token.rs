//! API tokens: `wp_` and 43 characters, shown once.
//!
//! Invariant: only the hash is kept, and the first characters, by which a person recognises it.
//! Not here: what it may (`permit`), the header it comes in (`api`).

use std::time::Duration;

use model::time::Timestamp;

use crate::permit::{Scope, TokenId, UserId};
use crate::random::{self, NoRandomness, TokenHash};

/// What every token begins with, so that scanners of secrets find a leaked one.
pub const PREFIX: &str = "wp_";
/// Base-62 characters behind it: 256 random bits.
const RANDOM_CHARS: usize = 43;
/// Characters that are kept and shown: enough to tell one's own apart, useless for guessing the other 38.
const SHOWN_CHARS: usize = 8;
/// How long a token works if nothing else is said.
pub const LIFETIME_DEFAULT: Duration = Duration::from_secs(365 * 86_400);
/// How long it may be made to work: for ever is a date nobody looks at.
pub const LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Tokens a user may have; more are refused until one is revoked.
pub const TOKENS_MAX: u32 = 100;
/// Characters of a token's name.
pub const NAME_CHARS_MAX: usize = 100;
/// When a token was last used is written this often at most: a scraper uses it every second.
pub const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    pub owner: UserId,
    pub owner_name: String,
    pub name: String,
    /// The first characters of the token.
    pub prefix: String,
    pub hash: TokenHash,
    pub scopes: Vec<Scope>,
    pub created: Timestamp,
    pub expires: Timestamp,
    pub last_used: Option<Timestamp>,
}

/// Why a token does not open anything. Whoever holds the 256 bits may be told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    #[error("unknown or revoked token")]
    Unknown,
    #[error("the token has expired")]
    Expired,
    #[error("the token's owner is disabled")]
    OwnerDisabled,
}

/// A new token, whole: to be shown once.
pub fn new_token() -> Result<String, NoRandomness> {
    Ok(format!("{PREFIX}{}", random::base62(RANDOM_CHARS)?))
}

/// What is kept to recognise it.
#[must_use]
pub fn shown_part(token: &str) -> String {
    token.chars().take(SHOWN_CHARS).collect()
}

/// Whether a text can be a token at all: what cannot is not asked of the database.
#[must_use]
pub fn looks_like_one(text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == RANDOM_CHARS && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_by_its_beginning_and_by_nothing_else() {
        let token = new_token().expect("the system has randomness");
        assert!(looks_like_one(&token), "{token}");
        assert_eq!(shown_part(&token), token[..8]);
        for other in
            ["", "wp_", "wp_short", "Bearer x", &token[3..], &format!("{token}x"), &format!("wp_{}", "é".repeat(43))]
        {
            assert!(!looks_like_one(other), "{other}");
        }
    }
}
