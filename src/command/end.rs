//! Ending a meeting.

use super::leave::go;
use crate::{
    domain::{
        close_code::{Close, Whom},
        event::{Event, RecordingReport},
        id::MeetingId,
        recording_state::{RecordingState, StateReason},
        stream::CloseReason,
    },
    store::{
        Result,
        effect::Effects,
        event,
        meeting::{self, Meeting},
        presence,
    },
};
use sqlx::PgConnection;

/// Ends it. `None` when it had ended before; nothing is changed then.
pub async fn end(conn: &mut PgConnection, id: MeetingId) -> Result<Option<(Meeting, Effects)>> {
    let Some(ended) = meeting::end(conn, id).await? else {
        return Ok(None);
    };
    let mut effects = Effects::default();
    // Whoever captured it says how that came out. Where nobody ever did, nothing is recorded, and
    // this is where it is said.
    if !meeting::has_capture(conn, id).await? {
        let report = RecordingReport::idle(RecordingState::Off, Some(StateReason::Ended), 0);
        let event = Event::RecordingState(report);
        effects.events.push(event::append(conn, id, &event).await?);
        effects.close = Some((Close::Ended, Whom::Everybody));
    }
    Ok(Some((ended, effects)))
}

/// Everybody leaves, at the end of the meeting.
pub async fn dismiss(conn: &mut PgConnection, meeting: MeetingId) -> Result<Effects> {
    event::lock(conn, meeting).await?;
    let mut effects = Effects::default();
    for participant in presence::present(conn, meeting).await? {
        effects.extend(go(conn, meeting, participant, CloseReason::Left).await?);
    }
    Ok(effects)
}
