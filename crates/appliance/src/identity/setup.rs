//! The first run: no password is built in, so the first account is made by whoever holds a link from the log, or by the
//! environment.

use std::sync::atomic::Ordering;
use std::time::Duration;

use auth::account;
use auth::permit::{Role, UserId};
use auth::ports::{FirstAccount, NewAccount};
use auth::random;
use model::secret::Secret;

use super::login::LoggedIn;
use super::{Caller, Client, Identity, IdentityError};

/// Base-62 characters of a set-up link: 130 random bits.
const LINK_CHARS: usize = 22;
const LINK_FOR: Duration = Duration::from_secs(86_400);

/// The first account as the environment names it.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    pub name: String,
    pub password: Secret,
}

/// A name and a password.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub name: String,
    pub password: Secret,
}

/// What a start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstRun {
    /// There are accounts.
    Ready,
    /// The account of the environment was made.
    AdminMade(String),
    /// Whoever gets this text may make the first account, within a day. Only its hash is kept.
    Link(Secret),
}

/// Whether pages and APIs are served or wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupState {
    NeedsSetup,
    Ready,
}

impl Identity {
    /// At start: checks that the key is the one whose seals are in the database, and sees to it that somebody can log
    /// in. The environment's account is made where there is none at all; later it says nothing.
    pub async fn first_run(&self, admin: Option<FirstAdmin>) -> Result<FirstRun, IdentityError> {
        if self.ports.key_mark(self.key.mark()).await? != *self.key.mark() {
            let text = "the key file is not the one this database was used with: second factors could not be read";
            return Err(IdentityError::Internal(text.to_owned()));
        }
        if self.setup_state().await? == SetupState::Ready {
            return Ok(FirstRun::Ready);
        }
        let Some(admin) = admin else { return self.new_link().await };
        let name = good_name(&admin.name)?;
        let hash = self.new_hash(&admin.password, &name).await?;
        match self.first_account(None, &name, &hash).await? {
            FirstAccount::Made(_) => {
                self.remember_set_up();
                self.done(&Caller::operator(), "setup", &format!("user {name}"), "from the environment").await?;
                Ok(FirstRun::AdminMade(name))
            }
            FirstAccount::NotFirst | FirstAccount::BadLink => Ok(FirstRun::Ready),
        }
    }

    async fn new_link(&self) -> Result<FirstRun, IdentityError> {
        let link = random::base62(LINK_CHARS)?;
        self.ports.add_setup_link(&random::hash(&link), self.now().plus(LINK_FOR)).await?;
        Ok(FirstRun::Link(Secret::new(link)))
    }

    /// Cheap once it is `Ready`: it stays so.
    pub async fn setup_state(&self) -> Result<SetupState, IdentityError> {
        if self.is_set_up.load(Ordering::Relaxed) || self.ports.has_accounts().await? {
            self.remember_set_up();
            return Ok(SetupState::Ready);
        }
        Ok(SetupState::NeedsSetup)
    }

    pub async fn setup_link_is_good(&self, link: &str) -> Result<bool, IdentityError> {
        Ok(self.ports.is_setup_link(&random::hash(link), self.now()).await?)
    }

    /// Makes the first account and logs it in. The link works once.
    pub async fn complete_setup(
        &self,
        link: &str,
        first: &Credentials,
        client: &Client,
    ) -> Result<LoggedIn, IdentityError> {
        if self.setup_state().await? == SetupState::Ready {
            return Err(IdentityError::SetupDone);
        }
        // Before anything is hashed: this page is open to everybody.
        if !self.setup_link_is_good(link).await? {
            return Err(IdentityError::BadLink);
        }
        let name = good_name(&first.name)?;
        let hash = self.new_hash(&first.password, &name).await?;
        let user = match self.first_account(Some(link), &name, &hash).await? {
            FirstAccount::Made(user) => user,
            FirstAccount::BadLink => return Err(IdentityError::BadLink),
            FirstAccount::NotFirst => return Err(IdentityError::SetupDone),
        };
        self.remember_set_up();
        self.done(&Caller::anonymous(client), "setup", &format!("user {name}"), "by link").await?;
        self.log_in_first(user, &hash, client).await
    }

    async fn first_account(
        &self,
        link: Option<&str>,
        name: &str,
        hash: &Secret,
    ) -> Result<FirstAccount, IdentityError> {
        let account =
            NewAccount { name, role: Role::Admin, password_hash: hash.expose(), temporary_until: None, at: self.now() };
        let link = link.map(random::hash);
        Ok(self.ports.create_first_account(link.as_ref(), &account).await?)
    }

    async fn log_in_first(&self, user: UserId, hash: &Secret, client: &Client) -> Result<LoggedIn, IdentityError> {
        let account = self.ports.account(user).await?.ok_or(IdentityError::NotFound)?;
        let opened = self.open_session(&account, hash, client, None).await?;
        opened.ok_or(IdentityError::NotFound)
    }
}

pub(super) fn good_name(name: &str) -> Result<String, IdentityError> {
    account::name(name).map_err(|bad| IdentityError::Invalid { field: "name", reason: bad.to_string() })
}
