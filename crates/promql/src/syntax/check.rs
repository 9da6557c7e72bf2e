//! Whether a tree makes sense: types of arguments and operands, set operators, matchings, selectors.
//!
//! Promise: errors come in Prometheus's order and words. What the checks find out is written into the tree: the
//! matching of a binary operation stays only between instant vectors, set operators become many-to-many.

use super::ast::{
    Aggregate, Binary, Call, Cardinality, Expr, Span, Subquery, Unary, ValueType, VectorMatching, VectorSelector,
};
use super::error::ParseError;
use super::functions::FunctionId;
use super::parser::ERRORS_MAX;
use super::quote::quoted;

/// Checks a tree that was read without errors.
pub(super) fn check(expr: &mut Expr, text: &str) -> Vec<ParseError> {
    let mut checker = Checker { text, errors: Vec::new() };
    checker.expr(expr);
    checker.errors
}

struct Checker<'a> {
    text: &'a str,
    errors: Vec<ParseError>,
}

impl Checker<'_> {
    fn error(&mut self, span: Span, message: impl Into<String>) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(ParseError::new(self.text, span, message.into()));
        }
    }

    fn expr(&mut self, expr: &mut Expr) -> ValueType {
        match expr {
            Expr::Number(_) | Expr::String(_) => {}
            Expr::Vector(node) => self.selector(node, node.span),
            Expr::Matrix(node) => {
                // The selector's own span ends where the brackets begin.
                let span = node.selector.span;
                self.selector(&node.selector, span);
            }
            Expr::Subquery(node) => self.subquery(node),
            Expr::Call(node) => self.call(node),
            Expr::Aggregate(node) => self.aggregate(node),
            Expr::Binary(node) => self.binary(node),
            Expr::Unary(node) => self.unary(node),
            Expr::Paren(node) => {
                self.expr(&mut node.expr);
            }
        }
        expr.value_type()
    }

    fn expect(&mut self, expr: &mut Expr, wanted: ValueType, context: &str) {
        let got = self.expr(expr);
        if got != wanted {
            self.wrong_type(expr.span(), wanted, got, context);
        }
    }

    fn wrong_type(&mut self, span: Span, wanted: ValueType, got: ValueType, context: &str) {
        let (wanted, got) = (wanted.documented(), got.documented());
        self.error(span, format!("expected type {wanted} in {context}, got {got}"));
    }

    fn selector(&mut self, selector: &VectorSelector, span: Span) {
        if let Some((_own, others)) = selector.matchers.split_last().filter(|_| !selector.name.is_empty()) {
            for other in others.iter().filter(|matcher| &*matcher.name == "__name__") {
                let (name, second) = (quoted(&selector.name), quoted(&other.value));
                self.error(span, format!("metric name must not be set twice: {name} or {second}"));
            }
            return;
        }
        let selective = selector.matchers.iter().any(|matcher| !matcher.matches_empty());
        if !selective && !selector.bypass_empty_matcher_check {
            self.error(span, "vector selector must contain at least one non-empty matcher");
        }
    }

    fn subquery(&mut self, node: &mut Subquery) {
        let got = self.expr(&mut node.expr);
        if got != ValueType::Vector {
            let got = got.as_str();
            self.error(node.span, format!("subquery is only allowed on instant vector, got {got} instead"));
        }
    }

    fn unary(&mut self, node: &mut Unary) {
        let got = self.expr(&mut node.expr);
        if !matches!(got, ValueType::Scalar | ValueType::Vector) {
            let got = quoted(got.documented());
            let allowed = "unary expression only allowed on expressions of type scalar or instant vector";
            self.error(node.span, format!("{allowed}, got {got}"));
        }
    }

    fn aggregate(&mut self, node: &mut Aggregate) {
        self.expect(&mut node.expr, ValueType::Vector, "aggregation expression");
        if let (Some(param), Some(wanted)) = (&mut node.param, node.op.param_type()) {
            self.expect(param, wanted, "aggregation parameter");
        }
    }

    fn call(&mut self, node: &mut Call) {
        self.arity(node);
        let function = node.function;
        if function.id == FunctionId::Info && node.args.len() > 1 {
            self.info_labels(node);
        }
        let context = format!("call to function {}", quoted(function.name));
        for (index, arg) in node.args.iter_mut().enumerate() {
            if index >= function.args.len() && function.variadic == 0 {
                break;
            }
            let got = self.expr(arg);
            if let Some(wanted) = function.arg_type(index).filter(|wanted| *wanted != got) {
                self.wrong_type(arg.span(), wanted, got, &context);
            }
        }
    }

    fn arity(&mut self, node: &Call) {
        let (least, most) = node.function.arity();
        let got = node.args.len();
        let wanted = match most {
            _ if node.function.variadic == 0 && got != least => format!("{least}"),
            _ if got < least => format!("at least {least}"),
            Some(most) if got > most => format!("at most {most}"),
            _ => return,
        };
        let name = quoted(node.function.name);
        self.error(node.span, format!("expected {wanted} argument(s) in call to {name}, got {got}"));
    }

    /// The second argument of `info` names labels, not a metric, and may match everything.
    fn info_labels(&mut self, node: &mut Call) {
        let got = node.args[1].value_type();
        if got != ValueType::Vector {
            let context = format!("call to function {}", quoted(node.function.name));
            self.wrong_type(node.span, ValueType::Vector, got, &context);
        }
        let span = node.args[1].span();
        match &mut node.args[1] {
            Expr::Vector(selector) if selector.name.is_empty() => selector.bypass_empty_matcher_check = true,
            Expr::Vector(_) => self.error(span, "expected label selectors only, got vector selector instead"),
            _ => self.error(span, "expected label selectors only"),
        }
    }

    fn binary(&mut self, node: &mut Binary) {
        let left = self.expr(&mut node.lhs);
        let right = self.expr(&mut node.rhs);
        let both_scalar = node.lhs.value_type() == ValueType::Scalar && node.rhs.value_type() == ValueType::Scalar;
        if node.return_bool && !node.op.is_comparison() {
            self.error(self.op_span(node), "bool modifier can only be used on comparison operators");
        }
        if node.op.is_comparison() && !node.return_bool && both_scalar {
            self.error(self.op_span(node), "comparisons between scalars must use BOOL modifier");
        }
        let mut matching = node.matching.take().unwrap_or_default();
        if node.op.is_set() && matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        }
        if matching.on {
            for label in matching.labels.iter().filter(|label| matching.include.contains(label)) {
                let label = quoted(label);
                self.error(self.op_span(node), format!("label {label} must not occur in ON and GROUP clause at once"));
            }
        }
        for (side, kind) in [(&node.lhs, left), (&node.rhs, right)] {
            if !matches!(kind, ValueType::Scalar | ValueType::Vector) {
                self.error(side.span(), "binary expression must contain only scalar and instant vector types");
            }
        }
        let span = node.lhs.span().to(node.rhs.span());
        let between_vectors = left == ValueType::Vector && right == ValueType::Vector;
        self.matching(node, &matching, span, between_vectors);
        if (left == ValueType::Scalar || right == ValueType::Scalar) && node.op.is_set() {
            let op = quoted(node.op.as_str());
            self.error(span, format!("set operator {op} not allowed in binary scalar expression"));
        }
        node.matching = between_vectors.then_some(matching);
    }

    fn matching(&mut self, node: &Binary, matching: &VectorMatching, span: Span, between_vectors: bool) {
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if !between_vectors {
            if !matching.labels.is_empty() {
                self.error(span, "vector matching only allowed between instant vectors");
            }
            if fills {
                self.error(span, "filling in missing series only allowed between instant vectors");
            }
            return;
        }
        if !node.op.is_set() {
            return;
        }
        if matching.cardinality != Cardinality::ManyToMany {
            let op = quoted(node.op.as_str());
            self.error(span, format!("no grouping allowed for {op} operation"));
            self.error(span, "set operations must always be many-to-many");
        }
        if fills {
            self.error(span, "filling in missing series not allowed for set operators");
        }
    }

    /// The operator's place as Prometheus computes it: what is between the operands without the white space at both
    /// ends, and without its last byte.
    fn op_span(&self, node: &Binary) -> Span {
        let bytes = self.text.as_bytes();
        let is_space =
            |at: u32| bytes.get(at as usize).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        let mut span = Span::new(node.lhs.span().end, node.rhs.span().start.saturating_sub(1));
        while is_space(span.start) {
            span.start += 1;
        }
        while span.end > span.start && is_space(span.end) {
            span.end -= 1;
        }
        span
    }
}
