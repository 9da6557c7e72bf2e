//! What follows an operand: ranges, subqueries, `offset`, `@`, `anchored`, `smoothed`.
//!
//! Spans grow to the end of the modifiers, `anchored` and `smoothed` excepted, as in Prometheus.

use super::{Parsed, Parser};
use crate::syntax::ast::{At, Borders, DurationExpr, Expr, Length, MatrixSelector, Span, Subquery};
use crate::syntax::number;
use crate::syntax::token::{Token, TokenKind};

/// An operand that modifiers are still added to.
struct Operand {
    expr: Expr,
    /// Set where a range was put behind something that cannot have one: to later modifiers this is a broken range
    /// selector of that span, and `expr` is what stood in front of it.
    broken_range: Option<Span>,
}

impl Operand {
    fn span(&self) -> Span {
        self.broken_range.unwrap_or_else(|| self.expr.span())
    }

    /// The offset, the `@`, and the span they lengthen; `None` where there can be none.
    fn modifiers(&mut self) -> Option<(&mut Length, &mut Option<At>, &mut Span)> {
        match &mut self.expr {
            Expr::Vector(node) => Some((&mut node.offset, &mut node.at, &mut node.span)),
            Expr::Matrix(node) => Some((&mut node.selector.offset, &mut node.selector.at, &mut node.span)),
            Expr::Subquery(node) => Some((&mut node.offset, &mut node.at, &mut node.span)),
            _ => None,
        }
    }
}

/// What stands in brackets.
enum Bracket {
    Range(Length, Token),
    Subquery(Length, Option<Length>, Token),
    Broken,
}

const RANGE_ONLY: &str = "ranges only allowed for vector selectors";

impl Parser<'_> {
    pub(super) fn operand(&mut self) -> Parsed<Expr> {
        let mut operand = Operand { expr: self.primary()?, broken_range: None };
        loop {
            match self.peek() {
                TokenKind::LeftBracket => self.bracket(&mut operand)?,
                TokenKind::Offset => self.offset(&mut operand)?,
                TokenKind::At => self.at(&mut operand)?,
                TokenKind::Anchored => self.borders(&mut operand, Borders::Anchored),
                TokenKind::Smoothed => self.borders(&mut operand, Borders::Smoothed),
                _ => return Ok(operand.expr),
            }
        }
    }

    fn bracket(&mut self, operand: &mut Operand) -> Parsed<()> {
        let open = self.shift();
        let span = operand.span();
        match self.bracket_parts()? {
            Bracket::Broken => {}
            Bracket::Range(range, close) => self.range(operand, range, open.span.to(close.span)),
            Bracket::Subquery(range, step, close) => {
                self.grow(0)?;
                let expr = std::mem::replace(&mut operand.expr, placeholder(span));
                let (offset, at, span) = (Length::ZERO, None, span.to(close.span));
                operand.broken_range = None;
                operand.expr = Expr::Subquery(Box::new(Subquery { expr, range, step, offset, at, span }));
            }
        }
        Ok(())
    }

    fn bracket_parts(&mut self) -> Parsed<Bracket> {
        let range = match self.positive_duration() {
            Ok(range) => range,
            Err(stop) => {
                let context = ("subquery or range selector", "number, duration, step(), or range()");
                return self.recover(stop, context, Bracket::Broken);
            }
        };
        loop {
            match self.peek() {
                TokenKind::RightBracket => return Ok(Bracket::Range(range, self.shift())),
                TokenKind::Colon => break,
                _ => {
                    if let Err(stop) = self.reject() {
                        return self.recover(stop, ("subquery or range", "\":\" or \"]\""), Bracket::Broken);
                    }
                }
            }
        }
        self.shift();
        if let Some(close) = self.shift_if(TokenKind::RightBracket) {
            return Ok(Bracket::Subquery(range, None, close));
        }
        let step = match self.positive_duration() {
            Ok(step) => step,
            Err(stop) => {
                let context = ("subquery selector", "number, duration, step(), range(), or \"]\"");
                return self.recover(stop, context, Bracket::Broken);
            }
        };
        match self.expect(TokenKind::RightBracket) {
            Ok(close) => Ok(Bracket::Subquery(range, Some(step), close)),
            Err(stop) => self.recover(stop, ("subquery selector", "\"]\""), Bracket::Broken),
        }
    }

    fn range(&mut self, operand: &mut Operand, range: Length, brackets: Span) {
        let span = operand.span().to(brackets);
        let problem = match &operand.expr {
            _ if operand.broken_range.is_some() => Some(RANGE_ONLY),
            Expr::Vector(selector) => match (&selector.offset, selector.at) {
                (Length::Fixed(offset), _) if *offset != 0 => Some("no offset modifiers allowed before range"),
                (_, Some(At::Time(_))) => Some("no @ modifiers allowed before range"),
                _ => None,
            },
            _ => Some(RANGE_ONLY),
        };
        if let Some(problem) = problem {
            self.error(brackets, problem.to_owned());
        }
        match std::mem::replace(&mut operand.expr, placeholder(span)) {
            Expr::Vector(selector) if operand.broken_range.is_none() => {
                operand.expr = Expr::Matrix(Box::new(MatrixSelector { selector: *selector, range, span }));
            }
            other => {
                operand.expr = other;
                operand.broken_range = Some(span);
            }
        }
    }

    fn offset(&mut self, operand: &mut Operand) -> Parsed<()> {
        self.shift();
        let duration = match self.offset_duration() {
            Ok(duration) => duration,
            Err(stop) => {
                return self.recover(stop, ("offset", "number, duration, step(), or range()"), ());
            }
        };
        let span = operand.span();
        let end = self.last_closing;
        if operand.broken_range.is_some() {
            self.error(span, RANGE_ONLY.to_owned());
            return Ok(());
        }
        let Some((offset, _, node_span)) = operand.modifiers() else {
            let places = "an instant vector selector or range vector selector or a subquery";
            self.error(span, format!("offset modifier must be preceded by {places}"));
            return Ok(());
        };
        node_span.end = end;
        if *offset == Length::ZERO {
            *offset = match duration {
                DurationExpr::Literal(literal) => Length::Fixed(number::millis_of(literal.value)),
                computed => Length::Computed(Box::new(computed)),
            };
        } else {
            self.error(span, "offset may not be set multiple times".to_owned());
        }
        Ok(())
    }

    fn at(&mut self, operand: &mut Operand) -> Parsed<()> {
        self.shift();
        let at = match self.at_time(operand.span()) {
            Ok(at) => at,
            Err(stop) => return self.recover(stop, ("@", "timestamp"), ()),
        };
        let span = operand.span();
        let end = self.last_closing;
        if operand.broken_range.is_some() {
            self.error(span, RANGE_ONLY.to_owned());
            return Ok(());
        }
        let Some((_, place, node_span)) = operand.modifiers() else {
            let places = "an instant vector selector or range vector selector or a subquery";
            self.error(span, format!("@ modifier must be preceded by {places}"));
            return Ok(());
        };
        if place.is_some() {
            self.error(span, "@ <timestamp> may not be set multiple times".to_owned());
            return Ok(());
        }
        *place = Some(at);
        node_span.end = end;
        Ok(())
    }

    fn at_time(&mut self, operand: Span) -> Parsed<At> {
        loop {
            match self.peek() {
                TokenKind::Start | TokenKind::End => {
                    let at = if self.shift().kind == TokenKind::Start { At::Start } else { At::End };
                    self.expect(TokenKind::LeftParen)?;
                    self.expect(TokenKind::RightParen)?;
                    return Ok(at);
                }
                kind if kind == TokenKind::Number || kind == TokenKind::Duration || kind.starts_sign() => {
                    let seconds = self.signed_number()?;
                    // Both bounds are exact as floats; the largest time itself is beyond what a float can tell apart.
                    if !(seconds > i64::MIN as f64 && seconds < i64::MAX as f64) {
                        let shown = number::format_fixed(seconds);
                        self.error(operand, format!("timestamp out of bounds for @ modifier: {shown}"));
                    }
                    return Ok(At::Time((seconds * 1000.0).round() as i64));
                }
                _ => self.reject()?,
            }
        }
    }

    fn borders(&mut self, operand: &mut Operand, wanted: Borders) {
        let word = if wanted == Borders::Anchored { "anchored" } else { "smoothed" };
        self.shift();
        let span = operand.span();
        if !self.options.extended_range_selectors {
            self.error(span, format!("{word} modifier is experimental and not enabled"));
            return;
        }
        if operand.broken_range.is_some() {
            return;
        }
        let place = match &mut operand.expr {
            Expr::Vector(selector) => &mut selector.borders,
            Expr::Matrix(matrix) => &mut matrix.selector.borders,
            Expr::Subquery(_) => {
                self.error(span, format!("{word} modifier is not supported for subqueries"));
                return;
            }
            _ => {
                self.error(span, format!("{word} modifier not implemented"));
                return;
            }
        };
        if *place != Borders::Plain && *place != wanted {
            self.error(span, "anchored and smoothed modifiers cannot be used together".to_owned());
        } else {
            *place = wanted;
        }
    }
}

/// Stands where an expression is taken out and put back in another shape.
fn placeholder(span: Span) -> Expr {
    Expr::Number(crate::syntax::ast::NumberLiteral { value: 0.0, is_duration: false, span })
}
