//! How a failed request is answered, in the body its dialect expects.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A request that got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The endpoints of Prometheus's life cycle answer in plain text.
    #[error("{text}")]
    Plain { status: StatusCode, text: String },
}

impl ApiError {
    /// An answer in plain text.
    #[must_use]
    pub fn plain(status: StatusCode, text: impl Into<String>) -> Self {
        Self::Plain { status, text: text.into() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self::Plain { status, text } = self;
        (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text + "\n").into_response()
    }
}
