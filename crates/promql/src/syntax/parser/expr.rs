//! Expressions: operators by precedence climbing, literals, parentheses, calls, aggregations.

use super::{HEIGHT_MAX, NESTING_MAX, Parsed, Parser, Stop};
use crate::syntax::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, NumberLiteral, Paren, Span, StringLiteral,
    Unary, VectorMatching,
};
use crate::syntax::functions::{self, Function};
use crate::syntax::number;
use crate::syntax::quote::{self, Unquoted};
use crate::syntax::token::{Token, TokenKind};

/// Signs bind like `*`: their operand takes only what binds tighter.
const SIGN_OPERAND: u8 = BinaryOp::Mul.precedence() + 1;

/// `bool`, `on (…)`, `group_left (…)`, `fill (…)` behind an operator.
struct BinaryModifiers {
    return_bool: bool,
    matching: VectorMatching,
}

impl Parser<'_> {
    /// An expression of operators that bind at least as tight as `min`.
    pub(super) fn expr(&mut self, min: u8) -> Parsed<Expr> {
        if self.nesting == NESTING_MAX {
            return self.too_deep();
        }
        self.nesting += 1;
        let read = self.operator_chain(min);
        self.nesting -= 1;
        read
    }

    fn operator_chain(&mut self, min: u8) -> Parsed<Expr> {
        let mut lhs = self.signed()?;
        while let TokenKind::Op(op) = self.peek() {
            if op.precedence() < min {
                break;
            }
            let lhs_height = self.height;
            let token = self.shift();
            let modifiers = self.binary_modifiers()?;
            let op_span = Span::new(token.span.start, self.accepted_end);
            // Only `^` groups from the right.
            let rhs = self.expr(op.precedence() + u8::from(op != BinaryOp::Pow))?;
            self.grow(lhs_height)?;
            lhs = self.binary(op, op_span, modifiers, (lhs, rhs));
        }
        Ok(lhs)
    }

    fn binary(&mut self, op: BinaryOp, op_span: Span, modifiers: BinaryModifiers, sides: (Expr, Expr)) -> Expr {
        let (lhs, rhs) = sides;
        let BinaryModifiers { return_bool, matching } = modifiers;
        if !self.options.binop_fill && (matching.fill_left.is_some() || matching.fill_right.is_some()) {
            let span = lhs.span().to(rhs.span());
            self.error(span, "binop fill modifiers are experimental and not enabled".to_owned());
        }
        Expr::Binary(Box::new(Binary { op, lhs, rhs, matching: Some(matching), return_bool, op_span }))
    }

    /// The expression just read becomes a child next to one of `sibling` height.
    pub(super) fn grow(&mut self, sibling: u32) -> Parsed<()> {
        self.height = self.height.max(sibling) + 1;
        if self.height > HEIGHT_MAX { self.too_deep() } else { Ok(()) }
    }

    fn binary_modifiers(&mut self) -> Parsed<BinaryModifiers> {
        let return_bool = self.shift_if(TokenKind::Bool).is_some();
        let mut matching = VectorMatching::default();
        if matches!(self.peek(), TokenKind::On | TokenKind::Ignoring) {
            matching.on = self.shift().kind == TokenKind::On;
            matching.labels = self.grouping_labels()?;
            matching.cardinality = match self.peek() {
                TokenKind::GroupLeft => Cardinality::ManyToOne,
                TokenKind::GroupRight => Cardinality::OneToMany,
                _ => Cardinality::OneToOne,
            };
            if matching.cardinality != Cardinality::OneToOne {
                self.shift();
                if self.peek() == TokenKind::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(&mut matching)?;
        Ok(BinaryModifiers { return_bool, matching })
    }

    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        if self.shift_if(TokenKind::Fill).is_some() {
            let value = self.fill_value()?;
            (matching.fill_left, matching.fill_right) = (Some(value), Some(value));
            return Ok(());
        }
        // Each side at most once, in either order.
        loop {
            match self.peek() {
                TokenKind::FillLeft if matching.fill_left.is_none() => {
                    self.shift();
                    matching.fill_left = Some(self.fill_value()?);
                }
                TokenKind::FillRight if matching.fill_right.is_none() => {
                    self.shift();
                    matching.fill_right = Some(self.fill_value()?);
                }
                _ => return Ok(()),
            }
        }
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(TokenKind::LeftParen)?;
        let value = self.signed_number()?;
        self.expect(TokenKind::RightParen)?;
        Ok(value)
    }

    /// A number with or without a sign.
    pub(super) fn signed_number(&mut self) -> Parsed<f64> {
        loop {
            match self.peek() {
                TokenKind::Op(BinaryOp::Add | BinaryOp::Sub) => {
                    let negative = self.shift().kind == TokenKind::Op(BinaryOp::Sub);
                    let value = self.unsigned_number()?;
                    return Ok(if negative { -value } else { value });
                }
                TokenKind::Number | TokenKind::Duration => return self.unsigned_number(),
                _ => self.reject()?,
            }
        }
    }

    fn unsigned_number(&mut self) -> Parsed<f64> {
        while !matches!(self.peek(), TokenKind::Number | TokenKind::Duration) {
            self.reject()?;
        }
        Ok(self.number_literal().value)
    }

    /// The number or duration that is known to stand here.
    pub(super) fn number_literal(&mut self) -> NumberLiteral {
        let token = self.shift();
        let text = self.text_of(token);
        let is_duration = token.kind == TokenKind::Duration;
        let parsed = if is_duration {
            number::parse_duration(text).map(number::seconds_of)
        } else {
            number::parse_number(text).map_err(|error| format!("error parsing number: {error}"))
        };
        let value = parsed.unwrap_or_else(|message| {
            self.error(token.span, message);
            0.0
        });
        NumberLiteral { value, is_duration, span: token.span }
    }

    /// An operand, with signs in front.
    fn signed(&mut self) -> Parsed<Expr> {
        if !matches!(self.peek(), TokenKind::Op(BinaryOp::Add | BinaryOp::Sub)) {
            return self.operand();
        }
        let sign = self.shift();
        let negative = sign.kind == TokenKind::Op(BinaryOp::Sub);
        let expr = self.expr(SIGN_OPERAND)?;
        let span = Span::new(sign.span.start, expr.span().end);
        Ok(match expr {
            Expr::Number(mut literal) => {
                literal.value = if negative { -literal.value } else { literal.value };
                Expr::Number(NumberLiteral { span, ..literal })
            }
            expr => {
                self.grow(0)?;
                Expr::Unary(Box::new(Unary { negative, expr, span }))
            }
        })
    }

    /// A literal, selector, call, aggregation or parenthesised expression, without what may follow it.
    pub(super) fn primary(&mut self) -> Parsed<Expr> {
        self.height = 1;
        loop {
            match self.peek() {
                TokenKind::Number | TokenKind::Duration => return Ok(Expr::Number(self.number_literal())),
                TokenKind::String => return Ok(self.string_literal()),
                TokenKind::LeftParen => return self.paren(),
                TokenKind::LeftBrace => return Ok(Expr::Vector(Box::new(self.vector_selector()?))),
                kind if kind.is_metric_name() => {
                    let name = self.shift();
                    return self.named(name);
                }
                _ => self.reject()?,
            }
        }
    }

    fn string_literal(&mut self) -> Expr {
        let token = self.shift();
        let unquoted = self.unquote(token);
        let (value, invalid_utf8) = (unquoted.text(), unquoted.invalid_utf8());
        Expr::String(StringLiteral { value, invalid_utf8, span: token.span })
    }

    pub(super) fn unquote(&mut self, token: Token) -> Unquoted {
        let literal = self.text_of(token);
        quote::unquote(literal).unwrap_or_else(|| {
            let message = format!("error unquoting string {}: invalid syntax", quote::quoted(literal));
            self.error(token.span, message);
            Unquoted(Vec::new())
        })
    }

    fn paren(&mut self) -> Parsed<Expr> {
        let open = self.shift();
        let expr = self.expr(0)?;
        let close = self.expect(TokenKind::RightParen)?;
        self.grow(0)?;
        Ok(Expr::Paren(Box::new(Paren { expr, span: open.span.to(close.span) })))
    }

    /// What begins with a word: an aggregation, a call, or a selector.
    fn named(&mut self, name: Token) -> Parsed<Expr> {
        let next = self.peek();
        match name.kind {
            TokenKind::Aggregate(op) if matches!(next, TokenKind::LeftParen | TokenKind::By | TokenKind::Without) => {
                self.aggregate(op, name)
            }
            kind if next == TokenKind::LeftParen && (kind == TokenKind::Identifier || kind.is_function_keyword()) => {
                self.call(name)
            }
            _ => Ok(Expr::Vector(Box::new(self.selector_of(name)?))),
        }
    }

    fn call(&mut self, name: Token) -> Parsed<Expr> {
        let args = self.call_args()?;
        let text = self.text_of(name);
        let found = functions::lookup(text);
        match found {
            None => self.error(name.span, format!("unknown function with name {}", quote::quoted(text))),
            Some(function) if function.experimental && !self.options.experimental_functions => {
                self.error(name.span, format!("function {} is not enabled", quote::quoted(text)));
            }
            Some(_) => {}
        }
        // A tree with an unknown function in it never leaves the parser.
        let function: &'static Function = found.unwrap_or(&functions::FUNCTIONS[0]);
        let span = Span::new(name.span.start, self.accepted_end);
        Ok(Expr::Call(Box::new(Call { function, args, span })))
    }

    /// Arguments in parentheses; the opening one is known to stand here.
    fn call_args(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(TokenKind::LeftParen)?;
        let (mut args, mut height) = (Vec::new(), 0);
        loop {
            match self.peek() {
                TokenKind::RightParen => break,
                TokenKind::Comma if !args.is_empty() => {
                    let comma = self.shift();
                    if !self.peek().starts_expr() {
                        let message = "trailing commas not allowed in function call args";
                        self.error(comma.span, message.to_owned());
                        continue;
                    }
                }
                kind if kind.starts_expr() && args.is_empty() => {}
                _ => {
                    self.reject()?;
                    continue;
                }
            }
            args.push(self.expr(0)?);
            height = height.max(self.height);
        }
        self.shift();
        self.height = 0;
        self.grow(height)?;
        Ok(args)
    }

    fn aggregate(&mut self, op: AggregateOp, name: Token) -> Parsed<Expr> {
        let mut aggregate = Aggregate {
            op,
            expr: Expr::Number(NumberLiteral { value: f64::NAN, is_duration: false, span: name.span }),
            param: None,
            grouping: Vec::new(),
            without: false,
            span: name.span,
        };
        let args = match self.aggregate_parts(&mut aggregate) {
            Ok(args) => {
                aggregate.span.end = self.accepted_end;
                args
            }
            Err(stop) => {
                self.recover(stop, ("aggregation", ""), ())?;
                aggregate.span.end = self.last_closing;
                Vec::new()
            }
        };
        self.fill_in_args(&mut aggregate, args);
        Ok(Expr::Aggregate(Box::new(aggregate)))
    }

    /// The arguments, and the grouping in front of them or behind.
    fn aggregate_parts(&mut self, aggregate: &mut Aggregate) -> Parsed<Vec<Expr>> {
        let grouping_first = self.grouping(aggregate)?;
        let args = self.call_args()?;
        if !grouping_first {
            self.grouping(aggregate)?;
        }
        Ok(args)
    }

    fn grouping(&mut self, aggregate: &mut Aggregate) -> Parsed<bool> {
        if !matches!(self.peek(), TokenKind::By | TokenKind::Without) {
            return Ok(false);
        }
        aggregate.without = self.shift().kind == TokenKind::Without;
        aggregate.grouping = self.grouping_labels()?;
        Ok(true)
    }

    fn fill_in_args(&mut self, aggregate: &mut Aggregate, args: Vec<Expr>) {
        let (op, span, got) = (aggregate.op, aggregate.span, args.len());
        if got == 0 {
            self.error(span, "no arguments for aggregate expression provided".to_owned());
            return;
        }
        if op.is_experimental() && !self.options.experimental_functions {
            let name = op.as_str();
            let switch = "--enable-feature=promql-experimental-functions";
            self.error(span, format!("{name}() is experimental and must be enabled with {switch}"));
            return;
        }
        let wanted = 1 + usize::from(op.param_type().is_some());
        let mut args = args.into_iter();
        match (args.next(), args.next()) {
            (Some(expr), None) if wanted == 1 => aggregate.expr = expr,
            (Some(param), Some(expr)) if wanted == 2 && got == 2 => {
                (aggregate.param, aggregate.expr) = (Some(param), expr);
            }
            _ => {
                let numbers = format!("expected {wanted}, got {got}");
                self.error(span, format!("wrong number of arguments for aggregate expression provided, {numbers}"));
            }
        }
    }

    /// `(label, …)` behind `by`, `without`, `on`, `ignoring`, `group_left`, `group_right`.
    fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        if let Err(stop) = self.expect(TokenKind::LeftParen) {
            return self.recover(stop, ("grouping opts", "\"(\""), Vec::new());
        }
        let mut labels = Vec::new();
        if self.shift_if(TokenKind::RightParen).is_some() {
            return Ok(labels);
        }
        labels.push(self.grouping_label()?);
        loop {
            match self.peek() {
                TokenKind::RightParen => break,
                TokenKind::Comma => {
                    self.shift();
                    if self.peek() == TokenKind::RightParen {
                        break;
                    }
                    labels.push(self.grouping_label()?);
                }
                _ => {
                    if let Err(stop) = self.reject() {
                        self.recover(stop, ("grouping opts", "\",\" or \")\""), ())?;
                    }
                }
            }
        }
        self.shift();
        Ok(labels)
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        loop {
            let kind = self.peek();
            if kind != TokenKind::String && !kind.is_label_name() {
                match self.reject() {
                    Ok(()) => continue,
                    Err(Stop::Unwind) => {
                        self.unexpected("grouping opts", "label");
                        return Ok(String::new());
                    }
                    Err(Stop::Abort) => return Err(Stop::Abort),
                }
            }
            let token = self.shift();
            let unquoted = match kind {
                TokenKind::String => self.unquote(token),
                _ => Unquoted(self.text_of(token).as_bytes().to_vec()),
            };
            if unquoted.0.is_empty() || unquoted.invalid_utf8().is_some() {
                let name = quote::quoted_bytes(&unquoted.0);
                self.error(token.span, format!("invalid label name for grouping: {name}"));
            }
            return Ok(unquoted.text());
        }
    }
}
