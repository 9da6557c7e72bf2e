//! PromQL as Prometheus 3.14 speaks it: the language and the engine.
//!
//! `syntax` turns text into a checked tree with a byte span on every node, and back into text; `engine` evaluates
//! the tree over a [`model::storage::Queryable`]; `editor` helps people who type queries.
//! Synchronous throughout; nothing here does I/O or asks for the time.

pub mod editor;
pub mod engine;
pub mod syntax;
