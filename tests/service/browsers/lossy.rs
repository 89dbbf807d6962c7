//! A network that loses packets on the way to the server: a voice comes nearly whole, because what
//! does not come is asked for once more.

use super::{
    meeting,
    person::{Person, READY_MAX, places},
    relay::{self, Relay},
};
use crate::{
    browser::{RATE, packages, wav},
    support::{Scratch, eventually},
};
use hansard_client::{rest::Client, tone};
use std::time::Duration;

const SPEECH: Duration = Duration::from_secs(300);
/// One in twenty.
const LOSS_PERCENT: u64 = 5;
/// Some ten seconds of a voice.
const LOST_MIN: u64 = 30;

/// Loses packets until there are enough, and what is missing of the only voice for good, or came too
/// late to be kept, is a small part of them.
pub async fn is_filled_in(client: &Client, meeting: &str, relay: &Relay) {
    let missing = async || -> u64 {
        let streams = format!("/v1/meetings/{meeting}/streams");
        let streams = client.list(&streams).await.expect("lists");
        let of = streams.iter().map(|stream| {
            let late = stream["dropped"]["late"].as_u64().unwrap_or(0);
            stream["lost"].as_u64().unwrap_or(0) + late
        });
        of.sum()
    };
    let before = missing().await;
    relay.lose(LOSS_PERCENT);
    let came = async || {
        let (missing, lost) = (missing().await.saturating_sub(before), relay.lost());
        if lost >= LOST_MIN {
            println!("{lost} were lost, {missing} are missing");
        }
        lost >= LOST_MIN && missing * 5 <= lost
    };
    eventually("most of what is lost comes after all", READY_MAX, came).await;
    relay.lose(0);
    eventually("it has come", READY_MAX, came).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_of_a_browser_that_is_lost_is_asked_for_once_more() {
    let _place = places(1).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let (pages, media) = (Relay::new(), Relay::new());
    let (server, own) = relay::behind(&pages, &media, &data).await;
    let client = Client::new(&own, server.key()).expect("the address is well-formed");
    let (_, id, link) = meeting(&client).await;
    let microphone = scratch.path().join("ana.wav");
    wav(&microphone, &tone::sine(500.0, 0.3, SPEECH, RATE));
    let mut ana = Person::start(&packages, Some(&microphone));
    ana.join(&link, Some("Ana"), "agree").await;
    ana.click("button.primary").await;
    ana.wait("#leave").await;
    eventually("she is recorded", READY_MAX, async || {
        let recordings = client.recordings(&id).await.expect("lists");
        recordings.iter().any(|recording| recording.kind == "track")
    })
    .await;
    is_filled_in(&client, &id, &media).await;
    ana.leave().await;
    server.terminate();
}
