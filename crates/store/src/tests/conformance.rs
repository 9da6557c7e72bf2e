//! The ports' suite on both databases, and what opening, checking and closing promise.

use appliance::ports::{Instance, InstancePort, JobsPort, PortError, suite};

use super::*;
use crate::database::reading;

#[tokio::test]
async fn both_databases_pass_the_suite_and_keep_what_they_were_told() {
    for location in &Places::new("suite").locations {
        let store = open(location).await.expect("a new store opens");
        suite::fresh(&store).await.expect("the suite runs");
        assert_eq!(store.check().await, Ok(Vec::new()));
        store.close().await;
        let store = open(location).await.expect("and opens again");
        suite::reopened(&store).await.expect("what was kept is there");
        store.close().await;
    }
}

#[tokio::test]
async fn several_processes_agree_on_one_instance() {
    for location in &Places::new("agree").locations {
        let mut set = tokio::task::JoinSet::new();
        for number in 0..6 {
            let location = location.clone();
            set.spawn(async move {
                let store = open(&location).await.expect("all may open at once");
                let candidate = Instance { id: format!("candidate {number}"), created: Timestamp(number) };
                let kept = store.instance(candidate).await.expect("it answers");
                store.close().await;
                kept
            });
        }
        let kept = set.join_all().await;
        assert!(kept.iter().all(|instance| *instance == kept[0]), "{kept:?}");
    }
}

#[tokio::test]
async fn of_many_claims_at_once_one_succeeds() {
    for location in &Places::new("claims").locations {
        let store = open(location).await.expect("a new store opens");
        store.schedule("job", "daily", Timestamp(100)).await.expect("it answers");
        let mut set = tokio::task::JoinSet::new();
        for number in 0..16 {
            let store = store.clone();
            set.spawn(async move {
                let (runner, due, next_due) = (format!("runner {number}"), Timestamp(100), Timestamp(200));
                let (now, lease_until) = (Timestamp(100), Timestamp(150));
                let claim = appliance::ports::Claim {
                    name: "job",
                    runner: &runner,
                    due,
                    next_due,
                    now,
                    lease_until,
                    late: false,
                };
                store.claim(&claim).await.expect("it answers")
            });
        }
        let claimed = set.join_all().await;
        assert_eq!(claimed.iter().filter(|claimed| **claimed).count(), 1);
        store.close().await;
    }
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    for location in &Places::new("closed").locations {
        let store = open(location).await.expect("a new store opens");
        store.close().await;
        store.close().await;
        let error = store.jobs().await.expect_err("closed");
        assert!(matches!(error, PortError::Unavailable(_)), "{error}");
        assert!(error.to_string().ends_with("not available: the store is closed"), "{error}");
    }
}

#[tokio::test]
async fn what_contradicts_the_schema_is_a_conflict_and_changes_nothing() {
    for location in &Places::new("conflict").locations {
        let store = open(location).await.expect("a new store opens");
        let second = "INSERT INTO instance (singleton, id, created) VALUES (2, 'second', 2)";
        let error = execute(&store, second).await.expect_err("one instance");
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        let half = "INSERT INTO job (name, schedule, next_due, lease_runner) VALUES ('half', 'daily', 1, 'a')";
        let error = execute(&store, half).await.expect_err("a lease has an end");
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        assert_eq!(store.jobs().await.expect("it answers"), []);
        store.close().await;
    }
}

#[tokio::test]
async fn a_count_below_zero_is_damage_and_not_a_number() {
    for location in &Places::new("count").locations {
        let store = open(location).await.expect("a new store opens");
        store.schedule("job", "daily", Timestamp(100)).await.expect("it answers");
        execute(&store, "UPDATE job SET runs = -1").await.expect("nobody checks that");
        let error = store.jobs().await.expect_err("unreadable");
        assert!(matches!(error, PortError::Corrupt(_)), "{error}");
        store.close().await;
    }
}

#[tokio::test]
async fn sqlite_is_set_up_as_promised() {
    let folder = Folder::new("setup");
    let store = open(&folder.file("watchpost.db")).await.expect("a new store opens");
    for (pragma, expected) in [
        ("SELECT 1 FROM pragma_journal_mode WHERE journal_mode = 'wal'", 1),
        ("SELECT 1 FROM pragma_synchronous WHERE synchronous = 2", 1),
        ("SELECT 1 FROM pragma_foreign_keys WHERE foreign_keys = 1", 1),
        ("SELECT 1 FROM pragma_query_only WHERE query_only = 0", 1),
        (
            "SELECT 1 FROM pragma_table_list WHERE type = 'table' AND schema = 'main' AND name NOT LIKE 'sqlite_%' AND strict = 0",
            0,
        ),
    ] {
        assert_eq!(rows(&store, pragma).await, Ok(expected), "{pragma}");
    }
    let through_a_reader = reading!(store, |pool| sqlx::query("DELETE FROM job").execute(pool).await.map(drop));
    assert!(matches!(through_a_reader, Err(Error::Refused { .. })), "{through_a_reader:?}");
    store.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_reads_the_file_and_closing_leaves_nothing_beside_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("mode");
    let store = open(&folder.file("watchpost.db")).await.expect("a new store opens");
    execute(&store, "DELETE FROM job").await.expect("it answers");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.path()).expect("readable") {
        let entry = entry.expect("readable");
        assert_eq!(entry.metadata().expect("readable").permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name());
    }
    assert_eq!(names.len(), 3, "file, log and its index: {names:?}");
    store.close().await;
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1);
}

#[tokio::test]
async fn neither_debug_nor_errors_show_the_password() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.database("hidden");
    let store = open(&url).await.expect("a new store opens");
    assert_eq!(format!("{store:?}"), format!("Store({:?})", url.replace(":geheim", "")));
    store.close().await;

    let wrong = url.replace("geheim", "falschgeheim");
    let away = "postgres://watchpost:geheim@127.0.0.1:1/hidden".to_owned();
    for (url, refused) in [(wrong, true), (server.url("nowhere"), true), (away, false)] {
        let error = open_impatiently(&url).await.expect_err("it cannot open");
        assert_eq!(matches!(error, Error::Refused { .. }), refused, "{error}");
        assert_eq!(matches!(error, Error::Unavailable { .. }), !refused, "{error}");
        assert!(!format!("{error} {error:?} {}", PortError::from(error.clone())).contains("geheim"), "{error:?}");
    }
}

#[tokio::test]
async fn postgres_names_an_index_that_is_not_valid() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.database("checked");
    let store = open(&url).await.expect("a new store opens");
    execute(&store, "CREATE INDEX job_due ON job (next_due)").await.expect("it answers");
    execute(&store, "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'job_due'::regclass")
        .await
        .expect("we are superuser");
    assert_eq!(store.check().await, Ok(vec!["index job_due is not valid".to_owned()]));
    store.close().await;
}
