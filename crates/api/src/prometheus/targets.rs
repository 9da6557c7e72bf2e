//! `/targets`, `/targets/metadata`, `/targets/relabel_steps`, `/scrape_pools`: what is scraped and how that goes.

use appliance::identity::Caller;
use appliance::targets::{Pool, State as TargetState, Target, TargetsError};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use model::labels::Labels;
use model::matcher::{Matcher, matches_all};
use model::time::format_duration;
use serde_json::{Map, Value, json};

use super::params::{Params, invalid};
use super::reply;
use crate::App;
use crate::error::{ApiError, Failure};

/// When a target was scraped last that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

fn labels(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
}

#[allow(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn refused(error: TargetsError) -> ApiError {
    let kind = match error {
        TargetsError::Denied(_) => Failure::Forbidden,
        TargetsError::NotFound => Failure::NotFound,
        TargetsError::Busy => Failure::Unavailable,
    };
    ApiError::Prometheus { kind, text: error.to_string() }
}

/// The pools, or the one that is asked for.
fn pools_asked(app: &App, caller: &Caller, params: &Params) -> Result<Vec<Pool>, ApiError> {
    let wanted = params.get("scrapePool");
    let pools = app.targets.pools(caller).map_err(refused)?;
    Ok(pools.into_iter().filter(|pool| wanted.is_empty() || pool.name == wanted).collect())
}

/// `GET /api/v1/targets`
pub(crate) async fn targets(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let state = params.get("state").to_lowercase();
    let wants = |kind: &str| matches!(state.as_str(), "" | "any") || state == kind;
    let pools = pools_asked(&app, &caller, &params)?;
    let base = app.reloader.current().settings.server.external_url.as_ref().map(|url| url.value.to_string());
    let active: Vec<Value> = pools
        .iter()
        .filter(|_| wants("active"))
        .flat_map(|pool| pool.targets.iter().map(|target| active(pool, target, base.as_deref())))
        .collect();
    let dropped: Vec<Value> = pools
        .iter()
        .filter(|_| wants("dropped"))
        .flat_map(|pool| {
            let one = |dropped: &appliance::targets::Dropped| {
                json!({"discoveredLabels": labels(&dropped.discovered), "scrapePool": pool.name})
            };
            pool.dropped.iter().map(one)
        })
        .collect();
    let counts: Map<String, Value> = pools
        .iter()
        .filter(|_| wants("dropped"))
        .map(|pool| (pool.name.clone(), Value::from(pool.dropped_total)))
        .collect();
    Ok(reply::small(&json!({"activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts})))
}

fn active(pool: &Pool, target: &Target, base: Option<&str>) -> Value {
    let health = match target.state {
        TargetState::Up => "up",
        TargetState::Down => "down",
        TargetState::Waiting => "unknown",
    };
    let error = target.failure.as_ref().map(|failure| {
        if failure.hint.is_empty() { failure.fact.clone() } else { format!("{} {}", failure.fact, failure.hint) }
    });
    json!({
        "discoveredLabels": labels(&target.discovered),
        "labels": labels(&target.labels),
        "scrapePool": pool.name,
        "scrapeUrl": target.url,
        "globalUrl": global_url(&target.url, base),
        "lastError": error.unwrap_or_default(),
        "lastScrape": target.last_scrape.map_or_else(|| NEVER.to_owned(), |at| at.to_string()),
        "lastScrapeDuration": target.took.as_secs_f64(),
        "health": health,
        "scrapeInterval": format_duration(pool.interval),
        "scrapeTimeout": format_duration(pool.timeout),
    })
}

/// A target on loopback is reached by others under the host of `external_url`.
fn global_url(url: &str, base: Option<&str>) -> String {
    let host = base.and_then(|base| base.split("://").nth(1)?.split(['/', ':']).next());
    let Some(host) = host else { return url.to_owned() };
    for local in ["://localhost:", "://127.0.0.1:", "://[::1]:"] {
        if url.contains(local) {
            return url.replacen(local, &format!("://{host}:"), 1);
        }
    }
    url.to_owned()
}

/// `GET /api/v1/scrape_pools`
pub(crate) async fn pools(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    let names: Vec<String> = app.targets.pools(&caller).map_err(refused)?.into_iter().map(|pool| pool.name).collect();
    Ok(reply::small(&json!({ "scrapePools": names })))
}

/// `GET /api/v1/targets/metadata`
pub(crate) async fn metadata(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.number("limit")?;
    let matchers: Vec<Matcher> = match params.get("match_target") {
        "" => Vec::new(),
        text => promql::syntax::parse_selector(text).map_err(|error| invalid("match_target", error))?,
    };
    let metric = params.get("metric").to_owned();
    let found = app.metrics.metadata(&caller, metric.clone(), 0).await?;
    let fitting = found.items.iter().filter(|said| matches_all(&matchers, &said.target));
    let data: Vec<Value> = fitting
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .map(|said| {
            let mut one = json!({
                "target": labels(&said.target), "type": said.kind, "help": said.help, "unit": said.unit,
            });
            if metric.is_empty() {
                one["metric"] = Value::from(said.family.as_str());
            }
            one
        })
        .collect();
    if data.is_empty() {
        let text = "specified metadata not found".to_owned();
        return Err(ApiError::Prometheus { kind: Failure::NotFound, text });
    }
    Ok(reply::small(&Value::Array(data)))
}

/// `GET /api/v1/targets/relabel_steps`
pub(crate) async fn relabel_steps(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = params.get("scrapePool");
    if name.is_empty() {
        return Err(ApiError::bad_data("no scrapePool parameter provided"));
    }
    let asked: Map<String, Value> = serde_json::from_str(params.get("labels"))
        .map_err(|error| invalid("labels", format!("expected an object of label names and values: {error}")))?;
    let asked = Labels::from_pairs(asked.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or(""))));
    let pools = app.targets.pools(&caller).map_err(refused)?;
    let pool = pools.iter().find(|pool| pool.name == name).ok_or(TargetsError::NotFound).map_err(refused)?;
    let ids = pool.targets.iter().map(|target| (&target.id, &target.discovered));
    let ids = ids.chain(pool.dropped.iter().map(|dropped| (&dropped.id, &dropped.discovered)));
    let id = ids.filter(|(_, discovered)| **discovered == asked).map(|(id, _)| id.clone()).next();
    let id = id.ok_or(TargetsError::NotFound).map_err(refused)?;
    let relabelling = app.targets.relabelling(&caller, name, &id).map_err(refused)?;
    let steps: Vec<Value> = relabelling
        .steps
        .iter()
        .map(|step| {
            json!({
                "rule": step.rule,
                "output": step.after.as_ref().map_or_else(|| json!({}), labels),
                "keep": step.after.is_some(),
            })
        })
        .collect();
    Ok(reply::small(&json!({ "steps": steps })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_on_this_machine_has_an_address_for_others_where_we_know_one() {
        let url = "http://localhost:9100/metrics";
        assert_eq!(global_url(url, None), url);
        assert_eq!(global_url(url, Some("https://wp.example:8443/x")), "http://wp.example:9100/metrics");
        assert_eq!(global_url("http://db:1/metrics", Some("https://wp.example")), "http://db:1/metrics");
    }
}
