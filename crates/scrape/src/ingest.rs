//! From a body to a batch: each sample in its place, under its labels, counted, and what ended marked as ended.
//!
//! Promise: a body that does not parse, or breaks a limit, leaves nothing behind but its counts; the shape of the
//! last good one stays.
//! Not here: fetching and reporting (`scrape_loop`), what the text means (`wire`).

use model::relabel::Scratch;
use model::storage::{Appender, Exemplar, Metadata, Refusal, SampleValue, SeriesRef, stale_nan};
use model::time::Timestamp;
use wire::exposition::series::read_pairs;
use wire::exposition::{Entry, ExemplarText, Format, MetricKind, Options, ParseError, Parser, Series};

use crate::cache::{DROPPED, Found, REPEATED, Rebuild, Shape, UNTRACKED, Walk};
use crate::families::{Families, Said};
use crate::histogram_limits::{HistogramLimits, TooManyBuckets};
use crate::sample_labels::{LabelError, LabelRules};

/// A timestamp of a target may be so much ahead of ours.
const AHEAD_MS_MAX: i64 = 10 * 60 * 1000;

/// Why a body as a whole was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error(transparent)]
    Label(#[from] LabelError),
    #[error("sample limit exceeded: {found} of at most {limit}")]
    SampleLimit { found: u64, limit: u64 },
    #[error(transparent)]
    BucketLimit(#[from] TooManyBuckets),
    /// The storage refused a series.
    #[error("{0}")]
    Series(#[from] Refusal),
}

/// What a body held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples in the body.
    pub scraped: u64,
    /// Those that no rule dropped.
    pub kept: u64,
    /// Series that were not there last time.
    pub added: u64,
    /// Samples dropped because their text stood further up already.
    pub repeated: u64,
    /// Samples dropped because their own timestamps are too far ahead.
    pub out_of_bounds: u64,
}

/// How one target's bodies are read.
#[derive(Clone, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) labels: LabelRules<'a>,
    pub(crate) options: Options,
    pub(crate) honor_timestamps: bool,
    pub(crate) track_timestamps: bool,
    /// 0: none.
    pub(crate) samples_max: u64,
    pub(crate) histograms: HistogramLimits,
}

/// Room to work in, used by one scrape after another, whichever target's.
#[derive(Debug, Default)]
pub(crate) struct Room {
    walk: Walk,
    row: Row,
    scratch: Scratch,
}

/// The samples that have the time of the scrape.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) series: Vec<SeriesRef>,
    pub(crate) values: Vec<f64>,
}

impl Row {
    #[inline]
    pub(crate) fn push(&mut self, series: SeriesRef, value: f64) {
        self.series.push(series);
        self.values.push(value);
    }

    fn clear(&mut self) {
        self.series.clear();
        self.values.clear();
    }
}

impl Room {
    pub(crate) const fn row(&mut self) -> &mut Row {
        &mut self.row
    }

    /// Gives memory back where one unusually large body took it.
    pub(crate) fn shrink(&mut self, series_max: usize) {
        self.row.clear();
        self.row.series.shrink_to(series_max);
        self.row.values.shrink_to(series_max);
    }
}

/// What one target's series are to its storage, from scrape to scrape.
#[derive(Debug, Default)]
pub(crate) struct Ingest {
    shape: Shape,
    /// The labels may be others than those the shape was made with: everything is to be resolved anew.
    pub(crate) forget: bool,
}

impl Ingest {
    /// Bytes held for this target between scrapes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.shape.heap_bytes()
    }

    /// Reads a body. What is to be stored is in the appender and in the row of `room`, and is as it was before if
    /// this fails (the appender must be rolled back then).
    pub(crate) fn body(
        &mut self,
        (body, format): (&[u8], Format),
        reading: &Reading<'_>,
        at: Timestamp,
        (appender, room): (&mut dyn Appender, &mut Room),
    ) -> (Counts, Result<(), IngestError>) {
        room.row.clear();
        room.walk.restart();
        let mut pass = Pass {
            shape: &self.shape,
            forget: self.forget,
            rebuild: None,
            reading,
            at,
            appender,
            room,
            counts: Counts::default(),
            samples: 0,
            too_many_buckets: None,
            said: Said::default(),
        };
        let read = pass.read(body, format).and_then(|()| pass.judge());
        let (counts, said) = (pass.counts, pass.said.finish());
        let rebuilt = pass.rebuild.take();
        if read.is_err() {
            room.row.clear();
            return (counts, read);
        }
        if said != self.shape.said {
            tell_families(body, format, reading, appender);
        }
        if let Some(rebuild) = rebuilt {
            let was_live = self.shape.live;
            let (shape, ended) = rebuild.finish();
            self.shape = shape;
            if was_live {
                ended.into_iter().for_each(|series| room.row.push(series, stale_nan()));
            }
        }
        self.shape.said = said;
        self.shape.live = true;
        self.forget = false;
        (counts, Ok(()))
    }

    /// Says of every series that it ended; nothing where that was said before.
    pub(crate) fn end(&mut self, room: &mut Room) {
        room.row.clear();
        if std::mem::replace(&mut self.shape.live, false) {
            self.shape.tracked().into_iter().for_each(|series| room.row.push(series, stale_nan()));
        }
    }
}

/// One walk through one body.
struct Pass<'a, 'r> {
    shape: &'a Shape,
    forget: bool,
    rebuild: Option<Box<Rebuild>>,
    reading: &'a Reading<'r>,
    at: Timestamp,
    appender: &'a mut dyn Appender,
    room: &'a mut Room,
    counts: Counts,
    /// Samples that count against the limit.
    samples: u64,
    too_many_buckets: Option<TooManyBuckets>,
    said: Said,
}

/// What became of a text that was not there last time.
enum Named {
    /// A rule dropped it.
    Dropped,
    Known(SeriesRef),
    /// The sample limit is exceeded already.
    NotAsked,
}

/// What a sample says, whatever its kind.
enum Value<'e> {
    Float(f64, Option<ExemplarText<'e>>),
    Histogram { value: SampleValue, start_time: i64, exemplars: &'e [Exemplar] },
}

impl Pass<'_, '_> {
    fn read(&mut self, body: &[u8], format: Format) -> Result<(), IngestError> {
        let mut parser = Parser::new(body, format, self.reading.options);
        loop {
            if let Some((flags, key_len)) = self.expected(&mut parser)
                && let Some(series) = parser.accept(key_len)?
            {
                self.repetition(flags, &series)?;
                continue;
            }
            let kind = parser.kind();
            match parser.next()? {
                None => return Ok(()),
                Some(Entry::Series(series)) => {
                    self.looked_up(series.key, kind, series.time, Value::Float(series.value, series.exemplar))?;
                }
                Some(Entry::Histogram(histogram)) => {
                    let (key, time, start_time) = (histogram.key, histogram.time, histogram.start_time);
                    let (value, exemplars) = (histogram.value, histogram.exemplars);
                    self.looked_up(key, kind, time, Value::Histogram { value, start_time, exemplars })?;
                }
                Some(Entry::Type { family, kind }) => self.said.kind(&family, kind),
                Some(Entry::Help { family, text }) => self.said.text(b'h', &family, &text),
                Some(Entry::Unit { family, unit }) => self.said.text(b'u', &family, &unit),
                Some(Entry::Comment(_)) => {}
            }
        }
    }

    /// Whether the next line begins with the series that stood in its place last time: its flags and its length.
    #[inline]
    fn expected(&self, parser: &mut Parser<'_>) -> Option<(u8, usize)> {
        if self.rebuild.is_some() || self.forget {
            return None;
        }
        let line = parser.upcoming()?;
        let place = self.shape.place(&self.room.walk)?;
        place.starts(line, &self.room.walk.previous).then(|| (place.flags, place.key_len()))
    }

    /// The series that stood here last time.
    #[inline]
    fn repetition(&mut self, flags: u8, series: &Series<'_>) -> Result<(), IngestError> {
        let time = self.own_time(series.time);
        if flags & DROPPED == 0 && self.untracked(time) != flags & UNTRACKED {
            // Known, but now with a timestamp or without: that is for the shape to remember.
            let value = Value::Float(series.value, series.exemplar);
            return self.looked_up(series.key, MetricKind::Unknown, series.time, value);
        }
        self.counts.scraped += 1;
        let reference = self.shape.step(&mut self.room.walk);
        self.sample(reference, flags & REPEATED != 0, time, Value::Float(series.value, series.exemplar))
    }

    fn looked_up(
        &mut self,
        key: &[u8],
        kind: MetricKind,
        time: Option<i64>,
        value: Value<'_>,
    ) -> Result<(), IngestError> {
        self.counts.scraped += 1;
        let time = self.own_time(time);
        let untracked = self.untracked(time);
        if self.rebuild.is_none() && !self.forget {
            // Protobuf has no lines to compare, but its keys are the same from scrape to scrape.
            let known = self.shape.place(&self.room.walk).filter(|place| {
                place.key_len() == key.len()
                    && (place.flags & DROPPED != 0 || place.flags & UNTRACKED == untracked)
                    && place.starts(key, &self.room.walk.previous)
            });
            if let Some(flags) = known.map(|place| place.flags) {
                let reference = self.shape.step(&mut self.room.walk);
                return self.sample(reference, flags & REPEATED != 0, time, value);
            }
        }
        let mut rebuild =
            self.rebuild.take().unwrap_or_else(|| Box::new(Rebuild::begin(self.shape, &self.room.walk, self.forget)));
        let (reference, repeated) = match rebuild.find(key) {
            Found::Known(reference) => (reference, false),
            Found::Repeated(reference) => (reference, true),
            Found::New => {
                let reference = match self.resolve(key, kind)? {
                    Named::Dropped => None,
                    Named::Known(series) => Some(series),
                    Named::NotAsked => {
                        // The scrape fails anyway: a target beyond its limit makes no series, it is only counted.
                        self.counts.kept += 1;
                        self.samples += 1;
                        self.rebuild = Some(rebuild);
                        return Ok(());
                    }
                };
                rebuild.add(key, reference);
                self.counts.added += u64::from(reference.is_some());
                (reference, false)
            }
        };
        let flags = if reference.is_none() { DROPPED } else { untracked } | if repeated { REPEATED } else { 0 };
        rebuild.push(key, flags, reference);
        self.rebuild = Some(rebuild);
        self.sample(reference, repeated, time, value)
    }

    /// What the storage calls a new series.
    fn resolve(&mut self, key: &[u8], kind: MetricKind) -> Result<Named, IngestError> {
        let mut pairs = Vec::with_capacity(16);
        read_pairs(key, kind, &mut pairs)?;
        let Some(labels) = self.reading.labels.apply(&mut pairs, &mut self.room.scratch)? else {
            return Ok(Named::Dropped);
        };
        if self.beyond_limit(1) {
            return Ok(Named::NotAsked);
        }
        Ok(Named::Known(self.appender.resolve(&labels)?))
    }

    #[inline]
    fn sample(
        &mut self,
        reference: Option<SeriesRef>,
        repeated: bool,
        time: Option<i64>,
        value: Value<'_>,
    ) -> Result<(), IngestError> {
        let Some(series) = reference else { return Ok(()) };
        self.counts.kept += 1;
        if repeated && time.is_none() {
            self.counts.repeated += 1;
            return Ok(());
        }
        // Beyond the limit there is only counting left to do: how many there are is reported.
        let beyond = self.beyond_limit(1);
        self.samples += 1;
        if beyond {
            return Ok(());
        }
        let at = Timestamp(time.unwrap_or(self.at.0));
        if at.0 > self.at.0.saturating_add(AHEAD_MS_MAX) {
            self.counts.out_of_bounds += 1;
            return Ok(());
        }
        match value {
            Value::Float(value, exemplar) => {
                if time.is_none() {
                    self.room.row.push(series, value);
                } else {
                    self.appender.append(series, at, value);
                }
                if let Some(exemplar) = exemplar {
                    self.appender.exemplar(series, &exemplar.read(at.0)?);
                }
            }
            Value::Histogram { value, start_time, exemplars } => match self.reading.histograms.apply(value) {
                Ok(value) => {
                    self.appender.append_value(series, at, &value, start_time);
                    exemplars.iter().for_each(|exemplar| self.appender.exemplar(series, exemplar));
                }
                // As with samples, the rest is still counted.
                Err(too_many) => self.too_many_buckets = Some(too_many),
            },
        }
        Ok(())
    }

    /// What only the whole body can show.
    fn judge(&mut self) -> Result<(), IngestError> {
        if self.beyond_limit(0) {
            return Err(IngestError::SampleLimit { found: self.samples, limit: self.reading.samples_max });
        }
        if let Some(too_many) = self.too_many_buckets.take() {
            return Err(too_many.into());
        }
        // Lines that stood behind the last one are gone.
        if self.rebuild.is_none() && (self.forget || !self.shape.is_walked(&self.room.walk)) {
            self.rebuild = Some(Box::new(Rebuild::begin(self.shape, &self.room.walk, self.forget)));
        }
        Ok(())
    }

    #[inline]
    const fn beyond_limit(&self, more: u64) -> bool {
        self.reading.samples_max > 0 && self.samples + more > self.reading.samples_max
    }

    #[inline]
    fn own_time(&self, time: Option<i64>) -> Option<i64> {
        time.filter(|_| self.reading.honor_timestamps)
    }

    #[inline]
    fn untracked(&self, time: Option<i64>) -> u8 {
        if time.is_some() && !self.reading.track_timestamps { UNTRACKED } else { 0 }
    }
}

/// What is said about families changed: it is read once more and handed to the storage.
fn tell_families(body: &[u8], format: Format, reading: &Reading<'_>, appender: &mut dyn Appender) {
    let mut families = Families::default();
    let mut parser = Parser::new(body, format, reading.options);
    while let Ok(Some(entry)) = parser.next() {
        families.take(&entry);
    }
    for (family, said) in families.into_all() {
        appender.metadata(&Metadata {
            family,
            target: reading.labels.target.clone(),
            kind: said.kind.name().to_owned(),
            help: said.help,
            unit: said.unit,
        });
    }
}
