//! Following the log: committed batches again, in the order in which they were committed.
//!
//! Promises: batches come whole and once; what a named reader has not released is kept for it up to a bound, and if the
//! bound was passed the reader is told what it lost.
//! A reader that begins within a segment reads the segment from its beginning, because that is where its series are
//! named; what lies before its position is not handed out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::labels::Labels;
use model::storage::{Position, SampleValue, StorageError, Tail, TailRows, TailSample, Tailable};
use model::time::Timestamp;

use crate::codec::histogram::HistogramSample;
use crate::db::{Db, Inner, storage_error};
use crate::error::TsdbError;
use crate::log::batch::{BatchDecoder, BatchRows, Decoded, RichRow, RichValue, decode_series};
use crate::log::frame::{Found, FrameReader, RecordKind};
use crate::log::writer::{list_segments, segment_path};
use crate::sync::lock;

/// What each named reader has released.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    released: BTreeMap<String, Position>,
}

impl Tails {
    pub(crate) fn new(released: &BTreeMap<String, Position>) -> Self {
        Self { released: released.clone() }
    }

    pub(crate) fn released(&self) -> BTreeMap<String, Position> {
        self.released.clone()
    }

    /// The oldest segment that somebody still wants, as far as the bound allows.
    pub(crate) fn oldest_needed(&self, inner: &Inner, needed: u64) -> u64 {
        let wanted = self.released.values().map(|position| position.segment).min().unwrap_or(needed).min(needed);
        let Ok(segments) = list_segments(&*inner.disk, &inner.paths.log) else { return wanted };
        let mut bytes = 0;
        let mut oldest = needed;
        for (number, size) in segments.iter().rev().filter(|(number, _)| *number < needed) {
            bytes += size;
            if bytes > inner.options.tail_bytes_max || *number < wanted {
                break;
            }
            oldest = *number;
        }
        oldest
    }
}

impl Tailable for Db {
    fn tail(&self, reader: &str, from: Option<Position>) -> Result<Box<dyn Tail>, StorageError> {
        let inner = Arc::clone(&self.inner);
        let end = end_of_log(&inner);
        let mut tails = lock(&inner.tails);
        let position = from.or_else(|| tails.released.get(reader).copied()).unwrap_or(end);
        tails.released.entry(reader.to_owned()).or_insert(position);
        drop(tails);
        Ok(Box::new(LogTail {
            inner,
            reader: reader.to_owned(),
            position,
            open: None,
            rows: BatchRows::default(),
            places: HashMap::new(),
        }))
    }
}

impl Db {
    /// Keeps nothing any more for a reader that will not come back. True if it was known.
    pub fn forget_reader(&self, reader: &str) -> bool {
        lock(&self.inner.tails).released.remove(reader).is_some()
    }
}

/// The position behind the last committed batch.
fn end_of_log(inner: &Inner) -> Position {
    let core = inner.core();
    match &core.log {
        Some(log) => Position { segment: log.segment(), offset: log.offset() },
        None => Position { segment: core.log_next.0, offset: 0 },
    }
}

/// A segment being read.
struct OpenSegment {
    number: u64,
    frames: FrameReader,
    decoder: BatchDecoder,
    labels: HashMap<u32, Labels>,
}

struct LogTail {
    inner: Arc<Inner>,
    reader: String,
    position: Position,
    open: Option<OpenSegment>,
    rows: BatchRows,
    /// Index of each series in the labels handed out.
    places: HashMap<u32, u32>,
}

impl Tail for LogTail {
    fn read(&mut self, samples_max: usize, into: &mut TailRows) -> Result<(), StorageError> {
        into.labels.clear();
        into.samples.clear();
        into.exemplars.clear();
        into.metadata.clear();
        into.lost.clear();
        self.places.clear();
        let end = end_of_log(&self.inner);
        while self.position < end && into.samples.len() < samples_max && into.lost.is_empty() {
            if !self.open_segment(end, into).map_err(storage_error)? {
                break;
            }
            self.read_record(end, into).map_err(storage_error)?;
        }
        Ok(())
    }

    fn position(&self) -> Position {
        self.position
    }

    fn release(&mut self, before: Position) {
        lock(&self.inner.tails).released.insert(self.reader.clone(), before);
    }
}

impl LogTail {
    /// Makes the segment of the position open, or moves on to the next that exists. False if there is none yet.
    fn open_segment(&mut self, end: Position, into: &mut TailRows) -> Result<bool, TsdbError> {
        if self.open.as_ref().is_some_and(|open| open.number == self.position.segment) {
            return Ok(true);
        }
        let folder = &self.inner.paths.log;
        let segments = list_segments(&*self.inner.disk, folder).map_err(TsdbError::io(folder))?;
        let next = segments.iter().map(|(number, _)| *number).find(|number| *number >= self.position.segment);
        let Some(number) = next.filter(|number| *number <= end.segment) else { return Ok(false) };
        if number > self.position.segment {
            if self.position.segment > 0 {
                into.lost.push(format!("segments {} to {} of the log are gone", self.position.segment, number - 1));
            }
            self.position = Position { segment: number, offset: 0 };
            self.places.clear();
        }
        let path = segment_path(folder, number);
        let file = self.inner.disk.open(&path).map_err(TsdbError::io(&path))?;
        let frames = FrameReader::new(file, 0);
        self.open = Some(OpenSegment { number, frames, decoder: BatchDecoder::default(), labels: HashMap::new() });
        Ok(true)
    }

    fn read_record(&mut self, end: Position, into: &mut TailRows) -> Result<(), TsdbError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let path = segment_path(&self.inner.paths.log, open.number);
        let current = open.number == end.segment;
        let limit = if current {
            end.offset
        } else {
            let file = self.inner.disk.open(&path).map_err(TsdbError::io(&path))?;
            file.size().map_err(TsdbError::io(&path))?
        };
        let wanted = open.frames.offset() >= self.position.offset;
        match open.frames.next(limit).map_err(TsdbError::io(&path))? {
            Found::Record { kind: RecordKind::Series, payload, .. } => {
                // A damaged payload behind a good checksum would be our own mistake; its series stay unknown.
                let _ = decode_series(payload, |entry| drop(open.labels.insert(entry.id, entry.labels)));
            }
            Found::Record { kind: RecordKind::Batch, payload, .. } => {
                match open.decoder.decode(payload, &mut self.rows) {
                    Ok(Decoded::Whole) if wanted => hand_out(&self.rows, &open.labels, &mut self.places, into),
                    Ok(Decoded::Whole) => {}
                    Ok(Decoded::ChainBroken) => into.lost.push("a batch whose predecessor is damaged".to_owned()),
                    Err(damage) => into.lost.push(format!("a batch that cannot be read: {damage}")),
                }
            }
            Found::Damage { from, to, reason } => into.lost.push(format!("bytes {from} to {to}: {reason}")),
            Found::End if current => {
                self.position = end;
                return Ok(());
            }
            Found::End => {
                self.position = Position { segment: open.number + 1, offset: 0 };
                self.open = None;
                // Ids mean other series in another segment.
                self.places.clear();
                return Ok(());
            }
        }
        let offset = open.frames.offset();
        if offset > self.position.offset {
            self.position = Position { segment: open.number, offset };
        }
        Ok(())
    }
}

/// Appends a batch; samples of series that were never named (their record is damaged) are counted as lost.
fn hand_out(rows: &BatchRows, labels: &HashMap<u32, Labels>, places: &mut HashMap<u32, u32>, into: &mut TailRows) {
    let mut unknown = 0u64;
    let mut place = |id: u32, into: &mut TailRows| -> Option<u32> {
        if let Some(place) = places.get(&id) {
            return Some(*place);
        }
        let Some(labels) = labels.get(&id) else {
            unknown += 1;
            return None;
        };
        let place = into.labels.len() as u32;
        into.labels.push(labels.clone());
        places.insert(id, place);
        Some(place)
    };
    for ((id, time), value) in rows.ids.iter().zip(&rows.times).zip(&rows.values) {
        if let Some(series) = place(*id, into) {
            let value = SampleValue::Float(*value);
            into.samples.push(TailSample { series, time: Timestamp(*time), value, start_time: 0 });
        }
    }
    for row in &rows.late {
        if let Some(series) = place(row.id, into) {
            let value = SampleValue::Float(row.value);
            into.samples.push(TailSample { series, time: Timestamp(row.time), value, start_time: 0 });
        }
    }
    for row in rows.rich.iter().chain(&rows.late_rich) {
        if let Some(series) = place(row.id, into) {
            let (time, start_time) = (Timestamp(row.time), row.start);
            into.samples.push(TailSample { series, time, value: sample_value(row), start_time });
        }
    }
    for (id, exemplar) in &rows.exemplars {
        if let Some(series) = place(*id, into) {
            into.exemplars.push((series, exemplar.clone()));
        }
    }
    into.metadata.extend(rows.metadata.iter().cloned());
    if unknown > 0 {
        into.lost.push(format!("{unknown} samples of series whose labels are damaged"));
    }
}

fn sample_value(row: &RichRow) -> SampleValue {
    match &row.value {
        RichValue::Float(value) => SampleValue::Float(*value),
        RichValue::Histogram(HistogramSample::Float(value)) => SampleValue::Histogram(Arc::clone(value)),
        RichValue::Histogram(HistogramSample::Int(value)) => SampleValue::IntHistogram(Arc::clone(value)),
    }
}
