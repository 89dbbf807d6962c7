//! Who was removed, who may remove whom, and how it is undone.

use super::app::{App, Joined, id, request, text};
use hansard::domain::id::{MeetingId, ParticipantId};
use serde_json::{Value, json};

async fn link(app: &App, meeting: MeetingId, role: &str) -> String {
    let made = app
        .post(
            &format!("/v1/meetings/{meeting}/links"),
            json!({"role": role}),
        )
        .await
        .expect(201);
    text(&made["url"])
        .split_once('#')
        .expect("a fragment")
        .1
        .to_owned()
}

async fn guest(app: &App, meeting: MeetingId, link: &str, name: &str) -> Joined {
    let body = Some(json!({"displayName": name}));
    let joined = app
        .call("POST", &format!("/v1/meetings/{meeting}/join"), link, body)
        .await
        .expect(200);
    Joined {
        token: text(&joined["token"]),
        consent_token: text(&joined["consentToken"]),
        participant: ParticipantId(text(&joined["participantId"]).parse().expect("an id")),
    }
}

fn one(meeting: MeetingId, participant: ParticipantId) -> String {
    format!("/v1/meetings/{meeting}/participants/{participant}")
}

async fn read(app: &App, meeting: MeetingId, participant: ParticipantId) -> Value {
    let people = app
        .get(&format!("/v1/meetings/{meeting}/participants"))
        .await
        .expect(200);
    let people = people["data"].as_array().expect("a list").clone();
    people
        .into_iter()
        .find(|person| person["id"] == participant.to_string())
        .expect("listed")
}

#[tokio::test]
async fn a_removed_guest_closes_its_link_and_whoever_came_by_it_stays() {
    let app = App::start().await;
    let meeting = app.meeting(app.user("Ana").await).await;
    let (mine, other) = (
        link(&app, meeting, "participant").await,
        link(&app, meeting, "participant").await,
    );
    let (mallory, bob) = (
        guest(&app, meeting, &mine, "Mallory").await,
        guest(&app, meeting, &mine, "Bob").await,
    );
    app.enter(meeting, mallory.participant).await;
    app.call("DELETE", &one(meeting, mallory.participant), &app.key, None)
        .await
        .expect(204);
    assert_eq!(
        read(&app, meeting, mallory.participant).await["removed"],
        "request"
    );

    // Nobody new by this link, under whatever name; everybody else as before.
    let join = format!("/v1/meetings/{meeting}/join");
    for name in ["Mallory", "Somebody"] {
        app.call("POST", &join, &mine, Some(json!({"displayName": name})))
            .await
            .problem(403, "forbidden");
    }
    guest(&app, meeting, &other, "Carol").await;
    let path = format!("/v1/meetings/{meeting}");
    app.call("GET", &path, &bob.token, None).await.expect(200);
    app.call("GET", &path, &mallory.token, None)
        .await
        .problem(401, "unauthorized");

    // Taken back: the link is open again, the old tokens stay void.
    let back = app
        .call(
            "POST",
            &format!("{}/readmit", one(meeting, mallory.participant)),
            &app.key,
            None,
        )
        .await;
    let back = back.expect(200);
    assert_eq!(
        (id(&back), &back["removed"]),
        (mallory.participant.0, &Value::Null)
    );
    app.call(
        "POST",
        &format!("{}/readmit", one(meeting, mallory.participant)),
        &app.key,
        None,
    )
    .await
    .expect(200);
    guest(&app, meeting, &mine, "Mallory").await;
    app.call("GET", &path, &mallory.token, None)
        .await
        .problem(401, "unauthorized");
    let nobody = one(meeting, ParticipantId(uuid::Uuid::now_v7()));
    app.call("POST", &format!("{nobody}/readmit"), &app.key, None)
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn a_removal_of_either_kind_is_undone() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app
        .meeting_with(
            ana,
            json!({"consentPolicy": "required", "aiEnabled": false}),
        )
        .await;
    let joined = app.who_agreed(meeting, bob, "recording").await;
    app.enter(meeting, joined.participant).await;
    app.say(meeting, &joined.token, "recording", "withdrawn")
        .await
        .expect(201);
    assert_eq!(
        read(&app, meeting, joined.participant).await["removed"],
        "required"
    );
    let readmit = format!("{}/readmit", one(meeting, joined.participant));
    app.call("POST", &readmit, &app.session(ana), None)
        .await
        .expect(200);
    assert_eq!(
        read(&app, meeting, joined.participant).await["removed"],
        Value::Null
    );

    app.call(
        "DELETE",
        &one(meeting, joined.participant),
        &app.session(ana),
        None,
    )
    .await
    .expect(204);
    let join = format!("/v1/meetings/{meeting}/join");
    app.post(&join, json!({"userId": bob}))
        .await
        .problem(403, "removed");
    app.call("POST", &readmit, &app.key, None).await.expect(200);
    app.post(&join, json!({"userId": bob})).await.expect(200);
}

#[tokio::test]
async fn only_the_key_removes_the_host() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let (host, other) = (app.join(meeting, ana).await, app.join(meeting, bob).await);
    let second = guest(&app, meeting, &link(&app, meeting, "host").await, "Second").await;
    app.call(
        "DELETE",
        &one(meeting, host.participant),
        &second.token,
        None,
    )
    .await
    .problem(403, "forbidden");
    app.call(
        "DELETE",
        &one(meeting, host.participant),
        &app.session(ana),
        None,
    )
    .await
    .problem(403, "forbidden");
    app.call(
        "DELETE",
        &one(meeting, other.participant),
        &second.token,
        None,
    )
    .await
    .expect(204);
    app.call("DELETE", &one(meeting, host.participant), &app.key, None)
        .await
        .expect(204);
    app.call(
        "POST",
        &format!("{}/readmit", one(meeting, host.participant)),
        &second.token,
        None,
    )
    .await
    .expect(200);
}

/// What is kept under a key is one participant's, also between guests of one link.
#[tokio::test]
async fn guests_of_one_link_share_no_key() {
    let app = App::start().await;
    let meeting = app.meeting(app.user("Ana").await).await;
    let link = link(&app, meeting, "participant").await;
    let keyed = |path: &str, token: &str, body: Value| {
        let authorization = format!("Bearer {token}");
        request(
            "POST",
            path,
            &[
                ("authorization", &authorization),
                ("idempotency-key", "same"),
            ],
            Some(body),
        )
    };
    let join = format!("/v1/meetings/{meeting}/join");
    let first = app
        .send(keyed(&join, &link, json!({"displayName": "Guest"})))
        .await
        .expect(200);
    let other = app
        .send(keyed(&join, &link, json!({"displayName": "Guest"})))
        .await
        .expect(200);
    assert_ne!(first["participantId"], other["participantId"]);
    let body = json!({"meetingId": meeting.0, "consentType": "recording", "status": "accepted"});
    for joined in [&first, &other] {
        let said = app
            .send(keyed(
                "/v1/users/consent",
                &text(&joined["token"]),
                body.clone(),
            ))
            .await;
        assert_eq!(said.header("idempotency-replayed"), "");
        assert_eq!(said.expect(201)["participantId"], joined["participantId"]);
    }
}
