//! A storage in plain maps: for tests of whatever reads samples, and as the twin that shows what `tsdb` must answer.
//!
//! Exact and simple, not fast: a snapshot shares the whole, a write copies what a snapshot still holds.
//! Written through an [`Appender`] it judges times as `tsdb` does (but knows no retention and no clock); written through
//! [`MemoryStorage::put`] it takes everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::matcher::{Matcher, matches_all};
use crate::storage::{
    Appendable, Appender, Column, ColumnReader, Committed, Cursor, Durability, Exemplar, Limited, Metadata, Queryable,
    Refusal, Refused, SampleValue, SelectHints, SelectedId, Selection, Sender, SeriesRef, Snapshot, StorageError,
    TimeRange,
};
use crate::time::Timestamp;

/// One stored sample.
#[derive(Clone, Debug)]
pub struct StoredSample {
    pub value: SampleValue,
    /// When counting began; 0 where unknown.
    pub start_time: i64,
}

type Samples = BTreeMap<Timestamp, StoredSample>;

#[derive(Clone, Debug, Default)]
struct Contents {
    series: BTreeMap<Labels, Arc<Samples>>,
    /// By series, oldest first.
    exemplars: BTreeMap<Labels, Vec<Exemplar>>,
    /// By family and target.
    metadata: BTreeMap<(String, Labels), Metadata>,
    /// The newest time each series was ever given; deleting samples does not take it back.
    newest: BTreeMap<Labels, (Timestamp, SampleValue)>,
    generation: u64,
    history: u64,
}

/// Samples in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    contents: Mutex<Arc<Contents>>,
    /// A reference is an index into this.
    refs: Mutex<Vec<Labels>>,
    late_ms: i64,
}

impl MemoryStorage {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A storage whose appenders take samples that are so much older than the newest of their series.
    #[must_use]
    pub fn with_out_of_order_window(window: std::time::Duration) -> Self {
        let late_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        Self { shared: Arc::new(Shared { late_ms, ..Shared::default() }) }
    }

    /// Deletes the samples that pass all matchers within the range.
    pub fn delete(&self, matchers: &[Matcher], range: TimeRange) {
        let mut contents = self.shared.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let contents = Arc::make_mut(&mut contents);
        for (labels, samples) in &mut contents.series {
            if matches_all(matchers, labels) {
                Arc::make_mut(samples).retain(|time, _| !range.contains(*time));
            }
        }
        contents.generation += 1;
        contents.history += 1;
    }

    /// Stores a sample; one with the same time is replaced.
    pub fn put(&self, labels: &Labels, time: Timestamp, value: SampleValue, start_time: i64) {
        self.put_all(labels, [(time, StoredSample { value, start_time })]);
    }

    /// Stores a float sample.
    pub fn put_float(&self, labels: &Labels, time: Timestamp, value: f64) {
        self.put(labels, time, SampleValue::Float(value), 0);
    }

    /// Stores many samples of one series.
    pub fn put_all(&self, labels: &Labels, samples: impl IntoIterator<Item = (Timestamp, StoredSample)>) {
        let mut contents = self.shared.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let contents = Arc::make_mut(&mut contents);
        if !contents.series.contains_key(labels) {
            contents.generation += 1;
        }
        let series = Arc::make_mut(contents.series.entry(labels.clone()).or_default());
        for (time, sample) in samples {
            if series.last_key_value().is_some_and(|(newest, _)| *newest >= time) {
                contents.history += 1;
            }
            series.insert(time, sample);
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut contents = self.shared.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (generation, history) = (contents.generation + 1, contents.history + 1);
        *contents = Arc::new(Contents { generation, history, ..Contents::default() });
    }

    fn pin(&self) -> Arc<Contents> {
        Arc::clone(&self.shared.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Bit for bit the same.
fn same_value(a: &SampleValue, b: &SampleValue) -> bool {
    match (a, b) {
        (SampleValue::Float(a), SampleValue::Float(b)) => a.to_bits() == b.to_bits(),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => a.bit_eq(b),
        (SampleValue::IntHistogram(a), SampleValue::IntHistogram(b)) => {
            // Integers are compared exactly, before the float form could round them.
            a.count == b.count
                && a.zero_count == b.zero_count
                && a.positive_deltas == b.positive_deltas
                && a.negative_deltas == b.negative_deltas
                && Histogram::from(&**a).bit_eq(&Histogram::from(&**b))
        }
        _ => false,
    }
}

impl Appendable for MemoryStorage {
    fn appender(&self, _sender: Sender<'_>) -> Result<Box<dyn Appender>, StorageError> {
        Ok(Box::new(MemoryAppender { storage: self.clone(), batch: Batch::default() }))
    }
}

#[derive(Default)]
struct Batch {
    samples: Vec<(SeriesRef, Timestamp, StoredSample)>,
    exemplars: Vec<(SeriesRef, Exemplar)>,
    metadata: Vec<Metadata>,
}

struct MemoryAppender {
    storage: MemoryStorage,
    batch: Batch,
}

/// Judges one sample and stores it.
fn put_judged(
    contents: &mut Contents,
    labels: &Labels,
    (time, sample): (Timestamp, StoredSample),
    late_ms: i64,
    out: &mut Committed,
) -> Result<(), Refusal> {
    if let Some((newest, value)) = contents.newest.get(labels) {
        if time == *newest {
            if !same_value(value, &sample.value) {
                return Err(Refusal::DuplicateTimestamp);
            }
            out.duplicates += 1;
            return Ok(());
        }
        if time < *newest {
            if late_ms == 0 {
                return Err(Refusal::OutOfOrder);
            }
            if time.millis() < newest.millis().saturating_sub(late_ms) {
                return Err(Refusal::TooOld);
            }
            out.late += 1;
            out.appended += 1;
            contents.history += 1;
            // What was accepted first stays.
            let series = contents.series.entry(labels.clone()).or_default();
            Arc::make_mut(series).entry(time).or_insert(sample);
            return Ok(());
        }
    }
    out.appended += 1;
    if !contents.series.contains_key(labels) {
        contents.generation += 1;
    }
    contents.newest.insert(labels.clone(), (time, sample.value.clone()));
    Arc::make_mut(contents.series.entry(labels.clone()).or_default()).insert(time, sample);
    Ok(())
}

impl Appender for MemoryAppender {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refusal> {
        if labels.is_empty() {
            return Err(Refusal::Invalid("a series without labels".to_owned()));
        }
        let mut refs = self.storage.shared.refs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let at = refs.iter().position(|known| known == labels).unwrap_or_else(|| {
            refs.push(labels.clone());
            refs.len() - 1
        });
        Ok(SeriesRef(at as u64))
    }

    fn append(&mut self, series: SeriesRef, time: Timestamp, value: f64) {
        self.append_value(series, time, &SampleValue::Float(value), 0);
    }

    fn append_value(&mut self, series: SeriesRef, time: Timestamp, value: &SampleValue, start_time: i64) {
        self.batch.samples.push((series, time, StoredSample { value: value.clone(), start_time }));
    }

    fn exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) {
        self.batch.exemplars.push((series, exemplar.clone()));
    }

    fn metadata(&mut self, metadata: &Metadata) {
        self.batch.metadata.push(metadata.clone());
    }

    fn commit(&mut self, _durability: Durability) -> Result<Committed, StorageError> {
        let batch = std::mem::take(&mut self.batch);
        let refs = self.storage.shared.refs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let mut contents = self.storage.shared.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let contents = Arc::make_mut(&mut contents);
        let mut out = Committed::default();
        for (series, time, sample) in batch.samples {
            let judged = match refs.get(series.0 as usize) {
                Some(labels) => put_judged(contents, labels, (time, sample), self.storage.shared.late_ms, &mut out),
                None => Err(Refusal::UnknownSeries),
            };
            if let Err(reason) = judged {
                out.refused.push(Refused { series, time, reason });
            }
        }
        for (series, exemplar) in batch.exemplars {
            if let Some(labels) = refs.get(series.0 as usize) {
                let known = contents.exemplars.entry(labels.clone()).or_default();
                if known.last().is_none_or(|last| last.time < exemplar.time) {
                    known.push(exemplar);
                }
            }
        }
        for entry in batch.metadata {
            contents.metadata.insert((entry.family.clone(), entry.target.clone()), entry);
        }
        Ok(out)
    }

    fn rollback(&mut self) {
        self.batch = Batch::default();
    }
}

impl Queryable for MemoryStorage {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageError> {
        Ok(Arc::new(MemorySnapshot { contents: self.pin() }))
    }

    fn series_generation(&self) -> u64 {
        self.pin().generation
    }

    fn history_generation(&self) -> Option<u64> {
        Some(self.pin().history)
    }
}

struct MemorySnapshot {
    contents: Arc<Contents>,
}

impl MemorySnapshot {
    fn passing(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> impl Iterator<Item = &Labels> {
        self.contents
            .series
            .iter()
            .filter(move |(_, samples)| samples.range(range.start..=range.end).next().is_some())
            .map(|(labels, _)| labels)
            .filter(move |labels| selectors.is_empty() || selectors.iter().any(|s| matches_all(s, labels)))
    }
}

fn limited<T>(items: impl Iterator<Item = T>, limit: usize) -> Limited<T> {
    let mut items: Vec<T> = items.collect();
    let truncated = limit > 0 && items.len() > limit;
    if truncated {
        items.truncate(limit);
    }
    Limited { items, truncated }
}

impl Snapshot for MemorySnapshot {
    fn select(&self, matchers: &[Matcher], range: TimeRange, hints: &SelectHints) -> Result<Selection, StorageError> {
        let mut labels = Vec::new();
        let mut samples = Vec::new();
        let mut samples_max = 0;
        for (series, stored) in &self.contents.series {
            if !matches_all(matchers, series) {
                continue;
            }
            let count = stored.range(range.start..=range.end).count();
            if count == 0 {
                continue;
            }
            samples_max += count as u64;
            labels.push(series.clone());
            samples.push(Arc::clone(stored));
            if hints.limit > 0 && labels.len() == hints.limit {
                break;
            }
        }
        let reader = Arc::new(MemoryReader { samples, range });
        Ok(Selection { labels, samples_max, bytes_max: samples_max * 16, warnings: Vec::new(), reader })
    }

    fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<Labels>, StorageError> {
        Ok(limited(self.passing(selectors, range).cloned(), limit))
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<String>, StorageError> {
        let names: BTreeSet<&str> =
            self.passing(selectors, range).flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        Ok(limited(names.into_iter().map(str::to_owned), limit))
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
    ) -> Result<Limited<String>, StorageError> {
        let values: BTreeSet<&str> = self.passing(selectors, range).filter_map(|labels| labels.get(name)).collect();
        Ok(limited(values.into_iter().map(str::to_owned), limit))
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        let passes =
            |labels: &Labels| selectors.is_empty() || selectors.iter().any(|matchers| matches_all(matchers, labels));
        let mut found = Vec::new();
        for (labels, exemplars) in self.contents.exemplars.iter().filter(|(labels, _)| passes(labels)) {
            let within: Vec<Exemplar> =
                exemplars.iter().filter(|exemplar| range.contains(exemplar.time)).cloned().collect();
            if !within.is_empty() {
                found.push((labels.clone(), within));
            }
        }
        Ok(found)
    }

    fn metadata(&self, family: &str, limit: usize) -> Result<Limited<Metadata>, StorageError> {
        let wanted = self.contents.metadata.values().filter(|entry| family.is_empty() || entry.family == family);
        Ok(limited(wanted.cloned(), limit))
    }
}

struct MemoryReader {
    samples: Vec<Arc<Samples>>,
    range: TimeRange,
}

impl ColumnReader for MemoryReader {
    fn cursor(&self) -> Box<dyn Cursor + '_> {
        Box::new(MemoryCursor {
            reader: self,
            times: Vec::new(),
            values: Vec::new(),
            starts: Vec::new(),
            histograms: Vec::new(),
        })
    }
}

struct MemoryCursor<'r> {
    reader: &'r MemoryReader,
    times: Vec<i64>,
    values: Vec<f64>,
    starts: Vec<i64>,
    histograms: Vec<(u32, Arc<Histogram>)>,
}

impl Cursor for MemoryCursor<'_> {
    fn read(&mut self, series: SelectedId) -> Result<Column<'_>, StorageError> {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        self.histograms.clear();
        let samples = &self.reader.samples[series.0 as usize];
        for (time, sample) in samples.range(self.reader.range.start..=self.reader.range.end) {
            // A series in memory has fewer than 2^32 samples long before it has too many bytes.
            let row = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
            self.times.push(time.millis());
            self.starts.push(sample.start_time);
            let histogram = match &sample.value {
                SampleValue::Float(value) => {
                    self.values.push(*value);
                    continue;
                }
                SampleValue::Histogram(histogram) => Arc::clone(histogram),
                SampleValue::IntHistogram(histogram) => Arc::new(Histogram::from(&**histogram)),
            };
            self.values.push(if crate::storage::is_stale(histogram.sum) { histogram.sum } else { 0.0 });
            self.histograms.push((row, histogram));
        }
        let known = self.starts.iter().any(|start| *start != 0);
        Ok(Column {
            times: &self.times,
            values: &self.values,
            start_times: known.then_some(&self.starts),
            histograms: &self.histograms,
            clock: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(job: &str) -> Labels {
        Labels::from_pairs([("__name__", "up"), ("job", job)])
    }

    #[test]
    fn a_snapshot_does_not_see_what_is_written_later() {
        let storage = MemoryStorage::new();
        storage.put_float(&labels("a"), Timestamp(1), 1.0);
        let snapshot = storage.snapshot().expect("memory");
        storage.put_float(&labels("a"), Timestamp(2), 2.0);
        storage.put_float(&labels("b"), Timestamp(1), 1.0);

        let selection = snapshot.select(&[], TimeRange::ALL, &SelectHints::default()).expect("memory");
        assert_eq!(selection.labels, [labels("a")]);
        let mut cursor = selection.reader.cursor();
        let column = cursor.read(SelectedId(0)).expect("memory");
        assert_eq!((column.times, column.values), ([1].as_slice(), [1.0].as_slice()));
    }

    #[test]
    fn a_series_without_samples_in_the_range_is_not_selected() {
        let storage = MemoryStorage::new();
        storage.put_float(&labels("a"), Timestamp(1), 1.0);
        storage.put_float(&labels("b"), Timestamp(9), 1.0);
        let snapshot = storage.snapshot().expect("memory");
        let late = TimeRange::new(Timestamp(5), Timestamp(9));
        assert_eq!(snapshot.series(&[], late, 0).expect("memory").items, [labels("b")]);
        let values = snapshot.label_values("job", &[], TimeRange::ALL, 1).expect("memory");
        assert_eq!(values, Limited { items: vec!["a".to_owned()], truncated: true });
    }

    #[test]
    fn an_appender_judges_each_series_by_its_own_newest_sample() {
        let storage = MemoryStorage::with_out_of_order_window(std::time::Duration::from_millis(10));
        let mut appender = storage.appender(Sender("test")).expect("memory");
        let (a, b) = (appender.resolve(&labels("a")).expect("memory"), appender.resolve(&labels("b")).expect("memory"));
        for (series, time, value) in
            [(a, 100, 1.0), (a, 100, 1.0), (a, 100, 2.0), (a, 95, 3.0), (a, 5, 4.0), (b, 5, 4.0)]
        {
            appender.append(series, Timestamp(time), value);
        }
        assert!(storage.snapshot().expect("memory").series(&[], TimeRange::ALL, 0).expect("memory").items.is_empty());
        let out = appender.commit(Durability::Synced).expect("memory");
        assert_eq!((out.appended, out.duplicates, out.late), (3, 1, 1));
        let reasons: Vec<Refusal> = out.refused.into_iter().map(|refused| refused.reason).collect();
        assert_eq!(reasons, [Refusal::DuplicateTimestamp, Refusal::TooOld]);
    }

    #[test]
    fn exemplars_and_metadata_come_back_and_deleted_samples_do_not() {
        let storage = MemoryStorage::new();
        let mut appender = storage.appender(Sender("test")).expect("memory");
        let a = appender.resolve(&labels("a")).expect("memory");
        let exemplar = |time| Exemplar { labels: labels("trace"), value: 1.0, time: Timestamp(time) };
        let metadata = Metadata { family: "up".to_owned(), kind: "gauge".to_owned(), ..Metadata::default() };
        appender.append(a, Timestamp(1), 1.0);
        appender.append(a, Timestamp(2), 1.0);
        appender.exemplar(a, &exemplar(5));
        appender.exemplar(a, &exemplar(5));
        appender.metadata(&metadata);
        appender.commit(Durability::Written).expect("memory");
        storage.delete(&[Matcher::equal("job", "a")], TimeRange::new(Timestamp(2), Timestamp(9)));
        let snapshot = storage.snapshot().expect("memory");
        assert_eq!(snapshot.exemplars(&[], TimeRange::ALL).expect("memory"), [(labels("a"), vec![exemplar(5)])]);
        assert_eq!(snapshot.metadata("up", 0).expect("memory").items, [metadata]);
        assert_eq!(snapshot.select(&[], TimeRange::ALL, &SelectHints::default()).expect("memory").samples_max, 1);
    }
}
