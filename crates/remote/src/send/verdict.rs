//! What an answer means for the batch that was sent, and how many shards the work needs. Pure.

use std::time::Duration;

use wire::remote_write::Version;

use super::transport::{Reply, Unanswered};

/// What to do with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver has it, or has all of it that it wants.
    Sent,
    /// The receiver will never take it: it is counted as failed and let go.
    Refused(String),
    /// It may pass next time.
    Retry { why: String, after: Option<Duration> },
    /// The receiver does not know version 2.0: say it again in 1.0.
    Older(String),
}

/// Judges an answer as Prometheus does: 5xx and silence are tried again, 429 where that is configured, everything else
/// never.
pub(super) fn judge(answer: &Result<Reply, Unanswered>, version: Version, retry_on_429: bool) -> Verdict {
    let reply = match answer {
        Ok(reply) => reply,
        Err(error) => return Verdict::Retry { why: error.to_string(), after: None },
    };
    let said = || format!("the receiver answered {}: {}", reply.status, reply.message);
    match reply.status {
        // A receiver of version 1.0 that ignores the content type finds nothing in our message and says 2xx; one of
        // version 2.0 must say what it stored.
        200..300 if version == Version::V2 && reply.written.is_none() => {
            Verdict::Older("the receiver took a request of version 2.0 without saying what it stored".to_owned())
        }
        200..300 => Verdict::Sent,
        415 if version == Version::V2 => Verdict::Older(said()),
        429 if retry_on_429 => Verdict::Retry { why: said(), after: reply.retry_after },
        500..600 => Verdict::Retry { why: said(), after: reply.retry_after },
        _ => Verdict::Refused(said()),
    }
}

/// How the queue did in the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Samples that came in and went out.
    pub(super) read: u64,
    pub(super) sent: u64,
    /// Time that requests which succeeded took, over all shards.
    pub(super) busy: Duration,
    /// Samples that wait now.
    pub(super) waiting: u64,
    /// Reading had to stop because a shard was full.
    pub(super) held_back: bool,
}

/// A change smaller than this is not worth the pause that it takes.
const TOLERANCE: f64 = 0.3;
/// The share of what waits that should be caught up with in one interval.
const CATCH_UP: f64 = 0.25;

/// How many shards can do the work: the time one sample takes times the samples to send.
pub(super) fn shards_wanted(now: usize, pace: &Pace, interval: Duration, bounds: (usize, usize)) -> usize {
    let (min, max) = bounds;
    // Nothing got through: the receiver is down, and more requests at once are not what it needs.
    if pace.sent == 0 || interval.is_zero() {
        return now.clamp(min, max);
    }
    let each = pace.busy.as_secs_f64() / pace.sent as f64;
    let mut wanted = each * (pace.read as f64 + CATCH_UP * pace.waiting as f64) / interval.as_secs_f64();
    if pace.held_back {
        // What was not read is not known; half as many again is a step towards it.
        wanted = wanted.max(now as f64 * 1.5);
    }
    let share = wanted / now.max(1) as f64;
    if (1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&share) {
        return now.clamp(min, max);
    }
    (wanted.ceil() as usize).clamp(min, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::Written;

    fn reply(status: u16) -> Result<Reply, Unanswered> {
        Ok(Reply { status, retry_after: Some(Duration::from_secs(7)), ..Reply::default() })
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let kind = |answer: &Result<Reply, Unanswered>, retry_on_429| match judge(answer, Version::V1, retry_on_429) {
            Verdict::Sent => "sent",
            Verdict::Refused(_) => "refused",
            Verdict::Retry { .. } => "retry",
            Verdict::Older(_) => "older",
        };
        for (status, expected) in
            [(200, "sent"), (204, "sent"), (301, "refused"), (400, "refused"), (404, "refused"), (415, "refused")]
        {
            assert_eq!(kind(&reply(status), true), expected, "{status}");
        }
        for status in [500, 502, 503, 599] {
            assert_eq!(kind(&reply(status), false), "retry", "{status}");
        }
        assert_eq!((kind(&reply(429), false), kind(&reply(429), true)), ("refused", "retry"));
        assert_eq!(kind(&Err(Unanswered("reset".into())), false), "retry");
        let after = judge(&reply(503), Version::V1, false);
        assert!(matches!(after, Verdict::Retry { after: Some(after), .. } if after == Duration::from_secs(7)));
    }

    #[test]
    fn who_does_not_know_version_2_gets_version_1() {
        assert!(matches!(judge(&reply(415), Version::V2, false), Verdict::Older(_)));
        assert!(matches!(judge(&reply(204), Version::V2, false), Verdict::Older(_)));
        let knows = Ok(Reply { status: 204, written: Some(Written::default()), ..Reply::default() });
        assert_eq!(judge(&knows, Version::V2, false), Verdict::Sent);
        assert!(matches!(judge(&reply(400), Version::V2, false), Verdict::Refused(_)));
    }

    #[test]
    fn shards_follow_the_work_within_their_bounds() {
        let second = Duration::from_secs(1);
        let wanted = |now, pace: Pace| shards_wanted(now, &pace, 10 * second, (1, 50));
        // 1 ms a sample, 30,000 a second: thirty shards.
        let pace = Pace { read: 300_000, sent: 10_000, busy: 10 * second, ..Pace::default() };
        assert_eq!(wanted(1, pace), 30);
        assert_eq!(wanted(30, pace), 30);
        assert_eq!(wanted(25, pace), 25, "a fifth more is not worth it");
        assert_eq!(wanted(49, pace), 30);
        assert_eq!(wanted(40, Pace { read: 3_000_000, ..pace }), 50);
        assert_eq!(wanted(10, Pace { read: 0, ..pace }), 1);
        assert_eq!(wanted(10, Pace { sent: 0, held_back: true, ..pace }), 10, "a receiver that is down");
        assert_eq!(wanted(4, Pace { read: 4_000, held_back: true, ..pace }), 6);
    }
}
