//! A relabelling rule as it stands in a file: keys, defaults and what Prometheus refuses, in its words.
//!
//! What depends on the name scheme is checked by [`RuleConfig::fault`], because the scheme stands elsewhere in the file
//! and may come after the rule.

use std::fmt;

use yaml::{Context, Decode, Encode, Node, Schema, Shape, Spanned};

use super::pattern;
use crate::names::NameScheme;

/// The rules of a list as they are read: an empty item is kept, because its owner refuses it in words of its own.
pub type RuleList = Vec<Spanned<Option<RuleConfig>>>;

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    #[default]
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl Action {
    pub const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    /// Needs a `target_label`.
    const fn writes(self) -> bool {
        matches!(
            self,
            Self::Replace | Self::HashMod | Self::Lowercase | Self::Uppercase | Self::KeepEqual | Self::DropEqual
        )
    }

    /// Takes the target's name as it stands and nothing else from `replacement`.
    const fn has_plain_target(self) -> bool {
        matches!(self, Self::Lowercase | Self::Uppercase | Self::KeepEqual | Self::DropEqual)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// In capitals or not, as Prometheus reads it.
impl Decode for Action {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node, &Self::shape().words)?;
        let found = Self::ALL.into_iter().find(|action| action.as_str().eq_ignore_ascii_case(&text));
        if found.is_none() {
            cx.problem(&node.place, format!("unknown relabel action {text:?}, expected {}", Self::shape().words));
        }
        found
    }
}

impl Encode for Action {
    fn encode(&self) -> Node {
        Node::text(self.as_str())
    }
}

impl Schema for Action {
    fn shape() -> Shape {
        Shape::one(format!("one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// A regular expression, and whether it was written at all: some actions refuse even the default when it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub text: String,
    pub given: bool,
}

impl Pattern {
    /// What a rule without `regex` matches: everything, as its first group.
    pub const DEFAULT: &str = "(.*)";
}

impl Default for Pattern {
    fn default() -> Self {
        Self { text: Self::DEFAULT.to_owned(), given: false }
    }
}

impl Decode for Pattern {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node, "a regular expression")?;
        if let Err(bad) = pattern::compile(&text) {
            cx.problem(&node.place, format!("error parsing regexp: {}", bad.reason));
            return None;
        }
        Some(Self { text, given: true })
    }

    /// `regex:` without a value matches only the empty text.
    fn from_null() -> Option<Self> {
        Some(Self { text: String::new(), given: true })
    }
}

impl Encode for Pattern {
    fn encode(&self) -> Node {
        if self.given { Node::text(self.text.as_str()) } else { Node::null() }
    }
}

impl Schema for Pattern {
    fn shape() -> Shape {
        Shape::one("a regular expression")
    }
}

/// The name of a label whose value a rule reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLabel(pub String);

impl Decode for SourceLabel {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = if node.is_null() { String::new() } else { cx.text(node, "the name of a label")? };
        if text.is_empty() {
            cx.problem(&node.place, "\"\" is not a valid label name");
            return None;
        }
        Some(Self(text))
    }
}

impl Encode for SourceLabel {
    fn encode(&self) -> Node {
        Node::text(self.0.as_str())
    }
}

impl Schema for SourceLabel {
    fn shape() -> Shape {
        Shape::one("the name of a label")
    }
}

yaml::record! {
    /// One relabelling rule.
    #[derive(Eq)]
    pub struct RuleConfig {
        /// Labels whose values are joined by `separator` and matched.
        pub source_labels: Option<Vec<SourceLabel>>,
        /// Stands between the values of `source_labels`.
        pub separator: String = ";".to_owned(),
        /// Must match the whole text, as RE2.
        pub regex: Pattern,
        /// What the hash is divided by.
        pub modulus: Option<u64>,
        /// The label that is written. With `replace` it may hold `$1`.
        pub target_label: String,
        /// What is written; may hold `$1`.
        pub replacement: String = "$1".to_owned(),
        pub action: Action,
    }
}

impl RuleConfig {
    /// The labels whose values are read, in order.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.source_labels.iter().flatten().map(|label| label.0.as_str())
    }

    /// What Prometheus refuses in this rule.
    #[must_use]
    pub fn fault(&self, scheme: NameScheme) -> Option<String> {
        let (action, target) = (self.action, self.target_label.as_str());
        if action == Action::HashMod && self.modulus.unwrap_or(0) == 0 {
            return Some("relabel configuration for hashmod requires non-zero modulus".to_owned());
        }
        if action.writes() && target.is_empty() {
            return Some(format!("relabel configuration for {action} action requires 'target_label' value"));
        }
        let target_fits = match action {
            Action::Replace if target.contains('$') => is_name_template(target, scheme),
            Action::Replace | Action::HashMod => scheme.is_label_name(target),
            _ => !action.has_plain_target() || scheme.is_label_name(target),
        };
        if !target_fits {
            return Some(format!("{target:?} is invalid 'target_label' for {action} action"));
        }
        if action.has_plain_target() && self.replacement != "$1" {
            return Some(format!("'replacement' can not be set for {action} action"));
        }
        if action == Action::LabelMap && !is_name_template(&self.replacement, scheme) {
            return Some(format!("{:?} is invalid 'replacement' for {action} action", self.replacement));
        }
        self.superfluous().map(|fields| format!("{action} action requires only {fields}, and no other fields"))
    }

    /// The only keys an action takes, where others are given.
    fn superfluous(&self) -> Option<&'static str> {
        let changed = self.modulus.unwrap_or(0) != 0 || self.separator != ";" || self.replacement != "$1";
        match self.action {
            Action::KeepEqual | Action::DropEqual if changed || self.regex.given => {
                Some("'source_labels' and `target_label`")
            }
            Action::LabelDrop | Action::LabelKeep
                if changed || self.source_labels.is_some() || !self.target_label.is_empty() =>
            {
                Some("'regex'")
            }
            _ => None,
        }
    }
}

/// Whether a text can become the name of a label once its `$1` and `${name}` are filled in.
fn is_name_template(text: &str, scheme: NameScheme) -> bool {
    if scheme == NameScheme::Utf8 {
        return !text.is_empty();
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '$' {
            let inner = &rest[1..];
            let (name, braced) = inner.strip_prefix('{').map_or((inner, false), |name| (name, true));
            let end = name.find(|c| !word(c)).unwrap_or(name.len());
            let after = if braced { name[end..].strip_prefix('}') } else { Some(&name[end..]) };
            match after {
                Some(after) if end > 0 => rest = after,
                _ => return false,
            }
        } else if word(c) && !(rest.len() == text.len() && c.is_ascii_digit()) {
            rest = &rest[1..];
        } else {
            return false;
        }
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str, scheme: NameScheme) -> Option<String> {
        let rule: RuleConfig = yaml::from_str("a.yml", text).expect("it reads");
        rule.fault(scheme)
    }

    #[test]
    fn what_prometheus_refuses_is_refused_in_its_words() {
        let utf8 = NameScheme::Utf8;
        for (text, expected) in [
            ("{action: hashmod, target_label: a}", "relabel configuration for hashmod requires non-zero modulus"),
            ("{regex: a}", "relabel configuration for replace action requires 'target_label' value"),
            ("{action: uppercase}", "relabel configuration for uppercase action requires 'target_label' value"),
            (
                "{action: lowercase, target_label: a, replacement: x}",
                "'replacement' can not be set for lowercase action",
            ),
            ("{action: labelmap, replacement: ''}", "\"\" is invalid 'replacement' for labelmap action"),
            (
                "{action: dropequal, target_label: a, regex: (.*)}",
                "dropequal action requires only 'source_labels' and `target_label`, and no other fields",
            ),
            ("{action: labeldrop, source_labels: []}", "labeldrop action requires only 'regex', and no other fields"),
            ("{action: labelkeep, separator: x}", "labelkeep action requires only 'regex', and no other fields"),
        ] {
            assert_eq!(fault(text, utf8).as_deref(), Some(expected), "{text}");
        }
        for text in ["{target_label: a.b}", "{action: LabelDrop, regex: a}", "{action: keep}", "{target_label: $}"] {
            assert_eq!(fault(text, utf8), None, "{text}");
        }
    }

    #[test]
    fn classic_names_are_asked_for_where_the_file_says_so() {
        for (target, fits) in [
            ("a_1", true),
            ("a.b", false),
            ("1a", false),
            ("${1}", true),
            ("a${name}_b1", true),
            ("$1$2", true),
            ("1$1", false),
            ("$", false),
            ("${1", false),
            ("a$-", false),
        ] {
            let text = format!("{{target_label: '{target}'}}");
            assert_eq!(fault(&text, NameScheme::Legacy).is_none(), fits, "{target}");
        }
    }

    #[test]
    fn a_key_without_a_value_is_what_it_is_for_go() {
        let rule: RuleConfig = yaml::from_str("a.yml", "{regex: , separator: , source_labels: }").expect("it reads");
        assert_eq!((rule.regex.text.as_str(), rule.separator.as_str(), rule.source_labels), ("", "", None));
        let problems = yaml::from_str::<RuleConfig>("a.yml", "{action: nope, regex: '(', source_labels: ['']}");
        let problems = problems.expect_err("all three").to_string();
        for part in ["unknown relabel action \"nope\"", "error parsing regexp: ", "\"\" is not a valid label name"] {
            assert!(problems.contains(part), "{problems}");
        }
    }
}
