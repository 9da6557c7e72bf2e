//! What a batch looks like in the log: who sent it, which series, their times, their values.
//!
//! A sender that repeats the series of its last batch writes no ids and only the differences of values that changed:
//! its records form a chain. Each [`CHAIN_RECORDS_MAX`]th record stands alone, so a lost record costs the rest of one
//! sender's chain and nothing else; a record of a broken chain is recognised and never read against wrong values.
//! Not here: framing (`frame`), what the samples do to the head. Bytes: docs/formats/log.md.

use std::collections::HashMap;

use model::labels::Labels;
use model::storage::{Exemplar, Metadata};
use model::time::Timestamp;

use crate::codec::bytes::{Reader, put_ivarint, put_text, put_uvarint, unzigzag, zigzag};
use crate::codec::histogram::HistogramSample;
use crate::codec::{Damage, histogram};

/// A chain is restarted after so many records: what damage may cost (8 minutes at a 15 s interval) against what a
/// record that stands alone costs (three times the bytes).
const CHAIN_RECORDS_MAX: u8 = 32;
/// More samples in one record are damage. Bounds what a decoder allocates.
pub(crate) const SAMPLES_MAX: usize = 16 << 20;
/// More labels of one series, or bytes of one text, are damage.
const TEXT_BYTES_MAX: usize = 16 << 20;

const CHAINED: u8 = 1;
const HAS_FLOATS: u8 = 2;
const HAS_LATE: u8 = 4;
const HAS_RICH: u8 = 8;
const HAS_LATE_RICH: u8 = 16;
const HAS_EXEMPLARS: u8 = 32;
const HAS_METADATA: u8 = 64;

/// Exponent of a column that has no decimal form: its values stand as they are.
const RAW: u8 = 15;
const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Adding and taking away 1.5 · 2^52 rounds to an integer without a conversion.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Below this the rounding above is exact.
const SCALED_MAX: f64 = 2_251_799_813_685_248.0;

/// A float sample that came out of order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LateRow {
    pub(crate) id: u32,
    pub(crate) time: i64,
    pub(crate) value: f64,
}

/// The value of a sample that is not just a float.
#[derive(Clone, Debug)]
pub(crate) enum RichValue {
    Float(f64),
    Histogram(HistogramSample),
}

/// A sample with a start time, or a histogram, or a float among histograms.
#[derive(Clone, Debug)]
pub(crate) struct RichRow {
    pub(crate) id: u32,
    pub(crate) time: i64,
    /// 0 where unknown.
    pub(crate) start: i64,
    pub(crate) value: RichValue,
}

/// The contents of one batch record.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchRows {
    pub(crate) ids: Vec<u32>,
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
    pub(crate) late: Vec<LateRow>,
    pub(crate) rich: Vec<RichRow>,
    pub(crate) late_rich: Vec<RichRow>,
    pub(crate) exemplars: Vec<(u32, Exemplar)>,
    pub(crate) metadata: Vec<Metadata>,
}

impl BatchRows {
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.times.clear();
        self.values.clear();
        self.late.clear();
        self.rich.clear();
        self.late_rich.clear();
        self.exemplars.clear();
        self.metadata.clear();
    }

    pub(crate) fn samples(&self) -> usize {
        self.ids.len() + self.late.len() + self.rich.len() + self.late_rich.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.samples() == 0 && self.exemplars.is_empty() && self.metadata.is_empty()
    }
}

/// What one sender's next record may refer to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    /// The stretch of the log the chain stands in; a chain never crosses into another.
    epoch: u64,
    /// Counts the records that stand alone: one that was lost must not let its followers be read against another.
    number: u64,
    /// Records since the one that stands alone, that one included; 0 before any.
    records: u8,
    ids: Vec<u32>,
    values: Vec<f64>,
    exponents: Vec<u8>,
}

impl Chain {
    /// Makes the next record stand alone: the last one may not have been written.
    pub(crate) fn restart(&mut self) {
        self.records = 0;
    }
}

/// `value` · 10^`exponent`, if dividing it again gives back the same bits.
fn scaled(value: f64, exponent: u8) -> Option<i64> {
    let power = POWERS[usize::from(exponent)];
    let product = value * power;
    if product.abs() < SCALED_MAX {
        let rounded = (product + ROUND) - ROUND;
        if (rounded / power).to_bits() == value.to_bits() {
            return Some(rounded as i64);
        }
    }
    None
}

fn unscaled(scaled: i64, exponent: u8) -> f64 {
    scaled as f64 / POWERS[usize::from(exponent)]
}

/// Appends the payload of a batch record and moves the sender's chain on.
pub(crate) fn encode(rows: &BatchRows, sender: u64, epoch: u64, chain: &mut Chain, out: &mut Vec<u8>) {
    let chained = chain.epoch == epoch
        && chain.records > 0
        && chain.records < CHAIN_RECORDS_MAX
        && !rows.ids.is_empty()
        && chain.ids == rows.ids;
    out.extend_from_slice(&sender.to_le_bytes());
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(
        flag(chained, CHAINED)
            | flag(!rows.ids.is_empty(), HAS_FLOATS)
            | flag(!rows.late.is_empty(), HAS_LATE)
            | flag(!rows.rich.is_empty(), HAS_RICH)
            | flag(!rows.late_rich.is_empty(), HAS_LATE_RICH)
            | flag(!rows.exemplars.is_empty(), HAS_EXEMPLARS)
            | flag(!rows.metadata.is_empty(), HAS_METADATA),
    );
    if !rows.ids.is_empty() {
        if chained {
            out.push(chain.records);
            put_uvarint(out, chain.number);
            put_times(&rows.times, out);
            put_changes(&rows.values, chain, out);
            chain.records += 1;
        } else {
            chain.number += 1;
            out.push(0);
            put_uvarint(out, chain.number);
            put_uvarint(out, rows.ids.len() as u64);
            put_ids(&rows.ids, out);
            put_times(&rows.times, out);
            chain.ids.clone_from(&rows.ids);
            put_values(&rows.values, chain, out);
            chain.epoch = epoch;
            chain.records = 1;
        }
    }
    if !rows.late.is_empty() {
        put_late(&rows.late, out);
    }
    for rich in [&rows.rich, &rows.late_rich] {
        if !rich.is_empty() {
            put_rich(rich, out);
        }
    }
    if !rows.exemplars.is_empty() {
        put_exemplars(&rows.exemplars, out);
    }
    if !rows.metadata.is_empty() {
        put_metadata(&rows.metadata, out);
    }
}

/// Runs of consecutive ids: (difference to the end of the run before, length).
fn put_ids(ids: &[u32], out: &mut Vec<u8>) {
    let mut at = 0;
    let mut expected = 0i64;
    while at < ids.len() {
        let mut end = at + 1;
        while end < ids.len() && ids[end] == ids[end - 1].wrapping_add(1) {
            end += 1;
        }
        put_ivarint(out, i64::from(ids[at]) - expected);
        put_uvarint(out, (end - at) as u64);
        expected = i64::from(ids[end - 1]) + 1;
        at = end;
    }
}

/// One time for all (0), or runs of equal times: (1, difference to the run before, length).
fn put_times(times: &[i64], out: &mut Vec<u8>) {
    let first = times[0];
    if times.iter().all(|time| *time == first) {
        out.push(0);
        put_ivarint(out, first);
        return;
    }
    out.push(1);
    let mut at = 0;
    let mut previous = 0i64;
    while at < times.len() {
        let end = at + times[at..].iter().take_while(|time| **time == times[at]).count();
        put_ivarint(out, times[at].wrapping_sub(previous));
        put_uvarint(out, (end - at) as u64);
        previous = times[at];
        at = end;
    }
}

/// Values that stand alone: an exponent and an integer, or [`RAW`] and eight bytes.
fn put_values(values: &[f64], chain: &mut Chain, out: &mut Vec<u8>) {
    chain.exponents.clear();
    for value in values {
        let exponent = put_value(*value, out);
        chain.exponents.push(exponent);
    }
    chain.values.clear();
    chain.values.extend_from_slice(values);
}

fn put_value(value: f64, out: &mut Vec<u8>) -> u8 {
    for exponent in 0..POWERS.len() as u8 {
        if let Some(integer) = scaled(value, exponent) {
            out.push(exponent);
            put_ivarint(out, integer);
            return exponent;
        }
    }
    out.push(RAW);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    RAW
}

/// A bit for each value that changed, then the changes: twice the zigzag difference of the scaled integers, or 1 and a
/// value that stands alone; eight bytes where the column has no decimal form.
fn put_changes(values: &[f64], chain: &mut Chain, out: &mut Vec<u8>) {
    let bitmap = out.len();
    out.resize(bitmap + values.len().div_ceil(8), 0);
    for (index, value) in values.iter().enumerate() {
        let last = chain.values[index];
        if last.to_bits() == value.to_bits() {
            continue;
        }
        out[bitmap + index / 8] |= 1 << (index % 8);
        chain.values[index] = *value;
        let exponent = chain.exponents[index];
        if exponent == RAW {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
            continue;
        }
        match (scaled(*value, exponent), scaled(last, exponent)) {
            (Some(now), Some(before)) => put_uvarint(out, zigzag(now - before) << 1),
            _ => {
                out.push(1);
                chain.exponents[index] = put_value(*value, out);
            }
        }
    }
}

fn put_late(late: &[LateRow], out: &mut Vec<u8>) {
    put_uvarint(out, late.len() as u64);
    let (mut id, mut time) = (0i64, 0i64);
    for row in late {
        put_ivarint(out, i64::from(row.id) - id);
        put_ivarint(out, row.time.wrapping_sub(time));
        put_value(row.value, out);
        (id, time) = (i64::from(row.id), row.time);
    }
}

pub(crate) fn put_rich(rich: &[RichRow], out: &mut Vec<u8>) {
    put_uvarint(out, rich.len() as u64);
    let (mut id, mut time) = (0i64, 0i64);
    let mut histograms = Vec::new();
    for row in rich {
        put_ivarint(out, i64::from(row.id) - id);
        put_ivarint(out, row.time.wrapping_sub(time));
        (id, time) = (i64::from(row.id), row.time);
        put_ivarint(out, row.start);
        match &row.value {
            RichValue::Float(value) => {
                out.push(0);
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            RichValue::Histogram(histogram) => {
                out.push(1);
                histograms.push(histogram.clone());
            }
        }
    }
    put_histograms(&histograms, out);
}

/// Histograms in as many blocks as they need.
pub(crate) fn put_histograms(mut histograms: &[HistogramSample], out: &mut Vec<u8>) {
    while !histograms.is_empty() {
        let (block, rest) = histograms.split_at(histogram::rows_that_fit(histograms));
        histogram::encode(block, out);
        histograms = rest;
    }
}

/// The inverse of [`put_histograms`].
pub(crate) fn take_histograms(input: &mut Reader<'_>, count: usize) -> Result<Vec<HistogramSample>, Damage> {
    let mut histograms = Vec::new();
    while histograms.len() < count {
        let mut ahead = *input;
        let used = histogram::decode_append(ahead.take(ahead.remaining())?, &mut histograms)?;
        input.take(used)?;
    }
    if histograms.len() == count { Ok(histograms) } else { Err(Damage("more histograms than rows")) }
}

/// Labels as count and texts.
pub(crate) fn put_labels(labels: &Labels, out: &mut Vec<u8>) {
    put_uvarint(out, labels.len() as u64);
    for (name, value) in labels {
        put_text(out, name.as_bytes());
        put_text(out, value.as_bytes());
    }
}

pub(crate) fn put_exemplars(exemplars: &[(u32, Exemplar)], out: &mut Vec<u8>) {
    put_uvarint(out, exemplars.len() as u64);
    for (id, exemplar) in exemplars {
        put_uvarint(out, u64::from(*id));
        put_ivarint(out, exemplar.time.millis());
        out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
        put_labels(&exemplar.labels, out);
    }
}

pub(crate) fn put_metadata(metadata: &[Metadata], out: &mut Vec<u8>) {
    put_uvarint(out, metadata.len() as u64);
    for entry in metadata {
        put_labels(&entry.target, out);
        for text in [&entry.family, &entry.kind, &entry.help, &entry.unit] {
            put_text(out, text.as_bytes());
        }
    }
}

/// Reads batch records of one segment in order.
#[derive(Debug, Default)]
pub(crate) struct BatchDecoder {
    chains: HashMap<u64, Chain>,
}

/// Whether a batch could be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Whole,
    /// The record before it in its chain is missing: its float columns cannot be known, the rest was read.
    ChainBroken,
}

impl BatchDecoder {
    /// Reads one payload into `rows` (cleared first).
    pub(crate) fn decode(&mut self, payload: &[u8], rows: &mut BatchRows) -> Result<Decoded, Damage> {
        rows.clear();
        let mut input = Reader::new(payload);
        let sender = input.u64()?;
        let flags = input.u8()?;
        let mut outcome = Decoded::Whole;
        if flags & HAS_FLOATS != 0 {
            let chain = self.chains.entry(sender).or_default();
            match take_floats(&mut input, flags & CHAINED != 0, chain, rows) {
                Ok(decoded) => outcome = decoded,
                Err(damage) => {
                    self.chains.remove(&sender);
                    return Err(damage);
                }
            }
        }
        if outcome == Decoded::ChainBroken {
            // What follows cannot be found without the values' lengths.
            return Ok(outcome);
        }
        if flags & HAS_LATE != 0 {
            take_late(&mut input, &mut rows.late)?;
        }
        if flags & HAS_RICH != 0 {
            take_rich(&mut input, &mut rows.rich)?;
        }
        if flags & HAS_LATE_RICH != 0 {
            take_rich(&mut input, &mut rows.late_rich)?;
        }
        if flags & HAS_EXEMPLARS != 0 {
            take_exemplars(&mut input, &mut rows.exemplars)?;
        }
        if flags & HAS_METADATA != 0 {
            take_metadata(&mut input, &mut rows.metadata)?;
        }
        Ok(outcome)
    }
}

fn take_floats(
    input: &mut Reader<'_>,
    chained: bool,
    chain: &mut Chain,
    rows: &mut BatchRows,
) -> Result<Decoded, Damage> {
    let (record, number) = (input.u8()?, input.uvarint()?);
    if chained {
        if record == 0 || chain.records != record || chain.number != number {
            chain.records = 0;
            return Ok(Decoded::ChainBroken);
        }
        rows.ids.clone_from(&chain.ids);
        take_times(input, rows.ids.len(), &mut rows.times)?;
        take_changes(input, chain)?;
        chain.records = record + 1;
    } else {
        let count = take_count(input)?;
        take_ids(input, count, &mut rows.ids)?;
        take_times(input, count, &mut rows.times)?;
        chain.values.clear();
        chain.exponents.clear();
        for _ in 0..count {
            let (value, exponent) = take_value(input)?;
            chain.values.push(value);
            chain.exponents.push(exponent);
        }
        chain.ids.clone_from(&rows.ids);
        chain.number = number;
        chain.records = 1;
    }
    rows.values.clone_from(&chain.values);
    Ok(Decoded::Whole)
}

fn take_count(input: &mut Reader<'_>) -> Result<usize, Damage> {
    input.count(SAMPLES_MAX)
}

fn take_ids(input: &mut Reader<'_>, count: usize, ids: &mut Vec<u32>) -> Result<(), Damage> {
    let mut expected = 0i64;
    while ids.len() < count {
        let first = expected.wrapping_add(input.ivarint()?);
        let length = input.uvarint()?;
        if length == 0 || length > (count - ids.len()) as u64 {
            return Err(Damage("a run of ids is longer than the batch"));
        }
        let last = first.wrapping_add(length as i64 - 1);
        let (Ok(first), Ok(last)) = (u32::try_from(first), u32::try_from(last)) else {
            return Err(Damage("an id is out of range"));
        };
        ids.extend(first..=last);
        expected = i64::from(last) + 1;
    }
    Ok(())
}

fn take_times(input: &mut Reader<'_>, count: usize, times: &mut Vec<i64>) -> Result<(), Damage> {
    match input.u8()? {
        0 => {
            let time = input.ivarint()?;
            times.resize(count, time);
        }
        1 => {
            let mut time = 0i64;
            while times.len() < count {
                time = time.wrapping_add(input.ivarint()?);
                let length = input.uvarint()?;
                if length == 0 || length > (count - times.len()) as u64 {
                    return Err(Damage("a run of times is longer than the batch"));
                }
                times.resize(times.len() + length as usize, time);
            }
        }
        _ => return Err(Damage("a form of times that is not known")),
    }
    Ok(())
}

fn take_value(input: &mut Reader<'_>) -> Result<(f64, u8), Damage> {
    let exponent = input.u8()?;
    if exponent == RAW {
        Ok((f64::from_bits(input.u64()?), RAW))
    } else if usize::from(exponent) < POWERS.len() {
        Ok((unscaled(input.ivarint()?, exponent), exponent))
    } else {
        Err(Damage("an exponent that is not known"))
    }
}

fn take_changes(input: &mut Reader<'_>, chain: &mut Chain) -> Result<(), Damage> {
    let count = chain.values.len();
    let bitmap = input.take(count.div_ceil(8))?;
    for index in 0..count {
        if bitmap[index / 8] >> (index % 8) & 1 == 0 {
            continue;
        }
        let exponent = chain.exponents[index];
        if exponent == RAW {
            chain.values[index] = f64::from_bits(input.u64()?);
            continue;
        }
        let change = input.uvarint()?;
        if change & 1 == 1 {
            (chain.values[index], chain.exponents[index]) = take_value(input)?;
        } else {
            let before =
                scaled(chain.values[index], exponent).ok_or(Damage("a difference to a value that has none"))?;
            chain.values[index] = unscaled(before.wrapping_add(unzigzag(change >> 1)), exponent);
        }
    }
    Ok(())
}

fn take_id(input: &mut Reader<'_>, previous: &mut i64) -> Result<u32, Damage> {
    *previous = previous.wrapping_add(input.ivarint()?);
    u32::try_from(*previous).map_err(|_| Damage("an id is out of range"))
}

fn take_late(input: &mut Reader<'_>, late: &mut Vec<LateRow>) -> Result<(), Damage> {
    let (mut previous, mut time) = (0i64, 0i64);
    for _ in 0..take_count(input)? {
        let id = take_id(input, &mut previous)?;
        time = time.wrapping_add(input.ivarint()?);
        late.push(LateRow { id, time, value: take_value(input)?.0 });
    }
    Ok(())
}

pub(crate) fn take_rich(input: &mut Reader<'_>, rich: &mut Vec<RichRow>) -> Result<(), Damage> {
    let (mut previous, mut time) = (0i64, 0i64);
    // Rows whose histogram follows after all rows.
    let mut pending = Vec::new();
    for _ in 0..take_count(input)? {
        let id = take_id(input, &mut previous)?;
        time = time.wrapping_add(input.ivarint()?);
        let start = input.ivarint()?;
        let value = match input.u8()? {
            0 => RichValue::Float(f64::from_bits(input.u64()?)),
            1 => {
                pending.push(rich.len());
                RichValue::Float(0.0)
            }
            _ => return Err(Damage("a kind of sample that is not known")),
        };
        rich.push(RichRow { id, time, start, value });
    }
    let histograms = take_histograms(input, pending.len())?;
    for (row, histogram) in pending.into_iter().zip(histograms) {
        rich[row].value = RichValue::Histogram(histogram);
    }
    Ok(())
}

/// The inverse of [`put_labels`]; unsorted or empty ones are damage.
pub(crate) fn take_labels(input: &mut Reader<'_>) -> Result<Labels, Damage> {
    let count = take_count(input)?;
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let pair = (input.str(TEXT_BYTES_MAX)?, input.str(TEXT_BYTES_MAX)?);
        if pair.1.is_empty() || pairs.last().is_some_and(|(name, _)| *name >= pair.0) {
            return Err(Damage("labels are not sorted and whole"));
        }
        pairs.push(pair);
    }
    Ok(Labels::from_sorted(pairs.into_iter()))
}

pub(crate) fn take_exemplars(input: &mut Reader<'_>, exemplars: &mut Vec<(u32, Exemplar)>) -> Result<(), Damage> {
    for _ in 0..take_count(input)? {
        let id = u32::try_from(input.uvarint()?).map_err(|_| Damage("an id is out of range"))?;
        let time = Timestamp(input.ivarint()?);
        let value = f64::from_bits(input.u64()?);
        exemplars.push((id, Exemplar { labels: take_labels(input)?, value, time }));
    }
    Ok(())
}

pub(crate) fn take_metadata(input: &mut Reader<'_>, metadata: &mut Vec<Metadata>) -> Result<(), Damage> {
    for _ in 0..take_count(input)? {
        let target = take_labels(input)?;
        let mut texts = [const { String::new() }; 4];
        for text in &mut texts {
            input.str(TEXT_BYTES_MAX)?.clone_into(text);
        }
        let [family, kind, help, unit] = texts;
        metadata.push(Metadata { family, target, kind, help, unit });
    }
    Ok(())
}

/// A series that later records of the segment name by its id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeriesEntry {
    pub(crate) id: u32,
    /// Series with the same key are expected to have the same times.
    pub(crate) clock_key: u64,
    pub(crate) labels: Labels,
}

/// The payload of a series record. A pair that stands in the same place of the series before is one byte.
pub(crate) fn encode_series(entries: &[SeriesEntry], out: &mut Vec<u8>) {
    put_uvarint(out, entries.len() as u64);
    let mut previous = Labels::empty();
    let (mut id, mut key) = (0i64, 0u64);
    for entry in entries {
        put_ivarint(out, i64::from(entry.id) - id);
        id = i64::from(entry.id);
        out.push(u8::from(entry.clock_key != key));
        if entry.clock_key != key {
            key = entry.clock_key;
            out.extend_from_slice(&key.to_le_bytes());
        }
        put_uvarint(out, entry.labels.len() as u64);
        let mut before = previous.iter();
        for (name, value) in &entry.labels {
            match before.next() {
                Some(pair) if pair == (name, value) => out.push(0),
                Some((same, _)) if same == name => {
                    out.push(1);
                    put_text(out, value.as_bytes());
                }
                _ => {
                    out.push(2);
                    put_text(out, name.as_bytes());
                    put_text(out, value.as_bytes());
                }
            }
        }
        previous = entry.labels.clone();
    }
}

/// The inverse of [`encode_series`]; hands each entry on as it is read.
pub(crate) fn decode_series(payload: &[u8], mut take: impl FnMut(SeriesEntry)) -> Result<(), Damage> {
    let mut input = Reader::new(payload);
    let mut previous = Labels::empty();
    let (mut id, mut clock_key) = (0i64, 0u64);
    for _ in 0..take_count(&mut input)? {
        let this = take_id(&mut input, &mut id)?;
        if input.u8()? != 0 {
            clock_key = input.u64()?;
        }
        let count = take_count(&mut input)?;
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(count.min(64));
        let before = previous.clone();
        let mut before = before.iter();
        for _ in 0..count {
            let same = before.next();
            let pair = match (input.u8()?, same) {
                (0, Some(pair)) => pair,
                (1, Some((name, _))) => (name, input.str(TEXT_BYTES_MAX)?),
                (2, _) => (input.str(TEXT_BYTES_MAX)?, input.str(TEXT_BYTES_MAX)?),
                _ => return Err(Damage("labels refer to a series that is not there")),
            };
            if pair.1.is_empty() || pairs.last().is_some_and(|(name, _)| *name >= pair.0) {
                return Err(Damage("labels are not sorted and whole"));
            }
            pairs.push(pair);
        }
        previous = Labels::from_sorted(pairs.into_iter());
        take(SeriesEntry { id: this, clock_key, labels: previous.clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::histogram::{IntHistogram, Span};
    use model::storage::stale_nan;

    use super::*;
    use crate::seeded::Seeded;

    fn rows(ids: &[u32], times: &[i64], values: &[f64]) -> BatchRows {
        BatchRows { ids: ids.to_vec(), times: times.to_vec(), values: values.to_vec(), ..BatchRows::default() }
    }

    fn bits(values: &[f64]) -> Vec<u64> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[track_caller]
    fn check_same(read: &BatchRows, written: &BatchRows) {
        assert_eq!((&read.ids, &read.times), (&written.ids, &written.times));
        assert_eq!(bits(&read.values), bits(&written.values));
        assert_eq!(read.late.len(), written.late.len());
        for (read, written) in read.late.iter().zip(&written.late) {
            assert_eq!((read.id, read.time, read.value.to_bits()), (written.id, written.time, written.value.to_bits()));
        }
        for (read, written) in [(&read.rich, &written.rich), (&read.late_rich, &written.late_rich)] {
            assert_eq!(format!("{read:?}"), format!("{written:?}"));
        }
        assert_eq!((&read.exemplars, &read.metadata), (&written.exemplars, &written.metadata));
    }

    /// Writes the batches as one sender and reads them again; returns the bytes of each payload.
    #[track_caller]
    fn check(batches: &[BatchRows]) -> Vec<usize> {
        let (mut chain, mut decoder, mut read) = (Chain::default(), BatchDecoder::default(), BatchRows::default());
        let mut sizes = Vec::new();
        for batch in batches {
            let mut payload = Vec::new();
            encode(batch, 9, 1, &mut chain, &mut payload);
            assert_eq!(decoder.decode(&payload, &mut read), Ok(Decoded::Whole));
            check_same(&read, batch);
            sizes.push(payload.len());
        }
        sizes
    }

    #[test]
    fn an_unchanged_scrape_is_a_bitmap_and_a_time() {
        let ids: Vec<u32> = (100..1100).collect();
        let scrape = |at: i64| rows(&ids, &vec![at; 1000], &vec![2.5; 1000]);
        let sizes = check(&[scrape(1_000_000), scrape(1_015_003), scrape(1_030_001)]);
        assert!(sizes[0] > 2000 && sizes[1] < 150 && sizes[2] < 150, "{sizes:?}");
    }

    #[test]
    fn every_bit_pattern_survives_a_chain() {
        let odd = [
            0.0,
            -0.0,
            1.0,
            0.1,
            -12.34,
            1e300,
            5e-324,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            stale_nan(),
            18_446_744_073_709_551_616.0,
            9_007_199_254_740_993.0,
            2_251_799_813_685_248.0,
            0.1 + 0.2,
            123_456.789_012,
            f64::from_bits(0xfff8_dead_beef_0001),
            1.5e-9,
            4096.0 * 77.0,
        ];
        let ids: Vec<u32> = (0..odd.len() as u32).collect();
        let mut random = Seeded::new(5);
        let batches: Vec<BatchRows> = (0..100)
            .map(|at| {
                let values: Vec<f64> = ids.iter().map(|_| odd[random.below(odd.len() as u64) as usize]).collect();
                rows(&ids, &vec![at * 15_000; ids.len()], &values)
            })
            .collect();
        check(&batches);
    }

    #[test]
    fn shuffled_ids_and_times_of_their_own_come_back() {
        check(&[
            rows(&[5, 3, 4, 4_000_000_000, 0], &[7, -9, i64::MAX, i64::MIN, 7], &[1.0, 2.0, 3.0, 4.0, 5.0]),
            rows(&[5, 3, 4, 4_000_000_000, 0], &[8, 8, 8, 9, 9], &[1.0, 2.0, 3.5, 4.0, 5.0]),
            rows(&[1], &[3], &[2.0]),
        ]);
    }

    #[test]
    fn everything_else_of_a_batch_comes_back() {
        let histogram = HistogramSample::Int(Arc::new(IntHistogram {
            count: 5,
            sum: 7.25,
            positive_spans: vec![Span { offset: -3, length: 2 }],
            positive_deltas: vec![2, 1],
            ..IntHistogram::default()
        }));
        let labels = Labels::from_pairs([("trace_id", "abc"), ("é", "ü")]);
        let rich = |id, value| RichRow { id, time: 77, start: 5, value };
        check(&[BatchRows {
            late: vec![LateRow { id: 3, time: -5, value: 0.5 }, LateRow { id: 1, time: 99, value: stale_nan() }],
            rich: vec![rich(9, RichValue::Histogram(histogram.clone())), rich(9, RichValue::Float(1.5))],
            late_rich: vec![rich(2, RichValue::Histogram(histogram))],
            exemplars: vec![(4, Exemplar { labels: labels.clone(), value: 1.0, time: Timestamp(5) })],
            metadata: vec![Metadata {
                family: "up".to_owned(),
                target: labels,
                kind: "gauge".to_owned(),
                help: "whether".to_owned(),
                unit: String::new(),
            }],
            ..BatchRows::default()
        }]);
    }

    #[test]
    fn a_lost_record_breaks_its_own_chain_until_the_next_that_stands_alone() {
        let (mut chains, mut decoder, mut read) =
            ([Chain::default(), Chain::default()], BatchDecoder::default(), BatchRows::default());
        let mut broken = [0, 0];
        for round in 0..100i64 {
            for sender in 0..2 {
                let batch = rows(&[1, 2], &[round, round], &[round as f64, 1.0]);
                let mut payload = Vec::new();
                encode(&batch, sender as u64, 1, &mut chains[sender], &mut payload);
                if sender == 0 && round == 40 {
                    continue;
                }
                match decoder.decode(&payload, &mut read) {
                    Ok(Decoded::Whole) => check_same(&read, &batch),
                    other => {
                        assert_eq!(other, Ok(Decoded::ChainBroken));
                        broken[sender] += 1;
                    }
                }
            }
        }
        assert!(broken[0] > 0 && broken[0] < i32::from(CHAIN_RECORDS_MAX), "{broken:?}");
        assert_eq!(broken[1], 0);
    }

    #[test]
    fn what_follows_a_lost_record_that_stands_alone_is_not_read_against_the_one_before() {
        let (mut chain, mut decoder, mut read) = (Chain::default(), BatchDecoder::default(), BatchRows::default());
        let batches = [rows(&[1, 2], &[10, 10], &[1.0, 2.0]), rows(&[7, 8], &[20, 20], &[70.0, 80.0])];
        let payloads = [&batches[0], &batches[1], &batches[1]].map(|batch| {
            let mut payload = Vec::new();
            encode(batch, 9, 1, &mut chain, &mut payload);
            payload
        });
        assert_eq!(decoder.decode(&payloads[0], &mut read), Ok(Decoded::Whole));
        assert_eq!(decoder.decode(&payloads[2], &mut read), Ok(Decoded::ChainBroken));
        assert!(read.is_empty());
    }

    #[test]
    fn series_come_back_with_their_keys() {
        let entry = |id, clock_key, pairs: &[(&str, &str)]| SeriesEntry {
            id,
            clock_key,
            labels: Labels::from_pairs(pairs.iter().copied()),
        };
        let entries = [
            entry(7, 1, &[("__name__", "a"), ("job", "x")]),
            entry(8, 1, &[("__name__", "b"), ("job", "x")]),
            entry(3, 2, &[("__name__", "b"), ("instance", "i"), ("job", "x")]),
            entry(4, 2, &[]),
        ];
        let mut payload = Vec::new();
        encode_series(&entries, &mut payload);
        let mut read = Vec::new();
        decode_series(&payload, |entry| read.push(entry)).expect("it was just written");
        assert_eq!(read, entries);
    }

    #[test]
    fn mutated_payloads_are_damage_or_something_bounded_and_never_panic() {
        let mut random = Seeded::new(11);
        let batch = BatchRows {
            late: vec![LateRow { id: 3, time: -5, value: 0.5 }],
            rich: vec![RichRow { id: 1, time: 2, start: 3, value: RichValue::Float(4.0) }],
            exemplars: vec![(4, Exemplar { labels: Labels::from_pairs([("a", "b")]), value: 1.0, time: Timestamp(5) })],
            ..rows(&[1, 2, 3, 9], &[5, 5, 6, 7], &[1.0, 0.25, f64::NAN, 3.0])
        };
        let mut good = Vec::new();
        encode(&batch, 1, 1, &mut Chain::default(), &mut good);
        let mut read = BatchRows::default();
        for _ in 0..::tests::depth::pick(2_000, 200_000) {
            let mut bad = good.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bad.len() as u64) as usize;
                bad[at] = random.below(256) as u8;
            }
            bad.truncate(random.below(bad.len() as u64 + 1) as usize);
            let _ = BatchDecoder::default().decode(&bad, &mut read);
            let _ = decode_series(&bad, |_| ());
            assert!(read.samples() <= 4 * SAMPLES_MAX);
        }
    }
}
