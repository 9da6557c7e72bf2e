//! Codes read back: each is taken apart by the standard's steps in reverse, and its correction must come out whole.

use super::*;

/// What a reader does once it has found the modules.
fn read(code: &QrCode) -> Vec<u8> {
    let number = (code.size - 17) / 4;
    let version = &VERSIONS[number - 1];
    let pattern = Drawing::new(number, version);
    let at = |x: usize, y: usize| code.modules[y * code.size + x];
    let format = (0..15).fold(0, |bits, bit| {
        let (x, y) = match bit {
            0..=5 => (8, bit),
            6 | 7 => (8, bit + 1),
            8 => (7, 8),
            _ => (14 - bit, 8),
        };
        bits | usize::from(at(x, y)) << bit
    }) ^ 0x5412;
    assert_eq!(remainder(format, 0x537, 10), 0, "the format's own code is whole");
    assert_eq!(format >> 13, 0, "correction level M");
    let mask = format >> 10 & 7;

    let mut bits = Vec::new();
    let columns = (0..code.size).rev().filter(|x| *x != 6).collect::<Vec<_>>();
    for (pair, columns) in columns.chunks(2).enumerate() {
        for step in 0..code.size {
            let y = if pair % 2 == 0 { code.size - 1 - step } else { step };
            for &x in columns {
                if !pattern.fixed[y * code.size + x] {
                    bits.push(at(x, y) ^ flips(mask, x, y));
                }
            }
        }
    }
    let bytes: Vec<u8> =
        bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |b, bit| b << 1 | u8::from(*bit))).collect();
    message(&blocks(&bytes, version), number)
}

/// Blocks taken apart again; each with its correction leaves no remainder.
fn blocks(bytes: &[u8], version: &Version) -> Vec<u8> {
    let lengths: Vec<usize> = version.blocks.iter().flat_map(|&(count, length)| vec![length; count]).collect();
    let mut blocks: Vec<Vec<u8>> = vec![Vec::new(); lengths.len()];
    let mut rest = bytes.iter().copied();
    for column in 0..lengths.iter().copied().max().unwrap() {
        for (block, length) in blocks.iter_mut().zip(&lengths) {
            if column < *length {
                block.push(rest.next().unwrap());
            }
        }
    }
    let data = blocks.concat();
    for _ in 0..version.correction {
        for block in &mut blocks {
            block.push(rest.next().unwrap());
        }
    }
    for block in blocks {
        assert!(correction(&block, version.correction).iter().all(|rest| *rest == 0), "a block divides evenly");
    }
    data
}

fn message(data: &[u8], number: usize) -> Vec<u8> {
    let halves: Vec<u8> = data.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
    assert_eq!(halves[0], 0b0100, "byte mode");
    let head = if number < 10 { 2 } else { 4 };
    let length = halves[1..=head].iter().fold(0usize, |n, half| n << 4 | usize::from(*half));
    halves[1 + head..].chunks(2).take(length).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn what_was_written_is_read_back_at_every_length() {
    // The last length of each version, the first of the next, and some between.
    for length in [0, 1, 14, 15, 26, 27, 42, 43, 62, 63, 84, 85, 106, 107, 122, 123, 152, 153, 180, 181, 200, 213] {
        let data: Vec<u8> = (0..length).map(|n| (n * 37 + length) as u8).collect();
        let code = QrCode::encode(&data).unwrap();
        assert_eq!(read(&code), data, "{length} bytes in {} modules", code.size);
    }
}

#[test]
fn the_smallest_version_that_holds_it_is_taken_and_too_much_is_refused() {
    for (bytes, size) in [(0, 21), (14, 21), (15, 25), (26, 25), (27, 29), (180, 53), (181, 57), (213, 57)] {
        assert_eq!(QrCode::encode(&vec![b'a'; bytes]).unwrap().size, size, "{bytes}");
    }
    assert_eq!(QrCode::encode(&[b'a'; 214]), None);
}

#[test]
fn blocks_and_correction_fill_each_version_as_the_standard_counts() {
    let totals = [26, 44, 70, 100, 134, 172, 196, 242, 292, 346];
    for (at, version) in VERSIONS.iter().enumerate() {
        let blocks: usize = version.blocks.iter().map(|(count, _)| count).sum();
        let total = version.data_bytes() + blocks * version.correction;
        assert_eq!(total, totals[at], "version {}", at + 1);
        let free = Drawing::new(at + 1, version).fixed.iter().filter(|fixed| !**fixed).count();
        assert_eq!(free / 8, total, "version {} has room for exactly that", at + 1);
    }
}

#[test]
fn the_correction_of_a_known_block_is_the_known_one() {
    // "HELLO WORLD" in alphanumeric mode at 1-M: the example most texts on the subject work through.
    let block = [32, 91, 11, 120, 209, 114, 220, 77, 67, 64, 236, 17, 236, 17, 236, 17];
    assert_eq!(correction(&block, 10), [196, 35, 39, 119, 235, 215, 231, 226, 93, 23]);
}

#[test]
fn the_path_draws_every_dark_module_once_and_leaves_a_light_border() {
    let code = QrCode::encode(b"otpauth://totp/x").unwrap();
    let mut drawn = 0;
    for part in code.path().split('M').skip(1) {
        let (place, rest) = part.split_once('h').unwrap();
        let (x, y) = place.split_once(' ').unwrap();
        let width: usize = rest.split('v').next().unwrap().parse().unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        assert!(x >= QUIET && y >= QUIET && x + width <= QUIET + code.size && y < QUIET + code.size);
        drawn += width;
    }
    assert_eq!(drawn, code.modules.iter().filter(|dark| **dark).count());
    assert_eq!(code.side(), code.size + 8);
}

#[test]
fn a_wrong_module_makes_a_difference_to_the_reader() {
    let mut code = QrCode::encode(b"a").unwrap();
    let last = code.modules.len() - 1;
    code.modules[last] = !code.modules[last];
    assert!(std::panic::catch_unwind(|| read(&code)).is_err());
}
