//! An answer whose body has not been read yet.
//!
//! Promise: its connection goes back to wait for the next call only when the body was read to its end; dropped
//! before, it is closed.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::wire::Wire;
use super::{Answer, BodyBuffer, Shared, is_gzip};
use crate::client::ClientError;

/// The head of an answer, and its body as it comes.
pub struct Streaming {
    answer: Answer,
    body: Incoming,
    /// None once the body has ended.
    wire: Option<Wire>,
    shared: Arc<Shared>,
    origin: String,
    host: String,
}

impl std::fmt::Debug for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streaming").field("answer", &self.answer).finish_non_exhaustive()
    }
}

impl Streaming {
    pub(super) fn new(
        answer: Answer,
        body: Incoming,
        wire: Wire,
        (shared, origin, host): (Arc<Shared>, String, String),
    ) -> Self {
        Self { answer, body, wire: Some(wire), shared, origin, host }
    }

    #[must_use]
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    pub(super) fn answer_mut(&mut self) -> &mut Answer {
        &mut self.answer
    }

    /// The next piece of the body, as it came; `None` at its end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let Some(wire) = &mut self.wire else { return Ok(None) };
            match wire.during(self.body.frame()).await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.answer.wire_bytes += data.len() as u64;
                        return Ok(Some(data));
                    }
                    // Trailers say nothing that anybody asks for.
                    Err(_) => continue,
                },
                Some(Err(source)) => {
                    self.wire = None;
                    return Err(ClientError::Exchange { host: self.host.clone(), source });
                }
                None => {
                    self.keep();
                    return Ok(None);
                }
            }
        }
    }

    /// All of the body into `into`, decoded, at most `limit` bytes.
    pub(super) async fn collect(mut self, into: &mut BodyBuffer, limit: usize) -> Result<Answer, ClientError> {
        let mut sink = into.begin(is_gzip(&self.answer.headers)?, limit);
        let length = self.answer.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(length) = length {
            sink.expect(length)?;
        }
        while let Some(piece) = self.chunk().await? {
            sink.push(&piece)?;
        }
        self.answer.wire_bytes = sink.finish()?;
        Ok(self.answer)
    }

    fn keep(&mut self) {
        if let Some(wire) = self.wire.take() {
            let now = self.shared.clock.monotonic();
            self.shared.pool.put(std::mem::take(&mut self.origin), wire, now);
        }
    }
}
