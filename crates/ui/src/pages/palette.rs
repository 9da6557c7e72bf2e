//! `/palette?q=…`: every page there is, found by its words. With scripts the same list opens on Ctrl+K.

use axum::http::StatusCode;

use crate::filters;
use crate::pages::page;
use crate::shell::{Head, Section};

/// The page.
#[derive(Clone, Debug)]
pub struct PalettePage {
    /// What was searched for; may be empty.
    pub query: String,
}

/// One page that can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub section: String,
    pub icon: &'static str,
    pub label: String,
    pub note: String,
    pub href: String,
}

/// Pages of the frame itself, after those of the sections.
const ALWAYS: [(&str, &str, &str, &str); 2] = [
    ("keyboard", "Keyboard", "every key and what it does", "/help/keyboard"),
    ("components", "Components", "every part of a page in every state", "/components"),
];

/// Every page of these sections that holds all words of the query.
#[must_use]
pub fn find(sections: &[Section], query: &str) -> Vec<Found> {
    let pages = sections.iter().flat_map(|section| {
        section.pages.iter().map(|page| Found {
            section: section.label.clone(),
            icon: section.icon,
            label: page.label.clone(),
            note: page.note.clone(),
            href: page.href.clone(),
        })
    });
    let always = ALWAYS.iter().map(|&(icon, label, note, href)| Found {
        section: "Help".to_owned(),
        icon,
        label: label.to_owned(),
        note: note.to_owned(),
        href: href.to_owned(),
    });
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let matches = |found: &Found| {
        if words.is_empty() {
            return true;
        }
        let text = format!("{} {} {}", found.section, found.label, found.note).to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    pages.chain(always).filter(matches).collect()
}

impl PalettePage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        Head::of("Search", "/palette", &[])
    }
}

page!(PalettePage, PaletteTemplate, "palette.html");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::sections;

    #[track_caller]
    fn check(query: &str, expected: &[&str]) {
        let found: Vec<String> = find(&sections(true), query).into_iter().map(|found| found.label).collect();
        assert_eq!(found, expected, "{query:?}");
    }

    #[test]
    fn every_word_of_a_query_must_occur_somewhere_in_a_page() {
        check("audit", &["Audit log"]);
        check("  WHO when ", &["Audit log"]);
        check("settings who", &["Users and roles", "Audit log"]);
        check("token", &["API tokens"]);
        check("no such page", &[]);
    }

    #[test]
    fn nothing_asked_finds_everything() {
        assert_eq!(find(&sections(true), "").len(), 13);
        assert_eq!(find(&[], "").len(), ALWAYS.len());
    }
}
