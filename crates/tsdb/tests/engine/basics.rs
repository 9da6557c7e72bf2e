//! What is appended is read, before and after seals, checkpoints, merges and starts.

use std::sync::Arc;
use std::time::Duration;

use model::histogram::{Histogram, IntHistogram, ResetHint, Span};
use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::storage::{
    Appendable, Durability, Exemplar, Metadata, Queryable, Refusal, SampleValue, Sender, SeriesRef, TimeRange,
    stale_nan,
};
use model::time::Timestamp;
use tsdb::io::{Disk, FaultyDisk};
use tsdb::options::Options;

use crate::world::{
    NOW, START, clock, column, contents, contents_of, open, open_with, options, root, scrape, sender, series,
};

/// Scrapes of 70 series with constants, counters, floats and special values; every 7th series misses some.
fn fill(db: &tsdb::db::Db, from: i64, scrapes: i64) {
    let (mut appender, refs) = sender(db, "fill", 70);
    for at in 0..scrapes {
        let time = from + at * 15_000 + (at * 7919 % 5);
        for (n, series) in refs.iter().enumerate() {
            if n % 7 == 3 && (at as usize + n) % 5 < 2 {
                continue;
            }
            appender.append(*series, Timestamp(time), value(n, at));
        }
        appender.commit(Durability::Written).expect("the disk is good");
    }
}

fn value(n: usize, at: i64) -> f64 {
    match n % 6 {
        0 => 1.0,
        1 => (at * 17) as f64,
        2 => at as f64 * 0.25 - 3.0,
        3 => (at as f64).sin() * 1e6,
        4 if at % 9 == 0 => stale_nan(),
        4 => -0.0,
        _ => f64::from_bits(0x7ff8_0000_0000_0000 | at as u64),
    }
}

#[test]
fn a_scrape_is_visible_after_its_commit_and_not_before() {
    let db = open(&FaultyDisk::new(1));
    let (mut appender, refs) = sender(&db, "a", 3);
    appender.append_row(&refs, Timestamp(START), &[1.0, 2.0, 3.0]);
    assert!(contents(&db).is_empty());
    let before = db.snapshot().expect("it is open");
    let committed = appender.commit(Durability::Written).expect("the disk is good");
    assert_eq!((committed.appended, committed.refused.len()), (3, 0));
    assert_eq!(column(&db, &series("a", 1)), [(START, 2.0)]);
    assert!(before.series(&[], TimeRange::ALL, 0).expect("it is open").items.is_empty());
    appender.append_row(&refs, Timestamp(START + 1), &[1.0, 2.0, 3.0]);
    appender.rollback();
    appender.commit(Durability::Synced).expect("the disk is good");
    assert_eq!(column(&db, &series("a", 1)), [(START, 2.0)]);
}

#[test]
fn everything_survives_seal_merge_checkpoint_and_start() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    fill(&db, START, 200);
    let written = contents(&db);
    assert_eq!(written.len(), 70);
    let check = |db: &tsdb::db::Db, when: &str| assert_eq!(contents(db), written, "after {when}");

    db.checkpoint().expect("the disk is good");
    check(&db, "a checkpoint");
    drop(db);
    let db = open_with(&disk.kill(), options(), &clock);
    check(&db, "a start from a checkpoint");
    drop(db);
    let db = open_with(&disk, options(), &clock);
    clock.advance(Duration::from_secs(3600));
    db.maintain().expect("the disk is good");
    db.maintain().expect("the disk is good");
    assert!(db.stats().seals >= 3, "{:?}", db.stats());
    check(&db, "seals");
    drop(db);
    let db = open_with(&disk, options(), &clock);
    check(&db, "a start from parts and the log");
    db.flush().expect("the disk is good");
    assert_eq!(db.stats().parts, 1);
    check(&db, "a flush");
    db.close().expect("the disk is good");
    drop(db);
    check(&open_with(&disk, options(), &clock), "a close");
}

#[test]
fn a_window_begun_after_a_start_without_checkpoint_is_not_mistaken_for_a_sealed_one() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    fill(&db, START, 10);
    db.seal_all().expect("the disk is good");
    let disk = disk.kill();
    let db = open_with(&disk, options(), &clock);
    fill(&db, START + 1_000_000, 10);
    db.checkpoint().expect("the disk is good");
    let written = contents(&db);
    assert_eq!(contents(&open_with(&disk.kill(), options(), &clock)), written);
}

#[test]
fn a_kill_without_any_checkpoint_loses_nothing() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    fill(&db, START, 130);
    let written = contents(&db);
    let again = open_with(&disk.kill(), options(), &clock);
    assert_eq!(contents(&again), written);
    // And once more, from a log of two processes.
    fill(&again, START + 200 * 15_000, 10);
    let written = contents(&again);
    assert_eq!(contents(&open_with(&disk.kill(), options(), &clock)).len(), 70, "the first one goes on");
    drop((again, db));
    assert_eq!(written.len(), 70);
}

#[test]
fn late_samples_are_taken_within_their_window_and_refused_by_name_beyond() {
    let clock = clock();
    let settings = Options { out_of_order_window: Duration::from_secs(300), ..options() };
    let disk = FaultyDisk::new(1);
    let db = open_with(&disk, settings.clone(), &clock);
    let (mut appender, refs) = sender(&db, "a", 2);
    for at in 0..30 {
        scrape(&mut *appender, &refs, START + at * 10_000, |n| n as f64);
    }
    let newest = START + 290_000;
    for (time, value) in
        [(newest - 5, 7.0), (newest - 300_000, 8.0), (newest - 300_001, 9.0), (newest, 0.0), (newest, 1.0)]
    {
        appender.append(refs[0], Timestamp(time), value);
    }
    appender.append(refs[1], Timestamp(NOW + 600_001), 1.0);
    let committed = appender.commit(Durability::Written).expect("the disk is good");
    assert_eq!((committed.appended, committed.late, committed.duplicates), (2, 2, 1));
    let reasons: Vec<Refusal> = committed.refused.into_iter().map(|refused| refused.reason).collect();
    assert_eq!(reasons, [Refusal::TooOld, Refusal::DuplicateTimestamp, Refusal::TooFarAhead]);
    let read = column(&db, &series("a", 0));
    assert_eq!((read[0], read[30]), ((newest - 300_000, 8.0), (newest - 5, 7.0)));
    let written = contents(&db);
    drop(db);
    let db = open_with(&disk.kill(), settings.clone(), &clock);
    assert_eq!(contents(&db), written);
    db.seal_all().expect("the disk is good");
    assert_eq!(contents(&db), written);
}

#[test]
fn a_series_with_nothing_newer_may_be_filled_at_any_time() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let (mut live, live_refs) = sender(&db, "live", 1);
    scrape(&mut *live, &live_refs, START, |_| 1.0);
    // Days before the newest sample of the store.
    let past = START - 3 * 86_400_000;
    let (mut old, old_refs) = sender(&db, "old", 1);
    for at in 0..300 {
        let committed = scrape(&mut *old, &old_refs, past + at * 15_000, |_| at as f64);
        assert_eq!(committed.appended, 1, "{committed:?}");
    }
    db.seal_all().expect("the disk is good");
    assert_eq!(column(&db, &series("old", 0)).len(), 300);
    // A new process knows the series only from the parts, and still refuses what is older than its newest sample.
    let other = FaultyDisk::new(2);
    drop(db);
    for path in disk.files() {
        if !path.starts_with(root().join("head")) && !path.starts_with(root().join("log")) {
            if let Some(folder) = path.parent() {
                other.create_dir_all(folder).expect("a folder");
            }
            other.write_file(&path, &disk.read_file(&path));
        }
    }
    let db = open_with(&other, options(), &clock);
    let (mut old, old_refs) = sender(&db, "old", 1);
    let newest = past + 299 * 15_000;
    for (time, value) in [(past, 5.0), (newest, 299.0), (newest, 1.0), (newest + 1, 1.0)] {
        old.append(old_refs[0], Timestamp(time), value);
    }
    let committed = old.commit(Durability::Written).expect("the disk is good");
    assert_eq!((committed.appended, committed.duplicates), (1, 1));
    let reasons: Vec<Refusal> = committed.refused.into_iter().map(|refused| refused.reason).collect();
    assert_eq!(reasons, [Refusal::OutOfOrder, Refusal::DuplicateTimestamp]);
    // Before what retention keeps nothing is taken.
    let (mut ancient, refs) = sender(&db, "ancient", 1);
    let committed = scrape(&mut *ancient, &refs, START - 16 * 86_400_000, |_| 1.0);
    assert_eq!(committed.refused[0].reason, Refusal::TooOld);
}

fn histogram(count: u64) -> Arc<IntHistogram> {
    Arc::new(IntHistogram {
        hint: ResetHint::NotReset,
        schema: 3,
        zero_threshold: 1e-128,
        count,
        sum: count as f64 * 0.3,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 1, length: 1 }],
        positive_deltas: vec![count as i64, -1, 4],
        ..IntHistogram::default()
    })
}

#[test]
fn histograms_start_times_and_floats_live_side_by_side() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let mut appender = db.appender(Sender("h")).expect("it is open");
    let refs: Vec<SeriesRef> = (0..3).map(|n| appender.resolve(&series("h", n)).expect("there is room")).collect();
    let custom = Arc::new(Histogram {
        schema: model::histogram::CUSTOM_BUCKETS_SCHEMA,
        count: 3.0,
        sum: 7.5,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        custom_values: Some(Arc::from([0.5, 1.0])),
        ..Histogram::default()
    });
    for at in 0..150 {
        let time = Timestamp(START + at * 10_000);
        appender.append_value(refs[0], time, &SampleValue::IntHistogram(histogram(at as u64 + 1)), START);
        let mixed =
            if at % 40 < 20 { SampleValue::Float(at as f64) } else { SampleValue::Histogram(Arc::clone(&custom)) };
        appender.append_value(refs[1], time, &mixed, 0);
        appender.append_value(refs[2], time, &SampleValue::Float(at as f64), START - 5);
        appender.commit(Durability::Written).expect("the disk is good");
    }
    let bad = SampleValue::IntHistogram(Arc::new(IntHistogram { positive_deltas: vec![1], ..IntHistogram::default() }));
    appender.append_value(refs[0], Timestamp(START + 9_000_000), &bad, 0);
    let committed = appender.commit(Durability::Written).expect("the disk is good");
    assert!(matches!(&committed.refused[0].reason, Refusal::Invalid(_)), "{committed:?}");

    let written = contents(&db);
    let first = &written[&series("h", 0)];
    assert_eq!((first.len(), first[7].2), (150, START));
    assert!(first[7].3.contains("count: 8.0"), "{}", first[7].3);
    assert!(written[&series("h", 1)][5].3.is_empty() && written[&series("h", 1)][25].3.contains("[0.5, 1.0]"));
    drop(db);
    let db = open_with(&disk.kill(), options(), &clock);
    assert_eq!(contents(&db), written);
    db.checkpoint().expect("the disk is good");
    drop(db);
    let db = open_with(&disk.kill(), options(), &clock);
    assert_eq!(contents(&db), written);
    db.flush().expect("the disk is good");
    assert_eq!(contents(&db), written);
}

#[test]
fn exemplars_and_metadata_survive_a_start() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let metadata = Metadata {
        family: "up".to_owned(),
        target: Labels::from_pairs([("job", "x")]),
        kind: "gauge".to_owned(),
        help: "whether it is".to_owned(),
        unit: String::new(),
    };
    let exemplar =
        |time| Exemplar { labels: Labels::from_pairs([("trace_id", "7")]), value: 0.5, time: Timestamp(time) };
    let check = |db: &tsdb::db::Db| {
        let snapshot = db.snapshot().expect("it is open");
        let found = snapshot.exemplars(&[vec![Matcher::equal("n", "0")]], TimeRange::ALL).expect("it can be read");
        assert_eq!(found, [(series("a", 0), vec![exemplar(START), exemplar(START + 1)])]);
        assert_eq!(snapshot.metadata("", 0).expect("it can be read").items, std::slice::from_ref(&metadata));
    };
    let db = open_with(&disk, options(), &clock);
    let (mut appender, refs) = sender(&db, "a", 2);
    appender.exemplar(refs[0], &exemplar(START));
    appender.exemplar(refs[1], &exemplar(START));
    appender.metadata(&metadata);
    scrape(&mut *appender, &refs, START, |_| 1.0);
    for time in [START, START + 1, START] {
        appender.exemplar(refs[0], &exemplar(time));
    }
    appender.commit(Durability::Written).expect("the disk is good");
    check(&db);
    drop((appender, db));
    let db = open_with(&disk, options(), &clock);
    check(&db);
    db.checkpoint().expect("the disk is good");
    drop(db);
    check(&open_with(&disk, options(), &clock));
}

#[test]
fn names_and_values_are_found_in_head_and_parts_alike() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let (mut a, refs) = sender(&db, "a", 12);
    scrape(&mut *a, &refs, START - 1_200_000, |_| 1.0);
    db.seal_all().expect("the disk is good");
    let (mut b, refs) = sender(&db, "b", 12);
    scrape(&mut *b, &refs, START, |_| 1.0);
    let snapshot = db.snapshot().expect("it is open");
    let regex = Matcher::new("n", MatchOp::Regex, "1.*").expect("the pattern compiles");
    let values = snapshot.label_values("__name__", &[vec![regex.clone()]], TimeRange::ALL, 0).expect("readable");
    assert_eq!(values.items, ["a", "b"]);
    let recent = TimeRange::new(Timestamp(START), Timestamp(START));
    let values = snapshot.label_values("__name__", &[], recent, 0).expect("readable");
    assert_eq!(values.items, ["b"]);
    let names = snapshot.label_names(&[vec![regex.clone()]], TimeRange::ALL, 2).expect("readable");
    assert_eq!((names.items, names.truncated), (vec!["__name__".to_owned(), "instance".to_owned()], true));
    let found = snapshot.series(&[vec![regex.clone()], vec![Matcher::equal("n", "2")]], TimeRange::ALL, 0);
    assert_eq!(found.expect("readable").items.len(), 8);
    assert_eq!(contents_of(&db, &[regex], recent).len(), 3);
}

#[test]
fn deleted_samples_are_gone_at_once_and_stay_gone() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let (mut appender, refs) = sender(&db, "a", 4);
    for at in 0..100 {
        scrape(&mut *appender, &refs, START + at * 15_000, |n| (n as i64 + at) as f64);
    }
    let held = db.snapshot().expect("it is open");
    let range = TimeRange::new(Timestamp(START + 150_000), Timestamp(START + 300_000));
    db.delete(&[Matcher::equal("n", "2")], range).expect("the disk is good");
    db.delete(&[Matcher::equal("n", "3")], TimeRange::ALL).expect("the disk is good");
    let check = |db: &tsdb::db::Db, when: &str| {
        let found = contents(db);
        assert_eq!((found.len(), found[&series("a", 2)].len()), (3, 89), "after {when}");
    };
    check(&db, "the deletion");
    let disk = disk.kill();
    let db = open_with(&disk, options(), &clock);
    check(&db, "a start");
    db.clean_tombstones().expect("the disk is good");
    assert_eq!(db.stats().tombstones, 0);
    check(&db, "cleaning");
    // What is written after a deletion is not deleted by it.
    let (mut appender, refs) = sender(&db, "a", 4);
    let committed = scrape(&mut *appender, &refs, START + 100 * 15_000, |_| 1.0);
    assert_eq!(committed.appended, 4);
    assert_eq!(column(&db, &series("a", 3)), [(START + 100 * 15_000, 1.0)]);
    // A reader that came before still sees what it saw.
    assert_eq!(held.series(&[], TimeRange::ALL, 0).expect("readable").items.len(), 4);
    assert!(db.delete(&[], TimeRange::ALL).is_err());
}

#[test]
fn history_has_another_number_once_something_old_is_not_what_it_was() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, Options { out_of_order_window: Duration::from_secs(600), ..options() }, &clock);
    let number = || db.history_generation().expect("it counts");
    let (mut appender, refs) = sender(&db, "a", 3);
    let first = number();
    for at in 0..50 {
        scrape(&mut *appender, &refs, START + at * 15_000, |n| n as f64);
    }
    db.seal_all().expect("the disk is good");
    db.checkpoint().expect("the disk is good");
    assert_eq!(number(), first, "newest samples, a seal and a checkpoint change nothing that was");
    appender.append(refs[1], Timestamp(START + 49 * 15_000 - 7), 5.0);
    assert_eq!(appender.commit(Durability::Written).expect("the disk is good").late, 1);
    let late = number();
    assert_ne!(late, first, "a late sample");
    // A new series that is filled from long ago has nothing newer, yet answers about that time change.
    let old = appender.resolve(&series("old", 1)).expect("there is room");
    appender.append(old, Timestamp(START - 7_200_000), 1.0);
    appender.commit(Durability::Written).expect("the disk is good");
    assert_eq!(number(), late, "the newest of its series: the number of series says so");
    db.delete(&[Matcher::equal("n", "2")], TimeRange::ALL).expect("the disk is good");
    assert_ne!(number(), late, "a deletion");
}

#[test]
fn retention_drops_whole_parts_by_time_and_by_size() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    fill(&db, START, 50);
    db.seal_all().expect("the disk is good");
    clock.advance(Duration::from_secs(14 * 86_400));
    db.maintain().expect("the disk is good");
    assert_eq!(contents(&db).len(), 70);
    clock.advance(Duration::from_secs(2 * 86_400));
    db.maintain().expect("the disk is good");
    assert!(contents(&db).is_empty());
    assert_eq!(db.immutable_files().len(), 0);

    fill(&db, START + 16 * 86_400_000, 100);
    db.flush().expect("the disk is good");
    drop(db);
    let small = Options { retention_bytes: 1, ..options() };
    clock.advance(Duration::from_secs(2 * 86_400));
    let db = open_with(&disk, small, &clock);
    assert_eq!(db.stats().parts, 1);
    db.maintain().expect("the disk is good");
    assert!(disk.files().iter().all(|path| path.extension().is_none_or(|extension| extension != "part")));
}

#[test]
fn a_snapshot_is_a_database_of_its_own() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    fill(&db, START, 60);
    let written = contents(&db);
    let target = std::path::Path::new("copy");
    db.snapshot_to(target).expect("the disk is good");
    assert!(db.snapshot_to(target).is_err());
    fill(&db, START + 100 * 15_000, 3);
    db.delete(&[Matcher::equal("n", "1")], TimeRange::ALL).expect("the disk is good");
    db.flush().expect("the disk is good");
    let copy = tsdb::db::Db::open(target, options(), Arc::new(disk.clone()), clock.clone()).expect("it opens");
    assert_eq!(contents(&copy), written);
}

#[test]
fn two_processes_cannot_share_a_folder_and_another_version_is_left_alone() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let again = tsdb::db::Db::open(root(), options(), Arc::new(disk.clone()), clock.clone());
    assert!(again.expect_err("it is in use").to_string().contains("another process"));
    drop(db);
    disk.write_file(&root().join("FORMAT"), &tsdb::manifest::format_record(99));
    let files = disk.files();
    let refused = tsdb::db::Db::open(root(), options(), Arc::new(disk.clone()), clock.clone());
    assert!(refused.expect_err("it is of another version").to_string().contains("version 99"));
    assert_eq!(disk.files(), files);
}

#[test]
fn series_that_are_long_gone_are_forgotten_and_may_come_back() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let (mut churn, refs) = sender(&db, "churn", 10_200);
    scrape(&mut *churn, &refs, START, |n| n as f64);
    let (mut live, live_refs) = sender(&db, "live", 100);
    for at in 0..200 {
        clock.set(Timestamp(START + at * 15_000));
        scrape(&mut *live, &live_refs, START + at * 15_000, |n| n as f64);
        if at % 40 == 0 {
            db.maintain().expect("the disk is good");
        }
    }
    let live_only = |db: &tsdb::db::Db| contents_of(db, &[Matcher::equal("__name__", "live")], TimeRange::ALL);
    let (written, live_before) = (contents(&db), live_only(&db));
    for _ in 0..3 {
        clock.advance(Duration::from_secs(700));
        db.maintain().expect("the disk is good");
    }
    assert!(db.stats().head_series < 1000, "{:?}", db.stats());
    assert_eq!(contents(&db), written);
    // Old references are refused by name; after resolving again everything goes on.
    live.append(live_refs[5], Timestamp(clock_now(&clock)), 1.0);
    let committed = live.commit(Durability::Written).expect("the disk is good");
    assert_eq!(committed.refused[0].reason, Refusal::UnknownSeries);
    let (mut live, live_refs) = sender(&db, "live", 100);
    let committed = scrape(&mut *live, &live_refs, clock_now(&clock), |n| n as f64);
    assert_eq!(committed.appended, 100);
    let written = live_only(&db);
    assert_eq!(written.values().map(Vec::len).sum::<usize>(), live_before.values().map(Vec::len).sum::<usize>() + 100);
    assert_eq!(live_only(&open_with(&disk.kill(), options(), &clock)), written);
}

fn clock_now(clock: &model::time::ManualClock) -> i64 {
    use model::time::Clock;
    clock.now().millis()
}

#[test]
fn times_of_their_own_and_gaps_of_every_kind_come_back() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let (mut appender, refs) = sender(&db, "own", 64);
    let mut expected = std::collections::BTreeMap::<usize, Vec<(i64, f64)>>::new();
    let mut random = tsdb::seeded::Seeded::new(3);
    let mut times = vec![START - 7_200_000; 64];
    for at in 0..700 {
        for n in 0..64 {
            // Some share a clock, some are late on it, some skip hundreds of rows, some go their own way.
            let step = match n % 4 {
                0 => 10_000,
                1 => 10_000 + random.below(3) as i64,
                2 if random.one_in(50) => 400_000,
                2 => 10_000,
                _ => 1 + random.below(20_000) as i64,
            };
            times[n] = if n % 4 == 0 { START - 7_200_000 + at * 10_000 } else { times[n] + step };
            if times[n] <= START + 500_000 {
                appender.append(refs[n], Timestamp(times[n]), at as f64);
                expected.entry(n).or_default().push((times[n], at as f64));
            }
        }
        let committed = appender.commit(Durability::Written).expect("the disk is good");
        assert!(committed.refused.is_empty(), "{:?}", committed.refused);
    }
    let check = |db: &tsdb::db::Db, when: &str| {
        let found = contents(db);
        for (n, expected) in &expected {
            let rows = &found[&series("own", *n)];
            let rows: Vec<(i64, f64)> = rows.iter().map(|row| (row.0, f64::from_bits(row.1))).collect();
            assert_eq!(&rows, expected, "series {n} after {when}");
        }
    };
    check(&db, "appending");
    db.checkpoint().expect("the disk is good");
    drop(db);
    let db = open_with(&disk.kill(), options(), &clock);
    check(&db, "a start");
    db.seal_all().expect("the disk is good");
    check(&db, "a seal");
}
