//! `/account`: one's own password, second step and sessions.

use axum::http::StatusCode;

use crate::filters;
use crate::form::{Fault, Field, faults};
use crate::pages::page;
use crate::qr::QrCode;
use crate::shell::Head;

/// The account page.
#[derive(Clone, Debug)]
pub struct AccountPage {
    pub name: String,
    pub role: String,
    /// "since 12 Nov 2026".
    pub since: String,
    pub password: PasswordForm,
    pub two_step: TwoStep,
    pub sessions: Vec<SessionRow>,
}

/// Posts `current`, `password`, `again` to `/account/password`.
#[derive(Clone, Debug)]
pub struct PasswordForm {
    pub current: Field,
    pub password: Field,
    pub again: Field,
    pub password_min: u32,
    /// "12 Nov 2026"; empty where it was never changed.
    pub changed: String,
}

/// The second step of signing in.
#[derive(Clone, Debug)]
pub enum TwoStep {
    /// The link leads to `/account/two-step`; `required` where the role has to.
    Off { required: bool },
    /// "12 Nov 2026", and how many recovery codes are not used yet.
    On { since: String, codes_left: u32 },
}

/// A browser that is signed in.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Posted as `session` to `/account/sessions/end`; not the secret itself.
    pub id: String,
    /// "Firefox on Linux".
    pub browser: String,
    pub address: String,
    pub started: String,
    pub last_seen: String,
    /// The one that asks.
    pub current: bool,
}

/// `/account/two-step`: the QR code, and the first code to prove that it works. Posts `code`, `secret_id` back.
#[derive(Clone, Debug)]
pub struct EnrolPage {
    /// The `otpauth://` address the QR code holds.
    pub address: String,
    /// The same secret for typing, in groups of four.
    pub secret: String,
    /// Which enrolment this is; empty where the server keeps it with the session.
    pub enrolment: String,
    pub code: Field,
}

/// The recovery codes, on the only page that ever shows them.
#[derive(Clone, Debug)]
pub struct RecoveryCodesPage {
    pub codes: Vec<String>,
    /// Made anew, so the old ones are void.
    pub replaced: bool,
}

impl AccountPage {
    fn status(&self) -> StatusCode {
        if self.password.faults().is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    fn head(&self) -> Head {
        Head::of("Your account", "/account", &[("Settings", "/account")])
    }

    fn others(&self) -> usize {
        self.sessions.iter().filter(|session| !session.current).count()
    }
}

impl PasswordForm {
    fn faults(&self) -> Vec<Fault> {
        faults(&[
            ("current", "Current password", &self.current.error),
            ("password", "New password", &self.password.error),
            ("again", "New password again", &self.again.error),
        ])
    }
}

impl EnrolPage {
    fn status(&self) -> StatusCode {
        if self.code.error.is_none() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    fn head(&self) -> Head {
        Head::of("Two-step sign-in", "/account", &[("Settings", "/account"), ("Your account", "/account")])
    }

    /// None where the address is longer than a QR code of ours holds; the secret can still be typed.
    fn qr(&self) -> Option<QrCode> {
        QrCode::encode(self.address.as_bytes())
    }
}

impl RecoveryCodesPage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        Head::of("Recovery codes", "/account", &[("Settings", "/account"), ("Your account", "/account")])
    }
}

page!(AccountPage, AccountTemplate, "account.html", Frame);
page!(EnrolPage, EnrolTemplate, "enrol.html", Frame);
page!(RecoveryCodesPage, RecoveryCodesTemplate, "recovery_codes.html", Frame);
