//! Words that were recorded with consent and heard by nobody: found again after the end, or told as
//! missing.

use super::{
    room::{Room, serve},
    site::speech,
    support::{Scratch, eventually},
};
use hansard_client::{signal::Event, wer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Time to load a model and begin with a job, and hardly to end one.
const KILLED_EVERY: Duration = Duration::from_millis(800);

/// On a busy machine.
const LATE: Duration = Duration::from_secs(240);

/// The decoder processes of a server.
fn decoders(of: u32) -> Vec<Pid> {
    let folders = std::fs::read_dir("/proc").expect("it is there").flatten();
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let read =
            |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let parent = read("stat")
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parent == Some(of) && read("cmdline").split('\0').nth(1) == Some("decoder")
    })
    .filter_map(Pid::from_raw)
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dying_decoder_did_not_hear_is_found_or_told() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"language": "en"})).await;
    let (david, emma) = (
        room.guest_who("David", "accepted").await,
        room.guest("Emma").await,
    );
    // She agrees to be recorded only: nothing of hers is looked for.
    room.say(&emma, "recording", "accepted").await;
    let spans = [(5_400, 9_300), (11_800, 15_300)];
    let frames: Vec<_> = spans
        .iter()
        .flat_map(|(from, to)| speech("David", *from, *to))
        .collect();
    let stop = CancellationToken::new();
    let killing = tokio::spawn({
        let (stop, server) = (stop.clone(), server.pid());
        async move {
            let mut killed = 0;
            while stop
                .run_until_cancelled(tokio::time::sleep(KILLED_EVERY))
                .await
                .is_some()
            {
                killed += decoders(server)
                    .into_iter()
                    .filter(|pid| kill_process(*pid, Signal::KILL).is_ok())
                    .count();
            }
            killed
        }
    });
    let (voice, other) = (
        room.speak(&david, &frames).await,
        room.speak(&emma, &speech("Emma", 9_200, 11_800)).await,
    );
    let begins = voice.zero;
    voice.finished().await;
    other.finished().await;
    client.end(&room.id).await.expect("ends");
    // Into what is done after the end, too.
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.cancel();
    assert!(killing.await.expect("it does not panic") > 3);

    let transcript = client
        .wait_transcript_complete(&room.id, Instant::now() + Duration::from_secs(240))
        .await;
    let transcript = transcript.expect("it is complete in the end");
    let segments = transcript["segments"].as_array().expect("a list");
    assert!(
        segments
            .iter()
            .all(|segment| segment["participant"]["id"] == david.id.as_str()),
        "{segments:?}"
    );
    let said: Vec<String> = segments
        .iter()
        .flat_map(|segment| wer::words(segment["text"].as_str().expect("text")))
        .collect();
    let gaps = transcript["gaps"].as_array().expect("a list");
    let meeting = client.meeting(&room.id).await.expect("is there");
    let zero = (begins - super::room::time(&meeting["startTime"])).num_milliseconds();
    // Where each sentence is in what was sent, and a word of it that nothing else sounds like.
    for (from, to, words) in [
        (300, 3_400, ["production", "database", "morning"]),
        (4_300, 6_900, ["hundred", "users", "minutes"]),
    ] {
        let heard = words
            .iter()
            .filter(|word| said.iter().any(|one| one == *word))
            .count();
        let (from, to) = (zero + from, zero + to);
        let told: i64 = gaps
            .iter()
            .map(|gap| {
                let (start, end) = (
                    gap["startMs"].as_i64().expect("a time"),
                    gap["endMs"].as_i64().expect("a time"),
                );
                assert_eq!(gap["participantId"], david.id.as_str(), "{gap}");
                (end.min(to) - start.max(from)).max(0)
            })
            .sum();
        assert!(
            heard >= 2 || told * 2 > to - from,
            "{words:?} neither in {said:?} nor in {gaps:?}"
        );
    }
    server.terminate();
}

/// The process dies behind what two people say at the same time. Of who agreed to both uses the
/// words are found in the recording; of who agreed to transcription only there is nothing to look
/// in, and that is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_heard_is_transcribed_where_its_sound_was_kept() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"language": "en"})).await;
    let (david, emma) = (
        room.guest_who("David", "accepted").await,
        room.guest("Emma").await,
    );
    room.say(&emma, "transcription", "accepted").await;
    let (of_david, of_emma) = tokio::join!(room.line(&david), room.line(&emma));
    let begins = Instant::now() + Duration::from_millis(200);
    let (voice, other) = (
        of_david.speak(&speech("David", 5_400, 9_300), begins),
        of_emma.speak(
            &speech("Emma", 9_200, 11_800),
            begins + Duration::from_millis(1_300),
        ),
    );
    voice.finished().await;
    other.finished().await;
    server.kill();

    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = room.moved(&client).await;
    room.until("the meeting runs again", |event| {
        event.kind() == "recording_state" && event.data()["epoch"].as_i64() >= Some(2)
    })
    .await;
    client.end(&room.id).await.expect("ends");
    let transcript = client
        .wait_transcript_complete(&room.id, Instant::now() + LATE)
        .await
        .expect("it is complete in the end");
    let segments = transcript["segments"].as_array().expect("a list");
    let of = |who: &str| -> Vec<String> {
        segments
            .iter()
            .filter(|segment| segment["participant"]["id"] == who)
            .flat_map(|segment| wer::words(segment["text"].as_str().expect("text")))
            .collect()
    };
    let said = of(&david.id);
    for word in ["production", "database"] {
        assert!(said.iter().any(|one| one == word), "{word}: {transcript}");
    }
    assert!(of(&emma.id).is_empty(), "{transcript}");
    let told: Vec<&Value> = transcript["gaps"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|gap| gap["participantId"] == emma.id.as_str())
        .collect();
    assert!(
        !told.is_empty() && told.iter().all(|gap| gap["reason"] == "not_stored"),
        "{transcript}"
    );
    // The outcome is announced behind the last final.
    eventually("it is ready", LATE, async || {
        let events = room.events();
        events.iter().any(|event| event.data()["state"] == "ready")
    })
    .await;
    let events = room.events();
    let last = |wanted: fn(&Event) -> bool| events.iter().rposition(wanted);
    let spoken = last(|event| event.data()["final"] == true);
    let ready = last(|event| event.data()["state"] == "ready");
    assert!(spoken.is_some() && spoken < ready, "{spoken:?}, {ready:?}");
    server.terminate();
}
