//! A text seen by an editor: each token with the part it plays, and what may come next.
//!
//! Runs forward over the tokens with a stack of open brackets. It takes unfinished and wrong text: where a token does
//! not fit, it is coloured by what it is and the scanner goes on as if it were not there.

use super::EDITOR_BYTES_MAX;
use super::highlight::Role;
use crate::syntax::ast::{BinaryOp, Span};
use crate::syntax::lexer::Lexer;
use crate::syntax::token::{Token, TokenKind};

/// A token and its part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) token: Token,
    pub(super) role: Role,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expecting {
    Operand(Stage),
    /// An operator or modifier; `groupable` behind an aggregation that has no `by` yet.
    Operator {
        groupable: bool,
    },
    /// `by`, `without` or a parenthesis.
    AggregateHead,
    Open(Frame),
    LabelName,
    MatchOp,
    LabelValue,
    LabelEnd,
    GroupingLabel,
    GroupingEnd,
    Duration,
    AtTime,
}

/// What an operand stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Start,
    Operator {
        comparison: bool,
    },
    /// `on (…)` or `ignoring (…)`
    Matching,
    /// `group_left (…)`, `fill (…)`
    Included,
}

/// An open bracket, by what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Paren,
    Call,
    Aggregate {
        grouped: bool,
    },
    GroupingBefore,
    GroupingBehind,
    Matching,
    Include,
    Fill,
    Braces,
    Brackets,
    /// Parentheses of a duration behind `offset`.
    Duration,
}

/// The state behind the last token.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) words: Vec<Word>,
    pub(super) expecting: Expecting,
    pub(super) frames: Vec<Frame>,
    /// Where the text stops being readable.
    pub(super) unreadable: Option<Span>,
    /// The metric of the selector read last or being read.
    pub(super) metric: Option<Span>,
    /// The label whose value is expected.
    pub(super) label: Option<Span>,
}

/// Reads a text; too long a one counts as empty.
pub(super) fn scan(text: &str) -> Scan {
    let text = if text.len() > EDITOR_BYTES_MAX { "" } else { text };
    let (tokens, unreadable) = tokens(text);
    let mut scan = Scan {
        words: Vec::with_capacity(tokens.len()),
        expecting: Expecting::Operand(Stage::Start),
        frames: Vec::new(),
        unreadable,
        metric: None,
        label: None,
    };
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens[index + 1..].iter().map(|token| token.kind).find(|kind| *kind != TokenKind::Comment);
        let role = if token.kind == TokenKind::Comment { Role::Comment } else { scan.step(*token, next) };
        scan.words.push(Word { token: *token, role });
    }
    scan
}

fn tokens(text: &str) -> (Vec<Token>, Option<Span>) {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token();
        match token.kind {
            TokenKind::Eof => return (tokens, None),
            TokenKind::Error => {
                let unreadable = behind(text, tokens.last());
                return (tokens, unreadable);
            }
            _ => tokens.push(token),
        }
    }
}

/// What stands behind the last token; nothing where only something is missing at the end.
fn behind(text: &str, last: Option<&Token>) -> Option<Span> {
    let rest = text.get(last.map_or(0, |token| token.span.end as usize)..)?.trim_start();
    let position = |pos: usize| u32::try_from(pos).unwrap_or(u32::MAX);
    (!rest.is_empty()).then(|| Span::new(position(text.len() - rest.len()), position(text.len())))
}

const OPERATOR: Expecting = Expecting::Operator { groupable: false };
const OPERAND: Expecting = Expecting::Operand(Stage::Start);

impl Scan {
    fn step(&mut self, token: Token, next: Option<TokenKind>) -> Role {
        match self.frames.last() {
            Some(Frame::Braces) => self.in_braces(token),
            Some(Frame::Brackets | Frame::Duration) => self.in_duration(token),
            Some(Frame::GroupingBefore | Frame::GroupingBehind | Frame::Matching | Frame::Include) => {
                self.in_grouping(token)
            }
            Some(Frame::Paren | Frame::Call | Frame::Aggregate { .. } | Frame::Fill) | None => {
                self.in_expression(token, next)
            }
        }
    }

    fn in_braces(&mut self, token: Token) -> Role {
        match (token.kind, self.expecting) {
            (TokenKind::Identifier | TokenKind::String, Expecting::LabelName) => {
                self.label = Some(token.span);
                self.expecting = Expecting::MatchOp;
                Role::Label
            }
            (kind, Expecting::MatchOp) if kind.is_match_op() => {
                self.expecting = Expecting::LabelValue;
                Role::Operator
            }
            (TokenKind::String, _) => {
                self.expecting = Expecting::LabelEnd;
                Role::String
            }
            (TokenKind::Comma, _) => {
                self.expecting = Expecting::LabelName;
                Role::Punctuation
            }
            (TokenKind::RightBrace, _) => {
                self.frames.pop();
                self.expecting = OPERATOR;
                Role::Punctuation
            }
            _ => plain_role(token.kind),
        }
    }

    fn in_duration(&mut self, token: Token) -> Role {
        match token.kind {
            TokenKind::RightBracket => {
                self.frames.pop();
                self.expecting = OPERATOR;
            }
            TokenKind::LeftParen => self.frames.push(Frame::Duration),
            TokenKind::RightParen if self.frames.last() == Some(&Frame::Duration) => {
                self.frames.pop();
                let in_brackets = matches!(self.frames.last(), Some(Frame::Brackets | Frame::Duration));
                self.expecting = if in_brackets { Expecting::Duration } else { OPERATOR };
            }
            _ => {}
        }
        plain_role(token.kind)
    }

    fn in_grouping(&mut self, token: Token) -> Role {
        match token.kind {
            kind if kind == TokenKind::String || kind.is_label_name() => {
                self.expecting = Expecting::GroupingEnd;
                Role::Label
            }
            TokenKind::Comma => {
                self.expecting = Expecting::GroupingLabel;
                Role::Punctuation
            }
            TokenKind::RightParen => {
                self.close();
                Role::Punctuation
            }
            kind => plain_role(kind),
        }
    }

    fn in_expression(&mut self, token: Token, next: Option<TokenKind>) -> Role {
        if token.kind == TokenKind::RightParen {
            self.close();
            return Role::Punctuation;
        }
        match self.expecting {
            Expecting::Operand(stage) => self.operand(token, next, stage),
            Expecting::AggregateHead => self.aggregate_head(token),
            Expecting::Open(frame) if token.kind == TokenKind::LeftParen => {
                self.open(frame);
                Role::Punctuation
            }
            Expecting::Duration => self.offset_duration(token),
            Expecting::AtTime => self.at_time(token),
            _ => self.operator(token),
        }
    }

    fn operand(&mut self, token: Token, next: Option<TokenKind>, stage: Stage) -> Role {
        let after_operator = matches!(stage, Stage::Operator { .. });
        match token.kind {
            TokenKind::Bool if after_operator => {
                self.expecting = Expecting::Operand(Stage::Operator { comparison: false });
                Role::Keyword
            }
            TokenKind::On | TokenKind::Ignoring if after_operator => {
                self.expecting = Expecting::Open(Frame::Matching);
                Role::Keyword
            }
            TokenKind::GroupLeft | TokenKind::GroupRight if stage == Stage::Matching => {
                let listed = next == Some(TokenKind::LeftParen);
                self.expecting =
                    if listed { Expecting::Open(Frame::Include) } else { Expecting::Operand(Stage::Included) };
                Role::Keyword
            }
            TokenKind::Fill | TokenKind::FillLeft | TokenKind::FillRight if stage != Stage::Start => {
                self.expecting = Expecting::Open(Frame::Fill);
                Role::Keyword
            }
            TokenKind::Number | TokenKind::Duration | TokenKind::String => {
                self.expecting = OPERATOR;
                plain_role(token.kind)
            }
            TokenKind::LeftParen => {
                self.open(Frame::Paren);
                Role::Punctuation
            }
            TokenKind::LeftBrace => {
                self.metric = None;
                self.open_braces()
            }
            kind if kind.is_metric_name() => self.name(token, next),
            kind => plain_role(kind),
        }
    }

    /// A word where an operand begins.
    fn name(&mut self, token: Token, next: Option<TokenKind>) -> Role {
        let called = next == Some(TokenKind::LeftParen);
        match token.kind {
            TokenKind::Aggregate(_) if called || matches!(next, Some(TokenKind::By | TokenKind::Without) | None) => {
                self.expecting = Expecting::AggregateHead;
                Role::Aggregation
            }
            kind if called && (kind == TokenKind::Identifier || kind.is_function_keyword()) => {
                self.expecting = Expecting::Open(Frame::Call);
                Role::Function
            }
            _ => {
                self.metric = Some(token.span);
                self.expecting = OPERATOR;
                Role::Metric
            }
        }
    }

    fn aggregate_head(&mut self, token: Token) -> Role {
        match token.kind {
            TokenKind::By | TokenKind::Without => {
                self.expecting = Expecting::Open(Frame::GroupingBefore);
                Role::Keyword
            }
            TokenKind::LeftParen => {
                self.open(Frame::Aggregate { grouped: false });
                Role::Punctuation
            }
            kind => plain_role(kind),
        }
    }

    fn operator(&mut self, token: Token) -> Role {
        match token.kind {
            TokenKind::Op(op) => {
                self.expecting = Expecting::Operand(Stage::Operator { comparison: op.is_comparison() });
            }
            TokenKind::Offset => self.expecting = Expecting::Duration,
            TokenKind::At => self.expecting = Expecting::AtTime,
            TokenKind::LeftBracket => {
                self.frames.push(Frame::Brackets);
                self.expecting = Expecting::Duration;
            }
            TokenKind::LeftBrace => return self.open_braces(),
            TokenKind::LeftParen => self.open(Frame::Paren),
            TokenKind::By | TokenKind::Without => self.expecting = Expecting::Open(Frame::GroupingBehind),
            TokenKind::Comma => self.expecting = OPERAND,
            _ => {}
        }
        plain_role(token.kind)
    }

    fn offset_duration(&mut self, token: Token) -> Role {
        match token.kind {
            TokenKind::Number | TokenKind::Duration => self.expecting = OPERATOR,
            TokenKind::LeftParen => self.frames.push(Frame::Duration),
            _ => {}
        }
        plain_role(token.kind)
    }

    fn at_time(&mut self, token: Token) -> Role {
        match token.kind {
            TokenKind::Number | TokenKind::Duration => self.expecting = OPERATOR,
            TokenKind::Start | TokenKind::End => self.expecting = Expecting::Open(Frame::Call),
            _ => {}
        }
        plain_role(token.kind)
    }

    fn open(&mut self, frame: Frame) {
        self.frames.push(frame);
        self.expecting = match frame {
            Frame::GroupingBefore | Frame::GroupingBehind | Frame::Matching | Frame::Include => {
                Expecting::GroupingLabel
            }
            _ => OPERAND,
        };
    }

    fn open_braces(&mut self) -> Role {
        self.frames.push(Frame::Braces);
        self.expecting = Expecting::LabelName;
        Role::Punctuation
    }

    /// A parenthesis closes: what may follow depends on what it belonged to.
    fn close(&mut self) {
        self.expecting = match self.frames.pop() {
            Some(Frame::Aggregate { grouped }) => Expecting::Operator { groupable: !grouped },
            Some(Frame::GroupingBefore) => Expecting::Open(Frame::Aggregate { grouped: true }),
            Some(Frame::Matching) => Expecting::Operand(Stage::Matching),
            Some(Frame::Include | Frame::Fill) => Expecting::Operand(Stage::Included),
            _ => OPERATOR,
        };
    }
}

/// The part a token plays by itself.
const fn plain_role(kind: TokenKind) -> Role {
    match kind {
        TokenKind::Comment => Role::Comment,
        TokenKind::Identifier | TokenKind::MetricIdentifier => Role::Metric,
        TokenKind::String => Role::String,
        TokenKind::Number => Role::Number,
        TokenKind::Duration => Role::Duration,
        TokenKind::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::Atan2) => Role::Keyword,
        TokenKind::Op(_) | TokenKind::At | TokenKind::Equal | TokenKind::EqualRegex | TokenKind::NotEqualRegex => {
            Role::Operator
        }
        TokenKind::Aggregate(_) => Role::Aggregation,
        _ if kind.is_function_keyword() => Role::Function,
        TokenKind::LeftParen
        | TokenKind::RightParen
        | TokenKind::LeftBrace
        | TokenKind::RightBrace
        | TokenKind::LeftBracket
        | TokenKind::RightBracket
        | TokenKind::Comma
        | TokenKind::Colon => Role::Punctuation,
        TokenKind::Eof | TokenKind::Error => Role::Unreadable,
        _ => Role::Keyword,
    }
}
