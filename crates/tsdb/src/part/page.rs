//! Pages: the pieces of a part that are checked and lost as one.
//!
//! A page is read whole with one `pread`, its CRC32C compared, and kept in a cache shared by all parts. Bytes whose
//! checksum differs are never handed out.
//! Not here: what is in a page.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec::Damage;
use crate::codec::bytes::{Reader, put_uvarint};
use crate::error::TsdbError;
use crate::io::DiskFile;

/// A page is closed when it holds this much: what one bad sector may cost, and what one look-up reads.
pub(super) const PAGE_BYTES_TARGET: usize = 64 << 10;
/// Pages of tables are smaller: a damaged one costs the series in it.
pub(super) const TABLE_PAGE_BYTES: usize = 8 << 10;
/// No page is longer: a block of very wide histograms has the whole of its page for itself.
pub(super) const PAGE_BYTES_MAX: usize = 512 << 20;

/// What a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum PageKind {
    /// Blocks of samples.
    Values = 1,
    /// Times of clocks.
    Clocks = 2,
    /// Which clock lies where.
    ClockTable = 3,
    /// Which series lies where.
    Series = 4,
    /// Values of labels.
    Symbols = 5,
    /// Labels of series.
    Tuples = 6,
    /// Series of label values.
    Postings = 7,
    Exemplars = 8,
    Metadata = 9,
}

impl PageKind {
    pub(super) const ALL: [Self; 9] = [
        Self::Values,
        Self::Clocks,
        Self::ClockTable,
        Self::Series,
        Self::Symbols,
        Self::Tuples,
        Self::Postings,
        Self::Exemplars,
        Self::Metadata,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Values => "a page of values",
            Self::Clocks => "a page of clocks",
            Self::ClockTable => "the clock table",
            Self::Series => "a page of the series directory",
            Self::Symbols => "a page of label values",
            Self::Tuples => "a page of series labels",
            Self::Postings => "a page of postings",
            Self::Exemplars => "a page of exemplars",
            Self::Metadata => "a page of metadata",
        }
    }

    fn from_byte(byte: u8) -> Result<Self, Damage> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte).ok_or(Damage("an unknown kind of page"))
    }
}

/// Where a page lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageEntry {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) crc: u32,
    /// What the kind needs to find things: the first id in it, or the row at which it begins.
    pub(super) key: u64,
    /// Bytes of this kind before it.
    pub(super) stream: u64,
}

/// All pages, by kind, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct PageTable {
    kinds: [Vec<PageEntry>; PageKind::ALL.len()],
}

impl PageTable {
    pub(super) fn of(&self, kind: PageKind) -> &[PageEntry] {
        &self.kinds[kind as usize - 1]
    }

    pub(super) fn push(&mut self, kind: PageKind, mut entry: PageEntry) {
        let pages = &mut self.kinds[kind as usize - 1];
        entry.stream = pages.last().map_or(0, |last| last.stream + u64::from(last.bytes));
        pages.push(entry);
    }

    /// In the order of the file, so that offsets follow from lengths.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut pages: Vec<(PageKind, PageEntry)> = Vec::new();
        for kind in PageKind::ALL {
            pages.extend(self.of(kind).iter().map(|page| (kind, *page)));
        }
        pages.sort_unstable_by_key(|(_, page)| page.offset);
        put_uvarint(out, pages.len() as u64);
        for (kind, page) in pages {
            out.push(kind as u8);
            put_uvarint(out, u64::from(page.bytes));
            out.extend_from_slice(&page.crc.to_le_bytes());
            put_uvarint(out, page.key);
        }
    }

    /// Reads what [`PageTable::write`] wrote; the first page begins at `offset`, all end before `end`.
    pub(super) fn read(reader: &mut Reader<'_>, mut offset: u64, end: u64) -> Result<Self, Damage> {
        let mut table = Self::default();
        // Kind, length, checksum and key take at least seven bytes.
        let count = reader.count(reader.remaining() / 7)?;
        for _ in 0..count {
            let kind = PageKind::from_byte(reader.u8()?)?;
            let bytes = reader.count(PAGE_BYTES_MAX)? as u32;
            let (crc, key) = (reader.u32()?, reader.uvarint()?);
            if table.of(kind).last().is_some_and(|last| last.key > key && kind != PageKind::Values) {
                return Err(Damage("pages out of order"));
            }
            table.push(kind, PageEntry { offset, bytes, crc, key, stream: 0 });
            offset += u64::from(bytes);
            if offset > end {
                return Err(Damage("pages beyond the end of the file"));
            }
        }
        Ok(table)
    }
}

/// Checked pages of all parts, up to a number of bytes; the oldest that was not used again goes first.
#[derive(Clone, Debug)]
pub struct PageCache {
    shards: Arc<[Mutex<Shard>]>,
    bytes_max: usize,
}

/// The number of the next part that is opened. One row for the whole process, since a reader's buffers may serve
/// parts of different caches.
static NEXT_PART: AtomicU64 = AtomicU64::new(0);

/// So that workers of a query seldom meet.
const SHARDS: usize = 16;

#[derive(Debug, Default)]
struct Shard {
    pages: HashMap<(u64, u32), Cached>,
    order: VecDeque<(u64, u32)>,
    bytes: usize,
}

#[derive(Debug)]
struct Cached {
    page: Arc<[u8]>,
    used: bool,
}

impl PageCache {
    /// A cache that holds at most about `bytes_max`.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, bytes_max }
    }

    /// Bytes held now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).bytes).sum()
    }

    fn shard(&self, key: (u64, u32)) -> std::sync::MutexGuard<'_, Shard> {
        let at = (key.0.wrapping_mul(31).wrapping_add(u64::from(key.1))) as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: (u64, u32)) -> Option<Arc<[u8]>> {
        let mut shard = self.shard(key);
        let cached = shard.pages.get_mut(&key)?;
        cached.used = true;
        Some(Arc::clone(&cached.page))
    }

    fn put(&self, key: (u64, u32), page: Arc<[u8]>) {
        let room = self.bytes_max / SHARDS;
        let mut shard = self.shard(key);
        shard.bytes += page.len();
        if let Some(old) = shard.pages.insert(key, Cached { page, used: false }) {
            // Two readers missed at once; the place in the order is there already.
            shard.bytes -= old.page.len();
        } else {
            shard.order.push_back(key);
        }
        while shard.bytes > room && shard.order.len() > 1 {
            let Some(oldest) = shard.order.pop_front() else { break };
            match shard.pages.get_mut(&oldest) {
                Some(cached) if cached.used => {
                    cached.used = false;
                    shard.order.push_back(oldest);
                }
                Some(_) => {
                    let gone = shard.pages.remove(&oldest);
                    shard.bytes -= gone.map_or(0, |gone| gone.page.len());
                }
                None => {}
            }
        }
    }
}

/// A number that no other open part has.
pub(super) fn next_part() -> u64 {
    NEXT_PART.fetch_add(1, Ordering::Relaxed)
}

/// The pages of one file.
#[derive(Debug)]
pub(super) struct PageFile {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) table: PageTable,
    pub(super) cache: PageCache,
    /// This part's number in the cache.
    pub(super) part: u64,
}

impl PageFile {
    /// A checked page.
    pub(super) fn page(&self, kind: PageKind, at: usize) -> Result<Arc<[u8]>, TsdbError> {
        let entry = self.table.of(kind).get(at).ok_or(self.damaged(kind, 0, Damage("a page that is not there")))?;
        let key = (self.part, (kind as u32) << 28 | at as u32);
        if let Some(page) = self.cache.get(key) {
            return Ok(page);
        }
        let page = self.read_page(kind, entry)?;
        self.cache.put(key, Arc::clone(&page));
        Ok(page)
    }

    /// Reads and checks a page, past the cache.
    pub(super) fn read_page(&self, kind: PageKind, entry: &PageEntry) -> Result<Arc<[u8]>, TsdbError> {
        let mut bytes = vec![0; entry.bytes as usize];
        self.file.read_at(&mut bytes, entry.offset).map_err(TsdbError::io(&self.path))?;
        if crc32c::crc32c(&bytes) != entry.crc {
            return Err(self.damaged(kind, entry.offset, Damage("its checksum differs")));
        }
        Ok(bytes.into())
    }

    /// The page of a kind that holds the byte at `offset` of its stream.
    pub(super) fn page_at(&self, kind: PageKind, offset: u64) -> usize {
        self.table.of(kind).partition_point(|page| page.stream <= offset).saturating_sub(1)
    }

    /// The page of a kind whose key is the last not above `key`.
    pub(super) fn page_of_key(&self, kind: PageKind, key: u64) -> usize {
        self.table.of(kind).partition_point(|page| page.key <= key).saturating_sub(1)
    }

    /// Bytes of a stream that may lie across pages, appended to `out`.
    pub(super) fn stream(&self, kind: PageKind, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), TsdbError> {
        let mut at = self.page_at(kind, offset);
        let (mut offset, mut len) = (offset, len);
        while len > 0 {
            let page = self.page(kind, at)?;
            let from = (offset - self.table.of(kind)[at].stream) as usize;
            let piece = page.get(from..).unwrap_or_default();
            let piece = &piece[..piece.len().min(len)];
            if piece.is_empty() {
                return Err(self.damaged(kind, offset, Damage("a stream that ends early")));
            }
            out.extend_from_slice(piece);
            offset += piece.len() as u64;
            len -= piece.len();
            at += 1;
        }
        Ok(())
    }

    /// Where the pages end.
    #[cfg(test)]
    pub(super) fn table_end(&self) -> u64 {
        let pages = PageKind::ALL.iter().flat_map(|kind| self.table.of(*kind));
        pages.map(|page| page.offset + u64::from(page.bytes)).max().unwrap_or(0)
    }

    /// Takes the bytes as they are now for the right ones.
    #[cfg(test)]
    pub(super) fn trust_pages(&mut self) {
        for pages in &mut self.table.kinds {
            for page in pages {
                let mut bytes = vec![0; page.bytes as usize];
                self.file.read_at(&mut bytes, page.offset).unwrap();
                page.crc = crc32c::crc32c(&bytes);
            }
        }
    }

    pub(super) fn damaged(&self, kind: PageKind, offset: u64, damage: Damage) -> TsdbError {
        TsdbError::Damaged { path: self.path.clone(), what: kind.name(), offset, reason: damage.0 }
    }
}

/// Writes pages to the end of a file.
#[derive(Debug)]
pub(super) struct PageSink {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    offset: u64,
    pub(super) table: PageTable,
}

impl PageSink {
    pub(super) fn new(file: Arc<dyn DiskFile>, path: PathBuf, offset: u64) -> Self {
        Self { file, path, offset, table: PageTable::default() }
    }

    pub(super) fn put(&mut self, kind: PageKind, key: u64, bytes: &[u8]) -> Result<(), TsdbError> {
        if bytes.len() > PAGE_BYTES_MAX {
            return Err(TsdbError::Refused(format!("{} of {} bytes", kind.name(), bytes.len())));
        }
        self.file.append(bytes).map_err(TsdbError::io(&self.path))?;
        let entry =
            PageEntry { offset: self.offset, bytes: bytes.len() as u32, crc: crc32c::crc32c(bytes), key, stream: 0 };
        self.table.push(kind, entry);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends what stands behind the pages and makes all of it durable.
    pub(super) fn complete(&self, end: &[u8]) -> Result<(), TsdbError> {
        self.file.append(end).map_err(TsdbError::io(&self.path))?;
        self.file.sync_data().map_err(TsdbError::io(&self.path))
    }
}
