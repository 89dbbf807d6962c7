//! Somebody says that what it sends is silent on purpose, or not any more.

use crate::{
    domain::{
        id::{MeetingId, ParticipantId},
        stream::MediaSource,
    },
    store::{Result, effect::Effects, event, presence, stream},
};
use sqlx::PgConnection;

/// Tells everybody. `None`: the participant has no open stream of this source.
pub async fn mute(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    source: MediaSource,
    muted: bool,
) -> Result<Option<Effects>> {
    event::lock(conn, meeting).await?;
    let streams = stream::mute(conn, meeting, participant, source, muted).await?;
    if streams.open == 0 {
        return Ok(None);
    }
    if streams.changed == 0 {
        return Ok(Some(Effects::default()));
    }
    let event = presence::updated(conn, meeting, participant).await?;
    Ok(Some(event.into()))
}
