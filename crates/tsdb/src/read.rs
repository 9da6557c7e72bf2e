//! Reading: parts and head as one, series by series.
//!
//! A snapshot is a pinned view of the head and the set of parts that was current with it, so it shows whole batches
//! and each sample once. Series of several sources are joined by their labels; of two samples with the same time the
//! one that was accepted first counts.
//! What cannot be read (a bad page, a bad sector) is missing from the answer, named in the warnings of the selection
//! if it was found while selecting, reported to the quarantine in any case, and never replaced by a wrong value.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::histogram::Histogram;
use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{
    Column, ColumnReader, Cursor, Exemplar, Limited, Metadata, SelectHints, SelectedId, Selection, Snapshot,
    StorageError, TimeRange,
};

use crate::codec::histogram::HistogramSample;
use crate::db::{Inner, Pinned};
use crate::error::TsdbError;
use crate::head::rows::Rows;
use crate::head::view::ViewScratch;
use crate::index::Ids;
use crate::index::select::Selector;
use crate::part::{Columns, Scratch};
use crate::parts::Part;
use crate::sync::lock;

/// Source number of the head; parts have their index.
const HEAD: u32 = u32::MAX;
/// What a row in the head is taken to cost when bytes are estimated: a time and a value.
const HEAD_ROW_BYTES: u64 = 16;

/// The names or values that some series of a part (or all of them) have.
type TextsOfPart<'f> = dyn Fn(&Part, Option<&Ids>) -> Result<Vec<String>, TsdbError> + 'f;
/// The same of the head.
type TextsOfHead<'f> = dyn Fn(&Ids) -> Vec<String> + 'f;

/// A consistent view of a database.
pub(crate) struct DbSnapshot {
    inner: Arc<Inner>,
    pinned: Arc<Pinned>,
}

/// Where a part of a series lies.
#[derive(Clone, Copy, Debug)]
struct Source {
    source: u32,
    id: u32,
}

impl DbSnapshot {
    pub(crate) fn new(inner: Arc<Inner>, pinned: Arc<Pinned>) -> Self {
        Self { inner, pinned }
    }

    fn parts_in(&self, range: TimeRange) -> impl Iterator<Item = (u32, &Arc<Part>)> {
        let parts = self.pinned.parts.parts.iter().enumerate();
        parts.filter(move |(_, part)| part.info().range.overlaps(&range)).map(|(index, part)| (index as u32, part))
    }

    /// Every source of every series that passes, by labels, then by source; what failed is named.
    fn find(&self, matchers: &[Matcher], range: TimeRange, out: &mut Found) {
        let selector = Selector::new(matchers);
        for (index, part) in self.parts_in(range) {
            if let Err(error) = find_in_part(part, index, (&selector, range), out) {
                self.inner.quarantine.note(&part.path, &error.to_string());
                out.warnings.push(error.to_string());
            }
        }
        let head = &self.pinned.head;
        let from = out.series.len();
        for id in &head.index.select_prepared(&selector) {
            let rows = head.rows_max(id, range);
            if rows > 0
                && let Some(labels) = head.index.labels(id)
            {
                out.samples_max += rows;
                out.bytes_max += rows * HEAD_ROW_BYTES;
                out.series.push((labels, Source { source: HEAD, id }));
            }
        }
        out.series[from..].sort_by(|a, b| a.0.cmp(&b.0));
        // Runs that are sorted already: the sort finds and merges them.
        out.series.sort_by(|a, b| a.0.cmp(&b.0));
    }

    fn passing(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Found {
        let mut found = Found::default();
        if selectors.is_empty() {
            self.find(&[], range, &mut found);
        }
        for matchers in selectors {
            self.find(matchers, range, &mut found);
        }
        found
    }

    /// The ids of each source that pass any of the selectors; `None` where no selector restricts them.
    fn passing_ids(&self, selectors: &[Vec<Matcher>], part: Option<&Part>) -> Result<Option<Ids>, TsdbError> {
        if selectors.is_empty() {
            return Ok(None);
        }
        let mut ids = Ids::new();
        for matchers in selectors {
            ids |= match part {
                Some(part) => part.reader.select_matchers(matchers)?,
                None => self.pinned.head.index.select(matchers),
            };
        }
        Ok(Some(ids))
    }

    /// The series of the head that pass and have anything in the range.
    fn head_ids(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<Ids, TsdbError> {
        let head = &self.pinned.head;
        let ids = self.passing_ids(selectors, None)?.unwrap_or_else(|| head.index.select(&[]));
        Ok(ids.iter().filter(|id| head.rows_max(*id, range) > 0).collect())
    }

    /// Collects texts from parts and head, each once, sorted.
    fn collect_texts(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        (from_part, from_head): (&TextsOfPart<'_>, &TextsOfHead<'_>),
    ) -> Result<BTreeSet<String>, StorageError> {
        let mut texts = BTreeSet::new();
        for (_, part) in self.parts_in(range) {
            let found = self.passing_ids(selectors, Some(part)).and_then(|ids| from_part(part, ids.as_ref()));
            match found {
                Ok(found) => texts.extend(found),
                Err(error) => self.inner.quarantine.note(&part.path, &error.to_string()),
            }
        }
        let ids = self.head_ids(selectors, range).map_err(crate::db::storage_error)?;
        texts.extend(from_head(&ids));
        Ok(texts)
    }
}

fn find_in_part(
    part: &Part,
    source: u32,
    (selector, range): (&Selector, TimeRange),
    out: &mut Found,
) -> Result<(), TsdbError> {
    for id in &part.reader.select(selector)? {
        let extent = part.reader.extent(id)?;
        if extent.range.overlaps(&range) {
            out.samples_max += extent.rows;
            out.bytes_max += extent.bytes;
            out.series.push((part.reader.labels(id)?, Source { source, id }));
        }
    }
    Ok(())
}

/// What matchers found, before sources of the same series are joined.
#[derive(Default)]
struct Found {
    series: Vec<(Labels, Source)>,
    samples_max: u64,
    bytes_max: u64,
    warnings: Vec<String>,
}

impl Found {
    fn into_labels(self) -> Vec<Labels> {
        let mut labels: Vec<Labels> = self.series.into_iter().map(|(labels, _)| labels).collect();
        labels.dedup();
        labels
    }
}

fn limited<T>(mut items: Vec<T>, limit: usize) -> Limited<T> {
    let truncated = limit > 0 && items.len() > limit;
    if truncated {
        items.truncate(limit);
    }
    Limited { items, truncated }
}

impl Snapshot for DbSnapshot {
    fn select(&self, matchers: &[Matcher], range: TimeRange, hints: &SelectHints) -> Result<Selection, StorageError> {
        let mut found = Found::default();
        self.find(matchers, range, &mut found);
        let mut labels: Vec<Labels> = Vec::with_capacity(found.series.len());
        let mut first = Vec::with_capacity(found.series.len() + 1);
        let mut sources = Vec::with_capacity(found.series.len());
        for (series, source) in found.series {
            if labels.last() != Some(&series) {
                if hints.limit > 0 && labels.len() == hints.limit {
                    break;
                }
                first.push(sources.len() as u32);
                labels.push(series);
            }
            sources.push(source);
        }
        first.push(sources.len() as u32);
        let names = if self.pinned.parts.tombstones.is_empty() { Vec::new() } else { labels.clone() };
        let reader =
            Reader { inner: Arc::clone(&self.inner), pinned: Arc::clone(&self.pinned), first, sources, names, range };
        Ok(Selection {
            labels,
            samples_max: found.samples_max,
            bytes_max: found.bytes_max,
            warnings: found.warnings,
            reader: Arc::new(reader),
        })
    }

    fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<Labels>, StorageError> {
        let mut labels = self.passing(selectors, range).into_labels();
        if selectors.len() > 1 {
            labels.sort();
            labels.dedup();
        }
        Ok(limited(labels, limit))
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<String>, StorageError> {
        let from_part = |part: &Part, ids: Option<&Ids>| part.reader.label_names(ids);
        let from_head = |ids: &Ids| self.pinned.head.index.label_names(Some(ids));
        let names = self.collect_texts(selectors, range, (&from_part, &from_head))?;
        Ok(limited(names.into_iter().collect(), limit))
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<String>, StorageError> {
        let from_part = |part: &Part, ids: Option<&Ids>| part.reader.label_values(name, ids);
        let from_head = |ids: &Ids| self.pinned.head.index.label_values(name, Some(ids));
        let values = self.collect_texts(selectors, range, (&from_part, &from_head))?;
        Ok(limited(values.into_iter().collect(), limit))
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        let head = &self.pinned.head;
        let ids = self.passing_ids(selectors, None).map_err(crate::db::storage_error)?;
        let mut found: std::collections::BTreeMap<Labels, Vec<Exemplar>> = std::collections::BTreeMap::new();
        for (id, exemplar) in head.exemplars.iter() {
            if range.contains(exemplar.time)
                && ids.as_ref().is_none_or(|ids| ids.contains(*id))
                && let Some(labels) = head.index.labels(*id)
            {
                found.entry(labels).or_default().push(exemplar.clone());
            }
        }
        Ok(found.into_iter().collect())
    }

    fn metadata(&self, family: &str, limit: usize) -> Result<Limited<Metadata>, StorageError> {
        Ok(lock(&self.inner.metadata).list(family, limit))
    }
}

/// Opens cursors over a selection.
struct Reader {
    inner: Arc<Inner>,
    pinned: Arc<Pinned>,
    /// The sources of series i are `sources[first[i]..first[i + 1]]`.
    first: Vec<u32>,
    sources: Vec<Source>,
    /// The labels again, if there is anything deleted.
    names: Vec<Labels>,
    range: TimeRange,
}

impl ColumnReader for Reader {
    fn cursor(&self) -> Box<dyn Cursor + '_> {
        Box::new(DbCursor {
            reader: self,
            scratch: Scratch::default(),
            view: ViewScratch::default(),
            columns: Columns::default(),
            rows: Rows::default(),
            histograms: Vec::new(),
            gaps: Vec::new(),
        })
    }
}

struct DbCursor<'r> {
    reader: &'r Reader,
    scratch: Scratch,
    view: ViewScratch,
    columns: Columns,
    rows: Rows,
    histograms: Vec<(u32, Arc<Histogram>)>,
    gaps: Vec<String>,
}

fn float_form(sample: &HistogramSample) -> Arc<Histogram> {
    match sample {
        HistogramSample::Float(histogram) => Arc::clone(histogram),
        HistogramSample::Int(histogram) => Arc::new(Histogram::from(&**histogram)),
    }
}

impl DbCursor<'_> {
    /// Reads a series from one part into `columns`.
    fn read_part(&mut self, source: Source) -> Result<(), StorageError> {
        let part = &self.reader.pinned.parts.parts[source.source as usize];
        self.columns.clear();
        match part.reader.read(source.id, self.reader.range, &mut self.scratch, &mut self.columns) {
            Ok(gaps) => {
                for gap in &gaps {
                    self.reader.inner.quarantine.note(&part.path, &gap.reason);
                }
                Ok(())
            }
            Err(error) if error.is_damage() => {
                self.columns.clear();
                self.reader.inner.quarantine.note(&part.path, &error.to_string());
                Ok(())
            }
            Err(error) => Err(crate::db::storage_error(error)),
        }
    }

    fn cuts(&self, series: usize, source: Source) -> Vec<TimeRange> {
        let Some(labels) = self.reader.names.get(series) else { return Vec::new() };
        let part = &self.reader.pinned.parts.parts[source.source as usize];
        self.reader.pinned.parts.cuts(part.entry.number, labels)
    }

    /// The column of a series that lies in one part, nothing of it deleted: as it was decoded.
    fn part_column(&mut self) -> Column<'_> {
        self.histograms.clear();
        self.histograms.extend(self.columns.histograms.iter().map(|(row, sample)| (*row, float_form(sample))));
        Column {
            times: &self.columns.times,
            values: &self.columns.values,
            start_times: (!self.columns.start_times.is_empty()).then_some(&self.columns.start_times),
            histograms: &self.histograms,
            clock: self.columns.clock,
        }
    }

    fn joined(&mut self, series: usize, sources: &[Source]) -> Result<(), StorageError> {
        self.rows.clear();
        let mut deleted = Rows::default();
        for source in sources {
            if source.source == HEAD {
                self.gaps.clear();
                let mut rows = Rows::default();
                let head = &self.reader.pinned.head;
                head.read(source.id, self.reader.range, &mut self.view, &mut rows, &mut self.gaps);
                for gap in &self.gaps {
                    self.reader.inner.quarantine.note(&self.reader.inner.paths.head, gap);
                }
                if self.rows.is_empty() {
                    std::mem::swap(&mut self.rows, &mut rows);
                } else {
                    self.rows.append(&rows);
                }
                continue;
            }
            self.read_part(*source)?;
            let cuts = self.cuts(series, *source);
            if cuts.is_empty() {
                append_columns(&mut self.rows, &self.columns);
            } else {
                deleted.clear();
                append_columns(&mut deleted, &self.columns);
                deleted.cut_out(&cuts);
                self.rows.append(&deleted);
            }
        }
        self.rows.put_in_order();
        Ok(())
    }
}

/// Appends what was read from a part.
pub(crate) fn append_columns(rows: &mut Rows, columns: &Columns) {
    let base = rows.times.len();
    if !columns.start_times.is_empty() {
        rows.starts.resize(base, 0);
        rows.starts.extend_from_slice(&columns.start_times);
    } else if !rows.starts.is_empty() {
        rows.starts.resize(base + columns.times.len(), 0);
    }
    rows.times.extend_from_slice(&columns.times);
    rows.values.extend_from_slice(&columns.values);
    rows.histograms.extend(columns.histograms.iter().map(|(row, value)| (row + base as u32, value.clone())));
}

impl Cursor for DbCursor<'_> {
    fn read(&mut self, series: SelectedId) -> Result<Column<'_>, StorageError> {
        let reader = self.reader;
        let series = series.0 as usize;
        let sources = &reader.sources[reader.first[series] as usize..reader.first[series + 1] as usize];
        if let [source] = sources
            && source.source != HEAD
            && self.cuts(series, *source).is_empty()
        {
            self.read_part(*source)?;
            return Ok(self.part_column());
        }
        self.joined(series, sources)?;
        self.histograms.clear();
        self.histograms.extend(self.rows.histograms.iter().map(|(row, sample)| (*row, float_form(sample))));
        Ok(Column {
            times: &self.rows.times,
            values: &self.rows.values,
            start_times: (!self.rows.starts.is_empty()).then_some(&self.rows.starts),
            histograms: &self.histograms,
            clock: None,
        })
    }
}
