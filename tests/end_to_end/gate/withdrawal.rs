//! Withdrawing in the middle of a tone and of a sentence, and agreeing again.

use super::{
    room::{Guest, Left, Room, recording_only, say_at, socket, time},
    sound::{self, STEP_MS, kept, kept_in, staircase},
};
use chrono::{DateTime, Utc};
use hansard_client::{caption::Caption, meeting::Meeting, rest::Client, sender::Frame};
use serde_json::json;
use std::{path::Path, time::Duration};

/// What the design allows from a withdrawal to the last sample of a file.
pub const GRACE_MS: i64 = 250;
/// A frame under way when it is withdrawn, and rounding.
const FRAME_MS: i64 = 45;
/// From a grant to the first sample at the latest: commit, a poll, a read, on a busy machine.
const OPEN_MS: i64 = 1_500;
/// Long enough that much is left of it when a busy machine takes seconds for a grant.
const VOICE_MS: i64 = 14_000;

/// Spans of a voice's own time (ms) in which consent stood, by the entries' times.
pub type Stood<'a> = &'a [(i64, i64)];

/// The file has what was said while consent stood, and nothing else: frame by frame in the track,
/// step by step in the mix.
pub fn assert_only(left: &Left, guest: &Guest, frames: &[Frame], stood: Stood, grace_ms: i64) {
    // Looking takes a while, and other parts of the test send meanwhile.
    tokio::task::block_in_place(|| look(left, guest, frames, stood, grace_ms));
}

fn look(left: &Left, guest: &Guest, frames: &[Frame], stood: Stood, grace_ms: i64) {
    let track = left.track(guest).expect("a track");
    let sure = kept_in(
        &frames
            .iter()
            .flat_map(|frame| frame.payload.to_vec())
            .collect::<Vec<u8>>(),
        frames,
    );
    let inside = |n: usize, before: i64, after: i64| {
        let (from, to) = (n as i64 * 20, n as i64 * 20 + 20);
        stood
            .iter()
            .any(|(open, close)| open - before <= from && to <= close + after)
    };
    let there = kept_in(&track.bytes, frames);
    let wrong: Vec<usize> = there
        .iter()
        .copied()
        .filter(|n| !inside(*n, 0, grace_ms))
        .collect();
    assert!(
        wrong.is_empty(),
        "{}: frames {wrong:?} of {stood:?} are in the track",
        guest.name
    );
    let missing: Vec<usize> = sure
        .iter()
        .copied()
        .filter(|n| inside(*n, -OPEN_MS, -FRAME_MS) && !there.contains(n))
        .collect();
    assert!(
        missing.is_empty(),
        "{}: frames {missing:?} of {stood:?} are not in the track",
        guest.name
    );

    for file in [track, left.mix()] {
        let steps = file.sound.steps(frames.len() as i64 * 20 / STEP_MS);
        // A track's own frames were looked at above, byte by byte; what a player conceals behind
        // its holes says nothing more.
        for (step, at) in steps.iter().filter(|_| file.recording.kind == "mix") {
            let (from, to) = (step * STEP_MS, (step + 1) * STEP_MS);
            let allowed = stood
                .iter()
                .any(|(open, close)| *open < to && from < close + grace_ms);
            assert!(
                allowed,
                "{}: step {step} at {at} ms of the {} of {stood:?}",
                guest.name, file.recording.kind
            );
        }
        for (open, close) in stood {
            let mut whole = (open + OPEN_MS + STEP_MS) / STEP_MS..(close - FRAME_MS) / STEP_MS - 1;
            let missing = whole.find(|step| !steps.iter().any(|(heard, _)| heard == step));
            assert_eq!(
                missing, None,
                "{}: not in the {} of {stood:?}",
                guest.name, file.recording.kind
            );
        }
    }
}

/// The mix of one voice ends (and its track is told to have a gap) at this instant.
fn assert_cut(left: &Left, guest: &Guest, withdrawn: DateTime<Utc>, again: DateTime<Utc>) {
    let (cut, open) = (left.ms(withdrawn), left.ms(again));
    let mix = &left.mix().sound;
    let (before, after) = (
        mix.loudness(cut - FRAME_MS - 20, cut - FRAME_MS),
        mix.loudness(cut + 5, cut + FRAME_MS),
    );
    assert!(
        before > -35.0,
        "the mix stops before {cut} ms: {before:.1} dBFS"
    );
    assert!(
        after < -50.0,
        "the mix goes on after {cut} ms: {after:.1} dBFS"
    );
    let rest = mix.loudness(cut + FRAME_MS, open);
    assert!(
        rest < sound::ABSENT_DB,
        "the mix goes on after {cut} ms: {rest:.1} dBFS"
    );
    let gaps = &left.track(guest).expect("a track").recording.gaps;
    assert_eq!(
        gaps.len(),
        1,
        "{:?}",
        left.track(guest).expect("a track").recording
    );
    assert_eq!(gaps[0].reason, "no_consent");
    assert!(
        (cut - FRAME_MS..=cut + 1).contains(&gaps[0].start_ms),
        "{gaps:?} of a cut at {cut}"
    );
    assert!(
        (open..open + OPEN_MS).contains(&gaps[0].end_ms),
        "{gaps:?} of a grant at {open}"
    );
}

/// At most `grace_ms` after the withdrawal, nothing later lies in the spool or in an object.
pub async fn assert_spool(data: &Path, room: &Room, frames: &[Frame], withdrawn_ms: i64) {
    let last = kept(data, &room.id, frames)
        .await
        .last()
        .map_or(0, |n| *n as i64 * 20);
    assert!(
        last <= withdrawn_ms,
        "a frame of {last} ms lies on the disk, withdrawn at {withdrawn_ms}"
    );
}

pub async fn by_rest(client: &Client, data: &Path) {
    let room = Room::open(client, recording_only()).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let frames = staircase(VOICE_MS);
    let voice = room.speak(&ana, &frames).await;
    voice.reaches(2_750).await;
    let withdrawn = room.say(&ana, "recording_ai", "withdrawn").await;
    // The open segment is sealed by another thread.
    tokio::time::sleep(Duration::from_millis(GRACE_MS.unsigned_abs())).await;
    assert_spool(data, &room, &frames, voice.at(withdrawn)).await;
    voice.reaches(5_000).await;
    let again = room.say(&ana, "recording_ai", "accepted").await;
    voice.reaches(VOICE_MS.unsigned_abs()).await;
    let stood = [(0, voice.at(withdrawn)), (voice.at(again), VOICE_MS)];
    voice.finished().await;
    let left = room.end().await;
    assert_only(&left, &ana, &frames, &stood, 5);
    assert_cut(&left, &ana, withdrawn, again);
    assert_spool_after(data, &room, &frames, &stood).await;
}

/// The segments of a finished meeting are deleted by a job; nothing that was withdrawn lies
/// anywhere, the database's files included.
async fn assert_spool_after(data: &Path, room: &Room, frames: &[Frame], stood: Stood<'_>) {
    let there = kept(data, &room.id, frames).await;
    let wrong = there.iter().find(|n| {
        let (from, to) = (**n as i64 * 20, **n as i64 * 20 + 20);
        !stood
            .iter()
            .any(|(open, close)| *open <= from && to <= close + 5)
    });
    assert_eq!(
        wrong, None,
        "a frame that nobody agreed to lies on the disk"
    );
}

pub async fn by_socket(client: &Client, data: &Path) {
    let room = Room::open(client, recording_only()).await;
    let ben = room.guest_who("Ben", "accepted").await;
    let mut signal = socket(&room, &ben).await;
    let frames = staircase(VOICE_MS);
    let voice = room.speak(&ben, &frames).await;
    voice.reaches(2_750).await;
    let told = say_at(&mut signal, "recording_ai", "withdrawn").await;
    assert_eq!(told.kind(), "consent_updated");
    let withdrawn = time(&told.data()["timestamp"]);
    tokio::time::sleep(Duration::from_millis(GRACE_MS.unsigned_abs())).await;
    assert_spool(data, &room, &frames, voice.at(withdrawn)).await;
    // Told at once without a number, and again with it.
    let id = told.data()["id"].clone();
    room.until("the entry", |event| {
        event.data()["id"] == id && event.seq().is_some()
    })
    .await;
    voice.reaches(5_000).await;
    let told = say_at(&mut signal, "recording_ai", "accepted").await;
    assert!(
        told.seq().is_some(),
        "a grant is durable first: {:?}",
        told.value
    );
    let again = time(&told.data()["timestamp"]);
    let stood = [(0, voice.at(withdrawn)), (voice.at(again), VOICE_MS)];
    voice.finished().await;
    let left = room.end().await;
    assert_only(&left, &ben, &frames, &stood, 5);
    assert_cut(&left, &ben, withdrawn, again);
}

/// Whatever was said later is in no final, and was in no partial that anybody saw.
pub async fn in_mid_sentence(client: &Client, data: &Path) {
    let room = Room::open(client, json!({"language": "en"})).await;
    let david = room.guest_who("David", "accepted").await;
    let set = Meeting::test_set("incident").expect("the set");
    let all = &set
        .voices
        .iter()
        .find(|voice| voice.name == "David")
        .expect("he speaks")
        .frames;
    // "The production database stopped this morning at nine." from 480 to 3,650 ms, "About two
    // hundred users had errors for fifteen minutes." from 6,920 to 9,730.
    let frames = &all[260..780];
    let voice = room.speak(&david, frames).await;
    voice.reaches(1_900).await;
    let withdrawn = room.say(&david, "recording_ai", "withdrawn").await;
    let at = voice.at(withdrawn);
    assert!(at < 2_300, "too late to be in mid-sentence: {at} ms");
    voice.finished().await;
    let left = room.end().await;
    let segments = left.segments_of(&david);
    let text =
        |segment: &&serde_json::Value| segment["text"].as_str().expect("text").to_lowercase();
    let mut said: Vec<String> = segments.iter().map(text).collect();
    let captions: Vec<Caption> = room.events().iter().filter_map(Caption::of).collect();
    said.extend(captions.iter().map(|caption| caption.text.to_lowercase()));
    assert!(
        said.iter()
            .any(|text| text.contains("production") || text.contains("database")),
        "{said:?}"
    );
    for late in [
        "morning", "nine", "about", "hundred", "users", "errors", "fifteen", "minutes",
    ] {
        let heard: Vec<&String> = said.iter().filter(|text| text.contains(late)).collect();
        assert!(
            heard.is_empty(),
            "{late:?} was said after the withdrawal: {heard:?}"
        );
    }
    for segment in &segments {
        let end = segment["endMs"].as_i64().expect("a number");
        assert!(
            end <= left.ms(withdrawn) + 1,
            "a final ends at {end}, withdrawn at {}",
            left.ms(withdrawn)
        );
    }
    let track = left.track(&david).expect("a track");
    let last = kept_in(&track.bytes, frames)
        .last()
        .map_or(0, |n| *n as i64 * 20 + 20);
    assert!(
        last <= at + 5,
        "the track goes on until {last}, withdrawn at {at}"
    );
    assert!(
        kept(data, &room.id, frames)
            .await
            .iter()
            .all(|n| *n as i64 * 20 < at),
        "on the disk"
    );
    // Every segment shown has one end: a final or a retraction.
    let shown: std::collections::BTreeSet<&str> = captions
        .iter()
        .map(|caption| caption.segment_id.as_str())
        .collect();
    for id in shown {
        let ends = room
            .events()
            .iter()
            .filter(|event| event.data()["segmentId"] == id && event.seq().is_some())
            .count();
        assert_eq!(ends, 1, "of segment {id}");
    }
}
