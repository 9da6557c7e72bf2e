//! The house judged, and the product proved from outside. Each module is a subject.
//!
//! Marked as tests, so that lints know their functions for what they are.

#[cfg(test)]
#[path = "src/browser.rs"]
mod browser;
#[cfg(test)]
mod gallery;
#[cfg(test)]
mod image;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod tidy;
