//! `watchpost.yml`: its schema, and how file, environment and flags become one checked, immutable [`Config`].
//!
//! Promises: every problem is reported at once with its place; a key that is not built yet is refused by name; a
//! value remembers where it came from. Precedence: flag, `WATCHPOST_<PATH>`, file, default.
//! Not here: when it is read again (`reload`), other programs' files (each in the crate that acts on it).

pub mod address;
pub mod load;
pub mod value;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::secret::Secret;
use model::time::format_duration;
use net::address::Network;
use yaml::size::Bytes;
use yaml::{At, Context, Encode as _, Place, Spanned};

use self::address::{ExternalUrl, ListenAddr};
use self::value::{Later, Memory, MetadataUrl};
use crate::prometheus::Prometheus;

yaml::record! {
    /// The whole file. Every key is optional.
    #[yaml(check = Settings::check)]
    pub struct Settings {
        pub server: Server,
        pub auth: Auth,
        pub storage: Storage,
        pub limits: Limits,
        pub promql: Promql,
        /// An existing `prometheus.yml`. Relative paths inside it resolve against that file.
        pub prometheus: Option<Spanned<PathBuf>>,
        pub rules: Later,
        pub alertmanager: Later,
        pub blackbox: Later,
        pub grafana: Later,
        pub errors: Later,
        pub checks: Later,
        pub heartbeats: Later,
        pub status_pages: Later,
        pub outbound: Later,
        #[yaml(name = "self")]
        pub own: Own,
        pub backup: Later,
        pub telemetry: Telemetry,
        /// Further files of this schema (globs), merged in: lists are appended, a scalar given twice is an error.
        pub include: Vec<Spanned<String>>,
    }
}

yaml::record! {
    /// The doors.
    pub struct Server {
        /// Where HTTPS is served; plain HTTP on these only to callers on this machine. With `auth.enabled: false` the
        /// default is 127.0.0.1:8443.
        pub listen: Vec<Spanned<ListenAddr>> = vec![Spanned::from(ListenAddr::DEFAULT)],
        /// Where plain HTTP is served to everyone.
        pub http_listen: Vec<Spanned<ListenAddr>>,
        /// The address users see, with a path prefix where there is one. Default: `https://<host>:<port>`.
        pub external_url: Option<Spanned<ExternalUrl>>,
        /// Addresses or networks of proxies whose `Forwarded` and `X-Forwarded-*` headers are believed.
        pub trusted_proxies: Vec<Network>,
        pub tls: Tls,
        /// Whether `/metrics` of the server itself is answered without a token.
        pub metrics_public: bool = false,
    }
}

yaml::record! {
    /// Who may log in.
    pub struct Auth {
        /// Off: every caller is admin. Only on loopback addresses.
        pub enabled: bool = true,
        pub session: SessionLimits,
        pub password: PasswordRules,
    }
}

yaml::record! {
    /// How long a login lasts.
    #[yaml(check = SessionLimits::check)]
    pub struct SessionLimits {
        /// Unused for this long it ends.
        pub idle: Duration = Duration::from_secs(12 * 3600),
        /// It ends after this long, however much it is used.
        pub max: Duration = Duration::from_secs(7 * 86_400),
    }
}

yaml::record! {
    /// What passwords must be.
    pub struct PasswordRules {
        /// Characters of a new password at least.
        #[yaml(range = 8..=128)]
        pub min_length: u32 = 12,
    }
}

yaml::choice! {
    /// Where the server's certificate comes from.
    pub enum TlsMode {
        /// A local authority and a certificate of its own, made at the first start.
        Auto = "auto",
        /// `cert_file` and `key_file`.
        Files = "files",
        /// No TLS: the listeners of `listen` serve plain HTTP to everyone.
        Off = "off",
        /// Certificates by ACME.
        Acme = "acme",
    }
}

yaml::record! {
    /// The certificate.
    #[yaml(check = Tls::check)]
    pub struct Tls {
        pub mode: TlsMode,
        /// The certificate chain (PEM); mode `files`.
        pub cert_file: Option<Spanned<PathBuf>>,
        /// The private key (PEM); mode `files`.
        pub key_file: Option<Spanned<PathBuf>>,
        /// Authorities whose client certificates are accepted; without it none are asked for.
        pub client_ca_file: Option<Spanned<PathBuf>>,
        pub acme: Later,
    }
}

yaml::record! {
    /// Where data lies.
    pub struct Storage {
        /// The data folder.
        pub path: Spanned<PathBuf> = Spanned::from(PathBuf::from("./data")),
        /// Users, dashboards and the like: `sqlite` (in the data folder) or `postgres://user@host/db`.
        pub metadata: MetadataUrl,
        pub metrics: MetricStorage,
    }
}

yaml::record! {
    /// The time-series database.
    pub struct MetricStorage {
        pub retention: Retention,
        /// How much older than the newest sample of its series a sample may be.
        pub out_of_order: Duration,
        /// How long an acknowledged scrape may stay unsynced; 0 makes every commit wait for the disk.
        pub sync_window: Duration = Duration::from_millis(200),
        /// Series at most; 0: bounded by memory only.
        pub series_max: u32,
        /// Series of one target at most; 0: no bound of its own.
        pub series_max_per_target: u32,
        /// Series of one metric at most; 0: no bound of its own.
        pub series_max_per_metric: u32,
    }
}

yaml::record! {
    /// How long samples are kept.
    pub struct Retention {
        /// Default: what `prometheus.yml` says, else 30d; without limit where only a size is given.
        pub time: Option<Duration>,
        /// Bytes of samples; 0: no bound.
        pub size: Bytes,
    }
}

impl Retention {
    /// What is kept where nobody says how long.
    const DEFAULT: Duration = Duration::from_secs(30 * 86_400);

    /// How long samples are kept; `None` for ever. `elsewhere` is what `prometheus.yml` says.
    #[must_use]
    pub fn time(&self, elsewhere: Option<Duration>) -> Option<Duration> {
        match self.time.or(elsewhere) {
            Some(time) if time.is_zero() => None,
            Some(time) => Some(time),
            None if self.size.0 > 0 => None,
            None => Some(Self::DEFAULT),
        }
    }
}

yaml::record! {
    /// What callers may use up.
    pub struct Limits {
        pub memory: Later,
        pub http: HttpLimits,
        pub query: QueryLimits,
    }
}

yaml::record! {
    /// Limits of PromQL.
    pub struct QueryLimits {
        /// No query runs longer.
        pub timeout: Duration = Duration::from_secs(120),
        /// Samples one query may hold at a time.
        #[yaml(range = 1..=10_000_000_000)]
        pub samples: u64 = 50_000_000,
        /// Memory all queries together may hold: bytes (`2GB`) or a part of the machine's (`25%`).
        pub memory: Memory = Memory::Percent(25),
        /// Queries at a time; more wait.
        #[yaml(range = 1..=10_000)]
        pub concurrency: u32 = 20,
        /// How old a sample may be and still count as current.
        pub lookback: Duration = Duration::from_secs(300),
    }
}

yaml::choice! {
    /// Whether the host is looked at.
    pub enum HostMode {
        /// Unless a target looks like node_exporter.
        Auto = "auto",
        On = "on",
        Off = "off",
    }
}

yaml::record! {
    /// What the server watches by itself.
    pub struct Own {
        /// Whether it scrapes its own metrics, as job `watchpost`.
        pub scrape: bool = true,
        /// The built-in collector of the host (processors, memory, disks, network), as job `node`: `auto` is on unless
        /// a target looks like node_exporter.
        pub host: HostMode,
        pub dead_man: Later,
    }
}

yaml::record! {
    /// The query language.
    pub struct Promql {
        /// Experimental parts by the names of Prometheus's `--enable-feature`.
        pub features: Vec<String>,
    }
}

yaml::record! {
    /// Limits of the listeners.
    pub struct HttpLimits {
        /// Connections at once; more are closed at once.
        #[yaml(range = 1..=1_000_000)]
        pub connections: u32 = 4096,
        /// Connections at once from one address.
        #[yaml(range = 1..=1_000_000)]
        pub per_address: u32 = 256,
    }
}

yaml::record! {
    /// What the server says about itself.
    pub struct Telemetry {
        pub log: Log,
        /// Where panics and errors of the server itself are reported: a Sentry DSN. Off where empty.
        pub sentry_dsn: Secret,
    }
}

yaml::choice! {
    /// The least severe line that is logged.
    pub enum LogLevel {
        Info = "info",
        Error = "error",
        Warn = "warn",
        Debug = "debug",
        Trace = "trace",
    }
}

yaml::choice! {
    /// How a log line is written.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One object a line.
        Json = "json",
    }
}

yaml::record! {
    /// The log, on standard error.
    pub struct Log {
        pub level: LogLevel,
        pub format: LogFormat,
    }
}

impl Settings {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        for listen in self.server.listen.iter().chain(&self.server.http_listen).filter(|_| !self.auth.enabled) {
            // The default is replaced by one on loopback (`load`).
            if !listen.value.is_loopback() && listen.place != Place::default() {
                cx.problem(
                    &listen.place,
                    format!(
                        "{}: other machines can reach this address, and auth.enabled is false; \
                         expected a loopback address such as 127.0.0.1:8443",
                        listen.value
                    ),
                );
            }
        }
        if self.server.listen.is_empty() && self.server.http_listen.is_empty() {
            cx.problem(at.map(), "server.listen and server.http_listen are both empty, expected at least one listener");
        }
    }
}

/// A session shorter than this would end while a page is being read.
const SESSION_LEAST: Duration = Duration::from_secs(60);
/// A cookie for a year is a password that nobody types.
const SESSION_MOST: Duration = Duration::from_secs(365 * 86_400);

impl SessionLimits {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        for (key, length) in [("idle", self.idle), ("max", self.max)] {
            if !(SESSION_LEAST..=SESSION_MOST).contains(&length) {
                cx.problem(at.value(key), format!("expected 1m to 1y, got {}", format_duration(length)));
            }
        }
        if self.idle > self.max {
            cx.problem(at.value("idle"), "expected at most max: a session does not outlive it");
        }
    }
}

impl Tls {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        match self.mode {
            TlsMode::Files if self.cert_file.is_none() || self.key_file.is_none() => {
                cx.problem(at.key("mode"), "mode files expects both cert_file and key_file");
            }
            TlsMode::Acme => {
                cx.problem(at.value("mode"), "mode acme is not built yet, expected one of auto, files, off");
            }
            TlsMode::Auto | TlsMode::Off if self.cert_file.is_some() || self.key_file.is_some() => {
                cx.problem(at.map(), "cert_file and key_file are read in mode files only, expected mode: files");
            }
            TlsMode::Auto | TlsMode::Off | TlsMode::Files => {}
        }
    }
}

/// The configuration in force: checked, and never changed again.
#[derive(Clone, Debug)]
pub struct Config {
    pub settings: Settings,
    /// What the file named by `prometheus` says; `None` where none is named.
    pub prometheus: Option<Arc<Prometheus>>,
    /// Where each value that is not a default came from, by path.
    pub origins: Vec<(String, String)>,
    /// What works but should be known: variables nobody reads, files named but not used yet.
    pub warnings: Vec<String>,
    /// The files that were read, so that their folders can be watched.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// The configuration as YAML, secrets hidden: what is shown to people and kept as the last good one.
    #[must_use]
    pub fn redacted(&self) -> String {
        yaml::to_string(&self.settings)
    }

    /// The `prometheus.yml` in force, secrets hidden; empty where there is none.
    #[must_use]
    pub fn prometheus_yaml(&self) -> String {
        self.prometheus.as_ref().map_or_else(String::new, |file| file.shown.clone())
    }

    /// Every key with its value in force and where that came from, secrets hidden.
    #[must_use]
    pub fn shown(&self) -> Vec<ShownSetting> {
        let root = self.settings.encode();
        let origin =
            |path: &str| self.origins.iter().find(|(known, _)| known == path).map(|(_, origin)| origin.clone());
        let entries = yaml::schema::entries::<Settings>().into_iter();
        let shown = entries.filter_map(|entry| {
            let node = entry.path.split('.').try_fold(&root, |node, key| node.get(key))?;
            let origin = origin(&entry.path);
            Some(ShownSetting { value: yaml::write::to_line(node), key: entry.path, origin })
        });
        shown.collect()
    }

    /// Which keys differ from `newer` that only a start takes over.
    #[must_use]
    pub fn needs_restart(&self, newer: &Self) -> Vec<&'static str> {
        let (old, new) = (&self.settings, &newer.settings);
        let differs = [
            ("server.listen", old.server.listen != new.server.listen),
            ("server.http_listen", old.server.http_listen != new.server.http_listen),
            ("server.external_url", old.server.external_url != new.server.external_url),
            ("server.trusted_proxies", old.server.trusted_proxies != new.server.trusted_proxies),
            ("server.tls", old.server.tls != new.server.tls),
            ("auth.enabled", old.auth.enabled != new.auth.enabled),
            ("storage", old.storage != new.storage),
            ("limits.query", old.limits.query != new.limits.query),
            ("promql", old.promql != new.promql),
            ("limits.http", old.limits.http != new.limits.http),
            ("telemetry.log.format", old.telemetry.log.format != new.telemetry.log.format),
            ("telemetry.sentry_dsn", old.telemetry.sentry_dsn != new.telemetry.sentry_dsn),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// One key of the running configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSetting {
    /// `server.listen`
    pub key: String,
    /// As it would stand in the file.
    pub value: String,
    /// `watchpost.yml:3:5`, an environment variable or a flag; `None` where it is the default.
    pub origin: Option<String>,
}

/// How long a changed file is left alone, because editors write in several steps.
pub const DEBOUNCE: Duration = Duration::from_secs(1);
