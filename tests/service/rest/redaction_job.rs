//! The job that sees redactions through, on a real store, and what it signs.

use super::{app::App, job, redaction::Meeting};
use crate::support::s3::Bucket;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hansard::{
    domain::{
        fault::Away,
        id::{ParticipantId, RecordingId},
        inventory::ObjectKind,
        media_type::MediaType,
        object_key::RecordingFile,
        tiering::Tier,
    },
    jobs::redact::Redact,
    ledger::Ledger,
    store::{
        inventory::{self, Object, Settled},
        seal::Seal,
        spool::{self, Declared, Folder},
    },
    worker::Outcome,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Stores an object as a job does.
pub async fn store(app: &App, bucket: &Bucket, object: Object, current: bool) {
    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    inventory::note(&mut tx, std::slice::from_ref(&object))
        .await
        .expect("notes");
    tx.commit().await.expect("commits");
    let put = bucket
        .objects
        .put_bytes(&object.key, b"sound".to_vec(), "audio/webm", Tier::Hot)
        .await
        .expect("stores");
    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    let settled = Settled {
        key: &object.key,
        recording: object.recording,
        size_bytes: 5,
        sha256: &put.sha256,
        version: put.version.as_deref(),
    };
    inventory::settle(&mut tx, object.meeting, settled)
        .await
        .expect("settles");
    tx.commit().await.expect("commits");
    if current {
        sqlx::query(
            "update recordings set blob_url = $2, sha256 = $3, redacting = false where id = $1",
        )
        .bind(object.recording.0)
        .bind(bucket.objects.url(&object.key))
        .bind(object.key)
        .execute(&mut app.sql().await)
        .await
        .expect("Postgres answers");
    }
}

/// The job.
pub fn redact(app: &App, bucket: &Bucket) -> Redact {
    Redact {
        ledger: Ledger::new(app.state.store.clone(), bucket.objects.clone()),
        store: app.state.store.clone(),
        queue: app.state.queue.clone(),
        objects: bucket.objects.clone(),
        seal: Arc::new(Seal::new(super::app::SECRET).expect("long enough")),
    }
}

/// Runs the job once.
pub async fn run(app: &App, bucket: &Bucket) -> Outcome {
    job::run(app, redact(app, bucket)).await
}

/// A track's file.
pub fn track(meeting: &Meeting, n: usize, revision: i32) -> Object {
    let (participant, recording) = meeting.people[n];
    let recording = RecordingId(recording);
    let file = RecordingFile {
        tenant: meeting.app.tenant,
        meeting: meeting.id,
        recording,
        revision,
        media: MediaType::AudioWebm,
    };
    Object {
        key: file.to_string(),
        tenant: meeting.app.tenant,
        meeting: meeting.id,
        recording,
        kind: ObjectKind::Track,
        participants: vec![participant],
    }
}

async fn sql(meeting: &Meeting, statement: &str) {
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
        .bind(meeting.id.0)
        .execute(&mut meeting.app.sql().await)
        .await
        .expect("Postgres answers");
}

/// As the job that renders it leaves the mix's row.
pub const MIXED: &str =
    "update recordings set redacting = false where meeting_id = $1 and kind = 'mix'";

/// A machine comes back after a redaction that changed no file was done, and what it had is stored,
/// without what was taken out: it is there until the track is made of it.
#[tokio::test]
async fn what_comes_out_of_a_spool_is_joined_before_it_is_deleted() {
    let bucket = Bucket::start().await;
    let meeting = Meeting::live_on(App::with_bucket(&bucket).await).await;
    meeting.end().await;
    let app = &meeting.app;
    store(app, &bucket, track(&meeting, 0, 1), true).await;
    let spooled = "insert into capture_epochs (meeting_id, epoch, tenant_id, spooled, spooled_at)
         select id, 77, tenant_id, 1, clock_timestamp() - interval '1 day' from meetings where id = $1";
    sql(&meeting, spooled).await;
    let far = json!({"purposes": ["recording"], "fromMs": 900_000, "toMs": 910_000});
    let asked = meeting.redact(far).await.expect(202);
    let path = format!(
        "{}/{}",
        meeting.path(),
        asked["id"].as_str().expect("an id")
    );
    assert!(matches!(run(app, &bucket).await, Outcome::Waiting { .. }));
    let done = app.get(&path).await.expect(200);
    assert_eq!(
        (&done["state"], &done["spoolsOutstanding"]),
        (&json!("done"), &json!(1))
    );
    // A hold is not refused for it.
    let hold = json!({"reason": "Case 4711"});
    let held = format!("/v1/meetings/{}/hold", meeting.id);
    app.call("PUT", &held, &app.key, Some(hold))
        .await
        .expect(200);

    let late = track(&meeting, 0, 9);
    store(app, &bucket, late.clone(), false).await;
    let joins = "insert into jobs (id, tenant_id, meeting_id, kind, subject)
         select gen_random_uuid(), tenant_id, id, 'join', id from meetings where id = $1";
    sql(&meeting, joins).await;
    let there = async || {
        let head = bucket.objects.head(&late.key).await;
        head.expect("answers").is_some()
    };
    assert!(matches!(run(app, &bucket).await, Outcome::Waiting { .. }));
    assert!(there().await, "the track is still to be made of it");
    sql(
        &meeting,
        "update jobs set state = 'done' where meeting_id = $1 and kind = 'join'",
    )
    .await;
    sql(
        &meeting,
        "update capture_epochs set spooled = 0 where meeting_id = $1",
    )
    .await;
    assert!(matches!(run(app, &bucket).await, Outcome::Settled));
    assert!(!there().await);
    let done = app.get(&path).await.expect(200);
    assert_eq!(done["spoolsOutstanding"], 0);
    assert_eq!(done["certificate"]["objects"][0]["key"], json!(late.key));
}

/// A recovery that knew nothing of it yet stores a whole segment when it has begun; and who died
/// while it recorded has nobody knows what.
#[tokio::test]
async fn what_is_stored_behind_its_back_goes_too() {
    let bucket = Bucket::start().await;
    let meeting = Meeting::live_on(App::with_bucket(&bucket).await).await;
    meeting.end().await;
    let app = &meeting.app;
    store(app, &bucket, track(&meeting, 0, 1), true).await;
    let died = "insert into spools (spool, meeting_id, epoch, tenant_id)
         select gen_random_uuid(), id, 1, tenant_id from meetings where id = $1";
    sql(&meeting, died).await;
    let near = json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000});
    let asked = meeting.redact(near).await.expect(202);
    let late = track(&meeting, 0, 9);
    store(app, &bucket, late.clone(), false).await;
    assert!(matches!(run(app, &bucket).await, Outcome::Waiting { .. }));
    store(app, &bucket, track(&meeting, 0, 2), true).await;
    sql(
        &meeting,
        "update jobs set state = 'done' where meeting_id = $1 and kind in ('join', 'mix')",
    )
    .await;
    sql(&meeting, MIXED).await;
    assert!(matches!(run(app, &bucket).await, Outcome::Waiting { .. }));
    let path = format!(
        "{}/{}",
        meeting.path(),
        asked["id"].as_str().expect("an id")
    );
    let done = app.get(&path).await.expect(200);
    assert_eq!(
        (&done["state"], &done["spoolsOutstanding"]),
        (&json!("done"), &json!(1))
    );
    let gone = done["certificate"]["objects"].to_string();
    assert!(gone.contains(&late.key), "{gone}");
    let head = bucket.objects.head(&late.key).await.expect("answers");
    assert!(head.is_none());
}

/// A machine died while it recorded and never comes back: somebody destroyed its disk and says so.
#[tokio::test]
async fn a_disk_that_is_destroyed_keeps_no_certificate_open() {
    let bucket = Bucket::start().await;
    let meeting = Meeting::live_on(App::with_bucket(&bucket).await).await;
    meeting.end().await;
    let app = &meeting.app;
    let spool = Uuid::now_v7();
    let died = format!(
        "insert into spools (spool, meeting_id, epoch, tenant_id) select '{spool}', id, 1, tenant_id from meetings where id = $1"
    );
    sql(&meeting, &died).await;
    let words = json!({"purposes": ["recording"], "fromMs": 900_000, "toMs": 910_000});
    let asked = meeting.redact(words).await.expect(202);
    let path = format!(
        "{}/{}",
        meeting.path(),
        asked["id"].as_str().expect("an id")
    );
    assert!(matches!(
        run(app, &bucket).await,
        Outcome::Waiting { away: None, .. }
    ));
    let done = app.get(&path).await.expect(200);
    assert_eq!(
        (&done["spoolsOutstanding"], &done["spoolsDestroyed"]),
        (&json!(1), &json!(0))
    );
    let declare = async |spool| {
        let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
        let declared = spool::declare_destroyed(&mut tx, spool, "Ops, shredded").await;
        tx.commit().await.expect("commits");
        declared.expect("Postgres answers")
    };
    assert_eq!(declare(Uuid::now_v7()).await, Declared::Unknown);
    // It said something a moment ago.
    assert_eq!(declare(spool).await, Declared::Alive);
    sql(
        &meeting,
        "update spools set noted_at = noted_at - interval '1 hour' where meeting_id = $1",
    )
    .await;
    for _ in 0..2 {
        assert_eq!(declare(spool).await, Declared::Destroyed(1));
    }
    assert!(matches!(run(app, &bucket).await, Outcome::Settled));
    let done = app.get(&path).await.expect(200);
    assert_eq!(
        (&done["spoolsOutstanding"], &done["spoolsDestroyed"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        (
            &done["certificate"]["spoolsOutstanding"],
            &done["certificate"]["spoolsDestroyed"]
        ),
        (&json!(0), &json!(1))
    );
    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    let listed = spool::list(&mut tx).await.expect("reads");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].destroyed_by.as_deref(), Some("Ops, shredded"));
    // It comes back all the same.
    let folder = Folder {
        meeting: meeting.id,
        epoch: 1,
    };
    spool::note(&mut tx, spool, app.tenant, folder, Some(3))
        .await
        .expect("notes");
    let listed = spool::list(&mut tx).await.expect("reads");
    assert_eq!((listed[0].destroyed_at, listed[0].segments), (None, 3));
}

#[tokio::test]
async fn a_redaction_says_what_it_waits_for() {
    let mut bucket = Bucket::start().await;
    let meeting = Meeting::live_on(App::with_bucket(&bucket).await).await;
    let app = &meeting.app;
    let span = json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000});
    let asked = meeting.redact(span).await.expect(202);
    let path = format!(
        "{}/{}",
        meeting.path(),
        asked["id"].as_str().expect("an id")
    );
    let why = async || app.get(&path).await.expect(200)["error"].clone();
    let nothing_is_away = |outcome: Outcome| matches!(outcome, Outcome::Waiting { away: None, .. });
    assert!(nothing_is_away(run(app, &bucket).await));
    assert_eq!(why().await, "the meeting is not over");
    meeting.end().await;
    store(app, &bucket, track(&meeting, 0, 1), true).await;
    run(app, &bucket).await;
    assert!(nothing_is_away(run(app, &bucket).await));
    assert_eq!(why().await, "its files are being made");
    let waits = "update jobs set waiting_for = 'disk' where meeting_id = $1 and kind = 'join'";
    sql(&meeting, waits).await;
    assert!(nothing_is_away(run(app, &bucket).await));
    assert_eq!(
        why().await,
        "its files are being made, which waits: disk is away"
    );
    sql(
        &meeting,
        "update jobs set state = 'failed' where meeting_id = $1 and kind = 'join'",
    )
    .await;
    run(app, &bucket).await;
    let said = why().await;
    assert!(
        said.as_str()
            .is_some_and(|said| said.contains("cannot be made")),
        "{said}"
    );
    store(app, &bucket, track(&meeting, 0, 2), true).await;
    let joined = "update jobs set state = 'done' where meeting_id = $1 and kind in ('join', 'mix')";
    sql(&meeting, joined).await;
    sql(&meeting, MIXED).await;
    bucket.stop().await;
    let failed = job::fails(app, redact(app, &bucket)).await;
    assert!(
        matches!(
            failed,
            Outcome::Waiting {
                away: Some(Away::Storage),
                ..
            }
        ),
        "{failed:?}"
    );
    assert_eq!(why().await, "storage is away");
}

#[tokio::test]
async fn the_certificate_says_what_is_gone_and_can_be_checked() {
    let bucket = Bucket::start().await;
    let meeting = Meeting::live_on(App::with_bucket(&bucket).await).await;
    meeting.end().await;
    let app = &meeting.app;
    let [(ana, ours), (bob, theirs)] = meeting.people;
    let object = |recording: Uuid, revision, media, kind, people: &[ParticipantId]| {
        let file = RecordingFile {
            tenant: app.tenant,
            meeting: meeting.id,
            recording: RecordingId(recording),
            revision,
            media,
        };
        Object {
            key: file.to_string(),
            tenant: app.tenant,
            meeting: meeting.id,
            recording: RecordingId(recording),
            kind,
            participants: people.to_vec(),
        }
    };
    let track = |recording, revision, who| {
        object(
            recording,
            revision,
            MediaType::AudioWebm,
            ObjectKind::Track,
            &[who],
        )
    };
    let mix = |revision| {
        object(
            meeting.mix,
            revision,
            MediaType::AudioMp4,
            ObjectKind::Mix,
            &[ana, bob],
        )
    };
    for of in [track(ours, 1, ana), track(theirs, 1, bob), mix(1)] {
        store(app, &bucket, of, true).await;
    }
    // What somebody who died left.
    store(app, &bucket, track(ours, 7, ana), false).await;
    let asked = meeting
        .redact(json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000}))
        .await
        .expect(202);
    let path = format!(
        "{}/{}",
        meeting.path(),
        asked["id"].as_str().expect("an id")
    );
    assert!(matches!(run(app, &bucket).await, Outcome::Waiting { .. }));
    let now = app.get(&path).await.expect(200);
    assert_eq!(
        (&now["state"], &now["certificate"]),
        (&json!("running"), &Value::Null)
    );
    // As the jobs that make them leave the files.
    store(app, &bucket, track(ours, 2, ana), true).await;
    store(app, &bucket, mix(2), true).await;
    sqlx::query("update jobs set state = 'done' where kind in ('join', 'mix')")
        .execute(&mut app.sql().await)
        .await
        .expect("Postgres answers");
    let mut outcome = run(app, &bucket).await;
    if matches!(outcome, Outcome::Settled) && meeting.queued().await.contains(&"redact".to_owned())
    {
        // It was asked for again as it began.
        outcome = run(app, &bucket).await;
    }
    assert!(matches!(outcome, Outcome::Settled), "{outcome:?}");
    let done = app.get(&path).await.expect(200);
    assert_eq!(done["state"], "done", "{done}");
    let certificate = &done["certificate"];
    let mut expected = vec![
        json!({"id": ours, "kind": "track", "before": track(ours, 1, ana).key, "after": track(ours, 2, ana).key}),
        json!({"id": meeting.mix, "kind": "mix", "before": mix(1).key, "after": mix(2).key}),
    ];
    let mut recordings = certificate["recordings"]
        .as_array()
        .expect("a list")
        .clone();
    for list in [&mut expected, &mut recordings] {
        list.sort_by_key(|one| one["id"].to_string());
    }
    assert_eq!(recordings, expected);
    let mut gone: Vec<String> = certificate["objects"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["key"].as_str().expect("a key").to_owned())
        .collect();
    gone.sort();
    let mut keys = vec![track(ours, 1, ana).key, track(ours, 7, ana).key, mix(1).key];
    keys.sort();
    assert_eq!(gone, keys);
    for key in &gone {
        assert!(bucket.objects.head(key).await.expect("answers").is_none());
    }
    for key in [
        track(theirs, 1, bob).key,
        track(ours, 2, ana).key,
        mix(2).key,
    ] {
        let there = bucket.objects.head(&key).await.expect("answers");
        assert!(there.is_some(), "{key}");
    }
    assert_eq!(meeting.status(meeting.mix).await, "ready");

    // By whoever has the public key.
    let keys = app.call("GET", "/v1/keys", "", None).await.json();
    let key = &keys["keys"][0];
    let jws = done["jws"].as_str().expect("it is signed");
    let head = jws.split('.').next().expect("a header");
    let head = URL_SAFE_NO_PAD.decode(head).expect("base64");
    let head: Value = serde_json::from_slice(&head).expect("JSON");
    assert_eq!(head["kid"], key["kid"]);
    let public = DecodingKey::from_ed_components(key["x"].as_str().expect("a key")).expect("a key");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(jws, &public, &validation).expect("it is ours");
    assert_eq!(&claims.claims, certificate);
}
