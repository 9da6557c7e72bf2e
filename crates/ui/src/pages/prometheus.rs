//! `/status/configuration`: the `prometheus.yml` in force, and what was wrong with the last one.

use axum::http::StatusCode;

use crate::filters;
use crate::pages::page;
use crate::pages::settings::Reload;
use crate::shell::Head;

/// The page.
#[derive(Clone, Debug)]
pub struct PrometheusPage {
    pub reload: Reload,
    /// Whether the button is there; posts to `/settings/reload`.
    pub may_reload: bool,
    pub text: Text,
}

/// What is in force.
#[derive(Clone, Debug)]
pub enum Text {
    /// In lines, secrets hidden.
    Lines(Vec<Line>),
    /// No file is named.
    NotNamed,
    /// This file is named, and nothing of it is in force.
    NotRead(String),
}

/// A line of the file.
#[derive(Clone, Debug)]
pub struct Line {
    pub number: usize,
    pub text: String,
}

impl PrometheusPage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        Head::of("prometheus.yml", "/status/configuration", &[("Status", "/targets")])
    }
}

page!(PrometheusPage, PrometheusTemplate, "prometheus.html");
