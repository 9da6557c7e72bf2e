//! How many bytes Prometheus's XOR chunks would take: counted bit by bit, not written.
//!
//! 120 samples to a chunk, and what a block's chunk file adds to each: length, encoding, checksum, count.

const SAMPLES_OF_CHUNK: u32 = 120;
/// Length 2, encoding 1, count 2, checksum 4.
const CHUNK_BYTES: u64 = 9;

/// The open chunk of one series.
#[derive(Clone, Default)]
pub(crate) struct Xor {
    samples: u32,
    time: i64,
    delta: i64,
    value: u64,
    leading: u32,
    trailing: u32,
    bits: u64,
    closed_bytes: u64,
}

impl Xor {
    pub(crate) fn add(&mut self, time: i64, value: f64) {
        if self.samples == SAMPLES_OF_CHUNK {
            *self = Self { closed_bytes: self.bytes(), ..Self::default() };
        }
        let bits = value.to_bits();
        match self.samples {
            0 => self.bits = varint_bits(time.unsigned_abs() << 1) + 64,
            1 => {
                self.delta = time - self.time;
                self.bits += varint_bits(self.delta.unsigned_abs());
                self.add_value(bits);
            }
            _ => {
                let delta = time - self.time;
                self.bits += match delta - self.delta {
                    0 => 1,
                    -8_191..=8_192 => 2 + 14,
                    -65_535..=65_536 => 3 + 17,
                    -524_287..=524_288 => 4 + 20,
                    _ => 4 + 64,
                };
                self.delta = delta;
                self.add_value(bits);
            }
        }
        self.time = time;
        self.value = bits;
        self.samples += 1;
    }

    fn add_value(&mut self, bits: u64) {
        let xor = bits ^ self.value;
        if xor == 0 {
            self.bits += 1;
            return;
        }
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        let known = self.leading + self.trailing > 0;
        if known && leading >= self.leading && trailing >= self.trailing {
            self.bits += u64::from(2 + 64 - self.leading - self.trailing);
        } else {
            (self.leading, self.trailing) = (leading, trailing);
            self.bits += u64::from(2 + 5 + 6 + 64 - leading - trailing);
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.closed_bytes + if self.samples > 0 { self.bits.div_ceil(8) + CHUNK_BYTES } else { 0 }
    }
}

fn varint_bits(value: u64) -> u64 {
    u64::from((64 - value.leading_zeros()).max(1).div_ceil(7)) * 8
}
