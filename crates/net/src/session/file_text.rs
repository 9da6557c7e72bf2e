//! Files named by a configuration whose content may change while we run: tokens, passwords, certificates.
//!
//! Promise: what is used is what the file says now; it is read again only when it was replaced or written.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use model::secret::Secret;
use yaml::Spanned;

/// More than any token or chain of certificates.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What tells one state of a file from another. Not the time alone: the symlink swap of a mounted volume may carry any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            file: (meta.dev(), meta.ino()),
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// The state of a file now; `None` where there is none.
    pub(crate) fn now(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|meta| Self::of(&meta))
    }
}

/// A small file, whole.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// The text of a file without blanks at its ends.
#[derive(Debug)]
pub(crate) struct FileText {
    path: PathBuf,
    last: Mutex<Option<(Stamp, Secret)>>,
}

impl FileText {
    pub(crate) fn new(path: &Spanned<PathBuf>) -> Self {
        Self { path: path.place.resolve(&path.value), last: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The text now; the file is read only if it is not the one read last.
    pub(crate) fn get(&self) -> io::Result<Secret> {
        let stamp = Stamp::of(&std::fs::metadata(&self.path)?);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = last.as_ref().filter(|(of, _)| *of == stamp) {
            return Ok(text.clone());
        }
        let bytes = zeroizing(read(&self.path)?);
        let text = std::str::from_utf8(bytes.expose_bytes()).map_err(|_| io::Error::other("no UTF-8 text"))?;
        let text = Secret::new(text.trim());
        *last = Some((stamp, text.clone()));
        Ok(text)
    }
}

/// Bytes that are overwritten when they are dropped.
struct Wiped(Vec<u8>);

fn zeroizing(bytes: Vec<u8>) -> Wiped {
    Wiped(bytes)
}

impl Wiped {
    fn expose_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the writes: without a reader the compiler may leave them out.
        std::hint::black_box(&self.0);
    }
}
