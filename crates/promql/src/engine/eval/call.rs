//! Function calls: which function is done by whom.

use model::query::QueryError;

use super::super::plan::{CallNode, Grid, Kind, Node};
use super::frame::{Frame, Head, Stream};
use super::map::{self, Operation};
use super::select::{self, Reading};
use super::sort::{self, By};
use super::{Run, classic, info, labels, misplaced, range};
use crate::engine::column::Cell;
use crate::engine::date;
use crate::engine::histogram::estimate;
use crate::syntax::functions::FunctionId;
use FunctionId as F;

/// A function that gives a scalar.
pub(crate) fn scalar(run: &Run<'_>, call: &CallNode, grid: Grid) -> Result<Vec<f64>, QueryError> {
    let constant = |value: f64| Ok(vec![value; grid.count]);
    let pairwise = |join: fn(f64, f64) -> f64| -> Result<Vec<f64>, QueryError> {
        let [a, b] = call.args.as_slice() else { return Err(wrong_arguments(call)) };
        Ok(run.scalar(a, grid)?.into_iter().zip(run.scalar(b, grid)?).map(|(a, b)| join(a, b)).collect())
    };
    match call.function {
        F::Time => Ok((0..grid.count).map(|step| grid.time(step) as f64 / 1000.0).collect()),
        F::Pi => constant(std::f64::consts::PI),
        F::Start => constant(run.times.start as f64 / 1000.0),
        F::End => constant(run.times.end as f64 / 1000.0),
        F::Step => constant(run.times.step as f64 / 1000.0),
        F::Range => constant((run.times.end - run.times.start) as f64 / 1000.0),
        F::MinOf => pairwise(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }),
        F::MaxOf => pairwise(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }),
        F::Scalar => {
            let [argument] = call.args.as_slice() else { return Err(wrong_arguments(call)) };
            single_values(run, argument, grid)
        }
        _ => Err(wrong_arguments(call)),
    }
}

/// `scalar(v)`: the value of the only float there is, else NaN.
fn single_values(run: &Run<'_>, argument: &Node, grid: Grid) -> Result<Vec<f64>, QueryError> {
    let stream = run.stream(argument, grid)?;
    let mut values = vec![f64::NAN; grid.count];
    let mut seen = vec![0u8; grid.count];
    super::drive::drive(run, stream, grid, &mut |_, column| {
        for (step, (value, seen)) in values.iter_mut().zip(&mut seen).enumerate() {
            if let Cell::Float(float) = column.get(step) {
                *value = if *seen == 0 { float } else { f64::NAN };
                *seen = 1;
            }
        }
        Ok(())
    })?;
    Ok(values)
}

fn wrong_arguments(call: &CallNode) -> QueryError {
    QueryError::Execution(format!("wrong arguments for {}", call.function.get().name))
}

/// A function that gives a vector.
pub(crate) fn vector<'r>(run: &'r Run<'r>, call: &'r CallNode, grid: Grid) -> Result<Stream<'r>, QueryError> {
    if let Some(operation) = of_each_value(call.function) {
        return match call.args.first() {
            Some(argument) => map::apply(run, run.stream(argument, grid)?, operation, grid),
            None => of_step_time(run, call.function, grid),
        };
    }
    match (call.function, call.args.as_slice()) {
        (F::Vector, [argument]) => run.scalar_as_stream(argument, grid),
        (F::Round, [argument]) => map::apply(run, run.stream(argument, grid)?, rounding(vec![1.0; grid.count]), grid),
        (F::Round, [argument, to]) => {
            map::apply(run, run.stream(argument, grid)?, rounding(run.scalar(to, grid)?), grid)
        }
        (F::Clamp | F::ClampMin | F::ClampMax, [argument, bounds @ ..]) => {
            let operation = clamping(run, call.function, bounds, grid)?;
            map::apply(run, run.stream(argument, grid)?, operation, grid)
        }
        (F::Timestamp, [argument]) => times(run, argument, Reading::Time, grid),
        (F::StartTimestamp, [argument]) => times(run, argument, Reading::StartTime, grid),
        (F::Absent, [argument]) => {
            let mut present = vec![false; grid.count];
            note_presence(run, run.stream(argument, grid)?, &mut present, grid)?;
            labels::absent(run, &present, argument)
        }
        (F::AbsentOverTime, [argument]) => {
            let mut present = vec![false; grid.count];
            note_presence(run, over_range(run, call, argument, &[], grid)?, &mut present, grid)?;
            labels::absent(run, &present, argument)
        }
        (F::Sort | F::SortDesc, [argument]) => {
            let descending = call.function == F::SortDesc;
            sort::sort(run, run.stream(argument, grid)?, (&By::Value, descending), grid, argument.outer)
        }
        (F::SortByLabel | F::SortByLabelDesc, [argument, names @ ..]) => {
            let by = By::Labels(strings(names)?);
            let descending = call.function == F::SortByLabelDesc;
            sort::sort(run, run.stream(argument, grid)?, (&by, descending), grid, argument.outer)
        }
        (F::LabelReplace, [argument, rest @ ..]) => {
            let rest = strings(rest)?;
            let [dst, replacement, src, pattern] = rest.as_slice() else { return Err(wrong_arguments(call)) };
            labels::replace(run, run.stream(argument, grid)?, [dst, replacement, src, pattern], grid)
        }
        (F::LabelJoin, [argument, rest @ ..]) => {
            let rest = strings(rest)?;
            let [dst, separator, sources @ ..] = rest.as_slice() else { return Err(wrong_arguments(call)) };
            labels::join(run, run.stream(argument, grid)?, (dst, separator, sources), grid)
        }
        (F::Info, [argument, selector @ ..]) => info::info(run, argument, selector.first(), grid),
        (F::HistogramQuantile, [quantile, argument]) => classic::quantile(run, quantile, argument, grid),
        (F::HistogramQuantiles, [argument, label, quantiles @ ..]) => {
            classic::quantiles(run, argument, &string(label)?, quantiles, grid)
        }
        (F::HistogramFraction, [lower, upper, argument]) => classic::fraction(run, [lower, upper], argument, grid),
        (F::QuantileOverTime, [quantile, argument]) => over_range(run, call, argument, &[quantile], grid),
        (F::PredictLinear, [argument, seconds]) => over_range(run, call, argument, &[seconds], grid),
        (F::DoubleExponentialSmoothing, [argument, smoothing, trend]) => {
            over_range(run, call, argument, &[smoothing, trend], grid)
        }
        (_, [argument]) if matches!(argument.kind, Kind::Subquery(_)) || is_range(argument) => {
            over_range(run, call, argument, &[], grid)
        }
        _ => Err(wrong_arguments(call)),
    }
}

fn is_range(node: &Node) -> bool {
    matches!(&node.kind, Kind::Selector(selector) if selector.range > 0)
}

fn over_range<'r>(
    run: &'r Run<'r>,
    call: &'r CallNode,
    argument: &'r Node,
    params: &[&Node],
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let params = params.iter().map(|param| run.scalar(param, grid)).collect::<Result<Vec<_>, _>>()?;
    // Annotations point at the first argument, whatever it is.
    let span = call.args.first().map_or(argument.outer, |first| first.outer);
    range::function(run, range::Job { function: call.function, range: argument, params, span }, grid)
}

fn strings(nodes: &[Node]) -> Result<Vec<String>, QueryError> {
    nodes.iter().map(string).collect()
}

fn string(node: &Node) -> Result<String, QueryError> {
    match &node.kind {
        Kind::String(text) => Ok(text.clone()),
        _ => Err(misplaced(node)),
    }
}

fn note_presence(run: &Run<'_>, stream: Stream<'_>, present: &mut [bool], grid: Grid) -> Result<(), QueryError> {
    super::drive::drive(run, stream, grid, &mut |_, column| {
        for (step, present) in present.iter_mut().enumerate() {
            *present = *present || column.is_present(step);
        }
        Ok(())
    })
}

/// `timestamp`, `start_timestamp`: of a selector the sample's own, else the time of evaluation.
fn times<'r>(run: &'r Run<'r>, argument: &'r Node, reading: Reading, grid: Grid) -> Result<Stream<'r>, QueryError> {
    match &argument.kind {
        // Without the switch nobody knows when anything began.
        _ if reading == Reading::StartTime && !run.settings.features.start_timestamps => Ok(Frame::default().into()),
        Kind::Selector(selector) if selector.range == 0 => {
            select::instant(run, selector, grid, reading)?.check_same(run, grid)
        }
        _ if reading == Reading::Time => map::apply(run, run.stream(argument, grid)?, Operation::StepTime, grid),
        // A computed value has not begun at any time.
        _ => run.frame(argument, grid).map(|_| Frame::default().into()),
    }
}

fn rounding(to: Vec<f64>) -> Operation {
    let unused = vec![0.0; to.len()];
    Operation::FloatWith(map::round, to, unused)
}

fn clamping(run: &Run<'_>, function: FunctionId, bounds: &[Node], grid: Grid) -> Result<Operation, QueryError> {
    let bounds = bounds.iter().map(|bound| run.scalar(bound, grid)).collect::<Result<Vec<_>, _>>()?;
    let open = |value: f64| vec![value; grid.count];
    match (function, <[Vec<f64>; 2]>::try_from(bounds)) {
        (F::Clamp, Ok([low, high])) => Ok(Operation::Clamp(low, high)),
        (F::ClampMin, Err(mut one)) if one.len() == 1 => Ok(Operation::Clamp(one.remove(0), open(f64::INFINITY))),
        (F::ClampMax, Err(mut one)) if one.len() == 1 => Ok(Operation::Clamp(open(f64::NEG_INFINITY), one.remove(0))),
        _ => Err(QueryError::Execution(format!("wrong arguments for {}", function.get().name))),
    }
}

/// A date function without argument tells about the time of the step.
fn of_step_time<'r>(run: &Run<'_>, function: FunctionId, grid: Grid) -> Result<Stream<'r>, QueryError> {
    let values = (0..grid.count).map(|step| date::of(function, (grid.time(step) as f64 / 1000.0).floor())).collect();
    let mut frame = Frame::default();
    let head = Head { labels: model::labels::Labels::empty(), dropped: false };
    frame.push(head, crate::engine::column::Column::of_floats(values), &run.budget)?;
    Ok(Stream::Frame(frame))
}

/// The functions of one number, and of one histogram.
fn of_each_value(function: FunctionId) -> Option<Operation> {
    let compute: fn(f64) -> f64 = match function {
        F::Abs => f64::abs,
        F::Ceil => f64::ceil,
        F::Floor => f64::floor,
        F::Exp => f64::exp,
        F::Sqrt => f64::sqrt,
        F::Ln => f64::ln,
        F::Log2 => f64::log2,
        F::Log10 => f64::log10,
        F::Sin => f64::sin,
        F::Cos => f64::cos,
        F::Tan => f64::tan,
        F::Asin => f64::asin,
        F::Acos => f64::acos,
        F::Atan => f64::atan,
        F::Sinh => f64::sinh,
        F::Cosh => f64::cosh,
        F::Tanh => f64::tanh,
        F::Asinh => f64::asinh,
        F::Acosh => f64::acosh,
        F::Atanh => f64::atanh,
        F::Rad => |degrees| degrees * std::f64::consts::PI / 180.0,
        F::Deg => |radians| radians * 180.0 / std::f64::consts::PI,
        F::Sgn => map::sign,
        F::DaysInMonth => |time| date::of(F::DaysInMonth, time),
        F::DayOfMonth => |time| date::of(F::DayOfMonth, time),
        F::DayOfWeek => |time| date::of(F::DayOfWeek, time),
        F::DayOfYear => |time| date::of(F::DayOfYear, time),
        F::Hour => |time| date::of(F::Hour, time),
        F::Minute => |time| date::of(F::Minute, time),
        F::Month => |time| date::of(F::Month, time),
        F::Year => |time| date::of(F::Year, time),
        F::HistogramCount => return Some(Operation::Histogram(|histogram| histogram.count)),
        F::HistogramSum => return Some(Operation::Histogram(|histogram| histogram.sum)),
        F::HistogramAvg => return Some(Operation::Histogram(map::histogram_average)),
        F::HistogramStddev => return Some(Operation::Histogram(map::histogram_deviation)),
        F::HistogramStdvar => return Some(Operation::Histogram(estimate::variance)),
        _ => return None,
    };
    Some(Operation::Float(compute))
}
