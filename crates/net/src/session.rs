//! The HTTP client for repeated calls: a [`Session`] is one [`HttpConfig`] put to work, and keeps its connections.
//!
//! Promises: credentials, tokens and certificates are those their files have now; nothing secret goes to another
//! origin on a redirect; an answer costs at most the call's [`Budget`](crate::client::Budget) in time and bytes, decoded bytes included, and lands
//! in memory that the caller owns and uses again; a connection is used by one call at a time, and while it waits
//! nothing runs for it.
//! Not here: what a call is for, how often, and what its answer means (`scrape`, `remote`, `alert`).

mod auth;
mod body;
mod file_text;
mod oauth2;
mod proxy;
mod streaming;
mod trust;
mod wire;
mod words;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_ENCODING, HOST, HeaderName, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version};
use http_body_util::Full;
use model::time::Clock;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use self::auth::{Auth, Source, header_value};
pub use self::body::BodyBuffer;
use self::oauth2::Tokens;
use self::proxy::{Proxy, Route};
pub use self::streaming::Streaming;
use self::trust::{Trust, Trusted};
use self::wire::{Pool, Stream, Wire};
use crate::address::AddressPolicy;
use crate::client::{Call, ClientError, Phases, Target, is_redirect, next_call};
use crate::dial::Dial;
use crate::http_config::{Given as _, HttpConfig, OAuth2};
use crate::location;

/// What Go's client follows, and so Prometheus.
const REDIRECTS_MAX: u8 = 10;

/// What is not part of the configuration.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    pub policy: AddressPolicy,
    /// Empty: `watchpost`.
    pub user_agent: String,
    /// Connections that wait for a next call, all servers together; beyond it a connection ends with its call.
    pub idle_max: usize,
    /// How long one waits; above most scrape intervals.
    pub idle_timeout: Duration,
    /// Every call goes to this Unix socket, whatever host its URL names.
    pub unix_socket: Option<PathBuf>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            policy: AddressPolicy::anywhere(),
            user_agent: String::new(),
            idle_max: 4096,
            idle_timeout: Duration::from_secs(300),
            unix_socket: None,
        }
    }
}

/// The head of an answer and what it took; the body is in the caller's [`BodyBuffer`].
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub version: Version,
    /// The address that answered; none behind a Unix socket. With a proxy, the proxy's.
    pub peer: Option<SocketAddr>,
    /// The URL it answered for after `redirects` hops.
    pub url: String,
    pub redirects: u8,
    /// Of the last hop, but `total`; without `dns`, `connect` and `tls` where a connection was used again.
    pub phases: Phases,
    pub reused: bool,
    /// Of the body as it came, compressed or not.
    pub wire_bytes: u64,
}

/// Makes calls as one [`HttpConfig`] says. Cheap to clone; clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    policy: AddressPolicy,
    user_agent: HeaderValue,
    unix_socket: Option<PathBuf>,
    route: Route,
    trust: Trust,
    auth: Auth,
    /// Of the configuration, for every request.
    headers: Vec<(HeaderName, Source)>,
    redirects_max: u8,
    pool: Pool,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("auth", &self.auth).field("trust", &self.trust).finish_non_exhaustive()
    }
}

impl Session {
    /// Puts a configuration to work. Files it names are read when they are needed, so that one that appears later
    /// is found.
    ///
    /// # Errors
    /// Something is asked for that is not supported, each by name.
    pub fn new(config: &HttpConfig, options: SessionOptions, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        refuse_references(config)?;
        let tokens = match &config.oauth2 {
            Some(oauth2) => Some(tokens(oauth2, &options, &clock)?),
            None => None,
        };
        let name = if options.user_agent.is_empty() { "watchpost" } else { &options.user_agent };
        let shared = Shared {
            policy: options.policy,
            user_agent: HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("watchpost")),
            unix_socket: options.unix_socket,
            route: Route::new(&config.proxy)?,
            trust: Trust::new(&config.tls_config, config.enable_http2, Arc::clone(&clock))?,
            auth: Auth::new(config, tokens),
            headers: own_headers(config)?,
            redirects_max: if config.follow_redirects { REDIRECTS_MAX } else { 0 },
            pool: Pool::new(options.idle_max, options.idle_timeout),
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Makes the call and takes its body into `into`, decoded where it comes compressed with gzip. Redirects are
    /// followed where the configuration says so; `call.budget.redirects_max` is not asked.
    ///
    /// # Errors
    /// No complete answer; a status of 400 or above is an answer.
    pub async fn send(&self, call: &Call, into: &mut BodyBuffer) -> Result<Answer, ClientError> {
        let began = self.shared.clock.monotonic();
        let total = call.budget.total;
        let whole = Box::pin(async {
            let streaming = self.follow(call).await?;
            streaming.collect(into, call.budget.body_bytes_max).await
        });
        let mut answer = tokio::time::timeout(total, whole).await.map_err(|_| ClientError::Timeout(total))??;
        answer.phases.total = self.shared.clock.monotonic().saturating_sub(began);
        Ok(answer)
    }

    /// Makes the call and hands its body out as it comes, for answers without an end such as a watch. The budget's time is
    /// for the header; what the body may take is the reader's to say.
    ///
    /// # Errors
    /// No header of an answer.
    pub async fn stream(&self, call: &Call) -> Result<Streaming, ClientError> {
        let total = call.budget.total;
        tokio::time::timeout(total, Box::pin(self.follow(call))).await.map_err(|_| ClientError::Timeout(total))?
    }

    /// Connections that wait for a next call.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.shared.pool.len()
    }

    /// [`Self::send`] with its type named, for a session within a session.
    fn send_boxed<'a>(
        &'a self,
        call: &'a Call,
        into: &'a mut BodyBuffer,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, ClientError>> + Send + 'a>> {
        Box::pin(self.send(call, into))
    }

    /// The answer after all redirects. The first hop borrows the caller's call: nearly all calls have only that one.
    async fn follow(&self, call: &Call) -> Result<Streaming, ClientError> {
        let first = Target::parse(&call.url)?;
        let mut streaming = self.exchange(&first, call, true).await?;
        if !is_redirect(streaming.answer().status) || self.shared.redirects_max == 0 {
            return Ok(streaming);
        }
        let (mut call, mut ours, mut redirects) = (call.clone(), true, 0);
        loop {
            let status = streaming.answer().status;
            let location = streaming.answer().headers.get(LOCATION).filter(|_| is_redirect(status));
            let Some(location) = location else { return Ok(streaming) };
            if redirects == self.shared.redirects_max {
                return Err(ClientError::Redirects(redirects));
            }
            redirects += 1;
            let text = String::from_utf8_lossy(location.as_bytes()).into_owned();
            let next = location::resolve(&call.url, &text).ok_or_else(|| ClientError::Location(text.clone()))?;
            let target = Target::parse(&next).map_err(|_| ClientError::Location(text))?;
            // Once it has been elsewhere, a call that comes back may have been sent back: it stays a stranger's.
            ours &= stays(&first, &target);
            next_call(&mut call, status, !ours);
            call.url = next;
            streaming = self.exchange(&target, &call, ours).await?;
            streaming.answer_mut().redirects = redirects;
        }
    }

    /// One request, one header of an answer, on a connection that waited or a new one.
    async fn exchange(&self, target: &Target, call: &Call, ours: bool) -> Result<Streaming, ClientError> {
        let shared = &self.shared;
        let trusted = if target.https { Some(shared.trust.now()?) } else { None };
        let generation = trusted.as_ref().map_or(0, |trusted| trusted.generation);
        let through = if shared.unix_socket.is_some() { None } else { shared.route.through(target) };
        let origin = format!("{} {} {}", if target.https { "https" } else { "http" }, target.host, target.port);
        let headers = self.headers(call, ours).await?;
        let mut may_reuse = true;
        loop {
            let mut phases = Phases::default();
            let kept = if may_reuse { shared.pool.take(&origin, generation, shared.clock.monotonic()) } else { None };
            let (mut wire, reused) = match kept {
                Some(mut wire) => {
                    if !wire.ready().await {
                        continue;
                    }
                    (wire, true)
                }
                None => {
                    let dialled = self.open(target, through, trusted.as_ref(), call.budget.connect, &mut phases);
                    (Box::pin(dialled).await?, false)
                }
            };
            let began = shared.clock.monotonic();
            let request = request(target, call, headers.clone(), (wire.is_http2(), through))?;
            match wire.send(request).await {
                Ok(response) => {
                    phases.first_byte = shared.clock.monotonic().saturating_sub(began);
                    if response.status() == StatusCode::UNAUTHORIZED {
                        shared.auth.refused();
                    }
                    let (url, peer) = (call.url.clone(), wire.peer);
                    let (parts, body) = response.into_parts();
                    let http::response::Parts { status, headers, version, .. } = parts;
                    let answer =
                        Answer { status, headers, version, peer, url, redirects: 0, phases, reused, wire_bytes: 0 };
                    return Ok(Streaming::new(answer, body, wire, (Arc::clone(shared), origin, target.host.clone())));
                }
                // The server closed it just then: once more on a new one, unless it may have acted on the request.
                Err(unsent) if reused && (!unsent.left || call.method.is_idempotent()) => may_reuse = false,
                Err(unsent) => {
                    return Err(ClientError::Exchange { host: target.host.clone(), source: unsent.error });
                }
            }
        }
    }

    /// The headers of a request: the call's, then ours. To a stranger none of ours.
    async fn headers(&self, call: &Call, ours: bool) -> Result<HeaderMap, ClientError> {
        let mut headers = call.headers.clone();
        headers.entry(USER_AGENT).or_insert_with(|| self.shared.user_agent.clone());
        if !ours {
            return Ok(headers);
        }
        if !headers.contains_key(AUTHORIZATION)
            && let Some(value) = self.shared.auth.header().await?
        {
            headers.insert(AUTHORIZATION, value);
        }
        for (name, source) in &self.shared.headers {
            headers.append(name.clone(), header_value("http_headers", &source.get("a header")?)?);
        }
        Ok(headers)
    }

    /// A new connection, with TLS and the proxy's tunnel where they belong.
    async fn open(
        &self,
        target: &Target,
        through: Option<&Arc<Proxy>>,
        trusted: Option<&Trusted>,
        timeout: Duration,
        phases: &mut Phases,
    ) -> Result<Wire, ClientError> {
        let (mut stream, peer) = self.connect(target, through, timeout, phases).await?;
        let mut http2 = false;
        if let Some(trusted) = trusted {
            let began = self.shared.clock.monotonic();
            if let Some(proxy) = through {
                stream = proxy.tunnel(stream, target).await?;
            }
            let name = self.shared.trust.server_name(&target.host);
            (stream, http2) = tls(stream, name, Arc::clone(&trusted.config)).await?;
            phases.tls = self.shared.clock.monotonic().saturating_sub(began);
        }
        let wire = Wire::open(stream, http2).await;
        let mut wire = wire.map_err(|source| ClientError::Exchange { host: target.host.clone(), source })?;
        wire.peer = peer;
        wire.generation = trusted.map_or(0, |trusted| trusted.generation);
        Ok(wire)
    }

    /// A stream to the socket, the proxy or the target, whichever comes first.
    async fn connect(
        &self,
        target: &Target,
        through: Option<&Arc<Proxy>>,
        timeout: Duration,
        phases: &mut Phases,
    ) -> Result<(Stream, Option<SocketAddr>), ClientError> {
        let began = self.shared.clock.monotonic();
        if let Some(path) = &self.shared.unix_socket {
            let connected = tokio::time::timeout(timeout, tokio::net::UnixStream::connect(path)).await;
            let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let stream = connected.map_err(|source| ClientError::Unix { path: path.clone(), source })?;
            phases.connect = self.shared.clock.monotonic().saturating_sub(began);
            return Ok((Box::new(stream), None));
        }
        let dial = Dial { policy: &self.shared.policy, clock: &*self.shared.clock, timeout };
        let to = through.map_or(target, |proxy| &proxy.target);
        let (stream, peer) = dial.tcp((&to.host, to.port), phases).await?;
        let stream: Stream = Box::new(stream);
        match through.filter(|proxy| proxy.target.https) {
            Some(proxy) => {
                let mut config = (*self.shared.trust.now()?.config).clone();
                // A tunnel or an absolute address is HTTP/1.1.
                config.alpn_protocols.clear();
                let (stream, _) = tls(stream, proxy.target.host.clone(), Arc::new(config)).await?;
                Ok((stream, Some(peer)))
            }
            None => Ok((stream, Some(peer))),
        }
    }
}

/// The other origin is the first one, perhaps with TLS added.
fn stays(first: &Target, next: &Target) -> bool {
    let upgraded = !first.https && next.https && first.host == next.host && (first.port, next.port) == (80, 443);
    first.same_origin(next) || upgraded
}

/// The handshake; whether both sides agreed on HTTP/2.
async fn tls(stream: Stream, name: String, config: Arc<rustls::ClientConfig>) -> Result<(Stream, bool), ClientError> {
    let wrong = |source| ClientError::Tls { host: name.clone(), source };
    let server = ServerName::try_from(name.clone()).map_err(|error| wrong(io::Error::other(error)))?;
    let stream = TlsConnector::from(config).connect(server, stream).await.map_err(wrong)?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Box::new(stream), http2))
}

/// The request as this connection wants it: HTTP/2 and plain proxies are told the whole address, others the path.
fn request(
    target: &Target,
    call: &Call,
    mut headers: HeaderMap,
    (http2, through): (bool, Option<&Arc<Proxy>>),
) -> Result<Request<Full<bytes::Bytes>>, ClientError> {
    let wrong = || ClientError::Url { url: call.url.clone(), expected: "expected a host and a path" };
    let whole = call.url.split('#').next().unwrap_or_default();
    // A proxy is told the whole address, but through a tunnel the target is spoken to itself.
    let plain_proxy = through.filter(|_| !target.https);
    let uri: Uri =
        if http2 || plain_proxy.is_some() { whole } else { &target.path_and_query }.parse().map_err(|_| wrong())?;
    if !http2 {
        let host = HeaderValue::from_str(&target.authority).map_err(|_| wrong())?;
        headers.entry(HOST).or_insert(host);
    }
    if let Some(authorization) = plain_proxy.and_then(|proxy| proxy.authorization.clone()) {
        headers.insert(PROXY_AUTHORIZATION, authorization);
    }
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.headers_mut() = headers;
    *request.uri_mut() = uri;
    Ok(request)
}

/// There is no manager to fetch secrets by name, and no key is used to sign assertions.
fn refuse_references(config: &HttpConfig) -> Result<(), ClientError> {
    let refused = |key, what: &str| {
        Err(ClientError::Setting { key, why: format!("{what} is not supported, expected the text or a file") })
    };
    if config.basic_auth.as_ref().is_some_and(|basic| basic.username_ref.given() || basic.password_ref.given()) {
        return refused("basic_auth", "a reference to a secret manager");
    }
    if config.authorization.as_ref().is_some_and(|authorization| authorization.credentials_ref.given()) {
        return refused("authorization", "a reference to a secret manager");
    }
    match &config.oauth2 {
        Some(oauth2) if oauth2.client_secret_ref.given() => refused("oauth2", "a reference to a secret manager"),
        Some(oauth2) if oauth2.is_jwt_bearer() => {
            let why = "the JWT bearer grant is not supported, expected client_credentials".to_owned();
            Err(ClientError::Setting { key: "oauth2", why })
        }
        Some(_) | None => Ok(()),
    }
}

/// The session that fetches tokens: TLS and proxy of its own, nobody's credentials.
fn tokens(oauth2: &OAuth2, options: &SessionOptions, clock: &Arc<dyn Clock>) -> Result<Tokens, ClientError> {
    let config =
        HttpConfig { tls_config: oauth2.tls_config.clone(), proxy: oauth2.proxy.clone(), ..HttpConfig::default() };
    let options = SessionOptions { unix_socket: None, idle_max: 1, ..options.clone() };
    let session = Session::new(&config, options, Arc::clone(clock))?;
    Ok(Tokens::new(oauth2.clone(), session, Arc::clone(clock)))
}

/// `http_headers`: values, secrets and files become one header each.
fn own_headers(config: &HttpConfig) -> Result<Vec<(HeaderName, Source)>, ClientError> {
    let mut headers = Vec::new();
    for (name, header) in config.http_headers.iter() {
        let wrong = |_| ClientError::Setting { key: "http_headers", why: format!("{name:?} is no header name") };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(wrong)?;
        let values = header.values.iter().map(model::secret::Secret::new).chain(header.secrets.iter().cloned());
        headers.extend(values.map(|value| (name.clone(), Source::Text(value))));
        headers.extend(header.files.iter().map(|file| (name.clone(), Source::new(None, Some(file)))));
    }
    Ok(headers)
}

/// Whether the body is compressed.
fn is_gzip(headers: &HeaderMap) -> Result<bool, ClientError> {
    let encoding = headers.get(CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("?")).trim();
    match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" | "x-gzip" => Ok(true),
        other => Err(ClientError::Encoding(other.to_owned())),
    }
}
