//! How a stream's participant comes in, and the stream gets a port. Each step has a time limit.

use super::{
    Deps,
    fact::Fact,
    port::{self, Found},
    read::{READ_MAX, bounded},
};
use crate::{
    command::join::enter as come_in,
    domain::{
        admission::EntryBy,
        id::{MeetingId, StreamId},
        refusal::RefusalCode,
    },
    published,
    queue::{Queue, message::Reply},
    store::{
        Store, event,
        stream::{self, Stream},
    },
};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

async fn bounded_any<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let done = tokio::time::timeout(READ_MAX, work).await;
    done.unwrap_or_else(|_| Err(anyhow::anyhow!("the database is not available")))
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
    warn!(error = format!("{error:#}"), "no port for a stream");
    Err(Reply::refuse(
        RefusalCode::Unavailable,
        format!("{error:#}"),
    ))
}

/// Makes the participant of a stream present, and gives the stream's row; or what to answer
/// instead.
pub async fn admit(
    store: &Store,
    queue: &Queue,
    meeting: MeetingId,
    id: StreamId,
) -> Result<Stream, Reply> {
    let entered = bounded(async {
        let mut tx = store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        let Some(stream) = stream::live(&mut tx, meeting)
            .await?
            .into_iter()
            .find(|stream| stream.id == id)
        else {
            return Ok(Err(Reply::refuse(
                RefusalCode::NotFound,
                "the stream was closed before it was opened",
            )));
        };
        match come_in(&mut tx, meeting, stream.participant, EntryBy::Stream).await? {
            Ok(entered) => {
                tx.commit().await?;
                Ok(Ok((stream, entered)))
            }
            Err(barred) => Ok(Err(Reply::barred(&barred))),
        }
    })
    .await;
    match entered {
        Ok(Ok((stream, entered))) => {
            published::publish(queue, None, meeting, entered.effects);
            Ok(stream)
        }
        Ok(Err(reply)) => Err(reply),
        Err(_) => Err(Reply::refuse(
            RefusalCode::Unavailable,
            "the database is not available",
        )),
    }
}
