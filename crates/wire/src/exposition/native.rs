//! Native histograms as protobuf expositions carry them.
//!
//! Not here: whether a histogram contradicts itself; the storage says so for every way in.

use std::sync::Arc;

use model::histogram::{Histogram, IntHistogram, ResetHint, Span};
use model::labels::Labels;
use model::storage::{Exemplar, SampleValue};
use model::time::Timestamp;

use super::ParseError;
use super::protobuf_format::{normal, push_label, timestamp_ms};
use super::series::read_label_pairs;
use crate::protobuf::{Field, ProtobufError, Reader, unzigzag};

/// All fields of a histogram message that are not classic buckets.
#[derive(Default)]
struct Fields {
    count: u64,
    count_float: f64,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count: u64,
    zero_count_float: f64,
    positive: Side,
    negative: Side,
}

#[derive(Default)]
struct Side {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// The native histogram of a message; `None` if it has classic buckets only. One without observations is told by
/// an empty span.
pub(super) fn read_native(
    message: &Reader<'_>,
    gauge: bool,
    exemplars: &mut Vec<Exemplar>,
) -> Result<Option<SampleValue>, ParseError> {
    let mut fields = Fields::default();
    let mut reader = message.clone();
    while let Some(field) = reader.field()? {
        match field.number {
            1 => fields.count = field.uint64()?,
            2 => fields.sum = normal(field.double()?),
            4 => fields.count_float = field.double()?,
            5 => fields.schema = field.sint32()?,
            6 => fields.zero_threshold = field.double()?,
            7 => fields.zero_count = field.uint64()?,
            8 => fields.zero_count_float = field.double()?,
            9 => fields.negative.spans.push(span(&field)?),
            10 => field.varints(|delta| fields.negative.deltas.push(unzigzag(delta)))?,
            11 => field.doubles(|count| fields.negative.counts.push(count))?,
            12 => fields.positive.spans.push(span(&field)?),
            13 => field.varints(|delta| fields.positive.deltas.push(unzigzag(delta)))?,
            14 => field.doubles(|count| fields.positive.counts.push(count))?,
            16 => read_exemplar(&field, exemplars)?,
            _ => {}
        }
    }
    let native = fields.zero_threshold > 0.0
        || fields.zero_count > 0
        || fields.zero_count_float > 0.0
        || !fields.positive.spans.is_empty()
        || !fields.negative.spans.is_empty();
    // Which of two that come at once is the newer one matters, their order in the message does not.
    exemplars.sort_by_key(|exemplar| exemplar.time);
    Ok(native.then(|| fields.into_value(gauge)))
}

impl Fields {
    fn into_value(self, gauge: bool) -> SampleValue {
        let hint = if gauge { ResetHint::Gauge } else { ResetHint::Unknown };
        let (positive_spans, negative_spans) = (joined(&self.positive.spans), joined(&self.negative.spans));
        let (schema, zero_threshold, sum) = (self.schema, self.zero_threshold, self.sum);
        if self.count_float > 0.0 || self.zero_count_float > 0.0 {
            return SampleValue::Histogram(Arc::new(Histogram {
                hint,
                schema,
                zero_threshold,
                zero_count: self.zero_count_float,
                count: self.count_float,
                sum,
                positive_spans,
                negative_spans,
                positive_buckets: self.positive.counts,
                negative_buckets: self.negative.counts,
                custom_values: None,
            }));
        }
        SampleValue::IntHistogram(Arc::new(IntHistogram {
            hint,
            schema,
            zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum,
            positive_spans,
            negative_spans,
            positive_deltas: self.positive.deltas,
            negative_deltas: self.negative.deltas,
            custom_values: None,
        }))
    }
}

/// Spans without those of no bucket, whose gap goes to the next one.
fn joined(spans: &[Span]) -> Vec<Span> {
    let mut gap = 0i32;
    let mut out: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        gap = gap.saturating_add(span.offset);
        if span.length > 0 {
            out.push(Span { offset: gap, length: span.length });
            gap = 0;
        }
    }
    out
}

fn span(field: &Field<'_>) -> Result<Span, ProtobufError> {
    let mut span = Span::default();
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

/// One without a time is left out: nobody could say which of several is the newest.
fn read_exemplar(field: &Field<'_>, into: &mut Vec<Exemplar>) -> Result<(), ParseError> {
    let mut labels = "{".to_owned();
    let (mut value, mut time) = (0.0, None);
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => push_label(&mut labels, &field)?,
            2 => value = normal(field.double()?),
            3 => time = Some(timestamp_ms(&field)?),
            _ => {}
        }
    }
    labels.push('}');
    if let Some(time) = time {
        let labels = Labels::from_pairs(read_label_pairs(labels.as_bytes())?);
        into.push(Exemplar { labels, value, time: Timestamp(time) });
    }
    Ok(())
}
