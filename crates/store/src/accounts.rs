//! `auth::ports::AccountsPort`: tables `account`, `recovery_code`, `setup_link`, and the key's mark in `identity_state`.
//!
//! A call is one statement where it can be. Where it takes several, the first one writes, so that the transaction has
//! its lock before it looks: SQLite would refuse to turn a reader into a writer, PostgreSQL would let two look at once.

use async_trait::async_trait;
use auth::account::{Account, User};
use auth::permit::{Role, UserId};
use auth::ports::{AccountChange, AccountsPort, Change, FirstAccount, NewAccount, Page, PasswordChange};
use auth::random::TokenHash;
use model::port::PortError;
use model::secret::Secret;
use model::time::Timestamp;

use crate::Store;
use crate::columns::{Columns, unreadable, word};
use crate::database::{reading, writing};

/// The columns that make a [`User`], of table `account` under the name `a`.
macro_rules! user_columns {
    () => {
        "a.id AS owner_id, a.name AS owner_name, a.role, a.disabled, a.created AS owner_created, a.last_login, \
         (a.totp_seed IS NOT NULL) AS second_factor, a.temporary_until, a.version, \
         (SELECT COUNT(*) FROM recovery_code r WHERE r.user_id = a.id) AS codes_left"
    };
}
pub(crate) use user_columns;

macro_rules! select_account {
    ($where:literal) => {
        concat!(
            "SELECT ",
            user_columns!(),
            ", a.password_hash, a.totp_seed, a.totp_pending, a.totp_last_step FROM account a ",
            $where
        )
    };
}

const HAS_ACCOUNTS: &str = "SELECT 1 FROM account LIMIT 1";
const BY_ID: &str = select_account!("WHERE a.id = $1");
const BY_NAME: &str = select_account!("WHERE a.name = $1");
const LIST: &str =
    concat!("SELECT ", user_columns!(), " FROM account a WHERE $1 IS NULL OR a.id > $1 ORDER BY a.id LIMIT $2");
const CREATE: &str = "
    INSERT INTO account (name, role, password_hash, temporary_until, created) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (name) DO NOTHING RETURNING id";
/// Takes the lock under which who may administer is looked at and changed.
const LOCK_ACCOUNTS: &str = "UPDATE identity_state SET account_changes = account_changes + 1";
const TAKE_LINK: &str = "DELETE FROM setup_link WHERE hash = $1 AND expires > $2";
const DROP_LINKS: &str = "DELETE FROM setup_link";
const STATE: &str = "SELECT role, disabled, version FROM account WHERE id = $1";
const OTHER_ADMIN: &str = "SELECT 1 FROM account WHERE id <> $1 AND role = 'admin' AND NOT disabled LIMIT 1";
const CHANGE: &str = "UPDATE account SET role = $2, disabled = $3, version = version + 1 WHERE id = $1";
const DELETE: &str = "DELETE FROM account WHERE id = $1";
const SET_PASSWORD: &str = "
    UPDATE account SET password_hash = $2, temporary_until = $3
    WHERE id = $1 AND ($4 IS NULL OR password_hash = $4)";
pub(crate) const END_SESSIONS: &str = "DELETE FROM session WHERE user_id = $1 AND ($2 IS NULL OR id <> $2)";
const REHASH: &str = "UPDATE account SET password_hash = $3 WHERE id = $1 AND password_hash = $2";

const SET_PENDING: &str = "UPDATE account SET totp_pending = $2 WHERE id = $1";
const CONFIRM: &str = "
    UPDATE account SET totp_seed = totp_pending, totp_pending = NULL, totp_last_step = $3
    WHERE id = $1 AND totp_pending = $2";
const SPEND_STEP: &str = "
    UPDATE account SET totp_last_step = $2
    WHERE id = $1 AND totp_seed IS NOT NULL AND (totp_last_step IS NULL OR totp_last_step < $2)";
const CLEAR_TOTP: &str =
    "UPDATE account SET totp_seed = NULL, totp_pending = NULL, totp_last_step = NULL WHERE id = $1";
const DROP_CODES: &str = "DELETE FROM recovery_code WHERE user_id = $1";
const ADD_CODE: &str = "INSERT INTO recovery_code (user_id, hash) VALUES ($1, $2)";
const SPEND_CODE: &str = "DELETE FROM recovery_code WHERE user_id = $1 AND hash = $2";

const ADD_LINK: &str = "INSERT INTO setup_link (hash, expires) VALUES ($1, $2) ON CONFLICT (hash) DO UPDATE SET expires = excluded.expires";
const FIND_LINK: &str = "SELECT 1 FROM setup_link WHERE hash = $1 AND expires > $2";
const SWEEP_LINKS: &str = "DELETE FROM setup_link WHERE expires < $1";
const KEEP_MARK: &str = "UPDATE identity_state SET key_mark = COALESCE(key_mark, $1) RETURNING key_mark";

#[async_trait]
impl AccountsPort for Store {
    async fn has_accounts(&self) -> Result<bool, PortError> {
        Ok(reading!(self, |pool| sqlx::query(HAS_ACCOUNTS).fetch_optional(pool).await.map(|row| row.is_some()))?)
    }

    async fn account(&self, user: UserId) -> Result<Option<Account>, PortError> {
        let found = reading!(self, |pool| match sqlx::query(BY_ID).bind(user.0).fetch_optional(pool).await {
            Ok(row) => row.as_ref().map(account).transpose(),
            Err(error) => Err(error),
        })?;
        Ok(found)
    }

    async fn account_named(&self, name: &str) -> Result<Option<Account>, PortError> {
        let found = reading!(self, |pool| match sqlx::query(BY_NAME).bind(name).fetch_optional(pool).await {
            Ok(row) => row.as_ref().map(account).transpose(),
            Err(error) => Err(error),
        })?;
        Ok(found)
    }

    async fn users(&self, page: Page) -> Result<Vec<User>, PortError> {
        let limit = i64::from(page.limit);
        let users = reading!(self, |pool| {
            match sqlx::query(LIST).bind(page.after).bind(limit).fetch_all(pool).await {
                Ok(rows) => rows.iter().map(user).collect::<Result<_, _>>(),
                Err(error) => Err(error),
            }
        })?;
        Ok(users)
    }

    async fn create_account(&self, new: &NewAccount<'_>) -> Result<Option<UserId>, PortError> {
        let made = writing!(self, |pool| {
            let query = sqlx::query(CREATE).bind(new.name).bind(new.role.as_str()).bind(new.password_hash);
            let query = query.bind(new.temporary_until.map(Timestamp::millis)).bind(new.at.millis());
            match query.fetch_optional(pool).await {
                Ok(row) => row.map(|row| row.number("id").map(UserId)).transpose(),
                Err(error) => Err(error),
            }
        })?;
        Ok(made)
    }

    async fn create_first_account(
        &self,
        link: Option<&TokenHash>,
        new: &NewAccount<'_>,
    ) -> Result<FirstAccount, PortError> {
        let made = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                sqlx::query(LOCK_ACCOUNTS).execute(&mut *tx).await?;
                if sqlx::query(HAS_ACCOUNTS).fetch_optional(&mut *tx).await?.is_some() {
                    return Ok(FirstAccount::NotFirst);
                }
                if let Some(link) = link {
                    let take = sqlx::query(TAKE_LINK).bind(&link.0[..]).bind(new.at.millis());
                    if take.execute(&mut *tx).await?.rows_affected() == 0 {
                        return Ok(FirstAccount::BadLink);
                    }
                }
                sqlx::query(DROP_LINKS).execute(&mut *tx).await?;
                let query = sqlx::query(CREATE).bind(new.name).bind(new.role.as_str()).bind(new.password_hash);
                let query = query.bind(new.temporary_until.map(Timestamp::millis)).bind(new.at.millis());
                let id = query.fetch_one(&mut *tx).await?.number("id")?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(FirstAccount::Made(UserId(id)))
            };
            steps.await
        })?;
        Ok(made)
    }

    async fn change_account(&self, change: &AccountChange) -> Result<Change, PortError> {
        let id = change.user.0;
        let done = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                sqlx::query(LOCK_ACCOUNTS).execute(&mut *tx).await?;
                let Some(row) = sqlx::query(STATE).bind(id).fetch_optional(&mut *tx).await? else {
                    return Ok(Change::NotThere);
                };
                let (was_role, was_disabled) = (word(&row, "role", Role::parse)?, row.flag("disabled")?);
                if change.seen_version.is_some() && change.seen_version != Some(row.count("version")?) {
                    return Ok(Change::Stale);
                }
                let (role, disabled) = (change.role.unwrap_or(was_role), change.disabled.unwrap_or(was_disabled));
                let steps_down = is_admin(was_role, was_disabled) && !is_admin(role, disabled);
                if steps_down && sqlx::query(OTHER_ADMIN).bind(id).fetch_optional(&mut *tx).await?.is_none() {
                    return Ok(Change::LastAdmin);
                }
                sqlx::query(CHANGE).bind(id).bind(role.as_str()).bind(disabled).execute(&mut *tx).await?;
                if disabled {
                    sqlx::query(END_SESSIONS).bind(id).bind(None::<i64>).execute(&mut *tx).await?;
                }
                tx.commit().await?;
                Ok::<_, sqlx::Error>(Change::Done)
            };
            steps.await
        })?;
        Ok(done)
    }

    async fn delete_account(&self, user: UserId) -> Result<Change, PortError> {
        let done = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                sqlx::query(LOCK_ACCOUNTS).execute(&mut *tx).await?;
                let Some(row) = sqlx::query(STATE).bind(user.0).fetch_optional(&mut *tx).await? else {
                    return Ok(Change::NotThere);
                };
                let was_admin = is_admin(word(&row, "role", Role::parse)?, row.flag("disabled")?);
                if was_admin && sqlx::query(OTHER_ADMIN).bind(user.0).fetch_optional(&mut *tx).await?.is_none() {
                    return Ok(Change::LastAdmin);
                }
                // Sessions, tokens and codes go with it: they refer to it with ON DELETE CASCADE.
                sqlx::query(DELETE).bind(user.0).execute(&mut *tx).await?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(Change::Done)
            };
            steps.await
        })?;
        Ok(done)
    }

    async fn set_password(&self, change: &PasswordChange<'_>) -> Result<bool, PortError> {
        let done = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                let query = sqlx::query(SET_PASSWORD).bind(change.user.0).bind(change.password_hash);
                let query = query.bind(change.temporary_until.map(Timestamp::millis)).bind(change.seen_hash);
                if query.execute(&mut *tx).await?.rows_affected() == 0 {
                    return Ok(false);
                }
                let keep = change.keep.map(|session| session.0);
                sqlx::query(END_SESSIONS).bind(change.user.0).bind(keep).execute(&mut *tx).await?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(true)
            };
            steps.await
        })?;
        Ok(done)
    }

    async fn rehash_password(&self, user: UserId, seen: &str, new: &str) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(REHASH).bind(user.0).bind(seen).bind(new);
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn set_totp_pending(&self, user: UserId, seed: &[u8]) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(SET_PENDING).bind(user.0).bind(seed);
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn confirm_totp(&self, user: UserId, seed: &[u8], step: u64, codes: &[TokenHash]) -> Result<bool, PortError> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let done = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                let confirm = sqlx::query(CONFIRM).bind(user.0).bind(seed).bind(step);
                if confirm.execute(&mut *tx).await?.rows_affected() == 0 {
                    return Ok(false);
                }
                sqlx::query(DROP_CODES).bind(user.0).execute(&mut *tx).await?;
                for code in codes {
                    sqlx::query(ADD_CODE).bind(user.0).bind(&code.0[..]).execute(&mut *tx).await?;
                }
                tx.commit().await?;
                Ok::<_, sqlx::Error>(true)
            };
            steps.await
        })?;
        Ok(done)
    }

    async fn spend_totp_step(&self, user: UserId, step: u64) -> Result<bool, PortError> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let rows = writing!(self, |pool| {
            let query = sqlx::query(SPEND_STEP).bind(user.0).bind(step);
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn clear_totp(&self, user: UserId) -> Result<bool, PortError> {
        let done = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                let cleared = sqlx::query(CLEAR_TOTP).bind(user.0).execute(&mut *tx).await?.rows_affected();
                sqlx::query(DROP_CODES).bind(user.0).execute(&mut *tx).await?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(cleared == 1)
            };
            steps.await
        })?;
        Ok(done)
    }

    async fn replace_recovery_codes(&self, user: UserId, codes: &[TokenHash]) -> Result<(), PortError> {
        writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                sqlx::query(DROP_CODES).bind(user.0).execute(&mut *tx).await?;
                for code in codes {
                    sqlx::query(ADD_CODE).bind(user.0).bind(&code.0[..]).execute(&mut *tx).await?;
                }
                tx.commit().await?;
                Ok::<_, sqlx::Error>(())
            };
            steps.await
        })?;
        Ok(())
    }

    async fn spend_recovery_code(&self, user: UserId, code: &TokenHash) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(SPEND_CODE).bind(user.0).bind(&code.0[..]);
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn add_setup_link(&self, link: &TokenHash, expires: Timestamp) -> Result<(), PortError> {
        writing!(self, |pool| {
            sqlx::query(ADD_LINK).bind(&link.0[..]).bind(expires.millis()).execute(pool).await.map(drop)
        })?;
        Ok(())
    }

    async fn is_setup_link(&self, link: &TokenHash, now: Timestamp) -> Result<bool, PortError> {
        let found = reading!(self, |pool| {
            let query = sqlx::query(FIND_LINK).bind(&link.0[..]).bind(now.millis());
            query.fetch_optional(pool).await.map(|row| row.is_some())
        })?;
        Ok(found)
    }

    async fn sweep_setup_links(&self, before: Timestamp) -> Result<(), PortError> {
        writing!(self, |pool| sqlx::query(SWEEP_LINKS).bind(before.millis()).execute(pool).await.map(drop))?;
        Ok(())
    }

    async fn key_mark(&self, candidate: &[u8; 16]) -> Result<[u8; 16], PortError> {
        let kept = writing!(self, |pool| {
            match sqlx::query(KEEP_MARK).bind(&candidate[..]).fetch_one(pool).await {
                Ok(row) => row.digest("key_mark"),
                Err(error) => Err(error),
            }
        })?;
        Ok(kept)
    }
}

const fn is_admin(role: Role, disabled: bool) -> bool {
    matches!(role, Role::Admin) && !disabled
}

/// A user from [`user_columns!`].
pub(crate) fn user(row: &impl Columns) -> Result<User, sqlx::Error> {
    Ok(User {
        id: UserId(row.number("owner_id")?),
        name: row.text("owner_name")?,
        role: word(row, "role", Role::parse)?,
        disabled: row.flag("disabled")?,
        created: row.time("owner_created")?,
        last_login: row.time_or_null("last_login")?,
        second_factor: row.flag("second_factor")?,
        recovery_codes_left: row.count("codes_left")?,
        temporary_password_until: row.time_or_null("temporary_until")?,
        version: row.count("version")?,
    })
}

fn account(row: &impl Columns) -> Result<Account, sqlx::Error> {
    let step = row.number_or_null("totp_last_step")?;
    let step = step.map(|step| u64::try_from(step).map_err(|_| unreadable("totp_last_step", step))).transpose()?;
    Ok(Account {
        user: user(row)?,
        password_hash: Secret::new(row.text("password_hash")?),
        totp_seed: row.bytes_or_null("totp_seed")?,
        totp_pending: row.bytes_or_null("totp_pending")?,
        totp_last_step: step,
    })
}
