//! A meeting's room, where a guest's link leads to.

use super::{Content, Plain, escape, failed, language::Language, page};
use crate::api::{body::Path, problem::Problem, state::Shared};
use axum::{Router, extract::State, response::Response, routing::get};
use uuid::Uuid;

pub fn routes() -> Router<Shared> {
    Router::new().route("/m/{id}", get(room))
}

/// The link's secret is in its fragment, which no browser sends: this document is the same for
/// every link, and asks nothing of the database. Without a fragment it is the host's, by session.
async fn room(
    State(state): State<Shared>,
    Language(texts): Language,
    id: Result<Path<Uuid>, Problem>,
) -> Response {
    match id {
        Ok(Path(id)) => {
            let root = escape(state.address.path());
            let element =
                format!("<hansard-meeting root=\"{root}\" meeting=\"{id}\"></hansard-meeting>");
            let content = Content {
                title: "Meeting",
                element: &element,
                plain: Plain::Here(INVITATION),
            };
            page(&state, &content)
        }
        Err(problem) => failed(&state, texts, &problem),
    }
}

const INVITATION: &str = "<h1>You are invited to a meeting</h1>\
<p>To take part here, allow this page to run scripts: sound travels by them. Nothing is recorded of you unless you \
agree.</p>\
<p>Whoever has the link can join under a name of their choice, so pass it on only to those who are invited.</p>\
<p>For applications: the part behind <code>#</code> is the bearer credential for <code>POST /v1/meetings/{id}/join</code> \
with <code>displayName</code>.</p>";
