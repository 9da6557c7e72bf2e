//! `${VAR}`, `${VAR:-text}` and `${file:/path}` inside values, filled in before anything is typed.
//!
//! Promises: keys are left alone, filled-in text is not looked at again (no value can refer to another), `$$` is a `$`,
//! and a scalar that got text from outside is hidden: no message shows it.
//! Leaves to others: what a variable or file holds (the resolver), which files may have this at all (only our own).

use crate::node::{Node, Style, Value, joined, shown};
use crate::problem::{Place, Problem, Problems};

/// Bytes that one scalar may become; certificates and keys are a few KiB. Beyond it the reference is refused.
const EXPANDED_BYTES_MAX: usize = 1 << 20;

/// What stands between `${` and `}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    Variable(&'a str),
    /// As written; [`Place::resolve`] makes it relative to the file it stands in.
    File(&'a str),
}

/// Gives the text of a reference: `Ok(None)` if there is none, `Err` with the reason if it cannot be read.
pub type Resolver<'r> = dyn FnMut(Reference<'_>, &Place) -> Result<Option<String>, String> + 'r;

/// Fills in every reference in the tree, or says what is wrong with each of them.
pub fn expand(node: &mut Node, resolver: &mut Resolver<'_>) -> Result<(), Problems> {
    let mut problems = Problems::default();
    node.for_each_scalar(&mut Vec::new(), &mut |path, node| {
        if let Err(sentence) = expand_scalar(node, resolver) {
            problems.push(Problem::new(&node.place, joined(path), sentence));
        }
    });
    problems.or(())
}

fn expand_scalar(node: &mut Node, resolver: &mut Resolver<'_>) -> Result<(), String> {
    let Value::Scalar(scalar) = &mut node.value else { return Ok(()) };
    if !scalar.text.contains('$') {
        return Ok(());
    }
    let mut text = String::with_capacity(scalar.text.len());
    let mut from_outside = false;
    let mut rest = scalar.text.as_str();
    while let Some(dollar) = rest.find('$') {
        text.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            text.push('$');
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('{') {
            let end = tail.find('}').ok_or("expected a closing } after ${, found none")?;
            text.push_str(&resolve(&tail[..end], &node.place, resolver)?);
            from_outside = true;
            rest = &tail[end + 1..];
        } else {
            // A dollar alone is itself: prices and regular expressions have them.
            text.push('$');
        }
        if text.len() > EXPANDED_BYTES_MAX {
            return Err(format!("expected at most {EXPANDED_BYTES_MAX} bytes after filling in ${{…}}, found more"));
        }
    }
    text.push_str(rest);
    scalar.text = text;
    if from_outside && scalar.style == Style::Plain {
        scalar.style = Style::Expanded;
    }
    node.hidden |= from_outside;
    Ok(())
}

fn resolve(inside: &str, place: &Place, resolver: &mut Resolver<'_>) -> Result<String, String> {
    if let Some(path) = inside.strip_prefix("file:") {
        if path.is_empty() {
            return Err("expected a path after ${file:, found none".to_owned());
        }
        let text = resolver(Reference::File(path), place).map_err(|why| format!("cannot read {path:?}: {why}"))?;
        let mut text = text.ok_or_else(|| format!("expected the file {path:?}, found none"))?;
        // Editors and `echo` end files with a line break; no secret means to.
        let end = text.trim_end_matches(['\n', '\r']).len();
        text.truncate(end);
        return Ok(text);
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !letters || name.starts_with(|c: char| c.is_ascii_digit()) {
        let found = shown(name);
        return Err(format!("expected the name of a variable or file:/path between ${{ and }}, found {found}"));
    }
    let value = resolver(Reference::Variable(name), place).map_err(|why| format!("cannot read ${{{name}}}: {why}"))?;
    match (value, default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!("expected the environment variable {name} to be set, or ${{{name}:-default}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(reference: Reference<'_>, _: &Place) -> Result<Option<String>, String> {
        match reference {
            Reference::Variable("PORT") => Ok(Some("9090".into())),
            Reference::Variable("NULL") => Ok(Some("null".into())),
            Reference::Variable("EMPTY") => Ok(Some(String::new())),
            Reference::Variable("TRICK") => Ok(Some("${PORT}".into())),
            Reference::Variable(_) => Ok(None),
            Reference::File("/run/key") => Ok(Some("hunter2\n".into())),
            Reference::File(_) => Err("no such file".into()),
        }
    }

    fn expanded(text: &str) -> Result<Node, String> {
        let mut node = crate::parse("a.yml", text).expect("parses");
        expand(&mut node, &mut resolver).map(|()| node).map_err(|problems| problems.to_string())
    }

    #[track_caller]
    fn check(text: &str, want: &str) {
        let read: String = crate::decode(&expanded(text).expect("expands")).expect("a text");
        assert_eq!(read, want, "{text}");
    }

    #[test]
    fn references_are_filled_in() {
        check("${PORT}", "9090");
        check("a ${PORT} b ${PORT}", "a 9090 b 9090");
        check("${NONE:-x:y}", "x:y");
        check("${EMPTY:-x}", "x");
        check("'${EMPTY}'", "");
        check("${file:/run/key}", "hunter2");
        check("$$ $${PORT} $x 5$", "$ ${PORT} $x 5$");
    }

    #[test]
    fn filled_in_text_is_not_looked_at_again() {
        check("${TRICK}", "${PORT}");
    }

    #[test]
    fn filled_in_text_may_be_a_number_but_nothing_only_if_it_is_empty() {
        assert_eq!(crate::decode::<u16>(&expanded("${PORT}").expect("expands")), Ok(9090));
        assert!(crate::decode::<u16>(&expanded("'${PORT}'").expect("expands")).is_err(), "quotes make a text");
        check("${NULL}", "null");
        assert_eq!(crate::decode::<Option<String>>(&expanded("${EMPTY}").expect("expands")), Ok(None));
    }

    #[test]
    fn filled_in_text_is_never_in_a_message() {
        let problems = crate::decode::<Vec<bool>>(&expanded("- ${PORT}\n- ${file:/run/key}\n").expect("expands"));
        let text = problems.expect_err("not bools").to_string();
        assert!(!text.contains("9090") && !text.contains("hunter2"), "{text}");
        assert!(text.contains("a.yml:2:3: [1]: expected true or false, found a value that is not shown"), "{text}");
    }

    #[test]
    fn every_bad_reference_is_named_with_its_place_and_key() {
        let problems = expanded("a: ${NONE}\nb:\n  - ${PORT\n  - ${}\n  - ${a b}\n  - ${file:}\n  - ${file:x}\n");
        assert_eq!(
            problems.expect_err("all bad"),
            "a.yml:1:4: a: expected the environment variable NONE to be set, or ${NONE:-default}\n\
             a.yml:3:5: b[0]: expected a closing } after ${, found none\n\
             a.yml:4:5: b[1]: expected the name of a variable or file:/path between ${ and }, found \"\"\n\
             a.yml:5:5: b[2]: expected the name of a variable or file:/path between ${ and }, found \"a b\"\n\
             a.yml:6:5: b[3]: expected a path after ${file:, found none\n\
             a.yml:7:5: b[4]: cannot read \"x\": no such file"
        );
    }
}
