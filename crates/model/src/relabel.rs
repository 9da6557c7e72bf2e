//! Relabelling: rules that change, keep or drop a set of labels, exactly as Prometheus applies them.
//!
//! Promises: rules are prepared once; applying them allocates nothing where no label changes (but where several source
//! labels are joined for the first time); the same rules give the same labels as Prometheus, hash and case included.
//! Not here: which labels a target starts with and which are dropped afterwards (`scrape`).

pub mod config;
mod md5;
mod pattern;
pub mod steps;
mod template;

use std::sync::Arc;

use regex::Regex;
use yaml::{Problem, Problems};

use self::config::{Action, Pattern, RuleConfig, RuleList};
use self::template::{Groups, Template};
use crate::labels::{Labels, LabelsBuilder};
use crate::matcher::BadRegex;
use crate::names::NameScheme;

/// A set of labels that rules read: one of storage, or pairs that were just parsed.
pub trait Source {
    /// The value of a label; empty where it is absent.
    fn value(&self, name: &str) -> &str;
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)>;
}

impl Source for Labels {
    fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> Source for [(N, V)] {
    fn value(&self, name: &str) -> &str {
        self.iter().find(|(known, _)| known.as_ref() == name).map_or("", |(_, value)| value.as_ref())
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

/// What rules made of a set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stays as it is.
    Unchanged,
    /// The changes are in the [`Scratch`].
    Changed,
    /// A rule dropped it.
    Dropped,
}

/// Rules in their order, ready to be applied; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Rules(Arc<[Rule]>);

#[derive(Debug)]
struct Rule {
    sources: Vec<String>,
    separator: String,
    regex: Regex,
    /// The pattern is the default: it matches everything, and there is nothing to run.
    any: bool,
    modulus: u64,
    target: Template,
    target_text: String,
    replacement: Template,
    action: Action,
    scheme: NameScheme,
}

impl Rules {
    /// Prepares rules that were read and found without [`RuleConfig::fault`].
    pub fn prepare<'c>(
        configs: impl IntoIterator<Item = &'c RuleConfig>,
        scheme: NameScheme,
    ) -> Result<Self, BadRegex> {
        configs.into_iter().map(|config| Rule::prepare(config, scheme)).collect::<Result<_, _>>().map(Self)
    }

    /// Prepares the rules of a list as it was read. Those that are wrong under the scheme are noted and left out, as
    /// are empty items, which the owner of the list refuses in words of its own.
    #[must_use]
    pub fn from_list(list: &RuleList, scheme: NameScheme, problems: &mut Problems) -> Self {
        let mut right = Vec::with_capacity(list.len());
        for rule in list {
            let Some(config) = &rule.value else { continue };
            match config.fault(scheme) {
                Some(fault) => problems.push(Problem::new(&rule.place, "", fault)),
                None => right.push(config),
            }
        }
        // Every pattern was compiled when it was read; one that was not is beside a problem that was noted then.
        Self::prepare(right, scheme).unwrap_or_default()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Applies every rule. The result is in `scratch`, which forgets what it held before.
    pub fn apply<S: Source + ?Sized>(&self, source: &S, scratch: &mut Scratch) -> Outcome {
        scratch.used = 0;
        for rule in self.0.iter() {
            if !rule.apply(source, scratch) {
                return Outcome::Dropped;
            }
        }
        if scratch.changes().any(|(name, value)| source.value(name) != value) {
            Outcome::Changed
        } else {
            Outcome::Unchanged
        }
    }

    /// The labels after every rule; `None` where a rule dropped them. For places where speed does not matter.
    #[must_use]
    pub fn labels(&self, labels: &Labels) -> Option<Labels> {
        let mut scratch = Scratch::default();
        match self.apply(labels, &mut scratch) {
            Outcome::Unchanged => Some(labels.clone()),
            Outcome::Changed => Some(scratch.labels(labels)),
            Outcome::Dropped => None,
        }
    }
}

/// What rules changed so far, and room to work in. One for each thread that relabels.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Names with the value they have now; empty means removed. Behind `used` is room of earlier sets.
    changes: Vec<(String, String)>,
    used: usize,
    joined: String,
    name: String,
    value: String,
}

impl Scratch {
    /// Labels with another value than they had, in the order in which they were first changed; empty means removed.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.changes[..self.used].iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The labels as they are now, unsorted.
    pub fn pairs<'a, S: Source + ?Sized>(&'a self, source: &'a S) -> impl Iterator<Item = (&'a str, &'a str)> {
        let kept = source.pairs().filter(|(name, _)| self.changed(name).is_none());
        kept.chain(self.changes().filter(|(_, value)| !value.is_empty()))
    }

    /// The labels as they are now, as a set.
    #[must_use]
    pub fn labels<S: Source + ?Sized>(&self, source: &S) -> Labels {
        let mut builder = LabelsBuilder::default();
        for (name, value) in self.pairs(source) {
            builder.set(name, value);
        }
        builder.build()
    }

    /// The value a label has now.
    #[must_use]
    pub fn value<'a, S: Source + ?Sized>(&'a self, source: &'a S, name: &str) -> &'a str {
        self.changed(name).unwrap_or_else(|| source.value(name))
    }

    fn changed(&self, name: &str) -> Option<&str> {
        self.changes().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn set(&mut self, name: &str, value: &str) {
        let found = self.changes[..self.used].iter().position(|(known, _)| known == name);
        let at = found.unwrap_or(self.used);
        if at == self.changes.len() {
            self.changes.push((name.to_owned(), value.to_owned()));
        } else {
            name.clone_into(&mut self.changes[at].0);
            value.clone_into(&mut self.changes[at].1);
        }
        self.used = self.used.max(at + 1);
    }
}

impl Rule {
    fn prepare(config: &RuleConfig, scheme: NameScheme) -> Result<Self, BadRegex> {
        let regex = pattern::compile(&config.regex.text)?;
        Ok(Self {
            sources: config.sources().map(str::to_owned).collect(),
            separator: config.separator.clone(),
            any: config.regex.text == Pattern::DEFAULT,
            modulus: config.modulus.unwrap_or(0),
            target: Template::new(&config.target_label, &regex),
            target_text: config.target_label.clone(),
            replacement: Template::new(&config.replacement, &regex),
            action: config.action,
            scheme,
            regex,
        })
    }

    /// Whether the labels are kept.
    fn apply<S: Source + ?Sized>(&self, source: &S, scratch: &mut Scratch) -> bool {
        match self.action {
            Action::LabelMap | Action::LabelDrop | Action::LabelKeep => {
                self.apply_to_names(source, scratch);
                return true;
            }
            _ => {}
        }
        // Taken out so that the text can be read while the changes are written; given back below.
        let mut joined = std::mem::take(&mut scratch.joined);
        joined.clear();
        let keeps = match self.sources.as_slice() {
            [single] if !self.writes() => self.decide(scratch.value(source, single), source, scratch),
            sources => {
                for (index, name) in sources.iter().enumerate() {
                    joined.push_str(if index > 0 { &self.separator } else { "" });
                    joined.push_str(scratch.value(source, name));
                }
                if self.writes() {
                    self.write(&joined, scratch);
                    true
                } else {
                    self.decide(&joined, source, scratch)
                }
            }
        };
        scratch.joined = joined;
        keeps
    }

    fn writes(&self) -> bool {
        matches!(self.action, Action::Replace | Action::HashMod | Action::Lowercase | Action::Uppercase)
    }

    fn matches(&self, text: &str) -> bool {
        self.any || self.regex.is_match(text)
    }

    fn decide<S: Source + ?Sized>(&self, text: &str, source: &S, scratch: &Scratch) -> bool {
        match self.action {
            Action::Keep => self.matches(text),
            Action::Drop => !self.matches(text),
            Action::KeepEqual => scratch.value(source, &self.target_text) == text,
            Action::DropEqual => scratch.value(source, &self.target_text) != text,
            _ => true,
        }
    }

    fn write(&self, text: &str, scratch: &mut Scratch) {
        let mut value = std::mem::take(&mut scratch.value);
        value.clear();
        match self.action {
            Action::Replace => self.replace(text, &mut value, scratch),
            Action::HashMod => {
                use std::fmt::Write as _;
                let _infallible = write!(value, "{}", md5::tail(text.as_bytes()) % self.modulus.max(1));
                scratch.set(&self.target_text, &value);
            }
            Action::Lowercase => {
                value.extend(text.chars().map(lowercase));
                scratch.set(&self.target_text, &value);
            }
            _ => {
                value.extend(text.chars().map(uppercase));
                scratch.set(&self.target_text, &value);
            }
        }
        scratch.value = value;
    }

    fn replace(&self, text: &str, value: &mut String, scratch: &mut Scratch) {
        let groups = if self.any {
            Groups::Whole
        } else if !self.regex.is_match(text) {
            // Asked first because it needs no room for the groups, and most rules match few of what they see.
            return;
        } else {
            let mut found = self.regex.capture_locations();
            if self.regex.captures_read(&mut found, text).is_none() {
                return;
            }
            Groups::Found(found)
        };
        self.replacement.expand(text, &groups, value);
        if let Some(name) = self.target.constant() {
            if self.scheme.is_label_name(name) {
                scratch.set(name, value);
            }
            return;
        }
        let mut name = std::mem::take(&mut scratch.name);
        name.clear();
        self.target.expand(text, &groups, &mut name);
        if self.scheme.is_label_name(&name) {
            scratch.set(&name, value);
        }
        scratch.name = name;
    }

    /// The three actions that look at names. They see the labels as they were before the rule.
    fn apply_to_names<S: Source + ?Sized>(&self, source: &S, scratch: &mut Scratch) {
        let before: Vec<(String, String)> = scratch.changes[..scratch.used].to_vec();
        let kept = source.pairs().filter(|(name, _)| !before.iter().any(|(known, _)| known == name));
        let changed = before.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in kept.chain(changed.filter(|(_, value)| !value.is_empty())) {
            let matched = self.matches(name);
            match self.action {
                Action::LabelDrop if matched => scratch.set(name, ""),
                Action::LabelKeep if !matched => scratch.set(name, ""),
                Action::LabelMap if matched => self.map(name, value, scratch),
                _ => {}
            }
        }
    }

    fn map(&self, name: &str, value: &str, scratch: &mut Scratch) {
        let mut found = self.regex.capture_locations();
        if self.regex.captures_read(&mut found, name).is_none() {
            return;
        }
        let mut target = std::mem::take(&mut scratch.name);
        target.clear();
        self.replacement.expand(name, &Groups::Found(found), &mut target);
        scratch.set(&target, value);
        scratch.name = target;
    }
}

/// One letter becomes one letter, as in Go; the full mapping of Unicode would make `SS` of `ß`.
fn lowercase(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        _ if c == 'İ' => 'i',
        _ => c,
    }
}

fn uppercase(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        // Greek letters with an iota below have a capital of their own, eight or nine further on.
        _ => match u32::from(c) {
            code @ (0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7) => char::from_u32(code + 8).unwrap_or(c),
            code @ (0x1fb3 | 0x1fc3 | 0x1ff3) => char::from_u32(code + 9).unwrap_or(c),
            _ => c,
        },
    }
}

#[cfg(test)]
mod tests;
