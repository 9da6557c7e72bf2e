//! Entries as lines of text, so that a test can say in full what it expects.

use model::labels::Labels;
use model::storage::{Exemplar, SampleValue};
use wire::exposition::series::read_pairs;
use wire::exposition::{Entry, Format, Options, ParseError, Parser};

/// Everything a parser gives out, one line for each entry; an error is the last line.
pub(crate) fn lines(bytes: &[u8], format: Format, options: Options) -> Vec<String> {
    let mut parser = Parser::new(bytes, format, options);
    let mut out = Vec::new();
    loop {
        let kind = parser.kind();
        match parser.next() {
            Ok(Some(entry)) => out.push(line(&entry, kind).unwrap_or_else(|error| format!("bad key: {error}"))),
            Ok(None) => return out,
            Err(error) => {
                out.push(format!("error: {error}"));
                return out;
            }
        }
    }
}

/// Whether the whole of it parses.
pub(crate) fn parses(bytes: &[u8], format: Format) -> Result<usize, ParseError> {
    let mut parser = Parser::new(bytes, format, Options::default());
    let mut entries = 0;
    while parser.next()?.is_some() {
        entries += 1;
    }
    Ok(entries)
}

fn line(entry: &Entry<'_>, kind: wire::exposition::MetricKind) -> Result<String, ParseError> {
    let labels = |key| -> Result<Labels, ParseError> {
        let mut pairs = Vec::new();
        read_pairs(key, kind, &mut pairs)?;
        Ok(Labels::from_pairs(pairs))
    };
    let time = |time: Option<i64>| time.map_or(String::new(), |time| format!(" @{time}"));
    let start = |start: i64| if start == 0 { String::new() } else { format!(" since {start}") };
    let exemplar = |e: &Exemplar| format!(" # {} {} @{}", e.labels, e.value, e.time.0);
    Ok(match entry {
        Entry::Type { family, kind } => format!("type {family}: {}", kind.name()),
        Entry::Help { family, text } => format!("help {family}: {text:?}"),
        Entry::Unit { family, unit } => format!("unit {family}: {unit:?}"),
        Entry::Comment(text) => format!("comment {:?}", String::from_utf8_lossy(text)),
        Entry::Series(series) => {
            let example = series.exemplar.map(|e| e.read(-1)).transpose()?.as_ref().map_or(String::new(), exemplar);
            let (labels, value) = (labels(series.key)?, series.value);
            format!("{labels} {value}{}{}{example}", time(series.time), start(series.start_time))
        }
        Entry::Histogram(histogram) => {
            let examples: String = histogram.exemplars.iter().map(exemplar).collect();
            let value = match &histogram.value {
                SampleValue::IntHistogram(h) => format!(
                    "int schema {} count {} sum {} zero {}:{} + {:?} {:?} - {:?} {:?} bounds {:?} {:?}",
                    h.schema,
                    h.count,
                    h.sum,
                    h.zero_threshold,
                    h.zero_count,
                    spans(&h.positive_spans),
                    h.positive_deltas,
                    spans(&h.negative_spans),
                    h.negative_deltas,
                    h.custom_values.as_deref().unwrap_or(&[]),
                    h.hint
                ),
                SampleValue::Histogram(h) => format!(
                    "float schema {} count {} sum {} zero {}:{} + {:?} {:?} bounds {:?} {:?}",
                    h.schema,
                    h.count,
                    h.sum,
                    h.zero_threshold,
                    h.zero_count,
                    spans(&h.positive_spans),
                    h.positive_buckets,
                    h.bounds(),
                    h.hint
                ),
                SampleValue::Float(value) => format!("{value}"),
            };
            let labels = labels(histogram.key)?;
            format!("{labels} {value}{}{}{examples}", time(histogram.time), start(histogram.start_time))
        }
    })
}

fn spans(spans: &[model::histogram::Span]) -> Vec<(i32, u32)> {
    spans.iter().map(|span| (span.offset, span.length)).collect()
}
