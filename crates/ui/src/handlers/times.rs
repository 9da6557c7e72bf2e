//! Times in the words of pages: a clock time, a day, an age. UTC, which is what the log and the audit say, too.

use std::time::Duration;

use model::time::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Date and time of RFC 3339, as two words. A time beyond the calendar stays the number it is.
fn split(at: Timestamp) -> (String, String) {
    let text = at.to_string();
    match text.split_once('T') {
        Some((date, time)) => (date.to_owned(), time.get(..8).unwrap_or(time).to_owned()),
        None => (String::new(), text),
    }
}

/// `10:31:07`
pub(super) fn clock(at: Timestamp) -> String {
    split(at).1
}

/// `20 Nov 2026`
pub(super) fn day(at: Timestamp) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, _) = split(at);
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    match month.parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1))) {
        Some(month) => format!("{} {month} {year}", day.trim_start_matches('0')),
        None => date,
    }
}

/// `20 Nov 2026, 10:31 UTC`
pub(super) fn full(at: Timestamp) -> String {
    format!("{}, {} UTC", day(at), clock(at).get(..5).unwrap_or_default())
}

/// `3 minutes`: one unit, the largest that is not zero.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (count, unit) = match seconds {
        0..MINUTE => (seconds, "second"),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..=172_799 => (seconds / HOUR, "hour"),
        _ => (seconds / DAY, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// How long to wait: never shorter than it takes.
pub(super) fn wait(length: Duration) -> String {
    let seconds = length.as_secs() + u64::from(length.subsec_nanos() > 0);
    span(Duration::from_secs(if seconds < MINUTE { seconds } else { seconds.next_multiple_of(MINUTE) }))
}

/// `3 minutes ago`, or `just now`.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let age = now.since(at);
    if age < Duration::from_secs(2) { "just now".to_owned() } else { format!("{} ago", span(age)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_said_to_be_shorter_than_it_is() {
        for (millis, said) in [(1, "1 second"), (1_000, "1 second"), (59_500, "1 minute"), (61_000, "2 minutes")] {
            assert_eq!(wait(Duration::from_millis(millis)), said);
        }
    }

    #[test]
    fn a_time_is_a_clock_and_a_day() {
        let at = Timestamp(1_700_000_000_123);
        assert_eq!((clock(at).as_str(), day(at).as_str()), ("22:13:20", "14 Nov 2023"));
        assert_eq!(full(at), "14 Nov 2023, 22:13 UTC");
        assert_eq!(day(Timestamp(1_704_067_200_000)), "1 Jan 2024");
        assert_eq!(clock(Timestamp::MAX), i64::MAX.to_string());
    }

    #[test]
    fn an_age_is_one_number_and_its_unit() {
        for (seconds, expected) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (3_599, "59 minutes"),
            (7_200, "2 hours"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
        let now = Timestamp(1_000_000);
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now.plus(Duration::from_secs(9)), now), "just now", "a clock that was set back");
        assert_eq!(ago(now.minus(Duration::from_secs(61)), now), "1 minute ago");
    }
}
