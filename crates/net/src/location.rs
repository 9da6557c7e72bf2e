//! Where a `Location` header leads: RFC 3986 reference resolution, for http addresses.

/// The address that `location` means in an answer to `base` (absolute). `None`: it is no http address.
#[must_use]
pub(crate) fn resolve(base: &str, location: &str) -> Option<String> {
    let location = location.split('#').next().unwrap_or_default().trim();
    if let Some((scheme, _)) = location.split_once("://")
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        return http.then(|| location.to_owned());
    }
    let (scheme, rest) = base.split('#').next()?.split_once("://")?;
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(cut);
    let (path, _query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    if let Some(other) = location.strip_prefix("//") {
        return Some(format!("{scheme}://{other}"));
    }
    if location.is_empty() {
        return Some(format!("{scheme}://{authority}{path_and_query}"));
    }
    if location.starts_with('?') {
        return Some(format!("{scheme}://{authority}{path}{location}"));
    }
    // A colon before the first slash is another scheme: mailto:, javascript:, data:.
    if location.split('/').next().is_some_and(|first| first.contains(':')) {
        return None;
    }
    let (target, query) = match location.split_once('?') {
        Some((target, query)) => (target, format!("?{query}")),
        None => (location, String::new()),
    };
    let merged = if target.starts_with('/') {
        target.to_owned()
    } else {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{target}")
    };
    Some(format!("{scheme}://{authority}{}{query}", without_dots(&merged)))
}

/// `/a/./b/../c` is `/a/c`; nothing climbs above the root.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut folder = false;
    for part in path.split('/').skip(1) {
        folder = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    let end = if folder && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_against_the_address_that_sent_it() {
        let base = "https://a.example:8443/b/c?d=e#f";
        for (location, expected) in [
            ("http://other/x", Some("http://other/x")),
            ("HTTPS://other", Some("HTTPS://other")),
            ("//other/x", Some("https://other/x")),
            ("/x?y#z", Some("https://a.example:8443/x?y")),
            ("x", Some("https://a.example:8443/b/x")),
            ("./x", Some("https://a.example:8443/b/x")),
            ("../x", Some("https://a.example:8443/x")),
            ("../../../x", Some("https://a.example:8443/x")),
            ("..", Some("https://a.example:8443/")),
            ("x/..", Some("https://a.example:8443/b/")),
            ("/x/./y/../z", Some("https://a.example:8443/x/z")),
            ("?y=/..", Some("https://a.example:8443/b/c?y=/..")),
            ("/x?to=http://other", Some("https://a.example:8443/x?to=http://other")),
            ("", Some("https://a.example:8443/b/c?d=e")),
            ("ftp://other/x", None),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
        ] {
            assert_eq!(resolve(base, location).as_deref(), expected, "{location}");
        }
        assert_eq!(resolve("http://a", "x").as_deref(), Some("http://a/x"));
        assert_eq!(resolve("http://a?q", "/x").as_deref(), Some("http://a/x"));
    }
}
