//! Remote write, both versions: `prometheus.WriteRequest` (1.0) and `io.prometheus.write.v2.Request` (2.0).
//!
//! [`read`] pulls series and their samples out of an uncompressed message without copying it; [`write`] makes one;
//! [`histogram`] turns native histograms into those of the model and back. Both versions have one shape here: a series
//! has a key (its label fields as version 1.0 writes them) and items, so that a receiver is written once.
//! Not here: compression ([`crate::snappy`]), HTTP and what is stored (`remote`).

pub mod histogram;
pub mod read;
#[cfg(test)]
mod tests;
pub mod write;

use crate::protobuf::ProtobufError;

/// Uncompressed bytes of a request at most: what Prometheus takes since 3.12.
pub const REQUEST_BYTES_MAX: usize = 32 << 20;
/// Symbols of one request at most. Each takes 16 bytes of memory and may take two of the message, so without a bound
/// a request could become eight times its size.
pub const SYMBOLS_MAX: usize = 2_000_000;
/// Buckets, spans or custom bounds of one histogram at most; storage takes far fewer.
pub const BUCKETS_MAX: usize = 65_536;

/// The media type of both versions.
pub const MEDIA_TYPE: &str = "application/x-protobuf";

/// Which message a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    /// The name of the message, as `proto=` in a content type and as `protobuf_message` in a configuration.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }

    /// What a sender puts into `Content-Type`. Receivers of version 1.0 need not know the parameter.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::V1 => "application/x-protobuf",
            Self::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// What a sender puts into `X-Prometheus-Remote-Write-Version`.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::V1 => "0.1.0",
            Self::V2 => "2.0.0",
        }
    }

    #[must_use]
    pub fn from_message(name: &str) -> Option<Self> {
        [Self::V1, Self::V2].into_iter().find(|version| version.message() == name)
    }
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteWriteError {
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
    #[error("byte {at}: symbol {index} is not one of the {symbols} of the request")]
    Symbol { at: usize, index: u64, symbols: usize },
    #[error("byte {at}: {count} label references, expected pairs of name and value")]
    OddLabels { at: usize, count: usize },
    #[error("more than {max} symbols")]
    TooManySymbols { max: usize },
    #[error("byte {at}: more than {max} {what} in one histogram")]
    HistogramTooLarge { at: usize, what: &'static str, max: usize },
}

/// What a family is, by the numbers both versions give it.
const KINDS: [&str; 8] = ["", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

/// The word for a number of the messages; empty for those that mean nothing.
fn kind_of(number: u64) -> &'static str {
    usize::try_from(number).ok().and_then(|number| KINDS.get(number)).copied().unwrap_or("")
}

/// The number of a word; 0 for `unknown`, `untyped` and everything else.
fn kind_number(word: &str) -> u64 {
    KINDS.iter().position(|kind| *kind == word).unwrap_or(0) as u64
}
