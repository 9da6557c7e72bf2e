//! `anchored` and `smoothed` ranges: rates from the values at the borders instead of extrapolated ones.
//!
//! Anchored takes the last sample before the range as its value at the start. Smoothed interpolates between the
//! samples around each border; behind a reset a counter is taken to have started from zero.

use std::sync::Arc;

use model::histogram::{Histogram, ResetHint};

use super::super::histogram::arithmetic::{self, IncompatibleSchema};
use super::super::histogram::{buckets, reset};
use super::super::notes::HistogramOperation;
use super::rate::{Kind, add_noting, note_outcome};
use super::{Answer, Context, Floats, Histograms, Window};
use crate::syntax::ast::Borders;

/// The value between two samples.
pub(crate) fn interpolate(a: (i64, f64), b: (i64, f64), at: i64, is_counter: bool) -> f64 {
    let from = if is_counter && b.1 < a.1 { 0.0 } else { a.1 };
    from + (b.1 - from) * (at - a.0) as f64 / (b.0 - a.0) as f64
}

/// Which samples stand at the borders: the last at or before the start (else the first), and the last, which is
/// for smoothed ranges the first at or behind the end. `None`: nothing of the series touches the range.
fn border_samples(window: &Window<'_>, times: &[i64]) -> Option<(usize, usize)> {
    let smoothed = window.borders == Borders::Smoothed;
    let mut last = times.len().checked_sub(1)?;
    let first = times[..last].partition_point(|time| *time <= window.start).saturating_sub(1);
    if smoothed {
        last = times[..last].partition_point(|time| *time < window.end);
    }
    let outside = times[last] <= window.start || (smoothed && times[first] > window.end);
    (!outside).then_some((first, last))
}

/// The samples of an extended range as they are shown: those within, and one at each border. `None`: the range is
/// a plain one.
pub(crate) fn with_borders(floats: Floats<'_>, start: i64, end: i64, borders: Borders) -> Option<(Vec<i64>, Vec<f64>)> {
    if borders == Borders::Plain || floats.is_empty() {
        return None;
    }
    let none = Histograms { times: &[], values: &[], starts: None };
    let window = Window { floats, histograms: none, eval: end, start, end, borders };
    let Some((first, last)) = border_samples(&window, floats.times) else { return Some((Vec::new(), Vec::new())) };
    let (left, right) = border_values(&window, (first, last), false);
    let inner = (first..=last).filter(|i| floats.times[*i] > start && floats.times[*i] < end);
    let (mut times, mut values) = (vec![start], vec![left]);
    for i in inner {
        times.push(floats.times[i]);
        values.push(floats.values[i]);
    }
    times.push(end);
    values.push(right);
    Some((times, values))
}

/// The values at the borders.
fn border_values(window: &Window<'_>, (first, last): (usize, usize), is_counter: bool) -> (f64, f64) {
    let Floats { times, values, .. } = window.floats;
    let smoothed = window.borders == Borders::Smoothed;
    let point = |i: usize| (times[i], values[i]);
    let left = if smoothed && times[first] < window.start {
        interpolate(point(first), point(first + 1), window.start, is_counter)
    } else {
        values[first]
    };
    let right = if smoothed && last > 0 && times[last] > window.end {
        interpolate(point(last - 1), point(last), window.end, is_counter)
    } else {
        values[last]
    };
    (left, right)
}

/// The increase of floats between the borders.
pub(super) fn of_floats(window: &Window<'_>, kind: Kind) -> Option<f64> {
    let Floats { times, values, .. } = window.floats;
    let (mut first, mut last) = border_samples(window, times)?;
    let (left, right) = border_values(window, (first, last), kind.is_counter());
    let mut increase = right - left;
    if kind.is_counter() {
        // The values at the borders already know of resets outside; only those within are made good.
        if times[first] <= window.start {
            first += 1;
        }
        let behind = if times[last] >= window.end { last } else { last + 1 };
        last = behind.max(first);
        let mut previous = left;
        for value in values[first..last].iter().chain(std::iter::once(&right)) {
            if *value < previous {
                increase += previous;
            }
            previous = *value;
        }
    }
    Some(if kind == Kind::Rate { increase / window.seconds() } else { increase })
}

/// The histogram between two others.
pub(crate) fn interpolate_histograms(
    a: (i64, &Histogram),
    b: (i64, &Histogram),
    at: i64,
    is_counter: bool,
    context: &mut Context<'_>,
) -> Result<Histogram, IncompatibleSchema> {
    if at == a.0 {
        return Ok(a.1.clone());
    }
    let mut result = b.1.clone();
    if at == b.0 {
        return Ok(result);
    }
    let share = (at - a.0) as f64 / (b.0 - a.0) as f64;
    if is_counter && reset::is_reset(b.1, a.1) {
        arithmetic::scale(&mut result, share);
        return Ok(result);
    }
    if arithmetic::subtract(&mut result, a.1)?.bounds_reconciled {
        context.notes.custom_buckets_reconciled(HistogramOperation::Subtraction, context.span);
    }
    arithmetic::scale(&mut result, share);
    if arithmetic::add(&mut result, a.1)?.bounds_reconciled {
        context.notes.custom_buckets_reconciled(HistogramOperation::Addition, context.span);
    }
    Ok(result)
}

/// The increase of histograms between the borders.
pub(super) fn of_histograms(window: &Window<'_>, kind: Kind, context: &mut Context<'_>) -> Answer {
    let Some((first, last)) = border_samples(window, window.histograms.times) else { return Answer::Nothing };
    let within = &window.histograms.values[first..=last];
    let custom = within[0].uses_custom_buckets();
    for histogram in within {
        if histogram.uses_custom_buckets() != custom {
            context.notes.mixed_exponential_custom(context.metric, context.span);
            return Answer::Nothing;
        }
        if kind.is_counter() && histogram.hint == ResetHint::Gauge {
            context.notes.not_a_counter(context.metric, context.span);
        }
    }
    match increase(window, (first, last), kind, context) {
        Ok(Some(increase)) => Answer::Histogram(Arc::new(increase)),
        Ok(None) => Answer::Nothing,
        Err(IncompatibleSchema) => {
            context.notes.mixed_exponential_custom(context.metric, context.span);
            Answer::Nothing
        }
    }
}

fn increase(
    window: &Window<'_>,
    (first, last): (usize, usize),
    kind: Kind,
    context: &mut Context<'_>,
) -> Result<Option<Histogram>, IncompatibleSchema> {
    let Histograms { times, values, .. } = window.histograms;
    let smoothed = window.borders == Borders::Smoothed;
    let point = |i: usize| (times[i], &*values[i]);
    let left = if smoothed && times[first] < window.start {
        interpolate_histograms(point(first), point(first + 1), window.start, kind.is_counter(), context)?
    } else {
        (*values[first]).clone()
    };
    let right = if smoothed && last > 0 && times[last] > window.end {
        interpolate_histograms(point(last - 1), point(last), window.end, kind.is_counter(), context)?
    } else {
        (*values[last]).clone()
    };
    if !kind.is_counter() && (left.hint != ResetHint::Gauge || right.hint != ResetHint::Gauge) {
        context.notes.not_a_gauge(context.metric, context.span);
    }
    let mut result = right.clone();
    if !note_outcome(arithmetic::subtract(&mut result, &left), HistogramOperation::Subtraction, context) {
        return Ok(None);
    }
    if kind.is_counter()
        && let Some(lost) = lost_in_resets(window, (first, last), &left, &right, context)?
        && !add_noting(&mut result, &lost, context)
    {
        return Ok(None);
    }
    if kind == Kind::Rate {
        arithmetic::divide(&mut result, window.seconds());
    }
    result.hint = ResetHint::Gauge;
    buckets::compact(&mut result);
    Ok(Some(result))
}

/// What stood before the resets between the borders. The last sample itself is not looked at: `right` stands for
/// it and carries its hint, which would count twice.
fn lost_in_resets(
    window: &Window<'_>,
    (first, last): (usize, usize),
    left: &Histogram,
    right: &Histogram,
    context: &mut Context<'_>,
) -> Result<Option<Histogram>, IncompatibleSchema> {
    let Histograms { times, values, .. } = window.histograms;
    let mut from = first + 1;
    let mut previous = left;
    let interpolated = window.borders == Borders::Smoothed && times[first] < window.start;
    if interpolated && values.get(first + 1).is_some_and(|next| reset::is_reset(next, &values[first])) {
        // The value at the start already knows of this reset.
        previous = &values[first + 1];
        from += 1;
    }
    if from > last {
        return Ok(None);
    }
    let mut lost: Option<Histogram> = None;
    let mut lose = |part: &Histogram, context: &mut Context<'_>| match &mut lost {
        None => {
            lost = Some(part.clone());
            Ok(())
        }
        Some(sum) => {
            if add_noting(sum, part, context) {
                Ok(())
            } else {
                Err(IncompatibleSchema)
            }
        }
    };
    for histogram in &values[from..last] {
        if reset::is_reset(histogram, previous) {
            lose(previous, context)?;
        }
        previous = histogram;
    }
    if reset::is_reset(right, previous) {
        lose(previous, context)?;
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<'a>(times: &'a [i64], values: &'a [f64], range: (i64, i64), borders: Borders) -> Window<'a> {
        Window {
            floats: Floats { times, values, starts: None },
            histograms: Histograms { times: &[], values: &[], starts: None },
            eval: range.1,
            start: range.0,
            end: range.1,
            borders,
        }
    }

    #[test]
    fn anchored_starts_from_the_sample_before_the_range() {
        let (times, values) = ([0, 15, 30, 45], [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(of_floats(&window(&times, &values, (20, 50), Borders::Anchored), Kind::Increase), Some(2.0));
        assert_eq!(of_floats(&window(&times, &values, (45, 60), Borders::Anchored), Kind::Increase), None);
    }

    #[test]
    fn smoothed_interpolates_at_both_borders() {
        let (times, values) = ([0, 10, 20], [0.0, 10.0, 20.0]);
        assert_eq!(of_floats(&window(&times, &values, (5, 15), Borders::Smoothed), Kind::Increase), Some(10.0));
    }

    #[test]
    fn a_reset_between_the_samples_at_a_border_starts_from_zero() {
        assert_eq!(interpolate((0, 200.0), (2, 100.0), 1, true), 50.0);
        assert_eq!(interpolate((0, 200.0), (2, 100.0), 1, false), 150.0);
    }
}
