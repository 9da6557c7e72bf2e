//! Selectors and metrics: a name and conditions, or labels, in braces.

use model::labels::Labels;
use model::matcher::{BadRegex, MatchOp, Matcher};

use super::{Parsed, Parser};
use crate::syntax::ast::{BinaryOp, Span, VectorSelector};
use crate::syntax::regex_error;
use crate::syntax::token::{Token, TokenKind};

/// The label that holds a metric's name.
pub(super) const METRIC_NAME: &str = "__name__";

impl Parser<'_> {
    /// A selector where an expression begins: a name, braces, or both.
    pub(super) fn vector_selector(&mut self) -> Parsed<VectorSelector> {
        loop {
            match self.peek() {
                TokenKind::LeftBrace => {
                    let (matchers, span) = self.label_matchers()?;
                    return Ok(VectorSelector { matchers, span, ..VectorSelector::default() });
                }
                kind if kind.is_metric_name() => {
                    let name = self.shift();
                    return self.selector_of(name);
                }
                _ => self.reject()?,
            }
        }
    }

    /// A selector whose name is read already.
    pub(super) fn selector_of(&mut self, name: Token) -> Parsed<VectorSelector> {
        let (mut matchers, mut span) = (Vec::new(), name.span);
        if self.peek() == TokenKind::LeftBrace {
            let (inside, braces) = self.label_matchers()?;
            (matchers, span.end) = (inside, braces.end);
        }
        let name = self.text_of(name).to_owned();
        // Prometheus puts the condition on the name last.
        matchers.push(Matcher::equal(METRIC_NAME, &name));
        Ok(VectorSelector { name, matchers, span, ..VectorSelector::default() })
    }

    fn label_matchers(&mut self) -> Parsed<(Vec<Matcher>, Span)> {
        let mut matchers = Vec::new();
        let span = self.in_braces("label matching", |parser| {
            matchers.extend(parser.label_matcher()?);
            Ok(())
        })?;
        Ok((matchers, span))
    }

    /// `{item, item,}`; an unreadable item is reported as unexpected in `context`.
    fn in_braces(&mut self, context: &str, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<Span> {
        let open = self.shift();
        if self.peek() != TokenKind::RightBrace {
            item(self)?;
        }
        loop {
            match self.peek() {
                TokenKind::RightBrace => return Ok(open.span.to(self.shift().span)),
                TokenKind::Comma => {
                    self.shift();
                    if self.peek() != TokenKind::RightBrace {
                        item(self)?;
                    }
                }
                _ => {
                    if let Err(stop) = self.reject() {
                        self.recover(stop, (context, "\",\" or \"}\""), ())?;
                    }
                }
            }
        }
    }

    /// The label's name, or a string: a metric's name unless an operator follows.
    fn item_name(&mut self, context: &str) -> Parsed<Option<Token>> {
        loop {
            match self.peek() {
                TokenKind::Identifier | TokenKind::String => return Ok(Some(self.shift())),
                _ => match self.reject() {
                    Ok(()) => {}
                    Err(stop) => return self.recover(stop, (context, "identifier or \"}\""), None),
                },
            }
        }
    }

    fn label_matcher(&mut self) -> Parsed<Option<Matcher>> {
        const CONTEXT: &str = "label matching";
        let Some(label) = self.item_name(CONTEXT)? else { return Ok(None) };
        let is_string = label.kind == TokenKind::String;
        let name = if is_string { self.unquote(label).text() } else { self.text_of(label).to_owned() };
        if is_string && !self.peek().is_match_op() {
            return Ok(Some(Matcher::equal(METRIC_NAME, &name)));
        }
        while !self.peek().is_match_op() {
            if let Err(stop) = self.reject() {
                return self.recover(stop, (CONTEXT, "label matching operator"), None);
            }
        }
        let op = match_op(self.shift().kind);
        let value = match self.expect(TokenKind::String) {
            Ok(value) => value,
            Err(stop) => return self.recover(stop, (CONTEXT, "string"), None),
        };
        let text = self.unquote(value).text();
        match Matcher::new(&name, op, &text) {
            Ok(matcher) => Ok(Some(matcher)),
            Err(bad) => {
                self.bad_regex(label.span.to(value.span), &bad);
                Ok(None)
            }
        }
    }

    fn bad_regex(&mut self, span: Span, bad: &BadRegex) {
        self.error(span, format!("error parsing regexp: {}", regex_error::describe(bad)));
    }

    /// A series by its labels.
    pub(super) fn metric(&mut self) -> Parsed<Labels> {
        let mut labels: Vec<(String, String)> = Vec::new();
        let mut name = None;
        loop {
            match self.peek() {
                TokenKind::LeftBrace => {
                    self.in_braces("label set", |parser| {
                        labels.extend(parser.label()?);
                        Ok(())
                    })?;
                    break;
                }
                kind if kind.is_metric_name() && name.is_none() => {
                    let token = self.shift();
                    name = Some(self.text_of(token).to_owned());
                }
                _ if name.is_some() => break,
                _ => self.reject()?,
            }
        }
        let mut builder = Labels::empty().to_builder();
        for (label, value) in &labels {
            builder.set(label, value);
        }
        if let Some(name) = name {
            builder.set(METRIC_NAME, &name);
        }
        Ok(builder.build())
    }

    fn label(&mut self) -> Parsed<Option<(String, String)>> {
        const CONTEXT: &str = "label set";
        let Some(label) = self.item_name(CONTEXT)? else { return Ok(None) };
        let is_string = label.kind == TokenKind::String;
        let name = if is_string { self.unquote(label).text() } else { self.text_of(label).to_owned() };
        if is_string && self.peek() != TokenKind::Equal {
            return Ok(Some((METRIC_NAME.to_owned(), name)));
        }
        if let Err(stop) = self.expect(TokenKind::Equal) {
            return self.recover(stop, (CONTEXT, "\"=\""), None);
        }
        match self.expect(TokenKind::String) {
            Ok(value) => {
                let value = self.unquote(value).text();
                Ok(Some((name, value)))
            }
            Err(stop) => self.recover(stop, (CONTEXT, "string"), None),
        }
    }
}

const fn match_op(kind: TokenKind) -> MatchOp {
    match kind {
        TokenKind::Op(BinaryOp::Ne) => MatchOp::NotEqual,
        TokenKind::EqualRegex => MatchOp::Regex,
        TokenKind::NotEqualRegex => MatchOp::NotRegex,
        _ => MatchOp::Equal,
    }
}
