//! What is wrong with a query, and where.

use std::fmt;

use super::ast::Span;

/// One thing wrong with a query. The message is Prometheus's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub span: Span,
    pub message: String,
    /// From 1; 0 where there is no text to point at.
    pub line: usize,
    /// From 1, in bytes.
    pub col: usize,
}

impl ParseError {
    /// An error in `text`.
    #[must_use]
    pub fn new(text: &str, span: Span, message: String) -> Self {
        let (line, col) = if text.is_empty() { (0, 0) } else { span.line_col(text) };
        Self { span, message, line, col }
    }
}

/// `1:5: parse error: …`
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "unknown position: parse error: {}", self.message);
        }
        write!(f, "{}:{}: parse error: {}", self.line, self.col, self.message)
    }
}

/// Everything wrong with a query, in the order in which it was found; at least one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseErrors(pub Vec<ParseError>);

/// Only the first error: the others are often consequences of it.
impl fmt::Display for ParseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.first() {
            Some(first) => first.fmt(f),
            None => f.write_str("parse error"),
        }
    }
}

impl std::error::Error for ParseErrors {}
