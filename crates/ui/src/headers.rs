//! What a browser is told it may do with our pages and files.
//!
//! Promise: no script or style but our own files runs, no string becomes markup in a script, nobody frames us, and
//! nothing a signed-in person saw stays in a cache.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The policy of every page. Our scripts build elements one by one, so no Trusted Types policy is needed and none can
/// be made: a string that reaches `innerHTML` is an error, not a hole.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Features of the browser that none of our pages uses.
const PERMISSIONS_POLICY: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), geolocation=(), \
     gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=(), xr-spatial-tracking=()";

/// On every page.
pub const PAGE: [(HeaderName, HeaderValue); 7] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS_POLICY)),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// At sign-out, on top of [`PAGE`]: what the browser kept of us goes.
pub const SIGNED_OUT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\", \"storage\""));

/// Puts the page headers on an answer.
pub fn put_on(headers: &mut HeaderMap) {
    for (name, value) in PAGE {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_nothing_inline_run_and_no_string_become_markup() {
        assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'none';"));
        for unsafe_word in ["unsafe-inline", "unsafe-eval", "unsafe-hashes", "*", "http:", "https:", "nonce-"] {
            assert!(!CONTENT_SECURITY_POLICY.contains(unsafe_word), "{unsafe_word}");
        }
        for directive in ["frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"] {
            assert!(CONTENT_SECURITY_POLICY.contains(directive), "{directive}");
        }
    }
}
