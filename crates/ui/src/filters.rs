//! The filters of the templates: what every text and every link from outside passes before askama escapes it.
//!
//! Promise: a text can neither flood a page, nor reorder what stands around it, nor hide; a link stays on this server.

use std::fmt::{Display, Write as _};

use askama::Values;

/// Longest text in a row or a heading, in characters. Beyond it the rest is cut and an ellipsis says so; the whole
/// text is on the page of the thing itself.
const SHOWN_CHARS_MAX: usize = 240;
/// Longest text that is a page's subject: a reason, a configuration value.
const LONG_CHARS_MAX: usize = 4_000;
/// Longest value a form field shows again. What was typed beyond it was refused anyway.
const VALUE_CHARS_MAX: usize = 4_000;

/// Longest query a field gives back; a longer one is refused before it gets here.
pub const QUERY_CHARS_MAX: usize = 64 << 10;

/// A text of somebody's in a row.
#[askama::filter_fn]
pub fn shown(text: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(cleaned(&text, SHOWN_CHARS_MAX))
}

/// A text of somebody's that is the subject of the page.
#[askama::filter_fn]
pub fn long(text: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(cleaned(&text, LONG_CHARS_MAX))
}

/// What a form field held: as it was typed, but not endless.
#[askama::filter_fn]
pub fn typed(text: impl Display, _: &dyn Values) -> askama::Result<String> {
    let mut kept = Bounded { text: String::new(), left: VALUE_CHARS_MAX, clean: false, cut: false };
    let _full = write!(kept, "{text}");
    Ok(kept.text)
}

/// A query in its field: whole, since it is sent again, but without what deceives the eye.
#[askama::filter_fn]
pub fn query(text: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(cleaned(&text, QUERY_CHARS_MAX))
}

/// A link below the base path: `{{ href|link(shell.base) }}`.
#[askama::filter_fn]
pub fn link(path: impl Display, _: &dyn Values, base: &str) -> askama::Result<String> {
    let path = cleaned(&path, LONG_CHARS_MAX);
    Ok(if is_path(&path) { format!("{base}{path}") } else { format!("{base}/") })
}

/// Whether a text is a path on this server and nothing else: `//host` and `/\host` are other servers to a browser.
#[must_use]
pub fn is_path(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && !text.contains(|c: char| c.is_control() || c == '\\' || c == REPLACEMENT)
}

const REPLACEMENT: char = '\u{fffd}';

fn cleaned(text: &impl Display, chars_max: usize) -> String {
    let mut kept = Bounded { text: String::new(), left: chars_max, clean: true, cut: false };
    let _full = write!(kept, "{text}");
    if kept.cut {
        kept.text.push('…');
    }
    kept.text
}

/// Takes what fits. Refusing to write more stops a long `Display` early, so that 1 MB costs no more than the bound.
struct Bounded {
    text: String,
    left: usize,
    clean: bool,
    cut: bool,
}

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        for c in part.chars() {
            if self.left == 0 {
                self.cut = true;
                return Err(std::fmt::Error);
            }
            self.left -= 1;
            // No document may hold a NUL, not even within a field.
            self.text.push(if c == '\0' || self.clean && deceives(c) { REPLACEMENT } else { c });
        }
        Ok(())
    }
}

/// Control characters, and those that change the direction or join of what follows them.
fn deceives(c: char) -> bool {
    let control = c.is_control() && !matches!(c, '\n' | '\t');
    let directs = matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    control || directs || c == '\u{feff}'
}

#[cfg(test)]
mod tests {
    //! What a text may do to a page: nothing.

    use super::*;

    #[test]
    fn a_long_text_is_cut_with_a_mark_and_a_short_one_is_not() {
        assert_eq!(cleaned(&"é".repeat(240), 240), "é".repeat(240));
        assert_eq!(cleaned(&"é".repeat(241), 240), "é".repeat(240) + "…");
        assert_eq!(cleaned(&"x".repeat(1 << 20), 240).chars().count(), 241);
    }

    #[test]
    fn a_text_cannot_turn_round_what_stands_beside_it_or_hide() {
        assert_eq!(cleaned(&"a\u{202e}b\0c\u{200b}d\u{feff}", 9), "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}");
        assert_eq!(cleaned(&"two\nlines\tשלום", 99), "two\nlines\tשלום");
    }

    #[test]
    fn only_a_path_on_this_server_is_a_link() {
        for path in ["/", "/account", "/a?b=c&d=e#f", "/ü"] {
            assert!(is_path(path), "{path}");
        }
        for other in [
            "",
            "account",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\nb",
            "/a\\b",
        ] {
            assert!(!is_path(other), "{other}");
        }
    }
}
