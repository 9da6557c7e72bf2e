//! Text to tree: one document, within limits, with every key's and value's place.
//!
//! Promises: no input panics, recurses without bound or costs more than its limits below; duplicate keys, unknown
//! anchors and second documents are problems with a place.
//! Leaves to others: scanning and the grammar of YAML 1.2 (`saphyr-parser`), what a scalar means (`scalar`, `decode`).

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::node::{Entry, Node, Scalar, Style, Value, shown};
use crate::problem::{Place, Problem, Problems};
use crate::scalar;

/// Bytes of one document: the largest rule and target files seen are a few MiB. Beyond it the file is refused.
pub const INPUT_BYTES_MAX: usize = 32 << 20;
/// Lists and maps within each other. Nobody writes more by hand, and everything that walks the tree may recurse.
pub const DEPTH_MAX: usize = 64;
/// Values in one document: a value of two bytes (`a,`) costs a whole [`Node`], so the size of the input alone does not
/// bound the memory. Far above the largest rule collections; beyond it the file is refused.
pub const NODES_MAX: usize = 500_000;
/// What anchors and aliases together may copy, counted as [`weight`]: "billion laughs" ends here, with a problem.
pub const ALIAS_BYTES_MAX: usize = 16 << 20;

/// Reads one document; an empty one is null.
pub fn parse(file: &str, text: &str) -> Result<Node, Problems> {
    let file: Arc<str> = file.into();
    check_size(&file, text)?;
    Builder::new(file).run(text, Second::Refuse).map(|(node, _)| node)
}

/// Reads the first document, as Go does, and says where a second one starts if there is one: other programs' files are
/// read this way, with a warning. What follows is not looked at.
pub fn parse_first(file: &str, text: &str) -> Result<(Node, Option<Problem>), Problems> {
    let file: Arc<str> = file.into();
    check_size(&file, text)?;
    Builder::new(file).run(text, Second::Ignore)
}

fn check_size(file: &Arc<str>, text: &str) -> Result<(), Problem> {
    if text.len() <= INPUT_BYTES_MAX {
        return Ok(());
    }
    let expected = format!("at most {} MiB", INPUT_BYTES_MAX >> 20);
    Err(Problem::expected(&Place::new(file, 1, 1), "", expected, format!("{} bytes", text.len())))
}

/// Reads one document that must be UTF-8.
pub fn parse_bytes(file: &str, bytes: &[u8]) -> Result<Node, Problems> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(file, text),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = good.matches('\n').count() + 1;
            let column = good.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            let found = format!("the byte 0x{:02x}", bytes[error.valid_up_to()]);
            Err(Problem::expected(&Place::new(&file.into(), line, column), "", "UTF-8 text", found).into())
        }
    }
}

/// Reads a value that stands alone: that of an environment variable or a flag. `source` names it in messages, which
/// never show the value. Text that is no YAML by accident of its first character (`@home`, `*`) is taken as it stands;
/// what opens a list, a map or quotes must close them.
pub fn parse_value(source: &str, text: &str) -> Result<Node, Problems> {
    let outside = |mut node: Node| {
        node.relocate(&Place::outside(source));
        node.hide()
    };
    match parse(source, text) {
        Ok(node) => Ok(outside(node)),
        Err(_) if !text.trim_start().starts_with(['[', '{', '"', '\'']) && !text.contains('\n') => {
            Ok(outside(Node::text(text)))
        }
        Err(problems) => {
            let outside = |problem| Problem { file: source.into(), line: 0, column: 0, ..problem };
            let mut moved = Problems::default();
            problems.into_iter().for_each(|problem| moved.push(outside(problem)));
            Err(moved)
        }
    }
}

/// What to do with a second document.
#[derive(Clone, Copy, PartialEq)]
enum Second {
    Refuse,
    Ignore,
}

/// A map or list that is still open.
struct Frame {
    place: Place,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map(MapFrame),
}

#[derive(Default)]
struct MapFrame {
    entries: Vec<Entry>,
    /// Keys met so far and where: a second one is a mistake in every file format we read.
    seen: HashMap<String, Place>,
    /// The key that waits for its value.
    key: Option<Key>,
    /// Values of `<<`, in order.
    merges: Vec<Node>,
}

struct Key {
    text: String,
    place: Place,
    role: Role,
}

/// What happens to the value that follows a key.
#[derive(PartialEq)]
enum Role {
    Keep,
    Merge,
    /// The key was refused.
    Drop,
}

/// What an alias stands for.
struct Anchored {
    node: Node,
    weight: usize,
    height: usize,
}

struct Builder {
    file: Arc<str>,
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    alias_bytes: usize,
    nodes: usize,
    problems: Problems,
}

impl Builder {
    fn new(file: Arc<str>) -> Self {
        Self {
            file,
            stack: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            alias_bytes: 0,
            nodes: 0,
            problems: Problems::default(),
        }
    }

    fn run(mut self, text: &str, second: Second) -> Result<(Node, Option<Problem>), Problems> {
        let mut parser = Parser::new(StrInput::new(text));
        let mut documents = 0;
        let mut ignored = None;
        while let Some(next) = parser.next_event() {
            let step = match next {
                Ok((Event::StreamEnd, _)) => break,
                Ok((Event::DocumentStart(_), span)) => {
                    documents += 1;
                    let more = self.expected(&self.place(span), "one document in a file", "a second one");
                    match second {
                        _ if documents == 1 => Ok(()),
                        Second::Refuse => Err(more),
                        Second::Ignore => {
                            ignored = Some(more);
                            break;
                        }
                    }
                }
                Ok((event, span)) => self.event(event, span),
                Err(error) => Err(self.syntax(&error)),
            };
            if let Err(fatal) = step {
                self.problems.push(fatal);
                return Err(self.problems);
            }
        }
        let root = self.root.unwrap_or_else(|| Node { place: Place::new(&self.file, 1, 1), ..Node::null() });
        self.problems.or((root, ignored))
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let mark = error.marker();
        let place = Place::new(&self.file, mark.line(), mark.col() + 1);
        Problem::new(&place, "", format!("expected YAML: {}", error.info()))
    }

    fn place(&self, span: Span) -> Place {
        Place::new(&self.file, span.start.line(), span.start.col() + 1)
    }

    fn expected(&self, place: &Place, expected: impl Into<String>, found: impl Into<String>) -> Problem {
        Problem::expected(place, "", expected, found)
    }

    /// An `Err` ends the reading: what follows could not be read within the limits.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let empty = text.is_empty() && style == ScalarStyle::Plain;
                let node = self.scalar(text.into_owned(), style, tag.as_deref(), place);
                self.finish(node, anchor, empty)
            }
            Event::SequenceStart(anchor, _) => self.open(place, anchor, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(place, anchor, Kind::Map(MapFrame::default())),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, &place),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn open(&mut self, place: Place, anchor: usize, kind: Kind) -> Result<(), Problem> {
        if self.stack.len() == DEPTH_MAX {
            return Err(self.too_deep(&place));
        }
        self.stack.push(Frame { place, anchor, kind });
        Ok(())
    }

    fn too_deep(&self, place: &Place) -> Problem {
        self.expected(place, format!("at most {DEPTH_MAX} lists and maps within each other"), "more")
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(Frame { place, anchor, kind }) = self.stack.pop() else { return Ok(()) };
        let value = match kind {
            Kind::List(items) => Value::List(items),
            Kind::Map(mut map) => {
                self.merge(&mut map);
                Value::Map(map.entries)
            }
        };
        self.finish(Node::new(place, value), anchor, false)
    }

    /// A complete value goes to what is open around it. `empty`: nothing was written, so it has no place of its own.
    fn finish(&mut self, node: Node, anchor: usize, empty: bool) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.expected(&node.place, format!("at most {NODES_MAX} values in a file"), "more"));
        }
        if anchor > 0 {
            let (weight, height) = measure(&node);
            self.charge(weight, &node.place)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), weight, height });
        }
        self.attach(node, empty);
        Ok(())
    }

    fn attach(&mut self, mut node: Node, empty: bool) {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        let map = match &mut frame.kind {
            Kind::List(items) => return items.push(node),
            Kind::Map(map) => map,
        };
        match map.key.take() {
            None => map.key = Some(key_of(map, node, &mut self.problems)),
            Some(key) => {
                if empty {
                    node.place = key.place.clone();
                }
                match key.role {
                    Role::Keep => map.entries.push(Entry { key: key.text, key_place: key.place, value: node }),
                    Role::Merge => match node.value {
                        Value::List(maps) => map.merges.extend(maps),
                        _ => map.merges.push(node),
                    },
                    Role::Drop => {}
                }
            }
        }
    }

    /// `<<`: keys written here win over merged ones, and of several merged maps the first that has the key.
    fn merge(&mut self, map: &mut MapFrame) {
        for source in std::mem::take(&mut map.merges) {
            let kind = source.kind();
            let Value::Map(entries) = source.value else {
                self.problems.push(Problem::expected(&source.place, "<<", "a map or a list of maps to merge", kind));
                continue;
            };
            for entry in entries {
                if !map.seen.contains_key(&entry.key) {
                    map.seen.insert(entry.key.clone(), entry.key_place.clone());
                    map.entries.push(entry);
                }
            }
        }
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> Result<(), Problem> {
        // The scanner knows the name from the moment it is read; the value is there once it is closed.
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(self.expected(place, "an alias of a value that is complete", "one inside the value it names"));
        };
        if self.stack.len() + anchored.height > DEPTH_MAX {
            return Err(self.too_deep(place));
        }
        let weight = anchored.weight;
        let node = anchored.node.clone();
        self.charge(weight, place)?;
        self.finish(node, 0, false)
    }

    fn charge(&mut self, weight: usize, place: &Place) -> Result<(), Problem> {
        self.alias_bytes = self.alias_bytes.saturating_add(weight);
        if self.alias_bytes > ALIAS_BYTES_MAX {
            let expected = format!("anchors and aliases that expand to at most {} MiB", ALIAS_BYTES_MAX >> 20);
            return Err(self.expected(place, expected, "more"));
        }
        Ok(())
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Node {
        let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
        let scalar = |text, style| Value::Scalar(Scalar { text, style });
        let Some(tag) = tag else { return Node::new(place, scalar(text, style)) };
        // A tag of the file's own (`!vault`) says nothing to Go either: the text stays a text.
        let word = if tag.is_yaml_core_schema() { tag.suffix.as_str() } else { "str" };
        let (fits, wanted) = match word {
            "null" => (scalar::is_null(&text), "nothing"),
            "bool" => (scalar::as_bool(&text).is_some(), "true or false"),
            "int" => (scalar::as_int(&text).is_some(), "a whole number"),
            "float" => (scalar::as_float(&text).is_some(), "a number"),
            "binary" => return self.binary(&text, place),
            _ => return Node::new(place, scalar(text, Style::Quoted)),
        };
        if !fits {
            self.problems.push(Problem::expected(&place, "", format!("{wanted} after !!{word}"), "another text"));
        }
        Node::new(place, scalar(text, Style::Plain))
    }

    fn binary(&mut self, text: &str, place: Place) -> Node {
        let Some(bytes) = scalar::from_base64(text) else {
            self.problems.push(Problem::new(&place, "", "!!binary value contains invalid base64 data"));
            return Node { place, ..Node::text("") };
        };
        let scalar = match String::from_utf8(bytes) {
            Ok(text) => Scalar { text, style: Style::Quoted },
            Err(_) => Scalar { text: text.split_ascii_whitespace().collect(), style: Style::Binary },
        };
        Node::new(place, Value::Scalar(scalar))
    }
}

fn key_of(map: &mut MapFrame, node: Node, problems: &mut Problems) -> Key {
    // Bytes are shown: a key is no secret, and this one cannot be found by searching the file for it.
    let kind = match &node.value {
        Value::Scalar(Scalar { text, style: Style::Binary }) => format!("{}: \"{}\"", node.kind(), escaped(text)),
        _ => node.kind().to_owned(),
    };
    let plain = node.unquoted().is_some();
    let Value::Scalar(Scalar { text, style: Style::Plain | Style::Quoted | Style::Expanded }) = node.value else {
        problems.push(Problem::expected(&node.place, "", "a text as the key", kind));
        return Key { text: String::new(), place: node.place, role: Role::Drop };
    };
    if let Some(first) = map.seen.get(&text) {
        let again = format!("{} again, first at {first}", shown(&text));
        problems.push(Problem::expected(&node.place, "", "every key once", again));
        return Key { text, place: node.place, role: Role::Drop };
    }
    map.seen.insert(text.clone(), node.place.clone());
    let role = if plain && text == "<<" { Role::Merge } else { Role::Keep };
    Key { text, place: node.place, role }
}

/// The bytes of a `!!binary` text with escapes for what is no UTF-8: `\xff`.
fn escaped(base64: &str) -> String {
    let bytes = scalar::from_base64(base64).unwrap_or_default();
    bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        text
    })
}

/// What a copy costs, in bytes, and how many lists and maps are within each other in it.
fn measure(node: &Node) -> (usize, usize) {
    let own = size_of::<Node>();
    let sum = |parts: &mut dyn Iterator<Item = (usize, &Node)>| {
        parts.fold((own, 1), |(weight, height), (extra, part)| {
            let (part_weight, part_height) = measure(part);
            (weight + extra + part_weight, height.max(part_height + 1))
        })
    };
    match &node.value {
        Value::Scalar(scalar) => (own + scalar.text.len(), 0),
        Value::List(items) => sum(&mut items.iter().map(|item| (0, item))),
        Value::Map(entries) => {
            let key_weight = |entry: &Entry| size_of::<Entry>() + entry.key.len();
            sum(&mut entries.iter().map(|entry| (key_weight(entry), &entry.value)))
        }
    }
}

impl Node {
    /// The whole tree now stands at `place`.
    fn relocate(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.relocate(place)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key_place = place.clone();
                    entry.value.relocate(place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_values_than_the_limit_are_refused_however_short_they_are() {
        let read = |text: &str| {
            let mut builder = Builder::new("a.yml".into());
            builder.nodes = NODES_MAX - 3;
            builder.run(text, Second::Refuse).map(|(node, _)| node)
        };
        assert!(read("[a,a]").is_ok(), "two texts and the list");
        let problems = read("[a,a,a]").expect_err("one more");
        assert_eq!(problems.to_string(), "a.yml:1:1: expected at most 500000 values in a file, found more");
    }
}
