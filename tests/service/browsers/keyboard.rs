//! A host without a mouse: from the session's button through a full room to the recording.

use super::{
    hosted,
    person::{Person, READY_MAX, ROOM, places},
    session,
};
use crate::{
    browser::packages,
    support::{Scratch, server::Server},
};
use hansard_client::{
    rest::Client,
    signal::{Entry, Signal},
};
use serde_json::json;
use std::time::Instant;
use tokio::task::JoinSet;

/// More than a page has to be reached.
const STEPS_MAX: usize = 60;
const OTHERS: [&str; 4] = ["Bob", "Carol", "David", "Emma"];

/// What has the focus, also within elements.
const FOCUSED: &str = "let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;";

impl Person {
    async fn press(&mut self, key: &str) {
        self.step(json!({"step": "press", "key": key})).await;
    }

    async fn has_focus(&mut self, selector: &str) -> bool {
        let script = format!("{FOCUSED} return at?.matches({selector:?}) ?? false");
        self.read("html", &script).await == true
    }

    /// Goes on, or back, by the key until this has the focus.
    async fn go_by(&mut self, key: &str, selector: &str) {
        for _ in 0..STEPS_MAX {
            if self.has_focus(selector).await {
                return;
            }
            self.press(key).await;
        }
        let at = format!("{FOCUSED} return at?.outerHTML");
        let at = self.read("html", &at).await;
        panic!("{key} does not reach {selector}: {at}");
    }

    async fn go_to(&mut self, selector: &str) {
        self.go_by("Tab", selector).await;
    }

    async fn go_back_to(&mut self, selector: &str) {
        self.go_by("Shift+Tab", selector).await;
    }

    async fn keeps_focus(&mut self, selector: &str) {
        let script = format!("{FOCUSED} return at?.matches({selector:?}) ?? false");
        self.until("html", &script, |has| *has == true).await;
    }

    async fn is_muted(&mut self) -> bool {
        self.read(ROOM, "return element.room.muted").await == true
    }
}

/// Others who are there, with nothing to say.
async fn others(client: &Client, meeting: &str) -> JoinSet<()> {
    let mut there = JoinSet::new();
    for name in OTHERS {
        let email = format!("{}@example.org", name.to_lowercase());
        let user = client.create_user(&email, name).await.expect("a user");
        let joined = client.join(meeting, &user).await.expect("joins");
        let entry = Entry::Token(joined.token);
        let signal = Signal::connect(&client.signal_url(), &entry, None).await;
        let mut signal = signal.expect("joins");
        there.spawn(async move { while signal.next().await.is_some() {} });
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_needs_no_mouse_from_the_list_to_the_recording() {
    let _place = places(1).await;
    let packages = packages().await;
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let (host, id) = hosted(&client, json!({"language": "en"})).await;
    let others = others(&client, &id).await;
    let mut ana = Person::start(&packages, None);
    ana.goto(&session(&client, &host).await).await;
    ana.go_to("button").await;
    ana.press("Enter").await;
    ana.wait("hansard-meeting-list li").await;
    ana.go_to(&format!("a[href$='/m/{id}']")).await;
    ana.press("Enter").await;

    // Through the door.
    ana.wait("hansard-microphone-choice .meter").await;
    ana.go_to("#camera").await;
    ana.press("Enter").await;
    ana.wait("hansard-camera-choice video").await;
    ana.look("door").await;
    for purpose in ["recording", "transcription"] {
        ana.go_to("input[value=agree]").await;
        ana.press("Space").await;
        let script = format!("{FOCUSED} return [at.checked, at.getRootNode().host.purpose]");
        let chosen = ana.read("html", &script).await;
        assert_eq!(chosen, json!([true, purpose]));
        ana.press("Tab").await;
    }
    ana.go_to("button.primary").await;
    ana.press("Enter").await;
    ana.wait("#leave").await;
    ana.keeps_focus("#mute").await;
    ana.wait("hansard-tile[own] video").await;

    a_full_room(&mut ana).await;
    ana.press("m").await;
    assert!(ana.is_muted().await);
    ana.press("m").await;
    // A click between the buttons leaves the keys with the room.
    ana.click("#recording-state").await;
    ana.press("m").await;
    assert!(ana.is_muted().await);
    ana.press("m").await;
    assert!(!ana.is_muted().await);
    // Where the focus is nowhere in it, a letter is none of its keys.
    ana.read("html", "document.activeElement.blur()").await;
    ana.press("m").await;
    assert!(!ana.is_muted().await);

    consents(&mut ana).await;
    hosts(&mut ana).await;
    ana.keeps_focus("h1").await;
    drop(others);
    plays(&client, &mut ana, &id).await;
    ana.leave().await;
    server.terminate();
}

/// Five people are more than fit: what is scrolled can be scrolled by keys.
async fn a_full_room(ana: &mut Person) {
    let tiles = "return element.shadowRoot.querySelectorAll('hansard-tile').length";
    ana.until(ROOM, tiles, |tiles| *tiles == 1 + OTHERS.len())
        .await;
    let hidden = "return element.scrollHeight - element.clientHeight";
    let hidden = ana.read(".people", hidden).await;
    assert!(hidden.as_i64() > Some(0), "{hidden} pixels are scrolled");
    ana.look("five").await;
    ana.go_back_to(".people").await;
    ana.press("End").await;
    ana.until(".people", "return element.scrollTop", |top| {
        top.as_f64() > Some(0.0)
    })
    .await;
}

/// Withdrawn and agreed anew, and the focus stays where one goes on.
async fn consents(ana: &mut Person) {
    ana.go_to("#withdraw").await;
    ana.press("Enter").await;
    ana.gone("#withdraw").await;
    ana.keeps_focus("#consent").await;
    ana.press("Enter").await;
    ana.go_back_to("button[aria-label='Agree: Sound recording']")
        .await;
    ana.press("Enter").await;
    ana.keeps_focus("button[aria-label='Withdraw: Sound recording']")
        .await;
    ana.go_to("#consent").await;
    ana.press("Enter").await;
}

/// What only a host can do is asked about, and the focus comes back from the question.
async fn hosts(ana: &mut Person) {
    ana.go_to("#end").await;
    ana.press("Enter").await;
    ana.keeps_focus("#yes").await;
    ana.press("Escape").await;
    ana.keeps_focus("#end").await;
    ana.go_back_to("button[aria-label='Remove Emma']").await;
    ana.press("Enter").await;
    ana.keeps_focus("#yes").await;
    ana.press("Enter").await;
    ana.gone("hansard-tile:has-text('Emma')").await;
    ana.keeps_focus(".people").await;
    ana.go_to("#end").await;
    ana.press("Enter").await;
    ana.keeps_focus("#yes").await;
    ana.press("Enter").await;
    ana.wait("text=The meeting has ended").await;
}

/// Plays, goes on in it, and deletes it, after a second thought.
async fn plays(client: &Client, ana: &mut Person, id: &str) {
    let deadline = Instant::now() + READY_MAX;
    client
        .wait_recordings_ready(id, deadline)
        .await
        .expect("ready");
    ana.goto(&format!("{}/host/meetings/{id}", client.base_url()))
        .await;
    let length = "return element.duration";
    ana.until("video", length, |length| length.as_f64() > Some(1.0))
        .await;
    ana.go_to("#play").await;
    ana.press("Space").await;
    ana.until("video", "return element.currentTime", |now| {
        now.as_f64() > Some(0.0)
    })
    .await;
    ana.press("Space").await;
    ana.until("video", "return element.paused", |is| *is == true)
        .await;
    ana.go_to("input[type=range]").await;
    ana.press("ArrowRight").await;
    ana.until("video", "return element.currentTime", |now| {
        now.as_f64() >= Some(1.0)
    })
    .await;
    ana.press("Home").await;
    ana.until("video", "return element.currentTime", |now| *now == 0.0)
        .await;
    ana.go_to("#delete[aria-label='Delete: Everybody']").await;
    ana.press("Enter").await;
    ana.keeps_focus("#sure").await;
    ana.go_to("#sure + button").await;
    ana.press("Enter").await;
    ana.keeps_focus("#delete[aria-label='Delete: Everybody']")
        .await;
    ana.press("Enter").await;
    ana.keeps_focus("#sure").await;
    ana.press("Enter").await;
    ana.keeps_focus(".what").await;
}
