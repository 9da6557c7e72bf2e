//! "What would a scrape say?": a target fetched and read once, with nothing stored.
//!
//! Goes the same way as a scrape, so that what it shows is what would happen: formats, rules, limits, errors.

use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::storage::{
    Appender, Committed, Durability, Exemplar, Metadata, Refusal, SampleValue, SeriesRef, StorageError,
};
use model::time::{Clock, Timestamp};

use crate::fetch::Body;
use crate::ingest::{Counts, Ingest, Room};
use crate::pool::JobRun;
use crate::report::{body_hint, hint};
use crate::scrape_loop::{ask, read_body};
use crate::settings::{Settings, labels_key};
use crate::target::Target;

/// So many series are shown; all are counted.
const SHOWN_MAX: usize = 50;
/// So much of the body's beginning is shown where it could not be read.
const BEGINNING_BYTES_MAX: usize = 1024;

/// What a target answered, and what would become of it.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    pub url: String,
    pub duration: Duration,
    pub content_type: String,
    pub body_bytes: usize,
    pub counts: Counts,
    /// Empty where all is well.
    pub error: String,
    /// What to do about the error, or what is odd.
    pub hint: String,
    /// The first series as they would be stored, with their values (none of native histograms).
    pub series: Vec<(Labels, Option<f64>)>,
    /// Metric families that were described.
    pub families: usize,
    /// How the body begins, where it could not be read.
    pub beginning: String,
}

/// Fetches a target of a job and reads what it answers.
pub async fn trial(run: &JobRun, target: &Target, clock: &Arc<dyn Clock>) -> Trial {
    let settings = Settings::new(run, Arc::new(target.clone()), &labels_key(&run.job), None);
    let began = clock.monotonic();
    let mut body = Body::default();
    let fetched = ask(&settings, &mut body).await;
    let mut trial = Trial { url: target.url.clone(), body_bytes: body.bytes().len(), ..Trial::default() };
    match fetched {
        Err(error) => {
            trial.error = error.to_string();
            hint(&error, &target.url).clone_into(&mut trial.hint);
        }
        Ok(content_type) => {
            let (mut shown, mut room) = (Shown::default(), Room::default());
            let at = clock.now();
            let read = read_body(
                (&mut Ingest::default(), None),
                &settings,
                (&content_type, body.bytes()),
                at,
                (&mut shown, &mut room),
            );
            match read {
                Ok((counts, remark)) => (trial.counts, trial.hint) = (counts, remark),
                Err((counts, error)) => {
                    (trial.counts, trial.error) = (counts, error);
                    body_hint(body.bytes(), &content_type).clone_into(&mut trial.hint);
                    let bytes = body.bytes();
                    let beginning = &bytes[..bytes.len().min(BEGINNING_BYTES_MAX)];
                    trial.beginning = String::from_utf8_lossy(beginning).into_owned();
                }
            }
            let row = room.row();
            for (series, value) in row.series.iter().zip(&row.values) {
                shown.append(*series, at, *value);
            }
            (trial.series, trial.families, trial.content_type) = (shown.series, shown.families, content_type);
        }
    }
    trial.duration = clock.monotonic().saturating_sub(began);
    trial
}

/// Remembers the first series and stores nothing.
#[derive(Default)]
struct Shown {
    known: u64,
    series: Vec<(Labels, Option<f64>)>,
    families: usize,
}

impl Appender for Shown {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refusal> {
        if self.series.len() < SHOWN_MAX {
            self.series.push((labels.clone(), None));
        }
        self.known += 1;
        Ok(SeriesRef(self.known - 1))
    }

    fn append(&mut self, series: SeriesRef, _time: Timestamp, value: f64) {
        if let Some(shown) = self.series.get_mut(usize::try_from(series.0).unwrap_or(usize::MAX)) {
            shown.1 = Some(value);
        }
    }

    fn append_value(&mut self, series: SeriesRef, time: Timestamp, value: &SampleValue, _start_time: i64) {
        if let SampleValue::Float(value) = value {
            self.append(series, time, *value);
        }
    }

    fn exemplar(&mut self, _series: SeriesRef, _exemplar: &Exemplar) {}

    fn metadata(&mut self, _metadata: &Metadata) {
        self.families += 1;
    }

    fn commit(&mut self, _durability: Durability) -> Result<Committed, StorageError> {
        Ok(Committed::default())
    }

    fn rollback(&mut self) {}
}
