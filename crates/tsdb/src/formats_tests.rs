//! The examples in docs/formats are decoded, so that a page cannot say what the code no longer does.

use std::path::Path;

use model::labels::Labels;
use model::storage::Position;
use model::time::Timestamp;

use crate::io::{Disk, FaultyDisk};
use crate::log::batch::{BatchDecoder, BatchRows, Decoded, decode_series};
use crate::log::frame::{Found, FrameReader, RecordKind, put_record, segment_header};
use crate::manifest::{FORMAT_VERSION, Loaded, Manifest, PartEntry, Sealed, format_record};

/// The bytes of the block that is marked as hex in a page: what stands before `|` in its lines.
fn example(page: &str) -> Vec<u8> {
    let block = page.split("```hex\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a page has an example");
    let digits = block.lines().flat_map(|line| line.split('|').next().unwrap_or("").split_whitespace());
    digits.map(|byte| u8::from_str_radix(byte, 16).expect("two digits a byte")).collect()
}

/// How bytes stand in a page; what a failing test shows, to be put there.
fn shown(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    bytes.chunks(16).map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(page: &str, written: &[u8]) {
    let found = example(page);
    assert!(found == written, "the page says\n{}\nthe code writes\n{}", shown(&found), shown(written));
}

fn labels() -> Labels {
    Labels::from_pairs([("__name__", "up"), ("job", "x")])
}

/// A segment with one series and two batches of it, the second chained.
fn log_example() -> Vec<u8> {
    use crate::log::batch::{Chain, SeriesEntry, encode, encode_series};
    let mut bytes = segment_header(1).to_vec();
    let entry = SeriesEntry { id: 7, clock_key: 0x0102_0304_0506_0708, labels: labels() };
    assert!(put_record(&mut bytes, RecordKind::Series, 1, |out| encode_series(&[entry], out)));
    let mut chain = Chain::default();
    for (seq, time, value) in [(2, 1_000, 1.5), (3, 16_000, 2.5)] {
        let rows = BatchRows { ids: vec![7], times: vec![time], values: vec![value], ..BatchRows::default() };
        assert!(put_record(&mut bytes, RecordKind::Batch, seq, |out| encode(&rows, 4, 1, &mut chain, out)));
    }
    bytes
}

#[test]
fn the_log_is_as_its_page_says() {
    let page = include_str!("../../../docs/formats/log.md");
    check(page, &log_example());
    let disk = FaultyDisk::new(1);
    disk.write_file(Path::new("log"), &example(page));
    let mut frames = FrameReader::new(disk.open(Path::new("log")).expect("it is there"), 0);
    let (mut decoder, mut rows, mut found) = (BatchDecoder::default(), BatchRows::default(), Vec::new());
    loop {
        match frames.next(example(page).len() as u64).expect("the disk is good") {
            Found::Record { kind: RecordKind::Series, payload, .. } => {
                decode_series(payload, |entry| assert_eq!((entry.id, entry.labels), (7, labels())))
                    .expect("it is whole");
            }
            Found::Record { kind: RecordKind::Batch, payload, .. } => {
                assert_eq!(decoder.decode(payload, &mut rows), Ok(Decoded::Whole));
                found.push((rows.ids[0], rows.times[0], rows.values[0]));
            }
            Found::Damage { reason, .. } => unreachable!("{reason}"),
            Found::End => break,
        }
    }
    assert_eq!(found, [(7, 1_000, 1.5), (7, 16_000, 2.5)]);
}

#[test]
fn the_version_record_is_as_its_page_says() {
    let page = include_str!("../../../docs/formats/version.md");
    check(page, &format_record(FORMAT_VERSION));
    let disk = FaultyDisk::new(1);
    disk.write_file(Path::new("FORMAT"), &example(page));
    assert!(crate::manifest::check_format(&disk, Path::new("FORMAT")).expect("it is ours"));
}

#[test]
fn the_manifest_is_as_its_page_says() {
    let manifest = Manifest {
        parts: vec![PartEntry { number: 5, order: 3 }],
        next_part: 6,
        sealed: vec![Sealed { instance: 2, start: 0, last: 7_199_999, cut_seq: 40, published_seq: 41 }],
        tombstones: Vec::new(),
        tails: [("remote".to_owned(), Position { segment: 1, offset: 32 })].into(),
        leftovers: Vec::new(),
    };
    let disk = FaultyDisk::new(1);
    let path = Path::new("MANIFEST");
    manifest.store(&disk, path).expect("the disk is good");
    let page = include_str!("../../../docs/formats/manifest.md");
    check(page, &disk.read_file(path));
    disk.write_file(path, &example(page));
    let Loaded::Whole(read) = Manifest::load(&disk, path) else { unreachable!("the page holds a whole one") };
    assert_eq!(read.parts, manifest.parts);
}

#[test]
fn the_spill_is_as_its_page_says() {
    use crate::head::chunk::{FinalValues, read_final};
    use crate::head::spill::Spill;
    // A run of two rows of clock 0 from row 3, values 1 and 2.
    let mut body = vec![0, 9, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0];
    crate::codec::float::encode(&[1.0, 2.0], &mut crate::codec::float::FloatState::default(), &mut body);
    let disk = FaultyDisk::new(1);
    let path = Path::new("spill");
    let mut spill = Spill::new(std::sync::Arc::new(disk.clone()), path);
    let place = spill.push(0, &body);
    spill.write_out().expect("the disk is good");
    let page = include_str!("../../../docs/formats/spill.md");
    check(page, &disk.read_file(path));
    disk.write_file(path, &example(page));
    let mut read = Vec::new();
    assert_eq!(spill.view().read(place, &mut read).expect("the page holds a whole one"), 0);
    let mut times = Vec::new();
    let values = read_final(&read, &|clock, row| Some(i64::from(clock) * 1000 + i64::from(row)), &mut times);
    assert_eq!(times, [3, 4]);
    let Ok(FinalValues::Block(block)) = values else { unreachable!("it is a block of floats") };
    let mut floats = Vec::new();
    crate::codec::float::decode_append(block, &mut floats).expect("the page holds a whole one");
    assert_eq!(floats, [1.0, 2.0]);
}

#[test]
fn the_checkpoint_is_as_its_page_says() {
    use model::storage::{Appendable, Durability, Sender};
    let disk = FaultyDisk::new(1);
    let clock = std::sync::Arc::new(model::time::ManualClock::at(Timestamp(20_000)));
    let db = crate::db::Db::open(
        Path::new("db"),
        crate::options::Options::default(),
        std::sync::Arc::new(disk.clone()),
        clock,
    )
    .expect("it opens");
    let mut appender = db.appender(Sender("page")).expect("it is open");
    let series = appender.resolve(&labels()).expect("there is room");
    appender.append(series, Timestamp(1_000), 1.5);
    appender.append(series, Timestamp(16_000), 2.5);
    appender.commit(Durability::Written).expect("the disk is good");
    db.checkpoint().expect("the disk is good");
    let page = include_str!("../../../docs/formats/checkpoint.md");
    check(page, &disk.read_file(Path::new("db/head/0000000001.ckpt")));
    disk.write_file(Path::new("page"), &example(page));
    let saved = crate::checkpoint::load(&disk, Path::new("page")).expect("the page holds a whole one");
    assert_eq!(
        (saved.series[0].labels.clone(), saved.chunks.len(), saved.clocks[0].times.clone()),
        (labels(), 1, vec![1_000, 16_000])
    );
}
