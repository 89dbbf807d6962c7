//! What the jobs have in common that make an ended meeting's files: [`super::join`] joins each
//! track from its segments, then [`super::mix`] renders the mix from the tracks, and beside it
//! [`super::transcript`] completes the transcript. Every file is stored and verified before its row
//! says so. Each job runs again from the start after a crash, with the same outcome; segment
//! objects are deleted by another job once the mix is committed.
//!
//! Each ends in a transaction under the meeting's head that sees no withdrawal which it has not
//! heard of. Whoever changes what tracks are made of queues `join` under the same lock, and `join`
//! queues the others as it ends. So the mix is announced only while `join` is done, and of its
//! tracks: by `mix`, or by `transcript` when that ends later, since no final comes behind it.

use super::{archive, transcribe::File};
use crate::{
    domain::{
        consent::ConsentStatus,
        event::{Event, RecordingReport},
        fault::{Away, MISSING_APART},
        id::{MeetingId, TenantId},
        job::JobKind,
        limits::JOB_ATTEMPTS,
        recording::{RecordingKind, RecordingStatus},
        recording_state::{RecordingState, StateReason},
        time::{MeetingTime, Micros},
    },
    objects::Objects,
    published,
    queue::Queue,
    store::{
        Store, Tx, capture, consent,
        effect::Effects,
        event::{self, StoredEvent},
        job::{self, Job as Row},
        recording::{self, Recording},
        redacted_file,
    },
    worker::{Claimed, Outcome},
};
use anyhow::Context;
use serde_json::json;
use std::path::{Path, PathBuf};
use tracing::warn;

/// Meetings whose files one process makes at a time, of either kind: much of it is waiting for
/// storage.
pub const FILES_MAX: usize = 4;
/// How often a job looks again for what turned up while it worked, before others have their turn.
const ROUNDS_MAX: usize = 5;
/// How often it is asked whether all segments came out of the spool.
const SPOOL_POLL: Micros = Micros::from_secs(1);

/// What the jobs use.
#[derive(Clone)]
pub struct Files {
    pub store: Store,
    pub queue: Queue,
    pub objects: Objects,
    /// `<data>/work`: room for a meeting's files while they are made.
    pub work: PathBuf,
}

/// A folder for one run of a job, removed whatever happens.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How one round of a job ended.
pub(super) enum Round {
    Finished,
    /// Something turned up meanwhile.
    Again,
    /// So many segments are still in a spool.
    Spooled(i64),
    /// So many segments are missing, and may still come.
    Missing(usize),
}

/// Runs a job's rounds until one ends it, or until others are to have their turn.
pub(super) async fn rounds<F>(mut round: impl FnMut() -> F) -> anyhow::Result<Outcome>
where
    F: Future<Output = anyhow::Result<Round>>,
{
    for _ in 0..ROUNDS_MAX {
        match round().await? {
            Round::Finished => return Ok(Outcome::Settled),
            Round::Again => {}
            Round::Spooled(count) => return Ok(spooled(count)),
            Round::Missing(count) => {
                let error = anyhow::anyhow!("{count} segments are missing in storage");
                return Ok(waiting(error, MISSING_APART));
            }
        }
    }
    Ok(Outcome::Release)
}

/// So many segments are still in a spool.
pub(super) fn spooled(count: i64) -> Outcome {
    let error = anyhow::anyhow!("{count} segments are still in a spool");
    waiting(error, SPOOL_POLL)
}

fn waiting(error: anyhow::Error, at_least: Micros) -> Outcome {
    Outcome::Waiting {
        away: Some(Away::Storage),
        at_least,
        error,
    }
}

impl Files {
    /// Room for the files of this job.
    pub(super) async fn scratch(&self, job: &Row) -> anyhow::Result<Scratch> {
        // A run that was stopped may not have ended yet.
        let scratch = Scratch(self.work.join(format!("{}-{}", job.id, job.epoch)));
        // What a killed process left of this very run.
        let _ = tokio::fs::remove_dir_all(&scratch.0).await;
        tokio::fs::create_dir_all(&scratch.0)
            .await
            .context("making room for the files")?;
        Ok(scratch)
    }

    /// What a failure means. A track that is archived is no failure: all that are so are restored,
    /// and waited for.
    pub(super) async fn outcome(&self, job: &Row, error: anyhow::Error) -> Outcome {
        let (Some(key), Some(meeting)) = (archive::archived(&error), job.subject.meeting()) else {
            return super::failed(error);
        };
        match self.restore(meeting, key).await {
            // One may have become readable since.
            Ok(0) => waiting(error, Micros(0)),
            Ok(left) => waiting(
                anyhow::anyhow!("{left} archived tracks are being restored, which takes hours"),
                archive::POLL,
            ),
            Err(error) => super::failed(error),
        }
    }

    /// Has the meeting's archived tracks restored, among them this one. Answers how many are not
    /// readable yet.
    async fn restore(&self, meeting: MeetingId, key: &str) -> anyhow::Result<usize> {
        let mut tx = self.store.worker_tx().await?;
        let urls = redacted_file::archived(&mut tx, meeting).await?;
        tx.commit().await?;
        let mut keys: Vec<&str> = urls
            .iter()
            .filter_map(|url| self.objects.key(url))
            .collect();
        if !keys.contains(&key) {
            keys.push(key);
        }
        archive::restore(&self.objects, &keys).await
    }

    /// [`Self::outcome`]; with the last attempt the recordings fail, and that is published.
    pub(super) async fn failed(&self, job: Row, error: anyhow::Error) -> Outcome {
        let outcome = self.outcome(&job, error).await;
        if let Outcome::Failed(error) = &outcome
            && job.attempts >= JOB_ATTEMPTS
            && let Some(meeting) = job.subject.meeting()
            && let Err(error) = self
                .give_up(meeting, job.tenant, &format!("{error:#}"))
                .await
        {
            warn!(%error, "could not write that a recording failed");
        }
        outcome
    }

    async fn give_up(
        &self,
        meeting: MeetingId,
        tenant: TenantId,
        error: &str,
    ) -> anyhow::Result<()> {
        let mut tx = self.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        recording::fail_unfinished(&mut tx, meeting, error).await?;
        let reason = Some(StateReason::SeeErrors);
        let state = RecordingReport::idle(RecordingState::Failed, reason, 0);
        let told = event::append(&mut tx, meeting, &Event::RecordingState(state)).await?;
        let mut effects = Effects::from(told);
        if !capture::is_complete(&mut tx, meeting).await? {
            let kind = JobKind::Transcript;
            let job = job::ensure(&mut tx, tenant, kind, meeting, &json!({})).await?;
            effects.jobs.push((kind, job));
        }
        tx.commit().await?;
        published::publish(&self.queue, None, meeting, effects);
        Ok(())
    }

    /// Fetches a track: where it lies now, and its SHA-256.
    pub(super) async fn fetch(
        &self,
        track: &Recording,
        scratch: &Scratch,
    ) -> anyhow::Result<(File, String)> {
        let key = track
            .blob_url
            .as_deref()
            .and_then(|url| self.objects.key(url))
            .context("a track without a file")?;
        let path = scratch.path().join(format!("{}.track", track.id));
        let stored = self
            .objects
            .get_file(key, &path)
            .await
            .context("fetching a track")?;
        let zero = MeetingTime::from_ms(track.start_ms);
        Ok((File { path, zero }, stored.sha256))
    }

    /// Announces how the files came out, as their rows say.
    pub(super) async fn announce(
        &self,
        tx: &mut Tx,
        meeting: MeetingId,
    ) -> anyhow::Result<StoredEvent> {
        let made = recording::of_meeting(tx, meeting).await?;
        let is = |kind, status| {
            made.iter()
                .any(|one| one.kind == kind && one.status == status)
        };
        let (state, reason) = RecordingState::of_files(
            is(RecordingKind::Mix, RecordingStatus::Ready),
            is(RecordingKind::Track, RecordingStatus::Failed),
        );
        let state = Event::RecordingState(RecordingReport::idle(state, reason, 0));
        Ok(event::append(tx, meeting, &state).await?)
    }

    /// Ends a job in this transaction, or gives it back to run once more when somebody asked for
    /// that meanwhile. Under the meeting's head, like whoever asks.
    pub(super) async fn settle(
        &self,
        mut tx: Tx,
        claimed: &Claimed,
        kind: JobKind,
        mut effects: Effects,
    ) -> anyhow::Result<()> {
        let Row { id, epoch, .. } = claimed.job;
        if job::finish_or_run_again(&mut tx, id, claimed.owner, epoch).await? {
            effects.jobs.push((kind, id));
        }
        tx.commit().await?;
        published::publish(&self.queue, None, claimed.meeting()?, effects);
        Ok(())
    }
}

/// Whether the log has a refusal or withdrawal above this entry. Under the meeting's head.
pub(super) async fn is_refused_since(
    tx: &mut Tx,
    meeting: MeetingId,
    entry: i64,
) -> anyhow::Result<bool> {
    let since = consent::above(tx, meeting, entry, i64::MAX).await?;
    Ok(since
        .iter()
        .any(|entry| entry.status != ConsentStatus::Accepted))
}
