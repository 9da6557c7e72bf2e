//! Requests over HTTP, on connections that are kept: what the configuration says about a client, `net` does.
//!
//! A URL with a user and a password is one with `basic_auth`, as in Go, unless the configuration says otherwise.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue};
use model::time::Clock;
use net::client::{Budget, Call, ClientError};
use net::http_config::{BasicAuth, Url};
use net::session::{BodyBuffer, Session, SessionOptions};

use super::transport::{Outgoing, Reply, Transport, Unanswered};
use crate::config::RemoteWriteConfig;

/// An answer is a line or nothing; one beyond this is not a remote-write receiver's.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// To a connection, per address.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A way to one receiver.
#[derive(Debug)]
pub struct HttpTransport {
    session: Session,
    url: String,
    headers: HeaderMap,
    timeout: Duration,
}

impl HttpTransport {
    /// Puts a block that was read and found good to work.
    ///
    /// # Errors
    /// The block asks for something that is not supported, by name.
    pub fn new(
        config: &RemoteWriteConfig,
        options: SessionOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let url = config.url.as_ref().map(|url| &url.value);
        let mut http = config.http.clone();
        let authorized = http.basic_auth.is_some()
            || http.authorization.is_some()
            || http.oauth2.is_some()
            || http.bearer_token.is_some()
            || http.bearer_token_file.is_some();
        if let Some((name, password)) = url.and_then(Url::user).filter(|_| !authorized) {
            let (username, password) = (Some(name), Some(password));
            http.basic_auth = Some(BasicAuth { username, password, ..BasicAuth::default() });
        }
        let mut headers = HeaderMap::new();
        for (name, value) in config.headers.iter() {
            // Names were checked with the file; a value that is no header is left out, as Go's client would refuse it.
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        let session = Session::new(&http, options, clock)?;
        let url = url.map(Url::without_user).unwrap_or_default();
        Ok(Self { session, url, headers, timeout: config.remote_timeout })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Outgoing) -> Result<Reply, Unanswered> {
        let mut headers = self.headers.clone();
        headers.extend(request.headers());
        let budget =
            Budget { total: self.timeout, connect: CONNECT_MAX, body_bytes_max: ANSWER_BYTES_MAX, redirects_max: 0 };
        let call = Call { headers, budget, ..Call::post(self.url.as_str(), request.body) };
        let mut body = BodyBuffer::new();
        let answer = self.session.send(&call, &mut body).await.map_err(|error| Unanswered(error.to_string()))?;
        Ok(Reply::read(answer.status.as_u16(), &answer.headers, body.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use model::time::SystemClock;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use wire::remote_write::Version;

    use super::*;

    /// Reads one request and gives one answer; returns head and body.
    async fn answer_one(listener: &TcpListener, answer: &str) -> (String, Vec<u8>) {
        let (mut stream, _) = listener.accept().await.expect("a caller");
        let mut bytes = Vec::new();
        loop {
            let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = head {
                let text = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let body = bytes[end + 4..].to_vec();
                if body.len() >= length.unwrap_or(0) {
                    stream.write_all(answer.as_bytes()).await.expect("the caller waits");
                    return (text, body);
                }
            }
            let read = stream.read_buf(&mut bytes).await.expect("the caller sends");
            assert!(read > 0, "the caller hung up after {} bytes", bytes.len());
        }
    }

    #[tokio::test]
    async fn a_request_arrives_with_its_headers_and_the_answer_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let text = format!("url: http://u:p%40@{address}/push?a=b\nheaders: {{X-Scope-OrgID: team}}\n");
        let config: RemoteWriteConfig = yaml::from_str("p.yml", &text).expect("a good block");
        let transport =
            HttpTransport::new(&config, SessionOptions::default(), Arc::new(SystemClock::new())).expect("supported");
        let request = Outgoing { version: Version::V2, body: Bytes::from_static(b"\x00body"), attempt: 1 };
        let answer = "HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 5\r\n\r\nlater";
        let (reply, (head, body)) = tokio::join!(transport.send(request), answer_one(&listener, answer));
        let expected =
            Reply { status: 503, message: "later".into(), retry_after: Some(Duration::from_secs(3)), written: None };
        assert_eq!(reply, Ok(expected));
        assert_eq!(body, b"\x00body");
        assert!(head.starts_with("post /push?a=b http/1.1\r\n"), "{head}");
        for line in [
            "content-type: application/x-protobuf;proto=io.prometheus.write.v2.request",
            "content-encoding: snappy",
            "x-prometheus-remote-write-version: 2.0.0",
            "x-scope-orgid: team",
            "retry-attempt: 1",
            // u:p@
            "authorization: basic dtpwqa==",
        ] {
            assert!(head.lines().any(|have| have == line), "{line} is not in {head}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        drop(listener);
        let config: RemoteWriteConfig = yaml::from_str("p.yml", &format!("url: http://{address}/")).expect("good");
        let transport =
            HttpTransport::new(&config, SessionOptions::default(), Arc::new(SystemClock::new())).expect("supported");
        let request = Outgoing { version: Version::V1, body: Bytes::new(), attempt: 0 };
        let error = transport.send(request).await.expect_err("nobody listens");
        assert!(error.to_string().contains("connecting to"), "{error}");
    }
}
