//! Jobs behind the meetings, from outside: storage that is away, objects that are gone or broken,
//! packets that cannot be decoded, nobody who takes a job. Files are judged by their sound.

use super::support::{
    Scratch, eventually,
    faults::{Fault, Rule},
    place::Place,
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
    process::Command,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RATE: u32 = 48_000;
/// On a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// Runs a command of `hansard` beside the server: its exit code and what it prints.
fn run(place: &Place, command: &[&str]) -> (Option<i32>, String) {
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
fn jobs(place: &Place, arguments: &[&str]) -> String {
    let (code, said) = run(place, &[&["jobs"], arguments].concat());
    assert_eq!(code, Some(0), "{said}");
    said
}

/// Keys of the stored segments, in their order.
async fn segments(place: &Place) -> Vec<String> {
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

async fn ready(server: &Server) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/readyz", server.ops))
        .await
        .expect("answers");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

/// Waits until the process says that this is wrong, or that nothing is.
async fn told(server: &Server, reason: Option<&str>) {
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

async fn meeting(client: &Client) -> String {
    let host = client
        .create_user("host@example.org", "Host")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&host, json!({"aiEnabled": false}))
        .await
        .expect("a meeting");
    meeting["id"].as_str().expect("an id").to_owned()
}

/// Somebody who sends these frames.
struct Voice {
    participant: String,
    sending: tokio::task::JoinHandle<()>,
}

async fn voice(client: &Client, meeting: &str, name: &str, frames: Vec<Frame>) -> Voice {
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
    let to = client
        .create_stream(meeting, request)
        .await
        .expect("a port")
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

fn hum(hz: f64, seconds: u64) -> Vec<Frame> {
    let sound = tone::sine(hz, 0.2, Duration::from_secs(seconds), RATE);
    tone::opus(&sound, OpusSettings::default()).expect("encodes")
}

/// How much of the file has this tone, in seconds.
async fn seconds_of(client: &Client, recording: &Recording, hz: f64) -> f64 {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    std::fs::write(
        &path,
        client.download(&recording.id).await.expect("downloads"),
    )
    .expect("writes");
    let samples = tone::decode(&path, RATE).expect("plays");
    let windows = tone::amplitudes(&samples, RATE, hz);
    let heard = windows
        .iter()
        .filter(|level| tone::dbfs(**level) > -45.0)
        .count();
    heard as f64 * samples.len() as f64 / f64::from(RATE) / windows.len().max(1) as f64
}

fn mix(recordings: &[Recording]) -> &Recording {
    recordings
        .iter()
        .find(|one| one.kind == "mix")
        .expect("a mix")
}

/// Storage that refuses to give what it has, right after the end: everything waits, for longer than
/// five attempts would take, and goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn files_wait_for_storage_and_are_made_when_it_is_back() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let id = meeting(&client).await;
    let ana = voice(&client, &id, "Ana", hum(500.0, 9)).await;
    ana.sending.await.expect("sends");
    place
        .faults
        .set(&[Rule::on(Fault::Answer(403, "AccessDenied"), &[Method::GET])]);
    client.end(&id).await.expect("ends");
    let list = format!("/v1/meetings/{id}/recordings");
    let waiting = async || -> Value { client.get(&list).await.expect("lists")["data"][0].clone() };
    eventually("it says what it waits for", SOON, async || {
        waiting().await["waitingFor"] == "storage"
    })
    .await;
    told(&server, Some("storage")).await;
    for fault in [
        Fault::Answer(503, "SlowDown"),
        Fault::Answer(400, "InvalidRequest"),
        Fault::Answer(404, "NoSuchKey"),
    ] {
        place.faults.set(&[Rule::all(fault)]);
        tokio::time::sleep(Duration::from_secs(12)).await;
        let recording = waiting().await;
        assert_eq!(
            (&recording["status"], &recording["waitingFor"]),
            (&"processing".into(), &"storage".into())
        );
    }
    let listed = jobs(&place, &["list"]);
    assert!(
        listed.contains("waits for storage") && listed.contains("failed 0"),
        "{listed}"
    );
    let metrics = reqwest::get(format!("{}/metrics", server.ops))
        .await
        .expect("answers")
        .text()
        .await
        .expect("text");
    for line in [
        "hansard_degraded{reason=\"storage\"} 1",
        "hansard_storage_errors_total{code=\"403\"}",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    // Beside it waits what completes the transcript, queued in the same instant.
    let job = listed
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == "join"))
        .and_then(|line| line.split_whitespace().next())
        .expect("its id");
    let shown = jobs(&place, &["show", job]);
    assert!(
        shown.contains("kind         join") && shown.contains("for storage"),
        "{shown}"
    );
    let (code, said) = run(
        &place,
        &["jobs", "show", "00000000-0000-7000-8000-000000000000"],
    );
    assert!(
        code == Some(1) && said.contains("hansard jobs list"),
        "{said}"
    );
    place.faults.heal();
    let healed = Instant::now();
    // What somebody stored, or cut, and died before a row said so.
    let stored = segments(&place).await;
    let stray = stored[0].replace("/1/", "/2/");
    place
        .bucket
        .objects
        .put_bytes(&stray, vec![0; 9], "audio/x-matroska", Tier::Hot)
        .await
        .expect("stores");
    // Whoever knows that storage is back need not wait for the next try.
    assert_eq!(jobs(&place, &["retry", job]).trim(), "queued");
    let recordings = client
        .wait_recordings_ready(&id, healed + SOON)
        .await
        .expect("ready");
    println!(
        "ready {:.1} s after healing",
        healed.elapsed().as_secs_f64()
    );
    let (code, said) = run(&place, &["jobs", "retry", job]);
    assert!(code == Some(1) && said.contains("it is done"), "{said}");
    for recording in [
        mix(&recordings),
        recordings
            .iter()
            .find(|one| one.kind == "track")
            .expect("a track"),
    ] {
        let heard = seconds_of(&client, recording, 500.0).await;
        assert!(
            (8.0..9.2).contains(&heard),
            "{} has {heard} s",
            recording.kind
        );
        assert!(recording.gaps.is_empty(), "{:?}", recording.gaps);
    }
    assert!(waiting().await["waitingFor"].is_null());
    told(&server, None).await;
    eventually("nothing is left of the segments", SOON, async || {
        segments(&place).await.is_empty()
    })
    .await;
    server.terminate();
}

/// One broken segment costs its span, a track that is gone altogether fails alone, and comes back
/// with its objects.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_costs_itself_only_and_can_be_made_again() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let id = meeting(&client).await;
    let (ana, bob) = (
        voice(&client, &id, "Ana", hum(500.0, 14)).await,
        voice(&client, &id, "Bob", hum(800.0, 14)).await,
    );
    let url = client.signal_url();
    let (ana_id, bob_id) = (ana.participant.clone(), bob.participant.clone());
    ana.sending.await.expect("sends");
    bob.sending.await.expect("sends");
    // Nothing is made while the objects are changed.
    place
        .faults
        .set(&[Rule::on(Fault::Answer(503, "SlowDown"), &[Method::GET])]);
    let ids: Vec<(String, String)> = client
        .recordings(&id)
        .await
        .expect("lists")
        .into_iter()
        .filter_map(|recording| Some((recording.participant_id?, recording.id)))
        .collect();
    let of = |participant: &str| {
        ids.iter()
            .find(|(whose, _)| whose == participant)
            .expect("a track")
            .1
            .clone()
    };
    client.end(&id).await.expect("ends");
    eventually("all is stored", SOON, async || {
        segments(&place).await.len() >= 8
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let keys = segments(&place).await;
    let ana_keys: Vec<&String> = keys
        .iter()
        .filter(|key| key.contains(&of(&ana_id)))
        .collect();
    let bob_keys: Vec<&String> = keys
        .iter()
        .filter(|key| key.contains(&of(&bob_id)))
        .collect();
    let broken = place
        .bucket
        .scratch
        .path()
        .join("data/hansard")
        .join(ana_keys[1]);
    let mut bytes = std::fs::read(&broken).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&broken, bytes).expect("writes");
    let mut taken = Vec::new();
    for key in bob_keys {
        taken.push((
            key.clone(),
            place
                .bucket
                .objects
                .get_bytes(key)
                .await
                .expect("it is there"),
        ));
        place.bucket.objects.delete(key).await.expect("deletes");
    }
    place.faults.heal();

    let status = async || -> Vec<Recording> { client.recordings(&id).await.expect("lists") };
    eventually(
        "everything is decided",
        Duration::from_secs(180),
        async || {
            let all = status().await;
            all.iter().any(|one| one.kind == "mix")
                && all
                    .iter()
                    .all(|one| ["ready", "failed"].contains(&one.status.as_str()))
        },
    )
    .await;
    let recordings = status().await;
    let by = |participant: &str| {
        recordings
            .iter()
            .find(|one| one.participant_id.as_deref() == Some(participant))
    };
    let (ana_track, bob_track) = (by(&ana_id).expect("a track"), by(&bob_id).expect("a track"));
    assert_eq!(
        (ana_track.status.as_str(), bob_track.status.as_str()),
        ("ready", "failed")
    );
    assert!(
        bob_track
            .error
            .as_ref()
            .expect("a reason")
            .to_string()
            .contains("missing"),
        "{:?}",
        bob_track.error
    );
    assert_eq!(ana_track.gaps.len(), 1, "{:?}", ana_track.gaps);
    let gap = &ana_track.gaps[0];
    assert!(
        gap.reason == "lost" && (3_500..4_500).contains(&(gap.end_ms - gap.start_ms)),
        "{gap:?}"
    );
    let heard = seconds_of(&client, ana_track, 500.0).await;
    assert!((9.0..10.6).contains(&heard), "{heard}");
    assert!(seconds_of(&client, mix(&recordings), 500.0).await > 9.0);
    let state = |name: &'static str| {
        move |event: &hansard_client::signal::Event| {
            event.kind() == "recording_state" && event.data()["state"] == name
        }
    };
    let entry = Entry::Observer {
        api_key: client.api_key().into(),
        meeting_id: id.clone(),
    };
    let mut signal = Signal::connect(&url, &entry, Some(0))
        .await
        .expect("observes");
    signal
        .wait_for(Instant::now() + SOON, state("ready"))
        .await
        .expect("it is told");

    // The objects turn up again.
    for (key, bytes) in taken {
        place
            .bucket
            .objects
            .put_bytes(&key, bytes, "audio/x-matroska", Tier::Hot)
            .await
            .expect("stores");
    }
    let again = async |recording: &str| {
        client
            .post(&format!("/v1/recordings/{recording}/retry"), Value::Null)
            .await
    };
    assert_eq!(
        again(&ana_track.id)
            .await
            .expect_err("it is ready")
            .status(),
        Some(409)
    );
    assert_eq!(
        again(&bob_track.id).await.expect("it failed")["status"],
        "processing"
    );
    // Nobody observes a meeting whose files are ready: what was told is read from its beginning.
    let mut signal = Signal::connect(&url, &entry, Some(0))
        .await
        .expect("observes");
    for told in ["finalising", "ready", "finalising", "ready"] {
        signal
            .wait_for(Instant::now() + SOON, state(told))
            .await
            .expect("it is told");
    }
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    let bob_track = recordings
        .iter()
        .find(|one| one.id == bob_track.id)
        .expect("a track");
    let heard = seconds_of(&client, bob_track, 800.0).await;
    assert!((13.0..14.3).contains(&heard), "{heard}");
    let heard = seconds_of(&client, mix(&recordings), 800.0).await;
    assert!((13.0..14.3).contains(&heard), "{heard}");
    server.terminate();
}

/// A process starts without storage, says so, records, and stores what it has when storage is
/// there.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_storage() {
    let place = Place::new().await;
    place.faults.refuse();
    let server = place.serve(&[]);
    told(&server, Some("storage")).await;
    let client = server.client();
    let id = meeting(&client).await;
    let ana = voice(&client, &id, "Ana", hum(500.0, 6)).await;
    let participant = ana.participant.clone();
    ana.sending.await.expect("sends");
    client.end(&id).await.expect("ends");
    // Long enough for its end to be written without storage.
    tokio::time::sleep(Duration::from_secs(3)).await;
    place.faults.heal();
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    let track = recordings
        .iter()
        .find(|one| one.participant_id.as_deref() == Some(&participant))
        .expect("a track");
    let heard = seconds_of(&client, track, 500.0).await;
    assert!((5.2..6.2).contains(&heard), "{heard}");
    told(&server, None).await;
    server.terminate();
}

/// Valid first bytes, and behind them what libopus refuses.
#[tokio::test(flavor = "multi_thread")]
async fn packets_that_cannot_be_decoded_cost_nobody_the_files() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let id = meeting(&client).await;
    let mut frames = hum(800.0, 6);
    for (n, payload) in [
        (100, vec![0xf1, 1, 2, 3]),
        (140, vec![0x7b, 0x43, 1]),
        (141, vec![0xff, 0x01]),
        (200, vec![0xf3, 0x81]),
    ] {
        frames[n].payload = payload.into();
    }
    let (ana, bob) = (
        voice(&client, &id, "Ana", hum(500.0, 6)).await,
        voice(&client, &id, "Bob", frames).await,
    );
    ana.sending.await.expect("sends");
    bob.sending.await.expect("sends");
    client.end(&id).await.expect("ends");
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    for hz in [500.0, 800.0] {
        let heard = seconds_of(&client, mix(&recordings), hz).await;
        assert!((5.4..6.2).contains(&heard), "{hz}: {heard}");
    }
    server.terminate();
}

/// Nobody takes the job that makes the files: it is told by everything that an operator looks at.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_job_that_nobody_takes_is_told() {
    let place = Place::new().await;
    let server = place.serve(&["--queues", "capture,clean", "--grace-seconds", "1"]);
    let client = server.client();
    let id = meeting(&client).await;
    let ana = voice(&client, &id, "Ana", hum(500.0, 2)).await;
    ana.sending.await.expect("sends");
    client.end(&id).await.expect("ends");
    told(&server, Some("no_worker:join")).await;
    let metrics = reqwest::get(format!("{}/metrics", server.ops))
        .await
        .expect("answers")
        .text()
        .await
        .expect("text");
    assert!(
        metrics.contains("hansard_jobs{kind=\"join\",state=\"queued\"} 1"),
        "{metrics}"
    );
    let (code, said) = run(&place, &["doctor"]);
    assert_eq!(code, Some(0), "it works, but not as it should: {said}");
    assert!(
        said.contains("no worker takes them: 1 join") && said.contains("--queues has join"),
        "{said}"
    );
    server.kill();
}

#[test]
fn a_worker_that_would_do_nothing_does_not_start() {
    let data = Scratch::new();
    let output = Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args([
            "serve",
            "--queues",
            "recover,tier",
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
        ])
        .args(["--s3-listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("recover,tier") && said.contains("capture, mix or clean"),
        "{said}"
    );
}

/// A withdrawal heard of while the mix is on its way reaches back over what is in it: the tracks are
/// joined again first, and the only mix that is announced is of those.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_between_the_tracks_and_the_mix_comes_first() {
    let place = Place::new().await;
    let database = postgres::database().await;
    let server = place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let client = server.client();
    let id = meeting(&client).await;
    let (ana, bob) = (
        voice(&client, &id, "Ana", hum(500.0, 9)).await,
        voice(&client, &id, "Bob", hum(800.0, 9)).await,
    );
    ana.sending.await.expect("sends");
    bob.sending.await.expect("sends");
    place
        .faults
        .set(&[Rule::on(Fault::Swallow, &[Method::PUT]).at(".mp4")]);
    client.end(&id).await.expect("ends");
    eventually("the mix is on its way", SOON, async || {
        place.faults.swallowed() > 0
    })
    .await;
    let of_bob = async || -> Recording {
        let all = client.recordings(&id).await.expect("lists");
        all.into_iter()
            .find(|one| one.participant_id.as_ref() == Some(&bob.participant))
            .expect("a track")
    };
    let track = of_bob().await;
    assert_eq!(track.status, "ready", "joining comes first");
    let heard = seconds_of(&client, &track, 800.0).await;
    assert!(heard > 8.0, "{heard}");

    let begin = client.meeting(&id).await.expect("is there")["startTime"].clone();
    let begin: DateTime<Utc> = serde_json::from_value(begin).expect("a time");
    let withdrawal = ConsentDecision {
        meeting: id.parse().expect("an id"),
        participant: bob.participant.parse().expect("an id"),
        id: ConsentId(new_id()),
        consent_type: ConsentType::Recording,
        status: ConsentStatus::Withdrawn,
        actor: "self".into(),
        statement: None,
        timestamp: begin + TimeDelta::milliseconds(track.start_ms.expect("a start") + 4_000),
        once: None,
    };
    let store = Store::open(&database, 1).expect("a URL");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    command::consent::record(&mut tx, &withdrawal)
        .await
        .expect("recorded");
    tx.commit().await.expect("commits");
    eventually("his track is cut", SOON, async || {
        seconds_of(&client, &of_bob().await, 800.0).await < 4.5
    })
    .await;
    place.faults.heal();

    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    let mix = mix(&recordings);
    let heard = seconds_of(&client, mix, 800.0).await;
    assert!((3.5..4.5).contains(&heard), "{heard}");
    let heard = seconds_of(&client, mix, 500.0).await;
    assert!((8.0..9.2).contains(&heard), "{heard}");
    eventually("all jobs are done", SOON, async || {
        let mut tx = store.worker_tx().await.expect("Postgres answers");
        backlog::counts(&mut tx).await.expect("counts").is_empty()
    })
    .await;
    store.close().await;
    let url = format!("{}/v1/signal", client.base_url().replacen("http", "ws", 1));
    let entry = Entry::Observer {
        api_key: client.api_key().into(),
        meeting_id: id.clone(),
    };
    let mut signal = Signal::connect(&url, &entry, Some(0))
        .await
        .expect("observes");
    let mut announced = 0;
    while let Some(event) = signal.next().await {
        announced +=
            i32::from(event.kind() == "recording_state" && event.data()["state"] == "ready");
    }
    assert_eq!(announced, 1, "no mix of before was announced");
    server.terminate();
}

/// Many small objects in a store that is far away: an hour of four tracks is fetched in seconds,
/// because many are on their way at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_far_away_is_asked_for_many_at_a_time() {
    let place = Place::new().await;
    let database = super::support::postgres::database().await;
    let server = place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let client = server.client();
    let stored = StoredMeeting::make(&place, &database, &client, 4, 60).await;
    place.faults.delay(Duration::from_millis(80));
    stored.finalise().await;
    let asked = Instant::now();
    let all = stored.segments();
    eventually("all are fetched", Duration::from_secs(300), async || {
        fetched(&place) >= all
    })
    .await;
    println!(
        "{all} segments in {:.1} s, with joining",
        asked.elapsed().as_secs_f64()
    );
    assert!(
        place.faults.most_at_once() >= 24,
        "{} at once",
        place.faults.most_at_once()
    );
    let within = Instant::now() + Duration::from_secs(600);
    let recordings = client
        .wait_recordings_ready(&stored.meeting, within)
        .await
        .expect("ready");
    println!("ready after {:.1} s", asked.elapsed().as_secs_f64());
    assert_eq!(
        recordings
            .iter()
            .filter(|one| one.status == "ready")
            .count(),
        5,
        "{recordings:?}"
    );
    for recording in &recordings {
        let length = recording.duration_ms.expect("it is ready");
        assert!((length - stored.length_ms()).abs() < 100, "{length}");
        assert!(recording.gaps.is_empty(), "{:?}", recording.gaps);
    }
    assert_eq!(fetched(&place), all, "each once");
    server.terminate();
}
