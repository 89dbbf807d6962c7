//! The job that sees redactions through, on a real store, and what it signs.

use super::{app::App, job, redaction::Meeting};
use crate::support::s3::Bucket;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hansard::{
    domain::{
        id::{ParticipantId, RecordingId},
        inventory::ObjectKind,
        media_type::MediaType,
        object_key::RecordingFile,
        tiering::Tier,
    },
    jobs::redact::Redact,
    store::{
        inventory::{self, Object, Settled},
        seal::Seal,
    },
    worker::Outcome,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Stores an object as a job does.
async fn store(app: &App, bucket: &Bucket, object: Object, current: bool) {
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
        sqlx::query("update recordings set blob_url = $2, sha256 = $3 where id = $1")
            .bind(object.recording.0)
            .bind(bucket.objects.url(&object.key))
            .bind(object.key)
            .execute(&mut app.sql().await)
            .await
            .expect("Postgres answers");
    }
}

/// Runs the job once.
pub async fn run(app: &App, bucket: &Bucket) -> Outcome {
    let redact = Redact {
        store: app.state.store.clone(),
        queue: app.state.queue.clone(),
        objects: bucket.objects.clone(),
        seal: Arc::new(Seal::new(super::app::SECRET).expect("long enough")),
    };
    job::run(app, redact).await
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
