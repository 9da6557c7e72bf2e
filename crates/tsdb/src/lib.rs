//! The embedded time-series database: exact samples, small on disk, never refusing to start.
//!
//! From below: [`io`] is the only door to the disk, [`codec`] turns columns into checked bytes and back,
//! [`index`] finds series, [`part`] is an immutable file of sealed series.
//! Synchronous: no thread, no runtime and no clock of its own.
//! Not here: text formats (`wire`), queries (`promql`), which meet this crate in `model::storage`.

pub mod codec;
pub mod error;
pub mod index;
pub mod io;
pub mod part;
pub mod seeded;
