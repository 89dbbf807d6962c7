//! Policy `exclude` in one room with everybody who can be in it, and meetings that turn a use off.

use super::{
    room::{Room, SOON, late},
    sound::{ABSENT_DB, assert_heard, hum, kept},
    support::eventually,
};
use hansard::embed::postgres::Postgres;
use hansard_client::{caption::Caption, meeting::Meeting, rest::Client, sender::Frame};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use uuid::Uuid;

const LENGTH_MS: i64 = 6_000;
/// All who are recorded are silent then, all others go on.
const QUIET: (i64, i64) = (2_500, 3_500);

/// David of the test set says "Hello, can you hear me?" from 1,058 to 2,636 ms.
fn hello() -> Vec<Frame> {
    let set = Meeting::test_set("incident").expect("the set");
    set.voices
        .iter()
        .find(|voice| voice.name == "David")
        .expect("he speaks")
        .frames[..210]
        .to_vec()
}

pub async fn exclude(client: &Client, data: &Path) {
    let room = Room::open(client, json!({"language": "en"})).await;
    let (ana, ben) = (
        room.guest_who("Ana", "accepted").await,
        room.guest_who("Ben", "accepted").await,
    );
    let (carol, dora) = (
        room.guest_who("Carol", "declined").await,
        room.guest("Dora").await,
    );
    let (emil, fred) = (room.guest("Emil").await, room.guest("Fred").await);
    room.say(&emil, "recording", "accepted").await;
    room.say(&fred, "transcription", "accepted").await;
    let casts = [
        (&ana, 440.0, hum(440.0, LENGTH_MS, &[QUIET])),
        (&ben, 610.0, hum(610.0, LENGTH_MS, &[QUIET])),
        (&carol, 830.0, hum(830.0, LENGTH_MS, &[])),
        (&dora, 1_070.0, hum(1_070.0, LENGTH_MS, &[])),
        (&emil, 1_330.0, hum(1_330.0, LENGTH_MS, &[QUIET])),
        (&fred, 0.0, hello()),
    ];
    let mut lines = Vec::new();
    for (guest, _, _) in &casts {
        lines.push(room.line(guest).await);
    }
    let begins = Instant::now() + Duration::from_millis(300);
    let voices: Vec<_> = lines
        .into_iter()
        .zip(&casts)
        .map(|(line, (_, _, frames))| line.speak(frames, begins))
        .collect();
    let zero = voices[0].zero;

    // While it runs: segments are in the spool, and the first are in storage.
    voices[0].reaches(5_500).await;
    for (guest, _, frames) in &casts[2..4] {
        assert!(
            kept(data, &room.id, frames).await.is_empty(),
            "{} lies on the disk",
            guest.name
        );
    }
    assert!(
        kept(data, &room.id, &casts[5].2).await.is_empty(),
        "Fred agreed to be written down, not to be recorded"
    );
    eventually("Ana is recorded", SOON, async || {
        !kept(data, &room.id, &casts[0].2).await.is_empty()
    })
    .await;
    let mut behind = 0;
    for voice in voices {
        behind = behind.max(late(&voice.finished().await, LENGTH_MS));
    }
    let heard = |event: &hansard_client::signal::Event| {
        Caption::of(event).is_some_and(|caption| caption.last && caption.participant_id == fred.id)
    };
    room.until("what Fred says", heard).await;
    let left = room.end().await;

    let at = left.ms(zero);
    let steady = [
        (at + 300 + behind, at + QUIET.0 - 200),
        (at + QUIET.1 + 300 + behind, at + LENGTH_MS - 300),
    ];
    for (guest, hz, _) in [&casts[0], &casts[1], &casts[4]] {
        for (from, to) in steady {
            assert_heard(&left.mix().sound, *hz, from, to, &guest.name);
            assert_heard(
                &left.track(guest).expect("a track").sound,
                *hz,
                from,
                to,
                &guest.name,
            );
        }
    }
    let quiet = (at + QUIET.0 + 150 + behind, at + QUIET.1 - 100);
    for file in &left.recordings {
        for (guest, hz, _) in &casts[2..4] {
            let level = file.sound.level(*hz, quiet.0, quiet.1);
            assert!(
                level <= ABSENT_DB,
                "{} is in the {}: {level:.1} dBFS",
                guest.name,
                file.recording.kind
            );
            for (from, to) in steady {
                let level = file.sound.level(*hz, from, to);
                assert!(
                    level <= ABSENT_DB,
                    "{} is in the {}: {level:.1} dBFS",
                    guest.name,
                    file.recording.kind
                );
            }
        }
        let all = file.sound.loudness(quiet.0, quiet.1);
        assert!(
            all <= ABSENT_DB,
            "somebody is in the {}: {all:.1} dBFS",
            file.recording.kind
        );
    }
    for guest in [&carol, &dora, &fred] {
        assert!(left.track(guest).is_none(), "{} has a track", guest.name);
    }
    assert_eq!(left.recordings.len(), 4, "three tracks and the mix");
    for guest in [&carol, &dora, &emil] {
        assert!(
            left.segments_of(guest).is_empty(),
            "{} has words",
            guest.name
        );
        let shown = room
            .events()
            .iter()
            .filter_map(Caption::of)
            .any(|caption| caption.participant_id == guest.id);
        assert!(!shown, "{} had a caption", guest.name);
    }
    assert!(
        !left.segments_of(&fred).is_empty(),
        "what Fred said is written down"
    );

    for (guest, _, frames) in [&casts[2], &casts[3], &casts[5]] {
        assert!(
            kept(data, &room.id, frames).await.is_empty(),
            "{} lies on the disk",
            guest.name
        );
    }
    proof_is_in_the_rows(data, &room.id).await;
}

/// Every row of sound or words names an entry by which the same participant had agreed to this use.
async fn proof_is_in_the_rows(data: &Path, meeting: &str) {
    let url = Postgres::running_url(&data.join("postgres")).expect("it runs");
    let mut conn = PgConnection::connect(&url).await.expect("it answers");
    let meeting: Uuid = meeting.parse().expect("an id");
    let (rows, proven): (i64, i64) = sqlx::query_as(
        "select count(*), count(c.entry) from recording_segments s
         join recordings r on r.id = s.recording_id
         left join consent_log c on c.meeting_id = s.meeting_id and c.entry = s.consent_entry and c.status = 'accepted'
              and c.participant_id = r.participant_id and 'recording' = any(c.purposes)
         where s.meeting_id = $1",
    )
    .bind(meeting)
    .fetch_one(&mut conn)
    .await
    .expect("reads");
    assert!(
        rows > 0 && rows == proven,
        "{proven} of {rows} segments name who allowed them"
    );
    let (rows, proven): (i64, i64) = sqlx::query_as(
        "select count(*), count(c.entry) from transcript_segments s
         left join consent_log c on c.meeting_id = s.meeting_id and c.entry = s.consent_entry and c.status = 'accepted'
              and c.participant_id = s.participant_id and 'transcription' = any(c.purposes)
         where s.meeting_id = $1",
    )
    .bind(meeting)
    .fetch_one(&mut conn)
    .await
    .expect("reads");
    assert!(
        rows > 0 && rows == proven,
        "{proven} of {rows} transcript segments name who allowed them"
    );
    let tracks: i64 = sqlx::query_scalar(
        "select count(*) from recordings where meeting_id = $1 and kind = 'track'",
    )
    .bind(meeting)
    .fetch_one(&mut conn)
    .await
    .expect("reads");
    assert_eq!(
        tracks, 3,
        "a row for each who is recorded, and for nobody else"
    );
}

/// A use that the settings turn off is off for those who agreed to it, too.
pub async fn uses_turned_off(client: &Client) {
    tokio::join!(no_captions(client), no_recording(client));
}

async fn no_captions(client: &Client) {
    let room = Room::open(client, json!({"aiEnabled": false, "language": "en"})).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let voice = room.speak(&ana, &hello()).await;
    voice.finished().await;
    let left = room.end().await;
    assert_eq!(left.state, "ready");
    assert!(
        left.track(&ana)
            .is_some_and(|track| track.sound.end_ms() > 3_000),
        "she is recorded"
    );
    assert_eq!(left.transcript["segments"], json!([]));
    assert!(
        !room
            .events()
            .iter()
            .any(|event| event.kind().starts_with("transcript")),
        "no caption"
    );
    let transcribes = |event: &hansard_client::signal::Event| {
        event.kind() == "recording_state" && event.data()["transcribing"] == true
    };
    assert!(
        !room.events().iter().any(transcribes),
        "it says that nobody is transcribed"
    );
}

async fn no_recording(client: &Client) {
    let room = Room::open(client, json!({"recording": "off", "language": "en"})).await;
    let ben = room.guest_who("Ben", "accepted").await;
    let frames = hello();
    let voice = room.speak(&ben, &frames).await;
    voice.finished().await;
    room.until("what Ben says", |event| {
        Caption::of(event).is_some_and(|caption| caption.last)
    })
    .await;
    let left = room.end().await;
    assert_eq!(left.state, "off");
    assert!(left.recordings.is_empty(), "nothing is recorded");
    assert!(
        !left.segments_of(&ben).is_empty(),
        "what he said is written down"
    );
    let records = |event: &hansard_client::signal::Event| {
        event.kind() == "recording_state" && !matches!(event.data()["state"].as_str(), Some("off"))
    };
    assert!(
        !room.events().iter().any(records),
        "it never says that it records"
    );
}
