//! Aggregations that make one series of a group: `sum`, `avg`, `count`, `min`, `max`, `group`, `stddev`, `stdvar`,
//! `quantile`, `count_values`.
//!
//! The input is drained series by series; each value goes straight into its group's cell for the step. Values are
//! added in the order of the series, so the result does not depend on threads.

use std::collections::HashMap;
use std::sync::Arc;

use model::histogram::{Histogram, ResetHint};
use model::labels::{Labels, METRIC_NAME};
use model::query::QueryError;

use super::super::column::{Cell, Column, is_absent};
use super::super::histogram::arithmetic::IncompatibleSchema;
use super::super::histogram::buckets;
use super::super::histogram::sum::{HistogramMean, HistogramSum};
use super::super::kahan::{Kahan, Mean, Variance};
use super::super::notes::{HistogramOperation, NoteSet};
use super::super::number;
use super::super::plan::{AggregateNode, Grid, Kind, Node};
use super::super::quantile::quantile_of;
use super::drive::drive;
use super::frame::{Frame, Head, Stream};
use super::labels::is_label_name;
use super::{Run, aggregate_k, misplaced};
use crate::syntax::ast::{AggregateOp, Span};

/// Evaluates any aggregation.
pub(crate) fn aggregate(
    run: &Run<'_>,
    node: &Node,
    aggregate: &AggregateNode,
    grid: Grid,
) -> Result<Frame, QueryError> {
    let span = aggregate.expr.outer;
    match aggregate.op {
        AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
            aggregate_k::select(run, node, aggregate, grid)
        }
        AggregateOp::CountValues => count_values(run, aggregate, grid),
        AggregateOp::Quantile => quantile(run, aggregate, grid),
        AggregateOp::Sum => fold::<SumCell>(run, aggregate, grid, span),
        AggregateOp::Avg => fold::<MeanCell>(run, aggregate, grid, span),
        AggregateOp::Count => fold::<CountCell>(run, aggregate, grid, span),
        AggregateOp::Group => fold::<GroupCell>(run, aggregate, grid, span),
        AggregateOp::Min => fold::<MinCell>(run, aggregate, grid, span),
        AggregateOp::Max => fold::<MaxCell>(run, aggregate, grid, span),
        AggregateOp::Stddev => fold::<DeviationCell>(run, aggregate, grid, span),
        AggregateOp::Stdvar => fold::<VarianceCell>(run, aggregate, grid, span),
    }
}

/// Which group each series is in. Groups stand in the order in which their first series does.
pub(crate) struct Groups {
    pub(crate) labels: Vec<Labels>,
    pub(crate) of_series: Vec<u32>,
}

impl Groups {
    pub(crate) fn of(run: &Run<'_>, stream: &Stream<'_>, grouping: &[String], without: bool) -> Self {
        let mut names: Vec<&str> = grouping.iter().map(String::as_str).collect();
        if without {
            names.push(METRIC_NAME);
        }
        let mut known: HashMap<Labels, u32> = HashMap::new();
        let mut labels = Vec::new();
        let mut of_series = Vec::with_capacity(stream.len());
        for head in stream.heads() {
            let group = if without {
                run.visible(head).without(&names)
            } else if names.is_empty() {
                Labels::empty()
            } else {
                let hidden = head.dropped && !run.settings.features.delayed_name_removal;
                let only = head.labels.only(&names);
                if hidden { only.without(&super::METADATA_LABELS) } else { only }
            };
            let next = labels.len() as u32;
            let id = *known.entry(group.clone()).or_insert(next);
            if id == next {
                labels.push(group);
            }
            of_series.push(id);
        }
        Self { labels, of_series }
    }
}

/// What a group holds at one step.
trait FoldCell: Clone + Default + Send {
    const NAME: &'static str;
    /// What a histogram means to it.
    const HISTOGRAMS: Histograms;
    fn add(&mut self, value: f64);
    /// `None`: nothing was added.
    fn finish(self) -> Option<f64>;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Histograms {
    /// Added up.
    Sum,
    /// Averaged.
    Mean,
    /// One more, whatever it is.
    Count,
    /// Left out and told.
    Ignored,
}

#[derive(Clone, Copy, Default)]
struct SumCell(Kahan, bool);

impl FoldCell for SumCell {
    const NAME: &'static str = "sum";
    const HISTOGRAMS: Histograms = Histograms::Sum;
    #[inline]
    fn add(&mut self, value: f64) {
        if self.1 {
            self.0.add(value);
        } else {
            *self = Self(value.into(), true);
        }
    }
    fn finish(self) -> Option<f64> {
        self.1.then(|| self.0.total())
    }
}

#[derive(Clone, Default)]
struct MeanCell(Option<Mean>);

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
struct CountCell(u32);

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
struct GroupCell(bool);

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
        struct $cell(Option<f64>);

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
struct VarianceCell(Variance, bool);

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
struct DeviationCell(VarianceCell);

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

/// The histograms of a group at one step.
#[derive(Clone, Default)]
enum HistogramCell {
    #[default]
    None,
    Sum(Box<HistogramSum>, HintsSeen),
    Mean(Box<HistogramMean>, HintsSeen),
    /// Exponential and custom buckets met.
    Broken,
}

/// Which hints and reconciled bounds there were.
#[derive(Clone, Copy, Default)]
struct HintsSeen {
    reset: bool,
    not_reset: bool,
    reconciled: bool,
}

impl HintsSeen {
    fn see(&mut self, histogram: &Histogram) {
        self.reset |= histogram.hint == ResetHint::Reset;
        self.not_reset |= histogram.hint == ResetHint::NotReset;
    }
}

/// One group: a cell for each step, and one for its histograms where it has any.
struct GroupState<C> {
    cells: Vec<C>,
    histograms: Vec<HistogramCell>,
    dropped: bool,
}

impl<C: FoldCell> GroupState<C> {
    fn add(&mut self, column: &Column, metric: &str, span: Span, notes: &mut NoteSet) {
        if !column.has_histograms() {
            for (cell, value) in self.cells.iter_mut().zip(&column.floats) {
                if !is_absent(*value) {
                    cell.add(*value);
                }
            }
            return;
        }
        for step in 0..column.len() {
            match column.get(step) {
                Cell::Absent => {}
                Cell::Float(value) => self.cells[step].add(value),
                Cell::Histogram(histogram) => match C::HISTOGRAMS {
                    Histograms::Count => self.cells[step].add(0.0),
                    Histograms::Ignored => notes.histogram_ignored_in_aggregation(C::NAME, span),
                    Histograms::Sum | Histograms::Mean => self.add_histogram(step, histogram, metric, span, notes),
                },
            }
        }
    }

    fn add_histogram(
        &mut self,
        step: usize,
        histogram: &Arc<Histogram>,
        metric: &str,
        span: Span,
        notes: &mut NoteSet,
    ) {
        if self.histograms.is_empty() {
            self.histograms.resize(self.cells.len(), HistogramCell::None);
        }
        let cell = &mut self.histograms[step];
        let added = match cell {
            HistogramCell::Broken => return,
            HistogramCell::None => {
                let mut seen = HintsSeen::default();
                seen.see(histogram);
                *cell = if C::HISTOGRAMS == Histograms::Sum {
                    HistogramCell::Sum(Box::new(HistogramSum::new(histogram)), seen)
                } else {
                    HistogramCell::Mean(Box::new(HistogramMean::new(histogram)), seen)
                };
                return;
            }
            HistogramCell::Sum(sum, seen) => {
                seen.see(histogram);
                sum.add(histogram).map(|outcome| seen.reconciled |= outcome.bounds_reconciled)
            }
            HistogramCell::Mean(mean, seen) => {
                seen.see(histogram);
                mean.add(histogram).map(|outcome| seen.reconciled |= outcome.bounds_reconciled)
            }
        };
        if added == Err(IncompatibleSchema) {
            notes.mixed_exponential_custom(metric, span);
            *cell = HistogramCell::Broken;
        }
    }

    fn finish(self, span: Span, notes: &mut NoteSet) -> Column {
        let mut column = Column::absent(self.cells.len());
        let mut histograms = self.histograms.into_iter();
        for (step, cell) in self.cells.into_iter().enumerate() {
            let float = cell.finish();
            let histogram = histograms.next().unwrap_or_default();
            if let (Some(_), HistogramCell::Sum(..) | HistogramCell::Mean(..) | HistogramCell::Broken) =
                (float, &histogram)
            {
                notes.mixed_floats_histograms_in_aggregation(span);
                continue;
            }
            let (sum, seen) = match histogram {
                HistogramCell::None => {
                    if let Some(value) = float {
                        column.floats[step] = value;
                    }
                    continue;
                }
                HistogramCell::Broken => continue,
                HistogramCell::Sum(sum, seen) => (sum.finish(), seen),
                HistogramCell::Mean(mean, seen) => (mean.finish(), seen),
            };
            if seen.reset && seen.not_reset {
                notes.counter_reset_collision(HistogramOperation::Aggregation, span);
            }
            if seen.reconciled {
                notes.custom_buckets_reconciled(HistogramOperation::Aggregation, span);
            }
            column.set_histogram(step, Arc::new(sum));
        }
        column
    }
}

fn fold<C: FoldCell>(run: &Run<'_>, aggregate: &AggregateNode, grid: Grid, span: Span) -> Result<Frame, QueryError> {
    let stream = run.stream(&aggregate.expr, grid)?;
    let groups = Groups::of(run, &stream, &aggregate.grouping, aggregate.without);
    let cell_bytes = (groups.labels.len() * grid.count * size_of::<C>()) as u64;
    let _charge = run.budget.charge(0, cell_bytes)?;
    let mut states: Vec<GroupState<C>> = groups
        .labels
        .iter()
        .map(|_| GroupState { cells: vec![C::default(); grid.count], histograms: Vec::new(), dropped: false })
        .collect();
    let heads: Vec<(bool, String)> =
        stream.heads().map(|head| (head.dropped, run.visible_name(head).to_owned())).collect();
    let mut notes = NoteSet::default();
    drive(run, stream, grid, &mut |series, column| {
        let state = &mut states[groups.of_series[series] as usize];
        let (dropped, metric) = &heads[series];
        state.dropped |= *dropped && !column.is_empty();
        state.add(column, metric, span, &mut notes);
        Ok(())
    })?;
    let mut frame = Frame::default();
    for (labels, state) in groups.labels.into_iter().zip(states) {
        let dropped = state.dropped && run.settings.features.delayed_name_removal;
        let column = state.finish(span, &mut notes);
        frame.push(Head { labels, dropped }, column, &run.budget)?;
    }
    run.note(|all| all.merge(notes));
    Ok(frame)
}

/// `quantile(q, v)`
fn quantile(run: &Run<'_>, aggregate: &AggregateNode, grid: Grid) -> Result<Frame, QueryError> {
    let span = aggregate.expr.outer;
    let param = aggregate.param.as_ref().ok_or_else(|| misplaced(&aggregate.expr))?;
    let quantiles = run.scalar(param, grid)?;
    run.note(|notes| note_bad_quantiles(&quantiles, param.outer, notes));
    let stream = run.stream(&aggregate.expr, grid)?;
    let groups = Groups::of(run, &stream, &aggregate.grouping, aggregate.without);
    let mut values: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); grid.count]; groups.labels.len()];
    let mut dropped = vec![false; groups.labels.len()];
    let drops: Vec<bool> = stream.heads().map(|head| head.dropped).collect();
    let mut charge = run.budget.charge(0, 0)?;
    let mut notes = NoteSet::default();
    drive(run, stream, grid, &mut |series, column| {
        let group = groups.of_series[series] as usize;
        dropped[group] |= drops[series];
        if column.has_histograms() {
            notes.histogram_ignored_in_aggregation("quantile", span);
        }
        charge.more(0, (column.len() * size_of::<f64>()) as u64)?;
        for (values, value) in values[group].iter_mut().zip(&column.floats) {
            if !is_absent(*value) {
                values.push(*value);
            }
        }
        Ok(())
    })?;
    run.note(|all| all.merge(notes));
    let mut frame = Frame::default();
    for ((labels, steps), dropped) in groups.labels.into_iter().zip(values).zip(dropped) {
        let mut column = Column::absent(grid.count);
        for (step, mut values) in steps.into_iter().enumerate() {
            if !values.is_empty() {
                column.floats[step] = quantile_of(quantiles[step], &mut values);
            }
        }
        let dropped = dropped && run.settings.features.delayed_name_removal;
        frame.push(Head { labels, dropped }, column, &run.budget)?;
    }
    Ok(frame)
}

/// The largest and the smallest that are no quantiles, and NaN.
fn note_bad_quantiles(quantiles: &[f64], span: Span, notes: &mut NoteSet) {
    if quantiles.iter().any(|q| q.is_nan()) {
        notes.invalid_quantile(f64::NAN, span);
    }
    let max = quantiles.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let min = quantiles.iter().copied().fold(f64::INFINITY, f64::min);
    if max > 1.0 {
        notes.invalid_quantile(max, span);
    }
    if min < 0.0 {
        notes.invalid_quantile(min, span);
    }
}

/// `count_values("label", v)`
fn count_values(run: &Run<'_>, aggregate: &AggregateNode, grid: Grid) -> Result<Frame, QueryError> {
    let param = aggregate.param.as_ref().ok_or_else(|| misplaced(&aggregate.expr))?;
    let Kind::String(label) = &param.kind else { return Err(misplaced(param)) };
    if !is_label_name(label) {
        return Err(QueryError::Execution(format!("invalid label name {}", number::quoted(label))));
    }
    let stream = run.stream(&aggregate.expr, grid)?;
    let groups = Groups::of(run, &stream, &aggregate.grouping, aggregate.without);
    let label_is_taken_out = aggregate.without && aggregate.grouping.contains(label);
    let mut counts: HashMap<(u32, String), usize> = HashMap::new();
    let mut by_labels: HashMap<Labels, usize> = HashMap::new();
    let mut out: Vec<(Labels, Vec<u32>)> = Vec::new();
    drive(run, stream, grid, &mut |series, column| {
        let group = groups.of_series[series];
        for step in 0..column.len() {
            let value = match column.get(step) {
                Cell::Absent => continue,
                Cell::Float(value) => number::decimal(value),
                Cell::Histogram(histogram) => buckets::describe(histogram),
            };
            let at = *counts.entry((group, value)).or_insert_with_key(|(_, value)| {
                let base = &groups.labels[group as usize];
                let labels =
                    if label_is_taken_out { base.clone() } else { base.to_builder().set(label, value).build() };
                *by_labels.entry(labels).or_insert_with_key(|labels| {
                    out.push((labels.clone(), vec![0; grid.count]));
                    out.len() - 1
                })
            });
            out[at].1[step] += 1;
        }
        Ok(())
    })?;
    let mut frame = Frame::default();
    for (labels, counts) in out {
        let mut column = Column::absent(grid.count);
        for (step, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            column.floats[step] = f64::from(count);
        }
        frame.push(Head { labels, dropped: false }, column, &run.budget)?;
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded<C: FoldCell>(values: &[f64]) -> Option<f64> {
        let mut cell = C::default();
        for value in values {
            cell.add(*value);
        }
        cell.finish()
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(folded::<SumCell>(&[]), None);
        assert_eq!(folded::<MinCell>(&[]), None);
        assert_eq!(folded::<CountCell>(&[]), None);
    }

    #[test]
    fn extremes_prefer_any_number_to_nan() {
        assert_eq!(folded::<MinCell>(&[f64::NAN, 2.0, 1.0]), Some(1.0));
        assert_eq!(folded::<MaxCell>(&[1.0, f64::NAN, 2.0]), Some(2.0));
        assert!(folded::<MaxCell>(&[f64::NAN]).is_some_and(f64::is_nan));
    }

    #[test]
    fn sums_are_compensated() {
        assert_eq!(folded::<SumCell>(&[1.0, 1e100, 1.0, -1e100]), Some(2.0));
        assert_eq!(folded::<SumCell>(&[-0.0]).map(f64::to_bits), Some(0f64.to_bits()));
    }

    #[test]
    fn an_infinite_value_has_no_spread() {
        assert!(folded::<VarianceCell>(&[f64::INFINITY]).is_some_and(f64::is_nan));
        assert_eq!(folded::<DeviationCell>(&[2.0, 4.0]), Some(1.0));
    }
}
