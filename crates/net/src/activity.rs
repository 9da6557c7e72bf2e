//! What a connection is doing right now, and when that becomes too little.
//!
//! The rule is one pure function, [`verdict`]; the atomics around it are written by the reader of the socket, by
//! requests and by their answers, which for HTTP/2 run in tasks of their own.
//! One clock per connection instead of one per limit: an idle connection costs one timer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::limits::Limits;
use crate::stats::DoorStats;

/// The state of one connection. Times are milliseconds since it began.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    h2: AtomicBool,
    in_flight: AtomicU32,
    /// Last change of `in_flight`.
    changed_ms: AtomicU64,
    /// First byte of a header that is not complete, plus one; zero: none.
    header_ms: AtomicU64,
    /// Answers with a piece ready that the peer has not made room for.
    held: AtomicU32,
    /// When an answer was last asked for a piece.
    moved_ms: AtomicU64,
    stats: Arc<DoorStats>,
}

/// Why a connection is closed by its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    Idle,
    Header,
    Stalled,
}

/// What [`verdict`] looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    in_flight: u32,
    held: u32,
    changed_ms: u64,
    header_ms: u64,
    moved_ms: u64,
}

/// How long until somebody has to look again, or why it is over.
pub(crate) fn verdict(now_ms: u64, seen: Snapshot, limits: &Limits) -> Result<Duration, Overdue> {
    let (since_ms, limit, overdue) = if seen.held > 0 {
        (seen.moved_ms, limits.stall_timeout, Overdue::Stalled)
    } else if seen.in_flight > 0 {
        // We are the ones at work: how long a request may take is the service's business.
        return Ok(limits.stall_timeout);
    } else if seen.header_ms > 0 {
        (seen.header_ms - 1, limits.header_timeout, Overdue::Header)
    } else {
        (seen.changed_ms, limits.keep_alive_idle, Overdue::Idle)
    };
    let spent = Duration::from_millis(now_ms.saturating_sub(since_ms));
    match limit.checked_sub(spent) {
        // Timers fire on whole milliseconds; asking for less would spin.
        Some(left) if left >= Duration::from_millis(1) => Ok(left),
        _ => Err(overdue),
    }
}

impl Activity {
    pub(crate) fn begin(h2: bool, stats: Arc<DoorStats>) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            h2: AtomicBool::new(h2),
            in_flight: AtomicU32::new(0),
            changed_ms: AtomicU64::new(0),
            header_ms: AtomicU64::new(0),
            held: AtomicU32::new(0),
            moved_ms: AtomicU64::new(0),
            stats,
        })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The verdict on this moment.
    pub(crate) fn check(&self, limits: &Limits) -> Result<Duration, Overdue> {
        let seen = Snapshot {
            in_flight: self.in_flight.load(Ordering::Acquire),
            held: self.held.load(Ordering::Acquire),
            changed_ms: self.changed_ms.load(Ordering::Acquire),
            header_ms: self.header_ms.load(Ordering::Acquire),
            moved_ms: self.moved_ms.load(Ordering::Acquire),
        };
        verdict(self.now_ms(), seen, limits)
    }

    /// A request has arrived: its header is complete.
    pub(crate) fn request(self: &Arc<Self>, h2: bool) -> InFlight {
        self.h2.store(h2, Ordering::Release);
        self.header_ms.store(0, Ordering::Release);
        self.changed_ms.store(self.now_ms(), Ordering::Release);
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.stats.requests.add();
        self.stats.in_flight.add();
        InFlight { activity: Arc::clone(self), held: false }
    }

    /// Bytes came in. Between requests they begin a header; on HTTP/2 they may as well be a ping, so there only
    /// the idle time counts.
    fn bytes_in(&self) {
        if self.in_flight.load(Ordering::Acquire) == 0
            && !self.h2.load(Ordering::Acquire)
            && self.header_ms.load(Ordering::Acquire) == 0
        {
            self.header_ms.store(self.now_ms() + 1, Ordering::Release);
        }
    }
}

/// A request whose answer is not complete; dropping it completes it.
#[derive(Debug)]
pub(crate) struct InFlight {
    activity: Arc<Activity>,
    held: bool,
}

impl InFlight {
    pub(crate) fn stats(&self) -> &Arc<DoorStats> {
        &self.activity.stats
    }

    /// The answer was asked for its next piece: the peer makes progress.
    pub(crate) fn asked(&mut self) {
        self.activity.moved_ms.store(self.activity.now_ms(), Ordering::Release);
        if std::mem::take(&mut self.held) {
            self.activity.held.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// A piece is on its way out; until the next is asked for, it is the peer who keeps us waiting.
    pub(crate) fn gave(&mut self) {
        if !std::mem::replace(&mut self.held, true) {
            self.activity.held.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.held {
            self.activity.held.fetch_sub(1, Ordering::AcqRel);
        }
        self.activity.changed_ms.store(self.activity.now_ms(), Ordering::Release);
        self.activity.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.activity.stats.in_flight.sub();
    }
}

/// A stream that tells its [`Activity`] when bytes come in.
pub(crate) struct Watched<S> {
    pub(crate) stream: S,
    pub(crate) activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_in();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_connection_judges_by_what_it_waits_for() {
        let limits = Limits::default();
        let idle = Snapshot { changed_ms: 1_000, ..Snapshot::default() };
        let header = Snapshot { header_ms: 2_001, ..idle };
        let working = Snapshot { in_flight: 1, ..header };
        let held = Snapshot { held: 1, moved_ms: 5_000, ..working };
        for (name, seen, now_ms, expected) in [
            ("idle", idle, 1_000, Ok(60_000)),
            ("idle, one left", idle, 60_999, Ok(1)),
            ("idle, over", idle, 61_000, Err(Overdue::Idle)),
            ("header begun", header, 2_000, Ok(10_000)),
            ("header, over", header, 12_000, Err(Overdue::Header)),
            ("at work, however long", working, 9_000_000, Ok(30_000)),
            ("held", held, 5_000, Ok(30_000)),
            ("held, over", held, 35_000, Err(Overdue::Stalled)),
            ("a clock behind its own mark", idle, 0, Ok(60_000)),
        ] {
            assert_eq!(verdict(now_ms, seen, &limits), expected.map(Duration::from_millis), "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_answer_counts_once_and_ends_with_its_request() {
        let limits = Limits::default();
        let activity = Activity::begin(false, Arc::default());
        activity.bytes_in();
        tokio::time::advance(Duration::from_secs(4)).await;
        activity.bytes_in();
        assert_eq!(activity.check(&limits), Ok(Duration::from_secs(6)), "the first byte starts the clock");
        let mut request = activity.request(false);
        request.asked();
        request.gave();
        request.gave();
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(activity.check(&limits), Err(Overdue::Stalled));
        drop(request);
        assert_eq!(activity.check(&limits), Ok(Duration::from_secs(60)));
        assert_eq!((activity.stats.requests.get(), activity.stats.in_flight.get()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_of_http_2_neither_begin_a_header_nor_keep_an_idle_connection() {
        let limits = Limits::default();
        let activity = Activity::begin(true, Arc::default());
        tokio::time::advance(Duration::from_secs(59)).await;
        activity.bytes_in();
        assert_eq!(activity.check(&limits), Ok(Duration::from_secs(1)));
    }
}
