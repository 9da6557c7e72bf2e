//! Native histograms as they are stored and handed around.
//!
//! Two forms: [`Histogram`] (float, absolute bucket populations: what queries compute with) and [`IntHistogram`]
//! (counts as integers, buckets as differences: what counters expose and what must be kept bit-exact).
//! Not here: arithmetic, quantiles and reset detection (`promql`), bytes (`wire`, `tsdb`).

use std::sync::Arc;

/// The schema of histograms whose bucket bounds are given one by one ("NHCB").
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// What is known about a counter reset between the previous sample and this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResetHint {
    #[default]
    Unknown = 0,
    Reset = 1,
    NotReset = 2,
    Gauge = 3,
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// For the first span the index of its first bucket, else the number of empty buckets before it.
    pub offset: i32,
    /// How many buckets follow.
    pub length: u32,
}

/// A native histogram with absolute float populations.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    pub hint: ResetHint,
    /// Resolution -4…8 (bucket bounds grow by 2^(2^-schema)), or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    pub positive_spans: Vec<Span>,
    pub negative_spans: Vec<Span>,
    /// One population for each bucket of the spans.
    pub positive_buckets: Vec<f64>,
    pub negative_buckets: Vec<f64>,
    /// Upper bounds, ascending, without +Inf; only with [`CUSTOM_BUCKETS_SCHEMA`].
    pub custom_values: Option<Arc<[f64]>>,
}

impl Histogram {
    /// Whether the bucket bounds are given one by one.
    #[must_use]
    pub const fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// The upper bounds of custom buckets; empty for exponential ones.
    #[must_use]
    pub fn bounds(&self) -> &[f64] {
        self.custom_values.as_deref().unwrap_or(&[])
    }

    /// Whether two histograms are the same bit for bit (NaN equals NaN of the same payload).
    #[must_use]
    pub fn bit_eq(&self, other: &Self) -> bool {
        let same =
            |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
        self.hint == other.hint
            && self.schema == other.schema
            && same(
                &[self.zero_threshold, self.zero_count, self.count, self.sum],
                &[other.zero_threshold, other.zero_count, other.count, other.sum],
            )
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && same(&self.positive_buckets, &other.positive_buckets)
            && same(&self.negative_buckets, &other.negative_buckets)
            && same(self.bounds(), other.bounds())
    }
}

/// A native histogram with integer populations; buckets are differences to the bucket before.
#[derive(Clone, Debug, Default)]
pub struct IntHistogram {
    pub hint: ResetHint,
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: u64,
    pub count: u64,
    pub sum: f64,
    pub positive_spans: Vec<Span>,
    pub negative_spans: Vec<Span>,
    pub positive_deltas: Vec<i64>,
    pub negative_deltas: Vec<i64>,
    pub custom_values: Option<Arc<[f64]>>,
}

impl From<&IntHistogram> for Histogram {
    fn from(int: &IntHistogram) -> Self {
        let absolute = |deltas: &[i64]| -> Vec<f64> {
            deltas
                .iter()
                .scan(0i64, |population, delta| {
                    *population = population.wrapping_add(*delta);
                    Some(*population as f64)
                })
                .collect()
        };
        Self {
            hint: int.hint,
            schema: int.schema,
            zero_threshold: int.zero_threshold,
            zero_count: int.zero_count as f64,
            count: int.count as f64,
            sum: int.sum,
            positive_spans: int.positive_spans.clone(),
            negative_spans: int.negative_spans.clone(),
            positive_buckets: absolute(&int.positive_deltas),
            negative_buckets: absolute(&int.negative_deltas),
            custom_values: int.custom_values.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_become_absolute_populations() {
        let int = IntHistogram { positive_deltas: vec![3, -1, 2], count: 9, ..IntHistogram::default() };
        let float = Histogram::from(&int);
        assert_eq!(float.positive_buckets, [3.0, 2.0, 4.0]);
        assert_eq!(float.count, 9.0);
    }

    #[test]
    fn bit_equality_tells_nan_payloads_apart() {
        let stale = Histogram { sum: crate::storage::stale_nan(), ..Histogram::default() };
        let nan = Histogram { sum: f64::NAN, ..Histogram::default() };
        assert!(stale.bit_eq(&stale.clone()));
        assert!(!stale.bit_eq(&nan));
    }
}
