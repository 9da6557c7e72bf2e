//! As much of remote write 1.0 as a test needs: the protobuf message, and snappy that only copies.

use std::sync::Arc;

use model::histogram::{Histogram, Span};
use model::labels::Labels;

/// The samples of one series: floats or native histograms.
#[derive(Clone, Debug)]
pub(crate) enum Points {
    Floats(Vec<(i64, f64)>),
    Histograms(Vec<(i64, Arc<Histogram>)>),
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)).cast_unsigned())
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn doubles(out: &mut Vec<u8>, field: u64, values: &[f64]) {
    let packed: Vec<u8> = values.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect();
    bytes(out, field, &packed);
}

fn spans(out: &mut Vec<u8>, field: u64, spans: &[Span]) {
    for span in spans {
        let mut message = Vec::new();
        number(&mut message, 1, zigzag(span.offset));
        number(&mut message, 2, u64::from(span.length));
        bytes(out, field, &message);
    }
}

fn histogram(time: i64, histogram: &Histogram) -> Vec<u8> {
    let mut out = Vec::new();
    double(&mut out, 2, histogram.count);
    double(&mut out, 3, histogram.sum);
    number(&mut out, 4, zigzag(histogram.schema));
    double(&mut out, 5, histogram.zero_threshold);
    double(&mut out, 7, histogram.zero_count);
    spans(&mut out, 8, &histogram.negative_spans);
    doubles(&mut out, 10, &histogram.negative_buckets);
    spans(&mut out, 11, &histogram.positive_spans);
    doubles(&mut out, 13, &histogram.positive_buckets);
    number(&mut out, 15, time.cast_unsigned());
    out
}

fn series(labels: &Labels, points: &Points) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        bytes(&mut label, 1, name.as_bytes());
        bytes(&mut label, 2, value.as_bytes());
        bytes(&mut out, 1, &label);
    }
    match points {
        Points::Floats(samples) => {
            for (time, value) in samples {
                let mut sample = Vec::new();
                double(&mut sample, 1, *value);
                number(&mut sample, 2, time.cast_unsigned());
                bytes(&mut out, 2, &sample);
            }
        }
        Points::Histograms(samples) => {
            for (time, value) in samples {
                bytes(&mut out, 4, &histogram(*time, value));
            }
        }
    }
    out
}

/// A write request with these series.
pub(crate) fn write_request(all: &[(Labels, Points)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (labels, points) in all {
        bytes(&mut out, 1, &series(labels, points));
    }
    out
}

/// A snappy block of literals only.
pub(crate) fn snappy(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + plain.len() / 1_000 + 16);
    varint(&mut out, plain.len() as u64);
    for literal in plain.chunks(0x1_0000) {
        // A literal whose length, less one, stands in the next two bytes.
        out.push(61 << 2);
        out.extend_from_slice(&((literal.len() - 1) as u16).to_le_bytes());
        out.extend_from_slice(literal);
    }
    out
}
