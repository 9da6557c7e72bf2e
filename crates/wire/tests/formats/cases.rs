//! Our own cases: what a text says, entry by entry, and what is said about a broken one.

use model::labels::Labels;
use wire::exposition::encode::Encoder;
use wire::exposition::negotiate::{Escaping, Protocol};
use wire::exposition::{Format, MetricKind, Options, Parser, check};

use crate::render::lines;

const TEXT: &[u8] = include_bytes!("../../testdata/exposition/app.prom");
const OPENMETRICS: &[u8] = include_bytes!("../../testdata/exposition/app.om");

#[test]
fn a_text_is_read_entry_by_entry() {
    let expected = [
        "help http_requests_total: \"The \\\\\\\"total\\\\\\\" of requests.\\nSecond line \\\\ end.\"",
        "type http_requests_total: counter",
        r#"{__name__="http_requests_total", code="200", method="post"} 1027 @1395066363000"#,
        r#"{__name__="http_requests_total", code="400", method="post"} 3 @1395066363000"#,
        "comment \"# A comment, and a name with quotes, backslash and a line's end in its label.\"",
        "{__name__=\"msdos_file_access_time_seconds\", error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\", \
         path=\"C:\\\\DIR\\\\FILE.TXT\"} 1458255915",
        r#"{__name__="metric_without_timestamp_and_labels"} 12.47"#,
        r#"{__name__="something_weird", problem="division by zero"} inf @-3982045"#,
        r#"{__name__="http.server.duration", "service.name"="shop"} 5"#,
        "type rpc_seconds: histogram",
        r#"{__name__="rpc_seconds_bucket", le="0.05"} 24"#,
        r#"{__name__="rpc_seconds_bucket", le="1.0"} 33"#,
        r#"{__name__="rpc_seconds_bucket", le="+Inf"} 34"#,
        r#"{__name__="rpc_seconds_sum"} 53.5"#,
        r#"{__name__="rpc_seconds_count"} 34"#,
        "type load: summary",
        r#"{__name__="load", quantile="1.0"} NaN"#,
        "comment \"#HELP is only a comment here\"",
    ];
    assert_eq!(lines(TEXT, Format::Text, Options::default()), expected);
}

#[test]
fn openmetrics_is_read_entry_by_entry() {
    let expected = [
        "type acme_http_router_request_seconds: summary",
        "unit acme_http_router_request_seconds: \"seconds\"",
        "help acme_http_router_request_seconds: \"Latency \\\"of\\\" all\\nrequests.\"",
        r#"{__name__="acme_http_router_request_seconds_sum", method="GET", path="/api/v1"} 9036.32"#,
        r#"{__name__="acme_http_router_request_seconds_count", method="GET", path="/api/v1"} 807283"#,
        r#"{__name__="acme_http_router_request_seconds_created", method="GET", path="/api/v1"} 1605281325"#,
        "type go_goroutines: gauge",
        r#"{__name__="go_goroutines"} 69 @1605281325250"#,
        "type orders: counter",
        "{__name__=\"orders_total\", shop=\"a\"} 17 # {trace_id=\"oHg5SJ#YRHA0\"} 9.8 @1520879607789",
        "{__name__=\"orders_total\", shop=\"b\"} 0 @1520879607001 # {} 1 @-1",
        "type wait_seconds: histogram",
        "{__name__=\"wait_seconds_bucket\", le=\"1.0\"} 1 # {trace_id=\"x\"} 0.5 @100000",
        r#"{__name__="wait_seconds_bucket", le="+Inf"} 3"#,
        r#"{__name__="wait_seconds_count"} 3"#,
        r#"{__name__="wait_seconds_sum"} 7.5"#,
        "type ready: stateset",
        r#"{__name__="ready", ready="yes"} 1"#,
        r#"{__name__="ready", ready="no"} 0"#,
    ];
    assert_eq!(lines(OPENMETRICS, Format::OpenMetrics, Options::default()), expected);
    assert_eq!(check::openmetrics(OPENMETRICS), []);
}

#[test]
fn classic_buckets_become_custom_bounds_where_asked_for() {
    let options = Options { classic_to_custom: true, ..Options::default() };
    let read = lines(OPENMETRICS, Format::OpenMetrics, options);
    let histogram = "{__name__=\"wait_seconds\"} int schema -53 count 3 sum 7.5 zero 0:0 + [(0, 2)] [1, 1] - [] [] \
                     bounds [1.0] Unknown # {trace_id=\"x\"} 0.5 @100000";
    assert!(read.contains(&histogram.to_owned()), "{read:#?}");
    assert!(!read.iter().any(|line| line.contains("wait_seconds_bucket")));
    // What comes behind it is still there, in its order.
    assert_eq!(read.iter().position(|line| line == histogram).unwrap() + 1, {
        read.iter().position(|line| line == "type ready: stateset").unwrap()
    });
    let both = lines(OPENMETRICS, Format::OpenMetrics, Options { always_classic: true, ..options });
    assert!(both.contains(&histogram.to_owned()));
    assert_eq!(both.len(), lines(OPENMETRICS, Format::OpenMetrics, Options::default()).len() + 1);
    // Buckets that fall are no histogram; fractions make a float one; the last histogram ends with the text.
    let odd = "# TYPE a histogram\na_bucket{x=\"1\",le=\"1\"} 5\na_bucket{x=\"1\",le=\"+Inf\"} 4\n\
               a_bucket{x=\"2\",le=\"1\"} 0.5\na_bucket{x=\"2\",le=\"+Inf\"} 2\na_sum{x=\"2\"} 3\n";
    assert_eq!(
        lines(odd.as_bytes(), Format::Text, options)[1..],
        [
            "{__name__=\"a\", x=\"2\"} float schema -53 count 2 sum 3 zero 0:0 + [(0, 2)] [0.5, 1.5] bounds [1.0] Unknown"
        ]
    );
}

#[test]
fn errors_say_where_and_what_was_expected() {
    let cases: &[(&str, &str)] = &[
        ("ok 1\nfoo{a=\"b\"} x\n", "line 2, column 12: expected a number as the value, got \"x\""),
        ("foo{a=\"b", "line 1, column 7: expected a label value in double quotes, got \"\\\"b\""),
        ("foo{a b", "line 1, column 7: expected `=` after a label name, got \"b\""),
        ("foo{9=\"b\"} 1", "line 1, column 5: expected a label name, got \"9=\\\"b\\\"} 1\""),
        ("<html>\n", "line 1, column 1: expected a metric name, `{` or `#` at the start of a line, got \"<html>\""),
        ("a 1 x\n", "line 1, column 5: expected a timestamp in whole milliseconds or the end of the line, got \"x\""),
        ("a 1 1 x\n", "line 1, column 7: expected the end of the line after the timestamp, got \"x\""),
        ("a\n", "line 1, column 2: expected a number as the value, got the end of the line"),
        ("{\"a\",\"b\"} 1\n", "line 1, column 6: the metric has a name already"),
        (
            "# TYPE a foo\n",
            "line 1, column 9: invalid metric type \"foo\", expected one of counter, gauge, histogram, summary, untyped",
        ),
    ];
    for (text, expected) in cases {
        let read = lines(text.as_bytes(), Format::Text, Options::default());
        assert_eq!(read.last().unwrap(), &format!("error: {expected}"), "{text:?}");
    }
    let read = lines(b"a{b=\"\xff\"} 1\n", Format::Text, Options::default());
    assert_eq!(read, ["error: line 1, column 1: invalid UTF-8 in a name or label value"]);
    let read = lines(b"a 1\n", Format::OpenMetrics, Options::default());
    assert_eq!(read.last().unwrap(), "error: data does not end with # EOF: it was cut off, or it is not OpenMetrics");
}

/// Reads a text with a key known beforehand, as somebody does who scrapes it again.
fn accepted(text: &str, format: Format, key_len: usize) -> Option<f64> {
    let mut parser = Parser::new(text.as_bytes(), format, Options::default());
    parser.upcoming()?;
    parser.accept(key_len).unwrap().map(|series| series.value)
}

#[test]
fn a_key_of_last_time_is_taken_only_where_it_ends() {
    for format in [Format::Text, Format::OpenMetrics] {
        assert_eq!(accepted("abc 7\n", format, 3), Some(7.0));
        assert_eq!(accepted("abcd 7\n", format, 3), None);
        assert_eq!(accepted("abc{d=\"\"} 7\n", format, 3), None);
        assert_eq!(accepted("abc{d=\"\"} 7\n", format, 9), Some(7.0));
        assert_eq!(accepted("# EOF\n", format, 1), None);
        assert_eq!(accepted("abc", format, 3), None);
    }
    assert_eq!(accepted("abc {d=\"\"} 7\n", Format::Text, 3), None);
    assert_eq!(accepted("abc{d=\"\"}7\n", Format::Text, 9), Some(7.0));
    assert_eq!(accepted("abc{d=\"\"}7\n", Format::OpenMetrics, 9), None);
}

#[test]
fn what_is_encoded_reads_back() {
    let plain = Labels::from_pairs([("__name__", "up"), ("job", "a \"b\"\\\n"), ("instance", "x:1")]);
    let odd = Labels::from_pairs([("__name__", "http.requests"), ("service.name", "é")]);
    let write = |protocol, escaping| {
        let mut encoder = Encoder::new(protocol, escaping).unwrap();
        encoder.family("up", MetricKind::Unknown, "is it?\nyes");
        encoder.sample(&plain, 1.0, Some(1_600_000_000_007));
        encoder.family("http.requests", MetricKind::Counter, "");
        encoder.sample(&odd, f64::NAN, None);
        encoder.end();
        encoder.out
    };
    let text = write(Protocol::PrometheusText1_0_0, Escaping::AllowUtf8);
    assert_eq!(
        text,
        "# HELP up is it?\\nyes\n# TYPE up unknown\nup{instance=\"x:1\",job=\"a \\\"b\\\"\\\\\\n\"} 1 1600000000007\n\
         # TYPE \"http.requests\" counter\n{\"http.requests\",\"service.name\"=\"é\"} NaN\n"
            .replace("up unknown", "up untyped")
    );
    let samples = [
        "{__name__=\"up\", instance=\"x:1\", job=\"a \\\"b\\\"\\\\\\n\"} 1 @1600000000007".to_owned(),
        "{__name__=\"http.requests\", \"service.name\"=\"é\"} NaN".to_owned(),
    ];
    let openmetrics = write(Protocol::OpenMetricsText1_0_0, Escaping::AllowUtf8);
    for (text, format) in [(&text, Format::Text), (&openmetrics, Format::OpenMetrics)] {
        let mut read = lines(text.as_bytes(), format, Options::default());
        read.retain(|line| line.starts_with('{'));
        assert_eq!(read, samples);
    }
    let old = write(Protocol::PrometheusText0_0_4, Escaping::AllowUtf8);
    assert!(old.ends_with("http_requests{service_name=\"é\"} NaN\n"), "{old}");
    assert!(Encoder::new(Protocol::PrometheusProto, Escaping::AllowUtf8).is_none());
}
