//! What a query may use: time, samples, memory; and the queue in front of the engine.
//!
//! Everything a query keeps is charged here before it is kept, to the query and to the process. At a bound the
//! query fails with the text Prometheus has for it; nothing waits, except in the queue, which is first come first
//! served.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::query::{CancelFlag, QueryError, QueryStats};
use model::time::Clock;

/// How long a waiting query sleeps between looks at its cancel flag. A third of the 50 ms within which a
/// cancelled query is gone.
const QUEUE_LOOK: Duration = Duration::from_millis(15);

/// The error of Prometheus for too many samples.
pub(crate) fn too_many_samples() -> QueryError {
    QueryError::Execution("query processing would load too many samples into memory in query execution".to_owned())
}

/// The memory all queries together hold.
#[derive(Debug)]
pub(crate) struct ProcessBudget {
    bytes: AtomicU64,
    bytes_max: u64,
}

impl ProcessBudget {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(0), bytes_max }
    }
}

/// The bounds of one query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) samples_max: u64,
    pub(crate) bytes_max: u64,
    pub(crate) timeout: Duration,
}

/// What one query holds and how long it may go on.
#[derive(Debug)]
pub(crate) struct Budget {
    bounds: Bounds,
    process: Arc<ProcessBudget>,
    samples: AtomicU64,
    samples_peak: AtomicU64,
    samples_total: AtomicU64,
    bytes: AtomicU64,
    bytes_peak: AtomicU64,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    cancel: CancelFlag,
}

impl Budget {
    pub(crate) fn new(bounds: Bounds, process: Arc<ProcessBudget>, clock: Arc<dyn Clock>, cancel: CancelFlag) -> Self {
        let deadline = clock.monotonic().saturating_add(bounds.timeout);
        Self {
            bounds,
            process,
            samples: AtomicU64::new(0),
            samples_peak: AtomicU64::new(0),
            samples_total: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            bytes_peak: AtomicU64::new(0),
            clock,
            deadline,
            cancel,
        }
    }

    /// Fails where the caller gave up or the time is over. Cheap enough for every series.
    pub(crate) fn go_on(&self) -> Result<(), QueryError> {
        if self.cancel.is_cancelled() {
            return Err(QueryError::Cancelled("query was canceled in expression evaluation".to_owned()));
        }
        if self.clock.monotonic() >= self.deadline {
            return Err(Self::timed_out("expression evaluation"));
        }
        Ok(())
    }

    fn timed_out(place: &str) -> QueryError {
        QueryError::Timeout(format!("query timed out in {place}"))
    }

    /// Charges what is about to be kept; it is given back when the charge is dropped.
    pub(crate) fn charge(self: &Arc<Self>, samples: u64, bytes: u64) -> Result<Charge, QueryError> {
        let mut charge = Charge { budget: Arc::clone(self), samples: 0, bytes: 0 };
        charge.more(samples, bytes)?;
        Ok(charge)
    }

    /// Counts samples that were looked at.
    pub(crate) fn count_read(&self, samples: u64) {
        self.samples_total.fetch_add(samples, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> QueryStats {
        QueryStats {
            samples_total: self.samples_total.load(Ordering::Relaxed),
            samples_peak: self.samples_peak.load(Ordering::Relaxed),
            bytes_peak: self.bytes_peak.load(Ordering::Relaxed),
        }
    }
}

/// Something kept, paid for.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    samples: u64,
    bytes: u64,
}

impl Charge {
    /// Pays for more.
    pub(crate) fn more(&mut self, samples: u64, bytes: u64) -> Result<(), QueryError> {
        let budget = &self.budget;
        self.samples += samples;
        self.bytes += bytes;
        let samples = budget.samples.fetch_add(samples, Ordering::Relaxed) + samples;
        let process = budget.process.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let bytes = budget.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        budget.samples_peak.fetch_max(samples, Ordering::Relaxed);
        budget.bytes_peak.fetch_max(bytes, Ordering::Relaxed);
        let fits = samples <= budget.bounds.samples_max
            && bytes <= budget.bounds.bytes_max
            && process <= budget.process.bytes_max;
        if fits { Ok(()) } else { Err(too_many_samples()) }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.samples.fetch_sub(self.samples, Ordering::Relaxed);
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.process.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Who may run now: a bounded number, in the order of arrival.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
    running_max: usize,
}

#[derive(Debug, Default)]
struct QueueState {
    running: usize,
    next_ticket: u64,
    waiting: VecDeque<u64>,
}

impl Queue {
    pub(crate) fn new(running_max: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), running_max: running_max.max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // Plain counters: a holder that panicked cannot have left them half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; gives up with the query.
    pub(crate) fn enter(&self, budget: &Budget) -> Result<Place<'_>, QueryError> {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        loop {
            if state.running < self.running_max && state.waiting.front() == Some(&ticket) {
                state.waiting.pop_front();
                state.running += 1;
                // There may be room for the next one, too.
                self.changed.notify_all();
                return Ok(Place { queue: self });
            }
            if budget.go_on().is_err() {
                state.waiting.retain(|waiting| *waiting != ticket);
                self.changed.notify_all();
                let given_up = budget.cancel.is_cancelled();
                return Err(if given_up {
                    QueryError::Cancelled("query was canceled in query queue".to_owned())
                } else {
                    Budget::timed_out("query queue")
                });
            }
            state = self.changed.wait_timeout(state, QUEUE_LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A running query's place; leaves when dropped.
#[derive(Debug)]
pub(crate) struct Place<'q> {
    queue: &'q Queue,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.lock().running -= 1;
        self.queue.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::{ManualClock, Timestamp};

    fn budget(samples_max: u64, process: &Arc<ProcessBudget>) -> (Arc<Budget>, Arc<ManualClock>, CancelFlag) {
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let cancel = CancelFlag::default();
        let bounds = Bounds { samples_max, bytes_max: 1_000, timeout: Duration::from_secs(2) };
        (Arc::new(Budget::new(bounds, Arc::clone(process), clock.clone(), cancel.clone())), clock, cancel)
    }

    #[test]
    fn what_is_dropped_may_be_used_again_and_the_peak_stays() {
        let process = Arc::new(ProcessBudget::new(10_000));
        let (budget, ..) = budget(10, &process);
        let first = budget.charge(6, 0).expect("fits");
        assert!(budget.charge(5, 0).is_err());
        drop(first);
        assert!(budget.charge(10, 0).is_ok());
        assert_eq!(budget.stats().samples_peak, 11);
    }

    #[test]
    fn two_queries_share_the_memory_of_the_process() {
        let process = Arc::new(ProcessBudget::new(1_500));
        let ((a, ..), (b, ..)) = (budget(10, &process), budget(10, &process));
        let held = a.charge(0, 900).expect("fits");
        assert!(b.charge(0, 900).is_err());
        drop(held);
        assert!(b.charge(0, 900).is_ok());
    }

    #[test]
    fn time_over_and_giving_up_are_told_apart() {
        let process = Arc::new(ProcessBudget::new(10_000));
        let (slow, clock, _) = budget(10, &process);
        clock.advance(Duration::from_secs(3));
        let timeout = QueryError::Timeout("query timed out in expression evaluation".to_owned());
        assert_eq!(slow.go_on(), Err(timeout));
        let (gone, _, cancel) = budget(10, &process);
        assert_eq!(gone.go_on(), Ok(()));
        cancel.cancel();
        assert!(matches!(gone.go_on(), Err(QueryError::Cancelled(_))));
    }

    #[test]
    fn the_queue_lets_in_so_many_and_forgets_who_gave_up() {
        let process = Arc::new(ProcessBudget::new(10_000));
        let queue = Queue::new(1);
        let (first, ..) = budget(10, &process);
        let place = queue.enter(&first).expect("empty queue");
        let (second, _, cancel) = budget(10, &process);
        cancel.cancel();
        assert!(matches!(queue.enter(&second), Err(QueryError::Cancelled(text)) if text.ends_with("query queue")));
        drop(place);
        assert!(queue.enter(&first).is_ok());
    }
}
