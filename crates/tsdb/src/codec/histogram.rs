//! Blocks of native histograms: a table of layouts, then one column for each number, bit for bit.
//!
//! A *layout* is what seldom changes: form (integer or float), schema, zero threshold, spans, custom bounds. Rows of
//! one layout after another make a run; within a run count, zero count, sum and each bucket are columns in the
//! float and integer codecs. Integer buckets are stored as the differences they come as.
//! Not here: what a histogram means (`model::histogram`, `promql`).

use std::sync::Arc;

use model::histogram::{Histogram, IntHistogram, ResetHint, Span};

use crate::codec::block::{Head, id};
use crate::codec::bytes::{Reader, put_ivarint, put_text, put_uvarint};
use crate::codec::float::FloatState;
use crate::codec::int::IntState;
use crate::codec::{BLOCK_ROWS_MAX, Damage, float, int};

/// Spans of one sign a layout may have. Prometheus refuses histograms long before.
const SPANS_MAX: usize = 1 << 14;
/// Buckets of one sign a layout may have: with 128 rows 64 MiB decoded, the most a block can ask for.
const BUCKETS_MAX: usize = 1 << 16;
/// Decoded numbers a block may hold: hostile bytes get no more memory than that.
const NUMBERS_MAX: usize = 1 << 23;

/// One histogram in its exact stored form.
#[derive(Clone, Debug)]
pub enum HistogramSample {
    Int(Arc<IntHistogram>),
    Float(Arc<Histogram>),
}

impl HistogramSample {
    /// The form queries compute with.
    #[must_use]
    pub fn to_float(&self) -> Arc<Histogram> {
        match self {
            Self::Int(histogram) => Arc::new(Histogram::from(&**histogram)),
            Self::Float(histogram) => Arc::clone(histogram),
        }
    }

    /// The sum, which carries the staleness marker.
    #[must_use]
    pub fn sum(&self) -> f64 {
        match self {
            Self::Int(histogram) => histogram.sum,
            Self::Float(histogram) => histogram.sum,
        }
    }

    /// Whether both are the same bit for bit, in the same form.
    #[must_use]
    pub fn bit_eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.bit_eq(b),
            (Self::Int(a), Self::Int(b)) => {
                View::of(self) == View::of(other)
                    && a.hint == b.hint
                    && (a.count, a.zero_count, a.sum.to_bits()) == (b.count, b.zero_count, b.sum.to_bits())
                    && a.positive_deltas == b.positive_deltas
                    && a.negative_deltas == b.negative_deltas
            }
            _ => false,
        }
    }

    fn hint(&self) -> ResetHint {
        match self {
            Self::Int(histogram) => histogram.hint,
            Self::Float(histogram) => histogram.hint,
        }
    }

    /// Numbers a decoder makes for it: what a budget counts.
    #[must_use]
    pub fn numbers(&self) -> usize {
        3 + View::of(self).buckets.iter().sum::<usize>()
    }
}

/// What samples of a run have in common.
#[derive(Clone, Debug)]
struct Layout {
    float: bool,
    schema: i32,
    zero_threshold: f64,
    positive_spans: Vec<Span>,
    negative_spans: Vec<Span>,
    custom_values: Option<Arc<[f64]>>,
    /// Buckets there are; not derived from the spans, so that a malformed histogram comes back as it was.
    positive: usize,
    negative: usize,
}

/// A layout still in its histogram: for comparing, without a copy.
struct View<'h> {
    float: bool,
    schema: i32,
    zero_threshold: f64,
    spans: [&'h [Span]; 2],
    custom_values: Option<&'h [f64]>,
    buckets: [usize; 2],
}

impl PartialEq for View<'_> {
    fn eq(&self, other: &Self) -> bool {
        let same_bits = |a: &[f64], b: &[f64]| a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits()));
        let same_bounds = match (self.custom_values, other.custom_values) {
            (Some(a), Some(b)) => same_bits(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        (self.float, self.schema, self.buckets) == (other.float, other.schema, other.buckets)
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.spans == other.spans
            && same_bounds
    }
}

impl<'h> View<'h> {
    fn of(sample: &'h HistogramSample) -> Self {
        match sample {
            HistogramSample::Int(h) => Self {
                float: false,
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                spans: [&h.positive_spans, &h.negative_spans],
                custom_values: h.custom_values.as_deref(),
                buckets: [h.positive_deltas.len(), h.negative_deltas.len()],
            },
            HistogramSample::Float(h) => Self {
                float: true,
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                spans: [&h.positive_spans, &h.negative_spans],
                custom_values: h.custom_values.as_deref(),
                buckets: [h.positive_buckets.len(), h.negative_buckets.len()],
            },
        }
    }
}

const FLOAT: u8 = 1;
const CUSTOM: u8 = 2;

impl View<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(if self.float { FLOAT } else { 0 } | if self.custom_values.is_some() { CUSTOM } else { 0 });
        put_ivarint(out, i64::from(self.schema));
        out.extend_from_slice(&self.zero_threshold.to_bits().to_le_bytes());
        for (spans, buckets) in self.spans.iter().zip(self.buckets) {
            put_uvarint(out, spans.len() as u64);
            for span in *spans {
                put_ivarint(out, i64::from(span.offset));
                put_uvarint(out, u64::from(span.length));
            }
            put_uvarint(out, buckets as u64);
        }
        if let Some(bounds) = self.custom_values {
            put_uvarint(out, bounds.len() as u64);
            for bound in bounds {
                out.extend_from_slice(&bound.to_bits().to_le_bytes());
            }
        }
    }
}

impl Layout {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        let flags = reader.u8()?;
        if flags & !(FLOAT | CUSTOM) != 0 {
            return Err(Damage("an unknown flag of a layout"));
        }
        let schema = i32::try_from(reader.ivarint()?).map_err(|_| Damage("a schema out of bounds"))?;
        let zero_threshold = f64::from_bits(reader.u64()?);
        let (positive_spans, positive) = read_spans(reader)?;
        let (negative_spans, negative) = read_spans(reader)?;
        let custom_values = match flags & CUSTOM != 0 {
            false => None,
            true => {
                let count = reader.count(reader.remaining() / 8)?;
                let bounds: Result<Vec<f64>, Damage> = (0..count).map(|_| reader.u64().map(f64::from_bits)).collect();
                Some(bounds?.into())
            }
        };
        let float = flags & FLOAT != 0;
        Ok(Self { float, schema, zero_threshold, positive_spans, negative_spans, custom_values, positive, negative })
    }
}

fn read_spans(reader: &mut Reader<'_>) -> Result<(Vec<Span>, usize), Damage> {
    let count = reader.count(SPANS_MAX.min(reader.remaining() / 2))?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = i32::try_from(reader.ivarint()?).map_err(|_| Damage("a span out of bounds"))?;
        let length = u32::try_from(reader.uvarint()?).map_err(|_| Damage("a span out of bounds"))?;
        spans.push(Span { offset, length });
    }
    Ok((spans, reader.count(BUCKETS_MAX)?))
}

/// Whether a histogram can be stored: its spans and buckets are within the bounds.
#[must_use]
pub fn is_storable(sample: &HistogramSample) -> bool {
    let view = View::of(sample);
    view.spans.iter().all(|spans| spans.len() <= SPANS_MAX) && view.buckets.iter().all(|count| *count <= BUCKETS_MAX)
}

/// How many of the samples at the front one block may hold: 128, or fewer where they are very wide.
#[must_use]
pub fn rows_that_fit(samples: &[HistogramSample]) -> usize {
    let mut numbers = 0;
    let fits = samples.iter().take(BLOCK_ROWS_MAX).take_while(|sample| {
        numbers += sample.numbers();
        numbers <= NUMBERS_MAX
    });
    fits.count().max(1)
}

/// Appends one block of 1 to 128 histograms.
///
/// # Panics
/// Where there are none or more than 128: the caller cuts columns.
pub fn encode(samples: &[HistogramSample], out: &mut Vec<u8>) {
    assert!((1..=BLOCK_ROWS_MAX).contains(&samples.len()), "a block has 1 to 128 rows");
    let mut body = Vec::with_capacity(256);
    encode_hints(samples, &mut body);
    let mut layouts: Vec<View<'_>> = Vec::new();
    let mut from = 0;
    while from < samples.len() {
        let layout = View::of(&samples[from]);
        let len = samples[from..].iter().take_while(|sample| View::of(sample) == layout).count();
        put_uvarint(&mut body, len as u64);
        // A layout is written where it is first used: the next free number means "here it comes".
        let known = layouts.iter().position(|known| *known == layout);
        put_uvarint(&mut body, known.unwrap_or(layouts.len()) as u64);
        if known.is_none() {
            layout.write(&mut body);
        }
        encode_run(&samples[from..from + len], &layout, &mut body);
        if known.is_none() {
            layouts.push(layout);
        }
        from += len;
    }
    Head { codec: id::HISTOGRAM, rows: samples.len(), flags: 0 }.write(out);
    put_text(out, &body);
}

/// Hints as runs: (length less one) * 4 + hint.
fn encode_hints(samples: &[HistogramSample], out: &mut Vec<u8>) {
    for run in samples.chunk_by(|a, b| a.hint() == b.hint()) {
        put_uvarint(out, (run.len() as u64 - 1) << 2 | run[0].hint() as u64);
    }
}

fn decode_hints(reader: &mut Reader<'_>, rows: usize) -> Result<Vec<ResetHint>, Damage> {
    let mut hints = Vec::with_capacity(rows);
    while hints.len() < rows {
        let run = reader.count(BLOCK_ROWS_MAX * 4)?;
        let hint = match run & 3 {
            0 => ResetHint::Unknown,
            1 => ResetHint::Reset,
            2 => ResetHint::NotReset,
            _ => ResetHint::Gauge,
        };
        let len = (run >> 2) + 1;
        if len > rows - hints.len() {
            return Err(Damage("more hints than rows"));
        }
        hints.resize(hints.len() + len, hint);
    }
    Ok(hints)
}

fn encode_run(samples: &[HistogramSample], layout: &View<'_>, out: &mut Vec<u8>) {
    let [positive, negative] = layout.buckets;
    let sums: Vec<f64> = samples.iter().map(HistogramSample::sum).collect();
    float::encode(&sums, &mut FloatState::default(), out);
    let mut columns = ColumnEncoder { ints: IntState::default(), floats: FloatState::default(), out };
    let ints: Vec<&IntHistogram> = samples.iter().filter_map(HistogramSample::as_int).collect();
    let floats: Vec<&Histogram> = samples.iter().filter_map(HistogramSample::as_float).collect();
    if layout.float {
        columns.floats(floats.iter().map(|h| h.count));
        columns.floats(floats.iter().map(|h| h.zero_count));
        for bucket in 0..positive {
            columns.floats(floats.iter().map(|h| h.positive_buckets[bucket]));
        }
        for bucket in 0..negative {
            columns.floats(floats.iter().map(|h| h.negative_buckets[bucket]));
        }
    } else {
        columns.ints(ints.iter().map(|h| h.count as i64));
        columns.ints(ints.iter().map(|h| h.zero_count as i64));
        for bucket in 0..positive {
            columns.ints(ints.iter().map(|h| h.positive_deltas[bucket]));
        }
        for bucket in 0..negative {
            columns.ints(ints.iter().map(|h| h.negative_deltas[bucket]));
        }
    }
}

impl HistogramSample {
    fn as_int(&self) -> Option<&IntHistogram> {
        match self {
            Self::Int(histogram) => Some(histogram),
            Self::Float(_) => None,
        }
    }

    fn as_float(&self) -> Option<&Histogram> {
        match self {
            Self::Int(_) => None,
            Self::Float(histogram) => Some(histogram),
        }
    }
}

struct ColumnEncoder<'o> {
    ints: IntState,
    floats: FloatState,
    out: &'o mut Vec<u8>,
}

impl ColumnEncoder<'_> {
    fn ints(&mut self, values: impl Iterator<Item = i64>) {
        let values: Vec<i64> = values.collect();
        int::encode(&values, &mut self.ints, self.out);
    }

    fn floats(&mut self, values: impl Iterator<Item = f64>) {
        let values: Vec<f64> = values.collect();
        float::encode(&values, &mut self.floats, self.out);
    }
}

pub(super) fn skip(reader: &mut Reader<'_>) -> Result<(), Damage> {
    reader.text(usize::MAX).map(drop)
}

/// Decodes the block at the front of `bytes`, appends its rows, and says how long it was.
pub fn decode_append(bytes: &[u8], out: &mut Vec<HistogramSample>) -> Result<usize, Damage> {
    let mut outer = Reader::new(bytes);
    let head = Head::read(&mut outer)?;
    if head.codec != id::HISTOGRAM {
        return Err(Damage("not a block of histograms"));
    }
    let body = outer.text(usize::MAX)?;
    let mut reader = Reader::new(body);
    let hints = decode_hints(&mut reader, head.rows)?;
    let mut layouts: Vec<Layout> = Vec::new();
    let (mut row, mut numbers) = (0, 0);
    while row < head.rows {
        let len = reader.count(head.rows - row)?;
        let which = reader.count(layouts.len())?;
        if which == layouts.len() {
            layouts.push(Layout::read(&mut reader)?);
        }
        let layout = &layouts[which];
        numbers += len * (3 + layout.positive + layout.negative);
        if len == 0 || numbers > NUMBERS_MAX {
            return Err(Damage("a run of histograms out of bounds"));
        }
        let mut run = Run { body, reader: &mut reader, rows: len };
        if layout.float {
            run.decode_floats(layout, &hints[row..row + len], out)?;
        } else {
            run.decode_ints(layout, &hints[row..row + len], out)?;
        }
        row += len;
    }
    Ok(outer.position())
}

struct Run<'r, 'a> {
    body: &'a [u8],
    reader: &'r mut Reader<'a>,
    rows: usize,
}

impl Run<'_, '_> {
    fn floats(&mut self) -> Result<Vec<f64>, Damage> {
        let mut values = Vec::with_capacity(self.rows);
        let used = float::decode_append(&self.body[self.reader.position()..], &mut values)?;
        self.reader.take(used)?;
        if values.len() == self.rows { Ok(values) } else { Err(Damage("a histogram column of another length")) }
    }

    fn ints(&mut self) -> Result<Vec<i64>, Damage> {
        let mut values = Vec::with_capacity(self.rows);
        let used = int::decode_append(&self.body[self.reader.position()..], &mut values)?;
        self.reader.take(used)?;
        if values.len() == self.rows { Ok(values) } else { Err(Damage("a histogram column of another length")) }
    }

    #[allow(clippy::needless_range_loop, reason = "a row is taken from many columns at once")]
    fn decode_floats(
        &mut self,
        layout: &Layout,
        hints: &[ResetHint],
        out: &mut Vec<HistogramSample>,
    ) -> Result<(), Damage> {
        let (sums, counts, zeros) = (self.floats()?, self.floats()?, self.floats()?);
        let positive: Vec<Vec<f64>> = (0..layout.positive).map(|_| self.floats()).collect::<Result<_, _>>()?;
        let negative: Vec<Vec<f64>> = (0..layout.negative).map(|_| self.floats()).collect::<Result<_, _>>()?;
        for row in 0..self.rows {
            out.push(HistogramSample::Float(Arc::new(Histogram {
                hint: hints[row],
                schema: layout.schema,
                zero_threshold: layout.zero_threshold,
                zero_count: zeros[row],
                count: counts[row],
                sum: sums[row],
                positive_spans: layout.positive_spans.clone(),
                negative_spans: layout.negative_spans.clone(),
                positive_buckets: positive.iter().map(|bucket| bucket[row]).collect(),
                negative_buckets: negative.iter().map(|bucket| bucket[row]).collect(),
                custom_values: layout.custom_values.clone(),
            })));
        }
        Ok(())
    }

    #[allow(clippy::needless_range_loop, reason = "a row is taken from many columns at once")]
    fn decode_ints(
        &mut self,
        layout: &Layout,
        hints: &[ResetHint],
        out: &mut Vec<HistogramSample>,
    ) -> Result<(), Damage> {
        let (sums, counts, zeros) = (self.floats()?, self.ints()?, self.ints()?);
        let positive: Vec<Vec<i64>> = (0..layout.positive).map(|_| self.ints()).collect::<Result<_, _>>()?;
        let negative: Vec<Vec<i64>> = (0..layout.negative).map(|_| self.ints()).collect::<Result<_, _>>()?;
        for row in 0..self.rows {
            out.push(HistogramSample::Int(Arc::new(IntHistogram {
                hint: hints[row],
                schema: layout.schema,
                zero_threshold: layout.zero_threshold,
                zero_count: zeros[row] as u64,
                count: counts[row] as u64,
                sum: sums[row],
                positive_spans: layout.positive_spans.clone(),
                negative_spans: layout.negative_spans.clone(),
                positive_deltas: positive.iter().map(|bucket| bucket[row]).collect(),
                negative_deltas: negative.iter().map(|bucket| bucket[row]).collect(),
                custom_values: layout.custom_values.clone(),
            })));
        }
        Ok(())
    }
}
