//! Which adapter stands behind which port: the metadata store and the calendar jobs the configuration asks for.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use appliance::config::Config;
use appliance::config::value::MetadataUrl;
use appliance::health::{Health, Verdict};
use appliance::jobs::Jobs;
use appliance::ports::Instance;
use model::time::Clock;
use store::Store;

/// Nightly, at a minute nobody else chose: reading the whole database is work.
const STORE_CHECK_AT: &str = "0 17 3 * * *";

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

/// The calendar jobs of what runs so far.
pub(crate) fn calendar_jobs(store: &Store, health: &Arc<Health>, clock: &Arc<dyn Clock>) -> anyhow::Result<Jobs> {
    let mut jobs = Jobs::new(Arc::new(store.clone()), Arc::clone(clock));
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
