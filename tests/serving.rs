//! The binary as a user meets it: start, probes, reload, refusals, and the way it stops.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tests::folder::Folder;
use tests::server::{Server, Start, binary, free_port};

/// What a container runtime waits before it kills.
const STOP_MAX: Duration = Duration::from_secs(10);

fn run(args: &[&str], folder: &Folder) -> (Option<i32>, String, String) {
    let output = Command::new(binary()).args(args).current_dir(folder.path()).output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_start_without_any_configuration_serves_and_says_where() {
    let server = Server::start(&Start::default());
    server.wait_log(&format!("https://127.0.0.1:{}", server.address().port()));
    let data = server.folder().path().join("data");
    for kept in ["LOCK", "FORMAT", "watchpost.db", "tls", "lastgood/watchpost.yml"] {
        assert!(data.join(kept).exists(), "{kept} is missing in the data folder");
    }
    let live = server.get("/live");
    assert_eq!(live.status, 200);
    assert!(live.body.contains("\"service\":\"watchpost\""), "{}", live.body);
}

#[test]
fn the_probes_answer_in_the_shapes_others_read() {
    let server = Server::start(&Start::default());
    assert_eq!(server.get("/-/healthy").body, "Prometheus Server is Healthy.\n");
    assert_eq!(server.get("/-/ready").body, "Prometheus Server is Ready.\n");
    let health: serde_json::Value = serde_json::from_str(&server.get("/health").body).expect("it is JSON");
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["checks"]["store"]["status"], "pass");
    assert!(health["uptime"].is_number());

    // Behind a proxy nobody trusts, the caller is not on this machine: no details.
    let relayed = server.request("GET", "/health", &[("X-Forwarded-For", "203.0.113.7")], "");
    assert!(!relayed.body.contains("checks"), "{}", relayed.body);

    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for name in ["watchpost_http_requests_total", "process_resident_memory_bytes", "watchpost_build_info"] {
        assert!(metrics.body.contains(name), "{name} is missing");
    }
    let open = server.request("GET", "/metrics", &[("Accept", "application/openmetrics-text;version=1.0.0")], "");
    assert!(open.body.ends_with("# EOF\n"), "OpenMetrics ends with a mark");
}

#[test]
fn every_answer_has_an_id_and_the_headers_that_browsers_need() {
    let server = Server::start(&Start::default());
    let (first, second) = (server.get("/live"), server.get("/nowhere"));
    assert_eq!(second.status, 404);
    let id = |answer: &tests::server::Answer| answer.header("x-request-id").map(str::to_owned);
    assert!(id(&first).is_some() && id(&first) != id(&second));
    for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
        assert_eq!(second.header(name), Some(value));
    }
}

#[test]
fn a_name_that_is_not_this_machine_is_refused_while_there_is_no_login() {
    let server = Server::start(&Start::default());
    let rebound = server.request("GET", "/health", &[("Host", "evil.example:8443")], "");
    assert_eq!(rebound.status, 421, "{}", rebound.body);
    assert_eq!(server.request("GET", "/health", &[("Host", "localhost")], "").status, 200);
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_told_why() {
    let server = Server::start(&Start::default());
    let second = Server::spawn(&Start { folder: Some(server.folder()), ..Start::default() });
    let (status, log) = second.wait();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains(&format!("is in use by process {}", server.pid())), "{log}");
    assert_eq!(server.get("/live").status, 200);
}

#[test]
fn a_reload_takes_over_a_right_file_and_keeps_the_old_one_against_a_wrong_one() {
    let start = Start {
        config: Some("telemetry: {log: {level: info}}\n"),
        args: &["--web.enable-lifecycle"],
        ..Start::default()
    };
    let server = Server::start(&start);
    assert_eq!(server.get("/-/reload").status, 405);

    server.folder().write("watchpost.yml", "telemetry: {log: {level: loud}}\n");
    let refused = server.request("POST", "/-/reload", &[], "");
    assert_eq!(refused.status, 500);
    assert!(refused.body.starts_with("failed to reload config: "), "{}", refused.body);
    assert!(refused.body.contains("watchpost.yml:1:26"), "{}", refused.body);
    assert!(server.get("/metrics").body.contains("prometheus_config_last_reload_successful 0"));

    server.folder().write("watchpost.yml", "telemetry: {log: {level: debug}}\n");
    server.signal("HUP");
    server.wait_log("configuration reloaded");
    assert!(server.get("/metrics").body.contains("prometheus_config_last_reload_successful 1"));
    server.get("/live");
    server.wait_log("answered");
}

#[test]
fn the_life_cycle_endpoints_are_closed_without_the_flag_and_quit_stops_with_it() {
    let server = Server::start(&Start::default());
    for path in ["/-/reload", "/-/quit"] {
        let answer = server.request("POST", path, &[], "");
        assert_eq!((answer.status, answer.body.as_str()), (403, "Lifecycle API is not enabled.\n"));
    }
    let server = Server::start(&Start { args: &["--web.enable-lifecycle"], ..Start::default() });
    assert_eq!(server.request("POST", "/-/quit", &[], "").status, 200);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_path_prefix_is_honoured_whether_or_not_the_proxy_takes_it_off() {
    let config = "server: {external_url: 'https://example.org/watch'}\n";
    let server = Server::start(&Start { config: Some(config), ..Start::default() });
    for path in ["/watch/live", "/live"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(server.get("/watchful/live").status, 404);
}

#[test]
fn sigterm_under_load_drains_and_exits_0() {
    let server = Server::start(&Start::default());
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let address = server.address();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                // Answers that begin must be whole: a cut one is the failure this test looks for.
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return };
                    if stream
                        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                        .is_err()
                    {
                        return;
                    }
                    let mut answer = String::new();
                    let whole = stream.read_to_string(&mut answer).is_ok();
                    if answer.is_empty() {
                        return;
                    }
                    let (head, body) = answer.split_once("\r\n\r\n").expect("the head of an answer is whole");
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    let length: usize = length.expect("the answer says its length").parse().expect("a number");
                    assert!(whole && body.len() == length, "{} of {length} bytes", body.len());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    while answered.load(Ordering::Relaxed) < 50 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // An idle connection must not hold it up either.
    let _idle = std::net::TcpStream::connect(address).expect("it listens");
    let (status, took, log) = server.stop();
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().expect("no answer was cut");
    }
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(took < STOP_MAX, "it took {took:?}\n{log}");
}

#[test]
fn somebody_elses_data_is_left_alone() {
    let folder = Arc::new(Folder::new("foreign"));
    folder.write("data/01BKGV7JBM69T2G1BGBGM6KB12/meta.json", "{}");
    folder.write("data/wal/00000000", "");
    let server = Server::start(&Start { folder: Some(Arc::clone(&folder)), ..Start::default() });
    server.wait_log("is not read yet");
    assert!(folder.path().join("data/watchpost/FORMAT").exists());
    assert!(!folder.path().join("data/FORMAT").exists());
}

#[test]
fn wrong_usage_exits_2_and_wrong_configuration_1() {
    let folder = Folder::new("usage");
    let (code, _, complaint) = run(&["--dat", "x"], &folder);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("did you mean --data?"), "{complaint}");

    folder.write("watchpost.yml", "server: {lissen: []}\nnothing: 1\n");
    let (code, _, complaint) = run(&[], &folder);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("watchpost.yml:1:10") && complaint.contains("watchpost.yml:2:1"), "{complaint}");

    let (code, report, _) = run(&["check", "--format", "github"], &folder);
    assert_eq!(code, Some(1));
    assert!(report.contains("::error file=watchpost.yml,line=1,col=10::"), "{report}");
    let (_, report, _) = run(&["check", "--format", "json"], &folder);
    let report: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!(report["problems"][1]["line"], 2);

    folder.write("watchpost.yml", "");
    assert_eq!(run(&["check"], &folder).0, Some(0));
}

#[test]
fn a_file_of_prometheus_is_checked_without_a_server_and_served_when_it_is_right() {
    let folder = Folder::new("prometheus");
    folder.write("bad.yml", "scrape_configs:\n- job_name: a\n  scrape_timeout: 2m\n  nothing: 1\n");
    let (code, report, _) = run(&["check", "config", "bad.yml", "--format", "github"], &folder);
    assert_eq!(code, Some(1));
    assert!(report.contains("::error file=bad.yml,line=4,col=3::"), "{report}");
    assert!(report.contains("field nothing not found in type config.ScrapeConfig"), "{report}");

    folder.write("rules.yml", "");
    folder.write("good.yml", "rule_files: [rules.yml]\nscrape_configs: [{job_name: a, consul_sd_configs: [{}]}]\n");
    let (code, report, _) = run(&["check", "config", "good.yml", "--format=json"], &folder);
    assert_eq!(code, Some(0));
    let report: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!(report["ok"], true);
    assert!(report["warnings"][0].as_str().is_some_and(|text| text.contains("consul_sd_configs")), "{report}");
    assert_eq!(run(&["check", "config"], &folder).0, Some(2));

    // The same problems stop the server, with its own exit code.
    let (code, _, complaint) = run(&["--config.file=bad.yml"], &folder);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("bad.yml:4:3"), "{complaint}");
    assert!(complaint.contains("nothing"), "{complaint}");
}

#[test]
fn the_health_check_tells_a_living_server_from_none() {
    let server = Server::start(&Start::default());
    let folder = Folder::new("healthcheck");
    let url = format!("http://{}/live", server.address());
    assert_eq!(run(&["healthcheck", "--url", &url], &folder).0, Some(0));
    let (code, _, complaint) =
        run(&["healthcheck", "--url", &format!("http://127.0.0.1:{}/live", free_port())], &folder);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("does not answer"), "{complaint}");
}

#[test]
fn the_version_is_printed_for_people_and_for_programs() {
    let folder = Folder::new("version");
    let (code, text, _) = run(&["version"], &folder);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("watchpost "), "{text}");
    let (_, text, _) = run(&["version", "--json"], &folder);
    let object: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(object["name"], "watchpost");
}

/// A canary in every secret of the schema is in no answer, no log line and no file of the last good configuration.
#[test]
fn no_answer_and_no_log_line_shows_a_secret() {
    const CANARY: &str = "canary5d1";
    let secrets = yaml::schema::entries::<appliance::config::Settings>().into_iter().filter(|entry| entry.secret);
    for path in secrets.map(|entry| entry.path) {
        // A right value, so that the server starts with it. A new secret needs a line here.
        let value = match path.as_str() {
            "telemetry.sentry_dsn" => format!("'http://{CANARY}@127.0.0.1:9/1'"),
            other => panic!("{other} is a secret: say here what a right value of it looks like"),
        };
        shows_nowhere(&path, &value, CANARY);
    }
}

fn shows_nowhere(path: &str, value: &str, canary: &str) {
    let (section, key) = path.rsplit_once('.').expect("no secret stands at the top level");
    let with = |value: &str| {
        section.split('.').rev().fold(format!("{key}: {value}"), |inner, name| format!("{name}: {{{inner}}}"))
    };
    let config = with(value);
    // Everything is logged, so that whatever could show it does.
    let env = [("WATCHPOST_TELEMETRY__LOG__LEVEL", "trace")];
    let start = Start { config: Some(&config), args: &["--web.enable-lifecycle"], env: &env, ..Start::default() };
    let server = Server::start(&start);
    let mut seen = String::new();
    for path in ["/live", "/health", "/metrics", "/ca.crt", "/", "/nowhere", "/-/reload"] {
        let answer = server.get(path);
        seen.push_str(&format!("{:?}{}", answer.headers, answer.body));
    }
    server.folder().write("watchpost.yml", &with(&format!("[{canary}]")));
    seen.push_str(&server.request("POST", "/-/reload", &[], "").body);
    let lastgood = server.folder().path().join("data/lastgood/watchpost.yml");
    seen.push_str(&std::fs::read_to_string(lastgood).expect("it is kept"));
    let (_, _, log) = server.stop();
    assert!(!seen.contains(canary), "{path}: {seen}");
    assert!(!log.contains(canary), "{path}: {log}");
}
