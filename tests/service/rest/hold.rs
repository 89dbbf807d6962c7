//! Legal holds.

use super::{app::App, recording::insert};
use serde_json::json;

#[tokio::test]
async fn a_meeting_is_held_until_that_is_lifted() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let path = format!("/v1/meetings/{meeting}/hold");
    app.get(&path).await.problem(404, "not_found");
    let put = async |reason: &str| {
        let body = json!({"reason": reason});
        app.call("PUT", &path, &app.key, Some(body)).await
    };
    let held = put(" Case 4711 ").await.expect(200);
    assert_eq!(held["reason"], "Case 4711");
    assert_eq!(held["meetingId"], json!(meeting));
    let placed_by = held["placedBy"].as_str().expect("a key");
    assert!(placed_by.starts_with("api_key:"), "{placed_by}");
    assert_eq!(app.get(&path).await.expect(200), held);
    // The same again is the same hold, another reason another one.
    assert_eq!(put("Case 4711").await.expect(200), held);
    let other = put("Case 4712").await.expect(200);
    assert_ne!(other["id"], held["id"]);
    assert_eq!(app.get(&path).await.expect(200), other);
    for _ in 0..2 {
        let lift = format!("{path}?reason=closed");
        app.call("DELETE", &lift, &app.key, None).await.expect(204);
    }
    app.get(&path).await.problem(404, "not_found");
    // What there was stays on record.
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "select reason, lift_reason from holds where meeting_id = $1 order by placed_at, id",
    )
    .bind(meeting.0)
    .fetch_all(&mut app.sql().await)
    .await
    .expect("Postgres answers");
    let row = |reason: &str, lifted: &str| (reason.to_owned(), Some(lifted.to_owned()));
    assert_eq!(
        rows,
        [row("Case 4711", "replaced"), row("Case 4712", "closed")]
    );
}

#[tokio::test]
async fn a_hold_has_a_reason() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let path = format!("/v1/meetings/{meeting}/hold");
    for body in [
        json!({}),
        json!({"reason": ""}),
        json!({"reason": "a".repeat(501)}),
        json!({"reason": "a\u{7}"}),
    ] {
        let put = app.call("PUT", &path, &app.key, Some(body)).await;
        put.points_at(&["/reason"]);
    }
    let long = format!("{path}?reason={}", "a".repeat(501));
    let lift = app.call("DELETE", &long, &app.key, None).await;
    lift.problem(400, "bad_request");
    let unknown = app
        .call("DELETE", &format!("{path}?why=x"), &app.key, None)
        .await;
    unknown.problem(400, "bad_request");
}

#[tokio::test]
async fn what_is_held_is_not_deleted_and_what_is_being_deleted_is_not_held() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let mix = insert(&app, meeting, None, 0, "ready").await;
    let path = format!("/v1/meetings/{meeting}/hold");
    let put = async || {
        let body = json!({"reason": "Case 4711"});
        app.call("PUT", &path, &app.key, Some(body)).await
    };
    put().await.expect(200);
    let recording = format!("/v1/recordings/{mix}");
    for what in [
        recording.clone(),
        format!("/v1/meetings/{meeting}/transcript"),
        format!("/v1/meetings/{meeting}"),
    ] {
        let refused = app.call("DELETE", &what, &app.key, None).await;
        let refused = refused.problem(409, "held");
        let detail = refused["detail"].as_str().expect("text");
        assert!(detail.contains("Case 4711"), "{detail}");
    }
    app.get(&recording).await.expect(200);
    app.call("DELETE", &path, &app.key, None).await.expect(204);
    let deleted = async || app.call("DELETE", &recording, &app.key, None).await;
    deleted().await.expect(204);
    put().await.problem(409, "not_ready");
    // Asking again for what is being deleted is no error, held or not.
    sqlx::query("update deletions set done_at = now()")
        .execute(&mut app.sql().await)
        .await
        .expect("it may");
    put().await.expect(200);
    deleted().await.expect(204);
}
