//! What is scraped: the jobs of the configuration in force and our own, their discovery, and how each target is.
//!
//! Promises: a configuration that changes nothing about jobs disturbs none; a job whose discovery starts anew keeps its
//! targets until the new one has spoken in full; what people look at is what the loops do.
//! Not here: finding and asking (`scrape`), where samples go (the storage behind [`Shared`]).

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, pending};
use model::labels::Labels;
use model::time::Clock;
use scrape::Shared;
use scrape::config::{Job, Mechanism, ScrapeConfig};
use scrape::discovery::{Block, Environment, Found, Manager as Discovery, Statuses};
use scrape::fetch::{Fetch, FetchError, Fetched, LocalFetch, LocalTarget, Request};
use scrape::fetch_http::HttpFetch;
use scrape::pool::{JobRun, Manager, PoolView, Scraping};
use scrape::report::{Health, TargetState};
use scrape::target::{Resolved, discovered_labels, resolve};
use scrape::trial::trial;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use yaml::Spanned;

use crate::config::{Config, HostMode};
use crate::reload::Reloader;
use crate::supervise::LoopError;
use crate::targets::{Dropped, Failure, Pool, Relabelling, State, Step, Target, Targets, TargetsError, Trial};

/// How often our own targets are scraped where `prometheus.yml` says nothing.
const OWN_INTERVAL: Duration = Duration::from_secs(15);
const OWN_TIMEOUT: Duration = Duration::from_secs(10);
/// The job of our own metrics, and that of the host.
const OWN_JOB: &str = "watchpost";
const HOST_JOB: &str = "node";

/// What is scraped without a socket.
#[derive(Clone)]
pub struct Locals {
    pub own: Arc<dyn LocalTarget>,
    /// None where this machine cannot be looked at.
    pub host: Option<Arc<dyn LocalTarget>>,
    /// What the targets are called.
    pub hostname: String,
}

/// A job as it runs.
struct Running {
    run: JobRun,
    /// Where it is written.
    place: String,
    blocks: Vec<Block>,
    /// Labels of a target that needs no discovery.
    fixed: Option<Labels>,
    /// Mechanisms that are only known by name.
    skipped: Vec<&'static str>,
}

/// What is known of a job besides its targets.
struct Known {
    job: Arc<Job>,
    place: String,
    skipped: Vec<&'static str>,
    statuses: Option<Statuses>,
}

/// Everything that is scraped.
pub struct Scrapes {
    reloader: Arc<Reloader>,
    clock: Arc<dyn Clock>,
    environment: Environment,
    locals: Locals,
    scraping: Scraping,
    /// In the order of the configuration.
    known: RwLock<Vec<Known>>,
    /// Targets that are tried right now.
    trying: Mutex<Vec<String>>,
}

impl Scrapes {
    /// The jobs, and the loop that scrapes them, which the supervisor runs beside [`Self::run`].
    #[must_use]
    pub fn new(
        reloader: &Arc<Reloader>,
        shared: Arc<Shared>,
        locals: Locals,
        clock: &Arc<dyn Clock>,
        user_agent: &str,
    ) -> (Arc<Self>, Manager) {
        let (manager, scraping) = Manager::new(shared);
        let environment = Environment { clock: Arc::clone(clock), user_agent: user_agent.to_owned() };
        let scrapes = Self {
            reloader: Arc::clone(reloader),
            clock: Arc::clone(clock),
            environment,
            locals,
            scraping,
            known: RwLock::default(),
            trying: Mutex::default(),
        };
        (Arc::new(scrapes), manager)
    }

    /// Keeps jobs and targets as the configuration in force says, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), LoopError> {
        let mut changes = self.reloader.subscribe();
        let mut had: Vec<String> = Vec::new();
        loop {
            let config = Arc::clone(&changes.borrow_and_update());
            let jobs = self.jobs(&config);
            self.scraping.set_jobs(jobs.iter().map(|job| job.run.clone()).collect()).await;
            let round = stop.child_token();
            let mut finding = std::pin::pin!(self.find(jobs, had.clone(), round.clone()));
            loop {
                tokio::select! {
                    () = stop.cancelled() => {
                        finding.await;
                        return Ok(());
                    }
                    changed = changes.changed() => {
                        if changed.is_err() {
                            return Ok(());
                        }
                        if !is_same(&config, &changes.borrow()) {
                            break;
                        }
                    }
                    () = &mut finding => return Ok(()),
                }
            }
            round.cancel();
            finding.await;
            had = self.known().iter().map(|known| known.job.name.clone()).collect();
        }
    }

    /// Passes on what discovery finds, for all jobs at once, until the round is over.
    async fn find(&self, jobs: Vec<Running>, had: Vec<String>, round: CancellationToken) {
        let mut known = Vec::new();
        let mut found = Vec::new();
        for job in jobs {
            let Running { run, place, blocks, fixed, skipped } = job;
            let name = run.job.name.clone();
            let discovery = fixed.is_none().then(|| Discovery::new(blocks, &self.environment));
            let statuses = discovery.as_ref().map(Discovery::statuses);
            known.push(Known { job: run.job, place, skipped, statuses });
            let is_new = !had.contains(&name);
            found.push(self.follow(name, discovery, fixed, is_new, round.clone()));
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        join_all(found).await;
        // Without jobs there is nothing to wait for but the next configuration.
        round.cancelled().await;
    }

    async fn follow(
        &self,
        job: String,
        discovery: Option<Discovery>,
        fixed: Option<Labels>,
        is_new: bool,
        round: CancellationToken,
    ) {
        let Some(discovery) = discovery else {
            self.scraping.set_targets(&job, fixed.into_iter().collect()).await;
            return;
        };
        let (give, mut found) = watch::channel(Found::default());
        let passing = async {
            while found.changed().await.is_ok() {
                let now = found.borrow_and_update().clone();
                // Half a list would end targets that the other half still has.
                if is_new || now.complete {
                    self.scraping.set_targets(&job, now.targets().collect()).await;
                }
            }
            // The list stays until the job does.
            pending::<()>().await;
        };
        tokio::select! {
            () = discovery.run(give, round.clone()) => round.cancelled().await,
            () = passing => {}
            () = round.cancelled() => {}
        }
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Vec<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self, config: &Config) -> Vec<Running> {
        let mut jobs = Vec::new();
        let theirs = config.prometheus.as_ref().map_or(&[][..], |file| &file.jobs);
        let has = |name: &str| theirs.iter().any(|job| job.name == name);
        if config.settings.own.scrape && !has(OWN_JOB) {
            jobs.push(self.local(config, OWN_JOB, &self.locals.own));
        }
        let wanted = match config.settings.own.host {
            HostMode::On => true,
            HostMode::Off => false,
            HostMode::Auto => !theirs.iter().any(|job| looks_at_hosts(job)),
        };
        if let Some(host) = self.locals.host.as_ref().filter(|_| wanted && !has(HOST_JOB)) {
            jobs.push(self.local(config, HOST_JOB, host));
        }
        jobs.extend(theirs.iter().map(|job| self.configured(job)));
        jobs
    }

    /// A job of ours.
    fn local(&self, config: &Config, name: &str, target: &Arc<dyn LocalTarget>) -> Running {
        let said = config.prometheus.as_ref().and_then(|file| file.global.scrape_interval);
        let interval = said.unwrap_or(OWN_INTERVAL);
        let block = ScrapeConfig {
            job_name: Spanned::from(name.to_owned()),
            scrape_interval: Some(interval),
            scrape_timeout: Some(Spanned::from(OWN_TIMEOUT.min(interval))),
            ..ScrapeConfig::default()
        };
        let job = Arc::new(Job::new(&block));
        let fetch = Arc::new(LocalFetch(Arc::clone(target))) as Arc<dyn Fetch>;
        let labels = Labels::from_pairs([("__address__", self.locals.hostname.as_str())]);
        let run = JobRun { job, fetch };
        Running { run, place: "built in".to_owned(), blocks: Vec::new(), fixed: Some(labels), skipped: Vec::new() }
    }

    fn configured(&self, job: &Arc<Job>) -> Running {
        let fetch: Arc<dyn Fetch> = match HttpFetch::new(&job.http, Arc::clone(&self.clock)) {
            Ok(fetch) => Arc::new(fetch),
            Err(error) => Arc::new(Cannot(error.in_words())),
        };
        let (mut blocks, mut skipped) = (Vec::new(), Vec::new());
        for mechanism in job.mechanisms.iter().cloned() {
            blocks.push(match mechanism {
                Mechanism::Static(block) => Block::Static(block),
                Mechanism::File(block) => Block::File(block),
                Mechanism::Http(block) => Block::Http(block),
                Mechanism::Dns(block) => Block::Dns(block),
                Mechanism::Docker(block) => Block::Docker(block),
                Mechanism::Kubernetes(block) => Block::Kubernetes(block),
                Mechanism::Unsupported(unsupported) => {
                    skipped.push(unsupported.key);
                    continue;
                }
            });
        }
        let run = JobRun { job: Arc::clone(job), fetch };
        Running { run, place: job.place.to_string(), blocks, fixed: None, skipped }
    }
}

/// A job whose client cannot be made: every scrape says why.
struct Cannot(String);

#[async_trait]
impl Fetch for Cannot {
    async fn fetch(&self, _: &Request<'_>, _: &mut scrape::fetch::Body) -> Result<Fetched, FetchError> {
        Err(FetchError::Failed(self.0.clone()))
    }
}

/// Whether somebody else looks at machines already: by the name of the job, or by node_exporter's port.
fn looks_at_hosts(job: &Job) -> bool {
    let name = job.name.to_ascii_lowercase();
    if name == HOST_JOB || name.contains("node-exporter") || name.contains("node_exporter") {
        return true;
    }
    job.mechanisms.iter().any(|mechanism| match mechanism {
        Mechanism::Static(block) => format!("{block:?}").contains(":9100\""),
        _ => false,
    })
}

/// Whether two configurations scrape the same.
fn is_same(a: &Config, b: &Config) -> bool {
    a.prometheus == b.prometheus && a.settings.own == b.settings.own
}

fn number(labels: &Labels) -> String {
    format!("{:016x}", labels.stable_hash())
}

fn target(state: &TargetState) -> Target {
    let (target, last) = (state.target(), state.last());
    let failed = (!last.error.is_empty()).then(|| Failure { fact: last.error.clone(), hint: last.hint.clone() });
    Target {
        id: number(&target.discovered),
        url: target.url.clone(),
        state: match last.health {
            Health::Unknown => State::Waiting,
            Health::Up => State::Up,
            Health::Down => State::Down,
        },
        labels: target.labels.clone(),
        discovered: target.discovered.clone(),
        last_scrape: last.at,
        took: last.report.duration,
        samples: last.report.counts.scraped,
        failure: failed,
        last_good: last.at.filter(|_| last.health == Health::Up),
    }
}

fn shown(trial: scrape::trial::Trial) -> Trial {
    let line = |(labels, value): &(Labels, Option<f64>)| match value {
        Some(value) => format!("{labels} {}", promql::engine::number::api(*value)),
        None => format!("{labels} (a native histogram)"),
    };
    let failed = (!trial.error.is_empty()).then(|| Failure { fact: trial.error.clone(), hint: trial.hint.clone() });
    Trial {
        first: trial.series.iter().map(line).collect(),
        url: trial.url,
        took: trial.duration,
        content_type: trial.content_type,
        bytes: trial.body_bytes as u64,
        samples: trial.counts.scraped,
        kept: trial.counts.kept,
        beginning: trial.beginning,
        failure: failed,
    }
}

/// What stands in the way of a job as a whole.
fn problem(known: &Known, view: Option<&PoolView>) -> Option<String> {
    let mut said: Vec<String> = known
        .skipped
        .iter()
        .map(|key| format!("{key}: this mechanism is not supported, nothing of it is scraped"))
        .collect();
    let statuses = known.statuses.as_ref().map(Statuses::now).unwrap_or_default();
    said.extend(statuses.into_iter().filter_map(|status| Some(format!("{}: {}", status.mechanism, status.problem?))));
    if let Some(view) = view {
        said.extend(view.error.clone());
        let refused = view.refused.first();
        said.extend(refused.map(|(labels, why)| format!("{} targets are none: {why} ({labels})", view.refused.len())));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

#[async_trait]
impl Targets for Scrapes {
    fn pools(&self) -> Vec<Pool> {
        let mut views = self.scraping.pools();
        let known = self.known();
        let pool = |known: &Known| {
            // Between two configurations a job is known and its pool not made yet.
            let view = views.remove(&known.job.name);
            let dropped = |labels: &Labels| Dropped {
                id: number(labels),
                discovered: labels.clone(),
                reason: "a rule of relabel_configs dropped it".to_owned(),
            };
            Pool {
                name: known.job.name.clone(),
                place: known.place.clone(),
                interval: known.job.interval,
                timeout: known.job.timeout,
                problem: problem(known, view.as_ref()),
                targets: view.iter().flat_map(|view| view.active.iter().map(|state| target(state))).collect(),
                dropped: view.iter().flat_map(|view| view.dropped.iter().map(dropped)).collect(),
                dropped_total: view.map_or(0, |view| view.dropped_count as u64),
            }
        };
        known.iter().map(pool).collect()
    }

    fn relabelling(&self, pool: &str, id: &str) -> Option<Relabelling> {
        let view = self.scraping.pools().remove(pool)?;
        let known = self.known();
        let job = &known.iter().find(|known| known.job.name == pool)?.job;
        let active = view.active.iter().map(|state| state.target().discovered.clone());
        let before = active.chain(view.dropped).find(|labels| number(labels) == id)?;
        // What discovery found already has what the job adds; adding it again changes nothing.
        let before = discovered_labels(job, &before);
        let steps = job.relabel.steps(&before);
        let step = |step: model::relabel::steps::Step| Step {
            rule: format!("relabel_configs {}", step.rule + 1),
            place: job.place.to_string(),
            after: step.labels,
        };
        let result = job.relabel.labels(&before);
        Some(Relabelling { before, steps: steps.into_iter().map(step).collect(), result })
    }

    async fn scrape_now(&self, pool: &str, id: &str) -> Result<Trial, TargetsError> {
        let found = self.scraping.pools().remove(pool).ok_or(TargetsError::NotFound)?;
        let state = found.active.iter().find(|state| number(&state.target().discovered) == id);
        let target = state.ok_or(TargetsError::NotFound)?.target().id;
        let key = format!("{pool} {id}");
        let trying = || self.trying.lock().unwrap_or_else(PoisonError::into_inner);
        if trying().contains(&key) {
            return Err(TargetsError::Busy);
        }
        trying().push(key.clone());
        let trial = self.scraping.trial(pool, target, &self.clock).await;
        trying().retain(|other| *other != key);
        trial.map(shown).ok_or(TargetsError::NotFound)
    }
}

/// What a scrape of an address would bring, with the settings a job has that says nothing but the address.
///
/// # Errors
/// The address is none, in words.
pub async fn probe(url: &str, timeout: Duration, clock: &Arc<dyn Clock>) -> Result<Trial, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    if !matches!(scheme, "http" | "https") {
        return Err(format!("{url:?} is no address to scrape, expected http://host:port/path"));
    }
    let (address, path) = rest.find('/').map_or((rest, "/metrics"), |at| rest.split_at(at));
    let block = ScrapeConfig {
        job_name: Spanned::from("probe".to_owned()),
        scrape_interval: Some(timeout),
        scrape_timeout: Some(Spanned::from(timeout)),
        scheme: scheme.to_owned(),
        metrics_path: path.to_owned(),
        ..ScrapeConfig::default()
    };
    let job = Arc::new(Job::new(&block));
    let fetch = HttpFetch::new(&job.http, Arc::clone(clock)).map_err(|error| error.in_words())?;
    let run = JobRun { job: Arc::clone(&job), fetch: Arc::new(fetch) };
    match resolve(&job, &Labels::from_pairs([("__address__", address)])) {
        Resolved::Active(target) => Ok(shown(trial(&run, &target, clock).await)),
        Resolved::Refused { error, .. } => Err(error),
        Resolved::Dropped(_) => Err("a rule dropped it".to_owned()),
    }
}
