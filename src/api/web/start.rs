//! What is at `/`: what this server is, and where its documentation is.

use super::answer;
use crate::api::state::Shared;
use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};

pub fn routes() -> Router<Shared> {
    Router::new().route("/", get(start))
}

async fn start(State(state): State<Shared>) -> Response {
    let root = state.address.path();
    let body = format!(
        "<h1>Hansard</h1>\
         <p>This server records meetings and transcribes them live, and keeps nothing of anybody who has not agreed.</p>\
         <ul><li>You were invited to a meeting? Open the link that you were sent.</li>\
         <li>You host meetings? <a href=\"{root}/host\">Your meetings</a>, once your application has signed you in.</li>\
         <li>You build on it? <a href=\"{root}/docs/\">The interface</a>, also as \
         <a href=\"{root}/v1/openapi.json\">OpenAPI document</a>.</li></ul>"
    );
    answer(&state, StatusCode::OK, "Welcome", &body)
}
