//! How a request gets to the receiver: the seam where tests put a server of their own.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use wire::remote_write::Version;

use crate::receive::Written;

/// Characters of an answer that are kept for the log.
pub const MESSAGE_BYTES_MAX: usize = 512;
/// A receiver cannot make us wait longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// One request: what is sent and how it announces itself.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub version: Version,
    /// Compressed.
    pub body: Bytes,
    /// How often it was tried before.
    pub attempt: u32,
}

impl Outgoing {
    /// The headers of the protocol, without those of the configuration.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.version.content_type()));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Watchpost/", env!("CARGO_PKG_VERSION"))));
        let version = HeaderName::from_static("x-prometheus-remote-write-version");
        headers.insert(version, HeaderValue::from_static(self.version.header()));
        if self.attempt > 0 {
            headers.insert(HeaderName::from_static("retry-attempt"), HeaderValue::from(self.attempt));
        }
        headers
    }
}

/// What a receiver said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// The beginning of the body.
    pub message: String,
    /// What it says to have stored; receivers of version 2.0 do.
    pub written: Option<Written>,
    pub retry_after: Option<Duration>,
}

impl Reply {
    /// Reads an answer.
    #[must_use]
    pub fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let written = |what: &str| number(&format!("x-prometheus-remote-write-{what}-written"));
        let counts = [written("samples"), written("histograms"), written("exemplars")];
        let written = counts.iter().any(Option::is_some).then(|| Written {
            samples: counts[0].unwrap_or(0),
            histograms: counts[1].unwrap_or(0),
            exemplars: counts[2].unwrap_or(0),
        });
        // The other form of the header, a date, is rare here; the usual back-off serves.
        let retry_after = number("retry-after").map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
        let message = String::from_utf8_lossy(&body[..body.len().min(MESSAGE_BYTES_MAX)]).trim().to_owned();
        Self { status, message, written, retry_after }
    }
}

/// The request did not get an answer; it may or may not have arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// Gets requests to one receiver.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request and reads the answer. Dropping the future gives the request up.
    async fn send(&self, request: Outgoing) -> Result<Reply, Unanswered>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_counts_and_a_bounded_wait() {
        let mut headers = HeaderMap::new();
        assert_eq!(Reply::read(204, &headers, b""), Reply { status: 204, ..Reply::default() });
        headers.insert("X-Prometheus-Remote-Write-Samples-Written", HeaderValue::from_static("5"));
        headers.insert("Retry-After", HeaderValue::from_static("86400"));
        let reply = Reply::read(503, &headers, b" later\n");
        assert_eq!(reply.written, Some(Written { samples: 5, ..Written::default() }));
        assert_eq!((reply.retry_after, reply.message.as_str()), (Some(RETRY_AFTER_MAX), "later"));
    }

    #[test]
    fn a_request_announces_its_version_and_how_often_it_was_tried() {
        let request = Outgoing { version: Version::V2, body: Bytes::new(), attempt: 2 };
        let headers = request.headers();
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(value("content-type"), Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"));
        assert_eq!(value("x-prometheus-remote-write-version"), Some("2.0.0"));
        assert_eq!((value("content-encoding"), value("retry-attempt")), (Some("snappy"), Some("2")));
    }
}
