//! What the store promises, on real databases: files in a folder of the test's own and a private PostgreSQL.

mod conformance;
mod faults;
mod identity;
mod migrations;

use std::path::PathBuf;
use std::time::Duration;

use ::tests::folder::Folder;
use ::tests::postgres::Postgres;
use model::time::{ManualClock, Timestamp};

use crate::migrate::{MIGRATIONS, Migration, Steps};
use crate::{Error, Location, Options, Store};

const NOW: Timestamp = Timestamp(1_767_225_600_000);

/// Short waits: a test that meets a lock shall not stand there for the server's five seconds.
fn impatient() -> Options {
    Options { lock_timeout: Duration::from_millis(200), connect_timeout: Duration::from_secs(1), ..Options::default() }
}

async fn open(location: &str) -> Result<Store, Error> {
    Store::open(location, &ManualClock::at(NOW)).await
}

async fn open_impatiently(location: &str) -> Result<Store, Error> {
    Store::open_with(&Location::parse(location)?, &ManualClock::at(NOW), &impatient()).await
}

async fn open_with_steps(location: &str, list: &[Migration]) -> Result<Store, Error> {
    Store::open_at(&Location::parse(location)?, &Steps { list, now: NOW }, &Options::default()).await
}

/// Our own steps and one more.
fn steps_and(step: Migration) -> Vec<Migration> {
    let mut list = MIGRATIONS.to_vec();
    list.push(step);
    list
}

/// One statement for both databases, outside the ports.
async fn execute(store: &Store, sql: &'static str) -> Result<(), Error> {
    crate::database::writing!(store, |pool| sqlx::query(sql).execute(pool).await.map(drop))
}

/// How many rows a statement for both databases gives.
async fn rows(store: &Store, sql: &'static str) -> Result<usize, Error> {
    crate::database::writing!(store, |pool| sqlx::query(sql).fetch_all(pool).await.map(|rows| rows.len()))
}

/// An address on each database: a new file, and a new PostgreSQL database where the machine has PostgreSQL.
struct Places {
    _folder: Folder,
    locations: Vec<String>,
}

impl Places {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let mut locations = vec![folder.file("watchpost.db")];
        locations.extend(Postgres::shared().map(|server| server.database(name)));
        Self { _folder: folder, locations }
    }
}

/// The test binary itself, to run one test in a process of its own.
fn own_binary() -> PathBuf {
    std::env::current_exe().expect("a running binary has a path")
}
