//! The metadata store: one adapter for every port that needs a database, on SQLite (default) and PostgreSQL.
//!
//! Promises: what was answered with `Ok` is on disk; the schema is brought up to date at opening, each step entirely or
//! not at all; a database of a newer version is refused by name; no error and no Debug shows a password.
//! One file per noun (`instance`, `jobs`, `accounts`, …): a port and its queries. A query that both databases read alike is written
//! once; where they differ, each has its own. Nothing outside this crate knows sqlx.
//! Not here: what is stored why (the ports), who may open the data folder beside us (its lock).

mod accounts;
mod attempts;
mod audit;
mod columns;
mod database;
mod error;
mod instance;
mod jobs;
mod location;
mod migrate;
mod postgres;
mod sessions;
mod sqlite;
mod tokens;

use std::fmt;
use std::time::Duration;

use model::time::Clock;

use crate::database::Database;
pub use crate::error::Error;
pub use crate::location::Location;

/// An open metadata store. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    database: Database,
    /// The location without its password, for errors.
    shown: String,
}

/// What waits how long. The defaults are what a server uses; tests shorten them.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a call waits for a lock that another process or connection holds; then it is `Unavailable`.
    pub lock_timeout: Duration,
    /// How long a call waits for a free connection, making one included; then it is `Unavailable`.
    pub connect_timeout: Duration,
    /// Connections for reading (SQLite) or in all (PostgreSQL). At the bound callers wait for `connect_timeout`.
    pub connections_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { lock_timeout: Duration::from_secs(5), connect_timeout: Duration::from_secs(10), connections_max: 8 }
    }
}

impl Store {
    /// Opens the store at a path (SQLite, made where it is missing) or a `postgres://` address, and brings its schema
    /// up to date.
    pub async fn open(location: &str, clock: &dyn Clock) -> Result<Self, Error> {
        Self::open_with(&Location::parse(location)?, clock, &Options::default()).await
    }

    pub async fn open_with(location: &Location, clock: &dyn Clock, options: &Options) -> Result<Self, Error> {
        let steps = migrate::Steps { list: migrate::MIGRATIONS, now: clock.now() };
        Self::open_at(location, &steps, options).await
    }

    async fn open_at(location: &Location, steps: &migrate::Steps<'_>, options: &Options) -> Result<Self, Error> {
        let shown = location.to_string();
        let database = match location {
            Location::Sqlite(path) => Database::Sqlite(sqlite::open(path, &shown, steps, options).await?),
            Location::Postgres(url) => Database::Postgres(postgres::open(url, &shown, steps, options).await?),
        };
        Ok(Self { database, shown })
    }

    /// Looks for damage; an empty answer is a sound store. Reads everything, so it is for `verify` and `doctor`.
    pub async fn check(&self) -> Result<Vec<String>, Error> {
        let problems = match &self.database {
            Database::Sqlite(pools) => sqlite::check(pools).await,
            Database::Postgres(pool) => postgres::check(pool).await,
        };
        problems.map_err(|e| self.error(&e))
    }

    /// Waits for what runs, then lets go of the database. Later calls are `Unavailable`.
    pub async fn close(&self) {
        match &self.database {
            Database::Sqlite(pools) => sqlite::close(pools).await,
            Database::Postgres(pool) => pool.close().await,
        }
    }

    fn error(&self, error: &sqlx::Error) -> Error {
        Error::of(&self.shown, error)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests;
