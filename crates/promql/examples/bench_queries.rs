//! The canonical queries of the benchmark over columns in memory: what the engine itself costs, without decoding.
//!
//! `cargo run --release -p promql --example bench_queries [-- threads]` prints the median of some runs for each
//! query. 10 hosts with 1,000 series each, 6 hours at 15 seconds.

#![allow(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::sync::Arc;

use model::labels::Labels;
use model::matcher::{Matcher, matches_all};
use model::query::{QueryOptions, Steps};
use model::storage::{
    Column, ColumnReader, Cursor, Exemplar, Limited, Queryable, SelectHints, SelectedId, Selection, Snapshot,
    StorageError, TimeRange,
};
use model::time::{Clock, SystemClock, Timestamp};
use promql::engine::{Engine, Settings, When};

const HOSTS: usize = 10;
const STEP_MS: i64 = 15_000;
const SAMPLES: usize = 6 * 3600 / 15;
const RUNS: usize = 7;

/// The series of one host share their times.
struct Series {
    labels: Labels,
    host: usize,
    values: Vec<f64>,
}

struct Columns {
    times: Vec<Arc<Vec<i64>>>,
    series: Arc<Vec<Series>>,
}

struct Pinned {
    times: Vec<Arc<Vec<i64>>>,
    series: Arc<Vec<Series>>,
}

struct Selected {
    times: Vec<Arc<Vec<i64>>>,
    series: Arc<Vec<Series>>,
    ids: Vec<usize>,
    range: TimeRange,
}

struct Reading<'r>(&'r Selected);

impl Queryable for Columns {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageError> {
        Ok(Arc::new(Pinned { times: self.times.clone(), series: Arc::clone(&self.series) }))
    }

    fn series_generation(&self) -> u64 {
        0
    }
}

impl Snapshot for Pinned {
    fn select(&self, matchers: &[Matcher], range: TimeRange, _: &SelectHints) -> Result<Selection, StorageError> {
        let ids: Vec<usize> =
            (0..self.series.len()).filter(|id| matches_all(matchers, &self.series[*id].labels)).collect();
        let labels = ids.iter().map(|id| self.series[*id].labels.clone()).collect();
        let samples_max = (ids.len() * SAMPLES) as u64;
        let reader = Selected { times: self.times.clone(), series: Arc::clone(&self.series), ids, range };
        let reader = Arc::new(reader);
        Ok(Selection { labels, samples_max, bytes_max: samples_max * 16, warnings: Vec::new(), reader })
    }

    fn series(&self, _: &[Vec<Matcher>], _: TimeRange, _: usize) -> Result<Limited<Labels>, StorageError> {
        Ok(Limited::default())
    }

    fn label_names(&self, _: &[Vec<Matcher>], _: TimeRange, _: usize) -> Result<Limited<String>, StorageError> {
        Ok(Limited::default())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Vec<Matcher>],
        _: TimeRange,
        _: usize,
    ) -> Result<Limited<String>, StorageError> {
        Ok(Limited::default())
    }

    fn exemplars(&self, _: &[Vec<Matcher>], _: TimeRange) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        Ok(Vec::new())
    }
}

impl ColumnReader for Selected {
    fn cursor(&self) -> Box<dyn Cursor + '_> {
        Box::new(Reading(self))
    }
}

impl Cursor for Reading<'_> {
    fn read(&mut self, id: SelectedId) -> Result<Column<'_>, StorageError> {
        let series = &self.0.series[self.0.ids[id.0 as usize]];
        let times = &self.0.times[series.host];
        let low = times.partition_point(|time| *time < self.0.range.start.0);
        let high = times.partition_point(|time| *time <= self.0.range.end.0);
        Ok(Column {
            times: &times[low..high],
            values: &series.values[low..high],
            start_times: None,
            histograms: &[],
            clock: Some(series.host as u64),
        })
    }
}

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

fn columns() -> Columns {
    const BOUNDS: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
    let mut series = Vec::new();
    for host in 0..HOSTS {
        let instance = format!("host-{host:03}:9100");
        let mut add = |name: &str, more: &[(&str, String)]| {
            let mut pairs: Vec<(&str, &str)> = vec![("__name__", name), ("instance", &instance), ("job", "fleet")];
            pairs.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
            let seed = host * 1_000 + series.len();
            series.push(Series { labels: Labels::from_pairs(pairs), host, values: counter(seed) });
        };
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
        for mount in ["/", "/run", "/boot", "/home", "/var", "/srv", "/tmp", "/data"] {
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
    }
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    let times = (0..HOSTS)
        .map(|host| Arc::new((0..SAMPLES as i64).map(|at| at * STEP_MS + host as i64 * 137).collect()))
        .collect();
    Columns { times, series: Arc::new(series) }
}

const HOUR_MS: i64 = 3_600_000;

/// (name, query, range, step); no range is an instant query.
const QUERIES: [(&str, &str, i64, i64); 12] = [
    ("rate_sum", "sum(rate(http_requests_total[5m]))", 6 * HOUR_MS, 60_000),
    ("rate_one_host", r#"rate(http_requests_total{instance="host-003:9100"}[5m])"#, HOUR_MS, 15_000),
    (
        "hq_sum_by_le",
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        6 * HOUR_MS,
        60_000,
    ),
    ("hq_every_series", "histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m]))", HOUR_MS, 60_000),
    (
        "error_ratio",
        r#"sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) * 100"#,
        6 * HOUR_MS,
        60_000,
    ),
    ("topk_hq", "topk(5, histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m])))", 0, 0),
    ("by_status", "sum by (status) (rate(http_requests_total[5m]))", 6 * HOUR_MS, 60_000),
    (
        "cache_hit",
        "sum(rate(cache_hits_total[5m])) / (sum(rate(cache_hits_total[5m])) + sum(rate(cache_misses_total[5m]))) * 100",
        6 * HOUR_MS,
        60_000,
    ),
    (
        "regex_hosts",
        r#"sum by (instance) (node_filesystem_avail_bytes{instance=~"host-0[0-9][0-9]:.+", mountpoint!~"/run|/boot"})"#,
        6 * HOUR_MS,
        60_000,
    ),
    ("count_by_name", r#"count by (__name__) ({__name__=~".+"})"#, 0, 0),
    ("cpu_by_host_full", r#"sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m]))"#, 6 * HOUR_MS, 60_000),
    ("max_over_time_full", "max_over_time(node_load1[1h])", 6 * HOUR_MS, 300_000),
];

fn main() {
    let extra_threads = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let clock = Arc::new(SystemClock::new());
    let settings = Settings { extra_threads, ..Settings::default() };
    let engine = Engine::new(Arc::new(columns()), settings, clock.clone());
    let end = SAMPLES as i64 * STEP_MS;
    let mut total = 0.0;
    for (name, query, range, step) in QUERIES {
        let when = if range == 0 {
            When::At(Timestamp(end))
        } else {
            When::Over(Steps { start: Timestamp(end - range), end: Timestamp(end), step_ms: step })
        };
        let mut millis = Vec::new();
        let mut stats = None;
        for _ in 0..RUNS {
            let began = clock.monotonic();
            let outcome = engine.prepare(query).and_then(|p| engine.evaluate(&p, when, &QueryOptions::default()));
            millis.push((clock.monotonic() - began).as_secs_f64() * 1e3);
            match outcome {
                Ok(outcome) => stats = Some(outcome.stats),
                Err(error) => println!("{name}: {error}"),
            }
        }
        millis.sort_by(f64::total_cmp);
        let median = millis[RUNS / 2];
        total += median;
        println!("{name:20} {median:9.3} ms  {stats:?}");
    }
    println!("{:20} {total:9.3} ms", "total");
}
