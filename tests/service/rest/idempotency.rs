use super::app::{Answer, App, id, request};
use serde_json::{Value, json};

async fn keyed(app: &App, path: &str, token: &str, key: &str, body: Value) -> Answer {
    let authorization = format!("Bearer {token}");
    app.send(request(
        "POST",
        path,
        &[("authorization", &authorization), ("idempotency-key", key)],
        Some(body),
    ))
    .await
}

#[tokio::test]
async fn an_answer_is_given_again_and_another_body_refused() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let body = json!({"hostId": ana});
    let first = keyed(&app, "/v1/meetings", &app.key, "k", body.clone()).await;
    assert_eq!(first.header("idempotency-replayed"), "");
    let first = first.expect(201);
    let again = keyed(&app, "/v1/meetings", &app.key, "k", body.clone()).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.expect(201), first);
    keyed(
        &app,
        "/v1/meetings",
        &app.key,
        "k",
        json!({"hostId": ana, "password": "x"}),
    )
    .await
    .points_at(&[""]);
    // Another key, another route and another tenant are other requests.
    assert_ne!(
        keyed(&app, "/v1/meetings", &app.key, "l", body.clone())
            .await
            .expect(201)["id"],
        first["id"]
    );
    let user = json!({"email": "b@example.org", "displayName": "Bob"});
    keyed(&app, "/v1/users", &app.key, "k", user.clone())
        .await
        .expect(201);
    let (_, other) = app.other_tenant().await;
    keyed(&app, "/v1/users", &other, "k", user)
        .await
        .expect(201);
    for key in ["", &"x".repeat(256), "ü"] {
        let authorization = format!("Bearer {}", app.key);
        let mut request = request(
            "POST",
            "/v1/meetings",
            &[("authorization", &authorization)],
            Some(body.clone()),
        );
        let value = axum::http::HeaderValue::from_bytes(key.as_bytes()).expect("a value");
        request.headers_mut().insert("idempotency-key", value);
        app.send(request).await.problem(400, "bad_request");
    }
}

#[tokio::test]
async fn what_failed_may_be_tried_again() {
    let app = App::start().await;
    let missing = uuid::Uuid::now_v7();
    keyed(
        &app,
        "/v1/meetings",
        &app.key,
        "k",
        json!({"hostId": missing}),
    )
    .await
    .points_at(&["/hostId"]);
    let ana = app.user("Ana").await;
    keyed(&app, "/v1/meetings", &app.key, "k", json!({"hostId": ana}))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_equal_requests_at_once_take_effect_once() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let sent = (0..100).map(|_| keyed(&app, "/v1/meetings", &app.key, "k", json!({"hostId": ana})));
    let mut made = std::collections::BTreeSet::new();
    for answer in futures_util::future::join_all(sent).await {
        match answer.status {
            201 => drop(made.insert(id(&answer.json()))),
            409 => drop(answer.problem(409, "running")),
            _ => drop(answer.problem(503, "unavailable")),
        }
    }
    assert_eq!(made.len(), 1);
    let listed = app.get("/v1/meetings").await.expect(200);
    assert_eq!(listed["data"].as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn secrets_are_not_given_again() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;

    let path = format!("/v1/meetings/{meeting}/links");
    let link = keyed(&app, &path, &app.key, "k", json!({"role": "participant"}))
        .await
        .expect(201);
    let again = keyed(&app, &path, &app.key, "k", json!({"role": "participant"})).await;
    assert_eq!(again.problem(409, "conflict")["id"], link["id"]);

    // Join and sessions mint anew. Guests of one link cannot be told apart, so that a key of one
    // says nothing of another.
    let path = format!("/v1/meetings/{meeting}/join");
    let secret = link["url"]
        .as_str()
        .and_then(|url| url.split_once('#'))
        .expect("a fragment")
        .1;
    let guest = json!({"displayName": "Guest"});
    let first = keyed(&app, &path, secret, "k", guest.clone()).await;
    let other = keyed(&app, &path, secret, "k", guest).await;
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            other.header("idempotency-replayed")
        ),
        ("", "")
    );
    let (first, other) = (first.expect(200), other.expect(200));
    assert_ne!(first["participantId"], other["participantId"]);
    assert_ne!(first["consentToken"], other["consentToken"]);
    keyed(&app, &path, secret, "k", json!({"displayName": "Other"}))
        .await
        .expect(200);
    let joins = json!({"userId": bob});
    let first = keyed(&app, &path, &app.key, "k", joins.clone())
        .await
        .expect(200);
    let again = keyed(&app, &path, &app.key, "k", joins).await.expect(200);
    assert_eq!(first["participantId"], again["participantId"]);
    assert_ne!(first["token"], again["token"]);
    let path = format!("/v1/users/{bob}/sessions");
    let first = keyed(&app, &path, &app.key, "k", json!({"ttlSeconds": 60}))
        .await
        .expect(201);
    let again = keyed(&app, &path, &app.key, "k", json!({"ttlSeconds": 60}))
        .await
        .expect(201);
    assert_ne!(first["url"], again["url"]);
    keyed(&app, &path, &app.key, "k", json!({"ttlSeconds": 61}))
        .await
        .points_at(&[""]);
}

#[tokio::test]
async fn two_participants_with_one_key_are_two() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let body = json!({"meetingId": meeting.0, "consentType": "recording", "status": "accepted"});
    let mut participants = Vec::new();
    for user in [ana, bob] {
        let joined = app.join(meeting, user).await;
        let said = keyed(&app, "/v1/users/consent", &joined.token, "k", body.clone()).await;
        assert_eq!(said.header("idempotency-replayed"), "");
        participants.push(said.expect(201)["participantId"].clone());
        let again = keyed(&app, "/v1/users/consent", &joined.token, "k", body.clone()).await;
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_ne!(participants[0], participants[1]);
}
