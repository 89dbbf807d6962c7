//! The job that makes an ended meeting's tracks of earlier versions, which are Matroska, what those
//! of today are ([`MediaType::of_track`]): the same frames at the same times, encoded by nobody.
//! The migration queues it.
//!
//! The new file has the old one's revision and another ending, so that it is in nobody's way: where
//! [`super::join`] makes the track anew meanwhile, that one counts.

use super::{files::Files, inventory::Inventory};
use crate::{
    domain::{
        id::{MeetingId, TenantId},
        inventory::ObjectKind,
        job::JobKind,
        media_type::MediaType,
        object_key::RecordingFile,
        recording::{RecordingKind, RecordingStatus},
    },
    ledger::Ledger,
    media::rendering::remux,
    store::{
        event,
        inventory::{self, Object, Settled},
        job::{self, Job as Row},
        recording::{self, Recording},
        rewrap::{self, Rewrapped},
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;
use tracing::{info, warn};

/// The job.
pub struct Remux {
    pub ledger: Ledger,
    pub files: Files,
}

impl Job for Remux {
    fn kind(&self) -> JobKind {
        JobKind::Remux
    }

    /// There is no hurry.
    fn room(&self, running: usize) -> usize {
        1_usize.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move {
            self.all(&claimed).await?;
            Ok(Outcome::Done)
        })
    }

    fn failed(self: Arc<Self>, _: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async { super::failed(error) })
    }
}

impl Remux {
    /// Every track by itself: one that cannot be read keeps no other waiting, and fails the job in
    /// the end.
    async fn all(&self, claimed: &Claimed) -> anyhow::Result<()> {
        let meeting = claimed.meeting()?;
        let mut tx = self.files.store.worker_tx().await?;
        let recordings = recording::of_meeting(&mut tx, meeting).await?;
        tx.commit().await?;
        let mut problem = None;
        for track in recordings.iter().filter(|one| is_of_before(one)) {
            if let Err(error) = self.one(claimed, meeting, track).await {
                warn!(recording = %track.id, error = format!("{error:#}"), "a track stays Matroska for now");
                problem.get_or_insert(error);
            }
        }
        problem.map_or(Ok(()), Err)
    }

    async fn one(
        &self,
        claimed: &Claimed,
        meeting: MeetingId,
        track: &Recording,
    ) -> anyhow::Result<()> {
        let Files { store, objects, .. } = &self.files;
        let scratch = self.files.scratch(&claimed.job).await?;
        let (file, sha256) = self.files.fetch(track, &scratch).await?;
        let out = scratch.path().join("rewrapped");
        let to = out.clone();
        let codec = tokio::task::spawn_blocking(move || remux::rewrap(&file.path, file.zero, &to))
            .await??;
        let media = MediaType::of_track(codec);
        let (tenant, before) = (claimed.job.tenant, track.blob_url.as_deref());
        let object = Object {
            key: key(tenant, meeting, track, media),
            tenant,
            meeting,
            recording: track.id,
            kind: ObjectKind::Track,
            participants: track.key.iter().map(|key| key.participant).collect(),
        };
        let inventory = Inventory { store, objects };
        let stored = inventory
            .put_file(claimed, &object, &out, media)
            .await
            .context("storing a track")?;
        let rewrapped = Rewrapped {
            before: before.context("a track without a file")?,
            sha256_before: &sha256,
            blob_url: &objects.url(&object.key),
            media_type: media,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: &stored.sha256,
        };
        let settled = Settled {
            key: &object.key,
            recording: track.id,
            size_bytes: rewrapped.size_bytes,
            sha256: &stored.sha256,
            version: stored.version.as_deref(),
        };
        let told = self.tell(claimed, meeting, &rewrapped, settled).await;
        inventory.follow(&object).await;
        // What nobody is told of any more: the new one where the track changed meanwhile.
        let gone = if told.context("telling of a track")? {
            info!(recording = %track.id, "a track is {media} now");
            before.and_then(|url| objects.key(url))
        } else {
            Some(object.key.as_str())
        };
        let gone: Vec<String> = gone.into_iter().map(str::to_owned).collect();
        inventory
            .delete(meeting, &gone)
            .await
            .context("deleting a track that was made anew")?;
        Ok(())
    }

    /// The track is in the new file from the commit on, and the old one is nobody's: the cleaning
    /// job finds it when this process dies. `false`: the track changed meanwhile.
    async fn tell(
        &self,
        claimed: &Claimed,
        meeting: MeetingId,
        file: &Rewrapped<'_>,
        settled: Settled<'_>,
    ) -> anyhow::Result<bool> {
        let Files { store, objects, .. } = &self.files;
        let Row {
            id, epoch, tenant, ..
        } = claimed.job;
        let mut tx = store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        job::hold(&mut tx, id, claimed.owner, epoch).await?;
        let counts = rewrap::rewrap(&mut tx, meeting, settled.recording, file).await?;
        if counts {
            inventory::settle(&mut tx, meeting, settled).await?;
            let before = objects.key(file.before).map(str::to_owned);
            let before: Vec<String> = before.into_iter().collect();
            let ledger = &self.ledger;
            let told = ledger.tell_replaced(&mut tx, tenant, meeting, JobKind::Remux, &before);
            if let Err(error) = told.await {
                tx.rollback().await?;
                return Err(super::unwritten(ledger, tenant, error).await);
            }
            inventory::going(&mut tx, meeting, &before).await?;
        }
        job::ensure(&mut tx, tenant, JobKind::Clean, meeting, &json!({})).await?;
        super::commit_told(&self.ledger, tx).await?;
        Ok(counts)
    }
}

fn is_of_before(one: &Recording) -> bool {
    one.kind == RecordingKind::Track
        && one.status == RecordingStatus::Ready
        && one.blob_url.is_some()
        && one.media_type == MediaType::AudioMatroska
}

fn key(tenant: TenantId, meeting: MeetingId, track: &Recording, media: MediaType) -> String {
    let file = RecordingFile {
        tenant,
        meeting,
        recording: track.id,
        revision: track.revision,
        media,
    };
    file.to_string()
}
