//! `appliance::ports::JobsPort`: table `job`.
//!
//! Each call is one statement, so that it happens entirely or not at all without a transaction, and so that several
//! processes on one PostgreSQL meet in the row's lock.

use appliance::ports::{Claim, Finish, JobRecord, JobsPort, Lease, PortError};
use async_trait::async_trait;
use model::time::Timestamp;

use crate::Store;
use crate::columns::Columns;
use crate::database::{reading, writing};

/// In SET, a column's name is its value before the statement.
const SCHEDULE: &str = "
    INSERT INTO job (name, schedule, next_due) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET
        next_due = CASE WHEN job.schedule = excluded.schedule THEN job.next_due ELSE excluded.next_due END,
        schedule = excluded.schedule
    RETURNING *";
const RESCHEDULE: &str = "UPDATE job SET next_due = $3 WHERE name = $1 AND next_due = $2";
/// A lease that is taken over belonged to a run that was cut off: it counts as a failed run.
const CLAIM: &str = "
    UPDATE job SET
        runs = runs + CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END,
        failures = failures + CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END,
        next_due = $3, last_due = $2, last_started = $4, last_late = $5, lease_runner = $6, lease_until = $7
    WHERE name = $1 AND next_due = $2 AND (lease_until IS NULL OR lease_until <= $4)";
const RENEW: &str = "UPDATE job SET lease_until = $3 WHERE name = $1 AND lease_runner = $2";
const FINISH: &str = "
    UPDATE job SET last_finished = $3, last_error = $4, runs = runs + 1, failures = failures + $5,
        lease_runner = NULL, lease_until = NULL
    WHERE name = $1 AND lease_runner = $2";
const LIST: &str = "SELECT * FROM job ORDER BY name";

#[async_trait]
impl JobsPort for Store {
    async fn schedule(&self, name: &str, schedule: &str, next_due: Timestamp) -> Result<JobRecord, PortError> {
        let job = writing!(self, |pool| {
            match sqlx::query(SCHEDULE).bind(name).bind(schedule).bind(next_due.millis()).fetch_one(pool).await {
                Ok(row) => job(&row),
                Err(error) => Err(error),
            }
        })?;
        Ok(job)
    }

    async fn reschedule(&self, name: &str, from: Timestamp, to: Timestamp) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(RESCHEDULE).bind(name).bind(from.millis()).bind(to.millis());
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(CLAIM).bind(claim.name).bind(claim.due.millis()).bind(claim.next_due.millis());
            let query = query.bind(claim.now.millis()).bind(claim.late);
            let query = query.bind(claim.runner).bind(claim.lease_until.millis());
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn renew(&self, name: &str, runner: &str, until: Timestamp) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(RENEW).bind(name).bind(runner).bind(until.millis());
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn finish(&self, finish: &Finish<'_>) -> Result<bool, PortError> {
        let rows = writing!(self, |pool| {
            let query = sqlx::query(FINISH).bind(finish.name).bind(finish.runner).bind(finish.at.millis());
            let query = query.bind(finish.error).bind(i64::from(finish.error.is_some()));
            query.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(rows == 1)
    }

    async fn jobs(&self) -> Result<Vec<JobRecord>, PortError> {
        let jobs = reading!(self, |pool| match sqlx::query(LIST).fetch_all(pool).await {
            Ok(rows) => rows.iter().map(job).collect::<Result<_, _>>(),
            Err(error) => Err(error),
        })?;
        Ok(jobs)
    }
}

fn job(row: &impl Columns) -> Result<JobRecord, sqlx::Error> {
    let lease = match (row.text_or_null("lease_runner")?, row.time_or_null("lease_until")?) {
        (Some(runner), Some(until)) => Some(Lease { runner, until }),
        // The table's CHECK sees to it that both are there or neither.
        _ => None,
    };
    Ok(JobRecord {
        name: row.text("name")?,
        schedule: row.text("schedule")?,
        next_due: row.time("next_due")?,
        last_due: row.time_or_null("last_due")?,
        last_started: row.time_or_null("last_started")?,
        last_finished: row.time_or_null("last_finished")?,
        last_error: row.text_or_null("last_error")?,
        last_late: row.flag("last_late")?,
        runs: row.count("runs")?,
        failures: row.count("failures")?,
        lease,
    })
}
