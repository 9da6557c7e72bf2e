//! Blocks of integers: times of a clock, start times, counts. Any i64, exactly.

use crate::codec::block::{Head, id};
use crate::codec::bytes::Reader;
use crate::codec::dfor::{self, Habit, Layout, Mode};
use crate::codec::{BLOCK_ROWS_MAX, Damage};

/// What a column carries from block to block while encoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct IntState(pub(super) Habit);

const SHIFTED: u8 = 0x40;

/// Appends one block of 1 to 128 integers.
///
/// # Panics
/// Where there are none, or more than 128: the caller cuts columns.
pub fn encode(values: &[i64], state: &mut IntState, out: &mut Vec<u8>) {
    assert!((1..=BLOCK_ROWS_MAX).contains(&values.len()), "a block has 1 to 128 rows");
    let plan = dfor::plan(values, &mut state.0);
    let flags = (plan.mode as u8) << 4 | if plan.shift > 0 { SHIFTED } else { 0 };
    Head { codec: id::INT, rows: values.len(), flags }.write(out);
    plan.write(out);
}

/// Appends a column of any length as blocks.
pub fn encode_column(values: &[i64], out: &mut Vec<u8>) {
    let mut state = IntState::default();
    for block in values.chunks(BLOCK_ROWS_MAX) {
        encode(block, &mut state, out);
    }
}

pub(super) fn layout(head: Head) -> Result<Layout, Damage> {
    if head.flags & 0x80 != 0 {
        return Err(Damage("an unknown flag"));
    }
    let mode = Mode::from_bits(head.flags >> 4);
    Ok(Layout { mode, shifted: head.flags & SHIFTED != 0, rows: head.rows })
}

/// Decodes the block at the front of `bytes`, appends its rows, and says how long it was.
pub fn decode_append(bytes: &[u8], out: &mut Vec<i64>) -> Result<usize, Damage> {
    let mut reader = Reader::new(bytes);
    let head = Head::read(&mut reader)?;
    if head.codec != id::INT {
        return Err(Damage("not a block of integers"));
    }
    let mut block = [0; BLOCK_ROWS_MAX];
    dfor::read(&mut reader, &layout(head)?, &mut block)?;
    out.extend_from_slice(&block[..head.rows]);
    Ok(reader.position())
}

/// Decodes what [`encode_column`] wrote: `rows` integers, from the front of `bytes`.
pub fn decode_column(bytes: &[u8], rows: usize, out: &mut Vec<i64>) -> Result<usize, Damage> {
    let end = out.len() + rows;
    let mut at = 0;
    while out.len() < end {
        at += decode_append(&bytes[at..], out)?;
    }
    if out.len() > end {
        return Err(Damage("more rows than the column has"));
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::block::{BlockKind, peek};
    use crate::seeded::Seeded;

    #[track_caller]
    fn check(values: &[i64]) -> usize {
        let mut bytes = Vec::new();
        let mut state = IntState::default();
        // Twice, so that the habit of the first block is used, too.
        encode(values, &mut state, &mut bytes);
        let first = bytes.len();
        encode(values, &mut state, &mut bytes);
        let mut back = Vec::new();
        assert_eq!(decode_append(&bytes, &mut back), Ok(first));
        assert_eq!(decode_append(&bytes[first..], &mut back), Ok(bytes.len() - first));
        assert_eq!(back, [values, values].concat());
        let info = peek(&bytes).unwrap();
        assert_eq!((info.kind, info.rows, info.bytes), (BlockKind::Int, values.len(), first));
        for cut in 0..first {
            assert!(decode_append(&bytes[..cut], &mut Vec::new()).is_err(), "cut at {cut}");
            assert!(peek(&bytes[..cut]).is_err(), "peek cut at {cut}");
        }
        first
    }

    #[test]
    fn integers_of_every_size_and_shape_come_back() {
        let mut random = Seeded::new(11);
        for rows in [1, 2, 3, 4, 16, 100, 127, 128] {
            check(&vec![0; rows]);
            check(&vec![i64::MIN; rows]);
            for bits in (1..=64).step_by(3) {
                let mut number = || (random.bits() >> (64 - bits)) as i64;
                check(&(0..rows).map(|_| number()).collect::<Vec<_>>());
                check(
                    &(0..rows)
                        .scan(0i64, |sum, _| {
                            *sum = sum.wrapping_add(number());
                            Some(*sum)
                        })
                        .collect::<Vec<_>>(),
                );
                check(&(0..rows).map(|_| if number() % 19 == 0 { i64::MAX } else { number() & 7 }).collect::<Vec<_>>());
            }
            check(&(0..rows).map(|row| if row & 1 == 0 { i64::MIN } else { i64::MAX }).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_regular_clock_takes_no_room_for_its_rows() {
        let times: Vec<i64> = (0..128).map(|row| 1_700_000_000_000 + row * 15_000).collect();
        assert!(check(&times) < 16);
    }

    #[test]
    fn one_late_row_is_patched_instead_of_widening_all() {
        let mut times: Vec<i64> = (0..128).map(|row| 1_700_000_000_000 + row * 15_000).collect();
        times[77] += 9_001;
        assert!(check(&times) < 40);
    }
}
