//! `/account/two-step`: the second step of signing in, and its recovery codes. Each change asks for the password.

use appliance::identity::IdentityError;
use axum::extract::State;
use axum::response::Response;
use model::secret::Secret;

use super::App;
use super::frame::{Frame, Posted, Said, put};
use super::refusal;
use crate::form::Field;
use crate::pages::account::{EnrolPage, RecoveryCodesPage};
use crate::pages::confirm::ConfirmPage;
use crate::session;

/// What the password is asked for.
type Question = fn(Field) -> ConfirmPage;

fn ask(frame: &Frame, question: Question, error: Option<&IdentityError>) -> Response {
    let password = Field { value: String::new(), error: error.map(refusal::words) };
    frame.show(question(password).render(&frame.shell))
}

/// Wrong passwords are said beside the field, the rest on a page.
fn refused(frame: &Frame, question: Question, error: &IdentityError) -> Response {
    match error {
        IdentityError::WrongPassword | IdentityError::Throttled { .. } | IdentityError::Busy => {
            ask(frame, question, Some(error))
        }
        _ => refusal::page(frame, error),
    }
}

/// `GET /account/two-step`
pub(super) async fn ask_begin(frame: Frame) -> Response {
    ask(&frame, ConfirmPage::two_step_on, None)
}

/// `POST /account/two-step/begin`
pub(super) async fn begin(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    // The button of the account page has no password beside it.
    if fields.get("password").is_empty() {
        return ask(&frame, ConfirmPage::two_step_on, None);
    }
    match app.identity.begin_totp(&frame.caller, &Secret::new(fields.get("password"))).await {
        Ok(start) => {
            let seed = start.seed_base32.expose();
            frame.show(enrol(start.otpauth_url.expose(), seed, Field::default()).render(&frame.shell))
        }
        Err(error) => refused(&frame, ConfirmPage::two_step_on, &error),
    }
}

fn enrol(address: &str, seed: &str, code: Field) -> EnrolPage {
    // For typing: groups of four.
    let groups: Vec<String> =
        seed.as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four).into_owned()).collect();
    EnrolPage { address: address.to_owned(), secret: groups.join(" "), enrolment: seed.to_owned(), code }
}

/// `POST /account/two-step`
pub(super) async fn confirm(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    match app.identity.confirm_totp(&frame.caller, fields.get("code")).await {
        Ok(done) => {
            let codes = done.recovery_codes.iter().map(|code| code.expose().to_owned()).collect();
            let mut response = frame.show(RecoveryCodesPage { codes, replaced: false }.render(&frame.shell));
            put(&mut response, session::keep(&done.token, &frame.origin));
            response
        }
        Err(error @ IdentityError::WrongCode) => {
            // The picture is not drawn again from what a form brings: the app has it by now, the seed can be typed.
            let seed = fields.get("enrolment").chars().filter(char::is_ascii_alphanumeric).take(64).collect::<String>();
            let page = enrol("", &seed, Field::wrong("", refusal::words(&error)));
            frame.show(page.render(&frame.shell))
        }
        Err(error) => refusal::page(&frame, &error),
    }
}

/// `GET /account/two-step/off`
pub(super) async fn ask_off(frame: Frame) -> Response {
    ask(&frame, ConfirmPage::two_step_off, None)
}

/// `POST /account/two-step/off`
pub(super) async fn off(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    match app.identity.disable_totp(&frame.caller, &Secret::new(fields.get("password"))).await {
        Ok(()) => frame.go_saying("/account", Said::TwoStepOff),
        Err(error) => refused(&frame, ConfirmPage::two_step_off, &error),
    }
}

/// `GET /account/two-step/codes`
pub(super) async fn ask_codes(frame: Frame) -> Response {
    ask(&frame, ConfirmPage::new_recovery_codes, None)
}

/// `POST /account/two-step/codes`
pub(super) async fn codes(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    match app.identity.regenerate_recovery_codes(&frame.caller, &Secret::new(fields.get("password"))).await {
        Ok(codes) => {
            let codes = codes.iter().map(|code| code.expose().to_owned()).collect();
            frame.show(RecoveryCodesPage { codes, replaced: true }.render(&frame.shell))
        }
        Err(error) => refused(&frame, ConfirmPage::new_recovery_codes, &error),
    }
}
