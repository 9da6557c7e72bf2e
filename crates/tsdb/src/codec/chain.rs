//! The final form of a sealed decimal column: up to 4,096 rows behind one header.
//!
//! Each 128 rows choose mode and width anew, but continue from the row before, so a piece costs one byte of header
//! (two or three with a reference) where a block costs eight to twelve. The price: the reader starts at the front.
//! Not here: which columns get it (`part`), columns that are not decimal (they stay blocks).

use crate::codec::block::{Head, id};
use crate::codec::bytes::{Reader, put_ivarint, put_text, put_uvarint, unzigzag, uvarint_len, zigzag};
use crate::codec::dfor::{Mode, choose_width, read_packed, write_packed};
use crate::codec::float::{POW10, all_equal, encode_const, exactly, smallest_exponent, to_floats};
use crate::codec::{BLOCK_ROWS_MAX, CHAIN_ROWS_MAX, Damage};

/// Of so many rows one may be an exception.
const ROWS_PER_EXCEPTION: usize = 16;

const EXPONENT: u8 = 0x1f;
const EXCEPTIONS: u8 = 0x20;
const SHIFTED: u8 = 0x40;

/// In a piece's first byte: mode in two bits, patches follow, then the width.
const PATCHED: u8 = 0x04;
const WIDTH_BITS: u32 = 3;
/// This width means that the next byte has it.
const WIDTH_FOLLOWS: usize = 31;

/// A column as integers of one exponent, and the rows that are not.
#[derive(Debug)]
struct Decimals {
    exponent: u8,
    integers: Vec<i64>,
    exceptions: Vec<(u32, f64)>,
}

impl Decimals {
    /// The decimal form of a column; `None` where too many values have none.
    fn of(values: &[f64]) -> Option<Self> {
        let allowed = values.len() / ROWS_PER_EXCEPTION;
        let mut exponent = 0;
        let mut misfits = 0;
        for value in values {
            if exactly(*value, exponent).is_none() {
                match smallest_exponent(*value) {
                    Some(needed) => exponent = exponent.max(needed),
                    None => misfits += 1,
                }
                if misfits > allowed {
                    return None;
                }
            }
        }
        let mut decimals = Self { exponent, integers: Vec::with_capacity(values.len()), exceptions: Vec::new() };
        for (row, value) in values.iter().enumerate() {
            let integer = exactly(*value, exponent).unwrap_or_else(|| {
                decimals.exceptions.push((row as u32, *value));
                decimals.integers.last().copied().unwrap_or(0)
            });
            decimals.integers.push(integer);
        }
        (decimals.exceptions.len() <= allowed).then_some(decimals)
    }
}

/// Appends a column of up to [`CHAIN_ROWS_MAX`] rows in the smallest form that is not XOR; false (and nothing
/// written) where it has none.
///
/// # Panics
/// Where there are no rows, or too many: the caller cuts columns.
pub fn encode(values: &[f64], out: &mut Vec<u8>) -> bool {
    assert!((1..=CHAIN_ROWS_MAX).contains(&values.len()), "a chain has 1 to 4096 rows");
    if all_equal(values) {
        encode_const(values[0], values.len(), out);
        return true;
    }
    let Some(decimals) = Decimals::of(values) else { return false };
    encode_decimals(&decimals, out);
    true
}

/// Appends a chain of integers with their exponent and exceptions.
fn encode_decimals(decimals: &Decimals, out: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(decimals.integers.len() / 2 + 32);
    let values = &decimals.integers;
    // One step before the first row, so that the first row's difference is like the others.
    let step = values.get(1).map_or(0, |second| second.wrapping_sub(values[0]));
    let first = values[0].wrapping_sub(step);
    let all = values.iter().fold(0, |all, value| all | value.wrapping_sub(first));
    let shift = if all == 0 { 0 } else { all.trailing_zeros() };
    let exceptional = !decimals.exceptions.is_empty();
    body.push(decimals.exponent | if exceptional { EXCEPTIONS } else { 0 } | if shift > 0 { SHIFTED } else { 0 });
    if shift > 0 {
        body.push(shift as u8);
    }
    put_ivarint(&mut body, first);
    let offsets: Vec<i64> = values.iter().map(|value| value.wrapping_sub(first) >> shift).collect();
    let mut before = Before::default();
    for piece in offsets.chunks(BLOCK_ROWS_MAX) {
        write_piece(piece, before, &mut body);
        before = before.after(piece);
    }
    if exceptional {
        put_uvarint(&mut body, decimals.exceptions.len() as u64);
        let mut next = 0;
        for (row, value) in &decimals.exceptions {
            put_uvarint(&mut body, u64::from(row - next));
            body.extend_from_slice(&value.to_bits().to_le_bytes());
            next = row + 1;
        }
    }
    Head { codec: id::CHAIN, rows: values.len(), flags: 0 }.write(out);
    put_text(out, &body);
}

/// Where a piece goes on from.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    offset: i64,
    delta: i64,
}

impl Before {
    fn after(self, piece: &[i64]) -> Self {
        match piece {
            [] => self,
            [only] => Self { offset: *only, delta: only.wrapping_sub(self.offset) },
            [.., previous, last] => Self { offset: *last, delta: last.wrapping_sub(*previous) },
        }
    }
}

/// A piece in one of the modes.
struct Piece {
    mode: Mode,
    reference: i64,
    width: usize,
    patches: usize,
    bytes: usize,
    residuals: [u64; BLOCK_ROWS_MAX],
}

impl Piece {
    fn of(mode: Mode, rows: &[i64], before: Before) -> Self {
        let mut residuals = [0; BLOCK_ROWS_MAX];
        let reference = fill(mode, rows, before, &mut residuals);
        let (width, patches, packed) = choose_width(&residuals[..rows.len()], rows.len());
        let bytes = packed + if has_reference(mode) { uvarint_len(zigzag(reference)) } else { 0 };
        Self { mode, reference, width, patches, bytes, residuals }
    }
}

fn write_piece(rows: &[i64], before: Before, out: &mut Vec<u8>) {
    let mut best = Piece::of(Mode::RawMin, rows, before);
    for mode in [Mode::DeltaMin, Mode::DeltaZigzag, Mode::Delta2Zigzag] {
        let piece = Piece::of(mode, rows, before);
        if piece.bytes < best.bytes {
            best = piece;
        }
    }
    let in_byte = best.width.min(WIDTH_FOLLOWS);
    out.push(best.mode as u8 | if best.patches > 0 { PATCHED } else { 0 } | (in_byte as u8) << WIDTH_BITS);
    if in_byte == WIDTH_FOLLOWS {
        out.push(best.width as u8);
    }
    if has_reference(best.mode) {
        put_ivarint(out, best.reference);
    }
    write_packed(&best.residuals, 0..rows.len(), best.width, best.patches, out);
}

const fn has_reference(mode: Mode) -> bool {
    matches!(mode, Mode::RawMin | Mode::DeltaMin)
}

/// The small numbers of a piece; gives the reference.
fn fill(mode: Mode, piece: &[i64], before: Before, residuals: &mut [u64; BLOCK_ROWS_MAX]) -> i64 {
    let deltas = || {
        let previous = std::iter::once(&before.offset).chain(piece);
        piece.iter().zip(previous).map(|(offset, previous)| offset.wrapping_sub(*previous))
    };
    match mode {
        Mode::RawMin => {
            let min = piece.iter().copied().min().unwrap_or(0);
            for (residual, offset) in residuals.iter_mut().zip(piece) {
                *residual = offset.wrapping_sub(min) as u64;
            }
            min.wrapping_sub(before.offset)
        }
        Mode::DeltaMin => {
            let min = deltas().min().unwrap_or(0);
            for (residual, delta) in residuals.iter_mut().zip(deltas()) {
                *residual = delta.wrapping_sub(min) as u64;
            }
            min
        }
        Mode::DeltaZigzag => {
            for (residual, delta) in residuals.iter_mut().zip(deltas()) {
                *residual = zigzag(delta);
            }
            0
        }
        Mode::Delta2Zigzag => {
            let mut previous = before.delta;
            for (residual, delta) in residuals.iter_mut().zip(deltas()) {
                *residual = zigzag(delta.wrapping_sub(previous));
                previous = delta;
            }
            0
        }
    }
}

/// Skips the body after the head.
pub(super) fn skip(reader: &mut Reader<'_>) -> Result<(), Damage> {
    reader.text(usize::MAX).map(drop)
}

struct Body<'a> {
    reader: Reader<'a>,
    exponent: u8,
    exceptional: bool,
    shift: u32,
    first: i64,
}

impl<'a> Body<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
        let mut body = Reader::new(reader.text(usize::MAX)?);
        let flags = body.u8()?;
        let shift = if flags & SHIFTED != 0 { u32::from(body.u8()?) } else { 0 };
        if shift > 63 || flags & 0x80 != 0 || usize::from(flags & EXPONENT) >= POW10.len() {
            return Err(Damage("a chain's header is out of bounds"));
        }
        let first = body.ivarint()?;
        Ok(Self { reader: body, exponent: flags & EXPONENT, exceptional: flags & EXCEPTIONS != 0, shift, first })
    }

    /// The next up to 128 rows.
    fn piece(&mut self, before: &mut Before, out: &mut [i64]) -> Result<(), Damage> {
        let head = self.reader.u8()?;
        let mode = Mode::from_bits(head);
        let mut width = usize::from(head >> WIDTH_BITS);
        if width == WIDTH_FOLLOWS {
            width = usize::from(self.reader.u8()?);
        }
        let reference = if has_reference(mode) { self.reader.ivarint()? } else { 0 };
        let mut residuals = [0; BLOCK_ROWS_MAX];
        read_packed(&mut self.reader, &mut residuals, 0..out.len(), width, head & PATCHED != 0)?;
        *before = sum_up(mode, reference, *before, &residuals, out);
        for value in out.iter_mut() {
            *value = self.first.wrapping_add(*value << self.shift);
        }
        Ok(())
    }

    /// Calls `put` for each row that is not decimal.
    fn exceptions(&mut self, rows: usize, mut put: impl FnMut(usize, f64)) -> Result<(), Damage> {
        if !self.exceptional {
            return Ok(());
        }
        let mut next = 0;
        for _ in 0..self.reader.count(rows)? {
            let row = next + self.reader.count(rows)?;
            let value = f64::from_bits(self.reader.u64()?);
            if row >= rows {
                return Err(Damage("an exception outside its chain"));
            }
            put(row, value);
            next = row + 1;
        }
        Ok(())
    }
}

fn sum_up(mode: Mode, reference: i64, before: Before, residuals: &[u64], out: &mut [i64]) -> Before {
    let Before { mut offset, mut delta } = before;
    match mode {
        Mode::RawMin => {
            let min = offset.wrapping_add(reference);
            for (value, residual) in out.iter_mut().zip(residuals) {
                *value = min.wrapping_add(*residual as i64);
            }
        }
        Mode::DeltaMin => {
            for (value, residual) in out.iter_mut().zip(residuals) {
                offset = offset.wrapping_add(reference).wrapping_add(*residual as i64);
                *value = offset;
            }
        }
        Mode::DeltaZigzag => {
            for (value, residual) in out.iter_mut().zip(residuals) {
                offset = offset.wrapping_add(unzigzag(*residual));
                *value = offset;
            }
        }
        Mode::Delta2Zigzag => {
            for (value, residual) in out.iter_mut().zip(residuals) {
                delta = delta.wrapping_add(unzigzag(*residual));
                offset = offset.wrapping_add(delta);
                *value = offset;
            }
        }
    }
    before.after(out)
}

/// Reads the body of a chain; `out` has as many rows as its head says.
pub(super) fn decode(reader: &mut Reader<'_>, out: &mut [f64]) -> Result<(), Damage> {
    let mut body = Body::read(reader)?;
    let power = POW10[usize::from(body.exponent)];
    let mut before = Before::default();
    let mut integers = [0; BLOCK_ROWS_MAX];
    for piece in out.chunks_mut(BLOCK_ROWS_MAX) {
        let integers = &mut integers[..piece.len()];
        body.piece(&mut before, integers)?;
        to_floats(integers, power, piece);
    }
    body.exceptions(out.len(), |row, value| out[row] = value)
}
