//! Several documents as one, for `include`: maps are joined, lists appended, and a value given twice is a mistake.
//!
//! Promise: every value keeps its own place, so a message about an included value names the included file.

use crate::node::{Entry, Node, Value, joined};
use crate::problem::{Problem, Problems};

/// Adds `other` to `base`, or says which values stand in both.
pub fn merge(base: &mut Node, other: Node) -> Result<(), Problems> {
    let mut problems = Problems::default();
    merge_at(base, other, &mut Vec::new(), &mut problems);
    problems.or(())
}

fn merge_at(base: &mut Node, other: Node, path: &mut Vec<String>, problems: &mut Problems) {
    // A key without a value says nothing, so it contradicts nothing.
    if other.is_null() {
        return;
    }
    if base.is_null() {
        *base = other;
        return;
    }
    let (kind, place) = (base.kind(), base.place.clone());
    match (&mut base.value, other.value) {
        (Value::Map(entries), Value::Map(more)) => merge_entries(entries, more, path, problems),
        (Value::List(items), Value::List(more)) => items.extend(more),
        (Value::Scalar(_), Value::Scalar(_)) => {
            let sentence = format!("expected one value for this key, found another at {place}");
            problems.push(Problem::new(&other.place, joined(path), sentence));
        }
        (_, value) => {
            let found = Node { place: other.place, value, hidden: other.hidden };
            problems.push(Problem::expected(
                &found.place,
                &joined(path),
                format!("{kind} as at {place}"),
                found.kind(),
            ));
        }
    }
}

fn merge_entries(entries: &mut Vec<Entry>, more: Vec<Entry>, path: &mut Vec<String>, problems: &mut Problems) {
    for entry in more {
        match entries.iter_mut().find(|have| have.key == entry.key) {
            None => entries.push(entry),
            Some(have) => {
                path.push(entry.key);
                merge_at(&mut have.value, entry.value, path, problems);
                path.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, other: &str) -> Result<String, String> {
        let mut node = crate::parse("a.yml", base).expect("parses");
        let result = merge(&mut node, crate::parse("b.yml", other).expect("parses"));
        result.map(|()| crate::write::to_line(&node)).map_err(|problems| problems.to_string())
    }

    #[test]
    fn maps_are_joined_and_lists_appended() {
        let text = merged("a: {x: 1}\nl: [1]\nn:\n", "a: {y: 2}\nl: [2]\nm: 3\nn: 4\n");
        assert_eq!(text.as_deref(), Ok("{a: {x: 1, \"y\": 2}, l: [1, 2], \"n\": 4, m: 3}"));
    }

    #[test]
    fn a_value_given_twice_names_both_places() {
        let text = merged("a: {x: secret}\nb: [1]\n", "a:\n  x: secret\nb: 1\n");
        assert_eq!(
            text.expect_err("twice"),
            "b.yml:2:6: a.x: expected one value for this key, found another at a.yml:1:8\n\
             b.yml:3:4: b: expected a list as at a.yml:2:4, found a single value"
        );
    }

    #[test]
    fn an_included_value_keeps_its_place() {
        let mut node = crate::parse("a.yml", "l: [1]").expect("parses");
        merge(&mut node, crate::parse("b.yml", "l:\n- 2").expect("parses")).expect("merges");
        let items = node.get("l").and_then(Node::as_list).expect("a list");
        let places: Vec<String> = items.iter().map(|item| item.place.to_string()).collect();
        assert_eq!(places, ["a.yml:1:5", "b.yml:2:3"]);
    }
}
