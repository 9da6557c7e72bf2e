//! The embedded time-series database and the query engine behind the ports of `appliance`.
//!
//! Not here: what is asked of them (`appliance::metrics`), their insides (`tsdb`, `promql`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use appliance::config::{Config, Retention};
use appliance::identity::Identity;
use appliance::metrics::Metrics;
use appliance::pool::Pool;
use appliance::ports::{Cardinality, Figure, MetricStore, Part, Quarantined};
use appliance::prometheus::storage::Tsdb;
use model::matcher::Matcher;
use model::meter::{Desc, Registry};
use model::storage::{
    Appendable, Appender, Position, Queryable, Sender, Snapshot, StorageError, Tail, Tailable, TimeRange,
};
use model::time::{Clock, format_duration};
use promql::engine::{Engine, Features, Settings};
use promql::syntax::ParseOptions;
use remote::receive::{Receiver, ReceiverOptions};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tsdb::db::Db;
use tsdb::error::TsdbError;
use tsdb::io::RealDisk;
use tsdb::options::{Limits, Options};
use yaml::Bytes;

/// Work besides queries (labels, metadata, maintenance on request) has so many places of its own.
const OTHER_PLACES: usize = 12;
/// How often the database looks for what is due.
const MAINTAIN_EVERY: Duration = Duration::from_secs(5);
/// No machine has less; assumed where nobody says how much there is.
const MEMORY_UNKNOWN: u64 = 1 << 30;
/// For ever, where a length must be named.
const FOR_EVER: Duration = Duration::from_secs(1_000 * 365 * 86_400);

/// The database as the port asks for it.
pub(crate) struct Samples(Db);

fn failed(error: TsdbError) -> StorageError {
    if error.is_disk_full() {
        return StorageError::NoSpace(error.to_string());
    }
    match error {
        TsdbError::Refused(text) => StorageError::TooLarge(text),
        other => StorageError::Io(std::io::Error::other(other.to_string())),
    }
}

impl Queryable for Samples {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageError> {
        self.0.snapshot()
    }

    fn series_generation(&self) -> u64 {
        self.0.series_generation()
    }

    fn history_generation(&self) -> Option<u64> {
        self.0.history_generation()
    }
}

impl Appendable for Samples {
    fn appender(&self, sender: Sender<'_>) -> Result<Box<dyn Appender>, StorageError> {
        self.0.appender(sender)
    }
}

impl Tailable for Samples {
    fn tail(&self, reader: &str, from: Option<Position>) -> Result<Box<dyn Tail>, StorageError> {
        self.0.tail(reader, from)
    }
}

impl MetricStore for Samples {
    fn maintain(&self) -> Result<(), StorageError> {
        self.0.maintain().map_err(failed)
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.0.flush().map_err(failed)
    }

    fn delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<(), StorageError> {
        self.0.delete(matchers, range).map_err(failed)
    }

    fn clean(&self) -> Result<(), StorageError> {
        self.0.clean_tombstones().map_err(failed)
    }

    fn snapshot_to(&self, folder: &Path) -> Result<(), StorageError> {
        self.0.snapshot_to(folder).map_err(failed)
    }

    fn cardinality(&self, limit: usize) -> Cardinality {
        let found = self.0.cardinality(limit);
        Cardinality {
            series: found.series,
            series_by_metric: found.series_by_metric,
            series_by_label: found.series_by_label,
            values_by_label: found.values_by_label,
            series_by_pair: found.series_by_pair,
        }
    }

    fn figures(&self) -> Vec<Figure> {
        figures(&self.0)
    }

    fn parts(&self) -> Vec<Part> {
        let part = |info: tsdb::part::PartInfo| Part {
            id: format!("{:020}", info.id),
            range: info.range,
            samples: info.samples,
            series: u64::from(info.series),
            bytes: info.bytes,
        };
        self.0.part_infos().into_iter().map(part).collect()
    }

    fn quarantined(&self) -> Vec<Quarantined> {
        let named = |report: tsdb::quarantine::Report| Quarantined {
            what: format!("{} bytes {} to {}", report.file.display(), report.from, report.to),
            reason: report.reason,
        };
        self.0.quarantine().into_iter().map(named).collect()
    }

    fn close(&self) -> Result<(), StorageError> {
        self.0.close().map_err(failed)
    }
}

/// The counters of the database under the names that dashboards for Prometheus know, and ours where it has none.
fn figures(db: &Db) -> Vec<Figure> {
    let stats = db.stats();
    let counter = |name, help, value: u64| Figure { name, help, counts_up: true, value: value as f64 };
    let gauge = |name, help, value: u64| Figure { name, help, counts_up: false, value: value as f64 };
    vec![
        gauge("prometheus_tsdb_head_series", "Series in the head.", stats.head_series),
        counter(
            "prometheus_tsdb_head_series_created_total",
            "Series that were new since the start.",
            stats.series_created,
        ),
        counter("prometheus_tsdb_head_samples_appended_total", "Samples stored since the start.", stats.appended),
        counter("prometheus_tsdb_out_of_order_samples_appended_total", "Of these, those that came late.", stats.late),
        counter("watchpost_tsdb_duplicate_samples_total", "Samples that were stored already.", stats.duplicates),
        counter("watchpost_tsdb_refused_samples_total", "Samples and series that were not taken.", stats.refused),
        counter("watchpost_tsdb_commits_total", "Batches stored.", stats.commits),
        counter("watchpost_tsdb_commit_failures_total", "Batches that could not be stored.", stats.commit_failures),
        counter("watchpost_tsdb_log_syncs_total", "Times the log was put on the disk.", stats.syncs),
        counter("watchpost_tsdb_log_sync_failures_total", "Times that failed.", stats.sync_failures),
        counter("prometheus_tsdb_checkpoint_creations_total", "Checkpoints written.", stats.checkpoints),
        counter("watchpost_tsdb_seals_total", "Windows of the head that became parts.", stats.seals),
        counter("prometheus_tsdb_compactions_total", "Times parts were merged.", stats.compactions),
        counter(
            "prometheus_tsdb_wal_corruptions_total",
            "Records of the log that could not be read at the start.",
            stats.lost_records,
        ),
        counter("watchpost_tsdb_quarantined_total", "Damaged things put aside since the start.", stats.quarantined),
        gauge("prometheus_tsdb_exemplar_exemplars_in_storage", "Exemplars kept.", stats.exemplars),
        gauge("prometheus_tsdb_blocks_loaded", "Parts that are open.", stats.parts),
        gauge("prometheus_tsdb_storage_blocks_bytes", "Bytes of parts.", stats.part_bytes),
        gauge("watchpost_tsdb_part_samples", "Samples in parts.", stats.part_samples),
        gauge("watchpost_tsdb_head_heap_bytes", "Bytes the head holds in memory, about.", stats.head_bytes),
        gauge("watchpost_tsdb_log_bytes", "Bytes of log, spills and checkpoints.", stats.log_and_head_bytes),
        gauge("watchpost_tsdb_tombstones", "Deletions whose space is not freed yet.", stats.tombstones),
    ]
}

/// Opens the database below a data folder.
pub(crate) fn database(config: &Config, data: &Path, clock: &Arc<dyn Clock>) -> anyhow::Result<Arc<Samples>> {
    let db = Db::open(&data.join("tsdb"), options(config), Arc::new(RealDisk), Arc::clone(clock));
    Ok(Arc::new(Samples(db.context("the time-series database cannot be opened")?)))
}

/// PromQL over the database.
pub(crate) fn engine(config: &Config, store: &Arc<Samples>, clock: &Arc<dyn Clock>) -> anyhow::Result<Engine> {
    Ok(Engine::new(Arc::clone(store) as Arc<dyn Queryable>, engine_settings(config)?, Arc::clone(clock)))
}

/// What the database is wired to.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) identity: &'a Arc<Identity>,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) registry: &'a Registry,
    /// `--web.enable-admin-api`
    pub(crate) admin_open: bool,
    /// `--web.enable-remote-write-receiver`
    pub(crate) receiver_open: bool,
}

/// Opens the database and puts the engine over it.
pub(crate) fn open(config: &Config, data: &Path, around: &Around<'_>) -> anyhow::Result<Arc<Metrics>> {
    let Around { identity, clock, registry, admin_open, receiver_open } = *around;
    let store = database(config, data, clock)?;
    let engine = engine(config, &store, clock)?;
    let settings = *engine.settings();
    let features = settings.features;
    let receiver = Receiver::new(Arc::clone(&store) as Arc<dyn Appendable>, ReceiverOptions::default(), registry)?;
    Ok(Arc::new(Metrics {
        store,
        receiver,
        receiver_open,
        lookback: settings.lookback,
        clock: Arc::clone(clock),
        evaluator: Arc::new(engine),
        pool: Pool::new(settings.concurrency + OTHER_PLACES),
        identity: Arc::clone(identity),
        language: ParseOptions {
            experimental_functions: features.experimental_functions,
            extended_range_selectors: features.extended_range_selectors,
            binop_fill: features.fill_modifiers,
            duration_expr: features.duration_expressions,
        },
        admin_open,
        snapshots: data.join("snapshots"),
    }))
}

fn options(config: &Config) -> Options {
    let asked = &config.settings.storage.metrics;
    let elsewhere = elsewhere(config);
    let late = elsewhere.map_or(Duration::ZERO, |tsdb| tsdb.out_of_order_time_window);
    let bound = |max: u32| usize::try_from(max).unwrap_or(usize::MAX);
    Options {
        sync_window: asked.sync_window,
        retention: retention_time(config).unwrap_or(FOR_EVER),
        retention_bytes: retention_bytes(config),
        out_of_order_window: asked.out_of_order.max(late),
        limits: Limits {
            series_max: bound(asked.series_max),
            series_per_sender_max: bound(asked.series_max_per_target),
            series_per_metric_max: bound(asked.series_max_per_metric),
            ..Limits::default()
        },
        ..Options::default()
    }
}

/// What `prometheus.yml` says about the storage.
fn elsewhere(config: &Config) -> Option<&Tsdb> {
    config.prometheus.as_ref()?.storage.tsdb.as_ref()
}

fn retention_bytes(config: &Config) -> u64 {
    let ours = config.settings.storage.metrics.retention.size.0;
    let theirs = elsewhere(config).and_then(|tsdb| tsdb.retention.as_ref()?.size).map_or(0, |size| size.0);
    if ours > 0 { ours } else { theirs }
}

fn retention_time(config: &Config) -> Option<Duration> {
    let theirs = elsewhere(config).and_then(|tsdb| tsdb.retention.as_ref()?.time);
    let asked = &config.settings.storage.metrics.retention;
    // A size that only `prometheus.yml` names counts as if it stood here.
    Retention { time: asked.time, size: Bytes(retention_bytes(config)) }.time(theirs)
}

/// How long samples are kept, in words.
pub(crate) fn retention(config: &Config) -> String {
    let time = retention_time(config).map(format_duration);
    let size = Some(retention_bytes(config)).filter(|bytes| *bytes > 0).map(|bytes| Bytes(bytes).to_string());
    time.into_iter().chain(size).collect::<Vec<_>>().join(" or ")
}

fn engine_settings(config: &Config) -> anyhow::Result<Settings> {
    let limits = &config.settings.limits.query;
    let mut features = Features::default();
    for name in &config.settings.promql.features {
        anyhow::ensure!(
            features.enable(name) || OTHER_FEATURES.contains(&name.as_str()),
            "promql.features: {name:?} is no feature that is known"
        );
    }
    let memory = limits.memory.of(machine_memory());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Settings {
        features,
        lookback: limits.lookback,
        timeout: limits.timeout,
        samples_max: limits.samples,
        query_bytes_max: memory / 2,
        process_bytes_max: memory,
        concurrency: usize::try_from(limits.concurrency).unwrap_or(20),
        extra_threads: threads.saturating_sub(1),
        ..Settings::default()
    })
}

/// Names of `--enable-feature` that switch nothing of the language: always on here, or without a meaning.
const OTHER_FEATURES: &[&str] = &[
    "exemplar-storage",
    "native-histograms",
    "memory-snapshot-on-shutdown",
    "extra-scrape-metrics",
    "no-default-scrape-port",
    "new-service-discovery-manager",
    "promql-per-step-stats",
    "promql-at-modifier",
    "promql-negative-offset",
    "remote-write-receiver",
    "concurrent-rule-eval",
    "created-timestamp-zero-ingestion",
    "st-storage",
    "delayed-compaction",
    "old-ui",
    "metadata-wal-records",
    "auto-gomemlimit",
    "auto-gomaxprocs",
    "auto-reload-config",
    "otlp-deltatocumulative",
    "otlp-native-delta-ingestion",
    "use-uncached-io",
    "search-api",
];

/// What this process may use: of its container where it is in one, else of the machine.
fn machine_memory() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let of_container: Option<u64> = read("/sys/fs/cgroup/memory.max").trim().parse().ok();
    let info = read("/proc/meminfo");
    let kib = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse().ok());
    let of_machine = kib.map(|kib: u64| kib * 1024);
    of_container.into_iter().chain(of_machine).min().unwrap_or(MEMORY_UNKNOWN)
}

/// Lets `/metrics` say what the database counts.
pub(crate) fn register(registry: &Registry, metrics: &Arc<Metrics>) -> anyhow::Result<()> {
    for known in metrics.store.figures() {
        let (store, name) = (Arc::clone(&metrics.store), known.name);
        let read = move || {
            let figures = store.figures();
            figures.iter().find(|figure| figure.name == name).map_or(0.0, |figure| figure.value)
        };
        let desc = Desc::new(known.name, known.help);
        if known.counts_up {
            registry.counter_fn(desc, read)?;
        } else {
            registry.gauge_fn(desc, read)?;
        }
    }
    Ok(())
}

/// Does what the database has to do from time to time, until told to stop.
pub(crate) async fn maintain(metrics: Arc<Metrics>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(MAINTAIN_EVERY) => {}
        }
        let store = Arc::clone(&metrics.store);
        // A failure is counted by the database and tried again in a moment.
        match metrics.pool.run(MAINTAIN_EVERY, move || store.maintain()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the time-series database could not do what was due"),
            Err(error) => warn!(%error, "the time-series database was not maintained"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_of_prometheus_is_known_and_another_is_named() {
        let mut config = appliance::config::load::load(&appliance::config::load::Sources::default()).unwrap();
        config.settings.promql.features =
            vec!["promql-experimental-functions".to_owned(), "exemplar-storage".to_owned()];
        assert!(engine_settings(&config).unwrap().features.experimental_functions);
        config.settings.promql.features = vec!["no-such".to_owned()];
        assert!(engine_settings(&config).unwrap_err().to_string().contains("no-such"));
    }

    #[test]
    fn without_a_word_samples_are_kept_for_thirty_days_and_with_a_size_alone_by_size() {
        let mut config = appliance::config::load::load(&appliance::config::load::Sources::default()).unwrap();
        assert_eq!(retention(&config), "30d");
        config.settings.storage.metrics.retention.size = Bytes(1 << 30);
        assert_eq!(retention(&config), "1GiB");
        assert_eq!(options(&config).retention, FOR_EVER);
    }
}
