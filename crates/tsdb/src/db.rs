//! The database: one folder, one process, any number of appenders and readers.
//!
//! A batch becomes samples in [`commit`](DbAppender::commit): judged against the head, written to the log, applied to
//! the head, and only then visible. One lock ([`Core`]) orders batches; it is never held while a disk syncs, a part is
//! written or a query reads. Slow work (checkpoints, seals, compaction) is done by whoever calls [`Db::maintain`], one
//! piece at a time.
//! Promises: what a commit acknowledged survives a kill, and what it acknowledged as synced survives a power loss. It
//! always opens; what was damaged is in the quarantine and in [`Db::quarantine`].
//! Not here: how files look (`log`, `checkpoint`, `part`), how reading works (`read`), the rules of time (`head`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use model::labels::{Labels, METRIC_NAME};
use model::storage::{
    Appendable, Appender, Committed, Durability, Exemplar, Metadata, Queryable, Refusal, Refused, SampleValue, Sender,
    SeriesRef, Snapshot, StorageError,
};
use model::time::{Clock, Timestamp};

use crate::codec::histogram::HistogramSample;
use crate::error::TsdbError;
use crate::head::view::HeadView;
use crate::head::{Head, TimeRules, check_histogram};
use crate::io::{Disk, DiskLock};
use crate::log::batch::{self, BatchRows, Chain, RichRow, RichValue};
use crate::log::frame::RecordKind;
use crate::log::writer::LogWriter;
use crate::manifest::Manifest;
use crate::metadata::MetadataStore;
use crate::options::{Options, millis};
use crate::part::PageCache;
use crate::parts::PartSet;
use crate::quarantine::Quarantine;
use crate::read::DbSnapshot;
use crate::sync::{Syncer, lock};
use crate::tail::Tails;

/// Buffers of batches kept for the next ones: as many as are likely to be filled at once.
const SPARE_ROWS_MAX: usize = 8;
/// A buffer that held more samples than a usual scrape or request is given back.
const SPARE_SAMPLES_MAX: usize = 1 << 16;
/// Late samples in memory beyond this many times the setting are refused until the seal of their windows caught up.
const LATE_REFUSED_FACTOR: usize = 4;

/// The folders and files of a database.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) root: PathBuf,
    pub(crate) format: PathBuf,
    pub(crate) manifest: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) head: PathBuf,
    pub(crate) parts: PathBuf,
    pub(crate) quarantine: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            format: root.join("FORMAT"),
            manifest: root.join("MANIFEST"),
            log: root.join("log"),
            head: root.join("head"),
            parts: root.join("parts"),
            quarantine: root.join("quarantine"),
        }
    }
}

/// What one lock guards: the order of batches, and which instances and parts readers see.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) head: Head,
    /// `None` until the first batch (or while the disk does not let a segment be begun).
    pub(crate) log: Option<LogWriter>,
    /// Number and first sequence number of the segment to begin next, while there is none.
    pub(crate) log_next: (u64, u64),
    pub(crate) parts: Arc<PartSet>,
    pub(crate) samples_since_checkpoint: u64,
    /// The view that readers share until the next batch.
    pub(crate) pinned: Option<Arc<Pinned>>,
    pub(crate) closed: bool,
    /// Chains of records do not reach from one epoch into the next: a segment or a checkpoint begins there.
    pub(crate) chain_epoch: u64,
    unlogged: Vec<u32>,
}

impl Core {
    pub(crate) fn new(head: Head, parts: PartSet, log_next: (u64, u64)) -> Self {
        Self {
            head,
            log: None,
            log_next,
            parts: Arc::new(parts),
            samples_since_checkpoint: 0,
            pinned: None,
            closed: false,
            chain_epoch: 1,
            unlogged: Vec::new(),
        }
    }

    /// The last record written.
    pub(crate) fn last_seq(&self) -> u64 {
        self.log.as_ref().map_or(self.log_next.1 - 1, LogWriter::last_seq)
    }

    /// The log, begun if it is not yet.
    fn log(&mut self, inner: &Inner) -> Result<&mut LogWriter, TsdbError> {
        let log = match self.log.take() {
            Some(log) => log,
            None => {
                let bytes = inner.options.segment_bytes;
                // The disk may not have let us make them when the database was opened.
                crate::recover::make_folders(&*inner.disk, &inner.paths).map_err(TsdbError::io(&inner.paths.root))?;
                LogWriter::create(Arc::clone(&inner.disk), &inner.paths.log, self.log_next, bytes)?
            }
        };
        Ok(self.log.insert(log))
    }
}

/// What a reader holds.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) head: HeadView,
    pub(crate) parts: Arc<PartSet>,
}

/// What happened since the start, for our own metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commit_failures: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) seals: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) lost_records: AtomicU64,
}

/// Everything that appenders, readers and maintenance share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) paths: Paths,
    pub(crate) options: Options,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) core: Mutex<Core>,
    pub(crate) syncer: Syncer,
    /// Held by whoever seals, compacts, deletes or writes a checkpoint: one of them at a time. Guards the manifest.
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) metadata: Mutex<MetadataStore>,
    pub(crate) tails: Mutex<Tails>,
    pub(crate) quarantine: Quarantine,
    /// Pages of parts, shared by all of them.
    pub(crate) cache: PageCache,
    /// When idle series were last looked for, in milliseconds of the monotonic clock.
    pub(crate) idle_looked_ms: AtomicU64,
    pub(crate) counters: Counters,
    /// The generation of series references; another one after series were forgotten.
    pub(crate) generation: AtomicU32,
    /// Counts deletions and samples that are not the newest of their series.
    pub(crate) history: AtomicU64,
    next_chain: AtomicU64,
    /// Buffers of batches: a thousand idle senders need not keep one each.
    spare_rows: Mutex<Vec<BatchRows>>,
    /// Keeps other processes out. `None` on a disk that does not let a lock be taken, which nobody can write to.
    _lock: Option<Box<dyn DiskLock>>,
}

impl Inner {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }

    pub(crate) fn pin(&self) -> Result<Arc<Pinned>, StorageError> {
        let mut core = self.core();
        if core.closed {
            return Err(StorageError::NotReady("it was closed".to_owned()));
        }
        if let Some(pinned) = &core.pinned {
            return Ok(Arc::clone(pinned));
        }
        let pinned = Arc::new(Pinned { head: core.head.view(), parts: Arc::clone(&core.parts) });
        core.pinned = Some(Arc::clone(&pinned));
        Ok(pinned)
    }

    fn rules(&self, parts_end: i64) -> TimeRules {
        let now = self.clock.now();
        TimeRules {
            oldest: now.minus(self.options.retention).millis(),
            newest: now.plus(self.options.ahead_max).millis(),
            late_ms: millis(self.options.out_of_order_window),
            parts_end,
        }
    }
}

/// An open database. Clones are the same database.
#[derive(Clone, Debug)]
pub struct Db {
    pub(crate) inner: Arc<Inner>,
}

/// What [`Db::open`] puts together.
pub(crate) struct Opened {
    pub(crate) paths: Paths,
    pub(crate) core: Core,
    pub(crate) manifest: Manifest,
    pub(crate) metadata: MetadataStore,
    pub(crate) quarantine: Quarantine,
    pub(crate) cache: PageCache,
    pub(crate) lost_records: u64,
    /// Whether what was replayed is on the disk, or why it may not be.
    pub(crate) synced: Result<(), String>,
    pub(crate) lock: Option<Box<dyn DiskLock>>,
}

impl Db {
    /// Opens the database in a folder, or begins one. Only another process in the same folder, or a version of the
    /// format that this program does not know, keep it from opening.
    pub fn open(root: &Path, options: Options, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Result<Self, TsdbError> {
        let opened = crate::recover::open(root, &options, &disk, &clock)?;
        let syncer = Syncer::start(options.sync_window).map_err(TsdbError::io(root))?;
        if let Err(reason) = opened.synced {
            syncer.failed_before(opened.core.last_seq(), reason);
        }
        let tails = Tails::new(&opened.manifest.tails);
        let inner = Inner {
            disk,
            paths: opened.paths,
            options,
            clock,
            core: Mutex::new(opened.core),
            syncer,
            manifest: Mutex::new(opened.manifest),
            metadata: Mutex::new(opened.metadata),
            tails: Mutex::new(tails),
            quarantine: opened.quarantine,
            cache: opened.cache,
            idle_looked_ms: AtomicU64::new(0),
            counters: Counters { lost_records: opened.lost_records.into(), ..Counters::default() },
            generation: AtomicU32::new(0),
            history: AtomicU64::new(0),
            next_chain: AtomicU64::new(0),
            spare_rows: Mutex::default(),
            _lock: opened.lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Refuses what comes from now on, syncs the log and writes a checkpoint, so that the next start has nothing to
    /// replay. Not needed for safety: a database that was killed opens as well.
    pub fn close(&self) -> Result<(), TsdbError> {
        self.inner.core().closed = true;
        let outcome = self.checkpoint();
        self.inner.syncer.stop();
        outcome
    }

    /// What was damaged and put aside since the start.
    #[must_use]
    pub fn quarantine(&self) -> Vec<crate::quarantine::Report> {
        self.inner.quarantine.reports()
    }
}

impl Queryable for Db {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageError> {
        Ok(Arc::new(DbSnapshot::new(Arc::clone(&self.inner), self.inner.pin()?)))
    }

    fn series_generation(&self) -> u64 {
        self.inner.core().head.series_generation
    }

    fn history_generation(&self) -> Option<u64> {
        // Under the lock, so that whoever sees a change does not see an older number.
        let _core = self.inner.core();
        Some(self.inner.history.load(Ordering::Acquire))
    }
}

impl Appendable for Db {
    fn appender(&self, sender: Sender<'_>) -> Result<Box<dyn Appender>, StorageError> {
        Ok(Box::new(DbAppender {
            inner: Arc::clone(&self.inner),
            sender: Labels::from_pairs([("", sender.0)]).stable_hash(),
            // A chain belongs to one appender, whatever its sender is called: two must not continue each other's.
            chain_id: self.inner.next_chain.fetch_add(1, Ordering::Relaxed),
            chain: Chain::default(),
            generation: self.inner.generation.load(Ordering::Acquire),
            rows: BatchRows::default(),
            refused: Vec::new(),
        }))
    }
}

/// One sender's way in.
struct DbAppender {
    inner: Arc<Inner>,
    sender: u64,
    chain_id: u64,
    chain: Chain,
    /// The generation of the references in `rows`.
    generation: u32,
    rows: BatchRows,
    refused: Vec<Refused>,
}

/// What became of a batch under the lock.
struct Logged {
    seq: u64,
    committed: Committed,
}

impl DbAppender {
    /// Whether a reference is of this generation; one that is not is refused here.
    fn knows(&mut self, series: SeriesRef, time: Timestamp) -> bool {
        self.follow_generation();
        if (series.0 >> 32) as u32 == self.generation {
            return true;
        }
        self.refused.push(Refused { series, time, reason: Refusal::UnknownSeries });
        false
    }

    /// A batch is of the generation in which it was begun.
    fn follow_generation(&mut self) {
        if self.rows.is_empty() {
            self.generation = self.inner.generation.load(Ordering::Acquire);
            if self.rows.ids.capacity() == 0 {
                self.rows = lock(&self.inner.spare_rows).pop().unwrap_or_default();
            }
        }
    }

    /// With whom a new series shares its times: the targets of one sender.
    fn clock_key(&self, labels: &Labels) -> u64 {
        labels.only(&["instance", "job"]).stable_hash() ^ self.sender.rotate_left(17)
    }

    /// Empties the batch; its buffers go to whoever begins the next one.
    fn clear(&mut self) {
        self.refused.clear();
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        let mut spare = lock(&self.inner.spare_rows);
        if spare.len() < SPARE_ROWS_MAX && (1..=SPARE_SAMPLES_MAX).contains(&rows.ids.capacity()) {
            spare.push(rows);
        }
    }

    /// Judges, logs and applies the batch.
    fn store(&mut self, inner: &Inner) -> Result<Logged, StorageError> {
        let mut core = inner.core();
        if core.closed {
            return Err(StorageError::NotReady("it was closed".to_owned()));
        }
        core.pinned = None;
        let mut committed = Committed { refused: std::mem::take(&mut self.refused), ..Committed::default() };
        if self.generation != inner.generation.load(Ordering::Acquire) {
            self.refuse_all(&mut committed);
        }
        let judged_from = committed.refused.len();
        let parts = Arc::clone(&core.parts);
        let earlier = |labels: &Labels| parts.newest_of(labels);
        core.head.admit(&mut self.rows, &inner.rules(parts.end), &earlier, &mut committed);
        self.bound_late(inner, &core.head, &mut committed);
        let generation = u64::from(self.generation) << 32;
        for refused in &mut committed.refused[judged_from..] {
            refused.series.0 |= generation;
        }
        let metadata = lock(&inner.metadata).unknown(&self.rows.metadata);
        if metadata.is_empty() {
            self.rows.metadata.clear();
        } else {
            self.rows.metadata = metadata;
        }
        if self.rows.is_empty() {
            return Ok(Logged { seq: core.last_seq(), committed });
        }
        if let Err(error) = self.log(inner, &mut core) {
            core.head.take_back();
            let unlogged = std::mem::take(&mut core.unlogged);
            core.head.mark_unlogged(&unlogged);
            self.chain.restart();
            return Err(error);
        }
        core.head.apply(&self.rows);
        if committed.late > 0 {
            inner.history.fetch_add(1, Ordering::AcqRel);
        }
        lock(&inner.metadata).put_all(&self.rows.metadata);
        core.samples_since_checkpoint += self.rows.samples() as u64;
        Ok(Logged { seq: core.last_seq(), committed })
    }

    /// Writes the batch, and before it the labels of series that this segment does not name yet.
    fn log(&mut self, inner: &Inner, core: &mut Core) -> Result<(), StorageError> {
        core.log(inner).map_err(storage_error)?;
        let Core { head, log: Some(log), unlogged, chain_epoch, .. } = core else {
            return Err(StorageError::NotReady("the log is not open".to_owned()));
        };
        if inner.syncer.take_give_up() {
            log.poison();
        }
        if log.make_ready().map_err(storage_error)? {
            *chain_epoch += 1;
        }
        log.discard();
        head.unlogged(&self.rows, log.segment() as u32, unlogged);
        let mut fits = true;
        if !unlogged.is_empty() {
            let entries: Vec<_> = unlogged.iter().filter_map(|id| head.entry(*id)).collect();
            fits = log.put(RecordKind::Series, |out| batch::encode_series(&entries, out));
        }
        let chain = &mut self.chain;
        fits = fits
            && self.rows.samples() <= batch::SAMPLES_MAX
            && log.put(RecordKind::Batch, |out| batch::encode(&self.rows, self.chain_id, *chain_epoch, chain, out));
        if !fits {
            return Err(StorageError::TooLarge(format!("a batch of {} samples", self.rows.samples())));
        }
        log.write().map_err(storage_error)?;
        inner.syncer.wrote(&log.file(), log.last_seq());
        unlogged.clear();
        Ok(())
    }

    /// Series were forgotten between resolving and committing: all references are void.
    fn refuse_all(&mut self, committed: &mut Committed) {
        let generation = u64::from(self.generation) << 32;
        let refused = |id: u32, time: i64| Refused {
            series: SeriesRef(generation | u64::from(id)),
            time: Timestamp(time),
            reason: Refusal::UnknownSeries,
        };
        let rows = &self.rows;
        committed.refused.extend(rows.ids.iter().zip(&rows.times).map(|(id, time)| refused(*id, *time)));
        committed.refused.extend(rows.rich.iter().map(|row| refused(row.id, row.time)));
        let metadata = std::mem::take(&mut self.rows.metadata);
        self.rows.clear();
        self.rows.metadata = metadata;
    }

    /// Refuses late samples while too many wait for their seal.
    fn bound_late(&mut self, inner: &Inner, head: &Head, committed: &mut Committed) {
        let max = inner.options.late_samples_max.saturating_mul(LATE_REFUSED_FACTOR);
        let late = self.rows.late.len() + self.rows.late_rich.len();
        if late == 0 || head.late_count + late <= max {
            return;
        }
        let reason = Refusal::Limit {
            limit: "out-of-order samples waiting in memory",
            offender: "all senders".to_owned(),
            max: max as u64,
            found: (head.late_count + late) as u64,
        };
        let refused = |id: u32, time: i64| Refused {
            series: SeriesRef(u64::from(id)),
            time: Timestamp(time),
            reason: reason.clone(),
        };
        committed.refused.extend(self.rows.late.drain(..).map(|row| refused(row.id, row.time)));
        committed.refused.extend(self.rows.late_rich.drain(..).map(|row| refused(row.id, row.time)));
        committed.appended -= late as u64;
        committed.late = 0;
    }
}

impl Appender for DbAppender {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refusal> {
        let inner = Arc::clone(&self.inner);
        let mut core = inner.core();
        // Under the lock, so that it is the generation of the id.
        let generation = u64::from(inner.generation.load(Ordering::Acquire)) << 32;
        if let Some(id) = core.head.index.get(labels) {
            return Ok(SeriesRef(generation | u64::from(id)));
        }
        crate::limits::check_labels(labels, &inner.options.limits)?;
        crate::limits::check_room(&core.head, labels, self.sender, &inner.options.limits)?;
        core.pinned = None;
        let id = core.head.resolve(labels, || self.clock_key(labels));
        core.head.census.add(labels.get(METRIC_NAME).unwrap_or(""), self.sender);
        Ok(SeriesRef(generation | u64::from(id)))
    }

    fn append(&mut self, series: SeriesRef, time: Timestamp, value: f64) {
        if self.knows(series, time) {
            self.rows.ids.push(series.0 as u32);
            self.rows.times.push(time.millis());
            self.rows.values.push(value);
        }
    }

    fn append_row(&mut self, series: &[SeriesRef], time: Timestamp, values: &[f64]) {
        self.follow_generation();
        let generation = u64::from(self.generation);
        if series.len() != values.len() || series.iter().any(|series| series.0 >> 32 != generation) {
            for (series, value) in series.iter().zip(values) {
                self.append(*series, time, *value);
            }
            return;
        }
        self.rows.ids.extend(series.iter().map(|series| series.0 as u32));
        self.rows.times.resize(self.rows.times.len() + series.len(), time.millis());
        self.rows.values.extend_from_slice(values);
    }

    fn append_value(&mut self, series: SeriesRef, time: Timestamp, value: &SampleValue, start_time: i64) {
        let value = match value {
            SampleValue::Float(value) if start_time == 0 => return self.append(series, time, *value),
            SampleValue::Float(value) => RichValue::Float(*value),
            SampleValue::Histogram(value) => RichValue::Histogram(HistogramSample::Float(Arc::clone(value))),
            SampleValue::IntHistogram(value) => RichValue::Histogram(HistogramSample::Int(Arc::clone(value))),
        };
        if let RichValue::Histogram(histogram) = &value
            && let Err(reason) = check_histogram(histogram)
        {
            return self.refused.push(Refused { series, time, reason });
        }
        if self.knows(series, time) {
            self.rows.rich.push(RichRow { id: series.0 as u32, time: time.millis(), start: start_time, value });
        }
    }

    fn exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) {
        if (series.0 >> 32) as u32 == self.generation {
            self.rows.exemplars.push((series.0 as u32, exemplar.clone()));
        }
    }

    fn metadata(&mut self, metadata: &Metadata) {
        self.rows.metadata.push(metadata.clone());
    }

    fn commit(&mut self, durability: Durability) -> Result<Committed, StorageError> {
        let inner = Arc::clone(&self.inner);
        let stored = self.store(&inner);
        self.clear();
        let counters = &inner.counters;
        let logged = match stored {
            Ok(logged) => logged,
            Err(error) => {
                counters.commit_failures.fetch_add(1, Ordering::Relaxed);
                return Err(error);
            }
        };
        counters.commits.fetch_add(1, Ordering::Relaxed);
        counters.appended.fetch_add(logged.committed.appended, Ordering::Relaxed);
        counters.duplicates.fetch_add(logged.committed.duplicates, Ordering::Relaxed);
        counters.late.fetch_add(logged.committed.late, Ordering::Relaxed);
        counters.refused.fetch_add(logged.committed.refused.len() as u64, Ordering::Relaxed);
        if durability == Durability::Synced || inner.syncer.every_commit() {
            inner.make_durable(logged.seq)?;
        }
        Ok(logged.committed)
    }

    fn rollback(&mut self) {
        self.clear();
    }
}

impl Inner {
    /// Waits for the disk. After a failed sync only a checkpoint makes durable what the lost segment held.
    fn make_durable(&self, seq: u64) -> Result<(), StorageError> {
        if self.syncer.needs_repair() {
            crate::checkpoint::write(self).map_err(|error| StorageError::NotSynced(error.to_string()))?;
        }
        self.syncer.wait(seq).map_err(StorageError::NotSynced)
    }
}

/// What an error of ours is to a reader or writer.
pub(crate) fn storage_error(error: TsdbError) -> StorageError {
    if error.is_disk_full() {
        return StorageError::NoSpace(error.to_string());
    }
    match error {
        TsdbError::Io { path, source } => {
            StorageError::Io(std::io::Error::new(source.kind(), format!("{}: {source}", path.display())))
        }
        other => StorageError::Io(std::io::Error::other(other.to_string())),
    }
}
