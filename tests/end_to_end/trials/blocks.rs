//! Segments that lie together in blocks, in a meeting that is killed and cut in the middle of it.

use super::support::{
    Scratch, eventually, patiently,
    place::Place,
    postgres,
    stored::{StoredMeeting, fetched},
};
use chrono::{DateTime, TimeDelta, Utc};
use hansard::{
    command,
    domain::{
        consent::{ConsentStatus, ConsentType, hex},
        id::ConsentId,
        recording::SegmentName,
        tiering::Tier,
        time::Micros,
    },
    store::{self, Store, consent::ConsentDecision, new_id},
};
use hansard_client::{
    rest::{Client, Recording, audio_stream},
    sender::{Sender, SenderConfig},
    tone::{self, OpusSettings},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Row};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RATE: u32 = 48_000;
const SOON: Duration = Duration::from_secs(90);
/// A block is made a minute after the last of it was stored.
const LATER: Duration = Duration::from_secs(180);
const HZ: f64 = 500.0;

struct Stored {
    recording: Uuid,
    epoch: i64,
    n: i32,
    entry: i64,
    start_us: i64,
    end_us: i64,
    late_us: i64,
    key: String,
    size: usize,
    sha256: String,
    block: Option<(String, usize)>,
}

async fn worker(database: &str) -> PgConnection {
    let mut sql = store::owner(database).await.expect("Postgres answers");
    sqlx::query("set role hansard_worker")
        .execute(&mut sql)
        .await
        .expect("it may");
    sql
}

async fn rows(database: &str) -> Vec<Stored> {
    let mut sql = worker(database).await;
    let rows = sqlx::query(
        "select recording_id, epoch, n, consent_entry, start_us, end_us, late_us, object_key, size_bytes, sha256, block_key, block_at
         from recording_segments order by epoch, n",
    )
    .fetch_all(&mut sql)
    .await
    .expect("Postgres answers");
    rows.iter()
        .map(|row| {
            let block: Option<String> = row.get("block_key");
            Stored {
                recording: row.get("recording_id"),
                epoch: row.get("epoch"),
                n: row.get("n"),
                entry: row.get("consent_entry"),
                start_us: row.get("start_us"),
                end_us: row.get("end_us"),
                late_us: row.get("late_us"),
                key: row.get("object_key"),
                size: row.get::<i64, _>("size_bytes") as usize,
                sha256: row.get("sha256"),
                block: block.map(|key| (key, row.get::<i64, _>("block_at") as usize)),
            }
        })
        .collect()
}

async fn seconds_of(client: &Client, recording: &Recording) -> f64 {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    let bytes = client.download(&recording.id).await.expect("downloads");
    std::fs::write(&path, bytes).expect("writes");
    let samples = tone::decode(&path, RATE).expect("plays");
    let windows = tone::amplitudes(&samples, RATE, HZ);
    let heard = windows
        .iter()
        .filter(|level| tone::dbfs(**level) > -45.0)
        .count();
    heard as f64 * samples.len() as f64 / f64::from(RATE) / windows.len().max(1) as f64
}

/// The first entry's segments become a block. The process is killed before it deleted one of their
/// files, and somebody says then that she had withdrawn in the middle of that one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_a_minute_ago_is_in_blocks_and_can_still_be_cut() {
    let place = Place::new().await;
    let database = postgres::database().await;
    let serve = || place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let server = serve();
    let client = server.client();
    let host = client
        .create_user("host@example.org", "Host")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&host, json!({"aiEnabled": false}))
        .await
        .expect("a meeting");
    let id = meeting["id"].as_str().expect("an id").to_owned();
    let user = client
        .create_user("ana@example.org", "Ana")
        .await
        .expect("a user");
    let ana = client.join(&id, &user).await.expect("joins");
    let say = async |status: &str| {
        client
            .consent(&ana.token, &id, "recording", status)
            .await
            .expect("said")
    };
    say("accepted").await;
    let sender = Sender::bind(LOOPBACK, SenderConfig::opus("Ana"))
        .await
        .expect("a socket");
    let request = audio_stream(&ana.participant_id, "opus", sender.config(), None, None);
    let to = patiently("a port", SOON, || {
        client.create_stream(&id, request.clone())
    })
    .await
    .address();
    let sound = tone::sine(HZ, 0.2, Duration::from_secs(240), RATE);
    let frames = tone::opus(&sound, OpusSettings::default()).expect("encodes");
    let stop = CancellationToken::new();
    let sending = {
        let stop = stop.clone();
        tokio::spawn(async move {
            let _ = sender.run(to, &frames, Instant::now(), &stop).await;
        })
    };
    tokio::time::sleep(Duration::from_secs(13)).await;
    say("withdrawn").await;
    say("accepted").await;

    let objects = &place.bucket.objects;
    let keys = async || -> Vec<String> {
        let listed = objects.list("live/", 1_000).await.expect("lists");
        listed.into_iter().map(|object| object.key).collect()
    };
    eventually(
        "the first entry's segments are in a block",
        LATER,
        async || rows(&database).await.iter().any(|row| row.block.is_some()),
    )
    .await;
    eventually("their own objects are gone", SOON, async || {
        let keys = keys().await;
        let rows = rows(&database).await;
        let mut blocked = rows.iter().filter(|row| row.block.is_some());
        blocked.all(|row| !keys.contains(&row.key))
    })
    .await;
    let before = rows(&database).await;
    let blocked: Vec<&Stored> = before.iter().filter(|row| row.block.is_some()).collect();
    assert!(blocked.len() >= 3, "{} of 13 s", blocked.len());
    let (block, _) = blocked[0].block.clone().expect("it is in one");
    let bytes = objects.get_bytes(&block).await.expect("it is there");
    for row in &blocked {
        assert_eq!((row.entry, row.epoch), (blocked[0].entry, blocked[0].epoch));
        let (key, at) = row.block.clone().expect("it is in one");
        assert_eq!(key, block);
        let piece = &bytes[at..at + row.size];
        assert_eq!(hex(&Sha256::digest(piece)), row.sha256, "segment {}", row.n);
    }
    let whole: usize = blocked.iter().map(|row| row.size).sum();
    assert_eq!(whole, bytes.len());

    server.kill();
    stop.cancel();
    sending.await.expect("it stops");
    // One of its files is still there. Beside a busy machine some are short.
    let longest = blocked[1..]
        .iter()
        .max_by_key(|row| row.end_us - row.start_us);
    let cut = longest.expect("there are three");
    let late = blocked.iter().map(|row| row.late_us).max();
    let late = late.expect("there are three") as f64 / 1e6;
    let at = cut.block.as_ref().expect("it is in one").1;
    let folder = place
        .data
        .path()
        .join("spool")
        .join(&id)
        .join(cut.epoch.to_string())
        .join(cut.recording.to_string());
    std::fs::create_dir_all(&folder).expect("makes");
    let track = json!({"meeting": id, "recording": cut.recording, "participant": ana.participant_id,
                       "source": "microphone", "codec": "opus"});
    std::fs::write(folder.join("track.json"), track.to_string()).expect("writes");
    let name = SegmentName {
        n: cut.n.unsigned_abs(),
        entry: cut.entry,
        late: Micros(cut.late_us),
    };
    let file = folder.join(name.file());
    std::fs::write(&file, &bytes[at..at + cut.size]).expect("writes");
    // As are an object of a segment that is in the block, and a block that no row named yet.
    let (in_folder, name) = block.rsplit_once('/').expect("it is in one");
    let orphan = format!("{in_folder}/b7{}", &name[1..]);
    for (key, bytes) in [
        (&blocked[0].key, bytes[..blocked[0].size].to_vec()),
        (&orphan, bytes.clone()),
    ] {
        objects
            .put_bytes(key, bytes, "audio/x-matroska", Tier::Hot)
            .await
            .expect("stores");
    }
    let mut sql = worker(&database).await;
    for statement in [
        "update objects set state = 'going' where key = $1",
        "insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, uploading)
         select meeting_id, $2, tenant_id, recording_id, 'block', participants, false from objects where key = $1",
    ] {
        let query = sqlx::query(statement).bind(&blocked[0].key);
        let query = if statement.contains("$2") {
            query.bind(&orphan)
        } else {
            query
        };
        let done = query.execute(&mut sql).await.expect("Postgres answers");
        assert_eq!(done.rows_affected(), 1);
    }
    drop(sql);
    // And she had withdrawn in the middle of it.
    let begin: Option<DateTime<Utc>> = sqlx::query_scalar("select start_time from meetings")
        .fetch_one(&mut worker(&database).await)
        .await
        .expect("Postgres answers");
    let middle = (cut.start_us + cut.end_us) / 2;
    let withdrawal = ConsentDecision {
        meeting: id.parse().expect("an id"),
        participant: ana.participant_id.parse().expect("an id"),
        id: ConsentId(new_id()),
        consent_type: ConsentType::Recording,
        status: ConsentStatus::Withdrawn,
        actor: "self".into(),
        statement: None,
        timestamp: begin.expect("it began") + TimeDelta::microseconds(middle),
        once: None,
    };
    let store = Store::open(&database, 1).expect("a URL");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    command::consent::record(&mut tx, &withdrawal)
        .await
        .expect("recorded");
    tx.commit().await.expect("commits");
    store.close().await;

    let server = serve();
    let client = server.client();
    eventually("it is cut out of its block", SOON, async || {
        let rows = rows(&database).await;
        let now = rows
            .iter()
            .find(|row| (row.epoch, row.n) == (cut.epoch, cut.n))
            .expect("its first half stays");
        now.block.is_none() && now.end_us <= middle + 20_000 && !file.exists()
    })
    .await;
    eventually("the block as it was is gone", SOON, async || {
        !keys().await.contains(&block)
    })
    .await;
    for row in rows(&database).await {
        let Some((key, at)) = row.block else { continue };
        let bytes = objects.get_bytes(&key).await.expect("it is there");
        assert_eq!(hex(&Sha256::digest(&bytes[at..at + row.size])), row.sha256);
        assert!(bytes.len() < whole);
    }
    client.end(&id).await.expect("ends");
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    assert_eq!(recordings.len(), 2);
    let expected = (middle - blocked[0].start_us) as f64 / 1e6;
    for recording in &recordings {
        let heard = seconds_of(&client, recording).await;
        assert!(
            (expected - 0.4 - late..expected + 0.4).contains(&heard),
            "{heard} of {expected} s, {late} s late"
        );
        assert_eq!(recording.status, "ready");
    }
    eventually("nothing is left of the segments", SOON, async || {
        keys().await.is_empty()
    })
    .await;
    server.terminate();
}

/// Joining reads blocks; what is broken in one costs its own span.
#[tokio::test(flavor = "multi_thread")]
async fn tracks_are_joined_from_blocks_and_lose_what_is_broken_in_them() {
    let place = Place::new().await;
    let database = postgres::database().await;
    let server = place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let client = server.client();
    let stored = StoredMeeting::make(&place, &database, &client, 2, 100).await;
    let count = stored.gather_blocks(&place).await;
    assert_eq!(count, 2 * (2 + 15));
    let all = rows(&database).await;
    let broken = all.iter().find(|row| row.n == 10).expect("it is there");
    let (key, at) = broken.block.clone().expect("it is in one");
    let objects = &place.bucket.objects;
    let mut bytes = objects.get_bytes(&key).await.expect("it is there");
    bytes[at + broken.size / 2] ^= 0xff;
    objects
        .put_bytes(&key, bytes, "audio/x-matroska", Tier::Hot)
        .await
        .expect("stores");
    stored.finalise().await;
    let recordings = client
        .wait_recordings_ready(&stored.meeting, Instant::now() + LATER)
        .await
        .expect("ready");
    assert_eq!(recordings.len(), 3);
    for recording in &recordings {
        let off = recording.duration_ms.expect("it is ready") - stored.length_ms();
        assert!(off.abs() < 100, "{off}");
        let gaps = &recording.gaps;
        if recording.id == broken.recording.to_string() {
            assert_eq!(gaps.len(), 1, "{gaps:?}");
            let (from, until) = (broken.start_us / 1_000, broken.end_us / 1_000);
            assert!(
                (gaps[0].start_ms - from).abs() <= 100 && (gaps[0].end_ms - until).abs() <= 100
            );
        } else {
            assert!(gaps.is_empty(), "{gaps:?}");
        }
    }
    // The broken one as often as it may have been changed on its way.
    assert_eq!(fetched(&place), count + 2);
    server.terminate();
}
