//! Figures of the lower half of the storage: encoding, decoding, parts and indexes, on data made here.
//!
//! `cargo run --release -p tsdb --example bench [codec|part|index]…`; nothing named means all. One thread, its time on
//! the processor (Linux), the best of some passes.
#![allow(clippy::print_stdout, reason = "a benchmark's figures go to the terminal")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::storage::TimeRange;
use tsdb::codec::float::{self, FloatState};
use tsdb::codec::{BLOCK_ROWS_MAX, chain};
use tsdb::error::TsdbError;
use tsdb::index::head::{HeadIndex, HeadIndexSnapshot};
use tsdb::io::{Disk, FaultyDisk};
use tsdb::part::{
    Columns, MergeOptions, PageCache, PartOptions, PartRead, PartReader, PartWriter, Scratch, SeriesInput, Values,
    merge_parts,
};
use tsdb::seeded::Seeded;

fn main() -> Result<(), TsdbError> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|arg| arg == name);
    let clock = CpuClock;
    if wants("codec") {
        codec(&clock);
    }
    if wants("part") {
        part(&clock)?;
    }
    if wants("index") {
        index(&clock)?;
    }
    Ok(())
}

/// Time this thread was on a processor, so that a busy machine does not change the figures much.
struct CpuClock;

impl CpuClock {
    fn monotonic(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
}

/// The shortest of some passes.
fn best(clock: &CpuClock, passes: usize, mut run: impl FnMut()) -> Duration {
    let pass = |_| {
        let begin = clock.monotonic();
        run();
        clock.monotonic() - begin
    };
    (0..passes).map(pass).min().unwrap_or_default()
}

fn ns(time: Duration, per: usize) -> f64 {
    time.as_nanos() as f64 / per as f64
}

/// The shapes series have.
const SHAPES: [&str; 7] = [
    "constant",
    "counter, small steps",
    "counter, seldom",
    "gauge, 2 decimals",
    "pages of 4096",
    "counter, 6 decimals",
    "full mantissa",
];

fn column(shape: usize, rows: usize, random: &mut Seeded) -> Vec<f64> {
    let mut walk = random.below(1 << 30) as i64;
    let next = |_| match shape {
        0 => 17.0,
        1 => {
            walk += random.below(41) as i64;
            walk as f64
        }
        2 => {
            walk += i64::from(random.one_in(20)) * random.below(5) as i64;
            walk as f64
        }
        3 => {
            walk += random.below(41) as i64 - 20;
            walk as f64 / 100.0
        }
        4 => {
            walk += (random.below(4001) as i64 - 2000) * 4096;
            walk as f64
        }
        5 => {
            walk += random.below(900_000) as i64;
            walk as f64 / 1e6
        }
        _ => random.bits() as f64 / u64::MAX as f64,
    };
    (0..rows).map(next).collect()
}

fn codec(clock: &CpuClock) {
    println!(
        "\n{:24} {:>9} {:>9} {:>10} {:>9} {:>10}",
        "column of 1,440,000", "B/sample", "encode ns", "decode M/s", "chain B", "chain M/s"
    );
    let mut all = Duration::ZERO;
    for (shape, name) in SHAPES.iter().enumerate() {
        let mut random = Seeded::new(shape as u64);
        let columns: Vec<Vec<f64>> = (0..1000).map(|_| column(shape, 1440, &mut random)).collect();
        let rows = 1440 * 1000;
        let mut blocks = Vec::with_capacity(rows * 10);
        let encode = best(clock, 3, || {
            blocks.clear();
            for column in &columns {
                float::encode_column(column, &mut FloatState::default(), &mut blocks);
            }
        });
        let decode = decode_time(clock, &blocks);
        let mut chains = Vec::new();
        for column in &columns {
            if !chain::encode(column, &mut chains) {
                float::encode_column(column, &mut FloatState::default(), &mut chains);
            }
        }
        let chained = decode_time(clock, &chains);
        all += decode;
        println!(
            "{name:24} {:9.3} {:9.1} {:10.0} {:9.3} {:10.0}",
            blocks.len() as f64 / rows as f64,
            ns(encode, rows),
            1e3 / ns(decode, rows),
            chains.len() as f64 / rows as f64,
            1e3 / ns(chained, rows),
        );
    }
    println!("{:24} {:>30.0}", "all shapes together", 1e3 / ns(all, 1440 * 1000 * SHAPES.len()));
    micro(clock);
}

fn decode_time(clock: &CpuClock, bytes: &[u8]) -> Duration {
    let mut values = Vec::with_capacity(BLOCK_ROWS_MAX * 32);
    best(clock, 3, || {
        let mut rest = bytes;
        while !rest.is_empty() {
            values.clear();
            let used = float::decode_append(rest, &mut values).unwrap_or(rest.len());
            black_box(&values);
            rest = &rest[used..];
        }
    })
}

/// Blocks of 16, as the head makes them, and eight of them to one of 128.
fn micro(clock: &CpuClock) {
    let mut random = Seeded::new(9);
    let columns: Vec<Vec<f64>> = (0..1000).map(|at| column(at % 6, 1440, &mut random)).collect();
    let mut bytes = Vec::new();
    let encode = best(clock, 3, || {
        bytes.clear();
        for column in &columns {
            let mut state = FloatState::default();
            for block in column.chunks(16) {
                float::encode(block, &mut state, &mut bytes);
            }
        }
    });
    println!("{:24} {:9.3} {:9.1}", "blocks of 16, mixed", bytes.len() as f64 / 1.44e6, ns(encode, 1_440_000));
}

/// Series of many targets, as a fleet has them.
fn fleet(targets: usize, rows: usize) -> Vec<(Labels, Vec<i64>, Vec<f64>)> {
    let mut random = Seeded::new(5);
    let mut series = Vec::new();
    for target in 0..targets {
        let times: Vec<i64> = (0..rows as i64)
            .map(|row| 1_700_000_000_000 + target as i64 * 791 + row * 15_000 + random.below(7) as i64)
            .collect();
        for at in 0..1000 {
            let labels = Labels::from_pairs([
                ("__name__", format!("metric_{}", at / 10)),
                ("device", format!("dev{}", at % 10)),
                ("instance", format!("host-{target:03}:9100")),
                ("job", "fleet".to_owned()),
            ]);
            series.push((labels, times.clone(), column(at % 6, rows, &mut random)));
        }
    }
    series.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    series
}

fn part(clock: &CpuClock) -> Result<(), TsdbError> {
    let series = fleet(10, 1440);
    let samples = series.len() * 1440;
    println!("\na part of {} series x 1440 rows", series.len());
    let disk = FaultyDisk::new(1);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    for (form, final_form) in [("blocks", false), ("final form", true)] {
        let path = Path::new("/part");
        let begin = clock.monotonic();
        let mut writer =
            PartWriter::create(Arc::clone(&shared), path, PartOptions { final_form, ..PartOptions::default() })?;
        for (labels, times, values) in &series {
            let values = [Values::Floats(values)];
            writer.add(&SeriesInput {
                labels,
                clock_key: 0,
                times,
                values: &values,
                start_times: None,
                exemplars: &[],
            })?;
        }
        let info = writer.finish()?;
        let written = clock.monotonic() - begin;
        let cache = PageCache::new(256 << 20);
        let part = PartReader::open(&disk, path, &cache)?;
        let (mut scratch, mut columns) = (Scratch::new(), Columns::default());
        let scan = best(clock, 3, || {
            for id in 0..info.series {
                columns.clear();
                black_box(part.read(id, TimeRange::ALL, &mut scratch, &mut columns).is_ok());
            }
        });
        println!(
            "{form:12} {:7.4} B/sample with index, written {:5.1} ns/sample, scanned {:6.0} M samples/s",
            info.bytes as f64 / samples as f64,
            ns(written, samples),
            1e3 / ns(scan, samples),
        );
        if !final_form {
            let inputs: Vec<Arc<dyn PartRead>> = vec![Arc::new(part)];
            let begin = clock.monotonic();
            let options = MergeOptions { part: PartOptions::default(), keep: TimeRange::ALL, drop: &|_, _| Vec::new() };
            merge_parts(Arc::clone(&shared), Path::new("/merged"), &inputs, &options)?;
            println!("copied through a merge: {:5.1} ns/sample", ns(clock.monotonic() - begin, samples));
        }
    }
    Ok(())
}

fn index(clock: &CpuClock) -> Result<(), TsdbError> {
    const SERIES: usize = 1_000_000;
    println!("\nan index of {SERIES} series");
    let labels = |at: usize| {
        Labels::from_pairs([
            ("__name__", format!("metric_{}", at % 1400 / 8)),
            ("instance", format!("host-{}:9100", at / 1400)),
            ("job", "fleet".to_owned()),
            ("mode", ["idle", "user", "system", "nice", "iowait", "irq", "softirq", "steal"][at % 8].to_owned()),
            ("uid", format!("app-{}-{:06x}", at % 300, at)),
        ])
    };
    let head = HeadIndex::new();
    let begin = clock.monotonic();
    for at in 0..SERIES {
        head.insert(&labels(at));
        if at.is_multiple_of(256) {
            head.maintain();
        }
    }
    while head.maintain() {}
    println!(
        "inserted in {:.2} us each, {} B/series on the heap",
        ns(clock.monotonic() - begin, SERIES) / 1e3,
        head.heap_bytes() / SERIES
    );

    let disk = FaultyDisk::new(1);
    let path = Path::new("/part");
    let mut sorted: Vec<Labels> = (0..SERIES).map(labels).collect();
    sorted.sort_unstable();
    let mut writer = PartWriter::create(Arc::new(disk.clone()), path, PartOptions::default())?;
    let values = [Values::Floats(&[1.0])];
    for labels in &sorted {
        writer.add(&SeriesInput {
            labels,
            clock_key: 1,
            times: &[1],
            values: &values,
            start_times: None,
            exemplars: &[],
        })?;
    }
    let info = writer.finish()?;
    println!("a part of them: {} B/series", info.bytes / u64::from(info.series));
    let part = PartReader::open(&disk, path, &PageCache::new(256 << 20))?;

    matchers(clock, &head.snapshot(), &part);
    Ok(())
}

fn matchers(clock: &CpuClock, snapshot: &HeadIndexSnapshot, part: &PartReader) {
    println!("{:28} {:>9} {:>10} {:>10}", "matcher", "series", "head us", "part us");
    for (name, op, pattern) in [
        ("__name__", MatchOp::Equal, "metric_7"),
        ("uid", MatchOp::Equal, "app-100-000064"),
        ("mode", MatchOp::Equal, "idle"),
        ("__name__", MatchOp::Regex, "metric_1.*"),
        ("uid", MatchOp::Regex, "app-7-00.*"),
        ("mode", MatchOp::Regex, "idle|user|system"),
        ("uid", MatchOp::Regex, ".+"),
        ("mode", MatchOp::NotEqual, "idle"),
        ("mode", MatchOp::NotRegex, "idle|user"),
        ("uid", MatchOp::Regex, ".*-7-.*"),
        ("uid", MatchOp::Regex, ".*ff"),
        ("uid", MatchOp::Regex, "app-(7|13|21)-.*"),
    ] {
        let Ok(matcher) = Matcher::new(name, op, pattern) else { continue };
        let matchers = [matcher];
        let found = snapshot.select(&matchers).len();
        let in_head = best(clock, 5, || drop(black_box(snapshot.select(&matchers))));
        let in_part = best(clock, 5, || drop(black_box(part.select_matchers(&matchers))));
        let shown = format!("{name}{}{pattern:?}", op.as_str());
        println!("{shown:28} {found:9} {:10.1} {:10.1}", ns(in_head, 1000), ns(in_part, 1000));
    }
}
