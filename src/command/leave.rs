//! Somebody goes, by itself or because it was away for too long.

use crate::{
    domain::{
        event::Event,
        id::{MeetingId, ParticipantId},
        stream::CloseReason,
    },
    store::{
        Result,
        effect::Effects,
        event, meeting,
        presence::{self, person},
    },
};
use sqlx::PgConnection;

/// The participant is no longer present; its streams are closed. Nothing happens when it was not
/// present.
pub async fn leave(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Effects> {
    event::lock(conn, meeting).await?;
    go(conn, meeting, participant, CloseReason::Left).await
}

/// Under the head's lock.
pub(super) async fn go(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    why: CloseReason,
) -> Result<Effects> {
    if !presence::went(conn, meeting, participant, why).await? {
        return Ok(Effects::default());
    }
    meeting::bump_roster(conn, meeting).await?;
    let person = person(conn, meeting, participant).await?;
    let event = event::append(conn, meeting, &Event::ParticipantLeft(person)).await?;
    Ok(event.into())
}
