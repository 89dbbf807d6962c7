//! A withdrawal at work before it is written: the meeting's worker acts, and everybody is told.

use super::state::{ApiState, Shared};
use crate::{
    command::consent,
    queue::{
        AskError,
        message::{Ask, Reply},
    },
    store::consent::Saying,
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
    told: Arc<AtomicBool>,
}

impl Acting {
    /// Begins. Goes on by itself, within [`ACT_MAX`].
    pub fn start(state: &Shared, saying: &Saying) -> Self {
        let acting = Self {
            told: Arc::default(),
        };
        let (this, state, saying) = (acting.clone(), state.clone(), saying.clone());
        let acts = async move {
            match withdraw(&state, &saying, false).await {
                Ok(_) => this.tell(&state, &saying),
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
            told: Arc::default(),
        }
    }

    /// Tells everybody in the meeting, without its place in the log, unless that was done.
    pub fn tell(&self, state: &ApiState, saying: &Saying) {
        if !self.told.swap(true, Ordering::Relaxed) {
            state.publish(saying.meeting, consent::receipt(saying));
        }
    }
}

/// Makes a withdrawal or refusal act in the meeting's worker, before it is durable; with `journal`
/// the worker writes it down, because the database cannot be reached. The id is the same, so
/// whoever writes the log first, it stands there once.
pub async fn withdraw(state: &ApiState, saying: &Saying, journal: bool) -> Result<Reply, AskError> {
    let limit = if journal { JOURNAL_MAX } else { ACT_MAX };
    state
        .queue
        .ask(saying.meeting, &withdrawal(saying, journal), limit)
        .await
}

fn withdrawal(saying: &Saying, journal: bool) -> Ask {
    Ask::Withdraw {
        id: saying.id,
        participant: saying.participant,
        consent_type: saying.consent_type,
        status: saying.status,
        actor: saying.actor.clone(),
        statement: saying.statement.clone(),
        received_at: saying.timestamp,
        once: saying.once.clone(),
        journal,
    }
}
