//! `cargo xtask stack NAME`: a team's monitoring with toy applications, served by this server until Ctrl+C.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks through its output")]

use std::process::{Command, ExitCode};

use tests::server::binary;
use tests::stack;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(stack) = stack::find(&name) else {
        let known: Vec<&str> = stack::STACKS.iter().map(|stack| stack.name).collect();
        eprintln!("expected the name of a stack, one of: {}", known.join(", "));
        return ExitCode::from(2);
    };
    let running = stack.start();
    let folder = tests::folder::Folder::new(stack.name);
    running.write_files(folder.path(), str::to_owned);
    println!("{}: {} targets; files and data in {}", stack.name, running.targets(), folder.path().display());
    let served = Command::new(binary())
        .current_dir(folder.path())
        .args(["--auth=off", "--config.file=prometheus.yml", "--listen=127.0.0.1:8443"])
        .status();
    match served {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("the server ended with {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the server does not start: {error}");
            ExitCode::FAILURE
        }
    }
}
