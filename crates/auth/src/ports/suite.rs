//! The conformance suite of the ports: what every implementation must do, written once.
//!
//! [`fresh`] runs on an empty database; [`reopened`] on the same one after it was closed and opened again. A rule that
//! does not hold panics with the rule's words; an `Err` is the database's own.

use model::port::PortError;
use model::time::Timestamp;

use super::{
    AccountChange, Change, FirstAccount, IdentityPort, NewAccount, NewSession, NewToken, Page, PasswordChange,
};
use crate::account::{Account, User};
use crate::audit::{AuditFilter, AuditResult, CHAIN_START, Deed, verify};
use crate::permit::{Role, Scope, SessionId, TokenId, UserId};
use crate::random::{TokenHash, hash};
use crate::session::Session;
use crate::throttle::{Counter, Swap};
use crate::token::Token;

type Outcome = Result<(), PortError>;

const ALL: Page = Page { after: None, limit: 100 };

/// Every rule, on a database nobody has used.
pub async fn fresh(port: &dyn IdentityPort) -> Outcome {
    the_first_account_needs_a_link_and_is_the_first(port).await?;
    the_mark_of_the_key_is_kept_once(port).await?;
    names_are_taken_once_and_numbers_never_again(port).await?;
    the_last_admin_stays(port).await?;
    a_change_that_was_seen_too_late_is_stale(port).await?;
    a_session_needs_the_password_that_was_checked(port).await?;
    sessions_end_by_themselves_by_their_owner_and_by_number(port).await?;
    a_password_change_ends_the_sessions_but_one(port).await?;
    a_session_moves_to_another_token_and_ages_forward_only(port).await?;
    a_second_factor_is_confirmed_once_and_its_steps_are_spent_once(port).await?;
    recovery_codes_work_once(port).await?;
    a_token_comes_back_as_it_went_with_its_owner(port).await?;
    tokens_are_bounded_listed_and_revoked_by_their_owner(port).await?;
    what_was_a_users_goes_with_the_user(port).await?;
    counters_change_all_or_none_and_only_from_what_was_seen(port).await?;
    the_audit_log_is_a_chain_and_answers_questions(port).await?;
    what_is_not_there_is_not_changed(port).await
}

/// What [`fresh`] left is there after closing and opening.
pub async fn reopened(port: &dyn IdentityPort) -> Outcome {
    let first = named(port, "first").await?;
    assert_eq!((first.user.id, first.user.role), (UserId(1), Role::Admin), "an account survives");
    let sessions = port.sessions(first.user.id).await?;
    assert_eq!(sessions.len(), 1, "a session survives");
    assert!(port.session(&hash("kept session")).await?.is_some(), "under its token");
    assert!(port.token(&hash("kept token")).await?.is_some(), "a token survives");
    let counter = port.counters(&["kept"]).await?;
    assert_eq!(
        counter,
        [Some(Counter { level: 7, at: Timestamp(700) })],
        "a counter survives: a restart forgives nothing"
    );
    assert_eq!(port.key_mark(&[9; 16]).await?, [7; 16], "the mark of the key survives");
    let twofold = named(port, "twofold").await?;
    assert_eq!(twofold.totp_last_step, Some(101), "spent codes stay spent");
    let (head, rows) = (port.audit_head().await?, port.audit_after(0, 100).await?);
    assert_eq!(verify((0, CHAIN_START), &rows), Ok(head), "the chain holds");
    let next = port.append_audit(&deed("after", "reopening", 9)).await?;
    assert_eq!(next.sequence, head.0 + 1, "and goes on");
    Ok(())
}

fn new<'a>(name: &'a str, role: Role) -> NewAccount<'a> {
    NewAccount { name, role, password_hash: "hash of old", temporary_until: None, at: Timestamp(1_000) }
}

async fn make(port: &dyn IdentityPort, name: &str, role: Role) -> Result<UserId, PortError> {
    let made = port.create_account(&new(name, role)).await?;
    made.ok_or_else(|| PortError::Internal(format!("the suite expects the name {name} to be free")))
}

async fn named(port: &dyn IdentityPort, name: &str) -> Result<Account, PortError> {
    let found = port.account_named(name).await?;
    found.ok_or_else(|| PortError::Internal(format!("the suite expects an account {name}")))
}

fn login<'a>(user: UserId, token: &str, at: i64) -> NewSession<'a> {
    NewSession {
        user,
        password_hash: "hash of old",
        token_hash: hash(token),
        at: Timestamp(at),
        address: "192.0.2.1",
        agent: "a browser \u{1F980} '\"",
        replaces: None,
        sessions_max: 10,
    }
}

async fn open(port: &dyn IdentityPort, user: UserId, token: &str, at: i64) -> Result<SessionId, PortError> {
    let opened = port.open_session(&login(user, token, at)).await?;
    opened.ok_or_else(|| PortError::Internal("the suite expects a session".to_owned()))
}

fn deed(action: &str, detail: &str, at: i64) -> Deed {
    Deed {
        at: Timestamp(at),
        actor_kind: "user".to_owned(),
        actor: "first".to_owned(),
        address: "192.0.2.1".to_owned(),
        action: action.to_owned(),
        object: "server".to_owned(),
        result: AuditResult::Ok,
        detail: detail.to_owned(),
    }
}

async fn the_first_account_needs_a_link_and_is_the_first(port: &dyn IdentityPort) -> Outcome {
    assert!(!port.has_accounts().await?);
    let (link, old) = (hash("link"), hash("old link"));
    port.add_setup_link(&old, Timestamp(1_000)).await?;
    port.add_setup_link(&link, Timestamp(1_001)).await?;
    assert!(port.is_setup_link(&link, Timestamp(1_000)).await?);
    assert!(!port.is_setup_link(&link, Timestamp(1_001)).await?, "it has run out");
    let account = new("first", Role::Admin);
    for wrong in [hash("other"), old] {
        let made = port.create_first_account(Some(&wrong), &account).await?;
        assert_eq!(made, FirstAccount::BadLink, "unknown or too old");
    }
    let made = port.create_first_account(Some(&link), &account).await?;
    assert_eq!(made, FirstAccount::Made(UserId(1)));
    assert!(port.has_accounts().await?);
    assert!(!port.is_setup_link(&link, Timestamp(1_000)).await?, "it is gone");
    for link in [Some(&link), None] {
        let made = port.create_first_account(link, &new("second", Role::Admin)).await?;
        assert_ne!(made, FirstAccount::Made(UserId(2)), "there is a first one");
    }
    assert_eq!(port.create_first_account(None, &account).await?, FirstAccount::NotFirst);
    port.add_setup_link(&hash("late"), Timestamp(2_000)).await?;
    port.sweep_setup_links(Timestamp(2_001)).await?;
    assert!(!port.is_setup_link(&hash("late"), Timestamp(0)).await?, "swept");
    Ok(())
}

async fn the_mark_of_the_key_is_kept_once(port: &dyn IdentityPort) -> Outcome {
    assert_eq!(port.key_mark(&[7; 16]).await?, [7; 16]);
    assert_eq!(port.key_mark(&[8; 16]).await?, [7; 16], "the first stays");
    Ok(())
}

async fn names_are_taken_once_and_numbers_never_again(port: &dyn IdentityPort) -> Outcome {
    let temporary = NewAccount { temporary_until: Some(Timestamp(5_000)), ..new("ann", Role::Viewer) };
    let ann = port.create_account(&temporary).await?.ok_or_else(|| PortError::Internal("free".to_owned()))?;
    assert_eq!(port.create_account(&new("ann", Role::Admin)).await?, None, "the name is taken");
    let expected = User {
        id: ann,
        name: "ann".to_owned(),
        role: Role::Viewer,
        disabled: false,
        created: Timestamp(1_000),
        last_login: None,
        second_factor: false,
        recovery_codes_left: 0,
        temporary_password_until: Some(Timestamp(5_000)),
        version: 1,
    };
    let account = named(port, "ann").await?;
    assert_eq!((account.user, account.password_hash.expose()), (expected.clone(), "hash of old"));
    assert_eq!((account.totp_seed, account.totp_pending, account.totp_last_step), (None, None, None));
    assert_eq!(port.account(ann).await?.map(|account| account.user), Some(expected));
    assert_eq!(port.account_named("nobody").await?, None);
    assert_eq!(port.account_named("ANN").await?, None, "names are kept in one spelling");

    let bob = make(port, "bob", Role::Editor).await?;
    assert_eq!(port.delete_account(bob).await?, Change::Done);
    assert!(make(port, "bob", Role::Editor).await?.0 > bob.0, "a number is not used again");
    let names: Vec<String> = port.users(ALL).await?.into_iter().map(|user| user.name).collect();
    assert_eq!(names, ["first", "ann", "bob"], "by number");
    let second = port.users(Page { after: Some(1), limit: 1 }).await?;
    assert_eq!(second.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["ann"], "a piece");
    Ok(())
}

fn change(user: UserId) -> AccountChange {
    AccountChange { user, role: None, disabled: None, seen_version: None }
}

async fn the_last_admin_stays(port: &dyn IdentityPort) -> Outcome {
    let first = named(port, "first").await?.user.id;
    for attempt in [
        AccountChange { role: Some(Role::Editor), ..change(first) },
        AccountChange { disabled: Some(true), ..change(first) },
    ] {
        assert_eq!(port.change_account(&attempt).await?, Change::LastAdmin);
    }
    assert_eq!(port.delete_account(first).await?, Change::LastAdmin);
    let ann = named(port, "ann").await?.user.id;
    let promote = AccountChange { role: Some(Role::Admin), ..change(ann) };
    assert_eq!(port.change_account(&promote).await?, Change::Done);
    let disable = AccountChange { disabled: Some(true), ..change(ann) };
    assert_eq!(port.change_account(&disable).await?, Change::Done, "there is another");
    assert_eq!(port.delete_account(first).await?, Change::LastAdmin, "one that is disabled does not count");
    let back = AccountChange { disabled: Some(false), role: Some(Role::Viewer), ..change(ann) };
    assert_eq!(port.change_account(&back).await?, Change::Done);
    assert_eq!(port.change_account(&change(first)).await?, Change::Done, "a change of nothing is allowed");
    Ok(())
}

async fn a_change_that_was_seen_too_late_is_stale(port: &dyn IdentityPort) -> Outcome {
    let ann = named(port, "ann").await?.user;
    let edit = AccountChange { role: Some(Role::Editor), seen_version: Some(ann.version), ..change(ann.id) };
    assert_eq!(port.change_account(&edit).await?, Change::Done);
    assert_eq!(port.change_account(&edit).await?, Change::Stale);
    let now = named(port, "ann").await?.user;
    assert_eq!((now.role, now.version), (Role::Editor, ann.version + 1), "each change counts once");
    Ok(())
}

async fn a_session_needs_the_password_that_was_checked(port: &dyn IdentityPort) -> Outcome {
    let user = make(port, "session", Role::Viewer).await?;
    let other = NewSession { password_hash: "hash of other", ..login(user, "s0", 2_000) };
    assert_eq!(port.open_session(&other).await?, None, "the password was changed meanwhile");
    assert_eq!(named(port, "session").await?.user.last_login, None, "that was no login");
    let id = open(port, user, "s1", 2_000).await?;
    let expected = Session {
        id,
        user,
        token_hash: hash("s1"),
        created: Timestamp(2_000),
        last_seen: Timestamp(2_000),
        address: "192.0.2.1".to_owned(),
        agent: "a browser \u{1F980} '\"".to_owned(),
    };
    let (session, owner) =
        port.session(&hash("s1")).await?.ok_or_else(|| PortError::Internal("it was opened".to_owned()))?;
    assert_eq!(session, expected);
    assert_eq!((owner.name.as_str(), owner.last_login), ("session", Some(Timestamp(2_000))), "a login is noted");
    assert_eq!(port.session(&hash("s0")).await?, None);
    let disable = AccountChange { disabled: Some(true), ..change(user) };
    assert_eq!(port.change_account(&disable).await?, Change::Done);
    assert_eq!(port.session(&hash("s1")).await?, None, "disabling ends the sessions");
    assert_eq!(port.open_session(&login(user, "s2", 2_100)).await?, None, "and opens none");
    let enable = AccountChange { disabled: Some(false), role: Some(Role::Admin), ..change(user) };
    assert_eq!(port.change_account(&enable).await?, Change::Done);
    open(port, user, "s3", 2_200).await?;
    let (_, owner) = port.session(&hash("s3")).await?.ok_or_else(|| PortError::Internal("opened".to_owned()))?;
    assert_eq!(owner.role, Role::Admin, "the role is the one of now");
    let demote = AccountChange { role: Some(Role::Viewer), ..change(user) };
    assert_eq!(port.change_account(&demote).await?, Change::Done);
    let (_, owner) = port.session(&hash("s3")).await?.ok_or_else(|| PortError::Internal("opened".to_owned()))?;
    assert_eq!(owner.role, Role::Viewer, "also in a session that was opened before");
    Ok(())
}

async fn sessions_end_by_themselves_by_their_owner_and_by_number(port: &dyn IdentityPort) -> Outcome {
    let user = make(port, "many", Role::Viewer).await?;
    let stranger = named(port, "ann").await?.user.id;
    let mut ids = Vec::new();
    for number in 0..3i64 {
        ids.push(open(port, user, &format!("many {number}"), 3_000 + number).await?);
    }
    port.touch_session(ids[0], Timestamp(3_500)).await?;
    let listed: Vec<SessionId> = port.sessions(user).await?.into_iter().map(|session| session.id).collect();
    assert_eq!(listed, [ids[0], ids[2], ids[1]], "most recently used first");
    let fourth = NewSession { sessions_max: 3, ..login(user, "many 3", 3_600) };
    let fourth = port.open_session(&fourth).await?.ok_or_else(|| PortError::Internal("opened".to_owned()))?;
    assert_eq!(port.session(&hash("many 1")).await?, None, "the one unused for longest made room");
    let fifth = NewSession { replaces: Some(hash("many 3")), ..login(user, "many 4", 3_700) };
    let fifth = port.open_session(&fifth).await?.ok_or_else(|| PortError::Internal("opened".to_owned()))?;
    assert_eq!(port.session(&hash("many 3")).await?, None, "a login replaces the browser's session");
    assert!(!port.close_session(user, fourth).await?, "it is gone already");
    assert!(!port.close_session(stranger, fifth).await?, "not the stranger's");
    assert!(port.close_session(user, fifth).await?);
    assert_eq!(port.session(&hash("many 4")).await?, None);
    assert_eq!(port.sweep_sessions(Timestamp(3_001), Timestamp(0)).await?, 2, "by age: many 0 and one of before");
    assert_eq!(port.sessions(user).await?.len(), 1);
    assert_eq!(port.sweep_sessions(Timestamp(0), Timestamp(3_003)).await?, 1, "by idleness");
    assert_eq!(port.sessions(user).await?, []);
    Ok(())
}

async fn a_password_change_ends_the_sessions_but_one(port: &dyn IdentityPort) -> Outcome {
    let user = make(port, "changer", Role::Viewer).await?;
    let bystander = named(port, "first").await?.user.id;
    open(port, bystander, "kept session", 4_000).await?;
    let kept = open(port, user, "c1", 4_000).await?;
    open(port, user, "c2", 4_000).await?;
    let mut change = PasswordChange {
        user,
        password_hash: "hash of new",
        temporary_until: Some(Timestamp(9_000)),
        keep: Some(kept),
        seen_hash: Some("hash of other"),
    };
    assert!(!port.set_password(&change).await?, "somebody else was faster");
    assert_eq!(port.sessions(user).await?.len(), 2);
    change.seen_hash = Some("hash of old");
    assert!(port.set_password(&change).await?);
    let account = named(port, "changer").await?;
    assert_eq!(account.password_hash.expose(), "hash of new");
    assert_eq!(account.user.temporary_password_until, Some(Timestamp(9_000)));
    assert!(port.session(&hash("c1")).await?.is_some() && port.session(&hash("c2")).await?.is_none());
    assert!(port.session(&hash("kept session")).await?.is_some(), "others are not touched");
    assert!(!port.rehash_password(user, "hash of old", "x").await?);
    assert!(port.rehash_password(user, "hash of new", "stronger hash of new").await?);
    assert!(port.session(&hash("c1")).await?.is_some(), "better parameters end nothing");
    let reset = PasswordChange { temporary_until: None, keep: None, seen_hash: None, ..change };
    assert!(port.set_password(&reset).await?);
    assert_eq!(port.sessions(user).await?, []);
    assert_eq!(named(port, "changer").await?.user.temporary_password_until, None);
    Ok(())
}

async fn a_session_moves_to_another_token_and_ages_forward_only(port: &dyn IdentityPort) -> Outcome {
    let user = make(port, "rotator", Role::Viewer).await?;
    let id = open(port, user, "before", 5_000).await?;
    assert!(port.rotate_session(id, &hash("after")).await?);
    assert!(port.session(&hash("before")).await?.is_none() && port.session(&hash("after")).await?.is_some());
    port.touch_session(id, Timestamp(5_500)).await?;
    port.touch_session(id, Timestamp(5_400)).await?;
    assert_eq!(port.sessions(user).await?[0].last_seen, Timestamp(5_500));
    open(port, user, "another", 5_600).await?;
    assert_eq!(port.close_sessions(user, Some(id)).await?, 1);
    assert_eq!(port.close_sessions(user, None).await?, 1);
    Ok(())
}

async fn a_second_factor_is_confirmed_once_and_its_steps_are_spent_once(port: &dyn IdentityPort) -> Outcome {
    let user = make(port, "twofold", Role::Viewer).await?;
    let seed: Vec<u8> = (0..=255).collect();
    assert!(!port.spend_totp_step(user, 1).await?, "there is no second factor yet");
    assert!(!port.confirm_totp(user, &seed, 1, &[]).await?, "nothing is pending");
    assert!(port.set_totp_pending(user, b"first try").await?);
    assert!(port.set_totp_pending(user, &seed).await?);
    assert!(!port.confirm_totp(user, b"first try", 1, &[]).await?, "another one was shown since");
    assert!(!named(port, "twofold").await?.user.second_factor, "what is pending is not asked for");
    assert!(port.confirm_totp(user, &seed, 100, &[hash("code 1"), hash("code 2")]).await?);
    assert!(!port.confirm_totp(user, &seed, 100, &[]).await?, "once");
    let account = named(port, "twofold").await?;
    assert_eq!((account.totp_seed, account.totp_pending), (Some(seed), None));
    assert!(account.user.second_factor);
    assert_eq!(account.user.recovery_codes_left, 2);
    for (step, fresh) in [(100, false), (101, true), (101, false), (99, false)] {
        assert_eq!(port.spend_totp_step(user, step).await?, fresh, "step {step}");
    }
    Ok(())
}

async fn recovery_codes_work_once(port: &dyn IdentityPort) -> Outcome {
    let user = named(port, "twofold").await?.user.id;
    let stranger = named(port, "ann").await?.user.id;
    assert!(!port.spend_recovery_code(stranger, &hash("code 1")).await?, "somebody else's");
    assert!(port.spend_recovery_code(user, &hash("code 1")).await?);
    assert!(!port.spend_recovery_code(user, &hash("code 1")).await?);
    assert_eq!(named(port, "twofold").await?.user.recovery_codes_left, 1);
    port.replace_recovery_codes(user, &[hash("code 3"), hash("code 4"), hash("code 5")]).await?;
    assert!(!port.spend_recovery_code(user, &hash("code 2")).await?, "the old ones are gone");
    assert_eq!(named(port, "twofold").await?.user.recovery_codes_left, 3);

    let other = make(port, "onefold", Role::Viewer).await?;
    assert!(port.set_totp_pending(other, b"seed").await?);
    assert!(port.confirm_totp(other, b"seed", 5, &[hash("code 3")]).await?, "codes are the user's own");
    assert!(port.set_totp_pending(other, b"again").await?);
    assert!(port.clear_totp(other).await?);
    let account = named(port, "onefold").await?;
    assert_eq!((account.totp_seed, account.totp_pending, account.totp_last_step), (None, None, None));
    assert!(!account.user.second_factor && account.user.recovery_codes_left == 0);
    Ok(())
}

fn ask<'a>(owner: UserId, name: &'a str, secret: &str) -> NewToken<'a> {
    NewToken {
        owner,
        name,
        prefix: "wp_abcde",
        hash: hash(secret),
        scopes: &[Scope::MetricsRead, Scope::ErrorsWrite],
        at: Timestamp(6_000),
        expires: Timestamp(7_000),
        tokens_max: 3,
    }
}

async fn a_token_comes_back_as_it_went_with_its_owner(port: &dyn IdentityPort) -> Outcome {
    let owner = named(port, "first").await?.user.id;
    let odd = "a name ' \" ; -- %_ \u{1F980}";
    let id = port.create_token(&ask(owner, odd, "kept token")).await?;
    let id = id.ok_or_else(|| PortError::Internal("there is room".to_owned()))?;
    let expected = Token {
        id,
        owner,
        owner_name: "first".to_owned(),
        name: odd.to_owned(),
        prefix: "wp_abcde".to_owned(),
        hash: hash("kept token"),
        scopes: vec![Scope::MetricsRead, Scope::ErrorsWrite],
        created: Timestamp(6_000),
        expires: Timestamp(7_000),
        last_used: None,
    };
    let found = port.token(&hash("kept token")).await?;
    let (token, user) = found.ok_or_else(|| PortError::Internal("it was made".to_owned()))?;
    assert_eq!((&token, user.id), (&expected, owner));
    assert_eq!(port.token_by_id(id).await?.as_ref(), Some(&expected));
    assert_eq!(port.token(&hash("another")).await?, None);
    port.touch_token(id, Timestamp(6_500)).await?;
    port.touch_token(id, Timestamp(6_400)).await?;
    assert_eq!(port.token_by_id(id).await?.and_then(|token| token.last_used), Some(Timestamp(6_500)));
    Ok(())
}

async fn tokens_are_bounded_listed_and_revoked_by_their_owner(port: &dyn IdentityPort) -> Outcome {
    let owner = make(port, "tokens", Role::Viewer).await?;
    let stranger = named(port, "ann").await?.user.id;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.extend(port.create_token(&NewToken { scopes: &[], ..ask(owner, name, name) }).await?);
    }
    assert_eq!(ids.len(), 3);
    assert_eq!(port.create_token(&ask(owner, "d", "d")).await?, None, "three are enough");
    let names = |tokens: Vec<Token>| tokens.into_iter().map(|token| token.name).collect::<Vec<_>>();
    assert_eq!(names(port.tokens(Some(owner), ALL).await?), ["a", "b", "c"]);
    assert_eq!(names(port.tokens(Some(owner), Page { after: Some(ids[0].0), limit: 1 }).await?), ["b"]);
    assert_eq!(port.tokens(None, ALL).await?.len(), 4, "everybody's");
    assert_eq!(port.token_by_id(ids[0]).await?.map(|token| token.scopes), Some(Vec::new()));
    assert!(!port.delete_token(stranger, ids[1]).await?, "not the stranger's");
    assert!(port.delete_token(owner, ids[1]).await?);
    assert!(!port.delete_token(owner, ids[1]).await?);
    assert_eq!(port.token(&hash("b")).await?, None, "revoked");
    Ok(())
}

async fn what_was_a_users_goes_with_the_user(port: &dyn IdentityPort) -> Outcome {
    let user = make(port, "leaver", Role::Editor).await?;
    open(port, user, "leaving", 8_000).await?;
    port.create_token(&ask(user, "t", "leaver token")).await?;
    assert!(port.set_totp_pending(user, b"s").await? && port.confirm_totp(user, b"s", 1, &[hash("x")]).await?);
    assert_eq!(port.delete_account(user).await?, Change::Done);
    assert_eq!(port.account(user).await?, None);
    assert_eq!(port.session(&hash("leaving")).await?, None);
    assert_eq!(port.token(&hash("leaver token")).await?, None);
    assert!(!port.spend_recovery_code(user, &hash("x")).await?);
    let late = port.create_token(&ask(user, "t", "late")).await;
    assert!(!matches!(late, Ok(Some(_))), "nobody owns it: {late:?}");
    Ok(())
}

async fn counters_change_all_or_none_and_only_from_what_was_seen(port: &dyn IdentityPort) -> Outcome {
    let counter = |level, at| Some(Counter { level, at: Timestamp(at) });
    let swap = |key, seen, new| Swap { key, seen, new };
    assert_eq!(port.counters(&["a", "b"]).await?, [None, None]);
    assert!(port.swap_counters(&[swap("a", None, counter(1, 10)), swap("b", None, counter(2, 20))]).await?);
    assert_eq!(port.counters(&["b", "x", "a"]).await?, [counter(2, 20), None, counter(1, 10)], "in the order asked");
    for stale in [
        [swap("a", counter(1, 10), counter(5, 50)), swap("b", None, counter(5, 50))],
        [swap("a", counter(1, 10), counter(5, 50)), swap("b", counter(2, 21), counter(5, 50))],
        [swap("a", counter(1, 10), counter(5, 50)), swap("b", counter(3, 20), None)],
        [swap("a", counter(1, 10), None), swap("x", counter(1, 1), None)],
    ] {
        assert!(!port.swap_counters(&stale).await?, "{stale:?}");
        assert_eq!(port.counters(&["a", "b"]).await?, [counter(1, 10), counter(2, 20)], "nothing was changed");
    }
    assert!(port.swap_counters(&[swap("a", counter(1, 10), counter(2, 11)), swap("b", counter(2, 20), None)]).await?);
    assert_eq!(port.counters(&["a", "b"]).await?, [counter(2, 11), None]);
    assert!(port.swap_counters(&[]).await?, "nothing is as it was");
    assert!(port.swap_counters(&[swap("kept", None, counter(7, 700))]).await?);
    assert_eq!(port.sweep_counters(Timestamp(12)).await?, 1, "a");
    assert_eq!(port.counters(&["a", "kept"]).await?, [None, counter(7, 700)]);
    Ok(())
}

async fn the_audit_log_is_a_chain_and_answers_questions(port: &dyn IdentityPort) -> Outcome {
    assert_eq!(port.audit_head().await?, (0, CHAIN_START));
    for at in 1..=5 {
        let mut row = deed(if at % 2 == 0 { "even" } else { "odd" }, "it's \u{1F980} \"quoted\" %_", at * 100);
        if at == 3 {
            (row.actor, row.object, row.result) = ("ann".to_owned(), "user bob".to_owned(), AuditResult::Refused);
        }
        let record = port.append_audit(&row).await?;
        assert_eq!((record.sequence, &record.deed), (at, &row));
        assert_eq!(port.audit_head().await?, (at, record.hash));
    }
    let rows = port.audit_after(0, 100).await?;
    assert_eq!(verify((0, CHAIN_START), &rows), Ok(port.audit_head().await?));
    assert_eq!(port.audit_after(2, 2).await?, rows[2..4]);

    let all = AuditFilter { limit: 100, ..AuditFilter::default() };
    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (all.clone(), &[5, 4, 3, 2, 1][..]),
        (AuditFilter { limit: 2, ..all.clone() }, &[5, 4]),
        (AuditFilter { before: Some(4), limit: 2, ..all.clone() }, &[3, 2]),
        (AuditFilter { who: text("ann"), ..all.clone() }, &[3]),
        (AuditFilter { who: text("an%"), ..all.clone() }, &[]),
        (AuditFilter { what: text("even"), ..all.clone() }, &[4, 2]),
        (AuditFilter { object: text("user bob"), ..all.clone() }, &[3]),
        (AuditFilter { result: Some(AuditResult::Refused), ..all.clone() }, &[3]),
        (AuditFilter { result: Some(AuditResult::Failed), ..all.clone() }, &[]),
        (AuditFilter { from: Some(Timestamp(200)), to: Some(Timestamp(400)), ..all.clone() }, &[3, 2]),
        (AuditFilter { what: text("odd"), who: text("first"), to: Some(Timestamp(500)), ..all }, &[1]),
    ] {
        let found: Vec<i64> = port.audit(&filter).await?.into_iter().map(|record| record.sequence).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    Ok(())
}

async fn what_is_not_there_is_not_changed(port: &dyn IdentityPort) -> Outcome {
    let (user, session, token) = (UserId(9_999), SessionId(9_999), TokenId(9_999));
    assert_eq!(port.account(user).await?, None);
    assert_eq!(port.change_account(&change(user)).await?, Change::NotThere);
    assert_eq!(port.delete_account(user).await?, Change::NotThere);
    let password = PasswordChange { user, password_hash: "x", temporary_until: None, keep: None, seen_hash: None };
    assert!(!port.set_password(&password).await?);
    assert!(!port.rehash_password(user, "x", "y").await?);
    assert!(!port.set_totp_pending(user, b"x").await?);
    assert!(!port.clear_totp(user).await?);
    assert!(!port.spend_totp_step(user, 1).await?);
    assert_eq!(port.open_session(&login(user, "nobody", 1)).await?, None);
    assert_eq!(port.sessions(user).await?, []);
    port.touch_session(session, Timestamp(1)).await?;
    assert!(!port.rotate_session(session, &TokenHash([0; 32])).await?);
    assert_eq!(port.close_sessions(user, None).await?, 0);
    assert_eq!(port.token_by_id(token).await?, None);
    port.touch_token(token, Timestamp(1)).await?;
    Ok(())
}
