//! How long what was recorded of a meeting is kept.

use super::{app::App, recording::insert};
use chrono::{DateTime, TimeDelta, Utc};
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
