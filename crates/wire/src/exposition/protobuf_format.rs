//! Protobuf exposition: a stream of `io.prometheus.client.MetricFamily` messages, each behind its length.
//!
//! Protobuf has no text that names a sample, so one is written into a buffer that is used again and again: to
//! everybody else the three formats look alike.
//! Not here: the single fields of native histograms (`native`).

use std::borrow::Cow;

use model::labels::is_classic_label_name;
use model::storage::{Exemplar, SampleValue};

use super::native::read_native;
use super::number::{NORMAL_NAN, write_openmetrics};
use super::series::{is_classic_metric_name, push_escaped};
use super::{Entry, ExemplarText, HistogramEntry, MetricKind, Options, ParseError, Series};
use crate::protobuf::{Field, ProtobufError, Reader};

pub(super) struct ProtobufParser<'a> {
    stream: Reader<'a>,
    options: Options,
    family: Family<'a>,
    /// What of the family has been given out; its metrics come after that.
    said: Said,
    /// The rest of the family's fields, in which the next metric is looked for.
    metrics: Reader<'a>,
    metric: Option<Metric<'a>>,
    /// `a="b",c="d"` of the metric at hand.
    labels: String,
    key: String,
    exemplar_labels: String,
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Help,
    Type,
    Everything,
}

#[derive(Clone, Copy, Default)]
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    unit: &'a str,
    kind: MetricKind,
    histogram: bool,
}

/// One metric, which is one sample or many.
struct Metric<'a> {
    body: Reader<'a>,
    shape: Shape,
    time: Option<i64>,
    start_time: i64,
    /// The sample to give out next.
    step: Step,
    count: f64,
    sum: f64,
    /// Whether the bucket for everything was among the buckets.
    infinity: bool,
    /// Whether there are classic buckets at all.
    buckets: bool,
}

/// An exemplar's value and time.
type Numbered = (f64, Option<i64>);

/// A metric's time and start time.
type Times = (Option<i64>, i64);

/// A sample whose texts are in the parser's buffers.
enum Made {
    Float(f64, Times, Option<Numbered>),
    Histogram(SampleValue, Times),
}

/// A bucket or quantile.
#[derive(Default)]
struct Numbers {
    bound: f64,
    value: f64,
    float: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Counter, gauge, untyped: field 1 is the value.
    Single,
    Summary,
    Histogram,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Native,
    First,
    Sum,
    Parts,
    Infinity,
    Done,
}

impl<'a> ProtobufParser<'a> {
    pub(super) fn new(bytes: &'a [u8], options: Options) -> Self {
        Self {
            stream: Reader::new(bytes),
            options,
            family: Family::default(),
            said: Said::Everything,
            metrics: Reader::new(&[]),
            metric: None,
            labels: String::new(),
            key: String::new(),
            exemplar_labels: String::new(),
            exemplars: Vec::new(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Entry<'_>>, ParseError> {
        loop {
            if let Some(entry) = self.head() {
                return Ok(Some(entry));
            }
            if self.metric.is_none() && !self.next_metric()? {
                if self.stream.is_empty() {
                    return Ok(None);
                }
                self.next_family()?;
                continue;
            }
            // The borrow of what is returned must not reach around the loop, so the sample is made in two steps.
            let Some(mut metric) = self.metric.take() else { continue };
            let made = self.sample(&mut metric)?;
            if metric.step != Step::Done {
                self.metric = Some(metric);
            }
            match made {
                Some(made) => return Ok(Some(self.entry(made))),
                None => continue,
            }
        }
    }

    /// Help, type and unit of the family, one by one.
    fn head(&mut self) -> Option<Entry<'a>> {
        let family = Cow::Borrowed(self.family.name);
        match self.said {
            Said::Nothing => {
                self.said = Said::Help;
                Some(Entry::Help { family, text: Cow::Borrowed(self.family.help) })
            }
            Said::Help => {
                self.said = Said::Type;
                Some(Entry::Type { family, kind: self.family.kind })
            }
            Said::Type => {
                self.said = Said::Everything;
                let unit = Cow::Borrowed(self.family.unit);
                (!unit.is_empty()).then_some(Entry::Unit { family, unit })
            }
            Said::Everything => None,
        }
    }

    fn next_family(&mut self) -> Result<(), ParseError> {
        let message = self.stream.delimited()?;
        let base = self.stream.position() - message.len();
        self.metrics = Reader::nested(message, base);
        let mut family = Family::default();
        let mut fields = self.metrics.clone();
        let mut kind = 0;
        while let Some(field) = fields.field()? {
            match field.number {
                1 => family.name = field.str()?,
                2 => family.help = field.str()?,
                3 => kind = field.int32()?,
                5 => family.unit = field.str()?,
                _ => {}
            }
        }
        if family.name.is_empty() {
            return Err(ParseError::Message { at: base, what: "a metric family without a name".to_owned() });
        }
        family.kind = match kind {
            0 => MetricKind::Counter,
            1 => MetricKind::Gauge,
            2 => MetricKind::Summary,
            3 => MetricKind::Unknown,
            4 => MetricKind::Histogram,
            5 => MetricKind::GaugeHistogram,
            _ => {
                let what = format!("unknown metric type {kind} of {:?}, expected 0 to 5", family.name);
                return Err(ParseError::Message { at: base, what });
            }
        };
        family.histogram = matches!(kind, 4 | 5);
        self.family = family;
        self.said = Said::Nothing;
        Ok(())
    }

    /// Finds the next metric of the family and reads its labels. False: there is none.
    fn next_metric(&mut self) -> Result<bool, ParseError> {
        while let Some(field) = self.metrics.field()? {
            if field.number == 4 {
                self.metric = Some(self.read_metric(&field)?);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_metric(&mut self, field: &Field<'a>) -> Result<Metric<'a>, ParseError> {
        self.labels.clear();
        let wanted = match self.family.kind {
            MetricKind::Gauge => 2,
            MetricKind::Counter => 3,
            MetricKind::Summary => 4,
            MetricKind::Unknown => 5,
            _ => 7,
        };
        let mut time = None;
        let mut body = None;
        let mut fields = field.message()?;
        while let Some(field) = fields.field()? {
            match field.number {
                1 => push_label(&mut self.labels, &field)?,
                6 => time = Some(field.int64()?).filter(|time| *time != 0),
                number if number == wanted => body = Some(field.message()?),
                _ => {}
            }
        }
        let Some(body) = body else {
            let what = format!("{:?} is a {}, but has no value of that", self.family.name, self.family.kind.name());
            return Err(ParseError::Message { at: field.at, what });
        };
        let shape = match self.family.kind {
            MetricKind::Summary => Shape::Summary,
            _ if self.family.histogram => Shape::Histogram,
            _ => Shape::Single,
        };
        let native = shape == Shape::Histogram && self.options.native_histograms;
        let step = if native { Step::Native } else { Step::First };
        let mut metric =
            Metric { body, shape, time, start_time: 0, step, count: 0.0, sum: 0.0, infinity: false, buckets: false };
        metric.read_totals(self.family.kind)?;
        Ok(metric)
    }

    /// The next sample of a metric; `None` where this step has none.
    fn sample(&mut self, metric: &mut Metric<'a>) -> Result<Option<Made>, ParseError> {
        let times = (metric.time, metric.start_time);
        match (metric.step, metric.shape) {
            (Step::Native, _) => {
                metric.step = Step::First;
                self.exemplars.clear();
                let gauge = self.family.kind == MetricKind::GaugeHistogram;
                let Some(native) = read_native(&metric.body, gauge, &mut self.exemplars)? else { return Ok(None) };
                if !self.options.always_classic || !metric.buckets {
                    metric.step = Step::Done;
                }
                self.write_key("", None);
                Ok(Some(Made::Histogram(native, times)))
            }
            (Step::First, Shape::Single) => {
                metric.step = Step::Done;
                self.write_key("", None);
                self.single(metric).map(Some)
            }
            (Step::First, _) => {
                metric.step = Step::Sum;
                self.write_key("_count", None);
                Ok(Some(Made::Float(metric.count, times, None)))
            }
            (Step::Sum, _) => {
                metric.step = Step::Parts;
                self.write_key("_sum", None);
                Ok(Some(Made::Float(metric.sum, times, None)))
            }
            (Step::Parts, _) => self.part(metric),
            (Step::Infinity, _) => {
                metric.step = Step::Done;
                if metric.infinity || metric.shape != Shape::Histogram {
                    return Ok(None);
                }
                self.write_key("_bucket", Some(("le", f64::INFINITY)));
                Ok(Some(Made::Float(metric.count, times, None)))
            }
            (Step::Done, _) => Ok(None),
        }
    }

    fn single(&mut self, metric: &Metric<'a>) -> Result<Made, ParseError> {
        let mut value = 0.0;
        let mut exemplar = None;
        let mut fields = metric.body.clone();
        while let Some(field) = fields.field()? {
            match field.number {
                1 => value = normal(field.double()?),
                2 if self.family.kind == MetricKind::Counter => exemplar = Some(self.read_exemplar(&field)?),
                _ => {}
            }
        }
        Ok(Made::Float(value, (metric.time, metric.start_time), exemplar))
    }

    /// The next quantile or bucket.
    fn part(&mut self, metric: &mut Metric<'a>) -> Result<Option<Made>, ParseError> {
        while let Some(field) = metric.body.field()? {
            if field.number != 3 {
                continue;
            }
            let times = (metric.time, metric.start_time);
            let mut numbers = Numbers::default();
            let mut exemplar = None;
            let mut fields = field.message()?;
            while let Some(field) = fields.field()? {
                match (metric.shape, field.number) {
                    (Shape::Summary, 1) | (Shape::Histogram, 2) => numbers.bound = field.double()?,
                    (Shape::Summary, 2) => numbers.value = field.double()?,
                    (Shape::Histogram, 1) => numbers.value = field.uint64()? as f64,
                    (Shape::Histogram, 4) => numbers.float = field.double()?,
                    (Shape::Histogram, 3) => exemplar = Some(self.read_exemplar(&field)?),
                    _ => {}
                }
            }
            let value = if numbers.float > 0.0 { numbers.float } else { numbers.value };
            if metric.shape == Shape::Summary {
                self.write_key("", Some(("quantile", numbers.bound)));
            } else {
                metric.infinity |= numbers.bound == f64::INFINITY;
                self.write_key("_bucket", Some(("le", numbers.bound)));
            }
            return Ok(Some(Made::Float(normal(value), times, exemplar)));
        }
        metric.step = Step::Infinity;
        Ok(None)
    }

    /// Leaves the labels in the buffer, hands back the numbers.
    fn read_exemplar(&mut self, field: &Field<'a>) -> Result<Numbered, ParseError> {
        self.exemplar_labels.clear();
        self.exemplar_labels.push('{');
        let (mut value, mut time) = (0.0, None);
        let mut fields = field.message()?;
        while let Some(field) = fields.field()? {
            match field.number {
                1 => push_label(&mut self.exemplar_labels, &field)?,
                2 => value = normal(field.double()?),
                3 => time = Some(timestamp_ms(&field)?),
                _ => {}
            }
        }
        self.exemplar_labels.push('}');
        Ok((value, time))
    }

    /// The text that a text format would have had here.
    fn write_key(&mut self, suffix: &str, bound: Option<(&str, f64)>) {
        let key = &mut self.key;
        key.clear();
        let classic = is_classic_metric_name(self.family.name);
        if classic {
            key.push_str(self.family.name);
            key.push_str(suffix);
            if self.labels.is_empty() && bound.is_none() {
                return;
            }
            key.push('{');
        } else {
            key.push_str("{\"");
            push_escaped(key, self.family.name);
            key.push_str(suffix);
            key.push('"');
            if !self.labels.is_empty() || bound.is_some() {
                key.push(',');
            }
        }
        key.push_str(&self.labels);
        if let Some((name, value)) = bound {
            if !self.labels.is_empty() {
                key.push(',');
            }
            key.push_str(name);
            key.push_str("=\"");
            write_openmetrics(key, value);
            key.push('"');
        }
        key.push('}');
    }

    fn entry(&self, made: Made) -> Entry<'_> {
        let key = self.key.as_bytes();
        match made {
            Made::Float(value, (time, start_time), exemplar) => {
                let exemplar = exemplar.map(|(value, time)| {
                    let labels = self.exemplar_labels.as_bytes();
                    ExemplarText { labels, value, time }
                });
                Entry::Series(Series { key, value, time, start_time, exemplar })
            }
            Made::Histogram(value, (time, start_time)) => {
                Entry::Histogram(HistogramEntry { key, value, time, start_time, exemplars: &self.exemplars })
            }
        }
    }
}

impl Metric<'_> {
    /// Count, sum and start time of whatever it is. They may stand behind the parts, but are given out first.
    fn read_totals(&mut self, kind: MetricKind) -> Result<(), ParseError> {
        let mut float = 0.0;
        let mut fields = self.body.clone();
        while let Some(field) = fields.field()? {
            match (self.shape, field.number) {
                (Shape::Single, 3) if kind == MetricKind::Counter => self.start_time = timestamp_ms(&field)?,
                (Shape::Summary, 4) | (Shape::Histogram, 15) => self.start_time = timestamp_ms(&field)?,
                (Shape::Summary | Shape::Histogram, 1) => self.count = field.uint64()? as f64,
                (Shape::Summary | Shape::Histogram, 2) => self.sum = normal(field.double()?),
                (Shape::Histogram, 3) => self.buckets = true,
                (Shape::Histogram, 4) => float = field.double()?,
                _ => {}
            }
        }
        if float > 0.0 {
            self.count = float;
        }
        Ok(())
    }
}

/// No payload of a NaN comes in from outside.
pub(super) const fn normal(value: f64) -> f64 {
    if value.is_nan() { NORMAL_NAN } else { value }
}

/// Appends `name="value"`, behind a comma where something stands before.
pub(super) fn push_label(out: &mut String, field: &Field<'_>) -> Result<(), ProtobufError> {
    let (mut name, mut value) = ("", "");
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => name = field.str()?,
            2 => value = field.str()?,
            _ => {}
        }
    }
    if !out.is_empty() && !out.ends_with('{') {
        out.push(',');
    }
    if is_classic_label_name(name) {
        out.push_str(name);
    } else {
        out.push('"');
        push_escaped(out, name);
        out.push('"');
    }
    out.push_str("=\"");
    push_escaped(out, value);
    out.push('"');
    Ok(())
}

/// `google.protobuf.Timestamp` in milliseconds; what no integer holds becomes the nearest one.
pub(super) fn timestamp_ms(field: &Field<'_>) -> Result<i64, ProtobufError> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => seconds = field.int64()?,
            2 => nanos = field.int32()?,
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000)))
}
