//! One job's mechanisms run side by side; what they find becomes the job's list of targets.
//!
//! Promises: the first finding of each mechanism is passed on at once, everything after it at most once in
//! [`BATCH`], so that a busy cluster does not rebuild the job with each event; whoever reads the list reads the
//! latest whole one; a mechanism that cannot be set up takes none of the others with it.
//! Not here: relabelling, and what a target is scraped with (`target`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::group::UPDATES_MAX;
use super::{Block, Environment, Group, MechanismStatus, Out, Provider, Update};

/// Between two lists, as Prometheus has it.
pub const BATCH: Duration = Duration::from_secs(5);

/// All targets of a job that its mechanisms know now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order of the mechanisms, then of the sources; none without targets.
    pub groups: Vec<Arc<Group>>,
    /// Every mechanism has spoken at least once: what is not here is not there, rather than not known yet.
    pub complete: bool,
}

impl Found {
    /// Each target with all its labels.
    pub fn targets(&self) -> impl Iterator<Item = model::labels::Labels> {
        self.groups.iter().flat_map(|group| group.all())
    }
}

/// The mechanisms of one job.
#[derive(Debug)]
pub struct Manager {
    providers: Vec<(Provider, Out)>,
    updates: mpsc::Receiver<Update>,
    statuses: Arc<[Arc<Mutex<MechanismStatus>>]>,
    batch: Duration,
}

/// How the mechanisms of a job are doing; stays readable while the manager runs.
#[derive(Clone, Debug)]
pub struct Statuses(Arc<[Arc<Mutex<MechanismStatus>>]>);

impl Statuses {
    #[must_use]
    pub fn now(&self) -> Vec<MechanismStatus> {
        self.0.iter().map(|status| status.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }
}

impl Manager {
    /// Sets up every mechanism of a job.
    #[must_use]
    pub fn new(blocks: Vec<Block>, environment: &Environment) -> Self {
        let (sender, updates) = mpsc::channel(UPDATES_MAX);
        let (mut providers, mut statuses) = (Vec::new(), Vec::new());
        for (index, block) in blocks.into_iter().enumerate() {
            let status = MechanismStatus { mechanism: block.mechanism(), ..MechanismStatus::default() };
            let status = Arc::new(Mutex::new(status));
            let out = Out::new(index, sender.clone(), Arc::clone(&status), Arc::clone(&environment.clock));
            statuses.push(status);
            match Provider::new(block, environment) {
                Ok(provider) => providers.push((provider, out)),
                Err(error) => out.failed(&error),
            }
        }
        Self { providers, updates, statuses: statuses.into(), batch: BATCH }
    }

    /// With another time between two lists than [`BATCH`].
    #[must_use]
    pub fn with_batch(self, batch: Duration) -> Self {
        Self { batch, ..self }
    }

    #[must_use]
    pub fn statuses(&self) -> Statuses {
        Statuses(Arc::clone(&self.statuses))
    }

    /// Runs until it is stopped; the latest list is in `found`.
    pub async fn run(self, found: watch::Sender<Found>, stop: CancellationToken) {
        let expected = self.providers.len();
        let running = self.providers.into_iter().map(|(provider, out)| provider.run(out, stop.clone()));
        let merging = merge(self.updates, (expected, self.batch), found, stop.clone());
        // A mechanism that has said all it has to say ends; the list stays until the job does.
        tokio::join!(join_all(running), merging);
    }
}

async fn merge(
    mut updates: mpsc::Receiver<Update>,
    (expected, batch): (usize, Duration),
    found: watch::Sender<Found>,
    stop: CancellationToken,
) {
    let mut known: BTreeMap<(usize, Arc<str>), Arc<Group>> = BTreeMap::new();
    let mut spoken: Vec<usize> = Vec::new();
    let mut next: Option<Instant> = None;
    let mut earliest = Instant::now();
    loop {
        let update = tokio::select! {
            () = stop.cancelled() => return,
            () = due(next) => None,
            update = updates.recv() => Some(update),
        };
        match update {
            Some(Some(update)) => {
                let first = !spoken.contains(&update.mechanism);
                if first {
                    spoken.push(update.mechanism);
                }
                take(&mut known, update);
                let at = if first { Instant::now() } else { earliest };
                next = Some(next.map_or(at, |before| before.min(at)));
            }
            // Every mechanism has ended, and nothing waits to be passed on.
            Some(None) if next.is_none() => return stop.cancelled().await,
            Some(None) => tokio::select! {
                () = stop.cancelled() => return,
                () = due(next) => {}
            },
            None => {}
        }
        if next.is_some_and(|at| at <= Instant::now()) {
            (next, earliest) = (None, Instant::now() + batch);
            let groups = known.values().cloned().collect();
            let now = Found { groups, complete: spoken.len() >= expected };
            found.send_if_modified(|last| {
                let changed = *last != now;
                *last = now;
                changed
            });
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn take(known: &mut BTreeMap<(usize, Arc<str>), Arc<Group>>, update: Update) {
    for group in update.groups {
        let key = (update.mechanism, Arc::clone(&group.source));
        if group.targets.is_empty() {
            known.remove(&key);
        } else {
            known.insert(key, Arc::new(group));
        }
    }
}

#[cfg(test)]
mod tests {
    use model::labels::Labels;

    use super::super::ADDRESS;
    use super::*;

    fn group(source: &str, address: &str) -> Group {
        let targets = vec![Labels::from_pairs([(ADDRESS, address)])];
        Group { source: source.into(), labels: Labels::empty(), targets }
    }

    fn addresses(found: &Found) -> Vec<String> {
        found.targets().map(|labels| labels.get(ADDRESS).unwrap_or_default().to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn first_findings_are_passed_on_at_once_and_later_ones_in_batches() {
        let (sender, updates) = mpsc::channel(UPDATES_MAX);
        let (found, mut list) = watch::channel(Found::default());
        let stop = CancellationToken::new();
        let test = async {
            let began = Instant::now();
            let send = |mechanism, groups| sender.send(Update { mechanism, groups });
            send(0, vec![group("a", "one")]).await.expect("taken");
            list.changed().await.expect("a list");
            assert_eq!((addresses(&list.borrow()), began.elapsed()), (vec!["one".to_owned()], Duration::ZERO));
            assert!(!list.borrow().complete);
            send(1, vec![group("a", "two")]).await.expect("taken");
            list.changed().await.expect("a list");
            assert_eq!((list.borrow().groups.len(), began.elapsed()), (2, Duration::ZERO));
            assert!(list.borrow().complete);
            for round in 0..20 {
                send(0, vec![group("b", &format!("three{round}"))]).await.expect("taken");
            }
            send(0, vec![Group::gone("a")]).await.expect("taken");
            list.changed().await.expect("a list");
            assert_eq!(began.elapsed(), BATCH, "all of them in one list");
            assert_eq!(addresses(&list.borrow()), ["three19", "two"]);
            send(0, vec![group("b", "three19")]).await.expect("taken");
            tokio::time::sleep(BATCH * 3).await;
            assert!(!list.has_changed().expect("running"), "the same list again is no news");
            send(0, vec![group("b", "four")]).await.expect("taken");
            let asked = Instant::now();
            list.changed().await.expect("a list");
            assert_eq!(asked.elapsed(), Duration::ZERO, "after a quiet time the next one does not wait");
            stop.cancel();
        };
        tokio::join!(merge(updates, (2, BATCH), found, stop.clone()), test);
    }
}
