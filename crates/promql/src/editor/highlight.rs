//! Colours: the tokens of a text with the parts they play.

use super::scan::scan;
use crate::syntax::ast::Span;

/// The part a token plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Metric,
    Function,
    Aggregation,
    Keyword,
    Label,
    String,
    Number,
    Duration,
    Operator,
    Punctuation,
    Comment,
    /// From here on the text cannot be read.
    Unreadable,
}

impl Role {
    /// A name for style sheets.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Function => "function",
            Self::Aggregation => "aggregation",
            Self::Keyword => "keyword",
            Self::Label => "label",
            Self::String => "string",
            Self::Number => "number",
            Self::Duration => "duration",
            Self::Operator => "operator",
            Self::Punctuation => "punctuation",
            Self::Comment => "comment",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A stretch of text of one colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Highlight {
    pub span: Span,
    pub role: Role,
}

/// The tokens of a text in order, comments included. Between them is only white space.
#[must_use]
pub fn highlight(text: &str) -> Vec<Highlight> {
    let scan = scan(text);
    let unreadable = scan.unreadable.map(|span| Highlight { span, role: Role::Unreadable });
    let words = scan.words.iter().map(|word| Highlight { span: word.token.span, role: word.role });
    words.chain(unreadable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown: Vec<String> = highlight(text)
            .iter()
            .map(|part| format!("{}:{}", &text[part.span.start as usize..part.span.end as usize], part.role.as_str()))
            .filter(|part| !part.ends_with(":punctuation"))
            .collect();
        assert_eq!(shown.join(" "), expected, "{text}");
    }

    #[test]
    fn words_are_coloured_by_their_part() {
        check(
            "sum by (job) (rate(up{job=\"x\"}[5m] offset 1h)) > bool 1 # now",
            "sum:aggregation by:keyword job:label rate:function up:metric job:label =:operator \"x\":string \
             5m:duration offset:keyword 1h:duration >:operator bool:keyword 1:number # now:comment",
        );
        check("offset + sum * by", "offset:metric +:operator sum:metric *:operator by:metric");
        check(
            "a and on (sum) group_left (by) b @ start()",
            "a:metric and:keyword on:keyword sum:label group_left:keyword by:label b:metric @:operator start:function",
        );
        check("x[step() + 1h:5m]", "x:metric step:function +:operator 1h:duration 5m:duration");
        check(
            "foo offset -(step() * 2) + 1",
            "foo:metric offset:keyword -:operator step:function *:operator 2:number +:operator 1:number",
        );
    }

    #[test]
    fn unfinished_text_is_coloured_as_far_as_it_goes() {
        check("rate(foo{a=\"b", "rate:function foo:metric a:label =:operator \"b:unreadable");
        check("sum(", "sum:aggregation");
        check("foo $ bar", "foo:metric $ bar:unreadable");
        check(")) , ]", ")) , ]:unreadable");
    }
}
