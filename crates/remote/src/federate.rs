//! `/federate`: the newest sample of every series that a selector matches, as text that another server scrapes.
//!
//! Promises: as Prometheus answers: samples with their times, sorted by metric; external labels where a series has no
//! label of that name; `instance=""` where it has none, so that the scraper does not put its own there.
//! Series that ended are left out. Native histograms are too: the text format cannot say them (counted in the result).
//! Not here: parsing of selectors (`promql`), the request (`api`).

use std::fmt::Write as _;

use model::labels::{Labels, METRIC_NAME, is_classic_label_name};
use model::matcher::Matcher;
use model::names::is_classic_metric_name;
use model::storage::{Queryable, SelectHints, SelectedId, StorageError, TimeRange, is_stale};
use model::time::Timestamp;

/// The value of `Content-Type` where names are written as they are.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8";
/// The same where other letters in names become underscores.
pub const CONTENT_TYPE_UNDERSCORES: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Federation<'a> {
    /// `match[]`: a series that passes one of them is in.
    pub selectors: &'a [Vec<Matcher>],
    pub now: Timestamp,
    /// How old a sample may be.
    pub lookback: std::time::Duration,
    /// `global.external_labels`.
    pub external_labels: &'a Labels,
    /// Whether the caller takes any name (`escaping=allow-utf-8` in its `Accept`).
    pub utf8_names: bool,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Federated {
    pub text: String,
    pub series: usize,
    /// Series whose newest sample is a native histogram.
    pub histograms_left_out: usize,
    /// What storage could not read.
    pub warnings: Vec<String>,
}

/// Writes the newest samples.
pub fn federate(storage: &dyn Queryable, asked: &Federation<'_>) -> Result<Federated, StorageError> {
    let snapshot = storage.snapshot()?;
    let range = TimeRange::new(asked.now.minus(asked.lookback), asked.now);
    let mut answer = Federated::default();
    let mut newest: Vec<(Labels, i64, f64)> = Vec::new();
    for selector in asked.selectors {
        let selection = snapshot.select(selector, range, &SelectHints::default())?;
        answer.warnings.extend(selection.warnings);
        let mut cursor = selection.reader.cursor();
        for (index, labels) in selection.labels.iter().enumerate() {
            let column = cursor.read(SelectedId(index as u32))?;
            let (Some(&time), Some(&value)) = (column.times.last(), column.values.last()) else { continue };
            if is_stale(value) || labels.get(METRIC_NAME).is_none() {
                continue;
            }
            let row = column.times.len() - 1;
            if column.histograms.last().is_some_and(|(last, _)| *last as usize == row) {
                answer.histograms_left_out += 1;
                continue;
            }
            newest.push((labels.clone(), time, value));
        }
    }
    newest.sort_by(|a, b| (a.0.metric_name(), &a.0).cmp(&(b.0.metric_name(), &b.0)));
    newest.dedup_by(|a, b| a.0 == b.0);
    answer.series = newest.len();
    let mut family: Option<&str> = None;
    for (labels, time, value) in &newest {
        let name = labels.metric_name();
        if family != Some(name) {
            family = Some(name);
            put(&mut answer.text, format_args!("# TYPE {} untyped\n", shown_metric(name, asked.utf8_names)));
        }
        line(&mut answer.text, asked, labels, *value);
        put(&mut answer.text, format_args!(" {time}\n"));
    }
    Ok(answer)
}

/// `name{labels} value`
fn line(out: &mut String, asked: &Federation<'_>, labels: &Labels, value: f64) {
    let name = labels.metric_name();
    let quoted = asked.utf8_names && !is_classic_metric_name(name);
    if quoted {
        put(out, format_args!("{{{}", shown_metric(name, true)));
    } else {
        put(out, format_args!("{}{{", shown_metric(name, asked.utf8_names)));
    }
    let mut first = !quoted;
    let mut pair = |out: &mut String, name: &str, value: &str| {
        let comma = if first { "" } else { "," };
        first = false;
        put(out, format_args!("{comma}{}=\"", shown_label(name, asked.utf8_names)));
        escape(value, out);
        out.push('"');
    };
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        pair(out, name, value);
    }
    // An external label named instance says more than none does.
    let nobody = Some(("instance", "")).filter(|_| asked.external_labels.get("instance").is_none());
    let mut external: Vec<(&str, &str)> = asked.external_labels.iter().chain(nobody).collect();
    external.sort_unstable();
    for (name, value) in external.into_iter().filter(|(name, _)| labels.get(name).is_none()) {
        pair(out, name, value);
    }
    put(out, format_args!("}} {}", go_float(value)));
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(text);
}

fn shown_metric(name: &str, utf8: bool) -> String {
    match (is_classic_metric_name(name), utf8) {
        (true, _) => name.to_owned(),
        (false, true) => quoted(name),
        (false, false) => underscored(name, |c| c == ':'),
    }
}

fn shown_label(name: &str, utf8: bool) -> String {
    match (is_classic_label_name(name), utf8) {
        (true, _) => name.to_owned(),
        (false, true) => quoted(name),
        (false, false) => underscored(name, |_| false),
    }
}

fn quoted(name: &str) -> String {
    let mut out = String::from('"');
    escape(name, &mut out);
    out.push('"');
    out
}

/// Every letter that a classic name cannot have becomes `_`, as Prometheus's default escaping does.
fn underscored(name: &str, more: impl Fn(char) -> bool) -> String {
    let fits = |(at, c): (usize, char)| {
        let fits = c == '_' || more(c) || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
        if fits { c } else { '_' }
    };
    name.chars().enumerate().map(fits).collect()
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
}

/// The shortest decimal that reads back, with an exponent where Go's `%g` has one.
fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go counts 21 digits as the bound for the shortest form.
    if (-4..21).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::histogram::Histogram;
    use model::matcher::MatchOp;
    use model::memory::MemoryStorage;
    use model::storage::{SampleValue, stale_nan};

    use super::*;

    fn storage() -> MemoryStorage {
        let storage = MemoryStorage::new();
        let put = |pairs: &[(&str, &str)], time, value| {
            storage.put_float(&Labels::from_pairs(pairs.iter().copied()), Timestamp(time), value);
        };
        put(&[("__name__", "up"), ("job", "a"), ("instance", "h:1")], 400_000, 1.0);
        put(&[("__name__", "up"), ("job", "a"), ("instance", "h:1")], 900_000, 0.0);
        put(&[("__name__", "up"), ("job", "b\n\"c\\")], 700_001, 1e21);
        put(&[("__name__", "old")], 699_999, 1.0);
        put(&[("__name__", "ahead")], 1_000_001, 1.0);
        put(&[("__name__", "ended"), ("job", "a")], 900_000, 1.0);
        put(&[("__name__", "ended"), ("job", "a")], 950_000, stale_nan());
        put(&[("__name__", "größe.m"), ("a.b", "x")], 900_000, f64::NAN);
        let native = Labels::from_pairs([("__name__", "native")]);
        storage.put(&native, Timestamp(900_000), SampleValue::Histogram(Arc::new(Histogram::default())), 0);
        storage
    }

    #[track_caller]
    fn check(selectors: &[Vec<Matcher>], external: &[(&str, &str)], utf8_names: bool, expected: &str) -> Federated {
        let external_labels = &Labels::from_pairs(external.iter().copied());
        let (now, lookback) = (Timestamp(1_000_000), Duration::from_secs(300));
        let asked = Federation { selectors, now, lookback, external_labels, utf8_names };
        let answer = federate(&storage(), &asked).expect("memory");
        assert_eq!(answer.text, expected);
        answer
    }

    fn all() -> Vec<Vec<Matcher>> {
        vec![vec![Matcher::new("__name__", MatchOp::Regex, ".+").expect("it compiles")]]
    }

    #[test]
    fn the_newest_samples_come_with_their_times_sorted_by_metric() {
        let answer = check(
            &all(),
            &[],
            true,
            "# TYPE \"größe.m\" untyped\n{\"größe.m\",\"a.b\"=\"x\",instance=\"\"} NaN 900000\n\
             # TYPE up untyped\nup{instance=\"h:1\",job=\"a\"} 0 900000\n\
             up{job=\"b\\n\\\"c\\\\\",instance=\"\"} 1e+21 700001\n",
        );
        assert_eq!((answer.series, answer.histograms_left_out), (3, 1));
    }

    #[test]
    fn names_are_written_with_underscores_for_who_asks_for_that() {
        let selector = vec![vec![Matcher::equal("a.b", "x")]];
        check(&selector, &[], false, "# TYPE gr__e_m untyped\ngr__e_m{a_b=\"x\",instance=\"\"} NaN 900000\n");
    }

    #[test]
    fn external_labels_are_added_where_a_series_has_none_of_that_name() {
        let external = [("instance", "me"), ("job", "z"), ("region", "eu")];
        let selector = vec![vec![Matcher::equal("__name__", "up")], vec![Matcher::equal("job", "a")]];
        check(
            &selector,
            &external,
            true,
            "# TYPE up untyped\nup{instance=\"h:1\",job=\"a\",region=\"eu\"} 0 900000\n\
             up{job=\"b\\n\\\"c\\\\\",instance=\"me\",region=\"eu\"} 1e+21 700001\n",
        );
    }

    #[test]
    fn no_selector_is_an_empty_answer() {
        check(&[], &[("a", "b")], true, "");
    }

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(go_float(value), text);
        }
    }
}
