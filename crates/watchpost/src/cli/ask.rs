//! The arguments of the verbs that ask: `query`, `query-range`, `series`, `labels`, and `tsdb`.

use std::path::PathBuf;
use std::time::Duration;

use super::{Args, Command, Given, UsageError, flag_of};

/// How long an answer may take where nobody says so.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How long a scrape may take where nobody says so.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom to ask.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Whom {
    pub(crate) config: Option<PathBuf>,
    /// The address of a server; else the one the configuration describes, on this machine.
    pub(crate) server: Option<String>,
    /// A data folder, of which no server may run.
    pub(crate) data: Option<String>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) timeout: Duration,
}

/// What to ask.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Question {
    Instant { query: String, time: Option<String> },
    Range { query: String, start: Option<String>, end: Option<String>, step: String },
    Series { selectors: Vec<String>, start: Option<String>, end: Option<String> },
    Labels { name: Option<String>, selectors: Vec<String>, start: Option<String>, end: Option<String> },
}

/// The arguments of a verb that asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) whom: Whom,
    pub(crate) question: Question,
}

/// What `tsdb` does with a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TsdbDeed {
    Analyze { limit: usize },
    Verify,
    Dump { selector: Option<String>, start: Option<String>, end: Option<String> },
}

/// The arguments of `tsdb`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tsdb {
    pub(crate) whom: Whom,
    pub(crate) deed: TsdbDeed,
}

/// The arguments of `probe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) url: String,
    pub(crate) timeout: Duration,
}

/// What the verbs share, as they are read.
#[derive(Default)]
struct Read {
    whom: Whom,
    words: Vec<String>,
    selectors: Vec<String>,
    time: Option<String>,
    start: Option<String>,
    end: Option<String>,
    step: Option<String>,
    limit: Option<usize>,
}

/// Reads everything; a flag that the verb does not know is refused with those it knows.
fn read(args: &mut Args, verb: &str, known: &[&str], help: &str) -> Result<Result<Read, Command>, UsageError> {
    let mut read = Read { whom: Whom { timeout: TIMEOUT, ..Whom::default() }, ..Read::default() };
    while let Some(arg) = args.rest.next() {
        if !arg.starts_with('-') || arg.starts_with("-(") {
            read.words.push(arg);
            continue;
        }
        let given = flag_of(&arg)?;
        if given.name == "help" {
            return Ok(Err(Command::Help(help.to_owned())));
        }
        if !known.contains(&given.name.as_str()) {
            let known = known.iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(", ");
            return Err(UsageError(format!("unknown flag --{}, `{verb}` knows {known}", given.name)));
        }
        read.take(args, given)?;
    }
    Ok(Ok(read))
}

impl Read {
    fn take(&mut self, args: &mut Args, given: Given) -> Result<(), UsageError> {
        let name = given.name.clone();
        let value = args.value_of(given)?;
        match name.as_str() {
            "config" => self.whom.config = Some(PathBuf::from(value)),
            "server" => self.whom.server = Some(value),
            "data" => self.whom.data = Some(value),
            "token-file" => self.whom.token_file = Some(PathBuf::from(value)),
            "ca-file" => self.whom.ca_file = Some(PathBuf::from(value)),
            "format" => {
                self.whom.json = match value.as_str() {
                    "json" => true,
                    "text" => false,
                    other => return Err(UsageError(format!("--format expects text or json, not `{other}`"))),
                }
            }
            "timeout" => {
                self.whom.timeout =
                    model::time::parse_duration(&value).map_err(|bad| UsageError(format!("--timeout: {bad}")))?;
            }
            "match" => self.selectors.push(value),
            "time" => self.time = Some(value),
            "start" => self.start = Some(value),
            "end" => self.end = Some(value),
            "step" => self.step = Some(value),
            "limit" => {
                let limit = value.parse().map_err(|_| UsageError("--limit expects a number".to_owned()))?;
                self.limit = Some(limit);
            }
            other => return Err(UsageError(format!("--{other} is known, but nothing acts on it"))),
        }
        Ok(())
    }

    /// The words after the flags: so many, no more.
    fn words<const N: usize>(&self, expected: &str) -> Result<[String; N], UsageError> {
        <[String; N]>::try_from(self.words.clone())
            .map_err(|words| UsageError(format!("expected {expected}, got {} words", words.len())))
    }
}

const ASKING: [&str; 7] = ["config", "server", "data", "token-file", "ca-file", "format", "timeout"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    more.iter().copied().chain(ASKING).collect()
}

/// `query`
pub(super) fn query(args: &mut Args) -> Result<Command, UsageError> {
    let read = match read(args, "query", &with(&["time"]), QUERY_HELP)? {
        Ok(read) => read,
        Err(help) => return Ok(help),
    };
    let [query] = read.words("one expression")?;
    Ok(Command::Ask(Ask { question: Question::Instant { query, time: read.time }, whom: read.whom }))
}

/// `query-range`
pub(super) fn query_range(args: &mut Args) -> Result<Command, UsageError> {
    let read = match read(args, "query-range", &with(&["start", "end", "step"]), QUERY_HELP)? {
        Ok(read) => read,
        Err(help) => return Ok(help),
    };
    let [query] = read.words("one expression")?;
    let step = read.step.unwrap_or_else(|| "60".to_owned());
    Ok(Command::Ask(Ask {
        question: Question::Range { query, start: read.start, end: read.end, step },
        whom: read.whom,
    }))
}

/// `series`
pub(super) fn series(args: &mut Args) -> Result<Command, UsageError> {
    let mut read = match read(args, "series", &with(&["match", "start", "end"]), SERIES_HELP)? {
        Ok(read) => read,
        Err(help) => return Ok(help),
    };
    read.selectors.append(&mut read.words);
    if read.selectors.is_empty() {
        return Err(UsageError("expected at least one selector, such as 'up{job=\"api\"}'".to_owned()));
    }
    let question = Question::Series { selectors: read.selectors, start: read.start, end: read.end };
    Ok(Command::Ask(Ask { question, whom: read.whom }))
}

/// `labels`
pub(super) fn labels(args: &mut Args) -> Result<Command, UsageError> {
    let read = match read(args, "labels", &with(&["match", "start", "end"]), SERIES_HELP)? {
        Ok(read) => read,
        Err(help) => return Ok(help),
    };
    let name = match read.words.as_slice() {
        [] => None,
        [name] => Some(name.clone()),
        more => return Err(UsageError(format!("expected at most one label, got {} words", more.len()))),
    };
    let question = Question::Labels { name, selectors: read.selectors, start: read.start, end: read.end };
    Ok(Command::Ask(Ask { question, whom: read.whom }))
}

/// `tsdb`
pub(super) fn tsdb(args: &mut Args) -> Result<Command, UsageError> {
    let known = ["config", "data", "format", "limit", "match", "start", "end"];
    let read = match read(args, "tsdb", &known, TSDB_HELP)? {
        Ok(read) => read,
        Err(help) => return Ok(help),
    };
    let [deed] = read.words("one of analyze, verify and dump")?;
    let deed = match deed.as_str() {
        "analyze" => TsdbDeed::Analyze { limit: read.limit.unwrap_or(20) },
        "verify" => TsdbDeed::Verify,
        "dump" => TsdbDeed::Dump { selector: read.selectors.into_iter().next(), start: read.start, end: read.end },
        other => return Err(UsageError(format!("unknown `tsdb {other}`, expected analyze, verify or dump"))),
    };
    Ok(Command::Tsdb(Tsdb { whom: read.whom, deed }))
}

/// `probe`
pub(super) fn probe(args: &mut Args) -> Result<Command, UsageError> {
    let read = match read(args, "probe", &["timeout"], PROBE_HELP)? {
        Ok(read) => read,
        Err(help) => return Ok(help),
    };
    let [url] = read.words("one address, such as http://localhost:9100/metrics")?;
    // As long as a scrape may take where nothing is said.
    let timeout = if read.whom.timeout == TIMEOUT { PROBE_TIMEOUT } else { read.whom.timeout };
    Ok(Command::Probe(Probe { url, timeout }))
}

const PROBE_HELP: &str = "\
usage: watchpost probe [--timeout 10s] URL

Fetches a target as a scrape would, stores nothing, and says what came: the type of the answer, how many samples, the
first of them, and what is wrong. Exits 0 (it can be scraped) or 1.
";

const QUERY_HELP: &str = "\
usage: watchpost query [--time T] EXPR
       watchpost query-range [--start T] [--end T] [--step 60] EXPR

Asks in PromQL: the server on this machine, one at --server URL, or a data folder at --data DIR that no server uses.
Times are seconds since 1970 or RFC 3339; a range is the last hour unless --start and --end say otherwise.

  --token-file FILE   an API token with the scope metrics:read
  --ca-file FILE      the authority that signed the server's certificate (its /ca.crt)
  --format text|json  json prints what the HTTP API answers as data
  --timeout 2m
";

const SERIES_HELP: &str = "\
usage: watchpost series [--match] SELECTOR… [--start T] [--end T]
       watchpost labels [LABEL] [--match SELECTOR…] [--start T] [--end T]

Lists series, label names, or the values of a label. Whom to ask: see `watchpost query --help`.
";

const TSDB_HELP: &str = "\
usage: watchpost tsdb analyze [--limit 20]
       watchpost tsdb verify
       watchpost tsdb dump [--match SELECTOR] [--start T] [--end T]

Looks into the time-series database of a data folder (--data DIR, or the configured one) while no server uses it.
analyze says where series come from; verify reads everything and exits 1 where something is damaged; dump prints every
sample as `SERIES VALUE MILLISECONDS`.
";

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn parsed(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn an_expression_may_stand_before_and_after_flags() {
        for line in ["query up --server http://x:1 --time 5", "query --time=5 --server=http://x:1 up"] {
            let Ok(Command::Ask(ask)) = parsed(line) else { panic!("{line}") };
            assert_eq!(ask.question, Question::Instant { query: "up".to_owned(), time: Some("5".to_owned()) });
            assert_eq!(ask.whom.server.as_deref(), Some("http://x:1"));
        }
        let Ok(Command::Ask(ask)) = parsed("query -(1)") else { panic!("a negation is no flag") };
        assert_eq!(ask.question, Question::Instant { query: "-(1)".to_owned(), time: None });
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let refused = |line: &str| parsed(line).expect_err(line).to_string();
        assert!(refused("query").contains("one expression"));
        assert!(refused("query a b").contains("got 2 words"));
        assert!(refused("series").contains("at least one selector"));
        assert!(refused("labels a b").contains("at most one label"));
        assert!(refused("tsdb mend").contains("analyze, verify or dump"));
        assert!(refused("query --step 5 up").contains("`query` knows --time"));
        assert!(refused("tsdb dump --server x").contains("unknown flag --server"));
        assert!(refused("query --format xml up").contains("text or json"));
    }
}
