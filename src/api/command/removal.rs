//! Removing a participant by request.

use crate::{
    api::{
        auth::Caller,
        permit::{self, Operation},
        problem::Problem,
        state::Shared,
    },
    domain::id::{MeetingId, ParticipantId},
    store::{
        participant,
        presence::{self, Removal},
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
    permit::on_meeting(&mut tx, caller, Operation::RemoveParticipant, meeting, state.clock.now()).await?;
    if participant::get(&mut tx, meeting, participant).await?.is_none() {
        return Err(Problem::not_found("participant"));
    }
    let effects = presence::remove(&mut tx, meeting, participant, Removal::Request).await?;
    tx.commit().await?;
    state.told(meeting, effects);
    Ok(())
}
