//! What aggregations hold of the floats of a group: a cell for each step, or columns where that is faster.

use super::super::column::is_absent;
use super::super::kahan::{Kahan, Mean, Variance};

/// The floats of a group, at each step.
pub(super) trait Floats: Send {
    const NAME: &'static str;
    /// What a histogram means to it.
    const HISTOGRAMS: Histograms;
    /// What a step takes of memory.
    const BYTES_A_STEP: usize;
    fn new(steps: usize) -> Self;
    /// Adds the values of a series, one for each step, absent ones included.
    fn add_all(&mut self, values: &[f64]);
    fn add(&mut self, step: usize, value: f64);
    /// `None`: nothing was added.
    fn finish(&mut self, step: usize) -> Option<f64>;
}

/// A cell for each step.
pub(super) struct Cells<C>(Vec<C>);

impl<C: FoldCell> Floats for Cells<C> {
    const NAME: &'static str = C::NAME;
    const HISTOGRAMS: Histograms = C::HISTOGRAMS;
    const BYTES_A_STEP: usize = size_of::<C>();

    fn new(steps: usize) -> Self {
        Self(vec![C::default(); steps])
    }

    fn add_all(&mut self, values: &[f64]) {
        for (cell, value) in self.0.iter_mut().zip(values) {
            if !is_absent(*value) {
                cell.add(*value);
            }
        }
    }

    fn add(&mut self, step: usize, value: f64) {
        self.0[step].add(value);
    }

    fn finish(&mut self, step: usize) -> Option<f64> {
        std::mem::take(&mut self.0[step]).finish()
    }
}

/// Compensated sums as columns, added to without branches: `sum` is the aggregation dashboards are made of.
pub(super) struct Sums {
    values: Vec<f64>,
    compensations: Vec<f64>,
    seen: Vec<bool>,
    /// A series without gaps was added.
    all_seen: bool,
}

impl Floats for Sums {
    const NAME: &'static str = "sum";
    const HISTOGRAMS: Histograms = Histograms::Sum;
    const BYTES_A_STEP: usize = 2 * size_of::<f64>() + size_of::<bool>();

    fn new(steps: usize) -> Self {
        Self { values: vec![0.0; steps], compensations: vec![0.0; steps], seen: vec![false; steps], all_seen: false }
    }

    fn add_all(&mut self, values: &[f64]) {
        let gaps = values.iter().fold(false, |gaps, value| gaps | is_absent(*value));
        if gaps {
            for (step, value) in values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
                self.add(step, *value);
            }
            return;
        }
        self.all_seen = true;
        for ((sum, compensation), value) in self.values.iter_mut().zip(&mut self.compensations).zip(values) {
            let mut kahan = Kahan { value: *sum, compensation: *compensation };
            kahan.add(*value);
            (*sum, *compensation) = (kahan.value, kahan.compensation);
        }
    }

    fn add(&mut self, step: usize, value: f64) {
        let mut kahan = Kahan { value: self.values[step], compensation: self.compensations[step] };
        kahan.add(value);
        (self.values[step], self.compensations[step]) = (kahan.value, kahan.compensation);
        self.seen[step] = true;
    }

    fn finish(&mut self, step: usize) -> Option<f64> {
        (self.all_seen || self.seen[step]).then(|| self.values[step] + self.compensations[step])
    }
}

/// What a group holds at one step.
pub(super) trait FoldCell: Clone + Default + Send {
    const NAME: &'static str;
    /// What a histogram means to it.
    const HISTOGRAMS: Histograms;
    fn add(&mut self, value: f64);
    /// `None`: nothing was added.
    fn finish(self) -> Option<f64>;
}

/// What an aggregation does with histograms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Histograms {
    /// Added up.
    Sum,
    /// Averaged.
    Mean,
    /// One more, whatever it is.
    Count,
    /// Left out and told.
    Ignored,
}

#[derive(Clone, Default)]
pub(super) struct MeanCell(Option<Mean>);

impl FoldCell for MeanCell {
    const NAME: &'static str = "avg";
    const HISTOGRAMS: Histograms = Histograms::Mean;
    #[inline]
    fn add(&mut self, value: f64) {
        match &mut self.0 {
            Some(mean) => mean.add(value),
            None => self.0 = Some(Mean::new(value)),
        }
    }
    fn finish(self) -> Option<f64> {
        self.0.map(Mean::finish)
    }
}

#[derive(Clone, Default)]
pub(super) struct CountCell(u32);

impl FoldCell for CountCell {
    const NAME: &'static str = "count";
    const HISTOGRAMS: Histograms = Histograms::Count;
    #[inline]
    fn add(&mut self, _: f64) {
        self.0 += 1;
    }
    fn finish(self) -> Option<f64> {
        (self.0 > 0).then_some(f64::from(self.0))
    }
}

#[derive(Clone, Default)]
pub(super) struct GroupCell(bool);

impl FoldCell for GroupCell {
    const NAME: &'static str = "group";
    const HISTOGRAMS: Histograms = Histograms::Count;
    fn add(&mut self, _: f64) {
        self.0 = true;
    }
    fn finish(self) -> Option<f64> {
        self.0.then_some(1.0)
    }
}

/// Defines a cell that keeps the more extreme of two values; any number is more extreme than NaN.
macro_rules! extreme {
    ($cell:ident, $name:literal, $beats:tt) => {
        #[derive(Clone, Default)]
        pub(super) struct $cell(Option<f64>);

        impl FoldCell for $cell {
            const NAME: &'static str = $name;
            const HISTOGRAMS: Histograms = Histograms::Ignored;
            #[inline]
            fn add(&mut self, value: f64) {
                match self.0 {
                    Some(best) if !(value $beats best || best.is_nan()) => {}
                    _ => self.0 = Some(value),
                }
            }
            fn finish(self) -> Option<f64> {
                self.0
            }
        }
    };
}

extreme!(MinCell, "min", <);
extreme!(MaxCell, "max", >);

#[derive(Clone, Default)]
pub(super) struct VarianceCell(Variance, bool);

impl FoldCell for VarianceCell {
    const NAME: &'static str = "stdvar";
    const HISTOGRAMS: Histograms = Histograms::Ignored;
    fn add(&mut self, value: f64) {
        self.1 = true;
        // One infinite value has no spread, not even with itself.
        self.0.add(if value.is_infinite() { f64::NAN } else { value });
    }
    fn finish(self) -> Option<f64> {
        self.1.then(|| self.0.finish())
    }
}

#[derive(Clone, Default)]
pub(super) struct DeviationCell(VarianceCell);

impl FoldCell for DeviationCell {
    const NAME: &'static str = "stddev";
    const HISTOGRAMS: Histograms = Histograms::Ignored;
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }
    fn finish(self) -> Option<f64> {
        self.0.finish().map(f64::sqrt)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::column::ABSENT;
    use super::*;

    /// Of one step, once value by value and once as columns.
    fn folded<F: Floats>(values: &[f64]) -> Option<f64> {
        let (mut single, mut columns) = (F::new(1), F::new(1));
        for value in values {
            single.add(0, *value);
            columns.add_all(&[*value]);
        }
        let (single, columns) = (single.finish(0), columns.finish(0));
        assert_eq!(single.map(f64::to_bits), columns.map(f64::to_bits));
        single
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(folded::<Sums>(&[]), None);
        assert_eq!(folded::<Cells<MinCell>>(&[]), None);
        assert_eq!(folded::<Cells<CountCell>>(&[]), None);
    }

    #[test]
    fn extremes_prefer_any_number_to_nan() {
        assert_eq!(folded::<Cells<MinCell>>(&[f64::NAN, 2.0, 1.0]), Some(1.0));
        assert_eq!(folded::<Cells<MaxCell>>(&[1.0, f64::NAN, 2.0]), Some(2.0));
        assert!(folded::<Cells<MaxCell>>(&[f64::NAN]).is_some_and(f64::is_nan));
    }

    #[test]
    fn sums_are_compensated() {
        assert_eq!(folded::<Sums>(&[1.0, 1e100, 1.0, -1e100]), Some(2.0));
        assert_eq!(folded::<Sums>(&[-0.0]).map(f64::to_bits), Some(0f64.to_bits()));
    }

    #[test]
    fn an_infinite_value_has_no_spread() {
        assert!(folded::<Cells<VarianceCell>>(&[f64::INFINITY]).is_some_and(f64::is_nan));
        assert_eq!(folded::<Cells<DeviationCell>>(&[2.0, 4.0]), Some(1.0));
    }

    #[test]
    fn a_gap_adds_nothing() {
        let mut sums = Sums::new(3);
        sums.add_all(&[1.0, ABSENT, ABSENT]);
        sums.add_all(&[2.0, 5.0, ABSENT]);
        assert_eq!([sums.finish(0), sums.finish(1), sums.finish(2)], [Some(3.0), Some(5.0), None]);
        sums.add_all(&[1.0, 1.0, 1.0]);
        assert_eq!([sums.finish(0), sums.finish(1), sums.finish(2)], [Some(4.0), Some(6.0), Some(1.0)]);
    }
}
