//! Files whose checksums are right and whose bytes are not, as a bug of our own or somebody with an editor makes them:
//! no promise about values, but nothing panics, hangs or takes all memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::histogram::{IntHistogram, Span};
use model::labels::Labels;
use model::storage::{
    Appendable, Durability, Exemplar, Metadata, Queryable, SampleValue, SelectHints, SelectedId, Sender, TimeRange,
};
use model::time::{ManualClock, Timestamp};
use tests::depth;
use tsdb::db::Db;
use tsdb::io::FaultyDisk;
use tsdb::options::Options;
use tsdb::seeded::Seeded;

use crate::damage::{copy, small};
use crate::world::{NOW, clock, open_with, options, root, sender, series};

/// From where to where a checksum looks, and where it stands.
struct Sealed {
    checked: std::ops::Range<usize>,
    crc_at: usize,
    /// What may be changed.
    body: std::ops::Range<usize>,
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

/// The sections of a checkpoint, as docs/formats/checkpoint.md has them.
fn sections(bytes: &[u8]) -> Vec<Sealed> {
    let (mut at, mut found) = (8, Vec::new());
    while at + 9 <= bytes.len() {
        let end = at + 8 + u32_at(bytes, at);
        found.push(Sealed { checked: at + 8..end, crc_at: at + 4, body: at + 9..end });
        at = end;
    }
    found
}

/// The records of a segment, as docs/formats/log.md has them.
fn records(bytes: &[u8]) -> Vec<Sealed> {
    let (mut at, mut found) = (32, Vec::new());
    while at + 24 <= bytes.len() && bytes[at..].starts_with(b"WPR1") {
        let end = at + 24 + u32_at(bytes, at + 8);
        found.push(Sealed { checked: at + 8..end, crc_at: at + 4, body: at + 24..end });
        at = end.next_multiple_of(8);
    }
    found
}

fn forge(bytes: &mut [u8], sealed: &[Sealed], random: &mut Seeded) {
    let one = &sealed[random.below(sealed.len() as u64) as usize];
    if one.body.is_empty() {
        return;
    }
    for _ in 0..=random.below(3) {
        let at = one.body.start + random.below(one.body.len() as u64) as usize;
        bytes[at] = match random.below(4) {
            0 => bytes[at] ^ (1 << random.below(8)),
            1 => 0xff,
            2 => bytes[at].wrapping_add(1),
            _ => random.bits() as u8,
        };
    }
    let crc = crc32c::crc32c(&bytes[one.checked.clone()]);
    bytes[one.crc_at..one.crc_at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// A database with something of every kind in its checkpoint and behind it.
fn rich(clock: &Arc<ManualClock>) -> FaultyDisk {
    let (disk, _) = small(clock);
    let settings = Options { out_of_order_window: std::time::Duration::from_secs(600), ..options() };
    let db = open_with(&disk, settings, clock);
    let (mut appender, refs) = sender(&db, "rich", 4);
    for round in 0..4 {
        let time = Timestamp(NOW - 60_000 + round * 10_000);
        let histogram = IntHistogram {
            count: 7 + round as u64,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_deltas: vec![3, round],
            ..IntHistogram::default()
        };
        appender.append_value(refs[0], time, &SampleValue::IntHistogram(Arc::new(histogram)), NOW - 90_000);
        appender.append_value(refs[1], time, &SampleValue::Float(1.5), NOW - 90_000);
        appender.append(refs[2], time, round as f64);
        appender.append(refs[2], time.minus(std::time::Duration::from_secs(15)), 0.5);
        let labels = Labels::from_pairs([("trace_id", "abc")]);
        appender.exemplar(refs[2], &Exemplar { labels, value: 1.0, time });
        let help = format!("help {round}");
        appender.metadata(&Metadata { family: "rich".to_owned(), help, ..Metadata::default() });
        appender.commit(Durability::Written).expect("the disk is good");
        if round == 1 {
            db.checkpoint().expect("the disk is good");
        }
    }
    let left = disk.kill();
    drop((appender, db));
    left
}

/// Reads everything, writes, seals, and opens once more; errors are welcome.
fn use_it(disk: &FaultyDisk, clock: &Arc<ManualClock>) {
    let open = || {
        let settings = Options { retention: std::time::Duration::from_secs(86_400 * 36_500), ..options() };
        Db::open(root(), settings, Arc::new(disk.clone()), Arc::clone(clock) as _).expect("a database always opens")
    };
    let read = |db: &Db| {
        let snapshot = db.snapshot().expect("it is open");
        let Ok(selection) = snapshot.select(&[], TimeRange::ALL, &SelectHints::default()) else { return };
        let mut cursor = selection.reader.cursor();
        for id in 0..selection.labels.len() {
            let _ = cursor.read(SelectedId(id as u32)).map(|column| column.times.len());
        }
        let _ = (snapshot.exemplars(&[], TimeRange::ALL), snapshot.metadata("", 0), db.cardinality(10), db.stats());
    };
    let db = open();
    read(&db);
    let mut appender = db.appender(Sender("a")).expect("it is open");
    for n in 0..3 {
        if let Ok(reference) = appender.resolve(&series("a", n)) {
            appender.append(reference, Timestamp(NOW + n as i64), 1.0);
        }
    }
    let _ = appender.commit(Durability::Written);
    let _ = db.checkpoint();
    let _ = db.seal_all();
    read(&db);
    drop((appender, db));
    read(&open());
}

fn check(pick: impl Fn(&Path) -> bool, parse: fn(&[u8]) -> Vec<Sealed>, seed: u64) {
    let clock = clock();
    let disk = rich(&clock);
    let files: Vec<PathBuf> = disk.files();
    let forged: Vec<&PathBuf> = files.iter().filter(|file| pick(file)).collect();
    assert!(!forged.is_empty(), "{files:?}");
    let mut random = Seeded::new(seed);
    for _ in 0..depth::pick(40, 5_000) {
        let file = forged[random.below(forged.len() as u64) as usize];
        let mut bytes = disk.read_file(file);
        let sealed = parse(&bytes);
        assert!(sealed.len() > 1, "{}", file.display());
        forge(&mut bytes, &sealed, &mut random);
        let bad = copy(&disk, &files);
        bad.write_file(file, &bytes);
        use_it(&bad, &clock);
    }
}

#[test]
fn a_checkpoint_with_right_checksums_and_wrong_bytes_never_panics() {
    check(|file| file.extension().is_some_and(|extension| extension == "ckpt"), sections, 5);
}

#[test]
fn a_log_with_right_checksums_and_wrong_bytes_never_panics() {
    check(|file| file.extension().is_some_and(|extension| extension == "log"), records, 6);
}
