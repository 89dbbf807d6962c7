//! `kill -9` in mid-meeting, and a restart on the same data folder: the meeting goes on as the same
//! recording, its streams have their old ports, and nothing that was listed is missing.

use crate::support::{Scratch, eventually, patiently, place::files, server::Server};
use hansard_client::{
    rest::audio_stream,
    sender::{Frame, Sender, SenderConfig},
    signal::Signal,
    tone::{self, OpusSettings},
};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RATE: u32 = 48_000;
const HZ: f64 = 700.0;
/// On a busy machine.
const SOON: Duration = Duration::from_secs(90);

fn hum(length: Duration) -> Vec<Frame> {
    tone::opus(&tone::sine(HZ, 0.3, length, RATE), OpusSettings::default()).expect("encodes")
}

/// The level of the tone per 100 ms window, in dBFS.
fn levels(bytes: &[u8]) -> Vec<f64> {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    std::fs::write(&path, bytes).expect("writes");
    let samples = tone::decode(&path, RATE).expect("plays");
    tone::amplitudes(&samples, RATE, HZ)
        .into_iter()
        .map(tone::dbfs)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_goes_on_with_the_same_recording() {
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let user = client
        .create_user("ana@example.org", "Ana")
        .await
        .expect("a user");
    let meeting = patiently("a meeting", SOON, || {
        client.create_meeting(&user, json!({"aiEnabled": false}))
    })
    .await;
    let id = meeting["id"].as_str().expect("an id").to_owned();
    let joined = client.join(&id, &user).await.expect("joins");
    client
        .consent(&joined.token, &id, "recording", "accepted")
        .await
        .expect("agrees");
    let sender = Sender::bind(LOOPBACK, SenderConfig::opus("ana"))
        .await
        .expect("a socket");
    let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
    let stream = patiently("a port", SOON, || {
        client.create_stream(&id, request.clone())
    })
    .await;
    let stop = CancellationToken::new();
    let sending = {
        let (stop, to, frames) = (
            stop.clone(),
            stream.address(),
            hum(Duration::from_secs(240)),
        );
        tokio::spawn(async move { sender.run(to, &frames, Instant::now(), &stop).await })
    };
    eventually("a segment is listed", SOON, async || {
        let recordings = client.recordings(&id).await.expect("lists");
        recordings
            .iter()
            .any(|recording| recording.status == "recording")
            && segments(data.path(), &id, 1) > 0
    })
    .await;
    let before = client.recordings(&id).await.expect("lists");
    server.kill();

    let server = Server::serve(data.path());
    let client = server.client();
    let mut signal = Signal::observe(&client, &id, Some(0))
        .await
        .expect("observes");
    eventually("the meeting runs again", SOON, async || {
        let participants = client.participants(&id).await.expect("lists");
        participants[0]["present"] == true && segments(data.path(), &id, 2) > 0
    })
    .await;
    let after = client.recordings(&id).await.expect("lists");
    assert_eq!(before[0].id, after[0].id, "it is the same recording");

    client.end(&id).await.expect("ends");
    signal
        .wait_for(Instant::now() + SOON, |event| {
            event.kind() == "recording_state" && event.data()["state"] == "ready"
        })
        .await
        .expect("the files are made");
    stop.cancel();
    sending
        .await
        .expect("the sender did not panic")
        .expect("it could send");
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    assert_eq!(recordings.len(), 2, "one track and the mix");
    // In the mix the hole is silence; in the track it is a step of the time stamps.
    let mix = recordings
        .iter()
        .find(|recording| recording.kind == "mix")
        .expect("a mix");
    let levels = levels(&client.download(&mix.id).await.expect("downloads"));
    let hole: Vec<usize> = (2..levels.len() - 2)
        .filter(|n| levels[*n] < -30.0)
        .collect();
    let (first, last) = (
        *hole.first().expect("there is a hole"),
        *hole.last().expect("there is a hole"),
    );
    // One hole: while no process listened, and at most a second of what the dead one had received.
    assert_eq!(
        last - first + 1,
        hole.len(),
        "one hole, not several: {hole:?}"
    );
    assert!(
        first > 30 && last + 10 < levels.len(),
        "sound before and after the hole"
    );
    let track = recordings
        .iter()
        .find(|recording| recording.kind == "track")
        .expect("a track");
    assert_eq!(track.gaps.len(), 1, "{:?}", track.gaps);
    assert_eq!(track.gaps[0].reason, "lost");
    // What is told is the time in which nobody listened; the dead process may have lost up to a
    // second more.
    let hole_ms = i64::try_from((last - first + 1) * 100).expect("short");
    let told_ms = track.gaps[0].end_ms - track.gaps[0].start_ms;
    assert!(
        (-1_200..=200).contains(&(told_ms - hole_ms)),
        "{:?} {hole:?}",
        track.gaps
    );
    server.terminate();
}

/// SIGTERM of `serve` ends its meetings, and their files are there at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_server_ends_its_meetings_with_their_files() {
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let user = client
        .create_user("ben@example.org", "Ben")
        .await
        .expect("a user");
    let meeting = patiently("a meeting", SOON, || {
        client.create_meeting(&user, json!({"aiEnabled": false}))
    })
    .await;
    let id = meeting["id"].as_str().expect("an id").to_owned();
    let joined = client.join(&id, &user).await.expect("joins");
    client
        .consent(&joined.token, &id, "recording", "accepted")
        .await
        .expect("agrees");
    let sender = Sender::bind(LOOPBACK, SenderConfig::opus("ben"))
        .await
        .expect("a socket");
    let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
    let stream = patiently("a port", SOON, || {
        client.create_stream(&id, request.clone())
    })
    .await;
    let frames = hum(Duration::from_secs(6));
    sender
        .run(
            stream.address(),
            &frames,
            Instant::now(),
            &CancellationToken::new(),
        )
        .await
        .expect("sends");
    server.terminate();

    let server = Server::serve(data.path());
    let client = server.client();
    assert_eq!(
        client.meeting(&id).await.expect("is there")["status"],
        "ended"
    );
    let recordings = client.recordings(&id).await.expect("lists");
    assert_eq!(recordings.len(), 2, "one track and the mix");
    for recording in recordings {
        assert_eq!(recording.status, "ready");
        let levels = levels(&client.download(&recording.id).await.expect("downloads"));
        assert!(
            (50..=62).contains(&levels.len()),
            "{} has {} windows",
            recording.kind,
            levels.len()
        );
    }
    assert_eq!(
        client.transcript(&id).await.expect("is there")["complete"],
        true
    );
    server.terminate();
}

/// Segments that a meeting's holder of this epoch has put into the store on disk.
fn segments(data: &Path, meeting: &str, epoch: i64) -> usize {
    let holder = format!("/{meeting}/{epoch}/");
    let stored = files(&data.join("s3"))
        .into_iter()
        .map(|path| path.to_string_lossy().into_owned());
    stored
        .filter(|path| path.contains("/live/") && path.contains(&holder))
        .count()
}
