//! An answer as a table: what all series have in common is said once, what differs gets columns.

use std::collections::BTreeSet;

use model::histogram::Histogram as NativeHistogram;
use model::labels::Labels;
use model::query::{PointValue, Series, Value as Answer};
use promql::engine::buckets;
use promql::engine::number::api;

use crate::handlers::numbers;
use crate::pages::query::{Bucket, Histogram, Row, Table, Value};

/// Rows of a page; who needs more asks the API.
const ROWS_MAX: usize = 500;
/// Labels in which series differ get a column each up to here, else they stand together.
const COLUMNS_MAX: usize = 6;
/// Buckets of one histogram that are shown; the fullest ones where there are more.
const BUCKETS_MAX: usize = 40;

/// The table of an answer; `over` says that values over time were asked for.
pub(super) fn of(answer: &Answer, over: bool) -> Table {
    let (all, rows): (usize, Vec<(Labels, Value)>) = match answer {
        Answer::Scalar(_, value) => (1, vec![(Labels::empty(), Value::Number(api(*value)))]),
        Answer::String(_, text) => (1, vec![(Labels::empty(), Value::Text(text.clone()))]),
        Answer::Vector(samples) => {
            let row = |sample: &model::query::VectorSample| {
                let labels =
                    if sample.drop_name { sample.labels.without(&["__name__"]) } else { sample.labels.clone() };
                let value = match &sample.value {
                    PointValue::Float(value) => Value::Number(api(*value)),
                    PointValue::Histogram(histogram) => Value::Histogram(readable(histogram)),
                };
                (labels, value)
            };
            (samples.len(), samples.iter().take(ROWS_MAX).map(row).collect())
        }
        Answer::Matrix(series) => {
            (series.len(), series.iter().take(ROWS_MAX).map(|series| (series.labels.clone(), span(series))).collect())
        }
    };
    let over = over || matches!(answer, Answer::Matrix(_));
    let mut table = arranged(rows, over);
    if all > ROWS_MAX {
        table.all = numbers::count(all as u64);
    }
    table
}

fn arranged(rows: Vec<(Labels, Value)>, over: bool) -> Table {
    let names: BTreeSet<&str> = rows.iter().flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
    let first = rows.first().map(|(labels, _)| labels.clone()).unwrap_or_default();
    let is_common = |name: &str| {
        rows.len() > 1
            && first.get(name).is_some()
            && rows.iter().all(|(labels, _)| labels.get(name) == first.get(name))
    };
    let common: Vec<(String, String)> = first
        .iter()
        .filter(|(name, _)| is_common(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let differing: Vec<String> = names.into_iter().filter(|name| !is_common(name)).map(str::to_owned).collect();
    let columns = if rows.len() > 1 && differing.len() <= COLUMNS_MAX { differing } else { Vec::new() };
    let row = |(labels, value): (Labels, Value)| {
        let rest = labels.iter().filter(|(name, _)| {
            !columns.iter().any(|column| column == name) && !common.iter().any(|(known, _)| known == name)
        });
        let rest = rest.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let cells = columns.iter().map(|column| labels.get(column).unwrap_or_default().to_owned()).collect();
        Row { cells, labels: rest, value }
    };
    let rows = rows.into_iter().map(row).collect();
    Table { common, columns, over, rows, all: String::new() }
}

/// The last value, the least, the mean and the most.
fn span(series: &Series) -> Value {
    if series.floats.is_empty()
        && let Some((_, last)) = series.histograms.last()
    {
        return Value::Histogram(readable(last));
    }
    let values = || series.floats.iter().map(|(_, value)| *value);
    let points = series.floats.len();
    // Like Prometheus's own functions: NaN counts only where there is nothing else.
    let least = values().fold(f64::NAN, f64::min);
    let most = values().fold(f64::NAN, f64::max);
    let mean = values().sum::<f64>() / points.max(1) as f64;
    Value::Span {
        last: values().next_back().map(api).unwrap_or_default(),
        least: api(least),
        mean: short(mean),
        most: api(most),
        points: numbers::count(points as u64),
    }
}

/// A computed number with as many digits as tell something.
fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    api(rounded)
}

fn readable(histogram: &NativeHistogram) -> Histogram {
    let mut filled: Vec<_> = buckets(histogram).into_iter().filter(|bucket| bucket.count != 0.0).collect();
    if filled.len() > BUCKETS_MAX {
        let mut counts: Vec<f64> = filled.iter().map(|bucket| bucket.count).collect();
        counts.sort_by(|a, b| b.total_cmp(a));
        let least = counts[BUCKETS_MAX - 1];
        filled.retain(|bucket| bucket.count >= least);
        filled.truncate(BUCKETS_MAX);
    }
    let most = filled.iter().map(|bucket| bucket.count).fold(0.0, f64::max);
    let bucket = |bucket: promql::engine::Bucket| Bucket {
        bounds: format!("{} to {}", short(bucket.lower), short(bucket.upper)),
        count: short(bucket.count),
        percent: numbers::percent(bucket.count, most),
    };
    let mean = histogram.sum / histogram.count;
    let mean = if mean.is_nan() { String::new() } else { format!(", mean {}", short(mean)) };
    Histogram {
        summary: format!("{} observations{mean}, sum {}", short(histogram.count), short(histogram.sum)),
        buckets: filled.into_iter().map(bucket).collect(),
    }
}

#[cfg(test)]
mod tests {
    use model::histogram::Span;
    use model::query::VectorSample;
    use model::time::Timestamp;

    use super::*;

    fn vector(series: &[&[(&str, &str)]]) -> Answer {
        let sample = |labels: &&[(&str, &str)]| VectorSample {
            labels: Labels::from_pairs(labels.iter().copied()),
            time: Timestamp(0),
            value: PointValue::Float(1.5),
            drop_name: false,
        };
        Answer::Vector(series.iter().map(sample).collect())
    }

    #[test]
    fn what_all_have_is_said_once_and_what_differs_has_columns() {
        let table = of(
            &vector(&[
                &[("__name__", "up"), ("job", "api"), ("instance", "a")],
                &[("__name__", "up"), ("job", "api"), ("zone", "x")],
            ]),
            false,
        );
        assert_eq!(table.common, [("__name__".into(), "up".into()), ("job".into(), "api".into())]);
        assert_eq!(table.columns, ["instance", "zone"]);
        assert_eq!(table.rows[1].cells, ["", "x"]);
        assert!(table.rows[0].labels.is_empty());
    }

    #[test]
    fn one_series_alone_shows_all_its_labels() {
        let table = of(&vector(&[&[("__name__", "up"), ("job", "api")]]), false);
        assert!(table.common.is_empty() && table.columns.is_empty());
        assert_eq!(table.rows[0].labels.len(), 2);
    }

    #[test]
    fn many_differing_labels_stand_together() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let one: Vec<(&str, &str)> = names.map(|name| (name, "1")).to_vec();
        let two: Vec<(&str, &str)> = names.map(|name| (name, "2")).to_vec();
        let table = of(&vector(&[&one, &two]), false);
        assert!(table.columns.is_empty());
        assert_eq!(table.rows[0].labels.len(), 7);
    }

    #[test]
    fn a_page_has_an_end_and_says_how_much_there_is() {
        let one: &[(&str, &str)] = &[("a", "b")];
        let table = of(&vector(&vec![one; 1_240]), false);
        assert_eq!((table.rows.len(), table.all.as_str()), (ROWS_MAX, "1,240"));
    }

    #[test]
    fn over_time_a_series_has_its_last_least_mean_and_most() {
        let floats = [1.0, f64::NAN, 5.0, 3.0].into_iter().enumerate();
        let floats = floats.map(|(at, value)| (Timestamp(at as i64), value)).collect();
        let series = Series { floats, ..Series::default() };
        let table = of(&Answer::Matrix(vec![series]), true);
        let Value::Span { last, least, most, points, .. } = &table.rows[0].value else { panic!("{table:?}") };
        assert_eq!((last.as_str(), least.as_str(), most.as_str(), points.as_str()), ("3", "1", "5", "4"));
    }

    #[test]
    fn a_histogram_is_a_sentence_and_its_filled_buckets() {
        let histogram = NativeHistogram {
            count: 3.0,
            sum: 4.5,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 0.0, 2.0],
            ..NativeHistogram::default()
        };
        let shown = readable(&histogram);
        assert_eq!(shown.summary, "3 observations, mean 1.5, sum 4.5");
        let buckets: Vec<_> = shown.buckets.iter().map(|b| (b.bounds.as_str(), b.count.as_str(), b.percent)).collect();
        assert_eq!(buckets, [("0.5 to 1", "1", 50), ("2 to 4", "2", 100)]);
        assert_eq!(readable(&NativeHistogram::default()).summary, "0 observations, sum 0");
    }
}
