//! What a use case refuses, as a page says it.

use appliance::identity::IdentityError;
use axum::http::StatusCode;
use axum::response::Response;

use super::frame::Frame;
use super::times;

/// The sentence for a field or a page.
pub(super) fn words(error: &IdentityError) -> String {
    match error {
        IdentityError::WrongPassword => "This is not your password.".to_owned(),
        IdentityError::WrongCode => {
            "This code is wrong or was used already. A new one appears every 30 seconds.".to_owned()
        }
        IdentityError::Throttled { retry_after } => {
            format!("Too many attempts. The next one is possible in {}.", times::wait(*retry_after))
        }
        IdentityError::Busy => "Many people are signing in at this moment. Try again in a few seconds.".to_owned(),
        IdentityError::NameTaken => "A user of this name is there already.".to_owned(),
        IdentityError::LastAdmin => "This is the last administrator who can sign in.".to_owned(),
        // Sentences of pages begin large and end with a stop; those of errors do not.
        IdentityError::Invalid { reason, .. } => sentence(reason),
        other => sentence(&other.to_string()),
    }
}

pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return String::new() };
    let stop = if text.ends_with(['.', '?']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), characters.as_str())
}

/// The page for a refusal that belongs to no field.
pub(super) fn page(frame: &Frame, error: &IdentityError) -> Response {
    let status = match error {
        IdentityError::Denied(_)
        | IdentityError::TokenRefused(_)
        | IdentityError::WrongPassword
        | IdentityError::WrongCode => StatusCode::FORBIDDEN,
        IdentityError::NotFound => StatusCode::NOT_FOUND,
        IdentityError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        IdentityError::NameTaken | IdentityError::LastAdmin | IdentityError::TooMany { .. } | IdentityError::Stale => {
            StatusCode::CONFLICT
        }
        IdentityError::Throttled { .. } | IdentityError::Busy => StatusCode::TOO_MANY_REQUESTS,
        IdentityError::SetupDone | IdentityError::BadLink => StatusCode::FORBIDDEN,
        IdentityError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        IdentityError::Internal(_) => return frame.failed(StatusCode::INTERNAL_SERVER_ERROR, ""),
    };
    frame.failed(status, &words(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_a_sentence() {
        assert_eq!(sentence("expected at least 12 characters"), "Expected at least 12 characters.");
        assert_eq!(sentence("did you mean x?"), "Did you mean x?");
        assert_eq!(sentence(""), "");
    }
}
