//! Targets from files that somebody else writes: watched, and read again once an interval in case the watch missed
//! something (network file systems report nothing).
//!
//! Promise: a file that cannot be read keeps the targets it had; one that is gone loses them.

pub mod config;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::config::FileSdConfig;
use super::group::Sent;
use super::{DiscoveryError, Group, Out, list};

/// Writers write in several steps; a list read between them would be cut.
const SETTLE: Duration = Duration::from_millis(100);
/// Of one file.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Watches and reads the files of one block.
#[derive(Debug)]
pub struct FileDiscovery {
    patterns: Vec<PathBuf>,
    interval: Duration,
    /// By path, so that one that cannot be read now keeps its targets.
    last: BTreeMap<PathBuf, Vec<Group>>,
    sent: Sent,
}

impl FileDiscovery {
    #[must_use]
    pub fn new(block: &FileSdConfig) -> Self {
        let patterns = block.files.iter().map(|file| file.place.resolve(Path::new(&file.value))).collect();
        Self { patterns, interval: block.refresh_interval, last: BTreeMap::new(), sent: Sent::default() }
    }

    pub async fn run(mut self, out: Out, stop: CancellationToken) {
        let (changed, mut changes) = mpsc::channel(1);
        let mut watch = Watch::new(changed);
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                Some(()) = changes.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    // Whatever was noticed meanwhile is read now too.
                    let _noticed = changes.try_recv();
                }
            }
            // Folders may come later than we do.
            watch.folders(self.patterns.iter().filter_map(|pattern| pattern.parent()));
            let (groups, problems) = self.read().await;
            let changes = self.sent.changes(groups);
            tokio::select! {
                () = stop.cancelled() => return,
                () = out.send(changes) => {}
            }
            problems.iter().for_each(|problem| out.failed(problem));
        }
    }

    /// All groups of all files there are now, and what is wrong with some.
    async fn read(&mut self) -> (Vec<Group>, Vec<DiscoveryError>) {
        let (mut read, mut problems) = (BTreeMap::new(), Vec::new());
        for path in paths(&self.patterns) {
            let groups = match read_file(&path).await {
                Ok(groups) => groups,
                Err(problem) => {
                    problems.push(problem);
                    self.last.get(&path).cloned().unwrap_or_default()
                }
            };
            read.insert(path, groups);
        }
        self.last = read;
        (self.last.values().flatten().cloned().collect(), problems)
    }
}

/// The files that match now.
fn paths(patterns: &[PathBuf]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        // A folder that may not be listed has no files for us.
        let found = glob::glob(&pattern.to_string_lossy()).into_iter().flatten().flatten();
        paths.extend(found.filter(|path| path.is_file()));
    }
    paths.sort();
    paths.dedup();
    paths
}

async fn read_file(path: &Path) -> Result<Vec<Group>, DiscoveryError> {
    let shown = path.to_string_lossy();
    let wrong = |why: String| DiscoveryError::File { path: path.to_owned(), why };
    let length = tokio::fs::metadata(path).await.map_err(|error| wrong(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(wrong(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    let bytes = tokio::fs::read(path).await.map_err(|error| wrong(error.to_string()))?;
    let own = ("__meta_filepath", &*shown);
    let json = path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"));
    if json {
        return list::from_json(&bytes, &shown, own).map_err(wrong);
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("no UTF-8 text".to_owned()))?;
    list::from_yaml(&text, &shown, own).map_err(wrong)
}

/// Notices changes; without a watcher the interval alone finds them.
struct Watch(Option<RecommendedWatcher>);

impl Watch {
    fn new(changed: mpsc::Sender<()>) -> Self {
        let notice = move |event: Result<notify::Event, notify::Error>| {
            // Reading is an event as well, and ours would wake us again. One notice that waits is enough.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _one_waits_already = changed.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(notice);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "files of targets are not watched, only read once an interval");
        }
        Self(watcher.ok())
    }

    /// Watches folders, again where they are watched already: one may have been replaced by another of its name.
    fn folders<'a>(&mut self, folders: impl Iterator<Item = &'a Path>) {
        let Some(watcher) = &mut self.0 else { return };
        for folder in folders {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            // One that is not there yet is tried again with the next round.
            let _not_there_yet = watcher.watch(folder, RecursiveMode::NonRecursive);
        }
    }
}
