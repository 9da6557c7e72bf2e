//! One connection from its first byte to its last: which protocol it speaks, its requests, its clock, its end.
//!
//! Promise: it ends by itself (peer, protocol, clock or drain); its owner may also drop it at any point.
//! Not here: how many there are and who owns them (`door`).

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::activity::{Activity, InFlight, Overdue, Watched};
use crate::body::{BoxError, Inbound, Outbound};
use crate::door::{ConnInfo, DoorKind, DoorSettings, HttpService};
use crate::forwarded::request_host;
use crate::plain::{self, PlainAnswer};
use crate::stats::DoorStats;
use crate::tasks::Tasks;
use crate::tls::TlsPort;

/// The first byte of a TLS record that begins a handshake; no HTTP method begins with it.
const TLS_HANDSHAKE_BYTE: u8 = 0x16;
/// What hyper may buffer of one HTTP/2 answer. Small, so that an answer that is not taken is noticed as held.
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// What is read of a refused request's body; who sends more gets a reset. The size of most SDK payloads fits.
const DISCARD_BYTES_MAX: usize = 1024 * 1024;

/// What a connection is given by its door.
pub(crate) struct Given<S> {
    pub(crate) service: S,
    pub(crate) settings: Arc<DoorSettings>,
    pub(crate) stats: Arc<DoorStats>,
    pub(crate) tls: Option<Arc<TlsPort>>,
    pub(crate) tasks: Tasks,
    pub(crate) stop: CancellationToken,
}

/// Serves one connection to its end.
pub(crate) async fn serve<S, B>(stream: TcpStream, info: ConnInfo, given: Given<S>)
where
    S: HttpService<B>,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    // Answers are written whole; waiting to fill packets only delays them. A peer that is gone says so later.
    let _only_slower = stream.set_nodelay(true);
    let stats = Arc::clone(&given.stats);
    let opened = match (&given.tls, info.door) {
        (Some(tls), DoorKind::Tls) => {
            let timeout = given.settings.limits.handshake_timeout;
            let handshake = tokio::time::timeout(timeout, open_tls(stream, tls));
            match given.stop.run_until_cancelled(handshake).await {
                None => return,
                Some(Err(_late)) => return stats.handshake_timeout.add(),
                Some(Ok(Err(error))) => {
                    tracing::debug!(peer = %info.peer, %error, "tls handshake failed");
                    return stats.handshake_failed.add();
                }
                Some(Ok(Ok(opened))) => opened,
            }
        }
        _ => Opened::Plain(stream),
    };
    match opened {
        Opened::Plain(stream) => exchange(stream, false, info, given).await,
        Opened::Tls(stream) => {
            let (_, session) = stream.get_ref();
            let h2 = session.alpn_protocol() == Some(b"h2");
            let client_cert = session.peer_certificates().and_then(|chain| chain.first()).map(owned);
            exchange(*stream, h2, ConnInfo { tls: true, client_cert, ..info }, given).await;
        }
    }
}

fn owned(certificate: &CertificateDer<'_>) -> Arc<[u8]> {
    Arc::from(certificate.as_ref())
}

enum Opened {
    Plain(TcpStream),
    /// Boxed: kilobytes of handshake state must not make every plain connection as large.
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// Looks at the first byte without taking it, and shakes hands if it is TLS.
async fn open_tls(stream: TcpStream, tls: &TlsPort) -> io::Result<Opened> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0] != TLS_HANDSHAKE_BYTE {
        return Ok(Opened::Plain(stream));
    }
    // Boxed: the handshake is over soon, its state machine would stay in the task for the connection's life.
    let handshake = Box::pin(TlsAcceptor::from(tls.config()).accept(stream));
    Ok(Opened::Tls(Box::new(handshake.await?)))
}

async fn exchange<T, S, B>(stream: T, h2: bool, info: ConnInfo, given: Given<S>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: HttpService<B>,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let activity = Activity::begin(h2, Arc::clone(&given.stats));
    let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity) });
    let Given { service, settings, stats, tasks, stop, .. } = given;
    let door = Arc::new(Requests { service, info, settings: Arc::clone(&settings), activity: Arc::clone(&activity) });
    let handler = hyper::service::service_fn(move |request| Arc::clone(&door).answer(request));
    let builder = protocol(&settings, tasks);
    let http = builder.serve_connection(io, handler);
    match timed(http, &activity, &settings, &stop).await {
        Ended::Closed => {}
        Ended::Failed(error) => {
            tracing::debug!(%error, "connection failed");
            stats.protocol_errors.add();
        }
        Ended::Overdue(Overdue::Idle) => stats.idle_closed.add(),
        Ended::Overdue(Overdue::Header) => stats.header_timeout.add(),
        Ended::Overdue(Overdue::Stalled) => stats.stalled.add(),
    }
}

/// hyper with our limits. Its own header timeout is off: it also runs between requests, where ours is longer.
fn protocol(settings: &DoorSettings, tasks: Tasks) -> auto::Builder<Tasks> {
    let limits = &settings.limits;
    let mut builder = auto::Builder::new(tasks);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.h2_streams_max)
        .max_pending_accept_reset_streams(limits.h2_pending_resets_max)
        .max_local_error_reset_streams(limits.h2_local_resets_max)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX);
    builder
}

/// How a connection ended.
enum Ended {
    Closed,
    Failed(BoxError),
    Overdue(Overdue),
}

/// A connection under its clock and its door's "stop".
async fn timed<I, S, B>(
    http: auto::Connection<'_, I, S, Tasks>,
    activity: &Activity,
    settings: &DoorSettings,
    stop: &CancellationToken,
) -> Ended
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Outbound<B>>, Error = Infallible>,
    S::Future: Send + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut http = pin!(http);
    let mut clock = pin!(tokio::time::sleep(settings.limits.keep_alive_idle));
    let mut stopping = pin!(stop.cancelled());
    let mut stopped = false;
    poll_fn(|cx| {
        if !stopped && stopping.as_mut().poll(cx).is_ready() {
            stopped = true;
            http.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = http.as_mut().poll(cx) {
            return Poll::Ready(ended.map_or_else(Ended::Failed, |()| Ended::Closed));
        }
        overdue(clock.as_mut(), activity, settings, cx).map(Ended::Overdue)
    })
    .await
}

/// Ready when the connection's clock has run out.
///
/// The timer is only moved to an earlier time; when it fires too early for a state that has changed it is set anew.
/// So a busy connection does not touch the timer wheel with every request.
fn overdue(
    mut clock: Pin<&mut Sleep>,
    activity: &Activity,
    settings: &DoorSettings,
    cx: &mut Context<'_>,
) -> Poll<Overdue> {
    loop {
        let left = match activity.check(&settings.limits) {
            Err(overdue) => return Poll::Ready(overdue),
            Ok(left) => left,
        };
        let due = Instant::now() + left;
        if due < clock.deadline() || clock.is_elapsed() {
            clock.as_mut().reset(due);
        }
        if clock.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
    }
}

/// What answers the requests of one connection.
struct Requests<S> {
    service: S,
    info: ConnInfo,
    settings: Arc<DoorSettings>,
    activity: Arc<Activity>,
}

impl<S> Requests<S> {
    /// The service's answer, or the door's own where the request does not get that far.
    async fn answer<B>(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Outbound<B>>, Infallible>
    where
        S: HttpService<B>,
    {
        let h2 = request.version() == Version::HTTP_2;
        let in_flight = self.activity.request(h2);
        if let Some(own) = self.own_answer(&request, in_flight.stats()) {
            discard(request, self.settings.limits.body_idle_timeout, Arc::clone(in_flight.stats())).await;
            return Ok(own_response(own, h2, in_flight));
        }
        let stats = Arc::clone(in_flight.stats());
        let mut request = request.map(|body| Inbound::new(body, self.settings.limits.body_idle_timeout, stats));
        request.extensions_mut().insert(self.info.clone());
        let response = self.service.clone().oneshot(request).await?;
        Ok(response.map(|body| Outbound::service(body, in_flight)))
    }

    fn own_answer(&self, request: &Request<Incoming>, stats: &DoorStats) -> Option<Response<String>> {
        let own = self.refusal(request.method(), request.uri(), request.headers());
        if own.is_some() {
            stats.refused_requests.add();
            return own;
        }
        if self.info.door == DoorKind::Plain || self.info.tls {
            return None;
        }
        let external = self.settings.external_url.as_deref();
        let path = self.settings.without_prefix(request.uri().path());
        let verdict = plain::answer_to(self.info.peer.ip(), request.method(), path);
        let host = request_host(request.uri(), request.headers());
        let base = plain::https_base(external, host, self.info.local.port());
        match verdict {
            PlainAnswer::Serve => None,
            PlainAnswer::Redirect => {
                stats.plain_redirected.add();
                // The base ends in the prefix already.
                let path_and_query = request.uri().path_and_query().map_or("/", |whole| whole.as_str());
                Some(plain::redirect(&base, self.settings.without_prefix(path_and_query)))
            }
            PlainAnswer::Refuse => {
                stats.plain_refused.add();
                Some(plain::refuse(&base))
            }
        }
    }

    /// Limits and methods that hold for every route. HTTP/1 headers that are too long never get here.
    fn refusal(&self, method: &Method, uri: &http::Uri, headers: &HeaderMap) -> Option<Response<String>> {
        let limits = &self.settings.limits;
        let uri_bytes = uri.path_and_query().map_or(0, |whole| whole.as_str().len());
        if uri_bytes > limits.uri_bytes_max {
            let text = format!("the address has {uri_bytes} bytes, at most {} are read\n", limits.uri_bytes_max);
            return Some(plain::sentence(StatusCode::URI_TOO_LONG, &text));
        }
        if headers.len() > limits.headers_max {
            let text =
                format!("the request has {} header fields, at most {} are read\n", headers.len(), limits.headers_max);
            return Some(plain::sentence(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &text));
        }
        // TRACE echoes credentials, CONNECT asks for a proxy: neither is offered anywhere.
        if method == Method::TRACE || method == Method::CONNECT {
            let text = format!("{method} is not offered\n");
            return Some(plain::sentence(StatusCode::METHOD_NOT_ALLOWED, &text));
        }
        // Two proxies that disagree on which one counts is how requests are smuggled past the first.
        if headers.get_all(http::header::HOST).iter().count() > 1 {
            return Some(plain::sentence(StatusCode::BAD_REQUEST, "the request names its host twice\n"));
        }
        None
    }
}

/// Reads what a refused request still sends, as far as that is little. A peer whose bytes find a closed socket sees
/// a reset and not the sentence that says what to do.
async fn discard(request: Request<Incoming>, idle_timeout: Duration, stats: Arc<DoorStats>) {
    if request.headers().contains_key(http::header::EXPECT) {
        // It asks first: our answer is its no.
        return;
    }
    let mut body = Inbound::new(request.into_body(), idle_timeout, stats);
    let mut left = DISCARD_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}

fn own_response<B>(own: Response<String>, h2: bool, in_flight: InFlight) -> Response<Outbound<B>> {
    let mut response = own.map(|text| Outbound::own(Bytes::from(text), in_flight));
    if h2 {
        response.headers_mut().remove(http::header::CONNECTION);
    }
    response
}

/// An address as one thing, however the kernel hands it out: a v4 peer of a v6 listener is a v4 peer.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
