//! The command line: verbs, flags, help and what is wrong with them.
//!
//! Promise: parsing has no effect; what it returns says everything. No verb, or a flag first, means `serve`.
//! Not here: what verbs do (`serve`, `check`, `healthcheck`).

pub(crate) mod ask;
mod flags;
pub(crate) mod people;

use std::path::PathBuf;
use std::time::Duration;

use self::flags::{Effect, Flag, Takes};

/// A container's health check must answer well within its interval.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// What the user asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Serve(Serve),
    Check(Check),
    Healthcheck(Healthcheck),
    People(people::People),
    Ask(ask::Ask),
    Tsdb(ask::Tsdb),
    Probe(ask::Probe),
    Version { json: bool },
    Help(String),
}

/// The flags of `serve`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Serve {
    pub(crate) config: Option<PathBuf>,
    /// Keys of the configuration set by flags, in the order given.
    pub(crate) settings: Vec<FlagSetting>,
    /// `--web.enable-lifecycle`
    pub(crate) lifecycle: bool,
    /// `--web.enable-admin-api`
    pub(crate) admin: bool,
    /// `--web.enable-remote-write-receiver`
    pub(crate) receiver: bool,
    /// Every flag with its text, as given.
    pub(crate) given: Vec<(String, String)>,
    /// Whether `--web.listen-address` was given, which replaces the default listener.
    pub(crate) plain_replaces_default: bool,
    /// Flags that are known but do nothing (yet), each with the sentence for the log.
    pub(crate) warnings: Vec<String>,
}

/// A key of the configuration that a flag sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlagSetting {
    pub(crate) flag: &'static str,
    pub(crate) key: &'static str,
    pub(crate) text: String,
    /// A further item of a list, rather than the whole value.
    pub(crate) adds: bool,
}

/// How problems are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    #[default]
    Text,
    Json,
    Github,
}

/// The arguments of `check`.
#[derive(Debug, PartialEq)]
pub(crate) struct Check {
    pub(crate) config: Option<PathBuf>,
    /// `check config FILE…`: these files of Prometheus instead of our own.
    pub(crate) prometheus: Vec<PathBuf>,
    pub(crate) format: ReportFormat,
}

/// The arguments of `healthcheck`.
#[derive(Debug, PartialEq)]
pub(crate) struct Healthcheck {
    pub(crate) config: Option<PathBuf>,
    pub(crate) url: Option<String>,
    pub(crate) timeout: Duration,
}

/// The command line is wrong; the text says how and what would be right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(String);

/// The verbs with their line of help.
const VERBS: &[(&str, &str)] = &[
    ("serve", "run the server (also without any verb)"),
    ("check", "check the configuration, or any prometheus.yml, and exit: 0 fine, 1 problems, 2 wrong usage"),
    ("healthcheck", "ask a running server on this machine whether it lives: 0 yes, 1 no"),
    ("user", "add users, list them, reset passwords and second factors"),
    ("token", "make, list and revoke API tokens"),
    ("query", "ask a server or a data folder in PromQL, at one time"),
    ("query-range", "the same over a range of time"),
    ("series", "list the series that fit selectors"),
    ("labels", "list label names, or the values of one"),
    ("probe", "fetch a target and say what a scrape would bring"),
    ("tsdb", "analyze, verify or dump the time-series database of a data folder"),
    ("version", "print the version"),
];

/// What `check` will look at once it is built.
const LATER_KINDS: &[&str] = &["rules", "alertmanager", "blackbox", "dashboards"];

/// Verbs that come with later capabilities, so that asking for one says so.
const LATER_VERBS: &[&str] =
    &["probe", "test", "backup", "verify", "restore", "doctor", "import", "drill", "apply", "debug"];

/// Reads the arguments (without the program's name).
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, UsageError> {
    let mut args: Vec<String> = args.into_iter().collect();
    let verb = match args.first().map(String::as_str) {
        None => "serve".to_owned(),
        Some("--version" | "-V") => return Ok(Command::Version { json: false }),
        Some("--help" | "-h") => return Ok(Command::Help(overview())),
        Some(first) if first.starts_with('-') => "serve".to_owned(),
        Some(_) => args.remove(0),
    };
    let mut args = Args { rest: args.into_iter() };
    match verb.as_str() {
        "serve" => serve(&mut args),
        "check" => check(&mut args),
        "healthcheck" => healthcheck(&mut args),
        "user" => people::user(&mut args),
        "token" => people::token(&mut args),
        "query" => ask::query(&mut args),
        "query-range" => ask::query_range(&mut args),
        "series" => ask::series(&mut args),
        "labels" => ask::labels(&mut args),
        "probe" => ask::probe(&mut args),
        "tsdb" => ask::tsdb(&mut args),
        "version" => version(&mut args),
        "help" => Ok(Command::Help(overview())),
        later if LATER_VERBS.contains(&later) => {
            Err(UsageError(format!("the verb `{later}` is not built yet; known: {}", verb_names())))
        }
        other => Err(UsageError(format!("unknown verb `{other}`, expected one of: {}", verb_names()))),
    }
}

fn verb_names() -> String {
    VERBS.iter().map(|(verb, _)| *verb).collect::<Vec<_>>().join(", ")
}

/// The arguments not yet read.
struct Args {
    rest: std::vec::IntoIter<String>,
}

/// One argument taken apart: `--name`, `--name=value`.
struct Given {
    name: String,
    value: Option<String>,
}

impl Args {
    /// The next argument where it is no flag.
    fn next_word(&mut self) -> Option<String> {
        let is_word = self.rest.as_slice().first().is_some_and(|arg| !arg.starts_with('-'));
        is_word.then(|| self.rest.next()).flatten()
    }

    /// The next flag; a word without dashes is refused, as few verbs take one.
    fn next_flag(&mut self) -> Result<Option<Given>, UsageError> {
        self.rest.next().map(|arg| flag_of(&arg)).transpose()
    }

    fn value_of(&mut self, given: Given) -> Result<String, UsageError> {
        let Given { name, value } = given;
        value.or_else(|| self.rest.next()).ok_or_else(|| UsageError(format!("--{name} expects a value")))
    }
}

/// Takes one argument apart that must be a flag.
fn flag_of(arg: &str) -> Result<Given, UsageError> {
    if arg == "-h" {
        return Ok(Given { name: "help".to_owned(), value: None });
    }
    let Some(flag) = arg.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
        return Err(UsageError(format!("unexpected argument `{arg}`, expected a flag such as --config")));
    };
    Ok(match flag.split_once('=') {
        Some((name, value)) => Given { name: name.to_owned(), value: Some(value.to_owned()) },
        None => Given { name: flag.to_owned(), value: None },
    })
}

fn serve(args: &mut Args) -> Result<Command, UsageError> {
    let mut serve = Serve::default();
    while let Some(given) = args.next_flag()? {
        if given.name == "help" {
            return Ok(Command::Help(serve_help()));
        }
        let (flag, negated) = find_flag(&given.name)?;
        let text = match flag.takes {
            Takes::Value(_) => args.value_of(given)?,
            Takes::Switch => switch_text(&given, negated)?,
        };
        serve.take(flag, text)?;
    }
    Ok(Command::Serve(serve))
}

impl Serve {
    fn take(&mut self, flag: &'static Flag, text: String) -> Result<(), UsageError> {
        let name = flag.name;
        self.given.push((name.to_owned(), text.clone()));
        match flag.effect {
            Effect::Sets(key) => self.settings.push(FlagSetting { flag: name, key, text, adds: false }),
            Effect::Adds(key) => {
                self.plain_replaces_default |= name == "web.listen-address";
                self.settings.push(FlagSetting { flag: name, key, text, adds: true });
            }
            Effect::Later(capability) => {
                self.warnings.push(format!("--{name} has no effect yet: {capability} is not built yet"));
            }
            Effect::Ignored(why) => self.warnings.push(format!("--{name} has no effect here: {why}")),
            Effect::Runs => self.run_flag(name, text)?,
        }
        Ok(())
    }

    fn run_flag(&mut self, name: &str, text: String) -> Result<(), UsageError> {
        match (name, text.as_str()) {
            ("config", _) => self.config = Some(PathBuf::from(text)),
            ("web.enable-lifecycle", on) => self.lifecycle = on == "true",
            ("web.enable-admin-api", on) => self.admin = on == "true",
            ("web.enable-remote-write-receiver", on) => self.receiver = on == "true",
            ("auth", "on" | "off") => {
                let enabled = if text == "on" { "true" } else { "false" };
                let (flag, key) = ("auth", "auth.enabled");
                self.settings.push(FlagSetting { flag, key, text: enabled.to_owned(), adds: false });
            }
            ("auth", other) => return Err(UsageError(format!("--auth expects on or off, not `{other}`"))),
            (other, _) => {
                return Err(UsageError(format!("--{other} is in the table of flags, but nothing acts on it")));
            }
        }
        Ok(())
    }
}

/// Finds a flag; `--no-x` is the negation of the switch `--x`.
fn find_flag(name: &str) -> Result<(&'static Flag, bool), UsageError> {
    if let Some(flag) = flags::find(name) {
        return Ok((flag, false));
    }
    if let Some(flag) = name.strip_prefix("no-").and_then(flags::find).filter(|flag| flag.takes == Takes::Switch) {
        return Ok((flag, true));
    }
    let near = flags::SERVE
        .iter()
        .map(|flag| (distance(name, flag.name), flag.name))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, near)| format!("; did you mean --{near}?"))
        .unwrap_or_default();
    Err(UsageError(format!("unknown flag --{name}{near} (`watchpost serve --help` lists them)")))
}

fn switch_text(given: &Given, negated: bool) -> Result<String, UsageError> {
    match (given.value.as_deref(), negated) {
        (None | Some("true"), false) => Ok("true".to_owned()),
        (Some("false"), false) | (None, true) => Ok("false".to_owned()),
        (Some(other), _) => {
            Err(UsageError(format!("--{} is a switch, expected no value, true or false, not `{other}`", given.name)))
        }
    }
}

fn check(args: &mut Args) -> Result<Command, UsageError> {
    let mut check = Check { config: None, prometheus: Vec::new(), format: ReportFormat::default() };
    let kind = args.next_word();
    match kind.as_deref() {
        None | Some("config") => {}
        Some(later) if LATER_KINDS.contains(&later) => {
            return Err(UsageError(format!("`check {later}` is not built yet; known: check config FILE…")));
        }
        Some(other) => {
            return Err(UsageError(format!("unknown kind `{other}` to check, expected config (with files) or none")));
        }
    }
    loop {
        if kind.is_some() {
            check.prometheus.extend(std::iter::from_fn(|| args.next_word()).map(PathBuf::from));
        }
        let Some(given) = args.next_flag()? else { break };
        match given.name.as_str() {
            "help" => return Ok(Command::Help(CHECK_HELP.to_owned())),
            "config" => check.config = Some(PathBuf::from(args.value_of(given)?)),
            "format" => {
                check.format = match args.value_of(given)?.as_str() {
                    "text" => ReportFormat::Text,
                    "json" => ReportFormat::Json,
                    "github" => ReportFormat::Github,
                    other => return Err(UsageError(format!("--format expects text, json or github, not `{other}`"))),
                };
            }
            other => return Err(UsageError(format!("unknown flag --{other}, `check` knows --config and --format"))),
        }
    }
    if kind.is_some() && (check.prometheus.is_empty() || check.config.is_some()) {
        return Err(UsageError("`check config` expects files: check config FILE… [--format FORMAT]".to_owned()));
    }
    Ok(Command::Check(check))
}

fn healthcheck(args: &mut Args) -> Result<Command, UsageError> {
    let mut healthcheck = Healthcheck { config: None, url: None, timeout: HEALTHCHECK_TIMEOUT };
    while let Some(given) = args.next_flag()? {
        match given.name.as_str() {
            "help" => return Ok(Command::Help(HEALTHCHECK_HELP.to_owned())),
            "config" => healthcheck.config = Some(PathBuf::from(args.value_of(given)?)),
            "url" => healthcheck.url = Some(args.value_of(given)?),
            "timeout" => {
                let text = args.value_of(given)?;
                healthcheck.timeout =
                    model::time::parse_duration(&text).map_err(|bad| UsageError(format!("--timeout: {bad}")))?;
            }
            other => {
                let known = "--config, --url and --timeout";
                return Err(UsageError(format!("unknown flag --{other}, `healthcheck` knows {known}")));
            }
        }
    }
    Ok(Command::Healthcheck(healthcheck))
}

fn version(args: &mut Args) -> Result<Command, UsageError> {
    let mut json = false;
    while let Some(given) = args.next_flag()? {
        match (given.name.as_str(), given.value.as_deref()) {
            ("json", None) => json = true,
            ("help", _) => return Ok(Command::Help("usage: watchpost version [--json]\n".to_owned())),
            (other, _) => return Err(UsageError(format!("unknown flag --{other}, `version` knows --json"))),
        }
    }
    Ok(Command::Version { json })
}

const CHECK_HELP: &str = "\
usage: watchpost check [--config FILE] [--format text|json|github]
       watchpost check config FILE… [--format text|json|github]

Reads the configuration as `serve` would, reports every problem with file, line and column, and exits
0 (fine), 1 (problems found) or 2 (wrong usage). With `config` each FILE is a prometheus.yml, and the rule
files, target files and credentials it points to are looked at as well.
";

const HEALTHCHECK_HELP: &str = "\
usage: watchpost healthcheck [--config FILE] [--url URL] [--timeout 5s]

Asks the server on this machine for /live, at the listener its configuration names or at --url, and exits
0 (it answers) or 1 (it does not; the reason is printed).
";

fn overview() -> String {
    let mut text = String::from(
        "Watchpost: metrics, alerts, errors, health checks and dashboards in one server.\n\nusage: watchpost [VERB] [FLAGS]\n\nverbs:\n",
    );
    for (verb, help) in VERBS {
        text.push_str(&format!("  {verb:<12} {help}\n"));
    }
    text.push_str("\n`watchpost VERB --help` explains a verb. Without any flag the server keeps its data in ./data\nand prints where to go.\n");
    text
}

fn serve_help() -> String {
    let mut text = String::from("usage: watchpost [serve] [FLAGS]\n\nflags:\n");
    for flag in flags::SERVE.iter().filter(|flag| !flag.help.is_empty()) {
        let usage = match flag.takes {
            Takes::Value(placeholder) => format!("--{} {placeholder}", flag.name),
            Takes::Switch => format!("--{}", flag.name),
        };
        let later = match flag.effect {
            Effect::Later(capability) => format!(" (no effect yet: waits for {capability})"),
            _ => String::new(),
        };
        text.push_str(&format!("  {usage:<44} {}{later}\n", flag.help));
    }
    text.push_str("\nFurther flags of Prometheus are accepted and warn that they have no meaning here; unknown ones are refused.\nEvery key of watchpost.yml can also be set as WATCHPOST_<PATH>, e.g. WATCHPOST_SERVER__LISTEN.\n");
    text
}

/// Edits between two short words (Levenshtein), for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> impl Iterator<Item = String> {
        line.split_whitespace().map(str::to_owned)
    }

    #[track_caller]
    fn serve(line: &str) -> Serve {
        match parse(words(line)).expect(line) {
            Command::Serve(serve) => serve,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(line: &str) -> String {
        parse(words(line)).expect_err(line).to_string()
    }

    #[test]
    fn no_verb_or_a_flag_first_means_serve() {
        assert_eq!(serve(""), Serve::default());
        assert_eq!(serve("--data d").settings[0].text, "d");
        assert_eq!(serve("serve --data=d").settings, serve("--storage.tsdb.path d").renamed("data").settings);
    }

    impl Serve {
        /// The same as if the only setting had come by another flag.
        fn renamed(mut self, flag: &'static str) -> Self {
            self.settings[0].flag = flag;
            self
        }
    }

    #[test]
    fn the_command_line_of_a_prometheus_container_starts() {
        let serve = serve(
            "--config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus \
             --storage.tsdb.retention.time=15d --web.console.libraries=/usr/share/l --web.enable-lifecycle \
             --no-storage.tsdb.wal-compression --web.listen-address=:9090",
        );
        assert!(serve.lifecycle);
        assert!(serve.plain_replaces_default);
        let keys: Vec<_> = serve.settings.iter().map(|s| (s.key, s.text.as_str())).collect();
        let expected = [
            ("prometheus", "/etc/prometheus/prometheus.yml"),
            ("storage.path", "/prometheus"),
            ("storage.metrics.retention.time", "15d"),
            ("server.http_listen", ":9090"),
        ];
        assert_eq!(keys, expected);
        assert_eq!(serve.warnings.len(), 2, "{:?}", serve.warnings);
        assert!(serve.warnings[0].contains("--web.console.libraries"));
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_would_be_right() {
        assert!(refused("--dat x").contains("did you mean --data?"));
        assert!(refused("sevre").contains("expected one of: serve, check"));
        assert!(refused("--data").contains("expects a value"));
        assert!(refused("--web.enable-lifecycle=maybe").contains("expected no value, true or false"));
        assert!(refused("--no-data x").contains("unknown flag --no-data"));
        assert!(refused("serve now").contains("unexpected argument `now`"));
        assert!(refused("backup").contains("not built yet"));
        assert!(refused("check --format xml").contains("text, json or github"));
        assert!(refused("check config").contains("expects files"));
        assert!(refused("check config a.yml --config b.yml").contains("expects files"));
        assert!(refused("check rules a.yml").contains("not built yet"));
        assert!(refused("check nothing").contains("expected config"));
        assert!(refused("check --format text a.yml").contains("unexpected argument"));
    }

    #[test]
    fn files_to_check_stand_before_and_after_flags() {
        let Command::Check(check) = parse(words("check config a.yml b.yml --format json c.yml")).expect("right") else {
            panic!("another verb")
        };
        assert_eq!(check.prometheus, ["a.yml", "b.yml", "c.yml"].map(PathBuf::from));
        assert_eq!(check.format, ReportFormat::Json);
    }

    #[test]
    fn help_is_there_for_every_verb() {
        for line in ["--help", "help", "serve --help", "check -h", "healthcheck --help", "version --help"] {
            let Command::Help(text) = parse(words(line)).expect(line) else { panic!("{line}") };
            assert!(text.contains("usage:"), "{line}");
        }
    }
}
