//! Durations in brackets and behind `offset`: literals, `step()`, `range()` and arithmetic.

use super::{NESTING_MAX, Parsed, Parser};
use crate::syntax::ast::{BinaryOp, DurationExpr, DurationOp, Length, NumberLiteral, Span};
use crate::syntax::number;
use crate::syntax::token::{Token, TokenKind};

/// Signs bind like `*`, as in expressions.
const SIGN_OPERAND: u8 = BinaryOp::Mul.precedence() + 1;

impl Parser<'_> {
    /// A range or step. Only what is written as a plain number is checked to be positive here; what is computed
    /// turns out when the query runs.
    pub(super) fn positive_duration(&mut self) -> Parsed<Length> {
        let expr = self.duration_expr(0)?;
        let DurationExpr::Literal(literal) = expr else { return Ok(Length::Computed(Box::new(expr))) };
        if literal.value <= 0.0 {
            self.error(literal.span, "duration must be greater than 0".to_owned());
        }
        let millis = number::millis_of(literal.value);
        // Prometheus keeps nanoseconds; a range of half a millisecond must not print as one of nothing.
        let vanishes = millis == 0 && literal.value > 0.0;
        Ok(if vanishes { Length::Computed(Box::new(DurationExpr::Literal(literal))) } else { Length::Fixed(millis) })
    }

    /// A duration behind `offset` is as short as can be: `foo offset 5m + 2` adds to `foo`, not to the duration.
    /// Only a parenthesis without a sign, or several signs, begin a longer one.
    pub(super) fn offset_duration(&mut self) -> Parsed<DurationExpr> {
        let Some(sign) = self.sign() else {
            return if self.peek() == TokenKind::LeftParen { self.duration_expr(0) } else { self.duration_atom() };
        };
        if self.peek().starts_sign() {
            let operand = self.duration_expr(SIGN_OPERAND)?;
            let signed = self.signed_duration(sign, operand);
            return self.duration_chain(signed, 0);
        }
        let operand = match self.peek() {
            // Whether it is out of range is asked once, with its sign.
            TokenKind::Number | TokenKind::Duration => DurationExpr::Literal(self.number_literal()),
            _ => self.duration_atom()?,
        };
        Ok(self.signed_duration(sign, operand))
    }

    fn sign(&mut self) -> Option<Token> {
        self.peek().starts_sign().then(|| self.shift())
    }

    fn duration_expr(&mut self, min: u8) -> Parsed<DurationExpr> {
        if self.nesting == NESTING_MAX {
            return self.too_deep();
        }
        self.nesting += 1;
        let read = self.duration_operand().and_then(|lhs| self.duration_chain(lhs, min));
        self.nesting -= 1;
        read
    }

    fn duration_operand(&mut self) -> Parsed<DurationExpr> {
        let Some(sign) = self.sign() else { return self.duration_atom() };
        let operand = self.duration_expr(SIGN_OPERAND)?;
        Ok(self.signed_duration(sign, operand))
    }

    fn duration_chain(&mut self, mut lhs: DurationExpr, min: u8) -> Parsed<DurationExpr> {
        let mut links = 0;
        while let Some((op, precedence)) = duration_op(self.peek()).filter(|(_, precedence)| *precedence >= min) {
            let token = self.shift();
            let rhs = self.duration_expr(precedence + u8::from(op != DurationOp::Pow))?;
            links += 1;
            if links > NESTING_MAX {
                return self.too_deep();
            }
            lhs = self.duration_binary(op, token, lhs, rhs);
        }
        Ok(lhs)
    }

    fn duration_binary(&mut self, op: DurationOp, token: Token, lhs: DurationExpr, rhs: DurationExpr) -> DurationExpr {
        self.require_duration_expr(lhs.span());
        let by_zero = match op {
            DurationOp::Div => "division by zero",
            DurationOp::Mod => "modulo by zero",
            _ => "",
        };
        if !by_zero.is_empty() && matches!(&rhs, DurationExpr::Literal(literal) if literal.value == 0.0) {
            self.error(token.span, by_zero.to_owned());
            return zero();
        }
        DurationExpr::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }
    }

    /// A literal, a call or a parenthesis.
    fn duration_atom(&mut self) -> Parsed<DurationExpr> {
        loop {
            match self.peek() {
                TokenKind::Number | TokenKind::Duration => {
                    let literal = self.number_literal();
                    return Ok(self.in_range(literal, literal_span));
                }
                TokenKind::Step | TokenKind::Range => {
                    let name = self.shift();
                    self.expect(TokenKind::LeftParen)?;
                    let close = self.expect(TokenKind::RightParen)?;
                    let span = name.span.to(close.span);
                    return Ok(match name.kind {
                        TokenKind::Step => DurationExpr::Step(span),
                        _ => DurationExpr::Range(span),
                    });
                }
                TokenKind::MinOf | TokenKind::MaxOf => return self.duration_of_two(),
                TokenKind::LeftParen => return self.duration_paren(),
                _ => self.reject()?,
            }
        }
    }

    fn duration_of_two(&mut self) -> Parsed<DurationExpr> {
        let name = self.shift();
        self.expect(TokenKind::LeftParen)?;
        let lhs = Box::new(self.duration_expr(0)?);
        self.expect(TokenKind::Comma)?;
        let rhs = Box::new(self.duration_expr(0)?);
        let close = self.expect(TokenKind::RightParen)?;
        let span = name.span.to(close.span);
        Ok(match name.kind {
            TokenKind::MinOf => DurationExpr::MinOf { lhs, rhs, span },
            _ => DurationExpr::MaxOf { lhs, rhs, span },
        })
    }

    fn duration_paren(&mut self) -> Parsed<DurationExpr> {
        let open = self.shift();
        let inner = self.duration_expr(0)?;
        let close = self.expect(TokenKind::RightParen)?;
        self.require_duration_expr(inner.span());
        let span = open.span.to(close.span);
        // Several parentheses count as one, as they do in Prometheus's canonical form.
        Ok(match inner {
            DurationExpr::Paren { inner, .. } => DurationExpr::Paren { inner, span },
            inner => DurationExpr::Paren { inner: Box::new(inner), span },
        })
    }

    /// A sign melts into a literal; a plus changes nothing and is dropped.
    fn signed_duration(&mut self, sign: Token, operand: DurationExpr) -> DurationExpr {
        let negative = sign.kind == TokenKind::Op(BinaryOp::Sub);
        match operand {
            DurationExpr::Literal(mut literal) => {
                literal.value = if negative { -literal.value } else { literal.value };
                literal.span.start = sign.span.start;
                self.in_range(literal, |_| sign.span)
            }
            operand if negative => {
                let span = sign.span.to(operand.span());
                DurationExpr::Unary { negative, operand: Box::new(operand), span }
            }
            operand => operand,
        }
    }

    fn in_range(&mut self, literal: NumberLiteral, blame: impl Fn(&NumberLiteral) -> Span) -> DurationExpr {
        if number::is_out_of_range(literal.value) {
            self.error(blame(&literal), "duration out of range".to_owned());
            return zero();
        }
        DurationExpr::Literal(literal)
    }

    fn require_duration_expr(&mut self, span: Span) {
        if !self.options.duration_expr {
            self.error(span, "experimental duration expression is not enabled".to_owned());
        }
    }
}

fn literal_span(literal: &NumberLiteral) -> Span {
    literal.span
}

/// Stands for a duration that was refused; like Prometheus's it has no place in the text.
fn zero() -> DurationExpr {
    DurationExpr::Literal(NumberLiteral { value: 0.0, is_duration: false, span: Span::default() })
}

fn duration_op(kind: TokenKind) -> Option<(DurationOp, u8)> {
    let TokenKind::Op(op) = kind else { return None };
    let duration_op = match op {
        BinaryOp::Add => DurationOp::Add,
        BinaryOp::Sub => DurationOp::Sub,
        BinaryOp::Mul => DurationOp::Mul,
        BinaryOp::Div => DurationOp::Div,
        BinaryOp::Mod => DurationOp::Mod,
        BinaryOp::Pow => DurationOp::Pow,
        _ => return None,
    };
    Some((duration_op, op.precedence()))
}
