//! Snappy's block format: what remote write and remote read put their messages in.
//!
//! Promises: the length a block declares is compared with the caller's bound and with what so few bytes can become at
//! all, before anything is allocated; no input panics or makes the output longer than declared.
//! Not here: the framed format (a stream of such blocks with checksums), which no protocol of ours uses.

/// A copy of two bytes' offset turns three bytes into 64, and nothing expands more: a longer declared length is a lie.
const EXPANSION_MAX: usize = 22;
/// The compressor looks back within so many bytes only, so that two bytes hold an offset.
const FRAGMENT_BYTES: usize = 1 << 16;
/// Below this a fragment is not searched for repetitions: it would not pay for its table.
const FRAGMENT_SEARCHED_MIN: usize = 16;
const TABLE_BITS_MAX: u32 = 14;
/// Copies and literals of at most this many bytes are moved as one fixed block, which costs no call.
const WIDE: usize = 16;

/// What is wrong with a compressed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnappyError {
    #[error("snappy: the block does not begin with its length")]
    Length,
    #[error("snappy: {declared} bytes declared, expected at most {max}")]
    TooLarge { declared: u64, max: usize },
    #[error("snappy: {declared} bytes declared, but {compressed} compressed bytes cannot become so many")]
    Impossible { declared: u64, compressed: usize },
    #[error("snappy: byte {at}: the block ends inside an element")]
    Truncated { at: usize },
    #[error("snappy: byte {at}: a copy from {offset} bytes back, where {written} are written")]
    Offset { at: usize, offset: usize, written: usize },
    #[error("snappy: byte {at}: more bytes than the {declared} declared")]
    Overrun { at: usize, declared: usize },
    #[error("snappy: {written} bytes, expected the {declared} declared")]
    Underrun { written: usize, declared: usize },
}

/// The length a block declares, and where its elements begin. Nothing has been checked against it.
pub fn declared_len(block: &[u8]) -> Result<(u64, usize), SnappyError> {
    let mut len = 0u64;
    // 32 bits in at most five groups of seven.
    for (index, byte) in block.iter().take(5).enumerate() {
        len |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return if len > u64::from(u32::MAX) { Err(SnappyError::Length) } else { Ok((len, index + 1)) };
        }
    }
    Err(SnappyError::Length)
}

/// Replaces `out` with what the block holds, at most `max` bytes. After an error `out` holds nothing of use.
pub fn decode(block: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), SnappyError> {
    let (declared, start) = declared_len(block)?;
    let len = usize::try_from(declared).ok().filter(|len| *len <= max);
    let Some(len) = len else { return Err(SnappyError::TooLarge { declared, max }) };
    let compressed = block.len() - start;
    if len > compressed.saturating_mul(EXPANSION_MAX) {
        return Err(SnappyError::Impossible { declared, compressed });
    }
    // What an earlier block left is overwritten: only growth costs.
    out.resize(len, 0);
    decode_elements(block, start, out)
}

/// One element after the other, into a buffer that is as long as declared.
fn decode_elements(block: &[u8], start: usize, out: &mut [u8]) -> Result<(), SnappyError> {
    let (mut at, mut written) = (start, 0);
    while let Some(&tag) = block.get(at) {
        let element = at;
        at += 1;
        let truncated = SnappyError::Truncated { at: element };
        if tag & 3 == 0 {
            let (len, bytes) = literal_len(tag, &block[at..]).ok_or(truncated)?;
            at += bytes;
            if len > block.len() - at {
                return Err(truncated);
            }
            if len > out.len() - written {
                return Err(SnappyError::Overrun { at: element, declared: out.len() });
            }
            put_literal(block, at, len, out, written);
            (at, written) = (at + len, written + len);
            continue;
        }
        let (len, offset, bytes) = copy_of(tag, &block[at..]).ok_or(truncated)?;
        at += bytes;
        if offset == 0 || offset > written {
            return Err(SnappyError::Offset { at: element, offset, written });
        }
        if len > out.len() - written {
            return Err(SnappyError::Overrun { at: element, declared: out.len() });
        }
        put_copy(out, written, offset, len);
        written += len;
    }
    if written != out.len() {
        return Err(SnappyError::Underrun { written, declared: out.len() });
    }
    Ok(())
}

/// The length of a literal and how many bytes say so.
#[inline]
fn literal_len(tag: u8, rest: &[u8]) -> Option<(usize, usize)> {
    let short = usize::from(tag >> 2);
    if short < 60 {
        return Some((short + 1, 0));
    }
    let bytes = short - 59;
    let mut len = 0usize;
    for (index, byte) in rest.get(..bytes)?.iter().enumerate() {
        len |= usize::from(*byte) << (8 * index);
    }
    Some((len.checked_add(1)?, bytes))
}

/// Length and offset of a copy, and how many bytes say so.
#[inline]
fn copy_of(tag: u8, rest: &[u8]) -> Option<(usize, usize, usize)> {
    let tag = usize::from(tag);
    match tag & 3 {
        1 => Some((4 + ((tag >> 2) & 7), ((tag >> 5) << 8) | usize::from(*rest.first()?), 1)),
        2 => Some(((tag >> 2) + 1, usize::from(u16::from_le_bytes(*rest.first_chunk()?)), 2)),
        _ => Some(((tag >> 2) + 1, u32::from_le_bytes(*rest.first_chunk()?) as usize, 4)),
    }
}

#[inline]
fn put_literal(block: &[u8], from: usize, len: usize, out: &mut [u8], to: usize) {
    // Bytes behind a short literal are overwritten by the next element, so a fixed block may be moved where both
    // sides have room for it.
    if len <= WIDE
        && let (Some(source), Some(target)) = (block[from..].first_chunk::<WIDE>(), out[to..].first_chunk_mut::<WIDE>())
    {
        *target = *source;
        return;
    }
    out[to..to + len].copy_from_slice(&block[from..from + len]);
}

#[inline]
fn put_copy(out: &mut [u8], to: usize, offset: usize, len: usize) {
    let from = to - offset;
    if offset >= WIDE && to + len.next_multiple_of(WIDE) <= out.len() {
        // Each block is whole before it is read: the offset is at least its length.
        for step in (0..len).step_by(WIDE) {
            let Some(source) = out[from + step..].first_chunk::<WIDE>().copied() else { return };
            let Some(target) = out[to + step..].first_chunk_mut::<WIDE>() else { return };
            *target = source;
        }
        return;
    }
    if offset >= len {
        out.copy_within(from..from + len, to);
        return;
    }
    // The pattern repeats itself: what was just written is read again.
    for index in 0..len {
        out[to + index] = out[from + index];
    }
}

/// Appends the block of `input` to `out`. At most 4 GiB - 1, which is what the format can say.
pub fn encode(input: &[u8], out: &mut Vec<u8>) {
    let mut len = input.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.reserve(input.len() / 2);
    let mut table = vec![0u16; 1 << TABLE_BITS_MAX];
    for fragment in input.chunks(FRAGMENT_BYTES) {
        if fragment.len() < FRAGMENT_SEARCHED_MIN {
            encode_literal(fragment, out);
        } else {
            encode_fragment(fragment, &mut table, out);
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk::<4>().map_or(0, |word| u32::from_le_bytes(*word))
}

/// Finds repetitions of four bytes and more by a table of where each was seen last.
fn encode_fragment(fragment: &[u8], table: &mut [u16], out: &mut Vec<u8>) {
    let bits = (usize::BITS - (fragment.len() - 1).leading_zeros()).clamp(8, TABLE_BITS_MAX);
    let shift = 32 - bits;
    let table = &mut table[..1 << bits];
    table.fill(0);
    let slot = |word: u32| (word.wrapping_mul(0x1e35_a7bd) >> shift) as usize;
    // The last bytes are never the start of a match, so that every word that is read lies inside.
    let search_end = fragment.len() - FRAGMENT_SEARCHED_MIN + 1;
    let (mut at, mut unwritten) = (1, 0);
    // The longer nothing is found, the wider the steps: data that does not compress costs little.
    let mut misses = 32;
    while at < search_end {
        let here = word(fragment, at);
        let candidate = usize::from(std::mem::replace(&mut table[slot(here)], at as u16));
        if candidate >= at || word(fragment, candidate) != here {
            at += misses >> 5;
            misses += 1;
            continue;
        }
        misses = 32;
        encode_literal(&fragment[unwritten..at], out);
        let len = 4 + common_prefix(&fragment[candidate + 4..], &fragment[at + 4..]);
        encode_copy(at - candidate, len, out);
        at += len;
        unwritten = at;
        if at < search_end {
            table[slot(word(fragment, at - 1))] = (at - 1) as u16;
        }
    }
    encode_literal(&fragment[unwritten..], out);
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let mut same = 0;
    for (a, b) in words {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return same + (differ.trailing_zeros() / 8) as usize;
        }
        same += 8;
    }
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

fn encode_literal(bytes: &[u8], out: &mut Vec<u8>) {
    let Some(last) = bytes.len().checked_sub(1) else { return };
    // A fragment is at most 64 KiB, so two bytes always hold the length.
    match last {
        0..60 => out.push((last as u8) << 2),
        60..256 => out.extend([60 << 2, last as u8]),
        _ => out.extend([61 << 2, last as u8, (last >> 8) as u8]),
    }
    out.extend_from_slice(bytes);
}

fn encode_copy(offset: usize, mut len: usize, out: &mut Vec<u8>) {
    let two_bytes = |len: usize, out: &mut Vec<u8>| {
        out.extend([((len - 1) << 2) as u8 | 2, offset as u8, (offset >> 8) as u8]);
    };
    // What remains must be at least four bytes, which is the shortest copy of the short form.
    while len >= 68 {
        two_bytes(64, out);
        len -= 64;
    }
    if len > 64 {
        two_bytes(60, out);
        len -= 60;
    }
    if len >= 12 || offset >= 2048 {
        two_bytes(len, out);
    } else {
        out.extend([((offset >> 8) << 5) as u8 | ((len - 4) << 2) as u8 | 1, offset as u8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(block: &[u8]) -> Result<Vec<u8>, SnappyError> {
        let mut out = Vec::new();
        decode(block, 1 << 20, &mut out).map(|()| out)
    }

    #[test]
    fn the_examples_of_the_format_description_decode() {
        assert_eq!(decoded(&[0]).as_deref(), Ok(&[][..]));
        assert_eq!(decoded(b"\x03\x08abc").as_deref(), Ok(&b"abc"[..]));
        // "xababab": three bytes, then a copy of four from two back.
        assert_eq!(decoded(b"\x07\x08xab\x01\x02").as_deref(), Ok(&b"xababab"[..]));
        // The same copy with an offset of two bytes, and of four.
        assert_eq!(decoded(b"\x07\x08xab\x0e\x02\x00").as_deref(), Ok(&b"xababab"[..]));
        assert_eq!(decoded(b"\x07\x08xab\x0f\x02\x00\x00\x00").as_deref(), Ok(&b"xababab"[..]));
        // A literal whose length has a byte of its own.
        let long = [&[61, 60 << 2, 60][..], &[7; 61]].concat();
        assert_eq!(decoded(&long).as_deref(), Ok(&[7; 61][..]));
    }

    #[test]
    fn broken_blocks_are_refused_in_words() {
        let cases: &[(&[u8], &str)] = &[
            (&[], "snappy: the block does not begin with its length"),
            (&[0xff; 6], "snappy: the block does not begin with its length"),
            (&[0xff, 0xff, 0xff, 0xff, 0x1f], "snappy: the block does not begin with its length"),
            (&[0xff, 0xff, 0xff, 0x0f, 0], "snappy: 33554431 bytes declared, expected at most 1048576"),
            (&[100, 0, 1], "snappy: 100 bytes declared, but 2 compressed bytes cannot become so many"),
            (&[3, 8, b'a'], "snappy: byte 1: the block ends inside an element"),
            (&[3, 60 << 2], "snappy: byte 1: the block ends inside an element"),
            (&[5, 0, b'a', 1], "snappy: byte 3: the block ends inside an element"),
            (&[5, 0, b'a', 1, 2], "snappy: byte 3: a copy from 2 bytes back, where 1 are written"),
            (&[5, 0, b'a', 1, 0], "snappy: byte 3: a copy from 0 bytes back, where 1 are written"),
            (&[1, 4, b'a', b'b'], "snappy: byte 1: more bytes than the 1 declared"),
            (&[2, 0, b'a', 1, 1], "snappy: byte 3: more bytes than the 2 declared"),
            (&[2, 0, b'a'], "snappy: 1 bytes, expected the 2 declared"),
        ];
        for (block, expected) in cases {
            assert_eq!(decoded(block).map_err(|e| e.to_string()), Err((*expected).to_owned()), "{block:?}");
        }
    }

    #[test]
    fn a_declared_gigabyte_is_refused_before_it_is_allocated() {
        let mut out = Vec::new();
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 1, 2, 3];
        assert!(matches!(decode(&huge, usize::MAX, &mut out), Err(SnappyError::Impossible { .. })));
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn what_is_encoded_decodes_and_repetition_shrinks() {
        let text: Vec<u8> =
            (0..20_000u32).flat_map(|n| format!("node_cpu_seconds_total{{cpu=\"{n}\"}}").into_bytes()).collect();
        for len in [0, 1, 15, 16, 17, 59, 60, 61, 256, 257, 1000, 65_535, 65_536, 65_537, text.len()] {
            let mut block = Vec::new();
            encode(&text[..len], &mut block);
            assert_eq!(decoded(&block).as_deref(), Ok(&text[..len]), "{len} bytes");
        }
        let mut block = Vec::new();
        encode(&text, &mut block);
        assert!(block.len() * 3 < text.len(), "{} of {}", block.len(), text.len());
        block.clear();
        encode(&vec![0; 100_000], &mut block);
        assert!(block.len() < 6_000, "{}", block.len());
    }
}
