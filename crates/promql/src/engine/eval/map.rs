//! What is done to each series by itself, value by value.

use std::sync::Arc;

use model::query::QueryError;

use super::super::column::{Cell, Column, OwnedCell, is_absent};
use super::super::histogram::{arithmetic, estimate};
use super::super::notes::NoteSet;
use super::super::plan::Grid;
use super::Run;
use super::element;
use super::frame::{Head, Source, Stream, Worker};
use crate::syntax::ast::{BinaryOp, Span};
use model::histogram::Histogram;

/// What happens to each value.
pub(crate) enum Operation {
    /// Of floats; histograms vanish.
    Float(fn(f64) -> f64),
    /// Of histograms; floats vanish.
    Histogram(fn(&Histogram) -> f64),
    /// Of each float and the step's numbers.
    FloatWith(fn(f64, f64, f64) -> f64, Vec<f64>, Vec<f64>),
    /// Between the step's borders; nothing where they are the wrong way round.
    Clamp(Vec<f64>, Vec<f64>),
    Negate,
    /// The time of the step, in seconds.
    StepTime,
    /// An operator with a scalar on the other side.
    WithScalar(WithScalar),
}

/// `vector op scalar` or `scalar op vector`.
pub(crate) struct WithScalar {
    pub(crate) op: BinaryOp,
    pub(crate) scalar: Vec<f64>,
    pub(crate) scalar_is_left: bool,
    pub(crate) return_bool: bool,
    pub(crate) span: Span,
}

impl Operation {
    fn drops_name(&self) -> bool {
        match self {
            Self::WithScalar(with) => element::changes_metric(with.op) || with.return_bool,
            _ => true,
        }
    }
}

/// The stream with an operation on each value.
pub(crate) fn apply<'r>(
    run: &'r Run<'r>,
    input: Stream<'r>,
    operation: Operation,
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let drops = operation.drops_name();
    match input {
        Stream::Frame(mut frame) => {
            let mut notes = NoteSet::default();
            for series in &mut frame.series {
                run.budget.go_on()?;
                series.head.dropped |= drops;
                transform(&operation, grid, &mut series.column, &mut notes);
            }
            frame.series.retain(|series| !series.column.is_empty());
            run.note(|all| all.merge(notes));
            Stream::Frame(frame).check_same(run, grid)
        }
        Stream::Source(inner) => {
            let heads = inner
                .heads()
                .iter()
                .map(|head| Head { labels: head.labels.clone(), dropped: head.dropped || drops })
                .collect();
            let source = MapSource { inner, operation, heads, grid };
            Stream::Source(Box::new(source)).check_same(run, grid)
        }
    }
}

struct MapSource<'r> {
    inner: Box<dyn Source + 'r>,
    operation: Operation,
    heads: Vec<Head>,
    grid: Grid,
}

impl Source for MapSource<'_> {
    fn heads(&self) -> &[Head] {
        &self.heads
    }

    fn work(&self) -> u64 {
        self.inner.work()
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(MapWorker { source: self, inner: self.inner.worker() })
    }
}

struct MapWorker<'s> {
    source: &'s MapSource<'s>,
    inner: Box<dyn Worker + 's>,
}

impl Worker for MapWorker<'_> {
    fn fill(&mut self, series: usize, column: &mut Column, notes: &mut NoteSet) -> Result<(), QueryError> {
        self.inner.fill(series, column, notes)?;
        transform(&self.source.operation, self.source.grid, column, notes);
        Ok(())
    }
}

fn transform(operation: &Operation, grid: Grid, column: &mut Column, notes: &mut NoteSet) {
    match operation {
        Operation::Float(compute) => floats(column, |_, value| compute(value)),
        Operation::FloatWith(compute, first, second) => {
            floats(column, |step, value| compute(value, first[step], second[step]));
        }
        Operation::Clamp(low, high) => {
            floats(column, |step, value| go_max(low[step], go_min(high[step], value)));
            for step in 0..column.len() {
                if high[step] < low[step] {
                    column.clear(step);
                }
            }
        }
        Operation::Histogram(compute) => histograms(column, *compute),
        Operation::Negate => negate(column),
        Operation::StepTime => {
            for step in 0..column.len() {
                if column.is_present(step) {
                    column.set_float(step, grid.time(step) as f64 / 1000.0);
                }
            }
        }
        Operation::WithScalar(with) => with_scalar(with, column, notes),
    }
}

/// Go's `math.Max`: NaN if either is.
fn go_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Go's `math.Min`: NaN if either is.
fn go_min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

fn floats(column: &mut Column, compute: impl Fn(usize, f64) -> f64) {
    column.drop_histograms();
    for (step, value) in column.floats.iter_mut().enumerate() {
        if !is_absent(*value) {
            *value = compute(step, *value);
        }
    }
}

fn histograms(column: &mut Column, compute: fn(&Histogram) -> f64) {
    for step in 0..column.len() {
        match column.get(step) {
            Cell::Histogram(histogram) => {
                let value = compute(histogram);
                column.set_float(step, value);
            }
            Cell::Float(_) => column.clear(step),
            Cell::Absent => {}
        }
    }
    column.drop_histograms();
}

fn negate(column: &mut Column) {
    for step in 0..column.len() {
        match column.get(step) {
            Cell::Absent => {}
            Cell::Float(value) => column.floats[step] = -value,
            Cell::Histogram(histogram) => {
                let mut negative = (**histogram).clone();
                arithmetic::scale(&mut negative, -1.0);
                column.set_histogram(step, Arc::new(negative));
            }
        }
    }
}

fn with_scalar(with: &WithScalar, column: &mut Column, notes: &mut NoteSet) {
    let trims = matches!(with.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
    if !column.has_histograms() && !trims {
        for (value, scalar) in column.floats.iter_mut().zip(&with.scalar) {
            if is_absent(*value) {
                continue;
            }
            let (a, b) = if with.scalar_is_left { (*scalar, *value) } else { (*value, *scalar) };
            let (result, keep) = element::floats(with.op, a, b);
            *value = match (with.return_bool, keep) {
                (true, keep) => f64::from(u8::from(keep)),
                (false, false) => super::super::column::ABSENT,
                // A filter passes the vector's value on, on whichever side it stands.
                (false, true) if with.op.is_comparison() => *value,
                (false, true) => result,
            };
        }
        return;
    }
    for step in 0..column.len() {
        let cell = column.get(step);
        if matches!(cell, Cell::Absent) {
            continue;
        }
        let scalar = Cell::Float(with.scalar[step]);
        let (a, b) = if with.scalar_is_left { (scalar, cell) } else { (cell, scalar) };
        let out = match element::cells(with.op, a, b, with.span, notes) {
            None => OwnedCell::Absent,
            Some((_, keep)) if with.return_bool => OwnedCell::Float(f64::from(u8::from(keep))),
            Some((_, false)) => OwnedCell::Absent,
            Some((_, true)) if with.op.is_comparison() => continue,
            Some((result, true)) => result,
        };
        column.set(step, out);
    }
}

/// `round(v, to)`: halves go up; the inverse has smaller rounding errors.
pub(crate) fn round(value: f64, to: f64, _: f64) -> f64 {
    let inverse = 1.0 / to;
    (value * inverse + 0.5).floor() / inverse
}

/// `sgn`
pub(crate) fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// `histogram_avg`
pub(crate) fn histogram_average(histogram: &Histogram) -> f64 {
    histogram.sum / histogram.count
}

/// `histogram_stddev`
pub(crate) fn histogram_deviation(histogram: &Histogram) -> f64 {
    estimate::variance(histogram).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_halves_goes_up() {
        assert_eq!(round(0.5, 1.0, 0.0), 1.0);
        assert_eq!(round(-0.5, 1.0, 0.0), 0.0);
        assert_eq!(round(5.25, 0.1, 0.0), 5.3);
    }

    #[test]
    fn a_filter_keeps_the_value_of_the_vector_on_either_side() {
        let mut column = Column::of_floats(vec![1.0, 5.0]);
        let with = WithScalar {
            op: BinaryOp::Lt,
            scalar: vec![3.0; 2],
            scalar_is_left: true,
            return_bool: false,
            span: Span::default(),
        };
        with_scalar(&with, &mut column, &mut NoteSet::default());
        assert!(!column.is_present(0));
        assert_eq!(column.floats[1], 5.0);
    }

    #[test]
    fn clamping_between_borders_the_wrong_way_round_leaves_nothing() {
        let mut column = Column::of_floats(vec![1.0]);
        let grid = Grid { start: 0, step: 1, count: 1 };
        transform(&Operation::Clamp(vec![2.0], vec![1.0]), grid, &mut column, &mut NoteSet::default());
        assert!(column.is_empty());
    }
}
