//! What `check config` looks at beyond the file itself: the files it names exist and can be read.
//!
//! What promtool refuses is a problem here; what it says nothing of, or only warns about, is a warning.

use std::path::{Path, PathBuf};

use model::relabel::{Outcome, Rules, Scratch};
use net::http_config::HttpConfig;
use scrape::config::Mechanism;
use scrape::discovery::{FileSdConfig, StaticConfig};
use yaml::{Problem, Problems, Spanned};

use super::Prometheus;
use super::load::{Variable, load, matching, read_text};

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    pub problems: Problems,
    pub warnings: Vec<Problem>,
}

/// Checks a file and what it points to.
#[must_use]
pub fn check(path: &Path, variable: Variable<'_>) -> Report {
    match load(path, variable) {
        Ok(prometheus) => check_files(&prometheus),
        Err(problems) => Report { problems, warnings: Vec::new() },
    }
}

/// Checks what a configuration points to.
#[must_use]
pub fn check_files(prometheus: &Prometheus) -> Report {
    let mut report = Report { problems: Problems::default(), warnings: prometheus.warnings.clone() };
    for pattern in &prometheus.rule_files {
        match matching(pattern) {
            Ok(files) => files.iter().for_each(|file| report.readable(pattern, "rule file", file)),
            Err(sentence) => report.problems.push(Problem::new(&pattern.place, "rule_files", sentence)),
        }
    }
    for job in &prometheus.jobs {
        report.http(&job.http);
        let owner = Owner { name: format!("scrape job {:?}", job.name), rules: &job.relabel };
        job.mechanisms.iter().for_each(|mechanism| report.mechanism(mechanism, &owner));
    }
    for managers in &prometheus.alerting.alertmanagers {
        report.http(&managers.http);
        let owner = Owner { name: "alertmanagers".to_owned(), rules: &managers.relabel };
        managers.mechanisms.iter().for_each(|mechanism| report.mechanism(mechanism, &owner));
    }
    for block in &prometheus.remote_write {
        report.http(&block.http);
    }
    report
}

/// Whose targets they are, and the rules that make addresses of them.
struct Owner<'p> {
    name: String,
    rules: &'p Rules,
}

impl Report {
    fn mechanism(&mut self, mechanism: &Mechanism, owner: &Owner<'_>) {
        match mechanism {
            Mechanism::File(config) => self.file_sd(config, owner),
            Mechanism::Http(config) => self.http(&config.http),
            Mechanism::Docker(config) => self.http(&config.http),
            Mechanism::Kubernetes(config) => {
                self.http(&config.http);
                self.optional("kubeconfig file", config.kubeconfig_file.as_ref());
            }
            Mechanism::Static(group) => self.group(group, owner),
            Mechanism::Dns(_) | Mechanism::Unsupported(_) => {}
        }
    }

    /// Files that are not there yet are warned about: that is what they are for.
    fn file_sd(&mut self, config: &FileSdConfig, owner: &Owner<'_>) {
        for pattern in &config.files {
            let found = matching(pattern).unwrap_or_default();
            if found.is_empty() {
                let sentence = format!("file {:?} for file_sd in {} does not exist", pattern.value, owner.name);
                self.warnings.push(Problem::new(&pattern.place, "file_sd_configs", sentence));
            }
            for file in found {
                self.targets(pattern, &file, owner);
            }
        }
    }

    fn targets(&mut self, pattern: &Spanned<String>, file: &Path, owner: &Owner<'_>) {
        let name = file.display().to_string();
        match read_text(file) {
            // JSON is YAML.
            Ok(text) => match yaml::from_str::<Vec<StaticConfig>>(&name, &text) {
                Ok(groups) => groups.iter().for_each(|group| self.group(group, owner)),
                Err(problems) => self.problems.extend(problems),
            },
            Err(error) => {
                let sentence = format!("checking SD file {name:?}: {error}");
                self.problems.push(Problem::new(&pattern.place, "file_sd_configs", sentence));
            }
        }
    }

    /// An address must be one once the rules had their say.
    fn group(&mut self, group: &StaticConfig, owner: &Owner<'_>) {
        let mut scratch = Scratch::default();
        for target in &group.targets {
            let labels = group.labels.iter().map(|(name, value)| (name, value.as_str()));
            let pairs: Vec<(&str, &str)> = labels.chain([("__address__", target.value.as_str())]).collect();
            if owner.rules.apply(pairs.as_slice(), &mut scratch) == Outcome::Dropped {
                continue;
            }
            let address = scratch.value(pairs.as_slice(), "__address__");
            let sentence = match address {
                "" => "no address: the relabelling rules leave none".to_owned(),
                address if address.contains('/') => format!("{address:?} is not a valid hostname"),
                _ => continue,
            };
            self.problems.push(Problem::new(&target.place, "", format!("{}: {sentence}", owner.name)));
        }
    }

    fn http(&mut self, http: &HttpConfig) {
        self.needed("client cert file", http.tls_config.cert_file.as_ref());
        self.needed("client key file", http.tls_config.key_file.as_ref());
        let authorization =
            http.authorization.as_ref().and_then(|authorization| authorization.credentials_file.as_ref());
        let credentials = "authorization credentials or bearer token file";
        self.needed(credentials, authorization);
        self.needed(credentials, http.bearer_token_file.as_ref());
        self.optional("CA file", http.tls_config.ca_file.as_ref());
        if let Some(basic) = &http.basic_auth {
            self.optional("username file", basic.username_file.as_ref());
            self.optional("password file", basic.password_file.as_ref());
        }
        if let Some(oauth2) = &http.oauth2 {
            self.optional("client secret file", oauth2.client_secret_file.as_ref());
            self.optional("client cert file", oauth2.tls_config.cert_file.as_ref());
            self.optional("client key file", oauth2.tls_config.key_file.as_ref());
            self.optional("CA file", oauth2.tls_config.ca_file.as_ref());
        }
        for (_, header) in http.http_headers.iter() {
            header.files.iter().for_each(|file| self.optional("header file", Some(file)));
        }
    }

    /// A file promtool insists on.
    fn needed(&mut self, what: &str, path: Option<&Spanned<PathBuf>>) {
        if let Some(problem) = missing(what, path) {
            self.problems.push(problem);
        }
    }

    fn optional(&mut self, what: &str, path: Option<&Spanned<PathBuf>>) {
        self.warnings.extend(missing(what, path));
    }

    fn readable(&mut self, pattern: &Spanned<String>, what: &str, file: &Path) {
        if let Err(error) = std::fs::File::open(file) {
            let sentence = format!("error checking {what} {:?}: {error}", file.display().to_string());
            self.problems.push(Problem::new(&pattern.place, "", sentence));
        }
    }
}

fn missing(what: &str, path: Option<&Spanned<PathBuf>>) -> Option<Problem> {
    let path = path.filter(|path| !path.value.as_os_str().is_empty())?;
    let resolved = path.place.resolve(&path.value);
    let error = std::fs::File::open(&resolved).err()?;
    let sentence = format!("error checking {what} {:?}: {error}", resolved.display().to_string());
    Some(Problem::new(&path.place, "", sentence))
}
