//! The head as a reader sees it: pinned, whole batches only.

use model::storage::TimeRange;

use crate::codec::float;
use crate::head::chunk::{CHUNK_SERIES, Chunk, FinalValues, read_final};
use crate::head::clock::Clock;
use crate::head::cow::CowVec;
use crate::head::exemplars::ExemplarsView;
use crate::head::rows::Rows;
use crate::head::spill::SpillError;
use crate::head::window::InstanceView;
use crate::index::head::HeadIndexSnapshot;
use crate::log::batch::RichValue;

/// What was committed when it was taken.
#[derive(Clone, Debug)]
pub(crate) struct HeadView {
    pub(crate) index: HeadIndexSnapshot,
    pub(crate) chunks: CowVec<Chunk>,
    pub(crate) clocks: CowVec<Clock>,
    /// Oldest window first.
    pub(crate) instances: Vec<InstanceView>,
    pub(crate) exemplars: ExemplarsView,
}

/// Buffers of a reader.
#[derive(Debug, Default)]
pub(crate) struct ViewScratch {
    bodies: Vec<Vec<u8>>,
    times: Vec<i64>,
}

/// Takes what was read, block by block, oldest first within an instance: times and how their values stand.
pub(crate) trait BlockSink {
    fn block(&mut self, times: &[i64], values: FinalValues<'_>) -> Result<(), crate::codec::Damage>;
}

impl HeadView {
    /// Whether a series may have samples in the range, and at most how many it has unsealed.
    pub(crate) fn rows_max(&self, id: u32, range: TimeRange) -> u64 {
        let at = id as usize % CHUNK_SERIES;
        let Some(chunk) = self.chunks.get(id as usize / CHUNK_SERIES) else { return 0 };
        if at >= chunk.states.len() {
            return 0;
        }
        let overlaps = |instance: u32| {
            self.instances.iter().any(|view| {
                view.id == instance && view.start <= range.end.millis() && range.start.millis() <= view.last
            })
        };
        let mine = |late_at: u8| usize::from(late_at) == at;
        let any = chunk.is_open(at) && overlaps(chunk.states[at].instance)
            || chunk.places.iter().any(|places| places.newest[at] != 0 && overlaps(places.instance))
            || chunk.late.iter().any(|row| mine(row.at) && overlaps(row.instance))
            || chunk.late_rich.iter().any(|row| mine(row.at) && overlaps(row.instance));
        if any { chunk.rows_max(at) } else { 0 }
    }

    /// Appends the samples of a series within the range to `rows`, in order; what cannot be read is named in `gaps`.
    pub(crate) fn read(
        &self,
        id: u32,
        range: TimeRange,
        scratch: &mut ViewScratch,
        rows: &mut Rows,
        gaps: &mut Vec<String>,
    ) {
        let before = rows.len();
        for instance in &self.instances {
            if instance.start <= range.end.millis() && range.start.millis() <= instance.last {
                let mut sink = RowsSink { rows: &mut *rows, range };
                self.read_blocks(id, instance, scratch, &mut sink, gaps);
                self.read_rest(id, instance, rows, gaps);
            }
        }
        debug_assert!(before == 0, "the head is read first or into an empty buffer");
        rows.put_in_order();
        rows.cut(range);
    }

    /// The final blocks of a series in one instance, oldest first.
    pub(crate) fn read_blocks(
        &self,
        id: u32,
        instance: &InstanceView,
        scratch: &mut ViewScratch,
        sink: &mut dyn BlockSink,
        gaps: &mut Vec<String>,
    ) {
        let at = id as usize % CHUNK_SERIES;
        let Some(chunk) = self.chunks.get(id as usize / CHUNK_SERIES) else { return };
        let Some(places) = chunk.places.iter().find(|places| places.instance == instance.id) else { return };
        let mut place = places.newest[at];
        let mut count = 0;
        while place != 0 {
            if scratch.bodies.len() == count {
                scratch.bodies.push(Vec::new());
            }
            match instance.spill.read(place, &mut scratch.bodies[count]) {
                Ok(previous) => place = previous,
                Err(error) => {
                    gaps.push(spill_gap(instance, place, &error));
                    // What lies before a bad block can no longer be found.
                    place = 0;
                    continue;
                }
            }
            count += 1;
        }
        let clock = |clock: u32, row: u32| self.clocks.get(clock as usize)?.time(row);
        for body in scratch.bodies[..count].iter().rev() {
            scratch.times.clear();
            let outcome =
                read_final(body, &clock, &mut scratch.times).and_then(|values| sink.block(&scratch.times, values));
            if let Err(damage) = outcome {
                gaps.push(format!("{}: a block of series {id}: {damage}", instance.spill.path().display()));
            }
        }
    }

    /// What a series has in an instance besides final blocks: open rows, then late ones.
    pub(crate) fn read_rest(&self, id: u32, instance: &InstanceView, rows: &mut Rows, gaps: &mut Vec<String>) {
        let at = id as usize % CHUNK_SERIES;
        let Some(chunk) = self.chunks.get(id as usize / CHUNK_SERIES) else { return };
        if chunk.states.get(at).is_some_and(|state| state.instance == instance.id) {
            let clock = chunk.states[at].clock;
            let time_of = |row: u32| self.clocks.get(clock as usize)?.time(row);
            if let Err(damage) = chunk.read_open(at, instance.start, &time_of, rows) {
                gaps.push(format!("open rows of series {id}: {damage}"));
            }
        }
        for late in &chunk.late {
            if usize::from(late.at) == at && late.instance == instance.id {
                rows.push_rich(late.time, 0, &RichValue::Float(f64::from_bits(late.bits)));
            }
        }
        for late in &chunk.late_rich {
            if usize::from(late.at) == at && late.instance == instance.id {
                rows.push_rich(late.row.time, late.row.start, &late.row.value);
            }
        }
    }
}

fn spill_gap(instance: &InstanceView, place: u32, error: &SpillError) -> String {
    let path = instance.spill.path().display();
    match error {
        SpillError::Io(error) => format!("{path}: block at byte {}: {error}", u64::from(place) * 8),
        SpillError::Damaged(damage) => format!("{path}: block at byte {}: {damage}", u64::from(place) * 8),
    }
}

struct RowsSink<'a> {
    rows: &'a mut Rows,
    range: TimeRange,
}

impl BlockSink for RowsSink<'_> {
    fn block(&mut self, times: &[i64], values: FinalValues<'_>) -> Result<(), crate::codec::Damage> {
        // A block that lies outside is not decoded.
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(()) };
        if *last < self.range.start.millis() || *first > self.range.end.millis() {
            return Ok(());
        }
        match values {
            FinalValues::Block(bytes) => {
                let before = self.rows.len();
                self.rows.times.extend_from_slice(times);
                let decoded = float::decode_append(bytes, &mut self.rows.values).map(|_| ());
                let whole = decoded.and(self.rows.even_out());
                if whole.is_err() {
                    // Half a block is none.
                    self.rows.truncate(before);
                }
                whole
            }
            FinalValues::Rows(more) => {
                self.rows.append(&more);
                Ok(())
            }
        }
    }
}
