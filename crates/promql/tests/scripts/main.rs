//! The crate's one integration-test binary: the shared scripts and tables, and the fuzzers.
//!
//! Shared data is found through `WATCHPOST_CONFORMANCE`; without it those tests say that they skip.

#![allow(clippy::panic, clippy::print_stdout, reason = "a test's helpers fail and report as tests do")]

mod fuzz;
mod properties;
mod reference;
mod runner;
mod scripts;
mod syntax_cases;
mod syntax_tables;
