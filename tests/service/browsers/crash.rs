//! Three people talk, each with an answer of their own about what is kept; one changes it in
//! mid-sentence, and then the server dies.

use super::{
    KEPT_MAX_MS, meeting,
    person::{Desk, Person, READY_MAX, ROOM, SENT, places},
    voice::{self, Tail},
};
use crate::{
    browser::packages,
    support::{Scratch, eventually, free_ports, server::Server},
};
use chrono::{DateTime, Utc};
use hansard_client::{rest::Recording, wer};
use serde_json::Value;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// More than the meeting takes, on a busy machine.
const VOICE: Duration = Duration::from_secs(600);
/// Whose lines the page shows, and when they begin in the meeting.
const SAID: &str =
    "return element.room.captions.finals.map(({ speaker, startMs }) => [speaker, startMs])";

/// The same addresses after a crash.
fn serve(data: &Path, ports: [u16; 2]) -> Server {
    let [listen, storage] = ports.map(|port| format!("127.0.0.1:{port}"));
    let arguments = ["--listen", &listen, "--s3-listen", &storage];
    Server::start("serve", data, &arguments, &[])
}

/// What a page's history shows of somebody.
async fn lines_of(person: &mut Person, name: &str) -> Vec<String> {
    let lines = person.texts("[role=log] .line").await;
    let own = lines.iter().filter_map(|line| line.strip_prefix(name));
    own.map(|line| line.trim().to_owned()).collect()
}

fn words(lines: &[String]) -> usize {
    lines.iter().map(|line| wer::words(line).len()).sum()
}

async fn until_lines(person: &mut Person, name: &str, what: impl Fn(&[String]) -> bool) {
    let begun = Instant::now();
    loop {
        let lines = lines_of(person, name).await;
        if what(&lines) {
            return;
        }
        assert!(begun.elapsed() < READY_MAX, "{name}: {lines:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The three are in one meeting all the time; so are all that is tried of them.
#[tokio::test(flavor = "multi_thread")]
async fn three_people_talk_one_withdraws_and_a_crash_parts_nobody() {
    let _places = places(3).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let ports = free_ports();
    let server = serve(data.path(), ports);
    let client = server.client();
    let (_, id, link) = meeting(&client).await;
    let mut people = Vec::new();
    let mut scripts = Vec::new();
    for (name, answer, tail) in [
        ("David", "agree", Tail::Sentences),
        ("Emma", "agree", Tail::Unbroken),
        ("Frank", "decline", Tail::Sentences),
    ] {
        let path = scratch.path().join(format!("{name}.wav"));
        scripts.push(voice::write(&path, name, tail, VOICE).await);
        let desk = Desk {
            voice: Some(&path),
            once: true,
            ..Desk::default()
        };
        let mut person = Person::at(&packages, &desk);
        person.join_listening(&link, name, answer).await;
        people.push(person);
    }
    // Each voice begins when its microphone is opened.
    for person in &mut people {
        person.click("#mute").await;
    }
    let Ok([mut david, mut emma, mut frank]) = <[Person; 3]>::try_from(people) else {
        unreachable!("there are three");
    };
    david.hears(&["Emma", "Frank"]).await;
    emma.hears(&["David", "Frank"]).await;
    frank.hears(&["David", "Emma"]).await;

    let mut errors = wer::Errors::default();
    for page in [&mut david, &mut emma, &mut frank] {
        for (name, script) in [("David", &scripts[0]), ("Emma", &scripts[1])] {
            let most = wer::words(script).len() * 9 / 10;
            until_lines(page, name, |lines| words(lines) >= most).await;
        }
        assert_eq!(lines_of(page, "Frank").await, Vec::<String>::new());
    }
    // The last words of the script are final once something behind it is.
    for (name, script) in [("David", &scripts[0]), ("Emma", &scripts[1])] {
        let all = wer::words(script).len();
        until_lines(&mut frank, name, |lines| words(lines) > all).await;
        let lines = lines_of(&mut frank, name).await;
        let found = voice::errors(script, &lines);
        println!("{name}: {found:?} of {script:?} in {lines:?}");
        errors = errors + found;
    }
    // Three browsers play and hear in real time here, which costs some of it.
    assert!(errors.rate() <= 0.15, "{errors:?}");

    // One click in mid-sentence: Emma talks without a pause.
    david
        .until(
            ROOM,
            "return element.room.captions.partials.map(({ speaker }) => speaker)",
            |speak| {
                speak
                    .as_array()
                    .is_some_and(|names| names.contains(&"Emma".into()))
            },
        )
        .await;
    emma.click("#withdraw").await;
    emma.gone("#withdraw").await;
    for page in [&mut david, &mut emma, &mut frank] {
        page.wait("hansard-tile:has-text('Emma'):has-text('Nothing kept')")
            .await;
    }
    let sent = emma.read(ROOM, SENT).await.as_u64();
    emma.until(ROOM, SENT, |now| now.as_u64() > sent).await;
    david.hears(&["Emma", "Frank"]).await;
    let withdrawn: DateTime<Utc> = {
        let log = client.consents(&id).await.expect("the log");
        let entry = log.iter().find(|entry| entry["status"] == "withdrawn");
        let entry = entry.expect("she withdrew");
        serde_json::from_value(entry["timestamp"].clone()).expect("a time")
    };

    let tracks = |recordings: Vec<Recording>| -> Vec<Recording> {
        let tracks = recordings.into_iter();
        tracks
            .filter(|recording| recording.kind == "track")
            .collect()
    };
    eventually("both are recorded", READY_MAX, async || {
        tracks(client.recordings(&id).await.expect("lists")).len() == 2
    })
    .await;
    let before = tracks(client.recordings(&id).await.expect("lists"));
    let known = client.participants(&id).await.expect("people");
    let heard = lines_of(&mut frank, "David").await.len();
    server.kill();
    for page in [&mut david, &mut emma, &mut frank] {
        page.wait("text=The connection was lost").await;
    }
    let server = serve(data.path(), ports);
    let client = server.client();
    david.hears(&["Emma", "Frank"]).await;
    emma.hears(&["David", "Frank"]).await;
    frank.hears(&["David", "Emma"]).await;
    for page in [&mut david, &mut emma, &mut frank] {
        until_lines(page, "David", |lines| lines.len() > heard + 1).await;
        page.wait("#leave").await;
    }
    let shown = frank.read(ROOM, SAID).await;
    let shown: Vec<(String, i64)> = serde_json::from_value(shown).expect("lines");
    assert_eq!(lines_of(&mut frank, "Frank").await, Vec::<String>::new());
    let after = client.participants(&id).await.expect("people");
    let ids = |people: &[Value]| -> Vec<Value> {
        people.iter().map(|person| person["id"].clone()).collect()
    };
    assert_eq!(ids(&known), ids(&after));

    let ended = client.end(&id).await.expect("ends");
    for page in [&mut david, &mut emma, &mut frank] {
        page.wait("text=The meeting has ended").await;
    }
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + READY_MAX)
        .await
        .expect("ready");
    let transcript = client
        .wait_transcript_complete(&id, Instant::now() + READY_MAX)
        .await
        .expect("complete");
    let kept = tracks(recordings);
    let ids = |tracks: &[Recording]| -> Vec<String> {
        let mut ids: Vec<_> = tracks.iter().map(|track| track.id.clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&kept), ids(&before), "the same two went on");
    let who = |name: &str| -> String {
        let person = after.iter().find(|person| person["displayName"] == name);
        person.expect("they joined")["id"]
            .as_str()
            .expect("an id")
            .into()
    };
    let of = |name: &str| {
        let id = who(name);
        let track = kept
            .iter()
            .find(|track| track.participant_id.as_ref() == Some(&id));
        track.expect("a track")
    };
    let gaps = &of("David").gaps;
    println!("David's gaps: {gaps:?}");
    assert!(gaps.iter().any(|gap| gap.reason == "lost"), "{gaps:?}");
    let start: DateTime<Utc> = serde_json::from_value(ended["startTime"].clone()).expect("a time");
    let withdrawn_ms = (withdrawn - start).num_milliseconds();
    // What was decoding when she withdrew is told later; nothing that she said since.
    let mut of_emma = shown.iter().filter(|(name, _)| name == "Emma");
    assert!(of_emma.all(|(_, from)| *from < withdrawn_ms), "{shown:?}");
    let track = of("Emma");
    let end_ms = track.start_ms.expect("ready") + track.duration_ms.expect("ready");
    println!(
        "Emma's track ends {} ms after she withdrew",
        end_ms - withdrawn_ms
    );
    assert!(
        end_ms <= withdrawn_ms + KEPT_MAX_MS,
        "{end_ms}, {withdrawn_ms}"
    );
    for segment in transcript["segments"].as_array().expect("a list") {
        let name = segment["participant"]["displayName"]
            .as_str()
            .expect("a name");
        let from = segment["startMs"].as_i64().expect("a number");
        assert!(
            name == "David" || name == "Emma" && from < withdrawn_ms,
            "{segment}"
        );
    }
    for person in [david, emma, frank] {
        person.leave().await;
    }
    server.terminate();
}
