//! What the server says about itself: the log on standard error, and panics handed to the `sentry` crate.
//!
//! Promise: nothing leaves the machine unless a DSN is configured. The level follows the configuration at run time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use appliance::config::{LogFormat, LogLevel, Telemetry};
use appliance::supervise::LoopError;
use axum::http::{HeaderValue, header};
use model::secret::Secret;
use model::time::Clock;
use net::client::{Call, Client};
use sentry::{ClientOptions, Envelope, Transport, TransportFactory};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

use crate::version::VERSION;

/// Reports waiting to be sent. At the bound new ones are dropped: the log has them.
const REPORTS_WAITING_MAX: usize = 32;
/// One report, sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

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
    _reporting: sentry::ClientInitGuard,
    waiting: Mutex<mpsc::Receiver<Envelope>>,
    endpoint: String,
    authorization: Secret,
    client: Client,
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
    /// Starts reporting; `None` without a DSN.
    pub(crate) fn start(dsn: &Secret, clock: Arc<dyn Clock>) -> anyhow::Result<Option<Arc<Self>>> {
        if dsn.is_empty() {
            return Ok(None);
        }
        // The parser's own message may repeat the text, which is a secret.
        let Ok(parsed) = dsn.expose().parse::<sentry::types::Dsn>() else {
            bail!("telemetry.sentry_dsn: expected https://key@host/project");
        };
        let (queue, waiting) = mpsc::channel(REPORTS_WAITING_MAX);
        let endpoint = parsed.envelope_api_url().to_string();
        let authorization = Secret::new(parsed.to_auth(Some("watchpost")).to_string());
        let mut options = ClientOptions::default();
        options.dsn = Some(parsed);
        options.release = Some(VERSION.into());
        options.transport = Some(Arc::new(Outbox { queue }));
        let client = Client::new(net::client::ClientOptions::default(), clock)?;
        let reporting = sentry::init(options);
        Ok(Some(Arc::new(Self {
            _reporting: reporting,
            waiting: Mutex::new(waiting),
            endpoint,
            authorization,
            client,
        })))
    }

    /// Sends what is queued until told to stop, then what is left.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), LoopError> {
        let mut waiting = self.waiting.lock().await;
        loop {
            let envelope = tokio::select! {
                () = stop.cancelled() => break,
                envelope = waiting.recv() => envelope,
            };
            let Some(envelope) = envelope else { return Ok(()) };
            self.send(&envelope).await;
        }
        while let Ok(envelope) = waiting.try_recv() {
            self.send(&envelope).await;
        }
        Ok(())
    }

    async fn send(&self, envelope: &Envelope) {
        let mut body = Vec::new();
        if envelope.to_writer(&mut body).is_err() {
            return;
        }
        let mut call = Call::post(&self.endpoint, body);
        call.budget.total = SEND_TIMEOUT;
        let kind = HeaderValue::from_static("application/x-sentry-envelope");
        call.headers.insert(header::CONTENT_TYPE, kind);
        if let Ok(mut authorization) = HeaderValue::from_str(self.authorization.expose()) {
            authorization.set_sensitive(true);
            call.headers.insert("x-sentry-auth", authorization);
        }
        match self.client.send(call).await {
            Ok(reply) if reply.status.is_success() => {}
            Ok(reply) => warn!(status = reply.status.as_u16(), "an error report was not accepted"),
            Err(error) => warn!(%error, "an error report could not be sent"),
        }
    }
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
