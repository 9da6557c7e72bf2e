//! MD5 (RFC 1321), for `hashmod` alone: the target a shard gets must be the one Prometheus gives it.
//!
//! Promise: for sharding only. It protects nothing and is used for nothing that needs protection.

/// Bits each of the four steps of a round turns left.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The last eight of the sixteen bytes as a big-endian number.
pub(super) fn tail(text: &[u8]) -> u64 {
    let digest = digest(text);
    digest[8..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn digest(text: &[u8]) -> [u8; 16] {
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut blocks = text.chunks_exact(64);
    for block in &mut blocks {
        mix(&mut state, block);
    }
    // What is left, one set bit, zeros, and the length in bits: one block, or two where the length does not fit.
    let rest = blocks.remainder();
    let mut last = [0u8; 128];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    let end = if rest.len() < 56 { 64 } else { 128 };
    last[end - 8..end].copy_from_slice(&(text.len() as u64).wrapping_mul(8).to_le_bytes());
    for block in last[..end].chunks_exact(64) {
        mix(&mut state, block);
    }
    let mut digest = [0u8; 16];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

/// Works one block of 64 bytes into the state.
fn mix(state: &mut [u32; 4], block: &[u8]) {
    let word = |index: usize| {
        let at = index * 4;
        u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
    };
    let [mut a, mut b, mut c, mut d] = *state;
    for step in 0..64 {
        let (mixed, index) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
            2 => (b ^ c ^ d, (3 * step + 5) % 16),
            _ => (c ^ (b | !d), (7 * step) % 16),
        };
        let sum = a.wrapping_add(mixed).wrapping_add(constant(step)).wrapping_add(word(index));
        (a, d, c) = (d, c, b);
        b = b.wrapping_add(sum.rotate_left(TURNS[step / 16][step % 4]));
    }
    for (old, new) in state.iter_mut().zip([a, b, c, d]) {
        *old = old.wrapping_add(new);
    }
}

/// `floor(2^32 · |sin(step + 1)|)`, as the definition has it; made once.
fn constant(step: usize) -> u32 {
    static TABLE: std::sync::LazyLock<[u32; 64]> = std::sync::LazyLock::new(|| {
        std::array::from_fn(|step| ((step as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32)
    });
    TABLE[step]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_of_the_definition_come_out() {
        for (text, hex) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
            // 56 bytes: the length no longer fits the block.
            ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "8215ef0796a20bcaaae116d3876c664a"),
        ] {
            let digest: String = digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, hex, "{text:?}");
        }
    }
}
