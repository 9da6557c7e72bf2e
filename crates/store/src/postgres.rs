//! Opening and checking a PostgreSQL database.
//!
//! Connections that the server dropped are noticed when they are taken from the pool and made anew, so a restart of the
//! server costs the calls under way and no more.

use sqlx::postgres::{PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgPool, Row};

use crate::Options;
use crate::error::Error;
use crate::location::PostgresAddress;
use crate::migrate::{self, Steps};

/// No query of ours takes long; one that does has met a lock or a sick server, and gives its connection back.
const STATEMENT_TIMEOUT_MS: u64 = 30_000;

pub(crate) async fn open(
    address: &PostgresAddress,
    shown: &str,
    steps: &Steps<'_>,
    options: &Options,
) -> Result<PgPool, Error> {
    let fault = |error: sqlx::Error| Error::of(shown, &error);
    let connect = address.options()?.application_name("watchpost").disable_statement_logging();

    // Not through the pool, which would try until its timeout and then hide the reason.
    let connected = tokio::time::timeout(options.connect_timeout, PgConnection::connect_with(&connect)).await;
    let mut connection = connected.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(fault)?;
    migrate::run_postgres(&mut connection, shown, steps).await?;
    connection.close().await.map_err(fault)?;

    let lock_timeout_ms = options.lock_timeout.as_millis();
    let timeouts = format!(
        "SELECT set_config('statement_timeout', '{STATEMENT_TIMEOUT_MS}', false), \
         set_config('lock_timeout', '{lock_timeout_ms}', false)"
    );
    let pool = PgPoolOptions::new()
        .max_connections(options.connections_max)
        .acquire_timeout(options.connect_timeout)
        .after_connect(move |connection, _| {
            // Two numbers of ours; as an option in the address it would not pass PgBouncer.
            let timeouts = sqlx::AssertSqlSafe(timeouts.clone());
            Box::pin(async move { connection.execute(timeouts).await.map(drop) })
        });
    pool.connect_with(connect).await.map_err(fault)
}

/// PostgreSQL looks after its pages itself (`pg_amcheck` is the tool for that); what we can see is an index that a
/// failed build or a crash left unusable, and a constraint that was never validated.
pub(crate) async fn check(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    const INDEXES: &str = "SELECT i.indexrelid::regclass::TEXT AS name FROM pg_index i \
        JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = current_schema() AND NOT (i.indisvalid AND i.indisready)";
    const CONSTRAINTS: &str = "SELECT conname::TEXT AS name FROM pg_constraint k \
        JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname = current_schema() AND NOT k.convalidated";
    let mut problems = Vec::new();
    for (query, what) in [(INDEXES, "index"), (CONSTRAINTS, "constraint")] {
        for row in sqlx::query(query).fetch_all(pool).await? {
            let name: String = row.try_get("name")?;
            problems.push(format!("{what} {name} is not valid"));
        }
    }
    Ok(problems)
}
