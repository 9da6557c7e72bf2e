//! Login, logout, and who a request comes from.

use auth::ports::AccountsPort as _;

use super::*;

#[tokio::test]
async fn a_login_opens_a_session_and_a_logout_ends_it() {
    let world = World::with_admin().await;
    let logged_in = world.log_in(" Ann ", GOOD).await;
    assert_eq!(logged_in.user.last_login, Some(NOW));
    assert!(!logged_in.must_change_password);
    let caller = world.caller(&logged_in.token).await;
    assert_eq!((caller.principal.kind(), caller.principal.name()), ("user", "ann"));
    assert_eq!(world.last_deed().await, "user ann 192.0.2.7 login own account ok ");
    world.identity.logout(&caller).await.expect("memory answers");
    assert_eq!(world.whose(&logged_in.token).await, None);
    assert_eq!(world.last_deed().await, "user ann 192.0.2.7 logout own session ok ");
    world.identity.logout(&caller).await.expect("twice is once");
}

/// The answer and the charge are the same, and so is the work: each is checked against a hash of the same cost.
#[tokio::test]
async fn unknown_wrong_and_disabled_are_answered_alike() {
    let world = World::with_admin().await;
    let bob = world.user("bob", Role::Viewer).await;
    let update = appliance::identity::UserUpdate { disabled: Some(true), ..Default::default() };
    world.identity.update_user(&Caller::operator(), bob, &update).await.expect("there is an admin left");
    let huge = "x".repeat(1 << 20);
    let mut answers = Vec::new();
    for (name, password) in [
        ("ann", OTHER),
        ("nobody", GOOD),
        ("bob", GOOD),
        ("", ""),
        ("<script>alert(1)</script>", GOOD),
        ("ann\0", GOOD),
        ("ann", &huge),
        (&huge, GOOD),
    ] {
        answers.push(format!("{:?}", world.try_login(name, password).await));
    }
    assert!(answers.iter().all(|answer| answer == "Refused"), "{answers:?}");
}

#[tokio::test]
async fn a_password_typed_into_the_wrong_field_is_not_written_down() {
    let world = World::with_admin().await;
    assert!(matches!(world.try_login(OTHER, "").await, Login::Refused));
    assert_eq!(world.last_deed().await, "anonymous  192.0.2.7 login an unknown user refused name or password");
    assert!(matches!(world.try_login("ann", "x").await, Login::Refused));
    assert_eq!(world.last_deed().await, "anonymous  192.0.2.7 login user ann refused name or password");
}

#[tokio::test]
async fn guessing_is_slowed_and_a_restart_forgives_nothing() {
    let world = World::with_admin().await;
    for _ in 0..3 {
        assert!(matches!(world.try_login("ann", OTHER).await, Login::Refused));
    }
    let Login::Throttled { retry_after } = world.try_login("ann", GOOD).await else {
        panic!("also the right one waits")
    };
    assert_eq!(retry_after, Duration::from_secs(1));
    let rows = world.trail().await.len();
    assert!(matches!(world.try_login("ann", GOOD).await, Login::Throttled { .. }));
    assert_eq!(world.trail().await.len(), rows, "what is turned away writes nothing");

    let key = SealKey::random().expect("randomness");
    let restarted = World::over(world.ports.clone(), key, Cost::LEAST);
    assert!(matches!(restarted.try_login("ann", GOOD).await, Login::Throttled { .. }));
    world.clock.advance(Duration::from_secs(1));
    world.log_in("ann", GOOD).await;
    for _ in 0..3 {
        assert!(matches!(world.try_login("ann", OTHER).await, Login::Refused), "a login forgives");
    }
}

#[tokio::test]
async fn a_session_ends_unused_after_twelve_hours_and_in_any_case_after_a_week() {
    let world = World::with_admin().await;
    let idle = world.log_in("ann", GOOD).await.token;
    let used = world.log_in("ann", GOOD).await.token;
    for _ in 0..13 {
        assert!(world.whose(&used).await.is_some());
        world.clock.advance(12 * HOUR - Duration::from_secs(1));
    }
    assert_eq!(world.whose(&idle).await, None);
    assert!(world.whose(&used).await.is_some(), "used twice a day");
    world.clock.advance(12 * HOUR - Duration::from_secs(1));
    assert!(world.whose(&used).await.is_some(), "a week less fourteen seconds");
    world.clock.advance(Duration::from_secs(14));
    assert_eq!(world.whose(&used).await, None, "a week has passed");
    world.identity.sweep().await.expect("memory answers");
    assert!(world.identity.sessions(&Caller::operator(), UserId(1)).await.expect("memory answers").is_empty());
}

#[tokio::test]
async fn shorter_limits_hold_at_once() {
    let world = World::with_admin().await;
    let token = world.log_in("ann", GOOD).await.token;
    world.clock.advance(HOUR);
    let session = Lifetime { idle: HOUR / 2, max: DAY };
    world.identity.apply(Settings { session, ..settings() });
    assert_eq!(world.whose(&token).await, None);
}

#[tokio::test]
async fn a_login_ends_the_session_the_browser_had() {
    let world = World::with_admin().await;
    let old = world.log_in("ann", GOOD).await.token;
    let request = LoginRequest {
        name: "ann".to_owned(),
        password: secret(GOOD),
        client: client(),
        previous: Some(old.clone()),
        ..LoginRequest::default()
    };
    let Ok(Login::In(new)) = world.identity.login(&request).await else { panic!("the password is right") };
    assert_ne!(new.token, old);
    assert_eq!(world.whose(&old).await, None);
    assert!(world.whose(&new.token).await.is_some());
}

#[tokio::test]
async fn what_is_no_session_token_is_nobody() {
    let world = World::with_admin().await;
    let token = world.log_in("ann", GOOD).await.token;
    let (text, huge) = (token.expose(), "x".repeat(1 << 20));
    for other in ["", "x", &text[1..], &format!("{text}x"), &text.to_lowercase(), &huge, "\0", "'; --"] {
        assert_eq!(world.whose(&secret(other)).await, None, "{other:.20}");
    }
}

#[tokio::test]
async fn a_role_taken_away_is_gone_with_the_next_request() {
    let world = World::with_admin().await;
    let bob = world.user("bob", Role::Admin).await;
    let token = world.log_in("bob", GOOD).await.token;
    let role = |principal: Option<Principal>| match principal {
        Some(Principal::User { role, .. }) => Some(role),
        _ => None,
    };
    assert_eq!(role(world.whose(&token).await), Some(Role::Admin));
    let mut update = appliance::identity::UserUpdate { role: Some(Role::Viewer), ..Default::default() };
    world.identity.update_user(&Caller::operator(), bob, &update).await.expect("ann is left");
    assert_eq!(role(world.whose(&token).await), Some(Role::Viewer));
    update.disabled = Some(true);
    world.identity.update_user(&Caller::operator(), bob, &update).await.expect("it is a viewer");
    assert_eq!(world.whose(&token).await, None);
}

#[tokio::test]
async fn a_hash_made_at_a_lower_cost_is_made_anew_at_login() {
    let world = World::with_admin().await;
    let key = SealKey::random().expect("randomness");
    let dearer = World::over(world.ports.clone(), key, Cost { memory_kib: 32, ..Cost::LEAST });
    let hash = || async { world.ports.account_named("ann").await.expect("memory").expect("ann").password_hash };
    let old = hash().await;
    assert!(matches!(dearer.try_login("ann", OTHER).await, Login::Refused));
    assert_eq!(hash().await, old, "a wrong password changes nothing");
    let token = dearer.log_in("ann", GOOD).await.token;
    let new = hash().await;
    assert!(new.expose().contains("m=32,") && new != old);
    assert!(dearer.whose(&token).await.is_some(), "the session is of the new hash");
    dearer.log_in("ann", GOOD).await;
    assert_eq!(hash().await, new, "once");
}

#[tokio::test]
async fn with_two_factors_a_password_alone_opens_nothing() {
    let world = World::with_admin().await;
    let (seed, _) = world.two_factors().await;
    let challenge = world.challenge().await;
    assert_eq!(world.whose(&challenge).await, None, "the proof of a password is no session");
    let code = world.code(&seed);
    let Login::In(logged_in) = world.second_form(&challenge, &code).await else { panic!("the code is right") };
    assert!(world.whose(&logged_in.token).await.is_some());
    assert!(matches!(world.second_form(&challenge, &code).await, Login::Refused), "a code works once");
    world.clock.advance(Duration::from_secs(30));
    let next = world.code(&seed);
    let request = LoginRequest {
        name: "ann".to_owned(),
        password: secret(GOOD),
        code: Some(format!(" {} {} ", &next[..3], &next[3..])),
        client: client(),
        previous: None,
    };
    assert!(matches!(world.identity.login(&request).await, Ok(Login::In(_))), "both at once work too");
    let wrong = LoginRequest { code: Some("000000".to_owned()), ..request };
    assert!(matches!(world.identity.login(&wrong).await, Ok(Login::Refused)));
}

#[tokio::test]
async fn the_proof_of_a_password_ends_after_five_minutes_or_with_the_password() {
    let world = World::with_admin().await;
    let (seed, _) = world.two_factors().await;
    let challenge = world.challenge().await;
    world.clock.advance(Duration::from_secs(300));
    assert!(matches!(world.second_form(&challenge, &world.code(&seed)).await, Login::Refused), "too late");

    let challenge = world.challenge().await;
    let operator = Caller::operator();
    world.identity.reset_password(&operator, UserId(1), Some(&secret(OTHER))).await.expect("it is good");
    assert!(matches!(world.second_form(&challenge, &world.code(&seed)).await, Login::Refused), "another password");
    let text = challenge.expose();
    for forged in ["", "00", &text[2..], &format!("{text}00"), &text.replace('a', "b"), "zz"] {
        assert!(matches!(world.second_form(&secret(forged), "000000").await, Login::Refused), "{forged}");
    }
}

#[tokio::test]
async fn a_right_password_does_not_buy_guesses_of_codes() {
    let world = World::with_admin().await;
    world.two_factors().await;
    let mut guesses = 0;
    for _ in 0..10 {
        let challenge = match world.try_login("ann", GOOD).await {
            Login::NeedsCode { challenge } => challenge,
            Login::Throttled { .. } => break,
            other => panic!("{other:?}"),
        };
        if matches!(world.second_form(&challenge, "000000").await, Login::Refused) {
            guesses += 1;
        }
    }
    assert!(guesses <= 2, "{guesses}");
}

#[tokio::test]
async fn a_recovery_code_stands_in_for_the_telephone_once() {
    let world = World::with_admin().await;
    let (_, done) = world.two_factors().await;
    let code = done.recovery_codes[3].expose().to_uppercase();
    let challenge = world.challenge().await;
    assert!(matches!(world.second_form(&challenge, &code).await, Login::In(_)));
    assert!(matches!(world.second_form(&challenge, &code).await, Login::Refused), "once");
    let left = world.ports.account_named("ann").await.expect("memory").expect("ann").user.recovery_codes_left;
    assert_eq!(left, 9);
}

#[tokio::test]
async fn a_network_that_tries_everybody_is_stopped_and_others_are_not() {
    let world = World::with_admin().await;
    let attempt = |name: String, address: &str| {
        let request = LoginRequest { name, password: secret(OTHER), client: from(address), ..LoginRequest::default() };
        let identity = &world.identity;
        async move { identity.login(&request).await.expect("memory answers") }
    };
    for number in 0..10 {
        assert!(matches!(attempt(format!("user{number}"), "198.51.100.9").await, Login::Refused));
    }
    assert!(matches!(attempt("more".to_owned(), "198.51.100.200").await, Login::Throttled { .. }));
    world.log_in("ann", GOOD).await;
}
