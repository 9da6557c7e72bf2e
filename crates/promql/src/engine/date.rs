//! `hour`, `day_of_week`, …: the calendar of a Unix time, in UTC, for years of any size.

use crate::syntax::functions::FunctionId;

const DAY_SECONDS: i64 = 86_400;

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    year: i64,
    /// From 1.
    month: i64,
    /// From 1.
    day: i64,
}

/// The proleptic Gregorian day so many days after 1970-01-01. Years are counted from March, so that the leap day
/// is the last of its year, and in eras of 400 years, which all have the same length.
fn day_of(days: i64) -> Day {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    Day { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What a date function says about a time in seconds; parts of a second are cut off.
pub(crate) fn of(function: FunctionId, seconds: f64) -> f64 {
    // Go's conversion of what no integer holds is the smallest integer, whose date is of no use to anyone; stay
    // within what the calendar arithmetic can do.
    let seconds = (seconds as i64).clamp(-(1 << 55), 1 << 55);
    let (days, in_day) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let day = day_of(days);
    let value = match function {
        FunctionId::Minute => in_day / 60 % 60,
        FunctionId::Hour => in_day / 3600,
        FunctionId::DayOfWeek => (days + 4).rem_euclid(7),
        FunctionId::DayOfMonth => day.day,
        FunctionId::DayOfYear => (1..day.month).map(|month| days_in_month(day.year, month)).sum::<i64>() + day.day,
        FunctionId::DaysInMonth => days_in_month(day.year, day.month),
        FunctionId::Month => day.month,
        _ => day.year,
    };
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use FunctionId as F;

    #[test]
    fn dates_of_known_times() {
        // 2016-02-29T12:34:56Z, a Monday.
        let leap_day = 1_456_749_296.9;
        for (function, value) in [
            (F::Year, 2016.0),
            (F::Month, 2.0),
            (F::DayOfMonth, 29.0),
            (F::DayOfYear, 60.0),
            (F::DayOfWeek, 1.0),
            (F::DaysInMonth, 29.0),
            (F::Hour, 12.0),
            (F::Minute, 34.0),
        ] {
            assert_eq!(of(function, leap_day), value, "{function:?}");
        }
    }

    #[test]
    fn times_before_1970_count_backwards() {
        // 1969-12-31T23:59:59Z, a Wednesday.
        assert_eq!((of(F::Year, -1.0), of(F::Hour, -1.0), of(F::DayOfWeek, -1.0)), (1969.0, 23.0, 3.0));
    }

    #[test]
    fn the_calendar_agrees_with_another_one() {
        for days in (-800_000..800_000).step_by(499) {
            let at = counted_day(days);
            assert_eq!(day_of(days), at, "{days}");
        }
    }

    /// The day by counting, one year and month after the other.
    fn counted_day(days: i64) -> Day {
        let (mut year, mut rest) = (1970, days);
        let length = |year: i64| if is_leap(year) { 366 } else { 365 };
        while rest < 0 {
            year -= 1;
            rest += length(year);
        }
        while rest >= length(year) {
            rest -= length(year);
            year += 1;
        }
        let mut month = 1;
        while rest >= days_in_month(year, month) {
            rest -= days_in_month(year, month);
            month += 1;
        }
        Day { year, month, day: rest + 1 }
    }
}
