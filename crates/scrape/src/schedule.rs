//! When a target is scraped: every interval, at a place in it that hangs on the target, so that many targets spread.
//!
//! Pure arithmetic on milliseconds. A scrape that starts hardly late is written down as if it had been in time:
//! regular timestamps take less room.

use std::time::Duration;

use model::time::Timestamp;

/// How late a scrape may be to count as in time; never more than a hundredth of its interval.
const TOLERANCE_MS: i64 = 2;

/// The rhythm of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    interval_ms: i64,
    offset_ms: i64,
}

impl Schedule {
    /// `seed` differs between servers that scrape the same targets, so that they do not all come at once.
    #[must_use]
    pub fn new(interval: Duration, target: u64, seed: u64) -> Self {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let offset_ms = ((target ^ seed) % interval_ms.unsigned_abs()).cast_signed();
        Self { interval_ms, offset_ms }
    }

    #[must_use]
    pub const fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// The last time at or before `now` at which the target was due.
    #[must_use]
    pub const fn last_due(&self, now: Timestamp) -> Timestamp {
        let since = now.0.saturating_sub(self.offset_ms);
        Timestamp(now.0.saturating_sub(since.rem_euclid(self.interval_ms)))
    }

    /// The first time after `now` at which the target is due. Whatever was missed meanwhile is not made up for.
    #[must_use]
    pub const fn next_due(&self, now: Timestamp) -> Timestamp {
        Timestamp(self.last_due(now).0.saturating_add(self.interval_ms))
    }

    /// The timestamp of a scrape that starts now.
    #[must_use]
    pub fn align(&self, now: Timestamp) -> Timestamp {
        let due = self.last_due(now);
        let tolerance = TOLERANCE_MS.min(self.interval_ms / 100);
        if now.0 - due.0 <= tolerance { due } else { now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_target_is_due_once_in_each_interval_at_its_own_place() {
        let schedule = Schedule::new(15 * SECOND, 7_003, 0);
        let first = schedule.next_due(Timestamp(1_700_000_000_000));
        assert_eq!((first.0 - 7_003) % 15_000, 0);
        assert_eq!(schedule.next_due(first), first.plus(15 * SECOND));
        assert_eq!(schedule.next_due(first.minus(Duration::from_millis(1))), first);
        assert_eq!(schedule.last_due(first), first);
    }

    #[test]
    fn what_was_missed_is_skipped() {
        let schedule = Schedule::new(SECOND, 0, 0);
        assert_eq!(schedule.next_due(Timestamp(10_500)), Timestamp(11_000));
    }

    #[test]
    fn targets_spread_over_the_interval() {
        let mut tenths = [0; 10];
        for target in 0..1_000u64 {
            let hash = model::labels::Labels::from_pairs([("instance", target.to_string())]).stable_hash();
            let due = Schedule::new(10 * SECOND, hash, 42).next_due(Timestamp(0));
            tenths[(due.0 % 10_000 / 1_000) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (60..140).contains(count)), "{tenths:?}");
    }

    #[test]
    fn hardly_late_is_in_time_and_more_is_said_as_it_is() {
        let schedule = Schedule::new(15 * SECOND, 0, 0);
        for (now, expected) in [(30_000, 30_000), (30_001, 30_000), (30_002, 30_000), (30_003, 30_003)] {
            assert_eq!(schedule.align(Timestamp(now)), Timestamp(expected));
        }
        // A hundredth of 100 ms is 1 ms.
        let fast = Schedule::new(SECOND / 10, 0, 0);
        assert_eq!(fast.align(Timestamp(1_001)), Timestamp(1_000));
        assert_eq!(fast.align(Timestamp(1_002)), Timestamp(1_002));
    }

    #[test]
    fn time_before_1970_and_its_ends_do_no_harm() {
        let schedule = Schedule::new(SECOND, 300, 0);
        assert_eq!(schedule.next_due(Timestamp(-1_000)), Timestamp(-700));
        assert_eq!(schedule.next_due(Timestamp::MAX), Timestamp::MAX);
        let _ = schedule.align(Timestamp::MIN);
    }
}
