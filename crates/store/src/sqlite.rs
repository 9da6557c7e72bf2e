//! Opening, checking and closing a SQLite file.
//!
//! Write-ahead log, so that readers and the writer do not wait for each other; `synchronous = FULL`, so that what was
//! answered with `Ok` survives the loss of power and not only of the process (docs/decisions/0030).

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, SqlitePool};

use crate::Options;
use crate::database::SqlitePools;
use crate::error::Error;
use crate::migrate::{self, Steps};

pub(crate) async fn open(path: &Path, shown: &str, steps: &Steps<'_>, options: &Options) -> Result<SqlitePools, Error> {
    let fault = |error: sqlx::Error| Error::of(shown, &error);
    make(path).map_err(|e| from_io(shown, &e))?;
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(options.lock_timeout)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .disable_statement_logging();

    let mut connection = SqliteConnection::connect_with(&connect).await.map_err(fault)?;
    migrate::run_sqlite(&mut connection, shown, steps).await?;
    connection.close().await.map_err(fault)?;

    let pool =
        || SqlitePoolOptions::new().acquire_timeout(options.connect_timeout).idle_timeout(None).max_lifetime(None);
    let writer = pool().max_connections(1).connect_with(connect.clone()).await.map_err(fault)?;
    let readers = pool().max_connections(options.connections_max).min_connections(1);
    // A query that writes through a reader is a bug of ours, and fails.
    let readers = readers.connect_with(connect.pragma("query_only", "ON")).await.map_err(fault)?;
    Ok(SqlitePools { writer, readers })
}

/// Makes an empty file that only its owner reads (it will hold password hashes); SQLite gives its log the same rights.
fn make(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn from_io(shown: &str, error: &io::Error) -> Error {
    let (database, reason) = (shown.to_owned(), error.to_string());
    match error.kind() {
        io::ErrorKind::NotFound => Error::Refused { database, reason: "no such folder".to_owned() },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::IsADirectory => {
            Error::Refused { database, reason }
        }
        _ => Error::Unavailable { database, reason },
    }
}

/// SQLite's own check of pages and indexes, and of references that point nowhere.
pub(crate) async fn check(pools: &SqlitePools) -> Result<Vec<String>, sqlx::Error> {
    let mut problems: Vec<String> = Vec::new();
    for row in sqlx::query("PRAGMA integrity_check").fetch_all(&pools.readers).await? {
        problems.push(row.try_get(0)?);
    }
    problems.retain(|problem| problem != "ok");
    for row in sqlx::query("PRAGMA foreign_key_check").fetch_all(&pools.readers).await? {
        let (table, parent): (String, String) = (row.try_get(0)?, row.try_get(2)?);
        problems.push(format!("table {table} refers to a row of {parent} that is not there"));
    }
    Ok(problems)
}

/// The log is moved into the file, so that the file alone is the database while nobody has it open.
pub(crate) async fn close(pools: &SqlitePools) {
    pools.readers.close().await;
    if let Err(error) = fold(&pools.writer).await {
        // Nothing is lost: the next opening reads the log.
        tracing::warn!(%error, "the log of the metadata store stays beside it");
    }
    pools.writer.close().await;
}

async fn fold(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    if writer.is_closed() {
        return Ok(());
    }
    sqlx::raw_sql("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)").execute(writer).await.map(drop)
}
