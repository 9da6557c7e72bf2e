//! Integers as differences, packed to the width most of them need, the few wider ones patched in.
//!
//! Four modes: the values above their minimum, the differences above theirs, differences with their sign in the
//! lowest bit, differences of differences likewise. Powers of two common to all differences are shifted out first
//! (page counts, times in whole seconds). All arithmetic wraps, so every i64 comes back.
//! Not here: what the integers mean (`float`, `int`), block headers.

use crate::codec::bitpack::{pack_full, pack_short, packed_len, unpack_full, unpack_short};
use crate::codec::bytes::{Reader, put_ivarint, put_uvarint, unzigzag, uvarint_len, zigzag};
use crate::codec::{BLOCK_ROWS_MAX, Damage};

/// How integers become small numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mode {
    RawMin = 0,
    #[default]
    DeltaMin = 1,
    DeltaZigzag = 2,
    Delta2Zigzag = 3,
}

impl Mode {
    pub(super) const ALL: [Self; 4] = [Self::RawMin, Self::DeltaMin, Self::DeltaZigzag, Self::Delta2Zigzag];

    pub(super) const fn from_bits(bits: u8) -> Self {
        Self::ALL[(bits & 3) as usize]
    }

    /// Rows at the front that are known from the header and not packed.
    const fn skipped(self) -> usize {
        match self {
            Self::RawMin => 0,
            Self::DeltaMin | Self::DeltaZigzag => 1,
            Self::Delta2Zigzag => 2,
        }
    }
}

/// What was chosen for the previous block of a column, so that most blocks try one mode instead of four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Habit {
    pub(super) mode: Mode,
    /// Blocks since all modes were tried.
    pub(super) age: u8,
    /// Packed bytes of the last full block, in units of 4 (saturating): a jump means that the habit is stale.
    pub(super) cost: u8,
}

/// All modes are tried each so many blocks.
const HABIT_BLOCKS: u8 = 8;

/// Rows as small numbers, and how to pack them.
pub(super) struct Plan {
    pub(super) mode: Mode,
    pub(super) shift: u32,
    pub(super) first: i64,
    /// The minimum (raw-min, delta-min) or first difference (delta2).
    reference: i64,
    pub(super) width: usize,
    patches: usize,
    pub(super) bytes: usize,
    residuals: [u64; BLOCK_ROWS_MAX],
    rows: usize,
}

/// Chooses mode, shift and width for 1 to 128 integers.
pub(super) fn plan(values: &[i64], habit: &mut Habit) -> Plan {
    let first = values[0];
    let mut offsets = [0i64; BLOCK_ROWS_MAX];
    let offsets = &mut offsets[..values.len()];
    let mut all = 0;
    for (offset, value) in offsets.iter_mut().zip(values) {
        *offset = value.wrapping_sub(first);
        all |= *offset;
    }
    // Of numbers that share trailing zeros only with the first one, as of their differences.
    let shift = if all == 0 { 0 } else { all.trailing_zeros() };
    if shift > 0 {
        for offset in offsets.iter_mut() {
            *offset >>= shift;
        }
    }

    let habitual = try_mode(habit.mode, offsets, shift, first);
    let cost = (habitual.bytes / 4).min(255) as u8;
    let stale = habit.age == 0 || usize::from(cost) * 4 > usize::from(habit.cost) * 5 + 4;
    let best = if stale && values.len() > 2 {
        let others = Mode::ALL.into_iter().filter(|mode| *mode != habit.mode);
        others
            .map(|mode| try_mode(mode, offsets, shift, first))
            .fold(habitual, |best, other| if other.bytes < best.bytes { other } else { best })
    } else {
        habitual
    };
    habit.mode = best.mode;
    habit.age = if stale { 1 } else { (habit.age + 1) % HABIT_BLOCKS };
    habit.cost = (best.bytes / 4).min(255) as u8;
    best
}

fn try_mode(mode: Mode, offsets: &[i64], shift: u32, first: i64) -> Plan {
    let mut residuals = [0u64; BLOCK_ROWS_MAX];
    let rows = offsets.len();
    let reference = fill_residuals(mode, offsets, &mut residuals[..rows]);
    let (width, patches, packed) = choose_width(&residuals[mode.skipped().min(rows)..rows], rows);
    let header =
        uvarint_len(zigzag(first)) + if mode == Mode::DeltaZigzag { 0 } else { uvarint_len(zigzag(reference)) };
    Plan { mode, shift, first, reference, width, patches, bytes: packed + header, residuals, rows }
}

/// Writes the small numbers and gives the reference they are relative to.
fn fill_residuals(mode: Mode, offsets: &[i64], residuals: &mut [u64]) -> i64 {
    match mode {
        Mode::RawMin => {
            let min = offsets.iter().copied().min().unwrap_or(0);
            for (residual, offset) in residuals.iter_mut().zip(offsets) {
                *residual = offset.wrapping_sub(min) as u64;
            }
            min
        }
        Mode::DeltaMin => {
            let min = offsets.windows(2).map(|w| w[1].wrapping_sub(w[0])).min().unwrap_or(0);
            for (residual, w) in residuals[1..].iter_mut().zip(offsets.windows(2)) {
                *residual = w[1].wrapping_sub(w[0]).wrapping_sub(min) as u64;
            }
            min
        }
        Mode::DeltaZigzag => {
            for (residual, w) in residuals[1..].iter_mut().zip(offsets.windows(2)) {
                *residual = zigzag(w[1].wrapping_sub(w[0]));
            }
            0
        }
        Mode::Delta2Zigzag => {
            for (residual, w) in residuals.iter_mut().skip(2).zip(offsets.windows(3)) {
                let (before, after) = (w[1].wrapping_sub(w[0]), w[2].wrapping_sub(w[1]));
                *residual = zigzag(after.wrapping_sub(before));
            }
            if offsets.len() > 1 { offsets[1].wrapping_sub(offsets[0]) } else { 0 }
        }
    }
}

/// The cheapest width, how many numbers are wider, and the bytes of both together.
pub(super) fn choose_width(residuals: &[u64], rows: usize) -> (usize, usize, usize) {
    let mut all = 0;
    for residual in residuals {
        all |= residual;
    }
    let widest = 64 - all.leading_zeros() as usize;
    let packed =
        |width| if rows == BLOCK_ROWS_MAX { packed_len(rows, width) } else { packed_len(residuals.len(), width) };
    let mut best = (widest, 0, packed(widest));
    if widest <= 1 || residuals.len() < 4 {
        return best;
    }
    // Two tables in turn, so that runs of equal lengths do not wait for each other's increment.
    let mut counts = [[0u8; 65]; 2];
    for (index, residual) in residuals.iter().enumerate() {
        counts[index & 1][64 - residual.leading_zeros() as usize] += 1;
    }
    let mut wider = 0;
    let mut patches = [0usize; 65];
    let mut lengths = 0;
    for width in (0..widest).rev() {
        let count = usize::from(counts[0][width + 1]) + usize::from(counts[1][width + 1]);
        if count > 0 {
            patches[lengths] = width + 1;
            lengths += 1;
            wider += count;
        }
        if wider > residuals.len() / 8 {
            break;
        }
        let above: usize = patches[..lengths]
            .iter()
            .map(|bits| {
                let count = usize::from(counts[0][*bits]) + usize::from(counts[1][*bits]);
                count * (1 + (bits - width).div_ceil(7))
            })
            .sum();
        let bytes = packed(width) + 1 + above;
        if bytes < best.2 {
            best = (width, wider, bytes);
        }
    }
    best
}

/// In the byte of the width: patches follow.
const PATCHED: u8 = 0x80;

impl Plan {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.width as u8 | if self.patches > 0 { PATCHED } else { 0 });
        if self.shift > 0 {
            out.push(self.shift as u8);
        }
        put_ivarint(out, self.first);
        if self.mode != Mode::DeltaZigzag {
            put_ivarint(out, self.reference);
        }
        let from = self.mode.skipped().min(self.rows);
        write_packed(&self.residuals, from..self.rows, self.width, self.patches, out);
    }
}

/// The packed numbers, then count, places and upper bits of the wider ones. A full block packs its skipped rows, too.
pub(super) fn write_packed(
    residuals: &[u64; BLOCK_ROWS_MAX],
    range: std::ops::Range<usize>,
    width: usize,
    patches: usize,
    out: &mut Vec<u8>,
) {
    if range.end == BLOCK_ROWS_MAX {
        pack_full(residuals, width, out);
    } else {
        pack_short(&residuals[range.clone()], width, out);
    }
    if patches == 0 {
        return;
    }
    let limit = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
    let wide = || (range.start..range.end).filter(|row| residuals[*row] > limit);
    out.push(patches as u8);
    out.extend(wide().map(|row| row as u8));
    for row in wide() {
        put_uvarint(out, residuals[row] >> width);
    }
}

/// Reads what [`write_packed`] wrote into `residuals[range]`.
pub(super) fn read_packed(
    reader: &mut Reader<'_>,
    residuals: &mut [u64; BLOCK_ROWS_MAX],
    range: std::ops::Range<usize>,
    width: usize,
    patched: bool,
) -> Result<(), Damage> {
    if width > 64 {
        return Err(Damage("numbers wider than 64 bits"));
    }
    if range.end == BLOCK_ROWS_MAX {
        unpack_full(reader.take(packed_len(BLOCK_ROWS_MAX, width))?, width, residuals)?;
    } else {
        let bytes = reader.take(packed_len(range.len(), width))?;
        unpack_short(bytes, width, &mut residuals[range.clone()])?;
    }
    if !patched {
        return Ok(());
    }
    let count = usize::from(reader.u8()?);
    let places = reader.take(count)?;
    for place in places {
        let upper = reader.uvarint()?;
        let place = usize::from(*place);
        if !range.contains(&place) || width == 64 {
            return Err(Damage("a patch outside its block"));
        }
        residuals[place] |= upper << width;
    }
    Ok(())
}

/// What a block's header says before the numbers.
pub(super) struct Layout {
    pub(super) mode: Mode,
    pub(super) shifted: bool,
    pub(super) rows: usize,
}

/// Reads what [`Plan::write`] wrote into `out[..rows]`.
pub(super) fn read(reader: &mut Reader<'_>, layout: &Layout, out: &mut [i64; BLOCK_ROWS_MAX]) -> Result<(), Damage> {
    let rows = layout.rows;
    let width = reader.u8()?;
    let shift = if layout.shifted { u32::from(reader.u8()?) } else { 0 };
    if shift > 63 {
        return Err(Damage("a shift of more than 63 bits"));
    }
    let first = reader.ivarint()?;
    let reference = if layout.mode == Mode::DeltaZigzag { 0 } else { reader.ivarint()? };
    let mut residuals = [0; BLOCK_ROWS_MAX];
    let from = layout.mode.skipped().min(rows);
    read_packed(reader, &mut residuals, from..rows, usize::from(width & !PATCHED), width & PATCHED != 0)?;

    let start = Start { first, shift, reference };
    sum_up(layout.mode, &start, &residuals[..rows], &mut out[..rows]);
    Ok(())
}

/// Skips what [`Plan::write`] wrote.
pub(super) fn skip(reader: &mut Reader<'_>, layout: &Layout) -> Result<(), Damage> {
    let width = reader.u8()?;
    if layout.shifted {
        reader.u8()?;
    }
    reader.uvarint()?;
    if layout.mode != Mode::DeltaZigzag {
        reader.uvarint()?;
    }
    let skipped = if layout.rows == BLOCK_ROWS_MAX { 0 } else { layout.mode.skipped().min(layout.rows) };
    reader.take(packed_len(layout.rows - skipped, usize::from(width & !PATCHED)))?;
    if width & PATCHED != 0 {
        let count = usize::from(reader.u8()?);
        reader.take(count)?;
        for _ in 0..count {
            reader.uvarint()?;
        }
    }
    Ok(())
}

struct Start {
    first: i64,
    shift: u32,
    reference: i64,
}

/// Small numbers back to integers.
fn sum_up(mode: Mode, start: &Start, residuals: &[u64], out: &mut [i64]) {
    let Start { first, shift, reference } = *start;
    let place = |offset: i64| first.wrapping_add(offset.wrapping_shl(shift));
    match mode {
        Mode::RawMin => {
            for (value, residual) in out.iter_mut().zip(residuals) {
                *value = place(reference.wrapping_add(*residual as i64));
            }
        }
        Mode::DeltaMin => {
            let mut offset = 0i64;
            out[0] = first;
            for (value, residual) in out.iter_mut().zip(residuals).skip(1) {
                offset = offset.wrapping_add(reference).wrapping_add(*residual as i64);
                *value = place(offset);
            }
        }
        Mode::DeltaZigzag => {
            let mut offset = 0i64;
            out[0] = first;
            for (value, residual) in out.iter_mut().zip(residuals).skip(1) {
                offset = offset.wrapping_add(unzigzag(*residual));
                *value = place(offset);
            }
        }
        Mode::Delta2Zigzag => {
            let (mut offset, mut delta) = (0i64, reference);
            out[0] = first;
            for (index, (value, residual)) in out.iter_mut().zip(residuals).enumerate().skip(1) {
                if index > 1 {
                    delta = delta.wrapping_add(unzigzag(*residual));
                }
                offset = offset.wrapping_add(delta);
                *value = place(offset);
            }
        }
    }
}
