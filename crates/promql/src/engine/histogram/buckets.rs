//! The buckets of a native histogram: their bounds, their walk in order, their packing into spans.
//!
//! Promise: everything here treats the spans as what they are, runs of consecutive indexes; a span of length zero
//! is a gap. Not here: arithmetic, estimates.

use model::histogram::{Histogram, Span};

/// One bucket with the bounds it covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    pub lower: f64,
    pub upper: f64,
    pub count: f64,
}

/// Walks (index, population) of one side, empty buckets included.
pub(crate) fn indexed<'a>(spans: &'a [Span], buckets: &'a [f64]) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut next = 0i32;
    let indexes = spans.iter().flat_map(move |span| {
        let first = next.wrapping_add(span.offset);
        next = first.wrapping_add(span.length.cast_signed());
        first..next
    });
    indexes.zip(buckets.iter().copied())
}

/// Spans and populations of (index, population) pairs that ascend by index.
pub(crate) fn pack(pairs: impl Iterator<Item = (i32, f64)>) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut buckets = Vec::new();
    let mut next = 0i32;
    for (index, count) in pairs {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            Some(_) => spans.push(Span { offset: index - next, length: 1 }),
            None => spans.push(Span { offset: index, length: 1 }),
        }
        buckets.push(count);
        next = index + 1;
    }
    (spans, buckets)
}

/// The upper bound of a positive exponential bucket: 2^(index · 2^-schema).
pub(crate) fn exponential_bound(index: i32, schema: i32) -> f64 {
    if schema <= 0 {
        // Exact powers of two; beyond the largest float the bound is the largest float, as upstream has it.
        let exponent = i64::from(index) << -schema;
        return match exponent {
            1024 => f64::MAX,
            e if e > 1024 => f64::INFINITY,
            e if e < -1074 => 0.0,
            e => exp2_exact(e as i32),
        };
    }
    // Split into whole and fractional part of the exponent, so that exact powers of two come out exact.
    let per_power = 1i32 << schema;
    let fraction = index.rem_euclid(per_power);
    let whole = index.div_euclid(per_power);
    if whole == 1024 && fraction == 0 {
        return f64::MAX;
    }
    let base = (f64::from(fraction) / f64::from(per_power)).exp2();
    if whole >= 1024 { f64::INFINITY } else { base * exp2_exact(whole.max(-1074)) }
}

/// 2^exponent for exponents a float has, subnormal ones included.
fn exp2_exact(exponent: i32) -> f64 {
    if exponent >= -1022 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else {
        f64::from_bits(1u64 << (exponent + 1074))
    }
}

/// The index a bucket has at a lower resolution.
pub(crate) const fn reduced_index(index: i32, from: i32, to: i32) -> i32 {
    ((index - 1) >> (from - to)) + 1
}

/// The bounds (lower, upper) of a bucket on the positive side, or of a custom bucket.
pub(crate) fn positive_bounds(histogram: &Histogram, index: i32) -> (f64, f64) {
    if histogram.uses_custom_buckets() {
        let bounds = histogram.bounds();
        let at = |i: i32| usize::try_from(i).ok().and_then(|i| bounds.get(i)).copied();
        let lower = if index == 0 { f64::NEG_INFINITY } else { at(index - 1).unwrap_or(f64::INFINITY) };
        return (lower, at(index).unwrap_or(f64::INFINITY));
    }
    (exponential_bound(index - 1, histogram.schema), exponential_bound(index, histogram.schema))
}

/// The positive buckets (or all of a custom-bucket histogram), lowest first, empty ones included.
pub(crate) fn positive(histogram: &Histogram) -> impl Iterator<Item = Bucket> + '_ {
    indexed(&histogram.positive_spans, &histogram.positive_buckets).map(|(index, count)| {
        let (lower, upper) = positive_bounds(histogram, index);
        Bucket { lower, upper, count }
    })
}

/// The negative buckets, nearest to zero first, empty ones included.
pub(crate) fn negative(histogram: &Histogram) -> impl Iterator<Item = Bucket> + '_ {
    indexed(&histogram.negative_spans, &histogram.negative_buckets).map(|(index, count)| {
        let (lower, upper) = positive_bounds(histogram, index);
        Bucket { lower: -upper, upper: -lower, count }
    })
}

/// The zero bucket.
pub(crate) fn zero(histogram: &Histogram) -> Bucket {
    Bucket { lower: -histogram.zero_threshold, upper: histogram.zero_threshold, count: histogram.zero_count }
}

/// All buckets, lowest first; the zero bucket only where it is populated.
#[must_use]
pub fn all(histogram: &Histogram) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = negative(histogram).collect();
    buckets.reverse();
    if histogram.zero_count > 0.0 {
        buckets.push(zero(histogram));
    }
    buckets.extend(positive(histogram));
    buckets
}

/// Removes all empty buckets.
pub(crate) fn compact(histogram: &mut Histogram) {
    compact_side(&mut histogram.positive_spans, &mut histogram.positive_buckets);
    compact_side(&mut histogram.negative_spans, &mut histogram.negative_buckets);
}

fn compact_side(spans: &mut Vec<Span>, buckets: &mut Vec<f64>) {
    let tidy = buckets.iter().all(|count| *count != 0.0)
        && spans.iter().enumerate().all(|(at, span)| span.length > 0 && (at == 0 || span.offset > 0));
    if !tidy {
        (*spans, *buckets) = pack(indexed(spans, buckets).filter(|(_, count)| *count != 0.0));
    }
}

/// As Prometheus prints it, for example as the value of a `count_values` label.
pub(crate) fn describe(histogram: &Histogram) -> String {
    use super::super::number::general;
    use std::fmt::Write as _;
    let mut text = format!("{{count:{}, sum:{}", general(histogram.count), general(histogram.sum));
    let mut write = |bucket: Bucket, open: char, close: char| {
        if bucket.count != 0.0 {
            let (lower, upper) = (general(bucket.lower), general(bucket.upper));
            let _infallible = write!(text, ", {open}{lower},{upper}{close}:{}", general(bucket.count));
        }
    };
    let mut negative: Vec<Bucket> = negative(histogram).collect();
    negative.reverse();
    for bucket in negative {
        write(bucket, '[', ')');
    }
    if histogram.zero_count != 0.0 {
        write(zero(histogram), '[', ']');
    }
    for (at, bucket) in positive(histogram).enumerate() {
        let open = if at == 0 && histogram.uses_custom_buckets() && bucket.lower.is_infinite() { '[' } else { '(' };
        write(bucket, open, ']');
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_exact_powers_of_two_where_they_can_be() {
        assert_eq!(exponential_bound(0, 0), 1.0);
        assert_eq!(exponential_bound(3, 0), 8.0);
        assert_eq!(exponential_bound(-1, 0), 0.5);
        assert_eq!(exponential_bound(1, -1), 4.0);
        assert_eq!(exponential_bound(8, 3), 2.0);
        assert_eq!(exponential_bound(1, 1), 2f64.sqrt());
        assert_eq!(exponential_bound(1024, 0), f64::MAX);
        assert_eq!(exponential_bound(1025, 0), f64::INFINITY);
        assert_eq!(exponential_bound(-1074, 0), f64::from_bits(1));
    }

    #[test]
    fn walking_and_packing_are_inverse() {
        let spans = vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }];
        let buckets = vec![1.0, 2.0, 3.0];
        let pairs: Vec<(i32, f64)> = indexed(&spans, &buckets).collect();
        assert_eq!(pairs, [(-2, 1.0), (-1, 2.0), (3, 3.0)]);
        assert_eq!(pack(pairs.into_iter()), (spans, buckets));
    }

    #[test]
    fn compacting_drops_empty_buckets_wherever_they_are() {
        let mut histogram = Histogram {
            positive_spans: vec![Span { offset: 0, length: 4 }, Span { offset: 0, length: 1 }],
            positive_buckets: vec![0.0, 1.0, 0.0, 2.0, 3.0],
            ..Histogram::default()
        };
        compact(&mut histogram);
        assert_eq!(histogram.positive_buckets, [1.0, 2.0, 3.0]);
        assert_eq!(histogram.positive_spans, [Span { offset: 1, length: 1 }, Span { offset: 1, length: 2 }]);
    }

    #[test]
    fn describes_itself_as_upstream_does() {
        let histogram = Histogram {
            count: 4.0,
            sum: 5.0,
            zero_count: 1.0,
            zero_threshold: 0.001,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            positive_buckets: vec![1.0, 2.0],
            ..Histogram::default()
        };
        assert_eq!(describe(&histogram), "{count:4, sum:5, [-0.001,0.001]:1, (0.5,1]:1, (1,2]:2}");
    }
}
