//! `/metrics`: what we count about ourselves, as text 0.0.4 or OpenMetrics 1.0.0.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use model::meter::exposition::Format;

use crate::App;

/// `GET /metrics`
pub async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let format = negotiate(accept);
    ([(header::CONTENT_TYPE, format.content_type())], app.registry.render(format)).into_response()
}

/// OpenMetrics 1.0.0 where the scraper prefers it (first in the list, as scrapers write it), else text.
fn negotiate(accept: &str) -> Format {
    let mut best = (0.0, Format::Text);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let format = match parts.next() {
            Some("application/openmetrics-text") => Format::OpenMetrics,
            Some("text/plain" | "text/*" | "*/*") => Format::Text,
            _ => continue,
        };
        let (mut quality, mut version) = (1.0, "");
        for parameter in parts {
            match parameter.split_once('=') {
                Some(("q", q)) => quality = q.parse().unwrap_or(0.0),
                Some(("version", given)) => version = given,
                _ => {}
            }
        }
        // 0.0.1 differs in small things that scrapers of that age rely on; text serves them.
        let known = format == Format::Text || matches!(version, "" | "1.0.0");
        if known && quality > best.0 {
            best = (quality, format);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_known_format_is_answered() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,*/*;q=0.1";
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html", Format::Text),
            (prometheus, Format::OpenMetrics),
            ("text/plain;q=0.9, application/openmetrics-text;version=1.0.0;q=0.5", Format::Text),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("application/openmetrics-text;q=nonsense", Format::Text),
        ] {
            assert_eq!(negotiate(accept), format, "{accept}");
        }
    }
}
