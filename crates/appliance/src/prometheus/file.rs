//! The top level of the file.

use remote::config::{RemoteReadConfig, RemoteWriteConfig};
use scrape::config::{Global, ScrapeConfig};
use yaml::{At, Context, Spanned};

use super::alerting::AlertingFile;
use super::storage::{Otlp, Storage, Tracing};

yaml::record! {
    /// The whole of a `prometheus.yml`.
    #[yaml(check = PrometheusFile::check)]
    pub struct PrometheusFile {
        pub global: Global,
        pub runtime: Runtime,
        pub alerting: AlertingFile,
        /// Globs of files with rules.
        pub rule_files: Vec<Spanned<String>>,
        /// Globs of files with further `scrape_configs`.
        pub scrape_config_files: Vec<Spanned<String>>,
        pub scrape_configs: Vec<Spanned<Option<ScrapeConfig>>>,
        pub storage: Storage,
        pub tracing: Option<Tracing>,
        pub remote_write: Vec<Spanned<Option<RemoteWriteConfig>>>,
        pub remote_read: Vec<Spanned<Option<RemoteReadConfig>>>,
        pub otlp: Otlp,
    }
}

yaml::record! {
    /// Known, not supported: there is no Go runtime to tune.
    pub struct Runtime {
        pub gogc: i64 = 75,
    }
}

yaml::record! {
    /// A file that `scrape_config_files` names.
    pub struct ScrapeConfigFile {
        pub scrape_configs: Vec<Spanned<Option<ScrapeConfig>>>,
    }
}

impl PrometheusFile {
    fn check(&self, _: &At<'_>, cx: &mut Context) {
        for file in self.rule_files.iter().filter(|file| !is_path_pattern(&file.value)) {
            cx.problem(&file.place, format!("invalid rule file path {:?}", file.value));
        }
        for file in self.scrape_config_files.iter().filter(|file| !is_path_pattern(&file.value)) {
            cx.problem(&file.place, format!("invalid scrape config file path {:?}", file.value));
        }
        for block in self.remote_write.iter().filter(|block| block.value.is_none()) {
            cx.problem(&block.place, "empty or null remote write config section");
        }
        for block in self.remote_read.iter().filter(|block| block.value.is_none()) {
            cx.problem(&block.place, "empty or null remote read config section");
        }
    }
}

/// Stars only in the last part of a path.
fn is_path_pattern(path: &str) -> bool {
    path.split_once('*').is_none_or(|(_, after)| !after.contains('/'))
}
