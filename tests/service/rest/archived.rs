//! Files that are made of archived tracks.

use super::{
    job,
    redaction_job::track,
    redaction_restore::{HOUR, World},
};
use crate::support::Scratch;
use hansard::{
    domain::fault::Away,
    jobs::{files::Files, mix::Mix},
    worker::Outcome,
};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// All tracks are asked for at once, each once, however often it is looked.
#[tokio::test]
async fn a_mix_of_archived_tracks_has_them_restored_and_waits() {
    let world = World::start().await;
    let app = world.app();
    let before = format!("/v1/recordings/{}", world.meeting.mix);
    let deleted = app.call("DELETE", &before, &app.key, None).await;
    deleted.expect(204);
    let path = format!("/v1/meetings/{}/mix", world.meeting.id);
    let made = app.post(&path, json!({})).await.expect(202);
    let id: Uuid = serde_json::from_value(made["id"].clone()).expect("an id");
    assert_ne!(id, world.meeting.mix);
    sqlx::query(
        "insert into jobs (id, tenant_id, meeting_id, kind, subject, state)
         select gen_random_uuid(), tenant_id, id, 'join', id, 'done' from meetings where id = $1",
    )
    .bind(world.meeting.id.0)
    .execute(&mut app.sql().await)
    .await
    .expect("it may");
    let work = Scratch::new();
    let mix = || Mix {
        files: Files {
            store: app.state.store.clone(),
            queue: app.state.queue.clone(),
            objects: world.objects.clone(),
            work: work.path().to_owned(),
        },
        rendering: Arc::new(Semaphore::new(1)),
    };
    let keys = [0, 1].map(|n| track(&world.meeting, n, 1).key);
    for _ in 0..2 {
        let outcome = job::fails(app, mix()).await;
        assert!(
            matches!(
                outcome,
                Outcome::Waiting {
                    away: Some(Away::Storage),
                    ..
                }
            ),
            "{outcome:?}"
        );
        assert_eq!(keys.each_ref().map(|key| world.asked(key)), [1, 1]);
        assert_eq!(world.read(id).await["status"], "processing");
    }
    world.bucket.pass(13 * HOUR);
    // They are read now.
    let outcome = job::run(app, mix()).await;
    assert!(matches!(outcome, Outcome::Settled), "{outcome:?}");
    assert!(!world.meeting.queued().await.contains(&"mix".to_owned()));
    assert_eq!(keys.each_ref().map(|key| world.asked(key)), [1, 1]);
}
