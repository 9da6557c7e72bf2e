//! Which licences may come into the product, and whether an SPDX expression grants one of them.
//!
//! The list is `deny.toml`'s; a test keeps the two the same.

/// Permissive licences only: what may be linked into one binary under Apache-2.0 and given to anyone.
pub const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Whether the expression lets us choose only allowed licences. An expression that cannot be read is not allowed.
#[must_use]
pub fn is_allowed(expression: &str) -> bool {
    // Older manifests separate alternatives with a slash.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest).is_some_and(|allowed| allowed && rest.is_empty())
}

fn either(rest: &mut &[&str]) -> Option<bool> {
    let mut allowed = both(rest)?;
    while take(rest, "OR") {
        allowed |= both(rest)?;
    }
    Some(allowed)
}

fn both(rest: &mut &[&str]) -> Option<bool> {
    let mut allowed = one(rest)?;
    while take(rest, "AND") {
        allowed &= one(rest)?;
    }
    Some(allowed)
}

fn one(rest: &mut &[&str]) -> Option<bool> {
    if take(rest, "(") {
        let allowed = either(rest)?;
        return take(rest, ")").then_some(allowed);
    }
    let (&name, after) = rest.split_first()?;
    *rest = after;
    if !take(rest, "WITH") {
        return Some(ALLOWED.contains(&name));
    }
    let (&exception, after) = rest.split_first()?;
    *rest = after;
    Some(ALLOWED.contains(&format!("{name} WITH {exception}").as_str()))
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let Some((&first, after)) = rest.split_first() else { return false };
    if first == word {
        *rest = after;
    }
    first == word
}

#[cfg(test)]
mod tests {
    //! Expressions as manifests write them.

    use super::*;

    #[test]
    fn one_allowed_alternative_is_enough_and_every_obligation_counts() {
        for expression in [
            "MIT",
            "MIT OR Apache-2.0",
            "Apache-2.0/MIT",
            "GPL-3.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
            "MIT AND (GPL-2.0 OR ISC)",
        ] {
            assert!(is_allowed(expression), "{expression}");
        }
        for expression in [
            "GPL-3.0",
            "MPL-2.0",
            "MIT AND GPL-3.0",
            "(MIT OR Apache-2.0) AND LGPL-2.1",
            "GPL-3.0 WITH Classpath-exception-2.0",
            "MIT AND",
            "(MIT",
            "MIT Apache-2.0",
            "",
        ] {
            assert!(!is_allowed(expression), "{expression}");
        }
    }
}
