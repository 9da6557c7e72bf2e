//! Prometheus's HTTP API, `/api/v1`: requests of Grafana, promtool and client libraries become use cases.
//!
//! Promises: endpoints, parameters, status codes and error texts are those of Prometheus 3.14; what it has and we do
//! not says so by name, in JSON. Not here: what a query means (`promql`), who may ask (the gate in front).

mod admin;
mod json;
mod labels;
mod openapi;
mod params;
mod query;
mod reply;
mod rules;
mod status;
mod targets;
mod write;

use appliance::surface::{Kind, Method, Route, Surface};
use auth::permit::Action;
use axum::extract::OriginalUri;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, get, on};

use crate::App;
use crate::error::{ApiError, Failure};

/// Endpoints of Prometheus that are not offered.
const NOT_OFFERED: &[(Method, &str)] = &[
    (Method::Post, "/api/v1/read"),
    (Method::Post, "/api/v1/otlp/v1/metrics"),
    (Method::Get, "/api/v1/search/metric_names"),
    (Method::Post, "/api/v1/search/metric_names"),
    (Method::Get, "/api/v1/search/label_names"),
    (Method::Post, "/api/v1/search/label_names"),
    (Method::Get, "/api/v1/search/label_values"),
    (Method::Post, "/api/v1/search/label_values"),
    (Method::Get, "/api/v1/notifications"),
    (Method::Get, "/api/v1/notifications/live"),
    (Method::Get, "/consoles/{*path}"),
    (Method::Get, "/debug/pprof/{*path}"),
];

const fn reading(path: &'static str) -> Route {
    Route { path, action: Action::ReadMetrics, kind: Kind::Api }
}

/// Every route of the dialect.
pub(crate) fn surface(app: &App) -> Surface<MethodRouter> {
    let mut surface = Surface::new();
    macro_rules! ask {
        ($path:literal, $handler:expr) => {
            surface = surface
                .get(reading($path), get($handler).with_state(App::clone(app)))
                .post(Route { kind: Kind::Machine, ..reading($path) }, posted(app, $handler));
        };
    }
    ask!("/api/v1/query", query::instant);
    ask!("/api/v1/query_range", query::range);
    ask!("/api/v1/query_exemplars", query::exemplars);
    ask!("/api/v1/format_query", query::format);
    ask!("/api/v1/parse_query", query::parse);
    ask!("/api/v1/series", labels::series);
    ask!("/api/v1/labels", labels::names);
    for (path, handler) in [
        ("/api/v1/label/{name}/values", get(labels::values)),
        ("/api/v1/metadata", get(labels::metadata)),
        ("/api/v1/status/config", get(status::config)),
        ("/api/v1/status/flags", get(status::flags)),
        ("/api/v1/status/runtimeinfo", get(status::runtime)),
        ("/api/v1/status/buildinfo", get(status::build)),
        ("/api/v1/status/walreplay", get(status::replay)),
        ("/api/v1/status/tsdb", get(status::tsdb)),
        ("/api/v1/status/tsdb/blocks", get(status::blocks)),
        ("/api/v1/status/self_metrics", get(status::own_metrics)),
        ("/api/v1/features", get(status::features)),
        ("/api/v1/alertmanagers", get(rules::alertmanagers)),
        ("/api/v1/targets", get(targets::targets)),
        ("/api/v1/targets/metadata", get(targets::metadata)),
        ("/api/v1/targets/relabel_steps", get(targets::relabel_steps)),
        ("/api/v1/scrape_pools", get(targets::pools)),
        ("/api/v1/openapi.yaml", get(openapi::openapi)),
        ("/version", get(status::version)),
    ] {
        surface = surface.get(reading(path), handler.with_state(App::clone(app)));
    }
    let write = Route { path: "/api/v1/write", action: Action::WriteMetrics, kind: Kind::Machine };
    surface = surface
        .post(write, on(MethodFilter::POST, write::write).with_state(App::clone(app)))
        .get(reading("/federate"), get(write::federate).with_state(App::clone(app)));
    let rules = Route { action: Action::ReadRules, ..reading("/api/v1/rules") };
    let alerts = Route { action: Action::ReadAlerts, ..reading("/api/v1/alerts") };
    surface = surface
        .get(rules, get(rules::rules).with_state(App::clone(app)))
        .get(alerts, get(rules::alerts).with_state(App::clone(app)));
    surface.merge(operating(app)).merge(not_offered(app))
}

/// A POST reads only, so that long queries fit; a cookie does not open it, since a form of another page could send it.
fn posted<H, T>(app: &App, handler: H) -> MethodRouter
where
    H: Handler<T, App>,
    T: 'static,
{
    on(MethodFilter::POST, handler).with_state(App::clone(app))
}

fn operating(app: &App) -> Surface<MethodRouter> {
    let mut surface = Surface::new();
    macro_rules! operate {
        ($path:literal, $handler:expr) => {
            let route = Route { path: $path, action: Action::Operate, kind: Kind::Machine };
            surface = surface.post(route, on(MethodFilter::POST, $handler).with_state(App::clone(app))).on(
                Method::Put,
                route,
                on(MethodFilter::PUT, $handler).with_state(App::clone(app)),
            );
        };
    }
    operate!("/api/v1/admin/tsdb/delete_series", admin::delete_series);
    operate!("/api/v1/admin/tsdb/clean_tombstones", admin::clean_tombstones);
    operate!("/api/v1/admin/tsdb/snapshot", admin::snapshot);
    surface
}

fn not_offered(app: &App) -> Surface<MethodRouter> {
    let mut surface = Surface::new();
    for &(method, path) in NOT_OFFERED {
        let filter = if method == Method::Get { MethodFilter::GET } else { MethodFilter::POST };
        let route = Route { path, action: Action::ReadMetrics, kind: Kind::Machine };
        surface = surface.on(method, route, on(filter, refused).with_state(App::clone(app)));
    }
    surface
}

async fn refused(OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let text = format!("{} is an endpoint of Prometheus that Watchpost does not offer", uri.path());
    Err(ApiError::Prometheus { kind: Failure::NotSupported, text })
}
