//! What a native histogram tells about the observations in it: quantiles, fractions, spread.
//!
//! Within a bucket observations are taken to be spread evenly: on a linear scale in custom buckets and in the zero
//! bucket, on a logarithmic scale in exponential ones.

use model::histogram::Histogram;

use super::super::kahan::Kahan;
use super::buckets::{self, Bucket};

/// What NaN observations did to an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NanEffect {
    #[default]
    None,
    /// The quantile lies among them.
    ResultIsNan,
    /// They were counted as larger than everything.
    Skewed,
    /// They were left out.
    LeftOut,
}

/// The quantile: -Inf below 0, +Inf above 1, NaN of nothing.
pub(crate) fn quantile(q: f64, histogram: &Histogram) -> (f64, NanEffect) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, NanEffect::None);
    }
    if q > 1.0 {
        return (f64::INFINITY, NanEffect::None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    // NaN observations are in no bucket but in the count, so that only counting up from below is right; else
    // the shorter way also has the smaller rounding errors.
    let forward = histogram.sum.is_nan() || q < 0.5;
    let mut all = buckets::all(histogram);
    if !forward {
        all.reverse();
    }
    let mut rank = if forward { q * histogram.count } else { (1.0 - q) * histogram.count };
    let Some((mut bucket, mut count, rest)) = walk_to_rank(&all, rank) else { return (f64::NAN, NanEffect::None) };

    if histogram.uses_custom_buckets() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, NanEffect::None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, NanEffect::None);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        narrow_zero(&mut bucket, histogram);
    }
    let counted = count;
    count = count.min(histogram.count);
    if count < rank {
        return if histogram.sum.is_nan() {
            (f64::NAN, NanEffect::ResultIsNan)
        } else {
            (bucket.upper, NanEffect::None)
        };
    }
    rank = if forward { rank - (count - bucket.count) } else { count - rank };
    let in_buckets = counted + rest.iter().map(|b| b.count).sum::<f64>();
    let effect =
        if histogram.sum.is_nan() && in_buckets < histogram.count { NanEffect::Skewed } else { NanEffect::None };
    (interpolate(&bucket, rank / bucket.count, histogram.uses_custom_buckets()), effect)
}

/// The bucket in which the running count reaches the rank, that count, and the buckets behind it. Where nothing
/// reaches it, the last populated bucket's neighbourhood: the last bucket.
fn walk_to_rank(all: &[Bucket], rank: f64) -> Option<(Bucket, f64, &[Bucket])> {
    let mut count = 0.0;
    for (at, bucket) in all.iter().enumerate() {
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            return Some((*bucket, count, &all[at + 1..]));
        }
    }
    let last = all.last().copied().unwrap_or(Bucket { lower: 0.0, upper: 0.0, count: 0.0 });
    Some((last, count, &[]))
}

/// A zero bucket next to buckets of one sign only holds observations of that sign.
fn narrow_zero(bucket: &mut Bucket, histogram: &Histogram) {
    match (histogram.negative_buckets.is_empty(), histogram.positive_buckets.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
}

fn interpolate(bucket: &Bucket, fraction: f64, linear: bool) -> f64 {
    if linear || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        (low + (high - low) * fraction).exp2()
    } else {
        -(high + (low - high) * (1.0 - fraction)).exp2()
    }
}

/// The share of observations between two bounds.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> (f64, NanEffect) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    if lower >= upper {
        return (0.0, NanEffect::None);
    }
    let all = buckets::all(histogram);
    let (mut effect, mut count) = (NanEffect::None, histogram.count);
    if histogram.sum.is_nan() {
        count = all.iter().map(|b| b.count).sum();
        if count < histogram.count {
            effect = NanEffect::LeftOut;
        }
    }
    let below = |bound: f64| rank_of(bound, &all, histogram).map_or(count, |rank| rank.min(count));
    ((below(upper) - below(lower)) / histogram.count, effect)
}

/// How many observations lie below a bound; `None` above all buckets.
fn rank_of(bound: f64, all: &[Bucket], histogram: &Histogram) -> Option<f64> {
    let mut rank = 0.0;
    for bucket in all {
        let mut b = *bucket;
        let around_zero = b.lower <= 0.0 && b.upper >= 0.0;
        if around_zero {
            narrow_zero(&mut b, histogram);
        }
        if b.lower >= bound {
            return Some(rank);
        }
        if b.upper > bound {
            return Some(if histogram.uses_custom_buckets() || around_zero {
                // Nothing can be said within a bucket that begins at -Inf; upstream answers with its population.
                if b.lower == f64::NEG_INFINITY {
                    b.count
                } else {
                    rank + b.count * (bound - b.lower) / (b.upper - b.lower)
                }
            } else {
                rank + b.count * logarithmic_share(&b, bound)
            });
        }
        rank += b.count;
    }
    None
}

/// The share of an exponential bucket below a bound within it.
pub(super) fn logarithmic_share(bucket: &Bucket, bound: f64) -> f64 {
    let (low, high, at) = (bucket.lower.abs().log2(), bucket.upper.abs().log2(), bound.abs().log2());
    if bound > 0.0 { (at - low) / (high - low) } else { 1.0 - (at - high) / (low - high) }
}

/// The population variance, each bucket standing for its middle.
pub(crate) fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut variance = Kahan::default();
    for bucket in buckets::all(histogram) {
        if bucket.count == 0.0 {
            continue;
        }
        let middle = if histogram.uses_custom_buckets() {
            f64::midpoint(bucket.upper, bucket.lower)
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let delta = middle - mean;
        variance.add(bucket.count * delta * delta);
    }
    variance.total() / histogram.count
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::histogram::Span;

    fn of(counts: &[f64]) -> Histogram {
        Histogram {
            count: counts.iter().sum(),
            sum: 5.0,
            positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    #[test]
    fn quantiles_interpolate_on_a_logarithmic_scale() {
        // (0.5,1] 1, (1,2] 2, (2,4] 1: the median is in the logarithmic middle of (1,2].
        let (median, effect) = quantile(0.5, &of(&[1.0, 2.0, 1.0]));
        assert!((median - 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(effect, NanEffect::None);
        assert_eq!(quantile(-0.1, &of(&[1.0])).0, f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &of(&[1.0])).0, f64::INFINITY);
        assert!(quantile(0.5, &of(&[0.0])).0.is_nan());
    }

    #[test]
    fn nan_observations_are_told() {
        let mut with_nan = of(&[1.0, 1.0]);
        with_nan.sum = f64::NAN;
        with_nan.count = 4.0;
        assert_eq!(quantile(0.25, &with_nan).1, NanEffect::Skewed);
        assert_eq!(quantile(0.9, &with_nan).1, NanEffect::ResultIsNan);
        assert_eq!(fraction(0.0, 1.0, &with_nan), (0.25, NanEffect::LeftOut));
    }

    #[test]
    fn fraction_is_the_inverse_of_quantile() {
        let histogram = of(&[3.0, 5.0, 2.0]);
        for q in [0.05, 0.3, 0.5, 0.75, 0.99] {
            let (at, _) = quantile(q, &histogram);
            let (share, _) = fraction(f64::NEG_INFINITY, at, &histogram);
            assert!((share - q).abs() < 1e-12, "{q} {at} {share}");
        }
    }

    #[test]
    fn variance_is_zero_where_all_is_in_the_zero_bucket() {
        let zero = Histogram { count: 2.0, zero_count: 2.0, zero_threshold: 0.1, ..Histogram::default() };
        assert_eq!(variance(&zero), 0.0);
    }
}
