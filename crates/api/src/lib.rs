//! Other people's dialects: each module parses one, calls a use case of `appliance`, and writes the dialect's answer.
//!
//! Promise: a handler decides nothing. Errors leave through [`error::ApiError`], each in its dialect's body.
//! Not here: pages (`ui`), listeners, request ids and limits (the binary).

pub mod error;
pub mod lifecycle;
pub mod metrics;
pub mod probes;

use std::sync::Arc;

use appliance::Appliance;
use axum::Router;
use axum::routing::{any, get};

/// What every handler is given.
pub type App = Arc<Appliance>;

/// All routes of this crate.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/live", get(probes::live))
        .route("/ready", get(probes::ready))
        .route("/health", get(probes::health))
        .route("/-/healthy", get(probes::prometheus_healthy))
        .route("/-/ready", get(probes::prometheus_ready))
        .route("/-/reload", any(lifecycle::reload))
        .route("/-/quit", any(lifecycle::quit))
        .route("/metrics", get(metrics::metrics))
        .route("/ca.crt", get(probes::ca_certificate))
        .with_state(app)
}
