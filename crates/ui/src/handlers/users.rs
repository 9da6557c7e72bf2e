//! `/settings/users`: everybody, and somebody new.

use appliance::identity::{IdentityError, UserRequest};
use auth::account::User;
use auth::permit::Role;
use auth::ports::Page;
use axum::extract::State;
use axum::response::Response;
use model::secret::Secret;
use model::time::Timestamp;

use super::App;
use super::account::password_min;
use super::frame::{Fields, Frame, Posted, Said};
use super::{refusal, times};
use crate::form::{Choice, Field};
use crate::pages::users::{NewUserPage, UserList, UserRow, UsersPage};

/// One page of them: a team is smaller, and the API pages through more.
const ROWS_MAX: u32 = 500;

/// `GET /settings/users`
pub(super) async fn show(State(app): State<App>, frame: Frame) -> Response {
    let now = app.health.now();
    let page = Page { after: None, limit: ROWS_MAX };
    let list = match app.identity.users(&frame.caller, page).await {
        Ok(users) => {
            let mut rows = Vec::with_capacity(users.items.len());
            for user in &users.items {
                let sessions = app.identity.sessions(&frame.caller, user.id).await.map_or(0, |sessions| sessions.len());
                rows.push(row(user, &frame, now, sessions));
            }
            UserList::Rows(rows)
        }
        Err(error) => UserList::Failed(refusal::words(&error)),
    };
    frame.show(UsersPage { list }.render(&frame.shell))
}

fn row(user: &User, frame: &Frame, now: Timestamp, sessions: usize) -> UserRow {
    UserRow {
        id: user.id.0.to_string(),
        name: user.name.clone(),
        role: user.role.as_str().to_owned(),
        disabled: user.disabled,
        two_step: user.second_factor,
        last_seen: user.last_login.map_or_else(|| "never".to_owned(), |at| times::ago(at, now)),
        sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        you: frame.caller.principal.user() == Some(user.id),
    }
}

/// The roles, one of them chosen.
pub(super) fn roles(chosen: Option<Role>) -> Vec<Choice> {
    let note = |role| match role {
        Role::Viewer => "sees everything but settings",
        Role::Editor => "silences, makes dashboards and checks",
        Role::Admin => "everything, users and settings included",
    };
    let choice = |role: Role| Choice {
        value: role.as_str().to_owned(),
        label: role.as_str().to_owned(),
        note: note(role).to_owned(),
        chosen: chosen == Some(role),
    };
    Role::ALL.into_iter().map(choice).collect()
}

fn form(app: &App, fields: Option<&Fields>) -> NewUserPage {
    let role = fields.and_then(|fields| Role::parse(fields.get("role"))).unwrap_or(Role::Viewer);
    NewUserPage {
        name: Field::new(fields.map_or("", |fields| fields.get("name"))),
        password: Field::default(),
        roles: roles(Some(role)),
        roles_error: None,
        password_min: password_min(app),
    }
}

/// `GET /settings/users/new`
pub(super) async fn ask_new(State(app): State<App>, frame: Frame) -> Response {
    frame.show(form(&app, None).render(&frame.shell))
}

/// `POST /settings/users`
pub(super) async fn create(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let mut page = form(&app, Some(&fields));
    let Some(role) = Role::parse(fields.get("role")) else {
        page.roles_error = Some("Choose one of these.".to_owned());
        return frame.show(page.render(&frame.shell));
    };
    let password = Secret::new(fields.get("password"));
    let request = UserRequest { name: fields.get("name").to_owned(), role, password: Some(password) };
    match app.identity.create_user(&frame.caller, &request).await {
        Ok(made) => frame.go_saying(&format!("/settings/users/{}", made.user.id.0), Said::UserMade),
        Err(error @ (IdentityError::Invalid { .. } | IdentityError::NameTaken)) => {
            let of_password = matches!(&error, IdentityError::Invalid { field, .. } if *field == "password");
            let wrong = if of_password { &mut page.password } else { &mut page.name };
            wrong.error = Some(refusal::words(&error));
            frame.show(page.render(&frame.shell))
        }
        Err(error) => refusal::page(&frame, &error),
    }
}
