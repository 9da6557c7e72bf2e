//! The audit log: written by every use case, read by those who administer.

use auth::audit::{AuditFilter, AuditRecord, AuditResult, Broken, CHAIN_START, verify};

use super::{Caller, Identity, IdentityError, Paged, page_limit};

/// Rows that are followed at once when the chain is checked.
const CHECK_ROWS: u32 = 1_000;

/// A deed to be written down.
#[derive(Clone, Copy, Debug)]
pub struct What<'a> {
    pub action: &'a str,
    pub object: &'a str,
    pub result: AuditResult,
    pub detail: &'a str,
}

/// What following the chain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditCheck {
    Whole {
        rows: i64,
    },
    /// At or before this row somebody changed something.
    Broken {
        sequence: i64,
    },
}

impl Identity {
    /// For use cases elsewhere: reload, quit, deleting series.
    pub async fn record(&self, caller: &Caller, what: What<'_>) -> Result<(), IdentityError> {
        self.write(caller, what).await
    }

    /// Newest first; hand `next` back as `before` to go on.
    pub async fn audit(&self, caller: &Caller, filter: &AuditFilter) -> Result<Paged<AuditRecord>, IdentityError> {
        self.administer(caller, "audit.read", "the audit log").await?;
        let limit = page_limit(filter.limit);
        let rows = self.ports.audit(&AuditFilter { limit: limit + 1, ..filter.clone() }).await?;
        Ok(Paged::of(rows, limit, |record| record.sequence))
    }

    /// Follows the whole chain. Reads everything, so it is for a nightly check and `verify`.
    pub async fn verify_audit(&self, caller: &Caller) -> Result<AuditCheck, IdentityError> {
        self.administer(caller, "audit.verify", "the audit log").await?;
        // Looked at first: what is added meanwhile lies behind it.
        let head = self.ports.audit_head().await?;
        let mut reached = (0, CHAIN_START);
        while reached.0 < head.0 {
            let mut rows = self.ports.audit_after(reached.0, CHECK_ROWS).await?;
            rows.retain(|row| row.sequence <= head.0);
            if rows.is_empty() {
                return Ok(AuditCheck::Broken { sequence: reached.0 + 1 });
            }
            reached = match verify(reached, &rows) {
                Ok(reached) => reached,
                Err(Broken { sequence }) => return Ok(AuditCheck::Broken { sequence }),
            };
        }
        Ok(if reached == head { AuditCheck::Whole { rows: head.0 } } else { AuditCheck::Broken { sequence: head.0 } })
    }
}
