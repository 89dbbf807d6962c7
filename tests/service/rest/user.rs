use super::app::{App, id};
use serde_json::json;

#[tokio::test]
async fn a_user_is_made_once_per_address() {
    let app = App::start().await;
    let made = app
        .post(
            "/v1/users",
            json!({"email": "Ana@example.org", "displayName": " Ana "}),
        )
        .await
        .expect(201);
    assert_eq!(made["displayName"], "Ana");
    assert_eq!(made["tenantId"], app.tenant.to_string());
    assert_eq!(
        app.get(&format!("/v1/users/{}/profile", id(&made)))
            .await
            .expect(200),
        made
    );

    let again = app
        .post(
            "/v1/users",
            json!({"email": "ana@EXAMPLE.org", "displayName": "Other"}),
        )
        .await;
    assert_eq!(again.problem(409, "conflict")["id"], made["id"]);

    // Another tenant may have the same person, and sees nothing of this one.
    let (_, other) = app.other_tenant().await;
    let body = json!({"email": "ana@example.org", "displayName": "Ana"});
    app.call("POST", "/v1/users", &other, Some(body))
        .await
        .expect(201);
    app.call(
        "GET",
        &format!("/v1/users/{}/profile", id(&made)),
        &other,
        None,
    )
    .await
    .problem(404, "not_found");
}

#[tokio::test]
async fn bad_users_are_refused_with_the_place() {
    let app = App::start().await;
    for (body, pointers) in [
        (json!({}), &["/email"][..]),
        (json!({"email": "a@b"}), &["/displayName"]),
        (
            json!({"email": "a@b", "displayName": "Ana", "admin": true}),
            &["/admin"],
        ),
        (json!({"email": "a@b", "displayName": 7}), &["/displayName"]),
        (
            json!({"email": "a@b", "displayName": ""}),
            &["/displayName"],
        ),
        (
            json!({"email": "a@b", "displayName": "x".repeat(129)}),
            &["/displayName"],
        ),
        (
            json!({"email": "a@b", "displayName": "Ana\u{0}"}),
            &["/displayName"],
        ),
        (
            json!({"email": "a@b", "displayName": "Ana\nBob"}),
            &["/displayName"],
        ),
        (
            json!({"email": "a@b", "displayName": "\u{202e}anA"}),
            &["/displayName"],
        ),
        (
            json!({"email": "nobody", "displayName": "Ana"}),
            &["/email"],
        ),
        (json!({"email": "a@b@c", "displayName": "Ana"}), &["/email"]),
        (
            json!({"email": "a b@c", "displayName": "\u{7}"}),
            &["/displayName", "/email"],
        ),
    ] {
        app.post("/v1/users", body).await.points_at(pointers);
    }
}

#[tokio::test]
async fn a_session_acts_as_its_user() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let opened = app
        .post(
            &format!("/v1/users/{ana}/sessions"),
            json!({"ttlSeconds": 60}),
        )
        .await
        .expect(201);
    let token = opened["token"].as_str().expect("text");
    assert!(
        opened["url"]
            .as_str()
            .expect("text")
            .starts_with("https://hansard.example.org/s/hc_")
    );

    let own = app
        .call("GET", &format!("/v1/users/{ana}/profile"), token, None)
        .await
        .expect(200);
    assert_eq!(own["displayName"], "Ana");
    app.call("GET", &format!("/v1/users/{bob}/profile"), token, None)
        .await
        .problem(403, "forbidden");
    for ttl in [
        json!(0),
        json!(-1),
        json!(28_801),
        json!("60"),
        json!(1.5),
        json!(null),
    ] {
        app.post(
            &format!("/v1/users/{ana}/sessions"),
            json!({"ttlSeconds": ttl}),
        )
        .await
        .points_at(&["/ttlSeconds"]);
    }
}
