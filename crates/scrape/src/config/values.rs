//! Values that only these files have: external labels, name schemes that may be left empty, zero as "not said".

use std::time::Duration;

use model::labels::Labels;
use model::names::NameScheme;
use yaml::node::Style;
use yaml::schema::Shape;
use yaml::{Context, Decode, Encode, Node, Schema, Value};

/// In Go a zero is "not said", so `scrape_interval: 0s` inherits like no interval at all.
pub(crate) trait Said: Sized {
    fn is_zero(&self) -> bool;
}

impl Said for Duration {
    fn is_zero(&self) -> bool {
        Duration::is_zero(self)
    }
}

impl Said for u64 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Said for yaml::Bytes {
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl Said for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Said> Said for yaml::Spanned<T> {
    fn is_zero(&self) -> bool {
        self.value.is_zero()
    }
}

/// Takes what `inherited` says where the own value is none or zero.
pub(crate) fn inherit<T: Said + Clone>(own: &mut Option<T>, inherited: Option<&T>) {
    if own.as_ref().is_none_or(Said::is_zero) {
        *own = inherited.filter(|value| !value.is_zero()).cloned();
    }
}

/// `metric_name_validation_scheme`: `utf8`, `legacy`, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemeChoice(pub Option<NameScheme>);

impl Decode for SchemeChoice {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node, "utf8 or legacy")?;
        if text.is_empty() {
            return Some(Self(None));
        }
        let scheme = text.parse::<NameScheme>();
        if scheme.is_err() {
            cx.problem(&node.place, format!("unrecognized ValidationScheme: {text:?}, expected utf8 or legacy"));
        }
        scheme.ok().map(|scheme| Self(Some(scheme)))
    }

    fn from_null() -> Option<Self> {
        Some(Self::default())
    }
}

impl Encode for SchemeChoice {
    fn encode(&self) -> Node {
        self.0.map_or_else(Node::null, |scheme| Node::text(scheme.as_str()))
    }
}

impl Schema for SchemeChoice {
    fn shape() -> Shape {
        Shape::one("utf8 or legacy")
    }
}

/// Labels this server adds to what leaves it; `${NAME}` in a value is the environment's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalLabels {
    /// As written, sorted by name.
    pub pairs: Vec<(String, String)>,
}

impl ExternalLabels {
    /// The labels with `$NAME` and `${NAME}` filled in, as Go's `os.Expand` does; a variable that is not set is empty.
    /// The names of those are the second part.
    #[must_use]
    pub fn expanded(&self, variable: &dyn Fn(&str) -> Option<String>) -> (Labels, Vec<String>) {
        let mut missing = Vec::new();
        let pairs: Vec<(&str, String)> =
            self.pairs.iter().map(|(name, value)| (name.as_str(), expand(value, variable, &mut missing))).collect();
        (Labels::from_pairs(pairs), missing)
    }
}

/// `$$` is a dollar; a `$` that begins no name, and what Go calls bad syntax (`${}`, `${a`), vanishes.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>, missing: &mut Vec<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if after.is_empty() {
            out.push('$');
            return out;
        }
        let (name, used) = variable_name(after);
        rest = &after[used..];
        match name {
            "$" => out.push('$'),
            // A dollar before what cannot begin a name stays; bad syntax in braces is eaten.
            "" if used == 0 => out.push('$'),
            "" => {}
            name => match variable(name).filter(|value| !value.is_empty()) {
                Some(value) => out.push_str(&value),
                None => missing.push(name.to_owned()),
            },
        }
    }
    out.push_str(rest);
    out
}

/// The name after a dollar, and how many bytes it takes.
fn variable_name(after: &str) -> (&str, usize) {
    let special = |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9');
    if let Some(inner) = after.strip_prefix('{') {
        let mut chars = inner.chars();
        if let (Some(c), Some('}')) = (chars.next(), chars.next())
            && special(c)
        {
            return (&inner[..c.len_utf8()], c.len_utf8() + 2);
        }
        return match inner.find('}') {
            Some(0) => ("", 2),
            Some(end) => (&inner[..end], end + 2),
            None => ("", 1),
        };
    }
    if after.starts_with(special) {
        return (&after[..1], 1);
    }
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    (&after[..end], end)
}

impl Decode for ExternalLabels {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Value::Map(entries) = &node.value else { return cx.expected_kind(node, "a map of texts") };
        let mut pairs = Vec::with_capacity(entries.len());
        let mut right = true;
        for entry in entries {
            let bytes = entry.value.as_scalar().filter(|scalar| scalar.style == Style::Binary);
            if let Some(scalar) = bytes {
                let sentence = format!("\"{}\" is not a valid label value", escaped(&scalar.text));
                cx.problem(&entry.value.place, sentence);
                right = false;
            } else if entry.key.is_empty() {
                cx.problem(&entry.key_place, "\"\" is not a valid label name");
                right = false;
            } else if entry.value.is_null() {
                pairs.push((entry.key.clone(), String::new()));
            } else {
                let value = cx.field::<String>(&entry.key, &entry.value);
                right &= value.is_some();
                pairs.extend(value.map(|value| (entry.key.clone(), value)));
            }
        }
        pairs.sort();
        right.then_some(Self { pairs })
    }

    fn from_null() -> Option<Self> {
        Some(Self::default())
    }
}

/// The bytes of a `!!binary` value as Go quotes them.
fn escaped(base64: &str) -> String {
    let bytes = yaml::scalar::from_base64(base64).unwrap_or_default();
    bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        text
    })
}

impl Encode for ExternalLabels {
    fn encode(&self) -> Node {
        Node::map(self.pairs.iter().map(|(name, value)| (name.clone(), Node::text(value.as_str()))))
    }
}

impl Schema for ExternalLabels {
    fn shape() -> Shape {
        Shape::map(Shape::one("a text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_filled_in_as_go_does() {
        let variable = |name: &str| match name {
            "TEST" => Some("TestValue".to_owned()),
            "1" => Some("one".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("${TEST}", "TestValue"),
            ("foo${TEST}bar", "fooTestValuebar"),
            ("foo$${TEST}", "foo${TEST}"),
            ("foo$$bar", "foo$bar"),
            ("$TEST-x", "TestValue-x"),
            ("$TESTx", ""),
            ("$1x", "onex"),
            ("a$", "a$"),
            ("a${}b", "ab"),
            ("a${TEST", "aTEST"),
            ("a$.b", "a$.b"),
            ("${NOT_SET}", ""),
        ] {
            assert_eq!(expand(text, &variable, &mut Vec::new()), expected, "{text}");
        }
        let labels =
            ExternalLabels { pairs: vec![("a".to_owned(), "$GONE".to_owned()), ("b".to_owned(), "1".to_owned())] };
        let (labels, missing) = labels.expanded(&variable);
        assert_eq!((labels.to_string().as_str(), missing), (r#"{b="1"}"#, vec!["GONE".to_owned()]));
    }

    #[test]
    fn labels_that_are_no_text_are_refused_in_the_words_of_prometheus() {
        let read = |text: &str| yaml::from_str::<ExternalLabels>("a.yml", text).expect_err(text).to_string();
        assert_eq!(read("a: !!binary /w=="), "a.yml:1:4: \"\\xff\" is not a valid label value");
        assert_eq!(read("'': x"), "a.yml:1:1: \"\" is not a valid label name");
    }
}
