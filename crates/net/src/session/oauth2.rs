//! OAuth 2.0 client credentials (RFC 6749 §4.4): a token is fetched when one is needed and kept until it expires.
//!
//! Promise: however many calls wait, one of them fetches; a client secret that changed in its file fetches anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use model::secret::Secret;
use model::time::Clock;
use tokio::sync::Semaphore;

use super::auth::{Source, basic, header_value};
use super::{BodyBuffer, Session};
use crate::client::{Budget, Call, ClientError};
use crate::http_config::{OAuth2, Url};

/// A token is not used in its last seconds, so that it does not expire on the way.
const EARLY: Duration = Duration::from_secs(10);
/// For one fetch; the call that waits for it has its own, usually shorter.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Of the server's sentence in an error.
const SHOWN_CHARS: usize = 200;

/// Fetches tokens and keeps the last.
pub(super) struct Tokens {
    config: OAuth2,
    secret: Source,
    session: Session,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<Token>>,
    /// The right to fetch.
    fetching: Semaphore,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("token_url", &self.config.token_url).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    /// On the monotonic clock; `None`: until the server refuses it.
    until: Option<Duration>,
    /// The client secret it was fetched with.
    secret: Secret,
}

/// What a token server answers.
#[derive(serde::Deserialize)]
struct TokenAnswer {
    access_token: Option<Secret>,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Tokens {
    /// `session` goes to the token server, with its own TLS and proxy.
    pub(super) fn new(config: OAuth2, session: Session, clock: Arc<dyn Clock>) -> Self {
        let secret = Source::new(config.client_secret.as_ref(), config.client_secret_file.as_ref());
        Self { config, secret, session, clock, last: Mutex::default(), fetching: Semaphore::new(1) }
    }

    /// The header for a call now, fetching a token where none is good any more.
    pub(super) async fn header(&self) -> Result<HeaderValue, ClientError> {
        let secret = self.secret.get("the client secret")?;
        if let Some(header) = self.kept(&secret) {
            return Ok(header);
        }
        let Ok(_turn) = self.fetching.acquire().await else { unreachable!("the semaphore is never closed") };
        // Somebody before us in the line may have fetched one.
        if let Some(header) = self.kept(&secret) {
            return Ok(header);
        }
        let token = self.fetch(&secret).await?;
        let header = token.header.clone();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(header)
    }

    /// The token server's address without a password.
    fn shown(&self) -> String {
        Url::parse(&self.config.token_url).map_or_else(|error| error.to_string(), |url| url.redacted())
    }

    /// The next call fetches anew.
    pub(super) fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The last token, unless it is about to expire or was fetched with another secret.
    fn kept(&self, secret: &Secret) -> Option<HeaderValue> {
        let now = self.clock.monotonic();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let good = |token: &&Token| token.secret == *secret && token.until.is_none_or(|until| now + EARLY < until);
        last.as_ref().filter(good).map(|token| token.header.clone())
    }

    /// Asks with the credentials in the header, as the standard prefers, then in the body for servers that only know
    /// that.
    async fn fetch(&self, secret: &Secret) -> Result<Token, ClientError> {
        match self.ask(secret, true).await {
            Err(ClientError::Token { .. }) => self.ask(secret, false).await,
            outcome => outcome,
        }
    }

    /// One request to the token server.
    async fn ask(&self, secret: &Secret, in_header: bool) -> Result<Token, ClientError> {
        let began = self.clock.monotonic();
        let mut call = Call::post(self.config.token_url.as_str(), self.form((!in_header).then_some(secret)));
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if in_header {
            let id = Secret::new(encoded(&self.config.client_id));
            call.headers.insert(AUTHORIZATION, basic(&id, &Secret::new(encoded(secret.expose())))?);
        }
        call.budget = Budget { total: FETCH_TIMEOUT, ..Budget::default() };
        let mut body = BodyBuffer::new();
        // Boxed with its type spelled out: a session that fetches tokens holds a session.
        let sent = self.session.send_boxed(&call, &mut body).await;
        let answer = sent.map_err(|error| ClientError::Token { url: self.shown(), why: error.to_string() })?;
        self.read(answer.status, body.bytes(), began, secret)
    }

    /// The request's body; with the client's credentials where `secret` is given.
    fn form(&self, secret: Option<&Secret>) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.config.scopes.is_empty() {
            form.append_pair("scope", &self.config.scopes.join(" "));
        }
        for (name, value) in self.config.endpoint_params.iter() {
            form.append_pair(name, value);
        }
        if let Some(secret) = secret {
            form.append_pair("client_id", &self.config.client_id).append_pair("client_secret", secret.expose());
        }
        form.finish()
    }

    /// The token in an answer, or what the server said instead.
    fn read(
        &self,
        status: http::StatusCode,
        body: &[u8],
        began: Duration,
        secret: &Secret,
    ) -> Result<Token, ClientError> {
        let wrong = |why: String| ClientError::Token { url: self.shown(), why };
        let answer: Option<TokenAnswer> = serde_json::from_slice(body).ok();
        if !status.is_success() {
            let said = answer.and_then(|answer| answer.error_description.or(answer.error)).unwrap_or_default();
            let said: String = said.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
            return Err(wrong(format!("the server answered {status} {said}").trim_end().to_owned()));
        }
        let answer = answer.ok_or_else(|| wrong("the answer is not the JSON of a token".to_owned()))?;
        let access = answer.access_token.filter(|token| !token.is_empty());
        let access = access.ok_or_else(|| wrong("the answer has no access_token".to_owned()))?;
        let kind = match answer.token_type.as_deref() {
            None | Some("") => "Bearer",
            Some(kind) if kind.eq_ignore_ascii_case("bearer") => "Bearer",
            Some(kind) => kind,
        };
        let header = header_value("oauth2", &Secret::new(format!("{kind} {}", access.expose())))?;
        // Some servers write the number as a text.
        let seconds = answer.expires_in.and_then(|value| match value {
            serde_json::Value::Number(number) => number.as_u64(),
            serde_json::Value::String(text) => text.parse().ok(),
            _ => None,
        });
        let until =
            seconds.filter(|seconds| *seconds > 0).map(|seconds| began.saturating_add(Duration::from_secs(seconds)));
        Ok(Token { header, until, secret: secret.clone() })
    }
}

/// User and password of a token request are form-encoded before they are put together (RFC 6749 §2.3.1).
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
