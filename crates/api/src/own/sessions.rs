//! `/users/{id}/sessions`: where a user is logged in, and out with it.

use appliance::identity::{Caller, SessionView};
use appliance::surface::Method;
use auth::permit::{Action, SessionId, UserId};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Serialize;

use super::body::Ids;
use super::paging::List;
use super::problem::Problem;
use super::{Doc, Table, own_path};
use crate::App;

/// A login that lasts.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Session")]
struct SessionBody {
    id: i64,
    created: String,
    last_seen: String,
    expires: String,
    /// The address it was made from.
    address: String,
    agent: String,
    /// The one this request was sent with.
    current: bool,
}

impl From<SessionView> for SessionBody {
    fn from(session: SessionView) -> Self {
        Self {
            id: session.id.0,
            created: session.created.to_string(),
            last_seen: session.last_seen.to_string(),
            expires: session.expires.to_string(),
            address: session.address,
            agent: session.agent,
            current: session.current,
        }
    }
}

pub(super) fn register(table: &mut Table) {
    let doc = Doc::new("Lists where a user is logged in").answers::<List<SessionBody>>(200);
    let path = own_path!("/users/{id}/sessions");
    table.add(Method::Get, path, Action::Administer, doc, routing::get(list));
    let doc = Doc::new("Closes one session");
    let path = own_path!("/users/{id}/sessions/{session}");
    table.add(Method::Delete, path, Action::Administer, doc, routing::delete(close));
}

async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Ids(id): Ids<i64>,
) -> Result<Json<List<SessionBody>>, Problem> {
    let sessions = app.identity.sessions(&caller, UserId(id)).await?;
    Ok(Json(List::from_rows(sessions, None, SessionBody::from)))
}

async fn close(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Ids((id, session)): Ids<(i64, i64)>,
) -> Result<StatusCode, Problem> {
    app.identity.close_session(&caller, UserId(id), SessionId(session)).await?;
    Ok(StatusCode::NO_CONTENT)
}
