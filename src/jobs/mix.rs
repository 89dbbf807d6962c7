//! The files of an ended meeting: each track joined from its segments without re-encoding, then the mix rendered from the
//! tracks. Every file is stored and verified before its row says so. Runs again from the start after a crash, with the same
//! outcome; segment objects are deleted by another job once the tracks are committed.

use super::words::{self, Words};
use crate::{
    domain::{
        consent::Use,
        gate::Gate,
        id::{MeetingId, RecordingId, TenantId},
        meeting::RecordingState,
        recording::{Circumstances, Gap, GapReason, gaps, gaps_of_mix},
        tiering::Tier,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        mix,
        remux::{self, Finalised, Part},
    },
    objects::Objects,
    queue::{JobKind, Queue, message::Wake},
    store::{
        Store, StoreError, capture, consent, event, job,
        recording::{self, Finished, Recording, Segment},
        visit,
    },
    worker::{Claimed, Outcome},
};
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tracing::{info, warn};

/// What the job uses.
#[derive(Clone)]
pub struct Mixer {
    pub store: Store,
    pub queue: Queue,
    pub objects: Objects,
    pub words: Words,
    /// `<data>/work`: room for a meeting's files while they are made.
    pub work: PathBuf,
    /// Replays a log into a gate.
    pub replay: fn(&[consent::Entry], DateTime<Utc>) -> Gate,
    /// The data of `recording_state` after the end.
    pub state: fn(RecordingState, Option<&str>, i64) -> Value,
}

/// From a claim until the ports listen again, at most.
const REOPENED: Micros = Micros::from_secs(1);

/// A removed folder, whatever happens.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A track with its file.
struct Done {
    recording: Recording,
    finalised: Finalised,
    path: PathBuf,
    allowed: Vec<Span>,
    gaps: Vec<Gap>,
    /// Objects of the segments that went into it.
    joined: Vec<String>,
}

impl Done {
    fn words(&self) -> Option<words::Track> {
        Some(words::Track {
            participant: self.recording.key.as_ref()?.participant,
            path: self.path.clone(),
            zero: MeetingTime::from_ms(self.finalised.start_ms),
            lost: self.gaps.iter().filter(|gap| gap.reason == GapReason::Lost).map(|gap| gap.span()).collect(),
        })
    }
}

impl Mixer {
    pub async fn run(self: Arc<Self>, claimed: Claimed) -> Outcome {
        let meeting = claimed.job.meeting;
        match self.make(&claimed).await {
            Ok(()) => Outcome::Settled,
            Err(error) if error.downcast_ref::<StoreError>().is_some_and(|e| matches!(e, StoreError::Fenced)) => {
                Outcome::Settled
            }
            Err(error) => {
                if claimed.job.attempts >= crate::domain::limits::JOB_ATTEMPTS
                    && let Err(error) = self.give_up(meeting, &format!("{error:#}")).await
                {
                    warn!(%meeting, %error, "could not write that a recording failed");
                }
                Outcome::Failed(error)
            }
        }
    }

    async fn make(&self, claimed: &Claimed) -> anyhow::Result<()> {
        let (meeting, tenant) = (claimed.job.meeting, claimed.job.tenant);
        let mut tx = self.store.worker_tx().await?;
        let whole = capture::load(&mut tx, meeting).await?.context("the meeting is gone")?;
        let start = whole.start_time.context("the meeting never began")?;
        let log = consent::whole(&mut tx, meeting).await?;
        let segments = recording::segments(&mut tx, meeting).await?;
        let visits = visit::of_meeting(&mut tx, meeting).await?;
        let paused = visit::paused(&mut tx, meeting).await?;
        let unheard = visit::unheard(&mut tx, meeting).await?;
        drop(tx);
        let gate = (self.replay)(&log, start);
        let on = |time: DateTime<Utc>| MeetingTime((time - start).num_microseconds().unwrap_or(0));
        let paused: Vec<Span> =
            paused.into_iter().map(|(from, until)| Span::new(on(from), until.map_or(MeetingTime::MAX, on))).collect();

        let unheard: Vec<Span> =
            unheard.into_iter().map(|(from, until)| Span::new(on(from), on(until) + REOPENED)).collect();

        let scratch = Scratch(self.work.join(claimed.job.id.to_string()));
        tokio::fs::create_dir_all(&scratch.0).await.context("making room for the files")?;
        let mut done = Vec::new();
        for track in whole.recordings.iter().cloned().filter(|recording| recording.kind == "track") {
            let participant = track.key.as_ref().context("a track without a participant")?.participant;
            let why = Circumstances {
                present: visits
                    .iter()
                    .filter(|visit| visit.participant == participant)
                    .map(|visit| Span::new(on(visit.joined_at), visit.left_at.map_or(MeetingTime::MAX, on)))
                    .collect(),
                agreed: gate.allowed(participant, Use::Recording),
                paused: paused.clone(),
                lost: lost(&track.gaps),
                unheard: unheard.clone(),
            };
            // Each with what its own entry allows.
            let by_entry = |segment: &Segment| gate.allowed_by(participant, Use::Recording, segment.consent_entry);
            let of_track = segments.iter().filter(|segment| segment.recording == track.id);
            let of_track: Vec<(&Segment, Vec<Span>)> = of_track.map(|segment| (segment, by_entry(segment))).collect();
            if let Some(track) = self.track(meeting, tenant, track, &of_track, why, &scratch.0).await? {
                done.push(track);
            }
        }
        let tracks: Vec<words::Track> = done.iter().filter_map(Done::words).collect();
        self.words.find(meeting, tenant, &whole, &tracks).await.context("looking for words that nobody heard")?;
        let mixed = self.mix(meeting, tenant, &done, &scratch.0).await?;

        let mut tx = self.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        if job::is_asked_again(&mut tx, claimed.job.id).await? {
            // Somebody took consent back for what is in these files: nobody is told of them.
            job::run_again(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
            tx.commit().await?;
            let _ = self.queue.wake(JobKind::Mix, &Wake { job: claimed.job.id, meeting }).await;
            return Ok(());
        }
        capture::transcript(&mut tx, tenant, meeting, None, true).await?;
        let state = if mixed { RecordingState::Ready } else { RecordingState::Off };
        let data = (self.state)(state, (!mixed).then_some("nothing_recorded"), 0);
        let told = event::append(&mut tx, meeting, "recording_state", data).await?;
        let clean = job::ensure(&mut tx, tenant, meeting, JobKind::Clean.as_str(), &json!({})).await?;
        job::finish(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
        tx.commit().await?;
        let _ = self.queue.publish(meeting, &told.into());
        let _ = self.queue.wake(JobKind::Clean, &Wake { job: clean, meeting }).await;
        info!(%meeting, tracks = done.len(), mixed, "the recordings are ready");
        Ok(())
    }

    /// Joins, stores and commits one track; `None` when nothing of it may be kept.
    async fn track(
        &self,
        meeting: MeetingId,
        tenant: TenantId,
        track: Recording,
        segments: &[(&Segment, Vec<Span>)],
        why: Circumstances,
        scratch: &Path,
    ) -> anyhow::Result<Option<Done>> {
        let out = scratch.join(format!("{}.mkv", track.id));
        let made = track.blob_url.as_deref().and_then(|url| self.objects.key(url)).map(str::to_owned);
        let mut parts = Vec::with_capacity(segments.len());
        // Segments in a track made before are no objects any more: that track stands for them.
        if let Some(made) = made.as_deref().filter(|_| segments.iter().any(|(segment, _)| segment.merged)) {
            let path = scratch.join(format!("{}-before.part.mkv", track.id));
            self.objects.get_file(made, &path).await.context("fetching the track made before")?;
            let (zero, allowed) = (MeetingTime::from_ms(track.start_ms), why.agreed.clone());
            parts.push(Part { path, zero, allowed });
        }
        for (segment, allowed) in segments.iter().filter(|(segment, _)| !segment.merged) {
            let path = scratch.join(format!("{}-{}-{}.part.mkv", track.id, segment.epoch, segment.n));
            self.objects.get_file(&segment.object_key, &path).await.context("fetching a segment")?;
            parts.push(Part { path, zero: MeetingTime::ZERO, allowed: allowed.clone() });
        }
        let (to, allowed) = (out.clone(), why.agreed.clone());
        let joined = tokio::task::spawn_blocking(move || {
            // In capture order, whichever process wrote them.
            parts.sort_by_cached_key(|part| remux::first(part).ok().flatten());
            remux::join(&parts, &to)
        });
        let finalised = joined.await??;
        let Some(finalised) = finalised else {
            let mut tx = self.store.worker_tx().await?;
            recording::remove(&mut tx, meeting, track.id).await?;
            tx.commit().await?;
            return Ok(None);
        };
        let gaps = gaps(finalised.span(), &finalised.recorded, &why);
        let revision = if track.status == "ready" { track.revision + 1 } else { track.revision };
        let key = key(tenant, meeting, track.id, revision, "mkv");
        let stored =
            self.objects.put_file(&key, &out, "audio/x-matroska", Tier::Hot).await.context("storing a track")?;
        let file = Finished {
            blob_url: self.objects.url(&key),
            start_ms: finalised.start_ms,
            duration_ms: finalised.duration_ms,
            gaps: serde_json::to_value(&gaps)?,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: stored.sha256,
        };
        let mut tx = self.store.worker_tx().await?;
        recording::finish(&mut tx, track.id, &file).await?;
        tx.commit().await?;
        if let Some(made) = made.filter(|made| *made != key) {
            self.objects.delete(&made).await.context("deleting a track that was made anew")?;
        }
        let joined = segments.iter().map(|(segment, _)| segment.object_key.clone()).collect();
        Ok(Some(Done { recording: track, finalised, path: out, allowed, gaps, joined }))
    }

    /// Renders, stores and commits the mix; `false` when there is nothing to mix.
    async fn mix(&self, meeting: MeetingId, tenant: TenantId, done: &[Done], scratch: &Path) -> anyhow::Result<bool> {
        if done.is_empty() {
            return Ok(false);
        }
        let first = done.iter().map(|track| track.finalised.start_ms).min().unwrap_or(0);
        let mut tx = self.store.worker_tx().await?;
        let id = recording::ensure_mix(&mut tx, tenant, meeting, first).await?;
        let before = recording::of_meeting(&mut tx, meeting).await?.into_iter().find(|recording| recording.id == id);
        let revision = before.map_or(1, |mix| mix.revision + i32::from(mix.status == "ready"));
        tx.commit().await?;
        let sources: Vec<mix::Source> = done
            .iter()
            .map(|track| mix::Source {
                path: track.path.clone(),
                start: MeetingTime::from_ms(track.finalised.start_ms),
                allowed: track.allowed.clone(),
            })
            .collect();
        let out = scratch.join("mix.mp4");
        let to = out.clone();
        let (progress, mut steps) = tokio::sync::watch::channel(0.0_f32);
        let store = self.store.clone();
        let reporting = tokio::spawn(async move {
            while steps.changed().await.is_ok() {
                let step = *steps.borrow_and_update();
                if let Ok(mut tx) = store.worker_tx().await
                    && recording::progress(&mut tx, id, step).await.is_ok()
                {
                    let _ = tx.commit().await;
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        });
        let rendered = tokio::task::spawn_blocking(move || {
            mix::render(&sources, &to, &mut |step| {
                progress.send_replace(step as f32);
                Ok(())
            })
        })
        .await?;
        reporting.abort();
        let Some(rendered) = rendered.context("rendering the mix")? else { return Ok(false) };
        let key = key(tenant, meeting, id, revision, "mp4");
        let stored = self.objects.put_file(&key, &out, "audio/mp4", Tier::Hot).await.context("storing the mix")?;
        let span = Span::of(MeetingTime::from_ms(rendered.start_ms), rendered.duration);
        let holes: Vec<(Span, Vec<Gap>)> =
            done.iter().map(|track| (track.finalised.span(), track.gaps.clone())).collect();
        let file = Finished {
            blob_url: self.objects.url(&key),
            start_ms: rendered.start_ms,
            duration_ms: rendered.duration.as_ms(),
            gaps: serde_json::to_value(gaps_of_mix(span, &holes))?,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: stored.sha256,
        };
        let mut tx = self.store.worker_tx().await?;
        recording::finish(&mut tx, id, &file).await?;
        for track in done {
            recording::mark_merged(&mut tx, meeting, track.recording.id, &track.joined).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn give_up(&self, meeting: MeetingId, error: &str) -> anyhow::Result<()> {
        let mut tx = self.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        recording::fail_unfinished(&mut tx, meeting, error).await?;
        let data = (self.state)(RecordingState::Failed, Some("see the recordings' errors"), 0);
        let told = event::append(&mut tx, meeting, "recording_state", data).await?;
        tx.commit().await?;
        let _ = self.queue.publish(meeting, &told.into());
        Ok(())
    }
}

/// Where a recording's file lies. The revision is in it, so that a file once told of is never overwritten.
fn key(tenant: TenantId, meeting: MeetingId, recording: RecordingId, revision: i32, extension: &str) -> String {
    format!("recordings/{tenant}/{meeting}/{recording}-{revision}.{extension}")
}

/// The spans noted as lost while the track was recorded.
fn lost(gaps: &Value) -> Vec<Span> {
    let gaps: Vec<Gap> = serde_json::from_value(gaps.clone()).unwrap_or_default();
    gaps.into_iter()
        .filter(|gap| gap.reason == GapReason::Lost)
        .map(|gap| Span::new(MeetingTime::from_ms(gap.start_ms), MeetingTime::from_ms(gap.end_ms)))
        .collect()
}
