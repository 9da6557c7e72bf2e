//! `/series`, `/labels`, `/label/{name}/values`, `/metadata`.

use appliance::identity::Caller;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use model::query::{CancelFlag, Notes, QueryOptions};
use model::storage::{Limited, Metadata};

use super::json::Out;
use super::params::{Params, invalid};
use super::reply;
use crate::App;
use crate::error::ApiError;

/// What an answer that was cut off says.
const TRUNCATED: &str = "results truncated due to limit";

/// Names that are no classic ones come in a form that fits into a path.
const ESCAPED: &str = "U__";

fn options(params: &Params) -> Result<QueryOptions, ApiError> {
    Ok(QueryOptions { limit: params.limit()?, cancel: CancelFlag::default(), ..QueryOptions::default() })
}

/// `match[]`, each looked at.
pub(crate) fn selectors(params: &Params) -> Result<Vec<String>, ApiError> {
    let selectors = params.all("match[]");
    for selector in &selectors {
        let matchers = promql::syntax::parse_selector(selector).map_err(|error| invalid("match[]", error))?;
        if matchers.iter().all(model::matcher::Matcher::matches_empty) {
            return Err(invalid("match[]", "match[] must contain at least one non-empty matcher"));
        }
    }
    Ok(selectors)
}

fn notes<T>(found: &Limited<T>) -> Notes {
    let warnings = if found.truncated { vec![TRUNCATED.to_owned()] } else { Vec::new() };
    Notes { warnings, infos: Vec::new() }
}

/// `GET|POST /api/v1/series`
pub(crate) async fn series(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let options = options(&params)?;
    if params.all("match[]").is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = params.range()?;
    let found = app.metrics.series(&caller, selectors(&params)?, range, options).await?;
    let notes = notes(&found);
    let write = move |out: &mut Out<'_>| {
        out.list(&found.items, |out, labels| {
            out.labels(labels);
            Ok(())
        })
    };
    reply::success(&app, &params.headers, notes, write).await
}

/// `GET|POST /api/v1/labels`
pub(crate) async fn names(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    labels(&app, &caller, &params, None).await
}

/// `GET /api/v1/label/{name}/values`
pub(crate) async fn values(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = unescaped(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {}", promql::syntax::quote::quoted(&name))));
    }
    labels(&app, &caller, &params, Some(name)).await
}

async fn labels(app: &App, caller: &Caller, params: &Params, label: Option<String>) -> Result<Response, ApiError> {
    let options = options(params)?;
    let range = params.range()?;
    let found = app.metrics.labels(caller, label, selectors(params)?, range, options).await?;
    let notes = notes(&found);
    let write = move |out: &mut Out<'_>| out.strings(&found.items);
    reply::success(app, &params.headers, notes, write).await
}

/// Reads `U__`: `__` is an underscore and `_2e_` the character of that code point. What does not follow the rules is
/// the name as it is.
fn unescaped(name: &str) -> String {
    fn read(rest: &str) -> Option<String> {
        let mut name = String::new();
        let mut parts = rest;
        while let Some((before, after)) = parts.split_once('_') {
            name.push_str(before);
            if let Some(after) = after.strip_prefix('_') {
                name.push('_');
                parts = after;
                continue;
            }
            let (code, after) = after.split_once('_')?;
            name.push(u32::from_str_radix(code, 16).ok().and_then(char::from_u32)?);
            parts = after;
        }
        name.push_str(parts);
        Some(name)
    }
    name.strip_prefix(ESCAPED).and_then(read).unwrap_or_else(|| name.to_owned())
}

/// `GET /api/v1/metadata`
pub(crate) async fn metadata(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.number("limit")?;
    let per_metric = params.number("limit_per_metric")?;
    let found = app.metrics.metadata(&caller, params.get("metric").to_owned(), 0).await?;
    let families = by_family(&found.items, limit, per_metric);
    let write = move |out: &mut Out<'_>| {
        out.raw("{");
        for (at, (family, entries)) in families.iter().enumerate() {
            if at > 0 {
                out.raw(",");
            }
            out.string(family);
            out.raw(":");
            out.list(entries, |out, entry| {
                out.raw("{\"type\":");
                out.string(if entry.kind.is_empty() { "unknown" } else { &entry.kind });
                out.member("help");
                out.string(&entry.help);
                out.member("unit");
                out.string(&entry.unit);
                out.raw("}");
                Ok(())
            })?;
        }
        out.raw("}");
        Ok(())
    };
    reply::success(&app, &params.headers, Notes::default(), write).await
}

/// Families in order, each with what its targets say, once. A limit below zero is none.
fn by_family(items: &[Metadata], limit: i64, per_metric: i64) -> Vec<(String, Vec<Metadata>)> {
    let at_most = |limit: i64| usize::try_from(limit).unwrap_or(usize::MAX);
    let mut families: Vec<(String, Vec<Metadata>)> = Vec::new();
    for item in items {
        if families.last().is_none_or(|(family, _)| *family != item.family) {
            families.push((item.family.clone(), Vec::new()));
        }
        let Some((_, entries)) = families.last_mut() else { continue };
        let known = |entry: &Metadata| (&entry.kind, &entry.help, &entry.unit) == (&item.kind, &item.help, &item.unit);
        if !entries.iter().any(known) && entries.len() < at_most(per_metric) {
            entries.push(item.clone());
        }
    }
    families.truncate(at_most(limit));
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_path_are_read_back() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U__caf_e9_", "café"),
            ("U__broken_zz", "U__broken_zz"),
            ("U__broken_110000_", "U__broken_110000_"),
        ] {
            assert_eq!(unescaped(escaped), name);
        }
    }

    #[test]
    fn a_family_that_many_targets_describe_alike_is_described_once() {
        let said = |family: &str, help: &str| Metadata {
            family: family.to_owned(),
            kind: "counter".to_owned(),
            help: help.to_owned(),
            ..Metadata::default()
        };
        let items = [said("a", "one"), said("a", "one"), said("a", "two"), said("b", "three")];
        let counts = |limit, per_metric| -> Vec<(String, usize)> {
            by_family(&items, limit, per_metric).into_iter().map(|(family, said)| (family, said.len())).collect()
        };
        assert_eq!(counts(-1, -1), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        assert_eq!(counts(1, 1), [("a".to_owned(), 1)]);
        assert_eq!(counts(0, -1), []);
    }
}
