use super::app::{App, CONSENT};
use crate::support::postgres::Cluster;
use hansard::{
    domain::consent::{ConsentStatus, genesis},
    queue::{
        Notice,
        message::{Ask, Published},
    },
    store::consent,
};
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_said_stands_in_a_chain() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    let say = |kind: &str, status: &str| json!({"meetingId": meeting.0, "consentType": kind, "status": status});

    let mut body = say("recording_ai", "accepted");
    body["statement"] = json!("I agree.\nGladly.");
    let first = app
        .call("POST", CONSENT, &joined.token, Some(body))
        .await
        .expect(201);
    assert_eq!(first["purposes"], json!(["recording", "transcription"]));
    assert_eq!(
        (&first["entry"], &first["accepted"], &first["actor"]),
        (&json!(1), &json!(true), &json!("self"))
    );
    assert_eq!(first["prevHash"], genesis(meeting));
    assert_eq!(first["participantId"], joined.participant.to_string());

    let body = say("transcription", "withdrawn");
    let second = app
        .call("POST", CONSENT, &joined.consent_token, Some(body))
        .await
        .expect(201);
    assert_eq!(second["prevHash"], first["hash"]);
    // The host speaks for itself before it ever joined; the server for anybody, and its entry says
    // so.
    app.call(
        "POST",
        CONSENT,
        &app.session(ana),
        Some(say("recording", "declined")),
    )
    .await
    .expect(201);
    let mut body = say("recording", "accepted");
    body["userId"] = json!(ana);
    let fourth = app.post(CONSENT, body).await.expect(201);
    assert!(
        fourth["actor"]
            .as_str()
            .expect("text")
            .starts_with("api_key:"),
        "{fourth}"
    );

    let log = app
        .get(&format!("/v1/meetings/{meeting}/consents"))
        .await
        .expect(200);
    let entries: Vec<i64> = log["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["entry"].as_i64().expect("a number"))
        .collect();
    assert_eq!(entries, [1, 2, 3, 4]);
    assert_eq!(log["data"][0], first);
    let own = app
        .call(
            "GET",
            &format!("/v1/meetings/{meeting}/consents?limit=1"),
            &joined.consent_token,
            None,
        )
        .await;
    let own = own.expect(200);
    let next = format!(
        "/v1/meetings/{meeting}/consents?cursor={}",
        own["nextCursor"].as_str().expect("a next page")
    );
    let rest = app
        .call("GET", &next, &joined.consent_token, None)
        .await
        .expect(200);
    assert_eq!(
        (&own["data"][0], &rest["data"], &rest["nextCursor"]),
        (&first, &json!([second]), &Value::Null)
    );

    let mut tx = app.tenant_tx().await;
    let head = consent::verify(&mut tx, meeting)
        .await
        .expect("Postgres answers");
    assert_eq!(head, Ok(fourth["hash"].as_str().expect("text").to_owned()));
    let people = app
        .get(&format!("/v1/meetings/{meeting}/participants"))
        .await
        .expect(200);
    assert_eq!(
        people["data"][0]["consent"],
        json!({"recording": "accepted", "transcription": "withdrawn"})
    );
    assert_eq!(
        people["data"][1]["consent"],
        json!({"recording": "accepted", "transcription": null})
    );
    assert_eq!(
        (&people["data"][1]["joinedAt"], &people["data"][1]["role"]),
        (&Value::Null, &json!("host"))
    );
}

#[tokio::test]
async fn nobody_speaks_for_others() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let (meeting, elsewhere) = (app.meeting(ana).await, app.meeting(ana).await);
    let joined = app.join(meeting, bob).await;
    let body = |meeting: hansard::domain::id::MeetingId, user: Option<uuid::Uuid>| {
        Some(
            json!({"meetingId": meeting.0, "consentType": "recording", "status": "accepted", "userId": user}),
        )
    };
    app.call("POST", CONSENT, &joined.token, body(meeting, Some(bob)))
        .await
        .expect(201);
    app.call("POST", CONSENT, &joined.token, body(meeting, Some(ana)))
        .await
        .problem(403, "forbidden");
    app.call(
        "POST",
        CONSENT,
        &joined.consent_token,
        body(elsewhere, None),
    )
    .await
    .problem(403, "forbidden");
    app.call("POST", CONSENT, &app.session(ana), body(meeting, Some(bob)))
        .await
        .problem(403, "forbidden");
    app.call("POST", CONSENT, &app.session(bob), body(meeting, None))
        .await
        .problem(403, "forbidden");
    app.post(CONSENT, body(meeting, None).expect("a body"))
        .await
        .points_at(&["/userId"]);
    app.post(
        CONSENT,
        body(meeting, Some(uuid::Uuid::now_v7())).expect("a body"),
    )
    .await
    .points_at(&["/userId"]);
    let unknown = hansard::domain::id::MeetingId(uuid::Uuid::now_v7());
    app.post(CONSENT, body(unknown, Some(bob)).expect("a body"))
        .await
        .problem(404, "not_found");
    for (member, value) in [
        ("consentType", json!("video")),
        ("status", json!("maybe")),
        ("statement", json!("\u{0}")),
    ] {
        let mut body = body(meeting, Some(bob)).expect("a body");
        body[member] = value;
        app.post(CONSENT, body)
            .await
            .points_at(&[&format!("/{member}")]);
    }
}

#[tokio::test]
async fn a_withdrawal_is_told_to_the_worker_and_to_everybody_before_it_is_logged() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    let mut worker = app.worker(meeting).await;
    let mut heard = app.state.queue.subscribe(meeting).await;
    let said = app
        .say(meeting, &joined.consent_token, "recording_ai", "withdrawn")
        .await
        .expect(201);
    let (id, participant, status, journal) = worker
        .heard(|ask| match ask {
            Ask::Withdraw {
                id,
                participant,
                status,
                journal,
                ..
            } => Some((id, participant, status, journal)),
            _ => None,
        })
        .await;
    assert_eq!(
        (json!(id), participant),
        (said["id"].clone(), joined.participant)
    );
    assert_eq!((status, journal), (ConsentStatus::Withdrawn, false));
    let Some(Notice::Published(Published::Live { kind, data, .. })) = heard.recv().await else {
        panic!("told first")
    };
    assert_eq!(
        (kind.as_str(), &data["id"], &data["entry"]),
        ("consent_updated", &said["id"], &Value::Null)
    );
    let Some(Notice::Published(Published::Event {
        seq, kind, data, ..
    })) = heard.recv().await
    else {
        panic!("told again")
    };
    assert_eq!((seq, kind.as_str()), (1, "consent_updated"));
    assert_eq!(
        (&data["id"], &data["entry"], &data["hash"]),
        (&said["id"], &json!(1), &said["hash"])
    );
    assert_eq!(data["timestamp"], said["timestamp"]);
}

#[tokio::test]
async fn required_consent_withdrawn_removes() {
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
    let people = app
        .get(&format!("/v1/meetings/{meeting}/participants"))
        .await
        .expect(200);
    assert_eq!(people["data"][0]["present"], false);
    app.call(
        "GET",
        &format!("/v1/meetings/{meeting}"),
        &joined.token,
        None,
    )
    .await
    .problem(401, "unauthorized");
    app.say(meeting, &joined.consent_token, "recording", "accepted")
        .await
        .expect(201);
    app.join(meeting, bob).await;
}

/// With Postgres away a withdrawal still acts, and is written down by the worker; a grant is
/// refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_works_while_postgres_is_away() {
    let cluster = Cluster::start().await;
    let app = App::on_cluster(&cluster).await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    let say = async |token: &str, status: &str| app.say(meeting, token, "recording", status).await;

    for frozen in [false, true] {
        if frozen {
            cluster.restart().await;
            crate::support::eventually(
                "Postgres answers",
                std::time::Duration::from_secs(20),
                || async { app.state.store.ping().await.is_ok() },
            )
            .await;
            cluster.freeze(true).await;
        } else {
            cluster.stop().await;
        }
        // Nobody holds the meeting: nothing can be written down anywhere.
        let refused = say(&joined.consent_token, "withdrawn").await;
        assert!(refused.headers.contains_key("retry-after"));
        refused.problem(503, "unavailable");

        let mut worker = app.worker(meeting).await;
        for token in [&joined.consent_token, &joined.token] {
            let receipt = say(token, "withdrawn").await.expect(202);
            let members: Vec<&str> = receipt
                .as_object()
                .expect("an object")
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(
                members,
                [
                    "consentType",
                    "id",
                    "meetingId",
                    "participantId",
                    "status",
                    "timestamp"
                ]
            );
            let journalled = worker.heard(|ask| match ask {
                Ask::Withdraw {
                    id, journal: true, ..
                } => Some(json!(id)),
                _ => None,
            });
            assert_eq!(journalled.await, receipt["id"]);
        }
        say(&joined.token, "accepted")
            .await
            .problem(503, "unavailable");
        app.get("/v1/meetings").await.problem(503, "unavailable");
        say("x.y.z", "withdrawn").await.problem(401, "unauthorized");
    }
    cluster.freeze(false).await;
}
