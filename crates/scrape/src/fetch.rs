//! The port through which bodies come: over HTTP, or from somebody in this process.
//!
//! Not here: the HTTP client itself (`net`; its adapter is `fetch_http`), what a body means (`ingest`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use net::session::BodyBuffer;

/// A body is cut off here even where no `body_size_limit` is set: a body without end must not take all memory.
/// Some ten times what the biggest exporters answer.
pub const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub url: &'a str,
    /// The `Accept` header.
    pub accept: &'a str,
    pub timeout: Duration,
    /// Whether a compressed answer is asked for.
    pub compression: bool,
    /// What `body_size_limit` says, or [`BODY_BYTES_MAX`].
    pub body_bytes_max: usize,
}

/// The head of a good answer; the body is in the [`Body`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// As it was sent; empty where it was not.
    pub content_type: String,
}

/// Why there is no body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The words are the status line's: `404 Not Found`.
    #[error("server returned HTTP status {0}")]
    Status(String),
    #[error("body size limit exceeded: more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the answer did not come within {0:?}: context deadline exceeded")]
    Timeout(Duration),
    #[error("{0}")]
    Failed(String),
}

/// Where a body is put; kept and used again.
#[derive(Debug, Default)]
pub struct Body {
    /// What somebody in this process wrote.
    local: Vec<u8>,
    /// What came over HTTP.
    http: BodyBuffer,
    over_http: bool,
}

impl Body {
    /// Room for a body that is written here.
    pub fn local(&mut self) -> &mut Vec<u8> {
        self.over_http = false;
        self.local.clear();
        &mut self.local
    }

    /// Room for a body that comes over HTTP.
    pub const fn http(&mut self) -> &mut BodyBuffer {
        self.over_http = true;
        &mut self.http
    }

    /// What was put in last.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        if self.over_http { self.http.bytes() } else { &self.local }
    }

    /// Gives memory back where one unusually large body took it.
    pub fn shrink(&mut self, bytes_max: usize) {
        if self.local.capacity() > bytes_max {
            self.local = Vec::new();
        }
        if self.http.capacity() > bytes_max {
            self.http.shrink_to(bytes_max);
        }
    }
}

/// Gets the bodies of one job's targets.
#[async_trait]
pub trait Fetch: Send + Sync {
    async fn fetch(&self, request: &Request<'_>, body: &mut Body) -> Result<Fetched, FetchError>;
}

/// A target in this process, scraped without a socket.
pub trait LocalTarget: Send + Sync {
    /// Appends an exposition and says which type it has, as in a `Content-Type` header.
    ///
    /// # Errors
    /// In words: why there is nothing to read now. The target counts as down then.
    fn write(&self, out: &mut Vec<u8>) -> Result<&'static str, String>;
}

/// Lets a [`LocalTarget`] be fetched.
pub struct LocalFetch(pub Arc<dyn LocalTarget>);

#[async_trait]
impl Fetch for LocalFetch {
    async fn fetch(&self, request: &Request<'_>, body: &mut Body) -> Result<Fetched, FetchError> {
        let out = body.local();
        let content_type = self.0.write(out).map_err(FetchError::Failed)?;
        if out.len() > request.body_bytes_max {
            return Err(FetchError::TooLarge { limit: request.body_bytes_max });
        }
        Ok(Fetched { content_type: content_type.to_owned() })
    }
}
