//! Explanations: what the word under the pointer is.

use super::catalogue::Catalogue;
use super::highlight::Role;
use super::scan::{Word, scan};
use super::words::{aggregation, help};
use crate::syntax::ast::Span;
use crate::syntax::functions;
use crate::syntax::number::{format_float, parse_duration, seconds_of};
use crate::syntax::token::TokenKind;

/// So many values of a label are named.
const VALUES_SHOWN: usize = 5;

/// An explanation and the word it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    pub span: Span,
    /// A signature, or a name with its type.
    pub title: String,
    pub doc: String,
}

/// What stands at a place (in bytes), if there is something to say about it.
#[must_use]
pub fn hover(text: &str, cursor: usize, catalogue: &dyn Catalogue) -> Option<Hover> {
    let scan = scan(text);
    let at = |word: &&Word| (word.token.span.start as usize..word.token.span.end as usize).contains(&cursor);
    let index = scan.words.iter().position(|word| at(&word))?;
    let word = scan.words[index];
    let span = word.token.span;
    let shown = text.get(span.start as usize..span.end as usize)?;
    let (title, doc) = match word.role {
        Role::Function => {
            let function = functions::lookup(shown).or_else(|| functions::lookup(&shown.to_ascii_lowercase()))?;
            (function.signature.to_owned(), function.doc.to_owned())
        }
        Role::Aggregation => match word.token.kind {
            TokenKind::Aggregate(op) => {
                let (signature, doc) = aggregation(op);
                (signature.to_owned(), doc.to_owned())
            }
            _ => return None,
        },
        Role::Keyword | Role::Operator => (shown.to_ascii_lowercase(), help(shown)?.to_owned()),
        Role::Metric => metric(shown, catalogue)?,
        Role::Label => label(shown, catalogue),
        Role::Duration => {
            let seconds = seconds_of(parse_duration(shown).ok()?);
            (shown.to_owned(), format!("{} seconds", format_float(seconds)))
        }
        Role::String | Role::Number | Role::Punctuation | Role::Comment | Role::Unreadable => return None,
    };
    Some(Hover { span, title, doc })
}

fn metric(name: &str, catalogue: &dyn Catalogue) -> Option<(String, String)> {
    let kind = catalogue.metric_type(name);
    let doc = catalogue.metric_help(name);
    if kind.is_none() && doc.is_none() {
        return None;
    }
    let title = kind.map_or_else(|| name.to_owned(), |kind| format!("{name} ({})", kind.as_str()));
    Some((title, doc.unwrap_or_default()))
}

fn label(name: &str, catalogue: &dyn Catalogue) -> (String, String) {
    let values = catalogue.label_values(None, name, "", VALUES_SHOWN + 1);
    let more = if values.len() > VALUES_SHOWN { ", …" } else { "" };
    let shown: Vec<&str> = values.iter().take(VALUES_SHOWN).map(String::as_str).collect();
    let doc = if shown.is_empty() { String::new() } else { format!("Values: {}{more}", shown.join(", ")) };
    (format!("{name} (label)"), doc)
}

#[cfg(test)]
mod tests {
    use super::super::complete::tests::Shop;
    use super::*;

    #[track_caller]
    fn check(text: &str, at: &str, expected: Option<(&str, &str)>) {
        let cursor = text.find(at).expect("the word");
        let found = hover(text, cursor, &Shop);
        let shown = found.as_ref().map(|found| (found.title.as_str(), found.doc.as_str()));
        assert_eq!(shown, expected, "{text} at {at}");
        if let Some(found) = found {
            assert!(text[found.span.start as usize..].starts_with(at));
        }
    }

    #[test]
    fn words_are_explained_by_their_part() {
        let text = "sum by (code) (rate(orders_total{code=\"200\"}[1h30m] offset 5m)) + temperature";
        check(text, "sum", Some(("sum(v instant-vector)", "The sum over each group.")));
        check(text, "by", Some(("by", "Groups by these labels; all others are dropped.")));
        check(text, "code", Some(("code (label)", "Values: 200, 404, 500")));
        check(
            text,
            "rate",
            Some((
                "rate(v range-vector)",
                "The mean growth per second of a counter over the range, resets allowed for.",
            )),
        );
        check(text, "orders_total", Some(("orders_total (counter)", "Orders taken.")));
        check(text, "1h30m", Some(("1h30m", "5400 seconds")));
        check(text, "+", Some(("+", "Sum.")));
        check(text, "temperature", Some(("temperature (gauge)", "")));
        check(text, "\"200\"", None);
        check(text, "(", None);
    }

    #[test]
    fn there_is_nothing_to_say_about_nothing() {
        assert_eq!(hover("", 0, &Shop), None);
        assert_eq!(hover("rate", 99, &Shop), None);
        check("unknown_metric", "unknown_metric", None);
    }
}
