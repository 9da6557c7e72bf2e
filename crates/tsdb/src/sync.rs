//! Who waits for the disk: one thread that makes log segments durable for everybody at once.
//!
//! Promises: a commit that asks for it returns only after its record is synced; commits that arrive while a sync runs
//! share the next one; nothing stays unsynced for longer than the window. A failed sync is never tried again on the
//! same file: its segment is given up, and nothing counts as synced until a checkpoint holds all of it.
//! Not here: writing (`log`), the checkpoint that repairs a failed sync (`checkpoint`).

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::io::DiskFile;

/// Takes a lock. A holder that panicked broke an invariant of its own; what it guards is still the best there is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct State {
    /// Segments with bytes that may not be on the disk, oldest first.
    dirty: Vec<Arc<dyn DiskFile>>,
    /// The last record written.
    written: u64,
    /// The last record on the disk.
    synced: u64,
    /// Somebody waits for this record.
    wanted: u64,
    /// Records up to this one may be lost by a power loss, because a sync failed; `None` while all is well.
    failed: Option<(u64, String)>,
    /// The segment in use must be given up.
    give_up_segment: bool,
    stop: bool,
    syncs: u64,
    failures: u64,
}

impl State {
    fn fail_upto(&mut self, seq: u64) {
        self.written = self.written.max(seq);
        self.synced = self.written;
        if let Some((upto, _)) = &mut self.failed {
            *upto = self.written;
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
    /// A sync ended.
    done: Condvar,
    window: Duration,
}

/// The thread and what it knows.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Syncer {
    /// Starts the thread. With a window of zero every commit waits, and the thread never syncs on its own.
    pub(crate) fn start(window: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            work: Condvar::new(),
            done: Condvar::new(),
            window,
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("tsdb-sync".to_owned()).spawn(move || for_thread.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Records of an earlier process may not be on the disk.
    pub(crate) fn failed_before(&self, upto: u64, reason: String) {
        let mut state = lock(&self.shared.state);
        state.failed = Some((0, reason));
        state.fail_upto(upto);
    }

    /// Whether every commit waits for the disk.
    pub(crate) fn every_commit(&self) -> bool {
        self.shared.window.is_zero()
    }

    /// A record was written to this file.
    pub(crate) fn wrote(&self, file: &Arc<dyn DiskFile>, seq: u64) {
        let mut state = lock(&self.shared.state);
        if state.give_up_segment {
            // Still the file whose sync failed: this record shares its fate.
            state.fail_upto(seq);
            return;
        }
        if !state.dirty.last().is_some_and(|last| Arc::ptr_eq(last, file)) {
            state.dirty.push(Arc::clone(file));
        }
        let idle = state.written == state.synced;
        state.written = state.written.max(seq);
        drop(state);
        if idle && !self.every_commit() {
            self.shared.work.notify_one();
        }
    }

    /// Waits until a record is on the disk; the error says why it may not be.
    pub(crate) fn wait(&self, seq: u64) -> Result<(), String> {
        let mut state = lock(&self.shared.state);
        state.wanted = state.wanted.max(seq);
        self.shared.work.notify_one();
        loop {
            if let Some((upto, reason)) = &state.failed
                && seq <= *upto
            {
                return Err(reason.clone());
            }
            if state.synced >= seq {
                return Ok(());
            }
            if state.stop {
                return Err("the storage was closed".to_owned());
            }
            state = wait_on(&self.shared.done, state);
        }
    }

    /// Whether a sync failed since the last repair.
    pub(crate) fn needs_repair(&self) -> bool {
        lock(&self.shared.state).failed.is_some()
    }

    /// Whether the current segment must be given up; asked once, answered once.
    pub(crate) fn take_give_up(&self) -> bool {
        let mut state = lock(&self.shared.state);
        std::mem::take(&mut state.give_up_segment)
    }

    /// A checkpoint holds everything up to this record.
    pub(crate) fn repaired(&self, upto: u64) {
        let mut state = lock(&self.shared.state);
        if state.failed.as_ref().is_some_and(|(failed, _)| *failed <= upto) {
            state.failed = None;
        }
        state.synced = state.synced.max(upto);
        self.shared.done.notify_all();
    }

    /// Syncs run, and those that failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = lock(&self.shared.state);
        (state.syncs, state.failures)
    }

    /// Syncs what is left and ends the thread.
    pub(crate) fn stop(&self) {
        lock(&self.shared.state).stop = true;
        self.shared.work.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // The thread has no way to panic but a broken invariant; then there is nobody left to tell.
            let _ = thread.join();
        }
        self.shared.done.notify_all();
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait_on<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shared {
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            let waiting = state.wanted > state.synced;
            let unsynced = state.written > state.synced && !state.dirty.is_empty();
            if unsynced && (waiting || state.stop) {
                state = self.sync(state);
            } else if state.stop {
                return;
            } else if unsynced && !self.window.is_zero() {
                let (next, outcome) =
                    self.work.wait_timeout(state, self.window).unwrap_or_else(std::sync::PoisonError::into_inner);
                state = if outcome.timed_out() { self.sync(next) } else { next };
            } else {
                state = wait_on(&self.work, state);
            }
        }
    }

    /// Syncs all dirty files, without the lock.
    fn sync<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let target = state.written;
        let files = std::mem::take(&mut state.dirty);
        drop(state);
        let outcome = files.iter().try_for_each(|file| file.sync_data());
        let mut state = lock(&self.state);
        state.syncs += 1;
        match outcome {
            Ok(()) => {
                state.synced = state.synced.max(target);
                // The newest file may have been written to meanwhile.
                if state.written > state.synced
                    && state.dirty.is_empty()
                    && let Some(newest) = files.last()
                {
                    state.dirty.push(Arc::clone(newest));
                }
            }
            Err(error) => {
                state.failures += 1;
                state.failed = Some((0, error.to_string()));
                state.fail_upto(target);
                state.give_up_segment = true;
                state.dirty.clear();
            }
        }
        self.done.notify_all();
        state
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A file whose syncs say that they began and wait until they may end.
    #[derive(Debug)]
    struct Gate {
        began: Mutex<SyncSender<()>>,
        may_end: Mutex<Receiver<std::io::Result<()>>>,
    }

    impl DiskFile for Gate {
        fn append(&self, _: &[u8]) -> std::io::Result<()> {
            Ok(())
        }

        fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
            Ok(())
        }

        fn sync_data(&self) -> std::io::Result<()> {
            lock(&self.began).send(()).expect("the test listens");
            lock(&self.may_end).recv().expect("the test answers")
        }

        fn size(&self) -> std::io::Result<u64> {
            Ok(0)
        }

        fn truncate(&self, _: u64) -> std::io::Result<()> {
            Ok(())
        }

        fn allocate(&self, _: u64) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (Arc<dyn DiskFile>, Receiver<()>, SyncSender<std::io::Result<()>>) {
        let ((began, begun), (end, may_end)) = (sync_channel(16), sync_channel(16));
        (Arc::new(Gate { began: Mutex::new(began), may_end: Mutex::new(may_end) }), begun, end)
    }

    #[test]
    fn a_waiting_write_starts_a_sync_at_once_and_those_that_come_meanwhile_share_the_next() {
        let (file, begun, end) = gate();
        let syncer = Syncer::start(Duration::from_secs(3600)).expect("a thread");
        std::thread::scope(|scope| {
            syncer.wrote(&file, 1);
            let first = scope.spawn(|| syncer.wait(1));
            begun.recv().expect("it began");
            for seq in 2..=6 {
                syncer.wrote(&file, seq);
            }
            let others: Vec<_> = (2..=6)
                .map(|seq| {
                    scope.spawn({
                        let syncer = &syncer;
                        move || syncer.wait(seq)
                    })
                })
                .collect();
            assert!(others.iter().all(|other| !other.is_finished()), "nothing of theirs is on the disk yet");
            end.send(Ok(())).expect("it waits");
            assert_eq!(first.join().expect("no panic"), Ok(()));
            begun.recv().expect("the second began");
            end.send(Ok(())).expect("it waits");
            assert!(others.into_iter().all(|other| other.join().expect("no panic").is_ok()));
        });
        assert_eq!(syncer.counts(), (2, 0));
    }

    #[test]
    fn what_nobody_waits_for_is_synced_when_the_window_ends() {
        let (file, begun, end) = gate();
        let syncer = Syncer::start(Duration::from_millis(5)).expect("a thread");
        end.send(Ok(())).expect("it waits");
        syncer.wrote(&file, 1);
        begun.recv().expect("it began by itself");
        assert_eq!(syncer.wait(1), Ok(()));
    }

    #[test]
    fn after_a_failed_sync_everything_up_to_it_fails_until_a_checkpoint_holds_it() {
        let (file, begun, end) = gate();
        let syncer = Syncer::start(Duration::from_secs(3600)).expect("a thread");
        end.send(Err(std::io::Error::other("a bad sector"))).expect("it waits");
        syncer.wrote(&file, 1);
        assert_eq!(syncer.wait(1), Err("a bad sector".to_owned()));
        begun.recv().expect("it was tried once");
        assert!(syncer.needs_repair() && syncer.take_give_up());
        assert_eq!(syncer.wait(1), Err("a bad sector".to_owned()));
        assert!(begun.try_recv().is_err(), "never again on the same file");
        syncer.repaired(1);
        assert_eq!((syncer.wait(1), syncer.needs_repair()), (Ok(()), false));
    }
}
