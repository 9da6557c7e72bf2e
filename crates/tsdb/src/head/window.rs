//! Windows of time in the head, and their instances.
//!
//! Samples of one window (two hours) are sealed into one part. While a window is being sealed, samples that still come
//! for it go to a new instance of the same window, sealed later into a part of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::SavedInstance;
use crate::head::spill::{Spill, SpillView, spill_path};
use crate::io::{self, Disk};

/// One instance as the hot path needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InstanceId {
    pub(crate) id: u32,
    /// The first millisecond of its window.
    pub(crate) start: i64,
    /// The last millisecond of its window.
    last: i64,
}

/// A window's samples that are sealed together.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: u32,
    pub(crate) start: i64,
    /// The last millisecond of the window.
    pub(crate) last: i64,
    /// No new sample is accepted; what is open in the head is being closed.
    pub(crate) sealing: bool,
    /// The last record that may belong to it, once it is sealing.
    pub(crate) cut_seq: u64,
    /// When it was last looked for, as [`Instances::tick`] was told.
    pub(crate) touched: i64,
    /// Seals that failed because not all of the spill could be read; stops at the third, which does not fail.
    pub(crate) unread: u8,
    pub(crate) spill: Spill,
}

/// What was found of an instance that a checkpoint names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restored {
    Whole,
    /// Blocks at the end of its spill are missing.
    Short,
    /// Its spill could not be opened; places in it mean nothing.
    Unreadable,
}

/// What a reader needs to know about an instance.
#[derive(Clone, Debug)]
pub(crate) struct InstanceView {
    pub(crate) id: u32,
    pub(crate) start: i64,
    pub(crate) last: i64,
    pub(crate) spill: SpillView,
}

/// All instances that are not sealed yet.
#[derive(Debug)]
pub(crate) struct Instances {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    window_ms: i64,
    all: Vec<Instance>,
    next_id: u32,
    current: Option<InstanceId>,
    now: i64,
}

impl Instances {
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: &Path, window_ms: i64) -> Self {
        Self { disk, folder: folder.to_owned(), window_ms, all: Vec::new(), next_id: 1, current: None, now: i64::MIN }
    }

    /// The instance that takes samples of this time; made if there is none.
    pub(crate) fn at(&mut self, time: i64) -> InstanceId {
        match self.current {
            Some(current) if current.start <= time && time <= current.last => current,
            _ => self.find_or_begin(time),
        }
    }

    fn find_or_begin(&mut self, time: i64) -> InstanceId {
        let found =
            self.all.iter_mut().find(|instance| !instance.sealing && instance.start <= time && time <= instance.last);
        let current = match found {
            Some(instance) => {
                instance.touched = self.now;
                InstanceId { id: instance.id, start: instance.start, last: instance.last }
            }
            None => self.begin(time),
        };
        self.current = Some(current);
        current
    }

    fn begin(&mut self, time: i64) -> InstanceId {
        let start = time.div_euclid(self.window_ms).saturating_mul(self.window_ms);
        let last = start.saturating_add(self.window_ms - 1);
        let id = self.next_id;
        self.next_id += 1;
        let spill = Spill::new(Arc::clone(&self.disk), &spill_path(&self.folder, id));
        self.all.push(Instance { id, start, last, sealing: false, cut_seq: 0, touched: self.now, unread: 0, spill });
        InstanceId { id, start, last }
    }

    /// Takes up an instance from a checkpoint.
    pub(crate) fn restore(&mut self, saved: &SavedInstance) -> Restored {
        let SavedInstance { id, start, last, spill_bytes, cut_seq } = *saved;
        let path = spill_path(&self.folder, id);
        self.next_id = self.next_id.max(id.saturating_add(1));
        let opened = io::insist(|| Spill::reopen(Arc::clone(&self.disk), &path, spill_bytes)).ok();
        let outcome = match &opened {
            Some((_, true)) => Restored::Whole,
            Some((_, false)) => Restored::Short,
            None => Restored::Unreadable,
        };
        let spill = match opened {
            Some((spill, _)) => spill,
            None => Spill::new(Arc::clone(&self.disk), &path.with_extension("lost")),
        };
        // What came for it after its seal had begun is in another instance, and must go on being so.
        self.all.push(Instance { id, start, last, sealing: cut_seq > 0, cut_seq, touched: self.now, unread: 0, spill });
        outcome
    }

    /// Never gives out ids below this one.
    pub(crate) fn reserve_ids(&mut self, next: u32) {
        self.next_id = self.next_id.max(next);
    }

    pub(crate) const fn next_id(&self) -> u32 {
        self.next_id
    }

    /// The first millisecond of an instance's window.
    pub(crate) fn start_of(&self, id: u32) -> i64 {
        match self.current {
            Some(current) if current.id == id => current.start,
            _ => self.get(id).map_or(0, |instance| instance.start),
        }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Instance> {
        self.all.iter().find(|instance| instance.id == id)
    }

    pub(crate) fn spill_mut(&mut self, id: u32) -> Option<&mut Spill> {
        self.all.iter_mut().find(|instance| instance.id == id).map(|instance| &mut instance.spill)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Instance> {
        self.all.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Instance> {
        self.all.iter_mut()
    }

    /// Accepts no more samples for an instance.
    pub(crate) fn begin_sealing(&mut self, id: u32, cut_seq: u64) {
        self.current = None;
        let open = self.all.iter_mut().find(|instance| instance.id == id && !instance.sealing);
        if let Some(instance) = open {
            instance.sealing = true;
            instance.cut_seq = cut_seq;
        }
    }

    /// A seal failed because not all of the spill could be read.
    pub(crate) fn could_not_read(&mut self, id: u32) {
        if let Some(instance) = self.all.iter_mut().find(|instance| instance.id == id) {
            instance.unread += 1;
        }
    }

    /// Says what time it is, so that instances know when they were last looked for.
    pub(crate) fn tick(&mut self, now: i64) {
        self.now = now;
        self.current = None;
    }

    /// Forgets an instance whose samples are in a part; the file is the caller's to remove.
    pub(crate) fn remove(&mut self, id: u32) {
        self.current = None;
        self.all.retain(|instance| instance.id != id);
    }

    pub(crate) fn views(&self) -> Vec<InstanceView> {
        let view = |instance: &Instance| InstanceView {
            id: instance.id,
            start: instance.start,
            last: instance.last,
            spill: instance.spill.view(),
        };
        let mut views: Vec<InstanceView> = self.all.iter().map(view).collect();
        // Oldest window first, then in the order in which the instances were begun.
        views.sort_by_key(|view| (view.start, view.id));
        views
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::FaultyDisk;

    #[test]
    fn a_window_that_is_being_sealed_gets_a_second_instance() {
        let mut instances = Instances::new(Arc::new(FaultyDisk::new(1)), Path::new("head"), 100);
        let first = instances.at(150);
        assert_eq!((first.start, instances.at(199), instances.at(100)), (100, first, first));
        assert_ne!(instances.at(200).id, first.id);
        instances.begin_sealing(first.id, 0);
        let second = instances.at(150);
        assert_eq!((second.start, second.id != first.id), (100, true));
        instances.remove(first.id);
        assert_eq!(instances.views().iter().map(|view| view.id).collect::<Vec<_>>(), [second.id, 2]);
    }

    #[test]
    fn the_ends_of_time_have_windows_too() {
        let mut instances = Instances::new(Arc::new(FaultyDisk::new(1)), Path::new("head"), 7_200_000);
        for time in [i64::MIN, -1, 0, i64::MAX] {
            let instance = instances.at(time);
            assert!(instance.start <= time && time <= instance.last);
            assert!(time.wrapping_sub(instance.start) < 7_200_000 && time.wrapping_sub(instance.start) >= 0);
        }
    }
}
