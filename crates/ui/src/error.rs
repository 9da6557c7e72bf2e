//! How a page that cannot be shown is answered.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::html::Html;
use crate::pages::confirm::ConfirmPage;
use crate::pages::failed::{FailedPage, NotSetUpPage};
use crate::pages::login::LoginPage;
use crate::shell::Shell;

/// A request for a page that got another answer than the page.
///
/// It carries the shell, so that who is signed in stays signed in on the page that says what went wrong.
#[derive(Debug)]
pub enum PageError {
    /// What the status says, in words.
    Failed { shell: Box<Shell>, page: Box<FailedPage> },
    /// Sign in, then come back.
    SignIn { shell: Box<Shell>, page: Box<LoginPage> },
    /// Say yes first.
    Confirm { shell: Box<Shell>, page: Box<ConfirmPage> },
    /// Nobody has made the first account.
    NotSetUp { shell: Box<Shell>, page: Box<NotSetUpPage> },
}

impl PageError {
    fn page(&self) -> Html {
        match self {
            Self::Failed { shell, page } => page.render(shell),
            Self::SignIn { shell, page } => page.render(shell),
            Self::Confirm { shell, page } => page.render(shell),
            Self::NotSetUp { shell, page } => page.render(shell),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.page().into_response();
        // Where waiting is the answer, machines are told as people are; the exact time stands on the page.
        if matches!(response.status().as_u16(), 429 | 503) {
            response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static("10"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn an_error_keeps_its_status_and_says_when_to_come_back() {
        let shell = Box::new(Shell::default());
        let page = Box::new(FailedPage::new(StatusCode::TOO_MANY_REQUESTS));
        let response = PageError::Failed { shell, page }.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "10");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }
}
