//! Login and logout, and who a request comes from.
//!
//! The order of a login: a place in the queue, the charge, the account, the password, the code, the session. Until the
//! code nothing that a caller sees or can measure depends on whether the account exists, is disabled, or has another
//! password; from the right password on, the caller knows it anyway.

use std::sync::atomic::Ordering;
use std::time::Duration;

use auth::account::{Account, User, name};
use auth::audit::AuditResult;
use auth::hasher::Verdict;
use auth::password;
use auth::permit::{Principal, SessionId, UserId};
use auth::ports::NewSession;
use auth::random::{self, TokenHash, sha256};
use auth::session::{self, SESSIONS_MAX};
use auth::throttle::{Charge, Throttle};
use auth::token::{self, TokenRefused};
use auth::{recovery, totp};
use model::secret::Secret;
use model::time::Timestamp;

use super::{Caller, Client, Identity, IdentityError, What, seed_purpose, shown_address, shown_agent};

/// How long somebody may look for the telephone with the code.
const CHALLENGE_FOR: Duration = Duration::from_secs(300);
const CHALLENGE_PURPOSE: &str = "login challenge";
/// No session token is longer; a longer cookie is not hashed.
const TOKEN_BYTES_MAX: usize = 128;

/// A login form.
#[derive(Clone, Debug, Default)]
pub struct LoginRequest {
    pub name: String,
    pub password: Secret,
    /// A code of the second factor or a recovery code, where it is sent along.
    pub code: Option<String>,
    pub client: Client,
    /// The session the browser had before: it ends, so that nobody's old token becomes somebody's new session.
    pub previous: Option<Secret>,
}

/// The second form: the code.
#[derive(Clone, Debug, Default)]
pub struct CodeRequest {
    pub challenge: Secret,
    pub code: String,
    pub client: Client,
    pub previous: Option<Secret>,
}

/// Somebody is logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// What the browser keeps.
    pub token: Secret,
    pub user: User,
    pub must_change_password: bool,
}

/// What became of a login.
#[derive(Clone, Debug)]
pub enum Login {
    In(Box<LoggedIn>),
    /// The password is right; send the code with this proof of it, which works for five minutes.
    NeedsCode {
        challenge: Secret,
    },
    /// One answer for an unknown user, a wrong password, a wrong code, and a disabled account.
    Refused,
    Throttled {
        retry_after: Duration,
    },
    Busy,
}

/// Where a login stands after the charge.
enum Charged {
    Go(Throttle),
    Not(Login),
}

impl Identity {
    pub async fn login(&self, request: &LoginRequest) -> Result<Login, IdentityError> {
        let outcome = self.try_password(request).await;
        self.count(&outcome);
        outcome
    }

    /// How it ended, for the metrics.
    fn count(&self, outcome: &Result<Login, IdentityError>) {
        let counter = match outcome {
            Ok(Login::In(_)) => &self.attempts.succeeded,
            Ok(Login::Refused) => &self.attempts.refused,
            Ok(Login::Throttled { .. } | Login::Busy) => &self.attempts.throttled,
            Ok(Login::NeedsCode { .. }) | Err(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    async fn try_password(&self, request: &LoginRequest) -> Result<Login, IdentityError> {
        let Ok(slot) = self.hasher.slot() else { return Ok(Login::Busy) };
        let throttle = match self.charge(&request.name, &request.client).await? {
            Charged::Go(throttle) => throttle,
            Charged::Not(answer) => return Ok(answer),
        };
        let account = match name(&request.name) {
            Ok(name) => self.ports.account_named(&name).await?,
            Err(_) => None,
        };
        // No account has such a password, and hashing it would be work for nothing.
        let is_possible = request.password.expose().len() <= password::BYTES_MAX;
        let verdict = if is_possible {
            let hash = account.as_ref().map(|account| &account.password_hash);
            self.hasher.check(slot, &request.password, hash).await?
        } else {
            Verdict::Wrong
        };
        let known = account.as_ref().map(|account| account.user.name.clone());
        let (Some(account), Verdict::Right { weak }) = (account.filter(|a| self.may_log_in(a)), verdict) else {
            return self.refuse(&request.client, known.as_deref(), "name or password").await;
        };
        let proof = if weak { self.rehash(&account, &request.password).await? } else { account.password_hash.clone() };
        if account.totp_seed.is_some() {
            // What was charged stays charged until the code is right: a password does not buy guesses of codes.
            let Some(code) = &request.code else {
                return Ok(Login::NeedsCode { challenge: self.challenge(account.user.id, &proof)? });
            };
            if !self.spend_code(&account, code).await? {
                return self.refuse(&request.client, known.as_deref(), "code").await;
            }
        }
        self.finish(&account, &proof, &throttle, (&request.client, request.previous.as_ref())).await
    }

    /// The second form of a login with a second factor. The password is not sent again.
    pub async fn login_with_code(&self, request: &CodeRequest) -> Result<Login, IdentityError> {
        let outcome = self.try_code(request).await;
        self.count(&outcome);
        outcome
    }

    async fn try_code(&self, request: &CodeRequest) -> Result<Login, IdentityError> {
        let Some((user, proof)) = self.read_challenge(&request.challenge) else { return Ok(Login::Refused) };
        let Some(account) = self.ports.account(user).await? else { return Ok(Login::Refused) };
        let throttle = match self.charge(&account.user.name, &request.client).await? {
            Charged::Go(throttle) => throttle,
            Charged::Not(answer) => return Ok(answer),
        };
        let name = account.user.name.clone();
        let is_current = sha256(account.password_hash.expose().as_bytes()) == proof;
        if !is_current || !self.may_log_in(&account) || !self.spend_code(&account, &request.code).await? {
            return self.refuse(&request.client, Some(&name), "code").await;
        }
        let proof = account.password_hash.clone();
        self.finish(&account, &proof, &throttle, (&request.client, request.previous.as_ref())).await
    }

    /// Ends the caller's session.
    pub async fn logout(&self, caller: &Caller) -> Result<(), IdentityError> {
        if let Principal::User { id, session, .. } = &caller.principal
            && self.ports.close_session(*id, *session).await?
        {
            self.done(caller, "logout", "own session", "").await?;
        }
        Ok(())
    }

    /// Who a session belongs to, as they are now. `None`: there is no such session any more.
    pub async fn authenticate_session(&self, token: &str) -> Result<Option<Principal>, IdentityError> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Ok(None);
        }
        let (hash, now) = (random::hash(token), self.now());
        let Some((session, user)) = self.ports.session(&hash).await? else { return Ok(None) };
        let is_over = self.settings().session.is_over(&session, now);
        if !session.token_hash.is_same_as(&hash) || is_over || user.disabled || has_run_out(&user, now) {
            return Ok(None);
        }
        if session::is_worth_a_touch(session.last_seen, now)
            && let Err(error) = self.ports.touch_session(session.id, now).await
        {
            // A database that only reads shall not log everybody out.
            tracing::warn!(%error, "the use of a session cannot be noted");
        }
        Ok(Some(principal(user, session.id)))
    }

    /// Who a token belongs to, with what its owner may now.
    pub async fn authenticate_token(&self, text: &str) -> Result<Principal, IdentityError> {
        if !token::looks_like_one(text) {
            return Err(TokenRefused::Unknown.into());
        }
        let (hash, now) = (random::hash(text), self.now());
        let found = self.ports.token(&hash).await?.filter(|(token, _)| token.hash.is_same_as(&hash));
        let (token, owner) = found.ok_or(TokenRefused::Unknown)?;
        if token.expires <= now {
            return Err(TokenRefused::Expired.into());
        }
        if owner.disabled {
            return Err(TokenRefused::OwnerDisabled.into());
        }
        if token.last_used.is_none_or(|last| now.since(last) >= token::TOUCH_EVERY)
            && let Err(error) = self.ports.touch_token(token.id, now).await
        {
            tracing::warn!(%error, "the use of a token cannot be noted");
        }
        Ok(Principal::Token { id: token.id, name: token.name, owner: owner.id, role: owner.role, scopes: token.scopes })
    }

    async fn charge(&self, name: &str, client: &Client) -> Result<Charged, IdentityError> {
        let throttle = Throttle::new(name, client.address);
        Ok(match throttle.charge(&*self.ports, self.now()).await? {
            Charge::Go => Charged::Go(throttle),
            Charge::Wait(retry_after) => Charged::Not(Login::Throttled { retry_after }),
            Charge::Busy => Charged::Not(Login::Busy),
        })
    }

    fn may_log_in(&self, account: &Account) -> bool {
        !account.user.disabled && !has_run_out(&account.user, self.now())
    }

    /// A name that nobody has is not written down: it may be a password in the wrong field.
    async fn refuse(&self, client: &Client, known: Option<&str>, wrong: &str) -> Result<Login, IdentityError> {
        let object = known.map_or_else(|| "an unknown user".to_owned(), |name| format!("user {name}"));
        let what = What { action: "login", object: &object, result: AuditResult::Refused, detail: wrong };
        self.write(&Caller::anonymous(client), what).await?;
        Ok(Login::Refused)
    }

    /// The same password under today's parameters, while it is at hand. What comes back is the hash that stands now.
    async fn rehash(&self, account: &Account, password: &Secret) -> Result<Secret, IdentityError> {
        let old = &account.password_hash;
        // In a rush the old one will do until the next login.
        let Ok(slot) = self.hasher.slot() else { return Ok(old.clone()) };
        let new = self.hasher.hash(slot, password).await?;
        let is_kept = self.ports.rehash_password(account.user.id, old.expose(), new.expose()).await?;
        Ok(if is_kept { new } else { old.clone() })
    }

    /// Spends a code of the second factor, or a recovery code. False where it is wrong or was spent.
    async fn spend_code(&self, account: &Account, code: &str) -> Result<bool, IdentityError> {
        let Some(sealed) = &account.totp_seed else { return Ok(true) };
        let user = account.user.id;
        if let Some(code) = recovery::hash(code) {
            return Ok(self.ports.spend_recovery_code(user, &code).await?);
        }
        let seed = self.key.open_sealed(&seed_purpose(user), sealed)?;
        match totp::accept(&seed, code, self.now(), account.totp_last_step) {
            Some(step) => Ok(self.ports.spend_totp_step(user, step).await?),
            None => Ok(false),
        }
    }

    /// A proof that somebody had the right password a moment ago: nothing is kept of it here.
    fn challenge(&self, user: UserId, proof: &Secret) -> Result<Secret, IdentityError> {
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(&user.0.to_be_bytes());
        bytes.extend_from_slice(&self.now().plus(CHALLENGE_FOR).millis().to_be_bytes());
        bytes.extend_from_slice(&sha256(proof.expose().as_bytes()));
        Ok(Secret::new(random::hex(&self.key.seal(CHALLENGE_PURPOSE, &bytes)?)))
    }

    fn read_challenge(&self, challenge: &Secret) -> Option<(UserId, [u8; 32])> {
        let sealed = random::unhex(challenge.expose())?;
        let bytes = self.key.open_sealed(CHALLENGE_PURPOSE, &sealed).ok()?;
        let (user, rest) = bytes.split_first_chunk::<8>()?;
        let (expires, proof) = rest.split_first_chunk::<8>()?;
        let expires = Timestamp(i64::from_be_bytes(*expires));
        // Also not before it can have been made: the clock was set back.
        let now = self.now();
        let is_current = expires > now && expires <= now.plus(CHALLENGE_FOR * 2);
        Some((UserId(i64::from_be_bytes(*user)), proof.try_into().ok()?)).filter(|_| is_current)
    }

    async fn finish(
        &self,
        account: &Account,
        proof: &Secret,
        throttle: &Throttle,
        (client, previous): (&Client, Option<&Secret>),
    ) -> Result<Login, IdentityError> {
        let replaces = previous.map(|token| random::hash(token.expose()));
        let Some(logged_in) = self.open_session(account, proof, client, replaces).await? else {
            return self.refuse(client, Some(&account.user.name), "changed meanwhile").await;
        };
        throttle.succeeded(&*self.ports, self.now()).await?;
        Ok(Login::In(Box::new(logged_in)))
    }

    /// Opens a session and writes the login down. `None`: the account was disabled or its password changed meanwhile.
    pub(super) async fn open_session(
        &self,
        account: &Account,
        proof: &Secret,
        client: &Client,
        replaces: Option<TokenHash>,
    ) -> Result<Option<LoggedIn>, IdentityError> {
        let (token, now) = (session::new_token()?, self.now());
        let (address, agent) = (shown_address(client), shown_agent(client));
        let new = NewSession {
            user: account.user.id,
            password_hash: proof.expose(),
            token_hash: random::hash(&token),
            at: now,
            address: &address,
            agent: &agent,
            replaces,
            sessions_max: SESSIONS_MAX,
        };
        let Some(session) = self.ports.open_session(&new).await? else { return Ok(None) };
        let user = User { last_login: Some(now), ..account.user.clone() };
        let caller = Caller::new(principal(user.clone(), session), client.clone());
        self.done(&caller, "login", "own account", "").await?;
        let must_change_password = user.temporary_password_until.is_some();
        Ok(Some(LoggedIn { token: Secret::new(token), user, must_change_password }))
    }
}

fn has_run_out(user: &User, now: Timestamp) -> bool {
    user.temporary_password_until.is_some_and(|until| until <= now)
}

fn principal(user: User, session: SessionId) -> Principal {
    let must_change_password = user.temporary_password_until.is_some();
    Principal::User { id: user.id, name: user.name, role: user.role, session, must_change_password }
}
