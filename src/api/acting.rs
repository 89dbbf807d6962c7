//! A withdrawal at work before it is written: the meeting's worker acts, and everybody is told.

use super::state::{ApiState, Shared};
use crate::{
    command::consent,
    domain::id::TenantId,
    queue::{
        AskError,
        message::{Ask, Reply},
    },
    store::{StoreError, consent::ConsentDecision, effect::Effects, presence},
};
use sqlx::PgConnection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;
use tracing::Instrument;

/// How long it may take to find out whether a withdrawal counts at all, before it acts without
/// that.
pub const CHECK_MAX: Duration = Duration::from_millis(100);
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
        tokio::spawn(async move { this.act(&state, &decision).await }.in_current_span());
        acting
    }

    /// The same, unless the request that says it was carried out before: then whatever was said since
    /// stands. Where that is not known at once, it acts.
    pub fn start_once(state: &Shared, tenant: TenantId, decision: &ConsentDecision) -> Self {
        if decision.once.is_none() {
            return Self::start(state, decision);
        }
        let acting = Self {
            published: Arc::default(),
        };
        let (this, state, decision) = (acting.clone(), state.clone(), decision.clone());
        let acts = async move {
            let looking = was_said(&state, tenant, &decision);
            if !matches!(timeout(CHECK_MAX, looking).await, Ok(Ok(true))) {
                this.act(&state, &decision).await;
            }
        };
        tokio::spawn(acts.in_current_span());
        acting
    }

    async fn act(&self, state: &ApiState, decision: &ConsentDecision) {
        match withdraw(state, decision, false).await {
            Ok(_) => self.publish(state, decision),
            // Nobody captures; told once it is in the log.
            Err(AskError::Nobody) => {}
            Err(error) => {
                tracing::warn!(%error, "the worker did not confirm a withdrawal; it polls the log");
            }
        }
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

    /// The same request had said it before, so it changes nothing and is told no more. Where it was
    /// told already everybody is told what stands: nobody is to be taken for left out who is not.
    pub async fn take_back(
        &self,
        conn: &mut PgConnection,
        decision: &ConsentDecision,
    ) -> Result<Effects, StoreError> {
        if !self.published.swap(true, Ordering::Relaxed) {
            return Ok(Effects::default());
        }
        let stands = presence::updated(conn, decision.meeting, decision.participant).await?;
        Ok(stands.into())
    }
}

async fn was_said(
    state: &ApiState,
    tenant: TenantId,
    decision: &ConsentDecision,
) -> Result<bool, StoreError> {
    let mut tx = state.store.tenant_tx(tenant).await?;
    consent::was_said(&mut tx, decision).await
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
