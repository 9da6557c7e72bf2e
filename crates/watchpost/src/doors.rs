//! The doors of this process: which sockets, which certificate, and the service behind them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use appliance::Appliance;
use appliance::config::{Config, Server, TlsMode};
use appliance::health::{Health, Verdict};
use appliance::supervise::{LoopError, LoopSpec, OnEnd, Stage, Supervisor};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use model::meter::{Desc, Kind, Registry};
use model::time::Clock;
use net::body::Inbound;
use net::door::{Door, DoorKind, DoorSettings, Listener};
use net::forwarded::TrustedProxies;
use net::limits::Limits;
use net::tls::{Refreshed, TlsPort};
use tokio_util::sync::CancellationToken;
use tower::{Layer as _, ServiceExt as _};
use tracing::{info, warn};
use yaml::Spanned;

use crate::front::{self, Front, FrontOptions};

/// Certificate files are looked at this often, besides each reload: a renewal by another program is seen in time.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(60);
/// A certificate that ends sooner than this is worth a warning.
const CERTIFICATE_WARN: Duration = Duration::from_secs(21 * 24 * 3600);

/// The TLS of the doors; `None` in mode `off`.
pub(crate) fn open_tls(config: &Config, data: &Path, clock: &Arc<dyn Clock>) -> anyhow::Result<Option<Arc<TlsPort>>> {
    let server = &config.settings.server;
    let file = |path: &Option<Spanned<PathBuf>>| path.as_ref().map(|path| path.place.resolve(&path.value));
    let mode = match server.tls.mode {
        TlsMode::Off => return Ok(None),
        TlsMode::Auto | TlsMode::Acme => {
            net::tls::TlsMode::Auto { folder: data.join("tls"), names: certificate_names(server) }
        }
        TlsMode::Files => net::tls::TlsMode::Files {
            cert_file: file(&server.tls.cert_file).unwrap_or_default(),
            key_file: file(&server.tls.key_file).unwrap_or_default(),
        },
    };
    let tls = TlsPort::open(mode, file(&server.tls.client_ca_file), Arc::clone(clock));
    tls.map(Some).context("the certificate cannot be used")
}

/// What the certificate of our own authority must be valid for.
fn certificate_names(server: &Server) -> Vec<String> {
    let external = server.external_url.iter().map(|url| {
        let authority = &url.value.authority;
        let host = authority
            .rsplit_once(':')
            .filter(|(_, port)| port.parse::<u16>().is_ok())
            .map_or(authority.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
    });
    let listened = server.listen.iter().map(|listen| listen.value.host.to_string()).filter(|host| !host.is_empty());
    external.chain(listened).collect()
}

/// Doors that are open.
pub(crate) struct Opened {
    addresses: Vec<(DoorKind, SocketAddr)>,
}

/// Opens every listener and starts to serve.
pub(crate) async fn open(
    config: &Config,
    app: &Arc<Appliance>,
    tls: Option<Arc<TlsPort>>,
    clock: &Arc<dyn Clock>,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Opened> {
    let server = &config.settings.server;
    let tls_kind = if tls.is_some() { DoorKind::Tls } else { DoorKind::Plain };
    let mut listeners = Vec::new();
    for (listen, kind) in
        server.listen.iter().map(|l| (l, tls_kind)).chain(server.http_listen.iter().map(|l| (l, DoorKind::Plain)))
    {
        listeners.push(Listener::bind(&listen.value.to_string(), kind).await?);
    }
    let trusted = TrustedProxies::new(server.trusted_proxies.clone());
    let limits = Limits {
        connections_max: config.settings.limits.http.connections as usize,
        connections_per_address_max: config.settings.limits.http.per_address as usize,
        ..Limits::default()
    };
    let external_url = server.external_url.as_ref().map(|url| url.value.to_string());
    let door = Door::new(listeners, tls, DoorSettings { limits, trusted_proxies: trusted.clone(), external_url });
    let addresses = door.local_addrs();
    register(&app.registry, &door)?;
    let front = Front::new(
        FrontOptions {
            health: Arc::clone(&app.health),
            clock: Arc::clone(clock),
            trusted_proxies: trusted,
            prefix: server.external_url.as_ref().map_or_else(String::new, |url| url.value.prefix.clone()),
            loopback_names_only: true,
        },
        &app.registry,
    )?;
    let routes = Router::new().merge(api::router(Arc::clone(app))).route_layer(from_fn(front::note_route));
    let service = from_fn_with_state(Arc::new(front), front::pass).layer(routes);
    let service = service.map_request(|request: Request<Inbound>| request.map(Body::new));
    // The loop is started once: its end is fatal, so the door is there to be taken.
    let once = Mutex::new(Some(door));
    supervisor.start(LoopSpec { name: "doors", stage: Stage::Doors, on_end: OnEnd::Fatal }, move |stop| {
        let door = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        let service = service.clone();
        async move {
            let Some(door) = door else { return Err(LoopError::failed("the doors were opened twice")) };
            let drained = door.serve(service, stop).await;
            info!(open = drained.open, cut = drained.cut, "connections drained");
            Ok(())
        }
    });
    Ok(Opened { addresses })
}

fn register(registry: &Registry, door: &Door) -> anyhow::Result<()> {
    let stats = door.stats();
    let desc = Desc::new("watchpost_door_events_total", "What happened at the listeners, by kind.");
    registry.collect(Kind::Counter, desc, ["event"], move |out| {
        for (event, count) in stats.all() {
            out.push([event], count as f64);
        }
    })?;
    Ok(())
}

impl Opened {
    /// Says where to go.
    pub(crate) fn announce(&self, config: &Config, tls: bool) {
        if let Some(url) = &config.settings.server.external_url {
            info!("watchpost is ready: {}/", url.value);
        }
        for (kind, address) in &self.addresses {
            let scheme = if *kind == DoorKind::Tls { "https" } else { "http" };
            info!("watchpost is ready: {scheme}://{address}/");
        }
        if tls && config.settings.server.tls.mode == TlsMode::Auto {
            info!(
                "the certificate is our own; trust it with the authority at /ca.crt, or set server.tls.mode to files"
            );
        }
    }
}

/// Keeps the certificate fresh and says how it is.
pub(crate) async fn keep_certificate(
    tls: Arc<TlsPort>,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    loop {
        let port = Arc::clone(&tls);
        match tokio::task::spawn_blocking(move || port.refresh()).await {
            Ok(Ok(Refreshed::Replaced)) => info!("the certificate was replaced"),
            Ok(Ok(Refreshed::Unchanged)) => {}
            Ok(Err(error)) => warn!(%error, "the certificate could not be read again, the old one stays"),
            Err(panic) => warn!(%panic, "looking at the certificate failed"),
        }
        let status = tls.status();
        let left = status.not_after.since(clock.now());
        match status.problem {
            Some(problem) => health.say("certificate", Verdict::Warn, problem),
            None if left < CERTIFICATE_WARN => {
                health.say("certificate", Verdict::Warn, format!("it ends at {}", status.not_after));
            }
            None => health.say("certificate", Verdict::Pass, format!("valid until {}", status.not_after)),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CERTIFICATE_LOOK) => {}
        }
    }
}
