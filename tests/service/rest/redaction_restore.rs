//! Redactions, restores and holds at the same time: each restore is asked for once, whoever wants
//! it.

use super::{
    app::App,
    job,
    recording::change,
    redaction::Meeting,
    redaction_job::{redact, store, track},
};
use crate::support::{Scratch, faults::Faults, s3::Bucket};
use axum::http::Method;
use hansard::{
    domain::{
        id::RecordingId, inventory::ObjectKind, media_type::MediaType, object_key::RecordingFile,
        tiering::Tier,
    },
    embed::s3::Options,
    jobs::{redact::Redact, restore::Restore},
    objects::{Objects, StorageConfig},
    store::{
        inventory::{self, Object},
        recording::{self, Finished},
    },
    worker::Outcome,
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

pub const HOUR: Duration = Duration::from_secs(3600);

/// A meeting that is over, whose files are in the archive.
pub struct World {
    pub meeting: Meeting,
    pub bucket: Bucket,
    faults: Faults,
    /// By way of the faults, which count.
    pub objects: Objects,
}

impl World {
    pub async fn start() -> Self {
        let options = Options {
            restore_delay: 12 * HOUR,
            ..Options::default()
        };
        let bucket = Bucket::start_with(Scratch::new(), options).await;
        let meeting = Meeting::live_on(App::with_bucket(&bucket).await).await;
        meeting.end().await;
        let faults = Faults::before(&bucket).await;
        let objects = Objects::new(&StorageConfig {
            endpoint: faults.endpoint.clone(),
            ..bucket.settings.clone()
        });
        let world = Self {
            meeting,
            bucket,
            faults,
            objects,
        };
        for object in [
            track(&world.meeting, 0, 1),
            track(&world.meeting, 1, 1),
            world.mix(1),
        ] {
            let (key, recording) = (object.key.clone(), object.recording);
            store(world.app(), &world.bucket, object, true).await;
            let archived = world.bucket.objects.put_bytes(
                &key,
                b"sound".to_vec(),
                "audio/webm",
                Tier::Archive,
            );
            archived.await.expect("stored");
            change(world.app(), recording.0, "storage_tier = 'archive'").await;
        }
        world
    }

    pub fn app(&self) -> &App {
        &self.meeting.app
    }

    fn mix(&self, revision: i32) -> Object {
        let recording = RecordingId(self.meeting.mix);
        let file = RecordingFile {
            tenant: self.app().tenant,
            meeting: self.meeting.id,
            recording,
            revision,
            media: MediaType::AudioMp4,
        };
        Object {
            key: file.to_string(),
            tenant: self.app().tenant,
            meeting: self.meeting.id,
            recording,
            kind: ObjectKind::Mix,
            participants: self.meeting.people.map(|(id, _)| id).to_vec(),
        }
    }

    /// How often the store was asked to restore a file.
    pub fn asked(&self, key: &str) -> usize {
        let is_its = |path: &str| path.contains(key);
        let seen = self.faults.seen();
        seen.iter()
            .filter(|one| one.method == Method::POST && is_its(&one.path))
            .count()
    }

    async fn redact(&self) -> Outcome {
        let redact = Redact {
            objects: self.objects.clone(),
            ..redact(self.app(), &self.bucket)
        };
        job::run(self.app(), redact).await
    }

    async fn restore(&self) -> Outcome {
        let restore = Restore {
            store: self.app().state.store.clone(),
            objects: self.objects.clone(),
            clock: self.bucket.clock.clone(),
        };
        job::run(self.app(), restore).await
    }

    async fn ask_restore(&self, recording: Uuid) {
        let path = format!("/v1/recordings/{recording}/restore");
        let asked = self.app().post(&path, json!({"days": 2})).await;
        asked.expect(202);
    }

    async fn hold(&self, method: &str) -> super::app::Answer {
        let path = format!("/v1/meetings/{}/hold", self.meeting.id);
        let body = (method == "PUT").then(|| json!({"reason": "Case 4711"}));
        self.app().call(method, &path, &self.app().key, body).await
    }

    pub async fn read(&self, recording: Uuid) -> Value {
        let path = format!("/v1/recordings/{recording}");
        self.app().get(&path).await.expect(200)
    }

    /// The file of the one who is taken out was never archived, or is back.
    async fn is_hot(&self, n: usize) {
        let key = track(&self.meeting, n, 1).key;
        let objects = &self.bucket.objects;
        let put = objects.put_bytes(&key, b"sound".to_vec(), "audio/webm", Tier::Hot);
        put.await.expect("stored");
        change(self.app(), self.meeting.people[n].1, "storage_tier = 'hot'").await;
    }

    /// All that make files have ended.
    async fn made(&self) {
        sqlx::query("update jobs set state = 'done' where kind in ('join', 'mix')")
            .execute(&mut self.app().sql().await)
            .await
            .expect("it may");
    }

    /// As the job that makes it leaves a file.
    async fn make(&self, object: Object) {
        let mut tx = self.app().state.store.worker_tx().await.expect("answers");
        inventory::note(&mut tx, std::slice::from_ref(&object))
            .await
            .expect("notes");
        let objects = &self.bucket.objects;
        let put = objects.put_bytes(&object.key, b"less".to_vec(), "audio/webm", Tier::Hot);
        let put = put.await.expect("stored");
        let file = Finished {
            blob_url: objects.url(&object.key),
            key: object.key,
            version: put.version,
            media_type: MediaType::AudioWebm,
            start_ms: 0,
            duration_ms: 60_000,
            gaps: json!([]),
            size_bytes: 4,
            sha256: put.sha256,
            made_of: Vec::new(),
            gain_db: None,
        };
        recording::finish(&mut tx, object.meeting, object.recording, &file)
            .await
            .expect("told");
        tx.commit().await.expect("commits");
    }
}

fn span() -> Value {
    json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000})
}

/// Somebody has the track restored to hear it, and somebody else is taken out of it meanwhile.
#[tokio::test]
async fn a_redaction_during_a_restore_asks_for_each_file_once() {
    let world = World::start().await;
    let [(_, ours), (_, theirs)] = world.meeting.people;
    let keys = [0, 1].map(|n| track(&world.meeting, n, 1).key);
    world.ask_restore(ours).await;
    assert!(matches!(world.restore().await, Outcome::Waiting { .. }));
    assert_eq!(keys.each_ref().map(|key| world.asked(key)), [1, 0]);

    let asked = world.meeting.redact(span()).await.expect(202);
    assert_eq!(asked["state"], "waiting_restore", "{asked}");
    let path = format!(
        "{}/{}",
        world.meeting.path(),
        asked["id"].as_str().expect("an id")
    );
    for _ in 0..4 {
        assert!(matches!(world.redact().await, Outcome::Waiting { .. }));
        assert!(matches!(world.restore().await, Outcome::Waiting { .. }));
    }
    assert_eq!(keys.each_ref().map(|key| world.asked(key)), [1, 1]);
    assert_eq!(world.asked(&world.mix(1).key), 0, "it goes unrestored");
    let mix = world.bucket.objects.head(&world.mix(1).key).await;
    assert_eq!(mix.expect("answers"), None);
    let content = format!("/v1/recordings/{ours}/content");
    world.app().get(&content).await.problem(409, "not_ready");
    // It is being taken out, also while nothing can be done.
    world.hold("PUT").await.problem(409, "not_ready");

    world.bucket.pass(13 * HOUR);
    // The restore of whoever wanted to hear it is through; the file is closed.
    assert!(matches!(world.restore().await, Outcome::Settled));
    world.app().get(&content).await.problem(409, "not_ready");
    assert!(matches!(world.redact().await, Outcome::Waiting { .. }));
    let now = world.app().get(&path).await.expect(200);
    assert_eq!(
        (&now["state"], &now["error"]),
        (&json!("running"), &json!("its files are being made"))
    );
    world.make(track(&world.meeting, 0, 2)).await;
    world.make(world.mix(2)).await;
    world.made().await;
    for _ in 0..2 {
        if world.meeting.queued().await.contains(&"redact".to_owned()) {
            world.redact().await;
        }
    }
    let done = world.app().get(&path).await.expect(200);
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(keys.each_ref().map(|key| world.asked(key)), [1, 1]);
    let recording = world.read(ours).await;
    assert_eq!(
        (&recording["storageTier"], &recording["restore"]["state"]),
        (&json!("hot"), &json!("none"))
    );
    assert_eq!(world.app().get(&content).await.status, 302);
    assert_eq!(world.read(theirs).await["storageTier"], "archive");
    world.hold("PUT").await.expect(200);
}

/// What was waited for is deleted meanwhile: with nothing to restore any more, the file that could
/// be read all the time is still to be made without what goes.
#[tokio::test]
async fn a_redaction_goes_on_when_what_it_had_restored_is_deleted() {
    let world = World::start().await;
    world.is_hot(0).await;
    let [(_, ours), (_, theirs)] = world.meeting.people;
    let asked = world.meeting.redact(span()).await.expect(202);
    assert_eq!(asked["state"], "waiting_restore", "{asked}");
    let path = format!(
        "{}/{}",
        world.meeting.path(),
        asked["id"].as_str().expect("an id")
    );
    assert!(matches!(world.redact().await, Outcome::Waiting { .. }));
    let recording = format!("/v1/recordings/{theirs}");
    let app = world.app();
    let deleted = app.call("DELETE", &recording, &app.key, None).await;
    deleted.expect(204);
    assert!(matches!(world.redact().await, Outcome::Waiting { .. }));
    let now = app.get(&path).await.expect(200);
    assert_eq!(
        (&now["state"], &now["error"]),
        (&json!("running"), &json!("its files are being made"))
    );
    let queued = world.meeting.queued().await;
    assert!(queued.contains(&"join".to_owned()), "{queued:?}");
    world.make(track(&world.meeting, 0, 2)).await;
    world.make(world.mix(2)).await;
    world.made().await;
    for _ in 0..2 {
        if world.meeting.queued().await.contains(&"redact".to_owned()) {
            world.redact().await;
        }
    }
    let done = app.get(&path).await.expect(200);
    assert_eq!(done["state"], "done", "{done}");
    let before = track(&world.meeting, 0, 1).key;
    let head = world.bucket.objects.head(&before).await.expect("answers");
    assert_eq!(head, None);
    assert_eq!(world.read(ours).await["status"], "ready");
}

/// A mix of what there was before, which ends after the restore, does not stand for the files that
/// are to be made.
#[tokio::test]
async fn a_redaction_is_not_done_while_a_file_is_as_it_was() {
    let world = World::start().await;
    let [(_, ours), _] = world.meeting.people;
    let asked = world.meeting.redact(span()).await.expect(202);
    let path = format!(
        "{}/{}",
        world.meeting.path(),
        asked["id"].as_str().expect("an id")
    );
    assert!(matches!(world.redact().await, Outcome::Waiting { .. }));
    sqlx::query(
        "insert into jobs (id, tenant_id, meeting_id, kind, subject)
         select gen_random_uuid(), tenant_id, id, 'mix', id from meetings where id = $1",
    )
    .bind(world.meeting.id.0)
    .execute(&mut world.app().sql().await)
    .await
    .expect("it may");
    world.bucket.pass(13 * HOUR);
    assert!(matches!(world.redact().await, Outcome::Waiting { .. }));
    assert!(!world.meeting.queued().await.contains(&"join".to_owned()));
    world.made().await;
    assert!(matches!(world.redact().await, Outcome::Waiting { .. }));
    let now = world.app().get(&path).await.expect(200);
    assert_eq!(now["state"], "running", "{now}");
    assert!(world.meeting.queued().await.contains(&"join".to_owned()));
    let content = format!("/v1/recordings/{ours}/content");
    world.app().get(&content).await.problem(409, "not_ready");
}

/// What gives is not refused by a hold, what takes is.
#[tokio::test]
async fn a_hold_stands_during_a_restore_and_the_restore_goes_on() {
    let world = World::start().await;
    let [(_, ours), _] = world.meeting.people;
    world.ask_restore(ours).await;
    assert!(matches!(world.restore().await, Outcome::Waiting { .. }));
    world.hold("PUT").await.expect(200);
    world.meeting.redact(span()).await.problem(409, "held");
    for path in [
        format!("/v1/recordings/{ours}"),
        format!("/v1/meetings/{}", world.meeting.id),
    ] {
        let deleted = world.app().call("DELETE", &path, &world.app().key, None);
        deleted.await.problem(409, "held");
    }
    world.bucket.pass(13 * HOUR);
    for _ in 0..2 {
        if world.meeting.queued().await.contains(&"restore".to_owned()) {
            world.restore().await;
        }
    }
    assert_eq!(world.read(ours).await["restore"]["state"], "restored");
    let content = format!("/v1/recordings/{ours}/content");
    assert_eq!(world.app().get(&content).await.status, 302);
    // Asked for more while it is held.
    world.ask_restore(ours).await;
    world.hold("DELETE").await.expect(204);
    world.meeting.redact(span()).await.expect(202);
}

/// A recording that is deleted while it is restored does not come back, and nobody asks for it
/// again.
#[tokio::test]
async fn a_deletion_ends_a_restore() {
    let world = World::start().await;
    let [(_, ours), _] = world.meeting.people;
    let key = track(&world.meeting, 0, 1).key;
    world.ask_restore(ours).await;
    assert!(matches!(world.restore().await, Outcome::Waiting { .. }));
    let path = format!("/v1/recordings/{ours}");
    let deleted = world.app().call("DELETE", &path, &world.app().key, None);
    deleted.await.expect(204);
    let outcome = world.restore().await;
    assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
    let again = world
        .app()
        .post(&format!("{path}/restore"), json!({"days": 2}))
        .await;
    again.problem(410, "gone");
    assert_eq!(world.asked(&key), 1);
}
