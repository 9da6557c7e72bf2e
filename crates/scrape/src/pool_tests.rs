//! Pools over time: targets come, go and come back, loops fail, and the server stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use model::memory::MemoryStorage;
use model::meter::Registry;
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::fetch::{Body, Fetch, FetchError, Fetched, LocalFetch, LocalTarget, Request};
use crate::pool::{JobRun, Manager, Scraping};
use crate::report::Health;
use crate::test_bench::{RuntimeClock, TEXT, dump, found, job};

const SECOND: Duration = Duration::from_secs(1);

/// Answers by host: `slow` never, `panics` never again, everybody else one sample.
#[derive(Default)]
struct ByHost {
    panics: AtomicUsize,
}

#[async_trait]
impl Fetch for ByHost {
    async fn fetch(&self, request: &Request<'_>, body: &mut Body) -> Result<Fetched, FetchError> {
        if request.url.contains("slow") {
            std::future::pending::<()>().await;
        }
        assert!(
            !(request.url.contains("panics") && self.panics.fetch_add(1, Ordering::SeqCst) == 0),
            "the fetcher has a bug"
        );
        body.local().extend_from_slice(b"a 1\n");
        Ok(Fetched { content_type: TEXT.to_owned() })
    }
}

struct House {
    storage: MemoryStorage,
    scraping: Scraping,
    stop: CancellationToken,
    registry: Registry,
    manager: tokio::task::JoinHandle<()>,
}

fn house() -> House {
    let storage = MemoryStorage::new();
    let registry = Registry::new();
    let clock = Arc::new(RuntimeClock(tokio::time::Instant::now()));
    let shared = Shared::new(Arc::new(storage.clone()), clock, 0, &registry).unwrap();
    let (manager, scraping) = Manager::new(shared);
    let stop = CancellationToken::new();
    #[allow(clippy::disallowed_methods, reason = "the supervisor's part, in a test")]
    let manager = tokio::spawn(manager.run(stop.clone()));
    House { storage, scraping, stop, registry, manager }
}

impl House {
    async fn run(&self, lines: &str, hosts: &[&str]) {
        let run = JobRun { job: Arc::new(job(lines)), fetch: Arc::new(ByHost::default()) };
        self.scraping.set_jobs(vec![run]).await;
        self.targets(hosts).await;
    }

    async fn targets(&self, hosts: &[&str]) {
        self.scraping.set_targets("j", hosts.iter().map(|host| found(host)).collect()).await;
    }

    /// Samples of the name that begins so: how many, and how many of them say that it ended.
    fn count(&self, prefix: &str) -> (usize, usize) {
        let lines = dump(&self.storage, prefix).join("\n");
        (lines.matches('=').count() - lines.matches("=end").count(), lines.matches("=end").count())
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_is_scraped_once_in_each_interval_at_aligned_times() {
    let house = house();
    house.run("scrape_interval: 10s", &["one:1"]).await;
    tokio::time::sleep(60 * SECOND).await;
    let line = dump(&house.storage, "up").pop().unwrap();
    let times: Vec<f64> =
        line.split(' ').skip(1).map(|sample| sample.split('=').next().unwrap().parse().unwrap()).collect();
    assert_eq!(times.len(), 6, "{line}");
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 10.0).abs() < 1e-9), "{line}");
    let view = house.scraping.pools().remove("j").unwrap();
    assert_eq!((view.active.len(), view.active[0].last().health), (1, Health::Up));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_removed_is_ended_two_intervals_and_a_tenth_later() {
    let house = house();
    house.run("scrape_interval: 10s", &["one:1"]).await;
    tokio::time::sleep(25 * SECOND).await;
    let (samples, _) = house.count("a");
    house.targets(&[]).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(house.count("a"), (samples, 0), "not yet");
    assert!(house.scraping.pools()["j"].active.is_empty());
    tokio::time::sleep(12 * SECOND).await;
    assert_eq!(house.count("a"), (samples, 1));
    assert_eq!(house.count("up"), (samples, 1));
    // The end is where the next scrape would have been.
    let line = dump(&house.storage, "a").pop().unwrap();
    let seconds: Vec<f64> = line.split(' ').skip(1).map(|s| s.split('=').next().unwrap().parse().unwrap()).collect();
    assert!((seconds[samples] - seconds[samples - 1] - 10.0).abs() < 1e-9, "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_comes_back_in_time_goes_on() {
    let house = house();
    house.run("scrape_interval: 10s", &["one:1"]).await;
    tokio::time::sleep(25 * SECOND).await;
    house.targets(&[]).await;
    tokio::time::sleep(8 * SECOND).await;
    house.targets(&["one:1"]).await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(house.count("a").1, 0);
    assert_eq!(house.count("scrape_series_added").0, house.count("up").0);
    assert_eq!(dump(&house.storage, "scrape_series_added")[0].matches("=1").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_ends_when_the_server_stops() {
    let house = house();
    house.run("scrape_interval: 10s", &["one:1", "two:1", "slow:1"]).await;
    tokio::time::sleep(25 * SECOND).await;
    house.targets(&["one:1"]).await;
    house.stop.cancel();
    house.manager.await.unwrap();
    assert_eq!(dump(&house.storage, "a").join(" ").matches("=end").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn targets_that_hang_or_break_cost_only_their_own_scrapes() {
    let house = house();
    house.run("scrape_interval: 10s\nscrape_timeout: 5s", &["slow:1", "panics:1", "good:1"]).await;
    tokio::time::sleep(60 * SECOND).await;
    let view = house.scraping.pools().remove("j").unwrap();
    let of = |host: &str| view.active.iter().find(|state| state.target().url.contains(host)).unwrap().last();
    assert_eq!((of("slow").health, of("good").health, of("panics").health), (Health::Down, Health::Up, Health::Up));
    assert!(of("slow").error.contains("did not come within 5s"), "{}", of("slow").error);
    assert_eq!(house.registry.value("watchpost_scrape_panics_total"), Some(1.0));
    let good = dump(&house.storage, "up");
    assert!(good.iter().any(|line| line.matches("=1").count() == 6), "{good:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_with_too_many_targets_fails_them_all() {
    let house = house();
    house.run("scrape_interval: 10s\ntarget_limit: 1", &["one:1", "two:1"]).await;
    tokio::time::sleep(11 * SECOND).await;
    let view = house.scraping.pools().remove("j").unwrap();
    assert_eq!(view.error.as_deref(), Some("target_limit exceeded (number of targets: 2, limit: 1)"));
    assert!(view.active.iter().all(|state| state.last().error == *view.error.as_ref().unwrap()));
    house.targets(&["one:1"]).await;
    tokio::time::sleep(11 * SECOND).await;
    assert_eq!(house.scraping.pools()["j"].active[0].last().health, Health::Up);
}

#[tokio::test(start_paused = true)]
async fn dropped_and_refused_targets_are_shown_and_doubles_are_one() {
    let house = house();
    let rules =
        "keep_dropped_targets: 1\nrelabel_configs: [{source_labels: [__address__], regex: drop.*, action: drop}]";
    house.run(rules, &["drop1:1", "drop2:1", "one:1", "one:1", "http://url/"]).await;
    tokio::time::sleep(SECOND).await;
    let view = house.scraping.pools().remove("j").unwrap();
    assert_eq!((view.active.len(), view.dropped.len(), view.dropped_count), (1, 1, 2));
    assert_eq!(view.refused[0].1, "\"http://url/\" is not a valid hostname");
    assert_eq!(view.dropped[0].get("__metrics_path__"), Some("/metrics"));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_gone_ends_its_targets() {
    let house = house();
    house.run("scrape_interval: 10s", &["one:1"]).await;
    tokio::time::sleep(15 * SECOND).await;
    house.scraping.set_jobs(Vec::new()).await;
    tokio::time::sleep(25 * SECOND).await;
    assert!(house.scraping.pools().is_empty());
    assert_eq!(house.count("a").1, 1);
    // Targets of a job nobody knows are nobody's.
    house.targets(&["one:1"]).await;
    tokio::time::sleep(15 * SECOND).await;
    assert_eq!(house.count("a").1, 1);
}

struct Ourselves;

impl LocalTarget for Ourselves {
    fn write(&self, out: &mut Vec<u8>) -> Result<&'static str, String> {
        out.extend_from_slice(b"watchpost_build_info 1\n");
        Ok(TEXT)
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_in_this_process_is_scraped_without_a_socket() {
    let house = house();
    let run = JobRun { job: Arc::new(job("scrape_interval: 1s")), fetch: Arc::new(LocalFetch(Arc::new(Ourselves))) };
    house.scraping.set_jobs(vec![run]).await;
    house.targets(&["localhost"]).await;
    tokio::time::sleep(3 * SECOND).await;
    assert!(house.count("watchpost_build_info").0 >= 2);
}
