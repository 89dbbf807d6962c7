//! The second step of a meeting's files: the mix, rendered from the joined tracks on the one
//! timeline, and stored. It is committed with the end of the job.

use super::track::Joined;
use crate::{
    domain::{
        id::{MeetingId, RecordingId, TenantId},
        object_key::RecordingFile,
        recording::{Gap, RecordingKind, RecordingStatus, gaps_of_mix},
        tiering::Tier,
        time::{MeetingTime, Span},
    },
    media::rendering::mix,
    objects::Objects,
    store::{
        Store,
        recording::{self, Finished},
    },
};
use anyhow::Context;
use std::{path::Path, sync::Arc};
use tokio::sync::Semaphore;
use tracing::Instrument;

/// The mix of one round.
pub(super) enum MixFile {
    /// Stored, and to be committed.
    Rendered(RecordingId, Finished),
    /// The one that is there is of these very tracks.
    Kept,
    Nothing,
    /// There was one, and nothing of it may be kept.
    Gone(RecordingId),
}

/// Renders the mix of one meeting.
pub(super) struct Mix<'a> {
    pub store: &'a Store,
    pub objects: &'a Objects,
    /// So many are rendered at a time in this process.
    pub rendering: &'a Arc<Semaphore>,
    pub meeting: MeetingId,
    pub tenant: TenantId,
    pub scratch: &'a Path,
}

impl Mix<'_> {
    /// Renders and stores the mix. `is_old`: one that is there holds what is in no track any more.
    pub async fn render(&self, done: &[Joined], is_old: bool) -> anyhow::Result<MixFile> {
        let Self {
            meeting, tenant, ..
        } = *self;
        if done.is_empty() {
            return self.no_mix().await;
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
        if before
            .as_ref()
            .is_some_and(|mix| mix.status == RecordingStatus::Ready)
            && !is_old
            && done.iter().all(|track| !track.fresh)
        {
            return Ok(MixFile::Kept);
        }
        let revision = before.map_or(1, |mix| {
            mix.revision + i32::from(mix.status == RecordingStatus::Ready)
        });
        let sources: Vec<mix::Source> = done
            .iter()
            .map(|track| mix::Source {
                path: track.path.clone(),
                start: MeetingTime::from_ms(track.finalised.start_ms),
                allowed: track.allowed.clone(),
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
            return self.no_mix().await;
        };
        let key = RecordingFile {
            tenant,
            meeting,
            recording: id,
            revision,
            kind: RecordingKind::Mix,
        }
        .to_string();
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
        Ok(MixFile::Rendered(id, file))
    }

    /// There is nothing to hear: a mix that was made before goes, too.
    async fn no_mix(&self) -> anyhow::Result<MixFile> {
        let meeting = self.meeting;
        let mut tx = self.store.worker_tx().await?;
        let made = recording::of_meeting(&mut tx, meeting)
            .await?
            .into_iter()
            .find(|recording| recording.kind == RecordingKind::Mix);
        tx.commit().await?;
        let Some(mix) = made else {
            return Ok(MixFile::Nothing);
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
        Ok(MixFile::Gone(mix.id))
    }
}
