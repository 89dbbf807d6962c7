//! Postgres taken away from a running meeting, from outside: stalled, killed and started again, and
//! away when the process is told to stop. Sound and captions go on, whoever asks is told to come
//! again, and all of it is written once it is back.

use super::{
    room::{Room, SOON, late, recording_only},
    site::{Site, speech},
    sound::{kept_in, staircase},
    support::{Scratch, eventually, server::Server},
};
use hansard_client::{caption::Caption, sender::Frame, signal::Event, wer};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The machine builds beside us.
const LATE: Duration = Duration::from_secs(90);
/// What the process may take more while it waits, in KiB: queues have bounds, and there is one
/// meeting.
const MORE_KIB_MAX: i64 = 100 * 1024;

fn resident_kib(server: &Server) -> i64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("it says so");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

async fn degraded(server: &Server) -> Vec<Value> {
    let answer = reqwest::get(format!("{}/readyz", server.ops))
        .await
        .expect("answers");
    assert_eq!(answer.status(), 200);
    let told: Value = answer.json().await.expect("JSON");
    told["degraded"].as_array().expect("a list").clone()
}

/// What a request gets while the database is away.
async fn assert_told_to_come_again(server: &Server, room: &Room) {
    let asked = Instant::now();
    let url = format!("{}/v1/meetings/{}", server.url(), room.id);
    let answer = reqwest::Client::new()
        .get(url)
        .bearer_auth(server.key())
        .send()
        .await
        .expect("answers");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

fn partials_since(events: &[Event], since: Instant) -> usize {
    events
        .iter()
        .filter_map(Caption::of)
        .filter(|caption| !caption.last && caption.received > since)
        .count()
}

fn all_of(frames: &[Frame]) -> BTreeSet<usize> {
    kept_in(
        &frames
            .iter()
            .flat_map(|frame| frame.payload.to_vec())
            .collect::<Vec<u8>>(),
        frames,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_goes_on_while_the_database_is_away() {
    let site = Site::start().await;
    let data = Scratch::new();
    let server = site.serve(data.path());
    let client = server.client();
    let room = Room::open(&client, json!({"language": "en"})).await;
    let david = room.guest_who("David", "accepted").await;
    let spans = [
        (5_400, 9_300),
        (11_800, 15_300),
        (29_400, 32_800),
        (35_200, 38_800),
    ];
    let once: Vec<Frame> = spans
        .iter()
        .flat_map(|(from, to)| speech("David", *from, *to))
        .collect();
    // And again, for as long as a busy machine makes captions wait.
    let frames: Vec<Frame> = (0..10).flat_map(|_| once.clone()).collect();
    let voice = room.speak(&david, &frames).await;
    let begun = room.recorded(data.path(), &david, &voice, None).await;

    for (from, to, killed) in [(1_500, 7_500, false), (9_000, 13_000, true)] {
        voice.reaches(begun.unsigned_abs() + from).await;
        let (before, since) = (resident_kib(&server), Instant::now());
        if killed {
            site.cluster.kill().await;
        } else {
            site.cluster.freeze(true).await;
        }
        tokio::join!(assert_told_to_come_again(&server, &room), async {
            eventually("it is said", SOON, async || {
                degraded(&server).await.contains(&json!("database"))
            })
            .await;
            voice.reaches(begun.unsigned_abs() + to).await;
        });
        eventually("captions go on without it", SOON, async || {
            partials_since(&room.events(), since) > 0
        })
        .await;
        let more = resident_kib(&server) - before;
        assert!(more < MORE_KIB_MAX, "{more} KiB more, killed: {killed}");
        if killed {
            site.cluster.restart().await;
        } else {
            site.cluster.freeze(false).await;
        }
        eventually("it is back", SOON, async || {
            client.meeting(&room.id).await.is_ok()
        })
        .await;
        eventually("nothing is away", SOON, async || {
            degraded(&server).await.is_empty()
        })
        .await;
    }
    voice.reaches(20 * once.len() as u64).await;
    // What a machine is late with is not what was said last.
    let until = voice.now();
    voice.reaches((until + 500).unsigned_abs()).await;
    voice.stopped().await;
    let left = room.end().await;

    let track = left.track(&david).expect("a track");
    // What is said once more is not told from the first time.
    let (there, sure) = (kept_in(&track.bytes, &once), all_of(&once));
    let missing: Vec<&usize> = sure
        .iter()
        .filter(|n| begun <= **n as i64 * 20 && !there.contains(n))
        .collect();
    assert!(missing.is_empty(), "frames {missing:?}");
    assert!(
        track.recording.gaps.iter().all(|gap| gap.reason != "lost"),
        "{:?}",
        track.recording.gaps
    );

    // Everything that was shown ended, once.
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for caption in room.events().iter().filter_map(Caption::of) {
        *ends.entry(caption.segment_id).or_default() += usize::from(caption.last);
    }
    for event in room
        .events()
        .iter()
        .filter(|event| event.kind() == "transcript_retracted")
    {
        *ends
            .entry(
                event.data()["segmentId"]
                    .as_str()
                    .expect("an id")
                    .to_owned(),
            )
            .or_default() += 1;
    }
    assert!(ends.values().all(|ended| *ended == 1), "{ends:?}");
    let segments = left.segments_of(&david);
    let said: Vec<String> = segments
        .iter()
        .flat_map(|one| wer::words(one["text"].as_str().expect("text")))
        .collect();
    let wanted = [
        "production",
        "database",
        "hundred",
        "users",
        "alert",
        "dashboard",
        "report",
        "team",
    ];
    let missed: Vec<&&str> = wanted
        .iter()
        .filter(|word| !said.iter().any(|one| one == **word))
        .collect();
    assert!(missed.len() <= 2, "missed {missed:?} in {said:?}");
    server.terminate();
}

/// Told to stop while the database is away, and it stays away: the process ends all the same, and
/// what it held is taken up.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_stopped_without_its_database_loses_nothing() {
    let site = Site::start().await;
    let data = Scratch::new();
    let mut server = site.serve(data.path());
    let room = Room::open(&server.client(), recording_only()).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let frames = staircase(90_000);
    let voice = room.speak(&ana, &frames).await;
    let from = room.recorded(data.path(), &ana, &voice, None).await;
    voice.reaches((from + 3_000).unsigned_abs()).await;
    site.cluster.stop().await;
    voice.reaches((from + 4_000).unsigned_abs()).await;
    let stopped = voice.now();
    server.ask_to_stop();
    // The grace time of these tests, and what a busy machine adds.
    assert!(server.ends(LATE).await, "it ends");
    site.cluster.restart().await;

    let server = site.serve(data.path());
    let room = room.moved(&server.client()).await;
    room.until("the meeting goes on", |event| {
        event.kind() == "recording_state"
            && (event.data()["epoch"].as_i64() >= Some(2) || event.data()["state"] == "finalising")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sent = voice.stopped().await;
    let left = room.end().await;
    let there = kept_in(&left.track(&ana).expect("a track").bytes, &frames);
    let sure = all_of(&frames);
    // What it had not read yet when it was told to stop, it did not hold.
    let until = stopped - 250 - late(&sent, stopped);
    let due = |n: usize| from <= n as i64 * 20 && n as i64 * 20 + 20 <= until;
    let missing: Vec<&usize> = sure
        .iter()
        .filter(|n| due(**n) && !there.contains(n))
        .collect();
    assert!(
        missing.is_empty(),
        "frames {missing:?} of those before {until} ms"
    );
    server.terminate();
}
