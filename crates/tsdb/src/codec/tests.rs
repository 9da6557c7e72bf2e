//! Every codec on every shape of data, and on bytes nobody wrote.

use std::sync::Arc;

use model::histogram::{Histogram, IntHistogram, ResetHint, Span};
use model::storage::stale_nan;

use crate::codec::block::{BlockKind, peek};
use crate::codec::float::{self, FloatState};
use crate::codec::histogram::{self, HistogramSample};
use crate::codec::int;
use crate::codec::{BLOCK_ROWS_MAX, CHAIN_ROWS_MAX, chain};
use crate::seeded::Seeded;

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Encodes a column in blocks and as chains, decodes both, compares bits; gives the bytes of both.
#[track_caller]
fn check(values: &[f64]) -> (usize, usize) {
    let mut blocks = Vec::new();
    let mut state = FloatState::default();
    let mut at = 0;
    for rows in values.chunks(BLOCK_ROWS_MAX) {
        float::encode(rows, &mut state, &mut blocks);
        let info = peek(&blocks[at..]).expect("the block was just written");
        assert_eq!((info.kind, info.rows, info.bytes), (BlockKind::Float, rows.len(), blocks.len() - at));
        at = blocks.len();
    }
    assert_eq!(bits(&decode(&blocks)), bits(values));

    let mut chains = Vec::new();
    for rows in values.chunks(CHAIN_ROWS_MAX) {
        let from = chains.len();
        if !chain::encode(rows, &mut chains) {
            float::encode_column(rows, &mut state, &mut chains);
        } else {
            let info = peek(&chains[from..]).expect("the chain was just written");
            assert_eq!((info.kind, info.rows, info.bytes), (BlockKind::Float, rows.len(), chains.len() - from));
        }
    }
    assert_eq!(bits(&decode(&chains)), bits(values));
    (blocks.len(), chains.len())
}

fn decode(mut bytes: &[u8]) -> Vec<f64> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let used = float::decode_append(bytes, &mut values).expect("written by the encoder");
        bytes = &bytes[used..];
    }
    values
}

const ODD: [u64; 16] = [
    0x7ff0_0000_0000_0002,
    0x7ff8_0000_0000_0001,
    0xfff8_0000_dead_beef,
    0x7ff0_0000_0000_0001,
    0xffff_ffff_ffff_ffff,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x8000_0000_0000_0000,
    0x0000_0000_0000_0001,
    0x000f_ffff_ffff_ffff,
    0x43f0_0000_0000_0000,
    0xc3e0_0000_0000_0000,
    0x43e0_0000_0000_0000,
    0x4340_0000_0000_0001,
    0x7fef_ffff_ffff_ffff,
    0,
];

/// A column of the kinds that series have.
fn column(kind: u64, rows: usize, random: &mut Seeded) -> Vec<f64> {
    let mut walk = random.below(1_000_000) as i64;
    (0..rows)
        .map(|row| match kind {
            0 => 42.0,
            1 => {
                walk += random.below(40) as i64;
                walk as f64
            }
            2 => {
                walk += random.below(2001) as i64 - 1000;
                walk as f64 / 100.0
            }
            3 => f64::from_bits(random.bits()),
            4 => random.bits() as f64 / u64::MAX as f64,
            5 => {
                if random.one_in(10) {
                    f64::from_bits(ODD[random.below(16) as usize])
                } else {
                    row as f64 * 0.1
                }
            }
            6 => f64::from_bits(ODD[random.below(16) as usize]),
            7 => {
                walk = if random.one_in(50) { 0 } else { walk + 1 };
                walk as f64
            }
            8 => (walk + row as i64 * 4096) as f64,
            9 => 9_007_199_254_740_992.0 + random.below(9) as f64 * 2.0,
            10 => -(random.below(1 << 40) as f64) / 1e6,
            11 => {
                if random.one_in(30) {
                    stale_nan()
                } else {
                    17.25
                }
            }
            12 => 1.0 / (row as f64 + 1.0),
            13 => 18_446_744_073_709_551_616.0 - random.below(3) as f64 * 2048.0,
            14 => random.below(2) as f64 * 1e18,
            _ => (row / 40) as f64 * 1e-7,
        })
        .collect()
}

#[test]
fn values_of_every_shape_come_back_bit_for_bit() {
    let mut random = Seeded::new(5);
    for kind in 0..16 {
        for rows in [1, 2, 3, 5, 16, 17, 127, 128, 129, 500, 4096, 5000] {
            check(&column(kind, rows, &mut random));
        }
    }
    // Kinds that change within a column, so that habits are wrong.
    for _ in 0..60 {
        let mut values = Vec::new();
        for _ in 0..1 + random.below(6) {
            let (kind, rows) = (random.below(16), random.below(300) as usize);
            values.extend(column(kind, rows + 1, &mut random));
        }
        check(&values);
    }
}

#[test]
fn each_odd_value_alone_and_among_others_comes_back() {
    for odd in ODD {
        check(&[f64::from_bits(odd)]);
        check(&[1.5, f64::from_bits(odd), 2.5]);
        let mut values = vec![3.0; 128];
        for place in [0, 64, 127] {
            values[place] = f64::from_bits(odd);
        }
        check(&values);
        check(&vec![f64::from_bits(odd); 300]);
    }
}

#[test]
fn common_columns_are_small() {
    assert_eq!(check(&[0.0; 128]).0, 1);
    assert!(check(&vec![1.0; 4096]).1 <= 6);
    let mut random = Seeded::new(9);
    let (blocks, chains) = check(&column(1, 1280, &mut random));
    assert!(blocks < 1280 * 7 / 8 && chains < blocks, "{blocks} in blocks, {chains} in chains");
    let (full_mantissa, _) = check(&column(4, 1280, &mut random));
    assert!(full_mantissa < 1280 * 9);
}

fn random_histogram(random: &mut Seeded, custom: bool, float: bool, buckets: usize) -> HistogramSample {
    let hint = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge][random.below(4) as usize];
    let spans = vec![
        Span { offset: random.below(9) as i32 - 4, length: (buckets / 2) as u32 },
        Span { offset: 2, length: (buckets - buckets / 2) as u32 },
    ];
    let custom_values: Option<Arc<[f64]>> = custom.then(|| (0..buckets).map(|at| at as f64 * 0.5).collect());
    let schema = if custom { -53 } else { 3 };
    let sum = if random.one_in(8) { stale_nan() } else { random.below(1 << 30) as f64 / 8.0 };
    if float {
        HistogramSample::Float(Arc::new(Histogram {
            hint,
            schema,
            zero_threshold: 1e-128,
            zero_count: random.below(5) as f64,
            count: random.below(1000) as f64 + 0.5,
            sum,
            positive_spans: spans,
            positive_buckets: (0..buckets).map(|_| random.below(100) as f64).collect(),
            custom_values,
            ..Histogram::default()
        }))
    } else {
        HistogramSample::Int(Arc::new(IntHistogram {
            hint,
            schema,
            zero_threshold: 1e-128,
            zero_count: random.bits() >> random.below(64),
            count: random.bits() >> random.below(64),
            sum,
            positive_spans: spans.clone(),
            positive_deltas: (0..buckets).map(|_| random.bits() as i64 >> random.below(64)).collect(),
            negative_spans: spans,
            negative_deltas: (0..buckets).map(|_| random.below(7) as i64 - 3).collect(),
            custom_values,
        }))
    }
}

#[track_caller]
fn check_histograms(samples: &[HistogramSample]) -> Vec<u8> {
    let mut bytes = Vec::new();
    histogram::encode(samples, &mut bytes);
    let info = peek(&bytes).expect("just written");
    assert_eq!((info.kind, info.rows, info.bytes), (BlockKind::Histogram, samples.len(), bytes.len()));
    let mut back = Vec::new();
    assert_eq!(histogram::decode_append(&bytes, &mut back), Ok(bytes.len()));
    assert_eq!(back.len(), samples.len());
    assert!(samples.iter().zip(&back).all(|(a, b)| a.bit_eq(b)));
    bytes
}

#[test]
fn histograms_of_every_form_come_back_bit_for_bit() {
    let mut random = Seeded::new(21);
    for rows in [1, 2, 16, 127, 128] {
        for form in 0..8 {
            let (custom, float, mixed) = (form & 1 != 0, form & 2 != 0, form & 4 != 0);
            let samples: Vec<HistogramSample> = (0..rows)
                .map(|_| {
                    let (float, buckets) =
                        if mixed { (random.one_in(2), random.below(12) as usize) } else { (float, 8) };
                    random_histogram(&mut random, custom, float, buckets)
                })
                .collect();
            check_histograms(&samples);
        }
    }
}

#[test]
fn a_histogram_whose_buckets_do_not_fit_its_spans_comes_back_as_it_was() {
    let odd = IntHistogram { positive_deltas: vec![1, 2, 3], ..IntHistogram::default() };
    check_histograms(&[HistogramSample::Int(Arc::new(odd))]);
    check_histograms(&[HistogramSample::Float(Arc::new(Histogram::default()))]);
}

/// Decodes with everything there is; only that nothing panics or grows without bound counts.
fn decode_anything(bytes: &[u8]) {
    let mut floats = Vec::new();
    let _ = float::decode_append(bytes, &mut floats);
    assert!(floats.len() <= CHAIN_ROWS_MAX);
    let mut ints = Vec::new();
    let _ = int::decode_append(bytes, &mut ints);
    assert!(ints.len() <= BLOCK_ROWS_MAX);
    let mut histograms = Vec::new();
    let _ = histogram::decode_append(bytes, &mut histograms);
    assert!(histograms.len() <= BLOCK_ROWS_MAX);
    if let Ok(info) = peek(bytes) {
        assert!(info.bytes <= bytes.len() && info.rows <= CHAIN_ROWS_MAX);
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let mut random = Seeded::new(77);
    let mut corpus = Vec::new();
    for kind in 0..16 {
        for rows in [3, 100, 128] {
            let values = column(kind, rows, &mut random);
            let mut bytes = Vec::new();
            float::encode(&values, &mut FloatState::default(), &mut bytes);
            corpus.push(bytes);
            let mut bytes = Vec::new();
            if chain::encode(&column(kind, rows * 3, &mut random), &mut bytes) {
                corpus.push(bytes);
            }
            let ints: Vec<i64> = values.iter().map(|value| value.to_bits() as i64 >> 20).collect();
            let mut bytes = Vec::new();
            int::encode(&ints, &mut int::IntState::default(), &mut bytes);
            corpus.push(bytes);
        }
    }
    for form in 0..4 {
        let samples: Vec<HistogramSample> =
            (0..20).map(|row| random_histogram(&mut random, form & 1 != 0, form & 2 != 0, row % 9)).collect();
        corpus.push(check_histograms(&samples));
    }
    corpus
}

#[test]
fn changed_bytes_never_panic_a_decoder() {
    let mut random = Seeded::new(123);
    for bytes in corpus() {
        for _ in 0..120 {
            let mut changed = bytes.clone();
            for _ in 0..1 + random.below(4) {
                let at = random.below(changed.len() as u64) as usize;
                match random.below(4) {
                    0 => changed[at] ^= 1 << random.below(8),
                    1 => changed[at] = random.bits() as u8,
                    2 => changed.truncate(at.max(1)),
                    _ => changed.insert(at, 0xff),
                }
            }
            decode_anything(&changed);
        }
    }
    for _ in 0..3000 {
        let noise: Vec<u8> = (0..random.below(80)).map(|_| random.bits() as u8).collect();
        decode_anything(&noise);
    }
}

#[test]
fn bytes_that_once_broke_a_decoder_do_not_any_more() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/codec");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is kept beside the tests") {
        let text = std::fs::read_to_string(entry.expect("a readable folder").path()).expect("hex as text");
        decode_anything(&from_hex(&text));
        seen += 1;
    }
    assert!(seen > 0);
}

/// Hex digits; everything from `#` to the end of a line is a remark.
pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or("").bytes())
        .filter(u8::is_ascii_hexdigit)
        .collect();
    digits.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_cut_block_is_refused() {
    for bytes in corpus() {
        for cut in 0..bytes.len() {
            assert!(peek(&bytes[..cut]).is_err(), "cut at {cut} of {}", bytes.len());
            let mut floats = Vec::new();
            let mut histograms = Vec::new();
            assert!(float::decode_append(&bytes[..cut], &mut floats).is_err());
            assert!(histogram::decode_append(&bytes[..cut], &mut histograms).is_err());
        }
    }
}

#[test]
fn the_documented_examples_are_what_is_written_and_read() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/codec.md");
    let page = std::fs::read_to_string(page).expect("the page of the format");
    let mut examples = page.split("```hex\n").skip(1).map(|rest| from_hex(rest.split("```").next().unwrap_or("")));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");

    let (times, mut written, mut read) = ([15_000, 30_000, 45_000, 60_000], Vec::new(), Vec::new());
    int::encode(&times, &mut int::IntState::default(), &mut written);
    let example = examples.next().expect("an example of integers");
    assert_eq!(hex(&written), hex(&example));
    assert_eq!(int::decode_append(&example, &mut read), Ok(example.len()));
    assert_eq!(read, times);

    let (values, mut written) = ([1.5, 2.0, 3.5], Vec::new());
    float::encode(&values, &mut FloatState::default(), &mut written);
    let example = examples.next().expect("an example of values");
    assert_eq!(hex(&written), hex(&example));
    assert_eq!(decode(&example), values);
}
