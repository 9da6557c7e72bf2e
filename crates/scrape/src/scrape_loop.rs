//! One target's life: due, fetched, read, reported, stored; and when it goes, its series are ended.
//!
//! Promises: one scrape is one batch, with its report in it; a scrape that fails in any way says `up` 0 and ends the
//! series of the one before; a target that is removed is ended two intervals and a tenth later, unless it came back;
//! when the server stops nothing is ended, since it will go on where it was.
//! Not here: how a body becomes samples (`ingest`), which targets there are (`pool`).

use std::sync::Arc;
use std::time::Duration;

use model::storage::{Appender, Committed, Durability, Refusal, Sender, StorageError};
use model::time::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use wire::exposition::negotiate;

use crate::fetch::{Body, FetchError, Request};
use crate::ingest::{Counts, Ingest, IngestError, Reading, Room};
use crate::report::{Health, LastScrape, Refused, Report, ReportSeries, TargetState, body_hint, hint};
use crate::sample_labels::LabelRules;
use crate::schedule::Schedule;
use crate::settings::Settings;
use crate::shared::{ScrapeMetrics, Shared};

/// A body above this size is read where other tasks are not held up by it.
const INLINE_BYTES_MAX: usize = 128 * 1024;

/// What a loop is to do. A new order replaces the one before.
#[derive(Clone)]
pub(crate) enum Order {
    /// Scrape like this; not at all, but fail, where there is a reason.
    Run(Arc<Settings>),
    /// The target is gone.
    End,
}

/// Scrapes one target.
pub(crate) struct ScrapeLoop {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    state: Arc<TargetState>,
    appender: Option<Box<dyn Appender>>,
    ingest: Ingest,
    reports: ReportSeries,
    /// When the last scrape began, for the interval that is reported.
    last: Option<Timestamp>,
}

/// What reading one answer came to.
struct Outcome {
    report: Report,
    error: String,
    hint: String,
}

impl ScrapeLoop {
    pub(crate) fn new(shared: Arc<Shared>, settings: Arc<Settings>, state: Arc<TargetState>) -> Self {
        let (ingest, reports) = (Ingest::default(), ReportSeries::default());
        Self { shared, settings, state, appender: None, ingest, reports, last: None }
    }

    /// Until the server stops, or the target is gone and its series are ended.
    pub(crate) async fn run(mut self, mut orders: watch::Receiver<Order>, stop: CancellationToken) {
        let seed = self.shared.seed;
        loop {
            let order = orders.borrow_and_update().clone();
            match order {
                Order::Run(settings) => self.follow(settings),
                Order::End => {
                    if !self.await_end(&mut orders, &stop).await {
                        return;
                    }
                    continue;
                }
            }
            let schedule = Schedule::new(self.settings.target.interval, self.settings.target.id.0, seed);
            let now = self.shared.clock.now();
            let wait = schedule.next_due(self.not_before(now)).since(now);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = orders.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {
                    let at = schedule.align(self.shared.clock.now());
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.scrape(at) => {}
                    }
                }
            }
        }
    }

    /// A clock that is set back a little does not make the same scrape due twice; one set back far starts over.
    fn not_before(&self, now: Timestamp) -> Timestamp {
        let interval = self.settings.target.interval;
        match self.last {
            Some(last) if last < now.plus(interval) => now.max(last.plus(interval / 2)),
            _ => now,
        }
    }

    /// Two intervals and a tenth, in which the target may come back. False: it did not, or the server stops.
    async fn await_end(&mut self, orders: &mut watch::Receiver<Order>, stop: &CancellationToken) -> bool {
        let Some(last) = self.last else { return false };
        let interval = self.settings.target.interval;
        // Where the next scrape would have been: from there on there is nothing.
        let ended_at = last.plus(interval);
        let now = self.shared.clock.now();
        let wait = ended_at.plus(interval + interval / 10).since(now);
        tokio::select! {
            () = stop.cancelled() => false,
            changed = orders.changed() => changed.is_ok(),
            () = tokio::time::sleep(wait) => {
                self.end(ended_at);
                false
            }
        }
    }

    /// Takes over new settings. What they change about labels makes every series be looked up anew.
    pub(crate) fn follow(&mut self, settings: Arc<Settings>) {
        if settings.labels_key != self.settings.labels_key || settings.target.labels != self.settings.target.labels {
            self.ingest.forget = true;
            self.reports.forget();
        }
        self.settings = settings;
    }

    /// One scrape, from asking to storing. Whatever happens is in the target's state afterwards.
    pub(crate) async fn scrape(&mut self, at: Timestamp) {
        let began = self.shared.clock.monotonic();
        if let Some(last) = self.last {
            self.shared.metrics.interval(self.settings.target.interval, at.since(last));
        }
        self.last = Some(at);
        let mut body = self.shared.bodies.take();
        let fetched = ask(&self.settings, &mut body).await;
        let settings = Arc::clone(&self.settings);
        let read = |this: &mut Self| this.store(&settings, &fetched, &body, at, began);
        if body.bytes().len() > INLINE_BYTES_MAX && can_block_in_place() {
            tokio::task::block_in_place(|| read(self));
        } else {
            read(self);
        }
        self.shared.bodies.give(body);
    }

    /// Reads what was fetched, and stores it with its report.
    fn store(
        &mut self,
        settings: &Settings,
        fetched: &Result<String, FetchError>,
        body: &Body,
        at: Timestamp,
        began: Duration,
    ) {
        let mut room = self.shared.rooms.take();
        let Some(mut appender) = self.appender(settings) else {
            self.shared.rooms.give(room);
            return;
        };
        let mut outcome = self.read(settings, fetched, body, at, (&mut *appender, &mut room));
        outcome.report.duration = self.shared.clock.monotonic().saturating_sub(began);
        let committed = self.commit(settings, &outcome.report, at, (&mut *appender, &mut room));
        let unknown = |committed: &Committed| committed.refused.iter().any(|r| r.reason == Refusal::UnknownSeries);
        let committed = match committed {
            Ok(committed) if unknown(&committed) => {
                // The storage forgot series that were idle, or was opened anew: all are named again, once.
                self.ingest.forget = true;
                self.reports.forget();
                self.read(settings, fetched, body, at, (&mut *appender, &mut room));
                self.commit(settings, &outcome.report, at, (&mut *appender, &mut room))
            }
            other => other,
        };
        self.note(settings, outcome, committed, at);
        self.appender = Some(appender);
        self.shared.rooms.give(room);
    }

    fn appender(&mut self, settings: &Settings) -> Option<Box<dyn Appender>> {
        if let Some(appender) = self.appender.take() {
            return Some(appender);
        }
        match self.shared.storage.appender(Sender(&settings.sender())) {
            Ok(appender) => Some(appender),
            Err(error) => {
                warn!(target = %settings.target.url, %error, "no appender for a target");
                self.state.set_last(LastScrape {
                    health: Health::Down,
                    error: error.to_string(),
                    ..LastScrape::default()
                });
                None
            }
        }
    }

    fn read(
        &mut self,
        settings: &Settings,
        fetched: &Result<String, FetchError>,
        body: &Body,
        at: Timestamp,
        (appender, room): (&mut dyn Appender, &mut Room),
    ) -> Outcome {
        let mut report = Report {
            up: true,
            timeout: settings.target.timeout,
            sample_limit: settings.job.limits.samples,
            ..Report::default()
        };
        let (error, hint) = match fetched {
            Err(error) => {
                report.body_bytes = if matches!(error, FetchError::TooLarge { .. }) { -1 } else { 0 };
                (error.to_string(), hint(error, &settings.target.url).to_owned())
            }
            Ok(content_type) => {
                report.body_bytes = i64::try_from(body.bytes().len()).unwrap_or(i64::MAX);
                let (ingest, metrics) = (&mut self.ingest, Some(&self.shared.metrics));
                let answer = (content_type.as_str(), body.bytes());
                match read_body((ingest, metrics), settings, answer, at, (&mut *appender, &mut *room)) {
                    Ok((counts, remark)) => {
                        report.counts = counts;
                        return Outcome { report, error: String::new(), hint: remark };
                    }
                    Err((counts, error)) => {
                        report.counts = counts;
                        (error, body_hint(body.bytes(), content_type).to_owned())
                    }
                }
            }
        };
        // As if the target had answered with nothing: what was there ends.
        appender.rollback();
        self.ingest.end(room);
        report.up = false;
        Outcome { report, error, hint }
    }

    /// Adds the report and stores the batch.
    fn commit(
        &mut self,
        settings: &Settings,
        report: &Report,
        at: Timestamp,
        (appender, room): (&mut dyn Appender, &mut Room),
    ) -> Result<Committed, StorageError> {
        let row = room.row();
        self.reports.add(report, settings.job.extra_metrics, &settings.target.labels, appender, row);
        appender.append_row(&row.series, at, &row.values);
        appender.commit(Durability::Written)
    }

    /// What everybody may see of it.
    fn note(&self, settings: &Settings, outcome: Outcome, committed: Result<Committed, StorageError>, at: Timestamp) {
        let mut refused = Refused { out_of_bounds: outcome.report.counts.out_of_bounds, ..Refused::default() };
        refused.duplicate = outcome.report.counts.repeated;
        let mut error = outcome.error;
        match committed {
            Ok(committed) => {
                for one in &committed.refused {
                    *match one.reason {
                        Refusal::OutOfOrder => &mut refused.out_of_order,
                        Refusal::DuplicateTimestamp => &mut refused.duplicate,
                        Refusal::TooOld | Refusal::TooFarAhead => &mut refused.out_of_bounds,
                        _ => &mut refused.other,
                    } += 1;
                }
            }
            Err(failure) => {
                warn!(target = %settings.target.url, error = %failure, "a scrape could not be stored");
                error = format!("scraped, but not stored: {failure}");
            }
        }
        self.shared.metrics.refused(&refused);
        if !error.is_empty() {
            debug!(target = %settings.target.url, %error, "scrape failed");
        }
        self.state.set_last(LastScrape {
            health: if error.is_empty() { Health::Up } else { Health::Down },
            at: Some(at),
            report: outcome.report,
            error,
            hint: outcome.hint,
            refused,
            cache_bytes: self.ingest.heap_bytes(),
        });
    }

    /// Ends every series of the target.
    pub(crate) fn end(&mut self, at: Timestamp) {
        let Some(appender) = &mut self.appender else { return };
        let mut room = self.shared.rooms.take();
        self.ingest.end(&mut room);
        let row = room.row();
        self.reports.end(row);
        appender.append_row(&row.series, at, &row.values);
        if let Err(error) = appender.commit(Durability::Written) {
            warn!(target = %self.settings.target.url, %error, "the end of a target could not be stored");
        }
        self.shared.rooms.give(room);
    }
}

/// Fetches the body. The content type, or why there is none.
pub(crate) async fn ask(settings: &Settings, body: &mut Body) -> Result<String, FetchError> {
    if let Some(reason) = &settings.forced_error {
        body.local();
        return Err(FetchError::Failed(reason.clone()));
    }
    let request = Request {
        url: &settings.target.url,
        accept: &settings.accept,
        timeout: settings.target.timeout,
        compression: settings.job.compression,
        body_bytes_max: settings.body_bytes_max(),
    };
    // A port that does not keep its time is cut off here.
    let fetched = tokio::time::timeout(request.timeout, settings.fetch.fetch(&request, body)).await;
    let fetched = fetched.unwrap_or(Err(FetchError::Timeout(request.timeout)));
    if fetched.is_err() {
        body.local();
    }
    fetched.map(|fetched| fetched.content_type)
}

/// Reads a body: the counts and a remark, or how far it came and what is wrong.
pub(crate) fn read_body(
    (ingest, metrics): (&mut Ingest, Option<&ScrapeMetrics>),
    settings: &Settings,
    (content_type, body): (&str, &[u8]),
    at: Timestamp,
    (appender, room): (&mut dyn Appender, &mut Room),
) -> Result<(Counts, String), (Counts, String)> {
    if body.is_empty() {
        ingest.end(room);
        return Ok((Counts::default(), String::new()));
    }
    let (format, remark) =
        negotiate::format_of(content_type, settings.fallback).map_err(|error| (Counts::default(), error))?;
    let reading = Reading {
        labels: LabelRules::new(&settings.job, &settings.target.labels),
        options: settings.options(),
        honor_timestamps: settings.job.honor_timestamps,
        track_timestamps: settings.job.track_timestamps_staleness,
        samples_max: settings.job.limits.samples,
        histograms: settings.histograms,
    };
    let (counts, read) = ingest.body((body, format), &reading, at, (appender, room));
    match read {
        Ok(()) => Ok((counts, remark.unwrap_or_default())),
        Err(error) => {
            if let Some(metrics) = metrics {
                metrics.failed(&error);
            }
            Err((counts, error.to_string()))
        }
    }
}

/// A single-threaded runtime (in tests) has nobody who could go on meanwhile.
fn can_block_in_place() -> bool {
    tokio::runtime::Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread)
}

impl IngestError {
    /// Which of the limits was exceeded, by the name of its counter.
    pub(crate) const fn limit(&self) -> Option<&'static str> {
        match self {
            Self::SampleLimit { .. } => Some("sample"),
            Self::BucketLimit(_) => Some("native_histogram_bucket"),
            Self::Label(
                crate::sample_labels::LabelError::Count { .. }
                | crate::sample_labels::LabelError::NameLength { .. }
                | crate::sample_labels::LabelError::ValueLength { .. },
            ) => Some("label"),
            Self::Label(_) | Self::Parse(_) | Self::Series(_) => None,
        }
    }
}
