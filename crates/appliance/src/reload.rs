//! Reading the configuration again while the server runs: all or nothing.
//!
//! Promises: reloads happen one after the other; one that fails changes nothing and is remembered with its reasons;
//! the last configuration that was accepted is kept in `lastgood/`, secrets hidden.
//! Not here: what a changed value does (subscribers), reading (`config::load`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::meter::instrument::Gauge;
use model::meter::{Desc, MeterError, Registry};
use model::time::{Clock, Timestamp};
use notify::Watcher as _;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use yaml::Problems;

use crate::config::load::{Sources, load};
use crate::config::{Config, DEBOUNCE};

/// File events waiting to be looked at. They only mean "something changed", so at the bound further ones are dropped.
const FILE_EVENTS_MAX: usize = 1;
/// Where a watch cannot be set (no inotify left, say), it is tried again this often.
const WATCH_RETRY: Duration = Duration::from_secs(60);

/// What the last attempt to reload did.
#[derive(Clone, Debug)]
pub struct ReloadStatus {
    pub at: Timestamp,
    /// What asked for it: start, SIGHUP, request, file change.
    pub by: &'static str,
    /// Why it was refused; `None` where it was accepted.
    pub refused: Option<Arc<Problems>>,
    /// When the configuration in force was accepted.
    pub accepted_at: Timestamp,
    /// Keys that changed but wait for the next start.
    pub needs_restart: Vec<&'static str>,
}

struct Meters {
    successful: Gauge,
    success_at: Gauge,
}

/// Holds the configuration in force.
pub struct Reloader {
    sources: Sources,
    clock: Arc<dyn Clock>,
    lastgood: PathBuf,
    current: watch::Sender<Arc<Config>>,
    /// The configuration the process was started with: what `needs_restart` compares to.
    started_with: Arc<Config>,
    status: RwLock<ReloadStatus>,
    /// One reload at a time; a second one waits and then reads what is there by then.
    turn: tokio::sync::Mutex<()>,
    meters: Meters,
}

impl Reloader {
    /// Takes over the configuration the server starts with.
    pub fn new(
        sources: Sources,
        first: Config,
        data: &Path,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, MeterError> {
        // Names of Prometheus, so that its stock alerts work.
        let meters = Meters {
            successful: registry.gauge(Desc::new(
                "prometheus_config_last_reload_successful",
                "Whether the last configuration reload attempt was successful.",
            ))?,
            success_at: registry.gauge(Desc::new(
                "prometheus_config_last_reload_success_timestamp_seconds",
                "Timestamp of the last successful configuration reload.",
            ))?,
        };
        let now = clock.now();
        meters.successful.set(1.0);
        meters.success_at.set(now.seconds());
        let first = Arc::new(first);
        let status = ReloadStatus { at: now, by: "start", refused: None, accepted_at: now, needs_restart: Vec::new() };
        let reloader = Self {
            sources,
            clock,
            lastgood: data.join("lastgood"),
            current: watch::Sender::new(Arc::clone(&first)),
            started_with: first,
            status: RwLock::new(status),
            turn: tokio::sync::Mutex::default(),
            meters,
        };
        reloader.keep_lastgood();
        Ok(reloader)
    }

    /// The configuration in force.
    #[must_use]
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.current.borrow())
    }

    /// Told whenever a new configuration was accepted.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.current.subscribe()
    }

    /// What the last attempt did.
    #[must_use]
    pub fn status(&self) -> ReloadStatus {
        self.status.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads everything again and takes it over if all of it is right.
    pub async fn reload(&self, by: &'static str) -> Result<(), Arc<Problems>> {
        let _turn = self.turn.lock().await;
        match self.load().await {
            Ok(config) => {
                self.accept(config, by);
                Ok(())
            }
            Err(problems) => Err(self.refuse(problems, by)),
        }
    }

    /// The same, but says nothing where the outcome would be what it is already: a watched folder also sees files
    /// that are none of ours.
    async fn reload_if_changed(&self, by: &'static str) {
        let _turn = self.turn.lock().await;
        let refused_before = self.status().refused;
        match (self.load().await, refused_before) {
            (Ok(config), None) if self.is_in_force(&config) => {}
            (Ok(config), _) => self.accept(config, by),
            (Err(problems), Some(before)) if problems.to_string() == before.to_string() => {}
            // Logged and remembered there.
            (Err(problems), _) => drop(self.refuse(problems, by)),
        }
    }

    fn is_in_force(&self, config: &Config) -> bool {
        let current = self.current();
        config.settings == current.settings && config.prometheus == current.prometheus
    }

    async fn load(&self) -> Result<Config, Problems> {
        let sources = self.sources.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&sources)).await;
        loaded.unwrap_or_else(|panic| {
            let place = yaml::Place::outside("configuration");
            let mut problems = Problems::default();
            problems.push(yaml::Problem::new(&place, "", format!("reading it failed: {panic}")));
            Err(problems)
        })
    }

    fn accept(&self, config: Config, by: &'static str) {
        let now = self.clock.now();
        let needs_restart = self.started_with.needs_restart(&config);
        for warning in &config.warnings {
            warn!("{warning}");
        }
        if !needs_restart.is_empty() {
            warn!(keys = needs_restart.join(", "), "changed, but takes effect at the next start");
        }
        self.current.send_replace(Arc::new(config));
        let status = ReloadStatus { at: now, by, refused: None, accepted_at: now, needs_restart };
        *self.status.write().unwrap_or_else(PoisonError::into_inner) = status;
        self.meters.successful.set(1.0);
        self.meters.success_at.set(now.seconds());
        self.keep_lastgood();
        info!(by, "configuration reloaded");
    }

    fn refuse(&self, problems: Problems, by: &'static str) -> Arc<Problems> {
        let problems = Arc::new(problems);
        for problem in problems.iter() {
            warn!(by, "configuration refused, the old one stays: {problem}");
        }
        let mut status = self.status.write().unwrap_or_else(PoisonError::into_inner);
        (status.at, status.by, status.refused) = (self.clock.now(), by, Some(Arc::clone(&problems)));
        self.meters.successful.set(0.0);
        problems
    }

    /// Copies to look at when a file has been broken since. Not needed to run, so a failure is only logged.
    fn keep_lastgood(&self) {
        let current = self.current();
        self.keep("watchpost.yml", &current.redacted());
        if let Some(prometheus) = &current.prometheus {
            self.keep("prometheus.yml", &prometheus.shown);
        }
    }

    fn keep(&self, name: &str, text: &str) {
        let (file, aside) = (self.lastgood.join(name), self.lastgood.join(format!("{name}.new")));
        let kept = std::fs::create_dir_all(&self.lastgood)
            .and_then(|()| std::fs::write(&aside, text))
            .and_then(|()| std::fs::rename(&aside, &file));
        if let Err(error) = kept {
            warn!(path = %file.display(), %error, "the accepted configuration could not be kept");
        }
    }

    /// Reloads when a file changes. The folders are watched, not the files: editors and ConfigMaps replace them.
    pub async fn watch_files(&self, stop: CancellationToken) -> Result<(), notify::Error> {
        loop {
            let folders = folders(&self.current().files);
            let (events_in, mut events) = mpsc::channel(FILE_EVENTS_MAX);
            let watcher = watch_folders(&folders, events_in);
            if let Err(error) = &watcher {
                warn!(%error, "files cannot be watched; use SIGHUP or POST /-/reload");
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(WATCH_RETRY), if watcher.is_err() => continue,
                _ = events.recv(), if watcher.is_ok() => {}
            }
            // Whatever else is written within the pause belongs to the same change.
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(DEBOUNCE) => {}
            }
            while events.try_recv().is_ok() {}
            self.reload_if_changed("file change").await;
        }
    }
}

fn folders(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = files
        .iter()
        .filter_map(|file| file.parent())
        .map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

fn watch_folders(folders: &[PathBuf], events: mpsc::Sender<()>) -> Result<notify::RecommendedWatcher, notify::Error> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let changed = event.is_ok_and(|event| !matches!(event.kind, notify::EventKind::Access(_)));
        if changed {
            // Full means that a reload is due anyway.
            let _due_anyway = events.try_send(());
        }
    })?;
    for folder in folders {
        watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}
