//! Every page as it is asked for: read the request, call one use case, show the view.
//!
//! Promise: a handler decides nothing; what a use case refuses is shown beside the field it is about.
//! Not here: how a page looks (`pages`, `web/templates`), who may open it (the gate, the use cases).

mod account;
mod audit;
mod frame;
mod home;
mod login;
mod numbers;
mod prometheus;
mod query;
mod refusal;
mod settings;
mod setup;
mod small;
mod storage;
mod targets;
mod times;
mod tokens;
mod two_step;
mod user;
mod users;

use std::sync::Arc;

use appliance::Appliance;
use appliance::surface::{Kind, Route, Surface};
use auth::permit::Action;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

/// What every handler is given.
pub(crate) type App = Arc<Appliance>;

/// The pages, as they are registered.
struct Pages {
    app: App,
    surface: Surface<MethodRouter>,
}

impl Pages {
    fn get<H: Handler<T, App>, T: 'static>(mut self, path: &'static str, action: Action, handler: H) -> Self {
        let route = Route { path, action, kind: Kind::Page };
        self.surface = self.surface.get(route, routing::get(handler).with_state(Arc::clone(&self.app)));
        self
    }

    fn post<H: Handler<T, App>, T: 'static>(mut self, path: &'static str, action: Action, handler: H) -> Self {
        let route = Route { path, action, kind: Kind::Page };
        self.surface = self.surface.post(route, routing::post(handler).with_state(Arc::clone(&self.app)));
        self
    }
}

/// Every page, form and static file.
#[must_use]
pub fn surface(app: &App) -> Surface<MethodRouter> {
    use Action::{Administer, Operate, OwnAccount, Public, ReadMetrics, View};
    let pages = Pages { app: Arc::clone(app), surface: Surface::new() };
    let pages = pages
        .get("/", View, home::show)
        .get("/setup", Public, setup::show)
        .post("/setup", Public, setup::complete)
        .get("/login", Public, login::show)
        .post("/login", Public, login::password)
        .post("/login/code", Public, login::code)
        .get("/logout", Public, login::ask_logout)
        .post("/logout", Public, login::logout)
        .post("/preferences", Public, small::preferences)
        .get("/palette", View, small::palette)
        .get("/help/keyboard", View, small::keyboard)
        .get("/components", View, small::components);
    let pages = pages
        .get("/account", OwnAccount, account::show)
        .post("/account/password", OwnAccount, account::change_password)
        .post("/account/sessions/end", OwnAccount, account::end_session)
        .post("/account/sessions/end-others", OwnAccount, account::end_others)
        .post("/account/two-step/begin", OwnAccount, two_step::begin)
        .get("/account/two-step", OwnAccount, two_step::ask_begin)
        .post("/account/two-step", OwnAccount, two_step::confirm)
        .get("/account/two-step/off", OwnAccount, two_step::ask_off)
        .post("/account/two-step/off", OwnAccount, two_step::off)
        .get("/account/two-step/codes", OwnAccount, two_step::ask_codes)
        .post("/account/two-step/codes", OwnAccount, two_step::codes)
        .get("/account/tokens", OwnAccount, tokens::show)
        .post("/account/tokens", OwnAccount, tokens::create)
        .post("/account/tokens/revoke", OwnAccount, tokens::revoke);
    let pages = pages
        .get("/settings", Administer, settings::show)
        .post("/settings/reload", Operate, settings::reload)
        .get("/settings/users", Administer, users::show)
        .get("/settings/users/new", Administer, users::ask_new)
        .post("/settings/users", Administer, users::create)
        .get("/settings/users/{id}", Administer, user::show)
        .post("/settings/users/{id}/role", Administer, user::role)
        .post("/settings/users/{id}/password", Administer, user::password)
        .post("/settings/users/{id}/disable", Administer, user::disable)
        .post("/settings/users/{id}/enable", Administer, user::enable)
        .post("/settings/users/{id}/reset-two-step", Administer, user::reset_two_step)
        .post("/settings/users/{id}/end-sessions", Administer, user::end_sessions)
        .get("/settings/users/{id}/delete", Administer, user::ask_delete)
        .post("/settings/users/{id}/delete", Administer, user::delete)
        .get("/settings/audit", Administer, audit::show);
    let pages = pages
        .get("/query", ReadMetrics, query::show)
        .get("/graph", ReadMetrics, query::show)
        .get("/status/tsdb", ReadMetrics, storage::show)
        .get("/tsdb-status", ReadMetrics, storage::moved)
        .get("/status/configuration", ReadMetrics, prometheus::show)
        .get("/config", ReadMetrics, prometheus::moved)
        .get("/targets", ReadMetrics, targets::show)
        .get("/targets/relabel", ReadMetrics, targets::relabel)
        .post("/targets/scrape", ReadMetrics, targets::scrape)
        .get("/service-discovery", ReadMetrics, targets::discovery);
    let assets = Route { path: "/static/{file}", action: Public, kind: Kind::Asset };
    pages.surface.get(assets, crate::assets::route())
}
