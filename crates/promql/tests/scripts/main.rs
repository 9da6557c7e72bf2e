//! The crate's one integration-test binary: the shared scripts and tables, and the fuzzers.
//!
//! Shared data is found through `WATCHPOST_CONFORMANCE`; without it those tests say that they skip.

mod runner;
mod scripts;
