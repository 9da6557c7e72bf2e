//! What is scraped, as those who look at it see it.
//!
//! [`Targets`] is answered by whatever scrapes; [`Nothing`] answers where nothing does. Types here are plain, so that
//! pages and endpoints need not know how scraping works.
//! Promises: who may not look gets nothing; a trial stores nothing.
//! Not here: discovery, relabelling, scraping (`scrape`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth::permit::{Action, Denied, Object, authz};
use model::labels::Labels;
use model::time::Timestamp;

use crate::identity::Caller;

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Up,
    Down,
    /// Not scraped yet.
    Waiting,
}

/// The targets of one `scrape_config`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The job's name.
    pub name: String,
    /// Where it is written, `prometheus.yml:31`; `built in` for our own.
    pub place: String,
    pub interval: Duration,
    pub timeout: Duration,
    /// Why nothing of it is scraped, or what of it is not: a mechanism that is not supported, a discovery that fails.
    pub problem: Option<String>,
    pub targets: Vec<Target>,
    /// What relabelling dropped, as far as it is kept.
    pub dropped: Vec<Dropped>,
    /// How many were dropped in all.
    pub dropped_total: u64,
}

/// One target.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Names it within its pool, as long as its discovered labels stay the same.
    pub id: String,
    /// What is asked, with its parameters, secrets hidden.
    pub url: String,
    pub state: State,
    /// As they are put on its series.
    pub labels: Labels,
    /// As discovery found it, before relabelling.
    pub discovered: Labels,
    /// When the last scrape began.
    pub last_scrape: Option<Timestamp>,
    pub took: Duration,
    /// Samples of the last scrape, before metric relabelling.
    pub samples: u64,
    pub failure: Option<Failure>,
    /// When the last scrape that went well began, where there was one.
    pub last_good: Option<Timestamp>,
}

/// Why a scrape brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is the case: "Connection refused."
    pub fact: String,
    /// What that means and what to look at; may be empty.
    pub hint: String,
}

/// What discovery found and relabelling dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub id: String,
    pub discovered: Labels,
    /// Which rule, and where it is written: "drop by relabel_configs 3, prometheus.yml:40".
    pub reason: String,
}

/// What one rule did to the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule as it is written, in lines.
    pub rule: String,
    pub place: String,
    /// The labels after it; `None` where it dropped the target.
    pub after: Option<Labels>,
}

/// Relabelling of one target, rule by rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relabelling {
    /// As discovered, with what the job adds (`job`, `__scheme__`, `__metrics_path__`, …).
    pub before: Labels,
    pub steps: Vec<Step>,
    /// What the target is called in the end; `None` where it is dropped.
    pub result: Option<Labels>,
}

/// What a scrape would bring now.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    pub url: String,
    pub took: Duration,
    pub content_type: String,
    /// Of the body, unpacked.
    pub bytes: u64,
    /// Samples that were read, and how many of them metric relabelling would keep.
    pub samples: u64,
    pub kept: u64,
    /// How the samples begin, as they would be stored.
    pub first: Vec<String>,
    /// How the body begins where it could not be read.
    pub beginning: String,
    pub failure: Option<Failure>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetsError {
    #[error("{0}")]
    Denied(Denied),
    #[error("there is no such target any more")]
    NotFound,
    #[error("this target is being tried already")]
    Busy,
}

/// Whatever scrapes.
#[async_trait]
pub trait Targets: Send + Sync {
    /// Everything, in the order of the configuration.
    fn pools(&self) -> Vec<Pool>;

    /// Relabelling of a target or of a dropped one; `None` where it is not known.
    fn relabelling(&self, pool: &str, id: &str) -> Option<Relabelling>;

    /// Scrapes a target at once and stores nothing.
    async fn scrape_now(&self, pool: &str, id: &str) -> Result<Trial, TargetsError>;
}

/// Nothing is scraped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

#[async_trait]
impl Targets for Nothing {
    fn pools(&self) -> Vec<Pool> {
        Vec::new()
    }

    fn relabelling(&self, _pool: &str, _id: &str) -> Option<Relabelling> {
        None
    }

    async fn scrape_now(&self, _pool: &str, _id: &str) -> Result<Trial, TargetsError> {
        Err(TargetsError::NotFound)
    }
}

/// Looking at what is scraped.
#[derive(Clone)]
pub struct Watched {
    source: Arc<dyn Targets>,
}

impl Watched {
    #[must_use]
    pub fn new(source: Arc<dyn Targets>) -> Self {
        Self { source }
    }

    /// Every pool with its targets.
    pub fn pools(&self, caller: &Caller) -> Result<Vec<Pool>, TargetsError> {
        may_look(caller)?;
        Ok(self.source.pools())
    }

    /// One target's relabelling, rule by rule.
    pub fn relabelling(&self, caller: &Caller, pool: &str, id: &str) -> Result<Relabelling, TargetsError> {
        may_look(caller)?;
        self.source.relabelling(pool, id).ok_or(TargetsError::NotFound)
    }

    /// What a scrape would bring. It changes nothing, so whoever may look may ask.
    pub async fn scrape_now(&self, caller: &Caller, pool: &str, id: &str) -> Result<Trial, TargetsError> {
        may_look(caller)?;
        self.source.scrape_now(pool, id).await
    }
}

fn may_look(caller: &Caller) -> Result<(), TargetsError> {
    authz(&caller.principal, Action::ReadMetrics, Object::Server).map_err(TargetsError::Denied)
}

#[cfg(test)]
mod tests {
    use auth::permit::Principal;

    use super::*;

    #[tokio::test]
    async fn who_may_not_look_learns_nothing() {
        let watched = Watched::new(Arc::new(Nothing));
        let nobody = Caller { principal: Principal::Anonymous, ..Caller::operator() };
        assert!(matches!(watched.pools(&nobody), Err(TargetsError::Denied(_))));
        assert!(matches!(watched.relabelling(&nobody, "a", "b"), Err(TargetsError::Denied(_))));
        assert!(matches!(watched.scrape_now(&nobody, "a", "b").await, Err(TargetsError::Denied(_))));
        let local = Caller { principal: Principal::Local, ..Caller::operator() };
        assert_eq!(watched.pools(&local), Ok(Vec::new()));
        assert_eq!(watched.relabelling(&local, "a", "b"), Err(TargetsError::NotFound));
        assert_eq!(watched.scrape_now(&local, "a", "b").await, Err(TargetsError::NotFound));
    }
}
