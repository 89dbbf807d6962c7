//! The job that completes an ended meeting's transcript from its stored tracks, in two passes:
//! words that are missing are looked for ([`super::fill`]), then it is complete; and where the
//! settings name a model for it, everything is transcribed once more ([`super::refine`]). Made
//! where either is to be done: by the end of `join`, or of the meeting where there are no tracks.
//! It ends like the others ([`super::files`]): without a word when the tracks are about to change.

use super::{
    files::{Files, spooled},
    fill::{self, Unheard},
    known::Known,
    pass::Pass,
};
use crate::{
    domain::{
        id::{MeetingId, TenantId},
        job::{JobKind, Progress},
        limits::JOB_ATTEMPTS,
        refine::Refinement,
        time::Micros,
    },
    objects::ObjectError,
    published,
    speech::{Speech, SpeechConfig, model::Registry, offline::Offline},
    store::{
        Tx, capture,
        effect::Effects,
        event,
        job::{self, Job as Row},
        refine, unheard,
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::future::BoxFuture;
use std::{path::PathBuf, sync::Arc};
use tokio::sync::Semaphore;
use tracing::warn;

/// The job.
pub struct Transcript {
    pub files: Files,
    pub speech: Speech,
    /// The data folder, where models lie.
    pub data: PathBuf,
    /// As the live model decodes.
    pub gpu: bool,
    /// So many meetings' missing words are looked for at a time.
    pub filling: Semaphore,
    /// So many models are loaded beside the live one.
    pub refining: Semaphore,
}

/// Jobs of this kind at a time: most of them wait for their turn at one of the passes.
const TRANSCRIPTS_MAX: usize = 32;

impl Job for Transcript {
    fn kind(&self) -> JobKind {
        JobKind::Transcript
    }

    fn room(&self, running: usize) -> usize {
        TRANSCRIPTS_MAX.saturating_sub(running)
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
            let outcome = self.files.outcome(&job, error).await;
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
        if self.is_overtaken(claimed).await? {
            return Ok(Outcome::Settled);
        }
        match self.passes(claimed).await {
            // A track that may not be kept loses its file before its row.
            Err(error)
                if matches!(error.downcast_ref(), Some(ObjectError::Missing(_)))
                    && self.is_overtaken(claimed).await? =>
            {
                Ok(Outcome::Settled)
            }
            passed => passed,
        }
    }

    async fn passes(&self, claimed: &Claimed) -> anyhow::Result<Outcome> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        let store = &self.files.store;
        let known = match Known::read(store, meeting).await? {
            Ok(known) => known,
            Err(count) => return Ok(spooled(count)),
        };
        let mut tx = store.worker_tx().await?;
        let holdings = unheard::holdings(&mut tx, meeting).await?;
        tx.commit().await?;
        let scratch = self.files.scratch(&claimed.job).await?;
        let pass = Pass {
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
        let turn = self.filling.acquire().await?;
        let unheard = Unheard::read(&pass).await?;
        let mut left = unheard.left(&pass);
        let mut tx = store.worker_tx().await?;
        let is_refined = known.meeting.settings.refine_model.is_some()
            && refine::is_due(&mut tx, meeting).await?;
        drop(tx);
        if is_refined {
            left = Micros(left.0 + super::refine::left(&pass).await?.0);
        }
        let mut progress = Progress::new(claimed.job.progress, left);
        fill::run(&pass, unheard, &mut progress)
            .await
            .context("looking for words that nobody heard")?;
        drop(turn);
        let mut tx = store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        // Else it comes again behind the tracks that are joined now.
        let is_joined = !job::is_open(&mut tx, JobKind::Join, meeting).await?;
        let mut effects = Effects::default();
        if is_joined {
            effects = self.complete(&mut tx, meeting, tenant).await?;
        }
        if is_joined
            && refine::is_due(&mut tx, meeting).await?
            && let Some(model) = &known.meeting.settings.refine_model
        {
            let Row { id, epoch, .. } = claimed.job;
            job::hold(&mut tx, id, claimed.owner, epoch).await?;
            refine::set_state(&mut tx, meeting, Refinement::Running).await?;
            tx.commit().await?;
            published::publish(
                &self.files.queue,
                None,
                meeting,
                std::mem::take(&mut effects),
            );
            let _turn = self.refining.acquire().await?;
            let mut model = self.model(model).await?;
            super::refine::run(&pass, &mut model, &mut progress)
                .await
                .context("refining the transcript")?;
            tx = store.worker_tx().await?;
            event::lock(&mut tx, meeting).await?;
            refine::set_state(&mut tx, meeting, Refinement::Done).await?;
        }
        self.files
            .settle(tx, claimed, JobKind::Transcript, effects)
            .await?;
        Ok(Outcome::Settled)
    }

    /// Starts a model for a while: it may have been fetched since this process began.
    async fn model(&self, name: &str) -> anyhow::Result<Offline> {
        let (model, path) = Registry::new(&self.data)?.find(name)?;
        let config = SpeechConfig {
            states: 1,
            ..SpeechConfig::new(model, path, self.gpu)?
        };
        Offline::start(config)
            .await
            .context("starting the model that refines")
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
        if refine::is_due(&mut tx, meeting).await? {
            refine::set_state(&mut tx, meeting, Refinement::Failed).await?;
        }
        tx.commit().await?;
        published::publish(&self.files.queue, None, meeting, effects);
        Ok(())
    }
}
