//! What the end-to-end tests share, and the fixtures that the crates' own tests borrow.
//!
//! Only the standard library: a crate that borrows a fixture waits for nothing else to build.

pub mod depth;
pub mod folder;
pub mod needs;
pub mod postgres;
pub mod repo;
pub mod server;
pub mod skip;
pub mod stack;
pub mod visitor;
