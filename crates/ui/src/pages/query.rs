//! `/query`: a query, what it returns as a table, what each of its parts returns, or why there is nothing.

use axum::http::StatusCode;

use crate::filters;
use crate::form::Field;
use crate::pages::page;
use crate::shell::Head;
use crate::tone::Tone;

/// The page. The form is a GET to `/query`: `expr`, `from`, `to`, `step`, `show`.
#[derive(Clone, Debug)]
pub struct QueryPage {
    /// As it was typed.
    pub query: String,
    /// The same in coloured pieces, white space included; empty where it is too long or broken for that.
    pub painted: Vec<Piece>,
    /// Empty for one time only: `1h` before `to`, or a time.
    pub from: Field,
    /// `2026-11-20 10:00`; empty for now.
    pub to: Field,
    /// Seconds or `30s`; empty for a step that fits.
    pub step: Field,
    /// Whether parts are explained; the field `show`.
    pub explain: bool,
    /// The same query over other times.
    pub spans: Vec<Jump>,
    /// The same query as a table, and explained; empty where there is no query.
    pub table_href: String,
    pub explain_href: String,
    pub notes: Vec<Note>,
    /// "12 series · 605 samples read · at most 1.2 MB held · 11 ms"; empty where nothing was asked.
    pub cost: String,
    pub answer: Answer,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Nothing was asked: what could be.
    Start {
        examples: Vec<Example>,
        metrics: Vec<Metric>,
    },
    /// It cannot be read.
    Wrong(Vec<Fault>),
    /// It can be read, and could not be answered; `ours` where that is no fault of the query.
    Failed {
        fact: String,
        cause: String,
        ours: bool,
    },
    Table(Table),
    /// There is nothing, and why.
    Nothing(Vec<Why>),
    Parts {
        pretty: String,
        parts: Vec<Part>,
    },
}

/// A stretch of a query in the colour of a class of `app.css`; an empty class is plain.
#[derive(Clone, Debug)]
pub struct Piece {
    pub class: &'static str,
    pub text: String,
}

/// The same page asked for differently.
#[derive(Clone, Debug)]
pub struct Jump {
    pub label: String,
    pub href: String,
    pub current: bool,
}

/// A query to begin with.
#[derive(Clone, Debug)]
pub struct Example {
    pub query: String,
    pub says: String,
    pub href: String,
}

/// A metric there is.
#[derive(Clone, Debug)]
pub struct Metric {
    pub name: String,
    /// "1,204".
    pub series: String,
    pub href: String,
}

/// Something wrong with the text, and the line it stands in.
#[derive(Clone, Debug)]
pub struct Fault {
    /// "1:5".
    pub place: String,
    pub message: String,
    pub before: String,
    pub marked: String,
    pub after: String,
}

/// What should be known about an answer.
#[derive(Clone, Debug)]
pub struct Note {
    pub tone: Tone,
    pub text: String,
    /// "1:5"; may be empty.
    pub place: String,
    /// What stands there; may be empty.
    pub snippet: String,
}

/// Why there is nothing.
#[derive(Clone, Debug)]
pub struct Why {
    /// "There is no metric http_request_total."
    pub fact: String,
    /// What that means.
    pub cause: String,
    /// What there is instead, each with a query.
    pub instead: Vec<Jump>,
}

/// Series and their values.
#[derive(Clone, Debug)]
pub struct Table {
    /// Labels that all rows have, as `(name, value)`.
    pub common: Vec<(String, String)>,
    /// Names of labels in which rows differ, where they are few enough for a column each.
    pub columns: Vec<String>,
    /// Values over time instead of one.
    pub over: bool,
    pub rows: Vec<Row>,
    /// "1,240" where only the first rows are shown; empty otherwise.
    pub all: String,
}

/// A series.
#[derive(Clone, Debug)]
pub struct Row {
    /// One for each column.
    pub cells: Vec<String>,
    /// Labels that have no column.
    pub labels: Vec<(String, String)>,
    pub value: Value,
}

/// What stands at the end of a row.
#[derive(Clone, Debug)]
pub enum Value {
    Number(String),
    Text(String),
    Histogram(Histogram),
    /// Over time.
    Span {
        last: String,
        least: String,
        mean: String,
        most: String,
        points: String,
    },
}

/// A native histogram.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// "120 observations, mean 0.285".
    pub summary: String,
    pub buckets: Vec<Bucket>,
}

/// One of its buckets.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// "0.5 to 1".
    pub bounds: String,
    pub count: String,
    /// Of the fullest.
    pub percent: u8,
}

/// A part of the query by itself.
#[derive(Clone, Debug)]
pub struct Part {
    /// Beyond six it is not moved further in.
    pub depth: usize,
    pub text: String,
    pub does: String,
    /// "2 series", "a number"; "nothing" is marked.
    pub returns: String,
    pub tone: Tone,
    pub read: String,
    pub held: String,
    pub took: String,
}

impl Part {
    fn class(&self) -> String {
        format!("in-{}", self.depth.min(6))
    }
}

impl Table {
    /// Whether any row has labels outside the columns.
    fn has_labels(&self) -> bool {
        self.columns.is_empty() || self.rows.iter().any(|row| !row.labels.is_empty())
    }
}

impl QueryPage {
    fn status(&self) -> StatusCode {
        match &self.answer {
            Answer::Wrong(_) => StatusCode::UNPROCESSABLE_ENTITY,
            _ if [&self.from, &self.to, &self.step].iter().any(|field| field.error.is_some()) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Answer::Failed { ours: true, .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Answer::Failed { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Answer::Start { .. } | Answer::Table(_) | Answer::Nothing(_) | Answer::Parts { .. } => StatusCode::OK,
        }
    }

    fn head(&self) -> Head {
        Head::of("Query", "/query", &[("Explore", "/query")])
    }

    /// Lines the field needs to show the whole query.
    fn lines(&self) -> usize {
        (self.query.lines().count() + 1).clamp(3, 12)
    }
}

page!(QueryPage, QueryTemplate, "query.html");
