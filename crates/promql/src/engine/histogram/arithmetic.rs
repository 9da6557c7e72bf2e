//! Adding, subtracting and scaling native histograms.
//!
//! Two histograms of different resolution, zero bucket or custom bounds are first brought to the coarsest form
//! both have: the lower schema, the larger zero bucket, the common bounds. Only exponential and custom buckets
//! do not mix.

use std::sync::Arc;

use model::histogram::{Histogram, ResetHint, Span};

use super::buckets::{self, exponential_bound, indexed, pack, reduced_index};

/// Exponential and custom buckets met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IncompatibleSchema;

/// What happened on the way that the user may want to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// One said "reset", the other "not reset".
    pub(crate) hint_collision: bool,
    /// The custom bounds differed; both were mapped to their common bounds.
    pub(crate) bounds_reconciled: bool,
}

/// Multiplies all populations and the sum.
pub(crate) fn scale(histogram: &mut Histogram, factor: f64) {
    histogram.zero_count *= factor;
    histogram.count *= factor;
    histogram.sum *= factor;
    for count in histogram.positive_buckets.iter_mut().chain(&mut histogram.negative_buckets) {
        *count *= factor;
    }
    if factor < 0.0 {
        histogram.hint = ResetHint::Gauge;
    }
}

/// Divides all populations and the sum; by zero all buckets vanish.
pub(crate) fn divide(histogram: &mut Histogram, divisor: f64) {
    histogram.zero_count /= divisor;
    histogram.count /= divisor;
    histogram.sum /= divisor;
    if divisor == 0.0 {
        histogram.positive_spans.clear();
        histogram.negative_spans.clear();
        histogram.positive_buckets.clear();
        histogram.negative_buckets.clear();
        return;
    }
    for count in histogram.positive_buckets.iter_mut().chain(&mut histogram.negative_buckets) {
        *count /= divisor;
    }
    if divisor < 0.0 {
        histogram.hint = ResetHint::Gauge;
    }
}

/// `a += b`
pub(crate) fn add(a: &mut Histogram, b: &Histogram) -> Result<Outcome, IncompatibleSchema> {
    combine(a, b, 1.0)
}

/// `a -= b`. The hint is adjusted as in an addition; who shows the difference to the user makes it a gauge.
pub(crate) fn subtract(a: &mut Histogram, b: &Histogram) -> Result<Outcome, IncompatibleSchema> {
    combine(a, b, -1.0)
}

fn combine(a: &mut Histogram, b: &Histogram, sign: f64) -> Result<Outcome, IncompatibleSchema> {
    if a.uses_custom_buckets() != b.uses_custom_buckets() {
        return Err(IncompatibleSchema);
    }
    let mut outcome = Outcome { hint_collision: adjust_hint(a, b.hint), bounds_reconciled: false };
    if a.uses_custom_buckets() {
        outcome.bounds_reconciled = combine_custom(a, b, sign);
        a.count += sign * b.count;
        a.sum += sign * b.sum;
        return Ok(outcome);
    }
    let b_zero_count = reconcile_zero(a, b);
    a.zero_count += sign * b_zero_count;
    a.count += sign * b.count;
    a.sum += sign * b.sum;
    if b.schema < a.schema {
        reduce(a, b.schema);
    }
    let grid = Grid { schema: a.schema, threshold: a.zero_threshold, from: b.schema };
    combine_side(
        (&mut a.positive_spans, &mut a.positive_buckets),
        (&b.positive_spans, &b.positive_buckets),
        grid,
        sign,
    );
    combine_side(
        (&mut a.negative_spans, &mut a.negative_buckets),
        (&b.negative_spans, &b.negative_buckets),
        grid,
        sign,
    );
    Ok(outcome)
}

/// What the second operand's buckets are brought to.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) schema: i32,
    pub(super) threshold: f64,
    pub(super) from: i32,
}

impl Grid {
    /// The buckets of `b` at the grid's resolution, those inside the zero bucket left out.
    pub(super) fn reduced(&self, spans: &[Span], counts: &[f64]) -> Vec<(i32, f64)> {
        let mut out: Vec<(i32, f64)> = Vec::with_capacity(counts.len());
        for (index, count) in indexed(spans, counts) {
            let index = if self.from > self.schema { reduced_index(index, self.from, self.schema) } else { index };
            match out.last_mut() {
                Some((last, sum)) if *last == index => *sum += count,
                _ => out.push((index, count)),
            }
        }
        let inside = out.iter().take_while(|(i, _)| exponential_bound(*i, self.schema) <= self.threshold).count();
        out.drain(..inside);
        out
    }
}

fn combine_side(a: (&mut Vec<Span>, &mut Vec<f64>), b: (&[Span], &[f64]), grid: Grid, sign: f64) {
    let (a_spans, a_counts) = a;
    let (b_spans, b_counts) = b;
    // The usual case, the same metric at two times: same layout, so nothing moves.
    let same = grid.from == grid.schema && a_spans.as_slice() == b_spans && grid.threshold == 0.0;
    if same {
        for (a, b) in a_counts.iter_mut().zip(b_counts) {
            *a += sign * b;
        }
        return;
    }
    let right = grid.reduced(b_spans, b_counts);
    if right.is_empty() {
        return;
    }
    let merged = merge(indexed(a_spans, a_counts), right.into_iter().map(|(i, count)| (i, sign * count)), |a, b| a + b);
    (*a_spans, *a_counts) = pack(merged.into_iter());
}

/// Merges two ascending lists; `join` combines what stands at the same index.
pub(super) fn merge<T: Copy>(
    a: impl Iterator<Item = (i32, T)>,
    b: impl Iterator<Item = (i32, T)>,
    join: impl Fn(T, T) -> T,
) -> Vec<(i32, T)> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    let mut out = Vec::with_capacity(a.size_hint().0 + b.size_hint().0);
    loop {
        let next = match (a.peek(), b.peek()) {
            (None, None) => return out,
            (Some((i, _)), Some((j, _))) if i == j => a.next().zip(b.next()).map(|((i, x), (_, y))| (i, join(x, y))),
            (Some((i, _)), Some((j, _))) if i > j => b.next(),
            (None, Some(_)) => b.next(),
            (Some(_), _) => a.next(),
        };
        out.extend(next);
    }
}

/// Sets the hint of a sum or difference. True: the two hints contradict each other.
pub(super) fn adjust_hint(a: &mut Histogram, b: ResetHint) -> bool {
    let (hint, collision) = joined_hint(a.hint, b);
    a.hint = hint;
    collision
}

pub(super) const fn joined_hint(a: ResetHint, b: ResetHint) -> (ResetHint, bool) {
    match (a, b) {
        (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
        (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
        (ResetHint::Reset, ResetHint::Reset) => (ResetHint::Reset, false),
        (ResetHint::NotReset, ResetHint::NotReset) => (ResetHint::NotReset, false),
        (ResetHint::Reset, ResetHint::NotReset) | (ResetHint::NotReset, ResetHint::Reset) => (ResetHint::Unknown, true),
    }
}

/// Lowers the resolution. The schema must not be higher than the histogram's.
pub(crate) fn reduce(histogram: &mut Histogram, schema: i32) {
    if schema >= histogram.schema || histogram.uses_custom_buckets() {
        return;
    }
    let grid = Grid { schema, threshold: 0.0, from: histogram.schema };
    let reduce = |spans: &mut Vec<Span>, counts: &mut Vec<f64>| {
        (*spans, *counts) = pack(grid.reduced(spans, counts).into_iter());
    };
    reduce(&mut histogram.positive_spans, &mut histogram.positive_buckets);
    reduce(&mut histogram.negative_spans, &mut histogram.negative_buckets);
    histogram.schema = schema;
}

/// The zero count a histogram would have with a larger zero bucket. A border inside a populated bucket is moved
/// out to that bucket's end; the border used comes back too.
pub(super) fn zero_count_within(histogram: &Histogram, threshold: f64) -> (f64, f64) {
    let mut threshold = threshold;
    if threshold <= histogram.zero_threshold {
        return (histogram.zero_count, threshold);
    }
    'border: loop {
        let mut count = histogram.zero_count;
        for bucket in buckets::positive(histogram) {
            if bucket.lower >= threshold {
                break;
            }
            count += bucket.count;
            if bucket.upper > threshold && bucket.count != 0.0 {
                threshold = bucket.upper;
                break;
            }
        }
        for bucket in buckets::negative(histogram) {
            if bucket.upper <= -threshold {
                break;
            }
            count += bucket.count;
            if bucket.lower < -threshold && bucket.count != 0.0 {
                // The positive side was counted with the smaller border: once more.
                threshold = -bucket.lower;
                continue 'border;
            }
        }
        return (count, threshold);
    }
}

/// Widens the zero bucket of `a` so that it covers that of `b` too and ends inside no populated bucket of either.
/// Returns the zero count `b` has with it.
pub(super) fn reconcile_zero(a: &mut Histogram, b: &Histogram) -> f64 {
    let (mut b_count, mut b_threshold) = (b.zero_count, b.zero_threshold);
    // Each round widens one of them to the border of a bucket, of which there are finitely many. (Of NaN
    // borders nothing can be said; leave them.)
    while b_threshold != a.zero_threshold && !b_threshold.is_nan() && !a.zero_threshold.is_nan() {
        if a.zero_threshold > b_threshold {
            (b_count, b_threshold) = zero_count_within(b, a.zero_threshold);
        }
        if b_threshold > a.zero_threshold {
            (a.zero_count, a.zero_threshold) = zero_count_within(a, b_threshold);
            drop_within_zero(a);
        }
    }
    b_count
}

fn drop_within_zero(histogram: &mut Histogram) {
    let (schema, threshold) = (histogram.schema, histogram.zero_threshold);
    let outside = |spans: &mut Vec<Span>, counts: &mut Vec<f64>| {
        let kept =
            indexed(spans, counts).filter(|(i, count)| exponential_bound(*i - 1, schema) >= threshold && *count != 0.0);
        (*spans, *counts) = pack(kept);
    };
    outside(&mut histogram.positive_spans, &mut histogram.positive_buckets);
    outside(&mut histogram.negative_spans, &mut histogram.negative_buckets);
}

/// Adds custom buckets. True: the bounds differed.
fn combine_custom(a: &mut Histogram, b: &Histogram, sign: f64) -> bool {
    if a.bounds() == b.bounds() {
        let right = indexed(&b.positive_spans, &b.positive_buckets).map(|(i, count)| (i, sign * count));
        let merged = merge(indexed(&a.positive_spans, &a.positive_buckets), right, |a, b| a + b);
        (a.positive_spans, a.positive_buckets) = pack(merged.into_iter());
        return false;
    }
    let common = common_bounds(a.bounds(), b.bounds());
    let mut target = map_to_bounds(a, &common);
    for (sum, count) in target.iter_mut().zip(map_to_bounds(b, &common)) {
        *sum += sign * count;
    }
    set_custom(a, common, &target);
    true
}

/// Gives a histogram new bounds and populations.
pub(super) fn set_custom(histogram: &mut Histogram, bounds: Arc<[f64]>, counts: &[f64]) {
    let pairs = (0i32..).zip(counts.iter().copied()).filter(|(_, count)| *count != 0.0);
    (histogram.positive_spans, histogram.positive_buckets) = pack(pairs);
    histogram.custom_values = Some(bounds);
}

/// The bounds both have.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Arc<[f64]> {
    let mut others = b.iter().peekable();
    a.iter()
        .filter(|bound| {
            while others.next_if(|other| other < bound).is_some() {}
            others.peek() == Some(bound)
        })
        .copied()
        .collect()
}

/// The populations between the given bounds, which must be some of the histogram's own; the last is up to +Inf.
pub(super) fn map_to_bounds(histogram: &Histogram, bounds: &[f64]) -> Vec<f64> {
    let mut target = vec![0.0; bounds.len() + 1];
    for (at, count) in mapped(histogram, bounds) {
        target[at] += count;
    }
    target
}

/// (index among the new bounds, population) of each bucket.
pub(super) fn mapped<'a>(histogram: &'a Histogram, bounds: &'a [f64]) -> impl Iterator<Item = (usize, f64)> + 'a {
    let mut target = 0;
    indexed(&histogram.positive_spans, &histogram.positive_buckets).map(move |(index, count)| {
        let own = usize::try_from(index).ok().and_then(|i| histogram.bounds().get(i));
        let at = own.map_or(bounds.len(), |own| {
            while bounds.get(target).is_some_and(|bound| bound < own) {
                target += 1;
            }
            target
        });
        (at, count)
    })
}

/// Whether two histograms hold the same: everything but the hint, floats bit by bit.
pub(crate) fn equal(a: &Histogram, b: &Histogram) -> bool {
    let same = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
    let spans = |spans: &[Span]| -> Vec<Span> {
        let mut out: Vec<Span> = Vec::with_capacity(spans.len());
        let mut gap = 0;
        for span in spans {
            if span.length == 0 {
                gap += span.offset;
                continue;
            }
            out.push(Span { offset: span.offset + gap, length: span.length });
            gap = 0;
        }
        out
    };
    let zero = a.uses_custom_buckets()
        || (a.zero_threshold == b.zero_threshold && a.zero_count.to_bits() == b.zero_count.to_bits());
    a.schema == b.schema
        && a.count.to_bits() == b.count.to_bits()
        && a.sum.to_bits() == b.sum.to_bits()
        && zero
        && (!a.uses_custom_buckets() || same(a.bounds(), b.bounds()))
        && spans(&a.positive_spans) == spans(&b.positive_spans)
        && spans(&a.negative_spans) == spans(&b.negative_spans)
        && same(&a.positive_buckets, &b.positive_buckets)
        && same(&a.negative_buckets, &b.negative_buckets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential(schema: i32, offset: i32, counts: &[f64]) -> Histogram {
        Histogram {
            schema,
            count: counts.iter().sum(),
            sum: 1.0,
            positive_spans: vec![Span { offset, length: counts.len() as u32 }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    fn custom(bounds: &[f64], counts: &[f64]) -> Histogram {
        Histogram {
            schema: model::histogram::CUSTOM_BUCKETS_SCHEMA,
            custom_values: Some(bounds.into()),
            ..exponential(0, 0, counts)
        }
    }

    #[test]
    fn a_lower_resolution_wins() {
        let mut low = exponential(-1, 1, &[1.0]);
        let outcome = add(&mut low, &exponential(0, 1, &[2.0, 2.0])).expect("both exponential");
        assert_eq!(outcome, Outcome::default());
        assert_eq!((low.schema, low.positive_buckets), (-1, vec![5.0]));
        let mut high = exponential(0, 1, &[2.0, 2.0]);
        add(&mut high, &exponential(-1, 1, &[1.0])).expect("both exponential");
        assert_eq!((high.schema, high.positive_buckets), (-1, vec![5.0]));
    }

    #[test]
    fn the_larger_zero_bucket_swallows_the_buckets_it_covers() {
        let mut a = exponential(0, 0, &[1.0, 2.0, 4.0]);
        let b = Histogram { zero_threshold: 1.5, zero_count: 7.0, count: 7.0, ..Histogram::default() };
        add(&mut a, &b).expect("both exponential");
        // 1.5 lies in the populated bucket (1,2], so the zero bucket grows to 2.
        assert_eq!((a.zero_threshold, a.zero_count), (2.0, 10.0));
        assert_eq!(a.positive_buckets, [4.0]);
        assert_eq!(a.positive_spans, [Span { offset: 2, length: 1 }]);
    }

    #[test]
    fn different_custom_bounds_meet_at_the_common_ones() {
        let mut a = custom(&[2.0, 4.0, 6.0], &[1.0, 2.0, 5.0, 7.0]);
        let outcome = add(&mut a, &custom(&[2.0, 3.0, 6.0], &[1.0, 0.0, 1.0, 5.0])).expect("both custom");
        assert!(outcome.bounds_reconciled);
        assert_eq!(a.bounds(), [2.0, 6.0]);
        assert_eq!(a.positive_buckets, [2.0, 8.0, 12.0]);
    }

    #[test]
    fn exponential_and_custom_do_not_mix() {
        assert_eq!(add(&mut exponential(0, 0, &[1.0]), &custom(&[1.0], &[1.0])), Err(IncompatibleSchema));
    }

    #[test]
    fn hints_join_and_contradictions_are_told() {
        for (a, b, hint, collision) in [
            (ResetHint::Gauge, ResetHint::Reset, ResetHint::Gauge, false),
            (ResetHint::NotReset, ResetHint::Unknown, ResetHint::Unknown, false),
            (ResetHint::Reset, ResetHint::NotReset, ResetHint::Unknown, true),
            (ResetHint::NotReset, ResetHint::NotReset, ResetHint::NotReset, false),
        ] {
            assert_eq!(joined_hint(a, b), (hint, collision));
        }
    }

    #[test]
    fn division_by_zero_leaves_no_buckets() {
        let mut a = exponential(0, 0, &[1.0]);
        divide(&mut a, 0.0);
        assert_eq!((a.count, a.positive_buckets.len()), (f64::INFINITY, 0));
    }
}
