//! A login session: how long one lives, and what is kept of it.
//!
//! Invariant: the browser holds 256 random bits, we hold their hash; a session is never longer than its two limits say,
//! whichever way the clock is set.
//! Not here: the cookie (`ui`), the role, which is read anew for each request (`appliance`).

use std::time::Duration;

use model::time::Timestamp;

use crate::permit::{SessionId, UserId};
use crate::random::{self, NoRandomness, TokenHash};

/// Base-62 characters of a session token: 256 random bits.
const TOKEN_CHARS: usize = 43;
/// Sessions a user may have at once; at the bound the one that was used longest ago ends.
pub const SESSIONS_MAX: u32 = 50;
/// Characters kept of what a browser says about itself.
pub const AGENT_CHARS_MAX: usize = 256;
/// When a session was last used is written this often at most: a page makes many requests.
pub const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// A session that began later than this from now was made under a wrong clock; it is not worth more for it.
const FUTURE_MAX: Duration = Duration::from_secs(300);

/// A session as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    pub token_hash: TokenHash,
    pub created: Timestamp,
    pub last_seen: Timestamp,
    pub address: String,
    pub agent: String,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Unused for this long it ends.
    pub idle: Duration,
    /// This long after login it ends however much it is used.
    pub max: Duration,
}

impl Lifetime {
    #[must_use]
    pub fn is_over(&self, session: &Session, now: Timestamp) -> bool {
        let made_in_the_future = session.created > now.plus(FUTURE_MAX);
        made_in_the_future || self.ends(session) <= now
    }

    /// When it ends if it is not used any more.
    #[must_use]
    pub fn ends(&self, session: &Session) -> Timestamp {
        session.last_seen.plus(self.idle).min(session.created.plus(self.max))
    }
}

/// Whether a use at `now` is worth writing down.
#[must_use]
pub fn is_worth_a_touch(last_seen: Timestamp, now: Timestamp) -> bool {
    now.since(last_seen) >= TOUCH_EVERY
}

/// A new session token.
pub fn new_token() -> Result<String, NoRandomness> {
    random::base62(TOKEN_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const LIFETIME: Lifetime = Lifetime { idle: Duration::from_secs(12 * 3600), max: Duration::from_secs(7 * 86_400) };

    fn session(created: i64, last_seen: i64) -> Session {
        Session {
            id: SessionId(1),
            user: UserId(1),
            token_hash: random::hash("x"),
            created: Timestamp(created),
            last_seen: Timestamp(last_seen),
            address: String::new(),
            agent: String::new(),
        }
    }

    #[test]
    fn a_session_ends_when_unused_and_in_any_case_after_a_week() {
        for (created, last_seen, now, over) in [
            (0, 0, 0, false),
            (0, 0, 12 * HOUR - 1, false),
            (0, 0, 12 * HOUR, true),
            (0, 6 * HOUR, 12 * HOUR, false),
            (0, 7 * 24 * HOUR - 1, 7 * 24 * HOUR - 1, false),
            (0, 7 * 24 * HOUR - 1, 7 * 24 * HOUR, true),
        ] {
            assert_eq!(
                LIFETIME.is_over(&session(created, last_seen), Timestamp(now)),
                over,
                "{created} {last_seen} {now}"
            );
        }
    }

    #[test]
    fn a_clock_set_back_does_not_make_a_session_live_longer() {
        assert!(LIFETIME.is_over(&session(10 * HOUR, 10 * HOUR), Timestamp(0)), "made in the future");
        assert!(!LIFETIME.is_over(&session(200_000, 200_000), Timestamp(0)), "clocks differ a little");
    }

    #[test]
    fn use_is_written_down_once_a_minute() {
        assert!(!is_worth_a_touch(Timestamp(1_000), Timestamp(60_999)));
        assert!(is_worth_a_touch(Timestamp(1_000), Timestamp(61_000)));
        assert!(!is_worth_a_touch(Timestamp(61_000), Timestamp(1_000)), "the clock went back");
    }

    #[test]
    fn a_token_has_256_bits() {
        let token = new_token().expect("the system has randomness");
        assert!(token.len() == 43 && (token.len() as f64 * 62f64.log2()) >= 256.0, "{token}");
        assert_ne!(new_token(), new_token());
    }
}
