//! `/settings`: the running configuration as it is in force, and reading it again.

use std::collections::BTreeMap;

use appliance::config::ShownSetting;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::App;
use super::frame::{Frame, Posted, Said};
use super::times;
use crate::pages::Fact;
use crate::pages::settings::{ConfigProblem, Reload, SettingGroup, SettingRow, SettingsPage, Source};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    show: String,
}

/// `GET /settings?show=all`
pub(super) async fn show(State(app): State<App>, frame: Frame, Query(asked): Query<Asked>) -> Response {
    let config = app.reloader.current();
    let mut groups: BTreeMap<String, Vec<SettingRow>> = BTreeMap::new();
    for setting in config.shown() {
        let group = setting.key.split('.').next().unwrap_or("").to_owned();
        groups.entry(group).or_default().push(row(setting));
    }
    let health = app.health.full();
    let view = SettingsPage {
        reload: reload_of(&app),
        groups: groups.into_iter().map(|(name, rows)| SettingGroup { name, rows }).collect(),
        versions: vec![
            Fact::new("Version", health.version),
            Fact::new("System", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
            Fact::new("Metadata", config.settings.storage.metadata.shown()),
        ],
        only_set: asked.show != "all",
        may_reload: true,
    };
    frame.show(view.render(&frame.shell))
}

fn row(setting: ShownSetting) -> SettingRow {
    let source = match setting.origin.as_deref() {
        None => Source::Default,
        Some(origin) => match (origin.strip_prefix("environment variable "), origin.strip_prefix("flag ")) {
            (Some(name), _) => Source::Environment(name.to_owned()),
            (_, Some(flag)) => Source::Flag(flag.to_owned()),
            _ => Source::File(origin.to_owned()),
        },
    };
    SettingRow { key: setting.key, value: setting.value, source }
}

pub(super) fn reload_of(app: &App) -> Reload {
    let (status, config) = (app.reloader.status(), app.reloader.current());
    let mut problems = Vec::new();
    for problem in status.refused.iter().flat_map(|problems| problems.iter()) {
        let text = problem.to_string();
        let place = format!("{}:{}:{}", problem.file, problem.line, problem.column);
        let text =
            text.strip_prefix(&place).map_or(text.as_str(), |rest| rest.trim_start_matches([':', ' '])).to_owned();
        problems.push(ConfigProblem { place, text, refused: true });
    }
    for key in &status.needs_restart {
        let text = "changed in the file; it takes effect at the next start".to_owned();
        problems.push(ConfigProblem { place: (*key).to_owned(), text, refused: false });
    }
    for warning in &config.warnings {
        problems.push(ConfigProblem { place: String::new(), text: warning.clone(), refused: false });
    }
    Reload {
        at: format!("{}, {}", times::clock(status.at), times::ago(status.at, app.health.now())),
        cause: match status.by {
            "start" => "at start".to_owned(),
            by => format!("by {by}"),
        },
        files: config.files.iter().map(|file| file.display().to_string()).collect(),
        problems,
    }
}

/// `POST /settings/reload`
pub(super) async fn reload(State(app): State<App>, posted: Posted) -> Response {
    let frame = posted.frame;
    let said = match app.reload_by_request(&frame.caller).await {
        Ok(()) => Said::Reloaded,
        Err(_refused_and_shown_below) => Said::ReloadRefused,
    };
    frame.go_saying("/settings", said)
}
