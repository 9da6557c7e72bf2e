//! The crate as its users see it: files of `testdata/`, broken input, limits, schemas, and real files of other programs.
//!
//! Promise: everything here goes through the public interface. Rules of one module are tested beside it.

mod broken;
mod conformance;
mod files;
mod records;
