//! The version, and the two ways a verb speaks to a person: standard output and standard error.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// Of this build.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints the version for people, or as one JSON object.
pub(crate) fn print(json: bool) -> anyhow::Result<ExitCode> {
    if json {
        let object = serde_json::json!({
            "name": "watchpost", "version": VERSION, "os": std::env::consts::OS, "arch": std::env::consts::ARCH,
        });
        return say(&format!("{object}\n"));
    }
    say(&format!("watchpost {VERSION} ({} {})\n", std::env::consts::OS, std::env::consts::ARCH))
}

/// Writes to standard output; a reader that has gone (`| head`) is no error.
pub(crate) fn say(text: &str) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Writes to standard error; there is nowhere to report a failure to.
pub(crate) fn complain(text: &str) {
    let _nowhere_to_report = io::stderr().write_all(text.as_bytes());
}
