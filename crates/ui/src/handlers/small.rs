//! Pages of the frame itself: the look, the search over pages, the keyboard, the components.

use axum::extract::Query;
use axum::response::Response;
use serde::Deserialize;

use super::frame::{DENSITY_COOKIE, Frame, Posted, THEME_COOKIE, put};
use crate::pages::components::ComponentsPage;
use crate::pages::keyboard::KeyboardPage;
use crate::pages::palette::PalettePage;
use crate::session::cookie;
use crate::shell::{Density, Theme};

/// A taste is kept for a year.
const TASTE_SECONDS: u32 = 365 * 24 * 3600;

/// `POST /preferences`
pub(super) async fn preferences(posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let next = auth::redirect::safe_redirect(fields.get("next")).unwrap_or("/");
    let mut response = frame.go(next);
    let secure = frame.origin.secure;
    if !fields.get("theme").is_empty() {
        let theme = Theme::parse(fields.get("theme")).name();
        put(&mut response, cookie(THEME_COOKIE, theme, secure, Some(TASTE_SECONDS)));
    }
    if !fields.get("density").is_empty() {
        let density = Density::parse(fields.get("density")).name();
        put(&mut response, cookie(DENSITY_COOKIE, density, secure, Some(TASTE_SECONDS)));
    }
    response
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

/// `GET /palette`
pub(super) async fn palette(frame: Frame, Query(search): Query<Search>) -> Response {
    frame.show(PalettePage { query: search.q }.render(&frame.shell))
}

/// `GET /help/keyboard`
pub(super) async fn keyboard(frame: Frame) -> Response {
    frame.show(KeyboardPage.render(&frame.shell))
}

/// `GET /components`
pub(super) async fn components(frame: Frame) -> Response {
    frame.show(ComponentsPage.render(&frame.shell))
}
