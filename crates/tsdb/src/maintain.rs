//! What is done from time to time, by whoever calls [`Db::maintain`]: the appliance every few seconds.
//!
//! One call does what is due and returns: idle series give buffers back, windows are sealed, a checkpoint is written,
//! parts are merged and dropped. A failure of one piece does not keep the others from being tried.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::checkpoint;
use crate::compact;
use crate::db::{Db, Inner, Paths};
use crate::error::TsdbError;
use crate::index::{Cardinality, Ids};
use crate::io::replace_file;
use crate::manifest::{FORMAT_VERSION, Manifest, format_record};
use crate::options::millis;
use crate::parts::part_path;
use crate::seal;
use crate::sync::lock;

/// Instances open at once; a backfill of more windows seals the oldest early. Each costs 512 bytes for 64 series.
const INSTANCES_MAX: usize = 16;
/// A window whose spill has grown to this is sealed early: places end at 32 GiB.
const SPILL_BYTES_MAX: u64 = 8 << 30;
/// Chunks looked at for idle series under one hold of the lock.
const CHUNKS_AT_ONCE: usize = 64;
/// Series are forgotten when at least so many, and at least half of all, hold nothing: it takes the lock for long.
const FORGET_SERIES_MIN: usize = 10_000;

/// Figures about the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series in the head, and those that were new since the start.
    pub head_series: u64,
    pub series_created: u64,
    /// About how many bytes the head holds on the heap.
    pub head_bytes: u64,
    pub parts: u64,
    pub part_bytes: u64,
    pub part_samples: u64,
    /// Bytes of log, spills and checkpoints on disk.
    pub log_and_head_bytes: u64,
    pub appended: u64,
    pub duplicates: u64,
    pub late: u64,
    pub refused: u64,
    pub commits: u64,
    pub commit_failures: u64,
    pub syncs: u64,
    pub sync_failures: u64,
    pub checkpoints: u64,
    pub seals: u64,
    pub compactions: u64,
    /// Records of the log that could not be read at the start.
    pub lost_records: u64,
    /// Things put into quarantine since the start.
    pub quarantined: u64,
    pub tombstones: u64,
    pub exemplars: u64,
}

impl Db {
    /// Does what is due. The first failure is returned after everything was tried.
    pub fn maintain(&self) -> Result<(), TsdbError> {
        let inner = &*self.inner;
        let mut manifest = lock(&inner.manifest);
        if inner.core().closed {
            return Ok(());
        }
        release_idle(inner);
        let sealed = seal_due(inner, &mut manifest);
        forget_series(inner);
        let saved = checkpoint_due(inner, &mut manifest);
        let retained = compact::retain(inner, &mut manifest);
        let merged = compact::step(inner, &mut manifest, false);
        let index = Arc::clone(&inner.core().head.index);
        while index.maintain() {}
        sealed.and(saved).and(retained.map(|_| ())).and(merged.map(|_| ()))
    }

    /// Seals the head and brings the parts to their final form.
    pub fn flush(&self) -> Result<(), TsdbError> {
        let inner = &*self.inner;
        let mut manifest = lock(&inner.manifest);
        seal::seal_where(inner, &mut manifest, &|_| true)?;
        while compact::step(inner, &mut manifest, true)? {}
        checkpoint::write_locked(inner, &mut manifest)
    }

    /// A consistent copy in a new folder, openable as a database: parts by hard links, the head sealed first.
    pub fn snapshot_to(&self, target: &Path) -> Result<(), TsdbError> {
        let inner = &*self.inner;
        let mut manifest = lock(&inner.manifest);
        if inner.disk.exists(target).map_err(TsdbError::io(target))? {
            return Err(TsdbError::Refused(format!("{}: exists already", target.display())));
        }
        seal::seal_where(inner, &mut manifest, &|_| true)?;
        let paths = Paths::new(target);
        for folder in [&paths.root, &paths.parts] {
            inner.disk.create_dir_all(folder).map_err(TsdbError::io(folder))?;
        }
        for entry in &manifest.parts {
            let to = part_path(&paths.parts, entry.number);
            inner.disk.hard_link(&part_path(&inner.paths.parts, entry.number), &to).map_err(TsdbError::io(&to))?;
        }
        inner.disk.sync_dir(&paths.parts).map_err(TsdbError::io(&paths.parts))?;
        let copied = Manifest {
            parts: manifest.parts.clone(),
            next_part: manifest.next_part,
            tombstones: manifest.tombstones.clone(),
            ..Manifest::default()
        };
        copied.store(&*inner.disk, &paths.manifest)?;
        // Last: a folder without it was not finished.
        replace_file(&*inner.disk, &paths.format, &format_record(FORMAT_VERSION)).map_err(TsdbError::io(&paths.format))
    }

    /// The files that never change again, for a backup that copies only what is new.
    #[must_use]
    pub fn immutable_files(&self) -> Vec<PathBuf> {
        self.inner.core().parts.parts.iter().map(|part| part.path.clone()).collect()
    }

    /// The sealed parts, oldest first.
    #[must_use]
    pub fn part_infos(&self) -> Vec<crate::part::PartInfo> {
        let mut parts: Vec<_> = self.inner.core().parts.parts.iter().map(|part| part.info().clone()).collect();
        parts.sort_by_key(|info| (info.range.start, info.range.end));
        parts
    }

    /// Where the series of the head come from, at most `limit` entries in each list.
    #[must_use]
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        let index = Arc::clone(&self.inner.core().head.index);
        index.snapshot().cardinality(limit)
    }

    /// Figures about the database.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = &*self.inner;
        let counters = &inner.counters;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (syncs, sync_failures) = inner.syncer.counts();
        let log_and_head_bytes = inner.bytes_of_head_and_log();
        let core = inner.core();
        Stats {
            head_series: core.head.index.len() as u64,
            series_created: core.head.census.created,
            head_bytes: core.head.heap_bytes() as u64,
            parts: core.parts.parts.len() as u64,
            part_bytes: core.parts.bytes(),
            part_samples: core.parts.parts.iter().map(|part| part.info().samples).sum(),
            log_and_head_bytes,
            appended: count(&counters.appended),
            duplicates: count(&counters.duplicates),
            late: count(&counters.late),
            refused: count(&counters.refused),
            commits: count(&counters.commits),
            commit_failures: count(&counters.commit_failures),
            syncs,
            sync_failures,
            checkpoints: count(&counters.checkpoints),
            seals: count(&counters.seals),
            compactions: count(&counters.compactions),
            lost_records: count(&counters.lost_records),
            quarantined: inner.quarantine.count(),
            tombstones: core.parts.tombstones.len() as u64,
            exemplars: core.head.exemplars.len() as u64,
        }
    }
}

/// Series without samples for a while give their buffers back.
fn release_idle(inner: &Inner) {
    let now = inner.clock.monotonic().as_millis() as u64;
    let looked = inner.idle_looked_ms.load(Ordering::Relaxed);
    if now.saturating_sub(looked) < millis(inner.options.idle) as u64 {
        return;
    }
    inner.idle_looked_ms.store(now, Ordering::Relaxed);
    let chunks = inner.core().head.chunks.len();
    for from in (0..chunks).step_by(CHUNKS_AT_ONCE) {
        let mut core = inner.core();
        core.pinned = None;
        let range = from..(from + CHUNKS_AT_ONCE).min(chunks);
        core.head.visit_chunks(range, &|chunk| chunk.has_idle_or_busy(), &mut |chunk, cx| {
            chunk.release_idle(cx);
        });
    }
}

/// Seals what is over and settled, what holds too many late samples, and what a failed seal left.
fn seal_due(inner: &Inner, manifest: &mut Manifest) -> Result<(), TsdbError> {
    let now = inner.clock.now().millis();
    let delay = millis(inner.options.seal_delay);
    let (many_late, too_many) = {
        let mut core = inner.core();
        core.head.instances.tick(now);
        let mut touched: Vec<i64> = core.head.instances.iter().map(|instance| instance.touched).collect();
        touched.sort_unstable();
        let too_many = touched.len().checked_sub(INSTANCES_MAX + 1).map(|over| touched[over]);
        (core.head.late_count >= inner.options.late_samples_max, too_many)
    };
    seal::seal_where(inner, manifest, &|instance| {
        let over = instance.last.saturating_add(delay) <= now && instance.touched.saturating_add(delay) <= now;
        let large = instance.spill.bytes() >= SPILL_BYTES_MAX;
        over || instance.sealing || many_late || large || too_many.is_some_and(|touched| instance.touched <= touched)
    })
}

fn checkpoint_due(inner: &Inner, manifest: &mut Manifest) -> Result<(), TsdbError> {
    let due = {
        let core = inner.core();
        let bound = inner.options.checkpoint_samples.max(10 * core.head.index.len() as u64);
        core.samples_since_checkpoint >= bound
    };
    if due || inner.syncer.needs_repair() { checkpoint::write_locked(inner, manifest) } else { Ok(()) }
}

/// Forgets series that hold nothing, when they are many. All references become void; senders resolve again.
fn forget_series(inner: &Inner) {
    let mut core = inner.core();
    let series = core.head.index.len();
    if series < FORGET_SERIES_MIN {
        return;
    }
    let newest_idle = inner.clock.now().minus(inner.options.window).millis();
    let keep: Ids = core.head.ids_in_use(newest_idle).collect();
    if (keep.len() as usize) > series / 2 {
        return;
    }
    core.pinned = None;
    core.head.forget(&keep);
    // Ids mean other series from here on, so the log goes on in another segment.
    if let Some(log) = core.log.take() {
        core.log_next = (log.segment() + 1, log.last_seq() + 1);
    }
    core.chain_epoch += 1;
    inner.generation.fetch_add(1, Ordering::AcqRel);
}
