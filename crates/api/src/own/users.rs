//! `/users` and `/me`: who may log in, and as what.

use appliance::identity::{Caller, UserRequest, UserUpdate};
use appliance::surface::Method;
use auth::account::User;
use auth::permit::{Action, Role, UserId};
use auth::ports::Page;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use axum::{Extension, Json};
use model::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::{Ids, Sent, etag, seen_version};
use super::paging::{Asked, List, PageQuery};
use super::problem::Problem;
use super::{Doc, Table, own_path};
use crate::App;

/// `viewer`, `editor` or `admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoleName {
    Viewer,
    Editor,
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Editor => Self::Editor,
            RoleName::Admin => Self::Admin,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Editor => Self::Editor,
            Role::Admin => Self::Admin,
        }
    }
}

/// A user.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "User")]
struct UserBody {
    id: i64,
    name: String,
    role: RoleName,
    /// Cannot log in; the sessions are closed and the tokens refused.
    disabled: bool,
    /// RFC 3339.
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_login: Option<String>,
    /// Whether a one-time code is asked for at login.
    second_factor: bool,
    recovery_codes_left: u64,
    /// Until when the password that an administrator made can be used; absent where it is the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    temporary_password_until: Option<String>,
}

impl From<&User> for UserBody {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            name: user.name.clone(),
            role: user.role.into(),
            disabled: user.disabled,
            created: user.created.to_string(),
            last_login: user.last_login.map(|at| at.to_string()),
            second_factor: user.second_factor,
            recovery_codes_left: user.recovery_codes_left,
            temporary_password_until: user.temporary_password_until.map(|at| at.to_string()),
        }
    }
}

/// A user to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    role: RoleName,
    /// Absent: one is made, answered once, and good for a day.
    password: Option<String>,
}

/// A user that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct MadeUser {
    #[serde(flatten)]
    user: UserBody,
    /// Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    temporary_password: Option<String>,
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserChange {
    role: Option<RoleName>,
    disabled: Option<bool>,
}

/// A new password for a user.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// Absent: one is made, answered once, and good for a day.
    password: Option<String>,
}

/// What a reset leaves.
#[derive(Debug, Serialize, JsonSchema)]
struct ResetPassword {
    /// Shown this once; absent where the caller gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    temporary_password: Option<String>,
}

pub(super) fn register(table: &mut Table) {
    use Action::{Administer, OwnAccount};
    use Method::{Delete, Get, Patch, Post};
    let doc = Doc::new("The user who asks").answers::<UserBody>(200);
    table.add(Get, own_path!("/me"), OwnAccount, doc, routing::get(me));
    let doc = Doc::new("Lists users").query::<PageQuery>().answers::<List<UserBody>>(200);
    table.add(Get, own_path!("/users"), Administer, doc, routing::get(list));
    let doc = Doc::new("Makes a user").body::<NewUser>().answers::<MadeUser>(201);
    table.add(Post, own_path!("/users"), Administer, doc, routing::post(create));
    let doc = Doc::new("One user, with its version as ETag").answers::<UserBody>(200);
    table.add(Get, own_path!("/users/{id}"), Administer, doc, routing::get(one));
    let doc = Doc::new("Changes role or access of a user").body::<UserChange>().answers::<UserBody>(200);
    table.add(Patch, own_path!("/users/{id}"), Administer, doc, routing::patch(change));
    let doc = Doc::new("Removes a user with its sessions and tokens");
    table.add(Delete, own_path!("/users/{id}"), Administer, doc, routing::delete(remove));
    let doc = Doc::new("Gives a user another password").body::<NewPassword>().answers::<ResetPassword>(200);
    table.add(Post, own_path!("/users/{id}/password"), Administer, doc, routing::post(reset_password));
    let doc = Doc::new("Takes the second factor off a user");
    table.add(Delete, own_path!("/users/{id}/second-factor"), Administer, doc, routing::delete(reset_second_factor));
}

/// With its version, so that an edit can name what it was made from.
fn versioned(user: &User) -> Response {
    ([(header::ETAG, etag(user.version))], Json(UserBody::from(user))).into_response()
}

fn shown_once(secret: &Secret) -> String {
    secret.expose().to_owned()
}

async fn me(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, Problem> {
    Ok(versioned(&app.identity.me(&caller).await?))
}

async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<List<UserBody>>, Problem> {
    let page = Page { after: query.after()?, limit: query.limit()? };
    let users = app.identity.users(&caller, page).await?;
    Ok(Json(List::from_rows(users.items, users.next, |user| UserBody::from(&user))))
}

async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Sent(new): Sent<NewUser>,
) -> Result<Response, Problem> {
    let request = UserRequest { name: new.name, role: new.role.into(), password: new.password.map(Secret::new) };
    let made = app.identity.create_user(&caller, &request).await?;
    let body = MadeUser {
        user: UserBody::from(&made.user),
        temporary_password: made.temporary_password.as_ref().map(shown_once),
    };
    let place = format!("{}/users/{}", super::ROOT, made.user.id.0);
    let headers = [(header::ETAG, etag(made.user.version)), (header::LOCATION, place.parse().map_err(|_| not_made())?)];
    Ok((StatusCode::CREATED, headers, Json(body)).into_response())
}

fn not_made() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed to do this")
}

async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Ids(id): Ids<i64>,
) -> Result<Response, Problem> {
    Ok(versioned(&app.identity.user(&caller, UserId(id)).await?))
}

async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Ids(id): Ids<i64>,
    headers: HeaderMap,
    Sent(change): Sent<UserChange>,
) -> Result<Response, Problem> {
    let update = UserUpdate {
        role: change.role.map(Role::from),
        disabled: change.disabled,
        seen_version: seen_version(&headers)?,
    };
    Ok(versioned(&app.identity.update_user(&caller, UserId(id), &update).await?))
}

async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Ids(id): Ids<i64>,
) -> Result<StatusCode, Problem> {
    app.identity.delete_user(&caller, UserId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reset_password(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Ids(id): Ids<i64>,
    Sent(new): Sent<NewPassword>,
) -> Result<Json<ResetPassword>, Problem> {
    let password = new.password.map(Secret::new);
    let made = app.identity.reset_password(&caller, UserId(id), password.as_ref()).await?;
    Ok(Json(ResetPassword { temporary_password: made.as_ref().map(shown_once) }))
}

async fn reset_second_factor(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Ids(id): Ids<i64>,
) -> Result<StatusCode, Problem> {
    app.identity.reset_mfa(&caller, UserId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
