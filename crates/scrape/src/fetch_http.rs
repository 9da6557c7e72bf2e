//! Bodies over HTTP: a job's client settings put to work for its targets.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use model::time::Clock;
use net::client::{Budget, Call, ClientError};
use net::http_config::HttpConfig;
use net::session::{Session, SessionOptions};

use crate::fetch::{Body, Fetch, FetchError, Fetched, Request};

const TIMEOUT_SECONDS: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
/// What targets are told about us, unless the configuration says otherwise.
const USER_AGENT: &str = concat!("Watchpost/", env!("CARGO_PKG_VERSION"));

/// Fetches the targets of one job.
#[derive(Clone, Debug)]
pub struct HttpFetch {
    session: Session,
}

impl HttpFetch {
    /// # Errors
    /// The configuration asks for something that is not supported, by name.
    pub fn new(config: &HttpConfig, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let options = SessionOptions { user_agent: USER_AGENT.to_owned(), ..SessionOptions::default() };
        Ok(Self { session: Session::new(config, options, clock)? })
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn fetch(&self, request: &Request<'_>, body: &mut Body) -> Result<Fetched, FetchError> {
        let mut call = Call::get(request.url);
        call.headers = headers(request)?;
        call.budget = Budget {
            total: request.timeout,
            connect: request.timeout,
            body_bytes_max: request.body_bytes_max,
            ..Budget::default()
        };
        let answer = Box::pin(self.session.send(&call, body.http())).await.map_err(|error| failed(error, request))?;
        if answer.status != StatusCode::OK {
            return Err(FetchError::Status(answer.status.to_string()));
        }
        let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        Ok(Fetched { content_type: content_type.to_owned() })
    }
}

fn headers(request: &Request<'_>) -> Result<HeaderMap, FetchError> {
    let mut headers = HeaderMap::with_capacity(4);
    let accept = HeaderValue::from_str(request.accept).map_err(|error| FetchError::Failed(error.to_string()))?;
    headers.insert(ACCEPT, accept);
    // Said in both ways: some servers compress unless they are told not to.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(if request.compression { "gzip" } else { "identity" }));
    if let Ok(value) = HeaderValue::from_str(&seconds(request.timeout)) {
        headers.insert(TIMEOUT_SECONDS, value);
    }
    Ok(headers)
}

fn seconds(timeout: Duration) -> String {
    timeout.as_secs_f64().to_string()
}

fn failed(error: ClientError, request: &Request<'_>) -> FetchError {
    match error {
        ClientError::TooLarge(limit) => FetchError::TooLarge { limit },
        ClientError::Timeout(_) => FetchError::Timeout(request.timeout),
        other => FetchError::Failed(other.to_string()),
    }
}
