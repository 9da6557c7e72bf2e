//! The stacks our users run, served by the binary: all targets up, every query of their guide answers with data.

#![allow(clippy::disallowed_methods, reason = "a test of the real process waits in real time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::folder::Folder;
use tests::server::{Server, Start};
use tests::stack::{Running, Stack, find};
use tests::visitor::escape;

/// Two scrapes and a query; the machine may be busy.
const DATA_MAX: Duration = Duration::from_secs(60);

fn start(stack: &'static Stack) -> (Running, Server) {
    let running = stack.start();
    let folder = Arc::new(Folder::new(stack.name));
    // The team scrapes every 15 s; a test that waited for two of them would be slow for nothing.
    running.write_files(folder.path(), |text| text.replace("scrape_interval: 15s", "scrape_interval: 1s"));
    let server = Server::start(&Start {
        args: &["--config.file=prometheus.yml"],
        config: Some("self: {scrape: false, host: \"off\"}\n"),
        folder: Some(folder),
        ..Start::default()
    });
    (running, server)
}

fn ask(server: &Server, query: &str) -> Value {
    let answer = server.request("GET", &format!("/api/v1/query?query={}", escape(query)), &[], "");
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

/// Asks until the answer is as wanted.
#[track_caller]
fn wait_for(server: &Server, query: &str, wanted: impl Fn(&[Value]) -> bool) {
    let until = Instant::now() + DATA_MAX;
    loop {
        let answer = ask(server, query);
        let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        if wanted(&result) {
            return;
        }
        assert!(Instant::now() < until, "{query} still gives {answer}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[test]
fn the_stack_tutormax_has_all_targets_up_and_every_query_of_its_guide_answers() {
    let stack = find("tutormax").expect("it is built");
    let (running, server) = start(stack);
    let targets = running.targets();
    wait_for(&server, "up == 1", |up| up.len() == targets);
    for query in running.queries() {
        wait_for(&server, &query, |result| !result.is_empty());
    }
    let targets: Value = serde_json::from_str(&server.request("GET", "/api/v1/targets", &[], "").body).expect("JSON");
    let active = targets["data"]["activeTargets"].as_array().expect("a list");
    assert_eq!(active.len(), running.targets());
    assert!(active.iter().all(|target| target["health"] == "up"), "{active:?}");
}
