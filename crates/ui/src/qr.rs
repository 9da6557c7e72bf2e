//! QR codes: bytes to a square of dark and light modules, and that square to the path of an SVG.
//!
//! Byte mode, error correction M, versions 1 to 10: up to 213 bytes, twice what an `otpauth://` address needs. What is
//! longer is refused, because a larger code is hard to scan off a screen. After ISO/IEC 18004.

use std::fmt::Write as _;

/// How one version is cut into blocks at error correction M.
struct Version {
    /// Correction bytes of each block.
    correction: usize,
    /// `(blocks, data bytes of each)`; the longer blocks come last.
    blocks: [(usize, usize); 2],
    /// Rows and columns where alignment patterns have their centres.
    centres: &'static [usize],
}

const fn version(correction: usize, blocks: [(usize, usize); 2], centres: &'static [usize]) -> Version {
    Version { correction, blocks, centres }
}

/// Versions 1 to 10.
const VERSIONS: [Version; 10] = [
    version(10, [(1, 16), (0, 0)], &[]),
    version(16, [(1, 28), (0, 0)], &[6, 18]),
    version(26, [(1, 44), (0, 0)], &[6, 22]),
    version(18, [(2, 32), (0, 0)], &[6, 26]),
    version(24, [(2, 43), (0, 0)], &[6, 30]),
    version(16, [(4, 27), (0, 0)], &[6, 34]),
    version(18, [(4, 31), (0, 0)], &[6, 22, 38]),
    version(22, [(2, 38), (2, 39)], &[6, 24, 42]),
    version(22, [(3, 36), (2, 37)], &[6, 26, 46]),
    version(26, [(4, 43), (1, 44)], &[6, 28, 50]),
];

/// Light modules around the code, without which readers do not find it.
const QUIET: usize = 4;

impl Version {
    fn data_bytes(&self) -> usize {
        self.blocks.iter().map(|(count, bytes)| count * bytes).sum()
    }
}

/// A finished code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QrCode {
    size: usize,
    /// Row by row; true is dark.
    modules: Vec<bool>,
}

impl QrCode {
    /// The smallest code that holds `data`; none beyond 213 bytes.
    #[must_use]
    pub fn encode(data: &[u8]) -> Option<Self> {
        let number = (1..=VERSIONS.len()).find(|&number| {
            let head = if number < 10 { 2 } else { 3 };
            data.len() + head <= VERSIONS[number - 1].data_bytes()
        })?;
        let version = &VERSIONS[number - 1];
        let stream = interleaved(&padded(data, number, version.data_bytes()), version);
        let mut drawing = Drawing::new(number, version);
        drawing.write(&stream);
        let masked = (0..8).map(|mask| drawing.masked(mask));
        let modules = masked.min_by_key(|modules| penalty(modules, drawing.size))?;
        Some(Self { size: drawing.size, modules })
    }

    /// Width and height of the drawing in modules, with the light border.
    #[must_use]
    pub fn side(&self) -> usize {
        self.size + 2 * QUIET
    }

    /// The dark modules as path data: one rectangle for each run in a row.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for (y, row) in self.modules.chunks(self.size).enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                if run[0] {
                    let _infallible = write!(path, "M{} {}h{}v1h-{}z", x + QUIET, y + QUIET, run.len(), run.len());
                }
                x += run.len();
            }
        }
        path
    }
}

/// Mode, length and data as bytes, filled up to what the version holds.
fn padded(data: &[u8], number: usize, bytes: usize) -> Vec<u8> {
    // Four bits of mode move everything by half a byte.
    let length: Vec<u8> = if number < 10 { vec![data.len() as u8] } else { (data.len() as u16).to_be_bytes().to_vec() };
    let mut halves = vec![0b0100];
    halves.extend(length.iter().chain(data).flat_map(|byte| [byte >> 4, byte & 15]));
    // The terminator of four zero bits: there is always room, as the head was counted in whole bytes.
    halves.push(0);
    let mut padded: Vec<u8> = halves.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    padded.extend([0xEC, 0x11].into_iter().cycle().take(bytes.saturating_sub(padded.len())));
    padded
}

/// Data in blocks with their correction, written column by column: a stain then hurts each block a little.
fn interleaved(data: &[u8], version: &Version) -> Vec<u8> {
    let mut blocks: Vec<&[u8]> = Vec::new();
    let mut rest = data;
    for &(count, bytes) in &version.blocks {
        for _ in 0..count {
            let (block, after) = rest.split_at(bytes);
            blocks.push(block);
            rest = after;
        }
    }
    let corrections: Vec<Vec<u8>> = blocks.iter().map(|block| correction(block, version.correction)).collect();
    let longest = blocks.iter().map(|block| block.len()).max().unwrap_or(0);
    let columns = (0..longest).flat_map(|at| blocks.iter().filter_map(move |block| block.get(at).copied()));
    let mut stream: Vec<u8> = columns.collect();
    stream.extend((0..version.correction).flat_map(|at| corrections.iter().map(move |bytes| bytes[at])));
    stream
}

/// The remainder of Reed and Solomon over GF(256), polynomial 0x11D.
fn correction(block: &[u8], bytes: usize) -> Vec<u8> {
    let mut generator = vec![0u8; bytes];
    generator[bytes - 1] = 1;
    let mut root = 1u8;
    for _ in 0..bytes {
        for at in 0..bytes {
            generator[at] = product(generator[at], root) ^ generator.get(at + 1).copied().unwrap_or(0);
        }
        root = product(root, 2);
    }
    let mut remainder = vec![0u8; bytes];
    for byte in block {
        let factor = byte ^ remainder[0];
        remainder.rotate_left(1);
        remainder[bytes - 1] = 0;
        for (rest, coefficient) in remainder.iter_mut().zip(&generator) {
            *rest ^= product(*coefficient, factor);
        }
    }
    remainder
}

/// Multiplication in GF(256).
fn product(a: u8, b: u8) -> u8 {
    (0..8).rev().fold(0u8, |sum, bit| {
        let doubled = (sum << 1) ^ (if sum & 0x80 == 0 { 0 } else { 0x1D });
        if b >> bit & 1 == 1 { doubled ^ a } else { doubled }
    })
}

/// A code being drawn: modules, and which of them are patterns that data and masks leave alone.
struct Drawing {
    size: usize,
    modules: Vec<bool>,
    fixed: Vec<bool>,
}

impl Drawing {
    fn new(number: usize, version: &Version) -> Self {
        let size = 17 + 4 * number;
        let mut drawing = Self { size, modules: vec![false; size * size], fixed: vec![false; size * size] };
        for at in 0..size {
            drawing.fix(6, at, at % 2 == 0);
            drawing.fix(at, 6, at % 2 == 0);
        }
        for (x, y) in [(3, 3), (size - 4, 3), (3, size - 4)] {
            drawing.square(x, y, 4);
        }
        let last = version.centres.len().saturating_sub(1);
        for (i, &x) in version.centres.iter().enumerate() {
            for (j, &y) in version.centres.iter().enumerate() {
                // Three corners hold the large squares already.
                if (i, j) != (0, 0) && (i, j) != (0, last) && (i, j) != (last, 0) {
                    drawing.square(x, y, 2);
                }
            }
        }
        drawing.format(0);
        if number >= 7 {
            drawing.version(number);
        }
        drawing
    }

    fn fix(&mut self, x: usize, y: usize, dark: bool) {
        self.modules[y * self.size + x] = dark;
        self.fixed[y * self.size + x] = true;
    }

    /// Rings around a centre: 4 for the corners with their light border, 2 for alignment.
    fn square(&mut self, x: usize, y: usize, reach: usize) {
        let light = if reach == 4 { [2, 4] } else { [1, 1] };
        for row in y.saturating_sub(reach)..=(y + reach).min(self.size - 1) {
            for column in x.saturating_sub(reach)..=(x + reach).min(self.size - 1) {
                let ring = row.abs_diff(y).max(column.abs_diff(x));
                self.fix(column, row, !light.contains(&ring));
            }
        }
    }

    /// Correction level and mask, twice, with a code of their own.
    fn format(&mut self, mask: usize) {
        // Level M is 00, so that the five bits are those of the mask.
        let bits = (mask << 10 | remainder(mask << 10, 0x537, 10)) ^ 0x5412;
        let dark = |bit: usize| bits >> bit & 1 == 1;
        let far = self.size - 1;
        for bit in 0..15 {
            let (x, y) = match bit {
                0..=5 => (8, bit),
                6 | 7 => (8, bit + 1),
                8 => (7, 8),
                _ => (14 - bit, 8),
            };
            self.fix(x, y, dark(bit));
            let (x, y) = if bit < 8 { (far - bit, 8) } else { (8, far - 14 + bit) };
            self.fix(x, y, dark(bit));
        }
        self.fix(8, far - 7, true);
    }

    fn version(&mut self, number: usize) {
        let bits = number << 12 | remainder(number << 12, 0x1F25, 12);
        for bit in 0..18 {
            let (near, far) = (bit / 3, self.size - 11 + bit % 3);
            self.fix(far, near, bits >> bit & 1 == 1);
            self.fix(near, far, bits >> bit & 1 == 1);
        }
    }

    /// Data in pairs of columns from the right, up and down in turn, past the column of the timing pattern.
    fn write(&mut self, stream: &[u8]) {
        let mut bits = stream.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
        let mut right = self.size - 1;
        let mut upwards = true;
        loop {
            for step in 0..self.size {
                let y = if upwards { self.size - 1 - step } else { step };
                for x in [right, right - 1] {
                    if !self.fixed[y * self.size + x] {
                        self.modules[y * self.size + x] = bits.next().unwrap_or(false);
                    }
                }
            }
            upwards = !upwards;
            right = match right {
                0..=2 => return,
                // The vertical timing pattern is no column of data.
                8 => 5,
                _ => right - 2,
            };
        }
    }

    fn masked(&self, mask: usize) -> Vec<bool> {
        let mut copy = Self { size: self.size, modules: self.modules.clone(), fixed: self.fixed.clone() };
        copy.format(mask);
        for (at, module) in copy.modules.iter_mut().enumerate().filter(|(at, _)| !self.fixed[*at]) {
            *module ^= flips(mask, at % self.size, at / self.size);
        }
        copy.modules
    }
}

/// The remainder of a division of polynomials over bits.
fn remainder(value: usize, divisor: usize, degree: usize) -> usize {
    let mut rest = value;
    for bit in (degree..usize::BITS as usize).rev() {
        if rest >> bit & 1 == 1 {
            rest ^= divisor << (bit - degree);
        }
    }
    rest
}

fn flips(mask: usize, x: usize, y: usize) -> bool {
    0 == match mask {
        0 => (x + y) % 2,
        1 => y % 2,
        2 => x % 3,
        3 => (x + y) % 3,
        4 => (x / 3 + y / 2) % 2,
        5 => x * y % 2 + x * y % 3,
        6 => (x * y % 2 + x * y % 3) % 2,
        _ => ((x + y) % 2 + x * y % 3) % 2,
    }
}

/// How hard a code is to read: long runs, blocks, what looks like a corner, and too much of one colour.
fn penalty(modules: &[bool], size: usize) -> usize {
    let at = |x: usize, y: usize| modules[y * size + x];
    let rows = (0..size).map(|y| (0..size).map(|x| at(x, y)).collect::<Vec<_>>());
    let columns = (0..size).map(|x| (0..size).map(|y| at(x, y)).collect::<Vec<_>>());
    let lines: usize = rows.chain(columns).map(|line| line_penalty(&line)).sum();
    let squares = (1..size).flat_map(|y| (1..size).map(move |x| (x, y)));
    let squares = squares.filter(|&(x, y)| {
        let corner = at(x, y);
        at(x - 1, y) == corner && at(x, y - 1) == corner && at(x - 1, y - 1) == corner
    });
    let dark = modules.iter().filter(|dark| **dark).count() * 20;
    let unbalanced = dark.abs_diff(modules.len() * 10) / modules.len();
    lines + 3 * squares.count() + 10 * unbalanced
}

fn line_penalty(line: &[bool]) -> usize {
    const CORNER: [bool; 11] = [true, false, true, true, true, false, true, false, false, false, false];
    let runs = line.chunk_by(|a, b| a == b).filter(|run| run.len() >= 5).map(|run| run.len() - 2);
    let corners = line.windows(CORNER.len()).filter(|part| part.iter().eq(&CORNER) || part.iter().rev().eq(&CORNER));
    runs.sum::<usize>() + 40 * corners.count()
}

#[cfg(test)]
mod tests;
