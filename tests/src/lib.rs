//! What tests share, and the measures by which the house is judged.
//!
//! Promises: light enough for any crate's dev-dependencies; needs no program but cargo.
//! Not here: the tests themselves (`main.rs` beside this folder, and each crate's own).

pub mod depth;
pub mod house;
pub mod licence;
pub mod metadata;
pub mod needs;
pub mod ratchet;
pub mod repo;
pub mod skip;
pub mod source;
