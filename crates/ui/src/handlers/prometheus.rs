//! `/status/configuration`: the `prometheus.yml` in force, and what was wrong with the last one.

use auth::permit::{Action, Object, authz};
use axum::extract::State;
use axum::response::Response;

use super::App;
use super::frame::Frame;
use super::settings::reload_of;
use crate::pages::prometheus::{Line, PrometheusPage, Text};

/// Lines of a file that are shown; what is longer is read on the machine.
const LINES_MAX: usize = 5_000;

/// `GET /status/configuration`
pub(super) async fn show(State(app): State<App>, frame: Frame) -> Response {
    let config = app.reloader.current();
    let yaml = config.prometheus_yaml();
    let line = |(index, text): (usize, &str)| Line { number: index + 1, text: text.to_owned() };
    let text = match &config.settings.prometheus {
        _ if !yaml.trim().is_empty() => Text::Lines(yaml.lines().take(LINES_MAX).enumerate().map(line).collect()),
        Some(path) => Text::NotRead(path.place.resolve(&path.value).display().to_string()),
        None => Text::NotNamed,
    };
    let may_reload = authz(&frame.caller.principal, Action::Operate, Object::Server).is_ok();
    let view = PrometheusPage { reload: reload_of(&app), may_reload, text };
    frame.show(view.render(&frame.shell))
}

/// `GET /config`: where Prometheus has it.
pub(super) async fn moved(frame: Frame) -> Response {
    frame.go("/status/configuration")
}
