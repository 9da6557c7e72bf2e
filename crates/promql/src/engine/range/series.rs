//! Functions over all windows of one float series at once: what neighbouring windows share is computed once.
//!
//! Every kernel gives bit for bit what the function gives on each window by itself; where that would need another
//! order of additions, it falls back to the single windows. Start timestamps and histograms go the general way.

use std::collections::VecDeque;

use model::query::QueryError;

use super::super::limits::Budget;
use super::rate::Kind;
use super::{Floats, over_time};

/// How many samples single windows may look at between two looks at the cancel flag: less than a millisecond.
const SAMPLES_BETWEEN_LOOKS: u64 = 1 << 16;

/// Sums of whole numbers stay exact below this, in whatever order they are added.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The windows of all steps: the first index inside, the first behind.
pub(crate) type Borders = [(u32, u32)];

/// Where the windows of a rate lie in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateSteps {
    pub(crate) first_end: i64,
    pub(crate) step: i64,
    pub(crate) length: i64,
    pub(crate) kind: Kind,
}

/// What the times of a window alone say of a rate over it: how far the samples reach, how far they are extrapolated.
/// Series with the same times share it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    low: u32,
    /// The last sample; not behind `low` where there are less than two.
    last: u32,
    sampled: f64,
    to_start: f64,
    to_end: f64,
    /// What the increase is multiplied with, unless the counter would have been negative.
    factor: f64,
}

impl RateSteps {
    fn factor(&self, reach: &Reach, to_start: f64) -> f64 {
        let factor = (reach.sampled + to_start + reach.to_end) / reach.sampled;
        if self.kind == Kind::Rate { factor / (self.length as f64 / 1000.0) } else { factor }
    }

    /// The reach of every window.
    pub(crate) fn reaches(&self, times: &[i64], borders: &Borders, out: &mut Vec<Reach>) {
        out.clear();
        let mut end = self.first_end;
        for (low, high) in borders {
            let none = Reach { low: *low, last: *low, sampled: 0.0, to_start: 0.0, to_end: 0.0, factor: 0.0 };
            out.push(if high - low < 2 { none } else { self.reach(times, (*low, high - 1), end) });
            end += self.step;
        }
    }

    /// Rounds exactly as the rate of a single window does.
    fn reach(&self, times: &[i64], (low, last): (u32, u32), end: i64) -> Reach {
        let (first_time, last_time) = (times[low as usize], times[last as usize]);
        let sampled = (last_time - first_time) as f64 / 1000.0;
        let average = sampled / f64::from(last - low);
        let threshold = average * 1.1;
        let bounded = |distance: f64| if distance >= threshold { average / 2.0 } else { distance };
        let to_start = bounded((first_time - (end - self.length)) as f64 / 1000.0);
        let to_end = bounded((end - last_time) as f64 / 1000.0);
        let mut reach = Reach { low, last, sampled, to_start, to_end, factor: 0.0 };
        reach.factor = self.factor(&reach, to_start);
        reach
    }

    /// The rates of a series without start timestamps. What resets took is kept in a list, so that a step costs what it
    /// has of resets and not of samples.
    pub(crate) fn rates(&self, values: &[f64], reaches: &[Reach], resets: &mut Vec<u32>, out: &mut [f64]) {
        resets.clear();
        let is_counter = self.kind.is_counter();
        if is_counter {
            find_resets(values, resets);
        }
        let mut passed = 0;
        for (out, reach) in out.iter_mut().zip(reaches) {
            if reach.last <= reach.low {
                continue;
            }
            let first = values[reach.low as usize];
            let mut increase = values[reach.last as usize] - first;
            while passed < resets.len() && resets[passed] <= reach.low {
                passed += 1;
            }
            for reset in resets[passed..].iter().take_while(|reset| **reset <= reach.last) {
                increase += values[*reset as usize - 1];
            }
            let factor = if is_counter && increase > 0.0 && first >= 0.0 && may_reach_zero(first, increase, reach) {
                let to_zero = reach.sampled * (first / increase);
                self.factor(reach, if to_zero < reach.to_start { to_zero } else { reach.to_start })
            } else {
                reach.factor
            };
            *out = increase * factor;
        }
    }
}

/// Whether the counter may have been zero within the extrapolated start. Says no only where rounding cannot matter:
/// that saves the division in nearly all windows.
#[inline]
fn may_reach_zero(first: f64, increase: f64, reach: &Reach) -> bool {
    let (left, right) = (first * reach.sampled, reach.to_start * increase);
    let surely_not = left > right * 1.000_001 && right > 1e-280 && left < f64::MAX;
    !surely_not
}

/// The rows that lie below the one before. Most stretches have none, which is found out without branches.
fn find_resets(values: &[f64], resets: &mut Vec<u32>) {
    const STRETCH: usize = 64;
    let mut from = 1;
    while from < values.len() {
        let to = (from + STRETCH).min(values.len());
        let (before, now) = (&values[from - 1..to - 1], &values[from..to]);
        if before.iter().zip(now).fold(false, |fell, (before, now)| fell | (now < before)) {
            resets.extend((from..to).filter(|row| values[*row] < values[*row - 1]).map(|row| row as u32));
        }
        from = to;
    }
}

/// Memory for kernels.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) resets: Vec<u32>,
    sums: Vec<f64>,
    best: VecDeque<u32>,
}

/// Whether windows overlap so much that sliding is cheaper than looking at each by itself.
fn overlap(floats: &Floats<'_>, borders: &Borders) -> bool {
    let looked_at: u64 = borders.iter().map(|(low, high)| u64::from(high - low)).sum();
    looked_at > 3 * floats.len() as u64
}

/// Each window by itself.
pub(crate) fn each(
    floats: Floats<'_>,
    borders: &Borders,
    out: &mut [f64],
    budget: &Budget,
    compute: impl Fn(&[f64]) -> f64,
) -> Result<(), QueryError> {
    let mut looked_at = 0;
    for (out, (low, high)) in out.iter_mut().zip(borders) {
        if low < high {
            *out = compute(&floats.values[*low as usize..*high as usize]);
            looked_at += u64::from(high - low);
            if looked_at > SAMPLES_BETWEEN_LOOKS {
                budget.go_on()?;
                looked_at = 0;
            }
        }
    }
    Ok(())
}

/// `sum_over_time` or, with `mean`, `avg_over_time`.
pub(crate) fn sums(
    floats: Floats<'_>,
    borders: &Borders,
    out: &mut [f64],
    (mean, budget, scratch): (bool, &Budget, &mut Scratch),
) -> Result<(), QueryError> {
    if !overlap(&floats, borders) || !running_sums(floats.values, &mut scratch.sums) {
        let compute = if mean { over_time::mean_of } else { over_time::sum_of };
        return each(floats, borders, out, budget, compute);
    }
    for (out, (low, high)) in out.iter_mut().zip(borders) {
        if low < high {
            let sum = scratch.sums[*high as usize] - scratch.sums[*low as usize];
            *out = if mean { sum / f64::from(high - low) } else { sum };
        }
    }
    Ok(())
}

/// The sum of all values before each row, where all such sums are exact: whole numbers that stay small enough.
fn running_sums(values: &[f64], sums: &mut Vec<f64>) -> bool {
    sums.clear();
    let (mut sum, mut size, mut fraction) = (0.0, 0.0, false);
    sums.push(0.0);
    for value in values {
        sum += value;
        size += value.abs();
        fraction |= value.trunc() != *value;
        sums.push(sum);
    }
    // Written so that NaN and infinities fail, too.
    !fraction && size < EXACT_MAX
}

/// `max_over_time`
pub(crate) fn maxima(
    floats: Floats<'_>,
    borders: &Borders,
    out: &mut [f64],
    (budget, scratch): (&Budget, &mut Scratch),
) -> Result<(), QueryError> {
    if !overlap(&floats, borders) {
        return each(floats, borders, out, budget, over_time::max_of);
    }
    extremes(floats.values, borders, out, &mut scratch.best, |value, best| value > best);
    Ok(())
}

/// `min_over_time`
pub(crate) fn minima(
    floats: Floats<'_>,
    borders: &Borders,
    out: &mut [f64],
    (budget, scratch): (&Budget, &mut Scratch),
) -> Result<(), QueryError> {
    if !overlap(&floats, borders) {
        return each(floats, borders, out, budget, over_time::min_of);
    }
    extremes(floats.values, borders, out, &mut scratch.best, |value, best| value < best);
    Ok(())
}

/// Keeps the rows that may still become the best of a window: each worse than the one before it. Of equal values the
/// first one stays, as when looking at the window from its start.
fn extremes(
    values: &[f64],
    borders: &Borders,
    out: &mut [f64],
    best: &mut VecDeque<u32>,
    beats: impl Fn(f64, f64) -> bool,
) {
    best.clear();
    let mut next = 0;
    for (out, (low, high)) in out.iter_mut().zip(borders) {
        next = next.max(*low);
        while next < *high {
            let value = values[next as usize];
            if !value.is_nan() {
                while best.back().is_some_and(|row| beats(value, values[*row as usize])) {
                    best.pop_back();
                }
                best.push_back(next);
            }
            next += 1;
        }
        while best.front().is_some_and(|row| row < low) {
            best.pop_front();
        }
        if low < high {
            *out = best.front().map_or(f64::NAN, |row| values[*row as usize]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::WindowSteps;
    use super::*;
    use crate::engine::limits::{Bounds, ProcessBudget};
    use model::query::CancelFlag;
    use model::time::{ManualClock, Timestamp};
    use std::sync::Arc;
    use std::time::Duration;

    fn budget() -> Budget {
        let bounds = Bounds { samples_max: 1, bytes_max: 1, timeout: Duration::from_secs(1) };
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        Budget::new(bounds, Arc::new(ProcessBudget::new(1)), clock, CancelFlag::default())
    }

    /// Irregular times and the borders of windows over them.
    fn windows(length: i64) -> (Vec<i64>, Vec<(u32, u32)>) {
        let times: Vec<i64> = (0..200).map(|i| i * 15_000 + (i * 7919) % 4_000).collect();
        let steps = WindowSteps { first_end: -60_000, step: 47_000, count: 80, length };
        let mut borders = Vec::new();
        steps.borders(&times, &mut borders);
        (times, borders)
    }

    fn values() -> [Vec<f64>; 3] {
        let whole = (0..200).map(|i| f64::from((i * 37) % 101 - 20)).collect();
        let broken = (0..200).map(|i| f64::from((i * 37) % 101) + f64::from(i) * 0.1).collect();
        let odd = [f64::NAN, 1.0, -0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, 2.5, 2.5, f64::NAN, f64::NAN];
        [whole, broken, (0..200).map(|i| odd[(i * 7 + i / 10) % 10]).collect()]
    }

    #[test]
    fn sliding_gives_what_each_window_gives() {
        type Kernel = fn(Floats<'_>, &Borders, &mut [f64], &Budget, &mut Scratch) -> Result<(), QueryError>;
        type Single = fn(&[f64]) -> f64;
        let kernels: [(Kernel, Single); 4] = [
            (|f, b, o, budget, s| sums(f, b, o, (false, budget, s)), over_time::sum_of),
            (|f, b, o, budget, s| sums(f, b, o, (true, budget, s)), over_time::mean_of),
            (|f, b, o, budget, s| maxima(f, b, o, (budget, s)), over_time::max_of),
            (|f, b, o, budget, s| minima(f, b, o, (budget, s)), over_time::min_of),
        ];
        for length in [10_000, 61_000, 600_000] {
            let (times, borders) = windows(length);
            for values in values() {
                let floats = Floats { times: &times, values: &values, starts: None };
                for (number, (kernel, single)) in kernels.iter().enumerate() {
                    let mut out = vec![7.75; borders.len()];
                    kernel(floats, &borders, &mut out, &budget(), &mut Scratch::default()).expect("nobody cancels");
                    for ((low, high), got) in borders.iter().zip(&out) {
                        let window = &values[*low as usize..*high as usize];
                        let expected = if window.is_empty() { 7.75 } else { single(window) };
                        let equal = expected.to_bits() == got.to_bits() || (expected.is_nan() && got.is_nan());
                        assert!(equal, "kernel {number}, {length} ms: {expected} and {got} of {window:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn sums_slide_only_where_they_are_exact() {
        let mut sums = Vec::new();
        assert!(running_sums(&[1.0, 2.0, -3.0], &mut sums));
        assert_eq!(sums, [0.0, 1.0, 3.0, 0.0]);
        for values in [[0.5, 1.0], [f64::NAN, 1.0], [f64::INFINITY, 1.0], [9e15, 9e15]] {
            assert!(!running_sums(&values, &mut sums), "{values:?}");
        }
    }

    #[test]
    fn resets_are_found_across_stretches() {
        let mut values: Vec<f64> = (0..200).map(f64::from).collect();
        values[64] = 1.0;
        values[199] = 0.0;
        let mut resets = Vec::new();
        find_resets(&values, &mut resets);
        assert_eq!(resets, [64, 199]);
    }

    #[test]
    fn a_long_look_at_single_windows_is_given_up() {
        let times: Vec<i64> = (0..1_000).collect();
        let values = vec![0.5; 1_000];
        let borders = vec![(0, 1_000); 500];
        let cancel = CancelFlag::default();
        let bounds = Bounds { samples_max: 1, bytes_max: 1, timeout: Duration::from_secs(1) };
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let budget = Budget::new(bounds, Arc::new(ProcessBudget::new(1)), clock, cancel.clone());
        cancel.cancel();
        let seen = std::cell::Cell::new(0u64);
        let floats = Floats { times: &times, values: &values, starts: None };
        let result = each(floats, &borders, &mut vec![0.0; 500], &budget, |window| {
            seen.set(seen.get() + window.len() as u64);
            0.0
        });
        assert!(matches!(result, Err(QueryError::Cancelled(_))));
        assert!(seen.get() < SAMPLES_BETWEEN_LOOKS + 2_000);
    }
}
