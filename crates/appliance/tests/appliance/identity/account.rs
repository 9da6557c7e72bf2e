//! One's own account, sessions and tokens.

use appliance::identity::{TokenMade, TokenRequest};
use auth::permit::{Denied, Scope, TokenId};
use auth::ports::{AccountsPort as _, Page};
use auth::token::TokenRefused;

use super::*;

const ALL: Page = Page { after: None, limit: 100 };

#[tokio::test]
async fn a_new_password_ends_every_other_session_and_moves_this_one() {
    let world = World::with_admin().await;
    let (here, there) = (world.log_in("ann", GOOD).await.token, world.log_in("ann", GOOD).await.token);
    let caller = world.caller(&here).await;
    let moved = world.identity.change_password(&caller, &secret(GOOD), &secret(OTHER)).await.expect("it is right");
    assert_eq!(world.whose(&here).await, None, "the old token of this session");
    assert_eq!(world.whose(&there).await, None, "the other session");
    assert_eq!(world.whose(&moved).await, Some(caller.principal));
    assert_eq!(world.last_deed().await, "user ann 192.0.2.7 password.change own account ok ");
    world.log_in("ann", OTHER).await;
    assert!(matches!(world.try_login("ann", GOOD).await, Login::Refused));
}

#[tokio::test]
async fn a_session_left_open_is_not_enough_to_change_the_password() {
    let world = World::with_admin().await;
    let caller = world.ann().await;
    let wrong = world.identity.change_password(&caller, &secret("not it"), &secret(OTHER)).await;
    assert_eq!(wrong.err(), Some(IdentityError::WrongPassword));
    assert_eq!(world.last_deed().await, "user ann 192.0.2.7 password.change own account refused wrong password");
    for weak in ["short", "password1234", "ann-ann-ann-1", GOOD] {
        invalid(world.identity.change_password(&caller, &secret(GOOD), &secret(weak)).await, "password");
    }
    for _ in 0..3 {
        let wrong = world.identity.begin_totp(&caller, &secret("not it")).await;
        assert_eq!(wrong.err(), Some(IdentityError::WrongPassword));
    }
    let waits = world.identity.change_password(&caller, &secret(GOOD), &secret(OTHER)).await;
    assert!(matches!(waits, Err(IdentityError::Throttled { .. })), "guessing from inside is slowed too");
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_a_code_proved_it() {
    let world = World::with_admin().await;
    let ann = world.ann().await;
    let start = world.identity.begin_totp(&ann, &secret(GOOD)).await.expect("the password is right");
    let seed = unbase32(start.seed_base32.expose());
    assert_eq!(seed.len(), 20, "160 bits");
    assert!(start.otpauth_url.expose().starts_with("otpauth://totp/Watchpost:ann?secret="));
    assert!(!format!("{start:?}").contains(start.seed_base32.expose()));
    world.log_in("ann", GOOD).await;

    let elsewhere = world.log_in("ann", GOOD).await.token;
    let wrong = world.identity.confirm_totp(&ann, "000000").await;
    assert_eq!(wrong.err(), Some(IdentityError::WrongCode));
    let done = world.identity.confirm_totp(&ann, &world.code(&seed)).await.expect("it is the code");
    assert_eq!(done.recovery_codes.len(), 10);
    assert_eq!(world.whose(&elsewhere).await, None, "what was opened without it ends");
    let ann = world.caller(&done.token).await;
    assert!(world.identity.me(&ann).await.expect("it is ann").second_factor);
    assert!(matches!(world.try_login("ann", GOOD).await, Login::NeedsCode { .. }));
    invalid(world.identity.begin_totp(&ann, &secret(GOOD)).await, "totp");
    assert_eq!(world.identity.confirm_totp(&ann, "000000").await.err(), Some(IdentityError::NotFound));

    world.clock.advance(HOUR);
    world.identity.disable_totp(&ann, &secret(GOOD)).await.expect("the password is right");
    world.log_in("ann", GOOD).await;
    invalid(world.identity.regenerate_recovery_codes(&ann, &secret(GOOD)).await, "totp");
}

#[tokio::test]
async fn the_seed_in_the_database_is_sealed_for_its_user() {
    let world = World::with_admin().await;
    let (seed, _) = world.two_factors().await;
    let sealed = world.ports.account(UserId(1)).await.expect("memory").expect("ann").totp_seed.expect("it is on");
    assert!(!sealed.windows(seed.len()).any(|piece| piece == seed));
    let bob = world.user("bob", Role::Viewer).await;
    assert_eq!(world.ports.set_totp_pending(bob, &sealed).await, Ok(true));
    let caller = world.caller(&world.log_in("bob", GOOD).await.token).await;
    let stolen = world.identity.confirm_totp(&caller, &world.code(&seed)).await;
    assert!(matches!(stolen, Err(IdentityError::Internal(_))), "{stolen:?}");
}

#[tokio::test]
async fn new_recovery_codes_replace_the_old_ones() {
    let world = World::with_admin().await;
    let (_, done) = world.two_factors().await;
    let ann = world.caller(&done.token).await;
    let codes = world.identity.regenerate_recovery_codes(&ann, &secret(GOOD)).await.expect("the password is right");
    assert_eq!(codes.len(), 10);
    let challenge = world.challenge().await;
    let old = done.recovery_codes[0].expose();
    assert!(matches!(world.second_form(&challenge, old).await, Login::Refused));
    assert!(matches!(world.second_form(&challenge, codes[0].expose()).await, Login::In(_)));
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let world = World::with_admin().await;
    let (here, there) = (world.log_in("ann", GOOD).await.token, world.log_in("ann", GOOD).await.token);
    let caller = world.caller(&here).await;
    let sessions = world.identity.sessions(&caller, UserId(1)).await.expect("they are ann's");
    assert_eq!(sessions.iter().filter(|session| session.current).count(), 1);
    let other = sessions.iter().find(|session| !session.current).expect("there are two");
    assert_eq!((other.address.as_str(), other.agent.as_str()), ("192.0.2.7", "a browser"));
    assert_eq!(other.expires, NOW.plus(12 * HOUR));
    world.identity.close_session(&caller, UserId(1), other.id).await.expect("it is ann's");
    assert_eq!(world.whose(&there).await, None);
    let again = world.identity.close_session(&caller, UserId(1), other.id).await;
    assert_eq!(again, Err(IdentityError::NotFound));
    world.log_in("ann", GOOD).await;
    world.log_in("ann", GOOD).await;
    assert_eq!(world.identity.close_other_sessions(&caller).await, Ok(2));
    assert!(world.whose(&here).await.is_some());
}

#[tokio::test]
async fn what_a_browser_says_of_itself_is_bounded_and_harmless() {
    let world = World::with_admin().await;
    let agent = format!("\0\u{1b}[31m{}", "é".repeat(1 << 20));
    let request = LoginRequest {
        name: "ann".to_owned(),
        password: secret(GOOD),
        client: Client { agent, ..client() },
        ..LoginRequest::default()
    };
    assert!(matches!(world.identity.login(&request).await, Ok(Login::In(_))));
    let sessions = world.identity.sessions(&Caller::operator(), UserId(1)).await.expect("memory answers");
    assert_eq!(sessions[0].agent.chars().count(), 256);
    assert!(!sessions[0].agent.contains(char::is_control));
}

async fn token(world: &World, caller: &Caller, scopes: &[Scope]) -> TokenMade {
    let request = TokenRequest { name: " deploy ".to_owned(), scopes: scopes.to_vec(), ..TokenRequest::default() };
    world.identity.create_token(caller, &request).await.expect("it is made")
}

#[tokio::test]
async fn a_token_is_shown_once_works_for_a_year_and_says_when_it_was_used() {
    let world = World::with_admin().await;
    let ann = world.ann().await;
    let made = token(&world, &ann, &[Scope::RulesRead, Scope::MetricsRead, Scope::RulesRead]).await;
    let text = made.secret.expose();
    assert!(text.starts_with("wp_") && text.len() == 46, "{text}");
    assert_eq!((made.token.name.as_str(), made.token.prefix.as_str()), ("deploy", &text[..8]));
    assert_eq!(made.token.scopes, [Scope::MetricsRead, Scope::RulesRead]);
    assert_eq!(made.token.expires, NOW.plus(365 * DAY));
    assert!(!format!("{made:?}").contains(text));

    let principal = world.identity.authenticate_token(text).await.expect("it works");
    let expected = Principal::Token {
        id: made.token.id,
        name: "deploy".to_owned(),
        owner: UserId(1),
        role: Role::Admin,
        scopes: vec![Scope::MetricsRead, Scope::RulesRead],
    };
    assert_eq!(principal, expected);
    world.clock.advance(Duration::from_secs(59));
    world.identity.authenticate_token(text).await.expect("it works");
    let used = || async { world.identity.tokens(&ann, Some(UserId(1)), ALL).await.expect("ann's").items[0].last_used };
    assert_eq!(used().await, Some(NOW), "written once a minute");
    world.clock.advance(Duration::from_secs(1));
    world.identity.authenticate_token(text).await.expect("it works");
    assert_eq!(used().await, Some(NOW.plus(Duration::from_secs(60))));
}

#[tokio::test]
async fn a_token_that_expired_was_revoked_or_whose_owner_is_disabled_is_refused() {
    let world = World::with_admin().await;
    let bob = world.user("bob", Role::Editor).await;
    let caller = world.caller(&world.log_in("bob", GOOD).await.token).await;
    let made = token(&world, &caller, &[Scope::MetricsRead]).await;
    let refused = |text: String| {
        let identity = &world.identity;
        async move {
            match identity.authenticate_token(&text).await {
                Err(IdentityError::TokenRefused(why)) => Some(why),
                _ => None,
            }
        }
    };
    let text = made.secret.expose().to_owned();
    assert_eq!(refused(text.clone()).await, None);
    let flipped = format!("{}{}", &text[..45], if text.ends_with('a') { 'b' } else { 'a' });
    for other in ["", "wp_", &text[3..], &flipped, &text.to_uppercase()] {
        assert_eq!(refused(other.to_owned()).await, Some(TokenRefused::Unknown), "{other}");
    }
    let mut update = appliance::identity::UserUpdate { disabled: Some(true), ..Default::default() };
    world.identity.update_user(&Caller::operator(), bob, &update).await.expect("it is an editor");
    assert_eq!(refused(text.clone()).await, Some(TokenRefused::OwnerDisabled));
    update.disabled = Some(false);
    world.identity.update_user(&Caller::operator(), bob, &update).await.expect("it is an editor");
    assert_eq!(refused(text.clone()).await, None);
    world.clock.advance(365 * DAY);
    assert_eq!(refused(text.clone()).await, Some(TokenRefused::Expired));
    world.identity.revoke_token(&Caller::operator(), made.token.id).await.expect("it is there");
    assert_eq!(refused(text).await, Some(TokenRefused::Unknown));
}

#[tokio::test]
async fn a_token_request_is_checked() {
    let world = World::with_admin().await;
    let ann = world.ann().await;
    let good = TokenRequest { name: "t".to_owned(), scopes: vec![Scope::MetricsRead], ..TokenRequest::default() };
    for (request, field) in [
        (TokenRequest { name: "  ".to_owned(), ..good.clone() }, "name"),
        (TokenRequest { name: "a\nb".to_owned(), ..good.clone() }, "name"),
        (TokenRequest { name: "x".repeat(1 << 20), ..good.clone() }, "name"),
        (TokenRequest { scopes: Vec::new(), ..good.clone() }, "scopes"),
        (TokenRequest { lifetime: Some(Duration::ZERO), ..good.clone() }, "lifetime"),
        (TokenRequest { lifetime: Some(3_651 * DAY), ..good.clone() }, "lifetime"),
    ] {
        invalid(world.identity.create_token(&ann, &request).await, field);
    }
    invalid(world.identity.create_token(&Caller::operator(), &good).await, "owner");
    for _ in 0..100 {
        world.identity.create_token(&ann, &good).await.expect("there is room");
    }
    let one_more = world.identity.create_token(&ann, &good).await;
    assert!(matches!(one_more, Err(IdentityError::TooMany { max: 100, .. })), "{one_more:?}");
}

#[tokio::test]
async fn tokens_are_ones_own() {
    let world = World::with_admin().await;
    world.user("bob", Role::Editor).await;
    let ann = world.ann().await;
    let bob = world.caller(&world.log_in("bob", GOOD).await.token).await;
    let made = token(&world, &ann, &[Scope::Admin]).await;
    let needs_admin = Err(IdentityError::Denied(Denied::NeedsRole(Role::Admin)));
    assert_eq!(world.identity.revoke_token(&bob, made.token.id).await, needs_admin);
    assert_eq!(world.identity.revoke_token(&bob, TokenId(999)).await, needs_admin, "the same for what is not there");
    let for_ann =
        TokenRequest { owner: Some(UserId(1)), name: "t".to_owned(), scopes: vec![Scope::Admin], lifetime: None };
    assert_eq!(world.identity.create_token(&bob, &for_ann).await.map(drop), needs_admin);
    assert!(world.identity.tokens(&bob, None, ALL).await.is_err());
    let by_token = Caller::new(world.identity.authenticate_token(made.secret.expose()).await.expect("works"), client());
    let more = world.identity.create_token(&by_token, &for_ann).await.map(drop);
    assert_eq!(more, Err(IdentityError::Denied(Denied::NotForTokens)), "a token makes no tokens");
    assert_eq!(world.identity.me(&by_token).await.err(), Some(IdentityError::Denied(Denied::NotForTokens)));
    world.identity.revoke_token(&ann, made.token.id).await.expect("it is ann's");
}
