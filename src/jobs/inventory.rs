//! The objects of jobs: noted in the inventory before they are stored, and deleted by it.

use crate::{
    domain::{id::MeetingId, media_type::MediaType, tiering::Tier},
    objects::{ObjectError, Objects, Stored},
    store::{
        Store, StoreError,
        inventory::{self, Noted, Object},
        job::{self, Job as Row},
        recording,
    },
    worker::Claimed,
};
use anyhow::Context;
use std::path::Path;
use tracing::debug;

/// So many are deleted before the inventory is told of it.
const TOLD_EACH: usize = 500;

/// A job's way to the bucket.
#[derive(Clone, Copy)]
pub(super) struct Inventory<'a> {
    pub store: &'a Store,
    pub objects: &'a Objects,
}

impl Inventory<'_> {
    /// Says that a job is going to store these, while it holds its lease: nothing is stored by one
    /// that was stopped.
    pub async fn note(&self, claimed: &Claimed, objects: &[Object]) -> anyhow::Result<()> {
        let Row { id, epoch, .. } = claimed.job;
        let mut tx = self.store.worker_tx().await?;
        job::hold(&mut tx, id, claimed.owner, epoch).await?;
        let noted = inventory::note(&mut tx, objects).await?;
        tx.commit().await?;
        if noted.iter().all(|noted| *noted == Noted::Yes) {
            Ok(())
        } else {
            Err(StoreError::Going.into())
        }
    }

    /// Notes and stores a file. The caller settles it with the row that tells of it; whether it
    /// could or not, it calls [`Self::follow`] afterwards.
    pub async fn put_file(
        &self,
        claimed: &Claimed,
        object: &Object,
        path: &Path,
        media_type: MediaType,
    ) -> anyhow::Result<Stored> {
        self.note(claimed, std::slice::from_ref(object)).await?;
        let put = self
            .objects
            .put_file(&object.key, path, media_type.as_str(), Tier::Hot);
        self.put(claimed, object, put).await
    }

    /// The same with what is in memory.
    pub async fn put_bytes(
        &self,
        claimed: &Claimed,
        object: &Object,
        bytes: Vec<u8>,
    ) -> anyhow::Result<Stored> {
        self.note(claimed, std::slice::from_ref(object)).await?;
        let kind = "application/octet-stream";
        let put = self.objects.put_bytes(&object.key, bytes, kind, Tier::Hot);
        self.put(claimed, object, put).await
    }

    async fn put(
        &self,
        claimed: &Claimed,
        object: &Object,
        put: impl Future<Output = Result<Stored, ObjectError>>,
    ) -> anyhow::Result<Stored> {
        let put = async {
            let stored = put.await?;
            self.arrived(claimed, object).await?;
            anyhow::Ok(stored)
        };
        let stored = put.await;
        if stored.is_err() {
            self.follow(object).await;
        }
        stored
    }

    /// Notes that nothing more of an upload comes, also where no row is going to tell of it: who
    /// deletes it does not wait for it then. Only while the job is held: the next holder may be
    /// storing it, too.
    async fn arrived(&self, claimed: &Claimed, object: &Object) -> anyhow::Result<()> {
        let Row { id, epoch, .. } = claimed.job;
        let mut tx = self.store.worker_tx().await?;
        job::hold(&mut tx, id, claimed.owner, epoch).await?;
        let key = std::slice::from_ref(&object.key);
        inventory::stopped(&mut tx, object.meeting, key).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Deletes an object again whose recording was deleted while it was stored. Any other stays,
    /// also one that no row tells of: the next run stores it anew, and it may be another holder's
    /// by now.
    pub async fn follow(&self, object: &Object) {
        let followed = async {
            let mut tx = self.store.worker_tx().await?;
            let deleted = recording::is_deleted(&mut tx, object.meeting, object.recording).await?;
            if deleted {
                let key = std::slice::from_ref(&object.key);
                inventory::stopped(&mut tx, object.meeting, key).await?;
            }
            tx.commit().await?;
            if deleted {
                self.objects.delete(&object.key).await?;
            }
            anyhow::Ok(())
        };
        if let Err(error) = followed.await {
            // The job that deletes the recording looks again.
            debug!(
                key = object.key,
                error = format!("{error:#}"),
                "an object of a deleted recording could not be deleted at once"
            );
        }
    }

    /// Deletes objects that nobody needs any more. Answers how many an upload of a dead process may
    /// still put there: they are deleted once more later.
    pub async fn delete(&self, meeting: MeetingId, keys: &[String]) -> anyhow::Result<usize> {
        let mut may_come = 0;
        for some in keys.chunks(TOLD_EACH) {
            let mut tx = self.store.worker_tx().await?;
            inventory::going(&mut tx, meeting, some).await?;
            tx.commit().await?;
            self.objects
                .delete_all(some)
                .await
                .context("deleting objects that nobody needs")?;
            let mut tx = self.store.worker_tx().await?;
            may_come += inventory::gone(&mut tx, meeting, some).await?;
            tx.commit().await?;
        }
        Ok(may_come)
    }
}
