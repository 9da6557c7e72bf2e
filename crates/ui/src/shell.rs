//! What is around every page: who looks at it, in which colours, what can be reached from here.
//!
//! A [`Shell`] is made once per request; the page itself adds its [`Head`].

use crate::tone::Tone;

/// Colours. `Auto` follows the system and is what a browser without the cookie gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// The value of the cookie and of the form field; anything unknown is `Auto`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Auto,
        }
    }

    /// As [`Theme::parse`] reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// How much air tables have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Density {
    #[default]
    Comfortable,
    Dense,
}

impl Density {
    /// The value of the cookie and of the form field; anything unknown is `Comfortable`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text == "dense" { Self::Dense } else { Self::Comfortable }
    }

    /// As [`Density::parse`] reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Comfortable => "comfortable",
            Self::Dense => "dense",
        }
    }
}

/// Who is signed in.
#[derive(Clone, Debug)]
pub struct Viewer {
    pub name: String,
    pub role: String,
}

impl Viewer {
    /// What stands in the round mark: the first letters of the first two words.
    #[must_use]
    pub fn initials(&self) -> String {
        let words = self.name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.take(2).filter_map(|word| word.chars().next()).flat_map(char::to_uppercase).take(2).collect()
    }
}

/// One message about what just happened, shown once.
#[derive(Clone, Debug)]
pub struct Flash {
    pub tone: Tone,
    pub text: String,
    /// A link that takes it back or leads on: `(words, path)`.
    pub action: Option<(String, String)>,
}

/// A count beside an entry of the rail.
#[derive(Clone, Debug)]
pub struct Count {
    pub number: u32,
    /// Red instead of grey: something is critical.
    pub critical: bool,
}

/// An entry of the rail.
#[derive(Clone, Debug)]
pub struct Section {
    pub label: String,
    pub icon: &'static str,
    /// A path below the base.
    pub href: String,
    pub count: Option<Count>,
    pub pages: Vec<NavPage>,
}

/// A page of a section, shown in the rail while the section is open, and in the palette always.
#[derive(Clone, Debug)]
pub struct NavPage {
    pub label: String,
    pub href: String,
    /// What it is for, in a few words, for the palette.
    pub note: String,
}

impl NavPage {
    fn new(label: &str, href: &str, note: &str) -> Self {
        Self { label: label.to_owned(), href: href.to_owned(), note: note.to_owned() }
    }
}

/// The sections that exist, for somebody who may or may not administer.
#[must_use]
pub fn sections(administers: bool) -> Vec<Section> {
    let home = Section {
        label: "Home".to_owned(),
        icon: "home",
        href: "/".to_owned(),
        count: None,
        pages: vec![NavPage::new("Overview", "/", "what is the case, and what comes next")],
    };
    let explore = Section {
        label: "Explore".to_owned(),
        icon: "explore",
        href: "/query".to_owned(),
        count: None,
        pages: vec![NavPage::new("Query", "/query", "ask in PromQL, see why nothing comes back")],
    };
    let status = Section {
        label: "Status".to_owned(),
        icon: "pulse",
        href: "/targets".to_owned(),
        count: None,
        pages: vec![
            NavPage::new("Targets", "/targets", "what is scraped, and how it is"),
            NavPage::new("Service discovery", "/service-discovery", "what was found, and what was dropped"),
            NavPage::new("Storage", "/status/tsdb", "series by metric, label and target; files"),
            NavPage::new("prometheus.yml", "/status/configuration", "the file as it is in force"),
        ],
    };
    let mut pages = vec![
        NavPage::new("Your account", "/account", "password, second step, sessions"),
        NavPage::new("API tokens", "/account/tokens", "for scripts and other programs"),
    ];
    if administers {
        pages.insert(0, NavPage::new("Configuration", "/settings", "every value and where it came from"));
        pages.push(NavPage::new("Users and roles", "/settings/users", "who may sign in, and what they may do"));
        pages.push(NavPage::new("Audit log", "/settings/audit", "who did what, when, from where"));
    }
    let settings =
        Section { label: "Settings".to_owned(), icon: "settings", href: pages[0].href.clone(), count: None, pages };
    vec![home, explore, status, settings]
}

/// The last line of the rail: how the server itself is.
#[derive(Clone, Debug)]
pub struct Pulse {
    pub tone: Tone,
    pub text: String,
}

/// What is around the page.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    /// The path of `server.external_url` without its last slash; empty for none. Goes before every link.
    pub base: String,
    pub theme: Theme,
    pub density: Density,
    /// Path and query of this request below the base, so that forms of the frame can come back here.
    pub here: String,
    /// Goes into every form; a hidden field named `form_token`.
    pub form_token: String,
    pub viewer: Option<Viewer>,
    /// Whether signing out means anything: not with `--auth off`.
    pub can_sign_out: bool,
    pub flash: Option<Flash>,
    pub sections: Vec<Section>,
    pub pulse: Option<Pulse>,
}

/// One step of the way to a page. The last one is the page itself and has no link.
#[derive(Clone, Debug)]
pub struct Crumb {
    pub label: String,
    pub href: String,
}

/// How fresh a page is, beside its refresh button.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    /// "as of 11:02:14"; empty shows nothing.
    pub as_of: String,
    /// Older than three intervals: amber.
    pub stale: bool,
}

/// What a page says about itself to the frame.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Of the browser's tab; the page's own heading may say more.
    pub title: String,
    pub crumbs: Vec<Crumb>,
    /// Path of the rail's entry that is current.
    pub current: String,
    pub freshness: Option<Freshness>,
}

impl Head {
    /// A page that is an entry of the rail itself.
    #[must_use]
    pub fn of(title: &str, current: &str, parents: &[(&str, &str)]) -> Self {
        let parents = parents.iter().map(|&(label, href)| Crumb { label: label.to_owned(), href: href.to_owned() });
        Self { title: title.to_owned(), crumbs: parents.collect(), current: current.to_owned(), freshness: None }
    }

    /// Whether a section of the rail is the one we are in.
    #[must_use]
    pub fn within(&self, section: &Section) -> bool {
        section.href == self.current || section.pages.iter().any(|page| page.href == self.current)
    }
}

#[cfg(test)]
mod tests {
    //! The small decisions of the frame.

    use super::*;

    #[test]
    fn initials_are_the_first_letters_of_two_words_in_any_script() {
        for (name, initials) in [
            ("Mara Kovač", "MK"),
            ("admin", "A"),
            ("", ""),
            ("--", ""),
            ("ødegård.lars", "ØL"),
            ("one two three", "OT"),
        ] {
            let viewer = Viewer { name: name.to_owned(), role: String::new() };
            assert_eq!(viewer.initials(), initials, "{name}");
        }
    }

    #[test]
    fn an_unknown_preference_is_the_default() {
        for theme in [Theme::Auto, Theme::Light, Theme::Dark] {
            assert_eq!(Theme::parse(theme.name()), theme);
        }
        assert_eq!(Theme::parse("\"><script>"), Theme::Auto);
        for density in [Density::Comfortable, Density::Dense] {
            assert_eq!(Density::parse(density.name()), density);
        }
        assert_eq!(Density::parse(""), Density::Comfortable);
    }

    #[test]
    fn only_administrators_see_what_only_they_may_open() {
        let links = |administers| -> Vec<String> {
            sections(administers).into_iter().flat_map(|section| section.pages).map(|page| page.href).collect()
        };
        let everybody = [
            "/",
            "/query",
            "/targets",
            "/service-discovery",
            "/status/tsdb",
            "/status/configuration",
            "/account",
            "/account/tokens",
        ];
        assert_eq!(links(false), everybody);
        assert!(links(true).contains(&"/settings/users".to_owned()));
    }

    #[test]
    fn a_section_is_open_on_each_of_its_pages() {
        let sections = sections(true);
        let head = Head::of("Audit log", "/settings/audit", &[]);
        assert!(!head.within(&sections[0]));
        assert!(sections.last().is_some_and(|settings| head.within(settings)));
    }
}
