//! How long what was recorded of a meeting is kept.

use super::{
    app::App,
    deletion::Ended,
    ledger::{caught, entries},
    recording::insert,
};
use crate::support::s3::Bucket;
use chrono::{DateTime, TimeDelta, Utc};
use hansard::{domain::id::RecordingId, jobs::retention::expire_due, store::deletion};
use serde_json::{Value, json};

fn time(value: &Value) -> DateTime<Utc> {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("a time, not {value}"));
    text.parse().expect("a time")
}

#[tokio::test]
async fn a_recording_says_when_it_expires() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let recording = insert(&app, meeting, None, 0, "ready").await;
    let (path, file) = (
        format!("/v1/meetings/{meeting}"),
        format!("/v1/recordings/{recording}"),
    );
    let expires = async || app.get(&file).await.expect(200)["expiresAt"].clone();
    let set = async |days: Value| {
        let body = json!({"settings": {"retentionDays": days}});
        let set = app
            .call("PATCH", &path, &app.key, Some(body))
            .await
            .expect(200);
        assert_eq!(set["settings"]["retentionDays"], days);
    };
    set(json!(7)).await;
    // It has not ended.
    assert_eq!(expires().await, Value::Null);
    let ended = app
        .call("PUT", &format!("{path}/end"), &app.key, None)
        .await;
    let ended = time(&ended.expect(200)["endTime"]);
    assert_eq!(time(&expires().await), ended + TimeDelta::days(7));
    // What is left out stays.
    for body in [
        json!({}),
        json!({"settings": {}}),
        json!({"settings": null}),
    ] {
        let left = app.call("PATCH", &path, &app.key, Some(body)).await;
        assert_eq!(left.expect(200)["settings"]["retentionDays"], 7);
    }
    set(json!("keep")).await;
    assert_eq!(expires().await, Value::Null);
    // The tenant's counts where the meeting has none.
    set(Value::Null).await;
    assert_eq!(expires().await, Value::Null);
    let tenants = json!({"retentionDays": 400});
    let tenant = app
        .call("PATCH", "/v1/tenant", &app.key, Some(tenants))
        .await;
    tenant.expect(200);
    assert_eq!(time(&expires().await), ended + TimeDelta::days(400));
    let listed = app.get(&format!("{path}/recordings")).await.expect(200);
    assert_eq!(listed["data"][0]["expiresAt"], expires().await);
    // While it is held, nothing expires.
    let (path, reason) = (format!("{path}/hold"), json!({"reason": "x"}));
    let hold = app.call("PUT", &path, &app.key, Some(reason)).await;
    hold.expect(200);
    assert_eq!(expires().await, Value::Null);
}

#[tokio::test]
async fn days_that_cannot_be_meant_are_refused() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let pointer = "/settings/retentionDays";
    for days in [json!(0), json!(36_501), json!("never"), json!(1.5)] {
        let settings = json!({"retentionDays": days});
        let made = app
            .post("/v1/meetings", json!({"hostId": ana, "settings": settings}))
            .await;
        made.points_at(&[pointer]);
        let meeting = app.meeting(ana).await;
        let path = format!("/v1/meetings/{meeting}");
        let body = json!({"settings": settings});
        let set = app.call("PATCH", &path, &app.key, Some(body)).await;
        set.points_at(&[pointer]);
    }
    let kept = app
        .meeting_with(ana, json!({"retentionDays": "keep"}))
        .await;
    let read = app.get(&format!("/v1/meetings/{kept}")).await.expect(200);
    assert_eq!(read["settings"]["retentionDays"], "keep");
}

/// Of how many meetings something was due then.
async fn expired(app: &App, now: DateTime<Utc>) -> usize {
    let state = &app.state;
    let expired = expire_due(&state.ledger, &state.store, &state.queue, now);
    expired.await.expect("it looks")
}

#[tokio::test]
async fn what_is_kept_no_longer_is_deleted_through_the_ledger_and_says_why() {
    let bucket = Bucket::start().await;
    let ended = Ended::on(App::with_bucket(&bucket).await, 2).await;
    let (app, path) = (&ended.app, format!("/v1/meetings/{}", ended.meeting));
    let body = json!({"settings": {"retentionDays": 7}});
    let set = app.call("PATCH", &path, &app.key, Some(body)).await;
    let due = time(&set.expect(200)["endTime"]) + TimeDelta::days(7);
    assert_eq!(expired(app, due - TimeDelta::seconds(1)).await, 0);
    // While it is held, never.
    let hold = format!("{path}/hold");
    let reason = json!({"reason": "Case 4711"});
    let held = app.call("PUT", &hold, &app.key, Some(reason)).await;
    held.expect(200);
    assert_eq!(expired(app, due + TimeDelta::days(900)).await, 0);
    assert_eq!(ended.status(ended.mix).await, "ready");
    app.call("DELETE", &hold, &app.key, None).await.expect(204);
    assert_eq!(expired(app, due).await, 1);
    assert_eq!(expired(app, due).await, 0);

    let content = format!("/v1/recordings/{}/content", ended.mix);
    let gone = app.get(&content).await.problem(410, "gone");
    assert_eq!(
        (
            &gone["tombstone"]["deletedBy"],
            &gone["tombstone"]["reason"]
        ),
        (
            &json!("retention"),
            &json!("the meeting's retention of 7 days ended")
        )
    );
    for track in &ended.tracks {
        assert_eq!(ended.status(*track).await, "deleting");
    }
    let transcript = app.get(&format!("{path}/transcript")).await;
    transcript.problem(410, "gone");
    app.get(&path).await.expect(200);
    let found = entries(app, &bucket).await;
    assert_eq!(found.len(), 3, "the hold, its lift and the deletion");
    let (entry, _) = &found[2];
    assert_eq!(
        (
            &entry["what"],
            &entry["author"],
            entry["recordings"].as_array().map(Vec::len)
        ),
        (&json!("transcript"), &json!("retention"), Some(3))
    );
    // What a spool still has of it goes, too, whatever its recording.
    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    let all = deletion::gone(&mut tx, ended.meeting).await.expect("reads");
    assert!(all.has(RecordingId(uuid::Uuid::now_v7())));
}

#[tokio::test]
async fn a_tenants_setting_is_for_meetings_without_their_own() {
    let bucket = Bucket::start().await;
    let ended = Ended::on(App::with_bucket(&bucket).await, 1).await;
    let app = &ended.app;
    let ana = app.user("Ana").await;
    let kept = app
        .meeting_with(ana, json!({"retentionDays": "keep"}))
        .await;
    let longer = app.meeting_with(ana, json!({"retentionDays": 400})).await;
    let mut recordings = Vec::new();
    for meeting in [kept, longer] {
        recordings.push(insert(app, meeting, None, 0, "ready").await);
        let path = format!("/v1/meetings/{meeting}/end");
        app.call("PUT", &path, &app.key, None).await.expect(200);
    }
    let now = Utc::now();
    assert_eq!(
        expired(app, now + TimeDelta::days(36_000)).await,
        1,
        "the longer one"
    );
    let tenants = json!({"retentionDays": 30});
    let set = app.call("PATCH", "/v1/tenant", &app.key, Some(tenants));
    set.await.expect(200);
    assert_eq!(expired(app, now + TimeDelta::days(29)).await, 0);
    assert_eq!(expired(app, now + TimeDelta::days(31)).await, 1);
    assert_eq!(ended.status(ended.mix).await, "deleting");
    assert_eq!(ended.status(recordings[0]).await, "ready");
    assert_eq!(caught(&app.state.ledger).await.replayed, 0);
}
