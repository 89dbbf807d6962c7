//! Making a deleted mix again.

use super::{Refused, retry::finalising};
use crate::{
    domain::{
        id::{MeetingId, RecordingId, TenantId},
        job::JobKind,
        meeting::MeetingStatus,
        recording::{RecordingKind, RecordingStatus},
    },
    store::{capture, deletion, effect::Effects, event, job, recording},
};
use sqlx::PgConnection;

/// Makes the mix's new recording and queues its job; answers the one that is processed already.
///
/// # Errors
/// [`Refused::Live`], and [`Refused::NoMix`] with what stands against it.
pub async fn make(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
) -> Result<(RecordingId, Effects), Refused> {
    event::lock(conn, meeting).await?;
    if capture::status(conn, meeting).await? == MeetingStatus::Live {
        return Err(Refused::Live);
    }
    let all = deletion::recordings(conn, meeting).await?;
    match all.iter().find(|one| one.kind == RecordingKind::Mix) {
        Some(mix) if mix.status == RecordingStatus::Processing => {
            return Ok((mix.id, Effects::default()));
        }
        Some(mix) if mix.status == RecordingStatus::Failed => {
            return Err(Refused::NoMix("the mix has failed: retry it"));
        }
        Some(_) => return Err(Refused::NoMix("there is a mix: delete it first")),
        None => {}
    }
    let first = all
        .iter()
        .filter(|one| one.status == RecordingStatus::Ready)
        .map(|track| track.start_ms)
        .min()
        .ok_or(Refused::NoMix(
            "there is no track that is ready to make a mix of",
        ))?;
    let made = recording::ensure_mix(conn, tenant, meeting, first).await?;
    let job = job::ensure_again(conn, tenant, JobKind::Mix, meeting).await?;
    let mut effects = finalising(conn, meeting).await?;
    effects.jobs.push((JobKind::Mix, job));
    Ok((made, effects))
}
