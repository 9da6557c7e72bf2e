//! What the reference computes with numbers. Sums are plain but over sorted magnitudes would not help either: it is
//! compared with a tolerance.

use model::labels::Labels;
use promql::syntax::ast::{AggregateOp, BinaryOp};
use promql::syntax::functions::FunctionId;

use super::Result;

pub(super) fn is_arithmetic(op: BinaryOp) -> bool {
    use BinaryOp as O;
    [O::Add, O::Sub, O::Mul, O::Div, O::Mod, O::Pow, O::Atan2].contains(&op)
}

/// The value and whether a comparison holds.
pub(super) fn operate(op: BinaryOp, a: f64, b: f64) -> (f64, bool) {
    match op {
        BinaryOp::Add => (a + b, true),
        BinaryOp::Sub => (a - b, true),
        BinaryOp::Mul => (a * b, true),
        BinaryOp::Div => (a / b, true),
        BinaryOp::Mod => (a % b, true),
        BinaryOp::Pow => (a.powf(b), true),
        BinaryOp::Atan2 => (a.atan2(b), true),
        BinaryOp::Eq => (a, a == b),
        BinaryOp::Ne => (a, a != b),
        BinaryOp::Lt => (a, a < b),
        BinaryOp::Le => (a, a <= b),
        BinaryOp::Gt => (a, a > b),
        BinaryOp::Ge => (a, a >= b),
        _ => (a, false),
    }
}

/// NaN last, else the larger or the smaller first.
fn before(a: f64, b: f64, larger_first: bool) -> bool {
    if a.is_nan() || b.is_nan() {
        return !a.is_nan();
    }
    if larger_first { a > b } else { a < b }
}

pub(super) fn extremes(members: Vec<(Labels, f64)>, k: f64, larger: bool) -> Vec<(Labels, f64)> {
    let mut kept: Vec<(Labels, f64)> = Vec::new();
    for (labels, value) in members {
        let at = kept.iter().position(|(_, other)| before(value, *other, larger)).unwrap_or(kept.len());
        kept.insert(at, (labels, value));
    }
    kept.truncate(if k < 1.0 { 0 } else { k as usize });
    kept
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let (mut numbers, nans): (Vec<f64>, Vec<f64>) = values.iter().partition(|value| !value.is_nan());
    numbers.sort_by(f64::total_cmp);
    nans.into_iter().chain(numbers).collect()
}

fn quantile(q: f64, values: &[f64]) -> f64 {
    if q.is_nan() || values.is_empty() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let values = sorted(values);
    let rank = q * (values.len() - 1) as f64;
    let low = rank.floor();
    let high = (low + 1.0).min((values.len() - 1) as f64);
    let weight = rank - low;
    values[low as usize] * (1.0 - weight) + values[high as usize] * weight
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64
}

fn extreme(values: &[f64], larger: bool) -> f64 {
    let mut best = values[0];
    for value in values {
        if before(*value, best, larger) {
            best = *value;
        }
    }
    best
}

pub(super) fn aggregate(op: AggregateOp, values: &[f64], param: f64) -> Result<f64> {
    Ok(match op {
        AggregateOp::Sum => values.iter().sum(),
        AggregateOp::Avg => mean(values),
        AggregateOp::Count => values.len() as f64,
        AggregateOp::Group => 1.0,
        AggregateOp::Min => extreme(values, false),
        AggregateOp::Max => extreme(values, true),
        AggregateOp::Stddev => variance(values).sqrt(),
        AggregateOp::Stdvar => variance(values),
        AggregateOp::Quantile => quantile(param, values),
        other => return Err(format!("unknown to the reference: {other:?}")),
    })
}

fn slope(samples: &[(i64, f64)], origin: i64) -> (f64, f64) {
    let n = samples.len() as f64;
    let points = || samples.iter().map(|(time, value)| ((time - origin) as f64 / 1000.0, *value));
    if samples.iter().all(|(_, value)| *value == samples[0].1) {
        return if samples[0].1.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, samples[0].1) };
    }
    let (mx, my) = (points().map(|(x, _)| x).sum::<f64>() / n, points().map(|(_, y)| y).sum::<f64>() / n);
    let covariance: f64 = points().map(|(x, y)| (x - mx) * (y - my)).sum();
    let spread: f64 = points().map(|(x, _)| (x - mx) * (x - mx)).sum();
    let slope = covariance / spread;
    (slope, my - slope * mx)
}

/// The increase, extrapolated to the borders.
fn increase(samples: &[(i64, f64)], start: i64, end: i64, counter: bool) -> Option<f64> {
    if samples.len() < 2 {
        return None;
    }
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    let mut grown = last.1 - first.1;
    if counter {
        grown += samples.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum::<f64>();
    }
    let sampled = (last.0 - first.0) as f64;
    let average = sampled / (samples.len() - 1) as f64;
    let reach = |gap: i64| if (gap as f64) < average * 1.1 { gap as f64 } else { average / 2.0 };
    let mut left = reach(first.0 - start);
    if counter && grown > 0.0 && first.1 >= 0.0 {
        left = left.min(sampled * (first.1 / grown));
    }
    Some(grown * (sampled + left + reach(end - last.0)) / sampled)
}

pub(super) fn over(
    function: FunctionId,
    samples: &[(i64, f64)],
    (start, end, t): (i64, i64, i64),
    param: f64,
) -> Result<Option<f64>> {
    use FunctionId as F;
    let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
    let pairs = || values.windows(2);
    let last_two = (samples.len() >= 2).then(|| (samples[samples.len() - 2], samples[samples.len() - 1]));
    let seconds = (end - start) as f64 / 1000.0;
    Ok(match function {
        F::Rate => increase(samples, start, end, true).map(|grown| grown / seconds),
        F::Increase => increase(samples, start, end, true),
        F::Delta => increase(samples, start, end, false),
        F::Irate => last_two.map(|(a, b)| {
            let grown = if b.1 < a.1 { b.1 } else { b.1 - a.1 };
            grown / ((b.0 - a.0) as f64 / 1000.0)
        }),
        F::Idelta => last_two.map(|(a, b)| b.1 - a.1),
        F::Changes => {
            let differ = |pair: &[f64]| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan());
            Some(pairs().filter(|pair| differ(pair)).count() as f64)
        }
        F::Resets => Some(pairs().filter(|pair| pair[1] < pair[0]).count() as f64),
        F::SumOverTime => Some(values.iter().sum()),
        F::AvgOverTime => Some(mean(&values)),
        F::CountOverTime => Some(values.len() as f64),
        F::MinOverTime => Some(extreme(&values, false)),
        F::MaxOverTime => Some(extreme(&values, true)),
        F::StddevOverTime => Some(variance(&values).sqrt()),
        F::StdvarOverTime => Some(variance(&values)),
        F::LastOverTime => values.last().copied(),
        F::FirstOverTime => values.first().copied(),
        F::PresentOverTime => Some(1.0),
        F::QuantileOverTime => Some(quantile(param, &values)),
        F::Deriv => (samples.len() >= 2).then(|| slope(samples, samples[0].0).0),
        F::PredictLinear => (samples.len() >= 2).then(|| {
            let (slope, now) = slope(samples, t);
            slope * param + now
        }),
        other => return Err(format!("unknown to the reference: {other:?}")),
    })
}
