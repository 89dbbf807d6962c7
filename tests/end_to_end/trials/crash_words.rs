//! Words that were said into a crash.

use super::support::{Scratch, server::Server};
use hansard_client::{
    meeting::Meeting,
    rest::audio_stream,
    sender::{Sender, SenderConfig},
    signal::{Event, Signal},
    wer,
};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn words_said_into_a_crash_are_found_again() {
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let incident = Meeting::test_set("incident").expect("the set");
    // "The production database stopped this morning at nine."
    let sentence = incident
        .utterances
        .iter()
        .filter(|utterance| utterance.speaker == "David")
        .nth(1)
        .expect("a second");
    let kill_ms = sentence.start_ms + (sentence.end_ms - sentence.start_ms) * 4 / 5;

    let host = client
        .create_user("host@example.org", "Host")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&host, json!({}))
        .await
        .expect("a meeting");
    let id = meeting["id"].as_str().expect("an id").to_owned();
    let mut ready = Vec::new();
    // Emma agrees to be recorded only: what is found later must not be hers.
    for (name, consent) in [("David", "recording_ai"), ("Emma", "recording")] {
        let user = client
            .create_user(&format!("{name}@example.org"), name)
            .await
            .expect("a user");
        let joined = client.join(&id, &user).await.expect("joins");
        client
            .consent(&joined.token, &id, consent, "accepted")
            .await
            .expect("agrees");
        let sender = Sender::bind(LOOPBACK, SenderConfig::opus(name))
            .await
            .expect("a socket");
        let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
        let stream = client.create_stream(&id, request).await.expect("a port");
        let voice = incident
            .voices
            .iter()
            .find(|voice| voice.name == name)
            .expect("a voice");
        ready.push((joined, sender, stream.address(), voice.frames.clone()));
    }
    let david = ready[0].0.participant_id.clone();
    let (stop, zero) = (CancellationToken::new(), Instant::now());
    let sending: Vec<_> = ready
        .into_iter()
        .map(|(_, sender, to, frames)| {
            let stop = stop.clone();
            tokio::spawn(async move { sender.run(to, &frames, zero, &stop).await })
        })
        .collect();
    tokio::time::sleep_until((zero + Duration::from_millis(kill_ms.unsigned_abs())).into()).await;
    server.kill();

    let server = Server::serve(data.path());
    let client = server.client();
    let mut observer = Signal::observe(&client, &id, Some(0))
        .await
        .expect("observes");
    let mut told = Vec::new();
    let mut note = |event: &Event| {
        if event.kind() == "transcript_update" && event.data()["final"] == true {
            told.push(event.data()["segmentId"].clone());
        }
    };
    observer
        .wait_for(Instant::now() + SOON, |event| {
            note(event);
            event.kind() == "recording_state" && event.data()["epoch"].as_i64() >= Some(2)
        })
        .await
        .expect("the meeting runs again");
    tokio::time::sleep(Duration::from_secs(4)).await;
    client.end(&id).await.expect("ends");
    stop.cancel();
    for sending in sending {
        sending.await.expect("it does not panic").expect("sends");
    }
    observer
        .wait_for(Instant::now() + SOON, |event| {
            note(event);
            event.kind() == "recording_state" && event.data()["state"] == "ready"
        })
        .await
        .expect("the files are made");
    let transcript = client
        .wait_transcript_complete(&id, Instant::now() + SOON)
        .await
        .expect("complete");
    let segments = transcript["segments"].as_array().expect("segments");
    let said: Vec<String> = segments
        .iter()
        .flat_map(|segment| wer::words(segment["text"].as_str().expect("text")))
        .collect();
    // What was said up to a second before the kill; the last second may be lost with the process.
    let words = wer::words(&sentence.text);
    let heard = words.len() * usize::try_from(kill_ms - 1_000 - sentence.start_ms).expect("later")
        / usize::try_from(sentence.end_ms - sentence.start_ms).expect("later");
    let missed: Vec<&String> = words[..heard]
        .iter()
        .filter(|word| !said.contains(word))
        .collect();
    assert!(
        heard >= 3 && missed.len() <= 1,
        "missed {missed:?} of {words:?} in {said:?}"
    );
    assert!(
        segments
            .iter()
            .all(|segment| told.contains(&segment["segmentId"])),
        "every final was told before the end"
    );
    let mut ids: Vec<&str> = segments
        .iter()
        .filter_map(|segment| segment["segmentId"].as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), segments.len());
    assert!(
        segments
            .iter()
            .all(|segment| segment["participant"]["id"] == david.as_str()),
        "only David's"
    );
    // While nobody listened something may have been said, and that is told.
    let gaps = transcript["gaps"].as_array().expect("gaps");
    assert!(
        gaps.iter()
            .all(|gap| gap["reason"] == "lost" && gap["participantId"] == david.as_str())
    );
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    server.terminate();
}
