//! Messages of a socket, held against the AsyncAPI document.

use super::schema;
use hansard::api::asyncapi;
use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(asyncapi::document);

/// Who says it.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    Client,
    Server,
}

/// What the document does not say of a message; empty: it is as described.
pub fn undocumented(side: Side, message: &Value) -> Vec<String> {
    let side = match side {
        Side::Client => "client",
        Side::Server => "server",
    };
    let kind = message["type"].as_str().unwrap_or_default();
    let name = format!("{side}.{kind}");
    let Some(described) = DOCUMENT["components"]["messages"].get(&name) else {
        return vec![format!("{name} is not in the document")];
    };
    let mut wrong = Vec::new();
    let payload = &described["payload"];
    schema::check(&DOCUMENT, payload, message, &name, &mut wrong);
    wrong
}
