//! Deletes objects that no row needs any more: the segments of tracks that were verified and committed. Their rows stay, with
//! hash and consent entry, as proof.

use crate::{
    domain::{fault::Fault, time::Micros},
    objects::Objects,
    store::{Store, recording},
    worker::{Claimed, Outcome},
};
use anyhow::Context;

/// Runs the job.
pub async fn run(store: Store, objects: Objects, claimed: Claimed) -> Outcome {
    match clean(&store, &objects, &claimed).await {
        Ok(()) => Outcome::Done,
        Err(error) => match super::fault(&error) {
            Fault::Away(away) => Outcome::Waiting { away, at_least: Micros(0), error },
            _ => Outcome::Failed(error),
        },
    }
}

async fn clean(store: &Store, objects: &Objects, claimed: &Claimed) -> anyhow::Result<()> {
    let mut tx = store.worker_tx().await?;
    let segments = recording::segments(&mut tx, claimed.job.meeting).await?;
    tx.commit().await?;
    for segment in segments.into_iter().filter(|segment| segment.merged) {
        objects.delete(&segment.object_key).await.context("deleting a merged segment")?;
    }
    Ok(())
}
