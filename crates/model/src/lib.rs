//! The words every floor shares, and the contracts between engines.
//!
//! Promises: nothing here does I/O, starts a thread or asks the system for the time (but
//! [`time::SystemClock`], which is the one place that does).
//! Not here: how any of it is stored (`tsdb`), written on the wire (`wire`) or shown (`ui`).

pub mod histogram;
pub mod labels;
pub mod matcher;
pub mod memory;
pub mod meter;
pub mod names;
pub mod port;
pub mod query;
pub mod relabel;
pub mod secret;
pub mod storage;
pub mod time;
mod xxhash;
