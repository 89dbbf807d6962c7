//! The job that joins an ended meeting's tracks: each from its segments without re-encoding, stored
//! and committed. It queues the jobs that render the mix and complete the transcript.
//!
//! Everything is fetched before anything is stored, so that a storage which is away in between
//! costs no half-made revision: the job then waits ([`Outcome::Waiting`]), however long.

use super::{
    files::{FILES_MAX, Files, Round, is_refused_since, rounds},
    inventory::Inventory,
    known::Known,
    track::{Joined, Joiner, Made},
};
use crate::{
    domain::{
        id::{MeetingId, RecordingId, TenantId},
        inventory::ObjectKind,
        job::JobKind,
        media_type::MediaType,
        object_key::RecordingFile,
        recording::{RecordingKind, RecordingStatus},
    },
    store::{
        capture,
        effect::Effects,
        event,
        inventory::Object,
        job::{self, Job as Row},
        recording::{self, Finished, Recording},
        refine, unheard,
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use std::sync::Arc;
use tracing::info;

/// Tracks of a meeting that are joined, and then stored, at a time: what one waits for storage is
/// another's work.
const TRACKS: usize = 4;

/// The job.
pub struct Join {
    pub files: Files,
}

impl Job for Join {
    fn kind(&self) -> JobKind {
        JobKind::Join
    }

    fn room(&self, running: usize) -> usize {
        FILES_MAX.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move { rounds(|| self.make(&claimed)).await })
    }

    fn failed(self: Arc<Self>, job: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { self.files.failed(job, error).await })
    }
}

impl Join {
    async fn make(&self, claimed: &Claimed) -> anyhow::Result<Round> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        let Files { store, objects, .. } = &self.files;
        let known = match Known::read(store, meeting).await? {
            Ok(known) => known,
            Err(spooled) => return Ok(Round::Spooled(spooled)),
        };
        let scratch = self.files.scratch(&claimed.job).await?;
        let joining = Joining {
            tracks: Joiner::new(store, objects, meeting, scratch.path()),
            claimed,
            tenant,
        };
        let tracks = joining.all(&known).await?;
        if tracks.missing > 0 {
            return Ok(Round::Missing(tracks.missing));
        }
        let mut tx = store.worker_tx().await?;
        job::go_on(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
        for (id, error) in &tracks.lost_whole {
            recording::fail(&mut tx, *id, error).await?;
        }
        tx.commit().await?;
        let keeps: Vec<_> = tracks
            .done
            .iter()
            .map(|track| joining.keep(track))
            .collect();
        // Each to its end: what another's error breaks off is to be followed up.
        let kept: Vec<anyhow::Result<()>> = stream::iter(keeps).buffered(TRACKS).collect().await;
        kept.into_iter().collect::<anyhow::Result<()>>()?;
        self.end(claimed, &known, &tracks).await
    }

    /// Commits the end of the job and those that follow, unless something turned up meanwhile.
    async fn end(
        &self,
        claimed: &Claimed,
        known: &Known,
        tracks: &Tracks,
    ) -> anyhow::Result<Round> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        let Row { id, epoch, .. } = claimed.job;
        let mut tx = self.files.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        job::hold(&mut tx, id, claimed.owner, epoch).await?;
        let refused = is_refused_since(&mut tx, meeting, known.entry).await?;
        if !refused {
            for id in &tracks.nothing {
                recording::remove(&mut tx, meeting, *id).await?;
            }
        }
        for track in &tracks.done {
            recording::mark_merged(&mut tx, meeting, track.recording.id, &track.objects).await?;
        }
        if refused || recording::is_unmerged(&mut tx, meeting).await? {
            tx.commit().await?;
            return Ok(Round::Again);
        }
        if job::is_asked_again(&mut tx, claimed.job.id).await? {
            self.files
                .settle(tx, claimed, JobKind::Join, Effects::default())
                .await?;
            return Ok(Round::Finished);
        }
        let mut effects = Effects::default();
        let is_file = |one: &Recording| one.blob_url.is_some();
        if !tracks.nothing.is_empty() || known.meeting.recordings.iter().any(is_file) {
            // What is not to be kept does not wait for the mix.
            let clean = job::ensure_again(&mut tx, tenant, JobKind::Clean, meeting).await?;
            effects.jobs.push((JobKind::Clean, clean));
        }
        // One that runs has what was there before.
        let mix = job::ensure_again(&mut tx, tenant, JobKind::Mix, meeting).await?;
        effects.jobs.push((JobKind::Mix, mix));
        if !capture::is_complete(&mut tx, meeting).await?
            || refine::is_due(&mut tx, meeting).await?
            || !unheard::of_meeting(&mut tx, meeting).await?.is_empty()
        {
            let kind = JobKind::Transcript;
            let transcript = job::ensure_again(&mut tx, tenant, kind, meeting).await?;
            effects.jobs.push((kind, transcript));
        }
        self.files
            .settle(tx, claimed, JobKind::Join, effects)
            .await?;
        info!(
            tracks = tracks.done.len(),
            lost = tracks.lost_whole.len(),
            "the tracks are joined"
        );
        Ok(Round::Finished)
    }
}

/// One round's way to the tracks.
struct Joining<'a> {
    tracks: Joiner<'a>,
    claimed: &'a Claimed,
    tenant: TenantId,
}

/// What became of a meeting's tracks.
#[derive(Default)]
struct Tracks {
    done: Vec<Joined>,
    /// Nothing of these may be kept.
    nothing: Vec<RecordingId>,
    /// Nothing of these can be had any more, and why.
    lost_whole: Vec<(RecordingId, String)>,
    /// So many segments are missing, and may still come.
    missing: usize,
}

impl Joining<'_> {
    fn inventory(&self) -> Inventory<'_> {
        Inventory {
            store: self.tracks.store,
            objects: self.tracks.objects,
        }
    }

    /// Fetches and joins all tracks. Nothing is stored yet.
    async fn all(&self, known: &Known) -> anyhow::Result<Tracks> {
        let mut joins = Vec::new();
        for track in known
            .meeting
            .recordings
            .iter()
            .filter(|recording| recording.kind == RecordingKind::Track)
            .cloned()
        {
            let participant = track
                .key
                .as_ref()
                .context("a track without a participant")?
                .participant;
            let why = known.circumstances(participant, &track.gaps);
            let of_track = known
                .segments
                .iter()
                .filter(|segment| segment.recording == track.id)
                .map(|segment| (segment.clone(), known.allowed(participant, segment)))
                .collect();
            let id = track.id;
            let joining = self.tracks.join(track, of_track, why);
            joins.push(async move { Ok::<_, anyhow::Error>((id, joining.await?)) });
        }
        // Side by side: while one is joined, the others are fetched.
        let made: Vec<_> = stream::iter(joins).buffered(TRACKS).try_collect().await?;
        let mut tracks = Tracks::default();
        for (id, made) in made {
            match made {
                Made::Track(joined) => tracks.done.push(*joined),
                Made::Nothing => tracks.nothing.push(id),
                Made::Lost(error) => tracks.lost_whole.push((id, error)),
                Made::Missing(count) => tracks.missing += count,
            }
        }
        Ok(tracks)
    }

    /// Stores and commits one track, unless it is stored as it is.
    async fn keep(&self, joined: &Joined) -> anyhow::Result<()> {
        let Joiner {
            store,
            objects,
            meeting,
            ..
        } = self.tracks;
        let tenant = self.tenant;
        let Joined {
            recording: track,
            finalised,
            path,
            gaps,
            ..
        } = joined;
        let gaps = serde_json::to_value(gaps)?;
        if !joined.fresh {
            let Row { id: job, epoch, .. } = self.claimed.job;
            let mut tx = store.worker_tx().await?;
            job::hold(&mut tx, job, self.claimed.owner, epoch).await?;
            recording::keep(&mut tx, track.id, &gaps).await?;
            tx.commit().await?;
            return Ok(());
        }
        let revision = if track.status == RecordingStatus::Ready {
            track.revision + 1
        } else {
            track.revision
        };
        let media = MediaType::of_track(finalised.codec);
        let object = Object {
            key: RecordingFile {
                tenant,
                meeting,
                recording: track.id,
                revision,
                media,
            }
            .to_string(),
            tenant,
            meeting,
            recording: track.id,
            kind: ObjectKind::Track,
            participants: track.key.iter().map(|key| key.participant).collect(),
        };
        let inventory = self.inventory();
        let stored = inventory
            .put_file(self.claimed, &object, path, media)
            .await
            .context("storing a track")?;
        let file = Finished {
            blob_url: objects.url(&object.key),
            key: object.key.clone(),
            version: stored.version,
            media_type: media,
            start_ms: finalised.start_ms,
            duration_ms: finalised.duration_ms,
            gaps,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: stored.sha256,
            made_of: Vec::new(),
            gain_db: None,
        };
        let committed = self.commit(meeting, track.id, &file).await;
        inventory.follow(&object).await;
        // The one before is deleted by the job that cleans, which tells the ledger of it.
        committed.context("telling of a track")
    }

    async fn commit(
        &self,
        meeting: MeetingId,
        id: RecordingId,
        file: &Finished,
    ) -> anyhow::Result<()> {
        let Row { id: job, epoch, .. } = self.claimed.job;
        let mut tx = self.tracks.store.worker_tx().await?;
        job::hold(&mut tx, job, self.claimed.owner, epoch).await?;
        recording::finish(&mut tx, meeting, id, file).await?;
        tx.commit().await?;
        Ok(())
    }
}
