//! Our own files for the browser: embedded, named after their content, compressed once.
//!
//! Promises: a name never changes its content, so a browser keeps a file for a year and never asks again; a module
//! imports others by those names too, because an import map would have to stand inline in the page, which our own
//! policy forbids. Sizes are held by a test.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;

/// What is embedded. A module stands after those it imports: their names are part of its content.
const SOURCES: [(&str, &str); 8] = [
    ("app.css", include_str!("../../../web/static/app.css")),
    ("icons.svg", include_str!("../../../web/static/icons.svg")),
    ("favicon.svg", include_str!("../../../web/static/favicon.svg")),
    ("dialogs.js", include_str!("../../../web/static/dialogs.js")),
    ("forms.js", include_str!("../../../web/static/forms.js")),
    ("keyboard.js", include_str!("../../../web/static/keyboard.js")),
    ("palette.js", include_str!("../../../web/static/palette.js")),
    ("app.js", include_str!("../../../web/static/app.js")),
];

/// The one module a page names; it imports the rest.
pub const ENTRY: &str = "app.js";

/// A file as it is served.
#[derive(Debug)]
struct Asset {
    /// As in `web/static`.
    name: &'static str,
    /// With the hash: `app.4f0c….css`.
    file: String,
    /// Path below the base: `/static/app.4f0c….css`.
    url: String,
    etag: String,
    kind: &'static str,
    plain: String,
    gzip: Vec<u8>,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    SOURCES.iter().fold(Vec::with_capacity(SOURCES.len()), |mut done, (name, text)| {
        let asset = Asset::new(name, rewritten(text, &done));
        done.push(asset);
        done
    })
});

impl Asset {
    fn new(name: &'static str, plain: String) -> Self {
        let hash = format!("{:016x}", hash(plain.as_bytes()));
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let file = format!("{stem}.{hash}.{extension}");
        let kind = match extension {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        let url = format!("/static/{file}");
        Self { name, gzip: compressed(plain.as_bytes()), url, etag: format!("\"{hash}\""), kind, plain, file }
    }
}

/// `from "./palette.js"` becomes the name it has here.
fn rewritten(text: &str, done: &[Asset]) -> String {
    done.iter().fold(text.to_owned(), |text, asset| {
        text.replace(&format!("\"./{}\"", asset.name), &format!("\"./{}\"", asset.file))
    })
}

/// FNV-1a over 64 bits: names need to differ when content does, not to withstand anybody.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Empty where compression failed, which writing to memory cannot; then the plain text is served.
fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Where a file is, below the base path: what templates write. An unknown name leads nowhere, and a test says so.
#[must_use]
pub fn url(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("/static/", |asset| &asset.url)
}

/// The modules that [`ENTRY`] imports, so that a page can ask for all at once.
#[must_use]
pub fn imported() -> Vec<&'static str> {
    let modules = ASSETS.iter().filter(|asset| asset.name.ends_with(".js") && asset.name != ENTRY);
    modules.map(|asset| asset.url.as_str()).collect()
}

/// `GET /static/{file}`
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/static/{file}", get(serve))
}

async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.file == file) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let common = [
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    let etag = [(header::ETAG, asset.etag.as_str())];
    if header_text(&headers, header::IF_NONE_MATCH).split(',').any(|tag| tag.trim() == asset.etag) {
        return (StatusCode::NOT_MODIFIED, common, etag).into_response();
    }
    let kind = [(header::CONTENT_TYPE, asset.kind)];
    if takes_gzip(header_text(&headers, header::ACCEPT_ENCODING)) && !asset.gzip.is_empty() {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        return (common, etag, kind, encoding, asset.gzip.as_slice()).into_response();
    }
    (common, etag, kind, asset.plain.as_str()).into_response()
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// `gzip` or `*` with a quality that is not zero.
fn takes_gzip(accept: &str) -> bool {
    accept.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let known = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        known && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

#[cfg(test)]
mod tests;
