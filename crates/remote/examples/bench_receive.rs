//! What receiving remote write costs: `cargo run --release -p remote --example bench_receive [series] [steps]`.
//!
//! One sender, one request at a time, one sample of a series in a request, 2,000 samples a request: how a Prometheus
//! sends. Storage is the embedded database on a real disk below the system's temporary folder, and every answer waits
//! for the disk; `nothing` is a storage that forgets everything, so that what is left is our own part.
//! CPU is the time of all threads of this process on processors; requests are made before the clock starts.

#![allow(clippy::print_stdout, reason = "printing figures is what this is for")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use model::labels::Labels;
use model::meter::Registry;
use model::storage::{
    Appendable, Appender, Committed, Durability, Exemplar, Metadata, Refusal, SampleValue, Sender, SeriesRef,
    StorageError,
};
use model::time::{ManualClock, Timestamp};
use remote::receive::{Receiver, ReceiverOptions, WriteRequest};
use tsdb::db::Db;
use tsdb::io::RealDisk;
use tsdb::options::Options;
use tsdb::seeded::Seeded;
use wire::remote_write::Version;
use wire::remote_write::write::RequestWriter;

const START: i64 = 1_700_006_400_000;
const STEP_MS: i64 = 15_000;
const SAMPLES_PER_REQUEST: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).filter_map(|arg| arg.parse::<usize>().ok());
    let (series, steps) = (args.next().unwrap_or(20_000), args.next().unwrap_or(50));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!("{series} series, {steps} steps, {SAMPLES_PER_REQUEST} samples a request\n");
    println!(
        "{:24} {:>12} {:>12} {:>10} {:>14}",
        "storage, message", "first s/M", "then s/M", "B/sample", "us/new series"
    );
    for version in [Version::V1, Version::V2] {
        let requests = requests(version, series, steps);
        let bytes: usize = requests.iter().flatten().map(Bytes::len).sum();
        let folder = std::env::temp_dir().join(format!("bench-receive-{}-{version:?}", std::process::id()));
        let clock = Arc::new(ManualClock::at(Timestamp(START)));
        let db = Db::open(&folder, Options::default(), Arc::new(RealDisk), Arc::clone(&clock) as Arc<_>)?;
        for (name, storage) in [("nothing", Arc::new(Nothing) as Arc<dyn Appendable>), ("tsdb", Arc::new(db))] {
            let receiver = Receiver::new(storage, ReceiverOptions::default(), &Registry::new())?;
            let mut spent = Vec::new();
            for step in &requests {
                clock.advance(Duration::from_millis(STEP_MS as u64));
                let before = cpu();
                runtime.block_on(send(&receiver, version, step));
                spent.push(cpu() - before);
            }
            let per_million = |spent: &[Duration]| {
                let all: Duration = spent.iter().sum();
                all.as_secs_f64() * 1e6 / (spent.len() * series) as f64
            };
            println!(
                "{:24} {:12.3} {:12.3} {:10.1} {:14.2}",
                format!("{name}, {version:?}"),
                per_million(&spent[..1]),
                per_million(&spent[1..]),
                bytes as f64 / (series * steps) as f64,
                spent[0].as_secs_f64() * 1e6 / series as f64,
            );
        }
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

async fn send(receiver: &Receiver, version: Version, requests: &[Bytes]) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(version.content_type()));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    for body in requests {
        let outcome = receiver.receive(WriteRequest { sender: "bench", headers: &headers, body: body.clone() }).await;
        assert_eq!(outcome.status.as_u16(), 204, "{}", outcome.text);
    }
}

/// The requests of each step. A third of the values never moves, the others are counters and gauges.
fn requests(version: Version, series: usize, steps: usize) -> Vec<Vec<Bytes>> {
    let labels: Vec<Labels> = (0..series).map(labels).collect();
    let mut random = Seeded::new(7);
    let mut values: Vec<i64> = (0..series).map(|_| random.below(1 << 20) as i64).collect();
    let mut step = |at: usize| {
        let time = START + at as i64 * STEP_MS;
        let mut bodies = Vec::new();
        for (labels, values) in labels.chunks(SAMPLES_PER_REQUEST).zip(values.chunks_mut(SAMPLES_PER_REQUEST)) {
            let mut writer = RequestWriter::new(version);
            for (n, (labels, value)) in labels.iter().zip(values).enumerate() {
                let change = if n % 3 == 0 { 0 } else { random.below(500) as i64 };
                *value += change;
                let value = if n % 3 == 2 { *value as f64 / 100.0 } else { *value as f64 };
                writer.series(labels, |series| series.value(time, &SampleValue::Float(value), 0));
            }
            let mut body = Vec::new();
            wire::snappy::encode(&writer.finish(), &mut body);
            bodies.push(body.into());
        }
        bodies
    };
    (0..steps).map(&mut step).collect()
}

/// Ten labels of some 200 bytes, as a service behind Kubernetes has them.
fn labels(n: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("http_server_requests_{}_total", n % 40)),
        ("job", "kubernetes-pods".to_owned()),
        ("instance", format!("10.24.{}.{}:9090", n / 10_000, n / 200 % 250)),
        ("namespace", "production".to_owned()),
        ("pod", format!("checkout-7c9d8f6b5-{:05x}", n / 200)),
        ("container", "checkout".to_owned()),
        ("method", ["GET", "POST", "PUT", "DELETE"][n % 4].to_owned()),
        ("status", ["200", "404", "500"][n % 3].to_owned()),
        ("handler", format!("/api/v1/orders/{}", n % 200)),
        ("cluster", "eu-west-1".to_owned()),
    ])
}

/// Time that all threads of this process spent on a processor.
fn cpu() -> Duration {
    let mut all = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let spent = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        all += Duration::from_nanos(spent.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0));
    }
    all
}

/// Takes everything and keeps nothing but the number of series.
struct Nothing;

struct NothingAppender(u64);

impl Appendable for Nothing {
    fn appender(&self, _: Sender<'_>) -> Result<Box<dyn Appender>, StorageError> {
        Ok(Box::new(NothingAppender(0)))
    }
}

impl Appender for NothingAppender {
    fn resolve(&mut self, _: &Labels) -> Result<SeriesRef, Refusal> {
        self.0 += 1;
        Ok(SeriesRef(self.0))
    }

    fn append(&mut self, series: SeriesRef, time: Timestamp, value: f64) {
        std::hint::black_box((series, time, value));
    }

    fn append_value(&mut self, series: SeriesRef, time: Timestamp, value: &SampleValue, start_time: i64) {
        std::hint::black_box((series, time, value, start_time));
    }

    fn exemplar(&mut self, _: SeriesRef, _: &Exemplar) {}

    fn metadata(&mut self, _: &Metadata) {}

    fn commit(&mut self, _: Durability) -> Result<Committed, StorageError> {
        Ok(Committed::default())
    }

    fn rollback(&mut self) {}
}
