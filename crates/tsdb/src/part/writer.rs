//! Writes a part: values go to the file as they come, everything that needs the whole picture waits for the end.
//!
//! The file has another name until it is complete and durable; dropping the writer before removes it.
//! Memory while writing: some 50 bytes a series and four a label, and the distinct times (bounded by `clocks`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::labels::Labels;
use model::storage::{Exemplar, TimeRange};
use model::time::Timestamp;

use crate::codec::block::{BlockKind, peek};
use crate::codec::bytes::{put_ivarint, put_text, put_uvarint};
use crate::codec::float::FloatState;
use crate::codec::{BLOCK_ROWS_MAX, float, histogram, int};
use crate::error::TsdbError;
use crate::io::Disk;
use crate::part::bases::BaseBook;
use crate::part::clocks::ClockBook;
use crate::part::footer::{Footer, MAGIC};
use crate::part::grouped::GroupedWriter;
use crate::part::page::{PAGE_BYTES_TARGET, PageKind, PageSink, TABLE_PAGE_BYTES};
use crate::part::series::{Base, SERIES_IN_GROUP, SeriesEntry};
use crate::part::symbols::{self, Interner};
use crate::part::tuples::{TUPLES_IN_GROUP, Tuple};
use crate::part::{MetadataEntry, PartInfo, SeriesInput, Values};

/// How a part is to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct PartOptions {
    pub level: u8,
    pub id: u64,
    /// Encode floats as long chains and buckets as what they add to their neighbour: smaller, but merging such a part
    /// again decodes it.
    pub final_form: bool,
}

/// A part being written.
pub struct PartWriter {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    temporary: PathBuf,
    options: PartOptions,
    sink: PageSink,
    values: ValueStream,
    clocks: ClockBook,
    bases: BaseBook,
    interner: Interner,
    shapes: HashMap<Vec<u32>, u32>,
    tuples: Vec<(u32, u32)>,
    tuple_values: Vec<u32>,
    entries: Vec<SeriesEntry>,
    last: Option<Labels>,
    samples: u64,
    histograms: u64,
    range: (i64, i64),
    exemplars: PageStream,
    metadata: Vec<MetadataEntry>,
    finished: bool,
}

impl PartWriter {
    /// Begins a part that will be at `path`.
    pub fn create(disk: Arc<dyn Disk>, path: &Path, options: PartOptions) -> Result<Self, TsdbError> {
        let temporary = path.with_added_extension("tmp");
        let file = disk.create(&temporary).map_err(TsdbError::io(&temporary))?;
        file.append(&MAGIC).map_err(TsdbError::io(&temporary))?;
        Ok(Self {
            disk,
            path: path.to_owned(),
            sink: PageSink::new(file, temporary.clone(), MAGIC.len() as u64),
            temporary,
            options,
            values: ValueStream::default(),
            clocks: ClockBook::new(),
            bases: BaseBook::new(),
            interner: Interner::default(),
            shapes: HashMap::new(),
            tuples: Vec::new(),
            tuple_values: Vec::new(),
            entries: Vec::new(),
            last: None,
            samples: 0,
            histograms: 0,
            range: (i64::MAX, i64::MIN),
            exemplars: PageStream::new(PageKind::Exemplars),
            metadata: Vec::new(),
            finished: false,
        })
    }

    /// Adds a series; its labels must sort behind those of the one before.
    pub fn add(&mut self, series: &SeriesInput<'_>) -> Result<(), TsdbError> {
        let (Some(min), Some(max)) = (series.times.first(), series.times.last()) else {
            return Err(TsdbError::Refused(format!("{} has no samples", series.labels)));
        };
        if self.last.as_ref().is_some_and(|last| last >= series.labels) {
            return Err(TsdbError::Refused(format!("{} is out of order", series.labels)));
        }
        if !series.times.is_sorted_by(|a, b| a < b) {
            return Err(TsdbError::Refused(format!("the times of {} are out of order", series.labels)));
        }
        let id = self.entries.len() as u32;
        let offset = self.values.offset();
        let (histograms, base) = self.add_values(id, series)?;
        let block_bytes = self.values.offset() - offset;
        self.add_start_times(series)?;
        let start_bytes = self.values.offset() - offset - block_bytes;

        let (clock, runs) = self.clocks.place(clock_key(series), series.times);
        self.entries.push(SeriesEntry {
            clock,
            whole: false,
            runs,
            min: *min,
            max: *max,
            offset,
            block_bytes,
            start_bytes,
            histograms: histograms > 0,
            base,
        });
        self.add_labels(series.labels);
        self.add_exemplars(id, series.exemplars)?;
        self.samples += series.times.len() as u64;
        self.histograms += histograms;
        self.range = (self.range.0.min(*min), self.range.1.max(*max));
        self.last = Some(series.labels.clone());
        Ok(())
    }

    /// Adds what is known of a metric family.
    pub fn add_metadata(&mut self, entry: MetadataEntry) {
        self.metadata.push(entry);
    }

    /// How many series there are so far.
    #[must_use]
    pub const fn series(&self) -> usize {
        self.entries.len()
    }

    /// Writes the values; gives the number of histograms, and what the values lean on.
    fn add_values(&mut self, id: u32, series: &SeriesInput<'_>) -> Result<(u64, Base), TsdbError> {
        let (mut rows, mut histograms, mut base) = (0, 0, Base::None);
        self.values.column_begins();
        let mut state = FloatState::default();
        for values in series.values {
            let (added, of_histograms) = match values {
                Values::Blocks(bytes) => self.copy_blocks(bytes, series.labels)?,
                Values::Floats(values) if self.options.final_form && values.len() == series.times.len() => {
                    let column = self.bases.encode(series.labels, id, values);
                    base = column.base;
                    self.copy_blocks(&column.blocks, series.labels)?;
                    (values.len(), 0)
                }
                Values::Floats(values) => {
                    for block in values.chunks(BLOCK_ROWS_MAX) {
                        float::encode(block, &mut state, &mut self.values.page);
                        self.values.block_ends(block.len(), &mut self.sink)?;
                    }
                    (values.len(), 0)
                }
                Values::Histograms(samples) => (self.put_histograms(samples)?, samples.len()),
            };
            rows += added;
            histograms += of_histograms as u64;
        }
        if rows == series.times.len() {
            return Ok((histograms, base));
        }
        Err(TsdbError::Refused(format!("{} has {rows} values at {} times", series.labels, series.times.len())))
    }

    fn put_histograms(&mut self, samples: &[histogram::HistogramSample]) -> Result<usize, TsdbError> {
        let mut rest = samples;
        while !rest.is_empty() {
            let (block, behind) = rest.split_at(histogram::rows_that_fit(rest));
            histogram::encode(block, &mut self.values.page);
            self.values.block_ends(block.len(), &mut self.sink)?;
            rest = behind;
        }
        Ok(samples.len())
    }

    /// Copies blocks; gives their rows, and how many of them are histograms.
    fn copy_blocks(&mut self, mut bytes: &[u8], labels: &Labels) -> Result<(usize, usize), TsdbError> {
        let (mut rows, mut histograms) = (0, 0);
        while !bytes.is_empty() {
            let info = match peek(bytes) {
                Ok(info) if info.kind != BlockKind::Int => info,
                Ok(_) => return Err(TsdbError::Refused(format!("a block of {labels} holds no samples"))),
                Err(damage) => return Err(TsdbError::Refused(format!("a block of {labels}: {damage}"))),
            };
            let (block, behind) = bytes.split_at(info.bytes);
            self.values.page.extend_from_slice(block);
            self.values.block_ends(info.rows, &mut self.sink)?;
            rows += info.rows;
            histograms += if info.kind == BlockKind::Histogram { info.rows } else { 0 };
            bytes = behind;
        }
        Ok((rows, histograms))
    }

    fn add_start_times(&mut self, series: &SeriesInput<'_>) -> Result<(), TsdbError> {
        let Some(starts) = series.start_times else { return Ok(()) };
        if starts.len() != series.times.len() {
            return Err(TsdbError::Refused(format!("{} has {} start times", series.labels, starts.len())));
        }
        if starts.iter().all(|start| *start == 0) {
            return Ok(());
        }
        self.values.column_begins();
        let mut state = int::IntState::default();
        for block in starts.chunks(BLOCK_ROWS_MAX) {
            int::encode(block, &mut state, &mut self.values.page);
            self.values.block_ends(block.len(), &mut self.sink)?;
        }
        Ok(())
    }

    fn add_labels(&mut self, labels: &Labels) {
        let from = self.tuple_values.len() as u32;
        let mut names = Vec::new();
        for (name, value) in labels {
            let (name, value) = self.interner.intern(name, value);
            names.push(name);
            self.tuple_values.push(value);
        }
        let next = self.shapes.len() as u32;
        let shape = *self.shapes.entry(names).or_insert(next);
        self.tuples.push((shape, from));
    }

    fn add_exemplars(&mut self, id: u32, exemplars: &[Exemplar]) -> Result<(), TsdbError> {
        if exemplars.is_empty() {
            return Ok(());
        }
        let out = self.exemplars.entry(u64::from(id), &mut self.sink)?;
        put_uvarint(out, u64::from(id));
        put_uvarint(out, exemplars.len() as u64);
        let mut previous = 0;
        for exemplar in exemplars {
            put_ivarint(out, exemplar.time.millis().wrapping_sub(previous));
            previous = exemplar.time.millis();
            out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
            put_labels(&exemplar.labels, out);
        }
        Ok(())
    }

    /// Writes the rest, makes it durable, and gives the part its name.
    pub fn finish(mut self) -> Result<PartInfo, TsdbError> {
        self.values.finish(&mut self.sink)?;
        self.clocks.close();
        self.clocks.write(&mut self.sink)?;
        let clocks = self.clocks.len();
        self.write_series()?;
        let (names, shapes) = self.write_labels()?;
        self.exemplars.finish(&mut self.sink)?;
        self.write_metadata()?;

        let footer = Footer {
            id: self.options.id,
            level: self.options.level,
            min: self.range.0,
            max: self.range.1,
            series: self.entries.len() as u32,
            samples: self.samples,
            histograms: self.histograms,
            clocks,
            names,
            shapes,
            pages: std::mem::take(&mut self.sink.table),
        };
        let bytes = footer.write();
        let size = self.sink.offset() + bytes.len() as u64;
        self.sink.complete(&bytes)?;
        self.disk.rename(&self.temporary, &self.path).map_err(TsdbError::io(&self.path))?;
        self.finished = true;
        self.disk.sync_dir(self.path.parent().unwrap_or(Path::new(""))).map_err(TsdbError::io(&self.path))?;
        Ok(footer.info(&self.path, size))
    }

    fn write_series(&mut self) -> Result<(), TsdbError> {
        let mut table = GroupedWriter::new(PageKind::Series, SERIES_IN_GROUP);
        let mut previous: Option<&SeriesEntry> = None;
        for entry in &mut self.entries {
            entry.whole = self.clocks.is_whole(entry.clock, &entry.runs);
        }
        for entry in &self.entries {
            let (out, begins) = table.next(&mut self.sink)?;
            entry.write(previous.filter(|_| !begins), &self.clocks, out);
            previous = Some(entry);
        }
        table.finish(&mut self.sink)
    }

    /// Writes labels, values and postings; gives the names and shapes of the footer.
    fn write_labels(&mut self) -> Result<(Vec<crate::part::footer::NameEntry>, Vec<Vec<u32>>), TsdbError> {
        let symbols = std::mem::take(&mut self.interner).into_sorted();
        let mut shapes = vec![Vec::new(); self.shapes.len()];
        for (names, shape) in &self.shapes {
            shapes[*shape as usize] = names.iter().map(|name| symbols.renamed[*name as usize]).collect();
        }
        let mut postings: Vec<Vec<u32>> = vec![Vec::new(); symbols.renumbered.len()];
        let mut table = GroupedWriter::new(PageKind::Tuples, TUPLES_IN_GROUP);
        let (mut tuple, mut previous) = (Tuple::default(), Tuple::default());
        for (id, (shape, from)) in self.tuples.iter().enumerate() {
            let from = *from as usize;
            let values = &self.tuple_values[from..from + shapes[*shape as usize].len()];
            tuple.shape = *shape;
            tuple.values.clear();
            tuple.values.extend(values.iter().map(|value| symbols.renumbered[*value as usize]));
            for value in &tuple.values {
                postings[*value as usize].push(id as u32);
            }
            let (out, begins) = table.next(&mut self.sink)?;
            tuple.write((!begins).then_some(&previous), out);
            std::mem::swap(&mut tuple, &mut previous);
        }
        table.finish(&mut self.sink)?;
        let names = symbols::write(&symbols, &postings, &mut self.sink)?;
        Ok((names, shapes))
    }

    fn write_metadata(&mut self) -> Result<(), TsdbError> {
        self.metadata.sort_unstable();
        self.metadata.dedup();
        let mut pages = PageStream::new(PageKind::Metadata);
        for (at, entry) in self.metadata.iter().enumerate() {
            let out = pages.entry(at as u64, &mut self.sink)?;
            put_labels(&entry.target, out);
            for text in [&entry.family, &entry.kind, &entry.help, &entry.unit] {
                put_text(out, text.as_bytes());
            }
        }
        pages.finish(&mut self.sink)
    }
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing can be done about it here; start-up removes what is left.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

/// Series of a scrape target share their times: its labels stand for it where nothing better is known.
fn clock_key(series: &SeriesInput<'_>) -> u64 {
    if series.clock_key != 0 { series.clock_key } else { series.labels.only(&["instance", "job"]).stable_hash() }
}

fn put_labels(labels: &Labels, out: &mut Vec<u8>) {
    put_uvarint(out, labels.len() as u64);
    for (name, value) in labels {
        put_text(out, name.as_bytes());
        put_text(out, value.as_bytes());
    }
}

/// The stream of value columns: a page ends only between blocks, and its key is the row of its column it begins with.
#[derive(Default)]
struct ValueStream {
    page: Vec<u8>,
    /// Bytes in closed pages.
    closed: u64,
    /// Rows of the open column that are written.
    row: u64,
    /// The key of the open page.
    key: u64,
}

impl ValueStream {
    fn offset(&self) -> u64 {
        self.closed + self.page.len() as u64
    }

    fn column_begins(&mut self) {
        self.row = 0;
        if self.page.is_empty() {
            self.key = 0;
        }
    }

    fn block_ends(&mut self, rows: usize, sink: &mut PageSink) -> Result<(), TsdbError> {
        self.row += rows as u64;
        if self.page.len() >= PAGE_BYTES_TARGET {
            self.finish(sink)?;
            self.key = self.row;
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut PageSink) -> Result<(), TsdbError> {
        if !self.page.is_empty() {
            sink.put(PageKind::Values, self.key, &self.page)?;
            self.closed += self.page.len() as u64;
            self.page.clear();
        }
        Ok(())
    }
}

/// Pages of entries that are read one after the other; the key is that of the first.
struct PageStream {
    kind: PageKind,
    key: u64,
    page: Vec<u8>,
}

impl PageStream {
    const fn new(kind: PageKind) -> Self {
        Self { kind, key: 0, page: Vec::new() }
    }

    /// Where to append the next entry.
    fn entry(&mut self, key: u64, sink: &mut PageSink) -> Result<&mut Vec<u8>, TsdbError> {
        if self.page.len() >= TABLE_PAGE_BYTES {
            self.finish(sink)?;
        }
        if self.page.is_empty() {
            self.key = key;
        }
        Ok(&mut self.page)
    }

    fn finish(&mut self, sink: &mut PageSink) -> Result<(), TsdbError> {
        if !self.page.is_empty() {
            sink.put(self.kind, self.key, &self.page)?;
            self.page.clear();
        }
        Ok(())
    }
}

impl Footer {
    /// What others are told of the part.
    pub(super) fn info(&self, path: &Path, bytes: u64) -> PartInfo {
        PartInfo {
            path: path.to_owned(),
            bytes,
            series: self.series,
            samples: self.samples,
            histograms: self.histograms,
            range: TimeRange::new(Timestamp(self.min), Timestamp(self.max)),
            level: self.level,
            id: self.id,
        }
    }
}
