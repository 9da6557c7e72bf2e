//! What a developer types: `cargo xtask test`, `cargo xtask stack` and `cargo xtask house`.
//!
//! Promise: needs no program but cargo; what it installs, it installs only as root on Debian, and says so.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks through its output")]

use std::process::ExitCode;

mod measure;
mod packages;
mod test_command;

const HELP: &str = "\
cargo xtask <command>

  test [--deep]   run every test; as root on Debian, install what the end-to-end tests need first.
                  --deep: with all rounds and seeds, which takes much longer.
                  Exit code 0: everything ran and passed (tests that no package could help may be skipped).
                  Exit code 1: a test failed, or could not run for want of a package, which is then named.
  stack NAME      serve a team's monitoring with toy applications until Ctrl+C; the first is tutormax
  house           print the measures of the house beside their targets
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["test"] => test_command::run(false),
        ["test", "--deep"] => test_command::run(true),
        ["house"] => measure::run(),
        ["stack", name] => stack(name),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("unknown command {arguments:?}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

/// The toys live with the tests, so that this package needs nothing to build.
fn stack(name: &str) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = ["run", "--quiet", "--package", "tests", "--example", "stack", "--", name];
    match std::process::Command::new(cargo).args(run).status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("cargo does not start: {error}");
            ExitCode::FAILURE
        }
    }
}
