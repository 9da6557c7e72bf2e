//! Up to where a queue has sent: one small file, written anew as a whole.
//!
//! Promise: what is read was written by us, whole; a file that is damaged or of somebody else is no position, and then
//! the storage decides where to go on. Bytes: docs/formats/remote-position.md.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use model::storage::Position;

const MAGIC: [u8; 4] = *b"WPRQ";
const VERSION: u32 = 1;
/// Magic, version, segment, offset, checksum.
const FILE_BYTES: usize = 28;
const FILE_NAME: &str = "position";

/// Why there is no position.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {reason}, expected a position of {FILE_BYTES} bytes")]
    Damaged { path: PathBuf, reason: &'static str },
}

/// The file of one queue.
#[derive(Clone, Debug)]
pub struct PositionFile {
    folder: PathBuf,
}

impl PositionFile {
    /// The file of a queue below the folder of all queues.
    #[must_use]
    pub fn new(queues: &Path, queue: &str) -> Self {
        Self { folder: queues.join(folder_name(queue)) }
    }

    /// `None` where nothing was written yet.
    pub fn load(&self) -> Result<Option<Position>, PositionError> {
        let path = self.folder.join(FILE_NAME);
        match std::fs::read(&path) {
            Ok(bytes) => match decode(&bytes) {
                Ok(position) => Ok(Some(position)),
                Err(reason) => Err(PositionError::Damaged { path, reason }),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PositionError::Io { path, source }),
        }
    }

    /// On return the disk has it.
    pub fn save(&self, position: Position) -> Result<(), PositionError> {
        let path = self.folder.join(FILE_NAME);
        let failed = |source| PositionError::Io { path: path.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let fresh = self.folder.join("position.new");
        let mut file = std::fs::File::create(&fresh).map_err(failed)?;
        file.write_all(&encode(position)).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&fresh, &path).map_err(failed)?;
        // The new name is on disk once the folder is.
        std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

fn encode(position: Position) -> [u8; FILE_BYTES] {
    let mut bytes = [0; FILE_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..16].copy_from_slice(&position.segment.to_le_bytes());
    bytes[16..24].copy_from_slice(&position.offset.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..24]);
    bytes[24..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<Position, &'static str> {
    let Ok(bytes) = <&[u8; FILE_BYTES]>::try_from(bytes) else { return Err("another length") };
    let u32_at = |at: usize| bytes[at..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
    let u64_at = |at: usize| bytes[at..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
    if bytes[..4] != MAGIC {
        return Err("another kind of file");
    }
    if u32_at(24) != crc32c::crc32c(&bytes[..24]) {
        return Err("a wrong checksum");
    }
    if u32_at(4) != VERSION {
        return Err("another version");
    }
    Ok(Position { segment: u64_at(8), offset: u64_at(16) })
}

/// A name that is a folder on every system, and another one for every queue: what is not a letter, digit, `-` or `_`
/// is written as its bytes.
fn folder_name(queue: &str) -> String {
    let mut name = String::new();
    for byte in queue.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use ::tests::folder::Folder;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex");
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn the_example_of_the_format_page_decodes() {
        let page = include_str!("../../../../docs/formats/remote-position.md");
        let example = page.split("```hex\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let bytes = hex(example);
        assert_eq!(decode(&bytes), Ok(Position { segment: 7, offset: 4096 }));
        assert_eq!(encode(Position { segment: 7, offset: 4096 }).as_slice(), bytes);
    }

    #[test]
    fn a_file_with_any_bit_changed_or_byte_missing_is_no_position() {
        let good = encode(Position { segment: 1, offset: 2 });
        for bit in 0..FILE_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
        }
        for len in 0..FILE_BYTES {
            assert_eq!(decode(&good[..len]), Err("another length"));
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_nothing_is_no_error() {
        let folder = Folder::new("remote-position");
        let file = PositionFile::new(folder.path(), "a/../b");
        assert_eq!(file.load().expect("there is nothing"), None);
        for offset in [1, 2] {
            let position = Position { segment: 3, offset };
            file.save(position).expect("the folder is ours");
            assert_eq!(file.load().expect("it is whole"), Some(position));
        }
        std::fs::write(folder.path().join("a%2F%2E%2E%2Fb/position"), "x").expect("the folder is ours");
        assert!(file.load().expect_err("it is damaged").to_string().contains("another length"));
    }
}
