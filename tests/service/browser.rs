//! A real Chromium as a participant: what its microphone hears becomes captions and a track.

use crate::{
    browsers::{person::places, voice},
    clients::{here, installed, run},
    support::{Scratch, eventually, server::Server},
};
use hansard_client::{
    rest::Client,
    signal::{Event, Signal},
    tone, wer,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// A browser starts, on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// The voice, and what is behind on a busy machine.
const PLAY_MAX: Duration = Duration::from_secs(120);
/// Of the voice.
const SPOKEN_MS: i64 = 16_000;
pub const RATE: u32 = 48_000;

/// Its process, and what it told.
struct Browser {
    child: Child,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Browser {
    fn start(packages: &Path, client: &Client, token: &str, wav: &Path, camera: bool) -> Self {
        let mut child = Command::new("node")
            .arg(here("browser/run.mjs"))
            .arg(client.base_url())
            .arg(client.signal_url())
            .arg(token)
            .arg(wav)
            .args(camera.then_some("camera"))
            .current_dir(packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (stdout, hears) = (child.stdout.take().expect("it is piped"), told.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| json!({"line": line}));
                hears.lock().expect("no holder panics").push(value);
            }
        });
        Self { child, told }
    }

    fn told(&self) -> Vec<Value> {
        self.told.lock().expect("no holder panics").clone()
    }

    async fn until(&self, what: &str, at_most: Duration, wanted: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        while !self.told().iter().any(&wanted) {
            assert!(begun.elapsed() < at_most, "{what}: {:?}", self.told());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its input ends it; not to be waited for long.
        drop(self.child.stdin.take());
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(10) {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What drives a browser, from npm, once.
pub async fn packages() -> PathBuf {
    let installing = tokio::task::spawn_blocking(|| {
        let files = ["browser/package.json", "browser/package-lock.json"];
        installed("browser", &files, |folder| {
            for file in ["package.json", "package-lock.json"] {
                fs::copy(here("browser").join(file), folder.join(file)).expect("there is room");
            }
            let mut npm = Command::new("npm");
            npm.args(["ci", "--silent", "--no-audit", "--no-fund"]);
            run("npm", npm.current_dir(folder));
        })
    });
    installing.await.expect("they are installed")
}

/// 16-bit mono.
pub fn wav(path: &Path, samples: &[f32]) {
    let bytes = samples.len() as u32 * 2;
    let mut file = Vec::with_capacity(44 + bytes as usize);
    file.extend(b"RIFF");
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 2).to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    for sample in samples {
        let sample = (sample.clamp(-1.0, 1.0) * 32_767.0) as i16;
        file.extend(sample.to_le_bytes());
    }
    fs::write(path, file).expect("there is room");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_voice_from_chromium_to_a_caption() {
    let _place = places(1).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let path = scratch.path().join("david.wav");
    let said = voice::write_beginning(&path, "David", SPOKEN_MS).await;

    let server = Server::serve(data.path());
    let client = server.client();
    let host = client
        .create_user("host@example.org", "Host")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&host, json!({"language": "en"}))
        .await
        .expect("a meeting");
    let id = meeting["id"].as_str().expect("an id").to_owned();
    let david = client
        .create_user("david@example.org", "David")
        .await
        .expect("a user");
    let joined = client.join(&id, &david).await.expect("joins");
    client
        .consent(&joined.consent_token, &id, "recording_ai", "accepted")
        .await
        .expect("agrees");
    let mut observer = Signal::observe(&client, &id, Some(0))
        .await
        .expect("observes");
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let hears = events.clone();
    let observing = tokio::spawn(async move {
        while let Some(event) = observer.next().await {
            hears.lock().expect("no holder panics").push(event);
        }
    });

    let browser = Browser::start(&packages, &client, &joined.token, &path, false);
    browser
        .until("an answer", START_MAX, |told| {
            told["answer"]["type"] == "answer"
        })
        .await;
    browser
        .until("connected", START_MAX, |told| told["state"] == "connected")
        .await;
    let heard = || -> String {
        let events = events.lock().expect("no holder panics");
        let finals = events
            .iter()
            .filter(|event| event.kind() == "transcript_update" && event.data()["final"] == true);
        finals
            .map(|event| {
                assert_eq!(event.data()["participant"]["displayName"], "David");
                event.data()["text"].as_str().expect("text").to_owned() + " "
            })
            .collect()
    };
    let enough = wer::words(&said).len() * 9 / 10;
    eventually("its words are captions", PLAY_MAX, async || {
        wer::words(&heard()).len() >= enough
    })
    .await;
    // A report of ours came back: it is heard as it hears.
    browser
        .until("a receiver report", START_MAX, |told| told["lost"] == 0)
        .await;
    drop(browser);
    client.end(&id).await.expect("ends");
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + PLAY_MAX)
        .await
        .expect("ready");
    observing.abort();
    let errors = wer::compare(&said, &heard());
    println!("{said:?} was heard as {:?}: {:.3}", heard(), errors.rate());
    assert!(errors.rate() <= 0.15, "{said:?}: {:?}", heard());
    let track = recordings
        .iter()
        .find(|recording| recording.kind == "track")
        .expect("a track");
    assert_eq!(track.media_type.as_deref(), Some("audio/webm"));
    assert!(track.duration_ms.expect("it is ready") > 10_000);
    server.terminate();
}

/// Two people in Chromium hear and see each other: sound is played, and pictures are decoded.
#[tokio::test(flavor = "multi_thread")]
async fn two_people_in_chromium_hear_and_see_each_other() {
    let _places = places(2).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let server = Server::serve(data.path());
    let client = server.client();
    let host = client
        .create_user("host@example.org", "Host")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&host, json!({"aiEnabled": false}))
        .await
        .expect("a meeting");
    let id = meeting["id"].as_str().expect("an id");
    let mut people = Vec::new();
    for (name, hz, status) in [("Ana", 500.0, "accepted"), ("Bob", 800.0, "declined")] {
        let user = client
            .create_user(&format!("{name}@example.org"), name)
            .await
            .expect("a user");
        let joined = client.join(id, &user).await.expect("joins");
        client
            .consent(&joined.consent_token, id, "recording", status)
            .await
            .expect("says so");
        let path = scratch.path().join(format!("{name}.wav"));
        wav(&path, &tone::sine(hz, 0.3, PLAY_MAX, RATE));
        let browser = Browser::start(&packages, &client, &joined.token, &path, true);
        people.push((joined.participant_id, browser));
    }
    let [(ana, first), (bob, second)] = &people[..] else {
        unreachable!("there are two");
    };
    for (browser, other) in [(first, bob), (second, ana)] {
        let of = |told: &Value, kind: &str| told["of"] == other.as_str() && told["kind"] == kind;
        browser
            .until("it hears the other", PLAY_MAX, |told| {
                of(told, "audio") && told["energy"].as_f64().is_some_and(|energy| energy > 0.01)
            })
            .await;
        browser
            .until("it sees the other", PLAY_MAX, |told| {
                of(told, "video") && told["frames"].as_u64().is_some_and(|frames| frames >= 20)
            })
            .await;
        let told = browser.told();
        let refused = told.iter().find(|told| !told["refused"].is_null());
        assert!(refused.is_none(), "{refused:?}");
        let last = told
            .iter()
            .rfind(|told| of(told, "audio") && !told["heard"].is_null());
        println!("{:?}", last.expect("it was heard"));
    }
    // One goes: the other is told, and its tracks end.
    let gone = ana.clone();
    drop(people.remove(0));
    eventually("she is gone", PLAY_MAX, async || {
        let there = client.list(&format!("/v1/meetings/{id}/streams")).await;
        let there = there.expect("lists");
        there
            .iter()
            .filter(|stream| stream["participantId"] == gone.as_str())
            .all(|stream| stream["state"] == "closed")
    })
    .await;
    client.end(id).await.expect("ends");
    let recordings = client
        .wait_recordings_ready(id, Instant::now() + PLAY_MAX)
        .await
        .expect("ready");
    let tracks: Vec<_> = recordings
        .iter()
        .filter(|recording| recording.kind == "track")
        .map(|recording| recording.participant_id.clone())
        .collect();
    assert_eq!(tracks, [Some(gone)], "he declined");
    server.terminate();
}
