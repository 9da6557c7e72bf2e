//! Label matchers: `=`, `!=`, `=~`, `!~`, with Prometheus's meaning.
//!
//! Promises: regular expressions match the whole value, `.` matches newlines too, and an absent label is
//! the empty value. Compilation is bounded in size, matching is linear in the value.
//! Not here: how an index finds the series (`tsdb`), the text of selectors (`promql`).

use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::labels::Labels;

/// A compiled program beyond this is refused: nested repetitions would otherwise take gigabytes.
const REGEX_PROGRAM_BYTES_MAX: usize = 10 << 20;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    Equal,
    NotEqual,
    Regex,
    NotRegex,
}

impl MatchOp {
    /// The operator as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// The pattern of a matcher does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression {pattern:?}: {reason}")]
pub struct BadRegex {
    pub pattern: String,
    pub reason: String,
}

/// One condition on one label.
#[derive(Clone)]
pub struct Matcher {
    pub name: Arc<str>,
    pub op: MatchOp,
    pub value: Arc<str>,
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher; a regular expression is compiled, fully anchored.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, BadRegex> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(anchored(value)?),
        };
        Ok(Self { name: name.into(), op, value: value.into(), regex })
    }

    /// `name="value"`.
    #[must_use]
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// Whether a value passes; an absent label is `""`.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == &*self.value,
            (MatchOp::NotEqual, _) => value != &*self.value,
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            (MatchOp::Regex | MatchOp::NotRegex, None) => false,
        }
    }

    /// Whether series without the label pass.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

/// Whether a series passes all matchers.
#[must_use]
pub fn matches_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or("")))
}

/// Compiles a pattern so that it must match the whole text, as every regular expression of Prometheus does.
pub fn anchored(pattern: &str) -> Result<Regex, BadRegex> {
    let refused = |error: regex::Error| BadRegex { pattern: pattern.to_owned(), reason: error.to_string() };
    // By itself first: inside the anchors `a)(b` would close our group and pass.
    RegexBuilder::new(pattern).size_limit(REGEX_PROGRAM_BYTES_MAX).build().map_err(refused)?;
    RegexBuilder::new(&format!("^(?s:{pattern})$")).size_limit(REGEX_PROGRAM_BYTES_MAX).build().map_err(refused)
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

impl std::hash::Hash for Matcher {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.name, self.op, &self.value).hash(state);
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(op: MatchOp, pattern: &str, yes: &[&str], no: &[&str]) {
        let matcher = Matcher::new("l", op, pattern).expect("the pattern compiles");
        for value in yes {
            assert!(matcher.matches(value), "{matcher} should match {value:?}");
        }
        for value in no {
            assert!(!matcher.matches(value), "{matcher} should not match {value:?}");
        }
    }

    #[test]
    fn regular_expressions_match_the_whole_value() {
        check(MatchOp::Regex, "a|bc", &["a", "bc"], &["", "ab", "abc", "xa"]);
        check(MatchOp::NotRegex, "a|bc", &["", "ab"], &["a", "bc"]);
        check(MatchOp::Regex, "a.*", &["a", "a\nb"], &["ba"]);
        check(MatchOp::Regex, "", &[""], &["a"]);
    }

    #[test]
    fn an_absent_label_is_the_empty_value() {
        let labels = Labels::from_pairs([("a", "1")]);
        assert!(matches_all(&[Matcher::equal("b", "")], &labels));
        assert!(!matches_all(&[Matcher::new("b", MatchOp::NotEqual, "").expect("no regex")], &labels));
    }

    #[test]
    fn a_pattern_that_would_take_gigabytes_is_refused() {
        assert!(Matcher::new("l", MatchOp::Regex, "((a{1000}){1000}){1000}").is_err());
        assert!(Matcher::new("l", MatchOp::Regex, "(").is_err());
        assert!(Matcher::new("l", MatchOp::Regex, "a)(b").is_err());
    }
}
