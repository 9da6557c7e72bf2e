//! Who may what, use case by use case, and what is written down about it.

use appliance::identity::{AuditCheck, IdentityError, UserUpdate, What};
use auth::audit::AuditResult;
use auth::permit::{Action, Denied, Object, Scope, SessionId, TokenId, authz};
use auth::ports::Page;

use super::*;

const ALL: Page = Page { after: None, limit: 100 };

/// Every use case of those who administer, by a caller who may not: the refusals.
async fn refusals(world: &World, caller: &Caller) -> Vec<Option<IdentityError>> {
    let identity = &world.identity;
    let request = UserRequest { name: "eve".to_owned(), role: Role::Admin, password: None };
    let update = UserUpdate { role: Some(Role::Admin), ..UserUpdate::default() };
    vec![
        identity.users(caller, ALL).await.err(),
        identity.user(caller, UserId(1)).await.err(),
        identity.user_named(caller, "ann").await.err(),
        identity.create_user(caller, &request).await.err(),
        identity.update_user(caller, UserId(1), &update).await.err(),
        identity.reset_password(caller, UserId(1), None).await.err(),
        identity.reset_mfa(caller, UserId(1)).await.err(),
        identity.delete_user(caller, UserId(1)).await.err(),
        identity.tokens(caller, None, ALL).await.err(),
        identity.tokens(caller, Some(UserId(1)), ALL).await.err(),
        identity.revoke_token(caller, TokenId(1)).await.err(),
        identity.sessions(caller, UserId(1)).await.err(),
        identity.close_session(caller, UserId(1), SessionId(2)).await.err(),
        identity.audit(caller, &AuditFilter { limit: 1, ..AuditFilter::default() }).await.err(),
        identity.verify_audit(caller).await.err(),
    ]
}

#[tokio::test]
async fn who_may_not_administer_is_refused_everywhere_and_it_is_written_down() {
    let world = World::with_admin().await;
    world.log_in("ann", GOOD).await;
    for role in [Role::Viewer, Role::Editor] {
        world.user(role.as_str(), role).await;
        let caller = world.caller(&world.log_in(role.as_str(), GOOD).await.token).await;
        let before = world.trail().await.len();
        let refusals = refusals(&world, &caller).await;
        let expected = Some(IdentityError::Denied(Denied::NeedsRole(Role::Admin)));
        assert!(refusals.iter().all(|refusal| *refusal == expected), "{role}: {refusals:?}");
        let trail = world.trail().await;
        assert_eq!(trail.len() - before, refusals.len(), "each is written down");
        assert!(trail[..refusals.len()].iter().all(|row| row.deed.result == AuditResult::Refused));
    }
    let nobody = Caller::new(Principal::Anonymous, client());
    let refusals = refusals(&world, &nobody).await;
    let expected = Some(IdentityError::Denied(Denied::NotAuthenticated));
    assert!(refusals.iter().all(|refusal| *refusal == expected), "{refusals:?}");
    assert_eq!(world.identity.users(&Caller::operator(), ALL).await.expect("operator").items.len(), 3, "no eve");
}

#[tokio::test]
async fn a_token_administers_with_its_scope_and_an_admin_behind_it() {
    let world = World::with_admin().await;
    let token = |role, scopes: &[Scope]| {
        let scopes = scopes.to_vec();
        Caller::new(Principal::Token { id: TokenId(9), name: "t".to_owned(), owner: UserId(1), role, scopes }, client())
    };
    assert!(world.identity.users(&token(Role::Admin, &[Scope::Admin]), ALL).await.is_ok());
    let without = world.identity.users(&token(Role::Admin, &[Scope::MetricsRead]), ALL).await.err();
    assert_eq!(without, Some(IdentityError::Denied(Denied::NeedsScope(Scope::Admin))));
    let demoted = world.identity.users(&token(Role::Editor, &[Scope::Admin]), ALL).await.err();
    assert_eq!(demoted, Some(IdentityError::Denied(Denied::NeedsRole(Role::Admin))));
}

#[tokio::test]
async fn only_a_person_with_a_session_has_an_account_of_ones_own() {
    let world = World::with_admin().await;
    for caller in
        [Caller::operator(), Caller::new(Principal::Local, client()), Caller::new(Principal::Anonymous, client())]
    {
        let refused = Some(IdentityError::Denied(Denied::NotAuthenticated));
        assert_eq!(world.identity.me(&caller).await.err(), refused);
        let changed = world.identity.change_password(&caller, &secret(GOOD), &secret(OTHER)).await;
        assert_eq!(changed.err(), refused);
        assert_eq!(world.identity.close_other_sessions(&caller).await.err(), refused);
        assert!(world.identity.begin_totp(&caller, &secret(GOOD)).await.is_err());
    }
}

#[tokio::test]
async fn a_temporary_password_opens_its_change_and_nothing_else() {
    let world = World::with_admin().await;
    let ann = world.ann().await;
    let request = UserRequest { name: "bob".to_owned(), role: Role::Admin, password: None };
    let made = world.identity.create_user(&ann, &request).await.expect("ann may");
    let password = made.temporary_password.expect("none was given");
    let logged_in = world.log_in("bob", password.expose()).await;
    assert!(logged_in.must_change_password);
    let bob = world.caller(&logged_in.token).await;
    let refused = world.identity.users(&bob, ALL).await.err();
    assert_eq!(refused, Some(IdentityError::Denied(Denied::MustChangePassword)));
    assert_eq!(authz(&bob.principal, Action::View, Object::Server), Err(Denied::MustChangePassword));
    let token = world.identity.change_password(&bob, &password, &secret(OTHER)).await.expect("this it may");
    let bob = world.caller(&token).await;
    assert!(world.identity.users(&bob, ALL).await.is_ok());
}

#[tokio::test]
async fn a_temporary_password_ends_after_a_day_with_the_sessions_it_opened() {
    let world = World::with_admin().await;
    let ann = world.ann().await;
    let request = UserRequest { name: "bob".to_owned(), role: Role::Viewer, password: Some(secret(OTHER)) };
    let made = world.identity.create_user(&ann, &request).await.expect("ann may");
    assert!(made.temporary_password.is_none(), "ann knows it");
    assert_eq!(made.user.temporary_password_until, Some(NOW.plus(DAY)), "and so it is temporary");
    world.clock.advance(DAY - HOUR);
    let token = world.log_in("bob", OTHER).await.token;
    world.clock.advance(HOUR);
    assert_eq!(world.whose(&token).await, None);
    assert!(matches!(world.try_login("bob", OTHER).await, Login::Refused));
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_from_where_and_is_whole() {
    let world = World::with_admin().await;
    let ann = world.ann().await;
    let bob = world.user("bob", Role::Viewer).await;
    world
        .identity
        .update_user(&ann, bob, &UserUpdate { role: Some(Role::Editor), ..UserUpdate::default() })
        .await
        .expect("ann may");
    assert_eq!(world.last_deed().await, "user ann 192.0.2.7 user.update user bob ok editor, enabled");
    world.identity.reset_mfa(&Caller::operator(), bob).await.expect("the operator may");
    assert_eq!(world.last_deed().await, "operator   user.reset_mfa user bob ok ");
    let reload = What { action: "reload", object: "configuration", result: AuditResult::Failed, detail: "line\n1" };
    world.identity.record(&ann, reload).await.expect("memory answers");
    assert_eq!(world.last_deed().await, "user ann 192.0.2.7 reload configuration failed line\u{fffd}1");
    let rows = i64::try_from(world.trail().await.len()).expect("few");
    assert_eq!(world.identity.verify_audit(&ann).await, Ok(AuditCheck::Whole { rows }));
}

#[tokio::test]
async fn the_audit_log_is_read_in_pieces() {
    let world = World::with_admin().await;
    for number in 0..25 {
        let detail = number.to_string();
        let what = What { action: "tick", object: "server", result: AuditResult::Ok, detail: &detail };
        world.identity.record(&Caller::operator(), what).await.expect("memory answers");
    }
    let mut filter = AuditFilter { what: Some("tick".to_owned()), limit: 10, ..AuditFilter::default() };
    let mut seen = Vec::new();
    let mut pieces = 0;
    loop {
        let page = world.identity.audit(&Caller::operator(), &filter).await.expect("memory answers");
        seen.extend(page.items.into_iter().map(|row| row.deed.detail));
        pieces += 1;
        filter.before = page.next;
        if page.next.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).rev().map(|number| number.to_string()).collect();
    assert_eq!((pieces, seen), (3, expected));
    let greedy = AuditFilter { limit: u32::MAX, ..AuditFilter::default() };
    assert!(world.identity.audit(&Caller::operator(), &greedy).await.is_ok(), "more than there may be is bounded");
}
