//! A storage in plain maps: for tests of whatever reads samples, and as the twin that shows what `tsdb` must answer.
//!
//! Exact and simple, not fast: a snapshot shares the whole, a write copies what a snapshot still holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::matcher::{Matcher, matches_all};
use crate::storage::{
    Column, ColumnReader, Cursor, Exemplar, Limited, Queryable, SampleValue, SelectHints, SelectedId, Selection,
    Snapshot, StorageError, TimeRange,
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
    generation: u64,
    history: u64,
}

/// Samples in memory.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    contents: Mutex<Arc<Contents>>,
}

impl MemoryStorage {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
        let mut contents = self.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
        let mut contents = self.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (generation, history) = (contents.generation + 1, contents.history + 1);
        *contents = Arc::new(Contents { generation, history, ..Contents::default() });
    }

    fn pin(&self) -> Arc<Contents> {
        Arc::clone(&self.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
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
        _selectors: &[Vec<Matcher>],
        _range: TimeRange,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        // There is no way to put one in, so there is none to give out.
        Ok(Vec::new())
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
}
