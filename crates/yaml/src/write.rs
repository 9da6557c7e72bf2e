//! Tree to text: block style with two blanks, quotes only where a reader needs them.
//!
//! Promise: [`crate::parse`] reads the text back to the same tree, places apart, also when Go's reader would have taken
//! a bare word for a bool or a number.

use std::fmt::Write as _;

use crate::encode::Encode;
use crate::node::{Entry, Node, Scalar, Style, Value};
use crate::scalar;

/// The canonical text of a value, ending in a line break.
#[must_use]
pub fn to_string(value: &impl Encode) -> String {
    let node = value.encode();
    let mut text = String::new();
    match &node.value {
        Value::List(items) if !items.is_empty() => write_list(items, 0, &mut text),
        Value::Map(entries) if !entries.is_empty() => write_map(entries, 0, &mut text),
        _ => {
            write_flow(&node, &mut text);
            text.push('\n');
        }
    }
    text
}

/// The same on one line, for a default in a table: `["0.0.0.0:8443"]`, `{time: 30d}`.
#[must_use]
pub fn to_line(node: &Node) -> String {
    let mut text = String::new();
    write_flow(node, &mut text);
    text
}

fn write_map(entries: &[Entry], indent: usize, out: &mut String) {
    for (index, entry) in entries.iter().enumerate() {
        // The first entry of a map in a list stands behind the dash.
        if index > 0 || !out.ends_with("- ") {
            push_indent(indent, out);
        }
        write_text(&entry.key, out);
        out.push(':');
        match &entry.value.value {
            Value::Map(inner) if !inner.is_empty() => {
                out.push('\n');
                write_map(inner, indent + 2, out);
            }
            Value::List(items) if !items.is_empty() => {
                out.push('\n');
                write_list(items, indent, out);
            }
            Value::Scalar(Scalar { text, style: Style::Quoted }) if is_block(text) => {
                write_block(text, indent + 2, out)
            }
            _ => {
                out.push(' ');
                write_flow(&entry.value, out);
                out.push('\n');
            }
        }
    }
}

fn write_list(items: &[Node], indent: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !out.ends_with("- ") {
            push_indent(indent, out);
        }
        out.push_str("- ");
        match &item.value {
            Value::Map(entries) if !entries.is_empty() => write_map(entries, indent + 2, out),
            Value::List(inner) if !inner.is_empty() => write_list(inner, indent + 2, out),
            _ => {
                write_flow(item, out);
                out.push('\n');
            }
        }
    }
}

fn push_indent(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Lines of text that can stand as `|`: the way people write expressions and scripts. Text that a block would change
/// (leading blanks, control characters, more than one line break at the end) is quoted instead.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && !body.ends_with([' ', '\n', '\t'])
        && body.chars().all(|c| c == '\n' || is_printable(c))
}

fn write_block(text: &str, indent: usize, out: &mut String) {
    out.push_str(if text.ends_with('\n') { " |\n" } else { " |-\n" });
    for line in text.lines() {
        if !line.is_empty() {
            push_indent(indent, out);
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn write_flow(node: &Node, out: &mut String) {
    match &node.value {
        Value::Scalar(Scalar { text, style: Style::Quoted }) => write_text(text, out),
        Value::Scalar(Scalar { text, style: Style::Binary }) => {
            out.push_str("!!binary ");
            write_quoted(text, out);
        }
        Value::Scalar(Scalar { text, .. }) if text.is_empty() => out.push_str("null"),
        // What is a number or a word without quotes must stay one; other text may not be able to stand without them,
        // because `${…}` was filled in or because it was on several lines.
        Value::Scalar(Scalar { text, .. }) if is_bare(text) || !scalar::is_plain_text(text) => out.push_str(text),
        Value::Scalar(Scalar { text, .. }) => write_quoted(text, out),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_flow(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_text(&entry.key, out);
                out.push_str(": ");
                write_flow(&entry.value, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    if is_bare(text) && scalar::is_plain_text(text) { out.push_str(text) } else { write_quoted(text, out) }
}

/// Whether the grammar lets the text stand without quotes, in block and flow alike.
fn is_bare(text: &str) -> bool {
    let first_ok = text.chars().next().is_some_and(|c| !"-?:,[]{}#&*!|>'\"%@`= ~".contains(c));
    let date = text.len() >= 8 && text.as_bytes()[4..].starts_with(b"-") && text.as_bytes()[0].is_ascii_digit();
    first_ok
        && !date
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(|c| is_printable(c) && !",[]{}".contains(c))
}

fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn comes_back(node: &Node) {
        let text = to_string(node);
        let read = crate::parse("written", &text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        // Compared as lines: places differ, and meaning is in the quotes.
        assert_eq!(to_line(&read), to_line(node), "{text}");
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for (text, written) in [
            ("plain", "plain"),
            ("two words", "two words"),
            ("http://host:80/x", "http://host:80/x"),
            ("", "\"\""),
            ("yes", "\"yes\""),
            ("null", "\"null\""),
            ("12", "\"12\""),
            ("0x1f", "\"0x1f\""),
            ("1h30m", "1h30m"),
            ("2001-12-14", "\"2001-12-14\""),
            ("- x", "\"- x\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("[a-z]+", "\"[a-z]+\""),
            ("tab\there", "\"tab\\there\""),
            ("\u{85}\u{2028}", "\"\\u0085\\u2028\""),
            ("<<", "\"<<\""),
        ] {
            assert_eq!(to_line(&Node::text(text)), written);
            comes_back(&Node::text(text));
        }
    }

    #[test]
    fn nested_lists_and_maps_come_back() {
        let text = |text: &str| Node::text(text);
        let map =
            |entries: Vec<(&str, Node)>| Node::map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)));
        let inner = map(vec![("a", text("x")), ("b", Node::list(vec![text("1"), Node::plain("1")]))]);
        let tree = map(vec![
            ("empty", Node::list(vec![])),
            ("none", map(vec![])),
            ("yes", Node::list(vec![inner.clone(), Node::list(vec![inner.clone(), text("z")]), Node::null()])),
            ("block", text("sum(x)\n  by (y)\n\n# end\n")),
            ("cut", text("a\nb")),
            ("odd", text("\n a\n\n")),
            ("deep", map(vec![("er", inner)])),
        ]);
        comes_back(&tree);
        assert_eq!(
            to_string(&tree),
            "empty: []\nnone: {}\n\"yes\":\n- a: x\n  b:\n  - \"1\"\n  - 1\n- - a: x\n    b:\n    - \"1\"\n    - 1\n  - z\n- null\n\
             block: |\n  sum(x)\n    by (y)\n\n  # end\ncut: |-\n  a\n  b\nodd: \"\\n a\\n\\n\"\ndeep:\n  er:\n    a: x\n    b:\n    - \"1\"\n    - 1\n"
        );
    }
}
