//! What a meeting's loop reads from the store, and how a stream's participant comes in. Each has a
//! time limit, because whoever waits here is a task and not the loop.

use super::{
    Deps,
    head_watch::Watched,
    meeting::Fact,
    port::{self, Found},
};
use crate::{
    domain::{
        gate,
        id::{MeetingId, StreamId},
        meeting::Listed,
        time::MeetingTime,
    },
    published,
    queue::{Queue, message::Reply},
    store::{
        Result, Store, StoreError,
        capture::{self, Loaded},
        consent, event,
        presence::{self, Barred, EntryBy, Person},
        stream::{self, Stream},
    },
};
use chrono::{DateTime, Utc};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

const READ_MAX: Duration = Duration::from_secs(3);

/// The meeting as the store has it.
pub struct MeetingRead {
    /// Entries above the last one applied, oldest first.
    pub consent: Vec<gate::Entry>,
    pub people: Vec<Person>,
    pub listed: Vec<Listed>,
    /// Streams that are not closed.
    pub streams: Vec<StreamId>,
    /// The roster's version that this is at least as new as.
    pub roster: i64,
    pub ended: bool,
}

async fn bounded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(READ_MAX, work)
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)))
}

async fn bounded_any<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let done = tokio::time::timeout(READ_MAX, work).await;
    done.unwrap_or_else(|_| Err(anyhow::anyhow!("the database is not available")))
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
        let entry = |entry: consent::Entry| gate::Entry {
            entry: entry.entry,
            id: entry.id,
            participant: entry.participant,
            uses: entry.purposes,
            status: entry.status,
            at: MeetingTime(
                (entry.acts_at - start)
                    .num_microseconds()
                    .unwrap_or(i64::MAX),
            ),
        };
        Ok(MeetingRead {
            consent: consent.into_iter().map(entry).collect(),
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

pub fn has_ended(watched: &Watched) -> bool {
    watched
        .news
        .borrow()
        .head
        .as_ref()
        .is_some_and(|head| head.ended)
}

/// Makes the participant of a stream present, and gives the stream's row and a port for it; or what
/// to answer instead. The loop is asked to close the streams whose place it takes when their port
/// is the only one.
pub async fn enter(
    deps: &Deps,
    meeting: MeetingId,
    id: StreamId,
    to_loop: &mpsc::Sender<Fact>,
) -> Result<(Stream, Found), Reply> {
    let stream = admit(&deps.store, &deps.queue, meeting, id).await?;
    let (store, rtp) = (&deps.store, &deps.rtp);
    let mut found = bounded_any(port::find(store, rtp, meeting, &stream)).await;
    if found.as_ref().is_err_and(port::is_final)
        && port::left(store, rtp, meeting, &stream)
            .await
            .is_ok_and(|left| !left.is_empty())
    {
        let (done, made) = oneshot::channel();
        if to_loop
            .send(Fact::MakeRoom(Box::new(stream.clone()), done))
            .await
            .is_ok()
        {
            let _ = made.await;
        }
        found = bounded_any(port::reuse(store, rtp, meeting, &stream)).await;
    }
    let error = match found {
        Ok(found) => return Ok((stream, found)),
        Err(error) => error,
    };
    warn!(%meeting, stream = %id, error = format!("{error:#}"), "no port for a stream");
    Err(Reply::Error {
        code: "unavailable".into(),
        message: format!("{error:#}"),
    })
}

/// Makes the participant of a stream present, and gives the stream's row; or what to answer
/// instead.
pub async fn admit(
    store: &Store,
    queue: &Queue,
    meeting: MeetingId,
    id: StreamId,
) -> Result<Stream, Reply> {
    let refuse = |code: &str, message: &str| Reply::Error {
        code: code.into(),
        message: message.into(),
    };
    let entered = bounded(async {
        let mut tx = store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        let Some(stream) = stream::live(&mut tx, meeting)
            .await?
            .into_iter()
            .find(|stream| stream.id == id)
        else {
            return Ok(Err(refuse(
                "not_found",
                "the stream was closed before it was opened",
            )));
        };
        match presence::enter(&mut tx, meeting, stream.participant, EntryBy::Stream).await? {
            Ok(entered) => {
                tx.commit().await?;
                Ok(Ok((stream, entered)))
            }
            Err(Barred::ConsentRequired(_)) => Ok(Err(refuse(
                "consent_required",
                "this meeting is only for who agreed to what it records",
            ))),
            Err(Barred::Ended) => Ok(Err(refuse("ended", "the meeting has ended"))),
            Err(Barred::Removed | Barred::Absent) => {
                Ok(Err(refuse("removed", "the participant was removed")))
            }
        }
    })
    .await;
    match entered {
        Ok(Ok((stream, entered))) => {
            published::publish(queue, meeting, &entered.effects);
            Ok(stream)
        }
        Ok(Err(reply)) => Err(reply),
        Err(_) => Err(refuse("unavailable", "the database is not available")),
    }
}
