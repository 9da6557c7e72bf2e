//! A disk in memory that fails on command, and shows what a loss of power leaves behind.
//!
//! Stricter than most real ones: a name is durable only after `sync_dir`, bytes only after `sync_data`, and bytes
//! whose sync failed are gone for good (the kernel marks such pages clean), however often sync is called again.
//! Everything random comes from a seed, so a failing test can be run again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::io::{Disk, DiskFile, DiskLock, Entry};
use crate::seeded::Seeded;

/// The errors a disk gives when it is broken, full or protected.
/// A real disk makes a hole of what a file is lengthened by; here it would be memory.
const FILE_BYTES_MAX: u64 = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// EIO: any operation.
    Io,
    /// ENOSPC: the first writing operation from then on.
    NoSpace,
    /// EROFS: the first writing operation from then on.
    ReadOnly,
}

impl FaultKind {
    fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::other("input/output error (injected)"),
            Self::NoSpace => io::Error::new(io::ErrorKind::StorageFull, "no space left (injected)"),
            Self::ReadOnly => io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "read-only file system (injected)"),
        }
    }
}

/// How an operation fails.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub kind: FaultKind,
    /// A failing append leaves a part of its bytes.
    pub short_write: bool,
    /// Everything after it fails, too.
    pub sticky: bool,
}

/// What an operation does, as far as faults care.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    Reads,
    Writes,
    Syncs,
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug)]
enum FileOp {
    Append(Vec<u8>),
    Truncate(u64),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What a reader sees.
    content: Vec<u8>,
    /// What power loss cannot take.
    durable: Vec<u8>,
    /// What was done since, in order.
    pending: Vec<FileOp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(usize),
    Dir,
}

#[derive(Clone, Debug)]
enum DirOp {
    Set(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Node),
}

#[derive(Debug)]
struct State {
    random: Seeded,
    operations: u64,
    planned: Vec<(u64, Fault)>,
    /// A sticky fault that has struck.
    broken: Option<Fault>,
    capacity: Option<u64>,
    read_only: bool,
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// By folder: what `sync_dir` would make durable.
    pending_names: BTreeMap<PathBuf, Vec<DirOp>>,
    locks: BTreeSet<PathBuf>,
}

impl FaultyDisk {
    /// An empty disk that does not fail until told to.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::holding(seed, Vec::new(), BTreeMap::new())
    }

    fn holding(seed: u64, inodes: Vec<Inode>, names: BTreeMap<PathBuf, Node>) -> Self {
        let state = State {
            random: Seeded::new(seed),
            operations: 0,
            planned: Vec::new(),
            broken: None,
            capacity: None,
            read_only: false,
            inodes,
            durable_names: names.clone(),
            names,
            pending_names: BTreeMap::new(),
            locks: BTreeSet::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere may still look at the disk.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets the operation with this number (the first is 0) fail.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.state().planned.push((operation, fault));
    }

    /// Forgets all planned faults and heals what is broken.
    pub fn heal(&self) {
        let mut state = self.state();
        state.planned.clear();
        state.broken = None;
        state.read_only = false;
    }

    /// The disk is full when its files hold this many bytes; `None` for no end.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Every writing operation fails while this is set.
    pub fn set_read_only(&self, read_only: bool) {
        self.state().read_only = read_only;
    }

    /// What a loss of power leaves: durable names and bytes, and of the rest a random beginning, possibly torn.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let state = self.state();
        let mut random = Seeded::new(seed);
        let inodes = state.inodes.iter().map(|inode| inode.after_crash(&mut random)).collect();
        let mut names = state.durable_names.clone();
        for pending in state.pending_names.values() {
            let kept = random.below(pending.len() as u64 + 1) as usize;
            for op in &pending[..kept] {
                op.apply(&mut names);
            }
        }
        Self::holding(seed, inodes, without_orphans(names))
    }

    /// What `kill -9` leaves: everything that was written; nobody holds a lock.
    #[must_use]
    pub fn kill(&self) -> Self {
        let state = self.state();
        let inodes = state
            .inodes
            .iter()
            .map(|inode| Inode { durable: inode.content.clone(), content: inode.content.clone(), pending: Vec::new() })
            .collect();
        Self::holding(0, inodes, state.names.clone())
    }

    /// All files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.state();
        state.names.iter().filter(|(_, node)| matches!(node, Node::File(_))).map(|(path, _)| path.clone()).collect()
    }

    /// What is in a file; empty where there is none. Counts as no operation and never fails.
    #[must_use]
    pub fn read_file(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.inode(path).map_or_else(|_| Vec::new(), |at| state.inodes[at].content.clone())
    }

    /// Puts a durable file there. Counts as no operation and never fails.
    pub fn write_file(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let at = state.inodes.len();
        state.inodes.push(Inode { content: bytes.to_vec(), durable: bytes.to_vec(), pending: Vec::new() });
        for folder in path.ancestors().skip(1) {
            state.names.insert(folder.to_owned(), Node::Dir);
            state.durable_names.insert(folder.to_owned(), Node::Dir);
        }
        state.names.insert(path.to_owned(), Node::File(at));
        state.durable_names.insert(path.to_owned(), Node::File(at));
    }

    /// Turns one bit of a file around, as ageing media do. Nothing happens beyond its end.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) {
        self.damage(path, |bytes| {
            if let Some(byte) = bytes.get_mut(byte as usize) {
                *byte ^= 1 << (bit & 7);
            }
        });
    }

    /// Cuts a file off.
    pub fn truncate_file(&self, path: &Path, bytes: u64) {
        self.damage(path, |content| content.truncate(bytes as usize));
    }

    fn damage(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state();
        if let Ok(at) = state.inode(path) {
            change(&mut state.inodes[at].content);
            change(&mut state.inodes[at].durable);
        }
    }
}

impl Inode {
    fn after_crash(&self, random: &mut Seeded) -> Self {
        let mut bytes = self.durable.clone();
        let kept = random.below(self.pending.len() as u64 + 1) as usize;
        for op in &self.pending[..kept] {
            op.apply(&mut bytes);
        }
        if let Some(FileOp::Append(torn)) = self.pending.get(kept) {
            let part = random.below(torn.len() as u64 + 1) as usize;
            let from = bytes.len();
            bytes.extend_from_slice(&torn[..part]);
            // The length may reach the disk before the bytes do: then there are zeros.
            if part > 0 && random.one_in(2) {
                let hole = from + random.below(part as u64) as usize;
                bytes[hole..].fill(0);
            }
        }
        Self { content: bytes.clone(), durable: bytes, pending: Vec::new() }
    }

    /// The bytes whose sync failed are lost: their place stays, their content does not.
    fn lose_pending(&mut self) {
        for op in std::mem::take(&mut self.pending) {
            match op {
                FileOp::Append(bytes) => self.durable.resize(self.durable.len() + bytes.len(), 0),
                truncate @ FileOp::Truncate(_) => truncate.apply(&mut self.durable),
            }
        }
    }
}

impl FileOp {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Truncate(len) => bytes.resize(*len as usize, 0),
        }
    }
}

impl DirOp {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Set(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

/// A name in a folder that did not survive is gone with it.
fn without_orphans(names: BTreeMap<PathBuf, Node>) -> BTreeMap<PathBuf, Node> {
    let folders: BTreeSet<PathBuf> =
        names.iter().filter(|(_, node)| **node == Node::Dir).map(|(path, _)| path.clone()).collect();
    let rooted = |path: &Path| path.ancestors().skip(1).all(|up| is_root(up) || folders.contains(up));
    names.into_iter().filter(|(path, _)| rooted(path)).collect()
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

impl State {
    /// Counts an operation and says whether and how it fails.
    fn begin(&mut self, nature: Nature) -> Result<(), Fault> {
        let number = self.operations;
        self.operations += 1;
        let strikes = |fault: &Fault| fault.kind == FaultKind::Io || nature == Nature::Writes;
        if let Some(fault) = self.broken.filter(strikes) {
            return Err(fault);
        }
        if self.read_only && nature == Nature::Writes {
            return Err(Fault { kind: FaultKind::ReadOnly, short_write: false, sticky: false });
        }
        let Some(at) = self.planned.iter().position(|(at, fault)| *at <= number && strikes(fault)) else {
            return Ok(());
        };
        let (_, fault) = self.planned.swap_remove(at);
        if fault.sticky {
            self.broken = Some(fault);
        }
        Err(fault)
    }

    fn check(&mut self, nature: Nature) -> io::Result<()> {
        self.begin(nature).map_err(|fault| fault.kind.error())
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(at)) => Ok(*at),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_dir(&self, path: &Path) -> bool {
        is_root(path) || self.names.get(path) == Some(&Node::Dir)
    }

    /// Changes the names now, and for after a crash once the folder is synced.
    fn change(&mut self, folder: &Path, op: DirOp) {
        op.apply(&mut self.names);
        self.pending_names.entry(folder.to_owned()).or_default().push(op);
    }

    fn new_file(&mut self, path: &Path) -> io::Result<usize> {
        if !self.is_dir(parent(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let at = self.inodes.len();
        self.inodes.push(Inode::default());
        self.change(parent(path), DirOp::Set(path.to_owned(), Node::File(at)));
        Ok(at)
    }

    fn bytes_used(&self) -> u64 {
        let files: BTreeSet<usize> = self
            .names
            .values()
            .filter_map(|node| match node {
                Node::File(at) => Some(*at),
                Node::Dir => None,
            })
            .collect();
        files.iter().map(|at| self.inodes[*at].content.len() as u64).sum()
    }

    fn append(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let mut outcome = self.begin(Nature::Writes).map_err(|fault| (fault.kind.error(), fault.short_write));
        if let (Ok(()), Some(capacity)) = (&outcome, self.capacity)
            && self.bytes_used() + bytes.len() as u64 > capacity
        {
            outcome = Err((FaultKind::NoSpace.error(), true));
        }
        let written = match &outcome {
            Ok(()) => bytes,
            Err((_, true)) => &bytes[..self.random.below(bytes.len() as u64 + 1) as usize],
            Err((_, false)) => &[],
        };
        if !written.is_empty() {
            let inode = &mut self.inodes[at];
            inode.content.extend_from_slice(written);
            inode.pending.push(FileOp::Append(written.to_vec()));
        }
        outcome.map_err(|(error, _)| error)
    }

    fn truncate(&mut self, at: usize, bytes: u64) {
        let inode = &mut self.inodes[at];
        inode.content.resize(bytes as usize, 0);
        inode.pending.push(FileOp::Truncate(bytes));
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.check(Nature::Writes)?;
        let at = match state.inode(path) {
            Ok(at) => {
                state.truncate(at, 0);
                at
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => state.new_file(path)?,
            Err(error) => return Err(error),
        };
        Ok(Arc::new(FaultyFile { disk: self.clone(), at, writable: true }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.check(Nature::Reads)?;
        let at = state.inode(path)?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), at, writable: false }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.check(Nature::Writes)?;
        let at = match state.inode(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => state.new_file(path)?,
            found => found?,
        };
        Ok(Arc::new(FaultyFile { disk: self.clone(), at, writable: true }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Nature::Writes)?;
        let node = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if !state.is_dir(parent(to)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if node == Node::Dir {
            // A folder moves with what is in it; one operation, so that a crash cannot part them.
            return state.rename_dir(from, to);
        }
        state.change(parent(to), DirOp::Rename(from.to_owned(), to.to_owned(), node));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Nature::Writes)?;
        state.inode(path)?;
        state.change(parent(path), DirOp::Remove(path.to_owned()));
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Nature::Writes)?;
        let at = state.inode(from)?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !state.is_dir(parent(to)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(parent(to), DirOp::Set(to.to_owned(), Node::File(at)));
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Nature::Writes)?;
        let mut folders: Vec<&Path> = path.ancestors().filter(|folder| !is_root(folder)).collect();
        folders.reverse();
        for folder in folders {
            match state.names.get(folder) {
                Some(Node::Dir) => {}
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => state.change(parent(folder), DirOp::Set(folder.to_owned(), Node::Dir)),
            }
        }
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Nature::Writes)?;
        if !state.is_dir(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.names.keys().any(|name| name != path && name.starts_with(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.change(parent(path), DirOp::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Nature::Syncs)?;
        if !state.is_dir(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        for op in state.pending_names.remove(path).unwrap_or_default() {
            op.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        state.check(Nature::Reads)?;
        if !state.is_dir(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.names.iter().filter(|(name, _)| !is_root(name) && parent(name) == path);
        Ok(inside
            .filter_map(|(name, node)| {
                let name = name.file_name()?.to_str()?.to_owned();
                Some(match node {
                    Node::Dir => Entry { name, is_dir: true, bytes: 0 },
                    Node::File(at) => Entry { name, is_dir: false, bytes: state.inodes[*at].content.len() as u64 },
                })
            })
            .collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.state();
        state.check(Nature::Reads)?;
        Ok(is_root(path) || state.names.contains_key(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        state.check(Nature::Reads)?;
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(FaultyLock { disk: self.clone(), path: path.to_owned() }))
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.bytes_used())))
    }
}

impl State {
    fn rename_dir(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.names.keys().any(|name| name != to && name.starts_with(to)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let inside: Vec<(PathBuf, Node)> = self
            .names
            .iter()
            .filter_map(|(name, node)| Some((name.strip_prefix(from).ok()?.to_owned(), *node)))
            .collect();
        for (rest, node) in inside {
            let (old, new) = match rest.as_os_str().is_empty() {
                true => (from.to_owned(), to.to_owned()),
                false => (from.join(&rest), to.join(&rest)),
            };
            self.change(parent(to), DirOp::Rename(old, new, node));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    at: usize,
    writable: bool,
}

impl DiskFile for FaultyFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.disk.state().append(self.at, bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.check(Nature::Reads)?;
        let content = &state.inodes[self.at].content;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = from.checked_add(buffer.len()).and_then(|to| content.get(from..to));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.check(Nature::Syncs);
        let inode = &mut state.inodes[self.at];
        match outcome {
            Ok(()) => {
                for op in std::mem::take(&mut inode.pending) {
                    op.apply(&mut inode.durable);
                }
            }
            Err(_) => inode.lose_pending(),
        }
        outcome
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.at].content.len() as u64)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.check(Nature::Writes)?;
        if bytes > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        state.truncate(self.at, bytes);
        Ok(())
    }

    fn allocate(&self, _bytes: u64) -> io::Result<()> {
        self.disk.state().check(Nature::Writes)
    }
}

#[derive(Debug)]
struct FaultyLock {
    disk: FaultyDisk,
    path: PathBuf,
}

impl DiskLock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{read_all, replace_file};

    fn folder() -> (FaultyDisk, &'static Path) {
        let disk = FaultyDisk::new(1);
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        (disk, Path::new("/d/f"))
    }

    const EIO: Fault = Fault { kind: FaultKind::Io, short_write: false, sticky: false };

    #[test]
    fn only_synced_bytes_under_a_synced_name_surely_survive_a_crash() {
        let mut survived_unsynced = 0;
        for seed in 0..200 {
            let (disk, path) = folder();
            let file = disk.create(path).unwrap();
            file.append(b"one").unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.append(b"two").unwrap();
            let after = disk.crash(seed).read_file(path);
            assert_eq!(&after[..3], b"one");
            assert!(after.len() <= 6);
            survived_unsynced += usize::from(after == b"onetwo");
        }
        assert!((20..180).contains(&survived_unsynced), "unsynced bytes are sometimes kept, sometimes not");
    }

    #[test]
    fn a_file_without_a_synced_folder_may_be_gone_but_never_half_named() {
        let mut gone = 0;
        for seed in 0..100 {
            let (disk, path) = folder();
            disk.create(path).unwrap().sync_data().unwrap();
            gone += usize::from(!disk.crash(seed).exists(path).unwrap());
        }
        assert!((10..90).contains(&gone));
    }

    #[test]
    fn bytes_whose_sync_failed_are_lost_even_if_a_later_sync_works() {
        let (disk, path) = folder();
        let file = disk.create(path).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.append(b"abc").unwrap();
        disk.fail_at(disk.operations(), EIO);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(disk.read_file(path), b"abc");
        assert_eq!(disk.crash(7).read_file(path), [0, 0, 0]);
    }

    #[test]
    fn the_planned_operation_fails_and_only_that_one() {
        let (disk, path) = folder();
        let file = disk.create(path).unwrap();
        disk.fail_at(disk.operations() + 1, EIO);
        file.append(b"a").unwrap();
        assert!(file.append(b"b").is_err());
        file.append(b"c").unwrap();
        assert_eq!(disk.read_file(path), b"ac");
    }

    #[test]
    fn a_full_disk_takes_a_part_and_reading_goes_on() {
        let (disk, path) = folder();
        let file = disk.create(path).unwrap();
        disk.set_capacity(Some(4));
        file.append(b"abc").unwrap();
        let error = file.append(b"defg").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(disk.read_file(path).starts_with(b"abc"));
        assert!(file.size().unwrap() <= 7);
        disk.set_capacity(None);
        file.append(b"h").unwrap();
    }

    #[test]
    fn a_replaced_file_is_the_old_or_the_new_one_whole_at_every_failure() {
        for number in 0..20 {
            for seed in 0..20 {
                let (disk, path) = folder();
                replace_file(&disk, path, b"old").unwrap();
                let fault = Fault { kind: FaultKind::Io, short_write: true, sticky: true };
                disk.fail_at(disk.operations() + number, fault);
                let done = replace_file(&disk, path, b"new content").is_ok();
                let after = read_all(&disk.crash(seed), path, 100).unwrap();
                assert!(after == b"new content" || (!done && after == b"old"), "{after:?} after failure {number}");
            }
        }
    }

    #[test]
    fn a_lock_is_held_once_and_let_go_when_dropped() {
        let (disk, path) = folder();
        let held = disk.lock(path).unwrap();
        assert_eq!(disk.lock(path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        disk.lock(path).unwrap();
    }

    #[test]
    fn a_folder_is_renamed_with_what_is_in_it() {
        let (disk, path) = folder();
        disk.create(path).unwrap().append(b"x").unwrap();
        disk.rename(Path::new("/d"), Path::new("/e")).unwrap();
        assert_eq!(disk.read_file(Path::new("/e/f")), b"x");
        assert!(disk.list(Path::new("/d")).is_err());
        assert_eq!(disk.list(Path::new("/e")).unwrap().len(), 1);
    }
}
