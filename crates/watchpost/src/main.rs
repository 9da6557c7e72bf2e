//! The binary: reads the command line, calls a verb, turns its outcome into an exit code.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage.

mod adapters;
mod ask;
mod check;
mod cli;
mod data_folder;
mod doors;
mod front;
mod gate;
mod healthcheck;
mod outflow;
mod people;
mod process_metrics;
mod samples;
mod serve;
mod sources;
mod telemetry;
mod tsdb_verb;
mod version;

use std::process::ExitCode;

use crate::cli::Command;

/// musl's allocator is slow under threads, and glibc's keeps what a burst took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match cli::parse(std::env::args().skip(1)) {
        Ok(Command::Serve(flags)) => serve::serve(&flags),
        Ok(Command::Check(arguments)) => check::check(&arguments),
        Ok(Command::Healthcheck(arguments)) => healthcheck::healthcheck(&arguments),
        Ok(Command::People(arguments)) => people::run(&arguments),
        Ok(Command::Ask(arguments)) => ask::ask(&arguments),
        Ok(Command::Tsdb(arguments)) => tsdb_verb::tsdb(&arguments),
        Ok(Command::Probe(arguments)) => ask::probe(&arguments),
        Ok(Command::Version { json }) => version::print(json),
        Ok(Command::Help(text)) => version::say(&text),
        Err(usage) => {
            version::complain(&format!("{usage}\n"));
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        version::complain(&format!("watchpost: {error:#}\n"));
        ExitCode::FAILURE
    })
}
