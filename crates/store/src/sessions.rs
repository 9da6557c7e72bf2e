//! `auth::ports::SessionsPort`: table `session`.
//!
//! A login touches the account's row first, as a change of password and a disabling do: whichever comes first, no
//! session outlives the password it was opened with.

use async_trait::async_trait;
use auth::account::User;
use auth::permit::{SessionId, UserId};
use auth::ports::{NewSession, SessionsPort};
use auth::random::TokenHash;
use auth::session::Session;
use model::port::PortError;
use model::time::Timestamp;

use crate::Store;
use crate::accounts::{END_SESSIONS, user, user_columns};
use crate::columns::Columns;
use crate::database::{reading, writing};

const NOTE_LOGIN: &str = "UPDATE account SET last_login = $3 WHERE id = $1 AND password_hash = $2 AND NOT disabled";
const REPLACE: &str = "DELETE FROM session WHERE token_hash = $1";
const MAKE_ROOM: &str = "
    DELETE FROM session WHERE user_id = $1 AND id NOT IN
        (SELECT id FROM session WHERE user_id = $1 ORDER BY last_seen DESC, id DESC LIMIT $2)";
const OPEN: &str = "
    INSERT INTO session (user_id, token_hash, created, last_seen, address, agent)
    VALUES ($1, $2, $3, $3, $4, $5) RETURNING id";
const FIND: &str = concat!(
    "SELECT s.id, s.user_id, s.token_hash, s.created, s.last_seen, s.address, s.agent, ",
    user_columns!(),
    " FROM session s JOIN account a ON a.id = s.user_id WHERE s.token_hash = $1"
);
const LIST: &str = "SELECT * FROM session WHERE user_id = $1 ORDER BY last_seen DESC, id DESC";
const TOUCH: &str = "UPDATE session SET last_seen = $2 WHERE id = $1 AND last_seen < $2";
const ROTATE: &str = "UPDATE session SET token_hash = $2 WHERE id = $1";
const CLOSE: &str = "DELETE FROM session WHERE id = $2 AND user_id = $1";
const SWEEP: &str = "DELETE FROM session WHERE created < $1 OR last_seen < $2";

#[async_trait]
impl SessionsPort for Store {
    async fn open_session(&self, new: &NewSession<'_>) -> Result<Option<SessionId>, PortError> {
        let at = new.at.millis();
        let opened = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                let note = sqlx::query(NOTE_LOGIN).bind(new.user.0).bind(new.password_hash).bind(at);
                if note.execute(&mut *tx).await?.rows_affected() == 0 {
                    return Ok(None);
                }
                if let Some(old) = &new.replaces {
                    sqlx::query(REPLACE).bind(&old.0[..]).execute(&mut *tx).await?;
                }
                let others_max = i64::from(new.sessions_max.saturating_sub(1));
                sqlx::query(MAKE_ROOM).bind(new.user.0).bind(others_max).execute(&mut *tx).await?;
                let query = sqlx::query(OPEN).bind(new.user.0).bind(&new.token_hash.0[..]).bind(at);
                let row = query.bind(new.address).bind(new.agent).fetch_one(&mut *tx).await?;
                let id = row.number("id")?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(Some(SessionId(id)))
            };
            steps.await
        })?;
        Ok(opened)
    }

    async fn session(&self, token: &TokenHash) -> Result<Option<(Session, User)>, PortError> {
        let found = reading!(self, |pool| {
            match sqlx::query(FIND).bind(&token.0[..]).fetch_optional(pool).await {
                Ok(row) => row.map(|row| Ok((session(&row)?, user(&row)?))).transpose(),
                Err(error) => Err(error),
            }
        })?;
        Ok(found)
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, PortError> {
        let sessions = reading!(self, |pool| match sqlx::query(LIST).bind(user.0).fetch_all(pool).await {
            Ok(rows) => rows.iter().map(session).collect::<Result<_, _>>(),
            Err(error) => Err(error),
        })?;
        Ok(sessions)
    }

    async fn touch_session(&self, session: SessionId, at: Timestamp) -> Result<(), PortError> {
        writing!(self, |pool| sqlx::query(TOUCH).bind(session.0).bind(at.millis()).execute(pool).await.map(drop))?;
        Ok(())
    }

    async fn rotate_session(&self, session: SessionId, token: &TokenHash) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(ROTATE).bind(session.0).bind(&token.0[..]);
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn close_session(&self, user: UserId, session: SessionId) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(CLOSE).bind(user.0).bind(session.0);
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn close_sessions(&self, user: UserId, keep: Option<SessionId>) -> Result<u64, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(END_SESSIONS).bind(user.0).bind(keep.map(|session| session.0));
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows)
    }

    async fn sweep_sessions(&self, created_before: Timestamp, seen_before: Timestamp) -> Result<u64, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(SWEEP).bind(created_before.millis()).bind(seen_before.millis());
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows)
    }
}

fn session(row: &impl Columns) -> Result<Session, sqlx::Error> {
    Ok(Session {
        id: SessionId(row.number("id")?),
        user: UserId(row.number("user_id")?),
        token_hash: TokenHash(row.digest("token_hash")?),
        created: row.time("created")?,
        last_seen: row.time("last_seen")?,
        address: row.text("address")?,
        agent: row.text("agent")?,
    })
}
