//! Columns of samples to bytes and back, bit for bit.
//!
//! A *block* is a self-delimiting piece of a column: 1 to [`BLOCK_ROWS_MAX`] rows, its own codec id in the first
//! byte, no context needed to read it. What a series carries from block to block ([`float::FloatState`]) only makes
//! encoding faster and the choice better; it is never needed for decoding.
//! Promises: decoding never panics and never makes more than it was given room for, whatever the bytes; encoding and
//! decoding a column gives the same bits (NaN payloads, -0.0, infinities, all of i64).
//! Not here: checksums, which belong to the page or record a block lies in. Bytes: docs/formats/codec.md.

mod bitpack;
pub mod block;
pub mod bytes;
pub mod chain;
mod dfor;
pub mod float;
pub mod histogram;
pub mod int;
#[cfg(test)]
pub(crate) mod tests;
mod xor;

/// Rows of a full block: what four lanes of 32 hold, 32 minutes at a scrape each 15 s.
pub const BLOCK_ROWS_MAX: usize = 128;

/// Rows of a chain (the final form of sealed columns): a day at 15 s is two of them. Longer chains save nothing more
/// and make the reader decode more than it was asked for.
pub const CHAIN_ROWS_MAX: usize = 4096;

/// Bytes that cannot have been written by an encoder; says what was wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage(pub &'static str);

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Damage {}
