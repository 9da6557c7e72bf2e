//! Whether a label or field selector is one that an API server would take; it is sent as it was written.
//!
//! Not here: acting on it, which the API server does.

/// `name=value`, `name==value`, `name!=value`, joined by commas; `\` escapes.
pub(super) fn check_fields(selector: &str) -> Result<(), String> {
    for term in split_escaped(selector).into_iter().filter(|term| !term.is_empty()) {
        if !term.contains('=') {
            return Err(format!("invalid selector: '{selector}'; can't understand '{term}'"));
        }
    }
    Ok(())
}

/// At commas that no backslash stands before.
fn split_escaped(selector: &str) -> Vec<&str> {
    let (mut terms, mut begin, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in selector.char_indices() {
        if c == ',' && !escaped {
            terms.push(&selector[begin..at]);
            begin = at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    terms.push(&selector[begin..]);
    terms
}

/// Requirements joined by commas: `a`, `!a`, `a=b`, `a==b`, `a!=b`, `a in (b, c)`, `a notin (b)`, `a>1`, `a<1`.
pub(super) fn check_labels(selector: &str) -> Result<(), String> {
    if selector.trim().is_empty() {
        return Ok(());
    }
    split_outside_brackets(selector).into_iter().try_for_each(|term| {
        check_requirement(term.trim()).map_err(|why| format!("unable to parse requirement: {why} in '{selector}'"))
    })
}

/// At commas that are not part of a set.
fn split_outside_brackets(selector: &str) -> Vec<&str> {
    let (mut terms, mut begin, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, c) in selector.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&selector[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[begin..]);
    terms
}

/// One term of a label selector; an error says what the API server would.
fn check_requirement(term: &str) -> Result<(), String> {
    if let Some(key) = term.strip_prefix('!') {
        return check_key(key.trim());
    }
    let end = term.find(|c: char| c.is_whitespace() || matches!(c, '=' | '!' | '<' | '>' | '(')).unwrap_or(term.len());
    let (key, rest) = (&term[..end], term[end..].trim());
    check_key(key)?;
    if rest.is_empty() {
        return Ok(());
    }
    for word in ["in", "notin"] {
        let set = rest.strip_prefix(word).map(str::trim);
        if let Some(inner) = set.and_then(|set| set.strip_prefix('(')?.strip_suffix(')')) {
            return inner.split(',').try_for_each(|value| check_value(value.trim()));
        }
    }
    let value = ["==", "!=", "=", "<", ">"].iter().find_map(|sign| rest.strip_prefix(sign));
    match value {
        Some(value) => check_value(value.trim()),
        None => Err(format!("found '{rest}', expected: in, notin, =, ==, !=, gt, lt")),
    }
}

/// `prefix/name`: letters, digits, `-`, `_`, `.`, at most 63 of them in the name, letters or digits at both ends.
fn check_key(key: &str) -> Result<(), String> {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if ends(name.chars().next()) && ends(name.chars().last()) && is_word(name) {
        return Ok(());
    }
    Err(format!("key: Invalid value: {key:?}"))
}

fn check_value(value: &str) -> Result<(), String> {
    if is_word(value) { Ok(()) } else { Err(format!("values: Invalid value: {value:?}")) }
}

fn is_word(text: &str) -> bool {
    text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_are_read_as_the_api_server_does() {
        for good in ["", "a", "!a", "a=b", "a==b,c!=d", "a in (b, c), d notin (e)", "x.io/a=b", "a>1", "a=", "a in ()"]
        {
            assert_eq!(check_labels(good), Ok(()), "{good}");
        }
        for bad in ["a b", "a in b", "=b", "a=b c", "a,,b", "-a=b", "a=(b)", &format!("a={}", "x".repeat(64))] {
            assert!(check_labels(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn field_selectors_are_read_as_the_api_server_does() {
        for good in ["", "metadata.name=x", "a==b,c!=d", "a=b\\,c"] {
            assert_eq!(check_fields(good), Ok(()), "{good}");
        }
        let error = check_fields("a=b,metadata.status-Running").expect_err("no sign");
        assert_eq!(
            error,
            "invalid selector: 'a=b,metadata.status-Running'; can't understand 'metadata.status-Running'"
        );
    }
}
