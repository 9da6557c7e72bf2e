//! Targets from a list that an HTTP server answers with, asked for once an interval.

pub mod config;

use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_TYPE};
use net::client::Call;
use net::session::{BodyBuffer, Session};
use tokio_util::sync::CancellationToken;

pub use self::config::HttpSdConfig;
use super::group::Sent;
use super::refresh::{self, Refresh};
use super::{DiscoveryError, Environment, Group, Out, list};

/// Of an answer, decoded.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Asks one server.
#[derive(Debug)]
pub struct HttpDiscovery {
    block: HttpSdConfig,
    session: Session,
    call: Call,
    body: BodyBuffer,
    sent: Sent,
}

impl HttpDiscovery {
    /// # Errors
    /// The client's settings ask for something that is not supported.
    pub fn new(block: HttpSdConfig, environment: &Environment) -> Result<Self, DiscoveryError> {
        let session = environment.session(&block.http, None)?;
        let mut call = Call::get(block.url.without_user());
        let seconds = block.refresh_interval.as_secs_f64().to_string();
        call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Ok(seconds) = HeaderValue::from_str(&seconds) {
            call.headers.insert("x-prometheus-refresh-interval-seconds", seconds);
        }
        call.budget.total = block.refresh_interval;
        call.budget.body_bytes_max = ANSWER_BYTES_MAX;
        Ok(Self { block, session, call, body: BodyBuffer::new(), sent: Sent::default() })
    }

    pub async fn run(self, out: Out, stop: CancellationToken) {
        let interval = self.block.refresh_interval;
        refresh::run(self, interval, out, stop).await;
    }
}

impl Refresh for HttpDiscovery {
    async fn refresh(&mut self, _out: &Out) -> Result<Vec<Group>, DiscoveryError> {
        let url = self.block.url.redacted();
        let answer = self.session.send(&self.call, &mut self.body).await?;
        let wrong = |why: String| DiscoveryError::Answer { url: url.clone(), why };
        if answer.status != http::StatusCode::OK {
            return Err(wrong(format!("server returned HTTP status {}", answer.status)));
        }
        let kind = answer.headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?")).trim();
        if !is_json(kind) {
            return Err(wrong(format!("unsupported content type {kind:?}, expected application/json")));
        }
        let groups = list::from_json(self.body.bytes(), &url, ("__meta_url", &url)).map_err(wrong)?;
        Ok(self.sent.changes(groups))
    }
}

/// JSON, with UTF-8 or nothing as its charset.
fn is_json(kind: &str) -> bool {
    let (kind, charset) = kind.split_once(';').unwrap_or((kind, ""));
    let charset = charset.trim().to_ascii_lowercase();
    kind.eq_ignore_ascii_case("application/json")
        && matches!(charset.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}
