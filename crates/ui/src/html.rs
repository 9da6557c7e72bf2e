//! A finished page on its way to a browser: the part that is the page, and what stands around it.
//!
//! The two are rendered one after the other, so that the frame is compiled once and not into every page.

use std::fmt;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::filters;
use crate::headers;
use crate::shell::{Head, Shell};

/// HTML with the status it goes out with.
#[derive(Clone, Debug)]
pub struct Html {
    pub status: StatusCode,
    pub text: String,
}

impl Html {
    /// The same page with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

/// What a template wrote, with everything in it escaped already: the one type that is written into another template as
/// it is. Nothing but a template makes one.
#[derive(Clone, Debug)]
pub(crate) struct Fragment(String);

impl askama::filters::HtmlSafe for Fragment {}

impl fmt::Display for Fragment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Fragment {
    /// Renders a template. Its only errors are those of `fmt::Write`, which a `String` does not have; should one come
    /// all the same, the page says so in words that hold no markup.
    pub(crate) fn of<T: Template>(template: &T) -> Self {
        let mut text = String::with_capacity(T::SIZE_HINT);
        match template.render_into(&mut text) {
            Ok(()) => Self(text),
            Err(_) => Self("The page could not be written.".to_owned()),
        }
    }
}

/// What stands around the part that is the page.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Around {
    /// Rail, top bar, bottom bar: for those who are signed in.
    Frame,
    /// The brand above a card in the middle.
    Bare,
    /// Only the head: the page lays itself out.
    Alone,
}

#[derive(Template)]
#[template(path = "frame.html")]
struct Frame<'a> {
    shell: &'a Shell,
    head: &'a Head,
    main: Fragment,
}

#[derive(Template)]
#[template(path = "bare.html")]
struct Bare<'a> {
    shell: &'a Shell,
    head: &'a Head,
    main: Fragment,
}

#[derive(Template)]
#[template(path = "document.html")]
struct Alone<'a> {
    shell: &'a Shell,
    head: &'a Head,
    main: Fragment,
}

impl Around {
    pub(crate) fn page(self, status: StatusCode, shell: &Shell, head: &Head, main: Fragment) -> Html {
        let whole = match self {
            Self::Frame => Fragment::of(&Frame { shell, head, main }),
            Self::Bare => Fragment::of(&Bare { shell, head, main }),
            Self::Alone => Fragment::of(&Alone { shell, head, main }),
        };
        Html { status, text: whole.0 }
    }
}

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text).into_response();
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        headers::put_on(response.headers_mut());
        response
    }
}
