//! What functions over range vectors compute, one series at a time.
//!
//! A series is a pair of columns (floats and histograms, each with times); each step of the query sees a window
//! of both. Windows only move forward, so their borders are found by two cursors that never go back.
//! Not here: where samples come from (`select`, `subquery`), what the result's labels are.

pub(crate) mod extended;
pub(crate) mod over_time;
pub(crate) mod rate;

use std::sync::Arc;

use model::histogram::Histogram;

use super::notes::NoteSet;
use crate::syntax::ast::{Borders, Span};
use crate::syntax::functions::FunctionId;

/// Samples of one kind, oldest first.
#[derive(Debug)]
pub(crate) struct Samples<'a, T> {
    pub(crate) times: &'a [i64],
    pub(crate) values: &'a [T],
    /// When counting began, 0 where unknown; `None` where nobody asked or nothing is known.
    pub(crate) starts: Option<&'a [i64]>,
}

impl<T> Clone for Samples<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Samples<'_, T> {}

impl<'a, T> Samples<'a, T> {
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub(crate) fn slice(&self, (low, high): (u32, u32)) -> Self {
        let range = low as usize..high as usize;
        Self {
            times: &self.times[range.clone()],
            values: &self.values[range.clone()],
            starts: self.starts.map(|starts| &starts[range]),
        }
    }

    /// Whether the sample at `index` began counting anew, by what its start timestamp says.
    pub(crate) fn restarted(&self, index: usize) -> bool {
        self.starts
            .is_some_and(|starts| restarted(starts[index - 1], self.times[index - 1], starts[index], self.times[index]))
    }

    /// Whether the sample's start lies before the previous sample without being that sample's own start.
    pub(crate) fn overlaps(&self, index: usize) -> bool {
        self.starts.is_some_and(|starts| {
            starts[index] != 0 && starts[index] < self.times[index - 1] && starts[index] != starts[index - 1]
        })
    }

    pub(crate) fn last_time(&self) -> Option<i64> {
        self.times.last().copied()
    }
}

/// Whether start timestamps tell of a reset. A start at the previous sample's time is one for deltas, but not
/// where that sample's own start was unknown (0, its own time, or nonsense).
fn restarted(previous_start: i64, previous_time: i64, start: i64, time: i64) -> bool {
    if start == 0 || start >= time || start < previous_time {
        return false;
    }
    start > previous_time || (previous_start != 0 && previous_start < previous_time)
}

pub(crate) type Floats<'a> = Samples<'a, f64>;
pub(crate) type Histograms<'a> = Samples<'a, Arc<Histogram>>;

/// What a function sees at one step. The range is open on the left: `start < time <= end`. With extended borders
/// the samples reach further out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    pub(crate) floats: Floats<'a>,
    pub(crate) histograms: Histograms<'a>,
    /// The step's time, which `@` and `offset` do not move.
    pub(crate) eval: i64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) borders: Borders,
}

impl Window<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    pub(crate) fn is_mixed(&self) -> bool {
        !self.floats.is_empty() && !self.histograms.is_empty()
    }

    /// The length of the range in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1000.0
    }
}

/// A function's answer at one step.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Nothing,
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl From<f64> for Answer {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Option<f64>> for Answer {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Nothing, Self::Float)
    }
}

/// Where annotations go and what they are about.
pub(crate) struct Context<'c> {
    pub(crate) metric: &'c str,
    /// The place of the first argument.
    pub(crate) span: Span,
    pub(crate) notes: &'c mut NoteSet,
    /// For functions that sort.
    pub(crate) scratch: &'c mut Vec<f64>,
}

/// Scalar arguments at one step, in the order in which they are written.
pub(crate) type Params = [f64; 2];

/// Evaluates a range function on one window. The window has at least one sample.
pub(crate) fn evaluate(function: FunctionId, window: &Window<'_>, params: Params, context: &mut Context<'_>) -> Answer {
    use FunctionId as F;
    match function {
        F::Rate => rate::extrapolated(window, rate::Kind::Rate, context),
        F::Increase => rate::extrapolated(window, rate::Kind::Increase, context),
        F::Delta => rate::extrapolated(window, rate::Kind::Delta, context),
        F::Irate => rate::last_two(window, true, context),
        F::Idelta => rate::last_two(window, false, context),
        F::Changes => rate::changes(window),
        F::Resets => rate::resets(window),
        F::SumOverTime => over_time::sum(window, context),
        F::AvgOverTime => over_time::average(window, context),
        F::FirstOverTime => over_time::first(window),
        F::LastOverTime => over_time::last(window),
        F::TsOfFirstOverTime => over_time::time_of_first(window),
        F::TsOfLastOverTime => over_time::time_of_last(window),
        F::CountOverTime => Answer::Float((window.floats.len() + window.histograms.len()) as f64),
        F::PresentOverTime | F::AbsentOverTime => Answer::Float(1.0),
        _ => over_time::of_floats(function, window, params, context),
    }
}

/// The borders of the windows of all steps over one list of times: the first index inside, the first behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowSteps {
    /// Behind the last sample of the first window, included.
    pub(crate) first_end: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
    /// From the (excluded) start to the (included) end.
    pub(crate) length: i64,
}

impl WindowSteps {
    /// Finds the borders for ascending times.
    pub(crate) fn borders(&self, times: &[i64], out: &mut Vec<(u32, u32)>) {
        out.clear();
        let (mut low, mut high) = (0usize, 0usize);
        let mut end = self.first_end;
        for _ in 0..self.count {
            let start = end.saturating_sub(self.length);
            while high < times.len() && times[high] <= end {
                high += 1;
            }
            while low < high && times[low] <= start {
                low += 1;
            }
            out.push((low as u32, high as u32));
            end = end.saturating_add(self.step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_open_on_the_left_and_closed_on_the_right() {
        let steps = WindowSteps { first_end: 10, step: 10, count: 3, length: 10 };
        let mut borders = Vec::new();
        steps.borders(&[0, 1, 10, 11, 20, 45], &mut borders);
        assert_eq!(borders, [(1, 3), (3, 5), (5, 5)]);
    }

    #[test]
    fn a_start_timestamp_is_a_reset_unless_it_is_the_old_one_or_unknown() {
        // (previous start, previous time, start, time)
        assert!(restarted(10, 100, 150, 200), "began after the previous sample");
        assert!(restarted(10, 100, 100, 200), "a delta");
        assert!(!restarted(0, 100, 100, 200), "cumulative with unknown start");
        assert!(!restarted(100, 100, 100, 200), "unknown start written as own time");
        assert!(!restarted(10, 100, 10, 200), "still the same start");
        assert!(!restarted(10, 100, 0, 200), "unknown");
        assert!(!restarted(10, 100, 200, 200), "not yet begun");
    }
}
