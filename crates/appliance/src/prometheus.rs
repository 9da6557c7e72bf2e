//! A `prometheus.yml` as a whole: read, checked and assembled from the schemas of the crates that act on its parts.
//!
//! Promises: the verdict is Prometheus's, and so is the substance of each refusal, with file, line and column; all
//! problems are found at once; what loads and is not acted on is named in [`Prometheus::warnings`]; a secret is in no
//! text that is shown.
//! Not here: what a job, a queue or a rule does (`scrape`, `remote`, `rules`), when the file is read again (`reload`).

pub mod alerting;
pub mod check;
mod dialect;
pub mod file;
pub mod load;
mod shown;
pub mod signing;
pub mod storage;

use std::path::PathBuf;
use std::sync::Arc;

use model::labels::Labels;
use model::secret::Secret;
use remote::config::{RemoteReadConfig, RemoteWriteConfig};
use scrape::config::{Global, Job};
use yaml::{Problem, Spanned};

use self::alerting::Alerting;
use self::storage::{Otlp, Storage, Tracing};

/// The configuration of a Prometheus, checked, and never changed again.
#[derive(Clone, Debug)]
pub struct Prometheus {
    /// The file that was read first.
    pub path: PathBuf,
    /// Every file that was read, with its text: the main one first, then those of `scrape_config_files`.
    pub sources: Vec<(PathBuf, Secret)>,
    pub global: Global,
    /// `global.external_labels` with the environment filled in.
    pub external_labels: Labels,
    /// The jobs of all files, in their order; names are unique.
    pub jobs: Vec<Arc<Job>>,
    /// Globs; resolve them against their place.
    pub rule_files: Vec<Spanned<String>>,
    pub alerting: Alerting,
    pub remote_write: Vec<RemoteWriteConfig>,
    pub remote_read: Vec<RemoteReadConfig>,
    pub storage: Storage,
    pub tracing: Option<Tracing>,
    pub otlp: Otlp,
    /// The configuration with its defaults, as Prometheus prints it; secrets are `<secret>`.
    pub shown: String,
    /// What loads and is not acted on, and what is odd, each with its place.
    pub warnings: Vec<Problem>,
}

/// Two are equal when they were made from the same texts in the same environment.
impl PartialEq for Prometheus {
    fn eq(&self, other: &Self) -> bool {
        self.sources == other.sources && self.external_labels == other.external_labels
    }
}
