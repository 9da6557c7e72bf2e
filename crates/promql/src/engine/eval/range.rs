//! Range functions over selectors and subqueries: moves the window along each series and hands it to the function.

use std::sync::Arc;

use model::histogram::{Histogram, ResetHint};
use model::query::QueryError;
use model::storage::{Column as Stored, Selection};

use super::super::column::Column;
use super::super::notes::NoteSet;
use super::super::plan::{Grid, Kind, Node, Selector, SubqueryNode};
use super::super::range::extended;
use super::super::range::rate::{FloatSteps, Kind as RateKind, of_float_series};
use super::super::range::{Context, Floats, Histograms, Params, Window, WindowSteps, evaluate, over_time};
use super::frame::{Frame, Head, Source, Stream, Worker};
use super::samples::{SampleBuffer, Taking};
use super::select::Reader;
use super::{Run, misplaced, time_range};
use crate::syntax::ast::{Borders, Span};
use crate::syntax::functions::FunctionId;

/// What is computed over which range.
pub(crate) struct Job<'r> {
    pub(crate) function: FunctionId,
    /// The range vector.
    pub(crate) range: &'r Node,
    /// Scalar arguments at each step.
    pub(crate) params: Vec<Vec<f64>>,
    /// The place of the first argument.
    pub(crate) span: Span,
}

/// The stream of a range function.
pub(crate) fn function<'r>(run: &'r Run<'r>, job: Job<'r>, grid: Grid) -> Result<Stream<'r>, QueryError> {
    let (input, range) = input(run, job.range, grid)?;
    let keeps_name = matches!(job.function, FunctionId::LastOverTime | FunctionId::FirstOverTime);
    let heads: Vec<Head> =
        input.heads().map(|head| Head { labels: head.labels.clone(), dropped: head.dropped || !keeps_name }).collect();
    let source = RangeSource { run, job, input, heads, range, grid };
    Stream::Source(Box::new(source)).check_same(run, grid)
}

/// A range at each step.
#[derive(Clone, Copy, Debug)]
struct Range {
    /// The end of the first one.
    first_end: i64,
    /// 0 where it is fixed by `@`.
    step: i64,
    length: i64,
    borders: Borders,
    lookback: i64,
}

impl Range {
    /// The windows of samples the function sees, which with extended borders reach out of the range.
    fn windows(&self, count: usize) -> WindowSteps {
        let before = if self.borders == Borders::Plain { 0 } else { self.lookback };
        let behind = if self.borders == Borders::Smoothed { self.lookback } else { 0 };
        WindowSteps {
            first_end: self.first_end + behind,
            step: self.step,
            count,
            length: before + self.length + behind,
        }
    }
}

/// Where the samples come from.
enum Input<'r> {
    Stored { selection: Selection, selector: &'r Selector, heads: Vec<Head> },
    Computed { frame: Frame, times: Vec<i64> },
}

impl Input<'_> {
    fn heads(&self) -> Box<dyn Iterator<Item = &Head> + '_> {
        match self {
            Self::Stored { heads, .. } => Box::new(heads.iter()),
            Self::Computed { frame, .. } => Box::new(frame.series.iter().map(|series| &series.head)),
        }
    }
}

fn input<'r>(run: &'r Run<'r>, node: &'r Node, grid: Grid) -> Result<(Input<'r>, Range), QueryError> {
    match &node.kind {
        Kind::Selector(selector) => {
            let range = range_of(run, grid, (selector.at, selector.offset, selector.range), selector.borders);
            let windows = range.windows(grid.count);
            let last = windows.first_end + range.step * (grid.count as i64 - 1);
            let selection = run.select(selector, time_range(windows.first_end - windows.length + 1, last), grid)?;
            let heads = selection.labels.iter().map(|l| Head { labels: l.clone(), dropped: false }).collect();
            Ok((Input::Stored { selection, selector, heads }, range))
        }
        Kind::Subquery(subquery) => {
            let range = range_of(run, grid, (subquery.at, subquery.offset, subquery.range), Borders::Plain);
            let inner = subquery_grid(subquery, grid);
            run.check_steps(inner)?;
            let frame = run.frame(&subquery.expr, inner)?;
            let times = (0..inner.count).map(|step| inner.time(step)).collect();
            Ok((Input::Computed { frame, times }, range))
        }
        _ => Err(misplaced(node)),
    }
}

fn range_of(run: &Run<'_>, grid: Grid, (at, offset, length): (Option<i64>, i64, i64), borders: Borders) -> Range {
    let (first_end, step) = at.map_or((grid.start, grid.step), |at| (at, 0));
    Range { first_end: first_end - offset, step, length, borders, lookback: run.lookback }
}

/// The steps of a subquery: whole multiples of its own step since 1970, in all ranges together.
pub(crate) fn subquery_grid(subquery: &SubqueryNode, outer: Grid) -> Grid {
    let (first, last) = subquery.at.map_or((outer.start, outer.end()), |at| (at, at));
    let step = subquery.step.max(1);
    let open_start = first - subquery.offset - subquery.range;
    let start = (open_start.div_euclid(step) + 1) * step;
    Grid::new(start, last - subquery.offset, step)
}

struct RangeSource<'r> {
    run: &'r Run<'r>,
    job: Job<'r>,
    input: Input<'r>,
    heads: Vec<Head>,
    range: Range,
    grid: Grid,
}

impl Source for RangeSource<'_> {
    fn heads(&self) -> &[Head] {
        &self.heads
    }

    fn work(&self) -> u64 {
        let samples = match &self.input {
            Input::Stored { selection, .. } => selection.samples_max,
            Input::Computed { frame, times } => (frame.series.len() * times.len()) as u64,
        };
        samples + (self.heads.len() * self.grid.count) as u64
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        let reader = match &self.input {
            Input::Stored { selection, .. } => Some(Reader::new(self.run, selection)),
            Input::Computed { .. } => None,
        };
        Box::new(RangeWorker {
            source: self,
            reader,
            buffer: SampleBuffer::default(),
            dense: Dense::default(),
            borders: Borders2::default(),
            scratch: Vec::new(),
        })
    }
}

/// The borders of the windows over floats and over histograms.
#[derive(Default)]
struct Borders2 {
    floats: Vec<(u32, u32)>,
    histograms: Vec<(u32, u32)>,
    /// The clock the borders of the floats were found for.
    clock: Option<u64>,
}

struct RangeWorker<'s> {
    source: &'s RangeSource<'s>,
    reader: Option<Reader<'s>>,
    buffer: SampleBuffer,
    dense: Dense,
    borders: Borders2,
    scratch: Vec<f64>,
}

impl Worker for RangeWorker<'_> {
    fn fill(&mut self, series: usize, column: &mut Column, notes: &mut NoteSet) -> Result<(), QueryError> {
        let source = self.source;
        let (stored, taking) = match (&source.input, &mut self.reader) {
            (Input::Stored { selector, .. }, Some(reader)) => {
                let features = source.run.settings.features;
                let resolve_hints = selector.histogram_stats;
                (reader.read(series)?, Taking { start_times: features.start_timestamps, resolve_hints })
            }
            (Input::Computed { frame, times }, _) => {
                let stored = self.dense.take(times, &frame.series[series].column);
                (stored, Taking { start_times: false, resolve_hints: false })
            }
            (Input::Stored { .. }, None) => return Ok(()),
        };
        let (floats, histograms) = self.buffer.take(&stored, taking);
        let clock = stored.clock.filter(|_| floats.len() == stored.times.len());
        let windows = source.range.windows(source.grid.count);
        if clock.is_none() || clock != self.borders.clock {
            windows.borders(floats.times, &mut self.borders.floats);
            self.borders.clock = clock;
        }
        let head = &source.heads[series];
        // The name before this function, which may be the one that drops it.
        let metric = match &source.input {
            Input::Stored { .. } => head.labels.metric_name(),
            Input::Computed { frame, .. } => source.run.visible_name(&frame.series[series].head),
        };
        let fast = histograms.is_empty()
            && source.range.borders == Borders::Plain
            && floats.starts.is_none()
            && fast_floats(source, floats, &self.borders.floats, &mut column.floats);
        if !fast {
            windows.borders(histograms.times, &mut self.borders.histograms);
            let mut context = Context { metric, span: source.job.span, notes, scratch: &mut self.scratch };
            each_window(source, (floats, histograms), &self.borders, column, &mut context)?;
        }
        if matches!(source.job.function, FunctionId::Rate | FunctionId::Increase) && column.has_floats() {
            note_non_counter(source, head, metric, notes);
        }
        Ok(())
    }
}

/// Tells of a rate over something that does not look like a counter.
fn note_non_counter(source: &RangeSource<'_>, head: &Head, metric: &str, notes: &mut NoteSet) {
    if metric.is_empty() {
        return;
    }
    if source.run.settings.features.type_and_unit_labels {
        let kind = head.labels.get("__type__").unwrap_or("");
        if kind != "counter" && kind != "histogram" {
            notes.possible_non_counter_label(metric, kind, source.job.span);
        }
    } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix)) {
        notes.possible_non_counter(metric, source.job.span);
    }
}

/// The functions worth a loop of their own. False: not one of them.
fn fast_floats(source: &RangeSource<'_>, floats: Floats<'_>, borders: &[(u32, u32)], out: &mut [f64]) -> bool {
    let rates = |kind| {
        let steps = FloatSteps {
            borders,
            first_end: source.range.first_end,
            step: source.range.step,
            length: source.range.length,
            seconds: source.range.length as f64 / 1000.0,
        };
        (kind, steps)
    };
    let (kind, steps) = match source.job.function {
        FunctionId::Rate => rates(RateKind::Rate),
        FunctionId::Increase => rates(RateKind::Increase),
        FunctionId::Delta => rates(RateKind::Delta),
        FunctionId::SumOverTime => return each(floats, borders, out, over_time::sum_of),
        FunctionId::AvgOverTime => return each(floats, borders, out, over_time::mean_of),
        FunctionId::MaxOverTime => return each(floats, borders, out, over_time::max_of),
        FunctionId::MinOverTime => return each(floats, borders, out, over_time::min_of),
        FunctionId::CountOverTime => return each(floats, borders, out, |values| values.len() as f64),
        FunctionId::LastOverTime => return each(floats, borders, out, |values| values[values.len() - 1]),
        _ => return false,
    };
    of_float_series(floats, &steps, kind, out);
    true
}

fn each(floats: Floats<'_>, borders: &[(u32, u32)], out: &mut [f64], compute: impl Fn(&[f64]) -> f64) -> bool {
    for (out, (low, high)) in out.iter_mut().zip(borders) {
        if low < high {
            *out = compute(&floats.values[*low as usize..*high as usize]);
        }
    }
    true
}

/// Any function, any series: one window after the other.
fn each_window(
    source: &RangeSource<'_>,
    (floats, histograms): (Floats<'_>, Histograms<'_>),
    borders: &Borders2,
    column: &mut Column,
    context: &mut Context<'_>,
) -> Result<(), QueryError> {
    for step in 0..source.grid.count {
        let end = source.range.first_end + source.range.step * step as i64;
        let window = Window {
            floats: floats.slice(borders.floats[step]),
            histograms: histograms.slice(borders.histograms[step]),
            eval: source.grid.time(step),
            start: end - source.range.length,
            end,
            borders: source.range.borders,
        };
        if window.is_empty() {
            continue;
        }
        let params = params_at(&source.job, step)?;
        column.answer(step, evaluate(source.job.function, &window, params, context));
    }
    Ok(())
}

fn params_at(job: &Job<'_>, step: usize) -> Result<Params, QueryError> {
    let mut params: Params = [0.0; 2];
    for (param, values) in params.iter_mut().zip(&job.params) {
        *param = values[step];
    }
    if job.function == FunctionId::DoubleExponentialSmoothing {
        for (name, letters, factor) in [("smoothing", "sf", params[0]), ("trend", "tf", params[1])] {
            if factor <= 0.0 || factor >= 1.0 {
                let text = format!("invalid {name} factor. Expected: 0 < {letters} < 1, got: {factor:.6}");
                return Err(QueryError::Execution(text));
            }
        }
    }
    Ok(params)
}

/// A computed column as if it were stored: only the steps that have a value.
#[derive(Default)]
pub(crate) struct Dense {
    times: Vec<i64>,
    values: Vec<f64>,
    histograms: Vec<(u32, Arc<Histogram>)>,
}

impl Dense {
    pub(crate) fn take<'a>(&'a mut self, times: &'a [i64], column: &'a Column) -> Stored<'a> {
        use super::super::column::{Cell, is_absent};
        let full = !column.has_histograms() && !column.floats.iter().any(|value| is_absent(*value));
        if full {
            // All columns of a frame have the same times.
            let clock = Some(0);
            return Stored { times, values: &column.floats, start_times: None, histograms: &[], clock };
        }
        self.times.clear();
        self.values.clear();
        self.histograms.clear();
        for (step, time) in times.iter().enumerate() {
            let value = match column.get(step) {
                Cell::Absent => continue,
                Cell::Float(value) => value,
                Cell::Histogram(histogram) => {
                    self.histograms.push((self.times.len() as u32, without_hint(histogram)));
                    0.0
                }
            };
            self.times.push(*time);
            self.values.push(value);
        }
        Stored {
            times: &self.times,
            values: &self.values,
            start_times: None,
            histograms: &self.histograms,
            clock: None,
        }
    }
}

/// A subquery may leave samples out or take one twice, so what a stored hint says about the sample before it does not
/// hold between its steps; resets must be looked for.
fn without_hint(histogram: &Arc<Histogram>) -> Arc<Histogram> {
    match histogram.hint {
        ResetHint::Unknown | ResetHint::Gauge => Arc::clone(histogram),
        ResetHint::Reset | ResetHint::NotReset => {
            Arc::new(Histogram { hint: ResetHint::Unknown, ..(**histogram).clone() })
        }
    }
}

/// A range vector as a result: the samples in the range at one time.
pub(crate) fn matrix(run: &Run<'_>, node: &Node, grid: Grid) -> Result<Vec<model::query::Series>, QueryError> {
    use model::time::Timestamp;
    let (input, range) = input(run, node, grid)?;
    let windows = range.windows(1);
    let mut reader = match &input {
        Input::Stored { selection, .. } => Some(Reader::new(run, selection)),
        Input::Computed { .. } => None,
    };
    let (mut buffer, mut dense, mut borders) = (SampleBuffer::default(), Dense::default(), Vec::new());
    let mut out = Vec::new();
    let mut charge = run.budget.charge(0, 0)?;
    for (series, head) in input.heads().enumerate() {
        run.budget.go_on()?;
        let stored = match (&input, &mut reader) {
            (Input::Computed { frame, times }, _) => dense.take(times, &frame.series[series].column),
            (Input::Stored { .. }, Some(reader)) => reader.read(series)?,
            (Input::Stored { .. }, None) => continue,
        };
        let (floats, histograms) = buffer.take(&stored, Taking { start_times: false, resolve_hints: false });
        windows.borders(floats.times, &mut borders);
        let floats = floats.slice(borders[0]);
        windows.borders(histograms.times, &mut borders);
        let histograms = histograms.slice(borders[0]);
        if floats.is_empty() && histograms.is_empty() {
            continue;
        }
        let extended = extended::with_borders(floats, range.first_end - range.length, range.first_end, range.borders);
        let floats = match &extended {
            Some((times, _)) if times.is_empty() => continue,
            Some((times, values)) => Floats { times, values, starts: None },
            None => floats,
        };
        charge.more(floats.len() as u64, 16 * floats.len() as u64)?;
        let mut labels = run.visible(head);
        if head.dropped {
            labels = labels.without(&super::METADATA_LABELS);
        }
        let times = |times: &[i64]| times.iter().map(|time| Timestamp(*time)).collect::<Vec<_>>();
        out.push(model::query::Series {
            labels,
            floats: times(floats.times).into_iter().zip(floats.values.iter().copied()).collect(),
            histograms: times(histograms.times).into_iter().zip(histograms.values.iter().cloned()).collect(),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::ast::ValueType;

    fn subquery(range: i64, step: i64, offset: i64) -> SubqueryNode {
        let expr = Node {
            kind: Kind::Number(1.0),
            kind_of_value: ValueType::Scalar,
            span: Span::default(),
            outer: Span::default(),
            constant: true,
            shared: None,
        };
        SubqueryNode { expr, range, step, offset, at: None }
    }

    #[test]
    fn the_steps_of_a_subquery_are_multiples_of_its_step_and_leave_the_start_out() {
        let at = |time| Grid { start: time, step: 1, count: 1 };
        assert_eq!(subquery_grid(&subquery(30, 10, 0), at(1005)), Grid { start: 980, step: 10, count: 3 });
        assert_eq!(subquery_grid(&subquery(30, 10, 0), at(1000)), Grid { start: 980, step: 10, count: 3 });
        assert_eq!(subquery_grid(&subquery(100, 25, 0), at(50)), Grid { start: -25, step: 25, count: 4 });
    }
}
