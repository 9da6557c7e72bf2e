//! The doors: listening sockets, the loop that accepts, the limits on how many, and the orderly end.
//!
//! One call, [`Door::serve`], owns every connection: when it returns, none is left. What is served is any
//! `tower::Service` (an axum router fits); each request carries a [`ConnInfo`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::body::{BoxError, Inbound};
use crate::connection::{self, Given, canonical};
use crate::forwarded::TrustedProxies;
use crate::limits::Limits;
use crate::stats::DoorStats;
use crate::tasks::{CutOnDrop, Tasks};
use crate::tls::TlsPort;

/// After `accept` fails (no file descriptor left) the loop waits this long: long enough not to spin, short enough
/// that the kernel's queue survives it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a door speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DoorKind {
    /// TLS; plain requests get what [`crate::plain::answer_to`] says.
    Tls,
    /// Plain HTTP to everyone.
    Plain,
}

/// The connection a request came in by; an extension of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnInfo {
    /// The other end of the connection, which may be a proxy: see [`crate::forwarded::client_address`].
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// Whether this connection is encrypted: also on a [`DoorKind::Tls`] it may not be.
    pub tls: bool,
    pub door: DoorKind,
    /// The client's certificate (DER), verified against `client_ca_file`.
    pub client_cert: Option<Arc<[u8]>>,
}

/// What can be served. Implemented for every fitting `tower::Service`.
pub trait HttpService<B>:
    tower::Service<Request<Inbound>, Response = Response<B>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<B, S> HttpService<B> for S where
    S: tower::Service<Request<Inbound>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// What may change while the doors are open; new connections see the new values.
#[derive(Clone, Debug, Default)]
pub struct DoorSettings {
    pub limits: Limits,
    pub trusted_proxies: TrustedProxies,
    /// `server.external_url`, for redirects and refusals on the TLS port.
    pub external_url: Option<String>,
}

impl DoorSettings {
    /// A path without the path prefix of `external_url`; the path itself where it does not have it.
    #[must_use]
    pub fn without_prefix<'a>(&self, path: &'a str) -> &'a str {
        let Some(url) = self.external_url.as_deref() else { return path };
        let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let Some(at) = after_scheme.find('/') else { return path };
        let prefix = after_scheme[at..].trim_end_matches('/');
        match path.strip_prefix(prefix) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }
}

/// A door that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("not an address to listen on: {0:?}, expected for example 0.0.0.0:8443, [::1]:8443 or :8080")]
    Address(String),
    #[error("cannot listen on {address}: {source}")]
    Bind { address: String, source: io::Error },
}

/// A socket that is being listened on.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    kind: DoorKind,
    local: SocketAddr,
}

impl Listener {
    /// Listens on `address`: `host:port`, or `:port` for every address of the machine.
    ///
    /// # Errors
    /// The address cannot be read, or is taken, or is not ours.
    pub async fn bind(address: &str, kind: DoorKind) -> Result<Self, BindError> {
        let wrong = || BindError::Address(address.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let bound = if host.is_empty() {
            // Both families where there are both; a machine without IPv6 has only the other one.
            match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => TcpListener::bind(("0.0.0.0", port)).await,
                bound => bound,
            }
        } else {
            TcpListener::bind((host.trim_start_matches('[').trim_end_matches(']'), port)).await
        };
        let name = |source| BindError::Bind { address: address.to_owned(), source };
        let socket = bound.map_err(name)?;
        let local = socket.local_addr().map_err(name)?;
        Ok(Self { socket, kind, local })
    }

    /// Where it listens, with the real port where `:0` was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    #[must_use]
    pub fn kind(&self) -> DoorKind {
        self.kind
    }
}

/// How an orderly end went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were open when "stop" came.
    pub open: usize,
    /// Those that were cut because they outlived [`Limits::drain_timeout`].
    pub cut: usize,
}

/// All doors of the process.
pub struct Door {
    listeners: Vec<Listener>,
    tls: Option<Arc<TlsPort>>,
    settings: Arc<ArcSwap<DoorSettings>>,
    stats: Arc<DoorStats>,
}

impl Door {
    /// `tls` is needed if any listener is [`DoorKind::Tls`]; without it such a listener has only its plain answers.
    #[must_use]
    pub fn new(listeners: Vec<Listener>, tls: Option<Arc<TlsPort>>, settings: DoorSettings) -> Self {
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        Self { listeners, tls, settings, stats: Arc::default() }
    }

    /// The counters; they outlive the door.
    #[must_use]
    pub fn stats(&self) -> Arc<DoorStats> {
        Arc::clone(&self.stats)
    }

    /// Where to store changed settings.
    #[must_use]
    pub fn settings(&self) -> Arc<ArcSwap<DoorSettings>> {
        Arc::clone(&self.settings)
    }

    #[must_use]
    pub fn local_addrs(&self) -> Vec<(DoorKind, SocketAddr)> {
        self.listeners.iter().map(|listener| (listener.kind, listener.local)).collect()
    }

    /// Accepts and serves until `stop`, then lets what is under way finish within the drain's deadline.
    pub async fn serve<S, B>(self, service: S, stop: CancellationToken) -> DrainReport
    where
        S: HttpService<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let tasks = Tasks::default();
        let _nothing_is_left = CutOnDrop(tasks.clone());
        let mut connections = JoinSet::new();
        let seats = Arc::new(Seats::default());
        let mut turn = 0;
        loop {
            let accepted = tokio::select! {
                // In this order: what ends because of "stop" was open when it came, and the report counts it.
                biased;
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => {
                    note_panic(ended.err(), &self.stats);
                    continue;
                }
                accepted = poll_fn(|cx| self.poll_accept(&mut turn, cx)) => accepted,
            };
            let Ok((stream, info)) = accepted else {
                self.stats.accept_errors.add();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Some(seat) = self.seat(&seats, info.peer.ip()) else { continue };
            let given = Given {
                service: service.clone(),
                settings: self.settings.load_full(),
                stats: Arc::clone(&self.stats),
                tls: self.tls.clone(),
                tasks: tasks.clone(),
                stop: stop.clone(),
            };
            connections.spawn(async move {
                let _seat = seat;
                connection::serve(stream, info, given).await;
            });
        }
        let Self { listeners, settings, stats, .. } = self;
        // Closed before the drain: who comes now shall find another replica, not a queue.
        drop(listeners);
        drain(connections, settings.load().limits.drain_timeout, &stats).await
    }

    /// The next connection of any listener; they take turns at being asked first.
    fn poll_accept(&self, turn: &mut usize, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, ConnInfo)>> {
        *turn = turn.wrapping_add(1);
        let count = self.listeners.len();
        for at in 0..count {
            let listener = &self.listeners[(*turn + at) % count];
            let Poll::Ready(accepted) = listener.socket.poll_accept(cx) else { continue };
            return Poll::Ready(accepted.map(|(stream, peer)| {
                let local = canonical(stream.local_addr().unwrap_or(listener.local));
                let info =
                    ConnInfo { peer: canonical(peer), local, tls: false, door: listener.kind, client_cert: None };
                (stream, info)
            }));
        }
        Poll::Pending
    }

    /// A seat for a connection from `peer`, or the reason counted why there is none.
    fn seat(&self, seats: &Arc<Seats>, peer: IpAddr) -> Option<Seat> {
        self.stats.accepted.add();
        let settings = self.settings.load();
        let exempt = settings.trusted_proxies.contains(peer);
        match seats.take(peer, exempt, &settings.limits) {
            Ok(()) => {
                self.stats.open.add();
                Some(Seat { seats: Arc::clone(seats), peer, stats: Arc::clone(&self.stats) })
            }
            Err(Full::House) => {
                self.stats.refused_full.add();
                None
            }
            Err(Full::Address) => {
                self.stats.refused_address.add();
                None
            }
        }
    }
}

async fn drain(mut connections: JoinSet<()>, timeout: Duration, stats: &DoorStats) -> DrainReport {
    let open = connections.len();
    let all = async {
        while let Some(ended) = connections.join_next().await {
            note_panic(ended.err(), stats);
        }
    };
    let _late_or_done = tokio::time::timeout(timeout, all).await;
    let cut = connections.len();
    stats.cut.add_many(cut as u64);
    connections.shutdown().await;
    DrainReport { open, cut }
}

fn note_panic(ended: Option<tokio::task::JoinError>, stats: &DoorStats) {
    if let Some(error) = ended.filter(tokio::task::JoinError::is_panic) {
        tracing::error!(%error, "a connection ended in a panic");
        stats.panics.add();
    }
}

/// Who is in: how many connections altogether, and of each address.
#[derive(Debug, Default)]
struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    House,
    Address,
}

impl Seats {
    fn take(&self, peer: IpAddr, exempt: bool, limits: &Limits) -> Result<(), Full> {
        let mut taken = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if taken.all >= limits.connections_max {
            return Err(Full::House);
        }
        let of_address = taken.by_address.entry(household(peer)).or_default();
        if !exempt && *of_address >= limits.connections_per_address_max {
            return Err(Full::Address);
        }
        *of_address += 1;
        taken.all += 1;
        Ok(())
    }

    fn leave(&self, peer: IpAddr) {
        let mut taken = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        taken.all -= 1;
        if let Some(of_address) = taken.by_address.get_mut(&household(peer)) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&household(peer));
            }
        }
    }
}

/// What counts as one address: for IPv6 the /64, of which any machine has all.
fn household(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// A connection's place; dropping it gives it back.
struct Seat {
    seats: Arc<Seats>,
    peer: IpAddr,
    stats: Arc<DoorStats>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.leave(self.peer);
        self.stats.open.sub();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_refused_at_the_bound_and_free_again_when_left() {
        let limits = Limits { connections_max: 3, connections_per_address_max: 2, ..Limits::default() };
        let [one, two]: [IpAddr; 2] = ["10.0.0.1".parse().expect("one"), "10.0.0.2".parse().expect("two")];
        let seats = Seats::default();
        assert_eq!(seats.take(one, false, &limits), Ok(()));
        assert_eq!(seats.take(one, false, &limits), Ok(()));
        assert_eq!(seats.take(one, false, &limits), Err(Full::Address));
        assert_eq!(seats.take(one, true, &limits), Ok(()), "a trusted proxy is exempt");
        assert_eq!(seats.take(two, true, &limits), Err(Full::House), "nobody is exempt from this one");
        seats.leave(one);
        assert_eq!(seats.take(two, false, &limits), Ok(()));
        for peer in [one, one, two] {
            seats.leave(peer);
        }
        let taken = seats.0.lock().expect("no holder panics");
        assert_eq!((taken.all, taken.by_address.len()), (0, 0), "nothing is remembered about who left");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_their_seats() {
        let limits = Limits { connections_per_address_max: 1, ..Limits::default() };
        let seats = Seats::default();
        assert_eq!(seats.take("2001:db8::1".parse().expect("v6"), false, &limits), Ok(()));
        assert_eq!(seats.take("2001:db8::2".parse().expect("v6"), false, &limits), Err(Full::Address));
        assert_eq!(seats.take("2001:db8:0:1::1".parse().expect("v6"), false, &limits), Ok(()));
    }

    #[test]
    fn the_prefix_of_the_external_address_is_taken_off() {
        let settings = |url: &str| DoorSettings { external_url: Some(url.to_owned()), ..DoorSettings::default() };
        for (url, path, expected) in [
            ("https://a.example", "/x", "/x"),
            ("https://a.example/", "/x", "/x"),
            ("https://a.example/w", "/w/x?y", "/x?y"),
            ("https://a.example/w/", "/w", "/"),
            ("https://a.example/w", "/wx", "/wx"),
            ("https://a.example/w", "/x", "/x"),
        ] {
            assert_eq!(settings(url).without_prefix(path), expected, "{url} {path}");
        }
        assert_eq!(DoorSettings::default().without_prefix("/w"), "/w");
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_listened_on_is_named() {
        for (address, expected) in [
            ("8443", "not an address to listen on: \"8443\", expected for example 0.0.0.0:8443"),
            ("localhost:http", "not an address to listen on: \"localhost:http\""),
            ("192.0.2.1:0", "cannot listen on 192.0.2.1:0: "),
        ] {
            let error = Listener::bind(address, DoorKind::Plain).await.expect_err(address).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let every = Listener::bind(":0", DoorKind::Plain).await.expect("every address");
        assert!(every.local_addr().ip().is_unspecified() && every.local_addr().port() > 0);
        let taken = format!("127.0.0.1:{}", every.local_addr().port());
        assert!(Listener::bind(&taken, DoorKind::Plain).await.is_err(), "a port is taken once");
    }
}
