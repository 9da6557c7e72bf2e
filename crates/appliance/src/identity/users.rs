//! Users, for those who administer: made, changed, reset, deleted.
//!
//! A password that an admin makes for somebody works for a day and opens only its own change. A reset of the password
//! never takes the second factor away; that is a deed of its own, with a row of its own in the audit log.

use auth::account::{Account, User};
use auth::permit::{Principal, Role, UserId};
use auth::ports::{AccountChange, Change, NewAccount, Page, PasswordChange};
use auth::random;
use model::secret::Secret;
use model::time::Timestamp;

use super::setup::good_name;
use super::{Caller, Identity, IdentityError, Paged, TEMPORARY_FOR, page_limit};

/// Base-62 characters of a password that we make: 119 random bits.
const MADE_PASSWORD_CHARS: usize = 20;

/// A user that shall be.
#[derive(Clone, Debug)]
pub struct UserRequest {
    pub name: String,
    pub role: Role,
    /// `None`: one is made, and shown once.
    pub password: Option<Secret>,
}

/// A user was made.
#[derive(Clone, Debug)]
pub struct UserMade {
    pub user: User,
    /// Where none was given: shown now and never again.
    pub temporary_password: Option<Secret>,
}

/// What shall change; `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserUpdate {
    pub role: Option<Role>,
    pub disabled: Option<bool>,
    /// Only if this is still the user's version.
    pub seen_version: Option<u64>,
}

/// A password for somebody else.
struct ForOther {
    hash: Secret,
    shown: Option<Secret>,
    until: Option<Timestamp>,
}

impl Identity {
    pub async fn users(&self, caller: &Caller, page: Page) -> Result<Paged<User>, IdentityError> {
        self.administer(caller, "user.list", "all users").await?;
        let limit = page_limit(page.limit);
        let users = self.ports.users(Page { after: page.after, limit: limit + 1 }).await?;
        Ok(Paged::of(users, limit, |user| user.id.0))
    }

    pub async fn user(&self, caller: &Caller, user: UserId) -> Result<User, IdentityError> {
        self.administer(caller, "user.read", &number(user)).await?;
        Ok(self.account(user).await?.user)
    }

    pub async fn user_named(&self, caller: &Caller, name: &str) -> Result<User, IdentityError> {
        self.administer(caller, "user.read", "a user by name").await?;
        let name = good_name(name)?;
        Ok(self.ports.account_named(&name).await?.ok_or(IdentityError::NotFound)?.user)
    }

    pub async fn create_user(&self, caller: &Caller, request: &UserRequest) -> Result<UserMade, IdentityError> {
        self.administer(caller, "user.create", "a new user").await?;
        let name = good_name(&request.name)?;
        let password = self.for_other(caller, &name, request.password.as_ref()).await?;
        let account = NewAccount {
            name: &name,
            role: request.role,
            password_hash: password.hash.expose(),
            temporary_until: password.until,
            at: self.now(),
        };
        let id = self.ports.create_account(&account).await?.ok_or(IdentityError::NameTaken)?;
        self.remember_set_up();
        self.done(caller, "user.create", &format!("user {name}"), request.role.as_str()).await?;
        Ok(UserMade { user: self.account(id).await?.user, temporary_password: password.shown })
    }

    /// Disabling ends the sessions; tokens do not work while somebody is disabled.
    pub async fn update_user(&self, caller: &Caller, user: UserId, update: &UserUpdate) -> Result<User, IdentityError> {
        self.administer(caller, "user.update", &number(user)).await?;
        let &UserUpdate { role, disabled, seen_version } = update;
        done(self.ports.change_account(&AccountChange { user, role, disabled, seen_version }).await?)?;
        let changed = self.account(user).await?.user;
        let state = if changed.disabled { "disabled" } else { "enabled" };
        self.done(caller, "user.update", &format!("user {}", changed.name), &format!("{}, {state}", changed.role))
            .await?;
        Ok(changed)
    }

    /// Another password; every session of the user ends. Gives one where none was given: shown once.
    pub async fn reset_password(
        &self,
        caller: &Caller,
        user: UserId,
        password: Option<&Secret>,
    ) -> Result<Option<Secret>, IdentityError> {
        self.administer(caller, "user.reset_password", &number(user)).await?;
        let account = self.account(user).await?;
        let password = self.for_other(caller, &account.user.name, password).await?;
        let change = PasswordChange {
            user,
            password_hash: password.hash.expose(),
            temporary_until: password.until,
            keep: None,
            seen_hash: None,
        };
        if !self.ports.set_password(&change).await? {
            return Err(IdentityError::NotFound);
        }
        self.done(caller, "user.reset_password", &format!("user {}", account.user.name), "").await?;
        Ok(password.shown)
    }

    /// Takes the second factor and the recovery codes away, for somebody who lost both.
    pub async fn reset_mfa(&self, caller: &Caller, user: UserId) -> Result<(), IdentityError> {
        self.administer(caller, "user.reset_mfa", &number(user)).await?;
        let account = self.account(user).await?;
        if !self.ports.clear_totp(user).await? {
            return Err(IdentityError::NotFound);
        }
        self.done(caller, "user.reset_mfa", &format!("user {}", account.user.name), "").await
    }

    /// With sessions, tokens and codes.
    pub async fn delete_user(&self, caller: &Caller, user: UserId) -> Result<(), IdentityError> {
        self.administer(caller, "user.delete", &number(user)).await?;
        let account = self.account(user).await?;
        done(self.ports.delete_account(user).await?)?;
        self.done(caller, "user.delete", &format!("user {}", account.user.name), "").await
    }

    async fn account(&self, user: UserId) -> Result<Account, IdentityError> {
        self.ports.account(user).await?.ok_or(IdentityError::NotFound)
    }

    /// Whoever stands on the machine may set a password for good, as scripts do; what an admin thinks up or we make is
    /// known to one person too many, and so is temporary.
    async fn for_other(&self, caller: &Caller, name: &str, given: Option<&Secret>) -> Result<ForOther, IdentityError> {
        let until = Some(self.now().plus(TEMPORARY_FOR));
        let Some(given) = given else {
            let made = Secret::new(random::base62(MADE_PASSWORD_CHARS)?);
            let hash = self.hasher.hash(self.hasher.slot()?, &made).await?;
            return Ok(ForOther { hash, shown: Some(made), until });
        };
        let hash = self.new_hash(given, name).await?;
        let is_for_good = matches!(caller.principal, Principal::Operator);
        Ok(ForOther { hash, shown: None, until: until.filter(|_| !is_for_good) })
    }
}

const fn done(change: Change) -> Result<(), IdentityError> {
    match change {
        Change::Done => Ok(()),
        Change::NotThere => Err(IdentityError::NotFound),
        Change::Stale => Err(IdentityError::Stale),
        Change::LastAdmin => Err(IdentityError::LastAdmin),
    }
}

fn number(user: UserId) -> String {
    format!("user number {}", user.0)
}
