use super::app::{App, id, text};
use hansard::store::event;
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
            "endWhenEmptySeconds": 300, "retentionDays": null
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
        "refineModel": "base.en", "endWhenEmptySeconds": 10, "retentionDays": 90
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

    let mut tx = app.tenant_tx().await;
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
    let mut tx = app.tenant_tx().await;
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
