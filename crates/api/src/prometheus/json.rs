//! The JSON of Prometheus's answers, written straight into the body: no tree in between.
//!
//! Promises: floats are the shortest text that reads back, in the notation Prometheus uses; a body is held whole only
//! up to [`CHUNK_BYTES`], what is larger leaves in pieces while the rest is being written.
//! Not here: what the answers are (`query`, `labels`, `status`).

use std::io::Write as _;

use model::histogram::Histogram;
use model::labels::Labels;
use model::query::{PointValue, Series, Value, VectorSample};
use model::time::Timestamp;

/// A piece of a body.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Whoever waits for the body is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Takes full pieces away.
pub(crate) trait Sink {
    /// Empties the buffer.
    fn take(&mut self, buffer: &mut Vec<u8>) -> Result<(), Gone>;
}

/// Where an answer is written to.
pub(crate) struct Out<'s> {
    pub(crate) buffer: Vec<u8>,
    sink: &'s mut dyn Sink,
}

impl<'s> Out<'s> {
    pub(crate) fn new(sink: &'s mut dyn Sink) -> Self {
        Self { buffer: Vec::with_capacity(4096), sink }
    }

    pub(crate) fn raw(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    /// To be called between two parts of an answer, so that the buffer stays small.
    pub(crate) fn breathe(&mut self) -> Result<(), Gone> {
        if self.buffer.len() < CHUNK_BYTES { Ok(()) } else { self.sink.take(&mut self.buffer) }
    }

    /// A string with its quotes.
    pub(crate) fn string(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let buffer = &mut self.buffer;
        buffer.push(b'"');
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escape: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                0..0x20 => &[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]],
                _ => continue,
            };
            buffer.extend_from_slice(&text.as_bytes()[from..at]);
            buffer.extend_from_slice(escape);
            from = at + 1;
        }
        buffer.extend_from_slice(&text.as_bytes()[from..]);
        buffer.push(b'"');
    }

    /// Seconds, with three decimals where they are not whole.
    pub(crate) fn time(&mut self, at: Timestamp) {
        let millis = at.millis();
        if millis < 0 {
            self.buffer.push(b'-');
        }
        let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
        let _infallible = write!(self.buffer, "{seconds}");
        if rest != 0 {
            let _infallible = write!(self.buffer, ".{rest:03}");
        }
    }

    /// A value in quotes, as Prometheus's API writes floats.
    pub(crate) fn value(&mut self, value: f64) {
        self.buffer.push(b'"');
        let size = value.abs();
        if size == 0.0 || (1e-6..1e21).contains(&size) {
            let _infallible = write!(self.buffer, "{value}");
        } else {
            self.raw(&promql::engine::number::api(value));
        }
        self.buffer.push(b'"');
    }

    pub(crate) fn labels(&mut self, labels: &Labels) {
        self.buffer.push(b'{');
        for (at, (name, value)) in labels.iter().enumerate() {
            if at > 0 {
                self.buffer.push(b',');
            }
            self.string(name);
            self.buffer.push(b':');
            self.string(value);
        }
        self.buffer.push(b'}');
    }

    pub(crate) fn strings<'a>(&mut self, texts: impl IntoIterator<Item = &'a String>) -> Result<(), Gone> {
        self.list(texts, |out, text| {
            out.string(text);
            Ok(())
        })
    }

    /// `[…]`
    pub(crate) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        self.buffer.push(b'[');
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.buffer.push(b',');
            }
            write(self, item)?;
            self.breathe()?;
        }
        self.buffer.push(b']');
        Ok(())
    }

    /// `"name":` of a further member; the first of an object is written by hand.
    pub(crate) fn member(&mut self, name: &str) {
        self.buffer.push(b',');
        self.string(name);
        self.buffer.push(b':');
    }

    fn point(&mut self, at: Timestamp, value: f64) {
        self.buffer.push(b'[');
        self.time(at);
        self.buffer.push(b',');
        self.value(value);
        self.buffer.push(b']');
    }

    fn histogram_point(&mut self, at: Timestamp, histogram: &Histogram) {
        self.buffer.push(b'[');
        self.time(at);
        self.buffer.push(b',');
        self.histogram(histogram);
        self.buffer.push(b']');
    }

    fn histogram(&mut self, histogram: &Histogram) {
        self.raw("{\"count\":");
        self.value(histogram.count);
        self.member("sum");
        self.value(histogram.sum);
        let mut first = true;
        for bucket in promql::engine::buckets(histogram).into_iter().filter(|bucket| bucket.count != 0.0) {
            self.raw(if first { ",\"buckets\":[" } else { "," });
            first = false;
            // The zero bucket is closed; any other is closed at the end that is farther from zero.
            let closed_below = bucket.lower < 0.0 || bucket.lower == -bucket.upper;
            let closed_above = bucket.upper > 0.0 || bucket.lower == -bucket.upper;
            self.raw(match (closed_below, closed_above) {
                (false, true) => "[0,",
                (true, false) => "[1,",
                (false, false) => "[2,",
                (true, true) => "[3,",
            });
            self.value(bucket.lower);
            self.buffer.push(b',');
            self.value(bucket.upper);
            self.buffer.push(b',');
            self.value(bucket.count);
            self.buffer.push(b']');
        }
        if !first {
            self.buffer.push(b']');
        }
        self.buffer.push(b'}');
    }

    /// `"resultType":…,"result":…` of a query.
    pub(crate) fn answer(&mut self, value: &Value) -> Result<(), Gone> {
        let (kind, pair) = match value {
            Value::Vector(samples) => {
                self.raw("\"resultType\":\"vector\",\"result\":");
                return self.list(samples, |out, sample| {
                    out.sample(sample);
                    Ok(())
                });
            }
            Value::Matrix(series) => {
                self.raw("\"resultType\":\"matrix\",\"result\":");
                return self.list(series, Self::series);
            }
            // A bare scalar never gets an exponent.
            Value::Scalar(at, value) => ("scalar", (*at, promql::engine::number::decimal(*value))),
            Value::String(at, text) => ("string", (*at, text.clone())),
        };
        self.raw("\"resultType\":");
        self.string(kind);
        self.raw(",\"result\":[");
        self.time(pair.0);
        self.buffer.push(b',');
        self.string(&pair.1);
        self.buffer.push(b']');
        Ok(())
    }

    fn sample(&mut self, sample: &VectorSample) {
        self.raw("{\"metric\":");
        self.labels(&sample.labels);
        match &sample.value {
            PointValue::Float(value) => {
                self.member("value");
                self.point(sample.time, *value);
            }
            PointValue::Histogram(histogram) => {
                self.member("histogram");
                self.histogram_point(sample.time, histogram);
            }
        }
        self.buffer.push(b'}');
    }

    fn series(&mut self, series: &Series) -> Result<(), Gone> {
        self.raw("{\"metric\":");
        self.labels(&series.labels);
        if !series.floats.is_empty() || series.histograms.is_empty() {
            self.member("values");
            self.list(&series.floats, |out, (at, value)| {
                out.point(*at, *value);
                Ok(())
            })?;
        }
        if !series.histograms.is_empty() {
            self.member("histograms");
            self.list(&series.histograms, |out, (at, histogram)| {
                out.histogram_point(*at, histogram);
                Ok(())
            })?;
        }
        self.buffer.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use model::histogram::Span;

    struct Kept(Vec<usize>);

    impl Sink for Kept {
        fn take(&mut self, buffer: &mut Vec<u8>) -> Result<(), Gone> {
            self.0.push(buffer.len());
            buffer.clear();
            if self.0.len() > 2 { Err(Gone) } else { Ok(()) }
        }
    }

    fn written(write: impl FnOnce(&mut Out<'_>)) -> String {
        let mut sink = Kept(Vec::new());
        let mut out = Out::new(&mut sink);
        write(&mut out);
        String::from_utf8(out.buffer).unwrap()
    }

    #[test]
    fn values_are_written_as_prometheus_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (1e-7, "1e-07"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (-2.5e300, "-2.5e+300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(|out| out.value(value)), format!("\"{text}\""));
        }
    }

    #[test]
    fn times_are_seconds_with_three_decimals_or_none() {
        for (millis, text) in [(0, "0"), (1_500, "1.500"), (1_435_781_430_781, "1435781430.781"), (-7, "-0.007")] {
            assert_eq!(written(|out| out.time(Timestamp(millis))), text);
        }
    }

    #[test]
    fn whatever_a_label_holds_is_one_json_string() {
        let hostile = "a\"b\\c\nd\u{0}\u{1f}e\u{7f}ü";
        let text = written(|out| out.string(hostile));
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }

    #[test]
    fn the_bounds_of_a_bucket_say_which_end_is_closed() {
        let span = |offset, length| vec![Span { offset, length }];
        let histogram = Histogram {
            count: 6.0,
            sum: 1.5,
            zero_threshold: 0.001,
            zero_count: 1.0,
            positive_spans: span(0, 2),
            positive_buckets: vec![2.0, 0.0],
            negative_spans: span(1, 1),
            negative_buckets: vec![3.0],
            ..Histogram::default()
        };
        let sample = VectorSample {
            labels: Labels::empty(),
            time: Timestamp(1_000),
            value: PointValue::Histogram(Arc::new(histogram)),
            drop_name: false,
        };
        assert_eq!(
            written(|out| out.answer(&Value::Vector(vec![sample])).unwrap()),
            "\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"histogram\":[1,{\"count\":\"6\",\"sum\":\"1.5\",\
             \"buckets\":[[1,\"-2\",\"-1\",\"3\"],[3,\"-0.001\",\"0.001\",\"1\"],[0,\"0.5\",\"1\",\"2\"]]}]}]"
        );
    }

    #[test]
    fn a_long_answer_leaves_in_pieces_and_stops_when_nobody_waits() {
        let mut sink = Kept(Vec::new());
        let mut out = Out::new(&mut sink);
        let text = "x".repeat(1000);
        let outcome = out.list(0..1_000_000u32, |out, _| {
            out.string(&text);
            Ok(())
        });
        assert_eq!(outcome, Err(Gone));
        assert!(sink.0.iter().all(|len| (CHUNK_BYTES..CHUNK_BYTES + 2_000).contains(len)), "{:?}", sink.0);
    }
}
