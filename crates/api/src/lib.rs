//! Other people's dialects: each module parses one, calls a use case of `appliance`, and writes the dialect's answer.
//!
//! Promise: a handler decides nothing. Errors leave through [`error::ApiError`], each in its dialect's body.
//! Not here: pages (`ui`), listeners, request ids and limits (the binary).

pub mod error;
pub mod lifecycle;
pub mod metrics;
pub mod own;
pub mod probes;
mod prometheus;

use std::sync::Arc;

use appliance::Appliance;
use appliance::health::Health;
use appliance::surface::{Kind, Method, Route, Surface};
use auth::permit::Action;
use axum::Router;
use axum::routing::{self, MethodRouter, get, on};

/// What every handler is given.
pub type App = Arc<Appliance>;

/// What is answered while the server starts: whether it lives.
pub fn starting(health: &Arc<Health>) -> Router {
    Router::new()
        .route("/live", get(probes::live))
        .route("/ready", get(probes::ready))
        .route("/-/healthy", get(probes::prometheus_healthy))
        .route("/-/ready", get(probes::prometheus_ready))
        .with_state(Arc::clone(health))
}

/// Every route of this crate, with the action it performs.
#[must_use]
pub fn surface(app: &App) -> Surface<MethodRouter> {
    let open = |path| Route { path, action: Action::Public, kind: Kind::Machine };
    let health = || Arc::clone(&app.health);
    let metrics_action =
        if app.reloader.current().settings.server.metrics_public { Action::Public } else { Action::ReadMetrics };
    let metrics = Route { path: "/metrics", action: metrics_action, kind: Kind::Machine };
    Surface::new()
        .get(open("/live"), get(probes::live).with_state(health()))
        .get(open("/ready"), get(probes::ready).with_state(health()))
        .get(open("/health"), get(probes::health).with_state(health()))
        .get(open("/-/healthy"), get(probes::prometheus_healthy))
        .get(open("/-/ready"), get(probes::prometheus_ready).with_state(health()))
        .get(open("/ca.crt"), get(probes::ca_certificate).with_state(App::clone(app)))
        .get(metrics, get(metrics::metrics).with_state(App::clone(app)))
        .merge(lifecycle(app))
        .merge(prometheus::surface(app))
        .merge(own::surface(app))
}

/// Prometheus takes POST and PUT, and says so in words to anything else.
fn lifecycle(app: &App) -> Surface<MethodRouter> {
    use routing::MethodFilter;
    let route = |path| Route { path, action: Action::Operate, kind: Kind::Machine };
    let closed = |path| Route { path, action: Action::Public, kind: Kind::Machine };
    let with = |handler: MethodRouter<App>| handler.with_state(App::clone(app));
    Surface::new()
        .post(route("/-/reload"), with(on(MethodFilter::POST, lifecycle::reload)))
        .on(Method::Put, route("/-/reload"), with(on(MethodFilter::PUT, lifecycle::reload)))
        .get(closed("/-/reload"), get(lifecycle::only_post_or_put))
        .post(route("/-/quit"), with(on(MethodFilter::POST, lifecycle::quit)))
        .on(Method::Put, route("/-/quit"), with(on(MethodFilter::PUT, lifecycle::quit)))
        .get(closed("/-/quit"), get(lifecycle::only_post_or_put))
}
