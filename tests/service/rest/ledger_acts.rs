//! Redactions, erasures and holds in the ledger: written as they are accepted, and carried out on
//! rows that do not have them.

use super::{
    app::App,
    ledger::{caught, entries},
    recording::say,
    redaction::{Meeting, asked},
    redaction_job::{MIXED, run, store, track},
};
use crate::support::s3::Bucket;
use hansard::{
    command,
    domain::{
        consent::Use,
        id::{MeetingId, ParticipantId, UserId},
        ledger::Head,
    },
    store::{Tx, erasure, redaction::Asking},
    worker::Outcome,
};
use serde_json::{Value, json};
use uuid::Uuid;

async fn on(bucket: &Bucket) -> Meeting {
    Meeting::live_on(App::with_bucket(bucket).await).await
}

async fn begin(app: &App) -> Tx {
    app.state.store.worker_tx().await.expect("Postgres answers")
}

fn asking(participant: ParticipantId, from_ms: i64) -> Asking {
    Asking {
        participant,
        purposes: Use::ALL.to_vec(),
        from_ms: Some(from_ms),
        to_ms: Some(from_ms + 5_000),
        reason: Some("by whoever died".to_owned()),
        author: "user:7".to_owned(),
        approved: true,
        erasure: None,
    }
}

async fn texts(app: &App, meeting: MeetingId) -> Vec<Value> {
    let path = format!("/v1/meetings/{meeting}/transcript");
    let transcript = app.get(&path).await.expect(200);
    let segments = transcript["segments"].as_array().expect("a list");
    segments.iter().map(|one| one["text"].clone()).collect()
}

async fn sql(app: &App, statement: &str, meeting: MeetingId) {
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
        .bind(meeting.0)
        .execute(&mut app.sql().await)
        .await
        .expect("Postgres answers");
}

/// Runs the job until it is through.
async fn finish(meeting: &Meeting, bucket: &Bucket) {
    for _ in 0..3 {
        if meeting.queued().await.contains(&"redact".to_owned()) {
            run(&meeting.app, bucket).await;
        }
    }
}

#[tokio::test]
async fn what_is_accepted_is_an_entry() {
    let bucket = Bucket::start().await;
    let meeting = on(&bucket).await;
    let app = &meeting.app;
    let [(ana, _), (bob, _)] = meeting.people;
    let hold = format!("/v1/meetings/{}/hold", meeting.id);
    let reason = json!({"reason": "Case 4711"});
    for _ in 0..2 {
        let held = app.call("PUT", &hold, &app.key, Some(reason.clone())).await;
        held.expect(200);
    }
    for _ in 0..2 {
        let lift = format!("{hold}?reason=closed");
        app.call("DELETE", &lift, &app.key, None).await.expect(204);
    }
    let span = json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000});
    let redaction = meeting.redact(span).await.expect(202);
    // A wish is none until it is approved.
    let wish = asked(app, meeting.id, bob).await;
    assert_eq!(entries(app, &bucket).await.len(), 3);
    let approve = format!("{}/{wish}/approve", meeting.path());
    for _ in 0..2 {
        app.post(&approve, json!({})).await.expect(200);
    }
    let user: Uuid = sqlx::query_scalar("select user_id from participants where id = $1")
        .bind(ana.0)
        .fetch_one(&mut app.sql().await)
        .await
        .expect("Postgres answers");
    let erase = format!("/v1/users/{user}/erasure");
    for _ in 0..2 {
        let body = json!({"reason": "by letter"});
        app.post(&erase, body).await.expect(202);
    }

    let found = entries(app, &bucket).await;
    let acts: Vec<&Value> = found.iter().map(|(entry, _)| &entry["act"]).collect();
    assert_eq!(acts, ["hold", "lift", "redaction", "redaction", "erasure"]);
    let [hold, lift, first, approved, erasure] = &found[..] else {
        panic!("five entries");
    };
    assert_eq!(
        (&hold.0["reason"], &lift.0["reason"]),
        (&json!("Case 4711"), &json!("closed"))
    );
    assert_eq!(hold.0["id"], lift.0["id"]);
    assert_eq!(
        (
            &first.0["id"],
            &first.0["participant"],
            &first.0["fromMs"],
            &first.0["purposes"]
        ),
        (
            &redaction["id"],
            &json!(ana),
            &json!(3_000),
            &json!(["recording"])
        )
    );
    assert_eq!(first.0["version"], 2);
    assert_eq!(
        (&approved.0["id"], &approved.0["author"]),
        (&json!(wish), &json!(format!("participant:{bob}")))
    );
    assert!(
        approved.0["decidedBy"]
            .as_str()
            .is_some_and(|by| by.starts_with("api_key:"))
    );
    assert_eq!(
        (&erasure.0["user"], &erasure.0["meeting"]),
        (&json!(user), &Value::Null)
    );
    let ledger = &app.state.ledger;
    assert_eq!(ledger.verify().await.expect("reads")[&app.tenant], Ok(5));
    assert_eq!(caught(ledger).await.replayed, 0);
}

#[tokio::test]
async fn what_was_accepted_and_has_no_rows_is_carried_out_once() {
    let bucket = Bucket::start().await;
    let meeting = on(&bucket).await;
    meeting.end().await;
    let app = &meeting.app;
    let ledger = &app.state.ledger;
    let [(ana, ours), (bob, _)] = meeting.people;
    say(app, meeting.id, ana, 1_000, 4_000, "A canary word.").await;
    say(app, meeting.id, bob, 1_500, 4_000, "What Bob says.").await;
    let user: Uuid = sqlx::query_scalar("select user_id from participants where id = $1")
        .bind(bob.0)
        .fetch_one(&mut app.sql().await)
        .await
        .expect("Postgres answers");

    // The process dies between the entries and their rows.
    let mut tx = begin(app).await;
    let (id, _) = command::redact::ask(&mut tx, app.tenant, meeting.id, &asking(ana, 0))
        .await
        .expect("it may");
    let held = command::hold::place(&mut tx, app.tenant, meeting.id, "api_key:1", "Case 1").await;
    assert!(held.is_err(), "it is being redacted");
    ledger
        .accept(&mut tx, app.tenant, meeting.id)
        .await
        .expect("is written");
    let erased = erasure::ask(&mut tx, app.tenant, UserId(user), "by letter", "api_key:1").await;
    ledger
        .accept_erasure(&mut tx, &erased.expect("it may"))
        .await
        .expect("is written");
    tx.rollback().await.expect("Postgres answers");
    assert_eq!(texts(app, meeting.id).await.len(), 2);
    assert_eq!(meeting.status(ours).await, "ready");

    assert_eq!(caught(ledger).await.replayed, 2);
    assert_eq!(caught(ledger).await.replayed, 0);
    assert_eq!(texts(app, meeting.id).await, [json!("What Bob says.")]);
    assert_eq!(meeting.status(ours).await, "processing");
    let listed = app.get(&meeting.path()).await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(
        (&listed["data"][0]["id"], &listed["data"][0]["askedBy"]),
        (&json!(id), &json!("user:7"))
    );
    let erasure = app.get(&format!("/v1/users/{user}/erasure")).await;
    assert_eq!(erasure.expect(200)["reason"], "by letter");
    let sessions = format!("/v1/users/{user}/sessions");
    let session = app.post(&sessions, json!({"ttlSeconds": 60})).await;
    session.problem(410, "gone");
    assert!(meeting.queued().await.contains(&"erase".to_owned()));
}

#[tokio::test]
async fn holds_are_put_back_with_their_ends() {
    let bucket = Bucket::start().await;
    let meeting = on(&bucket).await;
    let app = &meeting.app;
    let ledger = &app.state.ledger;
    let path = format!("/v1/meetings/{}/hold", meeting.id);
    let died = async |reason: Option<&str>| {
        let mut tx = begin(app).await;
        match reason {
            Some(reason) => {
                let placed =
                    command::hold::place(&mut tx, app.tenant, meeting.id, "api_key:1", reason);
                placed.await.expect("it may");
            }
            None => {
                let lifted = command::hold::lift(&mut tx, meeting.id, "api_key:2", Some("closed"));
                lifted.await.expect("it may");
            }
        }
        let told = ledger.accept(&mut tx, app.tenant, meeting.id).await;
        told.expect("is written");
        tx.rollback().await.expect("Postgres answers");
    };
    died(Some("Case 1")).await;
    app.get(&path).await.problem(404, "not_found");
    assert_eq!(caught(ledger).await.replayed, 1);
    let held = app.get(&path).await.expect(200);
    assert_eq!(
        (&held["reason"], &held["placedBy"]),
        (&json!("Case 1"), &json!("api_key:1"))
    );
    // One instead of the other: the lift of the first and the second.
    died(Some("Case 2")).await;
    assert_eq!(caught(ledger).await.replayed, 2);
    assert_eq!(app.get(&path).await.expect(200)["reason"], "Case 2");
    died(None).await;
    assert_eq!(caught(ledger).await.replayed, 1);
    app.get(&path).await.problem(404, "not_found");
    let rows: Vec<(String, Option<String>)> =
        sqlx::query_as("select reason, lifted_by from holds order by placed_at, reason")
            .fetch_all(&mut app.sql().await)
            .await
            .expect("Postgres answers");
    let row = |reason: &str, by: &str| (reason.to_owned(), Some(by.to_owned()));
    assert_eq!(
        rows,
        [row("Case 1", "api_key:1"), row("Case 2", "api_key:2")]
    );
    assert_eq!(caught(ledger).await.replayed, 0);
}

/// With storage away it acts all the same; the job writes its entry before it deletes anything.
#[tokio::test]
async fn with_storage_away_entries_are_written_later() {
    let mut bucket = Bucket::start().await;
    let meeting = on(&bucket).await;
    meeting.end().await;
    let app = &meeting.app;
    let old = track(&meeting, 0, 1);
    store(app, &bucket, old.clone(), true).await;
    bucket.stop().await;
    let span = json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000});
    meeting.redact(span).await.expect(202);
    bucket.restart().await;
    assert!(entries(app, &bucket).await.is_empty());
    assert!(matches!(run(app, &bucket).await, Outcome::Waiting { .. }));
    let found = entries(app, &bucket).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0["act"], "redaction");
    assert_eq!(found[0].0["prev"], Head::genesis(app.tenant).hash);
    // What is made is told before what stood for it goes.
    let new = track(&meeting, 0, 2);
    store(app, &bucket, new.clone(), true).await;
    sql(
        app,
        "update jobs set state = 'done' where meeting_id = $1 and kind in ('join', 'mix')",
        meeting.id,
    )
    .await;
    sql(
        app,
        "update recordings set size_bytes = 5, revision = 2 where meeting_id = $1 and sha256 like 'recordings/%'",
        meeting.id,
    )
    .await;
    sql(app, MIXED, meeting.id).await;
    finish(&meeting, &bucket).await;
    let found = entries(app, &bucket).await;
    assert_eq!(found.len(), 2, "told once");
    let (redacted, _) = &found[1];
    assert_eq!(redacted["act"], "redacted");
    assert_eq!(redacted["files"][0]["key"], json!(new.key));
    assert_eq!(redacted["files"][0]["revision"], 2);
    assert_eq!(redacted["objects"][0]["key"], json!(old.key));
    assert_eq!(bucket.objects.head(&old.key).await.expect("answers"), None);
}

/// A database of before the redaction is put back: its rows name a file that is gone.
#[tokio::test]
async fn older_rows_take_over_the_files_that_were_made() {
    let bucket = Bucket::start().await;
    let meeting = on(&bucket).await;
    meeting.end().await;
    let app = &meeting.app;
    let [(ana, ours), _] = meeting.people;
    let (old, new) = (track(&meeting, 0, 1), track(&meeting, 0, 2));
    store(app, &bucket, old.clone(), true).await;
    sql(
        app,
        "create table before as select * from recordings where meeting_id = $1",
        meeting.id,
    )
    .await;
    let span = json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000});
    let redaction = meeting.redact(span).await.expect(202);
    store(app, &bucket, new.clone(), true).await;
    let made = "update recordings set size_bytes = 5, revision = 2, duration_ms = 50000
         where meeting_id = $1 and sha256 like 'recordings/%'";
    let joined = "update jobs set state = 'done' where meeting_id = $1 and kind in ('join', 'mix')";
    for statement in [made, joined, MIXED] {
        sql(app, statement, meeting.id).await;
    }
    finish(&meeting, &bucket).await;
    let path = format!(
        "{}/{}",
        meeting.path(),
        redaction["id"].as_str().expect("an id")
    );
    assert_eq!(app.get(&path).await.expect(200)["state"], "done");

    for statement in [
        "update recordings r set revision = b.revision, sha256 = b.sha256, blob_url = b.blob_url, redacting = false,
             duration_ms = b.duration_ms, size_bytes = b.size_bytes
         from before b where b.id = r.id and r.meeting_id = $1",
        "delete from redactions where meeting_id = $1",
        "delete from jobs where meeting_id = $1 and kind <> 'capture'",
        "delete from objects where meeting_id = $1 and key like '%-2.webm'",
        "update objects set state = 'stored', deleted_at = null where meeting_id = $1",
        "delete from ledger_heads where $1::uuid is not null",
    ] {
        sql(app, statement, meeting.id).await;
    }
    assert_eq!(caught(&app.state.ledger).await.replayed, 2);
    let row: (String, i32, i64) =
        sqlx::query_as("select blob_url, revision, duration_ms from recordings where id = $1")
            .bind(ours)
            .fetch_one(&mut app.sql().await)
            .await
            .expect("Postgres answers");
    assert_eq!(row, (bucket.objects.url(&new.key), 2, 50_000));
    let again = app.get(&path).await.expect(200);
    assert_eq!(
        (&again["state"], &again["participantId"]),
        (&json!("running"), &json!(ana))
    );
    // It finds the files as they are to be.
    let found = "update recordings set redacting = false where meeting_id = $1";
    for statement in [joined, found] {
        sql(app, statement, meeting.id).await;
    }
    finish(&meeting, &bucket).await;
    let done = app.get(&path).await.expect(200);
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(done["certificate"]["objects"][0]["key"], json!(old.key));
    assert_eq!(meeting.status(ours).await, "ready");
    assert!(
        bucket
            .objects
            .head(&new.key)
            .await
            .expect("answers")
            .is_some()
    );
    assert_eq!(entries(app, &bucket).await.len(), 2, "nothing is told anew");
}
