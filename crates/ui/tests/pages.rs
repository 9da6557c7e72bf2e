//! What holds for every page at once: hostile texts stay texts, forms and links are the documented ones, everything
//! works below a path prefix, and nothing inline is written that the page's own policy would forbid.

#[path = "../examples/gallery/samples.rs"]
mod samples;
mod tags;

use std::collections::BTreeSet;

use axum::http::header;
use axum::response::IntoResponse as _;
use samples::{Sample, Samples};
use tags::Tag;
use ui::routes;
use ui::shell::{Density, Theme};

/// What somebody may type into a field, send as a label, or be called.
const HOSTILE: [&str; 10] = [
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "</textarea></title></script><svg onload=alert(1)>",
    "\" onmouseover=\"alert(1)\" x=\"",
    "' onfocus='alert(1)' autofocus='",
    "javascript:alert(1)",
    "//evil.example/\\evil.example",
    "{{ 7 * 7 }}{% include \"/etc/passwd\" %}",
    "\u{202e}txt.exe\u{0}\u{7}\u{1b}[31m\u{feff}\u{200b}",
    "&lt;b&gt;&#x3c;b&#62;&quot;",
];

fn all(text: &dyn Fn(&str) -> String, base: &str) -> Vec<Sample> {
    Samples { text, base, theme: Theme::Dark, density: Density::Dense }.all()
}

fn plain() -> Vec<Sample> {
    all(&str::to_owned, "")
}

/// What no page may hold, whatever its texts are.
#[track_caller]
fn check_harmless(name: &str, html: &str, hostile: &str) {
    const ELEMENTS: &str = "a aside b bdi body br button code dd del details dialog div dl dt fieldset form h1 h2 head \
        header hr html input ins kbd label legend li link main mark meta nav ol option p path pre rect script section \
        select span summary svg table tbody td textarea th thead title tr ul use";
    let known: BTreeSet<&str> = ELEMENTS.split_whitespace().collect();
    for tag in tags::read(html) {
        assert!(known.contains(tag.name), "{name}: <{}> with {hostile:?}", tag.name);
        for (attribute, value) in &tag.attributes {
            assert!(!attribute.starts_with("on"), "{name}: {attribute} with {hostile:?}");
            assert!(*attribute != "style" && *attribute != "srcdoc", "{name}: {attribute}");
            if matches!(*attribute, "href" | "src" | "action") {
                let stays = value.starts_with('/') && !value.starts_with("//") || value.starts_with('#');
                assert!(stays && !value.contains('\\'), "{name}: {attribute}={value:?} with {hostile:?}");
            }
        }
        let script_of_ours = tag.attribute("src").is_some_and(|src| src.contains("/static/app."));
        assert!(tag.name != "script" || script_of_ours, "{name}: a script with {hostile:?}");
    }
    let deceiving = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || matches!(c, '\u{202a}'..='\u{202e}');
    let outside_fields = tags::without_attribute_values(html);
    assert!(!outside_fields.contains(deceiving), "{name}: a character that deceives with {hostile:?}");
}

#[test]
fn no_text_in_any_field_of_any_page_becomes_markup_or_leads_elsewhere() {
    let pages = plain().len();
    for hostile in HOSTILE {
        let shown = all(&|_| hostile.to_owned(), "");
        assert_eq!(shown.len(), pages);
        for (name, page) in shown {
            check_harmless(name, &page.text, hostile);
        }
    }
}

#[test]
fn a_megabyte_in_every_field_makes_no_page_large() {
    let long = "<b>ü".repeat(1 << 18);
    let plain = plain();
    for ((name, page), (_, short)) in all(&|_| long.clone(), "").iter().zip(&plain) {
        check_harmless(name, &page.text, "1 MB");
        let bound = short.text.len() + 2_500_000;
        assert!(page.text.len() < bound, "{name}: {} bytes, {} with short texts", page.text.len(), short.text.len());
    }
}

#[test]
fn a_hostile_text_is_still_there_to_be_read() {
    let shown = all(&|_| HOSTILE[0].to_owned(), "");
    let quiet = ["setup-done", "keyboard", "components", "failed-outside"];
    for (name, page) in shown.iter().filter(|(name, _)| !quiet.contains(name)) {
        assert!(page.text.contains("&#60;script&#62;"), "{name} shows what it was given, as text");
    }
}

#[test]
fn every_form_is_documented_and_carries_the_token() {
    let mut met = BTreeSet::new();
    for (name, page) in plain() {
        for form in tags::forms(&page.text) {
            let (method, action) = (form.method.as_str(), form.action.as_str());
            if method != "post" {
                let asks = ["/palette", "/settings/audit", "/query", "/targets", "/service-discovery", ""];
                assert!(asks.contains(&action), "{name}: a form to {action:?}");
                continue;
            }
            let known = routes::FORMS.iter().find(|known| routes::fits(known.path, action));
            let known = known.unwrap_or_else(|| panic!("{name}: {action} is not in routes::FORMS"));
            met.insert(known.path);
            assert!(form.fields.contains(&"form_token".to_owned()), "{name}: {action} has no token");
            for field in form.fields.iter().filter(|field| *field != "form_token") {
                assert!(known.fields.contains(&field.as_str()) || name == "confirm", "{name}: {action} sends {field}");
            }
        }
    }
    let unmet: Vec<&str> = routes::FORMS.iter().map(|form| form.path).filter(|path| !met.contains(path)).collect();
    assert!(unmet.is_empty(), "no page has a form for {unmet:?}");
}

#[test]
fn every_link_is_documented() {
    for (name, page) in plain() {
        for tag in tags::read(&page.text).iter().filter(|tag| tag.name == "a") {
            let href = tag.attribute("href").unwrap_or_default();
            let path = href.split(['?', '#']).next().unwrap_or_default();
            let known =
                path.is_empty() || path == "/nowhere" || routes::PAGES.iter().any(|page| routes::fits(page, path));
            assert!(known, "{name}: {href} is not in routes::PAGES");
        }
    }
}

#[test]
fn below_a_path_prefix_every_address_carries_it() {
    for (name, page) in all(&str::to_owned, "/watch") {
        for tag in tags::read(&page.text) {
            for attribute in ["href", "src", "action"] {
                let Some(value) = tag.attribute(attribute) else { continue };
                assert!(value.starts_with("/watch/") || value.starts_with('#'), "{name}: {attribute}={value}");
            }
        }
    }
}

#[test]
fn every_page_has_one_main_part_one_heading_a_title_and_ids_that_occur_once() {
    for (name, page) in plain() {
        let tags = tags::read(&page.text);
        let count = |wanted: &str| tags.iter().filter(|tag| tag.name == wanted).count();
        assert_eq!((count("main"), count("title")), (1, 1), "{name}");
        assert!(count("h1") == 1 || name == "components" && count("h1") == 2, "{name} has {} h1", count("h1"));
        let mut ids = BTreeSet::new();
        for id in tags.iter().filter_map(|tag| tag.attribute("id")) {
            assert!(ids.insert(id), "{name}: the id {id} occurs twice");
        }
        for tag in &tags {
            for attribute in ["aria-describedby", "aria-labelledby", "for", "data-opens"] {
                for id in tag.attribute(attribute).unwrap_or_default().split_whitespace() {
                    assert!(ids.contains(id), "{name}: {attribute} names {id}, which is not there");
                }
            }
        }
        assert!(tags.iter().filter(|tag| tag.name == "use").all(is_drawn), "{name}: an icon that is not drawn");
    }
}

fn is_drawn(tag: &Tag<'_>) -> bool {
    let sprite = include_str!("../../../web/static/icons.svg");
    let id = tag.attribute("href").and_then(|href| href.split_once('#')).map_or("", |(_, id)| id);
    sprite.contains(&format!("id=\"{id}\""))
}

#[test]
fn a_password_that_was_typed_is_never_sent_back() {
    let secret = "correct horse";
    for (name, page) in all(&|_| secret.to_owned(), "") {
        for input in tags::read(&page.text).iter().filter(|tag| tag.attribute("type") == Some("password")) {
            assert_eq!(input.attribute("value"), None, "{name}");
        }
    }
}

#[test]
fn theme_and_density_are_written_by_the_server() {
    for (_, page) in plain() {
        assert!(page.text.contains("<html lang=\"en\" data-theme=\"dark\" data-density=\"dense\">"));
    }
}

#[test]
fn every_page_goes_out_with_the_headers_that_guard_it() {
    for (name, page) in plain() {
        let status = page.status;
        let response = page.into_response();
        assert_eq!(response.status(), status, "{name}");
        for (header, value) in ui::headers::PAGE {
            assert_eq!(response.headers()[&header], value, "{name}: {header}");
        }
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    }
}

#[test]
fn a_refusal_says_so_with_its_status() {
    let status = |wanted: &str| plain().into_iter().find(|(name, _)| *name == wanted).unwrap().1.status.as_u16();
    for (name, expected) in [
        ("setup", 200),
        ("setup-refused", 422),
        ("setup-dead", 403),
        ("not-set-up", 503),
        ("login", 200),
        ("login-wrong", 401),
        ("login-throttled", 429),
        ("account-refused", 422),
        ("tokens-failed", 500),
        ("two-step-off", 422),
        ("audit-empty", 422),
        ("failed-413", 413),
        ("query", 200),
        ("query-empty", 200),
        ("query-wrong", 422),
        ("query-times", 422),
        ("query-failed", 422),
        ("query-broken", 500),
        ("targets", 200),
        ("targets-failed", 500),
        ("discovery-failed", 500),
    ] {
        assert_eq!(status(name), expected, "{name}");
    }
}

#[test]
fn the_source_of_every_template_quotes_attributes_and_writes_no_style() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/templates");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for bad in ["={{", "style=", "<style", " onclick", "<script>"] {
            assert!(!text.contains(bad), "{}: {bad}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 15);
}
