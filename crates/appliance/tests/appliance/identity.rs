//! The use cases of identity over the ports in memory, with a clock that stands still until a test moves it.

mod account;
mod login;
mod permission;
mod setup;
mod users;

use std::sync::Arc;
use std::time::Duration;

use appliance::identity::{
    Caller, Client, CodeRequest, FirstAdmin, FirstRun, Identity, IdentityError, LoggedIn, Login, LoginRequest, Parts,
    Settings, TotpDone, UserRequest,
};
use auth::audit::{AuditFilter, AuditRecord};
use auth::memory::Memory;
use auth::password::Policy;
use auth::permit::{Principal, Role, UserId};
use auth::phc::Cost;
use auth::seal::SealKey;
use auth::session::Lifetime;
use auth::totp;
use model::secret::Secret;
use model::time::{Clock as _, ManualClock, Timestamp};

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const GOOD: &str = "seven cranes by the lake";
const OTHER: &str = "nine herons by the river";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

struct World {
    identity: Identity,
    ports: Arc<Memory>,
    clock: Arc<ManualClock>,
}

fn settings() -> Settings {
    Settings {
        session: Lifetime { idle: 12 * HOUR, max: 7 * DAY },
        password: Policy { length_min: 12, context: vec!["watchpost".to_owned()] },
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

fn client() -> Client {
    Client { address: Some("192.0.2.7".parse().expect("an address")), agent: "a browser".to_owned() }
}

fn from(address: &str) -> Client {
    Client { address: Some(address.parse().expect("an address")), agent: String::new() }
}

impl World {
    /// Nobody is there yet.
    fn empty() -> Self {
        Self::over(Arc::new(Memory::new()), SealKey::random().expect("randomness"), Cost::LEAST)
    }

    /// A start over a database that is there already.
    fn over(ports: Arc<Memory>, key: SealKey, cost: Cost) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let parts = Parts { ports: ports.clone(), clock: clock.clone(), key, settings: settings(), cost };
        Self { identity: Identity::new(parts).expect("randomness"), ports, clock }
    }

    /// With the admin `ann`, whose password is [`GOOD`].
    async fn with_admin() -> Self {
        let world = Self::empty();
        let admin = FirstAdmin { name: "ann".to_owned(), password: secret(GOOD) };
        assert_eq!(world.identity.first_run(Some(admin)).await, Ok(FirstRun::AdminMade("ann".to_owned())));
        world
    }

    async fn try_login(&self, name: &str, password: &str) -> Login {
        let request = LoginRequest {
            name: name.to_owned(),
            password: secret(password),
            client: client(),
            ..LoginRequest::default()
        };
        self.identity.login(&request).await.expect("memory answers")
    }

    async fn log_in(&self, name: &str, password: &str) -> LoggedIn {
        match self.try_login(name, password).await {
            Login::In(logged_in) => *logged_in,
            other => panic!("{name} should be in: {other:?}"),
        }
    }

    /// Who holds this token, if anybody.
    async fn whose(&self, token: &Secret) -> Option<Principal> {
        self.identity.authenticate_session(token.expose()).await.expect("memory answers")
    }

    async fn caller(&self, token: &Secret) -> Caller {
        Caller::new(self.whose(token).await.expect("it is a session"), client())
    }

    async fn ann(&self) -> Caller {
        let logged_in = self.log_in("ann", GOOD).await;
        self.caller(&logged_in.token).await
    }

    /// A user with a password of their own.
    async fn user(&self, name: &str, role: Role) -> UserId {
        let request = UserRequest { name: name.to_owned(), role, password: Some(secret(GOOD)) };
        self.identity.create_user(&Caller::operator(), &request).await.expect("it is made").user.id
    }

    async fn trail(&self) -> Vec<AuditRecord> {
        let filter = AuditFilter { limit: 500, ..AuditFilter::default() };
        self.identity.audit(&Caller::operator(), &filter).await.expect("memory answers").items
    }

    /// The newest row, in words.
    async fn last_deed(&self) -> String {
        let deed = &self.trail().await[0].deed;
        let words = [&deed.actor_kind, &deed.actor, &deed.address, &deed.action, &deed.object];
        let words: Vec<&str> = words.into_iter().map(String::as_str).collect();
        format!("{} {} {}", words.join(" "), deed.result.as_str(), deed.detail)
    }

    fn code(&self, seed: &[u8]) -> String {
        totp::code(seed, u64::try_from(self.clock.now().millis() / 30_000).expect("after 1970"))
    }

    /// Switches ann's second factor on; the seed and what came of it.
    async fn two_factors(&self) -> (Vec<u8>, TotpDone) {
        let ann = self.ann().await;
        let start = self.identity.begin_totp(&ann, &secret(GOOD)).await.expect("the password is right");
        let seed = unbase32(start.seed_base32.expose());
        let done = self.identity.confirm_totp(&ann, &self.code(&seed)).await.expect("the code is right");
        // The code of this step is spent.
        self.clock.advance(Duration::from_secs(30));
        (seed, done)
    }

    async fn second_form(&self, challenge: &Secret, code: &str) -> Login {
        let request =
            CodeRequest { challenge: challenge.clone(), code: code.to_owned(), client: client(), previous: None };
        self.identity.login_with_code(&request).await.expect("memory answers")
    }

    async fn challenge(&self) -> Secret {
        match self.try_login("ann", GOOD).await {
            Login::NeedsCode { challenge } => challenge,
            other => panic!("a code is asked for: {other:?}"),
        }
    }
}

/// As an authenticator app reads what somebody typed.
fn unbase32(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut buffer, mut bits) = (0u32, 0);
    for c in text.bytes() {
        let digit = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == c).expect("base 32");
        buffer = buffer << 5 | u32::try_from(digit).expect("small");
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits & 0xff) as u8);
        }
    }
    bytes
}

#[track_caller]
fn invalid<T: std::fmt::Debug>(answer: Result<T, IdentityError>, field: &str) {
    match answer {
        Err(IdentityError::Invalid { field: named, .. }) => assert_eq!(named, field),
        other => panic!("{field} should be refused: {other:?}"),
    }
}
