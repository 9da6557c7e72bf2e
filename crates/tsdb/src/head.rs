//! The head: everything that is accepted and not yet in a part.
//!
//! A batch passes twice: [`Head::admit`] judges each sample and remembers how to take that back, then (the log has it
//! now) [`Head::apply`] stores what was admitted, which cannot fail. Readers get a [`view::HeadView`]: pinned copies
//! of what they see, so they never wait for a writer nor a writer for them.
//! "Too old" is judged by each series and the retention: a series that has nothing newer may be filled at any time.
//! Not here: the log (`log`), who calls when (`db`), sealing (`seal`). Decided in docs/decisions/0065.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use model::labels::Labels;
use model::storage::{Committed, Refusal, Refused, SeriesRef};
use model::time::Timestamp;

use crate::codec::histogram::{self, HistogramSample};
use crate::head::chunk::{CHUNK_SERIES, Chunk, Context, Late, LateRich, RichSample, Scratch, Seen, State};
use crate::head::clock::Clocks;
use crate::head::cow::CowVec;
use crate::head::exemplars::Exemplars;
use crate::head::view::HeadView;
use crate::head::window::Instances;
use crate::index::Ids;
use crate::index::head::HeadIndex;
use crate::io::Disk;
use crate::limits::Census;
use crate::log::batch::{BatchRows, LateRow, RichRow, RichValue, SeriesEntry};

pub(crate) mod chunk;
pub(crate) mod clock;
pub(crate) mod cow;
pub(crate) mod exemplars;
pub(crate) mod rows;
pub(crate) mod spill;
pub(crate) mod view;
pub(crate) mod window;

/// So many late samples of a chunk are searched for one of the same time before another is added. A sender that
/// repeats a whole request within them adds nothing; beyond them the reader drops the repetition.
const LATE_LOOK_BACK: usize = 256;

/// What a sample's time is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeRules {
    /// Before this the retention keeps nothing.
    pub(crate) oldest: i64,
    /// After this a clock is wrong.
    pub(crate) newest: i64,
    /// How much older than the newest of its series a sample may be.
    pub(crate) late_ms: i64,
    /// No part holds anything newer than this.
    pub(crate) parts_end: i64,
}

/// What is known from parts about a series that is new in the head: its newest sample.
pub(crate) type Earlier<'a> = &'a dyn Fn(&Labels) -> Option<(i64, u64)>;

/// The head.
#[derive(Debug)]
pub(crate) struct Head {
    /// Shared, so that its segments can be merged while batches go on.
    pub(crate) index: Arc<HeadIndex>,
    pub(crate) chunks: CowVec<Chunk>,
    pub(crate) clocks: Clocks,
    pub(crate) instances: Instances,
    pub(crate) exemplars: Exemplars,
    pub(crate) census: Census,
    scratch: Scratch,
    /// How to take back what [`Self::admit`] did.
    undo: Vec<(u32, Seen)>,
    /// Late samples held in memory.
    pub(crate) late_count: usize,
    /// Changes whenever a series appeared or vanished.
    pub(crate) series_generation: u64,
    /// The newest time of any sample.
    pub(crate) time_max: i64,
}

enum Verdict {
    InOrder,
    Late,
    Duplicate,
    Refused(Refusal),
}

fn judge(state: &State, time: i64, bits: u64, rules: &TimeRules) -> Verdict {
    if time > rules.newest {
        return Verdict::Refused(Refusal::TooFarAhead);
    }
    if time < rules.oldest {
        return Verdict::Refused(Refusal::TooOld);
    }
    if state.is_fresh() || time > state.last_time {
        return Verdict::InOrder;
    }
    if time == state.last_time {
        return if bits == state.last_bits {
            Verdict::Duplicate
        } else {
            Verdict::Refused(Refusal::DuplicateTimestamp)
        };
    }
    if rules.late_ms == 0 {
        Verdict::Refused(Refusal::OutOfOrder)
    } else if time >= state.last_time.saturating_sub(rules.late_ms) {
        Verdict::Late
    } else {
        Verdict::Refused(Refusal::TooOld)
    }
}

/// A number that differs between different values: the bits of a float, a hash of a histogram.
pub(crate) fn identity_of(value: &RichValue) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    match value {
        RichValue::Float(value) => value.to_bits(),
        RichValue::Histogram(value) => {
            let mut bytes = Vec::new();
            histogram::encode(std::slice::from_ref(value), &mut bytes);
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            hasher.finish()
        }
    }
}

/// What contradicts itself in a histogram, if anything does.
pub(crate) fn check_histogram(value: &HistogramSample) -> Result<(), Refusal> {
    let (schema, spans, buckets, bounds) = match value {
        HistogramSample::Int(h) => (
            h.schema,
            [&h.positive_spans, &h.negative_spans],
            [h.positive_deltas.len(), h.negative_deltas.len()],
            h.custom_values.as_deref(),
        ),
        HistogramSample::Float(h) => (
            h.schema,
            [&h.positive_spans, &h.negative_spans],
            [h.positive_buckets.len(), h.negative_buckets.len()],
            h.custom_values.as_deref(),
        ),
    };
    for (spans, buckets) in spans.iter().zip(buckets) {
        let described: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        if described != buckets as u64 {
            return Err(Refusal::Invalid(format!(
                "histogram spans describe {described} buckets, but {buckets} are given"
            )));
        }
    }
    if !histogram::is_storable(value) {
        return Err(Refusal::Invalid("a histogram with more spans or buckets than can be stored".to_owned()));
    }
    let custom = schema == model::histogram::CUSTOM_BUCKETS_SCHEMA;
    if !custom && !(-9..=52).contains(&schema) {
        return Err(Refusal::Invalid(format!("histogram schema {schema} is not known")));
    }
    if bounds.is_some() && !custom {
        return Err(Refusal::Invalid("custom bucket bounds with a schema that has its own".to_owned()));
    }
    Ok(())
}

impl Head {
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: &Path, window_ms: i64, exemplars_max: usize) -> Self {
        Self {
            index: Arc::new(HeadIndex::new()),
            chunks: CowVec::default(),
            clocks: Clocks::default(),
            instances: Instances::new(disk, folder, window_ms),
            exemplars: Exemplars::new(exemplars_max),
            census: Census::default(),
            scratch: Scratch::default(),
            undo: Vec::new(),
            late_count: 0,
            series_generation: 0,
            time_max: i64::MIN,
        }
    }

    /// The id of a series, which becomes known if it is new. `clock_key` says with whom it shares its times.
    pub(crate) fn resolve(&mut self, labels: &Labels, clock_key: impl FnOnce() -> u64) -> u32 {
        if let Some(id) = self.index.get(labels) {
            return id;
        }
        let id = self.index.insert(labels);
        let clock = self.clocks.of_key(clock_key());
        if (id as usize).is_multiple_of(CHUNK_SERIES) {
            self.chunks.push(Chunk::default());
        }
        if let Some(chunk) = self.chunks.get_mut(id as usize / CHUNK_SERIES) {
            chunk.add(State::new(clock));
        }
        self.series_generation += 1;
        id
    }

    pub(crate) fn state(&self, id: u32) -> Option<&State> {
        self.chunks.get(id as usize / CHUNK_SERIES)?.states.get(id as usize % CHUNK_SERIES)
    }

    fn state_mut(&mut self, id: u32) -> Option<&mut State> {
        self.chunks.get_mut(id as usize / CHUNK_SERIES)?.states.get_mut(id as usize % CHUNK_SERIES)
    }

    /// Remembers that a series has been given a sample, which is stored elsewhere.
    pub(crate) fn see(&mut self, id: u32, time: i64, bits: u64) {
        if let Some(state) = self.state_mut(id)
            && is_new_for(state, time)
        {
            state.saw(time, bits);
        }
    }

    /// Judges a batch: what remains in `rows` is admitted, late samples apart. Must be followed by [`Self::apply`] or
    /// [`Self::take_back`].
    pub(crate) fn admit(&mut self, rows: &mut BatchRows, rules: &TimeRules, earlier: Earlier<'_>, out: &mut Committed) {
        self.undo.clear();
        let mut kept = 0;
        let mut at = 0;
        let count = rows.ids.len();
        while at < count {
            let number = rows.ids[at] as usize / CHUNK_SERIES;
            let Some(chunk) = self.chunks.get_mut(number) else {
                out.refused.push(refused(rows.ids[at], rows.times[at], Refusal::UnknownSeries));
                at += 1;
                continue;
            };
            while at < count && rows.ids[at] as usize / CHUNK_SERIES == number {
                let (id, time, value) = (rows.ids[at], rows.times[at], rows.values[at]);
                at += 1;
                let Some(state) = chunk.states.get_mut(id as usize % CHUNK_SERIES) else {
                    out.refused.push(refused(id, time, Refusal::UnknownSeries));
                    continue;
                };
                if state.is_fresh() && time <= rules.parts_end {
                    learn(state, id, &self.index, earlier);
                }
                match judge(state, time, value.to_bits(), rules) {
                    Verdict::InOrder => {
                        self.undo.push((id, state.seen()));
                        state.saw(time, value.to_bits());
                        (rows.ids[kept], rows.times[kept], rows.values[kept]) = (id, time, value);
                        kept += 1;
                    }
                    Verdict::Late => rows.late.push(LateRow { id, time, value }),
                    Verdict::Duplicate => out.duplicates += 1,
                    Verdict::Refused(reason) => out.refused.push(refused(id, time, reason)),
                }
            }
        }
        rows.ids.truncate(kept);
        rows.times.truncate(kept);
        rows.values.truncate(kept);
        if !rows.rich.is_empty() {
            self.admit_rich(rows, rules, earlier, out);
        }
        if !rows.late.is_empty() {
            self.drop_known_late(rows, out);
        }
        out.late = (rows.late.len() + rows.late_rich.len()) as u64;
        out.appended = rows.samples() as u64;
    }

    fn admit_rich(&mut self, rows: &mut BatchRows, rules: &TimeRules, earlier: Earlier<'_>, out: &mut Committed) {
        for row in std::mem::take(&mut rows.rich) {
            let known = self.chunks.get_mut(row.id as usize / CHUNK_SERIES);
            let Some(state) = known.and_then(|chunk| chunk.states.get_mut(row.id as usize % CHUNK_SERIES)) else {
                out.refused.push(refused(row.id, row.time, Refusal::UnknownSeries));
                continue;
            };
            if state.is_fresh() && row.time <= rules.parts_end {
                learn(state, row.id, &self.index, earlier);
            }
            let bits = identity_of(&row.value);
            match judge(state, row.time, bits, rules) {
                Verdict::InOrder => {
                    self.undo.push((row.id, state.seen()));
                    state.saw(row.time, bits);
                    rows.rich.push(row);
                }
                Verdict::Late => rows.late_rich.push(row),
                Verdict::Duplicate => out.duplicates += 1,
                Verdict::Refused(reason) => out.refused.push(refused(row.id, row.time, reason)),
            }
        }
    }

    /// Late samples that are held already are duplicates, too.
    fn drop_known_late(&self, rows: &mut BatchRows, out: &mut Committed) {
        rows.late.retain(|row| {
            let Some(chunk) = self.chunks.get(row.id as usize / CHUNK_SERIES) else { return true };
            let at = (row.id as usize % CHUNK_SERIES) as u8;
            let look_back = &chunk.late[chunk.late.len().saturating_sub(LATE_LOOK_BACK)..];
            match look_back.iter().find(|late| late.at == at && late.time == row.time) {
                None => true,
                Some(late) if late.bits == row.value.to_bits() => {
                    out.duplicates += 1;
                    false
                }
                Some(_) => {
                    out.refused.push(refused(row.id, row.time, Refusal::DuplicateTimestamp));
                    false
                }
            }
        });
    }

    /// Undoes [`Self::admit`]: the log could not take the batch.
    pub(crate) fn take_back(&mut self) {
        for (id, seen) in std::mem::take(&mut self.undo).iter().rev() {
            if let Some(state) = self.state_mut(*id) {
                state.unsee(seen);
            }
        }
    }

    /// Stores what was admitted and logged.
    pub(crate) fn apply(&mut self, rows: &BatchRows) {
        let cx = &mut Context { clocks: &mut self.clocks, instances: &mut self.instances, scratch: &mut self.scratch };
        let mut at = 0;
        while at < rows.ids.len() {
            let number = rows.ids[at] as usize / CHUNK_SERIES;
            let Some(chunk) = self.chunks.get_mut(number) else { break };
            while at < rows.ids.len() && rows.ids[at] as usize / CHUNK_SERIES == number {
                self.time_max = self.time_max.max(rows.times[at]);
                chunk.push(rows.ids[at] as usize % CHUNK_SERIES, rows.times[at], rows.values[at], cx);
                at += 1;
            }
        }
        for row in &rows.rich {
            self.time_max = self.time_max.max(row.time);
            if let Some(chunk) = self.chunks.get_mut(row.id as usize / CHUNK_SERIES) {
                let sample = RichSample { time: row.time, start: row.start, value: row.value.clone() };
                chunk.push_rich(row.id as usize % CHUNK_SERIES, sample, cx);
            }
        }
        for row in &rows.late {
            let instance = cx.instances.at(row.time).id;
            if let Some(chunk) = self.chunks.get_mut(row.id as usize / CHUNK_SERIES) {
                let at = (row.id as usize % CHUNK_SERIES) as u8;
                chunk.late.push(Late { time: row.time, bits: row.value.to_bits(), instance, at });
                self.late_count += 1;
            }
        }
        for row in &rows.late_rich {
            let instance = cx.instances.at(row.time).id;
            if let Some(chunk) = self.chunks.get_mut(row.id as usize / CHUNK_SERIES) {
                let at = (row.id as usize % CHUNK_SERIES) as u8;
                let sample = RichSample { time: row.time, start: row.start, value: row.value.clone() };
                chunk.late_rich.push(LateRich { at, instance, row: sample });
                self.late_count += 1;
            }
        }
        for (id, exemplar) in &rows.exemplars {
            self.exemplars.push(*id, exemplar);
        }
    }

    /// The series of a batch whose labels this segment of the log does not have yet; marks them as logged.
    pub(crate) fn unlogged(&mut self, rows: &BatchRows, segment: u32, out: &mut Vec<u32>) {
        out.clear();
        let mut last = u32::MAX;
        let others = rows.late.iter().map(|row| row.id).chain(rows.rich.iter().map(|row| row.id));
        let others =
            others.chain(rows.late_rich.iter().map(|row| row.id)).chain(rows.exemplars.iter().map(|(id, _)| *id));
        let logged = |run: &&[u32]| {
            let chunk = run.first().and_then(|id| self.chunks.get(*id as usize / CHUNK_SERIES));
            let states = chunk.map_or(&[][..], |chunk| chunk.states.as_slice());
            run.iter().all(|id| states.get(*id as usize % CHUNK_SERIES).is_none_or(|state| state.logged_in == segment))
        };
        let runs = rows.ids.chunk_by(|a, b| *a as usize / CHUNK_SERIES == *b as usize / CHUNK_SERIES);
        let unlogged: Vec<&[u32]> = runs.filter(|run| !logged(run)).collect();
        for id in unlogged.into_iter().flatten().copied().chain(others) {
            // Looking first keeps readers' copies from being made for nothing.
            if id != last && self.state(id).is_some_and(|state| state.logged_in != segment) {
                if let Some(state) = self.state_mut(id) {
                    state.logged_in = segment;
                }
                out.push(id);
            }
            last = id;
        }
    }

    /// The labels of these series are not in the log after all.
    pub(crate) fn mark_unlogged(&mut self, ids: &[u32]) {
        for id in ids {
            if let Some(state) = self.state_mut(*id) {
                state.logged_in = 0;
            }
        }
    }

    /// What the log says about a series.
    pub(crate) fn entry(&self, id: u32) -> Option<SeriesEntry> {
        let clock_key = self.clocks.key(self.state(id)?.clock);
        Some(SeriesEntry { id, clock_key, labels: self.index.labels(id)? })
    }

    /// Runs over the chunks with the context they need to change; stops early where `visit` says so.
    pub(crate) fn visit_chunks(
        &mut self,
        numbers: std::ops::Range<usize>,
        wanted: &dyn Fn(&Chunk) -> bool,
        visit: &mut dyn FnMut(&mut Chunk, &mut Context<'_>),
    ) {
        let cx = &mut Context { clocks: &mut self.clocks, instances: &mut self.instances, scratch: &mut self.scratch };
        for number in numbers {
            if self.chunks.get(number).is_some_and(wanted)
                && let Some(chunk) = self.chunks.get_mut(number)
            {
                visit(chunk, cx);
            }
        }
    }

    /// Pins what is committed.
    pub(crate) fn view(&mut self) -> HeadView {
        HeadView {
            index: self.index.snapshot(),
            chunks: self.chunks.clone(),
            clocks: self.clocks.clocks.clone(),
            instances: self.instances.views(),
            exemplars: self.exemplars.view(),
        }
    }

    /// The series that hold samples, or had one after `newest_idle`, or none yet.
    pub(crate) fn ids_in_use(&self, newest_idle: i64) -> impl Iterator<Item = u32> {
        let chunks = self.chunks.iter().enumerate();
        chunks.flat_map(move |(number, chunk)| {
            (0..chunk.states.len()).filter_map(move |at| {
                let state = &chunk.states[at];
                let used = state.is_fresh() || state.last_time >= newest_idle || chunk.holds(at);
                used.then_some((number * CHUNK_SERIES + at) as u32)
            })
        })
    }

    /// Forgets all series but these, which get new ids.
    pub(crate) fn forget(&mut self, keep: &Ids) {
        let old = std::mem::take(&mut self.chunks);
        let (index, ids) = self.index.rebuild(keep);
        self.index = Arc::new(index);
        let cx = &mut Context { clocks: &mut self.clocks, instances: &mut self.instances, scratch: &mut self.scratch };
        for id in keep {
            let Some(chunk) = old.get(id as usize / CHUNK_SERIES) else { continue };
            let Some(Some(new)) = ids.get(id as usize).copied() else { continue };
            if (new as usize).is_multiple_of(CHUNK_SERIES) {
                self.chunks.push(Chunk::default());
            }
            if let Some(to) = self.chunks.get_mut(new as usize / CHUNK_SERIES) {
                to.adopt(chunk, id as usize % CHUNK_SERIES, cx);
            }
        }
        let used: HashSet<u32> = self.chunks.iter().flat_map(|chunk| &chunk.states).map(|state| state.clock).collect();
        self.clocks.forget_unused(&|clock| used.contains(&clock));
        self.exemplars.renumber(&|id| ids.get(id as usize).copied().flatten());
        let labels: Vec<Labels> = (0..self.index.len() as u32).filter_map(|id| self.index.labels(id)).collect();
        self.census.recount(labels.iter().map(Labels::metric_name));
        self.series_generation += 1;
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.index.heap_bytes()
            + self.clocks.heap_bytes()
            + self.chunks.iter().map(|chunk| chunk.heap_bytes() + size_of::<Chunk>() + 32).sum::<usize>()
    }
}

fn learn(state: &mut State, id: u32, index: &HeadIndex, earlier: Earlier<'_>) {
    if let Some((time, bits)) = index.labels(id).and_then(|labels| earlier(&labels)) {
        state.saw(time, bits);
    }
}

fn refused(id: u32, time: i64, reason: Refusal) -> Refused {
    Refused { series: SeriesRef(u64::from(id)), time: Timestamp(time), reason }
}

/// Applies a row of the log again; nothing is judged, because it was when it was written.
pub(crate) fn is_new_for(state: &State, row_time: i64) -> bool {
    state.is_fresh() || row_time > state.last_time
}

/// Float rows and rich rows of a replayed batch that the head has already are dropped from it.
pub(crate) fn drop_replayed(head: &mut Head, rows: &mut BatchRows) {
    let (mut kept, mut at) = (0, 0);
    let count = rows.ids.len();
    while at < count {
        // Chunk by chunk: asking for each series cost a third of all replay.
        let number = rows.ids[at] as usize / CHUNK_SERIES;
        let mut chunk = head.chunks.get_mut(number);
        while at < count && rows.ids[at] as usize / CHUNK_SERIES == number {
            let (id, time, value) = (rows.ids[at], rows.times[at], rows.values[at]);
            at += 1;
            let states = chunk.as_mut().map(|chunk| &mut chunk.states);
            if let Some(state) = states.and_then(|states| states.get_mut(id as usize % CHUNK_SERIES))
                && is_new_for(state, time)
            {
                state.saw(time, value.to_bits());
                (rows.ids[kept], rows.times[kept], rows.values[kept]) = (id, time, value);
                kept += 1;
            }
        }
    }
    rows.ids.truncate(kept);
    rows.times.truncate(kept);
    rows.values.truncate(kept);
    rows.rich.retain(|row: &RichRow| {
        let Some(state) = head.state_mut(row.id) else { return false };
        let new = is_new_for(state, row.time);
        if new {
            state.saw(row.time, identity_of(&row.value));
        }
        new
    });
    let known = |id: u32, head: &Head| head.state(id).is_some();
    rows.late.retain(|row| known(row.id, head));
    rows.late_rich.retain(|row| known(row.id, head));
    rows.exemplars.retain(|(id, _)| known(*id, head));
}
