//! The door of a meeting: what it asks for, and what it says to whom it does not let in.

use super::{
    link,
    person::{Person, places},
};
use crate::{
    browser::packages,
    support::{Scratch, server::Server},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_door_asks_for_a_password_and_says_why_nobody_comes_in() {
    let _place = places(1).await;
    let packages = packages().await;
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let host = client
        .create_user("ana@example.org", "Ana Berg")
        .await
        .expect("a user");
    let meeting = json!({"hostId": host, "password": "lapsang", "settings": {"aiEnabled": false}});
    let meeting = client.post("/v1/meetings", meeting).await;
    let id = meeting.expect("a meeting")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let open = link(&client, &id).await;

    let mut grace = Person::start(&packages, None);
    grace.join(&open, Some("Grace"), "agree").await;
    grace.click("button.primary").await;
    grace.wait("text=This meeting asks for a password").await;
    grace.fill("#password", "assam").await;
    grace.click("button.primary").await;
    grace.wait("text=The password is wrong").await;
    grace.look("door-password").await;
    grace.fill("#password", "lapsang").await;
    grace.click("button.primary").await;
    grace.wait("#leave").await;
    // Who was let in needs none to come again.
    grace.click("#leave").await;
    grace.click("button:has-text('Come back')").await;
    grace.wait("hansard-microphone-choice .meter").await;
    assert_eq!(grace.texts("#password").await, Vec::<String>::new());

    client.end(&id).await.expect("ends");
    grace.goto("about:blank").await;
    grace.goto(&open).await;
    grace.wait("text=This meeting is over").await;
    grace.goto("about:blank").await;
    let (page, _) = open.split_once('#').expect("a secret");
    grace.goto(&format!("{page}#hl_{}", "A".repeat(43))).await;
    grace.wait("text=This link is not valid any more").await;
    grace.look("door-closed").await;
    grace.leave().await;
    server.terminate();
}
