//! From the tree to the plan of one query: times resolved, constant parts marked, selectors told what is done
//! with them.
//!
//! A plan belongs to one start, end and step, because `@ start()`, `step()` and the default resolution of
//! subqueries depend on them. It costs microseconds, so it is made anew for every evaluation.

use std::collections::HashMap;
use std::sync::Arc;

use model::matcher::Matcher;
use model::query::QueryError;

use crate::syntax::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Borders, Call, DurationExpr, DurationOp, Expr, Length, Span,
    ValueType, VectorMatching, VectorSelector,
};
use crate::syntax::functions::FunctionId;

/// The steps an expression is evaluated at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Grid {
    pub(crate) fn new(start: i64, end: i64, step: i64) -> Self {
        let step = step.max(1);
        let count = if end < start { 0 } else { ((end - start) / step) as usize + 1 };
        Self { start, step, count }
    }

    /// Only the first step.
    pub(crate) const fn first(&self) -> Self {
        Self { start: self.start, step: self.step, count: 1 }
    }

    pub(crate) const fn time(&self, index: usize) -> i64 {
        self.start + self.step * index as i64
    }

    pub(crate) fn end(&self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }

    /// Whether it may be an instant query, whose order is kept.
    pub(crate) const fn is_instant(&self) -> bool {
        self.count == 1
    }
}

/// What the whole query is evaluated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueryTimes {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// 0 in an instant query.
    pub(crate) step: i64,
    /// The resolution of `expr[5m:]`.
    pub(crate) subquery_step: i64,
}

/// A part of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) kind_of_value: ValueType,
    /// As written, without the parentheses around it.
    pub(crate) span: Span,
    /// With the parentheses around it: what annotations of whoever uses it point at.
    pub(crate) outer: Span,
    /// The same at every step.
    pub(crate) constant: bool,
    /// Written more than once in the query: evaluated once, under this number.
    pub(crate) shared: Option<u32>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Number(f64),
    String(String),
    /// Instant and range selectors; a range selector has a range.
    Selector(Arc<Selector>),
    Subquery(Box<SubqueryNode>),
    Call(Box<CallNode>),
    Aggregate(Box<AggregateNode>),
    Binary(Box<BinaryNode>),
    Negate(Box<Node>),
}

/// Which samples are read.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    /// The length of a range selector; 0 for an instant selector.
    pub(crate) range: i64,
    pub(crate) offset: i64,
    /// Fixed in time, before the offset.
    pub(crate) at: Option<i64>,
    pub(crate) borders: Borders,
    pub(crate) span: Span,
    /// What is done with it directly.
    pub(crate) function: &'static str,
    /// Only counts and sums of histograms are wanted: then resets are found from the counts while reading.
    pub(crate) histogram_stats: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct SubqueryNode {
    pub(crate) expr: Node,
    pub(crate) range: i64,
    pub(crate) step: i64,
    pub(crate) offset: i64,
    pub(crate) at: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct CallNode {
    pub(crate) function: FunctionId,
    pub(crate) args: Vec<Node>,
}

#[derive(Clone, Debug)]
pub(crate) struct AggregateNode {
    pub(crate) op: AggregateOp,
    pub(crate) expr: Node,
    pub(crate) param: Option<Node>,
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct BinaryNode {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Node,
    pub(crate) rhs: Node,
    pub(crate) matching: Option<VectorMatching>,
    pub(crate) return_bool: bool,
}

/// Makes the plan.
pub(crate) fn plan(expr: &Expr, times: QueryTimes) -> Result<Node, QueryError> {
    let mut aggregates = HashMap::new();
    count_aggregates(expr, SHARED_LEVELS_MAX, &mut aggregates);
    let repeated = aggregates.into_iter().filter(|(_, count)| *count > 1).map(|(text, _)| text);
    let shared = repeated.zip(0..).collect();
    Planner { times, shared }.node(expr, Use::default())
}

/// Repetitions are looked for so many levels down. Looking prints what it looks at, which in a tree of a thousand
/// levels would take longer than evaluating.
const SHARED_LEVELS_MAX: usize = 32;

/// Counts how often each aggregation is written. Only they are worth keeping: their results are small.
fn count_aggregates(expr: &Expr, levels: usize, counts: &mut HashMap<String, usize>) {
    if levels == 0 {
        return;
    }
    if matches!(expr, Expr::Aggregate(_)) {
        *counts.entry(expr.to_string()).or_default() += 1;
    }
    for child in expr.children() {
        count_aggregates(child, levels - 1, counts);
    }
}

struct Planner {
    times: QueryTimes,
    /// Aggregations written more than once, as text, with their numbers.
    shared: HashMap<String, u32>,
}

/// What the expression around is going to do.
#[derive(Clone, Copy, Default)]
struct Use {
    function: &'static str,
    histogram_stats: bool,
}

impl Planner {
    fn node(&self, expr: &Expr, usage: Use) -> Result<Node, QueryError> {
        let (kind, constant) = match expr {
            Expr::Paren(paren) => {
                let mut node = self.node(&paren.expr, usage)?;
                node.outer = paren.span;
                return Ok(node);
            }
            Expr::Unary(unary) if !unary.negative => {
                let mut node = self.node(&unary.expr, usage)?;
                (node.span, node.outer) = (unary.span, unary.span);
                return Ok(node);
            }
            Expr::Number(number) => (Kind::Number(number.value), true),
            Expr::String(string) => (Kind::String(string.value.clone()), true),
            Expr::Vector(selector) => {
                let selector = self.selector(selector, 0, selector.span, usage)?;
                let constant = selector.at.is_some();
                (Kind::Selector(Arc::new(selector)), constant)
            }
            Expr::Matrix(matrix) => {
                let range = self.length(&matrix.range, false)?;
                let selector = self.selector(&matrix.selector, range, matrix.span, usage)?;
                let constant = selector.at.is_some();
                (Kind::Selector(Arc::new(selector)), constant)
            }
            Expr::Subquery(subquery) => {
                let node = SubqueryNode {
                    expr: self.node(&subquery.expr, Use::default())?,
                    range: self.length(&subquery.range, false)?,
                    step: match &subquery.step {
                        Some(step) => self.length(step, false)?,
                        None => self.times.subquery_step,
                    },
                    offset: self.length(&subquery.offset, true)?,
                    at: self.at(subquery.at),
                };
                let constant = node.at.is_some();
                (Kind::Subquery(Box::new(node)), constant)
            }
            Expr::Call(call) => {
                check_borders(call)?;
                let usage = inside_call(call.function.id, call.function.name, usage);
                let args = call.args.iter().map(|arg| self.node(arg, usage)).collect::<Result<Vec<_>, _>>()?;
                let constant = !depends_on_step(call.function.id) && args.iter().all(|arg| arg.constant);
                (Kind::Call(Box::new(CallNode { function: call.function.id, args })), constant)
            }
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, usage)?,
            Expr::Binary(binary) => self.binary(binary, usage)?,
            Expr::Unary(unary) => {
                let node = self.node(&unary.expr, Use { function: "", ..usage })?;
                let constant = node.constant;
                (Kind::Negate(Box::new(node)), constant)
            }
        };
        let span = expr.span();
        let shared = match &kind {
            // For histogram statistics the same text is read another way.
            Kind::Aggregate(_) if !self.shared.is_empty() && !usage.histogram_stats => {
                self.shared.get(&expr.to_string()).copied()
            }
            _ => None,
        };
        Ok(Node { kind, kind_of_value: expr.value_type(), span, outer: span, constant, shared })
    }

    fn aggregate(&self, aggregate: &Aggregate, usage: Use) -> Result<(Kind, bool), QueryError> {
        let expr = self.node(&aggregate.expr, Use { function: aggregate.op.as_str(), ..usage })?;
        let param = aggregate.param.as_ref().map(|param| self.node(param, Use::default())).transpose()?;
        let constant = expr.constant && param.as_ref().is_none_or(|param| param.constant);
        let node = AggregateNode {
            op: aggregate.op,
            expr,
            param,
            grouping: aggregate.grouping.clone(),
            without: aggregate.without,
        };
        Ok((Kind::Aggregate(Box::new(node)), constant))
    }

    fn binary(&self, binary: &Binary, usage: Use) -> Result<(Kind, bool), QueryError> {
        let trims = matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        let usage = Use { function: "", histogram_stats: usage.histogram_stats && !trims };
        let (lhs, rhs) = (self.node(&binary.lhs, usage)?, self.node(&binary.rhs, usage)?);
        let constant = lhs.constant && rhs.constant;
        let node =
            BinaryNode { op: binary.op, lhs, rhs, matching: binary.matching.clone(), return_bool: binary.return_bool };
        Ok((Kind::Binary(Box::new(node)), constant))
    }

    fn selector(&self, node: &VectorSelector, range: i64, span: Span, usage: Use) -> Result<Selector, QueryError> {
        Ok(Selector {
            matchers: node.matchers.clone(),
            range,
            offset: self.length(&node.offset, true)?,
            at: self.at(node.at),
            borders: node.borders,
            span,
            function: usage.function,
            histogram_stats: usage.histogram_stats,
        })
    }

    fn at(&self, at: Option<At>) -> Option<i64> {
        at.map(|at| match at {
            At::Time(time) => time,
            At::Start => self.times.start,
            At::End => self.times.end,
        })
    }

    /// A length of time in milliseconds.
    fn length(&self, length: &Length, may_be_negative: bool) -> Result<i64, QueryError> {
        let computed = match length {
            Length::Fixed(millis) => return Ok(*millis),
            Length::Computed(computed) => computed,
        };
        let span = computed.span();
        let fail = |what: &str| QueryError::Execution(format!("{}:{}: {what}", span.start, span.end));
        let seconds = self.duration(computed)?;
        if seconds.is_nan() {
            return Err(fail("duration is NaN"));
        }
        if seconds <= 0.0 && !may_be_negative {
            return Err(fail("duration must be greater than 0"));
        }
        // Prometheus keeps nanoseconds in an i64.
        if seconds.abs() > i64::MAX as f64 / 1e9 {
            return Err(fail("duration is out of range"));
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn duration(&self, expr: &DurationExpr) -> Result<f64, QueryError> {
        Ok(match expr {
            DurationExpr::Literal(literal) => literal.value,
            DurationExpr::Step(_) => self.times.step as f64 / 1000.0,
            DurationExpr::Range(_) => (self.times.end - self.times.start) as f64 / 1000.0,
            DurationExpr::Unary { negative, operand, .. } => {
                let value = self.duration(operand)?;
                if *negative { -value } else { value }
            }
            DurationExpr::MinOf { lhs, rhs, .. } => self.duration(lhs)?.min(self.duration(rhs)?),
            DurationExpr::MaxOf { lhs, rhs, .. } => self.duration(lhs)?.max(self.duration(rhs)?),
            DurationExpr::Paren { inner, .. } => self.duration(inner)?,
            DurationExpr::Binary { op, lhs, rhs } => {
                let (left, right) = (self.duration(lhs)?, self.duration(rhs)?);
                let by_zero = |what| Err(QueryError::Execution(format!("{what} by zero")));
                match op {
                    DurationOp::Add => left + right,
                    DurationOp::Sub => left - right,
                    DurationOp::Mul => left * right,
                    DurationOp::Div if right == 0.0 => return by_zero("division"),
                    DurationOp::Div => left / right,
                    DurationOp::Mod if right == 0.0 => return by_zero("modulo"),
                    DurationOp::Mod => left % right,
                    DurationOp::Pow => left.powf(right),
                }
            }
        })
    }
}

/// Only some functions know what to do with extended borders.
fn check_borders(call: &Call) -> Result<(), QueryError> {
    const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
    const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];
    let name = call.function.name;
    for argument in &call.args {
        let Expr::Matrix(matrix) = argument.unwrapped() else { continue };
        let (word, known): (_, &[&str]) = match matrix.selector.borders {
            Borders::Plain => continue,
            Borders::Anchored => ("anchored", &ANCHORED),
            Borders::Smoothed => ("smoothed", &SMOOTHED),
        };
        if !known.contains(&name) {
            let known = known.join(", ");
            let text = format!("{word} modifier can only be used with: {known} - not with {name}");
            return Err(QueryError::Execution(text));
        }
    }
    Ok(())
}

/// Of the functions around a selector the nearest that looks into histograms decides what is needed of them.
fn inside_call(function: FunctionId, name: &'static str, outside: Use) -> Use {
    use FunctionId as F;
    let histogram_stats = match function {
        F::HistogramCount | F::HistogramSum | F::HistogramAvg => true,
        F::HistogramQuantile
        | F::HistogramQuantiles
        | F::HistogramFraction
        | F::HistogramStddev
        | F::HistogramStdvar => false,
        _ => outside.histogram_stats,
    };
    Use { function: name, histogram_stats }
}

/// Whether a function of constants still differs from step to step.
const fn depends_on_step(function: FunctionId) -> bool {
    use FunctionId as F;
    matches!(
        function,
        F::DaysInMonth
            | F::DayOfMonth
            | F::DayOfWeek
            | F::DayOfYear
            | F::Hour
            | F::Minute
            | F::Month
            | F::Year
            | F::PredictLinear
            | F::Time
            | F::Timestamp
            | F::StartTimestamp
            | F::Start
            | F::End
            | F::Step
            | F::Range
    )
}
