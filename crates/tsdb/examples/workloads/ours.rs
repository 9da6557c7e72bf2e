//! Our storage as a taker of samples: what an append costs, what it holds, what it leaves on disk, and that all of it
//! comes back bit for bit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::storage::{
    Appendable, Appender, Durability, Queryable, SelectHints, SelectedId, Sender, SeriesRef, TimeRange,
};
use model::time::{ManualClock, Timestamp};
use tsdb::db::Db;
use tsdb::io::RealDisk;
use tsdb::options::Options;

use crate::generators::{Row, Sink};
use crate::gorilla::Xor;
use crate::peers::bytes_below;
use crate::{Outcome, cpu_ns, heap_of};

/// One sample's share of the checksum of its series; the order does not matter.
fn mixed(time: i64, bits: u64) -> u64 {
    let x = (time as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// What is known about a series outside the storage.
struct Known {
    labels: Labels,
    reference: Option<SeriesRef>,
    last: i64,
    checksum: u64,
    xor: Xor,
}

pub(crate) struct Ours {
    db: Db,
    folder: PathBuf,
    clock: Arc<ManualClock>,
    appenders: Vec<Box<dyn Appender>>,
    known: Vec<Known>,
    references: Vec<SeriesRef>,
    values: Vec<f64>,
    late_allowed: bool,
    samples: u64,
    refused: u64,
    append_ns: u64,
    maintain_ns: u64,
    /// Bytes on the heap at each tick.
    heap: Vec<usize>,
}

/// The figures of one workload.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) samples: u64,
    pub(crate) refused: u64,
    pub(crate) series: usize,
    pub(crate) append_ns: f64,
    pub(crate) seal_ns: f64,
    pub(crate) merge_ns: f64,
    pub(crate) log: f64,
    pub(crate) sealed: f64,
    pub(crate) finished: f64,
    pub(crate) xor: f64,
    pub(crate) heap: f64,
    pub(crate) scanned: f64,
}

impl Ours {
    pub(crate) fn open(folder: PathBuf, start: i64, late_allowed: bool) -> Outcome<Self> {
        let clock = Arc::new(ManualClock::at(Timestamp(start)));
        let options = Options {
            out_of_order_window: Duration::from_secs(if late_allowed { 3_600 } else { 0 }),
            // The whole log is to be counted.
            checkpoint_samples: u64::MAX,
            ..Options::default()
        };
        let db = heap_of(|| Db::open(&folder, options, Arc::new(RealDisk), Arc::clone(&clock) as _))?;
        Ok(Self {
            db,
            folder,
            clock,
            appenders: Vec::new(),
            known: Vec::new(),
            references: Vec::new(),
            values: Vec::new(),
            late_allowed,
            samples: 0,
            refused: 0,
            append_ns: 0,
            maintain_ns: 0,
            heap: Vec::new(),
        })
    }

    /// The references of the series of a batch; unknown ones are resolved.
    fn resolve(&mut self, sender: usize, rows: &[Row]) -> Outcome<()> {
        while self.appenders.len() <= sender {
            let name = format!("sender-{}", self.appenders.len());
            self.appenders.push(heap_of(|| self.db.appender(Sender(&name)))?);
        }
        self.references.clear();
        self.values.clear();
        for row in rows {
            let known = &mut self.known[row.series as usize];
            let reference = match known.reference {
                Some(reference) => reference,
                None => *known.reference.insert(heap_of(|| self.appenders[sender].resolve(&known.labels))?),
            };
            self.references.push(reference);
            self.values.push(row.value);
        }
        Ok(())
    }

    /// How many of a batch are to be stored, noted for the comparison.
    fn expect(&mut self, rows: &[Row]) -> u64 {
        let mut stored = 0;
        for row in rows {
            let known = &mut self.known[row.series as usize];
            if row.time > known.last {
                known.last = row.time;
                known.xor.add(row.time, row.value);
            } else if !self.late_allowed {
                continue;
            }
            known.checksum = known.checksum.wrapping_add(mixed(row.time, row.value.to_bits()));
            stored += 1;
        }
        stored
    }

    /// Everything is read again and compared; samples in each second.
    fn verify(&self) -> Outcome<f64> {
        let snapshot = self.db.snapshot()?;
        let selection = snapshot.select(&[], TimeRange::ALL, &SelectHints::default())?;
        let mut cursor = selection.reader.cursor();
        let (mut samples, mut spent, mut read) = (0_u64, 0, std::collections::HashMap::new());
        for (id, labels) in selection.labels.iter().enumerate() {
            let began = cpu_ns();
            let column = cursor.read(SelectedId(id as u32))?;
            spent += cpu_ns() - began;
            samples += column.times.len() as u64;
            let sum = |sum: u64, (time, value): (&i64, &f64)| sum.wrapping_add(mixed(*time, value.to_bits()));
            read.insert(labels, column.times.iter().zip(column.values).fold(0, sum));
        }
        for known in &self.known {
            if known.checksum != 0 && read.get(&known.labels) != Some(&known.checksum) {
                return Err(format!("{} is not what was written", known.labels).into());
            }
        }
        if samples != self.samples {
            return Err(format!("{samples} samples of {}", self.samples).into());
        }
        Ok(samples as f64 * 1e9 / spent as f64)
    }

    /// Seals, merges, compares, and removes everything.
    pub(crate) fn finish(self) -> Outcome<Figures> {
        let samples = self.samples as f64;
        let per_sample = |bytes: u64| bytes as f64 / samples;
        let series = self.known.len();
        let half = &self.heap[self.heap.len() / 2..];
        let heap = half.iter().sum::<usize>() as f64 / half.len() as f64 / series as f64;
        let log = per_sample(bytes_below(&self.folder.join("log")));
        let began = cpu_ns();
        self.db.seal_all()?;
        let sealing = cpu_ns() - began;
        let sealed = per_sample(self.db.stats().part_bytes);
        self.verify()?;
        let began = cpu_ns();
        self.db.flush()?;
        let merging = cpu_ns() - began;
        let figures = Figures {
            samples: self.samples,
            refused: self.refused,
            series,
            append_ns: self.append_ns as f64 / samples,
            seal_ns: (self.maintain_ns + sealing) as f64 / samples,
            merge_ns: merging as f64 / samples,
            log,
            sealed,
            finished: per_sample(self.db.stats().part_bytes),
            xor: per_sample(self.known.iter().map(|known| known.xor.bytes()).sum()),
            heap,
            scanned: self.verify()?,
        };
        let folder = self.folder.clone();
        drop(self);
        std::fs::remove_dir_all(folder)?;
        Ok(figures)
    }
}

impl Sink for Ours {
    fn series(&mut self, labels: &Labels) -> u32 {
        let labels = labels.clone();
        self.known.push(Known { labels, reference: None, last: i64::MIN, checksum: 0, xor: Xor::default() });
        self.known.len() as u32 - 1
    }

    fn batch(&mut self, sender: usize, rows: &[Row]) -> Outcome<()> {
        self.resolve(sender, rows)?;
        let stored = self.expect(rows);
        let (references, values) = (&self.references, &self.values);
        let appender = &mut self.appenders[sender];
        let one_time = rows.iter().all(|row| row.time == rows[0].time);
        let began = cpu_ns();
        // What is said about the batch is dropped within, too, or it would count as kept.
        let appended = heap_of(|| {
            if one_time {
                appender.append_row(references, Timestamp(rows[0].time), values);
            } else {
                for (reference, row) in references.iter().zip(rows) {
                    appender.append(*reference, Timestamp(row.time), row.value);
                }
            }
            appender.commit(Durability::Written).map(|committed| committed.appended)
        })?;
        self.append_ns += cpu_ns() - began;
        self.samples += appended;
        self.refused += rows.len() as u64 - appended;
        if appended != stored {
            return Err(format!("{appended} of {} stored, {stored} expected", rows.len()).into());
        }
        Ok(())
    }

    fn tick(&mut self, now: i64) -> Outcome<()> {
        self.clock.set(Timestamp(now));
        let began = cpu_ns();
        heap_of(|| self.db.maintain())?;
        self.maintain_ns += cpu_ns() - began;
        self.heap.push(crate::heap_bytes());
        Ok(())
    }
}
