//! A block of segments written once more without one of them, because a dead worker could not cut
//! it any more.

use crate::{
    capture::Deps,
    domain::{
        id::{MeetingId, ParticipantId, TenantId},
        inventory::ObjectKind,
        object_key::LiveBlock,
    },
    objects::ObjectError,
    store::{
        block::{Block, Placed},
        inventory::Object,
        recording::{self, Segment},
    },
};
use anyhow::Context;

/// What stays of a block.
#[derive(Default)]
pub(super) struct Rest {
    /// The block as it was; deleted once no row names it.
    pub before: Option<String>,
    /// In storage, and named by no row yet; `None`: nothing else was in it.
    pub block: Option<Block>,
}

/// Stores the block that a segment of the participant is in without it. One at a time of a meeting.
pub(super) async fn without(
    deps: &Deps,
    (tenant, meeting): (TenantId, MeetingId),
    cut: &Segment,
    participant: ParticipantId,
) -> anyhow::Result<Rest> {
    if cut.place.is_none() {
        return Ok(Rest::default());
    }
    // Another of its segments may have been cut since the rows were read.
    let mut tx = deps.store.worker_tx().await?;
    let rows = recording::segments(&mut tx, meeting).await?;
    tx.commit().await?;
    let is_cut =
        |row: &Segment| (row.recording, row.epoch, row.n) == (cut.recording, cut.epoch, cut.n);
    let row = rows.iter().find(|row| is_cut(row));
    let Some(before) = row.and_then(|row| Some(row.place.as_ref()?.block.clone())) else {
        return Ok(Rest::default());
    };
    let whole = match deps.objects.get_bytes(&before).await {
        Ok(bytes) => bytes,
        Err(ObjectError::Missing(_)) => return Ok(Rest::default()),
        Err(error) => return Err(error).context("fetching a block of segments"),
    };
    let (mut rest, mut segments) = (Vec::new(), Vec::new());
    for row in rows.iter().filter(|row| !is_cut(row)) {
        let Some(place) = row.place.as_ref().filter(|place| place.block == before) else {
            continue;
        };
        let (from, until) = (place.at, place.at + row.size_bytes);
        let bytes = whole.get(usize::try_from(from)?..usize::try_from(until)?);
        segments.push(Placed {
            n: row.n,
            sha256: row.sha256.clone(),
            at: i64::try_from(rest.len())?,
        });
        rest.extend(bytes.context("a block is shorter than its rows say")?);
    }
    if segments.is_empty() {
        return Ok(Rest {
            before: Some(before),
            block: None,
        });
    }
    let parsed = LiveBlock::parse(&before).context("a block under another key")?;
    let key = LiveBlock {
        made: parsed.made + 1,
        ..parsed
    }
    .to_string();
    let object = Object {
        key: key.clone(),
        tenant,
        meeting,
        recording: cut.recording,
        kind: ObjectKind::Block,
        participants: vec![participant],
    };
    let stored = deps.uploader.store_block(&object, rest).await?;
    Ok(Rest {
        before: Some(before),
        block: Some(Block {
            recording: cut.recording,
            epoch: cut.epoch,
            key,
            segments,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: stored.sha256,
            version: stored.version,
        }),
    })
}
