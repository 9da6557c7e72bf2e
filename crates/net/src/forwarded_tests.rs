//! Whose word counts about where a request comes from.

use http::HeaderValue;

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().expect("a header value"));
    }
    headers
}

#[track_caller]
fn client(peer: &str, pairs: &[(&'static str, &str)]) -> ClientAddress {
    let trusted = ["10.0.0.0/8", "127.0.0.1"].map(|text| text.parse().expect("a network")).to_vec();
    client_address(SocketAddr::new(peer.parse().expect(peer), 4711), &headers(pairs), &TrustedProxies::new(trusted))
}

#[track_caller]
fn check(peer: &str, pairs: &[(&'static str, &str)], ip: &str, loopback: bool) {
    let found = client(peer, pairs);
    assert_eq!((found.ip.to_string().as_str(), found.loopback), (ip, loopback), "{pairs:?}");
}

#[test]
fn without_a_proxy_the_peer_is_the_client() {
    check("192.0.2.1", &[], "192.0.2.1", false);
    check("::1", &[], "::1", true);
    check("127.0.0.2", &[], "127.0.0.2", true);
    check("::ffff:127.0.0.2", &[], "127.0.0.2", true);
    check("127.0.0.1", &[], "127.0.0.1", true);
}

#[test]
fn a_stranger_that_relays_is_itself_the_client_and_not_this_machine() {
    check("192.0.2.1", &[("x-forwarded-for", "127.0.0.1")], "192.0.2.1", false);
    check("::1", &[("x-forwarded-for", "127.0.0.1")], "::1", false);
    check("127.0.0.2", &[("forwarded", "for=127.0.0.1")], "127.0.0.2", false);
    check("::1", &[("forwarded", "")], "::1", false);
    let found = client("192.0.2.1", &[("x-forwarded-proto", "https"), ("x-forwarded-host", "evil")]);
    assert_eq!((found.https, found.host, found.prefix), (None, None, None));
}

#[test]
fn behind_trusted_proxies_the_right_most_stranger_is_the_client() {
    let of = |value| [("x-forwarded-for", value)];
    check("10.0.0.1", &of("192.0.2.7"), "192.0.2.7", false);
    check("10.0.0.1", &of("127.0.0.1, 192.0.2.7"), "192.0.2.7", false);
    check("10.0.0.1", &of("192.0.2.7, 10.0.0.2,10.0.0.3"), "192.0.2.7", false);
    check("10.0.0.1", &of("10.0.0.9, 10.0.0.2"), "10.0.0.9", false);
    check("10.0.0.1", &of("[2001:db8::1]:443"), "2001:db8::1", false);
    check("10.0.0.1", &of("192.0.2.7:5555"), "192.0.2.7", false);
    check("10.0.0.1", &of("::ffff:192.0.2.7"), "192.0.2.7", false);
    check("127.0.0.1", &of("127.0.0.1"), "127.0.0.1", true);
    check("127.0.0.1", &of("::1"), "::1", true);
    check("10.0.0.1", &[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "192.0.2.7")], "192.0.2.7", false);
}

#[test]
fn a_chain_that_cannot_be_read_ends_at_the_proxy() {
    for value in ["unknown", "", "192.0.2.7, _hidden", "192.0.2.7, 1.2.3", "127.0.0.1, "] {
        check("127.0.0.1", &[("x-forwarded-for", value)], "127.0.0.1", false);
        check("10.0.0.1", &[("x-forwarded-for", value)], "10.0.0.1", false);
    }
    let mut latin = HeaderMap::new();
    latin.append("x-forwarded-for", "127.0.0.1".parse().expect("a value"));
    latin.append("x-forwarded-for", HeaderValue::from_bytes(b"\xe9").expect("a value"));
    let trusted = TrustedProxies::new(vec!["10.0.0.1".parse().expect("an address")]);
    let found = client_address("10.0.0.1:1".parse().expect("a socket"), &latin, &trusted);
    assert!(!found.loopback && found.ip.to_string() == "10.0.0.1");
}

#[test]
fn the_standard_header_is_read_where_it_stands_alone() {
    let value = r#"for=127.0.0.1;proto=http, For="[2001:db8::9]:80";Proto=https;host="w.example", for=10.0.0.4;by=x"#;
    let found = client("10.0.0.1", &[("forwarded", value)]);
    assert_eq!(found.ip.to_string(), "2001:db8::9");
    assert_eq!((found.https, found.host.as_deref(), found.loopback), (Some(true), Some("w.example"), false));
    check("10.0.0.1", &[("forwarded", "by=x;proto=https")], "10.0.0.1", false);
}

#[test]
fn where_the_two_headers_disagree_neither_is_believed() {
    let both = |a, b| [("x-forwarded-for", a), ("forwarded", b)];
    check("127.0.0.1", &both("192.0.2.7", "for=127.0.0.1"), "127.0.0.1", false);
    check("127.0.0.1", &both("127.0.0.1", "for=192.0.2.7"), "127.0.0.1", false);
    check("10.0.0.1", &both("192.0.2.7", "for=192.0.2.7;proto=https"), "192.0.2.7", false);
}

#[test]
fn a_trusted_proxy_says_which_address_its_client_used() {
    let words =
        [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "w.example:8443")];
    let found = client("10.0.0.1", &words);
    assert_eq!((found.https, found.host.as_deref()), (Some(true), Some("w.example:8443")));
    let found = client("10.0.0.1", &[("x-forwarded-prefix", "/w/"), ("x-forwarded-proto", "http, HTTPS")]);
    assert_eq!(
        (found.https, found.prefix.as_deref(), found.ip.to_string().as_str()),
        (Some(true), Some("/w"), "10.0.0.1")
    );
    for (host, prefix) in [("a/b", "//evil"), ("a b", "w"), ("", "/a/../b"), ("a\"b", "/a?b"), ("<x>", "")] {
        let found = client("10.0.0.1", &[("x-forwarded-host", host), ("x-forwarded-prefix", prefix)]);
        assert_eq!((found.host, found.prefix), (None, None), "{host} {prefix}");
    }
}

#[test]
fn only_names_that_mean_this_machine_are_loopback_names() {
    for host in
        ["localhost", "LOCALHOST:8443", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8443"]
    {
        assert!(host_is_loopback_name(host), "{host}");
    }
    for host in [
        "",
        "example.org",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "192.0.2.1",
        "[::2]",
        "notlocalhost",
        "localhost:x",
        "localhost:99999",
        "[::1]x",
        "[::1",
        "localhost@example.org",
        "127.1",
        "0.0.0.0",
        "localhost:+80",
    ] {
        assert!(!host_is_loopback_name(host), "{host}");
    }
}

#[test]
fn the_host_of_a_request_is_its_address_before_its_header() {
    let named = headers(&[("host", "header.example")]);
    assert_eq!(request_host(&"/x".parse().expect("a uri"), &named), Some("header.example"));
    assert_eq!(request_host(&"https://uri.example/x".parse().expect("a uri"), &named), Some("uri.example"));
    assert_eq!(request_host(&"/x".parse().expect("a uri"), &HeaderMap::new()), None);
}

/// A small generator of its own, so that a failure is the same one again.
fn next(seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 33).expect("31 bits")
}

#[test]
fn no_header_makes_a_stranger_another_client_or_this_machine() {
    const PIECES: [&str; 16] = [
        "127.0.0.1",
        "::1",
        "[::1]:1",
        "10.0.0.1",
        "192.0.2.7",
        "for=127.0.0.1",
        "for=\"[::1]\"",
        "proto=https",
        ",",
        ";",
        "=",
        "\"",
        "unknown",
        "localhost",
        " ",
        "",
    ];
    const NAMES: [&str; 5] =
        ["x-forwarded-for", "forwarded", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix"];
    let mut seed = 7;
    for _ in 0..20_000 {
        let mut pairs = Vec::new();
        for _ in 0..next(&mut seed) % 4 {
            let value: String = (0..next(&mut seed) % 6).map(|_| PIECES[next(&mut seed) % PIECES.len()]).collect();
            pairs.push((NAMES[next(&mut seed) % NAMES.len()], value));
        }
        let pairs: Vec<(&'static str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let relayed = pairs.iter().any(|(name, _)| matches!(*name, "x-forwarded-for" | "forwarded"));
        for peer in ["192.0.2.1", "::1"] {
            let found = client(peer, &pairs);
            assert_eq!(found.ip.to_string(), peer, "{pairs:?}");
            assert_eq!(found.loopback, peer == "::1" && !relayed, "{pairs:?}");
            assert_eq!((found.https, found.host, found.prefix), (None, None, None), "{pairs:?}");
        }
        // Behind a proxy the client is what the chain says or the proxy, and what goes into links is clean.
        let found = client("10.0.0.1", &pairs);
        assert!(found.host.is_none_or(|host| is_host(&host)), "{pairs:?}");
        assert!(found.prefix.is_none_or(|prefix| is_prefix(&prefix)), "{pairs:?}");
    }
}
