//! Parts as a whole: what goes in comes out, through every kind of damage and failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::histogram::{IntHistogram, Span};
use model::labels::Labels;
use model::matcher::{MatchOp, Matcher, matches_all};
use model::storage::{Exemplar, TimeRange};
use model::time::Timestamp;

use crate::codec::float::FloatState;
use crate::codec::histogram::HistogramSample;
use crate::codec::tests::from_hex;
use crate::codec::{BLOCK_ROWS_MAX, float};
use crate::error::TsdbError;
use crate::io::{Disk, Fault, FaultKind, FaultyDisk};
use crate::part::{
    Columns, MergeOptions, MetadataEntry, PageCache, PartInfo, PartOptions, PartRead, PartReader, PartWriter, Scratch,
    SeriesInput, Values, merge_parts,
};
use crate::seeded::Seeded;

const PATH: &str = "/d/1.part";

fn disk() -> FaultyDisk {
    let disk = FaultyDisk::new(3);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

#[derive(Clone, Debug, PartialEq)]
enum Row {
    Float(u64),
    Histogram(u64),
}

/// The plain twin of a part: time to (value, start time).
type Samples = BTreeMap<i64, (Row, i64)>;
type Contents = BTreeMap<Labels, Samples>;

fn histogram(count: u64) -> HistogramSample {
    HistogramSample::Int(Arc::new(IntHistogram {
        schema: 2,
        count,
        sum: count as f64 * 1.5,
        positive_spans: vec![Span { offset: 1, length: 3 }],
        positive_deltas: vec![count as i64, -1, 2],
        ..IntHistogram::default()
    }))
}

fn count_of(sample: &HistogramSample) -> u64 {
    let HistogramSample::Int(int) = sample else { panic!("only integer ones were written") };
    assert!(sample.bit_eq(&histogram(int.count)));
    int.count
}

fn labels(metric: &str, target: usize, extra: usize) -> Labels {
    let mut pairs =
        vec![("__name__", metric.to_owned()), ("instance", format!("host-{target}:9100")), ("job", "node".into())];
    if extra > 0 {
        pairs.push(("slot", format!("s{extra}")));
    }
    Labels::from_pairs(pairs)
}

/// Series of several targets with shared and private times, gaps, start times and histograms.
fn contents(series: usize, rows: i64, random: &mut Seeded) -> Contents {
    let mut contents = Contents::new();
    for at in 0..series {
        let target = at % 3;
        let kind = random.below(8);
        let (from, to) = if kind == 1 { (rows / 3, rows * 2 / 3) } else { (0, rows) };
        let mut samples = Samples::new();
        let mut walk = random.below(1000) as i64;
        for row in from..to.max(from + 1) {
            if kind == 2 && row % 50 == 7 {
                continue;
            }
            let own = if kind == 3 { random.below(900) as i64 } else { 0 };
            walk += random.below(20) as i64;
            let value = match kind {
                4 => Row::Histogram(walk as u64),
                5 if row % 90 > 40 => Row::Histogram(walk as u64),
                6 => Row::Float((random.bits() as f64 / u64::MAX as f64).to_bits()),
                7 => Row::Float(f64::from_bits(0x7ff0_0000_0000_0002).to_bits()),
                _ => Row::Float((walk as f64 / 10.0).to_bits()),
            };
            let start = if at.is_multiple_of(5) { 1000 + row / 60 } else { 0 };
            samples.insert(1_700_000_000_000 + target as i64 * 137 + row * 15_000 + own, (value, start));
        }
        contents.insert(labels(&format!("metric_{}", at / 6), target, at % 6 / 3), samples);
    }
    contents
}

fn add(writer: &mut PartWriter, labels: &Labels, samples: &Samples, encoded: bool) -> Result<(), TsdbError> {
    let times: Vec<i64> = samples.keys().copied().collect();
    let starts: Vec<i64> = samples.values().map(|sample| sample.1).collect();
    let rows: Vec<&Row> = samples.values().map(|sample| &sample.0).collect();
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    let runs: Vec<&[&Row]> = rows.chunk_by(|a, b| matches!(a, Row::Float(_)) == matches!(b, Row::Float(_))).collect();
    for run in &runs {
        let values: Vec<f64> = run
            .iter()
            .filter_map(|row| if let Row::Float(bits) = row { Some(f64::from_bits(*bits)) } else { None })
            .collect();
        let samples: Vec<HistogramSample> = run
            .iter()
            .filter_map(|row| if let Row::Histogram(count) = row { Some(histogram(*count)) } else { None })
            .collect();
        let mut blocks = Vec::new();
        for block in values.chunks(BLOCK_ROWS_MAX) {
            float::encode(block, &mut FloatState::default(), &mut blocks);
        }
        floats.push((values, blocks));
        histograms.push(samples);
    }
    let values: Vec<Values<'_>> = (0..runs.len())
        .map(|at| match &floats[at] {
            (values, _) if values.is_empty() => Values::Histograms(&histograms[at]),
            (_, blocks) if encoded => Values::Blocks(blocks),
            (values, _) => Values::Floats(values),
        })
        .collect();
    let exemplars = exemplars_of(labels, samples);
    writer.add(&SeriesInput {
        labels,
        clock_key: 0,
        times: &times,
        values: &values,
        start_times: Some(&starts),
        exemplars: &exemplars,
    })
}

/// Every series of slot 1 has some.
fn exemplars_of(labels: &Labels, samples: &Samples) -> Vec<Exemplar> {
    if labels.get("slot").is_none() {
        return Vec::new();
    }
    let exemplar = |time: &i64| Exemplar {
        labels: Labels::from_pairs([("trace_id", format!("{time:x}"))]),
        value: 0.25,
        time: Timestamp(*time),
    };
    samples.keys().step_by(40).map(exemplar).collect()
}

fn metadata() -> MetadataEntry {
    MetadataEntry {
        target: Labels::from_pairs([("job", "node")]),
        family: "metric_1".into(),
        kind: "counter".into(),
        help: "What it counts.".into(),
        unit: String::new(),
    }
}

fn write(
    disk: &FaultyDisk,
    path: &str,
    contents: &Contents,
    options: PartOptions,
    encoded: bool,
) -> Result<PartInfo, TsdbError> {
    let mut writer = PartWriter::create(Arc::new(disk.clone()), Path::new(path), options)?;
    for (labels, samples) in contents {
        add(&mut writer, labels, samples, encoded)?;
    }
    writer.add_metadata(metadata());
    writer.finish()
}

fn open(disk: &FaultyDisk, path: &str) -> Result<PartReader, TsdbError> {
    PartReader::open(disk, Path::new(path), &PageCache::new(1 << 20))
}

/// What a part says it holds; rows that are missing must lie in a gap it names.
fn read_all(part: &PartReader, range: TimeRange) -> (Contents, bool) {
    let mut contents = Contents::new();
    let mut complete = true;
    let mut scratch = Scratch::new();
    let mut columns = Columns::default();
    for id in 0..part.info.series {
        columns.clear();
        let (Ok(labels), Ok(gaps)) = (part.labels(id), part.read(id, range, &mut scratch, &mut columns)) else {
            complete = false;
            continue;
        };
        complete &= gaps.is_empty();
        let samples = samples_of(&columns);
        assert!(samples.keys().all(|time| range.contains(Timestamp(*time))));
        if !samples.is_empty() {
            assert!(contents.insert(labels, samples).is_none(), "two series of the same labels");
        }
    }
    (contents, complete)
}

fn samples_of(columns: &Columns) -> Samples {
    assert_eq!(columns.times.len(), columns.values.len());
    assert!(columns.start_times.is_empty() || columns.start_times.len() == columns.times.len());
    let mut histograms: BTreeMap<u32, u64> = columns.histograms.iter().map(|(row, h)| (*row, count_of(h))).collect();
    let mut samples = Samples::new();
    for (row, time) in columns.times.iter().enumerate() {
        let value = match histograms.remove(&(row as u32)) {
            Some(count) => Row::Histogram(count),
            None => Row::Float(columns.values[row].to_bits()),
        };
        let start = columns.start_times.get(row).copied().unwrap_or(0);
        assert!(samples.insert(*time, (value, start)).is_none());
    }
    assert!(histograms.is_empty());
    samples
}

fn cut(contents: &Contents, range: TimeRange) -> Contents {
    let within = |samples: &Samples| -> Samples {
        samples.range(range.start.millis()..=range.end.millis()).map(|(time, row)| (*time, row.clone())).collect()
    };
    let cut = contents.iter().map(|(labels, samples)| (labels.clone(), within(samples)));
    cut.filter(|(_, samples)| !samples.is_empty()).collect()
}

#[test]
fn what_goes_in_comes_out_in_every_form_and_range() {
    let mut random = Seeded::new(41);
    for (series, rows) in [(1, 1), (7, 40), (30, 280), (200, 30), (3, 5000)] {
        let contents = contents(series, rows, &mut random);
        for (final_form, encoded) in [(false, false), (false, true), (true, false)] {
            let disk = disk();
            let options = PartOptions { level: 2, id: 77, final_form };
            let info = write(&disk, PATH, &contents, options, encoded).unwrap();
            let part = open(&disk, PATH).unwrap();
            assert_eq!(part.info(), &info);
            assert_eq!(info.samples, contents.values().map(|samples| samples.len() as u64).sum::<u64>());
            assert_eq!(info.bytes, disk.read_file(Path::new(PATH)).len() as u64);
            assert_eq!(read_all(&part, TimeRange::ALL), (contents.clone(), true));
            for _ in 0..4 {
                let at = |random: &mut Seeded| 1_700_000_000_000 + random.below(rows as u64 * 15_000) as i64;
                let (a, b) = (at(&mut random), at(&mut random));
                let range = TimeRange::new(Timestamp(a.min(b)), Timestamp(a.max(b)));
                assert_eq!(read_all(&part, range), (cut(&contents, range), true));
            }
            assert_eq!(part.problems(), []);
            assert_eq!(part.verify().unwrap(), []);
            assert_eq!(part.metadata().unwrap(), [metadata()]);
        }
    }
}

#[test]
fn extents_and_exemplars_are_known_without_decoding() {
    let disk = disk();
    let contents = contents(60, 200, &mut Seeded::new(4));
    write(&disk, PATH, &contents, PartOptions::default(), false).unwrap();
    let part = open(&disk, PATH).unwrap();
    for (id, (labels, samples)) in contents.iter().enumerate() {
        let extent = part.extent(id as u32).unwrap();
        assert_eq!(extent.rows, samples.len() as u64);
        assert_eq!(extent.range.start.millis(), *samples.keys().next().unwrap());
        assert_eq!(extent.range.end.millis(), *samples.keys().last().unwrap());
        assert!(extent.bytes > 0);
        assert_eq!(part.exemplars(id as u32).unwrap(), exemplars_of(labels, samples));
    }
}

#[test]
fn columns_of_the_same_clock_say_so_and_others_do_not() {
    let disk = disk();
    let contents = contents(60, 200, &mut Seeded::new(4));
    write(&disk, PATH, &contents, PartOptions::default(), false).unwrap();
    let part = open(&disk, PATH).unwrap();
    let mut scratch = Scratch::new();
    let mut by_clock: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    let mut shared = 0;
    for range in [TimeRange::ALL, TimeRange::new(Timestamp(1_700_000_300_000), Timestamp(1_700_001_000_000))] {
        for id in 0..part.info.series {
            let mut columns = Columns::default();
            part.read(id, range, &mut scratch, &mut columns).unwrap();
            if let Some(clock) = columns.clock {
                match by_clock.get(&clock) {
                    Some(times) => {
                        assert_eq!(times, &columns.times);
                        shared += 1;
                    }
                    None => drop(by_clock.insert(clock, columns.times)),
                }
            }
        }
    }
    assert!(shared > 40, "{shared}");
}

#[test]
fn matchers_find_what_a_look_at_every_series_finds() {
    let disk = disk();
    let contents = contents(300, 3, &mut Seeded::new(8));
    write(&disk, PATH, &contents, PartOptions::default(), false).unwrap();
    let part = open(&disk, PATH).unwrap();
    for matchers in crate::index::tests::selectors().iter().step_by(::tests::depth::pick(4, 1)) {
        let expected: Vec<&Labels> = contents.keys().filter(|labels| matches_all(matchers, labels)).collect();
        let found = part.select_matchers(matchers).unwrap();
        let found: Vec<Labels> = found.iter().map(|id| part.labels(id).unwrap()).collect();
        assert!(found.iter().eq(expected.iter().copied()), "{matchers:?}: {found:?}");
    }
    assert_eq!(part.label_names(None).unwrap(), ["__name__", "instance", "job", "slot"]);
    let one = part.select_matchers(&[Matcher::equal("__name__", "metric_2")]).unwrap();
    assert_eq!(part.label_values("__name__", Some(&one)).unwrap(), ["metric_2"]);
    assert_eq!(part.label_values("instance", Some(&one)).unwrap().len(), 3);
    assert_eq!(part.label_values("slot", None).unwrap(), ["s1"]);
    let top = part.cardinality(3).unwrap();
    assert_eq!(top.series, contents.len() as u64);
    assert_eq!(top.values_by_label[0].0, "__name__");
    assert_eq!(top.series_by_pair[0], ("job=node".into(), contents.len() as u64));
}

/// A part small enough to break everywhere.
fn small() -> Contents {
    let mut contents = contents(8, 7, &mut Seeded::new(2));
    for (at, bound) in ["0.1", "10", "+Inf"].iter().enumerate() {
        let labels =
            Labels::from_pairs([("__name__", "h_bucket"), ("le", bound), ("instance", "host-0:9100"), ("job", "node")]);
        let samples = (0..7).map(|row| {
            (
                1_700_000_000_000 + row * 15_000,
                (Row::Float(((row * row * 7919 % 1000 + row * 1000) as f64 * 1000.0 + at as f64).to_bits()), 0),
            )
        });
        contents.insert(labels, samples.collect());
    }
    contents
}

/// Everything that is read is what was written; what is missing was named. Gives the defects found, `None` where the
/// part cannot even be opened.
fn check_damaged(disk: &FaultyDisk, contents: &Contents, what: &str) -> Option<usize> {
    let part = match open(disk, PATH) {
        Ok(part) => part,
        Err(error) => {
            assert!(error.is_damage() || matches!(error, TsdbError::Io { .. } | TsdbError::UnknownVersion { .. }));
            return None;
        }
    };
    let (read, complete) = read_all(&part, TimeRange::ALL);
    for (labels, samples) in contents {
        let found = read.get(labels);
        let rows = samples.len() - found.map_or(0, Samples::len);
        assert!(!complete || rows == 0, "{what}: {labels} lacks {rows} rows and nothing was said");
        for (time, (value, start)) in found.into_iter().flatten() {
            let (expected, expected_start) = &samples[time];
            assert_eq!(value, expected, "{what}: {labels} at {time}");
            assert!(start == expected_start || *start == 0, "{what}: start time of {labels}");
        }
    }
    assert!(read.keys().all(|labels| contents.contains_key(labels)), "{what}: series nobody wrote");
    assert!(complete || !part.problems().is_empty());
    let matcher = Matcher::new("__name__", MatchOp::Regex, "metric_.*").unwrap();
    for matchers in [vec![matcher.clone()], vec![matcher, Matcher::new("slot", MatchOp::NotEqual, "s1").unwrap()]] {
        let Ok(ids) = part.select_matchers(&matchers) else { continue };
        for id in ids {
            if let Ok(labels) = part.labels(id) {
                assert!(matches_all(&matchers, &labels), "{what}: {labels} does not pass");
            }
        }
    }
    for id in 0..part.info.series {
        if let (Ok(labels), Ok(exemplars)) = (part.labels(id), part.exemplars(id)) {
            assert_eq!(exemplars, exemplars_of(&labels, &contents[&labels]), "{what}");
        }
    }
    let _ = (part.metadata(), part.cardinality(5), part.label_values("job", None));
    Some(part.verify().expect("the disk itself works").len())
}

#[test]
fn a_flipped_bit_anywhere_is_never_a_wrong_value() {
    for final_form in [false, true] {
        let contents = small();
        let whole = disk();
        write(&whole, PATH, &contents, PartOptions { final_form, ..PartOptions::default() }, false).unwrap();
        let bytes = whole.read_file(Path::new(PATH));
        for at in (usize::from(final_form)..bytes.len()).step_by(::tests::depth::pick(7, 1)) {
            let disk = whole.kill();
            disk.flip_bit(Path::new(PATH), at as u64, (at % 8) as u8);
            let problems = check_damaged(&disk, &contents, &format!("bit at {at}"));
            assert!(problems.is_some(), "no single bit may cost the whole part, as did one at {at}");
            assert!(problems > Some(0), "the flipped bit at {at} was not found");
        }
    }
}

#[test]
fn a_cut_or_garbled_file_is_never_a_wrong_value() {
    let contents = small();
    let whole = disk();
    write(&whole, PATH, &contents, PartOptions::default(), false).unwrap();
    let bytes = whole.read_file(Path::new(PATH));
    for len in (0..bytes.len()).step_by(::tests::depth::pick(11, 1)) {
        let disk = whole.kill();
        disk.truncate_file(Path::new(PATH), len as u64);
        check_damaged(&disk, &contents, &format!("cut to {len}"));
    }
    let mut random = Seeded::new(19);
    for round in 0..200 {
        let mut changed = bytes.clone();
        for _ in 0..1 + random.below(30) {
            let at = random.below(changed.len() as u64) as usize;
            changed[at] = random.bits() as u8;
        }
        let disk = disk();
        disk.write_file(Path::new(PATH), &changed);
        check_damaged(&disk, &contents, &format!("garbled {round}"));
    }
}

#[test]
fn pages_with_a_right_checksum_and_wrong_bytes_never_panic() {
    let contents = small();
    let whole = disk();
    write(&whole, PATH, &contents, PartOptions { final_form: true, ..PartOptions::default() }, false).unwrap();
    let bytes = whole.read_file(Path::new(PATH));
    let mut random = Seeded::new(29);
    for _ in 0..::tests::depth::pick(150, 20_000) {
        let disk = disk();
        disk.write_file(Path::new(PATH), &bytes);
        let mut part = open(&disk, PATH).unwrap();
        // Changes a byte of some page and makes its checksum fit.
        let at = 8 + random.below(part.file.table_end() - 8);
        disk.flip_bit(Path::new(PATH), at, random.below(8) as u8);
        part.file.trust_pages();
        let mut scratch = Scratch::new();
        for id in 0..part.info.series {
            let mut columns = Columns::default();
            let _ = (part.labels(id), part.extent(id), part.exemplars(id));
            let _ = part.read(id, TimeRange::ALL, &mut scratch, &mut columns);
            assert_eq!(columns.times.len(), columns.values.len());
        }
        let _ = part.select_matchers(&[Matcher::new("instance", MatchOp::Regex, ".*0.*").unwrap()]);
        let _ = (part.metadata(), part.cardinality(5), part.label_values("job", None));
    }
}

#[test]
fn damaged_postings_are_made_anew_from_the_labels() {
    let contents = contents(60, 3, &mut Seeded::new(8));
    let whole = disk();
    write(&whole, PATH, &contents, PartOptions::default(), false).unwrap();
    let at = open(&whole, PATH).unwrap().file.table.of(super::page::PageKind::Postings)[0].offset;
    whole.flip_bit(Path::new(PATH), at + 5, 2);
    let part = open(&whole, PATH).unwrap();
    for matchers in crate::index::tests::selectors().iter().step_by(::tests::depth::pick(4, 1)) {
        let expected = contents.keys().filter(|labels| matches_all(matchers, labels)).count();
        assert_eq!(part.select_matchers(matchers).unwrap().len(), expected as u64, "{matchers:?}");
    }
    assert_eq!(part.problems().len(), 1);
}

#[test]
fn a_part_is_there_whole_or_not_at_all_whatever_fails() {
    let contents = contents(20, 30, &mut Seeded::new(6));
    let mut succeeded = false;
    for number in 0..200 {
        let disk = disk();
        let first = disk.operations();
        let kind = [FaultKind::Io, FaultKind::NoSpace][number as usize % 2];
        disk.fail_at(first + number, Fault { kind, short_write: true, sticky: number.is_multiple_of(3) });
        let outcome = write(&disk, PATH, &contents, PartOptions::default(), false);
        disk.heal();
        for after in [disk.kill(), disk.crash(number)] {
            let there = after.exists(Path::new(PATH)).unwrap();
            assert!(there || outcome.is_err(), "an acknowledged part is there");
            if there {
                assert_eq!(read_all(&open(&after, PATH).unwrap(), TimeRange::ALL), (contents.clone(), true));
            }
        }
        succeeded = outcome.is_ok() && disk.operations() - first <= number;
        if succeeded {
            break;
        }
    }
    assert!(succeeded, "the loop must reach the end of writing");
}

#[test]
fn an_error_while_reading_is_an_error_and_not_a_gap() {
    let disk = disk();
    write(&disk, PATH, &small(), PartOptions::default(), false).unwrap();
    for number in 0..4 {
        let part = open(&disk, PATH).unwrap();
        disk.fail_at(disk.operations() + number, Fault { kind: FaultKind::Io, short_write: false, sticky: false });
        let mut columns = Columns::default();
        let outcome = part.read(0, TimeRange::ALL, &mut Scratch::new(), &mut columns);
        assert!(number == 3 || matches!(outcome, Err(TsdbError::Io { .. })), "operation {number}");
        disk.heal();
        assert_eq!(part.read(0, TimeRange::ALL, &mut Scratch::new(), &mut Columns::default()).unwrap(), []);
    }
}

#[test]
fn what_cannot_be_a_part_is_refused() {
    let disk = disk();
    let mut writer = PartWriter::create(Arc::new(disk.clone()), Path::new(PATH), PartOptions::default()).unwrap();
    let labels = labels("m", 1, 0);
    let mut add = |times: &[i64], values: &[f64]| {
        writer.add(&SeriesInput {
            labels: &labels,
            clock_key: 0,
            times,
            values: &[Values::Floats(values)],
            start_times: None,
            exemplars: &[],
        })
    };
    assert!(matches!(add(&[], &[]), Err(TsdbError::Refused(_))), "no samples");
    assert!(matches!(add(&[2, 1], &[1.0, 2.0]), Err(TsdbError::Refused(_))), "times out of order");
    assert!(matches!(add(&[1, 2], &[1.0]), Err(TsdbError::Refused(_))), "a value short");
    add(&[1], &[1.0]).unwrap();
    assert!(matches!(add(&[2], &[1.0]), Err(TsdbError::Refused(_))), "the same series twice");
    drop(writer);
    assert_eq!(disk.files(), Vec::<PathBuf>::new(), "an unfinished part leaves nothing");
}

fn merge(
    disk: &FaultyDisk,
    inputs: &[&str],
    keep: TimeRange,
    final_form: bool,
    dropped: &[TimeRange],
) -> Option<PartInfo> {
    let inputs: Vec<Arc<dyn PartRead>> =
        inputs.iter().map(|path| Arc::new(open(disk, path).unwrap()) as Arc<dyn PartRead>).collect();
    let drop = |_: usize, id: u32| if id.is_multiple_of(2) { dropped.to_vec() } else { Vec::new() };
    let options = MergeOptions { part: PartOptions { level: 1, id: 9, final_form }, keep, drop: &drop };
    let merged = merge_parts(Arc::new(disk.clone()), Path::new("/d/m.part"), &inputs, &options).unwrap();
    assert_eq!(merged.gaps, []);
    merged.part
}

#[test]
fn merging_is_the_union_and_the_later_input_wins() {
    for seed in 0..3 {
        let mut random = Seeded::new(seed);
        for overlap in [false, true] {
            let disk = disk();
            let first = contents(40, 200, &mut random);
            let mut second = contents(50, 200, &mut random);
            if !overlap {
                second = second
                    .into_iter()
                    .map(|(labels, samples)| {
                        (labels, samples.into_iter().map(|(time, row)| (time + 3_600_000_000, row)).collect())
                    })
                    .collect();
            }
            write(&disk, "/d/a.part", &first, PartOptions::default(), seed == 0).unwrap();
            write(&disk, "/d/b.part", &second, PartOptions::default(), true).unwrap();
            let mut expected = first.clone();
            for (labels, samples) in second {
                expected.entry(labels).or_default().extend(samples);
            }
            for final_form in [false, true] {
                merge(&disk, &["/d/a.part", "/d/b.part"], TimeRange::ALL, final_form, &[]).unwrap();
                assert_eq!(read_all(&open(&disk, "/d/m.part").unwrap(), TimeRange::ALL), (expected.clone(), true));
            }
        }
    }
}

#[test]
fn merging_drops_what_is_deleted_or_expired() {
    let disk = disk();
    let contents = contents(40, 200, &mut Seeded::new(77));
    write(&disk, "/d/a.part", &contents, PartOptions::default(), false).unwrap();
    let at = |row: i64| Timestamp(1_700_000_000_000 + row * 15_000);
    let keep = TimeRange::new(at(50), at(150));
    let deleted = TimeRange::new(at(80), at(90));
    merge(&disk, &["/d/a.part"], keep, false, &[deleted]).unwrap();
    let mut expected = cut(&contents, keep);
    for (id, labels) in contents.keys().enumerate() {
        if let (0, Some(samples)) = (id % 2, expected.get_mut(labels)) {
            samples.retain(|time, _| !deleted.contains(Timestamp(*time)));
        }
    }
    expected.retain(|_, samples| !samples.is_empty());
    assert_eq!(read_all(&open(&disk, "/d/m.part").unwrap(), TimeRange::ALL), (expected, true));

    let nothing = TimeRange::new(Timestamp(0), Timestamp(1));
    assert_eq!(merge(&disk, &["/d/a.part"], nothing, false, &[]), None);
    assert!(!disk.exists(Path::new("/d/m.part.tmp")).unwrap());
}

#[test]
fn buckets_and_counts_of_the_final_form_are_smaller_and_the_same() {
    let mut random = Seeded::new(15);
    let mut contents = Contents::new();
    let bounds = ["0.005", "0.01", "0.1", "1", "2.5", "10", "+Inf"];
    let mut counts = vec![0u64; bounds.len()];
    for row in 0..1000i64 {
        for _ in 0..random.below(30) {
            let bucket = (random.below(3) + random.below(3)) as usize;
            for count in &mut counts[bucket..] {
                *count += 1;
            }
        }
        let pairs = bounds
            .iter()
            .zip(&counts)
            .map(|(bound, count)| (Labels::from_pairs([("__name__", "h_bucket"), ("le", bound)]), *count));
        let count = [(Labels::from_pairs([("__name__", "h_count")]), counts[6])];
        for (labels, count) in pairs.chain(count) {
            contents.entry(labels).or_default().insert(row * 15_000, (Row::Float((count as f64).to_bits()), 0));
        }
    }
    let disk = disk();
    let plain = write(&disk, "/d/plain.part", &contents, PartOptions::default(), false).unwrap();
    let last =
        write(&disk, PATH, &contents, PartOptions { final_form: true, ..PartOptions::default() }, false).unwrap();
    assert!(last.bytes * 4 < plain.bytes * 3, "{} against {}", last.bytes, plain.bytes);
    let part = open(&disk, PATH).unwrap();
    assert_eq!(read_all(&part, TimeRange::ALL), (contents.clone(), true));
    let range = TimeRange::new(Timestamp(3_000_000), Timestamp(4_000_000));
    assert_eq!(read_all(&part, range), (cut(&contents, range), true));
    // A part of such parts is made by decoding.
    merge(&disk, &[PATH], TimeRange::ALL, false, &[]).unwrap();
    assert_eq!(read_all(&open(&disk, "/d/m.part").unwrap(), TimeRange::ALL), (contents, true));
}

/// The part that docs/formats/part.md takes to pieces.
fn documented() -> Contents {
    let mut contents = Contents::new();
    for (name, values) in [("a", [1.0f64, 1.0, 1.0]), ("b", [1.5, 2.0, 3.5])] {
        let labels = Labels::from_pairs([("__name__", name), ("job", "x")]);
        let rows = values.iter().zip(0..).map(|(value, row)| (1000 + row * 15, (Row::Float(value.to_bits()), 0)));
        contents.insert(labels, rows.collect());
    }
    contents
}

#[test]
fn the_documented_example_is_what_is_written_and_read() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/part.md")).unwrap();
    let example = page.split("```hex\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a hex example");
    let example = from_hex(example);
    let disk = disk();
    let mut writer =
        PartWriter::create(Arc::new(disk.clone()), Path::new(PATH), PartOptions { level: 0, id: 7, final_form: false })
            .unwrap();
    for (labels, samples) in &documented() {
        add(&mut writer, labels, samples, false).unwrap();
    }
    writer.finish().unwrap();
    let written = disk.read_file(Path::new(PATH));
    let hex: Vec<String> = written.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, example, "docs/formats/part.md should show {}", hex.join(" "));
    disk.write_file(Path::new(PATH), &example);
    assert_eq!(read_all(&open(&disk, PATH).unwrap(), TimeRange::ALL), (documented(), true));
}
