//! Reads a `prometheus.yml` and the files it names.
//!
//! Promise: it asks nobody but the disk and the environment it is handed, and changes nothing.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::secret::Secret;
use remote::config::name_clashes;
use scrape::config::{Global, Job, ScrapeConfig};
use yaml::{Node, Place, Problem, Problems, Spanned};

use super::alerting::Alerting;
use super::dialect::translated;
use super::file::{PrometheusFile, ScrapeConfigFile};
use super::signing::{AzureAd, GoogleIam, SigV4};
use super::{Prometheus, alerting, shown, storage};

/// A configuration beyond this is not one.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// Files that `scrape_config_files` may name in all.
const SCRAPE_CONFIG_FILES_MAX: usize = 1_000;

/// Looks up a variable of the environment.
pub type Variable<'v> = &'v dyn Fn(&str) -> Option<String>;

/// Reads everything and checks everything.
pub fn load(path: &Path, variable: Variable<'_>) -> Result<Prometheus, Problems> {
    let mut reading = Reading { problems: Problems::default(), sources: Vec::new(), warnings: Vec::new() };
    let loaded = reading.main(path, variable);
    match loaded {
        Some(prometheus) if reading.problems.is_empty() => Ok(prometheus),
        _ => Err(translated(reading.problems)),
    }
}

struct Reading {
    problems: Problems,
    sources: Vec<(PathBuf, Secret)>,
    warnings: Vec<Problem>,
}

impl Reading {
    fn main(&mut self, path: &Path, variable: Variable<'_>) -> Option<Prometheus> {
        let node = self.document(path)?;
        let mut file = match yaml::decode::<PrometheusFile>(&node) {
            Ok(file) => file,
            Err(problems) => {
                self.problems.extend(problems);
                self.look_at_jobs(&node);
                return None;
            }
        };
        file.global.fill();
        self.inherit(&file.global, &mut file.scrape_configs);
        let scheme = file.global.name_scheme();
        let alerting = Alerting::new(&file.alerting, scheme, &mut self.problems);
        self.remote(&file);
        file.otlp.check_scheme(scheme, &mut self.problems);
        let jobs = self.jobs(&file);
        let (external_labels, missing) = file.global.external_labels.expanded(variable);
        let global_place = node.get("global").and_then(|global| global.get("external_labels"));
        for name in missing {
            let place = global_place.map_or_else(Place::default, |labels| labels.place.clone());
            let text = format!("the environment variable {name} is not set or empty");
            self.warnings.push(Problem::new(&place, "global.external_labels", text));
        }
        self.warn(&file);
        Some(Prometheus {
            path: path.to_owned(),
            sources: std::mem::take(&mut self.sources),
            external_labels,
            jobs,
            alerting,
            shown: shown::canonical(&file),
            remote_write: file.remote_write.into_iter().filter_map(|block| block.value).collect(),
            remote_read: file.remote_read.into_iter().filter_map(|block| block.value).collect(),
            global: file.global,
            rule_files: file.rule_files,
            storage: file.storage,
            tracing: file.tracing,
            otlp: file.otlp,
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    /// The tree of a file. A second document is not read, as in Prometheus, but somebody should know.
    fn document(&mut self, path: &Path) -> Option<Node> {
        let name = path.display().to_string();
        let text = match read_text(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(Problem::new(&Place::outside(&name), "", format!("cannot be read: {error}")));
                return None;
            }
        };
        let parsed = yaml::parse_first(&name, &text);
        self.sources.push((path.to_owned(), Secret::new(text)));
        match parsed {
            Ok((node, second)) => {
                self.warnings.extend(second.map(|second| {
                    Problem::new(&second.place(), "", "what follows is a second document, which is not read")
                }));
                Some(node)
            }
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    /// What else is wrong where reading found something already: jobs that can be read are looked at by themselves, so
    /// that their problems do not wait for the next attempt.
    fn look_at_jobs(&mut self, node: &Node) {
        let empty = Node::map([]);
        let Ok(mut global) = yaml::decode::<Global>(node.get("global").unwrap_or(&empty)) else { return };
        global.fill();
        let items = node.get("scrape_configs").and_then(Node::as_list).unwrap_or_default();
        let jobs = items.iter().filter_map(|item| yaml::decode::<ScrapeConfig>(item).ok());
        for mut job in jobs {
            job.inherit(&global, &mut self.problems);
        }
    }

    fn inherit(&mut self, global: &Global, configs: &mut [Spanned<Option<ScrapeConfig>>]) {
        for config in configs {
            match &mut config.value {
                Some(config) => config.inherit(global, &mut self.problems),
                None => {
                    let sentence = "empty or null scrape config section";
                    self.problems.push(Problem::new(&config.place, "scrape_configs", sentence));
                }
            }
        }
    }

    fn remote(&mut self, file: &PrometheusFile) {
        let scheme = file.global.name_scheme();
        let writes: Vec<_> = file.remote_write.iter().filter_map(|block| block.value.as_ref()).collect();
        let reads: Vec<_> = file.remote_read.iter().filter_map(|block| block.value.as_ref()).collect();
        let mut found: Vec<(Place, String)> = name_clashes("write", writes.iter().map(|block| &block.name));
        found.extend(name_clashes("read", reads.iter().map(|block| &block.name)));
        found.extend(writes.iter().flat_map(|block| block.faults(scheme)).map(|(place, text)| (place.clone(), text)));
        for (place, text) in found {
            self.problems.push(Problem::new(&place, "", text));
        }
        // Signing is read here: nobody signs, so the crate that sends keeps these blocks as they were written.
        for block in writes {
            let signing = [
                block.sigv4.as_ref().map(|node| yaml::decode::<SigV4>(&node.value).err()),
                block.azuread.as_ref().map(|node| yaml::decode::<AzureAd>(&node.value).err()),
                block.google_iam.as_ref().map(|node| yaml::decode::<GoogleIam>(&node.value).err()),
            ];
            for problems in signing.into_iter().flatten().flatten() {
                self.problems.extend(problems);
            }
        }
    }

    /// The jobs of this file and of those it names; a name is there once.
    fn jobs(&mut self, file: &PrometheusFile) -> Vec<Arc<Job>> {
        let mut jobs: Vec<Arc<Job>> = Vec::new();
        let main = file.scrape_configs.iter().filter_map(|config| config.value.as_ref());
        main.for_each(|config| self.add_job(config, &mut jobs));
        for path in self.scrape_config_files(&file.scrape_config_files) {
            let Some(node) = self.document(&path) else { continue };
            match yaml::decode::<ScrapeConfigFile>(&node) {
                Ok(mut further) => {
                    self.inherit(&file.global, &mut further.scrape_configs);
                    let configs = further.scrape_configs.iter().filter_map(|config| config.value.as_ref());
                    configs.for_each(|config| {
                        self.warn_job(config);
                        self.add_job(config, &mut jobs);
                    });
                }
                Err(problems) => self.problems.extend(problems),
            }
        }
        jobs
    }

    fn add_job(&mut self, config: &ScrapeConfig, jobs: &mut Vec<Arc<Job>>) {
        let name = &config.job_name;
        if let Some(first) = jobs.iter().find(|job| job.name == name.value) {
            let sentence =
                format!("found multiple scrape configs with job name {:?}, first found in {}", name.value, first.place);
            self.problems.push(Problem::new(&name.place, "", sentence));
            return;
        }
        jobs.push(Arc::new(Job::new(config)));
    }

    fn scrape_config_files(&mut self, patterns: &[Spanned<String>]) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for pattern in patterns {
            match matching(pattern) {
                Ok(found) => files.extend(found),
                Err(sentence) => {
                    self.problems.push(Problem::new(&pattern.place, "scrape_config_files", sentence));
                }
            }
        }
        if files.len() > SCRAPE_CONFIG_FILES_MAX {
            let place = patterns.first().map_or_else(Place::default, |pattern| pattern.place.clone());
            let sentence = format!("names more than {SCRAPE_CONFIG_FILES_MAX} files");
            self.problems.push(Problem::new(&place, "scrape_config_files", sentence));
            files.clear();
        }
        files
    }

    fn warn(&mut self, file: &PrometheusFile) {
        file.scrape_configs.iter().filter_map(|config| config.value.as_ref()).for_each(|config| self.warn_job(config));
        self.warnings.extend(alerting::warnings(&file.alerting));
        self.warnings.extend(storage::warnings(&file.storage, file.tracing.as_ref()));
        let writes = file
            .remote_write
            .iter()
            .filter_map(|block| block.value.as_ref())
            .map(remote::config::RemoteWriteConfig::warnings);
        let reads = file
            .remote_read
            .iter()
            .filter_map(|block| block.value.as_ref())
            .map(remote::config::RemoteReadConfig::warnings);
        for (place, text) in writes.chain(reads).flatten() {
            self.warnings.push(Problem::new(&place, "", text));
        }
        if let Some(log) = &file.global.query_log_file {
            self.warnings.push(Problem::new(
                &log.place,
                "global.query_log_file",
                "not supported: queries are not logged",
            ));
        }
    }

    fn warn_job(&mut self, config: &ScrapeConfig) {
        let warnings = config.warnings().into_iter();
        self.warnings.extend(warnings.map(|(place, text)| Problem::new(&place, "scrape_configs", text)));
    }
}

/// The files a glob names, in order of names, relative to where it stands. One without a star must exist.
pub(super) fn matching(pattern: &Spanned<String>) -> Result<Vec<PathBuf>, String> {
    let resolved = pattern.place.resolve(Path::new(&pattern.value));
    let found = resolved.to_str().map(glob::glob);
    let paths: Vec<PathBuf> = match found {
        Some(Ok(paths)) => paths.flatten().collect(),
        Some(Err(error)) => return Err(format!("not a pattern: {}", error.msg)),
        None => Vec::new(),
    };
    if paths.is_empty() && !pattern.value.contains(['*', '?', '[']) {
        return Err(format!("{:?} does not point to an existing file", resolved.display().to_string()));
    }
    Ok(paths)
}

/// The text of a file, as long as it is one.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("expected UTF-8 text"))
}
