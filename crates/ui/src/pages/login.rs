//! `/login`: a password, then a code where the account asks for one.
//!
//! Promise: what is wrong is said the same way whether or not the account exists.

use axum::http::StatusCode;

use crate::filters;
use crate::pages::page;
use crate::shell::Head;

/// The sign-in page.
#[derive(Clone, Debug)]
pub struct LoginPage {
    /// The name this server is called by, under the form, so that a mistyped address is noticed.
    pub host: String,
    /// Where to go afterwards: a path, posted back as `next`.
    pub next: String,
    pub step: LoginStep,
    pub problem: Option<LoginProblem>,
    pub notice: Option<LoginNotice>,
    /// Whether and for how many days a browser may be remembered; shows the check box `stay`.
    pub stay_days: Option<u32>,
}

/// Which of the two forms.
#[derive(Clone, Debug)]
pub enum LoginStep {
    /// Posts `user`, `password`, `stay`, `next` to `/login`.
    Password { user: String },
    /// Posts `code`, `challenge`, `next` to `/login/code`. A recovery code goes into the same field.
    Code { user: String, challenge: String },
}

/// Why the last attempt did not lead in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginProblem {
    /// Name or password. 401.
    Wrong,
    /// The six digits or the recovery code. 401.
    WrongCode,
    /// Too many attempts for this name or from this network; `wait` as "40 seconds". 429.
    Throttled { wait: String },
    /// More people sign in at once than this server hashes passwords for. 429.
    Busy,
    /// The second step came too late; it begins again. 401.
    StepExpired,
    /// The form token did not fit: a page left open, or cookies switched off. 403.
    FormExpired,
}

/// Why somebody is here who did not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginNotice {
    SignedOut,
    SessionEnded,
    PasswordChanged,
    AccountMade,
}

impl LoginProblem {
    /// What is the case, and what helps.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Wrong => "User name or password is wrong.".to_owned(),
            Self::WrongCode => "This code is wrong or was used already. A new one appears every 30 seconds.".to_owned(),
            Self::Throttled { wait } => format!("Too many attempts. The next one is possible in {wait}."),
            Self::Busy => "Many people are signing in at this moment. Try again in a few seconds.".to_owned(),
            Self::StepExpired => "The second step took too long. Enter your password again.".to_owned(),
            Self::FormExpired => "This page was open for too long, or cookies are off. Try again.".to_owned(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Wrong | Self::WrongCode | Self::StepExpired => StatusCode::UNAUTHORIZED,
            Self::Throttled { .. } | Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::FormExpired => StatusCode::FORBIDDEN,
        }
    }
}

impl LoginNotice {
    /// One sentence.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::SignedOut => "You are signed out.",
            Self::SessionEnded => "Your session ended. Sign in to go on where you were.",
            Self::PasswordChanged => "Your password is changed, and every session ended. Sign in with the new one.",
            Self::AccountMade => "The account is made. Sign in with it.",
        }
    }
}

impl LoginPage {
    fn status(&self) -> StatusCode {
        self.problem.as_ref().map_or(StatusCode::OK, LoginProblem::status)
    }

    fn head(&self) -> Head {
        Head::of("Sign in", "", &[])
    }
}

page!(LoginPage, LoginTemplate, "login.html", Bare);
