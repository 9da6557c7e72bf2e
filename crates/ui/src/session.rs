//! What a request carries for pages, and the cookies they leave: the session, the look, one message.
//!
//! Promise: the session's cookie is `__Host-` and `Secure` over TLS, and has another name over plain HTTP, so that one
//! can never be passed off as the other. Not here: what a session is (`auth`), who reads the cookie (the gate).

use axum::http::HeaderValue;
use model::secret::Secret;

/// How the caller reached us, after proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Over TLS, ours or a trusted proxy's.
    pub secure: bool,
    /// The path prefix of every link; empty for none.
    pub prefix: String,
}

/// The token of the session a request was sent with.
#[derive(Clone, Debug)]
pub struct SessionToken(pub Secret);

/// The session's cookie over TLS: bound to this host and path by its name.
const SECURE_NAME: &str = "__Host-wp_s";
/// The same over plain HTTP, where browsers refuse the other.
const PLAIN_NAME: &str = "wp_s";

/// What the session's cookie is called.
#[must_use]
pub const fn cookie_name(secure: bool) -> &'static str {
    if secure { SECURE_NAME } else { PLAIN_NAME }
}

/// Sets the session's cookie. It ends with the browser; the server ends the session itself.
#[must_use]
pub fn keep(token: &Secret, origin: &Origin) -> Option<HeaderValue> {
    cookie(cookie_name(origin.secure), token.expose(), origin.secure, None)
}

/// Takes the session's cookie back.
#[must_use]
pub fn forget(origin: &Origin) -> Option<HeaderValue> {
    cookie(cookie_name(origin.secure), "", origin.secure, Some(0))
}

/// A cookie that scripts cannot read and other sites do not send along. `None` where the value is no cookie's.
#[must_use]
pub fn cookie(name: &str, value: &str, secure: bool, seconds: Option<u32>) -> Option<HeaderValue> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if !value.bytes().all(plain) {
        return None;
    }
    let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let secure = if secure { "; Secure" } else { "" };
    let mut header =
        HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}{secure}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_of_a_session_is_bound_to_the_host_over_tls_and_named_otherwise_without() {
        let token = Secret::new("abc-DEF_123");
        for (secure, expected) in [
            (true, "__Host-wp_s=abc-DEF_123; Path=/; HttpOnly; SameSite=Lax; Secure"),
            (false, "wp_s=abc-DEF_123; Path=/; HttpOnly; SameSite=Lax"),
        ] {
            let origin = Origin { secure, prefix: "/watch".to_owned() };
            assert_eq!(keep(&token, &origin).expect("a header"), expected);
            let gone = forget(&origin).expect("a header");
            assert!(gone.to_str().expect("text").contains("Max-Age=0"), "{gone:?}");
        }
    }

    #[test]
    fn a_value_that_would_end_the_cookie_is_none() {
        for value in ["a;b", "a\nb", "a b", "a\"", "é", "a,b"] {
            assert!(cookie("x", value, false, None).is_none(), "{value}");
        }
    }
}
