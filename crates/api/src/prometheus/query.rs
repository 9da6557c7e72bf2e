//! `/query`, `/query_range`, `/query_exemplars`, `/format_query`, `/parse_query`.

use std::time::Duration;

use appliance::identity::Caller;
use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use model::query::{Answer, CancelFlag, QueryOptions, QueryStats, Steps};
use model::time::Timestamp;
use promql::syntax::json::to_json;
use promql::syntax::{PRETTY_WIDTH, pretty};

use super::json::Out;
use super::params::{Params, invalid};
use super::reply;
use crate::App;
use crate::error::ApiError;

/// Points of one series in an answer.
const POINTS_MAX: i64 = 11_000;

/// What goes with every query, from the request.
fn options(params: &Params) -> Result<QueryOptions, ApiError> {
    let limit = params.limit()?;
    let timeout = params.duration("timeout")?;
    let lookback = match params.get("lookback_delta") {
        "" => None,
        _ => Some(params.duration("lookback_delta")?.unwrap_or(Duration::ZERO)),
    };
    Ok(QueryOptions {
        lookback: lookback.filter(|lookback| !lookback.is_zero()),
        timeout,
        limit,
        nocache: params.get("nocache") == "1",
        bytes_max: None,
        cancel: CancelFlag::default(),
    })
}

/// `GET|POST /api/v1/query`
pub(crate) async fn instant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let options = options(&params)?;
    let at = params.time("time", app.clock.now())?;
    let started = app.clock.monotonic();
    let query = params.get("query").to_owned();
    let answer = app.metrics.instant(&caller, query, at, options).await.map_err(named)?;
    let took = app.clock.monotonic().saturating_sub(started);
    answered(&app, &params, answer, took).await
}

/// `GET|POST /api/v1/query_range`
pub(crate) async fn range(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let required = |name: &str| match params.get(name) {
        "" => Err(invalid(name, "cannot parse \"\" to a valid timestamp")),
        _ => params.time(name, Timestamp(0)),
    };
    let (start, end) = (required("start")?, required("end")?);
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let step_ms = params.millis("step")?;
    if step_ms <= 0 {
        let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(invalid("step", text));
    }
    // More than a week of minutes or a year of hours in one picture cannot be seen.
    if end.millis().saturating_sub(start.millis()) / step_ms > POINTS_MAX {
        let text = "exceeded maximum resolution of 11,000 points per timeseries. \
                    Try decreasing the query resolution (?step=XX)";
        return Err(ApiError::bad_data(text));
    }
    let options = options(&params)?;
    let started = app.clock.monotonic();
    let query = params.get("query").to_owned();
    let answer = app.metrics.range(&caller, query, Steps { start, end, step_ms }, options).await.map_err(named)?;
    let took = app.clock.monotonic().saturating_sub(started);
    answered(&app, &params, answer, took).await
}

/// What is wrong with a query is wrong with the parameter.
fn named(error: appliance::metrics::MetricsError) -> ApiError {
    use appliance::metrics::MetricsError;
    use model::query::QueryError;
    match error {
        MetricsError::Query(QueryError::BadData(text)) => invalid("query", text),
        other => other.into(),
    }
}

async fn answered(app: &App, params: &Params, answer: Answer, took: Duration) -> Result<Response, ApiError> {
    let stats = (!params.get("stats").is_empty()).then_some(answer.stats);
    let write = move |out: &mut Out<'_>| {
        out.raw("{");
        out.answer(&answer.value)?;
        if let Some(stats) = stats {
            out.member("stats");
            write_stats(out, stats, took);
        }
        out.raw("}");
        Ok(())
    };
    reply::success(app, &params.headers, answer.notes, write).await
}

fn write_stats(out: &mut Out<'_>, stats: QueryStats, took: Duration) {
    let data = serde_json::json!({
        "timings": {
            "evalTotalTime": took.as_secs_f64(),
            "execTotalTime": took.as_secs_f64(),
        },
        "samples": {
            "totalQueryableSamples": stats.samples_total,
            "peakSamples": stats.samples_peak,
        },
        "bytesPeak": stats.bytes_peak,
    });
    out.raw(&data.to_string());
}

/// `GET|POST /api/v1/query_exemplars`
pub(crate) async fn exemplars(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let range = params.range().map_err(|error| match error {
        ApiError::Prometheus { text, .. } if text.contains("before start") => {
            invalid("end", "end timestamp must not be before start timestamp")
        }
        other => other,
    })?;
    let found = app.metrics.exemplars(&caller, params.get("query"), range).await?;
    let write = move |out: &mut Out<'_>| {
        out.list(&found, |out, (labels, exemplars)| {
            out.raw("{\"seriesLabels\":");
            out.labels(labels);
            out.member("exemplars");
            out.list(exemplars, |out, exemplar| {
                out.raw("{\"labels\":");
                out.labels(&exemplar.labels);
                out.member("value");
                out.value(exemplar.value);
                out.member("timestamp");
                out.time(exemplar.time);
                out.raw("}");
                Ok(())
            })?;
            out.raw("}");
            Ok(())
        })
    };
    reply::success(&app, &params.headers, model::query::Notes::default(), write).await
}

/// `GET|POST /api/v1/format_query`
pub(crate) async fn format(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let expr = app.metrics.parse(&caller, params.get("query")).map_err(named)?;
    Ok(reply::small(&serde_json::Value::String(pretty(&expr, PRETTY_WIDTH))))
}

/// `GET|POST /api/v1/parse_query`
pub(crate) async fn parse(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let expr = app.metrics.parse(&caller, params.get("query")).map_err(named)?;
    let body = format!("{{\"status\":\"success\",\"data\":{}}}", to_json(&expr));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
