//! Repeats a withdrawal that was acknowledged, to the log and to whoever holds the meeting, until
//! it is written: the worker's journal is one machine's, and that machine may be gone.

use super::{
    acting::{self, Acting},
    state::Shared,
};
use crate::{
    command::consent::{self, Recorded},
    domain::id::TenantId,
    store::{StoreError, consent::ConsentDecision},
};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::Instrument;

/// How often each is repeated.
const EVERY: Duration = Duration::from_millis(250);
/// How long one try to write it may take.
const TRY_MAX: Duration = Duration::from_secs(2);

/// Repeats it until it is written.
pub fn until_written(state: &Shared, tenant: TenantId, decision: ConsentDecision, acting: Acting) {
    let (tasks, state) = (state.unwritten.tasks.clone(), state.clone());
    state.unwritten.waiting().push(decision.clone());
    metrics::gauge!("hansard_withdrawals_unwritten").set(state.unwritten.len() as f64);
    let repeating = async move {
        let telling = async {
            loop {
                // Whoever holds the meeting by now; twice is once.
                let _ = acting::withdraw(&state, &decision, false).await;
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = write(&state, tenant, &decision, &acting) => {}
            () = telling => {}
        }
        state
            .unwritten
            .waiting()
            .retain(|waiting| waiting.id != decision.id);
        metrics::gauge!("hansard_withdrawals_unwritten").set(state.unwritten.len() as f64);
    };
    tasks.spawn(repeating.in_current_span());
}

async fn write(state: &Shared, tenant: TenantId, decision: &ConsentDecision, acting: &Acting) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match timeout(TRY_MAX, log(state, tenant, decision, acting)).await {
            Ok(Ok(said)) => {
                if said.before.is_none() {
                    acting.publish(state, decision);
                }
                state.publish(decision.meeting, said.effects);
                return;
            }
            Ok(Err(error)) if !error.is_unavailable() => {
                tracing::error!(id = %decision.id, %error, "an acknowledged withdrawal was refused");
                return;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

async fn log(
    state: &Shared,
    tenant: TenantId,
    decision: &ConsentDecision,
    acting: &Acting,
) -> Result<Recorded, StoreError> {
    let mut tx = state.store.tenant_tx(tenant).await?;
    let mut said = consent::record_acknowledged(&mut tx, decision).await?;
    if said.before.is_some_and(|before| before.replayed) {
        said.effects
            .extend(acting.take_back(&mut tx, decision).await?);
    }
    tx.commit().await?;
    Ok(said)
}
