//! What is dropped in the middle of a transaction (a request whose client has gone, one that ran out
//! of time) leaves nothing of it on the connection that the next one gets.

use crate::{
    rest::app::{App, CONSENT},
    support::{eventually, postgres::database},
};
use hansard::store::{self, Store, Tx};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

/// More often than anything here waits for the database.
const POLLS_MAX: usize = 60;
/// Well below the time after which the database ends a session that idles within a transaction.
const RETURN_MAX: Duration = Duration::from_secs(8);

/// Polls so often, each time when there is something to go on with, and drops it then. `None`: it
/// was not done.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn text(conn: &mut PgConnection, question: &'static str) -> String {
    sqlx::query_scalar(question)
        .fetch_one(conn)
        .await
        .expect("Postgres answers")
}

/// The transaction began after whatever was there before: it is nobody else's.
async fn assert_fresh(tx: &mut Tx, before: &str, polls: usize) {
    let began = text(tx, "select now()::text").await;
    let later: bool = sqlx::query_scalar("select $1::timestamptz >= $2::timestamptz")
        .bind(&began)
        .bind(before)
        .fetch_one(&mut **tx)
        .await
        .expect("Postgres answers");
    assert!(later, "dropped after {polls} polls: {began}, not {before}");
}

#[tokio::test]
async fn what_is_dropped_while_it_begins_or_ends_leaves_no_transaction_behind() {
    let url = database().await;
    // One connection, which whoever comes next gets.
    let store = Store::open(&url, 1).expect("the URL is good");
    let mut owner = store::owner(&url).await.expect("Postgres answers");
    let now = "select clock_timestamp()::text";
    let (mut begun, mut ended) = (0, 0);
    for polls in 1..POLLS_MAX {
        let done = dropped_after(polls, store.worker_tx()).await;
        begun += usize::from(done.is_some());
        drop(done);
        let before = text(&mut owner, now).await;
        let mut tx = store.worker_tx().await.expect("a connection is free");
        assert_fresh(&mut tx, &before, polls).await;

        // Whether it was committed only the database knows; it is over.
        text(&mut tx, "select pg_current_xact_id()::text").await;
        ended += usize::from(dropped_after(polls, tx.commit()).await.is_some());
        let before = text(&mut owner, now).await;
        let mut tx = store.worker_tx().await.expect("a connection is free");
        assert_fresh(&mut tx, &before, polls).await;
        tx.commit().await.expect("Postgres answers");
    }
    // Some were dropped in the middle, and some were not.
    for done in [begun, ended] {
        assert!((1..POLLS_MAX - 1).contains(&done), "{begun} {ended}");
    }
}

#[tokio::test]
async fn a_role_that_cannot_be_taken_spoils_no_connection() {
    let url = database().await;
    let mut owner = store::owner(&url).await.expect("Postgres answers");
    let name = format!("stranger_{}", uuid::Uuid::new_v4().simple());
    sqlx::query(AssertSqlSafe(format!("create role {name} login")))
        .execute(&mut owner)
        .await
        .expect("an owner may");
    let (_, rest) = url.split_once('@').expect("a user and a host");
    let store = Store::open(&format!("postgres://{name}@{rest}"), 1).expect("the URL is good");
    for _ in 0..3 {
        let refused = store.worker_tx().await.expect_err("it may not");
        assert!(refused.to_string().contains("set role"), "{refused}");
    }
}

#[tokio::test]
async fn consents_whose_clients_go_leave_no_session_in_a_transaction() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, ana).await;
    let mut dropped = 0;
    for polls in 1..POLLS_MAX {
        let status = ["accepted", "withdrawn"][polls % 2];
        let body = json!({"meetingId": meeting, "consentType": "recording_ai", "status": status});
        let said = app.call("POST", CONSENT, &joined.consent_token, Some(body));
        dropped += usize::from(dropped_after(polls, said).await.is_none());
        eventually(
            "no session idles in a transaction",
            RETURN_MAX,
            async || {
                let mut owner = app.sql().await;
                let left = "select count(*)::text from pg_stat_activity
                where datname = current_database() and state like 'idle in transaction%'";
                text(&mut owner, left).await == "0"
            },
        )
        .await;
    }
    assert!(dropped > 3, "{dropped}");
    // Who comes next is heard.
    let body = json!({"meetingId": meeting, "consentType": "recording_ai", "status": "withdrawn"});
    app.call("POST", CONSENT, &joined.consent_token, Some(body))
        .await
        .expect(201);
}
