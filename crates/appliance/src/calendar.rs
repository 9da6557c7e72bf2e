//! When a calendar job is due: six cron fields (second, minute, hour, day, month, weekday), in UTC.
//!
//! Promise: the text is read exactly as tokio-cron-scheduler reads it, so that the time our row expects is the time
//! the scheduler wakes us at. Not here: what happens at that time (`jobs`).

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use model::time::Timestamp;

/// A checked cron text and the times it names.
#[derive(Clone, Debug)]
pub struct Calendar {
    text: String,
    cron: Cron,
}

/// A text that names no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCalendar {
    #[error("{text:?} is not a calendar: {reason}; expected six fields (second minute hour day month weekday)")]
    Syntax { text: String, reason: String },
    #[error("{text:?} names no time in the future")]
    Never { text: String },
}

impl Calendar {
    /// Reads a cron text and makes sure that it names a time after `now`.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, BadCalendar> {
        // The three settings below are those of tokio-cron-scheduler's own parser.
        let cron = CronParser::builder()
            .seconds(Seconds::Required)
            .dom_and_dow(true)
            .build()
            .parse(text)
            .map_err(|e| BadCalendar::Syntax { text: text.to_owned(), reason: e.to_string() })?;
        let calendar = Self { text: text.to_owned(), cron };
        if calendar.next_after(now).is_none() {
            return Err(BadCalendar::Never { text: text.to_owned() });
        }
        Ok(calendar)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first due time later than `now`.
    #[must_use]
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let now: DateTime<Utc> = DateTime::from_timestamp_millis(now.millis())?;
        let next = self.cron.find_next_occurrence(&now, false).ok()?;
        // Due times are whole seconds; the search keeps the milliseconds of where it began.
        Some(Timestamp::from_millis(next.timestamp().checked_mul(1000)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thursday, 2026-01-01T00:00:00Z.
    const NEW_YEAR: i64 = 1_767_225_600_000;

    #[track_caller]
    fn check(text: &str, now: i64, expected: &str) {
        let now = Timestamp(now);
        let calendar = Calendar::parse(text, now).expect(text);
        assert_eq!(calendar.next_after(now).expect("a next time").to_string(), expected, "{text}");
    }

    #[test]
    fn the_next_time_is_after_now_in_utc_and_on_the_second() {
        check("0 17 3 * * *", NEW_YEAR, "2026-01-01T03:17:00.000Z");
        check("0 0 0 * * *", NEW_YEAR, "2026-01-02T00:00:00.000Z");
        check("0 0 0 * * *", NEW_YEAR - 1, "2026-01-01T00:00:00.000Z");
        check("* * * * * *", NEW_YEAR + 999, "2026-01-01T00:00:01.000Z");
        check("*/15 * * * * *", NEW_YEAR + 14_500, "2026-01-01T00:00:15.000Z");
        check("0 0 6 * * MON", NEW_YEAR, "2026-01-05T06:00:00.000Z");
        check("0 0 0 29 2 *", NEW_YEAR, "2028-02-29T00:00:00.000Z");
    }

    #[test]
    fn both_day_fields_must_match_as_in_the_scheduler() {
        // Many crons take either; the first 1st of the month that is a Monday is in June.
        check("0 0 0 1 * MON", NEW_YEAR, "2026-06-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_not_a_calendar_is_refused_with_what_was_expected() {
        for text in ["", "* * * * *", "61 * * * * *", "tomorrow", "0 0 25 * * *"] {
            let error = Calendar::parse(text, Timestamp(NEW_YEAR)).expect_err(text);
            assert!(matches!(error, BadCalendar::Syntax { .. }), "{text}: {error}");
            assert!(error.to_string().contains("expected six fields"), "{error}");
        }
    }

    #[test]
    fn a_day_that_never_comes_is_refused() {
        let error = Calendar::parse("0 0 0 31 2 *", Timestamp(NEW_YEAR)).expect_err("no 31 February");
        assert_eq!(error, BadCalendar::Never { text: "0 0 0 31 2 *".to_owned() });
    }

    #[test]
    fn a_time_beyond_the_calendar_has_no_next() {
        let calendar = Calendar::parse("0 0 0 * * *", Timestamp(NEW_YEAR)).expect("daily");
        assert_eq!(calendar.next_after(Timestamp::MAX), None);
    }
}
