//! `/settings/audit`: who did what, when, from where, with what result.

use axum::http::StatusCode;

use crate::filters;
use crate::form::Choice;
use crate::pages::page;
use crate::shell::Head;
use crate::tone::Tone;

/// A page of the audit log with the filter that made it.
#[derive(Clone, Debug)]
pub struct AuditPage {
    pub filter: AuditFilter,
    pub list: AuditList,
    /// Path and query of the page of older entries; none at the end.
    pub older: Option<String>,
    /// Path and query of the page of newer entries; none at the start.
    pub newer: Option<String>,
}

/// A GET form to `/settings/audit`: `actor`, `action`, `result`, `from`, `to`.
#[derive(Clone, Debug)]
pub struct AuditFilter {
    pub actor: String,
    /// Every action that occurs, the empty value for all.
    pub actions: Vec<Choice>,
    pub results: Vec<Choice>,
    /// `2026-11-20` or `2026-11-20 10:00`.
    pub from: String,
    pub to: String,
    /// What could not be read of it; the list is empty then.
    pub problem: Option<String>,
    /// Whether anything is filtered at all.
    pub active: bool,
}

/// What happened, or why that cannot be said.
#[derive(Clone, Debug)]
pub enum AuditList {
    Rows(Vec<AuditRow>),
    Failed(String),
}

/// One entry.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// "10:46:31" and "Fri 20 Nov".
    pub time: String,
    pub day: String,
    pub actor: String,
    /// "token", "session", "command line"; may be empty.
    pub by: String,
    pub action: String,
    /// What it was done to; may be empty.
    pub object: String,
    pub address: String,
    pub outcome: Outcome,
    /// What changed, or why it was refused; may be empty.
    pub detail: String,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Not allowed, or wrong credentials.
    Refused,
    /// Allowed, and went wrong.
    Failed,
}

impl Outcome {
    fn tone(self) -> Tone {
        match self {
            Self::Done => Tone::Ok,
            Self::Refused => Tone::Warning,
            Self::Failed => Tone::Critical,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl AuditPage {
    fn status(&self) -> StatusCode {
        match (&self.list, &self.filter.problem) {
            (AuditList::Failed(_), _) => StatusCode::INTERNAL_SERVER_ERROR,
            (AuditList::Rows(_), Some(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            (AuditList::Rows(_), None) => StatusCode::OK,
        }
    }

    fn head(&self) -> Head {
        Head::of("Audit log", "/settings/audit", &[("Settings", "/settings")])
    }
}

page!(AuditPage, AuditTemplate, "audit.html", Frame);
