//! A connection that outlives its call, and where such connections wait for the next one.
//!
//! A connection belongs to one call at a time and is only polled by that call: while it waits nothing runs for it, so
//! there is no task to own. Whether the server closed it in the meantime is found out when it is taken.
//! Promise: at most `idle_max` wait; none waits longer than `idle_timeout`.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::tasks::{CutOnDrop, Tasks};

/// Header of an answer in bytes.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Anything that connects us to a server.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub(super) type Stream = Box<dyn Io>;

/// A connection and the requests on it.
pub(super) struct Wire {
    sender: Sender,
    driver: Driver,
    pub(super) peer: Option<SocketAddr>,
    /// Of the TLS it was made with.
    pub(super) generation: u64,
    /// HTTP/2: hyper's tasks for this connection.
    _nothing_is_left: Option<CutOnDrop>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Polls the connection while something is waited for.
struct Driver {
    connection: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

impl Driver {
    async fn during<W: Future>(&mut self, work: W) -> W::Output {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            // What it had received when it ended is still handed to the work, and what it had not is an error there.
            if !self.ended && self.connection.as_mut().poll(cx).is_ready() {
                self.ended = true;
            }
            match work.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(output),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// A request that came to nothing, and whether the server may have seen it.
pub(super) struct Unsent {
    pub(super) error: hyper::Error,
    pub(super) left: bool,
}

impl Wire {
    /// Speaks HTTP/1.1 or, where TLS agreed on it, HTTP/2.
    pub(super) async fn open(stream: Stream, http2: bool) -> Result<Self, hyper::Error> {
        let io = TokioIo::new(stream);
        if http2 {
            let tasks = Tasks::default();
            let cut = CutOnDrop(tasks.clone());
            let mut builder = http2::Builder::new(tasks);
            builder.max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX));
            let (sender, connection) = builder.handshake(io).await?;
            // Why it ended is told to whoever waits for an answer on it.
            let connection = Box::pin(async move { drop(connection.await) });
            return Ok(Self::new(Sender::Http2(sender), connection, Some(cut)));
        }
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEADER_BYTES_MAX);
        let (sender, connection) = builder.handshake(io).await?;
        let connection = Box::pin(async move { drop(connection.await) });
        Ok(Self::new(Sender::Http1(sender), connection, None))
    }

    fn new(sender: Sender, connection: Pin<Box<dyn Future<Output = ()> + Send>>, cut: Option<CutOnDrop>) -> Self {
        let driver = Driver { connection, ended: false };
        Self { sender, driver, peer: None, generation: 0, _nothing_is_left: cut }
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Whether it can take a request: notices here that the server closed it.
    pub(super) async fn ready(&mut self) -> bool {
        let ready = match &mut self.sender {
            Sender::Http1(sender) => self.driver.during(sender.ready()).await.is_ok(),
            Sender::Http2(sender) => self.driver.during(sender.ready()).await.is_ok(),
        };
        ready && !self.driver.ended
    }

    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unsent> {
        let sent = match &mut self.sender {
            Sender::Http1(sender) => self.driver.during(sender.try_send_request(request)).await,
            Sender::Http2(sender) => self.driver.during(sender.try_send_request(request)).await,
        };
        sent.map_err(|mut error| Unsent { left: error.take_message().is_none(), error: error.into_error() })
    }

    /// Waits for something that comes over this connection.
    pub(super) async fn during<W: Future>(&mut self, work: W) -> W::Output {
        self.driver.during(work).await
    }
}

/// Connections that wait for a call.
pub(super) struct Pool {
    idle_max: usize,
    idle_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: HashMap<String, Vec<Idle>>,
    count: usize,
    swept: Duration,
}

struct Idle {
    wire: Wire,
    since: Duration,
}

impl Pool {
    pub(super) fn new(idle_max: usize, idle_timeout: Duration) -> Self {
        Self { idle_max, idle_timeout, state: Mutex::default() }
    }

    /// The connection to this origin that waited shortest.
    pub(super) fn take(&self, origin: &str, generation: u64, now: Duration) -> Option<Wire> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = state.idle.get_mut(origin)?;
        let (mut taken, mut dropped) = (None, 0);
        while let Some(idle) = waiting.pop() {
            dropped += 1;
            if idle.wire.generation == generation && idle.since + self.idle_timeout > now {
                taken = Some(idle.wire);
                break;
            }
        }
        if waiting.is_empty() {
            state.idle.remove(origin);
        }
        state.count -= dropped;
        taken
    }

    /// Keeps a connection for the next call, or drops it where enough wait already.
    pub(super) fn put(&self, origin: String, wire: Wire, now: Duration) {
        if wire.driver.ended {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Origins that nobody calls any more are only found by looking at all of them; once in a while is enough.
        if state.swept + self.idle_timeout < now {
            state.swept = now;
            let keep = |idle: &Idle| idle.since + self.idle_timeout > now;
            state.idle.values_mut().for_each(|waiting| waiting.retain(keep));
            state.idle.retain(|_, waiting| !waiting.is_empty());
            state.count = state.idle.values().map(Vec::len).sum();
        }
        if state.count < self.idle_max {
            state.count += 1;
            state.idle.entry(origin).or_default().push(Idle { wire, since: now });
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).count
    }
}
