//! Policies `all` and `required`.

use super::{
    room::{Room, SOON, signal_url, socket},
    sound::{hum, kept_in, staircase},
    support::eventually,
    withdrawal::{Said, Stood, assert_only, late_in_all, sent_of},
};
use chrono::{DateTime, Utc};
use hansard::clock::Clock;
use hansard_client::{
    rest::{CallError, Client, audio_stream},
    sender::SenderConfig,
    signal::{Entry, Signal},
};
use serde_json::json;
use std::path::Path;

fn now() -> DateTime<Utc> {
    Clock::default().now()
}

/// A newcomer who has not agreed pauses everybody before its first packet; recording goes on when
/// it agrees.
pub async fn all(client: &Client, data: &Path) {
    let room = Room::open(client, json!({"aiEnabled": false, "consentPolicy": "all"})).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let frames = staircase(30_000);
    let voice = room.speak(&ana, &frames).await;
    room.until_state("recording").await;
    let from = room.recorded(data, &ana, &voice, None).await;
    voice.reaches((from + 3_750).unsigned_abs()).await;
    let ben = room.guest("Ben").await;
    let line = room.line(&ben).await;
    // The answer came after the pause.
    let paused = voice.at(now());
    let hums = hum(330.0, 30_000, &[]);
    let humming = line.speak(&hums, std::time::Instant::now());
    let told = room.until_state("paused").await;
    assert_eq!(told.data()["waitingFor"], json!([ben.id]));
    assert_eq!(told.data()["reason"], "consent");
    voice.reaches((paused + 2_500).unsigned_abs()).await;
    let before = room.newest(data, &ana);
    let agreed = room.say(&ben, "recording", "accepted").await;
    let told = |event: &hansard_client::signal::Event| {
        event.kind() == "recording_state"
            && event.data()["state"] == "recording"
            && event.data()["waitingFor"] == json!([])
    };
    room.until("it goes on", |event| told(event) && event.seq() > Some(3))
        .await;
    let again = room.recorded(data, &ana, &voice, before).await;
    room.recorded(data, &ben, &humming, None).await;
    let until = again + 1_500;
    voice.reaches((until + 500).unsigned_abs()).await;
    let stood = [(0, paused), (voice.at(agreed), 30_000)];
    let of_ben = humming.at(agreed);
    voice.stopped().await;
    humming.stopped().await;
    let left = room.end().await;
    // What is missing before the pause is the time that the newcomer's stream took to be opened.
    let (track, gaps) = (
        left.track(&ana).expect("a track"),
        &left.track(&ana).expect("a track").recording.gaps,
    );
    let there = kept_in(&track.bytes, &frames);
    let wrong: Vec<&usize> = there
        .iter()
        .filter(|n| {
            let from = **n as i64 * 20;
            !stood
                .iter()
                .any(|(open, close)| *open <= from && from + 20 <= close + 5)
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "frames {wrong:?} of {stood:?} were recorded while paused"
    );
    let counted = |from: i64, until: i64| {
        let frame = |ms: i64| (ms / 20).unsigned_abs() as usize;
        there.range(frame(from)..frame(until)).count()
    };
    assert!(
        counted(from, from + 2_000) > 80 && counted(again, until) > 60,
        "recorded before and after: {there:?}"
    );
    assert!(gaps.iter().any(|gap| gap.reason == "paused"), "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap.reason == "paused"), "{gaps:?}");
    assert_eq!(
        left.mix().recording.gaps.len(),
        1,
        "everybody was paused: {:?}",
        left.mix().recording.gaps
    );
    let of = kept_in(&left.track(&ben).expect("a track").bytes, &hums);
    assert!(
        of.iter().all(|n| *n as i64 * 20 >= of_ben),
        "Ben before he agreed"
    );
}

/// Only who agreed gets in, and who takes it back is put out.
pub async fn required(client: &Client, data: &Path) {
    let room = Room::open(
        client,
        json!({"aiEnabled": false, "consentPolicy": "required"}),
    )
    .await;
    let ana = room.guest("Ana").await;
    assert_eq!(ana.joined.consent_required, ["recording"]);
    let request = audio_stream(&ana.id, "opus", &SenderConfig::opus("ana"), None, None);
    match room.client.create_stream(&room.id, request).await {
        Err(CallError::Refused {
            status, problem, ..
        }) => {
            assert_eq!(
                (status.as_u16(), &problem["type"]),
                (403, &json!("/problems/consent_required"))
            );
        }
        other => panic!("a stream without consent: {other:?}"),
    }
    let entry = Entry::Token(ana.joined.token.clone());
    let refused = Signal::connect(&signal_url(client), &entry, None)
        .await
        .expect_err("not without consent");
    assert!(
        refused.to_string().contains("consent_required"),
        "{refused}"
    );
    assert!(
        room.client
            .recordings(&room.id)
            .await
            .expect("lists")
            .is_empty()
    );

    room.say(&ana, "recording", "accepted").await;
    let signal = socket(&room, &ana).await;
    let frames = staircase(30_000);
    let voice = room.speak(&ana, &frames).await;
    let from = room.recorded(data, &ana, &voice, None).await;
    voice.reaches((from + 3_750).unsigned_abs()).await;
    let declined = room.say(&ana, "recording", "declined").await;
    let closed = signal.ended().await.expect("the socket is closed");
    assert_eq!(closed.code, Some(4003), "{closed:?}");
    eventually("she is out", SOON, async || {
        let participants = room.client.participants(&room.id).await.expect("lists");
        participants
            .iter()
            .all(|participant| participant["present"] == false)
    })
    .await;
    let closes = |event: &hansard_client::signal::Event| {
        event.kind() == "participant_updated" && event.data()["streams"][0]["state"] == "closed"
            || event.kind() == "participant_left"
    };
    room.until("the stream is closed", closes).await;
    // What she says after that is nowhere.
    let close = voice.at(declined);
    voice.reaches((close + 3_500).unsigned_abs()).await;
    let zero = voice.zero;
    let sent = voice.stopped().await;
    let said = Said {
        frames: sent_of(&frames, &sent),
        zero,
        stood: &[Stood::withdrawn(0, from, close)],
        late_ms: late_in_all(&room, data, &ana, &sent),
    };
    let left = room.end().await;
    assert_only(&left, &ana, &said, 5);
}
