//! What the tests share: a database on a disk in memory with a clock that stands still, and its contents as plain maps.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{
    Appendable, Appender, Committed, Durability, Queryable, SelectHints, SelectedId, Sender, SeriesRef, TimeRange,
};
use model::time::{ManualClock, Timestamp};
use tsdb::db::Db;
use tsdb::io::{Disk, FaultyDisk};
use tsdb::options::Options;

/// The time of the first samples: somewhere within a window.
pub(crate) const START: i64 = 1_700_000_000_000;

/// The time of day when a test begins: later, so that samples may be written at once.
pub(crate) const NOW: i64 = START + 3_600_000;

pub(crate) fn root() -> &'static Path {
    Path::new("tsdb")
}

/// Small windows, no sync on its own, everything else as in the product.
pub(crate) fn options() -> Options {
    Options {
        sync_window: Duration::from_secs(3600),
        window: Duration::from_secs(600),
        seal_delay: Duration::from_secs(60),
        exemplars_max: 100,
        ..Options::default()
    }
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp(NOW)))
}

#[track_caller]
pub(crate) fn open_with(disk: &FaultyDisk, options: Options, clock: &Arc<ManualClock>) -> Db {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let clock: Arc<dyn model::time::Clock> = Arc::clone(clock) as _;
    Db::open(root(), options, disk, clock).expect("a database always opens")
}

#[track_caller]
pub(crate) fn open(disk: &FaultyDisk) -> Db {
    open_with(disk, options(), &clock())
}

pub(crate) fn series(name: &str, n: usize) -> Labels {
    let n = n.to_string();
    Labels::from_pairs([("__name__", name), ("instance", "host:1"), ("job", "test"), ("n", n.as_str())])
}

/// An appender with `count` series resolved.
#[track_caller]
pub(crate) fn sender(db: &Db, name: &str, count: usize) -> (Box<dyn Appender>, Vec<SeriesRef>) {
    let mut appender = db.appender(Sender(name)).expect("the database is open");
    let refs = (0..count).map(|n| appender.resolve(&series(name, n)).expect("there is room")).collect();
    (appender, refs)
}

/// One scrape: series n gets `value(n)`.
#[track_caller]
pub(crate) fn scrape(
    appender: &mut dyn Appender,
    refs: &[SeriesRef],
    time: i64,
    value: impl Fn(usize) -> f64,
) -> Committed {
    let values: Vec<f64> = (0..refs.len()).map(value).collect();
    appender.append_row(refs, Timestamp(time), &values);
    appender.commit(Durability::Written).expect("the disk is good")
}

/// One sample in comparable form: time, value bits, start time, histogram.
pub(crate) type Row = (i64, u64, i64, String);

/// Everything in a storage.
#[track_caller]
pub(crate) fn contents(storage: &dyn Queryable) -> BTreeMap<Labels, Vec<Row>> {
    contents_of(storage, &[], TimeRange::ALL)
}

#[track_caller]
pub(crate) fn contents_of(
    storage: &dyn Queryable,
    matchers: &[Matcher],
    range: TimeRange,
) -> BTreeMap<Labels, Vec<Row>> {
    let snapshot = storage.snapshot().expect("it can be read");
    let selection = snapshot.select(matchers, range, &SelectHints::default()).expect("it can be read");
    assert!(selection.labels.is_sorted());
    let mut cursor = selection.reader.cursor();
    let mut found = BTreeMap::new();
    let mut samples = 0;
    for (id, labels) in selection.labels.iter().enumerate() {
        let column = cursor.read(SelectedId(id as u32)).expect("it can be read");
        assert!(column.times.windows(2).all(|pair| pair[0] < pair[1]), "times ascend: {:?}", column.times);
        assert_eq!(column.times.len(), column.values.len());
        let mut rows: Vec<Row> = Vec::new();
        for (row, (time, value)) in column.times.iter().zip(column.values).enumerate() {
            assert!(range.contains(Timestamp(*time)));
            let start = column.start_times.map_or(0, |starts| starts[row]);
            let histogram = column.histograms.iter().find(|(at, _)| *at as usize == row);
            let shown = histogram.map(|(_, histogram)| format!("{histogram:?}")).unwrap_or_default();
            rows.push((*time, value.to_bits(), start, shown));
        }
        samples += rows.len() as u64;
        if !rows.is_empty() {
            found.insert(labels.clone(), rows);
        }
    }
    assert!(samples <= selection.samples_max, "{samples} samples, at most {} were announced", selection.samples_max);
    found
}

/// The times and values of one series.
#[track_caller]
pub(crate) fn column(storage: &dyn Queryable, labels: &Labels) -> Vec<(i64, f64)> {
    let rows = contents(storage).remove(labels).unwrap_or_default();
    rows.into_iter().map(|(time, bits, _, _)| (time, f64::from_bits(bits))).collect()
}
