//! Bad disks: it always opens, loses only what is damaged, says so, and never answers wrongly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::storage::{Durability, StorageError};
use model::time::{ManualClock, Timestamp};
use tests::depth;
use tsdb::db::Db;
use tsdb::io::{Disk, Fault, FaultKind, FaultyDisk};
use tsdb::options::Options;

use crate::world::{Row, START, clock, contents, open_with, options, root, scrape, sender};

/// A small database with everything in it: parts, a checkpoint, a spill, a log with chained records.
pub(crate) fn small(clock: &Arc<ManualClock>) -> (FaultyDisk, BTreeMap<Labels, Vec<Row>>) {
    let disk = FaultyDisk::new(1);
    let db = open_with(&disk, options(), clock);
    let (mut appender, refs) = sender(&db, "a", 3);
    for at in 0..30 {
        scrape(&mut *appender, &refs, START - 900_000 + at * 10_000, |n| (at * n as i64) as f64);
    }
    db.seal_all().expect("the disk is good");
    for at in 30..38 {
        scrape(&mut *appender, &refs, START - 900_000 + at * 10_000, |n| (at * n as i64) as f64);
    }
    db.checkpoint().expect("the disk is good");
    for at in 38..45 {
        scrape(&mut *appender, &refs, START - 900_000 + at * 10_000, |n| (at * n as i64) as f64);
    }
    let written = contents(&db);
    let left = disk.kill();
    drop(db);
    (left, written)
}

/// Everything that is read was written.
#[track_caller]
fn check_no_wrong_value(found: &BTreeMap<Labels, Vec<Row>>, written: &BTreeMap<Labels, Vec<Row>>, what: &str) {
    for (labels, rows) in found {
        let known = written.get(labels).unwrap_or_else(|| panic!("{what}: {labels} was never written"));
        for row in rows {
            assert!(known.contains(row), "{what}: {labels} has {row:?}, which was never written");
        }
    }
}

fn rows(contents: &BTreeMap<Labels, Vec<Row>>) -> usize {
    contents.values().map(Vec::len).sum()
}

/// A copy of a disk, so that each case begins with the same files.
pub(crate) fn copy(disk: &FaultyDisk, files: &[PathBuf]) -> FaultyDisk {
    let copy = FaultyDisk::new(9);
    for path in files {
        if let Some(folder) = path.parent() {
            copy.create_dir_all(folder).expect("a folder");
        }
        copy.write_file(path, &disk.read_file(path));
    }
    copy
}

fn open_damaged(disk: &FaultyDisk, clock: &Arc<ManualClock>, what: &str) -> Option<Db> {
    let clock: Arc<dyn model::time::Clock> = Arc::clone(clock) as _;
    match Db::open(root(), options(), Arc::new(disk.clone()), clock) {
        Ok(db) => Some(db),
        // A flipped bit of the version cannot pass its checksum, so nothing may be refused.
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn a_flipped_bit_anywhere_never_keeps_it_from_opening_nor_changes_a_value() {
    let clock = clock();
    let (disk, written) = small(&clock);
    let files: Vec<PathBuf> = disk.files();
    assert!(files.len() >= 5, "{files:?}");
    let mut worst = rows(&written);
    for file in &files {
        let bytes = disk.read_file(file).len() as u64;
        // Another bit for each byte.
        let step = depth::pick(if bytes > 300 { 23 } else { 5 }, 1);
        for byte in (0..bytes).step_by(step) {
            let what = format!("bit {} of byte {byte} of {}", byte % 8, file.display());
            let bad = copy(&disk, &files);
            bad.flip_bit(file, byte, (byte % 8) as u8);
            let Some(db) = open_damaged(&bad, &clock, &what) else { continue };
            let found = contents(&db);
            check_no_wrong_value(&found, &written, &what);
            if found != written {
                let report = db.quarantine();
                assert!(!report.is_empty(), "{what}: something is missing and nobody was told");
            }
            worst = worst.min(rows(&found));
            // And it goes on working.
            let (mut appender, refs) = sender(&db, "a", 1);
            scrape(&mut *appender, &refs, START, |_| 1.0);
        }
    }
    // The most that one bit costs here is the part, or what stands behind a damaged record in the log.
    assert!(worst >= 24, "{worst} rows left of {}", rows(&written));
}

#[test]
fn a_cut_anywhere_never_keeps_it_from_opening_nor_changes_a_value() {
    let clock = clock();
    let (disk, written) = small(&clock);
    let files: Vec<PathBuf> = disk.files();
    for file in &files {
        let bytes = disk.read_file(file).len() as u64;
        let step = depth::pick(if bytes > 300 { 29 } else { 3 }, 1);
        for len in (0..bytes).step_by(step) {
            let what = format!("{} cut to {len} bytes", file.display());
            let bad = copy(&disk, &files);
            bad.truncate_file(file, len);
            let Some(db) = open_damaged(&bad, &clock, &what) else { continue };
            check_no_wrong_value(&contents(&db), &written, &what);
            db.maintain().expect("the disk is good");
        }
    }
}

#[test]
fn a_missing_file_never_keeps_it_from_opening() {
    let clock = clock();
    let (disk, written) = small(&clock);
    let files: Vec<PathBuf> = disk.files();
    for file in &files {
        let bad = copy(&disk, &files);
        bad.remove(file).expect("it is there");
        let db = open_damaged(&bad, &clock, &file.display().to_string()).expect("it opens");
        let found = contents(&db);
        check_no_wrong_value(&found, &written, &file.display().to_string());
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if ["FORMAT", "MANIFEST", "LOCK"].contains(&name.as_str()) {
            assert_eq!(found, written, "{name} can be made anew");
            assert!(bad.files().iter().any(|path| path.ends_with("FORMAT")));
        }
    }
}

/// Runs a whole life on a disk whose operation number `n` fails, then opens what is left.
fn life(n: u64, fault: Fault, power_loss: bool) -> u64 {
    let clock = clock();
    let disk = FaultyDisk::new(n);
    let settings = Options { segment_bytes: 4_000, ..options() };
    disk.fail_at(n, fault);
    let mut acknowledged: Vec<(usize, i64)> = Vec::new();
    let mut synced: Vec<(usize, i64)> = Vec::new();
    let opened = Db::open(root(), settings.clone(), Arc::new(disk.clone()), clock.clone());
    if let Ok(db) = opened {
        let (mut appender, refs) = sender(&db, "a", 5);
        for at in 0..40i64 {
            let time = START + at * 15_000;
            let durability = if at % 3 == 0 { Durability::Synced } else { Durability::Written };
            appender.append_row(&refs, Timestamp(time), &[at as f64; 5]);
            match appender.commit(durability) {
                Ok(_) => {
                    acknowledged.extend((0..5).map(|series| (series, time)));
                    if durability == Durability::Synced {
                        synced.clone_from(&acknowledged);
                    }
                }
                Err(StorageError::NotSynced(_) | StorageError::NoSpace(_) | StorageError::Io(_)) => {}
                Err(other) => panic!("operation {n}: {other}"),
            }
            clock.advance(Duration::from_secs(15));
            if at % 10 == 9 {
                let _ = db.checkpoint();
            }
            if at % 16 == 15 {
                let _ = db.seal_all();
            }
            if at == 35 {
                let _ = db.flush();
            }
        }
        drop(appender);
        let _ = db.close();
    }
    let operations = disk.operations();
    let left = if power_loss { disk.crash(n) } else { disk.kill() };
    let db = open_with(&left, settings, &clock);
    let found = contents(&db);
    for (series, time) in if power_loss { &synced } else { &acknowledged } {
        let rows = found.get(&crate::world::series("a", *series)).map(Vec::as_slice).unwrap_or_default();
        assert!(
            rows.iter().any(|row| row.0 == *time),
            "operation {n}, {fault:?}: series {series} at {} was acknowledged, reports {:?}",
            (time - START) / 15_000,
            db.quarantine()
        );
    }
    operations
}

#[test]
fn whichever_operation_fails_nothing_acknowledged_is_lost() {
    let never = Fault { kind: FaultKind::Io, short_write: false, sticky: false };
    let operations = life(u64::MAX, never, false);
    assert!(operations > 100);
    let step = depth::pick(13, 1);
    for kind in [FaultKind::Io, FaultKind::NoSpace] {
        for short_write in [false, true] {
            // Another beginning for each kind, so that together they meet most operations.
            let from = u64::from(short_write) * 3 + u64::from(kind == FaultKind::Io) * 6;
            for n in (from..operations).step_by(step) {
                life(n, Fault { kind, short_write, sticky: false }, false);
            }
        }
    }
}

#[test]
fn whichever_operation_fails_before_a_power_loss_nothing_synced_is_lost() {
    let never = Fault { kind: FaultKind::Io, short_write: false, sticky: false };
    let operations = life(u64::MAX, never, true);
    for n in (0..operations).step_by(depth::pick(7, 1)) {
        life(n, Fault { kind: FaultKind::Io, short_write: n % 2 == 0, sticky: false }, true);
    }
}

/// A database whose only window has blocks in a file, and what it holds.
fn spilled(clock: &Arc<ManualClock>) -> (FaultyDisk, Db, BTreeMap<Labels, Vec<Row>>) {
    let disk = FaultyDisk::new(1);
    let db = open_with(&disk, options(), clock);
    let (mut appender, refs) = sender(&db, "a", 3);
    for at in 0..150 {
        scrape(&mut *appender, &refs, START + at * 1_000, |n| (at * n as i64) as f64);
    }
    db.checkpoint().expect("the disk is good");
    let written = contents(&db);
    (disk, db, written)
}

#[test]
fn a_seal_that_meets_a_passing_fault_loses_nothing() {
    for n in (0..60).step_by(depth::pick(3, 1)) {
        let clock = clock();
        let (disk, db, written) = spilled(&clock);
        disk.fail_at(disk.operations() + n, Fault { kind: FaultKind::Io, short_write: false, sticky: false });
        let _ = db.seal_all();
        disk.heal();
        assert_eq!(contents(&db), written, "operation {n}");
        db.seal_all().expect("the disk is good again");
        assert_eq!(contents(&db), written, "operation {n}");
        drop(db);
        assert_eq!(contents(&open_with(&disk, options(), &clock)), written, "operation {n}");
    }
}

#[test]
fn a_death_right_after_a_failed_seal_merge_or_deletion_loses_nothing() {
    let never = Fault { kind: FaultKind::Io, short_write: false, sticky: false };
    let run = |n: u64, sticky: bool| -> u64 {
        let clock = clock();
        let (disk, db, _) = spilled(&clock);
        db.seal_all().expect("the disk is good");
        let (mut appender, refs) = sender(&db, "a", 3);
        for at in 150..300 {
            scrape(&mut *appender, &refs, START + at * 1_000, |n| (at * n as i64) as f64);
        }
        db.checkpoint().expect("the disk is good");
        let written = contents(&db);
        let before = disk.operations();
        disk.fail_at(before.saturating_add(n), Fault { sticky, ..never });
        let _ = db.flush();
        let after = disk.operations() - before;
        for (what, left) in [("a kill", disk.kill()), ("a power loss", disk.crash(n))] {
            left.heal();
            let again = open_with(&left, options(), &clock);
            assert_eq!(contents(&again), written, "operation {n}, {what}: {:?}", again.quarantine());
        }
        // And if it lives on, too.
        disk.heal();
        db.flush().expect("the disk is good again");
        assert_eq!(contents(&db), written, "operation {n}");
        drop((appender, db));
        let again = open_with(&disk.kill(), options(), &clock);
        assert_eq!(contents(&again), written, "operation {n}");
        assert!(again.quarantine().is_empty(), "operation {n}: {:?}", again.quarantine());
        after
    };
    let operations = run(u64::MAX, false);
    assert!(operations > 30);
    for n in (0..operations).step_by(depth::pick(4, 1)) {
        run(n, n % 8 == 0);
    }
}

#[test]
fn a_death_after_a_checkpoint_that_met_a_fault_loses_nothing() {
    for n in (0..40).step_by(depth::pick(3, 1)) {
        let clock = clock();
        let (disk, db, _) = spilled(&clock);
        let (mut appender, refs) = sender(&db, "a", 3);
        let mut more = |from: i64| {
            for at in from..from + 20 {
                scrape(&mut *appender, &refs, START + at * 1_000, |n| (at * n as i64) as f64);
            }
        };
        more(200);
        db.checkpoint().expect("the disk is good");
        more(300);
        disk.fail_at(disk.operations() + n, Fault { kind: FaultKind::Io, short_write: false, sticky: false });
        let _ = db.checkpoint();
        disk.heal();
        more(400);
        let written = contents(&db);
        for again in 0..3 {
            let left = open_with(&disk.kill(), options(), &clock);
            assert_eq!(contents(&left), written, "operation {n}, {again}: {:?}", left.quarantine());
            db.checkpoint().expect("the disk is good again");
        }
    }
}

#[test]
fn a_window_with_a_bad_block_is_sealed_without_it_in_the_end_and_its_bytes_are_kept() {
    let clock = clock();
    let (disk, db, written) = spilled(&clock);
    let path = disk.files().into_iter().find(|path| path.extension().is_some_and(|e| e == "spill")).expect("a spill");
    disk.flip_bit(&path, 40, 1);
    assert!(db.seal_all().is_err() && db.seal_all().is_err(), "it may have been a passing fault");
    db.seal_all().expect("the rest is sealed");
    let found = contents(&db);
    check_no_wrong_value(&found, &written, "a bad block");
    assert!(rows(&found) + 128 >= rows(&written) && rows(&found) < rows(&written), "one block is lost");
    assert!(!disk.files().contains(&path));
    assert!(db.quarantine().iter().any(|report| report.file == path && report.kept.is_some()));
}

#[test]
fn a_full_disk_refuses_writes_by_name_and_writing_resumes_by_itself() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let (mut appender, refs) = sender(&db, "a", 10);
    scrape(&mut *appender, &refs, START, |n| n as f64);
    disk.set_capacity(Some(0));
    for at in 1..20 {
        appender.append_row(&refs, Timestamp(START + at), &[1.0; 10]);
        let refused = appender.commit(Durability::Written).expect_err("the disk is full");
        assert!(matches!(refused, StorageError::NoSpace(_)), "{refused}");
    }
    // Everything but writing goes on.
    assert_eq!(contents(&db).len(), 10);
    let _ = db.maintain();
    disk.set_capacity(None);
    let committed = scrape(&mut *appender, &refs, START + 100, |n| n as f64);
    assert_eq!((committed.appended, committed.duplicates), (10, 0));
    let written = contents(&db);
    assert_eq!(rows(&written), 20);
    drop((appender, db));
    assert_eq!(contents(&open_with(&disk, options(), &clock)), written);
}

#[test]
fn a_read_only_disk_opens_and_is_read() {
    let clock = clock();
    let (disk, written) = small(&clock);
    disk.set_read_only(true);
    let db = open_with(&disk, options(), &clock);
    assert_eq!(contents(&db), written);
    let (mut appender, refs) = sender(&db, "a", 1);
    appender.append(refs[0], Timestamp(START), 1.0);
    assert!(appender.commit(Durability::Written).is_err());
    assert_eq!(contents(&db), written);
    disk.set_read_only(false);
    appender.append(refs[0], Timestamp(START), 1.0);
    appender.commit(Durability::Written).expect("the disk can be written to again");
}

#[test]
fn after_a_failed_sync_a_retry_is_durable_only_through_a_checkpoint() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let (mut appender, refs) = sender(&db, "a", 3);
    scrape(&mut *appender, &refs, START, |_| 1.0);
    let commit = |appender: &mut dyn model::storage::Appender| {
        appender.append_row(&refs, Timestamp(START + 1), &[2.0; 3]);
        appender.commit(Durability::Synced)
    };
    // The append itself succeeds, the sync after it does not.
    disk.fail_at(disk.operations() + 1, Fault { kind: FaultKind::Io, short_write: false, sticky: false });
    let failed = commit(&mut *appender).expect_err("the sync failed");
    assert!(matches!(failed, StorageError::NotSynced(_)), "{failed}");
    let committed = commit(&mut *appender).expect("the retry finds a way");
    assert_eq!((committed.appended, committed.duplicates), (0, 3));
    assert_eq!((db.stats().sync_failures, db.stats().checkpoints), (1, 1));
    let written = contents(&db);
    drop((appender, db));
    for seed in 0..20 {
        assert_eq!(contents(&open_with(&disk.crash(seed), options(), &clock)), written, "seed {seed}");
    }
}

#[test]
fn a_damaged_record_is_put_aside_with_its_reason_and_later_segments_are_kept() {
    let clock = clock();
    let settings = Options { segment_bytes: 600, ..options() };
    let disk = FaultyDisk::new(1);
    let db = open_with(&disk, settings.clone(), &clock);
    let (mut appender, refs) = sender(&db, "a", 4);
    for at in 0..100 {
        scrape(&mut *appender, &refs, START + at * 1_000, |n| (at + n as i64) as f64);
    }
    let written = contents(&db);
    drop((appender, db));
    let second = Path::new("tsdb/log/0000000003.log");
    disk.flip_bit(second, 400, 3);
    let db = open_with(&disk, settings, &clock);
    let found = contents(&db);
    check_no_wrong_value(&found, &written, "a flipped bit");
    let lost = rows(&written) - rows(&found);
    assert!(lost > 0 && lost <= 32 * 4, "{lost} rows lost");
    let last = found.values().next().and_then(|rows| rows.last()).map(|row| row.0);
    assert_eq!(last, Some(START + 99_000));
    let report = &db.quarantine()[0];
    let kept = report.kept.clone().expect("the disk is good");
    assert_eq!((report.file.as_path(), disk.read_file(&kept).len() as u64), (second, report.to - report.from));
    assert!(db.stats().lost_records > 0);
}
