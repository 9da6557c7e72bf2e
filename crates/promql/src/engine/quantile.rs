//! Quantiles of classic histograms (`le` buckets) and of plain values.

use super::kahan::Kahan;

/// Counts that differ relatively by less are the same: scraping and summing leave such differences.
const SMALL_DELTA: f64 = 1e-12;

/// A cumulative bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ClassicBucket {
    pub(crate) bound: f64,
    pub(crate) count: f64,
}

/// Where the counts had to be lifted so that they never fall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Forced {
    pub(crate) bucket_min: f64,
    pub(crate) bucket_max: f64,
    pub(crate) difference_max: f64,
}

/// Sorts, merges equal bounds. False: there is no +Inf bucket, so nothing can be said.
fn prepare(buckets: &mut Vec<ClassicBucket>) -> bool {
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    buckets.last().is_some_and(|last| last.bound == f64::INFINITY)
}

/// The quantile of classic buckets in any order.
pub(crate) fn classic_quantile(q: f64, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<Forced>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if !prepare(buckets) {
        return (f64::NAN, None);
    }
    let forced = make_monotonic(buckets);
    let observations = buckets.last().map_or(0.0, |last| last.count);
    if buckets.len() < 2 || observations == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = q * observations;
    let last = buckets.len() - 1;
    // Written so that a NaN count ends in the last bucket, as upstream.
    let at = buckets[..last].iter().position(|bucket| bucket.count >= rank).unwrap_or(last);
    if at == last {
        return (buckets[last - 1].bound, forced);
    }
    if at == 0 && buckets[0].bound <= 0.0 {
        return (buckets[0].bound, forced);
    }
    let (mut start, mut count) = (0.0, buckets[at].count);
    if at > 0 {
        start = buckets[at - 1].bound;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    (start + (buckets[at].bound - start) * (rank / count), forced)
}

/// Ignores tiny differences silently, lifts every fall.
fn make_monotonic(buckets: &mut [ClassicBucket]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut previous = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count == previous {
            continue;
        }
        if almost_equal(previous, bucket.count) {
            bucket.count = previous;
        } else if bucket.count < previous {
            let seen = forced.get_or_insert(Forced {
                bucket_min: bucket.bound,
                bucket_max: bucket.bound,
                difference_max: 0.0,
            });
            seen.bucket_max = bucket.bound;
            seen.difference_max = seen.difference_max.max(previous - bucket.count);
            bucket.count = previous;
        } else {
            previous = bucket.count;
        }
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}

/// The share of observations of classic buckets between two bounds.
pub(crate) fn classic_fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if !prepare(buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |last| last.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let first_lower = if buckets[0].bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let below = |bound: f64| {
        let (mut rank, mut low) = (0.0, first_lower);
        for bucket in buckets.iter() {
            if low >= bound {
                return rank;
            }
            if bucket.bound > bound {
                return if low == f64::NEG_INFINITY {
                    bucket.count
                } else {
                    rank + (bucket.count - rank) * (bound - low) / (bucket.bound - low)
                };
            }
            rank = bucket.count;
            low = bucket.bound;
        }
        count
    };
    (below(upper).min(count) - below(lower).min(count)) / count
}

/// The quantile of values in any order; NaN counts as the smallest. Sorts them.
pub(crate) fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let last = (values.len() - 1) as f64;
    let rank = q * last;
    let low = rank.floor().max(0.0);
    let high = (low + 1.0).min(last);
    let weight = rank - rank.floor();
    values[low as usize] * (1.0 - weight) + values[high as usize] * weight
}

/// The median absolute deviation; of values with a NaN among them nothing is known. Uses `scratch` for the values.
pub(crate) fn median_absolute_deviation(values: &[f64], scratch: &mut Vec<f64>) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    scratch.clear();
    scratch.extend_from_slice(values);
    let median = quantile_of(0.5, scratch);
    for (slot, value) in scratch.iter_mut().zip(values) {
        *slot = (value - median).abs();
    }
    quantile_of(0.5, scratch)
}

/// Least squares: (slope, value at `origin`) of times in milliseconds; NaN for infinite constants.
pub(crate) fn regression(times: &[i64], values: &[f64], origin: i64) -> (f64, f64) {
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = values.len() as f64;
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (Kahan::default(), Kahan::default(), Kahan::default(), Kahan::default());
    for (time, y) in times.iter().zip(values) {
        let x = (time - origin) as f64 / 1e3;
        x_sum.add(x);
        y_sum.add(*y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    let (x, y, xy, xx) = (x_sum.total(), y_sum.total(), xy_sum.total(), xx_sum.total());
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        pairs.iter().map(|(bound, count)| ClassicBucket { bound: *bound, count: *count }).collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn interpolates_within_the_bucket() {
        let (value, forced) = classic_quantile(0.5, &mut buckets(&[(INF, 4.0), (1.0, 1.0), (2.0, 3.0)]));
        assert_eq!((value, forced), (1.5, None));
    }

    #[test]
    fn the_borders_of_what_can_be_said() {
        assert!(classic_quantile(0.5, &mut buckets(&[(1.0, 1.0), (2.0, 2.0)])).0.is_nan(), "no +Inf");
        assert!(classic_quantile(0.5, &mut buckets(&[(INF, 2.0)])).0.is_nan(), "one bucket");
        assert!(classic_quantile(0.5, &mut buckets(&[(1.0, 0.0), (INF, 0.0)])).0.is_nan(), "nothing observed");
        assert_eq!(classic_quantile(0.99, &mut buckets(&[(1.0, 1.0), (INF, 9.0)])).0, 1.0, "in the +Inf bucket");
        assert_eq!(classic_quantile(0.1, &mut buckets(&[(-3.0, 5.0), (INF, 9.0)])).0, -3.0, "lowest, not positive");
    }

    #[test]
    fn equal_bounds_are_merged_and_falls_are_lifted() {
        let mut twice = buckets(&[(1.0, 1.0), (1.0, 1.0), (2.0, 4.0), (INF, 4.0)]);
        assert_eq!(classic_quantile(0.5, &mut twice).0, 1.0);
        let (_, forced) = classic_quantile(0.5, &mut buckets(&[(1.0, 3.0), (2.0, 1.0), (INF, 4.0)]));
        assert_eq!(forced, Some(Forced { bucket_min: 2.0, bucket_max: 2.0, difference_max: 2.0 }));
        let (_, forced) = classic_quantile(0.5, &mut buckets(&[(1.0, 3.0), (2.0, 3.0 - 1e-13), (INF, 4.0)]));
        assert_eq!(forced, None);
    }

    #[test]
    fn quantiles_of_values_weigh_neighbours_and_put_nan_first() {
        assert_eq!(quantile_of(0.25, &mut [4.0, 1.0, 3.0]), 2.0);
        assert_eq!(quantile_of(1.0, &mut [f64::NAN, 1.0]), 1.0);
        assert!(quantile_of(0.0, &mut [1.0, f64::NAN]).is_nan());
    }

    #[test]
    fn a_line_is_found() {
        let (slope, at) = regression(&[0, 1000, 2000], &[1.0, 3.0, 5.0], 1000);
        assert_eq!((slope, at), (2.0, 3.0));
        assert_eq!(regression(&[0, 1], &[7.0, 7.0], 0), (0.0, 7.0));
    }

    #[test]
    fn a_fraction_of_classic_buckets() {
        let mut some = buckets(&[(1.0, 1.0), (2.0, 3.0), (INF, 4.0)]);
        assert_eq!(classic_fraction(1.0, 2.0, &mut some), 0.5);
        assert_eq!(classic_fraction(f64::NEG_INFINITY, INF, &mut some), 1.0);
    }
}
