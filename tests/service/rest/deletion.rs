//! Deletions as they are asked for, and what is told of them before and after the job.

use super::{
    app::App,
    recording::{change, insert, say},
};
use hansard::domain::id::MeetingId;
use serde_json::{Value, json};
use uuid::Uuid;

/// An ended meeting with a mix, a track and words.
pub struct Ended {
    pub app: App,
    pub meeting: MeetingId,
    pub mix: Uuid,
    pub tracks: Vec<Uuid>,
}

impl Ended {
    async fn with(tracks: usize) -> Self {
        Self::on(App::start().await, tracks).await
    }

    pub async fn on(app: App, tracks: usize) -> Self {
        let live = Self::live_on(app, tracks).await;
        let path = format!("/v1/meetings/{}/end", live.meeting);
        live.app
            .call("PUT", &path, &live.app.key, None)
            .await
            .expect(200);
        live
    }

    async fn live(tracks: usize) -> Self {
        Self::live_on(App::start().await, tracks).await
    }

    async fn live_on(app: App, tracks: usize) -> Self {
        let ana = app.user("Ana").await;
        let meeting = app.meeting(ana).await;
        let agreed = app.who_agreed(meeting, ana, "recording_ai").await;
        let participant = agreed.participant;
        app.enter(meeting, participant).await;
        say(&app, meeting, participant, 0, 900, "Secret words.").await;
        let mix = insert(&app, meeting, None, 0, "ready").await;
        change(&app, mix, "sha256 = 'abc'").await;
        let mut made = Vec::new();
        for n in 0..tracks {
            let track = insert(&app, meeting, Some(participant), 0, "ready").await;
            change(&app, track, ["codec = 'PCMU'", "codec = 'opus'"][n]).await;
            made.push(track);
        }
        Self {
            app,
            meeting,
            mix,
            tracks: made,
        }
    }

    pub async fn delete(&self, path: &str) -> super::app::Answer {
        self.app.call("DELETE", path, &self.app.key, None).await
    }

    pub async fn status(&self, recording: Uuid) -> Value {
        let path = format!("/v1/recordings/{recording}");
        self.app.get(&path).await.expect(200)["status"].clone()
    }

    async fn events(&self) -> Vec<Value> {
        sqlx::query_scalar(
            "select data from meeting_events where type = 'content_deleted' order by seq",
        )
        .fetch_all(&mut self.app.sql().await)
        .await
        .expect("Postgres answers")
    }
}

#[tokio::test]
async fn what_is_live_is_not_deleted() {
    let live = Ended::live(1).await;
    for path in [
        format!("/v1/recordings/{}", live.mix),
        format!("/v1/meetings/{}/transcript", live.meeting),
        format!("/v1/meetings/{}", live.meeting),
    ] {
        live.delete(&path).await.problem(409, "not_ready");
    }
    assert!(live.events().await.is_empty());
}

/// The transcript of a meeting that begins later is still to come: it is not lost beforehand.
#[tokio::test]
async fn what_has_not_begun_is_deleted_only_as_a_whole() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let path = format!("/v1/meetings/{meeting}");
    let words = format!("{path}/transcript");
    let delete = async |path: &str| app.call("DELETE", path, &app.key, None).await;
    delete(&words).await.problem(409, "not_ready");
    let participant = app
        .who_agreed(meeting, ana, "recording_ai")
        .await
        .participant;
    delete(&words).await.problem(409, "not_ready");
    app.enter(meeting, participant).await;
    say(&app, meeting, participant, 0, 900, "Words.").await;
    let said = app.get(&words).await.expect(200);
    assert_eq!(said["segments"][0]["text"], "Words.");
    let later = app.meeting(ana).await;
    let path = format!("/v1/meetings/{later}");
    delete(&path).await.expect(204);
    app.get(&path).await.problem(410, "gone");
}

#[tokio::test]
async fn a_recording_goes_with_who_when_and_why() {
    let ended = Ended::with(2).await;
    let path = format!("/v1/recordings/{}", ended.mix);
    let long = "x".repeat(501);
    ended
        .delete(&format!("{path}?reason={long}"))
        .await
        .problem(400, "bad_request");
    ended
        .delete(&format!("{path}?reason=asked%20for"))
        .await
        .expect(204);
    assert_eq!(ended.status(ended.mix).await, "deleting");
    let gone = ended
        .app
        .get(&format!("{path}/content"))
        .await
        .problem(410, "gone");
    let tombstone = &gone["tombstone"];
    assert_eq!(
        (&tombstone["what"], &tombstone["id"], &tombstone["reason"]),
        (&json!("recording"), &json!(ended.mix), &json!("asked for"))
    );
    assert!(
        tombstone["deletedBy"]
            .as_str()
            .is_some_and(|by| by.starts_with("api_key:")),
        "{tombstone}"
    );
    assert_eq!(
        tombstone["recordings"],
        json!([{"id": ended.mix, "kind": "mix", "sha256": "abc"}])
    );
    assert!(tombstone["deletedAt"].is_null() && tombstone["askedAt"].is_string());
    // Once more changes nothing, nor who asked.
    ended
        .delete(&format!("{path}?reason=else"))
        .await
        .expect(204);
    assert_eq!(
        ended.events().await,
        [json!({"recordings": [ended.mix], "transcript": false, "meeting": false})]
    );
    assert_eq!(ended.status(ended.tracks[0]).await, "ready");
    let jobs: Vec<String> =
        sqlx::query_scalar("select kind from jobs where state = 'queued' and kind <> 'capture'")
            .fetch_all(&mut ended.app.sql().await)
            .await
            .expect("Postgres answers");
    assert_eq!(jobs, ["delete"]);

    // The mix is made again, under a new id, once.
    let path = format!("/v1/meetings/{}/mix", ended.meeting);
    let made = ended.app.post(&path, json!({})).await.expect(202);
    assert_ne!(made["id"], json!(ended.mix));
    assert_eq!(made["status"], "processing");
    assert_eq!(
        ended.app.post(&path, json!({})).await.expect(202)["id"],
        made["id"]
    );
}

#[tokio::test]
async fn the_last_track_takes_the_mix_along() {
    let ended = Ended::with(2).await;
    let path = |track: usize| format!("/v1/recordings/{}", ended.tracks[track]);
    ended.delete(&path(0)).await.expect(204);
    assert_eq!(ended.status(ended.mix).await, "ready");
    ended.delete(&path(1)).await.expect(204);
    assert_eq!(ended.status(ended.mix).await, "deleting");
    ended
        .app
        .post(&format!("/v1/meetings/{}/mix", ended.meeting), json!({}))
        .await
        .problem(409, "not_ready");
}

#[tokio::test]
async fn a_mix_that_is_there_is_not_made_again() {
    let ended = Ended::with(1).await;
    ended
        .app
        .post(&format!("/v1/meetings/{}/mix", ended.meeting), json!({}))
        .await
        .problem(409, "not_ready");
}

#[tokio::test]
async fn a_transcript_is_gone_at_once() {
    let ended = Ended::with(1).await;
    let path = format!("/v1/meetings/{}/transcript", ended.meeting);
    let said = ended.app.get(&path).await.expect(200);
    let segment = said["segments"][0]["segmentId"]
        .as_str()
        .expect("words")
        .to_owned();
    ended.delete(&path).await.expect(204);
    for read in [&path, &format!("{path}.vtt")] {
        let gone = ended.app.get(read).await.problem(410, "gone");
        assert_eq!(gone["tombstone"]["what"], "transcript");
    }
    let edit = json!({"text": "Other words.", "baseRevision": 1});
    ended
        .app
        .call(
            "PATCH",
            &format!("{path}/{segment}"),
            &ended.app.key,
            Some(edit),
        )
        .await
        .problem(410, "gone");
    ended.delete(&path).await.expect(204);
    assert_eq!(ended.events().await.len(), 1);
    assert_eq!(ended.status(ended.mix).await, "ready");
}

#[tokio::test]
async fn a_meeting_goes_but_its_consent_log() {
    let ended = Ended::with(1).await;
    let path = format!("/v1/meetings/{}", ended.meeting);
    let before = ended.app.get(&format!("{path}/consents")).await.expect(200);
    ended.delete(&path).await.expect(204);
    for gone in [
        path.clone(),
        format!("{path}/recordings"),
        format!("{path}/transcript"),
        format!("{path}/participants"),
        format!("/v1/recordings/{}", ended.mix),
    ] {
        let gone = ended.app.get(&gone).await.problem(410, "gone");
        assert_eq!(gone["tombstone"]["what"], "meeting");
        assert_eq!(
            gone["tombstone"]["recordings"].as_array().map(Vec::len),
            Some(2)
        );
    }
    assert_eq!(
        ended.app.get(&format!("{path}/consents")).await.expect(200),
        before
    );
    let listed = ended.app.get("/v1/meetings").await.expect(200);
    assert_eq!(listed["data"], json!([]));
    ended.delete(&path).await.expect(204);
}
