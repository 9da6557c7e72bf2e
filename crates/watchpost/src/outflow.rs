//! Remote write out: one queue for each `remote_write` block in force, started anew when the blocks change.
//!
//! Promise: a queue that fails is started again after a pause, and no other queue notices; what was not acknowledged
//! stays in the log. Not here: the queues themselves (`remote::send`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use appliance::config::Config;
use appliance::metrics::Metrics;
use appliance::prometheus::Prometheus;
use appliance::reload::Reloader;
use appliance::supervise::LoopError;
use futures_util::future::{join_all, pending};
use model::meter::Registry;
use model::storage::{Queryable, Tailable};
use model::time::Clock;
use net::session::SessionOptions;
use remote::config::RemoteWriteConfig;
use remote::send::http::HttpTransport;
use remote::send::transport::Transport;
use remote::send::{RemoteSender, SendMetrics, SenderParts, SenderSpec};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Before a queue that failed is started again.
const PAUSE: Duration = Duration::from_secs(5);

/// What the queues need of the rest.
#[derive(Clone)]
pub(crate) struct Outflow {
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counted: SendMetrics,
    /// Where positions are kept.
    pub(crate) queues: PathBuf,
}

impl Outflow {
    pub(crate) fn new(
        reloader: &Arc<Reloader>,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
        registry: &Registry,
        queues: PathBuf,
    ) -> anyhow::Result<Self> {
        let counted = SendMetrics::new(registry)?;
        Ok(Self {
            reloader: Arc::clone(reloader),
            metrics: Arc::clone(metrics),
            clock: Arc::clone(clock),
            counted,
            queues,
        })
    }

    /// Sends until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), LoopError> {
        let mut changes = self.reloader.subscribe();
        loop {
            let config = Arc::clone(&changes.borrow_and_update());
            let round = stop.child_token();
            let queues = self.queues(&config);
            let idle = queues.is_empty();
            let sending = join_all(queues.into_iter().map(|queue| keep(queue, round.clone())));
            let mut sending = std::pin::pin!(async move {
                sending.await;
                if idle {
                    pending::<()>().await;
                }
            });
            loop {
                tokio::select! {
                    () = stop.cancelled() => {
                        if !idle {
                            sending.await;
                        }
                        return Ok(());
                    }
                    changed = changes.changed() => {
                        if changed.is_err() {
                            return Ok(());
                        }
                        if blocks(&config) == blocks(&changes.borrow()) {
                            continue;
                        }
                        round.cancel();
                        if !idle {
                            sending.await;
                        }
                        break;
                    }
                    () = &mut sending => return Ok(()),
                }
            }
        }
    }

    fn queues(&self, config: &Config) -> Vec<RemoteSender> {
        let Some(prometheus) = &config.prometheus else { return Vec::new() };
        let made = prometheus.remote_write.iter().map(|block| (block, self.queue(prometheus, block)));
        made.filter_map(|(block, queue)| match queue {
            Ok(queue) => Some(queue),
            Err(error) => {
                error!(queue = block.queue_name(), %error, "nothing is sent there");
                None
            }
        })
        .collect()
    }

    fn queue(&self, prometheus: &Prometheus, block: &RemoteWriteConfig) -> anyhow::Result<RemoteSender> {
        if let Some((_, what)) = block.skipped() {
            anyhow::bail!("{what} is not supported");
        }
        let transport = HttpTransport::new(block, SessionOptions::default(), Arc::clone(&self.clock))?;
        let spec = SenderSpec::new(block, &prometheus.external_labels, prometheus.global.name_scheme())?;
        let store = &self.metrics.store;
        let parts = SenderParts {
            tailable: Arc::clone(store) as Arc<dyn Tailable>,
            metadata: Some(Arc::clone(store) as Arc<dyn Queryable>),
            transport: Arc::new(transport) as Arc<dyn Transport>,
            clock: Arc::clone(&self.clock),
            metrics: self.counted.clone(),
        };
        Ok(RemoteSender::new(spec, parts, &self.queues))
    }
}

/// What the queues are made of: the same text gives the same queues.
fn blocks(config: &Config) -> Option<String> {
    let prometheus = config.prometheus.as_ref()?;
    Some(format!("{:?} {:?}", prometheus.remote_write, prometheus.external_labels))
}

async fn keep(queue: RemoteSender, stop: CancellationToken) {
    loop {
        match queue.run(stop.clone()).await {
            Ok(()) => return,
            Err(error) => warn!(%error, "a queue ended and is started again"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
