//! The only door to the disk, so that tests can stand in it.
//!
//! Two things meet here: [`RealDisk`] and the deliberately bad [`FaultyDisk`]. Files are read with `pread` into
//! memory of our own, never mapped: a mapped file turns a bad sector into SIGBUS, which nobody can report.
//! Not here: retrying. A failed `sync_data` leaves the file's state unknown and is never tried again on that file.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

mod faulty;
mod real;

pub use faulty::{Fault, FaultKind, FaultyDisk};
pub use real::RealDisk;

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub is_dir: bool,
    /// Length of a file; 0 for a folder.
    pub bytes: u64,
}

/// A file system as far as the storage uses one.
pub trait Disk: Send + Sync + fmt::Debug {
    /// A new file, or an existing one emptied, to append to and read from.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// An existing file, to be read only.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// A file to append to and read from; made if it does not exist.
    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Replaces `to` in one step. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// A second name for the same bytes; refused where `to` exists.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in this folder survive a loss of power.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// What is in a folder, sorted by name. Names that are not UTF-8 are not ours and left out.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Keeps other processes out until dropped; [`io::ErrorKind::WouldBlock`] where one is in.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// Bytes that may still be written below this folder.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. Shared by readers; the owner alone appends.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Writes all bytes at the end. After an error an unknown part of them stands there.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Fills the buffer from `offset`; [`io::ErrorKind::UnexpectedEof`] where the file is shorter.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Makes the bytes survive a loss of power.
    fn sync_data(&self) -> io::Result<()>;
    fn size(&self) -> io::Result<u64>;
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Asks for room ahead of writing, without changing the length. Not being able to is no error; a full disk is.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
}

/// A held lock; dropping it lets go.
pub trait DiskLock: Send + Sync + fmt::Debug {}

/// How often something that only reads is tried before its failure counts.
const ATTEMPTS: usize = 3;

/// Tries more than once, where a passing fault would cost what nobody can bring back.
pub(crate) fn insist<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut outcome = attempt();
    for _ in 1..ATTEMPTS {
        if outcome.is_ok() {
            break;
        }
        outcome = attempt();
    }
    outcome
}

/// Reads a whole file, refusing one longer than `bytes_max`.
pub fn read_all(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let size = file.size()?;
    if size > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{size} bytes, at most {bytes_max} expected")));
    }
    let mut bytes = vec![0; size as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Puts a small file in place of another so that after a crash either the old or the new one is there, whole.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_added_extension("tmp");
    let file = disk.create(&temporary)?;
    file.append(bytes)?;
    file.sync_data()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new("")))
}
