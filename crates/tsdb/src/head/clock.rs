//! Clocks: the times that series of one target share.
//!
//! A clock is an append-only, strictly ascending list of times; a sample of a series that follows it is a row number.
//! Rows keep their numbers when the oldest are dropped. A wrong guess about who shares a clock costs bytes, never
//! correctness: a series whose time is not in its clock keeps times of its own.

use std::collections::HashMap;

use crate::head::cow::CowVec;

/// The key of a clock that no target has.
const UNUSED: u64 = 0;

/// The times of one target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// The target's key.
    pub(crate) key: u64,
    /// The row number of `times[0]`.
    pub(crate) first_row: u32,
    pub(crate) times: Vec<i64>,
}

impl Clock {
    /// The time of a row; `None` if it was dropped or never was.
    pub(crate) fn time(&self, row: u32) -> Option<i64> {
        self.times.get(row.checked_sub(self.first_row)? as usize).copied()
    }

    /// The row of a time, made if the time is newer than all others.
    fn row(&mut self, time: i64) -> Option<u32> {
        match self.times.last() {
            Some(last) if *last == time => Some(self.first_row + self.times.len() as u32 - 1),
            Some(last) if *last > time => {
                self.times.binary_search(&time).ok().map(|index| self.first_row + index as u32)
            }
            _ => {
                let row = self.first_row.checked_add(u32::try_from(self.times.len()).ok()?)?;
                row.checked_add(1)?;
                self.times.push(time);
                Some(row)
            }
        }
    }
}

/// All clocks, and which target has which.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    pub(crate) clocks: CowVec<Clock>,
    by_key: HashMap<u64, u32>,
    /// Clocks that nobody refers to any more, to be given to new targets.
    free: Vec<u32>,
    /// The last answer of [`Self::row`]: the samples of a scrape ask the same question a thousand times.
    last: Option<(u32, i64, Option<u32>)>,
}

impl Clocks {
    /// The clock of a target; a new one if it has none yet.
    pub(crate) fn of_key(&mut self, key: u64) -> u32 {
        let Self { clocks, by_key, free, .. } = self;
        *by_key.entry(key).or_insert_with(|| {
            if let Some(id) = free.pop()
                && let Some(clock) = clocks.get_mut(id as usize)
            {
                // Its rows go on being counted, so an old number never means a new time.
                clock.key = key;
                return id;
            }
            clocks.push(Clock { key, ..Clock::default() });
            clocks.len() as u32 - 1
        })
    }

    /// Takes the clocks back that no series follows. One with rows is still referred to by unsealed blocks.
    pub(crate) fn forget_unused(&mut self, is_used: &dyn Fn(u32) -> bool) {
        self.last = None;
        for id in 0..self.clocks.len() as u32 {
            let unused = |clock: &Clock| clock.key != UNUSED && clock.times.is_empty() && !is_used(id);
            if self.clocks.get(id as usize).is_some_and(unused)
                && let Some(clock) = self.clocks.get_mut(id as usize)
            {
                self.by_key.remove(&clock.key);
                clock.key = UNUSED;
                self.free.push(id);
            }
        }
    }

    /// The row of a time in a clock; `None` if the clock went past it without it.
    pub(crate) fn row(&mut self, clock: u32, time: i64) -> Option<u32> {
        if let Some((last_clock, last_time, row)) = self.last
            && last_clock == clock
            && last_time == time
        {
            return row;
        }
        let row = self.clocks.get_mut(clock as usize).and_then(|clock| clock.row(time));
        self.last = Some((clock, time, row));
        row
    }

    pub(crate) fn time(&self, clock: u32, row: u32) -> Option<i64> {
        self.clocks.get(clock as usize)?.time(row)
    }

    /// Drops the rows before `time`, which no unsealed sample refers to any more.
    pub(crate) fn trim(&mut self, time: i64) {
        self.last = None;
        for index in 0..self.clocks.len() {
            let drop = self.clocks.get(index).map_or(0, |clock| clock.times.partition_point(|t| *t < time));
            if drop > 0
                && let Some(clock) = self.clocks.get_mut(index)
            {
                clock.times.drain(..drop);
                clock.times.shrink_to_fit();
                clock.first_row += drop as u32;
            }
        }
    }

    /// The key of a clock.
    pub(crate) fn key(&self, clock: u32) -> u64 {
        self.clocks.get(clock as usize).map_or(0, |clock| clock.key)
    }

    /// Takes up clocks from a checkpoint.
    pub(crate) fn restore(&mut self, clocks: Vec<Clock>) {
        *self = Self::default();
        for (number, clock) in clocks.into_iter().enumerate() {
            if clock.key == UNUSED && clock.times.is_empty() {
                self.free.push(number as u32);
            } else {
                self.by_key.insert(clock.key, number as u32);
            }
            self.clocks.push(clock);
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let rows: usize = self.clocks.iter().map(|clock| clock.times.capacity() * 8 + 64).sum();
        rows + self.by_key.capacity() * 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_follows_is_given_to_another_target() {
        let mut clocks = Clocks::default();
        let (first, second) = (clocks.of_key(5), clocks.of_key(6));
        clocks.row(first, 10);
        clocks.row(second, 10);
        clocks.trim(20);
        clocks.row(second, 30);
        clocks.forget_unused(&|_| false);
        assert_eq!(clocks.of_key(6), second, "it has rows");
        assert_eq!(clocks.of_key(7), first);
        assert_eq!(clocks.row(first, 40), Some(1), "row 0 was the other target's");
        assert_ne!(clocks.of_key(5), first);
    }

    #[test]
    fn a_time_keeps_its_row_when_older_rows_are_dropped() {
        let mut clocks = Clocks::default();
        let clock = clocks.of_key(5);
        assert_eq!(clocks.of_key(5), clock);
        assert_ne!(clocks.of_key(6), clock);
        let rows: Vec<_> = [10, 20, 30, 20, 25, 10].map(|time| clocks.row(clock, time)).to_vec();
        assert_eq!(rows, [Some(0), Some(1), Some(2), Some(1), None, Some(0)]);
        clocks.trim(20);
        assert_eq!(clocks.row(clock, 10), None);
        assert_eq!(clocks.row(clock, 30), Some(2));
        assert_eq!((clocks.time(clock, 1), clocks.time(clock, 0)), (Some(20), None));
        assert_eq!(clocks.row(clock, 40), Some(3));
    }
}
