//! Deletions of the running product: storage that is away, processes that die in between, jobs that
//! make what is to go. Afterwards the bucket, the spool and the rows are looked through.

use super::support::{
    eventually,
    faults::{Fault, Rule},
    inventory::{listed, rows},
    number,
    old_files::{Free, OldFiles},
    place::Place,
    postgres,
    server::Server,
    tone_meeting::ToneMeeting,
};
use axum::http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// On a busy machine.
const SOON: Duration = Duration::from_secs(90);

async fn call(server: &Server, method: Method, path: &str) -> (u16, Value) {
    let answer = reqwest::Client::new()
        .request(method, format!("{}{path}", server.url()))
        .bearer_auth(server.key())
        .send()
        .await
        .expect("it answers");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

/// Waits until it is deleted everywhere; answers with the tombstone.
async fn deleted(server: &Server, path: &str) -> Value {
    eventually("it is deleted everywhere", SOON, async || {
        let (status, body) = call(server, Method::GET, path).await;
        status == 410 && body["tombstone"]["deletedAt"].is_string()
    })
    .await;
    call(server, Method::GET, path).await.1["tombstone"].clone()
}

async fn count(place: &Place, what: &'static str) -> i64 {
    let mut sql = hansard::store::owner(&place.database())
        .await
        .expect("Postgres answers");
    sqlx::query_scalar(what)
        .fetch_one(&mut sql)
        .await
        .expect("it may look")
}

/// Storage is away when it is asked for, and the server is killed while it waits: the deletion is
/// done once storage is back, by itself. What was not asked for stays. `HANSARD_AWAY_SECONDS` says
/// for how long it is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_outlives_storage_and_the_process() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    eventually("the segments are cleaned up", SOON, async || {
        listed(&place.bucket).await.len() == 6
    })
    .await;
    let ids: Vec<String> = tones
        .voices
        .iter()
        .map(|voice| files.track(voice).id.clone())
        .collect();
    place.faults.refuse();
    let path = format!("/v1/recordings/{}", ids[0]);
    let asked = call(&server, Method::DELETE, &format!("{path}?reason=drill")).await;
    assert_eq!(asked.0, 204, "{}", asked.1);
    let away = number("HANSARD_AWAY_SECONDS", 4);
    tokio::time::sleep(Duration::from_secs(away.into())).await;
    let (status, waiting) = call(&server, Method::GET, &path).await;
    assert_eq!((status, &waiting["status"]), (200, &"deleting".into()));
    assert_eq!(
        call(&server, Method::GET, &format!("{path}/content"))
            .await
            .0,
        410
    );
    server.kill();
    let server = place.serve(&[]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(call(&server, Method::GET, &path).await.0, 200, "it waits");
    place.faults.heal();
    let tombstone = deleted(&server, &path).await;
    assert_eq!(tombstone["reason"], "drill");
    assert!(
        tombstone["recordings"][0]["sha256"].is_string(),
        "{tombstone}"
    );
    let left = listed(&place.bucket).await;
    assert!(
        left.len() == 4 && left.iter().all(|key| !key.contains(&ids[0])),
        "{left:?}"
    );
    assert_eq!(left, rows(&place.database(), &["stored"]).await);
    assert_eq!(call(&server, Method::DELETE, &path).await.0, 204);
    let content = |id: &str| format!("/v1/recordings/{id}/content?redirect=false");
    assert_eq!(call(&server, Method::GET, &content(&ids[1])).await.0, 200);
    // The last track takes the mix along.
    let last = format!("/v1/recordings/{}", ids[1]);
    assert_eq!(call(&server, Method::DELETE, &last).await.0, 204);
    deleted(&server, &last).await;
    eventually("nothing is left", SOON, async || {
        listed(&place.bucket).await.is_empty()
    })
    .await;
    let live = rows(&place.database(), &["planned", "stored", "going"]).await;
    assert!(live.is_empty(), "{live:?}");
    server.terminate();
}

/// The meeting is deleted while its mix is on its way into storage, and while a deletion before it
/// is being carried out: nothing of it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_is_deleted_during_its_mix() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    // The mix is sent and never answered.
    place
        .faults
        .set(&[Rule::on(Fault::Swallow, &[Method::PUT]).at(".mp4")]);
    tones.end(&client).await;
    eventually("the mix is on its way", SOON, async || {
        place.faults.swallowed() > 0
    })
    .await;
    let path = format!("/v1/meetings/{}", tones.meeting);
    let transcript = format!("{path}/transcript");
    assert_eq!(call(&server, Method::DELETE, &transcript).await.0, 204);
    assert_eq!(call(&server, Method::DELETE, &path).await.0, 204);
    assert_eq!(call(&server, Method::GET, &path).await.0, 410);
    place.faults.heal();
    let tombstone = deleted(&server, &path).await;
    assert_eq!(
        tombstone["recordings"].as_array().map(Vec::len),
        Some(3),
        "{tombstone}"
    );
    eventually("nothing is left", SOON, async || {
        listed(&place.bucket).await.is_empty() && place.spooled() == 0
    })
    .await;
    // Longer than the mix job needs to find out.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(listed(&place.bucket).await.is_empty());
    for what in [
        "select count(*) from recording_segments",
        "select count(*) from transcript_segments",
        "select count(*) from meeting_events where type = 'transcript_update'",
        "select count(*) from recordings where deleted_at is null",
        "select count(*) from objects where state <> 'deleted'",
    ] {
        assert_eq!(count(&place, what).await, 0, "{what}");
    }
    let (status, consents) = call(&server, Method::GET, &format!("{path}/consents")).await;
    assert_eq!(
        (status, consents["data"].as_array().map(Vec::len)),
        (200, Some(2))
    );
    server.terminate();
}

/// A hold is placed while the mix is on its way into storage: nothing of the meeting is deleted or
/// redacted any more, and the mix is made all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stands_while_a_mix_is_made() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    place
        .faults
        .set(&[Rule::on(Fault::Swallow, &[Method::PUT]).at(".mp4")]);
    tones.end(&client).await;
    eventually("the mix is on its way", SOON, async || {
        place.faults.swallowed() > 0
    })
    .await;
    let path = format!("/v1/meetings/{}", tones.meeting);
    let send = async |method: Method, path: &str, body: Value| {
        let answer = reqwest::Client::new()
            .request(method, format!("{}{path}", server.url()))
            .bearer_auth(server.key())
            .json(&body)
            .send()
            .await
            .expect("it answers");
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap_or_default(),
        )
    };
    let hold = format!("{path}/hold");
    let held = send(Method::PUT, &hold, json!({"reason": "Case 4711"})).await;
    assert_eq!(held.0, 200, "{}", held.1);
    let redaction = json!({
        "participantId": tones.voices[0].participant, "purposes": ["recording"], "reason": "a drill"
    });
    let is_refused = |answer: (u16, Value)| {
        assert_eq!(
            (answer.0, &answer.1["type"]),
            (409, &json!("/problems/held")),
            "{}",
            answer.1
        );
    };
    is_refused(call(&server, Method::DELETE, &path).await);
    is_refused(call(&server, Method::DELETE, &format!("{path}/transcript")).await);
    is_refused(
        send(
            Method::POST,
            &format!("{path}/redactions"),
            redaction.clone(),
        )
        .await,
    );
    place.faults.heal();
    let files = tones.files(&client, SOON).await;
    let track = format!("/v1/recordings/{}", files.track(&tones.voices[0]).id);
    is_refused(call(&server, Method::DELETE, &track).await);
    eventually("the segments are cleaned up", SOON, async || {
        listed(&place.bucket).await.len() == 6
    })
    .await;
    // Lifted, it is asked for anew, and while that runs nobody places another.
    let lifted = call(&server, Method::DELETE, &format!("{hold}?reason=closed")).await;
    assert_eq!(lifted.0, 204, "{}", lifted.1);
    place.faults.refuse();
    let asked = send(Method::POST, &format!("{path}/redactions"), redaction).await;
    assert_eq!(asked.0, 202, "{}", asked.1);
    let held = send(Method::PUT, &hold, json!({"reason": "Case 4712"})).await;
    assert_eq!(
        (held.0, &held.1["type"]),
        (409, &json!("/problems/not_ready"))
    );
    place.faults.heal();
    eventually("it is done, and may be held", SOON, async || {
        let held = send(Method::PUT, &hold, json!({"reason": "Case 4712"})).await;
        held.0 == 200
    })
    .await;
    assert_eq!(call(&server, Method::GET, &track).await.0, 410);
    server.terminate();
}

/// A database of before is put back under the bucket: what was deleted since is deleted in it
/// before anybody can ask.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_put_back_brings_nothing_back() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    eventually("the segments are cleaned up", SOON, async || {
        listed(&place.bucket).await.len() == 6
    })
    .await;
    server.terminate();
    place.back_up();

    let server = place.serve(&[]);
    let client = server.client();
    // The backup knows nothing of this one.
    let mut later = ToneMeeting::begin(&client, 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    later.end(&client).await;
    later.files(&client, SOON).await;
    let meeting = format!("/v1/meetings/{}", later.meeting);
    let track = files.track(&tones.voices[0]).id.clone();
    let recording = format!("/v1/recordings/{track}");
    let asked = format!("{recording}?reason=drill");
    assert_eq!(call(&server, Method::DELETE, &asked).await.0, 204);
    assert_eq!(call(&server, Method::DELETE, &meeting).await.0, 204);
    deleted(&server, &recording).await;
    deleted(&server, &meeting).await;
    let left = listed(&place.bucket).await;
    assert_eq!(left.len(), 4, "{left:?}");
    server.terminate();

    place.put_back();
    let server = place.serve(&[]);
    let content = format!("{recording}/content?redirect=false");
    assert_eq!(call(&server, Method::GET, &content).await.0, 410);
    let tombstone = deleted(&server, &recording).await;
    assert_eq!(tombstone["reason"], "drill");
    assert_eq!(call(&server, Method::GET, &meeting).await.0, 404);
    assert_eq!(listed(&place.bucket).await, left);
    assert_eq!(rows(&place.database(), &["stored"]).await, left);
    let gone = "select count(*) from deletions where done_at is not null and ledger_n is not null";
    assert_eq!(
        count(&place, gone).await,
        4,
        "a track; a meeting and its two files"
    );
    server.terminate();
}

/// Storage is away and the process was killed: its spool has all of the meeting. What is deleted
/// goes from there at once, and is told when storage is back and has the ledger's entry.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_spool_is_deleted_there() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let mut tones = ToneMeeting::begin(&server.client(), 1).await;
    place.faults.refuse();
    eventually("segments wait in the spool", SOON, async || {
        place.spooled() > 1
    })
    .await;
    server.kill();
    let server = place.serve(&[]);
    assert_eq!(
        count(&place, "select count(distinct spool) from spools").await,
        1
    );
    tones.end(&server.client()).await;
    let meeting = format!("/v1/meetings/{}", tones.meeting);
    eventually("it can be deleted", SOON, async || {
        call(&server, Method::DELETE, &meeting).await.0 == 204
    })
    .await;
    eventually("the spool is empty", SOON, async || place.spooled() == 0).await;
    let (_, gone) = call(&server, Method::GET, &meeting).await;
    assert!(gone["tombstone"]["deletedAt"].is_null(), "{gone}");
    let entries = async || {
        let listed = place.bucket.objects.list("ledger/", 10).await;
        listed.expect("it answers").len()
    };
    assert_eq!(entries().await, 0);
    place.faults.heal();
    // What the killed process was sending could still arrive, for ten minutes.
    let mut sql = hansard::store::owner(&place.database())
        .await
        .expect("Postgres answers");
    sqlx::query("update objects set noted_at = noted_at - interval '1 hour'")
        .execute(&mut sql)
        .await
        .expect("it may write");
    deleted(&server, &meeting).await;
    assert_eq!(entries().await, 1);
    assert!(listed(&place.bucket).await.is_empty());
    eventually("no machine has anything of it", SOON, async || {
        call(&server, Method::GET, &meeting).await.1["tombstone"]["spools"] == 0
    })
    .await;
    server.terminate();
}

/// Deletions that have begun and are not done.
async fn unfinished(database: &str) -> i64 {
    let mut sql = hansard::store::owner(database)
        .await
        .expect("Postgres answers");
    sqlx::query_scalar("select count(*) from deletions where done_at is null")
        .fetch_one(&mut sql)
        .await
        .expect("it may look")
}

/// Killed again and again while meetings are deleted, at moments that nobody chose: each is deleted
/// once, by itself. `HANSARD_KILLS` says how often.
#[tokio::test(flavor = "multi_thread")]
async fn deletions_outlive_kills_at_any_moment() {
    let kills = number("HANSARD_KILLS", 4);
    let place = Place::new().await;
    let database = postgres::database().await;
    let free = Free::new(&database);
    let mut server = free.serve(&place);
    let size = (kills as usize, 40, 500);
    let old = OldFiles::make(&place, &database, &server.client(), size).await;
    // So that a kill is in the middle of something.
    place.faults.delay(Duration::from_millis(150));
    let mut sql = hansard::store::owner(&database)
        .await
        .expect("Postgres answers");
    let paths: Vec<String> = old
        .meetings
        .iter()
        .map(|meeting| format!("/v1/meetings/{meeting}"))
        .collect();
    let mut in_between = 0;
    for (n, path) in paths.iter().enumerate() {
        let asked = reqwest::Client::new()
            .delete(format!("{}{path}?reason=drill", server.url()))
            .bearer_auth(server.key())
            .send();
        let asked = tokio::spawn(asked);
        if n == 0 {
            // One at least that has begun, however long a busy machine takes to begin.
            let begun = async || unfinished(&database).await > 0;
            eventually("a deletion has begun", SOON, begun).await;
        } else {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1_200))).await;
        }
        server.kill();
        drop(asked.await);
        in_between += u32::from(unfinished(&database).await > 0);
        server = free.serve(&place);
    }
    println!("{in_between} of {kills} kills left deletions that had begun");
    place.faults.delay(Duration::ZERO);
    for path in &paths {
        let again = call(&server, Method::DELETE, &format!("{path}?reason=drill")).await;
        assert_eq!(again.0, 204, "{}", again.1);
        let tombstone = deleted(&server, path).await;
        assert_eq!(tombstone["reason"], "drill");
    }
    let left = listed(&place.bucket).await;
    assert!(left.is_empty(), "{left:?}");
    let entries = place.bucket.objects.list("ledger/", 1_000).await;
    assert_eq!(entries.expect("it answers").len(), paths.len());
    for what in [
        "select count(*) from objects where state <> 'deleted'",
        "select count(*) from deletions where done_at is null or ledger_n is null",
        "select count(*) from recordings where deleted_at is null",
    ] {
        let rows: i64 = sqlx::query_scalar(what)
            .fetch_one(&mut sql)
            .await
            .expect("it may look");
        assert_eq!(rows, 0, "{what}");
    }
    assert!(in_between > 0, "no kill was in the middle of a deletion");
    server.terminate();
}
