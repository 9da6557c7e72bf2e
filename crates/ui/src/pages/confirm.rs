//! A question before something is lost. With scripts the same words stand in a dialog; this page works without.

use axum::http::StatusCode;

use crate::filters;
use crate::form::Field;
use crate::pages::page;
use crate::shell::{Crumb, Head};

/// Asks, then posts.
#[derive(Clone, Debug)]
pub struct ConfirmPage {
    /// "Delete the user jonas?"
    pub question: String,
    /// What is lost and what stays.
    pub consequence: String,
    /// Path that is posted to.
    pub action: String,
    /// Hidden fields, as `(name, value)`.
    pub fields: Vec<(String, String)>,
    /// Asks for one's own password first, as the field `password`.
    pub password: Option<Field>,
    /// "Delete user".
    pub verb: String,
    /// The verb destroys something: red.
    pub destructive: bool,
    /// "Keep it", and where that leads.
    pub keep: String,
    pub back: String,
    /// Where one is, for the breadcrumb and the rail.
    pub crumbs: Vec<Crumb>,
    pub current: String,
}

impl ConfirmPage {
    /// `/logout`: asked where signing out was a link.
    #[must_use]
    pub fn sign_out(back: &str) -> Self {
        Self {
            question: "Sign out?".to_owned(),
            consequence: "This browser forgets you. Your other sessions stay.".to_owned(),
            action: "/logout".to_owned(),
            fields: Vec::new(),
            password: None,
            verb: "Sign out".to_owned(),
            destructive: false,
            keep: "Stay".to_owned(),
            back: back.to_owned(),
            crumbs: Vec::new(),
            current: "/account".to_owned(),
        }
    }

    /// `/settings/users/<id>/delete`.
    #[must_use]
    pub fn delete_user(id: &str, name: &str, consequence: &str) -> Self {
        Self {
            question: format!("Delete the user {name}?"),
            consequence: consequence.to_owned(),
            action: format!("/settings/users/{id}/delete"),
            fields: Vec::new(),
            password: None,
            verb: "Delete user".to_owned(),
            destructive: true,
            keep: "Keep it".to_owned(),
            back: format!("/settings/users/{id}"),
            crumbs: [("Settings", "/settings"), ("Users and roles", "/settings/users")].map(crumb).to_vec(),
            current: "/settings/users".to_owned(),
        }
    }

    /// `/account/two-step/off`; `password` holds the error of the last attempt.
    #[must_use]
    pub fn two_step_off(password: Field) -> Self {
        Self {
            question: "Turn two-step sign-in off?".to_owned(),
            consequence: "Your password alone opens your account then. The recovery codes are void.".to_owned(),
            action: "/account/two-step/off".to_owned(),
            verb: "Turn it off".to_owned(),
            destructive: true,
            ..Self::about_account(password)
        }
    }

    /// `/account/two-step/codes`; `password` holds the error of the last attempt.
    #[must_use]
    pub fn new_recovery_codes(password: Field) -> Self {
        Self {
            question: "Make new recovery codes?".to_owned(),
            consequence: "The old ones stop working. The new ones are shown once.".to_owned(),
            action: "/account/two-step/codes".to_owned(),
            verb: "Make new codes".to_owned(),
            ..Self::about_account(password)
        }
    }

    fn about_account(password: Field) -> Self {
        let mut page = Self::sign_out("/account");
        page.keep = "Keep it".to_owned();
        page.password = Some(password);
        page.crumbs = [("Settings", "/account"), ("Your account", "/account")].map(crumb).to_vec();
        page
    }

    fn status(&self) -> StatusCode {
        let refused = self.password.as_ref().is_some_and(|password| password.error.is_some());
        if refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
    }

    fn head(&self) -> Head {
        Head {
            title: self.question.clone(),
            crumbs: self.crumbs.clone(),
            current: self.current.clone(),
            freshness: None,
        }
    }
}

fn crumb((label, href): (&str, &str)) -> Crumb {
    Crumb { label: label.to_owned(), href: href.to_owned() }
}

page!(ConfirmPage, ConfirmTemplate, "confirm.html", Frame);
