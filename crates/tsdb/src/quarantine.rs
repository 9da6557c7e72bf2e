//! What was damaged: moved or copied aside with the reason, counted, and listed for people.
//!
//! Promises: nothing that is put aside is ever read as data again, and putting aside never fails what it is part of:
//! where the disk does not let us keep the bytes, the report says so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use model::time::Clock;

use crate::io::Disk;
use crate::sync::lock;

/// Bytes kept of one damaged range; the rest is not copied. A damaged range is rarely longer than a record.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// Reports kept in memory; later ones are only counted.
const REPORTS_MAX: usize = 10_000;

/// One thing that was damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file it was found in.
    pub file: PathBuf,
    /// The damaged bytes; 0 to 0 for the whole file.
    pub from: u64,
    pub to: u64,
    pub reason: String,
    /// Where the bytes are kept, if they could be.
    pub kept: Option<PathBuf>,
}

/// The folder and what is in it since the start.
#[derive(Debug)]
pub(crate) struct Quarantine {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    state: Mutex<(Vec<Report>, u64)>,
}

impl Quarantine {
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { disk, folder: folder.to_owned(), clock, state: Mutex::default() }
    }

    /// What was reported since the start.
    pub(crate) fn reports(&self) -> Vec<Report> {
        lock(&self.state).0.clone()
    }

    /// How often something was reported since the start.
    pub(crate) fn count(&self) -> u64 {
        lock(&self.state).1
    }

    /// Moves a file aside.
    pub(crate) fn keep_file(&self, file: &Path, reason: &str) {
        let target = self.target(file, "");
        let moved = self.ready() && self.disk.rename(file, &target).is_ok();
        self.report(Report {
            file: file.to_owned(),
            from: 0,
            to: 0,
            reason: reason.to_owned(),
            kept: moved.then_some(target),
        });
    }

    /// Copies a range of a file aside.
    pub(crate) fn keep_range(&self, file: &Path, (from, to): (u64, u64), reason: &str) {
        let target = self.target(file, &format!(".{from}-{to}"));
        let copy = || -> std::io::Result<()> {
            let mut bytes = vec![0; (to - from).min(KEPT_BYTES_MAX) as usize];
            self.disk.open(file)?.read_at(&mut bytes, from)?;
            self.disk.create(&target)?.append(&bytes)
        };
        let copied = self.ready() && copy().is_ok();
        self.report(Report {
            file: file.to_owned(),
            from,
            to,
            reason: reason.to_owned(),
            kept: copied.then_some(target),
        });
    }

    /// Reports damage whose bytes stay where they are (a page of a part that is still good elsewhere).
    pub(crate) fn note(&self, file: &Path, reason: &str) {
        let known = lock(&self.state).0.iter().any(|report| report.file == file && report.reason == reason);
        if !known {
            self.report(Report { file: file.to_owned(), from: 0, to: 0, reason: reason.to_owned(), kept: None });
        }
    }

    fn ready(&self) -> bool {
        self.disk.create_dir_all(&self.folder).is_ok()
    }

    fn target(&self, file: &Path, suffix: &str) -> PathBuf {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let now = self.clock.now().millis();
        self.folder.join(format!("{now}-{}-{name}{suffix}", self.count()))
    }

    fn report(&self, report: Report) {
        if let Some(kept) = &report.kept {
            let json = serde_json::json!({
                "file": report.file.to_string_lossy(),
                "from": report.from,
                "to": report.to,
                "reason": report.reason,
                "time": self.clock.now().to_string(),
            });
            let path = kept.with_added_extension("json");
            if let Ok(file) = self.disk.create(&path) {
                // The report in memory stands whether or not its copy on disk does.
                let _ = file.append(json.to_string().as_bytes());
            }
        }
        let mut state = lock(&self.state);
        state.1 += 1;
        if state.0.len() < REPORTS_MAX {
            state.0.push(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::time::{ManualClock, Timestamp};

    use super::*;
    use crate::io::FaultyDisk;

    #[test]
    fn a_range_is_kept_with_its_reason_and_a_bad_disk_only_loses_the_copy() {
        let disk = FaultyDisk::new(1);
        disk.write_file(Path::new("log"), b"0123456789");
        let clock = Arc::new(ManualClock::at(Timestamp(5)));
        let quarantine = Quarantine::new(Arc::new(disk.clone()), Path::new("quarantine"), clock);
        quarantine.keep_range(Path::new("log"), (2, 5), "bad");
        let kept = quarantine.reports()[0].kept.clone().expect("the disk is good");
        assert_eq!(disk.read_file(&kept), b"234");
        let json = disk.read_file(&kept.with_added_extension("json"));
        assert!(String::from_utf8_lossy(&json).contains(r#""reason":"bad""#));

        disk.set_read_only(true);
        quarantine.keep_file(Path::new("log"), "worse");
        assert_eq!((quarantine.count(), quarantine.reports()[1].kept.clone()), (2, None));
        assert_eq!(disk.read_file(Path::new("log")), b"0123456789");
    }
}
