//! The language: tokens, tree, parser, checker, printers.
//!
//! Promises: positions are byte offsets into the text as it was given; error texts are those of Prometheus.
//! Not here: what a query evaluates to (the engine).

pub mod ast;
mod check;
pub mod error;
pub mod functions;
pub mod json;
pub mod lexer;
pub mod number;
pub mod parser;
mod pretty;
mod print;
pub mod quote;
mod regex_error;
pub mod series;
pub mod token;

pub use ast::Expr;
pub use error::{ParseError, ParseErrors};
pub use parser::{ParseOptions, parse, parse_metric, parse_selector};
pub use pretty::{PRETTY_WIDTH, pretty};
