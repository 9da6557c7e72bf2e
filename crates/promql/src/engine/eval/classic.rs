//! `histogram_quantile`, `histogram_quantiles`, `histogram_fraction` over classic and native histograms.
//!
//! Classic buckets belong together when all labels but `le` are equal. Where a classic and a native histogram of
//! the same labels meet at a step, neither is used, and that is told.

use std::collections::HashMap;

use model::labels::Labels;
use model::query::QueryError;

use super::super::column::{Cell, Column};
use super::super::histogram::estimate::{self, NanEffect};
use super::super::notes::{ForcedMonotonicity, NoteSet};
use super::super::number;
use super::super::plan::{Grid, Node};
use super::super::quantile::{ClassicBucket, classic_fraction, classic_quantile};
use super::Run;
use super::frame::{Frame, Head, Stream};
use crate::syntax::ast::Span;
use model::histogram::Histogram;

/// The label that holds a bucket's upper bound.
const BUCKET_LABEL: &str = "le";

/// The histograms of one label set.
#[derive(Default)]
struct Member {
    /// (upper bound, series)
    classic: Vec<(f64, usize)>,
    native: Vec<usize>,
}

/// All histograms of a vector.
struct Histograms {
    frame: Frame,
    members: Vec<(Head, Member)>,
    span: Span,
}

/// The histograms of a label set, new where there are none yet.
fn member<'m>(
    members: &'m mut Vec<(Head, Member)>,
    known: &mut HashMap<Labels, usize>,
    labels: Labels,
) -> &'m mut Member {
    let at = *known.entry(labels.clone()).or_insert(members.len());
    if at == members.len() {
        members.push((Head { labels, dropped: true }, Member::default()));
    }
    &mut members[at].1
}

/// What is asked of each histogram.
trait Question {
    fn native(&self, step: usize, histogram: &Histogram) -> (f64, NanEffect);
    fn classic(&self, step: usize, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<ForcedMonotonicity>);
    /// Tells what NaN observations did.
    fn note_nan(&self, effect: NanEffect, metric: &str, span: Span, notes: &mut NoteSet);
}

struct Quantile<'q> {
    quantiles: &'q [f64],
    grid: Grid,
}

impl Question for Quantile<'_> {
    fn native(&self, step: usize, histogram: &Histogram) -> (f64, NanEffect) {
        estimate::quantile(self.quantiles[step], histogram)
    }

    fn classic(&self, step: usize, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<ForcedMonotonicity>) {
        let (value, forced) = classic_quantile(self.quantiles[step], buckets);
        let time = self.grid.time(step);
        let forced = forced.map(|forced| ForcedMonotonicity {
            time_min: time,
            time_max: time,
            bucket_min: forced.bucket_min,
            bucket_max: forced.bucket_max,
            difference_max: forced.difference_max,
            samples: 1,
        });
        (value, forced)
    }

    fn note_nan(&self, effect: NanEffect, metric: &str, span: Span, notes: &mut NoteSet) {
        match effect {
            NanEffect::ResultIsNan => notes.quantile_of_nan_is_nan(metric, span),
            NanEffect::Skewed => notes.quantile_skewed_by_nan(metric, span),
            NanEffect::None | NanEffect::LeftOut => {}
        }
    }
}

struct Fraction {
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Question for Fraction {
    fn native(&self, step: usize, histogram: &Histogram) -> (f64, NanEffect) {
        estimate::fraction(self.lower[step], self.upper[step], histogram)
    }

    fn classic(&self, step: usize, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<ForcedMonotonicity>) {
        (classic_fraction(self.lower[step], self.upper[step], buckets), None)
    }

    fn note_nan(&self, effect: NanEffect, metric: &str, span: Span, notes: &mut NoteSet) {
        if effect == NanEffect::LeftOut {
            notes.fraction_without_nan(metric, span);
        }
    }
}

impl Histograms {
    fn of(run: &Run<'_>, argument: &Node, grid: Grid) -> Result<Self, QueryError> {
        let frame = run.frame(argument, grid)?;
        let span = argument.outer;
        let mut members: Vec<(Head, Member)> = Vec::new();
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut notes = NoteSet::default();
        for (index, series) in frame.series.iter().enumerate() {
            let labels = run.visible(&series.head);
            if series.column.has_floats() {
                let bound = labels.get(BUCKET_LABEL).unwrap_or("");
                match number::parse(bound).filter(|bound| !bound.is_nan()) {
                    Some(bound) => {
                        let of = member(&mut members, &mut known, labels.without(&[BUCKET_LABEL]));
                        of.classic.push((bound, index));
                    }
                    None => notes.bad_bucket_label(labels.metric_name(), bound, span),
                }
            }
            if series.column.has_histograms() {
                member(&mut members, &mut known, labels).native.push(index);
            }
        }
        run.note(|all| all.merge(notes));
        Ok(Self { frame, members, span })
    }

    /// Asks every histogram at every step; `name` may add to the labels of the answer.
    fn ask(
        &self,
        run: &Run<'_>,
        (question, first_span): (&dyn Question, Span),
        grid: Grid,
        mut put: impl FnMut(&Head, Column) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let mut notes = NoteSet::default();
        let mut buckets = Vec::new();
        let delayed = run.settings.features.delayed_name_removal;
        for (head, member) in &self.members {
            run.budget.go_on()?;
            let metric = if delayed { head.labels.metric_name() } else { "" };
            let mut column = Column::absent(grid.count);
            for step in 0..grid.count {
                let series = |index: usize| self.frame.series[index].column.get(step);
                buckets.clear();
                buckets.extend(member.classic.iter().filter_map(|(bound, index)| match series(*index) {
                    Cell::Float(count) => Some(ClassicBucket { bound: *bound, count }),
                    Cell::Histogram(_) | Cell::Absent => None,
                }));
                let native = member.native.iter().find_map(|index| match series(*index) {
                    Cell::Histogram(histogram) => Some(histogram),
                    Cell::Float(_) | Cell::Absent => None,
                });
                match (native, buckets.is_empty()) {
                    (None, true) => {}
                    (Some(_), false) => notes.mixed_classic_native(head.labels.metric_name(), self.span),
                    (Some(histogram), true) => {
                        let (value, effect) = question.native(step, histogram);
                        question.note_nan(effect, metric, first_span, &mut notes);
                        column.floats[step] = value;
                    }
                    (None, false) => {
                        let (value, forced) = question.classic(step, &mut buckets);
                        if let Some(forced) = forced {
                            notes.forced_monotonicity(metric, forced, self.span);
                        }
                        column.floats[step] = value;
                    }
                }
            }
            put(head, column)?;
        }
        run.note(|all| all.merge(notes));
        Ok(())
    }
}

fn note_bad_quantiles(run: &Run<'_>, quantiles: &[f64], span: Span) {
    for bad in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
        run.note(|notes| notes.invalid_quantile(*bad, span));
    }
}

/// `histogram_quantile(q, v)`
pub(crate) fn quantile<'r>(
    run: &'r Run<'r>,
    quantile: &Node,
    argument: &Node,
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let quantiles = run.scalar(quantile, grid)?;
    note_bad_quantiles(run, &quantiles, quantile.outer);
    let question = Quantile { quantiles: &quantiles, grid };
    answers(run, (&question, quantile.outer), argument, grid)
}

/// `histogram_fraction(lower, upper, v)`
pub(crate) fn fraction<'r>(
    run: &'r Run<'r>,
    [lower, upper]: [&Node; 2],
    argument: &Node,
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let question = Fraction { lower: run.scalar(lower, grid)?, upper: run.scalar(upper, grid)? };
    answers(run, (&question, lower.outer), argument, grid)
}

fn answers<'r>(
    run: &'r Run<'r>,
    question: (&dyn Question, Span),
    argument: &Node,
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let histograms = Histograms::of(run, argument, grid)?;
    let mut frame = Frame::default();
    histograms.ask(run, question, grid, |head, column| frame.push(head.clone(), column, &run.budget))?;
    Stream::Frame(frame).check_same(run, grid)
}

/// `histogram_quantiles(v, "label", q…)`: the quantile stands in a label.
pub(crate) fn quantiles<'r>(
    run: &'r Run<'r>,
    argument: &Node,
    label: &str,
    quantiles: &[Node],
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let histograms = Histograms::of(run, argument, grid)?;
    let mut columns: HashMap<Labels, usize> = HashMap::new();
    let mut out: Vec<(Head, Column)> = Vec::new();
    for node in quantiles {
        let values = run.scalar(node, grid)?;
        note_bad_quantiles(run, &values, node.outer);
        let question = Quantile { quantiles: &values, grid };
        histograms.ask(run, (&question, argument.outer), grid, |head, answers| {
            for (step, value) in values.iter().enumerate().filter(|(step, _)| answers.is_present(*step)) {
                let labels = head.labels.to_builder().set(label, &number::open_metrics(*value)).build();
                let at = *columns.entry(labels).or_insert_with_key(|labels| {
                    out.push((Head { labels: labels.clone(), dropped: true }, Column::absent(grid.count)));
                    out.len() - 1
                });
                if out[at].1.is_present(step) {
                    return Err(super::same_labelset());
                }
                out[at].1.floats[step] = answers.floats[step];
            }
            Ok(())
        })?;
    }
    let mut frame = Frame::default();
    for (head, column) in out {
        frame.push(head, column, &run.budget)?;
    }
    Stream::Frame(frame).check_same(run, grid)
}
