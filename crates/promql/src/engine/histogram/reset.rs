//! Counter resets of native histograms: whether a later sample started counting anew.

use model::histogram::{Histogram, ResetHint};

use super::arithmetic::{common_bounds, map_to_bounds, zero_count_within};
use super::buckets::{exponential_bound, indexed, reduced_index};

/// Whether a counter was reset between `previous` and `current`: what the hint says, else any population that
/// shrank, any resolution that grew, any zero bucket that cannot be compared.
pub(crate) fn is_reset(current: &Histogram, previous: &Histogram) -> bool {
    match current.hint {
        ResetHint::Reset => return true,
        ResetHint::NotReset => return false,
        ResetHint::Unknown | ResetHint::Gauge => {}
    }
    if current.count < previous.count || current.uses_custom_buckets() != previous.uses_custom_buckets() {
        return true;
    }
    if current.uses_custom_buckets() {
        return custom_shrank(current, previous);
    }
    if current.schema > previous.schema || current.zero_threshold < previous.zero_threshold {
        return true;
    }
    let (previous_zero, border) = zero_count_within(previous, current.zero_threshold);
    if border != current.zero_threshold || current.zero_count < previous_zero {
        return true;
    }
    shrank(side(current, true, current), side(previous, true, current))
        || shrank(side(current, false, current), side(previous, false, current))
}

fn custom_shrank(current: &Histogram, previous: &Histogram) -> bool {
    if current.bounds() == previous.bounds() {
        return shrank(
            indexed(&current.positive_spans, &current.positive_buckets),
            indexed(&previous.positive_spans, &previous.positive_buckets),
        );
    }
    let common = common_bounds(current.bounds(), previous.bounds());
    let now = map_to_bounds(current, &common);
    now.iter().zip(map_to_bounds(previous, &common)).any(|(now, before)| *now < before)
}

/// The buckets of one side outside the zero bucket of `form`, at its resolution.
fn side<'a>(histogram: &'a Histogram, positive: bool, form: &Histogram) -> impl Iterator<Item = (i32, f64)> + 'a {
    let (spans, counts) = if positive {
        (&histogram.positive_spans, &histogram.positive_buckets)
    } else {
        (&histogram.negative_spans, &histogram.negative_buckets)
    };
    let (from, to, threshold) = (histogram.schema, form.schema, form.zero_threshold);
    let mut reduced =
        indexed(spans, counts).map(move |(i, count)| (if from > to { reduced_index(i, from, to) } else { i }, count));
    let mut pending = reduced.next();
    std::iter::from_fn(move || {
        let (index, mut sum) = pending.take()?;
        for (next, count) in reduced.by_ref() {
            if next == index {
                sum += count;
                continue;
            }
            pending = Some((next, count));
            break;
        }
        Some((index, sum))
    })
    .filter(move |(index, _)| exponential_bound(*index, to) > threshold)
}

/// Whether any bucket of `before` is missing or smaller in `now`.
fn shrank(now: impl Iterator<Item = (i32, f64)>, before: impl Iterator<Item = (i32, f64)>) -> bool {
    let mut now = now.peekable();
    for (index, count) in before {
        while now.next_if(|(i, _)| *i < index).is_some() {}
        let current = now.next_if(|(i, _)| *i == index).map_or(0.0, |(_, count)| count);
        if current < count {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::histogram::Span;

    fn of(counts: &[f64]) -> Histogram {
        Histogram {
            count: counts.iter().sum(),
            positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    #[test]
    fn one_shrinking_bucket_is_a_reset_even_when_the_count_grew() {
        assert!(is_reset(&of(&[1.0, 1.0, 9.0]), &of(&[1.0, 2.0, 1.0])));
        assert!(!is_reset(&of(&[1.0, 2.0, 9.0]), &of(&[1.0, 2.0, 1.0])));
    }

    #[test]
    fn a_hint_settles_it() {
        let told = Histogram { hint: ResetHint::NotReset, ..of(&[0.0]) };
        assert!(!is_reset(&told, &of(&[5.0])));
        let told = Histogram { hint: ResetHint::Reset, ..of(&[9.0]) };
        assert!(is_reset(&told, &of(&[5.0])));
    }

    #[test]
    fn a_vanished_bucket_is_a_reset_but_an_empty_one_is_not() {
        let mut now = of(&[3.0]);
        now.count = 10.0;
        assert!(is_reset(&now, &of(&[3.0, 1.0])));
        assert!(!is_reset(&now, &of(&[3.0, 0.0])));
    }

    #[test]
    fn lower_resolution_is_compared_at_the_lower_resolution() {
        let before = Histogram { schema: 1, ..of(&[1.0, 1.0, 1.0]) };
        let now = Histogram { schema: 0, ..of(&[1.0, 2.0]) };
        assert!(!is_reset(&now, &before));
        assert!(is_reset(&before, &now));
    }
}
