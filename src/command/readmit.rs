//! Taking a removal back.

use crate::{
    domain::{
        event::Event,
        id::{MeetingId, ParticipantId},
    },
    store::{Result, effect::Effects, event, presence},
};
use sqlx::PgConnection;

/// Undoes a removal of either kind, and reopens the link that the participant came by. Its old
/// tokens stay void. Nothing happens when it was not removed.
pub async fn readmit(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Effects> {
    event::lock(conn, meeting).await?;
    let removed = presence::unbar(conn, meeting, participant).await?;
    let person = presence::person(conn, meeting, participant).await?;
    if !removed || person.joined_at.is_none() {
        return Ok(Effects::default());
    }
    let event = Event::ParticipantUpdated(person);
    Ok(event::append(conn, meeting, &event).await?.into())
}
