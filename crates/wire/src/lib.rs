//! Bytes on the wire: what other programs expose, send and expect, read and written.
//!
//! Promises: no I/O, no thread, no time; nothing a peer sends makes this panic or allocate more than a bound that the
//! caller chose or the input's own size justifies.
//! Not here: fetching (`net`), when and what to scrape (`scrape`), what becomes of the samples (`model::storage`).

pub mod exposition;
pub mod protobuf;
pub mod remote_write;
pub mod snappy;
