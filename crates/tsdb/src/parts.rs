//! The parts that make up the sealed past, as one immutable set that readers share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::TimeRange;

use crate::index::select::Selector;
use crate::manifest::{Manifest, PartEntry, Tombstone};
use crate::part::{Columns, PartInfo, PartRead, Scratch};

/// The path of a part.
pub(crate) fn part_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.part"))
}

/// The number in a part's name.
pub(crate) fn part_number(name: &str) -> Option<u64> {
    name.strip_suffix(".part")?.parse().ok()
}

/// One open part.
pub(crate) struct Part {
    pub(crate) entry: PartEntry,
    pub(crate) path: PathBuf,
    pub(crate) reader: Arc<dyn PartRead>,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("entry", &self.entry).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Part {
    pub(crate) fn info(&self) -> &PartInfo {
        self.reader.info()
    }

    /// The newest sample of a series, and what identifies its value; `None` if it has none or cannot be read.
    fn newest_of(&self, selector: &Selector, labels: &Labels) -> Option<(i64, u64)> {
        let ids = self.reader.select(selector).ok()?;
        let id = ids.iter().find(|id| self.reader.labels(*id).is_ok_and(|found| found == *labels))?;
        let end = self.reader.extent(id).ok()?.range.end;
        let mut columns = Columns::default();
        self.reader.read(id, TimeRange::new(end, end), &mut Scratch::default(), &mut columns).ok()?;
        let value = match columns.histograms.last() {
            Some((_, histogram)) => crate::log::batch::RichValue::Histogram(histogram.clone()),
            None => crate::log::batch::RichValue::Float(*columns.values.last()?),
        };
        Some((end.millis(), crate::head::identity_of(&value)))
    }
}

/// All parts and what is deleted in them.
#[derive(Clone, Debug)]
pub(crate) struct PartSet {
    /// In the order in which their samples were accepted.
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) tombstones: Vec<Tombstone>,
    /// No part holds anything newer; the beginning of time if there is no part.
    pub(crate) end: i64,
}

impl PartSet {
    pub(crate) fn new(mut parts: Vec<Arc<Part>>, tombstones: Vec<Tombstone>) -> Self {
        parts.sort_by_key(|part| (part.entry.order, part.entry.number));
        let end = parts.iter().map(|part| part.info().range.end.millis()).max().unwrap_or(i64::MIN);
        Self { parts, tombstones, end }
    }

    /// This set without some parts and with others.
    pub(crate) fn changed(&self, without: &[u64], with: Option<Arc<Part>>, manifest: &Manifest) -> Self {
        let kept = self.parts.iter().filter(|part| !without.contains(&part.entry.number)).cloned();
        Self::new(kept.chain(with).collect(), manifest.tombstones.clone())
    }

    /// The newest sample of a series in any part. Deleted ones count: what was deleted is not filled in again by
    /// somebody who repeats old samples.
    pub(crate) fn newest_of(&self, labels: &Labels) -> Option<(i64, u64)> {
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        let selector = Selector::new(&matchers);
        let mut newest: Option<(i64, u64)> = None;
        for part in self.parts.iter().rev() {
            if newest.is_some_and(|(time, _)| time >= part.info().range.end.millis()) {
                continue;
            }
            if let Some(found) = part.newest_of(&selector, labels)
                && newest.is_none_or(|(time, _)| found.0 > time)
            {
                newest = Some(found);
            }
        }
        newest
    }

    /// What is deleted of a series in a part.
    pub(crate) fn cuts(&self, part: u64, labels: &Labels) -> Vec<TimeRange> {
        self.tombstones.iter().filter_map(|tombstone| tombstone.cuts(part, labels)).collect()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.info().bytes).sum()
    }
}
