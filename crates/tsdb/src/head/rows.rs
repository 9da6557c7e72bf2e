//! The samples of one series while they are put together from the places they lie in.

use model::storage::{STALE_NAN_BITS, TimeRange};

use crate::codec::Damage;
use crate::codec::histogram::HistogramSample;
use crate::log::batch::RichValue;

/// Rows of one series. Row i is the same sample in every column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) times: Vec<i64>,
    /// A histogram's row holds 0, or the stale marker if its sum is one.
    pub(crate) values: Vec<f64>,
    /// Empty while no row has a start time, else as long as `times`.
    pub(crate) starts: Vec<i64>,
    /// Ascending by row.
    pub(crate) histograms: Vec<(u32, HistogramSample)>,
}

/// What stands in the float column of a histogram's row.
pub(crate) fn value_beside(histogram: &HistogramSample) -> f64 {
    let sum = match histogram {
        HistogramSample::Int(histogram) => histogram.sum,
        HistogramSample::Float(histogram) => histogram.sum,
    };
    if sum.to_bits() == STALE_NAN_BITS { sum } else { 0.0 }
}

impl Rows {
    pub(crate) fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        self.histograms.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub(crate) fn push_rich(&mut self, time: i64, start: i64, value: &RichValue) {
        match value {
            RichValue::Float(value) => self.values.push(*value),
            RichValue::Histogram(histogram) => {
                self.histograms.push((self.times.len() as u32, histogram.clone()));
                self.values.push(value_beside(histogram));
            }
        }
        if start != 0 || !self.starts.is_empty() {
            self.starts.resize(self.times.len(), 0);
            self.starts.push(start);
        }
        self.times.push(time);
    }

    /// Appends all rows of another.
    pub(crate) fn append(&mut self, other: &Self) {
        let base = self.len();
        if !other.starts.is_empty() {
            self.starts.resize(base, 0);
            self.starts.extend_from_slice(&other.starts);
        } else if !self.starts.is_empty() {
            self.starts.resize(base + other.len(), 0);
        }
        self.times.extend_from_slice(&other.times);
        self.values.extend_from_slice(&other.values);
        self.histograms.extend(other.histograms.iter().map(|(row, value)| (row + base as u32, value.clone())));
    }

    /// After floats were appended to the columns directly: makes the columns equally long, or says that they were not.
    pub(crate) fn even_out(&mut self) -> Result<(), Damage> {
        if !self.starts.is_empty() {
            self.starts.resize(self.times.len(), 0);
        }
        if self.times.len() == self.values.len() {
            return Ok(());
        }
        let rows = self.times.len().min(self.values.len());
        self.truncate(rows);
        Err(Damage("a block with another number of times than values"))
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.times.truncate(rows);
        self.values.truncate(rows);
        self.starts.truncate(rows);
        self.histograms.retain(|(row, _)| (*row as usize) < rows);
    }

    /// Keeps the rows at these indexes, which may come in any order.
    fn pick(&mut self, rows: &[u32]) {
        let times = rows.iter().map(|row| self.times[*row as usize]).collect();
        let values = rows.iter().map(|row| self.values[*row as usize]).collect();
        let starts = if self.starts.is_empty() {
            Vec::new()
        } else {
            rows.iter().map(|row| self.starts[*row as usize]).collect()
        };
        let mut histograms = Vec::new();
        if !self.histograms.is_empty() {
            for (now, before) in rows.iter().enumerate() {
                if let Ok(index) = self.histograms.binary_search_by_key(before, |(row, _)| *row) {
                    histograms.push((now as u32, self.histograms[index].1.clone()));
                }
            }
        }
        *self = Self { times, values, starts, histograms };
    }

    /// Puts the rows in order of time. Of rows with the same time the one that was appended first stays: it is the
    /// one that was accepted first.
    pub(crate) fn put_in_order(&mut self) {
        if self.times.windows(2).all(|pair| pair[0] < pair[1]) {
            return;
        }
        let mut order: Vec<u32> = (0..self.times.len() as u32).collect();
        order.sort_by_key(|row| self.times[*row as usize]);
        order.dedup_by_key(|row| self.times[*row as usize]);
        self.pick(&order);
    }

    /// Drops the rows outside of a range; the rows are in order.
    pub(crate) fn cut(&mut self, range: TimeRange) {
        let from = self.times.partition_point(|time| *time < range.start.millis());
        let to = self.times.partition_point(|time| *time <= range.end.millis());
        if from == 0 && to == self.times.len() {
            return;
        }
        if to <= from {
            return self.clear();
        }
        if from == 0 {
            return self.truncate(to);
        }
        let order: Vec<u32> = (from as u32..to as u32).collect();
        self.pick(&order);
    }

    /// Drops the rows within any of the ranges.
    pub(crate) fn cut_out(&mut self, ranges: &[TimeRange]) {
        let inside = |time: i64| ranges.iter().any(|range| range.contains(model::time::Timestamp(time)));
        if !self.times.iter().any(|time| inside(*time)) {
            return;
        }
        let keep: Vec<u32> = (0..self.times.len() as u32).filter(|row| !inside(self.times[*row as usize])).collect();
        self.pick(&keep);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::histogram::Histogram;
    use model::time::Timestamp;

    use super::*;

    fn histogram(count: f64) -> RichValue {
        RichValue::Histogram(HistogramSample::Float(Arc::new(Histogram { count, ..Histogram::default() })))
    }

    fn count_at(rows: &Rows, index: usize) -> (u32, f64) {
        match &rows.histograms[index] {
            (row, HistogramSample::Float(histogram)) => (*row, histogram.count),
            (row, HistogramSample::Int(_)) => (*row, f64::NAN),
        }
    }

    #[test]
    fn rows_are_ordered_and_the_first_of_equal_times_stays() {
        let mut rows = Rows::default();
        rows.push_rich(30, 0, &RichValue::Float(3.0));
        rows.push_rich(10, 7, &histogram(1.0));
        rows.push_rich(30, 0, &histogram(9.0));
        rows.push_rich(20, 0, &histogram(2.0));
        rows.put_in_order();
        assert_eq!((rows.times.as_slice(), rows.starts.as_slice()), ([10, 20, 30].as_slice(), [7, 0, 0].as_slice()));
        assert_eq!(rows.values, [0.0, 0.0, 3.0]);
        assert_eq!((count_at(&rows, 0), count_at(&rows, 1), rows.histograms.len()), ((0, 1.0), (1, 2.0), 2));
    }

    #[test]
    fn ranges_are_cut_with_all_columns() {
        let mut rows = Rows::default();
        for time in 0..10 {
            rows.push_rich(time, time, &histogram(time as f64));
        }
        let mut tail = rows.clone();
        tail.cut(TimeRange::new(Timestamp(8), Timestamp(99)));
        assert_eq!((tail.times.as_slice(), count_at(&tail, 1)), ([8, 9].as_slice(), (1, 9.0)));
        rows.cut_out(&[TimeRange::new(Timestamp(-5), Timestamp(6)), TimeRange::new(Timestamp(9), Timestamp(9))]);
        assert_eq!((rows.times.as_slice(), rows.starts.as_slice()), ([7, 8].as_slice(), [7, 8].as_slice()));
        rows.cut(TimeRange::new(Timestamp(20), Timestamp(30)));
        assert!(rows.is_empty());
    }
}
