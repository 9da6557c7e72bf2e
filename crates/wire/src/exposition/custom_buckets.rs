//! Classic histograms turned into native ones with custom bounds, while they are read.
//!
//! The series of one histogram (`…_bucket`, `…_sum`, `…_count` with the same other labels) stand side by side; when
//! something else comes, what was collected becomes one sample. This way allocates for each series: it serves
//! `convert_classic_histograms_to_nhcb` only.

use std::borrow::Cow;
use std::sync::Arc;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, IntHistogram, ResetHint, Span};
use model::labels::METRIC_NAME;
use model::storage::{Exemplar, SampleValue};

use super::number::parse_float;
use super::series::{is_classic_metric_name, push_escaped, read_pairs};
use super::{Entry, ExemplarText, HistogramEntry, MetricKind, ParseError, Series, Source};

/// Up to here a count is an integer that a float holds exactly.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) struct Converter {
    keep_classic: bool,
    /// The family whose type was said last, if it is a histogram.
    family: Option<String>,
    /// What is collected, by the key it will have; empty: nothing.
    key: String,
    collected: Collected,
    /// A histogram that has been given out; entries borrow from here.
    exemplars: Vec<Exemplar>,
    done_key: String,
    /// What was read when the histogram before it ended: it comes next.
    held: Option<Held>,
    /// The entry given out last; what the caller has borrows from here.
    out: Option<Held>,
    ended: bool,
}

#[derive(Default)]
struct Collected {
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
    time: Option<i64>,
    start_time: i64,
    exemplars: Vec<Exemplar>,
}

/// An entry that waits, made its own.
enum Held {
    Said(Entry<'static>),
    Comment(Vec<u8>),
    Float { key: Vec<u8>, value: f64, time: Option<i64>, start_time: i64, exemplar: Option<HeldExemplar> },
    Histogram { key: Vec<u8>, value: SampleValue, time: Option<i64>, start_time: i64, exemplars: Vec<Exemplar> },
}

struct HeldExemplar {
    labels: Vec<u8>,
    value: f64,
    time: Option<i64>,
}

/// Which series of a classic histogram one is.
enum Part {
    Bucket(f64),
    Sum,
    Count,
}

impl Converter {
    pub(super) fn new(keep_classic: bool) -> Self {
        Self {
            keep_classic,
            family: None,
            key: String::new(),
            collected: Collected::default(),
            exemplars: Vec::new(),
            done_key: String::new(),
            held: None,
            out: None,
            ended: false,
        }
    }

    pub(super) fn next<'s>(&'s mut self, source: &'s mut Source<'_>) -> Result<Option<Entry<'s>>, ParseError> {
        loop {
            // What has been read is made its own before it is given out: this way is not the fast one.
            let held = match self.held.take() {
                Some(held) => Some(held),
                None if self.ended => None,
                None => match source.next()? {
                    Some(entry) => Some(Held::of(entry)),
                    None => {
                        self.ended = true;
                        None
                    }
                },
            };
            let Some(held) = held else {
                return Ok(self.finish().map(|(value, time, start)| self.histogram(value, time, start)));
            };
            let part = self.part_of(&held);
            let same = part.as_ref().is_some_and(|(key, _)| *key == self.key);
            if !same && !self.key.is_empty() {
                self.held = Some(held);
                match self.finish() {
                    Some((value, time, start)) => return Ok(Some(self.histogram(value, time, start))),
                    None => continue,
                }
            }
            if let Held::Said(Entry::Type { family, kind }) = &held {
                self.family = (*kind == MetricKind::Histogram).then(|| family.to_string());
            }
            if let Some((key, part)) = part {
                self.key = key;
                self.collect(&part, &held)?;
                if !self.keep_classic {
                    continue;
                }
            }
            return Ok(Some(self.given(held)));
        }
    }

    /// The key without its part and the part, if the entry belongs to a classic histogram.
    fn part_of(&self, held: &Held) -> Option<(String, Part)> {
        let (Held::Float { key, .. }, Some(family)) = (held, &self.family) else { return None };
        let mut pairs = Vec::new();
        read_pairs(key, MetricKind::Histogram, &mut pairs).ok()?;
        let name = pairs.iter().find(|(name, _)| name == METRIC_NAME).map(|(_, name)| name.clone())?;
        let part = match name.strip_prefix(family.as_str())? {
            "_sum" => Part::Sum,
            "_count" => Part::Count,
            "_bucket" => {
                let (_, bound) = pairs.iter().find(|(name, _)| name == "le")?;
                Part::Bucket(parse_float(bound.as_bytes())?)
            }
            _ => return None,
        };
        pairs.retain(|(name, _)| name != METRIC_NAME && (name != "le" || !matches!(part, Part::Bucket(_))));
        pairs.sort();
        Some((key_of(family, &pairs), part))
    }

    fn collect(&mut self, part: &Part, held: &Held) -> Result<(), ParseError> {
        let Held::Float { value, time, start_time, exemplar, .. } = held else { return Ok(()) };
        match part {
            Part::Sum => self.collected.sum = Some(*value),
            Part::Count => self.collected.count = Some(*value),
            Part::Bucket(bound) => self.collected.buckets.push((*bound, *value)),
        }
        self.collected.time = *time;
        self.collected.start_time = *start_time;
        if let Some(exemplar) = exemplar
            && let Some(time) = exemplar.time
        {
            let text = ExemplarText { labels: &exemplar.labels, value: exemplar.value, time: Some(time) };
            self.collected.exemplars.push(text.read(time)?);
        }
        Ok(())
    }

    /// What was collected as one sample; `None` if its buckets do not make a histogram.
    fn finish(&mut self) -> Option<(SampleValue, Option<i64>, i64)> {
        if self.key.is_empty() {
            return None;
        }
        std::mem::swap(&mut self.done_key, &mut self.key);
        self.key.clear();
        let mut collected = std::mem::take(&mut self.collected);
        self.exemplars = std::mem::take(&mut collected.exemplars);
        self.exemplars.sort_by_key(|exemplar| exemplar.time);
        let (time, start_time) = (collected.time, collected.start_time);
        collected.into_value().map(|value| (value, time, start_time))
    }

    fn histogram(&self, value: SampleValue, time: Option<i64>, start_time: i64) -> Entry<'_> {
        let key = self.done_key.as_bytes();
        Entry::Histogram(HistogramEntry { key, value, time, start_time, exemplars: &self.exemplars })
    }

    /// Gives out an entry that is kept here meanwhile.
    fn given(&mut self, held: Held) -> Entry<'_> {
        self.out.insert(held).entry()
    }
}

impl Collected {
    /// Cumulative counts become differences of differences; counts that are no integers stay floats.
    fn into_value(mut self) -> Option<SampleValue> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|a, b| a.0 == b.0);
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            // Without the bucket for everything the count says what is in it.
            self.buckets.push((f64::INFINITY, self.count?));
        }
        let total = self.buckets.last().map(|(_, count)| *count)?;
        let count = self.count.unwrap_or(total);
        let rising = self.buckets.is_sorted_by(|a, b| a.1 <= b.1);
        if !rising || count < total || self.buckets[0].1 < 0.0 || !count.is_finite() || self.buckets[0].0.is_nan() {
            return None;
        }
        let sum = self.sum.unwrap_or(0.0);
        let bounds: Arc<[f64]> = self.buckets[..self.buckets.len() - 1].iter().map(|(bound, _)| *bound).collect();
        let counts: Vec<f64> = self.buckets.iter().map(|(_, count)| *count).collect();
        let spans = vec![Span { offset: 0, length: counts.len() as u32 }];
        let integers = counts.iter().chain([&count]).all(|count| count.fract() == 0.0 && *count < EXACT_INTEGER_MAX);
        let absolute = |index: usize| counts[index] - if index == 0 { 0.0 } else { counts[index - 1] };
        let absolute: Vec<f64> = (0..counts.len()).map(absolute).collect();
        if !integers {
            return Some(SampleValue::Histogram(Arc::new(Histogram {
                hint: ResetHint::Unknown,
                schema: CUSTOM_BUCKETS_SCHEMA,
                count,
                sum,
                positive_spans: spans,
                positive_buckets: absolute,
                custom_values: Some(bounds),
                ..Histogram::default()
            })));
        }
        let mut before = 0;
        let deltas = absolute.iter().map(|population| {
            let delta = *population as i64 - before;
            before = *population as i64;
            delta
        });
        Some(SampleValue::IntHistogram(Arc::new(IntHistogram {
            hint: ResetHint::Unknown,
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: count as u64,
            sum,
            positive_spans: spans,
            positive_deltas: deltas.collect(),
            custom_values: Some(bounds),
            ..IntHistogram::default()
        })))
    }
}

impl Held {
    fn of(entry: Entry<'_>) -> Self {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match entry {
            Entry::Type { family, kind } => Self::Said(Entry::Type { family: owned(family), kind }),
            Entry::Help { family, text } => Self::Said(Entry::Help { family: owned(family), text: owned(text) }),
            Entry::Unit { family, unit } => Self::Said(Entry::Unit { family: owned(family), unit: owned(unit) }),
            Entry::Comment(text) => Self::Comment(text.to_vec()),
            Entry::Series(Series { key, value, time, start_time, exemplar }) => {
                let exemplar = exemplar.map(|exemplar| HeldExemplar {
                    labels: exemplar.labels.to_vec(),
                    value: exemplar.value,
                    time: exemplar.time,
                });
                Self::Float { key: key.to_vec(), value, time, start_time, exemplar }
            }
            Entry::Histogram(HistogramEntry { key, value, time, start_time, exemplars }) => {
                Self::Histogram { key: key.to_vec(), value, time, start_time, exemplars: exemplars.to_vec() }
            }
        }
    }

    fn entry(&self) -> Entry<'_> {
        match self {
            Self::Said(entry) => entry.clone(),
            Self::Comment(text) => Entry::Comment(text),
            Self::Float { key, value, time, start_time, exemplar } => Entry::Series(Series {
                key,
                value: *value,
                time: *time,
                start_time: *start_time,
                exemplar: exemplar.as_ref().map(|exemplar| ExemplarText {
                    labels: &exemplar.labels,
                    value: exemplar.value,
                    time: exemplar.time,
                }),
            }),
            Self::Histogram { key, value, time, start_time, exemplars } => Entry::Histogram(HistogramEntry {
                key,
                value: value.clone(),
                time: *time,
                start_time: *start_time,
                exemplars,
            }),
        }
    }
}

/// The text that names a series of this name and these labels.
fn key_of(name: &str, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let mut key = String::new();
    let classic = is_classic_metric_name(name);
    if classic {
        key.push_str(name);
        key.push('{');
    } else {
        key.push_str("{\"");
        push_escaped(&mut key, name);
        key.push('"');
    }
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 || !classic {
            key.push(',');
        }
        key.push('"');
        push_escaped(&mut key, name);
        key.push_str("\"=\"");
        push_escaped(&mut key, value);
        key.push('"');
    }
    key.push('}');
    key
}
