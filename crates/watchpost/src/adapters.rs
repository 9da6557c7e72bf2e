//! Which adapter stands behind which port: the metadata store and the calendar jobs the configuration asks for.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use appliance::config::Config;
use appliance::config::value::MetadataUrl;
use appliance::health::{Health, Verdict};
use appliance::identity::{Attempts, FirstAdmin, Identity, Parts, Settings};
use appliance::jobs::Jobs;
use appliance::metrics::Metrics;
use appliance::ports::Instance;
use appliance::reload::Reloader;
use appliance::scraping::{Locals, Scrapes};
use auth::phc::Cost;
use auth::seal::{OpenMode, SealKey};
use model::labels::Labels;
use model::meter::exposition::Format;
use model::meter::{Desc, Registry};
use model::secret::Secret;
use model::storage::Appendable;
use model::time::Clock;
use scrape::Shared;
use scrape::fetch::LocalTarget;
use scrape::host::HostCollector;
use scrape::pool::Manager;
use store::Store;

/// Nightly, at a minute nobody else chose: reading the whole database is work.
const STORE_CHECK_AT: &str = "0 17 3 * * *";

/// Hourly: sessions, links and counters that have ended are rows nobody needs.
const SWEEP_AT: &str = "0 43 * * * *";

const KEY_FILE_VARIABLE: &str = "WATCHPOST_SECRET_KEY_FILE";
const USER_VARIABLE: &str = "WATCHPOST_ADMIN_USER";
const USER_DEFAULT: &str = "admin";
const PASSWORD_VARIABLE: &str = "WATCHPOST_ADMIN_PASSWORD";
const PASSWORD_FILE_VARIABLE: &str = "WATCHPOST_ADMIN_PASSWORD_FILE";

/// Opens the metadata store.
pub(crate) async fn open_store(config: &Config, data: &Path, clock: &dyn Clock) -> anyhow::Result<Store> {
    let location = match &config.settings.storage.metadata {
        MetadataUrl::Sqlite => format!("sqlite:{}", data.join("watchpost.db").display()),
        MetadataUrl::Postgres(url) => url.expose().to_owned(),
    };
    Store::open(&location, clock).await.context("the metadata store cannot be opened")
}

/// What this installation is called if the store does not know it yet.
pub(crate) fn new_instance(clock: &dyn Clock) -> Instance {
    Instance { id: uuid::Uuid::new_v4().to_string(), created: clock.now() }
}

/// Who may log in, kept in the metadata store; seeds of second factors are encrypted with the key of this installation.
pub(crate) fn identity(
    config: &Config,
    store: &Store,
    data: &Path,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Identity> {
    let key = match std::env::var_os(KEY_FILE_VARIABLE) {
        Some(file) => SealKey::open(Path::new(&file), OpenMode::MustExist),
        None => SealKey::open(&data.join("secret.key"), OpenMode::MakeIfMissing),
    };
    let key = key.context("the key of this installation cannot be used")?;
    let parts = Parts {
        ports: Arc::new(store.clone()),
        clock: Arc::clone(clock),
        key,
        settings: Settings::of(&config.settings),
        cost: Cost::DEFAULT,
    };
    Identity::new(parts).context("logins cannot be served")
}

/// Lets `/metrics` say how logins end.
pub(crate) fn register_logins(registry: &Registry, identity: &Arc<Identity>) -> anyhow::Result<()> {
    type Read = fn(&Attempts) -> &AtomicU64;
    let results: [(&str, Read); 3] = [
        ("succeeded", |attempts| &attempts.succeeded),
        ("refused", |attempts| &attempts.refused),
        ("throttled", |attempts| &attempts.throttled),
    ];
    for (result, read) in results {
        let identity = Arc::clone(identity);
        let desc =
            Desc::new("watchpost_logins_total", "Attempts to log in, by how they ended.").label("result", result);
        registry.counter_fn(desc, move || read(identity.attempts()).load(Ordering::Relaxed) as f64)?;
    }
    Ok(())
}

/// Our own metrics, scraped without a socket.
struct OwnMetrics(Registry);

impl LocalTarget for OwnMetrics {
    fn write(&self, out: &mut Vec<u8>) -> Result<&'static str, String> {
        out.extend_from_slice(self.0.render(Format::OpenMetrics).as_bytes());
        Ok(Format::OpenMetrics.content_type())
    }
}

/// What scrapes, with what needs no socket.
pub(crate) fn scrapes(
    reloader: &Arc<Reloader>,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
    registry: &Registry,
    instance: &str,
) -> anyhow::Result<(Arc<Scrapes>, Manager)> {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let host = Arc::new(HostCollector::new(Arc::clone(clock))) as Arc<dyn LocalTarget>;
    let locals = Locals {
        own: Arc::new(OwnMetrics(registry.clone())),
        host: cfg!(target_os = "linux").then_some(host),
        hostname: if hostname.is_empty() { "localhost".to_owned() } else { hostname },
    };
    // Two servers that scrape the same targets should not do so at the same moment.
    let seed = Labels::from_pairs([("instance", instance)]).stable_hash();
    let shared = Shared::new(Arc::clone(&metrics.store) as Arc<dyn Appendable>, Arc::clone(clock), seed, registry)?;
    Ok(Scrapes::new(reloader, shared, locals, clock, concat!("watchpost/", env!("CARGO_PKG_VERSION"))))
}

/// The first administrator, where the environment names one.
pub(crate) fn first_admin() -> anyhow::Result<Option<FirstAdmin>> {
    let password = match (std::env::var(PASSWORD_VARIABLE), std::env::var_os(PASSWORD_FILE_VARIABLE)) {
        (Ok(password), _) => password,
        (Err(_), Some(file)) => {
            let text = std::fs::read_to_string(&file);
            let text = text.with_context(|| format!("{PASSWORD_FILE_VARIABLE}: {}", Path::new(&file).display()))?;
            text.lines().next().unwrap_or("").to_owned()
        }
        (Err(_), None) => return Ok(None),
    };
    let name = std::env::var(USER_VARIABLE).unwrap_or_else(|_| USER_DEFAULT.to_owned());
    Ok(Some(FirstAdmin { name, password: Secret::new(password) }))
}

/// The calendar jobs of what runs so far.
pub(crate) fn calendar_jobs(
    store: &Store,
    identity: &Arc<Identity>,
    health: &Arc<Health>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Jobs> {
    let mut jobs = Jobs::new(Arc::new(store.clone()), Arc::clone(clock));
    let swept = Arc::clone(identity);
    jobs.register("identity-sweep", SWEEP_AT, move || {
        let identity = Arc::clone(&swept);
        async move {
            identity.sweep().await?;
            Ok(())
        }
    })?;
    let (store, health) = (store.clone(), Arc::clone(health));
    jobs.register("store-check", STORE_CHECK_AT, move || {
        let (store, health) = (store.clone(), Arc::clone(&health));
        async move {
            let faults = store.check().await?;
            match faults.first() {
                None => health.say("store", Verdict::Pass, "the nightly check found no fault"),
                Some(first) => {
                    health.say("store", Verdict::Fail, format!("{} faults, the first: {first}", faults.len()))
                }
            }
            Ok(())
        }
    })?;
    Ok(jobs)
}
