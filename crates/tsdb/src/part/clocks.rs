//! Which series share their times: found while a part is written, whatever layout the samples came in.
//!
//! In this order a column of times becomes: a clock that is the same; rows of a recent clock of its key; a longer
//! recent clock, where it only goes on at the end; a clock of its own.
//! Not here: how a clock is read (`reader`).

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use crate::codec::int;
use crate::error::TsdbError;
use crate::part::page::{PAGE_BYTES_TARGET, PageKind, PageSink};
use crate::part::series::Runs;

/// Clocks of a key that are compared with. More found nothing more in any workload tried.
const RECENT_CLOCKS: usize = 16;
/// Times kept for comparing. At the bound the oldest clock is encoded and no longer joined.
const RAW_TIMES_MAX: usize = 16 << 20;
/// About what a run costs in the directory.
const RUN_BYTES: usize = 3;

struct Clock {
    /// Empty once encoded.
    times: Vec<i64>,
    encoded: Vec<u8>,
    rows: u32,
    min: i64,
    max: i64,
}

/// The clocks of a part being written.
pub(super) struct ClockBook {
    clocks: Vec<Clock>,
    hasher: DefaultHashBuilder,
    /// By hash of the whole column.
    whole: HashMap<u64, u32>,
    /// How often a column of several runs was seen: a common one is worth a clock.
    scattered: HashMap<u64, usize>,
    recent: HashMap<u64, VecDeque<u32>>,
    raw_times: usize,
    /// The oldest clock that may still have its times.
    oldest_raw: usize,
}

impl ClockBook {
    pub(super) fn new() -> Self {
        Self {
            clocks: Vec::new(),
            hasher: DefaultHashBuilder::default(),
            whole: HashMap::new(),
            scattered: HashMap::new(),
            recent: HashMap::new(),
            raw_times: 0,
            oldest_raw: 0,
        }
    }

    /// The clock of a column and the rows it has there.
    pub(super) fn place(&mut self, key: u64, times: &[i64]) -> (u32, Runs) {
        let hash = self.hasher.hash_one(times);
        if let Some(id) = self.whole.get(&hash)
            && self.clocks[*id as usize].times == times
        {
            return (*id, vec![(0, times.len() as u32)]);
        }
        let mut own_bytes = None;
        let recent = self.recent.entry(key).or_default();
        for id in recent.iter().rev() {
            let clock = &mut self.clocks[*id as usize];
            if let Some(runs) = rows_of(times, &clock.times) {
                let seen = self.scattered.entry(hash).or_default();
                *seen += 1;
                let own = *own_bytes.get_or_insert_with(|| encoded_len(times));
                if runs.len() == 1 || runs.len() * RUN_BYTES * *seen <= own {
                    return (*id, runs);
                }
            } else if let Some(from) = goes_on(times, &clock.times) {
                let known = clock.times.len() - from;
                clock.times.extend_from_slice(&times[known..]);
                self.raw_times += times.len() - known;
                return (*id, vec![(from as u32, times.len() as u32)]);
            }
        }
        let id = self.clocks.len() as u32;
        if recent.len() == RECENT_CLOCKS {
            recent.pop_front();
        }
        recent.push_back(id);
        self.whole.insert(hash, id);
        self.clocks.push(Clock { times: times.to_vec(), encoded: Vec::new(), rows: 0, min: 0, max: 0 });
        self.raw_times += times.len();
        while self.raw_times > RAW_TIMES_MAX && self.oldest_raw + 1 < self.clocks.len() {
            self.raw_times -= self.clocks[self.oldest_raw].encode();
            self.oldest_raw += 1;
        }
        (id, vec![(0, times.len() as u32)])
    }

    /// Encodes what is left, so that rows and ranges are final.
    pub(super) fn close(&mut self) {
        for clock in &mut self.clocks[self.oldest_raw..] {
            clock.encode();
        }
    }

    /// Whether these are all rows of the clock; after [`ClockBook::close`].
    pub(super) fn is_whole(&self, id: u32, runs: &[(u32, u32)]) -> bool {
        *runs == [(0, self.clocks[id as usize].rows)]
    }

    /// Writes the pages of the clocks and of their table.
    pub(super) fn write(&self, sink: &mut PageSink) -> Result<(), TsdbError> {
        let mut page = Vec::new();
        for clock in &self.clocks {
            page.extend_from_slice(&clock.encoded);
            if page.len() >= PAGE_BYTES_TARGET {
                sink.put(PageKind::Clocks, 0, &page)?;
                page.clear();
            }
        }
        if !page.is_empty() {
            sink.put(PageKind::Clocks, 0, &page)?;
        }
        self.write_table(sink)
    }

    /// Each page of the table twice: without it no series could be read.
    fn write_table(&self, sink: &mut PageSink) -> Result<(), TsdbError> {
        use crate::codec::bytes::{put_ivarint, put_uvarint};
        use crate::part::page::TABLE_PAGE_BYTES;
        let (mut page, mut first) = (Vec::new(), 0);
        let mut put = |page: &mut Vec<u8>, first: u64| {
            sink.put(PageKind::ClockTable, first, page)?;
            sink.put(PageKind::ClockTable, first, page)?;
            page.clear();
            Ok::<(), TsdbError>(())
        };
        for (id, clock) in self.clocks.iter().enumerate() {
            put_uvarint(&mut page, clock.encoded.len() as u64);
            put_uvarint(&mut page, u64::from(clock.rows));
            put_ivarint(&mut page, clock.min);
            put_uvarint(&mut page, clock.max.wrapping_sub(clock.min) as u64);
            if page.len() >= TABLE_PAGE_BYTES {
                put(&mut page, first)?;
                first = id as u64 + 1;
            }
        }
        if !page.is_empty() {
            put(&mut page, first)?;
        }
        Ok(())
    }

    pub(super) fn len(&self) -> u32 {
        self.clocks.len() as u32
    }

    /// First and last time of a clock; after [`ClockBook::close`].
    pub(super) fn range(&self, id: u32) -> (i64, i64) {
        let clock = &self.clocks[id as usize];
        (clock.min, clock.max)
    }
}

impl Clock {
    /// Gives the number of times that need no longer be kept.
    fn encode(&mut self) -> usize {
        let times = std::mem::take(&mut self.times);
        int::encode_column(&times, &mut self.encoded);
        self.rows = times.len() as u32;
        self.min = times.first().copied().unwrap_or(0);
        self.max = times.last().copied().unwrap_or(0);
        times.len()
    }
}

fn encoded_len(times: &[i64]) -> usize {
    let mut bytes = Vec::new();
    int::encode_column(times, &mut bytes);
    bytes.len()
}

/// The rows of `clock` that are `times`, as runs; `None` where it lacks one.
fn rows_of(times: &[i64], clock: &[i64]) -> Option<Runs> {
    if times.len() > clock.len() || times.last() > clock.last() {
        return None;
    }
    let mut at = clock.binary_search(times.first()?).ok()?;
    let mut runs: Runs = vec![(at as u32, 0)];
    for time in times {
        if clock.get(at) != Some(time) {
            at += clock.get(at..)?.binary_search(time).ok()?;
            runs.push((at as u32, 0));
        }
        if let Some(run) = runs.last_mut() {
            run.1 += 1;
        }
        at += 1;
    }
    Some(runs)
}

/// Where `times` begins in `clock`, if it has everything from there on and goes on after its end.
fn goes_on(times: &[i64], clock: &[i64]) -> Option<usize> {
    let from = clock.binary_search(times.first()?).ok()?;
    let known = &clock[from..];
    (known.len() < times.len() && times[..known.len()] == *known).then_some(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(from: i64, to: i64) -> Vec<i64> {
        (from..to).map(|row| row * 1000).collect()
    }

    #[test]
    fn a_column_joins_a_clock_wherever_its_rows_are_there() {
        let mut book = ClockBook::new();
        assert_eq!(book.place(1, &every(0, 100)), (0, vec![(0, 100)]));
        assert_eq!(book.place(1, &every(0, 100)), (0, vec![(0, 100)]));
        assert_eq!(book.place(1, &every(20, 70)), (0, vec![(20, 50)]), "a part of it");
        assert_eq!(book.place(1, &every(90, 120)), (0, vec![(90, 30)]), "going on");
        let gap: Vec<i64> = every(0, 10).into_iter().chain(every(50, 110)).collect();
        assert_eq!(book.place(1, &gap), (0, vec![(0, 10), (50, 60)]), "with a gap");
        assert_eq!(book.place(1, &[500, 1500]), (1, vec![(0, 2)]), "other times");
        book.close();
        assert!(book.is_whole(0, &[(0, 120)]));
        assert!(!book.is_whole(0, &[(0, 100)]));
        assert_eq!(book.range(0), (0, 119_000));
    }

    #[test]
    fn equal_columns_are_one_clock_whatever_their_key() {
        let mut book = ClockBook::new();
        book.place(1, &every(0, 10));
        assert_eq!(book.place(2, &every(0, 10)).0, 0);
    }

    #[test]
    fn a_column_of_many_runs_gets_a_clock_once_it_is_common() {
        let mut book = ClockBook::new();
        book.place(1, &every(0, 1000));
        let scattered: Vec<i64> = every(0, 1000).into_iter().filter(|time| time % 7000 != 0).collect();
        let homes: Vec<u32> = (0..5).map(|_| book.place(1, &scattered).0).collect();
        assert!(homes.contains(&1), "{homes:?}");
    }
}
