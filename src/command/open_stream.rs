//! Asking for a stream. The row is made here; the meeting's worker opens it, and the caller waits
//! for that.

use super::Refused;
use crate::{
    domain::{
        admission::{self, Barred, EntryBy},
        id::{JobId, MeetingId, StreamId},
        stream::CloseReason,
    },
    store::{
        effect::Effects,
        event, job,
        meeting::{self, Meeting},
        participant,
        requested_stream::{self, RequestedStream},
        stream,
    },
};
use sqlx::PgConnection;

/// A stream whose row is made and which waits for a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requested {
    pub stream: StreamId,
    /// Of whoever is to open it.
    pub job: JobId,
}

/// Makes the stream's row, and the job of whoever is to open it, when its participant may have
/// streams.
pub async fn request(
    conn: &mut PgConnection,
    of: &Meeting,
    row: &RequestedStream,
) -> Result<Requested, Refused> {
    if of.ended() {
        return Err(Barred::Ended.into());
    }
    let found = participant::get(conn, of.id(), row.participant)
        .await?
        .ok_or(Refused::NoParticipant)?;
    admission::enter(&of.terms(), &found.record(), EntryBy::Stream)?;
    event::lock(conn, of.id()).await?;
    if !requested_stream::insert(conn, row).await? {
        return Err(Refused::SsrcTaken);
    }
    let requested = again(conn, of.id(), row.id).await?;
    meeting::bump_roster(conn, of.id()).await?;
    Ok(requested)
}

/// As [`request`], of a row that was made before.
pub async fn again(
    conn: &mut PgConnection,
    meeting: MeetingId,
    stream: StreamId,
) -> Result<Requested, Refused> {
    let (job, _) = job::ensure_capture(conn, meeting).await?;
    Ok(Requested { stream, job })
}

/// Takes a stream back that could not be opened.
pub async fn give_up(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: StreamId,
    reason: CloseReason,
) -> Result<Effects, Refused> {
    event::lock(conn, meeting).await?;
    stream::closed(conn, meeting, id, reason).await?;
    meeting::bump_roster(conn, meeting).await?;
    Ok(Effects {
        streams: vec![(id, reason)],
        ..Effects::default()
    })
}
