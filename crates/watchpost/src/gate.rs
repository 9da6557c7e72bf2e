//! The gate before every route: who asks, whether the request is one of our own pages', and whether that may be.
//!
//! Promises: a route is reachable only through its entry in the table of surfaces, so each has declared its action;
//! what is not allowed explicitly is refused, in the words of the route's kind; a cookie never opens an endpoint that
//! programs write to. Not here: what may be (`auth::permit`), objects (the use cases look at those).

use std::sync::Arc;

use appliance::identity::{Caller, Client, Identity, IdentityError, SetupState};
use appliance::surface::{Entry, Kind};
use auth::forgery;
use auth::permit::{Action, Denied, Object, Principal, authz};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use model::secret::Secret;
use net::door::ConnInfo;
use net::forwarded::{ClientAddress, request_host};
use ui::session::{SessionToken, cookie_name};

/// What all routes share.
pub(crate) struct Gate {
    pub(crate) identity: Arc<Identity>,
    /// False with `--auth off`: every caller on this machine is the administrator.
    pub(crate) login: bool,
    /// `server.external_url`; empty for none.
    pub(crate) external_url: String,
    /// Its path.
    pub(crate) prefix: String,
}

/// The gate before one route.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) gate: Arc<Gate>,
    action: Action,
    kind: Kind,
}

impl Guard {
    pub(crate) fn new<H>(gate: &Arc<Gate>, entry: &Entry<H>) -> Self {
        Self { gate: Arc::clone(gate), action: entry.action, kind: entry.kind }
    }
}

impl Guard {
    /// The gate before addresses where nothing is: anybody may learn that.
    pub(crate) fn nowhere(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate), action: Action::Public, kind: Kind::Page }
    }

    /// The answer to a request that no route takes: a page for browsers, words for programs.
    pub(crate) fn missing(&self, status: StatusCode, request: &Parts) -> Response {
        let path = request.uri.path();
        let detail = match status {
            StatusCode::METHOD_NOT_ALLOWED => format!("{} is not possible for this address", request.method),
            _ => "nothing is at this address".to_owned(),
        };
        if path.starts_with("/api/watchpost/") {
            return api::own::problem::Problem::new(status, detail).into_response();
        }
        let html = text(&request.headers, "accept").is_some_and(|accept| accept.contains("text/html"));
        if !html {
            return (status, format!("{detail}\n")).into_response();
        }
        ui::error::page(status, "", &Seen::of(request, &self.gate).origin)
    }
}

/// What a request shows of its sender.
#[derive(Debug, Default)]
struct Shown {
    token: Option<Secret>,
    session: Option<Secret>,
}

/// Why a request goes no further.
#[derive(Debug)]
enum Stop {
    /// Nobody has set the server up yet.
    NotSetUp,
    /// A page of somebody else sent it.
    Forged,
    /// `Authorization` in a form that is none of ours.
    BadAuthorization,
    Refused(IdentityError),
}

/// Looks at one request and lets it through with a [`Caller`], or answers it.
pub(crate) async fn pass(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    // The body stays out of it: it is not `Sync`, and nothing here looks at it.
    let (mut parts, body) = request.into_parts();
    let seen = Seen::of(&parts, &guard.gate);
    match guard.look(&parts, &seen).await {
        Ok((caller, session)) => {
            parts.extensions.insert(caller);
            parts.extensions.insert(seen.origin);
            if let Some(session) = session {
                parts.extensions.insert(SessionToken(session));
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(stop) => guard.answer(&stop, &parts, &seen),
    }
}

/// What the way of a request says about it.
struct Seen {
    client: Client,
    origin: ui::session::Origin,
    /// Scheme, host and port as the caller wrote them.
    sent_to: String,
}

impl Seen {
    fn of(request: &Parts, gate: &Gate) -> Self {
        let forwarded = request.extensions.get::<ClientAddress>();
        let tls = request.extensions.get::<ConnInfo>().is_some_and(|conn| conn.tls);
        let secure = forwarded.and_then(|client| client.https).unwrap_or(tls);
        let proxied = forwarded.and_then(|client| client.host.clone());
        let host = proxied.or_else(|| request_host(&request.uri, &request.headers).map(str::to_owned));
        let agent = request.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let client = Client { address: forwarded.map(|client| client.ip), agent: agent.to_owned() };
        let prefix = forwarded.and_then(|client| client.prefix.clone()).unwrap_or_else(|| gate.prefix.clone());
        let sent_to = format!("{}://{}", if secure { "https" } else { "http" }, host.unwrap_or_default());
        Self { client, origin: ui::session::Origin { secure, prefix }, sent_to }
    }
}

impl Guard {
    async fn look(&self, request: &Parts, seen: &Seen) -> Result<(Caller, Option<Secret>), Stop> {
        let safe = request.method.is_safe();
        let sent = forgery::Sent {
            sec_fetch_site: text(&request.headers, "sec-fetch-site"),
            origin: text(&request.headers, "origin"),
        };
        let own = [self.gate.external_url.as_str(), seen.sent_to.as_str()];
        let ours = forgery::same_origin(&sent, &own);
        if !self.gate.login {
            // A program sends neither header; a page of somebody else cannot help it.
            let program = sent.sec_fetch_site.is_none() && sent.origin.is_none();
            if !(safe || ours || program) {
                return Err(Stop::Forged);
            }
            return Ok((Caller::new(Principal::Local, seen.client.clone()), None));
        }
        if self.action != Action::Public && self.gate.identity.setup_state().await? == SetupState::NeedsSetup {
            return Err(Stop::NotSetUp);
        }
        let shown = shown(&request.headers, seen.origin.secure)?;
        let (principal, session) = self.principal(shown, safe).await?;
        // Forms for nobody yet (login, set-up) must be ours, too: a foreign page could log its reader in as another.
        let by_cookie = session.is_some() || (principal == Principal::Anonymous && self.kind == Kind::Page);
        if by_cookie && !safe && !ours {
            return Err(Stop::Forged);
        }
        authz(&principal, self.action, Object::Server).map_err(IdentityError::Denied)?;
        Ok((Caller::new(principal, seen.client.clone()), session))
    }

    async fn principal(&self, shown: Shown, safe: bool) -> Result<(Principal, Option<Secret>), Stop> {
        if let Some(token) = shown.token {
            return Ok((self.gate.identity.authenticate_token(token.expose()).await?, None));
        }
        // Programs write with tokens: a browser's cookie must not be usable against them.
        let takes_cookies = matches!(self.kind, Kind::Page | Kind::Api) || safe;
        let Some(session) = shown.session.filter(|_| takes_cookies) else { return Ok((Principal::Anonymous, None)) };
        match self.gate.identity.authenticate_session(session.expose()).await? {
            Some(principal) => Ok((principal, Some(session))),
            None => Ok((Principal::Anonymous, None)),
        }
    }

    /// The refusal in the words of whoever asks.
    fn answer(&self, stop: &Stop, request: &Parts, seen: &Seen) -> Response {
        let (status, detail) = stop.words();
        match self.kind {
            Kind::Page => self.page(stop, status, &detail, request, seen),
            Kind::Api if status == StatusCode::UNAUTHORIZED => {
                api::own::problem::unauthorized(&curl(&seen.sent_to, request)).into_response()
            }
            Kind::Api => match stop {
                Stop::Refused(error) => api::own::problem::Problem::from(error.clone()).into_response(),
                _ => api::own::problem::Problem::new(status, detail).into_response(),
            },
            Kind::Machine | Kind::Asset => machine(status, &detail, &curl(&seen.sent_to, request)),
        }
    }

    fn page(&self, stop: &Stop, status: StatusCode, detail: &str, request: &Parts, seen: &Seen) -> Response {
        let prefix = &seen.origin.prefix;
        match stop {
            Stop::Refused(IdentityError::Denied(Denied::NotAuthenticated)) if request.method.is_safe() => {
                let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
                let next: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
                see_other(&format!("{prefix}/login?next={next}"))
            }
            Stop::Refused(IdentityError::Denied(Denied::MustChangePassword)) => {
                see_other(&format!("{prefix}/account?temporary=1"))
            }
            _ => ui::error::page(status, detail, &seen.origin),
        }
    }
}

impl Stop {
    fn words(&self) -> (StatusCode, String) {
        match self {
            Self::NotSetUp => {
                let text = "nobody has set this server up yet: open the link that its log shows";
                (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
            }
            Self::Forged => {
                let text = "the request does not come from a page of this server; open the page again and repeat it";
                (StatusCode::FORBIDDEN, text.to_owned())
            }
            Self::BadAuthorization => {
                let text = "Authorization: expected Bearer and an API token, or Basic with the token as password";
                (StatusCode::UNAUTHORIZED, text.to_owned())
            }
            Self::Refused(error) => {
                let problem = api::own::problem::Problem::from(error.clone());
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, problem.detail)
            }
        }
    }
}

impl From<IdentityError> for Stop {
    fn from(error: IdentityError) -> Self {
        Self::Refused(error)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    // What is no text is no known answer: as wrong as a foreign one.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// Token and session of a request. A token is what its sender means, so it wins.
fn shown(headers: &HeaderMap, secure: bool) -> Result<Shown, Stop> {
    let token = match headers.get(header::AUTHORIZATION) {
        Some(value) => Some(token_of(value).ok_or(Stop::BadAuthorization)?),
        None => None,
    };
    Ok(Shown { token, session: session_of(headers, cookie_name(secure)) })
}

fn token_of(value: &HeaderValue) -> Option<Secret> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Secret::new(rest));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
    let pair = String::from_utf8(bytes).ok()?;
    pair.split_once(':').map(|(_, password)| Secret::new(password))
}

fn session_of(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = values.find(|(known, _)| *known == name)?;
    Some(Secret::new(value))
}

/// How the same request is made with a token, as one can type it.
fn curl(sent_to: &str, request: &Parts) -> String {
    let method = if request.method.is_safe() { String::new() } else { format!(" -X {}", request.method) };
    // The path is the caller's; a quote in it would end ours.
    let path = request.uri.path().replace('\'', "%27");
    format!("curl{method} -H 'Authorization: Bearer wp_…' '{sent_to}{path}'")
}

fn machine(status: StatusCode, detail: &str, curl: &str) -> Response {
    if status != StatusCode::UNAUTHORIZED {
        return (status, format!("{detail}\n")).into_response();
    }
    let ways = [(header::WWW_AUTHENTICATE, "Bearer realm=\"watchpost\", Basic realm=\"watchpost\"")];
    let body = format!(
        "{detail}; this needs an API token (Settings, Account, Tokens; or `watchpost token create`):\n  {curl}\n"
    );
    (status, ways, body).into_response()
}

fn see_other(target: &str) -> Response {
    match HeaderValue::from_str(target) {
        Ok(target) => (StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            ((*name).parse::<header::HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_the_password_of_any_name() {
        for (value, expected) in [
            ("Bearer wp_abc", Some("wp_abc")),
            ("bearer  wp_abc ", Some("wp_abc")),
            ("Basic Z3JhZmFuYTp3cF9hYmM=", Some("wp_abc")),
            ("Basic OndwX2FiYw==", Some("wp_abc")),
            ("Basic d3BfYWJj", None),
            ("Basic !!!", None),
            ("Digest username=x", None),
            ("wp_abc", None),
        ] {
            let found = shown(&headers(&[("authorization", value)]), true).ok().and_then(|shown| shown.token);
            assert_eq!(found.as_ref().map(Secret::expose), expected, "{value}");
        }
    }

    #[test]
    fn the_session_is_the_cookie_of_this_kind_of_connection() {
        let both = headers(&[("cookie", "a=b; wp_s=plain"), ("cookie", "__Host-wp_s=secure")]);
        for (secure, expected) in [(true, "secure"), (false, "plain")] {
            let found = shown(&both, secure).expect("no token").session.expect("it is there");
            assert_eq!(found.expose(), expected);
        }
        assert!(shown(&headers(&[("cookie", "x__Host-wp_s=1; wp_s")]), true).expect("no token").session.is_none());
    }

    #[test]
    fn the_line_to_type_cannot_be_broken_by_the_path() {
        let request = Request::post("/api/v1/x'$(reboot)'?q=1").body(Body::empty()).expect("a request");
        let line = curl("https://h:1", &request.into_parts().0);
        assert_eq!(line, "curl -X POST -H 'Authorization: Bearer wp_…' 'https://h:1/api/v1/x%27$(reboot)%27'");
    }

    #[test]
    fn a_redirect_that_is_no_header_is_not_sent() {
        assert_eq!(see_other("/a\nb").status(), StatusCode::NOT_FOUND);
        assert_eq!(see_other("/a").status(), StatusCode::SEE_OTHER);
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod every_route;
