//! The use cases, the configuration and the life cycle of the whole: what a request may do, and who keeps it running.
//!
//! Promises: services are reached only through here; every background loop belongs to [`supervise`].
//! Not here: dialects (`api`), pages (`ui`), adapters and sockets (the binary).

pub mod calendar;
pub mod config;
pub mod explain;
pub mod health;
pub mod identity;
pub mod jobs;
pub mod lifecycle;
pub mod memory;
pub mod metrics;
pub mod pool;
pub mod ports;
pub mod prometheus;
pub mod reload;
pub mod scraping;
pub mod supervise;
pub mod surface;
pub mod targets;

use std::sync::Arc;

use model::labels::Labels;
use model::meter::Registry;
use model::time::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::reload::Reloader;
use crate::targets::Watched;

/// What is known about this process since its start.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub version: &'static str,
    pub started: Timestamp,
    pub hostname: String,
    /// How long samples are kept, in words.
    pub retention: String,
    /// The flags of Prometheus that were given, by name.
    pub flags: Vec<(String, String)>,
}

/// The running server, as handlers see it.
pub struct Appliance {
    pub registry: Registry,
    pub health: Arc<Health>,
    pub reloader: Arc<Reloader>,
    pub identity: Arc<Identity>,
    pub metrics: Arc<Metrics>,
    pub targets: Watched,
    pub clock: Arc<dyn Clock>,
    pub facts: Facts,
    /// Cancelled by whoever wants the server to stop.
    pub quit: CancellationToken,
    /// Whether reload and quit may be asked for without login.
    pub lifecycle: bool,
    /// The certificate of the local authority; `None` in other TLS modes.
    pub ca_certificate: Option<String>,
}

impl Appliance {
    /// What is added to samples that leave this server: `global.external_labels`.
    #[must_use]
    pub fn external_labels(&self) -> Labels {
        self.reloader.current().prometheus.as_ref().map_or_else(Labels::empty, |file| file.external_labels.clone())
    }

    /// What a client must trust where the server made its own certificate.
    #[must_use]
    pub fn ca_certificate(&self) -> Option<String> {
        self.ca_certificate.clone()
    }
}
