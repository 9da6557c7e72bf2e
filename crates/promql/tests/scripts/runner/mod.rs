//! The runner of the script language: loads series, evaluates, compares.
//!
//! The language is described beside the shared scripts. Each instant case is also evaluated pinned by `@` at other
//! times and as the middle step of a range, as upstream's runner does, which makes seven cases of one.

mod case;
mod compare;
mod load;
mod script;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::memory::MemoryStorage;
use model::time::SystemClock;
use promql::engine::{Engine, Features, Settings};

use script::Command;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
    }

    /// Prints every failure and the count, which is the last line.
    pub(crate) fn report(&self) {
        for failure in &self.failed {
            println!("FAIL {failure}");
        }
        println!("{} passed, {} failed", self.passed, self.failed.len());
    }
}

/// How cases are compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mode {
    /// Annotations are matched with `(line:col)` behind them, as from the release after 3.14 on.
    pub(crate) positions: bool,
}

/// The settings the scripts are written for.
pub(crate) fn settings() -> Settings {
    Settings { features: Features::all(), timeout: Duration::from_secs(100), ..Settings::default() }
}

/// Runs every `*.test` of a folder.
pub(crate) fn run_folder(folder: &Path, mode: Mode) -> Tally {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    files.sort();
    let mut tally = Tally::default();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        tally.add(run_script(&file.display().to_string(), &text, mode));
    }
    tally
}

/// Runs one script. Every `eval` counts as one case.
pub(crate) fn run_script(name: &str, text: &str, mode: Mode) -> Tally {
    let mut tally = Tally::default();
    let mut world = World::new();
    for (line, command) in script::commands(text) {
        let result = match command {
            Ok(Command::Clear) => {
                world = World::new();
                continue;
            }
            Ok(Command::Load(load)) => match load::load(&mut world, &load) {
                Ok(()) => continue,
                Err(problem) => Err(problem),
            },
            Ok(Command::Eval(case)) => case::run(&world, &case, mode),
            Err(problem) => Err(problem),
        };
        match result {
            Ok(()) => tally.passed += 1,
            Err(problem) => tally.failed.push(format!("{name}:{line} {problem}")),
        }
    }
    tally
}

/// A storage and the engine over it.
pub(crate) struct World {
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) engine: Engine,
    /// What the storage would remember of the last histogram of each series.
    pub(crate) hints: load::Hints,
}

impl World {
    fn new() -> Self {
        let storage = Arc::new(MemoryStorage::new());
        let engine = Engine::new(storage.clone(), settings(), Arc::new(SystemClock::new()));
        Self { storage, engine, hints: load::Hints::default() }
    }
}
