//! Problems: every error, and where there is none, hints at what is allowed but rarely meant.

use super::catalogue::{Catalogue, MetricType};
use crate::syntax::ast::{Aggregate, Call, Expr, Span, VectorSelector};
use crate::syntax::functions::FunctionId;
use crate::syntax::{ParseOptions, parse};

/// After so many problems a reader has enough to do.
pub const DIAGNOSTICS_MAX: usize = 50;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The query is refused.
    Error,
    /// The answer is probably not what is wanted.
    Warning,
    /// It could be better.
    Hint,
}

/// One problem and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub span: Span,
    pub severity: Severity,
    pub message: String,
}

/// The problems of a query, errors in the order in which they were found.
#[must_use]
pub fn diagnose(text: &str, options: ParseOptions, catalogue: &dyn Catalogue) -> Vec<Diagnostic> {
    match parse(text, options) {
        Err(errors) => errors
            .0
            .into_iter()
            .map(|error| Diagnostic { span: error.span, severity: Severity::Error, message: error.message })
            .take(DIAGNOSTICS_MAX)
            .collect(),
        Ok(expr) => {
            let mut critic = Critic { catalogue, found: Vec::new() };
            critic.visit(&expr);
            critic.found
        }
    }
}

/// What a counter's name ends with where nobody says what it is.
const COUNTER_ENDINGS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];

struct Critic<'a> {
    catalogue: &'a dyn Catalogue,
    found: Vec<Diagnostic>,
}

impl Critic<'_> {
    fn visit(&mut self, expr: &Expr) {
        match expr {
            Expr::Vector(selector) => self.selector(selector),
            Expr::Matrix(matrix) => self.selector(&matrix.selector),
            Expr::Call(call) => self.call(call),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            _ => {}
        }
        for child in expr.children() {
            self.visit(child);
        }
    }

    fn add(&mut self, span: Span, severity: Severity, message: String) {
        if self.found.len() < DIAGNOSTICS_MAX {
            self.found.push(Diagnostic { span, severity, message });
        }
    }

    fn selector(&mut self, selector: &VectorSelector) {
        use model::matcher::MatchOp;
        let name = selector.name.as_str();
        // Only where metrics are known at all can one be unknown.
        let some = self.catalogue.metric_names("", 1);
        if !name.is_empty() && !some.is_empty() && !self.is_known(name) {
            self.add(selector.span, Severity::Hint, format!("there is no metric {name:?} at the moment"));
        }
        for matcher in &selector.matchers {
            if !matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex) {
                continue;
            }
            let value = &*matcher.value;
            let (label, plain) = (&matcher.name, if matcher.op == MatchOp::Regex { "=" } else { "!=" });
            if value.starts_with('^') || (value.ends_with('$') && !value.ends_with("\\$")) {
                let message = format!("regular expressions match the whole of {label:?}: `^` and `$` are not needed");
                self.add(selector.span, Severity::Hint, message);
            } else if !value.is_empty() && regex::escape(value) == value {
                let message = format!("{label:?} is compared with a plain text: `{plain}` says the same");
                self.add(selector.span, Severity::Hint, message);
            }
        }
    }

    fn is_known(&self, metric: &str) -> bool {
        self.catalogue.metric_type(metric).is_some()
            || self.catalogue.metric_names(metric, 1).first().is_some_and(|first| first == metric)
    }

    fn call(&mut self, call: &Call) {
        match call.function.id {
            FunctionId::Rate | FunctionId::Irate | FunctionId::Increase | FunctionId::Resets => {
                self.wants_counter(call)
            }
            FunctionId::Delta | FunctionId::Idelta | FunctionId::Deriv | FunctionId::PredictLinear => {
                self.wants_gauge(call);
            }
            FunctionId::HistogramQuantile => self.histogram_quantile(call),
            FunctionId::QuantileOverTime => self.quantile(&call.args[0]),
            _ => {}
        }
    }

    /// The metric of the function's range, and where it stands.
    fn ranged(call: &Call) -> Option<(&str, Span)> {
        call.args.iter().find_map(|arg| match arg.unwrapped() {
            Expr::Matrix(matrix) => Some((matrix.selector.name.as_str(), matrix.span)),
            Expr::Subquery(subquery) => match subquery.expr.unwrapped() {
                Expr::Vector(selector) => Some((selector.name.as_str(), subquery.span)),
                _ => None,
            },
            _ => None,
        })
    }

    /// What a metric is: as it says itself, or for the series of histograms and summaries as their endings say.
    fn kind(&self, metric: &str) -> Option<MetricType> {
        if let Some(kind) = self.catalogue.metric_type(metric) {
            return Some(kind);
        }
        let base = ["_bucket", "_count", "_sum"].iter().find_map(|ending| metric.strip_suffix(ending))?;
        match self.catalogue.metric_type(base)? {
            MetricType::Histogram | MetricType::Summary => Some(MetricType::Counter),
            MetricType::GaugeHistogram => Some(MetricType::Gauge),
            _ => None,
        }
    }

    fn wants_counter(&mut self, call: &Call) {
        let function = call.function.name;
        if let Some(Expr::Subquery(subquery)) = call.args.first().map(Expr::unwrapped)
            && matches!(subquery.expr.unwrapped(), Expr::Aggregate(_))
        {
            let message = format!(
                "{function}() of an aggregation takes a restart of one instance for a reset of the whole: aggregate the {function}() instead"
            );
            self.add(subquery.span, Severity::Warning, message);
        }
        let Some((metric, span)) = Self::ranged(call).filter(|(metric, _)| !metric.is_empty()) else { return };
        match self.kind(metric) {
            Some(MetricType::Gauge | MetricType::GaugeHistogram | MetricType::Info | MetricType::StateSet) => {
                let instead = if function == "increase" { "delta" } else { "deriv" };
                let message =
                    format!("{function}() is for counters, and {metric} is a gauge: {instead}() is for gauges");
                self.add(span, Severity::Warning, message);
            }
            None if !COUNTER_ENDINGS.iter().any(|ending| metric.ends_with(ending)) => {
                let endings = COUNTER_ENDINGS.join("/");
                let message = format!("metric might not be a counter, name does not end in {endings}: {metric:?}");
                self.add(span, Severity::Hint, message);
            }
            Some(_) | None => {}
        }
    }

    fn wants_gauge(&mut self, call: &Call) {
        let Some((metric, span)) = Self::ranged(call) else { return };
        if self.kind(metric) == Some(MetricType::Counter) {
            let function = call.function.name;
            let instead = if function == "delta" { "increase" } else { "rate" };
            let message =
                format!("{function}() is for gauges, and {metric} is a counter: {instead}() allows for resets");
            self.add(span, Severity::Warning, message);
        }
    }

    fn histogram_quantile(&mut self, call: &Call) {
        self.quantile(&call.args[0]);
        let Some(Expr::Aggregate(aggregate)) = call.args.get(1).map(Expr::unwrapped) else { return };
        let mut classic = false;
        aggregate.expr.for_each_selector(&mut |selector| classic |= selector.name.ends_with("_bucket"));
        let keeps_le = aggregate.grouping.iter().any(|label| label == "le") != aggregate.without;
        if classic && !keeps_le {
            let message =
                "the aggregation drops the label \"le\", without which there are no buckets: group by it, too";
            self.add(aggregate.span, Severity::Warning, message.to_owned());
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate) {
        use crate::syntax::ast::AggregateOp;
        if let (AggregateOp::Quantile, Some(param)) = (aggregate.op, &aggregate.param) {
            self.quantile(param);
        }
    }

    /// A quantile that is written down can be checked.
    fn quantile(&mut self, expr: &Expr) {
        if let Expr::Number(number) = expr.unwrapped()
            && !(0.0..=1.0).contains(&number.value)
        {
            let message = format!("quantile value should be between 0 and 1, got {}", number.value);
            self.add(number.span, Severity::Warning, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::NoCatalogue;
    use super::super::complete::tests::Shop;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let shown: Vec<String> = diagnose(text, ParseOptions::ALL, &Shop)
            .iter()
            .map(|found| {
                let part = &text[found.span.start as usize..(found.span.end as usize).min(text.len())];
                format!("{:?} {part}: {}", found.severity, found.message)
            })
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn errors_are_all_reported_and_hints_only_without_them() {
        check("rate(temperature[5m]) +", &["Error : unexpected end of input"]);
        check("sum(rate(orders_total{code=\"200\"}[5m]))", &[]);
        assert!(diagnose("rate(anything_total[5m])", ParseOptions::ALL, &NoCatalogue).is_empty());
    }

    #[test]
    fn functions_for_counters_and_gauges_are_told_apart() {
        check(
            "rate(temperature[5m])",
            &["Warning temperature[5m]: rate() is for counters, and temperature is a gauge: deriv() is for gauges"],
        );
        check(
            "delta(orders_total[5m])",
            &[
                "Warning orders_total[5m]: delta() is for gauges, and orders_total is a counter: increase() allows for resets",
            ],
        );
        check("rate(latency_seconds_bucket[5m])", &[]);
        check(
            "rate(nobody_knows[5m])",
            &[
                "Hint nobody_knows[5m]: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"nobody_knows\"",
                "Hint nobody_knows: there is no metric \"nobody_knows\" at the moment",
            ],
        );
        check(
            "rate(sum(orders_total)[5m:])",
            &[
                "Warning sum(orders_total)[5m:]: rate() of an aggregation takes a restart of one instance for a reset of the whole: aggregate the rate() instead",
            ],
        );
    }

    #[test]
    fn quantiles_need_their_buckets_and_a_share() {
        check("histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[5m])))", &[]);
        check("histogram_quantile(0.9, sum without (code) (rate(latency_seconds_bucket[5m])))", &[]);
        check(
            "histogram_quantile(90, sum(rate(latency_seconds_bucket[5m])))",
            &[
                "Warning 90: quantile value should be between 0 and 1, got 90",
                "Warning sum(rate(latency_seconds_bucket[5m])): the aggregation drops the label \"le\", without which there are no buckets: group by it, too",
            ],
        );
    }

    #[test]
    fn needless_regular_expressions_are_pointed_out() {
        check("orders_total{code=~\"2..\"}", &[]);
        check(
            "orders_total{code=~\"200\"}",
            &["Hint orders_total{code=~\"200\"}: \"code\" is compared with a plain text: `=` says the same"],
        );
        check(
            "orders_total{code!~\"^2..$\"}",
            &[
                "Hint orders_total{code!~\"^2..$\"}: regular expressions match the whole of \"code\": `^` and `$` are not needed",
            ],
        );
    }
}
