//! Making files again that failed.

use crate::{
    domain::{
        event::{Event, RecordingReport},
        id::{MeetingId, TenantId},
        job::JobKind,
        recording_state::{RecordingState, StateReason},
    },
    store::{Result, backlog, effect::Effects, event},
};
use sqlx::PgConnection;

/// All files of the meeting that failed are processed again: their job is queued, and those who
/// listen hear that they are being made.
pub async fn files(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
) -> Result<Effects> {
    event::lock(conn, meeting).await?;
    let job = backlog::remake(conn, tenant, meeting).await?;
    let mut effects = finalising(conn, meeting).await?;
    effects.jobs.push((JobKind::Join, job));
    Ok(effects)
}

/// Those who listen hear that files are made once more.
pub(super) async fn finalising(conn: &mut PgConnection, meeting: MeetingId) -> Result<Effects> {
    let report = RecordingReport::idle(RecordingState::Finalising, Some(StateReason::Retry), 0);
    let told = event::append(conn, meeting, &Event::RecordingState(report)).await?;
    Ok(told.into())
}
