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
pub mod settings;
pub mod setup;
pub mod tokens;
pub mod users;

/// Ties a view to its template and gives it `render`. The view says its status and head itself; what stands around it
/// is one of [`crate::html::Around`].
macro_rules! page {
    ($view:ident, $template:ident, $path:tt, $around:ident) => {
        #[derive(askama::Template)]
        #[template(path = $path)]
        struct $template<'a> {
            shell: &'a crate::shell::Shell,
            view: &'a $view,
        }

        impl $view {
            /// The page.
            #[must_use]
            pub fn render(&self, shell: &crate::shell::Shell) -> crate::html::Html {
                let main = crate::html::Fragment::of(&$template { shell, view: self });
                crate::html::Around::$around.page(self.status(), shell, &self.head(), main)
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
