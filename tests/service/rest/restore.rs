//! Recordings back from the archive: asked for, waited for, extended, and archived again.

use super::{
    app::App,
    recording::{change, insert},
};
use crate::support::{Scratch, faults::Faults, s3::Bucket};
use axum::http::Method;
use hansard::{
    domain::{id::MeetingId, lease::LeaseState, tiering::Tier},
    embed::s3::Options,
    jobs::restore::Restore,
    objects::{Objects, StorageConfig},
    store::{job, lease},
    worker::{Claimed, Job, Outcome},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);
const CONTENT: &[u8] = b"sound";

struct World {
    app: App,
    bucket: Bucket,
    /// Between the bucket and the job.
    faults: Faults,
    job: Arc<Restore>,
    meeting: MeetingId,
    recording: Uuid,
}

impl World {
    async fn start() -> Self {
        let options = Options {
            restore_delay: 12 * HOUR,
            ..Options::default()
        };
        let clock = options.clock.clone();
        let bucket = Bucket::start_with(Scratch::new(), options).await;
        let app = App::with_bucket(&bucket).await;
        let ana = app.user("Ana").await;
        let meeting = app.meeting(ana).await;
        let recording = insert(&app, meeting, None, 0, "ready").await;
        change(&app, recording, "storage_tier = 'archive'").await;
        let key = format!("m/{recording}");
        let put = bucket
            .objects
            .put_bytes(&key, CONTENT.to_vec(), "audio/mp4", Tier::Archive);
        put.await.expect("stored");
        let faults = Faults::before(&bucket).await;
        let job = Restore {
            store: app.state.store.clone(),
            objects: Objects::new(&StorageConfig {
                endpoint: faults.endpoint.clone(),
                ..bucket.settings.clone()
            }),
            clock,
        };
        Self {
            app,
            bucket,
            faults,
            job: Arc::new(job),
            meeting,
            recording,
        }
    }

    /// How often the store was asked for a restore.
    fn asked(&self) -> usize {
        let seen = self.faults.seen();
        seen.iter().filter(|one| one.method == Method::POST).count()
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/recordings/{}{rest}", self.recording)
    }

    async fn ask(&self, body: Value) -> Value {
        let asked = self.app.post(&self.path("/restore"), body).await;
        asked.expect(202)
    }

    async fn restore(&self) -> Value {
        let read = self.app.get(&self.path("")).await.expect(200);
        read["restore"].clone()
    }

    /// Its job runs once, if it is due.
    async fn work(&self) -> Option<Outcome> {
        let owner = Uuid::now_v7();
        let mut tx = self.app.state.store.worker_tx().await.expect("answers");
        sqlx::query("update jobs set run_at = clock_timestamp() where kind = 'restore' and state = 'queued'")
            .execute(&mut *tx)
            .await
            .expect("it may");
        let claimed = lease::claim(&mut tx, &["restore"], owner, &[], 1).await;
        let row = claimed.expect("it may").pop();
        tx.commit().await.expect("commits");
        let row = row?;
        let (_, lease) = watch::channel(LeaseState::Held);
        let claimed = Claimed {
            job: row.clone(),
            owner,
            lease,
            stop: CancellationToken::new(),
        };
        let outcome = self.job.clone().run(claimed).await.expect("it runs");
        let mut tx = self.app.state.store.worker_tx().await.expect("answers");
        match outcome {
            Outcome::Settled => Ok(()),
            Outcome::Done => job::finish(&mut tx, row.id, owner, row.epoch).await,
            _ => job::release(&mut tx, row.id, owner, row.epoch).await,
        }
        .expect("it is its own");
        tx.commit().await.expect("commits");
        Some(outcome)
    }
}

#[tokio::test]
async fn a_restore_takes_its_time_is_extended_and_ends() {
    let world = World::start().await;
    let none = json!({"state": "none", "until": null});
    assert_eq!(world.restore().await, none);
    let content = world.path("/content");
    world.app.get(&content).await.problem(409, "not_ready");
    let asked = world.ask(json!({"days": 2})).await;
    let running = json!({"state": "running", "until": null});
    assert_eq!(asked["recording"]["restore"], running);
    let ready_by: chrono::DateTime<chrono::Utc> = asked["readyBy"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a time");
    let hours = (ready_by - world.app.state.clock.now()).num_minutes();
    assert!((700..=720).contains(&hours), "{hours} minutes");
    // The store takes it on; asking it again and again changes nothing.
    for _ in 0..2 {
        let outcome = world.work().await;
        assert!(
            matches!(outcome, Some(Outcome::Waiting { .. })),
            "{outcome:?}"
        );
        assert_eq!(world.restore().await, running);
        assert_eq!(world.asked(), 1);
    }
    // More of it, before it is there, and slower: the longer counts.
    world.ask(json!({"days": 9, "speed": "bulk"})).await;
    world.ask(json!({"days": 1})).await;
    for _ in 0..2 {
        world.work().await;
        assert_eq!(world.asked(), 1, "one that runs cannot be changed");
    }
    world.app.get(&content).await.problem(409, "not_ready");
    world.bucket.pass(12 * HOUR + HOUR / 60);
    // First it is readable, then for longer.
    for _ in 0..3 {
        world.work().await;
    }
    assert!(world.work().await.is_none(), "nothing is left to do");
    assert_eq!(world.asked(), 2);
    let restored = world.restore().await;
    assert_eq!(restored["state"], "restored");
    let until: chrono::DateTime<chrono::Utc> = restored["until"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a time");
    let days = (until - world.bucket.clock.now()).num_hours() / 24;
    assert!((9..=10).contains(&days), "{days} days");
    let link = world.app.get(&world.path("/content?redirect=false")).await;
    let link = link.expect(200)["url"].as_str().expect("a link").to_owned();
    let fetched = reqwest::get(&link).await.expect("it answers");
    assert_eq!(fetched.bytes().await.expect("whole").as_ref(), CONTENT);
    // What ends earlier than it does anyway asks nobody.
    let asked = world.ask(json!({"days": 3})).await;
    assert_eq!(asked["recording"]["restore"], restored);
    assert!(world.work().await.is_none());
    // Extended while it is readable, it stays so.
    let asked = world.ask(json!({"days": 30})).await;
    assert_eq!(asked["recording"]["restore"], restored);
    world.work().await;
    let longer = world.restore().await;
    assert_eq!(longer["state"], "restored");
    assert!(
        longer["until"].as_str() > restored["until"].as_str(),
        "{longer}"
    );
    // Its time is over.
    change(
        &world.app,
        world.recording,
        "restore_until = now() - interval '1 second'",
    )
    .await;
    assert_eq!(world.restore().await, none);
    world.app.get(&content).await.problem(409, "not_ready");
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused() {
    let world = World::start().await;
    let path = world.path("/restore");
    for (body, pointer) in [
        (json!({}), "/days"),
        (json!({"days": 0}), "/days"),
        (json!({"days": 366}), "/days"),
        (json!({"days": 1, "speed": "quick"}), "/speed"),
    ] {
        world.app.post(&path, body).await.points_at(&[pointer]);
    }
    for (set, status, name) in [
        ("storage_tier = 'cold'", 409, "not_archived"),
        (
            "storage_tier = 'archive', storage_class = 'GLACIER_IR'",
            409,
            "not_archived",
        ),
        (
            "storage_class = null, status = 'processing'",
            409,
            "not_ready",
        ),
        ("status = 'deleting'", 410, "gone"),
    ] {
        change(&world.app, world.recording, set).await;
        let asked = world.app.post(&path, json!({"days": 1})).await;
        asked.problem(status, name);
    }
    assert!(world.work().await.is_none());
}

/// Killed after the store took it on, and before anybody noted that: the next run asks once more.
#[tokio::test]
async fn a_restore_outlives_its_worker() {
    let world = World::start().await;
    world.ask(json!({"days": 2})).await;
    let key = format!("m/{}", world.recording);
    let objects = &world.bucket.objects;
    let speed = hansard::domain::restore::RestoreSpeed::Standard;
    objects.restore(&key, 2, speed).await.expect("taken");
    assert!(matches!(world.work().await, Some(Outcome::Waiting { .. })));
    world.bucket.pass(13 * HOUR);
    for _ in 0..3 {
        world.work().await;
    }
    assert_eq!(world.restore().await["state"], "restored");
    // A new revision is another file, and lies where files begin.
    let mut tx = world.app.state.store.worker_tx().await.expect("answers");
    let object = hansard::store::inventory::Object {
        key: "m/new".to_owned(),
        tenant: world.app.tenant,
        meeting: world.meeting,
        recording: world.recording.into(),
        kind: hansard::domain::inventory::ObjectKind::Mix,
        participants: Vec::new(),
    };
    hansard::store::inventory::note(&mut tx, &[object])
        .await
        .expect("noted");
    let file = hansard::store::recording::Finished {
        key: "m/new".to_owned(),
        blob_url: "s3://hansard/m/new".to_owned(),
        version: None,
        media_type: hansard::domain::media_type::MediaType::AudioMp4,
        start_ms: 0,
        duration_ms: 1,
        gaps: json!([]),
        size_bytes: 1,
        sha256: "00".to_owned(),
        made_of: Vec::new(),
        gain_db: None,
    };
    hansard::store::recording::finish(&mut tx, world.meeting, world.recording.into(), &file)
        .await
        .expect("told");
    tx.commit().await.expect("commits");
    let read = world.app.get(&world.path("")).await.expect(200);
    assert_eq!(
        (&read["storageTier"], &read["restore"]["state"]),
        (&json!("hot"), &json!("none"))
    );
    assert_eq!(world.app.get(&world.path("/content")).await.status, 302);
}
