//! `/targets` and what belongs to it: each target and how it is, its relabelling step by step, a scrape on trial, and
//! `/service-discovery` with what was found and dropped.

use axum::http::StatusCode;

use crate::filters;
use crate::pages::{Fact, page};
use crate::shell::{Freshness, Head};
use crate::tone::Tone;

/// Labels as `(name, value)`.
pub type Labels = Vec<(String, String)>;

/// `/targets`.
#[derive(Clone, Debug)]
pub struct TargetsPage {
    /// "1 of 14 is down."
    pub headline: String,
    pub tone: Tone,
    pub freshness: Freshness,
    pub filter: Filter,
    pub list: List,
}

/// A GET form: `state`, `q`.
#[derive(Clone, Debug)]
pub struct Filter {
    pub states: Vec<StateTab>,
    /// The value of `state` in force; empty for all.
    pub state: String,
    pub text: String,
}

/// One choice of the filter, with how many there are.
#[derive(Clone, Debug)]
pub struct StateTab {
    pub label: String,
    pub count: String,
    pub href: String,
    pub current: bool,
}

/// What is scraped, or why that cannot be said.
#[derive(Clone, Debug)]
pub enum List {
    Pools(Vec<Pool>),
    /// No job is configured at all.
    Nothing,
    Failed(String),
}

/// A job and its targets.
#[derive(Clone, Debug)]
pub struct Pool {
    pub name: String,
    /// "3 of 3 up".
    pub summary: String,
    /// Whether any is down: red.
    pub down: bool,
    /// "prometheus.yml:31 · every 15 s".
    pub place: String,
    /// Why nothing of it is scraped, or not all; may be empty.
    pub problem: String,
    pub rows: Vec<TargetRow>,
    /// "1,240" where only the first are shown; empty otherwise.
    pub all: String,
}

/// One target.
#[derive(Clone, Debug)]
pub struct TargetRow {
    /// Fields of the form that scrapes it on trial.
    pub pool: String,
    pub id: String,
    pub tone: Tone,
    /// "up", "down", "waiting".
    pub state: String,
    pub url: String,
    pub labels: Labels,
    /// "4 s ago"; "never" before the first.
    pub last: String,
    /// "11 ms"; may be empty.
    pub took: String,
    pub samples: String,
    pub relabel_href: String,
    pub failure: Option<Failure>,
}

/// Why it is down.
#[derive(Clone, Debug)]
pub struct Failure {
    pub fact: String,
    /// What it means, and when the last good scrape was.
    pub cause: String,
}

/// `/targets/relabel?pool=…&target=…`.
#[derive(Clone, Debug)]
pub struct RelabelPage {
    pub pool: String,
    pub before: Labels,
    pub steps: Vec<StepRow>,
    /// The labels of its series; `None` where it is dropped.
    pub result: Option<Labels>,
}

/// A rule and what it changed.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// "prometheus.yml:40".
    pub place: String,
    /// As it is written, in lines.
    pub rule: String,
    pub changes: Vec<Change>,
    pub effect: Effect,
}

/// What a rule came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Changed,
    Nothing,
    Dropped,
}

/// A label before and after; empty for not there.
#[derive(Clone, Debug)]
pub struct Change {
    pub name: String,
    pub before: String,
    pub after: String,
}

/// The answer of `POST /targets/scrape`.
#[derive(Clone, Debug)]
pub struct TrialPage {
    pub pool: String,
    pub id: String,
    pub url: String,
    pub failure: Option<Failure>,
    /// Status, type, bytes, samples, time.
    pub facts: Vec<Fact>,
    /// How the samples begin.
    pub first: Vec<String>,
}

/// `/service-discovery`.
#[derive(Clone, Debug)]
pub struct DiscoveryPage {
    /// What was searched for in labels; the field `q`.
    pub text: String,
    /// Only what was dropped; the field `show` = `dropped`.
    pub only_dropped: bool,
    pub list: FoundList,
}

/// What discovery found, or why that cannot be said.
#[derive(Clone, Debug)]
pub enum FoundList {
    Pools(Vec<FoundPool>),
    Nothing,
    Failed(String),
}

/// A job with what was found for it.
#[derive(Clone, Debug)]
pub struct FoundPool {
    pub name: String,
    /// "3 kept, 27 dropped".
    pub summary: String,
    pub place: String,
    pub problem: String,
    pub rows: Vec<FoundRow>,
    /// "1,240" where only the first are shown; empty otherwise.
    pub all: String,
}

/// Something that was found.
#[derive(Clone, Debug)]
pub struct FoundRow {
    pub discovered: Labels,
    /// The labels of its series; empty where it was dropped.
    pub labels: Labels,
    /// Why it was dropped; empty where it was not.
    pub dropped: String,
    pub relabel_href: String,
}

impl TargetsPage {
    fn status(&self) -> StatusCode {
        match self.list {
            List::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            List::Pools(_) | List::Nothing => StatusCode::OK,
        }
    }

    fn head(&self) -> Head {
        let mut head = Head::of("Targets", "/targets", &[("Status", "/targets")]);
        head.freshness = Some(self.freshness.clone());
        head
    }

    fn is_filtered(&self) -> bool {
        !self.filter.state.is_empty() || !self.filter.text.is_empty()
    }
}

impl RelabelPage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        Head::of("Relabelling", "/targets", &[("Status", "/targets"), ("Targets", "/targets")])
    }
}

impl TrialPage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        Head::of("Scrape on trial", "/targets", &[("Status", "/targets"), ("Targets", "/targets")])
    }
}

impl DiscoveryPage {
    fn status(&self) -> StatusCode {
        match self.list {
            FoundList::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            FoundList::Pools(_) | FoundList::Nothing => StatusCode::OK,
        }
    }

    fn head(&self) -> Head {
        Head::of("Service discovery", "/service-discovery", &[("Status", "/targets")])
    }
}

page!(TargetsPage, TargetsTemplate, "targets.html");
page!(RelabelPage, RelabelTemplate, "relabel.html");
page!(TrialPage, TrialTemplate, "trial.html");
page!(DiscoveryPage, DiscoveryTemplate, "discovery.html");
