//! Withdrawing by one click, again and again: what is kept ends with the click, also where the
//! server cannot be told of it for a while.

use super::{
    KEPT_MAX_MS, hosted, link,
    person::{Person, READY_MAX, ROOM, places},
    relay::{self, Relay},
};
use crate::{
    browser::{RATE, packages, wav},
    support::{Scratch, server::Server},
};
use chrono::{DateTime, Utc};
use hansard_client::{
    rest::{Client, Recording},
    tone,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const TIMES: usize = 20;
/// The microphone's tone, again and again.
const TONE: Duration = Duration::from_secs(60);
/// Packets of 20 ms that are recorded before a click.
const PACKETS: u64 = 150;
/// For so long the server does not know of a withdrawal: much more than may be kept. While the
/// microphone is away Chromium's counter stands still, which is clear at once after a pause of two
/// seconds.
const UNKNOWN: Duration = Duration::from_millis(2_500);
/// Once it is so long that the page has asked more than once.
const UNKNOWN_LONG: Duration = Duration::from_millis(6_000);
/// A tone is louder than this, and silence is not.
const AUDIBLE: f64 = 0.02;
/// The length over which that is looked at.
const WINDOW_MS: i64 = 10;
/// Sound is there up to this long before a click. After a shorter pause it may have been made later
/// than its place by twice that pause, and the withdrawal takes so much more.
const BEFORE_MS: i64 = 4_000;

/// From then on: when the button was clicked, by the clock of this machine, and how much later the page
/// got to it.
const NOTE_CLICKS: &str = "window.clicks = [];
    window.addEventListener('click', (event) => {
        if (event.composedPath().some(({ id }) => id === 'withdraw')) {
            const at = performance.timeOrigin + event.timeStamp;
            window.clicks.push([at, performance.now() - event.timeStamp].map(Math.round));
        }
    }, { capture: true })";

/// What the page sends, for whoever asks why nothing came.
const SENDS: &str = "const { room } = element;
    const { enabled, muted, readyState } = room.microphone;
    const { withdrawing, media, connection } = room;
    return { enabled, muted, readyState, withdrawing, media, connection, text: element.shadowRoot.textContent }";

/// What the gate turned away, so far.
async fn refused(server: &Server) -> BTreeSet<String> {
    let metrics = reqwest::get(format!("{}/metrics", server.ops)).await;
    let metrics = metrics.expect("the metrics").text().await.expect("text");
    let lines = metrics.lines().map(str::to_owned);
    lines
        .filter(|line| line.contains("reason=\"no_consent\""))
        .collect()
}

/// Waits until so many packets came and none of them was turned away.
async fn is_recorded(client: &Client, server: &Server, id: &str, ana: &mut Person) {
    let path = format!("/v1/meetings/{id}/streams");
    let begun = Instant::now();
    let mut before = (0, BTreeSet::new());
    loop {
        let streams = client.list(&path).await.expect("lists");
        let open = streams.iter().find(|stream| stream["state"] == "open");
        let packets = open.and_then(|stream| stream["packets"].as_u64());
        let now = (packets.unwrap_or(0), refused(server).await);
        if before.1 != now.1 || before.0 == 0 {
            before = now;
        } else if now.0 > before.0 + PACKETS {
            return;
        }
        if begun.elapsed() > READY_MAX {
            let page = ana.read(ROOM, SENDS).await;
            panic!("{page} {before:?} {streams:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The end of the last sound between two times of the meeting.
fn last_sound(recording: &Recording, samples: &[f32], from_ms: i64, to_ms: i64) -> Option<i64> {
    let begin = recording.start_ms.expect("it is ready");
    let at = |ms: i64| {
        let samples_in = (ms - begin).max(0) * i64::from(RATE) / 1_000;
        (samples_in as usize).min(samples.len())
    };
    let windows = (from_ms / WINDOW_MS..to_ms / WINDOW_MS).rev();
    windows
        .map(|n| (n * WINDOW_MS, (n + 1) * WINDOW_MS))
        .find(|(from, to)| tone::rms(&samples[at(*from)..at(*to)]) > AUDIBLE)
        .map(|(_, to)| to)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_ends_with_the_click() {
    let _place = places(1).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let (pages, media) = (Relay::new(), Relay::new());
    let (server, own) = relay::behind(&pages, &media, &data).await;
    let client = Client::new(&own, server.key()).expect("the address is well-formed");
    let (_, id) = hosted(&client, json!({"aiEnabled": false})).await;
    let link = link(&client, &id).await;
    let microphone = scratch.path().join("ana.wav");
    wav(&microphone, &tone::sine(500.0, 0.3, TONE, RATE));
    let mut ana = Person::start(&packages, Some(&microphone));
    ana.join(&link, Some("Ana"), "agree").await;
    // A steady tone is noise to what makes a voice clearer.
    ana.check("#original").await;
    ana.wait("hansard-microphone-choice .meter").await;
    ana.click("button.primary").await;
    ana.wait("#withdraw").await;
    ana.click("#consent").await;
    ana.read(ROOM, NOTE_CLICKS).await;
    for n in 0..TIMES {
        is_recorded(&client, &server, &id, &mut ana).await;
        // Her sound goes on through another way than what she says about it.
        let is_away = !n.is_multiple_of(2);
        pages.set(!is_away);
        ana.click("#withdraw").await;
        if is_away {
            ana.wait("text=you send no sound until").await;
            tokio::time::sleep(if n == 1 { UNKNOWN_LONG } else { UNKNOWN }).await;
            pages.set(true);
        }
        ana.gone("#withdraw").await;
        // At once, while what the page said by other ways may still be on its way.
        ana.click("hansard-consent-panel button:has-text('Agree')")
            .await;
        ana.wait("#withdraw").await;
    }
    let clicks = ana.read(ROOM, "return window.clicks").await;
    let clicks: Vec<(i64, i64)> = serde_json::from_value(clicks).expect("times");
    assert_eq!(clicks.len(), TIMES);
    let ended = client.end(&id).await.expect("ends");
    ana.wait("text=The meeting has ended").await;
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + READY_MAX)
        .await
        .expect("ready");
    let log = client.consents(&id).await.expect("the log");
    let time =
        |value: &Value| -> DateTime<Utc> { serde_json::from_value(value.clone()).expect("a time") };
    let start_ms = time(&ended["startTime"]).timestamp_millis();
    let granted: Vec<i64> = log
        .iter()
        .filter(|entry| entry["status"] == "accepted")
        .map(|entry| time(&entry["timestamp"]).timestamp_millis() - start_ms)
        .collect();
    let said: Vec<_> = log.iter().map(|entry| entry["status"].as_str()).collect();
    let in_turn = [Some("accepted"), Some("withdrawn")].into_iter().cycle();
    let in_turn: Vec<_> = in_turn.take(2 * TIMES + 1).collect();
    assert_eq!(said, in_turn, "each once, in the order of the clicks");

    assert_eq!(recordings.len(), 2, "a track and the mix: {recordings:?}");
    for recording in &recordings {
        let path = scratch.path().join(&recording.id);
        let bytes = client.download(&recording.id).await.expect("downloads");
        std::fs::write(&path, bytes).expect("there is room");
        let decoding = tokio::task::spawn_blocking(move || tone::decode(&path, RATE));
        let samples = decoding.await.expect("no panic").expect("plays");
        let late: Vec<i64> = clicks
            .iter()
            .enumerate()
            .map(|(n, (click, _))| {
                let click = click - start_ms;
                let last = last_sound(recording, &samples, granted[n], granted[n + 1]);
                last.unwrap_or(0) - click
            })
            .collect();
        let kind = &recording.kind;
        println!("the last sound of the {kind} is so many ms behind the click: {late:?}");
        let mut each = late.iter().zip(&clicks);
        assert!(
            each.all(|(late, (_, busy))| (-BEFORE_MS..=KEPT_MAX_MS + busy).contains(late)),
            "{kind}: {late:?}, {clicks:?}"
        );
    }
    ana.leave().await;
    server.terminate();
}
