//! Requests of both versions: bytes made by hand, what is written and read again, and bytes that are broken.

use std::sync::Arc;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, IntHistogram, ResetHint, Span};
use model::labels::Labels;
use model::storage::{Exemplar, Metadata, SampleValue};
use model::time::Timestamp;

use super::read::{Entry, Item, RequestReader, key_labels};
use super::write::RequestWriter;
use super::*;
use crate::protobuf::Writer;

const BOTH: [Version; 2] = [Version::V1, Version::V2];

/// A request in words, one line for each thing in it.
fn told(version: Version, message: &[u8]) -> Result<Vec<String>, RemoteWriteError> {
    let mut reader = RequestReader::new(version, message)?;
    let (mut lines, mut scratch) = (Vec::new(), Vec::new());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    while let Some(entry) = reader.next_entry()? {
        let series = match entry {
            Entry::Series(series) => series,
            Entry::Metadata(m) => {
                lines.push(format!("{} {} {} {}", text(m.family), m.kind, text(m.help), text(m.unit)));
                continue;
            }
        };
        let labels = |key: &[u8]| -> Result<String, RemoteWriteError> {
            let pairs: Result<Vec<String>, _> = key_labels(key)
                .map(|pair| pair.map(|(name, value)| format!("{}={}", text(name), text(value))))
                .collect();
            Ok(pairs?.join(","))
        };
        lines.push(labels(series.key(&mut scratch)?)?);
        let mut items = series.items();
        while let Some(item) = items.next_item()? {
            lines.push(match item {
                Item::Sample(s) => format!(" {}@{} from {}", s.value, s.time, s.start_time),
                Item::Histogram(h) => {
                    assert!(h.wire_bytes() <= message.len());
                    let point = h.decode()?;
                    assert_eq!(h.time()?, point.time);
                    format!(" {:?}@{} from {}", point.value, point.time, point.start_time)
                }
                Item::Exemplar(e) => {
                    let mut key = Vec::new();
                    let point = e.decode(&mut key)?;
                    format!(" exemplar {} {}@{}", labels(&key)?, point.value, point.time)
                }
                Item::Metadata(m) => format!(" {} {} {}", m.kind, text(m.help), text(m.unit)),
            });
        }
    }
    Ok(lines)
}

fn int_histogram() -> IntHistogram {
    IntHistogram {
        hint: ResetHint::NotReset,
        schema: -4,
        zero_threshold: 1e-128,
        zero_count: 3,
        count: 12,
        sum: -7.5,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 300, length: 1 }],
        negative_spans: vec![Span { offset: 5, length: 1 }],
        positive_deltas: vec![4, -3, 1 << 40],
        negative_deltas: vec![i64::MIN],
        custom_values: None,
    }
}

fn float_histogram() -> Histogram {
    Histogram {
        hint: ResetHint::Gauge,
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 0.0,
        sum: f64::from_bits(model::storage::STALE_NAN_BITS),
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![0.0, -0.0],
        custom_values: Some([-1.0, 0.0, f64::MAX].into()),
        ..Histogram::default()
    }
}

/// A request with everything in it.
fn everything(version: Version) -> Vec<u8> {
    let metadata = Metadata {
        family: "a".into(),
        kind: "counter".into(),
        help: "What\nit is.".into(),
        unit: "bytes".into(),
        ..Metadata::default()
    };
    let labels =
        |n: u32| Labels::from_pairs([("__name__", "a".to_owned()), ("größe", "ü".repeat(60)), ("n", n.to_string())]);
    let mut writer = RequestWriter::new(version);
    writer.metadata(&metadata);
    for n in 0..3 {
        writer.series(&labels(n), |series| {
            series.value(-1, &SampleValue::Float(f64::NAN), 0);
            series.value(0, &SampleValue::Float(0.0), 7);
            let labels = Labels::from_pairs([("trace_id", "abc"), ("n", "0")]);
            series.exemplar(&Exemplar { labels, value: 0.5, time: Timestamp(77) });
            series.value(1 << 50, &SampleValue::IntHistogram(Arc::new(int_histogram())), 5);
            series.value(2, &SampleValue::Histogram(Arc::new(float_histogram())), 0);
            series.metadata(&metadata);
        });
    }
    writer.finish()
}

#[test]
fn bytes_made_by_hand_are_read_in_both_versions() {
    let hex = |text: &str| -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).expect("ascii"), 16).expect("hex")).collect()
    };
    // timeseries { labels {a: "b"} samples {value: 1.5, timestamp: 2} }, metadata { type: GAUGE, family "m" }
    let v1 = "0a15 0a06 0a0161 120162 120b 09000000000000f83f 1002 1a05 0802 12016d";
    assert_eq!(told(Version::V1, &hex(v1)), Ok(vec!["a=b".into(), " 1.5@2 from 0".into(), "m gauge  ".into()]));
    // The same, with symbols behind the series and label references one by one.
    let v2 = "2a13 0801 0802 120d 09000000000000f83f 1002 1803 2200 220161 220162";
    assert_eq!(told(Version::V2, &hex(v2)), Ok(vec!["a=b".into(), " 1.5@2 from 3".into()]));
}

#[test]
fn what_is_written_reads_back_in_both_versions() {
    for version in BOTH {
        let lines = told(version, &everything(version)).expect("we wrote it");
        let labels = format!("__name__=a,größe={},n=2", "ü".repeat(60));
        let start = |n: i64| if version == Version::V1 { 0 } else { n };
        assert!(lines.contains(&labels), "{lines:#?}");
        assert!(lines.contains(&format!(" 0@0 from {}", start(7))));
        assert!(lines.contains(&" exemplar n=0,trace_id=abc 0.5@77".to_owned()));
        let int = SampleValue::IntHistogram(Arc::new(int_histogram()));
        assert!(lines.contains(&format!(" {int:?}@{} from {}", 1i64 << 50, start(5))), "{lines:#?}");
        let metadata = match version {
            Version::V1 => "a counter What\nit is. bytes",
            Version::V2 => " counter What\nit is. bytes",
        };
        assert!(lines.contains(&metadata.to_owned()));
    }
}

#[test]
fn histograms_keep_every_bit() {
    for version in BOTH {
        let message = everything(version);
        let mut reader = RequestReader::new(version, &message).expect("we wrote it");
        let mut floats = 0;
        while let Some(entry) = reader.next_entry().expect("we wrote it") {
            let Entry::Series(series) = entry else { continue };
            let mut items = series.items();
            while let Some(item) = items.next_item().expect("we wrote it") {
                let Item::Histogram(histogram) = item else { continue };
                if let SampleValue::Histogram(read) = histogram.decode().expect("we wrote it").value {
                    assert!(read.bit_eq(&float_histogram()), "{read:?}");
                    floats += 1;
                }
            }
        }
        assert_eq!(floats, 3);
    }
}

#[test]
fn the_key_is_the_labels_whatever_stands_between_them() {
    let label = |w: &mut Writer<'_>, name: &str| {
        w.message(1, |w| {
            w.str(1, name);
            w.str(2, "x");
        });
    };
    let sample = |w: &mut Writer<'_>| w.message(2, |w| w.double(1, 2.0));
    let (mut whole, mut scattered) = (Vec::new(), Vec::new());
    Writer::new(&mut whole).message(1, |w| {
        label(w, "a");
        label(w, "b");
        sample(w);
    });
    Writer::new(&mut scattered).message(1, |w| {
        sample(w);
        label(w, "a");
        w.uint64(99, 5);
        label(w, "b");
    });
    let expected = Ok(vec!["a=x,b=x".to_owned(), " 2@0 from 0".to_owned()]);
    assert_eq!(told(Version::V1, &whole), expected);
    assert_eq!(told(Version::V1, &scattered), expected);
    let key = |message: &[u8]| {
        let mut reader = RequestReader::new(Version::V1, message).expect("good");
        let Some(Entry::Series(series)) = reader.next_entry().expect("good") else { panic!("a series") };
        series.key(&mut Vec::new()).expect("good").to_vec()
    };
    assert_eq!(key(&whole), key(&scattered));
    // Version 2.0 has the same key for the same labels.
    let mut writer = RequestWriter::new(Version::V2);
    writer.series(&Labels::from_pairs([("a", "x"), ("b", "x")]), |_| {});
    let second = writer.finish();
    let mut reader = RequestReader::new(Version::V2, &second).expect("good");
    let Some(Entry::Series(series)) = reader.next_entry().expect("good") else { panic!("a series") };
    assert_eq!(series.key(&mut Vec::new()).expect("good"), key(&whole));
}

#[test]
fn broken_requests_are_refused_with_their_place() {
    let v2 = |refs: &[u64], symbols: &[&str]| {
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out);
        symbols.iter().for_each(|symbol| w.bytes_always(4, symbol.as_bytes()));
        w.message(5, |w| w.packed_varints(1, refs.iter().copied()));
        told(Version::V2, &out).map_err(|error| error.to_string())
    };
    assert_eq!(v2(&[1, 2], &["", "a", "b"]), Ok(vec!["a=b".to_owned()]));
    assert_eq!(v2(&[1, 3], &["", "a", "b"]), Err("byte 12: symbol 3 is not one of the 3 of the request".to_owned()));
    assert_eq!(v2(&[1], &["", "a"]), Err("byte 7: 1 label references, expected pairs of name and value".to_owned()));

    let mut deltas = Vec::new();
    Writer::new(&mut deltas).message(1, |w| {
        w.message(4, |w| w.packed_varints(12, std::iter::repeat_n(0, BUCKETS_MAX + 1)));
    });
    let error = told(Version::V1, &deltas).expect_err("too many").to_string();
    assert!(error.ends_with("more than 65536 buckets in one histogram"), "{error}");

    let mut cut = everything(Version::V1);
    cut.truncate(cut.len() - 1);
    let error = told(Version::V1, &cut).expect_err("it is cut").to_string();
    assert!(error.contains("the message ends inside"), "{error}");
}

#[test]
fn more_symbols_than_a_request_may_have_are_refused() {
    let message: Vec<u8> = std::iter::repeat_n([0x22, 0x00], SYMBOLS_MAX + 1).flatten().collect();
    assert_eq!(told(Version::V2, &message), Err(RemoteWriteError::TooManySymbols { max: SYMBOLS_MAX }));
}

#[test]
fn no_bytes_make_the_reader_panic_or_give_back_more_than_came_in() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut good_ones = 0;
    for round in 0..::tests::depth::pick(4_000, 400_000) {
        let version = BOTH[round % 2];
        let mut message = everything(version);
        for _ in 0..=random(5) {
            let at = random(message.len());
            match random(4) {
                0 => message[at] = random(256) as u8,
                1 => message[at] ^= 1 << random(8),
                2 => message.truncate(at + 1),
                _ => {
                    let from = random(message.len());
                    let piece = message[from..(from + random(40)).min(message.len())].to_vec();
                    message.splice(at..at, piece);
                }
            }
        }
        // The other version's message is also only bytes.
        let version = if random(10) == 0 { BOTH[(round + 1) % 2] } else { version };
        if let Ok(lines) = told(version, &message) {
            good_ones += 1;
            assert!(lines.len() <= message.len());
        }
        let mut squeezed = Vec::new();
        crate::snappy::encode(&message, &mut squeezed);
        let mut plain = Vec::new();
        crate::snappy::decode(&squeezed, message.len(), &mut plain).expect("we wrote it");
        assert_eq!(plain, message);
        for _ in 0..=random(3) {
            let at = random(squeezed.len());
            squeezed[at] = random(256) as u8;
        }
        // Any outcome but a panic or a longer output is right.
        if crate::snappy::decode(&squeezed, 1 << 16, &mut plain).is_ok() {
            assert!(plain.len() <= squeezed.len() * 22);
        }
    }
    assert!(good_ones > 0, "some changes are harmless");
}
