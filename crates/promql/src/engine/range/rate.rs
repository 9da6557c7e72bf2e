//! Rates and differences: `rate`, `increase`, `delta`, `irate`, `idelta`, and the counts of `changes`, `resets`.
//!
//! A rate is extrapolated to the borders of its range: all the way where a sample could have been expected
//! there (within 1.1 average distances), else by half an average distance, and never to a time at which the
//! counter would have been negative.

use std::sync::Arc;

use model::histogram::{Histogram, ResetHint};

use super::super::histogram::arithmetic::{self, IncompatibleSchema};
use super::super::histogram::{buckets, reset};
use super::super::notes::HistogramOperation;
use super::{Answer, Context, Floats, Histograms, Window, extended};
use crate::syntax::ast::Borders;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rate,
    Increase,
    Delta,
}

impl Kind {
    pub(crate) const fn is_counter(self) -> bool {
        !matches!(self, Self::Delta)
    }
}

/// `rate`, `increase`, `delta`.
pub(crate) fn extrapolated(window: &Window<'_>, kind: Kind, context: &mut Context<'_>) -> Answer {
    if window.is_mixed() {
        context.notes.mixed_floats_histograms(context.metric, context.span);
        return Answer::Nothing;
    }
    if window.borders != Borders::Plain {
        return if window.floats.is_empty() {
            extended::of_histograms(window, kind, context)
        } else {
            extended::of_floats(window, kind).into()
        };
    }
    if window.histograms.is_empty() {
        if kind.is_counter() && (1..window.floats.len()).any(|i| window.floats.overlaps(i)) {
            context.notes.start_time_overlap(context.metric, context.span);
        }
        return of_floats(window, kind).into();
    }
    of_histograms(window, kind, context)
}

/// The extrapolated increase of floats.
fn of_floats(window: &Window<'_>, kind: Kind) -> Option<f64> {
    let floats = window.floats;
    let (first, last) = (*floats.values.first()?, *floats.values.last()?);
    let mut increase = last - first;
    if kind.is_counter() {
        for i in 1..floats.len() {
            if floats.values[i] < floats.values[i - 1] || floats.restarted(i) {
                increase += floats.values[i - 1];
            }
        }
    }
    let mut reach = Reach::of(window, floats.times, floats.starts, kind)?;
    if reach.from_start {
        increase += first;
    } else if kind.is_counter() && increase > 0.0 && first >= 0.0 {
        reach.stop_at_zero(first / increase);
    }
    Some(increase * reach.factor(kind, window.seconds()))
}

/// How far the samples reach and are extrapolated, in seconds.
struct Reach {
    sampled: f64,
    to_start: f64,
    to_end: f64,
    /// Counting began within the range: the increase since then is known, nothing is extrapolated to the left.
    from_start: bool,
}

impl Reach {
    fn of(window: &Window<'_>, times: &[i64], starts: Option<&[i64]>, kind: Kind) -> Option<Self> {
        let (first, last) = (*times.first()?, *times.last()?);
        let spaces = times.len() - 1;
        let mut reach = Self {
            sampled: (last - first) as f64 / 1000.0,
            to_start: (first - window.start) as f64 / 1000.0,
            to_end: (window.end - last) as f64 / 1000.0,
            from_start: false,
        };
        let average = if spaces > 0 { reach.sampled / spaces as f64 } else { 0.0 };
        let threshold = average * 1.1;
        let began = starts.map_or(0, |starts| starts[0]);
        if kind.is_counter() && began != 0 && began > window.start && began < first {
            reach.from_start = true;
            reach.to_start = 0.0;
            reach.sampled = (last - began) as f64 / 1000.0;
        } else if spaces == 0 {
            return None;
        } else if reach.to_start >= threshold {
            reach.to_start = average / 2.0;
        }
        if reach.to_end >= threshold {
            reach.to_end = average / 2.0;
        }
        Some(reach)
    }

    /// A counter was not negative: `share` is its first value over its increase.
    fn stop_at_zero(&mut self, share: f64) {
        let to_zero = self.sampled * share;
        if to_zero < self.to_start {
            self.to_start = to_zero;
        }
    }

    fn factor(&self, kind: Kind, seconds: f64) -> f64 {
        let mut factor = 1.0;
        if self.sampled != 0.0 {
            factor = (self.sampled + self.to_start + self.to_end) / self.sampled;
        }
        if kind == Kind::Rate {
            factor /= seconds;
        }
        factor
    }
}

/// The rates of a float series without start timestamps, all steps at once: what resets added is kept in a list,
/// so that a step costs what it has of resets and not of samples.
pub(crate) fn of_float_series(floats: Floats<'_>, steps: &FloatSteps<'_>, kind: Kind, out: &mut [f64]) {
    let mut resets: Vec<u32> = Vec::new();
    if kind.is_counter() {
        resets.extend((1..floats.len()).filter(|i| floats.values[*i] < floats.values[*i - 1]).map(|i| i as u32));
    }
    let mut passed = 0;
    for (at, (low, high)) in steps.borders.iter().enumerate() {
        let (low, high) = (*low as usize, *high as usize);
        if high - low < 2 {
            continue;
        }
        let first = floats.values[low];
        let mut increase = floats.values[high - 1] - first;
        while passed < resets.len() && resets[passed] as usize <= low {
            passed += 1;
        }
        for reset in resets[passed..].iter().take_while(|reset| (**reset as usize) < high) {
            increase += floats.values[*reset as usize - 1];
        }
        let end = steps.first_end + at as i64 * steps.step;
        out[at] = increase
            * plain_factor(
                PlainReach {
                    first_time: floats.times[low],
                    last_time: floats.times[high - 1],
                    spaces: high - 1 - low,
                    start: end - steps.length,
                    end,
                },
                (kind.is_counter() && increase > 0.0 && first >= 0.0).then(|| first / increase),
                (kind == Kind::Rate).then_some(steps.seconds),
            );
    }
}

/// The windows of all steps over one float series.
pub(crate) struct FloatSteps<'a> {
    pub(crate) borders: &'a [(u32, u32)],
    pub(crate) first_end: i64,
    pub(crate) step: i64,
    pub(crate) length: i64,
    pub(crate) seconds: f64,
}

#[derive(Clone, Copy)]
struct PlainReach {
    first_time: i64,
    last_time: i64,
    spaces: usize,
    start: i64,
    end: i64,
}

/// [`Reach`] without start timestamps, in straight-line code. Must round exactly as that does.
#[inline]
fn plain_factor(reach: PlainReach, zero_share: Option<f64>, seconds: Option<f64>) -> f64 {
    let sampled = (reach.last_time - reach.first_time) as f64 / 1000.0;
    let average = sampled / reach.spaces as f64;
    let threshold = average * 1.1;
    let mut to_start = (reach.first_time - reach.start) as f64 / 1000.0;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if let Some(share) = zero_share {
        let to_zero = sampled * share;
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    let mut to_end = (reach.end - reach.last_time) as f64 / 1000.0;
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled;
    seconds.map_or(factor, |seconds| factor / seconds)
}

/// The extrapolated increase of histograms.
fn of_histograms(window: &Window<'_>, kind: Kind, context: &mut Context<'_>) -> Answer {
    let histograms = window.histograms;
    let Some(mut reach) = Reach::of(window, histograms.times, histograms.starts, kind) else { return Answer::Nothing };
    let first = &histograms.values[0];
    let mut increase = None;
    if histograms.len() > 1 {
        match increase_of(histograms, kind, context) {
            Some(found) => increase = Some(found),
            None => return Answer::Nothing,
        }
    }
    if reach.from_start {
        match &mut increase {
            None => increase = Some((**first).clone()),
            Some(sum) => {
                if !add_noting(sum, first, context) {
                    return Answer::Nothing;
                }
            }
        }
    } else if let Some(increase) = &increase
        && kind.is_counter()
        && increase.count > 0.0
        && first.count >= 0.0
    {
        reach.stop_at_zero(first.count / increase.count);
    }
    let Some(mut increase) = increase else { return Answer::Nothing };
    arithmetic::scale(&mut increase, reach.factor(kind, window.seconds()));
    Answer::Histogram(Arc::new(increase))
}

/// What two or more histograms grew by, resets made good.
fn increase_of(histograms: Histograms<'_>, kind: Kind, context: &mut Context<'_>) -> Option<Histogram> {
    let samples = histograms.values;
    let (first, second, last) = (&samples[0], &samples[1], &samples[samples.len() - 1]);
    if kind.is_counter() && samples.iter().any(|h| h.hint == ResetHint::Gauge) {
        context.notes.not_a_counter(context.metric, context.span);
    }
    // Behind a reset the first sample's layout does not matter, so it must not make the rest incompatible.
    let mut previous = Arc::clone(first);
    if kind.is_counter() && (histograms.restarted(1) || reset::is_reset(second, first)) {
        previous = Arc::new(Histogram {
            schema: second.schema,
            custom_values: second.custom_values.clone(),
            ..Histogram::default()
        });
    }
    let custom = previous.uses_custom_buckets();
    let inner_mixed =
        kind.is_counter() && samples[1..samples.len() - 1].iter().any(|h| h.uses_custom_buckets() != custom);
    if last.uses_custom_buckets() != custom || inner_mixed {
        context.notes.mixed_exponential_custom(context.metric, context.span);
        return None;
    }
    let schema = samples[1..].iter().map(|h| h.schema).fold(previous.schema, i32::min);
    let mut increase = (**last).clone();
    if kind.is_counter() {
        arithmetic::reduce(&mut increase, schema);
    } else {
        arithmetic::reduce(&mut increase, previous.schema.min(last.schema));
    }
    if !note_outcome(arithmetic::subtract(&mut increase, &previous), HistogramOperation::Subtraction, context) {
        return None;
    }
    if kind.is_counter() {
        make_resets_good(&mut increase, histograms, previous, context)?;
    } else if first.hint != ResetHint::Gauge || last.hint != ResetHint::Gauge {
        context.notes.not_a_gauge(context.metric, context.span);
    }
    increase.hint = ResetHint::Gauge;
    buckets::compact(&mut increase);
    Some(increase)
}

/// Adds what stood before each reset.
fn make_resets_good(
    increase: &mut Histogram,
    histograms: Histograms<'_>,
    mut previous: Arc<Histogram>,
    context: &mut Context<'_>,
) -> Option<()> {
    let mut overlap_seen = false;
    for (index, current) in histograms.values.iter().enumerate().skip(1) {
        if !overlap_seen && histograms.overlaps(index) {
            context.notes.start_time_overlap(context.metric, context.span);
            overlap_seen = true;
        }
        if (histograms.restarted(index) || reset::is_reset(current, &previous))
            && !add_noting(increase, &previous, context)
        {
            return None;
        }
        previous = Arc::clone(current);
    }
    Some(())
}

/// Adds, telling what the user should know. False: cannot be added.
pub(super) fn add_noting(sum: &mut Histogram, more: &Histogram, context: &mut Context<'_>) -> bool {
    note_outcome(arithmetic::add(sum, more), HistogramOperation::Addition, context)
}

/// Contradicting hints are not told here: resets are looked for explicitly.
pub(super) fn note_outcome(
    outcome: Result<arithmetic::Outcome, IncompatibleSchema>,
    operation: HistogramOperation,
    context: &mut Context<'_>,
) -> bool {
    match outcome {
        Ok(outcome) => {
            if outcome.bounds_reconciled {
                context.notes.custom_buckets_reconciled(operation, context.span);
            }
            true
        }
        Err(IncompatibleSchema) => {
            context.notes.mixed_exponential_custom(context.metric, context.span);
            false
        }
    }
}

/// A sample of either kind.
#[derive(Clone, Copy)]
enum Either<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// Both kinds in the order of time: (time, sample, whether its start timestamp tells of a reset).
fn in_order<'a>(window: &Window<'a>) -> impl Iterator<Item = (i64, Either<'a>, bool)> + 'a {
    let (floats, histograms) = (window.floats, window.histograms);
    let (mut f, mut h) = (0, 0);
    // Start timestamps are compared with the sample before, of either kind.
    let mut before: Option<(i64, i64)> = None;
    std::iter::from_fn(move || {
        let float_first = match (floats.times.get(f), histograms.times.get(h)) {
            (None, None) => return None,
            (Some(float), Some(histogram)) => float < histogram,
            (float, _) => float.is_some(),
        };
        let (time, start, sample) = if float_first {
            f += 1;
            (floats.times[f - 1], floats.starts.map_or(0, |s| s[f - 1]), Either::Float(floats.values[f - 1]))
        } else {
            h += 1;
            let start = histograms.starts.map_or(0, |s| s[h - 1]);
            (histograms.times[h - 1], start, Either::Histogram(&histograms.values[h - 1]))
        };
        let anew = before.is_some_and(|(previous_start, previous_time)| {
            super::restarted(previous_start, previous_time, start, time)
        });
        before = Some((start, time));
        Some((time, sample, anew))
    })
}

/// Counts neighbours of which `counts` holds. Anchored: beginning with the last sample at or before the range.
fn neighbours(window: &Window<'_>, counts: impl Fn(Either<'_>, Either<'_>, bool) -> bool) -> Answer {
    let mut samples: Vec<_> = in_order(window).collect();
    if window.borders == Borders::Anchored {
        if samples.last().is_none_or(|(time, ..)| *time <= window.start) {
            return Answer::Nothing;
        }
        let anchor = samples.partition_point(|(time, ..)| *time <= window.start).saturating_sub(1);
        samples.drain(..anchor);
    }
    let count = samples.windows(2).filter(|pair| counts(pair[0].1, pair[1].1, pair[1].2)).count();
    Answer::Float(count as f64)
}

/// `changes`: how often the value changed; NaN does not differ from NaN, a histogram differs from any float.
pub(crate) fn changes(window: &Window<'_>) -> Answer {
    neighbours(window, |before, now, _| match (before, now) {
        (Either::Float(a), Either::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Either::Histogram(a), Either::Histogram(b)) => !arithmetic::equal(a, b),
        _ => true,
    })
}

/// `resets`: how often a counter fell or began anew.
pub(crate) fn resets(window: &Window<'_>) -> Answer {
    neighbours(window, |before, now, anew| match (before, now) {
        (Either::Float(a), Either::Float(b)) => anew || b < a,
        (Either::Histogram(a), Either::Histogram(b)) => anew || reset::is_reset(b, a),
        _ => true,
    })
}

/// `irate`, `idelta`: from the last two samples, whatever lies between them.
pub(crate) fn last_two(window: &Window<'_>, is_rate: bool, context: &mut Context<'_>) -> Answer {
    if window.floats.len() + window.histograms.len() < 2 {
        return Answer::Nothing;
    }
    let newest = |w: &Window<'_>| w.floats.last_time().max(w.histograms.last_time());
    let mut one_less = *window;
    if window.floats.last_time() == newest(window) {
        one_less.floats = window.floats.slice((0, window.floats.len() as u32 - 1));
    } else {
        one_less.histograms = window.histograms.slice((0, window.histograms.len() as u32 - 1));
    }
    let (Some(time), Some(previous_time)) = (newest(window), newest(&one_less)) else { return Answer::Nothing };
    let interval = (time - previous_time) as f64 / 1000.0;
    let both_floats = window.floats.last_time() == Some(time) && one_less.floats.last_time() == Some(previous_time);
    let both_histograms =
        window.histograms.last_time() == Some(time) && one_less.histograms.last_time() == Some(previous_time);
    if both_floats {
        let floats = window.floats;
        let last = floats.len() - 1;
        let (before, now) = (floats.values[last - 1], floats.values[last]);
        let fell = is_rate && (now < before || floats.restarted(last));
        let difference = if fell { now } else { now - before };
        return Answer::Float(if is_rate { difference / interval } else { difference });
    }
    if !both_histograms {
        context.notes.mixed_floats_histograms(context.metric, context.span);
        return Answer::Nothing;
    }
    last_two_histograms(window.histograms, is_rate.then_some(interval), context)
}

fn last_two_histograms(histograms: Histograms<'_>, interval: Option<f64>, context: &mut Context<'_>) -> Answer {
    let last = histograms.len() - 1;
    let (before, now) = (&histograms.values[last - 1], &histograms.values[last]);
    let gauges = [before, now].iter().filter(|h| h.hint == ResetHint::Gauge).count();
    if interval.is_some() && gauges > 0 {
        context.notes.not_a_counter(context.metric, context.span);
    }
    if interval.is_none() && gauges < 2 {
        context.notes.not_a_gauge(context.metric, context.span);
    }
    let mut difference = (**now).clone();
    let fell = interval.is_some() && (histograms.restarted(last) || reset::is_reset(now, before));
    if !fell && !note_outcome(arithmetic::subtract(&mut difference, before), HistogramOperation::Subtraction, context) {
        return Answer::Nothing;
    }
    difference.hint = ResetHint::Gauge;
    buckets::compact(&mut difference);
    if let Some(interval) = interval {
        arithmetic::divide(&mut difference, interval);
    }
    Answer::Histogram(Arc::new(difference))
}

#[cfg(test)]
mod tests {
    use super::super::super::notes::NoteSet;
    use super::super::WindowSteps;
    use super::*;

    fn window<'a>(times: &'a [i64], values: &'a [f64], start: i64, end: i64) -> Window<'a> {
        Window {
            floats: Floats { times, values, starts: None },
            histograms: Histograms { times: &[], values: &[], starts: None },
            eval: end,
            start,
            end,
            borders: Borders::Plain,
        }
    }

    #[test]
    fn a_counter_is_not_extrapolated_below_zero() {
        // 1 at 10 s, 3 at 20 s: at this pace it was 0 at 5 s, so only 5 s are added on the left.
        let increase = of_floats(&window(&[10_000, 20_000], &[1.0, 3.0], 0, 20_000), Kind::Increase);
        assert_eq!(increase, Some(3.0));
        let delta = of_floats(&window(&[10_000, 20_000], &[1.0, 3.0], 0, 20_000), Kind::Delta);
        assert_eq!(delta, Some(4.0));
    }

    #[test]
    fn far_borders_get_half_a_distance() {
        let increase = of_floats(&window(&[50_000, 60_000], &[100.0, 110.0], 0, 60_000), Kind::Increase);
        assert_eq!(increase, Some(15.0));
    }

    #[test]
    fn one_sample_has_no_rate() {
        assert_eq!(of_floats(&window(&[1], &[1.0], 0, 10), Kind::Rate), None);
    }

    #[test]
    fn all_steps_at_once_give_what_each_step_gives() {
        let times: Vec<i64> = (0..200).map(|i| i * 15_000 + (i * 7919) % 4_000).collect();
        let values: Vec<f64> = (0..200).map(|i| ((i * 37) % 101) as f64 + f64::from(i as i32) * 0.1).collect();
        let floats = Floats { times: &times, values: &values, starts: None };
        let windows = WindowSteps { first_end: -60_000, step: 47_000, count: 80, length: 300_000 };
        let mut borders = Vec::new();
        windows.borders(&times, &mut borders);
        for kind in [Kind::Rate, Kind::Increase, Kind::Delta] {
            let mut all = vec![f64::NAN; windows.count];
            let steps = FloatSteps {
                borders: &borders,
                first_end: windows.first_end,
                step: windows.step,
                length: windows.length,
                seconds: 300.0,
            };
            of_float_series(floats, &steps, kind, &mut all);
            for (at, border) in borders.iter().enumerate() {
                let end = windows.first_end + at as i64 * windows.step;
                let part = floats.slice(*border);
                let single = of_floats(&window(part.times, part.values, end - 300_000, end), kind);
                assert_eq!(single.unwrap_or(f64::NAN).to_bits(), all[at].to_bits(), "{kind:?} step {at}");
            }
        }
    }

    #[test]
    fn irate_takes_the_value_itself_behind_a_reset() {
        let mut notes = NoteSet::default();
        let mut context =
            Context { metric: "m", span: Default::default(), notes: &mut notes, scratch: &mut Vec::new() };
        let fell = last_two(&window(&[0, 10_000], &[9.0, 4.0], -1, 10_000), true, &mut context);
        assert!(matches!(fell, Answer::Float(v) if v == 0.4));
    }

    #[test]
    fn nan_does_not_change_into_nan() {
        let changed = changes(&window(&[1, 2, 3], &[f64::NAN, f64::NAN, 1.0], 0, 3));
        assert!(matches!(changed, Answer::Float(v) if v == 1.0));
    }
}
