//! From a stored column to samples a function can use: staleness markers out, floats and histograms apart.

use std::sync::Arc;

use model::histogram::{Histogram, ResetHint};
use model::storage::{Column as Stored, is_stale};

use super::super::histogram::reset;
use super::super::range::{Floats, Histograms};

/// Memory for columns that must be taken apart.
#[derive(Default)]
pub(crate) struct SampleBuffer {
    times: Vec<i64>,
    values: Vec<f64>,
    starts: Vec<i64>,
    histogram_times: Vec<i64>,
    histograms: Vec<Arc<Histogram>>,
    histogram_starts: Vec<i64>,
}

/// What to do on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taking {
    pub(crate) start_times: bool,
    /// Find resets of histograms of unknown hint from what was read before.
    pub(crate) resolve_hints: bool,
}

impl SampleBuffer {
    /// The samples of a column. A pure float column without markers, the usual case, is not copied.
    pub(crate) fn take<'a>(&'a mut self, stored: &Stored<'a>, taking: Taking) -> (Floats<'a>, Histograms<'a>) {
        let starts = stored.start_times.filter(|_| taking.start_times);
        if stored.histograms.is_empty() && !stored.values.iter().any(|value| is_stale(*value)) {
            let none = Histograms { times: &[], values: &[], starts: None };
            return (Floats { times: stored.times, values: stored.values, starts }, none);
        }
        self.split(stored, starts);
        if taking.resolve_hints {
            self.resolve_hints();
        }
        let floats = Floats {
            times: &self.times,
            values: &self.values,
            starts: starts.is_some().then_some(self.starts.as_slice()),
        };
        let histograms = Histograms {
            times: &self.histogram_times,
            values: &self.histograms,
            starts: starts.is_some().then_some(self.histogram_starts.as_slice()),
        };
        (floats, histograms)
    }

    fn split(&mut self, stored: &Stored<'_>, starts: Option<&[i64]>) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        self.histogram_times.clear();
        self.histograms.clear();
        self.histogram_starts.clear();
        let mut histograms = stored.histograms.iter().peekable();
        for (row, (time, value)) in stored.times.iter().zip(stored.values).enumerate() {
            let histogram = histograms.next_if(|(at, _)| *at as usize == row);
            if is_stale(*value) {
                continue;
            }
            let start = starts.map_or(0, |starts| starts[row]);
            match histogram {
                Some((_, histogram)) => {
                    self.histogram_times.push(*time);
                    self.histograms.push(Arc::clone(histogram));
                    self.histogram_starts.push(start);
                }
                None => {
                    self.times.push(*time);
                    self.values.push(*value);
                    self.starts.push(start);
                }
            }
        }
    }

    fn resolve_hints(&mut self) {
        let mut previous: Option<Arc<Histogram>> = None;
        for histogram in &mut self.histograms {
            let original = Arc::clone(histogram);
            if let (ResetHint::Unknown, Some(previous)) = (histogram.hint, &previous) {
                let fell = reset::is_reset(histogram, previous);
                let hint = if fell { ResetHint::Reset } else { ResetHint::NotReset };
                Arc::make_mut(histogram).hint = hint;
            }
            previous = Some(original);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::storage::stale_nan;

    const PLAIN: Taking = Taking { start_times: true, resolve_hints: true };

    #[test]
    fn markers_vanish_and_kinds_part() {
        let histogram = Arc::new(Histogram { count: 3.0, ..Histogram::default() });
        let less = Arc::new(Histogram { count: 1.0, ..Histogram::default() });
        let stored = Stored {
            times: &[1, 2, 3, 4],
            values: &[5.0, stale_nan(), 0.0, 0.0],
            start_times: Some(&[0, 0, 2, 0]),
            histograms: &[(2, histogram), (3, less)],
            clock: None,
        };
        let mut buffer = SampleBuffer::default();
        let (floats, histograms) = buffer.take(&stored, PLAIN);
        assert_eq!((floats.times, floats.values), ([1].as_slice(), [5.0].as_slice()));
        assert_eq!((histograms.times, histograms.starts), ([3, 4].as_slice(), Some([2, 0].as_slice())));
        assert_eq!(histograms.values[0].hint, ResetHint::Unknown);
        assert_eq!(histograms.values[1].hint, ResetHint::Reset);
    }

    #[test]
    fn plain_floats_are_not_copied() {
        let times = [1, 2];
        let stored = Stored { times: &times, values: &[1.0, 2.0], start_times: None, histograms: &[], clock: None };
        let mut buffer = SampleBuffer::default();
        assert!(std::ptr::eq(buffer.take(&stored, PLAIN).0.times, times.as_slice()));
    }
}
