//! `/write` and `/federate`: samples that other servers bring, and samples that they take.

use appliance::identity::Caller;
use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use remote::federate::{CONTENT_TYPE, CONTENT_TYPE_UNDERSCORES};

use super::labels::selectors;
use super::params::Params;
use super::reply;
use crate::App;
use crate::error::ApiError;

/// Compressed bytes of one request; what it decodes to has a bound of its own.
const BODY_BYTES_MAX: usize = 32 << 20;

/// `POST /api/v1/write`
pub(crate) async fn write(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    app.metrics.may_write(&caller)?;
    // The body has no length to go by where it comes in pieces, so the bound counts.
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let text = format!("the body cannot be read, expected at most {BODY_BYTES_MAX} bytes");
        return Err(ApiError::plain(StatusCode::PAYLOAD_TOO_LARGE, text));
    };
    let outcome = app.metrics.write(&caller, &headers, body).await?;
    let mut response = if outcome.text.is_empty() {
        outcome.status.into_response()
    } else {
        (outcome.status, format!("{}\n", outcome.text)).into_response()
    };
    response.headers_mut().extend(outcome.headers());
    Ok(response)
}

/// `GET /federate`
pub(crate) async fn federate(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let plain = |error: ApiError| ApiError::plain(StatusCode::BAD_REQUEST, error.to_string());
    let selectors = selectors(&params).map_err(plain)?;
    let accept = params.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    let utf8_names = accept.contains("escaping=allow-utf-8");
    let external = app.external_labels();
    let federated = app.metrics.federate(&caller, &selectors, external, utf8_names).await?;
    let kind = if utf8_names { CONTENT_TYPE } else { CONTENT_TYPE_UNDERSCORES };
    reply::body(&app, &params.headers, kind, move |out| {
        out.raw(&federated.text);
        Ok(())
    })
    .await
}
