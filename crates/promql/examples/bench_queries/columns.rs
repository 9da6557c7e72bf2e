//! Columns in memory: what the engine costs where decoding costs nothing. Series are found by name, as an index would.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher, matches_all};
use model::storage::{
    Column, ColumnReader, Cursor, Exemplar, Limited, Queryable, SelectHints, SelectedId, Selection, Snapshot,
    StorageError, TimeRange,
};

/// One series; those of a target share their times.
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) clock: usize,
    pub(crate) values: Vec<f64>,
}

/// All series, sorted by labels, and the times they have.
pub(crate) struct Columns {
    pub(crate) times: Vec<Vec<i64>>,
    pub(crate) series: Vec<Series>,
    by_name: BTreeMap<String, Vec<usize>>,
}

impl Columns {
    pub(crate) fn new(times: Vec<Vec<i64>>, mut series: Vec<Series>) -> Self {
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, series) in series.iter().enumerate() {
            by_name.entry(series.labels.metric_name().to_owned()).or_default().push(at);
        }
        Self { times, series, by_name }
    }

    fn matching(&self, matchers: &[Matcher]) -> Vec<usize> {
        let passes = |at: &usize| matches_all(matchers, &self.series[*at].labels);
        let named = matchers.iter().find(|matcher| &*matcher.name == "__name__" && matcher.op == MatchOp::Equal);
        match named {
            Some(name) => {
                let ids = self.by_name.get(&*name.value).map_or(&[][..], Vec::as_slice);
                ids.iter().copied().filter(passes).collect()
            }
            None => (0..self.series.len()).filter(passes).collect(),
        }
    }
}

pub(crate) struct Storage(pub(crate) Arc<Columns>);

struct Pinned(Arc<Columns>);

struct Selected {
    columns: Arc<Columns>,
    ids: Vec<usize>,
    range: TimeRange,
}

struct Reading<'r>(&'r Selected);

impl Queryable for Storage {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageError> {
        Ok(Arc::new(Pinned(Arc::clone(&self.0))))
    }

    fn series_generation(&self) -> u64 {
        0
    }

    fn history_generation(&self) -> Option<u64> {
        Some(0)
    }
}

impl Snapshot for Pinned {
    fn select(&self, matchers: &[Matcher], range: TimeRange, _: &SelectHints) -> Result<Selection, StorageError> {
        let ids = self.0.matching(matchers);
        let labels = ids.iter().map(|id| self.0.series[*id].labels.clone()).collect();
        let samples_max = ids.iter().map(|id| self.0.series[*id].values.len() as u64).sum::<u64>();
        let reader = Arc::new(Selected { columns: Arc::clone(&self.0), ids, range });
        Ok(Selection { labels, samples_max, bytes_max: samples_max * 16, warnings: Vec::new(), reader })
    }

    fn series(&self, s: &[Vec<Matcher>], _: TimeRange, _: usize) -> Result<Limited<Labels>, StorageError> {
        let ids = s.iter().flat_map(|matchers| self.0.matching(matchers));
        Ok(Limited { items: ids.map(|id| self.0.series[id].labels.clone()).collect(), truncated: false })
    }

    fn label_names(&self, _: &[Vec<Matcher>], _: TimeRange, _: usize) -> Result<Limited<String>, StorageError> {
        Ok(Limited::default())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Vec<Matcher>],
        _: TimeRange,
        _: usize,
    ) -> Result<Limited<String>, StorageError> {
        Ok(Limited::default())
    }

    fn exemplars(&self, _: &[Vec<Matcher>], _: TimeRange) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        Ok(Vec::new())
    }
}

impl ColumnReader for Selected {
    fn cursor(&self) -> Box<dyn Cursor + '_> {
        Box::new(Reading(self))
    }
}

impl Cursor for Reading<'_> {
    fn read(&mut self, id: SelectedId) -> Result<Column<'_>, StorageError> {
        let series = &self.0.columns.series[self.0.ids[id.0 as usize]];
        let times = &self.0.columns.times[series.clock];
        let low = times.partition_point(|time| *time < self.0.range.start.0);
        let high = times.partition_point(|time| *time <= self.0.range.end.0);
        Ok(Column {
            times: &times[low..high],
            values: &series.values[low..high],
            start_times: None,
            histograms: &[],
            clock: Some(series.clock as u64),
        })
    }
}
