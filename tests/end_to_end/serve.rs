//! End to end, as a client sees it: a real `hansard serve`, real RTP, real Whisper, REST and
//! WebSocket.

use crate::support::{Scratch, patiently, server::Server};
use hansard_client::{
    meeting::Meeting,
    rest::{Client, audio_stream},
    sender::{Sender, SenderConfig},
    signal::Signal,
};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Whisper on a busy machine.
const SOON: Duration = Duration::from_secs(120);

/// Joins a user who says this about `recording_ai`.
async fn participant(client: &Client, meeting: &str, name: &str, status: &str) -> (String, String) {
    let user = client
        .create_user(&format!("{name}@example.org"), name)
        .await
        .expect("a user");
    let joined = client.join(meeting, &user).await.expect("joins");
    client
        .consent(&joined.token, meeting, "recording_ai", status)
        .await
        .expect("says so");
    (joined.participant_id, joined.token)
}

/// The walking skeleton: one stream through the gate into a sealed segment in storage and a final
/// caption on a socket, both read back over REST.
#[tokio::test(flavor = "multi_thread")]
async fn one_voice_becomes_a_recording_and_captions() {
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let host = client
        .create_user("host@example.org", "Host")
        .await
        .expect("a user");
    let meeting = patiently("a meeting", SOON, || {
        client.create_meeting(&host, json!({"language": "en"}))
    })
    .await;
    let id = meeting["id"].as_str().expect("an id");
    let (participant_id, _) = participant(&client, id, "Alice", "accepted").await;
    let mut signal = Signal::observe(&client, id, Some(0))
        .await
        .expect("observes");

    let sender = Sender::bind(LOOPBACK, SenderConfig::opus("alice"))
        .await
        .expect("a socket");
    let request = audio_stream(&participant_id, "opus", sender.config(), None, None);
    let stream = patiently("a port", SOON, || client.create_stream(id, request.clone())).await;
    let set = Meeting::test_set("planning").expect("the set");
    let alice = set
        .voices
        .iter()
        .find(|voice| voice.name == "Alice")
        .expect("she speaks");
    let first = set
        .utterances
        .iter()
        .find(|utterance| utterance.speaker == "Alice")
        .expect("she speaks");
    let frames = &alice.frames[..usize::try_from(first.end_ms / 20 + 60).expect("short")];
    sender
        .run(
            stream.address(),
            frames,
            Instant::now(),
            &CancellationToken::new(),
        )
        .await
        .expect("sends");

    let said = signal
        .wait_for(Instant::now() + SOON, |event| {
            event.kind() == "transcript_update" && event.data()["final"] == true
        })
        .await
        .expect("a final caption");
    assert_eq!(said.data()["participant"]["displayName"], "Alice");
    assert!(said.seq().is_some(), "finals are durable");
    let text = said.data()["text"].as_str().expect("text").to_lowercase();
    let word = first
        .text
        .split(' ')
        .next()
        .expect("a word")
        .trim_matches([',', '.', '?'])
        .to_lowercase();
    assert!(text.contains(&word), "{text:?} has {word:?} in it");

    client.end(id).await.expect("ends");
    signal
        .wait_for(Instant::now() + SOON, |event| {
            event.kind() == "recording_state" && event.data()["state"] == "ready"
        })
        .await
        .expect("the recordings are ready");
    let recordings = client
        .wait_recordings_ready(id, Instant::now() + SOON)
        .await
        .expect("ready");
    let kinds: Vec<&str> = recordings
        .iter()
        .map(|recording| recording.kind.as_str())
        .collect();
    assert!(
        kinds.contains(&"track") && kinds.contains(&"mix"),
        "{kinds:?}"
    );
    for recording in &recordings {
        let bytes = client.download(&recording.id).await.expect("downloads");
        assert!(
            bytes.len() > 1000,
            "{} has {} bytes",
            recording.kind,
            bytes.len()
        );
    }
    let transcript = client
        .wait_transcript_complete(id, Instant::now() + SOON)
        .await
        .expect("complete");
    assert_eq!(transcript["segments"][0]["text"], said.data()["text"]);
    server.terminate();
}
