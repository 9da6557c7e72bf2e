//! What a plain HTTP request on the TLS port gets: one rule, [`answer_to`], and its words.
//!
//! Loopback peers are served, because nobody listens on that wire. From elsewhere a browser that asks for a page is
//! sent to https; anything else is refused with one sentence that says what to do, because a redirect would lose an
//! SDK's POST without a word, and would teach a script to send its token in the clear first.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::forwarded::is_host;

/// Paths that machines ask for. Everything else that is read is a page.
const MACHINE_PATHS: [&str; 9] =
    ["/api/", "/-/", "/metrics", "/federate", "/probe", "/ping/", "/health", "/ready", "/live"];

/// What a plain request on the TLS port gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainAnswer {
    Serve,
    Redirect,
    Refuse,
}

/// The rule. `path` is without the prefix of `external_url`.
#[must_use]
pub fn answer_to(peer: IpAddr, method: &Method, path: &str) -> PlainAnswer {
    if peer.to_canonical().is_loopback() {
        return PlainAnswer::Serve;
    }
    let reads = method == Method::GET || method == Method::HEAD;
    if reads && !is_machine_path(path) { PlainAnswer::Redirect } else { PlainAnswer::Refuse }
}

fn is_machine_path(path: &str) -> bool {
    // "/metrics" is the scrape, "/metrics-of-the-week" a page.
    MACHINE_PATHS.iter().any(|known| match path.strip_prefix(known) {
        Some(rest) => known.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    })
}

/// The https address of this port: `external_url` where it is set, else the name the request used.
#[must_use]
pub fn https_base(external_url: Option<&str>, host: Option<&str>, local_port: u16) -> String {
    if let Some(url) = external_url.filter(|url| url.starts_with("https://")) {
        return url.trim_end_matches('/').to_owned();
    }
    let name = host.filter(|host| is_host(host)).map_or("localhost", without_port);
    if local_port == 443 { format!("https://{name}") } else { format!("https://{name}:{local_port}") }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // "[::1]" has colons and no port.
        Some((name, _)) if !name.is_empty() && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    }
}

/// The redirect, keeping path and query. 307: not remembered by browsers, since the port may serve plain one day.
pub(crate) fn redirect(base: &str, path_and_query: &str) -> Response<String> {
    let target = format!("{base}{path_and_query}");
    let mut response = sentence(StatusCode::TEMPORARY_REDIRECT, &format!("this port speaks https: {target}\n"));
    if let Ok(target) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(http::header::LOCATION, target);
    }
    response
}

/// The refusal.
pub(crate) fn refuse(base: &str) -> Response<String> {
    let text = format!(
        "this port speaks https: send the request to {base} (its CA certificate is at {base}/ca.crt), \
         or have the operator open a plain door with http_listen\n"
    );
    sentence(StatusCode::BAD_REQUEST, &text)
}

/// An answer of the door itself: text, and the connection ends, since its peer is not where it thinks it is.
pub(crate) fn sentence(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_what_in_plain_on_the_tls_port() {
        use PlainAnswer::{Redirect, Refuse, Serve};
        for (peer, method, path, expected) in [
            ("127.0.0.1", "GET", "/", Serve),
            ("127.9.9.9", "POST", "/api/1/envelope/", Serve),
            ("::1", "POST", "/api/v1/write", Serve),
            ("::ffff:127.0.0.1", "GET", "/metrics", Serve),
            ("192.168.1.5", "GET", "/", Redirect),
            ("192.168.1.5", "HEAD", "/alerts", Redirect),
            ("192.168.1.5", "GET", "/d/abc/a-board", Redirect),
            ("192.168.1.5", "GET", "/ca.crt", Redirect),
            ("192.168.1.5", "GET", "/metrics-of-the-week", Redirect),
            ("192.168.1.5", "GET", "/apis", Redirect),
            ("2001:db8::7", "GET", "/issues", Redirect),
            ("192.168.1.5", "POST", "/login", Refuse),
            ("192.168.1.5", "PUT", "/", Refuse),
            ("192.168.1.5", "OPTIONS", "/", Refuse),
            ("192.168.1.5", "POST", "/api/1/envelope/", Refuse),
            ("192.168.1.5", "GET", "/api/v1/query", Refuse),
            ("192.168.1.5", "GET", "/metrics", Refuse),
            ("192.168.1.5", "GET", "/federate", Refuse),
            ("192.168.1.5", "GET", "/-/healthy", Refuse),
            ("192.168.1.5", "GET", "/ping/key", Refuse),
            ("192.168.1.5", "GET", "/health", Refuse),
            ("::ffff:10.0.0.1", "POST", "/", Refuse),
            ("0.0.0.0", "POST", "/", Refuse),
        ] {
            let method: Method = method.parse().expect(method);
            assert_eq!(answer_to(peer.parse().expect(peer), &method, path), expected, "{peer} {method} {path}");
        }
    }

    #[test]
    fn the_https_address_is_the_external_one_or_the_name_the_request_used() {
        for (external, host, port, expected) in [
            (Some("https://watch.example/w/"), Some("10.0.0.1:8443"), 8443, "https://watch.example/w"),
            (Some("http://watch.example"), Some("10.0.0.1:8443"), 8443, "https://10.0.0.1:8443"),
            (None, Some("watch:80"), 8443, "https://watch:8443"),
            (None, Some("watch"), 443, "https://watch"),
            (None, Some("[::1]:80"), 8443, "https://[::1]:8443"),
            (None, Some("[::1]"), 8443, "https://[::1]:8443"),
            (None, Some("evil/\r\n"), 8443, "https://localhost:8443"),
            (None, None, 8443, "https://localhost:8443"),
        ] {
            assert_eq!(https_base(external, host, port), expected);
        }
    }

    #[test]
    fn the_refusal_names_the_address_the_certificate_and_the_setting() {
        let response = refuse("https://watch:8443");
        assert_eq!(response.status(), 400);
        for part in ["https://watch:8443 ", "https://watch:8443/ca.crt", "http_listen"] {
            assert!(response.body().contains(part), "{part} in {}", response.body());
        }
        let response = redirect("https://watch:8443", "/alerts?a=b");
        assert_eq!(response.status(), 307);
        assert_eq!(response.headers()["location"], "https://watch:8443/alerts?a=b");
    }
}
