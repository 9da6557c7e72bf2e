//! `auth::ports::AuditPort`: table `audit`, and the head of its chain in `identity_state`.
//!
//! The head's row is taken first, so that rows are chained one after another whoever writes them. Triggers refuse to
//! change or take out a row, so that a mistake of ours cannot; who owns the database can, and breaks the chain.

use async_trait::async_trait;
use auth::audit::{AuditFilter, AuditRecord, AuditResult, Deed, chained};
use auth::ports::AuditPort;
use model::port::PortError;
use model::time::Timestamp;

use crate::Store;
use crate::columns::{Columns, word};
use crate::database::{reading, writing};

const NEXT: &str = "UPDATE identity_state SET audit_sequence = audit_sequence + 1 RETURNING audit_sequence, audit_hash";
const ADD: &str = "
    INSERT INTO audit (sequence, at, actor_kind, actor, address, action, object, result, detail, hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const SET_HEAD: &str = "UPDATE identity_state SET audit_hash = $1";
const HEAD: &str = "SELECT audit_sequence, audit_hash FROM identity_state";
const ASK: &str = "
    SELECT * FROM audit
    WHERE ($1 IS NULL OR actor = $1) AND ($2 IS NULL OR action = $2) AND ($3 IS NULL OR object = $3)
        AND ($4 IS NULL OR result = $4) AND ($5 IS NULL OR at >= $5) AND ($6 IS NULL OR at < $6)
        AND ($7 IS NULL OR sequence < $7)
    ORDER BY sequence DESC LIMIT $8";
const AFTER: &str = "SELECT * FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2";

#[async_trait]
impl AuditPort for Store {
    async fn append_audit(&self, deed: &Deed) -> Result<AuditRecord, PortError> {
        let record = writing!(self, |pool| {
            let steps = async {
                let mut tx = pool.begin().await?;
                let head = sqlx::query(NEXT).fetch_one(&mut *tx).await?;
                let sequence = head.number("audit_sequence")?;
                let hash = chained(&head.digest("audit_hash")?, sequence, deed);
                let query = sqlx::query(ADD).bind(sequence).bind(deed.at.millis());
                let query = query.bind(&deed.actor_kind).bind(&deed.actor).bind(&deed.address).bind(&deed.action);
                let query = query.bind(&deed.object).bind(deed.result.as_str()).bind(&deed.detail).bind(&hash[..]);
                query.execute(&mut *tx).await?;
                sqlx::query(SET_HEAD).bind(&hash[..]).execute(&mut *tx).await?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(AuditRecord { sequence, deed: deed.clone(), hash })
            };
            steps.await
        })?;
        Ok(record)
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, PortError> {
        let records = reading!(self, |pool| {
            let query = sqlx::query(ASK).bind(filter.who.as_deref()).bind(filter.what.as_deref());
            let query = query.bind(filter.object.as_deref()).bind(filter.result.map(AuditResult::as_str));
            let query = query.bind(filter.from.map(Timestamp::millis)).bind(filter.to.map(Timestamp::millis));
            match query.bind(filter.before).bind(i64::from(filter.limit)).fetch_all(pool).await {
                Ok(rows) => rows.iter().map(record).collect::<Result<_, _>>(),
                Err(error) => Err(error),
            }
        })?;
        Ok(records)
    }

    async fn audit_after(&self, sequence: i64, limit: u32) -> Result<Vec<AuditRecord>, PortError> {
        let records = reading!(self, |pool| {
            match sqlx::query(AFTER).bind(sequence).bind(i64::from(limit)).fetch_all(pool).await {
                Ok(rows) => rows.iter().map(record).collect::<Result<_, _>>(),
                Err(error) => Err(error),
            }
        })?;
        Ok(records)
    }

    async fn audit_head(&self) -> Result<(i64, [u8; 32]), PortError> {
        let head = reading!(self, |pool| match sqlx::query(HEAD).fetch_one(pool).await {
            Ok(row) => row.number("audit_sequence").and_then(|sequence| Ok((sequence, row.digest("audit_hash")?))),
            Err(error) => Err(error),
        })?;
        Ok(head)
    }
}

fn record(row: &impl Columns) -> Result<AuditRecord, sqlx::Error> {
    let deed = Deed {
        at: row.time("at")?,
        actor_kind: row.text("actor_kind")?,
        actor: row.text("actor")?,
        address: row.text("address")?,
        action: row.text("action")?,
        object: row.text("object")?,
        result: word(row, "result", AuditResult::parse)?,
        detail: row.text("detail")?,
    };
    Ok(AuditRecord { sequence: row.number("sequence")?, deed, hash: row.digest("hash")? })
}
