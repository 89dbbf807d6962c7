//! Deleting recordings, transcripts and meetings: asked for here, durably, and done by the job.
//!
//! [`plan`] reads what goes; then it is written into the ledger, and then [`carry_out`] marks it,
//! in the same transaction. What is replayed from the ledger is carried out alike.

use super::Refused;
use crate::{
    domain::{
        deletion::{Deletable, taken_along},
        event::{Deleted, Event},
        id::{MeetingId, RecordingId, TenantId},
        job::JobKind,
        meeting::MeetingStatus,
        retention::AUTHOR,
    },
    store::{
        StoreError, capture,
        deletion::{self, Asked},
        effect::Effects,
        event, hold, job, retention,
    },
};
use sqlx::PgConnection;

/// What is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Recording(RecordingId),
    Transcript,
    /// What retention deletes: all recordings and the transcript.
    Recorded,
    Meeting,
}

/// What goes, found out under the meeting's head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub what: Deletable,
    pub recordings: Vec<RecordingId>,
}

/// Locks the meeting's head and says what goes; `None` when that was asked for before.
///
/// # Errors
/// [`Refused::Live`] while the meeting runs, [`Refused::Held`] while it has a hold;
/// [`Refused::NotBegun`] where the transcript of a meeting is to go that has not begun: what is
/// marked stays deleted, so that it would lose what is still to come.
pub async fn plan(
    conn: &mut PgConnection,
    meeting: MeetingId,
    target: Target,
) -> Result<Option<Plan>, Refused> {
    event::lock(conn, meeting).await?;
    let status = capture::status(conn, meeting).await?;
    if status == MeetingStatus::Live {
        return Err(Refused::Live);
    }
    let left = deletion::recordings(conn, meeting).await?;
    let all: Vec<_> = left.iter().map(|one| (one.id, one.kind)).collect();
    let (what, recordings) = match target {
        Target::Recording(id) => (Deletable::Recording, taken_along(&all, id)),
        Target::Transcript => (Deletable::Transcript, Vec::new()),
        Target::Recorded => {
            let all = all.into_iter().map(|(id, _)| id).collect();
            (Deletable::Transcript, all)
        }
        Target::Meeting => {
            let all = all.into_iter().map(|(id, _)| id).collect();
            (Deletable::Meeting, all)
        }
    };
    let asked_before = match what {
        Deletable::Recording => recordings.is_empty(),
        Deletable::Transcript if !recordings.is_empty() => false,
        what => deletion::is_asked(conn, meeting, what, meeting.0).await?,
    };
    if asked_before {
        return Ok(None);
    }
    match hold::current(conn, meeting).await? {
        Some(hold) => Err(Refused::Held(hold)),
        None if status == MeetingStatus::Scheduled && what == Deletable::Transcript => {
            Err(Refused::NotBegun)
        }
        None => Ok(Some(Plan { what, recordings })),
    }
}

/// Marks what goes, under the meeting's head. Once more changes nothing.
pub async fn carry_out(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    plan: &Plan,
    asked: &Asked,
) -> Result<Effects, StoreError> {
    let Plan { what, recordings } = plan;
    if asked.author == AUTHOR {
        retention::finish(conn, meeting).await?;
    }
    let mut gone = Deleted::default();
    for id in recordings {
        if deletion::ask(conn, tenant, meeting, Deletable::Recording, id.0, asked).await? {
            gone.recordings.push(*id);
        }
    }
    deletion::mark_recordings(conn, meeting, recordings).await?;
    if matches!(what, Deletable::Transcript | Deletable::Meeting) {
        let what = Deletable::Transcript;
        gone.transcript = deletion::ask(conn, tenant, meeting, what, meeting.0, asked).await?;
    }
    if *what == Deletable::Meeting {
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
