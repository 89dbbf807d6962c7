//! Something said about consent, by socket or by REST: a withdrawal acts in memory first, a grant is durable first.

use crate::{
    api::state::ApiState,
    domain::id::{MeetingId, TenantId},
    queue::{
        AskError,
        message::{Ask, Reply, Told, Whom},
    },
    store::{
        StoreError,
        consent::{self, Said, Saying},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// The longest wait for the worker to act on a withdrawal.
const ACT_MAX: Duration = Duration::from_secs(1);
/// The longest wait for the log before a withdrawal is journalled by the worker instead.
const LOG_MAX: Duration = Duration::from_secs(2);
/// The longest wait for the worker's journal, which it flushes to disk.
const JOURNAL_MAX: Duration = Duration::from_secs(2);

/// Where what was said now stands.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// In the ConsentLog.
    Logged(Box<Said>),
    /// A withdrawal that acts, in the worker's journal until Postgres is back.
    Journalled,
}

#[derive(Debug, thiserror::Error)]
pub enum NotSaid {
    /// A grant while Postgres is away; a withdrawal that reaches neither Postgres nor the meeting's worker.
    #[error("neither the database nor the meeting's worker can be reached")]
    Unavailable,
    #[error(transparent)]
    Store(StoreError),
}

/// How everybody in the meeting is told; never waits.
pub type Tell<'a> = &'a (dyn Fn(Told) + Sync);

impl ApiState {
    /// Says it. Told on the way: a withdrawal (or refusal) without its place in the log as soon as it acts, then what was
    /// committed. `acting` is [`ApiState::withdraw`] of the same saying, when that was started on its receipt.
    ///
    /// # Errors
    /// [`NotSaid`]; a withdrawal may act all the same, it is only not written down.
    pub async fn say(
        self: &Arc<Self>,
        tenant: TenantId,
        saying: &Saying,
        acting: Option<JoinHandle<bool>>,
        tell: Tell<'_>,
    ) -> Result<Outcome, NotSaid> {
        let tell_first = || tell(Told::Live { kind: "consent_updated".into(), data: saying.told(), to: None });
        let logged = tokio::time::timeout(LOG_MAX, self.log(tenant, saying));
        let logged = if saying.status.accepts() {
            logged.await
        } else {
            let mut acting = acting.unwrap_or_else(|| self.withdraw(saying));
            tokio::pin!(logged);
            tokio::select! {
                biased;
                acts = &mut acting => {
                    let acts = acts.unwrap_or(false);
                    if acts {
                        tell_first();
                    }
                    let logged = logged.await;
                    if !acts && matches!(logged, Ok(Ok(_))) {
                        tell_first();
                    }
                    logged
                }
                logged = &mut logged => {
                    if matches!(logged, Ok(Ok(_))) || acting.await.unwrap_or(false) {
                        tell_first();
                    }
                    logged
                }
            }
        };
        match logged {
            Ok(Ok(said)) => {
                for event in said.events.clone() {
                    tell(event.into());
                }
                if said.removed {
                    tell(Told::Close { code: 4003, whom: Whom::One(saying.participant) });
                }
                self.hint(saying.meeting, Ask::Changed);
                Ok(Outcome::Logged(Box::new(said)))
            }
            Ok(Err(error)) if !error.is_unavailable() => Err(NotSaid::Store(error)),
            _ if saying.status.accepts() => Err(NotSaid::Unavailable),
            _ if self.journal(saying).await => Ok(Outcome::Journalled),
            _ => Err(NotSaid::Unavailable),
        }
    }

    /// Has the meeting's worker write a withdrawal down, because the database cannot be reached. `true` once it is on
    /// disk. The id is the same, so whoever writes the log first, it stands there once.
    pub async fn journal(&self, saying: &Saying) -> bool {
        match self.queue.ask(saying.meeting, &withdrawal(saying, true), JOURNAL_MAX).await {
            Ok(Reply::Withdrawn { journalled: true }) => true,
            reply => {
                tracing::warn!(meeting = %saying.meeting, ?reply, "a withdrawal could not be written down");
                false
            }
        }
    }

    /// Makes a withdrawal or refusal act in the meeting's worker, before it is durable. `true` once it does. Goes on when
    /// the handle is dropped; ends within [`ACT_MAX`].
    pub fn withdraw(&self, saying: &Saying) -> JoinHandle<bool> {
        let (queue, meeting, ask) = (self.queue.clone(), saying.meeting, withdrawal(saying, false));
        tokio::spawn(async move {
            match queue.ask(meeting, &ask, ACT_MAX).await {
                Ok(Reply::Withdrawn { .. } | Reply::Done) => true,
                // Nobody captures; told once it is in the log.
                Err(AskError::Nobody) => false,
                reply => {
                    tracing::warn!(%meeting, ?reply, "the worker did not confirm a withdrawal; it polls the log");
                    false
                }
            }
        })
    }

    async fn log(&self, tenant: TenantId, saying: &Saying) -> Result<Said, StoreError> {
        let mut tx = self.store.tenant_tx(tenant).await?;
        let said = consent::say(&mut tx, saying).await?;
        tx.commit().await?;
        Ok(said)
    }

    /// Publishes to every process, this one included.
    pub fn publish(&self, meeting: MeetingId, told: &Told) {
        if self.queue.publish(meeting, told).is_err() {
            tracing::debug!(%meeting, "something could not be published; sockets read the store");
        }
    }
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
        journal,
    }
}
