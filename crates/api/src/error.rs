//! How a failed request is answered, in the body its dialect expects.

use appliance::metrics::MetricsError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::query::QueryError;

/// A request that got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The endpoints of Prometheus's life cycle answer in plain text.
    #[error("{text}")]
    Plain { status: StatusCode, text: String },
    /// Prometheus's API says what kind of failure it was.
    #[error("{text}")]
    Prometheus { kind: Failure, text: String },
}

/// The kinds of failure of Prometheus's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    BadData,
    Execution,
    Canceled,
    Timeout,
    Unavailable,
    Internal,
    NotFound,
    Forbidden,
    /// Known to Prometheus, not offered here.
    NotSupported,
}

impl Failure {
    /// What `errorType` says.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::NotSupported => "not_supported",
        }
    }

    /// The status it is sent with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            // Whoever closed the connection does not read it; proxies log it.
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unavailable | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotSupported => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

impl From<MetricsError> for ApiError {
    fn from(error: MetricsError) -> Self {
        let text = error.to_string();
        let kind = match error {
            MetricsError::Denied(_) => Failure::Forbidden,
            MetricsError::AdminClosed => Failure::Unavailable,
            MetricsError::ReceiverClosed => return Self::Plain { status: StatusCode::NOT_FOUND, text },
            MetricsError::Query(error) => match error {
                QueryError::BadData(_) => Failure::BadData,
                QueryError::Execution(_) => Failure::Execution,
                QueryError::Timeout(_) => Failure::Timeout,
                QueryError::Cancelled(_) => Failure::Canceled,
                QueryError::Internal(_) => Failure::Internal,
                QueryError::Unavailable(_) => Failure::Unavailable,
            },
        };
        Self::Prometheus { kind, text }
    }
}

impl ApiError {
    /// An answer in plain text.
    #[must_use]
    pub fn plain(status: StatusCode, text: impl Into<String>) -> Self {
        Self::Plain { status, text: text.into() }
    }

    /// Something in the request cannot be used, as Prometheus says it.
    #[must_use]
    pub fn bad_data(text: impl Into<String>) -> Self {
        Self::Prometheus { kind: Failure::BadData, text: text.into() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Plain { status, text } => {
                (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text + "\n").into_response()
            }
            Self::Prometheus { kind, text } => {
                let body = serde_json::json!({"status": "error", "errorType": kind.name(), "error": text});
                (kind.status(), axum::Json(body)).into_response()
            }
        }
    }
}
