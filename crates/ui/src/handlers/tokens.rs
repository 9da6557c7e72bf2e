//! `/account/tokens`: what programs call with; a new one is shown once, by the answer that made it.

use std::time::Duration;

use appliance::identity::{IdentityError, TokenRequest};
use auth::permit::{Scope, TokenId};
use auth::ports::Page;
use auth::token::Token;
use axum::extract::State;
use axum::response::Response;
use model::secret::Secret;
use model::time::Timestamp;

use super::App;
use super::frame::{Fields, Frame, Posted, Said};
use super::{refusal, times};
use crate::form::{Choice, Field};
use crate::pages::tokens::{MadeToken, TokenForm, TokenList, TokenRow, TokenState, TokensPage};

/// Nobody has more of their own (`auth` bounds them below this).
const ROWS_MAX: u32 = 500;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A token that ends sooner is marked.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// Lifetimes offered, in days.
const LIFETIMES: [(u32, &str); 4] = [(30, "30 days"), (90, "90 days"), (365, "1 year"), (1_825, "5 years")];
const LIFETIME_DEFAULT: u32 = 365;

/// What a scope is for, in a few words.
const fn note(scope: Scope) -> &'static str {
    match scope {
        Scope::MetricsRead => "queries, dashboards of other programs, /metrics",
        Scope::MetricsWrite => "remote write",
        Scope::AlertsRead => "alerts and silences",
        Scope::AlertsWrite => "silence, acknowledge",
        Scope::RulesRead => "rules and their state",
        Scope::ErrorsRead => "issues and events",
        Scope::ErrorsWrite => "resolve, assign",
        Scope::ChecksRead => "health checks and their results",
        Scope::ChecksWrite => "make and change checks",
        Scope::DashboardsRead => "dashboards as JSON",
        Scope::DashboardsWrite => "import and change dashboards",
        Scope::Admin => "everything its owner may",
    }
}

fn form(fields: Option<&Fields>) -> TokenForm {
    let ticked: Vec<&str> = fields.map(|fields| fields.all("scope").collect()).unwrap_or_default();
    let days = fields.and_then(|fields| fields.get("expires").parse().ok()).unwrap_or(LIFETIME_DEFAULT);
    TokenForm {
        name: Field::new(fields.map_or("", |fields| fields.get("name"))),
        scopes: Scope::ALL
            .into_iter()
            .map(|scope| Choice {
                value: scope.as_str().to_owned(),
                label: scope.as_str().to_owned(),
                note: note(scope).to_owned(),
                chosen: ticked.contains(&scope.as_str()),
            })
            .collect(),
        scopes_error: None,
        expires: LIFETIMES
            .iter()
            .map(|(count, label)| Choice {
                value: count.to_string(),
                label: (*label).to_owned(),
                note: String::new(),
                chosen: *count == days,
            })
            .collect(),
    }
}

/// `GET /account/tokens`
pub(super) async fn show(State(app): State<App>, frame: Frame) -> Response {
    render(&app, &frame, form(None), None).await
}

async fn render(app: &App, frame: &Frame, form: TokenForm, made: Option<MadeToken>) -> Response {
    let page = Page { after: None, limit: ROWS_MAX };
    let now = app.health.now();
    let list = match app.identity.tokens(&frame.caller, frame.caller.principal.user(), page).await {
        Ok(tokens) => TokenList::Rows(tokens.items.iter().map(|token| row(token, now)).collect()),
        Err(error) => TokenList::Failed(refusal::words(&error)),
    };
    frame.show(TokensPage { list, form, made }.render(&frame.shell))
}

fn row(token: &Token, now: Timestamp) -> TokenRow {
    let left = token.expires.since(now);
    TokenRow {
        id: token.id.0.to_string(),
        name: token.name.clone(),
        prefix: format!("{}…", token.prefix),
        scopes: token.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        created: times::day(token.created),
        expires: times::day(token.expires),
        last_used: token.last_used.map_or_else(|| "never".to_owned(), |at| times::ago(at, now)),
        state: match () {
            () if left.is_zero() => TokenState::Expired,
            () if left < SOON => TokenState::ExpiresSoon,
            () => TokenState::Active,
        },
    }
}

/// `POST /account/tokens`
pub(super) async fn create(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let days: u32 = fields.get("expires").parse().unwrap_or(LIFETIME_DEFAULT);
    let request = TokenRequest {
        owner: None,
        name: fields.get("name").to_owned(),
        scopes: fields.all("scope").filter_map(Scope::parse).collect(),
        lifetime: Some(DAY * days),
    };
    match app.identity.create_token(&frame.caller, &request).await {
        Ok(made) => {
            let shown = shown_once(&frame, &made.token.name, &made.secret);
            render(&app, &frame, form(None), Some(shown)).await
        }
        Err(error @ IdentityError::Invalid { field, .. }) => {
            let mut form = form(Some(&fields));
            let wrong = if field == "scopes" { &mut form.scopes_error } else { &mut form.name.error };
            *wrong = Some(refusal::words(&error));
            render(&app, &frame, form, None).await
        }
        Err(error) => refusal::page(&frame, &error),
    }
}

fn shown_once(frame: &Frame, name: &str, secret: &Secret) -> MadeToken {
    let scheme = if frame.origin.secure { "https" } else { "http" };
    let (host, base) = (&frame.host, &frame.shell.base);
    let example = format!("curl -H 'Authorization: Bearer {}' {scheme}://{host}{base}/metrics", secret.expose());
    MadeToken { name: name.to_owned(), secret: secret.expose().to_owned(), example }
}

/// `POST /account/tokens/revoke`
pub(super) async fn revoke(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let Ok(id) = fields.get("token").parse() else { return refusal::page(&frame, &IdentityError::NotFound) };
    match app.identity.revoke_token(&frame.caller, TokenId(id)).await {
        Ok(()) => frame.go_saying("/account/tokens", Said::TokenRevoked),
        Err(error) => refusal::page(&frame, &error),
    }
}
