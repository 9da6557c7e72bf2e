//! Aggregations over time, regression and smoothing.
//!
//! Sums and means are compensated; what cannot use histograms ignores them and says so where floats are there too.

use std::sync::Arc;

use super::super::histogram::arithmetic::IncompatibleSchema;
use super::super::histogram::arithmetic::Outcome;
use super::super::histogram::sum::{HistogramMean, HistogramSum};
use super::super::kahan::{Kahan, Mean, Variance};
use super::super::notes::HistogramOperation;
use super::super::quantile::{median_absolute_deviation, quantile_of, regression};
use super::{Answer, Context, Floats, Histograms, Params, Window};
use crate::syntax::functions::FunctionId;
use model::histogram::{Histogram, ResetHint};

/// `sum_over_time`
pub(super) fn sum(window: &Window<'_>, context: &mut Context<'_>) -> Answer {
    if window.is_mixed() {
        context.notes.mixed_floats_histograms(context.metric, context.span);
        return Answer::Nothing;
    }
    if window.histograms.is_empty() {
        return Answer::Float(sum_of(window.floats.values));
    }
    let first = HistogramSum::new(&window.histograms.values[0]);
    fold(window.histograms, first, HistogramSum::add, |sum| sum.finish(), context)
}

/// `avg_over_time`
pub(super) fn average(window: &Window<'_>, context: &mut Context<'_>) -> Answer {
    if window.is_mixed() {
        context.notes.mixed_floats_histograms(context.metric, context.span);
        return Answer::Nothing;
    }
    if window.histograms.is_empty() {
        return Answer::Float(mean_of(window.floats.values));
    }
    let first = HistogramMean::new(&window.histograms.values[0]);
    fold(window.histograms, first, HistogramMean::add, HistogramMean::finish, context)
}

/// Adds up histograms, telling of contradictions and reconciled bounds once.
fn fold<S>(
    histograms: Histograms<'_>,
    mut sum: S,
    add: impl Fn(&mut S, &Histogram) -> Result<Outcome, IncompatibleSchema>,
    finish: impl FnOnce(S) -> Histogram,
    context: &mut Context<'_>,
) -> Answer {
    let seen = |hint: ResetHint| histograms.values.iter().any(|h| h.hint == hint);
    let mut reconciled = false;
    for histogram in &histograms.values[1..] {
        match add(&mut sum, histogram) {
            Ok(outcome) => reconciled |= outcome.bounds_reconciled,
            Err(IncompatibleSchema) => {
                context.notes.mixed_exponential_custom(context.metric, context.span);
                return Answer::Nothing;
            }
        }
    }
    if seen(ResetHint::Reset) && seen(ResetHint::NotReset) {
        context.notes.counter_reset_collision(HistogramOperation::Aggregation, context.span);
    }
    if reconciled {
        context.notes.custom_buckets_reconciled(HistogramOperation::Aggregation, context.span);
    }
    Answer::Histogram(Arc::new(finish(sum)))
}

/// The compensated sum.
pub(crate) fn sum_of(values: &[f64]) -> f64 {
    let mut sum = Kahan::default();
    for value in values {
        sum.add(*value);
    }
    if sum.value.is_infinite() { sum.value } else { sum.total() }
}

/// The compensated mean.
pub(crate) fn mean_of(values: &[f64]) -> f64 {
    let Some((first, rest)) = values.split_first() else { return f64::NAN };
    let mut mean = Mean::new(*first);
    for value in rest {
        mean.add(*value);
    }
    mean.finish()
}

/// The largest; NaN only of nothing but NaN.
pub(crate) fn max_of(values: &[f64]) -> f64 {
    values.iter().fold(f64::NAN, |max, value| if *value > max || max.is_nan() { *value } else { max })
}

/// The smallest; NaN only of nothing but NaN.
pub(crate) fn min_of(values: &[f64]) -> f64 {
    values.iter().fold(f64::NAN, |min, value| if *value < min || min.is_nan() { *value } else { min })
}

/// `first_over_time`
pub(super) fn first(window: &Window<'_>) -> Answer {
    match (window.floats.times.first(), window.histograms.times.first()) {
        (Some(float), Some(histogram)) if float >= histogram => of(&window.histograms.values[0]),
        (Some(_), _) => Answer::Float(window.floats.values[0]),
        (None, Some(_)) => of(&window.histograms.values[0]),
        (None, None) => Answer::Nothing,
    }
}

/// `last_over_time`
pub(super) fn last(window: &Window<'_>) -> Answer {
    let histogram = window.histograms.values.last();
    match (window.floats.last_time(), window.histograms.last_time()) {
        (Some(float), Some(time)) if time >= float => histogram.map_or(Answer::Nothing, of),
        (Some(_), _) => window.floats.values.last().copied().into(),
        (None, _) => histogram.map_or(Answer::Nothing, of),
    }
}

fn of(histogram: &Arc<Histogram>) -> Answer {
    Answer::Histogram(Arc::clone(histogram))
}

/// `ts_of_first_over_time`
pub(super) fn time_of_first(window: &Window<'_>) -> Answer {
    let firsts = [window.floats.times.first(), window.histograms.times.first()];
    firsts.into_iter().flatten().min().map(|time| *time as f64 / 1000.0).into()
}

/// `ts_of_last_over_time`
pub(super) fn time_of_last(window: &Window<'_>) -> Answer {
    window.floats.last_time().max(window.histograms.last_time()).map(|time| time as f64 / 1000.0).into()
}

/// The functions that only look at floats.
pub(super) fn of_floats(
    function: FunctionId,
    window: &Window<'_>,
    params: Params,
    context: &mut Context<'_>,
) -> Answer {
    use FunctionId as F;
    let Floats { times, values, .. } = window.floats;
    if values.is_empty() {
        return Answer::Nothing;
    }
    if function == F::QuantileOverTime && !(0.0..=1.0).contains(&params[0]) {
        context.notes.invalid_quantile(params[0], context.span);
    }
    if !window.histograms.is_empty() {
        context.notes.histogram_ignored_in_mixed_range(context.metric, context.span);
    }
    let needs_two = matches!(function, F::Deriv | F::PredictLinear | F::DoubleExponentialSmoothing);
    if needs_two && values.len() < 2 {
        return Answer::Nothing;
    }
    Answer::Float(match function {
        F::MinOverTime => min_of(values),
        F::MaxOverTime => max_of(values),
        F::StddevOverTime => variance_of(values).sqrt(),
        F::StdvarOverTime => variance_of(values),
        F::QuantileOverTime => {
            context.scratch.clear();
            context.scratch.extend_from_slice(values);
            quantile_of(params[0], context.scratch)
        }
        F::MadOverTime => median_absolute_deviation(values, context.scratch),
        F::TsOfMaxOverTime => time_of_extreme(times, values, |value, best| value >= best),
        F::TsOfMinOverTime => time_of_extreme(times, values, |value, best| value <= best),
        F::Deriv => regression(times, values, times[0]).0,
        F::PredictLinear => {
            let (slope, now) = regression(times, values, window.eval);
            slope * params[0] + now
        }
        F::DoubleExponentialSmoothing => smooth(values, params),
        _ => return Answer::Nothing,
    })
}

fn variance_of(values: &[f64]) -> f64 {
    let mut variance = Variance::default();
    for value in values {
        variance.add(*value);
    }
    variance.finish()
}

/// The time of the last sample that is as extreme as any.
fn time_of_extreme(times: &[i64], values: &[f64], beats: impl Fn(f64, f64) -> bool) -> f64 {
    let (mut best, mut at) = (values[0], times[0]);
    for (time, value) in times.iter().zip(values) {
        if beats(*value, best) || best.is_nan() {
            (best, at) = (*value, *time);
        }
    }
    at as f64 / 1000.0
}

/// Double exponential smoothing: each value mixed with the trend so far.
fn smooth(values: &[f64], [smoothing, trending]: Params) -> f64 {
    let mut before = 0.0;
    let mut smoothed = values[0];
    let mut trend = values[1] - values[0];
    for (at, value) in values[1..].iter().enumerate() {
        if at > 0 {
            trend = trending * (smoothed - before) + (1.0 - trending) * trend;
        }
        before = smoothed;
        smoothed = smoothing * value + (1.0 - smoothing) * (smoothed + trend);
    }
    smoothed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_ignore_nan_unless_there_is_nothing_else() {
        assert_eq!(max_of(&[f64::NAN, 1.0, 2.0, f64::NAN]), 2.0);
        assert_eq!(min_of(&[f64::NAN, 1.0, 2.0, f64::NAN]), 1.0);
        assert!(max_of(&[f64::NAN]).is_nan());
    }

    #[test]
    fn the_time_of_an_extreme_is_that_of_its_last_occurrence() {
        assert_eq!(time_of_extreme(&[1000, 2000, 3000], &[5.0, 5.0, 1.0], |v, b| v >= b), 2.0);
        assert_eq!(time_of_extreme(&[1000, 2000], &[f64::NAN, 1.0], |v, b| v >= b), 2.0);
    }

    #[test]
    fn sums_of_infinities_stay() {
        assert_eq!(sum_of(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(sum_of(&[1.0, 1e100, 1.0, -1e100]), 2.0);
    }

    #[test]
    fn smoothing_a_line_stays_on_the_line() {
        assert_eq!(smooth(&[1.0, 2.0, 3.0, 4.0], [0.5, 0.5]), 4.0);
    }
}
