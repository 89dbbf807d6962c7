//! The files of an ended meeting, in two steps: each track joined from its segments
//! ([`super::join`]), then the mix rendered from the tracks ([`super::mix`]). Every file is stored
//! and verified before its row says so. Runs again from the start after a crash, with the same
//! outcome; segment objects are deleted by another job once the tracks are committed.
//!
//! Everything is fetched before anything is stored, so that a storage which is away in between
//! costs no half-made revision: the job then waits ([`Outcome::Waiting`]), however long. It ends
//! only in a transaction that sees no segment left over and no withdrawal that it has not heard of.

use super::{
    join::{Join, Tracks},
    known::Known,
    mix::{Mix, MixFile},
    track::{Joined, Joiner},
    words::{self, Words},
};
use crate::{
    domain::{
        consent::ConsentStatus,
        event::{Event, RecordingReport, StateReason},
        fault::{Away, MISSING_APART},
        id::MeetingId,
        limits::JOB_ATTEMPTS,
        meeting::RecordingState,
        time::Micros,
    },
    objects::Objects,
    published,
    queue::{JobKind, Queue},
    store::{
        Store, capture, consent,
        effect::Effects,
        event,
        job::{self, Job as Row},
        recording,
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::{path::PathBuf, sync::Arc};
use tokio::sync::Semaphore;
use tracing::{info, warn};

/// What the job uses.
#[derive(Clone)]
pub struct Files {
    pub store: Store,
    pub queue: Queue,
    pub objects: Objects,
    pub words: Words,
    /// `<data>/work`: room for a meeting's files while they are made.
    pub work: PathBuf,
    /// So many mixes are rendered at a time, each a core's work; the other jobs fetch and store
    /// meanwhile.
    pub rendering: Arc<Semaphore>,
}

/// Files of so many meetings are made at a time: much of it is waiting for storage.
pub const FILES_MAX: usize = 4;
/// How often a job looks again for what turned up while it worked, before others have their turn.
const ROUNDS_MAX: usize = 5;

/// How often it is asked whether all segments came out of the spool.
const SPOOL_POLL: Micros = Micros::from_secs(1);

/// A removed folder, whatever happens.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How one round of the job ended.
enum Round {
    Finished,
    /// Something turned up meanwhile.
    Again,
    /// So many segments are still in a spool.
    Spooled(i64),
    /// So many segments are missing, and may still come.
    Missing(usize),
}

impl Job for Files {
    fn kind(&self) -> JobKind {
        JobKind::Mix
    }

    fn room(&self, running: usize) -> usize {
        FILES_MAX.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move { self.attempt(&claimed).await })
    }

    /// With the last attempt the recordings fail, and that is published.
    fn failed(self: Arc<Self>, job: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let outcome = super::failed(error);
            if let Outcome::Failed(error) = &outcome
                && job.attempts >= JOB_ATTEMPTS
                && let Some(meeting) = job.subject.meeting()
                && let Err(error) = self.give_up(meeting, &format!("{error:#}")).await
            {
                warn!(%error, "could not write that a recording failed");
            }
            outcome
        })
    }
}

impl Files {
    async fn attempt(&self, claimed: &Claimed) -> anyhow::Result<Outcome> {
        for _ in 0..ROUNDS_MAX {
            let (error, at_least) = match self.make(claimed).await? {
                Round::Finished => return Ok(Outcome::Settled),
                Round::Again => continue,
                Round::Spooled(count) => (
                    anyhow::anyhow!("{count} segments are still in a spool"),
                    SPOOL_POLL,
                ),
                Round::Missing(count) => (
                    anyhow::anyhow!("{count} segments are missing in storage"),
                    MISSING_APART,
                ),
            };
            return Ok(Outcome::Waiting {
                away: Away::Storage,
                at_least,
                error,
            });
        }
        Ok(Outcome::Release)
    }

    async fn make(&self, claimed: &Claimed) -> anyhow::Result<Round> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        let known = match Known::read(&self.store, meeting).await? {
            Ok(known) => known,
            Err(spooled) => return Ok(Round::Spooled(spooled)),
        };
        let scratch = Scratch(self.work.join(claimed.job.id.to_string()));
        // What a killed process left of this very job.
        let _ = tokio::fs::remove_dir_all(&scratch.0).await;
        tokio::fs::create_dir_all(&scratch.0)
            .await
            .context("making room for the files")?;
        let join = Join {
            tracks: Joiner {
                store: &self.store,
                objects: &self.objects,
                meeting,
                scratch: &scratch.0,
            },
            tenant,
        };
        let tracks = join.all(&known).await?;
        if tracks.missing > 0 {
            return Ok(Round::Missing(tracks.missing));
        }
        let mut tx = self.store.worker_tx().await?;
        job::go_on(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
        for (id, error) in &tracks.lost_whole {
            recording::fail(&mut tx, *id, error).await?;
        }
        tx.commit().await?;
        for track in &tracks.done {
            join.keep(track).await?;
        }
        let searched: Vec<words::Track> = tracks.done.iter().filter_map(Joined::words).collect();
        self.words
            .find(meeting, tenant, &known.meeting, &searched)
            .await
            .context("looking for words that nobody heard")?;
        for (id, file) in &tracks.nothing {
            join.take_away(*id, file.as_deref(), &known.segments)
                .await?;
        }
        // The mix that is there may hold what was in them.
        let is_old = tracks.nothing.iter().any(|(_, file)| file.is_some());
        let mix = Mix {
            store: &self.store,
            objects: &self.objects,
            rendering: &self.rendering,
            meeting,
            tenant,
            scratch: &scratch.0,
        };
        let mix = mix.render(&tracks.done, is_old).await?;
        self.end(claimed, &known, &tracks, mix).await
    }

    /// Commits the mix and the end of the job, unless something turned up meanwhile.
    async fn end(
        &self,
        claimed: &Claimed,
        known: &Known,
        tracks: &Tracks,
        mix: MixFile,
    ) -> anyhow::Result<Round> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        let Tracks {
            done,
            nothing,
            lost_whole,
            ..
        } = tracks;
        let mut tx = self.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        let withdrawn = consent::above(&mut tx, meeting, known.entry, i64::MAX).await?;
        let withdrawn = withdrawn
            .iter()
            .any(|entry| entry.status != ConsentStatus::Accepted);
        // Nobody is told of a mix with what somebody took consent back for.
        if !withdrawn {
            match &mix {
                MixFile::Rendered(id, file) => recording::finish(&mut tx, *id, file).await?,
                MixFile::Gone(id) => recording::remove(&mut tx, meeting, *id).await?,
                MixFile::Kept | MixFile::Nothing => {}
            }
            // Not before: who comes after a crash must see that the mix is to be made anew.
            for (id, _) in nothing {
                recording::remove(&mut tx, meeting, *id).await?;
            }
        }
        for track in done {
            recording::mark_merged(&mut tx, meeting, track.recording.id, &track.objects).await?;
        }
        if job::is_asked_again(&mut tx, claimed.job.id).await? {
            job::run_again(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
            tx.commit().await?;
            let again = Effects {
                jobs: vec![(JobKind::Mix, claimed.job.id)],
                ..Effects::default()
            };
            published::publish(&self.queue, None, meeting, again);
            return Ok(Round::Finished);
        }
        if withdrawn || recording::is_unmerged(&mut tx, meeting).await? {
            tx.commit().await?;
            return Ok(Round::Again);
        }
        capture::transcript(&mut tx, tenant, meeting, None, true).await?;
        let (state, reason) = match mix {
            MixFile::Rendered(..) | MixFile::Kept => (RecordingState::Ready, None),
            MixFile::Nothing | MixFile::Gone(_) if lost_whole.is_empty() => {
                (RecordingState::Off, Some(StateReason::NothingRecorded))
            }
            MixFile::Nothing | MixFile::Gone(_) => {
                (RecordingState::Failed, Some(StateReason::SeeErrors))
            }
        };
        let state = Event::RecordingState(RecordingReport::idle(state, reason, 0));
        let told = event::append(&mut tx, meeting, &state).await?;
        let clean = job::ensure(&mut tx, tenant, JobKind::Clean, meeting, &json!({})).await?;
        job::finish(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
        tx.commit().await?;
        let effects = Effects {
            events: vec![told],
            jobs: vec![(JobKind::Clean, clean)],
            ..Effects::default()
        };
        published::publish(&self.queue, None, meeting, effects);
        info!(
            tracks = done.len(),
            lost = lost_whole.len(),
            ?state,
            "the recordings are made"
        );
        Ok(Round::Finished)
    }

    async fn give_up(&self, meeting: MeetingId, error: &str) -> anyhow::Result<()> {
        let mut tx = self.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        recording::fail_unfinished(&mut tx, meeting, error).await?;
        let reason = Some(StateReason::SeeErrors);
        let state = RecordingReport::idle(RecordingState::Failed, reason, 0);
        let told = event::append(&mut tx, meeting, &Event::RecordingState(state)).await?;
        tx.commit().await?;
        published::publish(&self.queue, None, meeting, told.into());
        Ok(())
    }
}
