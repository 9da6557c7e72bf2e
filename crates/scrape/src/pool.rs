//! Which targets are scraped: the pools of all jobs, their loops started, changed and stopped.
//!
//! [`Manager`] is one loop for the supervisor; through [`Scraping`] it is told what there is to scrape, and everybody
//! sees how that goes. Loops live in a task set of the manager: they end with it, and one that panics is started
//! again.
//! Not here: where targets are found (`discovery`), what a loop does (`scrape_loop`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use model::labels::Labels;
use model::time::Clock;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::config::Job;
use crate::fetch::Fetch;
use crate::report::TargetState;
use crate::scrape_loop::{Order, ScrapeLoop};
use crate::settings::{Settings, labels_key};
use crate::shared::Shared;
use crate::target::{Resolved, TargetId, resolve};
use crate::trial::{Trial, trial};

/// Orders that may wait for the manager; whoever gives more waits.
const ORDERS_MAX: usize = 64;
/// Refused targets that are kept to be shown.
const REFUSED_MAX: usize = 1000;

/// A job, and how its targets are reached.
#[derive(Clone)]
pub struct JobRun {
    pub job: Arc<Job>,
    pub fetch: Arc<dyn Fetch>,
}

enum Command {
    /// These jobs and no others.
    Jobs(Vec<JobRun>),
    /// The targets of one job, whole: labels as discovered.
    Targets { job: String, found: Vec<Labels> },
}

impl fmt::Debug for JobRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRun").field("job", &self.job.name).finish_non_exhaustive()
    }
}

/// How one job goes.
#[derive(Clone, Debug)]
pub struct PoolView {
    pub run: JobRun,
    /// Sorted by labels.
    pub active: Vec<Arc<TargetState>>,
    /// Labels before the rules of targets that a rule dropped, as many as are kept.
    pub dropped: Vec<Labels>,
    pub dropped_count: usize,
    /// What was found and cannot be scraped: labels before the rules, and why.
    pub refused: Vec<(Labels, String)>,
    /// Why every scrape of the job fails.
    pub error: Option<String>,
}

impl PoolView {
    fn new(run: JobRun) -> Self {
        let (active, dropped, refused) = (Vec::new(), Vec::new(), Vec::new());
        Self { run, active, dropped, dropped_count: 0, refused, error: None }
    }
}

type Views = Arc<RwLock<BTreeMap<String, PoolView>>>;

/// The manager from outside. Cheap to clone.
#[derive(Clone)]
pub struct Scraping {
    commands: mpsc::Sender<Command>,
    views: Views,
}

impl Scraping {
    /// These jobs are scraped from now on, and no others. Waits while the manager is busy; does nothing once it ended.
    pub async fn set_jobs(&self, jobs: Vec<JobRun>) {
        let _ended = self.commands.send(Command::Jobs(jobs)).await;
    }

    /// These are the targets of a job now, with the labels under which they were found. Of a job that is not known
    /// they are forgotten.
    pub async fn set_targets(&self, job: &str, found: Vec<Labels>) {
        let _ended = self.commands.send(Command::Targets { job: job.to_owned(), found }).await;
    }

    /// How all jobs go, by name.
    #[must_use]
    pub fn pools(&self) -> BTreeMap<String, PoolView> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Scraping {
    /// Scrapes a target once, here and now, and stores nothing. `None`: there is no such target (any more).
    pub async fn trial(&self, job: &str, target: TargetId, clock: &Arc<dyn Clock>) -> Option<Trial> {
        let (run, target) = {
            let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
            let view = views.get(job)?;
            let state = view.active.iter().find(|state| state.target().id == target)?;
            (view.run.clone(), state.target())
        };
        Some(trial(&run, &target, clock).await)
    }
}

/// Owns the loops.
pub struct Manager {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    views: Views,
    pools: BTreeMap<String, Pool>,
    tasks: Tasks,
}

/// The loops as tasks.
#[derive(Default)]
struct Tasks {
    running: JoinSet<()>,
    /// Which target a task serves.
    owners: HashMap<Id, (String, TargetId)>,
    stop: CancellationToken,
}

struct Pool {
    run: JobRun,
    labels_key: Arc<str>,
    found: Vec<Labels>,
    error: Option<String>,
    loops: HashMap<TargetId, Handle>,
}

/// A loop from outside.
struct Handle {
    orders: watch::Sender<Order>,
    state: Arc<TargetState>,
    /// The target is gone; the loop only waits to say so.
    ending: bool,
}

impl Manager {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> (Self, Scraping) {
        let (give, commands) = mpsc::channel(ORDERS_MAX);
        let views = Views::default();
        let scraping = Scraping { commands: give, views: Arc::clone(&views) };
        let (pools, tasks) = (BTreeMap::new(), Tasks::default());
        (Self { shared, commands, views, pools, tasks }, scraping)
    }

    /// Scrapes until told to stop. Loops end where they are: nothing is marked as ended, since it goes on after the
    /// restart.
    pub async fn run(mut self, stop: CancellationToken) {
        self.tasks.stop = stop.child_token();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(Command::Jobs(jobs)) => self.set_jobs(jobs),
                    Some(Command::Targets { job, found }) => self.set_targets(&job, found),
                    None => break,
                },
                ended = self.tasks.running.join_next_with_id(), if !self.tasks.running.is_empty() => {
                    if let Some(ended) = ended {
                        self.ended(ended);
                    }
                }
            }
        }
        self.tasks.stop.cancel();
        while self.tasks.running.join_next().await.is_some() {}
    }

    fn set_jobs(&mut self, jobs: Vec<JobRun>) {
        let gone: Vec<String> =
            self.pools.keys().filter(|name| !jobs.iter().any(|run| run.job.name == **name)).cloned().collect();
        for name in gone {
            if let Some(pool) = self.pools.get_mut(&name) {
                pool.found.clear();
                pool.loops.values_mut().for_each(Handle::end);
            }
            self.views.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
        }
        for run in jobs {
            let name = run.job.name.clone();
            let labels_key = labels_key(&run.job);
            match self.pools.get_mut(&name) {
                Some(pool) => {
                    pool.run = run;
                    pool.labels_key = labels_key;
                }
                None => {
                    let (found, error, loops) = (Vec::new(), None, HashMap::new());
                    self.pools.insert(name.clone(), Pool { run, labels_key, found, error, loops });
                }
            }
            self.sync(&name);
        }
    }

    fn set_targets(&mut self, job: &str, found: Vec<Labels>) {
        let known = self.views.read().unwrap_or_else(PoisonError::into_inner).contains_key(job);
        if let Some(pool) = self.pools.get_mut(job).filter(|_| known) {
            pool.found = found;
            self.sync(job);
        }
    }

    /// Makes the loops of a job those of its targets.
    fn sync(&mut self, name: &str) {
        let Self { pools, shared, tasks, views, .. } = self;
        let Some(pool) = pools.get_mut(name) else { return };
        let mut view = PoolView::new(pool.run.clone());
        let wanted = pool.resolve(&mut view);
        let limit = pool.run.job.limits.targets;
        pool.error = (limit > 0 && wanted.len() as u64 > limit).then(|| {
            shared.metrics.target_limit.inc();
            format!("target_limit exceeded (number of targets: {}, limit: {limit})", wanted.len())
        });
        view.error.clone_from(&pool.error);
        for (id, handle) in &mut pool.loops {
            if !wanted.contains_key(id) {
                handle.end();
            }
        }
        for (id, target) in wanted {
            let settings = Settings::new(&pool.run, Arc::new(target), &pool.labels_key, pool.error.as_deref());
            let settings = Arc::new(settings);
            // Also one that was ending: the target came back.
            let follows = pool.loops.get_mut(&id).is_some_and(|handle| handle.follow(&settings));
            if !follows {
                let state = Arc::new(TargetState::new(Arc::clone(&settings.target)));
                pool.loops.insert(id, tasks.start((name, id), shared, &settings, state));
            }
        }
        view.active =
            pool.loops.values().filter(|handle| !handle.ending).map(|handle| Arc::clone(&handle.state)).collect();
        view.active.sort_by_cached_key(|state| state.target().labels.clone());
        views.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), view);
    }

    /// A loop ended: its target is gone, or it panicked and is started again.
    fn ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(error) => error.id(),
        };
        let Some((name, id)) = self.tasks.owners.remove(&task) else { return };
        let Self { pools, shared, tasks, .. } = self;
        let Some(pool) = pools.get_mut(&name) else { return };
        let panicked = ended.is_err_and(|error| error.is_panic());
        if let Some(handle) = pool.loops.get_mut(&id).filter(|handle| !handle.ending) {
            if panicked {
                shared.metrics.panics.inc();
                error!(job = name, "a scrape loop panicked and is started again");
            } else {
                warn!(job = name, "a scrape loop ended although its target is there, and is started again");
            }
            let settings = match &*handle.orders.borrow() {
                Order::Run(settings) => Arc::clone(settings),
                Order::End => return,
            };
            let state = Arc::clone(&handle.state);
            *handle = tasks.start((&name, id), shared, &settings, state);
            return;
        }
        pool.loops.remove(&id);
        let known = self.views.read().unwrap_or_else(PoisonError::into_inner).contains_key(&name);
        if !known && pool.loops.is_empty() {
            self.pools.remove(&name);
        }
    }
}

impl Tasks {
    /// Starts the loop of a target.
    fn start(
        &mut self,
        (job, id): (&str, TargetId),
        shared: &Arc<Shared>,
        settings: &Arc<Settings>,
        state: Arc<TargetState>,
    ) -> Handle {
        let (orders, follow) = watch::channel(Order::Run(Arc::clone(settings)));
        let scrape_loop = ScrapeLoop::new(Arc::clone(shared), Arc::clone(settings), Arc::clone(&state));
        let task = self.running.spawn(scrape_loop.run(follow, self.stop.clone()));
        self.owners.insert(task.id(), (job.to_owned(), id));
        Handle { orders, state, ending: false }
    }
}

impl Handle {
    fn end(&mut self) {
        if !std::mem::replace(&mut self.ending, true) {
            self.orders.send_replace(Order::End);
        }
    }

    /// Hands new settings to the loop; false if it has ended meanwhile.
    fn follow(&mut self, settings: &Arc<Settings>) -> bool {
        if self.orders.is_closed() {
            return false;
        }
        self.ending = false;
        self.state.set_target(Arc::clone(&settings.target));
        self.orders.send_replace(Order::Run(Arc::clone(settings)));
        true
    }
}

impl Pool {
    /// The targets of what was found, each once; what is none goes to the view.
    fn resolve(&self, view: &mut PoolView) -> BTreeMap<TargetId, crate::target::Target> {
        let job = &self.run.job;
        let keep = usize::try_from(job.keep_dropped_targets).unwrap_or(usize::MAX);
        let mut wanted = BTreeMap::new();
        for labels in &self.found {
            match resolve(job, labels) {
                Resolved::Active(target) => {
                    wanted.entry(target.id).or_insert(*target);
                }
                Resolved::Dropped(labels) => {
                    view.dropped_count += 1;
                    if keep == 0 || view.dropped.len() < keep {
                        view.dropped.push(labels);
                    }
                }
                Resolved::Refused { discovered, error } => {
                    if view.refused.len() < REFUSED_MAX {
                        view.refused.push((discovered, error));
                    }
                }
            }
        }
        wanted
    }
}
