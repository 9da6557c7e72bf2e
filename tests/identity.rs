//! Logins, permission and the audit log on the running binary, as people and programs meet them.

use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tests::folder::Folder;
use tests::server::{ADMIN_PASSWORD, Answer, Login, Server, Start, binary};
use tests::visitor::{Visitor, form};

const PAGE: &[(&str, &str)] = &[("Accept", "text/html")];

fn with_admin() -> Server {
    Server::start(&Start { login: Login::Admin, ..Start::default() })
}

/// A verb of the host's administrator beside a running server.
#[track_caller]
fn verb(server: &Server, args: &[&str]) -> String {
    let output = Command::new(binary()).args(args).current_dir(server.folder().path()).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn token(server: &Server, scope: &str) -> String {
    verb(server, &["token", "create", "of a test", "--owner", "admin", "--scope", scope]).trim().to_owned()
}

fn call(server: &Server, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    server.request(method, &format!("/api/watchpost/v1{path}"), &headers, body)
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

#[test]
fn the_one_time_link_makes_the_first_administrator_and_opens_nothing_twice() {
    let server = Server::start(&Start { login: Login::Nobody, ..Start::default() });
    for (path, status) in [("/", 503), ("/settings/users", 503), ("/metrics", 503), ("/live", 200), ("/health", 200)] {
        assert_eq!(server.request("GET", path, PAGE, "").status, status, "{path}");
    }
    let log = server.log();
    let key = log.split_once("/setup?key=").expect("the log shows the link").1;
    let key = key.split_whitespace().next().expect("a key");
    assert!(key.len() >= 22, "128 bits take 22 characters: {key}");

    let visitor = Visitor::of(&server);
    assert_eq!(visitor.get("/setup?key=AAAAAAAAAAAAAAAAAAAAAA").status, 403);
    assert_eq!(visitor.get(&format!("/setup?key={key}")).status, 200);
    let fields = |password: &'static str, again: &'static str| {
        [("key", key), ("user", "mara"), ("password", password), ("again", again)]
    };
    assert_eq!(visitor.post("/setup", &fields("short", "short")).status, 422, "too short");
    assert_eq!(visitor.post("/setup", &fields(ADMIN_PASSWORD, "another-one-here")).status, 422, "typed differently");
    let done = visitor.post("/setup", &fields(ADMIN_PASSWORD, ADMIN_PASSWORD));
    assert_eq!((done.status, done.header("location")), (303, Some("/")), "{}", done.body);
    assert_eq!(visitor.get("/").status, 200);
    let again = Visitor::of(&server).post("/setup", &fields(ADMIN_PASSWORD, ADMIN_PASSWORD));
    assert_eq!(again.status, 403, "the link is used up");
}

#[test]
fn a_login_lasts_over_a_restart_until_it_is_closed() {
    let folder = Arc::new(Folder::new("session"));
    let start = || Start { login: Login::Admin, folder: Some(Arc::clone(&folder)), ..Start::default() };
    let server = Server::start(&start());
    let visitor = Visitor::logged_in(&server, "admin", ADMIN_PASSWORD);
    let cookie = visitor.cookie("wp_s").expect("the cookie of plain HTTP");
    drop(server);

    let server = Server::start(&start());
    let visitor = Visitor::of(&server);
    visitor.take_cookie("wp_s", &cookie);
    assert_eq!(visitor.get("/account").status, 200);
    let gone = visitor.post("/logout", &[]);
    assert_eq!((gone.status, gone.header("location")), (303, Some("/login?signed_out=1")));
    let thief = Visitor::of(&server);
    thief.take_cookie("wp_s", &cookie);
    assert_eq!(thief.get("/account").status, 303, "the session is closed on the server, not only in the browser");
}

#[test]
fn a_changed_password_closes_every_other_session() {
    let server = with_admin();
    let (here, there) =
        (Visitor::logged_in(&server, "admin", ADMIN_PASSWORD), Visitor::logged_in(&server, "admin", ADMIN_PASSWORD));
    let new = "another-plum-orbit-72";
    let changed = here.post("/account/password", &[("current", ADMIN_PASSWORD), ("password", new), ("again", new)]);
    assert_eq!(changed.status, 303, "{}", changed.body);
    assert_eq!(here.get("/account").status, 200, "this one goes on, with another cookie");
    assert_eq!(there.get("/account").status, 303);
}

#[test]
fn guessing_is_slowed_down_without_telling_who_exists_and_a_restart_does_not_help() {
    let folder = Arc::new(Folder::new("throttle"));
    let start = || Start { login: Login::Admin, folder: Some(Arc::clone(&folder)), ..Start::default() };
    let server = Server::start(&start());
    let attempt = |server: &Server, user: &str| {
        let fields = [("user", user), ("password", "not-the-password-1")];
        Visitor::of(server).send("POST", "/login", &[("Sec-Fetch-Site", "same-origin")], &form(&fields))
    };
    let (known, unknown) = (attempt(&server, "admin"), attempt(&server, "nobody-here"));
    assert_eq!((known.status, unknown.status), (401, 401));
    // The pages repeat the name that was typed, and nothing else may differ.
    let unnamed = |answer: &Answer, name: &str| answer.body.replace(&format!("value=\"{name}\""), "");
    assert_eq!(unnamed(&known, "admin"), unnamed(&unknown, "nobody-here"));
    let last = (0..20).map(|_| attempt(&server, "admin")).find(|answer| answer.status == 429);
    assert!(last.expect("it is slowed down").header("retry-after").is_some());
    drop(server);
    let server = Server::start(&start());
    // Somebody new has three attempts free. The wait of the first may be over by now, that of a further one is longer.
    assert!((0..3).any(|_| attempt(&server, "admin").status == 429), "the counters are kept");
}

#[test]
fn a_request_from_somebody_elses_page_changes_nothing() {
    let server = with_admin();
    let visitor = Visitor::logged_in(&server, "admin", ADMIN_PASSWORD);
    let own = format!("http://{}", server.address());
    let body = form(&[("theme", "dark"), ("next", "/")]);
    let token = visitor.get("/account").body;
    let token =
        token.split_once("name=\"form_token\" value=\"").expect("a proof").1.split('"').next().expect("its end");
    let proven = form(&[("form_token", token)]);
    let path = "/account/sessions/end-others";
    for (headers, body, status) in [
        (vec![("Sec-Fetch-Site", "cross-site")], &proven, 403),
        (vec![("Sec-Fetch-Site", "same-site")], &proven, 403),
        (vec![("Origin", "https://evil.example")], &proven, 403),
        (vec![("Origin", "null")], &proven, 403),
        (vec![], &proven, 403),
        (vec![("Sec-Fetch-Site", "same-origin")], &body, 403),
        (vec![("Origin", own.as_str())], &body, 403),
        (vec![("Origin", own.as_str())], &proven, 303),
        (vec![("Sec-Fetch-Site", "same-origin")], &proven, 303),
    ] {
        let answer = visitor.send("POST", path, &headers, body);
        assert_eq!(answer.status, status, "{headers:?} {}", answer.body);
    }
    // Nor can it log its reader in as somebody else.
    let login = form(&[("user", "admin"), ("password", ADMIN_PASSWORD)]);
    let foreign = Visitor::of(&server).send("POST", "/login", &[("Sec-Fetch-Site", "cross-site")], &login);
    assert_eq!(foreign.status, 403);
}

#[test]
fn after_a_login_only_paths_of_ours_are_gone_to() {
    let server = with_admin();
    for (next, place) in [
        ("/settings/audit?actor=x", "/settings/audit?actor=x"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("", "/"),
    ] {
        let fields = [("user", "admin"), ("password", ADMIN_PASSWORD), ("next", next)];
        let answer = Visitor::of(&server).post("/login", &fields);
        assert_eq!((answer.status, answer.header("location")), (303, Some(place)), "{next:?}");
    }
}

#[test]
fn programs_are_told_how_to_call_and_their_tokens_work_both_ways() {
    let server = with_admin();
    let refused = server.get("/metrics");
    assert_eq!(refused.status, 401);
    let line = format!("curl -H 'Authorization: Bearer wp_…' 'http://{}/metrics'", server.address());
    assert!(refused.body.contains(&line), "{}", refused.body);
    assert!(refused.header("www-authenticate").is_some_and(|ways| ways.contains("Basic")));

    let token = token(&server, "metrics:read");
    assert!(token.starts_with("wp_") && token.len() == 46, "{token}");
    let with = |value: &str| server.request("GET", "/metrics", &[("Authorization", value)], "").status;
    assert_eq!(with(&format!("Bearer {token}")), 200);
    // `x:` and the token, as Grafana sends it; base64 by hand would only repeat the product's own code.
    let basic = base64(format!("grafana:{token}").as_bytes());
    assert_eq!(with(&format!("Basic {basic}")), 200);
    assert_eq!(with("Bearer wp_0000000000000000000000000000000000000000000"), 401);
    assert_eq!(call(&server, &token, "GET", "/users", "").status, 403, "its scope does not reach there");

    let list: Value = serde_json::from_str(&verb(&server, &["token", "list", "--json"])).expect("JSON");
    let id = list[0]["id"].to_string();
    verb(&server, &["token", "revoke", &id]);
    assert_eq!(with(&format!("Bearer {token}")), 401, "revoked means now");
}

/// RFC 4648, for a test that must not lean on the product.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, &byte| number << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[test]
fn our_own_interface_makes_edits_pages_and_removes() {
    let server = with_admin();
    let admin = token(&server, "admin:*");
    let api = |method: &str, path: &str, body: &str| call(&server, &admin, method, path, body);
    let made = api("POST", "/users", "{\"name\":\"jonas\",\"role\":\"viewer\"}");
    assert_eq!(made.status, 201, "{}", made.body);
    let (user, tag) = (json(&made), made.header("etag").expect("a version").to_owned());
    assert!(user["temporary_password"].is_string());
    let path = format!("/users/{}", user["id"]);
    assert_eq!(made.header("location"), Some(format!("/api/watchpost/v1{path}").as_str()));

    let bearer = format!("Bearer {admin}");
    let edit = |tag: &str, body: &str| {
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json"), ("If-Match", tag)];
        server.request("PATCH", &format!("/api/watchpost/v1{path}"), &headers, body)
    };
    let changed = edit(&tag, "{\"role\":\"editor\"}");
    assert_eq!((changed.status, json(&changed)["role"].as_str()), (200, Some("editor")));
    let stale = edit(&tag, "{\"role\":\"admin\"}");
    assert_eq!((stale.status, stale.header("content-type")), (412, Some("application/problem+json")));

    let first = json(&api("GET", "/users?limit=1", ""));
    let next = first["next"].as_str().expect("there is more");
    let second = json(&api("GET", &format!("/users?limit=1&cursor={next}"), ""));
    assert_ne!(first["items"][0]["id"], second["items"][0]["id"]);
    assert!(second.get("next").is_none(), "{second}");

    for (method, path, body, status, part) in [
        ("POST", "/users", "{\"name\":\"jonas\",\"role\":\"viewer\"}", 409, ""),
        ("POST", "/users", "{\"name\":\"x\",\"role\":\"boss\"}", 422, "unknown variant"),
        ("POST", "/users", "{\"name\":", 400, "line 1"),
        ("GET", "/users/999", "", 404, ""),
        ("GET", "/users/x", "", 404, "number"),
        ("GET", "/users?limit=0", "", 400, "1 to 500"),
        ("GET", "/nowhere", "", 404, "nothing is at this address"),
        ("PUT", "/users", "", 405, "PUT"),
        ("DELETE", "/users/1", "", 409, ""),
    ] {
        let answer = api(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        let problem = json(&answer);
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(part)), "{problem}");
    }
    let form = server.request(
        "POST",
        "/api/watchpost/v1/users",
        &[("Authorization", &bearer), ("Content-Type", "text/plain")],
        "{}",
    );
    assert_eq!(form.status, 415);
    assert_eq!(api("DELETE", &path, "").status, 204);
    assert_eq!(api("GET", &path, "").status, 404);
    let document = json(&api("GET", "/openapi.json", ""));
    assert!(document["paths"]["/users/{id}"]["patch"].is_object(), "{document}");
}

#[test]
fn every_deed_is_in_the_audit_log_with_who_and_how_it_went() {
    let server = with_admin();
    let visitor = Visitor::logged_in(&server, "admin", ADMIN_PASSWORD);
    let guess = [("user", "eve"), ("password", "guess-guess-guess")];
    assert_eq!(Visitor::of(&server).post("/login", &guess).status, 401);
    verb(&server, &["user", "add", "jonas", "--role", "editor"]);
    let admin = token(&server, "admin:*");
    let records = json(&call(&server, &admin, "GET", "/audit?limit=100", ""));
    let records = records["items"].as_array().expect("a list");
    let has = |kind: &str, actor: &str, result: &str| {
        records
            .iter()
            .any(|record| record["actor_kind"] == kind && record["actor"] == actor && record["result"] == result)
    };
    assert!(has("user", "admin", "ok"), "the login: {records:#?}");
    assert!(records.iter().any(|record| record["result"] == "refused"), "the wrong one: {records:#?}");
    assert!(records.iter().any(|record| record["actor_kind"] == "operator"), "the verb: {records:#?}");
    assert!(records.windows(2).all(|pair| pair[0]["sequence"].as_i64() > pair[1]["sequence"].as_i64()), "newest first");
    let refused = json(&call(&server, &admin, "GET", "/audit?result=refused", ""));
    assert!(refused["items"].as_array().expect("a list").iter().all(|record| record["result"] == "refused"));
    let page = visitor.get("/settings/audit?result=refused");
    assert_eq!(page.status, 200);
}

#[test]
fn the_life_cycle_belongs_to_administrators_and_nobody_else() {
    let server = with_admin();
    let viewer = token(&server, "metrics:read");
    let admin = token(&server, "admin:*");
    let reload = |value: &str| server.request("POST", "/-/reload", &[("Authorization", value)], "").status;
    assert_eq!(server.request("POST", "/-/reload", &[], "").status, 401);
    assert_eq!(reload(&format!("Bearer {viewer}")), 403);
    assert_eq!(reload(&format!("Bearer {admin}")), 200, "without the flag of Prometheus");
    let visitor = Visitor::logged_in(&server, "admin", ADMIN_PASSWORD);
    assert_eq!(
        visitor.send("POST", "/-/reload", &[("Sec-Fetch-Site", "same-origin")], "").status,
        401,
        "not by cookie"
    );
}

#[test]
fn without_login_only_this_machine_is_served() {
    let config = "server: {http_listen: ['0.0.0.0:0']}\n";
    let (status, log) = Server::spawn(&Start { config: Some(config), ..Start::default() }).wait();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("watchpost.yml:1:24") && log.contains("0.0.0.0:0") && log.contains("auth"), "{log}");

    let server = Server::start(&Start::default());
    assert_eq!(server.request("GET", "/", &[("Host", "watch.example.org")], "").status, 421);
    assert_eq!(server.request("GET", "/", PAGE, "").status, 200, "everybody is administrator");
    let forged = server.request("POST", "/preferences", &[("Origin", "https://evil.example")], "theme=dark");
    assert_eq!(forged.status, 403, "but no foreign page is");
}

#[test]
fn with_login_other_machines_are_served_and_plain_requests_of_theirs_sent_to_tls() {
    let Some(outer) = outer_address() else {
        println!("this machine has no address but loopback: nothing to reach it by");
        return;
    };
    let start = Start { login: Login::Admin, listen: Some("0.0.0.0"), ..Start::default() };
    let server = Server::start(&start);
    let address = std::net::SocketAddr::new(outer, server.address().port());
    let page = server.request_at(address, "GET", "/login", PAGE, "");
    assert_eq!(page.status, 307, "{}", page.body);
    assert!(page.header("location").is_some_and(|place| place.starts_with("https://")), "{page:?}");
    let post = server.request_at(address, "POST", "/api/1/envelope/", &[], "{}");
    assert_eq!(post.status, 400);
    for part in ["https://", "/ca.crt", "http_listen"] {
        assert!(post.body.contains(part), "{part}: {}", post.body);
    }
}

/// The address other machines reach this one by; asking sends nothing.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn behind_a_trusted_proxy_pages_live_below_the_prefix_and_nobody_else_can_pretend_to_be_one() {
    let config = "server: {external_url: 'https://watch.example.org/watch', trusted_proxies: [127.0.0.1]}\n";
    let server = Server::start(&Start { login: Login::Admin, config: Some(config), ..Start::default() });
    let relayed = [
        ("Host", "watch.example.org"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("Accept", "text/html"),
        ("Origin", "https://watch.example.org"),
    ];
    let away = server.request("GET", "/watch/settings/users", &relayed, "");
    assert_eq!((away.status, away.header("location")), (303, Some("/watch/login?next=%2Fsettings%2Fusers")));
    let page = server.request("GET", "/watch/login", &relayed, "").body;
    assert!(page.contains("action=\"/watch/login\"") && page.contains("href=\"/watch/static/"), "{page}");
    let body = form(&[("user", "admin"), ("password", ADMIN_PASSWORD), ("next", "/settings/users")]);
    let mut headers = relayed.to_vec();
    headers.push(("Content-Type", "application/x-www-form-urlencoded"));
    let inside = server.request("POST", "/watch/login", &headers, &body);
    assert_eq!((inside.status, inside.header("location")), (303, Some("/watch/settings/users")), "{}", inside.body);
    let cookie = inside.header("set-cookie").expect("a session");
    assert!(cookie.starts_with("__Host-wp_s=") && cookie.ends_with("; Secure"), "{cookie}");
    let admin = token(&server, "admin:*");
    let audit = call(&server, &admin, "GET", "/audit?what=login", "");
    assert!(audit.body.contains("203.0.113.7"), "the client's address, not the proxy's: {}", audit.body);

    // The same words from somebody who is no proxy of ours change nothing.
    let server = with_admin();
    let spoofed = server.request("GET", "/settings/users", &relayed, "");
    assert_eq!(spoofed.header("location"), Some("/login?next=%2Fsettings%2Fusers"), "no prefix");
    let mut headers = headers.clone();
    headers.retain(|(name, _)| *name != "Origin");
    headers.push(("Sec-Fetch-Site", "same-origin"));
    let inside = server.request("POST", "/login", &headers, &body);
    let cookie = inside.header("set-cookie").expect("a session");
    assert!(cookie.starts_with("wp_s="), "plain HTTP stays plain: {cookie}");
    let admin = token(&server, "admin:*");
    let audit = call(&server, &admin, "GET", "/audit?what=login", "");
    assert!(!audit.body.contains("203.0.113.7"), "{}", audit.body);
}

/// What people type to see whether it becomes markup, and what breaks naive programs.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</textarea></title><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}{% include x %}",
    "\u{202e}txt.exe\u{2066}x\u{0}y",
    "a\u{300}\u{301}\u{302}\u{200d}\u{feff}",
];

#[test]
fn no_text_that_somebody_typed_becomes_markup_on_any_page_that_shows_it() {
    let server = with_admin();
    let visitor = Visitor::logged_in(&server, "admin", ADMIN_PASSWORD);
    let mut answers = Vec::new();
    for text in HOSTILE {
        let agent: String = text.chars().filter(|c| (' '..='~').contains(c)).collect();
        let login = form(&[("user", text), ("password", "not-the-password-1"), ("next", text)]);
        let headers = [("Sec-Fetch-Site", "same-origin"), ("User-Agent", agent.as_str())];
        answers.push(Visitor::of(&server).send("POST", "/login", &headers, &login).body);
        for (path, field) in [
            ("/account/tokens", "name"),
            ("/settings/users", "name"),
            ("/account/password", "current"),
            ("/preferences", "next"),
            ("/account/two-step", "code"),
        ] {
            answers.push(visitor.post(path, &[(field, text), ("scope", "metrics:read"), ("expires", "30")]).body);
        }
        let typed = tests::visitor::escape(text);
        for path in ["/palette?q=", "/settings/audit?actor=", "/settings/audit?from=", "/login?next=", "/"] {
            answers.push(visitor.get(&format!("{path}{typed}")).body);
        }
    }
    for path in ["/", "/account", "/account/tokens", "/settings", "/settings/users", "/settings/audit", "/palette"] {
        let answer = visitor.get(path);
        assert_eq!(answer.status, 200, "{path}");
        answers.push(answer.body);
    }
    for body in answers {
        let lower = body.to_lowercase();
        for markup in
            ["<script>", "<img", "<svg onload", "onerror=alert(1)>", " onmouseover='", "href=\"javascript", "\0"]
        {
            assert!(!lower.contains(markup), "{markup} in {body}");
        }
    }
}

#[test]
fn a_megabyte_in_a_field_is_refused_and_harms_nobody() {
    let server = with_admin();
    let visitor = Visitor::logged_in(&server, "admin", ADMIN_PASSWORD);
    let long = "x".repeat(60_000);
    let refused = visitor.post("/account/tokens", &[("name", &long), ("scope", "metrics:read"), ("expires", "30")]);
    assert_eq!(refused.status, 422, "{}", &refused.body[..500.min(refused.body.len())]);
    assert!(refused.body.len() < 100_000, "the page does not repeat all of it: {} bytes", refused.body.len());
    let body = form(&[("user", &"x".repeat(1 << 20)), ("password", "y")]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "same-origin")];
    // Whoever closes early may cut off the answer with the connection.
    if let Ok(answer) = server.try_request("POST", "/login", &headers, &body) {
        assert_eq!(answer.status, 413, "{}", answer.body);
    }
    assert_eq!(visitor.get("/account").status, 200);
}
