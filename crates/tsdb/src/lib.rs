//! The embedded time-series database: exact samples, small on disk, never refusing to start.
//!
//! From below: [`io`] is the only door to the disk, [`codec`] turns columns into checked bytes and back,
//! [`index`] finds series, [`part`] is an immutable file of sealed series. Above them: `log` keeps what was accepted,
//! `head` what is not sealed yet, and [`db`] makes one database of it all; start reading there.
//! Synchronous: no runtime, no clock of its own, one thread (that syncs the log).
//! Not here: text formats (`wire`), queries (`promql`), which meet this crate in `model::storage`.

mod checkpoint;
pub mod codec;
mod compact;
pub mod db;
pub mod error;
mod head;
pub mod index;
pub mod io;
mod limits;
mod log;
pub mod maintain;
pub mod manifest;
mod metadata;
pub mod options;
pub mod part;
mod parts;
pub mod quarantine;
mod read;
mod recover;
mod seal;
pub mod seeded;
mod sync;
mod tail;

#[cfg(test)]
mod formats_tests;
