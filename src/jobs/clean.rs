//! Deletes objects that nobody needs any more, as the inventory has them: the segments of tracks
//! that were verified and committed, whose rows stay, with hash and consent entry, as proof; the
//! revisions of files before the one that is told of; and what no row ever named or names any more,
//! because somebody died between storing an object and writing its row, or between replacing one
//! and deleting it. It may hold what was withdrawn.
//!
//! Files go only here (and in [`super::remux`]), whoever made others instead, since the ledger is
//! told first which those are: a database that is put back names the ones that went.

use super::inventory::Inventory;
use crate::{
    domain::{
        fault::Away,
        id::{MeetingId, TenantId},
        inventory::{ObjectKind, RowObjects, superfluous, untold},
        object_key::{
            LiveBlock, LiveSegment, PeaksFile, RecordingFile, live_prefix, recordings_prefix,
        },
        recording::{RecordingKind, SegmentState},
        time::Micros,
    },
    ledger::{Ledger, Unappended},
    objects::Objects,
    queue::JobKind,
    store::{
        Store, Tx, capture,
        inventory::{self, Object},
        job::{self, Job as Row},
        recording, redacted_file,
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tracing::info;

/// Objects of one meeting that are looked at where the inventory may not have them all: 20 tracks
/// of three hours.
const LISTED_MAX: usize = 60_000;
/// How often it is looked again for uploads of a dead process.
const MAY_COME_POLL: Micros = Micros::from_secs(60);

/// The job.
pub struct Clean {
    pub ledger: Ledger,
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
            let inventory = Inventory {
                store: &self.store,
                objects: &self.objects,
            };
            Ok(match clean(&self.ledger, inventory, &claimed).await? {
                0 => end(&self.store, &claimed).await?,
                count => Outcome::Waiting {
                    away: Some(Away::Storage),
                    at_least: MAY_COME_POLL,
                    error: anyhow::anyhow!(
                        "{count} uploads of a process that ended may still arrive"
                    ),
                },
            })
        })
    }

    fn failed(self: Arc<Self>, _: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async { super::failed(error) })
    }
}

/// Ends the job, unless files were replaced meanwhile.
async fn end(store: &Store, claimed: &Claimed) -> anyhow::Result<Outcome> {
    let Row { id, epoch, .. } = claimed.job;
    let mut tx = super::begin(store, claimed).await?;
    job::finish_or_run_again(&mut tx, id, claimed.owner, epoch).await?;
    tx.commit().await?;
    Ok(Outcome::Settled)
}

/// Answers how many objects may still come.
async fn clean(
    ledger: &Ledger,
    inventory: Inventory<'_>,
    claimed: &Claimed,
) -> anyhow::Result<usize> {
    let meeting = claimed.meeting()?;
    complete(inventory, claimed).await?;
    // The meeting's head is held while it is found out what nobody needs: a recovery says under it
    // what it is going to store before it does, so nobody is between an object and its row. What is
    // found is nobody's from the commit on.
    let mut tx = super::begin(inventory.store, claimed).await?;
    let entries = inventory::of_meeting(&mut tx, meeting).await?;
    let unneeded = superfluous(&entries, &told(inventory.objects, &mut tx, meeting).await?);
    let untold = untold(&entries, &unneeded);
    if let Err(error) = tell(ledger, &mut tx, (claimed.job.tenant, meeting), &untold).await {
        tx.rollback().await?;
        return Err(super::unwritten(ledger, claimed.job.tenant, error).await);
    }
    inventory::going(&mut tx, meeting, &unneeded).await?;
    super::commit_told(ledger, tx).await?;
    let may_come = inventory.delete(meeting, &unneeded).await?;
    if !unneeded.is_empty() {
        info!(
            objects = unneeded.len(),
            "deleted objects that nobody needs"
        );
    }
    Ok(may_come)
}

/// Tells the ledger that these files go.
async fn tell(
    ledger: &Ledger,
    tx: &mut Tx,
    (tenant, meeting): (TenantId, MeetingId),
    going: &[String],
) -> Result<(), Unappended> {
    if going.is_empty() {
        return Ok(());
    }
    // What was asked for comes first: a deletion may be why these go.
    ledger.write_asked(tx, tenant, meeting).await?;
    ledger
        .tell_replaced(tx, tenant, meeting, JobKind::Clean, going)
        .await
}

/// What the rows say.
async fn told(objects: &Objects, tx: &mut Tx, meeting: MeetingId) -> anyhow::Result<RowObjects> {
    let mut told = RowObjects {
        quiet: job::is_done(tx, JobKind::Capture, meeting).await?
            && capture::spooled(tx, meeting).await? == 0,
        ..RowObjects::default()
    };
    for segment in recording::segments(tx, meeting).await? {
        let keys = match segment.state {
            SegmentState::Merged => &mut told.merged,
            SegmentState::Stored | SegmentState::Lost => &mut told.needed,
        };
        keys.insert(segment.object().to_owned());
    }
    let made = recording::of_meeting(tx, meeting).await?;
    for recording in made {
        if let Some(key) = recording
            .blob_url
            .and_then(|url| objects.key(&url).map(str::to_owned))
        {
            told.files.insert(recording.id, key);
        }
        told.revisions.insert(recording.id, recording.revision);
    }
    told.kept = redacted_file::kept(tx, meeting).await?;
    Ok(told)
}

/// Lists the bucket once for a meeting that was recorded without the inventory.
pub(super) async fn complete(inventory: Inventory<'_>, claimed: &Claimed) -> anyhow::Result<()> {
    let (meeting, tenant) = (claimed.meeting()?, claimed.job.tenant);
    let mut tx = inventory.store.worker_tx().await?;
    let is_whole = inventory::is_whole(&mut tx, meeting).await?;
    tx.commit().await?;
    if is_whole {
        return Ok(());
    }
    let mut found = Vec::new();
    for prefix in [
        live_prefix(tenant, meeting),
        recordings_prefix(tenant, meeting),
    ] {
        let listed = inventory
            .objects
            .list(&prefix, LISTED_MAX)
            .await
            .context("listing a meeting's objects")?;
        found.extend(listed.into_iter().filter_map(|object| {
            let (recording, kind) = if let Some(segment) = LiveSegment::parse(&object.key) {
                (segment.recording, ObjectKind::Segment)
            } else if let Some(block) = LiveBlock::parse(&object.key) {
                (block.recording, ObjectKind::Block)
            } else if let Some(peaks) = PeaksFile::parse(&object.key) {
                (peaks.recording, ObjectKind::Derived)
            } else {
                let file = RecordingFile::parse(&object.key)?;
                let kind = match file.kind() {
                    RecordingKind::Mix => ObjectKind::Mix,
                    RecordingKind::Track => ObjectKind::Track,
                };
                (file.recording, kind)
            };
            Some(Object {
                key: object.key,
                tenant,
                meeting,
                recording,
                kind,
                participants: Vec::new(),
            })
        }));
    }
    let mut tx = inventory.store.worker_tx().await?;
    inventory::adopt(&mut tx, meeting, &found).await?;
    tx.commit().await?;
    Ok(())
}
