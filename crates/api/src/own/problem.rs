//! What went wrong, as RFC 9457 writes it: `application/problem+json`.

use std::time::Duration;

use appliance::identity::IdentityError;
use auth::permit::Denied;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// An error as its caller reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: String,
    pub status: u16,
    /// What happened and what was expected instead.
    pub detail: String,
    /// The field that is wrong, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("error").to_owned();
        Self {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            retry_after: None,
        }
    }

    /// About one field of what was sent.
    #[must_use]
    pub fn of_field(status: StatusCode, field: &'static str, detail: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::new(status, detail) }
    }

    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

/// Nobody known may not do it: said with the line that would work.
#[must_use]
pub fn unauthorized(curl: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        format!("this needs an API token (Settings, Account, Tokens; or `watchpost token create`): {curl}"),
    )
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        let detail = error.to_string();
        let status = match &error {
            IdentityError::Denied(Denied::NotAuthenticated) | IdentityError::TokenRefused(_) => {
                StatusCode::UNAUTHORIZED
            }
            IdentityError::Denied(_) | IdentityError::WrongPassword | IdentityError::WrongCode => StatusCode::FORBIDDEN,
            IdentityError::NotFound => StatusCode::NOT_FOUND,
            IdentityError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            IdentityError::NameTaken | IdentityError::LastAdmin | IdentityError::TooMany { .. } => StatusCode::CONFLICT,
            IdentityError::Stale => StatusCode::PRECONDITION_FAILED,
            IdentityError::Throttled { .. } | IdentityError::Busy => StatusCode::TOO_MANY_REQUESTS,
            IdentityError::SetupDone | IdentityError::BadLink => StatusCode::GONE,
            IdentityError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            IdentityError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Self::new(status, detail);
        match error {
            IdentityError::Invalid { field, .. } => problem.field = Some(field),
            IdentityError::Throttled { retry_after } => problem.retry_after = Some(retry_after),
            IdentityError::Busy | IdentityError::Unavailable(_) => problem.retry_after = Some(Duration::from_secs(1)),
            // The log has the rest; a caller learns nothing about our insides.
            IdentityError::Internal(_) => "the server failed to do this".clone_into(&mut problem.detail),
            _ => {}
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            let ways = HeaderValue::from_static("Bearer realm=\"watchpost\", Basic realm=\"watchpost\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, ways);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status_and_a_wait_where_waiting_helps() {
        let wait = Duration::from_millis(1_500);
        for (error, status, retry) in [
            (IdentityError::NotFound, 404, None),
            (IdentityError::Denied(Denied::NotAuthenticated), 401, None),
            (IdentityError::Denied(Denied::NotForTokens), 403, None),
            (IdentityError::Stale, 412, None),
            (IdentityError::LastAdmin, 409, None),
            (IdentityError::Throttled { retry_after: wait }, 429, Some("2")),
            (IdentityError::Busy, 429, Some("1")),
            (IdentityError::Unavailable("the store is gone".to_owned()), 503, Some("1")),
        ] {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status().as_u16(), status);
            let header = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().expect("text"));
            assert_eq!(header, retry, "{status}");
            assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401);
        }
    }

    #[test]
    fn what_failed_inside_is_not_told() {
        let problem = Problem::from(IdentityError::Internal("row 7 of users is damaged".to_owned()));
        assert!(!problem.detail.contains("row 7"), "{problem:?}");
    }
}
