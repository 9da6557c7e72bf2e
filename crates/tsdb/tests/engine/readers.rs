//! Readers and writers at the same time: a reader sees whole batches only, and each of them once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use model::matcher::Matcher;
use model::storage::{Durability, TimeRange};
use model::time::Timestamp;
use tsdb::io::FaultyDisk;

use crate::world::{START, clock, contents_of, open_with, options, sender};

#[test]
fn readers_see_whole_batches_while_everything_goes_on() {
    const SENDERS: usize = 3;
    const ROUNDS: i64 = 300;
    let (disk, clock) = (FaultyDisk::new(1), clock());
    let db = open_with(&disk, options(), &clock);
    let done = AtomicBool::new(false);
    let views = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..SENDERS)
            .map(|number| {
                let db = &db;
                scope.spawn(move || {
                    let name = format!("sender_{number}");
                    let (mut appender, refs) = sender(db, &name, 100);
                    for round in 0..ROUNDS {
                        let values = [round as f64; 100];
                        appender.append_row(&refs, Timestamp(START + round * 1_000), &values);
                        appender.commit(Durability::Written).expect("the disk is good");
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                let mut newest = [0i64; SENDERS];
                while !done.load(Ordering::Acquire) {
                    for (number, newest) in newest.iter_mut().enumerate() {
                        let name = format!("sender_{number}");
                        let found = contents_of(&db, &[Matcher::equal("__name__", &name)], TimeRange::ALL);
                        let Some(first) = found.values().next() else { continue };
                        assert_eq!(found.len(), 100, "all series of a batch or none");
                        for rows in found.values() {
                            assert_eq!(rows.len(), first.len(), "a batch in halves");
                            for (round, row) in rows.iter().enumerate() {
                                let expected = (START + round as i64 * 1_000, (round as f64).to_bits());
                                assert_eq!((row.0, row.1), expected);
                            }
                        }
                        assert!(first.len() as i64 >= *newest, "what was seen stays");
                        *newest = first.len() as i64;
                        views.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                clock.advance(Duration::from_secs(30));
                db.seal_all().expect("the disk is good");
                db.checkpoint().expect("the disk is good");
                db.maintain().expect("the disk is good");
            }
        });
        for writer in writers {
            writer.join().expect("no writer panics");
        }
        done.store(true, Ordering::Release);
    });
    assert!(views.load(Ordering::Relaxed) > 3);
    let found = contents_of(&db, &[], TimeRange::ALL);
    assert!(found.values().all(|rows| rows.len() as i64 == ROUNDS) && found.len() == SENDERS * 100);
}
