//! What a meeting's loop reads from the store. Each read has a time limit, because whoever waits
//! here is a task and not the loop.

use crate::{
    domain::{
        gate::Entry,
        id::{MeetingId, StreamId},
        meeting::Listed,
        participant::Person,
    },
    store::{
        Result, Store, StoreError,
        capture::{self, Loaded},
        consent, event, presence, stream,
    },
};
use chrono::{DateTime, Utc};
use std::time::Duration;

pub(super) const READ_MAX: Duration = Duration::from_secs(3);

/// The meeting as the store has it.
pub struct MeetingRead {
    /// Entries above the last one applied, oldest first.
    pub consent: Vec<Entry>,
    pub people: Vec<Person>,
    pub listed: Vec<Listed>,
    /// Streams that are not closed.
    pub streams: Vec<StreamId>,
    /// The roster's version that this is at least as new as.
    pub roster: i64,
    pub ended: bool,
}

pub(super) async fn bounded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(READ_MAX, work)
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)))
}

pub async fn read(
    store: &Store,
    meeting: MeetingId,
    after: i64,
    start: DateTime<Utc>,
) -> Result<MeetingRead> {
    bounded(async {
        let mut tx = store.worker_tx().await?;
        // The version first: what is read after it can only be newer.
        let head = event::heads(&mut tx, &[meeting])
            .await?
            .pop()
            .ok_or(StoreError::NotFound)?;
        let consent = consent::above(&mut tx, meeting, after, i64::MAX).await?;
        let people = presence::people(&mut tx, meeting).await?;
        let streams = stream::live(&mut tx, meeting).await?;
        tx.commit().await?;
        Ok(MeetingRead {
            consent: consent.iter().map(|entry| entry.for_gate(start)).collect(),
            listed: people
                .iter()
                .map(|p| Listed {
                    participant: p.id,
                    present: p.present,
                })
                .collect(),
            people,
            streams: streams.into_iter().map(|stream| stream.id).collect(),
            roster: head.roster,
            ended: head.ended,
        })
    })
    .await
}

pub async fn load(store: &Store, meeting: MeetingId) -> Result<Option<Loaded>> {
    bounded(async {
        let mut tx = store.worker_tx().await?;
        capture::load(&mut tx, meeting).await
    })
    .await
}

pub async fn start_time(store: &Store, meeting: MeetingId) -> Result<Option<DateTime<Utc>>> {
    Ok(load(store, meeting)
        .await?
        .and_then(|loaded| loaded.start_time))
}
