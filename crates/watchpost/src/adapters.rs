//! Which adapter stands behind which port: the metadata store chosen by the configuration, and the TLS of the doors.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use appliance::config::value::MetadataUrl;
use appliance::config::{Config, Server as ServerSettings, TlsMode};
use model::time::Clock;
use store::Store;

/// Opens the metadata store.
pub(crate) async fn open_store(config: &Config, data: &Path, clock: &dyn Clock) -> anyhow::Result<Store> {
    let location = match &config.settings.storage.metadata {
        MetadataUrl::Sqlite => data.join("watchpost.db").display().to_string(),
        MetadataUrl::Postgres(url) => url.expose().to_owned(),
    };
    Store::open(&location, clock).await.context("the metadata store cannot be opened")
}
