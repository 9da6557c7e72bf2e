//! The words of the language: what the lexer hands to the parser and to the editor.
//!
//! Promise: a token's text is the bytes under its span. The descriptions in error texts are Prometheus's.

use super::ast::{AggregateOp, BinaryOp, Span};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The end of the text.
    Eof,
    /// The text cannot be read on from here; the lexer has the reason.
    Error,
    Comment,
    Identifier,
    /// An identifier with a colon in it: only metrics may have such names.
    MetricIdentifier,
    String,
    Number,
    Duration,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Equal,
    /// `=~`
    EqualRegex,
    /// `!~`
    NotEqualRegex,
    /// An operator between expressions, `!=` of matchers included.
    Op(BinaryOp),
    At,
    Aggregate(AggregateOp),
    Bool,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Offset,
    Anchored,
    Smoothed,
    Start,
    End,
    Step,
    Range,
    MinOf,
    MaxOf,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

/// All words with a meaning of their own, in lower case; case does not matter in queries.
pub const KEYWORDS: [(&str, TokenKind); 39] = [
    ("and", TokenKind::Op(BinaryOp::And)),
    ("or", TokenKind::Op(BinaryOp::Or)),
    ("unless", TokenKind::Op(BinaryOp::Unless)),
    ("atan2", TokenKind::Op(BinaryOp::Atan2)),
    ("sum", TokenKind::Aggregate(AggregateOp::Sum)),
    ("avg", TokenKind::Aggregate(AggregateOp::Avg)),
    ("count", TokenKind::Aggregate(AggregateOp::Count)),
    ("min", TokenKind::Aggregate(AggregateOp::Min)),
    ("max", TokenKind::Aggregate(AggregateOp::Max)),
    ("group", TokenKind::Aggregate(AggregateOp::Group)),
    ("stddev", TokenKind::Aggregate(AggregateOp::Stddev)),
    ("stdvar", TokenKind::Aggregate(AggregateOp::Stdvar)),
    ("topk", TokenKind::Aggregate(AggregateOp::Topk)),
    ("bottomk", TokenKind::Aggregate(AggregateOp::Bottomk)),
    ("count_values", TokenKind::Aggregate(AggregateOp::CountValues)),
    ("quantile", TokenKind::Aggregate(AggregateOp::Quantile)),
    ("limitk", TokenKind::Aggregate(AggregateOp::Limitk)),
    ("limit_ratio", TokenKind::Aggregate(AggregateOp::LimitRatio)),
    ("bool", TokenKind::Bool),
    ("by", TokenKind::By),
    ("without", TokenKind::Without),
    ("on", TokenKind::On),
    ("ignoring", TokenKind::Ignoring),
    ("group_left", TokenKind::GroupLeft),
    ("group_right", TokenKind::GroupRight),
    ("fill", TokenKind::Fill),
    ("fill_left", TokenKind::FillLeft),
    ("fill_right", TokenKind::FillRight),
    ("offset", TokenKind::Offset),
    ("anchored", TokenKind::Anchored),
    ("smoothed", TokenKind::Smoothed),
    ("start", TokenKind::Start),
    ("end", TokenKind::End),
    ("step", TokenKind::Step),
    ("range", TokenKind::Range),
    ("min_of", TokenKind::MinOf),
    ("max_of", TokenKind::MaxOf),
    ("inf", TokenKind::Number),
    ("nan", TokenKind::Number),
];

/// What a word means, if anything.
#[must_use]
pub fn keyword(word: &str) -> Option<TokenKind> {
    KEYWORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
}

impl TokenKind {
    /// Whether the word may stand for a metric where an expression begins.
    #[must_use]
    pub const fn is_metric_name(self) -> bool {
        use BinaryOp::{And, Or, Unless};
        matches!(
            self,
            Self::Identifier
                | Self::MetricIdentifier
                | Self::Op(And | Or | Unless)
                | Self::Aggregate(_)
                | Self::By
                | Self::Without
                | Self::Offset
                | Self::Anchored
                | Self::Smoothed
                | Self::Fill
                | Self::FillLeft
                | Self::FillRight
        ) || self.is_function_keyword()
    }

    /// Whether the word may stand for a label in `by (…)`, `on (…)` and the like.
    #[must_use]
    pub const fn is_label_name(self) -> bool {
        let only_label = matches!(
            self,
            Self::Bool | Self::On | Self::Ignoring | Self::GroupLeft | Self::GroupRight | Self::Op(BinaryOp::Atan2)
        );
        only_label || (self.is_metric_name() && !matches!(self, Self::Without))
    }

    /// Words that are functions when a parenthesis follows.
    #[must_use]
    pub const fn is_function_keyword(self) -> bool {
        matches!(self, Self::Start | Self::End | Self::Step | Self::Range | Self::MinOf | Self::MaxOf)
    }

    /// Whether an expression may begin with this token.
    #[must_use]
    pub const fn starts_expr(self) -> bool {
        matches!(
            self,
            Self::Op(BinaryOp::Add | BinaryOp::Sub)
                | Self::LeftParen
                | Self::LeftBrace
                | Self::Number
                | Self::Duration
                | Self::String
        ) || self.is_metric_name()
    }

    /// Whether it can be a sign.
    #[must_use]
    pub const fn starts_sign(self) -> bool {
        matches!(self, Self::Op(BinaryOp::Add | BinaryOp::Sub))
    }

    /// Whether it compares a label with a value.
    #[must_use]
    pub const fn is_match_op(self) -> bool {
        matches!(self, Self::Equal | Self::EqualRegex | Self::NotEqualRegex | Self::Op(BinaryOp::Ne))
    }

    /// Whether Prometheus takes the end of this token as the end of the expression before it.
    pub(super) const fn closes(self) -> bool {
        matches!(self, Self::RightBrace | Self::RightParen | Self::RightBracket | Self::Duration | Self::Number)
    }

    /// How error texts name it.
    #[must_use]
    pub fn describe(self, text: &str) -> String {
        match self {
            Self::Eof => "end of input".to_owned(),
            Self::Error => "error".to_owned(),
            Self::Comment => format!("comment {}", shortened(text)),
            Self::Identifier => format!("identifier {}", super::quote::quoted(text)),
            Self::MetricIdentifier => format!("metric identifier {}", super::quote::quoted(text)),
            Self::String => format!("string {}", shortened(text)),
            Self::Number => format!("number {}", shortened(text)),
            Self::Duration => format!("duration {}", shortened(text)),
            Self::Op(_) | Self::At | Self::EqualRegex | Self::NotEqualRegex => format!("<op:{text}>"),
            Self::Aggregate(_) => format!("<aggr:{text}>"),
            Self::Bool
            | Self::By
            | Self::Without
            | Self::On
            | Self::Ignoring
            | Self::GroupLeft
            | Self::GroupRight
            | Self::Fill
            | Self::FillLeft
            | Self::FillRight
            | Self::Offset
            | Self::Anchored
            | Self::Smoothed => format!("<{text}>"),
            _ => shortened(text),
        }
    }
}

/// A long text is cut after so many characters in an error text.
const SHOWN_CHARS_MAX: usize = 10;

/// Quoted; longer than ten bytes: the first ten characters, then dots.
fn shortened(text: &str) -> String {
    if text.len() <= SHOWN_CHARS_MAX {
        return super::quote::quoted(text);
    }
    let head: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{}...", super::quote::quoted(&head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_found_in_any_case() {
        assert_eq!(keyword("OFFSET"), Some(TokenKind::Offset));
        assert_eq!(keyword("Inf"), Some(TokenKind::Number));
        assert_eq!(keyword("rate"), None);
    }

    #[test]
    fn error_texts_name_tokens_as_prometheus_does() {
        for (kind, text, expected) in [
            (TokenKind::Eof, "", "end of input"),
            (TokenKind::Identifier, "foo", "identifier \"foo\""),
            (TokenKind::String, "\"a very long text\"", "string \"\\\"a very lo\"..."),
            (TokenKind::Op(BinaryOp::Mul), "*", "<op:*>"),
            (TokenKind::Op(BinaryOp::And), "AND", "<op:AND>"),
            (TokenKind::Aggregate(AggregateOp::Sum), "sum", "<aggr:sum>"),
            (TokenKind::By, "by", "<by>"),
            (TokenKind::Start, "start", "\"start\""),
            (TokenKind::Comma, ",", "\",\""),
        ] {
            assert_eq!(kind.describe(text), expected);
        }
    }
}
