//! `/account/tokens`: tokens for scripts and other programs; a new one is shown once.

use axum::http::StatusCode;

use crate::filters;
use crate::form::{Choice, Fault, Field, faults};
use crate::pages::page;
use crate::shell::Head;
use crate::tone::Tone;

/// The list of tokens with the form for a new one.
#[derive(Clone, Debug)]
pub struct TokensPage {
    pub list: TokenList,
    pub form: TokenForm,
    /// The token that was made by the request this page answers. It is never shown again.
    pub made: Option<MadeToken>,
}

/// What there is, or why that cannot be said.
#[derive(Clone, Debug)]
pub enum TokenList {
    Rows(Vec<TokenRow>),
    /// Why the list could not be read.
    Failed(String),
}

/// A token, without its secret.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Posted as `token` to `/account/tokens/revoke`.
    pub id: String,
    pub name: String,
    /// The first characters: "wp_4fT9…".
    pub prefix: String,
    pub scopes: Vec<String>,
    pub created: String,
    pub expires: String,
    pub last_used: String,
    pub state: TokenState,
}

/// Whether it still opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    Active,
    /// Within a fortnight.
    ExpiresSoon,
    Expired,
    Revoked,
}

impl TokenState {
    fn tone(self) -> Tone {
        match self {
            Self::Active => Tone::Ok,
            Self::ExpiresSoon => Tone::Warning,
            Self::Expired | Self::Revoked => Tone::Muted,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ExpiresSoon => "expires soon",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    fn usable(self) -> bool {
        matches!(self, Self::Active | Self::ExpiresSoon)
    }
}

/// Posts `name`, `scope` (several), `expires` to `/account/tokens`.
#[derive(Clone, Debug)]
pub struct TokenForm {
    pub name: Field,
    pub scopes: Vec<Choice>,
    pub scopes_error: Option<String>,
    pub expires: Vec<Choice>,
}

/// A new token.
#[derive(Clone, Debug)]
pub struct MadeToken {
    pub name: String,
    pub secret: String,
    /// A command line that uses it.
    pub example: String,
}

impl TokenForm {
    fn faults(&self) -> Vec<Fault> {
        faults(&[("name", "Name", &self.name.error), ("scope", "May", &self.scopes_error)])
    }
}

impl TokensPage {
    fn status(&self) -> StatusCode {
        match (&self.list, self.form.faults().is_empty()) {
            (TokenList::Failed(_), _) => StatusCode::INTERNAL_SERVER_ERROR,
            (TokenList::Rows(_), true) => StatusCode::OK,
            (TokenList::Rows(_), false) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    fn head(&self) -> Head {
        Head::of("API tokens", "/account/tokens", &[("Settings", "/account")])
    }
}

page!(TokensPage, TokensTemplate, "tokens.html", Frame);
