//! A small world in which one target went down, one vanished and one sleeps.

use std::sync::Arc;

use model::memory::MemoryStorage;
use model::query::{QueryOptions, Steps};
use model::storage::stale_nan;
use model::time::{Clock, ManualClock};
use promql::engine::{Engine, Settings};
use promql::syntax::{ParseOptions, parse};

use super::*;
use crate::explain::parts;
use crate::explain::tests::{NOW, put};

const LOOKBACK: Duration = Duration::from_secs(300);

fn minutes(minutes: i64) -> Timestamp {
    Timestamp(NOW.0 - minutes * 60_000)
}

fn world() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let target = |name: &'static str, instance: &'static str| {
        [("__name__", name), ("instance", instance), ("job", "api"), ("zone", "a")]
    };
    put(&storage, &target("up", "a"), 300, 0, 1.0);
    put(&storage, &target("requests_total", "a"), 300, 0, 7.0);
    // Down for forty minutes.
    put(&storage, &target("up", "b"), 300, 41, 1.0);
    put(&storage, &target("up", "b"), 40, 0, 0.0);
    put(&storage, &target("requests_total", "b"), 300, 41, 7.0);
    // Taken out of the configuration two hours ago.
    put(&storage, &target("up", "c"), 300, 120, 1.0);
    put(&storage, &target("requests_total", "c"), 300, 120, 7.0);
    // Still there, but silent about this.
    put(&storage, &target("batches_total", "a"), 300, 200, 7.0);
    storage
}

fn why(query: &str, when: When) -> Vec<Reason> {
    let storage = world();
    let asked = Asked { when, lookback: LOOKBACK, oldest: Some(minutes(300)) };
    reasons(&storage, &parse(query, ParseOptions::ALL).unwrap(), asked).unwrap()
}

#[track_caller]
fn check(query: &str, expected: Reason) {
    assert_eq!(why(query, When::At(NOW)), [expected], "{query}");
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

#[test]
fn a_metric_that_does_not_exist_is_named_with_those_that_are_alike() {
    let metric = "request_total".to_owned();
    check("rate(request_total[5m])", Reason::NoSuchMetric { metric, alike: texts(["requests_total"]) });
    let metric = "requests".to_owned();
    check("requests", Reason::NoSuchMetric { metric, alike: texts(["requests_total"]) });
    check("weather", Reason::NoSuchMetric { metric: "weather".to_owned(), alike: Vec::new() });
    let nothing = MemoryStorage::new();
    let asked = Asked { when: When::At(NOW), lookback: LOOKBACK, oldest: None };
    let found = reasons(&nothing, &parse("up", ParseOptions::ALL).unwrap(), asked).unwrap();
    assert_eq!(found, [Reason::NothingStored]);
}

#[test]
fn the_condition_that_fits_no_series_is_named_with_what_there_is() {
    check(
        "requests_total{job=\"api\", instance=~\"d|e\"}",
        Reason::NoSuchValue {
            metric: "requests_total".to_owned(),
            matcher: "instance=~\"d|e\"".to_owned(),
            label: "instance".to_owned(),
            values: texts(["a", "b", "c"]),
            more: false,
        },
    );
    check(
        "requests_total{region=\"x\"}",
        Reason::NoSuchLabel {
            metric: "requests_total".to_owned(),
            label: "region".to_owned(),
            labels: texts(["instance", "job", "zone"]),
        },
    );
    check(
        "{__name__=~\"up|batches_total\", instance=\"b\", __name__!=\"up\"}",
        Reason::NotTogether { selector: "{__name__!=\"up\",__name__=~\"up|batches_total\",instance=\"b\"}".to_owned() },
    );
}

#[test]
fn a_target_that_is_down_is_named_with_the_time_since_when() {
    check(
        "requests_total{instance=\"b\"}",
        Reason::TargetDown {
            selector: "requests_total{instance=\"b\"}".to_owned(),
            job: "api".to_owned(),
            instance: "b".to_owned(),
            since: Some(minutes(40)),
            last: minutes(41),
        },
    );
    check(
        "sum(rate(requests_total{instance=\"c\"}[5m]))",
        Reason::TargetGone {
            selector: "requests_total{instance=\"c\"}".to_owned(),
            job: "api".to_owned(),
            instance: "c".to_owned(),
            last: minutes(120),
        },
    );
    let selector = "batches_total".to_owned();
    check("batches_total", Reason::Ended { selector, last: minutes(200) });
}

#[test]
fn a_series_that_said_it_ended_has_ended_though_its_last_sample_is_young() {
    let storage = world();
    let labels = [("__name__", "jobs"), ("instance", "x")];
    put(&storage, &labels, 10, 2, 1.0);
    put(&storage, &labels, 1, 1, stale_nan());
    let expr = parse("jobs", ParseOptions::ALL).unwrap();
    let asked = Asked { when: When::At(NOW), lookback: LOOKBACK, oldest: None };
    let found = reasons(&storage, &expr, asked).unwrap();
    assert_eq!(found, [Reason::Ended { selector: "jobs".to_owned(), last: minutes(2) }]);
    let expr = parse("count_over_time(jobs[10m])", ParseOptions::ALL).unwrap();
    assert_eq!(reasons(&storage, &expr, asked).unwrap(), [], "its samples are still counted");
}

#[test]
fn the_time_asked_about_counts_and_not_the_present() {
    assert_eq!(why("requests_total", When::At(minutes(500))), [Reason::OutsideRetention { oldest: minutes(300) }]);
    assert_eq!(why("requests_total offset 1d", When::At(NOW)), [Reason::OutsideRetention { oldest: minutes(300) }]);
    assert_eq!(why("requests_total{instance=\"c\"} offset 3h", When::At(NOW)), []);
    assert_eq!(why("requests_total{instance=\"c\"} @ 1", When::At(NOW)).len(), 1);
    let steps = Steps { start: minutes(150), end: minutes(130), step_ms: 60_000 };
    assert_eq!(why("requests_total{instance=\"c\"}", When::Over(steps)), []);
    let storage = world();
    let expr = parse("requests_total", ParseOptions::ALL).unwrap();
    let asked = Asked { when: When::At(minutes(500)), lookback: LOOKBACK, oldest: None };
    let first = Reason::NotYet { selector: "requests_total".to_owned(), first: minutes(300) };
    assert_eq!(reasons(&storage, &expr, asked).unwrap(), [first]);
}

#[test]
fn each_selector_of_a_query_gives_its_own_reason_once() {
    let found = why("foo / bar + sum_over_time(foo[1h:5m]) > requests_total", When::At(NOW));
    let metrics: Vec<&str> = found
        .iter()
        .map(|reason| match reason {
            Reason::NoSuchMetric { metric, .. } => metric.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(metrics, ["foo", "bar"]);
}

#[test]
fn where_all_have_samples_the_part_that_lost_them_is_named() {
    let clock = Arc::new(ManualClock::at(NOW));
    let engine = Engine::new(Arc::new(world()), Settings::default(), Arc::clone(&clock) as Arc<dyn Clock>);
    let lost = |query: &str| {
        let expr = parse(query, ParseOptions::ALL).unwrap();
        assert_eq!(why(query, When::At(NOW)), [], "{query}");
        let parts = parts(&engine, &*clock, &expr, When::At(NOW), &QueryOptions::default()).unwrap();
        match filtered(&parts) {
            Some(Reason::Filtered { part, .. }) => part,
            other => panic!("{query}: {other:?}"),
        }
    };
    assert_eq!(lost("sum(up > 5)"), "up > 5");
    assert_eq!(lost("sum(rate(requests_total[30s]) * 2)"), "rate(requests_total[30s])");
    assert_eq!(lost("up / on (zone, instance) (requests_total > 100)"), "requests_total > 100");
    assert_eq!(lost("absent(up)"), "absent(up)");
}

#[test]
fn edits_are_counted() {
    for (from, to, expected) in [("", "", 0), ("up", "", 2), ("kitten", "sitting", 3), ("a_b", "a_b", 0)] {
        assert_eq!(distance(from, to), expected);
    }
    assert_eq!(distance(&"x".repeat(200), "x"), usize::MAX);
}
