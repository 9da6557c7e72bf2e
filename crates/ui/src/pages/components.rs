//! `/components`: every part of a page in every state, drawn with the macros that the real pages use.

use axum::http::StatusCode;

use crate::filters;
use crate::form::{Choice, Fault};
use crate::pages::page;
use crate::shell::Head;
use crate::tone::{self, Tone};

/// The page.
#[derive(Clone, Copy, Debug)]
pub struct ComponentsPage;

impl ComponentsPage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        Head::of("Components", "", &[])
    }

    fn tones(&self) -> [Tone; 8] {
        tone::ALL
    }

    fn faults(&self) -> Vec<Fault> {
        vec![Fault { id: "c-bad", label: "Send to" }]
    }

    fn choices(&self) -> Vec<Choice> {
        let choice = |value: &str, label: &str, note: &str, chosen| Choice {
            value: value.to_owned(),
            label: label.to_owned(),
            note: note.to_owned(),
            chosen,
        };
        vec![
            choice("viewer", "Viewer", "sees everything, changes nothing", false),
            choice("editor", "Editor", "changes dashboards, silences and checks", true),
            choice("admin", "Admin", "also users, tokens and configuration", false),
        ]
    }
}

page!(ComponentsPage, ComponentsTemplate, "components.html", Frame);
