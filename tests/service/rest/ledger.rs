//! The ledger in the bucket: written before the rows, and carried out on rows that are older.

use super::{
    app::App,
    deletion::Ended,
    deletion_job::{keep_versions, run, stored},
};
use crate::support::s3::Bucket;
use hansard::{
    domain::{
        deletion::Deletable,
        id::RecordingId,
        ledger::{Act, Broken, Draft, Head},
        object_key::{LedgerKey, ledger_prefix},
    },
    ledger::{CatchUp, Ledger, ReplayError},
    store::ledger,
    worker::Outcome,
};
use serde_json::{Value, json};

/// The entries of the tenant's ledger, with their hashes.
pub async fn entries(app: &App, bucket: &Bucket) -> Vec<(Value, String)> {
    let prefix = ledger_prefix(app.tenant);
    let listed = bucket.objects.list(&prefix, 100).await.expect("lists");
    let mut found = Vec::new();
    for (object, n) in listed.iter().zip(1..) {
        let key = LedgerKey {
            tenant: app.tenant,
            n,
        };
        assert_eq!(object.key, key.to_string());
        let bytes = bucket.objects.get_bytes(&object.key).await.expect("reads");
        let entry = serde_json::from_slice(&bytes).expect("it is JSON");
        found.push((entry, Head::of(n, &bytes).hash));
    }
    found
}

/// Writes an entry that deletes the mix, and dies before the rows.
async fn died(ended: &Ended, ledger: &Ledger, reason: &str) {
    let mut tx = ended
        .app
        .state
        .store
        .worker_tx()
        .await
        .expect("Postgres answers");
    let mix = [RecordingId(ended.mix)];
    let deletion = ledger::deletion(&mut tx, ended.meeting, Deletable::Recording, &mix).await;
    let draft = Draft {
        tenant: ended.app.tenant,
        meeting: Some(ended.meeting),
        author: "user:7".to_owned(),
        reason: Some(reason.to_owned()),
        asked_at: "2026-11-22T16:17:01.230Z".to_owned(),
        act: Act::Deletion(deletion.expect("reads")),
    };
    ledger.append(&mut tx, draft).await.expect("is written");
    tx.rollback().await.expect("Postgres answers");
}

/// The meeting's worker has ended it.
async fn closed(app: &App) {
    sqlx::query("update jobs set state = 'done' where kind = 'capture'")
        .execute(&mut app.sql().await)
        .await
        .expect("Postgres answers");
}

pub async fn caught(ledger: &Ledger) -> CatchUp {
    ledger.catch_up_all(false).await.expect("it holds")
}

#[tokio::test]
async fn every_deletion_is_an_entry_chained_to_the_one_before() {
    let bucket = Bucket::start().await;
    keep_versions(&bucket).await;
    let ended = Ended::on(App::with_bucket(&bucket).await, 2).await;
    let key = stored(&ended.app, &bucket, ended.meeting, ended.tracks[0]).await;
    let track = format!("/v1/recordings/{}", ended.tracks[0]);
    ended
        .delete(&format!("{track}?reason=asked%20for"))
        .await
        .expect(204);
    ended.delete(&track).await.expect(204);
    let meeting = format!("/v1/meetings/{}", ended.meeting);
    ended.delete(&meeting).await.expect(204);
    let found = entries(&ended.app, &bucket).await;
    let [(first, first_hash), (second, _)] = found.as_slice() else {
        panic!("two entries: {found:?}");
    };
    assert_eq!(
        (&first["act"], &first["what"], &first["n"], &first["reason"]),
        (
            &json!("deletion"),
            &json!("recording"),
            &json!(1),
            &json!("asked for")
        )
    );
    assert_eq!(first["prev"], Head::genesis(ended.app.tenant).hash);
    assert_eq!(first["recordings"][0]["id"], json!(ended.tracks[0]));
    assert_eq!(first["objects"][0]["key"], key);
    assert_eq!(second["prev"], *first_hash);
    assert_eq!(second["what"], "meeting");
    // The rest of the meeting; what went before is told once, but its object is still there.
    let ids: Vec<_> = second["recordings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert!(
        ids.len() == 2 && !ids.contains(&json!(ended.tracks[0])),
        "{ids:?}"
    );
    let unwritten: i64 =
        sqlx::query_scalar("select count(*) from deletions where ledger_n is null")
            .fetch_one(&mut ended.app.sql().await)
            .await
            .expect("Postgres answers");
    assert_eq!(unwritten, 0);
    let ledger = &ended.app.state.ledger;
    assert_eq!(caught(ledger).await, CatchUp::default());
    let chains = ledger.verify().await.expect("reads");
    assert_eq!(chains[&ended.app.tenant], Ok(2));
}

#[tokio::test]
async fn an_entry_whose_process_died_before_the_rows_is_carried_out_once() {
    let bucket = Bucket::start().await;
    let ended = Ended::on(App::with_bucket(&bucket).await, 1).await;
    let ledger = &ended.app.state.ledger;
    died(&ended, ledger, "by whoever died").await;
    assert_eq!(ended.status(ended.mix).await, "ready");
    assert_eq!(caught(ledger).await.replayed, 1);
    assert_eq!(caught(ledger).await.replayed, 0);
    assert_eq!(ended.status(ended.mix).await, "deleting");
    let content = format!("/v1/recordings/{}/content", ended.mix);
    let gone = ended.app.get(&content).await.problem(410, "gone");
    let tombstone = &gone["tombstone"];
    assert_eq!(
        (
            &tombstone["reason"],
            &tombstone["deletedBy"],
            &tombstone["askedAt"]
        ),
        (
            &json!("by whoever died"),
            &json!("user:7"),
            &json!("2026-11-22T16:17:01.230Z")
        )
    );
    closed(&ended.app).await;
    assert!(matches!(run(&ended.app, &bucket).await, Outcome::Settled));
}

#[tokio::test]
async fn who_finds_the_next_number_taken_catches_up_first() {
    let bucket = Bucket::start().await;
    let ended = Ended::on(App::with_bucket(&bucket).await, 2).await;
    died(&ended, &ended.app.state.ledger, "first").await;
    let track = format!("/v1/recordings/{}", ended.tracks[0]);
    ended.delete(&track).await.expect(204);
    for recording in [ended.mix, ended.tracks[0]] {
        assert_eq!(ended.status(recording).await, "deleting");
    }
    assert_eq!(entries(&ended.app, &bucket).await.len(), 2);
    assert_eq!(
        ended.app.state.ledger.verify().await.expect("reads")[&ended.app.tenant],
        Ok(2)
    );
}

#[tokio::test]
async fn with_storage_away_the_job_writes_the_entry_before_it_deletes() {
    let mut bucket = Bucket::start().await;
    keep_versions(&bucket).await;
    let ended = Ended::on(App::with_bucket(&bucket).await, 1).await;
    let key = stored(&ended.app, &bucket, ended.meeting, ended.mix).await;
    bucket.stop().await;
    let path = format!("/v1/meetings/{}", ended.meeting);
    ended.delete(&path).await.expect(204);
    closed(&ended.app).await;
    let words = async || -> i64 {
        sqlx::query_scalar("select count(*) from transcript_segments")
            .fetch_one(&mut ended.app.sql().await)
            .await
            .expect("Postgres answers")
    };
    assert!(matches!(
        run(&ended.app, &bucket).await,
        Outcome::Waiting { .. }
    ));
    assert_eq!(words().await, 1, "nothing goes before the ledger has it");
    bucket.restart().await;
    assert!(entries(&ended.app, &bucket).await.is_empty());
    assert!(matches!(run(&ended.app, &bucket).await, Outcome::Settled));
    let found = entries(&ended.app, &bucket).await;
    assert_eq!(found.len(), 1, "what was asked for together is one entry");
    assert_eq!(found[0].0["what"], "meeting");
    assert_eq!(words().await, 0);
    assert_eq!(bucket.objects.head(&key).await.expect("answers"), None);
}

/// A database that never heard of the meeting, on the same bucket.
#[tokio::test]
async fn what_is_deleted_in_a_meeting_without_a_row_goes_from_the_bucket() {
    let bucket = Bucket::start().await;
    keep_versions(&bucket).await;
    let ended = Ended::on(App::with_bucket(&bucket).await, 1).await;
    let key = stored(&ended.app, &bucket, ended.meeting, ended.tracks[0]).await;
    let path = format!("/v1/meetings/{}", ended.meeting);
    ended.delete(&path).await.expect(204);
    assert!(bucket.objects.head(&key).await.expect("answers").is_some());
    let empty = App::with_bucket(&bucket).await;
    assert_eq!(caught(&empty.state.ledger).await.replayed, 1);
    assert_eq!(bucket.objects.head(&key).await.expect("answers"), None);
    let mut tx = empty
        .state
        .store
        .worker_tx()
        .await
        .expect("Postgres answers");
    let gone = hansard::store::deletion::gone(&mut tx, ended.meeting)
        .await
        .expect("reads");
    assert!(gone.has(RecordingId(ended.tracks[0])));
    assert_eq!(caught(&empty.state.ledger).await.replayed, 0);
}

#[tokio::test]
async fn a_chain_that_does_not_hold_is_carried_out_only_by_command() {
    let bucket = Bucket::start().await;
    let ended = Ended::on(App::with_bucket(&bucket).await, 1).await;
    let ledger = &ended.app.state.ledger;
    died(&ended, ledger, "first").await;
    let key = LedgerKey {
        tenant: ended.app.tenant,
        n: 1,
    };
    let bytes = bucket.objects.get_bytes(&key.to_string()).await;
    let text = String::from_utf8(bytes.expect("reads")).expect("text");
    let forged = text.replace(&Head::genesis(ended.app.tenant).hash, &"0".repeat(64));
    bucket
        .objects
        .put_bytes(
            &key.to_string(),
            forged.into_bytes(),
            "application/json",
            Default::default(),
        )
        .await
        .expect("is written over");
    let refused = ledger
        .catch_up_all(false)
        .await
        .expect_err("it does not hold");
    assert!(
        matches!(
            &refused,
            ReplayError::Broken {
                broken: Broken::Link(1),
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(ended.status(ended.mix).await, "ready");
    let caught = ledger.catch_up_all(true).await.expect("what can be read");
    assert_eq!((caught.replayed, caught.breaks.len()), (1, 1));
    assert_eq!(ended.status(ended.mix).await, "deleting");
}

#[tokio::test]
async fn an_entry_is_never_written_over() {
    let bucket = Bucket::start().await;
    let put = async |bytes: &[u8]| {
        let put = bucket
            .objects
            .put_new("ledger/x", bytes, "application/json");
        put.await.expect("it answers")
    };
    assert!(put(b"one").await);
    assert!(put(b"one").await, "the same, sent again");
    assert!(!put(b"other").await);
    assert_eq!(
        bucket.objects.get_bytes("ledger/x").await.expect("reads"),
        b"one"
    );
}

#[tokio::test]
async fn content_waits_until_it_is_known_what_was_deleted() {
    let mut bucket = Bucket::start().await;
    let ended = Ended::on(App::with_bucket(&bucket).await, 1).await;
    let content = format!("/v1/recordings/{}/content?redirect=false", ended.mix);
    ended.app.get(&content).await.expect(200);
    bucket.stop().await;
    let ledger = &ended.app.state.ledger;
    ledger.open().await;
    assert!(!ledger.is_current());
    ended.app.get(&content).await.problem(503, "unavailable");
    bucket.restart().await;
    ledger.open().await;
    assert!(ledger.is_current());
    ended.app.get(&content).await.expect(200);
}
