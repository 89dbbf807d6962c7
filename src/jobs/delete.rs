//! The job that deletes what somebody asked to delete of a meeting, everywhere: words at once, then
//! the objects that the inventory has, every version and part of them. It waits for storage that is
//! away, for a capture that is closing, and for spools whose machines will look into them; what a
//! machine that is gone has in its spool is deleted when it is back, since nothing of a deleted
//! recording is stored.
//!
//! What the ledger does not have yet is written there first.
//!
//! One run does all that is open; it may run twice and die at any line. Only when the inventory has
//! nothing any more are the deletions done.

use super::{clean, inventory::Inventory};
use crate::{
    domain::{
        deletion::Deletable,
        fault::Away,
        id::MeetingId,
        inventory::{Entry, ObjectState},
        job::JobKind,
        time::Micros,
    },
    ledger::{Ledger, Unappended},
    objects::Objects,
    store::{
        Store, Tx, capture,
        deletion::{self, Open},
        inventory,
        job::{self, Job as Row},
    },
    worker::{Claimed, Job, Outcome},
};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tracing::info;
use uuid::Uuid;

/// Meetings at a time.
const DELETIONS_MAX: usize = 4;
/// How often it is looked again whether others have ended.
const POLL: Micros = Micros::from_secs(1);

/// The job.
pub struct Delete {
    pub ledger: Ledger,
    pub store: Store,
    pub objects: Objects,
}

impl Job for Delete {
    fn kind(&self) -> JobKind {
        JobKind::Delete
    }

    fn room(&self, running: usize) -> usize {
        DELETIONS_MAX.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move { self.delete(&claimed).await })
    }

    /// It is never given up.
    fn failed(self: Arc<Self>, job: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { super::kept_on(&job, error) })
    }
}

impl Delete {
    async fn delete(&self, claimed: &Claimed) -> anyhow::Result<Outcome> {
        let meeting = claimed.meeting()?;
        let inventory = Inventory {
            store: &self.store,
            objects: &self.objects,
        };
        if let Some(waiting) = self.write(claimed).await? {
            return Ok(waiting);
        }
        clean::complete(inventory, claimed).await?;
        let mut tx = super::begin(&self.store, claimed).await?;
        let open = deletion::open(&mut tx, meeting).await?;
        if open.transcript {
            deletion::erase_words(&mut tx, meeting).await?;
            deletion::erase_answers(&mut tx, claimed.job.tenant, &[meeting.0]).await?;
            deletion::finish(&mut tx, meeting, Deletable::Transcript).await?;
        }
        let keys = keys(&mut tx, meeting, &open).await?;
        inventory::going(&mut tx, meeting, &keys).await?;
        tx.commit().await?;
        inventory.delete(meeting, &keys).await?;
        self.end(claimed, &open).await
    }

    /// Writes into the ledger what could not be written when it was asked for: before anything of
    /// it is deleted. Answers how the job ends where that cannot be done now.
    async fn write(&self, claimed: &Claimed) -> anyhow::Result<Option<Outcome>> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        let mut tx = super::begin(&self.store, claimed).await?;
        let waits = |error: anyhow::Error| {
            Some(Outcome::Waiting {
                away: Some(Away::Storage),
                at_least: POLL,
                error,
            })
        };
        match self.ledger.write_asked(&mut tx, tenant, meeting).await {
            Ok(()) => {
                let committed = tx.commit().await;
                if committed.is_err() {
                    self.ledger.look_soon();
                }
                Ok(committed.map(|()| None)?)
            }
            Err(Unappended::Behind) => {
                tx.rollback().await?;
                self.ledger.catch_up(tenant, false).await?;
                Ok(waits(anyhow::anyhow!("the database was behind the ledger")))
            }
            Err(error @ Unappended::Away(_)) => Ok(waits(error.into())),
            Err(error) => {
                self.ledger.look_soon();
                Err(error.into())
            }
        }
    }

    /// Commits what is done, when nothing is left and nobody can add to it any more.
    async fn end(&self, claimed: &Claimed, open: &Open) -> anyhow::Result<Outcome> {
        let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
        let Row { id, epoch, .. } = claimed.job;
        let mut tx = super::begin(&self.store, claimed).await?;
        let left = keys(&mut tx, meeting, open).await?.len();
        let closing = job::is_open(&mut tx, JobKind::Capture, meeting).await?;
        let spooled = capture::spooled(&mut tx, meeting).await?;
        let sound = open.meeting || !open.recordings.is_empty();
        if sound && (left > 0 || closing || spooled > 0) {
            tx.commit().await?;
            return Ok(Outcome::Waiting {
                // What is left may still come; a capture is closing; a spool is being taken.
                away: None,
                at_least: POLL,
                error: anyhow::anyhow!(
                    "{left} objects and {spooled} segments in spools are still to be deleted"
                ),
            });
        }
        deletion::finish_recordings(&mut tx, meeting, &open.recordings).await?;
        let ids: Vec<Uuid> = open.recordings.iter().map(|id| id.0).collect();
        deletion::erase_answers(&mut tx, tenant, &ids).await?;
        if open.meeting {
            deletion::erase_meeting(&mut tx, meeting).await?;
            deletion::erase_answers(&mut tx, tenant, &[meeting.0]).await?;
            deletion::finish(&mut tx, meeting, Deletable::Meeting).await?;
        }
        job::finish_or_run_again(&mut tx, id, claimed.owner, epoch).await?;
        tx.commit().await?;
        if !open.is_empty() {
            info!(
                files = open.recordings.len(),
                words = open.transcript,
                all = open.meeting,
                "deleted what was asked for"
            );
        }
        Ok(Outcome::Settled)
    }
}

/// What the inventory still has of what is to go.
async fn keys(tx: &mut Tx, meeting: MeetingId, open: &Open) -> anyhow::Result<Vec<String>> {
    let goes = |entry: &Entry| {
        entry.state != ObjectState::Deleted
            && (open.meeting || open.recordings.contains(&entry.recording))
    };
    let entries = inventory::of_meeting(tx, meeting).await?;
    let keys = entries.into_iter().filter(goes).map(|entry| entry.key);
    Ok(keys.collect())
}
