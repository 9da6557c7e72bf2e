//! The write-ahead log: every accepted batch is here before it is anywhere else.
//!
//! Promises: a batch is in the log as one record, so replay sees all of it or nothing. A segment can be read without
//! any other: it names each series before it uses it, and no value refers to another segment.
//! Not here: who waits for the disk (`sync`), what replay does with the records (`recover`), when segments go
//! (`checkpoint`). Bytes on disk: docs/formats/log.md.

pub(crate) mod batch;
pub(crate) mod frame;
pub(crate) mod writer;
