//! What a target says about its metric families: help, type and unit, and whether it says the same as last time.
//!
//! Between scrapes only one number is kept: the texts themselves belong to the storage.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher as _};
use std::sync::LazyLock;

use hashbrown::DefaultHashBuilder;
use wire::exposition::{Entry, MetricKind};

/// A target may describe so many families; what comes behind is not kept. Far above what anybody exposes.
const FAMILIES_MAX: usize = 50_000;

/// Everything that was said, as one number: the same in every scrape of this process that says the same.
pub(crate) struct Said {
    hasher: <DefaultHashBuilder as BuildHasher>::Hasher,
    anything: bool,
}

/// Random, so that nobody can write texts that look the same; one for the process, as scrapes are compared.
static BUILDER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

impl Default for Said {
    fn default() -> Self {
        Self { hasher: BUILDER.build_hasher(), anything: false }
    }
}

impl Said {
    pub(crate) fn kind(&mut self, family: &str, kind: MetricKind) {
        self.text(b't', family, kind.name());
    }

    pub(crate) fn text(&mut self, what: u8, family: &str, text: &str) {
        self.anything = true;
        self.hasher.write_u8(what);
        self.hasher.write_usize(family.len());
        self.hasher.write(family.as_bytes());
        self.hasher.write(text.as_bytes());
    }

    /// Zero where nothing was said.
    pub(crate) fn finish(&self) -> u64 {
        if self.anything { self.hasher.finish() | 1 } else { 0 }
    }
}

/// One family's description.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: MetricKind,
    pub(crate) help: String,
    pub(crate) unit: String,
}

/// All families of one body, by name.
#[derive(Debug, Default)]
pub(crate) struct Families(BTreeMap<String, Family>);

impl Families {
    pub(crate) fn take(&mut self, entry: &Entry<'_>) {
        let name = match entry {
            Entry::Type { family, .. } | Entry::Help { family, .. } | Entry::Unit { family, .. } => family,
            Entry::Comment(_) | Entry::Series(_) | Entry::Histogram(_) => return,
        };
        if !self.0.contains_key(&**name) && self.0.len() >= FAMILIES_MAX {
            return;
        }
        let family = self.0.entry(name.to_string()).or_default();
        match entry {
            Entry::Type { kind, .. } => family.kind = *kind,
            Entry::Help { text, .. } => family.help = text.to_string(),
            Entry::Unit { unit, .. } => family.unit = unit.to_string(),
            Entry::Comment(_) | Entry::Series(_) | Entry::Histogram(_) => {}
        }
    }

    pub(crate) fn into_all(self) -> impl Iterator<Item = (String, Family)> {
        self.0.into_iter()
    }
}
