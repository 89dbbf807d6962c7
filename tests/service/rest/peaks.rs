//! How loud a recording is, as it is asked for.

use super::{
    app::App,
    recording::{change, insert},
};
use crate::support::s3::Bucket;
use hansard::domain::{
    id::RecordingId, media_type::MediaType, object_key::RecordingFile, tiering::Tier,
};
use serde_json::{Value, json};

/// How the jobs stand that make them.
async fn jobs(app: &App) -> Vec<String> {
    sqlx::query_scalar("select state from jobs where kind = 'peaks'")
        .fetch_all(&mut app.sql().await)
        .await
        .expect("Postgres answers")
}

#[tokio::test]
async fn peaks_are_read_of_a_mix_in_as_many_points_as_are_asked_for() {
    let bucket = Bucket::start().await;
    let app = App::with_bucket(&bucket).await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, ana).await;
    let track = insert(&app, meeting, Some(joined.participant), 0, "ready").await;
    let mix = insert(&app, meeting, None, 1230, "ready").await;
    let path = format!("/v1/recordings/{mix}/peaks");
    let none = |making: bool| {
        json!({
            "recordingId": mix, "startMs": 1230, "durationMs": 1499, "peaks": null, "making": making
        })
    };
    // Of a file elsewhere nobody makes any.
    assert_eq!(app.get(&path).await.expect(200), none(false));
    let of_track = app.get(&format!("/v1/recordings/{track}/peaks")).await;
    assert_eq!(of_track.expect(200)["peaks"], Value::Null);
    assert_eq!(jobs(&app).await, Vec::<String>::new());

    let file = RecordingFile {
        tenant: app.tenant,
        meeting,
        recording: RecordingId(mix),
        revision: 2,
        media: MediaType::AudioMp4,
    };
    sqlx::query("update recordings set blob_url = $2 where id = $1")
        .bind(mix)
        .bind(format!("s3://hansard/{file}"))
        .execute(&mut app.sql().await)
        .await
        .expect("changed");
    // A mix of an earlier version: what is in the archive stays there.
    change(&app, mix, "storage_tier = 'archive'").await;
    assert_eq!(app.get(&path).await.expect(200), none(false));
    change(&app, mix, "storage_tier = 'hot'").await;
    for _ in 0..2 {
        assert_eq!(app.get(&path).await.expect(200), none(true));
        assert_eq!(jobs(&app).await, ["queued"]);
    }
    // Who could not make them does not try again for everybody who asks.
    sqlx::query("update jobs set state = 'failed' where kind = 'peaks'")
        .execute(&mut app.sql().await)
        .await
        .expect("changed");
    assert_eq!(app.get(&path).await.expect(200), none(false));
    assert_eq!(jobs(&app).await, ["failed"]);
    let key = file.peaks().to_string();
    let stored = vec![0, 51, 255, 0, 102, 0];
    let kind = "application/octet-stream";
    let put = bucket.objects.put_bytes(&key, stored, kind, Tier::Hot);
    put.await.expect("stored");
    let all = app.get(&path).await;
    assert_eq!(all.header("cache-control"), "no-store");
    assert_eq!(
        all.expect(200)["peaks"],
        json!([0.0, 0.2, 1.0, 0.0, 0.4, 0.0])
    );
    let some = app.get(&format!("{path}?points=3")).await.expect(200);
    assert_eq!(some["peaks"], json!([0.2, 1.0, 0.4]));
    for points in ["0", "4001", "-1", "many"] {
        app.get(&format!("{path}?points={points}"))
            .await
            .problem(400, "bad_request");
    }
    // Where the sound needs a restore, its waveform does not.
    change(&app, mix, "storage_tier = 'archive'").await;
    assert_eq!(app.get(&path).await.expect(200)["peaks"][2], 1.0);
    change(&app, mix, "redacting = true").await;
    app.get(&path).await.problem(409, "not_ready");
    change(&app, mix, "redacting = false, status = 'processing'").await;
    app.get(&path).await.problem(409, "not_ready");
    change(&app, mix, "status = 'deleting'").await;
    app.get(&path).await.problem(410, "gone");
}
