//! The values of one series at the steps of a query.
//!
//! A step without a value holds the staleness marker. That is free to use as "nothing here": the marker never is a
//! value of a vector (selectors drop it), and arithmetic cannot produce it, because it turns signalling NaNs into
//! quiet ones. So a column is a plain slice of floats, half the size of one with a bitmap beside it.

use std::sync::Arc;

use model::histogram::Histogram;
use model::storage::{STALE_NAN_BITS, is_stale, stale_nan};

use super::range::Answer;

/// "No value at this step."
pub(crate) const ABSENT: f64 = stale_nan();

/// Whether a step has no float.
#[inline]
pub(crate) const fn is_absent(value: f64) -> bool {
    is_stale(value)
}

/// One value of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    Absent,
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// One value to be put into a column.
#[derive(Clone, Debug)]
pub(crate) enum OwnedCell {
    Absent,
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// The values of one series, a place for each step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub(crate) floats: Vec<f64>,
    /// Beside the floats, and only where there is a histogram at all.
    histograms: Option<Vec<Option<Arc<Histogram>>>>,
}

impl Column {
    pub(crate) fn absent(steps: usize) -> Self {
        Self { floats: vec![ABSENT; steps], histograms: None }
    }

    pub(crate) fn of_floats(floats: Vec<f64>) -> Self {
        Self { floats, histograms: None }
    }

    /// Empties the column, keeping its memory.
    pub(crate) fn reset(&mut self, steps: usize) {
        self.floats.clear();
        self.floats.resize(steps, ABSENT);
        self.histograms = None;
    }

    pub(crate) fn len(&self) -> usize {
        self.floats.len()
    }

    #[inline]
    pub(crate) fn get(&self, step: usize) -> Cell<'_> {
        let float = self.floats[step];
        if !is_absent(float) {
            return Cell::Float(float);
        }
        match self.histograms.as_ref().and_then(|histograms| histograms[step].as_ref()) {
            Some(histogram) => Cell::Histogram(histogram),
            None => Cell::Absent,
        }
    }

    #[inline]
    pub(crate) fn is_present(&self, step: usize) -> bool {
        !matches!(self.get(step), Cell::Absent)
    }

    pub(crate) fn set_histogram(&mut self, step: usize, histogram: Arc<Histogram>) {
        let steps = self.floats.len();
        self.floats[step] = ABSENT;
        self.histograms.get_or_insert_with(|| vec![None; steps])[step] = Some(histogram);
    }

    /// A float; the histogram that may have been there is gone.
    pub(crate) fn set_float(&mut self, step: usize, value: f64) {
        self.floats[step] = value;
        if let Some(histograms) = &mut self.histograms {
            histograms[step] = None;
        }
    }

    pub(crate) fn clear(&mut self, step: usize) {
        self.set_float(step, ABSENT);
    }

    pub(crate) fn set(&mut self, step: usize, cell: OwnedCell) {
        match cell {
            OwnedCell::Absent => self.clear(step),
            OwnedCell::Float(value) => self.set_float(step, value),
            OwnedCell::Histogram(histogram) => self.set_histogram(step, histogram),
        }
    }

    pub(crate) fn answer(&mut self, step: usize, answer: Answer) {
        match answer {
            Answer::Nothing => {}
            Answer::Float(value) => self.set_float(step, value),
            Answer::Histogram(histogram) => self.set_histogram(step, histogram),
        }
    }

    pub(crate) fn has_histograms(&self) -> bool {
        self.histograms.is_some()
    }

    /// Removes all histograms.
    pub(crate) fn drop_histograms(&mut self) {
        self.histograms = None;
    }

    /// Whether no step has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.histograms.as_ref().is_none_or(|histograms| histograms.iter().all(Option::is_none))
            && self.floats.iter().all(|value| value.to_bits() == STALE_NAN_BITS)
    }

    /// Whether any step has a float.
    pub(crate) fn has_floats(&self) -> bool {
        self.floats.iter().any(|value| !is_absent(*value))
    }

    /// How many values there are; a histogram counts for what it holds, as Prometheus counts it: 16 bytes a sample.
    pub(crate) fn samples(&self) -> u64 {
        let floats = self.floats.iter().filter(|value| !is_absent(**value)).count() as u64;
        let weight = |h: &Arc<Histogram>| histogram_samples(h);
        floats + self.histograms.iter().flatten().flatten().map(weight).sum::<u64>()
    }

    /// Bytes on the heap, histograms counted once for each step.
    pub(crate) fn bytes(&self) -> u64 {
        let pointers = self.histograms.as_ref().map_or(0, |h| h.len() * size_of::<usize>());
        let held = self.histograms.iter().flatten().flatten().map(|h| 16 * histogram_samples(h)).sum::<u64>();
        (self.floats.len() * size_of::<f64>() + pointers) as u64 + held
    }

    /// The single value at every step.
    pub(crate) fn repeated(&self, steps: usize) -> Self {
        match self.get(0) {
            Cell::Absent => Self::absent(steps),
            Cell::Float(value) => Self { floats: vec![value; steps], histograms: None },
            Cell::Histogram(histogram) => {
                Self { floats: vec![ABSENT; steps], histograms: Some(vec![Some(Arc::clone(histogram)); steps]) }
            }
        }
    }

    /// Takes over the other's values. False: both have one at the same step.
    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        for step in 0..self.len() {
            match other.get(step) {
                Cell::Absent => {}
                _ if self.is_present(step) => return false,
                Cell::Float(value) => self.set_float(step, value),
                Cell::Histogram(histogram) => self.set_histogram(step, Arc::clone(histogram)),
            }
        }
        true
    }
}

/// How many samples a histogram counts for.
pub(crate) fn histogram_samples(histogram: &Histogram) -> u64 {
    let parts = histogram.positive_buckets.len()
        + histogram.negative_buckets.len()
        + histogram.positive_spans.len()
        + histogram.negative_spans.len()
        + histogram.bounds().len();
    (parts as u64 * 8 + 168) / 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_never_produces_the_mark_of_absence() {
        for value in [ABSENT + 1.0, ABSENT * 0.0, -ABSENT, f64::NAN + ABSENT] {
            assert!(!is_absent(value), "{:x}", value.to_bits());
        }
    }

    #[test]
    fn a_step_holds_a_float_or_a_histogram_and_the_last_one_put_there_wins() {
        let mut column = Column::absent(2);
        column.set_histogram(0, Arc::default());
        column.set_float(0, 1.0);
        column.set_float(1, 2.0);
        column.set_histogram(1, Arc::default());
        assert!(matches!(column.get(0), Cell::Float(v) if v == 1.0));
        assert!(matches!(column.get(1), Cell::Histogram(_)));
        column.clear(1);
        assert!(!column.is_present(1));
    }

    #[test]
    fn merging_refuses_two_values_at_one_step() {
        let mut a = Column::absent(2);
        a.set_float(0, 1.0);
        let mut b = Column::absent(2);
        b.set_float(1, 2.0);
        assert!(a.merge(&b));
        assert!(!a.merge(&b));
        assert_eq!(a.floats, [1.0, 2.0]);
    }
}
