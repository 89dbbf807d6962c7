//! Crashes and storage that misbehaves, from outside: a server is killed or its object storage is taken away, and what the
//! recordings hold afterwards is judged by their sound.

use crate::support::{
    Scratch, eventually,
    faults::{Fault, Faults, Rule},
    s3::Bucket,
    server::Server,
};
use axum::http::Method;
use chrono::{DateTime, Utc};
use hansard::play::{
    client::{Client, Recording, audio_stream},
    sender::{Sender, SenderConfig},
    signal::{Entry, Signal},
    tone::{self, OpusSettings},
};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RATE: u32 = 48_000;
/// A window of the tone's level.
const WINDOW_MS: i64 = 100;
const HZ: [f64; 4] = [500.0, 800.0, 1_300.0, 2_100.0];
/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A server whose storage is behind a layer that can misbehave.
struct Place {
    data: Scratch,
    bucket: Bucket,
    faults: Faults,
}

impl Place {
    async fn new() -> Self {
        let bucket = Bucket::start().await;
        let faults = Faults::before(&bucket).await;
        Self { data: Scratch::new(), bucket, faults }
    }

    fn serve(&self, more: &[(&str, &str)]) -> Server {
        let settings = &self.bucket.settings;
        let mut environment = vec![
            ("S3_ENDPOINT", self.faults.endpoint.as_str()),
            ("S3_PUBLIC_ENDPOINT", settings.endpoint.as_str()),
            ("S3_BUCKET", settings.bucket.as_str()),
            ("S3_ACCESS_KEY_ID", settings.access_key_id.as_str()),
            ("S3_SECRET_ACCESS_KEY", settings.secret_access_key.as_str()),
        ];
        environment.extend(more);
        Server::start("serve", self.data.path(), &["--listen", "127.0.0.1:0"], &environment)
    }

    /// Segment files that wait in the spool.
    fn spooled(&self) -> usize {
        files(&self.data.path().join("spool")).iter().filter(|path| path.ends_with(".mkv")).count()
    }
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { files(&path) } else { vec![path.to_string_lossy().into_owned()] }
        })
        .collect()
}

/// A meeting of people who hum, each at a pitch of their own, until they are told to stop.
struct Choir {
    meeting: String,
    voices: Vec<Voice>,
    stop: CancellationToken,
}

struct Voice {
    participant: String,
    hz: f64,
    /// When the first sample was due.
    begin: DateTime<Utc>,
    sending: JoinHandle<()>,
}

impl Choir {
    async fn begin(client: &Client, people: usize) -> Self {
        let host = client.create_user("host@example.org", "Host").await.expect("a user");
        let meeting = client.create_meeting(&host, json!({"aiEnabled": false})).await.expect("a meeting");
        let mut choir = Self {
            meeting: meeting["id"].as_str().expect("an id").to_owned(),
            voices: Vec::new(),
            stop: CancellationToken::new(),
        };
        for _ in 0..people {
            choir.add(client).await;
        }
        choir
    }

    async fn add(&mut self, client: &Client) {
        let (n, id) = (self.voices.len(), self.meeting.clone());
        let user = client.create_user(&format!("{n}@example.org"), &format!("Singer {n}")).await.expect("a user");
        let joined = client.join(&id, &user).await.expect("joins");
        client.consent(&joined.token, &id, "recording", "accepted").await.expect("agrees");
        let sender = Sender::bind(LOOPBACK, SenderConfig::opus(format!("{n}"))).await.expect("a socket");
        let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
        let to = client.create_stream(&id, request).await.expect("a port").address();
        let hz = HZ[n % HZ.len()];
        let frames = tone::opus(&tone::sine(hz, 0.2, Duration::from_secs(180), RATE), OpusSettings::default());
        let frames = frames.expect("encodes");
        let (stop, begin) = (self.stop.clone(), Utc::now());
        let sending = tokio::spawn(async move {
            sender.run(to, &frames, Instant::now(), &stop).await.expect("sends");
        });
        self.voices.push(Voice { participant: joined.participant_id, hz, begin, sending });
    }

    /// Ends the meeting; answers when the sound ended.
    async fn end(&mut self, client: &Client) -> DateTime<Utc> {
        let ended = Utc::now();
        client.end(&self.meeting).await.expect("ends");
        self.stop.cancel();
        for voice in &mut self.voices {
            (&mut voice.sending).await.expect("the sender does not panic");
        }
        ended
    }

    /// The finished files by sound.
    async fn files(&self, client: &Client, within: Duration) -> Files {
        let meeting = client.meeting(&self.meeting).await.expect("is there");
        let zero: DateTime<Utc> = serde_json::from_value(meeting["startTime"].clone()).expect("a time");
        let recordings =
            client.wait_recordings_ready(&self.meeting, Instant::now() + within).await.expect("all are ready");
        let mut files = Vec::new();
        let scratch = Scratch::new();
        for recording in recordings {
            let path = scratch.path().join(&recording.id);
            std::fs::write(&path, client.download(&recording.id).await.expect("downloads")).expect("writes");
            files.push((recording, tone::decode(&path, RATE).expect("plays")));
        }
        Files { zero, files }
    }
}

struct Files {
    /// MeetingTime 0.
    zero: DateTime<Utc>,
    files: Vec<(Recording, Vec<f32>)>,
}

impl Files {
    fn ms(&self, at: DateTime<Utc>) -> i64 {
        (at - self.zero).num_milliseconds()
    }

    fn track(&self, voice: &Voice) -> &Recording {
        let of = |recording: &Recording| recording.participant_id.as_ref() == Some(&voice.participant);
        &self.files.iter().find(|(recording, _)| of(recording)).expect("a track").0
    }

    /// MeetingTimes (ms) of the windows between two times in which the voice is not heard, in its track and in the mix.
    fn silent(&self, voice: &Voice, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<(String, i64)> {
        let of = |recording: &Recording| {
            recording.kind == "mix" || recording.participant_id.as_ref() == Some(&voice.participant)
        };
        let mut silent = Vec::new();
        let mut seen = 0;
        for (recording, samples) in self.files.iter().filter(|(recording, _)| of(recording)) {
            seen += 1;
            let levels = tone::amplitudes(samples, RATE, voice.hz);
            let begin = recording.start_ms.expect("it is ready");
            let mut at = self.ms(from);
            while at + WINDOW_MS < self.ms(to) {
                let window = usize::try_from((at - begin + WINDOW_MS / 2) / WINDOW_MS).unwrap_or(usize::MAX);
                // The mix is levelled; what is silent lies far below.
                if levels.get(window).is_none_or(|level| tone::dbfs(*level) < -45.0) {
                    silent.push((recording.kind.clone(), at));
                }
                at += WINDOW_MS;
            }
        }
        assert_eq!(seen, 2, "a track and the mix");
        silent
    }

    /// All of a voice is there, but for the spans given.
    fn whole(&self, voice: &Voice, to: DateTime<Utc>, holes: &[(DateTime<Utc>, DateTime<Utc>)]) {
        let mut from = voice.begin + chrono::Duration::milliseconds(1_500);
        for (begin, end) in holes {
            assert_eq!(self.silent(voice, from, *begin), [], "before a hole");
            from = *end;
        }
        assert_eq!(self.silent(voice, from, to - chrono::Duration::milliseconds(300)), [], "to the end");
    }
}

fn later(time: DateTime<Utc>, ms: i64) -> DateTime<Utc> {
    time + chrono::Duration::milliseconds(ms)
}

/// Kills the server in mid-meeting, its storage far away, and starts it again after a while.
async fn killed(people: usize, before: Duration, down: Duration) {
    let place = Place::new().await;
    place.faults.delay(Duration::from_millis(300));
    let server = place.serve(&[]);
    let client = server.client();
    let mut choir = Choir::begin(&client, people).await;
    tokio::time::sleep(before).await;
    server.kill();
    let killed = Utc::now();
    tokio::time::sleep(down).await;
    let server = place.serve(&[]);
    let started = Utc::now();
    let client = server.client();
    // Longer than the spool needs to be taken up, and than any sweep of it.
    eventually("the spool is taken up", SOON, async || place.spooled() <= 4 * people).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ended = choir.end(&client).await;
    let files = choir.files(&client, SOON).await;
    for voice in &choir.voices {
        // A second before the kill may be lost; two after the start.
        files.whole(voice, ended, &[(later(killed, -1_200), later(started, 2_000))]);
        let gaps = &files.track(voice).gaps;
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(gaps[0].reason, "lost");
        let (told, hole) = (gaps[0].end_ms - gaps[0].start_ms, (started - killed).num_milliseconds());
        assert!(told >= hole - 500 && told <= hole + 3_200, "told {told} ms of {hole} ms down");
    }
    eventually("the spool is empty", SOON, async || place.spooled() == 0).await;
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_recording_again_soon_after_its_start() {
    killed(4, Duration::from_secs(10), Duration::from_secs(1)).await;
}

/// Longer than the lease, so that the meeting is claimed at once, while its spool is looked through.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_recording_again_when_its_lease_ran_out_meanwhile() {
    killed(4, Duration::from_secs(10), Duration::from_secs(5)).await;
}

/// Waits until the storage has refused something.
async fn refused(place: &Place, status: u16) {
    let before = place.faults.seen().len();
    eventually("storage was asked in vain", SOON, async || {
        place.faults.seen()[before..].iter().any(|seen| seen.status == status)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_storage_refuses_for_a_while_is_not_lost() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut choir = Choir::begin(&client, 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for (status, code) in
        [(403, "AccessDenied"), (400, "InvalidRequest"), (404, "NoSuchBucket"), (500, "InternalError")]
    {
        place.faults.set(&[Rule::on(Fault::Answer(status, code), &[Method::PUT])]);
        refused(&place, status).await;
    }
    // A clock that is wrong, and then nobody there at all.
    place.faults.set(&[Rule::all(Fault::Answer(403, "RequestTimeTooSkewed"))]);
    refused(&place, 403).await;
    place.faults.refuse();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(place.spooled() > 4, "segments wait in the spool");
    place.faults.heal();
    eventually("the backlog is stored", SOON, async || {
        let stored = |path: &str| {
            place.faults.seen().iter().filter(|seen| seen.path.contains(path) && seen.status == 200).count()
        };
        stored("/live/") > 20
    })
    .await;
    let ended = choir.end(&client).await;
    let files = choir.files(&client, SOON).await;
    for voice in &choir.voices {
        files.whole(voice, ended, &[]);
        assert!(files.track(voice).gaps.is_empty(), "{:?}", files.track(voice).gaps);
    }
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_that_ends_without_storage_gets_its_files_afterwards() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let url = format!("{}/v1/signal", client.base_url().replacen("http", "ws", 1));
    let mut choir = Choir::begin(&client, 2).await;
    let entry = Entry::Observer { api_key: client.api_key().into(), meeting_id: choir.meeting.clone() };
    let mut signal = Signal::connect(&url, &entry, Some(0)).await.expect("observes");
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Some segments are stored; the rest of the meeting is not, and its end neither.
    place.faults.set(&[Rule::all(Fault::Swallow)]);
    tokio::time::sleep(Duration::from_secs(9)).await;
    let ended = choir.end(&client).await;
    signal
        .wait_for(Instant::now() + SOON, |event| {
            event.kind() == "recording_state" && event.data()["state"] == "finalising"
        })
        .await
        .expect("capture ends without storage");
    place.faults.refuse();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let recordings = client.recordings(&choir.meeting).await.expect("lists");
    assert!(recordings.iter().all(|recording| recording.status == "processing"), "{recordings:?}");
    let spooled = place.spooled();
    assert!(spooled >= 4, "{spooled}");
    place.faults.heal();
    // By the same process, without a restart, and with nothing missing in the first files that are told of.
    let files = choir.files(&client, Duration::from_secs(90)).await;
    for voice in &choir.voices {
        files.whole(voice, ended, &[]);
        assert!(files.track(voice).gaps.is_empty(), "{:?}", files.track(voice).gaps);
    }
    eventually("the spool is empty", SOON, async || place.spooled() == 0).await;
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_costs_what_comes_meanwhile_and_is_told() {
    let place = Place::new().await;
    let server = place.serve(&[("HANSARD_SPOOL_MAX", "60000")]);
    let client = server.client();
    let mut choir = Choir::begin(&client, 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    place.faults.refuse();
    let metrics =
        async || reqwest::get(format!("{}/metrics", server.ops)).await.expect("answers").text().await.expect("text");
    eventually("the spool is full", SOON, async || metrics().await.contains("hansard_spool_full 1")).await;
    let full = Utc::now();
    tokio::time::sleep(Duration::from_secs(8)).await;
    place.faults.heal();
    // A newcomer while there is no room is recorded as soon as there is.
    choir.add(&client).await;
    eventually("the spool has room", Duration::from_secs(120), async || {
        metrics().await.contains("hansard_spool_full 0")
    })
    .await;
    let room = Utc::now();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ended = choir.end(&client).await;
    let files = choir.files(&client, SOON).await;
    let voice = &choir.voices[0];
    files.whole(voice, ended, &[(later(full, -6_000), later(room, 1_500))]);
    let gaps = &files.track(voice).gaps;
    assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap.reason == "lost"), "{gaps:?}");
    assert_eq!(files.silent(&choir.voices[1], later(room, 2_000), later(ended, -300)), [], "the newcomer");
    server.terminate();
}

/// One file of a dead process cannot be read: the rest of its meeting is there all the same, and nobody waits for it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_in_the_spool_costs_its_own_span() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut choir = Choir::begin(&client, 1).await;
    place.faults.refuse();
    eventually("segments wait in the spool", SOON, async || place.spooled() >= 4).await;
    server.kill();
    let mut segments: Vec<String> = files(&place.data.path().join("spool"));
    segments.retain(|path| path.ends_with("/1-1.mkv") || path.ends_with("/1-2.mkv"));
    assert_eq!(segments.len(), 1, "{segments:?}");
    std::fs::write(&segments[0], vec![7; 5_000]).expect("writes");
    place.faults.heal();
    let server = place.serve(&[]);
    let started = Utc::now();
    let client = server.client();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ended = choir.end(&client).await;
    let files = choir.files(&client, SOON).await;
    let voice = &choir.voices[0];
    assert_eq!(files.silent(voice, later(started, 3_000), later(ended, -300)), [], "after the restart");
    let gaps = &files.track(voice).gaps;
    assert!(gaps.iter().all(|gap| gap.reason == "lost") && gaps.len() == 2, "{gaps:?}");
    assert!((3_500..=4_500).contains(&(gaps[0].end_ms - gaps[0].start_ms)), "{gaps:?}");
    server.terminate();
}
