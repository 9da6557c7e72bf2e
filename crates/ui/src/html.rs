//! A finished page on its way to a browser.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::headers;

/// HTML with the status it goes out with.
#[derive(Clone, Debug)]
pub struct Html {
    pub status: StatusCode,
    pub text: String,
}

impl Html {
    /// Renders a template. Its only errors are those of `fmt::Write`, which a `String` does not have.
    pub(crate) fn of(status: StatusCode, template: &impl Template) -> Self {
        let mut text = String::with_capacity(template_bytes(template));
        match template.render_into(&mut text) {
            Ok(()) => Self { status, text },
            Err(error) => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                text: format!("the page could not be written: {error}").replace(['<', '&'], " "),
            },
        }
    }

    /// The same page with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

fn template_bytes<T: Template>(_: &T) -> usize {
    T::SIZE_HINT
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
