//! What targets say about their metric families: TYPE, HELP, UNIT.
//!
//! A thousand targets say the same about the same family, so a text is kept once for each family and a target is a bit.

use std::collections::{BTreeMap, HashMap};

use model::labels::Labels;
use model::storage::{Limited, Metadata};

use crate::index::Ids;

/// Families beyond this are not remembered: whoever invents more makes them from data.
const FAMILIES_MAX: usize = 100_000;
/// Different texts for one family beyond this are not remembered.
const TEXTS_PER_FAMILY_MAX: usize = 64;
/// Targets beyond this are not told apart: theirs counts as said by nobody in particular.
const TARGETS_MAX: usize = 1_000_000;

#[derive(Debug)]
struct Text {
    kind: Box<str>,
    help: Box<str>,
    unit: Box<str>,
    targets: Ids,
}

impl Text {
    fn says(&self, entry: &Metadata) -> bool {
        *self.kind == *entry.kind && *self.help == *entry.help && *self.unit == *entry.unit
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct MetadataStore {
    families: BTreeMap<Box<str>, Vec<Text>>,
    targets: Vec<Labels>,
    target_ids: HashMap<Labels, u32>,
}

impl MetadataStore {
    /// The entries that say something that is not known yet.
    pub(crate) fn unknown(&self, entries: &[Metadata]) -> Vec<Metadata> {
        entries.iter().filter(|entry| !self.knows(entry)).cloned().collect()
    }

    fn knows(&self, entry: &Metadata) -> bool {
        let Some(target) = self.target_ids.get(&entry.target) else { return false };
        let texts = self.families.get(entry.family.as_str());
        texts.is_some_and(|texts| texts.iter().any(|text| text.says(entry) && text.targets.contains(*target)))
    }

    pub(crate) fn put_all(&mut self, entries: &[Metadata]) {
        for entry in entries {
            self.put(entry);
        }
    }

    fn put(&mut self, entry: &Metadata) {
        let Some(target) = self.target_id(&entry.target) else { return };
        if !self.families.contains_key(entry.family.as_str()) {
            if self.families.len() >= FAMILIES_MAX {
                return;
            }
            self.families.insert(entry.family.as_str().into(), Vec::new());
        }
        let Some(texts) = self.families.get_mut(entry.family.as_str()) else { return };
        for text in texts.iter_mut() {
            text.targets.remove(target);
        }
        texts.retain(|text| !text.targets.is_empty() || text.says(entry));
        if let Some(text) = texts.iter_mut().find(|text| text.says(entry)) {
            text.targets.insert(target);
        } else if texts.len() < TEXTS_PER_FAMILY_MAX {
            texts.push(Text {
                kind: entry.kind.as_str().into(),
                help: entry.help.as_str().into(),
                unit: entry.unit.as_str().into(),
                targets: Ids::from_iter([target]),
            });
        }
    }

    fn target_id(&mut self, target: &Labels) -> Option<u32> {
        if let Some(id) = self.target_ids.get(target) {
            return Some(*id);
        }
        if self.targets.len() >= TARGETS_MAX {
            return None;
        }
        let id = self.targets.len() as u32;
        self.targets.push(target.clone());
        self.target_ids.insert(target.clone(), id);
        Some(id)
    }

    /// Entries by family, then target; all families if `family` is empty. A limit of 0 is none.
    pub(crate) fn list(&self, family: &str, limit: usize) -> Limited<Metadata> {
        let mut items = Vec::new();
        let wanted = self.families.iter().filter(|(name, _)| family.is_empty() || ***name == *family);
        for (name, texts) in wanted {
            let from = items.len();
            for text in texts {
                items.extend(text.targets.iter().map(|target| Metadata {
                    family: name.to_string(),
                    target: self.targets[target as usize].clone(),
                    kind: text.kind.to_string(),
                    help: text.help.to_string(),
                    unit: text.unit.to_string(),
                }));
            }
            items[from..].sort_by(|a: &Metadata, b: &Metadata| a.target.cmp(&b.target));
            if limit > 0 && items.len() > limit {
                items.truncate(limit);
                return Limited { items, truncated: true };
            }
        }
        Limited { items, truncated: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(family: &str, instance: &str, help: &str) -> Metadata {
        Metadata {
            family: family.to_owned(),
            target: Labels::from_pairs([("instance", instance)]),
            kind: "counter".to_owned(),
            help: help.to_owned(),
            unit: String::new(),
        }
    }

    #[test]
    fn a_target_says_one_thing_about_a_family_and_the_last_counts() {
        let mut store = MetadataStore::default();
        store.put_all(&[entry("b", "2", "x"), entry("b", "1", "x"), entry("a", "1", "x")]);
        assert!(store.unknown(&[entry("b", "1", "x")]).is_empty());
        assert_eq!(store.unknown(&[entry("b", "1", "y")]).len(), 1);
        store.put_all(&[entry("b", "1", "y")]);
        assert_eq!(store.list("b", 0).items, [entry("b", "1", "y"), entry("b", "2", "x")]);
        assert_eq!(store.list("", 0).items.len(), 3);
        assert!(store.list("", 2).truncated);
        assert!(store.list("none", 0).items.is_empty());
    }
}
