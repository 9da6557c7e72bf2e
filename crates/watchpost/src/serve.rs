//! `watchpost serve`: the order in which the server comes up, what it waits for, and the order in which it goes down.
//!
//! Up: configuration, data folder, doors (which answer probes at once and 503 to all else), store, jobs, ready.
//! Down: doors, producers, store; each stage has its deadline (`appliance::supervise`).

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use appliance::Appliance;
use appliance::config::Config;
use appliance::config::load::{Sources, load};
use appliance::health::{Health, Phase, Verdict};
use appliance::jobs::Jobs;
use appliance::ports::{Instance, InstancePort as _};
use appliance::reload::Reloader;
use appliance::supervise::{LoopError, LoopSpec, OnEnd, Stage, Supervisor};
use model::meter::{Desc, Registry};
use model::time::{Clock, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::cli;
use crate::data_folder::DataFolder;
use crate::sources::sources;
use crate::version::VERSION;
use crate::{adapters, doors, process_metrics, telemetry};

/// Runs until told to stop.
pub(crate) fn serve(flags: cli::Serve) -> anyhow::Result<ExitCode> {
    let sources = sources(flags.config.clone(), &flags.settings, flags.plain_replaces_default);
    let config = load(&sources)?;
    let level = telemetry::start_log(&config.settings.telemetry);
    for warning in flags.warnings.iter().chain(&config.warnings) {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    runtime.block_on(run(Started { sources, config, level, lifecycle: flags.lifecycle }))
}

/// What there is before anything runs.
struct Started {
    sources: Sources,
    config: Config,
    level: telemetry::LevelHandle,
    lifecycle: bool,
}

async fn run(started: Started) -> anyhow::Result<ExitCode> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let registry = Registry::new();
    register_ourselves(&registry)?;
    let path = &started.config.settings.storage.path;
    let folder = DataFolder::open(&path.place.resolve(&path.value))?;
    let health = Arc::new(Health::new(Arc::clone(&clock), VERSION));
    if let Some(whose) = folder.foreign() {
        let kept = folder.path().display();
        warn!("the data folder holds {whose}, which is not read yet; ours is kept in {kept}");
        health.say("old data", Verdict::Warn, format!("{whose} is not read yet"));
    }
    let config = started.config.clone();
    let reloader =
        Reloader::new(started.sources, started.config, folder.path(), Arc::clone(&clock), &registry).map(Arc::new)?;
    let mut supervisor = Supervisor::new(&registry)?;
    let tls = doors::prepare_tls(&config, folder.path(), &clock)?;
    let app = Arc::new(Appliance {
        registry: registry.clone(),
        health: Arc::clone(&health),
        reloader: Arc::clone(&reloader),
        quit: CancellationToken::new(),
        lifecycle: started.lifecycle,
        ca_certificate: tls.ca_certificate(),
    });
    let opened = doors::open(&config, &tls, &app, &clock, &mut supervisor).await?;
    if let Some(reports) = telemetry::start_reports(&config.settings.telemetry.sentry_dsn, Arc::clone(&clock)) .map_err(anyhow::Error::msg)? {
        supervisor.start(
            LoopSpec { name: "error reports", stage: Stage::Delivery, on_end: OnEnd::Restart },
            move |stop| reports.clone().run(stop),
        );
    }
    follow_configuration(&mut supervisor, &reloader, started.level, &tls);

    let store = adapters::open_store(&config, folder.path(), &*clock).await?;
    let instance = store.instance(Instance::new(&*clock)).await?;
    health.say("store", Verdict::Pass, config.settings.storage.metadata.shown());
    let mut jobs = Jobs::new(Arc::new(store.clone()), Arc::clone(&clock));
    register_jobs(&mut jobs, &store, &health, &tls)?;
    supervisor.start(LoopSpec { name: "jobs", stage: Stage::Producers, on_end: OnEnd::Restart }, move |stop| {
        jobs.clone().run(stop)
    });
    health.enter(Phase::Ready);
    opened.announce(&config, &instance);

    let fatal = wait_for_the_end(&mut supervisor, &app).await;
    health.enter(Phase::Stopping);
    for stage in supervisor.stop().await {
        warn!(stage, "a loop was cut off");
    }
    store.close().await;
    info!("stopped");
    drop(folder);
    Ok(if fatal { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
