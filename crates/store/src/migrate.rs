//! Bringing a database's schema up to date: forward only, step by step, each in a transaction of its own.
//!
//! Invariant: table `schema_migration` names exactly the steps that were applied, because its row is written in the
//! step's transaction; a process killed anywhere leaves a database that the next start takes up where it stood.
//! Several processes may start at once: PostgreSQL's advisory lock and SQLite's write lock let one work at a time.
//! The steps stand in `migrations/sqlite` and `migrations/postgres` under the same names; a name is never reused.

use model::time::Timestamp;
use sqlx::{Connection, PgConnection, Row, SqliteConnection};

use crate::error::Error;

/// One step, in the words of either database. The names count up from `0001_`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) name: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

macro_rules! migration {
    ($name:literal) => {
        Migration {
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }
    };
}

pub(crate) const MIGRATIONS: &[Migration] = &[migration!("0001_instance_and_jobs"), migration!("0002_identity")];

/// The steps to be applied, and when that is.
pub(crate) struct Steps<'a> {
    pub(crate) list: &'a [Migration],
    pub(crate) now: Timestamp,
}

/// Kept with every step, to name the version an older one cannot follow.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// "Watchpos" as a number: the advisory lock everybody takes who changes the schema.
const LOCK: i64 = i64::from_be_bytes(*b"Watchpos");
/// Another process's migration may take a while; after this we say so and the start is tried again.
const SET_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '60s'";
/// A step may take long, but when our process dies PostgreSQL must notice and let go of the lock (since version 14).
const SET_TIMEOUTS: &str = "SELECT set_config('statement_timeout', '0', true) UNION ALL \
    SELECT set_config(name, '1s', true) FROM pg_settings WHERE name = 'client_connection_check_interval'";

const CREATE_SQLITE: &str = "CREATE TABLE schema_migration (
    number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied INTEGER NOT NULL, version TEXT NOT NULL) STRICT";
const CREATE_POSTGRES: &str = "CREATE TABLE schema_migration (
    number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied BIGINT NOT NULL, version TEXT NOT NULL)";
/// Ordered so that our own table comes first where it is.
const TABLES_SQLITE: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
    ORDER BY name <> 'schema_migration', name LIMIT 1";
const TABLES_POSTGRES: &str = "SELECT tablename::TEXT AS name FROM pg_tables WHERE schemaname = current_schema() \
    ORDER BY tablename <> 'schema_migration', tablename LIMIT 1";
const APPLIED: &str = "SELECT name, version FROM schema_migration ORDER BY number";
const RECORD: &str = "INSERT INTO schema_migration (number, name, applied, version) VALUES ($1, $2, $3, $4)";

/// A step that was applied, and the version of the program that did it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Applied {
    name: String,
    version: String,
}

/// The next step, from what was applied and what we know.
fn next<'a>(database: &str, applied: &[Applied], list: &'a [Migration]) -> Result<Option<&'a Migration>, Error> {
    for (index, step) in applied.iter().enumerate() {
        let Some(known) = list.get(index) else {
            let newest = applied.last().unwrap_or(step);
            return Err(Error::NewerSchema {
                database: database.to_owned(),
                newest: newest.name.clone(),
                written_by: newest.version.clone(),
                known: list.last().map_or("nothing", |step| step.name).to_owned(),
            });
        };
        if known.name != step.name {
            let reason = format!("its schema has {} where ours has {}", step.name, known.name);
            return Err(Error::Foreign { database: database.to_owned(), reason });
        }
    }
    Ok(list.get(applied.len()))
}

/// Ours, empty, or somebody else's: by the first of its tables.
fn is_new(database: &str, first_table: Option<&str>) -> Result<bool, Error> {
    match first_table {
        None => Ok(true),
        Some("schema_migration") => Ok(false),
        Some(other) => {
            let reason = format!("it holds a table {other} and no schema_migration; give us a database of our own");
            Err(Error::Foreign { database: database.to_owned(), reason })
        }
    }
}

fn failed(database: &str, step: &Migration, error: &sqlx::Error) -> Error {
    match Error::of(database, error) {
        // The way is blocked, not the step wrong: the caller may try again.
        blocked @ Error::Unavailable { .. } => blocked,
        _ => Error::Migration {
            database: database.to_owned(),
            migration: step.name.to_owned(),
            reason: error.to_string(),
        },
    }
}

/// The two runners differ in lock, dialect and row type, and in nothing else.
macro_rules! runner {
    ($name:ident, $connection:ty, $begin:expr, $create:expr, $tables:expr, $script:ident) => {
        pub(crate) async fn $name(
            connection: &mut $connection,
            database: &str,
            steps: &Steps<'_>,
        ) -> Result<(), Error> {
            let fault = |error: sqlx::Error| Error::of(database, &error);
            // One more turn than there are steps: the last finds nothing left to do.
            loop {
                let mut tx = $begin(&mut *connection).await.map_err(fault)?;
                let first = sqlx::query($tables).fetch_optional(&mut *tx).await.map_err(fault)?;
                let first: Option<String> = first.map(|row| row.try_get("name")).transpose().map_err(fault)?;
                if is_new(database, first.as_deref())? {
                    sqlx::raw_sql($create).execute(&mut *tx).await.map_err(fault)?;
                }
                let rows = sqlx::query(APPLIED).fetch_all(&mut *tx).await.map_err(fault)?;
                let read =
                    rows.iter().map(|row| Ok(Applied { name: row.try_get("name")?, version: row.try_get("version")? }));
                let applied: Vec<Applied> = read.collect::<Result<_, _>>().map_err(fault)?;
                let Some(step) = next(database, &applied, steps.list)? else {
                    return tx.rollback().await.map_err(fault);
                };
                sqlx::raw_sql(step.$script).execute(&mut *tx).await.map_err(|e| failed(database, step, &e))?;
                let number = i64::try_from(applied.len() + 1).unwrap_or(i64::MAX);
                let record = sqlx::query(RECORD).bind(number).bind(step.name);
                record.bind(steps.now.millis()).bind(VERSION).execute(&mut *tx).await.map_err(fault)?;
                tx.commit().await.map_err(fault)?;
                tracing::info!(database, step = step.name, "the schema of the metadata store moved on");
            }
        }
    };
}

async fn begin_sqlite(connection: &mut SqliteConnection) -> Result<sqlx::SqliteTransaction<'_>, sqlx::Error> {
    // At once the writer: two readers that both want to become one would fail.
    connection.begin_with("BEGIN IMMEDIATE").await
}

async fn begin_postgres(connection: &mut PgConnection) -> Result<sqlx::PgTransaction<'_>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    sqlx::raw_sql(SET_LOCK_TIMEOUT).execute(&mut *tx).await?;
    sqlx::raw_sql(SET_TIMEOUTS).execute(&mut *tx).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    Ok(tx)
}

runner!(run_sqlite, SqliteConnection, begin_sqlite, CREATE_SQLITE, TABLES_SQLITE, sqlite);
runner!(run_postgres, PgConnection, begin_postgres, CREATE_POSTGRES, TABLES_POSTGRES, postgres);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn applied(names: &[&str]) -> Vec<Applied> {
        names.iter().map(|name| Applied { name: (*name).to_owned(), version: "0.9.0".to_owned() }).collect()
    }

    const fn step(name: &'static str) -> Migration {
        Migration { name, sqlite: "", postgres: "" }
    }

    #[test]
    fn the_next_step_is_the_first_that_was_not_applied() {
        let list = [step("0001_a"), step("0002_b")];
        for (done, expected) in
            [(&[][..], Some("0001_a")), (&["0001_a"], Some("0002_b")), (&["0001_a", "0002_b"], None)]
        {
            let next = next("db", &applied(done), &list).expect("ours");
            assert_eq!(next.map(|step| step.name), expected);
        }
    }

    #[test]
    fn a_newer_schema_is_refused_with_the_version_to_run() {
        let error = next("db", &applied(&["0001_a", "0002_b", "0003_c"]), &[step("0001_a")]).expect_err("newer");
        assert_eq!(
            error.to_string(),
            "db: written by watchpost 0.9.0 (schema 0003_c), newer than this version, which knows the schema up to \
             0001_a: run watchpost 0.9.0 or later, or restore an older backup"
        );
    }

    #[test]
    fn another_history_is_refused() {
        let error = next("db", &applied(&["0001_x"]), &[step("0001_a")]).expect_err("not ours");
        assert_eq!(error.to_string(), "db: not a watchpost database: its schema has 0001_x where ours has 0001_a");
    }

    #[test]
    fn both_folders_hold_the_embedded_steps_and_nothing_else() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let known: Vec<String> = MIGRATIONS.iter().map(|step| format!("{}.sql", step.name)).collect();
        for kind in ["sqlite", "postgres"] {
            let entries = std::fs::read_dir(folder.join(kind)).expect("the folder is there");
            let mut files: Vec<String> =
                entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
            files.sort();
            assert_eq!(files, known, "{kind}");
        }
        for (index, step) in MIGRATIONS.iter().enumerate() {
            assert!(step.name.starts_with(&format!("{:04}_", index + 1)), "{} is step {}", step.name, index + 1);
        }
    }

    #[test]
    fn every_sqlite_table_is_strict() {
        for step in MIGRATIONS {
            let tables = step.sqlite.matches("CREATE TABLE").count();
            assert_eq!(step.sqlite.matches(") STRICT;").count(), tables, "{}", step.name);
        }
    }
}
