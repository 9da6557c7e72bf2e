//! Tokens to a tree: the entry points, the token stream, and how reading goes on after an error.
//!
//! Precedence climbing over expressions (`expr`), selectors (`selector`) and durations (`duration`). After an error
//! the parser recovers as Prometheus's generated parser does, so that it finds the same errors in the same order:
//! * An unexpected token unwinds to the innermost construct that can stand broken (a label list, what follows
//!   `offset`, an aggregation, …), which reports it and counts as read; at last the whole query is that construct.
//! * Until the next token was accepted, further unexpected tokens are skipped in silence.
//!
//! Promises: recursion and the height of the tree are bounded; errors are bounded; no input panics.

mod duration;
mod expr;
mod modifier;
mod selector;

use model::labels::Labels;
use model::matcher::Matcher;

use super::ast::{Expr, Span};
use super::check;
use super::error::{ParseError, ParseErrors};
use super::lexer::Lexer;
use super::token::{Token, TokenKind};

/// Longer queries are refused: positions are kept in 32 bits, and nobody reads a query of this size.
pub const QUERY_BYTES_MAX: usize = 4 << 20;
/// How deep parentheses, calls and signs may nest. Each level takes a few stack frames of the parser; this many fit
/// several times into the smallest stack a thread gets (2 MiB).
pub const NESTING_MAX: u32 = 200;
/// How high a tree may be; chains such as `a + b + c + …` grow by one per operator. Whoever walks the tree
/// recursively relies on it.
pub const HEIGHT_MAX: u32 = 1000;
/// After so many errors the rest of the text is not looked at.
pub const ERRORS_MAX: usize = 50;
/// What an expression beyond one of the two limits above is told.
const TOO_DEEP: &str = "expression is nested too deeply";
/// Unexpected tokens are skipped in silence until this many tokens were accepted after an error.
const SETTLED_AFTER: u8 = 3;

/// Which parts of the language are on, named after the switches of Prometheus. The default is that of 3.14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// `promql-experimental-functions`
    pub experimental_functions: bool,
    /// `promql-extended-range-selectors`: `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `promql-binop-fill-modifiers`: `fill`, `fill_left`, `fill_right`.
    pub binop_fill: bool,
    /// Arithmetic in brackets and after `offset`.
    pub duration_expr: bool,
}

impl ParseOptions {
    /// Everything on.
    pub const ALL: Self =
        Self { experimental_functions: true, extended_range_selectors: true, binop_fill: true, duration_expr: true };
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self { experimental_functions: false, extended_range_selectors: false, binop_fill: false, duration_expr: true }
    }
}

/// Reads and checks a query.
pub fn parse(query: &str, options: ParseOptions) -> Result<Expr, ParseErrors> {
    let mut parser = Parser::new(query, options)?;
    let expr = parser.whole(Parser::start_expression);
    if let (Some(mut expr), true) = (expr, parser.errors.is_empty()) {
        let errors = check::check(&mut expr, query);
        return if errors.is_empty() { Ok(expr) } else { Err(ParseErrors(errors)) };
    }
    Err(parser.into_errors())
}

/// Reads one series selector, as in `match[]`. Unlike in a query it may match everything; see
/// [`Matcher::matches_empty`].
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseErrors> {
    let mut parser = Parser::new(text, ParseOptions::default())?;
    match (parser.whole(Parser::vector_selector), parser.errors.is_empty()) {
        (Some(selector), true) => Ok(selector.matchers),
        _ => Err(parser.into_errors()),
    }
}

/// Reads the labels of one series: `name{label="value"}`, only `=`.
pub fn parse_metric(text: &str) -> Result<Labels, ParseErrors> {
    let mut parser = Parser::new(text, ParseOptions::default())?;
    match (parser.whole(Parser::metric), parser.errors.is_empty()) {
        (Some(labels), true) => Ok(labels),
        _ => Err(parser.into_errors()),
    }
}

/// Why a construct was not read to its end.
#[derive(Clone, Copy)]
enum Stop {
    /// An unexpected token: the innermost construct that can stand broken takes it from here.
    Unwind,
    /// Nothing more will be read.
    Abort,
}

type Parsed<T> = Result<T, Stop>;

struct Parser<'a> {
    text: &'a str,
    options: ParseOptions,
    lexer: Lexer<'a>,
    lookahead: Option<Token>,
    /// The token read last, looked ahead or not: the one that is unexpected where something is.
    last: Token,
    /// The end of the last closing token read so far: Prometheus ends several spans there.
    last_closing: u32,
    /// The end of the token accepted last.
    accepted_end: u32,
    errors: Vec<ParseError>,
    /// How many tokens must still be accepted before unexpected ones are reported again.
    unsettled: u8,
    nesting: u32,
    /// The height of the expression read last.
    height: u32,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, options: ParseOptions) -> Result<Self, ParseErrors> {
        if text.len() > QUERY_BYTES_MAX {
            let message = format!("query is longer than {QUERY_BYTES_MAX} bytes");
            return Err(ParseErrors(vec![ParseError::new(text, Span::default(), message)]));
        }
        let last = Token { kind: TokenKind::Eof, span: Span::default() };
        Ok(Self {
            text,
            options,
            lexer: Lexer::new(text),
            lookahead: None,
            last,
            last_closing: 0,
            accepted_end: 0,
            errors: Vec::new(),
            unsettled: 0,
            nesting: 0,
            height: 0,
        })
    }

    fn into_errors(mut self) -> ParseErrors {
        if self.errors.is_empty() {
            self.unexpected("", "");
        }
        ParseErrors(self.errors)
    }

    /// Reads one `part` and makes sure that nothing follows it.
    fn whole<T>(&mut self, part: impl FnOnce(&mut Self) -> Parsed<T>) -> Option<T> {
        let read = match part(self) {
            Ok(read) => Some(read),
            Err(Stop::Unwind) => {
                self.unexpected("", "");
                None
            }
            Err(Stop::Abort) => return None,
        };
        while !matches!(self.peek(), TokenKind::Eof | TokenKind::Error) {
            match self.reject() {
                Ok(()) => {}
                Err(Stop::Unwind) => self.unexpected("", ""),
                Err(Stop::Abort) => return None,
            }
        }
        read
    }

    fn start_expression(&mut self) -> Parsed<Expr> {
        if self.peek() == TokenKind::Eof {
            self.error(Span::default(), "no expression found in input".to_owned());
            return Err(Stop::Abort);
        }
        self.expr(0)
    }

    /// The next token, without accepting it.
    fn peek(&mut self) -> TokenKind {
        if let Some(token) = self.lookahead {
            return token.kind;
        }
        let mut token = self.lexer.next_token();
        while token.kind == TokenKind::Comment {
            token = self.lexer.next_token();
        }
        if token.kind == TokenKind::Error {
            let message = self.lexer.error().unwrap_or_default().to_owned();
            self.error(Span::new(token.span.start, self.end_of_text()), message);
        }
        if token.kind.closes() {
            self.last_closing = token.span.end;
        }
        self.last = token;
        self.lookahead = Some(token);
        token.kind
    }

    /// Accepts the next token.
    fn shift(&mut self) -> Token {
        self.peek();
        self.unsettled = self.unsettled.saturating_sub(1);
        self.lookahead = None;
        self.accepted_end = self.last.span.end;
        self.last
    }

    /// Accepts the next token if it is of this kind.
    fn shift_if(&mut self, kind: TokenKind) -> Option<Token> {
        (self.peek() == kind).then(|| self.shift())
    }

    /// Accepts a token of this kind; nothing else may stand here.
    fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        while self.peek() != kind {
            self.reject()?;
        }
        Ok(self.shift())
    }

    /// The next token cannot stand here. Right after another error it is skipped and the caller looks at the one
    /// behind it; else the caller unwinds.
    fn reject(&mut self) -> Parsed<()> {
        if self.errors.len() >= ERRORS_MAX {
            return Err(Stop::Abort);
        }
        if self.unsettled < SETTLED_AFTER {
            self.unsettled = SETTLED_AFTER;
            return Err(Stop::Unwind);
        }
        if matches!(self.peek(), TokenKind::Eof | TokenKind::Error) {
            return Err(Stop::Abort);
        }
        self.lookahead = None;
        Ok(())
    }

    /// Stands in for a construct that unwound, or passes on why there is none.
    fn recover<T>(&mut self, stop: Stop, context: (&str, &str), broken: T) -> Parsed<T> {
        match stop {
            Stop::Unwind => {
                self.unexpected(context.0, context.1);
                Ok(broken)
            }
            Stop::Abort => Err(Stop::Abort),
        }
    }

    /// Reports the token read last.
    fn unexpected(&mut self, context: &str, expected: &str) {
        // What the lexer could not read is reported already.
        if self.last.kind == TokenKind::Error {
            return;
        }
        let mut message = format!("unexpected {}", self.last.kind.describe(self.text_of(self.last)));
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(self.last.span, message);
    }

    fn error(&mut self, span: Span, message: String) {
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        self.errors.push(ParseError::new(self.text, span, message));
    }

    /// Refuses an expression above the limits.
    fn too_deep<T>(&mut self) -> Parsed<T> {
        let limit = format!("{TOO_DEEP}: at most {NESTING_MAX} levels and {HEIGHT_MAX} operators in a chain");
        self.error(self.last.span, limit);
        Err(Stop::Abort)
    }

    fn text_of(&self, token: Token) -> &'a str {
        self.text.get(token.span.start as usize..token.span.end as usize).unwrap_or_default()
    }

    fn end_of_text(&self) -> u32 {
        u32::try_from(self.text.len()).unwrap_or(u32::MAX)
    }
}
