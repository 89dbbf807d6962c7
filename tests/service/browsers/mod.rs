//! Meetings in real browsers, through the real pages.

mod crash;
mod host;
mod network;
pub mod person;
mod relay;
mod voice;

use hansard_client::rest::Client;
use serde_json::json;

/// A meeting of a new host with a guest's link.
pub async fn meeting(client: &Client) -> (String, String, String) {
    let host = client
        .create_user("ana@example.org", "Ana Berg")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&host, json!({"language": "en"}))
        .await
        .expect("a meeting");
    let id = meeting["id"].as_str().expect("an id").to_owned();
    let link = client
        .post(
            &format!("/v1/meetings/{id}/links"),
            json!({"role": "participant"}),
        )
        .await
        .expect("a link");
    (host, id, link["url"].as_str().expect("a url").to_owned())
}
