//! The body of an answer, decoded piece by piece into memory that its owner uses again for the next one.
//!
//! Promises: never more than the bound (and one piece) is held, compressed or not: a gzip bomb stops there; what is
//! cut off or broken is an error, not a shorter body.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::client::ClientError;

/// Room made at a time while inflating; two pages of a socket.
const STEP: usize = 32 * 1024;

/// Where an answer's body goes. Keep it for the next call: neither the bytes nor the decoder are allocated again.
#[derive(Debug, Default)]
pub struct BodyBuffer {
    bytes: Vec<u8>,
    gunzip: Option<Box<Gunzip>>,
}

impl BodyBuffer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The body of the last call.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it holds on to for the next call.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives memory back where one unusually large answer took it.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(bytes);
    }

    /// Takes the body out and leaves nothing to use again.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Begins the body of a new answer, of at most `limit` bytes once decoded.
    pub(crate) fn begin(&mut self, gzip: bool, limit: usize) -> Sink<'_> {
        self.bytes.clear();
        let gunzip = gzip.then(|| {
            let gunzip = self.gunzip.get_or_insert_with(Box::default);
            gunzip.reset();
            gunzip
        });
        Sink { bytes: &mut self.bytes, gunzip, limit, received: 0 }
    }
}

/// A body that is being received.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    bytes: &'a mut Vec<u8>,
    gunzip: Option<&'a mut Box<Gunzip>>,
    limit: usize,
    received: usize,
}

impl Sink<'_> {
    /// Says how much will come, so that memory is taken once.
    pub(crate) fn expect(&mut self, length: u64) -> Result<(), ClientError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(ClientError::TooLarge(self.limit));
        }
        // What was announced may be a lie: memory follows what really comes, beyond a first step.
        self.bytes.reserve(length.min(STEP));
        Ok(())
    }

    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), ClientError> {
        self.received = self.received.saturating_add(piece.len());
        // Also what is not decoded yet: input that inflates to nothing would otherwise come without end.
        if self.received > self.limit {
            return Err(ClientError::TooLarge(self.limit));
        }
        match &mut self.gunzip {
            Some(gunzip) => gunzip.push(piece, self.bytes, self.limit),
            None => {
                self.bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// The body is complete; returns how many bytes came over the wire.
    pub(crate) fn finish(self) -> Result<u64, ClientError> {
        match self.gunzip {
            Some(gunzip) if !gunzip.is_whole() => Err(ClientError::Gzip("it ends before its end")),
            Some(_) | None => Ok(self.received as u64),
        }
    }
}

/// A gzip stream (RFC 1952): members one after the other, each a header, deflated data, a checksum and a length.
#[derive(Debug)]
struct Gunzip {
    inflate: Decompress,
    crc: Crc,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Ten bytes; the fourth says which optional parts follow. `at` counts, `flags` remembers.
    Header {
        at: u8,
        flags: u8,
    },
    /// Two bytes of length, low one first, then as many bytes.
    ExtraLength {
        flags: u8,
        low: Option<u8>,
    },
    Extra {
        flags: u8,
        left: u16,
    },
    /// Texts that end with a zero byte.
    Name {
        flags: u8,
    },
    Comment {
        flags: u8,
    },
    HeaderCrc {
        left: u8,
    },
    Data,
    /// Eight bytes: CRC-32 and length modulo 2^32, both low byte first.
    Trailer {
        at: u8,
        seen: [u8; 8],
    },
    /// A whole member was read; another may follow.
    Whole,
}

const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

impl Default for Gunzip {
    fn default() -> Self {
        Self { inflate: Decompress::new(false), crc: Crc::new(), stage: Stage::Header { at: 0, flags: 0 } }
    }
}

impl Gunzip {
    fn reset(&mut self) {
        self.inflate.reset(false);
        self.crc.reset();
        self.stage = Stage::Header { at: 0, flags: 0 };
    }

    fn is_whole(&self) -> bool {
        // An empty body is no gzip stream, and harmless.
        matches!(self.stage, Stage::Whole | Stage::Header { at: 0, .. })
    }

    fn push(&mut self, mut input: &[u8], bytes: &mut Vec<u8>, limit: usize) -> Result<(), ClientError> {
        while !input.is_empty() {
            if self.stage == Stage::Data {
                let used = self.inflate(input, bytes, limit)?;
                input = &input[used..];
                continue;
            }
            let (first, rest) = (input[0], &input[1..]);
            if self.stage == Stage::Whole {
                self.reset();
            }
            self.stage = self.next(first)?;
            input = rest;
        }
        Ok(())
    }

    /// What one byte outside the deflated data leads to.
    fn next(&self, byte: u8) -> Result<Stage, ClientError> {
        Ok(match self.stage {
            Stage::Header { at, flags } => {
                if MAGIC.get(usize::from(at)).is_some_and(|magic| *magic != byte) {
                    return Err(ClientError::Gzip("it does not begin like gzip"));
                }
                let flags = if at == 3 { byte } else { flags };
                if at == 9 { after_header(flags) } else { Stage::Header { at: at + 1, flags } }
            }
            Stage::ExtraLength { flags, low: None } => Stage::ExtraLength { flags, low: Some(byte) },
            Stage::ExtraLength { flags, low: Some(low) } => match u16::from_le_bytes([low, byte]) {
                0 => after_header(flags & !FLAG_EXTRA),
                left => Stage::Extra { flags, left },
            },
            Stage::Extra { flags, left: 1 } => after_header(flags & !FLAG_EXTRA),
            Stage::Extra { flags, left } => Stage::Extra { flags, left: left - 1 },
            Stage::Name { flags } if byte == 0 => after_header(flags & !FLAG_NAME),
            Stage::Comment { flags } if byte == 0 => after_header(flags & !FLAG_COMMENT),
            Stage::HeaderCrc { left: 1 } => Stage::Data,
            Stage::HeaderCrc { left } => Stage::HeaderCrc { left: left - 1 },
            Stage::Trailer { at, mut seen } => {
                seen[usize::from(at)] = byte;
                if at == 7 { self.check(seen)? } else { Stage::Trailer { at: at + 1, seen } }
            }
            Stage::Name { .. } | Stage::Comment { .. } | Stage::Data | Stage::Whole => self.stage,
        })
    }

    fn check(&self, seen: [u8; 8]) -> Result<Stage, ClientError> {
        let [a, b, c, d, e, f, g, h] = seen;
        let sums = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if sums == (self.crc.sum(), self.crc.amount()) {
            Ok(Stage::Whole)
        } else {
            Err(ClientError::Gzip("its checksum differs"))
        }
    }

    /// Inflates until the input is used up, the member ends or the bound is passed; returns how much was used.
    fn inflate(&mut self, input: &[u8], bytes: &mut Vec<u8>, limit: usize) -> Result<usize, ClientError> {
        let mut used = 0;
        loop {
            bytes.reserve(STEP);
            let (before, length) = (self.inflate.total_in(), bytes.len());
            let status = self.inflate.decompress_vec(&input[used..], bytes, FlushDecompress::None);
            let status = status.map_err(|_| ClientError::Gzip("it does not inflate"))?;
            used += usize::try_from(self.inflate.total_in() - before).unwrap_or(usize::MAX);
            self.crc.update(&bytes[length..]);
            if bytes.len() > limit {
                return Err(ClientError::TooLarge(limit));
            }
            match status {
                Status::StreamEnd => {
                    self.stage = Stage::Trailer { at: 0, seen: [0; 8] };
                    return Ok(used);
                }
                // All input taken and room left over: there is nothing more to be had from it.
                Status::Ok | Status::BufError if used == input.len() && bytes.len() < bytes.capacity() => {
                    return Ok(used);
                }
                Status::BufError if bytes.len() == length && self.inflate.total_in() == before => {
                    return Err(ClientError::Gzip("it does not inflate"));
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

/// The next optional part that the flags announce, in the order of the format.
fn after_header(flags: u8) -> Stage {
    if flags & FLAG_EXTRA != 0 {
        Stage::ExtraLength { flags, low: None }
    } else if flags & FLAG_NAME != 0 {
        Stage::Name { flags }
    } else if flags & FLAG_COMMENT != 0 {
        Stage::Comment { flags }
    } else if flags & FLAG_HEADER_CRC != 0 {
        Stage::HeaderCrc { left: 2 }
    } else {
        Stage::Data
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::GzBuilder::new()
            .filename("a name")
            .comment("a comment")
            .extra(vec![1, 2, 3])
            .write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn read(buffer: &mut BodyBuffer, input: &[u8], piece: usize, limit: usize) -> Result<u64, ClientError> {
        let mut sink = buffer.begin(true, limit);
        for piece in input.chunks(piece) {
            sink.push(piece)?;
        }
        sink.finish()
    }

    #[test]
    fn gzip_is_decoded_whatever_the_pieces_and_members() {
        let text = b"some metric 1\n".repeat(5_000);
        let mut input = gzip(&text);
        input.extend(gzip(b"and another member"));
        let mut buffer = BodyBuffer::new();
        for piece in [1, 7, 1_000, input.len()] {
            let received = read(&mut buffer, &input, piece, 1_000_000).expect("whole");
            assert_eq!(received, input.len() as u64);
            assert_eq!(buffer.bytes(), [&text[..], b"and another member"].concat());
        }
    }

    #[test]
    fn a_gzip_bomb_stops_at_the_bound() {
        let input = gzip(&vec![0_u8; 50_000_000]);
        assert!(input.len() < 500_000, "{}", input.len());
        let mut buffer = BodyBuffer::new();
        let error = read(&mut buffer, &input, 16 * 1024, 1_000_000).expect_err("a bomb");
        assert!(matches!(error, ClientError::TooLarge(1_000_000)), "{error}");
        assert!(buffer.capacity() <= 3_000_000, "{}", buffer.capacity());
    }

    #[test]
    fn what_is_cut_or_changed_is_an_error_and_no_panic() {
        let text = b"some metric 1\nother 2\n".repeat(40);
        let whole = gzip(&text);
        let mut buffer = BodyBuffer::new();
        for end in 1..whole.len() {
            assert!(read(&mut buffer, &whole[..end], 11, 1_000_000).is_err(), "cut at {end}");
        }
        let mut wrong = 0;
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x55;
            match read(&mut buffer, &broken, 13, 1_000_000) {
                Ok(_) => assert_eq!(buffer.bytes(), text, "a change of byte {at} went unnoticed"),
                Err(_) => wrong += 1,
            }
        }
        assert!(wrong > whole.len() / 2, "{wrong} of {}", whole.len());
    }

    #[test]
    fn a_buffer_is_used_again_without_new_memory() {
        let input = gzip(&b"some metric 1\n".repeat(5_000));
        let mut buffer = BodyBuffer::new();
        read(&mut buffer, &input, 4_096, 1_000_000).expect("whole");
        let (capacity, place) = (buffer.capacity(), buffer.bytes().as_ptr());
        for _ in 0..3 {
            read(&mut buffer, &input, 4_096, 1_000_000).expect("whole");
        }
        assert_eq!((buffer.capacity(), buffer.bytes().as_ptr()), (capacity, place));
    }
}
