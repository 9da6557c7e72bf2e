//! `watchpost serve`: the order in which the server comes up, what it waits for, and the order in which it goes down.
//!
//! Up: configuration, data folder, doors (which answer probes at once and 503 to all else), store, jobs, ready.
//! Down: doors, producers, store; each stage has its deadline (`appliance::supervise`).

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use appliance::config::Config;
use appliance::config::load::{Sources, load};
use appliance::health::{Health, Phase, Verdict};
use appliance::identity::{FirstRun, Identity, Settings};
use appliance::metrics::Metrics;
use appliance::ports::{Instance, InstancePort as _};
use appliance::reload::Reloader;
use appliance::scraping::Scrapes;
use appliance::supervise::{LoopError, LoopSpec, OnEnd, Stage, Supervisor};
use appliance::targets::{Targets, Watched};
use appliance::{Appliance, Facts};
use model::meter::{Desc, Registry};
use model::time::{Clock, SystemClock};
use net::tls::TlsPort;
use scrape::pool::Manager;
use store::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::data_folder::DataFolder;
use crate::doors::Rest;
use crate::gate::Gate;
use crate::outflow::Outflow;
use crate::samples::Around;
use crate::sources::sources;
use crate::telemetry::{LevelHandle, Reports};
use crate::version::VERSION;
use crate::{adapters, cli, doors, process_metrics, samples, telemetry};

/// Runs until told to stop.
pub(crate) fn serve(flags: &cli::Serve) -> anyhow::Result<ExitCode> {
    let sources = sources(flags.config.clone(), &flags.settings, flags.plain_replaces_default);
    let config = load(&sources)?;
    let level = telemetry::start_log(&config.settings.telemetry);
    for warning in flags.warnings.iter().chain(&config.warnings) {
        warn!("{warning}");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    runtime.block_on(run(Started { sources, config, level, flags: flags.clone() }))
}

/// What there is before anything runs.
struct Started {
    sources: Sources,
    config: Config,
    level: LevelHandle,
    flags: cli::Serve,
}

async fn run(started: Started) -> anyhow::Result<ExitCode> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let registry = Registry::new();
    register_ourselves(&registry)?;
    let config = started.config.clone();
    let path = &config.settings.storage.path;
    let folder = DataFolder::open(&path.place.resolve(&path.value))?;
    let tls = doors::open_tls(&config, folder.path(), &clock)?;
    let reloader =
        Reloader::new(started.sources, started.config, folder.path(), Arc::clone(&clock), &registry).map(Arc::new)?;
    let health = Arc::new(Health::new(Arc::clone(&clock), VERSION));
    say_whose_data(&folder, &health);

    let mut supervisor = Supervisor::new(&registry)?;
    let rest = Rest { health: &health, registry: &registry, clock: &clock };
    let opened = doors::open(&config, &rest, tls.clone(), &mut supervisor).await?;
    if let Some(reports) = Reports::start(&config.settings.telemetry.sentry_dsn, Arc::clone(&clock))? {
        supervisor.start(spec("error reports", Stage::Delivery), move |stop| Arc::clone(&reports).run(stop));
    }
    let encrypted = tls.is_some();
    let ca_certificate = tls.as_ref().and_then(|tls| tls.ca_pem());
    if let Some(tls) = tls {
        keep_certificate(&mut supervisor, tls, &health, &clock);
    }
    follow_configuration(&mut supervisor, &reloader, started.level);

    let (store, instance) = open_store(&config, &folder, &health, &clock).await?;
    let identity = Arc::new(adapters::identity(&config, &store, folder.path(), &clock)?);
    adapters::register_logins(&registry, &identity)?;
    follow_logins(&mut supervisor, &reloader, &identity);
    let around = Around {
        identity: &identity,
        clock: &clock,
        registry: &registry,
        admin_open: started.flags.admin,
        receiver_open: started.flags.receiver,
    };
    let metrics = samples::open(&config, folder.path(), &around)?;
    let targets =
        flow(&mut supervisor, &Flow { reloader: &reloader, metrics: &metrics, around: &around }, &folder, &instance)?;
    let jobs = adapters::calendar_jobs(&store, &identity, &health, &clock)?;
    supervisor.start(spec("calendar jobs", Stage::Producers), move |stop| jobs.clone().run(stop));
    let app = Arc::new(Appliance {
        registry: registry.clone(),
        health: Arc::clone(&health),
        reloader,
        identity,
        metrics: Arc::clone(&metrics),
        targets,
        facts: facts(&config, &started.flags, &*clock),
        clock,
        quit: CancellationToken::new(),
        lifecycle: started.flags.lifecycle,
        ca_certificate,
    });
    first_run(&config, &app, &opened.url(&config, encrypted)).await?;
    opened.admit(doors::router(&app, &gate(&config, &app)));
    app.health.enter(Phase::Ready);
    opened.announce(&config, encrypted);

    let failed = until_the_end(&mut supervisor, &app).await?;
    stop(supervisor, &app).await;
    store.close().await;
    drop(folder);
    info!("stopped");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Ends every loop in its order, then the database.
async fn stop(supervisor: Supervisor, app: &Appliance) {
    app.health.enter(Phase::Stopping);
    for stage in supervisor.stop().await {
        warn!(stage, "a loop was cut off");
    }
    if let Err(error) = app.metrics.store.close() {
        // Nothing is lost: what was acknowledged is in the log.
        warn!(%error, "the time-series database could not be closed in order");
    }
}

/// What samples flow through.
struct Flow<'a> {
    reloader: &'a Arc<Reloader>,
    metrics: &'a Arc<Metrics>,
    around: &'a Around<'a>,
}

/// Starts what brings samples in, keeps them, and sends them on.
fn flow(
    supervisor: &mut Supervisor,
    flow: &Flow<'_>,
    folder: &DataFolder,
    instance: &Instance,
) -> anyhow::Result<Watched> {
    let Flow { reloader, metrics, around } = flow;
    let (clock, registry) = (around.clock, around.registry);
    samples::register(registry, metrics)?;
    keep_samples(supervisor, metrics);
    let outflow = Outflow::new(reloader, metrics, clock, registry, folder.path().join("queue"))?;
    supervisor.start(spec("remote write", Stage::Delivery), move |stop| outflow.clone().run(stop));
    let scrapes = adapters::scrapes(reloader, metrics, clock, registry, &instance.id)?;
    Ok(Watched::new(scrape(supervisor, scrapes)))
}

fn gate(config: &Config, app: &Appliance) -> Arc<Gate> {
    Arc::new(Gate {
        identity: Arc::clone(&app.identity),
        login: config.settings.auth.enabled,
        external_url: config.settings.server.external_url.as_ref().map(|url| url.value.to_string()).unwrap_or_default(),
        prefix: doors::prefix(config),
    })
}

/// Starts what scrapes.
fn scrape(supervisor: &mut Supervisor, (scrapes, manager): (Arc<Scrapes>, Manager)) -> Arc<dyn Targets> {
    let manager = Mutex::new(Some(manager));
    supervisor.start(spec("scrape loops", Stage::Producers), move |stop| {
        let manager = manager.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            // Its loops are started again one by one within it; without its queue it cannot be.
            let Some(manager) = manager else { return Err("it cannot be started a second time") };
            manager.run(stop).await;
            Ok::<_, &'static str>(())
        }
    });
    let followed = Arc::clone(&scrapes);
    supervisor.start(spec("targets", Stage::Producers), move |stop| Arc::clone(&followed).run(stop));
    scrapes
}

/// Lets the database do what is due.
fn keep_samples(supervisor: &mut Supervisor, metrics: &Arc<Metrics>) {
    let metrics = Arc::clone(metrics);
    supervisor.start(spec("time-series database", Stage::Series), move |stop| {
        let kept = samples::maintain(Arc::clone(&metrics), stop);
        async move {
            kept.await;
            Ok::<_, LoopError>(())
        }
    });
}

fn facts(config: &Config, flags: &cli::Serve, clock: &dyn Clock) -> Facts {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    Facts {
        version: VERSION,
        started: clock.now(),
        hostname,
        retention: samples::retention(config),
        flags: flags.given.clone(),
    }
}

/// Makes the first administrator, or says where one can be made.
async fn first_run(config: &Config, app: &Appliance, url: &str) -> anyhow::Result<()> {
    if !config.settings.auth.enabled {
        warn!("login is off: whoever reaches this machine's loopback address is administrator");
        return Ok(());
    }
    let admin = adapters::first_admin()?;
    match app.identity.first_run(admin).await.context("the first administrator cannot be made")? {
        FirstRun::Ready => {}
        FirstRun::AdminMade(name) => info!(user = %name, "the first administrator is made"),
        FirstRun::Link(key) => {
            info!("nobody can log in yet; set it up here, once, within 24 hours: {url}/setup?key={}", key.expose());
        }
    }
    Ok(())
}

fn keep_certificate(supervisor: &mut Supervisor, tls: Arc<TlsPort>, health: &Arc<Health>, clock: &Arc<dyn Clock>) {
    let (health, clock) = (Arc::clone(health), Arc::clone(clock));
    supervisor.start(spec("certificate", Stage::Producers), move |stop| {
        let kept = doors::keep_certificate(Arc::clone(&tls), Arc::clone(&health), Arc::clone(&clock), stop);
        async move {
            kept.await;
            Ok::<_, LoopError>(())
        }
    });
}

/// Lets changed rules for sessions and passwords take effect at once.
fn follow_logins(supervisor: &mut Supervisor, reloader: &Arc<Reloader>, identity: &Arc<Identity>) {
    let (reloader, identity) = (Arc::clone(reloader), Arc::clone(identity));
    supervisor.start(spec("login rules", Stage::Producers), move |stop| {
        let (mut changes, identity) = (reloader.subscribe(), Arc::clone(&identity));
        async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok::<_, LoopError>(()),
                    changed = changes.changed() => if changed.is_err() { return Ok(()) },
                }
                let config = Arc::clone(&changes.borrow_and_update());
                identity.apply(Settings::of(&config.settings));
            }
        }
    });
}

const fn spec(name: &'static str, stage: Stage) -> LoopSpec {
    LoopSpec { name, stage, on_end: OnEnd::Restart }
}

fn register_ourselves(registry: &Registry) -> anyhow::Result<()> {
    let desc = Desc::new("watchpost_build_info", "The version that runs; always 1.").label("version", VERSION);
    registry.gauge(desc)?.set(1.0);
    process_metrics::register(registry)?;
    Ok(())
}

fn say_whose_data(folder: &DataFolder, health: &Health) {
    if let Some(whose) = folder.foreign() {
        warn!("the data folder holds {whose}, which is not read yet; ours is kept in {}", folder.path().display());
        health.say("old data", Verdict::Warn, format!("{whose} is not read yet"));
    }
}

async fn open_store(
    config: &Config,
    folder: &DataFolder,
    health: &Health,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Store, Instance)> {
    let store = adapters::open_store(config, folder.path(), &**clock).await?;
    let instance = store.instance(adapters::new_instance(&**clock)).await?;
    health.say("store", Verdict::Pass, config.settings.storage.metadata.shown());
    info!(instance = %instance.id, created = %instance.created, "metadata store opened");
    Ok((store, instance))
}

/// Watches the files, and lets a changed log level take effect at once.
fn follow_configuration(supervisor: &mut Supervisor, reloader: &Arc<Reloader>, level: LevelHandle) {
    let watched = Arc::clone(reloader);
    supervisor.start(spec("configuration files", Stage::Producers), move |stop| {
        let reloader = Arc::clone(&watched);
        async move { reloader.watch_files(stop).await }
    });
    let reloader = Arc::clone(reloader);
    supervisor.start(spec("log level", Stage::Producers), move |stop| {
        let (mut changes, level) = (reloader.subscribe(), level.clone());
        async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok::<_, LoopError>(()),
                    changed = changes.changed() => if changed.is_err() { return Ok(()) },
                }
                level.set(changes.borrow_and_update().settings.telemetry.log.level);
            }
        }
    });
}

/// Waits for a signal, a request or a loop that cannot go on; answers whether that is a failure.
async fn until_the_end(supervisor: &mut Supervisor, app: &Appliance) -> anyhow::Result<bool> {
    let listen = |kind| signal(kind).context("signals cannot be listened to");
    let (mut term, mut int, mut hup) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?);
    loop {
        tokio::select! {
            _ = term.recv() => info!("SIGTERM: stopping"),
            _ = int.recv() => info!("SIGINT: stopping"),
            () = app.quit.cancelled() => info!("asked to quit: stopping"),
            fatal = supervisor.fatal() => {
                error!("{fatal}");
                return Ok(true);
            }
            _ = hup.recv() => {
                // Logged and remembered there.
                let _refused = app.reloader.reload("SIGHUP").await;
                continue;
            }
        }
        return Ok(false);
    }
}
