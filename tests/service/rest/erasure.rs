//! Erasing people: what is void at once, what waits, and what is left at the end.

use super::{
    app::{App, Joined},
    job,
    recording::{change, insert, say},
};
use crate::support::s3::Bucket;
use hansard::{domain::id::MeetingId, jobs::erase::Erase, store::consent, worker::Outcome};
use serde_json::{Value, json};
use uuid::Uuid;

/// Runs the job once.
async fn run(app: &App) -> Outcome {
    let erase = Erase {
        ledger: app.state.ledger.clone(),
        store: app.state.store.clone(),
        queue: app.state.queue.clone(),
    };
    job::run(app, erase).await
}

async fn agree(app: &App, meeting: MeetingId, joined: &Joined) {
    let body = json!({
        "meetingId": meeting, "consentType": "recording_ai", "status": "accepted",
        "statement": "I, Ana Example, agree."
    });
    let said = app
        .call("POST", "/v1/users/consent", &joined.token, Some(body))
        .await
        .expect(201);
    assert_eq!(said["version"], 2);
    assert!(said["statementHash"].is_string() && said["statementSalt"].is_string());
}

pub async fn end(app: &App, meeting: MeetingId) {
    let path = format!("/v1/meetings/{meeting}/end");
    app.call("PUT", &path, &app.key, None).await.expect(200);
    sqlx::query("update jobs set state = 'done' where kind = 'capture' and subject = $1")
        .bind(meeting.0)
        .execute(&mut app.sql().await)
        .await
        .expect("Postgres answers");
}

async fn verifies(app: &App, meeting: MeetingId) {
    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    let walked = consent::verify(&mut tx, meeting).await.expect("reads");
    walked.expect("the chain holds");
}

/// Whether any table of the database holds this text.
async fn tables_with(app: &App, text: &str) -> Vec<String> {
    let mut sql = app.sql().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(&mut sql)
    .await
    .expect("Postgres answers");
    let mut found = Vec::new();
    for table in tables {
        let query =
            format!("select count(*) from \"{table}\" t where t::text ilike '%' || $1 || '%'");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(text)
            .fetch_one(&mut sql)
            .await
            .expect("Postgres answers");
        if rows > 0 {
            found.push(table);
        }
    }
    found
}

#[tokio::test]
async fn a_person_is_forgotten_meeting_by_meeting_and_the_name_last() {
    let bucket = Bucket::start().await;
    let app = App::with_bucket(&bucket).await;
    let host = app.user("Host").await;
    let ana = app
        .post(
            "/v1/users",
            json!({"email": "ana.example@example.org", "displayName": "Ana Example"}),
        )
        .await
        .expect(201);
    let ana: Uuid = ana["id"].as_str().expect("an id").parse().expect("an id");
    let (over, live) = (app.meeting(host).await, app.meeting(host).await);
    let mut tokens = Vec::new();
    for meeting in [over, live] {
        let joined = app.join(meeting, ana).await;
        agree(&app, meeting, &joined).await;
        app.enter(meeting, joined.participant).await;
        say(&app, meeting, joined.participant, 0, 900, "A canary word.").await;
        tokens.push(joined);
    }
    let track = insert(&app, over, Some(tokens[0].participant), 0, "ready").await;
    change(&app, track, "duration_ms = 9000").await;
    end(&app, over).await;
    let session = app.session(ana);
    app.call("GET", "/v1/meetings", &session, None)
        .await
        .expect(200);

    let data = format!("/v1/users/{ana}/data");
    let held = app.get(&data).await.expect(200);
    assert_eq!(held["data"].as_array().map(Vec::len), Some(2), "{held}");
    assert_eq!(held["user"]["displayName"], "Ana Example");
    assert_eq!(held["data"][0]["segments"][0]["text"], "A canary word.");
    assert_eq!(
        held["data"][0]["consents"][0]["statement"],
        "I, Ana Example, agree."
    );
    let content = held["data"][0]["recordings"][0]["contentUrl"].as_str();
    assert!(
        content.is_some_and(|url| url.ends_with(&format!("/v1/recordings/{track}/content"))),
        "{held}"
    );
    let first = app.get(&format!("{data}?limit=1")).await.expect(200);
    let cursor = first["nextCursor"].as_str().expect("there is more");
    let rest = app
        .get(&format!("{data}?cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(rest["data"][0]["meetingId"], held["data"][1]["meetingId"]);
    assert_eq!(rest["nextCursor"], Value::Null);

    let path = format!("/v1/users/{ana}/erasure");
    app.get(&path).await.problem(404, "not_found");
    app.post(&path, json!({"reason": ""}))
        .await
        .points_at(&["/reason"]);
    let asked = app
        .post(&path, json!({"reason": "by letter"}))
        .await
        .expect(202);
    assert_eq!(asked["meetings"].as_array().map(Vec::len), Some(2));
    // Once more changes nothing.
    let again = app
        .post(&path, json!({"reason": "again"}))
        .await
        .expect(202);
    assert_eq!(
        (&again["id"], &again["reason"]),
        (&asked["id"], &json!("by letter"))
    );
    app.call("GET", "/v1/meetings", &session, None)
        .await
        .problem(401, "unauthorized");
    let sessions = format!("/v1/users/{ana}/sessions");
    app.post(&sessions, json!({"ttlSeconds": 60}))
        .await
        .problem(410, "gone");
    let join = format!("/v1/meetings/{live}/join");
    app.post(&join, json!({"userId": ana}))
        .await
        .points_at(&["/userId"]);

    let outcome = run(&app).await;
    assert!(matches!(outcome, Outcome::Waiting { .. }), "{outcome:?}");
    let now = app.get(&path).await.expect(200);
    let state = |of: MeetingId| {
        let meetings = now["meetings"].as_array().expect("a list");
        let found = meetings.iter().find(|one| one["meetingId"] == json!(of));
        found.expect("it is in the list")["state"].clone()
    };
    assert_eq!(
        (state(over), state(live)),
        (json!("running"), json!("waiting"))
    );
    assert_eq!(now["completedAt"], Value::Null);
    // Of what is over the words are gone; out of what is live it is removed, and its consent token
    // still withdraws.
    let words = format!("/v1/meetings/{over}/transcript");
    assert_eq!(app.get(&words).await.expect(200)["segments"], json!([]));
    let people = format!("/v1/meetings/{live}/participants");
    let people = app.get(&people).await.expect(200);
    assert_eq!(people["data"][0]["removed"], "request", "{people}");
    let live_path = format!("/v1/meetings/{live}");
    let read = app.call("GET", &live_path, &tokens[1].token, None).await;
    read.problem(401, "unauthorized");
    let withdrawn = app
        .say(live, &tokens[1].consent_token, "recording_ai", "withdrawn")
        .await;
    withdrawn.expect(201);
    assert!(
        tables_with(&app, "Ana Example")
            .await
            .contains(&"users".to_owned())
    );

    // As the job that redacts leaves them.
    end(&app, live).await;
    sqlx::query("delete from transcript_segments")
        .execute(&mut app.sql().await)
        .await
        .expect("Postgres answers");
    sqlx::query("update redactions set state = 'done', completed_at = now()")
        .execute(&mut app.sql().await)
        .await
        .expect("Postgres answers");
    let outcome = run(&app).await;
    assert!(matches!(outcome, Outcome::Settled), "{outcome:?}");
    let done = app.get(&path).await.expect(200);
    assert!(done["completedAt"].is_string(), "{done}");
    assert_eq!(done["statementsKept"], 0);
    // Its consent token is good for some days more; what is said with it is not kept.
    for _ in 0..2 {
        let said = json!({
            "meetingId": over, "consentType": "recording_ai", "status": "withdrawn",
            "statement": "I, Ana Example, take it back.",
        });
        let token = &tokens[0].consent_token;
        let answer = app
            .call("POST", "/v1/users/consent", token, Some(said))
            .await
            .expect(201);
        assert_eq!(
            (&answer["statement"], &answer["entry"]),
            (&Value::Null, &json!(2))
        );
    }
    for text in ["Ana Example", "ana.example@", "canary"] {
        assert_eq!(
            tables_with(&app, text).await,
            Vec::<String>::new(),
            "{text}"
        );
    }
    let profile = app
        .get(&format!("/v1/users/{ana}/profile"))
        .await
        .expect(200);
    assert_eq!(profile["email"], Value::Null);
    assert!(
        profile["displayName"]
            .as_str()
            .is_some_and(|name| name.starts_with("Erased "))
    );
    for meeting in [over, live] {
        let log = app.get(&format!("/v1/meetings/{meeting}/consents")).await;
        let log = log.expect(200);
        assert_eq!(log["data"][0]["statement"], Value::Null);
        assert!(log["data"][0]["statementHash"].is_string(), "{log}");
        verifies(&app, meeting).await;
    }
}

#[tokio::test]
async fn tokens_of_an_erased_person_are_void_also_after_the_end() {
    let bucket = Bucket::start().await;
    let app = App::with_bucket(&bucket).await;
    let host = app.user("Host").await;
    let ana = app.user("Ana").await;
    let (over, held) = (app.meeting(host).await, app.meeting(host).await);
    let mut tokens = Vec::new();
    for meeting in [over, held] {
        let joined = app.join(meeting, ana).await;
        agree(&app, meeting, &joined).await;
        app.enter(meeting, joined.participant).await;
        end(&app, meeting).await;
        tokens.push(joined);
    }
    let hold = format!("/v1/meetings/{held}/hold");
    let placed = app
        .call("PUT", &hold, &app.key, Some(json!({"reason": "x"})))
        .await;
    placed.expect(200);
    let people = format!("/v1/meetings/{over}/participants");
    let read = async || app.call("GET", &people, &tokens[0].token, None).await;
    read().await.expect(200);
    let path = format!("/v1/users/{ana}/erasure");
    app.post(&path, json!({"reason": "by letter"}))
        .await
        .expect(202);
    read().await.problem(401, "unauthorized");
    let token = &tokens[0].consent_token;
    app.say(over, token, "recording_ai", "withdrawn")
        .await
        .expect(201);
    let again = app.say(over, token, "recording_ai", "accepted").await;
    again.problem(403, "forbidden");

    let outcome = run(&app).await;
    assert!(matches!(outcome, Outcome::Waiting { .. }), "{outcome:?}");
    let states = async || {
        let now = app.get(&path).await.expect(200);
        [over, held].map(|of| {
            let meetings = now["meetings"].as_array().expect("a list");
            let found = meetings.iter().find(|one| one["meetingId"] == json!(of));
            found.expect("it is in the list")["state"].clone()
        })
    };
    assert_eq!(states().await, ["running", "blocked"]);
    // As the job that redacts leaves what is not held: the name has to wait for the rest.
    let redacted =
        "update redactions set state = 'done', completed_at = now() where meeting_id = $1";
    let done = async |of: MeetingId| {
        sqlx::query(redacted)
            .bind(of.0)
            .execute(&mut app.sql().await)
            .await
            .expect("Postgres answers");
    };
    done(over).await;
    let outcome = run(&app).await;
    assert!(matches!(outcome, Outcome::Waiting { .. }), "{outcome:?}");
    assert_eq!(states().await, ["done", "blocked"]);
    assert!(!tables_with(&app, "Ana Example").await.is_empty());

    // Once it is lifted it goes on by itself.
    let lifted = format!("{hold}?reason=closed");
    app.call("DELETE", &lifted, &app.key, None)
        .await
        .expect(204);
    let outcome = run(&app).await;
    assert!(matches!(outcome, Outcome::Waiting { .. }), "{outcome:?}");
    assert_eq!(states().await, ["done", "running"]);
    done(held).await;
    let outcome = run(&app).await;
    assert!(matches!(outcome, Outcome::Settled), "{outcome:?}");
    let completed = app.get(&path).await.expect(200);
    assert!(completed["completedAt"].is_string(), "{completed}");
    assert_eq!(tables_with(&app, "Ana Example").await, Vec::<String>::new());
}
