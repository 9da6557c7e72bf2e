//! Where a page may send the browser after login: to a path of ours and nowhere else.
//!
//! Not here: the path prefix of a proxy (`ui` puts it in front).

/// A longer target is no address of ours; browsers and proxies give up at some length too.
const CHARS_MAX: usize = 2048;

/// The target if it is a path on this server, with its query. Anything that some browser reads as another place is not.
#[must_use]
pub fn safe_redirect(target: &str) -> Option<&str> {
    let path = target.split(['?', '#']).next()?;
    // Browsers read `\` as `/`, drop tabs and line ends, and go to another host at `//`; what we write ourselves is
    // percent-encoded and holds none of these.
    let is_plain = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (path.starts_with('/') && !path.contains("//") && is_plain && target.len() <= CHARS_MAX).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_ours_are_kept_as_they_are() {
        let long = format!("/{}", "a".repeat(2047));
        for target in [
            "/",
            "/d/abc?var-x=1&y=2#panel",
            "/explore?g0.expr=up%7Bjob%3D%22a%22%7D",
            "/login?next=//evil.example",
            "/a/../b",
            "/%2f%2fevil.example",
            "/@evil.example",
            "/:80",
            &long,
        ] {
            assert_eq!(safe_redirect(target), Some(target), "{target}");
        }
    }

    #[test]
    fn nothing_leads_anywhere_else() {
        let long = format!("/{}", "a".repeat(2048));
        for target in [
            "",
            " /",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "/\\/evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\nLocation: https://evil.example",
            "\t//evil.example",
            "/a\0b",
            "/.//evil.example",
            "/..//evil.example",
            "/a//b",
            "/a/..\\..\\\\evil.example",
            "https://evil.example",
            "https:evil.example",
            "HTTPS://evil.example",
            "http:/evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "evil.example",
            "@evil.example",
            "?next=/",
            "#/",
            "./a",
            "../a",
            "/\u{2028}a",
            "/é",
            "/／evil.example",
            "/\u{7f}",
            &long,
        ] {
            assert_eq!(safe_redirect(target), None, "{target:?}");
        }
    }
}
