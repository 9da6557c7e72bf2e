//! `/account`: one's own password and sessions.

use appliance::identity::{IdentityError, SessionView};
use auth::account::User;
use auth::permit::{Principal, SessionId};
use axum::extract::State;
use axum::response::Response;
use model::secret::Secret;
use model::time::Timestamp;

use super::App;
use super::frame::{Frame, Posted, Said, put};
use super::{refusal, times};
use crate::form::Field;
use crate::pages::account::{AccountPage, PasswordForm, SessionRow, TwoStep};
use crate::session;

/// `GET /account`
pub(super) async fn show(State(app): State<App>, frame: Frame) -> Response {
    render(&app, &frame, empty_form(&app)).await
}

pub(super) fn password_min(app: &App) -> u32 {
    app.reloader.current().settings.auth.password.min_length
}

fn empty_form(app: &App) -> PasswordForm {
    PasswordForm {
        current: Field::default(),
        password: Field::default(),
        again: Field::default(),
        password_min: password_min(app),
        changed: String::new(),
    }
}

async fn render(app: &App, frame: &Frame, password: PasswordForm) -> Response {
    match load(app, frame, password).await {
        Ok(page) => frame.show(page.render(&frame.shell)),
        Err(error) => refusal::page(frame, &error),
    }
}

async fn load(app: &App, frame: &Frame, password: PasswordForm) -> Result<AccountPage, IdentityError> {
    let user = app.identity.me(&frame.caller).await?;
    let sessions = app.identity.sessions(&frame.caller, user.id).await?;
    let now = app.health.now();
    Ok(AccountPage {
        name: user.name.clone(),
        role: user.role.as_str().to_owned(),
        since: format!("since {}", times::day(user.created)),
        password,
        two_step: two_step(&user),
        sessions: sessions.iter().map(|session| row(session, now)).collect(),
    })
}

fn two_step(user: &User) -> TwoStep {
    if user.second_factor {
        TwoStep::On { since: String::new(), codes_left: u32::try_from(user.recovery_codes_left).unwrap_or(u32::MAX) }
    } else {
        TwoStep::Off { required: false }
    }
}

/// A session as lists show it.
pub(super) fn row(session: &SessionView, now: Timestamp) -> SessionRow {
    SessionRow {
        id: session.id.0.to_string(),
        browser: browser(&session.agent),
        address: session.address.clone(),
        started: times::full(session.created),
        last_seen: times::ago(session.last_seen, now),
        current: session.current,
    }
}

/// `Firefox on Linux`, from what a browser calls itself; the beginning of that where it is none we know.
fn browser(agent: &str) -> String {
    // The order matters: most browsers also call themselves like those they descend from.
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ];
    let find =
        |table: &[(&str, &'static str)]| table.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name);
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ if agent.is_empty() => "unknown".to_owned(),
        _ => agent.chars().take(60).collect(),
    }
}

/// `POST /account/password`
pub(super) async fn change_password(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let mut form = empty_form(&app);
    if fields.get("password") != fields.get("again") {
        form.again.error = Some("This is not the same as above.".to_owned());
        return render(&app, &frame, form).await;
    }
    let (current, new) = (Secret::new(fields.get("current")), Secret::new(fields.get("password")));
    match app.identity.change_password(&frame.caller, &current, &new).await {
        Ok(token) => {
            let mut response = frame.go_saying("/account", Said::PasswordChanged);
            put(&mut response, session::keep(&token, &frame.origin));
            response
        }
        Err(error @ IdentityError::Invalid { .. }) => {
            form.password.error = Some(refusal::words(&error));
            render(&app, &frame, form).await
        }
        Err(error @ (IdentityError::WrongPassword | IdentityError::Throttled { .. } | IdentityError::Busy)) => {
            form.current.error = Some(refusal::words(&error));
            render(&app, &frame, form).await
        }
        Err(error) => refusal::page(&frame, &error),
    }
}

/// `POST /account/sessions/end`
pub(super) async fn end_session(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let (Some(user), Ok(id)) = (frame.caller.principal.user(), fields.get("session").parse()) else {
        return refusal::page(&frame, &IdentityError::NotFound);
    };
    let own = matches!(&frame.caller.principal, Principal::User { session, .. } if *session == SessionId(id));
    match app.identity.close_session(&frame.caller, user, SessionId(id)).await {
        Ok(()) if own => {
            let mut response = frame.go("/login?signed_out=1");
            put(&mut response, session::forget(&frame.origin));
            response
        }
        Ok(()) => frame.go_saying("/account", Said::SessionEnded),
        Err(error) => refusal::page(&frame, &error),
    }
}

/// `POST /account/sessions/end-others`
pub(super) async fn end_others(State(app): State<App>, posted: Posted) -> Response {
    let frame = posted.frame;
    match app.identity.close_other_sessions(&frame.caller).await {
        Ok(_) => frame.go_saying("/account", Said::OthersEnded),
        Err(error) => refusal::page(&frame, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_by_what_people_call_it() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36";
        for (agent, expected) in [
            (chrome, "Chrome on Linux"),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Version/17.5 Safari/605.1.15", "Safari on macOS"),
            ("Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
            ("curl/8.5.0", "curl"),
            ("", "unknown"),
            ("something else", "something else"),
        ] {
            assert_eq!(browser(agent), expected);
        }
        assert_eq!(browser(&"x".repeat(1_000)).len(), 60);
    }
}
