//! Locked, damaged, gone and back: what the store says, and that it goes on.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};

use appliance::ports::{JobsPort, PortError};
use sqlx::{Connection, SqliteConnection};

use super::*;

/// Where the process below finds its file.
const CHILD_FILE: &str = "WATCHPOST_STORE_CHILD_FILE";

#[tokio::test]
async fn a_file_locked_by_another_process_is_unavailable_until_it_lets_go() {
    let folder = Folder::new("locked");
    let file = folder.file("watchpost.db");
    let store = open_impatiently(&file).await.expect("a new store opens");
    store.schedule("job", "daily", NOW).await.expect("nobody is in the way");

    let mut command = Command::new(own_binary());
    command.args(["--ignored", "--exact", "tests::faults::child_that_holds_the_lock", "--nocapture"]);
    command.env(CHILD_FILE, &file).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("a binary that runs can be run");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("locked")), "the child has the lock");

    let error = store.schedule("other", "daily", NOW).await.expect_err("the wait is bounded");
    assert!(matches!(error, PortError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("database is locked"), "{error}");
    let error = open_impatiently(&file).await.expect_err("opening takes the lock too");
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert_eq!(store.jobs().await.expect("reading goes on").len(), 1);

    child.kill().expect("it still runs");
    child.wait().expect("it ended");
    store.schedule("other", "daily", NOW).await.expect("the lock went with its holder");
    store.close().await;
}

#[tokio::test]
#[ignore = "runs in a process of its own, which another test kills"]
async fn child_that_holds_the_lock() {
    let file = std::env::var(CHILD_FILE).expect("started by the test above");
    let mut connection = SqliteConnection::connect(&format!("sqlite:{file}")).await.expect("the file is there");
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection).await.expect("nobody else has it");
    println!("locked");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("until killed, or until the test is gone");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged_and_left_alone() {
    let folder = Folder::new("garbage");
    let file = folder.file("watchpost.db");
    let garbage = "these are not the pages you are looking for ".repeat(100);
    fs::write(&file, &garbage).expect("writable");
    let error = open(&file).await.expect_err("no database");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("sqlite:{file}: damaged: ")), "{error}");
    assert_eq!(fs::read_to_string(&file).expect("readable"), garbage);
}

#[tokio::test]
async fn damaged_pages_are_found_by_the_check() {
    let folder = Folder::new("pages");
    let file = folder.file("watchpost.db");
    let store = open(&file).await.expect("a new store opens");
    for number in 0..200 {
        store.schedule(&format!("job {number:04} {}", "x".repeat(100)), "daily", NOW).await.expect("it answers");
    }
    store.close().await;
    // The first pages say that this is a database and what is in it; the last ones are data.
    let mut raw = fs::OpenOptions::new().write(true).open(&file).expect("writable");
    let length = raw.metadata().expect("readable").len();
    let pages = length / 4_096;
    assert!(pages > 30, "some pages: {pages}");
    let from = (pages - 8) * 4_096;
    raw.seek(SeekFrom::Start(from)).expect("inside");
    raw.write_all(&vec![0xA5; usize::try_from(length - from).expect("small")]).expect("writable");
    drop(raw);

    let store = open(&file).await.expect("its first pages are sound");
    match store.check().await {
        Ok(problems) => assert!(!problems.is_empty(), "the check sees it"),
        Err(error) => assert!(matches!(error, Error::Corrupt { .. }), "{error}"),
    }
    let error = store.jobs().await.expect_err("reading meets it");
    assert!(matches!(error, PortError::Corrupt(_)), "{error}");
    store.close().await;
}

#[tokio::test]
async fn a_file_cut_short_is_damaged() {
    let folder = Folder::new("short");
    let file = folder.file("watchpost.db");
    open(&file).await.expect("a new store opens").close().await;
    let raw = fs::OpenOptions::new().write(true).open(&file).expect("writable");
    raw.set_len(4_096).expect("writable");
    let error = open(&file).await.expect_err("the tables are gone");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_refused_by_name() {
    let folder = Folder::new("missing");
    let error = open(&folder.file("nowhere/watchpost.db")).await.expect_err("no folder");
    assert!(matches!(&error, Error::Refused { reason, .. } if reason == "no such folder"), "{error}");
    let error = open(&folder.file("")).await.expect_err("a folder is no file");
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_write_cut_off_by_its_caller_is_entire_or_not_at_all() {
    for location in &Places::new("cutoff").locations {
        let store = open(location).await.expect("a new store opens");
        for number in 0..20 {
            let name = format!("job {number}");
            let call = store.schedule(&name, "daily", NOW);
            // Polled once or a few times, then dropped.
            let _late = tokio::time::timeout(Duration::from_micros(number * 40), call).await;
        }
        let before = store.jobs().await.expect("the connections are sound").len();
        store.schedule("last", "daily", NOW).await.expect("and still write");
        let after = store.jobs().await.expect("and read").len();
        // A statement that had reached the database may still end after its caller has gone.
        assert!(after > before && after <= 21, "{before} {after}");
        assert_eq!(store.check().await, Ok(Vec::new()));
        store.close().await;
    }
}

#[tokio::test]
async fn a_postgres_that_was_killed_is_unavailable_and_found_again() {
    let Some(mut server) = Postgres::start() else { return };
    let url = server.database("reborn");
    let store = open_impatiently(&url).await.expect("a new store opens");
    store.schedule("job", "daily", NOW).await.expect("it answers");
    server.kill();
    for _ in 0..2 {
        let error = store.jobs().await.expect_err("nobody is there");
        assert!(matches!(error, PortError::Unavailable(_)), "{error}");
    }
    server.restart();
    let jobs = store.jobs().await.expect("the first call after the restart finds it");
    assert_eq!(jobs.len(), 1, "what was answered with Ok is there");
    store.close().await;
}

#[tokio::test]
async fn a_row_locked_by_somebody_in_postgres_is_waited_for_only_so_long() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.database("held");
    let (store, holder) = (open_impatiently(&url).await.expect("opens"), open(&url).await.expect("opens"));
    store.schedule("job", "daily", NOW).await.expect("it answers");
    let crate::database::Database::Postgres(pool) = &holder.database else { panic!("a postgres address") };
    let mut tx = pool.begin().await.expect("it answers");
    sqlx::query("UPDATE job SET runs = 1").execute(&mut *tx).await.expect("it answers");
    let error = store.renew("job", "a", NOW).await;
    assert_eq!(error, Ok(false), "a row that does not match is not waited for");
    let error = store.reschedule("job", NOW, Timestamp(1)).await.expect_err("the row is held");
    assert!(matches!(error, PortError::Unavailable(_)), "{error}");
    tx.rollback().await.expect("it answers");
    assert_eq!(store.reschedule("job", NOW, Timestamp(1)).await, Ok(true));
    store.close().await;
    holder.close().await;
}
