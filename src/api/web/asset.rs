//! The built pages of `web/`, inside the program.
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

/// Names what the bundle was built of; a changed bundle has another address.
static VERSION: LazyLock<&str> = LazyLock::new(|| {
    PAGES
        .strip_prefix(SOURCES)
        .and_then(|rest| rest.get(..VERSION_CHARS))
        .unwrap_or("0")
});

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/web/elements.js", get(async || script("no-cache")))
        .route("/web/{version}/{file}", get(asset))
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
