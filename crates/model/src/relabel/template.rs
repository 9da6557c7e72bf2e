//! `$1`, `${name}` and `$$` in a target label or a replacement, as Go expands them.
//!
//! Promise: taken apart once; expanding copies text only. A `$` that names nothing is a dollar; a group that is not in
//! the pattern is empty.

use regex::{CaptureLocations, Regex};

/// A text with the groups of one pattern in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `None`: no such group.
    Group(Option<usize>),
}

impl Template {
    pub(super) fn new(text: &str, regex: &Regex) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Group(group(name, regex)));
                rest = after;
            } else {
                plain.push('$');
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self { pieces }
    }

    /// The text where no group is in it.
    pub(super) fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text with the groups of a match filled in.
    pub(super) fn expand(&self, matched: &str, groups: &Groups, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(Some(index)) => out.push_str(groups.get(matched, *index)),
                Piece::Group(None) => {}
            }
        }
    }
}

/// Where the groups of a match are.
pub(super) enum Groups {
    /// `(.*)`: everything is the match and the first group.
    Whole,
    Found(CaptureLocations),
}

impl Groups {
    fn get<'t>(&self, matched: &'t str, index: usize) -> &'t str {
        match self {
            Self::Whole if index < 2 => matched,
            Self::Whole => "",
            Self::Found(found) => found.get(index).map_or("", |(start, end)| &matched[start..end]),
        }
    }
}

/// The name after a `$` and what follows it; `None` where no name stands there.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (inner, braced) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let rest = if braced { rest.strip_prefix('}')? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}

fn group(name: &str, regex: &Regex) -> Option<usize> {
    let number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    if number {
        return name.parse().ok().filter(|index| *index < regex.captures_len());
    }
    regex.capture_names().position(|known| known == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_filled_in_as_go_does() {
        let regex = super::super::pattern::compile("(a)(?P<n>b)(c)?").expect("compiles");
        for (template, expected) in [
            ("$1", "a"),
            ("${1}x", "ax"),
            ("$1x", ""),
            ("$n-$2", "b-b"),
            ("$0", "ab"),
            ("$3|$4|$01", "||"),
            ("$$1", "$1"),
            ("$", "$"),
            ("${", "${"),
            ("${1", "${1"),
            ("$-", "$-"),
            ("", ""),
            ("é$1é", "é"),
        ] {
            let mut found = regex.capture_locations();
            regex.captures_read(&mut found, "ab").expect("matches");
            let mut out = String::new();
            Template::new(template, &regex).expand("ab", &Groups::Found(found), &mut out);
            assert_eq!(out, expected, "{template}");
        }
    }
}
