//! `auth::ports::ThrottlePort`: table `attempt_counter`.
//!
//! Compare and swap, all in one transaction: whoever looked at a counter that somebody else changed meanwhile changes
//! nothing and looks again.

use async_trait::async_trait;
use auth::ports::ThrottlePort;
use auth::throttle::{Counter, Swap};
use model::port::PortError;
use model::time::Timestamp;

use crate::columns::Columns;
use crate::database::{reading, writing};
use crate::{Error, Store};

const READ: &str = "SELECT level, at FROM attempt_counter WHERE key = $1";
const INSERT: &str = "INSERT INTO attempt_counter (key, level, at) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING";
const UPDATE: &str = "UPDATE attempt_counter SET level = $4, at = $5 WHERE key = $1 AND level = $2 AND at = $3";
const DELETE: &str = "DELETE FROM attempt_counter WHERE key = $1 AND level = $2 AND at = $3";
const ABSENT: &str = "SELECT 1 FROM attempt_counter WHERE key = $1";
const SWEEP: &str = "DELETE FROM attempt_counter WHERE at < $1";

#[async_trait]
impl ThrottlePort for Store {
    async fn counters(&self, keys: &[&str]) -> Result<Vec<Option<Counter>>, PortError> {
        let counters = reading!(self, |pool| {
            let each = async {
                let mut counters = Vec::with_capacity(keys.len());
                for key in keys {
                    let row = sqlx::query(READ).bind(*key).fetch_optional(pool).await?;
                    counters.push(row.as_ref().map(counter).transpose()?);
                }
                Ok::<_, sqlx::Error>(counters)
            };
            each.await
        })?;
        Ok(counters)
    }

    async fn swap_counters(&self, swaps: &[Swap<'_>]) -> Result<bool, PortError> {
        // In one order, so that two of these wait for each other and not in a circle.
        let mut swaps = swaps.to_vec();
        swaps.sort_by_key(|swap| swap.key);
        let done = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                for swap in &swaps {
                    let changed = match (swap.seen, swap.new) {
                        (None, Some(new)) => {
                            let query = sqlx::query(INSERT).bind(swap.key).bind(level(new)).bind(new.at.millis());
                            query.execute(&mut *tx).await?.rows_affected() == 1
                        }
                        (Some(seen), Some(new)) => {
                            let query = sqlx::query(UPDATE).bind(swap.key).bind(level(seen)).bind(seen.at.millis());
                            let query = query.bind(level(new)).bind(new.at.millis());
                            query.execute(&mut *tx).await?.rows_affected() == 1
                        }
                        (Some(seen), None) => {
                            let query = sqlx::query(DELETE).bind(swap.key).bind(level(seen)).bind(seen.at.millis());
                            query.execute(&mut *tx).await?.rows_affected() == 1
                        }
                        (None, None) => sqlx::query(ABSENT).bind(swap.key).fetch_optional(&mut *tx).await?.is_none(),
                    };
                    if !changed {
                        return Ok(false);
                    }
                }
                tx.commit().await?;
                Ok::<_, sqlx::Error>(true)
            };
            steps.await
        });
        match done {
            Ok(done) => Ok(done),
            // The other one won: that is the answer, not a fault.
            Err(Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn sweep_counters(&self, before: Timestamp) -> Result<u64, PortError> {
        let rows = writing!(self, |pool| {
            sqlx::query(SWEEP).bind(before.millis()).execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows)
    }
}

fn level(counter: Counter) -> i64 {
    i64::try_from(counter.level).unwrap_or(i64::MAX)
}

fn counter(row: &impl Columns) -> Result<Counter, sqlx::Error> {
    Ok(Counter { level: row.count("level")?, at: row.time("at")? })
}
