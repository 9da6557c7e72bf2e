//! Where this process's configuration comes from: flags, environment, file.

use std::path::PathBuf;

use appliance::config::load::{FlagValue, Sources};

use crate::cli::FlagSetting;

/// Read where no `--config` is given and it exists.
const DEFAULT_FILE: &str = "watchpost.yml";

/// The sources of a verb that knows `--config` and perhaps flags that set keys.
pub(crate) fn sources(config: Option<PathBuf>, settings: &[FlagSetting], plain_replaces_default: bool) -> Sources {
    let flags =
        settings.iter().map(|s| FlagValue { flag: s.flag, key: s.key, text: s.text.clone(), adds: s.adds }).collect();
    // A variable that is not UTF-8 cannot be a setting.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Sources {
        file: config,
        default_file: Some(PathBuf::from(DEFAULT_FILE)),
        environment: environment.collect(),
        flags,
        plain_replaces_default,
        own_file_only: false,
    }
}
