//! The two databases behind one type, and how a query reaches the one that is open.
//!
//! `sqlx::Any` would be one type too, at the price of its weakest common types; here each query is compiled for both.

use sqlx::{PgPool, SqlitePool};

#[derive(Clone)]
pub(crate) enum Database {
    Sqlite(SqlitePools),
    Postgres(PgPool),
}

/// SQLite has one writer at a time: ours queue for it here, in order and without spinning on its lock.
#[derive(Clone)]
pub(crate) struct SqlitePools {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

/// Runs a body that writes, with `$pool` as the pool of whichever database is open.
macro_rules! writing {
    ($store:expr, |$pool:ident| $body:expr) => {{
        let answer = match &$store.database {
            $crate::database::Database::Sqlite(pools) => {
                let $pool = &pools.writer;
                $body
            }
            $crate::database::Database::Postgres($pool) => $body,
        };
        answer.map_err(|error| $store.error(&error))
    }};
}

/// Runs a body that only reads, likewise.
macro_rules! reading {
    ($store:expr, |$pool:ident| $body:expr) => {{
        let answer = match &$store.database {
            $crate::database::Database::Sqlite(pools) => {
                let $pool = &pools.readers;
                $body
            }
            $crate::database::Database::Postgres($pool) => $body,
        };
        answer.map_err(|error| $store.error(&error))
    }};
}

pub(crate) use {reading, writing};
