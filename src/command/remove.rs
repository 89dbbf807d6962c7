//! Removing somebody: on behalf of host or server, or by policy `required`.

use super::leave::go;
use crate::{
    domain::{
        event::Event,
        id::{MeetingId, ParticipantId},
        participant::Removal,
        stream::CloseReason,
    },
    store::{Result, effect::Effects, event, meeting, presence},
};
use sqlx::PgConnection;

/// Removes a participant, present or not: its streams are closed, its join and resume tokens void.
/// The one way out for everybody who has to go. Whoever has a socket of it closes that on the
/// event.
pub async fn remove(
    conn: &mut PgConnection,
    meeting: MeetingId,
    participant: ParticipantId,
    why: Removal,
) -> Result<Effects> {
    event::lock(conn, meeting).await?;
    let removed = presence::bar(conn, meeting, participant, why).await?;
    let mut effects = go(conn, meeting, participant, CloseReason::Removed).await?;
    if removed && effects.is_empty() {
        // Streams asked for and not yet open are to be let go of.
        meeting::bump_roster(conn, meeting).await?;
        // It may be absent for the store and have a socket all the same, which nobody could tell
        // of.
        let person = presence::person(conn, meeting, participant).await?;
        if person.joined_at.is_some() {
            let event = Event::ParticipantUpdated(person);
            effects
                .events
                .push(event::append(conn, meeting, &event).await?);
        }
    }
    Ok(effects)
}
