//! The series directory: for each series its clock, its rows there, and how many bytes its columns have.

use crate::codec::Damage;
use crate::codec::bytes::{Reader, put_uvarint};
use crate::part::clocks::ClockBook;

/// Entries read from the front to find one.
pub(super) const SERIES_IN_GROUP: usize = 32;

/// Series that may lean on each other, one after the other.
pub(super) const BASES_MAX: usize = 24;

/// Rows of a clock: where a run begins and how long it is.
pub(super) type Runs = Vec<(u32, u32)>;

const WHOLE: u8 = 1;
const START_TIMES: u8 = 2;
const HISTOGRAMS: u8 = 4;
const SAME_CLOCK: u8 = 8;
/// The values are those of an earlier series.
const ALIAS: u8 = 16;
/// The values are what has to be added to those of an earlier series.
const ADDED: u8 = 32;

/// How a series' values are to be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Base {
    #[default]
    None,
    /// The same values as the series so many places before or behind.
    Alias(i32),
    /// Differences to the series so many places before or behind.
    Added(i32),
}

/// One series of a part.
#[derive(Clone, Debug, Default)]
pub(super) struct SeriesEntry {
    pub(super) clock: u32,
    /// All rows of the clock; `runs` is then not used.
    pub(super) whole: bool,
    pub(super) runs: Runs,
    /// First and last time; not used where `whole`.
    pub(super) min: i64,
    pub(super) max: i64,
    /// Where its values begin in the stream, how many bytes they have, and the start times behind them.
    pub(super) offset: u64,
    pub(super) block_bytes: u64,
    pub(super) start_bytes: u64,
    pub(super) histograms: bool,
    pub(super) base: Base,
}

impl SeriesEntry {
    /// Rows, where they do not follow from the clock.
    pub(super) fn run_rows(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.1)).sum()
    }

    /// Appends the entry. `previous` is the one before it in its group; the first of a group says where it begins.
    pub(super) fn write(&self, previous: Option<&Self>, clocks: &ClockBook, out: &mut Vec<u8>) {
        if previous.is_none() {
            put_uvarint(out, self.offset);
        }
        let same = previous.is_some_and(|previous| previous.clock == self.clock);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let base = match self.base {
            Base::None => 0,
            Base::Alias(_) => ALIAS,
            Base::Added(_) => ADDED,
        };
        out.push(
            flag(self.whole, WHOLE)
                | flag(self.start_bytes > 0, START_TIMES)
                | flag(self.histograms, HISTOGRAMS)
                | flag(same, SAME_CLOCK)
                | base,
        );
        if !same {
            put_uvarint(out, u64::from(self.clock));
        }
        if !self.whole {
            put_uvarint(out, self.runs.len() as u64);
            let mut next = 0;
            for (start, len) in &self.runs {
                put_uvarint(out, u64::from(start - next));
                put_uvarint(out, u64::from(*len));
                next = start + len;
            }
            // Within its clock, so never negative.
            put_uvarint(out, self.min.wrapping_sub(clocks.range(self.clock).0) as u64);
            put_uvarint(out, self.max.wrapping_sub(self.min) as u64);
        }
        if let Base::Alias(distance) | Base::Added(distance) = self.base {
            crate::codec::bytes::put_ivarint(out, i64::from(distance));
        }
        put_uvarint(out, self.block_bytes);
        if self.start_bytes > 0 {
            put_uvarint(out, self.start_bytes);
        }
    }

    /// Reads the next entry of a group over the one before it. `clock_min` gives the first time of a clock.
    pub(super) fn read_next(
        &mut self,
        reader: &mut Reader<'_>,
        clock_min: &dyn Fn(u32) -> Result<i64, Damage>,
    ) -> Result<(), Damage> {
        self.offset =
            self.offset.checked_add(self.block_bytes).and_then(|at| at.checked_add(self.start_bytes)).ok_or(FAR)?;
        let flags = reader.u8()?;
        if flags & 0xc0 != 0 {
            return Err(Damage("an unknown flag of a series"));
        }
        if flags & SAME_CLOCK == 0 {
            self.clock = reader.count(u32::MAX as usize)? as u32;
        }
        self.whole = flags & WHOLE != 0;
        self.histograms = flags & HISTOGRAMS != 0;
        self.runs.clear();
        if !self.whole {
            self.read_runs(reader)?;
            self.min = clock_min(self.clock)?.wrapping_add(reader.uvarint()? as i64);
            self.max = self.min.wrapping_add(reader.uvarint()? as i64);
        }
        self.base = match flags & (ALIAS | ADDED) {
            0 => Base::None,
            ALIAS => Base::Alias(distance(reader)?),
            ADDED => Base::Added(distance(reader)?),
            _ => return Err(Damage("an unknown flag of a series")),
        };
        self.block_bytes = reader.uvarint()?;
        self.start_bytes = if flags & START_TIMES != 0 { reader.uvarint()? } else { 0 };
        Ok(())
    }

    fn read_runs(&mut self, reader: &mut Reader<'_>) -> Result<(), Damage> {
        let mut next = 0u32;
        for _ in 0..reader.count(reader.remaining() / 2)? {
            let start = next.checked_add(reader.count(u32::MAX as usize)? as u32).ok_or(FAR)?;
            let len = reader.count(u32::MAX as usize)? as u32;
            next = start.checked_add(len).ok_or(FAR)?;
            self.runs.push((start, len));
        }
        Ok(())
    }
}

const FAR: Damage = Damage("rows or bytes beyond all bounds");

fn distance(reader: &mut Reader<'_>) -> Result<i32, Damage> {
    i32::try_from(reader.ivarint()?).map_err(|_| FAR)
}
