//! Every discovery mechanism against a fake of what it asks, over real sockets and real files.

#![allow(clippy::panic, reason = "a fixture fails the test that uses it")]

mod dns;
mod docker;
mod file;
mod http;
mod kubernetes;
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::time::SystemClock;
use scrape::discovery::{Block, Environment, Found, Manager, Statuses};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Only a hang lasts this long.
const HANG: Duration = Duration::from_secs(60);

/// A job's discovery that runs until the test ends.
struct Running {
    found: watch::Receiver<Found>,
    statuses: Statuses,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Running {
    fn start(blocks: Vec<Block>) -> Self {
        let environment = Environment { clock: Arc::new(SystemClock::new()), user_agent: "test/1".to_owned() };
        let manager = Manager::new(blocks, &environment).with_batch(Duration::from_millis(50));
        let statuses = manager.statuses();
        let (sender, found) = watch::channel(Found::default());
        let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
        running.spawn(manager.run(sender, stop.clone()));
        Self { found, statuses, stop, running }
    }

    /// The targets once they are what was expected, as `Labels` print them.
    async fn until(&mut self, what: &str, mut holds: impl FnMut(&[String]) -> bool) -> Vec<String> {
        let waiting = async {
            loop {
                let targets: Vec<String> = self.found.borrow().targets().map(|labels| labels.to_string()).collect();
                if holds(&targets) {
                    return targets;
                }
                self.found.changed().await.expect("it runs");
            }
        };
        let waited = tokio::time::timeout(HANG, waiting).await;
        waited.unwrap_or_else(|_| panic!("never: {what}; {:?} {:?}", self.statuses.now(), self.found.borrow()))
    }

    /// The problem of the first mechanism, once it has one.
    async fn problem(&self) -> String {
        let waiting = async {
            loop {
                if let Some(problem) = self.statuses.now()[0].problem.clone() {
                    return problem;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(HANG, waiting).await.expect("a problem")
    }

    async fn end(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(HANG, self.running.join_next()).await.expect("it stops when it is told to");
        ended.expect("it ran").expect("no panic");
    }
}

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("discovery-{}-{name}", std::process::id()));
        let _was_not_there = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_for_the_system = std::fs::remove_dir_all(&self.0);
    }
}

/// A file of the crate's own test data.
fn testdata(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/discovery").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares with a file of test data, line by line.
#[track_caller]
fn same_as(targets: &[String], file: &str) {
    let expected = testdata(file);
    let expected: Vec<&str> = expected.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(targets, expected, "{file}");
}
