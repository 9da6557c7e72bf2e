//! `/audit`: who did what, when, from where, with what result.

use appliance::identity::Caller;
use appliance::surface::Method;
use auth::audit::{AuditFilter, AuditRecord, AuditResult};
use auth::permit::Action;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing;
use axum::{Extension, Json};
use model::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::paging::{self, Asked, List};
use super::problem::Problem;
use super::{Doc, Table, own_path};
use crate::App;

/// Which records; the newest come first.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// Rows in the answer, 1 to 500. Default: 50.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// The name of a user or token.
    who: Option<String>,
    /// The action, such as `login`.
    what: Option<String>,
    result: Option<ResultName>,
    /// Seconds since 1970 or RFC 3339; this time included.
    from: Option<String>,
    /// The same; this time not included.
    to: Option<String>,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ResultName {
    Ok,
    Refused,
    Failed,
}

impl From<ResultName> for AuditResult {
    fn from(name: ResultName) -> Self {
        match name {
            ResultName::Ok => Self::Ok,
            ResultName::Refused => Self::Refused,
            ResultName::Failed => Self::Failed,
        }
    }
}

impl From<AuditResult> for ResultName {
    fn from(result: AuditResult) -> Self {
        match result {
            AuditResult::Ok => Self::Ok,
            AuditResult::Refused => Self::Refused,
            AuditResult::Failed => Self::Failed,
        }
    }
}

/// One deed.
#[derive(Debug, Serialize, JsonSchema)]
struct Record {
    sequence: i64,
    at: String,
    /// `user`, `token`, `operator`, `local` or `anonymous`.
    actor_kind: String,
    actor: String,
    /// Empty for what was done on the machine itself.
    address: String,
    action: String,
    object: String,
    result: ResultName,
    detail: String,
    /// Over this record and the hash of the one before: a changed or missing record shows.
    hash: String,
}

impl From<AuditRecord> for Record {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { sequence, deed, hash } = record;
        Self {
            sequence,
            at: deed.at.to_string(),
            actor_kind: deed.actor_kind,
            actor: deed.actor,
            address: deed.address,
            action: deed.action,
            object: deed.object,
            result: deed.result.into(),
            detail: deed.detail,
            hash: hash.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
        }
    }
}

pub(super) fn register(table: &mut Table) {
    let doc = Doc::new("Lists the audit log, newest first").query::<AuditQuery>().answers::<List<Record>>(200);
    table.add(Method::Get, own_path!("/audit"), Action::Administer, doc, routing::get(list));
}

async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<AuditQuery>,
) -> Result<Json<List<Record>>, Problem> {
    let filter = AuditFilter {
        before: paging::after(query.cursor.as_deref())?,
        limit: paging::limit(query.limit)?,
        who: query.who,
        what: query.what,
        result: query.result.map(AuditResult::from),
        object: None,
        from: time("from", query.from.as_deref())?,
        to: time("to", query.to.as_deref())?,
    };
    let records = app.identity.audit(&caller, &filter).await?;
    Ok(Json(List::from_rows(records.items, records.next, Record::from)))
}

fn time(field: &'static str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    Timestamp::parse(text).map(Some).ok_or_else(|| {
        let detail = format!("{field}: expected seconds since 1970 or a time such as 2026-01-31T12:00:00Z");
        Problem::of_field(StatusCode::BAD_REQUEST, field, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_or_a_date_and_anything_else_is_named() {
        assert_eq!(time("from", Some("1.5")).expect("seconds"), Some(Timestamp(1_500)));
        assert_eq!(time("from", Some("1970-01-01T00:00:02Z")).expect("a date"), Some(Timestamp(2_000)));
        assert_eq!(time("from", None).expect("absent"), None);
        for wrong in ["", "yesterday", "NaN", "1e300"] {
            assert_eq!(time("to", Some(wrong)).expect_err(wrong).field, Some("to"));
        }
    }
}
