//! Where final blocks of a window wait for its seal: a file, so that they do not stay in memory.
//!
//! A series' blocks form a chain from the newest to the oldest; the head keeps only the place of the newest.
//! Promises: a block is read as it was written or reported as damage; bytes that could not be written (full disk)
//! stay in memory and are tried again, so a full disk never costs what is already in the log.
//! Not here: what is in a block (`chunk`). Bytes on disk: docs/formats/spill.md.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::Damage;
use crate::io::{self, Disk, DiskFile};

pub(crate) const SPILL_MAGIC: [u8; 8] = *b"WPTSSPL1";
/// Length, checksum, place of the block before.
const BLOCK_HEADER_BYTES: usize = 12;
/// Written out once so much is waiting: large enough to make the call cheap, small enough to copy for a reader.
const PENDING_BYTES_MAX: usize = 64 << 10;
/// A longer block is damage.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// Where a block begins: its offset divided by eight. 0 means there is none.
pub(crate) type Place = u32;

/// The path of an instance's file.
pub(crate) fn spill_path(folder: &Path, instance: u32) -> PathBuf {
    folder.join(format!("{instance:010}.spill"))
}

/// What a reader needs: the file, and what is not in it yet.
#[derive(Clone, Debug)]
pub(crate) struct SpillView {
    path: Arc<Path>,
    file: Option<Arc<dyn DiskFile>>,
    /// Bytes in the file.
    written: u64,
    pending: Arc<Vec<u8>>,
}

/// The file of one instance of a window.
#[derive(Debug)]
pub(crate) struct Spill {
    disk: Arc<dyn Disk>,
    view: SpillView,
    /// Somebody may have half written bytes behind `written`.
    torn: bool,
}

impl Spill {
    /// A spill without a file; the file is made when there is something to write.
    pub(crate) fn new(disk: Arc<dyn Disk>, path: &Path) -> Self {
        let pending = Arc::new(SPILL_MAGIC.to_vec());
        Self { disk, view: SpillView { path: path.into(), file: None, written: 0, pending }, torn: false }
    }

    /// Takes up a file that a checkpoint refers to up to `bytes`; what follows is cut off. Also says whether the file
    /// is as long as that. If not, places in what is missing are damage, and all others are good.
    pub(crate) fn reopen(disk: Arc<dyn Disk>, path: &Path, bytes: u64) -> std::io::Result<(Self, bool)> {
        if bytes == 0 {
            return Ok((Self::new(disk, path), true));
        }
        // A read-only disk lets it be read.
        let file = disk.open_append(path).or_else(|_| disk.open(path))?;
        let whole = file.size()? >= bytes;
        // Also makes a file that is too short long enough, so that places stay what they are.
        let torn = file.truncate(bytes).is_err();
        let view = SpillView { path: path.into(), file: Some(file), written: bytes, pending: Arc::default() };
        Ok((Self { disk, view, torn }, whole))
    }

    pub(crate) fn view(&self) -> SpillView {
        self.view.clone()
    }

    /// Bytes including those not yet written.
    pub(crate) fn bytes(&self) -> u64 {
        self.view.written + self.view.pending.len() as u64
    }

    #[cfg(test)]
    pub(crate) fn pending_bytes(&self) -> usize {
        self.view.pending.len()
    }

    /// Appends a block that follows `previous`; the place is 0 if the file is beyond what a place can say.
    pub(crate) fn push(&mut self, previous: Place, body: &[u8]) -> Place {
        let at = self.bytes();
        let Ok(place) = Place::try_from(at / 8) else { return 0 };
        let pending = Arc::make_mut(&mut self.view.pending);
        let start = pending.len();
        pending.extend_from_slice(&(body.len() as u32).to_le_bytes());
        pending.extend_from_slice(&[0; 4]);
        pending.extend_from_slice(&previous.to_le_bytes());
        pending.extend_from_slice(body);
        let crc = crc32c::crc32c(&pending[start + 8..]);
        pending[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        pending.resize(pending.len().next_multiple_of(8), 0);
        if pending.len() >= PENDING_BYTES_MAX {
            // A failure leaves everything as it is; the next block tries again.
            let _ = self.write_out();
        }
        place
    }

    /// Writes what is waiting.
    pub(crate) fn write_out(&mut self) -> std::io::Result<()> {
        if self.view.pending.is_empty() {
            return Ok(());
        }
        let file = match &self.view.file {
            Some(file) => Arc::clone(file),
            None => self.disk.create(&self.view.path)?,
        };
        self.view.file = Some(Arc::clone(&file));
        if self.torn {
            file.truncate(self.view.written)?;
            self.torn = false;
        }
        if let Err(error) = file.append(&self.view.pending) {
            self.torn = file.truncate(self.view.written).is_err();
            return Err(error);
        }
        self.view.written += self.view.pending.len() as u64;
        match Arc::get_mut(&mut self.view.pending) {
            Some(pending) => pending.clear(),
            None => self.view.pending = Arc::default(),
        }
        Ok(())
    }

    /// The file to sync once everything is written out.
    pub(crate) fn file(&self) -> Option<Arc<dyn DiskFile>> {
        self.view.file.clone()
    }
}

/// Why a block could not be read.
#[derive(Debug)]
pub(crate) enum SpillError {
    Io(std::io::Error),
    Damaged(Damage),
}

impl SpillView {
    /// Reads a block into `body` and says where the one before it is.
    pub(crate) fn read(&self, place: Place, body: &mut Vec<u8>) -> Result<Place, SpillError> {
        let at = u64::from(place) * 8;
        let mut header = [0; BLOCK_HEADER_BYTES];
        self.read_at(&mut header, at)?;
        let word =
            |from: usize| u32::from_le_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]]);
        let (len, crc, previous) = (word(0) as usize, word(4), word(8));
        if len > BLOCK_BYTES_MAX {
            return Err(SpillError::Damaged(Damage("the length is beyond the bound")));
        }
        body.resize(len, 0);
        self.read_at(body, at + BLOCK_HEADER_BYTES as u64)?;
        if crc32c::crc32c_append(crc32c::crc32c(&header[8..]), body) != crc {
            return Err(SpillError::Damaged(Damage("the checksum differs")));
        }
        if previous >= place {
            return Err(SpillError::Damaged(Damage("a chain that does not run back")));
        }
        Ok(previous)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<(), SpillError> {
        if at >= self.written {
            let from = (at - self.written) as usize;
            let bytes = self.pending.get(from..from + buffer.len()).ok_or(SpillError::Damaged(Damage("ends early")))?;
            buffer.copy_from_slice(bytes);
            return Ok(());
        }
        match &self.file {
            Some(file) => io::insist(|| file.read_at(buffer, at)).map_err(SpillError::Io),
            None => Err(SpillError::Damaged(Damage("there is no file"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::FaultyDisk;

    fn chain(view: &SpillView, mut place: Place) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while place != 0 {
            let mut body = Vec::new();
            place = view.read(place, &mut body).expect("the block is good");
            found.push(body);
        }
        found
    }

    #[test]
    fn a_chain_is_read_from_memory_and_from_the_file() {
        let disk = FaultyDisk::new(1);
        let mut spill = Spill::new(Arc::new(disk), Path::new("a.spill"));
        let first = spill.push(0, b"one");
        let early = spill.view();
        spill.write_out().expect("the disk is good");
        let second = spill.push(first, &[7; 1000]);
        assert_eq!(chain(&spill.view(), second), [vec![7; 1000], b"one".to_vec()]);
        assert_eq!(chain(&early, first), [b"one".to_vec()]);
    }

    #[test]
    fn a_full_disk_keeps_blocks_in_memory_until_there_is_room() {
        let disk = FaultyDisk::new(1);
        disk.set_capacity(Some(20));
        let mut spill = Spill::new(Arc::new(disk.clone()), Path::new("a.spill"));
        let mut place = 0;
        for n in 0..200u8 {
            place = spill.push(place, &[n; 1000]);
        }
        assert!(spill.write_out().is_err());
        assert_eq!(chain(&spill.view(), place).len(), 200);
        disk.set_capacity(None);
        spill.write_out().expect("there is room");
        assert_eq!(spill.pending_bytes(), 0);
        assert_eq!(chain(&spill.view(), place).len(), 200);

        let reopened = Spill::reopen(Arc::new(disk), Path::new("a.spill"), spill.bytes()).expect("it is there");
        assert!(reopened.1);
        assert_eq!(chain(&reopened.0.view(), place).last(), Some(&vec![0; 1000]));
    }

    #[test]
    fn a_file_that_is_too_short_keeps_the_blocks_that_are_left() {
        let disk = FaultyDisk::new(1);
        let mut spill = Spill::new(Arc::new(disk.clone()), Path::new("a.spill"));
        let (first, second) = (spill.push(0, b"one"), spill.push(0, b"two"));
        spill.write_out().expect("the disk is good");
        disk.truncate_file(Path::new("a.spill"), spill.bytes() - 9);
        let (mut short, whole) =
            Spill::reopen(Arc::new(disk), Path::new("a.spill"), spill.bytes()).expect("it is there");
        assert!(!whole);
        let third = short.push(first, b"three");
        short.write_out().expect("the disk is good");
        assert_eq!(chain(&short.view(), third), [b"three".to_vec(), b"one".to_vec()]);
        assert!(short.view().read(second, &mut Vec::new()).is_err());
    }

    #[test]
    fn a_flipped_bit_is_damage() {
        let disk = FaultyDisk::new(1);
        let mut spill = Spill::new(Arc::new(disk.clone()), Path::new("a.spill"));
        let place = spill.push(0, b"body");
        spill.write_out().expect("the disk is good");
        for byte in 8..8 + 12 + 4 {
            disk.flip_bit(Path::new("a.spill"), byte, 3);
            assert!(spill.view().read(place, &mut Vec::new()).is_err(), "byte {byte}");
            disk.flip_bit(Path::new("a.spill"), byte, 3);
        }
        assert!(spill.view().read(place, &mut Vec::new()).is_ok());
    }
}
