//! What is said again: the same words, the same request, in any order; and how often somebody may
//! agree.

use super::app::{Answer, App, CONSENT, request, text};
use crate::support::{eventually, postgres::Cluster};
use hansard::{
    command,
    domain::{
        event::EventKind,
        id::{MeetingId, ParticipantId, SegmentId},
    },
    store::consent,
};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

fn body(meeting: MeetingId, kind: &str, status: &str) -> Value {
    json!({"meetingId": meeting.0, "consentType": kind, "status": status})
}

async fn keyed(app: &App, token: &str, key: &str, body: Value) -> Answer {
    let authorization = format!("Bearer {token}");
    app.send(request(
        "POST",
        CONSENT,
        &[("authorization", &authorization), ("idempotency-key", key)],
        Some(body),
    ))
    .await
}

async fn log(app: &App, meeting: MeetingId) -> Vec<Value> {
    let log = app
        .get(&format!("/v1/meetings/{meeting}/consents?limit=200"))
        .await
        .expect(200);
    log["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn the_same_words_are_one_entry_and_what_was_said_between_counts() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let token = app.join(meeting, bob).await.token;
    let say = async |kind: &str, status: &str| app.say(meeting, &token, kind, status).await;
    let first = say("recording_ai", "accepted").await.expect(201);
    assert_eq!(say("recording_ai", "accepted").await.expect(201), first);
    let mut words = body(meeting, "recording_ai", "accepted");
    words["statement"] = json!("Yes.");
    let other = app
        .call("POST", CONSENT, &token, Some(words))
        .await
        .expect(201);
    assert_eq!(other["entry"], 2, "other words are another entry");
    let mut server = body(meeting, "recording_ai", "accepted");
    server["userId"] = json!(bob);
    assert_eq!(
        app.post(CONSENT, server).await.expect(201)["entry"],
        3,
        "and another actor"
    );
    assert_eq!(say("recording", "withdrawn").await.expect(201)["entry"], 4);
    assert_eq!(
        say("transcription", "withdrawn").await.expect(201)["entry"],
        5
    );
    assert_eq!(
        say("recording", "withdrawn").await.expect(201)["entry"],
        4,
        "it stands still"
    );
    assert_eq!(
        say("recording_ai", "withdrawn").await.expect(201)["entry"],
        6
    );
    assert_eq!(say("recording", "accepted").await.expect(201)["entry"], 7);
    assert_eq!(
        say("recording", "withdrawn").await.expect(201)["entry"],
        8,
        "it was taken back between"
    );
    assert_eq!(log(&app, meeting).await.len(), 8);
}

#[tokio::test]
async fn a_request_that_comes_again_undoes_no_grant() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.who_agreed(meeting, bob, "recording_ai").await;
    let withdrawal = body(meeting, "recording_ai", "withdrawn");
    let first = keyed(&app, &joined.consent_token, "k", withdrawal.clone())
        .await
        .expect(201);
    app.say(meeting, &joined.token, "recording_ai", "accepted")
        .await
        .expect(201);
    let again = keyed(&app, &joined.consent_token, "k", withdrawal).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.expect(201), first);
    assert_eq!(log(&app, meeting).await.len(), 3);
    let people = app
        .get(&format!("/v1/meetings/{meeting}/participants"))
        .await
        .expect(200);
    assert_eq!(
        people["data"][0]["consent"],
        json!({"recording": "accepted", "transcription": "accepted"})
    );
    keyed(
        &app,
        &joined.consent_token,
        "k",
        body(meeting, "recording", "withdrawn"),
    )
    .await
    .points_at(&[""]);
}

#[tokio::test]
async fn agreeing_has_a_limit_and_refusing_none() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let token = app.join(meeting, bob).await.token;
    for n in 0..102 {
        for status in ["accepted", "withdrawn"] {
            let answer = app.say(meeting, &token, "recording", status).await;
            if status == "accepted" && n >= 100 {
                assert!(answer.headers.contains_key("retry-after"));
                answer.problem(429, "too_many");
            } else {
                answer.expect(201);
            }
        }
        app.say(meeting, &token, "recording", "declined")
            .await
            .expect(201);
    }
    let mut tx = app.tenant_tx().await;
    consent::verify(&mut tx, meeting)
        .await
        .expect("read")
        .expect("the chain holds");
}

/// With Postgres away: the process that answered 202 goes on until it is written, under its key and
/// once; also when the worker that wrote it down is no more.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_withdrawal_is_written_by_whoever_acknowledged_it() {
    let cluster = Cluster::start().await;
    let app = App::on_cluster(&cluster).await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.who_agreed(meeting, bob, "recording_ai").await;
    cluster.freeze(true).await;
    let worker = app.worker(meeting).await;
    let withdrawal = body(meeting, "recording_ai", "withdrawn");
    let receipt = keyed(&app, &joined.consent_token, "k", withdrawal.clone())
        .await
        .expect(202);
    let again = keyed(&app, &joined.consent_token, "k", withdrawal.clone())
        .await
        .expect(202);
    assert_eq!(again, receipt, "the same request is the same withdrawal");
    // Its journal is gone with it.
    drop(worker);
    let mut next = app.worker(meeting).await;
    next.heard(|ask| {
        matches!(
            ask,
            hansard::queue::message::Ask::Withdraw { journal: false, .. }
        )
        .then_some(())
    })
    .await;
    assert_eq!(app.state.unwritten.len(), 1);
    cluster.freeze(false).await;
    tokio::time::timeout(SOON, app.state.unwritten.written())
        .await
        .expect("it is written before the process ends");
    let entries = log(&app, meeting).await;
    assert_eq!(entries.len(), 2);
    assert_eq!(
        (&entries[1]["id"], &entries[1]["timestamp"]),
        (&receipt["id"], &receipt["timestamp"])
    );
    let replayed = keyed(&app, &joined.consent_token, "k", withdrawal).await;
    assert_eq!(replayed.header("idempotency-replayed"), "true");
    assert_eq!(replayed.expect(201)["id"], receipt["id"]);
    eventually("nothing waits", SOON, async || {
        app.state.unwritten.is_empty()
    })
    .await;
}

struct Word {
    id: SegmentId,
    /// When it may have been said at the latest.
    end_ms: i64,
}

/// A stored final of this participant, under the entry that allowed it.
async fn word(
    app: &App,
    meeting: MeetingId,
    who: ParticipantId,
    (start_ms, end_ms, late_ms): (i64, i64, i64),
    entry: i64,
) -> Word {
    let id = SegmentId(uuid::Uuid::now_v7());
    sqlx::query(
        "insert into transcript_segments (meeting_id, id, tenant_id, participant_id, start_ms, end_ms, text, words,
                                          revision, epoch, consent_entry, late_ms)
         values ($1, $2, $3, $4, $5, $6, 'words', '[]', 1, 1, $7, $8)",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(app.tenant.0)
    .bind(who.0)
    .bind(start_ms)
    .bind(end_ms)
    .bind(entry)
    .bind(late_ms)
    .execute(&mut app.sql().await)
    .await
    .expect("stored");
    Word {
        id,
        end_ms: end_ms + late_ms,
    }
}

async fn words(app: &App, meeting: MeetingId) -> Vec<String> {
    let transcript = app
        .get(&format!("/v1/meetings/{meeting}/transcript"))
        .await
        .expect(200);
    transcript["segments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| text(&one["segmentId"]))
        .collect()
}

/// A withdrawal that is written late takes back what was stored behind its receipt, in its own
/// transaction.
#[tokio::test]
async fn a_late_withdrawal_takes_back_stored_words() {
    for policy in ["exclude", "all"] {
        let app = App::start().await;
        let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
        let meeting = app
            .meeting_with(ana, json!({"consentPolicy": policy}))
            .await;
        let [ana, bob] = [
            app.who_agreed(meeting, ana, "recording_ai").await,
            app.who_agreed(meeting, bob, "recording_ai").await,
        ];
        for joined in [&ana, &bob] {
            app.enter(meeting, joined.participant).await;
        }
        let mut tx = app.tenant_tx().await;
        let of = hansard::store::meeting::get(&mut tx, meeting)
            .await
            .expect("read")
            .expect("there");
        let start = of.start_time.expect("it began");
        let mut kept = Vec::new();
        let mut gone = Vec::new();
        for (who, entry) in [(&ana, 1), (&bob, 2)] {
            for span in [
                (0, 2_000, 0),
                (2_000, 4_000, 0),
                (4_500, 6_000, 0),
                (1_500, 2_900, 800),
            ] {
                let word = word(&app, meeting, who.participant, span, entry).await;
                let own = who.participant == ana.participant;
                if word.end_ms > 3_000 && (own || policy == "all") {
                    gone.push(word)
                } else {
                    kept.push(word)
                }
            }
        }
        let decision = consent::ConsentDecision {
            meeting,
            participant: ana.participant,
            id: hansard::domain::id::ConsentId(uuid::Uuid::now_v7()),
            consent_type: hansard::domain::consent::ConsentType::Transcription,
            status: hansard::domain::consent::ConsentStatus::Withdrawn,
            actor: "self".into(),
            statement: None,
            timestamp: start + chrono::TimeDelta::seconds(3),
            once: None,
        };
        let said = command::consent::record(&mut tx, &decision)
            .await
            .expect("said");
        tx.commit().await.expect("commits");
        let retracted: Vec<&Value> = said
            .effects
            .events
            .iter()
            .filter(|event| {
                event.kind == EventKind::TranscriptRetracted && event.data["reason"] == "withdrawn"
            })
            .map(|event| &event.data["segmentId"])
            .collect();
        assert_eq!(
            retracted.len(),
            gone.len(),
            "{policy}: {:?}",
            said.effects.events
        );
        assert!(
            gone.iter().all(|word| retracted.contains(&&json!(word.id))),
            "{policy}"
        );
        let left = words(&app, meeting).await;
        assert_eq!(left.len(), kept.len(), "{policy}");
        assert!(
            kept.iter().all(|word| left.contains(&word.id.to_string())),
            "{policy}"
        );

        // The same words once more, received earlier by another process: the earliest receipt cuts.
        let mut tx = app.tenant_tx().await;
        let earlier = consent::ConsentDecision {
            id: hansard::domain::id::ConsentId(uuid::Uuid::now_v7()),
            timestamp: start + chrono::TimeDelta::seconds(1),
            ..decision
        };
        let again = command::consent::record(&mut tx, &earlier)
            .await
            .expect("said");
        assert_eq!(
            (again.entry.id, again.before.is_some()),
            (said.entry.id, true)
        );
        assert_eq!(again.entry.acts_at, earlier.timestamp);
        let taken = if policy == "all" { 2 } else { 1 };
        assert_eq!(
            again.effects.events.len(),
            taken,
            "{policy}: {:?}",
            again.effects.events
        );
        let whole = consent::whole(&mut tx, meeting).await.expect("read");
        assert_eq!(
            whole.last().map(|entry| entry.acts_at),
            Some(earlier.timestamp)
        );
        tx.commit().await.expect("commits");
        let mut tx = app.tenant_tx().await;
        consent::verify(&mut tx, meeting)
            .await
            .expect("read")
            .expect("the chain holds");
    }
}
