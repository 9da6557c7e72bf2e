//! What can go wrong in storage, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::codec::Damage;

/// A failure of the storage engine.
#[derive(Debug, thiserror::Error)]
pub enum TsdbError {
    /// The disk said no. Whether to go on depends on the kind (full, read-only, broken).
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Bytes that are not what was written. The rest of the file may still be good.
    #[error("{path}: {what} is damaged at byte {offset}: {reason}")]
    Damaged { path: PathBuf, what: &'static str, offset: u64, reason: &'static str },
    /// A file of a version this program does not know: it is left alone.
    #[error("{path}: format version {found} is not known, expected {expected}")]
    UnknownVersion { path: PathBuf, found: u32, expected: u32 },
    /// The caller's own mistake, by name.
    #[error("{0}")]
    Refused(String),
}

impl TsdbError {
    /// Makes a function for `map_err` that remembers the path.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// Makes a function for `map_err` that says what was being decoded.
    pub fn damaged<'p>(path: &'p Path, what: &'static str, offset: u64) -> impl FnOnce(Damage) -> Self + 'p {
        move |damage| Self::Damaged { path: path.to_owned(), what, offset, reason: damage.0 }
    }

    /// Whether the disk has no room: everything but writing goes on.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Whether the bytes are wrong (and not the way to them).
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}
