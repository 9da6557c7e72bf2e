//! The data folder: whose it is, which layout it has, and that only one server uses it.
//!
//! Promises: a folder that holds somebody else's data is never written to (ours goes to `<path>/watchpost/`); a
//! second process is refused while the first lives, also across container boundaries (`flock`); a layout of a
//! newer version is refused by name.
//! Not here: what lies in it (`store`, `net`, `appliance` each keep their own part).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// The first line of `FORMAT`, without the number.
const FORMAT_WORDS: &str = "watchpost data folder";
/// The layout this version reads and writes.
const FORMAT_VERSION: u32 = 1;
/// `FORMAT` and `LOCK` are a line long; more is somebody else's file.
const SMALL_FILE_BYTES_MAX: u64 = 4096;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataFolderError {
    #[error("data folder {path}: {action}: {source}")]
    Io {
        path: PathBuf,
        action: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("data folder {path} is in use by {owner}; stop that server first, or give this one another --data")]
    InUse { path: PathBuf, owner: String },
    #[error(
        "data folder {path} has layout {found}, this version knows {FORMAT_VERSION}: \
         it was written by a newer version; use that one, or another --data"
    )]
    Newer { path: PathBuf, found: u32 },
    #[error(
        "data folder {path}: FORMAT says {found:?}, expected {FORMAT_WORDS:?} and a number; restore it or use another --data"
    )]
    NotOurs { path: PathBuf, found: String },
}

/// A data folder that this process owns until it is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    foreign: Option<String>,
    _lock: File,
}

impl DataFolder {
    /// Takes possession of the folder, creating it where it does not exist.
    pub(crate) fn open(configured: &Path) -> Result<Self, DataFolderError> {
        let foreign = foreign_data(configured);
        let path = if foreign.is_some() { configured.join("watchpost") } else { configured.to_owned() };
        create_private(&path)?;
        let lock = lock(&path)?;
        check_format(&path)?;
        Ok(Self { path, foreign, _lock: lock })
    }

    /// Where our data lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whose data was found at the configured path, in words; that data is left alone and not read.
    pub(crate) fn foreign(&self) -> Option<&str> {
        self.foreign.as_deref()
    }
}

/// Where our data lies below a configured path, without taking possession: for what runs beside a server.
pub(crate) fn ours(configured: &Path) -> Result<PathBuf, DataFolderError> {
    let path = if foreign_data(configured).is_some() { configured.join("watchpost") } else { configured.to_owned() };
    create_private(&path)?;
    check_format(&path)?;
    Ok(path)
}

/// Says whose data a folder holds, where it is not ours.
fn foreign_data(path: &Path) -> Option<String> {
    if path.join("FORMAT").exists() {
        return None;
    }
    let entries = fs::read_dir(path).ok()?;
    let names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let blocks = names.iter().filter(|name| is_ulid(name)).count();
    if blocks > 0 || names.iter().any(|name| name == "wal" || name == "chunks_head") {
        return Some(format!("data of a Prometheus server ({blocks} blocks)"));
    }
    None
}

/// 26 characters of Crockford's base 32: how Prometheus names its blocks.
fn is_ulid(name: &str) -> bool {
    name.len() == 26 && name.bytes().all(|b| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b)))
}

fn create_private(path: &Path) -> Result<(), DataFolderError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(io_error(path, "cannot be created"))
}

fn io_error<'a>(path: &'a Path, action: &'static str) -> impl Fn(io::Error) -> DataFolderError + 'a {
    move |source| DataFolderError::Io { path: path.to_owned(), action, source }
}

fn lock(path: &Path) -> Result<File, DataFolderError> {
    let file = path.join("LOCK");
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file)
        .map_err(io_error(path, "LOCK cannot be opened"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message; a lock whose text cannot be read is still held.
            let _unreadable = lock.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut owner);
            let owner = owner.lines().next().map_or_else(|| "another process".to_owned(), str::to_owned);
            return Err(DataFolderError::InUse { path: path.to_owned(), owner });
        }
        Err(TryLockError::Error(source)) => return Err(io_error(path, "LOCK cannot be locked")(source)),
    }
    let written = lock
        .set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "process {}", std::process::id()))
        .and_then(|()| lock.flush());
    written.map_err(io_error(path, "LOCK cannot be written"))?;
    Ok(lock)
}

/// Reads `FORMAT`, or writes it where the folder is new.
fn check_format(path: &Path) -> Result<(), DataFolderError> {
    let file = path.join("FORMAT");
    let mut text = String::new();
    match File::open(&file) {
        Ok(file) => {
            file.take(SMALL_FILE_BYTES_MAX)
                .read_to_string(&mut text)
                .map_err(io_error(path, "FORMAT cannot be read"))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return write_format(path),
        Err(error) => return Err(io_error(path, "FORMAT cannot be opened")(error)),
    }
    let version = text.trim().strip_prefix(FORMAT_WORDS).and_then(|number| number.trim().parse::<u32>().ok());
    match version {
        Some(FORMAT_VERSION) => Ok(()),
        Some(found) if found > FORMAT_VERSION => Err(DataFolderError::Newer { path: path.to_owned(), found }),
        _ => Err(DataFolderError::NotOurs { path: path.to_owned(), found: text.trim().to_owned() }),
    }
}

/// Written aside, synced and renamed: a `FORMAT` is either whole or not there.
fn write_format(path: &Path) -> Result<(), DataFolderError> {
    let aside = path.join("FORMAT.new");
    let written = File::create(&aside)
        .and_then(|mut file| {
            writeln!(file, "{FORMAT_WORDS} {FORMAT_VERSION}")?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&aside, path.join("FORMAT")))
        .and_then(|()| File::open(path)?.sync_all());
    written.map_err(io_error(path, "FORMAT cannot be written"))
}

#[cfg(test)]
mod tests {
    use ::tests::folder::Folder;

    use super::*;

    #[test]
    fn a_second_owner_is_refused_and_told_who_the_first_is() {
        let scratch = Folder::new("second-owner");
        let folder_path = scratch.path();
        let first = DataFolder::open(&folder_path.join("data")).expect("a new folder opens");
        let error = DataFolder::open(&folder_path.join("data")).expect_err("it is in use").to_string();
        assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
        drop(first);
        DataFolder::open(&folder_path.join("data")).expect("it is free again");
    }

    #[test]
    fn somebody_elses_data_is_never_touched() {
        let scratch = Folder::new("foreign");
        let folder_path = scratch.path();
        fs::create_dir_all(folder_path.join("01BKGV7JBM69T2G1BGBGM6KB12")).expect("writable");
        fs::create_dir_all(folder_path.join("wal")).expect("writable");
        let folder = DataFolder::open(folder_path).expect("ours goes beside it");
        assert_eq!(folder.path(), folder_path.join("watchpost"));
        assert_eq!(folder.foreign(), Some("data of a Prometheus server (1 blocks)"));
        assert!(!folder_path.join("FORMAT").exists() && !folder_path.join("LOCK").exists());
        drop(folder);
        DataFolder::open(folder_path).expect("and again at the next start");
    }

    #[test]
    fn a_layout_of_a_newer_version_is_refused_by_name() {
        let scratch = Folder::new("newer");
        let folder_path = scratch.path();
        fs::write(folder_path.join("FORMAT"), "watchpost data folder 7\n").expect("writable");
        let error = DataFolder::open(folder_path).expect_err("newer").to_string();
        assert!(error.contains("layout 7") && error.contains("newer version"), "{error}");
    }

    #[test]
    fn a_damaged_format_is_not_guessed_at() {
        let scratch = Folder::new("damaged");
        let folder_path = scratch.path();
        for text in ["", "watchpost data folder", "watchpost data folder x", "something"] {
            fs::write(folder_path.join("FORMAT"), text).expect("writable");
            let error = DataFolder::open(folder_path).expect_err(text).to_string();
            assert!(error.contains("expected \"watchpost data folder\""), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_new_folder_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = Folder::new("private");
        let folder_path = scratch.path();
        let folder = DataFolder::open(&folder_path.join("deep/data")).expect("a new folder opens");
        let mode = fs::metadata(folder.path()).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
