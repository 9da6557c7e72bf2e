//! How often somebody may try to log in: per network, per account, and all together.
//!
//! Invariant: an attempt is charged before its password is looked at, in one step with the look at the counters, so
//! that many attempts at once are not more than the same ones in a row. The counters are kept by a port: a restart
//! forgives nothing. No account is ever locked: who logged in from a network before is delayed only by what that
//! network did itself, whatever the rest of the world tries (docs/decisions/0071).
//! Not here: the proof itself (`hasher`, `totp`), what the caller is told (`api`, `ui`).

use std::net::IpAddr;
use std::time::Duration;

use model::port::PortError;
use model::time::Timestamp;

use crate::ports::ThrottlePort;
use crate::random;

/// What is kept under a key. What the two fields mean is the rule's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    pub level: u64,
    pub at: Timestamp,
}

/// A change to a counter, from what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap<'a> {
    pub key: &'a str,
    pub seen: Option<Counter>,
    pub new: Option<Counter>,
}

/// So many at once, and one more each `refill`.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    pub capacity: u32,
    pub refill: Duration,
}

/// Some failures are free; then each one doubles the wait until the next attempt.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub free: u64,
    pub first: Duration,
    pub max: Duration,
}

/// Ten attempts a minute from one network, whoever it tries to be.
pub const PER_NETWORK: Bucket = Bucket { capacity: 10, refill: Duration::from_secs(6) };
/// All networks together: two processors check some forty passwords a second, and have other work.
pub const ALL: Bucket = Bucket { capacity: 100, refill: Duration::from_millis(600) };
/// One account from one network: up to a hundred guesses a day.
pub const PER_PAIR: Backoff = Backoff { free: 3, first: Duration::from_secs(1), max: Duration::from_secs(900) };
/// One account from everywhere: a person waits a minute at worst, a botnet gets 1,440 guesses a day.
pub const PER_ACCOUNT: Backoff = Backoff { free: 10, first: Duration::from_secs(1), max: Duration::from_secs(60) };

/// A counter that nothing was added to for this long says nothing any more. With [`ALL`] it bounds how many there are.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// How long a network is remembered from which a login succeeded.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How often a charge is tried again when other attempts change the counters meanwhile; then the caller is told that
/// we are busy, which under such a rush is true.
const TRIES_MAX: u32 = 16;

impl Bucket {
    /// `at` is when the bucket would be full again. Takes one out, or says how long until there is one.
    fn take(self, seen: Option<Counter>, now: Timestamp) -> Result<Counter, Duration> {
        let full = now.plus(self.refill * self.capacity);
        // Not further off than an empty bucket can be: it was written before the clock was set back.
        let empty_until = seen.map_or(now, |seen| seen.at).max(now).min(full);
        let after = empty_until.plus(self.refill);
        if after > full { Err(after.since(full)) } else { Ok(Counter { level: 0, at: after }) }
    }
}

impl Backoff {
    /// `level` counts failures, `at` is the last one. Adds one, or says how long until it may be tried.
    fn take(self, seen: Option<Counter>, now: Timestamp) -> Result<Counter, Duration> {
        let seen = seen.filter(|seen| now.since(seen.at) < FORGOTTEN_AFTER);
        let Some(seen) = seen else { return Ok(Counter { level: 1, at: now }) };
        let until = seen.at.min(now).plus(self.delay(seen.level));
        if until > now {
            return Err(until.since(now));
        }
        Ok(Counter { level: seen.level.saturating_add(1), at: now })
    }

    /// The wait after so many failures.
    #[must_use]
    pub fn delay(self, failures: u64) -> Duration {
        if failures < self.free {
            return Duration::ZERO;
        }
        let doublings = u32::try_from(failures - self.free).unwrap_or(u32::MAX);
        let factor = 2u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.max)
    }
}

/// The network an address belongs to, for counting: what one customer usually has.
#[must_use]
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// It is charged: look at the password.
    Go,
    /// Nothing was charged; it is not worth trying before.
    Wait(Duration),
    /// Too many at once.
    Busy,
}

/// Where one attempt is counted.
#[derive(Clone, Debug)]
pub struct Throttle {
    all: String,
    network: String,
    pair: String,
    account: String,
    known: String,
}

impl Throttle {
    /// `name` is what was typed, whether or not there is such a user.
    #[must_use]
    pub fn new(name: &str, address: Option<IpAddr>) -> Self {
        let network = address.map_or_else(|| "local".to_owned(), network);
        // Hashed: bounded, and a password typed into the wrong field is not kept.
        let name = random::hex(&random::sha256(name.trim().to_ascii_lowercase().as_bytes())[..16]);
        Self {
            all: "all".to_owned(),
            pair: format!("pair {name} {network}"),
            account: format!("account {name}"),
            known: format!("known {name} {network}"),
            network: format!("network {network}"),
        }
    }

    fn keys(&self) -> [&str; 5] {
        [&self.all, &self.network, &self.pair, &self.account, &self.known]
    }

    /// Charges an attempt, or says how long to wait.
    pub async fn charge(&self, port: &(impl ThrottlePort + ?Sized), now: Timestamp) -> Result<Charge, PortError> {
        for _ in 0..TRIES_MAX {
            let seen = port.counters(&self.keys()).await?;
            let swaps = match self.decide(&seen, now) {
                Ok(swaps) => swaps,
                Err(wait) => return Ok(Charge::Wait(wait)),
            };
            if port.swap_counters(&swaps).await? {
                return Ok(Charge::Go);
            }
        }
        Ok(Charge::Busy)
    }

    /// Forgives what a login that succeeded was charged, and remembers its network. The network's own bucket stays.
    pub async fn succeeded(&self, port: &(impl ThrottlePort + ?Sized), now: Timestamp) -> Result<(), PortError> {
        for _ in 0..TRIES_MAX {
            let keys = [self.pair.as_str(), &self.account, &self.known];
            let seen = port.counters(&keys).await?;
            let known = Some(Counter { level: 1, at: now.plus(KNOWN_FOR) });
            let swaps: Vec<Swap<'_>> = keys
                .into_iter()
                .zip(seen)
                .zip([None, None, known])
                .filter(|((_, seen), new)| seen != new)
                .map(|((key, seen), new)| Swap { key, seen, new })
                .collect();
            if swaps.is_empty() || port.swap_counters(&swaps).await? {
                return Ok(());
            }
        }
        // Others try the same account right now; the next success forgives.
        Ok(())
    }

    /// The counters after this attempt; how long to wait where one of them says no.
    fn decide(&self, seen: &[Option<Counter>], now: Timestamp) -> Result<Vec<Swap<'_>>, Duration> {
        let seen = |at: usize| seen.get(at).copied().flatten();
        let is_known = seen(4).is_some_and(|known| known.at > now);
        let all = ALL.take(seen(0), now);
        let account = PER_ACCOUNT.take(seen(3), now);
        let own = [PER_NETWORK.take(seen(1), now), PER_PAIR.take(seen(2), now)];
        // What the rest of the world does says nothing about somebody who has been here before.
        let foreign = if is_known { [None, None] } else { [all.err(), account.err()] };
        let wait = own.iter().filter_map(|charged| charged.err()).chain(foreign.into_iter().flatten()).max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        let charged = [all, own[0], own[1], account];
        let swaps = self.keys().into_iter().zip(charged).enumerate();
        Ok(swaps.filter_map(|(at, (key, new))| Some(Swap { key, seen: seen(at), new: Some(new.ok()?) })).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::memory::Memory;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    async fn charge(memory: &Memory, name: &str, from: &str, now: Timestamp) -> Charge {
        Throttle::new(name, address(from)).charge(memory, now).await.expect("memory answers")
    }

    async fn succeed(memory: &Memory, name: &str, from: &str, now: Timestamp) {
        Throttle::new(name, address(from)).succeeded(memory, now).await.expect("memory answers");
    }

    #[test]
    fn addresses_are_counted_by_network() {
        for (given, expected) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::1", "0:0:0:0::/64"),
        ] {
            assert_eq!(network(given.parse().expect("an address")), expected);
        }
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let seconds: Vec<u64> = (0..16).map(|failures| PER_PAIR.delay(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!(PER_PAIR.delay(u64::MAX), PER_PAIR.max);
    }

    #[tokio::test]
    async fn three_failures_are_free_and_the_fourth_attempt_waits() {
        let memory = Memory::new();
        for _ in 0..3 {
            assert_eq!(charge(&memory, "ann", "192.0.2.1", NOW).await, Charge::Go);
        }
        assert_eq!(charge(&memory, "ann", "192.0.2.1", NOW).await, Charge::Wait(Duration::from_secs(1)));
        assert_eq!(
            charge(&memory, "ANN ", "192.0.2.9", NOW).await,
            Charge::Wait(Duration::from_secs(1)),
            "one network"
        );
        assert_eq!(charge(&memory, "bob", "192.0.2.1", NOW).await, Charge::Go, "another account");
        let later = NOW.plus(Duration::from_secs(1));
        assert_eq!(charge(&memory, "ann", "192.0.2.1", later).await, Charge::Go);
        assert_eq!(charge(&memory, "ann", "192.0.2.1", later).await, Charge::Wait(Duration::from_secs(2)));
    }

    #[tokio::test]
    async fn a_name_nobody_has_is_throttled_like_one_that_somebody_has() {
        let memory = Memory::new();
        let mut seen = Vec::new();
        for name in ["ann", "nobody"] {
            let mut charges = Vec::new();
            for _ in 0..5 {
                charges
                    .push(charge(&memory, name, if name == "ann" { "192.0.2.1" } else { "198.51.100.1" }, NOW).await);
            }
            seen.push(charges);
        }
        assert_eq!(seen[0], seen[1]);
    }

    #[tokio::test]
    async fn a_network_has_ten_attempts_and_one_more_each_six_seconds() {
        let memory = Memory::new();
        for number in 0..10 {
            assert_eq!(charge(&memory, &format!("user{number}"), "192.0.2.1", NOW).await, Charge::Go);
        }
        assert_eq!(charge(&memory, "other", "192.0.2.200", NOW).await, Charge::Wait(Duration::from_secs(6)));
        assert_eq!(charge(&memory, "other", "192.0.3.1", NOW).await, Charge::Go, "another network");
        let later = NOW.plus(Duration::from_secs(6));
        assert_eq!(charge(&memory, "other", "192.0.2.1", later).await, Charge::Go);
        assert_eq!(charge(&memory, "another", "192.0.2.1", later).await, Charge::Wait(Duration::from_secs(6)));
    }

    #[tokio::test]
    async fn all_networks_together_have_a_bound_that_does_not_keep_out_who_was_here_before() {
        let memory = Memory::new();
        succeed(&memory, "ann", "203.0.113.1", NOW).await;
        for number in 0..100 {
            let from = format!("10.0.{number}.1");
            assert_eq!(charge(&memory, &format!("user{number}"), &from, NOW).await, Charge::Go);
        }
        assert!(matches!(charge(&memory, "bob", "10.1.0.1", NOW).await, Charge::Wait(_)));
        assert_eq!(charge(&memory, "ann", "203.0.113.7", NOW).await, Charge::Go);
    }

    #[tokio::test]
    async fn a_botnet_slows_its_guesses_and_locks_nobody_out() {
        let memory = Memory::new();
        succeed(&memory, "ann", "203.0.113.1", NOW).await;
        let mut allowed = 0;
        for number in 0..50 {
            let from = format!("10.0.{number}.1");
            allowed += u32::from(charge(&memory, "ann", &from, NOW).await == Charge::Go);
        }
        assert_eq!(allowed, 10, "then everybody else waits");
        assert_eq!(charge(&memory, "ann", "203.0.113.1", NOW).await, Charge::Go, "but ann, where ann always is");
    }

    #[tokio::test]
    async fn a_login_forgives_its_failures_and_not_the_networks() {
        let memory = Memory::new();
        for _ in 0..3 {
            charge(&memory, "ann", "192.0.2.1", NOW).await;
        }
        succeed(&memory, "ann", "192.0.2.1", NOW).await;
        assert_eq!(charge(&memory, "ann", "192.0.2.1", NOW).await, Charge::Go);
        for number in 0..6 {
            charge(&memory, &format!("user{number}"), "192.0.2.1", NOW).await;
        }
        assert!(matches!(charge(&memory, "ann", "192.0.2.1", NOW).await, Charge::Wait(_)), "ten were tried");
    }

    #[tokio::test]
    async fn many_attempts_at_once_are_not_more_than_in_a_row() {
        let memory = Arc::new(Memory::new());
        let mut set = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let memory = Arc::clone(&memory);
            set.spawn(async move { charge(&memory, "ann", "192.0.2.1", NOW).await });
        }
        let charges = set.join_all().await;
        assert!(charges.iter().filter(|charge| **charge == Charge::Go).count() <= 3, "{charges:?}");
    }

    #[tokio::test]
    async fn a_clock_set_back_keeps_nobody_waiting_longer_than_the_rule() {
        let memory = Memory::new();
        for _ in 0..3 {
            charge(&memory, "ann", "192.0.2.1", NOW).await;
        }
        for number in 0..7 {
            charge(&memory, &format!("user{number}"), "192.0.2.1", NOW).await;
        }
        let year_ago = NOW.minus(Duration::from_secs(365 * 86_400));
        let Charge::Wait(wait) = charge(&memory, "ann", "192.0.2.1", year_ago).await else { panic!("it waits") };
        assert!(wait <= Duration::from_secs(6), "{wait:?}");
    }

    #[tokio::test]
    async fn failures_are_forgotten_after_an_hour() {
        let memory = Memory::new();
        for _ in 0..3 {
            charge(&memory, "ann", "192.0.2.1", NOW).await;
        }
        let later = NOW.plus(FORGOTTEN_AFTER);
        for _ in 0..3 {
            assert_eq!(charge(&memory, "ann", "192.0.2.1", later).await, Charge::Go);
        }
    }

    #[test]
    fn what_was_typed_is_not_kept() {
        let throttle = Throttle::new("correct horse battery", address("192.0.2.1"));
        assert!(throttle.keys().iter().all(|key| !key.contains("horse")), "{throttle:?}");
    }
}
