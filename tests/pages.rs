//! The pages of the running server in a real browser: from the first run to home, logins with a second step, sessions,
//! tokens; in both themes, on a phone, without scripts. Nothing the browser or axe-core complains about.

#![allow(clippy::disallowed_methods, reason = "a code of the second step is made for the time it is typed at")]

use serde_json::json;
use tests::server::{ADMIN_PASSWORD, Login, Server, Start};
use tests::visitor::Visitor;

use crate::browser::{DESKTOP, PHONE, Page, Screen};

fn with_admin() -> Server {
    Server::start(&Start { login: Login::Admin, ..Start::default() })
}

// Each test starts its server first: what is made last goes first, and a page without its server complains.

/// Over TLS, where the cookie is bound to the host.
fn url(server: &Server, path: &str) -> String {
    format!("https://localhost:{}{path}", server.address().port())
}

fn log_in(page: &mut Page, server: &Server) {
    page.goto(&url(server, "/login"));
    page.fill("#user", "admin");
    page.fill("#password", ADMIN_PASSWORD);
    page.follow("form .primary");
}

fn here(page: &mut Page) -> String {
    page.eval("location.pathname").as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_first_run_leads_from_the_link_in_the_log_to_home() {
    let server = Server::start(&Start { login: Login::Nobody, ..Start::default() });
    let Some(mut page) = Page::open() else { return };
    page.goto(&url(&server, "/"));
    assert!(page.text("main").contains("set"), "it says what is missing: {}", page.text("main"));
    page.screenshot("real-not-set-up");
    let log = server.log();
    let key = log.split_once("/setup?key=").expect("the log shows the link").1;
    let key = key.split_whitespace().next().expect("a key");
    page.goto(&url(&server, &format!("/setup?key={key}")));
    page.screenshot("real-setup");
    page.fill("#user", "mara");
    page.fill("#password", "short");
    page.fill("#again", "short");
    page.follow("form .primary");
    assert!(page.is_shown("#password-error"), "the mistake is said beside its field");
    page.fill("#password", ADMIN_PASSWORD);
    page.fill("#again", ADMIN_PASSWORD);
    page.follow("form .primary");
    assert_eq!(here(&mut page), "/");
    page.wait_for(".toast");
    assert!(page.text(".who").contains("mara"));
    page.screenshot("real-home-first");
    assert_eq!(page.axe().unwrap_or_default(), Vec::<String>::new());
    // No complaint of the refused page is left: a 4xx is logged by the browser as one.
    page.take_complaints();
}

/// A code for a time so many steps from now.
fn code(seed: &str, steps: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    auth::totp::code(&from_base32(seed), now / 30 + steps)
}

/// As an authenticator app reads what is typed into it.
fn from_base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(u8::is_ascii_alphanumeric) {
        let value = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter - b'A' };
        (bits, count) = (bits << 5 | u32::from(value), count + 5);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 255) as u8);
        }
    }
    bytes
}

#[test]
fn the_second_step_is_turned_on_and_asked_for() {
    let server = with_admin();
    let Some(mut page) = Page::open() else { return };
    log_in(&mut page, &server);
    page.goto(&url(&server, "/account/two-step"));
    page.fill("#password", ADMIN_PASSWORD);
    page.follow("form .primary");
    assert!(page.is_shown("svg.qr"), "the code to scan is drawn");
    page.screenshot("real-enrol");
    assert_eq!(page.axe().unwrap_or_default(), Vec::<String>::new());
    let seed = page.text(".copy code");
    page.fill("#code", &code(&seed, 0));
    page.follow("form .primary");
    assert!(page.text("main").to_lowercase().contains("recovery"), "{}", page.text("main"));
    page.screenshot("real-recovery-codes");

    page.goto(&url(&server, "/logout"));
    page.follow("form .primary");
    log_in(&mut page, &server);
    assert!(page.is_shown("#code"), "the password alone does not open it");
    page.screenshot("real-login-code");
    // The code of this step was used above, so the next one is typed.
    page.fill("#code", &code(&seed, 1));
    page.follow("form .primary");
    assert_eq!(here(&mut page), "/");
}

#[test]
fn ten_wrong_passwords_are_answered_with_a_wait() {
    let server = with_admin();
    let Some(mut page) = Page::open() else { return };
    page.goto(&url(&server, "/login"));
    // The waits double, so one of the ten comes too early however slowly a page is typed; the next may be right again.
    let refused = (0..10).any(|_| {
        page.fill("#user", "admin");
        page.fill("#password", "not-the-password-1");
        page.follow("form .primary");
        page.text(".banner").contains("Too many attempts")
    });
    assert!(refused, "{}", page.text(".banner"));
    page.screenshot("real-login-throttled");
    page.take_complaints();
}

#[test]
fn a_session_that_is_ended_dies_and_the_one_that_ends_it_lives() {
    let server = with_admin();
    let Some(mut page) = Page::open() else { return };
    let other = Visitor::logged_in(&server, "admin", ADMIN_PASSWORD);
    log_in(&mut page, &server);
    page.goto(&url(&server, "/account"));
    page.screenshot("real-account");
    assert_eq!(other.get("/account").status, 200);
    page.follow("form[action='/account/sessions/end'] button");
    assert_eq!(other.get("/account").status, 303);
    page.goto(&url(&server, "/account"));
    assert_eq!(here(&mut page), "/account");
}

#[test]
fn a_token_made_on_the_page_opens_the_interface_and_is_shown_once() {
    let server = with_admin();
    let Some(mut page) = Page::open() else { return };
    log_in(&mut page, &server);
    page.goto(&url(&server, "/account/tokens"));
    page.fill("#name", "ci");
    page.click("input[name=scope][value='metrics:read']");
    page.follow("form[action='/account/tokens'] .primary");
    page.screenshot("real-token-made");
    let token = page.text(".copy code");
    assert!(token.starts_with("wp_"), "{token}");
    let bearer = format!("Bearer {token}");
    assert_eq!(server.request("GET", "/metrics", &[("Authorization", &bearer)], "").status, 200);
    page.goto(&url(&server, "/account/tokens"));
    assert!(!page.eval("document.body.innerText").to_string().contains(&token), "it is shown once");
}

#[test]
fn every_page_of_the_server_is_accessible_in_both_themes_on_a_desk_and_in_a_hand() {
    let server = with_admin();
    let Some(mut page) = Page::open() else { return };
    log_in(&mut page, &server);
    let mut found = Vec::new();
    for (screen, suffix) in [(DESKTOP, "light"), (Screen { dark: true, ..DESKTOP }, "dark"), (PHONE, "phone")] {
        page.emulate(screen);
        for (path, name) in [
            ("/", "home"),
            ("/account", "account"),
            ("/account/tokens", "tokens"),
            ("/settings", "settings"),
            ("/settings?show=all", "settings-all"),
            ("/settings/users", "users"),
            ("/settings/users/new", "user-new"),
            ("/settings/users/1", "user"),
            ("/settings/audit", "audit"),
            ("/query", "query"),
            ("/query?expr=sum(rate(up%5B5m%5D))%20%3E%201", "query-empty"),
            ("/query?expr=vector(1)&from=1h", "query-over"),
            ("/query?expr=vector(1)%20%2B%202&show=explain", "query-explain"),
            ("/targets", "targets"),
            ("/service-discovery", "discovery"),
            ("/status/tsdb", "storage"),
            ("/status/configuration", "prometheus"),
            ("/palette?q=users", "palette"),
            ("/help/keyboard", "keyboard"),
        ] {
            page.goto(&url(&server, path));
            page.screenshot(&format!("real-{name}-{suffix}"));
            let wide = page.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(wide, json!(0), "{name}-{suffix} is wider than the screen");
            let breaches = page.axe().unwrap_or_default();
            found.extend(breaches.into_iter().map(|breach| format!("{name}-{suffix}: {breach}")));
        }
    }
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

#[test]
fn without_scripts_one_logs_in_changes_the_colours_and_logs_out() {
    let server = with_admin();
    let Some(mut page) = Page::open() else { return };
    page.emulate(Screen { scripts: false, ..DESKTOP });
    log_in(&mut page, &server);
    assert_eq!(here(&mut page), "/");
    page.goto(&url(&server, "/account"));
    page.follow("main form.prefs button[value=dark]");
    assert_eq!(page.eval("document.documentElement.dataset.theme"), json!("dark"));
    page.goto(&url(&server, "/logout"));
    page.follow("form .primary");
    assert_eq!(here(&mut page), "/login");
    page.goto(&url(&server, "/account"));
    assert_eq!(here(&mut page), "/login", "signed out is out");
}

#[test]
fn a_query_is_asked_explained_and_says_why_nothing_came_back() {
    // What it scrapes of itself would be something.
    let quiet = "self: {scrape: false, host: \"off\"}\n";
    let server = Server::start(&Start { login: Login::Admin, config: Some(quiet), ..Start::default() });
    let Some(mut page) = Page::open() else { return };
    page.emulate(Screen { scripts: false, ..DESKTOP });
    log_in(&mut page, &server);
    page.goto(&url(&server, "/graph?g0.expr=up&g0.tab=0&g0.range_input=6h"));
    assert_eq!(page.eval("location.pathname + location.search"), json!("/query?expr=up&from=6h"));
    assert!(page.text("main").contains("Nothing is stored yet"), "{}", page.text("main"));
    page.goto(&url(&server, "/query"));
    page.fill("#expr", "vector(20) + 1");
    page.follow("form.ask-query .primary");
    assert_eq!(page.text(".result tbody td.num"), "21");
    page.follow(".tabs a:not([aria-current])");
    assert!(page.text(".parts").contains("vector(20)"), "{}", page.text(".parts"));
    page.fill("#expr", "sum(up");
    page.follow("form.ask-query .primary");
    assert!(page.text(".faults").contains("parenthesis"), "{}", page.text(".faults"));
    page.take_complaints();
}
