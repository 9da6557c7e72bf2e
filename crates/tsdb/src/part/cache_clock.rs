//! What one reader keeps from series to series: decoded clocks and buffers.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use crate::codec::histogram::HistogramSample;

/// Times kept decoded by one reader; at the bound all are let go and those in use come back.
const CLOCK_TIMES_MAX: usize = 4 << 20;

/// Times that were numbered; at the bound the numbers are forgotten, never given again.
const CLOCK_IDS_MAX: usize = 1 << 16;
/// Whole columns kept decoded for series that lean on them (buckets of the same histogram).
const COLUMN_VALUES_MAX: usize = 1 << 20;

/// A part and a series of it.
type ColumnKey = (u64, u32);

/// Buffers of one worker, used again for each series it reads.
#[derive(Debug, Default)]
pub struct Scratch {
    clocks: HashMap<(u64, u32), Arc<[i64]>>,
    times: usize,
    clock_ids: HashMap<(u64, u32, u64, u64), u64>,
    next_clock_id: u64,
    columns: VecDeque<(ColumnKey, Arc<[f64]>)>,
    column_values: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) values: Vec<f64>,
    pub(super) integers: Vec<i64>,
    pub(super) starts: Vec<i64>,
    pub(super) histograms: Vec<HistogramSample>,
}

impl Scratch {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn clock(&self, part: u64, clock: u32) -> Option<Arc<[i64]>> {
        self.clocks.get(&(part, clock)).cloned()
    }

    pub(super) fn keep_clock(&mut self, part: u64, clock: u32, times: &Arc<[i64]>) {
        if self.times + times.len() > CLOCK_TIMES_MAX {
            self.clocks.clear();
            self.times = 0;
        }
        self.times += times.len();
        self.clocks.insert((part, clock), Arc::clone(times));
    }

    /// A number for some rows of a clock, the same each time it is asked for.
    pub(super) fn clock_id(&mut self, part: u64, clock: u32, rows: Range<u64>) -> u64 {
        if self.clock_ids.len() >= CLOCK_IDS_MAX {
            self.clock_ids.clear();
        }
        let next = &mut self.next_clock_id;
        *self.clock_ids.entry((part, clock, rows.start, rows.end)).or_insert_with(|| {
            *next += 1;
            *next
        })
    }

    pub(super) fn column(&self, part: u64, id: u32) -> Option<Arc<[f64]>> {
        self.columns.iter().rev().find(|(key, _)| *key == (part, id)).map(|(_, values)| Arc::clone(values))
    }

    pub(super) fn keep_column(&mut self, part: u64, id: u32, values: &Arc<[f64]>) {
        self.column_values += values.len();
        self.columns.push_back(((part, id), Arc::clone(values)));
        while self.column_values > COLUMN_VALUES_MAX && self.columns.len() > 1 {
            let gone = self.columns.pop_front();
            self.column_values -= gone.map_or(0, |(_, values)| values.len());
        }
    }
}
