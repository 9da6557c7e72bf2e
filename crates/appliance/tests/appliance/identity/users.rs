//! Users, as those who administer see them.

use appliance::identity::UserUpdate;
use auth::ports::Page;

use super::*;

#[tokio::test]
async fn a_user_is_made_found_changed_and_deleted() {
    let world = World::with_admin().await;
    let ann = world.ann().await;
    let request = UserRequest { name: "Bob".to_owned(), role: Role::Viewer, password: None };
    let made = world.identity.create_user(&ann, &request).await.expect("the name is free");
    assert_eq!((made.user.name.as_str(), made.user.role), ("bob", Role::Viewer));
    assert_eq!(world.identity.user_named(&ann, "BOB").await.map(|user| user.id), Ok(made.user.id));
    assert_eq!(world.identity.create_user(&ann, &request).await.err(), Some(IdentityError::NameTaken));
    let update =
        UserUpdate { role: Some(Role::Editor), seen_version: Some(made.user.version), ..UserUpdate::default() };
    let changed = world.identity.update_user(&ann, made.user.id, &update).await.expect("nobody else was there");
    assert_eq!((changed.role, changed.disabled), (Role::Editor, false));
    let late = world.identity.update_user(&ann, made.user.id, &update).await;
    assert_eq!(late.err(), Some(IdentityError::Stale));
    world.identity.delete_user(&ann, made.user.id).await.expect("it is there");
    assert_eq!(world.identity.user(&ann, made.user.id).await.err(), Some(IdentityError::NotFound));
    assert_eq!(world.identity.delete_user(&ann, made.user.id).await.err(), Some(IdentityError::NotFound));
    assert_eq!(world.identity.user_named(&ann, "bob").await.err(), Some(IdentityError::NotFound));
}

#[tokio::test]
async fn the_last_admin_is_neither_demoted_nor_disabled_nor_deleted() {
    let world = World::with_admin().await;
    let (operator, id) = (Caller::operator(), UserId(1));
    for update in [
        UserUpdate { role: Some(Role::Viewer), ..UserUpdate::default() },
        UserUpdate { disabled: Some(true), ..UserUpdate::default() },
    ] {
        let answer = world.identity.update_user(&operator, id, &update).await;
        assert_eq!(answer.err(), Some(IdentityError::LastAdmin));
    }
    assert_eq!(world.identity.delete_user(&operator, id).await.err(), Some(IdentityError::LastAdmin));
    world.user("second", Role::Admin).await;
    world.identity.delete_user(&operator, id).await.expect("there is another");
}

#[tokio::test]
async fn a_reset_of_the_password_ends_the_sessions_and_leaves_the_second_factor() {
    let world = World::with_admin().await;
    let (seed, done) = world.two_factors().await;
    let operator = Caller::operator();
    let shown = world.identity.reset_password(&operator, UserId(1), None).await.expect("it is there");
    let password = shown.expect("none was given");
    assert_eq!(world.whose(&done.token).await, None);
    assert!(matches!(world.try_login("ann", GOOD).await, Login::Refused));
    let Login::NeedsCode { challenge } = world.try_login("ann", password.expose()).await else {
        panic!("the second factor is asked for")
    };
    let Login::In(logged_in) = world.second_form(&challenge, &world.code(&seed)).await else { panic!("right") };
    assert!(logged_in.must_change_password);

    world.identity.reset_mfa(&operator, UserId(1)).await.expect("it is there");
    let given = world.identity.reset_password(&operator, UserId(1), Some(&secret(OTHER))).await;
    assert_eq!(given, Ok(None), "the operator's word stands");
    assert!(!world.log_in("ann", OTHER).await.must_change_password);
    invalid(world.identity.reset_password(&operator, UserId(1), Some(&secret("short"))).await, "password");
    let nobody = world.identity.reset_password(&operator, UserId(99), None).await;
    assert_eq!(nobody.err(), Some(IdentityError::NotFound));
    assert_eq!(world.identity.reset_mfa(&operator, UserId(99)).await.err(), Some(IdentityError::NotFound));
}

#[tokio::test]
async fn users_are_listed_in_pieces() {
    let world = World::with_admin().await;
    for number in 0..5 {
        world.user(&format!("user{number}"), Role::Viewer).await;
    }
    let operator = Caller::operator();
    let first = world.identity.users(&operator, Page { after: None, limit: 4 }).await.expect("memory answers");
    assert_eq!(first.items.len(), 4);
    let rest = world.identity.users(&operator, Page { after: first.next, limit: 4 }).await.expect("memory answers");
    assert_eq!((rest.items.len(), rest.next), (2, None));
    let exact = world.identity.users(&operator, Page { after: None, limit: 6 }).await.expect("memory answers");
    assert_eq!((exact.items.len(), exact.next), (6, None), "no empty piece at the end");
    let one = world.identity.users(&operator, Page { after: None, limit: 0 }).await.expect("memory answers");
    assert_eq!(one.items.len(), 1, "nothing is not a piece");
}

#[tokio::test]
async fn bad_names_and_weak_passwords_make_nobody() {
    let world = World::with_admin().await;
    let ann = world.ann().await;
    let huge = "x".repeat(1 << 20);
    for (name, password, field) in [
        ("", None, "name"),
        ("<img src=x onerror=alert(1)>", None, "name"),
        ("\u{202e}nna", None, "name"),
        (huge.as_str(), None, "name"),
        ("bob", Some("short"), "password"),
        ("bob", Some("bobbobbob123"), "password"),
        ("bob", Some(huge.as_str()), "password"),
    ] {
        let request = UserRequest { name: name.to_owned(), role: Role::Viewer, password: password.map(Secret::new) };
        invalid(world.identity.create_user(&ann, &request).await, field);
    }
    assert_eq!(world.trail().await.iter().filter(|row| row.deed.action == "user.create").count(), 0);
}
