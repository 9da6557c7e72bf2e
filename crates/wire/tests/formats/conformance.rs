//! Expositions and parser cases recorded from other projects: what must be read, what must be refused.
//!
//! `CONFORMANCE_EXTRA` may name another folder laid out like the shared one; its result is printed too and must be as
//! good. Each test ends with `N passed, N failed`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wire::exposition::{Format, check};

use crate::render::parses;

/// The recorded folder, and the one to look at besides.
fn folders() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = tests::skip::conformance("exposition").into_iter().collect();
    let extra = std::env::var_os("CONFORMANCE_EXTRA").map(|root| Path::new(&root).join("exposition"));
    found.extend(extra.filter(|path| path.is_dir()));
    found
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
}

impl Tally {
    fn note(&mut self, ok: bool, what: impl FnOnce() -> String) {
        if ok { self.passed += 1 } else { self.failed.push(what()) }
    }

    #[track_caller]
    fn end(self, cases_min: usize) {
        for failure in &self.failed {
            println!("FAILED {failure}");
        }
        println!("{} passed, {} failed", self.passed, self.failed.len());
        assert!(self.failed.is_empty(), "{} cases failed", self.failed.len());
        assert!(self.passed >= cases_min, "only {} cases were found", self.passed);
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The format a file's name speaks of.
fn format_of(path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.contains("openmetrics") || name.ends_with(".om.txt") { Format::OpenMetrics } else { Format::Text }
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(end) && path.is_file())
        .collect();
    found.sort();
    found
}

#[test]
fn every_recorded_exposition_is_read_to_its_end() {
    let mut tally = Tally::default();
    let folders = folders();
    for path in folders.iter().flat_map(|folder| files(folder, ".txt")) {
        let mut bytes = fs::read(&path).unwrap();
        let format = format_of(&path);
        // Kept without what ends it, so that an editor may touch the file.
        if format == Format::OpenMetrics && !bytes.ends_with(b"# EOF\n") && !bytes.ends_with(b"# EOF") {
            bytes.extend_from_slice(b"# EOF\n");
        }
        let read = parses(&bytes, format);
        tally.note(matches!(read, Ok(entries) if entries > 5), || format!("{}: {read:?}", path.display()));
    }
    if !folders.is_empty() {
        tally.end(7);
    }
}

#[test]
fn every_recorded_verdict_on_a_broken_exposition_is_ours() {
    let mut tally = Tally::default();
    let folders = folders();
    for path in folders.iter().flat_map(|folder| files(folder, "_errors.json")) {
        for case in json(&path)["cases"].as_array().unwrap() {
            let input = case["input"].as_str().unwrap();
            let read = parses(input.as_bytes(), format_of(&path));
            tally.note(read.is_ok() == case["valid"].as_bool().unwrap(), || {
                format!("{}: {input:?}: {read:?}", path.display())
            });
        }
    }
    if !folders.is_empty() {
        tally.end(50);
    }
}

/// The strict cases: what is right is read and found right; what is wrong is found wrong by the stricter rules.
#[test]
fn every_openmetrics_parser_case_is_judged_right() {
    let mut tally = Tally::default();
    let folders = folders();
    for folder in &folders {
        let mut cases: Vec<PathBuf> = fs::read_dir(folder.join("openmetrics_parsers"))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect())
            .unwrap_or_default();
        cases.sort();
        for case in cases {
            let test = json(&case.join("test.json"));
            let bytes = fs::read(case.join(test["file"].as_str().unwrap())).unwrap();
            let good = test["shouldParse"].as_bool().unwrap();
            let problems = check::openmetrics(&bytes);
            let read = parses(&bytes, Format::OpenMetrics);
            let ok = problems.is_empty() == good && (!good || read.is_ok());
            tally.note(ok, || format!("{}: should parse {good}: {problems:?} {read:?}", case.display()));
        }
    }
    if !folders.is_empty() {
        tally.end(126);
    }
}
