//! The ports of identity in memory: for tests, and for a server that keeps nothing.
//!
//! Promise: passes the suite that the databases pass; forgets everything when dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use model::port::PortError;
use model::secret::Secret;
use model::time::Timestamp;

use crate::account::{Account, User};
use crate::audit::{AuditFilter, AuditRecord, CHAIN_START, Deed, chained};
use crate::permit::{Role, SessionId, TokenId, UserId};
use crate::ports::{
    AccountChange, AccountsPort, AuditPort, Change, FirstAccount, NewAccount, NewSession, NewToken, Page,
    PasswordChange, SessionsPort, ThrottlePort, TokensPort,
};
use crate::random::TokenHash;
use crate::session::Session;
use crate::throttle::{Counter, Swap};
use crate::token::Token;

/// Everything the ports keep, behind one lock: each call is one step.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    accounts: BTreeMap<UserId, Account>,
    codes: BTreeSet<(UserId, TokenHash)>,
    links: BTreeMap<TokenHash, Timestamp>,
    key_mark: Option<[u8; 16]>,
    sessions: BTreeMap<SessionId, Session>,
    tokens: BTreeMap<TokenId, Token>,
    counters: BTreeMap<String, Counter>,
    audit: Vec<AuditRecord>,
    /// The last number given to anything; never given again.
    last_id: i64,
}

impl Memory {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    fn named(&self, name: &str) -> Option<&Account> {
        self.accounts.values().find(|account| account.user.name == name)
    }

    /// The user with what is counted elsewhere.
    fn user(&self, user: &User) -> User {
        let codes = self.codes.iter().filter(|(owner, _)| *owner == user.id).count() as u64;
        User { recovery_codes_left: codes, ..user.clone() }
    }

    fn whole(&self, account: &Account) -> Account {
        Account { user: self.user(&account.user), ..account.clone() }
    }

    fn insert(&mut self, account: &NewAccount<'_>) -> UserId {
        let id = UserId(self.next_id());
        let user = User {
            id,
            name: account.name.to_owned(),
            role: account.role,
            disabled: false,
            created: account.at,
            last_login: None,
            second_factor: false,
            recovery_codes_left: 0,
            temporary_password_until: account.temporary_until,
            version: 1,
        };
        let password_hash = Secret::new(account.password_hash);
        let kept = Account { user, password_hash, totp_seed: None, totp_pending: None, totp_last_step: None };
        self.accounts.insert(id, kept);
        id
    }

    fn other_admins(&self, but: UserId) -> bool {
        self.accounts.values().map(|a| &a.user).any(|u| u.id != but && u.role == Role::Admin && !u.disabled)
    }

    fn end_sessions(&mut self, user: UserId, keep: Option<SessionId>) -> u64 {
        let before = self.sessions.len();
        self.sessions.retain(|id, session| session.user != user || Some(*id) == keep);
        (before - self.sessions.len()) as u64
    }
}

fn is_active_admin(user: &User) -> bool {
    user.role == Role::Admin && !user.disabled
}

#[async_trait]
impl AccountsPort for Memory {
    async fn has_accounts(&self) -> Result<bool, PortError> {
        Ok(!self.state().accounts.is_empty())
    }

    async fn account(&self, user: UserId) -> Result<Option<Account>, PortError> {
        let state = self.state();
        Ok(state.accounts.get(&user).map(|account| state.whole(account)))
    }

    async fn account_named(&self, name: &str) -> Result<Option<Account>, PortError> {
        let state = self.state();
        Ok(state.named(name).map(|account| state.whole(account)))
    }

    async fn users(&self, page: Page) -> Result<Vec<User>, PortError> {
        let state = self.state();
        let users = state.accounts.values().filter(|a| page.after.is_none_or(|after| a.user.id.0 > after));
        Ok(users.take(page.limit as usize).map(|account| state.user(&account.user)).collect())
    }

    async fn create_account(&self, account: &NewAccount<'_>) -> Result<Option<UserId>, PortError> {
        let mut state = self.state();
        Ok(if state.named(account.name).is_some() { None } else { Some(state.insert(account)) })
    }

    async fn create_first_account(
        &self,
        link: Option<&TokenHash>,
        account: &NewAccount<'_>,
    ) -> Result<FirstAccount, PortError> {
        let mut state = self.state();
        if !state.accounts.is_empty() {
            return Ok(FirstAccount::NotFirst);
        }
        if link.is_some_and(|link| state.links.get(link).is_none_or(|expires| *expires <= account.at)) {
            return Ok(FirstAccount::BadLink);
        }
        state.links.clear();
        Ok(FirstAccount::Made(state.insert(account)))
    }

    async fn change_account(&self, change: &AccountChange) -> Result<Change, PortError> {
        let mut state = self.state();
        let Some(account) = state.accounts.get(&change.user) else { return Ok(Change::NotThere) };
        let mut user = account.user.clone();
        if change.seen_version.is_some_and(|seen| seen != user.version) {
            return Ok(Change::Stale);
        }
        let was_admin = is_active_admin(&user);
        user.role = change.role.unwrap_or(user.role);
        user.disabled = change.disabled.unwrap_or(user.disabled);
        user.version += 1;
        if was_admin && !is_active_admin(&user) && !state.other_admins(user.id) {
            return Ok(Change::LastAdmin);
        }
        if user.disabled {
            state.end_sessions(user.id, None);
        }
        if let Some(account) = state.accounts.get_mut(&change.user) {
            account.user = user;
        }
        Ok(Change::Done)
    }

    async fn delete_account(&self, user: UserId) -> Result<Change, PortError> {
        let mut state = self.state();
        let Some(account) = state.accounts.get(&user) else { return Ok(Change::NotThere) };
        if is_active_admin(&account.user) && !state.other_admins(user) {
            return Ok(Change::LastAdmin);
        }
        state.accounts.remove(&user);
        state.codes.retain(|(owner, _)| *owner != user);
        state.tokens.retain(|_, token| token.owner != user);
        state.end_sessions(user, None);
        Ok(Change::Done)
    }

    async fn set_password(&self, change: &PasswordChange<'_>) -> Result<bool, PortError> {
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(&change.user) else { return Ok(false) };
        if change.seen_hash.is_some_and(|seen| seen != account.password_hash.expose()) {
            return Ok(false);
        }
        account.password_hash = Secret::new(change.password_hash);
        account.user.temporary_password_until = change.temporary_until;
        state.end_sessions(change.user, change.keep);
        Ok(true)
    }

    async fn rehash_password(&self, user: UserId, seen: &str, new: &str) -> Result<bool, PortError> {
        let mut state = self.state();
        let account = state.accounts.get_mut(&user).filter(|account| account.password_hash.expose() == seen);
        let is_there = account.is_some();
        if let Some(account) = account {
            account.password_hash = Secret::new(new);
        }
        Ok(is_there)
    }

    async fn set_totp_pending(&self, user: UserId, seed: &[u8]) -> Result<bool, PortError> {
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(&user) else { return Ok(false) };
        account.totp_pending = Some(seed.to_vec());
        Ok(true)
    }

    async fn confirm_totp(&self, user: UserId, seed: &[u8], step: u64, codes: &[TokenHash]) -> Result<bool, PortError> {
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(&user) else { return Ok(false) };
        if account.totp_pending.as_deref() != Some(seed) {
            return Ok(false);
        }
        account.totp_seed = account.totp_pending.take();
        account.totp_last_step = Some(step);
        account.user.second_factor = true;
        state.codes.retain(|(owner, _)| *owner != user);
        state.codes.extend(codes.iter().map(|code| (user, *code)));
        Ok(true)
    }

    async fn spend_totp_step(&self, user: UserId, step: u64) -> Result<bool, PortError> {
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(&user) else { return Ok(false) };
        let is_new = account.totp_seed.is_some() && account.totp_last_step.is_none_or(|last| step > last);
        if is_new {
            account.totp_last_step = Some(step);
        }
        Ok(is_new)
    }

    async fn clear_totp(&self, user: UserId) -> Result<bool, PortError> {
        let mut state = self.state();
        state.codes.retain(|(owner, _)| *owner != user);
        let Some(account) = state.accounts.get_mut(&user) else { return Ok(false) };
        (account.totp_seed, account.totp_pending, account.totp_last_step) = (None, None, None);
        account.user.second_factor = false;
        Ok(true)
    }

    async fn replace_recovery_codes(&self, user: UserId, codes: &[TokenHash]) -> Result<(), PortError> {
        let mut state = self.state();
        state.codes.retain(|(owner, _)| *owner != user);
        state.codes.extend(codes.iter().map(|code| (user, *code)));
        Ok(())
    }

    async fn spend_recovery_code(&self, user: UserId, code: &TokenHash) -> Result<bool, PortError> {
        Ok(self.state().codes.remove(&(user, *code)))
    }

    async fn add_setup_link(&self, link: &TokenHash, expires: Timestamp) -> Result<(), PortError> {
        self.state().links.insert(*link, expires);
        Ok(())
    }

    async fn is_setup_link(&self, link: &TokenHash, now: Timestamp) -> Result<bool, PortError> {
        Ok(self.state().links.get(link).is_some_and(|expires| *expires > now))
    }

    async fn sweep_setup_links(&self, before: Timestamp) -> Result<(), PortError> {
        self.state().links.retain(|_, expires| *expires >= before);
        Ok(())
    }

    async fn key_mark(&self, candidate: &[u8; 16]) -> Result<[u8; 16], PortError> {
        Ok(*self.state().key_mark.get_or_insert(*candidate))
    }
}

#[async_trait]
impl SessionsPort for Memory {
    async fn open_session(&self, new: &NewSession<'_>) -> Result<Option<SessionId>, PortError> {
        let mut state = self.state();
        let account = state.accounts.get_mut(&new.user).filter(|account| !account.user.disabled);
        let Some(account) = account.filter(|account| account.password_hash.expose() == new.password_hash) else {
            return Ok(None);
        };
        account.user.last_login = Some(new.at);
        state.sessions.retain(|_, session| Some(session.token_hash) != new.replaces);
        let mut own: Vec<(Timestamp, SessionId)> =
            state.sessions.values().filter(|s| s.user == new.user).map(|s| (s.last_seen, s.id)).collect();
        own.sort();
        let too_many = (own.len() + 1).saturating_sub(new.sessions_max as usize);
        for (_, id) in own.into_iter().take(too_many) {
            state.sessions.remove(&id);
        }
        let id = SessionId(state.next_id());
        let session = Session {
            id,
            user: new.user,
            token_hash: new.token_hash,
            created: new.at,
            last_seen: new.at,
            address: new.address.to_owned(),
            agent: new.agent.to_owned(),
        };
        state.sessions.insert(id, session);
        Ok(Some(id))
    }

    async fn session(&self, token: &TokenHash) -> Result<Option<(Session, User)>, PortError> {
        let state = self.state();
        let Some(session) = state.sessions.values().find(|session| session.token_hash == *token) else {
            return Ok(None);
        };
        Ok(state.accounts.get(&session.user).map(|account| (session.clone(), state.user(&account.user))))
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, PortError> {
        let mut sessions: Vec<Session> =
            self.state().sessions.values().filter(|session| session.user == user).cloned().collect();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.last_seen, session.id)));
        Ok(sessions)
    }

    async fn touch_session(&self, session: SessionId, at: Timestamp) -> Result<(), PortError> {
        if let Some(session) = self.state().sessions.get_mut(&session) {
            session.last_seen = session.last_seen.max(at);
        }
        Ok(())
    }

    async fn rotate_session(&self, session: SessionId, token: &TokenHash) -> Result<bool, PortError> {
        let mut state = self.state();
        let Some(session) = state.sessions.get_mut(&session) else { return Ok(false) };
        session.token_hash = *token;
        Ok(true)
    }

    async fn close_session(&self, user: UserId, session: SessionId) -> Result<bool, PortError> {
        let mut state = self.state();
        let is_theirs = state.sessions.get(&session).is_some_and(|session| session.user == user);
        if is_theirs {
            state.sessions.remove(&session);
        }
        Ok(is_theirs)
    }

    async fn close_sessions(&self, user: UserId, keep: Option<SessionId>) -> Result<u64, PortError> {
        Ok(self.state().end_sessions(user, keep))
    }

    async fn sweep_sessions(&self, created_before: Timestamp, seen_before: Timestamp) -> Result<u64, PortError> {
        let mut state = self.state();
        let before = state.sessions.len();
        state.sessions.retain(|_, s| s.created >= created_before && s.last_seen >= seen_before);
        Ok((before - state.sessions.len()) as u64)
    }
}

#[async_trait]
impl TokensPort for Memory {
    async fn create_token(&self, new: &NewToken<'_>) -> Result<Option<TokenId>, PortError> {
        let mut state = self.state();
        let Some(owner) = state.accounts.get(&new.owner).map(|account| account.user.name.clone()) else {
            return Err(PortError::Conflict("the owner is gone".to_owned()));
        };
        if state.tokens.values().filter(|token| token.owner == new.owner).count() >= new.tokens_max as usize {
            return Ok(None);
        }
        let id = TokenId(state.next_id());
        let token = Token {
            id,
            owner: new.owner,
            owner_name: owner,
            name: new.name.to_owned(),
            prefix: new.prefix.to_owned(),
            hash: new.hash,
            scopes: new.scopes.to_vec(),
            created: new.at,
            expires: new.expires,
            last_used: None,
        };
        state.tokens.insert(id, token);
        Ok(Some(id))
    }

    async fn token(&self, hash: &TokenHash) -> Result<Option<(Token, User)>, PortError> {
        let state = self.state();
        let Some(token) = state.tokens.values().find(|token| token.hash == *hash) else { return Ok(None) };
        Ok(state.accounts.get(&token.owner).map(|account| (token.clone(), state.user(&account.user))))
    }

    async fn token_by_id(&self, token: TokenId) -> Result<Option<Token>, PortError> {
        Ok(self.state().tokens.get(&token).cloned())
    }

    async fn tokens(&self, owner: Option<UserId>, page: Page) -> Result<Vec<Token>, PortError> {
        let state = self.state();
        let tokens = state.tokens.values().filter(|token| owner.is_none_or(|owner| token.owner == owner));
        let tokens = tokens.filter(|token| page.after.is_none_or(|after| token.id.0 > after));
        Ok(tokens.take(page.limit as usize).cloned().collect())
    }

    async fn touch_token(&self, token: TokenId, at: Timestamp) -> Result<(), PortError> {
        if let Some(token) = self.state().tokens.get_mut(&token) {
            token.last_used = token.last_used.max(Some(at));
        }
        Ok(())
    }

    async fn delete_token(&self, owner: UserId, token: TokenId) -> Result<bool, PortError> {
        let mut state = self.state();
        let is_theirs = state.tokens.get(&token).is_some_and(|token| token.owner == owner);
        if is_theirs {
            state.tokens.remove(&token);
        }
        Ok(is_theirs)
    }
}

#[async_trait]
impl ThrottlePort for Memory {
    async fn counters(&self, keys: &[&str]) -> Result<Vec<Option<Counter>>, PortError> {
        let state = self.state();
        Ok(keys.iter().map(|key| state.counters.get(*key).copied()).collect())
    }

    async fn swap_counters(&self, swaps: &[Swap<'_>]) -> Result<bool, PortError> {
        let mut state = self.state();
        if swaps.iter().any(|swap| state.counters.get(swap.key).copied() != swap.seen) {
            return Ok(false);
        }
        for swap in swaps {
            match swap.new {
                Some(new) => drop(state.counters.insert(swap.key.to_owned(), new)),
                None => drop(state.counters.remove(swap.key)),
            }
        }
        Ok(true)
    }

    async fn sweep_counters(&self, before: Timestamp) -> Result<u64, PortError> {
        let mut state = self.state();
        let kept = state.counters.len();
        state.counters.retain(|_, counter| counter.at >= before);
        Ok((kept - state.counters.len()) as u64)
    }
}

#[async_trait]
impl AuditPort for Memory {
    async fn append_audit(&self, deed: &Deed) -> Result<AuditRecord, PortError> {
        let mut state = self.state();
        let (sequence, previous) = state.audit.last().map_or((0, CHAIN_START), |last| (last.sequence, last.hash));
        let sequence = sequence + 1;
        let record = AuditRecord { sequence, deed: deed.clone(), hash: chained(&previous, sequence, deed) };
        state.audit.push(record.clone());
        Ok(record)
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, PortError> {
        let state = self.state();
        let rows = state.audit.iter().rev().filter(|record| filter.matches(record));
        Ok(rows.take(filter.limit as usize).cloned().collect())
    }

    async fn audit_after(&self, sequence: i64, limit: u32) -> Result<Vec<AuditRecord>, PortError> {
        let state = self.state();
        let rows = state.audit.iter().filter(|record| record.sequence > sequence);
        Ok(rows.take(limit as usize).cloned().collect())
    }

    async fn audit_head(&self) -> Result<(i64, [u8; 32]), PortError> {
        Ok(self.state().audit.last().map_or((0, CHAIN_START), |last| (last.sequence, last.hash)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::suite;

    #[tokio::test]
    async fn the_memory_passes_the_suite() {
        let memory = Memory::new();
        suite::fresh(&memory).await.expect("the suite runs");
        suite::reopened(&memory).await.expect("what was kept is there");
    }
}
