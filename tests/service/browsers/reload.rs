//! A page that is loaded again: nobody is heard after it who was not before.

use super::{
    hosted, link,
    person::{Person, READY_MAX, ROOM, places},
};
use crate::{
    browser::{RATE, packages, wav},
    support::{Scratch, eventually, server::Server},
};
use hansard_client::tone;
use serde_json::json;
use std::time::Duration;

/// The microphone's tone, again and again.
const TONE: Duration = Duration::from_secs(10);
/// What is sent, and whether the browser was told not to.
const MUTED: &str = "return [element.room.muted, element.room.microphone.enabled]";
/// From here on nothing that the page says of consent leaves it.
const GAGGED: &str = "const { fetch } = window;
    window.fetch = (to, more) => String(to).includes('/consent') ? new Promise(() => {}) : fetch(to, more);
    element.room.socket.ask = () => new Promise(() => {});";

#[tokio::test(flavor = "multi_thread")]
async fn who_was_silent_before_a_reload_is_silent_after_it() {
    let _place = places(1).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let server = Server::serve(data.path());
    let client = server.client();
    let (_, id) = hosted(&client, json!({"aiEnabled": false})).await;
    let link = link(&client, &id).await;
    let microphone = scratch.path().join("ana.wav");
    wav(&microphone, &tone::sine(500.0, 0.3, TONE, RATE));
    let mut ana = Person::start(&packages, Some(&microphone));
    ana.join(&link, Some("Ana"), "agree").await;
    ana.wait("hansard-microphone-choice .meter").await;
    ana.click("button.primary").await;
    ana.wait("#withdraw").await;

    ana.click("#mute").await;
    ana.until(ROOM, MUTED, |now| *now == json!([true, false]))
        .await;
    ana.step(json!({"step": "reload"})).await;
    ana.wait("#withdraw").await;
    assert_eq!(ana.read(ROOM, MUTED).await, json!([true, false]));
    ana.click("#mute").await;
    ana.until(ROOM, MUTED, |now| *now == json!([false, true]))
        .await;

    // The click came before the reload; the server hears of it behind it.
    ana.read(ROOM, GAGGED).await;
    ana.click("#withdraw").await;
    ana.wait("text=you send no sound until").await;
    ana.step(json!({"step": "reload"})).await;
    eventually("it is withdrawn", READY_MAX, async || {
        let people = client.participants(&id).await.expect("people");
        let ana = people.iter().find(|person| person["displayName"] == "Ana");
        ana.is_some_and(|ana| ana["consent"]["recording"] == "withdrawn")
    })
    .await;
    ana.gone("#withdraw").await;

    // A microphone that is pulled out is told, and another one is as near as before.
    let pulled = "element.room.microphone.dispatchEvent(new Event('ended'))";
    ana.read(ROOM, pulled).await;
    ana.wait("text=The microphone was disconnected").await;
    ana.click("#mute").await;
    ana.gone("text=The microphone was disconnected").await;
    ana.until(ROOM, MUTED, |now| *now == json!([false, true]))
        .await;
    ana.leave().await;
    server.terminate();
}
