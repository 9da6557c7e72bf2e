//! Why a regular expression does not compile, in the words of Go's `regexp/syntax`.
//!
//! Known kinds of errors are translated; what has no counterpart there is given as our own library explains it.

use model::matcher::BadRegex;

/// The kinds by the phrase our library uses.
const KINDS: [(&str, &str); 9] = [
    ("unclosed group", "missing closing )"),
    ("unopened group", "unexpected )"),
    ("unclosed character class", "missing closing ]"),
    ("repetition operator missing expression", "missing argument to repetition operator"),
    ("invalid character class range", "invalid character class range"),
    ("incomplete escape sequence", "trailing backslash at end of expression"),
    ("unrecognized escape sequence", "invalid escape sequence"),
    ("invalid repetition count range", "invalid repeat count"),
    ("Compiled regex exceeds size limit", "expression too large"),
];

/// `missing closing ): `(``
pub(super) fn describe(bad: &BadRegex) -> String {
    let Some((_, kind)) = KINDS.iter().find(|(phrase, _)| bad.reason.contains(phrase)) else {
        let last = bad.reason.lines().last().unwrap_or_default();
        return format!("{}: `{}`", last.strip_prefix("error: ").unwrap_or(last), bad.pattern);
    };
    match *kind {
        "trailing backslash at end of expression" => format!("{kind}: ``"),
        "missing closing ]" => format!("{kind}: `{}`", from_last_open_bracket(&bad.pattern)),
        "missing argument to repetition operator" => format!("{kind}: `{}`", first_repetition(&bad.pattern)),
        _ => format!("{kind}: `{}`", bad.pattern),
    }
}

/// The class that is not closed: from its bracket to the end.
fn from_last_open_bracket(pattern: &str) -> &str {
    pattern.rfind('[').map_or(pattern, |at| &pattern[at..])
}

/// The repetition without an operand.
fn first_repetition(pattern: &str) -> &str {
    let at = pattern.find(['*', '+', '?']).unwrap_or(0);
    pattern.get(at..=at).unwrap_or(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::matcher::{MatchOp, Matcher};

    #[test]
    fn common_mistakes_are_told_in_gos_words() {
        for (pattern, expected) in [
            ("a(b", "missing closing ): `a(b`"),
            ("a)b", "unexpected ): `a)b`"),
            ("[ab", "missing closing ]: `[ab`"),
            ("*a", "missing argument to repetition operator: `*`"),
        ] {
            let bad = Matcher::new("l", MatchOp::Regex, pattern).expect_err(pattern);
            assert_eq!(describe(&bad), expected);
        }
    }
}
