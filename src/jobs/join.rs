//! The first step of a meeting's files: each track joined from its segments without re-encoding,
//! stored and committed.

use super::{
    known::Known,
    track::{Joined, Joiner, Made},
};
use crate::{
    domain::{
        id::{RecordingId, TenantId},
        object_key::RecordingFile,
        recording::{RecordingKind, RecordingStatus},
        tiering::Tier,
    },
    store::recording::{self, Finished, Segment},
};
use anyhow::Context;

/// Joins the tracks of one meeting.
pub(super) struct Join<'a> {
    pub tracks: Joiner<'a>,
    pub tenant: TenantId,
}

/// What became of a meeting's tracks.
#[derive(Default)]
pub(super) struct Tracks {
    pub done: Vec<Joined>,
    /// Nothing of these may be kept; with the file of each that has one.
    pub nothing: Vec<(RecordingId, Option<String>)>,
    /// Nothing of these can be had any more, and why.
    pub lost_whole: Vec<(RecordingId, String)>,
    /// So many segments are missing, and may still come.
    pub missing: usize,
}

impl Join<'_> {
    /// Fetches and joins all tracks. Nothing is stored yet.
    pub async fn all(&self, known: &Known) -> anyhow::Result<Tracks> {
        let mut tracks = Tracks::default();
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
            let (id, file) = (track.id, track.blob_url.clone());
            match self.tracks.join(track, of_track, why).await? {
                Made::Track(joined) => tracks.done.push(*joined),
                Made::Nothing => tracks.nothing.push((id, file)),
                Made::Lost(error) => tracks.lost_whole.push((id, error)),
                Made::Missing(count) => tracks.missing += count,
            }
        }
        Ok(tracks)
    }

    /// Stores and commits one track, unless it is stored as it is.
    pub async fn keep(&self, joined: &Joined) -> anyhow::Result<()> {
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
            let mut tx = store.worker_tx().await?;
            recording::set_gaps(&mut tx, track.id, &gaps).await?;
            tx.commit().await?;
            return Ok(());
        }
        let revision = if track.status == RecordingStatus::Ready {
            track.revision + 1
        } else {
            track.revision
        };
        let key = RecordingFile {
            tenant,
            meeting,
            recording: track.id,
            revision,
            kind: RecordingKind::Track,
        }
        .to_string();
        let stored = objects
            .put_file(&key, path, "audio/x-matroska", Tier::Hot)
            .await
            .context("storing a track")?;
        let file = Finished {
            blob_url: objects.url(&key),
            start_ms: finalised.start_ms,
            duration_ms: finalised.duration_ms,
            gaps,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: stored.sha256,
        };
        let mut tx = store.worker_tx().await?;
        recording::finish(&mut tx, track.id, &file).await?;
        tx.commit().await?;
        let made = track
            .blob_url
            .as_deref()
            .and_then(|url| objects.key(url))
            .filter(|made| *made != key);
        if let Some(made) = made {
            objects
                .delete(made)
                .await
                .context("deleting a track that was made anew")?;
        }
        Ok(())
    }

    /// Deletes the objects of a track of which nothing may be kept. Its rows go with the mix that
    /// it is in.
    pub async fn take_away(
        &self,
        id: RecordingId,
        file: Option<&str>,
        segments: &[Segment],
    ) -> anyhow::Result<()> {
        let objects = self.tracks.objects;
        let of_track = segments
            .iter()
            .filter(|segment| segment.recording == id)
            .map(|segment| segment.object_key.as_str());
        for key in file
            .and_then(|url| objects.key(url))
            .into_iter()
            .chain(of_track)
        {
            objects
                .delete(key)
                .await
                .context("deleting a track of which nothing may be kept")?;
        }
        Ok(())
    }
}
