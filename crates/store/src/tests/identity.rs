//! Identity's ports on both databases: their suite, what happens at once, and what survives a kill.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use auth::account::Account;
use auth::audit::{AuditResult, CHAIN_START, Deed, verify};
use auth::permit::{Role, UserId};
use auth::ports::{
    AccountChange, AccountsPort, AuditPort, Change, FirstAccount, NewAccount, NewSession, NewToken, PasswordChange,
    SessionsPort, TokensPort, suite,
};
use auth::random::hash;
use auth::throttle::{Charge, Throttle};
use model::port::PortError;
use tokio::task::JoinSet;

use super::*;

/// Where the process below finds its database.
const CHILD_LOCATION: &str = "WATCHPOST_STORE_CHILD_IDENTITY";

fn account<'a>(name: &'a str, role: Role) -> NewAccount<'a> {
    NewAccount { name, role, password_hash: "hash", temporary_until: None, at: NOW }
}

fn session(user: UserId, token: &str) -> NewSession<'static> {
    NewSession {
        user,
        password_hash: "hash",
        token_hash: hash(token),
        at: NOW,
        address: "192.0.2.1",
        agent: "",
        replaces: None,
        sessions_max: 50,
    }
}

fn deed(number: i64) -> Deed {
    let text = |text: &str| text.to_owned();
    Deed {
        at: NOW,
        actor_kind: text("user"),
        actor: text("ann"),
        address: text(""),
        action: text("login"),
        object: number.to_string(),
        result: AuditResult::Ok,
        detail: text(""),
    }
}

async fn made(store: &Store, name: &str, role: Role) -> UserId {
    store.create_account(&account(name, role)).await.expect("it answers").expect("the name is free")
}

async fn kept(store: &Store, user: UserId) -> Account {
    store.account(user).await.expect("it answers").expect("it is there")
}

#[tokio::test]
async fn both_databases_pass_the_suite_of_identity_and_keep_what_they_were_told() {
    for location in &Places::new("identity").locations {
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
async fn of_many_first_accounts_at_once_one_is_made() {
    for location in &Places::new("firsts").locations {
        let store = open(location).await.expect("a new store opens");
        let mut set = JoinSet::new();
        for number in 0..8 {
            let store = store.clone();
            set.spawn(async move {
                let link = hash(&format!("link {number}"));
                store.add_setup_link(&link, NOW.plus(Duration::from_secs(1))).await.expect("it answers");
                let (name, link) = (format!("admin{number}"), (number % 2 == 0).then_some(&link));
                store.create_first_account(link, &account(&name, Role::Admin)).await.expect("it answers")
            });
        }
        let outcomes = set.join_all().await;
        let is_made = |outcome: &&FirstAccount| matches!(outcome, FirstAccount::Made(_));
        assert_eq!(outcomes.iter().filter(is_made).count(), 1, "{outcomes:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn two_admins_who_demote_each_other_at_once_leave_one() {
    for location in &Places::new("demote").locations {
        let store = open(location).await.expect("a new store opens");
        let mut admins = Vec::new();
        for number in 0..6 {
            admins.push(made(&store, &format!("admin{number}"), Role::Admin).await);
        }
        let mut set = JoinSet::new();
        for (at, user) in admins.iter().copied().enumerate() {
            let store = store.clone();
            set.spawn(async move {
                let change = AccountChange { user, role: Some(Role::Viewer), disabled: None, seen_version: None };
                match at % 3 {
                    0 => store.change_account(&change).await,
                    1 => store.change_account(&AccountChange { role: None, disabled: Some(true), ..change }).await,
                    _ => store.delete_account(user).await,
                }
                .expect("it answers")
            });
        }
        let outcomes = set.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Change::LastAdmin).count(), 1, "{outcomes:?}");
        assert_eq!(rows(&store, "SELECT 1 FROM account WHERE role = 'admin' AND NOT disabled").await, Ok(1));
        store.close().await;
    }
}

#[tokio::test]
async fn no_login_outlives_a_password_that_is_changed_at_the_same_time() {
    for location in &Places::new("outlive").locations {
        let store = open(location).await.expect("a new store opens");
        for round in 0..10 {
            let user = made(&store, &format!("user{round}"), Role::Viewer).await;
            let mut set = JoinSet::new();
            for number in 0..6 {
                let store = store.clone();
                set.spawn(async move {
                    if number == 3 {
                        let change = PasswordChange {
                            user,
                            password_hash: "new",
                            temporary_until: None,
                            keep: None,
                            seen_hash: None,
                        };
                        assert!(store.set_password(&change).await.expect("it answers"));
                    } else {
                        let token = format!("{round} {number}");
                        store.open_session(&session(user, &token)).await.expect("it answers");
                    }
                });
            }
            set.join_all().await;
            assert_eq!(store.sessions(user).await, Ok(Vec::new()), "round {round}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_code_a_step_and_a_recovery_code_are_spent_once_by_many_at_once() {
    for location in &Places::new("spend").locations {
        let store = open(location).await.expect("a new store opens");
        let user = made(&store, "ann", Role::Viewer).await;
        assert_eq!(store.set_totp_pending(user, b"seed").await, Ok(true));
        assert_eq!(store.confirm_totp(user, b"seed", 1, &[hash("code")]).await, Ok(true));
        let mut set = JoinSet::new();
        for _ in 0..8 {
            let store = store.clone();
            set.spawn(async move {
                let step = store.spend_totp_step(user, 2).await.expect("it answers");
                let code = store.spend_recovery_code(user, &hash("code")).await.expect("it answers");
                (u32::from(step), u32::from(code))
            });
        }
        let spent = set.join_all().await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!(spent, (1, 1));
        store.close().await;
    }
}

#[tokio::test]
async fn the_chain_of_the_audit_log_holds_whoever_writes_at_once() {
    for location in &Places::new("chain").locations {
        let first = open(location).await.expect("a new store opens");
        let second = open(location).await.expect("a second process opens too");
        let mut set = JoinSet::new();
        for number in 0..20 {
            let store = if number % 2 == 0 { first.clone() } else { second.clone() };
            set.spawn(async move {
                // On a busy machine a connection may not be free in time: that says nothing about the database.
                loop {
                    match store.append_audit(&deed(number)).await {
                        Err(PortError::Unavailable(_)) => {}
                        answer => break answer.expect("it answers").sequence,
                    }
                }
            });
        }
        let mut numbers = set.join_all().await;
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=20).collect::<Vec<i64>>(), "no gaps, no number twice");
        let rows = first.audit_after(0, 100).await.expect("it answers");
        assert_eq!(verify((0, CHAIN_START), &rows), Ok(first.audit_head().await.expect("it answers")));
        first.close().await;
        second.close().await;
    }
}

#[tokio::test]
async fn a_row_of_the_audit_log_is_neither_changed_nor_taken_out() {
    for location in &Places::new("append").locations {
        let store = open(location).await.expect("a new store opens");
        store.append_audit(&deed(1)).await.expect("it answers");
        for statement in ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit"] {
            let error = execute(&store, statement).await.expect_err("append only");
            assert!(matches!(error, Error::Conflict { .. }), "{error}");
        }
        let rows = store.audit_after(0, 10).await.expect("it answers");
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].deed, deed(1));
        store.close().await;
    }
}

#[tokio::test]
async fn what_we_never_write_is_damage_and_not_a_default() {
    for location in &Places::new("damage").locations {
        let store = open(location).await.expect("a new store opens");
        let user = made(&store, "ann", Role::Viewer).await;
        let token = NewToken {
            owner: user,
            name: "t",
            prefix: "wp_",
            hash: hash("t"),
            scopes: &[],
            at: NOW,
            expires: NOW,
            tokens_max: 1,
        };
        store.create_token(&token).await.expect("it answers");
        execute(&store, "UPDATE api_token SET scopes = 'metrics:read everything'").await.expect("it answers");
        let error = store.token(&hash("t")).await.expect_err("an unknown scope is not left out");
        assert!(matches!(error, PortError::Corrupt(_)), "{error}");
        execute(&store, "UPDATE account SET totp_last_step = -1").await.expect("it answers");
        let error = store.account(user).await.expect_err("a step below zero");
        assert!(matches!(error, PortError::Corrupt(_)), "{error}");
        let error = execute(&store, "UPDATE account SET role = 'root'").await.expect_err("no such role");
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        store.close().await;
    }
}

#[tokio::test]
async fn many_attempts_at_once_are_not_more_than_in_a_row() {
    for location in &Places::new("attempts").locations {
        let (first, second) = (open(location).await.expect("it opens"), open(location).await.expect("it opens"));
        let throttle = Arc::new(Throttle::new("ann", Some("192.0.2.1".parse().expect("an address"))));
        let mut set = JoinSet::new();
        for number in 0..16 {
            let store = if number % 2 == 0 { first.clone() } else { second.clone() };
            let throttle = Arc::clone(&throttle);
            set.spawn(async move {
                loop {
                    match throttle.charge(&store, NOW).await {
                        Err(PortError::Unavailable(_)) => {}
                        answer => break answer.expect("it answers"),
                    }
                }
            });
        }
        let charges = set.join_all().await;
        let allowed = charges.iter().filter(|charge| **charge == Charge::Go).count();
        assert!((1..=3).contains(&allowed), "{charges:?}");
        first.close().await;
        second.close().await;
    }
}

#[tokio::test]
async fn a_killed_process_leaves_its_sessions_and_forgives_no_attempt() {
    for location in &Places::new("kill9").locations {
        open(location).await.expect("a new store opens").close().await;
        let mut command = Command::new(own_binary());
        command.args(["--ignored", "--exact", "tests::identity::child_that_is_killed", "--nocapture"]);
        command.env(CHILD_LOCATION, location).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a binary that runs can be run");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("answered")), "the child did its part");
        child.kill().expect("it still runs");
        child.wait().expect("it ended");

        let store = open(location).await.expect("the next start opens it");
        let found = store.session(&hash("the child's session")).await.expect("it answers");
        let (session, user) = found.expect("the session is there");
        assert_eq!((session.user, user.name.as_str()), (user.id, "ann"));
        let throttle = Throttle::new("ann", Some("192.0.2.1".parse().expect("an address")));
        let charge = throttle.charge(&store, NOW).await.expect("it answers");
        assert_eq!(charge, Charge::Wait(Duration::from_secs(1)), "three failures were charged before the kill");
        assert_eq!(kept(&store, user.id).await.totp_last_step, Some(7), "the spent code stays spent");
        let rows = store.audit_after(0, 10).await.expect("it answers");
        assert_eq!(verify((0, CHAIN_START), &rows), Ok(store.audit_head().await.expect("it answers")));
        assert_eq!(rows.len(), 1);
        assert_eq!(store.check().await, Ok(Vec::new()));
        store.close().await;
    }
}

#[tokio::test]
#[ignore = "runs in a process of its own, which another test kills"]
async fn child_that_is_killed() {
    let location = std::env::var(CHILD_LOCATION).expect("started by the test above");
    let store = open(&location).await.expect("it opens");
    let user = made(&store, "ann", Role::Admin).await;
    store.open_session(&session(user, "the child's session")).await.expect("it answers").expect("it opens");
    let throttle = Throttle::new("ann", Some("192.0.2.1".parse().expect("an address")));
    for _ in 0..3 {
        assert_eq!(throttle.charge(&store, NOW).await, Ok(Charge::Go));
    }
    assert_eq!(store.set_totp_pending(user, b"seed").await, Ok(true));
    assert_eq!(store.confirm_totp(user, b"seed", 7, &[]).await, Ok(true));
    store.append_audit(&deed(1)).await.expect("it answers");
    println!("answered");
    // Until killed: nothing is closed, nothing is flushed.
    tokio::time::sleep(Duration::from_secs(600)).await;
}
