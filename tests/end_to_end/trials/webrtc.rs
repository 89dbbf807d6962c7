//! Participants by WebRTC: their sound goes the way of plain RTP, and nobody's who did not agree.

use super::{
    room::{Guest, Room, SOON, offer, serve, socket},
    site::{Site, speech, until_final},
    sound,
    support::{Scratch, eventually},
};
use hansard_client::{
    meeting::Meeting,
    peer::Peer,
    rest::Client,
    sender::Frame,
    signal::{Event, Signal},
    wer,
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A participant with a socket and a peer connection.
struct Browser {
    signal: Signal,
    peer: Peer,
    answer: Value,
}

impl Browser {
    async fn join(room: &Room, guest: &Guest) -> Self {
        let mut signal = socket(room, guest).await;
        let (peer, answer) = Self::connect(&mut signal).await;
        Self {
            signal,
            peer,
            answer,
        }
    }

    async fn connect(signal: &mut Signal) -> (Peer, Value) {
        let mut peer = Peer::bind(LOOPBACK).await.expect("a port");
        let sdp = peer.offer().expect("an offer");
        let answer = offer(signal, &json!({"sdp": sdp}), |_| {}).await;
        assert_eq!(answer.kind(), "answer", "{:?}", answer.value);
        peer.accept(answer.data()["sdp"].as_str().expect("text"))
            .expect("an answer");
        peer.connect(SOON).await.expect("connects");
        (peer, answer.data().clone())
    }

    /// Speaks in the background; gives itself back.
    fn speak(mut self, frames: Vec<Frame>) -> JoinHandle<Self> {
        tokio::spawn(async move {
            self.peer
                .speak(&frames, Instant::now(), &CancellationToken::new())
                .await
                .expect("connected");
            self
        })
    }
}

async fn streams(client: &Client, room: &Room) -> Vec<Value> {
    let listed = client
        .list(&format!("/v1/meetings/{}/streams", room.id))
        .await;
    listed.expect("lists")
}

/// Waits until it is written that the first stream was replaced by the second.
pub async fn until_replaced(room: &Room) {
    let states = [
        (json!("closed"), json!("replaced")),
        (json!("open"), Value::Null),
    ];
    eventually("the second has replaced the first", SOON, async || {
        let streams = streams(&room.client, room).await;
        let told = |stream: &Value| (stream["state"].clone(), stream["reason"].clone());
        streams.iter().map(told).eq(states.clone())
    })
    .await;
}

fn heard(events: &[Event], guest: &Guest) -> String {
    let finals = events.iter().filter(|event| {
        event.kind() == "transcript_update"
            && event.data()["final"] == true
            && event.data()["participant"]["id"] == guest.id.as_str()
    });
    finals
        .map(|event| event.data()["text"].as_str().expect("text").to_owned() + " ")
        .collect()
}

/// What David says in the span, as the script has it.
fn said(from_ms: i64, to_ms: i64) -> String {
    let set = Meeting::test_set("incident").expect("the set");
    let spoken = set.utterances.iter().filter(|utterance| {
        utterance.speaker == "David" && utterance.start_ms >= from_ms && utterance.end_ms <= to_ms
    });
    spoken
        .map(|utterance| format!("{} ", utterance.text))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_voice_from_a_peer_connection_to_a_caption_and_nothing_of_who_declined() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"language": "en"})).await;
    let (david, frank) = (
        room.guest_who("David", "accepted").await,
        room.guest_who("Frank", "declined").await,
    );
    let (speaker, other) = tokio::join!(Browser::join(&room, &david), Browser::join(&room, &frank));
    let track = &speaker.answer["tracks"][0];
    assert_eq!(track["kind"], "audio");
    assert_eq!(track["source"], "microphone");
    // Told once it is written.
    eventually("both streams are open", SOON, async || {
        let open = streams(&client, &room).await;
        open.len() == 2 && open.iter().all(|stream| stream["state"] == "open")
    })
    .await;
    for stream in streams(&client, &room).await {
        assert_eq!(stream["transport"], "webrtc");
        assert_eq!(stream["address"], Value::Null);
    }

    // Two sentences, and long enough for the last to be final.
    let (from, to) = (5_400, 15_300);
    let (speaking, silent) = (
        speaker.speak(speech("David", from, to)),
        other.speak(speech("Frank", 0, 9_000)),
    );
    let (speaker, other) = (
        speaking.await.expect("no panic"),
        silent.await.expect("no panic"),
    );
    until_final(&room, &david, 0).await;
    let left = room.end().await;
    drop((speaker, other));
    let (heard, said) = (
        heard(&room.events(), &david),
        said(from as i64 - 400, to as i64 + 400),
    );
    let errors = wer::compare(&said, &heard);
    assert!(
        errors.rate() <= 0.15,
        "{:.2} of {said:?} in {heard:?}",
        errors.rate()
    );
    assert_eq!(left.segments_of(&frank).len(), 0);
    assert!(left.track(&frank).is_none(), "he declined");
    let track = left.track(&david).expect("he agreed");
    assert_eq!(track.recording.gaps.len(), 0, "{:?}", track.recording);
    let frames = speech("David", from, to);
    let sent: Vec<u8> = frames
        .iter()
        .flat_map(|frame| frame.payload.to_vec())
        .collect();
    let (kept, sure) = (
        sound::kept_in(&track.bytes, &frames),
        sound::kept_in(&sent, &frames),
    );
    assert!(
        kept.len() + 2 >= sure.len() && sure.len() > 100,
        "{} of {} packets are in the file as they came",
        kept.len(),
        sure.len()
    );
    let his = sound::kept(data.path(), &room.id, &speech("Frank", 0, 9_000)).await;
    assert!(his.is_empty(), "{his:?}");
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_cannot_be_taken_is_answered_in_words_and_harms_nobody() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let (ana, bob) = (
        room.guest_who("Ana", "accepted").await,
        room.guest_who("Bob", "accepted").await,
    );
    let speaker = Browser::join(&room, &ana).await;
    let frames = sound::hum(500.0, 4_000, &[]);
    let speaking = speaker.speak(frames);

    let mut signal = socket(&room, &bob).await;
    let good = Peer::bind(LOOPBACK)
        .await
        .expect("a port")
        .offer()
        .expect("an offer");
    let hundred: String = (0..100)
        .map(|n| format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:x{n}\r\na=sendrecv\r\n"))
        .collect();
    let session = good[..good.find("m=audio").expect("a section")].to_owned();
    for (data, says) in [
        (json!({"sdp": ""}), "v=0"),
        (json!({"sdp": "\u{0}".repeat(5_000)}), "v=0"),
        (json!({"sdp": format!("{session}{hundred}")}), "at most 64"),
        (
            json!({"sdp": good.replace("a=fingerprint", "a=x")}),
            "fingerprint",
        ),
        (json!({"sdp": good.replace("a=ice-pwd", "a=x")}), "sdp"),
        (
            json!({"sdp": good, "tracks": [{"mid": "nope", "source": "screen"}]}),
            "no section",
        ),
        (json!({"sdp": good, "tracks": 3}), "data"),
    ] {
        let answer = offer(&mut signal, &data, |_| {}).await;
        assert_eq!(answer.kind(), "error", "{:?}", answer.value);
        assert_eq!(answer.data()["code"], "invalid", "{:?}", answer.value);
        let message = answer.data()["message"].as_str().expect("text");
        assert!(message.contains(says), "{says}: {message}");
    }
    let id = signal
        .say("answer", json!({"sdp": good, "id": "o1"}))
        .await
        .expect("open");
    let stale = signal
        .wait_for(Instant::now() + SOON, |event| {
            event.value["re"] == id.as_str()
        })
        .await
        .expect("an answer");
    assert_eq!(stale.data()["code"], "stale_offer");
    // A thousand candidates, and the end of them, as fast as the limit lets.
    for n in 0..60 {
        let candidate = format!("candidate:{n} 1 udp 1 192.0.2.1 {} typ host", 1_000 + n);
        let data = json!({"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": null});
        signal.say("ice_candidate", data).await.expect("open");
    }
    signal
        .say("ice_candidate", Value::Null)
        .await
        .expect("open");
    // Still of use.
    let (mut peer, _) = Browser::connect(&mut signal).await;
    peer.speak(
        &sound::hum(800.0, 2_000, &[]),
        Instant::now(),
        &CancellationToken::new(),
    )
    .await
    .expect("connected");
    speaking.await.expect("no panic");
    let left = room.end().await;
    for (guest, hz) in [(&ana, 500.0), (&bob, 800.0)] {
        let track = left.track(guest).expect("both agreed");
        let from = track.recording.start_ms.expect("it is ready");
        sound::assert_heard(&track.sound, hz, from + 200, from + 1_500, &guest.name);
    }
    server.terminate();
}

/// A new connection takes the place of the one before, as after a reload of the page; one that is
/// closed ends its stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_goes_on_with_the_same_recording() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let first = Browser::join(&room, &ana).await;
    let mut first = first
        .speak(sound::hum(500.0, 2_000, &[]))
        .await
        .expect("no panic");
    // Without a goodbye, as when its machine fell asleep.
    let (second, _) = Browser::connect(&mut first.signal).await;
    let second = Browser {
        peer: second,
        ..first
    };
    let second = second
        .speak(sound::hum(500.0, 2_000, &[]))
        .await
        .expect("no panic");
    until_replaced(&room).await;
    second.peer.close().await.expect("it was connected");
    eventually("its stream ends", SOON, async || {
        streams(&client, &room).await[1]["reason"] == "bye"
    })
    .await;
    let left = room.end().await;
    let tracks: Vec<_> = left
        .recordings
        .iter()
        .filter(|file| file.recording.kind == "track")
        .collect();
    assert_eq!(tracks.len(), 1, "one recording of both connections");
    server.terminate();
}

/// The process dies: the browser is asked for a new connection, and the same recording goes on.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_browser_is_asked_again_and_the_recording_is_the_same() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let browser = Browser::join(&room, &ana).await;
    let browser = browser
        .speak(sound::hum(500.0, 6_000, &[]))
        .await
        .expect("no panic");
    let before = client.recordings(&room.id).await.expect("lists");
    let resume = browser.signal.joined.data()["resumeToken"]
        .as_str()
        .expect("a token")
        .to_owned();
    server.kill();
    drop(browser);

    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = room.moved(&client).await;
    let entry = hansard_client::signal::Entry::Resume(resume);
    let mut signal = Signal::connect(&client.signal_url(), &entry, None)
        .await
        .expect("comes back");
    eventually("its old stream is over", SOON, async || {
        streams(&client, &room).await[0]["reason"] == "moved"
    })
    .await;
    let (mut peer, answer) = Browser::connect(&mut signal).await;
    assert!(answer["epoch"].as_i64().expect("a number") > 1);
    peer.speak(
        &sound::hum(500.0, 3_000, &[]),
        Instant::now(),
        &CancellationToken::new(),
    )
    .await
    .expect("connected");
    let left = room.end().await;
    let track = left.track(&ana).expect("she agreed");
    if let Some(recording) = before.iter().find(|recording| recording.kind == "track") {
        assert_eq!(recording.id, track.recording.id);
    }
    let lost: Vec<_> = track
        .recording
        .gaps
        .iter()
        .filter(|gap| gap.reason == "lost")
        .collect();
    assert!(!lost.is_empty(), "{:?}", track.recording.gaps);
    let from = track.recording.start_ms.expect("it is ready");
    sound::assert_heard(&track.sound, 500.0, from + 200, from + 4_000, "Ana before");
    let end = track.sound.end_ms();
    sound::assert_heard(&track.sound, 500.0, end - 2_500, end - 500, "Ana after");
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_or_is_removed_is_cut_off() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let (ana, bob) = (
        room.guest_who("Ana", "accepted").await,
        room.guest_who("Bob", "accepted").await,
    );
    let (mut leaves, mut removed) =
        tokio::join!(Browser::join(&room, &ana), Browser::join(&room, &bob));
    leaves.signal.leave().await.expect("the socket is open");
    let path = format!("/v1/meetings/{}/participants/{}", room.id, bob.id);
    client
        .call(reqwest::Method::DELETE, &path, client.api_key(), None)
        .await
        .expect("removed");
    for browser in [&mut leaves, &mut removed] {
        let deadline = Instant::now() + SOON;
        while !browser.peer.is_over() && Instant::now() < deadline {
            let turn = Instant::now() + Duration::from_millis(50);
            let _ = browser.peer.run(turn).await;
        }
        assert!(browser.peer.is_over(), "its connection is closed");
    }
    let left = streams(&client, &room).await;
    let reasons: Vec<_> = left.iter().map(|stream| stream["reason"].clone()).collect();
    assert!(
        reasons
            .iter()
            .all(|reason| *reason == "left" || *reason == "removed"),
        "{reasons:?}"
    );
    server.terminate();
}

/// Another worker takes the meeting over: the socket stays, the browser is asked, and the same
/// recording goes on within seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_asks_the_browser_and_goes_on_with_the_same_recording() {
    let site = Site::with_broker().await;
    let folders = [Scratch::new(), Scratch::new(), Scratch::new()];
    let api = site.api(folders[0].path());
    let key = super::support::key(&site.database).await;
    let client = Client::new(api.url(), &key).expect("the address is well-formed");
    let first = site.worker(folders[1].path());
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let mut browser = Browser::join(&room, &ana)
        .await
        .speak(sound::hum(500.0, 6_000, &[]))
        .await
        .expect("no panic");
    let second = site.worker(folders[2].path());
    let killed = Instant::now();
    first.kill();
    let media = browser
        .signal
        .wait_for(Instant::now() + SOON, |event| event.kind() == "media")
        .await
        .expect("it is asked");
    assert_eq!(media.data()["action"], "offer");
    assert!(media.value["seq"].is_null());
    let (peer, answer) = Browser::connect(&mut browser.signal).await;
    assert_eq!(answer["epoch"], media.data()["epoch"]);
    // On this busy machine; 8 s are promised.
    let gone = killed.elapsed();
    println!("back after {gone:?}");
    assert!(gone < Duration::from_secs(16), "{gone:?}");
    // What it had on its disk is taken up.
    let first = site.worker(folders[1].path());
    let browser = Browser { peer, ..browser }
        .speak(sound::hum(500.0, 3_000, &[]))
        .await
        .expect("no panic");
    let left = room.end().await;
    drop(browser);
    let tracks: Vec<_> = left
        .recordings
        .iter()
        .filter(|file| file.recording.kind == "track")
        .collect();
    assert_eq!(tracks.len(), 1);
    let gaps = &tracks[0].recording.gaps;
    assert!(gaps.iter().any(|gap| gap.reason == "lost"), "{gaps:?}");
    first.terminate();
    second.terminate();
    api.terminate();
}
