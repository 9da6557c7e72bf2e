//! How fast expositions are read: nanoseconds per sample and megabytes per second, read anew and with known keys.
//!
//! `cargo run --release -p wire --example bench_exposition -- FILE…` takes files (`.om.txt` is OpenMetrics); without
//! one a made-up body of 500 series is read.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it")]

use std::hint::black_box;
use std::time::Duration;

use model::time::{Clock as _, SystemClock};
use wire::exposition::{Entry, Format, Options, Parser};

/// Each figure is the best of so many rounds, each at least this long.
const ROUNDS: usize = 5;
const ROUND_MIN: Duration = Duration::from_millis(200);

fn main() -> std::io::Result<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        bench("made up, 500 series", &made_up(), Format::Text);
    }
    for file in files {
        let format = if file.ends_with(".om.txt") { Format::OpenMetrics } else { Format::Text };
        let mut bytes = std::fs::read(&file)?;
        if format == Format::OpenMetrics && !bytes.ends_with(b"# EOF\n") {
            bytes.extend_from_slice(b"# EOF\n");
        }
        bench(&file, &bytes, format);
    }
    Ok(())
}

fn bench(name: &str, bytes: &[u8], format: Format) {
    let keys = keys(bytes, format);
    println!("{name}: {} bytes, {} samples", bytes.len(), keys.len());
    report("  read anew", bytes, keys.len(), || read(bytes, format));
    report("  keys known", bytes, keys.len(), || read_known(bytes, format, &keys));
}

fn report(what: &str, bytes: &[u8], samples: usize, mut work: impl FnMut() -> f64) {
    let clock = SystemClock::new();
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let began = clock.monotonic();
        let mut times = 0u32;
        while clock.monotonic() - began < ROUND_MIN {
            black_box(work());
            times += 1;
        }
        best = best.min((clock.monotonic() - began).as_secs_f64() / f64::from(times));
    }
    println!("{what}: {:.1} ns/sample, {:.0} MB/s", best * 1e9 / samples as f64, bytes.len() as f64 / best / 1e6);
}

fn read(bytes: &[u8], format: Format) -> f64 {
    let mut parser = Parser::new(bytes, format, Options::default());
    let mut sum = 0.0;
    while let Ok(Some(entry)) = parser.next() {
        if let Entry::Series(series) = entry {
            sum += series.value;
        }
    }
    sum
}

/// As a scrape loop does whose target says the same as last time.
fn read_known(bytes: &[u8], format: Format, keys: &[Vec<u8>]) -> f64 {
    let mut parser = Parser::new(bytes, format, Options::default());
    let mut expected = keys.iter();
    let mut sum = 0.0;
    loop {
        let known = parser.upcoming().and_then(|line| {
            let key = expected.next()?;
            line.starts_with(key).then_some(key.len())
        });
        if let Some(len) = known
            && let Ok(Some(series)) = parser.accept(len)
        {
            sum += series.value;
            continue;
        }
        let Ok(Some(_)) = parser.next() else { return sum };
    }
}

fn keys(bytes: &[u8], format: Format) -> Vec<Vec<u8>> {
    let mut parser = Parser::new(bytes, format, Options::default());
    let mut keys = Vec::new();
    while let Ok(Some(entry)) = parser.next() {
        if let Entry::Series(series) = entry {
            keys.push(series.key.to_vec());
        }
    }
    keys
}

fn made_up() -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for family in 0..10 {
        let _ = writeln!(text, "# HELP app_requests_{family}_total Requests that were answered.");
        let _ = writeln!(text, "# TYPE app_requests_{family}_total counter");
        for series in 0..50 {
            let value = f64::from(series * 977 + family) * 1.25;
            let _ = writeln!(
                text,
                "app_requests_{family}_total{{method=\"GET\",handler=\"/api/v1/items/{series}\",code=\"200\"}} {value}"
            );
        }
    }
    text.into_bytes()
}
