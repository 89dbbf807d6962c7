//! Removing a participant by request, and taking that back.

use crate::{
    api::{
        auth::{Caller, Who},
        permit::{self, Operation},
        problem::Problem,
        state::Shared,
    },
    domain::{
        id::{MeetingId, ParticipantId, UserId},
        participant::Removal,
    },
    store::{
        participant::{self, Participant},
        presence,
    },
};

/// Removes a participant, on behalf of the host or the tenant's server.
pub async fn remove(
    state: &Shared,
    caller: &Caller,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<(), Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let of = permit::on_meeting(
        &mut tx,
        caller,
        Operation::RemoveParticipant,
        meeting,
        state.clock.now(),
    )
    .await?;
    let Some(found) = participant::get(&mut tx, meeting, participant).await? else {
        return Err(Problem::not_found("participant"));
    };
    if of.hosted_by(UserId(found.user_id)) && !matches!(caller.who, Who::Server { .. }) {
        return Err(Problem::forbidden(
            "only the API key removes the meeting's host",
        ));
    }
    let effects = presence::remove(&mut tx, meeting, participant, Removal::Request).await?;
    tx.commit().await?;
    state.told(meeting, effects);
    Ok(())
}

/// Undoes a removal of either kind; nothing happens to somebody who was not removed.
pub async fn readmit(
    state: &Shared,
    caller: &Caller,
    meeting: MeetingId,
    participant: ParticipantId,
) -> Result<Participant, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    permit::on_meeting(
        &mut tx,
        caller,
        Operation::RemoveParticipant,
        meeting,
        state.clock.now(),
    )
    .await?;
    if participant::get(&mut tx, meeting, participant)
        .await?
        .is_none()
    {
        return Err(Problem::not_found("participant"));
    }
    let effects = presence::readmit(&mut tx, meeting, participant).await?;
    let now = participant::get(&mut tx, meeting, participant)
        .await?
        .ok_or_else(|| Problem::not_found("participant"))?;
    tx.commit().await?;
    state.told(meeting, effects);
    Ok(now)
}
