//! `/rules`, `/alerts`, `/alertmanagers`: there are none as long as nothing evaluates rules, and clients expect to be
//! told so in the usual shape.

use axum::response::Response;
use serde_json::json;

use super::params::Params;
use super::reply;
use crate::error::ApiError;

/// `GET /api/v1/rules`
pub(crate) async fn rules(params: Params) -> Result<Response, ApiError> {
    match params.get("type") {
        "" | "alert" | "record" => Ok(reply::small(&json!({"groups": []}))),
        other => Err(super::params::invalid("type", format!("not supported value {other:?}"))),
    }
}

/// `GET /api/v1/alerts`
pub(crate) async fn alerts() -> Response {
    reply::small(&json!({"alerts": []}))
}

/// `GET /api/v1/alertmanagers`: notifications are sent by this process itself.
pub(crate) async fn alertmanagers() -> Response {
    reply::small(&json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}
