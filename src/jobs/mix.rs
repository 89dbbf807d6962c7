//! The files of an ended meeting: each track joined from its segments without re-encoding, then the
//! mix rendered from the tracks. Every file is stored and verified before its row says so. Runs
//! again from the start after a crash, with the same outcome; segment objects are deleted by
//! another job once the tracks are committed.
//!
//! Everything is fetched before anything is stored, so that a storage which is away in between
//! costs no half-made revision: the job then waits ([`Outcome::Waiting`]), however long. It ends
//! only in a transaction that sees no segment left over and no withdrawal that it has not heard of.

use super::{
    track::{Joined, Made},
    words::{self, Words},
};
use crate::{
    domain::{
        consent::{ConsentStatus, Use},
        event::{Event, RecordingReport, StateReason},
        fault::{Away, Fault, MISSING_APART},
        gate::Gate,
        hold::taken_back,
        id::{MeetingId, RecordingId, TenantId},
        meeting::{ConsentPolicy, RecordingState},
        recording::{Circumstances, Gap, GapReason, gaps_of_mix, subtract},
        tiering::Tier,
        time::{MeetingTime, Micros, Span},
    },
    media::rendering::mix,
    objects::Objects,
    queue::{JobKind, Queue, message::Wake},
    store::{
        Store, StoreError, attendance, capture, consent, event, job,
        recording::{self, Finished, Segment},
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
use tokio::sync::Semaphore;
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
    /// So many mixes are rendered at a time, each a core's work; the other jobs fetch and store
    /// meanwhile.
    pub rendering: Arc<Semaphore>,
}

/// How often a job looks again for what turned up while it worked, before others have their turn.
const ROUNDS_MAX: usize = 5;

/// How often it is asked whether all segments came out of the spool.
const SPOOL_POLL: Micros = Micros::from_secs(1);
/// From a claim until the ports listen again, at most.
const REOPENED: Micros = Micros::from_secs(1);

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

impl Mixer {
    pub async fn run(self: Arc<Self>, claimed: Claimed) -> Outcome {
        let meeting = claimed.job.meeting;
        for _ in 0..ROUNDS_MAX {
            let error = match self.make(&claimed).await {
                Ok(Round::Finished) => return Outcome::Settled,
                Ok(Round::Again) => continue,
                Ok(Round::Spooled(count)) => {
                    let error = anyhow::anyhow!("{count} segments are still in a spool");
                    return Outcome::Waiting {
                        away: Away::Storage,
                        at_least: SPOOL_POLL,
                        error,
                    };
                }
                Ok(Round::Missing(count)) => {
                    let error = anyhow::anyhow!("{count} segments are missing in storage");
                    return Outcome::Waiting {
                        away: Away::Storage,
                        at_least: MISSING_APART,
                        error,
                    };
                }
                Err(error) => error,
            };
            if let Some(StoreError::Fenced) = error.downcast_ref::<StoreError>() {
                return Outcome::Settled;
            }
            if let Fault::Away(away) = super::fault(&error) {
                return Outcome::Waiting {
                    away,
                    at_least: Micros(0),
                    error,
                };
            }
            if claimed.job.attempts >= crate::domain::limits::JOB_ATTEMPTS
                && let Err(error) = self.give_up(meeting, &format!("{error:#}")).await
            {
                warn!(%meeting, %error, "could not write that a recording failed");
            }
            return Outcome::Failed(error);
        }
        Outcome::Release
    }

    async fn make(&self, claimed: &Claimed) -> anyhow::Result<Round> {
        let (meeting, tenant) = (claimed.job.meeting, claimed.job.tenant);
        let mut tx = self.store.worker_tx().await?;
        // What is still in a spool comes first: else the first file told of would have holes.
        let spooled = capture::spooled(&mut tx, meeting).await?;
        if spooled > 0 {
            return Ok(Round::Spooled(spooled));
        }
        let whole = capture::load(&mut tx, meeting)
            .await?
            .context("the meeting is gone")?;
        let start = whole.start_time.context("the meeting never began")?;
        let log = consent::whole(&mut tx, meeting).await?;
        let segments = recording::segments(&mut tx, meeting).await?;
        let visits = attendance::of_meeting(&mut tx, meeting).await?;
        let paused = attendance::paused(&mut tx, meeting).await?;
        let unheard = attendance::unheard(&mut tx, meeting).await?;
        drop(tx);
        let gate = (self.replay)(&log, start);
        let on = |time: DateTime<Utc>| MeetingTime((time - start).num_microseconds().unwrap_or(0));
        let (settings, ..) =
            (self.words.settings)(&whole.settings).context("reading the meeting's settings")?;
        // Whoever recorded may not have heard of it: what is here of the others goes, too.
        let held = match settings.policy {
            ConsentPolicy::All => taken_back(&words::people(&visits, start, &gate, Use::Recording)),
            ConsentPolicy::Exclude | ConsentPolicy::Required => Vec::new(),
        };
        let mut paused: Vec<Span> = paused
            .into_iter()
            .map(|(from, until)| Span::new(on(from), until.map_or(MeetingTime::MAX, on)))
            .collect();
        paused.extend(&held);
        let unheard: Vec<Span> = unheard
            .into_iter()
            .map(|(from, until)| Span::new(on(from), on(until) + REOPENED))
            .collect();

        let scratch = Scratch(self.work.join(claimed.job.id.to_string()));
        // What a killed process left of this very job.
        let _ = tokio::fs::remove_dir_all(&scratch.0).await;
        tokio::fs::create_dir_all(&scratch.0)
            .await
            .context("making room for the files")?;
        let (mut done, mut nothing, mut lost_whole, mut missing) =
            (Vec::new(), Vec::new(), Vec::new(), 0);
        for track in whole
            .recordings
            .iter()
            .filter(|recording| recording.kind == "track")
            .cloned()
        {
            let participant = track
                .key
                .as_ref()
                .context("a track without a participant")?
                .participant;
            let why = Circumstances {
                present: visits
                    .iter()
                    .filter(|visit| visit.participant == participant)
                    .map(|visit| {
                        Span::new(
                            on(visit.joined_at),
                            visit.left_at.map_or(MeetingTime::MAX, on),
                        )
                    })
                    .collect(),
                agreed: subtract(&gate.allowed(participant, Use::Recording), &held),
                paused: paused.clone(),
                lost: lost(&track.gaps),
                unheard: unheard.clone(),
            };
            // Each with what its own entry allows.
            let by_entry = |segment: &Segment| {
                let allowed = gate.allowed_by(
                    participant,
                    Use::Recording,
                    segment.consent_entry,
                    segment.late,
                );
                let held: Vec<Span> = held
                    .iter()
                    .map(|span| Span::new(span.start - segment.late, span.end))
                    .collect();
                subtract(&allowed, &held)
            };
            let of_track = segments
                .iter()
                .filter(|segment| segment.recording == track.id);
            let of_track = of_track
                .map(|segment| (segment.clone(), by_entry(segment)))
                .collect();
            let (id, file) = (track.id, track.blob_url.clone());
            match self.join(meeting, track, of_track, why, &scratch.0).await? {
                Made::Track(joined) => done.push(*joined),
                Made::Nothing => nothing.push((id, file)),
                Made::Lost(error) => lost_whole.push((id, error)),
                Made::Missing(count) => missing += count,
            }
        }
        if missing > 0 {
            return Ok(Round::Missing(missing));
        }
        let mut tx = self.store.worker_tx().await?;
        job::go_on(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
        for (id, error) in &lost_whole {
            recording::fail(&mut tx, *id, error).await?;
        }
        tx.commit().await?;
        for track in &done {
            self.keep(meeting, tenant, track).await?;
        }
        let tracks: Vec<words::Track> = done.iter().filter_map(Joined::words).collect();
        self.words
            .find(meeting, tenant, &whole, &tracks)
            .await
            .context("looking for words that nobody heard")?;
        for (id, file) in &nothing {
            self.take_away(*id, file.as_deref(), &segments).await?;
        }
        // The mix that is there may hold what was in them.
        let is_old = nothing.iter().any(|(_, file)| file.is_some());
        let mix = self.mix(meeting, tenant, &done, is_old, &scratch.0).await?;

        let mut tx = self.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        let heard = log.iter().map(|entry| entry.entry).max().unwrap_or(0);
        let withdrawn = consent::above(&mut tx, meeting, heard, i64::MAX).await?;
        let withdrawn = withdrawn
            .iter()
            .any(|entry| entry.status != ConsentStatus::Accepted);
        // Nobody is told of a mix with what somebody took consent back for.
        if !withdrawn {
            match &mix {
                Mix::Rendered(id, file) => recording::finish(&mut tx, *id, file).await?,
                Mix::Gone(id) => recording::remove(&mut tx, meeting, *id).await?,
                Mix::Kept | Mix::Nothing => {}
            }
            // Not before: who comes after a crash must see that the mix is to be made anew.
            for (id, _) in &nothing {
                recording::remove(&mut tx, meeting, *id).await?;
            }
        }
        for track in &done {
            recording::mark_merged(&mut tx, meeting, track.recording.id, &track.objects).await?;
        }
        if job::is_asked_again(&mut tx, claimed.job.id).await? {
            job::run_again(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
            tx.commit().await?;
            let _ = self
                .queue
                .wake(
                    JobKind::Mix,
                    &Wake {
                        job: claimed.job.id,
                        meeting,
                    },
                )
                .await;
            return Ok(Round::Finished);
        }
        if withdrawn || recording::is_unmerged(&mut tx, meeting).await? {
            tx.commit().await?;
            return Ok(Round::Again);
        }
        capture::transcript(&mut tx, tenant, meeting, None, true).await?;
        let (state, reason) = match mix {
            Mix::Rendered(..) | Mix::Kept => (RecordingState::Ready, None),
            Mix::Nothing | Mix::Gone(_) if lost_whole.is_empty() => {
                (RecordingState::Off, Some(StateReason::NothingRecorded))
            }
            Mix::Nothing | Mix::Gone(_) => (RecordingState::Failed, Some(StateReason::SeeErrors)),
        };
        let state = Event::RecordingState(RecordingReport::idle(state, reason, 0));
        let told = event::append(&mut tx, meeting, &state).await?;
        let clean = job::ensure(
            &mut tx,
            tenant,
            meeting,
            JobKind::Clean.as_str(),
            &json!({}),
        )
        .await?;
        job::finish(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
        tx.commit().await?;
        let _ = self.queue.publish(meeting, &told.into());
        let _ = self
            .queue
            .wake(
                JobKind::Clean,
                &Wake {
                    job: clean,
                    meeting,
                },
            )
            .await;
        info!(%meeting, tracks = done.len(), lost = lost_whole.len(), ?state, "the recordings are made");
        Ok(Round::Finished)
    }

    /// Stores and commits one track, unless it is stored as it is.
    async fn keep(
        &self,
        meeting: MeetingId,
        tenant: TenantId,
        joined: &Joined,
    ) -> anyhow::Result<()> {
        let Joined {
            recording: track,
            finalised,
            path,
            gaps,
            ..
        } = joined;
        let gaps = serde_json::to_value(gaps)?;
        if !joined.fresh {
            let mut tx = self.store.worker_tx().await?;
            recording::set_gaps(&mut tx, track.id, &gaps).await?;
            tx.commit().await?;
            return Ok(());
        }
        let revision = if track.status == "ready" {
            track.revision + 1
        } else {
            track.revision
        };
        let key = key(tenant, meeting, track.id, revision, "mkv");
        let stored = self
            .objects
            .put_file(&key, path, "audio/x-matroska", Tier::Hot)
            .await
            .context("storing a track")?;
        let file = Finished {
            blob_url: self.objects.url(&key),
            start_ms: finalised.start_ms,
            duration_ms: finalised.duration_ms,
            gaps,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: stored.sha256,
        };
        let mut tx = self.store.worker_tx().await?;
        recording::finish(&mut tx, track.id, &file).await?;
        tx.commit().await?;
        let made = track
            .blob_url
            .as_deref()
            .and_then(|url| self.objects.key(url))
            .filter(|made| *made != key);
        if let Some(made) = made {
            self.objects
                .delete(made)
                .await
                .context("deleting a track that was made anew")?;
        }
        Ok(())
    }

    /// Deletes the objects of a track of which nothing may be kept. Its rows go with the mix that
    /// it is in.
    async fn take_away(
        &self,
        id: RecordingId,
        file: Option<&str>,
        segments: &[Segment],
    ) -> anyhow::Result<()> {
        let of_track = segments
            .iter()
            .filter(|segment| segment.recording == id)
            .map(|segment| segment.object_key.as_str());
        for key in file
            .and_then(|url| self.objects.key(url))
            .into_iter()
            .chain(of_track)
        {
            self.objects
                .delete(key)
                .await
                .context("deleting a track of which nothing may be kept")?;
        }
        Ok(())
    }

    /// Renders and stores the mix. `is_old`: one that is there holds what is in no track any more.
    async fn mix(
        &self,
        meeting: MeetingId,
        tenant: TenantId,
        done: &[Joined],
        is_old: bool,
        scratch: &Path,
    ) -> anyhow::Result<Mix> {
        if done.is_empty() {
            return self.no_mix(meeting).await;
        }
        let first = done
            .iter()
            .map(|track| track.finalised.start_ms)
            .min()
            .unwrap_or(0);
        let mut tx = self.store.worker_tx().await?;
        let id = recording::ensure_mix(&mut tx, tenant, meeting, first).await?;
        let before = recording::of_meeting(&mut tx, meeting)
            .await?
            .into_iter()
            .find(|recording| recording.id == id);
        tx.commit().await?;
        if before.as_ref().is_some_and(|mix| mix.status == "ready")
            && !is_old
            && done.iter().all(|track| !track.fresh)
        {
            return Ok(Mix::Kept);
        }
        let revision = before.map_or(1, |mix| mix.revision + i32::from(mix.status == "ready"));
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
                    // The next one tells it, too.
                    let _ = tx.commit().await;
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        });
        let turn = self
            .rendering
            .clone()
            .acquire_owned()
            .await
            .context("no mixes are rendered any more")?;
        let rendered = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            mix::render(&sources, &to, &mut |step| {
                progress.send_replace(step as f32);
                Ok(())
            })
        })
        .await?;
        reporting.abort();
        let Some(rendered) = rendered.context("rendering the mix")? else {
            return self.no_mix(meeting).await;
        };
        let key = key(tenant, meeting, id, revision, "mp4");
        let stored = self
            .objects
            .put_file(&key, &out, "audio/mp4", Tier::Hot)
            .await
            .context("storing the mix")?;
        let span = Span::of(MeetingTime::from_ms(rendered.start_ms), rendered.duration);
        let holes: Vec<(Span, Vec<Gap>)> = done
            .iter()
            .map(|track| (track.finalised.span(), track.gaps.clone()))
            .collect();
        let file = Finished {
            blob_url: self.objects.url(&key),
            start_ms: rendered.start_ms,
            duration_ms: rendered.duration.as_ms(),
            gaps: serde_json::to_value(gaps_of_mix(span, &holes))?,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: stored.sha256,
        };
        Ok(Mix::Rendered(id, file))
    }

    /// There is nothing to hear: a mix that was made before goes, too.
    async fn no_mix(&self, meeting: MeetingId) -> anyhow::Result<Mix> {
        let mut tx = self.store.worker_tx().await?;
        let made = recording::of_meeting(&mut tx, meeting)
            .await?
            .into_iter()
            .find(|recording| recording.kind == "mix");
        tx.commit().await?;
        let Some(mix) = made else {
            return Ok(Mix::Nothing);
        };
        if let Some(key) = mix
            .blob_url
            .as_deref()
            .and_then(|url| self.objects.key(url))
        {
            self.objects
                .delete(key)
                .await
                .context("deleting a mix of which nothing may be kept")?;
        }
        Ok(Mix::Gone(mix.id))
    }

    async fn give_up(&self, meeting: MeetingId, error: &str) -> anyhow::Result<()> {
        let mut tx = self.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        recording::fail_unfinished(&mut tx, meeting, error).await?;
        let reason = Some(StateReason::SeeErrors);
        let state = RecordingReport::idle(RecordingState::Failed, reason, 0);
        let told = event::append(&mut tx, meeting, &Event::RecordingState(state)).await?;
        tx.commit().await?;
        let _ = self.queue.publish(meeting, &told.into());
        Ok(())
    }
}

/// The mix of one round.
enum Mix {
    /// Stored, and to be committed.
    Rendered(RecordingId, Finished),
    /// The one that is there is of these very tracks.
    Kept,
    Nothing,
    /// There was one, and nothing of it may be kept.
    Gone(RecordingId),
}

/// Where a recording's file lies. The revision is in it, so that a file once told of is never
/// overwritten.
pub(super) fn key(
    tenant: TenantId,
    meeting: MeetingId,
    recording: RecordingId,
    revision: i32,
    extension: &str,
) -> String {
    format!("recordings/{tenant}/{meeting}/{recording}-{revision}.{extension}")
}

/// The spans noted as lost while the track was recorded.
fn lost(gaps: &Value) -> Vec<Span> {
    let gaps: Vec<Gap> = serde_json::from_value(gaps.clone()).unwrap_or_default();
    gaps.into_iter()
        .filter(|gap| gap.reason == GapReason::Lost)
        .map(|gap| {
            Span::new(
                MeetingTime::from_ms(gap.start_ms),
                MeetingTime::from_ms(gap.end_ms),
            )
        })
        .collect()
}
