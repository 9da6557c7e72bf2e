//! Prometheus's HTTP interface on the running binary, as Grafana, promtool and client libraries ask.

#![allow(clippy::disallowed_methods, reason = "a test of the real process waits in real time")]

use std::collections::BTreeSet;

use model::labels::Labels;
use model::storage::SampleValue;
use serde_json::Value;
use tests::repo;
use tests::server::{Answer, Login, Server, Start, binary};
use tests::visitor::escape;

#[track_caller]
fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repo::root().join(path)).expect(path)
}

/// One line of the table: path, methods, whether it is offered.
fn table() -> Vec<(String, BTreeSet<String>, bool)> {
    let text = read("docs/compatibility/prometheus.md");
    let rows = text.lines().filter(|line| line.starts_with("| `/"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let methods = cells[1].split(' ').map(str::to_owned).collect();
        (cells[0].trim_matches('`').to_owned(), methods, !cells[2].starts_with("not offered"))
    })
    .collect()
}

/// What the gate's table of routes says, by path.
fn routes() -> Vec<(String, String)> {
    let text = read("crates/watchpost/testdata/routes.txt");
    let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields.len() == 4).map(|fields| (fields[0].to_owned(), fields[1].to_owned())).collect()
}

#[test]
fn the_table_of_compatibility_names_what_is_served_and_nothing_else() {
    let (table, routes) = (table(), routes());
    assert!(table.len() > 30, "the table is read: {}", table.len());
    for (path, methods, _) in &table {
        for method in methods {
            assert!(routes.contains(&(method.clone(), path.clone())), "{method} {path} is in the table and not served");
        }
    }
    for (method, path) in routes.iter().filter(|(_, path)| path.starts_with("/api/v1/") || path == "/federate") {
        let named = table.iter().any(|(known, methods, _)| known == path && methods.contains(method));
        assert!(named, "{method} {path} is served and not in docs/compatibility/prometheus.md");
    }
}

#[test]
fn what_is_not_offered_says_so_by_name_in_json() {
    let server = Server::start(&Start::default());
    for (path, methods, offered) in table() {
        let path = path.replace("{*path}", "x").replace("{name}", "job");
        if offered || path.contains("/search/") && methods.len() > 2 {
            continue;
        }
        for method in methods {
            let answer = server.request(&method, &path, &[], "");
            assert_eq!(answer.status, 501, "{method} {path}: {}", answer.body);
            let body = json(&answer);
            assert_eq!(body["errorType"], "not_supported");
            assert!(body["error"].as_str().is_some_and(|text| text.starts_with(&path)), "{}", answer.body);
        }
    }
}

#[test]
fn wrong_parameters_get_the_words_of_prometheus() {
    let server = Server::start(&Start::default());
    for (path, status, kind, text) in [
        (
            "query",
            400,
            "bad_data",
            "invalid parameter \"query\": unknown position: parse error: no expression found in input",
        ),
        (
            "query?query=up&time=x",
            400,
            "bad_data",
            "invalid parameter \"time\": cannot parse \"x\" to a valid timestamp",
        ),
        ("query?query=up&limit=-1", 400, "bad_data", "invalid parameter \"limit\": limit must be non-negative"),
        (
            "query?query=up%20or",
            400,
            "bad_data",
            "invalid parameter \"query\": 1:6: parse error: unexpected end of input",
        ),
        (
            "query_range?query=up&start=2&end=1&step=1",
            400,
            "bad_data",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "query_range?query=up&start=1&end=2&step=0",
            400,
            "bad_data",
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            "query_range?query=up&start=1&end=12000&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        ("series", 400, "bad_data", "no match[] parameter provided"),
        (
            "series?match[]=%7Bx=%22%22%7D",
            400,
            "bad_data",
            "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
        ),
        ("metadata?limit=x", 400, "bad_data", "limit must be a number"),
        (
            "query?query=label_replace(vector(1),%22a%22,%22b%22,%22c%22,%22(%22)",
            422,
            "execution",
            "invalid regular expression in label_replace(): (",
        ),
    ] {
        let answer = server.request("GET", &format!("/api/v1/{path}"), &[], "");
        let body = json(&answer);
        assert_eq!((answer.status, body["errorType"].as_str()), (status, Some(kind)), "{path}: {}", answer.body);
        assert_eq!(body["error"].as_str(), Some(text), "{path}");
    }
}

#[test]
fn a_query_is_answered_by_get_by_form_and_compressed() {
    let server = Server::start(&Start::default());
    let answer = server.request("GET", "/api/v1/query?query=vector(1.5)&time=10.5", &[], "");
    assert_eq!(
        answer.body,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[10.500,\"1.5\"]}]}}"
    );
    let form = format!("query={}&start=0&end=20&step=10", escape("scalar(vector(2)) + time()"));
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = server.request("POST", "/api/v1/query_range", &headers, &form);
    assert_eq!(json(&answer)["data"]["result"][0]["values"], serde_json::json!([[0, "2"], [10, "12"], [20, "22"]]));
    let long = format!("/api/v1/query?query={}", escape(&format!("\"{}\"", "a".repeat(4000))));
    let answer = server.request("GET", &long, &[("Accept-Encoding", "gzip, deflate, br")], "");
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let answer = server.request("GET", &long, &[("Accept-Encoding", "gzip;q=0")], "");
    assert_eq!(
        (answer.header("content-encoding"), json(&answer)["data"]["resultType"].as_str()),
        (None, Some("string"))
    );
}

#[test]
fn queries_are_formatted_and_taken_apart() {
    let server = Server::start(&Start::default());
    let query = escape("sum  by(job)(rate( x_total [5m] ))");
    let answer = server.request("GET", &format!("/api/v1/format_query?query={query}"), &[], "");
    assert_eq!(json(&answer)["data"], "sum by (job) (rate(x_total[5m]))");
    let answer = server.request("GET", &format!("/api/v1/parse_query?query={query}"), &[], "");
    assert_eq!(json(&answer)["data"]["type"], "aggregation");
}

#[test]
fn what_runs_is_told_in_the_shapes_that_clients_read() {
    let args = [
        "--web.enable-admin-api",
        "--storage.tsdb.retention.time=15d",
        "--enable-feature=promql-experimental-functions",
    ];
    let server = Server::start(&Start { args: &args, ..Start::default() });
    let data = |path: &str| {
        let answer = server.request("GET", &format!("/api/v1/{path}"), &[], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        json(&answer)["data"].clone()
    };
    assert_eq!(data("rules")["groups"], serde_json::json!([]));
    assert_eq!(data("alerts")["alerts"], serde_json::json!([]));
    assert_eq!(data("alertmanagers")["activeAlertmanagers"], serde_json::json!([]));
    assert!(data("status/buildinfo")["version"].as_str().is_some_and(|version| version.starts_with("3.")));
    assert_eq!(data("status/flags")["storage.tsdb.retention.time"], "15d");
    assert_eq!(data("status/runtimeinfo")["storageRetention"], "15d");
    assert_eq!(data("status/walreplay")["state"], "done");
    assert!(data("status/tsdb")["headStats"]["numSeries"].is_u64());
    assert!(data("status/config")["yaml"].is_string());
    assert_eq!(data("features")["promql"]["experimental_functions"], true);
    let answer = server.request("POST", "/api/v1/admin/tsdb/snapshot", &[], "");
    let name = json(&answer)["data"]["name"].as_str().expect("a name").to_owned();
    assert!(server.folder().path().join("data/snapshots").join(name).is_dir());
    let answer = server.request("POST", "/api/v1/admin/tsdb/delete_series?match[]=up", &[], "");
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(server.request("PUT", "/api/v1/admin/tsdb/clean_tombstones", &[], "").status, 204);
    assert_eq!(
        server.request("POST", "/api/watchpost/v1/tsdb/flush", &[("Sec-Fetch-Site", "same-origin")], "").status,
        204
    );
}

#[test]
fn without_the_flag_nothing_is_deleted_where_there_is_no_login() {
    let server = Server::start(&Start::default());
    let answer = server.request("POST", "/api/v1/admin/tsdb/delete_series?match[]=up", &[], "");
    assert_eq!((answer.status, json(&answer)["errorType"].as_str()), (500, Some("unavailable")));
    assert_eq!(json(&answer)["error"], "admin APIs disabled");
}

/// Series with their samples, as a sender of version 1.0 brings them.
fn write(server: &Server, headers: &[(&str, &str)], series: &[(Labels, Vec<(i64, f64)>)]) -> Answer {
    let mut request = wire::remote_write::write::RequestWriter::new(wire::remote_write::Version::V1);
    for (labels, samples) in series {
        request.series(labels, |series| {
            for (time, value) in samples {
                series.value(*time, &SampleValue::Float(*value), 0);
            }
        });
    }
    let mut body = Vec::new();
    wire::snappy::encode(&request.finish(), &mut body);
    let mut all = vec![("Content-Encoding", "snappy"), ("Content-Type", "application/x-protobuf")];
    all.extend(headers);
    server.request_bytes("POST", "/api/v1/write", &all, &body)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the end of time")
}

#[test]
fn what_was_written_is_found_again_and_outlives_kill_9() {
    let start = Start {
        args: &["--web.enable-remote-write-receiver", "--web.enable-admin-api"],
        // What it scrapes of itself would be counted too.
        config: Some("self: {scrape: false, host: \"off\"}\n"),
        ..Start::default()
    };
    let server = Server::start(&start);
    let now = now_ms() / 1000 * 1000;
    let series: Vec<(Labels, Vec<(i64, f64)>)> = (0..5)
        .map(|i| {
            let instance = format!("host-{i}");
            let labels = labels(&[("__name__", "requests_total"), ("instance", &instance), ("job", "api")]);
            (labels, (0..60).map(|at| (now - 60_000 + at * 1000, (at * i) as f64)).collect())
        })
        .collect();
    let answer = write(&server, &[], &series);
    assert_eq!(answer.status, 204, "{}", answer.body);
    let folder = server.folder();
    drop(server); // SIGKILL

    let server = Server::start(&Start { folder: Some(folder), ..start });
    let data = |path: &str| {
        let answer = server.request("GET", &format!("/api/v1/{path}"), &[], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        json(&answer)["data"].clone()
    };
    let query = escape("sum(count_over_time(requests_total[5m]))");
    assert_eq!(data(&format!("query?query={query}&time={}", now / 1000))["result"][0]["value"][1], "300");
    let query = escape("sum by (job) (rate(requests_total[30s]))");
    let range = data(&format!("query_range?query={query}&start={}&end={}&step=10", now / 1000 - 20, now / 1000));
    assert_eq!(range["result"][0]["metric"], serde_json::json!({"job": "api"}));
    assert_eq!(data("labels"), serde_json::json!(["__name__", "instance", "job"]));
    assert_eq!(data("label/instance/values?limit=2"), serde_json::json!(["host-0", "host-1"]));
    assert_eq!(data("series?match[]=requests_total&limit=3").as_array().map(Vec::len), Some(3));
    let answer = server.request("GET", "/api/v1/labels?limit=1", &[], "");
    assert_eq!(json(&answer)["warnings"], serde_json::json!(["results truncated due to limit"]));
    assert_eq!(
        data("status/tsdb")["seriesCountByMetricName"][0],
        serde_json::json!({"name": "requests_total", "value": 5})
    );

    let federated = server.request("GET", "/federate?match[]=requests_total", &[], "");
    assert!(federated.body.contains("requests_total{instance=\"host-4\",job=\"api\"} 236 "), "{}", federated.body);

    let gone = server.request("POST", "/api/v1/admin/tsdb/delete_series?match[]=%7Binstance=%22host-4%22%7D", &[], "");
    assert_eq!(gone.status, 204, "{}", gone.body);
    let query = escape("count(count_over_time(requests_total[5m]))");
    assert_eq!(data(&format!("query?query={query}&time={}", now / 1000))["result"][0]["value"][1], "4");
}

#[test]
fn bad_samples_are_named_and_the_others_are_stored() {
    let server = Server::start(&Start { args: &["--web.enable-remote-write-receiver"], ..Start::default() });
    let now = now_ms();
    let good = labels(&[("__name__", "good"), ("job", "a")]);
    assert_eq!(write(&server, &[], &[(good.clone(), vec![(now, 1.0)])]).status, 204);
    let other = labels(&[("__name__", "other"), ("job", "a")]);
    let answer = write(&server, &[], &[(good, vec![(now - 5_000, 2.0)]), (other, vec![(now, 3.0)])]);
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.body.contains("out of order sample"), "{}", answer.body);
    let found = server.request("GET", "/api/v1/query?query=other", &[], "");
    assert_eq!(json(&found)["data"]["result"][0]["value"][1], "3");
    let broken = server.request_bytes("POST", "/api/v1/write", &[("Content-Encoding", "snappy")], &[0xff; 100]);
    assert_eq!(broken.status, 400, "{}", broken.body);
    let headers = [("Content-Encoding", "snappy"), ("Content-Type", "application/json")];
    assert_eq!(server.request_bytes("POST", "/api/v1/write", &headers, &[]).status, 415);
}

#[test]
fn writing_needs_the_scope_for_it_and_without_login_the_flag() {
    let server = Server::start(&Start::default());
    let closed = write(&server, &[], &[]);
    assert_eq!(closed.status, 404, "{}", closed.body);
    assert!(closed.body.contains("--web.enable-remote-write-receiver"));
    drop(server);

    let server = Server::start(&Start { login: Login::Admin, ..Start::default() });
    let token = |scope: &str| {
        let args = ["token", "create", "of a test", "--owner", "admin", "--scope", scope];
        let output = std::process::Command::new(binary()).args(args).current_dir(server.folder().path()).output();
        String::from_utf8(output.expect("it starts").stdout).expect("it is text").trim().to_owned()
    };
    let series = [(labels(&[("__name__", "x")]), vec![(now_ms(), 1.0)])];
    let reading = format!("Bearer {}", token("metrics:read"));
    let writing = format!("Bearer {}", token("metrics:write"));
    assert_eq!(write(&server, &[], &series).status, 401);
    assert_eq!(write(&server, &[("Authorization", &reading)], &series).status, 403);
    assert_eq!(write(&server, &[("Authorization", &writing)], &series).status, 204);
    let asked = |token: &str| server.request("GET", "/api/v1/query?query=x", &[("Authorization", token)], "").status;
    assert_eq!((asked(&writing), asked(&reading)), (403, 200));
}

#[test]
fn what_was_acknowledged_reaches_the_other_server_although_the_sender_was_killed() {
    let receiver = Server::start(&Start { args: &["--web.enable-remote-write-receiver"], ..Start::default() });
    let folder = std::sync::Arc::new(tests::folder::Folder::new("sender"));
    folder.write(
        "prometheus.yml",
        &format!(
            "global: {{external_labels: {{cluster: near}}}}\nremote_write: [{{url: 'http://{}/api/v1/write', \
             queue_config: {{batch_send_deadline: 100ms}}}}]\n",
            receiver.address()
        ),
    );
    let start = || Start {
        args: &["--web.enable-remote-write-receiver", "--config.file=prometheus.yml"],
        config: Some("self: {scrape: false, host: \"off\"}\n"),
        folder: Some(std::sync::Arc::clone(&folder)),
        ..Start::default()
    };
    let sender = Server::start(&start());
    let now = now_ms();
    let sent = labels(&[("__name__", "sent"), ("job", "api")]);
    for round in 0..10 {
        let samples = (0..100).map(|at| (now - 60_000 + round * 1_000 + at * 10, at as f64)).collect();
        assert_eq!(write(&sender, &[], &[(sent.clone(), samples)]).status, 204);
    }
    drop(sender); // SIGKILL, with whatever was not sent yet in the log
    let sender = Server::start(&start());
    let query = escape("count_over_time(sent{cluster=\"near\"}[5m])");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let answer = receiver.request("GET", &format!("/api/v1/query?query={query}"), &[], "");
        if json(&answer)["data"]["result"][0]["value"][1] == "1000" {
            break;
        }
        assert!(std::time::Instant::now() < until, "{}\n{}", answer.body, sender.log());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

#[test]
fn without_any_configuration_it_scrapes_itself_and_its_host() {
    let folder = std::sync::Arc::new(tests::folder::Folder::new("own"));
    folder.write("prometheus.yml", "global: {scrape_interval: 1s}\n");
    let server =
        Server::start(&Start { args: &["--config.file=prometheus.yml"], folder: Some(folder), ..Start::default() });
    for query in [
        "up{job=\"watchpost\"} == 1",
        "up{job=\"node\"} == 1",
        "node_memory_MemTotal_bytes",
        "process_cpu_seconds_total",
    ] {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let answer = server.request("GET", &format!("/api/v1/query?query={}", escape(query)), &[], "");
            if json(&answer)["data"]["result"].as_array().is_some_and(|result| !result.is_empty()) {
                break;
            }
            assert!(std::time::Instant::now() < until, "{query}: {}\n{}", answer.body, server.log());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}
