//! A user's account: what is shown of it, what is kept of it, and what it may be called.
//!
//! Promise: [`User`] holds nothing secret, so it can go to a page as it is; what proves who somebody is stands in
//! [`Account`] only.
//! Not here: who may change it (`permit`), how it is stored (`ports`).

use model::secret::Secret;
use model::time::Timestamp;

use crate::permit::{Role, UserId};

/// Characters a user name may have at most: it stands in tables and in the audit log.
pub const NAME_CHARS_MAX: usize = 64;

/// An account as others may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub name: String,
    pub role: Role,
    /// May not log in; sessions are gone and tokens do not work.
    pub disabled: bool,
    pub created: Timestamp,
    pub last_login: Option<Timestamp>,
    /// A second factor is asked for at login.
    pub second_factor: bool,
    pub recovery_codes_left: u64,
    /// The password was made by somebody else: it opens nothing but its own change, and nothing at all after this.
    pub temporary_password_until: Option<Timestamp>,
    /// Counts the changes of role and state, so that two editors do not overwrite each other.
    pub version: u64,
}

/// An account with what proves who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub user: User,
    /// A PHC string.
    pub password_hash: Secret,
    /// The seed of the second factor, sealed.
    pub totp_seed: Option<Vec<u8>>,
    /// A seed that was shown but not proved yet, sealed.
    pub totp_pending: Option<Vec<u8>>,
    /// The step of the last code that was accepted: it and all before are spent.
    pub totp_last_step: Option<u64>,
}

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {NAME_CHARS_MAX} characters of a-z, 0-9 and . _ @ + -, beginning with a letter or a digit")]
pub struct BadName;

/// The name as it is kept and looked up: `Ann` and `ann` are one person.
///
/// ASCII only, so that no two names look alike; and so no markup, control character or direction mark gets into a page.
pub fn name(text: &str) -> Result<String, BadName> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    if text.is_empty() || text.len() > NAME_CHARS_MAX || !text.chars().all(allowed) {
        return Err(BadName);
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(BadName);
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_in_one_spelling() {
        for (given, kept) in
            [("ann", "ann"), (" Ann ", "ann"), ("a", "a"), ("Ann.B+x@Example.org", "ann.b+x@example.org")]
        {
            assert_eq!(name(given).as_deref(), Ok(kept));
        }
        assert_eq!(name(&"a".repeat(64)).map(|kept| kept.len()), Ok(64));
    }

    #[test]
    fn what_could_do_harm_in_a_page_or_look_like_another_is_no_name() {
        let long = "a".repeat(65);
        let huge = "a".repeat(1 << 20);
        for given in [
            "",
            "  ",
            "a b",
            "<img src=x>",
            "ann\0",
            "аnn",
            "\u{202e}ann",
            "an\nn",
            "-ann",
            ".ann",
            "a/b",
            "é",
            &long,
            &huge,
        ] {
            assert_eq!(name(given), Err(BadName), "{given:.20}");
        }
    }
}
