//! What is at `/`: what this server is, and where its documentation is.

use super::{answer, language::Language};
use crate::api::state::Shared;
use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};

pub fn routes() -> Router<Shared> {
    Router::new().route("/", get(start))
}

async fn start(State(state): State<Shared>, Language(texts): Language) -> Response {
    let root = state.address.path();
    let body = format!(
        "<h1>Hansard</h1>\
         <p>{}</p><ul><li>{}</li>\
         <li>{} <a href=\"{root}/host\">{}</a>, {}</li>\
         <li>{} <a href=\"{root}/docs/\">{}</a>, {} \
         <a href=\"{root}/v1/openapi.json\">OpenAPI</a>.</li></ul>",
        texts.what_it_is,
        texts.invited,
        texts.hosting,
        texts.your_meetings,
        texts.once_signed_in,
        texts.building,
        texts.interface,
        texts.as_document,
    );
    answer(&state, StatusCode::OK, texts, texts.welcome, &body)
}
