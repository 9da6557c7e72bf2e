//! What a reader may rely on besides the samples: any script, the cost before the work, views that stand still.

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::storage::{Appendable, Durability, Queryable, SelectHints, SelectedId, Sender, TimeRange};
use model::time::Timestamp;
use tsdb::io::FaultyDisk;

use crate::world::{START, clock, column, open, open_with, options, scrape, sender, series};

#[test]
fn names_and_values_in_any_script_are_kept_and_found() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let labels = Labels::from_pairs([("__name__", "температура.°C"), ("місто", "Київ 🌻"), ("a b", "\n\"\\\0")]);
    let mut appender = db.appender(Sender("ünïcode")).expect("it is open");
    let reference = appender.resolve(&labels).expect("there is room");
    appender.append(reference, Timestamp(START), 21.5);
    appender.commit(Durability::Written).expect("the disk is good");
    let check = |db: &tsdb::db::Db, when: &str| {
        assert_eq!(column(db, &labels), [(START, 21.5)], "{when}");
        let snapshot = db.snapshot().expect("it is open");
        let names = snapshot.label_names(&[], TimeRange::ALL, 0).expect("readable").items;
        assert_eq!(names, ["__name__", "a b", "місто"], "{when}");
        let matchers = vec![
            Matcher::new("місто", MatchOp::Regex, "К.їв .").expect("the pattern compiles"),
            Matcher::equal("__name__", "температура.°C"),
        ];
        let values = snapshot.label_values("a b", &[matchers], TimeRange::ALL, 0).expect("readable").items;
        assert_eq!(values, ["\n\"\\\0"], "{when}");
    };
    check(&db, "in the head");
    drop((appender, db));
    let db = open_with(&disk.kill(), options(), &clock);
    check(&db, "after a start");
    db.flush().expect("the disk is good");
    check(&db, "in a part");
}

#[test]
fn what_a_selection_would_decode_is_known_before_anything_is_decoded() {
    let disk = FaultyDisk::new(1);
    let db = open(&disk);
    let (mut appender, refs) = sender(&db, "a", 20);
    for at in 0..300 {
        scrape(&mut *appender, &refs, START - 3_600_000 + at * 10_000, |n| (at * 31 + n as i64).pow(2) as f64);
        if at == 200 {
            db.seal_all().expect("the disk is good");
        }
    }
    let snapshot = db.snapshot().expect("it is open");
    let ask = |from: i64, to: i64, series: &str| {
        let range =
            TimeRange::new(Timestamp(START - 3_600_000 + from * 10_000), Timestamp(START - 3_600_000 + to * 10_000));
        let matchers = [Matcher::new("n", MatchOp::Regex, series).expect("the pattern compiles")];
        snapshot.select(&matchers, range, &SelectHints::default()).expect("readable")
    };
    let before = disk.operations();
    let (whole, one) = (ask(0, 300, ".*"), ask(0, 300, "7"));
    assert_eq!((whole.samples_max, one.samples_max), (6_000, 300));
    assert!(whole.bytes_max > 6_000 && whole.bytes_max <= 6_000 * 16, "{}", whole.bytes_max);
    assert!(one.bytes_max * 15 < whole.bytes_max, "{} of {}", one.bytes_max, whole.bytes_max);
    let few = ask(100, 101, ".*");
    assert!(few.samples_max >= 40 && few.samples_max < 6_000, "{}", few.samples_max);
    assert!(ask(400, 500, ".*").labels.is_empty());
    // Indexes and directories may be read from the disk, the columns are not.
    let asked = disk.operations() - before;
    let mut cursor = whole.reader.cursor();
    let read: usize = (0..20).map(|id| cursor.read(SelectedId(id)).expect("readable").times.len()).sum();
    assert_eq!(read, 6_000);
    assert!(disk.operations() > before + asked, "the values were not read before");
}

#[test]
fn a_held_view_stands_still_through_everything() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let (mut appender, refs) = sender(&db, "a", 5);
    for at in 0..200 {
        scrape(&mut *appender, &refs, START - 3_600_000 + at * 10_000, |_| at as f64);
    }
    let held = db.snapshot().expect("it is open");
    let selection = held.select(&[], TimeRange::ALL, &SelectHints::default()).expect("readable");
    let check = |when: &str| {
        let mut cursor = selection.reader.cursor();
        for id in 0..5 {
            let column = cursor.read(SelectedId(id)).expect("readable");
            assert!(column.values.iter().copied().eq((0..200).map(f64::from)), "after {when}");
        }
    };
    scrape(&mut *appender, &refs, START, |_| -1.0);
    check("a batch");
    db.seal_all().expect("the disk is good");
    check("a seal");
    db.flush().expect("the disk is good");
    check("a merge");
    db.delete(&[Matcher::equal("__name__", "a")], TimeRange::ALL).expect("the disk is good");
    db.clean_tombstones().expect("the disk is good");
    check("a deletion");
    assert!(column(&db, &series("a", 1)).is_empty());
}
