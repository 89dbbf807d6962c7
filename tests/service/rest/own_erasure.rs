//! Participants who have themselves taken out, by a withdrawal with `erase`.

use super::{
    app::{App, Joined},
    erasure::end,
    recording::{change, insert, say},
};
use crate::support::s3::Bucket;
use hansard::domain::id::MeetingId;
use serde_json::{Value, json};

#[tokio::test]
async fn a_withdrawal_may_ask_for_what_was_recorded_before() {
    let app = App::start().await;
    let host = app.user("Host").await;
    let meeting = app.meeting(host).await;
    let ana = app.user("Ana").await;
    let agreed = app.who_agreed(meeting, ana, "recording_ai").await;
    app.enter(meeting, agreed.participant).await;
    let track = insert(&app, meeting, Some(agreed.participant), 0, "ready").await;
    change(&app, track, "duration_ms = 9000").await;
    end(&app, meeting).await;
    let ask = |status: &str| json!({"meetingId": meeting, "consentType": "recording", "status": status, "erase": true});
    let call = async |body: Value| {
        let token = &agreed.consent_token;
        app.call("POST", "/v1/users/consent", token, Some(body))
            .await
    };
    call(ask("declined")).await.points_at(&["/erase"]);
    let said = call(ask("withdrawn")).await.expect(201);
    assert_eq!(said["redaction"]["state"], "asked", "{said}");
    // Again it says how that stands.
    let again = call(ask("withdrawn")).await.expect(201);
    assert_eq!(
        (&again["entry"], &again["redaction"]),
        (&said["entry"], &said["redaction"])
    );
    let path = format!("/v1/meetings/{meeting}/redactions");
    let listed = app.get(&path).await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        listed["data"][0]["askedBy"],
        format!("participant:{}", agreed.participant)
    );
    let id = said["redaction"]["id"].as_str().expect("an id");
    app.post(&format!("{path}/{id}/approve"), json!({}))
        .await
        .expect(200);
    let recording = app.get(&format!("/v1/recordings/{track}")).await;
    assert_eq!(recording.expect(200)["status"], "deleting");
    let now = call(ask("withdrawn")).await.expect(201);
    assert_eq!(now["redaction"], json!({"id": id, "state": "running"}));
}

/// A host speaks for itself by its session, which has no end of the meeting's.
#[tokio::test]
async fn a_wish_of_ones_own_is_for_thirty_days_after_the_end() {
    let app = App::start().await;
    let host = app.user("Host").await;
    let ended = async |days: i32| {
        let meeting = app.meeting(host).await;
        let agreed = app.who_agreed(meeting, host, "recording").await;
        app.enter(meeting, agreed.participant).await;
        end(&app, meeting).await;
        sqlx::query(
            "update meetings set end_time = end_time - make_interval(days => $2) where id = $1",
        )
        .bind(meeting.0)
        .bind(days)
        .execute(&mut app.sql().await)
        .await
        .expect("it may");
        meeting
    };
    let withdraws = |meeting: MeetingId| json!({"meetingId": meeting, "consentType": "recording", "status": "withdrawn", "erase": true});
    let session = app.session(host);
    let say = async |token: &str, body: Value| {
        app.call("POST", "/v1/users/consent", token, Some(body))
            .await
    };
    let (soon, late) = (ended(29).await, ended(31).await);
    let said = say(&session, withdraws(soon)).await.expect(201);
    assert_eq!(said["redaction"]["state"], "asked", "{said}");
    for _ in 0..2 {
        let refused = say(&session, withdraws(late)).await;
        let refused = refused.problem(409, "too_late");
        let detail = refused["detail"].as_str().expect("text");
        assert!(
            detail.contains("30 days") && detail.contains("redactions"),
            "{detail}"
        );
    }
    // The withdrawal stands, once.
    let log = app.get(&format!("/v1/meetings/{late}/consents")).await;
    let log = log.expect(200);
    let status: Vec<&Value> = log["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| &entry["status"])
        .collect();
    assert_eq!(status, ["accepted", "withdrawn"]);
    // Whoever runs it may ask at any time.
    let mut by_key = withdraws(late);
    by_key["userId"] = json!(host);
    let said = say(&app.key, by_key).await.expect(201);
    let asked = &said["redaction"];
    assert_eq!(asked["state"], "asked", "{said}");
    // What was asked for in time says how it stands.
    sqlx::query("update meetings set end_time = end_time - interval '9 days' where id = $1")
        .bind(soon.0)
        .execute(&mut app.sql().await)
        .await
        .expect("it may");
    let again = say(&session, withdraws(soon)).await.expect(201);
    assert_eq!(again["redaction"]["state"], "asked", "{again}");
}

#[tokio::test]
async fn an_erasure_that_a_key_asks_for_is_not_said_to_be_by_their_own_hand() {
    let app = App::start().await;
    let host = app.user("Host").await;
    let meeting = app.meeting(host).await;
    let ana = app.user("Ana").await;
    app.who_agreed(meeting, ana, "recording").await;
    let withdrawn = json!({"meetingId": meeting, "userId": ana, "consentType": "recording",
        "status": "withdrawn", "erase": true});
    for _ in 0..2 {
        app.post("/v1/users/consent", withdrawn.clone())
            .await
            .expect(201);
    }
    let path = format!("/v1/meetings/{meeting}/redactions");
    let listed = app.get(&path).await.expect(200);
    let all = listed["data"].as_array().expect("a list");
    assert_eq!(all.len(), 1, "asked once");
    let by = all[0]["askedBy"].as_str().expect("somebody");
    assert!(by.starts_with("api_key:"), "{by}");
}

/// By a participant that was in a meeting which is over, and a setting of the tenant.
async fn withdraws(app: &App, setting: &str) -> (MeetingId, Joined, Value) {
    let set = json!({"selfErasure": setting});
    let set = app.call("PATCH", "/v1/tenant", &app.key, Some(set)).await;
    set.expect(200);
    let host = app.user("Host").await;
    let meeting = app.meeting(host).await;
    let ana = app.user("Ana").await;
    let agreed = app.who_agreed(meeting, ana, "recording_ai").await;
    app.enter(meeting, agreed.participant).await;
    // Before the withdrawal, which takes back what was said after it, however soon it comes.
    say(
        app,
        meeting,
        agreed.participant,
        -2_000,
        -1_000,
        "A canary word.",
    )
    .await;
    end(app, meeting).await;
    let body = json!({"meetingId": meeting, "consentType": "recording_ai", "status": "withdrawn", "erase": true});
    let said = app
        .call(
            "POST",
            "/v1/users/consent",
            &agreed.consent_token,
            Some(body),
        )
        .await
        .expect(201);
    assert_eq!(said["status"], "withdrawn");
    (meeting, agreed, said["redaction"].clone())
}

async fn words(app: &App, meeting: MeetingId) -> usize {
    let path = format!("/v1/meetings/{meeting}/transcript");
    let transcript = app.get(&path).await.expect(200);
    transcript["segments"].as_array().expect("a list").len()
}

#[tokio::test]
async fn the_tenant_says_what_a_wish_to_be_erased_means() {
    let bucket = Bucket::start().await;
    let app = App::with_bucket(&bucket).await;
    let (meeting, agreed, redaction) = withdraws(&app, "auto").await;
    assert_eq!(redaction["state"], "running", "{redaction}");
    assert_eq!(words(&app, meeting).await, 0);
    let path = format!("/v1/meetings/{meeting}/redactions");
    let listed = app.get(&path).await.expect(200);
    let by = format!("participant:{}", agreed.participant);
    assert_eq!(listed["data"][0]["askedBy"], json!(by));
    assert_eq!(super::ledger::entries(&app, &bucket).await.len(), 1);
    // The withdrawal stands, and nothing else happens.
    let (meeting, _, redaction) = withdraws(&app, "off").await;
    assert_eq!(redaction, Value::Null);
    assert_eq!(words(&app, meeting).await, 1);
    let listed = app.get(&format!("/v1/meetings/{meeting}/redactions")).await;
    assert_eq!(listed.expect(200)["data"], json!([]));
    let (meeting, agreed, redaction) = withdraws(&app, "ask").await;
    assert_eq!(redaction["state"], "asked");
    assert_eq!(words(&app, meeting).await, 1);
    // Wished again when nobody has to approve it any more, but the meeting is held.
    let set = json!({"selfErasure": "auto"});
    let set = app.call("PATCH", "/v1/tenant", &app.key, Some(set)).await;
    set.expect(200);
    let hold = format!("/v1/meetings/{meeting}/hold");
    let held = app
        .call("PUT", &hold, &app.key, Some(json!({"reason": "x"})))
        .await;
    held.expect(200);
    let again = async || {
        let body = json!({"meetingId": meeting, "consentType": "recording_ai", "status": "withdrawn", "erase": true});
        let token = &agreed.consent_token;
        let said = app
            .call("POST", "/v1/users/consent", token, Some(body))
            .await;
        said.expect(201)["redaction"].clone()
    };
    assert_eq!(again().await, redaction);
    app.call("DELETE", &hold, &app.key, None).await.expect(204);
    assert_eq!(
        again().await,
        json!({"id": redaction["id"], "state": "running"})
    );
    assert_eq!(words(&app, meeting).await, 0);
}
