//! The first run.

use appliance::identity::{Credentials, SetupState};
use auth::ports::AccountsPort as _;

use super::*;

fn first() -> Credentials {
    Credentials { name: "Ann".to_owned(), password: secret(GOOD) }
}

async fn link(world: &World) -> Secret {
    match world.identity.first_run(None).await.expect("memory answers") {
        FirstRun::Link(link) => link,
        other => panic!("nobody is there: {other:?}"),
    }
}

#[tokio::test]
async fn whoever_holds_the_link_makes_the_first_account_once() {
    let world = World::empty();
    let link = link(&world).await;
    assert!(link.expose().len() as f64 * 62f64.log2() >= 128.0, "it cannot be guessed");
    assert_eq!(world.identity.setup_state().await, Ok(SetupState::NeedsSetup));
    assert_eq!(world.identity.setup_link_is_good(link.expose()).await, Ok(true));
    let logged_in = world.identity.complete_setup(link.expose(), &first(), &client()).await.expect("it is good");
    assert_eq!((logged_in.user.name.as_str(), logged_in.user.role), ("ann", Role::Admin));
    assert!(matches!(world.whose(&logged_in.token).await, Some(Principal::User { role: Role::Admin, .. })));
    assert_eq!(world.identity.setup_state().await, Ok(SetupState::Ready));
    assert_eq!(world.identity.setup_link_is_good(link.expose()).await, Ok(false));
    let again = world.identity.complete_setup(link.expose(), &first(), &client()).await;
    assert_eq!(again.err(), Some(IdentityError::SetupDone));
    assert_eq!(world.identity.first_run(None).await, Ok(FirstRun::Ready));
}

#[tokio::test]
async fn a_link_works_for_a_day_and_a_wrong_one_never() {
    let world = World::empty();
    let link = link(&world).await;
    for wrong in ["", "x", &link.expose()[1..], &link.expose().to_lowercase()] {
        let answer = world.identity.complete_setup(wrong, &first(), &client()).await;
        assert_eq!(answer.err(), Some(IdentityError::BadLink), "{wrong}");
    }
    world.clock.advance(DAY);
    assert_eq!(world.identity.setup_link_is_good(link.expose()).await, Ok(false));
    let answer = world.identity.complete_setup(link.expose(), &first(), &client()).await;
    assert_eq!(answer.err(), Some(IdentityError::BadLink));
    world.identity.sweep().await.expect("memory answers");
    assert!(matches!(world.identity.first_run(None).await, Ok(FirstRun::Link(_))), "a start makes a new one");
}

#[tokio::test]
async fn a_bad_name_or_password_does_not_use_the_link_up() {
    let world = World::empty();
    let link = link(&world).await;
    for (name, password, field) in
        [("<b>", GOOD, "name"), ("ann", "short", "password"), ("ann", "watchpost-2026", "password")]
    {
        let credentials = Credentials { name: name.to_owned(), password: secret(password) };
        invalid(world.identity.complete_setup(link.expose(), &credentials, &client()).await, field);
    }
    world.identity.complete_setup(link.expose(), &first(), &client()).await.expect("it is still good");
}

#[tokio::test]
async fn the_environment_makes_the_first_account_and_never_changes_it() {
    let world = World::with_admin().await;
    let other = FirstAdmin { name: "ann".to_owned(), password: secret(OTHER) };
    assert_eq!(world.identity.first_run(Some(other)).await, Ok(FirstRun::Ready));
    world.log_in("ann", GOOD).await;
    assert!(matches!(world.try_login("ann", OTHER).await, Login::Refused));
}

#[tokio::test]
async fn a_weak_password_in_the_environment_is_refused_and_makes_nobody() {
    let world = World::empty();
    for (name, password, field) in [("ann", "password1234", "password"), ("an n", GOOD, "name")] {
        let admin = FirstAdmin { name: name.to_owned(), password: secret(password) };
        invalid(world.identity.first_run(Some(admin)).await, field);
    }
    assert_eq!(world.ports.has_accounts().await, Ok(false));
}

#[test]
fn the_configuration_says_how_long_and_what_not() {
    let settings = appliance::config::Settings::default();
    assert_eq!(Settings::of(&settings), super::settings());
    let mut settings = settings;
    settings.auth.session.idle = HOUR;
    settings.auth.password.min_length = 20;
    let url: appliance::config::address::ExternalUrl = "https://watch.example.org:8443/x".parse().expect("right");
    settings.server.external_url = Some(yaml::Spanned::from(url));
    let settings = Settings::of(&settings);
    assert_eq!((settings.session.idle, settings.password.length_min), (HOUR, 20));
    assert_eq!(settings.password.context, ["watchpost", "watch.example.org", "watch", "example", "org"]);
}

#[tokio::test]
async fn a_start_with_another_key_is_refused() {
    let world = World::with_admin().await;
    let other = World::over(world.ports.clone(), SealKey::random().expect("randomness"), Cost::LEAST);
    let error = other.identity.first_run(None).await.expect_err("another key");
    assert!(error.to_string().contains("key"), "{error}");
    world.identity.first_run(None).await.expect("its own key");
}
