//! The job that renders an ended meeting's mix from its joined tracks on the one timeline, stores
//! it, and announces that the files are ready, unless the transcript is not. [`super::join`] queues
//! it.

use super::{
    files::{FILES_MAX, Files, Round, Scratch, is_refused_since, rounds},
    inventory::Inventory,
    known::Known,
    peaks::{self, StoredPeaks},
};
use crate::{
    domain::{
        id::{MeetingId, ParticipantId, RecordingId, TenantId},
        inventory::ObjectKind,
        job::JobKind,
        media_type::MediaType,
        object_key::RecordingFile,
        recording::{Gap, RecordingKind, RecordingStatus, gaps_of_mix, subtract},
        time::{MeetingTime, Micros, Span},
    },
    media::rendering::mix,
    objects::{ObjectError, Objects},
    store::{
        Store, capture, deletion,
        effect::Effects,
        event,
        inventory::Object,
        job::{self, Job as Row},
        recording::{self, Finished, Recording},
        redacted_file,
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use serde_json::json;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Semaphore;
use tracing::{Instrument, info};

/// Tracks fetched at a time, and peaks stored: they are few, and whole files.
const FETCHES: usize = 4;

/// The job.
pub struct Mix {
    pub files: Files,
    /// So many mixes are rendered at a time, each a core's work; the others fetch and store
    /// meanwhile.
    pub rendering: Arc<Semaphore>,
}

impl Job for Mix {
    fn kind(&self) -> JobKind {
        JobKind::Mix
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

/// A joined track as it is stored, with what of it may be heard.
struct Track {
    participant: ParticipantId,
    path: PathBuf,
    span: Span,
    allowed: Vec<Span>,
    redacted: Vec<Span>,
    gaps: Vec<Gap>,
    sha256: String,
    /// Its file, where it is under a key of ours.
    of: Option<RecordingFile>,
}

/// The mix of one round.
enum MixFile {
    /// Stored, and to be committed.
    Rendered(Box<Made>),
    /// The one that is there is of these very tracks.
    Kept,
    Nothing,
    /// There was one, and nothing of it may be kept.
    Gone(RecordingId),
}

/// A mix with its peaks and those of its tracks, all stored.
struct Made {
    object: Object,
    file: Finished,
    peaks: Vec<StoredPeaks>,
}

impl Mix {
    fn inventory(&self) -> Inventory<'_> {
        Inventory {
            store: &self.files.store,
            objects: &self.files.objects,
        }
    }

    async fn make(&self, claimed: &Claimed) -> anyhow::Result<Round> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        let Files { store, objects, .. } = &self.files;
        if self.is_overtaken(claimed).await? {
            return Ok(Round::Finished);
        }
        let known = match Known::read(store, meeting).await? {
            Ok(known) => known,
            Err(spooled) => return Ok(Round::Spooled(spooled)),
        };
        let scratch = self.files.scratch(&claimed.job).await?;
        let Some(tracks) = self.tracks(claimed, &known, &scratch).await? else {
            return Ok(Round::Finished);
        };
        let mut tx = store.worker_tx().await?;
        job::go_on(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
        tx.commit().await?;
        let rendering = Rendering {
            store,
            objects,
            turns: &self.rendering,
            claimed,
            meeting,
            tenant,
            scratch: scratch.path(),
            is_redacted: known.is_redacted(),
        };
        let mix = rendering.render(&tracks).await?;
        let ended = self.end(claimed, &known, &mix).await;
        if let MixFile::Rendered(made) = &mix {
            self.inventory().follow(&made.object).await;
            for peaks in &made.peaks {
                self.inventory().follow(&peaks.object).await;
            }
        }
        ended
    }

    /// Fetches the tracks. `None`: they are about to change, and the job has ended.
    async fn tracks(
        &self,
        claimed: &Claimed,
        known: &Known,
        scratch: &Scratch,
    ) -> anyhow::Result<Option<Vec<Track>>> {
        let ready = known.meeting.recordings.iter().filter(|recording| {
            recording.kind == RecordingKind::Track && recording.status == RecordingStatus::Ready
        });
        let fetches: Vec<_> = ready
            .map(|track| self.fetch(track, known, scratch))
            .collect();
        let fetched: anyhow::Result<Vec<Track>> =
            stream::iter(fetches).buffered(FETCHES).try_collect().await;
        match fetched {
            Ok(tracks) => Ok(Some(tracks)),
            // A track that may not be kept loses its file before its row.
            Err(error)
                if matches!(error.downcast_ref(), Some(ObjectError::Missing(_)))
                    && self.is_overtaken(claimed).await? =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn fetch(
        &self,
        track: &Recording,
        known: &Known,
        scratch: &Scratch,
    ) -> anyhow::Result<Track> {
        let key = track
            .key
            .as_ref()
            .context("a track without a participant")?;
        let (file, sha256) = self.files.fetch(track, scratch).await?;
        let of = peaks::file_of(&self.files.objects, track);
        let length = Micros::from_ms(track.duration_ms.unwrap_or(0));
        let why = known.circumstances(key.participant, &track.gaps);
        Ok(Track {
            participant: key.participant,
            path: file.path,
            span: Span::of(file.zero, length),
            allowed: subtract(&why.agreed, &why.redacted),
            redacted: why.redacted,
            gaps: serde_json::from_value(track.file_gaps.clone()).context("a track's gaps")?,
            sha256,
            of,
        })
    }

    /// Whether the tracks are to be joined again; this job ends then, since that one queues it.
    async fn is_overtaken(&self, claimed: &Claimed) -> anyhow::Result<bool> {
        let meeting = claimed.meeting()?;
        let mut tx = self.files.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        if job::is_done(&mut tx, JobKind::Join, meeting).await? {
            return Ok(false);
        }
        self.files
            .settle(tx, claimed, JobKind::Mix, Effects::default())
            .await?;
        Ok(true)
    }

    /// Commits the mix and the end of the job, unless something turned up meanwhile.
    async fn end(&self, claimed: &Claimed, known: &Known, mix: &MixFile) -> anyhow::Result<Round> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        let mut tx = self.files.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        let mut effects = Effects::default();
        let is_joined = job::is_done(&mut tx, JobKind::Join, meeting).await?;
        if is_joined && recording::is_unmerged(&mut tx, meeting).await? {
            let join = job::ensure(&mut tx, tenant, JobKind::Join, meeting, &json!({})).await?;
            effects.jobs.push((JobKind::Join, join));
            self.files
                .settle(tx, claimed, JobKind::Mix, effects)
                .await?;
            return Ok(Round::Finished);
        }
        // Nobody is told of a mix of tracks that are about to change, or changed meanwhile.
        if !is_joined || job::is_asked_again(&mut tx, claimed.job.id).await? {
            self.files
                .settle(tx, claimed, JobKind::Mix, effects)
                .await?;
            return Ok(Round::Finished);
        }
        // Nor of one with what somebody took consent back for.
        if is_refused_since(&mut tx, meeting, known.entry).await? {
            return Ok(Round::Again);
        }
        match mix {
            MixFile::Rendered(made) => {
                let id = made.object.recording;
                recording::finish(&mut tx, meeting, id, &made.file).await?;
                for peaks in &made.peaks {
                    peaks.settle(&mut tx).await?;
                }
            }
            MixFile::Gone(id) => recording::remove(&mut tx, meeting, *id).await?,
            // Nothing of what was taken out is in it.
            MixFile::Kept => redacted_file::open_mix(&mut tx, meeting).await?,
            MixFile::Nothing => {}
        }
        // Words that are still looked for come first.
        if capture::is_complete(&mut tx, meeting).await? {
            effects
                .events
                .push(self.files.announce(&mut tx, meeting).await?);
        }
        let clean = job::ensure_again(&mut tx, tenant, JobKind::Clean, meeting).await?;
        effects.jobs.push((JobKind::Clean, clean));
        self.files
            .settle(tx, claimed, JobKind::Mix, effects)
            .await?;
        info!("the recordings are made");
        Ok(Round::Finished)
    }
}

/// One round's way to the mix.
struct Rendering<'a> {
    store: &'a Store,
    objects: &'a Objects,
    turns: &'a Arc<Semaphore>,
    claimed: &'a Claimed,
    meeting: MeetingId,
    tenant: TenantId,
    scratch: &'a Path,
    /// Somebody's sound is taken out: what is left is to be heard as it was.
    is_redacted: bool,
}

impl Rendering<'_> {
    fn inventory(&self) -> Inventory<'_> {
        Inventory {
            store: self.store,
            objects: self.objects,
        }
    }

    /// Renders and stores the mix, unless it is stored as it is.
    async fn render(&self, tracks: &[Track]) -> anyhow::Result<MixFile> {
        let Self {
            meeting, tenant, ..
        } = *self;
        if tracks.is_empty() {
            return self.no_mix().await;
        }
        let first = tracks.iter().map(|track| track.span.start.as_ms()).min();
        let Row { id: job, epoch, .. } = self.claimed.job;
        let mut tx = self.store.worker_tx().await?;
        // Else a mix that is deleted at this moment would be made again.
        event::lock(&mut tx, meeting).await?;
        job::hold(&mut tx, job, self.claimed.owner, epoch).await?;
        if deletion::is_mix_deleted(&mut tx, meeting).await? {
            return Ok(MixFile::Nothing);
        }
        let id = recording::ensure_mix(&mut tx, tenant, meeting, first.unwrap_or(0)).await?;
        let before = recording::of_meeting(&mut tx, meeting)
            .await?
            .into_iter()
            .find(|recording| recording.id == id);
        let with_peaks = peaks::stored(&mut tx, meeting).await?;
        // A redaction that waits for the tracks deletes it first, whatever becomes of them.
        let key = before
            .as_ref()
            .and_then(|mix| self.objects.key(mix.blob_url.as_deref()?));
        let of: Vec<String> = key.map(str::to_owned).into_iter().collect();
        let held = redacted_file::objects(&mut tx, meeting, &of).await?;
        let is_there = !held.iter().any(|one| one.is_deleted);
        tx.commit().await?;
        let made_of: Vec<String> = tracks.iter().map(|track| track.sha256.clone()).collect();
        let is_same =
            |mix: &Recording| mix.status == RecordingStatus::Ready && mix.made_of == made_of;
        if is_there && before.as_ref().is_some_and(is_same) {
            return Ok(MixFile::Kept);
        }
        let as_it_was = before
            .as_ref()
            .filter(|_| self.is_redacted)
            .and_then(as_it_was);
        let revision = before.map_or(1, |mix| {
            mix.revision + i32::from(mix.status == RecordingStatus::Ready)
        });
        let sources: Vec<mix::Source> = tracks
            .iter()
            .map(|track| mix::Source {
                path: track.path.clone(),
                start: track.span.start,
                allowed: track.allowed.clone(),
                redacted: track.redacted.clone(),
            })
            .collect();
        let out = self.scratch.join("mix.mp4");
        let to = out.clone();
        let (progress, mut steps) = tokio::sync::watch::channel(0.0_f32);
        let store = self.store.clone();
        let reporting = async move {
            while steps.changed().await.is_ok() {
                let step = *steps.borrow_and_update();
                if let Ok(mut tx) = store.worker_tx().await
                    && recording::progress(&mut tx, id, step).await.is_ok()
                {
                    // The next one tells it, too.
                    let _ = tx.commit().await;
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        };
        let reporting = tokio::spawn(reporting.in_current_span());
        let turn = self
            .turns
            .clone()
            .acquire_owned()
            .await
            .context("no mixes are rendered any more")?;
        let rendered = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            mix::render_again(&sources, as_it_was, &to, &mut |step| {
                progress.send_replace(step as f32);
                Ok(())
            })
        })
        .await?;
        reporting.abort();
        let Some(rendered) = rendered.context("rendering the mix")? else {
            return self.no_mix().await;
        };
        let participants: BTreeSet<ParticipantId> =
            tracks.iter().map(|track| track.participant).collect();
        let key = RecordingFile {
            tenant,
            meeting,
            recording: id,
            revision,
            media: MediaType::AudioMp4,
        };
        let object = Object {
            key: key.to_string(),
            tenant,
            meeting,
            recording: id,
            kind: ObjectKind::Mix,
            participants: participants.into_iter().collect(),
        };
        let stored = self
            .inventory()
            .put_file(self.claimed, &object, &out, MediaType::AudioMp4)
            .await
            .context("storing the mix")?;
        // Each track was read along: its peaks cost nothing more.
        let of_tracks = tracks.iter().zip(rendered.of_sources);
        let mut found: Vec<(RecordingFile, Vec<ParticipantId>, Vec<u8>)> = of_tracks
            .filter_map(|(track, meter)| {
                let of = track.of?;
                let peaks = meter.finish_at(track.span.length());
                Some((of, vec![track.participant], peaks))
            })
            .filter(|(of, ..)| !with_peaks.contains(&of.peaks().to_string()))
            .collect();
        found.push((key, object.participants.clone(), rendered.peaks));
        let puts = found.into_iter().map(|(of, participants, bytes)| {
            StoredPeaks::put(self.inventory(), self.claimed, of, participants, bytes)
        });
        let puts: Vec<_> = puts.collect();
        // Each to its end, as with tracks.
        let put: Vec<_> = stream::iter(puts).buffered(FETCHES).collect().await;
        let put: anyhow::Result<Vec<Option<StoredPeaks>>> = put.into_iter().collect();
        let peaks = match put {
            Ok(put) => put.into_iter().flatten().collect(),
            Err(error) => {
                self.inventory().follow(&object).await;
                return Err(error);
            }
        };
        let span = Span::of(MeetingTime::from_ms(rendered.start_ms), rendered.duration);
        let holes: Vec<(Span, Vec<Gap>)> = tracks
            .iter()
            .map(|track| (track.span, track.gaps.clone()))
            .collect();
        let file = Finished {
            blob_url: self.objects.url(&object.key),
            key: object.key.clone(),
            version: stored.version,
            media_type: MediaType::AudioMp4,
            start_ms: rendered.start_ms,
            duration_ms: rendered.duration.as_ms(),
            gaps: serde_json::to_value(gaps_of_mix(span, &holes))?,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: stored.sha256,
            made_of,
            gain_db: Some(rendered.gain_db),
        };
        Ok(MixFile::Rendered(Box::new(Made {
            object,
            file,
            peaks,
        })))
    }

    /// There is nothing to hear: a mix that was made before goes, too, by the job that cleans.
    async fn no_mix(&self) -> anyhow::Result<MixFile> {
        let meeting = self.meeting;
        let mut tx = self.store.worker_tx().await?;
        let made = recording::of_meeting(&mut tx, meeting)
            .await?
            .into_iter()
            .find(|recording| recording.kind == RecordingKind::Mix);
        tx.commit().await?;
        Ok(made.map_or(MixFile::Nothing, |mix| MixFile::Gone(mix.id)))
    }
}

/// The place and the gain of the mix that there is.
fn as_it_was(mix: &Recording) -> Option<mix::Before> {
    let length = Micros::from_ms(mix.duration_ms?);
    Some(mix::Before {
        span: Span::of(MeetingTime::from_ms(mix.start_ms), length),
        gain_db: mix.gain_db?,
    })
}
