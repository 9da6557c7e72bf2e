//! `/admin/tsdb/*`: deleting, cleaning up, copying.

use appliance::identity::Caller;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::params::{Params, invalid};
use super::reply;
use crate::App;
use crate::error::ApiError;

/// `POST|PUT /api/v1/admin/tsdb/delete_series`
pub(crate) async fn delete_series(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    app.metrics.may_operate(&caller)?;
    let texts = params.all("match[]");
    if texts.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = params.range()?;
    let selectors = texts
        .iter()
        .map(|text| promql::syntax::parse_selector(text).map_err(|error| invalid("match[]", error)))
        .collect::<Result<Vec<_>, _>>()?;
    app.metrics.delete(&caller, selectors, range).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST|PUT /api/v1/admin/tsdb/clean_tombstones`
pub(crate) async fn clean_tombstones(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    app.metrics.clean(&caller).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST|PUT /api/v1/admin/tsdb/snapshot`. What is in memory is always part of the copy.
pub(crate) async fn snapshot(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let skip_head = params.get("skip_head");
    if !matches!(skip_head, "" | "0" | "f" | "F" | "false" | "False" | "FALSE") {
        let reason = if matches!(skip_head, "1" | "t" | "T" | "true" | "True" | "TRUE") {
            "a copy without what is in memory is not supported".to_owned()
        } else {
            format!("unable to parse boolean {skip_head:?}")
        };
        return Err(invalid("skip_head", reason));
    }
    let now = app.clock.now();
    let name = format!("{}-{:08x}", now.to_string().replace([':', '-', '.'], ""), now.millis() as u32);
    let name = app.metrics.snapshot(&caller, name).await?;
    Ok(reply::small(&json!({ "name": name })))
}
