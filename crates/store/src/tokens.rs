//! `auth::ports::TokensPort`: table `api_token`.

use async_trait::async_trait;
use auth::account::User;
use auth::permit::{Scope, TokenId, UserId};
use auth::ports::{NewToken, Page, TokensPort};
use auth::random::TokenHash;
use auth::token::Token;
use model::port::PortError;
use model::time::Timestamp;

use crate::Store;
use crate::accounts::{user, user_columns};
use crate::columns::{Columns, word};
use crate::database::{reading, writing};

/// Takes the owner's row, so that of several new tokens at once each counts the others.
const LOCK_OWNER: &str = "UPDATE account SET version = version WHERE id = $1";
const COUNT: &str = "SELECT COUNT(*) AS tokens FROM api_token WHERE owner_id = $1";
const CREATE: &str = "
    INSERT INTO api_token (owner_id, name, prefix, hash, scopes, created, expires)
    VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id";
macro_rules! select_token {
    ($more:expr, $where:literal) => {
        concat!(
            "SELECT t.id, t.owner_id AS token_owner_id, t.name AS token_name, t.prefix, t.hash, t.scopes, t.created, \
             t.expires, t.last_used, ",
            $more,
            " FROM api_token t JOIN account a ON a.id = t.owner_id WHERE ",
            $where
        )
    };
}
const FIND: &str = select_token!(user_columns!(), "t.hash = $1");
const BY_ID: &str = select_token!("a.name AS owner_name", "t.id = $1");
const LIST: &str = select_token!(
    "a.name AS owner_name",
    "($1 IS NULL OR t.owner_id = $1) AND ($2 IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3"
);
const TOUCH: &str = "UPDATE api_token SET last_used = $2 WHERE id = $1 AND (last_used IS NULL OR last_used < $2)";
const DELETE: &str = "DELETE FROM api_token WHERE id = $2 AND owner_id = $1";

#[async_trait]
impl TokensPort for Store {
    async fn create_token(&self, new: &NewToken<'_>) -> Result<Option<TokenId>, PortError> {
        let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
        let scopes = scopes.join(" ");
        let made = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                sqlx::query(LOCK_OWNER).bind(new.owner.0).execute(&mut *tx).await?;
                let have = sqlx::query(COUNT).bind(new.owner.0).fetch_one(&mut *tx).await?.count("tokens")?;
                if have >= u64::from(new.tokens_max) {
                    return Ok(None);
                }
                let query = sqlx::query(CREATE).bind(new.owner.0).bind(new.name).bind(new.prefix);
                let query = query.bind(&new.hash.0[..]).bind(&scopes).bind(new.at.millis()).bind(new.expires.millis());
                let id = query.fetch_one(&mut *tx).await?.number("id")?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(Some(TokenId(id)))
            };
            steps.await
        })?;
        Ok(made)
    }

    async fn token(&self, hash: &TokenHash) -> Result<Option<(Token, User)>, PortError> {
        let found = reading!(self, |pool| {
            match sqlx::query(FIND).bind(&hash.0[..]).fetch_optional(pool).await {
                Ok(row) => row.map(|row| Ok((token(&row)?, user(&row)?))).transpose(),
                Err(error) => Err(error),
            }
        })?;
        Ok(found)
    }

    async fn token_by_id(&self, id: TokenId) -> Result<Option<Token>, PortError> {
        let found = reading!(self, |pool| match sqlx::query(BY_ID).bind(id.0).fetch_optional(pool).await {
            Ok(row) => row.as_ref().map(token).transpose(),
            Err(error) => Err(error),
        })?;
        Ok(found)
    }

    async fn tokens(&self, owner: Option<UserId>, page: Page) -> Result<Vec<Token>, PortError> {
        let tokens = reading!(self, |pool| {
            let query = sqlx::query(LIST).bind(owner.map(|owner| owner.0)).bind(page.after);
            match query.bind(i64::from(page.limit)).fetch_all(pool).await {
                Ok(rows) => rows.iter().map(token).collect::<Result<_, _>>(),
                Err(error) => Err(error),
            }
        })?;
        Ok(tokens)
    }

    async fn touch_token(&self, id: TokenId, at: Timestamp) -> Result<(), PortError> {
        writing!(self, |pool| sqlx::query(TOUCH).bind(id.0).bind(at.millis()).execute(pool).await.map(drop))?;
        Ok(())
    }

    async fn delete_token(&self, owner: UserId, id: TokenId) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(DELETE).bind(owner.0).bind(id.0);
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }
}

fn token(row: &impl Columns) -> Result<Token, sqlx::Error> {
    Ok(Token {
        id: TokenId(row.number("id")?),
        owner: UserId(row.number("token_owner_id")?),
        owner_name: row.text("owner_name")?,
        name: row.text("token_name")?,
        prefix: row.text("prefix")?,
        hash: TokenHash(row.digest("hash")?),
        scopes: word(row, "scopes", |text| text.split_whitespace().map(Scope::parse).collect())?,
        created: row.time("created")?,
        expires: row.time("expires")?,
        last_used: row.time_or_null("last_used")?,
    })
}
