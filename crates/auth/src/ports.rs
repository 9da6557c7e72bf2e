//! What identity needs from a database: accounts, sessions, tokens, counters of attempts, the audit log.
//!
//! Implemented by `memory` and by `store` (SQLite, PostgreSQL); `suite` is what all of them must pass. Promise of every
//! implementation: a call is visible entirely or not at all; of calls that contradict each other at once, one wins as
//! if the other came later; what was answered with `Ok` outlives the process where the implementation outlives it.
//! Texts hold no NUL character (PostgreSQL has none).
//! Not here: who may call (`permit`), what is a good password, when a session is over (`session`).

#[cfg(any(test, feature = "suite"))]
pub mod suite;

use async_trait::async_trait;
use model::port::PortError;
use model::time::Timestamp;

use crate::account::{Account, User};
use crate::audit::{AuditFilter, AuditRecord, Deed};
use crate::permit::{Role, Scope, SessionId, TokenId, UserId};
use crate::random::TokenHash;
use crate::session::Session;
use crate::throttle::{Counter, Swap};
use crate::token::Token;

/// A piece of a list: what comes after a number, at most so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub after: Option<i64>,
    pub limit: u32,
}

/// An account to be made. The name is one that [`crate::account::name`] gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount<'a> {
    pub name: &'a str,
    pub role: Role,
    pub password_hash: &'a str,
    pub temporary_until: Option<Timestamp>,
    pub at: Timestamp,
}

/// What became of the first account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstAccount {
    Made(UserId),
    /// There is no such link, or it is too old.
    BadLink,
    /// Somebody is there already.
    NotFirst,
}

/// A change of role and state; what is `None` stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountChange {
    pub user: UserId,
    pub role: Option<Role>,
    /// Disabling ends the sessions.
    pub disabled: Option<bool>,
    /// Only if this is still the version.
    pub seen_version: Option<u64>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Done,
    NotThere,
    /// Somebody else changed it meanwhile.
    Stale,
    /// Nobody would be left who may administer.
    LastAdmin,
}

/// A new password. Every session of the user ends but `keep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordChange<'a> {
    pub user: UserId,
    pub password_hash: &'a str,
    pub temporary_until: Option<Timestamp>,
    pub keep: Option<SessionId>,
    /// Only if this is still the hash.
    pub seen_hash: Option<&'a str>,
}

/// Accounts and how people prove who they are.
#[async_trait]
pub trait AccountsPort: Send + Sync {
    async fn has_accounts(&self) -> Result<bool, PortError>;
    async fn account(&self, user: UserId) -> Result<Option<Account>, PortError>;
    async fn account_named(&self, name: &str) -> Result<Option<Account>, PortError>;
    /// Users by number.
    async fn users(&self, page: Page) -> Result<Vec<User>, PortError>;
    /// `None` where the name is taken. Numbers are never used again.
    async fn create_account(&self, account: &NewAccount<'_>) -> Result<Option<UserId>, PortError>;
    /// The first account, with the proof of a set-up link or (`None`) of standing on the machine. Takes all links away.
    async fn create_first_account(
        &self,
        link: Option<&TokenHash>,
        account: &NewAccount<'_>,
    ) -> Result<FirstAccount, PortError>;
    async fn change_account(&self, change: &AccountChange) -> Result<Change, PortError>;
    /// With everything that is the user's: sessions, tokens, codes.
    async fn delete_account(&self, user: UserId) -> Result<Change, PortError>;
    /// False where nothing was changed.
    async fn set_password(&self, change: &PasswordChange<'_>) -> Result<bool, PortError>;
    /// The same password under better parameters: nothing ends. Only if `seen` is still the hash.
    async fn rehash_password(&self, user: UserId, seen: &str, new: &str) -> Result<bool, PortError>;

    /// A seed that was shown; replaces one shown before.
    async fn set_totp_pending(&self, user: UserId, seed: &[u8]) -> Result<bool, PortError>;
    /// Makes the pending seed the one that is asked for, with new recovery codes. Only if `seed` is still pending.
    async fn confirm_totp(&self, user: UserId, seed: &[u8], step: u64, codes: &[TokenHash]) -> Result<bool, PortError>;
    /// Spends all steps up to this one; false where it was spent already.
    async fn spend_totp_step(&self, user: UserId, step: u64) -> Result<bool, PortError>;
    /// Takes the second factor away, recovery codes and pending seed included.
    async fn clear_totp(&self, user: UserId) -> Result<bool, PortError>;
    async fn replace_recovery_codes(&self, user: UserId, codes: &[TokenHash]) -> Result<(), PortError>;
    /// True once for each code.
    async fn spend_recovery_code(&self, user: UserId, code: &TokenHash) -> Result<bool, PortError>;

    async fn add_setup_link(&self, link: &TokenHash, expires: Timestamp) -> Result<(), PortError>;
    async fn is_setup_link(&self, link: &TokenHash, now: Timestamp) -> Result<bool, PortError>;
    /// Forgets links that expired before.
    async fn sweep_setup_links(&self, before: Timestamp) -> Result<(), PortError>;
    /// By what the key that seals secrets is recognised. The first call ever keeps `candidate`; all get that one back.
    async fn key_mark(&self, candidate: &[u8; 16]) -> Result<[u8; 16], PortError>;
}

/// A session to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession<'a> {
    pub user: UserId,
    /// The hash that the password was checked against: if it is not the account's any more, there is no session.
    pub password_hash: &'a str,
    pub token_hash: TokenHash,
    pub at: Timestamp,
    pub address: &'a str,
    pub agent: &'a str,
    /// The session the browser had before: it ends.
    pub replaces: Option<TokenHash>,
    /// Beyond this the ones unused for longest end.
    pub sessions_max: u32,
}

/// Login sessions.
#[async_trait]
pub trait SessionsPort: Send + Sync {
    /// Also notes the login. `None` where the user is disabled, gone, or has another password by now.
    async fn open_session(&self, session: &NewSession<'_>) -> Result<Option<SessionId>, PortError>;
    /// With its user as that is now.
    async fn session(&self, token: &TokenHash) -> Result<Option<(Session, User)>, PortError>;
    /// Most recently used first.
    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, PortError>;
    /// Never back in time.
    async fn touch_session(&self, session: SessionId, at: Timestamp) -> Result<(), PortError>;
    /// Another token for the same session.
    async fn rotate_session(&self, session: SessionId, token: &TokenHash) -> Result<bool, PortError>;
    /// Only if it is the user's.
    async fn close_session(&self, user: UserId, session: SessionId) -> Result<bool, PortError>;
    /// All of the user's but one; says how many.
    async fn close_sessions(&self, user: UserId, keep: Option<SessionId>) -> Result<u64, PortError>;
    /// Forgets what was made or used last before.
    async fn sweep_sessions(&self, created_before: Timestamp, seen_before: Timestamp) -> Result<u64, PortError>;
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken<'a> {
    pub owner: UserId,
    pub name: &'a str,
    pub prefix: &'a str,
    pub hash: TokenHash,
    pub scopes: &'a [Scope],
    pub at: Timestamp,
    pub expires: Timestamp,
    /// At this many the owner gets no more.
    pub tokens_max: u32,
}

/// API tokens.
#[async_trait]
pub trait TokensPort: Send + Sync {
    /// `None` where the owner has too many.
    async fn create_token(&self, token: &NewToken<'_>) -> Result<Option<TokenId>, PortError>;
    /// With its owner as that is now.
    async fn token(&self, hash: &TokenHash) -> Result<Option<(Token, User)>, PortError>;
    async fn token_by_id(&self, token: TokenId) -> Result<Option<Token>, PortError>;
    /// By number; everybody's where no owner is named.
    async fn tokens(&self, owner: Option<UserId>, page: Page) -> Result<Vec<Token>, PortError>;
    /// Never back in time.
    async fn touch_token(&self, token: TokenId, at: Timestamp) -> Result<(), PortError>;
    /// Only if it is the owner's.
    async fn delete_token(&self, owner: UserId, token: TokenId) -> Result<bool, PortError>;
}

/// Counters of attempts to log in.
#[async_trait]
pub trait ThrottlePort: Send + Sync {
    /// The counters of these keys, in their order.
    async fn counters(&self, keys: &[&str]) -> Result<Vec<Option<Counter>>, PortError>;
    /// Writes all of them if each is still as it was seen, else none.
    async fn swap_counters(&self, swaps: &[Swap<'_>]) -> Result<bool, PortError>;
    /// Forgets counters that say nothing after this time.
    async fn sweep_counters(&self, before: Timestamp) -> Result<u64, PortError>;
}

/// The audit log.
#[async_trait]
pub trait AuditPort: Send + Sync {
    /// Adds a row; its number is one more than the last one's.
    async fn append_audit(&self, deed: &Deed) -> Result<AuditRecord, PortError>;
    /// Newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, PortError>;
    /// In order, after a number: for following the chain.
    async fn audit_after(&self, sequence: i64, limit: u32) -> Result<Vec<AuditRecord>, PortError>;
    /// The number and hash of the last row; what verification must arrive at.
    async fn audit_head(&self) -> Result<(i64, [u8; 32]), PortError>;
}

/// All of them: what one database gives.
pub trait IdentityPort: AccountsPort + SessionsPort + TokensPort + ThrottlePort + AuditPort {}

impl<T: AccountsPort + SessionsPort + TokensPort + ThrottlePort + AuditPort> IdentityPort for T {}
