//! The job that erases a person: out of every meeting by a redaction of all of it, which waits for
//! the end of those that are live; then the name, the address and the statements go.
//!
//! It may run twice and die at any line: a meeting is asked once, and the name stays until nothing
//! else is left to find by it.

use crate::{
    command,
    domain::{
        consent::Use, id::TenantId, job::JobKind, meeting::MeetingStatus, participant::Removal,
        redaction::RedactionState, time::Micros,
    },
    ledger::{self, Ledger},
    published,
    queue::Queue,
    store::{
        Store, capture,
        effect::Effects,
        erasure::{self, Erasure, Part},
        event, hold,
        job::{self, Job as Row},
        redaction::Asking,
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tracing::info;

/// People at a time.
const ERASURES_MAX: usize = 4;
/// How often it is looked again whether their meetings are through.
const POLL: Micros = Micros::from_secs(2);

/// The job.
pub struct Erase {
    pub ledger: Ledger,
    pub store: Store,
    pub queue: Queue,
}

impl Job for Erase {
    fn kind(&self) -> JobKind {
        JobKind::Erase
    }

    fn room(&self, running: usize) -> usize {
        ERASURES_MAX.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move { self.erase(&claimed).await })
    }

    /// It is never given up.
    fn failed(self: Arc<Self>, job: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { super::kept_on(&job, error) })
    }
}

fn waiting(at_least: Micros, error: anyhow::Error) -> Outcome {
    Outcome::Waiting {
        away: None,
        at_least,
        error,
    }
}

impl Erase {
    async fn erase(&self, claimed: &Claimed) -> anyhow::Result<Outcome> {
        let Row { id, epoch, .. } = claimed.job;
        let user = claimed.job.subject.person().context("a job about nobody")?;
        let mut tx = self.store.worker_tx().await?;
        job::hold(&mut tx, id, claimed.owner, epoch).await?;
        job::go_on(&mut tx, id, claimed.owner, epoch).await?;
        let Some(erasure) = erasure::of(&mut tx, claimed.job.tenant, user).await? else {
            tx.commit().await?;
            return Ok(Outcome::Done);
        };
        if let Err(error) = self.ledger.write_erasure(&mut tx, &erasure).await {
            tx.rollback().await?;
            return Err(super::unwritten(&self.ledger, claimed.job.tenant, error).await);
        }
        let parts = erasure::parts(&mut tx, &erasure).await?;
        super::commit_told(&self.ledger, tx).await?;
        let mut refused = None;
        for part in parts.iter().filter(|part| part.redaction.is_none()) {
            // One meeting keeps no other waiting.
            if let Err(error) = self.take_out(&erasure, part).await {
                refused.get_or_insert(error.context(format!("in the meeting {}", part.meeting)));
            }
        }
        if let Some(error) = refused {
            return Err(error);
        }
        let mut tx = self.store.worker_tx().await?;
        job::hold(&mut tx, id, claimed.owner, epoch).await?;
        // Somebody may have come into a meeting while it was asked for.
        let parts = erasure::parts(&mut tx, &erasure).await?;
        let is_done = |part: &&Part| matches!(part.redaction, Some((_, RedactionState::Done)));
        let left = parts.len() - parts.iter().filter(is_done).count();
        if left > 0 {
            tx.commit().await?;
            let error = anyhow::anyhow!("{left} meetings are still to be redacted");
            return Ok(waiting(POLL, error));
        }
        if erasure.completed_at.is_none() {
            erasure::forget(&mut tx, &erasure).await?;
        }
        job::finish(&mut tx, id, claimed.owner, epoch).await?;
        tx.commit().await?;
        info!(erasure = %erasure.id, meetings = parts.len(), "a person was erased");
        Ok(Outcome::Settled)
    }

    /// Asks for the redaction of all of the person in one meeting; out of one that is not over it
    /// is removed at once.
    async fn take_out(&self, erasure: &Erasure, part: &Part) -> anyhow::Result<()> {
        let meeting = part.meeting;
        let mut tx = self.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        let mut effects = Effects::default();
        if capture::status(&mut tx, meeting).await? != MeetingStatus::Ended {
            let why = Removal::Request;
            effects = command::remove::remove(&mut tx, meeting, part.participant, why).await?;
        }
        if hold::current(&mut tx, meeting).await?.is_some() {
            // It is asked for when the hold is lifted.
            tx.commit().await?;
            published::publish(&self.queue, None, meeting, effects);
            return Ok(());
        }
        let asking = Asking {
            participant: part.participant,
            purposes: Use::ALL.to_vec(),
            from_ms: None,
            to_ms: None,
            reason: Some(erasure.reason.clone()),
            author: erasure.author.clone(),
            approved: true,
            erasure: Some(erasure.id),
        };
        let tenant = TenantId(erasure.tenant_id);
        let (_, asked) = command::redact::ask(&mut tx, tenant, meeting, &asking).await?;
        effects.extend(asked);
        match self.ledger.accept(&mut tx, tenant, meeting).await {
            Ok(()) => super::commit_told(&self.ledger, tx).await?,
            Err(ledger::Refused::Behind) => {
                tx.rollback().await?;
                self.ledger.catch_up(tenant, false).await?;
                anyhow::bail!("the database was behind the ledger");
            }
            Err(error) => return Err(error.into()),
        }
        published::publish(&self.queue, None, meeting, effects);
        Ok(())
    }
}
