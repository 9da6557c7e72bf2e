//! Native histograms on the wire: the same fields in both versions, with integer or float populations.
//!
//! Promise: what is read and written again is the same histogram bit for bit.
//! Not here: whether buckets and spans fit each other; a storage refuses those that do not.

use std::sync::Arc;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, IntHistogram, ResetHint, Span};
use model::storage::SampleValue;

use crate::protobuf::{Field, Reader, Writer, unzigzag, zigzag};
use crate::remote_write::{BUCKETS_MAX, RemoteWriteError};

/// A histogram that has not been looked into but for its time.
#[derive(Clone, Debug)]
pub struct HistogramMessage<'a> {
    message: Reader<'a>,
    len: usize,
}

/// A decoded histogram with its times in milliseconds.
#[derive(Clone, Debug)]
pub struct HistogramPoint {
    pub value: SampleValue,
    pub time: i64,
    /// When counting began; 0 where unknown.
    pub start_time: i64,
}

impl<'a> HistogramMessage<'a> {
    pub(super) fn new(field: &Field<'a>) -> Result<Self, RemoteWriteError> {
        Ok(Self { message: field.message()?, len: field.bytes()?.len() })
    }

    /// Its bytes on the wire; decoded it takes at most eight times as many.
    #[must_use]
    pub const fn wire_bytes(&self) -> usize {
        self.len
    }

    /// Only the time, for whoever needs no more.
    pub fn time(&self) -> Result<i64, RemoteWriteError> {
        let mut fields = self.message.clone();
        let mut time = 0;
        while let Some(field) = fields.field()? {
            if field.number == 15 {
                time = field.int64()?;
            }
        }
        Ok(time)
    }

    pub fn decode(&self) -> Result<HistogramPoint, RemoteWriteError> {
        let mut raw = Raw::default();
        let mut fields = self.message.clone();
        while let Some(field) = fields.field()? {
            raw.take(&field)?;
        }
        let (time, start_time) = (raw.time, raw.start_time);
        Ok(HistogramPoint { value: raw.value(), time, start_time })
    }
}

/// A number that is one or the other, whichever was written last.
#[derive(Clone, Copy, Debug, Default)]
struct Either {
    int: u64,
    float: Option<f64>,
}

/// All fields of the message.
#[derive(Debug, Default)]
struct Raw {
    count: Either,
    zero_count: Either,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    hint: ResetHint,
    time: i64,
    start_time: i64,
    negative_spans: Vec<Span>,
    negative_deltas: Vec<i64>,
    negative_counts: Vec<f64>,
    positive_spans: Vec<Span>,
    positive_deltas: Vec<i64>,
    positive_counts: Vec<f64>,
    custom_values: Vec<f64>,
}

impl Raw {
    fn take(&mut self, field: &Field<'_>) -> Result<(), RemoteWriteError> {
        match field.number {
            1 => self.count = Either { int: field.uint64()?, float: None },
            2 => self.count = Either { int: 0, float: Some(field.double()?) },
            3 => self.sum = field.double()?,
            4 => self.schema = field.sint32()?,
            5 => self.zero_threshold = field.double()?,
            6 => self.zero_count = Either { int: field.uint64()?, float: None },
            7 => self.zero_count = Either { int: 0, float: Some(field.double()?) },
            8 => push_span(field, &mut self.negative_spans)?,
            9 => push_deltas(field, &mut self.negative_deltas)?,
            10 => push_doubles(field, &mut self.negative_counts, "buckets")?,
            11 => push_span(field, &mut self.positive_spans)?,
            12 => push_deltas(field, &mut self.positive_deltas)?,
            13 => push_doubles(field, &mut self.positive_counts, "buckets")?,
            14 => {
                self.hint = match field.uint64()? {
                    1 => ResetHint::Reset,
                    2 => ResetHint::NotReset,
                    3 => ResetHint::Gauge,
                    _ => ResetHint::Unknown,
                };
            }
            15 => self.time = field.int64()?,
            16 => push_doubles(field, &mut self.custom_values, "custom bounds")?,
            17 => self.start_time = field.int64()?,
            _ => {}
        }
        Ok(())
    }

    /// A histogram is of floats if its count is one, whatever its buckets say: as Prometheus decides it.
    fn value(self) -> SampleValue {
        let custom = self.schema == CUSTOM_BUCKETS_SCHEMA || !self.custom_values.is_empty();
        let custom_values: Option<Arc<[f64]>> = custom.then(|| self.custom_values.into());
        if let Some(count) = self.count.float {
            return SampleValue::Histogram(Arc::new(Histogram {
                hint: self.hint,
                schema: self.schema,
                zero_threshold: self.zero_threshold,
                zero_count: self.zero_count.float.unwrap_or(self.zero_count.int as f64),
                count,
                sum: self.sum,
                positive_spans: self.positive_spans,
                negative_spans: self.negative_spans,
                positive_buckets: self.positive_counts,
                negative_buckets: self.negative_counts,
                custom_values,
            }));
        }
        SampleValue::IntHistogram(Arc::new(IntHistogram {
            hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count.int,
            count: self.count.int,
            sum: self.sum,
            positive_spans: self.positive_spans,
            negative_spans: self.negative_spans,
            positive_deltas: self.positive_deltas,
            negative_deltas: self.negative_deltas,
            custom_values,
        }))
    }
}

const fn bounded(len: usize, field: &Field<'_>, what: &'static str) -> Result<(), RemoteWriteError> {
    if len > BUCKETS_MAX {
        return Err(RemoteWriteError::HistogramTooLarge { at: field.at, what, max: BUCKETS_MAX });
    }
    Ok(())
}

fn push_span(field: &Field<'_>, spans: &mut Vec<Span>) -> Result<(), RemoteWriteError> {
    let mut span = Span::default();
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    spans.push(span);
    bounded(spans.len(), field, "spans")
}

fn push_deltas(field: &Field<'_>, deltas: &mut Vec<i64>) -> Result<(), RemoteWriteError> {
    // A delta takes a byte at least, so that the length of the field bounds them before any is kept.
    bounded(deltas.len() + field.bytes().map_or(1, <[u8]>::len) / 10, field, "buckets")?;
    let room = BUCKETS_MAX + 1 - deltas.len();
    let mut taken = 0;
    field.varints(|delta| {
        if taken < room {
            deltas.push(unzigzag(delta));
        }
        taken += 1;
    })?;
    bounded(deltas.len(), field, "buckets")
}

fn push_doubles(field: &Field<'_>, values: &mut Vec<f64>, what: &'static str) -> Result<(), RemoteWriteError> {
    bounded(values.len() + field.bytes().map_or(1, |bytes| bytes.len() / 8), field, what)?;
    Ok(field.doubles(|value| values.push(value))?)
}

/// Writes the fields of a histogram. `start_time` is left out of version 1.0 by giving 0.
pub(super) fn write(writer: &mut Writer<'_>, value: &SampleValue, time: i64, start_time: i64) {
    match value {
        SampleValue::IntHistogram(histogram) => write_int(writer, histogram),
        SampleValue::Histogram(histogram) => write_float(writer, histogram),
        SampleValue::Float(_) => return,
    }
    let (hint, bounds) = match value {
        SampleValue::IntHistogram(histogram) => (histogram.hint, histogram.custom_values.as_deref()),
        SampleValue::Histogram(histogram) => (histogram.hint, histogram.custom_values.as_deref()),
        SampleValue::Float(_) => return,
    };
    writer.uint64(14, hint as u64);
    writer.int64(15, time);
    writer.packed_doubles(16, bounds.unwrap_or(&[]));
    writer.int64(17, start_time);
}

fn write_spans(writer: &mut Writer<'_>, field: u32, spans: &[Span]) {
    for span in spans {
        writer.message(field, |writer| {
            writer.sint64(1, i64::from(span.offset));
            writer.uint64(2, u64::from(span.length));
        });
    }
}

fn write_int(writer: &mut Writer<'_>, histogram: &IntHistogram) {
    writer.uint64(1, histogram.count);
    writer.double(3, histogram.sum);
    writer.sint64(4, i64::from(histogram.schema));
    writer.double(5, histogram.zero_threshold);
    writer.uint64(6, histogram.zero_count);
    write_spans(writer, 8, &histogram.negative_spans);
    writer.packed_varints(9, histogram.negative_deltas.iter().map(|delta| zigzag(*delta)));
    write_spans(writer, 11, &histogram.positive_spans);
    writer.packed_varints(12, histogram.positive_deltas.iter().map(|delta| zigzag(*delta)));
}

fn write_float(writer: &mut Writer<'_>, histogram: &Histogram) {
    // The field that is there says that this is a histogram of floats, so it is there for zero too.
    writer.double_always(2, histogram.count);
    writer.double(3, histogram.sum);
    writer.sint64(4, i64::from(histogram.schema));
    writer.double(5, histogram.zero_threshold);
    writer.double_always(7, histogram.zero_count);
    write_spans(writer, 8, &histogram.negative_spans);
    writer.packed_doubles(10, &histogram.negative_buckets);
    write_spans(writer, 11, &histogram.positive_spans);
    writer.packed_doubles(13, &histogram.positive_buckets);
}
