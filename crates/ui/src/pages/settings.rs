//! `/settings`: the running configuration, secrets left out, with where each value came from.

use axum::http::StatusCode;

use crate::filters;
use crate::pages::{Fact, page};
use crate::shell::Head;

/// The overview.
#[derive(Clone, Debug)]
pub struct SettingsPage {
    pub reload: Reload,
    pub groups: Vec<SettingGroup>,
    /// Version, commit, build, operating system, database.
    pub versions: Vec<Fact>,
    /// Show only what somebody set; `?show=all` shows everything.
    pub only_set: bool,
    /// Whether the button is there; posts to `/settings/reload`.
    pub may_reload: bool,
}

/// The last time the files were read.
#[derive(Clone, Debug)]
pub struct Reload {
    /// "10:31:07, 31 minutes ago".
    pub at: String,
    /// "at start", "by mara", "by a signal".
    pub cause: String,
    /// The files that were read; none where everything is a default.
    pub files: Vec<String>,
    /// What was wrong. When any is an error, nothing was applied.
    pub problems: Vec<ConfigProblem>,
}

/// Something in a file.
#[derive(Clone, Debug)]
pub struct ConfigProblem {
    /// "watchpost.yml:12:5".
    pub place: String,
    pub text: String,
    /// Kept the configuration from being applied; a warning did not.
    pub refused: bool,
}

/// The keys below one word: `server`, `auth`, `storage`.
#[derive(Clone, Debug)]
pub struct SettingGroup {
    pub name: String,
    pub rows: Vec<SettingRow>,
}

/// One key.
#[derive(Clone, Debug)]
pub struct SettingRow {
    /// "server.listen".
    pub key: String,
    /// As it would stand in the file; `<secret>` for a secret.
    pub value: String,
    pub source: Source,
}

/// Where a value came from.
#[derive(Clone, Debug)]
pub enum Source {
    Default,
    /// "watchpost.yml:12".
    File(String),
    /// The variable's name.
    Environment(String),
    /// "--listen".
    Flag(String),
}

impl Source {
    fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File(_) => "file",
            Self::Environment(_) => "environment",
            Self::Flag(_) => "command line",
        }
    }

    fn place(&self) -> &str {
        match self {
            Self::Default => "",
            Self::File(place) | Self::Environment(place) | Self::Flag(place) => place,
        }
    }
}

impl Reload {
    /// How many problems kept the files from being applied.
    pub(crate) fn refused(&self) -> usize {
        self.problems.iter().filter(|problem| problem.refused).count()
    }
}

impl SettingGroup {
    fn visible(&self, only_set: bool) -> Vec<&SettingRow> {
        self.rows.iter().filter(|row| !only_set || !row.source.is_default()).collect()
    }
}

impl SettingsPage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        Head::of("Configuration", "/settings", &[("Settings", "/settings")])
    }

    /// What is shown of a group.
    fn rows_of<'a>(&self, group: &'a SettingGroup) -> Vec<&'a SettingRow> {
        group.visible(self.only_set)
    }

    fn keys(&self) -> usize {
        self.groups.iter().map(|group| group.rows.len()).sum()
    }

    fn set(&self) -> usize {
        self.groups.iter().map(|group| group.visible(true).len()).sum()
    }
}

page!(SettingsPage, SettingsTemplate, "settings.html");
