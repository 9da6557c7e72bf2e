//! Pages for requests that got no answer: what happened, in words, what to do next, and the request's id.

use axum::http::StatusCode;

use crate::filters;
use crate::pages::page;
use crate::shell::Head;

/// A request that failed.
#[derive(Clone, Debug)]
pub struct FailedPage {
    pub status: StatusCode,
    /// Overrides the title that belongs to the status; may be empty.
    pub title: String,
    /// What exactly, for this request: "There is no user 17."; may be empty.
    pub detail: String,
    /// As in the log and in the header `x-request-id`; may be empty.
    pub request_id: String,
    /// "40 seconds", where waiting helps; may be empty.
    pub retry_after: String,
}

/// `503` for pages while nobody has made the first account.
#[derive(Clone, Debug)]
pub struct NotSetUpPage {
    /// "The link was written to the log at 10:31:07 and holds until Sat 21 Nov 10:31."
    pub link_until: String,
}

impl FailedPage {
    /// A page that says only what the status says.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        let (title, detail, request_id, retry_after) = Default::default();
        Self { status, title, detail, request_id, retry_after }
    }

    fn status(&self) -> StatusCode {
        self.status
    }

    fn head(&self) -> Head {
        Head::of(self.heading(), "", &[])
    }

    fn heading(&self) -> &str {
        if !self.title.is_empty() {
            return &self.title;
        }
        match self.status.as_u16() {
            400 | 422 => "This request could not be read",
            401 => "Sign in first",
            403 => "You may not do this",
            404 => "Nothing is here",
            405 => "This address does not take that kind of request",
            408 => "The request took too long to arrive",
            409 => "Somebody else changed this meanwhile",
            413 => "This is too large",
            429 => "Too many requests",
            503 => "Not ready yet",
            _ => "The server failed to answer",
        }
    }

    fn next_step(&self) -> String {
        let text = match self.status.as_u16() {
            400 | 422 => "Go back, check what was entered, and send it again.",
            401 => "Your session may have ended.",
            403 => {
                "Your role does not include it, or the form was open for too long. Go back, reload the page and try \
                 again, or ask an administrator."
            }
            404 => "The address may be mistyped, or what was here is gone. The pages there are can be searched.",
            405 => "Open the page by its link, and use its buttons.",
            408 => "Try again; if the line is slow, send less at once.",
            409 => "Open the page again to see what it is now.",
            413 => "Send less at once, or ask an administrator to raise the limit.",
            429 if self.retry_after.is_empty() => "Wait a moment, then try again.",
            503 if self.retry_after.is_empty() => "The server is starting or stopping. Try again in a few seconds.",
            429 | 503 => return format!("Try again in {}.", self.retry_after),
            _ => "This is our fault, not yours. Nothing else was affected. The log has the reason under the id below.",
        };
        text.to_owned()
    }
}

impl NotSetUpPage {
    fn status(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn head(&self) -> Head {
        Head::of("Not set up yet", "", &[])
    }
}

page!(FailedPage, FailedTemplate, "failed.html", Bare);
page!(NotSetUpPage, NotSetUpTemplate, "not_set_up.html", Bare);
