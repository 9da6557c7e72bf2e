//! Every route there is, asked for by everybody there is: reached only by those the table below names.
//!
//! The handlers are replaced, so that nothing happens but the decision.

use std::collections::BTreeSet;
use std::time::Duration;

use ::tests::folder::Folder;
use appliance::config::load::{Sources, load};
use appliance::health::Health;
use appliance::identity::{LoginRequest, Parts as IdentityParts, Settings, TokenRequest, UserRequest};
use appliance::reload::Reloader;
use appliance::surface::{Method, Surface};
use appliance::targets::{Nothing, Watched};
use appliance::{Appliance, Facts};
use auth::permit::{Role, Scope};
use auth::phc::Cost;
use auth::seal::{OpenMode, SealKey};
use axum::body::Body;
use axum::routing::{MethodFilter, MethodRouter, on};
use model::meter::Registry;
use model::time::{Clock, ManualClock, Timestamp};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::doors;

/// What a replaced handler answers.
const REACHED: StatusCode = StatusCode::IM_A_TEAPOT;
const PASSWORD: &str = "plum-orbit-canvas-71";

/// Who asks, and what they show.
struct Asker {
    name: String,
    role: Option<Role>,
    /// `None` for people; the scope of a program's token otherwise.
    scope: Option<Scope>,
    header: Option<(header::HeaderName, String)>,
}

/// Which role a deed needs, and which scope: the promise of the guide, written down a second time.
const DEEDS: [(Action, Option<Role>, Option<Scope>); 16] = [
    (Action::Public, None, None),
    (Action::OwnAccount, Some(Role::Viewer), None),
    (Action::View, Some(Role::Viewer), Some(Scope::MetricsRead)),
    (Action::ReadMetrics, Some(Role::Viewer), Some(Scope::MetricsRead)),
    (Action::WriteMetrics, Some(Role::Editor), Some(Scope::MetricsWrite)),
    (Action::ReadAlerts, Some(Role::Viewer), Some(Scope::AlertsRead)),
    (Action::WriteAlerts, Some(Role::Editor), Some(Scope::AlertsWrite)),
    (Action::ReadRules, Some(Role::Viewer), Some(Scope::RulesRead)),
    (Action::ReadErrors, Some(Role::Viewer), Some(Scope::ErrorsRead)),
    (Action::WriteErrors, Some(Role::Editor), Some(Scope::ErrorsWrite)),
    (Action::ReadChecks, Some(Role::Viewer), Some(Scope::ChecksRead)),
    (Action::WriteChecks, Some(Role::Editor), Some(Scope::ChecksWrite)),
    (Action::ReadDashboards, Some(Role::Viewer), Some(Scope::DashboardsRead)),
    (Action::WriteDashboards, Some(Role::Editor), Some(Scope::DashboardsWrite)),
    (Action::Administer, Some(Role::Admin), Some(Scope::Admin)),
    (Action::Operate, Some(Role::Admin), Some(Scope::Admin)),
];

impl Asker {
    fn may(&self, action: Action, kind: Kind, method: Method) -> bool {
        let (_, role, scope) =
            DEEDS.into_iter().find(|(known, ..)| *known == action).expect("every deed is in the table");
        let Some(role) = role else { return !self.name.starts_with("an ended") };
        if self.role.is_none_or(|own| own < role) {
            return false;
        }
        match self.scope {
            Some(own) => scope.is_some_and(|needed| own == needed || own == Scope::Admin),
            // People's cookies open no endpoint that programs write to.
            None => kind != Kind::Machine || !method.changes(),
        }
    }
}

struct World {
    app: Arc<Appliance>,
    gate: Arc<Gate>,
    askers: Vec<Asker>,
    _folder: Folder,
}

async fn world() -> World {
    let folder = Folder::new("gate");
    let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000)));
    let key = SealKey::open(&folder.path().join("secret.key"), OpenMode::MakeIfMissing).expect("a new key");
    let config = load(&Sources::default()).expect("defaults are right");
    let settings = Settings::of(&config.settings);
    let ports = Arc::new(auth::memory::Memory::new());
    let own_clock: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    // As cheap as it gets: this is not about passwords.
    let cost = Cost::LEAST;
    let parts = IdentityParts { ports, clock: Arc::clone(&own_clock), key, settings, cost };
    let identity = Arc::new(Identity::new(parts).expect("it hashes"));
    let askers = askers(&identity, &clock).await;
    let registry = Registry::new();
    let reloader = Reloader::new(Sources::default(), config, folder.path(), Arc::clone(&own_clock), &registry);
    let reloader = Arc::new(reloader.expect("a new registry"));
    let metrics = crate::samples::open(
        &reloader.current(),
        folder.path(),
        &crate::samples::Around {
            identity: &identity,
            clock: &own_clock,
            registry: &registry,
            admin_open: false,
            receiver_open: false,
        },
    );
    let app = Arc::new(Appliance {
        registry,
        health: Arc::new(Health::new(Arc::clone(&own_clock), "0")),
        reloader,
        identity: Arc::clone(&identity),
        metrics: metrics.expect("a new database"),
        targets: Watched::new(Arc::new(Nothing)),
        clock: own_clock,
        facts: Facts::default(),
        quit: CancellationToken::new(),
        lifecycle: false,
        ca_certificate: None,
    });
    let gate = Arc::new(Gate { identity, login: true, external_url: String::new(), prefix: String::new() });
    World { app, gate, askers, _folder: folder }
}

async fn askers(identity: &Identity, clock: &ManualClock) -> Vec<Asker> {
    let operator = Caller::operator();
    let mut askers = vec![Asker { name: "nobody".to_owned(), role: None, scope: None, header: None }];
    let mut admin = None;
    for role in Role::ALL {
        let name = role.as_str().to_owned();
        let request = UserRequest { name: name.clone(), role, password: Some(Secret::new(PASSWORD)) };
        let made = identity.create_user(&operator, &request).await.expect("a user");
        admin = Some(made.user.id);
        // A password somebody else made is good for a new one only.
        let inside = login(identity, &name, PASSWORD).await;
        let caller = Caller::new(principal(identity, &inside).await, Client { address: None, agent: String::new() });
        let token = identity.change_password(&caller, &Secret::new(PASSWORD), &Secret::new("another-orbit-72")).await;
        let cookie = format!("{}={}", cookie_name(false), token.expect("changed").expose());
        askers.push(Asker { name, role: Some(role), scope: None, header: Some((header::COOKIE, cookie)) });
    }
    let token = async |name: String, scope: Scope, lifetime: Duration| {
        let request = TokenRequest { owner: admin, name, scopes: vec![scope], lifetime: Some(lifetime) };
        let made = identity.create_token(&operator, &request).await.expect("a token");
        format!("Bearer {}", made.secret.expose())
    };
    let ended = token("short".to_owned(), Scope::Admin, Duration::from_secs(3600)).await;
    clock.advance(Duration::from_secs(2 * 3600));
    let name = "an ended token".to_owned();
    askers.push(Asker { name, role: None, scope: Some(Scope::Admin), header: Some((header::AUTHORIZATION, ended)) });
    for scope in Scope::ALL {
        let name = format!("a token for {}", scope.as_str());
        let value = token(name.clone(), scope, Duration::from_secs(24 * 3600)).await;
        let header = Some((header::AUTHORIZATION, value));
        askers.push(Asker { name, role: Some(Role::Admin), scope: Some(scope), header });
    }
    askers
}

async fn login(identity: &Identity, name: &str, password: &str) -> Secret {
    let request = LoginRequest {
        name: name.to_owned(),
        password: Secret::new(password),
        code: None,
        client: Client { address: None, agent: String::new() },
        previous: None,
    };
    match identity.login(&request).await.expect("it answers") {
        appliance::identity::Login::In(inside) => inside.token,
        other => panic!("{name} is not let in: {other:?}"),
    }
}

async fn principal(identity: &Identity, session: &Secret) -> Principal {
    identity.authenticate_session(session.expose()).await.expect("it answers").expect("it is logged in")
}

fn every_route(app: &Arc<Appliance>) -> Surface<MethodRouter> {
    api::surface(app).merge(ui::handlers::surface(app))
}

/// The same routes with nothing behind them.
fn hollow(surface: &Surface<MethodRouter>) -> Vec<Entry<MethodRouter>> {
    let filter = |method| match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    };
    let hollowed = |entry: &Entry<MethodRouter>| Entry {
        method: entry.method,
        path: entry.path,
        action: entry.action,
        kind: entry.kind,
        handler: on(filter(entry.method), || async { REACHED }),
    };
    surface.iter().map(hollowed).collect()
}

/// `/users/{id}` as somebody asks for it.
fn concrete(path: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "1".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_is_reached_by_those_who_may_and_by_nobody_else() {
    let world = world().await;
    let surface = every_route(&world.app);
    assert_eq!(surface.repeated(), [], "each route is written down once");
    let router = doors::behind_gate(hollow(&surface), &world.gate);
    let (mut asked, mut wrong) = (0, Vec::new());
    for entry in &surface {
        for asker in &world.askers {
            let mut request = Request::builder().method(entry.method.as_str()).uri(concrete(entry.path));
            request = request.header("host", "watch.example.org").header("sec-fetch-site", "same-origin");
            if let Some((name, value)) = &asker.header {
                request = request.header(name, value);
            }
            let answer = router.clone().oneshot(request.body(Body::empty()).expect("a request")).await;
            let status = answer.expect("it answers").status();
            asked += 1;
            if (status == REACHED) != asker.may(entry.action, entry.kind, entry.method) {
                wrong.push(format!("{} {} by {}: {status}", entry.method.as_str(), entry.path, asker.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(asked, surface.iter().count() * 17, "nobody, three roles, twelve scopes and an ended token");
}

/// What each route declares is a decision: a change of it shows in this file.
#[tokio::test]
async fn the_list_of_routes_is_the_one_that_was_agreed() {
    let world = world().await;
    let line = |entry: &Entry<MethodRouter>| {
        format!("{:<6} {:<48} {:?} {:?}", entry.method.as_str(), entry.path, entry.action, entry.kind)
    };
    let routes: BTreeSet<String> = every_route(&world.app).iter().map(line).collect();
    let text = routes.into_iter().collect::<Vec<_>>().join("\n") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/routes.txt");
    if std::env::var_os("UPDATE_ROUTES").is_some() {
        std::fs::write(path, &text).expect("the list is writable");
    }
    let agreed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, agreed, "testdata/routes.txt differs: look at each line, then run this with UPDATE_ROUTES=1");
}

/// Every form and link of the pages leads to a route.
#[tokio::test]
async fn every_address_that_pages_name_is_served() {
    let world = world().await;
    let surface = every_route(&world.app);
    let served = |method: Method, path: &str| surface.iter().any(|entry| entry.method == method && entry.path == path);
    for page in ui::routes::PAGES {
        assert!(served(Method::Get, page), "GET {page}");
    }
    for form in ui::routes::FORMS {
        assert!(served(Method::Post, form.path), "POST {}", form.path);
    }
}
