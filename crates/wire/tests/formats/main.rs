//! What `wire` reads and writes, from outside: recorded inputs, own cases, broken bytes.
//!
//! Shared data is found through `WATCHPOST_CONFORMANCE`; without it those tests say that they skip.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails where it is, and says how many cases passed"
)]

mod broken;
mod cases;
mod conformance;
mod protobuf;
mod render;
