//! Blocks of float values, bit for bit.
//!
//! In this order: all equal → the value once. Decimal (v = integer / 10^e, proved bit by bit while encoding) → the
//! integers as differences, the few that are not decimal (NaN, -0.0, infinities, stale markers) listed. Else XOR.

use crate::codec::block::{Head, id};
use crate::codec::bytes::Reader;
use crate::codec::bytes::put_text;
use crate::codec::dfor::{self, Habit, Layout, Mode};
use crate::codec::{BLOCK_ROWS_MAX, Damage, chain, xor};

/// Powers of ten that a double holds exactly.
pub(super) const POW10: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// Adding and subtracting it rounds to an integer, for magnitudes below 2^51.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
const ROUNDED_MAX: f64 = 2_251_799_813_685_248.0;

/// Of so many rows one may be an exception before XOR is used.
const ROWS_PER_EXCEPTION: usize = 16;

/// After this many XOR blocks the decimal form is probed again.
const XOR_BLOCKS: u8 = 4;

/// What a series carries from block to block while encoding: four bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloatState {
    exponent: u8,
    /// Mode in two bits, XOR blocks since the last probe in two, the habit's age in four.
    packed: u8,
    cost: u8,
    /// Whether the last block was XOR.
    irregular: bool,
}

impl FloatState {
    const fn habit(self) -> Habit {
        Habit { mode: Mode::from_bits(self.packed), age: self.packed >> 4, cost: self.cost }
    }

    fn set_habit(&mut self, habit: Habit) {
        self.packed = (self.packed & 0x0c) | habit.mode as u8 | habit.age << 4;
        self.cost = habit.cost;
    }

    /// Counts an XOR block and says whether this one is due for a probe.
    fn probe_is_due(&mut self) -> bool {
        let blocks = (self.packed >> 2 & 3) + 1;
        self.packed = (self.packed & !0x0c) | (blocks % XOR_BLOCKS) << 2;
        blocks == XOR_BLOCKS
    }
}

const SHIFTED: u8 = 0x40;
const EXCEPTIONS: u8 = 0x80;

/// Appends one block of 1 to 128 values.
///
/// # Panics
/// Where there are none, or more than 128: the caller cuts columns.
pub fn encode(values: &[f64], state: &mut FloatState, out: &mut Vec<u8>) {
    assert!((1..=BLOCK_ROWS_MAX).contains(&values.len()), "a block has 1 to 128 rows");
    if all_equal(values) {
        return encode_const(values[0], values.len(), out);
    }
    let mut integers = Integers { values: [0; BLOCK_ROWS_MAX], failed: [false; BLOCK_ROWS_MAX], failures: 0 };
    if !find_integers(values, state, &mut integers) {
        return encode_xor(values, out);
    }
    let mut habit = state.habit();
    let plan = dfor::plan(&integers.values[..values.len()], &mut habit);
    state.set_habit(habit);
    let exceptional = integers.failures > 0;
    let flags =
        (plan.mode as u8) << 4 | if plan.shift > 0 { SHIFTED } else { 0 } | if exceptional { EXCEPTIONS } else { 0 };
    Head { codec: id::DECIMAL, rows: values.len(), flags }.write(out);
    out.push(state.exponent);
    plan.write(out);
    if exceptional {
        out.push(integers.failures as u8);
        for row in (0..values.len()).filter(|row| integers.failed[*row]) {
            out.push(row as u8);
            out.extend_from_slice(&values[row].to_bits().to_le_bytes());
        }
    }
}

/// Whether all values have the same bits.
pub(super) fn all_equal(values: &[f64]) -> bool {
    let first = values[0].to_bits();
    values.iter().fold(0, |all, value| all | (value.to_bits() ^ first)) == 0
}

/// The value's highest bytes without the zeros after them: 0 takes none, 1 two.
pub(super) fn encode_const(value: f64, rows: usize, out: &mut Vec<u8>) {
    let bytes = value.to_bits().to_be_bytes();
    let len = 8 - value.to_bits().trailing_zeros().min(64) as usize / 8;
    Head { codec: id::CONST, rows, flags: (len as u8) << 4 }.write(out);
    out.extend_from_slice(&bytes[..len]);
}

fn encode_xor(values: &[f64], out: &mut Vec<u8>) {
    Head { codec: id::XOR, rows: values.len(), flags: 0 }.write(out);
    let mut bits = Vec::with_capacity(values.len() * 10);
    xor::encode(values, &mut bits);
    put_text(out, &bits);
}

/// Values times 10^e, and which of them are not that.
struct Integers {
    values: [i64; BLOCK_ROWS_MAX],
    failed: [bool; BLOCK_ROWS_MAX],
    failures: usize,
}

/// Finds the exponent; false where the block is not decimal.
fn find_integers(values: &[f64], state: &mut FloatState, integers: &mut Integers) -> bool {
    if state.irregular && !(state.probe_is_due() && looks_decimal(values)) {
        return false;
    }
    let allowed = values.len() / ROWS_PER_EXCEPTION;
    // An exponent larger than needed costs bits in every row: start from none when all modes are tried anyway.
    let start = if state.habit().age == 0 || state.irregular {
        smallest_exponent(values[0]).unwrap_or(0)
    } else {
        state.exponent
    };
    let found = settle(values, start, allowed, integers);
    state.irregular = found.is_none();
    if let Some(exponent) = found {
        state.exponent = exponent;
    }
    found.is_some()
}

/// Raises the exponent until few enough values fail.
fn settle(values: &[f64], start: u8, allowed: usize, integers: &mut Integers) -> Option<u8> {
    let mut exponent = start;
    // Each round raises the exponent or ends.
    for _ in 0..POW10.len() {
        convert(values, exponent, integers);
        if integers.failures > 0 {
            convert_slowly(values, exponent, integers);
        }
        if integers.failures == 0 {
            return Some(exponent);
        }
        let failed = (0..values.len()).filter(|row| integers.failed[*row]);
        let needed = failed.take(allowed + 1).filter_map(|row| smallest_exponent(values[row])).find(|e| *e > exponent);
        match needed {
            Some(higher) => exponent = higher,
            None if integers.failures <= allowed => return Some(exponent),
            None => return None,
        }
    }
    None
}

/// Three values tell: a column of full mantissas has hardly ever three short ones.
fn looks_decimal(values: &[f64]) -> bool {
    [0, values.len() / 2, values.len() - 1].iter().all(|row| smallest_exponent(values[*row]).is_some())
}

/// The smallest e for which the value is an integer / 10^e.
pub(super) fn smallest_exponent(value: f64) -> Option<u8> {
    (0..POW10.len() as u8).find(|exponent| exactly(value, *exponent).is_some())
}

/// The integer i with i / 10^e the value, bit for bit.
pub(super) fn exactly(value: f64, exponent: u8) -> Option<i64> {
    let power = POW10[usize::from(exponent)];
    let scaled = value * power;
    let integer = if scaled.abs() < ROUNDED_MAX {
        (scaled + ROUNDER - ROUNDER) as i64
    } else if scaled.abs() < 9_223_372_036_854_775_808.0 {
        scaled.round() as i64
    } else {
        // 2^63 itself would saturate, and NaN is no integer.
        return None;
    };
    ((integer as f64 / power).to_bits() == value.to_bits()).then_some(integer)
}

/// One pass without branches, for magnitudes below 2^51. A value that fails stands as its neighbour, so that the
/// differences stay small.
fn convert(values: &[f64], exponent: u8, integers: &mut Integers) {
    let power = POW10[usize::from(exponent)];
    let mut failures = 0u64;
    for ((value, integer), failed) in values.iter().zip(&mut integers.values).zip(&mut integers.failed) {
        let shifted = value * power + ROUNDER;
        let rounded = shifted - ROUNDER;
        *integer = (shifted.to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64);
        // False for NaN, which would otherwise come back as itself.
        let within = rounded.abs() < ROUNDED_MAX;
        *failed = (rounded / power).to_bits() != value.to_bits() || !within;
        failures += u64::from(*failed);
    }
    integers.failures = failures as usize;
}

/// The failed ones again, up to 2^63.
fn convert_slowly(values: &[f64], exponent: u8, integers: &mut Integers) {
    let mut neighbour = None;
    for (row, value) in values.iter().enumerate() {
        if integers.failed[row] {
            if let Some(integer) = exactly(*value, exponent) {
                integers.values[row] = integer;
                integers.failed[row] = false;
                integers.failures -= 1;
            } else {
                integers.values[row] = neighbour.unwrap_or(0);
                continue;
            }
        }
        if neighbour.is_none() {
            // Failures at the front stand as the first good value.
            let first = integers.values[row];
            integers.values[..row].fill(first);
        }
        neighbour = Some(integers.values[row]);
    }
}

pub(super) const fn const_len(head: Head) -> Result<usize, Damage> {
    let len = (head.flags >> 4) as usize;
    if len > 8 { Err(Damage("a value of more than 8 bytes")) } else { Ok(len) }
}

fn decimal_layout(head: Head) -> Layout {
    Layout { mode: Mode::from_bits(head.flags >> 4), shifted: head.flags & SHIFTED != 0, rows: head.rows }
}

pub(super) fn skip_decimal(reader: &mut Reader<'_>, head: Head) -> Result<(), Damage> {
    reader.u8()?;
    dfor::skip(reader, &decimal_layout(head))?;
    if head.flags & EXCEPTIONS != 0 {
        let count = usize::from(reader.u8()?);
        reader.take(count * 9)?;
    }
    Ok(())
}

/// Decodes the block at the front of `bytes`, appends its rows, and says how long it was.
/// After an error `out` may be longer, its new rows are meaningless.
pub fn decode_append(bytes: &[u8], out: &mut Vec<f64>) -> Result<usize, Damage> {
    let mut reader = Reader::new(bytes);
    let head = Head::read(&mut reader)?;
    let from = out.len();
    match head.codec {
        id::CONST => {
            let bytes = reader.take(const_len(head)?)?;
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            out.resize(from + head.rows, f64::from_be_bytes(padded));
        }
        id::DECIMAL => {
            out.resize(from + head.rows, 0.0);
            decode_decimal(&mut reader, head, &mut out[from..])?;
        }
        id::XOR => {
            out.resize(from + head.rows, 0.0);
            let bits = reader.text(bytes.len())?;
            xor::decode(bits, &mut out[from..])?;
        }
        id::CHAIN => {
            out.resize(from + head.rows, 0.0);
            chain::decode(&mut reader, &mut out[from..])?;
        }
        _ => return Err(Damage("not a block of float values")),
    }
    Ok(reader.position())
}

fn decode_decimal(reader: &mut Reader<'_>, head: Head, out: &mut [f64]) -> Result<(), Damage> {
    let exponent = usize::from(reader.u8()?);
    let power = *POW10.get(exponent).ok_or(Damage("an exponent beyond 18"))?;
    let mut integers = [0; BLOCK_ROWS_MAX];
    dfor::read(reader, &decimal_layout(head), &mut integers)?;
    to_floats(&integers[..out.len()], power, out);
    if head.flags & EXCEPTIONS != 0 {
        for _ in 0..reader.u8()? {
            let row = usize::from(reader.u8()?);
            let bits = reader.u64()?;
            *out.get_mut(row).ok_or(Damage("an exception outside its block"))? = f64::from_bits(bits);
        }
    }
    Ok(())
}

pub(super) fn to_floats(integers: &[i64], power: f64, out: &mut [f64]) {
    if power == 1.0 {
        for (value, integer) in out.iter_mut().zip(integers) {
            *value = *integer as f64;
        }
    } else {
        for (value, integer) in out.iter_mut().zip(integers) {
            *value = *integer as f64 / power;
        }
    }
}

/// Appends a column of any length as blocks of 128.
pub fn encode_column(values: &[f64], state: &mut FloatState, out: &mut Vec<u8>) {
    for block in values.chunks(BLOCK_ROWS_MAX) {
        encode(block, state, out);
    }
}
