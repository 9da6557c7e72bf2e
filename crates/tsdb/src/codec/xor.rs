//! Floats without a decimal form: each as the bits in which it differs from the one before.
//!
//! Bit 0: equal. Bits 10: the differing bits lie in the window used last. Bits 11: five bits of leading zeros, six
//! bits of length less one, then the window.

use crate::codec::Damage;

/// Bits, highest first, into bytes.
struct BitWriter<'o> {
    out: &'o mut Vec<u8>,
    pending: u64,
    bits: u32,
}

impl BitWriter<'_> {
    /// Up to 32 bits.
    fn put_some(&mut self, value: u64, bits: u32) {
        self.pending = self.pending << bits | value;
        self.bits += bits;
        while self.bits >= 8 {
            self.bits -= 8;
            self.out.push((self.pending >> self.bits) as u8);
        }
    }

    fn put(&mut self, value: u64, bits: u32) {
        if bits > 32 {
            self.put_some(value >> 32, bits - 32);
            self.put_some(value & 0xffff_ffff, 32);
        } else {
            self.put_some(value, bits);
        }
    }

    fn finish(self) {
        if self.bits > 0 {
            self.out.push((self.pending << (8 - self.bits)) as u8);
        }
    }
}

struct BitReader<'a> {
    rest: &'a [u8],
    pending: u64,
    bits: u32,
}

impl BitReader<'_> {
    /// Up to 32 bits.
    fn take_some(&mut self, bits: u32) -> Result<u64, Damage> {
        while self.bits < bits {
            let (byte, rest) = self.rest.split_first().ok_or(Damage("bits end early"))?;
            self.pending = self.pending << 8 | u64::from(*byte);
            self.bits += 8;
            self.rest = rest;
        }
        self.bits -= bits;
        let value = self.pending >> self.bits;
        self.pending &= (1 << self.bits) - 1;
        Ok(value)
    }

    fn take(&mut self, bits: u32) -> Result<u64, Damage> {
        if bits > 32 {
            let upper = self.take_some(bits - 32)?;
            return Ok(upper << 32 | self.take_some(32)?);
        }
        self.take_some(bits)
    }
}

/// Appends the bits of at least one value.
pub(super) fn encode(values: &[f64], out: &mut Vec<u8>) {
    let mut writer = BitWriter { out, pending: 0, bits: 0 };
    let mut previous = values[0].to_bits();
    writer.put(previous, 64);
    // No window yet: none that a difference could fit.
    let (mut leading, mut length) = (64, 0);
    for value in &values[1..] {
        let difference = value.to_bits() ^ previous;
        previous = value.to_bits();
        if difference == 0 {
            writer.put(0, 1);
            continue;
        }
        let zeros = difference.leading_zeros().min(31);
        let trailing = difference.trailing_zeros();
        if zeros >= leading && 64 - leading - length <= trailing {
            writer.put(0b10, 2);
        } else {
            (leading, length) = (zeros, 64 - zeros - trailing);
            writer.put(0b11, 2);
            writer.put(u64::from(leading), 5);
            writer.put(u64::from(length - 1), 6);
        }
        writer.put(difference >> (64 - leading - length), length);
    }
    writer.finish();
}

/// Reads what [`encode`] wrote, until `out` is full.
pub(super) fn decode(bytes: &[u8], out: &mut [f64]) -> Result<(), Damage> {
    let mut reader = BitReader { rest: bytes, pending: 0, bits: 0 };
    let Some((first, rest)) = out.split_first_mut() else { return Ok(()) };
    let mut previous = reader.take(64)?;
    *first = f64::from_bits(previous);
    let (mut leading, mut length) = (64, 0);
    for value in rest {
        if reader.take(1)? == 1 {
            if reader.take(1)? == 1 {
                leading = reader.take(5)? as u32;
                length = reader.take(6)? as u32 + 1;
            }
            if length == 0 || leading + length > 64 {
                return Err(Damage("a window outside the value"));
            }
            previous ^= reader.take(length)? << (64 - leading - length);
        }
        *value = f64::from_bits(previous);
    }
    Ok(())
}
