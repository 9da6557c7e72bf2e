//! A second evaluator, slow and plain: one step at a time, hash maps, nothing shared, written from the description
//! of the language. What it and the engine agree on is unlikely to be wrong in both.
//!
//! It knows floats, and drops names at once. Native histograms are covered by the scripts.

mod functions;

use std::collections::{BTreeMap, HashMap};

use model::labels::{Labels, METRIC_NAME};
use model::matcher::matches_all;
use model::storage::is_stale;
use promql::syntax::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Cardinality, Expr, Length, MatrixSelector, Subquery, VectorMatching,
    VectorSelector,
};
use promql::syntax::functions::FunctionId;

/// Series with their samples, staleness markers included.
pub(crate) type Data = Vec<(Labels, Vec<(i64, f64)>)>;

/// What is asked.
pub(crate) struct Reference<'d> {
    pub(crate) data: &'d Data,
    pub(crate) lookback: i64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) subquery_step: i64,
}

/// A value at one time.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(f64),
    Vector(Vec<(Labels, f64)>),
}

/// The samples of each series in a range.
type Ranges = Vec<(Labels, Vec<(i64, f64)>)>;

pub(crate) type Result<T> = std::result::Result<T, String>;

const SAME: &str = "vector cannot contain metrics with the same labelset";

fn millis(length: &Length) -> i64 {
    match length {
        Length::Fixed(millis) => *millis,
        Length::Computed(_) => panic!("the generator makes no duration expressions"),
    }
}

fn unnamed(labels: &Labels) -> Labels {
    labels.without(&[METRIC_NAME])
}

/// Fails where two have the same labels.
fn distinct(vector: Vec<(Labels, f64)>) -> Result<Value> {
    let mut seen = std::collections::HashSet::new();
    if vector.iter().all(|(labels, _)| seen.insert(labels.clone())) {
        Ok(Value::Vector(vector))
    } else {
        Err(SAME.to_owned())
    }
}

impl Reference<'_> {
    /// Evaluates at one time.
    pub(crate) fn at(&self, expr: &Expr, t: i64) -> Result<Value> {
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(number.value)),
            Expr::Paren(paren) => self.at(&paren.expr, t),
            Expr::Unary(unary) => match self.at(&unary.expr, t)? {
                value if !unary.negative => Ok(value),
                Value::Scalar(value) => Ok(Value::Scalar(-value)),
                Value::Vector(vector) => distinct(vector.into_iter().map(|(l, v)| (unnamed(&l), -v)).collect()),
            },
            Expr::Vector(selector) => Ok(Value::Vector(self.instant(selector, t))),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, t),
            Expr::Binary(binary) => self.binary(binary, t),
            Expr::Call(call) => self.call(call.function.id, &call.args, t),
            Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => Err("not an instant value".to_owned()),
        }
    }

    fn vector(&self, expr: &Expr, t: i64) -> Result<Vec<(Labels, f64)>> {
        match self.at(expr, t)? {
            Value::Vector(vector) => Ok(vector),
            Value::Scalar(_) => Err("a scalar where a vector is needed".to_owned()),
        }
    }

    fn scalar(&self, expr: &Expr, t: i64) -> Result<f64> {
        match self.at(expr, t)? {
            Value::Scalar(value) => Ok(value),
            Value::Vector(_) => Err("a vector where a scalar is needed".to_owned()),
        }
    }

    fn pinned(&self, at: Option<At>, t: i64) -> i64 {
        match at {
            None => t,
            Some(At::Time(time)) => time,
            Some(At::Start) => self.start,
            Some(At::End) => self.end,
        }
    }

    fn instant(&self, selector: &VectorSelector, t: i64) -> Vec<(Labels, f64)> {
        let t = self.pinned(selector.at, t) - millis(&selector.offset);
        let newest = |samples: &[(i64, f64)]| samples.iter().rev().find(|(time, _)| *time <= t).copied();
        self.data
            .iter()
            .filter(|(labels, _)| matches_all(&selector.matchers, labels))
            .filter_map(|(labels, samples)| newest(samples).map(|sample| (labels, sample)))
            .filter(|(_, (time, value))| *time > t - self.lookback && !is_stale(*value))
            .map(|(labels, (_, value))| (labels.clone(), value))
            .collect()
    }

    fn range(&self, matrix: &MatrixSelector, t: i64) -> (Ranges, i64, i64) {
        let end = self.pinned(matrix.selector.at, t) - millis(&matrix.selector.offset);
        let start = end - millis(&matrix.range);
        let within = |samples: &[(i64, f64)]| -> Vec<(i64, f64)> {
            samples.iter().filter(|(time, v)| *time > start && *time <= end && !is_stale(*v)).copied().collect()
        };
        let ranges = self
            .data
            .iter()
            .filter(|(labels, _)| matches_all(&matrix.selector.matchers, labels))
            .map(|(labels, samples)| (labels.clone(), within(samples)))
            .filter(|(_, samples)| !samples.is_empty())
            .collect();
        (ranges, start, end)
    }

    fn subquery(&self, subquery: &Subquery, t: i64) -> Result<(Ranges, i64, i64)> {
        let end = self.pinned(subquery.at, t) - millis(&subquery.offset);
        let start = end - millis(&subquery.range);
        let step = subquery.step.as_ref().map_or(self.subquery_step, millis);
        let mut found: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        let mut time = (start.div_euclid(step) + 1) * step;
        while time <= end {
            match self.at(&subquery.expr, time)? {
                Value::Scalar(value) => found.entry(Labels::empty()).or_default().push((time, value)),
                Value::Vector(vector) => {
                    for (labels, value) in vector {
                        found.entry(labels).or_default().push((time, value));
                    }
                }
            }
            time += step;
        }
        Ok((found.into_iter().collect(), start, end))
    }

    fn ranges(&self, expr: &Expr, t: i64) -> Result<(Ranges, i64, i64)> {
        match expr {
            Expr::Paren(paren) => self.ranges(&paren.expr, t),
            Expr::Matrix(matrix) => Ok(self.range(matrix, t)),
            Expr::Subquery(subquery) => self.subquery(subquery, t),
            _ => Err("not a range vector".to_owned()),
        }
    }

    fn call(&self, function: FunctionId, args: &[Expr], t: i64) -> Result<Value> {
        use FunctionId as F;
        match (function, args) {
            (F::Time, []) => Ok(Value::Scalar(t as f64 / 1000.0)),
            (F::Vector, [scalar]) => Ok(Value::Vector(vec![(Labels::empty(), self.scalar(scalar, t)?)])),
            (F::Scalar, [vector]) => {
                let vector = self.vector(vector, t)?;
                Ok(Value::Scalar(if vector.len() == 1 { vector[0].1 } else { f64::NAN }))
            }
            (F::Absent, [vector]) => {
                let empty = self.vector(vector, t)?.is_empty();
                // Labels of absent are the subject of the scripts; the generator asks for none.
                Ok(Value::Vector(if empty { vec![(Labels::empty(), 1.0)] } else { Vec::new() }))
            }
            (F::ClampMax, [vector, max]) => {
                let max = self.scalar(max, t)?;
                self.each(vector, t, |v| if v.is_nan() || max.is_nan() { f64::NAN } else { v.min(max) })
            }
            (F::Abs, [vector]) => self.each(vector, t, f64::abs),
            (F::Ceil, [vector]) => self.each(vector, t, f64::ceil),
            (F::Floor, [vector]) => self.each(vector, t, f64::floor),
            (F::Sqrt, [vector]) => self.each(vector, t, f64::sqrt),
            (F::Sgn, [vector]) => self.each(vector, t, |v| if v == 0.0 || v.is_nan() { v } else { v.signum() }),
            (F::QuantileOverTime, [q, range]) => {
                let q = self.scalar(q, t)?;
                self.over_range(range, t, function, q)
            }
            (F::PredictLinear, [range, seconds]) => {
                let seconds = self.scalar(seconds, t)?;
                self.over_range(range, t, function, seconds)
            }
            (_, [range]) => self.over_range(range, t, function, 0.0),
            _ => Err(format!("unknown to the reference: {function:?}")),
        }
    }

    fn each(&self, vector: &Expr, t: i64, compute: impl Fn(f64) -> f64) -> Result<Value> {
        distinct(self.vector(vector, t)?.into_iter().map(|(l, v)| (unnamed(&l), compute(v))).collect())
    }

    fn over_range(&self, range: &Expr, t: i64, function: FunctionId, param: f64) -> Result<Value> {
        let (ranges, start, end) = self.ranges(range, t)?;
        let keeps = matches!(function, FunctionId::LastOverTime | FunctionId::FirstOverTime);
        let mut out = Vec::new();
        for (labels, samples) in ranges {
            if let Some(value) = functions::over(function, &samples, (start, end, t), param)? {
                out.push((if keeps { labels } else { unnamed(&labels) }, value));
            }
        }
        distinct(out)
    }

    fn aggregate(&self, aggregate: &Aggregate, t: i64) -> Result<Value> {
        let param = match &aggregate.param {
            Some(Expr::String(_)) | None => f64::NAN,
            Some(param) => self.scalar(param, t)?,
        };
        let vector = self.vector(&aggregate.expr, t)?;
        let names: Vec<&str> = aggregate.grouping.iter().map(String::as_str).collect();
        let mut groups: Vec<(Labels, Vec<(Labels, f64)>)> = Vec::new();
        for (labels, value) in vector {
            let key = if aggregate.without { unnamed(&labels.without(&names)) } else { labels.only(&names) };
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, members)) => members.push((labels, value)),
                None => groups.push((key, vec![(labels, value)])),
            }
        }
        let mut out = Vec::new();
        for (key, members) in groups {
            match aggregate.op {
                AggregateOp::Topk | AggregateOp::Bottomk => {
                    out.extend(functions::extremes(members, param, aggregate.op == AggregateOp::Topk));
                }
                op => {
                    let values: Vec<f64> = members.iter().map(|(_, value)| *value).collect();
                    out.push((key, functions::aggregate(op, &values, param)?));
                }
            }
        }
        Ok(Value::Vector(out))
    }

    fn binary(&self, binary: &Binary, t: i64) -> Result<Value> {
        let (left, right) = (self.at(&binary.lhs, t)?, self.at(&binary.rhs, t)?);
        let drops = functions::is_arithmetic(binary.op) || binary.return_bool;
        let named = |labels: &Labels| if drops { unnamed(labels) } else { labels.clone() };
        let number = |(value, keep): (f64, bool), own: f64| {
            if binary.return_bool {
                Some(f64::from(u8::from(keep)))
            } else if binary.op.is_comparison() {
                keep.then_some(own)
            } else {
                Some(value)
            }
        };
        match (left, right) {
            (Value::Scalar(a), Value::Scalar(b)) => {
                let (value, keep) = functions::operate(binary.op, a, b);
                Ok(Value::Scalar(if binary.op.is_comparison() { f64::from(u8::from(keep)) } else { value }))
            }
            (Value::Vector(vector), Value::Scalar(b)) => distinct(
                vector
                    .into_iter()
                    .filter_map(|(l, a)| number(functions::operate(binary.op, a, b), a).map(|v| (named(&l), v)))
                    .collect(),
            ),
            (Value::Scalar(a), Value::Vector(vector)) => distinct(
                vector
                    .into_iter()
                    .filter_map(|(l, b)| number(functions::operate(binary.op, a, b), b).map(|v| (named(&l), v)))
                    .collect(),
            ),
            (Value::Vector(left), Value::Vector(right)) => self.join(binary, left, right),
        }
    }

    fn join(&self, binary: &Binary, left: Vec<(Labels, f64)>, right: Vec<(Labels, f64)>) -> Result<Value> {
        let default = VectorMatching::default();
        let matching = binary.matching.as_ref().unwrap_or(&default);
        let key = |labels: &Labels| key(labels, matching);
        let has = |vector: &[(Labels, f64)], wanted: &Labels| vector.iter().any(|(labels, _)| key(labels) == *wanted);
        match binary.op {
            BinaryOp::And => {
                return distinct(left.into_iter().filter(|(labels, _)| has(&right, &key(labels))).collect());
            }
            BinaryOp::Unless => {
                return distinct(left.into_iter().filter(|(labels, _)| !has(&right, &key(labels))).collect());
            }
            BinaryOp::Or => {
                let more: Vec<_> = right.into_iter().filter(|(labels, _)| !has(&left, &key(labels))).collect();
                return distinct(left.into_iter().chain(more).collect());
            }
            _ => {}
        }
        if left.is_empty() || right.is_empty() {
            return Ok(Value::Vector(Vec::new()));
        }
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let mut by_key: HashMap<Labels, (Labels, f64)> = HashMap::new();
        for (labels, value) in one {
            if by_key.insert(key(&labels), (labels, value)).is_some() {
                return Err("many-to-many".to_owned());
            }
        }
        let mut out: Vec<(Labels, f64)> = Vec::new();
        let mut matched: Vec<(Labels, Labels)> = Vec::new();
        for (labels, value) in many {
            let Some((other_labels, other)) = by_key.get(&key(&labels)) else { continue };
            let (a, b) = if swapped { (*other, value) } else { (value, *other) };
            let (result, keep) = functions::operate(binary.op, a, b);
            let named = result_labels(&labels, other_labels, binary, matching);
            let clash = matched.iter().any(|(known, result)| {
                *known == key(&labels) && (matching.cardinality == Cardinality::OneToOne || *result == named)
            });
            if clash {
                return Err("many-to-one".to_owned());
            }
            matched.push((key(&labels), named.clone()));
            match (binary.return_bool, keep) {
                (true, keep) => out.push((named, f64::from(u8::from(keep)))),
                (false, true) => out.push((named, result)),
                (false, false) => {}
            }
        }
        distinct(out)
    }
}

fn key(labels: &Labels, matching: &VectorMatching) -> Labels {
    let names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
    if matching.on { labels.only(&names) } else { unnamed(&labels.without(&names)) }
}

fn result_labels(many: &Labels, one: &Labels, binary: &Binary, matching: &VectorMatching) -> Labels {
    let mut labels = many.clone();
    if functions::is_arithmetic(binary.op) || binary.return_bool {
        labels = unnamed(&labels);
    }
    let names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
    if matching.cardinality == Cardinality::OneToOne {
        labels = if matching.on { labels.only(&names) } else { labels.without(&names) };
    }
    let mut builder = labels.to_builder();
    for name in &matching.include {
        builder.set(name, one.get(name).unwrap_or(""));
    }
    builder.build()
}
