//! The bodies that pass through a door, each under its connection's clock.
//!
//! [`Inbound`] is what a service reads: it fails when the peer stops sending. [`Outbound`] is what the door sends:
//! the service's answer or the door's own, and it knows when the peer stops taking it.
//! Not here: how many bytes a body may have; that differs by route and is the service's to say.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::activity::InFlight;
use crate::stats::DoorStats;
use std::sync::Arc;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Why a request's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the body stopped coming for {} seconds", .0.as_secs())]
    Idle(Duration),
    #[error("reading the body: {0}")]
    Read(#[from] hyper::Error),
}

/// The body of a request.
#[derive(Debug)]
pub struct Inbound {
    body: Incoming,
    idle_timeout: Duration,
    /// Made when the body first keeps us waiting: most bodies arrive with their header.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    stats: Arc<DoorStats>,
}

impl Inbound {
    pub(crate) fn new(body: Incoming, idle_timeout: Duration, stats: Arc<DoorStats>) -> Self {
        Self { body, idle_timeout, timer: None, waiting: false, stats }
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Read)));
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.idle_timeout)));
        if !std::mem::replace(&mut this.waiting, true) {
            timer.as_mut().reset(Instant::now() + this.idle_timeout);
        }
        ready!(timer.as_mut().poll(cx));
        this.waiting = false;
        this.stats.body_timeout.add();
        Poll::Ready(Some(Err(BodyError::Idle(this.idle_timeout))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer; the request is in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct Outbound<B> {
    kind: Kind<B>,
    in_flight: InFlight,
}

#[derive(Debug)]
enum Kind<B> {
    Service(B),
    Own(Option<Bytes>),
}

impl<B> Outbound<B> {
    pub(crate) fn service(body: B, in_flight: InFlight) -> Self {
        Self { kind: Kind::Service(body), in_flight }
    }

    pub(crate) fn own(text: Bytes, in_flight: InFlight) -> Self {
        Self { kind: Kind::Own(Some(text)), in_flight }
    }
}

impl<B> Body for Outbound<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        this.in_flight.asked();
        let frame = match &mut this.kind {
            Kind::Service(body) => ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into)),
            Kind::Own(text) => text.take().map(|text| Ok(Frame::data(text))),
        };
        if frame.is_some() {
            this.in_flight.gave();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Service(body) => body.is_end_stream(),
            Kind::Own(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Service(body) => body.size_hint(),
            Kind::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
