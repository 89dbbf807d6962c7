//! The pages in each of their languages: one meeting, seen by a guest with an English browser and one
//! with a German one. With `HANSARD_SHOTS` the German pictures in `docs/` are made here.

use super::{
    meeting,
    person::{Desk, Person, READY_MAX, places},
    session, voice,
};
use crate::{
    browser::packages,
    support::{Scratch, server::Server},
};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Of the words that are read, so many in a hundred are those that were said.
const RIGHT: usize = 80;

/// What browsers say, the page's language, what a button is called, and what a picture's name ends
/// with.
const LANGUAGES: [(&str, &str, &str, &str); 2] = [
    ("en-GB", "en", "Leave", ""),
    ("de-DE", "de", "Verlassen", ".de"),
];

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_in_the_language_of_the_browser() {
    let _places = places(2).await;
    let packages = packages().await;
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let (host, id, link) = meeting(&client).await;
    let mut readers = Vec::new();
    for ((locale, language, leave, end), name) in LANGUAGES.into_iter().zip(["Grace", "Hans"]) {
        let desk = Desk {
            locale: Some(locale),
            ..Desk::default()
        };
        let mut reader = Person::at(&packages, &desk);
        reader.join_listening(&link, name, "agree").await;
        assert_eq!(reader.read("html", "return element.lang").await, language);
        assert_eq!(reader.texts("#leave").await, [leave]);
        readers.push((reader, end));
    }
    let stop = CancellationToken::new();
    for (name, status) in [
        ("David", "accepted"),
        ("Emma", "accepted"),
        ("Frank", "declined"),
    ] {
        let email = format!("{name}@example.org");
        let user = client.create_user(&email, name).await.expect("a user");
        let joined = client.join(&id, &user).await.expect("joins");
        client
            .consent(&joined.consent_token, &id, "recording_ai", status)
            .await
            .expect("answers");
        voice::send(&client, &id, &joined, name, stop.clone()).await;
    }
    for (reader, end) in &mut readers {
        for name in ["David", "Emma"] {
            voice::until_read(reader, name, RIGHT).await;
        }
        reader.look(&format!("room{end}")).await;
    }
    client.end(&id).await.expect("ends");
    stop.cancel();
    let deadline = Instant::now() + READY_MAX;
    client
        .wait_recordings_ready(&id, deadline)
        .await
        .expect("ready");
    client
        .wait_transcript_complete(&id, deadline)
        .await
        .expect("complete");
    for (mut reader, end) in readers {
        reader.goto(&session(&client, &host).await).await;
        reader.click("button").await;
        reader.click("hansard-meeting-list li a").await;
        reader.plays().await;
        reader.click("#play").await;
        reader.fill("input[type=search]", "production").await;
        reader.wait(".hit.here").await;
        let marked = reader.texts(".here").await;
        assert_eq!(marked, ["production"]);
        reader.look(&format!("player{end}")).await;
        reader.leave().await;
    }
    server.terminate();
}
