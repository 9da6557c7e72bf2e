//! A real process on a real disk, killed in the middle of its work: whatever it had acknowledged is there afterwards.
//!
//! The child is this test binary again. It tells its parent of each acknowledged batch in a ledger, one line after
//! the commit returned, so the ledger never claims more than was acknowledged.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use model::storage::{Appendable, Durability, Sender, SeriesRef};
use model::time::{Clock, SystemClock};
use tsdb::db::Db;
use tsdb::io::RealDisk;
use tsdb::options::Options;
use tsdb::seeded::Seeded;

use crate::world::{contents, series};

const CHILD: &str = "TSDB_TEST_CHILD_FOLDER";
const SERIES: usize = 50;

fn settings() -> Options {
    Options {
        segment_bytes: 50_000,
        checkpoint_samples: 5_000,
        window: Duration::from_secs(5),
        seal_delay: Duration::ZERO,
        ..Options::default()
    }
}

fn open(folder: &Path) -> Db {
    Db::open(&folder.join("tsdb"), settings(), Arc::new(RealDisk), Arc::new(SystemClock::new())).expect("it opens")
}

/// The work of the child: batches of one value each, as fast as it goes, with maintenance in between.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let folder = PathBuf::from(folder);
    let db = open(&folder);
    let mut ledger = std::fs::File::options().append(true).create(true).open(folder.join("ledger")).expect("a file");
    let mut appender = db.appender(Sender("child")).expect("it is open");
    let refs: Vec<SeriesRef> =
        (0..SERIES).map(|n| appender.resolve(&series("kill", n)).expect("there is room")).collect();
    let clock = SystemClock::new();
    let mut last = 0;
    for round in 0u64.. {
        let time = clock.now().max(model::time::Timestamp(last + 1));
        last = time.millis();
        appender.append_row(&refs, time, &[(round % 1000) as f64; SERIES]);
        let durability = if round % 10 == 0 { Durability::Synced } else { Durability::Written };
        let committed = appender.commit(durability).expect("the disk is good");
        if committed.refused.is_empty() {
            writeln!(ledger, "{last} {}", round % 1000).expect("the disk is good");
        }
        if round % 40 == 39 {
            db.maintain().expect("the disk is good");
        }
    }
}

/// Batches that were acknowledged so far.
fn lines_of(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("ledger")).unwrap_or_default().lines().count()
}

/// Only so that a child that cannot begin does not hang the test.
const CHILD_BEGINS_WITHIN: Duration = Duration::from_secs(60);

fn kills() -> usize {
    tests::depth::pick(20, 200)
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let folder = std::env::temp_dir().join(format!("tsdb-kill-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let binary = std::env::current_exe().expect("this binary");
    let mut random = Seeded::new(17);
    let mut lines = 0;
    for kill in 0..kills() {
        let mut child = Command::new(&binary)
            .args(["--exact", "kill::child_that_appends_until_it_is_killed", "--nocapture"])
            .env(CHILD, &folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the child starts");
        // On a busy machine it may take long before the first batch; the moment of its death counts from there.
        let clock = SystemClock::new();
        let begun = clock.monotonic();
        while lines_of(&folder) == lines && clock.monotonic() - begun < CHILD_BEGINS_WITHIN {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(random.below(150)));
        child.kill().expect("it is ours");
        child.wait().expect("it is dead");
        let ledger = std::fs::read_to_string(folder.join("ledger")).unwrap_or_default();
        let db = open(&folder);
        let found = contents(&db);
        for line in ledger.lines() {
            let Some((time, value)) = line.split_once(' ') else { continue };
            // The last line may be cut in its middle.
            let (Ok(time), Ok(value)) = (time.parse::<i64>(), value.parse::<f64>()) else { continue };
            for n in [0, SERIES - 1] {
                let rows = found.get(&series("kill", n)).map(Vec::as_slice).unwrap_or_default();
                let row = rows.binary_search_by_key(&time, |row| row.0).map(|at| rows[at].1);
                assert_eq!(row, Ok(value.to_bits()), "kill {kill}: series {n} at {time}, {:?}", db.quarantine());
            }
        }
        lines = ledger.lines().count();
        assert!(db.stats().lost_records == 0 || db.quarantine().len() <= 1, "{:?}", db.quarantine());
    }
    assert!(lines >= kills(), "the children did something");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
