//! One request at a time becomes one batch: what is kept between requests of one sender, and the way through.
//!
//! A request is walked once when all is well. A second walk happens when storage forgot series in between (only their
//! samples are added again), a further one to say which samples were refused.

use std::collections::{HashMap, HashSet};

use http::StatusCode;
use model::storage::{
    Appender, Committed, Durability, Exemplar, Metadata, Refusal, SampleValue, SeriesRef, StorageError,
};
use model::time::Timestamp;
use wire::remote_write::read::{Entry, FamilyMetadata, Item, RequestReader, Series, SeriesMetadata};
use wire::remote_write::{REQUEST_BYTES_MAX, RemoteWriteError, Version};
use wire::snappy;

use super::answer::{Outcome, Written};
use super::known::{KnownSeries, Name};
use super::labels::{exemplar_labels, family_of, metric_name, series_labels, shortened};

/// Refused samples and series an answer names.
const NAMED_MAX: usize = 10;
/// A buffer that a request made bigger than this is given back.
const BUFFER_KEPT_BYTES: usize = 4 << 20;
/// Bytes of histograms of one request as they lie on the wire; decoded they take up to eight times as many.
const HISTOGRAM_BYTES_MAX: usize = 16 << 20;

/// What one sender's requests use, one at a time.
pub(super) struct Slot {
    appender: Box<dyn Appender>,
    known: KnownSeries,
    /// The request uncompressed.
    plain: Vec<u8>,
    /// Where the key of a series is made, if it must be.
    key: Vec<u8>,
    /// The same for exemplars.
    exemplar: Vec<u8>,
}

/// Why a request stores nothing at all.
enum Stop {
    Malformed(RemoteWriteError),
    Storage(StorageError),
    HistogramBytes,
}

impl From<RemoteWriteError> for Stop {
    fn from(error: RemoteWriteError) -> Self {
        Self::Malformed(error)
    }
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Malformed(error) => error.into(),
            Stop::Storage(error) => Self::storage(&error),
            Stop::HistogramBytes => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("more than {HISTOGRAM_BYTES_MAX} bytes of histograms in one request"),
            ),
        }
    }
}

/// A second walk over a request, because storage forgot some of its series.
struct Again {
    /// References that are not good any more.
    forgotten: HashSet<SeriesRef>,
    /// Those that took their place.
    renewed: HashSet<SeriesRef>,
}

/// What a walk found.
#[derive(Default)]
struct Tally {
    given: Written,
    /// Sentences about series that were not taken, the first few.
    sentences: Vec<String>,
    /// How many there were in all.
    complaints: u64,
    invalid_labels: u64,
    refused: u64,
    histogram_bytes: usize,
}

impl Tally {
    fn complain(&mut self, sentence: impl FnOnce() -> String) {
        self.complaints += 1;
        if self.sentences.len() < NAMED_MAX {
            self.sentences.push(sentence());
        }
    }
}

impl Slot {
    pub(super) fn new(appender: Box<dyn Appender>, series_max: usize) -> Self {
        Self { appender, known: KnownSeries::new(series_max), plain: Vec::new(), key: Vec::new(), exemplar: Vec::new() }
    }

    pub(super) fn store(&mut self, version: Version, body: &[u8]) -> Outcome {
        let mut plain = std::mem::take(&mut self.plain);
        let outcome = match snappy::decode(body, REQUEST_BYTES_MAX, &mut plain) {
            Ok(()) => self.store_plain(version, &plain).unwrap_or_else(|stop| {
                self.appender.rollback();
                stop.into()
            }),
            Err(error) => error.into(),
        };
        if plain.capacity() <= BUFFER_KEPT_BYTES {
            self.plain = plain;
        }
        outcome
    }

    fn store_plain(&mut self, version: Version, plain: &[u8]) -> Result<Outcome, Stop> {
        let mut tally = Tally::default();
        self.walk(version, plain, None, &mut tally)?;
        let mut committed = self.commit()?;
        let unknown = |refused: &model::storage::Refused| refused.reason == Refusal::UnknownSeries;
        if committed.refused.iter().any(unknown) {
            committed = self.again(version, plain, committed)?;
        }
        if committed.refused.is_empty() && tally.complaints == 0 {
            let outcome = Outcome::new(StatusCode::NO_CONTENT, "");
            return Ok(Outcome { written: tally.given, shows_written: version == Version::V2, ..outcome });
        }
        if committed.refused.iter().any(unknown) {
            // Forgotten twice within one request: storage is busy with something bigger.
            return Ok(Outcome::internal("storage forgot series while they were written"));
        }
        self.describe(version, plain, &committed, &mut tally)?;
        let mut text = tally.sentences.join("\n");
        let unnamed = tally.complaints.saturating_sub(tally.sentences.len() as u64);
        if unnamed > 0 {
            text.push_str(&format!("\nand {unnamed} more"));
        }
        Ok(Outcome {
            written: tally.given,
            shows_written: version == Version::V2,
            refused: tally.refused,
            invalid_labels: tally.invalid_labels,
            ..Outcome::new(StatusCode::BAD_REQUEST, text)
        })
    }

    fn commit(&mut self) -> Result<Committed, Stop> {
        self.appender.commit(Durability::Synced).map_err(Stop::Storage)
    }

    /// Adds samples of forgotten series again; returns what is refused now of the whole request.
    fn again(&mut self, version: Version, plain: &[u8], first: Committed) -> Result<Committed, Stop> {
        let (forgotten, judged): (Vec<_>, Vec<_>) =
            first.refused.into_iter().partition(|refused| refused.reason == Refusal::UnknownSeries);
        let forgotten: HashSet<SeriesRef> = forgotten.into_iter().map(|refused| refused.series).collect();
        let mut again = Again { forgotten, renewed: HashSet::new() };
        // Complaints about labels were counted in the first walk.
        self.walk(version, plain, Some(&mut again), &mut Tally::default())?;
        let mut second = self.commit()?;
        second.refused.extend(judged);
        Ok(second)
    }

    /// Adds the request to the batch: all of it, or only the series that storage forgot.
    fn walk(
        &mut self,
        version: Version,
        plain: &[u8],
        mut only: Option<&mut Again>,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let mut reader = RequestReader::new(version, plain)?;
        let mut key = std::mem::take(&mut self.key);
        while let Some(entry) = reader.next_entry()? {
            match entry {
                Entry::Series(series) => self.series(&series, &mut key, only.as_deref_mut(), tally)?,
                Entry::Metadata(metadata) if only.is_none() => self.family(&metadata),
                Entry::Metadata(_) => {}
            }
        }
        self.key = key;
        Ok(())
    }

    fn series(
        &mut self,
        series: &Series<'_, '_>,
        scratch: &mut Vec<u8>,
        only: Option<&mut Again>,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let key = series.key(scratch)?;
        let name = self.known.name(key);
        let known = self.known.get(name).map(|known| known.series);
        let done = match (known, only.as_deref()) {
            (Some(reference), None) => Some(reference),
            (Some(reference), Some(again)) if again.renewed.contains(&reference) => Some(reference),
            // The second walk: what storage still knew in the first is done with.
            (Some(reference), Some(again)) if !again.forgotten.contains(&reference) => return Ok(()),
            (None, Some(_)) => return Ok(()),
            _ => None,
        };
        let reference = match done {
            Some(reference) => reference,
            None => match self.resolve(key, name)? {
                Ok(reference) => {
                    only.map(|again| again.renewed.insert(reference));
                    reference
                }
                Err((sentence, valid)) => return refuse(series, sentence, valid, tally),
            },
        };
        self.items(series, (key, name, reference), tally)
    }

    /// Adds what a series has to the batch.
    fn items(
        &mut self,
        series: &Series<'_, '_>,
        (key, name, reference): (&[u8], Name, SeriesRef),
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let mut items = series.items();
        while let Some(item) = items.next_item()? {
            match item {
                Item::Sample(sample) => {
                    tally.given.samples += 1;
                    let time = Timestamp(sample.time);
                    if sample.start_time == 0 {
                        self.appender.append(reference, time, sample.value);
                    } else {
                        let value = SampleValue::Float(sample.value);
                        self.appender.append_value(reference, time, &value, sample.start_time);
                    }
                }
                Item::Histogram(message) => {
                    tally.given.histograms += 1;
                    tally.histogram_bytes += message.wire_bytes();
                    if tally.histogram_bytes > HISTOGRAM_BYTES_MAX {
                        return Err(Stop::HistogramBytes);
                    }
                    let point = message.decode()?;
                    self.appender.append_value(reference, Timestamp(point.time), &point.value, point.start_time);
                }
                Item::Exemplar(message) => {
                    let point = message.decode(&mut self.exemplar)?;
                    if let Some(labels) = exemplar_labels(&self.exemplar)? {
                        tally.given.exemplars += 1;
                        let (value, time) = (point.value, Timestamp(point.time));
                        self.appender.exemplar(reference, &Exemplar { labels, value, time });
                    }
                }
                Item::Metadata(metadata) => self.series_metadata(key, name, &metadata)?,
            }
        }
        Ok(())
    }

    /// The reference of a series whose labels have not been seen. The inner error is a sentence, and whether the
    /// labels were good ones.
    fn resolve(&mut self, key: &[u8], name: Name) -> Result<Result<SeriesRef, (String, bool)>, Stop> {
        let labels = match series_labels(key)? {
            Ok(labels) => labels,
            Err(sentence) => return Ok(Err((sentence, false))),
        };
        match self.appender.resolve(&labels) {
            Ok(reference) => {
                self.known.put(name, reference);
                Ok(Ok(reference))
            }
            Err(refusal) => Ok(Err((format!("{refusal} for series {}", shortened(&labels.to_string())), true))),
        }
    }

    /// Passes on what version 2.0 says with each series, when it is new.
    fn series_metadata(&mut self, key: &[u8], name: Name, metadata: &SeriesMetadata<'_>) -> Result<(), Stop> {
        if *metadata == SeriesMetadata::default() {
            return Ok(());
        }
        let hash = self.known.hash(metadata);
        let Some(known) = self.known.get(name) else { return Ok(()) };
        if known.metadata == hash {
            return Ok(());
        }
        known.metadata = hash;
        let family = family_of(&metric_name(key)?, metadata.kind);
        self.family(&FamilyMetadata {
            family: family.as_bytes(),
            kind: metadata.kind,
            help: metadata.help,
            unit: metadata.unit,
        });
        Ok(())
    }

    fn family(&mut self, metadata: &FamilyMetadata<'_>) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let texts = (text(metadata.family), text(metadata.help), text(metadata.unit));
        // What is not UTF-8 is no reason to refuse samples; Prometheus drops it too.
        let (Some(family), Some(help), Some(unit)) = texts else { return };
        if !family.is_empty() {
            let kind = metadata.kind.to_owned();
            self.appender.metadata(&Metadata { family, kind, help, unit, ..Metadata::default() });
        }
    }

    /// Walks the request again for the labels and kinds of what was refused.
    fn describe(
        &mut self,
        version: Version,
        plain: &[u8],
        committed: &Committed,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let mut reasons: HashMap<(SeriesRef, i64), (&Refusal, u64)> = HashMap::new();
        for refused in &committed.refused {
            let entry = reasons.entry((refused.series, refused.time.millis())).or_insert((&refused.reason, 0));
            entry.1 += 1;
        }
        tally.refused += committed.refused.len() as u64;
        let mut reader = RequestReader::new(version, plain)?;
        let mut key = std::mem::take(&mut self.key);
        // From here on errors are impossible: the same bytes were read before.
        while !reasons.is_empty()
            && let Some(entry) = reader.next_entry()?
        {
            let Entry::Series(series) = entry else { continue };
            let key = series.key(&mut key)?;
            let name = self.known.name(key);
            let Some(reference) = self.known.get(name).map(|known| known.series) else { continue };
            let mut items = series.items();
            while let Some(item) = items.next_item()? {
                let (time, counted) = match &item {
                    Item::Sample(sample) => (sample.time, &mut tally.given.samples),
                    Item::Histogram(message) => (message.time()?, &mut tally.given.histograms),
                    Item::Exemplar(_) | Item::Metadata(_) => continue,
                };
                let Some((reason, left)) = reasons.get_mut(&(reference, time)) else { continue };
                *counted = counted.saturating_sub(1);
                *left -= 1;
                let (reason, done) = (*reason, *left == 0);
                if done {
                    reasons.remove(&(reference, time));
                }
                let labels = || series_labels(key).ok().and_then(Result::ok).map(|labels| labels.to_string());
                tally.complain(|| format!("{reason} for series {}", shortened(&labels().unwrap_or_default())));
            }
        }
        self.key = key;
        // References can be forgotten at the bound of the memory of series: then the reason stands without labels.
        for (reason, left) in reasons.into_values() {
            for _ in 0..left {
                tally.given.samples = tally.given.samples.saturating_sub(1);
                tally.complain(|| reason.to_string());
            }
        }
        Ok(())
    }
}

/// Counts what a series that was not taken had.
fn refuse(series: &Series<'_, '_>, sentence: String, valid: bool, tally: &mut Tally) -> Result<(), Stop> {
    let mut items = series.items();
    let mut samples = 0;
    while let Some(item) = items.next_item()? {
        samples += u64::from(matches!(item, Item::Sample(_) | Item::Histogram(_)));
    }
    if valid {
        tally.refused += samples;
    } else {
        tally.invalid_labels += samples;
    }
    tally.complain(|| sentence);
    Ok(())
}
