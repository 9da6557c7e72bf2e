//! The parser, printer and pretty-printer tables taken from Prometheus, and the queries of scripts and guides.
//!
//! `WATCHPOST_CONFORMANCE` names the folder; `CONFORMANCE_EXTRA` may name another one laid out alike, whose result
//! is printed as `N passed, N failed`.

use std::path::{Path, PathBuf};

use promql::syntax::{ParseErrors, ParseOptions, parse, pretty};
use serde_json::Value;

/// What came of the cases of a folder.
#[derive(Default)]
struct Tally {
    passed: usize,
    failures: Vec<String>,
}

impl Tally {
    fn case(&mut self, name: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(problem) => {
                println!("FAIL {name}: {problem}");
                self.failures.push(format!("{name}: {problem}"));
            }
        }
    }

    #[track_caller]
    fn settle(&self) {
        println!("{} passed, {} failed", self.passed, self.failures.len());
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
        assert!(self.passed > 0, "no case was found");
    }
}

/// The shared data, or a word that there is none.
pub(crate) fn conformance() -> Option<PathBuf> {
    let found = std::env::var_os("WATCHPOST_CONFORMANCE").map(PathBuf::from);
    if found.is_none() {
        println!("skipped: WATCHPOST_CONFORMANCE is not set");
    }
    found
}

/// The cases of a table, empty where the folder has no such table.
fn cases(folder: &Path, table: &str) -> Vec<Value> {
    let Ok(text) = std::fs::read_to_string(folder.join("promql").join(table)) else { return Vec::new() };
    let json: Value = serde_json::from_str(&text).expect("the table is JSON");
    json["cases"].as_array().cloned().unwrap_or_default()
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_default()
}

fn parse_case(case: &Value) -> Result<(), String> {
    let parsed = parse(text(case, "input"), ParseOptions::ALL);
    match (parsed, case["valid"].as_bool()) {
        (Ok(_), Some(true)) => Ok(()),
        (Ok(_), _) => Err("it must not parse".to_owned()),
        (Err(errors), Some(true)) => Err(format!("it must parse: {errors}")),
        (Err(errors), _) => same_errors(&errors, case["errors"].as_array().map_or(&[], Vec::as_slice)),
    }
}

fn same_errors(got: &ParseErrors, wanted: &[Value]) -> Result<(), String> {
    if wanted.is_empty() {
        return Ok(());
    }
    let got: Vec<(u64, u64, &str)> =
        got.0.iter().map(|error| (error.span.start.into(), error.span.end.into(), error.message.as_str())).collect();
    let number = |error: &Value, key: &str| error[key].as_u64().unwrap_or(u64::MAX);
    let wanted: Vec<(u64, u64, &str)> =
        wanted.iter().map(|error| (number(error, "start"), number(error, "end"), text(error, "msg"))).collect();
    if got == wanted { Ok(()) } else { Err(format!("\n  got    {got:?}\n  wanted {wanted:?}")) }
}

fn same_text(got: &str, wanted: &str) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("\n  got    {got:?}\n  wanted {wanted:?}")) }
}

fn run_tables(folder: &Path) -> Tally {
    let mut tally = Tally::default();
    for case in cases(folder, "parse_cases.json") {
        tally.case(&format!("parse {:?}", text(&case, "input")), parse_case(&case));
    }
    for case in cases(folder, "string_cases.json") {
        let printed = parse(text(&case, "in"), ParseOptions::ALL)
            .map_err(|error| error.to_string())
            .and_then(|expr| same_text(&expr.to_string(), text(&case, "out")));
        tally.case(&format!("string {:?}", text(&case, "in")), printed);
    }
    for case in cases(folder, "pretty_cases.json") {
        let width = case["width"].as_u64().and_then(|width| usize::try_from(width).ok()).unwrap_or(100);
        let printed = parse(text(&case, "in"), ParseOptions::ALL)
            .map_err(|error| error.to_string())
            .and_then(|expr| same_text(&pretty(&expr, width), text(&case, "out")));
        tally.case(&format!("pretty {:?}", text(&case, "in")), printed);
    }
    tally
}

#[test]
fn the_shared_tables_agree() {
    if let Some(folder) = conformance() {
        run_tables(&folder).settle();
    }
}

#[test]
fn the_extra_tables_agree() {
    if let Some(folder) = std::env::var_os("CONFORMANCE_EXTRA") {
        let tally = run_tables(Path::new(&folder));
        // A folder may hold scripts only.
        if tally.passed + tally.failures.len() > 0 {
            tally.settle();
        }
    }
}

/// The queries of a script's `eval` lines, with whether they may fail.
pub(crate) fn script_queries(script: &str) -> Vec<(String, bool)> {
    let instant = regex::Regex::new(r"^eval(?:_\w+)?\s+instant\s+(?:at\s+(?:.+?))?\s+(.+)$").expect("it compiles");
    let range = regex::Regex::new(r"^eval(?:_\w+)?\s+range\s+from\s+.+\s+to\s+.+\s+step\s+.+?\s+(.+)$");
    let range = range.expect("it compiles");
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let mut queries = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(found) = range.captures(line).or_else(|| instant.captures(line)) else { continue };
        let body = lines[index + 1..].iter().take_while(|line| !line.is_empty() && !line.starts_with("eval"));
        let may_fail = line.starts_with("eval_fail") || body.clone().any(|line| line.starts_with("expect fail"));
        queries.push((found[1].to_owned(), may_fail));
    }
    queries
}

/// The texts of all files of a folder with this ending.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    let wanted = paths.iter().filter(|path| path.extension().is_some_and(|found| found == ending));
    wanted.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

#[test]
fn every_query_of_the_scripts_parses() {
    let Some(folder) = conformance() else { return };
    let mut tally = Tally::default();
    for script in files(&folder.join("promql"), "test") {
        for (query, may_fail) in script_queries(&script) {
            let parsed = parse(&query, ParseOptions::ALL);
            if !may_fail {
                tally.case(&query, parsed.map(drop).map_err(|error| error.to_string()));
            }
        }
    }
    tally.settle();
}

/// A blank line or a comment line ends a query.
fn guide_queries(text: &str) -> Vec<String> {
    let without_comments: Vec<&str> =
        text.lines().map(|line| if line.trim_start().starts_with('#') { "" } else { line }).collect();
    let queries = without_comments.split(|line| line.trim().is_empty());
    queries.map(|lines| lines.join("\n")).filter(|query| !query.is_empty()).collect()
}

#[test]
fn every_query_of_the_guides_parses_as_in_production() {
    let Some(folder) = conformance() else { return };
    let mut tally = Tally::default();
    let Ok(guides) = std::fs::read_dir(folder.join("seeds")) else { return };
    for guide in guides.filter_map(Result::ok) {
        for text in files(&guide.path(), "promql") {
            for query in guide_queries(&text) {
                let parsed = parse(&query, ParseOptions::default());
                tally.case(&query, parsed.map(drop).map_err(|error| error.to_string()));
            }
        }
    }
    tally.settle();
}
