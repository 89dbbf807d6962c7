//! Deletes objects that no row needs any more: the segments of tracks that were verified and
//! committed, whose rows stay, with hash and consent entry, as proof; and what no row ever named or
//! names any more, because somebody died between storing an object and writing its row, or between
//! replacing one and deleting it. It may hold what was withdrawn. And the revisions of files before
//! the one that is told of.

use crate::{
    domain::{
        id::MeetingId,
        object_key::{RecordingFile, live_prefix},
        recording::SegmentState,
    },
    objects::{Listed, ObjectError, Objects},
    queue::JobKind,
    store::{
        Store, capture, event,
        job::{self, Job as Row},
        recording,
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::{TryStreamExt, future::BoxFuture, stream};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tracing::{info, warn};

/// Objects of one meeting that are looked at: 20 tracks of three hours.
const LISTED_MAX: usize = 60_000;
/// Deletions on their way at a time.
const DELETED_AT_ONCE: usize = 16;
/// So many that no row names are deleted at a time, while the meeting's head is held.
const SWEPT_AT_ONCE: usize = 20;
/// For so long at most.
const SWEEP_MAX: Duration = Duration::from_secs(10);

/// The job.
pub struct Clean {
    pub store: Store,
    pub objects: Objects,
}

impl Job for Clean {
    fn kind(&self) -> JobKind {
        JobKind::Clean
    }

    fn room(&self, running: usize) -> usize {
        1_usize.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move {
            clean(&self.store, &self.objects, &claimed).await?;
            Ok(Outcome::Done)
        })
    }

    fn failed(self: Arc<Self>, _: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async { super::failed(error) })
    }
}

async fn clean(store: &Store, objects: &Objects, claimed: &Claimed) -> anyhow::Result<()> {
    let meeting = claimed.meeting()?;
    let mut tx = store.worker_tx().await?;
    let segments = recording::segments(&mut tx, meeting).await?;
    let made = recording::of_meeting(&mut tx, meeting).await?;
    tx.commit().await?;
    let merged = segments
        .into_iter()
        .filter(|segment| segment.state == SegmentState::Merged)
        .map(|segment| segment.object_key);
    delete(objects, merged)
        .await
        .context("deleting a merged segment")?;
    let earlier = made.iter().flat_map(|recording| {
        (1..recording.revision).map(move |revision| {
            RecordingFile {
                tenant: claimed.job.tenant,
                meeting,
                recording: recording.id,
                revision,
                kind: recording.kind,
            }
            .to_string()
        })
    });
    delete(objects, earlier)
        .await
        .context("deleting a file that was made anew")?;
    let prefix = live_prefix(claimed.job.tenant, meeting);
    let listed = objects
        .list(&prefix, LISTED_MAX)
        .await
        .context("listing a meeting's segments")?;
    for some in listed.chunks(SWEPT_AT_ONCE) {
        sweep(store, objects, meeting, some).await?;
    }
    Ok(())
}

/// Many at a time: an hour of four tracks is 3,600 objects, and storage may be far away.
async fn delete(objects: &Objects, keys: impl Iterator<Item = String>) -> Result<(), ObjectError> {
    let each = |key: String| async move { objects.delete(&key).await };
    stream::iter(keys.map(Ok))
        .try_for_each_concurrent(DELETED_AT_ONCE, each)
        .await
}

/// Deletes what no row names of these objects. The meeting's head is held meanwhile: a recovery
/// says under it what it is going to store before it does, so nobody is between an object and its
/// row. With one under way nothing is swept; the job runs again after it.
async fn sweep(
    store: &Store,
    objects: &Objects,
    meeting: MeetingId,
    listed: &[Listed],
) -> anyhow::Result<()> {
    let mut tx = store.worker_tx().await?;
    event::lock(&mut tx, meeting).await?;
    let over = job::is_done(&mut tx, JobKind::Capture, meeting).await?;
    if !over || capture::spooled(&mut tx, meeting).await? > 0 {
        return Ok(());
    }
    let named: BTreeSet<String> = recording::segments(&mut tx, meeting)
        .await?
        .into_iter()
        .map(|segment| segment.object_key)
        .collect();
    let unnamed: Vec<&str> = listed
        .iter()
        .map(|object| object.key.as_str())
        .filter(|key| !named.contains(*key))
        .collect();
    let deleting = delete(objects, unnamed.iter().map(|key| (*key).to_owned()));
    match tokio::time::timeout(SWEEP_MAX, deleting).await {
        Ok(deleted) => deleted.context("deleting an object that no row names")?,
        Err(_) => {
            warn!("objects that no row names are not all deleted yet; storage is slow")
        }
    }
    if !unnamed.is_empty() {
        info!(
            objects = unnamed.len(),
            "swept up objects that no row names"
        );
    }
    Ok(())
}
