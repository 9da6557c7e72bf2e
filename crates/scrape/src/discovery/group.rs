//! What a mechanism finds: groups of targets, and the way they take to the manager.
//!
//! Promise: the way has a bound; a mechanism that finds faster than the manager takes waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::labels::Labels;
use model::time::{Clock, Timestamp};
use tokio::sync::mpsc;

use super::DiscoveryError;

/// The label that holds where a target is.
pub const ADDRESS: &str = "__address__";

/// Updates that may wait for the manager; it takes them at once, so this is only for bursts.
pub const UPDATES_MAX: usize = 16;

/// Targets that are found and lost together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What it is of, unique within a mechanism: a file, a record, a pod.
    pub source: Arc<str>,
    /// Of every target that does not say otherwise.
    pub labels: Labels,
    pub targets: Vec<Labels>,
}

impl Group {
    /// A group that takes away the one before.
    #[must_use]
    pub fn gone(source: &str) -> Self {
        Self { source: source.into(), labels: Labels::empty(), targets: Vec::new() }
    }

    /// Each target with all its labels; its own win over the group's.
    pub fn all(&self) -> impl Iterator<Item = Labels> {
        self.targets.iter().map(|target| {
            let mut whole = self.labels.to_builder();
            for (name, value) in target {
                whole.set(name, value);
            }
            whole.build()
        })
    }
}

/// How a mechanism is doing, for pages and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MechanismStatus {
    /// `kubernetes`, `file` and so on.
    pub mechanism: &'static str,
    /// The last thing that went wrong, in words; none once it went well again.
    pub problem: Option<String>,
    pub failures: u64,
    /// When it last found something or found that nothing had changed.
    pub refreshed: Option<Timestamp>,
}

/// Some groups of one mechanism.
#[derive(Debug)]
pub struct Update {
    /// Which of the job's mechanisms.
    pub mechanism: usize,
    pub groups: Vec<Group>,
}

/// Where a mechanism puts what it finds.
#[derive(Clone, Debug)]
pub struct Out {
    mechanism: usize,
    sender: mpsc::Sender<Update>,
    status: Arc<Mutex<MechanismStatus>>,
    clock: Arc<dyn Clock>,
}

impl Out {
    #[must_use]
    pub fn new(
        mechanism: usize,
        sender: mpsc::Sender<Update>,
        status: Arc<Mutex<MechanismStatus>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { mechanism, sender, status, clock }
    }

    /// Hands groups on and notes that the mechanism is well. Nobody takes them any more when the job is being stopped;
    /// then they are dropped.
    pub async fn send(&self, groups: Vec<Group>) {
        self.well();
        if !groups.is_empty() {
            let _job_ends = self.sender.send(Update { mechanism: self.mechanism, groups }).await;
        }
    }

    /// As [`Self::send`] where nothing changed.
    pub fn well(&self) {
        let now = self.clock.now();
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.problem = None;
        status.refreshed = Some(now);
    }

    /// Notes what went wrong; the targets found before stay.
    pub fn failed(&self, error: &DiscoveryError) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.failures += 1;
        let said = error.to_string();
        // The same error every few seconds is one line of the log.
        if status.problem.as_ref() != Some(&said) {
            tracing::warn!(mechanism = status.mechanism, error = %said, "discovery failed, its targets stay");
        }
        status.problem = Some(said);
    }
}

/// What a mechanism sent last, so that it sends only what changed.
#[derive(Debug, Default)]
pub(crate) struct Sent(BTreeMap<Arc<str>, Group>);

impl Sent {
    /// The groups of `now` that differ from the last ones, and the end of those that are no more.
    pub(crate) fn changes(&mut self, now: Vec<Group>) -> Vec<Group> {
        let mut old = std::mem::take(&mut self.0);
        let mut changed = Vec::new();
        for group in now {
            if old.remove(&group.source).as_ref() != Some(&group) {
                changed.push(group.clone());
            }
            self.0.insert(Arc::clone(&group.source), group);
        }
        changed.extend(old.into_keys().map(|source| Group::gone(&source)));
        changed
    }
}

/// A name as a label can have it: what is no letter, digit or underscore becomes an underscore.
pub(crate) fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn join_host_port(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(source: &str, addresses: &[&str]) -> Group {
        let targets = addresses.iter().map(|address| Labels::from_pairs([(ADDRESS, *address)])).collect();
        Group { source: source.into(), labels: Labels::from_pairs([("a", "group"), ("b", "group")]), targets }
    }

    #[test]
    fn a_targets_own_labels_win() {
        let mut group = group("s", &["x:1"]);
        group.targets.push(Labels::from_pairs([(ADDRESS, "y:1"), ("b", "own")]));
        let all: Vec<String> = group.all().map(|labels| labels.to_string()).collect();
        let expected = [r#"{__address__="x:1", a="group", b="group"}"#, r#"{__address__="y:1", a="group", b="own"}"#];
        assert_eq!(all, expected);
    }

    #[test]
    fn only_what_changed_is_sent_and_what_is_gone_is_said() {
        let mut sent = Sent::default();
        assert_eq!(sent.changes(vec![group("a", &["x"]), group("b", &["y"])]).len(), 2);
        assert_eq!(sent.changes(vec![group("b", &["y"]), group("a", &["x"])]), []);
        let changes = sent.changes(vec![group("a", &["x", "z"])]);
        assert_eq!(changes, [group("a", &["x", "z"]), Group::gone("b")]);
        assert_eq!(sent.changes(Vec::new()), [Group::gone("a")]);
    }

    #[test]
    fn names_and_addresses_are_written_as_prometheus_does() {
        assert_eq!(sanitized("app.kubernetes.io/name-ä"), "app_kubernetes_io_name__");
        assert_eq!((join_host_port("a", 1), join_host_port("::1", 1)), ("a:1".to_owned(), "[::1]:1".to_owned()));
    }
}
