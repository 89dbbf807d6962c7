//! One track of a meeting: its segments fetched side by side and joined.

use super::fetch::{Allowed, FETCHES, Fetch, Got};
use crate::{
    domain::{
        fault::Sighting,
        id::MeetingId,
        media_type::MediaType,
        recording::{Circumstances, Gap, RecordingStatus, SegmentState, gaps, intersect, subtract},
        time::{MeetingTime, Micros, Span},
    },
    media::rendering::join::{self, Finalised, Part},
    objects::Objects,
    store::{
        Store, missing,
        recording::{Recording, Segment},
    },
};
use anyhow::Context;
use std::path::{Path, PathBuf};
use tokio::sync::Semaphore;
use tracing::warn;

/// A segment that holds this much less than its row says was damaged before it was stored.
const SHORT: Micros = Micros::from_ms(200);

/// A joined track with its file.
pub(super) struct Joined {
    pub recording: Recording,
    pub finalised: Finalised,
    pub path: PathBuf,
    pub gaps: Vec<Gap>,
    /// Objects of the segments that are in it.
    pub objects: Vec<String>,
    /// Whether the file is another than the one that is stored already.
    pub fresh: bool,
}

/// What became of a track.
pub(super) enum Made {
    Track(Box<Joined>),
    /// Nothing of it may be kept, or there never was anything.
    Nothing,
    /// There was something, and none of it can be had any more.
    Lost(String),
    /// So many segments are missing, and may still come.
    Missing(usize),
}

/// Joins single tracks of one meeting.
pub(super) struct Joiner<'a> {
    pub store: &'a Store,
    pub objects: &'a Objects,
    pub meeting: MeetingId,
    /// Where its files are made.
    pub scratch: &'a Path,
    room: Semaphore,
}

impl<'a> Joiner<'a> {
    pub fn new(
        store: &'a Store,
        objects: &'a Objects,
        meeting: MeetingId,
        scratch: &'a Path,
    ) -> Self {
        Self {
            store,
            objects,
            meeting,
            scratch,
            room: Semaphore::new(FETCHES),
        }
    }

    /// Fetches and joins a track. Whatever of it cannot be had is noted as lost; that storage is
    /// away is an error.
    pub(super) async fn join(
        &self,
        track: Recording,
        segments: Vec<Allowed>,
        mut why: Circumstances,
    ) -> anyhow::Result<Made> {
        let (meeting, scratch) = (self.meeting, self.scratch);
        let out = scratch.join(format!("{}.track", track.id));
        let parts_folder = scratch.join(track.id.to_string());
        tokio::fs::create_dir_all(&parts_folder)
            .await
            .context("making room for segments")?;
        let mut parts = Vec::with_capacity(segments.len());
        // Segments in a track made before are no objects any more: that track stands for them.
        let made = track
            .blob_url
            .as_deref()
            .and_then(|url| self.objects.key(url));
        let was_at = Span::of(
            MeetingTime::from_ms(track.start_ms),
            Micros::from_ms(track.duration_ms.unwrap_or(0)),
        );
        // With nothing of it allowed it is not asked for: an earlier try may have deleted it.
        let is_wanted = !subtract(&intersect(&[was_at], &why.agreed), &why.redacted).is_empty();
        if let Some(made) = made.filter(|_| {
            is_wanted
                && segments
                    .iter()
                    .any(|(segment, _)| segment.state == SegmentState::Merged)
        }) {
            let path = parts_folder.join("before.track");
            self.objects
                .get_file(made, &path)
                .await
                .context("fetching the track made before")?;
            let (zero, allowed) = (MeetingTime::from_ms(track.start_ms), why.agreed.clone());
            parts.push(
                read(path, zero, allowed)
                    .await??
                    .context("the track made before holds nothing")?,
            );
        }
        let before = parts.len();
        let fresh = segments
            .iter()
            .filter(|(segment, _)| segment.state == SegmentState::Stored);
        let fetch = Fetch {
            objects: self.objects,
            room: &self.room,
            codec: track.key.as_ref().map(|key| key.codec),
            folder: &parts_folder,
        };
        let fetched = fetch.all(fresh).await?;
        let mut lost: Vec<&Segment> = segments
            .iter()
            .map(|(segment, _)| segment)
            .filter(|one| one.state == SegmentState::Lost)
            .collect();
        let (mut objects, mut missing) = (Vec::new(), Vec::new());
        for (segment, got) in fetched {
            match got {
                Got::Part(part) => {
                    // What is in no frame of it at its edges is lost; holes within are the
                    // sender's.
                    let edges = [
                        Span::new(segment.span.start, part.span.start),
                        Span::new(part.span.end, segment.span.end),
                    ];
                    why.lost
                        .extend(edges.into_iter().filter(|edge| edge.length() > SHORT));
                    objects.push(segment.object_key.clone());
                    parts.push(part);
                }
                Got::Broken(error) => {
                    self.give_up_on(meeting, segment, &error).await?;
                    lost.push(segment);
                }
                Got::Missing => missing.push(segment),
            }
        }
        let waits_for = self.miss(meeting, &missing, &mut lost).await?;
        if waits_for > 0 {
            return Ok(Made::Missing(waits_for));
        }
        why.lost.extend(lost.iter().map(|segment| segment.span));

        for part in &mut parts {
            part.redacted.clone_from(&why.redacted);
        }
        let (to, appended) = (out.clone(), parts.len() > before);
        let joined = tokio::task::spawn_blocking(move || join::join(&parts, &to))
            .await?
            .context("joining a track");
        let _ = tokio::fs::remove_dir_all(&parts_folder).await;
        let Some(finalised) = joined? else {
            return Ok(match lost.len() {
                0 => Made::Nothing,
                count => Made::Lost(format!(
                    "none of its sound can be had any more: {count} segments are missing or broken"
                )),
            });
        };
        let gaps = gaps(finalised.span(), &finalised.recorded, &why);
        let kept = track.status == RecordingStatus::Ready
            && before > 0
            && !appended
            && finalised.dropped == 0
            // Those of earlier versions are made anew.
            && track.media_type == MediaType::of_track(finalised.codec);
        Ok(Made::Track(Box::new(Joined {
            recording: track,
            finalised,
            path: out,
            gaps,
            objects,
            fresh: !kept,
        })))
    }

    /// Notes that these were missing once more. Those that were so too often become `lost`; answers
    /// how many may still come.
    async fn miss<'s>(
        &self,
        meeting: MeetingId,
        missing: &[&'s Segment],
        lost: &mut Vec<&'s Segment>,
    ) -> anyhow::Result<usize> {
        if missing.is_empty() {
            return Ok(0);
        }
        // Only while the bucket is well for everything else does it count.
        self.objects
            .probe()
            .await
            .context("segments are missing, and storage does not work")?;
        let mut waits_for = 0;
        for segment in missing {
            let mut tx = self.store.worker_tx().await?;
            let sighting = missing::missing(&mut tx, meeting, segment).await?.again();
            match sighting {
                Sighting::Same => {}
                Sighting::First | Sighting::Counts => {
                    missing::note_missing(&mut tx, meeting, segment, sighting == Sighting::First)
                        .await?;
                }
                Sighting::Lost => {}
            }
            tx.commit().await?;
            if sighting == Sighting::Lost {
                self.give_up_on(meeting, segment, "its object is missing")
                    .await?;
                lost.push(segment);
            } else {
                waits_for += 1;
            }
        }
        Ok(waits_for)
    }

    async fn give_up_on(
        &self,
        meeting: MeetingId,
        segment: &Segment,
        why: &str,
    ) -> anyhow::Result<()> {
        warn!(
            key = segment.object_key,
            why, "a segment is lost; its span becomes a gap"
        );
        metrics::counter!("hansard_segments_lost_total").increment(1);
        let mut tx = self.store.worker_tx().await?;
        missing::mark_lost(&mut tx, meeting, segment, why).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// What is in a file; the outer error is ours.
async fn read(
    path: PathBuf,
    zero: MeetingTime,
    allowed: Vec<Span>,
) -> anyhow::Result<anyhow::Result<Option<Part>>> {
    Ok(tokio::task::spawn_blocking(move || Part::of(&path, zero, allowed)).await?)
}
