//! Calendar jobs: retention, backups, renewals, digests. What runs at a time of day rather than every so often.
//!
//! tokio-cron-scheduler only wakes us. Whether a job is due stands in our own row ([`JobsPort`]), which a watchdog reads
//! besides, because the scheduler is known to stop a job for ever once its next tick has drifted into the past.
//! Promise: a due time is run once, by one process, also across restarts; a job never overlaps itself; several due
//! times that passed together (process down, run too long) are made up for by one run; every failure is recorded.
//! A run that its process did not survive is counted as failed and is not repeated before the next due time: a job
//! that brings the process down must not do so in a circle. See docs/decisions/0031.
//! Not here: scrapes, rules, probes and notifications, which have timers of their own.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use model::time::{Clock, Timestamp};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::calendar::{BadCalendar, Calendar};
use crate::ports::{Claim, Finish, JobRecord, JobsPort, PortError};

/// What a job's function may fail with.
pub type JobError = Box<dyn std::error::Error + Send + Sync>;

type Work = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), JobError>> + Send>> + Send + Sync>;

/// How often the watchdog looks for due jobs that nobody woke us for: the longest a forgotten job is late by.
const WATCHDOG_INTERVAL: Duration = Duration::from_secs(30);
/// A run holds its job for this long and renews at every look; four looks may fail before another process takes over.
const LEASE: Duration = Duration::from_secs(120);
/// A run that begins later than this after its due time is called late. Two looks of the watchdog.
const LATE_AFTER: Duration = Duration::from_secs(60);
/// A job whose last due time lies further ahead than this was run by a wrong clock and is put back on the calendar.
/// Anything less may be a clock set back over a time already run, which must not run twice.
const CLOCK_SET_BACK_MAX: Duration = Duration::from_secs(86_400);
/// What is kept of an error's text; the rest is cut off. Long enough for a chain of causes, short enough for a table.
const ERROR_CHARS_MAX: usize = 1_000;
/// How long a stop waits for jobs that run. Below the ten seconds that container engines give before they kill.
const STOP_WAIT: Duration = Duration::from_secs(8);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("job {name}: {source}")]
    Calendar { name: String, source: BadCalendar },
    #[error("job {name} is registered twice")]
    Twice { name: String },
    #[error("the calendar of jobs does not start: {0}")]
    Scheduler(#[from] JobSchedulerError),
    #[error("jobs: {0}")]
    Port(#[from] PortError),
}

/// The registry of calendar jobs, and the loop that runs them. A clone may be run again after a failure.
#[derive(Clone)]
pub struct Jobs {
    port: Arc<dyn JobsPort>,
    clock: Arc<dyn Clock>,
    jobs: Vec<Job>,
    watchdog_interval: Duration,
    stop_wait: Duration,
}

#[derive(Clone)]
struct Job {
    name: String,
    calendar: Calendar,
    work: Work,
}

impl Jobs {
    #[must_use]
    pub fn new(port: Arc<dyn JobsPort>, clock: Arc<dyn Clock>) -> Self {
        Self { port, clock, jobs: Vec::new(), watchdog_interval: WATCHDOG_INTERVAL, stop_wait: STOP_WAIT }
    }

    /// Adds a job: `cron` is six fields in UTC (second minute hour day month weekday), `work` is called for each run.
    pub fn register<F, R>(&mut self, name: &str, cron: &str, work: F) -> Result<(), Error>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        if self.jobs.iter().any(|job| job.name == name) {
            return Err(Error::Twice { name: name.to_owned() });
        }
        let calendar = Calendar::parse(cron, self.clock.now())
            .map_err(|source| Error::Calendar { name: name.to_owned(), source })?;
        self.jobs.push(Job { name: name.to_owned(), calendar, work: Arc::new(move || Box::pin(work())) });
        Ok(())
    }

    /// Runs the jobs until told to stop; then waits a little for those that run.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        // One place is enough: a wake-up says "look", and one look sees everything that is due.
        let (wake, mut woken) = mpsc::channel(1);
        let mut watchdog = interval(self.watchdog_interval);
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rounds = Rounds::new(self);
        rounds.schedule_all().await?;
        let mut scheduler = start_scheduler(&rounds.jobs.jobs, &wake).await?;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _look = woken.recv() => rounds.look().await,
                _look = watchdog.tick() => rounds.look().await,
                Some(ended) = rounds.running.join_next_with_id() => rounds.ended(ended).await,
            }
        }
        rounds.stop().await;
        scheduler.shutdown().await?;
        Ok(())
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.jobs.iter().map(|job| (&job.name, job.calendar.as_str()))).finish()
    }
}

/// One cron entry per job; all it does is wake the loop.
async fn start_scheduler(jobs: &[Job], wake: &mpsc::Sender<()>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for job in jobs {
        let wake = wake.clone();
        let entry = CronJob::new_async(job.calendar.as_str(), move |_id, _scheduler| {
            // Full means that a look is already waiting, closed that we stopped: nothing is lost either way.
            let _woken = wake.try_send(());
            Box::pin(std::future::ready(()))
        })?;
        scheduler.add(entry).await?;
    }
    scheduler.start().await?;
    Ok(scheduler)
}

/// What to do about a job, worked out from its row, its calendar and the time alone.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Wait,
    Run { due: Timestamp, next_due: Timestamp, late: bool },
    Move { from: Timestamp, to: Timestamp },
}

fn decide(record: &JobRecord, calendar: &Calendar, now: Timestamp) -> Decision {
    let next = calendar.next_after(now).unwrap_or(Timestamp::MAX);
    if record.next_due <= now {
        if record.lease.as_ref().is_some_and(|lease| lease.until > now) {
            return Decision::Wait;
        }
        let late = now.since(record.next_due) > LATE_AFTER;
        return Decision::Run { due: record.next_due, next_due: next, late };
    }
    // The row waits for a later time than the calendar's next: the clock was ahead when the row was written.
    let has_run = record.last_due.is_some_and(|due| due >= next && due.since(now) <= CLOCK_SET_BACK_MAX);
    if record.next_due > next && !has_run {
        return Decision::Move { from: record.next_due, to: next };
    }
    Decision::Wait
}

/// The running half: which jobs run in this process, and what is not written down yet.
struct Rounds {
    jobs: Jobs,
    /// Who we are in leases; new for every start of the loop.
    runner: String,
    running: JoinSet<Result<(), JobError>>,
    running_names: HashMap<Id, usize>,
    /// Ends that the database did not take yet, at most one per job; the job waits until it does.
    unrecorded: HashMap<usize, Ended>,
}

struct Ended {
    at: Timestamp,
    error: Option<String>,
}

impl Rounds {
    fn new(jobs: Jobs) -> Self {
        Self {
            jobs,
            runner: uuid::Uuid::new_v4().to_string(),
            running: JoinSet::new(),
            running_names: HashMap::new(),
            unrecorded: HashMap::new(),
        }
    }

    async fn schedule_all(&self) -> Result<(), PortError> {
        for job in &self.jobs.jobs {
            self.schedule(job).await?;
        }
        Ok(())
    }

    async fn schedule(&self, job: &Job) -> Result<JobRecord, PortError> {
        let next = job.calendar.next_after(self.jobs.clock.now()).unwrap_or(Timestamp::MAX);
        self.jobs.port.schedule(&job.name, job.calendar.as_str(), next).await
    }

    /// One look at every row: keeps leases, writes down what waits, starts what is due.
    async fn look(&mut self) {
        let waiting: Vec<usize> = self.unrecorded.keys().copied().collect();
        for index in waiting {
            self.record(index).await;
        }
        self.renew().await;
        let records = match self.jobs.port.jobs().await {
            Ok(records) => records,
            // The next look tries again; a due time stays due.
            Err(error) => return tracing::warn!(%error, "the rows of the calendar jobs cannot be read"),
        };
        for index in 0..self.jobs.jobs.len() {
            if !self.is_busy(index)
                && let Err(error) = self.look_at(index, &records).await
            {
                tracing::warn!(job = self.jobs.jobs[index].name, %error, "a calendar job waits for the database");
            }
        }
    }

    async fn look_at(&mut self, index: usize, records: &[JobRecord]) -> Result<(), PortError> {
        let job = &self.jobs.jobs[index];
        let record = match records.iter().find(|record| record.name == job.name) {
            Some(record) => record,
            // Somebody removed the row.
            None => &self.schedule(job).await?,
        };
        let now = self.jobs.clock.now();
        // Claimed by us but never begun: the answer to the claim was lost on its way. Still ours if it can be renewed.
        if record.lease.as_ref().is_some_and(|lease| lease.runner == self.runner) {
            if self.jobs.port.renew(&job.name, &self.runner, now.plus(LEASE)).await? {
                self.start(index);
            }
            return Ok(());
        }
        match decide(record, &job.calendar, now) {
            Decision::Wait => {}
            Decision::Move { from, to } => {
                self.jobs.port.reschedule(&job.name, from, to).await?;
            }
            Decision::Run { due, next_due, late } => {
                let (name, runner) = (job.name.as_str(), self.runner.as_str());
                let claim = Claim { name, runner, due, next_due, now, lease_until: now.plus(LEASE), late };
                if self.jobs.port.claim(&claim).await? {
                    if late {
                        tracing::warn!(job = name, %due, "a calendar job begins late");
                    }
                    if record.lease.is_some() {
                        tracing::warn!(job = name, "the run before was cut off and counts as failed");
                    }
                    self.start(index);
                }
            }
        }
        Ok(())
    }

    fn is_busy(&self, index: usize) -> bool {
        self.unrecorded.contains_key(&index) || self.running_names.values().any(|running| *running == index)
    }

    fn start(&mut self, index: usize) {
        let task = self.running.spawn((self.jobs.jobs[index].work)());
        self.running_names.insert(task.id(), index);
    }

    async fn renew(&self) {
        let until = self.jobs.clock.now().plus(LEASE);
        for index in self.running_names.values() {
            let name = &self.jobs.jobs[*index].name;
            match self.jobs.port.renew(name, &self.runner, until).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(job = name, "the lease ran out while the job ran; another process may run it")
                }
                Err(error) => tracing::warn!(job = name, %error, "the lease of a calendar job cannot be renewed"),
            }
        }
    }

    /// A run came to its end, by itself or by a panic.
    async fn ended(&mut self, ended: Result<(Id, Result<(), JobError>), JoinError>) {
        let (id, error) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(error))) => (id, Some(error_text(&*error))),
            Err(error) if error.is_cancelled() => (error.id(), Some("stopped before it ended".to_owned())),
            Err(error) => (error.id(), Some(error_text(&error))),
        };
        let index = self.running_names.remove(&id).expect("invariant: start() names every task");
        if let Some(error) = &error {
            tracing::warn!(job = self.jobs.jobs[index].name, error, "a calendar job failed");
        }
        self.unrecorded.insert(index, Ended { at: self.jobs.clock.now(), error });
        self.record(index).await;
    }

    async fn record(&mut self, index: usize) {
        let Some(ended) = self.unrecorded.get(&index) else { return };
        let name = self.jobs.jobs[index].name.as_str();
        let finish = Finish { name, runner: &self.runner, at: ended.at, error: ended.error.as_deref() };
        match self.jobs.port.finish(&finish).await {
            // False: it is already written (the answer was lost), or the lease went to another process.
            Ok(_recorded) => {
                self.unrecorded.remove(&index);
            }
            Err(error) => tracing::warn!(job = name, %error, "the end of a calendar job is not recorded yet"),
        }
    }

    /// Lets what runs end, then ends it.
    async fn stop(&mut self) {
        let wait = tokio::time::sleep(self.jobs.stop_wait);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                ended = self.running.join_next_with_id() => match ended {
                    Some(ended) => self.ended(ended).await,
                    None => return,
                },
                () = &mut wait, if !wait.is_elapsed() => self.running.abort_all(),
            }
        }
    }
}

/// An error with its causes, bounded, and without the character that PostgreSQL cannot hold.
fn error_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Many errors print their cause themselves.
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text.chars().take(ERROR_CHARS_MAX).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests;
