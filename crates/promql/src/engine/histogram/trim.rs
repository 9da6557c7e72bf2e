//! `h </ x` and `h >/ x`: a histogram without the observations above or below a bound.
//!
//! A bucket that contains the bound is split by interpolation; the sum is estimated anew from the middles of
//! what is left, because the real one cannot be split. Of a bucket that reaches to infinity nothing is known:
//! it is kept or dropped whole, except that one beginning at -Inf with a positive end is taken to begin at 0.

use model::histogram::Histogram;

use super::buckets::{self, Bucket};
use super::estimate::logarithmic_share;

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Below,
    Above,
}

/// How a bucket's observations are taken to be spread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spread {
    Linear,
    Positive,
    Negative,
}

/// The trimmed copy. Where nothing is cut off, it is the histogram as it was, with its exact sum.
pub(crate) fn trim(histogram: &Histogram, bound: f64, keep: Keep) -> Histogram {
    let mut out = histogram.clone();
    let mut left = Left::default();
    let positive_spread = if histogram.uses_custom_buckets() { Spread::Linear } else { Spread::Positive };
    let positive: Vec<Bucket> = buckets::positive(histogram).collect();
    let negative: Vec<Bucket> = buckets::negative(histogram).collect();
    for (bucket, count) in positive.iter().zip(&mut out.positive_buckets) {
        left.take(bucket, count, kept_of(bucket, bound, keep, positive_spread));
    }
    for (bucket, count) in negative.iter().zip(&mut out.negative_buckets) {
        left.take(bucket, count, kept_of(bucket, bound, keep, Spread::Negative));
    }
    if histogram.zero_count > 0.0 {
        let populated = |side: &[Bucket]| side.iter().any(|bucket| bucket.count != 0.0);
        let zero = zero_bucket(histogram, populated(&negative), populated(&positive));
        left.take(&zero, &mut out.zero_count, kept_of_zero(&zero, bound, keep));
    }
    if left.cut {
        out.count = left.count;
        out.sum = left.sum;
        buckets::compact(&mut out);
    }
    out
}

/// What is left after trimming.
#[derive(Default)]
struct Left {
    count: f64,
    sum: f64,
    cut: bool,
}

impl Left {
    fn take(&mut self, bucket: &Bucket, count: &mut f64, (kept, middle): (f64, f64)) {
        if bucket.count == 0.0 {
            return;
        }
        self.cut |= *count != kept;
        *count = kept;
        self.count += kept;
        // An infinite middle of nothing would be NaN.
        if kept != 0.0 {
            self.sum = middle.mul_add(kept, self.sum);
        }
    }
}

/// How many observations of a bucket stay, and where their middle is.
fn kept_of(bucket: &Bucket, bound: f64, keep: Keep, spread: Spread) -> (f64, f64) {
    let (whole, none) = match keep {
        Keep::Below => (bucket.upper <= bound, bucket.lower >= bound),
        Keep::Above => (bucket.lower >= bound, bucket.upper <= bound),
    };
    if whole {
        return (bucket.count, middle(bucket.lower, bucket.upper, spread));
    }
    if none {
        return (0.0, 0.0);
    }
    if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        return kept_of_infinite(bucket, bound, keep);
    }
    let share = match spread {
        Spread::Linear => (bound - bucket.lower) / (bucket.upper - bucket.lower),
        Spread::Positive | Spread::Negative => logarithmic_share(bucket, bound),
    };
    let below = bucket.count * share;
    match keep {
        Keep::Below => (below, middle(bucket.lower, bound, spread)),
        Keep::Above => (bucket.count - below, middle(bound, bucket.upper, spread)),
    }
}

fn kept_of_infinite(bucket: &Bucket, bound: f64, keep: Keep) -> (f64, f64) {
    let from_zero = bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 && bucket.upper.is_finite();
    match keep {
        Keep::Below if from_zero && bound > 0.0 => (bucket.count * bound / bucket.upper, bound / 2.0),
        Keep::Below if bucket.lower == f64::NEG_INFINITY && bucket.upper <= 0.0 => (bucket.count, bound),
        Keep::Above if from_zero && bound >= 0.0 => {
            (bucket.count * (1.0 - bound / bucket.upper), f64::midpoint(bound, bucket.upper))
        }
        // The bucket up to +Inf stays whole, taken to lie at the bound.
        Keep::Above if bucket.lower != f64::NEG_INFINITY && bound >= bucket.lower => (bucket.count, bound),
        _ => (0.0, 0.0),
    }
}

fn zero_bucket(histogram: &Histogram, has_negative: bool, has_positive: bool) -> Bucket {
    let mut zero = buckets::zero(histogram);
    match (has_negative, has_positive) {
        (true, false) => zero.upper = 0.0,
        (false, true) => zero.lower = 0.0,
        _ => {}
    }
    zero
}

fn kept_of_zero(zero: &Bucket, bound: f64, keep: Keep) -> (f64, f64) {
    let width = zero.upper - zero.lower;
    let whole = (zero.count, f64::midpoint(zero.lower, zero.upper));
    match keep {
        Keep::Below if bound <= zero.lower => (0.0, 0.0),
        Keep::Below if bound >= zero.upper => whole,
        Keep::Below => (zero.count * (bound - zero.lower) / width, f64::midpoint(zero.lower, bound)),
        Keep::Above if bound <= zero.lower => whole,
        Keep::Above if bound >= zero.upper => (0.0, 0.0),
        Keep::Above => (zero.count * (zero.upper - bound) / width, f64::midpoint(bound, zero.upper)),
    }
}

/// What stands for the observations between two borders.
fn middle(lower: f64, upper: f64, spread: Spread) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) => match spread {
            Spread::Linear => f64::midpoint(lower, upper),
            Spread::Positive => (lower * upper).abs().sqrt(),
            Spread::Negative => -(lower * upper).abs().sqrt(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    fn custom(bounds: &[f64], counts: &[f64]) -> Histogram {
        Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: Some(bounds.into()),
            count: counts.iter().sum(),
            sum: 172.5,
            positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    #[test]
    fn a_bucket_with_the_bound_in_it_is_split() {
        let cut = trim(&custom(&[5.0, 10.0, 15.0, 20.0], &[1.0, 6.0, 4.0, 3.0, 1.0]), 13.0, Keep::Below);
        assert!((cut.count - 9.4).abs() < 1e-12 && (cut.sum - 75.1).abs() < 1e-9, "{cut:?}");
    }

    #[test]
    fn nothing_cut_off_keeps_the_exact_sum() {
        let whole = custom(&[5.0], &[1.0, 100.0]);
        assert_eq!(trim(&whole, f64::INFINITY, Keep::Below).sum, 172.5);
        assert_eq!(trim(&whole, f64::NEG_INFINITY, Keep::Above).sum, 172.5);
    }

    #[test]
    fn the_two_halves_together_are_the_whole() {
        let whole = Histogram {
            count: 8.0,
            zero_count: 1.0,
            zero_threshold: 0.01,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 4.0],
            ..Histogram::default()
        };
        for bound in [-1.0, 0.0, 0.005, 0.75, 1.0, 1.5, 3.9, 100.0] {
            let (below, above) = (trim(&whole, bound, Keep::Below), trim(&whole, bound, Keep::Above));
            assert!((below.count + above.count - 8.0).abs() < 1e-12, "{bound}");
        }
    }
}
