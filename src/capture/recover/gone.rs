//! What was deleted while it lay here, and which folders this spool still has: the rows follow the
//! disk.

use crate::{
    capture::Deps,
    domain::{
        id::{MeetingId, RecordingId},
        spool_path,
    },
    media::live::segment,
    store::{
        StoreError, deletion,
        spool::{self, Folder},
    },
};
use std::{path::PathBuf, sync::Arc};
use tracing::info;

/// Removes the folders of recordings that were deleted, also such as were put aside, and those of a
/// meeting that no row knows any more. Answers whether there were any.
pub(super) async fn remove(
    deps: &Arc<Deps>,
    meeting: MeetingId,
    epochs: &[i64],
) -> anyhow::Result<bool> {
    let mut tx = deps.store.worker_tx().await?;
    let gone = deletion::gone(&mut tx, meeting).await?;
    tx.commit().await.map_err(StoreError::from)?;
    if gone == deletion::DeletedSound::default() {
        return Ok(false);
    }
    let (spool, epochs) = (deps.spool.clone(), epochs.to_vec());
    let removed = tokio::task::spawn_blocking(move || -> anyhow::Result<usize> {
        let mut folders: Vec<(PathBuf, RecordingId)> = Vec::new();
        for epoch in epochs {
            folders.extend(segment::recordings(&spool, meeting, epoch)?);
        }
        folders.retain(|(_, recording)| gone.has(*recording));
        for (folder, _) in &folders {
            std::fs::remove_dir_all(folder)?;
        }
        Ok(folders.len())
    })
    .await??;
    if removed > 0 {
        info!(
            recordings = removed,
            "deleted what was in the spool of deleted recordings"
        );
    }
    Ok(removed > 0)
}

/// Takes away the rows of folders that are gone.
pub(super) async fn forget(deps: &Arc<Deps>) -> anyhow::Result<()> {
    let mut tx = deps.store.worker_tx().await?;
    let noted = spool::of(&mut tx, deps.spool_id).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let (disk, folder) = (deps.disk.clone(), deps.spool.clone());
    let gone = tokio::task::spawn_blocking(move || {
        let is_gone = |of: &Folder| {
            // A row is written after its folder has an owner, who may have made none yet.
            !disk.is_owned(of.meeting, of.epoch)
                && !spool_path::epoch(&folder, of.meeting, of.epoch).exists()
        };
        noted.into_iter().filter(is_gone).collect::<Vec<_>>()
    })
    .await?;
    if gone.is_empty() {
        return Ok(());
    }
    let mut tx = deps.store.worker_tx().await?;
    spool::forget(&mut tx, deps.spool_id, &gone).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}
