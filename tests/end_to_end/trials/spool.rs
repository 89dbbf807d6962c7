//! Crashes and storage that misbehaves, from outside: a server is killed or its object storage is
//! taken away, and what the recordings hold afterwards is judged by their sound.

use super::{
    jobs::tone_seconds,
    support::{
        eventually,
        faults::{Fault, Rule},
        place::{self, Place, Spooled},
        tone_meeting::{ToneMeeting, later},
    },
};
use axum::http::Method;
use chrono::Utc;
use hansard_client::signal::Signal;
use std::time::{Duration, Instant};

/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Kills the server in mid-meeting, its storage far away, and starts it again after a while.
async fn killed(people: usize, before: Duration, down: Duration) {
    let place = Place::new().await;
    place.faults.delay(Duration::from_millis(300));
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, people).await;
    tokio::time::sleep(before).await;
    server.kill();
    let killed = Utc::now();
    let epoch = tones.epoch(place.data.path());
    tokio::time::sleep(down).await;
    let server = place.serve(&[]);
    let started = Utc::now();
    let again = tones
        .recorded(place.data.path(), |one| one.epoch > epoch)
        .await;
    let client = server.client();
    // Longer than the spool needs to be taken up, and than any sweep of it.
    eventually("the spool is taken up", SOON, async || {
        place.spooled() <= 4 * people
    })
    .await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ended = tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    for voice in &tones.voices {
        // A second before the kill may be lost.
        files.whole(voice, ended, &[(later(killed, -1_200), again)]);
        let gaps = &files.track(voice).gaps;
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(gaps[0].reason, "lost");
        let told = gaps[0].end_ms - gaps[0].start_ms;
        let least = (started - killed).num_milliseconds() - 500;
        let most = (again - killed).num_milliseconds() + 1_200;
        assert!(
            (least..=most).contains(&told),
            "told {told} ms, not {least} to {most}"
        );
    }
    eventually("the spool is empty", SOON, async || place.spooled() == 0).await;
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_recording_again_soon_after_its_start() {
    killed(4, Duration::from_secs(10), Duration::from_secs(1)).await;
}

/// Longer than the lease, so that the meeting is claimed at once, while its spool is looked
/// through.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_recording_again_when_its_lease_ran_out_meanwhile() {
    killed(4, Duration::from_secs(10), Duration::from_secs(5)).await;
}

/// Waits until the storage has refused something.
async fn refused(place: &Place, status: u16) {
    let before = place.faults.seen().len();
    eventually("storage was asked in vain", SOON, async || {
        place.faults.seen()[before..]
            .iter()
            .any(|seen| seen.status == status)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_storage_refuses_for_a_while_is_not_lost() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for (status, code) in [
        (403, "AccessDenied"),
        (400, "InvalidRequest"),
        (404, "NoSuchBucket"),
        (500, "InternalError"),
    ] {
        place
            .faults
            .set(&[Rule::on(Fault::Answer(status, code), &[Method::PUT])]);
        refused(&place, status).await;
    }
    // A clock that is wrong, and then nobody there at all.
    place
        .faults
        .set(&[Rule::all(Fault::Answer(403, "RequestTimeTooSkewed"))]);
    refused(&place, 403).await;
    place.faults.refuse();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(place.spooled() > 4, "segments wait in the spool");
    place.faults.heal();
    eventually("the backlog is stored", SOON, async || {
        let stored = |path: &str| {
            place
                .faults
                .seen()
                .iter()
                .filter(|seen| seen.path.contains(path) && seen.status == 200)
                .count()
        };
        stored("/live/") > 20
    })
    .await;
    let ended = tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    for voice in &tones.voices {
        files.whole(voice, ended, &[]);
        assert!(
            files.track(voice).gaps.is_empty(),
            "{:?}",
            files.track(voice).gaps
        );
    }
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_that_ends_without_storage_gets_its_files_afterwards() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    let mut signal = Signal::observe(&client, &tones.meeting, Some(0))
        .await
        .expect("observes");
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Some segments are stored; the rest of the meeting is not, and its end neither.
    place.faults.set(&[Rule::all(Fault::Swallow)]);
    tokio::time::sleep(Duration::from_secs(9)).await;
    let ended = tones.end(&client).await;
    signal
        .wait_for(Instant::now() + SOON, |event| {
            event.kind() == "recording_state" && event.data()["state"] == "finalising"
        })
        .await
        .expect("capture ends without storage");
    place.faults.refuse();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let recordings = client.recordings(&tones.meeting).await.expect("lists");
    assert!(
        recordings
            .iter()
            .all(|recording| recording.status == "processing"),
        "{recordings:?}"
    );
    let spooled = place.spooled();
    assert!(spooled >= 4, "{spooled}");
    place.faults.heal();
    // By the same process, without a restart, and with nothing missing in the first files that are
    // told of.
    let files = tones.files(&client, Duration::from_secs(90)).await;
    for voice in &tones.voices {
        files.whole(voice, ended, &[]);
        assert!(
            files.track(voice).gaps.is_empty(),
            "{:?}",
            files.track(voice).gaps
        );
    }
    eventually("the spool is empty", SOON, async || place.spooled() == 0).await;
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_costs_what_comes_meanwhile_and_is_told() {
    let place = Place::new().await;
    // Three quarters of a minute of one voice.
    let server = place.serve(&["--spool-max", "220000"]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    place.faults.refuse();
    let metrics = async || {
        reqwest::get(format!("{}/metrics", server.ops))
            .await
            .expect("answers")
            .text()
            .await
            .expect("text")
    };
    eventually("the spool is full", Duration::from_secs(90), async || {
        metrics().await.contains("hansard_spool_full 1")
    })
    .await;
    let full = Utc::now();
    tokio::time::sleep(Duration::from_secs(8)).await;
    place.faults.heal();
    // A newcomer while there is no room is recorded as soon as there is.
    tones.add(&client).await;
    // What is stored now does not keep others out for the minute that it would stay.
    eventually("the spool has room", SOON, async || {
        metrics().await.contains("hansard_spool_full 0")
    })
    .await;
    let before: Vec<_> = place::segments(place.data.path())
        .into_iter()
        .map(|one| one.path)
        .collect();
    // From the next segment on.
    let again = tones
        .recorded(place.data.path(), |one| !before.contains(&one.path))
        .await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ended = tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    let voice = &tones.voices[0];
    files.whole(voice, ended, &[(later(full, -6_000), again)]);
    let gaps = &files.track(voice).gaps;
    assert!(
        !gaps.is_empty() && gaps.iter().all(|gap| gap.reason == "lost"),
        "{gaps:?}"
    );
    assert_eq!(
        files.silent(&tones.voices[1], again, later(ended, -300)),
        [],
        "the newcomer"
    );
    server.terminate();
}

/// A sealed segment of seconds that lies between others: what is lost with it is a gap by itself.
fn amid_others(place: &Place) -> Option<Spooled> {
    let all = place::segments(place.data.path());
    let last = all.last()?.name.n;
    let long =
        |path: &std::path::Path| std::fs::metadata(path).is_ok_and(|file| file.len() > 8_000);
    all.into_iter()
        .find(|one| (1..last.saturating_sub(1)).contains(&one.name.n) && long(&one.path))
}

/// One file of a dead process cannot be read: the rest of its meeting is there all the same, and
/// nobody waits for it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_in_the_spool_costs_its_own_span() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 1).await;
    place.faults.refuse();
    eventually("segments wait in the spool", SOON, async || {
        amid_others(&place).is_some()
    })
    .await;
    server.kill();
    let epoch = tones.epoch(place.data.path());
    let broken = amid_others(&place).expect("it was there").path;
    // How long it is depends on what came late: a busy machine cuts more often.
    let lost = tone_seconds(&broken, tones.voices[0].hz);
    std::fs::write(&broken, vec![7; 5_000]).expect("writes");
    place.faults.heal();
    let server = place.serve(&[]);
    let again = tones
        .recorded(place.data.path(), |one| one.epoch > epoch)
        .await;
    let client = server.client();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ended = tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    let voice = &tones.voices[0];
    assert_eq!(
        files.silent(voice, again, later(ended, -300)),
        [],
        "after the restart"
    );
    let gaps = &files.track(voice).gaps;
    assert!(
        gaps.iter().all(|gap| gap.reason == "lost") && gaps.len() == 2,
        "{gaps:?}"
    );
    let told = (gaps[0].end_ms - gaps[0].start_ms) as f64 / 1e3;
    assert!((told - lost).abs() <= 0.5, "{gaps:?} of {lost} s");
    server.terminate();
}
