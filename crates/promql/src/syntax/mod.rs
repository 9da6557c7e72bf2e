//! The language: tokens, tree, parser, checker, printers.
//!
//! Promises: positions are byte offsets into the text as it was given; error texts are those of Prometheus.
//! Not here: what a query evaluates to (the engine).

pub mod ast;
pub mod functions;
