//! Reads a part: nothing is read before it is asked for, nothing is handed out before its checksum was compared.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use model::labels::{Labels, METRIC_NAME};
use model::storage::{Exemplar, TimeRange};
use model::time::Timestamp;

use crate::codec::Damage;
use crate::codec::bytes::Reader;
use crate::codec::{float, int};
use crate::error::TsdbError;
use crate::index::select::{Selector, select_prepared};
use crate::index::{Cardinality, Decision, Ids, IdsBuilder, IndexRead, keep_top};
use crate::io::Disk;
use crate::part::cache_clock::Scratch;
use crate::part::footer::{Footer, MAGIC, NameEntry};
use crate::part::grouped::GroupedPage;
use crate::part::page::{PageCache, PageFile, PageKind, next_part};
use crate::part::rows::{RowReader, whole_gap};
use crate::part::series::{BASES_MAX, Base, SERIES_IN_GROUP, SeriesEntry};
use crate::part::symbols::{self, VALUE_BYTES_MAX};
use crate::part::tuples::{TUPLES_IN_GROUP, Tuple};
use crate::part::{Columns, Extent, Gap, MetadataEntry, PartInfo, PartRead, Problem, RawSeries};

/// Defects remembered of one part; more of them say nothing new.
const PROBLEMS_MAX: usize = 100;
/// Exemplars one series may claim to have.
const EXEMPLARS_MAX: usize = 1 << 24;
/// Labels of an exemplar or target.
const LABELS_MAX: usize = 1 << 12;

/// Where a clock's times lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockEntry {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) rows: u32,
    pub(super) min: i64,
    pub(super) max: i64,
}

/// An open part.
#[derive(Debug)]
pub struct PartReader {
    pub(super) info: PartInfo,
    pub(super) file: PageFile,
    names: Vec<NameEntry>,
    shapes: Vec<Vec<u32>>,
    clock_count: u32,
    clocks: OnceLock<Vec<Option<ClockEntry>>>,
    /// Postings made anew from the tuples, by number of the value; once any of the stored ones is found damaged.
    rebuilt: OnceLock<Vec<Vec<u32>>>,
    problems: Mutex<Vec<Problem>>,
}

impl PartReader {
    /// Opens a part: reads its footer and nothing else.
    pub fn open(disk: &dyn Disk, path: &Path, cache: &PageCache) -> Result<Self, TsdbError> {
        let file = disk.open(path).map_err(TsdbError::io(path))?;
        let bytes = file.size().map_err(TsdbError::io(path))?;
        let (mut footer, half_damaged) = Footer::find(&*file, path)?;
        let mut magic = [0; MAGIC.len()];
        file.read_at(&mut magic, 0).map_err(TsdbError::io(path))?;
        let info = footer.info(path, bytes);
        let table = std::mem::take(&mut footer.pages);
        let file = PageFile { path: path.to_owned(), file, table, cache: cache.clone(), part: next_part() };
        let part = Self {
            info,
            file,
            names: footer.names,
            shapes: footer.shapes,
            clock_count: footer.clocks,
            clocks: OnceLock::new(),
            rebuilt: OnceLock::new(),
            problems: Mutex::default(),
        };
        if half_damaged {
            part.note("one of the two footers is damaged".to_owned());
        }
        if magic != MAGIC {
            part.note("the first bytes are damaged".to_owned());
        }
        Ok(part)
    }

    /// The defects found so far.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads every page past the cache and names the damaged ones.
    pub fn verify(&self) -> Result<Vec<Problem>, TsdbError> {
        for kind in PageKind::ALL {
            for entry in self.file.table.of(kind) {
                match self.file.read_page(kind, entry) {
                    Ok(_) => {}
                    Err(error) if error.is_damage() => self.note_error(&error),
                    Err(error) => return Err(error),
                }
            }
        }
        if !Footer::both_whole(&*self.file.file, &self.info.path)? {
            self.note("one of the two footers is damaged".to_owned());
        }
        Ok(self.problems())
    }

    /// How many bytes each kind of page takes: where the room goes.
    #[must_use]
    pub fn page_bytes(&self) -> Vec<(&'static str, u64)> {
        let bytes = |kind| self.file.table.of(kind).iter().map(|page| u64::from(page.bytes)).sum();
        PageKind::ALL.into_iter().map(|kind| (kind.name(), bytes(kind))).collect()
    }

    fn note(&self, reason: String) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = Problem { path: self.info.path.clone(), reason };
        if problems.len() < PROBLEMS_MAX && !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    pub(super) fn note_error(&self, error: &TsdbError) {
        self.note(error.to_string());
    }

    /// Passes an error on, remembering it if it is a defect.
    fn noted<T>(&self, outcome: Result<T, TsdbError>) -> Result<T, TsdbError> {
        if let Err(error) = &outcome
            && error.is_damage()
        {
            self.note_error(error);
        }
        outcome
    }

    fn check_id(&self, id: u32) -> Result<(), TsdbError> {
        if id < self.info.series {
            return Ok(());
        }
        Err(TsdbError::Refused(format!("{}: no series {id}", self.info.path.display())))
    }

    /// The directory's entry of a series.
    pub(super) fn entry(&self, id: u32) -> Result<SeriesEntry, TsdbError> {
        self.check_id(id)?;
        let page = GroupedPage::holding(&self.file, PageKind::Series, SERIES_IN_GROUP, u64::from(id))?;
        let clocks = self.clock_table()?;
        let clock_min = |clock: u32| match clocks.get(clock as usize) {
            Some(Some(entry)) => Ok(entry.min),
            _ => Err(Damage("the clock of a series cannot be read")),
        };
        let find = || {
            let (group, place) = page.locate(u64::from(id))?;
            let mut reader = Reader::new(page.group(group)?);
            let mut entry = SeriesEntry { offset: reader.uvarint()?, ..SeriesEntry::default() };
            for _ in 0..=place {
                entry.read_next(&mut reader, &clock_min)?;
            }
            Ok(entry)
        };
        find().map_err(|damage| self.file.damaged(PageKind::Series, 0, damage))
    }

    pub(super) fn clock_entry(&self, clock: u32) -> Result<ClockEntry, TsdbError> {
        let entry = self.clock_table()?.get(clock as usize).copied().flatten();
        entry.ok_or_else(|| self.file.damaged(PageKind::ClockTable, 0, Damage("the clock is not there")))
    }

    fn clock_table(&self) -> Result<&[Option<ClockEntry>], TsdbError> {
        match self.clocks.get() {
            Some(clocks) => Ok(clocks),
            None => {
                let read = self.read_clock_table()?;
                Ok(self.clocks.get_or_init(|| read))
            }
        }
    }

    /// Each page of the table is there twice; what is damaged in both is missing.
    fn read_clock_table(&self) -> Result<Vec<Option<ClockEntry>>, TsdbError> {
        let mut clocks: Vec<Option<ClockEntry>> = Vec::new();
        let pages = self.file.table.of(PageKind::ClockTable);
        let mut next_offset = Some(0);
        for (at, twins) in pages.chunks(2).enumerate() {
            let first = twins[0].key as usize;
            if first < clocks.len() || first > self.clock_count as usize {
                return Err(self.file.damaged(PageKind::ClockTable, twins[0].offset, Damage("clocks out of order")));
            }
            // What a damaged page had is unknown, and so is where the clocks behind it lie.
            next_offset = next_offset.filter(|_| first == clocks.len());
            clocks.resize(first, None);
            let Some(mut offset) = next_offset else { continue };
            let mut page = self.noted(self.file.page(PageKind::ClockTable, at * 2));
            if page.as_ref().is_err_and(TsdbError::is_damage) {
                page = self.noted(self.file.page(PageKind::ClockTable, at * 2 + 1));
            }
            let page = match page {
                Err(error) if error.is_damage() => continue,
                page => page?,
            };
            self.read_clock_page(&page, &mut offset, &mut clocks)
                .map_err(|damage| self.file.damaged(PageKind::ClockTable, twins[0].offset, damage))?;
            next_offset = Some(offset);
        }
        Ok(clocks)
    }

    fn read_clock_page(
        &self,
        page: &[u8],
        offset: &mut u64,
        clocks: &mut Vec<Option<ClockEntry>>,
    ) -> Result<(), Damage> {
        let mut reader = Reader::new(page);
        while reader.remaining() > 0 && clocks.len() < self.clock_count as usize {
            let bytes = reader.count(u32::MAX as usize)? as u32;
            let rows = reader.count(u32::MAX as usize)? as u32;
            let min = reader.ivarint()?;
            let max = min.wrapping_add(reader.uvarint()? as i64);
            // A block of 128 rows takes at least four bytes.
            if u64::from(rows) > u64::from(bytes) * 64 || rows == 0 {
                return Err(Damage("a clock of more rows than bytes can hold"));
            }
            clocks.push(Some(ClockEntry { offset: *offset, bytes, rows, min, max }));
            *offset = offset.saturating_add(u64::from(bytes));
        }
        Ok(())
    }

    /// The times of a clock, decoded.
    pub(super) fn clock_times(&self, clock: u32, scratch: &mut Scratch) -> Result<Arc<[i64]>, TsdbError> {
        if let Some(times) = scratch.clock(self.file.part, clock) {
            return Ok(times);
        }
        let entry = self.clock_entry(clock)?;
        scratch.bytes.clear();
        self.file.stream(PageKind::Clocks, entry.offset, entry.bytes as usize, &mut scratch.bytes)?;
        scratch.integers.clear();
        let damaged = |damage| self.file.damaged(PageKind::Clocks, entry.offset, damage);
        int::decode_column(&scratch.bytes, entry.rows as usize, &mut scratch.integers).map_err(damaged)?;
        if !scratch.integers.is_sorted_by(|a, b| a < b) {
            return Err(damaged(Damage("times that do not ascend")));
        }
        let times: Arc<[i64]> = scratch.integers.as_slice().into();
        scratch.keep_clock(self.file.part, clock, &times);
        Ok(times)
    }

    /// All values of a series of floats, whatever other series they follow from.
    pub(super) fn full_column(&self, id: u32, rows: u64, scratch: &mut Scratch) -> Result<Arc<[f64]>, TsdbError> {
        let damaged = |reason| self.file.damaged(PageKind::Series, 0, Damage(reason));
        // From the series asked for down to one that stands for itself.
        let mut chain: Vec<(u32, SeriesEntry)> = Vec::new();
        let (mut at, mut hops) = (id, 0);
        let mut values = loop {
            if let Some(values) = scratch.column(self.file.part, at) {
                break values;
            }
            let entry = self.entry(at)?;
            let (base, alias) = match entry.base {
                Base::None => break self.own_column(at, &entry, rows, scratch)?,
                Base::Alias(distance) => (distance, true),
                Base::Added(distance) => (distance, false),
            };
            hops += 1;
            if hops > BASES_MAX {
                return Err(damaged("a series leans on too many others"));
            }
            let next = at.checked_add_signed(base).filter(|next| *next < self.info.series);
            if !alias {
                chain.push((at, entry));
            }
            at = next.ok_or_else(|| damaged("a series leans on one that is not there"))?;
        };
        if values.len() as u64 != rows {
            return Err(damaged("a series leans on one of another length"));
        }
        for (id, entry) in chain.iter().rev() {
            let added = self.own_column(*id, entry, rows, scratch)?;
            values = values.iter().zip(added.iter()).map(|(base, added)| base + added).collect();
            scratch.keep_column(self.file.part, *id, &values);
        }
        Ok(values)
    }

    /// The values as they are stored for this series.
    fn own_column(
        &self,
        id: u32,
        entry: &SeriesEntry,
        rows: u64,
        scratch: &mut Scratch,
    ) -> Result<Arc<[f64]>, TsdbError> {
        scratch.bytes.clear();
        self.file.stream(PageKind::Values, entry.offset, entry.block_bytes as usize, &mut scratch.bytes)?;
        scratch.values.clear();
        let mut at = 0;
        while at < scratch.bytes.len() && (scratch.values.len() as u64) < rows {
            at += float::decode_append(&scratch.bytes[at..], &mut scratch.values)
                .map_err(|damage| self.file.damaged(PageKind::Values, entry.offset, damage))?;
        }
        if scratch.values.len() as u64 != rows {
            return Err(self.file.damaged(
                PageKind::Values,
                entry.offset,
                Damage("rows differ from those of the series"),
            ));
        }
        let values: Arc<[f64]> = scratch.values.as_slice().into();
        if entry.base == Base::None {
            scratch.keep_column(self.file.part, id, &values);
        }
        Ok(values)
    }

    fn name(&self, name: &str) -> Option<&NameEntry> {
        let at = self.names.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()?;
        self.names.get(at)
    }

    fn tuple(&self, id: u32) -> Result<Tuple, TsdbError> {
        self.check_id(id)?;
        let page = GroupedPage::holding(&self.file, PageKind::Tuples, TUPLES_IN_GROUP, u64::from(id))?;
        let find = || {
            let (group, place) = page.locate(u64::from(id))?;
            let mut reader = Reader::new(page.group(group)?);
            let mut tuple = Tuple::default();
            for at in 0..=place {
                tuple.read_next(&mut reader, at == 0, &self.shapes)?;
            }
            Ok(tuple)
        };
        find().map_err(|damage| self.file.damaged(PageKind::Tuples, 0, damage))
    }

    /// The values of a label from `from` on, in order, until `visit` says false.
    fn visit_values(
        &self,
        name: &str,
        from: &str,
        visit: &mut dyn FnMut(u32, &symbols::Symbol) -> bool,
    ) -> Result<(), TsdbError> {
        let Some(entry) = self.name(name) else { return Ok(()) };
        let range = entry.first..entry.first + entry.values;
        let start = if from.is_empty() { range.start } else { symbols::seek(&self.file, &range, from)? };
        let damaged = |error| self.note_error(&error);
        symbols::visit(&self.file, start..range.end, &damaged, &mut |number, symbol| {
            symbol.value.as_str() < from || visit(number, symbol)
        })
    }

    /// Stored postings that lie side by side, or the ones made anew where those are damaged.
    fn add_postings(&self, run: &[(u32, (u64, usize))], into: &mut IdsBuilder<'_>) -> Result<(), TsdbError> {
        let numbers = run.iter().map(|(number, _)| *number);
        let Some((_, (offset, _))) = run.first() else { return Ok(()) };
        let lengths: Vec<usize> = run.iter().map(|(_, (_, len))| *len).collect();
        self.add_stored(*offset, &lengths, numbers, into)
    }

    fn add_stored(
        &self,
        offset: u64,
        lengths: &[usize],
        numbers: impl Iterator<Item = u32>,
        into: &mut IdsBuilder<'_>,
    ) -> Result<(), TsdbError> {
        if self.rebuilt.get().is_none() {
            let mut bytes = Vec::new();
            let len = lengths.iter().sum();
            let read = self.file.stream(PageKind::Postings, offset, len, &mut bytes).and_then(|()| {
                let mut rest = bytes.as_slice();
                for len in lengths {
                    let (posting, behind) = rest.split_at(*len);
                    symbols::add_ids(posting, self.info.series, into)
                        .map_err(|damage| self.file.damaged(PageKind::Postings, offset, damage))?;
                    rest = behind;
                }
                Ok(())
            });
            match self.noted(read) {
                Err(error) if error.is_damage() => {}
                outcome => return outcome,
            }
        }
        let rebuilt = match self.rebuilt.get() {
            Some(rebuilt) => rebuilt,
            None => {
                let postings = self.rebuild_postings()?;
                self.rebuilt.get_or_init(|| postings)
            }
        };
        for number in numbers {
            into.extend(rebuilt.get(number as usize).into_iter().flatten().copied());
        }
        Ok(())
    }

    /// Reads the labels of all series; what cannot be read is left out.
    fn rebuild_postings(&self) -> Result<Vec<Vec<u32>>, TsdbError> {
        let values = self.names.last().map_or(0, |name| name.first as usize + name.values as usize);
        let mut postings = vec![Vec::new(); values];
        for id in 0..self.info.series {
            let tuple = match self.noted(self.tuple(id)) {
                Err(error) if error.is_damage() => continue,
                tuple => tuple?,
            };
            for value in &tuple.values {
                if let Some(posting) = postings.get_mut(*value as usize) {
                    posting.push(id);
                }
            }
        }
        Ok(postings)
    }

    /// Calls `visit` with each exemplar page's entries until it says false.
    fn exemplar_entries(&self, page: &[u8], mut visit: impl FnMut(u32, Vec<Exemplar>) -> bool) -> Result<(), Damage> {
        let mut reader = Reader::new(page);
        while reader.remaining() > 0 {
            let id = reader.count(u32::MAX as usize)? as u32;
            let count = reader.count(EXEMPLARS_MAX.min(reader.remaining()))?;
            let mut exemplars = Vec::with_capacity(count);
            let mut time = 0i64;
            for _ in 0..count {
                time = time.wrapping_add(reader.ivarint()?);
                let value = f64::from_bits(reader.u64()?);
                exemplars.push(Exemplar { labels: read_labels(&mut reader)?, value, time: Timestamp(time) });
            }
            if !visit(id, exemplars) {
                break;
            }
        }
        Ok(())
    }
}

/// Labels as they stand in pages of text.
fn read_labels(reader: &mut Reader<'_>) -> Result<Labels, Damage> {
    let count = reader.count(LABELS_MAX)?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((reader.str(VALUE_BYTES_MAX)?, reader.str(VALUE_BYTES_MAX)?));
    }
    labels_of(&pairs)
}

/// Pairs that must be sorted, unique and without empty values.
fn labels_of(pairs: &[(&str, &str)]) -> Result<Labels, Damage> {
    if !pairs.is_sorted_by(|a, b| a.0 < b.0) || pairs.iter().any(|pair| pair.1.is_empty()) {
        return Err(Damage("labels out of order"));
    }
    Ok(Labels::from_sorted(pairs.iter().copied()))
}

impl IndexRead for PartReader {
    fn all(&self) -> Ids {
        let mut ids = Ids::new();
        ids.insert_range(0..self.info.series);
        ids
    }

    fn present(&self, name: &str) -> Result<Ids, TsdbError> {
        let mut ids = IdsBuilder::default();
        if let Some(entry) = self.name(name) {
            let numbers = entry.first..entry.first + entry.values;
            self.add_stored(entry.postings.0, &[entry.postings.1 as usize], numbers, &mut ids)?;
        }
        Ok(ids.finish())
    }

    fn add_value(&self, name: &str, value: &str, into: &mut IdsBuilder<'_>) -> Result<(), TsdbError> {
        let mut decide = |text: &str| if text == value { Decision::Take } else { Decision::Stop };
        self.add_range(name, value, &mut decide, into)
    }

    fn add_range(
        &self,
        name: &str,
        from: &str,
        decide: &mut dyn FnMut(&str) -> Decision,
        into: &mut IdsBuilder<'_>,
    ) -> Result<(), TsdbError> {
        let mut taken: Vec<(u32, (u64, usize))> = Vec::new();
        self.visit_values(name, from, &mut |number, symbol| match decide(&symbol.value) {
            Decision::Take => {
                taken.push((number, symbol.postings));
                true
            }
            Decision::Skip => true,
            Decision::Stop => false,
        })?;
        // Postings of neighbours lie side by side: one read for all of them.
        for run in taken.chunk_by(|a, b| a.1.0.wrapping_add(a.1.1 as u64) == b.1.0) {
            self.add_postings(run, into)?;
        }
        Ok(())
    }
}

impl PartRead for PartReader {
    fn info(&self) -> &PartInfo {
        &self.info
    }

    fn select(&self, selector: &Selector) -> Result<Ids, TsdbError> {
        select_prepared(self, selector)
    }

    fn labels(&self, id: u32) -> Result<Labels, TsdbError> {
        let tuple = self.noted(self.tuple(id))?;
        let shape = &self.shapes[tuple.shape as usize];
        let mut values = Vec::with_capacity(shape.len());
        for (name, value) in shape.iter().zip(&tuple.values) {
            let entry = &self.names[*name as usize];
            if !(entry.first..entry.first + entry.values).contains(value) {
                let damage = Damage("a value of another label");
                return self.noted(Err(self.file.damaged(PageKind::Tuples, 0, damage)));
            }
            values.push((entry.name.as_str(), self.noted(symbols::value(&self.file, *value))?.value));
        }
        let pairs: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.noted(labels_of(&pairs).map_err(|damage| self.file.damaged(PageKind::Tuples, 0, damage)))
    }

    fn extent(&self, id: u32) -> Result<Extent, TsdbError> {
        let entry = self.noted(self.entry(id))?;
        let bytes = entry.block_bytes + entry.start_bytes;
        let (min, max, rows) = if entry.whole {
            let clock = self.noted(self.clock_entry(entry.clock))?;
            (clock.min, clock.max, u64::from(clock.rows))
        } else {
            (entry.min, entry.max, entry.run_rows())
        };
        Ok(Extent { range: TimeRange::new(Timestamp(min), Timestamp(max)), rows, bytes })
    }

    fn read(
        &self,
        id: u32,
        range: TimeRange,
        scratch: &mut Scratch,
        columns: &mut Columns,
    ) -> Result<Vec<Gap>, TsdbError> {
        let entry = self.noted(self.entry(id))?;
        match RowReader::open(self, id, &entry, scratch) {
            Ok(rows) => rows.read(range, scratch, columns),
            Err(error) if error.is_damage() => {
                self.note_error(&error);
                Ok(vec![whole_gap(self, &entry, range, &error)])
            }
            Err(error) => Err(error),
        }
    }

    fn raw(&self, id: u32, scratch: &mut Scratch, raw: &mut RawSeries) -> Result<Option<()>, TsdbError> {
        let entry = self.noted(self.entry(id))?;
        if entry.base != Base::None {
            return Ok(None);
        }
        match RowReader::open(self, id, &entry, scratch).and_then(|rows| rows.raw(scratch, raw)) {
            Ok(()) => Ok(Some(())),
            Err(error) if error.is_damage() => {
                self.note_error(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn label_names(&self, of: Option<&Ids>) -> Result<Vec<String>, TsdbError> {
        let mut names = Vec::new();
        for entry in &self.names {
            let used = match of {
                None => true,
                Some(ids) => !ids.is_disjoint(&self.present(&entry.name)?),
            };
            if used {
                names.push(entry.name.clone());
            }
        }
        Ok(names)
    }

    fn label_values(&self, name: &str, of: Option<&Ids>) -> Result<Vec<String>, TsdbError> {
        let Some(entry) = self.name(name) else { return Ok(Vec::new()) };
        let mut values = Vec::new();
        match of {
            // Few series of many values: ask the series.
            Some(ids) if ids.len() < u64::from(entry.values) => {
                for id in ids {
                    match self.labels(id) {
                        Ok(labels) => values.extend(labels.get(name).map(str::to_owned)),
                        Err(error) if error.is_damage() => {}
                        Err(error) => return Err(error),
                    }
                }
                values.sort_unstable();
                values.dedup();
            }
            _ => {
                let mut found = Vec::new();
                self.visit_values(name, "", &mut |number, symbol| {
                    found.push((number, symbol.postings, symbol.value.clone()));
                    true
                })?;
                for (number, postings, value) in found {
                    if let Some(ids) = of {
                        let mut series = IdsBuilder::within(of);
                        self.add_postings(&[(number, postings)], &mut series)?;
                        if series.finish().is_disjoint(ids) {
                            continue;
                        }
                    }
                    values.push(value);
                }
            }
        }
        Ok(values)
    }

    fn exemplars(&self, id: u32) -> Result<Vec<Exemplar>, TsdbError> {
        self.check_id(id)?;
        let pages = self.file.table.of(PageKind::Exemplars);
        if pages.is_empty() {
            return Ok(Vec::new());
        }
        let at = self.file.page_of_key(PageKind::Exemplars, u64::from(id));
        let page = self.noted(self.file.page(PageKind::Exemplars, at))?;
        let mut found = Vec::new();
        let read = self.exemplar_entries(&page, |entry, exemplars| {
            if entry == id {
                found = exemplars;
            }
            entry < id
        });
        self.noted(read.map_err(|damage| self.file.damaged(PageKind::Exemplars, pages[at].offset, damage)))?;
        Ok(found)
    }

    fn metadata(&self) -> Result<Vec<MetadataEntry>, TsdbError> {
        let mut entries = Vec::new();
        for (at, entry) in self.file.table.of(PageKind::Metadata).iter().enumerate() {
            // A damaged page costs its entries, not the others.
            let page = match self.noted(self.file.page(PageKind::Metadata, at)) {
                Err(error) if error.is_damage() => continue,
                page => page?,
            };
            let mut reader = Reader::new(&page);
            let mut read = || {
                while reader.remaining() > 0 {
                    let target = read_labels(&mut reader)?;
                    let mut text = || reader.str(VALUE_BYTES_MAX).map(str::to_owned);
                    let (family, kind, help, unit) = (text()?, text()?, text()?, text()?);
                    entries.push(MetadataEntry { target, family, kind, help, unit });
                }
                Ok(())
            };
            self.noted(read().map_err(|damage| self.file.damaged(PageKind::Metadata, entry.offset, damage)))?;
        }
        Ok(entries)
    }

    fn cardinality(&self, limit: usize) -> Result<Cardinality, TsdbError> {
        let mut result = Cardinality { series: u64::from(self.info.series), ..Cardinality::default() };
        for entry in &self.names {
            result.series_by_label.push((entry.name.clone(), u64::from(entry.series)));
            result.values_by_label.push((entry.name.clone(), u64::from(entry.values)));
            let damaged = |error| self.note_error(&error);
            symbols::visit(&self.file, entry.first..entry.first + entry.values, &damaged, &mut |_, symbol| {
                if entry.name == METRIC_NAME {
                    result.series_by_metric.push((symbol.value.clone(), symbol.series));
                }
                result.series_by_pair.push((format!("{}={}", entry.name, symbol.value), symbol.series));
                true
            })?;
            // The list of pairs alone may be long: cut it down in between.
            if result.series_by_pair.len() > limit.saturating_mul(4).max(1 << 16) {
                keep_top(&mut result.series_by_pair, limit);
            }
        }
        for list in [
            &mut result.series_by_metric,
            &mut result.series_by_label,
            &mut result.values_by_label,
            &mut result.series_by_pair,
        ] {
            keep_top(list, limit);
        }
        Ok(result)
    }
}
