//! What every request passes, whichever crate answers it: id, caller, gate, prefix, panic guard, headers, counts.
//!
//! Promises: a panic in a handler costs its own request; before the server is ready only probes are answered; while
//! there is no login, a request for a name that is not this machine's loopback is refused (DNS rebinding).
//! Not here: sockets and their limits (`net`), what routes do (`api`).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use appliance::health::{Health, Phase};
use appliance::supervise::panic_text;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use model::meter::instrument::{Counter, Histogram};
use model::meter::{Desc, Family, MeterError, Registry};
use model::time::Clock;
use net::door::ConnInfo;
use net::forwarded::{ClientAddress, TrustedProxies, client_address, host_is_loopback_name, request_host};
use tracing::{Instrument as _, debug, error, info_span};

/// Upper bounds of the buckets of request durations, in seconds.
const DURATION_BOUNDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers every answer carries unless its handler set them; pages bring their own (`ui::headers`).
const DEFAULT_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// What the front needs to know.
pub(crate) struct FrontOptions {
    pub(crate) health: Arc<Health>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) trusted_proxies: TrustedProxies,
    /// The path of `server.external_url`; empty for none.
    pub(crate) prefix: String,
    /// Refuse a Host that is not a loopback name.
    pub(crate) loopback_names_only: bool,
}

struct Meters {
    requests: Family<Counter, 3>,
    durations: Family<Histogram, 1>,
    panics: Counter,
}

/// Shared by all requests.
pub(crate) struct Front {
    options: FrontOptions,
    meters: Meters,
    /// Of this process; with the counter it makes ids that differ between restarts.
    run: u32,
    next_id: AtomicU64,
}

impl Front {
    pub(crate) fn new(options: FrontOptions, registry: &Registry) -> Result<Self, MeterError> {
        let meters = Meters {
            requests: registry.counter_family(
                Desc::new("watchpost_http_requests_total", "Requests answered."),
                ["route", "method", "code"],
            )?,
            durations: registry.histogram_family(
                Desc::new("watchpost_http_request_duration_seconds", "Time to the head of an answer.").unit("seconds"),
                ["route"],
                &DURATION_BOUNDS,
            )?,
            panics: registry.counter(Desc::new("watchpost_http_panics_total", "Requests whose handler panicked."))?,
        };
        let run = options.clock.now().millis() as u32 ^ std::process::id().rotate_left(16);
        Ok(Self { options, meters, run, next_id: AtomicU64::new(1) })
    }

    fn request_id(&self) -> String {
        format!("{:08x}{:08x}", self.run, self.next_id.fetch_add(1, Ordering::Relaxed) as u32)
    }

    fn client(&self, request: &Request) -> ClientAddress {
        match request.extensions().get::<ConnInfo>() {
            Some(conn) => client_address(conn.peer, request.headers(), &self.options.trusted_proxies),
            // Nothing but a door makes requests; without one the caller is trusted with nothing.
            None => {
                let ip = std::net::Ipv4Addr::UNSPECIFIED.into();
                ClientAddress { ip, loopback: false, https: None, host: None, prefix: None }
            }
        }
    }

    /// Why a request is not even routed.
    fn refuse(&self, request: &Request) -> Option<Response> {
        let path = self.without_prefix(request.uri().path()).unwrap_or(request.uri().path());
        if self.options.health.phase() == Phase::Starting
            && !matches!(path, "/live" | "/ready" | "/-/healthy" | "/-/ready")
        {
            let retry = [(header::RETRY_AFTER, "1")];
            return Some((StatusCode::SERVICE_UNAVAILABLE, retry, "the server is starting\n").into_response());
        }
        if self.options.loopback_names_only {
            let host = request_host(request.uri(), request.headers());
            if !host.is_some_and(host_is_loopback_name) {
                let text = "without login this server answers only to loopback names such as localhost or 127.0.0.1\n";
                return Some((StatusCode::MISDIRECTED_REQUEST, text).into_response());
            }
        }
        None
    }

    /// The path below the prefix; `None` where it is not below it.
    fn without_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        let below = path.strip_prefix(&self.options.prefix)?;
        if below.is_empty() { Some("/") } else { below.starts_with('/').then_some(below) }
    }

    /// Takes the prefix off. Without one the path stays as it is: a proxy may have taken it off already.
    fn strip_prefix(&self, request: &mut Request) {
        if self.options.prefix.is_empty() {
            return;
        }
        let Some(below) = self.without_prefix(request.uri().path()) else { return };
        let target = request.uri().query().map_or_else(|| below.to_owned(), |query| format!("{below}?{query}"));
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }

    fn count(&self, method: &str, response: &Response, took: Duration) {
        let route = response.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
        self.meters.requests.with([route, method, response.status().as_str()]).inc();
        self.meters.durations.with([route]).observe(took.as_secs_f64());
    }
}

/// The outermost layer.
pub(crate) async fn pass(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response {
    let started = front.options.clock.monotonic();
    let id = front.request_id();
    let method = method_label(request.method());
    let client = front.client(&request);
    let span = info_span!("request", id, method, path = request.uri().path(), client = %client.ip);
    request.extensions_mut().insert(client);

    let mut response = match front.refuse(&request) {
        Some(refusal) => refusal,
        None => {
            front.strip_prefix(&mut request);
            let answered = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
            answered.unwrap_or_else(|panic| front.panicked(&*panic, &id))
        }
    };
    let took = front.options.clock.monotonic().saturating_sub(started);
    front.count(method, &response, took);
    span.in_scope(|| debug!(status = response.status().as_u16(), took_us = took.as_micros() as u64, "answered"));
    let headers = response.headers_mut();
    for (name, value) in DEFAULT_HEADERS {
        headers.entry(name).or_insert(value);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

impl Front {
    fn panicked(&self, panic: &(dyn std::any::Any + Send), id: &str) -> Response {
        self.meters.panics.inc();
        error!(id, panic = panic_text(panic), "a request handler panicked");
        let text = format!("the server failed to answer this request; its id is {id}\n");
        (StatusCode::INTERNAL_SERVER_ERROR, Body::from(text)).into_response()
    }
}

/// Notes the matched route on the answer, where the front counts it.
pub(crate) async fn note_route(matched: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(matched) = matched {
        response.extensions_mut().insert(matched);
    }
    response
}

/// Methods are the caller's words; only known ones become a label.
fn method_label(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
