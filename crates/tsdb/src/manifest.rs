//! Which parts make up the database, and what else must survive: a small file that is replaced as a whole.
//!
//! Promises: after a crash the old or the new one is there. A damaged one costs nothing but work: every part that is
//! found is taken up again. The version record (`FORMAT`) is apart: if it is damaged the parts prove whose data this
//! is and it is written anew; a version this program does not know is refused and nothing is touched.
//! Bytes on disk: docs/formats/version.md, docs/formats/manifest.md.

use std::collections::BTreeMap;
use std::path::Path;

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher, matches_all};
use model::storage::{Position, TimeRange};
use model::time::Timestamp;

use crate::codec::Damage;
use crate::codec::bytes::{Reader, put_ivarint, put_text, put_uvarint};
use crate::db::Paths;
use crate::error::TsdbError;
use crate::io::{self, Disk};
use crate::parts::part_path;

const FORMAT_MAGIC: [u8; 8] = *b"WPTSDB\r\n";
/// The version of the whole folder. A program that finds another one leaves the folder alone.
pub const FORMAT_VERSION: u32 = 1;
const FORMAT_BYTES: usize = 16;
const MANIFEST_MAGIC: [u8; 8] = *b"WPTSMAN1";
/// A longer one is damage.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
const ENTRIES_MAX: usize = 1 << 20;
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A part, by the number in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartEntry {
    pub(crate) number: u64,
    /// Of two samples with the same time the one from the part with the lower order was accepted first.
    pub(crate) order: u64,
}

/// An instance of a window whose samples are in a part: replay and checkpoints must not bring them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) instance: u32,
    pub(crate) start: i64,
    pub(crate) last: i64,
    /// Records up to this one are in the part, as far as their samples lie in the window.
    pub(crate) cut_seq: u64,
    /// The last record when the part became visible.
    pub(crate) published_seq: u64,
}

/// Samples that are deleted, though they may still stand in parts.
#[derive(Clone, Debug)]
pub(crate) struct Tombstone {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) range: TimeRange,
    /// Only parts with a lower number may hold deleted samples.
    pub(crate) below: u64,
}

impl Tombstone {
    /// The range deleted of a series in a part.
    pub(crate) fn cuts(&self, part: u64, labels: &Labels) -> Option<TimeRange> {
        (part < self.below && matches_all(&self.matchers, labels)).then_some(self.range)
    }
}

/// What the manifest says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manifest {
    pub(crate) parts: Vec<PartEntry>,
    pub(crate) next_part: u64,
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) tombstones: Vec<Tombstone>,
    /// What each reader of the tail has released.
    pub(crate) tails: BTreeMap<String, Position>,
    /// Parts that were written and could not be made known. Not on disk: a start finds them by itself.
    pub(crate) leftovers: Vec<u64>,
}

/// What was found where the manifest should be.
#[derive(Debug)]
pub(crate) enum Loaded {
    Whole(Manifest),
    Missing,
    Damaged(&'static str),
}

/// Reads the version record. `Ok(false)` if there is none or it is damaged.
pub(crate) fn check_format(disk: &dyn Disk, path: &Path) -> Result<bool, TsdbError> {
    let Ok(bytes) = io::read_all(disk, path, 4096) else { return Ok(false) };
    if bytes.len() != FORMAT_BYTES || bytes[..8] != FORMAT_MAGIC {
        return Ok(false);
    }
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if crc32c::crc32c(&bytes[..12]) != word(12) {
        return Ok(false);
    }
    if word(8) == FORMAT_VERSION {
        Ok(true)
    } else {
        Err(TsdbError::UnknownVersion { path: path.to_owned(), found: word(8), expected: FORMAT_VERSION })
    }
}

/// The bytes of the version record.
#[must_use]
pub fn format_record(version: u32) -> [u8; FORMAT_BYTES] {
    let mut bytes = [0; FORMAT_BYTES];
    bytes[..8].copy_from_slice(&FORMAT_MAGIC);
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

impl Manifest {
    pub(crate) fn load(disk: &dyn Disk, path: &Path) -> Loaded {
        match io::insist(|| disk.exists(path)) {
            Ok(true) => {}
            Ok(false) => return Loaded::Missing,
            Err(_) => return Loaded::Damaged("cannot be looked for"),
        }
        // More than once, because forgetting deletions is too high a price for a passing fault.
        let read = io::insist(|| io::read_all(disk, path, MANIFEST_BYTES_MAX));
        let Ok(bytes) = read else { return Loaded::Damaged("cannot be read") };
        match Self::decode(&bytes) {
            Ok(manifest) => Loaded::Whole(manifest),
            Err(damage) => Loaded::Damaged(damage.0),
        }
    }

    pub(crate) fn store(&self, disk: &dyn Disk, path: &Path) -> Result<(), TsdbError> {
        io::replace_file(disk, path, &self.encode()).map_err(TsdbError::io(path))
    }

    /// Replaces the manifest, on disk and here. `part` is the part that the new one names first.
    ///
    /// After a failure either of the two may be found at the next start (a rename is seen before it is durable), so
    /// what the new one names stays, under a number that nothing else gets, until a later manifest is durable.
    pub(crate) fn commit(
        &mut self,
        disk: &dyn Disk,
        paths: &Paths,
        changed: Self,
        part: Option<u64>,
    ) -> Result<(), TsdbError> {
        if let Err(error) = changed.store(disk, &paths.manifest) {
            self.leftovers.extend(part);
            self.next_part = self.next_part.max(part.map_or(0, |number| number + 1));
            return Err(error);
        }
        *self = changed;
        for number in std::mem::take(&mut self.leftovers) {
            // A start removes what cannot be removed now.
            let _ = disk.remove(&part_path(&paths.parts, number));
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_uvarint(&mut body, self.next_part);
        put_uvarint(&mut body, self.parts.len() as u64);
        for part in &self.parts {
            put_uvarint(&mut body, part.number);
            put_uvarint(&mut body, part.order);
        }
        put_uvarint(&mut body, self.sealed.len() as u64);
        for sealed in &self.sealed {
            put_uvarint(&mut body, u64::from(sealed.instance));
            put_ivarint(&mut body, sealed.start);
            put_ivarint(&mut body, sealed.last);
            put_uvarint(&mut body, sealed.cut_seq);
            put_uvarint(&mut body, sealed.published_seq);
        }
        put_uvarint(&mut body, self.tombstones.len() as u64);
        for tombstone in &self.tombstones {
            put_ivarint(&mut body, tombstone.range.start.millis());
            put_ivarint(&mut body, tombstone.range.end.millis());
            put_uvarint(&mut body, tombstone.below);
            put_uvarint(&mut body, tombstone.matchers.len() as u64);
            for matcher in &tombstone.matchers {
                body.push(match matcher.op {
                    MatchOp::Equal => 0,
                    MatchOp::NotEqual => 1,
                    MatchOp::Regex => 2,
                    MatchOp::NotRegex => 3,
                });
                put_text(&mut body, matcher.name.as_bytes());
                put_text(&mut body, matcher.value.as_bytes());
            }
        }
        put_uvarint(&mut body, self.tails.len() as u64);
        for (reader, position) in &self.tails {
            put_text(&mut body, reader.as_bytes());
            put_uvarint(&mut body, position.segment);
            put_uvarint(&mut body, position.offset);
        }
        let mut bytes = MANIFEST_MAGIC.to_vec();
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut input = Reader::new(bytes);
        if input.array()? != MANIFEST_MAGIC {
            return Err(Damage("not a manifest"));
        }
        let crc = input.u32()?;
        if crc32c::crc32c(&bytes[input.position()..]) != crc {
            return Err(Damage("the checksum differs"));
        }
        let mut manifest = Self { next_part: input.uvarint()?, ..Self::default() };
        for _ in 0..input.count(ENTRIES_MAX)? {
            manifest.parts.push(PartEntry { number: input.uvarint()?, order: input.uvarint()? });
        }
        for _ in 0..input.count(ENTRIES_MAX)? {
            manifest.sealed.push(Sealed {
                instance: u32::try_from(input.uvarint()?).map_err(|_| Damage("an instance is out of range"))?,
                start: input.ivarint()?,
                last: input.ivarint()?,
                cut_seq: input.uvarint()?,
                published_seq: input.uvarint()?,
            });
        }
        for _ in 0..input.count(ENTRIES_MAX)? {
            manifest.tombstones.push(take_tombstone(&mut input)?);
        }
        for _ in 0..input.count(ENTRIES_MAX)? {
            let reader = input.str(TEXT_BYTES_MAX)?.to_owned();
            manifest.tails.insert(reader, Position { segment: input.uvarint()?, offset: input.uvarint()? });
        }
        Ok(manifest)
    }
}

fn take_tombstone(input: &mut Reader<'_>) -> Result<Tombstone, Damage> {
    let range = TimeRange::new(Timestamp(input.ivarint()?), Timestamp(input.ivarint()?));
    let below = input.uvarint()?;
    let mut matchers = Vec::new();
    for _ in 0..input.count(ENTRIES_MAX)? {
        let op = match input.u8()? {
            0 => MatchOp::Equal,
            1 => MatchOp::NotEqual,
            2 => MatchOp::Regex,
            3 => MatchOp::NotRegex,
            _ => return Err(Damage("an operator that is not known")),
        };
        let (name, value) = (input.str(TEXT_BYTES_MAX)?, input.str(TEXT_BYTES_MAX)?);
        matchers.push(Matcher::new(name, op, value).map_err(|_| Damage("a pattern that does not compile"))?);
    }
    Ok(Tombstone { matchers, range, below })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::FaultyDisk;

    fn example() -> Manifest {
        let matchers = vec![
            Matcher::equal("job", "a"),
            Matcher::new("é", MatchOp::NotRegex, "x|y").expect("the pattern compiles"),
        ];
        Manifest {
            parts: vec![PartEntry { number: 3, order: 1 }, PartEntry { number: 9, order: 9 }],
            next_part: 10,
            sealed: vec![Sealed { instance: 4, start: -7_200_000, last: -1, cut_seq: 99, published_seq: 101 }],
            tombstones: vec![Tombstone { matchers, range: TimeRange::ALL, below: 4 }],
            tails: [("remote".to_owned(), Position { segment: 2, offset: 77 })].into(),
            leftovers: Vec::new(),
        }
    }

    #[test]
    fn a_manifest_comes_back_whole_or_is_called_damaged() {
        let disk = FaultyDisk::new(1);
        let path = Path::new("MANIFEST");
        assert!(matches!(Manifest::load(&disk, path), Loaded::Missing));
        example().store(&disk, path).expect("the disk is good");
        let Loaded::Whole(read) = Manifest::load(&disk, path) else { unreachable!("it was just written") };
        assert_eq!(format!("{read:?}"), format!("{:?}", example()));
        let bytes = disk.read_file(path);
        for byte in 0..bytes.len() {
            disk.flip_bit(path, byte as u64, 5);
            assert!(matches!(Manifest::load(&disk, path), Loaded::Damaged(_)), "byte {byte}");
            disk.write_file(path, &bytes);
            disk.truncate_file(path, byte as u64);
            assert!(matches!(Manifest::load(&disk, path), Loaded::Damaged(_)), "cut at {byte}");
            disk.write_file(path, &bytes);
        }
    }

    #[test]
    fn only_a_valid_record_of_another_version_is_refused() {
        let disk = FaultyDisk::new(1);
        let path = Path::new("FORMAT");
        assert!(!check_format(&disk, path).expect("none is no error"));
        disk.write_file(path, &format_record(FORMAT_VERSION));
        assert!(check_format(&disk, path).expect("it is ours"));
        disk.flip_bit(path, 8, 1);
        assert!(!check_format(&disk, path).expect("damage is no error"));
        disk.write_file(path, &format_record(FORMAT_VERSION + 1));
        assert!(matches!(check_format(&disk, path), Err(TsdbError::UnknownVersion { found: 2, .. })));
    }
}
