//! `/setup?key=…`: the first account, reached by the one-time link that the log and the terminal show.

use axum::http::StatusCode;

use crate::filters;
use crate::form::{Fault, Field, faults};
use crate::pages::{Fact, page};
use crate::shell::Head;

/// The set-up page.
#[derive(Clone, Debug)]
pub struct SetupPage {
    pub state: SetupState,
    /// What already runs while nobody has signed in: "Running for", "3 minutes".
    pub facts: Vec<Fact>,
}

/// What the link leads to.
#[derive(Clone, Debug)]
pub enum SetupState {
    /// It is good.
    Open(SetupForm),
    /// Wrong, used or too old. Answered with 403.
    LinkDead,
    /// There is an account already. Answered with 403.
    AlreadyDone,
}

/// The form for the first account.
#[derive(Clone, Debug)]
pub struct SetupForm {
    /// The one-time key of the link, posted back.
    pub key: String,
    /// "until Sat 21 Nov 11:02".
    pub link_until: String,
    pub user: Field,
    pub password: Field,
    pub again: Field,
    pub password_min: u32,
}

impl SetupPage {
    fn status(&self) -> StatusCode {
        match &self.state {
            SetupState::Open(form) if form.faults().is_empty() => StatusCode::OK,
            SetupState::Open(_) => StatusCode::UNPROCESSABLE_ENTITY,
            SetupState::LinkDead | SetupState::AlreadyDone => StatusCode::FORBIDDEN,
        }
    }

    fn head(&self) -> Head {
        Head::of("Set up", "", &[])
    }
}

impl SetupForm {
    fn faults(&self) -> Vec<Fault> {
        faults(&[
            ("user", "User name", &self.user.error),
            ("password", "Password", &self.password.error),
            ("again", "Password again", &self.again.error),
        ])
    }
}

page!(SetupPage, SetupTemplate, "setup.html", Alone);
