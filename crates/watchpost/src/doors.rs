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
use appliance::surface::Entry;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::MethodRouter;
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
use crate::gate::{self, Gate, Guard};

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

/// What stands behind the doors: probes while the server starts, then everything. Swapped whole.
pub(crate) type Routes = Arc<ArcSwap<Router>>;

/// Doors that are open.
pub(crate) struct Opened {
    addresses: Vec<(DoorKind, SocketAddr)>,
    routes: Routes,
}

/// What doors need of the rest.
pub(crate) struct Rest<'r> {
    pub(crate) health: &'r Arc<Health>,
    pub(crate) registry: &'r Registry,
    pub(crate) clock: &'r Arc<dyn Clock>,
}

/// Opens every listener and starts to answer probes.
pub(crate) async fn open(
    config: &Config,
    rest: &Rest<'_>,
    tls: Option<Arc<TlsPort>>,
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
    register(rest.registry, &door)?;
    let front = Front::new(
        FrontOptions {
            health: Arc::clone(rest.health),
            clock: Arc::clone(rest.clock),
            trusted_proxies: trusted,
            prefix: prefix(config),
            loopback_names_only: !config.settings.auth.enabled,
        },
        rest.registry,
    )?;
    let routes: Routes = Arc::new(ArcSwap::from_pointee(api::starting(rest.health)));
    serve(door, Arc::new(front), Arc::clone(&routes), supervisor);
    Ok(Opened { addresses, routes })
}

/// The path of `server.external_url`; empty for none.
pub(crate) fn prefix(config: &Config) -> String {
    config.settings.server.external_url.as_ref().map_or_else(String::new, |url| url.value.prefix.clone())
}

fn serve(door: Door, front: Arc<Front>, routes: Routes, supervisor: &mut Supervisor) {
    let routed = tower::service_fn(move |request: Request<Body>| {
        let router = Router::clone(&routes.load());
        router.oneshot(request)
    });
    let service = from_fn_with_state(front, front::pass).layer(routed);
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
}

/// Every route there is, each behind the gate, and an answer for all other addresses.
pub(crate) fn router(app: &Arc<Appliance>, gate: &Arc<Gate>) -> Router {
    let nowhere = Guard::nowhere(gate);
    let missing = move |status| {
        let guard = nowhere.clone();
        move |request: Request<Body>| async move { guard.missing(status, &request.into_parts().0) }
    };
    behind_gate(api::surface(app).merge(ui::handlers::surface(app)), gate)
        .route_layer(from_fn(front::note_route))
        .fallback(missing(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(missing(StatusCode::METHOD_NOT_ALLOWED))
}

/// Routes that can be reached through the gate only.
pub(crate) fn behind_gate(routes: impl IntoIterator<Item = Entry<MethodRouter>>, gate: &Arc<Gate>) -> Router {
    routes.into_iter().fold(Router::new(), |router, entry| {
        let guard = Guard::new(gate, &entry);
        router.route(entry.path, entry.handler.route_layer(from_fn_with_state(guard, gate::pass)))
    })
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
    /// From probes to everything.
    pub(crate) fn admit(&self, router: Router) {
        self.routes.store(Arc::new(router));
    }

    /// The address to go to, as far as it is known: the external one, else that of the first listener.
    pub(crate) fn url(&self, config: &Config, tls: bool) -> String {
        if let Some(url) = &config.settings.server.external_url {
            return url.value.to_string();
        }
        self.addresses.first().map_or_else(String::new, |(kind, address)| {
            let scheme = if *kind == DoorKind::Tls && tls { "https" } else { "http" };
            format!("{scheme}://{}", reachable(*address))
        })
    }

    /// Says where to go.
    pub(crate) fn announce(&self, config: &Config, tls: bool) {
        if let Some(url) = &config.settings.server.external_url {
            info!("watchpost is ready: {}/", url.value);
        }
        for (kind, address) in &self.addresses {
            let scheme = if *kind == DoorKind::Tls { "https" } else { "http" };
            info!("watchpost is ready: {scheme}://{}/", reachable(*address));
        }
        if tls && config.settings.server.tls.mode == TlsMode::Auto {
            info!(
                "the certificate is our own; trust it with the authority at /ca.crt, or set server.tls.mode to files"
            );
        }
    }
}

/// A listener for every address is reached by the machine's own name on it.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
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
