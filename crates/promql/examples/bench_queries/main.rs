//! The canonical queries of the benchmark over columns in memory, alone or beside running servers.
//!
//! `cargo run --release -p promql --example bench_queries` measures over generated samples. With
//! `BENCH_PEERS=name=host:port=pid[,…]` and `BENCH_END=<unix seconds>` the samples of the first server are read
//! through its API, and every server is asked the same queries (`&nocache=1`); costs are processor time.

#![allow(clippy::print_stdout, reason = "a program that prints its measurements")]

mod columns;
mod data;
#[path = "../../tests/scripts/peer/http.rs"]
mod http;

use std::sync::Arc;

use model::query::{Evaluator as _, QueryError, QueryOptions, QueryStats, Steps};
use model::storage::TimeRange;
use model::time::{SystemClock, Timestamp};
use promql::engine::{Engine, Settings, When};

use columns::Storage;

/// Measured runs of each query, after one that warms up.
const RUNS: i64 = 7;

const HOUR: i64 = 3_600;

/// What is asked.
enum Ask {
    /// Over so many seconds, every so many.
    Range(i64, i64),
    Instant,
    /// The series API.
    Series,
}

const HQ: &str = "rate(http_request_duration_seconds_bucket[5m])";

/// Name, query, how. The two label APIs of the benchmark are the storage's alone.
fn queries() -> Vec<(&'static str, String, Ask)> {
    use Ask::{Instant, Range, Series};
    let day = 6 * HOUR;
    let text = str::to_owned;
    vec![
        ("rate_sum", text("sum(rate(http_requests_total[5m]))"), Range(day, 60)),
        ("rate_one_host", text(r#"rate(http_requests_total{instance="host-003:9100"}[5m])"#), Range(HOUR, 15)),
        ("hq_sum_by_le", format!("histogram_quantile(0.95, sum by (le) ({HQ}))"), Range(day, 60)),
        ("hq_every_series", format!("histogram_quantile(0.95, {HQ})"), Range(HOUR, 60)),
        (
            "error_ratio",
            text(r#"sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) * 100"#),
            Range(day, 60),
        ),
        ("topk_hq", format!("topk(5, histogram_quantile(0.95, {HQ}))"), Instant),
        ("by_status", text("sum by (status) (rate(http_requests_total[5m]))"), Range(day, 60)),
        (
            "cache_hit",
            text(
                "sum(rate(cache_hits_total[5m])) / (sum(rate(cache_hits_total[5m])) + sum(rate(cache_misses_total[5m]))) * 100",
            ),
            Range(day, 60),
        ),
        (
            "regex_hosts",
            text(
                r#"sum by (instance) (node_filesystem_avail_bytes{instance=~"host-0[0-9][0-9]:.+", mountpoint!~"/run|/boot"})"#,
            ),
            Range(day, 60),
        ),
        ("count_by_name", text(r#"count by (__name__) ({__name__=~".+"})"#), Instant),
        (
            "cpu_by_host_full",
            text(r#"sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m]))"#),
            Range(day, 60),
        ),
        ("max_over_time_full", text("max_over_time(node_load1[1h])"), Range(day, 300)),
        ("series_api", text(r#"http_requests_total{instance="host-003:9100"}"#), Series),
    ]
}

/// A server beside us.
struct Peer {
    name: String,
    address: String,
    pid: String,
}

fn peers() -> Vec<Peer> {
    let list = std::env::var("BENCH_PEERS").unwrap_or_default();
    let peer = |text: &str| {
        let mut parts = text.split('=').map(str::to_owned);
        Some(Peer { name: parts.next()?, address: parts.next()?, pid: parts.next()? })
    };
    list.split(',').filter_map(peer).collect()
}

/// Processor time of all threads of a process, in milliseconds.
fn cpu_ms(pid: &str) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let nanos = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e6
}

/// Where the window of a run ends: a dashboard that moves on by a step each time.
fn end_of(end: i64, ask: &Ask, run: i64) -> i64 {
    let step = match ask {
        Ask::Range(_, step) => *step,
        Ask::Instant | Ask::Series => 15,
    };
    let at = end - (RUNS - run) * step.max(15);
    at - at % step
}

fn ours(engine: &Engine, query: &str, ask: &Ask, end: i64) -> Result<(QueryStats, f64), QueryError> {
    let options = QueryOptions { nocache: std::env::var_os("BENCH_CACHE").is_none(), ..QueryOptions::default() };
    let before = cpu_ms("self");
    let at = Timestamp(end * 1_000);
    let when = match ask {
        Ask::Series => {
            let range = TimeRange { start: Timestamp(at.0 - 6 * HOUR * 1_000), end: at };
            engine.series(&[query.to_owned()], range, &options)?;
            return Ok((QueryStats::default(), cpu_ms("self") - before));
        }
        Ask::Instant => When::At(at),
        Ask::Range(length, step) => {
            When::Over(Steps { start: Timestamp((end - length) * 1_000), end: at, step_ms: step * 1_000 })
        }
    };
    let outcome = engine.evaluate(&engine.prepare(query)?, when, &options)?;
    Ok((outcome.stats, cpu_ms("self") - before))
}

fn theirs(peer: &Peer, query: &str, ask: &Ask, end: i64) -> f64 {
    let query = http::escaped(query);
    let path = match ask {
        Ask::Range(length, step) => {
            format!("/api/v1/query_range?query={query}&start={}&end={end}&step={step}&nocache=1", end - length)
        }
        Ask::Instant => format!("/api/v1/query?query={query}&time={end}&nocache=1"),
        Ask::Series => format!("/api/v1/series?match[]={query}&start={}&end={end}", end - 6 * HOUR),
    };
    let before = cpu_ms(&peer.pid);
    let answer = http::send(&peer.address, &format!("GET {path}"), "", &[]);
    if !answer.is_ok_and(|(status, _)| status == 200) {
        println!("{} does not answer {path}", peer.name);
    }
    cpu_ms(&peer.pid) - before
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let peers = peers();
    let (columns, end) = match peers.first() {
        None => data::generated(),
        Some(first) => {
            let end = std::env::var("BENCH_END").ok().and_then(|text| text.parse().ok()).expect("BENCH_END is set");
            (data::read_from(&first.address, end), end)
        }
    };
    println!(
        "{} series, {} samples",
        columns.series.len(),
        columns.series.iter().map(|s| s.values.len()).sum::<usize>()
    );
    let clock = Arc::new(SystemClock::new());
    let engine = Engine::new(Arc::new(Storage(Arc::new(columns))), Settings::default(), clock);
    let mut totals = vec![0.0; peers.len() + 1];
    for (name, query, ask) in queries() {
        let mut measured = vec![Vec::new(); peers.len() + 1];
        let mut peak = 0;
        for run in 0..=RUNS {
            let end = end_of(end, &ask, run);
            let mut costs = Vec::new();
            match ours(&engine, &query, &ask, end) {
                Ok((stats, cost)) => {
                    peak = stats.bytes_peak;
                    costs.push(cost);
                }
                Err(error) => println!("{name}: {error}"),
            }
            costs.extend(peers.iter().map(|peer| theirs(peer, &query, &ask, end)));
            if run > 0 {
                measured.iter_mut().zip(costs).for_each(|(all, cost)| all.push(cost));
            }
        }
        let medians: Vec<f64> = measured.into_iter().map(median).collect();
        totals.iter_mut().zip(&medians).for_each(|(total, median)| *total += median);
        let beside: Vec<String> = peers.iter().zip(&medians[1..]).map(|(p, m)| format!("{} {m:9.3}", p.name)).collect();
        println!("{name:20} {:9.3} ms  {}  peak {:6.2} MB", medians[0], beside.join("  "), peak as f64 / 1e6);
    }
    let beside: Vec<String> =
        peers.iter().zip(&totals[1..]).map(|(p, total)| format!("{} {total:9.3}", p.name)).collect();
    println!("{:20} {:9.3} ms  {}", "total", totals[0], beside.join("  "));
}
