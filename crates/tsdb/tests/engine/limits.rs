//! At a bound only the new series is refused, and it says which.

use model::labels::Labels;
use model::storage::{Appendable, Refusal, Sender};
use tsdb::io::FaultyDisk;
use tsdb::options::{Limits, Options};

use crate::world::{START, clock, contents, open_with, options, scrape, sender, series};

#[track_caller]
fn check(limits: Limits, expected: &str) {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, Options { limits, ..options() }, &clock);
    let (mut appender, refs) = sender(&db, "a", 5);
    let refused = appender.resolve(&series("a", 5)).expect_err("the bound is reached");
    assert!(matches!(refused, Refusal::Limit { .. }));
    assert_eq!(refused.to_string(), expected);
    assert_eq!(appender.resolve(&series("a", 3)), Ok(refs[3]));
    assert_eq!(scrape(&mut *appender, &refs, START, |_| 1.0).appended, 5);
    assert_eq!(contents(&db).len(), 5);
}

#[test]
fn the_bounds_on_series_name_their_offender() {
    check(Limits { series_max: 5, ..Limits::default() }, "series exceeded: 6 of at most 5 (a)");
    check(Limits { series_per_metric_max: 5, ..Limits::default() }, "series of a metric exceeded: 6 of at most 5 (a)");
    check(
        Limits { series_per_sender_max: 5, ..Limits::default() },
        "series of a sender exceeded: 6 of at most 5 (job test, instance host:1)",
    );
}

#[test]
fn a_bound_on_one_metric_or_sender_leaves_the_others_alone() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let limits = Limits { series_per_metric_max: 5, series_per_sender_max: 8, ..Limits::default() };
    let db = open_with(&disk, Options { limits, ..options() }, &clock);
    let (mut appender, _) = sender(&db, "a", 5);
    assert!(appender.resolve(&series("b", 0)).is_ok());
    let mut other = db.appender(Sender("other")).expect("it is open");
    assert!(other.resolve(&series("a", 9)).is_err());
    assert!((0..5).all(|n| other.resolve(&series("c", n)).is_ok()));
}

#[test]
fn senseless_series_are_refused_by_name() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let mut appender = db.appender(Sender("a")).expect("it is open");
    assert!(matches!(appender.resolve(&Labels::empty()), Err(Refusal::Invalid(_))));
    let long = "x".repeat(20_000);
    let refused = appender.resolve(&Labels::from_pairs([("__name__", "up"), ("path", long.as_str())]));
    let message = refused.expect_err("it is too long").to_string();
    assert_eq!(message, "bytes of a label value exceeded: 20000 of at most 16384 (label path of up)");
}

#[test]
fn cardinality_is_counted() {
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let _ = sender(&db, "a", 7);
    let _ = sender(&db, "b", 3);
    let found = db.cardinality(1);
    assert_eq!((found.series, found.series_by_metric), (10, vec![("a".to_owned(), 7)]));
    assert_eq!((db.stats().head_series, db.stats().series_created), (10, 10));
}
