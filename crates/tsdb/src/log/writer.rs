//! Appends records to the newest segment of the log.
//!
//! Promises: what [`LogWriter::write`] accepted is a row of whole records; after a failure the segment is cut back to
//! where it was, or never written to again. A new process never appends to a segment of an old one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::TsdbError;
use crate::io::{Disk, DiskFile};
use crate::log::frame::{RecordKind, put_record, segment_header};

/// A segment is closed when it has grown to this size: it is synced and the next one is opened.
/// The size Prometheus uses, so operators' habits and disk estimates carry over.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 128 << 20;
/// Room kept for the next batch; what a burst needed beyond it is given back.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// The path of a segment.
pub(crate) fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

/// The segments that exist, oldest first, with their lengths.
pub(crate) fn list_segments(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut segments = Vec::new();
    for entry in disk.list(folder)? {
        if let Some(number) = entry.name.strip_suffix(".log").and_then(|number| number.parse().ok()) {
            segments.push((number, entry.bytes));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The open end of the log. Not shared: whoever commits holds the lock of the head.
#[derive(Debug)]
pub(crate) struct LogWriter {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    number: u64,
    file: Arc<dyn DiskFile>,
    offset: u64,
    segment_bytes_max: u64,
    /// Sequence number of the next record.
    next_seq: u64,
    /// The segment must not be written to again.
    poisoned: bool,
    buffer: Vec<u8>,
    /// Records in `buffer`.
    pending: u64,
}

impl LogWriter {
    /// Begins segment `number`.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        folder: &Path,
        (number, next_seq): (u64, u64),
        segment_bytes_max: u64,
    ) -> Result<Self, TsdbError> {
        let (file, offset) = begin_segment(&*disk, folder, number)?;
        let folder = folder.to_owned();
        let buffer = Vec::new();
        Ok(Self {
            disk,
            folder,
            number,
            file,
            offset,
            segment_bytes_max,
            next_seq,
            poisoned: false,
            buffer,
            pending: 0,
        })
    }

    /// The segment written to.
    pub(crate) const fn segment(&self) -> u64 {
        self.number
    }

    /// Where the next record begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The sequence number of the last record written; 0 before any.
    pub(crate) const fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    pub(crate) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Never writes to this segment again: the disk has lied about it.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Opens the next segment if this one is full or poisoned; says whether it did.
    /// Before the records of a batch are put together, because what they may refer to ends with the segment.
    pub(crate) fn make_ready(&mut self) -> Result<bool, TsdbError> {
        if !self.poisoned && self.offset < self.segment_bytes_max {
            return Ok(false);
        }
        self.rotate()?;
        Ok(true)
    }

    /// Opens the next segment.
    pub(crate) fn rotate(&mut self) -> Result<(), TsdbError> {
        let (file, offset) = begin_segment(&*self.disk, &self.folder, self.number + 1)?;
        self.number += 1;
        self.file = file;
        self.offset = offset;
        self.poisoned = false;
        Ok(())
    }

    /// Puts a record into the buffer; false if it is beyond the bound of a record.
    pub(crate) fn put(&mut self, kind: RecordKind, fill: impl FnOnce(&mut Vec<u8>)) -> bool {
        let fits = put_record(&mut self.buffer, kind, self.next_seq + self.pending, fill);
        self.pending += u64::from(fits);
        fits
    }

    /// Forgets what was put since the last write.
    pub(crate) fn discard(&mut self) {
        self.buffer.clear();
        self.pending = 0;
    }

    /// Writes what was put, in one piece.
    pub(crate) fn write(&mut self) -> Result<(), TsdbError> {
        let written = self.file.append(&self.buffer);
        let (bytes, records) = (self.buffer.len() as u64, self.pending);
        self.discard();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        match written {
            Ok(()) => {
                self.offset += bytes;
                self.next_seq += records;
                Ok(())
            }
            Err(source) => {
                // Half a record must not stand before the next one. If the disk cannot even cut the file, the half
                // record stays the end of this segment, where the reader expects it.
                if self.file.truncate(self.offset).is_err() {
                    self.poisoned = true;
                }
                Err(TsdbError::Io { path: segment_path(&self.folder, self.number), source })
            }
        }
    }
}

fn begin_segment(disk: &dyn Disk, folder: &Path, number: u64) -> Result<(Arc<dyn DiskFile>, u64), TsdbError> {
    let path = segment_path(folder, number);
    let header = segment_header(number);
    let file = disk.create(&path).map_err(TsdbError::io(&path))?;
    let begun = file.append(&header).and_then(|()| disk.sync_dir(folder));
    if let Err(source) = begun {
        let _ = disk.remove(&path);
        return Err(TsdbError::Io { path, source });
    }
    Ok((file, header.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Fault, FaultKind, FaultyDisk};
    use crate::log::frame::{Found, FrameReader};

    fn read(disk: &FaultyDisk, number: u64) -> Vec<u64> {
        let file = disk.open(&segment_path(Path::new("log"), number)).expect("it exists");
        let size = file.size().expect("it has a size");
        let mut reader = FrameReader::new(file, 0);
        let mut found = Vec::new();
        loop {
            match reader.next(size).expect("the disk is good") {
                Found::Record { seq, .. } => found.push(seq),
                Found::Damage { .. } => {}
                Found::End => return found,
            }
        }
    }

    fn put(log: &mut LogWriter) {
        assert!(log.put(RecordKind::Batch, |out| out.extend_from_slice(&[1; 40])));
    }

    #[test]
    fn a_failed_write_leaves_no_half_record_and_the_next_one_succeeds() {
        for short_write in [false, true] {
            let disk = FaultyDisk::new(3);
            disk.create_dir_all(Path::new("log")).expect("a folder");
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let mut log = LogWriter::create(shared, Path::new("log"), (1, 1), 1 << 20).expect("a segment");
            put(&mut log);
            log.write().expect("the disk is good");
            disk.fail_at(disk.operations(), Fault { kind: FaultKind::NoSpace, short_write, sticky: false });
            put(&mut log);
            assert!(log.write().expect_err("the disk is full").is_disk_full());
            put(&mut log);
            put(&mut log);
            log.write().expect("there is room again");
            assert_eq!(read(&disk, 1), [1, 2, 3]);
            assert_eq!(log.last_seq(), 3);
        }
    }

    #[test]
    fn a_full_segment_is_followed_by_the_next() {
        let disk = FaultyDisk::new(3);
        disk.create_dir_all(Path::new("log")).expect("a folder");
        let mut log = LogWriter::create(Arc::new(disk.clone()), Path::new("log"), (4, 9), 100).expect("a segment");
        for _ in 0..4 {
            log.make_ready().expect("the disk is good");
            put(&mut log);
            log.write().expect("the disk is good");
        }
        assert_eq!((read(&disk, 4), read(&disk, 5)), (vec![9, 10], vec![11, 12]));
        let segments = list_segments(&disk, Path::new("log")).expect("a folder");
        assert_eq!(segments.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [4, 5]);
    }
}
