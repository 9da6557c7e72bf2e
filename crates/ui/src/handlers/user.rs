//! `/settings/users/<id>`: one user, and everything an administrator may do to them.

use appliance::identity::{IdentityError, UserUpdate};
use auth::permit::{Role, UserId};
use auth::ports::Page;
use axum::extract::{Path, State};
use axum::response::Response;
use model::secret::Secret;

use super::App;
use super::account::{self, password_min};
use super::frame::{Frame, Posted, Said};
use super::users::roles;
use super::{refusal, times};
use crate::form::Field;
use crate::pages::confirm::ConfirmPage;
use crate::pages::users::UserPage;

/// Tokens of one user that are counted.
const TOKENS_MAX: u32 = 500;

/// What a refused form puts on the page.
#[derive(Default)]
struct Faults {
    role: Option<String>,
    password: Option<String>,
}

/// `GET /settings/users/{id}`
pub(super) async fn show(State(app): State<App>, Path(id): Path<String>, frame: Frame) -> Response {
    render(&app, &frame, &id, Faults::default()).await
}

/// What is no number is no user.
fn id_of(text: &str) -> Result<UserId, IdentityError> {
    text.parse().map(UserId).map_err(|_| IdentityError::NotFound)
}

async fn render(app: &App, frame: &Frame, id: &str, faults: Faults) -> Response {
    match load(app, frame, id, faults).await {
        Ok(page) => frame.show(page.render(&frame.shell)),
        Err(error) => refusal::page(frame, &error),
    }
}

async fn load(app: &App, frame: &Frame, id: &str, faults: Faults) -> Result<UserPage, IdentityError> {
    let (identity, caller, now) = (&app.identity, &frame.caller, app.health.now());
    let user = identity.user(caller, id_of(id)?).await?;
    let sessions = identity.sessions(caller, user.id).await?;
    let tokens = identity.tokens(caller, Some(user.id), Page { after: None, limit: TOKENS_MAX }).await?;
    Ok(UserPage {
        id: user.id.0.to_string(),
        name: user.name.clone(),
        roles: roles(Some(user.role)),
        roles_error: faults.role,
        password: Field { value: String::new(), error: faults.password },
        password_min: password_min(app),
        disabled: user.disabled,
        two_step: user.second_factor.then(|| "on".to_owned()),
        created: times::day(user.created),
        last_seen: user.last_login.map_or_else(|| "never".to_owned(), |at| times::ago(at, now)),
        sessions: sessions.iter().map(|session| account::row(session, now)).collect(),
        tokens: u32::try_from(tokens.items.len()).unwrap_or(u32::MAX),
        you: caller.principal.user() == Some(user.id),
        // Asked when it is tried: two administrators may look at once.
        last_admin: false,
    })
}

async fn update(app: &App, frame: &Frame, id: &str, update: UserUpdate) -> Response {
    let outcome = match id_of(id) {
        Ok(user) => app.identity.update_user(&frame.caller, user, &update).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(_) => frame.go_saying(&format!("/settings/users/{id}"), Said::UserChanged),
        Err(error @ IdentityError::LastAdmin) => {
            render(app, frame, id, Faults { role: Some(refusal::words(&error)), ..Faults::default() }).await
        }
        Err(error) => refusal::page(frame, &error),
    }
}

/// `POST /settings/users/{id}/role`
pub(super) async fn role(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let Some(role) = Role::parse(fields.get("role")) else {
        let faults = Faults { role: Some("Choose one of these.".to_owned()), ..Faults::default() };
        return render(&app, &frame, &id, faults).await;
    };
    update(&app, &frame, &id, UserUpdate { role: Some(role), disabled: None, seen_version: None }).await
}

/// `POST /settings/users/{id}/disable`
pub(super) async fn disable(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    update(&app, &posted.frame, &id, UserUpdate { role: None, disabled: Some(true), seen_version: None }).await
}

/// `POST /settings/users/{id}/enable`
pub(super) async fn enable(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    update(&app, &posted.frame, &id, UserUpdate { role: None, disabled: Some(false), seen_version: None }).await
}

/// `POST /settings/users/{id}/password`
pub(super) async fn password(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let outcome = match id_of(&id) {
        Ok(user) => {
            let password = Secret::new(fields.get("password"));
            app.identity.reset_password(&frame.caller, user, Some(&password)).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(_) => frame.go_saying(&format!("/settings/users/{id}"), Said::PasswordSet),
        Err(error @ IdentityError::Invalid { .. }) => {
            let faults = Faults { password: Some(refusal::words(&error)), ..Faults::default() };
            render(&app, &frame, &id, faults).await
        }
        Err(error) => refusal::page(&frame, &error),
    }
}

/// `POST /settings/users/{id}/reset-two-step`
pub(super) async fn reset_two_step(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let frame = posted.frame;
    let outcome = match id_of(&id) {
        Ok(user) => app.identity.reset_mfa(&frame.caller, user).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => frame.go_saying(&format!("/settings/users/{id}"), Said::TwoStepReset),
        Err(error) => refusal::page(&frame, &error),
    }
}

/// `POST /settings/users/{id}/end-sessions`
pub(super) async fn end_sessions(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let frame = posted.frame;
    match close_all(&app, &frame, &id).await {
        Ok(()) => frame.go_saying(&format!("/settings/users/{id}"), Said::SessionsEnded),
        Err(error) => refusal::page(&frame, &error),
    }
}

async fn close_all(app: &App, frame: &Frame, id: &str) -> Result<(), IdentityError> {
    let user = id_of(id)?;
    for session in app.identity.sessions(&frame.caller, user).await? {
        match app.identity.close_session(&frame.caller, user, session.id).await {
            // It ended by itself meanwhile.
            Ok(()) | Err(IdentityError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `GET /settings/users/{id}/delete`
pub(super) async fn ask_delete(State(app): State<App>, Path(id): Path<String>, frame: Frame) -> Response {
    match load(&app, &frame, &id, Faults::default()).await {
        Ok(user) => {
            let (sessions, tokens) = (user.sessions.len(), user.tokens);
            let consequence = format!(
                "{sessions} sessions and {tokens} tokens go with it. What the user did stays in the audit log."
            );
            frame.show(ConfirmPage::delete_user(&user.id, &user.name, &consequence).render(&frame.shell))
        }
        Err(error) => refusal::page(&frame, &error),
    }
}

/// `POST /settings/users/{id}/delete`
pub(super) async fn delete(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let frame = posted.frame;
    let outcome = match id_of(&id) {
        Ok(user) => app.identity.delete_user(&frame.caller, user).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => frame.go_saying("/settings/users", Said::UserDeleted),
        Err(error) => refusal::page(&frame, &error),
    }
}
