//! Every background loop has one owner: here it is named, started, restarted with back-off, counted and stopped.
//!
//! Promises: loops of a later [`Stage`] stop before those of an earlier one; a loop that panics or fails is started
//! again (but the fatal ones, whose end ends the process); no loop outlives [`Supervisor::stop`].
//! Not here: what the loops do, and connections (`net` owns those of its doors).

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use model::meter::instrument::{Counter, Gauge};
use model::meter::{Desc, Family, MeterError, Registry};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// A loop that failed waits this long before it is started again, doubling up to the maximum.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A loop that ran this long before it failed starts over with the first back-off.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// Only the first fatal end matters; later ones find the queue full and are dropped.
const FATAL_QUEUE_MAX: usize = 1;

/// The layers of the running server, in the order in which they start. They stop in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The metadata store and what keeps it.
    Store,
    /// The time-series database.
    Series,
    /// Evaluation of rules.
    Rules,
    /// Queues and notifications that must be flushed.
    Delivery,
    /// Whatever makes new data: scrapes, probes, calendar jobs, watching files.
    Producers,
    /// The doors.
    Doors,
}

impl Stage {
    const STOP_ORDER: [Self; 6] =
        [Self::Doors, Self::Producers, Self::Delivery, Self::Rules, Self::Series, Self::Store];

    /// What the stage may take to stop. All together stay within the ten seconds that container runtimes wait.
    const fn stop_max(self) -> Duration {
        match self {
            // Answers under way are finished, reports and notifications sent: the others only have to notice.
            Self::Doors => Duration::from_millis(4_000),
            Self::Delivery => Duration::from_millis(2_000),
            Self::Producers | Self::Rules | Self::Series | Self::Store => Duration::from_millis(900),
        }
    }
}

/// What happens when a loop ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// Start it again after a pause. A clean return means it is done.
    Restart,
    /// The process cannot go on without it.
    Fatal,
}

/// Why a loop ended.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    #[error("{0}")]
    Failed(#[from] Box<dyn std::error::Error + Send + Sync>),
    #[error("panicked: {0}")]
    Panicked(String),
}

impl LoopError {
    /// Wraps what a service's own loop returned.
    pub fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

/// One run of a loop.
pub type LoopFuture = Pin<Box<dyn Future<Output = Result<(), LoopError>> + Send>>;

/// How a loop is run.
#[derive(Clone, Copy, Debug)]
pub struct LoopSpec {
    pub name: &'static str,
    pub stage: Stage,
    pub on_end: OnEnd,
}

/// A loop whose end ends the process.
#[derive(Debug)]
pub struct Fatal {
    pub name: &'static str,
    pub reason: String,
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended: {}", self.name, self.reason)
    }
}

/// What was counted about loops.
#[derive(Clone)]
struct LoopMetrics {
    restarts: Family<Counter, 1>,
    panics: Family<Counter, 1>,
    running: Family<Gauge, 1>,
}

struct Layer {
    stage: Stage,
    stop: CancellationToken,
    tasks: JoinSet<&'static str>,
}

/// Owns the loops.
pub struct Supervisor {
    layers: Vec<Layer>,
    metrics: LoopMetrics,
    fatal_in: mpsc::Sender<Fatal>,
    fatal_out: mpsc::Receiver<Fatal>,
}

impl Supervisor {
    pub fn new(registry: &Registry) -> Result<Self, MeterError> {
        let counters = |name, help| registry.counter_family(Desc::new(name, help), ["loop"]);
        let metrics = LoopMetrics {
            restarts: counters(
                "watchpost_loop_restarts_total",
                "Times a background loop failed and was started again.",
            )?,
            panics: counters("watchpost_loop_panics_total", "Times a background loop panicked.")?,
            running: registry
                .gauge_family(Desc::new("watchpost_loop_running", "Whether a background loop is running."), ["loop"])?,
        };
        let (fatal_in, fatal_out) = mpsc::channel(FATAL_QUEUE_MAX);
        let layers = Stage::STOP_ORDER
            .into_iter()
            .map(|stage| Layer { stage, stop: CancellationToken::new(), tasks: JoinSet::new() })
            .collect();
        Ok(Self { layers, metrics, fatal_in, fatal_out })
    }

    /// Starts a loop. `run` is called for each (re)start and is handed the token on which it must stop.
    pub fn start<F, Fut, E>(&mut self, spec: LoopSpec, run: F)
    where
        F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let run = move |stop| -> LoopFuture {
            let running = run(stop);
            Box::pin(async move { running.await.map_err(LoopError::failed) })
        };
        let keeper = Keeper { spec, run: Box::new(run), metrics: self.metrics.clone(), fatal: self.fatal_in.clone() };
        let layer = self.layer(spec.stage);
        let stop = layer.stop.child_token();
        layer.tasks.spawn(keeper.keep(stop));
    }

    /// The token of a stage, for what stops with it but is not a loop of ours (the doors' connections).
    pub fn token(&mut self, stage: Stage) -> CancellationToken {
        self.layer(stage).stop.child_token()
    }

    /// Waits until a loop ends without which the process cannot go on.
    pub async fn fatal(&mut self) -> Fatal {
        match self.fatal_out.recv().await {
            Some(fatal) => fatal,
            None => std::future::pending().await,
        }
    }

    /// Stops stage by stage, the doors first. Returns the loops that had to be cut off.
    pub async fn stop(mut self) -> Vec<&'static str> {
        let mut cut_off = Vec::new();
        for layer in &mut self.layers {
            layer.stop.cancel();
            let drained = async { while layer.tasks.join_next().await.is_some() {} };
            if tokio::time::timeout(layer.stage.stop_max(), drained).await.is_err() {
                warn!(stage = ?layer.stage, loops = layer.tasks.len(), "loops did not stop in time and are cut off");
                cut_off.extend(std::iter::repeat_n(stage_name(layer.stage), layer.tasks.len()));
                layer.tasks.shutdown().await;
            }
        }
        cut_off
    }

    fn layer(&mut self, stage: Stage) -> &mut Layer {
        let at = Stage::STOP_ORDER.iter().position(|s| *s == stage).expect("invariant: STOP_ORDER names every stage");
        &mut self.layers[at]
    }
}

const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Store => "store",
        Stage::Series => "series",
        Stage::Rules => "rules",
        Stage::Delivery => "delivery",
        Stage::Producers => "producers",
        Stage::Doors => "doors",
    }
}

/// Keeps one loop running.
struct Keeper {
    spec: LoopSpec,
    run: Box<dyn Fn(CancellationToken) -> LoopFuture + Send + Sync>,
    metrics: LoopMetrics,
    fatal: mpsc::Sender<Fatal>,
}

impl Keeper {
    async fn keep(self, stop: CancellationToken) -> &'static str {
        let name = self.spec.name;
        let running = self.metrics.running.with([name]);
        let mut backoff = BACKOFF_FIRST;
        loop {
            running.set(1.0);
            let started = tokio::time::Instant::now();
            let end = self.run_once(stop.clone()).await;
            running.set(0.0);
            let reason = match end {
                Ok(()) if stop.is_cancelled() => return name,
                Ok(()) if self.spec.on_end == OnEnd::Restart => {
                    info!(loop_name = name, "loop is done");
                    return name;
                }
                Ok(()) => "it returned".to_owned(),
                Err(error) => error.to_string(),
            };
            if self.spec.on_end == OnEnd::Fatal {
                error!(loop_name = name, %reason, "a loop the server cannot do without has ended");
                // A full queue already holds the reason for which the process stops.
                let _already_stopping = self.fatal.try_send(Fatal { name, reason });
                return name;
            }
            if started.elapsed() >= HEALTHY_AFTER {
                backoff = BACKOFF_FIRST;
            }
            self.metrics.restarts.with([name]).inc();
            warn!(loop_name = name, %reason, restart_in_ms = backoff.as_millis() as u64, "loop failed");
            tokio::select! {
                () = stop.cancelled() => return name,
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn run_once(&self, stop: CancellationToken) -> Result<(), LoopError> {
        // The closure itself may panic before there is a future, so both are guarded.
        let started = std::panic::catch_unwind(AssertUnwindSafe(|| (self.run)(stop)));
        let end = match started {
            Ok(future) => AssertUnwindSafe(future).catch_unwind().await,
            Err(panic) => Err(panic),
        };
        end.unwrap_or_else(|panic| {
            self.metrics.panics.with([self.spec.name]).inc();
            Err(LoopError::Panicked(panic_text(&*panic)))
        })
    }
}

/// What a panic said.
#[must_use]
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use std::sync::{Arc, Mutex};

    use super::*;

    type Order = Arc<Mutex<Vec<&'static str>>>;

    fn supervisor() -> Supervisor {
        Supervisor::new(&Registry::new()).expect("an empty registry takes the names")
    }

    fn spec(name: &'static str, stage: Stage, on_end: OnEnd) -> LoopSpec {
        LoopSpec { name, stage, on_end }
    }

    #[tokio::test(start_paused = true)]
    async fn stages_stop_in_reverse_order_of_their_start() {
        let order = Order::default();
        let mut supervisor = supervisor();
        for (name, stage) in
            [("store", Stage::Store), ("rules", Stage::Rules), ("scrape", Stage::Producers), ("doors", Stage::Doors)]
        {
            let order = Arc::clone(&order);
            supervisor.start(spec(name, stage, OnEnd::Restart), move |stop| {
                let order = Arc::clone(&order);
                async move {
                    stop.cancelled().await;
                    order.lock().unwrap().push(name);
                    Ok::<_, LoopError>(())
                }
            });
        }
        tokio::task::yield_now().await;
        assert!(supervisor.stop().await.is_empty());
        assert_eq!(*order.lock().unwrap(), ["doors", "scrape", "rules", "store"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_is_started_again_and_counted() {
        let registry = Registry::new();
        let mut supervisor = Supervisor::new(&registry).expect("an empty registry takes the names");
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        supervisor.start(spec("flaky", Stage::Producers, OnEnd::Restart), move |stop| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(run >= 2, "not yet");
                stop.cancelled().await;
                Ok::<_, LoopError>(())
            }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        let text = registry.render(model::meter::exposition::Format::Text);
        assert!(text.contains("watchpost_loop_panics_total{loop=\"flaky\"} 2"), "{text}");
        assert!(text.contains("watchpost_loop_restarts_total{loop=\"flaky\"} 2"), "{text}");
        assert!(supervisor.stop().await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_fatal_loop_is_reported_with_its_reason() {
        let mut supervisor = supervisor();
        supervisor.start(spec("series", Stage::Series, OnEnd::Fatal), |_stop| async {
            Err::<(), _>(std::io::Error::other("the disk is gone"))
        });
        assert_eq!(supervisor.fatal().await.to_string(), "series ended: the disk is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_stop_is_cut_off_and_named_by_stage() {
        let mut supervisor = supervisor();
        supervisor.start(spec("deaf", Stage::Delivery, OnEnd::Restart), |_stop| {
            std::future::pending::<Result<(), LoopError>>()
        });
        tokio::task::yield_now().await;
        assert_eq!(supervisor.stop().await, ["delivery"]);
    }
}
