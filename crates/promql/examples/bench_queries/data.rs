//! Where the samples come from: generated, or read from a running server that speaks Prometheus's API.

use std::collections::HashMap;

use model::labels::Labels;
use serde_json::Value;

use super::columns::{Columns, Series};
use super::http;

const HOSTS: usize = 10;
const STEP_MS: i64 = 15_000;
const SAMPLES: usize = 6 * 3600 / 15;

/// Counters that grow at their own pace, some with a reset.
fn counter(seed: usize) -> Vec<f64> {
    let mut value = 0.0;
    (0..SAMPLES)
        .map(|at| {
            value = if (at + seed).is_multiple_of(997) { 0.0 } else { value + ((seed * 31 + at * 7) % 11) as f64 };
            value
        })
        .collect()
}

/// The series of one host: name and labels besides `instance` and `job`.
fn host() -> Vec<(String, Vec<(&'static str, String)>)> {
    const BOUNDS: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
    let mut out: Vec<(String, Vec<(&'static str, String)>)> = Vec::new();
    let mut add = |name: &str, labels: &[(&'static str, String)]| out.push((name.to_owned(), labels.to_vec()));
    for handler in 0..27 {
        for status in ["200", "201", "204", "301", "400", "401", "404", "500", "502", "503"] {
            let labels = [("handler", format!("/api/{handler}")), ("status", status.to_owned())];
            add("http_requests_total", &labels);
        }
    }
    for handler in 0..26 {
        for bound in BOUNDS {
            let labels = [("handler", format!("/api/{handler}")), ("le", bound.to_owned())];
            add("http_request_duration_seconds_bucket", &labels);
        }
    }
    for cpu in 0..8 {
        for mode in ["idle", "user", "system", "iowait", "irq", "nice", "softirq", "steal"] {
            add("node_cpu_seconds_total", &[("cpu", cpu.to_string()), ("mode", mode.to_owned())]);
        }
    }
    for mount in ["/", "/run", "/boot", "/home", "/var", "/srv", "/opt", "/data"] {
        add("node_filesystem_avail_bytes", &[("mountpoint", mount.to_owned())]);
    }
    add("node_load1", &[]);
    for cache in 0..4 {
        add("cache_hits_total", &[("cache", cache.to_string())]);
        add("cache_misses_total", &[("cache", cache.to_string())]);
    }
    for other in 0..337 {
        add(&format!("app_metric_{other}"), &[]);
    }
    out
}

/// 10 hosts with 1,000 series each, 6 hours at 15 seconds; and the end of it in seconds.
pub(crate) fn generated() -> (Columns, i64) {
    let mut series = Vec::new();
    for clock in 0..HOSTS {
        let instance = format!("host-{clock:03}:9100");
        for (name, more) in host() {
            let mut pairs: Vec<(&str, &str)> = vec![("__name__", &name), ("instance", &instance), ("job", "fleet")];
            pairs.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
            let values = counter(clock * 1_000 + series.len());
            series.push(Series { labels: Labels::from_pairs(pairs), clock, values });
        }
    }
    let time = |at: i64, host: i64| at * STEP_MS + host * 137;
    let times = (0..HOSTS as i64).map(|host| (0..SAMPLES as i64).map(|at| time(at, host)).collect()).collect();
    (Columns::new(times, series), SAMPLES as i64 * STEP_MS / 1_000)
}

fn ask(address: &str, path: &str) -> Value {
    let (_, body) = http::send(address, &format!("GET {path}"), "", &[]).expect("the server answers");
    serde_json::from_slice(&body).expect("the server answers in JSON")
}

/// All series of a server over the six hours before `end`, in seconds.
pub(crate) fn read_from(address: &str, end: i64) -> Columns {
    let list = |label: &str| -> Vec<String> {
        let values = ask(address, &format!("/api/v1/label/{label}/values"));
        values["data"].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let mut clocks: HashMap<Vec<i64>, usize> = HashMap::new();
    let mut times: Vec<Vec<i64>> = Vec::new();
    let mut series = Vec::new();
    // In small portions: the JSON of a large one would take gigabytes.
    for instance in list("instance") {
        for name in list("__name__") {
            let query = http::escaped(&format!("{name}{{instance=\"{instance}\"}}[7h]"));
            let answer = ask(address, &format!("/api/v1/query?query={query}&time={end}"));
            for found in answer["data"]["result"].as_array().into_iter().flatten() {
                let labels = found["metric"].as_object().into_iter().flatten();
                let labels = Labels::from_pairs(labels.map(|(name, value)| (name, value.as_str().unwrap_or(""))));
                let points = found["values"].as_array().into_iter().flatten();
                let (at, values): (Vec<i64>, Vec<f64>) = points.map(point).unzip();
                let clock = *clocks.entry(at).or_insert_with_key(|at| {
                    times.push(at.clone());
                    times.len() - 1
                });
                series.push(Series { labels, clock, values });
            }
        }
    }
    Columns::new(times, series)
}

fn point(point: &Value) -> (i64, f64) {
    let seconds = point[0].as_f64().unwrap_or(0.0);
    let value = point[1].as_str().and_then(promql::engine::number::parse).unwrap_or(f64::NAN);
    ((seconds * 1_000.0).round() as i64, value)
}
