//! `/-/reload` and `/-/quit`, as Prometheus answers them.

use appliance::lifecycle::LifecycleError;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::error::ApiError;

/// `POST|PUT /-/reload`
pub async fn reload(State(app): State<App>, method: Method) -> Result<Response, ApiError> {
    only_post_or_put(&method)?;
    app.reload_by_request().await.map_err(refused)?;
    Ok(StatusCode::OK.into_response())
}

/// `POST|PUT /-/quit`
pub async fn quit(State(app): State<App>, method: Method) -> Result<Response, ApiError> {
    only_post_or_put(&method)?;
    app.quit_by_request().map_err(refused)?;
    Ok("Requesting termination... Goodbye!\n".into_response())
}

fn only_post_or_put(method: &Method) -> Result<(), ApiError> {
    if matches!(*method, Method::POST | Method::PUT) {
        return Ok(());
    }
    Err(ApiError::plain(StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed"))
}

fn refused(error: LifecycleError) -> ApiError {
    match error {
        LifecycleError::Disabled => ApiError::plain(StatusCode::FORBIDDEN, "Lifecycle API is not enabled."),
        LifecycleError::Reload(error) => {
            ApiError::plain(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {error}"))
        }
    }
}
