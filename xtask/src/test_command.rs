//! `cargo xtask test`: everything that tests, in one command, and an honest count at the end.
//!
//! Promise: the last line is `N passed, N failed, N skipped`; a skip that a package could have prevented makes the
//! exit code 1 and names the command that installs it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use tests::depth::DEPTH_VARIABLE;
use tests::needs::{self, Row};
use tests::repo;
use tests::skip::SKIPS_VARIABLE;

use crate::packages;

/// What the test binaries said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    /// Marked `#[ignore]`, with the reason where one is given.
    ignored: Vec<String>,
}

impl Tally {
    /// Reads one line of libtest's output.
    fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let count = |word: &str| {
                let before = result.split(word).next().filter(|before| before.len() < result.len())?;
                before.split_whitespace().next_back()?.parse::<usize>().ok()
            };
            self.passed += count(" passed").unwrap_or(0);
            self.failed += count(" failed").unwrap_or(0);
        } else if let Some((test, reason)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ignored"))
        {
            self.ignored.push(format!("{test}: ignored{reason}"));
        }
    }
}

pub(crate) fn run(deep: bool) -> ExitCode {
    let wanted = needs::in_use(&repo::text_files());
    let mut missing = packages::missing(&wanted);
    let mut required = Vec::new();
    if packages::may_install() {
        if !missing.is_empty() && !packages::install(&missing) {
            eprintln!("installing failed; going on without");
        }
        missing = packages::missing(&wanted);
        required = wanted.iter().copied().filter(|row| row.find().is_some()).collect();
    }

    let skips_file = std::env::temp_dir().join(format!("watchpost-skips-{}", std::process::id()));
    let (tally, ran_through) = run_cargo(deep, &skips_file, &required);
    let skipped = skipped_tests(&skips_file);
    drop(std::fs::remove_file(&skips_file));
    report(&tally, &skipped, &missing, ran_through)
}

/// Runs all tests, showing what they say. True when cargo was content.
fn run_cargo(deep: bool, skips_file: &Path, required: &[&Row]) -> (Tally, bool) {
    let cargo: PathBuf = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into();
    let mut command = Command::new(cargo);
    command.args(["test", "--workspace", "--no-fail-fast"]).current_dir(repo::root());
    command.env(SKIPS_VARIABLE, skips_file).stdout(Stdio::piped());
    // `cargo xtask` tells its child which package it is; a build script that looks at that (ring's does) would run again,
    // and everything above it would be built again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    // Built by this very command, with the features all members share: building it alone would build half the world anew.
    if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        command.env("WATCHPOST_BIN", folder.join("watchpost"));
        command.env("WATCHPOST_EXAMPLES", folder.join("examples"));
    }
    if deep {
        command.env(DEPTH_VARIABLE, "deep");
    }
    for row in required {
        command.env(row.required_variable, "1");
    }

    let mut tally = Tally::default();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("{command:?}: {error}");
            return (tally, false);
        }
    };
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.read(&line);
        }
    }
    (tally, child.wait().is_ok_and(|status| status.success()))
}

/// What was written to the file of skips, each test once: a test may lack two things.
fn skipped_tests(skips_file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(skips_file).unwrap_or_default();
    let mut seen = BTreeSet::new();
    // The reason begins at the first colon with a space: a test's path has colons without.
    let test = |line: &str| line.split_once(": ").map_or(line, |(test, _)| test).to_owned();
    text.lines().filter(|line| seen.insert(test(line))).map(str::to_owned).collect()
}

fn report(tally: &Tally, skipped: &[String], missing: &[&Row], ran_through: bool) -> ExitCode {
    let all_skipped: Vec<&String> = skipped.iter().chain(&tally.ignored).collect();
    if !all_skipped.is_empty() {
        println!("\nskipped:");
        all_skipped.iter().for_each(|line| println!("  {line}"));
    }
    let mut failed = tally.failed;
    if !ran_through && failed == 0 {
        println!("\ncargo test failed without naming a test: see above");
        failed = 1;
    }
    if !missing.is_empty() {
        println!("\nnot run for want of a package:");
        missing.iter().for_each(|row| println!("  {} ({})", row.tests, row.package));
        println!("install and run again:\n  {}", packages::install_command(missing));
    }
    // A test that skips returns early, which libtest counts as passed.
    println!("\n{} passed, {failed} failed, {} skipped", tally.passed.saturating_sub(skipped.len()), all_skipped.len());
    if failed == 0 && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests_of_the_count {
    //! Lines as libtest writes them.

    use super::*;

    #[test]
    fn results_of_all_binaries_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "running 4 tests",
            "test a::b ... ok",
            "test a::slow ... ignored, takes an hour",
            "test src/lib.rs - x (line 3) ... ignored",
            "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: nonsense",
        ] {
            tally.read(line);
        }
        let ignored = ["a::slow: ignored, takes an hour", "src/lib.rs - x (line 3): ignored"];
        assert_eq!(tally, Tally { passed: 15, failed: 2, ignored: ignored.map(str::to_owned).to_vec() });
    }

    #[test]
    fn a_test_that_lacks_two_things_is_one_skipped_test() {
        let file = std::env::temp_dir().join(format!("watchpost-xtask-skips-{}", std::process::id()));
        std::fs::write(&file, "store::a: no initdb\nstore::b: no initdb\nstore::a: no psql: none\n").unwrap();
        let skipped = skipped_tests(&file);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(skipped, ["store::a: no initdb", "store::b: no initdb"]);
        assert_eq!(skipped_tests(&file), Vec::<String>::new(), "no skip writes no file");
    }

    #[test]
    fn only_a_failure_or_a_missing_package_makes_the_command_fail() {
        let tally = |failed| Tally { passed: 3, failed, ignored: Vec::new() };
        let skipped = ["promql::a: WATCHPOST_CONFORMANCE is not set".to_owned()];
        let missing = [&needs::ROWS[0]];
        let failure = |code: ExitCode| format!("{code:?}") == format!("{:?}", ExitCode::FAILURE);
        assert!(!failure(report(&tally(0), &skipped, &[], true)));
        assert!(failure(report(&tally(1), &[], &[], false)));
        assert!(failure(report(&tally(0), &[], &[], false)));
        assert!(failure(report(&tally(0), &skipped, &missing, true)));
    }
}
