//! `/tokens`: what programs call with.

use std::time::Duration;

use appliance::identity::{Caller, TokenRequest};
use appliance::surface::Method;
use auth::permit::{Action, Scope, TokenId, UserId};
use auth::ports::Page;
use auth::token::Token;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::{Ids, Sent};
use super::paging::{self, Asked, List};
use super::problem::Problem;
use super::{Doc, Table, own_path};
use crate::App;

/// A token, without the text that it is used by.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Token")]
struct TokenBody {
    id: i64,
    owner: i64,
    owner_name: String,
    name: String,
    /// Its first characters, to tell it from others.
    prefix: String,
    scopes: Vec<&'static str>,
    created: String,
    expires: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<String>,
}

impl From<&Token> for TokenBody {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id.0,
            owner: token.owner.0,
            owner_name: token.owner_name.clone(),
            name: token.name.clone(),
            prefix: token.prefix.clone(),
            scopes: token.scopes.iter().map(|scope| scope.as_str()).collect(),
            created: token.created.to_string(),
            expires: token.expires.to_string(),
            last_used: token.last_used.map(|at| at.to_string()),
        }
    }
}

/// Which tokens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenQuery {
    /// Rows in the answer, 1 to 500. Default: 50.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only those of this user.
    owner: Option<i64>,
}

/// A token to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    /// Such as `metrics:read`; the error lists all.
    scopes: Vec<String>,
    /// Days until it ends. Default: 365.
    days: Option<u32>,
    /// Whose it is to be. Default: the caller's.
    owner: Option<i64>,
}

/// A token that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct MadeToken {
    #[serde(flatten)]
    details: TokenBody,
    /// What a program calls with. Shown this once.
    token: String,
}

pub(super) fn register(table: &mut Table) {
    let doc = Doc::new("Lists tokens").query::<TokenQuery>().answers::<List<TokenBody>>(200);
    table.add(Method::Get, own_path!("/tokens"), Action::Administer, doc, routing::get(list));
    let doc = Doc::new("Makes a token").body::<NewToken>().answers::<MadeToken>(201);
    table.add(Method::Post, own_path!("/tokens"), Action::Administer, doc, routing::post(create));
    let doc = Doc::new("Ends a token");
    table.add(Method::Delete, own_path!("/tokens/{id}"), Action::Administer, doc, routing::delete(revoke));
}

async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<TokenQuery>,
) -> Result<Json<List<TokenBody>>, Problem> {
    let page = Page { after: paging::after(query.cursor.as_deref())?, limit: paging::limit(query.limit)? };
    let tokens = app.identity.tokens(&caller, query.owner.map(UserId), page).await?;
    Ok(Json(List::from_rows(tokens.items, tokens.next, |token| TokenBody::from(&token))))
}

async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Sent(new): Sent<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    let request = TokenRequest {
        owner: new.owner.map(UserId),
        name: new.name,
        scopes: scopes(&new.scopes)?,
        lifetime: new.days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600)),
    };
    let made = app.identity.create_token(&caller, &request).await?;
    let body = MadeToken { details: TokenBody::from(&made.token), token: made.secret.expose().to_owned() };
    Ok((StatusCode::CREATED, Json(body)))
}

fn scopes(names: &[String]) -> Result<Vec<Scope>, Problem> {
    let parse = |name: &String| {
        Scope::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
            let detail = format!("unknown scope {name:?}, expected some of: {}", known.join(", "));
            Problem::of_field(StatusCode::UNPROCESSABLE_ENTITY, "scopes", detail)
        })
    };
    names.iter().map(parse).collect()
}

async fn revoke(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Ids(id): Ids<i64>,
) -> Result<StatusCode, Problem> {
    app.identity.revoke_token(&caller, TokenId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scope_is_refused_with_those_there_are() {
        let problem = scopes(&["metrics:read".to_owned(), "metrics:*".to_owned()]).expect_err("the second is none");
        assert!(problem.detail.contains("\"metrics:*\"") && problem.detail.contains("metrics:write"), "{problem:?}");
        assert_eq!(scopes(&["admin:*".to_owned()]).expect("it is one"), [Scope::Admin]);
    }
}
