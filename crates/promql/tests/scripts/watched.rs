//! A storage that is watched while it is read: how often, and what the engine does when it is cancelled meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::labels::Labels;
use model::matcher::Matcher;
use model::memory::MemoryStorage;
use model::query::{CancelFlag, QueryError, QueryOptions, Steps};
use model::storage::{
    Column, ColumnReader, Cursor, Exemplar, Limited, Queryable, SelectHints, SelectedId, Selection, Snapshot,
    StorageError, TimeRange,
};
use model::time::{SystemClock, Timestamp};
use promql::engine::{Engine, Settings, When};

/// What was seen so far, and after which read the query is cancelled.
#[derive(Default)]
struct Watch {
    reads: AtomicUsize,
    cancel_after: Option<usize>,
    cancel: CancelFlag,
}

struct Watched {
    storage: MemoryStorage,
    watch: Arc<Watch>,
}

struct WatchedSnapshot(Arc<dyn Snapshot>, Arc<Watch>);

struct WatchedReader(Arc<dyn ColumnReader>, Arc<Watch>);

struct WatchedCursor<'c>(Box<dyn Cursor + 'c>, &'c Watch);

impl Queryable for Watched {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageError> {
        Ok(Arc::new(WatchedSnapshot(self.storage.snapshot()?, Arc::clone(&self.watch))))
    }

    fn series_generation(&self) -> u64 {
        self.storage.series_generation()
    }
}

impl Snapshot for WatchedSnapshot {
    fn select(&self, matchers: &[Matcher], range: TimeRange, hints: &SelectHints) -> Result<Selection, StorageError> {
        let mut selection = self.0.select(matchers, range, hints)?;
        selection.reader = Arc::new(WatchedReader(selection.reader, Arc::clone(&self.1)));
        Ok(selection)
    }

    fn series(&self, s: &[Vec<Matcher>], range: TimeRange, limit: usize) -> Result<Limited<Labels>, StorageError> {
        self.0.series(s, range, limit)
    }

    fn label_names(&self, s: &[Vec<Matcher>], range: TimeRange, limit: usize) -> Result<Limited<String>, StorageError> {
        self.0.label_names(s, range, limit)
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<String>, StorageError> {
        self.0.label_values(name, selectors, range, limit)
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        self.0.exemplars(selectors, range)
    }
}

impl ColumnReader for WatchedReader {
    fn cursor(&self) -> Box<dyn Cursor + '_> {
        Box::new(WatchedCursor(self.0.cursor(), &self.1))
    }
}

impl Cursor for WatchedCursor<'_> {
    fn read(&mut self, series: SelectedId) -> Result<Column<'_>, StorageError> {
        let reads = self.1.reads.fetch_add(1, Ordering::Relaxed) + 1;
        if self.1.cancel_after.is_some_and(|after| reads >= after) {
            self.1.cancel.cancel();
        }
        self.0.read(series)
    }
}

const SERIES: usize = 150;

const STEPS: Steps = Steps { start: Timestamp(300_000), end: Timestamp(600_000), step_ms: 30_000 };

/// Counters under the engine, and what watches them.
fn engine(cancel_after: Option<usize>, change: impl FnOnce(&mut Settings)) -> (Engine, Arc<Watch>) {
    let storage = MemoryStorage::new();
    for number in 0..SERIES {
        let labels = Labels::from_pairs([("__name__", "a_total"), ("number", &number.to_string())]);
        for at in 0..31 {
            storage.put_float(&labels, Timestamp(at * 20_000), at as f64);
        }
    }
    let watch = Arc::new(Watch { cancel_after, ..Watch::default() });
    let mut settings = Settings::default();
    change(&mut settings);
    let watched = Watched { storage, watch: Arc::clone(&watch) };
    (Engine::new(Arc::new(watched), settings, Arc::new(SystemClock::new())), watch)
}

#[track_caller]
fn reads(query: &str) -> usize {
    let (engine, watch) = engine(None, |_| {});
    let prepared = engine.prepare(query).expect("parses");
    engine.evaluate(&prepared, When::Over(STEPS), &QueryOptions::default()).expect("evaluates");
    watch.reads.load(Ordering::Relaxed)
}

#[test]
fn what_a_query_writes_twice_is_read_once() {
    assert_eq!(reads("rate(a_total[5m])"), SERIES);
    for query in [
        "rate(a_total[5m]) / rate(a_total[5m])",
        "sum(rate(a_total[5m])) / count(rate(a_total[5m]))",
        "a_total > 5 and a_total < 50",
        "max(a_total) - min(a_total) + avg(a_total)",
        "sum(a_total) / (sum(a_total) + sum(a_total))",
        "max_over_time(a_total[1m]) - max_over_time(a_total[1m])",
    ] {
        assert_eq!(reads(query), SERIES, "{query}");
    }
    // Other windows, other times, another reading: not the same.
    assert_eq!(reads("rate(a_total[5m]) / rate(a_total[4m])"), 2 * SERIES);
    assert_eq!(reads("a_total - a_total offset 1m"), 2 * SERIES);
}

#[test]
fn a_cancelled_query_stops_within_a_batch_of_each_thread() {
    for query in
        ["sum(rate(a_total[5m]))", "a_total", "topk(3, a_total)", "quantile(0.5, max_over_time(a_total[1m:10s]))"]
    {
        for (extra_threads, batch) in [(0, 32), (2, 4), (3, 16)] {
            let (engine, watch) = engine(Some(30), |settings| {
                settings.extra_threads = extra_threads;
                settings.batch = batch;
                settings.thread_samples = 1;
            });
            let prepared = engine.prepare(query).expect("parses");
            let options = QueryOptions { cancel: watch.cancel.clone(), ..QueryOptions::default() };
            let error = engine.evaluate(&prepared, When::Over(STEPS), &options).expect_err("it was cancelled");
            let text = "query was canceled in expression evaluation";
            assert_eq!(error, QueryError::Cancelled(text.to_owned()), "{query}");
            // A thread looks at every 16th series, or at every one of its batch.
            let reads = watch.reads.load(Ordering::Relaxed);
            assert!(reads <= 30 + 16 * (extra_threads + 1), "{query}: {reads} reads");
        }
    }
}

#[test]
fn a_query_whose_time_is_over_says_so_as_prometheus_does() {
    let (engine, _) = engine(None, |_| {});
    let prepared = engine.prepare("sum(rate(a_total[5m]))").expect("parses");
    let options = QueryOptions { timeout: Some(std::time::Duration::ZERO), ..QueryOptions::default() };
    let error = engine.evaluate(&prepared, When::Over(STEPS), &options).expect_err("no time");
    assert!(matches!(&error, QueryError::Timeout(text) if text.starts_with("query timed out in ")), "{error:?}");
}

#[test]
fn bytes_and_samples_beyond_the_limits_are_refused_in_the_words_of_prometheus() {
    let text = "query processing would load too many samples into memory in query execution";
    let cases: [fn(&mut Settings); 3] = [
        |settings| settings.samples_max = 1_000,
        |settings| settings.query_bytes_max = 10_000,
        |settings| settings.process_bytes_max = 10_000,
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let (engine, _) = engine(None, change);
        let prepared = engine.prepare("rate(a_total[5m])").expect("parses");
        let error = engine.evaluate(&prepared, When::Over(STEPS), &QueryOptions::default()).expect_err("too much");
        assert_eq!(error, QueryError::Execution(text.to_owned()), "limit {number}");
        // What was held is given back: a small query passes.
        let small = engine.prepare("sum(a_total)").expect("parses");
        engine.evaluate(&small, When::At(STEPS.end), &QueryOptions::default()).expect("there is room again");
    }
    let (engine, _) = engine(None, |_| {});
    let prepared = engine.prepare("rate(a_total[5m])").expect("parses");
    let options = QueryOptions { bytes_max: Some(10_000), ..QueryOptions::default() };
    let error = engine.evaluate(&prepared, When::Over(STEPS), &options).expect_err("the caller allows less");
    assert_eq!(error, QueryError::Execution(text.to_owned()));
}
