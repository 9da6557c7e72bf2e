//! Skipping out loud: a test that lacks something says so, and the test command counts it.
//!
//! Promise: a skip is a line on stdout and a line in the file named by `WATCHPOST_SKIPS`; where the need is required
//! it is a failure. Nothing is skipped silently.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use crate::needs::Need;

/// Names the file that collects skips over all test binaries; set by `cargo xtask test`.
pub const SKIPS_VARIABLE: &str = "WATCHPOST_SKIPS";

/// Names the folder of recorded answers.
pub const CONFORMANCE_VARIABLE: &str = "WATCHPOST_CONFORMANCE";

/// Says that the running test is skipped. The caller returns afterwards.
///
/// # Panics
/// Where the need is required: then a missing program is a failure of the machine's preparation.
#[allow(clippy::print_stdout, clippy::panic, reason = "this is the tests' own voice")]
pub fn skip(need: Need, why: &str) {
    if let Some(row) = need.row()
        && std::env::var(row.required_variable).is_ok_and(|value| value == "1")
    {
        panic!("{}=1, but {why}", row.required_variable);
    }
    let line = skip_line(std::thread::current().name().unwrap_or("a test"), why);
    println!("skipped: {line}");
    let Some(file) = std::env::var_os(SKIPS_VARIABLE) else { return };
    // One write per line: several test threads append at once.
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    if let Err(error) = written {
        panic!("{SKIPS_VARIABLE} names {}, which cannot be written: {error}", PathBuf::from(file).display());
    }
}

/// The program that meets a need, or none after saying that the test is skipped.
#[must_use]
pub fn program(need: Need) -> Option<PathBuf> {
    let found = need.row().and_then(crate::needs::Row::find);
    if found.is_none() {
        let (program, package) = need.row().map_or(("", ""), |row| (row.program, row.package));
        skip(need, &format!("{program} is not installed (package {package})"));
    }
    found
}

/// A folder of recorded answers, or none after saying that the test is skipped.
#[must_use]
pub fn conformance(folder: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os(CONFORMANCE_VARIABLE) else {
        skip(Need::Conformance, &format!("{CONFORMANCE_VARIABLE} is not set"));
        return None;
    };
    let path = PathBuf::from(root).join(folder);
    assert!(path.is_dir(), "{CONFORMANCE_VARIABLE} is set, but {} is no folder", path.display());
    Some(path)
}

/// One line whatever the reason holds: the collecting file is read by lines.
fn skip_line(test: &str, why: &str) -> String {
    format!("{test}: {}", why.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    //! What can be said without changing this process's environment.

    use super::*;

    #[test]
    fn a_reason_of_several_lines_is_one_line() {
        assert_eq!(skip_line("store::a", "no\ninitdb"), "store::a: no initdb");
    }
}
