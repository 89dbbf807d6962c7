//! What one address or one credential may ask, and what nothing holds back.

use super::app::{App, id};
use hansard::{api::limit::Limits, domain::id::MeetingId};
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn one_guests_wrong_passwords_lock_nobody_else_out() {
    let app = App::start().await;
    let (ana, bob, cleo) = (
        app.user("Ana").await,
        app.user("Bob").await,
        app.user("Cleo").await,
    );
    let body = json!({"hostId": ana, "password": "open sesame"});
    let meeting = MeetingId(id(&app.post("/v1/meetings", body).await.expect(201)));
    let path = format!("/v1/meetings/{meeting}/join");
    let link = app.link(meeting).await;
    let guess = |password: &str| Some(json!({"displayName": "Guest", "password": password}));
    for _ in 0..5 {
        app.call_from("192.0.2.1", "POST", &path, &link, guess("guess"))
            .await
            .problem(403, "wrong_password");
    }
    app.call_from("192.0.2.1", "POST", &path, &link, guess("open sesame"))
        .await
        .problem(429, "too_many_tries");
    app.call_from("192.0.2.2", "POST", &path, &link, guess("open sesame"))
        .await
        .expect(200);
    // One customer's network is one address.
    for n in 0..5 {
        let peer = format!("2001:db8:0:1::{n}");
        app.call_from(&peer, "POST", &path, &link, guess("guess"))
            .await
            .problem(403, "wrong_password");
    }
    app.call_from("2001:db8:0:1:9::9", "POST", &path, &link, guess("guess"))
        .await
        .problem(429, "too_many_tries");
    app.call_from(
        "2001:db8:0:2::1",
        "POST",
        &path,
        &link,
        guess("open sesame"),
    )
    .await
    .expect(200);
    // Another link does not give five more.
    let other = app.link(meeting).await;
    app.call_from("192.0.2.1", "POST", &path, &other, guess("open sesame"))
        .await
        .problem(429, "too_many_tries");
    // A server tries for many: each user counts.
    let of = |user, password: &str| json!({"userId": user, "password": password});
    for _ in 0..5 {
        app.post(&path, of(bob, "guess"))
            .await
            .problem(403, "wrong_password");
    }
    app.post(&path, of(bob, "open sesame"))
        .await
        .problem(429, "too_many_tries");
    app.post(&path, of(cleo, "open sesame")).await.expect(200);
}

#[tokio::test]
async fn an_address_is_told_when_to_come_again_and_may_always_withdraw() {
    // Twenty at once, and one a second.
    let app = App::limited(Limits::new(1, 0, Arc::default())).await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, ana).await;
    let path = format!("/v1/meetings/{meeting}");
    let mut refused = 0;
    for _ in 0..40 {
        let answer = app
            .call_from("192.0.2.1", "GET", &path, &app.key, None)
            .await;
        if answer.status != 200 {
            let wait: u64 = answer.header("retry-after").parse().expect("seconds");
            assert!((1..=20).contains(&wait), "{wait}");
            answer.problem(429, "too_many_requests");
            refused += 1;
        }
    }
    assert!(refused >= 10, "{refused} of 40");
    app.call_from("192.0.2.2", "GET", &path, &app.key, None)
        .await
        .expect(200);
    // Agreeing is counted as anything else, and so is what nobody can read and whoever is nobody.
    let say = |status: &str| {
        Some(json!({"meetingId": meeting.0, "consentType": "recording", "status": status}))
    };
    for (token, body) in [
        (joined.token.as_str(), say("accepted")),
        (&joined.token, Some(json!({"status": "withdrawn"}))),
        ("hk_nobody", say("withdrawn")),
    ] {
        let ask = async || {
            let path = "/v1/users/consent";
            app.call_from("192.0.2.1", "POST", path, token, body.clone())
                .await
        };
        let mut answer = ask().await;
        // A second that went by has let one through.
        for _ in 0..4 {
            if answer.status != 429 {
                answer = ask().await;
            }
        }
        assert!(answer.headers.contains_key("retry-after"));
        answer.problem(429, "too_many_requests");
    }
    for status in ["declined", "withdrawn"] {
        app.call_from(
            "192.0.2.1",
            "POST",
            "/v1/users/consent",
            &joined.token,
            say(status),
        )
        .await
        .expect(201);
    }
}

#[tokio::test]
async fn a_credential_has_its_limit_wherever_it_is_used() {
    let app = App::limited(Limits::new(0, 1, Arc::default())).await;
    let mut refused = 0;
    for n in 0..40 {
        let answer = app
            .call_from(
                &format!("192.0.2.{n}"),
                "GET",
                "/v1/meetings",
                &app.key,
                None,
            )
            .await;
        refused += usize::from(answer.status == 429);
    }
    assert!(refused >= 10, "{refused} of 40");
    let (_, other) = app.other_tenant().await;
    app.call_from("192.0.2.1", "GET", "/v1/meetings", &other, None)
        .await
        .expect(200);
}
