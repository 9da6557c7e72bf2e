//! Prometheus's envelope around an answer, compressed where the caller can read that, in pieces where it is long.
//!
//! Promise: a body that could not be written to its end breaks off, it never looks complete.
//! Not here: errors (`crate::error`).

use std::io::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use model::query::Notes;
use tokio::sync::mpsc;

use super::json::{Gone, Out, Sink};
use crate::App;
use crate::error::{ApiError, Failure};

/// Pieces that wait for a slow reader; the writer waits beyond.
const PIECES_WAITING: usize = 2;
/// Below this compressing costs more than it brings.
const COMPRESS_FROM_BYTES: usize = 1024;
/// How long an answer that is ready waits for a place to be written.
const PATIENCE: Duration = Duration::from_secs(60);

/// What goes to the body.
enum Piece {
    Data { bytes: Bytes, encoded: bool },
    End,
}

/// How bodies are compressed.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    fn name(headers: &HeaderMap) -> Option<&'static str> {
        let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
        let takes = |name: &str| {
            accepted.split(',').any(|item| {
                let (known, weight) = item.split_once(';').unwrap_or((item, ""));
                known.trim() == name && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
            })
        };
        ["gzip", "deflate"].into_iter().find(|name| takes(name))
    }

    fn new(name: &str) -> Self {
        if name == "gzip" {
            Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast()))
        } else {
            Self::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast()))
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        // Writing into a Vec cannot fail.
        let (_, into) = match self {
            Self::Gzip(encoder) => (encoder.write_all(bytes), encoder.get_mut()),
            Self::Deflate(encoder) => (encoder.write_all(bytes), encoder.get_mut()),
        };
        std::mem::take(into)
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
        }
        .unwrap_or_default()
    }
}

/// Hands pieces to the body.
struct Pipe {
    to: mpsc::Sender<Piece>,
    encoder: Option<Encoder>,
    started: bool,
}

impl Pipe {
    fn send(&self, bytes: Vec<u8>, encoded: bool) -> Result<(), Gone> {
        self.to.blocking_send(Piece::Data { bytes: bytes.into(), encoded }).map_err(|_| Gone)
    }

    fn finish(mut self, rest: Vec<u8>) -> Result<(), Gone> {
        let encoder = self.encoder.take().filter(|_| self.started || rest.len() >= COMPRESS_FROM_BYTES);
        match encoder {
            None => self.send(rest, false)?,
            Some(mut encoder) => {
                let mut last = encoder.write(&rest);
                last.extend(encoder.finish());
                self.send(last, true)?;
            }
        }
        self.to.blocking_send(Piece::End).map_err(|_| Gone)
    }
}

impl Sink for Pipe {
    fn take(&mut self, buffer: &mut Vec<u8>) -> Result<(), Gone> {
        self.started = true;
        let Some(encoder) = &mut self.encoder else {
            let full = std::mem::replace(buffer, Vec::with_capacity(buffer.len()));
            return self.send(full, false);
        };
        let bytes = encoder.write(buffer);
        buffer.clear();
        if bytes.is_empty() { Ok(()) } else { self.send(bytes, true) }
    }
}

/// `{"status":"success","data":…}` with what `write` writes as the data.
pub(crate) async fn success<F>(app: &App, headers: &HeaderMap, notes: Notes, write: F) -> Result<Response, ApiError>
where
    F: FnOnce(&mut Out<'_>) -> Result<(), Gone> + Send + 'static,
{
    let envelope = move |out: &mut Out<'_>| {
        out.raw("{\"status\":\"success\",\"data\":");
        write(out)?;
        for (name, texts) in [("warnings", &notes.warnings), ("infos", &notes.infos)] {
            if !texts.is_empty() {
                out.member(name);
                out.strings(texts)?;
            }
        }
        out.raw("}");
        Ok(())
    };
    body(app, headers, "application/json", envelope).await
}

/// A body that `write` writes, on a thread where that may take its time.
pub(crate) async fn body<F>(app: &App, headers: &HeaderMap, kind: &'static str, write: F) -> Result<Response, ApiError>
where
    F: FnOnce(&mut Out<'_>) -> Result<(), Gone> + Send + 'static,
{
    let encoding = Encoder::name(headers);
    let (to, mut pieces) = mpsc::channel(PIECES_WAITING);
    let work = move || {
        let mut pipe = Pipe { to, encoder: encoding.map(Encoder::new), started: false };
        let mut out = Out::new(&mut pipe);
        if write(&mut out).is_ok() {
            let rest = std::mem::take(&mut out.buffer);
            // Nobody waits any more: that is theirs to decide.
            let _gone = pipe.finish(rest);
        }
    };
    let failed = |text: String| ApiError::Prometheus { kind: Failure::Internal, text };
    app.metrics.pool.begin(PATIENCE, work).await.map_err(|error| failed(error.to_string()))?;
    let Some(Piece::Data { bytes, encoded }) = pieces.recv().await else {
        return Err(failed("the answer could not be written".to_owned()));
    };
    let rest = match pieces.recv().await {
        Some(Piece::End) => None,
        next => Some((next, pieces)),
    };
    let body = match rest {
        None => Body::from(bytes),
        Some((next, pieces)) => in_pieces(bytes, next, pieces),
    };
    let mut response = body.into_response();
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answered.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let (true, Some(name)) = (encoded, encoding) {
        answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    Ok(response)
}

fn in_pieces(first: Bytes, second: Option<Piece>, pieces: mpsc::Receiver<Piece>) -> Body {
    let ready = vec![second, Some(Piece::Data { bytes: first, encoded: false })];
    let stream = futures_util::stream::unfold((ready, Some(pieces)), |(mut ready, pieces)| async move {
        let mut pieces = pieces?;
        let next = match ready.pop() {
            Some(piece) => piece,
            None => pieces.recv().await,
        };
        match next {
            Some(Piece::Data { bytes, .. }) => Some((Ok(bytes), (ready, Some(pieces)))),
            Some(Piece::End) => None,
            // The writer is gone without an end: the connection must not end as if all were said.
            None => Some((Err(std::io::Error::other("the answer broke off")), (ready, None))),
        }
    });
    Body::from_stream(stream)
}

/// A small answer made of a value.
pub(crate) fn small(data: &serde_json::Value) -> Response {
    axum::Json(serde_json::json!({"status": "success", "data": data})).into_response()
}
