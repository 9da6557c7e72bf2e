//! `/`: what is the case, in one sentence and a few lines, and what to do next.

use axum::http::StatusCode;

use crate::filters;
use crate::pages::{Fact, page};
use crate::shell::{Freshness, Head};
use crate::tone::Tone;

/// The home page.
#[derive(Clone, Debug)]
pub struct HomePage {
    /// The worst thing, or that there is none: "Running for 44 hours".
    pub headline: String,
    pub tone: Tone,
    /// One sentence more.
    pub summary: String,
    pub freshness: Freshness,
    /// What is watched, one line each.
    pub lines: Vec<HomeLine>,
    /// What nobody has to do today; may be empty.
    pub coming_up: Vec<HomeLine>,
    /// What makes this server more useful; may be empty.
    pub next_steps: Vec<NextStep>,
    /// Single numbers: memory, disk, requests.
    pub signals: Vec<Signal>,
    /// Version, up since, data folder.
    pub facts: Vec<Fact>,
}

/// A subject and how it is.
#[derive(Clone, Debug)]
pub struct HomeLine {
    pub tone: Tone,
    /// "Doors".
    pub name: String,
    /// "2 listeners answer".
    pub text: String,
    /// On the right: "certificate renews itself on 25 Nov"; may be empty.
    pub note: String,
    /// A path; empty for none.
    pub href: String,
}

/// Something worth doing.
#[derive(Clone, Debug)]
pub struct NextStep {
    pub title: String,
    /// Why, in a sentence.
    pub text: String,
    /// The words of the button and where it leads; none where the step is done elsewhere (in a file).
    pub action: Option<(String, String)>,
    /// A line to copy, such as a command; may be empty.
    pub command: String,
    pub done: bool,
}

/// A number with its unit and what to compare it with.
#[derive(Clone, Debug)]
pub struct Signal {
    pub name: String,
    pub value: String,
    pub unit: String,
    pub note: String,
    /// How much of its limit is used, where it has one: 0 to 100.
    pub percent: Option<u8>,
    pub tone: Tone,
}

impl HomePage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        let mut head = Head::of("Home", "/", &[]);
        head.freshness = Some(self.freshness.clone());
        head
    }
}

page!(HomePage, HomeTemplate, "home.html", Frame);
