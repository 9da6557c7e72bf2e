//! The end of a part: what it holds, its label names, and where each page lies.
//!
//! Written twice, one behind the other, each with length, checksum and magic at its end: one flipped bit must not
//! cost a whole part.

use crate::codec::Damage;
use crate::codec::bytes::{Reader, put_ivarint, put_text, put_uvarint};
use crate::error::TsdbError;
use crate::io::DiskFile;
use crate::part::PART_VERSION;
use crate::part::page::PageTable;
use std::path::Path;

/// The first bytes of a part.
pub(super) const MAGIC: [u8; 8] = *b"WPPART\r\n";
/// The last bytes of each footer.
const END_MAGIC: [u8; 8] = *b"WPPARTFT";
/// Length, checksum, magic.
const END_BYTES: usize = 16;
/// Pages of a part of a terabyte.
const FOOTER_BYTES_MAX: usize = 512 << 20;
/// Where the last footer is damaged, the other is looked for in so many last bytes.
const SEARCH_BYTES_MAX: u64 = 64 << 20;
/// Longer label names are refused long before.
const NAME_BYTES_MAX: usize = 1 << 20;

/// A label name of the part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameEntry {
    pub(super) name: String,
    /// The numbers of its values: `first..first + values`.
    pub(super) first: u32,
    pub(super) values: u32,
    /// Series that have it.
    pub(super) series: u32,
    /// Its postings in their stream.
    pub(super) postings: (u64, u32),
}

/// What a part says about itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Footer {
    pub(super) id: u64,
    pub(super) level: u8,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) series: u32,
    pub(super) samples: u64,
    pub(super) histograms: u64,
    pub(super) clocks: u32,
    pub(super) names: Vec<NameEntry>,
    /// Lists of names (by place) that series have.
    pub(super) shapes: Vec<Vec<u32>>,
    pub(super) pages: PageTable,
}

impl Footer {
    /// Both copies.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut one = Vec::new();
        one.extend_from_slice(&PART_VERSION.to_le_bytes());
        one.extend_from_slice(&self.id.to_le_bytes());
        one.push(self.level);
        put_ivarint(&mut one, self.min);
        put_ivarint(&mut one, self.max);
        put_uvarint(&mut one, u64::from(self.series));
        put_uvarint(&mut one, self.samples);
        put_uvarint(&mut one, self.histograms);
        put_uvarint(&mut one, u64::from(self.clocks));
        put_uvarint(&mut one, self.names.len() as u64);
        for name in &self.names {
            put_text(&mut one, name.name.as_bytes());
            put_uvarint(&mut one, u64::from(name.values));
            put_uvarint(&mut one, u64::from(name.series));
            put_uvarint(&mut one, name.postings.0);
            put_uvarint(&mut one, u64::from(name.postings.1));
        }
        put_uvarint(&mut one, self.shapes.len() as u64);
        for shape in &self.shapes {
            put_uvarint(&mut one, shape.len() as u64);
            for name in shape {
                put_uvarint(&mut one, u64::from(*name));
            }
        }
        self.pages.write(&mut one);
        let (len, crc) = (one.len() as u32, crc32c::crc32c(&one));
        one.extend_from_slice(&len.to_le_bytes());
        one.extend_from_slice(&crc.to_le_bytes());
        one.extend_from_slice(&END_MAGIC);
        [one.as_slice(), one.as_slice()].concat()
    }

    fn read(bytes: &[u8], pages_end: u64) -> Result<Self, Damage> {
        let mut reader = Reader::new(bytes);
        reader.u32()?;
        let id = reader.u64()?;
        let level = reader.u8()?;
        let (min, max) = (reader.ivarint()?, reader.ivarint()?);
        let series = reader.count(u32::MAX as usize)? as u32;
        let (samples, histograms) = (reader.uvarint()?, reader.uvarint()?);
        let clocks = reader.count(u32::MAX as usize)? as u32;
        let names = Self::read_names(&mut reader)?;
        let mut shapes = Vec::new();
        for _ in 0..reader.count(bytes.len())? {
            let len = reader.count(names.len())?;
            let mut shape = Vec::with_capacity(len);
            for _ in 0..len {
                let name = reader.count(names.len())? as u32;
                if name as usize == names.len() || shape.last().is_some_and(|last| *last >= name) {
                    return Err(Damage("label names out of order"));
                }
                shape.push(name);
            }
            shapes.push(shape);
        }
        let pages = PageTable::read(&mut reader, MAGIC.len() as u64, pages_end)?;
        Ok(Self { id, level, min, max, series, samples, histograms, clocks, names, shapes, pages })
    }

    fn read_names(reader: &mut Reader<'_>) -> Result<Vec<NameEntry>, Damage> {
        let mut names: Vec<NameEntry> = Vec::new();
        let mut first = 0u32;
        for _ in 0..reader.count(reader.remaining())? {
            let name = reader.str(NAME_BYTES_MAX)?.to_owned();
            let values = reader.count(u32::MAX as usize)? as u32;
            let series = reader.count(u32::MAX as usize)? as u32;
            let postings = (reader.uvarint()?, reader.count(u32::MAX as usize)? as u32);
            if names.last().is_some_and(|last| last.name >= name) {
                return Err(Damage("label names out of order"));
            }
            names.push(NameEntry { name, first, values, series, postings });
            first = first.checked_add(values).ok_or(Damage("more label values than numbers"))?;
        }
        Ok(names)
    }

    /// Finds and reads a footer that is whole. The flag says whether one of the two was damaged.
    pub(super) fn find(file: &dyn DiskFile, path: &Path) -> Result<(Self, bool), TsdbError> {
        let size = file.size().map_err(TsdbError::io(path))?;
        let mut end = [0; END_BYTES];
        let at_end = match size.checked_sub(END_BYTES as u64) {
            Some(offset) => {
                file.read_at(&mut end, offset).map_err(TsdbError::io(path))?;
                Self::at(file, path, size, &end)?
            }
            None => None,
        };
        if let Some(footer) = at_end {
            // Is the other one whole, too? It ends where this one begins.
            let len = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]])) + END_BYTES as u64;
            let other_end = size.saturating_sub(len);
            let mut other = [0; END_BYTES];
            let whole = other_end >= END_BYTES as u64 && {
                file.read_at(&mut other, other_end - END_BYTES as u64).map_err(TsdbError::io(path))?;
                other == end
            };
            return Ok((footer, !whole));
        }
        let from = size.saturating_sub(SEARCH_BYTES_MAX);
        let mut tail = vec![0; (size - from) as usize];
        file.read_at(&mut tail, from).map_err(TsdbError::io(path))?;
        for at in memchr::memmem::rfind_iter(&tail, &END_MAGIC) {
            let Some(end) = at.checked_sub(END_BYTES - END_MAGIC.len()).and_then(|at| tail[at..].first_chunk()) else {
                continue;
            };
            if let Some(footer) = Self::at(file, path, from + (at + END_MAGIC.len()) as u64, end)? {
                return Ok((footer, true));
            }
        }
        Err(TsdbError::Damaged { path: path.to_owned(), what: "the footer", offset: size, reason: "there is none" })
    }

    /// Reads both copies in full and says whether they are the same.
    pub(super) fn both_whole(file: &dyn DiskFile, path: &Path) -> Result<bool, TsdbError> {
        let size = file.size().map_err(TsdbError::io(path))?;
        let mut end = [0; END_BYTES];
        file.read_at(&mut end, size.saturating_sub(END_BYTES as u64)).map_err(TsdbError::io(path))?;
        let len = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]])) + END_BYTES as u64;
        if len > FOOTER_BYTES_MAX as u64 || len * 2 > size {
            return Ok(false);
        }
        let mut both = vec![0; len as usize * 2];
        file.read_at(&mut both, size - len * 2).map_err(TsdbError::io(path))?;
        let (first, second) = both.split_at(len as usize);
        Ok(first == second && Self::at(file, path, size, &end)?.is_some())
    }

    /// The footer that ends at `end`; `None` where there is none or its checksum differs.
    fn at(file: &dyn DiskFile, path: &Path, end: u64, tail: &[u8; END_BYTES]) -> Result<Option<Self>, TsdbError> {
        let len = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize;
        let crc = u32::from_le_bytes([tail[4], tail[5], tail[6], tail[7]]);
        let begin = end.checked_sub((len + END_BYTES) as u64);
        let (Some(begin), true) = (begin, tail[8..] == END_MAGIC && (4..=FOOTER_BYTES_MAX).contains(&len)) else {
            return Ok(None);
        };
        let mut bytes = vec![0; len];
        file.read_at(&mut bytes, begin).map_err(TsdbError::io(path))?;
        if crc32c::crc32c(&bytes) != crc {
            return Ok(None);
        }
        let version = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if version != PART_VERSION {
            return Err(TsdbError::UnknownVersion { path: path.to_owned(), found: version, expected: PART_VERSION });
        }
        Self::read(&bytes, begin).map(Some).map_err(TsdbError::damaged(path, "the footer", begin))
    }
}
