//! Pages: what a handler knows, as structs of plain words, turned into HTML that works without JavaScript.
//!
//! Promises: a page is a pure function of its view struct and the [`shell::Shell`] of the request; every text is
//! escaped, shortened and stripped of characters that fool the eye; every link stays below the base path; what a
//! browser may do with a page is said by [`headers`] and nowhere else.
//! Not here: who may see a page, what a form does (`appliance`), where routes are mounted (the binary).

pub mod assets;
pub mod error;
pub mod filters;
pub mod form;
pub mod headers;
pub mod html;
pub mod pages;
pub mod qr;
pub mod routes;
pub mod shell;
pub mod tone;
