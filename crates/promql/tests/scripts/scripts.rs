//! The scripts: the shared ones, our own, and whatever folders are named from outside.
//!
//! `PROMQLTEST_DIR=dir[:dir…]` runs those folders instead and prints every failing case. `CONFORMANCE_EXTRA=dir`
//! adds a folder laid out like the shared data. `PROMQLTEST_POSITIONS=1` compares annotations with their positions.

use std::path::{Path, PathBuf};

use crate::runner::{Mode, Tally, run_folder};

fn mode() -> Mode {
    Mode { positions: std::env::var_os("PROMQLTEST_POSITIONS").is_some() }
}

fn folders() -> Vec<PathBuf> {
    if let Ok(list) = std::env::var("PROMQLTEST_DIR") {
        return list.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from).collect();
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scripts");
    let shared = std::env::var_os("WATCHPOST_CONFORMANCE").map(|root| Path::new(&root).join("promql"));
    if shared.is_none() {
        println!("WATCHPOST_CONFORMANCE is not set: the shared scripts are skipped");
    }
    let extra = std::env::var_os("CONFORMANCE_EXTRA").map(|root| Path::new(&root).join("promql"));
    [Some(own), shared, extra.filter(|folder| folder.is_dir())].into_iter().flatten().collect()
}

#[test]
fn every_script_case_gives_what_it_expects() {
    let mut tally = Tally::default();
    for folder in folders() {
        tally.add(run_folder(&folder, mode()));
    }
    tally.report();
    assert!(tally.failed.is_empty(), "{} script cases failed", tally.failed.len());
}
