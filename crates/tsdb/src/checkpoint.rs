//! Checkpoints: the head in one file, so that a start replays only what came after.
//!
//! A checkpoint is written while batches go on: chunk by chunk, each with the last record it holds. Replay skips, for
//! each series, the records its chunk has already. The two newest checkpoints are kept, with the log from the older
//! one on: if the newest is damaged the older one and more log give the same head.
//! Promises: a checkpoint that is found was written and synced as a whole, spill files included, or it is damaged and
//! nothing of it is used.
//! Not here: reading the log again (`recover`). Bytes: docs/formats/checkpoint.md.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::storage::{Exemplar, Metadata, Position};

use crate::codec::Damage;
use crate::codec::bytes::{Reader, put_ivarint, put_uvarint};
use crate::db::{Core, Db, Inner};
use crate::error::TsdbError;
use crate::head::chunk::{CHUNK_SERIES, Chunk};
use crate::head::clock::Clock;
use crate::head::spill::Place;
use crate::io::{self, Disk, DiskFile};
use crate::log::batch::{
    SeriesEntry, decode_series, encode_series, put_exemplars, put_metadata, take_exemplars, take_metadata,
};
use crate::log::writer::{list_segments, segment_path};
use crate::manifest::Manifest;
use crate::sync::lock;

pub(crate) const CHECKPOINT_MAGIC: [u8; 8] = *b"WPTSCKP1";
/// A longer one is damage: a hundred million series.
const CHECKPOINT_BYTES_MAX: u64 = 64 << 30;
/// Written out in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;
/// Chunks saved under one hold of the lock: about a millisecond.
const CHUNKS_AT_ONCE: usize = 64;
const ENTRIES_MAX: usize = 1 << 28;

const BEGIN: u8 = 1;
const CHUNK: u8 = 2;
const CLOCKS: u8 = 3;
const INSTANCES: u8 = 4;
const EXEMPLARS: u8 = 5;
const METADATA: u8 = 6;
const END: u8 = 7;

/// Checkpoints kept. The second is the way back when the newest is damaged.
const KEPT: usize = 2;

/// An instance as a checkpoint names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SavedInstance {
    pub(crate) id: u32,
    pub(crate) start: i64,
    pub(crate) last: i64,
    pub(crate) spill_bytes: u64,
    /// The last record that may belong to it, if its seal had begun; 0 if it had not.
    pub(crate) cut_seq: u64,
}

/// What a checkpoint holds.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// Where replay begins.
    pub(crate) position: Position,
    /// The last record before `position`.
    pub(crate) seq: u64,
    /// The last record that exemplars and metadata hold.
    pub(crate) end_seq: u64,
    pub(crate) next_instance: u32,
    pub(crate) series: Vec<SeriesEntry>,
    /// With the last record each of them holds.
    pub(crate) chunks: Vec<(Chunk, u64)>,
    pub(crate) clocks: Vec<Clock>,
    pub(crate) instances: Vec<SavedInstance>,
    pub(crate) exemplars: Vec<(u32, Exemplar)>,
    pub(crate) metadata: Vec<Metadata>,
}

pub(crate) fn checkpoint_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.ckpt"))
}

/// The checkpoints that exist, newest first.
pub(crate) fn list(disk: &dyn Disk, folder: &Path) -> std::io::Result<Vec<u64>> {
    let entries = io::insist(|| disk.list(folder))?;
    let mut numbers: Vec<u64> =
        entries.iter().filter_map(|entry| entry.name.strip_suffix(".ckpt")?.parse().ok()).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

impl Db {
    /// Writes a checkpoint now and drops the log that it makes needless.
    pub fn checkpoint(&self) -> Result<(), TsdbError> {
        write(&self.inner)
    }
}

/// Writes a checkpoint, then removes older ones and the log before them.
pub(crate) fn write(inner: &Inner) -> Result<(), TsdbError> {
    let mut manifest = lock(&inner.manifest);
    write_locked(inner, &mut manifest)
}

/// As [`write`], for whoever does maintenance already.
pub(crate) fn write_locked(inner: &Inner, manifest: &mut Manifest) -> Result<(), TsdbError> {
    let folder = &inner.paths.head;
    // Not knowing which ones exist is no reason to begin with the first: it would be the newest under an old number.
    let number = list(&*inner.disk, folder).map_err(TsdbError::io(folder))?.first().map_or(1, |newest| newest + 1);
    let path = checkpoint_path(folder, number);
    let temporary = path.with_added_extension("tmp");
    let seq = match save(inner, &temporary) {
        Ok(seq) => seq,
        Err(error) => {
            let _ = inner.disk.remove(&temporary);
            return Err(error);
        }
    };
    inner.disk.rename(&temporary, &path).map_err(TsdbError::io(&path))?;
    inner.disk.sync_dir(folder).map_err(TsdbError::io(folder))?;
    inner.syncer.repaired(seq);
    inner.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
    clean(inner, manifest);
    Ok(())
}

/// Collects sections and writes them in large pieces.
struct Sections {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    count: u64,
}

impl Sections {
    fn put(&mut self, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 8]);
        self.buffer.push(kind);
        fill(&mut self.buffer);
        let body = &self.buffer[start + 8..];
        let (len, crc) = (body.len() as u32, crc32c::crc32c(body));
        self.buffer[start..start + 4].copy_from_slice(&len.to_le_bytes());
        self.buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        self.count += 1;
    }

    fn write_out(&mut self, bytes_min: usize) -> std::io::Result<()> {
        if self.buffer.len() >= bytes_min {
            self.file.append(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Writes and syncs a checkpoint under a temporary name; returns the last record that all of its chunks hold.
fn save(inner: &Inner, path: &Path) -> Result<u64, TsdbError> {
    let io = |source| TsdbError::Io { path: path.to_owned(), source };
    let file = inner.disk.create(path).map_err(io)?;
    let mut sections = Sections { file: Arc::clone(&file), buffer: CHECKPOINT_MAGIC.to_vec(), count: 0 };
    let (chunks, samples, seq) = begin(inner, &mut sections);
    let mut from = 0;
    while from < chunks {
        let to = (from + CHUNKS_AT_ONCE).min(chunks);
        save_chunks(&inner.core(), from..to, &mut sections);
        sections.write_out(PIECE_BYTES).map_err(io)?;
        from = to;
    }
    save_rest(inner, chunks, &mut sections)?;
    let count = sections.count;
    sections.put(END, |out| put_uvarint(out, count));
    sections.write_out(1).map_err(io)?;
    file.sync_data().map_err(io)?;
    let mut core = inner.core();
    core.samples_since_checkpoint = core.samples_since_checkpoint.saturating_sub(samples);
    Ok(seq)
}

/// Notes where replay will begin. Every chain is restarted there, so that replay need not read what comes before;
/// series that were named before are in the checkpoint.
fn begin(inner: &Inner, sections: &mut Sections) -> (usize, u64, u64) {
    let mut core = inner.core();
    core.chain_epoch += 1;
    let (segment, offset) = core.log.as_ref().map_or((core.log_next.0, 0), |log| (log.segment(), log.offset()));
    let seq = core.last_seq();
    sections.put(BEGIN, |out| {
        put_uvarint(out, segment);
        put_uvarint(out, offset);
        put_uvarint(out, seq);
    });
    (core.head.chunks.len(), core.samples_since_checkpoint, seq)
}

fn save_chunks(core: &Core, numbers: std::ops::Range<usize>, sections: &mut Sections) {
    let seq = core.last_seq();
    for number in numbers {
        let Some(chunk) = core.head.chunks.get(number) else { continue };
        let first = number * CHUNK_SERIES;
        let entries: Vec<SeriesEntry> =
            (first..first + chunk.states.len()).filter_map(|id| core.head.entry(id as u32)).collect();
        sections.put(CHUNK, |out| {
            put_uvarint(out, number as u64);
            put_uvarint(out, seq);
            let at = out.len();
            out.extend_from_slice(&[0; 4]);
            encode_series(&entries, out);
            let bytes = (out.len() - at - 4) as u32;
            out[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
            chunk.save(out);
        });
    }
}

/// Chunks that were begun meanwhile, then what belongs to all of them; syncs the spills.
fn save_rest(inner: &Inner, chunks: usize, sections: &mut Sections) -> Result<(), TsdbError> {
    let mut spills = Vec::new();
    {
        let mut core = inner.core();
        let all = core.head.chunks.len();
        save_chunks(&core, chunks..all, sections);
        let end_seq = core.last_seq();
        sections.put(CLOCKS, |out| put_clocks(&core, out));
        for instance in core.head.instances.iter_mut() {
            instance.spill.write_out().map_err(TsdbError::io(&inner.paths.head))?;
            spills.extend(instance.spill.file());
        }
        sections.put(INSTANCES, |out| {
            put_uvarint(out, u64::from(core.head.instances.next_id()));
            put_uvarint(out, core.head.instances.iter().count() as u64);
            for instance in core.head.instances.iter() {
                put_uvarint(out, u64::from(instance.id));
                put_ivarint(out, instance.start);
                put_ivarint(out, instance.last);
                put_uvarint(out, instance.spill.bytes());
                put_uvarint(out, instance.cut_seq);
            }
        });
        let exemplars: Vec<(u32, Exemplar)> = core.head.exemplars.view().iter().cloned().collect();
        sections.put(EXEMPLARS, |out| {
            put_uvarint(out, end_seq);
            put_exemplars(&exemplars, out);
        });
        let metadata = lock(&inner.metadata).list("", 0).items;
        sections.put(METADATA, |out| put_metadata(&metadata, out));
    }
    for spill in spills {
        spill.sync_data().map_err(TsdbError::io(&inner.paths.head))?;
    }
    Ok(())
}

fn put_clocks(core: &Core, out: &mut Vec<u8>) {
    put_uvarint(out, core.head.clocks.clocks.len() as u64);
    for clock in core.head.clocks.clocks.iter() {
        out.extend_from_slice(&clock.key.to_le_bytes());
        put_uvarint(out, u64::from(clock.first_row));
        put_uvarint(out, clock.times.len() as u64);
        let mut previous = 0i64;
        for time in &clock.times {
            put_ivarint(out, time.wrapping_sub(previous));
            previous = *time;
        }
    }
}

/// Removes the checkpoints, segments and notes that the kept checkpoints make needless. What cannot be removed now is
/// removed another time.
fn clean(inner: &Inner, manifest: &mut Manifest) {
    let folder = &inner.paths.head;
    let Ok(numbers) = list(&*inner.disk, folder) else { return };
    for number in numbers.iter().skip(KEPT) {
        let _ = inner.disk.remove(&checkpoint_path(folder, *number));
    }
    let Some(oldest) = numbers.get(KEPT - 1) else { return };
    let Ok((position, seq)) = read_begin(&*inner.disk, &checkpoint_path(folder, *oldest)) else { return };
    let needed = lock(&inner.tails).oldest_needed(inner, position.segment);
    if let Ok(segments) = list_segments(&*inner.disk, &inner.paths.log) {
        for (number, _) in segments {
            if number < needed.min(position.segment) {
                let _ = inner.disk.remove(&segment_path(&inner.paths.log, number));
            }
        }
    }
    let mut changed = manifest.clone();
    changed.sealed.retain(|sealed| sealed.published_seq >= seq);
    let tails = lock(&inner.tails).released();
    if changed.sealed.len() != manifest.sealed.len() || manifest.tails != tails {
        changed.tails = tails;
        let _ = manifest.commit(&*inner.disk, &inner.paths, changed, None);
    }
}

/// Where replay begins and the record before it, without reading the rest.
fn read_begin(disk: &dyn Disk, path: &Path) -> Result<(Position, u64), TsdbError> {
    let file = disk.open(path).map_err(TsdbError::io(path))?;
    let bytes = file.size().map_err(TsdbError::io(path))?.min(128);
    let mut buffer = vec![0; bytes as usize];
    file.read_at(&mut buffer, 0).map_err(TsdbError::io(path))?;
    let parse = || -> Result<(Position, u64), Damage> {
        let mut input = Reader::new(&buffer);
        if input.array()? != CHECKPOINT_MAGIC {
            return Err(Damage("not a checkpoint"));
        }
        take_begin(&mut next_section(&mut input)?.1)
    };
    parse().map_err(TsdbError::damaged(path, "the first section", 0))
}

fn take_begin(input: &mut Reader<'_>) -> Result<(Position, u64), Damage> {
    Ok((Position { segment: input.uvarint()?, offset: input.uvarint()? }, input.uvarint()?))
}

fn next_section<'a>(input: &mut Reader<'a>) -> Result<(u8, Reader<'a>), Damage> {
    let (len, crc) = (input.u32()?, input.u32()?);
    let body = input.take(len as usize)?;
    if crc32c::crc32c(body) != crc {
        return Err(Damage("the checksum of a section differs"));
    }
    let mut body = Reader::new(body);
    Ok((body.u8()?, body))
}

/// Reads a whole checkpoint.
pub(crate) fn load(disk: &dyn Disk, path: &Path) -> Result<Saved, TsdbError> {
    let bytes = io::insist(|| io::read_all(disk, path, CHECKPOINT_BYTES_MAX)).map_err(TsdbError::io(path))?;
    parse(&bytes).map_err(|(offset, damage)| TsdbError::damaged(path, "a checkpoint", offset)(damage))
}

fn parse(bytes: &[u8]) -> Result<Saved, (u64, Damage)> {
    let mut input = Reader::new(bytes);
    let mut saved = Saved::default();
    let mut count = 0;
    let mut parse_next = |input: &mut Reader<'_>, saved: &mut Saved| -> Result<bool, Damage> {
        let (kind, mut body) = next_section(input)?;
        match kind {
            BEGIN => (saved.position, saved.seq) = take_begin(&mut body)?,
            CHUNK => take_chunk(body, saved)?,
            CLOCKS => take_clocks(&mut body, &mut saved.clocks)?,
            INSTANCES => take_instances(&mut body, saved)?,
            EXEMPLARS => {
                saved.end_seq = body.uvarint()?;
                take_exemplars(&mut body, &mut saved.exemplars)?;
            }
            METADATA => take_metadata(&mut body, &mut saved.metadata)?,
            END if body.uvarint()? == count => return Ok(true),
            _ => return Err(Damage("a section that does not belong here")),
        }
        count += 1;
        Ok(false)
    };
    match input.array() {
        Ok(CHECKPOINT_MAGIC) => {}
        Ok(_) => return Err((0, Damage("not a checkpoint"))),
        Err(damage) => return Err((0, damage)),
    }
    loop {
        let at = input.position() as u64;
        match parse_next(&mut input, &mut saved) {
            Ok(true) => break,
            Ok(false) => {}
            Err(damage) => return Err((at, damage)),
        }
    }
    check(&saved).map_err(|damage| (0, damage))?;
    Ok(saved)
}

fn take_chunk(mut body: Reader<'_>, saved: &mut Saved) -> Result<(), Damage> {
    let (number, seq) = (body.uvarint()?, body.uvarint()?);
    if number != saved.chunks.len() as u64 {
        return Err(Damage("chunks that do not follow each other"));
    }
    let bytes = body.u32()? as usize;
    let first = saved.series.len();
    decode_series(body.take(bytes)?, |entry| saved.series.push(entry))?;
    let chunk = Chunk::restore(&mut body)?;
    if saved.series.len() - first != chunk.states.len() {
        return Err(Damage("a chunk with another number of series than labels"));
    }
    saved.chunks.push((chunk, seq));
    Ok(())
}

fn take_clocks(body: &mut Reader<'_>, clocks: &mut Vec<Clock>) -> Result<(), Damage> {
    for _ in 0..body.count(ENTRIES_MAX)? {
        let key = body.u64()?;
        let first_row = u32::try_from(body.uvarint()?).map_err(|_| Damage("a row is out of range"))?;
        let count = body.count(ENTRIES_MAX)?;
        let mut times = Vec::with_capacity(count.min(1 << 16));
        let mut time = 0i64;
        for _ in 0..count {
            time = time.wrapping_add(body.ivarint()?);
            times.push(time);
        }
        clocks.push(Clock { key, first_row, times });
    }
    Ok(())
}

fn take_instances(body: &mut Reader<'_>, saved: &mut Saved) -> Result<(), Damage> {
    let id = |value: u64| u32::try_from(value).map_err(|_| Damage("an instance is out of range"));
    saved.next_instance = id(body.uvarint()?)?;
    for _ in 0..body.count(ENTRIES_MAX)? {
        saved.instances.push(SavedInstance {
            id: id(body.uvarint()?)?,
            start: body.ivarint()?,
            last: body.ivarint()?,
            spill_bytes: body.uvarint()?,
            cut_seq: body.uvarint()?,
        });
    }
    Ok(())
}

/// That ids are dense, clocks exist and spills end where places do, so that nobody needs to ask again.
fn check(saved: &Saved) -> Result<(), Damage> {
    if saved.series.iter().enumerate().any(|(id, entry)| entry.id as usize != id) {
        return Err(Damage("ids that do not follow each other"));
    }
    if saved.instances.iter().any(|instance| instance.spill_bytes / 8 > u64::from(Place::MAX)) {
        return Err(Damage("a spill that is longer than one can be"));
    }
    let ids = saved.instances.iter().map(|instance| instance.id).chain([saved.next_instance]);
    if ids.max() > Some(u32::MAX / 2) {
        return Err(Damage("more windows than there can have been"));
    }
    let clocks = saved.clocks.len();
    let states = saved.chunks.iter().flat_map(|(chunk, _)| &chunk.states);
    if states.into_iter().any(|state| state.clock as usize >= clocks) {
        return Err(Damage("a series with a clock that is not there"));
    }
    let full = saved.chunks.iter().rev().skip(1).all(|(chunk, _)| chunk.states.len() == CHUNK_SERIES);
    if full { Ok(()) } else { Err(Damage("a chunk that is not full before another")) }
}
