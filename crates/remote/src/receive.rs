//! Taking in remote write: a request becomes one batch of storage, and the answer says what became of it.
//!
//! Promises: "204" means that the batch is on disk; of a request with bad samples everything else is stored and the
//! answer names the bad ones; a request that cannot be read stores nothing; whoever may be tried again gets a status
//! that senders try again on (5xx), everybody else one that they do not (4xx).
//! How many requests wait and work is bounded: one more is told to come again. Decoding and storing happen on the
//! runtime's threads for blocking work.
//! Not here: who may send and how long a body may be (`api`), the bytes (`wire::remote_write`).

mod answer;
mod known;
mod labels;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use model::meter::instrument::Counter;
use model::meter::{Desc, MeterError, Registry};
use model::storage::{Appendable, Sender};
use tokio::sync::Semaphore;

pub use self::answer::{Outcome, Written};
use self::slot::Slot;

/// What a receiver may use up.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverOptions {
    /// Requests that wait or are worked on at once; one more is answered with 503.
    pub requests_max: usize,
    /// Requests of one sender that are worked on at once: each has its own appender and memory of series.
    pub slots_max: usize,
    /// Senders whose appenders are kept; beyond it the one that was idle longest is forgotten.
    pub senders_max: usize,
    /// Series each slot knows by their labels (32 bytes each); at the bound it forgets all and learns again.
    pub series_max: usize,
}

impl Default for ReceiverOptions {
    fn default() -> Self {
        // A Prometheus sends from up to 50 shards; more than a few at a time only wait for the same disk.
        Self { requests_max: 256, slots_max: 4, senders_max: 64, series_max: 1 << 20 }
    }
}

/// When a sender that was turned away because too many were there comes again.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// One request, as it came over HTTP.
#[derive(Clone, Debug)]
pub struct WriteRequest<'a> {
    /// Who sends: requests of one name share appenders. A token or an address, not a connection.
    pub sender: &'a str,
    pub headers: &'a HeaderMap,
    pub body: Bytes,
}

/// Takes requests; one for the process.
pub struct Receiver {
    storage: Arc<dyn Appendable>,
    options: ReceiverOptions,
    places: Arc<Semaphore>,
    senders: Mutex<Senders>,
    metrics: Metrics,
}

#[derive(Default)]
struct Senders {
    by_name: HashMap<String, Arc<SenderSlots>>,
    /// Counts requests, so that the longest idle sender is known.
    turn: u64,
}

/// The appenders of one sender.
struct SenderSlots {
    name: String,
    working: Arc<Semaphore>,
    free: Mutex<Vec<Slot>>,
    last_turn: std::sync::atomic::AtomicU64,
}

/// What is counted.
#[derive(Clone, Debug)]
struct Metrics {
    samples: Counter,
    refused: Counter,
    invalid_labels: Counter,
}

impl Metrics {
    fn new(registry: &Registry) -> Result<Self, MeterError> {
        let counter = |name: &str, help: &str| registry.counter(Desc::new(name, help));
        Ok(Self {
            samples: counter(
                "watchpost_remote_write_received_samples_total",
                "Samples and histograms of received remote-write requests that storage has.",
            )?,
            refused: counter(
                "watchpost_remote_write_refused_samples_total",
                "Samples and histograms of received remote-write requests that storage refused.",
            )?,
            invalid_labels: counter(
                "prometheus_api_remote_write_invalid_labels_samples_total",
                "The total number of received remote write samples and histogram samples which were rejected due to \
                 invalid labels.",
            )?,
        })
    }
}

impl Receiver {
    pub fn new(
        storage: Arc<dyn Appendable>,
        options: ReceiverOptions,
        registry: &Registry,
    ) -> Result<Self, MeterError> {
        let places = Arc::new(Semaphore::new(options.requests_max));
        Ok(Self { storage, options, places, senders: Mutex::default(), metrics: Metrics::new(registry)? })
    }

    /// Stores what the request holds and says what became of it.
    pub async fn receive(&self, request: WriteRequest<'_>) -> Outcome {
        let version = match answer::version_of(request.headers) {
            Ok(version) => version,
            Err(outcome) => return outcome,
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Outcome::come_again("too many remote-write requests are waiting", BUSY_RETRY_AFTER);
        };
        let sender = self.sender(request.sender);
        let Ok(working) = Arc::clone(&sender.working).acquire_owned().await else {
            return Outcome::come_again("the receiver is stopping", BUSY_RETRY_AFTER);
        };
        let storage = Arc::clone(&self.storage);
        let series_max = self.options.series_max;
        let body = request.body;
        let task = tokio::task::spawn_blocking(move || {
            let slot = lock(&sender.free).pop();
            let mut slot = match slot {
                Some(slot) => slot,
                None => match storage.appender(Sender(&sender.name)) {
                    Ok(appender) => Slot::new(appender, series_max),
                    Err(error) => return Outcome::storage(&error),
                },
            };
            let outcome = slot.store(version, &body);
            lock(&sender.free).push(slot);
            // The permits go into the thread: a caller that gives up makes no room while the work goes on.
            drop((place, working));
            outcome
        });
        let outcome = task.await.unwrap_or_else(|error| Outcome::internal(&error.to_string()));
        self.count(&outcome);
        outcome
    }

    fn count(&self, outcome: &Outcome) {
        self.metrics.samples.add(outcome.written.samples + outcome.written.histograms);
        self.metrics.refused.add(outcome.refused);
        self.metrics.invalid_labels.add(outcome.invalid_labels);
    }

    /// The appenders of a sender, made when it is new.
    fn sender(&self, name: &str) -> Arc<SenderSlots> {
        use std::sync::atomic::Ordering::Relaxed;
        let mut senders = lock(&self.senders);
        senders.turn += 1;
        let turn = senders.turn;
        if let Some(known) = senders.by_name.get(name) {
            known.last_turn.store(turn, Relaxed);
            return Arc::clone(known);
        }
        if senders.by_name.len() >= self.options.senders_max {
            let idle = senders.by_name.iter().min_by_key(|(_, sender)| sender.last_turn.load(Relaxed));
            // Requests of it that are under way keep what they hold and finish.
            if let Some(name) = idle.map(|(name, _)| name.clone()) {
                senders.by_name.remove(&name);
            }
        }
        let sender = Arc::new(SenderSlots {
            name: format!("remote-write/{name}"),
            working: Arc::new(Semaphore::new(self.options.slots_max)),
            free: Mutex::default(),
            last_turn: turn.into(),
        });
        senders.by_name.insert(name.to_owned(), Arc::clone(&sender));
        sender
    }
}

/// What is behind these locks is whole after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
