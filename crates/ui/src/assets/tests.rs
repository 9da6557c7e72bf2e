//! What is embedded, how large it is, and how it is answered.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

/// Compressed, as sent. The budgets of a page without charts.
const CSS_BYTES_MAX: usize = 12 * 1024;
const JS_BYTES_MAX: usize = 12 * 1024;

fn asset(name: &str) -> &'static Asset {
    ASSETS.iter().find(|asset| asset.name == name).unwrap()
}

async fn get_file(path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    let response = router::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

#[test]
fn style_and_scripts_stay_within_their_budgets() {
    let sum = |extension: &str| -> usize {
        ASSETS.iter().filter(|asset| asset.name.ends_with(extension)).map(|asset| asset.gzip.len()).sum()
    };
    let (css, js, svg) = (sum(".css"), sum(".js"), sum(".svg"));
    println!("compressed: {css} bytes of CSS, {js} of JS, {svg} of SVG");
    assert!(css > 0 && css <= CSS_BYTES_MAX, "{css}");
    assert!(js > 0 && js <= JS_BYTES_MAX, "{js}");
}

#[test]
fn every_file_of_the_folder_is_embedded_under_its_name() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/static");
    let mut there: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    let mut embedded: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).collect();
    embedded.sort_unstable();
    assert_eq!(there, embedded);
}

#[test]
fn every_import_of_a_module_leads_to_a_file_that_is_served() {
    let mut imports = 0;
    for module in ASSETS.iter().filter(|asset| asset.name.ends_with(".js")) {
        for line in module.plain.lines().filter(|line| line.starts_with("import ")) {
            let name = line.split('"').nth(1).and_then(|name| name.strip_prefix("./")).unwrap();
            assert!(ASSETS.iter().any(|asset| asset.file == name), "{} imports {name}", module.name);
            imports += 1;
        }
    }
    assert!(imports >= 5);
    assert_eq!(imported().len() + 1, ASSETS.iter().filter(|asset| asset.name.ends_with(".js")).count());
}

#[test]
fn no_script_makes_markup_or_code_from_a_string() {
    let forbidden = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "eval(",
        "new Function",
        "createContextualFragment",
        "setHTMLUnsafe",
        "srcdoc",
    ];
    for module in ASSETS.iter().filter(|asset| asset.name.ends_with(".js")) {
        for word in forbidden {
            assert!(!module.plain.contains(word), "{}: {word}", module.name);
        }
    }
    for drawing in ASSETS.iter().filter(|asset| asset.name.ends_with(".svg")) {
        assert!(!drawing.plain.contains("style") && !drawing.plain.contains("<script"), "{}", drawing.name);
    }
}

#[test]
fn a_changed_file_has_another_name() {
    let one = Asset::new("a.css", "a{}".to_owned());
    let other = Asset::new("a.css", "b{}".to_owned());
    assert_ne!(one.url, other.url);
    assert!(one.url.starts_with("/static/a.") && one.url.ends_with(".css"));
    assert_eq!(url("no such file"), "/static/");
}

#[tokio::test]
async fn a_file_is_kept_for_a_year_and_never_asked_for_again() {
    let css = asset("app.css");
    let (status, headers, body) = get_file(&css.url, &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert_eq!(headers[header::CONTENT_TYPE], "text/css; charset=utf-8");
    assert!(!headers.contains_key(header::CONTENT_ENCODING));
    assert_eq!(body, css.plain.as_bytes());

    let (status, _, body) = get_file(&css.url, &[("if-none-match", &format!("\"x\", {}", css.etag))]).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    for path in ["/static/app.css", "/static/app.0000000000000000.css", "/static/..%2fCargo.toml"] {
        assert_eq!(get_file(path, &[]).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn who_takes_gzip_gets_it() {
    use std::io::Read as _;
    let js = asset("app.js");
    let (_, headers, body) = get_file(&js.url, &[("accept-encoding", "br, gzip;q=0.5")]).await;
    assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(headers[header::VARY], "accept-encoding");
    let mut text = String::new();
    flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, js.plain);
    for (accept, takes) in [
        ("", false),
        ("br", false),
        ("gzip", true),
        ("GZIP", true),
        ("*", true),
        ("gzip;q=0", false),
        ("deflate, gzip; q=0.1", true),
    ] {
        assert_eq!(takes_gzip(accept), takes, "{accept:?}");
    }
}
