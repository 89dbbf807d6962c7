//! Redactions as they are asked for, and what is left of words and files.

use super::{
    app::{Answer, App},
    recording::{change, insert, say},
    redaction_job::run,
};
use crate::support::s3::Bucket;
use hansard::{
    domain::id::{MeetingId, ParticipantId},
    store::redaction::{self, Asking},
    worker::Outcome,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// A redaction that a participant asked for.
pub async fn asked(app: &App, meeting: MeetingId, participant: ParticipantId) -> Uuid {
    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    let asking = Asking {
        participant,
        purposes: vec![hansard::domain::consent::Use::Recording],
        from_ms: None,
        to_ms: None,
        reason: None,
        author: format!("participant:{participant}"),
        approved: false,
        erasure: None,
    };
    let asked = redaction::ask(&mut tx, app.tenant, meeting, &asking)
        .await
        .expect("notes it");
    tx.commit().await.expect("commits");
    asked.id
}

/// A meeting with a mix, and the track of each of two people.
pub struct Meeting {
    pub app: App,
    pub id: MeetingId,
    pub mix: Uuid,
    pub people: [(ParticipantId, Uuid); 2],
}

impl Meeting {
    async fn live() -> Self {
        Self::live_on(App::start().await).await
    }

    pub async fn live_on(app: App) -> Self {
        let host = app.user("Host").await;
        let id = app.meeting(host).await;
        let mix = insert(&app, id, None, 0, "ready").await;
        let mut people = Vec::new();
        for name in ["Ana", "Bob"] {
            let user = app.user(name).await;
            let agreed = app.who_agreed(id, user, "recording_ai").await;
            app.enter(id, agreed.participant).await;
            let track = insert(&app, id, Some(agreed.participant), 0, "ready").await;
            change(&app, track, "duration_ms = 60000, sha256 = 'before'").await;
            people.push((agreed.participant, track));
        }
        change(&app, mix, "duration_ms = 60000, sha256 = 'mixed'").await;
        Self {
            app,
            id,
            mix,
            people: [people[0], people[1]],
        }
    }

    async fn ended() -> Self {
        let live = Self::live().await;
        live.end().await;
        live
    }

    /// As its worker leaves it.
    pub async fn end(&self) {
        let path = format!("/v1/meetings/{}/end", self.id);
        self.app
            .call("PUT", &path, &self.app.key, None)
            .await
            .expect(200);
        sqlx::query("update jobs set state = 'done' where kind = 'capture'")
            .execute(&mut self.app.sql().await)
            .await
            .expect("Postgres answers");
    }

    pub fn path(&self) -> String {
        format!("/v1/meetings/{}/redactions", self.id)
    }

    pub async fn redact(&self, body: Value) -> Answer {
        let mut asked = json!({"participantId": self.people[0].0, "reason": "they asked for it"});
        for (name, value) in body.as_object().expect("members") {
            asked[name] = value.clone();
        }
        self.app.post(&self.path(), asked).await
    }

    pub async fn status(&self, recording: Uuid) -> Value {
        let path = format!("/v1/recordings/{recording}");
        self.app.get(&path).await.expect(200)["status"].clone()
    }

    async fn content(&self, recording: Uuid) -> Answer {
        let path = format!("/v1/recordings/{recording}/content?redirect=false");
        self.app.get(&path).await
    }

    async fn texts(&self) -> Vec<(Value, Value, Value)> {
        let path = format!("/v1/meetings/{}/transcript", self.id);
        let transcript = self.app.get(&path).await.expect(200);
        let segments = transcript["segments"].as_array().expect("a list").clone();
        let text = |segment: Value| {
            (
                segment["text"].clone(),
                segment["startMs"].clone(),
                segment["endMs"].clone(),
            )
        };
        segments.into_iter().map(text).collect()
    }

    async fn events(&self, kind: &'static str) -> Vec<(Option<Uuid>, Option<Value>)> {
        sqlx::query_as("select ref, data from meeting_events where type = $1 order by seq")
            .bind(kind)
            .fetch_all(&mut self.app.sql().await)
            .await
            .expect("Postgres answers")
    }

    pub async fn queued(&self) -> Vec<String> {
        sqlx::query_scalar("select kind from jobs where state = 'queued' order by kind")
            .fetch_all(&mut self.app.sql().await)
            .await
            .expect("Postgres answers")
    }
}

/// A final with a word each second, each of 400 ms.
async fn words(meeting: &Meeting, who: ParticipantId, start_ms: i64, text: &str) -> Uuid {
    let said: Vec<&str> = text.split(' ').collect();
    let end_ms = start_ms + said.len() as i64 * 1_000 - 600;
    let id = say(&meeting.app, meeting.id, who, start_ms, end_ms, text).await;
    let words: Vec<Value> = said
        .iter()
        .zip(0..)
        .map(|(word, n)| {
            let at = start_ms + n * 1_000;
            json!({"text": word, "startMs": at, "endMs": at + 400, "confidence": 0.9})
        })
        .collect();
    sqlx::query("update transcript_segments set words = $2 where id = $1")
        .bind(id)
        .bind(json!(words))
        .execute(&mut meeting.app.sql().await)
        .await
        .expect("Postgres answers");
    id
}

#[tokio::test]
async fn what_is_asked_for_is_checked() {
    let meeting = Meeting::ended().await;
    for (body, pointer) in [
        (json!({"purposes": []}), "/purposes"),
        (json!({"purposes": ["live"]}), "/purposes/0"),
        (
            json!({"purposes": ["recording"], "fromMs": 5, "toMs": 5}),
            "/toMs",
        ),
        (json!({"purposes": ["recording"], "fromMs": -1}), "/fromMs"),
        (json!({"purposes": ["recording"], "reason": " "}), "/reason"),
        (
            json!({"purposes": ["recording"], "participantId": Uuid::now_v7()}),
            "/participantId",
        ),
    ] {
        meeting.redact(body).await.points_at(&[pointer]);
    }
    let other = format!("{}/{}", meeting.path(), Uuid::now_v7());
    meeting.app.get(&other).await.problem(404, "not_found");
    let none = meeting.app.get(&meeting.path()).await.expect(200);
    assert_eq!(none["data"], json!([]));
    assert!(meeting.queued().await.is_empty());
}

#[tokio::test]
async fn words_near_the_span_go_everywhere_and_the_others_stay() {
    let meeting = Meeting::ended().await;
    let [(ana, _), (bob, _)] = meeting.people;
    let cut = words(&meeting, ana, 1_000, "One, two secret four five.").await;
    let gone = words(&meeting, ana, 20_000, "Secret again").await;
    let others = words(&meeting, bob, 1_500, "Bob says what Ana said.").await;
    let later = words(&meeting, ana, 40_000, "Much later.").await;
    sqlx::query(
        "insert into transcript_revisions (meeting_id, segment_id, revision, tenant_id, source, text, words, at)
         select meeting_id, id, 1, tenant_id, 'live', 'An earlier secret', '[]', now() from transcript_segments
         where participant_id = $1",
    )
    .bind(ana.0)
    .execute(&mut meeting.app.sql().await)
    .await
    .expect("Postgres answers");
    let mut tx = meeting.app.state.store.worker_tx().await.expect("begins");
    for segment in [cut, others, gone, later] {
        hansard::store::event::append_final(&mut tx, meeting.id, segment.into())
            .await
            .expect("is told");
    }
    tx.commit().await.expect("commits");

    let asked = meeting
        .redact(json!({"purposes": ["transcription"], "fromMs": 3_000, "toMs": 21_000}))
        .await
        .expect(202);
    assert_eq!(asked["state"], "running");
    assert_eq!(asked["purposes"], json!(["transcription"]));
    // "two" ends 600 ms before the span.
    assert_eq!(
        meeting.texts().await,
        [
            (json!("One, two"), json!(1_000), json!(2_400)),
            (json!("Bob says what Ana said."), json!(1_500), json!(5_900)),
            (json!("Much later."), json!(40_000), json!(41_400)),
        ]
    );
    let retracted = meeting.events("transcript_retracted").await;
    let of = |segment: Uuid| json!({"segmentId": segment, "reason": "redacted"});
    assert_eq!(
        retracted,
        // In the places of the finals, and told now.
        [cut, gone, cut, gone].map(|segment| (None, Some(of(segment))))
    );
    assert_eq!(meeting.events("transcript_update").await.len(), 3);
    let left: i64 = sqlx::query_scalar(
        "select count(*) from transcript_revisions where text ilike '%secret%' and segment_id <> $1",
    )
    .bind(later)
    .fetch_one(&mut meeting.app.sql().await)
    .await
    .expect("Postgres answers");
    assert_eq!(left, 0);
    // Sound is another purpose.
    assert_eq!(meeting.status(meeting.mix).await, "ready");
    assert_eq!(meeting.queued().await, ["redact"]);
}

#[tokio::test]
async fn files_are_closed_until_they_are_made_again() {
    let meeting = Meeting::ended().await;
    let [(_, ours), (_, theirs)] = meeting.people;
    let body = json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000});
    meeting.redact(body).await.expect(202);
    for (recording, status) in [(ours, 409), (meeting.mix, 409), (theirs, 200)] {
        let content = meeting.content(recording).await;
        assert_eq!(content.status, status, "{}", content.json());
    }
    assert_eq!(meeting.status(ours).await, "processing");
    assert_eq!(meeting.status(theirs).await, "ready");
    assert_eq!(meeting.queued().await, ["join", "redact"]);
    let states = meeting.events("recording_state").await;
    let told = states.iter().filter_map(|(_, data)| data.as_ref());
    let made_again = told.filter(|data| data["state"] == "finalising");
    assert_eq!(made_again.count(), 1);
    // Where nothing was sent, nothing is to be taken out.
    let body = json!({"purposes": ["recording"], "fromMs": 70_000});
    let nowhere = Meeting::ended().await;
    nowhere.redact(body).await.expect(202);
    assert_eq!(nowhere.status(nowhere.mix).await, "ready");
    assert_eq!(nowhere.queued().await, ["redact"]);
}

#[tokio::test]
async fn with_all_of_a_person_its_tracks_are_deleted() {
    let meeting = Meeting::ended().await;
    let [(_, ours), (bob, theirs)] = meeting.people;
    meeting
        .redact(json!({"purposes": ["recording", "transcription"]}))
        .await
        .expect(202);
    let gone = meeting.content(ours).await.problem(410, "gone");
    assert_eq!(gone["tombstone"]["reason"], "they asked for it");
    assert_eq!(meeting.status(ours).await, "deleting");
    assert_eq!(meeting.status(meeting.mix).await, "processing");
    assert_eq!(meeting.status(theirs).await, "ready");
    assert_eq!(meeting.queued().await, ["delete", "join", "redact"]);
    // Nobody is left to be heard in the mix.
    let last = json!({"participantId": bob, "purposes": ["recording"], "toMs": 60_000});
    meeting.redact(last).await.expect(202);
    meeting.content(meeting.mix).await.problem(410, "gone");
    assert_eq!(meeting.status(theirs).await, "deleting");
}

#[tokio::test]
async fn while_it_is_live_it_waits_for_the_end() {
    let meeting = Meeting::live().await;
    let asked = meeting
        .redact(json!({"purposes": ["recording", "transcription"], "toMs": 9_000}))
        .await
        .expect(202);
    assert_eq!(asked["state"], "waiting");
    assert_eq!(meeting.status(meeting.mix).await, "ready");
    assert!(meeting.queued().await.contains(&"redact".to_owned()));
    let said = words(&meeting, meeting.people[0].0, 1_000, "Secret").await;
    // Also while its worker is closing it.
    let outcome = run(&meeting.app, &Bucket::start().await).await;
    assert!(matches!(outcome, Outcome::Waiting { .. }), "{outcome:?}");
    meeting.end().await;
    sqlx::query("update jobs set run_at = now() where kind = 'redact'")
        .execute(&mut meeting.app.sql().await)
        .await
        .expect("Postgres answers");
    // It begins anew once it has begun, as all jobs of the meeting do.
    let outcome = run(&meeting.app, &Bucket::start().await).await;
    assert!(matches!(outcome, Outcome::Settled), "{outcome:?}");
    let outcome = run(&meeting.app, &Bucket::start().await).await;
    assert!(matches!(outcome, Outcome::Waiting { .. }), "{outcome:?}");
    assert_eq!(meeting.status(meeting.mix).await, "processing");
    assert!(meeting.texts().await.is_empty());
    let retracted = meeting.events("transcript_retracted").await;
    let of = json!({"segmentId": said, "reason": "redacted"});
    assert_eq!(retracted, [(None, Some(of))]);
    let path = format!(
        "{}/{}",
        meeting.path(),
        asked["id"].as_str().expect("an id")
    );
    let now = meeting.app.get(&path).await.expect(200);
    assert_eq!(now["state"], "running", "{now}");
}

#[tokio::test]
async fn what_was_asked_for_is_approved_or_declined() {
    let meeting = Meeting::ended().await;
    let who = meeting.people[0].0;
    let (one, other) = (
        asked(&meeting.app, meeting.id, who).await,
        asked(&meeting.app, meeting.id, who).await,
    );
    let path = |id: Uuid, verb: &str| format!("{}/{id}/{verb}", meeting.path());
    assert_eq!(meeting.status(meeting.mix).await, "ready");
    let declined = json!({"reason": "it has to be kept"});
    for _ in 0..2 {
        let path = path(one, "decline");
        let answer = meeting.app.post(&path, declined.clone()).await.expect(200);
        assert_eq!(
            (&answer["state"], &answer["decisionReason"]),
            (&json!("declined"), &json!("it has to be kept"))
        );
        assert!(
            answer["decidedBy"]
                .as_str()
                .is_some_and(|by| by.starts_with("api_key:"))
        );
    }
    let approve = meeting.app.post(&path(one, "approve"), json!({})).await;
    approve.problem(409, "not_ready");
    assert_eq!(meeting.status(meeting.mix).await, "ready");
    for _ in 0..2 {
        let answer = meeting.app.post(&path(other, "approve"), json!({})).await;
        assert_eq!(answer.expect(200)["state"], "running");
    }
    let decline = meeting.app.post(&path(other, "decline"), declined).await;
    decline.problem(409, "not_ready");
    assert_eq!(meeting.status(meeting.mix).await, "processing");
    let all = meeting.app.get(&meeting.path()).await.expect(200);
    let states: Vec<&Value> = all["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["state"])
        .collect();
    assert_eq!(states, ["running", "declined"]);
}

/// By its class: a move into the archive had only begun, or the store's cold class is an archive.
#[tokio::test]
async fn what_cannot_be_read_is_restored_first_whatever_its_tier() {
    let meeting = Meeting::ended().await;
    let [(_, ours), _] = meeting.people;
    let class =
        "storage_tier = 'cold', storage_class = 'DEEP_ARCHIVE', blob_url = 's3://hansard/a'";
    change(&meeting.app, ours, class).await;
    let asked = meeting
        .redact(json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000}))
        .await
        .expect(202);
    assert_eq!(asked["state"], "waiting_restore");
    assert!(!meeting.queued().await.contains(&"join".to_owned()));
}

/// The job that makes them was tried five times.
#[tokio::test]
async fn files_that_cannot_be_made_say_so_and_are_made_again() {
    let meeting = Meeting::ended().await;
    let [(_, ours), (_, theirs)] = meeting.people;
    let body = json!({"purposes": ["recording"], "fromMs": 3_000, "toMs": 21_000});
    meeting.redact(body).await.expect(202);
    assert_eq!(meeting.status(ours).await, "processing");
    sqlx::query("update jobs set state = 'failed', error = 'libopus' where kind = 'join'")
        .execute(&mut meeting.app.sql().await)
        .await
        .expect("Postgres answers");
    for closed in [ours, meeting.mix] {
        let path = format!("/v1/recordings/{closed}");
        let failed = meeting.app.get(&path).await.expect(200);
        assert_eq!(
            (&failed["status"], &failed["error"]),
            (&json!("failed"), &json!("libopus"))
        );
        assert_eq!(meeting.content(closed).await.status, 409);
    }
    assert_eq!(meeting.status(theirs).await, "ready");
    let retry = format!("/v1/recordings/{ours}/retry");
    let again = meeting.app.post(&retry, json!({})).await.expect(202);
    assert_eq!(
        (&again["status"], &again["error"]),
        (&json!("processing"), &Value::Null)
    );
    assert_eq!(meeting.queued().await, ["join", "redact"]);
    let other = format!("/v1/recordings/{theirs}/retry");
    meeting
        .app
        .post(&other, json!({}))
        .await
        .problem(409, "not_ready");
}
