//! A question before something is lost. With scripts the same words stand in a dialog; this page works without.

use axum::http::StatusCode;

use crate::filters;
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
        let crumb = |label: &str, href: &str| Crumb { label: label.to_owned(), href: href.to_owned() };
        Self {
            question: format!("Delete the user {name}?"),
            consequence: consequence.to_owned(),
            action: format!("/settings/users/{id}/delete"),
            fields: Vec::new(),
            verb: "Delete user".to_owned(),
            destructive: true,
            keep: "Keep it".to_owned(),
            back: format!("/settings/users/{id}"),
            crumbs: vec![crumb("Settings", "/settings"), crumb("Users and roles", "/settings/users")],
            current: "/settings/users".to_owned(),
        }
    }

    fn status(&self) -> StatusCode {
        StatusCode::OK
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

page!(ConfirmPage, ConfirmTemplate, "confirm.html");
