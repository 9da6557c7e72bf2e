//! The stacks our users run, small: their own configuration, and toy applications that emit what theirs emit.
//!
//! Each host name of a configuration becomes an address of this machine's loopback network, with the same port, so
//! that the file stays as it is but for its names. Not here: what must be true of a stack (`stacks` of the tests).

#![allow(clippy::disallowed_methods, reason = "the toys run in real time")]
#![allow(clippy::panic, reason = "a fixture fails the test that uses it")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::repo;

/// The network of the toys; the third part tells the stacks of tests that run at the same time apart.
const LOOPBACK: &str = "127.77";

/// What a toy plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Api,
    Postgres,
    Redis,
    Node,
}

/// A stack: which hosts play what.
#[derive(Debug)]
pub struct Stack {
    pub name: &'static str,
    hosts: &'static [(&'static str, u16, Part)],
}

/// Those that are built so far.
pub const STACKS: &[Stack] = &[Stack {
    name: "tutormax",
    hosts: &[
        ("api-1", 8000, Part::Api),
        ("api-2", 8000, Part::Api),
        ("api-3", 8000, Part::Api),
        ("postgres-exporter", 9187, Part::Postgres),
        ("redis-exporter", 9121, Part::Redis),
        ("node-exporter", 9100, Part::Node),
    ],
}];

/// The stack of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Stack> {
    STACKS.iter().find(|stack| stack.name == name)
}

/// The toys of a stack, answering until dropped.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    threads: Vec<(String, JoinHandle<()>)>,
    names: Vec<(String, String)>,
    files: PathBuf,
}

impl Stack {
    /// Starts the toys.
    #[must_use]
    pub fn start(&'static self) -> Running {
        static NETWORKS: AtomicU16 = AtomicU16::new(0);
        let process = std::process::id() as u16 % 25 * 10;
        let network = process + NETWORKS.fetch_add(1, Ordering::Relaxed) % 10;
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = Running {
            stop: Arc::clone(&stop),
            threads: Vec::new(),
            names: Vec::new(),
            files: repo::root().join("tests/fixtures/stacks").join(self.name),
        };
        for (at, (host, port, part)) in self.hosts.iter().enumerate() {
            let address = format!("{LOOPBACK}.{network}.{}", at + 1);
            let listener = TcpListener::bind((address.as_str(), *port))
                .unwrap_or_else(|error| panic!("{address}:{port} for {host}: {error}"));
            running.names.push((format!("{host}:{port}"), format!("{address}:{port}")));
            let (part, stop) = (*part, Arc::clone(&stop));
            let thread = std::thread::spawn(move || serve(&listener, part, &stop));
            running.threads.push((format!("{address}:{port}"), thread));
        }
        running
    }
}

impl Running {
    /// Puts the stack's files into a folder: host names replaced, and what the caller wants changed.
    pub fn write_files(&self, folder: &Path, change: impl Fn(&str) -> String) {
        for entry in std::fs::read_dir(&self.files).expect("the stack has files") {
            let path = entry.expect("it is readable").path();
            let mut text = std::fs::read_to_string(&path).expect("it is text");
            for (name, address) in &self.names {
                text = text.replace(name, address);
            }
            let name = path.file_name().expect("a file has a name");
            std::fs::write(folder.join(name), change(&text)).expect("the folder takes it");
        }
    }

    /// How many targets there are.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.names.len()
    }

    /// The queries of the stack's guide.
    #[must_use]
    pub fn queries(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.files.join("queries.promql")).expect("the stack has queries");
        let mut queries = vec![String::new()];
        for line in text.lines() {
            match queries.last_mut() {
                Some(query) if !line.trim().is_empty() && !line.starts_with('#') => {
                    query.push_str(line);
                    query.push('\n');
                }
                _ => queries.push(String::new()),
            }
        }
        queries.into_iter().map(|query| query.trim().to_owned()).filter(|query| !query.is_empty()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for (address, thread) in self.threads.drain(..) {
            // A connection wakes the listener so that it sees the flag.
            drop(TcpStream::connect(address));
            let _panicked = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, part: Part, stop: &AtomicBool) {
    let started = Instant::now();
    for stream in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        // Whoever asks wrongly is not answered; the next one is.
        let _broken = answer(stream, part, started.elapsed());
    }
}

/// One request on one connection.
fn answer(stream: TcpStream, part: Part, up: Duration) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut stream = stream;
    let (status, body) = if first.starts_with("GET /metrics ") {
        ("200 OK", exposed(part, up.as_secs_f64()))
    } else {
        ("404 Not Found", "nothing here\n".to_owned())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The metrics of a part after so many seconds.
fn exposed(part: Part, up: f64) -> String {
    let mut text = String::new();
    match part {
        Part::Api => api(&mut text, up),
        Part::Postgres => {
            gauge(&mut text, "pg_up", 1.0);
            gauge(&mut text, "pg_stat_database_numbackends{datname=\"tutormax\"}", 12.0);
        }
        Part::Redis => {
            gauge(&mut text, "redis_up", 1.0);
            gauge(&mut text, "redis_memory_used_bytes", 3.0e7 + up);
        }
        Part::Node => {
            gauge(&mut text, "node_load1", 0.7);
            gauge(&mut text, "node_uname_info{nodename=\"toy\"}", 1.0);
            counter(&mut text, "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}", 0.8 * up);
        }
    }
    text
}

fn api(text: &mut String, up: f64) {
    for (status, share) in [("200", 40.0), ("404", 2.0), ("500", 1.0)] {
        let series = format!("http_requests_total{{method=\"GET\",endpoint=\"/lessons\",status_code=\"{status}\"}}");
        counter(text, &series, (share * up).floor());
    }
    let _infallible = writeln!(text, "# TYPE http_request_duration_seconds histogram");
    for (le, share) in [("0.1", 30.0), ("0.5", 41.0), ("1", 42.5), ("+Inf", 43.0)] {
        let _infallible =
            writeln!(text, "http_request_duration_seconds_bucket{{le=\"{le}\"}} {}", (share * up).floor());
    }
    let _infallible = writeln!(text, "http_request_duration_seconds_sum {}", 4.3 * up);
    let _infallible = writeln!(text, "http_request_duration_seconds_count {}", (43.0 * up).floor());
    counter(text, "cache_hits_total", (90.0 * up).floor());
    counter(text, "cache_misses_total", (10.0 * up).floor());
    for (name, value) in [
        ("http_requests_in_progress", 3.0),
        ("database_connections_active", 17.0),
        ("celery_queue_length", 5.0),
        ("system_cpu_usage_percent", 31.0),
        ("system_memory_usage_bytes", 2.1e9),
        ("system_memory_available_bytes", 1.9e9),
        ("sla_compliance_percent", 99.2),
    ] {
        gauge(text, name, value);
    }
}

fn gauge(text: &mut String, series: &str, value: f64) {
    let _infallible = writeln!(text, "# TYPE {} gauge\n{series} {value}", name_of(series));
}

fn counter(text: &mut String, series: &str, value: f64) {
    let kind = format!("# TYPE {} counter\n", name_of(series));
    if !text.contains(&kind) {
        text.push_str(&kind);
    }
    let _infallible = writeln!(text, "{series} {value}");
}

fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}
