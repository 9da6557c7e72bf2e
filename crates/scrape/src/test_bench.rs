//! What tests of loops share: a job from text, a target that answers what it is told, a storage that shows all.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::labels::Labels;
use model::memory::MemoryStorage;
use model::meter::Registry;
use model::storage::{Queryable, SelectHints, SelectedId, TimeRange, is_stale};
use model::time::{Clock, ManualClock, Timestamp};

use crate::Shared;
use crate::config::{Global, Job, ScrapeConfig};
use crate::fetch::{Body, Fetch, FetchError, Fetched, Request};
use crate::pool::JobRun;
use crate::report::{LastScrape, TargetState};
use crate::scrape_loop::ScrapeLoop;
use crate::settings::{Settings, labels_key};
use crate::target::{Resolved, resolve};

/// Half past two in November: all tests begin here.
pub(crate) const START: i64 = 1_700_000_000_000;
pub(crate) const TEXT: &str = "text/plain; version=0.0.4";

/// A job of the name `j` with further lines of configuration.
pub(crate) fn job(lines: &str) -> Job {
    let mut config: ScrapeConfig =
        yaml::from_str("test.yml", &format!("job_name: j\n{lines}")).expect("the job is read");
    let mut problems = yaml::Problems::default();
    config.inherit(&Global::default(), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    Job::new(&config)
}

/// Labels of a target as discovery finds them.
pub(crate) fn found(address: &str) -> Labels {
    Labels::from_pairs([("__address__", address)])
}

/// Answers what was put in last; counts how often it was asked.
#[derive(Debug)]
pub(crate) struct Answers {
    next: Mutex<Result<(String, Vec<u8>), FetchError>>,
    pub(crate) asked: Mutex<Vec<(String, String)>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { next: Mutex::new(Ok((TEXT.to_owned(), Vec::new()))), asked: Mutex::default() }
    }
}

impl Answers {
    pub(crate) fn set(&self, answer: Result<(&str, &[u8]), FetchError>) {
        let answer = answer.map(|(content_type, body)| (content_type.to_owned(), body.to_vec()));
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

#[async_trait]
impl Fetch for Answers {
    async fn fetch(&self, request: &Request<'_>, body: &mut Body) -> Result<Fetched, FetchError> {
        self.asked.lock().unwrap().push((request.url.to_owned(), request.accept.to_owned()));
        let (content_type, bytes) = self.next.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        if bytes.len() > request.body_bytes_max {
            return Err(FetchError::TooLarge { limit: request.body_bytes_max });
        }
        body.local().extend_from_slice(&bytes);
        Ok(Fetched { content_type })
    }
}

/// One loop, driven by hand.
pub(crate) struct Bench {
    pub(crate) storage: MemoryStorage,
    pub(crate) registry: Registry,
    pub(crate) answers: Arc<Answers>,
    pub(crate) scrape_loop: ScrapeLoop,
    pub(crate) state: Arc<TargetState>,
    clock: Arc<ManualClock>,
}

impl Bench {
    pub(crate) fn new(lines: &str) -> Self {
        let storage = MemoryStorage::new();
        let registry = Registry::new();
        let clock = Arc::new(ManualClock::at(Timestamp(START)));
        let shared =
            Shared::new(Arc::new(storage.clone()), Arc::clone(&clock) as Arc<dyn Clock>, 0, &registry).unwrap();
        let answers = Arc::new(Answers::default());
        let settings = settings(job(lines), &answers);
        let state = Arc::new(TargetState::new(Arc::clone(&settings.target)));
        let scrape_loop = ScrapeLoop::new(shared, settings, Arc::clone(&state));
        Self { storage, registry, answers, scrape_loop, state, clock }
    }

    /// Other lines of configuration from now on.
    pub(crate) fn reconfigure(&mut self, lines: &str) {
        let settings = settings(job(lines), &self.answers);
        self.scrape_loop.follow(settings);
    }

    /// A scrape so many seconds after the start.
    pub(crate) fn scrape(&mut self, second: i64, body: &str) -> LastScrape {
        self.scrape_as(second, TEXT, body)
    }

    pub(crate) fn scrape_as(&mut self, second: i64, content_type: &str, body: &str) -> LastScrape {
        self.answers.set(Ok((content_type, body.as_bytes())));
        self.go(second)
    }

    pub(crate) fn fail(&mut self, second: i64, error: FetchError) -> LastScrape {
        self.answers.set(Err(error));
        self.go(second)
    }

    fn go(&mut self, second: i64) -> LastScrape {
        self.clock.set(Timestamp(START + second * 1000));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.scrape_loop.scrape(Timestamp(START + second * 1000)));
        self.state.last()
    }

    /// Everything stored under names that begin so, as [`dump`] writes it.
    pub(crate) fn stored(&self, prefix: &str) -> Vec<String> {
        dump(&self.storage, prefix)
    }
}

fn settings(job: Job, answers: &Arc<Answers>) -> Arc<Settings> {
    let Resolved::Active(target) = resolve(&job, &found("host:80")) else { panic!("the target is one") };
    let key = labels_key(&job);
    let run = JobRun { job: Arc::new(job), fetch: Arc::clone(answers) as Arc<dyn Fetch> };
    Arc::new(Settings::new(&run, Arc::new(*target), &key, None))
}

/// Series whose name begins so, one a line: `name{labels} second=value …`, without the labels every target has.
pub(crate) fn dump(storage: &MemoryStorage, prefix: &str) -> Vec<String> {
    let snapshot = storage.snapshot().unwrap();
    let all = model::matcher::Matcher::new("__name__", model::matcher::MatchOp::NotEqual, "").unwrap();
    let selection = snapshot.select(&[all], TimeRange::ALL, &SelectHints::default()).unwrap();
    let mut cursor = selection.reader.cursor();
    let mut lines = Vec::new();
    for (index, labels) in selection.labels.iter().enumerate() {
        if !labels.metric_name().starts_with(prefix) {
            continue;
        }
        let rest = labels.without(&["__name__", "job", "instance"]);
        let mut line = labels.metric_name().to_owned();
        if !rest.is_empty() {
            line.push_str(&rest.to_string());
        }
        let column = cursor.read(SelectedId(index as u32)).unwrap();
        for (row, (time, value)) in column.times.iter().zip(column.values).enumerate() {
            let second = (time - START) as f64 / 1000.0;
            if is_stale(*value) {
                let _ = write!(line, " {second}=end");
            } else if column.histograms.iter().any(|(at, _)| *at as usize == row) {
                let _ = write!(line, " {second}=histogram");
            } else {
                let _ = write!(line, " {second}={value}");
            }
        }
        lines.push(line);
    }
    lines.sort();
    lines
}

/// The time of a paused runtime.
#[derive(Debug)]
pub(crate) struct RuntimeClock(pub(crate) tokio::time::Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        Timestamp(START).plus(self.0.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}
