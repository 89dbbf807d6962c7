//! The job that deletes, on a real store that keeps versions.

use super::{
    app::App,
    job,
    recording::{change, insert, say},
};
use crate::support::s3::Bucket;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use hansard::{
    domain::{
        id::{MeetingId, RecordingId},
        inventory::ObjectKind,
        media_type::MediaType,
        object_key::RecordingFile,
        tiering::Tier,
    },
    jobs::delete::Delete,
    store::inventory::{self, Object, Settled},
    worker::Outcome,
};
use uuid::Uuid;

/// Stores an object of the recording twice, as a job does; answers with its key.
pub async fn stored(app: &App, bucket: &Bucket, meeting: MeetingId, recording: Uuid) -> String {
    let key = RecordingFile {
        tenant: app.tenant,
        meeting,
        recording: RecordingId(recording),
        revision: 1,
        media: MediaType::AudioWebm,
    }
    .to_string();
    for content in [b"one".to_vec(), b"other".to_vec()] {
        let object = Object {
            key: key.clone(),
            tenant: app.tenant,
            meeting,
            recording: RecordingId(recording),
            kind: ObjectKind::Track,
            participants: Vec::new(),
        };
        let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
        inventory::note(&mut tx, &[object]).await.expect("notes");
        tx.commit().await.expect("commits");
        let put = bucket
            .objects
            .put_bytes(&key, content, "audio/x-matroska", Tier::Hot)
            .await
            .expect("stores");
        assert!(put.version.is_some(), "the bucket keeps versions");
        let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
        let settled = Settled {
            key: &key,
            recording: RecordingId(recording),
            size_bytes: 1,
            sha256: &put.sha256,
            version: put.version.as_deref(),
        };
        inventory::settle(&mut tx, meeting, settled)
            .await
            .expect("settles");
        tx.commit().await.expect("commits");
    }
    key
}

/// Runs the job once.
pub async fn run(app: &App, bucket: &Bucket) -> Outcome {
    let delete = Delete {
        ledger: app.state.ledger.clone(),
        store: app.state.store.clone(),
        objects: bucket.objects.clone(),
    };
    job::run(app, delete).await
}

/// From now on the bucket keeps every version.
pub async fn keep_versions(bucket: &Bucket) {
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    bucket
        .client()
        .put_bucket_versioning()
        .bucket(&bucket.settings.bucket)
        .versioning_configuration(enabled)
        .send()
        .await
        .expect("versions are kept");
}

/// Those in the bucket, but for the ledger's.
async fn versions(bucket: &Bucket) -> usize {
    let listed = bucket
        .client()
        .list_object_versions()
        .bucket(&bucket.settings.bucket)
        .send()
        .await
        .expect("lists");
    let versions = listed.versions().iter().map(|version| version.key());
    let markers = listed.delete_markers().iter().map(|marker| marker.key());
    let keys = versions.chain(markers).flatten();
    keys.filter(|key| !key.starts_with("ledger/")).count()
}

#[tokio::test]
async fn no_version_and_no_word_is_left() {
    let bucket = Bucket::start().await;
    keep_versions(&bucket).await;
    let app = App::with_bucket(&bucket).await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let agreed = app.who_agreed(meeting, ana, "recording_ai").await;
    app.enter(meeting, agreed.participant).await;
    say(&app, meeting, agreed.participant, 0, 900, "Secret words.").await;
    let (track, other) = (
        insert(&app, meeting, Some(agreed.participant), 0, "ready").await,
        Uuid::now_v7(),
    );
    change(&app, track, "sha256 = 'abc'").await;
    let key = stored(&app, &bucket, meeting, track).await;
    let kept = stored(&app, &bucket, meeting, other).await;
    app.call(
        "PUT",
        &format!("/v1/meetings/{meeting}/end"),
        &app.key,
        None,
    )
    .await
    .expect(200);
    // As its worker leaves it.
    sqlx::query("update jobs set state = 'done' where kind = 'capture'")
        .execute(&mut app.sql().await)
        .await
        .expect("Postgres answers");
    assert_eq!(versions(&bucket).await, 4);
    let path = format!("/v1/recordings/{track}");
    app.call("DELETE", &path, &app.key, None).await.expect(204);
    assert!(matches!(run(&app, &bucket).await, Outcome::Settled));
    let gone = app.get(&path).await.problem(410, "gone");
    assert!(gone["tombstone"]["deletedAt"].is_string(), "{gone}");
    assert_eq!(gone["tombstone"]["recordings"][0]["sha256"], "abc");
    assert_eq!(versions(&bucket).await, 2, "the other's two versions");
    assert!(
        bucket.objects.head(&kept).await.expect("answers").is_some()
            && bucket.objects.head(&key).await.expect("answers").is_none()
    );

    let path = format!("/v1/meetings/{meeting}");
    app.call("DELETE", &path, &app.key, None).await.expect(204);
    assert!(matches!(run(&app, &bucket).await, Outcome::Settled));
    let gone = app.get(&path).await.problem(410, "gone");
    assert!(gone["tombstone"]["deletedAt"].is_string(), "{gone}");
    assert_eq!(versions(&bucket).await, 0);
    for table in [
        "transcript_segments",
        "meeting_events",
        "recording_segments",
        "participant_visits",
        "streams",
    ] {
        let sql = format!("select count(*) from {table}");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut app.sql().await)
            .await
            .expect("Postgres answers");
        assert_eq!(rows, 0, "{table}");
    }
}
