//! Whether a request that changes something comes from our own pages: where the browser says it does, and by a proof
//! that only our pages can hold.
//!
//! Both are pure: a caller hands in what the headers say. Not here: which requests must pass (`api`, `ui`: every one
//! that changes something and is known by its cookie; a bearer token is no cookie and needs neither).

use ring::hmac;

use crate::random::hex;

/// What the browser says about a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent<'a> {
    pub sec_fetch_site: Option<&'a str>,
    pub origin: Option<&'a str>,
}

/// Whether the request was sent by a page of ours, or by the user directly. `own` are the origins that we are: the
/// external address, and the scheme, host and port that the request was sent to; a path behind them does not matter.
///
/// Browsers send `Sec-Fetch-Site` where the connection is trustworthy; over plain HTTP there is only `Origin`. A request
/// with neither is no browser's, or an old one's: it is refused, because programs have tokens.
#[must_use]
pub fn same_origin(sent: &Sent<'_>, own: &[&str]) -> bool {
    match (sent.sec_fetch_site, sent.origin) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin_of(origin, false)
            .is_some_and(|origin| own.iter().any(|own| origin_of(own, true).as_ref() == Some(&origin))),
        (None, None) => false,
    }
}

/// `scheme://host[:port]` in one spelling, the usual port left out. `None` for anything else, `null` included.
fn origin_of(text: &str, with_path: bool) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (scheme, rest) = (scheme.to_ascii_lowercase(), rest.to_ascii_lowercase());
    let authority = if with_path { rest.split('/').next()? } else { &rest };
    let usual = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if authority.is_empty() || !authority.chars().all(plain) {
        return None;
    }
    // `[::80]` ends in a bracket, so an address is never cut.
    let authority = authority.strip_suffix(usual).unwrap_or(authority);
    Some(format!("{scheme}://{authority}"))
}

/// The proof for the forms of one session: made from its token, and useless for finding it.
#[must_use]
pub fn form_token(session_token: &str) -> String {
    hex(hmac::sign(&key(session_token), PURPOSE).as_ref())
}

/// Whether a form brought the proof of its session.
#[must_use]
pub fn form_token_matches(session_token: &str, given: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    form_token(session_token).as_bytes().ct_eq(given.as_bytes()).into()
}

const PURPOSE: &[u8] = b"watchpost form 1";

fn key(session_token: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, session_token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[&str] = &["https://watch.example.org/prefix", "https://10.0.0.1:8443"];

    #[track_caller]
    fn check(site: Option<&str>, origin: Option<&str>, expected: bool) {
        let sent = Sent { sec_fetch_site: site, origin };
        assert_eq!(same_origin(&sent, OWN), expected, "{sent:?}");
    }

    #[test]
    fn where_the_browser_says_the_site_that_counts() {
        let own = Some("https://watch.example.org");
        for (site, expected) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
            ("Same-Origin", false),
            ("same-origin, cross-site", false),
        ] {
            check(Some(site), None, expected);
            check(Some(site), own, expected);
        }
    }

    #[test]
    fn without_it_the_origin_must_be_ours() {
        for (origin, expected) in [
            ("https://watch.example.org", true),
            ("https://watch.example.org:443", true),
            ("HTTPS://Watch.Example.ORG", true),
            ("https://10.0.0.1:8443", true),
            ("http://watch.example.org", false),
            ("https://watch.example.org:8443", false),
            ("https://10.0.0.1", false),
            ("https://watch.example.org.evil.example", false),
            ("https://evil.example/watch.example.org", false),
            ("https://watch.example.org@evil.example", false),
            ("https://watch.example.org/", false),
            ("https://evil.example#https://watch.example.org", false),
            ("https://example.org", false),
            ("https://xwatch.example.org", false),
            ("https://watch.example.org\n", false),
            ("https://", false),
            ("null", false),
            ("", false),
            ("file://", false),
            ("watch.example.org", false),
        ] {
            check(None, Some(origin), expected);
        }
    }

    #[test]
    fn a_request_that_says_nothing_is_not_ours() {
        check(None, None, false);
        assert!(!same_origin(&Sent { sec_fetch_site: None, origin: Some("https://a") }, &[]));
        assert!(!same_origin(&Sent { sec_fetch_site: None, origin: Some("null") }, &["null"]));
    }

    #[test]
    fn addresses_of_the_sixth_version_keep_their_end() {
        let sent = Sent { sec_fetch_site: None, origin: Some("http://[2001:db8::80]") };
        assert!(same_origin(&sent, &["http://[2001:db8::80]:80"]));
        assert!(!same_origin(&sent, &["http://[2001:db8:]"]));
    }

    #[test]
    fn a_form_proves_its_own_session_only() {
        let proof = form_token("session one");
        assert!(form_token_matches("session one", &proof));
        for (session, given) in [
            ("session two", proof.as_str()),
            ("session one", ""),
            ("session one", &proof[1..]),
            ("session one", &proof.to_uppercase()),
            ("session one", &format!("{proof}0")),
            ("", &proof),
        ] {
            assert!(!form_token_matches(session, given), "{session} {given}");
        }
        assert!(!proof.contains("session"));
    }
}
