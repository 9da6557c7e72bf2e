//! 64 series of the head: their states, their open buffers, the places of their final blocks.
//!
//! A sample goes to the raw buffer of its series (16 values); a full buffer becomes a small block in the chunk's arena;
//! 128 values become one final block in the spill of their window. Times are rows of the clock that the series of a
//! target share, or the series' own where they do not fit ("private", until its window ends).
//! Promises: values leave bit for bit as they came. A chunk is copied as a whole for readers (see `cow`), so all that
//! belongs to its series stands in it.
//! Not here: whether a sample is taken (`head`), other people's threads. Decided in docs/decisions/0065.

use model::storage::STALE_NAN_BITS;

use crate::codec::bytes::Reader;
use crate::codec::float::{self, FloatState};
use crate::codec::int::{self, IntState};
use crate::codec::{BLOCK_ROWS_MAX, Damage};
use crate::head::clock::Clocks;
use crate::head::rows::Rows;
use crate::head::spill::Place;
use crate::head::window::Instances;
use crate::log::batch::{RichValue, put_histograms, take_histograms};

mod saved;

/// Series of a chunk: bits of a word, and few enough that a copy for a reader is cheap (16 KiB).
pub(crate) const CHUNK_SERIES: usize = 64;
/// Values of a raw buffer: measured with 8, 16 and 32; more costs memory, less costs time.
pub(crate) const RAW_VALUES: usize = 16;
/// Rows a raw buffer may span in its clock: the bits of its mask.
const MASK_ROWS: u32 = 32;
/// A buffer with fewer values than this that would span too many rows goes private instead of being closed.
const CLOSE_VALUES_MIN: u8 = 8;
/// Rows in small blocks after which another full buffer would not fit into a final block.
const SMALL_ROWS_MAX: usize = BLOCK_ROWS_MAX - RAW_VALUES;
/// Rows kept as they are for a series with histograms or start times. Histograms are large (half a kilobyte each
/// while open), so fewer than of floats.
const RICH_ROWS_MAX: usize = 32;
/// Places in the arena are 16 bits wide.
const ARENA_BYTES_MAX: usize = 60_000;
const NO_SLOT: u8 = 0xff;

const FORM_RUN: u8 = 0;
const FORM_MASK: u8 = 1;
const FORM_OWN: u8 = 2;
const FORM_RICH: u8 = 3;

/// Times of its own until the window ends.
const PRIVATE: u8 = 1;
/// Has histograms or start times: kept row by row.
const RICH: u8 = 2;
/// Nothing is known about earlier samples of this series; they may be in parts.
const FRESH: u8 = 4;
/// Was given samples since the last look for idle series.
const BUSY: u8 = 8;

/// What is kept of a series besides its labels and values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    /// Meaningless while [`FRESH`].
    pub(crate) last_time: i64,
    pub(crate) last_bits: u64,
    first_row: u32,
    mask: u32,
    pub(crate) clock: u32,
    /// The instance of a window that the open buffer belongs to; 0 for none.
    pub(crate) instance: u32,
    /// The log segment in which the labels were written last; 0 for none.
    pub(crate) logged_in: u32,
    float: FloatState,
    /// Place of the newest small block in the arena, plus one.
    arena: u16,
    raw: u8,
    private: u8,
    len: u8,
    small_rows: u8,
    flags: u8,
}

impl State {
    pub(crate) fn new(clock: u32) -> Self {
        Self {
            last_time: i64::MIN,
            last_bits: 0,
            first_row: 0,
            mask: 0,
            clock,
            instance: 0,
            logged_in: 0,
            float: FloatState::default(),
            arena: 0,
            raw: NO_SLOT,
            private: NO_SLOT,
            len: 0,
            small_rows: 0,
            flags: FRESH,
        }
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether nothing is known about earlier samples.
    pub(crate) const fn is_fresh(&self) -> bool {
        self.has(FRESH)
    }

    /// Remembers the newest sample.
    pub(crate) fn saw(&mut self, time: i64, bits: u64) {
        self.last_time = time;
        self.last_bits = bits;
        self.flags = self.flags & !FRESH | BUSY;
    }

    /// Takes back what [`Self::saw`] said.
    pub(crate) fn unsee(&mut self, before: &Seen) {
        self.last_time = before.time;
        self.last_bits = before.bits;
        self.flags = self.flags & !FRESH | if before.fresh { FRESH } else { 0 };
    }

    pub(crate) const fn seen(&self) -> Seen {
        Seen { time: self.last_time, bits: self.last_bits, fresh: self.has(FRESH) }
    }
}

/// What was known about a series before a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) time: i64,
    pub(crate) bits: u64,
    pub(crate) fresh: bool,
}

/// A float that came out of order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late {
    pub(crate) time: i64,
    pub(crate) bits: u64,
    pub(crate) instance: u32,
    pub(crate) at: u8,
}

/// Anything else that came out of order.
#[derive(Clone, Debug)]
pub(crate) struct LateRich {
    pub(crate) at: u8,
    pub(crate) instance: u32,
    pub(crate) row: RichSample,
}

/// A sample kept as it is.
#[derive(Clone, Debug)]
pub(crate) struct RichSample {
    pub(crate) time: i64,
    pub(crate) start: i64,
    pub(crate) value: RichValue,
}

#[derive(Clone, Debug)]
pub(crate) struct RichBuffer {
    pub(crate) at: u8,
    pub(crate) rows: Vec<RichSample>,
}

/// The newest final block of each series within one instance of a window.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) instance: u32,
    pub(crate) newest: Box<[Place]>,
    /// Rows in the final blocks of each series.
    pub(crate) rows: Box<[u32]>,
}

/// 64 series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) states: Vec<State>,
    raw: Vec<[f64; RAW_VALUES]>,
    raw_used: u64,
    private: Vec<[u32; RAW_VALUES]>,
    private_used: u64,
    arena: Vec<u8>,
    /// Bytes of the arena that belong to nobody any more.
    garbage: u32,
    pub(crate) places: Vec<Places>,
    pub(crate) late: Vec<Late>,
    pub(crate) late_rich: Vec<LateRich>,
    pub(crate) rich: Vec<RichBuffer>,
}

/// What a chunk needs from the rest of the head while it changes.
pub(crate) struct Context<'a> {
    pub(crate) clocks: &'a mut Clocks,
    pub(crate) instances: &'a mut Instances,
    pub(crate) scratch: &'a mut Scratch,
}

/// Buffers that outlive a call.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    values: Vec<f64>,
    times: Vec<i64>,
    rows: Vec<u32>,
    places: Vec<usize>,
    body: Vec<u8>,
}

/// Takes the lowest free slot of a pool, growing it only when all are taken.
fn take_slot<T: Copy>(pool: &mut Vec<T>, used: &mut u64, empty: T) -> u8 {
    let slot = used.trailing_ones() as usize;
    *used |= 1 << slot;
    if slot == pool.len() {
        pool.reserve_exact(8);
        pool.push(empty);
    }
    slot as u8
}

/// Gives a slot back; the pool shrinks when its end is free.
fn give_slot<T>(pool: &mut Vec<T>, used: &mut u64, slot: &mut u8) {
    if *slot != NO_SLOT {
        *used &= !(1 << *slot);
        *slot = NO_SLOT;
        pool.truncate(64 - used.leading_zeros() as usize);
        if pool.capacity() > pool.len() + 16 {
            pool.shrink_to(pool.len() + 8);
        }
    }
}

/// One small block in the arena.
struct Small<'a> {
    previous: u16,
    rows: usize,
    form: u8,
    first_row: u32,
    mask: u32,
    /// Times of its own (if it has any), then values.
    body: &'a [u8],
}

fn small_at(arena: &[u8], place: usize) -> Result<Small<'_>, Damage> {
    let mut input = Reader::new(arena.get(place..).ok_or(Damage("a place outside the arena"))?);
    let previous = u16::from_le_bytes(input.array()?);
    let (rows, form) = (usize::from(input.u8()?), input.u8()?);
    let (mut first_row, mut mask) = (0, 0);
    if form != FORM_OWN {
        first_row = input.u32()?;
        mask = if form == FORM_MASK { input.u32()? } else { (1u64 << rows) as u32 - 1 };
    }
    let body = input.take(input.remaining())?;
    Ok(Small { previous, rows, form, first_row, mask, body })
}

/// The rows a mask names.
fn rows_of(first_row: u32, mask: u32) -> impl Iterator<Item = u32> {
    (0..MASK_ROWS).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| first_row + bit)
}

impl Chunk {
    /// Adds a series; the chunk has room.
    pub(crate) fn add(&mut self, state: State) {
        self.states.reserve_exact(8);
        self.states.push(state);
    }

    /// Stores a float that is newer than all before it in this series.
    pub(crate) fn push(&mut self, at: usize, time: i64, value: f64, cx: &mut Context<'_>) {
        let instance = cx.instances.at(time);
        if self.states[at].instance != instance.id {
            self.enter(at, instance.id, cx);
        }
        if self.states[at].has(RICH) {
            let row = RichSample { time, start: 0, value: RichValue::Float(value) };
            return self.push_rich_row(at, row, cx);
        }
        if !self.states[at].has(PRIVATE) {
            self.mark_row(at, time, cx);
        }
        let state = &mut self.states[at];
        if state.raw == NO_SLOT {
            state.raw = take_slot(&mut self.raw, &mut self.raw_used, [0.0; RAW_VALUES]);
        }
        let len = usize::from(state.len);
        self.raw[usize::from(state.raw)][len] = value;
        if state.has(PRIVATE) {
            self.private[usize::from(state.private)][len] = time.wrapping_sub(instance.start) as u32;
        }
        state.len += 1;
        if value.to_bits() == STALE_NAN_BITS {
            // The series ended: its buffers serve another.
            self.release(at, cx);
        } else if usize::from(state.len) == RAW_VALUES {
            self.close_buffer(at, cx);
        }
    }

    /// Stores a histogram or a sample with a start time, newer than all before it in this series.
    pub(crate) fn push_rich(&mut self, at: usize, row: RichSample, cx: &mut Context<'_>) {
        let instance = cx.instances.at(row.time);
        if self.states[at].instance != instance.id {
            self.enter(at, instance.id, cx);
        }
        if !self.states[at].has(RICH) {
            self.finish(at, cx);
            self.release_slots(at);
            self.states[at].flags |= RICH;
        }
        self.push_rich_row(at, row, cx);
    }

    fn push_rich_row(&mut self, at: usize, row: RichSample, cx: &mut Context<'_>) {
        let index = match self.rich.iter().position(|buffer| usize::from(buffer.at) == at) {
            Some(index) => index,
            None => {
                self.rich.push(RichBuffer { at: at as u8, rows: Vec::new() });
                self.rich.len() - 1
            }
        };
        self.rich[index].rows.push(row);
        if self.rich[index].rows.len() >= RICH_ROWS_MAX {
            self.finish(at, cx);
        }
    }

    /// Begins an instance of a window: what is open belongs to the one before.
    fn enter(&mut self, at: usize, instance: u32, cx: &mut Context<'_>) {
        self.finish(at, cx);
        let state = &mut self.states[at];
        state.instance = instance;
        // A new window, a new chance to share the clock.
        state.flags &= !PRIVATE;
        give_slot(&mut self.private, &mut self.private_used, &mut state.private);
    }

    /// Notes the row of a time in the mask of the open buffer, or makes the series private.
    fn mark_row(&mut self, at: usize, time: i64, cx: &mut Context<'_>) {
        let row = cx.clocks.row(self.states[at].clock, time);
        let state = &mut self.states[at];
        match row {
            Some(row) if state.len == 0 => {
                state.first_row = row;
                state.mask = 1;
            }
            Some(row) if row > state.first_row && row - state.first_row < MASK_ROWS => {
                state.mask |= 1 << (row - state.first_row);
            }
            Some(row) if row > state.first_row && state.len >= CLOSE_VALUES_MIN => {
                self.close_buffer(at, cx);
                let state = &mut self.states[at];
                state.first_row = row;
                state.mask = 1;
            }
            _ => self.go_private(at, cx),
        }
    }

    fn go_private(&mut self, at: usize, cx: &mut Context<'_>) {
        let state = &mut self.states[at];
        let start = cx.instances.start_of(state.instance);
        let mut own = [0; RAW_VALUES];
        for (slot, row) in own.iter_mut().zip(rows_of(state.first_row, state.mask)).take(usize::from(state.len)) {
            // Rows of unsealed windows are never dropped; a row that is gone would be a time before the window.
            *slot = cx.clocks.time(state.clock, row).map_or(0, |time| time.wrapping_sub(start) as u32);
        }
        if state.private == NO_SLOT {
            state.private = take_slot(&mut self.private, &mut self.private_used, own);
        }
        self.private[usize::from(state.private)] = own;
        state.flags |= PRIVATE;
    }

    /// Turns the raw buffer into a small block, or with the small blocks before it into a final one.
    fn close_buffer(&mut self, at: usize, cx: &mut Context<'_>) {
        let state = self.states[at];
        if usize::from(state.small_rows) + usize::from(state.len) > SMALL_ROWS_MAX {
            return self.finish(at, cx);
        }
        if self.arena.len() > ARENA_BYTES_MAX {
            self.compact_arena();
            if self.arena.len() > ARENA_BYTES_MAX {
                return self.finish(at, cx);
            }
        }
        let place = self.arena.len();
        let len = usize::from(state.len);
        if self.arena.capacity() < place + 64 {
            self.arena.reserve_exact(place / 4 + 256);
        }
        self.arena.extend_from_slice(&state.arena.to_le_bytes());
        self.arena.push(state.len);
        if state.has(PRIVATE) {
            self.arena.push(FORM_OWN);
            let own = &self.private[usize::from(state.private)][..len];
            cx.scratch.times.clear();
            cx.scratch.times.extend(own.iter().map(|offset| i64::from(*offset)));
            int::encode(&cx.scratch.times, &mut IntState::default(), &mut self.arena);
        } else if state.mask == ((1u64 << len) - 1) as u32 {
            self.arena.push(FORM_RUN);
            self.arena.extend_from_slice(&state.first_row.to_le_bytes());
        } else {
            self.arena.push(FORM_MASK);
            self.arena.extend_from_slice(&state.first_row.to_le_bytes());
            self.arena.extend_from_slice(&state.mask.to_le_bytes());
        }
        let values = &self.raw[usize::from(state.raw)][..len];
        let state = &mut self.states[at];
        float::encode(values, &mut state.float, &mut self.arena);
        state.arena = place as u16 + 1;
        state.small_rows += len as u8;
        state.len = 0;
        state.mask = 0;
    }

    /// The places of a series' small blocks, oldest first.
    fn small_places(&self, at: usize, places: &mut Vec<usize>) -> Result<(), Damage> {
        places.clear();
        let mut place = self.states[at].arena;
        while place != 0 {
            places.push(usize::from(place) - 1);
            let small = small_at(&self.arena, usize::from(place) - 1)?;
            if small.previous >= place {
                return Err(Damage("small blocks that do not run back"));
            }
            place = small.previous;
        }
        places.reverse();
        Ok(())
    }

    /// Turns all that is open of a series into one final block.
    pub(crate) fn finish(&mut self, at: usize, cx: &mut Context<'_>) {
        let state = self.states[at];
        if let Some(index) = self.rich.iter().position(|buffer| usize::from(buffer.at) == at) {
            let buffer = self.rich.swap_remove(index);
            encode_rich(&buffer.rows, at, &mut cx.scratch.body);
            self.spill(at, cx);
            return;
        }
        if state.len == 0 && state.small_rows == 0 {
            return;
        }
        // Small blocks were written by this process or came through a checksum, so they can be read.
        if self.encode_final(at, cx).is_ok() {
            self.spill(at, cx);
        }
        self.forget_open(at);
    }

    /// Puts the final block of all open rows into the scratch body.
    fn encode_final(&mut self, at: usize, cx: &mut Context<'_>) -> Result<(), Damage> {
        let state = self.states[at];
        let len = usize::from(state.len);
        let scratch = &mut *cx.scratch;
        scratch.values.clear();
        scratch.rows.clear();
        let mut places = std::mem::take(&mut scratch.places);
        let walked = self.small_places(at, &mut places);
        let mut on_clock = !state.has(PRIVATE);
        for place in &places {
            let small = small_at(&self.arena, *place)?;
            let mut body = small.body;
            if small.form == FORM_OWN {
                on_clock = false;
                scratch.times.clear();
                let used = int::decode_append(body, &mut scratch.times)?;
                body = &body[used..];
            } else {
                scratch.rows.extend(rows_of(small.first_row, small.mask));
            }
            float::decode_append(body, &mut scratch.values)?;
        }
        if len > 0 {
            scratch.values.extend_from_slice(&self.raw[usize::from(state.raw)][..len]);
            scratch.rows.extend(rows_of(state.first_row, state.mask).take(if on_clock { len } else { 0 }));
        }
        let rows = scratch.values.len();
        scratch.body.clear();
        let run = on_clock && scratch.rows.len() == rows && scratch.rows.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        scratch.body.extend_from_slice(&[if run { FORM_RUN } else { FORM_OWN }, at as u8]);
        scratch.body.extend_from_slice(&(rows as u16).to_le_bytes());
        if run {
            scratch.body.extend_from_slice(&state.clock.to_le_bytes());
            scratch.body.extend_from_slice(&scratch.rows[0].to_le_bytes());
        } else {
            scratch.times.clear();
            let mut times = std::mem::take(&mut scratch.times);
            let walked = self.open_times(at, &places, &mut times, cx);
            int::encode(&times, &mut IntState::default(), &mut cx.scratch.body);
            cx.scratch.times = times;
            walked?;
        }
        let scratch = &mut *cx.scratch;
        scratch.places = places;
        float::encode(&scratch.values, &mut self.states[at].float, &mut scratch.body);
        walked
    }

    /// The times of all open rows of a series.
    fn open_times(&self, at: usize, places: &[usize], times: &mut Vec<i64>, cx: &Context<'_>) -> Result<(), Damage> {
        let state = &self.states[at];
        let start = cx.instances.start_of(state.instance);
        let clock = |row| cx.clocks.time(state.clock, row);
        for place in places {
            let small = small_at(&self.arena, *place)?;
            push_small_times(&small, start, &clock, times)?;
        }
        self.push_raw_times(at, start, &clock, times);
        Ok(())
    }

    fn push_raw_times(&self, at: usize, start: i64, clock: &dyn Fn(u32) -> Option<i64>, times: &mut Vec<i64>) {
        let state = &self.states[at];
        let len = usize::from(state.len);
        if len == 0 {
            return;
        }
        if state.has(PRIVATE) {
            let own = &self.private[usize::from(state.private)][..len];
            times.extend(own.iter().map(|offset| start.wrapping_add(i64::from(*offset))));
        } else {
            times.extend(rows_of(state.first_row, state.mask).take(len).map(|row| clock(row).unwrap_or(start)));
        }
    }

    /// Hands the scratch body to the spill and keeps its place.
    fn spill(&mut self, at: usize, cx: &mut Context<'_>) {
        let instance = self.states[at].instance;
        let index = self.places_of(instance);
        let places = &mut self.places[index];
        let body = &cx.scratch.body;
        if let Some(spill) = cx.instances.spill_mut(instance) {
            let place = spill.push(places.newest[at], body);
            if place != 0 {
                places.newest[at] = place;
                places.rows[at] += u32::from(u16::from_le_bytes([body[2], body[3]]));
            }
        }
    }

    fn forget_open(&mut self, at: usize) {
        let mut places = Vec::new();
        let _ = self.small_places(at, &mut places);
        let mut bytes = 0;
        for place in places {
            bytes += small_bytes(&self.arena, place);
        }
        self.garbage += bytes as u32;
        let state = &mut self.states[at];
        state.arena = 0;
        state.small_rows = 0;
        state.len = 0;
        state.mask = 0;
        if self.garbage as usize * 2 > self.arena.len() {
            self.compact_arena();
        }
    }

    /// Moves the small blocks that still belong to somebody to the front.
    fn compact_arena(&mut self) {
        let live = self.arena.len() - (self.garbage as usize).min(self.arena.len());
        let mut arena = Vec::with_capacity(live + live / 4);
        let mut places = Vec::new();
        for at in 0..self.states.len() {
            let _ = self.small_places(at, &mut places);
            let mut previous = 0u16;
            for place in &places {
                let bytes = small_bytes(&self.arena, *place);
                let moved = arena.len();
                arena.extend_from_slice(&self.arena[*place..*place + bytes]);
                arena[moved..moved + 2].copy_from_slice(&previous.to_le_bytes());
                previous = moved as u16 + 1;
            }
            self.states[at].arena = previous;
        }
        self.arena = arena;
        self.garbage = 0;
    }

    fn release_slots(&mut self, at: usize) {
        let state = &mut self.states[at];
        give_slot(&mut self.raw, &mut self.raw_used, &mut state.raw);
        give_slot(&mut self.private, &mut self.private_used, &mut state.private);
        state.flags &= !PRIVATE;
    }

    /// Closes what is open of a series and gives its buffers back.
    pub(crate) fn release(&mut self, at: usize, cx: &mut Context<'_>) {
        self.finish(at, cx);
        self.release_slots(at);
        self.states[at].instance = 0;
    }

    /// Releases the series that were given nothing since the last call; says how many.
    pub(crate) fn release_idle(&mut self, cx: &mut Context<'_>) -> usize {
        let mut released = 0;
        for at in 0..self.states.len() {
            if self.states[at].has(BUSY) {
                self.states[at].flags &= !BUSY;
            } else if self.states[at].instance != 0 {
                self.release(at, cx);
                released += 1;
            }
        }
        released
    }

    /// Whether [`Self::release_idle`] would do anything.
    pub(crate) fn has_idle_or_busy(&self) -> bool {
        self.states.iter().any(|state| state.has(BUSY) || state.instance != 0)
    }

    /// Takes over a series from a chunk that goes away; it becomes the last of this one.
    pub(crate) fn adopt(&mut self, from: &Self, at: usize, cx: &mut Context<'_>) {
        // Its open rows become a final block, so that only places need to move.
        let mut closed = None;
        if from.is_open(at) {
            let mut copy = from.clone();
            copy.release(at, cx);
            closed = Some(copy);
        }
        let source = closed.as_ref().unwrap_or(from);
        let to = self.states.len() as u8;
        let mut state = State { logged_in: 0, raw: NO_SLOT, private: NO_SLOT, instance: 0, ..source.states[at] };
        state.flags &= !PRIVATE;
        self.add(state);
        for places in &source.places {
            if places.newest[at] == 0 {
                continue;
            }
            let index = self.places_of(places.instance);
            self.places[index].newest[usize::from(to)] = places.newest[at];
            self.places[index].rows[usize::from(to)] = places.rows[at];
        }
        let mine = |late_at: u8| usize::from(late_at) == at;
        self.late.extend(source.late.iter().filter(|row| mine(row.at)).map(|row| Late { at: to, ..*row }));
        let late_rich = source.late_rich.iter().filter(|row| mine(row.at));
        self.late_rich.extend(late_rich.map(|row| LateRich { at: to, ..row.clone() }));
    }

    fn places_of(&mut self, instance: u32) -> usize {
        self.places.iter().position(|places| places.instance == instance).unwrap_or_else(|| {
            let newest = vec![0; CHUNK_SERIES].into_boxed_slice();
            let rows = vec![0; CHUNK_SERIES].into_boxed_slice();
            self.places.push(Places { instance, newest, rows });
            self.places.len() - 1
        })
    }

    /// Forgets what is open of the series whose open rows are in a part already.
    pub(crate) fn discard_open(&mut self, gone: &dyn Fn(u32) -> bool) {
        for at in 0..self.states.len() {
            if gone(self.states[at].instance) {
                self.rich.retain(|buffer| usize::from(buffer.at) != at);
                self.forget_open(at);
                self.release_slots(at);
            }
        }
    }

    /// Whether a series has anything unsealed.
    pub(crate) fn holds(&self, at: usize) -> bool {
        let late = |late_at: u8| usize::from(late_at) == at;
        self.is_open(at)
            || self.places.iter().any(|places| places.newest[at] != 0)
            || self.late.iter().any(|row| late(row.at))
            || self.late_rich.iter().any(|row| late(row.at))
    }

    /// At most so many rows of a series are unsealed.
    pub(crate) fn rows_max(&self, at: usize) -> u64 {
        let state = &self.states[at];
        let final_rows: u64 = self.places.iter().map(|places| u64::from(places.rows[at])).sum();
        let late = self.late.iter().filter(|row| usize::from(row.at) == at).count()
            + self.late_rich.iter().filter(|row| usize::from(row.at) == at).count()
            + self
                .rich
                .iter()
                .filter(|buffer| usize::from(buffer.at) == at)
                .map(|buffer| buffer.rows.len())
                .sum::<usize>();
        final_rows + u64::from(state.len) + u64::from(state.small_rows) + late as u64
    }

    /// Whether a series has rows that are not in a final block.
    pub(crate) fn is_open(&self, at: usize) -> bool {
        let state = &self.states[at];
        state.len > 0 || state.small_rows > 0 || self.rich.iter().any(|buffer| usize::from(buffer.at) == at)
    }

    /// Appends the open rows of a series, oldest first.
    pub(crate) fn read_open(
        &self,
        at: usize,
        start: i64,
        clock: &dyn Fn(u32) -> Option<i64>,
        rows: &mut Rows,
    ) -> Result<(), Damage> {
        if let Some(buffer) = self.rich.iter().find(|buffer| usize::from(buffer.at) == at) {
            for row in &buffer.rows {
                rows.push_rich(row.time, row.start, &row.value);
            }
            return Ok(());
        }
        let mut places = Vec::new();
        self.small_places(at, &mut places)?;
        for place in places {
            let small = small_at(&self.arena, place)?;
            let used = push_small_times(&small, start, clock, &mut rows.times)?;
            float::decode_append(&small.body[used..], &mut rows.values)?;
        }
        let state = &self.states[at];
        if state.len > 0 {
            self.push_raw_times(at, start, clock, &mut rows.times);
            rows.values.extend_from_slice(&self.raw[usize::from(state.raw)][..usize::from(state.len)]);
        }
        rows.even_out()
    }

    /// Forgets instances whose samples are in parts now.
    pub(crate) fn forget_instances(&mut self, gone: &dyn Fn(u32) -> bool) {
        self.places.retain(|places| !gone(places.instance));
        self.late.retain(|row| !gone(row.instance));
        self.late_rich.retain(|row| !gone(row.instance));
        if self.late.is_empty() {
            self.late = Vec::new();
        }
        for state in &mut self.states {
            if gone(state.instance) {
                state.instance = 0;
            }
        }
    }

    /// Whether [`Self::forget_instances`] would do anything.
    pub(crate) fn knows_instance(&self, gone: &dyn Fn(u32) -> bool) -> bool {
        self.places.iter().any(|places| gone(places.instance))
            || self.late.iter().any(|row| gone(row.instance))
            || self.late_rich.iter().any(|row| gone(row.instance))
            || self.states.iter().any(|state| gone(state.instance))
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.states.capacity() * size_of::<State>()
            + self.raw.capacity() * size_of::<[f64; RAW_VALUES]>()
            + self.private.capacity() * size_of::<[u32; RAW_VALUES]>()
            + self.arena.capacity()
            + self.places.len() * (CHUNK_SERIES * (size_of::<Place>() + 4) + size_of::<Places>())
            + self.late.capacity() * size_of::<Late>()
            + self.rich.iter().map(|buffer| buffer.rows.len() * 512).sum::<usize>()
    }
}

/// Appends the times of a small block; says where its values begin in its body.
fn push_small_times(
    small: &Small<'_>,
    start: i64,
    clock: &dyn Fn(u32) -> Option<i64>,
    times: &mut Vec<i64>,
) -> Result<usize, Damage> {
    if small.form != FORM_OWN {
        times.extend(rows_of(small.first_row, small.mask).map(|row| clock(row).unwrap_or(start)));
        return Ok(0);
    }
    let from = times.len();
    let used = int::decode_append(small.body, times)?;
    for time in &mut times[from..] {
        *time = start.wrapping_add(*time);
    }
    Ok(used)
}

/// How long a small block is; 0 if it cannot be read.
fn small_bytes(arena: &[u8], place: usize) -> usize {
    let measure = || -> Result<usize, Damage> {
        let small = small_at(arena, place)?;
        let mut bytes = arena.len() - place - small.body.len();
        let mut body = small.body;
        if small.form == FORM_OWN {
            let own = crate::codec::block::peek(body)?.bytes;
            bytes += own;
            body = body.get(own..).ok_or(Damage("ends early"))?;
        }
        let _ = small.rows;
        Ok(bytes + crate::codec::block::peek(body)?.bytes)
    };
    measure().unwrap_or(0)
}

/// Puts a final block of rows kept as they were into `body`.
fn encode_rich(rows: &[RichSample], at: usize, body: &mut Vec<u8>) {
    body.clear();
    body.extend_from_slice(&[FORM_RICH, at as u8]);
    body.extend_from_slice(&(rows.len() as u16).to_le_bytes());
    let times: Vec<i64> = rows.iter().map(|row| row.time).collect();
    int::encode(&times, &mut IntState::default(), body);
    let starts: Vec<i64> = rows.iter().map(|row| row.start).collect();
    int::encode(&starts, &mut IntState::default(), body);
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    for row in rows {
        match &row.value {
            RichValue::Float(value) => {
                body.push(0);
                floats.push(*value);
            }
            RichValue::Histogram(value) => {
                body.push(1);
                histograms.push(value.clone());
            }
        }
    }
    if !floats.is_empty() {
        float::encode(&floats, &mut FloatState::default(), body);
    }
    put_histograms(&histograms, body);
}

/// A final block as a seal wants it: its times, and its values encoded where they may be copied through.
pub(crate) enum FinalValues<'a> {
    Block(&'a [u8]),
    Rows(Rows),
}

/// Reads a final block: times into `times`, values as they stand.
pub(crate) fn read_final<'a>(
    body: &'a [u8],
    clock: &dyn Fn(u32, u32) -> Option<i64>,
    times: &mut Vec<i64>,
) -> Result<FinalValues<'a>, Damage> {
    let mut input = Reader::new(body);
    let (form, _at) = (input.u8()?, input.u8()?);
    let rows = usize::from(u16::from_le_bytes(input.array()?));
    let from = times.len();
    match form {
        FORM_RUN => {
            let (id, first) = (input.u32()?, input.u32()?);
            for row in 0..rows as u32 {
                times.push(clock(id, first.wrapping_add(row)).ok_or(Damage("a row that its clock does not have"))?);
            }
        }
        FORM_OWN | FORM_RICH => {
            let used = int::decode_append(&body[input.position()..], times)?;
            input.take(used)?;
        }
        _ => return Err(Damage("a form of block that is not known")),
    }
    if times.len() - from != rows {
        return Err(Damage("a block with another number of times than rows"));
    }
    let values = &body[input.position()..];
    if form == FORM_RICH {
        decode_rich(values, &times[from..]).map(FinalValues::Rows)
    } else {
        Ok(FinalValues::Block(values))
    }
}

fn decode_rich(bytes: &[u8], times: &[i64]) -> Result<Rows, Damage> {
    let mut starts = Vec::new();
    let used = int::decode_append(bytes, &mut starts)?;
    let mut input = Reader::new(&bytes[used..]);
    let kinds = input.take(times.len())?;
    let mut floats: Vec<f64> = Vec::new();
    if kinds.contains(&0) {
        let used = float::decode_append(&bytes[used + input.position()..], &mut floats)?;
        input.take(used)?;
    }
    let histograms = take_histograms(&mut input, kinds.iter().filter(|kind| **kind != 0).count())?;
    let (mut floats, mut histograms) = (floats.into_iter(), histograms.into_iter());
    let mut rows = Rows::default();
    for (index, (kind, time)) in kinds.iter().zip(times).enumerate() {
        let start = *starts.get(index).ok_or(Damage("a block with fewer start times than rows"))?;
        let value = if *kind == 0 {
            RichValue::Float(floats.next().ok_or(Damage("a block with fewer floats than rows"))?)
        } else {
            RichValue::Histogram(histograms.next().ok_or(Damage("a block with fewer histograms than rows"))?)
        };
        rows.push_rich(*time, start, &value);
    }
    Ok(rows)
}
