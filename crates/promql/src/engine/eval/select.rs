//! Instant selectors: at each step the newest sample within the lookback.

use std::sync::Arc;

use model::query::QueryError;
use model::storage::{Column as Stored, Cursor, SelectedId, Selection, is_stale};

use super::super::column::Column;
use super::super::histogram::arithmetic::IncompatibleSchema;
use super::super::limits::Charge;
use super::super::notes::NoteSet;
use super::super::plan::{Grid, Selector};
use super::super::range::extended::{interpolate, interpolate_histograms};
use super::super::range::{Context, Floats, Histograms, WindowSteps};
use super::frame::{Head, Source, Stream, Worker};
use super::samples::{SampleBuffer, Taking};
use super::{Run, storage_error, time_range};
use crate::syntax::ast::Borders;
use model::histogram::ResetHint;

/// What of the sample becomes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Value,
    /// Its own time, in seconds.
    Time,
    /// When counting began, in seconds; 0 where unknown.
    StartTime,
}

/// The stream of an instant selector.
pub(crate) fn instant<'r>(
    run: &'r Run<'r>,
    selector: &'r Selector,
    grid: Grid,
    reading: Reading,
) -> Result<Stream<'r>, QueryError> {
    let (first, last) = match selector.at {
        Some(at) => (at - selector.offset, at - selector.offset),
        None => (grid.start - selector.offset, grid.end() - selector.offset),
    };
    let smoothed = selector.borders == Borders::Smoothed;
    let ahead = if smoothed { run.lookback } else { 0 };
    let range = time_range(first - run.lookback + 1, last + ahead);
    let selection = run.select(selector, range, grid)?;
    let dropped = reading != Reading::Value;
    let heads = selection.labels.iter().map(|labels| Head { labels: labels.clone(), dropped }).collect();
    let step = if selector.at.is_some() { 0 } else { grid.step };
    let steps = Steps { first, step, count: grid.count, lookback: run.lookback };
    Ok(Stream::Source(Box::new(SelectorSource { run, selector, selection, heads, steps, reading })))
}

#[derive(Clone, Copy)]
struct Steps {
    first: i64,
    step: i64,
    count: usize,
    lookback: i64,
}

struct SelectorSource<'r> {
    run: &'r Run<'r>,
    selector: &'r Selector,
    selection: Selection,
    heads: Vec<Head>,
    steps: Steps,
    reading: Reading,
}

impl Source for SelectorSource<'_> {
    fn heads(&self) -> &[Head] {
        &self.heads
    }

    fn work(&self) -> u64 {
        self.selection.samples_max + (self.heads.len() * self.steps.count) as u64
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(SelectorWorker {
            source: self,
            cursor: Reader::new(self.run, &self.selection),
            buffer: SampleBuffer::default(),
        })
    }
}

/// A cursor that counts what it reads and pays for the largest series.
pub(crate) struct Reader<'s> {
    run: &'s Run<'s>,
    cursor: Box<dyn Cursor + 's>,
    charge: Option<Charge>,
    paid: u64,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(run: &'s Run<'s>, selection: &'s Selection) -> Self {
        Self { run, cursor: selection.reader.cursor(), charge: None, paid: 0 }
    }

    pub(crate) fn read(&mut self, series: usize) -> Result<Stored<'_>, QueryError> {
        let id = SelectedId(series as u32);
        let stored = self.cursor.read(id).map_err(storage_error)?;
        let samples = stored.times.len() as u64;
        self.run.budget.count_read(samples);
        if samples > self.paid {
            let more = samples - self.paid;
            match &mut self.charge {
                Some(charge) => charge.more(more, more * 16)?,
                None => self.charge = Some(self.run.budget.charge(more, more * 16)?),
            }
            self.paid = samples;
        }
        Ok(stored)
    }
}

struct SelectorWorker<'s> {
    source: &'s SelectorSource<'s>,
    cursor: Reader<'s>,
    buffer: SampleBuffer,
}

impl Worker for SelectorWorker<'_> {
    fn fill(&mut self, series: usize, column: &mut Column, notes: &mut NoteSet) -> Result<(), QueryError> {
        let source = self.source;
        let stored = self.cursor.read(series)?;
        if source.selector.borders == Borders::Smoothed {
            let taking = Taking { start_times: false, resolve_hints: false };
            let (floats, histograms) = self.buffer.take(&stored, taking);
            let mut context = Context {
                metric: source.heads[series].labels.metric_name(),
                span: source.selector.span,
                notes,
                scratch: &mut Vec::new(),
            };
            smooth(floats, histograms, source.steps, column, &mut context);
            return Ok(());
        }
        match source.reading {
            Reading::Value if stored.histograms.is_empty() => newest_floats(&stored, source.steps, &mut column.floats),
            _ => newest(&stored, source, column),
        }
        Ok(())
    }
}

/// The row of the newest sample at or before each step that is young enough.
fn each_newest(times: &[i64], steps: Steps, mut found: impl FnMut(usize, usize)) {
    let mut behind = 0;
    let mut at = steps.first;
    for step in 0..steps.count {
        if step == 0 {
            behind = times.partition_point(|time| *time <= at);
        }
        while behind < times.len() && times[behind] <= at {
            behind += 1;
        }
        if behind > 0 && times[behind - 1] > at - steps.lookback {
            found(step, behind - 1);
        }
        at += steps.step;
    }
}

/// A staleness marker is the mark of absence, so it may just be copied.
fn newest_floats(stored: &Stored<'_>, steps: Steps, out: &mut [f64]) {
    each_newest(stored.times, steps, |step, row| out[step] = stored.values[row]);
}

fn newest(stored: &Stored<'_>, source: &SelectorSource<'_>, column: &mut Column) {
    let mut resolved = Vec::new();
    if source.selector.histogram_stats {
        resolved = resolve(stored);
    }
    let histograms = if resolved.is_empty() { stored.histograms } else { &resolved };
    each_newest(stored.times, source.steps, |step, row| {
        if is_stale(stored.values[row]) {
            return;
        }
        match source.reading {
            Reading::Time => column.set_float(step, stored.times[row] as f64 / 1000.0),
            Reading::StartTime => {
                let start = stored.start_times.map_or(0, |starts| starts[row]);
                column.set_float(step, start as f64 / 1000.0);
            }
            Reading::Value => match histograms.binary_search_by_key(&(row as u32), |(at, _)| *at) {
                Ok(at) => column.set_histogram(step, Arc::clone(&histograms[at].1)),
                Err(_) => column.set_float(step, stored.values[row]),
            },
        }
    });
}

/// Histograms with the hints that follow from the ones before.
fn resolve(stored: &Stored<'_>) -> Vec<(u32, Arc<model::histogram::Histogram>)> {
    let mut buffer = SampleBuffer::default();
    let taking = Taking { start_times: false, resolve_hints: true };
    let (_, histograms) = buffer.take(stored, taking);
    let rows = stored.histograms.iter().filter(|(row, _)| !is_stale(stored.values[*row as usize]));
    rows.zip(histograms.values).map(|((row, _), histogram)| (*row, Arc::clone(histogram))).collect()
}

/// `selector smoothed`: between two samples the value on the line, behind the last one that value.
fn smooth(
    floats: Floats<'_>,
    histograms: Histograms<'_>,
    steps: Steps,
    column: &mut Column,
    context: &mut Context<'_>,
) {
    let windows = WindowSteps {
        first_end: steps.first + steps.lookback,
        step: steps.step,
        count: steps.count,
        length: 2 * steps.lookback,
    };
    let (mut of_floats, mut of_histograms) = (Vec::new(), Vec::new());
    windows.borders(floats.times, &mut of_floats);
    windows.borders(histograms.times, &mut of_histograms);
    for step in 0..steps.count {
        let (floats, histograms) = (floats.slice(of_floats[step]), histograms.slice(of_histograms[step]));
        let at = steps.first + steps.step * step as i64;
        if !floats.is_empty() && !histograms.is_empty() {
            context.notes.mixed_floats_histograms(context.metric, context.span);
        } else if histograms.is_empty() {
            if let Some(value) = smooth_float(floats, at) {
                column.set_float(step, value);
            }
        } else {
            smooth_histogram(histograms, at, step, column, context);
        }
    }
}

fn smooth_float(floats: Floats<'_>, at: i64) -> Option<f64> {
    let next = floats.times.partition_point(|time| *time < at);
    let point = |i: usize| (floats.times[i], floats.values[i]);
    match next {
        _ if floats.times.get(next) == Some(&at) => Some(floats.values[next]),
        0 => None,
        _ if next < floats.len() => Some(interpolate(point(next - 1), point(next), at, false)),
        _ => Some(floats.values[next - 1]),
    }
}

fn smooth_histogram(histograms: Histograms<'_>, at: i64, step: usize, column: &mut Column, context: &mut Context<'_>) {
    let next = histograms.times.partition_point(|time| *time < at);
    if histograms.times.get(next) == Some(&at) {
        column.set_histogram(step, Arc::clone(&histograms.values[next]));
        return;
    }
    if next == 0 {
        return;
    }
    let before = &histograms.values[next - 1];
    let Some(after) = histograms.values.get(next) else {
        // The hint tells about two neighbours in time, which a carried value is not.
        let mut carried = (**before).clone();
        carried.hint = ResetHint::Unknown;
        column.set_histogram(step, Arc::new(carried));
        return;
    };
    let is_counter = before.hint != ResetHint::Gauge || after.hint != ResetHint::Gauge;
    let mixed = before.uses_custom_buckets() != after.uses_custom_buckets();
    let left = (histograms.times[next - 1], &**before);
    let right = (histograms.times[next], &**after);
    let between =
        if mixed { Err(IncompatibleSchema) } else { interpolate_histograms(left, right, at, is_counter, context) };
    match between {
        Ok(histogram) => column.set_histogram(step, Arc::new(histogram)),
        Err(IncompatibleSchema) => context.notes.mixed_exponential_custom(context.metric, context.span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_young_enough_sample_is_found_and_a_marker_ends_it() {
        let stored = Stored {
            times: &[0, 10, 20],
            values: &[1.0, 2.0, model::storage::stale_nan()],
            start_times: None,
            histograms: &[],
            clock: None,
        };
        let mut column = Column::absent(5);
        newest_floats(&stored, Steps { first: -5, step: 8, count: 5, lookback: 10 }, &mut column.floats);
        // Steps -5, 3, 11, 19, 27.
        let seen: Vec<Option<f64>> = (0..5).map(|s| column.is_present(s).then(|| column.floats[s])).collect();
        assert_eq!(seen, [None, Some(1.0), Some(2.0), Some(2.0), None]);
    }

    #[test]
    fn a_sample_exactly_as_old_as_the_lookback_is_too_old() {
        let mut found = Vec::new();
        each_newest(&[0], Steps { first: 9, step: 1, count: 2, lookback: 10 }, |step, _| found.push(step));
        assert_eq!(found, [0]);
    }
}
