//! The flags of `serve`: ours, and those of the programs Watchpost replaces.
//!
//! Every flag Prometheus knows stands here: it sets something, waits for a capability (a warning names it), or has
//! no meaning here (a warning says why). A flag that is not in the table is refused.

/// What giving a flag does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Sets one key of the configuration.
    Sets(&'static str),
    /// Sets a key that is a list; may be given several times.
    Adds(&'static str),
    /// Changes how the process runs; handled by name.
    Runs,
    /// Known, but what it configures is not built yet.
    Later(&'static str),
    /// Known, but without a meaning here.
    Ignored(&'static str),
}

/// Whether a flag takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// `--flag VALUE` or `--flag=VALUE`; the text is the placeholder in the help.
    Value(&'static str),
    /// `--flag`, `--flag=false` or `--no-flag`.
    Switch,
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    pub(crate) effect: Effect,
    /// Shown by `--help`; empty for the flags that only warn.
    pub(crate) help: &'static str,
}

const fn flag(name: &'static str, takes: Takes, effect: Effect, help: &'static str) -> Flag {
    Flag { name, takes, effect, help }
}

/// A flag of Prometheus that is accepted so that its command line starts, and only warns.
const fn ignored(name: &'static str, takes: Takes, why: &'static str) -> Flag {
    Flag { name, takes, effect: Effect::Ignored(why), help: "" }
}

const ADDR: Takes = Takes::Value("HOST:PORT");
const FILE: Takes = Takes::Value("FILE");
const DIR: Takes = Takes::Value("DIR");
const ANY: Takes = Takes::Value("VALUE");

const OWN_ENGINE: &str = "the storage here has another layout and tunes itself";
const GO_RUNTIME: &str = "it tunes the Go runtime";
const AGENT_MODE: &str = "there is no agent mode; remote write works beside the local storage";

/// All flags of `serve`, in the order in which the help shows them.
pub(crate) const SERVE: &[Flag] = &[
    flag("config", FILE, Effect::Runs, "the configuration file (default: ./watchpost.yml where it exists)"),
    flag("data", DIR, Effect::Sets("storage.path"), "the data folder (default: ./data)"),
    flag("listen", ADDR, Effect::Adds("server.listen"), "a TLS listener; may be given several times"),
    flag("http-listen", ADDR, Effect::Adds("server.http_listen"), "a plain HTTP listener, open to every peer"),
    flag("tls", Takes::Value("MODE"), Effect::Sets("server.tls.mode"), "auto (own CA), files, or off"),
    flag("auth", Takes::Value("on|off"), Effect::Runs, "off: no login, loopback only, everyone is admin"),
    flag("config.file", FILE, Effect::Sets("prometheus"), "an existing prometheus.yml"),
    flag("storage.tsdb.path", DIR, Effect::Sets("storage.path"), "the same as --data"),
    flag(
        "storage.tsdb.retention.time",
        Takes::Value("DURATION"),
        Effect::Sets("storage.metrics.retention.time"),
        "how long samples are kept",
    ),
    flag(
        "storage.tsdb.retention.size",
        Takes::Value("BYTES"),
        Effect::Sets("storage.metrics.retention.size"),
        "how many bytes of samples are kept",
    ),
    flag(
        "web.listen-address",
        ADDR,
        Effect::Adds("server.http_listen"),
        "a plain HTTP listener; replaces the default TLS listener",
    ),
    flag("web.external-url", Takes::Value("URL"), Effect::Sets("server.external_url"), "the address users see"),
    flag("web.enable-lifecycle", Takes::Switch, Effect::Runs, "allow POST /-/reload and /-/quit without login"),
    flag("web.enable-admin-api", Takes::Switch, Effect::Runs, "allow the admin API without login"),
    flag("web.enable-remote-write-receiver", Takes::Switch, Effect::Runs, "accept remote write without login"),
    flag(
        "query.timeout",
        Takes::Value("DURATION"),
        Effect::Sets("limits.query.timeout"),
        "the longest a query may run",
    ),
    flag(
        "query.max-concurrency",
        Takes::Value("N"),
        Effect::Sets("limits.query.concurrency"),
        "how many queries run at once",
    ),
    flag(
        "query.max-samples",
        Takes::Value("N"),
        Effect::Sets("limits.query.samples"),
        "how many samples one query may hold",
    ),
    flag(
        "query.lookback-delta",
        Takes::Value("DURATION"),
        Effect::Sets("limits.query.lookback"),
        "how old a sample may be",
    ),
    flag("enable-feature", Takes::Value("NAME,…"), Effect::Adds("promql.features"), "experimental features by name"),
    flag("alertmanager.config", FILE, Effect::Later("notifications"), "an existing alertmanager.yml"),
    flag("blackbox.config", FILE, Effect::Later("health checks"), "an existing blackbox.yml"),
    flag("grafana.provisioning", DIR, Effect::Later("dashboards"), "a Grafana provisioning folder"),
    flag("grafana.dashboards", DIR, Effect::Later("dashboards"), "dashboard JSON; may be given several times"),
    flag("log.level", Takes::Value("LEVEL"), Effect::Sets("telemetry.log.level"), "debug, info, warn or error"),
    flag("log.format", Takes::Value("FORMAT"), Effect::Sets("telemetry.log.format"), "text or json"),
    ignored("config.auto-reload-interval", ANY, "changed files are noticed at once"),
    ignored("web.config.file", FILE, "use server.tls and the built-in login"),
    ignored("web.read-timeout", ANY, "the listener has limits of its own"),
    ignored("web.max-connections", ANY, "use limits.http.connections"),
    ignored("web.max-notifications-subscribers", ANY, "there is no notification stream"),
    ignored("web.route-prefix", ANY, "the path of --web.external-url is the prefix"),
    ignored("web.user-assets", DIR, "pages are built in"),
    ignored("web.console.templates", DIR, "there are no console templates"),
    ignored("web.console.libraries", DIR, "there are no console templates"),
    ignored("web.page-title", ANY, "pages are built in"),
    ignored("web.cors.origin", ANY, "pages of other origins call with a token through their own server"),
    flag("web.enable-otlp-receiver", Takes::Switch, Effect::Later("OTLP"), ""),
    ignored("storage.tsdb.retention", ANY, "use --storage.tsdb.retention.time"),
    ignored("storage.tsdb.retention.percentage", ANY, "use --storage.tsdb.retention.size"),
    ignored("storage.tsdb.no-lockfile", Takes::Switch, "the data folder is always locked"),
    ignored("storage.tsdb.allow-overlapping-blocks", Takes::Switch, OWN_ENGINE),
    ignored("storage.tsdb.min-block-duration", ANY, OWN_ENGINE),
    ignored("storage.tsdb.max-block-duration", ANY, OWN_ENGINE),
    ignored("storage.tsdb.max-block-chunk-segment-size", ANY, OWN_ENGINE),
    ignored("storage.tsdb.wal-segment-size", ANY, OWN_ENGINE),
    ignored("storage.tsdb.wal-compression", Takes::Switch, OWN_ENGINE),
    ignored("storage.tsdb.wal-compression-type", ANY, OWN_ENGINE),
    ignored("storage.tsdb.head-chunks-write-queue-size", ANY, OWN_ENGINE),
    ignored("storage.tsdb.samples-per-chunk", ANY, OWN_ENGINE),
    ignored("storage.tsdb.delayed-compaction.max-percent", ANY, OWN_ENGINE),
    ignored("storage.tsdb.delay-compact-file.path", ANY, OWN_ENGINE),
    ignored("storage.tsdb.block-reload-interval", ANY, OWN_ENGINE),
    ignored("storage.remote.flush-deadline", ANY, "unsent samples stay in the log and are sent after the next start"),
    ignored("storage.remote.read-sample-limit", ANY, "there is no remote read endpoint"),
    ignored("storage.remote.read-concurrent-limit", ANY, "there is no remote read endpoint"),
    ignored("storage.remote.read-max-bytes-in-frame", ANY, "there is no remote read endpoint"),
    ignored("storage.agent.path", DIR, AGENT_MODE),
    ignored("storage.agent.wal-segment-size", ANY, AGENT_MODE),
    ignored("storage.agent.wal-compression", Takes::Switch, AGENT_MODE),
    ignored("storage.agent.wal-compression-type", ANY, AGENT_MODE),
    ignored("storage.agent.wal-truncate-frequency", ANY, AGENT_MODE),
    ignored("storage.agent.retention.min-time", ANY, AGENT_MODE),
    ignored("storage.agent.retention.max-time", ANY, AGENT_MODE),
    ignored("storage.agent.no-lockfile", Takes::Switch, AGENT_MODE),
    ignored("agent", Takes::Switch, AGENT_MODE),
    flag("rules.alert.for-outage-tolerance", ANY, Effect::Later("rules"), ""),
    flag("rules.alert.for-grace-period", ANY, Effect::Later("rules"), ""),
    flag("rules.alert.resend-delay", ANY, Effect::Later("rules"), ""),
    flag("rules.max-concurrent-evals", ANY, Effect::Later("rules"), ""),
    flag("scrape.adjust-timestamps", Takes::Switch, Effect::Later("scraping"), ""),
    flag("scrape.timestamp-tolerance", ANY, Effect::Later("scraping"), ""),
    flag("scrape.name-escaping-scheme", ANY, Effect::Later("scraping"), ""),
    ignored("scrape.discovery-reload-interval", ANY, "discovered targets are taken over at once"),
    flag("alertmanager.notification-queue-capacity", ANY, Effect::Later("notifications"), ""),
    flag("alertmanager.notification-batch-size", ANY, Effect::Later("notifications"), ""),
    flag("alertmanager.drain-notification-queue-on-shutdown", Takes::Switch, Effect::Later("notifications"), ""),
    ignored("auto-gomaxprocs", Takes::Switch, GO_RUNTIME),
    ignored("auto-gomemlimit", Takes::Switch, GO_RUNTIME),
    ignored("auto-gomemlimit.ratio", ANY, GO_RUNTIME),
];

/// Finds a flag of `serve` by its name without dashes.
pub(crate) fn find(name: &str) -> Option<&'static Flag> {
    SERVE.iter().find(|flag| flag.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_stands_in_the_table_twice() {
        for (index, flag) in SERVE.iter().enumerate() {
            assert!(SERVE[index + 1..].iter().all(|other| other.name != flag.name), "--{}", flag.name);
        }
    }

    #[test]
    fn a_flag_that_does_something_is_in_the_help() {
        for flag in SERVE {
            let does_something = !matches!(flag.effect, Effect::Ignored(_) | Effect::Later(_));
            assert!(!does_something || !flag.help.is_empty(), "--{}", flag.name);
        }
    }
}
