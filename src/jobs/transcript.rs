//! The job that completes an ended meeting's transcript from its stored tracks ([`super::fill`]).
//! Made where words are missing: by the end of `join`, or of the meeting where there are no tracks.
//! It ends like the others ([`super::files`]): without a word when the tracks are about to change.

use super::{
    files::{FILES_MAX, Files, Round, Rounds},
    fill::Filling,
    known::Known,
};
use crate::{
    domain::{
        id::{MeetingId, TenantId},
        job::JobKind,
        limits::JOB_ATTEMPTS,
    },
    objects::ObjectError,
    published,
    speech::Speech,
    store::{
        Tx, capture,
        effect::Effects,
        event,
        job::{self, Job as Row},
        unheard,
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tracing::warn;

/// The job.
pub struct Transcript {
    pub files: Files,
    pub speech: Speech,
}

impl Job for Transcript {
    fn kind(&self) -> JobKind {
        JobKind::Transcript
    }

    fn room(&self, running: usize) -> usize {
        FILES_MAX.saturating_sub(running)
    }

    /// Behind everything that is said now it may take long, so it gives way to the process's end:
    /// what it found is stored, and the next run goes on from there.
    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move {
            let stop = claimed.stop.clone();
            let attempt = stop.run_until_cancelled(self.attempt(&claimed));
            attempt.await.unwrap_or(Ok(Outcome::Release))
        })
    }

    /// With the last attempt the transcript is as complete as it gets.
    fn failed(self: Arc<Self>, job: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let outcome = super::failed(error);
            if matches!(outcome, Outcome::Failed(_))
                && job.attempts >= JOB_ATTEMPTS
                && let Some(meeting) = job.subject.meeting()
                && let Err(error) = self.give_up(meeting, &job).await
            {
                warn!(%error, "could not write that a transcript stays as it is");
            }
            outcome
        })
    }
}

impl Transcript {
    async fn attempt(&self, claimed: &Claimed) -> anyhow::Result<Outcome> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        if self.is_overtaken(claimed).await? {
            return Ok(Outcome::Settled);
        }
        let store = &self.files.store;
        let known = match Known::read(store, meeting).await? {
            Ok(known) => known,
            Err(spooled) => {
                let waiting = Rounds::default().end(Round::Spooled(spooled));
                return Ok(waiting.unwrap_or(Outcome::Release));
            }
        };
        let mut tx = store.worker_tx().await?;
        let holdings = unheard::holdings(&mut tx, meeting).await?;
        tx.commit().await?;
        let scratch = self.files.scratch(claimed.job.id).await?;
        let filling = Filling {
            files: &self.files,
            speech: &self.speech,
            claimed,
            known: &known,
            scratch: &scratch,
            meeting,
            tenant,
            start: known
                .meeting
                .start_time
                .context("the meeting never began")?,
            epoch: holdings.last().map_or(1, |(epoch, ..)| *epoch),
        };
        match filling.run().await {
            // A track that may not be kept loses its file before its row.
            Err(error)
                if matches!(error.downcast_ref(), Some(ObjectError::Missing(_)))
                    && self.is_overtaken(claimed).await? =>
            {
                return Ok(Outcome::Settled);
            }
            filled => filled.context("looking for words that nobody heard")?,
        }
        let mut tx = store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        // Else it comes again behind the tracks that are joined now.
        let effects = if job::is_open(&mut tx, JobKind::Join, meeting).await? {
            Effects::default()
        } else {
            self.complete(&mut tx, meeting, tenant).await?
        };
        self.files
            .settle(tx, claimed, JobKind::Transcript, effects)
            .await?;
        Ok(Outcome::Settled)
    }

    /// Whether the tracks are to be joined again; this job ends then, since that one queues it.
    async fn is_overtaken(&self, claimed: &Claimed) -> anyhow::Result<bool> {
        let meeting = claimed.meeting()?;
        let mut tx = self.files.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        if !job::is_open(&mut tx, JobKind::Join, meeting).await? {
            return Ok(false);
        }
        self.files
            .settle(tx, claimed, JobKind::Transcript, Effects::default())
            .await?;
        Ok(true)
    }

    /// No final comes any more. Files that waited for that only are announced.
    async fn complete(
        &self,
        tx: &mut Tx,
        meeting: MeetingId,
        tenant: TenantId,
    ) -> anyhow::Result<Effects> {
        if capture::is_complete(tx, meeting).await? {
            return Ok(Effects::default());
        }
        capture::transcript(tx, tenant, meeting, None, true).await?;
        if job::is_done(tx, JobKind::Join, meeting).await?
            && job::is_done(tx, JobKind::Mix, meeting).await?
        {
            return Ok(self.files.announce(tx, meeting).await?.into());
        }
        Ok(Effects::default())
    }

    async fn give_up(&self, meeting: MeetingId, job: &Row) -> anyhow::Result<()> {
        let mut tx = self.files.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        let effects = self.complete(&mut tx, meeting, job.tenant).await?;
        tx.commit().await?;
        published::publish(&self.files.queue, None, meeting, effects);
        Ok(())
    }
}
