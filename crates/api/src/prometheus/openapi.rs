//! `/openapi.yaml`: the dialect described, made from the parameters each endpoint reads.
//!
//! What is written is JSON, which every reader of YAML reads.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

/// Path, methods, what it is for, its parameters (`*` behind a name: required; `[]`: may be repeated).
type Row = (&'static str, &'static [&'static str], &'static str, &'static [&'static str]);

const ASK: &[&str] = &["get", "post"];
const GET: &[&str] = &["get"];
const ACT: &[&str] = &["post", "put"];

pub(super) const ROWS: &[Row] = &[
    (
        "/query",
        ASK,
        "A query at one time",
        &["query*", "time", "timeout", "limit", "lookback_delta", "stats", "nocache"],
    ),
    (
        "/query_range",
        ASK,
        "A query over time",
        &["query*", "start*", "end*", "step*", "timeout", "limit", "lookback_delta", "stats", "nocache"],
    ),
    ("/query_exemplars", ASK, "Exemplars of the series of a query", &["query*", "start", "end"]),
    ("/format_query", ASK, "A query in the usual layout", &["query*"]),
    ("/parse_query", ASK, "A query as a tree", &["query*"]),
    ("/series", ASK, "Series that fit selectors", &["match[]*", "start", "end", "limit"]),
    ("/labels", ASK, "Label names", &["match[]", "start", "end", "limit"]),
    ("/label/{name}/values", GET, "Values of a label", &["match[]", "start", "end", "limit"]),
    ("/metadata", GET, "What metric families are", &["metric", "limit", "limit_per_metric"]),
    ("/targets", GET, "Targets and how they are", &["state", "scrapePool"]),
    ("/targets/metadata", GET, "What targets say of their families", &["match_target", "metric", "limit"]),
    ("/targets/relabel_steps", GET, "Labels after each rule of relabelling", &["scrapePool*", "labels*"]),
    ("/scrape_pools", GET, "Names of the scrape jobs", &[]),
    ("/rules", GET, "Rules and how they are", &["type"]),
    ("/alerts", GET, "Alerts that are active", &[]),
    ("/alertmanagers", GET, "Where alerts are sent", &[]),
    ("/features", GET, "What a client may rely on", &[]),
    ("/status/config", GET, "The prometheus.yml in force", &[]),
    ("/status/flags", GET, "Flags that were given", &[]),
    ("/status/runtimeinfo", GET, "What runs since when", &[]),
    ("/status/buildinfo", GET, "Versions", &[]),
    ("/status/walreplay", GET, "How far the log is read", &[]),
    ("/status/tsdb", GET, "How many series there are, and whose", &["limit"]),
    ("/status/tsdb/blocks", GET, "Sealed files of samples", &[]),
    ("/status/self_metrics", GET, "Metrics of this process", &["metric_name_pattern"]),
    ("/write", &["post"], "Remote write 1.0 and 2.0", &[]),
    ("/admin/tsdb/delete_series", ACT, "Delete samples", &["match[]*", "start", "end"]),
    ("/admin/tsdb/clean_tombstones", ACT, "Free the space of deleted samples", &[]),
    ("/admin/tsdb/snapshot", ACT, "A copy beside the data", &["skip_head"]),
    ("/openapi.yaml", GET, "This", &[]),
];

fn parameter(text: &str, place: &str) -> Value {
    let (name, required) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
    let schema = if name.ends_with("[]") {
        json!({"type": "array", "items": {"type": "string"}})
    } else {
        json!({"type": "string"})
    };
    json!({"name": name, "in": place, "required": required, "schema": schema})
}

fn document() -> Value {
    let mut paths = Map::new();
    for (path, methods, summary, parameters) in ROWS {
        let mut item = Map::new();
        for method in *methods {
            let mut list: Vec<Value> = parameters.iter().map(|text| parameter(text, "query")).collect();
            if path.contains("{name}") {
                list.push(parameter("name*", "path"));
            }
            let operation = json!({
                "summary": summary,
                "parameters": list,
                "responses": {"default": {"description": "the envelope with status, data, errorType, error, warnings, infos"}},
            });
            item.insert((*method).to_owned(), operation);
        }
        paths.insert((*path).to_owned(), Value::Object(item));
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Prometheus HTTP API, as Watchpost offers it", "version": "1"},
        "servers": [{"url": "/api/v1"}],
        "paths": paths,
    })
}

/// `GET /api/v1/openapi.yaml`
pub(crate) async fn openapi() -> Response {
    let text = format!("{:#}\n", document());
    ([(header::CONTENT_TYPE, "application/yaml; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_says_whether_it_is_needed_and_may_be_repeated() {
        assert_eq!(parameter("match[]*", "query")["schema"]["type"], "array");
        assert_eq!(parameter("match[]*", "query")["required"], true);
        assert_eq!(parameter("limit", "query")["required"], false);
        assert_eq!(document()["paths"]["/label/{name}/values"]["get"]["parameters"][4]["in"], "path");
    }
}
