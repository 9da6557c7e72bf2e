//! Limits on native histograms: coarser buckets where there are too many or they are too narrow.
//!
//! Halving the resolution merges each two neighbouring buckets; what is counted stays, where it is known is wider.
//! Not here: custom bounds, which cannot be made coarser.

use std::sync::Arc;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, IntHistogram, Span};
use model::storage::SampleValue;

const SCHEMA_MIN: i32 = -4;
const SCHEMA_MAX: i32 = 8;

/// `native_histogram_bucket_limit` and `native_histogram_min_bucket_factor`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistogramLimits {
    /// 0: none.
    buckets_max: usize,
    schema_max: i32,
}

/// Even at the coarsest resolution there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("histogram bucket limit exceeded: {found} of at most {limit}")]
pub struct TooManyBuckets {
    pub found: usize,
    pub limit: usize,
}

impl HistogramLimits {
    pub(crate) fn new(buckets_max: u64, factor_min: f64) -> Self {
        Self { buckets_max: usize::try_from(buckets_max).unwrap_or(usize::MAX), schema_max: schema_of(factor_min) }
    }

    pub(crate) fn apply(&self, value: SampleValue) -> Result<SampleValue, TooManyBuckets> {
        let (schema, buckets) = match &value {
            SampleValue::Float(_) => return Ok(value),
            SampleValue::Histogram(h) => (h.schema, h.positive_buckets.len() + h.negative_buckets.len()),
            SampleValue::IntHistogram(h) => (h.schema, h.positive_deltas.len() + h.negative_deltas.len()),
        };
        let exceeds = |buckets| self.buckets_max > 0 && buckets > self.buckets_max;
        let too_many = |found| Err(TooManyBuckets { found, limit: self.buckets_max });
        if schema == CUSTOM_BUCKETS_SCHEMA {
            return if exceeds(buckets) { too_many(buckets) } else { Ok(value) };
        }
        if schema <= self.schema_max && !exceeds(buckets) {
            return Ok(value);
        }
        let mut sides = Sides::of(&value);
        let mut coarser = schema;
        // What is already coarser than any schema there is comes out of bounds and is left to the storage to refuse.
        while coarser > self.schema_max.max(SCHEMA_MIN) || exceeds(sides.len()) {
            if coarser <= SCHEMA_MIN {
                return too_many(sides.len());
            }
            sides.halve();
            coarser -= 1;
        }
        Ok(sides.into_value(&value, coarser))
    }
}

/// The finest schema whose buckets grow by at least this factor.
fn schema_of(factor_min: f64) -> i32 {
    if factor_min <= 1.0 {
        return SCHEMA_MAX;
    }
    let floor = factor_min.log2().log2().floor();
    (-floor).clamp(f64::from(SCHEMA_MIN), f64::from(SCHEMA_MAX)) as i32
}

/// Populations by index of bucket, ascending.
struct Sides {
    positive: Vec<(i64, f64)>,
    negative: Vec<(i64, f64)>,
}

impl Sides {
    fn of(value: &SampleValue) -> Self {
        match value {
            SampleValue::Float(_) => Self { positive: Vec::new(), negative: Vec::new() },
            SampleValue::Histogram(h) => Self {
                positive: indexed(&h.positive_spans, h.positive_buckets.iter().copied()),
                negative: indexed(&h.negative_spans, h.negative_buckets.iter().copied()),
            },
            SampleValue::IntHistogram(h) => Self {
                positive: indexed(&h.positive_spans, absolute(&h.positive_deltas)),
                negative: indexed(&h.negative_spans, absolute(&h.negative_deltas)),
            },
        }
    }

    const fn len(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    fn halve(&mut self) {
        for side in [&mut self.positive, &mut self.negative] {
            let mut merged: Vec<(i64, f64)> = Vec::with_capacity(side.len());
            for (index, population) in side.drain(..) {
                // Bucket i ends at base^i: two neighbours end where the upper one does.
                let index = (index + 1) >> 1;
                match merged.last_mut() {
                    Some((last, sum)) if *last == index => *sum += population,
                    _ => merged.push((index, population)),
                }
            }
            *side = merged;
        }
    }

    fn into_value(self, value: &SampleValue, schema: i32) -> SampleValue {
        let (positive_spans, negative_spans) = (spans(&self.positive), spans(&self.negative));
        let populations =
            |side: &[(i64, f64)]| -> Vec<f64> { side.iter().map(|(_, population)| *population).collect() };
        match value {
            SampleValue::Float(value) => SampleValue::Float(*value),
            SampleValue::Histogram(h) => SampleValue::Histogram(Arc::new(Histogram {
                schema,
                positive_spans,
                negative_spans,
                positive_buckets: populations(&self.positive),
                negative_buckets: populations(&self.negative),
                ..Histogram::clone(h)
            })),
            SampleValue::IntHistogram(h) => SampleValue::IntHistogram(Arc::new(IntHistogram {
                schema,
                positive_spans,
                negative_spans,
                positive_deltas: deltas(&self.positive),
                negative_deltas: deltas(&self.negative),
                ..IntHistogram::clone(h)
            })),
        }
    }
}

fn absolute(deltas: &[i64]) -> impl Iterator<Item = f64> + '_ {
    deltas.iter().scan(0i64, |population, delta| {
        *population = population.wrapping_add(*delta);
        Some(*population as f64)
    })
}

fn deltas(side: &[(i64, f64)]) -> Vec<i64> {
    let mut before = 0;
    let difference = |(_, population): &(i64, f64)| {
        let delta = (*population as i64).wrapping_sub(before);
        before = *population as i64;
        delta
    };
    side.iter().map(difference).collect()
}

/// Spans may claim more buckets than there are: those are not made up.
fn indexed(spans: &[Span], mut populations: impl Iterator<Item = f64>) -> Vec<(i64, f64)> {
    let mut out = Vec::new();
    let mut index = 0i64;
    for span in spans {
        index += i64::from(span.offset);
        for _ in 0..span.length {
            let Some(population) = populations.next() else { return out };
            out.push((index, population));
            index += 1;
        }
    }
    out
}

fn spans(side: &[(i64, f64)]) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::new();
    let mut next = 0i64;
    for (index, _) in side {
        match out.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => out.push(Span { offset: (*index - next) as i32, length: 1 }),
        }
        next = index + 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i32) -> SampleValue {
        SampleValue::IntHistogram(Arc::new(IntHistogram {
            schema,
            count: 15,
            positive_spans: vec![Span { offset: 1, length: 3 }, Span { offset: 2, length: 2 }],
            positive_deltas: vec![1, 1, 1, 1, 1],
            ..IntHistogram::default()
        }))
    }

    fn seen(value: &SampleValue) -> (i32, Vec<(i64, f64)>) {
        let SampleValue::IntHistogram(h) = value else { unreachable!("it went in as integers") };
        (h.schema, Sides::of(value).positive)
    }

    #[test]
    fn too_many_buckets_are_merged_in_twos() {
        let unlimited = HistogramLimits::new(0, 0.0).apply(histogram(3)).unwrap();
        assert_eq!(seen(&unlimited), (3, vec![(1, 1.0), (2, 2.0), (3, 3.0), (6, 4.0), (7, 5.0)]));
        let four = HistogramLimits::new(4, 0.0).apply(histogram(3)).unwrap();
        assert_eq!(seen(&four), (2, vec![(1, 3.0), (2, 3.0), (3, 4.0), (4, 5.0)]));
        let two = HistogramLimits::new(2, 0.0).apply(histogram(3)).unwrap();
        assert_eq!(seen(&two), (1, vec![(1, 6.0), (2, 9.0)]));
        assert_eq!(
            HistogramLimits::new(1, 0.0).apply(histogram(-4)).unwrap_err(),
            TooManyBuckets { found: 5, limit: 1 }
        );
    }

    #[test]
    fn buckets_narrower_than_wanted_are_merged() {
        for (factor, schema) in [(0.0, 8), (1.0, 8), (1.1, 3), (2.0, 0), (4.0, -1), (1e300, -4)] {
            assert_eq!(schema_of(factor), schema, "{factor}");
        }
        let coarse = HistogramLimits::new(0, 1.9).apply(histogram(3)).unwrap();
        assert_eq!(seen(&coarse).0, 1);
    }

    #[test]
    fn what_contradicts_itself_is_left_to_the_storage() {
        let odd = SampleValue::IntHistogram(Arc::new(IntHistogram {
            schema: 3,
            positive_spans: vec![Span { offset: i32::MAX, length: u32::MAX }; 3],
            positive_deltas: vec![i64::MIN, i64::MAX],
            ..IntHistogram::default()
        }));
        let _ = HistogramLimits::new(1, 2.0).apply(odd);
    }
}
