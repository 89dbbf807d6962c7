//! Deletions of the running product: storage that is away, processes that die in between, jobs that
//! make what is to go. Afterwards the bucket, the spool and the rows are looked through.

use super::support::{
    eventually,
    faults::{Fault, Rule},
    inventory::{listed, rows},
    place::Place,
    server::Server,
    tone_meeting::ToneMeeting,
};
use axum::http::Method;
use serde_json::Value;
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
/// done once storage is back, by itself. What was not asked for stays.
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
        listed(&place.bucket).await.len() == 3
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
    tokio::time::sleep(Duration::from_secs(4)).await;
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
        left.len() == 2 && left.iter().all(|key| !key.contains(&ids[0])),
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

/// The meeting is deleted while its mix is on its way into storage, and while a deletion before it is
/// being carried out: nothing of it comes back.
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
