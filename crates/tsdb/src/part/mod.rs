//! Parts: immutable files of sealed series.
//!
//! A part is written once ([`PartWriter`]), made durable, renamed into place, and from then on only read or removed.
//! Series are numbered in the order of their labels. Their times lie in *clocks*, shared by all series that were
//! sampled together; their values in blocks, with a directory that says how many bytes and rows a series has before
//! any is decoded. Every page has its CRC32C: a damaged page of values is a gap with a reason, damaged postings are
//! made anew from the labels of the series, a damaged table entry costs the series of its page.
//! Not here: which parts there are and when they are merged or dropped. Bytes on disk: docs/formats/part.md.

mod bases;
mod cache_clock;
mod clocks;
mod footer;
mod grouped;
mod merge;
mod page;
mod reader;
mod rows;
mod series;
mod symbols;
#[cfg(test)]
mod tests;
mod tuples;
mod writer;

use std::path::PathBuf;

use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{Exemplar, TimeRange};

use crate::codec::histogram::HistogramSample;
use crate::error::TsdbError;
use crate::index::select::Selector;
use crate::index::{Cardinality, Ids};

pub use cache_clock::Scratch;
pub use merge::{MergeOptions, Merged, merge_parts};
pub use page::PageCache;
pub use reader::PartReader;
pub use writer::{PartOptions, PartWriter};

/// The version of the format this program writes, and the only one it reads.
pub const PART_VERSION: u32 = 1;

/// What is known of a part without reading more than its footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    pub path: PathBuf,
    pub bytes: u64,
    pub series: u32,
    /// Samples of all kinds.
    pub samples: u64,
    /// Of these, native histograms.
    pub histograms: u64,
    pub range: TimeRange,
    /// The compaction tier it came from; 0 for a sealed head.
    pub level: u8,
    /// Chosen by whoever writes the part; kept, not interpreted.
    pub id: u64,
}

/// One series to be written.
#[derive(Clone, Copy, Debug)]
pub struct SeriesInput<'a> {
    pub labels: &'a Labels,
    /// Series with the same key probably share their times; 0 = taken from the labels `job` and `instance`.
    /// A wrong key costs room, never correctness.
    pub clock_key: u64,
    /// Strictly ascending.
    pub times: &'a [i64],
    /// One after the other they have as many rows as `times`.
    pub values: &'a [Values<'a>],
    /// As long as `times`, 0 where unknown.
    pub start_times: Option<&'a [i64]>,
    pub exemplars: &'a [Exemplar],
}

/// Rows of a series in one of their forms.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Blocks as an encoder made them, copied as they are (checked to be readable).
    Blocks(&'a [u8]),
    Floats(&'a [f64]),
    Histograms(&'a [HistogramSample]),
}

/// What a metric family of a target is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetadataEntry {
    /// The labels that name the target; empty where metadata came without one.
    pub target: Labels,
    pub family: String,
    /// `counter`, `gauge`, …, as it was exposed.
    pub kind: String,
    pub help: String,
    pub unit: String,
}

/// How much there is of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub range: TimeRange,
    pub rows: u64,
    /// Bytes that reading all of it would decode, times not counted (they are shared).
    pub bytes: u64,
}

/// Columns of one series; readers append rows. Meant to be used again and again.
#[derive(Debug, Default)]
pub struct Columns {
    pub times: Vec<i64>,
    /// A histogram's row holds 0, or the stale marker if its sum is that.
    pub values: Vec<f64>,
    /// As long as `times` where any row has one, else empty.
    pub start_times: Vec<i64>,
    pub histograms: Vec<(u32, HistogramSample)>,
    /// Two columns with the same `Some` have the same times.
    pub clock: Option<u64>,
}

impl Columns {
    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.start_times.clear();
        self.histograms.clear();
        self.clock = None;
    }
}

/// Rows that are there but cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub range: TimeRange,
    pub reason: String,
}

/// A defect found in a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub path: PathBuf,
    pub reason: String,
}

/// A series as it lies in a part, for copying it into another.
#[derive(Debug, Default)]
pub struct RawSeries {
    pub times: Vec<i64>,
    /// Value blocks, one after the other.
    pub blocks: Vec<u8>,
    /// Empty, or as long as `times`.
    pub start_times: Vec<i64>,
}

/// A source of immutable series. Our own parts are one; blocks of other programs can be another.
pub trait PartRead: Send + Sync {
    fn info(&self) -> &PartInfo;

    /// The ids of the series that pass.
    fn select(&self, selector: &Selector) -> Result<Ids, TsdbError>;

    /// As [`PartRead::select`], for matchers used once.
    fn select_matchers(&self, matchers: &[Matcher]) -> Result<Ids, TsdbError> {
        self.select(&Selector::new(matchers))
    }

    fn labels(&self, id: u32) -> Result<Labels, TsdbError>;

    /// How much there is of a series, without decoding it.
    fn extent(&self, id: u32) -> Result<Extent, TsdbError>;

    /// Appends the rows within `range` to `columns`; names the ones that are damaged.
    fn read(
        &self,
        id: u32,
        range: TimeRange,
        scratch: &mut Scratch,
        columns: &mut Columns,
    ) -> Result<Vec<Gap>, TsdbError>;

    /// The whole series as blocks; `None` where this source has none, or some of it is damaged.
    fn raw(&self, id: u32, scratch: &mut Scratch, raw: &mut RawSeries) -> Result<Option<()>, TsdbError>;

    /// The label names of all series, or of some; sorted.
    fn label_names(&self, of: Option<&Ids>) -> Result<Vec<String>, TsdbError>;

    /// The values of a label in all series, or in some; sorted.
    fn label_values(&self, name: &str, of: Option<&Ids>) -> Result<Vec<String>, TsdbError>;

    fn exemplars(&self, id: u32) -> Result<Vec<Exemplar>, TsdbError>;

    fn metadata(&self) -> Result<Vec<MetadataEntry>, TsdbError>;

    /// Where the series come from, at most `limit` entries in each list.
    fn cardinality(&self, limit: usize) -> Result<Cardinality, TsdbError>;
}
