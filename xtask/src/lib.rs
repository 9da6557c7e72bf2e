//! The measures of the house: floors and arrows, licences, sizes and words.
//!
//! Promise: each measure is a function from metadata or files to figures or breaches. `tests/layering.rs` and
//! `tests/tidy.rs` enforce them, `cargo xtask house` prints them.
//! Not here: what a test needs or skips (`tests`).

pub mod house;
pub mod licence;
pub mod metadata;
pub mod ratchet;
pub mod source;
