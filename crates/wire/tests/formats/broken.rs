//! Whatever the bytes are: entries and then an end or an error, never a panic, and keys that read back.

use std::fs;
use std::path::Path;

use wire::exposition::{Entry, Format, MetricKind, Options, Parser, check, series};

use crate::protobuf::sample_stream;

/// A small generator: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Bytes that mean something in one of the formats.
const TELLING: &[u8] = b"{}\"\\,=# \t\n\0eE+-.0189aN_:\x80\xff\x0a\x12\x22\x3a";

fn mutate(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..1 + numbers.below(4) {
        let at = numbers.below(bytes.len());
        let byte = TELLING[numbers.below(TELLING.len())];
        match numbers.below(6) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] = byte,
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => bytes.insert(at, byte),
            4 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            _ => {
                let end = (at + numbers.below(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// Reads everything in every way there is.
fn read(bytes: &[u8], format: Format, options: Options) {
    let mut parser = Parser::new(bytes, format, options);
    // An entry takes at least a byte of a text; of protobuf, a metric of a few bytes may be three.
    let entries_max = bytes.len() * 4 + 16;
    for _ in 0..entries_max {
        let Ok(Some(entry)) = parser.next() else { return };
        if let Entry::Series(series) = entry {
            let mut pairs = Vec::new();
            series::read_pairs(series.key, MetricKind::Histogram, &mut pairs).expect("a key that was given out reads");
            if let Some(exemplar) = series.exemplar {
                exemplar.read(0).expect("an exemplar that was given out reads");
            }
        }
    }
    panic!("more entries than the bytes can hold: {bytes:?}");
}

#[test]
fn mutated_expositions_never_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/exposition");
    let mut seeds = vec![(sample_stream(), Format::Protobuf)];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("prom") => Format::Text,
            Some("om") => Format::OpenMetrics,
            _ => continue,
        };
        seeds.push((fs::read(path).unwrap(), format));
    }
    assert!(seeds.len() >= 3, "the seeds are there");
    let rounds = if tests::depth::deep() { 100_000 } else { 2_000 };
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for (seed, format) in &seeds {
        for round in 0..rounds {
            let mut bytes = seed.clone();
            mutate(&mut bytes, &mut numbers);
            let options = Options {
                native_histograms: round & 1 == 0,
                always_classic: round & 2 == 0,
                classic_to_custom: round & 4 == 0,
            };
            read(&bytes, *format, options);
            if *format == Format::OpenMetrics {
                let _ = check::openmetrics(&bytes);
            }
        }
    }
}

#[test]
fn a_line_of_many_megabytes_is_read_or_refused_in_one_go() {
    let long = "x".repeat(8 << 20);
    for (text, ok) in [
        (format!("a{{b=\"{long}\"}} 1\n"), true),
        (format!("{long} 1\n"), true),
        (format!("a{{b=\"{long}"), false),
        (format!("a {long}\n"), false),
        ("{".repeat(8 << 20), false),
        (format!("# HELP a {long}"), true),
        ("\\\"".repeat(4 << 20), false),
    ] {
        let mut parser = Parser::new(text.as_bytes(), Format::Text, Options::default());
        let read = parser.next();
        assert_eq!(read.is_ok(), ok);
        if let Err(error) = read {
            assert!(error.to_string().len() < 200, "an error does not repeat the line");
        }
    }
}
