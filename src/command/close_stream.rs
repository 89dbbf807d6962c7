//! Closing a stream by request.

use crate::{
    domain::{
        id::{MeetingId, ParticipantId, StreamId},
        stream::CloseReason,
    },
    store::{Result, effect::Effects, event, meeting, presence, stream},
};
use sqlx::PgConnection;

/// Closes a stream of this participant. `None` when it was closed before.
pub async fn close(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    id: StreamId,
) -> Result<Option<Effects>> {
    let reason = CloseReason::Request;
    event::lock(conn, meeting).await?;
    if stream::closed(conn, meeting, id, reason).await?.is_none() {
        return Ok(None);
    }
    meeting::bump_roster(conn, meeting).await?;
    Ok(Some(Effects {
        events: vec![presence::updated(conn, meeting, participant).await?],
        streams: vec![(id, reason)],
        ..Effects::default()
    }))
}
