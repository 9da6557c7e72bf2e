//! The HTTP client: one call, one connection, every phase timed, every quantity bounded.
//!
//! Promise: the address connected to is the one the policy was asked about, on every hop; credentials do not follow
//! a redirect to another origin; nothing a server sends makes us hold more than the call's [`Budget`].
//! Not here: connections kept for the next call, credentials, proxies, decompression (`session`).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use model::time::Clock;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::address::{AddressPolicy, Denied};
use crate::dial::Dial;
use crate::location;
use crate::tasks::{CutOnDrop, Tasks};
use crate::tls::{ClockTime, TlsError, add_roots, provider};

/// Header of an answer in bytes; the size at which browsers give up too.
const HEADER_BYTES_MAX: usize = 256 * 1024;

/// What every call of a client shares.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// CA certificates trusted besides the built-in ones and those of `SSL_CERT_FILE`.
    pub ca_file: Option<PathBuf>,
    pub policy: AddressPolicy,
    /// Empty: `watchpost`.
    pub user_agent: String,
}

/// What a call may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// All of it, redirects and body included.
    pub total: Duration,
    /// To a connection, per address.
    pub connect: Duration,
    /// Of the answer's body. At the bound the call fails.
    pub body_bytes_max: usize,
    /// Zero: a redirect is handed back as the answer.
    pub redirects_max: u8,
}

impl Default for Budget {
    fn default() -> Self {
        let (total, connect) = (Duration::from_secs(30), Duration::from_secs(10));
        Self { total, connect, body_bytes_max: 1024 * 1024, redirects_max: 0 }
    }
}

/// A request to make.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// `http://` or `https://`, without user or password.
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub budget: Budget,
}

impl Call {
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        let (headers, body, budget) = (HeaderMap::new(), Bytes::new(), Budget::default());
        Self { method: Method::GET, url: url.into(), headers, body, budget }
    }

    #[must_use]
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(url) }
    }
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub version: Version,
    /// The address that answered, and the URL it answered for after `redirects` hops.
    pub peer: SocketAddr,
    pub url: String,
    pub redirects: u8,
    pub phases: Phases,
}

/// Where the time went: of the last hop, but `total`, which is the whole call's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    pub dns: Duration,
    pub connect: Duration,
    pub tls: Duration,
    /// From the request to the answer's header.
    pub first_byte: Duration,
    pub total: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("not a URL to call: {url:?}, {expected}")]
    Url { url: String, expected: &'static str },
    #[error("resolving {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("connecting to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("tls with {host}: {source}")]
    Tls { host: String, source: io::Error },
    #[error("the exchange with {host} failed: {source}")]
    Exchange { host: String, source: hyper::Error },
    #[error("no complete answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    #[error("more than {0} redirects")]
    Redirects(u8),
    #[error("redirected to {0:?}, which is no http address")]
    Location(String),
    #[error("{key}: {why}")]
    Setting { key: &'static str, why: String },
    #[error("unable to read {what} from {path}: {source}", path = path.display())]
    Credentials { what: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Trust(#[from] TlsError),
    #[error("the proxy {proxy} {why}")]
    Proxy { proxy: String, why: String },
    #[error("no token from {url}: {why}")]
    Token { url: String, why: String },
    #[error("connecting to {path}: {source}", path = path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("the answer is compressed with {0:?}, expected gzip or nothing")]
    Encoding(String),
    #[error("the compressed answer is broken: {0}")]
    Gzip(&'static str),
}

/// Makes calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    tls: Arc<ClientConfig>,
    policy: Arc<AddressPolicy>,
    user_agent: HeaderValue,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// # Errors
    /// A CA file cannot be read or used.
    pub fn new(options: ClientOptions, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let of_environment = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
        for path in options.ca_file.into_iter().chain(of_environment) {
            let pem = std::fs::read(&path).map_err(|source| TlsError::Io { path: path.clone(), source })?;
            add_roots(&mut roots, &path, &pem)?;
        }
        let time = Arc::new(ClockTime(Arc::clone(&clock)));
        let mut tls = ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = if options.user_agent.is_empty() { "watchpost" } else { &options.user_agent };
        let user_agent = HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("watchpost"));
        Ok(Self { tls: Arc::new(tls), policy: Arc::new(options.policy), user_agent, clock })
    }

    /// Makes the call, following redirects as far as its budget says.
    ///
    /// # Errors
    /// No complete answer; a status of 400 or above is an answer.
    pub async fn send(&self, call: Call) -> Result<Reply, ClientError> {
        let began = self.clock.monotonic();
        let total = call.budget.total;
        // Boxed: the state of a call with its TLS handshake is kilobytes, and callers hold it in theirs.
        let whole = Box::pin(self.follow(call));
        let mut reply = tokio::time::timeout(total, whole).await.map_err(|_| ClientError::Timeout(total))??;
        reply.phases.total = self.clock.monotonic().saturating_sub(began);
        Ok(reply)
    }

    async fn follow(&self, mut call: Call) -> Result<Reply, ClientError> {
        let mut redirects = 0;
        let mut target = Target::parse(&call.url)?;
        loop {
            let mut reply = self.exchange(&target, &call).await?;
            reply.redirects = redirects;
            let location = reply.headers.get(LOCATION).filter(|_| is_redirect(reply.status));
            let Some(location) = location.filter(|_| call.budget.redirects_max > 0) else { return Ok(reply) };
            if redirects == call.budget.redirects_max {
                return Err(ClientError::Redirects(redirects));
            }
            redirects += 1;
            let text = String::from_utf8_lossy(location.as_bytes()).into_owned();
            let next = location::resolve(&call.url, &text).ok_or_else(|| ClientError::Location(text.clone()))?;
            let next_target = Target::parse(&next).map_err(|_| ClientError::Location(text))?;
            next_call(&mut call, reply.status, !target.same_origin(&next_target));
            call.url = next;
            target = next_target;
        }
    }

    /// One request, one answer, one connection.
    async fn exchange(&self, target: &Target, call: &Call) -> Result<Reply, ClientError> {
        let mut phases = Phases::default();
        let dial = Dial { policy: &self.policy, clock: &*self.clock, timeout: call.budget.connect };
        let (stream, peer) = dial.tcp((&target.host, target.port), &mut phases).await?;
        if !target.https {
            return self.speak(stream, false, (target, call), (peer, phases)).await;
        }
        let began = self.clock.monotonic();
        let wrong = |source| ClientError::Tls { host: target.host.clone(), source };
        let name = ServerName::try_from(target.host.clone()).map_err(|error| wrong(io::Error::other(error)))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(wrong)?;
        phases.tls = self.clock.monotonic().saturating_sub(began);
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.speak(stream, h2, (target, call), (peer, phases)).await
    }

    async fn speak<T>(
        &self,
        stream: T,
        h2: bool,
        (target, call): (&Target, &Call),
        (peer, mut phases): (SocketAddr, Phases),
    ) -> Result<Reply, ClientError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let began = self.clock.monotonic();
        let request = self.request(target, call, h2)?;
        let io = TokioIo::new(stream);
        let limit = call.budget.body_bytes_max;
        let failed = |source| ClientError::Exchange { host: target.host.clone(), source };
        let header_seen = || self.clock.monotonic().saturating_sub(began);
        let (parts, body, first_byte) = if h2 {
            let tasks = Tasks::default();
            let _nothing_is_left = CutOnDrop(tasks.clone());
            let mut builder = hyper::client::conn::http2::Builder::new(tasks);
            builder.max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX));
            let (mut sender, connection) = builder.handshake(io).await.map_err(failed)?;
            let work = async {
                let response = sender.send_request(request).await.map_err(failed)?;
                collect(response, limit, header_seen).await.map_err(|error| error.into_client(failed))
            };
            drive(connection, work).await?
        } else {
            let mut builder = hyper::client::conn::http1::Builder::new();
            builder.max_buf_size(HEADER_BYTES_MAX);
            let (mut sender, connection) = builder.handshake(io).await.map_err(failed)?;
            let work = async {
                let response = sender.send_request(request).await.map_err(failed)?;
                collect(response, limit, header_seen).await.map_err(|error| error.into_client(failed))
            };
            drive(connection, work).await?
        };
        phases.first_byte = first_byte;
        let http::response::Parts { status, headers, version, .. } = parts;
        Ok(Reply { status, headers, body, version, peer, url: call.url.clone(), redirects: 0, phases })
    }

    fn request(&self, target: &Target, call: &Call, h2: bool) -> Result<Request<Full<Bytes>>, ClientError> {
        let wrong = || ClientError::Url { url: call.url.clone(), expected: "expected a host and a path" };
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.headers_mut() = call.headers.clone();
        request.headers_mut().entry(USER_AGENT).or_insert_with(|| self.user_agent.clone());
        let uri = if h2 {
            call.url.split('#').next().unwrap_or_default().parse()
        } else {
            let host = HeaderValue::from_str(&target.authority).map_err(|_| wrong())?;
            request.headers_mut().entry(HOST).or_insert(host);
            target.path_and_query.parse()
        };
        *request.uri_mut() = uri.map_err(|_| wrong())?;
        Ok(request)
    }
}

/// Polls a connection only as long as there is work on it.
async fn drive<C, W>(connection: C, work: W) -> W::Output
where
    C: Future,
    W: Future,
{
    let (mut connection, mut work) = (pin!(connection), pin!(work));
    tokio::select! {
        biased;
        done = &mut work => return done,
        _ended = &mut connection => {}
    }
    // The connection has ended; what it had received is still there, and what it had not is an error.
    work.await
}

enum CollectError {
    Read(hyper::Error),
    TooLarge(usize),
}

impl CollectError {
    fn into_client(self, failed: impl FnOnce(hyper::Error) -> ClientError) -> ClientError {
        match self {
            Self::Read(error) => failed(error),
            Self::TooLarge(limit) => ClientError::TooLarge(limit),
        }
    }
}

async fn collect(
    response: Response<Incoming>,
    limit: usize,
    header_seen: impl FnOnce() -> Duration,
) -> Result<(http::response::Parts, Bytes, Duration), CollectError> {
    let first_byte = header_seen();
    let (parts, mut body) = response.into_parts();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(CollectError::Read)?.into_data() else { continue };
        if data.len() > limit - whole.len() {
            return Err(CollectError::TooLarge(limit));
        }
        whole.extend_from_slice(&data);
    }
    Ok((parts, whole.freeze(), first_byte))
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) https: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As the `Host` header has it.
    pub(crate) authority: String,
    pub(crate) path_and_query: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, ClientError> {
        let wrong = |expected| ClientError::Url { url: url.to_owned(), expected };
        let uri: Uri = url.parse().map_err(|_| wrong("expected for example https://example.org/path"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("expected http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("expected a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("expected no user or password in it"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("expected a host"));
        }
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let path_and_query = uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned();
        Ok(Self { https, host, port, authority: authority.to_string(), path_and_query })
    }

    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        (self.https, &self.host, self.port) == (other.https, &other.host, other.port)
    }
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// What a redirect makes of a call: 307 and 308 repeat it, the others ask for the answer; and nothing secret goes
/// to another origin.
pub(crate) fn next_call(call: &mut Call, status: StatusCode, elsewhere: bool) {
    let repeats = matches!(status.as_u16(), 307 | 308);
    if !repeats && call.method != Method::GET && call.method != Method::HEAD {
        call.method = Method::GET;
        call.body = Bytes::new();
        call.headers.remove(http::header::CONTENT_TYPE);
        call.headers.remove(http::header::CONTENT_LENGTH);
        call.headers.remove(http::header::CONTENT_ENCODING);
    }
    call.headers.remove(HOST);
    if elsewhere {
        let secret = |name: &http::HeaderName, value: &HeaderValue| {
            [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name) || value.is_sensitive()
        };
        let drop: Vec<_> =
            call.headers.iter().filter(|(name, value)| secret(name, value)).map(|(n, _)| n.clone()).collect();
        for name in drop {
            call.headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_a_call_goes() {
        let target = Target::parse("https://[::1]:8443/a?b#c").expect("a url");
        assert_eq!((target.host.as_str(), target.port, target.path_and_query.as_str()), ("::1", 8443, "/a?b"));
        let target = Target::parse("http://example.org").expect("a url");
        assert_eq!((target.port, target.path_and_query.as_str(), target.https), (80, "/", false));
        for (url, expected) in [
            ("ftp://a/", "expected http:// or https://"),
            ("/path", "expected http:// or https://"),
            ("http://user:pass@a/", "expected no user or password in it"),
            ("http:///x", "expected for example"),
            ("", "expected for example"),
        ] {
            let error = Target::parse(url).expect_err(url).to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
    }

    #[test]
    fn a_redirect_to_another_origin_takes_no_secrets_along() {
        let mut call = Call::post("http://a/", "body");
        call.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        call.headers.insert(COOKIE, HeaderValue::from_static("a=b"));
        let mut own = HeaderValue::from_static("secret");
        own.set_sensitive(true);
        call.headers.insert("x-own", own);
        call.headers.insert("accept", HeaderValue::from_static("*/*"));
        let mut near = call.clone();
        next_call(&mut near, StatusCode::TEMPORARY_REDIRECT, false);
        assert_eq!((near.method, near.headers.len(), near.body.len()), (Method::POST, 4, 4));
        next_call(&mut call, StatusCode::SEE_OTHER, true);
        assert_eq!((call.method, call.body.len()), (Method::GET, 0));
        assert_eq!(call.headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
