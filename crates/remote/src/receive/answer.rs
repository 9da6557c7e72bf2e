//! What a sender is told: which message it sent, or why it is not one; the status, the text, the counts.
//!
//! The texts for content types are Prometheus's. Statuses follow the specification: what may succeed later is 5xx,
//! because senders do not try anything else again (429 only where they are told to).

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use model::storage::StorageError;
use wire::remote_write::{MEDIA_TYPE, RemoteWriteError, Version};
use wire::snappy::SnappyError;

/// Longest text of an answer. Senders log a line of it.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// A disk that is full stays so for a while.
const NO_SPACE_RETRY_AFTER: Duration = Duration::from_secs(30);
const NOT_READY_RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many of each are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub samples: u64,
    pub histograms: u64,
    pub exemplars: u64,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: StatusCode,
    /// What went wrong, for the sender's log; empty where nothing did.
    pub text: String,
    pub written: Written,
    /// Whether the counts are part of the answer: for requests of version 2.0 that were read.
    pub shows_written: bool,
    pub retry_after: Option<Duration>,
    /// Samples that storage refused.
    pub refused: u64,
    /// Samples of series whose labels are no labels.
    pub invalid_labels: u64,
}

impl Outcome {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
            text.push('…');
        }
        Self {
            status,
            text,
            written: Written::default(),
            shows_written: false,
            retry_after: None,
            refused: 0,
            invalid_labels: 0,
        }
    }

    pub(super) fn come_again(text: &str, after: Duration) -> Self {
        Self { retry_after: Some(after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, text) }
    }

    pub(super) fn internal(text: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    pub(super) fn storage(error: &StorageError) -> Self {
        match error {
            StorageError::NoSpace(_) => Self::come_again(&error.to_string(), NO_SPACE_RETRY_AFTER),
            StorageError::NotReady(_) => Self::come_again(&error.to_string(), NOT_READY_RETRY_AFTER),
            StorageError::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            // Among these "written but not synced": sending it again is safe, acknowledging it would not be.
            StorageError::NotSynced(_)
            | StorageError::OverBudget(_)
            | StorageError::Cancelled
            | StorageError::Io(_)
            | StorageError::Remote(_) => Self::internal(&error.to_string()),
        }
    }

    /// The headers of the answer.
    #[must_use]
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        if self.shows_written {
            let Written { samples, histograms, exemplars } = self.written;
            for (name, count) in [
                ("x-prometheus-remote-write-samples-written", samples),
                ("x-prometheus-remote-write-histograms-written", histograms),
                ("x-prometheus-remote-write-exemplars-written", exemplars),
            ] {
                headers.push((HeaderName::from_static(name), HeaderValue::from(count)));
            }
        }
        if let Some(after) = self.retry_after {
            headers.push((RETRY_AFTER, HeaderValue::from(after.as_secs())));
        }
        headers
    }
}

impl From<SnappyError> for Outcome {
    fn from(error: SnappyError) -> Self {
        let status = match error {
            SnappyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl From<RemoteWriteError> for Outcome {
    fn from(error: RemoteWriteError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

/// Which message the headers announce. What is missing is taken for version 1.0 in snappy, as Prometheus does.
pub(super) fn version_of(headers: &HeaderMap) -> Result<Version, Outcome> {
    let unsupported = |text: String| Outcome::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let encoding = text(CONTENT_ENCODING).unwrap_or_default();
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
        let sentence = "encoding (compression) is not accepted by this server; only snappy is acceptable";
        return Err(unsupported(format!("{encoding} {sentence}")));
    }
    let content_type = text(CONTENT_TYPE).unwrap_or_default();
    let content_type = content_type.trim();
    if content_type.is_empty() {
        return Ok(Version::V1);
    }
    let mut parts = content_type.split(';');
    if parts.next() != Some(MEDIA_TYPE) {
        let sentence = format!("expected {MEDIA_TYPE} as the first (media) part, got {content_type} content-type");
        return Err(unsupported(sentence));
    }
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=').filter(|(_, value)| !value.contains('=')) else {
            let sentence = "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be \
                            key-values, got";
            return Err(unsupported(format!("{sentence} {parameter} in {content_type} content-type")));
        };
        if name.trim() == "proto" {
            return Version::from_message(value.trim()).ok_or_else(|| {
                unsupported(format!(
                    "got {content_type} content type; unknown type for remote write protobuf message {value}, \
                     supported: {}, {}",
                    Version::V1.message(),
                    Version::V2.message()
                ))
            });
        }
    }
    Ok(Version::V1)
}
