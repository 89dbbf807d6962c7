use super::app::{App, id, text};
use hansard::{
    command::remove,
    domain::{
        consent::{ConsentStatus, ConsentType},
        id::{ConsentId, MeetingId},
        participant::Removal,
    },
    store::{consent::ConsentDecision, event},
};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn a_meeting_has_the_defaults_of_the_contract() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let made = app
        .post("/v1/meetings", json!({"hostId": ana}))
        .await
        .expect(201);
    assert_eq!(
        made["settings"],
        json!({
            "aiEnabled": true, "recording": "audio", "consentPolicy": "exclude", "language": null,
            "languages": [], "translateTo": null, "glossary": [], "refineModel": null,
            "endWhenEmptySeconds": 300
        })
    );
    let members: Vec<&str> = made
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let contract = [
        "createdAt",
        "endTime",
        "hostId",
        "id",
        "passwordRequired",
        "scheduledTime",
        "settings",
        "startTime",
        "status",
    ];
    assert_eq!(members, contract);
    assert_eq!(
        (&made["status"], &made["startTime"], &made["endTime"]),
        (&json!("scheduled"), &Value::Null, &Value::Null)
    );
    assert_eq!(made["passwordRequired"], false);
    assert_eq!(id(&made).get_version_num(), 7);
    let created = text(&made["createdAt"]);
    assert!(
        created.len() == 24 && created.ends_with('Z'),
        "milliseconds, UTC: {created}"
    );
    assert_eq!(
        app.get(&format!("/v1/meetings/{}", id(&made)))
            .await
            .expect(200),
        made
    );
}

#[tokio::test]
async fn settings_are_kept_and_bad_ones_refused() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let settings = json!({
        "aiEnabled": false, "recording": "video", "consentPolicy": "required", "language": "de",
        "languages": ["en", "de"], "translateTo": "en", "glossary": ["Hansard", "gate"],
        "refineModel": "base.en", "endWhenEmptySeconds": 10
    });
    let body = json!({
        "hostId": ana, "scheduledTime": "2026-11-22T17:17:01.230+01:00", "password": "open sesame", "settings": settings
    });
    let made = app.post("/v1/meetings", body).await.expect(201);
    assert_eq!(made["settings"], settings);
    assert_eq!(made["scheduledTime"], "2026-11-22T16:17:01.230Z");
    assert_eq!(made["passwordRequired"], true);

    let with = |settings: Value| json!({"hostId": ana, "settings": settings});
    for (body, pointers) in [
        (json!({"hostId": "ana"}), &["/hostId"][..]),
        (json!({"hostId": Uuid::now_v7()}), &["/hostId"]),
        (
            json!({"hostId": ana, "scheduledTime": "tomorrow"}),
            &["/scheduledTime"],
        ),
        (
            json!({"hostId": ana, "scheduledTime": "0001-01-01T00:00:00Z"}),
            &["/scheduledTime"],
        ),
        (json!({"hostId": ana, "password": ""}), &["/password"]),
        (with(json!({"recording": "loud"})), &["/settings/recording"]),
        (
            with(json!({"languages": ["en", "Deutsch"]})),
            &["/settings/languages/1"],
        ),
        (
            with(json!({"languages": vec!["en"; 9]})),
            &["/settings/languages"],
        ),
        (
            with(json!({"consentPolicy": "none"})),
            &["/settings/consentPolicy"],
        ),
        (with(json!({"aiEnabled": "yes"})), &["/settings/aiEnabled"]),
        (with(json!({"language": "EN"})), &["/settings/language"]),
        (
            with(json!({"refineModel": "../base.en"})),
            &["/settings/refineModel"],
        ),
        (
            with(json!({"refineModel": "x".repeat(65)})),
            &["/settings/refineModel"],
        ),
        (
            with(json!({"endWhenEmptySeconds": 9})),
            &["/settings/endWhenEmptySeconds"],
        ),
        (
            with(json!({"endWhenEmptySeconds": 86_401})),
            &["/settings/endWhenEmptySeconds"],
        ),
        (
            with(json!({"glossary": ["ok", "x".repeat(65)]})),
            &["/settings/glossary/1"],
        ),
        (
            with(json!({"glossary": ["a\u{0}b"]})),
            &["/settings/glossary/0"],
        ),
        (
            with(json!({"glossary": vec!["x"; 101]})),
            &["/settings/glossary"],
        ),
        (with(json!({"surprise": 1})), &["/settings/surprise"]),
    ] {
        app.post("/v1/meetings", body).await.points_at(pointers);
    }
}

#[tokio::test]
async fn lists_go_newest_first_in_pages() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let mut made = Vec::new();
    for day in 1..=5 {
        let host = if day == 3 { bob } else { ana };
        let body = json!({"hostId": host, "scheduledTime": format!("2030-01-0{day}T10:00:00Z")});
        made.push(id(&app.post("/v1/meetings", body).await.expect(201)));
    }
    made.reverse();
    let ids = |page: &Value| -> Vec<Uuid> {
        page["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(id)
            .collect()
    };

    let mut seen = Vec::new();
    let mut path = "/v1/meetings?limit=2".to_owned();
    loop {
        let page = app.get(&path).await.expect(200);
        assert!(ids(&page).len() <= 2);
        seen.extend(ids(&page));
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/v1/meetings?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, made);
    assert_eq!(
        ids(&app
            .get(&format!("/v1/meetings?hostId={bob}"))
            .await
            .expect(200)),
        [made[2]]
    );
    let some = app
        .get("/v1/meetings?from=2030-01-02T00:00:00Z&to=2030-01-04T00:00:00Z")
        .await
        .expect(200);
    assert_eq!(ids(&some), made[2..4]);

    // A session's list is its own.
    let session = app.session(bob);
    assert_eq!(
        ids(&app
            .call("GET", "/v1/meetings", &session, None)
            .await
            .expect(200)),
        [made[2]]
    );
    app.call("GET", &format!("/v1/meetings?hostId={ana}"), &session, None)
        .await
        .problem(403, "forbidden");

    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=x",
        "cursor=bnVsbA",
        "hostId=x",
        "from=x",
        "sort=asc",
        "limit=1&limit=2",
    ] {
        app.get(&format!("/v1/meetings?{query}"))
            .await
            .problem(400, "bad_request");
    }
}

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
            "consent": {"recording": null, "transcription": null}
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
async fn an_ended_meeting_stays_ended() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    app.enter(meeting, joined.participant).await;
    let live = app
        .get(&format!("/v1/meetings/{meeting}"))
        .await
        .expect(200);
    assert_eq!(live["status"], "live");
    assert!(live["startTime"].is_string());

    let end = format!("/v1/meetings/{meeting}/end");
    let ended = app.call("PUT", &end, &app.key, None).await.expect(200);
    assert_eq!(ended["status"], "ended");
    assert!(ended["endTime"].is_string());
    assert_eq!(
        app.call("PUT", &end, &app.key, None).await.expect(200),
        ended
    );
    let join = format!("/v1/meetings/{meeting}/join");
    app.post(&join, json!({"userId": bob}))
        .await
        .problem(409, "ended");
    app.post(
        &format!("/v1/meetings/{meeting}/links"),
        json!({"role": "host"}),
    )
    .await
    .problem(409, "ended");

    let mut tx = app
        .state
        .store
        .tenant_tx(app.tenant)
        .await
        .expect("Postgres answers");
    let head = event::head(&mut tx, meeting).await.expect("it is there");
    assert!(head.ended && head.roster > 0, "{head:?}");
}

#[tokio::test]
async fn a_meeting_that_never_began_ends_with_off() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    app.call(
        "PUT",
        &format!("/v1/meetings/{meeting}/end"),
        &app.key,
        None,
    )
    .await
    .expect(200);
    let mut tx = app
        .state
        .store
        .tenant_tx(app.tenant)
        .await
        .expect("Postgres answers");
    let events = event::after(&mut tx, meeting, 0, 10)
        .await
        .expect("Postgres answers");
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].seq, events[0].kind.as_str()),
        (1, "recording_state")
    );
    assert_eq!(events[0].data["state"], "off");
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

    let mut tx = app
        .state
        .store
        .tenant_tx(app.tenant)
        .await
        .expect("Postgres answers");
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
