//! The request as a page sees it: who looks, in which colours, and the form that was sent.

use appliance::identity::Caller;
use auth::forgery;
use auth::permit::{Action, Object, Principal, authz};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::PageError;
use crate::html::Html;
use crate::pages::failed::FailedPage;
use crate::session::{Origin, SessionToken, cookie};
use crate::shell::{Density, Flash, Shell, Theme, Viewer, sections};
use crate::tone::Tone;

/// Longest form: a name, a few words, a file is none of them.
const FORM_BYTES_MAX: usize = 64 << 10;
/// Fields of one form; a token's boxes are the most there are.
const FIELDS_MAX: usize = 100;
/// A message waits this long for the page that shows it.
const FLASH_SECONDS: u32 = 60;
const FLASH_COOKIE: &str = "wp_flash";
pub(super) const THEME_COOKIE: &str = "wp_theme";
pub(super) const DENSITY_COOKIE: &str = "wp_density";

/// What just happened, said once on the next page. Only these words travel, so a cookie cannot put others there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    SignedIn,
    PasswordChanged,
    SessionEnded,
    OthersEnded,
    TwoStepOff,
    TokenRevoked,
    UserMade,
    UserChanged,
    UserDeleted,
    PasswordSet,
    TwoStepReset,
    SessionsEnded,
    Reloaded,
    ReloadRefused,
}

/// Every message with the word that stands for it.
const SAID: [(Said, &str, Tone, &str); 14] = [
    (Said::SignedIn, "signed-in", Tone::Ok, "You are signed in."),
    (Said::PasswordChanged, "password", Tone::Ok, "Your password is changed. Your other sessions are closed."),
    (Said::SessionEnded, "session", Tone::Ok, "The session is closed."),
    (Said::OthersEnded, "others", Tone::Ok, "All your other sessions are closed."),
    (
        Said::TwoStepOff,
        "two-step-off",
        Tone::Warning,
        "Two-step sign-in is off: the password alone opens your account.",
    ),
    (Said::TokenRevoked, "revoked", Tone::Ok, "The token is revoked: from now on it opens nothing."),
    (Said::UserMade, "made", Tone::Ok, "The user is made."),
    (Said::UserChanged, "changed", Tone::Ok, "The change is saved."),
    (Said::UserDeleted, "deleted", Tone::Ok, "The user is deleted, with all sessions and tokens."),
    (Said::PasswordSet, "set", Tone::Ok, "The new password is set, and every session of the user is closed."),
    (Said::TwoStepReset, "reset", Tone::Ok, "Two-step sign-in is off for this user until they set it up again."),
    (Said::SessionsEnded, "ended", Tone::Ok, "Every session of the user is closed."),
    (Said::Reloaded, "reloaded", Tone::Ok, "The configuration was read again and is in force."),
    (
        Said::ReloadRefused,
        "refused",
        Tone::Critical,
        "Not reloaded: the running configuration stays. The reasons are below.",
    ),
];

impl Said {
    fn word(self) -> &'static str {
        SAID.iter().find(|(said, ..)| *said == self).map_or("", |(_, word, ..)| word)
    }

    fn flash(word: &str) -> Option<Flash> {
        let (.., tone, text) = SAID.iter().find(|(_, known, ..)| *known == word)?;
        Some(Flash { tone: *tone, text: (*text).to_owned(), action: None })
    }
}

/// One request for a page.
pub(super) struct Frame {
    pub(super) shell: Shell,
    pub(super) caller: Caller,
    pub(super) origin: Origin,
    /// The name the caller used for this server.
    pub(super) host: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Frame {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        // The gate puts it there; without a gate nobody is served.
        let caller = parts.extensions.get::<Caller>().cloned();
        let Some(caller) = caller else { return Err(StatusCode::INTERNAL_SERVER_ERROR.into_response()) };
        let origin = parts.extensions.get::<Origin>().cloned().unwrap_or_default();
        let session = parts.extensions.get::<SessionToken>();
        let read = |name| cookie_value(&parts.headers, name);
        let administers = authz(&caller.principal, Action::Administer, Object::Server).is_ok();
        let viewer = viewer(&caller.principal);
        let shell = Shell {
            base: origin.prefix.clone(),
            theme: Theme::parse(read(THEME_COOKIE).unwrap_or("")),
            density: Density::parse(read(DENSITY_COOKIE).unwrap_or("")),
            here: parts.uri.path_and_query().map_or("/", |here| here.as_str()).to_owned(),
            form_token: session.map(|token| forgery::form_token(token.0.expose())).unwrap_or_default(),
            can_sign_out: session.is_some(),
            flash: read(FLASH_COOKIE).and_then(Said::flash),
            sections: if viewer.is_some() { sections(administers) } else { Vec::new() },
            viewer,
            pulse: None,
        };
        let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        Ok(Self { shell, caller, origin, host })
    }
}

fn viewer(principal: &Principal) -> Option<Viewer> {
    match principal {
        Principal::User { name, role, .. } => Some(Viewer { name: name.clone(), role: role.as_str().to_owned() }),
        Principal::Token { name, role, .. } => Some(Viewer { name: name.clone(), role: role.as_str().to_owned() }),
        Principal::Local => Some(Viewer { name: "local".to_owned(), role: "admin, login is off".to_owned() }),
        Principal::Anonymous | Principal::Operator => None,
    }
}

fn cookie_value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    values.find(|(known, _)| *known == name).map(|(_, value)| value)
}

impl Frame {
    /// The page, and the message on it taken back.
    pub(super) fn show(&self, page: Html) -> Response {
        let mut response = page.into_response();
        if self.shell.flash.is_some() {
            put(&mut response, cookie(FLASH_COOKIE, "", self.origin.secure, Some(0)));
        }
        response
    }

    /// On to another page of ours, `path` below the base.
    pub(super) fn go(&self, path: &str) -> Response {
        match HeaderValue::from_str(&format!("{}{path}", self.shell.base)) {
            Ok(place) => (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response(),
            Err(_) => self.failed(StatusCode::BAD_REQUEST, "The address to go on to is none."),
        }
    }

    /// The same, with something to say there.
    pub(super) fn go_saying(&self, path: &str, said: Said) -> Response {
        let mut response = self.go(path);
        put(&mut response, cookie(FLASH_COOKIE, said.word(), self.origin.secure, Some(FLASH_SECONDS)));
        response
    }

    /// A page that says what went wrong.
    pub(super) fn failed(&self, status: StatusCode, detail: &str) -> Response {
        let mut page = FailedPage::new(status);
        page.detail = detail.to_owned();
        PageError::Failed { shell: Box::new(self.shell.clone()), page: Box::new(page) }.into_response()
    }
}

/// Adds a cookie to an answer.
pub(super) fn put(response: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The fields of a form that proved to be ours.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of a field; empty where it was not sent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Every value of a field.
    pub(super) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A form and the frame it came in.
pub(super) struct Posted {
    pub(super) frame: Frame,
    pub(super) fields: Fields,
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let frame = Frame::from_request_parts(&mut parts, state).await?;
        let Ok(bytes) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
            return Err(frame.failed(StatusCode::PAYLOAD_TOO_LARGE, "The form is longer than 64 KiB."));
        };
        let fields: Vec<(String, String)> = form_urlencoded::parse(&bytes)
            .take(FIELDS_MAX)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let fields = Fields(fields);
        // Who has a session proves the form with it; the gate has seen that the others come from our own pages.
        let proven = match parts.extensions.get::<SessionToken>() {
            Some(token) => forgery::form_token_matches(token.0.expose(), fields.get("form_token")),
            None => true,
        };
        if !proven {
            return Err(frame.failed(StatusCode::FORBIDDEN, "The form is too old, or was not made by this server."));
        }
        Ok(Self { frame, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_messages_are_shown() {
        for (said, word, ..) in SAID {
            assert_eq!(said.word(), word);
            assert!(Said::flash(word).is_some());
            assert!(cookie(FLASH_COOKIE, word, true, None).is_some(), "{word} fits a cookie");
        }
        assert!(Said::flash("You won a prize").is_none());
    }

    #[test]
    fn a_field_may_come_once_or_often_or_not() {
        let fields = Fields(vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
        assert_eq!((fields.get("a"), fields.get("b")), ("1", ""));
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn a_cookie_is_found_among_others_and_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("xwp_theme=light; wp_theme=dark"));
        assert_eq!(cookie_value(&headers, THEME_COOKIE), Some("dark"));
        assert_eq!(cookie_value(&headers, DENSITY_COOKIE), None);
    }
}
