//! A reload takes over all of a configuration or nothing, and says which.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use appliance::config::load::{Sources, load};
use appliance::config::{DEBOUNCE, LogLevel};
use appliance::reload::Reloader;
use model::meter::Registry;
use model::meter::exposition::Format;
use model::time::{ManualClock, Timestamp};
use tokio_util::sync::CancellationToken;

use tests::folder::Folder;

struct Fixture {
    folder: Folder,
    registry: Registry,
    reloader: Arc<Reloader>,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let folder = Folder::new("appliance");
        let file = folder.write("watchpost.yml", text);
        let sources = Sources { file: Some(file), ..Sources::default() };
        let first = load(&sources).expect("the first configuration is right");
        let clock = Arc::new(ManualClock::at(Timestamp(60_000)));
        let registry = Registry::new();
        let data = folder.path().join("data");
        let reloader = Reloader::new(sources, first, &data, clock, &registry).expect("the registry is empty");
        Self { folder, registry, reloader: Arc::new(reloader) }
    }

    fn level(&self) -> LogLevel {
        self.reloader.current().settings.telemetry.log.level
    }

    fn lastgood(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("data/lastgood/watchpost.yml")).expect("it is kept")
    }
}

fn with_level(level: &str) -> String {
    format!("telemetry: {{log: {{level: {level}}}}}\n")
}

#[tokio::test]
async fn a_right_configuration_is_taken_over_and_kept() {
    let fixture = Fixture::new(&with_level("warn"));
    let mut told = fixture.reloader.subscribe();
    told.mark_unchanged();
    fixture.folder.write("watchpost.yml", &with_level("debug"));
    fixture.reloader.reload("test").await.expect("it is right");
    assert_eq!(fixture.level(), LogLevel::Debug);
    assert!(told.has_changed().expect("the reloader lives"));
    assert!(fixture.lastgood().contains("level: debug"), "{}", fixture.lastgood());
}

#[tokio::test]
async fn a_wrong_configuration_changes_nothing_and_is_remembered() {
    let fixture = Fixture::new(&with_level("warn"));
    fixture.folder.write("watchpost.yml", &with_level("loud"));
    let problems = fixture.reloader.reload("test").await.expect_err("there is no such level");
    assert!(problems.to_string().contains("watchpost.yml:1:26"), "{problems}");
    assert_eq!(fixture.level(), LogLevel::Warn);
    assert!(fixture.lastgood().contains("level: warn"));
    let status = fixture.reloader.status();
    assert_eq!(status.by, "test");
    assert!(status.refused.is_some());
    assert!(fixture.registry.render(Format::Text).contains("prometheus_config_last_reload_successful 0"));

    fixture.folder.write("watchpost.yml", &with_level("error"));
    fixture.reloader.reload("test").await.expect("mended");
    assert!(fixture.reloader.status().refused.is_none());
    assert!(fixture.registry.render(Format::Text).contains("prometheus_config_last_reload_successful 1"));
}

#[tokio::test]
async fn what_only_a_start_takes_over_is_named() {
    let fixture = Fixture::new("server: {listen: ['127.0.0.1:1']}\n");
    fixture.folder.write("watchpost.yml", "server: {listen: ['127.0.0.1:2']}\ntelemetry: {log: {level: warn}}\n");
    fixture.reloader.reload("test").await.expect("it is right");
    assert_eq!(fixture.reloader.status().needs_restart, ["server.listen"]);
}

#[tokio::test]
async fn a_changed_file_is_noticed_however_it_was_replaced() {
    let fixture = Fixture::new(&with_level("warn"));
    let stop = CancellationToken::new();
    let reloader = Arc::clone(&fixture.reloader);
    let watching = reloader.watch_files(stop.clone());
    let changes = async {
        // In place, as `echo >` does; then aside and renamed, as editors do.
        tokio::time::sleep(Duration::from_millis(200)).await;
        fixture.folder.write("watchpost.yml", &with_level("debug"));
        wait_for(&fixture, LogLevel::Debug).await;
        let aside: PathBuf = fixture.folder.write("watchpost.yml.swp", &with_level("error"));
        std::fs::rename(aside, fixture.folder.path().join("watchpost.yml")).expect("same folder");
        wait_for(&fixture, LogLevel::Error).await;
        stop.cancel();
    };
    let (watched, ()) = tokio::join!(watching, changes);
    watched.expect("it stops when told");
    assert_eq!(fixture.reloader.status().by, "file change");
}

async fn wait_for(fixture: &Fixture, level: LogLevel) {
    for _ in 0..600 {
        if fixture.level() == level {
            return;
        }
        tokio::time::sleep(DEBOUNCE / 10).await;
    }
    assert_eq!(fixture.level(), level, "the change was not noticed: {:?}", fixture.reloader.status());
}
