//! Small numbers in few bytes, and a reader that cannot run past the end.

use crate::codec::Damage;

/// Seven bits a byte, lowest first, 0x80 = more follow. At most ten bytes.
pub fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// As [`put_uvarint`], with the sign in the lowest bit, so that small negative numbers stay short.
pub fn put_ivarint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, zigzag(value));
}

/// Length, then the bytes.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_uvarint(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// How many bytes [`put_uvarint`] takes.
#[must_use]
pub const fn uvarint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Small magnitudes to small numbers: 0, -1, 1, -2, … become 0, 1, 2, 3, …
#[must_use]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[must_use]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Walks over bytes from front to back.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

const ENDS_EARLY: Damage = Damage("ends early");

impl<'a> Reader<'a> {
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How far it has come.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        let bytes = self.bytes[self.at..].get(..len).ok_or(ENDS_EARLY)?;
        self.at += len;
        Ok(bytes)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let bytes = self.bytes[self.at..].first_chunk().ok_or(ENDS_EARLY)?;
        self.at += N;
        Ok(*bytes)
    }

    pub fn u8(&mut self) -> Result<u8, Damage> {
        let byte = *self.bytes.get(self.at).ok_or(ENDS_EARLY)?;
        self.at += 1;
        Ok(byte)
    }

    pub fn u32(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn uvarint(&mut self) -> Result<u64, Damage> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                return Err(Damage("a number of more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage("a number of more than 64 bits"))
    }

    pub fn ivarint(&mut self) -> Result<i64, Damage> {
        self.uvarint().map(unzigzag)
    }

    /// A count or length, refused above `max`.
    pub fn count(&mut self, max: usize) -> Result<usize, Damage> {
        match usize::try_from(self.uvarint()?) {
            Ok(count) if count <= max => Ok(count),
            _ => Err(Damage("a count beyond its bound")),
        }
    }

    /// What [`put_text`] wrote.
    pub fn text(&mut self, len_max: usize) -> Result<&'a [u8], Damage> {
        let len = self.count(len_max)?;
        self.take(len)
    }

    /// What [`put_text`] wrote, as UTF-8.
    pub fn str(&mut self, len_max: usize) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.text(len_max)?).map_err(|_| Damage("text that is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_take_the_bytes_promised() {
        for shift in 0..64 {
            for near in [-1i64, 0, 1] {
                let value = (1u64 << shift).wrapping_add_signed(near);
                let mut out = Vec::new();
                put_uvarint(&mut out, value);
                assert_eq!(out.len(), uvarint_len(value));
                put_ivarint(&mut out, value as i64);
                let mut reader = Reader::new(&out);
                assert_eq!(reader.uvarint(), Ok(value));
                assert_eq!(reader.ivarint(), Ok(value as i64));
                assert_eq!(reader.remaining(), 0);
            }
        }
    }

    #[test]
    fn a_number_that_does_not_end_or_does_not_fit_is_refused() {
        assert!(Reader::new(&[0x80; 3]).uvarint().is_err());
        assert!(Reader::new(&[0xff; 11]).uvarint().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).uvarint().is_err());
        assert!(Reader::new(&[5, b'a']).text(10).is_err());
        assert!(Reader::new(&[5, b'a', b'a', b'a', b'a', b'a']).text(4).is_err());
    }
}
