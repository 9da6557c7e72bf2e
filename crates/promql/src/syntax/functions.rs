//! The catalogue of the 90 functions: names, types, and the line of help an editor shows.
//!
//! Promises: sorted by name; a function stands at the index of its [`FunctionId`].
//! Not here: what they compute (the engine), whether a call fits (`check`).

use super::ast::ValueType;
use super::ast::ValueType::{Matrix, Scalar, String as Text, Vector};

/// One function of the language.
#[derive(Debug)]
pub struct Function {
    pub id: FunctionId,
    pub name: &'static str,
    /// The types of the arguments; the last one stands for all further ones.
    pub args: &'static [ValueType],
    /// 0: exactly `args`. n > 0: the last of `args` may be missing, and there may be n-1 more than `args`
    /// minus one. -1: any number more. As the HTTP API reports it.
    pub variadic: i32,
    pub returns: ValueType,
    /// Whether it needs the switch for experimental functions.
    pub experimental: bool,
    /// How it is called, with the names of the arguments.
    pub signature: &'static str,
    /// What it is for, in one line.
    pub doc: &'static str,
}

impl Function {
    /// The fewest and the most arguments a call may have; `None` is any number.
    #[must_use]
    pub fn arity(&self) -> (usize, Option<usize>) {
        let listed = self.args.len();
        match self.variadic {
            0 => (listed, Some(listed)),
            more if more > 0 => {
                (listed.saturating_sub(1), Some(listed.saturating_sub(1) + more.unsigned_abs() as usize))
            }
            _ => (listed.saturating_sub(1), None),
        }
    }

    /// The type wanted at an argument position.
    #[must_use]
    pub fn arg_type(&self, index: usize) -> Option<ValueType> {
        self.args.get(index).or(self.args.last()).copied()
    }
}

/// Entries are compared by identity of the function, not by their texts.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Function {}

/// The function of a name, as it must be written (case matters).
#[must_use]
pub fn lookup(name: &str) -> Option<&'static Function> {
    let index = FUNCTIONS.binary_search_by_key(&name, |function| function.name).ok()?;
    FUNCTIONS.get(index)
}

/// Which function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FunctionId {
    Abs,
    Absent,
    AbsentOverTime,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    AvgOverTime,
    Ceil,
    Changes,
    Clamp,
    ClampMax,
    ClampMin,
    Cos,
    Cosh,
    CountOverTime,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Deg,
    Delta,
    Deriv,
    DoubleExponentialSmoothing,
    End,
    Exp,
    FirstOverTime,
    Floor,
    HistogramAvg,
    HistogramCount,
    HistogramFraction,
    HistogramQuantile,
    HistogramQuantiles,
    HistogramStddev,
    HistogramStdvar,
    HistogramSum,
    Hour,
    Idelta,
    Increase,
    Info,
    Irate,
    LabelJoin,
    LabelReplace,
    LastOverTime,
    Ln,
    Log10,
    Log2,
    MadOverTime,
    MaxOf,
    MaxOverTime,
    MinOf,
    MinOverTime,
    Minute,
    Month,
    Pi,
    PredictLinear,
    PresentOverTime,
    QuantileOverTime,
    Rad,
    Range,
    Rate,
    Resets,
    Round,
    Scalar,
    Sgn,
    Sin,
    Sinh,
    Sort,
    SortByLabel,
    SortByLabelDesc,
    SortDesc,
    Sqrt,
    Start,
    StartTimestamp,
    StddevOverTime,
    StdvarOverTime,
    Step,
    SumOverTime,
    Tan,
    Tanh,
    Time,
    Timestamp,
    TsOfFirstOverTime,
    TsOfLastOverTime,
    TsOfMaxOverTime,
    TsOfMinOverTime,
    Vector,
    Year,
}

impl FunctionId {
    /// Its entry in the catalogue.
    #[must_use]
    pub const fn get(self) -> &'static Function {
        &FUNCTIONS[self as usize]
    }
}

/// Shorthand of the table below; the two flags are variadic and experimental.
const fn entry(
    id: FunctionId,
    name: &'static str,
    types: (&'static [ValueType], i32, ValueType),
    experimental: bool,
    texts: (&'static str, &'static str),
) -> Function {
    let (args, variadic, returns) = types;
    let (signature, doc) = texts;
    Function { id, name, args, variadic, returns, experimental, signature, doc }
}

/// All functions, sorted by name: types, variadic, result, experimental; how it is called, what it is for.
#[rustfmt::skip]
pub static FUNCTIONS: [Function; 90] = [
    entry(FunctionId::Abs, "abs", (&[Vector], 0, Vector), false,
        ("abs(v instant-vector)", "The value without its sign.")),
    entry(FunctionId::Absent, "absent", (&[Vector], 0, Vector), false,
        ("absent(v instant-vector)", "1 where the argument is empty, nothing otherwise: the alert for something that should be there.")),
    entry(FunctionId::AbsentOverTime, "absent_over_time", (&[Matrix], 0, Vector), false,
        ("absent_over_time(v range-vector)", "1 where the series had no sample in the range, nothing otherwise.")),
    entry(FunctionId::Acos, "acos", (&[Vector], 0, Vector), false,
        ("acos(v instant-vector)", "The arc cosine, in radians.")),
    entry(FunctionId::Acosh, "acosh", (&[Vector], 0, Vector), false,
        ("acosh(v instant-vector)", "The inverse hyperbolic cosine.")),
    entry(FunctionId::Asin, "asin", (&[Vector], 0, Vector), false,
        ("asin(v instant-vector)", "The arc sine, in radians.")),
    entry(FunctionId::Asinh, "asinh", (&[Vector], 0, Vector), false,
        ("asinh(v instant-vector)", "The inverse hyperbolic sine.")),
    entry(FunctionId::Atan, "atan", (&[Vector], 0, Vector), false,
        ("atan(v instant-vector)", "The arc tangent, in radians.")),
    entry(FunctionId::Atanh, "atanh", (&[Vector], 0, Vector), false,
        ("atanh(v instant-vector)", "The inverse hyperbolic tangent.")),
    entry(FunctionId::AvgOverTime, "avg_over_time", (&[Matrix], 0, Vector), false,
        ("avg_over_time(v range-vector)", "The mean of the samples in the range.")),
    entry(FunctionId::Ceil, "ceil", (&[Vector], 0, Vector), false,
        ("ceil(v instant-vector)", "The value rounded up to a whole number.")),
    entry(FunctionId::Changes, "changes", (&[Matrix], 0, Vector), false,
        ("changes(v range-vector)", "How often the value changed within the range.")),
    entry(FunctionId::Clamp, "clamp", (&[Vector, Scalar, Scalar], 0, Vector), false,
        ("clamp(v instant-vector, min scalar, max scalar)", "The value, but at least `min` and at most `max`; nothing where `min` is above `max`.")),
    entry(FunctionId::ClampMax, "clamp_max", (&[Vector, Scalar], 0, Vector), false,
        ("clamp_max(v instant-vector, max scalar)", "The value, but at most `max`.")),
    entry(FunctionId::ClampMin, "clamp_min", (&[Vector, Scalar], 0, Vector), false,
        ("clamp_min(v instant-vector, min scalar)", "The value, but at least `min`.")),
    entry(FunctionId::Cos, "cos", (&[Vector], 0, Vector), false,
        ("cos(v instant-vector)", "The cosine of an angle in radians.")),
    entry(FunctionId::Cosh, "cosh", (&[Vector], 0, Vector), false,
        ("cosh(v instant-vector)", "The hyperbolic cosine.")),
    entry(FunctionId::CountOverTime, "count_over_time", (&[Matrix], 0, Vector), false,
        ("count_over_time(v range-vector)", "The number of samples in the range.")),
    entry(FunctionId::DayOfMonth, "day_of_month", (&[Vector], 1, Vector), false,
        ("day_of_month(v=vector(time()) instant-vector)", "The day of the month in UTC, 1 to 31, of times given in seconds since 1970.")),
    entry(FunctionId::DayOfWeek, "day_of_week", (&[Vector], 1, Vector), false,
        ("day_of_week(v=vector(time()) instant-vector)", "The day of the week in UTC, 0 is Sunday, of times given in seconds since 1970.")),
    entry(FunctionId::DayOfYear, "day_of_year", (&[Vector], 1, Vector), false,
        ("day_of_year(v=vector(time()) instant-vector)", "The day of the year in UTC, 1 to 366, of times given in seconds since 1970.")),
    entry(FunctionId::DaysInMonth, "days_in_month", (&[Vector], 1, Vector), false,
        ("days_in_month(v=vector(time()) instant-vector)", "The length of the month in days, 28 to 31, of times given in seconds since 1970.")),
    entry(FunctionId::Deg, "deg", (&[Vector], 0, Vector), false,
        ("deg(v instant-vector)", "Radians as degrees.")),
    entry(FunctionId::Delta, "delta", (&[Matrix], 0, Vector), false,
        ("delta(v range-vector)", "By how much a gauge changed over the range, extrapolated to its borders; use `increase` for counters.")),
    entry(FunctionId::Deriv, "deriv", (&[Matrix], 0, Vector), false,
        ("deriv(v range-vector)", "The slope of a gauge per second, by linear regression over the range.")),
    entry(FunctionId::DoubleExponentialSmoothing, "double_exponential_smoothing", (&[Matrix, Scalar, Scalar], 0, Vector), true,
        ("double_exponential_smoothing(v range-vector, sf scalar, tf scalar)", "A smoothed value: `sf` weighs the level, `tf` the trend, both between 0 and 1.")),
    entry(FunctionId::End, "end", (&[], 0, Scalar), true,
        ("end()", "The end of the query range, in seconds since 1970.")),
    entry(FunctionId::Exp, "exp", (&[Vector], 0, Vector), false,
        ("exp(v instant-vector)", "e to the power of the value.")),
    entry(FunctionId::FirstOverTime, "first_over_time", (&[Matrix], 0, Vector), false,
        ("first_over_time(v range-vector)", "The oldest sample in the range.")),
    entry(FunctionId::Floor, "floor", (&[Vector], 0, Vector), false,
        ("floor(v instant-vector)", "The value rounded down to a whole number.")),
    entry(FunctionId::HistogramAvg, "histogram_avg", (&[Vector], 0, Vector), false,
        ("histogram_avg(v instant-vector)", "The mean of the observations in each native histogram.")),
    entry(FunctionId::HistogramCount, "histogram_count", (&[Vector], 0, Vector), false,
        ("histogram_count(v instant-vector)", "The number of observations in each native histogram.")),
    entry(FunctionId::HistogramFraction, "histogram_fraction", (&[Scalar, Scalar, Vector], 0, Vector), false,
        ("histogram_fraction(lower scalar, upper scalar, b instant-vector)", "The share of observations between `lower` and `upper`, estimated from the buckets.")),
    entry(FunctionId::HistogramQuantile, "histogram_quantile", (&[Scalar, Vector], 0, Vector), false,
        ("histogram_quantile(φ scalar, b instant-vector)", "The φ-quantile (0 to 1) estimated from native histograms or from `_bucket` series with their `le` label.")),
    entry(FunctionId::HistogramQuantiles, "histogram_quantiles", (&[Vector, Text, Scalar, Scalar], 9, Vector), true,
        ("histogram_quantiles(b instant-vector, label string, φ1 scalar, φ2 scalar, …)", "Up to ten quantiles at once; each result names its quantile in `label`.")),
    entry(FunctionId::HistogramStddev, "histogram_stddev", (&[Vector], 0, Vector), false,
        ("histogram_stddev(v instant-vector)", "The estimated standard deviation of the observations in each native histogram.")),
    entry(FunctionId::HistogramStdvar, "histogram_stdvar", (&[Vector], 0, Vector), false,
        ("histogram_stdvar(v instant-vector)", "The estimated variance of the observations in each native histogram.")),
    entry(FunctionId::HistogramSum, "histogram_sum", (&[Vector], 0, Vector), false,
        ("histogram_sum(v instant-vector)", "The sum of the observations in each native histogram.")),
    entry(FunctionId::Hour, "hour", (&[Vector], 1, Vector), false,
        ("hour(v=vector(time()) instant-vector)", "The hour of the day in UTC, 0 to 23, of times given in seconds since 1970.")),
    entry(FunctionId::Idelta, "idelta", (&[Matrix], 0, Vector), false,
        ("idelta(v range-vector)", "The difference between the last two samples of a gauge.")),
    entry(FunctionId::Increase, "increase", (&[Matrix], 0, Vector), false,
        ("increase(v range-vector)", "By how much a counter grew over the range, resets allowed for, extrapolated to its borders.")),
    entry(FunctionId::Info, "info", (&[Vector, Vector], 1, Vector), true,
        ("info(v instant-vector, [data-label-selector instant-vector])", "Adds the labels of the matching info series, by default those of `target_info`.")),
    entry(FunctionId::Irate, "irate", (&[Matrix], 0, Vector), false,
        ("irate(v range-vector)", "The growth per second of a counter between its last two samples.")),
    entry(FunctionId::LabelJoin, "label_join", (&[Vector, Text, Text, Text], -1, Vector), false,
        ("label_join(v instant-vector, dst_label string, separator string, src_label_1 string, …)", "Sets `dst_label` to the values of the source labels, joined by `separator`.")),
    entry(FunctionId::LabelReplace, "label_replace", (&[Vector, Text, Text, Text, Text], 0, Vector), false,
        ("label_replace(v instant-vector, dst_label string, replacement string, src_label string, regex string)", "Where `regex` matches the whole of `src_label`, sets `dst_label` to `replacement` with `$1` and the like filled in.")),
    entry(FunctionId::LastOverTime, "last_over_time", (&[Matrix], 0, Vector), false,
        ("last_over_time(v range-vector)", "The newest sample in the range.")),
    entry(FunctionId::Ln, "ln", (&[Vector], 0, Vector), false,
        ("ln(v instant-vector)", "The natural logarithm.")),
    entry(FunctionId::Log10, "log10", (&[Vector], 0, Vector), false,
        ("log10(v instant-vector)", "The decimal logarithm.")),
    entry(FunctionId::Log2, "log2", (&[Vector], 0, Vector), false,
        ("log2(v instant-vector)", "The binary logarithm.")),
    entry(FunctionId::MadOverTime, "mad_over_time", (&[Matrix], 0, Vector), true,
        ("mad_over_time(v range-vector)", "The median absolute deviation of the samples in the range.")),
    entry(FunctionId::MaxOf, "max_of", (&[Scalar, Scalar], 0, Scalar), true,
        ("max_of(a scalar, b scalar)", "The larger of two scalars.")),
    entry(FunctionId::MaxOverTime, "max_over_time", (&[Matrix], 0, Vector), false,
        ("max_over_time(v range-vector)", "The largest sample in the range.")),
    entry(FunctionId::MinOf, "min_of", (&[Scalar, Scalar], 0, Scalar), true,
        ("min_of(a scalar, b scalar)", "The smaller of two scalars.")),
    entry(FunctionId::MinOverTime, "min_over_time", (&[Matrix], 0, Vector), false,
        ("min_over_time(v range-vector)", "The smallest sample in the range.")),
    entry(FunctionId::Minute, "minute", (&[Vector], 1, Vector), false,
        ("minute(v=vector(time()) instant-vector)", "The minute of the hour in UTC, 0 to 59, of times given in seconds since 1970.")),
    entry(FunctionId::Month, "month", (&[Vector], 1, Vector), false,
        ("month(v=vector(time()) instant-vector)", "The month in UTC, 1 to 12, of times given in seconds since 1970.")),
    entry(FunctionId::Pi, "pi", (&[], 0, Scalar), false,
        ("pi()", "The number π.")),
    entry(FunctionId::PredictLinear, "predict_linear", (&[Matrix, Scalar], 0, Vector), false,
        ("predict_linear(v range-vector, t scalar)", "What a gauge will be in `t` seconds, by linear regression over the range.")),
    entry(FunctionId::PresentOverTime, "present_over_time", (&[Matrix], 0, Vector), false,
        ("present_over_time(v range-vector)", "1 for each series that had a sample in the range.")),
    entry(FunctionId::QuantileOverTime, "quantile_over_time", (&[Scalar, Matrix], 0, Vector), false,
        ("quantile_over_time(φ scalar, v range-vector)", "The φ-quantile (0 to 1) of the samples in the range.")),
    entry(FunctionId::Rad, "rad", (&[Vector], 0, Vector), false,
        ("rad(v instant-vector)", "Degrees as radians.")),
    entry(FunctionId::Range, "range", (&[], 0, Scalar), true,
        ("range()", "The length of the query range, in seconds.")),
    entry(FunctionId::Rate, "rate", (&[Matrix], 0, Vector), false,
        ("rate(v range-vector)", "The mean growth per second of a counter over the range, resets allowed for.")),
    entry(FunctionId::Resets, "resets", (&[Matrix], 0, Vector), false,
        ("resets(v range-vector)", "How often a counter was reset within the range.")),
    entry(FunctionId::Round, "round", (&[Vector, Scalar], 1, Vector), false,
        ("round(v instant-vector, to_nearest=1 scalar)", "The value rounded to the nearest multiple of `to_nearest`, halves upwards.")),
    entry(FunctionId::Scalar, "scalar", (&[Vector], 0, Scalar), false,
        ("scalar(v instant-vector)", "The value of the one element of the argument; NaN where there is not exactly one.")),
    entry(FunctionId::Sgn, "sgn", (&[Vector], 0, Vector), false,
        ("sgn(v instant-vector)", "1 for positive values, -1 for negative ones, 0 for zero.")),
    entry(FunctionId::Sin, "sin", (&[Vector], 0, Vector), false,
        ("sin(v instant-vector)", "The sine of an angle in radians.")),
    entry(FunctionId::Sinh, "sinh", (&[Vector], 0, Vector), false,
        ("sinh(v instant-vector)", "The hyperbolic sine.")),
    entry(FunctionId::Sort, "sort", (&[Vector], 0, Vector), false,
        ("sort(v instant-vector)", "The elements by value, smallest first; only instant queries keep the order.")),
    entry(FunctionId::SortByLabel, "sort_by_label", (&[Vector, Text], -1, Vector), true,
        ("sort_by_label(v instant-vector, label string, …)", "The elements in the natural order of the given labels; only instant queries keep the order.")),
    entry(FunctionId::SortByLabelDesc, "sort_by_label_desc", (&[Vector, Text], -1, Vector), true,
        ("sort_by_label_desc(v instant-vector, label string, …)", "The elements in the reverse natural order of the given labels; only instant queries keep the order.")),
    entry(FunctionId::SortDesc, "sort_desc", (&[Vector], 0, Vector), false,
        ("sort_desc(v instant-vector)", "The elements by value, largest first; only instant queries keep the order.")),
    entry(FunctionId::Sqrt, "sqrt", (&[Vector], 0, Vector), false,
        ("sqrt(v instant-vector)", "The square root.")),
    entry(FunctionId::Start, "start", (&[], 0, Scalar), true,
        ("start()", "The start of the query range, in seconds since 1970.")),
    entry(FunctionId::StartTimestamp, "start_timestamp", (&[Vector], 0, Vector), true,
        ("start_timestamp(v instant-vector)", "When each series began counting, in seconds since 1970.")),
    entry(FunctionId::StddevOverTime, "stddev_over_time", (&[Matrix], 0, Vector), false,
        ("stddev_over_time(v range-vector)", "The population standard deviation of the samples in the range.")),
    entry(FunctionId::StdvarOverTime, "stdvar_over_time", (&[Matrix], 0, Vector), false,
        ("stdvar_over_time(v range-vector)", "The population variance of the samples in the range.")),
    entry(FunctionId::Step, "step", (&[], 0, Scalar), true,
        ("step()", "The step of the query, in seconds.")),
    entry(FunctionId::SumOverTime, "sum_over_time", (&[Matrix], 0, Vector), false,
        ("sum_over_time(v range-vector)", "The sum of the samples in the range.")),
    entry(FunctionId::Tan, "tan", (&[Vector], 0, Vector), false,
        ("tan(v instant-vector)", "The tangent of an angle in radians.")),
    entry(FunctionId::Tanh, "tanh", (&[Vector], 0, Vector), false,
        ("tanh(v instant-vector)", "The hyperbolic tangent.")),
    entry(FunctionId::Time, "time", (&[], 0, Scalar), false,
        ("time()", "The time at which the expression is evaluated, in seconds since 1970.")),
    entry(FunctionId::Timestamp, "timestamp", (&[Vector], 0, Vector), false,
        ("timestamp(v instant-vector)", "The time of each sample, in seconds since 1970.")),
    entry(FunctionId::TsOfFirstOverTime, "ts_of_first_over_time", (&[Matrix], 0, Vector), true,
        ("ts_of_first_over_time(v range-vector)", "The time of the oldest sample in the range.")),
    entry(FunctionId::TsOfLastOverTime, "ts_of_last_over_time", (&[Matrix], 0, Vector), true,
        ("ts_of_last_over_time(v range-vector)", "The time of the newest sample in the range.")),
    entry(FunctionId::TsOfMaxOverTime, "ts_of_max_over_time", (&[Matrix], 0, Vector), true,
        ("ts_of_max_over_time(v range-vector)", "The time of the largest sample in the range; the last of several.")),
    entry(FunctionId::TsOfMinOverTime, "ts_of_min_over_time", (&[Matrix], 0, Vector), true,
        ("ts_of_min_over_time(v range-vector)", "The time of the smallest sample in the range; the last of several.")),
    entry(FunctionId::Vector, "vector", (&[Scalar], 0, Vector), false,
        ("vector(s scalar)", "The scalar as a vector of one element without labels.")),
    entry(FunctionId::Year, "year", (&[Vector], 1, Vector), false,
        ("year(v=vector(time()) instant-vector)", "The year in UTC of times given in seconds since 1970.")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sorted_and_indexed_by_id() {
        for (index, function) in FUNCTIONS.iter().enumerate() {
            assert_eq!(function.id as usize, index, "{}", function.name);
            assert_eq!(function.id.get().name, function.name);
            assert_eq!(lookup(function.name), Some(function));
        }
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(FUNCTIONS.iter().filter(|function| function.experimental).count(), 17);
        assert_eq!(lookup("Rate"), None);
    }

    #[test]
    fn every_function_explains_itself() {
        for function in &FUNCTIONS {
            assert!(function.doc.ends_with('.') && function.doc.len() < 160, "{}", function.name);
            assert!(function.signature.starts_with(&format!("{}(", function.name)));
        }
    }

    #[test]
    fn optional_and_repeated_arguments_widen_the_arity() {
        for (name, arity) in [
            ("rate", (1, Some(1))),
            ("pi", (0, Some(0))),
            ("round", (1, Some(2))),
            ("hour", (0, Some(1))),
            ("label_join", (3, None)),
            ("sort_by_label", (1, None)),
            ("histogram_quantiles", (3, Some(12))),
        ] {
            assert_eq!(lookup(name).map(Function::arity), Some(arity), "{name}");
        }
    }
}
