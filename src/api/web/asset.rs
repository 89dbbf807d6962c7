//! The built pages of `web/` and their icon, inside the program.
//!
//! They are committed as they were built, so that the program is built without Node. Their first
//! line names the sources that they were made of.

use crate::api::{body::Path, problem::Problem, state::Shared};
use axum::{
    Router,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::sync::LazyLock;

/// What a file of the bundle begins with, before the hash of its sources.
pub const SOURCES: &str = "/*! hansard-web ";
/// How much of that hash is in the address.
const VERSION_CHARS: usize = 16;

static PAGES: &str = include_str!("../../../web/dist/pages.js");
/// An H, in 16, 32 and 48 pixels.
static ICON: &[u8] = include_bytes!("../../../web/favicon.ico");

/// Names what the bundle was built of; a changed bundle has another address.
static VERSION: LazyLock<&str> = LazyLock::new(|| {
    PAGES
        .strip_prefix(SOURCES)
        .and_then(|rest| rest.get(..VERSION_CHARS))
        .unwrap_or("0")
});

/// Where the icon is, below the path of the public URL.
pub const FAVICON: &str = "/favicon.ico";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/web/elements.js", get(async || script("no-cache")))
        .route("/web/{version}/{file}", get(asset))
        // Where browsers look for one of any answer, also of those that are no pages.
        .route(FAVICON, get(icon))
}

/// The address of the pages' script, below the path of the public URL.
pub fn pages() -> String {
    format!("/web/{}/pages.js", *VERSION)
}

async fn asset(file: Result<Path<(String, String)>, Problem>) -> Response {
    let version = match file {
        Ok(Path((version, file))) if file == "pages.js" => version,
        _ => return Problem::not_found("file").into_response(),
    };
    // A page that was loaded before an upgrade still gets a script, the one there is.
    let kept = if version == *VERSION {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    script(kept)
}

async fn icon() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "image/x-icon"),
        (header::CACHE_CONTROL, "public, max-age=86400"),
    ];
    (headers, ICON)
}

/// The bundle. It is a module, also for the pages of others, whose elements are in it: a browser
/// loads those only with leave for every origin.
fn script(kept: &'static str) -> Response {
    let mut response = PAGES.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, kept),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
