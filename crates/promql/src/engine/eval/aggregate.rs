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
use super::super::notes::{HistogramOperation, NoteSet};
use super::super::number;
use super::super::plan::{AggregateNode, Grid, Kind, Node};
use super::super::quantile::quantile_of;
use super::cells::{
    Cells, CountCell, DeviationCell, Floats, GroupCell, Histograms, MaxCell, MeanCell, MinCell, Sums, VarianceCell,
};
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
        AggregateOp::Sum => fold::<Sums>(run, aggregate, grid, span),
        AggregateOp::Avg => fold::<Cells<MeanCell>>(run, aggregate, grid, span),
        AggregateOp::Count => fold::<Cells<CountCell>>(run, aggregate, grid, span),
        AggregateOp::Group => fold::<Cells<GroupCell>>(run, aggregate, grid, span),
        AggregateOp::Min => fold::<Cells<MinCell>>(run, aggregate, grid, span),
        AggregateOp::Max => fold::<Cells<MaxCell>>(run, aggregate, grid, span),
        AggregateOp::Stddev => fold::<Cells<DeviationCell>>(run, aggregate, grid, span),
        AggregateOp::Stdvar => fold::<Cells<VarianceCell>>(run, aggregate, grid, span),
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
        let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut labels = Vec::new();
        let mut of_series = Vec::with_capacity(stream.len());
        let mut key = Vec::new();
        for head in stream.heads() {
            let hidden = head.dropped && !run.settings.features.delayed_name_removal;
            let kept =
                |name: &str| names.contains(&name) != without && !(hidden && super::METADATA_LABELS.contains(&name));
            key.clear();
            if without || !names.is_empty() {
                write_key(&mut key, &head.labels, kept);
            }
            let id = match known.get(&key) {
                Some(id) => *id,
                None => {
                    let id = labels.len() as u32;
                    known.insert(key.clone(), id);
                    labels.push(Labels::from_sorted(head.labels.iter().filter(|(name, _)| kept(name))));
                    id
                }
            };
            of_series.push(id);
        }
        Self { labels, of_series }
    }
}

/// Writes labels so that different ones differ: the byte between them never occurs in UTF-8.
fn write_key(key: &mut Vec<u8>, labels: &Labels, kept: impl Fn(&str) -> bool) {
    for (name, value) in labels.iter().filter(|(name, _)| kept(name)) {
        for text in [name, value] {
            key.extend_from_slice(text.as_bytes());
            key.push(0xff);
        }
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

/// One group: its floats at each step, and a cell for its histograms where it has any.
struct GroupState<F> {
    floats: F,
    steps: usize,
    histograms: Vec<HistogramCell>,
    dropped: bool,
}

impl<F: Floats> GroupState<F> {
    fn new(steps: usize) -> Self {
        Self { floats: F::new(steps), steps, histograms: Vec::new(), dropped: false }
    }

    fn add(&mut self, column: &Column, metric: &str, span: Span, notes: &mut NoteSet) {
        if !column.has_histograms() {
            self.floats.add_all(&column.floats);
            return;
        }
        for step in 0..column.len() {
            match column.get(step) {
                Cell::Absent => {}
                Cell::Float(value) => self.floats.add(step, value),
                Cell::Histogram(histogram) => match F::HISTOGRAMS {
                    Histograms::Count => self.floats.add(step, 0.0),
                    Histograms::Ignored => notes.histogram_ignored_in_aggregation(F::NAME, span),
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
            self.histograms.resize(self.steps, HistogramCell::None);
        }
        let cell = &mut self.histograms[step];
        let added = match cell {
            HistogramCell::Broken => return,
            HistogramCell::None => {
                let mut seen = HintsSeen::default();
                seen.see(histogram);
                *cell = if F::HISTOGRAMS == Histograms::Sum {
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

    fn finish(mut self, span: Span, notes: &mut NoteSet) -> Column {
        let mut column = Column::absent(self.steps);
        let mut histograms = self.histograms.into_iter();
        for step in 0..self.steps {
            let float = self.floats.finish(step);
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

fn fold<F: Floats>(run: &Run<'_>, aggregate: &AggregateNode, grid: Grid, span: Span) -> Result<Frame, QueryError> {
    let stream = run.stream(&aggregate.expr, grid)?;
    let groups = Groups::of(run, &stream, &aggregate.grouping, aggregate.without);
    let bytes = (groups.labels.len() * grid.count * F::BYTES_A_STEP) as u64;
    let _charge = run.budget.charge(0, bytes)?;
    let mut states: Vec<GroupState<F>> = groups.labels.iter().map(|_| GroupState::new(grid.count)).collect();
    let heads: Vec<Head> = stream.heads().cloned().collect();
    let mut notes = NoteSet::default();
    drive(run, stream, grid, &mut |series, column| {
        let state = &mut states[groups.of_series[series] as usize];
        let head = &heads[series];
        state.dropped |= head.dropped && !column.is_empty();
        // The name is only looked at where histograms do not fit together.
        let metric = if column.has_histograms() { run.visible_name(head) } else { "" };
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
