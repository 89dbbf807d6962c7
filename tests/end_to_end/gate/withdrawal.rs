//! Withdrawing in the middle of a tone and of a sentence, and agreeing again.

use super::{
    room::{Guest, Left, Room, SOON, late, recording_only, say_at, socket, time},
    sound::{self, STEP_MS, kept, kept_in, staircase},
    support::eventually,
};
use chrono::{DateTime, Utc};
use hansard_client::{
    caption::Caption,
    meeting::Meeting,
    rest::Client,
    sender::{Frame, Sent},
};
use serde_json::json;
use std::path::Path;

/// What the design allows from a withdrawal to the last sample of a file.
pub const GRACE_MS: i64 = 250;
/// A frame, and rounding.
const FRAME_MS: i64 = 45;
/// What was sent before a withdrawal and is read by a busy machine after it.
const UNDER_WAY_MS: i64 = 250;
/// With all that is late, no more of what was said before a withdrawal may go with it.
const EARLY_MAX_MS: i64 = 2_000;
/// Spoken before a withdrawal, so that most of it must stay.
const BEFORE_MS: i64 = 3_750;
/// Of a staircase: the mix need not have what is higher.
const STEPS_HEARD: i64 = 190;
/// Longer than any of these trials: voices are stopped.
const VOICE_MS: i64 = 30_000;

/// A span of a voice's own time (ms) in which consent stood.
#[derive(Clone, Copy, Debug)]
pub struct Stood {
    /// By the entries' times: nothing else may be there.
    pub open: i64,
    pub close: i64,
    /// Of this all must be there, but for what a cut takes with it. It begins when the voice was
    /// seen to be recorded: a grant is durable first, and the worker learns of it after.
    pub from: i64,
    pub until: i64,
}

impl Stood {
    /// Seen to be recorded in between, and withdrawn.
    pub const fn withdrawn(open: i64, from: i64, close: i64) -> Self {
        Self {
            open,
            close,
            from,
            until: close,
        }
    }
}

/// What somebody said.
pub struct Said<'a> {
    /// Those that were sent.
    pub frames: &'a [Frame],
    pub zero: DateTime<Utc>,
    pub stood: &'a [Stood],
    /// How late its packets were, at their sender and by the names of its segments (ms).
    pub late_ms: i64,
}

impl Said<'_> {
    /// How much of what was said before a cut may go with it (ms). What came late is cut by when it
    /// came, and what the file has later than it was said is cut as if it were.
    fn early_ms(&self, left: &Left, guest: &Guest) -> i64 {
        let track = left.track(guest).expect("a track");
        let first = kept_in(&track.bytes, self.frames).first().copied();
        let said = left.ms(self.zero) + first.expect("a frame") as i64 * 20;
        let shifted = track.recording.start_ms.expect("it is ready") - said;
        (UNDER_WAY_MS + self.late_ms + shifted.max(0)).min(EARLY_MAX_MS)
    }
}

/// How late a voice was at its sender and, by the names of its segments, at the server (ms). To be
/// asked while they are in the spool. A segment that was cut to nothing leaves its lateness to the
/// next.
pub fn late_in_all(room: &Room, data: &Path, guest: &Guest, sent: &Sent) -> i64 {
    let segments = room.spooled(data, guest);
    let told = segments.iter().map(|one| one.name.late.as_ms()).max();
    late(sent, 20 * sent.packets.len() as i64) + told.unwrap_or(0)
}

/// Frames of those that were sent.
pub fn sent_of<'a>(frames: &'a [Frame], sent: &Sent) -> &'a [Frame] {
    let last = sent.packets.iter().map(|packet| packet.frame).max();
    &frames[..=last.expect("something was sent")]
}

/// The file has what was said while consent stood, and nothing else: frame by frame in the track,
/// step by step in the mix.
pub fn assert_only(left: &Left, guest: &Guest, said: &Said, grace_ms: i64) {
    // Looking takes a while, and other parts of the test send meanwhile.
    tokio::task::block_in_place(|| look(left, guest, said, grace_ms));
}

fn look(left: &Left, guest: &Guest, said: &Said, grace_ms: i64) {
    let Said { frames, stood, .. } = said;
    let track = left.track(guest).expect("a track");
    let early_ms = said.early_ms(left, guest);
    let sure = kept_in(
        &frames
            .iter()
            .flat_map(|frame| frame.payload.to_vec())
            .collect::<Vec<u8>>(),
        frames,
    );
    let time = |n: usize| (n as i64 * 20, n as i64 * 20 + 20);
    let there = kept_in(&track.bytes, frames);
    let allowed = |n: usize| {
        let (from, to) = time(n);
        let mut of = stood.iter();
        of.any(|stood| stood.open <= from && to <= stood.close + grace_ms)
    };
    let wrong: Vec<usize> = there.iter().copied().filter(|n| !allowed(*n)).collect();
    assert!(
        wrong.is_empty(),
        "{}: frames {wrong:?} of {stood:?} are in the track",
        guest.name
    );
    let due = |n: usize| {
        let (from, to) = time(n);
        let mut of = stood.iter();
        of.any(|stood| stood.from <= from && to <= stood.until - early_ms)
    };
    let missing: Vec<usize> = sure
        .iter()
        .copied()
        .filter(|n| due(*n) && !there.contains(n))
        .collect();
    assert!(
        missing.is_empty(),
        "{}: frames {missing:?} of {stood:?} are not in the track, {early_ms} ms may be cut",
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
                .any(|stood| stood.open < to && from < stood.close + grace_ms);
            assert!(
                allowed,
                "{}: step {step} at {at} ms of the {} of {stood:?}",
                guest.name, file.recording.kind
            );
        }
        for Stood { from, until, .. } in *stood {
            let end = ((until - early_ms) / STEP_MS - 1).min(STEPS_HEARD);
            let mut whole = from / STEP_MS + 2..end;
            let missing = whole.find(|step| !steps.iter().any(|(heard, _)| heard == step));
            assert_eq!(
                missing, None,
                "{}: not in the {} of {stood:?}, {early_ms} ms may be cut",
                guest.name, file.recording.kind
            );
        }
    }
}

/// The mix of one voice ends (and its track is told to have a gap) at this instant.
fn assert_cut(
    left: &Left,
    guest: &Guest,
    said: &Said,
    withdrawn: DateTime<Utc>,
    again: DateTime<Utc>,
) {
    let (cut, open) = (left.ms(withdrawn), left.ms(again));
    let early_ms = said.early_ms(left, guest);
    let mix = &left.mix().sound;
    let (before, after) = (
        mix.loudness(cut - early_ms - 20, cut - early_ms),
        mix.loudness(cut + 5, cut + FRAME_MS),
    );
    assert!(
        before > -35.0,
        "the mix stops more than {early_ms} ms before {cut} ms: {before:.1} dBFS"
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
        (cut - early_ms..=cut + 1).contains(&gaps[0].start_ms),
        "{gaps:?} of a cut at {cut}, {early_ms} ms early at most"
    );
    let heard = left.ms(said.zero) + said.stood[1].from + early_ms;
    assert!(
        (open..=heard).contains(&gaps[0].end_ms),
        "{gaps:?} of a grant at {open}, recorded before {heard}"
    );
}

/// Nothing of later than the withdrawal stays in the spool, in an object, or anywhere.
pub async fn assert_spool(data: &Path, room: &Room, frames: &[Frame], withdrawn_ms: i64) {
    // The open segment is sealed by another thread.
    let what = format!("nothing of after {withdrawn_ms} ms is on the disk");
    eventually(&what, SOON, async || {
        let kept = kept(data, &room.id, frames).await;
        kept.last().is_none_or(|n| *n as i64 * 20 <= withdrawn_ms)
    })
    .await;
}

/// Withdrawn in mid-speech, and agreed again; what was said while consent stood.
async fn withdrawn_and_again(
    room: &Room,
    guest: &Guest,
    data: &Path,
    mut say: impl AsyncFnMut(&str) -> DateTime<Utc>,
) -> (Vec<Frame>, [Stood; 2]) {
    let frames = staircase(VOICE_MS);
    let voice = room.speak(guest, &frames).await;
    let from = room.recorded(data, guest, &voice, None).await;
    voice.reaches((from + BEFORE_MS).unsigned_abs()).await;
    let withdrawn = say("withdrawn").await;
    let close = voice.at(withdrawn);
    assert_spool(data, room, &frames, close).await;
    voice.reaches((close + 2_250).unsigned_abs()).await;
    let before = room.newest(data, guest);
    let again = say("accepted").await;
    let from_again = room.recorded(data, guest, &voice, before).await;
    let until = from_again + 3_000;
    // What a machine is late with is not what was said last.
    voice.reaches((until + 500).unsigned_abs()).await;
    let (zero, open) = (voice.zero, voice.at(again));
    let sent = voice.stopped().await;
    let stood = [
        Stood::withdrawn(0, from, close),
        Stood {
            open,
            close: VOICE_MS,
            from: from_again,
            until,
        },
    ];
    let said = Said {
        frames: sent_of(&frames, &sent),
        zero,
        stood: &stood,
        late_ms: late_in_all(room, data, guest, &sent),
    };
    let left = room.end().await;
    assert_only(&left, guest, &said, 5);
    assert_cut(&left, guest, &said, withdrawn, again);
    (said.frames.to_vec(), stood)
}

pub async fn by_rest(client: &Client, data: &Path) {
    let room = Room::open(client, recording_only()).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let say = async |status: &str| room.say(&ana, "recording_ai", status).await;
    let (frames, stood) = withdrawn_and_again(&room, &ana, data, say).await;
    assert_spool_after(data, &room, &frames, &stood).await;
}

/// The segments of a finished meeting are deleted by a job; nothing that was withdrawn lies
/// anywhere, the database's files included.
async fn assert_spool_after(data: &Path, room: &Room, frames: &[Frame], stood: &[Stood]) {
    let there = kept(data, &room.id, frames).await;
    let wrong = there.iter().find(|n| {
        let (from, to) = (**n as i64 * 20, **n as i64 * 20 + 20);
        !stood
            .iter()
            .any(|stood| stood.open <= from && to <= stood.close + 5)
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
    let say = async |status: &str| {
        let told = say_at(&mut signal, "recording_ai", status).await;
        assert_eq!(told.kind(), "consent_updated", "{:?}", told.value);
        if status == "accepted" {
            assert!(told.seq().is_some(), "durable first: {:?}", told.value);
        }
        // Told at once without a number, and again with it.
        let id = told.data()["id"].clone();
        room.until("the entry", |event| {
            event.data()["id"] == id && event.seq().is_some()
        })
        .await;
        time(&told.data()["timestamp"])
    };
    withdrawn_and_again(&room, &ben, data, say).await;
}

/// Whatever was said later is in no final, and was in no partial that anybody saw.
pub async fn in_mid_sentence(client: &Client, data: &Path) {
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
    let mut tries = 0;
    let (room, david, withdrawn, at) = loop {
        tries += 1;
        let room = Room::open(client, json!({"language": "en"})).await;
        let david = room.guest_who("David", "accepted").await;
        let voice = room.speak(&david, frames).await;
        voice.reaches(1_900).await;
        let withdrawn = room.say(&david, "recording_ai", "withdrawn").await;
        let at = voice.at(withdrawn);
        voice.finished().await;
        // A busy machine may take too long to say so.
        if at < 2_300 {
            break (room, david, withdrawn, at);
        }
        assert!(tries < 3, "too late to be in mid-sentence: {at} ms");
    };
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
