//! The use cases, the configuration and the life cycle of the whole: what a request may do, and who keeps it running.
//!
//! Promises: services are reached only through here; every background loop belongs to [`supervise`].
//! Not here: dialects (`api`), pages (`ui`), adapters and sockets (the binary).

pub mod calendar;
pub mod config;
pub mod health;
pub mod identity;
pub mod jobs;
pub mod lifecycle;
pub mod memory;
pub mod ports;
pub mod reload;
pub mod supervise;
pub mod surface;

use std::sync::Arc;

use model::meter::Registry;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::identity::Identity;
use crate::reload::Reloader;

/// The running server, as handlers see it.
pub struct Appliance {
    pub registry: Registry,
    pub health: Arc<Health>,
    pub reloader: Arc<Reloader>,
    pub identity: Arc<Identity>,
    /// Cancelled by whoever wants the server to stop.
    pub quit: CancellationToken,
    /// Whether reload and quit may be asked for without login.
    pub lifecycle: bool,
    /// The certificate of the local authority; `None` in other TLS modes.
    pub ca_certificate: Option<String>,
}

impl Appliance {
    /// What a client must trust where the server made its own certificate.
    #[must_use]
    pub fn ca_certificate(&self) -> Option<String> {
        self.ca_certificate.clone()
    }
}
