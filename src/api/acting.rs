//! A withdrawal at work before it is written: the meeting's worker acts, and everybody is told.

use super::state::{ApiState, Shared};
use crate::{
    command::consent,
    queue::{
        AskError,
        message::{Ask, Reply},
    },
    store::consent::ConsentDecision,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tracing::Instrument;

/// The longest wait for the worker to act on a withdrawal.
const ACT_MAX: Duration = Duration::from_secs(1);
/// The longest wait for the worker's journal, which it flushes to disk.
const JOURNAL_MAX: Duration = Duration::from_secs(2);

/// A withdrawal or refusal that acts in the meeting's worker, and is told to everybody once.
#[derive(Clone)]
pub struct Acting {
    published: Arc<AtomicBool>,
}

impl Acting {
    /// Begins. Goes on by itself, within [`ACT_MAX`].
    pub fn start(state: &Shared, decision: &ConsentDecision) -> Self {
        let acting = Self {
            published: Arc::default(),
        };
        let (this, state, decision) = (acting.clone(), state.clone(), decision.clone());
        let acts = async move {
            match withdraw(&state, &decision, false).await {
                Ok(_) => this.publish(&state, &decision),
                // Nobody captures; told once it is in the log.
                Err(AskError::Nobody) => {}
                Err(error) => {
                    tracing::warn!(%error, "the worker did not confirm a withdrawal; it polls the log");
                }
            }
        };
        tokio::spawn(acts.in_current_span());
        acting
    }

    /// One that acts nowhere.
    #[cfg(test)]
    pub fn begun() -> Self {
        Self {
            published: Arc::default(),
        }
    }

    /// Tells everybody in the meeting, without its place in the log, unless that was done.
    pub fn publish(&self, state: &ApiState, decision: &ConsentDecision) {
        if !self.published.swap(true, Ordering::Relaxed) {
            state.publish(decision.meeting, consent::receipt(decision));
        }
    }
}

/// Makes a withdrawal or refusal act in the meeting's worker, before it is durable; with `journal`
/// the worker writes it down, because the database cannot be reached. The id is the same, so
/// whoever writes the log first, it stands there once.
pub async fn withdraw(
    state: &ApiState,
    decision: &ConsentDecision,
    journal: bool,
) -> Result<Reply, AskError> {
    let limit = if journal { JOURNAL_MAX } else { ACT_MAX };
    state
        .queue
        .ask(decision.meeting, &withdrawal(decision, journal), limit)
        .await
}

fn withdrawal(decision: &ConsentDecision, journal: bool) -> Ask {
    Ask::Withdraw {
        id: decision.id,
        participant: decision.participant,
        consent_type: decision.consent_type,
        status: decision.status,
        actor: decision.actor.clone(),
        statement: decision.statement.clone(),
        received_at: decision.timestamp,
        once: decision.once.clone(),
        journal,
    }
}
