//! A chunk as it stands in a checkpoint. Bytes: docs/formats/checkpoint.md.

use crate::codec::Damage;
use crate::codec::bytes::{Reader, put_ivarint, put_uvarint};
use crate::codec::float::FloatState;
use crate::head::chunk::{
    CHUNK_SERIES, Chunk, FRESH, Late, LateRich, PRIVATE, Places, RAW_VALUES, RICH, RichBuffer, RichSample, State,
    small_at, take_slot,
};
use crate::log::batch::{RichRow, put_rich, take_rich};

/// More late samples of a chunk are damage.
const LATE_MAX: usize = 1 << 28;
const INSTANCES_MAX: usize = 1 << 16;

impl Chunk {
    /// Appends everything but what can be made anew.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        out.push(self.states.len() as u8);
        for state in &self.states {
            self.save_state(state, out);
        }
        put_uvarint(out, self.arena.len() as u64);
        out.extend_from_slice(&self.arena);
        put_uvarint(out, self.places.len() as u64);
        for places in &self.places {
            put_uvarint(out, u64::from(places.instance));
            for at in 0..self.states.len() {
                put_uvarint(out, u64::from(places.newest[at]));
                put_uvarint(out, u64::from(places.rows[at]));
            }
        }
        put_uvarint(out, self.late.len() as u64);
        for late in &self.late {
            put_ivarint(out, late.time);
            out.extend_from_slice(&late.bits.to_le_bytes());
            put_uvarint(out, u64::from(late.instance));
            out.push(late.at);
        }
        self.save_rich(out);
    }

    fn save_state(&self, state: &State, out: &mut Vec<u8>) {
        out.push(state.flags);
        if !state.is_fresh() {
            put_ivarint(out, state.last_time);
            out.extend_from_slice(&state.last_bits.to_le_bytes());
        }
        put_uvarint(out, u64::from(state.clock));
        put_uvarint(out, u64::from(state.instance));
        out.push(state.small_rows);
        out.push(state.len);
        put_uvarint(out, u64::from(state.arena));
        if state.len == 0 {
            return;
        }
        put_uvarint(out, u64::from(state.first_row));
        put_uvarint(out, u64::from(state.mask));
        let len = usize::from(state.len);
        for value in &self.raw[usize::from(state.raw)][..len] {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        if state.has(PRIVATE) {
            for time in &self.private[usize::from(state.private)][..len] {
                put_uvarint(out, u64::from(*time));
            }
        }
    }

    fn save_rich(&self, out: &mut Vec<u8>) {
        let row = |at: u8, row: &RichSample| RichRow {
            id: u32::from(at),
            time: row.time,
            start: row.start,
            value: row.value.clone(),
        };
        let open: Vec<RichRow> =
            self.rich.iter().flat_map(|buffer| buffer.rows.iter().map(|sample| row(buffer.at, sample))).collect();
        put_rich(&open, out);
        let late: Vec<RichRow> = self.late_rich.iter().map(|late| row(late.at, &late.row)).collect();
        put_rich(&late, out);
        for late in &self.late_rich {
            put_uvarint(out, u64::from(late.instance));
        }
    }

    /// The inverse of [`Self::save`].
    pub(crate) fn restore(input: &mut Reader<'_>) -> Result<Self, Damage> {
        let mut chunk = Self::default();
        let count = usize::from(input.u8()?);
        if count > CHUNK_SERIES {
            return Err(Damage("a chunk with too many series"));
        }
        for _ in 0..count {
            let state = chunk.restore_state(input)?;
            chunk.states.push(state);
        }
        let arena = input.count(usize::from(u16::MAX) + 4096)?;
        chunk.arena = input.take(arena)?.to_vec();
        for _ in 0..input.count(INSTANCES_MAX)? {
            let instance = take_u32(input)?;
            let mut newest = vec![0; CHUNK_SERIES].into_boxed_slice();
            let mut rows = vec![0; CHUNK_SERIES].into_boxed_slice();
            for at in 0..count {
                newest[at] = take_u32(input)?;
                rows[at] = take_u32(input)?;
            }
            chunk.places.push(Places { instance, newest, rows });
        }
        for _ in 0..input.count(LATE_MAX)? {
            let (time, bits) = (input.ivarint()?, input.u64()?);
            chunk.late.push(Late { time, bits, instance: take_u32(input)?, at: input.u8()? });
        }
        chunk.restore_rich(input)?;
        chunk.check()?;
        Ok(chunk)
    }

    fn restore_state(&mut self, input: &mut Reader<'_>) -> Result<State, Damage> {
        let mut state = State::new(0);
        state.flags = input.u8()?;
        if state.flags & FRESH == 0 {
            state.last_time = input.ivarint()?;
            state.last_bits = input.u64()?;
        }
        state.clock = take_u32(input)?;
        state.instance = take_u32(input)?;
        state.float = FloatState::default();
        state.small_rows = input.u8()?;
        state.len = input.u8()?;
        state.arena = u16::try_from(input.uvarint()?).map_err(|_| Damage("a place outside the arena"))?;
        let len = usize::from(state.len);
        if len >= RAW_VALUES {
            return Err(Damage("a raw buffer that is too full"));
        }
        if len == 0 {
            if state.has(PRIVATE) {
                state.private = take_slot(&mut self.private, &mut self.private_used, [0; RAW_VALUES]);
            }
            return Ok(state);
        }
        state.first_row = take_u32(input)?;
        state.mask = take_u32(input)?;
        let mut values = [0.0; RAW_VALUES];
        for value in &mut values[..len] {
            *value = f64::from_bits(input.u64()?);
        }
        state.raw = take_slot(&mut self.raw, &mut self.raw_used, values);
        self.raw[usize::from(state.raw)] = values;
        if state.has(PRIVATE) {
            let mut times = [0; RAW_VALUES];
            for time in &mut times[..len] {
                *time = take_u32(input)?;
            }
            state.private = take_slot(&mut self.private, &mut self.private_used, times);
            self.private[usize::from(state.private)] = times;
        } else if state.mask.count_ones() != u32::from(state.len) {
            return Err(Damage("a mask with another number of rows than values"));
        }
        Ok(state)
    }

    fn restore_rich(&mut self, input: &mut Reader<'_>) -> Result<(), Damage> {
        let sample = |row: &RichRow| RichSample { time: row.time, start: row.start, value: row.value.clone() };
        let mut rows = Vec::new();
        take_rich(input, &mut rows)?;
        for row in &rows {
            let at = row.id as u8;
            match self.rich.iter_mut().find(|buffer| buffer.at == at) {
                Some(buffer) => buffer.rows.push(sample(row)),
                None => self.rich.push(RichBuffer { at, rows: vec![sample(row)] }),
            }
        }
        rows.clear();
        take_rich(input, &mut rows)?;
        for row in &rows {
            let instance = take_u32(input)?;
            self.late_rich.push(LateRich { at: row.id as u8, instance, row: sample(row) });
        }
        Ok(())
    }

    /// What a checksum cannot promise: that places and series exist.
    fn check(&self) -> Result<(), Damage> {
        let series = self.states.len();
        let known = |at: u8| usize::from(at) < series;
        let all_known = self.late.iter().all(|late| known(late.at))
            && self.late_rich.iter().all(|late| known(late.at))
            && self.rich.iter().all(|buffer| known(buffer.at) && self.states[usize::from(buffer.at)].has(RICH));
        if !all_known {
            return Err(Damage("a sample of a series that the chunk does not have"));
        }
        let mut places = Vec::new();
        for at in 0..series {
            self.small_places(at, &mut places)?;
            let mut rows = 0;
            for place in &places {
                rows += small_at(&self.arena, *place)?.rows;
            }
            if rows != usize::from(self.states[at].small_rows) {
                return Err(Damage("small blocks with another number of rows than their series says"));
            }
        }
        Ok(())
    }
}

fn take_u32(input: &mut Reader<'_>) -> Result<u32, Damage> {
    u32::try_from(input.uvarint()?).map_err(|_| Damage("a number of more than 32 bits"))
}
