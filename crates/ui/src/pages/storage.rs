//! `/status/tsdb`: how many series there are, whose they are, and the files they are in.

use axum::http::StatusCode;

use crate::filters;
use crate::pages::{Fact, page};
use crate::shell::Head;

/// The page.
#[derive(Clone, Debug)]
pub struct StoragePage {
    /// Series, samples, bytes, retention.
    pub figures: Vec<Fact>,
    pub cardinality: Cardinality,
    pub targets: Producers,
    /// Newest first.
    pub parts: Vec<PartRow>,
    /// "1,240" where only the newest are shown; empty otherwise.
    pub parts_all: String,
    pub quarantined: Vec<Aside>,
}

/// Where the series are, or why that cannot be said.
#[derive(Clone, Debug)]
pub enum Cardinality {
    Lists(Vec<Top>),
    Failed(String),
}

/// The most of something.
#[derive(Clone, Debug)]
pub struct Top {
    pub title: String,
    /// Headings of the two columns.
    pub name: String,
    pub count: String,
    pub rows: Vec<TopRow>,
}

/// An entry of such a list.
#[derive(Clone, Debug)]
pub struct TopRow {
    pub name: String,
    /// "1,204".
    pub count: String,
    /// Of the first of the list.
    pub percent: u8,
    /// A query about it; empty for none.
    pub href: String,
}

/// Who sends the most series, or why that cannot be said.
#[derive(Clone, Debug)]
pub enum Producers {
    Rows(Vec<Producer>),
    Failed(String),
}

/// A target with its series.
#[derive(Clone, Debug)]
pub struct Producer {
    pub job: String,
    pub instance: String,
    pub count: String,
    pub percent: u8,
    pub href: String,
}

/// A sealed file.
#[derive(Clone, Debug)]
pub struct PartRow {
    pub id: String,
    /// "20 Nov 2026, 10:00 UTC".
    pub from: String,
    pub to: String,
    pub samples: String,
    pub series: String,
    pub bytes: String,
}

/// What was damaged and put aside.
#[derive(Clone, Debug)]
pub struct Aside {
    pub what: String,
    pub reason: String,
}

impl StoragePage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        Head::of("Storage", "/status/tsdb", &[("Status", "/targets")])
    }
}

page!(StoragePage, StorageTemplate, "storage.html");
