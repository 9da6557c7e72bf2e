//! Who may log in, and what people do with their accounts: the use cases of identity.
//!
//! Promises: each use case asks `auth::permit::authz` and writes the audit log; role and state are read anew for each
//! request; no text and no time tells whether a user exists. One file per kind of use case: `setup`, `login`,
//! `account` (one's own), `sessions`, `tokens`, `users`, `trail` (the audit log).
//! Not here: rules of passwords, codes and throttling (`auth`), cookies and headers (`api`, `ui`).

mod account;
mod login;
mod sessions;
mod setup;
mod tokens;
mod trail;
mod users;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use auth::account::Account;
use auth::audit::{AuditResult, Deed, kept_text};
use auth::hasher::{Busy, HashError, Hasher, Verdict};
use auth::password::Policy;
use auth::permit::{Action, Denied, Object, Principal, SessionId, UserId, authz};
use auth::phc::Cost;
use auth::ports::IdentityPort;
use auth::random::NoRandomness;
use auth::seal::{DoesNotOpen, SealKey};
use auth::session::{AGENT_CHARS_MAX, Lifetime};
use auth::throttle::{Charge, FORGOTTEN_AFTER, Throttle};
use auth::token::TokenRefused;
use model::port::PortError;
use model::secret::Secret;
use model::time::{Clock, Timestamp};

pub use self::account::{TotpDone, TotpStart};
pub use self::login::{CodeRequest, LoggedIn, Login, LoginRequest};
pub use self::sessions::SessionView;
pub use self::setup::{Credentials, FirstAdmin, FirstRun, SetupState};
pub use self::tokens::{TokenMade, TokenRequest};
pub use self::trail::{AuditCheck, What};
pub use self::users::{UserMade, UserRequest, UserUpdate};

/// Rows of one piece of a list at most, whatever was asked for.
const PAGE_MAX: u32 = 500;
/// How long a password works that somebody else made.
const TEMPORARY_FOR: Duration = Duration::from_secs(86_400);

/// From where somebody calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// After the proxies that are trusted; `None` on the machine itself.
    pub address: Option<IpAddr>,
    /// What the browser says it is.
    pub agent: String,
}

/// Who calls, and from where.
#[derive(Clone, Debug)]
pub struct Caller {
    pub principal: Principal,
    pub client: Client,
}

impl Caller {
    #[must_use]
    pub const fn new(principal: Principal, client: Client) -> Self {
        Self { principal, client }
    }

    /// A verb of the binary, on the machine itself.
    #[must_use]
    pub fn operator() -> Self {
        Self::new(Principal::Operator, Client::default())
    }

    fn anonymous(client: &Client) -> Self {
        Self::new(Principal::Anonymous, client.clone())
    }
}

/// Why not, in terms of what to tell the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    TokenRefused(#[from] TokenRefused),
    #[error("not found")]
    NotFound,
    /// A field of the form, and what is wrong with it.
    #[error("{field}: {reason}")]
    Invalid { field: &'static str, reason: String },
    #[error("this name is taken")]
    NameTaken,
    #[error("this is the last admin: make another one first")]
    LastAdmin,
    #[error("at most {max} {what}")]
    TooMany { what: &'static str, max: u32 },
    #[error("it was changed meanwhile, look again")]
    Stale,
    #[error("the password is wrong")]
    WrongPassword,
    #[error("the code is wrong or was used already")]
    WrongCode,
    #[error("too many attempts, try again in {} s", retry_after.as_secs().max(1))]
    Throttled { retry_after: Duration },
    #[error("too many logins at once, try again")]
    Busy,
    #[error("the server is set up already")]
    SetupDone,
    #[error("this link does not work any more, a start of the server makes a new one")]
    BadLink,
    /// Try again later.
    #[error("{0}")]
    Unavailable(String),
    /// Somebody has to look.
    #[error("{0}")]
    Internal(String),
}

impl From<PortError> for IdentityError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Unavailable(text) => Self::Unavailable(text),
            PortError::Conflict(text) | PortError::Corrupt(text) | PortError::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<Busy> for IdentityError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<HashError> for IdentityError {
    fn from(error: HashError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<NoRandomness> for IdentityError {
    fn from(error: NoRandomness) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<DoesNotOpen> for IdentityError {
    fn from(error: DoesNotOpen) -> Self {
        Self::Internal(error.to_string())
    }
}

/// A piece of a list, and where the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    pub items: Vec<T>,
    /// Hand it back to go on; `None` at the end.
    pub next: Option<i64>,
}

impl<T> Paged<T> {
    /// From one row more than was asked for, so that the end is known.
    fn of(mut items: Vec<T>, limit: u32, number: impl Fn(&T) -> i64) -> Self {
        let is_more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().map(number).filter(|_| is_more);
        Self { items, next }
    }
}

const fn page_limit(asked: u32) -> u32 {
    match asked {
        0 => 1,
        asked if asked > PAGE_MAX => PAGE_MAX,
        asked => asked,
    }
}

/// What the configuration says about identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub session: Lifetime,
    pub password: Policy,
}

impl Settings {
    /// From `watchpost.yml`. The names that no password may be made of are the product's and those of its address.
    #[must_use]
    pub fn of(settings: &crate::config::Settings) -> Self {
        let auth = &settings.auth;
        let mut context = vec!["watchpost".to_owned()];
        if let Some(url) = &settings.server.external_url {
            let authority = &url.value.authority;
            let host = authority.split_once(':').map_or(authority.as_str(), |(host, _)| host);
            context.push(host.to_owned());
            context.extend(host.split('.').map(str::to_owned));
        }
        let length_min = auth.password.min_length as usize;
        Self {
            session: Lifetime { idle: auth.session.idle, max: auth.session.max },
            password: Policy { length_min, context },
        }
    }
}

/// What identity is made from.
pub struct Parts {
    pub ports: Arc<dyn IdentityPort>,
    pub clock: Arc<dyn Clock>,
    pub key: SealKey,
    pub settings: Settings,
    /// What hashing a password costs; [`Cost::DEFAULT`] but in tests.
    pub cost: Cost,
}

/// The use cases.
pub struct Identity {
    ports: Arc<dyn IdentityPort>,
    clock: Arc<dyn Clock>,
    key: SealKey,
    hasher: Hasher,
    settings: RwLock<Arc<Settings>>,
    /// Once there is an account there always is one.
    is_set_up: AtomicBool,
    attempts: Attempts,
}

/// How attempts to log in ended since the start; the second form of a login counts as an attempt of its own.
#[derive(Debug, Default)]
pub struct Attempts {
    pub succeeded: AtomicU64,
    pub refused: AtomicU64,
    /// Turned away before the password was looked at: too many, or the machine is busy.
    pub throttled: AtomicU64,
}

impl Identity {
    pub fn new(parts: Parts) -> Result<Self, IdentityError> {
        let Parts { ports, clock, key, settings, cost } = parts;
        let (hasher, settings) = (Hasher::new(cost)?, RwLock::new(Arc::new(settings)));
        Ok(Self {
            ports,
            clock,
            key,
            hasher,
            settings,
            is_set_up: AtomicBool::new(false),
            attempts: Attempts::default(),
        })
    }

    /// How attempts to log in ended.
    #[must_use]
    pub const fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Takes over settings after a reload. Sessions are measured by the new ones at once.
    pub fn apply(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Forgets what has run out: sessions, set-up links, counters of attempts. For an hourly job.
    pub async fn sweep(&self) -> Result<(), IdentityError> {
        let (now, lifetime) = (self.now(), self.settings().session);
        self.ports.sweep_sessions(now.minus(lifetime.max), now.minus(lifetime.idle)).await?;
        self.ports.sweep_setup_links(now).await?;
        self.ports.sweep_counters(now.minus(FORGOTTEN_AFTER)).await?;
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks, and writes a refusal down.
    async fn permit(&self, caller: &Caller, ask: Ask<'_>) -> Result<(), IdentityError> {
        if let Err(denied) = authz(&caller.principal, ask.action, ask.object) {
            let detail = denied.to_string();
            self.write(
                caller,
                What { action: ask.deed, object: ask.on, result: AuditResult::Refused, detail: &detail },
            )
            .await?;
            return Err(denied.into());
        }
        Ok(())
    }

    async fn administer(&self, caller: &Caller, deed: &str, on: &str) -> Result<(), IdentityError> {
        self.permit(caller, Ask { action: Action::Administer, object: Object::Server, deed, on }).await
    }

    /// One's own affairs need a session; somebody else's, the right to administer.
    async fn permit_on(&self, caller: &Caller, of: UserId, deed: &str) -> Result<(), IdentityError> {
        let is_own = matches!(&caller.principal, Principal::User { id, .. } if *id == of);
        let action = if is_own { Action::OwnAccount } else { Action::Administer };
        let on = format!("user number {}", of.0);
        self.permit(caller, Ask { action, object: Object::OwnedBy(of), deed, on: &on }).await
    }

    /// The caller's account and session. Only a person with a session has one's own account.
    async fn own(&self, caller: &Caller, deed: &str) -> Result<(Account, SessionId), IdentityError> {
        let Principal::User { id, session, .. } = &caller.principal else {
            let denied = match caller.principal {
                Principal::Token { .. } => Denied::NotForTokens,
                _ => Denied::NotAuthenticated,
            };
            return Err(denied.into());
        };
        let ask = Ask { action: Action::OwnAccount, object: Object::OwnedBy(*id), deed, on: "own account" };
        self.permit(caller, ask).await?;
        let account = self.ports.account(*id).await?.filter(|account| !account.user.disabled);
        Ok((account.ok_or(Denied::NotAuthenticated)?, *session))
    }

    /// The same, with the password once more: a session that was left open is not enough.
    async fn prove(
        &self,
        caller: &Caller,
        password: &Secret,
        deed: &str,
    ) -> Result<(Account, SessionId), IdentityError> {
        let (account, session) = self.own(caller, deed).await?;
        let slot = self.hasher.slot()?;
        let throttle = Throttle::new(&account.user.name, caller.client.address);
        match throttle.charge(&*self.ports, self.now()).await? {
            Charge::Go => {}
            Charge::Wait(retry_after) => return Err(IdentityError::Throttled { retry_after }),
            Charge::Busy => return Err(IdentityError::Busy),
        }
        if self.hasher.check(slot, password, Some(&account.password_hash)).await? == Verdict::Wrong {
            let refused = AuditResult::Refused;
            self.write(caller, What { action: deed, object: "own account", result: refused, detail: "wrong password" })
                .await?;
            return Err(IdentityError::WrongPassword);
        }
        throttle.succeeded(&*self.ports, self.now()).await?;
        Ok((account, session))
    }

    /// Judges and hashes a new password.
    async fn new_hash(&self, password: &Secret, user: &str) -> Result<Secret, IdentityError> {
        let judged = self.settings().password.check(password.expose(), user);
        judged.map_err(|weak| IdentityError::Invalid { field: "password", reason: weak.to_string() })?;
        Ok(self.hasher.hash(self.hasher.slot()?, password).await?)
    }

    /// Writes the audit log.
    async fn write(&self, caller: &Caller, what: What<'_>) -> Result<(), IdentityError> {
        let deed = Deed {
            at: self.now(),
            actor_kind: caller.principal.kind().to_owned(),
            actor: kept_text(caller.principal.name()),
            address: shown_address(&caller.client),
            action: kept_text(what.action),
            object: kept_text(what.object),
            result: what.result,
            detail: kept_text(what.detail),
        };
        self.ports.append_audit(&deed).await?;
        Ok(())
    }

    async fn done(&self, caller: &Caller, action: &str, object: &str, detail: &str) -> Result<(), IdentityError> {
        self.write(caller, What { action, object, result: AuditResult::Ok, detail }).await
    }

    fn remember_set_up(&self) {
        self.is_set_up.store(true, Ordering::Relaxed);
    }
}

/// What `authz` is asked, and how it is written down if it says no.
struct Ask<'a> {
    action: Action,
    object: Object,
    deed: &'a str,
    on: &'a str,
}

fn shown_address(client: &Client) -> String {
    client.address.map(|address| address.to_canonical().to_string()).unwrap_or_default()
}

fn shown_agent(client: &Client) -> String {
    let agent = client.agent.chars().take(AGENT_CHARS_MAX);
    agent.map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// For what a seed is sealed: it does not open in another user's row.
fn seed_purpose(user: UserId) -> String {
    format!("totp {}", user.0)
}
