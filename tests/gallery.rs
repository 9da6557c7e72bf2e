//! Every page in a real browser, with made-up data: both themes, desk and hand, with and without scripts.
//!
//! Nothing the browser complains about, nothing axe-core finds, nothing wider than the screen. Pictures of all of them
//! lie in the build folder (`target/tmp/screens`) afterwards.

#![allow(clippy::panic, reason = "a fixture fails the test that uses it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::json;
use tests::depth;

use crate::browser::{DESKTOP, PHONE, Page, Screen};

/// The example, built if need be. Not by `cargo run`: ending that would leave the gallery behind.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "ui", "--example", "gallery"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the gallery does not build");
        let own = std::env::current_exe().expect("a test has a path");
        own.ancestors().nth(2).expect("target/<profile>/deps/<test>").join("examples").join("gallery")
    })
}

/// The gallery of crate `ui`, gone with the test.
struct Gallery {
    child: Child,
    address: String,
}

impl Gallery {
    fn start() -> Self {
        let mut child = Command::new(binary()).stdout(Stdio::piped()).spawn().expect("the gallery starts");
        let mut address = String::new();
        let read = BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut address);
        assert!(read.is_ok() && address.starts_with("http://"), "the gallery says where it is: {address:?}");
        Self { child, address: address.trim().to_owned() }
    }

    fn names(&self) -> Vec<String> {
        let host = self.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the gallery listens");
        write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("it takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a body");
        body.lines().map(str::to_owned).collect()
    }

    fn page(&self, name: &str) -> String {
        format!("{}/page/{name}", self.address)
    }
}

impl Drop for Gallery {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Nothing hangs out on the right, where nobody looks.
#[track_caller]
fn check_fits(page: &mut Page, name: &str) {
    let wide = page.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(wide, json!(0), "{name} is wider than the screen");
}

/// One name for each page; its other states are `<name>-<state>`.
fn is_a_page_itself(name: &str) -> bool {
    !name.contains('-') || matches!(name, "two-step" | "not-set-up" | "user-new" | "sign-out" | "failed-404")
}

#[test]
fn every_page_is_accessible_and_fits_in_both_themes_on_a_desk_and_in_a_hand() {
    let Some(mut page) = Page::open() else { return };
    let gallery = Gallery::start();
    let names = gallery.names();
    let mut found = Vec::new();
    for (screen, suffix) in [
        (DESKTOP, "light"),
        (Screen { dark: true, ..DESKTOP }, "dark"),
        (PHONE, "phone-light"),
        (Screen { dark: true, ..PHONE }, "phone-dark"),
    ] {
        page.emulate(screen);
        // Every state of every page in four ways is minutes; each page in four ways is the rest of the way.
        for name in names.iter().filter(|name| depth::deep() || is_a_page_itself(name)) {
            page.goto(&gallery.page(name));
            page.screenshot(&format!("{name}-{suffix}"));
            check_fits(&mut page, &format!("{name}-{suffix}"));
            let breaches = page.axe().unwrap_or_default();
            found.extend(breaches.into_iter().map(|breach| format!("{name}-{suffix}: {breach}")));
        }
    }
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

#[test]
fn nothing_is_lost_without_scripts() {
    let Some(mut page) = Page::open() else { return };
    let gallery = Gallery::start();
    page.emulate(Screen { scripts: false, ..DESKTOP });
    page.goto(&gallery.page("home"));
    page.click("details.menu summary");
    assert!(page.is_shown("details.menu .popover"), "the menu opens by itself");
    assert!(page.is_shown("form.prefs button[value=dark]"), "the theme is a form");
    assert!(!page.is_shown("dialog"), "no dialog stands open");
    page.follow("a.search");
    assert_eq!(page.text("h1"), "Nothing is here", "the search is a link to a page that the gallery does not have");
    for name in gallery.names() {
        page.goto(&gallery.page(&name));
        assert!(page.is_shown("h1") || page.eval("!!document.querySelector('h1.hidden')") == json!(true), "{name}");
    }
}

#[test]
fn the_palette_narrows_the_list_and_opens_what_is_chosen() {
    let Some(mut page) = Page::open() else { return };
    let gallery = Gallery::start();
    page.goto(&gallery.page("home"));
    page.key("Control+k");
    page.wait_for("dialog#palette");
    page.type_text("who when");
    assert_eq!(
        page.eval("[...document.querySelectorAll('#palette li')].filter((row) => !row.hidden).length"),
        json!(1)
    );
    page.screenshot("palette-open");
    assert_eq!(page.axe().unwrap_or_default(), Vec::<String>::new());
    page.key("Escape");
    assert!(!page.is_shown("dialog#palette"));
    page.key("?");
    page.wait_for("dialog#keys");
    page.screenshot("keys-open");
    page.key("Escape");
    page.click("details.menu summary");
    page.screenshot("menu-open");
    page.click("details.menu a[data-opens=sign-out]");
    page.wait_for("dialog#sign-out");
    assert!(!page.is_shown("details.menu .popover"));
    page.key("Escape");
    page.key("/");
    page.type_text("audit");
    page.key("Enter");
    page.wait_for(".said");
    assert_eq!(page.eval("location.pathname"), json!("/settings/audit"));
}

#[test]
fn keys_walk_the_page_in_reading_order_and_its_parts_have_names() {
    let Some(mut page) = Page::open() else { return };
    let gallery = Gallery::start();
    page.goto(&gallery.page("login"));
    let tree = page.ax_tree();
    for part in [("textbox", "User name"), ("textbox", "Password"), ("button", "Sign in"), ("button", "Show password")]
    {
        assert!(tree.iter().any(|(role, name)| (role.as_str(), name.as_str()) == part), "{part:?} in {tree:?}");
    }
    page.goto(&gallery.page("home"));
    page.key("Tab");
    assert_eq!(page.eval("document.activeElement.className"), json!("skip"));
    page.key("Enter");
    assert_eq!(page.eval("document.activeElement.id"), json!("main"));
}

#[test]
fn a_password_is_shown_on_request_and_sent_as_a_password() {
    let Some(mut page) = Page::open() else { return };
    let gallery = Gallery::start();
    page.goto(&gallery.page("login"));
    page.fill("#password", "correct horse");
    page.click(".reveal");
    assert_eq!(page.eval("document.querySelector('#password').type"), json!("text"));
    page.eval("document.querySelector('form').addEventListener('submit', (event) => event.preventDefault())");
    page.fill("#user", "mara");
    page.key("Enter");
    assert_eq!(page.eval("document.querySelector('#password').type"), json!("password"));
}

#[test]
fn a_breach_of_the_policy_fails_the_test_that_sees_it() {
    let Some(mut page) = Page::open() else { return };
    let gallery = Gallery::start();
    page.goto(&gallery.page("home"));
    page.eval("try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>') } catch {} 0");
    page.eval("document.body.setAttribute('style', 'color: red')");
    let complaints = page.take_complaints();
    assert!(complaints.iter().any(|text| text.contains("TrustedHTML")), "{complaints:?}");
    assert!(complaints.iter().any(|text| text.contains("style-src")), "{complaints:?}");
}
