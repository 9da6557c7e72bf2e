//! Every page with made-up data, served on loopback: `cargo run -p ui --example gallery [ADDRESS]`.
//!
//! `/` lists the pages; `?theme=dark` and `?density=dense` change how they look. Nothing that is posted does anything.

mod samples;

use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use samples::{Sample, Samples};
use ui::pages::failed::FailedPage;
use ui::shell::{Density, Theme};

fn pages(query: &str) -> Vec<Sample> {
    let asked = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap_or("");
    let samples = Samples {
        text: &str::to_owned,
        base: "",
        theme: Theme::parse(asked("theme=")),
        density: Density::parse(asked("density=")),
    };
    samples.all()
}

async fn list() -> Response {
    let names: Vec<&str> = pages("").into_iter().map(|(name, _)| name).collect();
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], names.join("\n") + "\n").into_response()
}

async fn show(Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    let found = pages(&query.unwrap_or_default()).into_iter().find(|(known, _)| *known == name);
    match found {
        // The status a page carries would be an error in a browser's console; here every page is looked at.
        Some((_, page)) => page.with_status(StatusCode::OK).into_response(),
        None => nothing_here().await,
    }
}

/// Where the links of the pages lead.
async fn nothing_here() -> Response {
    FailedPage::new(StatusCode::NOT_FOUND).render(&ui::shell::Shell::default()).into_response()
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "whoever started it wants to know where to look")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let app = Router::new()
        .route("/", get(list))
        .route("/page/{name}", get(show))
        .merge(ui::assets::router())
        .fallback(nothing_here);
    axum::serve(listener, app).await
}
