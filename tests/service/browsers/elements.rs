//! The elements in pages of others: the examples of `docs/`, from another site than the server's.

use super::{
    hosted,
    person::{Desk, Person, READY_MAX, ROOM, places},
    site::Site,
    voice::{self, Tail},
};
use crate::{
    browser::packages,
    support::{Scratch, server::Server},
};
use hansard_client::rest::{Client, Joined};
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The script, and a sentence or more behind it.
const VOICE: Duration = Duration::from_secs(70);
/// Of the words that are read, so many in a hundred are those that were said.
const RIGHT: usize = 80;
/// Meetings in `docs/`: one that is live, and one that is over.
const LIVE: &str = "0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10";
const OVER: &str = "0193a5c2-6a31-7f04-8b1d-90c2d4e6f813";

/// From then on: what an element tells.
fn listen(event: &str) -> String {
    format!(
        "window.told = []; element.addEventListener({event:?}, ({{ detail }}) => window.told.push(detail))"
    )
}

/// Somebody for whom the page's own server has joined.
async fn joined(client: &Client, meeting: &str, name: &str) -> Joined {
    let email = format!("{}@example.org", name.to_lowercase());
    let user = client.create_user(&email, name).await.expect("a user");
    client.join(meeting, &user).await.expect("joins")
}

/// What the page's own server asks for.
async fn token(client: &Client, meeting: &str, purpose: &str) -> String {
    let body = json!({"use": purpose, "ttlSeconds": 600});
    let path = format!("/v1/meetings/{meeting}/tokens");
    let made = client.post(&path, body).await.expect("a token");
    made["token"].as_str().expect("text").to_owned()
}

/// Agrees to both, each by its button.
async fn agree(person: &mut Person) {
    for (n, purpose) in ["Sound recording", "Transcript and captions"]
        .into_iter()
        .enumerate()
    {
        let button = |what: &str| format!("button[aria-label='{what}: {purpose}']");
        person.click(&button("Agree")).await;
        person.wait(&button("Withdraw")).await;
        let agreed = person.texts(".yes").await.len();
        assert_eq!(agreed, n + 1);
    }
}

/// `<hansard-room>`: David agrees and talks; gives the meeting.
async fn talks(site: &Site, server: &Server, packages: &Path, voice: &Desk<'_>) -> String {
    let client = server.client();
    let (_, id) = hosted(&client, json!({"language": "en"})).await;
    let david = joined(&client, &id, "David").await;
    site.show(
        "elements.html",
        server,
        &[(LIVE, &id), ("a join token", &david.token)],
    );
    let mut person = Person::at(packages, voice);
    person
        .goto(&format!("{}/elements.html", site.origin()))
        .await;
    person.wait("#leave").await;
    // Whatever the page's language is: the element's texts are in the browser's.
    let language = person.read("hansard-room", "return element.lang").await;
    assert_eq!(language, "en");
    person.click("#consent").await;
    agree(&mut person).await;
    person.click("#mute").await;
    voice::until_read(&mut person, "David", RIGHT).await;
    person.look("embedded-room").await;
    shortcut(&mut person).await;
    person.read("hansard-room", &listen("ended")).await;
    client.end(&id).await.expect("ends");
    let told = "return window.told.map(({ end }) => end)";
    person
        .until("body", told, |told| *told == json!(["ended"]))
        .await;
    let deadline = Instant::now() + READY_MAX;
    client
        .wait_recordings_ready(&id, deadline)
        .await
        .expect("ready");
    client
        .wait_transcript_complete(&id, deadline)
        .await
        .expect("complete");
    person.leave().await;
    id
}

/// A letter mutes while the focus is in the element; elsewhere it is the page's own.
async fn shortcut(person: &mut Person) {
    let muted = "return element.room.muted";
    let press = json!({"step": "press", "key": "m"});
    for (at, is_muted) in [("body", false), (ROOM, true), ("body", true), (ROOM, false)] {
        let focus = match at {
            "body" => "document.activeElement.blur()",
            _ => "element.shadowRoot.querySelector('#leave').focus()",
        };
        person.read(at, focus).await;
        person.step(press.clone()).await;
        assert_eq!(person.read(ROOM, muted).await, is_muted, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elements_work_in_pages_of_another_site() {
    let _place = places(1).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let site = Site::start().await;
    let server = Server::start(
        "serve",
        data.path(),
        &["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"],
        &[("HANSARD_ORIGINS", &site.origin())],
    );
    let client = server.client();
    let path = scratch.path().join("david.wav");
    voice::write(&path, "David", Tail::Sentences, VOICE).await;
    let desk = Desk {
        voice: Some(&path),
        once: true,
        ..Desk::default()
    };
    let over = talks(&site, &server, &packages, &desk).await;

    // Emma speaks by RTP: her consent is a page's, and so is what is read of her.
    let host = client
        .create_user("bo@example.org", "Bo")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&host, json!({"language": "en"}))
        .await;
    let id = meeting.expect("a meeting")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let emma = joined(&client, &id, "Emma").await;
    site.show(
        "consent.html",
        &server,
        &[(LIVE, &id), ("the consentToken", &emma.consent_token)],
    );
    let mut person = Person::start(&packages, None);
    person
        .goto(&format!("{}/consent.html", site.origin()))
        .await;
    agree(&mut person).await;
    person.read("hansard-consent", &listen("consent")).await;
    person.look("embedded-consent").await;

    let (observe, play) = (
        token(&client, &id, "observe").await,
        token(&client, &over, "play").await,
    );
    let filled = [
        (LIVE, id.as_str()),
        (OVER, &over),
        ("a token to observe", &observe),
        ("a token to play", &play),
    ];
    site.show("captions.html", &server, &filled);
    let captions = format!("{}/captions.html", site.origin());
    person.step(json!({"step": "tab", "url": captions})).await;
    person.wait("hansard-captions [role=log]").await;
    person.read("hansard-captions", &listen("caption")).await;
    let stop = CancellationToken::new();
    voice::send(&client, &id, &emma, "Emma", stop.clone()).await;
    voice::until_read(&mut person, "Emma", RIGHT).await;
    let told = person
        .read(
            "body",
            "return window.told.map(({ participant }) => participant.displayName)",
        )
        .await;
    let told = told.as_array().expect("a list");
    assert!(
        !told.is_empty() && told.iter().all(|name| name == "Emma"),
        "{told:?}"
    );
    person.plays().await;
    person.look("embedded-captions").await;
    // A key in a page is a mistake, however well it would work.
    let key = format!("element.token = '{}'", server.key());
    person.read("hansard-player", &key).await;
    person.wait("text=This is an API key").await;
    assert_eq!(person.texts("[data-ms]").await, Vec::<String>::new());
    person.step(json!({"step": "close"})).await;

    person
        .click("button[aria-label='Withdraw: Sound recording']")
        .await;
    person
        .until("body", "return window.told", |told| {
            *told == json!([{"purposes": ["recording"], "status": "withdrawn"}])
        })
        .await;
    let people = client.participants(&id).await.expect("people");
    let consent = people
        .iter()
        .find(|person| person["id"] == emma.participant_id.as_str())
        .map(|person| &person["consent"]);
    let wanted: Value = json!({"recording": "withdrawn", "transcription": "accepted"});
    assert_eq!(consent, Some(&wanted));
    stop.cancel();

    // Who was not named is told that it does not work, and gets nothing.
    person
        .goto(&format!("{}/captions.html", site.unknown_origin()))
        .await;
    for element in ["hansard-captions", "hansard-player"] {
        person.wait(&format!("{element} [role=alert]")).await;
    }
    assert_eq!(person.texts("[data-ms]").await, Vec::<String>::new());
    client.end(&id).await.expect("ends");
    person.leave().await;
    server.terminate();
}
