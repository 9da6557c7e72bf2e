//! Sealing: a window of the head becomes a part.
//!
//! Batches go on meanwhile. The instance of the window takes no more samples (later ones go to another instance), what
//! is open of it is closed a few thousand series at a time, a pinned view of it is written as a part, and in one step
//! readers see the part instead of the instance. A failure leaves the instance as it is, readable, to be sealed again.
//! Final blocks are copied through; only series with late samples are encoded anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::labels::Labels;

use crate::codec::histogram::HistogramSample;
use crate::codec::{Damage, float};
use crate::db::{Db, Inner};
use crate::error::TsdbError;
use crate::head::chunk::{CHUNK_SERIES, FinalValues};
use crate::head::rows::Rows;
use crate::head::spill::spill_path;
use crate::head::view::{BlockSink, HeadView, ViewScratch};
use crate::head::window::{Instance, InstanceView};
use crate::manifest::{Manifest, PartEntry, Sealed};
use crate::part::{PartInfo, PartOptions, PartReader, PartWriter, SeriesInput, Values};
use crate::parts::{Part, part_path};
use crate::sync::lock;

/// Chunks closed under one hold of the lock: about a millisecond.
const CHUNKS_AT_ONCE: usize = 32;
/// A block that cannot be read may be readable later. After so many attempts its bytes are taken for bad: the rest of
/// the window is sealed, and the spill goes to quarantine instead of away.
const ATTEMPTS_MAX: u8 = 3;

impl Db {
    /// Seals all of the head now.
    pub fn seal_all(&self) -> Result<(), TsdbError> {
        let mut manifest = lock(&self.inner.manifest);
        seal_where(&self.inner, &mut manifest, &|_| true)
    }
}

/// Seals the instances that `wanted` picks, oldest first.
pub(crate) fn seal_where(
    inner: &Inner,
    manifest: &mut Manifest,
    wanted: &dyn Fn(&Instance) -> bool,
) -> Result<(), TsdbError> {
    let mut due: Vec<(i64, u32)> = {
        let core = inner.core();
        core.head.instances.iter().filter(|instance| wanted(instance)).map(|i| (i.start, i.id)).collect()
    };
    due.sort_unstable();
    for (_, id) in due {
        seal(inner, manifest, id)?;
    }
    Ok(())
}

fn seal(inner: &Inner, manifest: &mut Manifest, id: u32) -> Result<(), TsdbError> {
    close_open_rows(inner, id);
    let (view, instance, cut_seq, attempt) = {
        let mut core = inner.core();
        core.pinned = None;
        let Some((cut_seq, attempt)) =
            core.head.instances.get(id).map(|instance| (instance.cut_seq, instance.unread + 1))
        else {
            return Ok(());
        };
        let view = core.head.view();
        let Some(instance) = view.instances.iter().find(|view| view.id == id).cloned() else { return Ok(()) };
        (view, instance, cut_seq, attempt)
    };
    let number = manifest.next_part;
    let path = part_path(&inner.paths.parts, number);
    let mut gaps = Vec::new();
    let written = write_part((inner, attempt), (&view, &instance), number, &mut gaps);
    drop(view);
    if written.is_err() && !gaps.is_empty() {
        inner.core().head.instances.could_not_read(id);
    }
    let info = written?;
    for gap in &gaps {
        inner.quarantine.note(&inner.paths.head, gap);
    }
    let part = match info {
        None => None,
        Some(_) => {
            let reader = PartReader::open(&*inner.disk, &path, &inner.cache)?;
            let entry = PartEntry { number, order: number };
            Some(Arc::new(Part { entry, path: path.clone(), reader: Arc::new(reader) }))
        }
    };
    let published_seq = inner.core().last_seq();
    let mut changed = manifest.clone();
    changed.sealed.push(Sealed { instance: id, start: instance.start, last: instance.last, cut_seq, published_seq });
    if let Some(part) = &part {
        changed.parts.push(part.entry);
        changed.next_part = number + 1;
    }
    manifest.commit(&*inner.disk, &inner.paths, changed, part.as_ref().map(|_| number))?;
    publish(inner, manifest, part, id);
    let spill = spill_path(&inner.paths.head, id);
    if gaps.is_empty() {
        // An open file stays readable for those who still hold it.
        let _ = inner.disk.remove(&spill);
    } else {
        inner.quarantine.keep_file(&spill, "sealed without the blocks that could not be read");
    }
    inner.counters.seals.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Takes no more samples for an instance and turns what is open of it into final blocks.
fn close_open_rows(inner: &Inner, id: u32) {
    let mut from = 0;
    loop {
        let mut core = inner.core();
        core.pinned = None;
        let seq = core.last_seq();
        core.head.instances.begin_sealing(id, seq);
        let chunks = core.head.chunks.len();
        if from >= chunks {
            return;
        }
        let to = (from + CHUNKS_AT_ONCE).min(chunks);
        core.head.visit_chunks(
            from..to,
            &|chunk| chunk.knows_instance(&|instance| instance == id),
            &mut |chunk, cx| {
                for at in 0..chunk.states.len() {
                    if chunk.states[at].instance == id {
                        chunk.release(at, cx);
                    }
                }
            },
        );
        from = to;
    }
}

/// Readers see the part instead of the instance.
fn publish(inner: &Inner, manifest: &Manifest, part: Option<Arc<Part>>, id: u32) {
    let (chunks, oldest) = {
        let mut core = inner.core();
        core.pinned = None;
        core.parts = Arc::new(core.parts.changed(&[], part, manifest));
        core.head.instances.remove(id);
        core.head.series_generation += 1;
        let oldest = core.head.instances.iter().map(|instance| instance.start).min();
        (core.head.chunks.len(), oldest)
    };
    // Without an instance nobody looks at these any more; the memory is given back bit by bit.
    let gone = |instance: u32| instance == id;
    for from in (0..chunks).step_by(CHUNKS_AT_ONCE) {
        let mut core = inner.core();
        core.pinned = None;
        let mut late = 0;
        core.head.visit_chunks(
            from..(from + CHUNKS_AT_ONCE).min(chunks),
            &|chunk| chunk.knows_instance(&gone),
            &mut |chunk, _| {
                let before = chunk.late.len() + chunk.late_rich.len();
                chunk.forget_instances(&gone);
                late += before - chunk.late.len() - chunk.late_rich.len();
            },
        );
        core.head.late_count -= late;
    }
    inner.core().head.clocks.trim(oldest.unwrap_or(i64::MAX));
}

/// One series of an instance, put together.
#[derive(Default)]
struct Gathered {
    times: Vec<i64>,
    blocks: Vec<u8>,
    /// Once a sample does not fit behind the others as a block: all of them as rows.
    rows: Option<Rows>,
}

impl Gathered {
    fn clear(&mut self) {
        self.times.clear();
        self.blocks.clear();
        self.rows = None;
    }

    /// The rows so far, decoded.
    fn rows_mut(&mut self) -> Result<&mut Rows, Damage> {
        if self.rows.is_none() {
            let mut rows = Rows { times: std::mem::take(&mut self.times), ..Rows::default() };
            let mut blocks = self.blocks.as_slice();
            while !blocks.is_empty() {
                let used = float::decode_append(blocks, &mut rows.values)?;
                blocks = &blocks[used..];
            }
            rows.even_out()?;
            self.rows = Some(rows);
        }
        self.rows.as_mut().ok_or(Damage("rows that were just put together"))
    }
}

impl BlockSink for Gathered {
    fn block(&mut self, times: &[i64], values: FinalValues<'_>) -> Result<(), Damage> {
        match values {
            FinalValues::Rows(more) => self.rows_mut()?.append(&more),
            FinalValues::Block(bytes) => match &mut self.rows {
                None => {
                    self.times.extend_from_slice(times);
                    self.blocks.extend_from_slice(bytes);
                }
                Some(rows) => {
                    let before = rows.len();
                    rows.times.extend_from_slice(times);
                    let whole = float::decode_append(bytes, &mut rows.values).map(|_| ());
                    let whole = whole.and(rows.even_out());
                    if whole.is_err() {
                        rows.truncate(before);
                    }
                    return whole;
                }
            },
        }
        Ok(())
    }
}

/// Writes the part of an instance; `None` if it holds nothing. What cannot be read fails all attempts but the last,
/// which names it in `gaps`.
fn write_part(
    (inner, attempt): (&Inner, u8),
    (view, instance): (&HeadView, &InstanceView),
    number: u64,
    gaps: &mut Vec<String>,
) -> Result<Option<PartInfo>, TsdbError> {
    let order = series_of(view, instance.id);
    if order.is_empty() {
        return Ok(None);
    }
    let path = part_path(&inner.paths.parts, number);
    let options = PartOptions { level: 0, id: number, ..PartOptions::default() };
    let mut writer = PartWriter::create(Arc::clone(&inner.disk), &path, options)?;
    let (mut gathered, mut scratch, mut late) = (Gathered::default(), ViewScratch::default(), Rows::default());
    let mut written = 0;
    for (labels, id) in &order {
        gathered.clear();
        late.clear();
        view.read_blocks(*id, instance, &mut scratch, &mut gathered, gaps);
        view.read_rest(*id, instance, &mut late, gaps);
        if let Some(gap) = gaps.first()
            && attempt < ATTEMPTS_MAX
        {
            let source = std::io::Error::other(gap.clone());
            return Err(TsdbError::Io { path: inner.paths.head.clone(), source });
        }
        let damaged = |damage| TsdbError::damaged(&path, "a block of the head", 0)(damage);
        if !late.is_empty() || !gathered.times.windows(2).all(|pair| pair[0] < pair[1]) {
            let rows = gathered.rows_mut().map_err(damaged)?;
            rows.append(&late);
            rows.put_in_order();
        }
        let clock =
            view.chunks.get(*id as usize / CHUNK_SERIES).map(|chunk| chunk.states[*id as usize % CHUNK_SERIES].clock);
        let clock_key = clock.and_then(|clock| view.clocks.get(clock as usize)).map_or(0, |clock| clock.key);
        written += u64::from(add_series(&mut writer, (labels, clock_key), &gathered)?);
    }
    if written == 0 {
        return Ok(None);
    }
    writer.finish().map(Some)
}

/// The series that have anything in an instance, by labels.
fn series_of(view: &HeadView, instance: u32) -> Vec<(Labels, u32)> {
    let mut order = Vec::new();
    for (number, chunk) in view.chunks.iter().enumerate() {
        let places = chunk.places.iter().find(|places| places.instance == instance);
        for at in 0..chunk.states.len() {
            let late = |late_at: u8| usize::from(late_at) == at;
            let any = places.is_some_and(|places| places.newest[at] != 0)
                || chunk.late.iter().any(|row| row.instance == instance && late(row.at))
                || chunk.late_rich.iter().any(|row| row.instance == instance && late(row.at));
            let id = (number * CHUNK_SERIES + at) as u32;
            if any && let Some(labels) = view.index.labels(id) {
                order.push((labels, id));
            }
        }
    }
    order.sort_unstable();
    order
}

/// Adds one series; false if it turned out to be empty.
fn add_series(
    writer: &mut PartWriter,
    (labels, clock_key): (&Labels, u64),
    gathered: &Gathered,
) -> Result<bool, TsdbError> {
    let exemplars = &[];
    let Some(rows) = &gathered.rows else {
        if gathered.times.is_empty() {
            return Ok(false);
        }
        let values = &[Values::Blocks(&gathered.blocks)];
        let times = &gathered.times;
        writer.add(&SeriesInput { labels, clock_key, times, values, start_times: None, exemplars })?;
        return Ok(true);
    };
    if rows.is_empty() {
        return Ok(false);
    }
    let histograms: Vec<HistogramSample> = rows.histograms.iter().map(|(_, sample)| sample.clone()).collect();
    let mut values = Vec::new();
    let (mut row, mut taken) = (0, 0);
    while row < rows.len() {
        // Runs of rows of one kind.
        let next = rows.histograms.get(taken).map_or(rows.len(), |(at, _)| *at as usize);
        if next > row {
            values.push(Values::Floats(&rows.values[row..next]));
            row = next;
            continue;
        }
        let from = taken;
        while rows.histograms.get(taken).is_some_and(|(at, _)| *at as usize == row) {
            taken += 1;
            row += 1;
        }
        values.push(Values::Histograms(&histograms[from..taken]));
    }
    let start_times = (!rows.starts.is_empty()).then_some(rows.starts.as_slice());
    writer.add(&SeriesInput { labels, clock_key, times: &rows.times, values: &values, start_times, exemplars })?;
    Ok(true)
}
