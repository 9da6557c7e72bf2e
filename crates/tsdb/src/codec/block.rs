//! The first bytes of every block: which codec, how many rows.

use crate::codec::bytes::{Reader, put_uvarint};
use crate::codec::{BLOCK_ROWS_MAX, CHAIN_ROWS_MAX, Damage, chain, dfor, float, histogram, int};

/// The codec ids, in the lowest three bits of a block's first byte.
pub(super) mod id {
    pub(in crate::codec) const CONST: u8 = 0;
    pub(in crate::codec) const DECIMAL: u8 = 1;
    pub(in crate::codec) const XOR: u8 = 2;
    pub(in crate::codec) const INT: u8 = 3;
    pub(in crate::codec) const HISTOGRAM: u8 = 4;
    pub(in crate::codec) const CHAIN: u8 = 5;
}

/// The fourth bit: a row count follows; without it there are 128.
const COUNTED: u8 = 0x08;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Values of float samples.
    Float,
    /// Native histograms.
    Histogram,
    /// Plain integers: times, start times.
    Int,
}

/// What can be said about a block without decoding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    pub kind: BlockKind,
    pub rows: usize,
    /// The whole block, its first byte included.
    pub bytes: usize,
}

/// The head of a block; `flags` belong to the codec (the upper four bits).
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) codec: u8,
    pub(super) rows: usize,
    pub(super) flags: u8,
}

impl Head {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let counted = self.rows != BLOCK_ROWS_MAX;
        out.push(self.codec | if counted { COUNTED } else { 0 } | self.flags);
        if counted {
            put_uvarint(out, self.rows as u64);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        let first = reader.u8()?;
        let codec = first & 7;
        let long = codec == id::CHAIN || codec == id::CONST;
        let rows_max = if long { CHAIN_ROWS_MAX } else { BLOCK_ROWS_MAX };
        let rows = if first & COUNTED == 0 { BLOCK_ROWS_MAX } else { reader.count(rows_max)? };
        if rows == 0 {
            return Err(Damage("a block without rows"));
        }
        Ok(Self { codec, rows, flags: first & 0xf0 })
    }
}

/// Reads the head of the block at the front of `bytes` and finds its end.
pub fn peek(bytes: &[u8]) -> Result<BlockInfo, Damage> {
    let mut reader = Reader::new(bytes);
    let head = Head::read(&mut reader)?;
    let kind = match head.codec {
        id::CONST => {
            reader.take(float::const_len(head)?)?;
            BlockKind::Float
        }
        id::DECIMAL => {
            float::skip_decimal(&mut reader, head)?;
            BlockKind::Float
        }
        id::XOR => {
            reader.text(bytes.len())?;
            BlockKind::Float
        }
        id::CHAIN => {
            chain::skip(&mut reader)?;
            BlockKind::Float
        }
        id::INT => {
            dfor::skip(&mut reader, &int::layout(head)?)?;
            BlockKind::Int
        }
        id::HISTOGRAM => {
            histogram::skip(&mut reader)?;
            BlockKind::Histogram
        }
        _ => return Err(Damage("an unknown codec")),
    };
    Ok(BlockInfo { kind, rows: head.rows, bytes: reader.position() })
}
