//! Meetings in real browsers, through the real pages.

mod crash;
mod door;
mod elements;
mod firefox;
mod host;
mod keyboard;
mod language;
pub mod lossy;
mod network;
pub mod person;
pub mod relay;
mod reload;
mod site;
pub mod voice;
mod withdrawal;

use hansard_client::rest::Client;
use serde_json::{Value, json};

/// Of a voice behind a withdrawal, by capture time.
const KEPT_MAX_MS: i64 = 250;

/// A new host, and a meeting of theirs.
pub async fn hosted(client: &Client, settings: Value) -> (String, String) {
    let host = client
        .create_user("ana@example.org", "Ana Berg")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&host, settings)
        .await
        .expect("a meeting");
    let id = meeting["id"].as_str().expect("an id").to_owned();
    (host, id)
}

/// The address by which a host opens their pages.
pub async fn session(client: &Client, host: &str) -> String {
    let made = client
        .post(
            &format!("/v1/users/{host}/sessions"),
            json!({"ttlSeconds": 3600}),
        )
        .await
        .expect("a session");
    made["url"].as_str().expect("a url").to_owned()
}

/// A meeting of a new host with a guest's link.
pub async fn meeting(client: &Client) -> (String, String, String) {
    let (host, id) = hosted(client, json!({"language": "en"})).await;
    let link = link(client, &id).await;
    (host, id, link)
}

/// A guest's link into a meeting.
pub async fn link(client: &Client, id: &str) -> String {
    let made = client
        .post(
            &format!("/v1/meetings/{id}/links"),
            json!({"role": "participant"}),
        )
        .await
        .expect("a link");
    made["url"].as_str().expect("a url").to_owned()
}
