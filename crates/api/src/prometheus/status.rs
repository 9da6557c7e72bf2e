//! `/status/*`, `/features`: what runs, with which configuration, and what the storage holds.

use appliance::identity::Caller;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use model::meter::exposition::Format;
use serde_json::{Map, Value, json};

use super::params::{Params, invalid};
use super::reply;
use crate::App;
use crate::error::ApiError;

/// The version of Prometheus whose interface this is; clients choose by it what they may ask for.
const SPEAKS: &str = "3.14.0";
/// Entries of each list of `/status/tsdb` where the caller does not say how many.
const TOP_DEFAULT: usize = 10;
const TOP_MAX: usize = 10_000;

/// `GET /api/v1/status/buildinfo`
pub(crate) async fn build(State(app): State<App>) -> Response {
    reply::small(&build_info(&app))
}

/// `GET /version`: the same without the envelope.
pub(crate) async fn version(State(app): State<App>) -> Response {
    axum::Json(build_info(&app)).into_response()
}

fn build_info(app: &App) -> Value {
    json!({
        "version": SPEAKS,
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": "Watchpost",
        "applicationVersion": app.facts.version,
    })
}

/// `GET /api/v1/status/flags`
pub(crate) async fn flags(State(app): State<App>) -> Response {
    let flags: Map<String, Value> =
        app.facts.flags.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    reply::small(&Value::Object(flags))
}

/// `GET /api/v1/status/runtimeinfo`
pub(crate) async fn runtime(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let status = app.reloader.status();
    let figures = app.metrics.figures(&caller)?;
    let figure = |name: &str| figures.iter().find(|figure| figure.name == name).map_or(0.0, |figure| figure.value);
    Ok(reply::small(&json!({
        "startTime": app.facts.started.to_string(),
        "CWD": "",
        "hostname": app.facts.hostname,
        "serverTime": app.clock.now().to_string(),
        "reloadConfigSuccess": status.refused.is_none(),
        "lastConfigTime": status.accepted_at.to_string(),
        "corruptionCount": figure("prometheus_tsdb_wal_corruptions_total") as u64,
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": app.facts.retention,
    })))
}

/// `GET /api/v1/status/walreplay`: requests are answered only when it is over.
pub(crate) async fn replay() -> Response {
    reply::small(&json!({"min": 0, "max": 0, "current": 0, "state": "done"}))
}

/// `GET /api/v1/status/tsdb`
pub(crate) async fn tsdb(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        "" => TOP_DEFAULT,
        text => match text.parse::<usize>() {
            Ok(0) | Err(_) => return Err(invalid("limit", "limit must be a positive number")),
            Ok(limit) if limit > TOP_MAX => {
                return Err(invalid("limit", format!("limit must not exceed {TOP_MAX}")));
            }
            Ok(limit) => limit,
        },
    };
    let found = app.metrics.cardinality(&caller, limit).await?;
    let figures = app.metrics.figures(&caller)?;
    let figure = |name: &str| figures.iter().find(|figure| figure.name == name).map_or(0.0, |figure| figure.value);
    let list = |entries: &[(String, u64)]| -> Value {
        entries.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    Ok(reply::small(&json!({
        "headStats": {
            "numSeries": found.series,
            "numLabelPairs": figure("prometheus_tsdb_head_label_pairs") as u64,
            "chunkCount": figure("prometheus_tsdb_head_chunks") as u64,
            "minTime": figure("prometheus_tsdb_head_min_time") as i64,
            "maxTime": figure("prometheus_tsdb_head_max_time") as i64,
        },
        "seriesCountByMetricName": list(&found.series_by_metric),
        "labelValueCountByLabelName": list(&found.values_by_label),
        "memoryInBytesByLabelName": [],
        "seriesCountByLabelValuePair": list(&found.series_by_pair),
    })))
}

/// `GET /api/v1/status/tsdb/blocks`
pub(crate) async fn blocks(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    let blocks: Vec<Value> = app
        .metrics
        .parts(&caller)?
        .into_iter()
        .map(|part| {
            json!({
                "ulid": part.id,
                "minTime": part.range.start.millis(),
                "maxTime": part.range.end.millis(),
                "stats": {"numSamples": part.samples, "numSeries": part.series, "numBytes": part.bytes},
            })
        })
        .collect();
    Ok(reply::small(&json!({ "blocks": blocks })))
}

/// `GET /api/v1/status/config`
pub(crate) async fn config(State(app): State<App>) -> Response {
    reply::small(&json!({"yaml": app.reloader.current().prometheus_yaml()}))
}

/// `GET /api/v1/status/self_metrics`: what this process says about itself, by name.
pub(crate) async fn own_metrics(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let pattern = params.get("metric_name_pattern");
    let pattern = model::matcher::anchored(if pattern.is_empty() { ".*" } else { pattern })
        .map_err(|error| invalid("metric_name_pattern", error))?;
    let text = app.registry.render(Format::Text);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let found: Vec<Value> = lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| pattern.is_match(series.split('{').next().unwrap_or("")))
        .map(|(series, value)| json!({"series": series, "value": value}))
        .collect();
    Ok(reply::small(&Value::Array(found)))
}

/// `GET /api/v1/features`: what a client may rely on.
pub(crate) async fn features(State(app): State<App>) -> Response {
    let language = app.metrics.language;
    reply::small(&json!({
        "api": {
            "admin": app.metrics.admin_open,
            "exemplars": true,
            "federation": true,
            "openapi_3.1": true,
            "remote_write_receiver": true,
            "remote_read": false,
            "otlp_receiver": false,
            "search": false,
        },
        "promql": {
            "experimental_functions": language.experimental_functions,
            "duration_expressions": language.duration_expr,
            "extended_range_selectors": language.extended_range_selectors,
            "binop_fill_modifiers": language.binop_fill,
            "native_histograms": true,
            "per_query_lookback_delta": true,
            "at_modifier": true,
            "negative_offset": true,
        },
    }))
}
