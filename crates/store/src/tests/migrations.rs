//! The schema moves forward only, entirely or not at all, also when the process is killed on the way.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

/// Both databases take it, and it leaves a table.
const GOOD: Migration = Migration {
    name: "0003_half",
    sqlite: "CREATE TABLE half (x INTEGER) STRICT; INSERT INTO half VALUES (1)",
    postgres: "CREATE TABLE half (x BIGINT); INSERT INTO half VALUES (1)",
};
/// Works for long after it has begun to change things: SQLite writes some hundred megabytes, PostgreSQL sleeps.
const SLOW: Migration = Migration {
    name: "0003_half",
    sqlite: "CREATE TABLE half (x INTEGER) STRICT; INSERT INTO half \
             WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 30000000) SELECT x FROM n",
    postgres: "CREATE TABLE half (x BIGINT); SELECT pg_sleep(600)",
};
/// Fails in its second statement.
const BAD: Migration = Migration {
    name: "0003_half",
    sqlite: "CREATE TABLE half (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1)",
    postgres: "CREATE TABLE half (x BIGINT); INSERT INTO nowhere VALUES (1)",
};

/// Where the process below finds its database.
const CHILD_LOCATION: &str = "WATCHPOST_STORE_CHILD_LOCATION";

#[tokio::test]
async fn a_step_is_applied_once_and_remembered_with_its_time_and_version() {
    for location in &Places::new("once").locations {
        for _ in 0..2 {
            let store = open(location).await.expect("it opens");
            let row = concat!(
                "SELECT 1 FROM schema_migration WHERE number = 1 AND name = '0001_instance_and_jobs' ",
                "AND applied = 1767225600000 AND version = '",
                env!("CARGO_PKG_VERSION"),
                "'"
            );
            assert_eq!(rows(&store, row).await, Ok(1));
            assert_eq!(rows(&store, "SELECT 1 FROM schema_migration").await, Ok(MIGRATIONS.len()));
            store.close().await;
        }
        let store = open_with_steps(location, &steps_and(GOOD)).await.expect("a later version goes on");
        assert_eq!(rows(&store, "SELECT x FROM half").await, Ok(1));
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_by_name_and_left_alone() {
    for location in &Places::new("newer").locations {
        let store = open_with_steps(location, &steps_and(GOOD)).await.expect("the newer version");
        execute(&store, "UPDATE schema_migration SET version = '7.1.0' WHERE number = 3").await.expect("it answers");
        store.close().await;
        let error = open(location).await.expect_err("newer");
        assert!(matches!(&error, Error::NewerSchema { newest, .. } if newest == "0003_half"), "{error}");
        assert!(error.to_string().contains("run watchpost 7.1.0 or later"), "{error}");
        let store = open_with_steps(location, &steps_and(GOOD)).await.expect("nothing was changed");
        assert_eq!(rows(&store, "SELECT x FROM half").await, Ok(1));
        store.close().await;
    }
}

#[tokio::test]
async fn a_step_that_fails_is_named_and_leaves_nothing_behind() {
    for location in &Places::new("bad").locations {
        let error = open_with_steps(location, &steps_and(BAD)).await.expect_err("a bad step");
        assert!(matches!(&error, Error::Migration { migration, .. } if migration == "0003_half"), "{error}");
        assert!(error.to_string().contains("nowhere"), "{error}");
        let store = open_with_steps(location, &steps_and(GOOD)).await.expect("the mended step goes through");
        assert_eq!(rows(&store, "SELECT x FROM half").await, Ok(1));
        store.close().await;
    }
}

#[tokio::test]
async fn somebody_elses_database_is_refused_and_left_alone() {
    for location in &Places::new("foreign").locations {
        let theirs = Migration { name: "theirs", sqlite: GOOD.sqlite, postgres: GOOD.postgres };
        let store = open_with_steps(location, &[theirs]).await.expect("a database");
        let error = open(location).await.expect_err("another history");
        assert!(matches!(&error, Error::Foreign { reason, .. } if reason.contains("theirs")), "{error}");
        execute(&store, "DROP TABLE schema_migration").await.expect("it answers");
        let error = open(location).await.expect_err("no history");
        assert!(matches!(&error, Error::Foreign { reason, .. } if reason.contains("a table half")), "{error}");
        assert_eq!(rows(&store, "SELECT x FROM half").await, Ok(1));
        store.close().await;
    }
}

#[tokio::test]
async fn a_migration_killed_in_its_middle_is_taken_up_by_the_next_start() {
    for location in &Places::new("killed").locations {
        let mut child = spawn_child(location);
        wait_for_the_middle(location, &mut child);
        child.kill().expect("it still runs");
        child.wait().expect("it ended");

        let store = open_with_steps(location, &steps_and(GOOD)).await.expect("the next start goes through");
        assert_eq!(rows(&store, "SELECT x FROM half").await, Ok(1), "all of the new step, nothing of the old");
        assert_eq!(rows(&store, "SELECT 1 FROM schema_migration").await, Ok(MIGRATIONS.len() + 1));
        assert_eq!(store.check().await, Ok(Vec::new()));
        store.close().await;
    }
}

#[tokio::test]
#[ignore = "runs in a process of its own, which another test kills"]
async fn child_that_migrates_slowly() {
    let location = std::env::var(CHILD_LOCATION).expect("started by the test above");
    println!("begins");
    open_with_steps(&location, &steps_and(SLOW)).await.expect("nobody waits for this");
}

fn spawn_child(location: &str) -> Child {
    let mut command = Command::new(own_binary());
    command.args(["--ignored", "--exact", "tests::migrations::child_that_migrates_slowly", "--nocapture"]);
    command.env(CHILD_LOCATION, location).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("a binary that runs can be run");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("begins")), "the child begins");
    child
}

/// Until SQLite has spilled uncommitted pages into its log, or PostgreSQL sleeps after its first statement.
fn wait_for_the_middle(location: &str, child: &mut Child) {
    const SPILLED_BYTES: u64 = 4 << 20;
    let is_in_the_middle = || {
        if location.starts_with("postgres://") {
            let server = Postgres::shared().expect("it has given us the address");
            let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'killed' AND wait_event = 'PgSleep'";
            server.sql("postgres", sleeping) == "1"
        } else {
            fs::metadata(format!("{location}-wal")).is_ok_and(|log| log.len() > SPILLED_BYTES)
        }
    };
    while !is_in_the_middle() {
        assert_eq!(child.try_wait().expect("it can be asked"), None, "the child ended too early");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every column of a table, as the page writes it.
async fn columns(location: &str) -> Vec<String> {
    let store = open(location).await.expect("a new store opens");
    let crate::database::Database::Sqlite(pools) = &store.database else { panic!("a path") };
    let query = "SELECT t.name || '.' || c.name FROM pragma_table_list t JOIN pragma_table_info(t.name) c \
        WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite_%'";
    let columns = sqlx::query_scalar(query).fetch_all(&pools.readers).await.expect("it answers");
    store.close().await;
    columns
}

#[tokio::test]
async fn the_page_about_the_format_names_every_column_and_no_other() {
    let folder = Folder::new("page");
    let mut columns = columns(&folder.file("watchpost.db")).await;
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/metadata.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut named: Vec<String> = rows.map(|(column, _)| column.to_owned()).collect();
    columns.sort();
    named.sort();
    assert_eq!(named, columns);
}
