//! The times of a query as they are typed: at one time, or from, to and every so often.

use std::time::Duration;

use appliance::explain::When;
use model::query::Steps;
use model::time::{Timestamp, parse_duration};

use crate::form::Field;

/// Evaluations of one query, as at the HTTP API.
const POINTS_MAX: i64 = 11_000;
/// About so many evaluations where nobody says how many.
const POINTS_WANTED: i64 = 240;
/// Steps that people recognise, in seconds.
const STEPS: [i64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];

const TIME_HELP: &str = "A time looks like 2026-11-20 10:00, now-1h, or seconds since 1970; times are UTC.";

/// The fields as they are shown again.
pub(super) struct Fields {
    pub(super) from: Field,
    pub(super) to: Field,
    pub(super) step: Field,
}

/// What was read.
pub(super) struct Read {
    fields: Fields,
    asked: Option<When>,
}

impl Read {
    /// `None` where a field is wrong.
    pub(super) fn asked(&self) -> Option<When> {
        self.asked
    }

    pub(super) fn fields(&self) -> Fields {
        let Fields { from, to, step } = &self.fields;
        Fields { from: from.clone(), to: to.clone(), step: step.clone() }
    }
}

/// Reads the three fields.
pub(super) fn read(from: &str, to: &str, step: &str, now: Timestamp) -> Read {
    let mut fields = Fields { from: Field::new(from), to: Field::new(to), step: Field::new(step) };
    let asked = times(from.trim(), to.trim(), step.trim(), now, &mut fields);
    Read { fields, asked }
}

fn times(from: &str, to: &str, step: &str, now: Timestamp, fields: &mut Fields) -> Option<When> {
    let Some(end) = time(to, now) else {
        fields.to.error = Some(TIME_HELP.to_owned());
        return None;
    };
    if from.is_empty() {
        return Some(When::At(end));
    }
    let start = match parse_duration(from) {
        Ok(length) if !length.is_zero() => Some(end.minus(length)),
        _ => time(from, now),
    };
    let Some(start) = start else {
        fields.from.error = Some(format!("A length such as 1h before the end, or a time. {TIME_HELP}"));
        return None;
    };
    if end < start {
        fields.from.error = Some("The beginning lies after the end.".to_owned());
        return None;
    }
    let span = end.0.saturating_sub(start.0);
    let step_ms = if step.is_empty() { fitting(span) } else { milliseconds(step).unwrap_or(0) };
    if step_ms <= 0 {
        fields.step.error = Some("A step is a length such as 30s, or seconds, and more than nothing.".to_owned());
        return None;
    }
    if span / step_ms > POINTS_MAX {
        let least = Duration::from_secs(u64::try_from(span / POINTS_MAX / 1_000 + 1).unwrap_or(1));
        let least = model::time::format_duration(least);
        fields.step.error =
            Some(format!("This is more than 11,000 points for each series; {least} is the least step."));
        return None;
    }
    Some(When::Over(Steps { start, end, step_ms }))
}

/// The step for about as many points as can be told apart.
fn fitting(span_ms: i64) -> i64 {
    let wanted = span_ms / POINTS_WANTED / 1_000;
    STEPS.into_iter().find(|step| *step >= wanted).unwrap_or(wanted / 86_400 * 86_400 + 86_400) * 1_000
}

fn milliseconds(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds < 1e12).then_some((seconds * 1000.0) as i64);
    }
    i64::try_from(parse_duration(text).ok()?.as_millis()).ok()
}

/// A time as people write it; UTC.
fn time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text.is_empty() || text == "now" {
        return Some(now);
    }
    if let Some(back) = text.strip_prefix("now-") {
        return parse_duration(back).ok().map(|back| now.minus(back));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let millis = (seconds * 1000.0).round();
        return (millis.abs() < i64::MAX as f64).then_some(Timestamp(millis as i64));
    }
    if let Some(at) = Timestamp::parse(text) {
        return Some(at);
    }
    let full = match text.split_once([' ', 'T']) {
        None => format!("{text}T00:00:00Z"),
        Some((day, clock)) if clock.len() == 5 => format!("{day}T{clock}:00Z"),
        Some((day, clock)) => format!("{day}T{}Z", clock.trim_end_matches('Z')),
    };
    Timestamp::parse(&full)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn asked(from: &str, to: &str, step: &str) -> Option<(i64, i64, i64)> {
        match read(from, to, step, NOW).asked()? {
            When::At(at) => Some((at.0, at.0, 0)),
            When::Over(steps) => Some((steps.start.0, steps.end.0, steps.step_ms)),
        }
    }

    #[test]
    fn nothing_typed_is_now() {
        assert_eq!(asked("", "", ""), Some((NOW.0, NOW.0, 0)));
        assert_eq!(asked("", "now-1h", ""), Some((NOW.0 - 3_600_000, NOW.0 - 3_600_000, 0)));
    }

    #[test]
    fn a_time_may_be_a_day_a_minute_seconds_or_exact() {
        for text in ["2023-11-14 22:13:20", "2023-11-14T22:13:20Z", "1700000000", "2023-11-14T23:13:20+01:00", " now "]
        {
            assert_eq!(asked("", text, ""), Some((NOW.0, NOW.0, 0)), "{text}");
        }
        assert_eq!(asked("", "2023-11-14", "").map(|times| times.0), Some(1_699_920_000_000));
        assert_eq!(asked("", "2023-11-14 22:13", "").map(|times| times.0), Some(NOW.0 - 20_000));
    }

    #[test]
    fn a_beginning_is_a_length_or_a_time_and_the_step_fits_by_itself() {
        assert_eq!(asked("1h", "", ""), Some((NOW.0 - 3_600_000, NOW.0, 15_000)));
        assert_eq!(asked("30d", "", ""), Some((NOW.0 - 30 * 86_400_000, NOW.0, 21_600_000)));
        assert_eq!(asked("2023-11-14 22:13", "", "5"), Some((NOW.0 - 20_000, NOW.0, 5_000)));
        assert_eq!(asked("1h", "", "1m"), Some((NOW.0 - 3_600_000, NOW.0, 60_000)));
        assert_eq!(fitting(0), 1_000);
        assert!((10 * 365 * 86_400_000_i64 / fitting(10 * 365 * 86_400_000)) < POINTS_MAX);
    }

    #[test]
    fn what_cannot_be_read_is_said_beside_its_field() {
        let wrong = |from, to, step| {
            let read = read(from, to, step, NOW);
            assert!(read.asked().is_none());
            let fields = read.fields();
            [fields.from, fields.to, fields.step].map(|field| field.error.is_some())
        };
        assert_eq!(wrong("yesterday", "", ""), [true, false, false]);
        assert_eq!(wrong("", "noon", ""), [false, true, false]);
        assert_eq!(wrong("now", "now-1h", ""), [true, false, false]);
        assert_eq!(wrong("1h", "", "0"), [false, false, true]);
        assert_eq!(wrong("1h", "", "often"), [false, false, true]);
        assert_eq!(wrong("1d", "", "1"), [false, false, true]);
        assert_eq!(wrong("", "1e300", ""), [false, true, false]);
    }
}
