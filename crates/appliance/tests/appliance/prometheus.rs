//! A `prometheus.yml` is read as Prometheus reads it: recorded verdicts, our own cases, and what is shown of it.

mod cases;

use std::path::{Path, PathBuf};

use appliance::prometheus::check::check;
use appliance::prometheus::{Prometheus, load};
use tests::folder::Folder;
use tests::skip;

fn no_variable(_: &str) -> Option<String> {
    None
}

fn read(text: &str) -> Result<Prometheus, String> {
    let folder = Folder::new("prometheus");
    let file = folder.write("prometheus.yml", text);
    let shorter = |problems: yaml::Problems| problems.to_string().replace(&folder.file(""), "");
    load::load(&file, &no_variable).map_err(shorter)
}

#[track_caller]
fn right(text: &str) -> Prometheus {
    read(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

#[track_caller]
fn refused(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("expected this to be refused:\n{text}"),
        Err(problems) => problems,
    }
}

/// The files of a folder that are configurations, in order of names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    files
}

/// How many cases passed, and what went wrong with the others.
#[derive(Default)]
struct Tally {
    passed: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn note(&mut self, file: &Path, wrong: Option<String>) {
        match wrong {
            None => self.passed += 1,
            Some(wrong) => self.wrong.push(format!("{}: {wrong}", file.display())),
        }
    }
}

/// `good/` loads, and `bad/` is refused with the words that `errors.json` has for it.
fn verdicts(root: &Path) -> Tally {
    let mut tally = Tally::default();
    let folder = root.join("config/prometheus");
    for file in files(&folder.join("good")) {
        tally.note(&file, load::load(&file, &no_variable).err().map(|problems| problems.to_string()));
    }
    let words = std::fs::read_to_string(folder.join("bad/errors.json")).unwrap_or_else(|_| "{}".to_owned());
    let words: serde_json::Value = serde_json::from_str(&words).expect("it is JSON");
    for file in files(&folder.join("bad")) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let expected = words["cases"][&name].as_str().unwrap_or_default();
        // Where the file stood for whoever recorded it is no part of the verdict.
        let expected = expected
            .strip_prefix("parsing YAML file testdata/")
            .map_or(expected, |rest| rest.split_once(": ").map_or(rest, |(_, sentence)| sentence));
        tally.note(
            &file,
            match load::load(&file, &no_variable) {
                Ok(_) => Some("loads, and should be refused".to_owned()),
                Err(problems) if !problems.to_string().contains(expected) => {
                    Some(format!("expected {expected:?} in:\n{problems}"))
                }
                Err(problems) if !problems.iter().all(|problem| problem.line > 0 && problem.column > 0) => {
                    Some(format!("a problem has no place:\n{problems}"))
                }
                Err(_) => None,
            },
        );
    }
    tally
}

#[test]
fn every_recorded_file_has_the_verdict_of_prometheus() {
    let Some(folder) = skip::conformance("config") else { return };
    let tally = verdicts(folder.parent().expect("the folder is inside the root"));
    assert!(tally.passed + tally.wrong.len() > 100, "found only {}", tally.passed);
    assert!(tally.wrong.is_empty(), "{} wrong:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
}

#[test]
fn a_further_folder_has_the_verdicts_of_prometheus_too() {
    let Some(root) = std::env::var_os("CONFORMANCE_EXTRA").map(PathBuf::from) else { return };
    let tally = verdicts(&root);
    println!("{} passed, {} failed", tally.passed, tally.wrong.len());
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
}

#[test]
fn every_configuration_of_the_guides_does_what_their_manifest_says() {
    let Some(folder) = skip::conformance("seeds") else { return };
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("it is there");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("it is JSON");
    let mut seen = 0;
    for (name, entry) in manifest.as_object().expect("a map") {
        if entry["kind"] != "prometheus" {
            continue;
        }
        seen += 1;
        assert_eq!(entry["expect"], "loads", "{name}: an expectation this test does not know");
        if let Err(problems) = load::load(&folder.join(name), &no_variable) {
            panic!("{name}: {problems}");
        }
    }
    assert!(seen >= 7, "found only {seen}");
}

#[test]
fn all_problems_of_a_file_are_found_at_once_each_with_its_place() {
    let problems = refused(
        "global: {scrape_interval: 15x}\n\
         scrape_configs:\n\
         - {job_name: a, scrape_timeout: 2m, scrape_interval: 1m}\n\
         - {job_name: '', honour_labels: true}\n\
         - {job_name: b, metrics_path: [x]}\n\
         remote_write: [{url: 'http://a', queue_config: {capacity: 0}}]\n",
    );
    for part in [
        "prometheus.yml:1:27: global.scrape_interval: expected a duration such as 30s, 5m or 1h30m, found \"15x\": unknown unit \"x\" in duration \"15x\"",
        "prometheus.yml:4:18: scrape_configs[1]: field honour_labels not found in type",
        "expected perhaps \"honor_labels\"",
        "prometheus.yml:4:4: scrape_configs[1]: job_name is empty",
        "prometheus.yml:5:31: scrape_configs[2].metrics_path: expected a text, found a list",
        "remote write queue capacity must be positive",
    ] {
        assert!(problems.contains(part), "{part} is not in\n{problems}");
    }
    // What needs the rest of the file to be judged is found as well, where `global` itself can be read.
    let problems = refused(
        "scrape_configs:\n- {job_name: a, scrape_timeout: 2m}\n- {job_name: b, nothing: 1}\n- {job_name: c, relabel_configs: [{regex: x}]}\n",
    );
    for part in ["prometheus.yml:2:33", "field nothing not found", "requires 'target_label' value"] {
        assert!(problems.contains(part), "{part} is not in\n{problems}");
    }
}

#[test]
fn a_job_takes_over_what_it_does_not_say() {
    let prometheus = right(
        "global: {scrape_interval: 30s, scrape_timeout: 20s, sample_limit: 5, scrape_native_histograms: true, \
         metric_name_validation_scheme: legacy}\n\
         scrape_configs:\n\
         - {job_name: a, static_configs: [{targets: ['h:1']}]}\n\
         - {job_name: b, scrape_interval: 10s, sample_limit: 7, scrape_native_histograms: false, \
         metric_name_validation_scheme: utf8}\n",
    );
    let [a, b] = prometheus.jobs.as_slice() else { panic!("{:?}", prometheus.jobs) };
    let seconds = |duration: std::time::Duration| duration.as_secs();
    assert_eq!((seconds(a.interval), seconds(a.timeout), a.limits.samples), (30, 20, 5));
    assert_eq!((seconds(b.interval), seconds(b.timeout), b.limits.samples), (10, 10, 7));
    assert_eq!((a.protocols[0].as_str(), b.protocols[0].as_str()), ("PrometheusProto", "OpenMetricsText1.0.0"));
    assert_eq!((a.escaping.as_str(), b.escaping.as_str()), ("underscores", "allow-utf-8"));
    assert_eq!((a.metrics_path.as_str(), a.url_scheme.as_str(), a.mechanisms.len()), ("/metrics", "http", 1));
    assert!(a.honor_timestamps && a.compression && !a.honor_labels);
}

#[test]
fn external_labels_hold_what_the_environment_says() {
    let folder = Folder::new("prometheus");
    let text = "global:\n  external_labels: {bar: foo, foo: '${TEST}', baz: 'foo${TEST}bar', qux: 'foo$${TEST}', xyz: 'foo$$bar', none: $NONE}\n";
    let file = folder.write("prometheus.yml", text);
    let variable = |name: &str| (name == "TEST").then(|| "TestValue".to_owned());
    let prometheus = load::load(&file, &variable).expect("it is right");
    let expected = r#"{bar="foo", baz="fooTestValuebar", foo="TestValue", qux="foo${TEST}", xyz="foo$bar"}"#;
    assert_eq!(prometheus.external_labels.to_string(), expected);
    assert!(prometheus.warnings[0].to_string().contains("NONE is not set"), "{:?}", prometheus.warnings);
}

#[test]
fn further_files_bring_jobs_of_their_own() {
    let folder = Folder::new("prometheus");
    let main = folder.write("prometheus.yml", "scrape_config_files: ['more/*.yml']\nscrape_configs: [{job_name: a}]\n");
    folder.write("more/b.yml", "scrape_configs: [{job_name: b, tls_config: {cert_file: c, key_file: k}}]\n");
    let prometheus = load::load(&main, &no_variable).expect("both are right");
    assert_eq!(prometheus.jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(prometheus.sources.len(), 2);
    let cert = prometheus.jobs[1].http.tls_config.cert_file.clone().expect("it is given");
    assert_eq!(cert.place.resolve(&cert.value), folder.path().join("more/c"));

    folder.write("more/c.yml", "scrape_configs: [{job_name: a}]\n");
    let problems = load::load(&main, &no_variable).expect_err("the name is taken").to_string();
    assert!(problems.contains("more/c.yml:1:29: found multiple scrape configs with job name \"a\""), "{problems}");
    assert!(problems.contains("first found in"), "{problems}");
    folder.write("more/c.yml", "global: {}\n");
    assert!(load::load(&main, &no_variable).is_err(), "only jobs stand there");
}

#[test]
fn what_is_read_and_not_acted_on_is_named() {
    let prometheus = right(
        "global: {query_log_file: q}\n\
         tracing: {endpoint: 'a:1'}\n\
         storage: {tsdb: {retention: {percentage: 20}}}\n\
         remote_read: [{url: 'http://a'}]\n\
         remote_write: [{url: 'http://a', sigv4: {region: x, access_key: a, secret_key: canary}}]\n\
         alerting: {alertmanagers: [{ec2_sd_configs: [{region: r}]}]}\n\
         scrape_configs: [{job_name: j, consul_sd_configs: [{}], static_configs: [{targets: [a]}]}]\n",
    );
    let warnings: Vec<String> = prometheus.warnings.iter().map(ToString::to_string).collect();
    let warnings = warnings.join("\n");
    for part in [
        "queries are not logged",
        "tracing is not supported",
        "storage.tsdb.retention.percentage",
        "remote_read is not supported",
        "sigv4 is not supported",
        "ec2_sd_configs is not supported",
        "consul_sd_configs is not supported: job \"j\" goes without these targets",
    ] {
        assert!(warnings.contains(part), "{part} is not in\n{warnings}");
    }
    assert!(!prometheus.shown.contains("canary"), "{}", prometheus.shown);
    assert_eq!(prometheus.jobs[0].mechanisms.len(), 2, "the job itself goes on");
}

#[test]
fn the_configuration_is_shown_with_defaults_and_without_secrets() {
    let text = "\
global: {external_labels: {a: b}}
scrape_configs:
- job_name: j
  basic_auth: {username: u, password: canary1}
  http_headers: {x: {secrets: [canary2]}}
  relabel_configs: [{source_labels: [a], target_label: b}]
  static_configs: [{targets: ['h:1']}]
  consul_sd_configs: [{token: canary3}]
remote_write: [{url: 'http://u:canary4@h/w', bearer_token: canary5}]
";
    let prometheus = right(text);
    let shown = &prometheus.shown;
    assert!(!shown.contains("canary") && !format!("{prometheus:?}").contains("canary"), "{shown}");
    let expected = "\
global:
  scrape_interval: 1m
  scrape_timeout: 10s
  evaluation_interval: 1m
  external_labels:
    a: b
  metric_name_validation_scheme: utf8
  scrape_native_histograms: false
runtime:
  gogc: 75
scrape_configs:
- job_name: j
  honor_timestamps: true
  track_timestamps_staleness: false
  scrape_interval: 1m
  scrape_timeout: 10s
  scrape_protocols:
  - OpenMetricsText1.0.0
  - OpenMetricsText0.0.1
  - PrometheusText1.0.0
  - PrometheusText0.0.4
";
    assert!(shown.starts_with(expected), "{shown}");
    let bearer = "  authorization:\n    type: Bearer\n    credentials: <secret>\n";
    assert!(shown.contains(bearer), "as Prometheus prints a bearer token: {shown}");
    // It is a configuration itself, but for the secrets.
    right(shown);
}

#[test]
fn the_files_it_points_to_are_looked_at() {
    let folder = Folder::new("prometheus");
    let text = "\
rule_files: [rules.yml, 'more/*.yml', gone.yml]
scrape_configs:
- job_name: j
  bearer_token_file: token
  basic_auth:
  tls_config: {cert_file: c.pem, key_file: k.pem, ca_file: ca.pem}
  file_sd_configs: [{files: [targets.json, bad.yml, later.yml]}]
- job_name: probes
  static_configs: [{targets: ['https://a/b']}]
  relabel_configs: [{source_labels: [__address__], target_label: __param_target}, {target_label: __address__, replacement: 'blackbox:9115'}]
- job_name: urls
  static_configs: [{targets: ['https://a/b']}]
  relabel_configs: [{target_label: x}]
";
    let file = folder.write("prometheus.yml", text);
    folder.write("rules.yml", "");
    folder.write("targets.json", "[{\"targets\": [\"a:1\"], \"labels\": {\"a\": \"b\"}}]");
    folder.write("bad.yml", "- targets: a\n");
    let report = check(&file, &no_variable);
    let problems = report.problems.to_string();
    for part in [
        "prometheus.yml:1:39: rule_files:",
        "gone.yml\" does not point to an existing file",
        "error checking authorization credentials or bearer token file",
        "error checking client cert file",
        "error checking client key file",
        "bad.yml:1:12",
        "scrape job \"urls\": \"https://a/b\" is not a valid hostname",
    ] {
        assert!(problems.contains(part), "{part} is not in\n{problems}");
    }
    assert_eq!(report.problems.len(), 6, "{problems}");
    let warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
    let warnings = warnings.join("\n");
    assert!(warnings.contains("\"later.yml\" for file_sd in scrape job \"j\" does not exist"), "{warnings}");
    assert!(warnings.contains("CA file"), "{warnings}");
}
