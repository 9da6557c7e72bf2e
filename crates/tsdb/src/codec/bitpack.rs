//! Numbers of equal width side by side.
//!
//! Full blocks lie in four lanes of 32 so that one instruction moves four of them (no intrinsics: the compiler sees
//! four equal shifts); shorter ones lie one after the other.

use crate::codec::{BLOCK_ROWS_MAX, Damage};

const LANES: usize = 4;
const LANE_ROWS: usize = BLOCK_ROWS_MAX / LANES;

/// Bytes of `rows` numbers of `width` bits.
pub(super) const fn packed_len(rows: usize, width: usize) -> usize {
    // Also right for full blocks: 128 numbers fill their lanes without a rest.
    (rows * width).div_ceil(8)
}

/// Calls a function with a width of 1 to 32 known to the compiler.
macro_rules! with_width {
    ($width:expr, $function:ident ( $($arg:expr),* )) => {
        with_width!(@ $width, $function, ($($arg),*),
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32)
    };
    (@ $width:expr, $function:ident, $args:tt, $($w:literal)*) => {
        match $width { $($w => with_width!(@call $function $w $args),)* _ => {} }
    };
    (@call $function:ident $w:literal ($($arg:expr),*)) => { $function::<$w>($($arg),*) };
}

/// Appends 128 numbers of which none is wider than `width` (0 to 64).
pub(super) fn pack_full(values: &[u64; BLOCK_ROWS_MAX], width: usize, out: &mut Vec<u8>) {
    let low = width.min(32);
    with_width!(low, pack_lanes(values, 0, out));
    if width > 32 {
        with_width!(width - 32, pack_lanes(values, 32, out));
    }
}

/// Reads what [`pack_full`] wrote.
pub(super) fn unpack_full(bytes: &[u8], width: usize, out: &mut [u64; BLOCK_ROWS_MAX]) -> Result<(), Damage> {
    if width > 64 || bytes.len() < packed_len(BLOCK_ROWS_MAX, width) {
        return Err(Damage("packed numbers end early"));
    }
    if width <= 32 {
        if width == 0 {
            out.fill(0);
        }
        with_width!(width, unpack_lanes(bytes, out));
        return Ok(());
    }
    let (low, high) = bytes.split_at(packed_len(BLOCK_ROWS_MAX, 32));
    let mut upper = [0; BLOCK_ROWS_MAX];
    unpack_lanes::<32>(low, out);
    with_width!(width - 32, unpack_lanes(high, &mut upper));
    for (low, high) in out.iter_mut().zip(&upper) {
        *low |= high << 32;
    }
    Ok(())
}

/// Row `k * 4 + lane` is bits `k * W ..` of the lane; words of the lanes alternate.
fn pack_lanes<const W: usize>(values: &[u64; BLOCK_ROWS_MAX], shift: u32, out: &mut Vec<u8>) {
    let mask = (u64::MAX >> (64 - W)) as u32;
    let mut words = [[0u32; LANES]; W];
    for (k, row) in values.as_chunks::<LANES>().0.iter().enumerate() {
        let (word, offset) = (k * W / 32, k * W % 32);
        for (lane, value) in row.iter().enumerate() {
            let value = (value >> shift) as u32 & mask;
            words[word][lane] |= value << offset;
            if offset + W > 32 {
                words[word + 1][lane] |= value >> (32 - offset);
            }
        }
    }
    for word in &words {
        for lane in word {
            out.extend_from_slice(&lane.to_le_bytes());
        }
    }
}

fn unpack_lanes<const W: usize>(bytes: &[u8], out: &mut [u64; BLOCK_ROWS_MAX]) {
    let mask = (u64::MAX >> (64 - W)) as u32;
    let mut words = [[0u32; LANES]; W];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<16>().0) {
        for (lane, bytes) in word.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *lane = u32::from_le_bytes(*bytes);
        }
    }
    for k in 0..LANE_ROWS {
        let (word, offset) = (k * W / 32, k * W % 32);
        for lane in 0..LANES {
            let mut value = words[word][lane] >> offset;
            if offset + W > 32 {
                value |= words[word + 1][lane] << (32 - offset);
            }
            out[k * LANES + lane] = u64::from(value & mask);
        }
    }
}

/// Appends numbers one after the other, lowest bit first.
pub(super) fn pack_short(values: &[u64], width: usize, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let (mut pending, mut bits) = (0u128, 0);
    for value in values {
        pending |= u128::from(*value & (u64::MAX >> (64 - width))) << bits;
        bits += width;
        while bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(pending as u8);
    }
}

/// Reads what [`pack_short`] wrote.
pub(super) fn unpack_short(bytes: &[u8], width: usize, out: &mut [u64]) -> Result<(), Damage> {
    if width > 64 || bytes.len() < packed_len(out.len(), width) {
        return Err(Damage("packed numbers end early"));
    }
    if width == 0 {
        out.fill(0);
        return Ok(());
    }
    let (mut pending, mut bits) = (0u128, 0);
    let mut rest = bytes.iter();
    for value in out {
        while bits < width {
            pending |= u128::from(rest.next().copied().unwrap_or(0)) << bits;
            bits += 8;
        }
        *value = pending as u64 & (u64::MAX >> (64 - width));
        pending >>= width;
        bits -= width;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;

    #[test]
    fn every_width_comes_back_full_and_short() {
        let mut random = Seeded::new(3);
        for width in 0..=64usize {
            let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
            let values: [u64; BLOCK_ROWS_MAX] = std::array::from_fn(|_| random.bits() & mask);
            let mut packed = Vec::new();
            pack_full(&values, width, &mut packed);
            assert_eq!(packed.len(), packed_len(BLOCK_ROWS_MAX, width), "width {width}");
            let mut back = [7; BLOCK_ROWS_MAX];
            unpack_full(&packed, width, &mut back).unwrap();
            assert_eq!(back, values, "width {width}");
            for rows in [1, 2, 7, 16, 127] {
                let mut packed = Vec::new();
                pack_short(&values[..rows], width, &mut packed);
                assert_eq!(packed.len(), packed_len(rows, width));
                let mut back = vec![7; rows];
                unpack_short(&packed, width, &mut back).unwrap();
                assert_eq!(back, values[..rows]);
            }
        }
    }

    #[test]
    fn too_few_bytes_are_refused() {
        assert!(unpack_full(&[0; 15], 1, &mut [0; BLOCK_ROWS_MAX]).is_err());
        assert!(unpack_full(&[0; 2000], 65, &mut [0; BLOCK_ROWS_MAX]).is_err());
        assert!(unpack_short(&[0; 1], 3, &mut [0; 3]).is_err());
    }
}
