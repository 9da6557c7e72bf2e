//! Whether a result is what was expected: floats almost, histograms bucket by bucket, labels exactly.

use std::sync::Arc;

use model::histogram::{Histogram, Span};
use model::query::PointValue;
use model::storage::is_stale;

/// How far apart two floats may be, relatively.
const EPSILON: f64 = 1e-6;

/// Two floats that count as the same.
pub(crate) fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    if a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

/// The populated buckets with their indexes.
fn populated(spans: &[Span], buckets: &[f64]) -> Vec<(i32, f64)> {
    let mut index = 0;
    let mut counts = buckets.iter();
    let mut out = Vec::new();
    for span in spans {
        index += span.offset;
        for _ in 0..span.length {
            let count = counts.next().copied().unwrap_or(0.0);
            if count != 0.0 {
                out.push((index, count));
            }
            index += 1;
        }
    }
    out
}

fn same_side(a: (&[Span], &[f64]), b: (&[Span], &[f64])) -> bool {
    let (a, b) = (populated(a.0, a.1), populated(b.0, b.1));
    a.len() == b.len() && a.iter().zip(&b).all(|((i, x), (j, y))| i == j && almost_equal(*x, *y))
}

/// A value a script expects.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) value: PointValue,
    /// The counter reset hint was written down, so it is compared too.
    pub(crate) hint_matters: bool,
}

fn same_histogram(expected: &Histogram, got: &Histogram, hint_matters: bool) -> bool {
    (!hint_matters || expected.hint == got.hint)
        && expected.schema == got.schema
        && almost_equal(expected.count, got.count)
        && almost_equal(expected.sum, got.sum)
        && (expected.uses_custom_buckets()
            || (expected.zero_threshold == got.zero_threshold && almost_equal(expected.zero_count, got.zero_count)))
        && expected.bounds() == got.bounds()
        && same_side(
            (&expected.positive_spans, &expected.positive_buckets),
            (&got.positive_spans, &got.positive_buckets),
        )
        && same_side(
            (&expected.negative_spans, &expected.negative_buckets),
            (&got.negative_spans, &got.negative_buckets),
        )
}

/// Two values that count as the same.
pub(crate) fn same_value(expected: &Expected, got: &PointValue) -> bool {
    match (&expected.value, got) {
        (PointValue::Float(a), PointValue::Float(b)) => almost_equal(*a, *b),
        (PointValue::Histogram(a), PointValue::Histogram(b)) => same_histogram(a, b, expected.hint_matters),
        _ => false,
    }
}

/// A value for people.
pub(crate) fn show(value: &PointValue) -> String {
    match value {
        PointValue::Float(value) => promql::engine::number::general(*value),
        PointValue::Histogram(histogram) => {
            let Histogram { hint, schema, zero_threshold, zero_count, count, sum, .. } = &**histogram;
            let positive = populated(&histogram.positive_spans, &histogram.positive_buckets);
            let negative = populated(&histogram.negative_spans, &histogram.negative_buckets);
            format!(
                "{{{{{hint:?} schema:{schema} count:{count} sum:{sum} zero:{zero_count}@{zero_threshold} \
                 {positive:?} -{negative:?} {:?}}}}}",
                histogram.bounds()
            )
        }
    }
}

/// A value of the result.
pub(crate) fn histogram(histogram: &Arc<Histogram>) -> PointValue {
    PointValue::Histogram(Arc::clone(histogram))
}
