//! Every page: a struct that says what it shows, and how it becomes HTML.
//!
//! A view holds plain words (texts, lists, choices), never another crate's types, so that a page can be shown with
//! made-up data and tested without a server.

pub mod account;
pub mod audit;
pub mod components;
pub mod confirm;
pub mod failed;
pub mod home;
pub mod keyboard;
pub mod login;
pub mod palette;
pub mod prometheus;
pub mod query;
pub mod settings;
pub mod setup;
pub mod storage;
pub mod targets;
pub mod tokens;
pub mod users;

/// Ties a view to its template and gives it `render`. The view says its status and head itself.
macro_rules! page {
    ($view:ident, $template:ident, $path:tt) => {
        #[derive(askama::Template)]
        #[template(path = $path)]
        struct $template<'a> {
            shell: &'a crate::shell::Shell,
            head: crate::shell::Head,
            #[allow(dead_code, reason = "a page that never changes shows nothing of its view")]
            view: &'a $view,
        }

        impl $view {
            /// The page.
            #[must_use]
            pub fn render(&self, shell: &crate::shell::Shell) -> crate::html::Html {
                crate::html::Html::of(self.status(), &$template { shell, head: self.head(), view: self })
            }
        }
    };
}
pub(crate) use page;

/// A name and what it is, in lists of details.
#[derive(Clone, Debug)]
pub struct Fact {
    pub name: String,
    pub value: String,
}

impl Fact {
    /// Two words.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}
