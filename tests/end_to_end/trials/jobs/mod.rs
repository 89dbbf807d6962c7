//! Jobs behind the meetings, from outside: storage that is away or far, objects that are gone or
//! broken, packets that cannot be decoded, nobody who takes a job. Files are judged by their sound.

mod gone;
mod nobody;
mod storage;
mod withdrawal;

use super::support::{
    Scratch, eventually,
    faults::{Fault, Rule},
    inventory::{listed, rows},
    patiently,
    place::{self, Place},
    postgres,
    server::Server,
    stored::{StoredMeeting, fetched},
};
use axum::http::Method;
use chrono::{DateTime, TimeDelta, Utc};
use hansard::{
    command,
    domain::{
        consent::{ConsentStatus, ConsentType},
        id::ConsentId,
        tiering::Tier,
    },
    store::{Store, backlog, consent::ConsentDecision, new_id},
};
use hansard_client::{
    rest::{Client, Recording, audio_stream},
    sender::{Frame, Sender, SenderConfig},
    signal::{Entry, Signal},
    tone::{self, OpusSettings},
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const RATE: u32 = 48_000;
/// On a busy machine.
pub const SOON: Duration = Duration::from_secs(90);

/// Runs a command of `hansard` beside the server: its exit code and what it prints.
pub fn run(place: &Place, command: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args(command)
        .arg("--data")
        .arg(place.data.path())
        .envs(place.environment())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code(), said)
}

/// What `hansard jobs …` prints.
pub fn jobs(place: &Place, arguments: &[&str]) -> String {
    let (code, said) = run(place, &[&["jobs"], arguments].concat());
    assert_eq!(code, Some(0), "{said}");
    said
}

/// Keys of the stored segments, in their order.
pub async fn segments(place: &Place) -> Vec<String> {
    let listed = place
        .bucket
        .objects
        .list("live/", 1_000)
        .await
        .expect("lists");
    let mut keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
    let number = |key: &str| -> u32 {
        let name = key.rsplit('/').next().unwrap_or_default();
        name.split('-')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or_default()
    };
    keys.sort_by_key(|key| number(key));
    keys
}

pub async fn ready(server: &Server) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/readyz", server.ops))
        .await
        .expect("answers");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

/// Waits until the process says that this is wrong, or that nothing is.
pub async fn told(server: &Server, reason: Option<&str>) {
    eventually("what is wrong is told", SOON, async || {
        let (status, body) = ready(server).await;
        assert_eq!(status, 200, "{body}");
        let listed = body["degraded"].as_array().expect("a list");
        reason.map_or(listed.is_empty(), |reason| {
            listed.iter().any(|one| one == reason)
        })
    })
    .await;
}

pub async fn meeting(client: &Client) -> String {
    let host = client
        .create_user("host@example.org", "Host")
        .await
        .expect("a user");
    let meeting = patiently("a meeting", SOON, || {
        client.create_meeting(&host, json!({"aiEnabled": false}))
    })
    .await;
    meeting["id"].as_str().expect("an id").to_owned()
}

/// Somebody who sends these frames.
pub struct Voice {
    pub participant: String,
    pub sending: tokio::task::JoinHandle<()>,
}

pub async fn voice(client: &Client, meeting: &str, name: &str, frames: Vec<Frame>) -> Voice {
    let user = client
        .create_user(&format!("{name}@example.org"), name)
        .await
        .expect("a user");
    let joined = client.join(meeting, &user).await.expect("joins");
    client
        .consent(&joined.token, meeting, "recording", "accepted")
        .await
        .expect("agrees");
    let sender = Sender::bind(LOOPBACK, SenderConfig::opus(name))
        .await
        .expect("a socket");
    let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
    let to = patiently("a port", SOON, || {
        client.create_stream(meeting, request.clone())
    })
    .await
    .address();
    let sending = tokio::spawn(async move {
        let stop = CancellationToken::new();
        sender
            .run(to, &frames, Instant::now(), &stop)
            .await
            .expect("sends");
    });
    Voice {
        participant: joined.participant_id,
        sending,
    }
}

pub fn hum(hz: f64, seconds: u64) -> Vec<Frame> {
    let sound = tone::sine(hz, 0.2, Duration::from_secs(seconds), RATE);
    tone::opus(&sound, OpusSettings::default()).expect("encodes")
}

/// How much of the file has this tone, in seconds.
pub async fn seconds_of(client: &Client, recording: &Recording, hz: f64) -> f64 {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    std::fs::write(
        &path,
        client.download(&recording.id).await.expect("downloads"),
    )
    .expect("writes");
    tone_seconds(&path, hz)
}

/// For how long a file has this tone.
pub fn tone_seconds(path: &Path, hz: f64) -> f64 {
    let samples = tone::decode(path, RATE).expect("plays");
    let windows = tone::amplitudes(&samples, RATE, hz);
    let heard = windows
        .iter()
        .filter(|level| tone::dbfs(**level) > -45.0)
        .count();
    heard as f64 * samples.len() as f64 / f64::from(RATE) / windows.len().max(1) as f64
}

/// The most that any sound in the spool may be later than its place, in seconds: so much more goes
/// with a withdrawal.
pub fn late_seconds(place: &Place) -> f64 {
    let late = place::segments(place.data.path());
    let late = late.iter().map(|one| one.name.late.as_ms()).max();
    late.unwrap_or(0) as f64 / 1e3
}

pub fn mix(recordings: &[Recording]) -> &Recording {
    recordings
        .iter()
        .find(|one| one.kind == "mix")
        .expect("a mix")
}
