//! Reads the configuration: file and its includes, then environment, then flags.
//!
//! Promise: it changes nothing and asks nobody but the disk, so it can be called again at any time, and by `check`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use yaml::{Node, Place, Problem, Problems, Reference};

use super::address::ListenAddr;
use super::{Config, Settings};
use crate::prometheus::{self, Prometheus};

/// A configuration file beyond this is not one.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// A `${file:…}` holds a password or a token.
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;
/// Files that `include` may name in all.
const INCLUDED_FILES_MAX: usize = 1_000;

const VARIABLE_PREFIX: &str = "WATCHPOST_";
/// Variables that are not settings: the first run's, the key's, and those of tests and benchmarks.
const NOT_SETTINGS: &[&str] = &[
    "WATCHPOST_ADMIN_USER",
    "WATCHPOST_ADMIN_PASSWORD",
    "WATCHPOST_ADMIN_PASSWORD_FILE",
    "WATCHPOST_SECRET_KEY_FILE",
    "WATCHPOST_CONFORMANCE",
    "WATCHPOST_DASHBOARDS",
    "WATCHPOST_BIN",
    "WATCHPOST_EXAMPLES",
    "WATCHPOST_CHROMIUM",
    "WATCHPOST_REQUIRE_BROWSER",
    "WATCHPOST_REQUIRE_POSTGRES",
    "WATCHPOST_TEST_DEPTH",
    "WATCHPOST_SKIPS",
];

/// Everything a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that was asked for; it must exist.
    pub file: Option<PathBuf>,
    /// The file that is read where none was asked for and it exists.
    pub default_file: Option<PathBuf>,
    pub environment: Vec<(String, String)>,
    /// In the order given; later ones win.
    pub flags: Vec<FlagValue>,
    /// `--web.listen-address` was given: without a `listen` of its own there is no TLS listener.
    pub plain_replaces_default: bool,
    /// Files of other programs are not read: for verbs that only look for a server or a database, and must find them
    /// also while such a file is broken.
    pub own_file_only: bool,
}

/// What flags say about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagValue {
    /// The flag's name without dashes.
    pub flag: &'static str,
    pub key: &'static str,
    pub text: String,
    /// A further item of a list.
    pub adds: bool,
}

/// Reads everything and checks everything.
pub fn load(sources: &Sources) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let mut reading = Reading { sources, problems: &mut problems, files: Vec::new() };
    let mut root = reading.file();
    let mut files = reading.files;
    let mut warnings = Vec::new();
    apply_environment(&mut root, sources, &mut warnings, &mut problems);
    apply_flags(&mut root, sources, &mut problems);

    match yaml::decode::<Settings>(&root) {
        Ok(mut settings) if problems.is_empty() => {
            let listen_given = root.get("server").and_then(|server| server.get("listen")).is_some();
            if !settings.auth.enabled && !listen_given {
                settings.server.listen = vec![ListenAddr::DEFAULT_WITHOUT_LOGIN.into()];
            }
            let prometheus = prometheus(&settings, sources)?;
            if let Some(prometheus) = &prometheus {
                warnings.extend(prometheus.warnings.iter().map(ToString::to_string));
                files.extend(prometheus.sources.iter().map(|(path, _)| path.clone()));
            }
            Ok(Config { settings, prometheus, origins: origins(&root), warnings, files })
        }
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

/// The `prometheus.yml` that is named, with everything it names.
fn prometheus(settings: &Settings, sources: &Sources) -> Result<Option<Arc<Prometheus>>, Problems> {
    let Some(named) = settings.prometheus.as_ref().filter(|_| !sources.own_file_only) else { return Ok(None) };
    let path = named.place.resolve(&named.value);
    let variable =
        |name: &str| sources.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    prometheus::load::load(&path, &variable).map(|prometheus| Some(Arc::new(prometheus)))
}

struct Reading<'s> {
    sources: &'s Sources,
    problems: &'s mut Problems,
    files: Vec<PathBuf>,
}

impl Reading<'_> {
    /// The main file with its includes merged in; an empty document where there is none.
    fn file(&mut self) -> Node {
        let asked = self.sources.file.clone();
        let Some(path) = asked.or_else(|| self.sources.default_file.clone().filter(|path| path.exists())) else {
            return Node::null();
        };
        let Some(mut root) = self.document(&path) else { return Node::null() };
        for (pattern, place) in include_patterns(&root) {
            for included in self.matching(&pattern, &place) {
                let Some(node) = self.document(&included) else { continue };
                if let Err(more) = yaml::merge(&mut root, node) {
                    self.problems.extend(more);
                }
            }
        }
        root
    }

    fn document(&mut self, path: &Path) -> Option<Node> {
        self.files.push(path.to_owned());
        let name = path.display().to_string();
        let bytes = match read_bounded(path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problems.push(Problem::new(&Place::outside(&name), "", format!("cannot be read: {error}")));
                return None;
            }
        };
        let environment = &self.sources.environment;
        let mut resolve = |reference: Reference<'_>, place: &Place| match reference {
            Reference::Variable(name) => {
                Ok(environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
            }
            Reference::File(path) => secret_file(&place.resolve(Path::new(path))).map(Some),
        };
        let expanded =
            yaml::parse_bytes(&name, &bytes).and_then(|mut node| yaml::expand(&mut node, &mut resolve).map(|()| node));
        expanded.map_err(|more| self.problems.extend(more)).ok()
    }

    /// The files a pattern of `include` names, in order of names.
    fn matching(&mut self, pattern: &str, place: &Place) -> Vec<PathBuf> {
        let resolved = place.resolve(Path::new(pattern));
        let found = resolved.to_str().map(glob::glob);
        let mut paths: Vec<PathBuf> = match found {
            Some(Ok(paths)) => paths.flatten().collect(),
            Some(Err(error)) => {
                self.problems.push(Problem::new(place, "include", format!("not a pattern: {}", error.msg)));
                Vec::new()
            }
            None => Vec::new(),
        };
        let is_pattern = pattern.contains(['*', '?', '[']);
        if paths.is_empty() && !is_pattern {
            let text = format!("{} does not exist, expected a file of this schema", resolved.display());
            self.problems.push(Problem::new(place, "include", text));
        }
        if self.files.len() + paths.len() > INCLUDED_FILES_MAX {
            let text = format!("names more than {INCLUDED_FILES_MAX} files");
            self.problems.push(Problem::new(place, "include", text));
            paths.clear();
        }
        paths
    }
}

fn include_patterns(root: &Node) -> Vec<(String, Place)> {
    let items = root.get("include").and_then(Node::as_list).unwrap_or(&[]);
    items.iter().filter_map(|item| Some((item.as_scalar()?.text.clone(), item.place.clone()))).collect()
}

fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// A secret in a file of its own; the line end that editors add is not part of it.
fn secret_file(path: &Path) -> Result<String, String> {
    let read = read_bounded(path, SECRET_FILE_BYTES_MAX).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = String::from_utf8(read).map_err(|_| format!("{}: expected UTF-8 text", path.display()))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// `server.http_listen` is `WATCHPOST_SERVER__HTTP_LISTEN`.
fn variable_of(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

fn apply_environment(root: &mut Node, sources: &Sources, warnings: &mut Vec<String>, problems: &mut Problems) {
    let entries = yaml::schema::entries::<Settings>();
    for (name, text) in &sources.environment {
        if !name.starts_with(VARIABLE_PREFIX) || NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        let Some(entry) = entries.iter().find(|entry| variable_of(&entry.path) == *name) else {
            // Kubernetes injects such names for a service called watchpost, so it cannot be an error.
            warnings.push(format!("environment variable {name} is not a setting and has no effect"));
            continue;
        };
        match yaml::parse_value(&format!("environment variable {name}"), text) {
            Ok(node) => set(root, &entry.path, node, problems),
            Err(more) => problems.extend(more),
        }
    }
}

fn apply_flags(root: &mut Node, sources: &Sources, problems: &mut Problems) {
    let from = |flag: &FlagValue| {
        let mut node = Node::plain(&flag.text);
        node.place = Place::outside(&format!("flag --{}", flag.flag));
        node
    };
    for (index, flag) in sources.flags.iter().enumerate() {
        if !flag.adds {
            set(root, flag.key, from(flag), problems);
            continue;
        }
        // All items of a list come together: the flags replace what the file says, they do not add to it.
        let same_key = |other: &&FlagValue| other.adds && other.key == flag.key;
        if sources.flags[..index].iter().any(|other| same_key(&other)) {
            continue;
        }
        let mut list = Node::list(sources.flags.iter().filter(same_key).map(from).collect());
        list.place = Place::outside(&format!("flag --{}", flag.flag));
        set(root, flag.key, list, problems);
    }
    let listen_given = root.get("server").and_then(|server| server.get("listen")).is_some();
    if sources.plain_replaces_default && !listen_given {
        let mut none = Node::list(Vec::new());
        none.place = Place::outside("flag --web.listen-address");
        set(root, "server.listen", none, problems);
    }
}

fn set(root: &mut Node, path: &str, value: Node, problems: &mut Problems) {
    let segments: Vec<&str> = path.split('.').collect();
    if let Err(problem) = root.set(&segments, value) {
        problems.push(problem);
    }
}

/// Where each given value stands, by path.
fn origins(root: &Node) -> Vec<(String, String)> {
    let at = |path: &str| path.split('.').try_fold(root, |node, key| node.get(key));
    yaml::schema::entries::<Settings>()
        .into_iter()
        .filter_map(|entry| at(&entry.path).map(|node| (entry.path.clone(), node.place.to_string())))
        .collect()
}
