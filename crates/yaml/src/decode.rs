//! Tree to value: strict, and with every problem at once.
//!
//! Promises: a decoder that returns `None` has noted why in the [`Context`]; a value that must not be shown is in no
//! message. A single value where a list or map is wanted is never shown either: it may be a password in the wrong place.
//! Not here: maps with known keys (`record`), words (`choice`), what a plain scalar means (`scalar`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::duration;
use crate::node::{Entry, Node, Style, Value, joined};
use crate::problem::{Place, Problem, Problems};
use crate::scalar;
use crate::schema::Schema;

/// A type that can be read from a tree.
pub trait Decode: Sized {
    /// `None` if it is not one; then a problem has been noted in `cx`.
    fn decode(node: &Node, cx: &mut Context) -> Option<Self>;

    /// What a key without a value means. `None`: the same as no key, that is the default.
    #[must_use]
    fn from_null() -> Option<Self> {
        None
    }
}

/// Reads a value from a tree, or says everything that is wrong with it. Nothing at all is an empty map.
pub fn decode<T: Decode>(node: &Node) -> Result<T, Problems> {
    let mut cx = Context::default();
    let empty;
    let node = if node.is_null() && T::from_null().is_none() {
        empty = Node { value: Value::Map(Vec::new()), ..node.clone() };
        &empty
    } else {
        node
    };
    let value = T::decode(node, &mut cx);
    match (value, cx.problems.is_empty()) {
        (Some(value), true) => Ok(value),
        (None, true) => {
            cx.problem(&node.place, "expected another value");
            Err(cx.problems)
        }
        (_, false) => Err(cx.problems),
    }
}

/// Where the decoder is, and what it has found wrong so far.
#[derive(Debug, Default)]
pub struct Context {
    problems: Problems,
    path: Vec<String>,
    /// How many secret types we are inside of.
    secret: usize,
}

impl Context {
    /// Notes that `expected` should stand at `node`; says what does, unless that must not be shown. Always `None`, so
    /// that a decoder can end with it.
    pub fn expected<T>(&mut self, node: &Node, expected: impl Into<String>) -> Option<T> {
        let found = if self.secret > 0 { node.kind().to_owned() } else { node.found() };
        self.problems.push(Problem::expected(&node.place, &joined(&self.path), expected, found));
        None
    }

    /// As [`Context::expected`], but says only what kind of thing stands there.
    pub fn expected_kind<T>(&mut self, node: &Node, expected: impl Into<String>) -> Option<T> {
        self.problems.push(Problem::expected(&node.place, &joined(&self.path), expected, node.kind()));
        None
    }

    /// Notes a problem in a whole sentence. The sentence must not contain a value that may be secret.
    pub fn problem(&mut self, place: &Place, sentence: impl Into<String>) {
        self.problems.push(Problem::new(place, joined(&self.path), sentence));
    }

    /// Notes a problem that was found by other means, such as a parser of its own.
    pub fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    #[must_use]
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// The key that is being read, such as `server.listen[0]`.
    #[must_use]
    pub fn path(&self) -> String {
        joined(&self.path)
    }

    /// Reads the value of a key. Decoders of maps come through here, so that messages name the key and keep secrets.
    pub fn field<T: Decode + Schema>(&mut self, key: &str, node: &Node) -> Option<T> {
        self.within(key.to_owned(), T::SECRET, |cx| T::decode(node, cx))
    }

    /// Reads an item of a list.
    pub fn item<T: Decode + Schema>(&mut self, index: usize, node: &Node) -> Option<T> {
        self.within(format!("[{index}]"), T::SECRET, |cx| T::decode(node, cx))
    }

    /// Does `work` with a key added to the path and, for a secret, without showing values.
    pub fn within<R>(&mut self, segment: String, secret: bool, work: impl FnOnce(&mut Self) -> R) -> R {
        self.path.push(segment);
        self.secret += usize::from(secret);
        let result = work(self);
        self.secret -= usize::from(secret);
        self.path.pop();
        result
    }

    /// Does `work` without showing values: what the `Decode` of a secret type does around its own reading.
    pub fn within_secret<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        self.secret += 1;
        let result = work(self);
        self.secret -= 1;
        result
    }

    /// The text of a scalar, as it was written: `yes`, `0x10` and `1e3` stay what they are.
    pub fn text(&mut self, node: &Node, expected: &str) -> Option<String> {
        match node.as_scalar() {
            Some(scalar) if !node.is_null() && scalar.style != Style::Binary => Some(scalar.text.clone()),
            Some(_) => self.expected(node, expected),
            None => self.expected_kind(node, expected),
        }
    }

    /// A type with a textual form: `read` gets the text, and its error goes into the message if the value may be shown.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        node: &Node,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(node, expected)?;
        read(&text).ok().or_else(|| self.expected(node, expected))
    }
}

impl Decode for Node {
    fn decode(node: &Node, _: &mut Context) -> Option<Self> {
        Some(node.clone())
    }

    fn from_null() -> Option<Self> {
        Some(Node::null())
    }
}

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        node.unquoted().and_then(scalar::as_bool).or_else(|| cx.expected(node, "true or false"))
    }
}

impl Decode for f64 {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        node.unquoted().and_then(scalar::as_float).or_else(|| cx.expected(node, "a number"))
    }
}

/// The range of the type is part of the message.
macro_rules! decode_int {
    ($($int:ident)*) => { $(
        impl Decode for $int {
            fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
                let number = node.unquoted().and_then(scalar::as_int);
                number.and_then(|number| $int::try_from(number).ok()).or_else(|| {
                    cx.expected(node, format!("a whole number from {} to {}", $int::MIN, $int::MAX))
                })
            }
        }
    )* };
}

decode_int!(u8 u16 u32 u64 usize i8 i16 i32 i64);

/// Any scalar is a text, as it was written; a key without a value is the empty text, as in Go's yaml.v2.
impl Decode for String {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        cx.text(node, "a text")
    }

    fn from_null() -> Option<Self> {
        Some(Self::new())
    }
}

impl Decode for PathBuf {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        cx.text(node, "a path").map(PathBuf::from)
    }

    fn from_null() -> Option<Self> {
        Some(Self::new())
    }
}

impl Decode for Duration {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        cx.parsed(node, "a duration such as 30s, 5m or 1h30m", duration::parse)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if node.is_null() { Some(None) } else { T::decode(node, cx).map(Some) }
    }

    fn from_null() -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        T::decode(node, cx).map(Box::new)
    }

    fn from_null() -> Option<Self> {
        T::from_null().map(Box::new)
    }
}

/// A list; from the environment or a flag also one text with commas.
impl<T: Decode + Schema> Decode for Vec<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let parts;
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Scalar(_) if node.is_null() => &[],
            Value::Scalar(scalar) if !node.place.is_in_file() => {
                let trimmed = scalar.text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let part = |text: &str| {
                    let scalar = crate::node::Scalar { text: text.to_owned(), style: scalar.style };
                    Node { value: Value::Scalar(scalar), ..node.clone() }
                };
                parts = trimmed.map(part).collect::<Vec<_>>();
                parts.as_slice()
            }
            _ => return cx.expected_kind(node, T::shape().listed()),
        };
        // Every item is read even after a bad one: the user wants to see all that is wrong.
        let read: Vec<Option<T>> = items.iter().enumerate().map(|(index, item)| cx.item(index, item)).collect();
        read.into_iter().collect()
    }

    fn from_null() -> Option<Self> {
        Some(Self::new())
    }
}

/// Reads a map whose keys are the user's own.
pub(crate) fn decode_entries<T: Decode + Schema>(node: &Node, cx: &mut Context) -> Option<Vec<(String, T)>> {
    let entries: &[Entry] = match &node.value {
        Value::Map(entries) => entries,
        Value::Scalar(_) if node.is_null() => &[],
        _ => return cx.expected_kind(node, T::shape().mapped()),
    };
    let read = |entry: &Entry| {
        // `key:` in a map of texts is the empty text, as for a field.
        let null = if entry.value.is_null() { T::from_null() } else { None };
        null.or_else(|| cx.field(&entry.key, &entry.value)).map(|value| (entry.key.clone(), value))
    };
    let read: Vec<Option<(String, T)>> = entries.iter().map(read).collect();
    read.into_iter().collect()
}

impl<T: Decode + Schema> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        decode_entries(node, cx).map(|entries| entries.into_iter().collect())
    }

    fn from_null() -> Option<Self> {
        Some(Self::new())
    }
}

/// Implements [`Decode`], [`crate::Encode`] and [`Schema`] for a type that is read by its `FromStr` and written by its
/// `Display`; the text says what is expected: `yaml::text_type!(Address, "an address such as 0.0.0.0:8443");`.
#[macro_export]
macro_rules! text_type {
    ($name:ty, $words:literal) => {
        impl $crate::Decode for $name {
            fn decode(node: &$crate::Node, cx: &mut $crate::Context) -> ::core::option::Option<Self> {
                cx.parsed(node, $words, |text| text.parse::<$name>())
            }
        }

        impl $crate::Encode for $name {
            fn encode(&self) -> $crate::Node {
                $crate::Node::text(::std::string::ToString::to_string(self))
            }
        }

        impl $crate::Schema for $name {
            fn shape() -> $crate::Shape {
                $crate::Shape::one($words)
            }
        }
    };
}
