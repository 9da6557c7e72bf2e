//! Where passwords are hashed: on threads that may be blocked, two at a time, with a short queue before them.
//!
//! Invariant: however many callers there are, hashing takes two threads and twice the cost's memory; who does not fit
//! into the queue is told so at once. A check of a name that nobody has takes as long as one of a name somebody has.
//! Not here: how often somebody may try (`throttle`), what a good password is (`password`).

use std::sync::Arc;

use model::secret::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::phc::{Cost, Phc, Unworkable};
use crate::random::NoRandomness;

/// Hashes at once: 38 MiB at the default cost, and on two processors the other work goes on.
const RUNNING_MAX: usize = 2;
/// Those that run and those that wait. At some fifty milliseconds each the last one waits half a second; beyond that
/// the answer is [`Busy`].
const WAITING_MAX: usize = RUNNING_MAX + 16;

/// Too many passwords are being checked at once; nothing was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many logins at once")]
pub struct Busy;

/// A place in the queue.
#[derive(Debug)]
pub struct Slot {
    place: OwnedSemaphorePermit,
}

/// Why a hash was not made or checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error("a stored password hash cannot be read")]
    Stored,
    #[error(transparent)]
    Unworkable(#[from] Unworkable),
    #[error("the thread that hashes was lost: {0}")]
    Lost(String),
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    /// `weak`: the hash was made at a lower cost than we ask for now; make it anew while the password is at hand.
    Right {
        weak: bool,
    },
}

/// Hashes passwords and checks them.
#[derive(Clone, Debug)]
pub struct Hasher {
    cost: Cost,
    waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
    nobody: Arc<str>,
}

impl Hasher {
    pub fn new(cost: Cost) -> Result<Self, NoRandomness> {
        let nobody: Arc<str> = Phc::of_nothing(cost)?.to_string().into();
        let (waiting, running) = (Arc::new(Semaphore::new(WAITING_MAX)), Arc::new(Semaphore::new(RUNNING_MAX)));
        Ok(Self { cost, waiting, running, nobody })
    }

    /// A place in the queue, or [`Busy`]. Taken before anything is charged to the caller.
    pub fn slot(&self) -> Result<Slot, Busy> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Busy)?;
        Ok(Slot { place })
    }

    /// A PHC string of the password.
    pub async fn hash(&self, slot: Slot, password: &Secret) -> Result<Secret, HashError> {
        let (password, cost) = (bytes_of(password), self.cost);
        let phc = self.run(slot, move || Phc::new(&password, cost)).await?;
        Ok(Secret::new(phc.to_string()))
    }

    /// Whether the password is that of the hash. `None` is a name that nobody has: it takes as long and is wrong.
    pub async fn check(&self, slot: Slot, password: &Secret, hash: Option<&Secret>) -> Result<Verdict, HashError> {
        let stored = Phc::parse(hash.map_or(&*self.nobody, Secret::expose)).ok_or(HashError::Stored)?;
        let weak = stored.cost.is_below(self.cost);
        let password = bytes_of(password);
        let is_right = self.run(slot, move || stored.is_of(&password)).await?;
        Ok(if is_right && hash.is_some() { Verdict::Right { weak } } else { Verdict::Wrong })
    }

    /// The permits go into the thread: a caller that gives up does not make room for another while the work goes on.
    async fn run<T: Send + 'static>(
        &self,
        slot: Slot,
        work: impl FnOnce() -> Result<T, Unworkable> + Send + 'static,
    ) -> Result<T, HashError> {
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|error| HashError::Lost(error.to_string()))?;
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((running, slot.place));
            done
        });
        Ok(task.await.map_err(|error| HashError::Lost(error.to_string()))??)
    }
}

fn bytes_of(password: &Secret) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.expose().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    fn hasher(cost: Cost) -> Hasher {
        Hasher::new(cost).expect("the system has randomness")
    }

    async fn check(hasher: &Hasher, password: &str, hash: Option<&Secret>) -> Result<Verdict, HashError> {
        hasher.check(hasher.slot().expect("nobody waits"), &secret(password), hash).await
    }

    #[tokio::test]
    async fn a_password_is_hashed_and_checked() {
        let hasher = hasher(Cost::LEAST);
        let hash = hasher.hash(hasher.slot().expect("free"), &secret("right")).await.expect("it hashes");
        assert_eq!(check(&hasher, "right", Some(&hash)).await, Ok(Verdict::Right { weak: false }));
        assert_eq!(check(&hasher, "wrong", Some(&hash)).await, Ok(Verdict::Wrong));
        assert_eq!(check(&hasher, "right", None).await, Ok(Verdict::Wrong));
        assert_eq!(check(&hasher, "right", Some(&secret("plain"))).await, Err(HashError::Stored));
    }

    #[tokio::test]
    async fn a_hash_of_a_lower_cost_is_called_weak() {
        let old = hasher(Cost::LEAST);
        let new = hasher(Cost { memory_kib: 16, ..Cost::LEAST });
        let hash = old.hash(old.slot().expect("free"), &secret("right")).await.expect("it hashes");
        assert_eq!(check(&new, "right", Some(&hash)).await, Ok(Verdict::Right { weak: true }));
        assert_eq!(check(&new, "wrong", Some(&hash)).await, Ok(Verdict::Wrong));
        let strong = new.hash(new.slot().expect("free"), &secret("right")).await.expect("it hashes");
        assert_eq!(check(&old, "right", Some(&strong)).await, Ok(Verdict::Right { weak: false }), "never made weaker");
    }

    /// Timing itself is not measured here: what makes it equal is that the same work is done.
    #[test]
    fn a_name_that_nobody_has_costs_what_a_real_one_costs() {
        for cost in [Cost::LEAST, Cost::DEFAULT] {
            let nobody = Phc::parse(&hasher(cost).nobody).expect("it is a hash");
            assert_eq!(nobody.cost, cost);
        }
    }

    #[tokio::test]
    async fn who_does_not_fit_into_the_queue_is_told_at_once() {
        let hasher = hasher(Cost::LEAST);
        let mut slots: Vec<Slot> = (0..WAITING_MAX).map(|_| hasher.slot().expect("there is room")).collect();
        assert_eq!(hasher.slot().err(), Some(Busy));
        slots.pop();
        assert!(hasher.slot().is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    #[allow(clippy::await_holding_lock, reason = "the lock is what keeps the hashing threads busy meanwhile")]
    async fn two_run_at_once_also_when_callers_give_up() {
        let hasher = hasher(Cost::LEAST);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().expect("nobody panicked");
        let mut set = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (hasher, now, most, gate) = (hasher.clone(), now.clone(), most.clone(), gate.clone());
            set.spawn(async move {
                let slot = hasher.slot().expect("there is room");
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    drop(gate.lock());
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                hasher.run(slot, work).await
            });
        }
        while now.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        set.abort_all();
        while set.join_next().await.is_some() {}
        assert_eq!(hasher.running.available_permits(), 0, "what runs, runs on");
        drop(held);
        while hasher.waiting.available_permits() < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        assert!(most.load(Ordering::SeqCst) <= RUNNING_MAX);
        assert_eq!(hasher.running.available_permits(), RUNNING_MAX);
    }
}
