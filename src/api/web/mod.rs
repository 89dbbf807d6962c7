//! The pages for people: a meeting's room, a host's meetings, the button of a session's link, and
//! what this server is.
//!
//! What a page shows is made by the bundle of `web/` ([`asset`]), from the REST API and signaling.
//! Here are the documents that load it, and what is there without scripts. Their policy lets a
//! browser load nothing but our own addresses and the files of the object storage.

pub mod asset;
mod host;
mod language;
mod room;
mod session;
mod start;

use super::{problem::Problem, state::Shared};
use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use language::{ENGLISH, Texts};

pub fn routes() -> Router<Shared> {
    Router::new()
        .merge(start::routes())
        .merge(room::routes())
        .merge(host::routes())
        .merge(session::routes())
        .merge(asset::routes())
}

/// What a document of the bundle shows.
struct Content<'a> {
    title: &'a str,
    /// The element of the bundle that is the page, with its attributes.
    element: &'a str,
    plain: Plain<'a>,
}

/// What is there without scripts.
enum Plain<'a> {
    /// This, as HTML.
    Here(&'a str),
    /// Another page, which browsers without scripts go to: it costs more to make than to leave out.
    At(&'a str),
}

/// A page of the bundle.
fn page(state: &Shared, content: &Content<'_>) -> Response {
    let (away, plain) = match content.plain {
        Plain::Here(plain) => (String::new(), plain.to_owned()),
        Plain::At(page) => (
            format!("<noscript><meta http-equiv=\"refresh\" content=\"0; url={page}\"></noscript>"),
            format!("<p><a href=\"{page}\">Go on without scripts</a></p>"),
        ),
    };
    let body = format!(
        "{}<noscript><main>{plain}</main></noscript>",
        content.element
    );
    let head = format!(
        "{away}<script type=\"module\" src=\"{}{}\"></script>",
        state.address.path(),
        asset::pages()
    );
    // Its scripts name their own language.
    document(state, StatusCode::OK, &ENGLISH, content.title, &head, &body)
}

/// A page that is only what is said here.
fn answer(state: &Shared, status: StatusCode, texts: &Texts, title: &str, body: &str) -> Response {
    let body = format!("<main>{body}</main>");
    document(state, status, texts, title, "", &body)
}

fn failed(state: &Shared, texts: &Texts, problem: &Problem) -> Response {
    let (title, text) = match problem.status() {
        StatusCode::UNAUTHORIZED => texts.signed_out,
        StatusCode::FORBIDDEN => texts.not_yours,
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => texts.not_found,
        StatusCode::SERVICE_UNAVAILABLE => texts.not_now,
        _ => texts.failed,
    };
    // A page has no parameters that a person could get wrong.
    let status = if problem.status() == StatusCode::BAD_REQUEST {
        StatusCode::NOT_FOUND
    } else {
        problem.status()
    };
    answer(
        state,
        status,
        texts,
        title,
        &format!("<h1>{title}</h1><p>{text}</p>"),
    )
}

fn document(
    state: &Shared,
    status: StatusCode,
    texts: &Texts,
    title: &str,
    head: &str,
    body: &str,
) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title} · Hansard</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"icon\" href=\"{}{}\"><style>{STYLE}</style>{head}</head>\
         <body>{body}</body></html>",
        texts.code,
        escape(state.address.path()),
        asset::FAVICON
    );
    // The socket is named beside 'self', which not every browser takes for another scheme.
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src '{STYLE_HASH}'; img-src 'self' data:; \
         connect-src 'self' {} {}; media-src 'self' blob: {}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        state.address.signal_origin(),
        state.media_origin,
        state.media_origin
    );
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1b1f24;background:#f6f7f9}\
main{max-width:46rem;margin:auto;padding:2rem 1rem}span{color:#555}video,audio{width:100%}\
video{max-height:24rem;background:#111}a{color:#0b57d0}button{font:inherit;padding:.6rem 1.2rem;border:0;\
border-radius:.5rem;color:#fff;background:#0b57d0;cursor:pointer}:focus-visible{outline:3px solid #0b57d0;\
outline-offset:2px}@media(prefers-color-scheme:dark){body{background:#14171b;color:#e8eaed}span{color:#aaa}\
a{color:#8ab4f8}button{color:#0d1117;background:#8ab4f8}:focus-visible{outline-color:#8ab4f8}}";

/// Base64 of the style's SHA-256; a test holds it to [`STYLE`].
const STYLE_HASH: &str = "sha256-8sGX3bFQAs6UjyqbylqcNsJ3NmY5I1c3D+da9B0xhCs=";

/// Text as HTML, also within quotes.
fn escape(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut html, c| {
            match c {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                c => html.push(c),
            }
            html
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};

    #[test]
    fn the_policy_names_the_style() {
        assert_eq!(
            STYLE_HASH,
            format!("sha256-{}", STANDARD.encode(Sha256::digest(STYLE)))
        );
    }

    #[test]
    fn a_name_stays_text() {
        assert_eq!(escape("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
    }
}
