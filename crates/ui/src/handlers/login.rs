//! `/login` and `/logout`.

use appliance::identity::{CodeRequest, IdentityError, LoggedIn, Login, LoginRequest, SetupState};
use auth::permit::Principal;
use auth::redirect::safe_redirect;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use model::secret::Secret;
use serde::Deserialize;

use super::App;
use super::frame::{Fields, Frame, Posted, put};
use super::{refusal, times};
use crate::headers::SIGNED_OUT;
use crate::pages::confirm::ConfirmPage;
use crate::pages::failed::NotSetUpPage;
use crate::pages::login::{LoginNotice, LoginPage, LoginProblem, LoginStep};
use crate::session::{self, SessionToken};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    next: String,
    #[serde(default)]
    signed_out: String,
}

fn page(frame: &Frame, next: &str, step: LoginStep, problem: Option<LoginProblem>) -> LoginPage {
    let next = safe_redirect(next).unwrap_or("/").to_owned();
    LoginPage { host: frame.host.clone(), next, step, problem, notice: None, stay_days: None }
}

/// `GET /login?next=…`
pub(super) async fn show(State(app): State<App>, frame: Frame, Query(asked): Query<Asked>) -> Response {
    match app.identity.setup_state().await {
        Ok(SetupState::NeedsSetup) => {
            let text = "The link was written to the log at the start and holds for 24 hours.";
            return frame.show(NotSetUpPage { link_until: text.to_owned() }.render(&frame.shell));
        }
        Ok(SetupState::Ready) => {}
        Err(error) => return refusal::page(&frame, &error),
    }
    if frame.caller.principal != Principal::Anonymous {
        return frame.go(safe_redirect(&asked.next).unwrap_or("/"));
    }
    let mut page = page(&frame, &asked.next, LoginStep::Password { user: String::new() }, None);
    if !asked.signed_out.is_empty() {
        page.notice = Some(LoginNotice::SignedOut);
    }
    frame.show(page.render(&frame.shell))
}

/// `POST /login`
pub(super) async fn password(
    State(app): State<App>,
    previous: Option<Extension<SessionToken>>,
    posted: Posted,
) -> Response {
    let Posted { frame, fields } = posted;
    let request = LoginRequest {
        name: fields.get("user").to_owned(),
        password: Secret::new(fields.get("password")),
        code: None,
        client: frame.caller.client.clone(),
        previous: previous.map(|Extension(token)| token.0),
    };
    let step = LoginStep::Password { user: fields.get("user").to_owned() };
    answer(&frame, &fields, step, LoginProblem::Wrong, app.identity.login(&request).await)
}

/// `POST /login/code`
pub(super) async fn code(
    State(app): State<App>,
    previous: Option<Extension<SessionToken>>,
    posted: Posted,
) -> Response {
    let Posted { frame, fields } = posted;
    let request = CodeRequest {
        challenge: Secret::new(fields.get("challenge")),
        code: fields.get("code").to_owned(),
        client: frame.caller.client.clone(),
        previous: previous.map(|Extension(token)| token.0),
    };
    let step = LoginStep::Code { user: String::new(), challenge: fields.get("challenge").to_owned() };
    answer(&frame, &fields, step, LoginProblem::WrongCode, app.identity.login_with_code(&request).await)
}

fn answer(
    frame: &Frame,
    fields: &Fields,
    step: LoginStep,
    refused: LoginProblem,
    outcome: Result<Login, IdentityError>,
) -> Response {
    let next = fields.get("next");
    let mut wait = None;
    let problem = match outcome {
        Ok(Login::In(inside)) => return enter(frame, next, &inside),
        Ok(Login::NeedsCode { challenge }) => {
            let step = LoginStep::Code { user: String::new(), challenge: challenge.expose().to_owned() };
            return frame.show(page(frame, next, step, None).render(&frame.shell));
        }
        Ok(Login::Refused) => refused,
        Ok(Login::Throttled { retry_after }) => {
            wait = Some(retry_after.as_secs().max(1));
            LoginProblem::Throttled { wait: times::wait(retry_after) }
        }
        Ok(Login::Busy) => {
            wait = Some(1);
            LoginProblem::Busy
        }
        Err(error) => return refusal::page(frame, &error),
    };
    let mut response = frame.show(page(frame, next, step, Some(problem)).render(&frame.shell));
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn enter(frame: &Frame, next: &str, inside: &LoggedIn) -> Response {
    let place = if inside.must_change_password { "/account?temporary=1" } else { safe_redirect(next).unwrap_or("/") };
    let mut response = frame.go(place);
    put(&mut response, session::keep(&inside.token, &frame.origin));
    response
}

/// `GET /logout`: asks, because a link must not sign anybody out.
pub(super) async fn ask_logout(frame: Frame) -> Response {
    if !frame.shell.can_sign_out {
        return frame.go("/login");
    }
    frame.show(ConfirmPage::sign_out("/").render(&frame.shell))
}

/// `POST /logout`
pub(super) async fn logout(State(app): State<App>, posted: Posted) -> Response {
    let frame = posted.frame;
    if let Err(error) = app.identity.logout(&frame.caller).await {
        return refusal::page(&frame, &error);
    }
    let mut response = frame.go("/login?signed_out=1");
    put(&mut response, session::forget(&frame.origin));
    let (name, value) = SIGNED_OUT;
    response.headers_mut().insert(name, value);
    response
}
