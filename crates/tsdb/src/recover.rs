//! Opening: what is in the folder becomes a database again, whatever happened to it.
//!
//! The order: version record, manifest, parts, the newest checkpoint that is whole, the log after it. Each step does
//! with what it finds damaged what costs least: puts it aside, says so, goes on. Only an unknown (valid) version and
//! another process in the folder refuse to open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::storage::Position;
use model::time::Clock;

use crate::checkpoint::{self, Saved, checkpoint_path};
use crate::db::{Core, Opened, Paths};
use crate::error::TsdbError;
use crate::head::chunk::CHUNK_SERIES;
use crate::head::spill::spill_path;
use crate::head::window::Restored;
use crate::head::{Head, drop_replayed, identity_of};
use crate::io::{Disk, DiskLock, insist, replace_file};
use crate::log::batch::{BatchDecoder, BatchRows, Decoded, decode_series};
use crate::log::frame::{Found, FrameReader, RecordKind, SEGMENT_HEADER_BYTES, segment_header_is_good};
use crate::log::writer::{list_segments, segment_path};
use crate::manifest::{FORMAT_VERSION, Loaded, Manifest, PartEntry, Sealed, check_format, format_record};
use crate::metadata::MetadataStore;
use crate::options::{Options, millis};
use crate::part::{PageCache, PartReader};
use crate::parts::{Part, PartSet, part_number, part_path};
use crate::quarantine::Quarantine;

/// Opens a folder.
pub(crate) fn open(
    root: &Path,
    options: &Options,
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, TsdbError> {
    let paths = Paths::new(root);
    let quarantine = Quarantine::new(Arc::clone(disk), &paths.quarantine, Arc::clone(clock));
    // First, because nothing of another version may be touched.
    let known = check_format(&**disk, &paths.format)?;
    // A read-only disk does not let us make folders, and everything that is there can still be read.
    let writable = make_folders(&**disk, &paths);
    let lock = take_lock(&**disk, &paths, &writable)?;
    let (mut manifest, rebuilt) = load_manifest(&**disk, &paths, &quarantine);
    let cache = PageCache::new(options.page_cache_bytes);
    let (parts, replaced) = open_parts(disk, &paths, (&mut manifest, rebuilt), (&quarantine, &cache));
    if !known && writable.is_ok() && replace_file(&**disk, &paths.format, &format_record(FORMAT_VERSION)).is_err() {
        quarantine.note(&paths.format, "the version record could not be written");
    }
    if writable.is_ok() {
        match manifest.store(&**disk, &paths.manifest) {
            Err(_) => quarantine.note(&paths.manifest, "the manifest could not be written"),
            // Only now: a manifest that was seen may not have been durable, and the one before it names these.
            Ok(()) => replaced.iter().for_each(|path| {
                let _ = disk.remove(path);
            }),
        }
    }
    let head = Head::new(Arc::clone(disk), &paths.head, millis(options.window), options.exemplars_max);
    let mut replay = Replay {
        disk: &**disk,
        paths: &paths,
        quarantine: &quarantine,
        sealed: manifest.sealed.clone(),
        head,
        metadata: MetadataStore::default(),
        chunk_seqs: Vec::new(),
        seq_max: manifest.sealed.iter().map(|sealed| sealed.published_seq.max(sealed.cut_seq)).max().unwrap_or(0),
        from: Position::default(),
        end_seq: 0,
        samples: 0,
        lost: 0,
    };
    replay.head.instances.tick(clock.now().millis());
    let segment_max = replay.run();
    let synced = replay.sync_segments();
    remove_leftovers(&**disk, &paths, &replay.head);
    let (head, metadata, lost) = (replay.head, replay.metadata, replay.lost);
    let (seq_max, samples) = (replay.seq_max, replay.samples);
    let mut core = Core::new(head, PartSet::new(parts, manifest.tombstones.clone()), (segment_max + 1, seq_max + 1));
    core.samples_since_checkpoint = samples;
    Ok(Opened { paths, core, manifest, metadata, quarantine, cache, lost_records: lost, synced, lock })
}

/// Makes the folders that are missing, so that they survive a power loss.
pub(crate) fn make_folders(disk: &dyn Disk, paths: &Paths) -> std::io::Result<()> {
    for folder in [&paths.root, &paths.log, &paths.head, &paths.parts] {
        disk.create_dir_all(folder)?;
    }
    disk.sync_dir(&paths.root)?;
    if let Some(parent) = paths.root.parent() {
        // Not ours, and perhaps not ours to open.
        let _ = disk.sync_dir(parent);
    }
    Ok(())
}

fn take_lock(
    disk: &dyn Disk,
    paths: &Paths,
    writable: &std::io::Result<()>,
) -> Result<Option<Box<dyn DiskLock>>, TsdbError> {
    let path = paths.root.join("LOCK");
    match disk.lock(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Err(TsdbError::Refused(format!("{}: another process has this database open", paths.root.display())))
        }
        Err(_) if writable.is_err() => Ok(None),
        // The disk has a fault right now; being two in one folder is what must not happen, and this folder was ours.
        Err(source) if source.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Ok(None),
        Err(source) => Err(TsdbError::Io { path, source }),
    }
}

/// The manifest, and whether it had to be made from the parts.
fn load_manifest(disk: &dyn Disk, paths: &Paths, quarantine: &Quarantine) -> (Manifest, bool) {
    let reason = match Manifest::load(disk, &paths.manifest) {
        Loaded::Whole(manifest) => return (manifest, false),
        Loaded::Missing => None,
        Loaded::Damaged(reason) => Some(reason),
    };
    if let Some(reason) = reason {
        quarantine.keep_file(&paths.manifest, reason);
    }
    // Without a manifest every part counts, in the order of their numbers.
    let entries = insist(|| disk.list(&paths.parts)).unwrap_or_default();
    let mut numbers: Vec<u64> = entries.iter().filter_map(|entry| part_number(&entry.name)).collect();
    numbers.sort_unstable();
    let parts = numbers.iter().map(|number| PartEntry { number: *number, order: *number }).collect();
    (Manifest { parts, next_part: numbers.last().map_or(1, |last| last + 1), ..Manifest::default() }, true)
}

/// Opens the parts the manifest names, and tells which others are needless, because those took their place.
fn open_parts(
    disk: &Arc<dyn Disk>,
    paths: &Paths,
    (manifest, rebuilt): (&mut Manifest, bool),
    (quarantine, cache): (&Quarantine, &PageCache),
) -> (Vec<Arc<Part>>, Vec<PathBuf>) {
    let (mut parts, mut replaced) = (Vec::new(), Vec::new());
    let mut gone = Vec::new();
    for entry in &manifest.parts {
        let path = part_path(&paths.parts, entry.number);
        match PartReader::open(&**disk, &path, cache) {
            Ok(reader) => parts.push(Arc::new(Part { entry: *entry, path, reader: Arc::new(reader) })),
            Err(error) if error.is_damage() => {
                quarantine.keep_file(&path, &error.to_string());
                gone.push(entry.number);
            }
            Err(error) => {
                // A file that is not there will not come back; one that cannot be read now may be readable later.
                quarantine.note(&path, &error.to_string());
                if disk.exists(&path).is_ok_and(|exists| !exists) {
                    gone.push(entry.number);
                }
            }
        }
    }
    let whole = parts.len() == manifest.parts.len() && !rebuilt;
    manifest.parts.retain(|entry| !gone.contains(&entry.number));
    for entry in disk.list(&paths.parts).unwrap_or_default() {
        let path = paths.parts.join(&entry.name);
        let Some(number) = part_number(&entry.name) else {
            if entry.name.ends_with(".tmp") {
                let _ = disk.remove(&path);
            }
            continue;
        };
        if manifest.parts.iter().any(|part| part.number == number) {
            continue;
        }
        if number >= manifest.next_part && !rebuilt {
            // Finished, but never made known: its samples are still where they came from.
            let _ = disk.remove(&path);
        } else if whole {
            // Replaced by another part, or dropped, and not removed in time.
            replaced.push(path);
        } else {
            // What took its place may be what is damaged.
            quarantine.keep_file(&path, "a part that the manifest does not name");
        }
    }
    (parts, replaced)
}

/// Removes what a checkpoint no longer refers to: spills of sealed instances, half-written checkpoints.
fn remove_leftovers(disk: &dyn Disk, paths: &Paths, head: &Head) {
    for entry in disk.list(&paths.head).unwrap_or_default() {
        let path = paths.head.join(&entry.name);
        let instance = entry.name.strip_suffix(".spill").and_then(|number| number.parse::<u32>().ok());
        let needless = match instance {
            // The older of two checkpoints may still refer to it, but only for samples that are in a part.
            Some(instance) => head.instances.get(instance).is_none(),
            None => entry.name.ends_with(".tmp"),
        };
        if needless {
            let _ = disk.remove(&path);
        }
    }
}

/// A head being put together.
struct Replay<'a> {
    disk: &'a dyn Disk,
    paths: &'a Paths,
    quarantine: &'a Quarantine,
    sealed: Vec<Sealed>,
    head: Head,
    metadata: MetadataStore,
    /// The last record that each chunk of the checkpoint holds.
    chunk_seqs: Vec<u64>,
    seq_max: u64,
    /// Where replay began.
    from: Position,
    /// The last record whose exemplars the checkpoint holds.
    end_seq: u64,
    samples: u64,
    lost: u64,
}

/// Ids of a log segment to ids of the head.
enum Ids {
    /// They are the same: the segment goes on after the checkpoint that numbered them.
    Same(Vec<u32>),
    Named(Vec<u32>),
}

const UNKNOWN: u32 = u32::MAX;

impl Ids {
    fn get(&self, id: u32) -> Option<u32> {
        let (Self::Same(ids) | Self::Named(ids)) = self;
        ids.get(id as usize).copied().filter(|id| *id != UNKNOWN)
    }

    fn set(&mut self, id: u32, to: u32) {
        let (Self::Same(ids) | Self::Named(ids)) = self;
        if ids.len() <= id as usize {
            ids.resize(id as usize + 1, UNKNOWN);
        }
        ids[id as usize] = to;
    }
}

impl Replay<'_> {
    /// Loads the newest checkpoint that is whole and reads the log after it. Returns the newest segment's number.
    fn run(&mut self) -> u64 {
        // With or without a checkpoint: an instance with the number of a sealed one would be taken for it.
        let sealed_max = self.sealed.iter().map(|sealed| sealed.instance).max().unwrap_or(0);
        self.head.instances.reserve_ids(sealed_max + 1);
        let from = self.load_checkpoint();
        let segments = match insist(|| list_segments(self.disk, &self.paths.log)) {
            Ok(segments) => segments,
            Err(error) => {
                self.quarantine.note(&self.paths.log, &error.to_string());
                Vec::new()
            }
        };
        self.from = from;
        let missing = from.offset > 0 && segments.iter().all(|(number, _)| *number != from.segment);
        if missing {
            self.lost += 1;
            let path = segment_path(&self.paths.log, from.segment);
            self.quarantine.note(&path, "the checkpoint goes on in a segment that is not there");
        }
        let newest = segments.last().map_or(0, |(number, _)| *number).max(from.segment);
        for (number, _) in segments.iter().filter(|(number, _)| *number >= from.segment) {
            let offset = if *number == from.segment { from.offset } else { 0 };
            let ids = if offset > 0 {
                Ids::Same((0..self.head.index.len() as u32).collect())
            } else {
                Ids::Named(Vec::new())
            };
            if let Err(error) = self.read_segment(*number, offset, ids) {
                self.lost += 1;
                // Aside, not where the next checkpoint would remove what nobody could read.
                self.quarantine.keep_file(&segment_path(&self.paths.log, *number), &error.to_string());
            }
        }
        newest
    }

    /// Makes durable what was replayed: the process that wrote it may have died before it could.
    fn sync_segments(&self) -> Result<(), String> {
        let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let segments = list_segments(self.disk, &self.paths.log).map_err(|error| named(&self.paths.log, error))?;
        for (number, _) in segments.iter().filter(|(number, _)| *number >= self.from.segment) {
            let path = segment_path(&self.paths.log, *number);
            let synced = self.disk.open_append(&path).and_then(|file| file.sync_data());
            synced.map_err(|error| named(&path, error))?;
        }
        Ok(())
    }

    fn load_checkpoint(&mut self) -> Position {
        let numbers = checkpoint::list(self.disk, &self.paths.head).unwrap_or_else(|error| {
            self.quarantine.note(&self.paths.head, &error.to_string());
            Vec::new()
        });
        for number in numbers {
            let path = checkpoint_path(&self.paths.head, number);
            match checkpoint::load(self.disk, &path) {
                Ok(saved) => return self.restore(saved),
                Err(error) if error.is_damage() => self.quarantine.keep_file(&path, &error.to_string()),
                Err(error) => self.quarantine.note(&path, &error.to_string()),
            }
        }
        Position::default()
    }

    fn restore(&mut self, saved: Saved) -> Position {
        let sealed = self.sealed.clone();
        let gone = |instance: u32| instance != 0 && sealed.iter().any(|sealed| sealed.instance == instance);
        self.head.clocks.restore(saved.clocks);
        for entry in &saved.series {
            self.head.index.insert(&entry.labels);
            self.head.census.add(entry.labels.metric_name(), 0);
        }
        for (mut chunk, seq) in saved.chunks {
            if chunk.knows_instance(&gone) {
                chunk.discard_open(&gone);
                chunk.forget_instances(&gone);
            }
            self.head.late_count += chunk.late.len() + chunk.late_rich.len();
            let newest = chunk.states.iter().filter(|state| !state.is_fresh()).map(|state| state.last_time).max();
            self.head.time_max = self.head.time_max.max(newest.unwrap_or(i64::MIN));
            self.head.chunks.push(chunk);
            self.chunk_seqs.push(seq);
        }
        for instance in saved.instances.iter().filter(|instance| !gone(instance.id)) {
            let path = spill_path(&self.paths.head, instance.id);
            match self.head.instances.restore(instance) {
                Restored::Whole => continue,
                Restored::Short => self.quarantine.note(&path, "shorter than the checkpoint says"),
                Restored::Unreadable => {
                    self.quarantine.keep_file(&path, "cannot be opened");
                    self.forget_places(instance.id);
                }
            }
            self.lost += 1;
        }
        self.head.instances.reserve_ids(saved.next_instance);
        for (id, exemplar) in &saved.exemplars {
            self.head.exemplars.push(*id, exemplar);
        }
        self.metadata.put_all(&saved.metadata);
        self.head.series_generation += 1;
        self.seq_max = self.seq_max.max(saved.seq).max(saved.end_seq);
        self.end_seq = saved.end_seq;
        saved.position
    }

    /// Places of an instance mean nothing in the file that begins now.
    fn forget_places(&mut self, instance: u32) {
        for number in 0..self.head.chunks.len() {
            if let Some(chunk) = self.head.chunks.get_mut(number) {
                chunk.places.retain(|places| places.instance != instance);
            }
        }
    }

    fn read_segment(&mut self, number: u64, offset: u64, mut ids: Ids) -> std::io::Result<()> {
        let path = segment_path(&self.paths.log, number);
        let (file, size) = insist(|| {
            let file = self.disk.open(&path)?;
            let size = file.size()?;
            Ok((file, size))
        })?;
        self.check_header(&path, number, size)?;
        let mut frames = FrameReader::new(file, offset);
        let mut decoder = BatchDecoder::default();
        let mut rows = BatchRows::default();
        loop {
            match frames.next(size)? {
                Found::End => return Ok(()),
                Found::Damage { from, to, reason } => {
                    self.lost += 1;
                    self.quarantine.keep_range(&path, (from, to), reason);
                }
                Found::Record { kind: RecordKind::Series, seq, payload } => {
                    self.seq_max = self.seq_max.max(seq);
                    let head = &mut self.head;
                    let named = decode_series(payload, |entry| {
                        let before = head.index.len();
                        let id = head.resolve(&entry.labels, || entry.clock_key);
                        if head.index.len() > before {
                            head.census.add(entry.labels.metric_name(), 0);
                        }
                        ids.set(entry.id, id);
                    });
                    self.lost += u64::from(named.is_err());
                }
                Found::Record { kind: RecordKind::Batch, seq, payload } => {
                    self.seq_max = self.seq_max.max(seq);
                    match decoder.decode(payload, &mut rows) {
                        Ok(Decoded::Whole) => self.apply(seq, &mut rows, &ids),
                        Ok(Decoded::ChainBroken) | Err(_) => {
                            self.lost += 1;
                            self.quarantine.note(&path, &format!("record {seq}: the record before it is damaged"));
                        }
                    }
                }
            }
        }
    }

    /// A segment whose header is bad is read all the same: each record has its own checksum.
    fn check_header(&self, path: &Path, number: u64, size: u64) -> std::io::Result<()> {
        let mut header = [0; SEGMENT_HEADER_BYTES];
        if size < SEGMENT_HEADER_BYTES as u64 {
            self.quarantine.keep_range(path, (0, size), "the segment ends within its header");
            return Ok(());
        }
        insist(|| self.disk.open(path)?.read_at(&mut header, 0))?;
        if !segment_header_is_good(&header, number) {
            self.quarantine.keep_range(path, (0, SEGMENT_HEADER_BYTES as u64), "the header of the segment differs");
        }
        Ok(())
    }

    /// Samples that are in a part are not stored again, but their series have been that far.
    fn see_sealed(&mut self, seq: u64, rows: &BatchRows, ids: &Ids) {
        if !self.sealed.iter().any(|sealed| seq <= sealed.cut_seq) {
            return;
        }
        let rich = rows.rich.iter().map(|row| (row.id, row.time, identity_of(&row.value)));
        let floats = rows.ids.iter().zip(&rows.times).zip(&rows.values);
        for (id, time, bits) in floats.map(|((id, time), value)| (*id, *time, value.to_bits())).chain(rich) {
            let in_part =
                self.sealed.iter().any(|sealed| seq <= sealed.cut_seq && sealed.start <= time && time <= sealed.last);
            if in_part && let Some(id) = ids.get(id) {
                self.head.see(id, time, bits);
            }
        }
    }

    /// Applies a batch as far as neither the checkpoint nor a part has it.
    fn apply(&mut self, seq: u64, rows: &mut BatchRows, ids: &Ids) {
        let mut unnamed = 0u64;
        self.see_sealed(seq, rows, ids);
        let (chunk_seqs, sealed) = (&self.chunk_seqs, &self.sealed);
        let mut wanted = |id: u32, time: i64| -> Option<u32> {
            let Some(id) = ids.get(id) else {
                unnamed += 1;
                return None;
            };
            let in_checkpoint = chunk_seqs.get(id as usize / CHUNK_SERIES).is_some_and(|held| seq <= *held);
            let in_part =
                sealed.iter().any(|sealed| seq <= sealed.cut_seq && sealed.start <= time && time <= sealed.last);
            (!in_checkpoint && !in_part).then_some(id)
        };
        let mut kept = 0;
        for at in 0..rows.ids.len() {
            if let Some(id) = wanted(rows.ids[at], rows.times[at]) {
                (rows.ids[kept], rows.times[kept], rows.values[kept]) = (id, rows.times[at], rows.values[at]);
                kept += 1;
            }
        }
        rows.ids.truncate(kept);
        rows.times.truncate(kept);
        rows.values.truncate(kept);
        rows.late.retain_mut(|row| wanted(row.id, row.time).map(|id| row.id = id).is_some());
        rows.rich.retain_mut(|row| wanted(row.id, row.time).map(|id| row.id = id).is_some());
        rows.late_rich.retain_mut(|row| wanted(row.id, row.time).map(|id| row.id = id).is_some());
        let exemplars_known = seq <= self.end_seq;
        rows.exemplars.retain_mut(|(id, _)| match ids.get(*id) {
            Some(named) if !exemplars_known => {
                *id = named;
                true
            }
            _ => false,
        });
        self.lost += u64::from(unnamed > 0);
        drop_replayed(&mut self.head, rows);
        self.head.apply(rows);
        self.metadata.put_all(&rows.metadata);
        self.samples += rows.samples() as u64;
    }
}
