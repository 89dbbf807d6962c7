//! Joining a meeting: by user, by link, with a password, and after a removal.

use super::app::{App, id, text};
use hansard::{
    command::remove,
    domain::{
        consent::{ConsentStatus, ConsentType},
        id::{ConsentId, MeetingId},
        participant::Removal,
    },
    store::consent::ConsentDecision,
};
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn joining_makes_one_participant_per_user() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let path = format!("/v1/meetings/{meeting}/join");
    let first = app.post(&path, json!({"userId": bob})).await.expect(200);
    assert_eq!(first["signalUrl"], "wss://hansard.example.org/v1/signal");
    assert_eq!(
        (&first["iceServers"], &first["consentRequired"]),
        (&json!([]), &json!([]))
    );
    let again = app.post(&path, json!({"userId": bob})).await.expect(200);
    assert_eq!(first["participantId"], again["participantId"]);
    assert_ne!(first["token"], again["token"]);
    let host = app
        .call("POST", &path, &app.session(ana), Some(json!({})))
        .await
        .expect(200);

    let listed = app
        .get(&format!("/v1/meetings/{meeting}/participants"))
        .await
        .expect(200);
    let listed = listed["data"].as_array().expect("a list").clone();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        listed[0],
        json!({
            "id": first["participantId"], "userId": bob, "displayName": "Bob", "role": "participant",
            "joinedAt": null, "leftAt": null, "present": false, "removed": null,
            "consent": {"recording": null, "transcription": null},
            "consentSince": {"recording": null, "transcription": null}
        })
    );
    assert_eq!(
        (&listed[1]["id"], &listed[1]["role"]),
        (&host["participantId"], &json!("host"))
    );

    app.post(&path, json!({})).await.points_at(&["/userId"]);
    app.post(&path, json!({"userId": Uuid::now_v7()}))
        .await
        .points_at(&["/userId"]);
    app.post(&path, json!({"userId": bob, "displayName": "Bob"}))
        .await
        .points_at(&["/displayName"]);
    app.call(
        "POST",
        &path,
        &app.session(ana),
        Some(json!({"userId": ana})),
    )
    .await
    .points_at(&["/userId"]);
}

#[tokio::test]
async fn a_link_brings_guests_until_it_is_revoked() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let links = format!("/v1/meetings/{meeting}/links");
    let made = app
        .post(&links, json!({"role": "participant"}))
        .await
        .expect(201);
    let url = text(&made["url"]);
    let (page, secret) = url.split_once('#').expect("a fragment");
    assert_eq!(page, format!("https://hansard.example.org/m/{meeting}"));

    // What the page says before anybody joins.
    let invitation = app
        .call(
            "GET",
            &format!("/v1/meetings/{meeting}/invitation"),
            secret,
            None,
        )
        .await
        .expect(200);
    assert_eq!(
        invitation,
        json!({
            "meetingId": meeting, "hostName": "Ana", "status": "scheduled", "scheduledTime": null, "startTime": null,
            "passwordRequired": false, "recording": "audio", "aiEnabled": true, "consentPolicy": "exclude"
        })
    );

    let join = format!("/v1/meetings/{meeting}/join");
    let guest = |name: &str| json!({"displayName": name});
    let one = app
        .call("POST", &join, secret, Some(guest("Gäst")))
        .await
        .expect(200);
    let two = app
        .call("POST", &join, secret, Some(guest("Gäst")))
        .await
        .expect(200);
    assert_ne!(one["participantId"], two["participantId"]);
    app.call("POST", &join, secret, Some(json!({})))
        .await
        .points_at(&["/displayName"]);
    app.call("POST", &join, secret, Some(guest("\u{1b}[2J")))
        .await
        .points_at(&["/displayName"]);
    app.call(
        "POST",
        &join,
        secret,
        Some(json!({"displayName": "G", "userId": ana})),
    )
    .await
    .points_at(&["/userId"]);

    let elsewhere = app.meeting(ana).await;
    let other = format!("/v1/meetings/{elsewhere}/join");
    app.call("POST", &other, secret, Some(guest("G")))
        .await
        .problem(403, "forbidden");

    let link = format!("{links}/{}", id(&made));
    app.call("DELETE", &link, &app.key, None).await.expect(204);
    app.call("DELETE", &link, &app.key, None).await.expect(204);
    app.call("POST", &join, secret, Some(guest("G")))
        .await
        .problem(401, "unauthorized");
    app.call(
        "DELETE",
        &format!("{links}/{}", Uuid::now_v7()),
        &app.key,
        None,
    )
    .await
    .problem(404, "not_found");
    app.post(
        &links,
        json!({"role": "participant", "expiresAt": "2020-01-01T00:00:00Z"}),
    )
    .await
    .points_at(&["/expiresAt"]);
    app.post(&links, json!({"role": "owner"}))
        .await
        .points_at(&["/role"]);
}

#[tokio::test]
async fn the_password_is_asked_of_all_but_the_host_and_guessing_is_slow() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let body = json!({"hostId": ana, "password": "open sesame"});
    let meeting = MeetingId(id(&app.post("/v1/meetings", body).await.expect(201)));
    let path = format!("/v1/meetings/{meeting}/join");
    app.post(&path, json!({"userId": ana})).await.expect(200);
    app.call("POST", &path, &app.session(ana), Some(json!({})))
        .await
        .expect(200);
    app.post(&path, json!({"userId": bob}))
        .await
        .problem(403, "wrong_password");

    // Right ones are not counted.
    for _ in 0..6 {
        app.post(&path, json!({"userId": bob, "password": "open sesame"}))
            .await
            .expect(200);
    }
    for _ in 0..5 {
        app.post(&path, json!({"userId": bob, "password": "guess"}))
            .await
            .problem(403, "wrong_password");
    }
    let refused = app
        .post(&path, json!({"userId": bob, "password": "open sesame"}))
        .await;
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    refused.problem(429, "too_many_tries");
    // Each credential counts for itself, and the host goes on.
    let link = app.link(meeting).await;
    let guest = json!({"displayName": "Guest", "password": "open sesame"});
    app.call("POST", &path, &link, Some(guest))
        .await
        .expect(200);
    app.post(&path, json!({"userId": ana})).await.expect(200);
}

#[tokio::test]
async fn many_guesses_at_once_are_no_way_around_the_limit() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let body = json!({"hostId": ana, "password": "open sesame"});
    let meeting = MeetingId(id(&app.post("/v1/meetings", body).await.expect(201)));
    let link = app.link(meeting).await;
    let path = format!("/v1/meetings/{meeting}/join");
    let guesses = (0..20).map(|n| {
        let body = json!({"displayName": "Guest", "password": format!("guess {n}")});
        app.call("POST", &path, &link, Some(body))
    });
    let answers = futures_util::future::join_all(guesses).await;
    let tried = answers.iter().filter(|answer| answer.status == 403).count();
    // One more may be on its way for each check made at once.
    assert!(
        (5..=6).contains(&tried),
        "{:?}",
        answers
            .iter()
            .map(|answer| answer.status)
            .collect::<Vec<_>>()
    );
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status, 403 | 429))
    );
}

#[tokio::test]
async fn a_guest_comes_again_by_its_consent_token() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let body = json!({"hostId": ana, "password": "open sesame"});
    let meeting = MeetingId(id(&app.post("/v1/meetings", body).await.expect(201)));
    let path = format!("/v1/meetings/{meeting}/join");
    let link = app.link(meeting).await;
    let guest = json!({"displayName": "Gäst", "password": "open sesame"});
    let first = app
        .call("POST", &path, &link, Some(guest))
        .await
        .expect(200);
    let again = |token: &str| json!({"consentToken": token});
    let token = text(&first["consentToken"]);
    let mut back = app
        .call("POST", &path, &link, Some(again(&token)))
        .await
        .expect(200);
    assert_eq!(back["participantId"], first["participantId"]);
    // The newest token of the same, with a name that changes nothing, and by another link.
    let other_link = app.link(meeting).await;
    let body = json!({"consentToken": back["consentToken"], "displayName": "Else"});
    back = app
        .call("POST", &path, &other_link, Some(body))
        .await
        .expect(200);
    assert_eq!(back["participantId"], first["participantId"]);
    let participants = format!("/v1/meetings/{meeting}/participants");
    let listed = app.get(&participants).await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["data"][0]["displayName"], "Gäst");

    // Whatever else is no guest's consent token of this meeting says so.
    let elsewhere = app.meeting(ana).await;
    let foreign = app
        .call(
            "POST",
            &format!("/v1/meetings/{elsewhere}/join"),
            &app.link(elsewhere).await,
            Some(json!({"displayName": "Gäst"})),
        )
        .await
        .expect(200);
    let host = app.post(&path, json!({"userId": ana})).await.expect(200);
    for wrong in [
        "garbage".to_owned(),
        text(&first["token"]),
        text(&foreign["consentToken"]),
        text(&host["consentToken"]),
        link.clone(),
    ] {
        app.call("POST", &path, &link, Some(again(&wrong)))
            .await
            .points_at(&["/consentToken"]);
    }
    app.post(&path, json!({"userId": ana, "consentToken": token}))
        .await
        .points_at(&["/consentToken"]);

    // Removed, it is out, also by this way; another who came by the link comes again.
    let one = format!("{participants}/{}", text(&first["participantId"]));
    let guest = json!({"displayName": "Other", "password": "open sesame"});
    let other = app
        .call("POST", &path, &link, Some(guest))
        .await
        .expect(200);
    app.call("DELETE", &one, &app.key, None).await.expect(204);
    app.call("POST", &path, &link, Some(again(&token)))
        .await
        .problem(403, "removed");
    let body = again(&text(&other["consentToken"]));
    let same = app.call("POST", &path, &link, Some(body)).await.expect(200);
    assert_eq!(same["participantId"], other["participantId"]);

    // Erased, it is nobody any more.
    let listed = app.get(&participants).await.expect(200);
    let listed = listed["data"].as_array().expect("a list").clone();
    let user = listed
        .iter()
        .find(|one| one["id"] == other["participantId"])
        .map(|one| text(&one["userId"]))
        .expect("it is there");
    let path_erase = format!("/v1/users/{user}/erasure");
    app.post(&path_erase, json!({"reason": "by letter"}))
        .await
        .expect(202);
    let body = again(&text(&other["consentToken"]));
    app.call("POST", &path, &link, Some(body))
        .await
        .points_at(&["/consentToken"]);
}

#[tokio::test]
async fn removal_voids_tokens_and_refuses_another_join() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    app.enter(meeting, joined.participant).await;
    let resume = app.resume(meeting, joined.participant);
    let read = format!("/v1/meetings/{meeting}");
    for token in [&joined.token, &resume] {
        app.call("GET", &read, token, None).await.expect(200);
    }
    let one = format!("/v1/meetings/{meeting}/participants/{}", joined.participant);
    app.call("DELETE", &one, &joined.token, None)
        .await
        .problem(403, "forbidden");
    app.call("DELETE", &one, &app.session(ana), None)
        .await
        .expect(204);
    app.call("DELETE", &one, &app.session(ana), None)
        .await
        .expect(204);
    for token in [&joined.token, &resume] {
        app.call("GET", &read, token, None)
            .await
            .problem(401, "unauthorized");
    }
    app.post(&format!("{read}/join"), json!({"userId": bob}))
        .await
        .problem(403, "removed");
    let consents = format!("/v1/meetings/{meeting}/consents");
    app.call("GET", &consents, &joined.consent_token, None)
        .await
        .expect(200);
    let listed = app.get(&format!("{read}/participants")).await.expect(200);
    assert_eq!(listed["data"][0]["present"], false);
    assert!(listed["data"][0]["leftAt"].is_string());
    let nobody = format!("/v1/meetings/{meeting}/participants/{}", Uuid::now_v7());
    app.call("DELETE", &nobody, &app.key, None)
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn whoever_was_removed_by_policy_may_come_back() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app
        .meeting_with(ana, json!({"consentPolicy": "required"}))
        .await;
    let path = format!("/v1/meetings/{meeting}/join");
    let asked = app.post(&path, json!({"userId": bob})).await.expect(200);
    assert_eq!(
        asked["consentRequired"],
        json!(["recording", "transcription"])
    );
    let joined = app.join(meeting, bob).await;

    let mut tx = app.tenant_tx().await;
    let decision = ConsentDecision {
        meeting,
        participant: joined.participant,
        id: ConsentId(Uuid::now_v7()),
        consent_type: ConsentType::Recording,
        status: ConsentStatus::Accepted,
        actor: "self".to_owned(),
        statement: None,
        timestamp: app.state.clock.now(),
        once: None,
    };
    hansard::command::consent::record(&mut tx, &decision)
        .await
        .expect("said");
    remove::remove(&mut tx, meeting, joined.participant, Removal::Required)
        .await
        .expect("removed");
    tx.commit().await.expect("Postgres answers");

    app.call(
        "GET",
        &format!("/v1/meetings/{meeting}"),
        &joined.token,
        None,
    )
    .await
    .problem(401, "unauthorized");
    let back = app.post(&path, json!({"userId": bob})).await.expect(200);
    assert_eq!(back["participantId"], joined.participant.to_string());
    assert_eq!(back["consentRequired"], json!(["transcription"]));
}
