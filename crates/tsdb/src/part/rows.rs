//! From a directory entry to rows: which of the clock's, in which blocks, and what is missing where a page is damaged.

use std::ops::Range;
use std::sync::Arc;

use model::storage::{TimeRange, is_stale};
use model::time::Timestamp;

use crate::codec::block::{BlockKind, peek};
use crate::codec::{Damage, float, histogram, int};
use crate::error::TsdbError;
use crate::part::cache_clock::Scratch;
use crate::part::page::PageKind;
use crate::part::reader::PartReader;
use crate::part::series::{Base, Runs, SeriesEntry};
use crate::part::{Columns, Gap, RawSeries};

/// Takes the bytes of a block and its rows.
type BlockVisitor<'v> = dyn FnMut(&[u8], Range<u64>) -> Result<(), Damage> + 'v;

/// The rows of one series.
pub(super) struct RowReader<'p> {
    part: &'p PartReader,
    id: u32,
    entry: &'p SeriesEntry,
    clock: Arc<[i64]>,
    runs: Runs,
    rows: u64,
}

/// Where a column lies: bytes of the value stream.
#[derive(Clone, Copy)]
struct ColumnPlace {
    offset: u64,
    bytes: u64,
}

impl<'p> RowReader<'p> {
    /// Reads the times. Damaged ones are an error: see [`whole_gap`].
    pub(super) fn open(
        part: &'p PartReader,
        id: u32,
        entry: &'p SeriesEntry,
        scratch: &mut Scratch,
    ) -> Result<Self, TsdbError> {
        let clock = part.clock_times(entry.clock, scratch)?;
        let runs = if entry.whole { vec![(0, clock.len() as u32)] } else { entry.runs.clone() };
        if runs.iter().any(|(start, len)| *start as usize + *len as usize > clock.len()) {
            return Err(part.file.damaged(PageKind::Series, 0, Damage("rows that the clock does not have")));
        }
        let rows = runs.iter().map(|run| u64::from(run.1)).sum();
        Ok(Self { part, id, entry, clock, runs, rows })
    }

    /// Appends the rows within `range`; gives what could not be read.
    pub(super) fn read(
        &self,
        range: TimeRange,
        scratch: &mut Scratch,
        columns: &mut Columns,
    ) -> Result<Vec<Gap>, TsdbError> {
        let wanted = self.rows_within(range);
        let mut gaps = Vec::new();
        if wanted.is_empty() {
            return Ok(gaps);
        }
        let before = columns.times.len();
        self.read_starts(&wanted, scratch, &mut gaps)?;
        if self.entry.base == Base::None {
            self.read_values(&wanted, scratch, columns, &mut gaps)?;
        } else {
            self.read_based(&wanted, scratch, columns, &mut gaps)?;
        }
        let only_these = before == 0 && gaps.is_empty();
        columns.clock = if only_these { self.clock_id(&wanted, scratch) } else { None };
        Ok(gaps)
    }

    /// The whole series as it lies there. An error where any of it is damaged.
    pub(super) fn raw(&self, scratch: &mut Scratch, raw: &mut RawSeries) -> Result<(), TsdbError> {
        let (file, entry) = (&self.part.file, self.entry);
        raw.times.clear();
        raw.blocks.clear();
        raw.start_times.clear();
        self.push_times(&(0..self.rows), &mut raw.times);
        file.stream(PageKind::Values, entry.offset, entry.block_bytes as usize, &mut raw.blocks)?;
        if entry.start_bytes > 0 {
            scratch.bytes.clear();
            let offset = entry.offset + entry.block_bytes;
            file.stream(PageKind::Values, offset, entry.start_bytes as usize, &mut scratch.bytes)?;
            int::decode_column(&scratch.bytes, self.rows as usize, &mut raw.start_times)
                .map_err(|damage| file.damaged(PageKind::Values, offset, damage))?;
        }
        Ok(())
    }

    /// Which rows lie within a range of times.
    fn rows_within(&self, range: TimeRange) -> Range<u64> {
        let (mut row, mut first, mut end) = (0, None, 0);
        for (start, len) in &self.runs {
            let times = &self.clock[*start as usize..(*start + *len) as usize];
            let from = times.partition_point(|time| *time < range.start.millis()) as u64;
            let to = times.partition_point(|time| *time <= range.end.millis()) as u64;
            if from < to {
                first.get_or_insert(row + from);
                end = row + to;
            }
            row += u64::from(*len);
        }
        first.map_or(0..0, |first| first..end)
    }

    /// Appends the times of some rows.
    fn push_times(&self, rows: &Range<u64>, out: &mut Vec<i64>) {
        let mut row = 0;
        for (start, len) in &self.runs {
            let run = row..row + u64::from(*len);
            let (from, to) = (rows.start.max(run.start), rows.end.min(run.end));
            if from < to {
                let at = *start as usize;
                out.extend_from_slice(&self.clock[at + (from - row) as usize..at + (to - row) as usize]);
            }
            row = run.end;
        }
    }

    /// A number for these times among the columns of one reader; `None` where they are not one run.
    fn clock_id(&self, wanted: &Range<u64>, scratch: &mut Scratch) -> Option<u64> {
        let [(start, _)] = self.runs.as_slice() else { return None };
        let (from, to) = (u64::from(*start) + wanted.start, u64::from(*start) + wanted.end);
        Some(scratch.clock_id(self.part.file.part, self.entry.clock, from..to))
    }

    /// Walks over the blocks of a column. `block` gets the bytes and rows of each that has wanted rows, `lost` the
    /// rows of pages that cannot be read.
    fn walk(
        &self,
        place: ColumnPlace,
        wanted: &Range<u64>,
        block: &mut BlockVisitor<'_>,
        lost: &mut dyn FnMut(Range<u64>, &TsdbError),
    ) -> Result<(), TsdbError> {
        let file = &self.part.file;
        let pages = file.table.of(PageKind::Values);
        let end = place.offset.saturating_add(place.bytes);
        let mut at = file.page_at(PageKind::Values, place.offset);
        let mut row = 0;
        while row < wanted.end {
            let Some(entry) = pages.get(at).filter(|entry| entry.stream < end) else { break };
            // The key of a page that begins within this column is the row it begins with.
            if entry.stream > place.offset {
                row = entry.key.max(row);
            }
            let next_row = pages.get(at + 1).filter(|next| next.stream < end && next.stream > place.offset);
            let next_row = next_row.map_or(self.rows, |next| next.key.min(self.rows));
            if next_row > wanted.start {
                let from = place.offset.saturating_sub(entry.stream) as usize;
                let to = (end - entry.stream).min(u64::from(entry.bytes)) as usize;
                let outcome = file.page(PageKind::Values, at).and_then(|page| {
                    let inside = page.get(from..to).ok_or(Damage("a column outside its page"));
                    inside
                        .and_then(|bytes| walk_page(bytes, &mut row, next_row, wanted, block))
                        .map_err(|damage| file.damaged(PageKind::Values, entry.offset, damage))
                });
                match outcome {
                    Ok(()) => {}
                    Err(error) if error.is_damage() => {
                        self.part.note_error(&error);
                        lost(row.max(wanted.start)..next_row.min(wanted.end), &error);
                    }
                    Err(error) => return Err(error),
                }
            }
            row = row.max(next_row);
            at += 1;
        }
        if row < wanted.end {
            let error = file.damaged(PageKind::Values, place.offset, Damage("fewer rows than the series has"));
            lost(row.max(wanted.start)..wanted.end, &error);
        }
        Ok(())
    }

    fn gap(&self, rows: &Range<u64>, error: &TsdbError) -> Option<Gap> {
        let mut times = Vec::new();
        self.push_times(rows, &mut times);
        let range = TimeRange::new(Timestamp(*times.first()?), Timestamp(*times.last()?));
        Some(Gap { range, reason: error.to_string() })
    }

    /// Decodes the start times of the wanted rows into the scratch; empty where the series has none.
    fn read_starts(&self, wanted: &Range<u64>, scratch: &mut Scratch, gaps: &mut Vec<Gap>) -> Result<(), TsdbError> {
        let entry = self.entry;
        scratch.starts.clear();
        if entry.start_bytes == 0 {
            return Ok(());
        }
        let Scratch { starts, integers, .. } = scratch;
        starts.resize((wanted.end - wanted.start) as usize, 0);
        let place = ColumnPlace { offset: entry.offset + entry.block_bytes, bytes: entry.start_bytes };
        let mut block = |bytes: &[u8], rows: Range<u64>| {
            integers.clear();
            int::decode_append(bytes, integers)?;
            let part = wanted.start.max(rows.start)..wanted.end.min(rows.end);
            let from = &integers[(part.start - rows.start) as usize..(part.end - rows.start) as usize];
            starts[(part.start - wanted.start) as usize..(part.end - wanted.start) as usize].copy_from_slice(from);
            Ok(())
        };
        // Unknown is what 0 means: the samples stay.
        self.walk(place, wanted, &mut block, &mut |rows, error| gaps.extend(self.gap(&rows, error)))
    }

    fn read_values(
        &self,
        wanted: &Range<u64>,
        scratch: &mut Scratch,
        columns: &mut Columns,
        gaps: &mut Vec<Gap>,
    ) -> Result<(), TsdbError> {
        let Scratch { values, starts, histograms, .. } = scratch;
        let place = ColumnPlace { offset: self.entry.offset, bytes: self.entry.block_bytes };
        let mut block = |bytes: &[u8], rows: Range<u64>| {
            let part = wanted.start.max(rows.start)..wanted.end.min(rows.end);
            let inner = (part.start - rows.start) as usize..(part.end - rows.start) as usize;
            if peek(bytes)?.kind == BlockKind::Histogram {
                histograms.clear();
                histogram::decode_append(bytes, histograms)?;
                for sample in histograms.drain(..).take(inner.end).skip(inner.start) {
                    let value = if is_stale(sample.sum()) { sample.sum() } else { 0.0 };
                    columns.histograms.push((columns.values.len() as u32, sample));
                    columns.values.push(value);
                }
            } else if part == rows {
                let len = columns.values.len();
                if let Err(damage) = float::decode_append(bytes, &mut columns.values) {
                    columns.values.truncate(len);
                    return Err(damage);
                }
            } else {
                values.clear();
                float::decode_append(bytes, values)?;
                columns.values.extend_from_slice(&values[inner]);
            }
            self.push_times(&part, &mut columns.times);
            push_starts(starts, wanted, &part, columns);
            Ok(())
        };
        self.walk(place, wanted, &mut block, &mut |rows, error| gaps.extend(self.gap(&rows, error)))
    }

    /// Values that follow from those of another series.
    fn read_based(
        &self,
        wanted: &Range<u64>,
        scratch: &mut Scratch,
        columns: &mut Columns,
        gaps: &mut Vec<Gap>,
    ) -> Result<(), TsdbError> {
        match self.part.full_column(self.id, self.rows, scratch) {
            Ok(values) => {
                columns.values.extend_from_slice(&values[wanted.start as usize..wanted.end as usize]);
                self.push_times(wanted, &mut columns.times);
                push_starts(&scratch.starts, wanted, wanted, columns);
                Ok(())
            }
            Err(error) if error.is_damage() => {
                self.part.note_error(&error);
                gaps.extend(self.gap(wanted, &error));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Appends the start times of rows whose times were just appended.
fn push_starts(starts: &[i64], wanted: &Range<u64>, part: &Range<u64>, columns: &mut Columns) {
    let added = (part.end - part.start) as usize;
    if starts.is_empty() {
        if !columns.start_times.is_empty() {
            columns.start_times.resize(columns.times.len(), 0);
        }
        return;
    }
    columns.start_times.resize(columns.times.len() - added, 0);
    let from = (part.start - wanted.start) as usize;
    columns.start_times.extend_from_slice(&starts[from..from + added]);
}

/// The blocks of one page that belong to a column; `row` moves along, up to `end`.
fn walk_page(
    mut bytes: &[u8],
    row: &mut u64,
    end: u64,
    wanted: &Range<u64>,
    block: &mut BlockVisitor<'_>,
) -> Result<(), Damage> {
    while !bytes.is_empty() && *row < wanted.end {
        let info = peek(bytes)?;
        let rows = *row..*row + info.rows as u64;
        if rows.end > end {
            return Err(Damage("more rows than the series has"));
        }
        if rows.end > wanted.start {
            block(&bytes[..info.bytes], rows.clone())?;
        }
        *row = rows.end;
        bytes = &bytes[info.bytes..];
    }
    Ok(())
}

/// Where the times themselves cannot be read, all of the series is missing.
pub(super) fn whole_gap(part: &PartReader, entry: &SeriesEntry, range: TimeRange, error: &TsdbError) -> Gap {
    let series = match (entry.whole, part.clock_entry(entry.clock)) {
        (true, Ok(clock)) => TimeRange::new(Timestamp(clock.min), Timestamp(clock.max)),
        (true, Err(_)) => part.info.range,
        (false, _) => TimeRange::new(Timestamp(entry.min), Timestamp(entry.max)),
    };
    let both = TimeRange::new(series.start.max(range.start), series.end.min(range.end));
    Gap { range: both, reason: error.to_string() }
}
