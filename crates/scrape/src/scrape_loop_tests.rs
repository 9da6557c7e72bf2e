//! The rules of scraping, one by one: what is stored, what ends, what is counted, what fails.

use model::storage::Queryable as _;

use crate::fetch::FetchError;
use crate::report::Health;
use crate::test_bench::Bench;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

#[test]
fn a_scrape_is_stored_with_its_report() {
    let mut bench = Bench::new("");
    let last = bench.scrape(0, "# TYPE a counter\na 1\nb{x=\"1\"} 2\n");
    assert_eq!((last.health, last.error.as_str()), (Health::Up, ""));
    assert_eq!((last.report.counts.scraped, last.report.counts.added, last.report.body_bytes), (2, 2, 32));
    bench.scrape(15, "# TYPE a counter\na 5\nb{x=\"1\"} 2\n");
    assert_eq!(
        bench.stored(""),
        [
            "a 0=1 15=5",
            "b{x=\"1\"} 0=2 15=2",
            "scrape_duration_seconds 0=0 15=0",
            "scrape_samples_post_metric_relabeling 0=2 15=2",
            "scrape_samples_scraped 0=2 15=2",
            "scrape_series_added 0=2 15=0",
            "up 0=1 15=1",
        ]
    );
    let snapshot = bench.storage.snapshot().unwrap();
    assert_eq!(snapshot.metadata("a", 0).unwrap().items[0].kind, "counter");
    let labels = &snapshot.series(&[], model::storage::TimeRange::ALL, 0).unwrap().items[0];
    assert_eq!(labels.to_string(), r#"{__name__="a", instance="host:80", job="j"}"#);
}

#[test]
fn a_series_that_is_gone_is_ended_at_the_time_of_the_scrape() {
    let mut bench = Bench::new("");
    bench.scrape(0, "a 1\nb 1\nc 1\n");
    let last = bench.scrape(15, "a 2\nc 2\nd 2\n");
    assert_eq!(last.report.counts.added, 1);
    bench.scrape(30, "c 3\na 3\nb 3\n");
    assert_eq!(bench.stored("a"), ["a 0=1 15=2 30=3"]);
    assert_eq!(bench.stored("b"), ["b 0=1 15=end 30=3"]);
    assert_eq!(bench.stored("c"), ["c 0=1 15=2 30=3"]);
    assert_eq!(bench.stored("d"), ["d 15=2 30=end"]);
}

#[test]
fn a_failed_scrape_ends_what_was_there_once_and_what_comes_back_is_not_new() {
    let mut bench = Bench::new("");
    bench.scrape(0, "a 1\nb 1\n");
    let last = bench.fail(15, FetchError::Status("503 Service Unavailable".to_owned()));
    assert_eq!(last.error, "server returned HTTP status 503 Service Unavailable");
    assert_eq!((last.health, last.hint.as_str()), (Health::Down, "the target itself failed; its own log may say why"));
    bench.fail(30, FetchError::Failed("connection refused".to_owned()));
    bench.scrape(45, "a 4\n");
    assert_eq!(bench.stored("a"), ["a 0=1 15=end 45=4"]);
    // Ended already when the target failed, so not ended again when it came back without it.
    assert_eq!(bench.stored("b"), ["b 0=1 15=end"]);
    assert_eq!(bench.stored("up"), ["up 0=1 15=0 30=0 45=1"]);
    assert_eq!(bench.stored("scrape_series_added"), ["scrape_series_added 0=2 15=0 30=0 45=0"]);
}

#[test]
fn a_body_that_breaks_off_leaves_nothing_and_ends_what_was_there() {
    let mut bench = Bench::new("");
    bench.scrape(0, "a 1\nb 1\n");
    let last = bench.scrape(15, "a 2\nnew 1\nb x\n");
    assert!(last.error.contains("line 3, column 3: expected a number"), "{}", last.error);
    assert_eq!(last.report.counts.scraped, 2);
    assert_eq!(bench.stored("a"), ["a 0=1 15=end"]);
    assert_eq!(bench.stored("new"), [""; 0]);
    let page = bench.scrape(30, "<!DOCTYPE html><html></html>");
    assert!(page.hint.contains("HTML"), "{page:?}");
    let json = bench.scrape_as(45, "application/json", "{\"status\":\"ok\"}");
    assert!(json.error.contains("unsupported Content-Type"), "{json:?}");
    assert_eq!(json.hint, "this is JSON; are the metrics at /prometheus?");
    let cut = bench.scrape_as(60, OPENMETRICS, "a 1\n");
    assert!(cut.error.contains("does not end with # EOF"), "{cut:?}");
    assert_eq!(bench.stored("up"), ["up 0=1 15=0 30=0 45=0 60=0"]);
}

#[test]
fn an_empty_answer_is_a_good_one_without_series() {
    let mut bench = Bench::new("");
    bench.scrape(0, "a 1\n");
    let last = bench.scrape(15, "");
    assert_eq!(last.health, Health::Up);
    assert_eq!(bench.stored("a"), ["a 0=1 15=end"]);
    bench.scrape(30, "a 2\n");
    assert_eq!(bench.stored("scrape_series_added"), ["scrape_series_added 0=1 15=0 30=0"]);
}

#[test]
fn the_sample_limit_counts_what_rules_left_and_fails_the_scrape() {
    let rules = "sample_limit: 2\nmetric_relabel_configs: [{source_labels: [__name__], regex: drop.*, action: drop}]";
    let mut bench = Bench::new(rules);
    let last = bench.scrape(0, "a 1\ndrop1 1\ndrop2 1\nb 1\n");
    assert_eq!((last.health, last.report.counts.scraped, last.report.counts.kept), (Health::Up, 4, 2));
    let last = bench.scrape(15, "a 1\ndrop1 1\nb 1\nc 1\nd 1\n");
    assert_eq!(last.error, "sample limit exceeded: 4 of at most 2");
    // How many there would have been is reported all the same.
    assert_eq!((last.report.counts.scraped, last.report.counts.kept), (5, 4));
    assert_eq!(bench.stored("a"), ["a 0=1 15=end"]);
    assert_eq!(bench.registry.value("prometheus_target_scrapes_exceeded_sample_limit_total"), Some(1.0));
    let last = bench.scrape(30, "a 1\ndrop1 1\ndrop2 1\nb 1\n");
    assert_eq!((last.health, last.report.counts.added), (Health::Up, 0));
}

#[test]
fn samples_with_their_own_time_have_no_end_unless_that_is_asked_for() {
    let body = |second: i64| format!("a 1 {}\nb 1\n", crate::test_bench::START + second * 1000);
    let mut bench = Bench::new("");
    bench.scrape(10, &body(3));
    bench.scrape(25, "b 2\n");
    assert_eq!((bench.stored("a"), bench.stored("b")), (vec!["a 3=1".to_owned()], vec!["b 10=1 25=2".to_owned()]));

    let mut tracking = Bench::new("track_timestamps_staleness: true");
    tracking.scrape(10, &body(3));
    tracking.scrape(25, "b 2\n");
    assert_eq!(tracking.stored("a"), ["a 3=1 25=end"]);

    let mut ours = Bench::new("honor_timestamps: false");
    ours.scrape(10, &body(3));
    ours.scrape(25, "b 2\n");
    assert_eq!(ours.stored("a"), ["a 10=1 25=end"]);

    // A line that begins to have a time is tracked no longer: readers are told.
    let mut becoming = Bench::new("");
    becoming.scrape(0, "a 1\nb 1\n");
    becoming.scrape(10, &body(7));
    assert_eq!(becoming.stored("a"), ["a 0=1 7=1 10=end"]);
}

#[test]
fn samples_that_repeat_or_come_late_are_counted_and_the_rest_is_stored() {
    let mut bench = Bench::new("");
    let last = bench.scrape(20, "a 1\na 2\nb 1\n");
    assert_eq!((last.health, last.refused.duplicate, last.report.counts.kept), (Health::Up, 1, 3));
    let last = bench.scrape(35, "a 3\na 3\nb 1\n");
    assert_eq!((last.refused.duplicate, last.report.counts.added), (1, 0));
    assert_eq!(bench.stored("a"), ["a 20=1 35=3"]);
    let old = format!("a 9 {}\nb 2\n", crate::test_bench::START);
    let last = bench.scrape(50, &old);
    assert_eq!((last.health, last.refused.out_of_order), (Health::Up, 1));
    assert_eq!(bench.registry.value("prometheus_target_scrapes_sample_out_of_order_total"), Some(1.0));
    let ahead = format!("c 9 {}\nb 2\n", crate::test_bench::START + 3_600_000);
    let last = bench.scrape(65, &ahead);
    assert_eq!((last.health, last.refused.out_of_bounds), (Health::Up, 1));
    assert_eq!(bench.stored("b"), ["b 20=1 35=1 50=2 65=2"]);
}

#[test]
fn two_texts_of_one_series_are_one_series() {
    let mut bench = Bench::new("");
    // The same value twice is no conflict; another one is refused by the storage.
    let last = bench.scrape(0, "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n");
    assert_eq!((last.health, last.refused.duplicate), (Health::Up, 1));
    bench.scrape(15, "a{y=\"2\",x=\"1\"} 3\n");
    assert_eq!(bench.stored("a"), ["a{x=\"1\", y=\"2\"} 0=1 15=3"]);
}

#[test]
fn labels_of_the_target_win_unless_its_own_are_honoured() {
    let body = "a{job=\"own\",instance=\"\"} 1\n";
    let mut bench = Bench::new("");
    bench.scrape(0, body);
    assert_eq!(bench.stored("a"), ["a{exported_job=\"own\"} 0=1"]);
    let mut honoured = Bench::new("honor_labels: true");
    honoured.scrape(0, body);
    let series = honoured.storage.snapshot().unwrap().series(&[], model::storage::TimeRange::ALL, 0).unwrap();
    assert_eq!(series.items[0].to_string(), r#"{__name__="a", job="own"}"#);
    // The report is about the target, whoever's labels win.
    assert!(series.items.iter().any(|labels| labels.to_string() == r#"{__name__="up", instance="host:80", job="j"}"#));
}

#[test]
fn a_label_beyond_its_limit_fails_the_scrape() {
    for (limit, error) in [
        ("label_limit: 3", "label_limit exceeded (metric: a, number of labels: 4, limit: 3)"),
        ("label_name_length_limit: 8", "label_name_length_limit exceeded (metric: a, label name: long_name"),
        ("label_value_length_limit: 8", "label_value_length_limit exceeded (metric: a, label name: long_name"),
    ] {
        let mut bench = Bench::new(limit);
        let last = bench.scrape(0, "ok 1\na{long_name=\"long_value\"} 1\n");
        assert!(last.error.starts_with(error), "{}", last.error);
        assert_eq!(bench.stored("ok"), [""; 0]);
        assert_eq!(bench.registry.value("prometheus_target_scrape_pool_exceeded_label_limits_total"), Some(1.0));
    }
}

#[test]
fn the_further_reports_say_what_was_allowed_and_how_much_came() {
    let mut bench = Bench::new("extra_scrape_metrics: true\nsample_limit: 7\nbody_size_limit: 10B\nscrape_timeout: 5s");
    bench.scrape(0, "a 1\n");
    let last = bench.scrape(15, "a 1\nbbbbbbbbbbb 1\n");
    assert_eq!(last.error, "body size limit exceeded: more than 10 bytes");
    bench.fail(30, FetchError::Failed("x".to_owned()));
    assert_eq!(bench.stored("scrape_body"), ["scrape_body_size_bytes 0=4 15=-1 30=0"]);
    assert_eq!(bench.stored("scrape_timeout"), ["scrape_timeout_seconds 0=5 15=5 30=5"]);
    assert_eq!(bench.stored("scrape_sample_limit"), ["scrape_sample_limit 0=7 15=7 30=7"]);
}

#[test]
fn new_rules_give_new_series_and_end_the_old_ones() {
    let mut bench = Bench::new("");
    bench.scrape(0, "a 1\nb 1\n");
    bench.reconfigure(
        "metric_relabel_configs: [{source_labels: [__name__], regex: a, target_label: x, replacement: y}]",
    );
    bench.scrape(15, "a 2\nb 2\n");
    assert_eq!(bench.stored("a"), ["a 0=1 15=end", "a{x=\"y\"} 15=2"]);
    assert_eq!(bench.stored("b"), ["b 0=1 15=2"]);
    // An interval says nothing about labels: nothing is looked up anew.
    bench.reconfigure("scrape_interval: 30s\nmetric_relabel_configs: [{source_labels: [__name__], regex: a, target_label: x, replacement: y}]");
    assert_eq!(bench.scrape(30, "a 3\nb 3\n").report.counts.added, 0);
}

#[test]
fn histograms_exemplars_and_bounds_find_their_way() {
    let mut bench = Bench::new("convert_classic_histograms_to_nhcb: true");
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {trace=\"x\"} 0.5 1700000000\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n# EOF\n";
    assert_eq!(bench.scrape_as(0, OPENMETRICS, body).error, "");
    bench.scrape_as(15, OPENMETRICS, body);
    bench.scrape_as(30, OPENMETRICS, "# EOF\n");
    assert_eq!(bench.stored("h"), ["h 0=histogram 15=histogram 30=end"]);
    let exemplars = bench.storage.snapshot().unwrap().exemplars(&[], model::storage::TimeRange::ALL).unwrap();
    assert_eq!(exemplars[0].1[0].labels.to_string(), "{trace=\"x\"}");

    let mut classic = Bench::new("");
    classic.scrape_as(0, OPENMETRICS, body);
    assert_eq!(classic.stored("h_bucket"), ["h_bucket{le=\"+Inf\"} 0=2", "h_bucket{le=\"1.0\"} 0=1"]);

    let mut limited = Bench::new("convert_classic_histograms_to_nhcb: true\nnative_histogram_bucket_limit: 1");
    let last = limited.scrape_as(0, OPENMETRICS, body);
    assert_eq!(last.error, "histogram bucket limit exceeded: 2 of at most 1");
}

#[test]
fn what_is_asked_for_is_said_in_the_header() {
    let mut bench = Bench::new("scrape_native_histograms: true\nparams: {module: [a b]}\nmetrics_path: /x");
    bench.scrape(0, "a 1\n");
    let asked = bench.answers.asked.lock().unwrap().clone();
    assert_eq!(asked[0].0, "http://host:80/x?module=a+b");
    assert!(asked[0].1.starts_with("application/vnd.google.protobuf;"), "{}", asked[0].1);
}

#[test]
fn a_body_of_a_great_many_series_costs_its_own_scrape_only() {
    let mut bench = Bench::new("sample_limit: 1000");
    let body: String = (0..50_000).map(|i| format!("a{{i=\"{i}\"}} 1\n")).collect();
    let last = bench.scrape(0, &body);
    assert_eq!(last.error, "sample limit exceeded: 50000 of at most 1000");
    assert_eq!(last.report.counts.scraped, 50_000);
    assert_eq!(bench.stored("a"), [""; 0]);
    let last = bench.scrape(15, "a 1\n");
    assert!(last.cache_bytes < 100, "nothing of it is kept: {last:?}");
}
