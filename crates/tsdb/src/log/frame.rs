//! How records stand in a segment: a header that can be found again, a checksum, a payload.
//!
//! Invariant: a record is read entirely and as it was written, or reported as damage. After damage the reader finds
//! the next record by its mark, which stands only at multiples of eight.
//! Not here: what payloads mean (`batch`), when segments begin and end (`writer`). Bytes: docs/formats/log.md.

use std::sync::Arc;

use crate::io::{DiskFile, insist};

/// First bytes of a segment.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"WPTSLOG\n";
pub(crate) const LOG_VERSION: u32 = 1;
pub(crate) const SEGMENT_HEADER_BYTES: usize = 32;
/// First bytes of a record.
pub(crate) const RECORD_MAGIC: [u8; 4] = *b"WPR1";
pub(crate) const RECORD_HEADER_BYTES: usize = 24;
/// A longer record is refused when written and taken for damage when read, so that a flipped length cannot ask for
/// gigabytes. A batch of a million new series fits.
pub(crate) const RECORD_BYTES_MAX: usize = 256 << 20;
/// Bytes fetched at once when reading a segment.
const READ_BYTES: usize = 1 << 20;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Batch = 1,
    Series = 2,
}

impl RecordKind {
    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Batch),
            2 => Some(Self::Series),
            _ => None,
        }
    }
}

/// The first bytes of segment `number`.
pub(crate) fn segment_header(number: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    header[..8].copy_from_slice(&SEGMENT_MAGIC);
    header[8..12].copy_from_slice(&LOG_VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c(&header[..24]);
    header[24..28].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Whether these are the first bytes of segment `number`.
pub(crate) fn segment_header_is_good(header: &[u8], number: u64) -> bool {
    header == segment_header(number)
}

/// Appends a record whose payload `fill` writes in place. Leaves `out` as it was if the payload is beyond the bound.
pub(crate) fn put_record(out: &mut Vec<u8>, kind: RecordKind, seq: u64, fill: impl FnOnce(&mut Vec<u8>)) -> bool {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
    fill(out);
    let payload = out.len() - start - RECORD_HEADER_BYTES;
    if payload > RECORD_BYTES_MAX {
        out.truncate(start);
        return false;
    }
    let header = &mut out[start..start + RECORD_HEADER_BYTES];
    header[..4].copy_from_slice(&RECORD_MAGIC);
    header[8..12].copy_from_slice(&(payload as u32).to_le_bytes());
    header[12] = kind as u8;
    header[16..24].copy_from_slice(&seq.to_le_bytes());
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + record_bytes(payload), 0);
    true
}

/// Bytes a record with such a payload takes, its padding included.
pub(crate) const fn record_bytes(payload: usize) -> usize {
    (RECORD_HEADER_BYTES + payload).next_multiple_of(8)
}

/// One thing found in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Record {
        kind: RecordKind,
        seq: u64,
        payload: &'a [u8],
    },
    /// These bytes are no record.
    Damage {
        from: u64,
        to: u64,
        reason: &'static str,
    },
    /// Nothing (complete) follows within the limit.
    End,
}

/// Reads the records of one segment in order.
#[derive(Debug)]
pub(crate) struct FrameReader {
    file: Arc<dyn DiskFile>,
    /// Where the next record begins.
    offset: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

enum Header {
    Good {
        kind: RecordKind,
        seq: u64,
        payload: usize,
    },
    Bad(&'static str),
    /// The file ends before the record does.
    Cut,
}

impl FrameReader {
    pub(crate) fn new(file: Arc<dyn DiskFile>, offset: u64) -> Self {
        Self { file, offset: offset.max(SEGMENT_HEADER_BYTES as u64), buffer: Vec::new(), buffer_at: 0 }
    }

    /// Where the next record begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record that ends before `limit`, or what is wrong there.
    pub(crate) fn next(&mut self, limit: u64) -> std::io::Result<Found<'_>> {
        match self.header_at(self.offset, limit)? {
            Header::Good { kind, seq, payload } => {
                let start = (self.offset - self.buffer_at) as usize + RECORD_HEADER_BYTES;
                self.offset += record_bytes(payload) as u64;
                Ok(Found::Record { kind, seq, payload: &self.buffer[start..start + payload] })
            }
            Header::Cut if self.offset >= limit => Ok(Found::End),
            Header::Cut => self.skip_to_next_mark(limit, "the segment ends within a record"),
            Header::Bad(reason) => self.skip_to_next_mark(limit, reason),
        }
    }

    fn skip_to_next_mark(&mut self, limit: u64, reason: &'static str) -> std::io::Result<Found<'_>> {
        let from = self.offset;
        let mut at = (from + 8).next_multiple_of(8);
        while at + (RECORD_HEADER_BYTES as u64) <= limit {
            self.fetch(at, RECORD_HEADER_BYTES, limit)?;
            let window = &self.buffer[(at - self.buffer_at) as usize..];
            match window.chunks_exact(8).position(|word| word[..4] == RECORD_MAGIC) {
                Some(words) => {
                    at += words as u64 * 8;
                    if at + RECORD_HEADER_BYTES as u64 <= limit
                        && matches!(self.header_at(at, limit)?, Header::Good { .. })
                    {
                        self.offset = at;
                        return Ok(Found::Damage { from, to: at, reason });
                    }
                    at += 8;
                }
                None => at += (window.len() / 8 * 8).max(8) as u64,
            }
        }
        self.offset = limit;
        Ok(Found::Damage { from, to: limit, reason })
    }

    /// Makes `wanted` bytes from `at` stand in the buffer, as far as the limit allows.
    fn fetch(&mut self, at: u64, wanted: usize, limit: u64) -> std::io::Result<bool> {
        if at + wanted as u64 > limit {
            return Ok(false);
        }
        let end = self.buffer_at + self.buffer.len() as u64;
        if at >= self.buffer_at && at + wanted as u64 <= end {
            return Ok(true);
        }
        let bytes = (wanted.max(READ_BYTES) as u64).min(limit - at) as usize;
        self.buffer.resize(bytes, 0);
        self.buffer_at = at;
        if let Err(error) = insist(|| self.file.read_at(&mut self.buffer, at)) {
            self.buffer.clear();
            return Err(error);
        }
        Ok(true)
    }

    fn header_at(&mut self, at: u64, limit: u64) -> std::io::Result<Header> {
        if !self.fetch(at, RECORD_HEADER_BYTES, limit)? {
            return Ok(Header::Cut);
        }
        let start = (at - self.buffer_at) as usize;
        let header = &self.buffer[start..start + RECORD_HEADER_BYTES];
        if header[..4] != RECORD_MAGIC {
            return Ok(Header::Bad("no record begins here"));
        }
        let word =
            |from: usize| u32::from_le_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]]);
        let (crc, payload) = (word(4), word(8) as usize);
        let seq = u64::from(word(16)) | u64::from(word(20)) << 32;
        let kind = RecordKind::of(header[12]);
        if payload > RECORD_BYTES_MAX {
            return Ok(Header::Bad("the length is beyond the bound"));
        }
        if !self.fetch(at, record_bytes(payload), limit)? {
            return Ok(Header::Cut);
        }
        let start = (at - self.buffer_at) as usize;
        let sealed = &self.buffer[start + 8..start + RECORD_HEADER_BYTES + payload];
        if crc32c::crc32c(sealed) != crc {
            return Ok(Header::Bad("the checksum differs"));
        }
        match kind {
            Some(kind) => Ok(Header::Good { kind, seq, payload }),
            None => Ok(Header::Bad("the kind of record is not known")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::io::{Disk, FaultyDisk};

    fn segment(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = segment_header(7).to_vec();
        for (index, payload) in payloads.iter().enumerate() {
            assert!(put_record(&mut bytes, RecordKind::Batch, index as u64, |out| out.extend_from_slice(payload)));
        }
        bytes
    }

    /// The sequence numbers found and how many ranges of damage.
    fn read(bytes: &[u8]) -> (Vec<u64>, usize) {
        let disk = FaultyDisk::new(1);
        disk.write_file(Path::new("s"), bytes);
        let mut reader = FrameReader::new(disk.open(Path::new("s")).expect("it exists"), 0);
        let (mut found, mut damage) = (Vec::new(), 0);
        loop {
            match reader.next(bytes.len() as u64).expect("the disk is good") {
                Found::Record { seq, .. } => found.push(seq),
                Found::Damage { from, to, .. } => {
                    assert!(from < to);
                    damage += 1;
                }
                Found::End => return (found, damage),
            }
        }
    }

    #[test]
    fn records_of_any_length_come_back() {
        assert_eq!(read(&segment(&[b"", b"a", &[7; 3000], b"12345678"])), (vec![0, 1, 2, 3], 0));
        assert!(segment_header_is_good(&segment_header(7), 7));
        assert!(!segment_header_is_good(&segment_header(7), 8));
    }

    #[test]
    fn a_flipped_bit_costs_its_own_record_only() {
        let good = segment(&[b"one", &[9; 100], b"three", b"four"]);
        for byte in SEGMENT_HEADER_BYTES..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[byte] ^= 1 << bit;
                let (found, damage) = read(&bad);
                assert!(found.len() >= 3, "byte {byte} bit {bit}: {found:?}");
                // A bit of the padding belongs to nobody.
                assert!(damage == 1 || found.len() == 4, "byte {byte} bit {bit}");
            }
        }
    }

    #[test]
    fn a_cut_at_any_byte_keeps_the_records_before_it() {
        let good = segment(&[b"one", &[9; 100], b"three"]);
        let ends = [0, 1, 2].map(|n| segment(&[b"one".as_slice(), &[9; 100], b"three"][..=n]).len());
        for len in SEGMENT_HEADER_BYTES..good.len() {
            let whole = ends.iter().filter(|end| **end <= len).count();
            assert_eq!(read(&good[..len]).0.len(), whole, "cut at {len}");
        }
    }
}
