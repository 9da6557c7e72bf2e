//! What a file may contain, as data: the page of settings is generated from it, and tests find every secret in it.
//!
//! Promise: it comes from the same declaration as the decoder (`record!`, `choice!`), so the two cannot disagree.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::node::Node;
use crate::write::to_line;

/// A type that can say what it looks like in a file.
pub trait Schema {
    /// The value must not be shown: not in messages, not in the running configuration.
    const SECRET: bool = false;

    fn shape() -> Shape;
}

/// What a value looks like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// In words, for messages and the page: `a duration such as 5m`.
    pub words: String,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    One,
    List(Box<Shape>),
    Map(Box<Shape>),
    /// Named, because records may contain themselves; its fields are asked for when needed, for the same reason.
    Record {
        name: &'static str,
        fields: fn() -> Vec<Field>,
    },
}

/// A key of a record.
#[derive(Clone, Debug)]
pub struct Field {
    pub key: &'static str,
    /// The text above the field, without its first blanks.
    pub doc: String,
    pub shape: fn() -> Shape,
    pub secret: bool,
    pub required: bool,
    /// Made when asked for: the default of a record may hold the record itself.
    pub default: Option<fn() -> Node>,
    /// Narrower than the type, in words: `from 1 to 100`.
    pub range: Option<String>,
}

impl Shape {
    /// A single value.
    pub fn one(words: impl Into<String>) -> Self {
        Self { words: words.into(), kind: Kind::One }
    }

    #[must_use]
    pub fn list(of: Shape) -> Self {
        Self { words: of.listed(), kind: Kind::List(Box::new(of)) }
    }

    #[must_use]
    pub fn map(of: Shape) -> Self {
        Self { words: of.mapped(), kind: Kind::Map(Box::new(of)) }
    }

    #[must_use]
    pub fn record(name: &'static str, fields: fn() -> Vec<Field>) -> Self {
        Self { words: "a map".to_owned(), kind: Kind::Record { name, fields } }
    }

    /// The words for a list of these.
    #[must_use]
    pub fn listed(&self) -> String {
        match self.words.as_str() {
            "a text" => "a list of texts".to_owned(),
            "a map" => "a list of maps".to_owned(),
            words => format!("a list, each {words}"),
        }
    }

    /// The words for a map to these.
    #[must_use]
    pub fn mapped(&self) -> String {
        match self.words.as_str() {
            "a text" => "a map of texts".to_owned(),
            "a map" => "a map of maps".to_owned(),
            words => format!("a map, each value {words}"),
        }
    }
}

/// A line of the page of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `server.tls.mode`, `errors.projects[].slug`, `labels.<name>`.
    pub path: String,
    pub doc: String,
    pub words: String,
    /// As it would be written in the file; none where it is required or a record of its own.
    pub default: Option<String>,
    pub required: bool,
    pub secret: bool,
}

/// Every key of a file, in the order of the declarations; a record within itself is listed once.
#[must_use]
pub fn entries<T: Schema>() -> Vec<Entry> {
    let mut entries = Vec::new();
    walk(&T::shape(), "", &mut Vec::new(), &mut entries);
    entries
}

/// The paths of every key whose value must not be shown.
#[must_use]
pub fn secrets<T: Schema>() -> Vec<String> {
    entries::<T>().into_iter().filter(|entry| entry.secret).map(|entry| entry.path).collect()
}

fn walk(shape: &Shape, path: &str, inside: &mut Vec<&'static str>, entries: &mut Vec<Entry>) {
    match &shape.kind {
        Kind::One => {}
        Kind::List(of) => walk(of, &format!("{path}[]"), inside, entries),
        Kind::Map(of) => walk(of, &under(path, "<name>"), inside, entries),
        Kind::Record { name, .. } if inside.contains(name) => {}
        Kind::Record { name, fields } => {
            inside.push(name);
            for field in fields() {
                let path = under(path, field.key);
                let shape = (field.shape)();
                entries.push(entry(&field, &shape, &path));
                walk(&shape, &path, inside, entries);
            }
            inside.pop();
        }
    }
}

fn under(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn entry(field: &Field, shape: &Shape, path: &str) -> Entry {
    let is_record = matches!(shape.kind, Kind::Record { .. });
    let default = field.default.filter(|_| !is_record).map(|default| default());
    let words = match &field.range {
        Some(range) => format!("{} {range}", shape.words),
        None => shape.words.clone(),
    };
    Entry {
        path: path.to_owned(),
        doc: field.doc.clone(),
        words,
        default: default.filter(|node| !node.is_null()).map(|node| to_line(&node)),
        required: field.required,
        secret: field.secret,
    }
}

/// The keys as a Markdown table.
#[must_use]
pub fn markdown<T: Schema>() -> String {
    let mut page = String::from("| key | value | default | |\n|---|---|---|---|\n");
    for Entry { path, doc, words, default, required, secret } in entries::<T>() {
        let default = match default {
            _ if required => "required".to_owned(),
            Some(default) => format!("`{}`", cell(&default)),
            None => String::new(),
        };
        let secret = if secret { " (never shown)" } else { "" };
        let _infallible = writeln!(page, "| `{path}` | {}{secret} | {default} | {} |", cell(&words), cell(&doc));
    }
    page
}

/// A bar would end the cell, a line break the table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

macro_rules! schema_one {
    ($($type:ty: $words:expr;)*) => { $(
        impl Schema for $type {
            fn shape() -> Shape {
                Shape::one($words)
            }
        }
    )* };
}

schema_one! {
    Node: "anything";
    bool: "true or false";
    f64: "a number";
    String: "a text";
    PathBuf: "a path";
    Duration: "a duration such as 30s, 5m or 1h30m";
    u8: "a whole number"; u16: "a whole number"; u32: "a whole number"; u64: "a whole number"; usize: "a whole number";
    i8: "a whole number"; i16: "a whole number"; i32: "a whole number"; i64: "a whole number";
}

impl<T: Schema> Schema for Option<T> {
    const SECRET: bool = T::SECRET;

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Schema> Schema for Box<T> {
    const SECRET: bool = T::SECRET;

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Schema> Schema for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn shape() -> Shape {
        Shape::list(T::shape())
    }
}

impl<T: Schema> Schema for BTreeMap<String, T> {
    const SECRET: bool = T::SECRET;

    fn shape() -> Shape {
        Shape::map(T::shape())
    }
}
