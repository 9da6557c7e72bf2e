//! A tree as JSON, in the shape of Prometheus's `/api/v1/parse_query`.
//!
//! Promise: the output is always valid JSON with the keys of each object sorted. Durations are whole milliseconds;
//! those that are computed for each query count as 0, as in Prometheus.

use std::fmt::Write as _;

use model::matcher::Matcher;

use super::ast::{At, Borders, Expr, Length, ValueType, VectorMatching, VectorSelector};
use super::functions::Function;
use super::number::format_float;

/// The tree for `parse_query`'s `data`.
#[must_use]
pub fn to_json(expr: &Expr) -> String {
    let mut json = Json(String::new());
    json.expr(expr);
    json.0
}

struct Json(String);

impl Json {
    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Number(node) => {
                self.raw("{\"type\":\"numberLiteral\",\"val\":");
                self.string(&format_float(node.value));
            }
            Expr::String(node) => {
                self.raw("{\"type\":\"stringLiteral\",\"val\":");
                self.string(&node.value);
            }
            Expr::Paren(node) => {
                self.raw("{\"expr\":");
                self.expr(&node.expr);
                self.raw(",\"type\":\"parenExpr\"");
            }
            Expr::Unary(node) => {
                self.raw("{\"expr\":");
                self.expr(&node.expr);
                self.field("op", if node.negative { "-" } else { "+" });
                self.raw(",\"type\":\"unaryExpr\"");
            }
            Expr::Vector(node) => {
                self.raw("{");
                self.selector(node);
                self.raw(",\"type\":\"vectorSelector\"");
            }
            Expr::Matrix(node) => {
                self.raw("{");
                self.selector_head(&node.selector);
                let _infallible = write!(self.0, ",\"range\":{}", millis(&node.range));
                self.selector_tail(&node.selector);
                self.raw(",\"type\":\"matrixSelector\"");
            }
            Expr::Subquery(node) => self.subquery(node),
            Expr::Call(node) => {
                self.raw("{\"args\":");
                self.list(&node.args, Self::expr);
                self.raw(",\"func\":");
                self.function(node.function);
                self.raw(",\"type\":\"call\"");
            }
            Expr::Aggregate(node) => self.aggregate(node),
            Expr::Binary(node) => self.binary(node),
        }
        self.raw("}");
    }

    fn subquery(&mut self, node: &super::ast::Subquery) {
        self.raw("{\"expr\":");
        self.expr(&node.expr);
        let step = node.step.as_ref().map_or(0, millis);
        let _infallible = write!(self.0, ",\"offset\":{},\"range\":{}", millis(&node.offset), millis(&node.range));
        self.raw(",\"startOrEnd\":");
        self.start_or_end(node.at);
        let _infallible = write!(self.0, ",\"step\":{step},\"timestamp\":");
        self.timestamp(node.at);
        self.raw(",\"type\":\"subquery\"");
    }

    fn aggregate(&mut self, node: &super::ast::Aggregate) {
        self.raw("{\"expr\":");
        self.expr(&node.expr);
        self.raw(",\"grouping\":");
        self.list(&node.grouping, |json, label| json.string(label));
        self.field("op", node.op.as_str());
        self.raw(",\"param\":");
        match &node.param {
            Some(param) => self.expr(param),
            None => self.raw("null"),
        }
        let _infallible = write!(self.0, ",\"type\":\"aggregation\",\"without\":{}", node.without);
    }

    fn binary(&mut self, node: &super::ast::Binary) {
        let _infallible = write!(self.0, "{{\"bool\":{},\"lhs\":", node.return_bool);
        self.expr(&node.lhs);
        self.raw(",\"matching\":");
        match &node.matching {
            Some(matching) => self.matching(matching),
            None => self.raw("null"),
        }
        self.field("op", node.op.as_str());
        self.raw(",\"rhs\":");
        self.expr(&node.rhs);
        self.raw(",\"type\":\"binaryExpr\"");
    }

    fn matching(&mut self, matching: &VectorMatching) {
        self.raw("{\"card\":");
        self.string(matching.cardinality.as_str());
        self.raw(",\"fillValues\":{\"lhs\":");
        self.number(matching.fill_left);
        self.raw(",\"rhs\":");
        self.number(matching.fill_right);
        self.raw("},\"include\":");
        self.list(&matching.include, |json, label| json.string(label));
        self.raw(",\"labels\":");
        self.list(&matching.labels, |json, label| json.string(label));
        let _infallible = write!(self.0, ",\"on\":{}}}", matching.on);
    }

    fn function(&mut self, function: &Function) {
        self.raw("{\"argTypes\":");
        self.list(function.args, |json, kind: &ValueType| json.string(kind.as_str()));
        self.field("name", function.name);
        self.field("returnType", function.returns.as_str());
        let _infallible = write!(self.0, ",\"variadic\":{}}}", function.variadic);
    }

    fn selector(&mut self, selector: &VectorSelector) {
        self.selector_head(selector);
        self.selector_tail(selector);
    }

    /// The keys up to where a range selector has its range.
    fn selector_head(&mut self, selector: &VectorSelector) {
        let anchored = selector.borders == Borders::Anchored;
        let _infallible = write!(self.0, "\"anchored\":{anchored},\"matchers\":");
        self.list(&selector.matchers, Self::matcher);
        self.field("name", &selector.name);
        let _infallible = write!(self.0, ",\"offset\":{}", millis(&selector.offset));
    }

    fn selector_tail(&mut self, selector: &VectorSelector) {
        let smoothed = selector.borders == Borders::Smoothed;
        let _infallible = write!(self.0, ",\"smoothed\":{smoothed},\"startOrEnd\":");
        self.start_or_end(selector.at);
        self.raw(",\"timestamp\":");
        self.timestamp(selector.at);
    }

    fn matcher(&mut self, matcher: &Matcher) {
        self.raw("{\"name\":");
        self.string(&matcher.name);
        self.field("type", matcher.op.as_str());
        self.field("value", &matcher.value);
        self.raw("}");
    }

    fn start_or_end(&mut self, at: Option<At>) {
        self.raw(match at {
            Some(At::Start) => "\"start\"",
            Some(At::End) => "\"end\"",
            Some(At::Time(_)) | None => "null",
        });
    }

    fn timestamp(&mut self, at: Option<At>) {
        match at {
            Some(At::Time(millis)) => {
                let _infallible = write!(self.0, "{millis}");
            }
            Some(At::Start | At::End) | None => self.raw("null"),
        }
    }

    /// JSON has no NaN and no infinity; Prometheus fails on them, we say null.
    fn number(&mut self, value: Option<f64>) {
        match value.filter(|value| value.is_finite()) {
            Some(value) => {
                let _infallible = write!(self.0, "{value}");
            }
            None => self.raw("null"),
        }
    }

    fn list<T>(&mut self, items: &[T], write_item: impl Fn(&mut Self, &T)) {
        self.raw("[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            write_item(self, item);
        }
        self.raw("]");
    }

    /// `,"key":"text"`
    fn field(&mut self, key: &str, text: &str) {
        let _infallible = write!(self.0, ",\"{key}\":");
        self.string(text);
    }

    fn string(&mut self, text: &str) {
        self.0.push('"');
        for c in text.chars() {
            match c {
                '"' => self.raw("\\\""),
                '\\' => self.raw("\\\\"),
                '\n' => self.raw("\\n"),
                '\r' => self.raw("\\r"),
                '\t' => self.raw("\\t"),
                '\0'..='\x1f' => {
                    let _infallible = write!(self.0, "\\u{:04x}", c as u32);
                }
                _ => self.0.push(c),
            }
        }
        self.0.push('"');
    }

    fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }
}

const fn millis(length: &Length) -> i64 {
    match length {
        Length::Fixed(millis) => *millis,
        Length::Computed(_) => 0,
    }
}
