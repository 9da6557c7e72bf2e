//! What an anchored regular expression says about the values it can match, before looking at any.
//!
//! A list of alternatives becomes look-ups, a literal beginning a range of the sorted values, `.*text.*` a search for
//! the text; what is left runs through one automaton, linear in the bytes of the values.
//! Not here: what a pattern means (`model::matcher`); every short cut gives the same answer as that.

use memchr::memmem;
use model::matcher::{MatchOp, Matcher};
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind, util::syntax};
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Alternatives looked up one by one; more are searched like any pattern.
const ALTERNATIVES_MAX: usize = 1024;
/// An automaton beyond this is not built: the general engine takes over.
const AUTOMATON_BYTES_MAX: usize = 4 << 20;
/// Fewer values than this are not worth building an automaton (50 to 200 µs).
const AUTOMATON_VALUES_MIN: usize = 2000;

/// Values a pattern can match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Exactly these, sorted.
    Set(Vec<String>),
    /// Every value, the empty one too.
    Anything,
    /// Every value but the empty one.
    NonEmpty,
    /// Everything that begins with this, the text itself included.
    Prefix(String),
    /// Everything that has this somewhere.
    Contains(String),
    /// Only values that begin with one of these (sorted, none the beginning of another); they must be checked.
    BeginsWith(Vec<String>),
}

/// The shape of a pattern.
#[must_use]
pub fn shape_of(pattern: &str) -> Shape {
    let all = || Shape::BeginsWith(vec![String::new()]);
    let Ok(hir) = regex_syntax::Parser::new().parse(&format!("(?s:{pattern})")) else { return all() };
    if !hir.properties().look_set().is_empty() {
        return all_but_look(&hir).unwrap_or_else(all);
    }
    if let Some(shape) = around_any(&hir) {
        return shape;
    }
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_class(32).limit_repeat(16);
    extractor.limit_literal_len(256).limit_total(ALTERNATIVES_MAX);
    let seq = extractor.extract(&hir);
    let Some(literals) = seq.literals() else { return all() };
    let texts: Option<Vec<String>> =
        literals.iter().map(|literal| std::str::from_utf8(literal.as_bytes()).ok().map(str::to_owned)).collect();
    let Some(mut texts) = texts else { return all() };
    texts.sort_unstable();
    texts.dedup();
    if seq.is_exact() {
        return Shape::Set(texts);
    }
    // Ranges must not overlap: "ab" lies within "a".
    texts.dedup_by(|longer, shorter| longer.starts_with(shorter.as_str()));
    if texts.is_empty() { Shape::Set(texts) } else { Shape::BeginsWith(texts) }
}

/// `^a|b$` written by people who do not know that patterns are anchored: looks at the very ends change nothing.
fn all_but_look(hir: &Hir) -> Option<Shape> {
    let HirKind::Concat(parts) = hir.kind() else { return None };
    let is_start = |hir: &Hir| matches!(hir.kind(), HirKind::Look(Look::Start));
    let is_end = |hir: &Hir| matches!(hir.kind(), HirKind::Look(Look::End));
    let mut parts = parts.as_slice();
    while let [first, rest @ ..] = parts
        && is_start(first)
    {
        parts = rest;
    }
    while let [rest @ .., last] = parts
        && is_end(last)
    {
        parts = rest;
    }
    let inner = Hir::concat(parts.to_vec());
    // Printed and parsed again, it is a pattern without the looks.
    inner.properties().look_set().is_empty().then(|| shape_of(&inner.to_string()))
}

/// `.*`, `.+`, `text.*`, `.*text.*`.
fn around_any(hir: &Hir) -> Option<Shape> {
    if is_any(hir, 0) {
        return Some(Shape::Anything);
    }
    if is_any(hir, 1) {
        return Some(Shape::NonEmpty);
    }
    let HirKind::Concat(parts) = hir.kind() else { return None };
    match parts.as_slice() {
        [text, any] if is_any(any, 0) => Some(Shape::Prefix(literal(text)?)),
        [before, text, after] if is_any(before, 0) && is_any(after, 0) => Some(Shape::Contains(literal(text)?)),
        _ => None,
    }
}

fn literal(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok(),
        HirKind::Capture(capture) => literal(&capture.sub),
        _ => None,
    }
}

/// Whether it is any characters, at least so many, without an upper bound.
fn is_any(hir: &Hir, min: u32) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => is_any(&capture.sub, min),
        HirKind::Repetition(repetition) => {
            repetition.min == min && repetition.max.is_none() && is_any_char(&repetition.sub)
        }
        _ => false,
    }
}

fn is_any_char(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            // All scalar values: the gap of the surrogates makes it one range in regex-syntax's terms.
            let ranges = class.ranges();
            ranges.len() == 1 && ranges[0].start() == '\0' && ranges[0].end() == char::MAX
        }
        HirKind::Capture(capture) => is_any_char(&capture.sub),
        _ => false,
    }
}

/// A matcher, prepared once and used on every index.
pub struct Prepared {
    pub matcher: Matcher,
    /// For regular expressions.
    pub shape: Option<Shape>,
    finder: Option<memmem::Finder<'static>>,
    automaton: std::sync::OnceLock<Option<Box<FullMatch>>>,
}

impl Prepared {
    #[must_use]
    pub fn new(matcher: &Matcher) -> Self {
        let shape = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(shape_of(&matcher.value)),
        };
        let finder = match &shape {
            Some(Shape::Contains(text)) => Some(memmem::Finder::new(text).into_owned()),
            _ => None,
        };
        Self { matcher: matcher.clone(), shape, finder, automaton: std::sync::OnceLock::new() }
    }

    /// Whether the pattern (not its negation) matches; for many values at once see [`Prepared::expect_values`].
    #[must_use]
    pub fn pattern_matches(&self, value: &str) -> bool {
        if let Some(finder) = &self.finder {
            return finder.find(value.as_bytes()).is_some();
        }
        if let Some(Some(automaton)) = self.automaton.get() {
            return automaton.matches(value);
        }
        self.matcher.matches(value) != matches!(self.matcher.op, MatchOp::NotEqual | MatchOp::NotRegex)
    }

    /// Says that about so many values will be asked for, so that preparing may pay.
    pub fn expect_values(&self, values: usize) {
        if values >= AUTOMATON_VALUES_MIN && self.finder.is_none() && self.shape.is_some() {
            self.automaton.get_or_init(|| FullMatch::new(&self.matcher.value).map(Box::new));
        }
    }
}

/// A table-driven automaton that reads each byte of a value once.
struct FullMatch {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

impl FullMatch {
    fn new(pattern: &str) -> Option<Self> {
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .match_kind(MatchKind::All)
            .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
            .determinize_size_limit(Some(AUTOMATON_BYTES_MAX));
        let dfa = dense::Builder::new()
            .configure(config)
            .syntax(syntax::Config::new())
            .build(&format!("^(?s:{pattern})$"))
            .ok()?;
        let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
        Some(Self { dfa, start })
    }

    fn matches(&self, value: &str) -> bool {
        let mut state = self.start;
        for byte in value.as_bytes() {
            state = self.dfa.next_state(state, *byte);
            // Matches come one step late and need the end: on the way only "never any more" can be decided.
            if self.dfa.is_special_state(state) && self.dfa.is_dead_state(state) {
                return false;
            }
        }
        self.dfa.is_match_state(self.dfa.next_eoi_state(state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &Shape) {
        assert_eq!(&shape_of(pattern), expected, "{pattern}");
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn patterns_show_their_shape() {
        check("a|bc|d", &Shape::Set(texts(&["a", "bc", "d"])));
        check("(?:a|b)c", &Shape::Set(texts(&["ac", "bc"])));
        check("a|", &Shape::Set(texts(&["", "a"])));
        check("", &Shape::Set(texts(&[""])));
        check("^a|b$", &Shape::BeginsWith(texts(&[""])));
        check("^abc$", &Shape::Set(texts(&["abc"])));
        check("[ab]", &Shape::Set(texts(&["a", "b"])));
        check("a.b", &Shape::BeginsWith(texts(&["a"])));
        check("a\\.b", &Shape::Set(texts(&["a.b"])));
        check(".*", &Shape::Anything);
        check("(.*)", &Shape::Anything);
        check(".+", &Shape::NonEmpty);
        check("node_cpu.*", &Shape::Prefix("node_cpu".into()));
        check("node_(cpu|memory).*", &Shape::BeginsWith(texts(&["node_cpu", "node_memory"])));
        check("node_cpu.+", &Shape::BeginsWith(texts(&["node_cpu"])));
        check(".*-7-.*", &Shape::Contains("-7-".into()));
        check(".*x", &Shape::BeginsWith(texts(&[""])));
        check("(?i)ab", &Shape::Set(texts(&["AB", "Ab", "aB", "ab"])));
    }

    #[test]
    fn short_cuts_answer_as_the_matcher_does() {
        let values =
            ["", "a", "ab", "abc", "b", "bc", "xaby", "a\nb", "AB", "é", "aé", "node_cpu", "node_cpu_x", "-7-"];
        let patterns = [
            "a|bc",
            "a.*",
            ".*ab.*",
            ".+",
            ".*",
            "",
            "a|",
            "[ab]+",
            "(?i)ab.*",
            "^a",
            "a$",
            "a\\b.*",
            ".*é",
            "é?a?.*b",
            "node_cpu.+",
            "node_(cpu|mem).*",
            "x{0,3}ab?y?",
            "[^a]*",
            ".",
            "..",
            "(a|b|)c?",
        ];
        for pattern in patterns {
            let matcher = Matcher::new("l", MatchOp::Regex, pattern).unwrap();
            let prepared = Prepared::new(&matcher);
            for value in values {
                let expected = matcher.matches(value);
                assert_eq!(prepared.pattern_matches(value), expected, "{pattern} on {value:?}");
                let by_shape = match prepared.shape.as_ref().unwrap() {
                    Shape::Set(set) => set.iter().any(|text| text == value),
                    Shape::Anything => true,
                    Shape::NonEmpty => !value.is_empty(),
                    Shape::Prefix(text) => value.starts_with(text.as_str()),
                    Shape::Contains(text) => value.contains(text.as_str()),
                    Shape::BeginsWith(texts) => {
                        let possible = texts.iter().any(|text| value.starts_with(text.as_str()));
                        assert!(possible || !expected, "{pattern} on {value:?}: wrongly ruled out");
                        expected
                    }
                };
                assert_eq!(by_shape, expected, "{pattern} on {value:?} by shape");
            }
            prepared.expect_values(1_000_000);
            for value in values {
                assert_eq!(
                    prepared.pattern_matches(value),
                    matcher.matches(value),
                    "{pattern} on {value:?} by automaton"
                );
            }
        }
    }
}
