//! `load`: series into the storage, as a Prometheus storage would give them back.
//!
//! A storage of Prometheus keeps runs of histograms that only grow in chunks, and on reading calls all but the
//! first of a chunk "not reset"; of the first it says it does not know. The in-memory storage keeps what it is
//! given, so this is done on loading.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, Span};
use model::labels::{Labels, METRIC_NAME};
use model::memory::StoredSample;
use model::storage::{SampleValue, is_stale};
use model::time::{Timestamp, parse_duration};
use promql::engine::{combine_histograms, is_counter_reset, number};
use promql::syntax::series::{SequenceValue, SeriesDesc, parse_series_desc, split_metric};

use super::World;
use super::script::Load;

/// The last sample of each series, where it is a histogram of a counter.
pub(crate) type Hints = BTreeMap<Labels, Option<Arc<Histogram>>>;

/// One sample with the time its counting began.
struct Loaded {
    time: i64,
    value: SequenceValue,
    start: i64,
}

/// Loads the series of a command.
pub(crate) fn load(world: &mut World, load: &Load) -> Result<(), String> {
    let mut series: BTreeMap<Labels, Vec<Loaded>> = BTreeMap::new();
    let mut starts: Option<(Labels, Vec<Option<i64>>)> = None;
    for line in &load.lines {
        if let Some((labels, items)) = start_line(line)? {
            starts = Some((labels, items));
            continue;
        }
        let described = describe(line)?;
        let starts = starts.take();
        if let Some((labels, items)) = &starts
            && (*labels != described.labels || items.len() != described.values.len())
        {
            return Err(format!("start timestamps do not fit the series below them: {line}"));
        }
        let samples = described.values.into_iter().enumerate().map(|(index, value)| {
            let time = load.step_ms * index as i64;
            let start = starts.as_ref().and_then(|(_, items)| items[index]).map_or(0, |offset| time + offset);
            Loaded { time, value, start }
        });
        series.insert(described.labels, samples.collect());
    }
    if load.with_nhcb {
        let built = custom_bucket_histograms(&series);
        series.extend(built);
    }
    for (labels, samples) in series {
        store(world, &labels, samples);
    }
    Ok(())
}

/// A line of values.
pub(crate) fn describe(line: &str) -> Result<SeriesDesc, String> {
    parse_series_desc(line, &combine_histograms).map_err(|error| format!("{line}: {error}"))
}

/// `series@st items`: offsets of start timestamps.
fn start_line(line: &str) -> Result<Option<(Labels, Vec<Option<i64>>)>, String> {
    let (metric, rest) = split_metric(line);
    let Some(items) = rest.strip_prefix("@st") else { return Ok(None) };
    let labels = promql::syntax::parse_metric(metric.trim()).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    for item in items.split_whitespace() {
        start_item(item, &mut out)?;
    }
    Ok(Some((labels, out)))
}

fn start_item(item: &str, out: &mut Vec<Option<i64>>) -> Result<(), String> {
    let bad = || format!("not a start timestamp: {item}");
    let (body, times) = match item.rsplit_once('x') {
        Some((body, times)) => (body, Some(times.parse::<usize>().map_err(|_| bad())?)),
        None => (item, None),
    };
    if body == "_" {
        out.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
        return Ok(());
    }
    let duration = |text: &str| -> Result<i64, String> {
        let (sign, text) = match text.as_bytes().first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            _ => (1, text),
        };
        let millis = parse_duration(text).map_err(|_| bad())?.as_millis();
        Ok(sign * i64::try_from(millis).map_err(|_| bad())?)
    };
    let split = body.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map(|(at, _)| at);
    let (first, step) = match split {
        Some(at) => (duration(&body[..at])?, duration(&body[at..])?),
        None => (duration(body)?, 0),
    };
    let count = times.map_or(1, |times| times + 1);
    out.extend((0..count as i64).map(|index| Some(first + index * step)));
    Ok(())
}

fn store(world: &mut World, labels: &Labels, samples: Vec<Loaded>) {
    let previous = world.hints.entry(labels.clone()).or_default();
    let stored = samples.into_iter().filter_map(|sample| {
        let value = match sample.value {
            SequenceValue::Omitted => return None,
            SequenceValue::Float(value) => {
                *previous = None;
                SampleValue::Float(value)
            }
            SequenceValue::Histogram { histogram, .. } => SampleValue::Histogram(as_read_back(histogram, previous)),
        };
        Some((Timestamp(sample.time), StoredSample { value, start_time: sample.start }))
    });
    let stored: Vec<_> = stored.collect();
    world.storage.put_all(labels, stored);
}

/// The histogram with the hint it would have after being stored.
fn as_read_back(histogram: Arc<Histogram>, previous: &mut Option<Arc<Histogram>>) -> Arc<Histogram> {
    if histogram.hint == ResetHint::Gauge {
        *previous = None;
        return histogram;
    }
    let same_chunk = previous.as_ref().is_some_and(|before| {
        let unknown = Histogram { hint: ResetHint::Unknown, ..(*histogram).clone() };
        histogram.hint != ResetHint::Reset
            && !is_stale(before.sum)
            && histogram.schema == before.schema
            && histogram.zero_threshold == before.zero_threshold
            && histogram.bounds() == before.bounds()
            && !is_counter_reset(&unknown, before)
    });
    *previous = Some(Arc::clone(&histogram));
    let hint = if same_chunk { ResetHint::NotReset } else { ResetHint::Unknown };
    Arc::new(Histogram { hint, ..(*histogram).clone() })
}

/// The classic buckets of one histogram at one time.
#[derive(Default)]
struct Classic {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// Native histograms with custom buckets from the classic ones among the series.
fn custom_bucket_histograms(series: &BTreeMap<Labels, Vec<Loaded>>) -> BTreeMap<Labels, Vec<Loaded>> {
    let mut found: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for (labels, samples) in series {
        let name = labels.metric_name();
        let Some((base, suffix)) = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).map(|base| (base, *suffix)))
        else {
            continue;
        };
        let bound = labels.get("le").and_then(number::parse).filter(|bound| !bound.is_nan());
        if suffix == "_bucket" && bound.is_none() {
            continue;
        }
        let key = labels.without(&["le"]).to_builder().set(METRIC_NAME, base).build();
        for sample in samples {
            let SequenceValue::Float(value) = sample.value else { continue };
            if is_stale(value) {
                continue;
            }
            let classic = found.entry(key.clone()).or_default().entry(sample.time).or_default();
            match (suffix, bound) {
                ("_bucket", Some(bound)) => classic.buckets.push((bound, value)),
                ("_sum", _) => classic.sum = value,
                _ => classic.count = Some(value),
            }
        }
    }
    found
        .into_iter()
        .map(|(labels, times)| {
            let samples = times.into_iter().map(|(time, classic)| Loaded {
                time,
                value: SequenceValue::Histogram { histogram: Arc::new(native(classic)), hint_set: false },
                start: 0,
            });
            (labels, samples.collect())
        })
        .collect()
}

fn native(mut classic: Classic) -> Histogram {
    classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let highest = classic.buckets.last().map_or(0.0, |(_, count)| *count);
    let count = classic.count.unwrap_or(highest);
    if classic.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
        classic.buckets.push((f64::INFINITY, count));
    }
    let mut before = 0.0;
    let counts: Vec<f64> = classic
        .buckets
        .iter()
        .map(|(_, cumulative)| {
            let own = cumulative - before;
            before = *cumulative;
            own
        })
        .collect();
    let bounds: Arc<[f64]> = classic.buckets.iter().map(|(bound, _)| *bound).filter(|b| b.is_finite()).collect();
    Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum: classic.sum,
        positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
        positive_buckets: counts,
        custom_values: Some(bounds),
        ..Histogram::default()
    }
}
