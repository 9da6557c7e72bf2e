//! `/setup`: the first account, made by whoever holds the one-time link.

use appliance::identity::{Credentials, IdentityError, SetupState as State_};
use axum::extract::{Query, State};
use axum::response::Response;
use model::secret::Secret;
use serde::Deserialize;

use super::App;
use super::frame::{Fields, Frame, Posted, Said, put};
use super::{refusal, times};
use crate::form::Field;
use crate::pages::Fact;
use crate::pages::setup::{SetupForm, SetupPage, SetupState};
use crate::session;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    key: String,
}

/// `GET /setup?key=…`
pub(super) async fn show(State(app): State<App>, frame: Frame, Query(link): Query<Link>) -> Response {
    let state = match app.identity.setup_state().await {
        Err(error) => return refusal::page(&frame, &error),
        Ok(State_::Ready) => SetupState::AlreadyDone,
        Ok(State_::NeedsSetup) => match app.identity.setup_link_is_good(&link.key).await {
            Ok(true) => SetupState::Open(form(&app, &link.key)),
            Ok(false) => SetupState::LinkDead,
            Err(error) => return refusal::page(&frame, &error),
        },
    };
    frame.show(page(&app, state).render(&frame.shell))
}

fn page(app: &App, state: SetupState) -> SetupPage {
    let health = app.health.full();
    let uptime = times::span(std::time::Duration::from_secs(health.uptime));
    let facts = vec![
        Fact::new("Running for", uptime),
        Fact::new("Version", health.version),
        Fact::new("Health", health.status),
    ];
    SetupPage { state, facts }
}

fn form(app: &App, key: &str) -> SetupForm {
    SetupForm {
        key: key.to_owned(),
        link_until: "for 24 hours after the start that showed it".to_owned(),
        user: Field::new("admin"),
        password: Field::default(),
        again: Field::default(),
        password_min: app.reloader.current().settings.auth.password.min_length,
    }
}

/// `POST /setup`
pub(super) async fn complete(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let key = fields.get("key");
    if fields.get("password") != fields.get("again") {
        let mut form = filled(&app, &fields);
        form.again.error = Some("This is not the same as above.".to_owned());
        return frame.show(page(&app, SetupState::Open(form)).render(&frame.shell));
    }
    let credentials =
        Credentials { name: fields.get("user").to_owned(), password: Secret::new(fields.get("password")) };
    match app.identity.complete_setup(key, &credentials, &frame.caller.client).await {
        Ok(inside) => {
            let mut response = frame.go_saying("/", Said::SignedIn);
            put(&mut response, session::keep(&inside.token, &frame.origin));
            response
        }
        Err(IdentityError::SetupDone) => frame.show(page(&app, SetupState::AlreadyDone).render(&frame.shell)),
        Err(IdentityError::BadLink) => frame.show(page(&app, SetupState::LinkDead).render(&frame.shell)),
        Err(error @ IdentityError::Invalid { field, .. }) => {
            let mut form = filled(&app, &fields);
            let wrong = if field == "password" { &mut form.password } else { &mut form.user };
            wrong.error = Some(refusal::words(&error));
            frame.show(page(&app, SetupState::Open(form)).render(&frame.shell))
        }
        Err(error) => refusal::page(&frame, &error),
    }
}

fn filled(app: &App, fields: &Fields) -> SetupForm {
    SetupForm { user: Field::new(fields.get("user")), ..form(app, fields.get("key")) }
}
