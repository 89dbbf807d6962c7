//! Deleting recordings, transcripts and meetings: asked for here, durably, and done by the job.

use super::Refused;
use crate::{
    domain::{
        deletion::{Deletable, taken_along},
        event::{Deleted, Event},
        id::{MeetingId, RecordingId, TenantId},
        job::JobKind,
        meeting::MeetingStatus,
    },
    store::{
        capture,
        deletion::{self, Asked},
        effect::Effects,
        event, job,
    },
};
use sqlx::PgConnection;

/// What is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Recording(RecordingId),
    Transcript,
    Meeting,
}

/// Asks for it. Once more changes nothing.
///
/// # Errors
/// [`Refused::Live`] while the meeting runs.
pub async fn delete(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    target: Target,
    asked: &Asked,
) -> Result<Effects, Refused> {
    event::lock(conn, meeting).await?;
    if capture::status(conn, meeting).await? == MeetingStatus::Live {
        return Err(Refused::Live);
    }
    let left = deletion::recordings(conn, meeting).await?;
    let all: Vec<_> = left.iter().map(|one| (one.id, one.kind)).collect();
    let recordings = match target {
        Target::Recording(id) => taken_along(&all, id),
        Target::Transcript => Vec::new(),
        Target::Meeting => all.into_iter().map(|(id, _)| id).collect(),
    };
    let mut gone = Deleted::default();
    for id in &recordings {
        if deletion::ask(conn, tenant, meeting, Deletable::Recording, id.0, asked).await? {
            gone.recordings.push(*id);
        }
    }
    if target != Target::Transcript {
        deletion::mark_recordings(conn, meeting, &recordings).await?;
    }
    if matches!(target, Target::Transcript | Target::Meeting) {
        let what = Deletable::Transcript;
        gone.transcript = deletion::ask(conn, tenant, meeting, what, meeting.0, asked).await?;
    }
    if target == Target::Meeting {
        let what = Deletable::Meeting;
        gone.meeting = deletion::ask(conn, tenant, meeting, what, meeting.0, asked).await?;
        deletion::mark_meeting(conn, meeting).await?;
    }
    if gone == Deleted::default() {
        return Ok(Effects::default());
    }
    deletion::stop_jobs(conn, meeting).await?;
    let told = event::append(conn, meeting, &Event::ContentDeleted(gone)).await?;
    let job = job::ensure_again(conn, tenant, JobKind::Delete, meeting).await?;
    let mut effects = Effects::from(told);
    effects.jobs.push((JobKind::Delete, job));
    Ok(effects)
}
