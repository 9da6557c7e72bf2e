//! `/help/keyboard`: every key, on a page; with scripts the same list opens on `?`.

use axum::http::StatusCode;

use crate::filters;
use crate::pages::page;
use crate::shell::Head;

/// Keys and what they do. A space separates keys pressed one after another.
pub const KEYS: [(&str, &str); 13] = [
    ("Ctrl K", "search pages (on a Mac: Command K)"),
    ("/", "the same"),
    ("?", "this list"),
    ("g h", "go home"),
    ("g e", "go to the query page"),
    ("g t", "go to the targets"),
    ("g s", "go to settings"),
    ("g u", "go to your account"),
    ("Ctrl Enter", "run the query that is being written"),
    ("r", "refresh the page"),
    ("Esc", "close what is open"),
    ("↑ ↓", "move in a list"),
    ("Enter", "open what is chosen"),
];

/// The page.
#[derive(Clone, Copy, Debug)]
pub struct KeyboardPage;

impl KeyboardPage {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn head(&self) -> Head {
        Head::of("Keyboard", "", &[])
    }

    fn lead(&self) -> &'static str {
        "Everything can be reached without a mouse: Tab moves, Enter opens. With scripts on, these keys help too."
    }
}

page!(KeyboardPage, KeyboardTemplate, "keyboard.html");
