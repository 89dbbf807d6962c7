//! A network that is lost, for the page's socket and its media alike: for ten seconds, and for
//! longer than somebody counts as present.

use super::{
    meeting,
    person::{Person, READY_MAX, ROOM, places},
    relay::{self, LOOPBACK, Relay},
};
use crate::{
    browser::{RATE, packages, wav},
    support::{Scratch, eventually},
};
use hansard_client::{
    rest::{Client, audio_stream},
    sender::{Sender, SenderConfig},
    signal::{Event, Signal},
    tone::{self, OpusSettings},
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// So long somebody counts as present of whom nothing is heard.
const PRESENT_MS: i64 = 30_000;
/// More than a browser keeps of what it sent.
const REPEATED_MS: i64 = 1_500;
/// Shorter than the 30 s for which somebody counts as present.
const LOST: Duration = Duration::from_secs(10);
const SPEECH: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_was_lost_is_told_and_for_ten_seconds_parts_nobody() {
    let _place = places(1).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let relay = Relay::new();
    let (server, own) = relay::behind(&relay, &relay, &data).await;
    let client = Client::new(&own, server.key()).expect("the address is well-formed");
    let (_, id, link) = meeting(&client).await;
    let mut observer = Signal::observe(&client, &id, Some(0))
        .await
        .expect("observes");
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let told = events.clone();
    let observing = tokio::spawn(async move {
        while let Some(event) = observer.next().await {
            told.lock().expect("no holder panics").push(event);
        }
    });

    // Bob's network is another one.
    let bob = client
        .create_user("bob@example.org", "Bob")
        .await
        .expect("a user");
    let bob = client.join(&id, &bob).await.expect("joins").participant_id;
    let sender = Sender::bind(LOOPBACK, SenderConfig::opus("bob"))
        .await
        .expect("a socket");
    let request = audio_stream(&bob, "opus", sender.config(), None, None);
    let stream = client.create_stream(&id, request).await.expect("a port");
    let to = SocketAddr::new(LOOPBACK, stream.port);
    let encoding = tokio::task::spawn_blocking(|| {
        let hum = tone::sine(800.0, 0.3, SPEECH, RATE);
        tone::opus(&hum, OpusSettings::default()).expect("encodes")
    });
    let frames = encoding.await.expect("no panic");
    let speaks = CancellationToken::new();
    let stop = speaks.clone();
    let speaking =
        tokio::spawn(async move { sender.run(to, &frames, Instant::now(), &stop).await });

    let microphone = scratch.path().join("ana.wav");
    wav(&microphone, &tone::sine(500.0, 0.3, SPEECH, RATE));
    let mut ana = Person::start(&packages, Some(&microphone));
    ana.join(&link, Some("Ana"), "agree").await;
    ana.click("button.primary").await;
    ana.wait("#leave").await;
    ana.hears(&["Bob"]).await;
    eventually("she is recorded", READY_MAX, async || {
        let recordings = client.recordings(&id).await.expect("lists");
        recordings.iter().any(|recording| recording.kind == "track")
    })
    .await;
    let recordings = client.recordings(&id).await.expect("lists");
    let before = recordings
        .iter()
        .find(|recording| recording.kind == "track")
        .expect("it was there");

    relay.set(false);
    let lost = Instant::now();
    ana.until(ROOM, "return element.room.media", |state| {
        state != "connected"
    })
    .await;
    ana.wait("text=Connect").await;
    tokio::time::sleep_until((lost + LOST).into()).await;
    relay.set(true);
    let back = Instant::now();
    ana.hears(&["Bob"]).await;
    ana.until(
        ROOM,
        "return [element.room.media, element.room.connection]",
        |state| *state == serde_json::json!(["connected", "open"]),
    )
    .await;
    println!("back after {:?}", back.elapsed());
    // Her voice arrives as well.
    let told = |kind: &str| {
        let events = events.lock().expect("no holder panics");
        events.iter().filter(|event| event.kind() == kind).count()
    };
    let streams = format!("/v1/meetings/{id}/streams");
    let received = async || -> u64 {
        let streams = client.list(&streams).await.expect("lists");
        let own = streams
            .iter()
            .filter(|stream| stream["participantId"] != bob.as_str());
        own.filter_map(|stream| stream["packets"].as_u64()).sum()
    };
    let arrives = async || {
        let heard = received().await;
        eventually("her voice arrives", READY_MAX, async || {
            received().await > heard + 100
        })
        .await;
    };
    arrives().await;
    assert_eq!(told("participant_left"), 0);
    assert_eq!(client.participants(&id).await.expect("people").len(), 2);

    relay.set(false);
    eventually("she has left", READY_MAX, async || {
        told("participant_left") > 0
    })
    .await;
    relay.set(true);
    ana.wait("text=You come back as Ana").await;
    ana.check("input[value=agree]").await;
    ana.click("button.primary").await;
    ana.wait("#leave").await;
    ana.hears(&["Bob"]).await;
    arrives().await;

    client.end(&id).await.expect("ends");
    ana.wait("text=The meeting has ended").await;
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + READY_MAX)
        .await
        .expect("ready");
    let tracks: Vec<_> = recordings
        .iter()
        .filter(|recording| recording.kind == "track")
        .collect();
    assert_eq!(tracks.len(), 1, "{tracks:?}");
    assert_eq!(tracks[0].id, before.id, "the same recording went on");
    let gaps = &tracks[0].gaps;
    println!("{gaps:?}");
    let missing = |reason: &str| -> Vec<i64> {
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for gap in gaps.iter().filter(|gap| gap.reason == reason) {
            match spans.last_mut() {
                // Between them lies what the sender still had, and repeated when it was asked.
                Some((_, end)) if gap.start_ms - *end < REPEATED_MS => *end = gap.end_ms,
                _ => spans.push((gap.start_ms, gap.end_ms)),
            }
        }
        spans.iter().map(|(start, end)| end - start).collect()
    };
    let (lost, left) = (missing("lost"), missing("left"));
    let short = LOST.as_millis() as i64 * 9 / 10;
    assert!(
        lost.iter().any(|ms| (short..PRESENT_MS).contains(ms)),
        "{gaps:?}"
    );
    // The second time she was missed before she counted as gone.
    assert!(lost.iter().any(|ms| *ms >= PRESENT_MS * 9 / 10), "{gaps:?}");
    assert_eq!((left.len(), missing("muted")), (1, vec![]), "{gaps:?}");
    speaks.cancel();
    speaking.await.expect("no panic").expect("it can send");
    observing.abort();
    ana.leave().await;
    server.terminate();
}
