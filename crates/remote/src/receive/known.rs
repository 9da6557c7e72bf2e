//! Which series a sender has sent before, found by the bytes of its labels without making labels of them.
//!
//! A series is known by 128 bits: two hashes with keys that are drawn when the process starts. The labels themselves
//! are not kept, which saves some 150 bytes a series and the reading of them; that two of a million series share all
//! 128 bits has a chance of about 1 in 10^27 (docs/decisions/0120-known-series-by-128-bits.md).
//! At the bound everything is forgotten: series are resolved again, which costs time and changes nothing.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use model::storage::SeriesRef;

/// One known series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    name: Name,
    pub(super) series: SeriesRef,
    /// Hash of what was said last about its family; 0 where nothing was.
    pub(super) metadata: u64,
}

/// 128 bits instead of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u64, u64);

pub(super) struct KnownSeries {
    table: HashTable<Known>,
    keys: (DefaultHashBuilder, DefaultHashBuilder),
    max: usize,
}

impl KnownSeries {
    pub(super) fn new(max: usize) -> Self {
        let keys = (DefaultHashBuilder::default(), DefaultHashBuilder::default());
        Self { table: HashTable::new(), keys, max: max.max(1) }
    }

    #[inline]
    pub(super) fn name(&self, key: &[u8]) -> Name {
        Name(self.keys.0.hash_one(key), self.keys.1.hash_one(key))
    }

    #[inline]
    pub(super) fn get(&mut self, name: Name) -> Option<&mut Known> {
        self.table.find_mut(name.0, |known| known.name == name)
    }

    /// Remembers a series, in place of what was known by the same labels.
    pub(super) fn put(&mut self, name: Name, series: SeriesRef) -> &mut Known {
        if self.table.len() >= self.max {
            self.table.clear();
        }
        if let Ok(old) = self.table.find_entry(name.0, |known| known.name == name) {
            old.remove();
        }
        let known = Known { name, series, metadata: 0 };
        self.table.insert_unique(name.0, known, |known| known.name.0).into_mut()
    }

    pub(super) fn hash<T: std::hash::Hash>(&self, what: &T) -> u64 {
        // 0 stands for nothing.
        self.keys.0.hash_one(what) | 1
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
