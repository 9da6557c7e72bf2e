//! Fewer, larger parts: small ones of the same day become one, days become fortnights; what is deleted goes for good.
//!
//! Each sample is rewritten at most once for each tier. A part that replaces others is written and synced, then named
//! by the manifest, then seen by readers, then the others go; a crash in between costs only work.
//! Promise: the inputs of a merge that could not read all of them go to quarantine and are not removed, so what a
//! passing fault hides is not lost by it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::storage::TimeRange;

use crate::db::{Db, Inner};
use crate::error::TsdbError;
use crate::manifest::{Manifest, PartEntry, Tombstone};
use crate::options::millis;
use crate::part::{MergeOptions, PartOptions, PartRead, PartReader, merge_parts};
use crate::parts::{Part, PartSet, part_path};
use crate::sync::lock;

const DAY_MS: i64 = 86_400_000;
/// The tiers: spans of time whose parts become one. The second is used only where it is at most a tenth of the
/// retention, because a part goes as a whole.
const TIERS: [(u8, i64); 2] = [(1, DAY_MS), (2, 14 * DAY_MS)];
/// So many parts of one window (a seal, and what came late for it) are merged before their day is over.
const WINDOW_PARTS_MAX: usize = 4;

/// Which parts are to become one.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    numbers: Vec<u64>,
    level: u8,
    final_form: bool,
}

fn bucket(range: TimeRange, span: i64) -> Option<i64> {
    let bucket = range.start.millis().div_euclid(span);
    (range.end.millis().div_euclid(span) == bucket).then_some(bucket)
}

/// Groups the parts of lower tiers by their span of time.
fn groups(set: &PartSet, level: u8, span: i64) -> BTreeMap<i64, Vec<&Part>> {
    let mut groups: BTreeMap<i64, Vec<&Part>> = BTreeMap::new();
    for part in set.parts.iter().filter(|part| part.info().level <= level) {
        if let Some(bucket) = bucket(part.info().range, span) {
            groups.entry(bucket).or_default().push(part);
        }
    }
    groups
}

fn plan_of(parts: &[&Part], level: u8) -> Plan {
    Plan { numbers: parts.iter().map(|part| part.entry.number).collect(), level, final_form: level > 0 }
}

/// The next merge that is due; `None` if there is none. With `finish` spans that are not over count as over.
fn plan(inner: &Inner, set: &PartSet, finish: bool) -> Option<Plan> {
    let now = inner.clock.now().millis();
    let settled = millis(inner.options.window) + millis(inner.options.seal_delay);
    for (level, span) in TIERS {
        if level > 1 && span > millis(inner.options.retention) / 10 {
            continue;
        }
        for (bucket, parts) in groups(set, level, span) {
            let over = (bucket + 1).saturating_mul(span).saturating_add(settled) <= now;
            let lower = parts.iter().any(|part| part.info().level < level);
            let several = parts.len() > 1;
            if (over || finish && level == 1) && lower && (several || finish || level == 1) {
                return Some(plan_of(&parts, level));
            }
        }
    }
    let crowded =
        groups(set, 0, millis(inner.options.window)).into_values().find(|parts| parts.len() >= WINDOW_PARTS_MAX);
    crowded.map(|parts| plan_of(&parts, 0))
}

/// Does the next merge; false if none was due.
pub(crate) fn step(inner: &Inner, manifest: &mut Manifest, finish: bool) -> Result<bool, TsdbError> {
    let set = Arc::clone(&inner.core().parts);
    let Some(plan) = plan(inner, &set, finish) else { return Ok(false) };
    merge(inner, manifest, &set, &plan)?;
    inner.counters.compactions.fetch_add(1, Ordering::Relaxed);
    Ok(true)
}

fn merge(inner: &Inner, manifest: &mut Manifest, set: &PartSet, plan: &Plan) -> Result<(), TsdbError> {
    // Of two samples with the same time the later input wins, and the first accepted is to win.
    let inputs: Vec<&Arc<Part>> =
        set.parts.iter().rev().filter(|part| plan.numbers.contains(&part.entry.number)).collect();
    let readers: Vec<Arc<dyn PartRead>> = inputs.iter().map(|part| Arc::clone(&part.reader)).collect();
    let number = manifest.next_part;
    let path = part_path(&inner.paths.parts, number);
    let unknown = OnceCell::new();
    let drop = |input: usize, id: u32| -> Vec<TimeRange> {
        if set.tombstones.is_empty() {
            return Vec::new();
        }
        let part = inputs[input];
        part.reader.labels(id).map(|labels| set.cuts(part.entry.number, &labels)).unwrap_or_else(|error| {
            let _ = unknown.set(error);
            Vec::new()
        })
    };
    let options = MergeOptions {
        part: PartOptions { level: plan.level, id: number, final_form: plan.final_form },
        keep: TimeRange::ALL,
        drop: &drop,
    };
    let merged = merge_parts(Arc::clone(&inner.disk), &path, &readers, &options)?;
    if let Some(error) = unknown.into_inner() {
        // Whether something of this series is deleted was not known: it must not come back.
        return Err(error);
    }
    for gap in &merged.gaps {
        inner.quarantine.note(&path, &gap.reason);
    }
    let replaced = match merged.part {
        None => None,
        Some(_) => {
            let order = inputs.iter().map(|part| part.entry.order).min().unwrap_or(number);
            let reader = PartReader::open(&*inner.disk, &path, &inner.cache)?;
            Some(Arc::new(Part { entry: PartEntry { number, order }, path, reader: Arc::new(reader) }))
        }
    };
    let incomplete = !merged.gaps.is_empty();
    replace(inner, manifest, &plan.numbers, (replaced, incomplete))
}

/// Makes it known, on disk and then to readers, that parts are gone and one is there instead.
fn replace(
    inner: &Inner,
    manifest: &mut Manifest,
    gone: &[u64],
    (part, incomplete): (Option<Arc<Part>>, bool),
) -> Result<(), TsdbError> {
    let mut changed = manifest.clone();
    changed.parts.retain(|entry| !gone.contains(&entry.number));
    if let Some(part) = &part {
        changed.parts.push(part.entry);
        changed.next_part = changed.next_part.max(part.entry.number + 1);
    }
    drop_needless_tombstones(&mut changed);
    manifest.commit(&*inner.disk, &inner.paths, changed, part.as_ref().map(|part| part.entry.number))?;
    {
        let mut core = inner.core();
        core.pinned = None;
        core.parts = Arc::new(core.parts.changed(gone, part, manifest));
        core.head.series_generation += 1;
    }
    for number in gone {
        let path = part_path(&inner.paths.parts, *number);
        if incomplete {
            inner.quarantine.keep_file(&path, "replaced by a part that lacks what could not be read of this one");
        } else {
            let _ = inner.disk.remove(&path);
        }
    }
    Ok(())
}

/// A tombstone is done with when no part is left that it may hide anything of.
fn drop_needless_tombstones(manifest: &mut Manifest) {
    let parts = &manifest.parts;
    manifest.tombstones.retain(|tombstone| parts.iter().any(|part| part.number < tombstone.below));
}

/// Removes the parts that retention keeps no longer.
pub(crate) fn retain(inner: &Inner, manifest: &mut Manifest) -> Result<usize, TsdbError> {
    let set = Arc::clone(&inner.core().parts);
    let oldest = inner.clock.now().minus(inner.options.retention);
    let mut gone: Vec<u64> =
        set.parts.iter().filter(|part| part.info().range.end < oldest).map(|part| part.entry.number).collect();
    if inner.options.retention_bytes > 0 {
        let mut bytes = set.bytes() + inner.bytes_of_head_and_log();
        let mut parts: Vec<&Arc<Part>> = set.parts.iter().collect();
        parts.sort_by_key(|part| part.info().range.end);
        for part in parts {
            if bytes <= inner.options.retention_bytes {
                break;
            }
            if !gone.contains(&part.entry.number) {
                gone.push(part.entry.number);
            }
            bytes -= part.info().bytes;
        }
    }
    if !gone.is_empty() {
        replace(inner, manifest, &gone, (None, false))?;
        inner.history.fetch_add(1, Ordering::AcqRel);
    }
    Ok(gone.len())
}

impl Inner {
    /// Bytes of log, spills and checkpoints.
    pub(crate) fn bytes_of_head_and_log(&self) -> u64 {
        let bytes = |folder| {
            let entries = self.disk.list(folder).unwrap_or_default();
            entries.iter().map(|entry| entry.bytes).sum::<u64>()
        };
        bytes(&self.paths.log) + bytes(&self.paths.head)
    }
}

impl Db {
    /// Deletes the samples that pass all matchers within the range. They are gone when this returns, for readers; the
    /// bytes go with the next merge, or with [`Self::clean_tombstones`].
    pub fn delete(&self, matchers: &[model::matcher::Matcher], range: TimeRange) -> Result<(), TsdbError> {
        if matchers.is_empty() {
            return Err(TsdbError::Refused("a deletion needs at least one matcher".to_owned()));
        }
        let inner = &self.inner;
        let mut manifest = lock(&inner.manifest);
        // What is deleted must stand in parts, so that what is written afterwards is told from it.
        crate::seal::seal_where(inner, &mut manifest, &|instance| {
            instance.start <= range.end.millis() && range.start.millis() <= instance.last
        })?;
        let mut changed = manifest.clone();
        if changed.parts.is_empty() {
            return Ok(());
        }
        let below = changed.next_part;
        changed.tombstones.push(Tombstone { matchers: matchers.to_vec(), range, below });
        manifest.commit(&*inner.disk, &inner.paths, changed, None)?;
        let mut core = inner.core();
        core.pinned = None;
        core.parts = Arc::new(core.parts.changed(&[], None, &manifest));
        core.head.series_generation += 1;
        inner.history.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Rewrites every part that holds deleted samples without them.
    pub fn clean_tombstones(&self) -> Result<(), TsdbError> {
        let inner = &self.inner;
        let mut manifest = lock(&inner.manifest);
        let set = Arc::clone(&inner.core().parts);
        for part in &set.parts {
            if touched(part, &set.tombstones)? {
                let plan = Plan {
                    numbers: vec![part.entry.number],
                    level: part.info().level,
                    final_form: part.info().level > 0,
                };
                let now = Arc::clone(&inner.core().parts);
                merge(inner, &mut manifest, &now, &plan)?;
            }
        }
        let mut changed = manifest.clone();
        changed.tombstones.clear();
        manifest.commit(&*inner.disk, &inner.paths, changed, None)?;
        let mut core = inner.core();
        core.pinned = None;
        core.parts = Arc::new(core.parts.changed(&[], None, &manifest));
        Ok(())
    }
}

/// Whether any series of a part has deleted samples.
fn touched(part: &Part, tombstones: &[Tombstone]) -> Result<bool, TsdbError> {
    for tombstone in tombstones.iter().filter(|tombstone| part.entry.number < tombstone.below) {
        if part.info().range.overlaps(&tombstone.range) && !part.reader.select_matchers(&tombstone.matchers)?.is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use model::time::Timestamp;

    use super::*;

    #[test]
    fn a_part_belongs_to_a_span_only_if_it_lies_within() {
        let range = |start, end| TimeRange::new(Timestamp(start), Timestamp(end));
        assert_eq!(bucket(range(0, DAY_MS - 1), DAY_MS), Some(0));
        assert_eq!(bucket(range(-5, -1), DAY_MS), Some(-1));
        assert_eq!(bucket(range(-5, 1), DAY_MS), None);
        assert_eq!(bucket(range(DAY_MS, DAY_MS), DAY_MS), Some(1));
    }
}
