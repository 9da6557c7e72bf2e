//! `/-/reload` and `/-/quit`, as Prometheus answers them.

use appliance::identity::Caller;
use appliance::lifecycle::LifecycleError;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::error::ApiError;

/// `POST|PUT /-/reload`
pub async fn reload(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    app.reload_by_request(&caller).await.map_err(refused)?;
    Ok(StatusCode::OK.into_response())
}

/// `POST|PUT /-/quit`
pub async fn quit(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    app.quit_by_request(&caller).await.map_err(refused)?;
    Ok("Requesting termination... Goodbye!\n".into_response())
}

/// `GET` of either.
pub async fn only_post_or_put() -> ApiError {
    ApiError::plain(StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed")
}

fn refused(error: LifecycleError) -> ApiError {
    match error {
        LifecycleError::Disabled => ApiError::plain(StatusCode::FORBIDDEN, "Lifecycle API is not enabled."),
        LifecycleError::Denied(denied) => ApiError::plain(StatusCode::FORBIDDEN, denied.to_string()),
        LifecycleError::Reload(error) => {
            ApiError::plain(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {error}"))
        }
    }
}
