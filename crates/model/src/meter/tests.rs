//! What a scrape of ourselves reads, and what cannot be registered.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::instrument::exponential_bounds;
use super::*;

/// Renders in both formats and compares.
#[track_caller]
fn check(registry: &Registry, text: &str, open_metrics: &str) {
    let without_own = |rendered: String| -> String {
        rendered.lines().filter(|line| !line.contains("watchpost_meter")).map(|line| format!("{line}\n")).collect()
    };
    assert_eq!(without_own(registry.render(Format::Text)), text);
    assert_eq!(without_own(registry.render(Format::OpenMetrics)), open_metrics);
}

#[track_caller]
fn check_refused<T: fmt::Debug>(result: Result<T, MeterError>, message: &str) {
    assert_eq!(result.expect_err("registration is refused").to_string(), message);
}

#[test]
fn a_counter_is_one_line_and_open_metrics_names_its_family_without_total() {
    let registry = Registry::new();
    let counter = registry.counter(Desc::new("jobs_total", "Jobs done.")).unwrap();
    counter.inc();
    counter.add(2);
    check(
        &registry,
        "# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total 3\n",
        "# HELP jobs Jobs done.\n# TYPE jobs counter\njobs_total 3.0\n# EOF\n",
    );
}

#[test]
fn a_unit_is_announced_in_open_metrics_only() {
    let registry = Registry::new();
    registry.gauge(Desc::new("queue_bytes", "Waiting.").unit("bytes")).unwrap().set(1.5);
    check(
        &registry,
        "# HELP queue_bytes Waiting.\n# TYPE queue_bytes gauge\nqueue_bytes 1.5\n",
        "# HELP queue_bytes Waiting.\n# TYPE queue_bytes gauge\n# UNIT queue_bytes bytes\nqueue_bytes 1.5\n# EOF\n",
    );
}

#[test]
fn the_unit_of_a_counter_stands_before_total() {
    let registry = Registry::new();
    registry.counter(Desc::new("busy_seconds_total", "Busy.").unit("seconds")).unwrap().add_f64(0.25);
    assert!(registry.render(Format::OpenMetrics).contains("# UNIT busy_seconds seconds\nbusy_seconds_total 0.25\n"));
}

#[test]
fn a_histogram_writes_cumulative_buckets_with_canonical_bounds() {
    let registry = Registry::new();
    let histogram = registry.histogram(Desc::new("wait_seconds", "Waits."), &[0.5, 1.0, 1e6]).unwrap();
    for value in [0.5, 0.75, 2.0, 1e9] {
        histogram.observe(value);
    }
    check(
        &registry,
        "# HELP wait_seconds Waits.\n# TYPE wait_seconds histogram\n\
         wait_seconds_bucket{le=\"0.5\"} 1\nwait_seconds_bucket{le=\"1\"} 2\nwait_seconds_bucket{le=\"1e+06\"} 3\n\
         wait_seconds_bucket{le=\"+Inf\"} 4\nwait_seconds_sum 1.00000000325e+09\nwait_seconds_count 4\n",
        "# HELP wait_seconds Waits.\n# TYPE wait_seconds histogram\n\
         wait_seconds_bucket{le=\"0.5\"} 1\nwait_seconds_bucket{le=\"1.0\"} 2\nwait_seconds_bucket{le=\"1e+06\"} 3\n\
         wait_seconds_bucket{le=\"+Inf\"} 4\nwait_seconds_sum 1.00000000325e+09\nwait_seconds_count 4\n# EOF\n",
    );
}

#[test]
fn a_value_on_a_bound_belongs_below_it_and_not_a_number_is_ignored() {
    let registry = Registry::new();
    let histogram = registry.histogram(Desc::new("h", "H."), &[1.0, 2.0]).unwrap();
    for value in [1.0, 2.0, f64::INFINITY, f64::NAN] {
        histogram.observe(value);
    }
    let reading = histogram.read();
    assert_eq!((reading.cumulative, reading.count, reading.sum), (vec![1, 2, 3], 3, f64::INFINITY));
}

#[test]
fn labels_of_a_histogram_stand_before_le() {
    let registry = Registry::new();
    let family = registry.histogram_family(Desc::new("h", "H."), ["route"], &[1.0]).unwrap();
    family.with(["/"]).observe(3.0);
    assert!(
        registry
            .render(Format::Text)
            .contains("h_bucket{route=\"/\",le=\"1\"} 0\nh_bucket{route=\"/\",le=\"+Inf\"} 1\nh_sum{route=\"/\"} 3\n")
    );
}

#[test]
fn series_are_sorted_by_values_and_labels_by_name() {
    let registry = Registry::new();
    let family = registry.counter_family(Desc::new("hits_total", "Hits.").label("app", "x"), ["zone", "code"]).unwrap();
    family.with(["b", "500"]).inc();
    family.with(["a", "500"]).inc();
    family.with(["c", "200"]).inc();
    registry.gauge(Desc::new("a_gauge", "First.")).unwrap();
    let text = registry.render(Format::Text);
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("watchpost")).collect();
    assert_eq!(
        lines,
        [
            "a_gauge 0",
            "hits_total{app=\"x\",code=\"200\",zone=\"c\"} 1",
            "hits_total{app=\"x\",code=\"500\",zone=\"a\"} 1",
            "hits_total{app=\"x\",code=\"500\",zone=\"b\"} 1",
        ]
    );
}

#[test]
fn two_renderings_of_the_same_numbers_are_the_same_bytes() {
    let build = |order: &[&str]| {
        let registry = Registry::new();
        for name in order {
            registry.gauge_family(Desc::new(*name, "G."), ["l"]).unwrap().with(["v"]).set(1.0);
        }
        registry.render(Format::OpenMetrics)
    };
    assert_eq!(build(&["one", "two", "three"]), build(&["three", "one", "two"]));
}

#[test]
fn quotes_backslashes_and_line_ends_are_escaped_as_each_format_wants() {
    let registry = Registry::new();
    let family = registry.gauge_family(Desc::new("g", "say \"hi\"\\\nbye"), ["path"]).unwrap();
    family.with(["C:\\x\n\"y\""]).set(1.0);
    check(
        &registry,
        "# HELP g say \"hi\"\\\\\\nbye\n# TYPE g gauge\ng{path=\"C:\\\\x\\n\\\"y\\\"\"} 1\n",
        "# HELP g say \\\"hi\\\"\\\\\\nbye\n# TYPE g gauge\ng{path=\"C:\\\\x\\n\\\"y\\\"\"} 1.0\n# EOF\n",
    );
}

#[test]
fn numbers_are_written_as_go_writes_them() {
    for (value, text, open_metrics) in [
        (0.0, "0", "0.0"),
        (-0.0, "-0", "-0.0"),
        (100_000.0, "100000", "100000.0"),
        (1_000_000.0, "1e+06", "1e+06"),
        (123_456_789.0, "1.23456789e+08", "1.23456789e+08"),
        (0.0001, "0.0001", "0.0001"),
        (0.00001, "1e-05", "1e-05"),
        (1e300, "1e+300", "1e+300"),
        (f64::NAN, "NaN", "NaN"),
        (f64::NEG_INFINITY, "-Inf", "-Inf"),
    ] {
        let registry = Registry::new();
        registry.gauge(Desc::new("g", "G.")).unwrap().set(value);
        check(
            &registry,
            &format!("# HELP g G.\n# TYPE g gauge\ng {text}\n"),
            &format!("# HELP g G.\n# TYPE g gauge\ng {open_metrics}\n# EOF\n"),
        );
    }
}

#[test]
fn a_metric_without_series_is_not_shown() {
    let registry = Registry::new();
    let family = registry.counter_family(Desc::new("hits_total", "Hits."), ["code"]).unwrap();
    check(&registry, "", "# EOF\n");
    family.with(["200"]).inc();
    family.remove(["200"]);
    check(&registry, "", "# EOF\n");
}

#[test]
fn a_computed_gauge_is_read_at_every_scrape() {
    let registry = Registry::new();
    let up = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&up);
    registry.gauge_fn(Desc::new("up", "Up."), move || f64::from(u8::from(seen.load(SeqCst)))).unwrap();
    assert!(registry.render(Format::Text).contains("\nup 0\n"));
    up.store(true, SeqCst);
    assert!(registry.render(Format::Text).contains("\nup 1\n"));
}

#[test]
fn a_callback_gives_any_number_of_series_and_the_last_of_equals_wins() {
    let registry = Registry::new();
    registry
        .collect(Kind::Gauge, Desc::new("depth", "Depth.").label("app", "x"), ["queue"], |out| {
            out.push(["b"], 1.0);
            out.push(["a"], 2.0);
            out.push(["b"], 3.0);
        })
        .unwrap();
    assert!(registry.render(Format::Text).contains("depth{app=\"x\",queue=\"a\"} 2\ndepth{app=\"x\",queue=\"b\"} 3\n"));
}

#[test]
fn a_callback_registered_again_replaces_the_first_and_another_fixed_label_stands_beside_it() {
    let registry = Registry::new();
    for (pool, value) in [("a", 1.0), ("a", 2.0), ("b", 5.0)] {
        registry.gauge_fn(Desc::new("size", "Size.").label("pool", pool), move || value).unwrap();
    }
    let text = registry.render(Format::Text);
    assert!(text.contains("gauge\nsize{pool=\"a\"} 2\nsize{pool=\"b\"} 5\n"), "{text}");
    assert_eq!(text.matches("\nsize{").count(), 2, "{text}");
}

#[test]
fn a_callback_may_use_the_registry() {
    let registry = Registry::new();
    let again = registry.clone();
    let read = move || again.gauge(Desc::new("inner", "Inner.")).map_or(-1.0, |gauge| gauge.get());
    registry.gauge_fn(Desc::new("outer", "Outer."), read).unwrap();
    assert!(registry.render(Format::Text).contains("outer 0\n"));
}

#[test]
fn what_a_full_metric_cannot_take_is_counted_in_the_same_scrape() {
    let registry = Registry::new();
    let desc = Desc::new("zebra", "Z.").series_max(2);
    registry
        .collect(Kind::Gauge, desc, ["n"], |out| {
            for n in ["1", "2", "3", "4", "1"] {
                out.push([n], 1.0);
            }
        })
        .unwrap();
    let text = registry.render(Format::Text);
    assert!(text.contains("watchpost_meter_rejected_samples_total 2\n"), "{text}");
    assert_eq!(text.matches("zebra{").count(), 2);
}

#[test]
fn beyond_its_bound_a_family_counts_into_one_shared_series() {
    let registry = Registry::new();
    let family = registry.counter_family(Desc::new("hits_total", "Hits.").series_max(2), ["path"]).unwrap();
    for path in ["/a", "/b", "/c", "/d", "/a"] {
        family.with([path]).inc();
    }
    let text = registry.render(Format::Text);
    assert!(text.contains("hits_total{path=\"/a\"} 2\nhits_total{path=\"/b\"} 1\nhits_total{path=\"other\"} 2\n"));
}

#[test]
fn the_same_registration_twice_is_the_same_counter() {
    let registry = Registry::new();
    let desc = || Desc::new("jobs_total", "Jobs.").label("kind", "a");
    registry.counter(desc()).unwrap().inc();
    registry.counter(desc()).unwrap().inc();
    registry.counter(Desc::new("jobs_total", "Jobs.").label("kind", "b")).unwrap().inc();
    assert!(registry.render(Format::Text).contains("jobs_total{kind=\"a\"} 2\njobs_total{kind=\"b\"} 1\n"));
}

#[test]
fn one_name_has_one_meaning() {
    let registry = Registry::new();
    registry.gauge(Desc::new("size_bytes", "Size.").unit("bytes")).unwrap();
    let taken = |what: &str| format!("metric size_bytes is registered already with another {what}");
    check_refused(registry.histogram(Desc::new("size_bytes", "Size.").unit("bytes"), &[1.0]), &taken("kind"));
    check_refused(registry.gauge(Desc::new("size_bytes", "Other.").unit("bytes")), &taken("help"));
    check_refused(registry.gauge(Desc::new("size_bytes", "Size.")), &taken("unit"));
    check_refused(
        registry.gauge_family(Desc::new("size_bytes", "Size.").unit("bytes"), ["l"]),
        &taken("set of labels"),
    );
    check_refused(
        registry.gauge_fn(Desc::new("size_bytes", "Size.").unit("bytes"), || 0.0),
        &taken("owner, which counts it directly"),
    );
    registry.histogram(Desc::new("h", "H."), &[1.0]).unwrap();
    check_refused(
        registry.histogram(Desc::new("h", "H."), &[2.0]),
        "metric h is registered already with another set of bounds",
    );
    registry.gauge_fn(Desc::new("f", "F."), || 0.0).unwrap();
    check_refused(
        registry.gauge(Desc::new("f", "F.")),
        "metric f is registered already with another owner, which computes it at scrape time",
    );
}

#[test]
fn two_metrics_cannot_write_lines_of_one_name() {
    let registry = Registry::new();
    registry.histogram(Desc::new("wait", "Wait."), &[1.0]).unwrap();
    check_refused(
        registry.gauge(Desc::new("wait_count", "Count.")),
        "metric wait_count would write lines named wait_count, which wait writes",
    );
    registry.counter(Desc::new("jobs_total", "Jobs.")).unwrap();
    check_refused(
        registry.gauge(Desc::new("jobs", "Jobs.")),
        "metric jobs would write lines named jobs, which jobs_total writes",
    );
}

#[test]
fn names_labels_units_and_bounds_are_checked_at_registration() {
    let registry = Registry::new();
    for name in ["", "1st", "with space", "dash-ed", "ünits"] {
        check_refused(
            registry.gauge(Desc::new(name, "G.")),
            &format!("metric name {name:?} is not one: expected [a-zA-Z_:][a-zA-Z0-9_:]*"),
        );
    }
    for label in ["", "le", "__name__", "a:b", "1"] {
        let message =
            format!("metric g: label name {label:?} is not one: expected [a-zA-Z_][a-zA-Z0-9_]*, not le, not __*");
        check_refused(registry.gauge_family(Desc::new("g", "G."), [label]), &message);
        check_refused(registry.gauge(Desc::new("g", "G.").label(label, "v")), &message);
    }
    check_refused(
        registry.gauge_family(Desc::new("g", "G.").label("a", "1"), ["a"]),
        "metric g: label \"a\" is named twice",
    );
    let suffix = |name: &str| format!("metric {name}: the name of a counter ends in _total, and no other's does");
    check_refused(registry.counter(Desc::new("jobs", "J.")), &suffix("jobs"));
    check_refused(registry.gauge(Desc::new("jobs_total", "J.")), &suffix("jobs_total"));
    check_refused(registry.counter(Desc::new("_total", "J.")), &suffix("_total"));
    for name in ["size", "bytes", "megabytes"] {
        check_refused(
            registry.gauge(Desc::new(name, "S.").unit("bytes")),
            &format!("metric {name}: the name must end in its unit \"bytes\" (before _total)"),
        );
    }
    for bounds in [&[2.0, 1.0][..], &[1.0, 1.0], &[f64::INFINITY], &[f64::NAN]] {
        check_refused(
            registry.histogram(Desc::new("h", "H."), bounds),
            "metric h: histogram bounds must be finite and rise",
        );
    }
    check_refused(
        registry.collect(Kind::Histogram, Desc::new("h", "H."), [], |_| {}),
        "metric h: a histogram counts what it observes; it is not computed at scrape time",
    );
    check(&registry, "", "# EOF\n");
}

#[test]
fn a_counter_never_falls() {
    let counter = Counter::default();
    counter.add_f64(1.5);
    for by in [-1.0, f64::NAN, f64::INFINITY, 0.0] {
        counter.add_f64(by);
    }
    assert_eq!(counter.get().to_bits(), 1.5f64.to_bits());
}

#[test]
fn a_held_gauge_falls_back_when_the_guard_goes() {
    let gauge = Gauge::default();
    let held = (gauge.hold(), gauge.hold());
    assert_eq!(gauge.get().to_bits(), 2f64.to_bits());
    drop(held);
    assert_eq!(gauge.get().to_bits(), 0f64.to_bits());
}

#[test]
fn nothing_is_lost_when_threads_count_at_once() {
    let registry = Registry::new();
    let counter = registry.counter(Desc::new("c_total", "C.")).unwrap();
    let histogram = registry.histogram(Desc::new("h", "H."), &exponential_bounds(1.0, 2.0, 3)).unwrap();
    let gauge = registry.gauge(Desc::new("g", "G.")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..1_000 {
                    counter.add_f64(0.5);
                    counter.inc();
                    gauge.add(1.0);
                    histogram.observe(f64::from(n % 10));
                }
            });
        }
    });
    assert_eq!(counter.get().to_bits(), 6_000f64.to_bits());
    assert_eq!(gauge.get().to_bits(), 4_000f64.to_bits());
    let reading = histogram.read();
    // 0..=9 four hundred times: two at or below 1, three at or below 2, five at or below 4.
    assert_eq!(reading.cumulative, [800, 1_200, 2_000, 4_000]);
    assert_eq!(reading.sum.to_bits(), 18_000f64.to_bits());
}

#[test]
fn the_content_types_name_their_versions() {
    assert_eq!(Format::Text.content_type(), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(Format::OpenMetrics.content_type(), "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

#[test]
fn a_single_value_can_be_asked_for_by_name() {
    let registry = Registry::new();
    registry.gauge_fn(Desc::new("wp_memory_bytes", "Memory.").unit("bytes"), || 4.5).unwrap();
    registry.counter(Desc::new("wp_requests_total", "Requests.")).unwrap().add(3);
    registry.counter_family(Desc::new("wp_labelled_total", "By kind."), ["kind"]).unwrap().with(["a"]).inc();
    assert_eq!(registry.value("wp_memory_bytes"), Some(4.5));
    assert_eq!(registry.value("wp_requests_total"), Some(3.0));
    assert_eq!(registry.value("wp_labelled_total"), None, "there is more than one");
    assert_eq!(registry.value("wp_nothing"), None);
}
