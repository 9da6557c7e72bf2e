//! The tree of a document: every key and value with the place it stands at.
//!
//! Promise: what `parse` returns is at most [`crate::parse::DEPTH_MAX`] deep, so walking it recursively is safe.
//! Not here: what a value means for a field (`decode`), how the tree is written (`write`).

use crate::problem::{Place, Problem};
use crate::scalar;

/// Characters of a value that an error message shows; the place says where the rest is.
const SHOWN_CHARS_MAX: usize = 60;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub place: Place,
    pub value: Value,
    /// The text came from the environment or from a secret file: no message may show it.
    pub hidden: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    pub text: String,
    pub style: Style,
}

/// How a scalar was written, as far as it matters to its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: may be a number, a bool or nothing.
    Plain,
    /// In quotes, as a block, or tagged `!!str`: always text.
    Quoted,
    /// Tagged `!!binary` and not UTF-8: the text is the base64 of the bytes, for [`crate::Binary`]. Bytes that are
    /// UTF-8 are a quoted text instead.
    Binary,
    /// Plain with `${…}` filled in: may be a number or a bool, and nothing only if it is empty, so that a password
    /// that happens to be `null` stays one.
    Expanded,
}

/// One line of a map. Keys are unique within it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_place: Place,
    pub value: Node,
}

impl Node {
    #[must_use]
    pub fn new(place: Place, value: Value) -> Self {
        Self { place, value, hidden: false }
    }

    /// A text, as [`crate::encode`] makes it.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::scalar(text.into(), Style::Quoted)
    }

    /// A number, a bool or another word that is written without quotes.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self::scalar(text.into(), Style::Plain)
    }

    #[must_use]
    pub fn null() -> Self {
        Self::plain("null")
    }

    #[must_use]
    pub fn list(items: Vec<Node>) -> Self {
        Self::new(Place::default(), Value::List(items))
    }

    #[must_use]
    pub fn map(entries: impl IntoIterator<Item = (String, Node)>) -> Self {
        let entry = |(key, value)| Entry { key, key_place: Place::default(), value };
        Self::new(Place::default(), Value::Map(entries.into_iter().map(entry).collect()))
    }

    fn scalar(text: String, style: Style) -> Self {
        Self::new(Place::default(), Value::Scalar(Scalar { text, style }))
    }

    /// No value: `key:`, `key: ~` or `key: null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(Scalar { text, style: Style::Plain }) => scalar::is_null(text),
            Value::Scalar(Scalar { text, style: Style::Expanded }) => text.is_empty(),
            _ => false,
        }
    }

    #[must_use]
    pub fn as_scalar(&self) -> Option<&Scalar> {
        if let Value::Scalar(scalar) = &self.value { Some(scalar) } else { None }
    }

    #[must_use]
    pub fn as_list(&self) -> Option<&[Node]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    #[must_use]
    pub fn as_map(&self) -> Option<&[Entry]> {
        if let Value::Map(entries) = &self.value { Some(entries) } else { None }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The text of a scalar that may be a number, a bool or another word: not one in quotes.
    #[must_use]
    pub fn unquoted(&self) -> Option<&str> {
        self.as_scalar()
            .filter(|scalar| matches!(scalar.style, Style::Plain | Style::Expanded))
            .map(|scalar| scalar.text.as_str())
    }

    /// What stands here, in words for a message that expected a scalar of another kind. Shows the value, unless hidden.
    #[must_use]
    pub fn found(&self) -> String {
        match &self.value {
            Value::Scalar(_) if self.is_null() || self.hidden => self.kind().to_owned(),
            Value::Scalar(Scalar { style: Style::Binary, .. }) => self.kind().to_owned(),
            Value::Scalar(scalar) => shown(&scalar.text),
            _ => self.kind().to_owned(),
        }
    }

    /// What kind of thing stands here. Never shows the value.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(_) if self.is_null() => "nothing",
            Value::Scalar(_) if self.hidden => "a value that is not shown",
            Value::Scalar(Scalar { style: Style::Binary, .. }) => "bytes that are no UTF-8 text",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Sets a value by its path of keys, making the maps on the way: how a flag or an environment variable overrides
    /// the file. Refused where the way leads through a list or a single value.
    pub fn set(&mut self, path: &[&str], value: Node) -> Result<(), Problem> {
        let Some((key, rest)) = path.split_first() else {
            *self = value;
            return Ok(());
        };
        if self.is_null() {
            self.value = Value::Map(Vec::new());
        }
        let (kind, place) = (self.kind(), self.place.clone());
        let Value::Map(entries) = &mut self.value else {
            return Err(Problem::expected(&value.place, key, format!("a map at {place}"), kind));
        };
        let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
            let fresh = Node::new(value.place.clone(), Value::Map(Vec::new()));
            entries.push(Entry { key: (*key).to_owned(), key_place: value.place.clone(), value: fresh });
            entries.len() - 1
        });
        entries[index].value.set(rest, value)
    }

    /// Calls `change` for every scalar of the tree, with its path.
    pub(crate) fn for_each_scalar(&mut self, path: &mut Vec<String>, change: &mut dyn FnMut(&[String], &mut Node)) {
        match &mut self.value {
            Value::Scalar(_) => change(path, self),
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(format!("[{index}]"));
                    item.for_each_scalar(path, change);
                    path.pop();
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    path.push(entry.key.clone());
                    entry.value.for_each_scalar(path, change);
                    path.pop();
                }
            }
        }
    }

    /// Nothing in this tree may be shown in a message.
    #[must_use]
    pub fn hide(mut self) -> Self {
        self.for_each_scalar(&mut Vec::new(), &mut |_, node| node.hidden = true);
        self.hidden = true;
        self
    }
}

/// A text in quotes, cut where it gets long.
#[must_use]
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Keys and `[index]`es as one path: `server.listen[0]`.
#[must_use]
pub(crate) fn joined(path: &[String]) -> String {
    let mut text = String::new();
    for segment in path {
        if !text.is_empty() && !segment.starts_with('[') {
            text.push('.');
        }
        text.push_str(segment);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_set_by_its_path_and_the_maps_on_the_way_are_made() {
        let mut node = crate::parse("a.yml", "server: {listen: [a]}\nlimits:\n").expect("parses");
        node.set(&["server", "tls", "mode"], Node::text("off")).expect("made");
        node.set(&["server", "listen"], Node::text("b")).expect("replaced");
        node.set(&["limits", "memory"], Node::text("1GB")).expect("nothing becomes a map");
        let at = |path: &[&str]| path.iter().try_fold(&node, |node, key| node.get(key)).and_then(Node::as_scalar);
        assert_eq!(at(&["server", "tls", "mode"]).map(|s| s.text.as_str()), Some("off"));
        assert_eq!(at(&["server", "listen"]).map(|s| s.text.as_str()), Some("b"));
        assert_eq!(at(&["limits", "memory"]).map(|s| s.text.as_str()), Some("1GB"));
        let problem = node.set(&["server", "listen", "x"], Node::text("c")).expect_err("a text has no keys");
        assert!(problem.to_string().contains("expected a map"), "{problem}");
    }

    #[test]
    fn long_and_hidden_values_are_not_shown_in_full() {
        assert_eq!(Node::text("ä".repeat(100)).found(), format!("\"{}\"…", "ä".repeat(60)));
        assert_eq!(Node::text("hunter2").hide().found(), "a value that is not shown");
        assert_eq!(Node::null().found(), "nothing");
    }
}
