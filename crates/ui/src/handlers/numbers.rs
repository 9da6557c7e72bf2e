//! Numbers in the words of pages: grouped counts, bytes, how long something took, what a share is.

use std::time::Duration;

use promql::syntax::quote::quoted;

/// `1,204`
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 series`, `2 targets`: the word as it is for one, and for many.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `6.2 GB`, in thousands, with two digits that count.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `11 ms`, `1.2 s`, `340 µs`.
pub(super) fn took(length: Duration) -> String {
    match length.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", length.as_millis()),
        _ => format!("{:.1} s", length.as_secs_f64()),
    }
}

/// How much of the most there is, 1 to 100 where there is anything.
pub(super) fn percent(part: f64, most: f64) -> u8 {
    if most <= 0.0 || part <= 0.0 {
        return 0;
    }
    // In range by the clamp; a share that is no number is none.
    (part / most * 100.0).clamp(1.0, 100.0) as u8
}

/// The selector of a metric, quoted where its name needs that.
pub(super) fn selector(metric: &str) -> String {
    let plain = metric.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'));
    if plain && !metric.starts_with(|c: char| c.is_ascii_digit()) && !metric.is_empty() {
        return metric.to_owned();
    }
    format!("{{{}}}", matcher("__name__", metric))
}

/// A condition on a label as a query has it.
pub(super) fn matcher(label: &str, value: &str) -> String {
    format!("{}={}", grouping(label), quoted(value))
}

/// A label as it stands in a grouping: quoted where its name needs that.
pub(super) fn grouping(label: &str) -> String {
    if model::labels::is_classic_label_name(label) { label.to_owned() } else { quoted(label) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_in_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(
            (counted(1, "target", "targets"), counted(0, "target", "targets")),
            ("1 target".into(), "0 targets".into())
        );
    }

    #[test]
    fn bytes_and_times_have_the_unit_that_fits() {
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_960, "10 kB"),
            (999_600, "1.0 MB"),
            (6_200_000_000, "6.2 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(number), text, "{number}");
        }
        for (micros, text) in [(7, "7 µs"), (11_400, "11 ms"), (1_240_000, "1.2 s")] {
            assert_eq!(took(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_share_is_never_more_than_all_and_little_is_not_nothing() {
        assert_eq!([percent(0.0, 9.0), percent(0.01, 9.0), percent(9.0, 9.0), percent(5.0, 0.0)], [0, 1, 100, 0]);
        assert_eq!(percent(f64::NAN, 1.0), 0);
    }

    #[test]
    fn a_metric_is_asked_for_by_its_name_or_quoted() {
        assert_eq!(selector("job:up:sum"), "job:up:sum");
        assert_eq!(selector("node.cpu \"x\""), "{__name__=\"node.cpu \\\"x\\\"\"}");
        assert_eq!(selector("9lives"), "{__name__=\"9lives\"}");
        assert_eq!(matcher("a.b", "\u{7f}x\n"), "\"a.b\"=\"\\x7fx\\n\"");
    }
}
