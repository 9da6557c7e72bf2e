//! Sums and averages of many native histograms, each population with its own compensation.
//!
//! Naive sums lose 1e100 + 1 - 1e100; Prometheus promises not to. The accumulator keeps (value, compensation) for
//! each bucket and only becomes a histogram at the end.

use std::sync::Arc;

use model::histogram::{Histogram, ResetHint};

use super::super::kahan::Kahan;
use super::arithmetic::{self, Grid, IncompatibleSchema, Outcome, common_bounds, joined_hint, mapped, merge};
use super::buckets::{exponential_bound, indexed, pack, reduced_index};

/// A running sum.
#[derive(Clone, Debug)]
pub(crate) struct HistogramSum {
    hint: ResetHint,
    schema: i32,
    zero_threshold: f64,
    zero: Kahan,
    count: Kahan,
    sum: Kahan,
    positive: Vec<(i32, Kahan)>,
    negative: Vec<(i32, Kahan)>,
    bounds: Option<Arc<[f64]>>,
}

impl HistogramSum {
    pub(crate) fn new(first: &Histogram) -> Self {
        let side = |spans, counts| indexed(spans, counts).map(|(i, count)| (i, Kahan::from(count))).collect();
        Self {
            hint: first.hint,
            schema: first.schema,
            zero_threshold: first.zero_threshold,
            zero: first.zero_count.into(),
            count: first.count.into(),
            sum: first.sum.into(),
            positive: side(&first.positive_spans, &first.positive_buckets),
            negative: side(&first.negative_spans, &first.negative_buckets),
            bounds: first.custom_values.clone(),
        }
    }

    fn is_custom(&self) -> bool {
        self.schema == model::histogram::CUSTOM_BUCKETS_SCHEMA
    }

    /// Adds one histogram.
    pub(crate) fn add(&mut self, other: &Histogram) -> Result<Outcome, IncompatibleSchema> {
        if self.is_custom() != other.uses_custom_buckets() {
            return Err(IncompatibleSchema);
        }
        let (hint, hint_collision) = joined_hint(self.hint, other.hint);
        self.hint = hint;
        let mut outcome = Outcome { hint_collision, bounds_reconciled: false };
        if self.is_custom() {
            outcome.bounds_reconciled = self.add_custom(other);
        } else {
            self.add_exponential(other);
        }
        self.count.add(other.count);
        self.sum.add(other.sum);
        Ok(outcome)
    }

    fn add_exponential(&mut self, other: &Histogram) {
        if self.zero_threshold == other.zero_threshold {
            self.zero.add(other.zero_count);
        } else {
            self.add_zero_of_other_width(other);
        }
        if other.schema < self.schema {
            self.reduce(other.schema);
        }
        let grid = Grid { schema: self.schema, threshold: self.zero_threshold, from: other.schema };
        let join = |side: &mut Vec<(i32, Kahan)>, added: Vec<(i32, f64)>| {
            // Nothing new in the layout: add in place.
            if added.len() == side.len() && added.iter().zip(side.iter()).all(|((i, _), (j, _))| i == j) {
                for ((_, sum), (_, count)) in side.iter_mut().zip(added) {
                    sum.add(count);
                }
                return;
            }
            let added = added.into_iter().map(|(i, count)| (i, Kahan::from(count)));
            *side = merge(side.iter().copied(), added, Kahan::plus);
        };
        join(&mut self.positive, grid.reduced(&other.positive_spans, &other.positive_buckets));
        join(&mut self.negative, grid.reduced(&other.negative_spans, &other.negative_buckets));
    }

    /// The rare case of different zero buckets goes through the plain arithmetic for the layout.
    fn add_zero_of_other_width(&mut self, other: &Histogram) {
        let mut plain = self.values();
        let other_zero = arithmetic::reconcile_zero(&mut plain, other);
        if plain.zero_threshold != self.zero_threshold {
            let (schema, border) = (self.schema, plain.zero_threshold);
            let mut swallowed = self.zero;
            for side in [&mut self.positive, &mut self.negative] {
                side.retain(|(index, count)| {
                    let inside = exponential_bound(*index - 1, schema) < border;
                    if inside {
                        swallowed = swallowed.plus(*count);
                    }
                    !inside
                });
            }
            self.zero = swallowed;
            self.zero_threshold = border;
        }
        self.zero.add(other_zero);
    }

    fn reduce(&mut self, schema: i32) {
        let from = self.schema;
        for side in [&mut self.positive, &mut self.negative] {
            let mut out: Vec<(i32, Kahan)> = Vec::with_capacity(side.len());
            for (index, count) in side.drain(..) {
                let index = reduced_index(index, from, schema);
                match out.last_mut() {
                    Some((last, sum)) if *last == index => *sum = sum.plus(count),
                    _ => out.push((index, count)),
                }
            }
            *side = out;
        }
        self.schema = schema;
    }

    fn add_custom(&mut self, other: &Histogram) -> bool {
        let own = self.bounds.clone().unwrap_or_default();
        if *own == *other.bounds() {
            let added = indexed(&other.positive_spans, &other.positive_buckets).map(|(i, n)| (i, Kahan::from(n)));
            self.positive = merge(self.positive.iter().copied(), added, Kahan::plus);
            return false;
        }
        let common = common_bounds(&own, other.bounds());
        let mut target = vec![Kahan::default(); common.len() + 1];
        for (index, count) in &self.positive {
            let own = usize::try_from(*index).ok().and_then(|i| own.get(i));
            let at = own.map_or(common.len(), |own| common.partition_point(|bound| bound < own));
            target[at] = target[at].plus(*count);
        }
        for (at, count) in mapped(other, &common) {
            target[at].add(count);
        }
        self.positive = (0i32..).zip(target).collect();
        self.bounds = Some(common);
        true
    }

    /// Multiplies values and compensations.
    pub(crate) fn scale(&mut self, factor: f64) {
        self.for_each(|number| *number = number.times(factor));
    }

    /// Divides values and compensations.
    pub(crate) fn divide(&mut self, divisor: f64) {
        self.for_each(|number| *number = number.over(divisor));
    }

    fn for_each(&mut self, mut change: impl FnMut(&mut Kahan)) {
        change(&mut self.zero);
        change(&mut self.count);
        change(&mut self.sum);
        for (_, count) in self.positive.iter_mut().chain(&mut self.negative) {
            change(count);
        }
    }

    /// Whether any number left the range of floats.
    pub(crate) fn has_overflow(&self) -> bool {
        [self.zero, self.count, self.sum].iter().any(|n| n.value.is_infinite())
            || self.positive.iter().chain(&self.negative).any(|(_, n)| n.value.is_infinite())
    }

    /// The values without their compensations.
    fn values(&self) -> Histogram {
        self.packed(|number| number.value)
    }

    /// The sum, compact.
    pub(crate) fn finish(&self) -> Histogram {
        self.packed(Kahan::total)
    }

    fn packed(&self, read: impl Fn(Kahan) -> f64 + Copy) -> Histogram {
        let side = |numbers: &[(i32, Kahan)]| {
            pack(numbers.iter().map(|(i, n)| (*i, read(*n))).filter(|(_, count)| *count != 0.0))
        };
        let (positive_spans, positive_buckets) = side(&self.positive);
        let (negative_spans, negative_buckets) = side(&self.negative);
        Histogram {
            hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: read(self.zero),
            count: read(self.count),
            sum: read(self.sum),
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: self.bounds.clone(),
        }
    }
}

/// A running average: the sum divided at the end, and from the first overflow on the incremental mean.
#[derive(Clone, Debug)]
pub(crate) struct HistogramMean {
    sum: HistogramSum,
    count: f64,
    incremental: bool,
}

impl HistogramMean {
    pub(crate) fn new(first: &Histogram) -> Self {
        Self { sum: HistogramSum::new(first), count: 1.0, incremental: false }
    }

    pub(crate) fn add(&mut self, other: &Histogram) -> Result<Outcome, IncompatibleSchema> {
        self.count += 1.0;
        if !self.incremental {
            let mut tried = self.sum.clone();
            let outcome = tried.add(other)?;
            if !tried.has_overflow() {
                self.sum = tried;
                return Ok(outcome);
            }
            self.incremental = true;
            self.sum.divide(self.count - 1.0);
        }
        self.sum.scale((self.count - 1.0) / self.count);
        let mut share = other.clone();
        arithmetic::divide(&mut share, self.count);
        self.sum.add(&share)
    }

    pub(crate) fn finish(mut self) -> Histogram {
        if !self.incremental {
            self.sum.divide(self.count);
        }
        self.sum.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_sum(sum: f64) -> Histogram {
        Histogram { count: 1.0, sum, ..Histogram::default() }
    }

    #[test]
    fn small_values_survive_large_ones() {
        let mut total = HistogramSum::new(&with_sum(1.0));
        for sum in [1e100, 1.0, -1e100] {
            total.add(&with_sum(sum)).expect("same schema");
        }
        let total = total.finish();
        assert_eq!((total.sum, total.count), (2.0, 4.0));
    }

    #[test]
    fn an_average_does_not_overflow_where_the_sum_would() {
        let huge = Histogram { count: f64::MAX, ..Histogram::default() };
        let mut mean = HistogramMean::new(&huge);
        mean.add(&huge).expect("same schema");
        assert_eq!(mean.finish().count, f64::MAX);
    }
}
