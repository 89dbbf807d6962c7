//! The inventory of objects on a real Postgres: who may store what, and what is left of it.

use crate::rest::app::App;
use hansard::{
    domain::{
        id::{MeetingId, ParticipantId, RecordingId},
        inventory::{ObjectKind, ObjectState},
    },
    store::{
        StoreError, Tx,
        inventory::{self, Noted, Object, Settled},
        new_id, recording,
    },
};
use uuid::Uuid;

const SHA256: &str = "00";

struct Bucket {
    app: App,
    meeting: MeetingId,
    recording: RecordingId,
}

impl Bucket {
    async fn new() -> Self {
        let app = App::start().await;
        let ana = app.user("Ana").await;
        let meeting = app.meeting(ana).await;
        let recording = RecordingId(new_id());
        let this = Self {
            app,
            meeting,
            recording,
        };
        let mut tx = this.tx().await;
        this.make_recording(&mut tx).await;
        tx.commit().await.expect("commits");
        this
    }

    async fn make_recording(&self, tx: &mut Tx) {
        sqlx::query(
            "insert into recordings (id, tenant_id, meeting_id, kind, media_type, start_ms)
             values ($1, $2, $3, 'mix', 'audio/mp4', 0)",
        )
        .bind(self.recording.0)
        .bind(self.app.tenant.0)
        .bind(self.meeting.0)
        .execute(&mut **tx)
        .await
        .expect("a recording");
    }

    async fn tx(&self) -> Tx {
        self.app
            .state
            .store
            .worker_tx()
            .await
            .expect("Postgres answers")
    }

    fn object(&self, key: &str) -> Object {
        Object {
            key: key.to_owned(),
            tenant: self.app.tenant,
            meeting: self.meeting,
            recording: self.recording,
            kind: ObjectKind::Segment,
            participants: vec![ParticipantId(Uuid::nil())],
        }
    }

    async fn note(&self, keys: &[&str]) -> Vec<Noted> {
        let objects: Vec<Object> = keys.iter().map(|key| self.object(key)).collect();
        let mut tx = self.tx().await;
        let noted = inventory::note(&mut tx, &objects).await.expect("notes");
        tx.commit().await.expect("commits");
        noted
    }

    async fn settle(&self, key: &str) -> Result<(), StoreError> {
        let mut tx = self.tx().await;
        let settled = Settled {
            key,
            recording: self.recording,
            size_bytes: 9,
            sha256: SHA256,
            version: Some("v1"),
        };
        inventory::settle(&mut tx, self.meeting, settled).await?;
        Ok(tx.commit().await?)
    }

    async fn going(&self, key: &str) {
        let mut tx = self.tx().await;
        inventory::going(&mut tx, self.meeting, &[key.to_owned()])
            .await
            .expect("writes");
        tx.commit().await.expect("commits");
    }

    /// How many may still come.
    async fn gone(&self, key: &str) -> usize {
        let mut tx = self.tx().await;
        let left = inventory::gone(&mut tx, self.meeting, &[key.to_owned()])
            .await
            .expect("writes");
        tx.commit().await.expect("commits");
        left
    }

    async fn states(&self) -> Vec<(String, ObjectState)> {
        let mut tx = self.tx().await;
        let entries = inventory::of_meeting(&mut tx, self.meeting)
            .await
            .expect("reads");
        entries
            .into_iter()
            .map(|entry| (entry.key, entry.state))
            .collect()
    }
}

#[tokio::test]
async fn an_object_is_noted_stored_and_deleted_in_this_order() {
    let bucket = Bucket::new().await;
    assert_eq!(
        bucket.note(&["a", "b", "a"]).await,
        [Noted::Yes, Noted::Yes, Noted::Yes]
    );
    let is = |state| ("a".to_owned(), state);
    let b = ("b".to_owned(), ObjectState::Planned);
    assert_eq!(bucket.states().await, [is(ObjectState::Planned), b.clone()]);
    bucket.settle("a").await.expect("it was noted");
    assert_eq!(bucket.states().await, [is(ObjectState::Stored), b.clone()]);
    assert!(matches!(bucket.settle("c").await, Err(StoreError::Going)));
    // Stored again under the same key.
    assert_eq!(bucket.note(&["a"]).await, [Noted::Yes]);
    assert_eq!(bucket.states().await, [is(ObjectState::Planned), b.clone()]);
    bucket.settle("a").await.expect("it was noted");

    bucket.going("a").await;
    assert_eq!(bucket.note(&["a"]).await, [Noted::Busy]);
    assert!(matches!(bucket.settle("a").await, Err(StoreError::Going)));
    assert_eq!(bucket.gone("a").await, 0);
    assert_eq!(bucket.states().await, [b]);
    assert!(matches!(bucket.settle("a").await, Err(StoreError::Going)));
    assert_eq!(bucket.note(&["a"]).await, [Noted::Yes]);
}

#[tokio::test]
async fn what_a_dead_process_was_storing_is_deleted_once_more_later() {
    let bucket = Bucket::new().await;
    bucket.note(&["a"]).await;
    bucket.going("a").await;
    assert_eq!(bucket.gone("a").await, 1);
    assert_eq!(
        bucket.states().await,
        [("a".to_owned(), ObjectState::Going)]
    );
    let mut tx = bucket.tx().await;
    sqlx::query("update objects set noted_at = noted_at - interval '11 minutes'")
        .execute(&mut *tx)
        .await
        .expect("it may");
    tx.commit().await.expect("commits");
    assert_eq!(bucket.gone("a").await, 0);
    assert!(bucket.states().await.is_empty());
}

#[tokio::test]
async fn nothing_of_a_deleted_recording_is_stored() {
    let bucket = Bucket::new().await;
    bucket.note(&["a"]).await;
    let mut tx = bucket.tx().await;
    sqlx::query("update recordings set status = 'deleting'")
        .execute(&mut *tx)
        .await
        .expect("it may");
    assert!(
        recording::is_deleted(&mut tx, bucket.meeting, bucket.recording)
            .await
            .expect("reads")
    );
    tx.commit().await.expect("commits");
    assert!(matches!(bucket.settle("a").await, Err(StoreError::Going)));
    assert_eq!(bucket.note(&["a", "b"]).await, [Noted::Gone, Noted::Gone]);
    // Of a track that has no row yet it is not known.
    let other = Object {
        recording: RecordingId(new_id()),
        ..bucket.object("c")
    };
    let mut tx = bucket.tx().await;
    let noted = inventory::note(&mut tx, &[other]).await.expect("notes");
    assert_eq!(noted, [Noted::Yes]);
}
