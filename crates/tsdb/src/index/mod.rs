//! Which series do matchers mean? The same answer for the head in memory and for parts on disk.
//!
//! An index is, for each label, its sorted values and for each value the ids of the series that have it.
//! [`select::select`] needs no more than [`IndexRead`], so the semantics of matchers exist once.
//! Not here: where the index lies (`head` in memory, `part` on disk), samples.

pub mod head;
pub mod pattern;
pub mod select;
#[cfg(test)]
pub(crate) mod tests;

use crate::error::TsdbError;

/// A set of series ids of one index.
pub type Ids = roaring::RoaringBitmap;

/// What the evaluation of matchers asks an index for.
pub trait IndexRead {
    /// All series.
    fn all(&self) -> Ids;

    /// The series that have the label at all.
    fn present(&self, name: &str) -> Result<Ids, TsdbError>;

    /// Adds the series that have this value.
    fn add_value(&self, name: &str, value: &str, into: &mut IdsBuilder<'_>) -> Result<(), TsdbError>;

    /// Shows the values of a label in order, from the first that is not less than `from`, and adds the series of
    /// those that are taken. Values that cannot be read are left out.
    fn add_range(
        &self,
        name: &str,
        from: &str,
        decide: &mut dyn FnMut(&str) -> Decision,
        into: &mut IdsBuilder<'_>,
    ) -> Result<(), TsdbError>;
}

/// What to do with a value that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Take,
    Skip,
    /// Skip it and all that follow.
    Stop,
}

/// A union under construction: many small contributions cost little, few large ones too.
#[derive(Debug, Default)]
pub struct IdsBuilder<'w> {
    singles: Vec<u32>,
    union: Ids,
    within: Option<&'w Ids>,
}

impl<'w> IdsBuilder<'w> {
    /// Ids outside `within` may be left out, where that is cheaper.
    #[must_use]
    pub fn within(within: Option<&'w Ids>) -> Self {
        Self { within, ..Self::default() }
    }

    pub fn push(&mut self, id: u32) {
        self.singles.push(id);
    }

    pub fn extend(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.singles.extend(ids);
    }

    /// `len` ids from `start`.
    pub fn push_run(&mut self, start: u32, len: u32) {
        if len < 8 {
            self.singles.extend(start..start.saturating_add(len));
        } else {
            self.union.insert_range(start..start.saturating_add(len));
        }
    }

    pub fn union(&mut self, ids: &Ids) {
        match self.within {
            Some(within) => self.union |= ids & within,
            None => self.union |= ids,
        }
    }

    /// As [`IdsBuilder::union`], without a copy where it is the first.
    pub fn union_owned(&mut self, ids: Ids) {
        match self.within {
            Some(within) => self.union |= ids & within,
            None if self.union.is_empty() => self.union = ids,
            None => self.union |= ids,
        }
    }

    #[must_use]
    pub fn finish(mut self) -> Ids {
        if self.singles.is_empty() {
            return self.union;
        }
        if !self.singles.is_sorted() {
            self.singles.sort_unstable();
        }
        self.singles.dedup();
        let singles = Ids::from_sorted_iter(self.singles).expect("invariant: the ids were just sorted");
        if self.union.is_empty() { singles } else { self.union | singles }
    }
}

/// How many series have what, for finding out where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    pub series: u64,
    /// Metric name and its series, most first.
    pub series_by_metric: Vec<(String, u64)>,
    /// Label name and the series that have it, most first.
    pub series_by_label: Vec<(String, u64)>,
    /// Label name and its distinct values, most first.
    pub values_by_label: Vec<(String, u64)>,
    /// `name=value` and its series, most first.
    pub series_by_pair: Vec<(String, u64)>,
}

/// Sorts by count, then name, and keeps `limit`.
pub(crate) fn keep_top(entries: &mut Vec<(String, u64)>, limit: usize) {
    entries.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    entries.truncate(limit);
}
