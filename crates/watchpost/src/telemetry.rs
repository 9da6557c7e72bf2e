//! What the server says about itself: the log on standard error, and panics handed to the `sentry` crate.
//!
//! Promise: nothing leaves the machine unless a DSN is configured. The level follows the configuration at run time.

use std::sync::Arc;
use std::time::Duration;

use appliance::config::{LogFormat, LogLevel, Telemetry};
use model::secret::Secret;
use model::time::Clock;
use sentry::{ClientOptions, Envelope, Transport, TransportFactory};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

/// Reports waiting to be sent. At the bound new ones are dropped: the log has them.
const REPORTS_WAITING_MAX: usize = 32;
/// One report, sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// What a Sentry server may answer; only its status matters.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Changes the level while the server runs.
#[derive(Clone)]
pub(crate) struct LevelHandle(reload::Handle<LevelFilter, Registry>);

impl LevelHandle {
    pub(crate) fn set(&self, level: LogLevel) {
        if let Err(error) = self.0.reload(filter(level)) {
            warn!(%error, "the log level could not be changed");
        }
    }
}

const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Starts the log. Called once, before anything is logged.
pub(crate) fn start_log(telemetry: &Telemetry) -> LevelHandle {
    let (level, handle) = reload::Layer::new(filter(telemetry.log.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match telemetry.log.format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    // Libraries are heard only when something is wrong with them.
    let ours = tracing_subscriber::filter::Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(["hyper", "h2", "rustls", "sqlx", "tokio_cron_scheduler"].map(|name| (name, LevelFilter::WARN)));
    // A second start in one process (a test) keeps the first.
    let _already_started = tracing_subscriber::registry().with(level).with(lines.with_filter(ours)).try_init();
    LevelHandle(handle)
}

/// Reports of our own panics, on their way out.
pub(crate) struct Reports {
    _client: sentry::ClientInitGuard,
    waiting: mpsc::Receiver<Envelope>,
    endpoint: String,
    authorization: Secret,
    client: net::client::Client,
}

/// Starts reporting; `None` without a DSN.
pub(crate) fn start_reports(dsn: &Secret, clock: Arc<dyn Clock>) -> Result<Option<Reports>, String> {
    if dsn.is_empty() {
        return Ok(None);
    }
    let parsed: sentry::types::Dsn =
        dsn.expose().parse().map_err(|error| format!("telemetry.sentry_dsn: expected https://key@host/project: {error}"))?;
    let (queue, waiting) = mpsc::channel(REPORTS_WAITING_MAX);
    let endpoint = parsed.envelope_api_url().to_string();
    let authorization = Secret::new(parsed.to_auth(Some("watchpost")).to_string());
    let options = ClientOptions {
        dsn: Some(parsed),
        release: Some(env!("CARGO_PKG_VERSION").into()),
        send_default_pii: false,
        transport: Some(Arc::new(Outbox { queue })),
        ..ClientOptions::default()
    };
    let client = net::client::Client::new(net::client::Options::default(), clock)
        .map_err(|error| format!("telemetry.sentry_dsn: {error}"))?;
    Ok(Some(Reports { _client: sentry::init(options), waiting, endpoint, authorization, client }))
}

/// What the `sentry` crate hands reports to: it may be inside a panic, so it only queues.
struct Outbox {
    queue: mpsc::Sender<Envelope>,
}

impl TransportFactory for Outbox {
    fn create_transport(&self, _options: &ClientOptions) -> Arc<dyn Transport> {
        Arc::new(Self { queue: self.queue.clone() })
    }
}

impl Transport for Outbox {
    fn send_envelope(&self, envelope: Envelope) {
        // Full: the reports that wait tell the same story.
        let _dropped = self.queue.try_send(envelope);
    }
}

impl Reports {
    /// Sends what is queued until told to stop, then what is left.
    pub(crate) async fn run(&mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                envelope = self.waiting.recv() => match envelope {
                    Some(envelope) => self.send(&envelope).await,
                    None => break,
                },
            }
        }
        while let Ok(envelope) = self.waiting.try_recv() {
            self.send(&envelope).await;
        }
    }

    async fn send(&self, envelope: &Envelope) {
        let mut body = Vec::new();
        if envelope.to_writer(&mut body).is_err() {
            return;
        }
        let request = net::client::Request::post(&self.endpoint, body)
            .header("content-type", "application/x-sentry-envelope")
            .header("x-sentry-auth", self.authorization.expose())
            .timeout(SEND_TIMEOUT)
            .body_bytes_max(ANSWER_BYTES_MAX);
        match self.client.send(request).await {
            Ok(answer) if answer.status.is_success() => {}
            Ok(answer) => warn!(status = answer.status.as_u16(), "an error report was not accepted"),
            Err(error) => warn!(%error, "an error report could not be sent"),
        }
    }
}
